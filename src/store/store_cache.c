/*
 * store_cache.c: a store before another that keeps what was read of data files.
 *
 * Data files (tables/<id>/data/...) are written once and never changed, so what was read of one is
 * right for ever: footers, indexes, pages and whole files alike. They are kept in pieces that begin
 * at multiples of CACHE_PIECE_BYTES, in memory and on disk (store_cache_int.h). Everything else,
 * above all the log, goes straight to the store behind.
 *
 * A call of read is planned as a whole: which pieces its ranges need, each once; which of them are
 * here; and which are not. Missing neighbours are joined into runs of at most RUN_BYTES_MAX, and
 * all runs are one call to the store behind. A range that lies in one run or one piece is handed
 * out where it stands; others are put together by copying. A range counted from the end needs the
 * object's size first, which is kept as a piece without bytes; where it is not known, so many bytes
 * are asked for that the last piece becomes known, too.
 *
 * What is kept cannot become wrong by itself: a piece from disk has passed its checksum, one in
 * memory is what was read. When what was read was wrong, its reader finds out and says so
 * (store_forget): else an object that was damaged, or was on its way, would stay so on this machine
 * after it was put right in the store. Two threads that miss the same piece both fetch it.
 */
#include "store/store_cache_int.h"

#include "base/logger.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RUN_BYTES_MAX = 32 << 20,
    FORGET_PIECES_MAX = 1 << 20, /* of one object: what its size says is not to be trusted */
};
/* A longer range is one whose object must be known first. */
#define READ_BYTES_MAX ((uint64_t)1 << 30)

struct store_cache {
    struct store store;
    struct runtime *runtime;
    struct store *behind; /* not owned */
    struct cache_memory *memory;
    struct cache_disk *disk;
    uint64_t memory_bytes;
    uint64_t seed; /* of the ids: which store this is */
    bool keeps;
    _Atomic uint64_t memory_hits, disk_hits, misses, hit_bytes;
};

/* A piece that a call needs. */
struct need {
    struct slice key;
    struct hash128 name; /* of the key */
    uint64_t number;
    struct cache_piece piece; /* block is NULL while it is missing */
    size_t run;               /* index + 1 of the run that brings it; 0: here already */
};

/* Missing neighbours, or an unknown end, as one read behind. */
struct run {
    struct store_read *read;
    uint64_t first;
    bool is_tail;
};

struct call {
    struct store_cache *cache;
    struct store_read *reads;
    size_t n_reads;
    struct arena arena;
    struct need *needs; /* by name and number, each once */
    size_t n_needs, needs_capacity;
    struct store_read *behind;
    struct run *runs;
    size_t n_runs;
    size_t *own_runs; /* of each read: index + 1 of the run that answers it alone; 0: none */
};

static const struct store_ops cache_ops;
static void cached_read(struct store_cache *cache, struct store_read *reads, size_t n_reads);

bool store_key_is_data(struct slice key)
{
    if (!slice_starts_with(key, SLICE("tables/"))) return false;
    struct slice rest = slice_part(key, strlen("tables/"), key.size);
    const char *slash = memchr(rest.data, '/', rest.size);
    return slash && slice_starts_with(slice_make(slash, rest.size - (size_t)(slash - rest.data)),
                                      SLICE("/data/"));
}

int store_cache_open(struct runtime *runtime, struct store *behind,
                     const struct store_cache_settings *settings, struct store **out)
{
    struct store_cache *cache = memory_alloc_zero(sizeof *cache);
    store_init(&cache->store, &cache_ops, memory_copy_text(slice_from_text(behind->description)),
               behind->local);
    cache->runtime = runtime;
    cache->behind = behind;
    cache->keeps = !settings->look_only;
    cache->memory_bytes = settings->memory_bytes;
    cache->seed = hash_xxh3_64(behind->description, strlen(behind->description));
    if (settings->memory_bytes)
        cache->memory = cache_memory_new(settings->memory_bytes, runtime->budget);
    if (settings->disk_bytes && settings->folder &&
        cache_disk_open(runtime, settings->folder, settings->disk_bytes, &cache->disk) < 0) {
        /* Without it everything works, only slower. */
        logger_log(runtime->logger, settings->quiet ? LOGGER_INFO : LOGGER_WARN,
                   "there is no cache on disk", LOGGER_FIELD_STRING("reason", error_message()));
        error_clear();
    }
    *out = &cache->store;
    return 0;
}

struct store_cache_figures store_cache_figures(const struct store *store)
{
    const struct store_cache *cache = (const struct store_cache *)store;
    ASSERT(store->ops == &cache_ops);
    return (struct store_cache_figures){
        .memory_hits = atomic_load_explicit(&cache->memory_hits, memory_order_relaxed),
        .disk_hits = atomic_load_explicit(&cache->disk_hits, memory_order_relaxed),
        .misses = atomic_load_explicit(&cache->misses, memory_order_relaxed),
        .hit_bytes = atomic_load_explicit(&cache->hit_bytes, memory_order_relaxed),
        .memory_used_bytes = cache->memory ? cache_memory_used(cache->memory) : 0,
    };
}

int store_cache_use(const char *folder, bool clear, struct store_cache_use *out)
{
    return cache_disk_walk(folder, clear, out);
}

/* ---- requests ---- */

/* Splits a call into what is cached and what is not; the order of the reads does not matter. */
static void cache_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct store_cache *cache = (struct store_cache *)store;
    size_t n_data = 0;
    for (size_t i = 0; i < n_reads; i++)
        n_data += store_key_is_data(reads[i].key);
    if (n_data == n_reads) {
        cached_read(cache, reads, n_reads);
        return;
    }
    if (n_data == 0) {
        (void)!store_read(cache->behind, reads, n_reads);
        return;
    }
    struct store_read *parts = memory_alloc(n_reads * sizeof *parts);
    size_t head = 0, tail = n_reads;
    for (size_t i = 0; i < n_reads; i++)
        parts[store_key_is_data(reads[i].key) ? head++ : --tail] = reads[i];
    cached_read(cache, parts, n_data);
    (void)!store_read(cache->behind, parts + n_data, n_reads - n_data);
    for (size_t i = 0, h = 0, t = n_reads; i < n_reads; i++)
        reads[i] = parts[store_key_is_data(reads[i].key) ? h++ : --t];
    free(parts);
}

/* ---- what a call needs ---- */

static struct hash128 name_of(const struct store_cache *cache, struct slice key)
{
    struct hash128 name = hash_xxh3_128(key.data, key.size);
    name.high ^= cache->seed;
    return name;
}

static void piece_identify(struct need *need)
{
    uint64_t parts[3] = {need->name.high, need->name.low, need->number};
    need->piece.id = hash_xxh3_128(parts, sizeof parts);
}

/* Looks for a piece here. */
static bool piece_find(struct store_cache *cache, struct need *need)
{
    struct cache_piece *piece = &need->piece;
    piece_identify(need);
    if (cache->memory && cache_memory_get(cache->memory, piece)) {
        atomic_fetch_add_explicit(&cache->memory_hits, 1, memory_order_relaxed);
    } else if (cache->disk && cache_disk_get(cache->disk, piece, cache->runtime->budget)) {
        atomic_fetch_add_explicit(&cache->disk_hits, 1, memory_order_relaxed);
        if (cache->memory) cache_memory_put(cache->memory, piece, false);
    } else {
        return false;
    }
    atomic_fetch_add_explicit(&cache->hit_bytes, piece->size, memory_order_relaxed);
    return true;
}

static void need_add(struct call *call, struct slice key, struct hash128 name, uint64_t number)
{
    if (call->n_needs == call->needs_capacity) {
        size_t capacity = call->needs_capacity ? 2 * call->needs_capacity : 16;
        call->needs = memory_realloc(call->needs, capacity * sizeof *call->needs);
        call->needs_capacity = capacity;
    }
    call->needs[call->n_needs++] = (struct need){.key = key, .name = name, .number = number};
}

/* The size of the object, when it is known here: of the piece itself or of the one for sizes. */
static bool size_find(struct store_cache *cache, struct hash128 name, uint64_t number,
                      uint64_t *size)
{
    struct need need = {.name = name, .number = number};
    if (!piece_find(cache, &need)) return false;
    block_release(need.piece.block);
    *size = need.piece.object_size;
    return true;
}

/* The read is answered by one request of its own: its end is not known. */
static void run_alone(struct call *call, size_t index)
{
    struct store_read *read = &call->reads[index];
    struct run *run = &call->runs[call->n_runs];
    run->read = &call->behind[call->n_runs++];
    *run->read = (struct store_read){.key = read->key, .budget = read->budget};
    call->own_runs[index] = call->n_runs;
    if (read->offset == STORE_TO_END) {
        run->is_tail = true;
        run->read->offset = STORE_TO_END;
        run->read->length = read->length > STORE_TO_END - CACHE_PIECE_BYTES - 1
                                ? read->length
                                : read->length + CACHE_PIECE_BYTES;
    } else {
        run->first = read->offset / CACHE_PIECE_BYTES;
        run->read->offset = run->first * CACHE_PIECE_BYTES;
        uint64_t skip = read->offset - run->read->offset;
        run->read->length = read->length > STORE_TO_END - skip ? STORE_TO_END : read->length + skip;
    }
    atomic_fetch_add_explicit(&call->cache->misses, 1, memory_order_relaxed);
}

/* The pieces of one read; or a run of its own when the object's size must be known and is not. */
static void read_plan(struct call *call, size_t index)
{
    const struct store_read *read = &call->reads[index];
    struct hash128 name = name_of(call->cache, read->key);
    uint64_t start = read->offset, length = read->length, size;
    bool open_end =
        start == STORE_TO_END || length > READ_BYTES_MAX || length > STORE_TO_END - start;
    if (open_end) {
        uint64_t first = start == STORE_TO_END ? CACHE_SIZE_PIECE : start / CACHE_PIECE_BYTES;
        if (!size_find(call->cache, name, first, &size)) {
            run_alone(call, index);
            return;
        }
        if (start == STORE_TO_END) {
            length = length < size ? length : size;
            start = size - length;
        } else {
            uint64_t rest = start < size ? size - start : 0;
            if (length > rest) length = rest;
        }
    }
    uint64_t first = start / CACHE_PIECE_BYTES;
    uint64_t last = length ? (start + length - 1) / CACHE_PIECE_BYTES : first;
    /* A tail of no bytes at the end of a whole number of pieces: the piece before knows as much. */
    if (read->offset == STORE_TO_END && length == 0 && first && start % CACHE_PIECE_BYTES == 0)
        first = --last;
    for (uint64_t number = first; number <= last; number++)
        need_add(call, read->key, name, number);
}

static int compare_needs(const void *a, const void *b)
{
    const struct need *x = a, *y = b;
    if (x->name.high != y->name.high) return x->name.high < y->name.high ? -1 : 1;
    if (x->name.low != y->name.low) return x->name.low < y->name.low ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool same_object(const struct need *a, const struct need *b)
{
    return a->name.high == b->name.high && a->name.low == b->name.low;
}

/* Sorts the needs, makes each of them one, and looks for them here. Those that lie beyond the end
 * of an object of known size are no needs. */
static void needs_find(struct call *call)
{
    if (call->n_needs > 1) qsort(call->needs, call->n_needs, sizeof *call->needs, compare_needs);
    size_t n = 0;
    uint64_t object_size = UINT64_MAX;
    for (size_t i = 0; i < call->n_needs; i++) {
        struct need need = call->needs[i];
        bool same = n > 0 && same_object(&need, &call->needs[n - 1]);
        if (same && need.number == call->needs[n - 1].number) continue;
        if (!same) object_size = UINT64_MAX;
        if (same && need.number * CACHE_PIECE_BYTES >= object_size) continue;
        if (piece_find(call->cache, &need)) object_size = need.piece.object_size;
        call->needs[n++] = need;
    }
    call->n_needs = n;
}

/* Missing neighbours become runs. */
static void runs_join(struct call *call)
{
    const struct need *before = NULL;
    for (size_t i = 0; i < call->n_needs; i++) {
        struct need *need = &call->needs[i];
        if (need->piece.block) continue;
        atomic_fetch_add_explicit(&call->cache->misses, 1, memory_order_relaxed);
        struct run *run = call->n_runs ? &call->runs[call->n_runs - 1] : NULL;
        if (!before || !same_object(before, need) || before->number + 1 != need->number ||
            run->read->length + CACHE_PIECE_BYTES > RUN_BYTES_MAX) {
            run = &call->runs[call->n_runs];
            *run = (struct run){.read = &call->behind[call->n_runs++], .first = need->number};
            *run->read = (struct store_read){.key = need->key,
                                             .offset = need->number * CACHE_PIECE_BYTES,
                                             .budget = call->reads[0].budget};
        }
        run->read->length += CACHE_PIECE_BYTES;
        need->run = call->n_runs;
        before = need;
    }
}

/* ---- keeping what came ---- */

static void keep(struct store_cache *cache, const struct need *need, bool in_memory)
{
    if (cache->memory && in_memory) cache_memory_put(cache->memory, &need->piece, true);
    if (cache->disk) cache_disk_put(cache->disk, &need->piece);
}

static void run_keep(struct store_cache *cache, const struct run *run)
{
    const struct store_read *read = run->read;
    if (!cache->keeps || read->outcome != 0) return;
    uint64_t start = run->first * CACHE_PIECE_BYTES;
    struct need need = {.key = read->key, .name = name_of(cache, read->key)};
    need.piece.object_size = read->object_size;
    if (run->is_tail) {
        start = read->object_size - read->size;
        need.number = CACHE_SIZE_PIECE;
        piece_identify(&need);
        keep(cache, &need, true);
    }
    /* What is read in one go and fills the memory is not what is read again soon. */
    bool in_memory = read->size <= cache->memory_bytes / 4;
    uint64_t end = start + read->size;
    uint64_t at = (start + CACHE_PIECE_BYTES - 1) / CACHE_PIECE_BYTES * CACHE_PIECE_BYTES;
    for (; at < end || (at == 0 && end == 0); at += CACHE_PIECE_BYTES) {
        uint64_t size = end - at < CACHE_PIECE_BYTES ? end - at : CACHE_PIECE_BYTES;
        if (size < CACHE_PIECE_BYTES && end != read->object_size) break;
        need.number = at / CACHE_PIECE_BYTES;
        need.piece.block = read->block;
        need.piece.data = read->data + (at - start);
        need.piece.size = (uint32_t)size;
        piece_identify(&need);
        keep(cache, &need, in_memory);
    }
}

/* ---- answering ---- */

static const struct need *need_at(const struct call *call, struct hash128 name, uint64_t number)
{
    struct need wanted = {.name = name, .number = number};
    return call->n_needs
               ? bsearch(&wanted, call->needs, call->n_needs, sizeof wanted, compare_needs)
               : NULL;
}

/* Hands out [start, start + size) of what a block holds from `base` on. */
static void answer_from(struct store_read *read, struct block *block, const uint8_t *data,
                        uint64_t skip, uint64_t size)
{
    read->block = block_acquire(block);
    read->data = data + skip;
    read->size = size;
    read->outcome = 0;
}

/* The bytes of a need that is here or came: *data, *size. The outcome of its run. */
static int need_bytes(const struct call *call, const struct need *need, const uint8_t **data,
                      uint64_t *size)
{
    if (!need->run) {
        *data = need->piece.data;
        *size = need->piece.size;
        return 0;
    }
    const struct run *run = &call->runs[need->run - 1];
    if (run->read->outcome != 0) return run->read->outcome;
    uint64_t skip = (need->number - run->first) * CACHE_PIECE_BYTES;
    uint64_t left = skip < run->read->size ? run->read->size - skip : 0;
    *data = run->read->data + (left ? skip : 0);
    *size = left < CACHE_PIECE_BYTES ? left : CACHE_PIECE_BYTES;
    return 0;
}

/* Puts a range together from several pieces. */
static int answer_copy(const struct call *call, struct store_read *read, struct hash128 name,
                       uint64_t start, uint64_t size)
{
    struct block *block;
    TRY(block_new(&block, read->budget, size));
    for (uint64_t at = start; at < start + size;) {
        const struct need *need = need_at(call, name, at / CACHE_PIECE_BYTES);
        const uint8_t *data = NULL;
        uint64_t have = 0, skip = at % CACHE_PIECE_BYTES;
        int code = need ? need_bytes(call, need, &data, &have) : GLIS_EIO;
        if (code == 0 && have <= skip) code = GLIS_EIO;
        if (code != 0) {
            block_release(block);
            return code == GLIS_EIO
                       ? error_set(GLIS_EIO, "the store's answers do not fit together: %.*s",
                                   SLICE_PRINT(read->key))
                       : code;
        }
        uint64_t n = have - skip < start + size - at ? have - skip : start + size - at;
        memcpy(block->data + (at - start), data + skip, n);
        at += n;
    }
    answer_from(read, block, block->data, 0, size);
    block_release(block);
    return 0;
}

/* Of an object whose first needed piece is `need`: its size, or what went wrong with it. */
static int object_size_of(const struct call *call, const struct need *need, uint64_t *out)
{
    if (need->run && call->runs[need->run - 1].read->outcome != 0)
        return call->runs[need->run - 1].read->outcome;
    *out = need->run ? call->runs[need->run - 1].read->object_size : need->piece.object_size;
    return 0;
}

static int read_answer(const struct call *call, size_t index)
{
    struct store_read *read = &call->reads[index];
    uint64_t start = 0, size = 0;
    if (call->own_runs[index]) {
        const struct run *run = &call->runs[call->own_runs[index] - 1];
        const struct store_read *came = run->read;
        if (came->outcome != 0) return came->outcome;
        read->object_size = came->object_size;
        TRY(store_range(read, came->object_size, &start, &size));
        uint64_t base = run->is_tail ? came->object_size - came->size : came->offset;
        if (start < base || start - base + size > came->size)
            return error_set(GLIS_EIO, "the store gave too little of %.*s", SLICE_PRINT(read->key));
        answer_from(read, came->block, came->data, start - base, size);
        return 0;
    }
    struct hash128 name = name_of(call->cache, read->key);
    struct need first = {.name = name};
    /* The first need of this object at or before the read's range tells its size. */
    uint64_t number = read->offset == STORE_TO_END ? 0 : read->offset / CACHE_PIECE_BYTES;
    const struct need *need = read->offset == STORE_TO_END ? NULL : need_at(call, name, number);
    for (size_t i = 0; !need && i < call->n_needs; i++)
        if (same_object(&call->needs[i], &first)) need = &call->needs[i];
    ASSERT(need);
    int code = object_size_of(call, need, &read->object_size);
    if (code != 0) return code;
    TRY(store_range(read, read->object_size, &start, &size));
    need = need_at(call, name, start / CACHE_PIECE_BYTES);
    if (size == 0) { /* any block will do */
        struct block *block;
        TRY(block_new(&block, read->budget, 0));
        answer_from(read, block, block->data, 0, 0);
        block_release(block);
        return 0;
    }
    const struct need *last = need_at(call, name, (start + size - 1) / CACHE_PIECE_BYTES);
    if (!need || !last) return answer_copy(call, read, name, start, size);
    if (need->run && need->run == last->run) {
        const struct store_read *came = call->runs[need->run - 1].read;
        uint64_t skip = start - came->offset;
        if (came->outcome != 0) return came->outcome;
        if (skip + size <= came->size) {
            answer_from(read, came->block, came->data, skip, size);
            return 0;
        }
    } else if (need == last && !need->run) {
        uint64_t skip = start % CACHE_PIECE_BYTES;
        if (skip + size <= need->piece.size) {
            answer_from(read, need->piece.block, need->piece.data, skip, size);
            return 0;
        }
    }
    return answer_copy(call, read, name, start, size);
}

/* A call with what it asks of the store behind, under way. */
struct cache_reading {
    struct store_reading reading;
    struct call call;
    struct store_reading *behind; /* NULL: everything is here */
};

static struct store_reading *cached_begin(struct store_cache *cache, struct store_read *reads,
                                          size_t n_reads)
{
    struct cache_reading *reading = memory_alloc_zero(sizeof *reading);
    struct call *call = &reading->call;
    *call = (struct call){.cache = cache, .reads = reads, .n_reads = n_reads};
    call->own_runs = memory_alloc_zero(n_reads * sizeof *call->own_runs);
    call->behind = memory_alloc_zero(n_reads * sizeof *call->behind);
    call->runs = memory_alloc_zero(n_reads * sizeof *call->runs);
    for (size_t i = 0; i < n_reads; i++)
        read_plan(call, i);
    needs_find(call);
    /* No more runs than needs are missing; those begun keep their places. */
    size_t most = call->n_runs + call->n_needs + 1;
    call->behind = memory_realloc(call->behind, most * sizeof *call->behind);
    call->runs = memory_realloc(call->runs, most * sizeof *call->runs);
    for (size_t i = 0; i < call->n_runs; i++)
        call->runs[i].read = call->behind + i;
    runs_join(call);
    if (call->n_runs) reading->behind = store_read_begin(cache->behind, call->behind, call->n_runs);
    return &reading->reading;
}

/* Gives each read its outcome; the detail of the first failure becomes the thread's. */
static void call_answer(struct call *call, const struct error_detail *behind)
{
    struct error_detail first = {0};
    for (size_t i = 0; i < call->n_runs; i++)
        run_keep(call->cache, &call->runs[i]);
    for (size_t i = 0; i < call->n_reads; i++) {
        struct store_read *read = &call->reads[i];
        if (behind->code) (void)!error_load(behind);
        read->outcome = read_answer(call, i);
        if (read->outcome == 0) continue;
        read->size = 0;
        if (read->outcome != GLIS_ENOTFOUND && !first.code) error_save(&first);
    }
    if (first.code) (void)!error_load(&first);
}

static void cached_end(struct store_reading *base, bool drop)
{
    struct cache_reading *reading = (struct cache_reading *)base;
    struct call *call = &reading->call;
    struct error_detail behind = {0};
    if (drop)
        store_read_drop(reading->behind);
    else if (reading->behind && store_read_end(reading->behind) < 0)
        error_save(&behind);
    if (!drop) {
        call_answer(call, &behind);
        store_read_release(call->behind, call->n_runs);
    }
    for (size_t i = 0; i < call->n_needs; i++)
        block_release(call->needs[i].piece.block);
    free(call->needs);
    free(call->behind);
    free(call->runs);
    free(call->own_runs);
    free(reading);
}

static void cached_read(struct store_cache *cache, struct store_read *reads, size_t n_reads)
{
    cached_end(cached_begin(cache, reads, n_reads), false);
}

static struct store_reading *cache_read_begin(struct store *store, struct store_read *reads,
                                              size_t n_reads)
{
    struct store_cache *cache = (struct store_cache *)store;
    size_t n_data = 0;
    for (size_t i = 0; i < n_reads; i++)
        n_data += store_key_is_data(reads[i].key);
    if (n_data == 0) return store_read_begin(cache->behind, reads, n_reads);
    return n_data == n_reads ? cached_begin(cache, reads, n_reads) : NULL;
}

static bool cache_read_go_on(struct store_reading *reading, bool wait)
{
    struct store_reading *behind = ((struct cache_reading *)reading)->behind;
    return !behind || store_read_go_on(behind, wait);
}

/* ---- forgetting ---- */

static void piece_forget(struct store_cache *cache, struct need *need)
{
    piece_identify(need);
    if (cache->memory) cache_memory_forget(cache->memory, need->piece.id);
    if (cache->disk) cache_disk_forget(cache->disk, need->piece.id);
}

static void cache_forget(struct store *store, struct slice key, uint64_t object_size)
{
    struct store_cache *cache = (struct store_cache *)store;
    struct need need = {.key = key, .name = name_of(cache, key), .number = CACHE_SIZE_PIECE};
    uint64_t size = 0;
    if (size_find(cache, need.name, CACHE_SIZE_PIECE, &size) && size > object_size)
        object_size = size;
    piece_forget(cache, &need);
    uint64_t n = object_size / CACHE_PIECE_BYTES;
    for (need.number = 0; need.number <= n && need.number < FORGET_PIECES_MAX; need.number++)
        piece_forget(cache, &need);
}

/* ---- what only passes through ---- */

static struct store *behind_of(struct store *store)
{
    return ((struct store_cache *)store)->behind;
}

static int cache_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    return store_put(behind_of(store), key, body, flags);
}

static int cache_head(struct store *store, struct slice key, struct store_object *out)
{
    return store_head(behind_of(store), key, out);
}

static int cache_list(struct store *store, struct slice prefix, struct slice start_after,
                      size_t limit, struct arena *arena, struct store_list *out)
{
    return store_list(behind_of(store), prefix, start_after, limit, arena, out);
}

static int cache_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    return store_remove(behind_of(store), keys, n_keys);
}

static int cache_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    return store_sync(behind_of(store), keys, n_keys);
}

/* The upload that is handed out is the other store's own: its parts do not come by here. */
static int cache_upload_open(struct store *store, struct slice key, unsigned flags,
                             struct store_upload **out)
{
    return store_upload_open(behind_of(store), key, flags, out);
}

static int cache_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                                 struct store_unfinished **out, size_t *n_out)
{
    return store_unfinished_list(behind_of(store), prefix, arena, out, n_out);
}

static int cache_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    return store_unfinished_remove(behind_of(store), upload);
}

static int cache_time_ms(struct store *store, int64_t *out)
{
    return store_time_ms(behind_of(store), out);
}

static void cache_counters(const struct store *store, struct store_counters *out)
{
    const struct store_cache *cache = (const struct store_cache *)store;
    *out = store_counters(cache->behind);
    struct store_cache_figures figures = store_cache_figures(store);
    out->cache_hits += figures.memory_hits + figures.disk_hits;
    out->cache_misses += figures.misses;
    out->cache_bytes += figures.hit_bytes;
}

static void cache_close(struct store *store)
{
    struct store_cache *cache = (struct store_cache *)store;
    cache_memory_free(cache->memory);
    cache_disk_close(cache->disk);
    free(cache);
}

static const struct store_ops cache_ops = {
    .put = cache_put,
    .read = cache_read,
    .read_begin = cache_read_begin,
    .read_go_on = cache_read_go_on,
    .read_end = cached_end,
    .head = cache_head,
    .list = cache_list,
    .remove = cache_remove,
    .sync = cache_sync,
    .upload_open = cache_upload_open,
    .unfinished_list = cache_unfinished_list,
    .unfinished_remove = cache_unfinished_remove,
    .time_ms = cache_time_ms,
    .forget = cache_forget,
    .counters = cache_counters,
    .close = cache_close,
};
