/*
 * test_merge_files.c: data files merged into one: all key types, random regions and layouts of
 * files, against the rows themselves, which are kept beside; what is written is checked as any file
 * is; and faults, which must be named and leave nothing behind.
 */
#include "sorting.h"

#include "lsm/merge_files_int.h"

#include <stdio.h>

static const struct type long_key = {.kind = TYPE_INT64};

struct merge_world {
    struct sorting_world base;
    struct store *memory, *store;
    struct instance *instance;
    struct table *table;
    const struct table_state *state;
    struct schema *schema;
    struct arena arena;
    struct sorting_rows rows; /* all rows, by number */
    int64_t n_rows;
    struct merge_file_input *inputs;
    uint32_t n_inputs;
    uint8_t *in_file; /* of each row: whether some file has it */
};

static void world_open(struct merge_world *world, unsigned n_threads, const struct type *keys,
                       uint32_t n_row_keys, uint32_t n_sort_keys, const struct setting *settings,
                       size_t n_settings)
{
    memset(world, 0, sizeof *world);
    sorting_world_open(&world->base, n_threads);
    assert_ok(store_memory_open(&world->base.runtime, &world->memory));
    world->store = world->memory;
    world->schema = sorting_schema(keys, n_row_keys, n_sort_keys);
    assert_ok(instance_init(&world->base.runtime, world->memory, NULL, 0));
    assert_ok(instance_open(&world->base.runtime, world->memory, 0, NULL, &world->instance));
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = world->schema,
                                          .settings = settings,
                                          .n_settings = n_settings};
    assert_ok(table_create(world->instance, &definition, &world->table));
    assert_ok(table_state_get(world->table, 0, &world->state));
}

static void world_close(struct merge_world *world)
{
    sorting_rows_free(&world->rows);
    table_state_release(world->state);
    table_close(world->table);
    instance_close(world->instance);
    if (world->store != world->memory) store_close(world->store);
    store_close(world->memory);
    schema_release(world->schema);
    free(world->in_file);
    arena_free(&world->arena);
    sorting_world_close(&world->base);
}

/* From now on all goes through a store that does what `faults` say. */
static void world_reopen(struct merge_world *world, const struct store_faults *faults)
{
    table_state_release(world->state);
    table_close(world->table);
    instance_close(world->instance);
    if (world->store != world->memory) store_close(world->store);
    assert_ok(store_fault_open(&world->base.runtime, world->memory, 1, faults, &world->store));
    assert_ok(instance_open(&world->base.runtime, world->store, 0, NULL, &world->instance));
    assert_ok(table_open(world->instance, SLICE("t"), &world->table));
    assert_ok(table_state_get(world->table, 0, &world->state));
}

static struct data_file_context data_file_context(struct merge_world *world)
{
    return (struct data_file_context){.table = world->table,
                                      .state = world->state,
                                      .runtime = &world->base.runtime,
                                      .store = world->store,
                                      .schema = world->schema,
                                      .budget = &world->base.budget,
                                      .arena = &world->arena};
}

/* Writes what a stream gives as the world's next input. */
static void add_file(struct merge_world *world, struct batch_stream *stream)
{
    struct data_file_context context = data_file_context(world);
    struct data_file_writer *writer;
    struct data_file file = {0};
    struct merge_file_input *input = &world->inputs[world->n_inputs++];
    uint32_t n = world->schema->n_row_keys;
    assert_ok(data_file_open(&writer, &context));
    for (;;) {
        struct batch *batch;
        assert_ok(batch_stream_next(stream, &batch));
        if (!batch) break;
        for (int64_t row = 0; row < batch->n_rows; row++)
            world->in_file[sorting_id(batch, row)] = 1;
        assert_ok(data_file_write(writer, batch));
        batch_release(batch);
    }
    assert_ok(data_file_finish(writer, &file));
    struct file_bound *bounds = ARENA_ARRAY(&world->arena, struct file_bound, n);
    for (uint32_t i = 0; i < n; i++)
        bounds[i] = file_bound_cut(file.bounds[i].min, file.bounds[i].max, NULL, &world->arena);
    *input = (struct merge_file_input){
        .name = file.name,
        .object_key = file.key,
        .size = file.size,
        .rows = file.rows,
        .schema_version = table_state_schema_version(world->state),
        .bounds = bounds,
    };
    arena_free(&file.arena);
}

/* How the rows lie in the files. */
enum layout { MIXED, APART, TOUCHING, LAYOUTS };

/* Makes n_rows random rows and n_files files of them. MIXED: every file has rows from everywhere.
 * APART: each file has a stretch of the sorted rows. TOUCHING: the same, but a few rows at the ends
 * lie in the neighbour's file. */
static void make_files(struct merge_world *world, int64_t n_rows, uint32_t n_files,
                       enum layout layout, uint64_t spread)
{
    struct random *random = world->base.runtime.random;
    world->n_rows = n_rows;
    world->rows = sorting_rows_make(world->schema, random, n_rows, 500, spread);
    world->in_file = calloc((size_t)n_rows + 1, 1);
    world->inputs = ARENA_ARRAY(&world->arena, struct merge_file_input, n_files);
    struct sorter_options options = {.memory_bytes = 64 << 20};
    struct sorter *sorter, *parts;
    struct batch_stream *sorted = NULL;
    assert_ok(sorter_new(&sorter, &world->base.runtime, world->schema, &options));
    assert_ok(sorter_new(&parts, &world->base.runtime, world->schema, &options));
    uint32_t *file_of = calloc((size_t)n_rows + 1, sizeof *file_of);
    struct batch *all = NULL;
    if (layout == MIXED) {
        assert_ok(batch_concat((const struct batch *const *)world->rows.batches,
                               (uint32_t)world->rows.n_batches, NULL, &all));
    } else {
        for (int64_t i = 0; i < world->rows.n_batches; i++)
            assert_ok(sorter_add(sorter, world->rows.batches[i]));
        assert_ok(sorter_finish(sorter, &sorted));
        struct batch *pieces[1000];
        uint32_t n = 0;
        for (;; n++) {
            assert_true(n < 1000);
            assert_ok(batch_stream_next(sorted, &pieces[n]));
            if (!pieces[n]) break;
        }
        assert_ok(batch_concat((const struct batch *const *)pieces, n, NULL, &all));
        for (uint32_t i = 0; i < n; i++)
            batch_release(pieces[i]);
        batch_stream_close(sorted);
    }
    for (int64_t row = 0; row < n_rows; row++) {
        int64_t place = row * n_files / n_rows;
        if (layout == MIXED) place = (int64_t)random_below(random, n_files);
        if (layout == TOUCHING && random_below(random, 10) == 0) {
            int64_t near = (row + (int64_t)random_below(random, 60) - 30) * n_files / n_rows;
            place = near < 0 ? 0 : near >= n_files ? n_files - 1 : near;
        }
        file_of[row] = (uint32_t)place;
    }
    uint32_t *rows = calloc((size_t)n_rows + 1, sizeof *rows);
    for (uint32_t f = 0; f < n_files; f++) {
        int64_t n = 0;
        for (int64_t row = 0; row < n_rows; row++)
            if (file_of[row] == f) rows[n++] = (uint32_t)row;
        if (n == 0) continue;
        struct batch *own;
        assert_ok(batch_take(all, rows, n, NULL, &own));
        assert_ok(sorter_add(parts, own));
        batch_release(own);
        assert_ok(sorter_finish(parts, &sorted));
        add_file(world, sorted);
        batch_stream_close(sorted);
    }
    free(rows);
    free(file_of);
    batch_release(all);
    sorter_free(sorter);
    sorter_free(parts);
}

/* The encoding of one field of row `id`, in the arena. */
static struct slice field_key(struct merge_world *world, int64_t id, uint32_t field)
{
    struct buffer key = BUFFER_INIT(KEY_BYTES_MAX);
    struct value value;
    const struct column *column = &world->rows.batches[id / world->rows.batch_rows]->columns[field];
    column_value(column, id % world->rows.batch_rows, &value);
    assert_ok(key_append_value(column->type, &value, &key));
    struct slice copy = arena_copy(&world->arena, buffer_slice(&key));
    buffer_free(&key);
    return copy;
}

/* A random region, its ends at rows' keys or open. */
static struct key_range *random_region(struct merge_world *world)
{
    struct random *random = world->base.runtime.random;
    uint32_t n = world->schema->n_row_keys;
    struct key_range *region = ARENA_ARRAY(&world->arena, struct key_range, n);
    for (uint32_t i = 0; i < n; i++) {
        struct slice a = field_key(world, (int64_t)random_below(random, world->n_rows), i);
        struct slice b = field_key(world, (int64_t)random_below(random, world->n_rows), i);
        bool swap = slice_compare(a, b) > 0;
        region[i].min = swap ? b : a;
        region[i].max = swap ? a : b;
        if (random_below(random, 4) == 0) region[i].min = SLICE_EMPTY;
        region[i].unbounded = random_below(random, 4) == 0;
        if (region[i].unbounded) region[i].max = SLICE_EMPTY;
    }
    return region;
}

static bool row_is_inside(struct merge_world *world, const struct key_range *region, int64_t id)
{
    if (!world->in_file[id]) return false;
    for (uint32_t i = 0; region && i < world->schema->n_row_keys; i++)
        if (!key_range_contains(&region[i], field_key(world, id, i))) return false;
    return true;
}

static int no_problem(void *state, const struct parquet_problem *problem)
{
    (void)state;
    fail_msg("row group %u, column '%.*s', page %lld: %s", problem->row_group,
             SLICE_PRINT(problem->column), (long long)problem->page, problem->text);
    return 0;
}

/* The stream gives, in order, the rows of the region, each once, whole. Closes the stream. */
static int64_t check_rows(struct merge_world *world, struct batch_stream *stream,
                          const struct key_range *region)
{
    const struct schema *schema = world->schema;
    uint8_t *seen = calloc((size_t)world->n_rows + 1, 1);
    struct batch *last = NULL;
    int64_t n = 0;
    for (;;) {
        struct batch *batch;
        assert_ok(batch_stream_next(stream, &batch));
        if (!batch) break;
        assert_ok(batch_validate(batch, true));
        for (int64_t row = 0; row < batch->n_rows; row++, n++) {
            int64_t id = sorting_id(batch, row);
            assert_true(id >= 0 && id < world->n_rows);
            assert_int_equal(seen[id]++, 0);
            if (batch_compare_rows(batch, row, world->rows.batches[id / world->rows.batch_rows],
                                   id % world->rows.batch_rows, 0, schema->n_fields) != 0)
                fail_msg("row %lld came out changed", (long long)id);
            if (row > 0 || (last && last->n_rows > 0))
                assert_true(batch_compare_rows(row ? batch : last, row ? row - 1 : last->n_rows - 1,
                                               batch, row, 0, schema_key_count(schema)) <= 0);
        }
        if (batch->n_rows == 0) {
            batch_release(batch);
            continue;
        }
        batch_release(last);
        last = batch;
    }
    batch_release(last);
    batch_stream_close(stream);
    for (int64_t id = 0; id < world->n_rows; id++)
        if (seen[id] != row_is_inside(world, region, id))
            fail_msg("row %lld came %u times", (long long)id, seen[id]);
    free(seen);
    return n;
}

/* The output is a clean file of exactly the rows wanted, as it is described. */
static void check_output(struct merge_world *world, const struct merge_files_result *result,
                         const struct key_range *region)
{
    int64_t wanted = 0;
    for (int64_t id = 0; id < world->n_rows; id++)
        wanted += row_is_inside(world, region, id);
    assert_int_equal(result->any, wanted > 0);
    if (!result->any) return;
    struct parquet_reader *reader;
    struct batch_stream *stream;
    assert_int_equal(result->file.rows, wanted);
    assert_ok(parquet_reader_open(&reader, &world->base.runtime, world->memory, result->object_key,
                                  &world->base.budget));
    assert_int_equal(parquet_reader_metadata(reader)->file_size, result->file.size);
    struct parquet_check check = {.found = no_problem};
    assert_ok(parquet_check(reader, &check));
    assert_ok(parquet_reader_stream(reader, &stream));
    assert_int_equal(check_rows(world, stream, region), wanted);
    parquet_reader_close(reader);
    for (uint32_t i = 0; i < world->schema->n_row_keys; i++) {
        const struct file_bound *bound = &result->file.bounds[i];
        for (int64_t id = 0; id < world->n_rows; id++) {
            if (!row_is_inside(world, region, id)) continue;
            struct slice key = field_key(world, id, i);
            assert_true(slice_compare(bound->min, key) <= 0);
            assert_true(slice_compare(key, bound->max) <= (bound->max_exclusive ? -1 : 0) ||
                        slice_equal(key, bound->max));
        }
    }
}

static uint64_t count_objects(const struct merge_world *world)
{
    struct arena arena = ARENA_EMPTY;
    struct store_list list;
    assert_ok(store_list(world->memory, SLICE_EMPTY, SLICE_EMPTY, 100000, &arena, &list));
    uint64_t n = list.n_objects;
    arena_free(&arena);
    return n;
}

/* ---- cases ---- */

static const struct type all_keys[] = {
    {.kind = TYPE_INT64},
    {.kind = TYPE_STRING},
    {.kind = TYPE_INT32},
    {.kind = TYPE_BYTES},
    {.kind = TYPE_BOOLEAN},
    {.kind = TYPE_DOUBLE},
    {.kind = TYPE_FLOAT},
    {.kind = TYPE_DATE},
    {.kind = TYPE_DECIMAL, .precision = 12, .scale = 3},
    {.kind = TYPE_TIMESTAMP, .unit = UNIT_MICRO, .utc = true},
};

/* So that little is much: row groups of some hundred rows. */
static const struct setting small[] = {
    {SLICE("glis.table.parquet.rowgroup.size"), SLICE("64K")},
    {SLICE("glis.table.parquet.page.size"), SLICE("1K")},
    {SLICE("glis.table.parquet.key.page.size"), SLICE("1K")},
};

static void merged_files_hold_the_rows_of_their_region(void **state)
{
    (void)state;
    enum { N_TYPES = sizeof all_keys / sizeof *all_keys };
    uint64_t copied[LAYOUTS] = {0};
    for (unsigned round = 0; round < 60; round++) {
        struct merge_world world;
        struct type keys[4];
        uint32_t n_row_keys = 1 + round % 3, n_sort_keys = round / 3 % 2;
        for (uint32_t i = 0; i < n_row_keys + n_sort_keys; i++)
            keys[i] = all_keys[(round + 3 * i) % N_TYPES];
        world_open(&world, round % 4 == 0 ? 0 : 2, keys, n_row_keys, n_sort_keys, small,
                   round % 5 ? 3 : 0);
        struct random *random = world.base.runtime.random;
        static const uint64_t spreads[] = {2, 40, 3000, 1000000000};
        make_files(&world, 200 + (int64_t)random_below(random, 6000),
                   1 + (uint32_t)random_below(random, 9), round % LAYOUTS, spreads[round % 4]);
        struct key_range *region = round % 2 ? random_region(&world) : NULL;
        for (uint32_t i = 0; i < world.n_inputs; i++) {
            world.inputs[i].region = region;
            if (round % 6 == 0) world.inputs[i].bounds = NULL;
        }
        struct merge_files_options options = {
            .memory_bytes = 16 << 20, .region = region, .range_bytes = round % 3 ? 20 << 10 : 0};
        struct merge_files_result result;
        for (int without_copying = 0; without_copying < 2; without_copying++) {
            options.without_copying = without_copying;
            assert_ok(merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                                  world.n_inputs, &options, &world.arena, &result));
            check_output(&world, &result, region);
            copied[round % LAYOUTS] += result.rows_copied;
            assert_true(!without_copying || result.rows_copied == 0);
        }
        struct batch_stream *stream;
        assert_ok(merge_files_stream(world.table, world.state, &world.base.runtime, world.inputs,
                                     world.n_inputs, &options, &stream));
        (void)check_rows(&world, stream, region);
        world_close(&world);
    }
    assert_true(copied[APART] > 5000 && copied[TOUCHING] > 5000);
}

static void no_input_gives_no_file(void **state)
{
    (void)state;
    struct merge_world world;
    struct merge_files_result result;
    world_open(&world, 2, &long_key, 1, 0, NULL, 0);
    uint64_t objects = count_objects(&world);
    assert_ok(merge_files(world.table, world.state, &world.base.runtime, NULL, 0, NULL,
                          &world.arena, &result));
    assert_false(result.any);
    assert_int_equal(count_objects(&world), objects);
    world_close(&world);
}

static void a_missing_input_is_named(void **state)
{
    (void)state;
    struct merge_world world;
    struct merge_files_result result;
    world_open(&world, 2, &long_key, 1, 0, NULL, 0);
    make_files(&world, 3000, 5, MIXED, 1000);
    struct slice key = world.inputs[3].object_key;
    char name[200];
    (void)snprintf(name, sizeof name, "%.*s", SLICE_PRINT(world.inputs[3].name));
    assert_ok(store_remove(world.memory, &key, 1));
    uint64_t objects = count_objects(&world);
    assert_fails(merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                             world.n_inputs, NULL, &world.arena, &result),
                 GLIS_EGONE, name);
    assert_int_equal(count_objects(&world), objects);
    world_close(&world);
}

static void a_store_that_dies_at_any_request_leaves_no_file(void **state)
{
    (void)state;
    struct merge_world world;
    struct merge_files_result result;
    world_open(&world, 0, &long_key, 1, 0, NULL, 0);
    make_files(&world, 4000, 4, TOUCHING, 100000);
    uint64_t objects = count_objects(&world);
    struct store_faults none = {0};
    world_reopen(&world, &none);
    for (uint64_t n = 1;; n++) {
        struct store_faults faults = {.crash_at = store_fault_requests(world.store) + n};
        store_fault_set(world.store, &faults);
        int code = merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                               world.n_inputs, NULL, &world.arena, &result);
        store_fault_set(world.store, &none);
        if (code == 0) break;
        assert_int_equal(code, GLIS_EIO);
        assert_int_equal(count_objects(&world), objects);
        assert_true(n < 1000);
    }
    check_output(&world, &result, NULL);
    world_close(&world);
}

static void more_inputs_than_may_be_open_are_merged_in_passes(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct merge_world world;
        struct merge_files_result result;
        world_open(&world, round & 1 ? 2 : 0, &long_key, 1, 0, NULL, 0);
        make_files(&world, 6000, 23, round & 2 ? TOUCHING : MIXED, 4000);
        struct merge_files_options options = {.inputs_max = 2 + round};
        assert_ok(merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                              world.n_inputs, &options, &world.arena, &result));
        check_output(&world, &result, NULL);
        assert_true(result.passes > 23 / (2 + round) && result.spilled_bytes > 0);
        assert_int_equal(result.rows_read, 6000);
        struct batch_stream *stream;
        assert_ok(merge_files_stream(world.table, world.state, &world.base.runtime, world.inputs,
                                     world.n_inputs, &options, &stream));
        (void)check_rows(&world, stream, NULL);
        world_close(&world);
    }
}

/* A hook that leaves out rows with an odd number, or all. */
struct odd_filter {
    struct batch_stream stream;
    struct batch_stream *behind;
    bool all;
};

static int odd_filter_next(struct batch_stream *stream, struct batch **out)
{
    struct odd_filter *self = (struct odd_filter *)stream;
    struct batch *batch;
    *out = NULL;
    TRY(batch_stream_next(self->behind, &batch));
    if (!batch) return 0;
    uint32_t *rows = calloc((size_t)batch->n_rows + 1, sizeof *rows);
    int64_t n = 0;
    for (int64_t row = 0; row < batch->n_rows; row++)
        if (!self->all && sorting_id(batch, row) % 2 == 0) rows[n++] = (uint32_t)row;
    int code = batch_take(batch, rows, n, NULL, out);
    free(rows);
    batch_release(batch);
    return code;
}

static void odd_filter_close(struct batch_stream *stream)
{
    struct odd_filter *self = (struct odd_filter *)stream;
    batch_stream_close(self->behind);
    free(self);
}

static _Atomic unsigned n_hooks_open;

static int odd_filter_open(void *state, struct batch_stream *merged, struct batch_stream **out)
{
    struct odd_filter *self = calloc(1, sizeof *self);
    self->stream = (struct batch_stream){merged->schema, odd_filter_next, odd_filter_close};
    self->behind = merged;
    self->all = state != NULL;
    n_hooks_open++;
    *out = &self->stream;
    return 0;
}

static void a_hook_stands_between_the_rows_and_the_file(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        struct merge_world world;
        struct merge_files_result result;
        bool by_key = round & 1, passes = round & 2, all = round & 4;
        world_open(&world, 2, &long_key, 1, 0, NULL, 0);
        make_files(&world, 4000, 6, APART, 100000);
        uint64_t objects = count_objects(&world);
        struct merge_hook hook = {
            .open = odd_filter_open, .by_key = by_key, .state = all ? &world : NULL};
        struct merge_files_options options = {
            .hook = &hook, .inputs_max = passes ? 3 : 0, .range_bytes = 20 << 10};
        for (int64_t id = 0; id < world.n_rows; id++)
            if (all || id % 2) world.in_file[id] = 0;
        n_hooks_open = 0;
        assert_ok(merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                              world.n_inputs, &options, &world.arena, &result));
        assert_true(by_key && !passes ? n_hooks_open > 4 : n_hooks_open == 1);
        assert_int_equal(result.rows_copied, 0);
        check_output(&world, &result, NULL);
        assert_int_equal(count_objects(&world), objects + !all);
        world_close(&world);
    }
}

/* Turns one byte of an object over. */
static void damage(struct merge_world *world, const struct merge_file_input *input, uint64_t at)
{
    struct buffer bytes = BUFFER_INIT(64 << 20);
    assert_ok(store_get(world->memory, input->object_key, 0, input->size, &bytes));
    bytes.data[at] ^= 0x10;
    assert_ok(store_remove(world->memory, &input->object_key, 1));
    struct store_upload *upload;
    assert_ok(store_upload_open(world->memory, input->object_key, 0, &upload));
    assert_ok(store_upload_write(upload, buffer_slice(&bytes)));
    assert_ok(store_upload_finish(upload));
    buffer_free(&bytes);
}

static void damage_of_any_input_is_found_and_named(void **state)
{
    (void)state;
    struct merge_world world;
    struct merge_files_result result;
    char name[200];
    for (unsigned round = 0; round < 150; round++) {
        world_open(&world, round % 2 ? 2 : 0, &long_key, 1, 0, small, 3);
        make_files(&world, 2000, 4, round % LAYOUTS, 100000);
        struct merge_files_options options = {.without_copying = round % 4 == 3,
                                              .inputs_max = round % 5 == 4 ? 2 : 0};
        uint64_t objects = count_objects(&world);
        struct merge_file_input *input = &world.inputs[round % 4];
        struct parquet_reader *reader;
        assert_ok(parquet_reader_open(&reader, &world.base.runtime, world.memory, input->object_key,
                                      &world.base.budget));
        const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
        const struct parquet_row_group *group = &metadata->row_groups[0];
        uint64_t end = 4;
        for (uint32_t l = 0; l < metadata->n_leaves; l++)
            end = group->chunks[l].start + group->chunks[l].compressed_bytes;
        uint64_t at = 4 + random_below(world.base.runtime.random, end - 4);
        parquet_reader_close(reader);
        damage(&world, input, at);
        (void)snprintf(name, sizeof name, "%.*s", SLICE_PRINT(input->name));
        int code = merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                               world.n_inputs, &options, &world.arena, &result);
        assert_true(code == GLIS_ECORRUPT || code == GLIS_EUNSUPPORTED || code == GLIS_EDATA);
        if (!strstr(error_message(), name)) fail_msg("'%s' lacks %s", error_message(), name);
        assert_int_equal(count_objects(&world), objects);
        world_close(&world);
    }
}

/* The fields of a stream that there were before the last was added, which is null everywhere. */
struct first_fields {
    struct batch_stream stream;
    struct batch_stream *behind;
};

static int first_fields_next(struct batch_stream *stream, struct batch **out)
{
    struct first_fields *self = (struct first_fields *)stream;
    uint32_t fields[16], n = stream->schema->n_fields;
    struct batch *batch;
    *out = NULL;
    TRY(batch_stream_next(self->behind, &batch));
    if (!batch) return 0;
    assert_int_equal(batch->schema->n_fields, n + 1);
    assert_int_equal(batch->columns[n].null_count, batch->n_rows);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = i;
    int code = batch_project(batch, stream->schema, fields, out);
    batch_release(batch);
    return code;
}

static void first_fields_close(struct batch_stream *stream)
{
    struct first_fields *self = (struct first_fields *)stream;
    batch_stream_close(self->behind);
    free(self);
}

static struct batch_stream *first_fields_of(const struct schema *schema,
                                            struct batch_stream *behind)
{
    struct first_fields *self = calloc(1, sizeof *self);
    self->stream = (struct batch_stream){schema, first_fields_next, first_fields_close};
    self->behind = behind;
    return &self->stream;
}

static void files_of_an_older_schema_come_out_in_the_present_one(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct merge_world world;
        struct merge_files_result result;
        struct commit_result commit;
        struct field fields[8];
        struct schema *wider;
        world_open(&world, 2, &long_key, 1, 0, small, 3);
        make_files(&world, 3000, 5, round & 1 ? APART : MIXED, 100000);
        uint32_t n = world.schema->n_fields;
        memcpy(fields, world.schema->fields, n * sizeof *fields);
        fields[n] = (struct field){SLICE("note"), {.kind = TYPE_STRING}, true};
        assert_ok(schema_new(&wider, fields, n + 1, 1, 0));
        assert_ok(table_alter(world.table, NULL, 0, wider, &commit));
        schema_release(wider);
        table_state_release(world.state);
        assert_ok(table_state_get(world.table, 0, &world.state));
        struct merge_files_options options = {.inputs_max = round & 2 ? 2 : 0};
        struct batch_stream *stream;
        struct parquet_reader *reader;
        assert_ok(merge_files_stream(world.table, world.state, &world.base.runtime, world.inputs,
                                     world.n_inputs, &options, &stream));
        (void)check_rows(&world, first_fields_of(world.schema, stream), NULL);
        assert_ok(merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                              world.n_inputs, &options, &world.arena, &result));
        assert_int_equal(result.rows_copied, 0);
        assert_ok(parquet_reader_open(&reader, &world.base.runtime, world.memory, result.object_key,
                                      &world.base.budget));
        struct parquet_check check = {.found = no_problem};
        assert_ok(parquet_check(reader, &check));
        assert_ok(parquet_reader_stream(reader, &stream));
        (void)check_rows(&world, first_fields_of(world.schema, stream), NULL);
        parquet_reader_close(reader);
        world_close(&world);
    }
}

static int stop_half_way(void *state, const struct merge_files_progress *progress)
{
    (void)state;
    return progress->rows_written > progress->rows_total / 2 ? GLIS_ECANCELLED : 0;
}

static void a_merge_that_is_given_up_leaves_no_file(void **state)
{
    (void)state;
    struct merge_world world;
    struct merge_files_result result;
    world_open(&world, 2, &long_key, 1, 0, NULL, 0);
    make_files(&world, 4000, 4, TOUCHING, 100000);
    uint64_t objects = count_objects(&world);
    struct merge_files_options options = {.progress = stop_half_way, .range_bytes = 8 << 10};
    assert_int_equal(merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                                 world.n_inputs, &options, &world.arena, &result),
                     GLIS_ECANCELLED);
    assert_int_equal(count_objects(&world), objects);
    world.base.cancel.requested = 1;
    assert_int_equal(merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                                 world.n_inputs, NULL, &world.arena, &result),
                     GLIS_ECANCELLED);
    world.base.cancel.requested = 0;
    assert_int_equal(count_objects(&world), objects);
    world_close(&world);
}

static void memory_that_ends_is_an_error_and_leaves_no_file(void **state)
{
    (void)state;
    unsigned n_failed = 0, n_done = 0;
    for (unsigned round = 0; round < 24; round++) {
        struct merge_world world;
        struct merge_files_result result;
        world_open(&world, round & 1 ? 2 : 0, &long_key, 1, 0, small, 3);
        make_files(&world, 5000, 5, round & 2 ? TOUCHING : MIXED, 100000);
        uint64_t objects = count_objects(&world);
        struct merge_files_options options = {.range_bytes = 64 << 10,
                                              .inputs_max = round & 4 ? 2 : 0};
        struct budget *budget = &world.base.budget;
        budget->limit_bytes = budget_used(budget) + (UINT64_C(40) << 10 << round / 2);
        int code = merge_files(world.table, world.state, &world.base.runtime, world.inputs,
                               world.n_inputs, &options, &world.arena, &result);
        budget->limit_bytes = 0;
        if (code == 0) {
            check_output(&world, &result, NULL);
            n_done++;
        } else {
            assert_int_equal(code, GLIS_ENOMEM);
            assert_int_equal(count_objects(&world), objects);
            n_failed++;
        }
        world_close(&world);
    }
    assert_true(n_failed > 4 && n_done > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_files_hold_the_rows_of_their_region),
        cmocka_unit_test(no_input_gives_no_file),
        cmocka_unit_test(a_missing_input_is_named),
        cmocka_unit_test(a_store_that_dies_at_any_request_leaves_no_file),
        cmocka_unit_test(more_inputs_than_may_be_open_are_merged_in_passes),
        cmocka_unit_test(a_hook_stands_between_the_rows_and_the_file),
        cmocka_unit_test(damage_of_any_input_is_found_and_named),
        cmocka_unit_test(files_of_an_older_schema_come_out_in_the_present_one),
        cmocka_unit_test(a_merge_that_is_given_up_leaves_no_file),
        cmocka_unit_test(memory_that_ends_is_an_error_and_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
