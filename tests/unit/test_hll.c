/*
 * test_hll.c: distinct counts against known numbers of distinct items: all but exact while few,
 * within the standard error when many; the same bytes for the same set, however it came; and no
 * damaged bytes taken for good.
 */
#include "test.h"

#include "base/runtime.h"
#include "sketch/sketch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check_valid(const struct hll *hll)
{
    const char *reason;
    if (!hll_validate(hll, &reason)) fail_msg("a distinct count with %s", reason);
}

static void add(struct hll *hll, uint64_t number)
{
    hll_update(hll, slice_make(&number, sizeof number));
}

static void few_distinct_items_are_counted_all_but_exactly(void **state)
{
    (void)state;
    struct hll *hll = hll_new(HLL_PRECISION_DEFAULT);
    assert_true(hll_estimate(hll) == 0);
    for (uint64_t i = 0; i < 500; i++) {
        add(hll, i % 250);
        add(hll, i);
        assert_int_equal(llround(hll_estimate(hll)), i + 1);
    }
    check_valid(hll);
    hll_free(hll);
}

/* Over many sets of each size, the mean shows the bias and the mean square the error. */
static void many_distinct_items_are_counted_within_the_standard_error(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {400, 600, 2000, 5000, 10000, 20000, 50000, 200000};
    enum { TRIALS = 40 };
    const double expected = 1.04 / 64;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double sum = 0, squares = 0;
        for (uint64_t trial = 0; trial < TRIALS; trial++) {
            struct hll *hll = hll_new(HLL_PRECISION_DEFAULT);
            for (uint64_t i = 0; i < sizes[s]; i++)
                add(hll, trial << 40 | i);
            double error = hll_estimate(hll) / (double)sizes[s] - 1;
            sum += error;
            squares += error * error;
            check_valid(hll);
            hll_free(hll);
        }
        double bias = sum / TRIALS, deviation = sqrt(squares / TRIALS);
        printf("%llu distinct: %.2f %% off on average, %.2f %% mean square\n",
               (unsigned long long)sizes[s], 100 * bias, 100 * deviation);
        assert_true(fabs(bias) < 4 * expected / sqrt(TRIALS));
        assert_true(deviation < 1.4 * expected);
    }
}

static void encode(const struct hll *hll, struct buffer *out)
{
    buffer_clear(out);
    assert_ok(hll_encode(hll, out));
}

static void one_set_makes_the_same_bytes_in_any_order_and_grouping(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 10, 400, 513, 600, 5000};
    defer_buffer struct buffer a = BUFFER_INIT(1 << 20), b = BUFFER_INIT(1 << 20);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint64_t n = sizes[s];
        struct hll *all = hll_new(12), *backwards = hll_new(12), *parts[3], *read;
        for (unsigned i = 0; i < 3; i++)
            parts[i] = hll_new(12);
        for (uint64_t i = 0; i < n; i++) {
            add(all, i);
            add(backwards, n - 1 - i);
            add(backwards, n - 1 - i / 2);
            add(parts[i * i % 3], i);
            add(parts[2], i / 2);
        }
        encode(all, &a);
        encode(backwards, &b);
        assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
        assert_ok(hll_merge(parts[1], parts[2]));
        assert_ok(hll_merge(parts[0], parts[1]));
        check_valid(parts[0]);
        encode(parts[0], &b);
        assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
        assert_ok(hll_decode(buffer_slice(&b), &read));
        assert_true(hll_estimate(read) == hll_estimate(all));
        encode(read, &b);
        assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
        hll_free(read);
        hll_free(all);
        hll_free(backwards);
        for (unsigned i = 0; i < 3; i++)
            hll_free(parts[i]);
    }
}

static void keys_count_as_items_one_by_one(void **state)
{
    (void)state;
    uint8_t bytes[5 * 2 + 64] = "aaaabbccbb";
    struct keys keys = {.n_rows = 5, .stride = 2, .bytes = bytes};
    struct hll *hll = hll_new(12), *other = hll_new(10);
    hll_update_keys(hll, &keys);
    assert_int_equal(llround(hll_estimate(hll)), 3);
    hll_update(hll, SLICE("bb"));
    hll_update(hll, SLICE("d"));
    assert_int_equal(llround(hll_estimate(hll)), 4);
    assert_fails(hll_merge(hll, other), GLIS_EINVALID, "precisions 12 and 10");
    hll_free(hll);
    hll_free(other);
}

static void no_damaged_bytes_make_a_count_that_is_not_valid(void **state)
{
    (void)state;
    defer_buffer struct buffer out = BUFFER_INIT(1 << 20);
    for (uint64_t n = 10; n <= 10000; n *= 1000) {
        struct hll *hll = hll_new(8);
        for (uint64_t i = 0; i < n; i++)
            add(hll, i);
        encode(hll, &out);
        hll_free(hll);
        for (size_t i = 0; i < out.size; i++) {
            assert_fails(hll_decode(slice_make(out.data, i), &hll), GLIS_ECORRUPT, NULL);
            for (unsigned bit = 0; bit < 8; bit++) {
                out.data[i] ^= (uint8_t)(1u << bit);
                if (hll_decode(buffer_slice(&out), &hll) == 0) {
                    check_valid(hll);
                    assert_true(hll_estimate(hll) >= 0);
                    hll_free(hll);
                }
                out.data[i] ^= (uint8_t)(1u << bit);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_distinct_items_are_counted_all_but_exactly),
        cmocka_unit_test(many_distinct_items_are_counted_within_the_standard_error),
        cmocka_unit_test(one_set_makes_the_same_bytes_in_any_order_and_grouping),
        cmocka_unit_test(keys_count_as_items_one_by_one),
        cmocka_unit_test(no_damaged_bytes_make_a_count_that_is_not_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
