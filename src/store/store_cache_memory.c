/*
 * store_cache_memory.c: pieces in the memory of this process.
 *
 * Shards, each with a lock that is held for some ten instructions, a table by id and a list by last
 * use; a piece's shard is in its id. A shard has an equal share of the limit and drops what was not
 * used for longest when it is reached. The bytes are counted in the limit's budget; when the
 * process as a whole has no memory left, nothing is kept and nobody fails. A block in somebody's
 * hands lives on after it was dropped here.
 */
#include "store/store_cache_int.h"

#include <pthread.h>
#include <stdlib.h>

enum { SHARDS = 8, SLOTS = 1024, ENTRY_BYTES = 96 };

struct entry {
    struct cache_piece piece;
    struct entry *next;          /* of its slot */
    struct entry *newer, *older; /* of its shard */
};

struct shard {
    pthread_mutex_t lock; /* guards all below */
    struct entry *slots[SLOTS];
    struct entry *newest, *oldest;
    uint64_t used_bytes;
};

struct cache_memory {
    struct budget budget;
    uint64_t shard_limit_bytes;
    struct shard shards[SHARDS];
};

static void drop(struct shard *shard, struct entry *entry);

struct cache_memory *cache_memory_new(uint64_t limit_bytes, struct budget *parent)
{
    struct cache_memory *memory = memory_alloc_zero(sizeof *memory);
    budget_init(&memory->budget, "memory for pieces of files", limit_bytes, "set glis.cache.memory",
                parent);
    memory->shard_limit_bytes = limit_bytes / SHARDS;
    /* A small cache still holds some pieces, wherever their ids put them. */
    if (memory->shard_limit_bytes < 2 * CACHE_PIECE_BYTES)
        memory->shard_limit_bytes = 2 * CACHE_PIECE_BYTES;
    for (size_t i = 0; i < SHARDS; i++)
        ASSERT(pthread_mutex_init(&memory->shards[i].lock, NULL) == 0);
    return memory;
}

void cache_memory_free(struct cache_memory *memory)
{
    if (!memory) return;
    for (size_t i = 0; i < SHARDS; i++) {
        while (memory->shards[i].oldest)
            drop(&memory->shards[i], memory->shards[i].oldest);
        pthread_mutex_destroy(&memory->shards[i].lock);
    }
    free(memory);
}

static struct shard *shard_of(struct cache_memory *memory, struct hash128 id)
{
    return &memory->shards[id.high % SHARDS];
}

static struct entry **slot_of(struct shard *shard, struct hash128 id)
{
    return &shard->slots[id.low % SLOTS];
}

static struct entry *find(struct shard *shard, struct hash128 id)
{
    struct entry *entry = *slot_of(shard, id);
    while (entry && (entry->piece.id.high != id.high || entry->piece.id.low != id.low))
        entry = entry->next;
    return entry;
}

static uint64_t weight(const struct cache_piece *piece)
{
    return ENTRY_BYTES + (piece->block ? piece->block->size : 0);
}

static void list_remove(struct shard *shard, struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &shard->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &shard->oldest) = entry->newer;
}

static void list_add(struct shard *shard, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = shard->newest;
    *(shard->newest ? &shard->newest->newer : &shard->oldest) = entry;
    shard->newest = entry;
}

static void drop(struct shard *shard, struct entry *entry)
{
    struct entry **slot = slot_of(shard, entry->piece.id);
    while (*slot != entry)
        slot = &(*slot)->next;
    *slot = entry->next;
    list_remove(shard, entry);
    shard->used_bytes -= weight(&entry->piece);
    block_release(entry->piece.block);
    free(entry);
}

bool cache_memory_get(struct cache_memory *memory, struct cache_piece *piece)
{
    struct shard *shard = shard_of(memory, piece->id);
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(shard, piece->id);
    if (entry) {
        *piece = entry->piece;
        block_acquire(piece->block);
        list_remove(shard, entry);
        list_add(shard, entry);
    }
    pthread_mutex_unlock(&shard->lock);
    return entry != NULL;
}

void cache_memory_put(struct cache_memory *memory, const struct cache_piece *piece, bool copy)
{
    struct cache_piece kept = *piece;
    if (copy && piece->size) {
        if (block_new(&kept.block, &memory->budget, piece->size) < 0) {
            error_clear();
            return;
        }
        memcpy(kept.block->data, piece->data, piece->size);
        kept.data = kept.block->data;
    } else {
        block_acquire(kept.block);
    }
    struct shard *shard = shard_of(memory, piece->id);
    pthread_mutex_lock(&shard->lock);
    if (find(shard, piece->id) || weight(&kept) > memory->shard_limit_bytes) {
        block_release(kept.block);
    } else {
        while (shard->oldest && shard->used_bytes + weight(&kept) > memory->shard_limit_bytes)
            drop(shard, shard->oldest);
        struct entry *entry = memory_alloc_zero(sizeof *entry);
        entry->piece = kept;
        entry->next = *slot_of(shard, kept.id);
        *slot_of(shard, kept.id) = entry;
        list_add(shard, entry);
        shard->used_bytes += weight(&kept);
    }
    pthread_mutex_unlock(&shard->lock);
}

void cache_memory_forget(struct cache_memory *memory, struct hash128 id)
{
    struct shard *shard = shard_of(memory, id);
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(shard, id);
    if (entry) drop(shard, entry);
    pthread_mutex_unlock(&shard->lock);
}

uint64_t cache_memory_used(struct cache_memory *memory)
{
    uint64_t used = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&memory->shards[i].lock);
        used += memory->shards[i].used_bytes;
        pthread_mutex_unlock(&memory->shards[i].lock);
    }
    return used;
}
