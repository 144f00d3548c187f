/*
 * test_text_code.c: base64 and hexadecimal by the vectors of RFC 4648 section 10, and the words
 * that a person may have meant.
 */
#include "test.h"

#include "base/text.h"

static void base64_by_the_vectors_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"},
                 {"\xFB\xFF\xFE", "+//+"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_buffer struct buffer out = BUFFER_INIT(100);
        assert_ok(text_base64_encode(&out, slice_from_text(cases[i].bytes)));
        assert_true(slice_equal_text(buffer_slice(&out), cases[i].text));
        buffer_clear(&out);
        assert_ok(text_base64_decode(&out, slice_from_text(cases[i].text)));
        assert_true(slice_equal_text(buffer_slice(&out), cases[i].bytes));
    }
}

static void base64_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",      "Zg",   "Zg=",       "Zg==Zg==", "=g==",
                                      "Z===",   "====", "Zh==",      "Zm9=",     "Zm 9",
                                      "Zm9v\n", "Zm-_", "Zm\xC3\xBC"};
    defer_buffer struct buffer out = BUFFER_INIT(100);
    assert_ok(buffer_append_text(&out, "kept"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_fails(text_base64_decode(&out, slice_from_text(bad[i])), GLIS_EINVALID, "base64");
        assert_int_equal(out.size, 4);
    }
}

static void hexadecimal_by_the_vectors_of_the_rfc(void **state)
{
    (void)state;
    defer_buffer struct buffer out = BUFFER_INIT(100);
    assert_ok(text_hex_encode(&out, SLICE("foobar\xFF\0")));
    assert_true(slice_equal_text(buffer_slice(&out), "666f6f626172ff00"));
    buffer_clear(&out);
    assert_ok(text_hex_decode(&out, SLICE("666F6f626172")));
    assert_true(slice_equal_text(buffer_slice(&out), "foobar"));
    assert_fails(text_hex_decode(&out, SLICE("666")), GLIS_EINVALID, "half a byte");
    assert_fails(text_hex_decode(&out, SLICE("66g6")), GLIS_EINVALID, "character 3");
}

static void distances_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {{"", "", 0},           {"abc", "", 3},          {"kitten", "sitting", 3},
                 {"flaw", "lawn", 2},   {"ingest", "ingset", 1}, {"ca", "abc", 3},
                 {"Query", "query", 0}, {"status", "statsu", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice a = slice_from_text(cases[i].a), b = slice_from_text(cases[i].b);
        assert_int_equal(text_distance(a, b), cases[i].distance);
        assert_int_equal(text_distance(b, a), cases[i].distance);
    }
}

static void the_nearest_word_is_offered_and_no_far_one(void **state)
{
    (void)state;
    static const char *const commands[] = {"init", "table", "ingest", "query", "status", "check"};
    static const struct {
        const char *word, *meant;
    } cases[] = {{"ingset", "ingest"}, {"qurey", "query"},  {"stat", "status"},
                 {"chek", "check"},    {"tables", "table"}, {"INIT", "init"},
                 {"compact", NULL},    {"", NULL},          {"x", NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *meant = text_closest(slice_from_text(cases[i].word), commands, 6);
        if (cases[i].meant) {
            assert_non_null(meant);
            assert_string_equal(meant, cases[i].meant);
        } else {
            assert_null(meant);
        }
    }
    assert_null(text_closest(SLICE("init"), NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_by_the_vectors_of_the_rfc),
        cmocka_unit_test(base64_that_is_none_is_refused),
        cmocka_unit_test(hexadecimal_by_the_vectors_of_the_rfc),
        cmocka_unit_test(distances_by_hand),
        cmocka_unit_test(the_nearest_word_is_offered_and_no_far_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
