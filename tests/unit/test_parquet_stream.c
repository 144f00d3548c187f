/*
 * test_parquet_stream.c: a file's rows as a stream: in order and complete, however many threads
 * work on it and wherever batches, pages and row groups end; and what happens when it cannot go on.
 *
 * All of it from a folder, and again from a store that is far away, from which streams read ahead.
 *
 * The rows are known by their number, and so compared with what was written, not with another
 * reading.
 */
#include "far_store.h"

#include "parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N_ROWS = 120000 };

struct world {
    struct budget budget;
    struct runtime runtime;
    char folder[64];
    struct store *store, *near; /* near: the folder, when `store` is the one far away */
    struct batch *rows;
};

/* Row i: i * 7; a text of up to 60 bytes, each fifth null; a list of i % 4 numbers, each seventh
 * null, with nulls in it. */
static struct batch *make_rows(void)
{
    struct arena arena = ARENA_EMPTY;
    struct field fields[3] = {{SLICE("n"), {.kind = TYPE_INT64}, false},
                              {SLICE("s"), {.kind = TYPE_STRING}, true},
                              {SLICE("l"), {.kind = TYPE_LIST}, true}};
    fields[2].type = type_list(&arena, (struct type){.kind = TYPE_INT64}, true);
    struct schema *schema;
    struct batch_builder *builder;
    struct batch *batch;
    char text[64];
    assert_ok(schema_new(&schema, fields, 3, 0, 0));
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (int64_t i = 0; i < N_ROWS; i++) {
        struct column_builder *column = batch_builder_column(builder, 0);
        assert_ok(column_builder_append_integer(column, i * 7));
        column = batch_builder_column(builder, 1);
        int size = snprintf(text, sizeof text, "%lld %.*s", (long long)i, (int)(i % 40),
                            "the quick brown fox jumps over the lazy dog");
        if (i % 5 == 0)
            assert_ok(column_builder_append_null(column));
        else
            assert_ok(column_builder_append_bytes(column, slice_make(text, (size_t)size)));
        column = batch_builder_column(builder, 2);
        if (i % 7 == 0) {
            assert_ok(column_builder_append_null(column));
        } else {
            struct column_builder *element = column_builder_child(column, 0);
            for (int64_t k = 0; k < i % 4; k++) {
                if ((i + k) % 11 == 0)
                    assert_ok(column_builder_append_null(element));
                else
                    assert_ok(column_builder_append_integer(element, i * i + k));
            }
            assert_ok(column_builder_end(column));
        }
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    schema_release(schema);
    arena_free(&arena);
    return batch;
}

static int to_buffer(void *state, struct slice bytes)
{
    return buffer_append(state, bytes.data, bytes.size);
}

static void put_file(struct world *world, const char *name, struct parquet_writer_options options,
                     bool broken)
{
    struct buffer bytes = BUFFER_INIT(1 << 30);
    struct parquet_sink sink = {to_buffer, &bytes};
    struct parquet_writer *writer;
    assert_ok(
        parquet_writer_open(&writer, &world->runtime, world->rows->schema, &sink, &options, NULL));
    assert_ok(parquet_writer_write(writer, world->rows));
    assert_ok(parquet_writer_finish(writer));
    parquet_writer_close(writer);
    /* in the pages of a later row group, whose checksum tells */
    if (broken) bytes.data[bytes.size / 2] ^= 1;
    assert_ok(store_put(world->store, slice_from_text(name), buffer_slice(&bytes), 0));
    buffer_free(&bytes);
}

static int set_up(void **state)
{
    struct world *world = memory_alloc_zero(sizeof *world);
    budget_init(&world->budget, "test memory", 0, NULL, NULL);
    world->runtime = (struct runtime){.clock = clock_system(),
                                      .random = random_system(),
                                      .pool = pool_new(0),
                                      .budget = &world->budget};
    snprintf(world->folder, sizeof world->folder, "/tmp/glis-stream-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    assert_ok(store_local_open(&world->runtime, world->folder, 0, &world->store));
    world->rows = make_rows();
    struct parquet_writer_options small = {
        .codec = PARQUET_SNAPPY + 1, .row_group_rows_max = 9001, .page_bytes = 4096};
    put_file(world, "small", small, false);
    put_file(world, "broken", small, true);
    put_file(world, "large", (struct parquet_writer_options){.codec = PARQUET_UNCOMPRESSED + 1},
             false);
    put_file(world, "old",
             (struct parquet_writer_options){.data_page_v1 = true, .page_bytes = 1 << 20}, false);
    *state = world;
    return 0;
}

static int set_up_far(void **state)
{
    TRY(set_up(state));
    struct world *world = *state;
    world->near = world->store;
    world->store = &far_open(world->near, 3)->store;
    return 0;
}

static struct far_store *far_of(struct world *world)
{
    struct far_store *far = (struct far_store *)world->store;
    far->n_begun = far->n_ended = far->n_dropped = far->fail_at = 0;
    far->under_way_most = 0;
    return far;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    if (world->near) {
        store_close(world->store);
        world->store = world->near;
    }
    static const struct slice keys[] = {SLICE("small"), SLICE("broken"), SLICE("large"),
                                        SLICE("old")};
    assert_ok(store_remove(world->store, keys, 4));
    store_close(world->store);
    pool_free(world->runtime.pool);
    batch_release(world->rows);
    (void)rmdir(world->folder);
    free(world);
    return 0;
}

/* Rows [first, first + n) as a stream; returns how many came before the end or the failure. */
static int64_t read_rows(struct world *world, struct runtime *runtime, const char *name,
                         int64_t first, int64_t n, int64_t batch_rows, struct budget *budget,
                         int *code)
{
    static const uint32_t fields[] = {0, 1, 2};
    struct parquet_reader *reader;
    struct batch_stream *stream;
    int64_t done = 0;
    assert_ok(parquet_reader_open(&reader, runtime, world->store, slice_from_text(name), budget));
    assert_ok(parquet_reader_stream_part(reader, fields, 3, (uint64_t)first, (uint64_t)n,
                                         batch_rows, &stream));
    for (;;) {
        struct batch *batch, *expected;
        *code = batch_stream_next(stream, &batch);
        if (*code < 0 || !batch) break;
        assert_true(batch->n_rows > 0 && (batch_rows == 0 || batch->n_rows <= batch_rows));
        assert_ok(batch_validate(batch, true));
        assert_ok(batch_slice(world->rows, first + done, batch->n_rows, &expected));
        struct arena arena = ARENA_EMPTY;
        const char *difference = NULL;
        if (!batch_equal(batch, expected, &arena, &difference))
            fail_msg("%s, rows from %lld on: %s", name, (long long)(first + done), difference);
        arena_free(&arena);
        done += batch->n_rows;
        batch_release(batch);
        batch_release(expected);
    }
    batch_stream_close(stream);
    parquet_reader_close(reader);
    return done;
}

static void rows_come_in_order_with_any_threads_and_sizes(void **state)
{
    struct world *world = *state;
    static const char *const names[] = {"small", "large", "old"};
    static const int64_t sizes[] = {0, 777, 4096};
    for (unsigned threads = 0; threads <= 3; threads += threads ? 2 : 1) {
        struct runtime runtime = world->runtime;
        runtime.pool = pool_new(threads);
        for (int i = 0; i < 9; i++) {
            int code;
            assert_int_equal(read_rows(world, &runtime, names[i / 3], 0, N_ROWS, sizes[i % 3],
                                       &world->budget, &code),
                             N_ROWS);
            assert_int_equal(code, 0);
            assert_int_equal(budget_used(&world->budget), 0);
        }
        pool_free(runtime.pool);
    }
}

static void parts_begin_and_end_anywhere(void **state)
{
    struct world *world = *state;
    static const int64_t parts[][2] = {{0, 1},          {9000, 2},   {9001, 9001}, {12345, 54321},
                                       {N_ROWS - 1, 1}, {N_ROWS, 0}, {50000, 0},   {63, 65}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int code;
        for (int file = 0; file < 3; file++) {
            static const char *const names[] = {"small", "large", "old"};
            assert_int_equal(read_rows(world, &world->runtime, names[file], parts[i][0],
                                       parts[i][1], 1000, NULL, &code),
                             parts[i][1]);
            assert_int_equal(code, 0);
        }
    }
}

static void what_comes_before_a_broken_page_is_given_out(void **state)
{
    struct world *world = *state;
    int64_t alone = -1;
    for (unsigned threads = 0; threads <= 3; threads++) {
        struct runtime runtime = world->runtime;
        int code;
        runtime.pool = pool_new(threads);
        int64_t n = read_rows(world, &runtime, "broken", 0, N_ROWS, 0, &world->budget, &code);
        assert_int_equal(code, GLIS_ECORRUPT);
        assert_non_null(strstr(error_message(), "checksum"));
        assert_non_null(strstr(error_message(), "row group"));
        assert_true(n > 0 && n < N_ROWS);
        if (alone < 0) alone = n;
        assert_int_equal(n, alone); /* whole row groups, with any threads */
        assert_int_equal(budget_used(&world->budget), 0);
        pool_free(runtime.pool);
    }
}

static void a_small_budget_makes_small_batches(void **state)
{
    struct world *world = *state;
    struct budget small;
    struct runtime runtime = world->runtime;
    int code;
    runtime.pool = pool_new(2);
    budget_init(&small, "small memory", 3 << 20, NULL, NULL);
    int64_t n = read_rows(world, &runtime, "large", 0, N_ROWS, 0, &small, &code);
    assert_ok(code);
    assert_int_equal(n, N_ROWS);
    assert_int_equal(budget_used(&small), 0);
    pool_free(runtime.pool);
}

static void a_stream_may_be_closed_at_any_point(void **state)
{
    struct world *world = *state;
    struct runtime runtime = world->runtime;
    runtime.pool = pool_new(3);
    for (int n = 0; n < 6; n++) {
        struct parquet_reader *reader;
        struct batch_stream *stream;
        struct batch *batch;
        assert_ok(
            parquet_reader_open(&reader, &runtime, world->store, SLICE("small"), &world->budget));
        assert_ok(parquet_reader_stream(reader, &stream));
        for (int i = 0; i < n; i++) {
            assert_ok(batch_stream_next(stream, &batch));
            batch_release(batch);
        }
        batch_stream_close(stream);
        parquet_reader_close(reader);
        assert_int_equal(budget_used(&world->budget), 0);
    }
    pool_free(runtime.pool);
}

/* Row group 3 of "small" and two fields: what a plan has fetched is not asked for again. */
static void planned_rows_are_read_in_one_call(void **state)
{
    struct world *world = *state;
    struct parquet_reader *reader;
    struct batch *batch;
    uint32_t fields[] = {0, 1}, n, n_apart;
    uint64_t bytes, bytes_apart;
    assert_ok(parquet_reader_open(&reader, &world->runtime, world->store, SLICE("small"), NULL));
    struct parquet_plan *plan = parquet_plan_new(reader, 0, 0, NULL);
    struct parquet_plan *apart = parquet_plan_new(reader, 1, 1, NULL);
    for (uint64_t first = 100; first < 9000; first += 4000) {
        assert_ok(parquet_plan_add(plan, 3, fields, 2, first, 10));
        assert_ok(parquet_plan_add(apart, 3, fields, 2, first, 10));
    }
    const struct parquet_range *ranges = parquet_plan_ranges(plan, &n, &bytes);
    parquet_plan_ranges(apart, &n_apart, &bytes_apart);
    assert_true(n >= 1 && n < n_apart && bytes > bytes_apart);
    for (uint32_t i = 1; i < n; i++)
        assert_true(ranges[i].offset > ranges[i - 1].offset + ranges[i - 1].size + (64 << 10));
    uint64_t before = store_counters(world->store).gets;
    assert_ok(parquet_plan_fetch(plan));
    assert_int_equal(store_counters(world->store).gets - before, n);
    for (uint64_t first = 100; first < 9000; first += 4000) {
        assert_ok(parquet_reader_rows_planned(reader, plan, 3, fields, 2, first, 10, NULL, &batch));
        for (int64_t i = 0; i < 10; i++) {
            struct value value;
            column_value(&batch->columns[0], i, &value);
            assert_int_equal(value.integer, (3 * 9001 + (int64_t)first + i) * 7);
        }
        batch_release(batch);
    }
    assert_int_equal(store_counters(world->store).gets - before, n);
    parquet_plan_free(apart);
    parquet_plan_free(plan);
    parquet_reader_close(reader);
}

/* ---- from far away ---- */

static void what_is_next_is_asked_for_before_it_is_needed(void **state)
{
    struct world *world = *state;
    for (unsigned threads = 0; threads <= 2; threads++) {
        struct runtime runtime = world->runtime;
        struct far_store *far = far_of(world);
        int code;
        runtime.pool = pool_new(threads);
        assert_int_equal(read_rows(world, &runtime, "small", 0, N_ROWS, 0, &world->budget, &code),
                         N_ROWS);
        assert_int_equal(far->n_begun, (N_ROWS + 9000) / 9001); /* each row group once, as one */
        assert_int_equal(far->n_ended, far->n_begun);
        assert_int_equal(far->n_dropped, 0);
        assert_int_equal(far->under_way, 0);
        struct store_object object;
        assert_ok(store_head(world->near, SLICE("small"), &object));
        assert_true(far->under_way_most > object.size / 2);
        pool_free(runtime.pool);
    }
}

static void what_is_under_way_keeps_to_the_budget(void **state)
{
    struct world *world = *state;
    struct budget small;
    struct runtime runtime = world->runtime;
    struct far_store *far = far_of(world);
    int code;
    runtime.pool = pool_new(2);
    budget_init(&small, "small memory", 4 << 20, NULL, NULL);
    assert_int_equal(read_rows(world, &runtime, "small", 0, N_ROWS, 0, &small, &code), N_ROWS);
    assert_true(far->n_begun > 2);
    /* An eighth, and one row group more, for one is begun as long as there is room. */
    assert_true(far->under_way_most < (4 << 20) / 8 + (1 << 20));
    assert_int_equal(budget_used(&small), 0);
    pool_free(runtime.pool);
}

/* A merge has many streams, and a batch of each in hands; what one of them reads or decodes ahead
 * must not take the memory that the others need. */
static void streams_that_share_a_budget_leave_room_for_each_other(void **state)
{
    enum { STREAMS = 8 };
    struct world *world = *state;
    static const uint32_t fields[] = {0, 1, 2};
    struct budget shared;
    struct runtime runtime = world->runtime;
    struct parquet_reader *readers[STREAMS];
    struct batch_stream *streams[STREAMS];
    struct batch *batches[STREAMS] = {0};
    int64_t rows = 0;
    (void)far_of(world);
    runtime.pool = pool_new(2);
    budget_init(&shared, "shared memory", 20 << 20, NULL, NULL);
    for (int i = 0; i < STREAMS; i++) {
        assert_ok(
            parquet_reader_open(&readers[i], &runtime, world->store, SLICE("small"), &shared));
        assert_ok(parquet_reader_stream_part(readers[i], fields, 3, 0, N_ROWS, 2000, &streams[i]));
    }
    for (bool any = true; any;) {
        any = false;
        for (int i = 0; i < STREAMS; i++) {
            batch_release(batches[i]);
            batches[i] = NULL;
            assert_ok(batch_stream_next(streams[i], &batches[i]));
            if (batches[i]) rows += batches[i]->n_rows;
            any |= batches[i] != NULL;
            usleep(100); /* what is read ahead comes meanwhile */
            /* The merge's own needs. */
            assert_true(budget_left(&shared) > 2 << 20);
        }
    }
    assert_int_equal(rows, (int64_t)STREAMS * N_ROWS);
    for (int i = 0; i < STREAMS; i++) {
        batch_stream_close(streams[i]);
        parquet_reader_close(readers[i]);
    }
    assert_int_equal(budget_used(&shared), 0);
    assert_int_equal(shared.ahead_bytes, 0);
    pool_free(runtime.pool);
}

static void a_read_that_fails_on_its_way_ends_the_stream_where_it_stands(void **state)
{
    struct world *world = *state;
    for (unsigned threads = 0; threads <= 2; threads++) {
        for (int64_t at = 1; at < 14; at += 3) {
            struct runtime runtime = world->runtime;
            struct far_store *far = far_of(world);
            int code;
            runtime.pool = pool_new(threads);
            far->fail_at = at;
            int64_t n = read_rows(world, &runtime, "small", 0, N_ROWS, 0, &world->budget, &code);
            assert_int_equal(code, GLIS_EIO);
            assert_non_null(strstr(error_message(), "the line is down"));
            assert_non_null(strstr(error_message(), "'small'"));
            assert_int_equal(n, (at - 1) * 9001); /* asked for in order, given out in order */
            assert_int_equal(far->n_ended + far->n_dropped, far->n_begun);
            assert_int_equal(budget_used(&world->budget), 0);
            pool_free(runtime.pool);
        }
    }
}

/* As a merge reads: one thread, the next part under way. */
static void a_serial_stream_has_its_next_part_under_way(void **state)
{
    struct world *world = *state;
    static const uint32_t fields[] = {2, 0};
    static const char *const names[] = {"small", "large", "old"};
    for (int i = 0; i < 6; i++) {
        struct far_store *far = far_of(world);
        struct parquet_reader *reader;
        struct batch_stream *stream;
        uint64_t first = i < 3 ? 0 : 8999, done = 0;
        int code;
        assert_ok(parquet_reader_open(&reader, &world->runtime, world->store,
                                      slice_from_text(names[i % 3]), &world->budget));
        assert_ok(parquet_reader_stream_serial(reader, fields, 2, first, N_ROWS - first, 1000,
                                               &world->budget, &stream));
        far->fail_at = i == 3 ? 4 : 0;
        for (;;) {
            struct batch *batch;
            struct value value;
            code = batch_stream_next(stream, &batch);
            if (code < 0 || !batch) break;
            for (int64_t row = 0; row < batch->n_rows; row++) {
                column_value(&batch->columns[1], row, &value);
                assert_int_equal(value.integer, (int64_t)(first + done++) * 7);
            }
            batch_release(batch);
        }
        batch_stream_close(stream);
        parquet_reader_close(reader);
        assert_int_equal(code, i == 3 ? GLIS_EIO : 0);
        assert_int_equal(done, i == 3 ? 9001 - 8999 + 2 * 9001 : N_ROWS - first);
        assert_int_equal(far->n_ended + far->n_dropped, far->n_begun);
        assert_int_equal(budget_used(&world->budget), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planned_rows_are_read_in_one_call),
        cmocka_unit_test(rows_come_in_order_with_any_threads_and_sizes),
        cmocka_unit_test(parts_begin_and_end_anywhere),
        cmocka_unit_test(what_comes_before_a_broken_page_is_given_out),
        cmocka_unit_test(a_small_budget_makes_small_batches),
        cmocka_unit_test(a_stream_may_be_closed_at_any_point),
    };
    const struct CMUnitTest far[] = {
        cmocka_unit_test(planned_rows_are_read_in_one_call),
        cmocka_unit_test(rows_come_in_order_with_any_threads_and_sizes),
        cmocka_unit_test(parts_begin_and_end_anywhere),
        cmocka_unit_test(what_comes_before_a_broken_page_is_given_out),
        cmocka_unit_test(a_small_budget_makes_small_batches),
        cmocka_unit_test(a_stream_may_be_closed_at_any_point),
        cmocka_unit_test(what_is_next_is_asked_for_before_it_is_needed),
        cmocka_unit_test(what_is_under_way_keeps_to_the_budget),
        cmocka_unit_test(streams_that_share_a_budget_leave_room_for_each_other),
        cmocka_unit_test(a_read_that_fails_on_its_way_ends_the_stream_where_it_stands),
        cmocka_unit_test(a_serial_stream_has_its_next_part_under_way),
    };
    int failed = cmocka_run_group_tests_name("from a folder", tests, set_up, tear_down);
    return failed + cmocka_run_group_tests_name("from far away", far, set_up_far, tear_down);
}
