/*
 * query_cache.c: what the queries of a process share: files that were opened (footer, page index),
 * bloom filters and decoded pages.
 *
 * One table of entries by key and one list by age, under one lock that is held for some ten
 * instructions. Files never change, so an entry is never wrong, only unused; the oldest go when
 * the limit is reached, but one that was used since it was last at the end goes round once more
 * ("second chance"). So a use marks the entry alone: to move it to the front of the list would
 * touch its neighbours, which are elsewhere in memory. An entry lives on while somebody holds
 * it, so nothing waits for readers. Two threads that miss the same entry both make it; the
 * second one's is thrown away.
 *
 * Memory: entries' bytes are reserved in the engine's budget by their makers (blocks are counted
 * where they are made); the cache adds up `bytes` only to know when its own limit is reached.
 */
#include "query/query_int.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>

enum { SLOTS_MIN = 1024, CACHE_BYTES_DEFAULT = 64 << 20 };

struct query_engine {
    struct runtime *runtime;
    struct budget *budget;
    pthread_mutex_t lock;
    struct cache_entry **slots;
    size_t n_slots, n_entries;
    struct cache_entry *newest, *oldest;
    uint64_t limit_bytes, used_bytes;
    _Atomic(void *) spare; /* memory for an answer; NULL: none */
    uint64_t counts[CACHE_KINDS], bytes[CACHE_KINDS], hits[CACHE_KINDS], misses[CACHE_KINDS];
};

int query_engine_new(struct query_engine **out, struct runtime *runtime, struct budget *budget,
                     uint64_t cache_bytes)
{
    struct query_engine *engine = memory_alloc_zero(sizeof *engine);
    engine->runtime = runtime;
    engine->budget = budget;
    engine->limit_bytes = cache_bytes;
    if (!cache_bytes)
        engine->limit_bytes =
            budget && budget->limit_bytes ? budget->limit_bytes / 2 : CACHE_BYTES_DEFAULT;
    int error = pthread_mutex_init(&engine->lock, NULL);
    if (error) {
        free(engine);
        return error_set_errno(error, "making a lock");
    }
    engine->n_slots = SLOTS_MIN;
    engine->slots = memory_alloc_zero(engine->n_slots * sizeof(void *));
    *out = engine;
    return 0;
}

static void drop(struct query_engine *engine, struct cache_entry *entry);

void query_engine_free(struct query_engine *engine)
{
    if (!engine) return;
    while (engine->oldest) {
        struct cache_entry *entry = engine->oldest;
        drop(engine, entry);
        cache_release(entry);
    }
    pthread_mutex_destroy(&engine->lock);
    free(engine->slots);
    free(atomic_load(&engine->spare));
    free(engine);
}

void *query_engine_spare_take(struct query_engine *engine)
{
    return atomic_exchange(&engine->spare, NULL);
}

void query_engine_spare_put(struct query_engine *engine, void *answer)
{
    free(atomic_exchange(&engine->spare, answer));
}

struct runtime *query_engine_runtime(const struct query_engine *engine)
{
    return engine->runtime;
}

struct budget *query_engine_budget(const struct query_engine *engine)
{
    return engine->budget;
}

struct query_cache_figures query_engine_figures(struct query_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    struct query_cache_figures figures = {
        .footers = engine->counts[CACHE_FILE],
        .footer_bytes = engine->bytes[CACHE_FILE],
        .footer_hits = engine->hits[CACHE_FILE],
        .footer_misses = engine->misses[CACHE_FILE],
        .pages = engine->counts[CACHE_PAGE],
        .page_bytes = engine->bytes[CACHE_PAGE],
        .page_hits = engine->hits[CACHE_PAGE],
        .page_misses = engine->misses[CACHE_PAGE],
        .blooms = engine->counts[CACHE_BLOOM],
        .bloom_bytes = engine->bytes[CACHE_BLOOM],
        .bloom_hits = engine->hits[CACHE_BLOOM],
        .bloom_misses = engine->misses[CACHE_BLOOM],
    };
    pthread_mutex_unlock(&engine->lock);
    return figures;
}

/* ---- the table and the list; all under the lock ---- */

static struct cache_entry **slot_of(const struct query_engine *engine, const struct cache_key *key)
{
    return &engine->slots[hash_xxh3_64(key, sizeof *key) & (engine->n_slots - 1)];
}

static struct cache_entry *find(const struct query_engine *engine, const struct cache_key *key)
{
    struct cache_entry *entry = *slot_of(engine, key);
    while (entry && memcmp(&entry->key, key, sizeof *key) != 0)
        entry = entry->next;
    return entry;
}

static void list_remove(struct query_engine *engine, struct cache_entry *entry)
{
    *(entry->newer ? &entry->newer->older : &engine->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &engine->oldest) = entry->newer;
}

static void list_add(struct query_engine *engine, struct cache_entry *entry)
{
    entry->newer = NULL;
    entry->older = engine->newest;
    *(engine->newest ? &engine->newest->newer : &engine->oldest) = entry;
    engine->newest = entry;
}

/* Takes an entry out; its reference goes to the caller. */
static void drop(struct query_engine *engine, struct cache_entry *entry)
{
    struct cache_entry **slot = slot_of(engine, &entry->key);
    while (*slot != entry)
        slot = &(*slot)->next;
    *slot = entry->next;
    list_remove(engine, entry);
    entry->kept = false;
    engine->n_entries--;
    engine->used_bytes -= entry->bytes;
    engine->counts[entry->key.kind]--;
    engine->bytes[entry->key.kind] -= entry->bytes;
}

static void grow(struct query_engine *engine)
{
    if (engine->n_entries < engine->n_slots) return;
    struct cache_entry **old = engine->slots;
    size_t n_old = engine->n_slots;
    engine->n_slots *= 4;
    engine->slots = memory_alloc_zero(engine->n_slots * sizeof(void *));
    for (size_t i = 0; i < n_old; i++)
        for (struct cache_entry *entry = old[i], *next; entry; entry = next) {
            struct cache_entry **slot = slot_of(engine, &entry->key);
            next = entry->next;
            entry->next = *slot;
            *slot = entry;
        }
    free(old);
}

/* The oldest entries, but for those used since they were last looked at, that must go for `bytes`
 * more, as a list by `next`. */
static struct cache_entry *make_room(struct query_engine *engine, uint64_t bytes)
{
    struct cache_entry *gone = NULL;
    while (engine->oldest && engine->used_bytes + bytes > engine->limit_bytes) {
        struct cache_entry *entry = engine->oldest;
        if (entry->used) {
            entry->used = false;
            list_remove(engine, entry);
            list_add(engine, entry);
            continue;
        }
        drop(engine, entry);
        entry->next = gone;
        gone = entry;
    }
    return gone;
}

static void release_all(struct cache_entry *list)
{
    while (list) {
        struct cache_entry *next = list->next;
        cache_release(list);
        list = next;
    }
}

/* ---- use ---- */

struct cache_entry *cache_get(struct query_engine *engine, const struct cache_key *key)
{
    pthread_mutex_lock(&engine->lock);
    struct cache_entry *entry = find(engine, key);
    if (entry) {
        engine->hits[key->kind]++;
        atomic_fetch_add(&entry->references, 1);
        entry->used = true;
    } else {
        engine->misses[key->kind]++;
    }
    pthread_mutex_unlock(&engine->lock);
    return entry;
}

bool cache_has(struct query_engine *engine, const struct cache_key *key)
{
    pthread_mutex_lock(&engine->lock);
    bool has = find(engine, key) != NULL;
    pthread_mutex_unlock(&engine->lock);
    return has;
}

struct cache_entry *cache_put(struct query_engine *engine, struct cache_entry *entry)
{
    struct cache_entry *gone = NULL;
    pthread_mutex_lock(&engine->lock);
    struct cache_entry *first = find(engine, &entry->key);
    if (first) {
        atomic_fetch_add(&first->references, 1);
    } else if (entry->bytes <= cache_entry_bytes_max(engine)) {
        gone = make_room(engine, entry->bytes);
        struct cache_entry **slot = slot_of(engine, &entry->key);
        entry->next = *slot;
        *slot = entry;
        list_add(engine, entry);
        atomic_fetch_add(&entry->references, 1);
        entry->kept = true;
        engine->n_entries++;
        engine->used_bytes += entry->bytes;
        engine->counts[entry->key.kind]++;
        engine->bytes[entry->key.kind] += entry->bytes;
        grow(engine);
    }
    pthread_mutex_unlock(&engine->lock);
    release_all(gone);
    if (!first) return entry;
    cache_release(entry);
    return first;
}

uint64_t cache_entry_bytes_max(const struct query_engine *engine)
{
    return engine->limit_bytes / 4;
}

void cache_resize(struct query_engine *engine, struct cache_entry *entry, uint64_t bytes)
{
    struct cache_entry *gone = NULL;
    pthread_mutex_lock(&engine->lock);
    if (entry->kept) {
        engine->used_bytes += bytes - entry->bytes;
        engine->bytes[entry->key.kind] += bytes - entry->bytes;
    }
    entry->bytes = bytes;
    gone = make_room(engine, 0);
    pthread_mutex_unlock(&engine->lock);
    release_all(gone);
}

void cache_release(struct cache_entry *entry)
{
    if (entry && atomic_fetch_sub(&entry->references, 1) == 1) entry->free(entry);
}

bool cache_shrink(struct query_engine *engine, uint64_t bytes)
{
    pthread_mutex_lock(&engine->lock);
    uint64_t target = engine->used_bytes > bytes ? engine->used_bytes - bytes : 0;
    uint64_t limit = engine->limit_bytes;
    bool any = engine->oldest != NULL;
    engine->limit_bytes = target;
    struct cache_entry *gone = make_room(engine, 0);
    engine->limit_bytes = limit;
    pthread_mutex_unlock(&engine->lock);
    release_all(gone);
    return any;
}
