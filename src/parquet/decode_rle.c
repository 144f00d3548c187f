/*
 * decode_rle.c: the hybrid of run lengths and bit packing in which levels, dictionary indices and
 * booleans are stored, and DELTA_BINARY_PACKED
 * (https://parquet.apache.org/docs/file-format/data-pages/encodings/).
 *
 * Bit-packed values are taken by unaligned loads of 8 bytes; callers promise 8 readable bytes
 * behind the input, so only the number of packed bytes is checked.
 */
#include "parquet/level_bits.h"
#include "parquet/parquet_read_int.h"

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

/* A run of the hybrid: `values` (at most those that are wanted) packed from `packed` on, or all of
 * them `value` when packed is NULL. */
struct run {
    const uint8_t *packed;
    uint64_t value;
    int64_t values;
};

static int next_run(const uint8_t **at, const uint8_t *end, unsigned width, int64_t wanted,
                    struct run *out)
{
    uint64_t head, bytes;
    TRY(take_varint(at, end, &head));
    uint64_t count = head >> 1, left = (uint64_t)(end - *at);
    *out = (struct run){.values = wanted};
    if (head & 1) {
        if (count == 0 || __builtin_mul_overflow(count, (uint64_t)width, &bytes)) return broken();
        if (count <= (uint64_t)wanted / 8) out->values = (int64_t)(count * 8);
        if (bytes > left) { /* writers may leave out the padding of the last run */
            if (((uint64_t)out->values * width + 7) / 8 > left) return broken();
            bytes = left;
        }
        out->packed = *at;
        *at += bytes;
        return 0;
    }
    bytes = (width + 7) / 8;
    if (bytes > left || count == 0) return broken();
    for (unsigned b = 0; b < bytes; b++)
        out->value |= (uint64_t)(*at)[b] << (8 * b);
    *at += bytes;
    if (out->value & ~bits_low(width))
        return error_set(GLIS_ECORRUPT, "a repeated value is too wide");
    if (count < (uint64_t)wanted) out->values = (int64_t)count;
    return 0;
}

int decode_rle_indices(struct slice in, unsigned width, int64_t n, uint32_t *out)
{
    const struct decode_kernels *kernels = decode_kernels();
    const uint8_t *at = (const uint8_t *)in.data, *end = at + in.size;
    struct run run;
    if (width > 32) return error_set(GLIS_ECORRUPT, "values of %u bits", width);
    for (int64_t done = 0; done < n; done += run.values) {
        TRY(next_run(&at, end, width, n - done, &run));
        if (run.packed) {
            kernels->unpack(run.packed, end, width, run.values, out + done);
            continue;
        }
        for (int64_t i = 0; i < run.values; i++)
            out[done + i] = (uint32_t)run.value;
    }
    return 0;
}

/* Levels of one and of two bits by tables of bits: 8 of them from a byte, or 4. */
static void unpack_levels(const uint8_t *in, unsigned width, int64_t n, uint8_t *out)
{
    int64_t i = 0;
    if (width == 1) {
        for (; i + 8 <= n; i += 8) { /* bit b to byte b: first to that byte's own bit b */
            uint64_t spread = (in[i >> 3] * 0x0101010101010101u) & 0x8040201008040201u;
            spread = (spread + 0x7f7f7f7f7f7f7f7fu) | spread;
            spread = spread >> 7 & 0x0101010101010101u;
            memcpy(out + i, &spread, 8);
        }
    } else if (width == 2) {
        for (; i + 4 <= n; i += 4) {
            uint32_t spread = in[i >> 2];
            spread = (spread | spread << 12) & 0x000f000f;
            spread = (spread | spread << 6) & 0x03030303;
            memcpy(out + i, &spread, 4);
        }
    }
    uint64_t mask = bits_low(width);
    for (; i < n; i++) {
        uint64_t bit = (uint64_t)i * width;
        out[i] = (uint8_t)(bits_load(in + (bit >> 3)) >> (bit & 7) & mask);
    }
}

int decode_rle_levels(struct slice in, unsigned width, int64_t n, uint8_t *out)
{
    const uint8_t *at = (const uint8_t *)in.data, *end = at + in.size;
    struct run run;
    if (width > 8) return error_set(GLIS_ECORRUPT, "levels of %u bits", width);
    for (int64_t done = 0; done < n; done += run.values) {
        TRY(next_run(&at, end, width, n - done, &run));
        if (run.packed)
            unpack_levels(run.packed, width, run.values, out + done);
        else
            memset(out + done, (int)run.value, (size_t)run.values);
    }
    return 0;
}

int decode_rle_bits(struct slice in, int64_t n, uint8_t *out, int64_t *n_set)
{
    const uint8_t *at = (const uint8_t *)in.data, *end = at + in.size;
    struct run run;
    *n_set = 0;
    for (int64_t done = 0; done < n; done += run.values) {
        TRY(next_run(&at, end, 1, n - done, &run));
        if (run.packed) {
            bits_copy(out, done, run.packed, 0, run.values);
            *n_set += bits_count(run.packed, 0, run.values);
        } else {
            bits_fill(out, done, run.values, (int)run.value);
            *n_set += run.value ? run.values : 0;
        }
    }
    return 0;
}

/* ---- DELTA_BINARY_PACKED ---- */

/* Packed values of a width that one load of 8 bytes may not hold. */
static uint64_t packed_value(const uint8_t *at, uint64_t index, unsigned width)
{
    uint64_t bit = index * width;
    unsigned shift = bit & 7;
    uint64_t value = bits_load(at + (bit >> 3)) >> shift;
    if (width + shift > 64) value |= (uint64_t)at[(bit >> 3) + 8] << (64 - shift);
    return value & bits_low(width);
}

/* A part of a block: n deltas added up from `last` on. Returns the last value. */
#define DEFINE_ADD_UP(name, out_type)                                                      \
    static uint64_t name(const uint8_t *at, unsigned width, uint64_t least, int64_t n,     \
                         uint64_t last, out_type *out)                                     \
    {                                                                                      \
        if (width == 0) {                                                                  \
            for (int64_t i = 0; i < n; i++)                                                \
                out[i] = (out_type)(last += least);                                        \
        } else if (width <= 57) {                                                          \
            uint64_t mask = bits_low(width), bit = 0;                                      \
            for (int64_t i = 0; i < n; i++, bit += width) {                                \
                last += least + (bits_load(at + (bit >> 3)) >> (bit & 7) & mask);          \
                out[i] = (out_type)last;                                                   \
            }                                                                              \
        } else {                                                                           \
            for (int64_t i = 0; i < n; i++)                                                \
                out[i] = (out_type)(last += least + packed_value(at, (uint64_t)i, width)); \
        }                                                                                  \
        return last;                                                                       \
    }

DEFINE_ADD_UP(add_up_32, uint32_t)
DEFINE_ADD_UP(add_up_64, uint64_t)

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
        *last = value_bytes == 4 ? add_up_32(reader->at, width, least, (int64_t)values, *last,
                                             (uint32_t *)out + *done)
                                 : add_up_64(reader->at, width, least, (int64_t)values, *last,
                                             (uint64_t *)out + *done);
        *done += (int64_t)values;
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
    if (n > 0) {
        memcpy(out, &last, value_bytes);
        done = 1;
    }
    while (done < n)
        TRY(decode_delta_block(&reader, value_bytes, n, out, &done, &last));
    *used = (size_t)(reader.at - begin);
    return 0;
}

/* ---- the deprecated BIT_PACKED ---- */

static int packed_too_short(void)
{
    return error_set(GLIS_ECORRUPT, "bit-packed levels break off");
}

int decode_packed_levels(struct slice in, unsigned width, int64_t n, uint8_t *out)
{
    const uint8_t *bytes = (const uint8_t *)in.data;
    if (width < 1 || width > 8 || ((uint64_t)n * width + 7) / 8 > in.size)
        return packed_too_short();
    for (int64_t i = 0; i < n; i++) {
        uint64_t bit = (uint64_t)i * width;
        unsigned two = (unsigned)bytes[bit >> 3] << 8; /* the value may reach into the next byte */
        if ((bit & 7) + width > 8) two |= bytes[(bit >> 3) + 1];
        out[i] = (uint8_t)(two >> (16 - (bit & 7) - width) & ((1u << width) - 1));
    }
    return 0;
}

int decode_packed_bits(struct slice in, int64_t n, uint8_t *out, int64_t *n_set)
{
    const uint8_t *bytes = (const uint8_t *)in.data;
    uint64_t size = ((uint64_t)n + 7) / 8;
    if (size > in.size) return packed_too_short();
    *n_set = 0;
    for (uint64_t i = 0; i < size; i++) {
        unsigned from = bytes[i], to = 0;
        for (unsigned bit = 0; bit < 8 && i * 8 + bit < (uint64_t)n; bit++)
            to |= (from >> (7 - bit) & 1) << bit;
        out[i] = (uint8_t)to;
        *n_set += __builtin_popcount(to);
    }
    return 0;
}
