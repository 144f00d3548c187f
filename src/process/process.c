/*
 * process.c: the stages in their order.
 *
 * Each stage is a stream over the one before, so nothing is paid for what a table does not use. A
 * stage gives whole batches and never an empty one; where it has nothing to change, it gives the
 * batch that it got. The outermost stream counts rows.
 */
#include "process/process_int.h"

#include <stdlib.h>

/* ---- what is to be done ---- */

bool process_is_needed(const struct processing *processing, const struct process_options *options)
{
    return processing->n_filters || options->n_cutoffs || processing->aggregations ||
           (options->reading && processing->visibility_field >= 0) || processing->iterator.size ||
           options->query_iterator.size;
}

void process_fields(const struct schema *schema, const struct processing *processing,
                    const struct process_options *options, bool *wanted)
{
    bool all = processing->iterator.size || options->query_iterator.size;
    for (uint32_t i = 0; i < schema->n_fields && all; i++)
        wanted[i] = true;
    for (uint32_t i = 0; i < processing->n_filters; i++)
        wanted[processing->filters[i].field] = true;
    for (uint32_t i = 0; i < options->n_cutoffs; i++)
        wanted[options->cutoffs[i].field] = true;
    if (options->reading && processing->visibility_field >= 0)
        wanted[processing->visibility_field] = true;
}

int process_column_of(const struct process_options *options, uint32_t field)
{
    if (!options->fields) return (int)field;
    for (uint32_t i = 0; i < options->n_fields; i++)
        if (options->fields[i] == field) return (int)i;
    return -1;
}

/* ---- selections ---- */

int process_select(struct batch *batch, const uint8_t *keep, struct budget *budget,
                   struct batch **out)
{
    int64_t n = batch->n_rows, first = 0, end = n, kept = 0;
    while (first < n && !keep[first])
        first++;
    while (end > first && !keep[end - 1])
        end--;
    for (int64_t i = first; i < end; i++)
        kept += keep[i] != 0;
    *out = NULL;
    int code = 0;
    if (kept == n) {
        *out = batch;
        return 0;
    }
    if (kept && kept == end - first) {
        code = batch_slice(batch, first, kept, out);
    } else if (kept) {
        defer_free uint32_t *rows = memory_alloc((size_t)kept * sizeof *rows);
        int64_t at = 0;
        for (int64_t i = first; i < end; i++)
            if (keep[i]) rows[at++] = (uint32_t)i;
        code = batch_take(batch, rows, kept, budget, out);
    }
    batch_release(batch);
    return code;
}

/* ---- the whole ---- */

struct process_stream {
    struct batch_stream stream;
    struct batch_stream *behind;
    struct process_counts *counts;
    struct budget *budget;
};

static int process_next(struct batch_stream *stream, struct batch **out)
{
    struct process_stream *process = (struct process_stream *)stream;
    TRY(batch_stream_next(process->behind, out));
    if (*out && process->counts) process->counts->rows_out += (uint64_t)(*out)->n_rows;
    return 0;
}

/* The same rows without dictionaries. Takes the batch. */
static int without_dictionaries(struct batch *batch, struct budget *budget, struct batch **out)
{
    uint32_t n = batch->schema->n_fields, made = 0;
    defer_free struct column *columns = memory_alloc_zero((n + 1) * sizeof *columns);
    int code = 0;
    for (; made < n && code == 0; made++) {
        code = column_share(&columns[made], &batch->columns[made]);
        if (code < 0) break;
        code = column_decode_dictionary(&columns[made], budget);
    }
    if (code == 0)
        code = batch_new(out, batch->schema, columns, batch->n_rows);
    else
        for (uint32_t i = 0; i < made; i++)
            column_free(&columns[i]);
    batch_release(batch);
    return code;
}

/* The innermost one: counts what comes, and sees to it that stages see plain columns only. */
static int input_next(struct batch_stream *stream, struct batch **out)
{
    struct process_stream *input = (struct process_stream *)stream;
    do {
        TRY(batch_stream_next(input->behind, out));
        if (!*out) return 0;
        if ((*out)->n_rows) break;
        batch_release(*out);
    } while (true);
    struct batch *batch = *out;
    if (input->counts) input->counts->rows_in += (uint64_t)batch->n_rows;
    for (uint32_t i = 0; i < batch->schema->n_fields; i++)
        if (batch->columns[i].dictionary) return without_dictionaries(batch, input->budget, out);
    return 0;
}

static void process_close(struct batch_stream *stream)
{
    struct process_stream *process = (struct process_stream *)stream;
    batch_stream_close(process->behind);
    free(process);
}

static struct batch_stream *stream_over(struct batch_stream *behind, struct process_counts *counts,
                                        struct budget *budget,
                                        int (*next)(struct batch_stream *, struct batch **))
{
    struct process_stream *process = memory_alloc_zero(sizeof *process);
    process->stream = (struct batch_stream){behind->schema, next, process_close};
    process->behind = behind;
    process->counts = counts;
    process->budget = budget;
    return &process->stream;
}

/* Takes the stream, also on failure. */
static int put_through(struct batch_stream **stream, struct runtime *runtime, const char *what,
                       struct slice name, struct slice config,
                       const struct process_options *options, struct budget *budget)
{
    struct iterator_call call = {
        .what = what,
        .name = name,
        .config = config,
        .folder = options->iterator_folder,
        .timeout_ms =
            options->iterator_timeout_ms ? options->iterator_timeout_ms : ITERATOR_TIMEOUT_MS,
        .runtime = runtime,
        .budget = budget,
    };
    struct batch_stream *in = *stream;
    *stream = NULL;
    if (!name.size) {
        *stream = in;
        return 0;
    }
    if (options->descending) {
        batch_stream_close(in);
        return error_set(GLIS_EINVALID,
                         "%s '%.*s' wants rows in ascending order; leave out reverse", what,
                         SLICE_PRINT(name));
    }
    return iterator_open(stream, in, &call);
}

int process_open(struct batch_stream **out, struct runtime *runtime, struct batch_stream *in,
                 const struct processing *processing, const struct process_options *options,
                 struct budget *budget)
{
    *out = NULL;
    struct batch_stream *stream = stream_over(in, options->counts, budget, input_next);
    if (processing->n_filters || options->n_cutoffs)
        TRY(age_filter_open(&stream, stream, processing, options, budget));
    if (processing->aggregations) TRY(aggregate_open(&stream, stream, processing, options, budget));
    if (options->reading && processing->visibility_field >= 0)
        TRY(visibility_open(&stream, stream, processing, options, budget));
    TRY(put_through(&stream, runtime, "glis.table.iterator", processing->iterator,
                    processing->iterator_config, options, budget));
    TRY(put_through(&stream, runtime, "the query's iterator", options->query_iterator,
                    options->query_iterator_config, options, budget));
    *out = stream_over(stream, options->counts, budget, process_next);
    return 0;
}
