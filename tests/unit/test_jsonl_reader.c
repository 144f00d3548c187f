/*
 * test_jsonl_reader.c: JSON lines and arrays of objects, all types of a table, bad rows. Expected
 * rows are by hand.
 */
#include "format_cases.h"

#define KV                                                                           \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}],\"valueFields\":[" \
    "{\"name\":\"v\",\"type\":\"LongType\",\"nullable\":true}]}"
#define NESTED                                                                                     \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"IntType\"}],\"valueFields\":["                  \
    "{\"name\":\"l\",\"type\":{\"ListType\":{\"elementType\":{\"ListType\":{\"elementType\":"      \
    "\"StringType\"}}}},\"nullable\":true},"                                                       \
    "{\"name\":\"m\",\"type\":{\"MapType\":{\"keyType\":\"StringType\",\"valueType\":\"LongType\"" \
    "}},\"nullable\":true},"                                                                       \
    "{\"name\":\"n\",\"type\":{\"MapType\":{\"keyType\":\"LongType\",\"valueType\":\"LongType\"}}" \
    ",\"nullable\":true},"                                                                         \
    "{\"name\":\"s\",\"type\":{\"StructType\":{\"fields\":[{\"name\":\"a\",\"type\":\"IntType\"}," \
    "{\"name\":\"b\",\"type\":\"StringType\",\"nullable\":true}]}},\"nullable\":true}]}"

static const struct format_case cases[] = {
    {"plain rows", KV, "{\"k\":\"a\",\"v\":1}\n{\"v\":2,\"k\":\"b\"}\n",
     "{\"k\":\"a\",\"v\":1}\n{\"k\":\"b\",\"v\":2}\n", 0, 0, 0, 0},
    {"blank lines, blanks, CRLF, no last line end", KV,
     "\n  \r\n { \"k\" : \"a\" , \"v\" : 1 } \r\n{\"k\":\"b\"}",
     "{\"k\":\"a\",\"v\":1}\n{\"k\":\"b\",\"v\":null}\n", 0, 0, 0, 0},
    {"numbers and truth values where a string is wanted", KV,
     "{\"k\":1776}\n{\"k\":-1.50e3}\n{\"k\":true}",
     "{\"k\":\"1776\",\"v\":null}\n{\"k\":\"-1.50e3\",\"v\":null}\n"
     "{\"k\":\"true\",\"v\":null}\n",
     0, 0, 0, 0},
    {"escapes", KV, "{\"k\":\"\\u00fc\\ud83d\\ude00\\n\\\"\\\\\\/\\t\"}",
     "{\"k\":\"ü😀\\n\\\"\\\\/\\t\",\"v\":null}\n", 0, 0, 0, 0},
    {"an escaped name", KV, "{\"\\u006b\":\"a\"}", "{\"k\":\"a\",\"v\":null}\n", 0, 0, 0, 0},
    {"whole numbers with a point", KV, "{\"k\":\"a\",\"v\":3.0}\n{\"k\":\"b\",\"v\":1e3}\n",
     "{\"k\":\"a\",\"v\":3}\n{\"k\":\"b\",\"v\":1000}\n", 0, 0, 0, 0},
    {"extra members ignored", KV, "{\"k\":\"a\",\"x\":{\"y\":[1,null,\"z\"]},\"v\":1}",
     "{\"k\":\"a\",\"v\":1}\n", 0, 0, 0, 1},
    {"an array of objects", KV, " [ {\"k\":\"a\",\"v\":1} ,\n{\"k\":\"b]}\",\"v\":2}\n]\n",
     "{\"k\":\"a\",\"v\":1}\n{\"k\":\"b]}\",\"v\":2}\n", 0, 0, 0, 0},
    {"an empty array", KV, "[]", "", 0, 0, 0, 0},
    {"nothing", KV, "", "", 0, 0, 0, 0},
    {"nested values", NESTED,
     "{\"k\":1,\"l\":[[\"x\"],[],[\"y\",\"z\"]],\"m\":{\"p\":1,\"q\":2},\"n\":{\"5\":6},\"s\""
     ":{\"b\":\"t\",\"a\":9}}",
     "{\"k\":1,\"l\":[[\"x\"],[],[\"y\",\"z\"]],\"m\":{\"p\":1,\"q\":2},\"n\":[{\"key\":5,\""
     "value\":6}],\"s\":{\"a\":9,\"b\":\"t\"}}\n",
     0, 0, 0, 0},
    {"maps as arrays, nulls, missing members", NESTED,
     "{\"k\":1,\"l\":null,\"m\":[{\"key\":\"p\",\"value\":1}],\"n\":[{\"value\":2,\"key\":1}],\""
     "s\":{\"a\":1}}",
     "{\"k\":1,\"l\":null,\"m\":{\"p\":1},\"n\":[{\"key\":1,\"value\":2}],\"s\":{\"a\":1,\"b\""
     ":null}}\n",
     0, 0, 0, 0},

    {"no JSON", KV, "{\"k\":\"a\"}\nhello\n", 0, "line 2", 0, 0, 0},
    {"not an object", KV, "3\n", 0, "an object is wanted", 0, 0, 0},
    {"an unknown field", KV, "{\"k\":\"a\",\"w\":1}", 0, "field 'w'", 0, 0, 0},
    {"a field twice", KV, "{\"k\":\"a\",\"k\":\"b\"}", 0, "twice", 0, 0, 0},
    {"a missing key", KV, "{\"v\":1}", 0, "k", 0, 0, 0},
    {"a null key", KV, "{\"k\":null}", 0, "field 'k'", 0, 0, 0},
    {"a string for a number", KV, "{\"k\":\"a\",\"v\":\"1\"}", 0,
     "a whole number is wanted, this is a string", 0, 0, 0},
    {"half a number", KV, "{\"k\":\"a\",\"v\":1.5}", 0, "field 'v'", 0, 0, 0},
    {"leading zeros", KV, "{\"k\":\"a\",\"v\":01}", 0, "leading zeros", 0, 0, 0},
    {"a list for a string", KV, "{\"k\":[1]}", 0, "a string is wanted", 0, 0, 0},
    {"half a surrogate pair", KV, "{\"k\":\"\\ud83d\"}", 0, "surrogate", 0, 0, 0},
    {"a control character", KV, "{\"k\":\"a\x01\"}", 0, "control character", 0, 0, 0},
    {"not UTF-8", KV, "{\"k\":\"\xc3\x28\"}", 0, "UTF-8", 0, 0, 0},
    {"something behind the object", KV, "{\"k\":\"a\"} x", 0, "follows", 0, 0, 0},
    {"a comma at the end", KV, "{\"k\":\"a\",}", 0, "a string is wanted", 0, 0, 0},
    {"an object without end", KV, "{\"k\":\"a\"", 0, "line 1", 0, 0, 0},
    {"a string without end", KV, "{\"k\":\"a", 0, "without end", 0, 0, 0},
    {"an array without end", KV, "[{\"k\":\"a\"}", 0, "']'", 0, 0, 0},
    {"an array with a comma too much", KV, "[{\"k\":\"a\"},]", 0, "line 1", 0, 0, 0},
    {"an array with another thing", KV, "[\n{\"k\":\"a\"},\n5]", 0, "line 3", 0, 0, 0},
    {"a duplicate map key", NESTED, "{\"k\":1,\"m\":{\"p\":1,\"p\":2}}", 0, "field 'm'", 0, 0, 0},
    {"the same key written twice", NESTED,
     "{\"k\":1,\"n\":[{\"key\":1,\"value\":2},{\"key\":1,\"value\":3}]}", 0, "twice", 0, 0, 0},
    {"a null in a list", NESTED, "{\"k\":1,\"l\":[null]}", 0, "field 'l.element'", 0, 0, 0},
    {"a wrong element", NESTED, "{\"k\":1,\"l\":[[\"x\",{}]]}", 0, "field 'l.element.element'", 0,
     0, 0},
    {"a missing member", NESTED, "{\"k\":1,\"s\":{\"b\":\"x\"}}", 0, "field 's.a'", 0, 0, 0},
    {"an unknown member", NESTED, "{\"k\":1,\"s\":{\"a\":1,\"c\":2}}", 0, "field 's.c'", 0, 0, 0},
    {"an int beyond its type", NESTED, "{\"k\":2147483648}", 0, "field 'k'", 0, 0, 0},
};

static void json_is_read_by_type(void **state)
{
    (void)state;
    run_cases(jsonl_reader_open, cases, sizeof cases / sizeof *cases);
}

static int count_bad(void *state, const struct format_bad_row *bad)
{
    assert_true(bad->text.size > 0);
    return *(int *)state += 1, 0;
}

static void bad_rows_do_not_end_the_stream(void **state)
{
    (void)state;
    int n = 0;
    struct format_options options = {.bad_row = count_bad, .bad_row_state = &n};
    struct format_case lines = {"lines", KV, "{\"k\":\"a\"}\n{\"k\":\n[]\n{\"k\":\"b\"}\n", 0, 0, 0,
                                0,       0};
    struct format_case array = {
        "array", KV, "[{\"k\":\"a\"}, {\"k\":[1,2]}, 7, {\"k\":\"b\"}]", 0, 0, 0, 0, 0};
    const struct format_case *both[] = {&lines, &array};
    for (int i = 0; i < 2; i++) {
        struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
        n = 0;
        if (read_case(jsonl_reader_open, both[i], 5, &options, &out) < 0)
            fail_msg("%s", error_message());
        assert_int_equal(n, 2);
        assert_true(slice_equal_text(buffer_slice(&out),
                                     "{\"k\":\"a\",\"v\":null}\n{\"k\":\"b\",\"v\":null}\n"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_read_by_type),
        cmocka_unit_test(bad_rows_do_not_end_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
