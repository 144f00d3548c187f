/*
 * test_value.c: scalars out of columns, their total order, and the next value after one.
 */
#include "batches.h"

#include <math.h>

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

/* Each list ascends strictly; every pair is compared, and null comes after all. */
static void values_have_a_total_order(void **state)
{
    (void)state;
    struct value lists[][8] = {
        {value_integer(TYPE_BOOLEAN, 0), value_integer(TYPE_BOOLEAN, 1), value_null(TYPE_BOOLEAN)},
        {value_integer(TYPE_INT64, INT64_MIN), value_integer(TYPE_INT64, -1),
         value_integer(TYPE_INT64, 0), value_integer(TYPE_INT64, INT64_MAX),
         value_null(TYPE_INT64)},
        {value_integer(TYPE_UINT64, 0), value_integer(TYPE_UINT64, INT64_MAX),
         value_integer(TYPE_UINT64, INT64_MIN), value_integer(TYPE_UINT64, -1),
         value_null(TYPE_UINT64)},
        {value_real(TYPE_DOUBLE, -INFINITY), value_real(TYPE_DOUBLE, -1),
         value_real(TYPE_DOUBLE, -0.0), value_real(TYPE_DOUBLE, 0),
         value_real(TYPE_DOUBLE, 0x1p-1074), value_real(TYPE_DOUBLE, INFINITY),
         value_real(TYPE_DOUBLE, NAN), value_null(TYPE_DOUBLE)},
        {value_decimal(-((int128)1 << 100)), value_decimal(-1), value_decimal(0),
         value_decimal((int128)1 << 100), value_null(TYPE_DECIMAL)},
        {value_bytes(TYPE_STRING, SLICE("")), value_bytes(TYPE_STRING, SLICE("\0")),
         value_bytes(TYPE_STRING, SLICE("a")), value_bytes(TYPE_STRING, SLICE("a\0")),
         value_bytes(TYPE_STRING, SLICE("ab")), value_bytes(TYPE_STRING, SLICE("b")),
         value_bytes(TYPE_STRING, SLICE("\xc3\xa9")), value_null(TYPE_STRING)},
        {value_bytes(TYPE_DECIMAL256, SLICE("9999999999999999999999999999999\x80")),
         value_bytes(TYPE_DECIMAL256, SLICE("9999999999999999999999999999999\xff")),
         value_bytes(TYPE_DECIMAL256, SLICE("9999999999999999999999999999999\0")),
         value_bytes(TYPE_DECIMAL256, SLICE("0999999999999999999999999999999\x01")),
         value_bytes(TYPE_DECIMAL256, SLICE("1999999999999999999999999999999\x01")),
         value_null(TYPE_DECIMAL256)},
    };
    for (size_t l = 0; l < COUNT(lists); l++) {
        int n = 0;
        while (!lists[l][n++].is_null) {}
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                assert_int_equal(sign(value_compare(&lists[l][i], &lists[l][j])), sign(i - j));
    }
}

static void entries_are_read_with_their_sign_and_offset(void **state)
{
    (void)state;
    static const struct {
        enum type_kind kind;
        const char *values;
        int64_t expected[3];
    } cases[] = {
        {TYPE_BOOLEAN, "[0,0,1,0]", {0, 1, 0}},
        {TYPE_INT8, "[0,-128,127,-1]", {-128, 127, -1}},
        {TYPE_INT16, "[0,-32768,32767,-1]", {-32768, 32767, -1}},
        {TYPE_INT32, "[0,-2147483648,2147483647,-1]", {INT32_MIN, INT32_MAX, -1}},
        {TYPE_INT64, "[0,-9223372036854775807,7,-1]", {-INT64_MAX, 7, -1}},
        {TYPE_UINT8, "[0,128,255,1]", {128, 255, 1}},
        {TYPE_UINT16, "[0,32768,65535,1]", {32768, 65535, 1}},
        {TYPE_UINT32, "[0,2147483648,4294967295,1]", {INT64_C(2147483648), UINT32_MAX, 1}},
        {TYPE_DATE, "[0,-1,20778,2]", {-1, 20778, 2}},
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        struct batch *batch = batch_of(plain_type(cases[c].kind), cases[c].values), *part;
        assert_ok(batch_slice(batch, 1, 3, &part));
        for (int row = 0; row < 3; row++) {
            struct value value;
            column_value(&part->columns[0], row, &value);
            assert_int_equal(value.kind, cases[c].kind);
            assert_false(value.is_null);
            assert_true(value.integer == cases[c].expected[row]);
        }
        batch_release(part);
        batch_release(batch);
    }
}

/* IEEE 754 binary16, by hand. */
static void halves_are_read_as_numbers(void **state)
{
    (void)state;
    static const struct {
        uint16_t bits;
        double real;
    } cases[] = {
        {0x3c00, 1.0},  {0xc000, -2.0},     {0x0001, 0x1p-24},   {0x7bff, 65504.0},
        {0x8000, -0.0}, {0x7c00, INFINITY}, {0xfc00, -INFINITY}, {0x03ff, 1023 * 0x1p-24},
    };
    struct schema *schema = schema_with(plain_type(TYPE_FLOAT16), true);
    struct batch_builder *builder;
    struct batch *batch;
    struct value value;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_ok(column_builder_append_fixed(batch_builder_column(builder, 0), &cases[i].bits, 1));
    assert_ok(column_builder_append_bytes(batch_builder_column(builder, 0), SLICE("\x01\x7c")));
    assert_ok(batch_builder_finish(builder, &batch));
    for (size_t i = 0; i < COUNT(cases); i++) {
        column_value(&batch->columns[0], (int64_t)i, &value);
        assert_true(value.real == cases[i].real && !signbit(value.real) == !signbit(cases[i].real));
    }
    column_value(&batch->columns[0], COUNT(cases), &value);
    assert_true(isnan(value.real));
    batch_release(batch);
    batch_builder_free(builder);
    schema_release(schema);
}

static void the_next_value(void **state)
{
    (void)state;
    const struct type p2 = decimal_type(TYPE_DECIMAL, 2, 1);
    const struct type instant = timed_type(TYPE_TIMESTAMP, UNIT_MICRO, true);
    const struct {
        struct type type;
        struct value value, next; /* null: none */
    } cases[] = {
        {plain_type(TYPE_BOOLEAN), value_integer(0, 0), value_integer(0, 1)},
        {plain_type(TYPE_BOOLEAN), value_integer(0, 1), value_null(0)},
        {plain_type(TYPE_INT32), value_integer(0, -1), value_integer(0, 0)},
        {plain_type(TYPE_INT32), value_integer(0, INT32_MAX), value_null(0)},
        {plain_type(TYPE_DATE), value_integer(0, INT32_MAX), value_null(0)},
        {plain_type(TYPE_INT64), value_integer(0, INT32_MAX),
         value_integer(0, INT64_C(2147483648))},
        {plain_type(TYPE_INT64), value_integer(0, INT64_MAX), value_null(0)},
        {instant, value_integer(0, 5), value_integer(0, 6)},
        {plain_type(TYPE_FLOAT), value_real(0, 1), value_real(0, 1 + 0x1p-23)},
        {plain_type(TYPE_FLOAT), value_real(0, 0), value_real(0, 0x1p-149)},
        {plain_type(TYPE_FLOAT), value_real(0, -0.0), value_real(0, 0x1p-149)},
        {plain_type(TYPE_FLOAT), value_real(0, (double)0x1.fffffep127f), value_real(0, INFINITY)},
        {plain_type(TYPE_FLOAT), value_real(0, INFINITY), value_null(0)},
        {plain_type(TYPE_DOUBLE), value_real(0, 1), value_real(0, 1 + 0x1p-52)},
        {plain_type(TYPE_DOUBLE), value_real(0, -0x1p-1074), value_real(0, 0)},
        {plain_type(TYPE_DOUBLE), value_real(0, -0.0), value_real(0, 0x1p-1074)},
        {plain_type(TYPE_DOUBLE), value_real(0, -INFINITY), value_real(0, -0x1.fffffffffffffp1023)},
        {plain_type(TYPE_DOUBLE), value_real(0, INFINITY), value_null(0)},
        {p2, value_decimal(98), value_decimal(99)},
        {p2, value_decimal(99), value_null(0)},
        {plain_type(TYPE_STRING), value_bytes(0, SLICE("")), value_bytes(0, SLICE("\0"))},
        {plain_type(TYPE_BYTES), value_bytes(0, SLICE("a\xff")), value_bytes(0, SLICE("a\xff\0"))},
        {plain_type(TYPE_UINT8), value_integer(0, 1), value_null(0)},
    };
    defer_arena struct arena arena = ARENA_EMPTY;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value value = cases[i].value, next = cases[i].next, out;
        value.kind = next.kind = cases[i].type.kind;
        bool is = value_next(&cases[i].type, &value, &arena, &out);
        assert_int_equal(is, !next.is_null);
        if (!is) continue;
        assert_int_equal(out.kind, cases[i].type.kind);
        if (next.kind == TYPE_FLOAT || next.kind == TYPE_DOUBLE)
            assert_true(out.real == next.real);
        else
            assert_int_equal(value_compare(&out, &next), 0);
    }
}

static void copies_stand_alone(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    char text[] = "abc";
    struct value value = value_bytes(TYPE_STRING, slice_make(text, 3));
    struct value copy = value_copy(&value, &arena);
    text[0] = 'x';
    assert_memory_equal(copy.bytes.data, "abc", 3);
    struct value none = value_null(TYPE_BYTES);
    assert_true(value_copy(&none, &arena).is_null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_have_a_total_order),
        cmocka_unit_test(entries_are_read_with_their_sign_and_offset),
        cmocka_unit_test(halves_are_read_as_numbers),
        cmocka_unit_test(the_next_value),
        cmocka_unit_test(copies_stand_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
