/*
 * test_json_write.c: the bytes that the writer gives, by hand from RFC 8259; doubles that read
 * back; failures that stick.
 */
#include "test.h"

#include "base/json.h"

#include <math.h>

static void write_sample(struct json_writer *writer)
{
    json_write_object_begin(writer);
    json_write_field_int(writer, "n", INT64_MIN);
    json_write_field_uint(writer, "u", UINT64_MAX);
    json_write_field_text(writer, "t", "x");
    json_write_name(writer, "list");
    json_write_array_begin(writer);
    json_write_bool(writer, true);
    json_write_null(writer);
    json_write_object_begin(writer);
    json_write_object_end(writer);
    json_write_array_begin(writer);
    json_write_array_end(writer);
    json_write_raw(writer, SLICE("[7]"));
    json_write_array_end(writer);
    json_write_field_bool(writer, "b", false);
    json_write_object_end(writer);
}

static void one_line_and_indented(void **state)
{
    (void)state;
    struct json_writer writer;
    defer_buffer struct buffer out = BUFFER_INIT(1000);
    json_writer_init(&writer, &out, 0);
    write_sample(&writer);
    assert_ok(json_writer_finish(&writer));
    assert_true(slice_equal_text(
        buffer_slice(&out), "{\"n\":-9223372036854775808,\"u\":18446744073709551615,\"t\":\"x\","
                            "\"list\":[true,null,{},[],[7]],\"b\":false}"));
    buffer_clear(&out);
    json_writer_init(&writer, &out, 2);
    write_sample(&writer);
    assert_ok(json_writer_finish(&writer));
    assert_true(slice_equal_text(buffer_slice(&out),
                                 "{\n  \"n\": -9223372036854775808,\n"
                                 "  \"u\": 18446744073709551615,\n  \"t\": \"x\",\n"
                                 "  \"list\": [\n    true,\n    null,\n    {},\n    [],\n    [7]\n"
                                 "  ],\n  \"b\": false\n}"));
}

static void strings_are_escaped(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        const char *text;
    } cases[] = {
        {SLICE(""), "\"\""},
        {SLICE("plain"), "\"plain\""},
        {SLICE("\"\\/\b\f\n\r\t"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
        {SLICE("\0\x01\x1F\x7F"), "\"\\u0000\\u0001\\u001f\\u007f\""},
        {SLICE("\xC3\xBC \xF0\x9F\x98\x80"), "\"\xC3\xBC \xF0\x9F\x98\x80\""},
        {SLICE("a\xFF"
               "b\xC3"),
         "\"a\xEF\xBF\xBD"
         "b\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_buffer struct buffer out = BUFFER_INIT(1000);
        assert_ok(json_append_string(&out, cases[i].value));
        assert_true(slice_equal_text(buffer_slice(&out), cases[i].text));
    }
    struct buffer full = BUFFER_INIT(3);
    assert_fails(json_append_string(&full, SLICE("ab")), GLIS_ELIMIT, "limit");
    assert_int_equal(full.size, 0);
    buffer_free(&full);
}

static void doubles_are_short_and_exact(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.0, "0.0"},
                 {-0.0, "-0.0"},
                 {1.0, "1.0"},
                 {0.1, "0.1"},
                 {-2.5, "-2.5"},
                 {1e22, "1e+22"},
                 {0x1.5555555555555p-2, "0.3333333333333333"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"},
                 {4.9406564584124654e-324, "5e-324"},
                 {123456789012345680.0, "1.2345678901234568e+17"},
                 {1e15, "1e+15"},
                 {999999999999999.0, "999999999999999.0"},
                 {NAN, "\"NaN\""},
                 {INFINITY, "\"Infinity\""},
                 {-INFINITY, "\"-Infinity\""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_buffer struct buffer out = BUFFER_INIT(100);
        assert_ok(json_append_double(&out, cases[i].value));
        assert_ok(buffer_append_byte(&out, 0));
        assert_string_equal(out.data, cases[i].text);
    }
}

static void a_tree_is_written_as_it_was_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"z\":[1,-2.5,true,null,\"a\\\"b\"],\"a\":{\"\":{}},\"big\":9223372036854775807}";
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_buffer struct buffer out = BUFFER_INIT(1000);
    const struct json *root;
    struct json_writer writer;
    assert_ok(json_parse(&arena, slice_from_text(text), JSON_RULES_USER, &root));
    json_writer_init(&writer, &out, 0);
    json_write_value(&writer, root);
    assert_ok(json_writer_finish(&writer));
    assert_true(slice_equal_text(buffer_slice(&out), text));
}

static void a_failure_sticks_until_the_end(void **state)
{
    (void)state;
    struct json_writer writer;
    defer_buffer struct buffer out = BUFFER_INIT(30);
    json_writer_init(&writer, &out, 0);
    write_sample(&writer);
    (void)error_set(GLIS_EIO, "something else");
    assert_fails(json_writer_finish(&writer), GLIS_ELIMIT, "limit of 30 bytes");

    defer_buffer struct buffer deep = BUFFER_INIT(1000);
    json_writer_init(&writer, &deep, 0);
    for (int i = 0; i < 200; i++)
        json_write_array_begin(&writer);
    for (int i = 0; i < 200; i++)
        json_write_array_end(&writer);
    assert_fails(json_writer_finish(&writer), GLIS_ELIMIT, "128 levels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_and_indented),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(doubles_are_short_and_exact),
        cmocka_unit_test(a_tree_is_written_as_it_was_read),
        cmocka_unit_test(a_failure_sticks_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
