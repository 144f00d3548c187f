/*
 * test_builder.c: columns built entry by entry, by whole columns, with rows dropped and with memory
 * running out at every point.
 */
#include "batches.h"

static void values_that_do_not_fit_leave_the_column_as_it_was(void **state)
{
    (void)state;
    static const struct {
        enum type_kind kind;
        int64_t low, high;
    } cases[] = {
        {TYPE_BOOLEAN, 0, 1},         {TYPE_INT8, -128, 127},
        {TYPE_INT16, -32768, 32767},  {TYPE_INT32, INT32_MIN, INT32_MAX},
        {TYPE_UINT8, 0, 255},         {TYPE_UINT16, 0, 65535},
        {TYPE_UINT32, 0, UINT32_MAX}, {TYPE_DATE, INT32_MIN, INT32_MAX},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schema *schema = schema_with(plain_type(cases[i].kind), false);
        struct batch_builder *builder;
        struct batch *batch;
        char expected[64];
        assert_ok(batch_builder_new(&builder, schema, NULL));
        struct column_builder *column = batch_builder_column(builder, 0);
        assert_ok(column_builder_append_integer(column, cases[i].low));
        assert_fails(column_builder_append_integer(column, cases[i].low - 1), GLIS_EDATA, "fit");
        assert_fails(column_builder_append_integer(column, cases[i].high + 1), GLIS_EDATA, "fit");
        assert_fails(column_builder_append_real(column, 1), GLIS_EDATA, "fit");
        assert_fails(column_builder_append_decimal(column, 1), GLIS_EDATA, "fit");
        assert_fails(column_builder_append_bytes(column, SLICE("abc")), GLIS_EDATA, "fit");
        assert_fails(column_builder_append_null(column), GLIS_EDATA, "'v'");
        assert_ok(column_builder_append_integer(column, cases[i].high));
        assert_int_equal(column_builder_length(column), 2);
        assert_ok(batch_builder_finish(builder, &batch));
        snprintf(expected, sizeof expected, "[%lld,%lld]", (long long)cases[i].low,
                 (long long)cases[i].high);
        assert_values(batch, expected);
        batch_release(batch);
        batch_builder_free(builder);
        schema_release(schema);
    }
}

static void decimals_are_held_to_their_precision(void **state)
{
    (void)state;
    struct schema *schema = schema_with(decimal_type(TYPE_DECIMAL, 38, 0), false);
    struct batch_builder *builder;
    int128 most = digits_of(SLICE("99999999999999999999999999999999999999"));
    assert_ok(batch_builder_new(&builder, schema, NULL));
    struct column_builder *column = batch_builder_column(builder, 0);
    assert_ok(column_builder_append_decimal(column, most));
    assert_ok(column_builder_append_decimal(column, -most));
    assert_fails(column_builder_append_decimal(column, most + 1), GLIS_EDATA, "DecimalType(38,0)");
    assert_fails(column_builder_append_decimal(column, -most - 1), GLIS_EDATA, NULL);
    batch_builder_free(builder);
    schema_release(schema);
}

/* Every second row is begun and dropped; what stays is what was ended. */
static void dropped_rows_leave_no_trace(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t s = 0; s < n; s++) {
        struct schema *schema = schema_with(all[s].type, true);
        const struct json *json = json_of(&arena, all[s].values);
        struct batch_builder *builder;
        struct batch *batch;
        assert_ok(batch_builder_new(&builder, schema, NULL));
        struct column_builder *column = batch_builder_column(builder, 0);
        for (int round = 0; round < 2; round++) { /* a builder may be used again */
            for (int i = 0; i < 8; i++) {
                assert_ok(append_json(column, &json->items[7 - i]));
                batch_builder_drop_row(builder);
                assert_ok(append_json(column, &json->items[i]));
                assert_ok(batch_builder_end_row(builder));
                assert_int_equal(batch_builder_rows(builder), i + 1);
            }
            if (all[s].type.n_children) { /* an entry begun and not ended */
                const struct json *first = &json->items[0];
                assert_ok(append_json(column_builder_child(column, 0), &first->items[0]));
                batch_builder_drop_row(builder);
            }
            assert_ok(batch_builder_finish(builder, &batch));
            assert_ok(batch_validate(batch, true));
            assert_int_equal(batch->n_rows, 8);
            for (int i = 0; i < 8; i++)
                assert_entry(&batch->columns[0], i, &json->items[i]);
            assert_int_equal(batch_builder_bytes(builder), 0);
            batch_release(batch);
        }
        batch_builder_free(builder);
        schema_release(schema);
    }
}

static void columns_are_appended_whole_and_in_part(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t s = 0; s < n; s++) {
        struct batch *batch = batch_of(all[s].type, all[s].values), *part, *out;
        const struct json *json = json_of(&arena, all[s].values);
        struct batch_builder *builder;
        assert_ok(batch_builder_new(&builder, batch->schema, NULL));
        struct column_builder *column = batch_builder_column(builder, 0);
        assert_ok(batch_slice(batch, 3, 5, &part));
        assert_ok(column_builder_append_column(column, &part->columns[0], 1, 3));
        assert_ok(column_builder_append_column(column, &batch->columns[0], 0, 8));
        assert_ok(column_builder_append_column(column, &batch->columns[0], 0, 0));
        assert_ok(batch_builder_finish(builder, &out));
        assert_ok(batch_validate(out, true));
        assert_int_equal(out->n_rows, 11);
        for (int i = 0; i < 11; i++)
            assert_entry(&out->columns[0], i, &json->items[i < 3 ? 4 + i : i - 3]);
        batch_release(out);
        batch_release(part);
        batch_release(batch);
        batch_builder_free(builder);
    }
}

static void defaults_are_zero_and_empty(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type ints = plain_type(TYPE_INT32), text = plain_type(TYPE_STRING);
    const struct {
        struct type type;
        const char *expected;
    } cases[] = {
        {plain_type(TYPE_BOOLEAN), "[0]"},
        {ints, "[0]"},
        {text, "['']"},
        {plain_type(TYPE_DOUBLE), "[0.0]"},
        {decimal_type(TYPE_DECIMAL, 5, 0), "['0']"},
        {type_list(&arena, ints, true), "[[]]"},
        {type_map(&arena, text, ints, true), "[[]]"},
        {struct_type(&arena, ints, text), "[[0,'']]"},
        {plain_type(TYPE_NULL), "[null]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schema *schema = schema_with(cases[i].type, true);
        struct batch_builder *builder;
        struct batch *batch;
        assert_ok(batch_builder_new(&builder, schema, NULL));
        assert_ok(column_builder_append_default(batch_builder_column(builder, 0)));
        assert_ok(batch_builder_finish(builder, &batch));
        assert_values(batch, cases[i].expected);
        batch_release(batch);
        batch_builder_free(builder);
        schema_release(schema);
    }
}

/* With every limit from nothing up: an append that fails can be dropped, and tried again. */
static void memory_may_run_out_at_any_point(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t s = 0; s < n; s++) {
        struct schema *schema = schema_with(all[s].type, true);
        const struct json *json = json_of(&arena, all[s].values);
        bool done = false;
        for (uint64_t limit = 32; !done && limit < 100000; limit += 96) {
            struct budget budget;
            struct batch_builder *builder;
            struct batch *batch;
            int code = 0;
            budget_init(&budget, "test memory", limit, NULL, NULL);
            assert_ok(batch_builder_new(&builder, schema, &budget));
            struct column_builder *column = batch_builder_column(builder, 0);
            for (int i = 0; i < 8 && code == 0; i++) {
                code = append_json(column, &json->items[i]);
                if (code == 0) {
                    assert_ok(batch_builder_end_row(builder));
                    continue;
                }
                assert_int_equal(code, GLIS_ENOMEM);
                batch_builder_drop_row(builder);
                assert_int_equal(column_builder_length(column), i);
                budget.limit_bytes = 0; /* now there is enough */
                assert_ok(append_json(column, &json->items[i]));
                assert_ok(batch_builder_end_row(builder));
                code = 0;
            }
            done = budget.limit_bytes == limit;
            code = batch_builder_finish(builder, &batch);
            if (code == 0) {
                assert_ok(batch_validate(batch, true));
                for (int i = 0; i < 8; i++)
                    assert_entry(&batch->columns[0], i, &json->items[i]);
                batch_release(batch);
            } else {
                assert_int_equal(code, GLIS_ENOMEM);
                done = false;
            }
            batch_builder_free(builder);
            assert_int_equal(budget_used(&budget), 0);
        }
        assert_true(done);
        schema_release(schema);
    }
}

/* A null struct that fails in its second member leaves nothing of the first. */
static void a_struct_fails_as_a_whole(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type wide = {.kind = TYPE_FIXED_BYTES, .width = 1000};
    struct schema *schema = schema_with(struct_type(&arena, plain_type(TYPE_INT32), wide), true);
    struct batch_builder *builder;
    struct batch *batch;
    struct budget budget;
    budget_init(&budget, "test memory", 1200, NULL, NULL);
    assert_ok(batch_builder_new(&builder, schema, &budget));
    struct column_builder *column = batch_builder_column(builder, 0);
    assert_fails(column_builder_append_null(column), GLIS_ENOMEM, "test memory");
    assert_int_equal(column_builder_length(column), 0);
    assert_int_equal(column_builder_length(column_builder_child(column, 0)), 0);
    budget.limit_bytes = 0;
    assert_ok(column_builder_append_integer(column_builder_child(column, 0), 7));
    assert_ok(column_builder_append_null(column_builder_child(column, 1)));
    assert_ok(column_builder_end(column));
    assert_ok(batch_builder_finish(builder, &batch));
    assert_values(batch, "[[7,null]]");
    batch_release(batch);
    batch_builder_free(builder);
    assert_int_equal(budget_used(&budget), 0);
    schema_release(schema);
}

static void missing_columns_of_a_row_become_null(void **state)
{
    (void)state;
    struct field fields[] = {{SLICE("v"), plain_type(TYPE_INT32), true},
                             {SLICE("must"), plain_type(TYPE_INT32), false}};
    struct schema *schema;
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(schema_new(&schema, fields, 2, 0, 0));
    assert_ok(batch_builder_new(&builder, schema, NULL));
    assert_ok(column_builder_append_integer(batch_builder_column(builder, 1), 5));
    assert_ok(batch_builder_end_row(builder));
    assert_ok(column_builder_append_integer(batch_builder_column(builder, 0), 9));
    assert_fails(batch_builder_end_row(builder), GLIS_EDATA, "'must'");
    assert_int_equal(batch_builder_rows(builder), 1);
    assert_ok(batch_builder_finish(builder, &batch));
    assert_values(batch, "[null]");
    batch_release(batch);
    batch_builder_free(builder);
    batch_builder_free(NULL);
    schema_release(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_do_not_fit_leave_the_column_as_it_was),
        cmocka_unit_test(decimals_are_held_to_their_precision),
        cmocka_unit_test(dropped_rows_leave_no_trace),
        cmocka_unit_test(columns_are_appended_whole_and_in_part),
        cmocka_unit_test(defaults_are_zero_and_empty),
        cmocka_unit_test(memory_may_run_out_at_any_point),
        cmocka_unit_test(a_struct_fails_as_a_whole),
        cmocka_unit_test(missing_columns_of_a_row_become_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
