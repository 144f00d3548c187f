/*
 * fuzz_sketch.c: any bytes as a sketch of quantiles and as a distinct count. What is accepted is
 * valid, stays so when merged with itself, answers questions, and is written as bytes that are
 * accepted again.
 */
#include "fuzz.h"

#include "sketch/sketch.h"

static void try_quantiles(struct slice bytes)
{
    struct kll *kll, *again;
    const char *reason;
    if (kll_decode(bytes, &kll) < 0) return;
    ASSERT(kll_validate(kll, &reason));
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_buffer struct buffer out = BUFFER_INIT(KLL_ENCODED_BYTES_MAX);
    const struct kll_view *view;
    struct slice item;
    if (kll_view_new((const struct kll *const *)&kll, 1, &arena, &view) == 0) {
        struct kll_range range = kll_view_range(view, kll_min(kll), kll_max(kll), false);
        ASSERT(kll_view_rows(view, range) <= kll_count(kll));
        if (kll_view_quantile(view, range, 0.5, &item))
            ASSERT(slice_compare(item, kll_min(kll)) >= 0);
    }
    ASSERT(kll_encode(kll, &out) == 0);
    ASSERT(kll_decode(buffer_slice(&out), &again) == 0);
    kll_merge(kll, again);
    ASSERT(kll_count(kll) == 2 * kll_count(again));
    kll_update(kll, SLICE("item"));
    ASSERT(kll_validate(kll, &reason));
    kll_free(kll);
    kll_free(again);
}

static void try_distinct(struct slice bytes)
{
    struct hll *hll, *again;
    const char *reason;
    if (hll_decode(bytes, &hll) < 0) return;
    defer_buffer struct buffer out = BUFFER_INIT(1 << 20);
    ASSERT(hll_validate(hll, &reason));
    ASSERT(hll_estimate(hll) >= 0);
    ASSERT(hll_encode(hll, &out) == 0);
    ASSERT(hll_decode(buffer_slice(&out), &again) == 0);
    ASSERT(hll_merge(hll, again) == 0);
    ASSERT(hll_estimate(hll) == hll_estimate(again));
    hll_free(hll);
    hll_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_quantiles(slice_make(data, size));
    try_distinct(slice_make(data, size));
    return 0;
}
