/*
 * decode_kernels.c: the innermost loops of decoding, in plain C and, where that pays, with AVX2 or
 * NEON.
 *
 * All forms of a kernel give the same results on all inputs (tests/unit/test_decode_kernels.c runs
 * them side by side); which one is used is decided once, by what the processor has (every 64-bit
 * Arm has NEON). Kernels check nothing: their callers have made sure that the input holds what they
 * are to read.
 *
 * Unpacking with AVX2 and NEON: eight values of up to 25 bits begin in at most 4 bytes of two
 * 16-byte loads, one for the first four values and one for the last four. A shuffle brings each
 * value's 4 bytes into a lane, a shift by lane drops the bits before it, a mask those behind.
 *
 * Levels: 64 of them are compared at once, which gives a word of bits; what to do with the slots
 * that it names is bit arithmetic (assemble.c).
 */
#include "parquet/level_bits.h"
#include "parquet/parquet_read_int.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define WITH_AVX2 1
#define AVX2      __attribute__((target("avx2,bmi,bmi2,popcnt")))
#elif defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>
#define WITH_NEON 1
#endif

/* ---- plain ---- */

static void unpack_plain(const uint8_t *in, const uint8_t *end, unsigned width, int64_t n,
                         uint32_t *out)
{
    (void)end;
    uint64_t mask = bits_low(width);
    for (int64_t i = 0; i < n; i++) {
        uint64_t bit = (uint64_t)i * width;
        out[i] = (uint32_t)(bits_load(in + (bit >> 3)) >> (bit & 7) & mask);
    }
}

static uint64_t levels_at_least_plain(const uint8_t *levels, int level)
{
    /* Eight at once: both sides are below 128, so the difference's top bit tells. */
    uint64_t bits = 0, limit = (uint64_t)level * 0x0101010101010101u;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t above = ((bits_load(levels + 8 * i) | 0x8080808080808080u) - limit) >> 7;
        above &= 0x0101010101010101u;
        bits |= (above * 0x0102040810204080u >> 56) << (8 * i);
    }
    return bits;
}

static uint64_t extract_bits_plain(uint64_t bits, uint64_t mask)
{
    uint64_t out = 0;
    for (unsigned n = 0; mask; n++, mask &= mask - 1)
        out |= (bits >> __builtin_ctzll(mask) & 1) << n;
    return out;
}

static uint32_t greatest_plain(const uint32_t *values, int64_t n)
{
    uint32_t greatest = 0;
    for (int64_t i = 0; i < n; i++)
        greatest = values[i] > greatest ? values[i] : greatest;
    return greatest;
}

static inline __attribute__((always_inline)) unsigned count_below(uint64_t slots, uint64_t elements,
                                                                  int32_t base, int32_t *out)
{
    unsigned n = 0;
    for (; slots; slots &= slots - 1)
        out[n++] = (int32_t)((uint32_t)base + (uint32_t)__builtin_popcountll(
                                                  elements & ((slots & (0 - slots)) - 1)));
    return n;
}

static unsigned count_below_plain(uint64_t slots, uint64_t elements, int32_t base, int32_t *out)
{
    return count_below(slots, elements, base, out);
}

const struct decode_kernels decode_kernels_plain = {
    unpack_plain, levels_at_least_plain, extract_bits_plain, greatest_plain, count_below_plain};

/* ---- AVX2 ---- */

#ifdef WITH_AVX2

enum { AVX2_WIDTH_MAX = 25 };

AVX2 static void unpack_avx2(const uint8_t *in, const uint8_t *end, unsigned width, int64_t n,
                             uint32_t *out)
{
    int64_t i = 0;
    if (width > 0 && width <= AVX2_WIDTH_MAX) {
        uint8_t bytes[32];
        uint32_t shifts[8];
        unsigned second = width / 2; /* the byte in which value 4 begins */
        for (unsigned v = 0; v < 8; v++) {
            unsigned bit = v * width - (v < 4 ? 0 : 8 * second);
            shifts[v] = bit & 7;
            for (unsigned b = 0; b < 4; b++)
                bytes[4 * v + b] = (uint8_t)((bit >> 3) + b);
        }
        __m256i shuffle = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
        __m256i shift = _mm256_loadu_si256((const __m256i *)(const void *)shifts);
        __m256i mask = _mm256_set1_epi32((int)bits_low(width));
        /* both loads stay within the input */
        for (; i + 8 <= n && (size_t)(end - in) >= second + 16; i += 8, in += width) {
            __m128i low = _mm_loadu_si128((const __m128i *)(const void *)in);
            __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(in + second));
            __m256i both = _mm256_set_m128i(high, low);
            both = _mm256_srlv_epi32(_mm256_shuffle_epi8(both, shuffle), shift);
            _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm256_and_si256(both, mask));
        }
    }
    unpack_plain(in, end, width, n - i, out + i);
}

AVX2 static uint64_t levels_at_least_avx2(const uint8_t *levels, int level)
{
    __m256i below = _mm256_set1_epi8((char)(level - 1));
    __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)levels);
    __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(levels + 32));
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(first, below));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(second, below));
    return (uint64_t)high << 32 | low;
}

AVX2 static uint64_t extract_bits_avx2(uint64_t bits, uint64_t mask)
{
    return _pext_u64(bits, mask);
}

AVX2 static uint32_t greatest_avx2(const uint32_t *values, int64_t n)
{
    __m256i most = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        most =
            _mm256_max_epu32(most, _mm256_loadu_si256((const __m256i *)(const void *)(values + i)));
    uint32_t lanes[8];
    _mm256_storeu_si256((__m256i *)(void *)lanes, most);
    uint32_t greatest = greatest_plain(values + i, n - i), of_lanes = greatest_plain(lanes, 8);
    return greatest > of_lanes ? greatest : of_lanes;
}

/* The same code: what pays is the instructions that count and clear bits. */
AVX2 static unsigned count_below_avx2(uint64_t slots, uint64_t elements, int32_t base, int32_t *out)
{
    return count_below(slots, elements, base, out);
}

static const struct decode_kernels kernels_avx2 = {
    unpack_avx2, levels_at_least_avx2, extract_bits_avx2, greatest_avx2, count_below_avx2};

#endif

/* ---- NEON ---- */

#ifdef WITH_NEON

enum { NEON_WIDTH_MAX = 25 };

static void unpack_neon(const uint8_t *in, const uint8_t *end, unsigned width, int64_t n,
                        uint32_t *out)
{
    int64_t i = 0;
    if (width > 0 && width <= NEON_WIDTH_MAX) {
        uint8_t bytes[32];
        int32_t shifts[8];           /* to the right, so negative */
        unsigned second = width / 2; /* the byte in which value 4 begins */
        for (unsigned v = 0; v < 8; v++) {
            unsigned bit = v * width - (v < 4 ? 0 : 8 * second);
            shifts[v] = -(int32_t)(bit & 7);
            for (unsigned b = 0; b < 4; b++)
                bytes[4 * v + b] = (uint8_t)((bit >> 3) + b);
        }
        uint8x16_t low_bytes = vld1q_u8(bytes), high_bytes = vld1q_u8(bytes + 16);
        int32x4_t low_shift = vld1q_s32(shifts), high_shift = vld1q_s32(shifts + 4);
        uint32x4_t mask = vdupq_n_u32((uint32_t)bits_low(width));
        /* both loads stay within the input */
        for (; i + 8 <= n && (size_t)(end - in) >= second + 16; i += 8, in += width) {
            uint32x4_t low = vreinterpretq_u32_u8(vqtbl1q_u8(vld1q_u8(in), low_bytes));
            uint32x4_t high = vreinterpretq_u32_u8(vqtbl1q_u8(vld1q_u8(in + second), high_bytes));
            vst1q_u32(out + i, vandq_u32(vshlq_u32(low, low_shift), mask));
            vst1q_u32(out + i + 4, vandq_u32(vshlq_u32(high, high_shift), mask));
        }
    }
    unpack_plain(in, end, width, n - i, out + i);
}

/* Each byte that is large enough becomes its bit of eight; adding neighbours three times joins
 * them. */
static uint64_t levels_at_least_neon(const uint8_t *levels, int level)
{
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t weight = vld1q_u8(weights), least = vdupq_n_u8((uint8_t)level), parts[4];
    for (unsigned i = 0; i < 4; i++)
        parts[i] = vandq_u8(vcgeq_u8(vld1q_u8(levels + 16 * i), least), weight);
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(parts[0], parts[1]), vpaddq_u8(parts[2], parts[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

static uint32_t greatest_neon(const uint32_t *values, int64_t n)
{
    uint32x4_t most = vdupq_n_u32(0);
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        most = vmaxq_u32(most, vld1q_u32(values + i));
    uint32_t greatest = greatest_plain(values + i, n - i), of_lanes = vmaxvq_u32(most);
    return greatest > of_lanes ? greatest : of_lanes;
}

/* For the other two it has no instructions that the plain form would not use. */
static const struct decode_kernels kernels_neon = {
    unpack_neon, levels_at_least_neon, extract_bits_plain, greatest_neon, count_below_plain};

#endif

const struct decode_kernels *decode_kernels(void)
{
#ifdef WITH_AVX2
    static _Atomic(const struct decode_kernels *) chosen;
    const struct decode_kernels *kernels = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (kernels) return kernels;
    bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("popcnt");
    kernels = has ? &kernels_avx2 : &decode_kernels_plain;
    atomic_store_explicit(&chosen, kernels, memory_order_relaxed);
    return kernels;
#elif defined(WITH_NEON)
    return &kernels_neon;
#else
    return &decode_kernels_plain;
#endif
}
