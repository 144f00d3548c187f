/*
 * test_batch.c: batches made, sliced, compared, measured and streamed; and each fault that
 * validation has to see, put into a sound batch one at a time.
 */
#include "batches.h"

static void slices_share_buffers_and_count_their_nulls(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t s = 0; s < n; s++) {
        struct batch *batch = batch_of(all[s].type, all[s].values), *part, *inner;
        const struct json *json = json_of(&arena, all[s].values);
        for (int begin = 0; begin <= 8; begin++) {
            for (int length = 0; begin + length <= 8; length++) {
                int64_t nulls = 0;
                assert_ok(batch_slice(batch, begin, length, &part));
                assert_ok(batch_validate(part, true));
                assert_true(batch_equal(part, part, NULL, NULL));
                for (int i = 0; i < length; i++) {
                    assert_entry(&part->columns[0], i, &json->items[begin + i]);
                    nulls += json->items[begin + i].type == JSON_TYPE_NULL;
                }
                assert_int_equal(part->columns[0].null_count, nulls);
                assert_ptr_equal(part->columns[0].values.block, batch->columns[0].values.block);
                if (length > 1) { /* a slice of a slice */
                    assert_ok(batch_slice(part, 1, 1, &inner));
                    assert_entry(&inner->columns[0], 0, &json->items[begin + 1]);
                    batch_release(inner);
                }
                batch_release(part);
            }
        }
        assert_fails(batch_slice(batch, batch->n_rows, 1, &part), GLIS_EINVALID, NULL);
        assert_fails(batch_slice(batch, -1, 1, &part), GLIS_EINVALID, NULL);
        assert_fails(batch_slice(batch, 1, INT64_MAX, &part), GLIS_EINVALID, NULL);
        batch_release(batch);
    }
}

static void columns_must_fit_their_batch(void **state)
{
    (void)state;
    struct batch *batch = batch_of(plain_type(TYPE_INT32), "[1,2]"), *out;
    struct schema *other = schema_with(plain_type(TYPE_INT64), true);
    struct column column;
    assert_ok(column_share(&column, &batch->columns[0]));
    assert_fails(batch_new(&out, other, &column, 2), GLIS_EINVALID, "'v'");
    assert_ok(column_share(&column, &batch->columns[0]));
    assert_fails(batch_new(&out, batch->schema, &column, 3), GLIS_EINVALID, "'v'");
    schema_release(other);
    batch_release(batch);
}

/* ---- validation ---- */

static struct column *only(struct batch *batch)
{
    return &batch->columns[0];
}

static int32_t *offsets_of(struct column *column)
{
    return (int32_t *)(void *)column->offsets.block->data;
}

static void expect_fault(struct batch *batch, const char *text)
{
    assert_fails(batch_validate(batch, true), GLIS_EINVALID, text);
    batch_release(batch);
}

static void faults_of_flat_columns_are_seen(void **state)
{
    (void)state;
    struct type text = plain_type(TYPE_STRING), ints = plain_type(TYPE_INT32);
    struct batch *batch = batch_of(text, "['ab','cd',null]");
    only(batch)->null_count = 0;
    expect_fault(batch, "count of nulls");
    batch = batch_of(text, "['ab','cd',null]");
    only(batch)->validity.size = 0;
    expect_fault(batch, "bitmap is too short");
    batch = batch_of(text, "['ab','cd']");
    only(batch)->offsets.size = 11;
    expect_fault(batch, "offsets are missing");
    batch = batch_of(text, "['ab','cd']");
    offsets_of(only(batch))[0] = -1;
    expect_fault(batch, "negative");
    batch = batch_of(text, "['ab','cd']");
    offsets_of(only(batch))[1] = 5;
    expect_fault(batch, "ascend");
    batch = batch_of(text, "['ab','cd']");
    offsets_of(only(batch))[2] = 5;
    expect_fault(batch, "beyond the end");
    batch = batch_of(text, "['ab','cd']");
    only(batch)->values.block->data[3] = 0xc3;
    assert_ok(batch_validate(batch, false));
    expect_fault(batch, "UTF-8");
    batch = batch_of(ints, "[1,2]");
    only(batch)->values.size = 7;
    expect_fault(batch, "values are missing");
    batch = batch_of(ints, "[1,2]");
    only(batch)->length = 1;
    expect_fault(batch, "length");
    batch = batch_of(ints, "[1,2]");
    only(batch)->offset = -1;
    expect_fault(batch, "negative length");
    batch = batch_of(plain_type(TYPE_BOOLEAN), "[1,0,1,0,1,0,1,0,1]");
    only(batch)->values.size = 1;
    expect_fault(batch, "values are missing");
}

static void faults_of_nested_columns_are_seen(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type ints = plain_type(TYPE_INT32), list = type_list(&arena, ints, true);
    struct type pair = struct_type(&arena, ints, list);
    struct batch *batch = batch_of(list, "[[1,2],[3]]");
    offsets_of(only(batch))[2] = 4;
    expect_fault(batch, "beyond the end");
    batch = batch_of(list, "[[1,2],[3]]");
    only(batch)->children[0].null_count = 1;
    expect_fault(batch, "in 'v'");
    batch = batch_of(pair, "[[1,[2]],[3,[4]]]");
    only(batch)->children[0].length = 1;
    expect_fault(batch, "a child is too short");
    batch = batch_of(pair, "[[1,[2]],[3,[4]]]");
    offsets_of(&only(batch)->children[1])[1] = 3;
    expect_fault(batch, "ascend");
}

/* A null of a field that is not nullable is a fault where it can be seen. */
static void nulls_are_looked_for_where_they_can_be_seen(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type ints = plain_type(TYPE_INT32);
    struct type lists[] = {type_list(&arena, ints, true), type_list(&arena, ints, false)};
    static const struct {
        const char *values;
        int64_t begin, n;
        bool seen;
    } cases[] = {
        {"[[1],[null],[2]]", 0, 3, true},  {"[[1],[null],[2]]", 1, 1, true},
        {"[[1],[null],[2]]", 2, 1, false}, {"[[1],[null],[2]]", 0, 1, false},
        {"[[1],[],null]", 0, 3, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct batch *batch = batch_of(lists[0], cases[i].values), *strict, *part;
        struct schema *schema = schema_with(lists[1], true);
        struct column column;
        assert_ok(column_share(&column, only(batch)));
        column.type = &lists[1];
        assert_ok(batch_new(&strict, schema, &column, 3));
        assert_ok(batch_slice(strict, cases[i].begin, cases[i].n, &part));
        if (cases[i].seen)
            assert_fails(batch_validate(part, true), GLIS_EINVALID, "a null where none may be");
        else
            assert_ok(batch_validate(part, true));
        batch_release(part);
        batch_release(strict);
        batch_release(batch);
        schema_release(schema);
    }
    struct batch *batch = batch_of(ints, "[1,null]"), *strict;
    struct schema *schema = schema_with(ints, false);
    struct column column;
    assert_ok(column_share(&column, only(batch)));
    assert_ok(batch_new(&strict, schema, &column, 2));
    expect_fault(strict, "a null where none may be");
    batch_release(batch);
    schema_release(schema);
}

static void indices_beyond_a_dictionary_are_seen(void **state)
{
    (void)state;
    struct batch *batch = batch_of(plain_type(TYPE_INT32), "[0,1,2]"), *coded;
    struct column column;
    assert_ok(column_share(&column, only(batch))); /* the numbers are the indices */
    column.dictionary = memory_alloc_zero(sizeof *column.dictionary);
    assert_ok(column_slice(column.dictionary, only(batch), 0, 2));
    assert_ok(batch_new(&coded, batch->schema, &column, 3));
    expect_fault(coded, "an index is beyond the dictionary");
    batch_release(batch);
}

/* ---- comparing, sizes, streams ---- */

static void rows_compare_by_value(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type ints = plain_type(TYPE_INT32), text = plain_type(TYPE_STRING);
    struct type list = type_list(&arena, ints, true);
    const struct { /* ascending */
        struct type type;
        const char *values;
    } cases[] = {
        {ints, "[-5,0,7,null]"},
        {text, "['','a','ab','b',null]"},
        {plain_type(TYPE_DOUBLE), "[-1.5,0.0,2.5,null]"},
        {list, "[[],[1],[1,2],[1,null],[2],[null],null]"},
        {type_map(&arena, text, ints, true), "[[],[['a',1]],[['a',1],['b',0]],[['a',2]],null]"},
        {struct_type(&arena, ints, text), "[[1,'a'],[1,'b'],[1,null],[2,'a'],[null,'a'],null]"},
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        struct batch *batch = batch_of(cases[c].type, cases[c].values);
        for (int64_t i = 0; i < batch->n_rows; i++)
            for (int64_t j = 0; j < batch->n_rows; j++) {
                int order = batch_compare_rows(batch, i, batch, j, 0, 1);
                assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            }
        batch_release(batch);
    }
}

static void differences_are_told(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct batch *one = batch_of(plain_type(TYPE_INT32), "[1,2,null]");
    struct batch *two = batch_of(plain_type(TYPE_INT32), "[1,2,0]");
    struct batch *three = batch_of(plain_type(TYPE_INT32), "[1]");
    struct batch *four = batch_of(plain_type(TYPE_INT64), "[1,2,null]");
    const char *text = NULL;
    assert_false(batch_equal(one, two, &arena, &text));
    assert_string_equal(text, "row 2, column 'v'");
    assert_false(batch_equal(one, three, &arena, &text));
    assert_string_equal(text, "other numbers of rows");
    assert_false(batch_equal(one, four, &arena, &text));
    assert_string_equal(text, "other schemas");
    assert_true(batch_equal(one, one, &arena, &text));
    batch_release(one);
    batch_release(two);
    batch_release(three);
    batch_release(four);
}

static void bytes_are_those_of_the_rows(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type ints = plain_type(TYPE_INT32), text = plain_type(TYPE_STRING);
    const struct {
        struct type type;
        const char *values;
        uint64_t all, last; /* of all rows, of the last one alone */
    } cases[] = {
        {ints, "[1,2,3]", 12, 4},
        {ints, "[1,null,3]", 13, 5},
        {plain_type(TYPE_BOOLEAN), "[1,1,1,1,1,1,1,1,1]", 2, 1},
        {text, "['abc','','de']", 16 + 5, 8 + 2},
        {type_list(&arena, ints, true), "[[1,2],[],[3]]", 16 + 12, 8 + 4},
        {struct_type(&arena, ints, text), "[[1,'a'],[2,'bcd']]", 8 + 12 + 4, 4 + 8 + 3},
        {plain_type(TYPE_NULL), "[null,null]", 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct batch *batch = batch_of(cases[i].type, cases[i].values), *part;
        assert_int_equal(batch_bytes(batch), cases[i].all);
        assert_ok(batch_slice(batch, batch->n_rows - 1, 1, &part));
        assert_int_equal(batch_bytes(part), cases[i].last);
        batch_release(part);
        batch_release(batch);
    }
}

static void streams_give_each_batch_once(void **state)
{
    (void)state;
    struct batch *batch = batch_of(plain_type(TYPE_INT32), "[1,2]"), *part, *out;
    struct batch_stream *stream;
    assert_ok(batch_slice(batch, 1, 1, &part));
    struct batch *both[] = {batch, part};
    assert_ok(batch_stream_of(batch->schema, both, 2, &stream));
    batch_release(batch);
    batch_release(part);
    assert_ok(batch_stream_next(stream, &out));
    assert_values(out, "[1,2]");
    batch_release(out);
    assert_ok(batch_stream_next(stream, &out));
    assert_values(out, "[2]");
    batch_release(out);
    for (int i = 0; i < 2; i++) {
        assert_ok(batch_stream_next(stream, &out));
        assert_null(out);
    }
    batch_stream_close(stream);
    batch_stream_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_share_buffers_and_count_their_nulls),
        cmocka_unit_test(columns_must_fit_their_batch),
        cmocka_unit_test(faults_of_flat_columns_are_seen),
        cmocka_unit_test(faults_of_nested_columns_are_seen),
        cmocka_unit_test(nulls_are_looked_for_where_they_can_be_seen),
        cmocka_unit_test(indices_beyond_a_dictionary_are_seen),
        cmocka_unit_test(rows_compare_by_value),
        cmocka_unit_test(differences_are_told),
        cmocka_unit_test(bytes_are_those_of_the_rows),
        cmocka_unit_test(streams_give_each_batch_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
