/*
 * test_decode_kernels.c: the loops for this processor beside the plain ones, on the same inputs;
 * and both beside a bit-by-bit reading that shares nothing with them.
 */
#include "test.h"

#include <stdlib.h>

#include "parquet/level_bits.h"
#include "parquet/parquet_read_int.h"

enum { N_BYTES = 4096 };

static void fill(uint8_t *bytes, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
}

/* Bit by bit. */
static uint32_t packed_at(const uint8_t *in, unsigned width, int64_t i)
{
    uint32_t value = 0;
    for (unsigned b = 0; b < width; b++) {
        int64_t bit = i * width + b;
        value |= (uint32_t)(in[bit >> 3] >> (bit & 7) & 1) << b;
    }
    return value;
}

static void unpacking_is_alike_at_every_width_and_count(void **state)
{
    (void)state;
    static uint8_t in[N_BYTES];
    static uint32_t a[1024], b[1024];
    fill(in, sizeof in, 1);
    for (unsigned width = 0; width <= 32; width++) {
        for (int64_t n = 0; n <= 900; n = n < 70 ? n + 1 : n + 83) {
            /* an input of its own that ends with 8 readable bytes, for the address sanitizer */
            size_t size = ((size_t)n * width + 7) / 8;
            uint8_t *own = memory_alloc(size + 8);
            memcpy(own, in, size + 8);
            memset(a, 0xee, sizeof a);
            memset(b, 0xee, sizeof b);
            decode_kernels()->unpack(own, own + size, width, n, a);
            decode_kernels_plain.unpack(own, own + size, width, n, b);
            assert_memory_equal(a, b, sizeof a);
            for (int64_t i = 0; i < n; i++)
                assert_int_equal(a[i], packed_at(in, width, i));
            assert_int_equal(a[n], 0xeeeeeeee);
            free(own);
        }
    }
}

static void levels_are_compared_alike(void **state)
{
    (void)state;
    uint8_t levels[64];
    for (int round = 0; round < 500; round++) {
        int most = round % 127 + 1;
        fill(levels, sizeof levels, (uint64_t)round);
        for (int i = 0; i < 64; i++)
            levels[i] = (uint8_t)(levels[i] % (most + 1));
        for (int level = 0; level <= most && level < 20; level++) {
            uint64_t expected = 0;
            for (int i = 0; i < 64; i++)
                expected |= (uint64_t)(levels[i] >= level) << i;
            assert_true(decode_kernels()->levels_at_least(levels, level) == expected);
            assert_true(decode_kernels_plain.levels_at_least(levels, level) == expected);
        }
    }
}

static void bits_are_extracted_alike(void **state)
{
    (void)state;
    uint64_t words[2];
    for (uint64_t round = 0; round < 2000; round++) {
        fill((uint8_t *)words, sizeof words, round);
        if (round % 7 == 0) words[1] = 0;
        if (round % 7 == 1) words[1] = ~(uint64_t)0;
        uint64_t expected = 0;
        for (unsigned i = 0, n = 0; i < 64; i++)
            if (words[1] >> i & 1) expected |= (words[0] >> i & 1) << n++;
        assert_true(decode_kernels()->extract_bits(words[0], words[1]) == expected);
        assert_true(decode_kernels_plain.extract_bits(words[0], words[1]) == expected);
    }
}

static void the_greatest_is_found_wherever_it_stands(void **state)
{
    (void)state;
    uint32_t values[100];
    for (int64_t n = 1; n <= 100; n++) {
        for (int64_t at = 0; at < n; at++) {
            for (int64_t i = 0; i < n; i++)
                values[i] = (uint32_t)i;
            values[at] = 0xfffffff0;
            assert_true(decode_kernels()->greatest(values, n) == 0xfffffff0);
            assert_true(decode_kernels_plain.greatest(values, n) == 0xfffffff0);
        }
    }
    assert_int_equal(decode_kernels()->greatest(values, 0), 0);
}

static bool bit(const uint8_t *bits, int64_t at)
{
    return bits[at >> 3] >> (at & 7) & 1;
}

static void runs_of_bits_go_where_they_are_put(void **state)
{
    (void)state;
    uint8_t from[64], to[64], before[64];
    uint64_t seed = 3;
    for (int round = 0; round < 20000; round++) {
        fill(from, sizeof from, seed++);
        fill(before, sizeof before, seed++);
        memcpy(to, before, sizeof to);
        int64_t at = before[0] % 130, begin = before[1] % 130, n = before[2] % 200, set = 0;
        bool filled = before[3] % 4 == 0;
        if (filled)
            bits_fill(to, at, n, before[4] & 1);
        else
            bits_copy(to, at, from, begin, n);
        for (int64_t i = 0; i < at; i++)
            assert_int_equal(bit(to, i), bit(before, i));
        for (int64_t i = 0; i < n; i++)
            assert_int_equal(bit(to, at + i), filled ? before[4] & 1 : bit(from, begin + i));
        for (int64_t i = 0; i < n; i++)
            set += bit(from, begin + i);
        assert_int_equal(bits_count(from, begin, n), set);
    }
}

/* Runs by the format's text: 5 ones as a run (5 << 1, then 01), then 8 packed (3: one group). */
static void bits_of_the_hybrid_are_those_of_its_levels(void **state)
{
    (void)state;
    uint8_t in[16] = {5 << 1, 1, 1 << 1 | 1, 0xa5, 4 << 1, 0}, bits[16], levels[32];
    static const uint8_t expected[17] = {1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0};
    int64_t n_set;
    assert_ok(decode_rle_bits(slice_make(in, 6), 17, bits, &n_set));
    assert_ok(decode_rle_levels(slice_make(in, 6), 1, 17, levels));
    assert_int_equal(n_set, 9);
    for (int64_t i = 0; i < 17; i++) {
        assert_int_equal(bit(bits, i), expected[i]);
        assert_int_equal(levels[i], expected[i]);
    }
    assert_fails(decode_rle_bits(slice_make(in, 6), 18, bits, &n_set), GLIS_ECORRUPT, "breaks off");
    assert_fails(decode_rle_bits(slice_make(in, 3), 17, bits, &n_set), GLIS_ECORRUPT, "breaks off");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpacking_is_alike_at_every_width_and_count),
        cmocka_unit_test(levels_are_compared_alike),
        cmocka_unit_test(bits_are_extracted_alike),
        cmocka_unit_test(the_greatest_is_found_wherever_it_stands),
        cmocka_unit_test(runs_of_bits_go_where_they_are_put),
        cmocka_unit_test(bits_of_the_hybrid_are_those_of_its_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
