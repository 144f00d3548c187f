/*
 * store_slice.c: a store of one object whose bytes are at hand already, so that what reads objects
 * (a Parquet reader) can read memory: a snapshot that the log has fetched and checked, a page that
 * came over a wire.
 *
 * Nothing is copied: a read hands out a reference to the block that holds the bytes. Writing is
 * denied, and every key but the object's own is not found. The store is stateless but for its
 * counters, so it needs no lock.
 */
#include "store/store_int.h"

#include <stdlib.h>

struct store_slice {
    struct store store;
    struct slice key;
    struct block *block; /* holds the bytes; NULL: the caller does */
    struct slice bytes;
};

static const struct store_ops slice_ops;

int store_slice_open(struct slice key, struct block *block, struct slice bytes, struct store **out)
{
    TRY(store_key_check(key));
    struct store_slice *slice = memory_alloc_zero(sizeof(*slice));
    store_init(&slice->store, &slice_ops, memory_copy_text(SLICE("bytes in memory")), false);
    char *copy = memory_copy_text(key);
    slice->key = slice_make(copy, key.size);
    slice->block = block_acquire(block);
    slice->bytes = bytes;
    *out = &slice->store;
    return 0;
}

static void slice_close(struct store *store)
{
    struct store_slice *slice = (struct store_slice *)store;
    block_release(slice->block);
    free((void *)(uintptr_t)slice->key.data);
    free(slice);
}

static void nothing_to_release(void *state)
{
    (void)state;
}

static void slice_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct store_slice *slice = (struct store_slice *)store;
    for (size_t i = 0; i < n_reads; i++) {
        struct store_read *read = &reads[i];
        uint64_t start = 0;
        read->outcome = slice_equal(read->key, slice->key)
                            ? store_range(read, slice->bytes.size, &start, &read->size)
                            : GLIS_ENOTFOUND;
        if (read->outcome != 0) continue;
        void *data = (void *)(uintptr_t)slice->bytes.data;
        read->block = slice->block ? block_acquire(slice->block)
                                   : block_wrap(data, slice->bytes.size, nothing_to_release, NULL);
        read->data = (const uint8_t *)data + start;
        read->object_size = slice->bytes.size;
    }
}

static int slice_head(struct store *store, struct slice key, struct store_object *out)
{
    struct store_slice *slice = (struct store_slice *)store;
    if (!slice_equal(key, slice->key)) return error_set(GLIS_ENOTFOUND, "no such object");
    *out = (struct store_object){.key = key, .size = slice->bytes.size};
    return 0;
}

static int slice_list(struct store *store, struct slice prefix, struct slice start_after,
                      size_t limit, struct arena *arena, struct store_list *out)
{
    (void)limit;
    struct store_slice *slice = (struct store_slice *)store;
    *out = (struct store_list){0};
    bool has_prefix = slice->key.size >= prefix.size &&
                      slice_equal(slice_part(slice->key, 0, prefix.size), prefix);
    if (!has_prefix || slice_compare(slice->key, start_after) <= 0) return 0;
    out->objects = ARENA_NEW(arena, struct store_object);
    out->n_objects = 1;
    out->objects[0] =
        (struct store_object){.key = arena_copy(arena, slice->key), .size = slice->bytes.size};
    return 0;
}

/* ---- what it refuses ---- */

static int denied(void)
{
    return error_set(GLIS_EDENIED, "bytes in memory are only read");
}

static int slice_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    (void)store, (void)key, (void)body, (void)flags;
    return denied();
}

static int slice_keys(struct store *store, const struct slice *keys, size_t n_keys)
{
    (void)store, (void)keys;
    return n_keys ? denied() : 0;
}

static int slice_upload_open(struct store *store, struct slice key, unsigned flags,
                             struct store_upload **out)
{
    (void)store, (void)key, (void)flags, (void)out;
    return denied();
}

static int slice_upload_write(struct store_upload *upload, struct slice part)
{
    (void)upload, (void)part;
    return denied();
}

static int slice_upload_finish(struct store_upload *upload)
{
    (void)upload;
    return denied();
}

static void slice_upload_abort(struct store_upload *upload)
{
    (void)upload;
}

static int slice_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                                 struct store_unfinished **out, size_t *n_out)
{
    (void)store, (void)prefix, (void)arena;
    *out = NULL;
    *n_out = 0;
    return 0;
}

static int slice_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    (void)store, (void)upload;
    return denied();
}

static int slice_time_ms(struct store *store, int64_t *out)
{
    (void)store, (void)out;
    return error_set(GLIS_EUNSUPPORTED, "bytes in memory have no clock");
}

static const struct store_ops slice_ops = {
    .put = slice_put,
    .read = slice_read,
    .head = slice_head,
    .list = slice_list,
    .remove = slice_keys,
    .sync = slice_keys,
    .upload_open = slice_upload_open,
    .upload_write = slice_upload_write,
    .upload_finish = slice_upload_finish,
    .upload_abort = slice_upload_abort,
    .unfinished_list = slice_unfinished_list,
    .unfinished_remove = slice_unfinished_remove,
    .time_ms = slice_time_ms,
    .close = slice_close,
};
