/*
 * iterator_library.c: plug-ins that are shared objects. One function is looked up and given an
 * Arrow C stream over the rows; what it gives back is imported, which checks every size that the
 * interface tells and every value. The object stays loaded: its batches may live longer than its
 * stream, and what frees them is in it.
 */
#include "glis_iterator.h"
#include "process/process_int.h"

#include <dlfcn.h>
#include <stdlib.h>

enum { ERROR_TEXT_MAX = 512 };

struct library_stream {
    struct batch_stream stream;
    struct batch_stream *behind; /* over what the plug-in gave */
    void *library;
    struct glis_iterator_call call;
};

static int library_next(struct batch_stream *stream, struct batch **out)
{
    return batch_stream_next(((struct library_stream *)stream)->behind, out);
}

static void library_close(struct batch_stream *stream)
{
    struct library_stream *library = (struct library_stream *)stream;
    batch_stream_close(library->behind);
    if (library->library) (void)dlclose(library->library);
    free(library);
}

typedef int open_function(const struct glis_iterator_call *call, struct ArrowArrayStream *in,
                          struct ArrowArrayStream *out, char *error, size_t error_size);

static int load(struct library_stream *library, const char *path, open_function **out)
{
    library->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const char *why = library->library ? NULL : dlerror();
    if (!library->library)
        return error_set(GLIS_EINVALID, "cannot be loaded: %s", why ? why : "no reason given");
    void *symbol = dlsym(library->library, "glis_iterator_open");
    if (!symbol)
        return error_set(GLIS_EINVALID, "has no function glis_iterator_open (glis_iterator.h)");
    memcpy(out, &symbol, sizeof symbol);
    return 0;
}

/* Takes `in`, also on failure. */
static int call_open(struct library_stream *library, open_function *open, struct batch_stream *in,
                     struct budget *budget)
{
    struct ArrowArrayStream from = {0}, to = {0};
    char text[ERROR_TEXT_MAX] = "";
    TRY(arrow_export_stream(in, &from));
    int failed = open(&library->call, &from, &to, text, sizeof text);
    text[sizeof text - 1] = 0;
    if (failed) {
        if (to.release) to.release(&to);
        return error_set(GLIS_EINVALID, "%s (error %d)", text[0] ? text : "could not begin",
                         failed);
    }
    if (!to.release) return error_set(GLIS_EDATA, "gave no stream");
    return arrow_import_stream(&to, budget, &library->behind);
}

int iterator_library_open(struct batch_stream **out, struct batch_stream *in, const char *path,
                          const struct iterator_call *call)
{
    struct library_stream *library = memory_alloc_zero(sizeof *library);
    open_function *open = NULL;
    library->stream = (struct batch_stream){in->schema, library_next, library_close};
    library->call = (struct glis_iterator_call){
        .version = GLIS_ITERATOR_VERSION,
        .n_row_keys = in->schema->n_row_keys,
        .n_sort_keys = in->schema->n_sort_keys,
        .config = call->config.data,
    };
    int code = load(library, path, &open);
    if (code == 0)
        code = call_open(library, open, in, call->budget);
    else
        batch_stream_close(in);
    if (code < 0) {
        library_close(&library->stream);
        return code;
    }
    library->stream.schema = library->behind->schema;
    *out = &library->stream;
    return 0;
}
