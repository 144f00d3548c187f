/*
 * fuzz_parquet_page.c: one page's values to each decoder and one page's bytes to each codec,
 * without the headers around them. The first bytes of the input choose:
 *
 *   0: encoding (low 4 bits), 16 added: a codec instead, 32: a dictionary first
 *   1: physical type    2: type length
 *   3: how many values the page is said to hold            4: how many of them are left out first
 */
#include "fuzz.h"

#include "parquet/parquet_read_int.h"

enum { HEAD = 5, READABLE_BEHIND = 64, OUT_BYTES_MAX = 1 << 16 };

static void decompress(const uint8_t *head, struct slice in)
{
    size_t size = (size_t)head[3] << (head[4] & 8);
    if (size > OUT_BYTES_MAX) size = OUT_BYTES_MAX;
    uint8_t *out = memory_alloc(size + 1);
    if (codec_decompress(head[0] & 7, in, out, size) < 0) error_clear();
    memory_defer_free(&out);
}

static void decode(const uint8_t *head, struct slice in, struct budget *budget)
{
    static const struct type type = {.kind = TYPE_BYTES};
    struct parquet_leaf leaf = {.type = head[1] & 7,
                                .type_length = head[2] ? head[2] : 1,
                                .leaf_type = &type,
                                .path = SLICE("p")};
    struct leaf_data data = {.leaf = &leaf, .budget = budget, .width = leaf_width(&leaf)};
    data.values.width = data.width;
    int64_t n = head[3], skip = head[4] < n ? head[4] : n, part = (n - skip) / 3;
    int code = 0;
    if (head[0] & 32) { /* the input is a dictionary as well */
        code = dictionary_read(&data, in, n);
        if (code == 0) ASSERT(data.dictionary.n == n);
        if (code < 0) error_clear();
    }
    data.page.encoding = head[0] & 15;
    data.page.body = in;
    data.page.n_values = n;
    data.page.value_at = 0;
    code = page_values_open(&data);
    if (code == 0) code = page_values_skip(&data, skip);
    if (code == 0) code = page_values_take(&data, part);
    if (code == 0) code = page_values_take(&data, n - skip - part);
    if (code == 0)
        ASSERT(data.values.n == n - skip);
    else
        error_clear();
    leaf_data_free(&data);
}

static void decode_runs(const uint8_t *head, struct slice in)
{
    uint8_t levels[256];
    uint32_t indices[256];
    uint64_t numbers[256];
    size_t used;
    if (decode_rle_levels(in, head[2] % 9, head[3], levels) < 0) error_clear();
    if (decode_rle_indices(in, head[2] % 33, head[3], indices) < 0) error_clear();
    if (decode_delta(in, head[1] & 1 ? 4 : 8, head[3], numbers, &used) == 0)
        ASSERT(used <= in.size);
    else
        error_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD) return 0;
    struct budget budget;
    budget_init(&budget, "the fuzzer's memory", 16 << 20, NULL, NULL);
    /* Decoders may read, but not use, what stands behind their input. */
    uint8_t *copy = memory_alloc_zero(size - HEAD + READABLE_BEHIND);
    memcpy(copy, data + HEAD, size - HEAD);
    struct slice in = slice_make(copy, size - HEAD);
    if (data[0] & 16) {
        decompress(data, in);
    } else {
        decode(data, in, &budget);
        decode_runs(data, in);
    }
    memory_defer_free(&copy);
    ASSERT(budget.used_bytes == 0);
    return 0;
}
