/*
 * store_cache_int.h: the two parts of the cache, memory and disk, as store_cache.c uses them.
 *
 * What they keep are pieces: CACHE_PIECE_BYTES of an immutable object, beginning at a multiple of
 * that, the last one shorter. A piece is known by the hash of its store, its object's key and its
 * number; with it stands the size of the whole object.
 */
#ifndef GLIS_STORE_STORE_CACHE_INT_H
#define GLIS_STORE_STORE_CACHE_INT_H

#include "base/hash.h"
#include "store/store_int.h"

enum { CACHE_PIECE_BYTES = 128 << 10 };
/* The number of a piece without bytes that only says how large its object is. */
#define CACHE_SIZE_PIECE UINT64_MAX

struct cache_piece {
    struct hash128 id;
    uint64_t object_size;
    struct block *block; /* one reference; NULL without bytes */
    const uint8_t *data; /* in block */
    uint32_t size;
};

/* ---- memory: least recently used goes first ---- */

struct cache_memory;
struct cache_memory *cache_memory_new(uint64_t limit_bytes, struct budget *parent);
void cache_memory_free(struct cache_memory *memory); /* NULL is allowed */
/* Fills in object_size, block (acquired), data and size of piece->id. */
bool cache_memory_get(struct cache_memory *memory, struct cache_piece *piece);
/* Keeps the piece's block itself, or a copy of its bytes when `copy`. May keep nothing. */
void cache_memory_put(struct cache_memory *memory, const struct cache_piece *piece, bool copy);
void cache_memory_forget(struct cache_memory *memory, struct hash128 id);
uint64_t cache_memory_used(struct cache_memory *memory);

/* ---- disk: shared by all processes of a user ---- */

struct cache_disk;
/* GLIS_EDENIED when the folder belongs to somebody else or is open to others; what mkdir says. */
int cache_disk_open(struct runtime *runtime, const char *folder, uint64_t limit_bytes,
                    struct cache_disk **out) GLIS_CHECKED;
void cache_disk_close(struct cache_disk *disk); /* NULL is allowed */
/* As cache_memory_get; the block is new and counted in `budget`. A piece with wrong bytes is
 * removed and not there. */
bool cache_disk_get(struct cache_disk *disk, struct cache_piece *piece, struct budget *budget);
void cache_disk_forget(struct cache_disk *disk, struct hash128 id);
/* Keeps a copy; after a failure it warns once and never writes again. */
void cache_disk_put(struct cache_disk *disk, const struct cache_piece *piece);
/* Pieces and bytes in the folder; with `clear` removes them. */
int cache_disk_walk(const char *folder, bool clear, struct store_cache_use *out) GLIS_CHECKED;

#endif
