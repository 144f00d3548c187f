/*
 * level_bits.h: runs of bits, bit i at byte i/8, bit i%8, as validity bitmaps have them.
 *
 * Words are loaded and stored unaligned; a caller that appends keeps 8 bytes of room behind the
 * last byte that it names (blocks have 64). Bits behind the end that is written are undefined.
 */
#ifndef GLIS_PARQUET_LEVEL_BITS_H
#define GLIS_PARQUET_LEVEL_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint64_t bits_load(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

/* The lowest n bits (0 to 64). */
static inline uint64_t bits_low(unsigned n)
{
    return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

/* n bits (1 to 57) from bit `at` on; reads the 8 bytes from that bit's byte on. */
static inline uint64_t bits_get(const uint8_t *bits, int64_t at, unsigned n)
{
    return bits_load(bits + (at >> 3)) >> (at & 7) & bits_low(n);
}

/* Puts n bits (0 to 57) at bit `at`: what stands before stays, what stands behind is lost. */
static inline void bits_put(uint8_t *bits, int64_t at, uint64_t value, unsigned n)
{
    unsigned shift = at & 7;
    uint64_t word = (bits[at >> 3] & bits_low(shift)) | (value & bits_low(n)) << shift;
    memcpy(bits + (at >> 3), &word, 8);
}

/* n bits (0 to 64) likewise. */
static inline void bits_put_word(uint8_t *bits, int64_t at, uint64_t value, unsigned n)
{
    unsigned low = n < 32 ? n : 32;
    bits_put(bits, at, value, low);
    if (n > 32) bits_put(bits, at + 32, value >> 32, n - 32);
}

/* n bits, all of them `value`. */
static inline void bits_fill(uint8_t *bits, int64_t at, int64_t n, int value)
{
    for (; n > 0 && (at & 7); at++, n--)
        bits_put(bits, at, (uint64_t)value, 1);
    if (n >= 8) memset(bits + (at >> 3), value ? 0xff : 0, (size_t)(n >> 3));
    if (n & 7) bits_put(bits, at + (n & ~(int64_t)7), value ? 0xff : 0, n & 7);
}

/* n bits from another run; reads up to 8 bytes behind the last one. */
static inline void bits_copy(uint8_t *to, int64_t at, const uint8_t *from, int64_t begin, int64_t n)
{
    if (((at | begin) & 7) == 0) {
        if (n >= 8) memcpy(to + (at >> 3), from + (begin >> 3), (size_t)(n >> 3));
        if (n & 7) bits_put(to, at + (n & ~(int64_t)7), from[(begin + n) >> 3], n & 7);
        return;
    }
    for (; n >= 56; n -= 56, at += 56, begin += 56)
        bits_put(to, at, bits_get(from, begin, 56), 56);
    if (n > 0) bits_put(to, at, bits_get(from, begin, (unsigned)n), (unsigned)n);
}

/* How many of n bits are set; reads up to 8 bytes behind the last one. */
static inline int64_t bits_count(const uint8_t *bits, int64_t begin, int64_t n)
{
    int64_t count = 0;
    for (; n >= 56; n -= 56, begin += 56)
        count += __builtin_popcountll(bits_get(bits, begin, 56));
    if (n > 0) count += __builtin_popcountll(bits_get(bits, begin, (unsigned)n));
    return count;
}

#endif
