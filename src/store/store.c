/*
 * store.c: what all stores have in common: dispatch, counting, checking of keys, and the two
 * conveniences that are made of the others (store_get, store_each).
 *
 * Every request passes through here, so that no kind of store sees a key that is not well formed: a
 * store for which keys become paths need not fear "..", an empty part or a NUL. Counters count what
 * was asked for, not what succeeded; bytes only what was carried.
 */
#include "store/store_int.h"

#include "base/text.h"

#include <stdlib.h>

static int key_part_check(struct slice key, struct slice part);
static int reads_check(struct store_read *reads, size_t n_reads);

#define COUNT(store, counter, n) \
    atomic_fetch_add_explicit(&(store)->counters.counter, (n), memory_order_relaxed)

void store_init(struct store *store, const struct store_ops *ops, char *description, bool local)
{
    memset(store, 0, sizeof(*store));
    store->ops = ops;
    store->description = description;
    store->local = local;
}

int store_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    TRY(store_key_check(key));
    if (flags & STORE_IF_ABSENT)
        COUNT(store, conditional_puts, 1);
    else
        COUNT(store, puts, 1);
    TRY_CONTEXT(store->ops->put(store, key, body, flags), "putting %.*s", SLICE_PRINT(key));
    COUNT(store, bytes_written, body.size);
    return 0;
}

static void reads_reset(struct store_read *reads, size_t n_reads)
{
    for (size_t i = 0; i < n_reads; i++) {
        reads[i].outcome = GLIS_EIO;
        reads[i].block = NULL;
        reads[i].data = NULL;
        reads[i].size = reads[i].object_size = 0;
    }
}

/* Counts what came; the first failure. */
static int reads_settle(struct store *store, const struct store_read *reads, size_t n_reads)
{
    uint64_t bytes = 0;
    int first = 0;
    for (size_t i = 0; i < n_reads; i++) {
        ASSERT(reads[i].outcome <= 0 && (reads[i].block != NULL) == (reads[i].outcome == 0));
        bytes += reads[i].size;
        if (first == 0 && reads[i].outcome != 0 && reads[i].outcome != GLIS_ENOTFOUND) {
            first = reads[i].outcome;
            error_context("reading %.*s", SLICE_PRINT(reads[i].key));
        }
    }
    COUNT(store, bytes_read, bytes);
    return first;
}

int store_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    reads_reset(reads, n_reads);
    TRY(reads_check(reads, n_reads));
    COUNT(store, gets, n_reads);
    store->ops->read(store, reads, n_reads);
    return reads_settle(store, reads, n_reads);
}

/* ---- reads under way ---- */

/* One of a store that begins nothing, or of keys that it must not see. */
static const struct store_ops late_ops;
struct late_reading {
    struct store_reading reading;
    struct store late, *store; /* late: whose only purpose is its operations */
};

struct store_reading *store_read_begin(struct store *store, struct store_read *reads,
                                       size_t n_reads)
{
    struct store_reading *reading = NULL;
    reads_reset(reads, n_reads);
    bool good = reads_check(reads, n_reads) == 0;
    if (!good) error_clear(); /* the end says it once more */
    if (good && store->ops->read_begin) reading = store->ops->read_begin(store, reads, n_reads);
    if (reading) {
        if (!reading->store) { /* else one of a store behind this one, which counts it */
            reading->store = store;
            reading->reads = reads;
            reading->n_reads = n_reads;
            COUNT(store, gets, n_reads);
        }
        return reading;
    }
    struct late_reading *late = memory_alloc_zero(sizeof *late);
    late->late.ops = &late_ops;
    late->store = store;
    late->reading = (struct store_reading){&late->late, reads, n_reads};
    return &late->reading;
}

bool store_read_go_on(struct store_reading *reading, bool wait)
{
    if (reading->store->ops == &late_ops) return true;
    return reading->store->ops->read_go_on(reading, wait);
}

int store_read_end(struct store_reading *reading)
{
    struct store *store = reading->store;
    struct store_read *reads = reading->reads;
    size_t n_reads = reading->n_reads;
    if (store->ops == &late_ops) {
        store = ((struct late_reading *)reading)->store;
        free(reading);
        return store_read(store, reads, n_reads);
    }
    store->ops->read_end(reading, false);
    return reads_settle(store, reads, n_reads);
}

void store_read_drop(struct store_reading *reading)
{
    struct error_detail detail; /* of what made the caller give up */
    if (!reading) return;
    if (reading->store->ops == &late_ops) {
        free(reading);
        return;
    }
    error_save(&detail);
    reading->store->ops->read_end(reading, true);
    (void)error_load(&detail);
}

void store_read_release(struct store_read *reads, size_t n_reads)
{
    for (size_t i = 0; i < n_reads; i++) {
        block_release(reads[i].block);
        reads[i].block = NULL;
        reads[i].data = NULL;
    }
}

int store_get(struct store *store, struct slice key, uint64_t offset, uint64_t length,
              struct buffer *out)
{
    struct store_read read = {
        .key = key, .offset = offset, .length = length, .budget = out->budget};
    TRY(store_read(store, &read, 1));
    if (read.outcome == GLIS_ENOTFOUND)
        return error_set(GLIS_ENOTFOUND, "there is no object %.*s in %s", SLICE_PRINT(key),
                         store->description);
    int code = buffer_append(out, read.data, read.size);
    store_read_release(&read, 1);
    return code;
}

int store_head(struct store *store, struct slice key, struct store_object *out)
{
    TRY(store_key_check(key));
    COUNT(store, heads, 1);
    TRY_CONTEXT(store->ops->head(store, key, out), "looking for %.*s", SLICE_PRINT(key));
    out->key = key;
    return 0;
}

int store_list(struct store *store, struct slice prefix, struct slice start_after, size_t limit,
               struct arena *arena, struct store_list *out)
{
    if (prefix.size > STORE_KEY_BYTES_MAX || start_after.size > STORE_KEY_BYTES_MAX)
        return error_set(GLIS_EINVALID, "a prefix or start of more than %d bytes",
                         STORE_KEY_BYTES_MAX);
    *out = (struct store_list){0};
    COUNT(store, lists, 1);
    TRY_CONTEXT(store->ops->list(store, prefix, start_after, limit, arena, out), "listing %.*s",
                SLICE_PRINT(prefix));
    return 0;
}

int store_each(struct store *store, struct slice prefix, struct slice start_after,
               int (*visit)(void *state, const struct store_object *object), void *state)
{
    char last[STORE_KEY_BYTES_MAX];
    for (;;) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct store_list page;
        TRY(store_list(store, prefix, start_after, 0, &arena, &page));
        for (size_t i = 0; i < page.n_objects; i++) {
            int code = visit(state, &page.objects[i]);
            if (code != 0) return code;
        }
        if (!page.more) return 0;
        ASSERT(page.n_objects > 0);
        struct slice key = page.objects[page.n_objects - 1].key;
        ASSERT(slice_compare(key, start_after) > 0);
        memcpy(last, key.data, key.size);
        start_after = slice_make(last, key.size);
    }
}

int store_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    for (size_t i = 0; i < n_keys; i++)
        TRY(store_key_check(keys[i]));
    if (n_keys == 0) return 0;
    COUNT(store, deletes, n_keys);
    TRY_CONTEXT(store->ops->remove(store, keys, n_keys), "removing");
    return 0;
}

int store_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    for (size_t i = 0; i < n_keys; i++)
        TRY(store_key_check(keys[i]));
    if (n_keys == 0) return 0;
    COUNT(store, syncs, 1);
    TRY_CONTEXT(store->ops->sync(store, keys, n_keys), "making objects durable");
    return 0;
}

void store_forget(struct store *store, struct slice key, uint64_t object_size)
{
    struct error_detail detail;
    if (!store->ops->forget) return;
    error_save(&detail);
    store->ops->forget(store, key, object_size);
    (void)error_load(&detail);
}

int store_upload_open(struct store *store, struct slice key, unsigned flags,
                      struct store_upload **out)
{
    TRY(store_key_check(key));
    if (flags & STORE_IF_ABSENT)
        return error_set(GLIS_EINVALID, "a put in parts is never conditional");
    COUNT(store, puts, 1);
    TRY_CONTEXT(store->ops->upload_open(store, key, flags, out), "putting %.*s", SLICE_PRINT(key));
    if (!(*out)->store) (*out)->store = store; /* else one of a store behind this one */
    (*out)->size_bytes = 0;
    return 0;
}

int store_upload_write(struct store_upload *upload, struct slice part)
{
    if (part.size == 0) return 0;
    TRY(upload->store->ops->upload_write(upload, part));
    upload->size_bytes += part.size;
    COUNT(upload->store, bytes_written, part.size);
    return 0;
}

void store_upload_go_on(struct store_upload *upload)
{
    const struct store_ops *ops = upload->store->ops;
    struct error_detail detail;
    if (!ops->upload_go_on) return;
    error_save(&detail);
    ops->upload_go_on(upload);
    (void)error_load(&detail);
}

int store_upload_finish(struct store_upload *upload)
{
    return upload->store->ops->upload_finish(upload);
}

void store_upload_abort(struct store_upload *upload)
{
    struct error_detail detail; /* of what made the caller give up */
    if (!upload) return;
    error_save(&detail);
    upload->store->ops->upload_abort(upload);
    (void)error_load(&detail);
}

int store_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                          struct store_unfinished **out, size_t *n_out)
{
    *out = NULL;
    *n_out = 0;
    COUNT(store, lists, 1);
    return store->ops->unfinished_list(store, prefix, arena, out, n_out);
}

int store_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    COUNT(store, deletes, 1);
    return store->ops->unfinished_remove(store, upload);
}

int store_watch_open(struct store *store, struct slice folder, struct store_watch **out)
{
    TRY(store_key_check(folder));
    if (!store->ops->watch_open)
        return error_set(GLIS_EUNSUPPORTED, "%s has no watches", store->description);
    TRY_CONTEXT(store->ops->watch_open(store, folder, out), "watching %.*s", SLICE_PRINT(folder));
    return 0;
}

void store_watch_close(struct store_watch *watch)
{
    if (watch) watch->close(watch);
}

void store_watchers_told(struct store *store, struct slice folder)
{
    if (store->ops->watchers_told) store->ops->watchers_told(store, folder);
}

int store_time_ms(struct store *store, int64_t *out)
{
    return store->ops->time_ms(store, out);
}

struct store_counters store_counters(const struct store *store)
{
    if (store->ops->counters) {
        struct store_counters behind = {0};
        store->ops->counters(store, &behind);
        return behind;
    }
#define LOAD(counter) atomic_load_explicit(&store->counters.counter, memory_order_relaxed)
    return (struct store_counters){
        .puts = LOAD(puts),
        .conditional_puts = LOAD(conditional_puts),
        .gets = LOAD(gets),
        .heads = LOAD(heads),
        .lists = LOAD(lists),
        .deletes = LOAD(deletes),
        .syncs = LOAD(syncs),
        .bytes_read = LOAD(bytes_read),
        .bytes_written = LOAD(bytes_written),
        .sent_writes = LOAD(sent_writes),
        .sent_reads = LOAD(sent_reads),
        .sent_lists = LOAD(sent_lists),
        .sent_deletes = LOAD(sent_deletes),
        .repeats = LOAD(repeats),
        .parts = LOAD(parts),
        .probes = LOAD(probes),
        .depth = LOAD(depth),
    };
#undef LOAD
}

void store_close(struct store *store)
{
    if (!store) return;
    char *description = store->description;
    store->ops->close(store);
    free(description);
}

int store_key_check(struct slice key)
{
    if (key.size == 0) return error_set(GLIS_EINVALID, "an object's key is empty");
    if (key.size > STORE_KEY_BYTES_MAX)
        return error_set(GLIS_EINVALID,
                         "an object's key of %zu bytes; at most %d are allowed: %.64s…", key.size,
                         STORE_KEY_BYTES_MAX, key.data);
    for (size_t i = 0; i < key.size; i++)
        if ((unsigned char)key.data[i] < 0x20 || key.data[i] == 0x7f)
            return error_set(GLIS_EINVALID, "an object's key has a control character at byte %zu",
                             i);
    size_t bad = 0;
    if (!text_is_utf8(key, &bad))
        return error_set(GLIS_EINVALID, "an object's key is no UTF-8 at byte %zu", bad);
    for (size_t start = 0; start <= key.size;) {
        const char *slash =
            start < key.size ? memchr(key.data + start, '/', key.size - start) : NULL;
        size_t end = slash ? (size_t)(slash - key.data) : key.size;
        TRY(key_part_check(key, slice_make(key.data + start, end - start)));
        start = end + 1;
    }
    return 0;
}

static int key_part_check(struct slice key, struct slice part)
{
    if (part.size == 0)
        return error_set(GLIS_EINVALID, "an object's key has an empty part: '%.*s'",
                         SLICE_PRINT(key));
    if (slice_equal_text(part, ".") || slice_equal_text(part, ".."))
        return error_set(GLIS_EINVALID, "an object's key has the part '%.*s': '%.*s'",
                         SLICE_PRINT(part), SLICE_PRINT(key));
    return 0;
}

static int reads_check(struct store_read *reads, size_t n_reads)
{
    for (size_t i = 0; i < n_reads; i++) {
        int code = store_key_check(reads[i].key);
        if (code < 0) {
            reads[i].outcome = code;
            return code;
        }
    }
    return 0;
}

int store_range(const struct store_read *read, uint64_t object_size, uint64_t *start,
                uint64_t *size)
{
    if (read->offset == STORE_TO_END) {
        *size = read->length < object_size ? read->length : object_size;
        *start = object_size - *size;
        return 0;
    }
    if (read->offset > object_size)
        return error_set(GLIS_EINVALID, "a range begins at byte %llu of %.*s, which has %llu",
                         (unsigned long long)read->offset, SLICE_PRINT(read->key),
                         (unsigned long long)object_size);
    uint64_t rest = object_size - read->offset;
    *start = read->offset;
    *size = read->length < rest ? read->length : rest;
    return 0;
}
