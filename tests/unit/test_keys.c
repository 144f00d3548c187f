/*
 * test_keys.c: the key encoding: bytes at the edges written by hand from its description, and the
 * order of 100,000 random pairs of keys against a comparison of the values themselves.
 */
#include "column/column.h"
#include "test.h"

static void encode(const struct type *type, struct value value, struct buffer *out)
{
    buffer_clear(out);
    assert_int_equal(key_append_value(type, &value, out), 0);
}

static void edges_have_the_bytes_of_the_description(void **state)
{
    (void)state;
    static const struct {
        struct type type;
        struct value value;
        const char *bytes;
        size_t size;
    } cases[] = {
        {{.kind = TYPE_INT32}, {.kind = TYPE_INT32, .integer = INT32_MIN}, "\0\0\0\0", 4},
        {{.kind = TYPE_INT32}, {.kind = TYPE_INT32, .integer = -1}, "\x7f\xff\xff\xff", 4},
        {{.kind = TYPE_INT32}, {.kind = TYPE_INT32, .integer = 0}, "\x80\0\0\0", 4},
        {{.kind = TYPE_INT64}, {.kind = TYPE_INT64, .integer = 1}, "\x80\0\0\0\0\0\0\x01", 8},
        {{.kind = TYPE_BOOLEAN}, {.kind = TYPE_BOOLEAN, .integer = 1}, "\x01", 1},
        {{.kind = TYPE_STRING}, {.kind = TYPE_STRING, .bytes = {"", 0}}, "\0\0", 2},
        {{.kind = TYPE_STRING},
         {.kind = TYPE_STRING, .bytes = {"a\0b", 3}},
         "a\0\xff"
         "b\0\0",
         6},
        {{.kind = TYPE_DOUBLE}, {.kind = TYPE_DOUBLE, .real = -0.0}, "\x80\0\0\0\0\0\0\0", 8},
        {{.kind = TYPE_DOUBLE}, {.kind = TYPE_DOUBLE, .real = 1.0}, "\xbf\xf0\0\0\0\0\0\0", 8},
        {{.kind = TYPE_DECIMAL, .precision = 9, .scale = 2},
         {.kind = TYPE_DECIMAL, .decimal = -1},
         "\x7f\xff\xff\xff",
         4},
    };
    struct buffer key defer_buffer = BUFFER_INIT(1024);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        encode(&cases[i].type, cases[i].value, &key);
        assert_int_equal(key.size, cases[i].size);
        assert_memory_equal(key.data, cases[i].bytes, key.size);
    }
}

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

static void long_keys_sort_as_numbers(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(1);
    struct type type = {.kind = TYPE_INT64};
    struct buffer x defer_buffer = BUFFER_INIT(64), y defer_buffer = BUFFER_INIT(64);
    for (int i = 0; i < 100000; i++) {
        int64_t a = (int64_t)(random_u64(random) >> random_below(random, 64));
        int64_t b = random_below(random, 4) ? -(a / 3) : a;
        encode(&type, value_integer(TYPE_INT64, a), &x);
        encode(&type, value_integer(TYPE_INT64, b), &y);
        assert_int_equal(sign(slice_compare(buffer_slice(&x), buffer_slice(&y))),
                         (a > b) - (a < b));
    }
    random_seeded_free(random);
}

static void text_keys_sort_as_bytes(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(2);
    struct type type = {.kind = TYPE_BYTES};
    struct buffer x defer_buffer = BUFFER_INIT(64), y defer_buffer = BUFFER_INIT(64);
    static const char bytes[] = {0, 1, (char)0xff, 'a'};
    for (int i = 0; i < 100000; i++) {
        char a[6], b[6];
        size_t n = random_below(random, 7), m = random_below(random, 7);
        for (size_t j = 0; j < n; j++)
            a[j] = bytes[random_below(random, 4)];
        for (size_t j = 0; j < m; j++)
            b[j] = bytes[random_below(random, 4)];
        size_t least = n < m ? n : m;
        int expected = least ? sign(memcmp(a, b, least)) : 0;
        if (!expected) expected = (n > m) - (n < m);
        encode(&type, value_bytes(TYPE_BYTES, slice_make(a, n)), &x);
        encode(&type, value_bytes(TYPE_BYTES, slice_make(b, m)), &y);
        assert_int_equal(sign(slice_compare(buffer_slice(&x), buffer_slice(&y))), expected);
    }
    random_seeded_free(random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_have_the_bytes_of_the_description),
        cmocka_unit_test(long_keys_sort_as_numbers),
        cmocka_unit_test(text_keys_sort_as_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
