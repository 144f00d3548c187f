/*
 * test_parquet_read.c: the decoders on bytes written by hand from the format's description
 * (https://parquet.apache.org/docs/file-format/data-pages/encodings/), whole and broken. The
 * numbers in the comments are the parts of the bytes beside them.
 */
#include "test.h"

#include <stdlib.h>

#include "parquet/parquet_read_int.h"

enum { READABLE_BEHIND = 64, VALUES_MAX = 160 };

/* Bytes on the heap with what decoders may read behind them. */
static struct slice bytes_new(const void *bytes, size_t size)
{
    uint8_t *copy = memory_alloc_zero(size + READABLE_BEHIND);
    if (size) memcpy(copy, bytes, size);
    memset(copy + size, 0xa5, READABLE_BEHIND);
    return slice_make(copy, size);
}

static void bytes_free(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* ---- runs and bit-packed groups ---- */

struct rle_case {
    const char *name;
    const uint8_t *bytes;
    size_t size;
    unsigned width;
    int64_t n;
    uint32_t expected[24];
    const char *error; /* NULL: it decodes */
};

static const struct rle_case rle_cases[] = {
    /* The format's own example: 0 to 7 in 3 bits is 10001000 11000110 11111010 (LSB first). */
    {"0 to 7 packed", BYTES(0x03, 0x88, 0xc6, 0xfa), 3, 8, {0, 1, 2, 3, 4, 5, 6, 7}, NULL},
    {"a run of five", BYTES(0x0a, 0x04), 3, 5, {4, 4, 4, 4, 4}, NULL},
    {"a run longer than wanted", BYTES(0xc8, 0x01, 0x01), 1, 3, {1, 1, 1}, NULL},
    {"a run, then packed",
     BYTES(0x06, 0x02, 0x03, 0x88, 0xc6, 0xfa),
     3,
     11,
     {2, 2, 2, 0, 1, 2, 3, 4, 5, 6, 7},
     NULL},
    {"two groups packed at once",
     BYTES(0x05, 0x55, 0xaa),
     1,
     16,
     {1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1},
     NULL},
    {"a packed group used in part", BYTES(0x03, 0x88, 0xc6, 0xfa), 3, 3, {0, 1, 2}, NULL},
    {"a packed group without its padding", BYTES(0x03, 0x88, 0x06), 3, 4, {0, 1, 2, 3}, NULL},
    {"0 bits, a run without a value", BYTES(0x08), 0, 4, {0, 0, 0, 0}, NULL},
    {"0 bits, packed", BYTES(0x03), 0, 8, {0, 0, 0, 0, 0, 0, 0, 0}, NULL},
    {"a value of 8 bits", BYTES(0x04, 0xff), 8, 2, {255, 255}, NULL},
    {"nothing wanted", BYTES(0x00), 1, 0, {0}, NULL},
    {"nothing there", BYTES(0x02), 1, 1, {0}, "breaks off"},
    {"too few packed", BYTES(0x03, 0x88), 3, 8, {0}, "breaks off"},
    {"too few runs", BYTES(0x04, 0x01), 1, 3, {0}, "breaks off"},
    {"an empty run", BYTES(0x00, 0x01, 0x02, 0x01), 1, 1, {0}, "breaks off"},
    {"no packed group", BYTES(0x01, 0x02, 0x01), 1, 1, {0}, "breaks off"},
    {"a repeated value of too many bits", BYTES(0x04, 0x04), 2, 2, {0}, "too wide"},
    {"a count without an end",
     BYTES(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x01),
     1,
     1,
     {0},
     "breaks off"},
    {"a count whose bytes overflow",
     BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
     8,
     8,
     {0},
     "breaks off"},
};

static void runs_and_groups(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rle_cases / sizeof *rle_cases; i++) {
        const struct rle_case *c = &rle_cases[i];
        struct slice in = bytes_new(c->bytes, c->size);
        uint32_t indices[VALUES_MAX];
        uint8_t levels[VALUES_MAX];
        int code = decode_rle_indices(in, c->width, c->n, indices);
        if ((code < 0) != !!c->error) fail_msg("%s: indices: %s", c->name, error_message());
        if (code < 0 && !strstr(error_message(), c->error))
            fail_msg("%s: indices: %s", c->name, error_message());
        if (code < 0) error_clear();
        int again = decode_rle_levels(in, c->width, c->n, levels);
        if (again != code) fail_msg("%s: levels give %d, indices %d", c->name, again, code);
        error_clear();
        for (int64_t k = 0; code == 0 && k < c->n; k++)
            if (indices[k] != c->expected[k] || levels[k] != c->expected[k])
                fail_msg("%s: value %d is %u and %u", c->name, (int)k, indices[k], levels[k]);
        bytes_free(in);
    }
}

static void widths_beyond_the_format(void **state)
{
    (void)state;
    uint32_t indices[8];
    uint8_t levels[8];
    struct slice in = bytes_new(BYTES(0x04, 0xff, 0xff, 0xff, 0xff, 0x01));
    assert_ok(decode_rle_indices(in, 32, 2, indices));
    assert_true(indices[0] == UINT32_MAX && indices[1] == UINT32_MAX);
    assert_fails(decode_rle_indices(in, 33, 2, indices), GLIS_ECORRUPT, "33 bits");
    assert_fails(decode_rle_levels(in, 9, 2, levels), GLIS_ECORRUPT, "9 bits");
    bytes_free(in);
}

/* ---- DELTA_BINARY_PACKED ---- */

/* The header is: values in a block, miniblocks in a block, values in all, the first (zigzag). Then
 * the least delta (zigzag), a width for each miniblock, the miniblocks. */
struct delta_case {
    const char *name;
    const uint8_t *bytes;
    size_t size;
    unsigned value_bytes;
    int64_t n;
    int64_t expected[8];
    size_t used;
    const char *error;
};

static const struct delta_case delta_cases[] = {
    {"one value", BYTES(0x80, 0x01, 0x04, 0x01, 0x0e), 8, 1, {7}, 5, NULL},
    {"no value", BYTES(0x80, 0x01, 0x04, 0x00, 0x00), 8, 0, {0}, 5, NULL},
    /* The format's example: 1, 2, 3, 4, 5: all deltas 1, no bits. */
    {"1 to 5",
     BYTES(0x80, 0x01, 0x04, 0x05, 0x02, 0x02, 0, 0, 0, 0),
     4,
     5,
     {1, 2, 3, 4, 5},
     10,
     NULL},
    /* And the other: 7 5 3 1 2 3 4 5: deltas -2 -2 -2 1 1 1 1, least -2, rest 0 0 0 3 3 3 3 in 2
     * bits: 11000000 00111111. A miniblock of 32 values takes 8 bytes. */
    {"7 5 3 1 2 3 4 5",
     BYTES(0x80, 0x01, 0x04, 0x08, 0x0e, 0x03, 2, 0, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0, 0, 0),
     8,
     8,
     {7, 5, 3, 1, 2, 3, 4, 5},
     18,
     NULL},
    {"the same without its padding",
     BYTES(0x80, 0x01, 0x04, 0x08, 0x0e, 0x03, 2, 0, 0, 0, 0xc0, 0x3f),
     4,
     8,
     {7, 5, 3, 1, 2, 3, 4, 5},
     12,
     NULL},
    /* From the greatest to the least of 32 bits the delta wraps around to 1. */
    {"around the end of 32 bits",
     BYTES(0x80, 0x01, 0x04, 0x02, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x02, 0, 0, 0, 0),
     4,
     2,
     {INT32_MAX, INT32_MIN},
     14,
     NULL},
    /* First INT64_MAX; delta 1 wraps around. */
    {"around the end of 64 bits",
     BYTES(0x80, 0x01, 0x04, 0x02, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02,
           0, 0, 0, 0),
     8,
     2,
     {INT64_MAX, INT64_MIN},
     19,
     NULL},
    /* 64 bits wide: least delta 0, the delta is 2^64 - 1 = -1. */
    {"a delta of 64 bits",
     BYTES(0x80, 0x01, 0x04, 0x02, 0x0a, 0x00, 64, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
           0xff, 0xff),
     8,
     2,
     {5, 4},
     18,
     NULL},
    {"blocks of 256 in 2", BYTES(0x80, 0x02, 0x02, 0x02, 0x00, 0x04, 0, 0), 8, 2, {0, 2}, 8, NULL},
    {"blocks of 100", BYTES(0x64, 0x04, 0x01, 0x00), 8, 1, {0}, 0, "blocks of 100"},
    {"blocks of 0", BYTES(0x00, 0x04, 0x01, 0x00), 8, 1, {0}, 0, "blocks of 0"},
    {"no parts", BYTES(0x80, 0x01, 0x00, 0x01, 0x00), 8, 1, {0}, 0, "0 parts"},
    {"parts of 16", BYTES(0x80, 0x01, 0x08, 0x01, 0x00), 8, 1, {0}, 0, "8 parts"},
    {"more than the page has",
     BYTES(0x80, 0x01, 0x04, 0x02, 0x00, 0, 0, 0, 0, 0),
     8,
     1,
     {0},
     0,
     "2 deltas where 1"},
    {"fewer than the page has",
     BYTES(0x80, 0x01, 0x04, 0x01, 0x00),
     8,
     2,
     {0},
     0,
     "1 deltas where 2"},
    {"65 bits",
     BYTES(0x80, 0x01, 0x04, 0x02, 0x00, 0x00, 65, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
     8,
     2,
     {0},
     0,
     "65 bits"},
    {"no widths", BYTES(0x80, 0x01, 0x04, 0x02, 0x00, 0x00, 1, 0), 8, 2, {0}, 0, "breaks off"},
    {"no deltas",
     BYTES(0x80, 0x01, 0x04, 0x02, 0x00, 0x00, 8, 0, 0, 0),
     8,
     2,
     {0},
     0,
     "breaks off"},
    {"no header", BYTES(0x80), 8, 1, {0}, 0, "breaks off"},
};

static void deltas(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof delta_cases / sizeof *delta_cases; i++) {
        const struct delta_case *c = &delta_cases[i];
        struct slice in = bytes_new(c->bytes, c->size);
        int64_t wide[VALUES_MAX];
        int32_t narrow[VALUES_MAX];
        size_t used = 0;
        int code = decode_delta(in, c->value_bytes, c->n,
                                c->value_bytes == 8 ? (void *)wide : (void *)narrow, &used);
        if ((code < 0) != !!c->error) fail_msg("%s: %d, %s", c->name, code, error_message());
        if (code < 0 && !strstr(error_message(), c->error))
            fail_msg("%s: %s", c->name, error_message());
        error_clear();
        for (int64_t k = 0; code == 0 && k < c->n; k++) {
            int64_t got = c->value_bytes == 8 ? wide[k] : narrow[k];
            if (got != c->expected[k])
                fail_msg("%s: value %d is %lld", c->name, (int)k, (long long)got);
        }
        if (code == 0 && used != c->used) fail_msg("%s: %zu bytes used", c->name, used);
        bytes_free(in);
    }
}

/* ---- values of a page ---- */

struct value_case {
    const char *name;
    enum parquet_type type;
    uint32_t type_length;
    int encoding;
    const uint8_t *bytes;
    size_t size;
    int64_t n_page, skip, n;
    const char *expected; /* the values, each in brackets, fixed ones in hex */
    const char *error;
    bool dictionary; /* of the texts or numbers 10, 11, 12 */
};

static const struct value_case value_cases[] = {
    {"booleans, a bit each", PARQUET_BOOLEAN, 0, PARQUET_PLAIN, BYTES(0x05, 0x02), 10, 0, 10,
     "[01][00][01][00][00][00][00][00][00][01]", NULL, false},
    {"booleans from the middle", PARQUET_BOOLEAN, 0, PARQUET_PLAIN, BYTES(0x05, 0x02), 10, 7, 3,
     "[00][00][01]", NULL, false},
    {"booleans that lack a byte", PARQUET_BOOLEAN, 0, PARQUET_PLAIN, BYTES(0x05), 9, 0, 9, NULL,
     "fewer values", false},
    {"INT32", PARQUET_INT32, 0, PARQUET_PLAIN, BYTES(1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff), 2, 0, 2,
     "[01000000][feffffff]", NULL, false},
    {"INT32, the second", PARQUET_INT32, 0, PARQUET_PLAIN, BYTES(1, 0, 0, 0, 2, 0, 0, 0), 2, 1, 1,
     "[02000000]", NULL, false},
    {"INT32 that lack a byte", PARQUET_INT32, 0, PARQUET_PLAIN, BYTES(1, 0, 0, 0, 2, 0, 0), 2, 0, 2,
     NULL, "fewer values", false},
    {"INT96", PARQUET_INT96, 0, PARQUET_PLAIN, BYTES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), 1, 0,
     1, "[0102030405060708090a0b0c]", NULL, false},
    {"fixed of 3", PARQUET_FIXED_LEN_BYTE_ARRAY, 3, PARQUET_PLAIN, BYTES(1, 2, 3, 4, 5, 6), 2, 0, 2,
     "[010203][040506]", NULL, false},
    {"texts", PARQUET_BYTE_ARRAY, 0, PARQUET_PLAIN,
     BYTES(2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0, 1, 0, 0, 0, 'c'), 3, 0, 3, "[ab][][c]", NULL, false},
    {"texts from the middle", PARQUET_BYTE_ARRAY, 0, PARQUET_PLAIN,
     BYTES(2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0, 1, 0, 0, 0, 'c'), 3, 2, 1, "[c]", NULL, false},
    {"a text over the end", PARQUET_BYTE_ARRAY, 0, PARQUET_PLAIN, BYTES(3, 0, 0, 0, 'a', 'b'), 1, 0,
     1, NULL, "fewer values", false},
    {"a text of 4 GiB", PARQUET_BYTE_ARRAY, 0, PARQUET_PLAIN, BYTES(0xff, 0xff, 0xff, 0xff, 'a'), 1,
     0, 1, NULL, "fewer values", false},
    /* 1 byte: the width of the indices; then the hybrid. */
    {"by a dictionary", PARQUET_BYTE_ARRAY, 0, PARQUET_RLE_DICTIONARY,
     BYTES(2, 0x04, 0x02, 0x03, 0x24, 0x00), 6, 0, 6, "[12][12][10][11][12][10]", NULL, true},
    {"by a dictionary, the old name", PARQUET_INT32, 0, PARQUET_PLAIN_DICTIONARY,
     BYTES(2, 0x04, 0x02), 2, 1, 1, "[0c000000]", NULL, true},
    {"by a dictionary, 0 bits", PARQUET_BYTE_ARRAY, 0, PARQUET_RLE_DICTIONARY, BYTES(0, 0x06), 3, 0,
     3, "[10][10][10]", NULL, true},
    {"beyond the dictionary", PARQUET_BYTE_ARRAY, 0, PARQUET_RLE_DICTIONARY, BYTES(2, 0x04, 0x03),
     2, 0, 2, NULL, "entry 3 of a dictionary of 3", true},
    {"without the dictionary", PARQUET_BYTE_ARRAY, 0, PARQUET_RLE_DICTIONARY, BYTES(2, 0x04, 0x03),
     2, 0, 2, NULL, "not there", false},
    /* 4 bytes: the size of the runs. */
    {"booleans in runs", PARQUET_BOOLEAN, 0, PARQUET_RLE, BYTES(2, 0, 0, 0, 0x06, 0x01), 3, 0, 3,
     "[01][01][01]", NULL, false},
    {"runs over the end", PARQUET_BOOLEAN, 0, PARQUET_RLE, BYTES(3, 0, 0, 0, 0x06, 0x01), 3, 0, 3,
     NULL, "fewer values", false},
    {"runs of integers", PARQUET_INT32, 0, PARQUET_RLE, BYTES(2, 0, 0, 0, 0x06, 0x01), 3, 0, 3,
     NULL, "no booleans", false},
    {"delta of doubles", PARQUET_DOUBLE, 0, PARQUET_DELTA_BINARY_PACKED,
     BYTES(0x80, 0x01, 0x04, 0x01, 0x0e), 1, 0, 1, NULL, "no integers", false},
    {"delta, the last two", PARQUET_INT32, 0, PARQUET_DELTA_BINARY_PACKED,
     BYTES(0x80, 0x01, 0x04, 0x05, 0x02, 0x02, 0, 0, 0, 0), 5, 3, 2, "[04000000][05000000]", NULL,
     false},
    /* The format's example: Hello, World, Foobar, ABCDEF: lengths 5 5 6 6 (deltas 0 1 0), then the
     * bytes: least 0, rest 0 1 0 in 1 bit = 2, 4 bytes for 32 of them. */
    {"lengths apart", PARQUET_BYTE_ARRAY, 0, PARQUET_DELTA_LENGTH_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x04, 0x0a, 0x00, 1, 0, 0, 0, 2, 0, 0, 0, 'H', 'e', 'l', 'l', 'o', 'W',
           'o', 'r', 'l', 'd', 'F', 'o', 'o', 'b', 'a', 'r', 'A', 'B', 'C', 'D', 'E', 'F'),
     4, 0, 4, "[Hello][World][Foobar][ABCDEF]", NULL, false},
    {"lengths apart, the third", PARQUET_BYTE_ARRAY, 0, PARQUET_DELTA_LENGTH_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x04, 0x0a, 0x00, 1, 0, 0, 0, 2, 0, 0, 0, 'H', 'e', 'l', 'l', 'o', 'W',
           'o', 'r', 'l', 'd', 'F', 'o', 'o', 'b', 'a', 'r', 'A', 'B', 'C', 'D', 'E', 'F'),
     4, 2, 1, "[Foobar]", NULL, false},
    {"a negative length", PARQUET_BYTE_ARRAY, 0, PARQUET_DELTA_LENGTH_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x01, 0x01, 'a'), 1, 0, 1, NULL, "a text of -1 bytes", false},
    {"lengths over the end", PARQUET_BYTE_ARRAY, 0, PARQUET_DELTA_LENGTH_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x01, 0x04, 'a'), 1, 0, 1, NULL, "fewer values", false},
    {"lengths of integers", PARQUET_INT64, 0, PARQUET_DELTA_LENGTH_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x01, 0x02, 'a'), 1, 0, 1, NULL, "fixed width", false},
    /* The format's example: axis, axle, babble, babyhood: prefixes 0 2 0 3 (deltas 2 -2 3: least
     * -2, rest 4 0 5 in 3 bits = 0x44 0x01), suffixes axis le babble yhood: 4 2 6 5 (deltas -2 4
     * -1: least -2, rest 0 6 1 in 3 bits = 0x70). 12 bytes for 32 of them. */
    {"prefixes", PARQUET_BYTE_ARRAY, 0, PARQUET_DELTA_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x04, 0x00, 0x03, 3, 0, 0, 0, 0x44, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
           0x80, 0x01, 0x04, 0x04, 0x08, 0x03, 3, 0, 0, 0, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
           'a', 'x', 'i', 's', 'l', 'e', 'b', 'a', 'b', 'b', 'l', 'e', 'y', 'h', 'o', 'o', 'd'),
     4, 0, 4, "[axis][axle][babble][babyhood]", NULL, false},
    {"prefixes, the last", PARQUET_BYTE_ARRAY, 0, PARQUET_DELTA_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x04, 0x00, 0x03, 3, 0, 0, 0, 0x44, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
           0x80, 0x01, 0x04, 0x04, 0x08, 0x03, 3, 0, 0, 0, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
           'a', 'x', 'i', 's', 'l', 'e', 'b', 'a', 'b', 'b', 'l', 'e', 'y', 'h', 'o', 'o', 'd'),
     4, 3, 1, "[babyhood]", NULL, false},
    {"a first prefix", PARQUET_BYTE_ARRAY, 0, PARQUET_DELTA_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x01, 0x02, 0x80, 0x01, 0x04, 0x01, 0x02, 'a'), 1, 0, 1, NULL,
     "fewer values", false},
    {"prefixes of fixed ones of another width", PARQUET_FIXED_LEN_BYTE_ARRAY, 2,
     PARQUET_DELTA_BYTE_ARRAY,
     BYTES(0x80, 0x01, 0x04, 0x01, 0x00, 0x80, 0x01, 0x04, 0x01, 0x02, 'a'), 1, 0, 1, NULL,
     "1 bytes where all have 2", false},
    {"prefixes of integers", PARQUET_INT32, 0, PARQUET_DELTA_BYTE_ARRAY, BYTES(0x80), 1, 0, 1, NULL,
     "no bytes", false},
    /* The format's example: AA BB CC DD, 00 11 22 33, A3 B4 C5 D6. */
    {"bytes apart", PARQUET_FLOAT, 0, PARQUET_BYTE_STREAM_SPLIT,
     BYTES(0xaa, 0x00, 0xa3, 0xbb, 0x11, 0xb4, 0xcc, 0x22, 0xc5, 0xdd, 0x33, 0xd6), 3, 0, 3,
     "[aabbccdd][00112233][a3b4c5d6]", NULL, false},
    {"bytes apart, the last", PARQUET_FIXED_LEN_BYTE_ARRAY, 2, PARQUET_BYTE_STREAM_SPLIT,
     BYTES(1, 2, 3, 4, 5, 6), 3, 2, 1, "[0306]", NULL, false},
    {"bytes apart that lack one", PARQUET_FLOAT, 0, PARQUET_BYTE_STREAM_SPLIT,
     BYTES(1, 2, 3, 4, 5, 6, 7), 2, 0, 2, NULL, "fewer values", false},
    {"bytes apart of texts", PARQUET_BYTE_ARRAY, 0, PARQUET_BYTE_STREAM_SPLIT, BYTES(1, 2), 2, 0, 2,
     NULL, "without a width", false},
    {"an encoding that there is not", PARQUET_INT32, 0, 77, BYTES(1, 2, 3, 4), 1, 0, 1, NULL,
     "are not read", false},
};

/* Values [skip, skip + n) of a page of n_page, the last of them in a second step. */
static int take_values(struct leaf_data *data, int encoding, struct slice in, int64_t n_page,
                       int64_t skip, int64_t n)
{
    data->page = (struct leaf_page){.encoding = encoding, .body = in, .n_values = n_page};
    TRY(page_values_open(data));
    TRY(page_values_skip(data, skip));
    if (n > 1) TRY(page_values_take(data, n - 1));
    return page_values_take(data, n > 1 ? 1 : n);
}

static void fill_dictionary(struct leaf_data *data)
{
    static const uint8_t texts[] = {2, 0,   0,   0, '1', '0', 2, 0,   0,
                                    0, '1', '1', 2, 0,   0,   0, '1', '2'};
    static const uint8_t numbers[] = {10, 0, 0, 0, 11, 0, 0, 0, 12, 0, 0, 0};
    bool text = data->leaf->type == PARQUET_BYTE_ARRAY;
    struct slice in = text ? bytes_new(texts, sizeof texts) : bytes_new(numbers, sizeof numbers);
    assert_ok(take_values(data, PARQUET_PLAIN, in, 3, 0, 3));
    data->dictionary = data->values;
    data->values = (struct leaf_values){.width = data->dictionary.width};
    data->has_dictionary = true;
    bytes_free(in);
}

static void append_values(const struct leaf_values *values, struct buffer *out)
{
    for (int64_t i = 0; i < values->n; i++) {
        assert_ok(buffer_append_text(out, "["));
        if (values->width) {
            for (unsigned b = 0; b < values->width; b++)
                assert_ok(buffer_printf(out, "%02x",
                                        values->fixed->data[(unsigned)i * values->width + b]));
        } else {
            const int32_t *at = (const int32_t *)(const void *)values->offsets->data;
            assert_ok(buffer_append(out, values->bytes->data + at[i], (size_t)(at[i + 1] - at[i])));
        }
        assert_ok(buffer_append_text(out, "]"));
    }
}

static void values_of_pages(void **state)
{
    (void)state;
    static const struct type type = {.kind = TYPE_BYTES};
    for (size_t i = 0; i < sizeof value_cases / sizeof *value_cases; i++) {
        const struct value_case *c = &value_cases[i];
        struct parquet_leaf leaf = {
            .type = c->type, .type_length = c->type_length, .path = SLICE("p"), .leaf_type = &type};
        struct leaf_data data = {.leaf = &leaf};
        data.values.width = data.width = leaf_width(&leaf);
        if (c->dictionary) fill_dictionary(&data);
        struct slice in = bytes_new(c->bytes, c->size);
        struct buffer out defer_buffer = BUFFER_INIT(1 << 16);
        int code = take_values(&data, c->encoding, in, c->n_page, c->skip, c->n);
        if ((code < 0) != !!c->error) fail_msg("%s: %d, %s", c->name, code, error_message());
        if (code < 0) {
            if (!strstr(error_message(), c->error)) fail_msg("%s: %s", c->name, error_message());
            error_clear();
        } else {
            append_values(&data.values, &out);
            if (!slice_equal_text(buffer_slice(&out), c->expected))
                fail_msg("%s: %.*s", c->name, SLICE_PRINT(buffer_slice(&out)));
        }
        bytes_free(in);
        leaf_data_free(&data);
    }
}

/* The day of 1970-01-01 is Julian day 2,440,588; the nanoseconds of the day come first. */
static void timestamps_of_12_bytes(void **state)
{
    (void)state;
    static const struct {
        int64_t nanos;
        int32_t day;
        int64_t micros;
    } cases[] = {
        {0, 2440588, 0},
        {1999, 2440588, 1},
        {0, 2440587, INT64_C(-86400000000)},
        {INT64_C(86399999999999), 2440587, -1},
        {-1, 2440588, -1},
        {0, 5373484, INT64_C(253402214400000000)}, /* 9999-12-31, 2,932,896 days later */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[12];
        memcpy(bytes, &cases[i].nanos, 8);
        memcpy(bytes + 8, &cases[i].day, 4);
        assert_true(int96_micros(bytes) == cases[i].micros);
    }
}

/* ---- nested columns ---- */

/* A map of integers to nothing else than its keys' levels: optional map, repeated entries, optional
 * key: levels 0 no map, 1 empty, 2 an entry with a null key, 3 a key. */
static int read_map(const char *definitions, const char *repetitions, int64_t n_keys,
                    struct column *out)
{
    static const struct type whole = {.kind = TYPE_INT32};
    static const struct field entry_fields[] = {{SLICE("key"), {.kind = TYPE_INT32}, false},
                                                {SLICE("value"), {.kind = TYPE_INT32}, true}};
    static const struct field entry = {
        SLICE("key_value"),
        {.kind = TYPE_STRUCT, .n_children = 2, .children = entry_fields},
        false};
    static const struct field map = {
        SLICE("m"), {.kind = TYPE_MAP, .n_children = 1, .children = &entry}, true};
    struct node keys[] = {
        {.kind = NODE_LEAF, .definition = 3, .repetition = 1, .n_leaves = 1},
        {.kind = NODE_LEAF, .definition = 3, .repetition = 1, .leaf = 1, .n_leaves = 1}};
    struct node entries = {.kind = NODE_STRUCT,
                           .definition = 2,
                           .repetition = 1,
                           .n_leaves = 2,
                           .n_children = 2,
                           .children = keys};
    struct node node = {.kind = NODE_MAP,
                        .definition = 1,
                        .element_definition = 2,
                        .n_leaves = 2,
                        .n_children = 1,
                        .children = &entries};
    struct parquet_leaf leaf = {.type = PARQUET_INT32,
                                .max_definition = 3,
                                .max_repetition = 1,
                                .path = SLICE("m"),
                                .leaf_type = &whole};
    struct leaf_data leaves[2];
    int64_t n = (int64_t)strlen(definitions), rows = 0;
    for (int l = 0; l < 2; l++) {
        struct leaf_data *data = &leaves[l];
        *data = (struct leaf_data){.leaf = &leaf, .n_entries = n, .values.width = 4};
        assert_ok(block_new(&data->definitions, NULL, (uint64_t)n + 64));
        assert_ok(block_new(&data->repetitions, NULL, (uint64_t)n + 64));
        memset(data->definitions->data, 0, (size_t)n + 64);
        memset(data->repetitions->data, 0, (size_t)n + 64);
        rows = 0;
        for (int64_t i = 0; i < n; i++) {
            data->definitions->data[i] = (uint8_t)(definitions[i] - '0');
            data->repetitions->data[i] = (uint8_t)(repetitions[i] - '0');
            rows += repetitions[i] == '0';
        }
        data->n_rows = rows;
        assert_ok(leaf_values_reserve(&data->values, n_keys + 1, 0, NULL));
        for (int32_t k = 0; k < n_keys; k++)
            memcpy(data->values.fixed->data + 4 * k, &k, 4);
        data->values.n = n_keys;
    }
    int code = assemble_column(&node, &map, leaves, 0, rows, NULL, out);
    leaf_data_free(&leaves[0]);
    leaf_data_free(&leaves[1]);
    return code;
}

static void keys_of_maps_are_never_null(void **state)
{
    (void)state;
    struct column column;
    /* [{0}, null, {}, {1, 2}] */
    assert_ok(read_map("30133", "00001", 3, &column));
    const int32_t *at = (const int32_t *)(const void *)column.offsets.data;
    assert_int_equal(column.length, 4);
    assert_int_equal(column.null_count, 1);
    const int32_t expected[] = {0, 1, 1, 1, 3};
    assert_memory_equal(at, expected, sizeof expected);
    column_free(&column);
    assert_fails(read_map("30123", "00001", 2, &column), GLIS_ECORRUPT, "null as a key");
    assert_fails(read_map("2", "0", 0, &column), GLIS_ECORRUPT, "null as a key");
}

/* The format's example of BIT_PACKED: 0 to 7 in 3 bits each, 00000101 00111001 01110111. */
static void levels_packed_from_the_highest_bit(void **state)
{
    (void)state;
    static const uint8_t example[] = {0x05, 0x39, 0x77}, bits[] = {0xa0, 0x01};
    uint8_t out[9];
    int64_t n_set;
    struct slice in = bytes_new(example, sizeof example);
    assert_ok(decode_packed_levels(in, 3, 8, out));
    for (int i = 0; i < 8; i++)
        assert_int_equal(out[i], i);
    assert_fails(decode_packed_levels(in, 3, 9, out), GLIS_ECORRUPT, "break off");
    bytes_free(in);
    in = bytes_new(bits, sizeof bits);
    assert_ok(decode_packed_bits(in, 15, out, &n_set));
    assert_int_equal(out[0], 0x05);
    assert_int_equal(out[1], 0x00); /* the 16th is not asked for */
    assert_int_equal(n_set, 2);
    assert_fails(decode_packed_bits(in, 17, out, &n_set), GLIS_ECORRUPT, "break off");
    bytes_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_and_groups),
        cmocka_unit_test(widths_beyond_the_format),
        cmocka_unit_test(deltas),
        cmocka_unit_test(values_of_pages),
        cmocka_unit_test(timestamps_of_12_bytes),
        cmocka_unit_test(keys_of_maps_are_never_null),
        cmocka_unit_test(levels_packed_from_the_highest_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
