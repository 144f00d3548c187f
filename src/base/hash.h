/*
 * hash.h: xxHash and CRC-32 behind one file.
 *
 * XXH3 is what Glis uses for its own checksums and tables; XXH64 is for Parquet's bloom filters and
 * CRC-32 (the one of gzip, polynomial 0x04C11DB7) for its pages. None is proof against an attacker.
 */
#ifndef GLIS_BASE_HASH_H
#define GLIS_BASE_HASH_H

#include "base/slice.h"

struct hash128 {
    uint64_t high, low;
};
enum { HASH128_HEX_BYTES = 32, HASH64_HEX_BYTES = 16 };

/* Seed 0. */
uint64_t hash_xxh3_64(const void *data, size_t size);
uint64_t hash_xxh3_64_seeded(const void *data, size_t size, uint64_t seed);
struct hash128 hash_xxh3_128(const void *data, size_t size);
uint64_t hash_xxh64(const void *data, size_t size, uint64_t seed);

/* Goes on from `crc`, the value so far; begin with 0. */
uint32_t hash_crc32(uint32_t crc, const void *data, size_t size);

/* The same value as hash_xxh3_64 or hash_xxh3_128 over all that was added, piece by piece. */
struct hash_stream;
struct hash_stream *hash_stream_new(void);
void hash_stream_add(struct hash_stream *stream, const void *data, size_t size);
uint64_t hash_stream_64(const struct hash_stream *stream); /* so far; more may be added */
struct hash128 hash_stream_128(const struct hash_stream *stream);
void hash_stream_free(struct hash_stream *stream); /* NULL is allowed */

/* Big-endian lower-case digits, NUL-terminated: xxHash's canonical form. */
void hash_hex64(uint64_t hash, char out[HASH64_HEX_BYTES + 1]);
void hash_hex128(struct hash128 hash, char out[HASH128_HEX_BYTES + 1]);

#endif
