/*
 * test_query_text_keys.c: lookups and ranges in a table whose one key is a text: NULs in it, texts
 * that begin others, texts that differ behind their eighth byte. All keys of a list are looked up,
 * and the ranges between any two of them, in files of many row groups and in files of many
 * pages, and counted against the list.
 */
#include "test.h"

#include "format/format.h"
#include "lsm/lsm.h"
#include "query/query.h"

#include <stdio.h>
#include <stdlib.h>

static const char schema_json[] =
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}],\"valueFields\":[{\"name\":\"v\","
    "\"type\":\"LongType\"}]}";

/* In order of their bytes; "0" stands for a NUL. */
static const char *const keys[] = {
    "",           "0",          "00",       "00a",       "0a",         "0a0",       "a",
    "a0",         "a00",        "a00b",     "a0b",       "aa",         "aa0",       "ab",
    "abcdefg",    "abcdefg0",   "abcdefgh", "abcdefgh0", "abcdefgh0a", "abcdefgha", "abcdefghb",
    "abcdefghb0", "abcdefghbb", "abcdefgi", "abcdefh",   "b",          "b0",        "ba",
    "ö",          "ö0",         "öö",
};
enum { N_KEYS = sizeof keys / sizeof *keys, COPIES = 3, TIMES = 20 };

struct world {
    struct budget budget;
    struct runtime runtime;
    struct store *store;
    struct instance *instance;
    struct table *table;
    struct query_engine *engine;
};

static struct slice key_of(size_t i, char room[64])
{
    size_t size = strlen(keys[i]);
    for (size_t k = 0; k <= size; k++)
        room[k] = keys[i][k] == '0' ? '\0' : keys[i][k];
    return slice_make(room, size);
}

static void add_row(struct buffer *out, size_t i)
{
    assert_ok(buffer_append_text(out, "{\"k\":\""));
    for (const char *c = keys[i]; *c; c++)
        assert_ok(*c == '0' ? buffer_append_text(out, "\\u0000")
                            : buffer_append_byte(out, (uint8_t)*c));
    assert_ok(buffer_printf(out, "\",\"v\":%zu}\n", i));
}

static void world_open(struct world *w, const char *group_rows, bool splits)
{
    struct schema *schema;
    budget_init(&w->budget, "test", 0, NULL, NULL);
    w->runtime = (struct runtime){.clock = clock_system(),
                                  .random = random_system(),
                                  .pool = pool_new(0),
                                  .budget = &w->budget};
    assert_ok(store_memory_open(&w->runtime, &w->store));
    assert_ok(instance_init(&w->runtime, w->store, NULL, 0));
    assert_ok(instance_open(&w->runtime, w->store, 0, NULL, &w->instance));
    assert_ok(schema_from_json(SLICE(schema_json), &schema));
    struct slice points[] = {SLICE("a\0\xff\0\0"), SLICE("abcdefgh\0\0")};
    struct setting settings[] = {
        {SLICE("glis.table.parquet.key.page.size"), SLICE("1K")},
        {SLICE("glis.table.parquet.rowgroup.rows.max"), slice_from_text(group_rows)}};
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = schema,
                                          .settings = settings,
                                          .n_settings = 2,
                                          .split_points = points,
                                          .n_split_points = splits ? 2 : 0};
    assert_ok(table_create(w->instance, &definition, &w->table));
    assert_ok(query_engine_new(&w->engine, &w->runtime, &w->budget, 0));
    for (size_t copy = 0; copy < COPIES; copy++) {
        struct buffer text defer_buffer = BUFFER_INIT(1 << 20);
        struct arena arena defer_arena = ARENA_EMPTY;
        struct batch_stream *stream;
        struct ingest_options options = {0};
        struct ingest_result result;
        for (size_t i = 0; i < N_KEYS; i++)
            for (size_t n = 0; n < TIMES && (copy < 2 || i % 2); n++)
                add_row(&text, i);
        assert_ok(
            jsonl_reader_open(byte_source_of(buffer_slice(&text), "rows"), schema, NULL, &stream));
        assert_ok(ingest_stream(w->table, &w->runtime, stream, &options, &arena, &result));
    }
    schema_release(schema);
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

/* Rows of a query; `sum` of their values. */
static uint64_t ask(struct world *w, const struct query *query, uint64_t *sum)
{
    struct batch_stream *answer;
    struct batch *batch;
    assert_ok(query_open(w->engine, w->table, query, &answer));
    *sum = 0;
    for (;;) {
        assert_ok(batch_stream_next(answer, &batch));
        if (!batch) break;
        for (int64_t i = 0; i < batch->n_rows; i++) {
            struct value value;
            column_value(&batch->columns[1], i, &value);
            *sum += (uint64_t)value.integer;
        }
        batch_release(batch);
    }
    uint64_t rows = query_answer_rows(answer);
    batch_stream_close(answer);
    return rows;
}

static void expect(size_t begin, size_t end, uint64_t *rows, uint64_t *sum)
{
    *rows = *sum = 0;
    for (size_t i = begin; i < end; i++) {
        uint64_t copies = TIMES * (2 + i % 2);
        *rows += copies;
        *sum += copies * i;
    }
}

static void every_key_and_every_range_is_found(struct world *w)
{
    const struct table_state *state;
    assert_ok(table_state_get(w->table, 0, &state));
    for (size_t a = 0; a < N_KEYS; a++)
        for (size_t b = a; b <= N_KEYS; b++) {
            struct arena arena defer_arena = ARENA_EMPTY;
            struct query query = {.schema = table_state_schema(state), .ordered = (a + b) % 3 == 0};
            char from_room[64], to_room[64];
            struct slice from = key_of(a, from_room);
            struct slice to = b < N_KEYS ? key_of(b, to_room) : SLICE_EMPTY;
            uint64_t rows, sum, expected_rows, expected_sum;
            if (a == b)
                assert_ok(query_add_key(&query, &from, 1, &arena));
            else
                assert_ok(
                    query_add_range(&query, &from, 1, b < N_KEYS ? &to : NULL, b < N_KEYS, &arena));
            rows = ask(w, &query, &sum);
            expect(a, a == b ? a + 1 : b, &expected_rows, &expected_sum);
            if (rows != expected_rows || sum != expected_sum)
                fail_msg("'%s' to '%s': %llu rows", keys[a], b < N_KEYS ? keys[b] : "(end)",
                         (unsigned long long)rows);
        }
    table_state_release(state);
}

static void texts_with_nuls_and_beginnings_of_others_are_found(void **state)
{
    (void)state;
    static const char *const group_rows[] = {"7", "100", "100000"};
    for (int i = 0; i < 6; i++) {
        struct world world;
        world_open(&world, group_rows[i / 2], i % 2);
        every_key_and_every_range_is_found(&world);
        world_close(&world);
    }
}

/* A key that is not there, between two that are. */
static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    static const char absent[][12] = {"aaa", "abcdefgg", "abcdefghab", "c", "z"};
    struct world world;
    world_open(&world, "100", true);
    const struct table_state *table_state;
    assert_ok(table_state_get(world.table, 0, &table_state));
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        struct arena arena defer_arena = ARENA_EMPTY;
        struct query query = {.schema = table_state_schema(table_state)};
        struct slice key = slice_from_text(absent[i]);
        uint64_t sum;
        assert_ok(query_add_key(&query, &key, 1, &arena));
        assert_int_equal(ask(&world, &query, &sum), 0);
    }
    table_state_release(table_state);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_with_nuls_and_beginnings_of_others_are_found),
        cmocka_unit_test(what_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
