/*
 * test_conform.c: rows of any schema brought into a table's, without loss or with a reason; and
 * rows of an older schema of the same table. Tables are made of one row key `k` and a value `v`.
 */
#include "batches.h"

#include <math.h>

struct reported {
    int n;
    int64_t rows[8];
    char text[256];
};

static int set_aside(void *state, const struct bad_row *bad)
{
    struct reported *reported = state;
    reported->rows[reported->n++] = bad->row;
    snprintf(reported->text, sizeof reported->text, "%s: %s", bad->field, bad->reason);
    return 0;
}

static struct schema *table_with(struct type type, bool nullable)
{
    struct field fields[] = {{SLICE("k"), plain_type(TYPE_INT64), false},
                             {SLICE("v"), type, nullable}};
    struct schema *schema;
    assert_ok(schema_new(&schema, fields, 2, 1, 0));
    return schema;
}

/* A batch of the columns v, as given, and k, 0 and up: not in the table's order. */
static struct batch *rows_of(struct type type, const char *values)
{
    struct batch *one = batch_of(type, values), *batch;
    struct field fields[] = {{SLICE("v"), type, true}, {SLICE("k"), plain_type(TYPE_INT64), false}};
    struct schema *schema;
    struct column columns[2];
    struct block *numbers;
    assert_ok(schema_new(&schema, fields, 2, 0, 0));
    assert_ok(block_new(&numbers, NULL, (uint64_t)one->n_rows * 8));
    for (int64_t i = 0; i < one->n_rows; i++)
        memcpy(numbers->data + 8 * i, &i, 8);
    assert_ok(column_share(&columns[0], &one->columns[0]));
    columns[1] = (struct column){.type = &fields[1].type, .length = one->n_rows};
    columns[1].values = (struct column_buffer){numbers, numbers->data, (uint64_t)one->n_rows * 8};
    assert_ok(batch_new(&batch, schema, columns, one->n_rows));
    schema_release(schema);
    batch_release(one);
    return batch;
}

static void check_values(const struct batch *batch, const char *values)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json = json_of(&arena, values);
    assert_ok(batch_validate(batch, true));
    assert_int_equal(batch->n_rows, json->n_items);
    for (size_t i = 0; i < json->n_items; i++)
        assert_entry(&batch->columns[1], (int64_t)i, &json->items[i]);
}

static void values_are_brought_over_or_set_aside(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct type ints = plain_type(TYPE_INT32), longs = plain_type(TYPE_INT64);
    const struct type reals = plain_type(TYPE_DOUBLE), floats = plain_type(TYPE_FLOAT);
    const struct type text = plain_type(TYPE_STRING), bytes = plain_type(TYPE_BYTES);
    const struct type instant = timed_type(TYPE_TIMESTAMP, UNIT_MICRO, true);
    const struct type big = decimal_type(TYPE_DECIMAL, 38, 38),
                      whole = decimal_type(TYPE_DECIMAL, 38, 0);
    const struct type small = decimal_type(TYPE_DECIMAL, 3, 1);
    const struct type list = type_list(&arena, longs, true),
                      narrow = type_list(&arena, ints, false);
    const struct type map = type_map(&arena, text, longs, true);
    const struct type short_map = type_map(&arena, bytes, plain_type(TYPE_UINT8), true);
    const struct {
        struct type from;
        const char *values;
        struct type to;
        const char *expected;
        int n_bad;
        const char *reason; /* of the last */
    } cases[] = {
        {plain_type(TYPE_INT8), "[1,-128,null]", ints, "[1,-128,null]", 0, NULL},
        {plain_type(TYPE_UINT64), "[1,9223372036854775807]", longs, "[1,9223372036854775807]", 0,
         NULL},
        {plain_type(TYPE_UINT64), "[1,-1,2]", longs, "[1,2]", 1, "v: a number beyond 63 bits"},
        {longs, "[2147483647,2147483648,-2147483648,-2147483649]", ints, "[2147483647,-2147483648]",
         2, "v: a number beyond 32 bits"},
        {longs, "[1,9007199254740993,null]", reals, "[1.0,null]", 1,
         "v: a whole number that has no exact real"},
        {ints, "[16777216,16777217]", floats, "[16777216.0]", 1,
         "v: a number that has no exact 32-bit real"},
        {reals, "[0.5,0.1,null]", floats, "[0.5,null]", 1,
         "v: a number that has no exact 32-bit real"},
        {floats, "[0.5,null]", reals, "[0.5,null]", 0, NULL},
        {timed_type(TYPE_TIMESTAMP, UNIT_MILLI, false), "[5,-5,9223372036854775807]", instant,
         "[5000,-5000]", 1, "v: a timestamp out of range"},
        {timed_type(TYPE_TIMESTAMP, UNIT_NANO, true), "[5000,-5000,-5001,1]", instant, "[5,-5]", 2,
         "v: a timestamp of no whole microseconds"},
        {whole, "['0','1','4','-4','50000000000000000000000000000000000000']", big, "['0']", 4,
         "v: a decimal with too many digits"},
        {whole, "['4','99','100','-99','-100',null]", small, "['40','990','-990',null]", 2,
         "v: a decimal with too many digits"},
        {big, "['0','10000000000000000000000000000000000000','1']", small, "['0','1']", 1,
         "v: a decimal with too many digits after the point"},
        {ints, "[12,null,-99,100]", small, "['120',null,'-990']", 1,
         "v: a decimal with too many digits"},
        {bytes, "['abc',null]", text, "['abc',null]", 0, NULL},
        {{.kind = TYPE_FIXED_BYTES, .width = 3}, "['abc',null]", bytes, "['abc',null]", 0, NULL},
        {plain_type(TYPE_NULL), "[null,null]", list, "[null,null]", 0, NULL},
        {list, "[[1,2],[],null,[3,2147483648],[null],[5]]", narrow, "[[1,2],[],null,[5]]", 2,
         "v.element: null where none may be"},
        {short_map, "[[['k',1],['l',null]],null,[]]", map, "[[['k',1],['l',null]],null,[]]", 0,
         NULL},
        {struct_type(&arena, ints, list), "[[1,[2]],[null,null],null]",
         struct_type(&arena, longs, list), "[[1,[2]],[null,null],null]", 0, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schema *table = table_with(cases[i].to, true);
        struct batch *batch = rows_of(cases[i].from, cases[i].values), *out;
        struct reported reported = {.n = 0};
        struct conform_options options = {.bad_row = set_aside, .bad_row_state = &reported};
        struct budget budget;
        budget_init(&budget, "test", 0, NULL, NULL);
        assert_ok(batch_conform(batch, table, &options, &budget, &out));
        check_values(out, cases[i].expected);
        batch_release(out);
        assert_int_equal(reported.n, cases[i].n_bad);
        if (cases[i].reason) {
            assert_string_equal(reported.text, cases[i].reason);
            assert_fails(batch_conform(batch, table, NULL, &budget, &out), GLIS_EDATA, NULL);
        }
        assert_int_equal(budget_used(&budget), 0);
        batch_release(batch);
        schema_release(table);
    }
}

static void decimals_of_more_digits_than_their_type_are_seen(void **state)
{
    (void)state;
    struct type small = decimal_type(TYPE_DECIMAL, 3, 1);
    struct schema *table = table_with(small, true);
    struct batch *batch = rows_of(small, "['999','1','-999']"), *out;
    struct reported reported = {.n = 0};
    struct conform_options options = {.bad_row = set_aside, .bad_row_state = &reported};
    batch->columns[0].values.block->data[16] = 0xe8; /* 1000 */
    batch->columns[0].values.block->data[17] = 0x03;
    assert_ok(batch_conform(batch, table, &options, NULL, &out));
    check_values(out, "['999','-999']");
    assert_int_equal(reported.n, 1);
    assert_int_equal(reported.rows[0], 1);
    batch_release(out);
    batch_release(batch);
    schema_release(table);
}

static void keys_that_cannot_be_are_bad_rows(void **state)
{
    (void)state;
    struct field fields[] = {{SLICE("v"), plain_type(TYPE_DOUBLE), false}};
    struct schema *table;
    struct batch *batch = batch_of(plain_type(TYPE_DOUBLE), "[1.5,null,2.5,-0.0,0.5]"), *out;
    struct reported reported = {.n = 0};
    struct conform_options options = {.bad_row = set_aside, .bad_row_state = &reported};
    double nan = (double)NAN;
    memcpy(batch->columns[0].values.block->data + 16, &nan, 8);
    assert_ok(schema_new(&table, fields, 1, 1, 0));
    assert_ok(batch_conform(batch, table, &options, NULL, &out));
    assert_values(out, "[1.5,0.0,0.5]"); /* -0 is stored as 0 */
    assert_int_equal(reported.n, 2);
    assert_int_equal(reported.rows[0], 1);
    assert_int_equal(reported.rows[1], 2);
    assert_string_equal(reported.text, "v: a key cannot be NaN");
    batch_release(out);
    batch_release(batch);
    schema_release(table);
}

/* 32 KiB encoded is allowed, one more byte is not; 00 counts twice. */
static void the_longest_key(void **state)
{
    (void)state;
    struct field fields[] = {{SLICE("n"), plain_type(TYPE_INT32), false},
                             {SLICE("s"), plain_type(TYPE_STRING), false}};
    static char text[KEY_BYTES_MAX];
    struct schema *table;
    struct batch_builder *builder;
    struct batch *batch, *out;
    struct keys keys;
    struct reported reported = {.n = 0};
    struct conform_options options = {.bad_row = set_aside, .bad_row_state = &reported};
    memset(text, 'a', sizeof text);
    text[0] = 0;
    assert_ok(schema_new(&table, fields, 2, 2, 0));
    assert_ok(batch_builder_new(&builder, table, NULL));
    for (size_t more = 0; more < 2; more++) {
        struct slice key = slice_make(text, KEY_BYTES_MAX - 4 - 2 - 1 + more);
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 0), 1));
        assert_ok(column_builder_append_bytes(batch_builder_column(builder, 1), key));
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    assert_ok(batch_conform(batch, table, &options, NULL, &out));
    assert_int_equal(out->n_rows, 1);
    assert_int_equal(reported.n, 1);
    assert_int_equal(reported.rows[0], 1);
    assert_ok(keys_encode(&keys, out, 2, NULL));
    assert_int_equal(keys_get(&keys, 0).size, KEY_BYTES_MAX);
    keys_free(&keys);
    batch_release(out);
    batch_release(batch);
    batch_builder_free(builder);
    schema_release(table);
}

static void columns_that_do_not_match_are_named(void **state)
{
    (void)state;
    struct schema *table = table_with(plain_type(TYPE_INT32), false);
    struct schema *optional = table_with(plain_type(TYPE_INT32), true);
    struct batch *batch = rows_of(plain_type(TYPE_STRING), "['a']"), *out;
    struct conform_options ignoring = {.ignore_extra_columns = true};
    static const uint32_t only_k[] = {1}, only_v[] = {0};
    struct schema *k, *v;
    assert_fails(batch_conform(batch, table, NULL, NULL, &out), GLIS_EDATA,
                 "column 'v' has the type StringType; the table has IntType");
    assert_ok(schema_project(batch->schema, only_k, 1, &k));
    assert_ok(schema_project(batch->schema, only_v, 1, &v));
    assert_fails(schema_check_conform(k, table, NULL), GLIS_EDATA, "'v' is missing");
    assert_ok(schema_check_conform(k, optional, NULL));
    assert_fails(schema_check_conform(batch->schema, k, NULL), GLIS_EDATA, "no column 'v'");
    assert_ok(schema_check_conform(batch->schema, k, &ignoring));
    assert_fails(schema_check_conform(v, k, &ignoring), GLIS_EDATA, "'k' is missing");
    schema_release(k);
    schema_release(v);
    batch_release(batch);
    schema_release(table);
    schema_release(optional);
}

/* ---- evolution ---- */

static void old_rows_are_read_by_the_schema_of_today(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct field inner[] = {{SLICE("m"), plain_type(TYPE_INT32), false}};
    struct type strict = {.kind = TYPE_STRUCT, .n_children = 1, .children = inner};
    struct field fields[] = {{SLICE("k"), plain_type(TYPE_INT64), false},
                             {SLICE("v"), plain_type(TYPE_INT64), true},
                             {SLICE("new"), strict, true},
                             {SLICE("list"), type_list(&arena, strict, false), true}};
    struct schema *now;
    struct batch *old = rows_of(plain_type(TYPE_INT32), "[7,null,-2147483648,2147483647,5]"), *part,
                 *out;
    struct budget budget;
    const struct json *nothing = json_of(&arena, "[null]");
    assert_ok(schema_new(&now, fields, 4, 1, 0));
    assert_ok(batch_slice(old, 1, 4, &part));
    budget_init(&budget, "test", 0, NULL, NULL);
    assert_ok(batch_evolve(part, now, &budget, &out));
    check_values(out, "[null,-2147483648,2147483647,5]");
    for (int row = 0; row < 4; row++)
        for (int column = 2; column < 4; column++)
            assert_entry(&out->columns[column], row, &nothing->items[0]);
    batch_release(out);
    assert_int_equal(budget_used(&budget), 0);
    for (uint64_t limit = 1, left = 1; left; limit += 16) {
        budget_init(&budget, "test memory", limit, NULL, NULL);
        int code = batch_evolve(part, now, &budget, &out);
        if (code < 0) assert_int_equal(code, GLIS_ENOMEM);
        if (code == 0) batch_release(out);
        assert_int_equal(budget_used(&budget), 0);
        left = code < 0;
    }
    fields[2].nullable = false;
    struct schema *wrong;
    assert_ok(schema_new(&wrong, fields, 3, 1, 0));
    assert_fails(batch_evolve(part, wrong, NULL, &out), GLIS_ECORRUPT, "'new' is missing");
    schema_release(wrong);
    assert_ok(batch_evolve(part, part->schema, NULL, &out));
    assert_ptr_equal(out, part); /* nothing to do */
    batch_release(out);
    batch_release(part);
    batch_release(old);
    schema_release(now);
}

static void a_table_is_proposed_for_a_file(void **state)
{
    (void)state;
    struct field fields[] = {{SLICE("a"), plain_type(TYPE_UINT8), true},
                             {SLICE("b"), plain_type(TYPE_UINT32), true},
                             {SLICE("c"), timed_type(TYPE_TIMESTAMP, UNIT_NANO, false), true},
                             {SLICE("d"), {.kind = TYPE_FIXED_BYTES, .width = 4}, true},
                             {SLICE("e"), plain_type(TYPE_NULL), true}};
    static const struct slice c = {"c", 1}, a = {"a", 1}, x = {"x", 1};
    struct schema *file, *table;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct buffer json defer_buffer = BUFFER_INIT(4096);
    assert_ok(schema_new(&file, fields, 5, 0, 0));
    assert_ok(schema_propose(file, &c, 1, &a, 1, &table));
    assert_ok(schema_to_json(table, &json));
    assert_ok(buffer_append_byte(&json, 0));
    assert_string_equal((const char *)json.data,
                        "{\"rowKeyFields\":[{\"name\":\"c\",\"type\":\"TimestampType\"}],"
                        "\"sortKeyFields\":[{\"name\":\"a\",\"type\":\"IntType\"}],"
                        "\"valueFields\":[{\"name\":\"b\",\"type\":\"LongType\",\"nullable\":true},"
                        "{\"name\":\"d\",\"type\":\"ByteArrayType\",\"nullable\":true},"
                        "{\"name\":\"e\",\"type\":\"StringType\",\"nullable\":true}]}");
    schema_release(table);
    assert_fails(schema_propose(file, &x, 1, NULL, 0, &table), GLIS_EINVALID, "'x'");
    assert_fails(schema_propose(file, &a, 1, &a, 1, &table), GLIS_EINVALID, "twice");
    schema_release(file);
    fields[1].type = plain_type(TYPE_INTERVAL);
    assert_ok(schema_new(&file, fields, 5, 0, 0));
    assert_fails(schema_propose(file, &a, 1, NULL, 0, &table), GLIS_EUNSUPPORTED, "'b'");
    schema_release(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_brought_over_or_set_aside),
        cmocka_unit_test(decimals_of_more_digits_than_their_type_are_seen),
        cmocka_unit_test(keys_that_cannot_be_are_bad_rows),
        cmocka_unit_test(the_longest_key),
        cmocka_unit_test(columns_that_do_not_match_are_named),
        cmocka_unit_test(old_rows_are_read_by_the_schema_of_today),
        cmocka_unit_test(a_table_is_proposed_for_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
