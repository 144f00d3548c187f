/*
 * test_value_text.c: the text forms of scalars, both ways, and entries as JSON; expected texts by
 * hand from the specification's table of types (docs/formats.md).
 */
#include "batches.h"

#include <math.h>

struct form {
    struct type type;
    const char *text;
    struct value value;
};

static struct type instant_type(void)
{
    return timed_type(TYPE_TIMESTAMP, UNIT_MICRO, true);
}

static int128 nines(void)
{
    return digits_of(SLICE("99999999999999999999999999999999999999"));
}

static void check_text(const struct type *type, const struct value *value, const char *expected)
{
    struct buffer out defer_buffer = BUFFER_INIT(1024);
    assert_ok(value_to_text(type, value, &out));
    assert_ok(buffer_append_byte(&out, 0));
    assert_string_equal((const char *)out.data, expected);
}

static void texts_go_both_ways(void **state)
{
    (void)state;
    const struct form forms[] = {
        {plain_type(TYPE_BOOLEAN), "true", value_integer(0, 1)},
        {plain_type(TYPE_BOOLEAN), "false", value_integer(0, 0)},
        {plain_type(TYPE_INT32), "-2147483648", value_integer(0, INT32_MIN)},
        {plain_type(TYPE_INT32), "2147483647", value_integer(0, INT32_MAX)},
        {plain_type(TYPE_INT64), "-9223372036854775808", value_integer(0, INT64_MIN)},
        {plain_type(TYPE_INT64), "9223372036854775807", value_integer(0, INT64_MAX)},
        {plain_type(TYPE_INT64), "0", value_integer(0, 0)},
        {plain_type(TYPE_DOUBLE), "0.1", value_real(0, 0.1)},
        {plain_type(TYPE_DOUBLE), "-1.5", value_real(0, -1.5)},
        {plain_type(TYPE_DOUBLE), "5e-324", value_real(0, 0x1p-1074)},
        {plain_type(TYPE_DOUBLE), "1e-310", value_real(0, 1e-310)},
        {plain_type(TYPE_DOUBLE), "1.7976931348623157e+308", value_real(0, 0x1.fffffffffffffp1023)},
        {plain_type(TYPE_DOUBLE), "0.30000000000000004", value_real(0, 0.1 + 0.2)},
        {plain_type(TYPE_DOUBLE), "NaN", value_real(0, NAN)},
        {plain_type(TYPE_DOUBLE), "Infinity", value_real(0, INFINITY)},
        {plain_type(TYPE_DOUBLE), "-Infinity", value_real(0, -INFINITY)},
        {plain_type(TYPE_FLOAT), "0.1", value_real(0, (double)0.1F)},
        {plain_type(TYPE_FLOAT), "16777216", value_real(0, 16777216)},
        {plain_type(TYPE_FLOAT), "1e-45", value_real(0, 0x1p-149)},
        {plain_type(TYPE_FLOAT), "3.4028235e+38", value_real(0, (double)0x1.fffffep127f)},
        {plain_type(TYPE_DATE), "1970-01-01", value_integer(0, 0)},
        {plain_type(TYPE_DATE), "1969-12-31", value_integer(0, -1)},
        {plain_type(TYPE_DATE), "2026-11-21", value_integer(0, 20778)},
        {plain_type(TYPE_DATE), "2000-02-29", value_integer(0, 11016)},
        {plain_type(TYPE_DATE), "0001-01-01", value_integer(0, -719162)},
        {plain_type(TYPE_DATE), "0000-12-31", value_integer(0, -719163)},
        {plain_type(TYPE_DATE), "-0001-12-31", value_integer(0, -719163 - 366)},
        {plain_type(TYPE_DATE), "9999-12-31", value_integer(0, 2932896)},
        {plain_type(TYPE_DATE), "+10000-01-01", value_integer(0, 2932897)},
        {plain_type(TYPE_DATE), "+5881580-07-11", value_integer(0, INT32_MAX)},
        {plain_type(TYPE_DATE), "-5877641-06-23", value_integer(0, INT32_MIN)},
        {instant_type(), "1970-01-01T00:00:00Z", value_integer(0, 0)},
        {instant_type(), "1969-12-31T23:59:59.999999Z", value_integer(0, -1)},
        {instant_type(), "2026-11-21T10:00:00.000001Z",
         value_integer(0, INT64_C(1795255200000001))},
        {instant_type(), "+294247-01-10T04:00:54.775807Z", value_integer(0, INT64_MAX)},
        {instant_type(), "-290308-12-21T19:59:05.224192Z", value_integer(0, INT64_MIN)},
        {decimal_type(TYPE_DECIMAL, 4, 2), "12.30", value_decimal(1230)},
        {decimal_type(TYPE_DECIMAL, 4, 2), "-0.01", value_decimal(-1)},
        {decimal_type(TYPE_DECIMAL, 4, 4), "0.9999", value_decimal(9999)},
        {decimal_type(TYPE_DECIMAL, 4, 0), "9999", value_decimal(9999)},
        {decimal_type(TYPE_DECIMAL, 38, 0), "99999999999999999999999999999999999999",
         value_decimal(nines())},
        {decimal_type(TYPE_DECIMAL, 38, 38), "-0.99999999999999999999999999999999999999",
         value_decimal(-nines())},
        {plain_type(TYPE_STRING), "any text, é", value_bytes(0, SLICE("any text, é"))},
        {plain_type(TYPE_STRING), "", value_bytes(0, SLICE(""))},
        {plain_type(TYPE_BYTES), "AP8=", value_bytes(0, SLICE("\0\xff"))},
        {plain_type(TYPE_BYTES), "", value_bytes(0, SLICE(""))},
    };
    defer_arena struct arena arena = ARENA_EMPTY;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct value value = forms[i].value, back;
        value.kind = forms[i].type.kind;
        check_text(&forms[i].type, &value, forms[i].text);
        assert_ok(value_from_text(&forms[i].type, slice_from_text(forms[i].text), &arena, &back));
        assert_int_equal(back.kind, value.kind);
        assert_int_equal(value_compare(&back, &value), 0);
    }
}

static void other_texts_are_read_too(void **state)
{
    (void)state;
    const struct form forms[] = {
        {plain_type(TYPE_INT32), "007", value_integer(0, 7)},
        {plain_type(TYPE_DOUBLE), "1e2", value_real(0, 100)},
        {plain_type(TYPE_DOUBLE), "1E+2", value_real(0, 100)},
        {plain_type(TYPE_DOUBLE), "-0", value_real(0, -0.0)},
        {instant_type(), "1970-01-01T00:00:00.5Z", value_integer(0, 500000)},
        {instant_type(), "1970-01-01T00:00:00.000001000Z", value_integer(0, 1)},
        {instant_type(), "1970-01-01T02:00:00+02:00", value_integer(0, 0)},
        {instant_type(), "1969-12-31T18:30:00-05:30", value_integer(0, 0)},
        {decimal_type(TYPE_DECIMAL, 4, 2), "1", value_decimal(100)},
        {decimal_type(TYPE_DECIMAL, 4, 2), "1.5", value_decimal(150)},
        {decimal_type(TYPE_DECIMAL, 4, 2), "1.5000", value_decimal(150)},
        {decimal_type(TYPE_DECIMAL, 4, 2), "-0", value_decimal(0)},
        {decimal_type(TYPE_DECIMAL, 4, 2), "00000099.99", value_decimal(9999)},
        {decimal_type(TYPE_DECIMAL, 38, 38), "0", value_decimal(0)},
    };
    defer_arena struct arena arena = ARENA_EMPTY;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct value value = forms[i].value, back;
        value.kind = forms[i].type.kind;
        assert_ok(value_from_text(&forms[i].type, slice_from_text(forms[i].text), &arena, &back));
        assert_int_equal(value_compare(&back, &value), 0);
    }
}

static void what_is_no_value_is_refused(void **state)
{
    (void)state;
    const struct type d42 = decimal_type(TYPE_DECIMAL, 4, 2),
                      d38 = decimal_type(TYPE_DECIMAL, 38, 0);
    const struct type d3838 = decimal_type(TYPE_DECIMAL, 38, 38);
    const struct {
        struct type type;
        const char *text;
    } cases[] = {
        {plain_type(TYPE_BOOLEAN), "True"},
        {plain_type(TYPE_BOOLEAN), "1"},
        {plain_type(TYPE_BOOLEAN), ""},
        {plain_type(TYPE_INT32), ""},
        {plain_type(TYPE_INT32), "-"},
        {plain_type(TYPE_INT32), "+1"},
        {plain_type(TYPE_INT32), " 1"},
        {plain_type(TYPE_INT32), "1 "},
        {plain_type(TYPE_INT32), "1.0"},
        {plain_type(TYPE_INT32), "2147483648"},
        {plain_type(TYPE_INT32), "-2147483649"},
        {plain_type(TYPE_INT64), "9223372036854775808"},
        {plain_type(TYPE_INT64), "-9223372036854775809"},
        {plain_type(TYPE_INT64), "99999999999999999999999"},
        {plain_type(TYPE_INT64), "0x10"},
        {plain_type(TYPE_DOUBLE), ""},
        {plain_type(TYPE_DOUBLE), "+1"},
        {plain_type(TYPE_DOUBLE), "1e400"},
        {plain_type(TYPE_DOUBLE), "nan"},
        {plain_type(TYPE_DOUBLE), "inf"},
        {plain_type(TYPE_DOUBLE), "--1"},
        {plain_type(TYPE_DOUBLE), "0x1p3"},
        {plain_type(TYPE_DOUBLE), "1 "},
        {plain_type(TYPE_DOUBLE), "e"},
        {plain_type(TYPE_FLOAT), "1e39"},
        {plain_type(TYPE_DATE), "2026-1-1"},
        {plain_type(TYPE_DATE), "2026-13-01"},
        {plain_type(TYPE_DATE), "2026-00-01"},
        {plain_type(TYPE_DATE), "2026-02-29"},
        {plain_type(TYPE_DATE), "1900-02-29"},
        {plain_type(TYPE_DATE), "2026-04-31"},
        {plain_type(TYPE_DATE), "2026-01-00"},
        {plain_type(TYPE_DATE), "2026-01-01 "},
        {plain_type(TYPE_DATE), "20260101"},
        {plain_type(TYPE_DATE), "+5881580-07-12"},
        {plain_type(TYPE_DATE), "-5877641-06-22"},
        {instant_type(), "2026-11-21"},
        {instant_type(), "2026-11-21T10:00:00"},
        {instant_type(), "2026-11-21 10:00:00Z"},
        {instant_type(), "2026-11-21T24:00:00Z"},
        {instant_type(), "2026-11-21T10:60:00Z"},
        {instant_type(), "2026-11-21T10:00:60Z"},
        {instant_type(), "2026-11-21T10:00:00.Z"},
        {instant_type(), "2026-11-21T10:00:00.0000001Z"},
        {instant_type(), "2026-11-21T10:00:00.0000000000Z"},
        {instant_type(), "2026-11-21T10:00:00+2:00"},
        {instant_type(), "2026-11-21T10:00:00+19:00"},
        {instant_type(), "2026-11-21T10:00:00Zx"},
        {instant_type(), "+294247-01-10T04:00:54.775808Z"},
        {instant_type(), "-290308-12-21T19:59:05.224191Z"},
        {d42, ""},
        {d42, "-"},
        {d42, "."},
        {d42, ".5"},
        {d42, "5."},
        {d42, "1.2.3"},
        {d42, "1e1"},
        {d42, "100"},
        {d42, "99.999"},
        {d42, "-100.00"},
        {d42, "+1"},
        {d38, "100000000000000000000000000000000000000"},
        {d38, "340282366920938463463374607431768211456"}, /* 2^128 wraps to 0 */
        {d38, "340282366920938463463374607431768211457"},
        {d38, "999999999999999999999999999999999999999"},
        {d38, "3402823669209384634633746074317682114560"},
        {d3838, "1"},
        {d3838, "4"},
        {d3838, "12"},
        {plain_type(TYPE_STRING), "\xff"},
        {plain_type(TYPE_STRING), "\xed\xa0\x80"},
        {plain_type(TYPE_BYTES), "AP8"},
        {plain_type(TYPE_BYTES), "A"},
        {plain_type(TYPE_BYTES), "A P8="},
    };
    defer_arena struct arena arena = ARENA_EMPTY;
    struct value value;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int code = value_from_text(&cases[i].type, slice_from_text(cases[i].text), &arena, &value);
        if (code != GLIS_EDATA) fail_msg("'%s' is read (%d)", cases[i].text, code);
    }
    struct type times = timed_type(TYPE_TIME, UNIT_MICRO, false);
    assert_fails(value_from_text(&times, SLICE("10:00:00"), &arena, &value), GLIS_EUNSUPPORTED,
                 "time[us]");
}

static void types_that_no_table_has_are_written(void **state)
{
    (void)state;
    const struct form forms[] = {
        {plain_type(TYPE_UINT64), "18446744073709551615", value_integer(0, -1)},
        {plain_type(TYPE_FLOAT16), "1.5", value_real(0, 1.5)},
        {timed_type(TYPE_TIME, UNIT_MILLI, false), "10:00:00.001", value_integer(0, 36000001)},
        {timed_type(TYPE_TIME, UNIT_MICRO, false), "10:00:00.000001",
         value_integer(0, INT64_C(36000000001))},
        {timed_type(TYPE_TIME, UNIT_NANO, false), "23:59:59.999999999",
         value_integer(0, INT64_C(86399999999999))},
        {timed_type(TYPE_TIMESTAMP, UNIT_MILLI, true), "1970-01-01T00:00:01.500000Z",
         value_integer(0, 1500)},
        {timed_type(TYPE_TIMESTAMP, UNIT_NANO, false), "1970-01-01T00:00:00.000000001",
         value_integer(0, 1)},
        {timed_type(TYPE_TIMESTAMP, UNIT_NANO, true), "1969-12-31T23:59:59.999999999Z",
         value_integer(0, -1)},
        {{.kind = TYPE_FIXED_BYTES, .width = 2}, "AP8=", value_bytes(0, SLICE("\0\xff"))},
    };
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct value value = forms[i].value;
        value.kind = forms[i].type.kind;
        check_text(&forms[i].type, &value, forms[i].text);
        value.is_null = true;
        check_text(&forms[i].type, &value, "");
    }
}

static void random_values_come_back(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(5);
    const struct type types[] = {
        plain_type(TYPE_INT64), plain_type(TYPE_DOUBLE), plain_type(TYPE_FLOAT),
        plain_type(TYPE_DATE),  instant_type(),          decimal_type(TYPE_DECIMAL, 38, 7),
    };
    for (int i = 0; i < 30000; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        const struct type *type = &types[i % COUNT(types)];
        struct buffer text defer_buffer = BUFFER_INIT(256);
        uint64_t bits = random_u64(random) >> random_below(random, 64);
        struct value value = value_integer(type->kind, (int64_t)bits), back;
        uint32_t half = (uint32_t)random_u64(random);
        float narrow;
        memcpy(&narrow, &half, 4);
        if (type->kind == TYPE_DOUBLE) memcpy(&value.real, &bits, 8);
        if (type->kind == TYPE_FLOAT) value.real = (double)narrow;
        if (type->kind == TYPE_DATE) value.integer = (int32_t)bits;
        if (type->kind == TYPE_DECIMAL)
            value.decimal = ((int128)(int64_t)bits * ((int128)1 << 62)) % nines();
        assert_ok(value_to_text(type, &value, &text));
        assert_ok(value_from_text(type, buffer_slice(&text), &arena, &back));
        assert_int_equal(value_compare(&back, &value), 0);
    }
    random_seeded_free(random);
}

static void entries_as_json(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type ints = plain_type(TYPE_INT32), text = plain_type(TYPE_STRING);
    struct type list = type_list(&arena, text, true), map = type_map(&arena, text, ints, true);
    struct type numbered = type_map(&arena, ints, list, true),
                pair = struct_type(&arena, list, map);
    const struct {
        struct type type;
        const char *values;
        const char *json[4], *text[4];
    } cases[] = {
        {ints, "[1,null,-5]", {"1", "null", "-5"}, {"1", "", "-5"}},
        {plain_type(TYPE_BOOLEAN), "[1,0]", {"true", "false"}, {"true", "false"}},
        {text, "['a\\nb',null,'']", {"\"a\\nb\"", "null", "\"\""}, {"a\nb", "", ""}},
        {plain_type(TYPE_DATE), "[0]", {"\"1970-01-01\""}, {"1970-01-01"}},
        {plain_type(TYPE_BYTES), "['abc']", {"\"YWJj\""}, {"YWJj"}},
        {decimal_type(TYPE_DECIMAL, 4, 2), "['150']", {"\"1.50\""}, {"1.50"}},
        {plain_type(TYPE_DOUBLE), "[1.5]", {"1.5"}, {"1.5"}},
        {plain_type(TYPE_NULL), "[null]", {"null"}, {""}},
        {list, "[['a',null],[],null]", {"[\"a\",null]", "[]", "null"}, {"[\"a\",null]", "[]", ""}},
        {map,
         "[[['k',1],['l',null]],[]]",
         {"{\"k\":1,\"l\":null}", "{}"},
         {"{\"k\":1,\"l\":null}", "{}"}},
        {numbered,
         "[[[1,['x']]]]",
         {"[{\"key\":1,\"value\":[\"x\"]}]"},
         {"[{\"key\":1,\"value\":[\"x\"]}]"}},
        {pair,
         "[[['a'],[['k',1]]],[null,null],null]",
         {"{\"a\":[\"a\"],\"b\":{\"k\":1}}", "{\"a\":null,\"b\":null}", "null"},
         {"{\"a\":[\"a\"],\"b\":{\"k\":1}}", "{\"a\":null,\"b\":null}", ""}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct batch *batch = batch_of(cases[i].type, cases[i].values), *part;
        for (int begin = 0; begin < batch->n_rows; begin++) {
            struct buffer json defer_buffer = BUFFER_INIT(1024),
                               plain defer_buffer = BUFFER_INIT(1024);
            assert_ok(batch_slice(batch, begin, batch->n_rows - begin, &part));
            assert_ok(column_append_json(&part->columns[0], 0, &json));
            assert_ok(column_append_text(&part->columns[0], 0, &plain));
            assert_ok(buffer_append_byte(&json, 0));
            assert_ok(buffer_append_byte(&plain, 0));
            assert_string_equal((const char *)json.data, cases[i].json[begin]);
            assert_string_equal((const char *)plain.data, cases[i].text[begin]);
            batch_release(part);
        }
        batch_release(batch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_go_both_ways),
        cmocka_unit_test(other_texts_are_read_too),
        cmocka_unit_test(what_is_no_value_is_refused),
        cmocka_unit_test(types_that_no_table_has_are_written),
        cmocka_unit_test(random_values_come_back),
        cmocka_unit_test(entries_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
