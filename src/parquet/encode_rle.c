/*
 * encode_rle.c: levels and dictionary indices as runs and bit-packed groups, and integers as
 * DELTA_BINARY_PACKED (https://parquet.apache.org/docs/file-format/data-pages/encodings/). Eight or
 * more equal values become a run when they begin at a group's border; all else is packed in groups
 * of 8, and only the last group may be filled up with zeros.
 */
#include "parquet/parquet_int.h"

enum { PACKED_GROUPS_MAX = 512, DELTA_BLOCK = 128, DELTA_PART = 32 };

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_zigzag(uint8_t *at, uint64_t value)
{
    return put_varint(at, value << 1 ^ (0 - (value >> 63)));
}

unsigned encode_width(uint64_t value)
{
    return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

/* Packs n values (a multiple of 8) of `width` bits (up to 64), lowest bits first. 8 bytes behind
 * may be written. */
static uint8_t *pack(uint8_t *at, const uint64_t *values, unsigned n, unsigned width)
{
    uint64_t bits = 0;
    unsigned held = 0; /* below 64 */
    for (unsigned i = 0; i < n; i++) {
        bits |= values[i] << held;
        held += width;
        if (held < 64) continue;
        memcpy(at, &bits, 8);
        at += 8;
        held -= 64; /* as many bits of the value are left */
        bits = held ? values[i] >> (width - held) : 0;
    }
    memcpy(at, &bits, 8);
    return at + held / 8;
}

/* Eight values of up to 8 bits, a byte each, side by side: neighbours are joined in three steps. */
static inline uint64_t pack_bytes(uint64_t bytes, unsigned width)
{
    uint64_t x = (bytes & 0x00ff00ff00ff00ffu) | (bytes >> 8 & 0x00ff00ff00ff00ffu) << width;
    x = (x & 0x0000ffff0000ffffu) | (x >> 16 & 0x0000ffff0000ffffu) << 2 * width;
    return (x & 0xffffffffu) | x >> 32 << 4 * width;
}

static uint8_t *put_run(uint8_t *at, int64_t n, uint32_t value, unsigned width)
{
    at = put_varint(at, (uint64_t)n << 1);
    for (unsigned b = 0; b < width; b += 8)
        *at++ = (uint8_t)(value >> b);
    return at;
}

static inline uint64_t eight_levels(const uint8_t *values)
{
    uint64_t word;
    memcpy(&word, values, 8);
    return word;
}

static inline uint64_t repeated(uint8_t level)
{
    return level * UINT64_C(0x0101010101010101);
}

/* One run, or packed groups up to the next. `at` has room for all of it and 8 bytes more. */
static uint8_t *put_levels(uint8_t *at, const uint8_t *values, int64_t n, unsigned width,
                           int64_t *done)
{
    int64_t end = 1, groups = 0, i = 0;
    while (end + 8 <= n && eight_levels(values + end) == repeated(values[0]))
        end += 8;
    while (end < n && values[end] == values[0])
        end++;
    *done = end;
    if (end >= 8) return put_run(at, end, values[0], width);
    for (; i < n && groups < PACKED_GROUPS_MAX; i += 8, groups++)
        if (i + 8 <= n && eight_levels(values + i) == repeated(values[i])) break;
    at = put_varint(at, (uint64_t)groups << 1 | 1);
    *done = i < n ? i : n;
    for (i = 0; i < *done; i += 8, at += width) {
        uint8_t last[8] = {0};
        if (i + 8 > n) memcpy(last, values + i, (size_t)(n - i));
        uint64_t packed = pack_bytes(eight_levels(i + 8 > n ? last : values + i), width);
        memcpy(at, &packed, 8);
    }
    return at;
}

int encode_rle_levels(struct buffer *out, const uint8_t *values, int64_t n, unsigned width)
{
    ASSERT(width <= 8);
    for (int64_t i = 0, done; i < n; i += done) {
        TRY(buffer_reserve(out, 32 + PACKED_GROUPS_MAX * (size_t)width));
        uint8_t *at = put_levels(out->data + out->size, values + i, n - i, width, &done);
        out->size = (size_t)(at - out->data);
    }
    return 0;
}

/* Eight values of up to 32 bits. */
static uint8_t *pack_eight(uint8_t *at, const uint32_t *values, unsigned width)
{
    uint64_t bits = 0;
    unsigned held = 0;
    for (unsigned i = 0; i < 8; i++) {
        bits |= (uint64_t)values[i] << held;
        held += width;
        if (held >= 32) {
            memcpy(at, &bits, 4);
            at += 4;
            bits >>= 32;
            held -= 32;
        }
    }
    for (; held > 0; held -= 8, bits >>= 8)
        *at++ = (uint8_t)bits;
    return at;
}

static inline bool eight_alike(const uint32_t *values)
{
    uint32_t differ = 0;
    if (values[0] != values[1]) return false;
    for (unsigned i = 2; i < 8; i++)
        differ |= values[i] ^ values[0];
    return differ == 0;
}

static uint8_t *put_indices(uint8_t *at, const uint32_t *values, int64_t n, unsigned width,
                            int64_t *done)
{
    int64_t end = 1, groups = 0, i = 0;
    while (end < n && values[end] == values[0])
        end++;
    *done = end;
    if (end >= 8) return put_run(at, end, values[0], width);
    for (; i < n && groups < PACKED_GROUPS_MAX; i += 8, groups++)
        if (i + 8 <= n && eight_alike(values + i)) break;
    at = put_varint(at, (uint64_t)groups << 1 | 1);
    *done = i < n ? i : n;
    for (i = 0; i < *done; i += 8) {
        uint32_t last[8] = {0};
        if (i + 8 > n) memcpy(last, values + i, (size_t)(n - i) * 4);
        at = pack_eight(at, i + 8 > n ? last : values + i, width);
    }
    return at;
}

int encode_rle_indices(struct buffer *out, const uint32_t *values, int64_t n, unsigned width)
{
    for (int64_t i = 0, done; i < n; i += done) {
        TRY(buffer_reserve(out, 32 + PACKED_GROUPS_MAX * (size_t)width));
        uint8_t *at = put_indices(out->data + out->size, values + i, n - i, width, &done);
        out->size = (size_t)(at - out->data);
    }
    return 0;
}

/* The next up to 128 differences, in the type's own width, and the least of them. */
static unsigned take_deltas(const void *values, int64_t at, int64_t n, unsigned value_bytes,
                            int64_t *deltas, int64_t *least)
{
    unsigned count = n - at < DELTA_BLOCK ? (unsigned)(n - at) : DELTA_BLOCK;
    *least = INT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        if (value_bytes == 4) {
            const uint32_t *v = (const uint32_t *)values + at + i;
            deltas[i] = (int32_t)(v[0] - v[-1]);
        } else {
            const uint64_t *v = (const uint64_t *)values + at + i;
            deltas[i] = (int64_t)(v[0] - v[-1]);
        }
        if (deltas[i] < *least) *least = deltas[i];
    }
    return count;
}

/* What is packed: differences above the least, which need no more bits than the type has. */
static unsigned part_above(const int64_t *deltas, unsigned begin, unsigned count, int64_t least,
                           unsigned value_bytes, uint64_t *above)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < DELTA_PART; i++) {
        above[i] = begin + i < count ? (uint64_t)deltas[begin + i] - (uint64_t)least : 0;
        if (value_bytes == 4) above[i] = (uint32_t)above[i];
        all |= above[i];
    }
    return encode_width(all);
}

int encode_delta(struct buffer *out, const void *values, int64_t n, unsigned value_bytes)
{
    TRY(buffer_reserve(out, 64));
    uint8_t *at = out->data + out->size;
    at = put_varint(at, DELTA_BLOCK);
    at = put_varint(at, DELTA_BLOCK / DELTA_PART);
    at = put_varint(at, (uint64_t)n);
    int64_t first = 0;
    if (n > 0) first = value_bytes == 4 ? *(const int32_t *)values : *(const int64_t *)values;
    at = put_zigzag(at, (uint64_t)first);
    out->size = (size_t)(at - out->data);
    for (int64_t i = 1; i < n; i += DELTA_BLOCK) {
        int64_t deltas[DELTA_BLOCK], least;
        unsigned count = take_deltas(values, i, n, value_bytes, deltas, &least);
        TRY(buffer_reserve(out, 32 + DELTA_BLOCK * 8));
        at = put_zigzag(out->data + out->size, (uint64_t)least);
        uint8_t *widths = at;
        at += DELTA_BLOCK / DELTA_PART;
        for (unsigned p = 0; p < DELTA_BLOCK / DELTA_PART; p++) {
            uint64_t above[DELTA_PART];
            widths[p] = 0;
            if (p * DELTA_PART >= count) continue; /* parts without values have no bytes */
            widths[p] =
                (uint8_t)part_above(deltas, p * DELTA_PART, count, least, value_bytes, above);
            at = pack(at, above, DELTA_PART, widths[p]);
        }
        out->size = (size_t)(at - out->data);
    }
    return 0;
}

uint64_t encode_delta_estimate(const void *values, int64_t n, unsigned value_bytes)
{
    uint64_t bytes = 16;
    for (int64_t i = 1; i < n; i += DELTA_BLOCK) {
        int64_t deltas[DELTA_BLOCK], least;
        unsigned count = take_deltas(values, i, n, value_bytes, deltas, &least);
        uint64_t above[DELTA_PART];
        bytes += 8;
        for (unsigned p = 0; p < count; p += DELTA_PART)
            bytes += 4 * part_above(deltas, p, count, least, value_bytes, above);
    }
    return bytes;
}
