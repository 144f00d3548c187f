/*
 * test_kll.c: quantiles sketches and their views against the sorted list of all rows: exact while
 * there are few, within the promised error when there are many, in whatever order rows come and
 * sketches are merged; the same bytes for the same sequence; and no damaged bytes taken for good.
 */
#include "test.h"

#include "base/runtime.h"
#include "sketch/sketch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check_valid(const struct kll *kll)
{
    const char *reason;
    if (!kll_validate(kll, &reason)) fail_msg("a sketch with %s", reason);
}

static struct slice number_key(uint64_t number, uint8_t room[8])
{
    number = __builtin_bswap64(number);
    memcpy(room, &number, 8);
    return slice_make(room, 8);
}

static uint64_t key_number(struct slice key)
{
    uint64_t number;
    assert_int_equal(key.size, 8);
    memcpy(&number, key.data, 8);
    return __builtin_bswap64(number);
}

static void add_numbers(struct kll *kll, const uint64_t *numbers, size_t n)
{
    enum { ROWS = 5000 };
    uint8_t *bytes = calloc(ROWS * 8 + 64, 1);
    for (size_t at = 0; at < n; at += ROWS) {
        size_t rows = n - at < ROWS ? n - at : ROWS;
        for (size_t i = 0; i < rows; i++)
            number_key(numbers[at + i], bytes + 8 * i);
        struct keys keys = {.n_rows = (int64_t)rows, .stride = 8, .bytes = bytes};
        kll_update_keys(kll, &keys);
    }
    free(bytes);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* ---- few rows: exact ---- */

static void a_hundred_numbers_have_the_tenths_they_should(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct kll *kll = kll_new(KLL_K_DEFAULT, SLICE("file"));
    uint64_t numbers[100];
    for (uint64_t i = 0; i < 100; i++)
        numbers[i] = (i * 37) % 100;
    add_numbers(kll, numbers, 100);
    const struct kll_view *view;
    assert_ok(kll_view_new((const struct kll *const *)&kll, 1, &arena, &view));
    for (unsigned tenth = 0; tenth < 10; tenth++) {
        struct slice item;
        assert_true(kll_view_quantile(view, kll_view_all(view), tenth / 10.0 + 1e-9, &item));
        assert_int_equal(key_number(item), tenth * 10);
    }
    assert_int_equal(key_number(kll_min(kll)), 0);
    assert_int_equal(key_number(kll_max(kll)), 99);
    assert_int_equal(kll_count(kll), 100);
    kll_free(kll);
}

static void nothing_makes_an_empty_view(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct kll *kll = kll_new(KLL_K_MIN, SLICE_EMPTY);
    const struct kll_view *view;
    struct slice item;
    assert_ok(kll_view_new((const struct kll *const *)&kll, 1, &arena, &view));
    assert_int_equal(view->n_items, 0);
    assert_int_equal(kll_view_rows(view, kll_view_all(view)), 0);
    assert_int_equal(kll_view_rows_below(view, SLICE("x")), 0);
    assert_false(kll_view_quantile(view, kll_view_all(view), 0.5, &item));
    assert_false(kll_view_above(view, kll_view_all(view), SLICE(""), &item));
    assert_ok(kll_view_new(NULL, 0, &arena, &view));
    assert_int_equal(view->count, 0);
    check_valid(kll);
    kll_free(kll);
}

/* Rows of a naive list within [min, max). */
static size_t naive_range(struct slice *rows, size_t n, struct slice min, struct slice max,
                          size_t *begin)
{
    size_t count = 0;
    *begin = n;
    for (size_t i = 0; i < n; i++) {
        if (slice_compare(rows[i], min) < 0 || slice_compare(rows[i], max) >= 0) continue;
        if (count++ == 0) *begin = i;
    }
    return count;
}

static int by_bytes(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static struct slice random_text(struct random *random, struct arena *arena, unsigned max)
{
    char text[64];
    size_t size = random_below(random, max);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(random_below(random, 4) ? random_below(random, 2) : 254);
    return arena_copy(arena, slice_make(text, size));
}

static void check_range(const struct kll_view *view, struct slice *rows, size_t n, struct slice min,
                        struct slice max)
{
    size_t begin, count = naive_range(rows, n, min, max, &begin);
    struct kll_range range = kll_view_range(view, min, max, false);
    struct slice item;
    assert_int_equal(kll_view_rows(view, range), count);
    for (unsigned i = 0; i <= 8; i++) {
        bool any = kll_view_quantile(view, range, i / 8.0, &item);
        assert_int_equal(any, count > 0);
        if (!any) continue;
        size_t at = (size_t)(i / 8.0 * (double)count);
        if (at == count) at--;
        assert_true(slice_equal(item, rows[begin + at]));
    }
    if (count == 0) return;
    size_t above = begin;
    while (above < begin + count && slice_equal(rows[above], rows[begin]))
        above++;
    bool any = kll_view_above(view, range, rows[begin], &item);
    assert_int_equal(any, above < begin + count);
    if (any) assert_true(slice_equal(item, rows[above]));
}

static void few_rows_of_any_bytes_are_exact_in_one_sketch_and_in_several(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(11);
    for (unsigned round = 0; round < 60; round++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        size_t n = 1 + random_below(random, 900), n_sketches = 1 + random_below(random, 5);
        struct slice *rows = ARENA_ARRAY(&arena, struct slice, n);
        struct kll *sketches[5], *merged = kll_new(KLL_K_DEFAULT, SLICE("m"));
        for (size_t i = 0; i < n_sketches; i++)
            sketches[i] = kll_new(KLL_K_DEFAULT, slice_make(&i, sizeof i));
        for (size_t i = 0; i < n; i++) {
            rows[i] = random_text(random, &arena, round % 2 ? 30 : 4);
            kll_update(sketches[random_below(random, n_sketches)], rows[i]);
        }
        qsort(rows, n, sizeof *rows, by_bytes);
        const struct kll_view *views[2];
        assert_ok(kll_view_new((const struct kll *const *)sketches, n_sketches, &arena, &views[0]));
        for (size_t i = 0; i < n_sketches; i++)
            kll_merge(merged, sketches[i]);
        check_valid(merged);
        assert_ok(kll_view_new((const struct kll *const *)&merged, 1, &arena, &views[1]));
        for (unsigned v = 0; v < 2; v++) {
            assert_int_equal(views[v]->count, n);
            assert_int_equal(views[v]->weight, n);
            check_range(views[v], rows, n, SLICE_EMPTY, SLICE("\xff\xff"));
            for (unsigned i = 0; i < 10; i++)
                check_range(views[v], rows, n, random_text(random, &arena, 12),
                            random_text(random, &arena, 12));
            for (size_t i = 0; i < n; i += 17) {
                size_t below = 0;
                while (below < n && slice_compare(rows[below], rows[i]) < 0)
                    below++;
                assert_int_equal(kll_view_rows_below(views[v], rows[i]), below);
            }
        }
        assert_true(slice_equal(kll_min(merged), rows[0]));
        assert_true(slice_equal(kll_max(merged), rows[n - 1]));
        for (size_t i = 0; i < n_sketches; i++)
            kll_free(sketches[i]);
        kll_free(merged);
    }
    random_seeded_free(random);
}

/* ---- many rows: within the error ---- */

enum order { AS_DRAWN, ASCENDING, DESCENDING, ZIGZAG, RUNS, ORDERS };

static void put_in_order(uint64_t *numbers, size_t n, enum order order)
{
    if (order == AS_DRAWN) return;
    if (order == RUNS) { /* as many sorted files one after the other */
        for (size_t at = 0; at < n; at += 10000)
            qsort(numbers + at, n - at < 10000 ? n - at : 10000, 8, by_number);
        return;
    }
    qsort(numbers, n, sizeof *numbers, by_number);
    if (order == ASCENDING) return;
    uint64_t *copy = malloc(n * sizeof *copy);
    memcpy(copy, numbers, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        numbers[i] = order == DESCENDING ? copy[n - 1 - i]
                     : i % 2             ? copy[n - 1 - i / 2]
                                         : copy[i / 2];
    free(copy);
}

/* Numbers below a sorted list's value; of equal ones the nearest rank counts. */
static double rank_error(const uint64_t *sorted, size_t n, uint64_t value, double rank)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    size_t first = low;
    for (high = n; low < high;) {
        size_t middle = (low + high) / 2;
        if (sorted[middle] <= value)
            low = middle + 1;
        else
            high = middle;
    }
    if (rank < (double)first) return ((double)first - rank) / (double)n;
    if (rank > (double)low) return (rank - (double)low) / (double)n;
    return 0;
}

struct errors {
    uint64_t cases, over;
    double worst, squares;
};

static void measure(const struct kll *kll, const uint64_t *sorted, size_t n, struct errors *errors)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct kll_view *view;
    assert_ok(kll_view_new(&kll, 1, &arena, &view));
    for (unsigned i = 1; i < 100; i++) {
        struct slice item;
        assert_true(kll_view_quantile(view, kll_view_all(view), i / 100.0, &item));
        double error = rank_error(sorted, n, key_number(item), i / 100.0 * (double)n);
        errors->cases++;
        errors->over += error > 0.005;
        errors->squares += error * error;
        if (error > errors->worst) errors->worst = error;
    }
}

/* Parts of the rows in sketches of their own, merged in some order; two by two when `tree`. */
static struct kll *merge_parts(const uint64_t *numbers, size_t n, unsigned parts, bool tree,
                               uint64_t seed)
{
    struct kll *sketches[64];
    for (unsigned i = 0; i < parts; i++) {
        uint64_t own = seed * 100 + i;
        sketches[i] = kll_new(KLL_K_DEFAULT, slice_make(&own, sizeof own));
        size_t from = n * i / parts, to = n * (i + 1) / parts;
        add_numbers(sketches[i], numbers + from, to - from);
    }
    while (parts > 1 && tree) { /* two by two */
        for (unsigned i = 0; i < parts / 2; i++) {
            kll_merge(sketches[i], sketches[parts - 1 - i]);
            kll_free(sketches[parts - 1 - i]);
        }
        parts -= parts / 2;
    }
    for (unsigned i = 1; i < parts; i++) { /* one after the other */
        kll_merge(sketches[0], sketches[i]);
        kll_free(sketches[i]);
    }
    return sketches[0];
}

static void ranks_are_off_by_less_than_half_a_percent_in_99_of_100_cases(void **state)
{
    (void)state;
    const size_t n = 400000;
    uint64_t *numbers = malloc(n * sizeof *numbers), *sorted = malloc(n * sizeof *sorted);
    struct errors errors = {0};
    for (unsigned trial = 0; trial < 30; trial++) {
        struct random *random = random_seeded_new(trial);
        uint64_t values = trial % 3 == 2 ? 1000 : UINT64_MAX;
        for (size_t i = 0; i < n; i++)
            numbers[i] = random_below(random, values);
        put_in_order(numbers, n, trial % ORDERS);
        struct kll *kll;
        if (trial < 15) {
            uint64_t seed = trial;
            kll = kll_new(KLL_K_DEFAULT, slice_make(&seed, sizeof seed));
            add_numbers(kll, numbers, n);
        } else {
            kll = merge_parts(numbers, n, trial % 2 ? 13 : 50, trial % 4 < 2, trial);
        }
        check_valid(kll);
        assert_int_equal(kll_count(kll), n);
        memcpy(sorted, numbers, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_number);
        assert_int_equal(key_number(kll_min(kll)), sorted[0]);
        assert_int_equal(key_number(kll_max(kll)), sorted[n - 1]);
        measure(kll, sorted, n, &errors);
        kll_free(kll);
        random_seeded_free(random);
    }
    printf("rank errors of %llu cases: %.3f %% mean square, %.3f %% worst, %llu over 0.5 %%\n",
           (unsigned long long)errors.cases, 100 * sqrt(errors.squares / (double)errors.cases),
           100 * errors.worst, (unsigned long long)errors.over);
    assert_true(errors.over * 100 <= errors.cases);
    assert_true(errors.squares > 0); /* it is an estimate: the test has seen errors */
    free(numbers);
    free(sorted);
}

static void rows_of_ranges_are_estimated_within_the_error(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const size_t n = 300000;
    uint64_t *numbers = malloc(n * sizeof *numbers);
    for (size_t i = 0; i < n; i++)
        numbers[i] = (i * 7919) % n;
    struct kll *kll = kll_new(KLL_K_DEFAULT, SLICE("ranges"));
    add_numbers(kll, numbers, n);
    const struct kll_view *view;
    assert_ok(kll_view_new((const struct kll *const *)&kll, 1, &arena, &view));
    for (uint64_t from = 0; from < n; from += 20011)
        for (uint64_t to = from; to < n; to += 30011) {
            uint8_t rooms[2][8];
            struct slice min = number_key(from, rooms[0]), max = number_key(to, rooms[1]);
            uint64_t rows = kll_view_rows(view, kll_view_range(view, min, max, false));
            assert_true(fabs((double)rows - (double)(to - from)) < 0.01 * (double)n);
            rows = kll_view_rows_below(view, max);
            assert_true(fabs((double)rows - (double)to) < 0.005 * (double)n);
        }
    assert_int_equal(kll_view_rows(view, kll_view_all(view)), n);
    kll_free(kll);
    free(numbers);
}

/* ---- the same bytes ---- */

static void encode(const struct kll *kll, struct buffer *out)
{
    buffer_clear(out);
    assert_ok(kll_encode(kll, out));
}

static void one_sequence_makes_one_sketch_in_batches_or_one_by_one_and_after_reading_it(
    void **state)
{
    (void)state;
    enum { N = 700000 };
    defer_buffer struct buffer a = BUFFER_INIT(64 << 20), b = BUFFER_INIT(64 << 20);
    struct random *random = random_seeded_new(5);
    uint64_t *numbers = malloc(N * sizeof *numbers);
    for (size_t i = 0; i < N; i++)
        numbers[i] = random_u64(random);
    struct kll *batches = kll_new(256, SLICE("seed")), *single = kll_new(256, SLICE("seed"));
    struct kll *other = kll_new(256, SLICE("other"));
    for (size_t i = 0; i < N; i++) {
        uint8_t room[8];
        kll_update(single, number_key(numbers[i], room));
    }
    add_numbers(batches, numbers, N);
    add_numbers(other, numbers, N);
    check_valid(single);
    encode(batches, &a);
    encode(single, &b);
    assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
    encode(other, &b);
    assert_false(slice_equal(buffer_slice(&a), buffer_slice(&b)));
    struct kll *read;
    assert_ok(kll_decode(buffer_slice(&a), &read));
    encode(read, &b);
    assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
    kll_merge(read, other);
    kll_merge(batches, other);
    encode(batches, &a);
    encode(read, &b);
    assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
    kll_free(batches);
    kll_free(single);
    kll_free(other);
    kll_free(read);
    free(numbers);
    random_seeded_free(random);
}

/* The bytes of docs/formats.md, put together by hand. */
static void bytes_are_those_of_the_description(void **state)
{
    (void)state;
    static const char bytes[] = "\x01"                             /* version */
                                "\x80\x08"                         /* k 1024 */
                                "\x03"                             /* rows */
                                "\x00"                             /* base */
                                "\x01\x02\x03\x04\x05\x06\x07\x08" /* generator */
                                "\x02"
                                "ab"
                                "\x12"
                                "abcdefghijklmnopqr"
                                "\x01" /* levels */
                                "\x03"
                                "\x02"
                                "ab"
                                "\x21"
                                "b"
                                "\x2f\x01"
                                "cdefghijklmnopqr";
    defer_buffer struct buffer out = BUFFER_INIT(1000);
    struct slice text = SLICE(bytes);
    struct kll *kll;
    assert_ok(kll_decode(text, &kll));
    assert_int_equal(kll_count(kll), 3);
    assert_int_equal(kll_k(kll), 1024);
    check_valid(kll);
    assert_ok(kll_encode(kll, &out));
    assert_true(slice_equal(buffer_slice(&out), text));
    kll_free(kll);
}

/* ---- limits and damage ---- */

static void long_items_make_k_smaller_and_never_the_memory_larger(void **state)
{
    (void)state;
    char *text = calloc(KLL_ITEM_BYTES_MAX, 1);
    struct kll *kll = kll_new(KLL_K_DEFAULT, SLICE("long"));
    defer_buffer struct buffer out = BUFFER_INIT(KLL_ENCODED_BYTES_MAX);
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t number = __builtin_bswap32(i * 2654435761u);
        memcpy(text, &number, 4);
        kll_update(kll, slice_make(text, 30000));
    }
    check_valid(kll);
    assert_int_equal(kll_count(kll), 3000);
    assert_int_equal(kll_k(kll), KLL_K_MIN);
    assert_true(kll_items(kll) * 30000 <= KLL_ITEMS_BYTES_MAX + 30000);
    assert_ok(kll_encode(kll, &out));
    struct kll *read;
    assert_ok(kll_decode(buffer_slice(&out), &read));
    kll_merge(read, kll);
    check_valid(read);
    assert_int_equal(kll_count(read), 6000);
    kll_free(read);
    kll_free(kll);
    free(text);
}

static void no_damaged_bytes_make_a_sketch_that_is_not_valid(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(3);
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_buffer struct buffer out = BUFFER_INIT(1 << 20);
    struct kll *kll = kll_new(KLL_K_MIN, SLICE("damage"));
    for (unsigned i = 0; i < 3000; i++)
        kll_update(kll, random_text(random, &arena, 20));
    encode(kll, &out);
    kll_free(kll);
    uint64_t refused = 0;
    for (size_t i = 0; i < out.size; i++) {
        assert_fails(kll_decode(slice_make(out.data, i), &kll), GLIS_ECORRUPT, "sketch");
        for (unsigned bit = 0; bit < 8; bit++) {
            out.data[i] ^= (uint8_t)(1u << bit);
            int code = kll_decode(buffer_slice(&out), &kll);
            if (code == 0) {
                check_valid(kll);
                kll_free(kll);
            } else {
                assert_int_equal(code, GLIS_ECORRUPT);
                refused++;
            }
            out.data[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_true(refused > 0);
    random_seeded_free(random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_numbers_have_the_tenths_they_should),
        cmocka_unit_test(nothing_makes_an_empty_view),
        cmocka_unit_test(few_rows_of_any_bytes_are_exact_in_one_sketch_and_in_several),
        cmocka_unit_test(ranks_are_off_by_less_than_half_a_percent_in_99_of_100_cases),
        cmocka_unit_test(rows_of_ranges_are_estimated_within_the_error),
        cmocka_unit_test(
            one_sequence_makes_one_sketch_in_batches_or_one_by_one_and_after_reading_it),
        cmocka_unit_test(bytes_are_those_of_the_description),
        cmocka_unit_test(long_items_make_k_smaller_and_never_the_memory_larger),
        cmocka_unit_test(no_damaged_bytes_make_a_sketch_that_is_not_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
