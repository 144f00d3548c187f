/*
 * test_query.c: random tables of small files, made by the real ingest over the memory store, asked
 * in random ways, and compared with going through a list. Every option takes part: regions of
 * several fields, projection, limit, reverse, counting, order, cursors, few files at once, shared
 * files and own files, columns added between two files.
 */
#include "test.h"

#include "format/format.h"
#include "lsm/lsm.h"
#include "query/query.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MAX = 400, LINE_BYTES = 128, TABLES = 12, QUERIES = 60 };

struct row {
    char k[4];
    int n, t;
    bool v_null;
    int v;
    char s[4];
};

struct world {
    struct random *random;
    struct runtime runtime;
    struct store *store;
    struct instance *instance;
    struct table *table;
    struct query_engine *engine;
    struct budget budget;
    struct row rows[ROWS_MAX];
    size_t n_rows;
};

static const char schema_json[] =
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"},{\"name\":\"n\",\"type\":"
    "\"IntType\"}],\"sortKeyFields\":[{\"name\":\"t\",\"type\":\"LongType\"}],\"valueFields\":["
    "{\"name\":\"v\",\"type\":\"LongType\",\"nullable\":true},{\"name\":\"s\",\"type\":"
    "\"StringType\"}]}";

static unsigned pick(struct world *w, unsigned n)
{
    return (unsigned)random_below(w->random, n);
}

/* ---- making tables ---- */

static struct row random_row(struct world *w)
{
    struct row row = {.n = (int)pick(w, 6) - 3, .t = (int)pick(w, 3), .v = (int)pick(w, 4)};
    size_t size = pick(w, 3);
    for (size_t i = 0; i < size; i++)
        row.k[i] = (char)('a' + pick(w, 5));
    row.v_null = pick(w, 4) == 0;
    row.s[0] = (char)('x' + pick(w, 3));
    return row;
}

static void row_text(const struct row *row, bool with_v, bool with_s, struct buffer *out)
{
    assert_ok(buffer_printf(out, "{\"k\":\"%s\",\"n\":%d,\"t\":%d", row->k, row->n, row->t));
    if (with_v && row->v_null) assert_ok(buffer_append_text(out, ",\"v\":null"));
    if (with_v && !row->v_null) assert_ok(buffer_printf(out, ",\"v\":%d", row->v));
    if (with_s) assert_ok(buffer_printf(out, ",\"s\":\"%s\"", row->s));
    assert_ok(buffer_append_text(out, "}\n"));
}

static void ingest(struct world *w, unsigned n)
{
    struct buffer text defer_buffer = BUFFER_INIT(1 << 20);
    struct arena arena defer_arena = ARENA_EMPTY;
    struct batch_stream *stream;
    struct ingest_options options = {0};
    struct ingest_result result;
    struct schema *schema;
    for (unsigned i = 0; i < n && w->n_rows < ROWS_MAX; i++) {
        w->rows[w->n_rows] = random_row(w);
        row_text(&w->rows[w->n_rows++], true, true, &text);
    }
    assert_ok(schema_from_json(SLICE(schema_json), &schema));
    assert_ok(
        jsonl_reader_open(byte_source_of(buffer_slice(&text), "rows"), schema, NULL, &stream));
    assert_ok(ingest_stream(w->table, &w->runtime, stream, &options, &arena, &result));
    schema_release(schema);
}

static void world_open(struct world *w, unsigned number)
{
    static const char *const strategies[] = {"by_size", "one_file_per_leaf",
                                             "one_reference_per_leaf"};
    static struct setting max_files = {SLICE("glis.query.max.files"), SLICE("3")};
    static struct property_overrides overrides = {.sets = &max_files, .n_sets = 1};
    w->n_rows = 0;
    budget_init(&w->budget, "test", 0, NULL, NULL);
    w->runtime = (struct runtime){
        .clock = clock_system(), .random = w->random, .pool = pool_new(0), .budget = &w->budget};
    assert_ok(store_memory_open(&w->runtime, &w->store));
    assert_ok(instance_init(&w->runtime, w->store, NULL, 0));
    assert_ok(
        instance_open(&w->runtime, w->store, 0, number % 2 ? &overrides : NULL, &w->instance));
    struct schema *schema;
    assert_ok(schema_from_json(SLICE(schema_json), &schema));
    struct slice splits[] = {SLICE("b\0\0"), SLICE("bd\0\0"), SLICE("d\0\0")};
    struct setting settings[] = {
        {SLICE("glis.table.ingest.file.writing.strategy"), slice_from_text(strategies[number % 3])},
        {SLICE("glis.table.parquet.key.page.size"), SLICE("1024")},
        {SLICE("glis.table.parquet.page.size"), SLICE("1024")},
        {SLICE("glis.table.parquet.rowgroup.rows.max"), SLICE("20")}};
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = schema,
                                          .settings = settings,
                                          .n_settings = 4,
                                          .split_points = splits,
                                          .n_split_points = pick(w, 4)};
    assert_ok(table_create(w->instance, &definition, &w->table));
    schema_release(schema);
    assert_ok(query_engine_new(&w->engine, &w->runtime, &w->budget, number % 4 == 3 ? 4096 : 0));
    unsigned files = 1 + pick(w, 8);
    for (unsigned i = 0; i < files; i++)
        ingest(w, pick(w, 60));
}

static void world_close(struct world *w)
{
    query_engine_free(w->engine);
    table_close(w->table);
    instance_close(w->instance);
    store_close(w->store);
    pool_free(w->runtime.pool);
    assert_int_equal(budget_used(&w->budget), 0);
}

/* ---- asking ---- */

struct bound {
    bool has_k, has_k_max, k_min_in, k_max_in, has_n, n_max_in, n_min_in, has_n_max;
    char k_min[4], k_max[4];
    int n_min, n_max;
};

struct question {
    struct bound bounds[4];
    unsigned n_bounds;
    bool all_fields, with_v, with_s, has_limit, reverse, count_only, ordered;
    unsigned limit;
};

static void random_question(struct world *w, struct question *q)
{
    *q = (struct question){.n_bounds = pick(w, 4)};
    for (unsigned i = 0; i < q->n_bounds; i++) {
        struct bound *b = &q->bounds[i];
        struct row x = random_row(w), y = random_row(w);
        if (strcmp(x.k, y.k) > 0) {
            struct row swap = x;
            x = y;
            y = swap;
        }
        b->has_k = pick(w, 4) > 0;
        b->has_k_max = pick(w, 4) > 0;
        b->k_min_in = pick(w, 2);
        b->k_max_in = pick(w, 2);
        memcpy(b->k_min, x.k, sizeof x.k);
        memcpy(b->k_max, pick(w, 3) ? y.k : x.k, sizeof y.k);
        if (strcmp(b->k_min, b->k_max) == 0) b->k_min_in = b->k_max_in = true;
        b->has_n = pick(w, 2);
        b->has_n_max = pick(w, 3) > 0;
        b->n_min = x.n < y.n ? x.n : y.n;
        b->n_max = x.n < y.n ? y.n : x.n;
        b->n_min_in = pick(w, 2);
        b->n_max_in = pick(w, 2);
    }
    q->with_v = q->with_s = q->all_fields = pick(w, 2);
    if (!q->all_fields) {
        q->with_v = pick(w, 2);
        q->with_s = pick(w, 2);
    }
    q->has_limit = pick(w, 3) == 0;
    q->limit = pick(w, 30);
    q->reverse = pick(w, 3) == 0;
    q->count_only = pick(w, 5) == 0;
    q->ordered = pick(w, 2);
}

static bool wanted(const struct question *q, const struct row *row)
{
    for (unsigned i = 0; i < q->n_bounds; i++) {
        const struct bound *b = &q->bounds[i];
        bool in = true;
        if (b->has_k) {
            int c = strcmp(row->k, b->k_min);
            in = in && (c > 0 || (c == 0 && b->k_min_in));
            c = strcmp(row->k, b->k_max);
            in = in && (!b->has_k_max || c < 0 || (c == 0 && b->k_max_in));
        }
        if (b->has_n) {
            in = in && (row->n > b->n_min || (row->n == b->n_min && b->n_min_in));
            in = in && (!b->has_n_max || row->n < b->n_max || (row->n == b->n_max && b->n_max_in));
        }
        if (in) return true;
    }
    return false;
}

static void question_text(const struct question *q, const char *after, struct buffer *out)
{
    static const char *const words[] = {"false", "true"};
    assert_ok(buffer_append_text(out, "{\"regions\":["));
    for (unsigned i = 0; i < q->n_bounds; i++) {
        const struct bound *b = &q->bounds[i];
        assert_ok(buffer_printf(out, "%s{\"stringsBase64Encoded\":false", i ? "," : ""));
        if (b->has_k)
            assert_ok(buffer_printf(out, ",\"k\":{\"min\":\"%s\",\"minInclusive\":%s", b->k_min,
                                    words[b->k_min_in]));
        if (b->has_k && b->has_k_max)
            assert_ok(buffer_printf(out, ",\"max\":\"%s\",\"maxInclusive\":%s", b->k_max,
                                    words[b->k_max_in]));
        if (b->has_k) assert_ok(buffer_append_text(out, "}"));
        if (b->has_n)
            assert_ok(buffer_printf(out, ",\"n\":{\"min\":%d,\"minInclusive\":%s", b->n_min,
                                    words[b->n_min_in]));
        if (b->has_n && b->has_n_max)
            assert_ok(buffer_printf(out, ",\"max\":%d,\"maxInclusive\":%s", b->n_max,
                                    words[b->n_max_in]));
        assert_ok(buffer_append_text(out, b->has_n ? "}}" : "}"));
    }
    assert_ok(buffer_append_text(out, "]"));
    if (!q->all_fields)
        assert_ok(buffer_printf(out, ",\"requestedValueFields\":[%s%s%s]", q->with_v ? "\"v\"" : "",
                                q->with_v && q->with_s ? "," : "", q->with_s ? "\"s\"" : ""));
    if (q->has_limit) assert_ok(buffer_printf(out, ",\"limit\":%u", q->limit));
    if (q->reverse) assert_ok(buffer_append_text(out, ",\"reverse\":true"));
    if (q->count_only) assert_ok(buffer_append_text(out, ",\"countOnly\":true"));
    if (q->ordered) assert_ok(buffer_append_text(out, ",\"ordered\":true"));
    if (after) assert_ok(buffer_printf(out, ",\"after\":\"%s\"", after));
    assert_ok(buffer_append_text(out, "}"));
}

/* Runs a query; rows as JSON lines, the count, and the cursor as text ("" when there is none). */
static void ask(struct world *w, const char *json, struct buffer *out, uint64_t *count,
                struct buffer *cursor_text)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct query query;
    struct batch_stream *answer;
    struct query_cursor cursor;
    assert_ok(table_state_get(w->table, 0, &state));
    assert_ok(query_from_json(slice_from_text(json), table_state_schema(state), &arena, &query));
    assert_ok(query_open(w->engine, w->table, &query, &answer));
    struct output_options options = {.kind = OUTPUT_JSONL};
    struct row_sink *sink;
    struct byte_sink *to = byte_sink_to_buffer(out);
    assert_ok(row_sink_open(to, answer->schema, &w->runtime, &options, &sink));
    int code = row_sink_drain(sink, to, answer, NULL);
    if (code < 0) fail_msg("%s: %s", json, error_message());
    row_sink_close(sink);
    byte_sink_close(to);
    *count = query_answer_rows(answer);
    buffer_clear(cursor_text);
    if (query_answer_cursor(answer, &arena, &cursor))
        assert_ok(query_cursor_to_text(&cursor, cursor_text));
    batch_stream_close(answer);
    table_state_release(state);
}

/* ---- the list ---- */

static const struct question *sorting;

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = strcmp(x->k, y->k);
    if (!c) c = x->n - y->n;
    if (!c) c = x->t - y->t;
    if (!c && sorting->with_v) c = x->v_null - y->v_null; /* null last */
    if (!c && sorting->with_v && !x->v_null) c = x->v - y->v;
    if (!c && sorting->with_s) c = strcmp(x->s, y->s);
    return sorting->reverse ? -c : c;
}

/* The rows wanted, in order, before the limit. */
static size_t expected_rows(struct world *w, const struct question *q, struct row *out)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_rows; i++)
        if (wanted(q, &w->rows[i])) out[n++] = w->rows[i];
    sorting = q;
    qsort(out, n, sizeof *out, compare_rows);
    return n;
}

static int compare_lines(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* The text with its lines sorted, for answers whose order is only by key. */
static void sort_lines(struct buffer *text)
{
    struct slice lines[ROWS_MAX];
    size_t n = 0;
    const char *p = (const char *)text->data, *end = p + text->size;
    while (p < end) {
        const char *next = memchr(p, '\n', (size_t)(end - p));
        lines[n++] = slice_make(p, (size_t)(next + 1 - p));
        p = next + 1;
    }
    qsort(lines, n, sizeof *lines, compare_lines);
    struct buffer sorted = BUFFER_INIT(1 << 20);
    for (size_t i = 0; i < n; i++)
        assert_ok(buffer_append_slice(&sorted, lines[i]));
    buffer_free(text);
    *text = sorted;
}

static void check(struct world *w, const struct question *q)
{
    struct row rows[ROWS_MAX];
    struct buffer json defer_buffer = BUFFER_INIT(1 << 20), got defer_buffer = BUFFER_INIT(1 << 20);
    struct buffer want defer_buffer = BUFFER_INIT(1 << 20),
                       cursor defer_buffer = BUFFER_INIT(1 << 20);
    uint64_t count;
    size_t n = expected_rows(w, q, rows);
    question_text(q, NULL, &json);
    assert_ok(buffer_append_byte(&json, 0));
    ask(w, (const char *)json.data, &got, &count, &cursor);
    if (q->has_limit && n > q->limit) n = q->limit;
    if (count != n) fail_msg("%s: %llu rows, not %zu", json.data, (unsigned long long)count, n);
    if (q->count_only) {
        assert_int_equal(got.size, 0);
        return;
    }
    for (size_t i = 0; i < n; i++)
        row_text(&rows[i], q->with_v, q->with_s, &want);
    if (!q->ordered) {
        if (q->has_limit) return; /* which of equal keys come is free; the count was checked */
        sort_lines(&got);
        sort_lines(&want);
    }
    if (!slice_equal(buffer_slice(&got), buffer_slice(&want)))
        fail_msg("%s: got\n%.*s\nnot\n%.*s", json.data, SLICE_PRINT(buffer_slice(&got)),
                 SLICE_PRINT(buffer_slice(&want)));
}

/* All pages of an ordered answer together are the answer. */
static void check_pages(struct world *w, const struct question *asked, unsigned page)
{
    struct question q = *asked;
    struct row rows[ROWS_MAX];
    struct buffer json defer_buffer = BUFFER_INIT(1 << 20), got defer_buffer = BUFFER_INIT(1 << 20);
    struct buffer want defer_buffer = BUFFER_INIT(1 << 20),
                       cursor defer_buffer = BUFFER_INIT(1 << 20);
    uint64_t count, total = 0;
    q.ordered = q.has_limit = true;
    q.count_only = false;
    q.limit = page;
    size_t n = expected_rows(w, &q, rows);
    for (size_t i = 0; i < n; i++)
        row_text(&rows[i], q.with_v, q.with_s, &want);
    do {
        char after[4096];
        snprintf(after, sizeof after, "%.*s", SLICE_PRINT(buffer_slice(&cursor)));
        buffer_clear(&json);
        question_text(&q, cursor.size ? after : NULL, &json);
        assert_ok(buffer_append_byte(&json, 0));
        ask(w, (const char *)json.data, &got, &count, &cursor);
        total += count;
        assert_true(total <= n);
    } while (cursor.size);
    if (!slice_equal(buffer_slice(&got), buffer_slice(&want)))
        fail_msg("pages of %u: %s: got\n%.*s\nnot\n%.*s", page, json.data,
                 SLICE_PRINT(buffer_slice(&got)), SLICE_PRINT(buffer_slice(&want)));
}

static void answers_are_what_a_list_gives(void **state)
{
    (void)state;
    static struct world w;
    w.random = random_seeded_new(20261121);
    for (unsigned table = 0; table < TABLES; table++) {
        world_open(&w, table);
        for (unsigned i = 0; i < QUERIES; i++) {
            struct question q;
            random_question(&w, &q);
            check(&w, &q);
            if (i % 6 == 0) check_pages(&w, &q, 1 + pick(&w, 40));
        }
        world_close(&w);
    }
    random_seeded_free(w.random);
}

static void a_missing_file_is_an_error_that_names_it(void **state)
{
    (void)state;
    static struct world w;
    w.random = random_seeded_new(5);
    world_open(&w, 0);
    while (w.n_rows == 0)
        ingest(&w, 20);
    struct arena arena defer_arena = ARENA_EMPTY;
    struct store_list list;
    struct buffer prefix defer_buffer = BUFFER_INIT(4096);
    assert_ok(buffer_append_slice(&prefix, table_prefix(w.table)));
    assert_ok(buffer_append_text(&prefix, "data/"));
    assert_ok(store_list(w.store, buffer_slice(&prefix), SLICE_EMPTY, 0, &arena, &list));
    assert_true(list.n_objects > 0);
    for (size_t i = 0; i < list.n_objects; i++)
        assert_ok(store_remove(w.store, &list.objects[i].key, 1));
    const struct table_state *table_state;
    assert_ok(table_state_get(w.table, 0, &table_state));
    struct query query;
    struct batch_stream *answer;
    struct batch *batch = NULL;
    query_everything(table_state_schema(table_state), &arena, &query);
    assert_ok(query_open(w.engine, w.table, &query, &answer));
    int code;
    while ((code = batch_stream_next(answer, &batch)) == 0 && batch)
        batch_release(batch);
    assert_int_equal(code, GLIS_EGONE);
    assert_non_null(strstr(error_message(), "data/"));
    batch_stream_close(answer);
    table_state_release(table_state);
    world_close(&w);
    random_seeded_free(w.random);
}

/* ---- what else a query may ask for ---- */

/* Opens a query and reads it to its end; rows as JSON lines when it succeeds. */
static int run(struct world *w, const char *json, struct buffer *out, struct query_explain *explain)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *table_state;
    struct query query;
    struct batch_stream *answer;
    assert_ok(table_state_get(w->table, 0, &table_state));
    assert_ok(
        query_from_json(slice_from_text(json), table_state_schema(table_state), &arena, &query));
    int code = query_open(w->engine, w->table, &query, &answer);
    table_state_release(table_state);
    if (code < 0) return code;
    struct output_options options = {.kind = OUTPUT_JSONL};
    struct row_sink *sink;
    struct byte_sink *to = byte_sink_to_buffer(out);
    assert_ok(row_sink_open(to, answer->schema, &w->runtime, &options, &sink));
    code = row_sink_drain(sink, to, answer, NULL);
    row_sink_close(sink);
    byte_sink_close(to);
    if (explain) *explain = query_answer_explain(answer);
    batch_stream_close(answer);
    return code;
}

static size_t count_lines(const struct buffer *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->size; i++)
        n += text->data[i] == '\n';
    return n;
}

/* A clock whose monotonic time moves on by a second whenever it is looked at. */
static int64_t stepping_ns(struct clock *clock)
{
    static int64_t now;
    (void)clock;
    return now += 1000000000;
}

static void a_query_stops_when_it_should(void **state)
{
    (void)state;
    static struct world w;
    w.random = random_seeded_new(9);
    world_open(&w, 0);
    ingest(&w, 30);
    struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
    struct cancel cancel = {0};
    w.runtime.cancel = &cancel;
    const struct table_state *table_state;
    struct arena arena defer_arena = ARENA_EMPTY;
    struct query query;
    struct batch_stream *answer;
    struct batch *batch;
    assert_ok(table_state_get(w.table, 0, &table_state));
    query_everything(table_state_schema(table_state), &arena, &query);
    assert_ok(query_open(w.engine, w.table, &query, &answer));
    table_state_release(table_state);
    atomic_store(&cancel.requested, 1);
    assert_int_equal(batch_stream_next(answer, &batch), GLIS_ECANCELLED);
    batch_stream_close(answer);
    atomic_store(&cancel.requested, 0);
    struct clock stepping = *w.runtime.clock, *before = w.runtime.clock;
    stepping.monotonic_ns = stepping_ns;
    w.runtime.clock = &stepping;
    assert_int_equal(run(&w, "{\"regions\":[{}],\"timeout\":\"500ms\"}", &out, NULL),
                     GLIS_ETIMEOUT);
    buffer_clear(&out);
    assert_ok(run(&w, "{\"regions\":[{}],\"timeout\":\"24h\"}", &out, NULL));
    assert_int_equal(count_lines(&out), w.n_rows);
    w.runtime.clock = before;
    w.runtime.cancel = NULL;
    world_close(&w);
    random_seeded_free(w.random);
}

/* A wall clock that can be put forward. */
static int64_t forward_ms;
static int64_t forward_wall_ms(struct clock *clock)
{
    (void)clock;
    return clock_system()->wall_ms(clock_system()) + forward_ms;
}

static size_t count_pins(struct world *w, uint64_t *record)
{
    const struct table_state *state;
    struct table_pin *pins;
    size_t n;
    defer_arena struct arena arena = ARENA_EMPTY;
    assert_ok(table_state_get(w->table, 0, &state));
    assert_ok(table_pins(state, &arena, &pins, &n));
    if (n) *record = pins[0].record;
    table_state_release(state);
    return n;
}

static void a_long_query_pins_its_record(void **state)
{
    (void)state;
    static struct world w;
    w.random = random_seeded_new(13);
    world_open(&w, 0);
    ingest(&w, 30);
    struct setting delay = {SLICE("glis.table.gc.delay"), SLICE("4m")};
    struct commit_result result;
    assert_ok(table_alter(w.table, &delay, 1, NULL, &result));
    struct clock clock = *w.runtime.clock, *before = w.runtime.clock;
    clock.wall_ms = forward_wall_ms;
    w.runtime.clock = &clock;
    forward_ms = 0;
    struct cancel cancel = {0}, *no_cancel = w.runtime.cancel;
    w.runtime.cancel = &cancel;
    /* The clock stays; goes on; goes on, and the query is cancelled. */
    for (int goes_on = 0; goes_on < 3; goes_on++) {
        struct arena arena defer_arena = ARENA_EMPTY;
        const struct table_state *table_state;
        struct query query;
        struct batch_stream *answer;
        struct batch *batch;
        uint64_t record = 0, pinned = 0;
        assert_ok(table_state_get(w.table, 0, &table_state));
        query_everything(table_state_schema(table_state), &arena, &query);
        assert_ok(query_open(w.engine, w.table, &query, &answer));
        record = table_state_record(table_state);
        table_state_release(table_state);
        /* Half of the delay is what files are safe for. */
        if (goes_on) forward_ms += 3 * 60 * 1000;
        assert_ok(batch_stream_next(answer, &batch));
        assert_non_null(batch);
        batch_release(batch);
        assert_int_equal(count_pins(&w, &pinned), goes_on > 0);
        if (goes_on) assert_int_equal(pinned, record);
        if (goes_on == 2) cancel.requested = 1;
        batch_stream_close(answer);
        cancel.requested = 0;
        assert_int_equal(count_pins(&w, &pinned), 0);
    }
    w.runtime.cancel = no_cancel;
    w.runtime.clock = before;
    world_close(&w);
    random_seeded_free(w.random);
}

static void an_earlier_record_has_the_rows_of_then(void **state)
{
    (void)state;
    static struct world w;
    w.random = random_seeded_new(11);
    world_open(&w, 0);
    ingest(&w, 30);
    struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
    struct query_explain explain;
    char json[128];
    assert_ok(run(&w, "{\"regions\":[{}]}", &out, &explain));
    size_t rows_then = w.n_rows;
    assert_int_equal(count_lines(&out), rows_then);
    ingest(&w, 30);
    buffer_clear(&out);
    snprintf(json, sizeof json, "{\"regions\":[{}],\"atRecord\":%llu}",
             (unsigned long long)explain.record);
    assert_ok(run(&w, json, &out, NULL));
    assert_int_equal(count_lines(&out), rows_then);
    buffer_clear(&out);
    assert_ok(run(&w, "{\"regions\":[{}]}", &out, NULL));
    assert_int_equal(count_lines(&out), w.n_rows);
    assert_int_equal(run(&w, "{\"regions\":[{}],\"atRecord\":1000000}", &out, NULL), GLIS_EINVALID);
    assert_fails(run(&w, "{\"regions\":[{}],\"maxStaleness\":\"24h\"}", &out, NULL), GLIS_EINVALID,
                 "maxStaleness");
    world_close(&w);
    random_seeded_free(w.random);
}

static void no_region_is_no_row(void **state)
{
    (void)state;
    static struct world w;
    w.random = random_seeded_new(12);
    world_open(&w, 1);
    ingest(&w, 30);
    struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
    struct query_explain explain;
    assert_ok(run(&w, "{\"regions\":[]}", &out, &explain));
    assert_int_equal(out.size, 0);
    assert_int_equal(explain.leaves + explain.files, 0);
    assert_ok(run(&w, "{\"regions\":[{\"k\":{\"min\":\"zz\"},\"stringsBase64Encoded\":false}]}",
                  &out, &explain));
    assert_int_equal(out.size, 0);
    assert_int_equal(explain.leaves, 1);
    assert_int_equal(explain.files_read, 0);
    world_close(&w);
    random_seeded_free(w.random);
}

static void explanations_add_up(void **state)
{
    (void)state;
    static struct world w;
    w.random = random_seeded_new(13);
    for (unsigned number = 0; number < 6; number++) {
        world_open(&w, number);
        ingest(&w, 50);
        struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
        struct query_explain e;
        assert_ok(run(&w,
                      "{\"regions\":[{\"k\":{\"min\":\"b\",\"max\":\"b\",\"maxInclusive\":true},"
                      "\"stringsBase64Encoded\":false}]}",
                      &out, &e));
        assert_int_equal(e.leaves, 1);
        assert_int_equal(e.files, e.files_skipped_bounds + e.files_read);
        assert_true(e.row_groups >= e.row_groups_skipped_statistics + e.row_groups_read);
        assert_true(e.pages >= e.pages_skipped_index);
        assert_int_equal(e.rows_given, count_lines(&out));
        buffer_clear(&out);
        assert_ok(query_explain_json(&e, &out));
        assert_non_null(memmem(out.data, out.size, "\"leaves\":1,", 11));
        buffer_clear(&out);
        assert_ok(query_explain_text(&e, &out));
        assert_non_null(memmem(out.data, out.size, "  leaves considered\n", 20));
        world_close(&w);
    }
    random_seeded_free(w.random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_what_a_list_gives),
        cmocka_unit_test(a_missing_file_is_an_error_that_names_it),
        cmocka_unit_test(a_query_stops_when_it_should),
        cmocka_unit_test(a_long_query_pins_its_record),
        cmocka_unit_test(an_earlier_record_has_the_rows_of_then),
        cmocka_unit_test(no_region_is_no_row),
        cmocka_unit_test(explanations_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
