/*
 * test_properties.c: the syntax of java.util.Properties.load, case by case, with the examples of
 * its documentation; the line in errors; writing and reading back.
 */
#include "test.h"

#include "base/properties.h"

struct expected {
    const char *text;
    const char *pairs[8]; /* name, value, ..., NULL */
};

static const struct expected cases[] = {
    {"", {NULL}},
    /* The documentation's own examples. */
    {"Truth = Beauty\n", {"Truth", "Beauty", NULL}},
    {" Truth:Beauty", {"Truth", "Beauty", NULL}},
    {"Truth                    :Beauty", {"Truth", "Beauty", NULL}},
    {"fruits                           apple, banana, pear, \\\n"
     "                                 cantaloupe, watermelon, \\\n"
     "                                 kiwi, mango\n",
     {"fruits", "apple, banana, pear, cantaloupe, watermelon, kiwi, mango", NULL}},
    {"cheeses\n", {"cheeses", "", NULL}},
    {"\\:\\=", {":=", "", NULL}},
    /* Comments and blank lines. */
    {"# a = b\n! c = d\n  \t\f# e = f\n\n \t \na=b\n", {"a", "b", NULL}},
    {"# not continued \\\na=b", {"a", "b", NULL}},
    {"a=b#c!d", {"a", "b#c!d", NULL}},
    {"a=b\\\n  # part of the value", {"a", "b# part of the value", NULL}},
    {"\\#a=b", {"#a", "b", NULL}},
    /* Line ends of all kinds. */
    {"a=1\rb=2\r\nc=3\n\n", {"a", "1", "b", "2", "c", "3", NULL}},
    {"a=1\\\r\n  2\\\r  3\\\n  4", {"a", "1234", NULL}},
    /* Separators. */
    {"a b", {"a", "b", NULL}},
    {"a\tb", {"a", "b", NULL}},
    {"a\fb", {"a", "b", NULL}},
    {"a = = b", {"a", "= b", NULL}},
    {"a:=b", {"a", "=b", NULL}},
    {"a  b=c", {"a", "b=c", NULL}},
    {"=b", {"", "b", NULL}},
    {":b", {"", "b", NULL}},
    {"a=b  ", {"a", "b  ", NULL}},
    {"a\\ b=c", {"a b", "c", NULL}},
    {"a\\=b\\:c\\ d=e", {"a=b:c d", "e", NULL}},
    {"a=\\ b", {"a", " b", NULL}},
    /* Backslashes. */
    {"path=C:\\\\dir", {"path", "C:\\dir", NULL}},
    {"a=b\\\\\nc=d", {"a", "b\\", "c", "d", NULL}},
    {"a=b\\\\\\\nc=d", {"a", "b\\c=d", NULL}},
    {"a=\\b\\z\\\"", {"a", "bz\"", NULL}},
    {"a=\\t\\n\\r\\f|", {"a", "\t\n\r\f|", NULL}},
    {"a=b\\", {"a", "b", NULL}},
    {"a\\\n=b", {"a", "b", NULL}},
    {"a=b\\\n\nc=d", {"a", "b", "c", "d", NULL}},
    {"\\\n\na=b", {"a", "b", NULL}},
    {"\\\n#a=b", {"#a", "b", NULL}},
    /* Unicode. */
    {"a=\\u0041\\u00e4\\u20AC\\ud83d\\ude00", {"a", "A\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", NULL}},
    {"\\u0061\\u003d=x", {"a=", "x", NULL}},
    {"a=\\\\u0041", {"a", "\\u0041", NULL}},
    {"a=gr\xC3\xBC\xC3\x9F", {"a", "gr\xC3\xBC\xC3\x9F", NULL}},
    {"a=gr\xFC\xDF", {"a", "gr\xC3\xBC\xC3\x9F", NULL}},
    {"\xEF\xBB\xBF"
     "a=b",
     {"a", "b", NULL}},
    /* Repeated names are all there. */
    {"a=1\nb=2\na=3", {"a", "1", "b", "2", "a", "3", NULL}},
};

static void texts_give_the_pairs_that_java_gives(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct properties properties;
        assert_ok(properties_parse(&arena, slice_from_text(cases[i].text), &properties));
        size_t n = 0;
        for (; cases[i].pairs[2 * n]; n++) {
            if (n >= properties.n_items ||
                !slice_equal_text(properties.items[n].name, cases[i].pairs[2 * n]) ||
                !slice_equal_text(properties.items[n].value, cases[i].pairs[2 * n + 1]))
                fail_msg("case %zu: '%s'", i, cases[i].text);
        }
        if (n != properties.n_items) fail_msg("case %zu: '%s'", i, cases[i].text);
    }
}

static void the_last_of_a_repeated_name_counts_and_lines_are_known(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct properties properties;
    assert_ok(properties_parse(&arena, SLICE("# x\na=1\nb=2 \\\n 3\na=4\n"), &properties));
    const struct property *a = properties_find(&properties, "a");
    assert_true(slice_equal_text(a->value, "4"));
    assert_int_equal(a->line, 5);
    assert_int_equal(properties_find(&properties, "b")->line, 3);
    assert_null(properties_find(&properties, "c"));
}

static void wrong_escapes_name_their_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"\\u00",   "\\u00g0",        "\\u",      "\\ud83d",
                                      "\\ude00", "\\ud83d\\u0041", "\\ud83dx", "\\ud83d\\ude0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct properties properties;
        char text[100];
        snprintf(text, sizeof(text), "ok=1\r\n\nbad=%s\n", bad[i]);
        assert_fails(properties_parse(&arena, slice_from_text(text), &properties), GLIS_EINVALID,
                     "line 3: \\u");
    }
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const struct slice texts[] = {
        SLICE("plain"),
        SLICE(""),
        SLICE(" lead and trail "),
        SLICE("a=b:c#d!e"),
        SLICE("#"),
        SLICE("!x"),
        SLICE("back\\slash\\"),
        SLICE("\t\n\r\f"),
        SLICE("\x01\x7F\0z"),
        SLICE("\xC3\xBC"),
        SLICE("\xE2\x82\xAC"),
        SLICE("\xF0\x9F\x98\x80"),
    };
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            defer_arena struct arena arena = ARENA_EMPTY;
            defer_buffer struct buffer out = BUFFER_INIT(1000);
            struct properties properties;
            assert_ok(properties_write_comment(&out, SLICE("one\ntwo")));
            assert_ok(properties_write(&out, texts[i], texts[j]));
            assert_ok(properties_parse(&arena, buffer_slice(&out), &properties));
            assert_int_equal(properties.n_items, 1);
            assert_true(slice_equal(properties.items[0].name, texts[i]));
            assert_true(slice_equal(properties.items[0].value, texts[j]));
        }
    }
    defer_buffer struct buffer out = BUFFER_INIT(1000);
    assert_ok(properties_write(&out, SLICE("a b=\xC3\xBC"), SLICE(" x y=\xF0\x9F\x98\x80\n")));
    assert_true(slice_equal_text(buffer_slice(&out), "a\\ b\\=\\u00FC=\\ x y=\\uD83D\\uDE00\\n\n"));
    assert_fails(properties_write(&out, SLICE("a"), SLICE("\xFF")), GLIS_EINVALID, "UTF-8");
}

static void size_is_limited(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct properties properties;
    char *large = memory_alloc_zero(PROPERTIES_BYTES_MAX + 1);
    assert_fails(properties_parse(&arena, slice_make(large, PROPERTIES_BYTES_MAX + 1), &properties),
                 GLIS_ELIMIT, "limit");
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_give_the_pairs_that_java_gives),
        cmocka_unit_test(the_last_of_a_repeated_name_counts_and_lines_are_known),
        cmocka_unit_test(wrong_escapes_name_their_line),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(size_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
