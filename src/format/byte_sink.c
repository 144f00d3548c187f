/*
 * byte_sink.c: where the writers' bytes go: a descriptor, a buffer, an object. A pipe whose reader
 * went away is GLIS_ECLOSED, so that a command can end quietly; the process is expected to ignore
 * SIGPIPE.
 */
#include "format/format_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- a descriptor ---- */

struct fd_sink {
    struct byte_sink base;
    char *name;
    int fd;
};

static int fd_sink_write(struct byte_sink *base, struct slice bytes)
{
    struct fd_sink *sink = (struct fd_sink *)base;
    while (bytes.size) {
        ssize_t n = write(sink->fd, bytes.data, bytes.size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(errno, "writing %s", sink->name);
        bytes = slice_part(bytes, (size_t)n, bytes.size);
    }
    return 0;
}

static int fd_sink_finish(struct byte_sink *base)
{
    (void)base;
    return 0;
}

static void fd_sink_close(struct byte_sink *base)
{
    struct fd_sink *sink = (struct fd_sink *)base;
    free(sink->name);
    free(sink);
}

int byte_sink_open_fd(int fd, const char *name, struct byte_sink **out)
{
    struct fd_sink *sink = memory_alloc_zero(sizeof *sink);
    sink->base = (struct byte_sink){fd_sink_write, fd_sink_finish, fd_sink_close};
    sink->name = memory_copy_text(slice_from_text(name));
    sink->fd = fd;
    *out = &sink->base;
    return 0;
}

/* ---- a buffer ---- */

struct buffer_sink {
    struct byte_sink base;
    struct buffer *buffer;
};

static int buffer_sink_write(struct byte_sink *base, struct slice bytes)
{
    return buffer_append_slice(((struct buffer_sink *)base)->buffer, bytes);
}

static void buffer_sink_close(struct byte_sink *base)
{
    free(base);
}

struct byte_sink *byte_sink_to_buffer(struct buffer *buffer)
{
    struct buffer_sink *sink = memory_alloc_zero(sizeof *sink);
    sink->base = (struct byte_sink){buffer_sink_write, fd_sink_finish, buffer_sink_close};
    sink->buffer = buffer;
    return &sink->base;
}

/* ---- an object ---- */

struct object_sink {
    struct byte_sink base;
    struct store_upload *upload; /* NULL once it has ended */
};

static int object_sink_write(struct byte_sink *base, struct slice bytes)
{
    struct object_sink *sink = (struct object_sink *)base;
    if (!sink->upload) return error_set(GLIS_EIO, "the upload has ended");
    return store_upload_write(sink->upload, bytes);
}

static int object_sink_finish(struct byte_sink *base)
{
    struct object_sink *sink = (struct object_sink *)base;
    struct store_upload *upload = sink->upload;
    sink->upload = NULL;
    if (!upload) return error_set(GLIS_EIO, "the upload has ended");
    return store_upload_finish(upload);
}

static void object_sink_close(struct byte_sink *base)
{
    struct object_sink *sink = (struct object_sink *)base;
    store_upload_abort(sink->upload);
    free(sink);
}

int byte_sink_open_object(struct store *store, struct slice key, struct byte_sink **out)
{
    struct object_sink *sink = memory_alloc_zero(sizeof *sink);
    sink->base = (struct byte_sink){object_sink_write, object_sink_finish, object_sink_close};
    int code = store_upload_open(store, key, 0, &sink->upload);
    if (code < 0) {
        free(sink);
        return code;
    }
    *out = &sink->base;
    return 0;
}
