/*
 * misbehaving.c: a plug-in that does what its config says, for the tests of what Glis does then:
 *
 *   pass      hands the stream on
 *   fail      fails at its opening, with a text
 *   nothing   says that all is well and gives no stream
 *   late      fails at the first batch
 *   end       gives nothing and says that this is the end, whatever its input said
 *   down      gives values of a key that descend
 *   name      calls the first column by another name
 */
#include "glis_iterator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state {
    struct ArrowArrayStream in;
    char config[32];
    int64_t *values; /* of the second column, when they are made up */
};

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct state *state = stream->private_data;
    int failed = state->in.get_schema(&state->in, out);
    if (!failed && strcmp(state->config, "name") == 0) {
        char *name = (char *)(void *)(size_t)out->children[0]->name; /* as long as it was */
        name[0] = '?';
    }
    return failed;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct state *state = stream->private_data;
    memset(out, 0, sizeof *out);
    if (strcmp(state->config, "late") == 0) return EIO;
    if (strcmp(state->config, "end") == 0) {
        struct ArrowArray batch;
        if (state->in.get_next(&state->in, &batch) == 0 && batch.release) batch.release(&batch);
        return 0;
    }
    int failed = state->in.get_next(&state->in, out);
    if (failed || !out->release || strcmp(state->config, "down") != 0) return failed;
    /* other values in the second column, which is a key: descending */
    struct ArrowArray *column = out->children[1];
    int64_t n = out->offset + column->offset + out->length;
    state->values = realloc(state->values, 8 * (size_t)(n + 1));
    for (int64_t i = 0; i < n; i++)
        state->values[i] = n - i;
    column->buffers[1] = state->values;
    return 0;
}

static const char *last_error(struct ArrowArrayStream *stream)
{
    struct state *state = stream->private_data;
    if (strcmp(state->config, "late") == 0) return "late as announced";
    return state->in.get_last_error(&state->in);
}

static void release(struct ArrowArrayStream *stream)
{
    struct state *state = stream->private_data;
    state->in.release(&state->in);
    free(state->values);
    free(state);
    stream->release = NULL;
}

int glis_iterator_open(const struct glis_iterator_call *call, struct ArrowArrayStream *in,
                       struct ArrowArrayStream *out, char *error, size_t error_size)
{
    if (strcmp(call->config, "pass") == 0) {
        *out = *in;
        in->release = NULL;
        return 0;
    }
    if (strcmp(call->config, "fail") == 0 || strcmp(call->config, "nothing") == 0) {
        in->release(in);
        snprintf(error, error_size, "as announced, version %u, keys %u and %u", call->version,
                 call->n_row_keys, call->n_sort_keys);
        return call->config[0] == 'f' ? EINVAL : 0;
    }
    struct state *state = calloc(1, sizeof *state);
    state->in = *in;
    snprintf(state->config, sizeof state->config, "%s", call->config);
    *out = (struct ArrowArrayStream){get_schema, get_next, last_error, release, state};
    return 0;
}
