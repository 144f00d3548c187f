/*
 * byte_source.c: where the readers' bytes come from (an object, a descriptor, memory), and the
 * window through which they look at them.
 *
 * A window holds one contiguous run of bytes: the readers parse in place and never meet a row in
 * two pieces. It begins at 1 MiB and doubles when a row does not fit, up to the limit for one row.
 * What is left of a row at the end of the window is moved to the front before the next read, so
 * each byte is copied at most once more for each doubling.
 */
#include "format/format_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { OBJECT_READ_BYTES = 4 << 20, WINDOW_BYTES = 1 << 20, CANCEL_LOOK_MS = 100 };

/* ---- an object ---- */

struct object_source {
    struct byte_source base;
    struct store *store;
    struct slice key;
    struct arena arena;
    uint64_t position, size;
    struct store_read read;
    uint64_t taken; /* of the read at hand */
};

static int object_read(struct byte_source *base, void *out, size_t size, size_t *got)
{
    struct object_source *source = (struct object_source *)base;
    *got = 0;
    if (source->position >= source->size) return 0;
    if (!source->read.block || source->taken == source->read.size) {
        store_read_release(&source->read, 1);
        source->read = (struct store_read){
            .key = source->key, .offset = source->position, .length = OBJECT_READ_BYTES};
        TRY_CONTEXT(store_read(source->store, &source->read, 1), "%s", base->name);
        if (source->read.outcome == GLIS_ENOTFOUND || source->read.size == 0)
            return error_set(GLIS_EGONE, "%s: the file went away while it was read", base->name);
        if (source->read.object_size != source->size)
            return error_set(GLIS_EIO, "%s: the file changed while it was read", base->name);
        source->taken = 0;
    }
    uint64_t n = source->read.size - source->taken;
    if (n > size) n = size;
    memcpy(out, source->read.data + source->taken, n);
    source->taken += n;
    source->position += n;
    *got = n;
    return 0;
}

static void object_close(struct byte_source *base)
{
    struct object_source *source = (struct object_source *)base;
    store_read_release(&source->read, 1);
    arena_free(&source->arena);
    free(source);
}

int byte_source_open_object(struct store *store, struct slice key, const char *name,
                            struct byte_source **out)
{
    struct store_object object;
    TRY_CONTEXT(store_head(store, key, &object), "%s", name);
    struct object_source *source = memory_alloc_zero(sizeof *source);
    arena_init(&source->arena, NULL);
    source->base.name = arena_copy_text(&source->arena, slice_from_text(name));
    source->base.read = object_read;
    source->base.close = object_close;
    source->store = store;
    source->key = arena_copy(&source->arena, key);
    source->size = object.size;
    *out = &source->base;
    return 0;
}

/* ---- a descriptor ---- */

struct fd_source {
    struct byte_source base;
    char *name;
    int fd;
    bool owns;
    const struct runtime *runtime;
};

/* Waits for bytes, an end or a failure, or for the end of the job: a pipe may stay silent. */
static int fd_wait(const struct fd_source *source)
{
    struct pollfd wanted = {.fd = source->fd, .events = POLLIN};
    for (;;) {
        TRY(runtime_check_cancel(source->runtime));
        int n = poll(&wanted, 1, CANCEL_LOOK_MS);
        if (n > 0) return 0;
        if (n < 0 && errno != EINTR) return error_set_errno(errno, "waiting for %s", source->name);
    }
}

static int fd_read(struct byte_source *base, void *out, size_t size, size_t *got)
{
    struct fd_source *source = (struct fd_source *)base;
    for (;;) {
        TRY(fd_wait(source));
        ssize_t n = read(source->fd, out, size);
        if (n >= 0) {
            *got = (size_t)n;
            return 0;
        }
        if (errno != EINTR && errno != EAGAIN)
            return error_set_errno(errno, "reading %s", base->name);
    }
}

static void fd_close(struct byte_source *base)
{
    struct fd_source *source = (struct fd_source *)base;
    if (source->owns) close(source->fd);
    free(source->name);
    free(source);
}

int byte_source_open_fd(const struct runtime *runtime, int fd, const char *name, bool owns,
                        struct byte_source **out)
{
    struct fd_source *source = memory_alloc_zero(sizeof *source);
    source->name = memory_copy_text(slice_from_text(name));
    source->base.name = source->name;
    source->base.read = fd_read;
    source->base.close = fd_close;
    source->fd = fd;
    source->owns = owns;
    source->runtime = runtime;
    *out = &source->base;
    return 0;
}

/* ---- memory ---- */

struct memory_source {
    struct byte_source base;
    struct slice left;
};

static int memory_read(struct byte_source *base, void *out, size_t size, size_t *got)
{
    struct memory_source *source = (struct memory_source *)base;
    size_t n = source->left.size < size ? source->left.size : size;
    if (n) memcpy(out, source->left.data, n);
    source->left = slice_part(source->left, n, source->left.size);
    *got = n;
    return 0;
}

static void memory_close(struct byte_source *base)
{
    free(base);
}

struct byte_source *byte_source_of(struct slice bytes, const char *name)
{
    struct memory_source *source = memory_alloc_zero(sizeof *source);
    source->base = (struct byte_source){name, memory_read, memory_close};
    source->left = bytes;
    return &source->base;
}

/* ---- the window ---- */

int text_window_open(struct text_window *window, struct byte_source *source, uint64_t max_bytes,
                     struct budget *budget)
{
    *window = (struct text_window){.source = source, .max_bytes = max_bytes, .budget = budget};
    window->capacity = max_bytes < WINDOW_BYTES ? max_bytes : WINDOW_BYTES;
    int code = block_new(&window->block, budget, window->capacity);
    if (code < 0) {
        text_window_close(window);
        return code;
    }
    window->data = (char *)window->block->data;
    return 0;
}

void text_window_close(struct text_window *window)
{
    byte_source_close(window->source);
    block_release(window->block);
    *window = (struct text_window){0};
}

int text_window_fill(struct text_window *window)
{
    if (window->at_end) return 0;
    if (window->begin) {
        memmove(window->data, window->data + window->begin, window->end - window->begin);
        window->end -= window->begin;
        window->begin = 0;
    }
    if (window->end == window->capacity) {
        if (window->capacity >= window->max_bytes)
            return error_set(GLIS_ELIMIT, "a row of more than %llu bytes",
                             (unsigned long long)window->max_bytes);
        uint64_t capacity = (uint64_t)window->capacity * 2;
        if (capacity > window->max_bytes) capacity = window->max_bytes;
        TRY(block_resize(&window->block, capacity));
        window->data = (char *)window->block->data;
        window->capacity = capacity;
    }
    /* What is at hand was looked at in vain: at least as much again comes before the next look, so
     * that a long row costs a bounded number of looks at each byte, however short the reads are. */
    size_t wanted = window->end * 2 + 1;
    if (wanted > window->capacity) wanted = window->capacity;
    while (window->end < wanted && !window->at_end) {
        size_t got;
        TRY(window->source->read(window->source, window->data + window->end,
                                 window->capacity - window->end, &got));
        window->end += got;
        window->bytes_read += got;
        window->at_end = got == 0;
    }
    return 0;
}

int text_window_skip_mark(struct text_window *window)
{
    while (window->end - window->begin < 3 && !window->at_end)
        TRY(text_window_fill(window));
    if (window->end - window->begin >= 3 &&
        memcmp(window->data + window->begin, "\xEF\xBB\xBF", 3) == 0)
        window->begin += 3;
    return 0;
}
