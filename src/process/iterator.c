/*
 * iterator.c: plug-ins: where they may lie, which kind they are, and what they may give.
 *
 * A name is that of one file in the one folder that the instance names; links are followed, and
 * must end there. Neither the folder nor the file may be one that everybody can write to. A name
 * that ends in ".so" is a shared object (iterator_library.c, include/glis_iterator.h), any other a
 * program (iterator_process.c).
 *
 * Whatever a plug-in gives is held against what was promised: the same columns, every value of its
 * type, no null where none may be, and rows that ascend by all keys, within a batch and from one to
 * the next. A failure names the property or option that brought the plug-in in, and its name. A
 * failure of the rows' own source, which a plug-in can only pass on as "something went wrong", is
 * kept aside and comes out as what it was.
 */
#include "process/process_int.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- where it lies ---- */

static int check_rights(const char *path, bool is_folder, const char *what)
{
    struct stat status;
    if (stat(path, &status) < 0) return error_set_errno(errno, "%s", path);
    if (is_folder ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode))
        return error_set(GLIS_EINVALID, "'%s' is no %s", path, is_folder ? "folder" : "file");
    if (!(status.st_mode & S_IWOTH)) return 0;
    return error_set(GLIS_EDENIED, "everybody may write to the %s '%s'; take that right away", what,
                     path);
}

/* The path of the plug-in, in the arena. */
static int find_iterator(const struct iterator_call *call, struct arena *arena, char **out)
{
    if (!call->folder || !call->folder[0])
        return error_set(GLIS_EINVALID,
                         "%s: '%.*s' cannot be run: glis.iterator.folder names no folder with "
                         "iterators",
                         call->what, SLICE_PRINT(call->name));
    TRY(iterator_name_check(call->what, call->name));
    char folder[PATH_MAX], path[PATH_MAX];
    if (!realpath(call->folder, folder))
        return error_set_errno(errno, "glis.iterator.folder '%s'", call->folder);
    const char *wanted = arena_printf(arena, "%s/%.*s", folder, SLICE_PRINT(call->name));
    if (!realpath(wanted, path))
        return error_set(errno == ENOENT ? GLIS_ENOTFOUND : GLIS_EINVALID,
                         "%s: there is no iterator '%.*s' in '%s'", call->what,
                         SLICE_PRINT(call->name), folder);
    struct slice found = slice_from_text(path);
    size_t n = strlen(folder);
    if (!slice_starts_with(found, slice_make(folder, n)) || path[n] != '/' ||
        strchr(path + n + 1, '/'))
        return error_set(GLIS_EDENIED, "%s: '%.*s' is a link that leaves glis.iterator.folder",
                         call->what, SLICE_PRINT(call->name));
    TRY_CONTEXT(check_rights(folder, true, "folder"), "%s", call->what);
    TRY_CONTEXT(check_rights(path, false, "iterator"), "%s", call->what);
    *out = arena_copy_text(arena, found);
    return 0;
}

/* ---- what goes in ---- */

/* Keeps the failure of the rows' source. */
struct iterator_input {
    struct batch_stream stream;
    struct batch_stream *behind;
    struct iterator_failure *failure;
};

static int input_next(struct batch_stream *stream, struct batch **out)
{
    struct iterator_input *input = (struct iterator_input *)stream;
    int code = batch_stream_next(input->behind, out);
    if (code < 0) {
        error_save(&input->failure->detail);
        input->failure->failed = true;
    }
    return code;
}

static void input_close(struct batch_stream *stream)
{
    struct iterator_input *input = (struct iterator_input *)stream;
    batch_stream_close(input->behind);
    free(input);
}

/* ---- what comes out ---- */

struct iterator_stream {
    struct batch_stream stream;
    struct batch_stream *behind;
    struct iterator_failure *failure; /* of the input; owned */
    struct arena arena;
    char *name; /* "glis.table.iterator 'x.so'" */
    struct budget *budget;
    uint32_t n_keys;
    struct batch *last; /* its last row is the last that was given */
};

static int check_columns(const struct schema *is, const struct schema *wanted)
{
    if (is->n_fields != wanted->n_fields)
        return error_set(GLIS_EDATA, "gives %u columns instead of %u", is->n_fields,
                         wanted->n_fields);
    for (uint32_t i = 0; i < is->n_fields; i++)
        if (!slice_equal(is->fields[i].name, wanted->fields[i].name))
            return error_set(GLIS_EDATA, "gives a column '%.*s' where '%.*s' is expected",
                             SLICE_PRINT(slice_part(is->fields[i].name, 0, 80)),
                             SLICE_PRINT(wanted->fields[i].name));
    return 0;
}

static int check_order(const struct iterator_stream *iterator, const struct batch *batch)
{
    const struct batch *last = iterator->last;
    if (last && batch_compare_rows(last, last->n_rows - 1, batch, 0, 0, iterator->n_keys) > 0)
        return error_set(GLIS_EDATA, "gives rows out of order");
    for (int64_t i = 1; i < batch->n_rows; i++)
        if (batch_compare_rows(batch, i - 1, batch, i, 0, iterator->n_keys) > 0)
            return error_set(GLIS_EDATA, "gives rows out of order");
    return 0;
}

/* Brings a batch of the plug-in's into the table's schema. Takes it. */
static int accept_batch(struct iterator_stream *iterator, struct batch *batch, struct batch **out)
{
    struct conform_options options = {0};
    int code = check_columns(batch->schema, iterator->stream.schema);
    if (code == 0)
        code = batch_conform(batch, iterator->stream.schema, &options, iterator->budget, out);
    batch_release(batch);
    TRY(code);
    code = check_order(iterator, *out);
    if (code < 0) {
        batch_release(*out);
        *out = NULL;
        return code;
    }
    batch_release(iterator->last);
    iterator->last = batch_acquire(*out);
    return 0;
}

static int iterator_failed(const struct iterator_stream *iterator, int code)
{
    if (iterator->failure->failed) return error_load(&iterator->failure->detail);
    error_context("%s", iterator->name);
    return code;
}

static int iterator_next(struct batch_stream *stream, struct batch **out)
{
    struct iterator_stream *iterator = (struct iterator_stream *)stream;
    *out = NULL;
    for (;;) {
        struct batch *batch;
        int code = batch_stream_next(iterator->behind, &batch);
        if (code < 0) return iterator_failed(iterator, code);
        if (iterator->failure->failed) /* the plug-in took an error for the end */
            return error_load(&iterator->failure->detail);
        if (!batch) return 0;
        if (batch->n_rows == 0) {
            batch_release(batch);
            continue;
        }
        code = accept_batch(iterator, batch, out);
        return code < 0 ? iterator_failed(iterator, code) : 0;
    }
}

static void iterator_close(struct batch_stream *stream)
{
    struct iterator_stream *iterator = (struct iterator_stream *)stream;
    batch_stream_close(iterator->behind);
    batch_release(iterator->last);
    schema_release(iterator->stream.schema);
    free(iterator->failure);
    arena_free(&iterator->arena);
    free(iterator);
}

int iterator_open(struct batch_stream **out, struct batch_stream *in,
                  const struct iterator_call *call)
{
    struct iterator_stream *iterator = memory_alloc_zero(sizeof *iterator);
    struct iterator_input *input = memory_alloc_zero(sizeof *input);
    arena_init(&iterator->arena, NULL);
    iterator->stream =
        (struct batch_stream){schema_acquire(in->schema), iterator_next, iterator_close};
    iterator->failure = memory_alloc_zero(sizeof *iterator->failure);
    iterator->budget = call->budget;
    iterator->n_keys = schema_key_count(in->schema);
    iterator->name =
        arena_printf(&iterator->arena, "%s '%.*s'", call->what, SLICE_PRINT(call->name));
    *input = (struct iterator_input){{in->schema, input_next, input_close}, in, iterator->failure};
    char *path;
    struct iterator_call mine = *call;
    mine.config = arena_copy(&iterator->arena, call->config);
    mine.config.data = arena_copy_text(&iterator->arena, call->config);
    int code = find_iterator(&mine, &iterator->arena, &path);
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        input_close(&input->stream);
        iterator_close(&iterator->stream);
        return error_load(&detail);
    }
    code = slice_ends_with(call->name, SLICE(".so"))
               ? iterator_library_open(&iterator->behind, &input->stream, path, &mine)
               : iterator_process_open(&iterator->behind, &input->stream, path, &mine);
    if (code < 0) {
        code = iterator_failed(iterator, code);
        struct error_detail detail;
        error_save(&detail);
        iterator_close(&iterator->stream);
        return error_load(&detail);
    }
    *out = &iterator->stream;
    return 0;
}
