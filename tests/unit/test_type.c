/*
 * test_type.c: widths, names, equality and depth of types, by hand.
 */
#include "batches.h"

static void widths_and_names(void **state)
{
    (void)state;
    const struct {
        struct type type;
        unsigned width;
        bool offsets, key;
        const char *name;
    } cases[] = {
        {plain_type(TYPE_NULL), 0, false, false, "null"},
        {plain_type(TYPE_BOOLEAN), 0, false, true, "BooleanType"},
        {plain_type(TYPE_INT8), 1, false, false, "int8"},
        {plain_type(TYPE_INT16), 2, false, false, "int16"},
        {plain_type(TYPE_INT32), 4, false, true, "IntType"},
        {plain_type(TYPE_INT64), 8, false, true, "LongType"},
        {plain_type(TYPE_UINT8), 1, false, false, "uint8"},
        {plain_type(TYPE_UINT16), 2, false, false, "uint16"},
        {plain_type(TYPE_UINT32), 4, false, false, "uint32"},
        {plain_type(TYPE_UINT64), 8, false, false, "uint64"},
        {plain_type(TYPE_FLOAT16), 2, false, false, "halffloat"},
        {plain_type(TYPE_FLOAT), 4, false, true, "FloatType"},
        {plain_type(TYPE_DOUBLE), 8, false, true, "DoubleType"},
        {plain_type(TYPE_DATE), 4, false, true, "DateType"},
        {timed_type(TYPE_TIME, UNIT_MILLI, false), 4, false, false, "time[ms]"},
        {timed_type(TYPE_TIME, UNIT_NANO, false), 8, false, false, "time[ns]"},
        {timed_type(TYPE_TIMESTAMP, UNIT_MICRO, true), 8, false, true, "TimestampType"},
        {timed_type(TYPE_TIMESTAMP, UNIT_MICRO, false), 8, false, false, "timestamp[us]"},
        {timed_type(TYPE_TIMESTAMP, UNIT_NANO, true), 8, false, false, "timestamp[ns,UTC]"},
        {decimal_type(TYPE_DECIMAL, 9, 2), 16, false, true, "DecimalType(9,2)"},
        {decimal_type(TYPE_DECIMAL256, 40, 1), 32, false, false, "decimal256(40,1)"},
        {plain_type(TYPE_STRING), 0, true, true, "StringType"},
        {plain_type(TYPE_BYTES), 0, true, true, "ByteArrayType"},
        {{.kind = TYPE_FIXED_BYTES, .width = 7}, 7, false, false, "fixed_size_binary[7]"},
        {plain_type(TYPE_INTERVAL), 12, false, false, "interval"},
    };
    defer_arena struct arena arena = ARENA_EMPTY;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(type_width(&cases[i].type), cases[i].width);
        assert_int_equal(type_has_offsets(&cases[i].type), cases[i].offsets);
        assert_int_equal(type_can_be_key(&cases[i].type), cases[i].key);
        assert_string_equal(type_name(&cases[i].type, &arena), cases[i].name);
        assert_int_equal(type_depth(&cases[i].type), 0);
        for (size_t j = 0; j < COUNT(cases); j++)
            assert_int_equal(type_equal(&cases[i].type, &cases[j].type), i == j);
    }
}

static void nested_types(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type ints = plain_type(TYPE_INT32), text = plain_type(TYPE_STRING);
    struct type list = type_list(&arena, ints, true), other = type_list(&arena, ints, false);
    struct type map = type_map(&arena, text, list, true);
    struct type pair = struct_type(&arena, map, ints), swapped = struct_type(&arena, ints, map);
    assert_string_equal(type_name(&list, &arena), "ListType(IntType)");
    assert_string_equal(type_name(&map, &arena), "MapType(StringType,ListType(IntType))");
    assert_string_equal(type_name(&pair, &arena),
                        "StructType(a:MapType(StringType,ListType(IntType)),b:IntType)");
    assert_int_equal(type_depth(&list), 1);
    assert_int_equal(type_depth(&map), 2);
    assert_int_equal(type_depth(&pair), 3);
    assert_true(type_has_offsets(&list) && type_has_offsets(&map) && !type_has_offsets(&pair));
    assert_false(type_equal(&list, &other)); /* whether elements may be null counts */
    assert_false(type_equal(&pair, &swapped));
    assert_false(type_equal(&list, &map));
    struct type again = struct_type(&arena, map, ints);
    assert_true(type_equal(&pair, &again));
    assert_false(type_can_be_key(&list) || type_can_be_key(&map) || type_can_be_key(&pair));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_and_names),
        cmocka_unit_test(nested_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
