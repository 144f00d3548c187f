/*
 * encode_bytes.c: encodings of texts and of fixed-width values beside PLAIN
 * (https://parquet.apache.org/docs/file-format/data-pages/encodings/):
 *
 *   DELTA_LENGTH_BYTE_ARRAY   all lengths as DELTA_BINARY_PACKED, then all bytes
 *   DELTA_BYTE_ARRAY          lengths of the prefixes shared with the value before, then the rest
 *                             of each as DELTA_LENGTH_BYTE_ARRAY: for sorted texts
 *   BYTE_STREAM_SPLIT         the first bytes of all values, then the second ones: what is alike
 *                             in floating-point numbers comes to stand together
 */
#include "parquet/parquet_int.h"

/* The lengths go through an array of their own; what follows is bytes as they lie. */
static int append_lengths(struct buffer *out, const uint32_t *lengths, int64_t n)
{
    return encode_delta(out, lengths, n, 4);
}

int encode_delta_length(struct buffer *out, const struct slice *values, int64_t n,
                        struct buffer *scratch)
{
    size_t total = 0;
    buffer_clear(scratch);
    TRY(buffer_reserve(scratch, (size_t)n * 4 + 4));
    uint32_t *lengths = (uint32_t *)(void *)scratch->data;
    for (int64_t i = 0; i < n; i++) {
        lengths[i] = (uint32_t)values[i].size;
        total += values[i].size;
    }
    TRY(append_lengths(out, lengths, n));
    TRY(buffer_reserve(out, total));
    uint8_t *at = out->data + out->size;
    for (int64_t i = 0; i < n; i++) {
        if (values[i].size) memcpy(at, values[i].data, values[i].size);
        at += values[i].size;
    }
    out->size += total;
    return 0;
}

size_t encode_common_prefix(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size, at = 0;
    for (; at + 8 <= n; at += 8) {
        uint64_t x, y;
        memcpy(&x, a.data + at, 8);
        memcpy(&y, b.data + at, 8);
        if (x != y) return at + ((size_t)__builtin_ctzll(x ^ y) >> 3);
    }
    while (at < n && a.data[at] == b.data[at])
        at++;
    return at;
}

int encode_delta_bytes(struct buffer *out, const struct slice *values, int64_t n,
                       struct buffer *scratch)
{
    size_t total = 0;
    buffer_clear(scratch);
    TRY(buffer_reserve(scratch, (size_t)n * 8 + 8));
    uint32_t *prefixes = (uint32_t *)(void *)scratch->data, *rests = prefixes + n;
    for (int64_t i = 0; i < n; i++) {
        prefixes[i] = i ? (uint32_t)encode_common_prefix(values[i - 1], values[i]) : 0;
        rests[i] = (uint32_t)values[i].size - prefixes[i];
        total += rests[i];
    }
    TRY(append_lengths(out, prefixes, n));
    TRY(append_lengths(out, rests, n));
    TRY(buffer_reserve(out, total));
    uint8_t *at = out->data + out->size;
    for (int64_t i = 0; i < n; i++) {
        if (rests[i]) memcpy(at, values[i].data + prefixes[i], rests[i]);
        at += rests[i];
    }
    out->size += total;
    return 0;
}

int encode_split(struct buffer *out, const uint8_t *values, int64_t n, uint32_t width)
{
    size_t size = (size_t)n * width;
    TRY(buffer_reserve(out, size));
    uint8_t *to = out->data + out->size;
    for (uint32_t byte = 0; byte < width; byte++)
        for (int64_t i = 0; i < n; i++)
            *to++ = values[(size_t)i * width + byte];
    out->size += size;
    return 0;
}
