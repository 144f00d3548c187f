/*
 * bench_sketch.c: what sketches cost and how far they are off. Prints a JSON line for each kind of
 * keys and number of rows: nanoseconds a row of both sketches, bytes, and the errors of ranks at 99
 * quantiles over several seeds (the keys are numbers below n in a mixed order, each once, so the
 * true rank of a key is the key).
 */
#include "base/runtime.h"
#include "sketch/sketch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH_ROWS = 16384, KEY_BYTES_ROOM = 24, SEEDS = 10 };

struct kind {
    const char *name;
    uint32_t width; /* of a key; the number stands at its end */
    bool is_sorted;
};

static const struct kind kinds[] = {
    {"8 bytes, in order", 8, true},
    {"8 bytes, in no order", 8, false},
    {"20 bytes, in order", 20, true},
    {"20 bytes, in no order", 20, false},
};

struct measured {
    int64_t kll_ns, hll_ns; /* of the quickest seed */
    double squares, worst;
    uint64_t cases, over, bytes;
};

static void fill(const struct kind *kind, uint64_t first, uint64_t rows, uint64_t n, uint8_t *bytes)
{
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t at = first + i, number = kind->is_sorted ? at : at * UINT64_C(2654435761) % n;
        number = __builtin_bswap64(number);
        memcpy(bytes + i * kind->width + kind->width - 8, &number, 8);
    }
}

static int look(const struct kll *kll, uint64_t n, struct measured *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct kll_view *view;
    TRY(kll_view_new(&kll, 1, &arena, &view));
    for (unsigned i = 1; i < 100; i++) {
        struct slice key;
        uint64_t number = 0;
        if (!kll_view_quantile(view, kll_view_all(view), i / 100.0, &key)) continue;
        memcpy(&number, key.data + key.size - 8, 8);
        double error = fabs((double)__builtin_bswap64(number) / (double)n - i / 100.0);
        out->squares += error * error;
        out->cases++;
        out->over += error > 0.005;
        if (error > out->worst) out->worst = error;
    }
    return 0;
}

static int run(const struct kind *kind, uint64_t n, uint32_t seed, struct measured *out)
{
    struct clock *clock = clock_system();
    int64_t kll_ns = 0, hll_ns = 0;
    uint8_t *bytes = calloc(BATCH_ROWS * KEY_BYTES_ROOM + 64, 1);
    struct kll *kll = kll_new(KLL_K_DEFAULT, slice_make(&seed, sizeof seed));
    struct hll *hll = hll_new(HLL_PRECISION_DEFAULT);
    defer_buffer struct buffer text = BUFFER_INIT(KLL_ENCODED_BYTES_MAX);
    for (uint64_t at = 0; at < n; at += BATCH_ROWS) {
        uint64_t rows = n - at < BATCH_ROWS ? n - at : BATCH_ROWS;
        fill(kind, at, rows, n, bytes);
        struct keys keys = {.n_rows = (int64_t)rows, .stride = kind->width, .bytes = bytes};
        int64_t begun = clock->monotonic_ns(clock);
        kll_update_keys(kll, &keys);
        int64_t between = clock->monotonic_ns(clock);
        hll_update_keys(hll, &keys);
        kll_ns += between - begun;
        hll_ns += clock->monotonic_ns(clock) - between;
    }
    if (out->kll_ns == 0 || kll_ns < out->kll_ns) out->kll_ns = kll_ns;
    if (out->hll_ns == 0 || hll_ns < out->hll_ns) out->hll_ns = hll_ns;
    int code = look(kll, n, out);
    if (code == 0) code = kll_encode(kll, &text);
    if (code == 0) code = hll_encode(hll, &text);
    out->bytes = text.size;
    kll_free(kll);
    hll_free(hll);
    free(bytes);
    return code;
}

int main(void)
{
    static const uint64_t sizes[] = {10000, 100000, 1000000, 10000000};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            struct measured sum = {0};
            uint32_t seeds = sizes[s] > 1000000 ? SEEDS / 2 : SEEDS;
            for (uint32_t seed = 0; seed < seeds; seed++)
                if (run(&kinds[k], sizes[s], seed, &sum) < 0) {
                    fprintf(stderr, "bench_sketch: %s\n", error_message());
                    return 1;
                }
            double rows = (double)sizes[s];
            printf("{\"keys\": \"%s\", \"rows\": %llu, \"seeds\": %u, \"quantiles_ns\": %.2f, "
                   "\"distinct_ns\": %.2f, \"bytes\": %llu, \"rank_error_rms_percent\": %.4f, "
                   "\"rank_error_worst_percent\": %.4f, \"over_half_percent\": %llu, "
                   "\"cases\": %llu}\n",
                   kinds[k].name, (unsigned long long)sizes[s], seeds, (double)sum.kll_ns / rows,
                   (double)sum.hll_ns / rows, (unsigned long long)sum.bytes,
                   100 * sqrt(sum.squares / (double)sum.cases), 100 * sum.worst,
                   (unsigned long long)sum.over, (unsigned long long)sum.cases);
        }
    return 0;
}
