/*
 * test_process_law.c: what a reader sees never depends on which files happened to be merged. Random
 * rows are put into files in random groups, at growing times, and files are merged in random order,
 * each time through the same processing; what a reader then sees is compared with a naive model,
 * which takes all rows at once and knows nothing of files. The model is written from the rules
 * alone and shares no code with the module. Ages become longer and shorter meanwhile. Every way of
 * combining filter, aggregation and visibility that is accepted without glis.table.inexact is in
 * the list of tables.
 */
#include "processing.h"

#include "lsm/lsm.h"

#include <math.h>

enum { ROWS_MAX = 60, FIELDS_MAX = 8, ENTRIES_MAX = 80, RUNS = 150 };

/* ---- the model: rows as plain values ---- */

typedef __int128 wide;

struct entry {
    int key;
    bool null;
    wide value;
};

struct cell {
    bool null;
    wide number; /* whole numbers, unscaled decimals, places in the tables of texts and reals */
    struct entry entries[ENTRIES_MAX];
    int n_entries;
};

struct row {
    struct cell cells[FIELDS_MAX];
};

/* In their order. */
static const char *const texts[] = {"", "A", "A&", "A&B", "B", "C|(A&B)", "\xc3\xa9"};
static const double reals[] = {-INFINITY, -1.5, 0, 2.25, 1e300, INFINITY, NAN};

enum kind { LONG, INT, DECIMAL2, DATE, INSTANT, TEXT, REAL, BOOLEAN, MAP_LONG, MAP_TEXT };

static const char *const kind_types[] = {
    [LONG] = "'LongType'",
    [INT] = "'IntType'",
    [DECIMAL2] = "{'DecimalType':{'precision':2,'scale':1}}",
    [DATE] = "'DateType'",
    [INSTANT] = "'TimestampType'",
    [TEXT] = "'StringType'",
    [REAL] = "'DoubleType'",
    [BOOLEAN] = "'BooleanType'",
    [MAP_LONG] = "{'MapType':{'keyType':'IntType','valueType':'LongType'}}",
    [MAP_TEXT] = "{'MapType':{'keyType':'StringType','valueType':'StringType'}}",
};

struct model_field {
    enum kind kind;
    bool nullable;
    char op;     /* 's'um, 'l'east, 'g'reatest; 0: none */
    int64_t age; /* -1: none */
    bool drop;   /* nulls of an aged field */
};

struct table_case {
    const char *name;
    struct model_field fields[FIELDS_MAX]; /* [0] row key LONG or TEXT, [1] sort key, then values */
    int n_fields;
    int visibility; /* field, or -1 */
};

static const struct table_case tables[] = {
    {"nothing", {{TEXT, 0, 0, -1, 0}, {LONG, 0, 0, -1, 0}, {LONG, 1, 0, -1, 0}}, 3, -1},
    {"an age on a value",
     {{LONG, 0, 0, -1, 0}, {INT, 0, 0, -1, 0}, {LONG, 1, 0, 40, 1}, {TEXT, 1, 0, -1, 0}},
     4,
     -1},
    {"ages of all kinds",
     {{LONG, 0, 0, -1, 0},
      {LONG, 0, 0, 60, 0},
      {LONG, 1, 0, 70, 0},
      {INSTANT, 1, 0, 50, 1},
      {DATE, 0, 0, 86400000, 0}},
     5,
     -1},
    {"labels in a value", {{LONG, 0, 0, -1, 0}, {INT, 0, 0, -1, 0}, {TEXT, 1, 0, -1, 0}}, 3, 2},
    {"sums",
     {{TEXT, 0, 0, -1, 0},
      {INT, 0, 0, -1, 0},
      {LONG, 1, 's', -1, 0},
      {INT, 0, 's', -1, 0},
      {DECIMAL2, 1, 's', -1, 0},
      {MAP_LONG, 1, 's', -1, 0}},
     6,
     -1},
    {"least and greatest",
     {{LONG, 0, 0, -1, 0},
      {INT, 0, 0, -1, 0},
      {TEXT, 1, 'l', -1, 0},
      {REAL, 1, 'g', -1, 0},
      {REAL, 0, 'l', -1, 0},
      {BOOLEAN, 1, 'g', -1, 0},
      {MAP_TEXT, 1, 'g', -1, 0},
      {MAP_LONG, 0, 'l', -1, 0}},
     8,
     -1},
    {"sums with ages in a key",
     {{LONG, 0, 0, -1, 0}, {LONG, 0, 0, 30, 0}, {LONG, 1, 's', -1, 0}, {DATE, 1, 'g', -1, 0}},
     4,
     -1},
    {"sums with labels in a key",
     {{INT, 0, 0, -1, 0}, {TEXT, 0, 0, -1, 0}, {LONG, 0, 's', -1, 0}},
     3,
     1},
    {"all together",
     {{TEXT, 0, 0, -1, 0},
      {LONG, 0, 0, 45, 0},
      {DECIMAL2, 1, 's', -1, 0},
      {MAP_LONG, 1, 's', -1, 0},
      {INSTANT, 1, 'g', -1, 0}},
     5,
     0},
};

static int compare_cells(const struct cell *a, const struct cell *b)
{
    return (a->number > b->number) - (a->number < b->number);
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = compare_cells(&x->cells[0], &y->cells[0]);
    return c ? c : compare_cells(&x->cells[1], &y->cells[1]);
}

/* Rows in a total order, for those whose keys are equal and that are not aggregated. */
static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One more in a sum, both already values of the type. */
static wide model_add(enum kind kind, wide a, wide b)
{
    if (kind == DECIMAL2) { /* -99 .. 99: 199 values */
        wide sum = a + b;
        while (sum > 99)
            sum -= 199;
        while (sum < -99)
            sum += 199;
        return sum;
    }
    if (kind == INT) return (int32_t)(uint32_t)((uint64_t)(int64_t)a + (uint64_t)(int64_t)b);
    return (int64_t)((uint64_t)(int64_t)a + (uint64_t)(int64_t)b);
}

static wide model_join(enum kind kind, char op, wide a, wide b)
{
    if (op == 's') return model_add(kind, a, b);
    return op == 'l' ? (a < b ? a : b) : (a > b ? a : b);
}

static void model_put(struct cell *map, const struct entry *entry, char op)
{
    int i = 0;
    while (i < map->n_entries && map->entries[i].key < entry->key)
        i++;
    if (i < map->n_entries && map->entries[i].key == entry->key) {
        map->entries[i].value = model_join(LONG, op, map->entries[i].value, entry->value);
        return;
    }
    memmove(&map->entries[i + 1], &map->entries[i],
            (size_t)(map->n_entries - i) * sizeof *map->entries);
    map->entries[i] = *entry;
    map->n_entries++;
}

static void model_aggregate(const struct table_case *table, struct row *into, const struct row *row)
{
    for (int i = 2; i < table->n_fields; i++) {
        const struct model_field *field = &table->fields[i];
        struct cell *a = &into->cells[i];
        const struct cell *b = &row->cells[i];
        if (b->null) continue;
        if (field->kind >= MAP_LONG) {
            a->null = false;
            for (int e = 0; e < b->n_entries; e++)
                model_put(a, &b->entries[e], field->op);
        } else {
            a->number =
                a->null ? b->number : model_join(field->kind, field->op, a->number, b->number);
            a->null = false;
        }
    }
}

static bool model_keeps(const struct table_case *table, const struct row *row, int64_t now,
                        const int64_t *cutoffs)
{
    for (int i = 0; i < table->n_fields; i++) {
        const struct model_field *field = &table->fields[i];
        const struct cell *cell = &row->cells[i];
        if (field->age < 0) continue;
        if (cell->null && field->drop) return false;
        if (cell->null) continue;
        wide unit = field->kind == INSTANT ? 1000 : 1, times = field->kind == DATE ? 86400000 : 1;
        if (!((wide)now * unit - cell->number * times < (wide)field->age * unit)) return false;
        if (!(cell->number * times > (wide)cutoffs[i] * unit)) return false;
    }
    return true;
}

/* What holds for a reader with A, and with A and B. */
static bool model_sees(const struct cell *label, int reader)
{
    static const bool sees[][7] = {{true, true, false, false, false, false, false},
                                   {true, true, false, true, true, true, false}};
    return !label->null && sees[reader][label->number];
}

static int model_read(const struct table_case *table, const struct row *rows, int n, int64_t now,
                      const int64_t *cutoffs, int reader, struct row *out)
{
    bool aggregates = false;
    int n_out = 0;
    for (int i = 2; i < table->n_fields; i++)
        aggregates = aggregates || table->fields[i].op;
    struct row *sorted = malloc((size_t)n * sizeof *sorted + 1);
    memcpy(sorted, rows, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_rows);
    for (int i = 0; i < n; i++) {
        if (!model_keeps(table, &sorted[i], now, cutoffs)) continue;
        if (aggregates && n_out && compare_rows(&out[n_out - 1], &sorted[i]) == 0) {
            model_aggregate(table, &out[n_out - 1], &sorted[i]);
            continue;
        }
        out[n_out] = sorted[i];
        for (int k = 2; k < table->n_fields && aggregates; k++) {
            out[n_out].cells[k].null = true;
            out[n_out].cells[k].n_entries = 0;
        }
        if (aggregates) model_aggregate(table, &out[n_out], &sorted[i]);
        n_out++;
    }
    free(sorted);
    int n_seen = 0;
    for (int i = 0; i < n_out; i++)
        if (table->visibility < 0 || model_sees(&out[i].cells[table->visibility], reader))
            out[n_seen++] = out[i];
    return n_seen;
}

/* ---- rows as text, to be compared with what comes out ---- */

static void scalar_text(enum kind kind, wide number, struct buffer *out)
{
    if (kind == TEXT || kind == MAP_TEXT)
        assert_ok(buffer_printf(out, "'%s'", texts[number]));
    else if (kind == REAL)
        assert_ok(buffer_printf(out, "%a", reals[number]));
    else if (kind == DECIMAL2)
        assert_ok(buffer_printf(out, "'%d'", (int)number));
    else
        assert_ok(buffer_printf(out, "%lld", (long long)number));
}

static void cell_text(enum kind kind, const struct cell *cell, struct buffer *out)
{
    if (cell->null) {
        assert_ok(buffer_append_text(out, "null"));
        return;
    }
    if (kind < MAP_LONG) {
        scalar_text(kind, cell->number, out);
        return;
    }
    assert_ok(buffer_append_text(out, "["));
    for (int i = 0; i < cell->n_entries; i++) {
        if (i) assert_ok(buffer_append_text(out, ","));
        assert_ok(buffer_append_text(out, "["));
        scalar_text(kind == MAP_TEXT ? TEXT : LONG, cell->entries[i].key, out);
        assert_ok(buffer_append_text(out, ","));
        scalar_text(kind == MAP_TEXT ? TEXT : LONG, cell->entries[i].value, out);
        assert_ok(buffer_append_text(out, "]"));
    }
    assert_ok(buffer_append_text(out, "]"));
}

static char **lines_of_model(const struct table_case *table, const struct row *rows, int n)
{
    char **lines = malloc(((size_t)n + 1) * sizeof *lines);
    for (int i = 0; i < n; i++) {
        struct buffer line = BUFFER_INIT(1 << 16);
        for (int k = 0; k < table->n_fields; k++) {
            cell_text(table->fields[k].kind, &rows[i].cells[k], &line);
            assert_ok(buffer_append_text(&line, "; "));
        }
        assert_ok(buffer_append_byte(&line, 0));
        lines[i] = (char *)line.data;
    }
    qsort(lines, (size_t)n, sizeof *lines, compare_lines);
    return lines;
}

static char **lines_of_batch(const struct batch *batch)
{
    size_t n = (size_t)batch->n_rows;
    char **lines = malloc((n + 1) * sizeof *lines);
    for (size_t i = 0; i < n; i++) {
        struct buffer line = BUFFER_INIT(1 << 16);
        for (uint32_t k = 0; k < batch->schema->n_fields; k++) {
            const struct column *column = &batch->columns[k];
            entry_text(column, column->offset + (int64_t)i, &line);
            assert_ok(buffer_append_text(&line, "; "));
        }
        assert_ok(buffer_append_byte(&line, 0));
        lines[i] = (char *)line.data;
    }
    qsort(lines, n, sizeof *lines, compare_lines);
    return lines;
}

/* ---- random rows ---- */

static struct random *dice;

static int64_t roll(int64_t n)
{
    return (int64_t)random_below(dice, (uint64_t)n);
}

static void random_cell(const struct model_field *field, bool is_key, struct cell *cell)
{
    static const int64_t longs[] = {INT64_MAX, INT64_MIN + 1, INT64_MAX - 1, 1, 0, -1, 7};
    *cell = (struct cell){.null = field->nullable && roll(4) == 0};
    switch (field->kind) {
    case LONG:
        cell->number = field->age >= 0 ? roll(200) : is_key ? roll(4) : longs[roll(7)];
        break;
    case INT: cell->number = is_key ? roll(3) : (wide[]){INT32_MAX, INT32_MIN, 5}[roll(3)]; break;
    case DECIMAL2: cell->number = roll(199) - 99; break;
    case DATE: cell->number = roll(3) - 1; break;
    case INSTANT: cell->number = roll(200000); break;
    case TEXT: cell->number = roll(is_key ? 5 : 7); break;
    case REAL: cell->number = roll(7); break;
    case BOOLEAN: cell->number = roll(2); break;
    default: break;
    }
    if (cell->null) cell->number = 0;
    if (field->kind < MAP_LONG || cell->null) return;
    cell->n_entries = (int)roll(4); /* in any order, keys more than once */
    for (int i = 0; i < cell->n_entries; i++) {
        cell->entries[i].key = (int)roll(5);
        cell->entries[i].value = field->kind == MAP_TEXT ? roll(7) : longs[roll(7)];
    }
}

static void append_scalar(struct column_builder *builder, enum kind kind, wide number)
{
    switch (kind) {
    case TEXT:
        assert_ok(column_builder_append_bytes(builder, slice_from_text(texts[number])));
        break;
    case REAL: {
        double real = reals[number];
        if (real == 0 && roll(2)) real = -0.0;
        assert_ok(column_builder_append_real(builder, real));
        break;
    }
    case DECIMAL2: assert_ok(column_builder_append_decimal(builder, number)); break;
    default: assert_ok(column_builder_append_integer(builder, (int64_t)number));
    }
}

static void append_cell(struct column_builder *builder, enum kind kind, const struct cell *cell)
{
    if (cell->null) {
        assert_ok(column_builder_append_null(builder));
    } else if (kind < MAP_LONG) {
        append_scalar(builder, kind, cell->number);
    } else {
        struct column_builder *pair = column_builder_child(builder, 0);
        enum kind of = kind == MAP_TEXT ? TEXT : LONG;
        for (int i = 0; i < cell->n_entries; i++) {
            append_scalar(column_builder_child(pair, 0), of, cell->entries[i].key);
            append_scalar(column_builder_child(pair, 1), of, cell->entries[i].value);
            assert_ok(column_builder_end(pair));
        }
        assert_ok(column_builder_end(builder));
    }
}

/* ---- files ---- */

struct world {
    const struct table_case *table;
    struct processed processed;
    struct runtime runtime;
    struct budget budget;
    struct process_cutoff cutoffs[FIELDS_MAX]; /* of the state */
    uint32_t n_cutoffs;
    int64_t model_cutoffs[FIELDS_MAX];
    struct batch *files[ROWS_MAX];
    int n_files;
};

/* The table's properties as a user writes them. */
static void open_table(struct world *world)
{
    const struct table_case *table = world->table;
    struct buffer schema defer_buffer = BUFFER_INIT(1 << 16),
                         filters defer_buffer = BUFFER_INIT(1 << 16),
                         aggregations defer_buffer = BUFFER_INIT(1 << 16);
    for (int i = 0; i < table->n_fields; i++) {
        const struct model_field *field = &table->fields[i];
        const char *list = i == 0   ? "{'rowKeyFields':["
                           : i == 1 ? "],'sortKeyFields':["
                           : i == 2 ? "],'valueFields':["
                                    : ",";
        assert_ok(buffer_printf(&schema, "%s{'name':'f%d','type':%s%s}", list, i,
                                kind_types[field->kind],
                                field->nullable ? ",'nullable':true" : ""));
        if (field->age >= 0)
            assert_ok(buffer_printf(&filters, "%sageOff(f%d,%lld%s)", filters.size ? "," : "", i,
                                    (long long)field->age,
                                    !field->nullable ? ""
                                    : field->drop    ? ",nulls=drop"
                                                     : ",nulls=keep"));
        if (field->op)
            assert_ok(buffer_printf(&aggregations, "%s%s%s(f%d)", aggregations.size ? "," : "",
                                    field->kind >= MAP_LONG ? "map_" : "",
                                    field->op == 's'   ? "sum"
                                    : field->op == 'l' ? "min"
                                                       : "max",
                                    i));
    }
    assert_ok(buffer_append_text(&schema, "]}"));
    assert_ok(buffer_append_byte(&schema, 0));
    assert_ok(buffer_append_byte(&filters, 0));
    assert_ok(buffer_append_byte(&aggregations, 0));
    char visibility[16] = "";
    if (table->visibility >= 0) (void)snprintf(visibility, 16, "f%d", table->visibility);
    processed_open(&world->processed, (const char *)schema.data, (const char *)filters.data,
                   (const char *)aggregations.data, visibility, false);
}

static struct batch *file_of(const struct world *world, const struct row *rows, int n)
{
    struct batch_builder *builder;
    struct batch *batch;
    struct row *sorted = malloc((size_t)n * sizeof *sorted + 1);
    memcpy(sorted, rows, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_rows);
    assert_ok(batch_builder_new(&builder, world->processed.schema, NULL));
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < world->table->n_fields; k++)
            append_cell(batch_builder_column(builder, (uint32_t)k), world->table->fields[k].kind,
                        &sorted[i].cells[k]);
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    free(sorted);
    return batch;
}

static struct process_options options_at(const struct world *world, int64_t now)
{
    return (struct process_options){
        .now_ms = now, .cutoffs = world->cutoffs, .n_cutoffs = world->n_cutoffs};
}

/* The state takes the cut-offs of a commit. */
static void commit_cutoffs(struct world *world, int64_t now)
{
    const struct processing *processing = &world->processed.processing;
    for (uint32_t i = 0; i < processing->n_filters; i++) {
        struct process_cutoff *cutoff = &world->cutoffs[i];
        int64_t ms = age_cutoff_ms(processing->filters[i].age_ms, now);
        cutoff->field = processing->filters[i].field;
        if (i >= world->n_cutoffs || ms > cutoff->cutoff_ms) cutoff->cutoff_ms = ms;
    }
    world->n_cutoffs = processing->n_filters;
    for (int i = 0; i < world->table->n_fields; i++) {
        int64_t ms = now - world->table->fields[i].age;
        if (ms > world->model_cutoffs[i]) world->model_cutoffs[i] = ms;
    }
}

/* Some files (all of them for a reader) through the processing, cut into small batches. */
static struct batch *merge_some(struct world *world, const int *which, int n,
                                const struct process_options *options)
{
    struct batch_stream *inputs[ROWS_MAX], *merged, *stream;
    int64_t size = 1 + roll(7);
    for (int i = 0; i < n; i++)
        inputs[i] = stream_of(world->files[which[i]], size);
    struct merge_options merge = {.batch_rows = 1 + roll(9), .descending = options->descending};
    assert_ok(merge_open(&merged, &world->runtime, world->processed.schema, inputs, (uint32_t)n,
                         &merge, &world->budget));
    assert_ok(process_open(&stream, &world->runtime, merged, &world->processed.processing, options,
                           NULL));
    return drain(stream);
}

static void merge_random_files(struct world *world, int64_t now)
{
    int which[ROWS_MAX], n = 0;
    if (!world->n_files) return;
    for (int i = 0; i < world->n_files; i++)
        if (roll(3)) which[n++] = i;
    if (!n) which[n++] = 0;
    struct process_options options = options_at(world, now);
    struct batch *merged = merge_some(world, which, n, &options);
    commit_cutoffs(world, now);
    for (int i = n; i--;) {
        batch_release(world->files[which[i]]);
        world->files[which[i]] = world->files[--world->n_files];
    }
    world->files[world->n_files++] = merged;
}

static void read_and_compare(struct world *world, const struct row *rows, int n, int64_t now,
                             uint64_t seed)
{
    static const struct slice terms[] = {{"A", 1}, {"B", 1}};
    int which[ROWS_MAX], reader = (int)roll(2);
    for (int i = 0; i < world->n_files; i++)
        which[i] = i;
    struct process_options options = options_at(world, now);
    options.reading = true;
    options.authorisations = terms;
    options.n_authorisations = (size_t)reader + 1;
    struct batch *seen = merge_some(world, which, world->n_files, &options);
    struct row *expected = malloc(((size_t)n + 1) * sizeof *expected);
    int n_expected = model_read(world->table, rows, n, now, world->model_cutoffs, reader, expected);
    char **is = lines_of_batch(seen), **wanted = lines_of_model(world->table, expected, n_expected);
    if (seen->n_rows != n_expected)
        fail_msg("%s, seed %llu: %lld rows instead of %d", world->table->name,
                 (unsigned long long)seed, (long long)seen->n_rows, n_expected);
    for (int i = 0; i < n_expected; i++) {
        if (strcmp(is[i], wanted[i]) != 0)
            fail_msg("%s, seed %llu: %s instead of %s", world->table->name,
                     (unsigned long long)seed, is[i], wanted[i]);
        free(is[i]);
        free(wanted[i]);
    }
    free(is);
    free(wanted);
    free(expected);
    batch_release(seen);
}

/* Other ages, longer or shorter, from now on. */
static void change_ages(struct world *world, struct table_case *table)
{
    for (int i = 0; i < table->n_fields; i++) {
        struct model_field *field = &table->fields[i];
        if (field->age >= 0) field->age = field->kind == DATE ? roll(3) * 86400000 : roll(120);
    }
    processed_close(&world->processed);
    open_table(world);
}

static void run_world(const struct table_case *which, uint64_t seed)
{
    struct table_case mine = *which, *table = &mine;
    dice = random_seeded_new(seed);
    struct world world = {.table = table};
    budget_init(&world.budget, "rows", 256 << 20, NULL, NULL);
    world.runtime = (struct runtime){
        .clock = clock_system(), .random = dice, .pool = pool_new(0), .budget = &world.budget};
    for (int i = 0; i < FIELDS_MAX; i++)
        world.model_cutoffs[i] = INT64_MIN;
    open_table(&world);
    struct row *rows = malloc(ROWS_MAX * sizeof *rows);
    int n = 0;
    int64_t now = 100;
    while (n < ROWS_MAX) {
        int more = 1 + (int)roll(12);
        if (more > ROWS_MAX - n) more = ROWS_MAX - n;
        for (int i = n; i < n + more; i++)
            for (int k = 0; k < table->n_fields; k++)
                random_cell(&table->fields[k], k < 2, &rows[i].cells[k]);
        struct batch *raw = file_of(&world, rows + n, more);
        world.files[world.n_files++] = raw;
        n += more;
        int last = world.n_files - 1;
        struct process_options options = options_at(&world, now);
        struct batch *file = merge_some(&world, &last, 1, &options); /* as ingest does */
        batch_release(raw);
        world.files[last] = file;
        commit_cutoffs(&world, now);
        if (roll(3) == 0) read_and_compare(&world, rows, n, now, seed);
        now += roll(20);
        if (roll(6) == 0) change_ages(&world, table);
        for (int64_t merges = roll(3); merges--;)
            merge_random_files(&world, now);
    }
    read_and_compare(&world, rows, n, now, seed);
    while (world.n_files > 1)
        merge_random_files(&world, now);
    read_and_compare(&world, rows, n, now, seed);
    batch_release(world.files[0]);
    free(rows);
    processed_close(&world.processed);
    pool_free(world.runtime.pool);
    random_seeded_free(dice);
}

static void readers_see_the_same_however_files_were_merged(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(tables); i++)
        for (uint64_t seed = 1; seed <= RUNS; seed++)
            run_world(&tables[i], seed * 100 + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_the_same_however_files_were_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
