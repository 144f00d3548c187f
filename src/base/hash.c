/*
 * hash.c: the one file that knows xxHash and libdeflate's CRC-32.
 *
 * xxHash is compiled in (XXH_INLINE_ALL), so that short inputs, the keys of hash tables, do not pay
 * for a call into another library.
 */
#define XXH_INLINE_ALL
#include "base/hash.h"
#include "base/memory.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <xxhash.h>

struct hash_stream {
    XXH3_state_t *state;
};

static void hex_digits(uint64_t value, char *out);

uint64_t hash_xxh3_64(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

uint64_t hash_xxh3_64_seeded(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

struct hash128 hash_xxh3_128(const void *data, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits(data, size);
    return (struct hash128){.high = hash.high64, .low = hash.low64};
}

uint64_t hash_xxh64(const void *data, size_t size, uint64_t seed)
{
    return XXH64(data, size, seed);
}

uint32_t hash_crc32(uint32_t crc, const void *data, size_t size)
{
    if (size == 0) return crc;
    return libdeflate_crc32(crc, data, size);
}

struct hash_stream *hash_stream_new(void)
{
    struct hash_stream *stream = memory_alloc(sizeof(*stream));
    stream->state = XXH3_createState();
    ASSERT(stream->state != NULL);
    /* One state serves both widths: they differ only in the last step. */
    ASSERT(XXH3_128bits_reset(stream->state) == XXH_OK);
    return stream;
}

void hash_stream_add(struct hash_stream *stream, const void *data, size_t size)
{
    if (size) ASSERT(XXH3_128bits_update(stream->state, data, size) == XXH_OK);
}

uint64_t hash_stream_64(const struct hash_stream *stream)
{
    return XXH3_64bits_digest(stream->state);
}

struct hash128 hash_stream_128(const struct hash_stream *stream)
{
    XXH128_hash_t hash = XXH3_128bits_digest(stream->state);
    return (struct hash128){.high = hash.high64, .low = hash.low64};
}

void hash_stream_free(struct hash_stream *stream)
{
    if (!stream) return;
    XXH3_freeState(stream->state);
    free(stream);
}

void hash_hex64(uint64_t hash, char out[HASH64_HEX_BYTES + 1])
{
    hex_digits(hash, out);
    out[HASH64_HEX_BYTES] = '\0';
}

void hash_hex128(struct hash128 hash, char out[HASH128_HEX_BYTES + 1])
{
    hex_digits(hash.high, out);
    hex_digits(hash.low, out + HASH64_HEX_BYTES);
    out[HASH128_HEX_BYTES] = '\0';
}

static void hex_digits(uint64_t value, char *out)
{
    for (unsigned i = HASH64_HEX_BYTES; i-- > 0; value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
}
