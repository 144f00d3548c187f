/*
 * fixed_age_off.c: an iterator for tables of Glis (glis_iterator.h), a shared object: keeps the
 * rows whose value in a LongType field is not below a fixed one. Its config is "field,least".
 *
 *   cc -shared -fPIC -I<glis>/include -o fixed_age_off.so fixed_age_off.c
 *   glis --root DIR set glis.iterator.folder=/folder/with/fixed_age_off.so
 *   glis --root DIR table set my_table glis.table.iterator=fixed_age_off.so \
 *       glis.table.iterator.config=timestamp,50
 *
 * No row is copied: each run of rows that stay becomes a batch of its own, which is the batch that
 * came with another offset and length. It looks at one row at a time, so in whatever order and
 * grouping rows come, the same ones stay.
 */
#include "glis_iterator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct filter {
    struct ArrowArrayStream in;
    struct ArrowArray batch; /* that came last; released once nobody needs it */
    int *shared_by;          /* how many hold it: this filter and batches given out */
    int64_t next;            /* row of it to go on from */
    int64_t column, least;
    char name[256];
};

/* ---- batches that share what came ---- */

struct part {
    struct ArrowArray whole;
    int *shared_by;
    const void *buffers[1];
};

static void let_go(struct ArrowArray *whole, int *shared_by)
{
    if (__atomic_sub_fetch(shared_by, 1, __ATOMIC_ACQ_REL) > 0) return;
    whole->release(whole);
    free(shared_by);
}

static void release_part(struct ArrowArray *array)
{
    struct part *part = array->private_data;
    let_go(&part->whole, part->shared_by);
    free(part);
    array->release = NULL;
}

static int give_rows(struct filter *filter, int64_t begin, int64_t n, struct ArrowArray *out)
{
    struct part *part = calloc(1, sizeof *part);
    if (!part) return ENOMEM;
    part->whole = filter->batch;
    part->shared_by = filter->shared_by;
    __atomic_add_fetch(part->shared_by, 1, __ATOMIC_ACQ_REL);
    *out = filter->batch; /* children and all */
    out->offset = filter->batch.offset + begin;
    out->length = n;
    out->null_count = 0;
    out->buffers = part->buffers;
    out->release = release_part;
    out->private_data = part;
    return 0;
}

/* ---- the stream ---- */

static int keeps(const struct filter *filter, int64_t row)
{
    const struct ArrowArray *column = filter->batch.children[filter->column];
    int64_t at = filter->batch.offset + column->offset + row;
    const uint8_t *valid = column->null_count ? column->buffers[0] : NULL;
    const int64_t *values = column->buffers[1];
    if (valid && !(valid[at / 8] >> (at % 8) & 1)) return 0;
    return values[at] >= filter->least;
}

static void drop_batch(struct filter *filter)
{
    if (filter->batch.release) let_go(&filter->batch, filter->shared_by);
    filter->batch.release = NULL;
}

static int next_rows(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct filter *filter = stream->private_data;
    for (;;) {
        int64_t n = filter->batch.release ? filter->batch.length : 0, begin = filter->next, end;
        while (begin < n && !keeps(filter, begin))
            begin++;
        for (end = begin; end < n && keeps(filter, end);)
            end++;
        filter->next = end;
        if (end > begin) return give_rows(filter, begin, end - begin, out);
        drop_batch(filter);
        filter->next = 0;
        int failed = filter->in.get_next(&filter->in, &filter->batch);
        if (failed || !filter->batch.release) {
            memset(out, 0, sizeof *out); /* the end */
            return failed;
        }
        filter->shared_by = malloc(sizeof *filter->shared_by);
        if (!filter->shared_by) return ENOMEM;
        *filter->shared_by = 1;
    }
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct filter *filter = stream->private_data;
    return filter->in.get_schema(&filter->in, out);
}

static const char *last_error(struct ArrowArrayStream *stream)
{
    struct filter *filter = stream->private_data;
    return filter->in.get_last_error(&filter->in);
}

static void release_stream(struct ArrowArrayStream *stream)
{
    struct filter *filter = stream->private_data;
    drop_batch(filter);
    filter->in.release(&filter->in);
    free(filter);
    stream->release = NULL;
}

/* ---- the entry point ---- */

static int read_config(struct filter *filter, const char *config, char *error, size_t error_size)
{
    const char *comma = strrchr(config, ',');
    char *end = NULL;
    size_t n = comma ? (size_t)(comma - config) : 0;
    errno = 0;
    filter->least = comma ? strtoll(comma + 1, &end, 10) : 0;
    if (!n || n >= sizeof filter->name || end == comma + 1 || *end || errno) {
        snprintf(error, error_size, "the config is \"field,least\", not \"%s\"", config);
        return EINVAL;
    }
    memcpy(filter->name, config, n);
    return 0;
}

static int find_column(struct filter *filter, char *error, size_t error_size)
{
    struct ArrowSchema schema;
    int failed = filter->in.get_schema(&filter->in, &schema);
    if (failed) return failed;
    filter->column = -1;
    for (int64_t i = 0; i < schema.n_children; i++)
        if (strcmp(schema.children[i]->name, filter->name) == 0 &&
            strcmp(schema.children[i]->format, "l") == 0)
            filter->column = i;
    schema.release(&schema);
    if (filter->column >= 0) return 0;
    snprintf(error, error_size, "there is no field '%s' of LongType", filter->name);
    return EINVAL;
}

int glis_iterator_open(const struct glis_iterator_call *call, struct ArrowArrayStream *in,
                       struct ArrowArrayStream *out, char *error, size_t error_size)
{
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter) {
        in->release(in);
        return ENOMEM;
    }
    filter->in = *in; /* moved */
    int failed = read_config(filter, call->config, error, error_size);
    if (!failed) failed = find_column(filter, error, error_size);
    *out = (struct ArrowArrayStream){get_schema, next_rows, last_error, release_stream, filter};
    if (failed) release_stream(out);
    return failed;
}
