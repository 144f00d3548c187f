/*
 * bulk_import_bad_rows.c: rows of a bulk import that were refused and set aside.
 *
 * A sort step puts those of its unit into an object of its own in staging, which its outcome names.
 * So however often a unit is read, by whatever processes, the rows of the one reading that counts
 * are told, once. Whoever commits writes them, before the commit, after which they are nowhere
 * else, into the file that was named when the job was begun (or with the call): whole, in the order
 * of the input, under a temporary name first. Two that do it at the same time write the same.
 */
#include "lsm/bulk_import_int.h"

#include "base/ulid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

/* ---- from a sort step ---- */

/* By whatever thread reads the input, so the job's arena is left alone. */
static int flush(struct bulk_bad_rows *rows)
{
    if (!rows->upload) TRY(store_upload_open(rows->job->store, rows->key, 0, &rows->upload));
    TRY(store_upload_write(rows->upload, buffer_slice(&rows->text)));
    buffer_clear(&rows->text);
    return 0;
}

static int take_line(void *state, struct slice line)
{
    struct bulk_bad_rows *rows = state;
    TRY(buffer_append_slice(&rows->text, line));
    return rows->text.size < PIECE_BYTES ? 0 : flush(rows);
}

void bulk_bad_rows_begin(struct bulk_bad_rows *out, struct bulk_import *job, struct bad_rows *bad)
{
    *out = (struct bulk_bad_rows){.job = job, .text = BUFFER_INIT(3 * PIECE_BYTES)};
    *bad = (struct bad_rows){.fd = -1};
    if (!job->plan.bad_rows_to.size) return;
    struct ulid id = ulid_new(job->runtime);
    out->name =
        slice_from_text(arena_printf(&job->arena, "bad-%.*s", SLICE_PRINT(ulid_slice(&id))));
    out->key = bulk_step_key(job, out->name);
    bad->sink = take_line;
    bad->sink_state = out;
}

int bulk_bad_rows_end(struct bulk_bad_rows *rows, int code, uint64_t n, struct bulk_run *run)
{
    if (code == 0 && rows->text.size) code = flush(rows);
    if (code < 0) {
        store_upload_abort(rows->upload);
    } else if (rows->upload) {
        code = store_upload_finish(rows->upload);
        run->bad_rows = n;
        run->bad_name = rows->name;
    }
    buffer_free(&rows->text);
    return code;
}

/* ---- the file ---- */

int bulk_bad_rows_path(struct bulk_import *job, const char *path, struct slice *out)
{
    struct stat status;
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    struct slice folder = slash ? slice_make(path, (size_t)(slash - path) + 1) : SLICE("./");
    char *whole = realpath(arena_copy_text(&job->arena, folder), NULL);
    if (!whole) return error_set_errno(errno, "cannot write bad rows to '%s'", path);
    *out = slice_from_text(
        arena_printf(&job->arena, "%s%s%s", whole, strcmp(whole, "/") == 0 ? "" : "/", base));
    bool exists = stat(path, &status) == 0;
    bool is_plain = !exists || S_ISREG(status.st_mode);
    int code = 0;
    if (exists && S_ISDIR(status.st_mode))
        code = error_set_errno(EISDIR, "cannot write bad rows to '%s'", path);
    else if (access(is_plain ? whole : path, W_OK) < 0) /* a plain one is made beside it first */
        code = error_set_errno(errno, "cannot write bad rows to '%s'", path);
    free(whole);
    return code;
}

static int write_all(int fd, struct slice bytes)
{
    for (size_t done = 0; done < bytes.size;) {
        ssize_t n = write(fd, bytes.data + done, bytes.size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = EIO;
            return -1;
        }
        done += (size_t)n;
    }
    return 0;
}

static int copy_run(struct bulk_import *job, const struct bulk_run *run, int fd, const char *path)
{
    struct slice key = bulk_step_key(job, run->bad_name);
    struct store_object object;
    TRY_CONTEXT(store_head(job->store, key, &object), "the bad rows of a step");
    for (uint64_t at = 0; at < object.size; at += PIECE_BYTES) {
        defer_buffer struct buffer piece = BUFFER_INIT(PIECE_BYTES);
        uint64_t n = object.size - at < PIECE_BYTES ? object.size - at : PIECE_BYTES;
        TRY(runtime_check_cancel(job->runtime));
        TRY_CONTEXT(store_get(job->store, key, at, n, &piece), "the bad rows of a step");
        if (write_all(fd, buffer_slice(&piece)) < 0)
            return error_set_errno(errno, "writing bad rows to '%s'", path);
    }
    return 0;
}

static int write_file(struct bulk_import *job, int fd, const char *path)
{
    for (size_t i = 0; i < job->plan.n_units; i++)
        if (job->runs[i].bad_rows) TRY(copy_run(job, &job->runs[i], fd, path));
    struct bad_rows bad = {.fd = fd, .path = path};
    return bad_rows_sync(&bad);
}

int bulk_bad_rows_deliver(struct bulk_import *job)
{
    struct slice to = job->plan.bad_rows_to;
    const char *temporary = NULL;
    struct stat status;
    job->result.bad_rows = 0;
    for (size_t i = 0; i < job->plan.n_units; i++)
        job->result.bad_rows += job->runs[i].bad_rows;
    if (!job->result.bad_rows) return 0;
    if (job->options.bad_rows_to) TRY(bulk_bad_rows_path(job, job->options.bad_rows_to, &to));
    const char *path = arena_copy_text(&job->arena, to);
    bool is_plain = stat(path, &status) < 0 || S_ISREG(status.st_mode);
    if (is_plain) {
        struct ulid id = ulid_new(job->runtime);
        temporary = arena_printf(&job->arena, "%s.%.*s.part", path, SLICE_PRINT(ulid_slice(&id)));
    }
    int fd = open(is_plain ? temporary : path,
                  O_WRONLY | O_CLOEXEC | (is_plain ? O_CREAT | O_EXCL : 0), 0666);
    if (fd < 0) return error_set_errno(errno, "cannot write bad rows to '%s'", path);
    int code = write_file(job, fd, path);
    if (close(fd) < 0 && code == 0) code = error_set_errno(errno, "writing bad rows to '%s'", path);
    if (is_plain && code == 0 && rename(temporary, path) < 0)
        code = error_set_errno(errno, "cannot write bad rows to '%s'", path);
    if (is_plain && code < 0) (void)unlink(temporary);
    return code;
}

void bulk_remove_run(struct bulk_import *job, const struct bulk_run *run)
{
    struct error_detail detail;
    error_save(&detail);
    bulk_remove_file(job, run->name);
    struct slice key = run->bad_name.size ? bulk_step_key(job, run->bad_name) : SLICE_EMPTY;
    if (key.size && store_remove(job->store, &key, 1) < 0) error_clear(); /* goes with the job */
    (void)error_load(&detail);
}
