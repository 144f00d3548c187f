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

/* Packs n values (a multiple of 8) of `width` bits, lowest bits first. */
static uint8_t *pack(uint8_t *at, const uint64_t *values, unsigned n, unsigned width)
{
    unsigned __int128 bits = 0;
    unsigned held = 0;
    for (unsigned i = 0; i < n; i++) {
        bits |= (unsigned __int128)values[i] << held;
        for (held += width; held >= 8; held -= 8, bits >>= 8)
            *at++ = (uint8_t)bits;
    }
    return at;
}

#define DEFINE_HYBRID(name, in_type)                                                  \
    int name(struct buffer *out, const in_type *values, int64_t n, unsigned width)    \
    {                                                                                 \
        for (int64_t i = 0; i < n;) {                                                 \
            int64_t end = i + 1;                                                      \
            while (end < n && values[end] == values[i])                               \
                end++;                                                                \
            TRY(buffer_reserve(out, 32 + PACKED_GROUPS_MAX * (size_t)width));         \
            uint8_t *at = out->data + out->size;                                      \
            if (end - i >= 8) {                                                       \
                at = put_varint(at, (uint64_t)(end - i) << 1);                        \
                for (unsigned b = 0; b < width; b += 8)                               \
                    *at++ = (uint8_t)(values[i] >> b);                                \
                i = end;                                                              \
            } else {                                                                  \
                uint64_t groups = 0;                                                  \
                int64_t j = i;                                                        \
                while (j < n && groups < PACKED_GROUPS_MAX) {                         \
                    int64_t same = 1;                                                 \
                    while (same < 8 && j + same < n && values[j + same] == values[j]) \
                        same++;                                                       \
                    if (same == 8) break;                                             \
                    j += 8;                                                           \
                    groups++;                                                         \
                }                                                                     \
                at = put_varint(at, groups << 1 | 1);                                 \
                for (; groups > 0; groups--, i += 8) {                                \
                    uint64_t group[8];                                                \
                    for (int k = 0; k < 8; k++)                                       \
                        group[k] = i + k < n ? values[i + k] : 0;                     \
                    at = pack(at, group, 8, width);                                   \
                }                                                                     \
            }                                                                         \
            out->size = (size_t)(at - out->data);                                     \
        }                                                                             \
        return 0;                                                                     \
    }

DEFINE_HYBRID(encode_rle_levels, uint8_t)
DEFINE_HYBRID(encode_rle_indices, uint32_t)

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
