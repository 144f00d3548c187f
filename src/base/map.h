/*
 * map.h: an ordered map from bytes to bytes that is cheap to copy: what states are made of.
 *
 * Records lie packed, in the order of their keys (unsigned bytes, shorter prefix first), in chunks
 * of at most MAP_CHUNK_BYTES; chunks hang in groups, groups in a root. All three are counted by
 * reference, and whoever changes a map copies first what it shares with another: map_clone costs
 * one count, a put or remove one chunk and its path. What is owned alone is changed in place.
 *
 * Memory is the bytes of the records, 4 bytes each for lengths and offset (longer records more),
 * and what lies free in the last third of some chunks; a map built in order has none free.
 *
 * Ownership: a map owns its records; slices handed out live until this map is next changed or
 * freed. Different maps may be used by different threads at the same time, also when they share
 * chunks; one map by one writer or any number of readers.
 */
#ifndef GLIS_BASE_MAP_H
#define GLIS_BASE_MAP_H

#include "base/memory.h"
#include "base/slice.h"

enum {
    MAP_CHUNK_BYTES = 8192,         /* of more than one record */
    MAP_RECORD_BYTES_MAX = 1 << 30, /* key and value of one record */
};

struct map_root;
struct map {
    struct map_root *root; /* NULL: empty */
};

/* An empty map is all zero: struct map map = {0}. */
void map_free(struct map *map); /* empty again */
/* A copy that shares everything. `out` is overwritten, not freed. */
void map_clone(struct map *out, const struct map *map);

/* Records in it; O(1). */
uint64_t map_count(const struct map *map);
/* Bytes of all records, O(1); and of memory, which walks all chunks' headers. */
uint64_t map_record_bytes(const struct map *map);
uint64_t map_memory_bytes(const struct map *map);

/* The value of a key; false when there is none. `value` may be NULL. */
bool map_get(const struct map *map, struct slice key, struct slice *value);
/* Puts a record in, over one with the same key. Key and value may lie in this map. A record beyond
 * MAP_RECORD_BYTES_MAX ends the process: callers bound what they put. */
void map_put(struct map *map, struct slice key, struct slice value);
/* Takes a record out; false when there is none. */
bool map_remove(struct map *map, struct slice key);

/* A place in a map, until that is changed. key and value are set while `valid`. */
struct map_cursor {
    const struct map *map;
    uint32_t group, chunk, index;
    uint32_t n_records; /* of the chunk */
    bool valid;
    struct slice key, value;
};
/* The first record; record number n, from 0 (walks the headers of the chunks before it); the first
 * one with a key not below `key`; the next one. */
void map_cursor_first(const struct map *map, struct map_cursor *cursor);
void map_cursor_nth(const struct map *map, uint64_t n, struct map_cursor *cursor);
void map_cursor_seek(const struct map *map, struct slice key, struct map_cursor *cursor);
void map_cursor_next(struct map_cursor *cursor);

/*
 * Visits every record in which two maps differ, in the order of keys: `before` is NULL for a key
 * that came, `after` for one that went; stops with visit's code when it is not 0. Slices live as
 * long as the maps are not changed. Parts that both share are not looked at: where one map is a
 * changed copy of the other, the cost is a few pointers per chunk and the chunks that differ.
 */
int map_diff(const struct map *old_map, const struct map *new_map,
             int (*visit)(void *context, struct slice key, const struct slice *before,
                          const struct slice *after),
             void *context) GLIS_CHECKED;

/* Builds a map from records in strictly ascending order: the fast way, and chunks without free
 * room. */
struct map_builder {
    struct map map;
    struct slice last_key; /* in the map */
    uint8_t *pending;      /* records of the chunk being filled */
    uint16_t *offsets;
    uint32_t n_pending, size, capacity, n_offsets_max;
};
void map_builder_init(struct map_builder *builder);
/* GLIS_ECORRUPT when the key is not above the last one, or the record too large. */
int map_builder_add(struct map_builder *builder, struct slice key, struct slice value) GLIS_CHECKED;
void map_builder_finish(struct map_builder *builder, struct map *out);
void map_builder_abort(struct map_builder *builder); /* instead of finish */

/* Order, sizes and counts of the whole map; GLIS_ECORRUPT says what is wrong. */
int map_validate(const struct map *map) GLIS_CHECKED;

#endif
