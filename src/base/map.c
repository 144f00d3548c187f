/*
 * map.c: the copy-on-write ordered map.
 *
 * Three levels. The root holds groups, a group up to GROUP_CHUNKS chunks, a chunk up to
 * MAP_CHUNK_BYTES of records (or one larger record). In a chunk:
 *
 *   header | records, in order | free | offsets, 2 bytes each, of record 0, 1, ...
 *
 * and a record is: key length and value length as varints, key, value. The offsets stand at the end
 * of the allocation, so that growing is one realloc and one move.
 *
 * Invariants (map_validate): no empty chunk, group or root; keys ascend strictly over the whole
 * map; counts agree; a chunk of several records has at most MAP_CHUNK_BYTES of them. A node that is
 * reachable twice (count > 1) is never written to.
 *
 * Cost: a lookup is three binary searches; the probes of the first two touch one chunk each. Put
 * and remove move at most one chunk's bytes. A chunk that is full splits in the middle, or at its
 * end when the new record is the last, so that ascending puts leave full chunks. Chunks that fall
 * below a quarter join a neighbour.
 */
#include "base/map.h"

#include <stdlib.h>

enum {
    GROUP_CHUNKS = 256,
    CHUNK_STEP = 512, /* allocations grow by this */
};

struct map_chunk {
    _Atomic uint32_t references;
    uint32_t n_records;
    uint32_t size;     /* bytes of records */
    uint32_t capacity; /* bytes behind the header, records and offsets together */
    uint8_t bytes[];
};

struct map_group {
    _Atomic uint32_t references;
    uint32_t n_chunks;
    struct map_chunk *chunks[GROUP_CHUNKS];
};

struct map_root {
    _Atomic uint32_t references;
    uint32_t n_groups, capacity;
    uint64_t n_records, n_bytes; /* of all records */
    struct map_group *groups[];
};

struct record {
    struct slice key, value;
    uint32_t size; /* all of it */
};

/* ---- records and chunks ---- */

static uint32_t varint_size(uint32_t value)
{
    uint32_t n = 1;
    while (value >>= 7)
        n++;
    return n;
}

static uint8_t *varint_put(uint8_t *out, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static const uint8_t *varint_get(const uint8_t *in, uint32_t *value)
{
    uint32_t result = *in & 0x7f;
    for (unsigned shift = 7; *in++ & 0x80; shift += 7)
        result |= (uint32_t)(*in & 0x7f) << shift;
    *value = result;
    return in;
}

static uint32_t record_size(struct slice key, struct slice value)
{
    ASSERT(key.size <= MAP_RECORD_BYTES_MAX && value.size <= MAP_RECORD_BYTES_MAX - key.size);
    return varint_size((uint32_t)key.size) + varint_size((uint32_t)value.size) +
           (uint32_t)(key.size + value.size);
}

static void record_write(uint8_t *out, struct slice key, struct slice value)
{
    out = varint_put(out, (uint32_t)key.size);
    out = varint_put(out, (uint32_t)value.size);
    if (key.size) memcpy(out, key.data, key.size);
    if (value.size) memcpy(out + key.size, value.data, value.size);
}

/* Offsets stand in reverse: record i is the (n - 1 - i)-th, so that appending moves none. */
static uint32_t chunk_offset(const struct map_chunk *chunk, uint32_t index)
{
    return ((uint16_t *)(chunk->bytes + chunk->capacity))[-1 - (int64_t)index];
}

static struct slice chunk_key(const struct map_chunk *chunk, uint32_t index)
{
    uint32_t key_size, value_size;
    const uint8_t *p = varint_get(chunk->bytes + chunk_offset(chunk, index), &key_size);
    p = varint_get(p, &value_size);
    return slice_make(p, key_size);
}

static struct record chunk_record(const struct map_chunk *chunk, uint32_t index)
{
    const uint8_t *start = chunk->bytes + chunk_offset(chunk, index);
    uint32_t key_size, value_size;
    const uint8_t *p = varint_get(start, &key_size);
    p = varint_get(p, &value_size);
    return (struct record){slice_make(p, key_size), slice_make(p + key_size, value_size),
                           (uint32_t)(p - start) + key_size + value_size};
}

static struct map_chunk *chunk_new(uint32_t capacity)
{
    capacity = (capacity + 15) / 16 * 16;
    struct map_chunk *chunk = memory_alloc(sizeof(*chunk) + capacity);
    atomic_init(&chunk->references, 1);
    chunk->n_records = 0;
    chunk->size = 0;
    chunk->capacity = capacity;
    return chunk;
}

static void chunk_release(struct map_chunk *chunk)
{
    if (atomic_fetch_sub_explicit(&chunk->references, 1, memory_order_acq_rel) == 1) free(chunk);
}

/* A chunk of records [begin, end) of another, with room for `more` bytes. */
static struct map_chunk *chunk_part(const struct map_chunk *from, uint32_t begin, uint32_t end,
                                    uint32_t more)
{
    uint32_t start = begin < from->n_records ? chunk_offset(from, begin) : from->size;
    uint32_t stop = end < from->n_records ? chunk_offset(from, end) : from->size;
    uint32_t n = end - begin;
    struct map_chunk *chunk = chunk_new(stop - start + 2 * n + more);
    memcpy(chunk->bytes, from->bytes + start, stop - start);
    chunk->size = stop - start;
    chunk->n_records = n;
    uint16_t *offsets = (uint16_t *)(chunk->bytes + chunk->capacity);
    for (uint32_t i = 0; i < n; i++)
        offsets[-1 - (int64_t)i] = (uint16_t)(chunk_offset(from, begin + i) - start);
    return chunk;
}

/* Puts a record at `index`; the chunk is the caller's alone and has room. */
static void chunk_insert(struct map_chunk *chunk, uint32_t index, struct slice key,
                         struct slice value, uint32_t size)
{
    uint32_t at = index < chunk->n_records ? chunk_offset(chunk, index) : chunk->size;
    ASSERT(chunk->size + size + 2 * (chunk->n_records + 1) <= chunk->capacity);
    memmove(chunk->bytes + at + size, chunk->bytes + at, chunk->size - at);
    record_write(chunk->bytes + at, key, value);
    uint16_t *offsets = (uint16_t *)(chunk->bytes + chunk->capacity);
    for (uint32_t i = chunk->n_records; i > index; i--)
        offsets[-1 - (int64_t)i] = (uint16_t)(offsets[-(int64_t)i] + size);
    offsets[-1 - (int64_t)index] = (uint16_t)at;
    chunk->size += size;
    chunk->n_records++;
}

static void chunk_erase(struct map_chunk *chunk, uint32_t index)
{
    uint32_t at = chunk_offset(chunk, index);
    uint32_t size = chunk_record(chunk, index).size;
    memmove(chunk->bytes + at, chunk->bytes + at + size, chunk->size - at - size);
    uint16_t *offsets = (uint16_t *)(chunk->bytes + chunk->capacity);
    for (uint32_t i = index; i + 1 < chunk->n_records; i++)
        offsets[-1 - (int64_t)i] = (uint16_t)(offsets[-2 - (int64_t)i] - size);
    chunk->size -= size;
    chunk->n_records--;
}

/* The first record whose key is not below `key`; *found says whether it is equal. */
static uint32_t chunk_search(const struct map_chunk *chunk, struct slice key, bool *found)
{
    uint32_t low = 0, high = chunk->n_records;
    *found = false;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int c = slice_compare(chunk_key(chunk, middle), key);
        if (c == 0) {
            *found = true;
            return middle;
        }
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- groups and root ---- */

static void group_release(struct map_group *group)
{
    if (atomic_fetch_sub_explicit(&group->references, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < group->n_chunks; i++)
        chunk_release(group->chunks[i]);
    free(group);
}

static struct map_group *group_new(void)
{
    struct map_group *group = memory_alloc(sizeof(*group));
    atomic_init(&group->references, 1);
    group->n_chunks = 0;
    return group;
}

static struct map_root *root_new(uint32_t capacity)
{
    struct map_root *root = memory_alloc(sizeof(*root) + capacity * sizeof(root->groups[0]));
    atomic_init(&root->references, 1);
    root->n_groups = 0;
    root->capacity = capacity;
    root->n_records = 0;
    root->n_bytes = 0;
    return root;
}

static void root_release(struct map_root *root)
{
    if (!root || atomic_fetch_sub_explicit(&root->references, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < root->n_groups; i++)
        group_release(root->groups[i]);
    free(root);
}

void map_free(struct map *map)
{
    root_release(map->root);
    map->root = NULL;
}

void map_clone(struct map *out, const struct map *map)
{
    out->root = map->root;
    if (out->root) atomic_fetch_add_explicit(&out->root->references, 1, memory_order_relaxed);
}

uint64_t map_count(const struct map *map)
{
    return map->root ? map->root->n_records : 0;
}

uint64_t map_record_bytes(const struct map *map)
{
    return map->root ? map->root->n_bytes : 0;
}

uint64_t map_memory_bytes(const struct map *map)
{
    const struct map_root *root = map->root;
    if (!root) return 0;
    uint64_t bytes = sizeof(*root) + root->capacity * sizeof(root->groups[0]);
    for (uint32_t g = 0; g < root->n_groups; g++) {
        bytes += sizeof(struct map_group);
        for (uint32_t c = 0; c < root->groups[g]->n_chunks; c++)
            bytes += sizeof(struct map_chunk) + root->groups[g]->chunks[c]->capacity;
    }
    return bytes;
}

/* The last group, and in it the last chunk, whose first key is not above `key`; the very first
 * when all are above. */
static void locate(const struct map_root *root, struct slice key, uint32_t *group, uint32_t *chunk)
{
    uint32_t low = 0, high = root->n_groups;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (slice_compare(chunk_key(root->groups[middle]->chunks[0], 0), key) <= 0)
            low = middle;
        else
            high = middle;
    }
    *group = low;
    const struct map_group *in = root->groups[low];
    low = 0;
    high = in->n_chunks;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (slice_compare(chunk_key(in->chunks[middle], 0), key) <= 0)
            low = middle;
        else
            high = middle;
    }
    *chunk = low;
}

/* Makes root and group the map's own. */
static struct map_group *own_group(struct map *map, uint32_t g)
{
    struct map_root *root = map->root;
    if (atomic_load_explicit(&root->references, memory_order_acquire) != 1) {
        struct map_root *copy = root_new(root->n_groups + 4);
        copy->n_groups = root->n_groups;
        copy->n_records = root->n_records;
        copy->n_bytes = root->n_bytes;
        for (uint32_t i = 0; i < root->n_groups; i++) {
            copy->groups[i] = root->groups[i];
            atomic_fetch_add_explicit(&copy->groups[i]->references, 1, memory_order_relaxed);
        }
        root_release(root);
        map->root = root = copy;
    }
    struct map_group *group = root->groups[g];
    if (atomic_load_explicit(&group->references, memory_order_acquire) != 1) {
        struct map_group *copy = group_new();
        copy->n_chunks = group->n_chunks;
        for (uint32_t i = 0; i < group->n_chunks; i++) {
            copy->chunks[i] = group->chunks[i];
            atomic_fetch_add_explicit(&copy->chunks[i]->references, 1, memory_order_relaxed);
        }
        group_release(group);
        root->groups[g] = group = copy;
    }
    return group;
}

static void root_insert(struct map *map, uint32_t at, struct map_group *group)
{
    struct map_root *root = map->root;
    if (root->n_groups == root->capacity) {
        uint32_t capacity = root->capacity + root->capacity / 2 + 4;
        map->root = root = memory_realloc(root, sizeof(*root) + capacity * sizeof(root->groups[0]));
        root->capacity = capacity;
    }
    memmove(root->groups + at + 1, root->groups + at,
            (root->n_groups - at) * sizeof(root->groups[0]));
    root->groups[at] = group;
    root->n_groups++;
}

/* Puts a chunk behind chunk `after` of an own group; a full group splits. */
static void group_insert(struct map *map, uint32_t g, uint32_t after, struct map_chunk *chunk)
{
    struct map_group *group = map->root->groups[g];
    uint32_t at = after + 1;
    if (group->n_chunks == GROUP_CHUNKS) {
        struct map_group *right = group_new();
        /* ascending puts leave full groups behind */
        uint32_t keep =
            at == GROUP_CHUNKS && g + 1 == map->root->n_groups ? GROUP_CHUNKS : GROUP_CHUNKS / 2;
        right->n_chunks = GROUP_CHUNKS - keep;
        memcpy(right->chunks, group->chunks + keep, right->n_chunks * sizeof(right->chunks[0]));
        group->n_chunks = keep;
        root_insert(map, g + 1, right);
        if (at > keep || keep == GROUP_CHUNKS) {
            group = right;
            at -= keep;
        }
    }
    memmove(group->chunks + at + 1, group->chunks + at,
            (group->n_chunks - at) * sizeof(group->chunks[0]));
    group->chunks[at] = chunk;
    group->n_chunks++;
}

/* Takes chunk c out of an own group, without releasing it; an empty group goes too. */
static void group_erase(struct map *map, uint32_t g, uint32_t c)
{
    struct map_root *root = map->root;
    struct map_group *group = root->groups[g];
    memmove(group->chunks + c, group->chunks + c + 1,
            (group->n_chunks - c - 1) * sizeof(group->chunks[0]));
    if (--group->n_chunks) return;
    group_release(group);
    memmove(root->groups + g, root->groups + g + 1,
            (root->n_groups - g - 1) * sizeof(root->groups[0]));
    root->n_groups--;
}

/* ---- reading ---- */

bool map_get(const struct map *map, struct slice key, struct slice *value)
{
    if (!map->root || !map->root->n_groups) return false;
    uint32_t g, c;
    locate(map->root, key, &g, &c);
    const struct map_chunk *chunk = map->root->groups[g]->chunks[c];
    bool found;
    uint32_t index = chunk_search(chunk, key, &found);
    if (found && value) *value = chunk_record(chunk, index).value;
    return found;
}

/* Moves a cursor that stands behind a chunk's end to the next chunk, and sets key and value. */
static void cursor_settle(struct map_cursor *cursor)
{
    const struct map_root *root = cursor->map->root;
    cursor->valid = false;
    if (!root) return;
    while (cursor->group < root->n_groups) {
        const struct map_group *group = root->groups[cursor->group];
        if (cursor->chunk < group->n_chunks) {
            const struct map_chunk *chunk = group->chunks[cursor->chunk];
            if (cursor->index < chunk->n_records) {
                struct record record = chunk_record(chunk, cursor->index);
                cursor->key = record.key;
                cursor->value = record.value;
                cursor->n_records = chunk->n_records;
                cursor->valid = true;
                return;
            }
            cursor->chunk++;
        } else {
            cursor->group++;
            cursor->chunk = 0;
        }
        cursor->index = 0;
    }
}

void map_cursor_first(const struct map *map, struct map_cursor *cursor)
{
    *cursor = (struct map_cursor){.map = map};
    cursor_settle(cursor);
}

void map_cursor_nth(const struct map *map, uint64_t n, struct map_cursor *cursor)
{
    *cursor = (struct map_cursor){.map = map};
    if (n >= map_count(map)) return;
    const struct map_group *group = map->root->groups[0];
    while (n >= group->chunks[cursor->chunk]->n_records) {
        n -= group->chunks[cursor->chunk]->n_records;
        if (++cursor->chunk < group->n_chunks) continue;
        group = map->root->groups[++cursor->group];
        cursor->chunk = 0;
    }
    cursor->index = (uint32_t)n;
    cursor_settle(cursor);
}

void map_cursor_seek(const struct map *map, struct slice key, struct map_cursor *cursor)
{
    *cursor = (struct map_cursor){.map = map};
    if (!map->root || !map->root->n_groups) return;
    locate(map->root, key, &cursor->group, &cursor->chunk);
    bool found;
    cursor->index =
        chunk_search(map->root->groups[cursor->group]->chunks[cursor->chunk], key, &found);
    cursor_settle(cursor);
}

void map_cursor_next(struct map_cursor *cursor)
{
    if (++cursor->index >= cursor->n_records) {
        cursor_settle(cursor);
        return;
    }
    /* The next record of a chunk lies right behind this one. */
    uint32_t key_size, value_size;
    const uint8_t *p = (const uint8_t *)cursor->value.data + cursor->value.size;
    p = varint_get(p, &key_size);
    p = varint_get(p, &value_size);
    cursor->key = slice_make(p, key_size);
    cursor->value = slice_make(p + key_size, value_size);
}

/* ---- changing ---- */

/* Makes chunk c of an own group own, with room for one more record of `size` bytes. */
static struct map_chunk *own_chunk(struct map_group *group, uint32_t c, uint32_t size)
{
    struct map_chunk *chunk = group->chunks[c];
    uint32_t needed = chunk->size + 2 * chunk->n_records + size + 2;
    bool alone = atomic_load_explicit(&chunk->references, memory_order_acquire) == 1;
    if (alone && needed <= chunk->capacity) return chunk;
    uint32_t more = size + 2 + (size ? CHUNK_STEP : 0);
    struct map_chunk *copy = chunk_part(chunk, 0, chunk->n_records, more);
    chunk_release(chunk);
    group->chunks[c] = copy;
    return copy;
}

/* A record into chunk c of an own group, splitting it when it gets too large. */
static void insert(struct map *map, uint32_t g, uint32_t c, uint32_t index, struct slice key,
                   struct slice value)
{
    struct map_group *group = map->root->groups[g];
    struct map_chunk *chunk = group->chunks[c];
    uint32_t size = record_size(key, value);
    if (chunk->size + size <= MAP_CHUNK_BYTES || chunk->n_records == 0) {
        chunk_insert(own_chunk(group, c, size), index, key, value, size);
        return;
    }
    /* Three pieces: before, the record's own side, after; large records stand alone. */
    uint32_t n = chunk->n_records, cut = index;
    if (index != n && index != 0) {
        for (cut = 0; cut < n && chunk_offset(chunk, cut) < chunk->size / 2; cut++)
            ;
    }
    struct map_chunk *left = cut ? chunk_part(chunk, 0, cut, CHUNK_STEP) : NULL;
    struct map_chunk *right = cut < n ? chunk_part(chunk, cut, n, CHUNK_STEP) : NULL;
    chunk_release(chunk);
    group->chunks[c] = left ? left : right;
    if (left && right) group_insert(map, g, c, right);
    bool in_left = left && index <= cut && left->size + size <= MAP_CHUNK_BYTES;
    struct map_chunk *target = in_left ? left : index >= cut ? right : NULL;
    uint32_t at = in_left ? index : index - cut;
    if (target && target->size + size <= MAP_CHUNK_BYTES) {
        if (target->size + 2 * target->n_records + size + 2 <= target->capacity) {
            chunk_insert(target, at, key, value, size);
            return;
        }
        uint32_t tg, tc;
        locate(map->root, chunk_key(target, 0), &tg, &tc);
        chunk_insert(own_chunk(map->root->groups[tg], tc, size), at, key, value, size);
        return;
    }
    /* The record gets a chunk of its own: between two chunks, or within the one that holds its
     * place. */
    uint32_t tg, tc;
    locate(map->root, key, &tg, &tc);
    struct map_group *in = own_group(map, tg);
    struct map_chunk *old = in->chunks[tc];
    bool found;
    uint32_t place = chunk_search(old, key, &found);
    struct map_chunk *single = chunk_new(size + 2);
    chunk_insert(single, 0, key, value, size);
    if (place == old->n_records) {
        group_insert(map, tg, tc, single);
    } else if (place == 0) {
        in->chunks[tc] = single;
        group_insert(map, tg, tc, old);
    } else {
        struct map_chunk *tail = chunk_part(old, place, old->n_records, CHUNK_STEP);
        in->chunks[tc] = chunk_part(old, 0, place, CHUNK_STEP);
        chunk_release(old);
        group_insert(map, tg, tc, tail);
        locate(map->root, chunk_key(in->chunks[tc], 0), &tg, &tc);
        group_insert(map, tg, tc, single);
    }
}

void map_put(struct map *map, struct slice key, struct slice value)
{
    uint32_t size = record_size(key, value);
    defer_free char *own = NULL;
    if (!map->root || !map->root->n_groups) {
        struct map_root *old = map->root;
        struct map_group *group = group_new();
        group->n_chunks = 1;
        group->chunks[0] = chunk_new(size + 2);
        chunk_insert(group->chunks[0], 0, key, value, size);
        map->root = root_new(4);
        map->root->groups[0] = group;
        map->root->n_groups = 1;
        map->root->n_records = 1;
        map->root->n_bytes = size;
        root_release(old);
        return;
    }
    /* The arguments may lie in what is about to move. */
    own = memory_alloc(key.size + value.size + 1);
    if (key.size) memcpy(own, key.data, key.size);
    if (value.size) memcpy(own + key.size, value.data, value.size);
    key = slice_make(own, key.size);
    value = slice_make(own + key.size, value.size);

    uint32_t g, c;
    locate(map->root, key, &g, &c);
    struct map_group *group = own_group(map, g);
    bool found;
    uint32_t index = chunk_search(group->chunks[c], key, &found);
    if (found) {
        struct record old = chunk_record(group->chunks[c], index);
        uint32_t old_size = old.size;
        struct map_chunk *chunk = own_chunk(group, c, 0);
        map->root->n_bytes += (uint64_t)size - old_size;
        if (old_size == size) {
            record_write(chunk->bytes + chunk_offset(chunk, index), key, value);
            return;
        }
        chunk_erase(chunk, index);
    } else {
        map->root->n_records++;
        map->root->n_bytes += size;
    }
    insert(map, g, c, index, key, value);
}

/* Joins a small chunk with the one before or behind it in its group. */
static void join(struct map *map, uint32_t g, uint32_t c)
{
    struct map_group *group = map->root->groups[g];
    if (group->chunks[c]->size >= MAP_CHUNK_BYTES / 4 || group->n_chunks == 1) return;
    uint32_t left = c + 1 < group->n_chunks ? c : c - 1;
    struct map_chunk *a = group->chunks[left], *b = group->chunks[left + 1];
    if (a->size + b->size > MAP_CHUNK_BYTES * 3 / 4) return;
    struct map_chunk *both =
        chunk_part(a, 0, a->n_records, b->size + 2 * b->n_records + CHUNK_STEP);
    uint16_t *offsets = (uint16_t *)(both->bytes + both->capacity);
    memcpy(both->bytes + both->size, b->bytes, b->size);
    for (uint32_t i = 0; i < b->n_records; i++)
        offsets[-1 - (int64_t)(a->n_records + i)] = (uint16_t)(chunk_offset(b, i) + both->size);
    both->size += b->size;
    both->n_records += b->n_records;
    group->chunks[left] = both;
    group_erase(map, g, left + 1);
    chunk_release(a);
    chunk_release(b);
}

bool map_remove(struct map *map, struct slice key)
{
    if (!map->root || !map->root->n_groups) return false;
    uint32_t g, c;
    locate(map->root, key, &g, &c);
    bool found;
    uint32_t index = chunk_search(map->root->groups[g]->chunks[c], key, &found);
    if (!found) return false;
    struct map_group *group = own_group(map, g);
    struct map_chunk *chunk = own_chunk(group, c, 0);
    map->root->n_bytes -= chunk_record(chunk, index).size;
    chunk_erase(chunk, index);
    map->root->n_records--;
    if (chunk->n_records) {
        join(map, g, c);
        return true;
    }
    group_erase(map, g, c);
    chunk_release(chunk);
    if (!map->root->n_groups) map_free(map);
    return true;
}

/* ---- building in order ---- */

void map_builder_init(struct map_builder *builder)
{
    *builder = (struct map_builder){.capacity = MAP_CHUNK_BYTES, .n_offsets_max = 256};
    builder->pending = memory_alloc(builder->capacity);
    builder->offsets = memory_alloc(builder->n_offsets_max * sizeof(uint16_t));
}

static void builder_flush(struct map_builder *builder)
{
    if (!builder->n_pending) return;
    struct map_chunk *chunk = chunk_new(builder->size + 2 * builder->n_pending);
    memcpy(chunk->bytes, builder->pending, builder->size);
    chunk->size = builder->size;
    chunk->n_records = builder->n_pending;
    uint16_t *offsets = (uint16_t *)(chunk->bytes + chunk->capacity);
    for (uint32_t i = 0; i < builder->n_pending; i++)
        offsets[-1 - (int64_t)i] = builder->offsets[i];
    struct map *map = &builder->map;
    if (!map->root) {
        map->root = root_new(4);
        root_insert(map, 0, group_new());
    }
    struct map_group *group = map->root->groups[map->root->n_groups - 1];
    if (group->n_chunks == GROUP_CHUNKS) {
        group = group_new();
        root_insert(map, map->root->n_groups, group);
    }
    group->chunks[group->n_chunks++] = chunk;
    map->root->n_records += builder->n_pending;
    map->root->n_bytes += builder->size;
    builder->last_key = chunk_key(chunk, chunk->n_records - 1);
    builder->n_pending = 0;
    builder->size = 0;
}

int map_builder_add(struct map_builder *builder, struct slice key, struct slice value)
{
    if (key.size > MAP_RECORD_BYTES_MAX || value.size > MAP_RECORD_BYTES_MAX - key.size)
        return error_set(GLIS_ECORRUPT, "a record of %zu bytes", key.size + value.size);
    bool first = !builder->map.root && !builder->n_pending;
    if (!first && slice_compare(builder->last_key, key) >= 0)
        return error_set(GLIS_ECORRUPT, "keys do not ascend");
    uint32_t size = record_size(key, value);
    if (builder->n_pending && builder->size + size > MAP_CHUNK_BYTES) builder_flush(builder);
    if (builder->size + size > builder->capacity) {
        builder->capacity = builder->size + size;
        builder->pending = memory_realloc(builder->pending, builder->capacity);
    }
    if (builder->n_pending == builder->n_offsets_max) {
        builder->n_offsets_max *= 2;
        builder->offsets =
            memory_realloc(builder->offsets, builder->n_offsets_max * sizeof(uint16_t));
    }
    uint8_t *at = builder->pending + builder->size;
    record_write(at, key, value);
    builder->offsets[builder->n_pending++] = (uint16_t)builder->size;
    builder->size += size;
    builder->last_key = slice_make(at + (size - key.size - value.size), key.size);
    return 0;
}

void map_builder_finish(struct map_builder *builder, struct map *out)
{
    builder_flush(builder);
    *out = builder->map;
    builder->map.root = NULL;
    map_builder_abort(builder);
}

void map_builder_abort(struct map_builder *builder)
{
    map_free(&builder->map);
    free(builder->pending);
    free(builder->offsets);
    builder->pending = NULL;
    builder->offsets = NULL;
}

/* ---- differences ---- */

static const struct map_chunk *cursor_chunk(const struct map_cursor *cursor)
{
    return cursor->map->root->groups[cursor->group]->chunks[cursor->chunk];
}

/* Both stand at the beginning of a group or chunk that the maps share: behind it. */
static bool skip_shared(struct map_cursor *a, struct map_cursor *b)
{
    if (a->index || b->index || cursor_chunk(a) != cursor_chunk(b)) return false;
    bool groups =
        !a->chunk && !b->chunk && a->map->root->groups[a->group] == b->map->root->groups[b->group];
    struct map_cursor *both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        if (groups)
            both[i]->group++;
        else
            both[i]->chunk++;
        cursor_settle(both[i]);
    }
    return true;
}

int map_diff(const struct map *old_map, const struct map *new_map,
             int (*visit)(void *context, struct slice key, const struct slice *before,
                          const struct slice *after),
             void *context)
{
    if (old_map->root == new_map->root) return 0;
    struct map_cursor a, b;
    map_cursor_first(old_map, &a);
    map_cursor_first(new_map, &b);
    while (a.valid || b.valid) {
        if (a.valid && b.valid && skip_shared(&a, &b)) continue;
        int c = !a.valid ? 1 : !b.valid ? -1 : slice_compare(a.key, b.key);
        int code = 0;
        if (c != 0 || !slice_equal(a.value, b.value))
            code = visit(context, c <= 0 ? a.key : b.key, c <= 0 ? &a.value : NULL,
                         c >= 0 ? &b.value : NULL);
        if (code) return code;
        if (c <= 0) map_cursor_next(&a);
        if (c >= 0) map_cursor_next(&b);
    }
    return 0;
}

/* ---- checking ---- */

static int chunk_validate(const struct map_chunk *chunk, struct slice *last, bool *first)
{
    if (!chunk->n_records) return error_set(GLIS_ECORRUPT, "map: an empty chunk");
    if (chunk->n_records > 1 && chunk->size > MAP_CHUNK_BYTES)
        return error_set(GLIS_ECORRUPT, "map: a chunk of %u bytes", chunk->size);
    if ((uint64_t)chunk->size + 2 * (uint64_t)chunk->n_records > chunk->capacity)
        return error_set(GLIS_ECORRUPT, "map: records and offsets overlap");
    uint32_t at = 0;
    for (uint32_t i = 0; i < chunk->n_records; i++) {
        if (chunk_offset(chunk, i) != at)
            return error_set(GLIS_ECORRUPT, "map: record %u lies elsewhere", i);
        struct record record = chunk_record(chunk, i);
        at += record.size;
        if (at > chunk->size) return error_set(GLIS_ECORRUPT, "map: record %u passes the end", i);
        if (!*first && slice_compare(*last, record.key) >= 0)
            return error_set(GLIS_ECORRUPT, "map: keys do not ascend");
        *last = record.key;
        *first = false;
    }
    if (at != chunk->size) return error_set(GLIS_ECORRUPT, "map: bytes behind the last record");
    return 0;
}

int map_validate(const struct map *map)
{
    const struct map_root *root = map->root;
    if (!root) return 0;
    if (!root->n_groups) return error_set(GLIS_ECORRUPT, "map: an empty root");
    struct slice last = SLICE_EMPTY;
    bool first = true;
    uint64_t n = 0, n_bytes = 0;
    for (uint32_t g = 0; g < root->n_groups; g++) {
        const struct map_group *group = root->groups[g];
        if (!group->n_chunks || group->n_chunks > GROUP_CHUNKS)
            return error_set(GLIS_ECORRUPT, "map: a group of %u chunks", group->n_chunks);
        for (uint32_t c = 0; c < group->n_chunks; c++) {
            TRY(chunk_validate(group->chunks[c], &last, &first));
            n += group->chunks[c]->n_records;
            n_bytes += group->chunks[c]->size;
        }
    }
    if (n_bytes != root->n_bytes) return error_set(GLIS_ECORRUPT, "map: the bytes are wrong");
    if (n != root->n_records) return error_set(GLIS_ECORRUPT, "map: the count is wrong");
    return 0;
}
