/*
 * test_sorter.c: whatever goes into a sorter comes out once, whole and in order: keys of every
 * type, in memory, spilled, in several passes; and the ways in which it may fail.
 */
#include "sorting.h"

#include "lsm/lsm_int.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define KEY(k)     ((struct type){.kind = (k)})
#define DECIMAL(p) ((struct type){.kind = TYPE_DECIMAL, .precision = (p), .scale = 2})

struct shape {
    const char *name;
    uint32_t n_row_keys, n_sort_keys;
    struct type keys[4];
};

static const struct shape shapes[] = {
    {"int", 1, 0, {KEY(TYPE_INT32)}},
    {"long", 1, 0, {KEY(TYPE_INT64)}},
    {"boolean and long", 1, 1, {KEY(TYPE_BOOLEAN), KEY(TYPE_INT64)}},
    {"float", 1, 0, {KEY(TYPE_FLOAT)}},
    {"double", 1, 0, {KEY(TYPE_DOUBLE)}},
    {"date", 1, 0, {KEY(TYPE_DATE)}},
    {"timestamp", 1, 0, {{.kind = TYPE_TIMESTAMP, .unit = UNIT_MICRO, .utc = true}}},
    {"short decimal", 1, 0, {DECIMAL(7)}},
    {"decimal of 8 bytes", 1, 0, {DECIMAL(15)}},
    {"decimal of 16 bytes", 1, 0, {DECIMAL(38)}},
    {"string", 1, 0, {KEY(TYPE_STRING)}},
    {"bytes", 1, 0, {KEY(TYPE_BYTES)}},
    {"string, long; bytes, double",
     2,
     2,
     {KEY(TYPE_STRING), KEY(TYPE_INT64), KEY(TYPE_BYTES), KEY(TYPE_DOUBLE)}},
};

struct amount {
    const char *name;
    int64_t n_rows, batch_rows;
    uint64_t spread;
    uint64_t memory_bytes, merge_inputs_max;
    unsigned n_threads;
    bool spills, passes;
};

static const struct amount amounts[] = {
    {"nothing", 0, 10, 10, 1 << 20, 0, 0, false, false},
    {"one row", 1, 10, 10, 1 << 20, 0, 2, false, false},
    {"in memory", 3000, 100, 1000000, 64 << 20, 0, 2, false, false},
    {"in memory, few values", 3000, 777, 7, 64 << 20, 0, 0, false, false},
    {"spilled", 20000, 500, 1u << 30, 1 << 20, 0, 2, true, false},
    {"spilled, few values", 20000, 333, 5, 1 << 20, 0, 2, true, false},
    {"two runs at a time", 20000, 500, 1u << 30, 1 << 20, 2, 2, true, true},
    {"three at a time, alone", 20000, 1000, 1u << 20, 1 << 20, 3, 0, true, true},
};

static void sort_and_check(const struct shape *shape, const struct amount *amount)
{
    struct sorting_world world;
    sorting_world_open(&world, amount->n_threads);
    struct schema *schema = sorting_schema(shape->keys, shape->n_row_keys, shape->n_sort_keys);
    struct sorting_rows rows = sorting_rows_make(schema, world.runtime.random, amount->n_rows,
                                                 amount->batch_rows, amount->spread);
    struct sorter_options options = {.memory_bytes = amount->memory_bytes,
                                     .merge_inputs_max = amount->merge_inputs_max};
    struct sorter *sorter;
    assert_ok(sorter_new(&sorter, &world.runtime, schema, &options));
    for (int round = 0; round < 2; round++) { /* a sorter can be used again */
        for (int64_t i = 0; i < rows.n_batches; i++)
            assert_ok(sorter_add(sorter, rows.batches[i]));
        struct batch_stream *stream;
        assert_ok(sorter_finish(sorter, &stream));
        sorting_check(stream, &rows, amount->n_rows, false);
    }
    struct sorter_figures figures = sorter_figures(sorter);
    assert_int_equal(figures.n_rows, 2 * amount->n_rows);
    if ((figures.n_runs > 0) != amount->spills || (figures.n_passes > 0) != amount->passes)
        fail_msg("%s, %s: %llu runs, %llu passes", shape->name, amount->name,
                 (unsigned long long)figures.n_runs, (unsigned long long)figures.n_passes);
    sorter_free(sorter);
    sorting_rows_free(&rows);
    schema_release(schema);
    sorting_world_close(&world);
}

static void rows_come_out_once_whole_and_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (size_t j = 0; j < sizeof amounts / sizeof *amounts; j++)
            sort_and_check(&shapes[i], &amounts[j]);
    }
}

static void a_sorter_may_be_freed_at_any_time(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 12000; n += 1999) {
        struct sorting_world world;
        sorting_world_open(&world, 2);
        struct schema *schema = sorting_schema(shapes[10].keys, 1, 0);
        struct sorting_rows rows =
            sorting_rows_make(schema, world.runtime.random, n + 1, 500, 1u << 30);
        struct sorter *sorter;
        struct batch_stream *stream;
        struct batch *batch;
        struct sorter_options options = {.memory_bytes = 1 << 20};
        assert_ok(sorter_new(&sorter, &world.runtime, schema, &options));
        for (int64_t i = 0; i < rows.n_batches; i++)
            assert_ok(sorter_add(sorter, rows.batches[i]));
        if (n % 2) {
            assert_ok(sorter_finish(sorter, &stream));
            assert_ok(batch_stream_next(stream, &batch));
            batch_release(batch);
            batch_stream_close(stream);
        }
        sorter_free(sorter);
        sorting_rows_free(&rows);
        schema_release(schema);
        sorting_world_close(&world);
    }
}

static void rows_between_borders_are_counted(void **state)
{
    (void)state;
    for (uint64_t memory = 1 << 20; memory <= 64 << 20; memory *= 64) {
        struct sorting_world world;
        sorting_world_open(&world, 2);
        struct schema *schema = sorting_schema(shapes[1].keys, 1, 0);
        struct sorting_rows rows =
            sorting_rows_make(schema, world.runtime.random, 20000, 500, 1000);
        /* Keys are -500 .. 499; borders at -600, -100, 0, 1, 700. */
        static const int64_t at[] = {-600, -100, 0, 1, 700};
        struct buffer bytes[5];
        struct slice borders[5];
        uint64_t counts[6] = {0}, expected[6] = {0};
        for (int i = 0; i < 5; i++) {
            struct value value = value_integer(TYPE_INT64, at[i]);
            bytes[i] = BUFFER_INIT(100);
            assert_ok(key_append_value(&shapes[1].keys[0], &value, &bytes[i]));
            borders[i] = buffer_slice(&bytes[i]);
        }
        struct sorter *sorter;
        struct sorter_options options = {.memory_bytes = memory};
        assert_ok(sorter_new(&sorter, &world.runtime, schema, &options));
        sorter_set_borders(sorter, borders, 5, counts);
        for (int64_t i = 0; i < rows.n_batches; i++) {
            assert_ok(sorter_add(sorter, rows.batches[i]));
            for (int64_t row = 0; row < rows.batches[i]->n_rows; row++) {
                struct value value;
                column_value(&rows.batches[i]->columns[0], row, &value);
                int part = 0;
                while (part < 5 && value.integer >= at[part])
                    part++;
                expected[part]++;
            }
        }
        struct batch_stream *stream;
        assert_ok(sorter_finish(sorter, &stream));
        for (int i = 0; i < 6; i++)
            assert_int_equal(counts[i], expected[i]);
        batch_stream_close(stream);
        sorter_free(sorter);
        for (int i = 0; i < 5; i++)
            buffer_free(&bytes[i]);
        sorting_rows_free(&rows);
        schema_release(schema);
        sorting_world_close(&world);
    }
}

/* A batch of one row whose text has so many bytes, after `before` small rows. */
static struct batch *big_row(const struct schema *schema, struct random *random, int64_t before,
                             size_t size)
{
    struct batch_builder *builder;
    struct batch *batch, *small = sorting_batch(schema, random, before, 0, 100);
    char *text = calloc(1, size + 1);
    memset(text, 'x', size);
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (uint32_t i = 0; i < schema->n_fields; i++)
        assert_ok(column_builder_append_column(batch_builder_column(builder, i), &small->columns[i],
                                               0, before));
    assert_ok(column_builder_append_integer(batch_builder_column(builder, 0), 1));
    assert_ok(
        column_builder_append_bytes(batch_builder_column(builder, 1), slice_make(text, size)));
    assert_ok(column_builder_end(batch_builder_column(builder, 2)));
    assert_ok(column_builder_append_integer(batch_builder_column(builder, 3), before));
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    batch_release(small);
    free(text);
    return batch;
}

static void a_row_too_large_for_the_memory_is_named(void **state)
{
    (void)state;
    struct sorting_world world;
    sorting_world_open(&world, 2);
    struct schema *schema = sorting_schema(shapes[1].keys, 1, 0);
    struct sorter_options options = {.memory_bytes = 1 << 20};
    struct sorter *sorter;
    assert_ok(sorter_new(&sorter, &world.runtime, schema, &options));
    struct batch *fits = big_row(schema, world.runtime.random, 17, 200 << 10);
    struct batch *too_large = big_row(schema, world.runtime.random, 5, 300 << 10);
    assert_ok(sorter_add(sorter, fits)); /* 18 rows */
    assert_fails(sorter_add(sorter, too_large), GLIS_ELIMIT, "row 23 takes");
    sorter_free(sorter);
    batch_release(fits);
    batch_release(too_large);
    schema_release(schema);
    sorting_world_close(&world);
}

static void cancelling_ends_the_work(void **state)
{
    (void)state;
    struct sorting_world world;
    sorting_world_open(&world, 2);
    struct schema *schema = sorting_schema(shapes[1].keys, 1, 0);
    struct sorting_rows rows = sorting_rows_make(schema, world.runtime.random, 5000, 500, 1000);
    struct sorter_options options = {.memory_bytes = 1 << 20};
    struct sorter *sorter;
    assert_ok(sorter_new(&sorter, &world.runtime, schema, &options));
    assert_ok(sorter_add(sorter, rows.batches[0]));
    world.cancel.requested = 1;
    assert_fails(sorter_add(sorter, rows.batches[1]), GLIS_ECANCELLED, NULL);
    sorter_free(sorter);
    sorting_rows_free(&rows);
    schema_release(schema);
    sorting_world_close(&world);
}

static void a_spill_folder_that_cannot_be_used_is_named(void **state)
{
    (void)state;
    struct sorting_world world;
    sorting_world_open(&world, 2);
    struct schema *schema = sorting_schema(shapes[1].keys, 1, 0);
    struct sorting_rows rows = sorting_rows_make(schema, world.runtime.random, 20000, 500, 1000);
    struct sorter_options options = {.memory_bytes = 1 << 20, .spill_folder = "/nonexistent/here"};
    struct sorter *sorter;
    assert_ok(sorter_new(&sorter, &world.runtime, schema, &options));
    int code = 0;
    for (int64_t i = 0; code == 0 && i < rows.n_batches; i++)
        code = sorter_add(sorter, rows.batches[i]);
    assert_int_equal(code, GLIS_ENOTFOUND);
    assert_non_null(strstr(error_message(), "/nonexistent/here"));
    assert_non_null(strstr(error_message(), "glis.ingest.spill.dir"));
    sorter_free(sorter);
    sorting_rows_free(&rows);
    schema_release(schema);
    sorting_world_close(&world);
}

/* A full disk, as far as a process can make one for itself: files may not grow beyond a limit. */
static void a_full_disk_is_an_error_that_leaves_nothing(void **state)
{
    (void)state;
    struct sorting_world world;
    sorting_world_open(&world, 2);
    char folder[] = "/tmp/glis-test-spill-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct schema *schema = sorting_schema(shapes[1].keys, 1, 0);
    struct sorting_rows rows = sorting_rows_make(schema, world.runtime.random, 30000, 500, 1000);
    struct sorter_options options = {.memory_bytes = 1 << 20, .spill_folder = folder};
    struct sorter *sorter;
    assert_ok(sorter_new(&sorter, &world.runtime, schema, &options));
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 700 << 10;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int code = 0;
    struct batch_stream *stream = NULL;
    for (int64_t i = 0; code == 0 && i < rows.n_batches; i++)
        code = sorter_add(sorter, rows.batches[i]);
    if (code == 0) code = sorter_finish(sorter, &stream);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_true(code == GLIS_ENOSPACE || code == GLIS_EIO);
    assert_non_null(strstr(error_message(), folder));
    sorter_free(sorter);
    assert_int_equal(rmdir(folder), 0); /* empty */
    sorting_rows_free(&rows);
    schema_release(schema);
    sorting_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_once_whole_and_in_order),
        cmocka_unit_test(a_sorter_may_be_freed_at_any_time),
        cmocka_unit_test(rows_between_borders_are_counted),
        cmocka_unit_test(a_row_too_large_for_the_memory_is_named),
        cmocka_unit_test(cancelling_ends_the_work),
        cmocka_unit_test(a_spill_folder_that_cannot_be_used_is_named),
        cmocka_unit_test(a_full_disk_is_an_error_that_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
