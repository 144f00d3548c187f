/*
 * store_memory.c: a store whose objects are blocks in memory; for tests and simulated worlds.
 *
 * Objects stand in one array sorted by key: found by binary search, inserted by moving the tail,
 * which is cheap up to the hundred thousand objects of a test. Bodies are blocks: a read hands out
 * another reference and copies nothing (so the read's own budget is not charged; the bodies count
 * in the runtime's). An overwritten or removed body lives on in the hands of those who read it.
 *
 * One mutex makes every request atomic: each takes effect at one moment between call and return,
 * which is all that the interface promises of the others, too.
 */
#include "store/store_int.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct object {
    char *key;
    size_t key_size;
    struct block *body;
    int64_t modified_ms;
};

struct memory_upload {
    struct store_upload upload;
    struct memory_upload *next;
    char *key;
    size_t key_size;
    char id[24];
    int64_t begun_ms;
    bool removed; /* by unfinished_remove: finish fails */
    struct buffer body;
};

struct store_memory {
    struct store store;
    struct runtime *runtime;
    pthread_mutex_t lock; /* guards all below */
    struct object *objects;
    size_t n_objects, capacity;
    struct memory_upload *uploads;
    uint64_t n_uploads_ever;
};

enum { LIST_PAGE_DEFAULT = 1000 };

static const struct store_ops memory_ops;
static size_t position(const struct store_memory *memory, struct slice key, bool *found);
static int object_set(struct store_memory *memory, struct slice key, struct block *body,
                      unsigned flags);
static int body_copy(struct store_memory *memory, struct slice body, struct block **out);
static void upload_free(struct store_memory *memory, struct memory_upload *upload);

static struct slice object_key(const struct object *object)
{
    return slice_make(object->key, object->key_size);
}

int store_memory_open(struct runtime *runtime, struct store **out)
{
    struct store_memory *memory = memory_alloc_zero(sizeof(*memory));
    store_init(&memory->store, &memory_ops, memory_copy_text(SLICE("memory")), false);
    memory->runtime = runtime;
    ASSERT(pthread_mutex_init(&memory->lock, NULL) == 0);
    *out = &memory->store;
    return 0;
}

static int memory_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct store_memory *memory = (struct store_memory *)store;
    struct block *block = NULL;
    TRY(body_copy(memory, body, &block));
    return object_set(memory, key, block, flags);
}

static void memory_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct store_memory *memory = (struct store_memory *)store;
    for (size_t i = 0; i < n_reads; i++) {
        struct store_read *read = &reads[i];
        pthread_mutex_lock(&memory->lock);
        bool found;
        size_t at = position(memory, read->key, &found);
        struct block *body = found ? block_acquire(memory->objects[at].body) : NULL;
        pthread_mutex_unlock(&memory->lock);
        uint64_t start = 0;
        read->outcome = found ? store_range(read, body->size, &start, &read->size) : GLIS_ENOTFOUND;
        if (read->outcome != 0) {
            block_release(body);
            continue;
        }
        read->block = body;
        read->data = body->data + start;
        read->object_size = body->size;
    }
}

static int memory_head(struct store *store, struct slice key, struct store_object *out)
{
    struct store_memory *memory = (struct store_memory *)store;
    pthread_mutex_lock(&memory->lock);
    bool found;
    size_t at = position(memory, key, &found);
    if (found)
        *out = (struct store_object){key, memory->objects[at].body->size,
                                     memory->objects[at].modified_ms};
    pthread_mutex_unlock(&memory->lock);
    return found ? 0 : error_set(GLIS_ENOTFOUND, "no such object");
}

static int memory_list(struct store *store, struct slice prefix, struct slice start_after,
                       size_t limit, struct arena *arena, struct store_list *out)
{
    struct store_memory *memory = (struct store_memory *)store;
    if (limit == 0) limit = LIST_PAGE_DEFAULT;
    pthread_mutex_lock(&memory->lock);
    bool found = false;
    size_t first = position(memory, prefix, &found);
    if (slice_compare(start_after, prefix) >= 0) {
        first = position(memory, start_after, &found);
        if (found) first++;
    }
    size_t end = first;
    while (end < memory->n_objects && end - first < limit &&
           slice_starts_with(object_key(&memory->objects[end]), prefix))
        end++;
    out->more =
        end < memory->n_objects && slice_starts_with(object_key(&memory->objects[end]), prefix);
    out->n_objects = end - first;
    out->objects = ARENA_ARRAY(arena, struct store_object, out->n_objects);
    for (size_t i = first; i < end; i++) {
        const struct object *object = &memory->objects[i];
        out->objects[i - first] = (struct store_object){arena_copy(arena, object_key(object)),
                                                        object->body->size, object->modified_ms};
    }
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int memory_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct store_memory *memory = (struct store_memory *)store;
    for (size_t i = 0; i < n_keys; i++) {
        pthread_mutex_lock(&memory->lock);
        bool found;
        size_t at = position(memory, keys[i], &found);
        if (found) {
            free(memory->objects[at].key);
            block_release(memory->objects[at].body);
            memory->n_objects--;
            memmove(&memory->objects[at], &memory->objects[at + 1],
                    (memory->n_objects - at) * sizeof(struct object));
        }
        pthread_mutex_unlock(&memory->lock);
    }
    return 0;
}

static int memory_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    for (size_t i = 0; i < n_keys; i++) {
        struct store_object object;
        TRY_CONTEXT(memory_head(store, keys[i], &object), "%.*s", SLICE_PRINT(keys[i]));
    }
    return 0;
}

static int memory_upload_open(struct store *store, struct slice key, unsigned flags,
                              struct store_upload **out)
{
    (void)flags;
    struct store_memory *memory = (struct store_memory *)store;
    struct memory_upload *upload = memory_alloc_zero(sizeof(*upload));
    upload->key = memory_copy_text(key);
    upload->key_size = key.size;
    upload->begun_ms = memory->runtime->clock->wall_ms(memory->runtime->clock);
    buffer_init(&upload->body, SIZE_MAX / 4, memory->runtime->budget);
    pthread_mutex_lock(&memory->lock);
    snprintf(upload->id, sizeof(upload->id), "%llu", (unsigned long long)++memory->n_uploads_ever);
    upload->next = memory->uploads;
    memory->uploads = upload;
    pthread_mutex_unlock(&memory->lock);
    *out = &upload->upload;
    return 0;
}

static int memory_upload_write(struct store_upload *base, struct slice part)
{
    return buffer_append_slice(&((struct memory_upload *)base)->body, part);
}

static int memory_upload_finish(struct store_upload *base)
{
    struct memory_upload *upload = (struct memory_upload *)base;
    struct store_memory *memory = (struct store_memory *)base->store;
    struct slice key = slice_make(upload->key, upload->key_size);
    struct block *body = NULL;
    pthread_mutex_lock(&memory->lock);
    bool removed = upload->removed;
    pthread_mutex_unlock(&memory->lock);
    int code = removed ? error_set(GLIS_EIO, "the put of %s in parts was removed before its end",
                                   upload->key)
                       : body_copy(memory, buffer_slice(&upload->body), &body);
    if (code == 0) code = object_set(memory, key, body, 0);
    upload_free(memory, upload);
    return code;
}

static void memory_upload_abort(struct store_upload *base)
{
    upload_free((struct store_memory *)base->store, (struct memory_upload *)base);
}

static int memory_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                                  struct store_unfinished **out, size_t *n_out)
{
    struct store_memory *memory = (struct store_memory *)store;
    pthread_mutex_lock(&memory->lock);
    size_t n = 0;
    for (struct memory_upload *u = memory->uploads; u; u = u->next)
        n++;
    *out = ARENA_ARRAY(arena, struct store_unfinished, n);
    for (struct memory_upload *u = memory->uploads; u; u = u->next) {
        struct slice key = slice_make(u->key, u->key_size);
        if (u->removed || !slice_starts_with(key, prefix)) continue;
        (*out)[(*n_out)++] = (struct store_unfinished){
            arena_copy(arena, key), arena_copy(arena, slice_from_text(u->id)), u->begun_ms};
    }
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int memory_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    struct store_memory *memory = (struct store_memory *)store;
    pthread_mutex_lock(&memory->lock);
    for (struct memory_upload *u = memory->uploads; u; u = u->next)
        if (slice_equal_text(upload->id, u->id)) u->removed = true;
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static int memory_time_ms(struct store *store, int64_t *out)
{
    struct clock *clock = ((struct store_memory *)store)->runtime->clock;
    *out = clock->wall_ms(clock);
    return 0;
}

static void memory_close(struct store *store)
{
    struct store_memory *memory = (struct store_memory *)store;
    while (memory->uploads)
        upload_free(memory, memory->uploads);
    for (size_t i = 0; i < memory->n_objects; i++) {
        free(memory->objects[i].key);
        block_release(memory->objects[i].body);
    }
    free(memory->objects);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static const struct store_ops memory_ops = {
    .put = memory_put,
    .read = memory_read,
    .head = memory_head,
    .list = memory_list,
    .remove = memory_remove,
    .sync = memory_sync,
    .upload_open = memory_upload_open,
    .upload_write = memory_upload_write,
    .upload_finish = memory_upload_finish,
    .upload_abort = memory_upload_abort,
    .unfinished_list = memory_unfinished_list,
    .unfinished_remove = memory_unfinished_remove,
    .time_ms = memory_time_ms,
    .close = memory_close,
};

/* Where the key stands or would stand. */
static size_t position(const struct store_memory *memory, struct slice key, bool *found)
{
    size_t low = 0, high = memory->n_objects;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(object_key(&memory->objects[middle]), key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Takes the reference to `body`, also when it fails. */
static int object_set(struct store_memory *memory, struct slice key, struct block *body,
                      unsigned flags)
{
    struct clock *clock = memory->runtime->clock;
    int64_t now_ms = clock->wall_ms(clock);
    struct block *old = NULL;
    pthread_mutex_lock(&memory->lock);
    bool found;
    size_t at = position(memory, key, &found);
    bool refused = found && (flags & STORE_IF_ABSENT);
    if (!found) {
        if (memory->n_objects == memory->capacity) {
            memory->capacity = memory->capacity ? memory->capacity * 2 : 64;
            memory->objects =
                memory_realloc(memory->objects, memory->capacity * sizeof(struct object));
        }
        memmove(&memory->objects[at + 1], &memory->objects[at],
                (memory->n_objects - at) * sizeof(struct object));
        memory->n_objects++;
        memory->objects[at] = (struct object){memory_copy_text(key), key.size, body, now_ms};
    } else if (!refused) {
        old = memory->objects[at].body;
        memory->objects[at].body = body;
        memory->objects[at].modified_ms = now_ms;
    }
    pthread_mutex_unlock(&memory->lock);
    block_release(refused ? body : old);
    return refused ? error_set(GLIS_EEXISTS, "the object exists already") : 0;
}

static int body_copy(struct store_memory *memory, struct slice body, struct block **out)
{
    TRY(block_new(out, memory->runtime->budget, body.size));
    if (body.size) memcpy((*out)->data, body.data, body.size);
    return 0;
}

static void upload_free(struct store_memory *memory, struct memory_upload *upload)
{
    pthread_mutex_lock(&memory->lock);
    for (struct memory_upload **link = &memory->uploads; *link; link = &(*link)->next) {
        if (*link == upload) {
            *link = upload->next;
            break;
        }
    }
    pthread_mutex_unlock(&memory->lock);
    buffer_free(&upload->body);
    free(upload->key);
    free(upload);
}
