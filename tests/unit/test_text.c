/*
 * test_text.c: numbers, sizes, durations and UTF-8. The well-formed and ill-formed sequences are
 * those of the Unicode standard, table 3-7 and the cases around its edges.
 */
#include "test.h"

#include "base/text.h"

#include <math.h>

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"+7", true, 7},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+-1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1x", false, 0},
        {"0x10", false, 0},
        {"1.0", false, 0},
        {"\xD9\xA1", false, 0}, /* an Arabic one */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 99;
        int code = text_parse_int64(slice_from_text(cases[i].text), &value);
        if (cases[i].good) {
            assert_ok(code);
            assert_int_equal(value, cases[i].value);
        } else {
            assert_int_equal(code, GLIS_EINVALID);
            assert_int_equal(value, 99);
        }
    }
    uint64_t u;
    assert_ok(text_parse_uint64(SLICE("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_fails(text_parse_uint64(SLICE("18446744073709551616"), &u), GLIS_EINVALID, "range");
    assert_fails(text_parse_uint64(SLICE("-1"), &u), GLIS_EINVALID, "'-1' is not");
    int64_t s;
    assert_ok(text_parse_int_between(SLICE("5"), 5, 6, &s));
    assert_fails(text_parse_int_between(SLICE("7"), 5, 6, &s), GLIS_EINVALID, "from 5 to 6");
    assert_fails(text_parse_int64(SLICE("12\0"), &s), GLIS_EINVALID, NULL);
    assert_fails(text_parse_int64(SLICE("abc"), &s), GLIS_EINVALID, "'abc' is not a whole number");
}

static void doubles(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0.0},
        {"-0.0", -0.0},
        {"1", 1.0},
        {"1.5", 1.5},
        {".5", 0.5},
        {"5.", 5.0},
        {"+1e3", 1000.0},
        {"0.1", 0.1},
        {"123456789012345e-5", 1234567890.12345},
        {"1e22", 1e22},
        {"1e23", 1e23},
        {"9007199254740993", 9007199254740992.0},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"4.9e-324", 4.9406564584124654e-324},
        {"1e-400", 0.0},
        {"0e99999999999999999999", 0.0},
        {"2.2250738585072011e-308", 0x0.fffffffffffffp-1022},
        {"3.141592653589793238462643383279", 0x1.921fb54442d18p+1},
        {"100000000000000000000000", 1e23},
        {"inf", INFINITY},
        {"-Infinity", -INFINITY},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        double value = 99;
        assert_ok(text_parse_double(slice_from_text(good[i].text), &value));
        assert_memory_equal(&value, &good[i].value, sizeof(value));
    }
    double value;
    assert_ok(text_parse_double(SLICE("NaN"), &value));
    assert_true(isnan(value));
    static const char *const bad[] = {"",      ".",      "-",    "e5",    "1e",    "1e+",
                                      "1.2.3", " 1",     "1 ",   "0x1p3", "1f",    "1,5",
                                      "in",    "nan(1)", "1e5x", "--1",   "1e400", "-1e309"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_fails(text_parse_double(slice_from_text(bad[i]), &value), GLIS_EINVALID, NULL);
}

static void truth(void **state)
{
    (void)state;
    bool value = false;
    assert_ok(text_parse_bool(SLICE("TRUE"), &value));
    assert_true(value);
    assert_ok(text_parse_bool(SLICE("false"), &value));
    assert_false(value);
    assert_fails(text_parse_bool(SLICE("yes"), &value), GLIS_EINVALID,
                 "'yes' is not true or false");
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},           {"4096", 4096},       {"10B", 10},
        {"128K", 131072},   {"128k", 131072},     {"128KB", 131072},
        {"3MiB", 3145728},  {"1G", 1073741824},   {"2T", 2199023255552},
        {"1P", 1ull << 50}, {"15E", 15ull << 60},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t bytes = 99;
        assert_ok(text_parse_size(slice_from_text(good[i].text), &bytes));
        assert_true(bytes == good[i].bytes);
    }
    static const char *const bad[] = {"",    "K",   "-1",  "1.5G",  "1X",
                                      "1KK", "16E", "1 K", "1KiBB", "99999999999999999999"};
    uint64_t bytes;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_fails(text_parse_size(slice_from_text(bad[i]), &bytes), GLIS_EINVALID, NULL);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"500ms", 500},    {"90s", 90000}, {"15m", 900000}, {"24h", 86400000},
        {"7d", 604800000}, {"30", 30000},  {"0s", 0},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t ms = 99;
        assert_ok(text_parse_duration(slice_from_text(good[i].text), 1000, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"", "s", "-1s", "1.5h", "1w", "1 s", "9223372036854775807d"};
    int64_t ms;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_fails(text_parse_duration(slice_from_text(bad[i]), 1000, &ms), GLIS_EINVALID, NULL);
    assert_fails(text_parse_duration(SLICE("30"), 0, &ms), GLIS_EINVALID, "15m");
}

static void sizes_and_durations_for_people(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } size_cases[] = {{0, "0 bytes"},        {1023, "1023 bytes"}, {1024, "1 KiB"},
                      {1536, "1.5 KiB"},     {1048575, "1 MiB"},   {1ull << 40, "1 TiB"},
                      {UINT64_MAX, "16 EiB"}};
    static const struct {
        int64_t ms;
        const char *text;
    } duration_cases[] = {{0, "0 ms"},           {350, "350 ms"},        {1000, "1 s"},
                          {1250, "1.2 s"},       {59999, "59 s"},        {60000, "1 min"},
                          {125000, "2 min 5 s"}, {7500000, "2 h 5 min"}, {7200000, "2 h"},
                          {90000000, "1 d 1 h"}, {-1500, "-1.5 s"}};
    for (size_t i = 0; i < sizeof(size_cases) / sizeof(size_cases[0]); i++) {
        defer_buffer struct buffer out = BUFFER_INIT(100);
        assert_ok(text_append_size(&out, size_cases[i].bytes));
        assert_ok(buffer_append_byte(&out, 0));
        assert_string_equal(out.data, size_cases[i].text);
    }
    for (size_t i = 0; i < sizeof(duration_cases) / sizeof(duration_cases[0]); i++) {
        defer_buffer struct buffer out = BUFFER_INIT(100);
        assert_ok(text_append_duration(&out, duration_cases[i].ms));
        assert_ok(buffer_append_byte(&out, 0));
        assert_string_equal(out.data, duration_cases[i].text);
    }
}

static void utf8_is_told_from_other_bytes(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "plain text that is longer than a word",
        "\xC2\x80",
        "\xDF\xBF",
        "\xE0\xA0\x80",
        "\xED\x9F\xBF",
        "\xEE\x80\x80",
        "\xEF\xBF\xBF",
        "\xF0\x90\x80\x80",
        "\xF4\x8F\xBF\xBF",
        "gr\xC3\xBC\xC3\x9F\x65 \xE2\x82\xAC \xF0\x9F\x98\x80 end",
    };
    static const struct {
        const char *text;
        size_t bad_offset;
    } bad[] = {
        {"\x80", 0},
        {"\xBF", 0},
        {"\xC0\x80", 0},
        {"\xC1\xBF", 0},
        {"\xC2", 0},
        {"a\xC2g", 1},
        {"\xE0\x9F\xBF", 0},
        {"\xED\xA0\x80", 0},
        {"\xED\xBF\xBF", 0},
        {"\xE2\x82", 0},
        {"\xF0\x8F\xBF\xBF", 0},
        {"\xF4\x90\x80\x80", 0},
        {"\xF5\x80\x80\x80", 0},
        {"\xFF", 0},
        {"12345678\xC3\xBC\xF0\x9F\x98", 10},
        {"1234567890123456789\xFE", 19},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(text_is_utf8(slice_from_text(good[i]), NULL));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t offset = 99;
        assert_false(text_is_utf8(slice_from_text(bad[i].text), &offset));
        assert_int_equal(offset, bad[i].bad_offset);
    }
    assert_true(text_is_utf8(SLICE_EMPTY, NULL));
    assert_true(text_is_utf8(SLICE("a\0b"), NULL));
}

static void code_points_become_utf8(void **state)
{
    (void)state;
    static const struct {
        uint32_t code_point;
        const char *text;
    } cases[] = {{0x24, "$"},
                 {0x7F, "\x7F"},
                 {0x80, "\xC2\x80"},
                 {0x7FF, "\xDF\xBF"},
                 {0x800, "\xE0\xA0\x80"},
                 {0x20AC, "\xE2\x82\xAC"},
                 {0xFFFF, "\xEF\xBF\xBF"},
                 {0x10000, "\xF0\x90\x80\x80"},
                 {0x10FFFF, "\xF4\x8F\xBF\xBF"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[4];
        size_t size = text_utf8_encode(cases[i].code_point, out);
        assert_true(slice_equal(slice_make(out, size), slice_from_text(cases[i].text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(doubles),
        cmocka_unit_test(truth),
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes_and_durations_for_people),
        cmocka_unit_test(utf8_is_told_from_other_bytes),
        cmocka_unit_test(code_points_become_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
