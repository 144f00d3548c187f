/*
 * test_thrift_read.c: bytes of Thrift's compact protocol, written by hand from its specification
 * (thrift-compact-protocol.md), and what must be refused of hostile ones.
 */
#include "test.h"

#include "parquet/parquet_read_int.h"

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static struct thrift_cursor cursor_of(const uint8_t *bytes, size_t size)
{
    return (struct thrift_cursor){bytes, bytes + size};
}

static void field_headers_count_on_or_give_their_id(void **state)
{
    (void)state;
    /* Id 1 (delta 1, i32), id 16 (delta 15, binary), id 200 in full (zigzag 400), stop. */
    struct thrift_cursor cursor = cursor_of(BYTES(0x15, 0xf8, 0x06, 0x90, 0x03, 0x00));
    int id = 0, type;
    assert_ok(thrift_field(&cursor, &id, &type));
    assert_int_equal(id, 1);
    assert_int_equal(type, THRIFT_I32);
    assert_ok(thrift_field(&cursor, &id, &type));
    assert_int_equal(id, 16);
    assert_int_equal(type, THRIFT_BINARY);
    assert_ok(thrift_field(&cursor, &id, &type));
    assert_int_equal(id, 200);
    assert_int_equal(type, THRIFT_I64);
    assert_ok(thrift_field(&cursor, &id, &type));
    assert_int_equal(type, THRIFT_STOP);
    assert_fails(thrift_field(&cursor, &id, &type), GLIS_ECORRUPT, "breaks off");
    cursor = cursor_of(BYTES(0x1d));
    assert_fails(thrift_field(&cursor, &id, &type), GLIS_ECORRUPT, "type 13");
}

static void integers_are_zigzag_varints(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[10];
        size_t size;
        int type;
        int64_t expected;
    } cases[] = {
        {{0x00}, 1, THRIFT_I32, 0},
        {{0x01}, 1, THRIFT_I16, -1},
        {{0x02}, 1, THRIFT_I64, 1},
        {{0xac, 0x02}, 2, THRIFT_I32, 150},
        {{0xfe, 0xff, 0xff, 0xff, 0x0f}, 5, THRIFT_I32, INT32_MAX},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10, THRIFT_I64, INT64_MIN},
        {{0xfe}, 1, THRIFT_I8, -2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value;
        struct thrift_cursor cursor = cursor_of(cases[i].bytes, cases[i].size);
        assert_ok(thrift_integer(&cursor, cases[i].type, &value));
        assert_int_equal(value, cases[i].expected);
        assert_ptr_equal(cursor.next, cursor.end);
        cursor = cursor_of(cases[i].bytes, cases[i].size - 1);
        assert_fails(thrift_integer(&cursor, cases[i].type, &value), GLIS_ECORRUPT, "breaks off");
    }
    int64_t value;
    struct thrift_cursor cursor =
        cursor_of(BYTES(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00));
    assert_fails(thrift_integer(&cursor, THRIFT_I64, &value), GLIS_ECORRUPT, "too long");
    cursor = cursor_of(BYTES(0x00));
    assert_fails(thrift_integer(&cursor, THRIFT_BINARY, &value), GLIS_ECORRUPT, "no number");
}

static void texts_and_lists_end_where_the_message_ends(void **state)
{
    (void)state;
    struct slice text;
    int type;
    uint32_t n;
    struct thrift_cursor cursor = cursor_of(BYTES(0x03, 'a', 0, 'c', 'd'));
    assert_ok(thrift_binary(&cursor, THRIFT_BINARY, &text));
    assert_true(slice_equal(text, slice_make("a\0c", 3)));
    cursor = cursor_of(BYTES(0x04, 'a', 'b', 'c'));
    assert_fails(thrift_binary(&cursor, THRIFT_BINARY, &text), GLIS_ECORRUPT, "breaks off");

    cursor = cursor_of(BYTES(0x25, 0x02, 0x04));
    assert_ok(thrift_list(&cursor, THRIFT_LIST, &type, &n));
    assert_int_equal(type, THRIFT_I32);
    assert_int_equal(n, 2);
    /* 15 and more elements: the count follows. */
    cursor = cursor_of(BYTES(0xf3, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    assert_ok(thrift_list(&cursor, THRIFT_LIST, &type, &n));
    assert_int_equal(n, 15);
    cursor = cursor_of(BYTES(0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f, 0));
    assert_fails(thrift_list(&cursor, THRIFT_LIST, &type, &n), GLIS_ECORRUPT, "more than");
    bool flag;
    assert_ok(thrift_boolean(&cursor, THRIFT_TRUE, &flag));
    assert_true(flag);
    assert_fails(thrift_boolean(&cursor, THRIFT_I8, &flag), GLIS_ECORRUPT, "no boolean");
}

static void what_is_skipped_is_skipped_in_full(void **state)
{
    (void)state;
    static const struct {
        int type;
        uint8_t bytes[16];
        size_t size;
    } cases[] = {
        {THRIFT_TRUE, {0}, 0},
        {THRIFT_I8, {7}, 1},
        {THRIFT_I64, {0x80, 0x01}, 2},
        {THRIFT_DOUBLE, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, 8},
        {THRIFT_BINARY, {2, 'a', 'b'}, 3},
        {THRIFT_LIST, {0x31, 1, 2, 1}, 4},                        /* three booleans, a byte each */
        {THRIFT_SET, {0x28, 1, 'a', 0}, 4},                       /* "a" and "" */
        {THRIFT_MAP, {0}, 1},                                     /* empty: no types */
        {THRIFT_MAP, {1, 0x85, 1, 'k', 0x02}, 5},                 /* binary to i32 */
        {THRIFT_STRUCT, {0x15, 0x02, 0x11, 0x1c, 0x00, 0x00}, 6}, /* i32, true, empty struct */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct thrift_cursor cursor = cursor_of(cases[i].bytes, cases[i].size);
        assert_ok(thrift_skip(&cursor, cases[i].type));
        assert_ptr_equal(cursor.next, cursor.end);
        if (cases[i].size == 0) continue;
        cursor = cursor_of(cases[i].bytes, cases[i].size - 1);
        assert_fails(thrift_skip(&cursor, cases[i].type), GLIS_ECORRUPT, NULL);
    }
}

static void nesting_without_end_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    memset(bytes, 0x1c, sizeof(bytes));
    struct thrift_cursor cursor = cursor_of(bytes, sizeof(bytes));
    assert_fails(thrift_skip(&cursor, THRIFT_STRUCT), GLIS_ECORRUPT, "too deeply");
    memset(bytes, 0x19, sizeof(bytes));
    cursor = cursor_of(bytes, sizeof(bytes));
    assert_fails(thrift_skip(&cursor, THRIFT_LIST), GLIS_ECORRUPT, "too deeply");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_headers_count_on_or_give_their_id),
        cmocka_unit_test(integers_are_zigzag_varints),
        cmocka_unit_test(texts_and_lists_end_where_the_message_ends),
        cmocka_unit_test(what_is_skipped_is_skipped_in_full),
        cmocka_unit_test(nesting_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
