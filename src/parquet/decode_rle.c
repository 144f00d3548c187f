/*
 * decode_rle.c: the hybrid of run lengths and bit packing in which levels, dictionary indices and
 * booleans are stored, and DELTA_BINARY_PACKED
 * (https://parquet.apache.org/docs/file-format/data-pages/encodings/).
 *
 * Bit-packed values are taken by unaligned loads of 8 bytes; callers promise 8 readable bytes
 * behind the input, so only the number of packed bytes is checked.
 */
#include "parquet/parquet_read_int.h"

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

static int broken(void)
{
    return error_set(GLIS_ECORRUPT, "a run of values breaks off");
}

static int take_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*at >= end) return broken();
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return 0;
        }
    }
    return broken();
}

/* The two widths of output differ in nothing but the type. */
#define DEFINE_HYBRID(name, out_type)                                                        \
    int name(struct slice in, unsigned width, int64_t n, out_type *out)                      \
    {                                                                                        \
        const uint8_t *at = (const uint8_t *)in.data, *end = at + in.size;                   \
        uint64_t mask = width ? ~(uint64_t)0 >> (64 - width) : 0;                            \
        if (width > 32) return error_set(GLIS_ECORRUPT, "values of %u bits", width);         \
        for (int64_t done = 0; done < n;) {                                                  \
            uint64_t head, count;                                                            \
            TRY(take_varint(&at, end, &head));                                               \
            count = head >> 1;                                                               \
            if (head & 1) {                                                                  \
                uint64_t bytes;                                                              \
                if (__builtin_mul_overflow(count, (uint64_t)width, &bytes)) return broken(); \
                uint64_t left = (uint64_t)(end - at);                                        \
                uint64_t values = count > UINT64_MAX / 8 ? UINT64_MAX : count * 8;           \
                if (values > (uint64_t)(n - done)) values = (uint64_t)(n - done);            \
                if (bytes > left) { /* writers may leave out the padding of the last run */  \
                    if ((values * width + 7) / 8 > left) return broken();                    \
                    bytes = left;                                                            \
                }                                                                            \
                for (uint64_t i = 0; i < values; i++) {                                      \
                    uint64_t bit = i * width;                                                \
                    out[done + (int64_t)i] =                                                 \
                        (out_type)(load64(at + (bit >> 3)) >> (bit & 7) & mask);             \
                }                                                                            \
                if (values == 0) return broken();                                            \
                at += bytes;                                                                 \
                done += (int64_t)values;                                                     \
            } else {                                                                         \
                unsigned bytes = (width + 7) / 8;                                            \
                if (bytes > (size_t)(end - at) || count == 0) return broken();               \
                uint64_t value = 0;                                                          \
                for (unsigned b = 0; b < bytes; b++)                                         \
                    value |= (uint64_t)at[b] << (8 * b);                                     \
                at += bytes;                                                                 \
                if (value & ~mask)                                                           \
                    return error_set(GLIS_ECORRUPT, "a repeated value is too wide");         \
                if (count > (uint64_t)(n - done)) count = (uint64_t)(n - done);              \
                for (uint64_t i = 0; i < count; i++)                                         \
                    out[done + (int64_t)i] = (out_type)value;                                \
                done += (int64_t)count;                                                      \
            }                                                                                \
        }                                                                                    \
        return 0;                                                                            \
    }

DEFINE_HYBRID(decode_rle_levels, uint8_t)
DEFINE_HYBRID(decode_rle_indices, uint32_t)

static uint64_t packed_value(const uint8_t *at, uint64_t index, unsigned width)
{
    uint64_t bit = index * width;
    unsigned shift = bit & 7;
    uint64_t value = load64(at + (bit >> 3)) >> shift;
    if (width + shift > 64) value |= (uint64_t)at[(bit >> 3) + 8] << (64 - shift);
    return width == 64 ? value : value & ~(~(uint64_t)0 << width);
}

static void put_integer(void *out, unsigned bytes, int64_t index, uint64_t value)
{
    if (bytes == 4)
        ((uint32_t *)out)[index] = (uint32_t)value;
    else
        ((uint64_t *)out)[index] = value;
}

struct delta_reader {
    const uint8_t *at, *end;
    uint64_t per_miniblock, n_miniblocks;
};

/* One block of deltas, up to `n` values from *done on. */
static int decode_delta_block(struct delta_reader *reader, unsigned value_bytes, int64_t n,
                              void *out, int64_t *done, uint64_t *last)
{
    uint64_t raw;
    TRY(take_varint(&reader->at, reader->end, &raw));
    uint64_t least = (raw >> 1) ^ (0 - (raw & 1));
    if (reader->n_miniblocks > (uint64_t)(reader->end - reader->at)) return broken();
    const uint8_t *widths = reader->at;
    reader->at += reader->n_miniblocks;
    for (uint64_t m = 0; m < reader->n_miniblocks && *done < n; m++) {
        unsigned width = widths[m];
        if (width > 64) return error_set(GLIS_ECORRUPT, "deltas of %u bits", width);
        uint64_t left = (uint64_t)(reader->end - reader->at);
        uint64_t bytes = reader->per_miniblock / 8 * width;
        uint64_t values = reader->per_miniblock;
        if (values > (uint64_t)(n - *done)) values = (uint64_t)(n - *done);
        if (bytes > left) {
            if ((values * width + 7) / 8 > left) return broken();
            bytes = left;
        }
        for (uint64_t i = 0; i < values; i++) {
            *last += least + (width ? packed_value(reader->at, i, width) : 0);
            put_integer(out, value_bytes, (*done)++, *last);
        }
        reader->at += bytes;
    }
    return 0;
}

int decode_delta(struct slice in, unsigned value_bytes, int64_t n, void *out, size_t *used)
{
    const uint8_t *begin = (const uint8_t *)in.data;
    struct delta_reader reader = {.at = begin, .end = begin + in.size};
    uint64_t block, total, raw;
    TRY(take_varint(&reader.at, reader.end, &block));
    TRY(take_varint(&reader.at, reader.end, &reader.n_miniblocks));
    TRY(take_varint(&reader.at, reader.end, &total));
    TRY(take_varint(&reader.at, reader.end, &raw));
    if (block == 0 || block > 1 << 20 || block % 128 || reader.n_miniblocks == 0 ||
        block % reader.n_miniblocks || block / reader.n_miniblocks % 32)
        return error_set(GLIS_ECORRUPT, "deltas in blocks of %llu values and %llu parts",
                         (unsigned long long)block, (unsigned long long)reader.n_miniblocks);
    if (total != (uint64_t)n)
        return error_set(GLIS_ECORRUPT, "%llu deltas where %lld values must be",
                         (unsigned long long)total, (long long)n);
    reader.per_miniblock = block / reader.n_miniblocks;
    uint64_t last = (raw >> 1) ^ (0 - (raw & 1));
    int64_t done = 0;
    if (n > 0) put_integer(out, value_bytes, done++, last);
    while (done < n)
        TRY(decode_delta_block(&reader, value_bytes, n, out, &done, &last));
    *used = (size_t)(reader.at - begin);
    return 0;
}
