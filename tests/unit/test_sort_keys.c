/*
 * test_sort_keys.c: the radix sort against a plain comparison sort, over keys that are made to hurt
 * it: long agreement, few values, one value, ends inside the eight bytes, and more rows than one
 * part.
 */
#include "test.h"

#include "base/runtime.h"
#include "lsm/lsm_int.h"

#include <stdlib.h>

/* How the keys of a case look: `agree` equal bytes, then up to `varied` bytes of `alphabet` values,
 * and the end 00 00 that makes no key the prefix of another. */
struct shape {
    const char *name;
    uint64_t n_rows;
    unsigned agree, varied, alphabet;
    bool fixed;
};

static const struct shape shapes[] = {
    {"one row", 1, 0, 4, 200, false},
    {"a few", 20, 0, 8, 200, false},
    {"all alike", 3000, 6, 0, 1, false},
    {"few values", 5000, 0, 3, 2, false},
    {"short and shorter", 20000, 0, 6, 3, false},
    {"long agreement", 4000, 100, 12, 4, false},
    {"one letter of many lengths", 4000, 0, 700, 1, false},
    {"two letters, deep", 3000, 0, 300, 2, false},
    {"fixed width", 30000, 0, 16, 16, true},
    {"many parts", 200000, 3, 10, 16, false},
    {"many parts of one value", 120000, 20, 1, 2, false},
};

struct made {
    struct keys keys[3];
    struct sort_entry *entries, *scratch;
    uint64_t n;
};

static void make_keys(const struct shape *shape, struct random *random, struct keys *out,
                      uint64_t n_rows)
{
    size_t max = shape->agree + shape->varied + 2;
    uint8_t *bytes = calloc(n_rows * max + 64, 1);
    uint32_t *offsets = malloc((n_rows + 1) * sizeof *offsets), at = 0;
    for (uint64_t i = 0; i < n_rows; i++) {
        offsets[i] = at;
        for (unsigned j = 0; j < shape->agree; j++)
            bytes[at++] = 'x';
        uint64_t varied = shape->fixed ? shape->varied : random_below(random, shape->varied + 1);
        for (uint64_t j = 0; j < varied; j++)
            bytes[at++] = (uint8_t)(1 + random_below(random, shape->alphabet));
        if (!shape->fixed) at += 2;
    }
    offsets[n_rows] = at;
    *out = (struct keys){.n_rows = (int64_t)n_rows, .bytes = bytes};
    if (shape->fixed) {
        out->stride = shape->agree + shape->varied;
        free(offsets);
    } else {
        out->offsets = offsets;
    }
}

static int by_key(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static void check_shape(const struct shape *shape, struct pool *pool, uint64_t seed)
{
    struct random *random = random_seeded_new(seed);
    struct made made = {.n = 0};
    uint64_t parts[3] = {shape->n_rows - shape->n_rows / 3 - shape->n_rows / 2, shape->n_rows / 3,
                         shape->n_rows / 2};
    made.entries = calloc(shape->n_rows, sizeof *made.entries);
    made.scratch = calloc(shape->n_rows, sizeof *made.scratch);
    struct slice *expected = calloc(shape->n_rows, sizeof *expected);
    for (unsigned part = 0; part < 3; part++) {
        make_keys(shape, random, &made.keys[part], parts[part]);
        for (uint64_t row = 0; row < parts[part]; row++) {
            expected[made.n] = keys_get(&made.keys[part], (int64_t)row);
            made.entries[made.n++] = (struct sort_entry){
                key_prefix_at(&made.keys[part], (int64_t)row, shape->agree), {part, (uint32_t)row}};
        }
    }
    qsort(expected, made.n, sizeof *expected, by_key);
    assert_ok(key_sort(pool, made.entries, made.scratch, made.n, made.keys, shape->agree));
    for (uint64_t i = 0; i < made.n; i++) {
        struct row_source row = made.entries[i].row;
        if (!slice_equal(keys_get(&made.keys[row.batch], row.row), expected[i]))
            fail_msg("%s: row %llu is not the one a plain sort puts there", shape->name,
                     (unsigned long long)i);
        if (i == 0) continue;
        struct row_source before = made.entries[i - 1].row;
        if (slice_equal(expected[i], expected[i - 1]) &&
            (before.batch > row.batch || (before.batch == row.batch && before.row >= row.row)))
            fail_msg("%s: equal keys changed places at %llu", shape->name, (unsigned long long)i);
    }
    for (unsigned part = 0; part < 3; part++) {
        free((void *)(uintptr_t)made.keys[part].bytes);
        free((void *)(uintptr_t)made.keys[part].offsets);
    }
    free(made.entries);
    free(made.scratch);
    free(expected);
    random_seeded_free(random);
}

static void keys_come_out_as_a_plain_sort_orders_them(void **state)
{
    (void)state;
    struct pool *alone = pool_new(0), *pool = pool_new(2);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_shape(&shapes[i], alone, 7 + i);
        check_shape(&shapes[i], pool, 1007 + i);
    }
    pool_free(alone);
    pool_free(pool);
}

static void eight_bytes_of_a_key_stop_at_its_end(void **state)
{
    (void)state;
    uint8_t bytes[80] = "abcdefghijkl\x01\x02";
    uint32_t offsets[] = {0, 3, 12, 12};
    struct keys keys = {.n_rows = 3, .bytes = bytes, .offsets = offsets};
    assert_int_equal(key_prefix_at(&keys, 0, 0), 0x6162630000000000);
    assert_int_equal(key_prefix_at(&keys, 0, 2), 0x6300000000000000);
    assert_int_equal(key_prefix_at(&keys, 0, 3), 0);
    assert_int_equal(key_prefix_at(&keys, 1, 0), 0x6465666768696a6b);
    assert_int_equal(key_prefix_at(&keys, 1, 5), 0x696a6b6c00000000);
    assert_int_equal(key_prefix_at(&keys, 2, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_out_as_a_plain_sort_orders_them),
        cmocka_unit_test(eight_bytes_of_a_key_stop_at_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
