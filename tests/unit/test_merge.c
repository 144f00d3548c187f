/*
 * test_merge.c: several ordered streams into one: any number of inputs, of any lengths, up and
 * down, with inputs that do not overlap (whole batches pass through), equal keys (the order of the
 * inputs), and inputs that are not in order.
 */
#include "sorting.h"

#include "lsm/lsm.h"

static const struct type long_key = {.kind = TYPE_INT64};

/* A batch with the given keys, ids from first_id on. */
static struct batch *batch_of(const struct schema *schema, const int64_t *keys, int64_t n,
                              int64_t first_id)
{
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (int64_t i = 0; i < n; i++) {
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 0), keys[i]));
        assert_ok(column_builder_append_null(batch_builder_column(builder, 1)));
        assert_ok(column_builder_end(batch_builder_column(builder, 2)));
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 3), first_id + i));
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    return batch;
}

struct merge_case {
    const char *name;
    unsigned n_inputs;
    int64_t rows_each, batch_rows;
    uint64_t spread;
    bool descending, read_ahead, disjoint;
};

static const struct merge_case cases[] = {
    {"no input", 0, 0, 1, 1, false, false, false},
    {"one input", 1, 5000, 100, 1000, false, false, false},
    {"two", 2, 5000, 1000, 100000, false, false, false},
    {"three, read ahead", 3, 4000, 333, 100000, false, true, false},
    {"seven, few keys", 7, 1000, 100, 3, false, true, false},
    {"seven, down", 7, 1000, 100, 5000, true, false, false},
    {"many short", 60, 17, 5, 1000, false, true, false},
    {"disjoint", 5, 2000, 250, 1000, false, false, true},
    {"disjoint, down", 5, 2000, 250, 1000, true, true, true},
};

static int up(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int down(const void *a, const void *b)
{
    return up(b, a);
}

static void merge_and_check(const struct merge_case *c)
{
    struct sorting_world world;
    sorting_world_open(&world, 2);
    struct schema *schema = sorting_schema(&long_key, 1, 0);
    int64_t n_all = c->n_inputs * c->rows_each;
    struct sorting_rows rows = {.batch_rows = c->batch_rows};
    rows.batches = calloc((size_t)n_all + 1, sizeof *rows.batches);
    struct batch_stream **inputs = calloc(c->n_inputs + 1, sizeof(struct batch_stream *));
    int64_t *keys = calloc((size_t)c->rows_each + 1, sizeof *keys);
    for (unsigned i = 0; i < c->n_inputs; i++) {
        for (int64_t row = 0; row < c->rows_each; row++) {
            keys[row] = (int64_t)random_below(world.runtime.random, c->spread);
            if (c->disjoint) keys[row] += (int64_t)(i * c->spread);
        }
        qsort(keys, (size_t)c->rows_each, sizeof *keys, c->descending ? down : up);
        int64_t first = rows.n_batches, id = i * c->rows_each;
        for (int64_t row = 0; row < c->rows_each; row += c->batch_rows) {
            int64_t n = c->rows_each - row < c->batch_rows ? c->rows_each - row : c->batch_rows;
            rows.batches[rows.n_batches++] = batch_of(schema, keys + row, n, id + row);
        }
        assert_ok(batch_stream_of(schema, rows.batches + first, (uint32_t)(rows.n_batches - first),
                                  &inputs[i]));
    }
    /* Ids run through the inputs, so batches are found by id only when no input ends in a short
     * one. */
    struct sorting_rows flat = rows;
    if (c->rows_each % c->batch_rows != 0) {
        flat.batch_rows = n_all;
        flat.n_batches = 1;
        flat.batches = calloc(1, sizeof *flat.batches);
        assert_ok(batch_concat((const struct batch *const *)rows.batches, (uint32_t)rows.n_batches,
                               NULL, &flat.batches[0]));
    }
    struct merge_options options = {
        .descending = c->descending, .read_ahead = c->read_ahead, .batch_rows = 700};
    struct batch_stream *stream;
    assert_ok(
        merge_open(&stream, &world.runtime, schema, inputs, c->n_inputs, &options, &world.budget));
    sorting_check(stream, &flat, n_all, c->descending);
    if (flat.batches != rows.batches) sorting_rows_free(&flat);
    sorting_rows_free(&rows);
    free(inputs);
    free(keys);
    schema_release(schema);
    sorting_world_close(&world);
}

static void merged_rows_come_out_once_whole_and_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        merge_and_check(&cases[i]);
}

static void equal_keys_come_in_the_order_of_the_inputs(void **state)
{
    (void)state;
    struct sorting_world world;
    sorting_world_open(&world, 0);
    struct schema *schema = sorting_schema(&long_key, 1, 0);
    static const int64_t keys[3][4] = {{1, 2, 2, 9}, {2, 2, 3, 9}, {0, 2, 9, 9}};
    /* Ids 0 .. 3, 10 .. 13, 20 .. 23; worked out by hand. */
    static const int64_t expected[] = {20, 0, 1, 2, 10, 11, 21, 12, 3, 13, 22, 23};
    struct batch_stream *inputs[3], *stream;
    for (int i = 0; i < 3; i++) {
        struct batch *batch = batch_of(schema, keys[i], 4, i * 10);
        assert_ok(batch_stream_of(schema, &batch, 1, &inputs[i]));
        batch_release(batch);
    }
    assert_ok(merge_open(&stream, &world.runtime, schema, inputs, 3, NULL, &world.budget));
    size_t n = 0;
    for (;;) {
        struct batch *batch;
        assert_ok(batch_stream_next(stream, &batch));
        if (!batch) break;
        for (int64_t row = 0; row < batch->n_rows; row++, n++) {
            assert_true(n < 12);
            assert_int_equal(sorting_id(batch, row), expected[n]);
        }
        batch_release(batch);
    }
    assert_int_equal(n, 12);
    batch_stream_close(stream);
    schema_release(schema);
    sorting_world_close(&world);
}

static void an_input_out_of_order_is_named(void **state)
{
    (void)state;
    struct sorting_world world;
    sorting_world_open(&world, 2);
    struct schema *schema = sorting_schema(&long_key, 1, 0);
    static const int64_t good[] = {1, 2, 3}, bad_within[] = {1, 3, 2}, bad_between[] = {2, 5, 6};
    struct batch *batches[] = {batch_of(schema, good, 3, 0), batch_of(schema, bad_within, 3, 3),
                               batch_of(schema, bad_between, 3, 6)};
    for (int i = 0; i < 2; i++) {
        /* The second input is [1 3 2], or [1 2 3][2 5 6]. */
        struct batch *second[] = {batches[i ? 0 : 1], batches[2]};
        struct batch_stream *inputs[2], *stream;
        struct batch *batch = NULL;
        assert_ok(batch_stream_of(schema, batches, 1, &inputs[0]));
        assert_ok(batch_stream_of(schema, second, 2, &inputs[1]));
        assert_ok(merge_open(&stream, &world.runtime, schema, inputs, 2, NULL, &world.budget));
        int code;
        while ((code = batch_stream_next(stream, &batch)) == 0 && batch)
            batch_release(batch);
        assert_int_equal(code, GLIS_ECORRUPT);
        assert_non_null(strstr(error_message(), i ? "input 1 of a merge is out of order at row 3"
                                                  : "input 1 of a merge is out of order at row 2"));
        batch_stream_close(stream);
    }
    for (int i = 0; i < 3; i++)
        batch_release(batches[i]);
    schema_release(schema);
    sorting_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_rows_come_out_once_whole_and_in_order),
        cmocka_unit_test(equal_keys_come_in_the_order_of_the_inputs),
        cmocka_unit_test(an_input_out_of_order_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
