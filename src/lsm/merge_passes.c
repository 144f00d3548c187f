/*
 * merge_passes.c: more inputs than the memory can hold open.
 *
 * As many inputs as may be merged at once are, and their rows become a sorted run in a spill file,
 * with their encoded keys; then the next ones. When there are more runs than may be merged at once,
 * neighbours are merged into longer runs, which keeps rows of equal keys in the order of the
 * inputs. The last merge is a stream. Each row is written to local disk once for every level: one
 * for up to inputs_max squared inputs.
 */
#include "lsm/merge_files_int.h"

#include <stdlib.h>

enum { SPILL_ROWS = 4096, SPILL_BYTES = 256 << 10 };

struct passes {
    struct batch_stream stream;
    const struct merge_context *context;
    const struct merge_passes_options *options;
    struct merge_passes_figures *figures;
    struct spill_file *file;
    struct spill_run *runs;
    size_t n_runs;
    struct merge *merge; /* the last */
};

static void passes_close(struct batch_stream *stream)
{
    struct passes *self = (struct passes *)stream;
    merge_free(self->merge);
    for (size_t i = 0; i < self->n_runs; i++)
        spill_run_free(self->file, &self->runs[i]);
    free(self->runs);
    spill_file_close(self->file);
    schema_release(self->stream.schema);
    free(self);
}

static int passes_next(struct batch_stream *stream, struct batch **out)
{
    struct passes *self = (struct passes *)stream;
    struct sorted_block block;
    *out = NULL;
    TRY(merge_next(self->merge, &block));
    keys_free(&block.keys);
    *out = block.batch;
    return 0;
}

static int encode_keys(void *state, struct keys *out, const struct batch *batch,
                       struct budget *budget)
{
    return keys_encode(out, batch, ((const struct passes *)state)->context->n_keys, budget);
}

/* Writes a batch in blocks of which many fit the memory. */
static int spill_batch(struct passes *self, struct spill_run *run, const struct batch *batch)
{
    const struct merge_context *context = self->context;
    uint64_t row_bytes = batch->n_rows ? batch_bytes(batch) / (uint64_t)batch->n_rows + 1 : 1;
    int64_t step = (int64_t)(SPILL_BYTES / row_bytes) + 1;
    if (step > SPILL_ROWS) step = SPILL_ROWS;
    for (int64_t row = 0; row < batch->n_rows; row += step) {
        struct sorted_block block = {0};
        int64_t n = batch->n_rows - row < step ? batch->n_rows - row : step;
        TRY(batch_slice(batch, row, n, &block.batch));
        int code = keys_encode(&block.keys, block.batch, context->n_keys, context->budget);
        if (code == 0) code = spill_run_append(self->file, run, &block);
        sorted_block_free(&block);
        TRY(code);
    }
    return 0;
}

static int spill_inputs(struct passes *self, merge_open_inputs open, void *state, size_t first,
                        size_t n)
{
    struct batch_stream *stream;
    struct spill_run *run = &self->runs[self->n_runs++];
    TRY(open(state, first, n, &stream));
    int code = 0;
    while (code == 0) {
        struct batch *batch;
        code = batch_stream_next(stream, &batch);
        if (code < 0 || !batch) break;
        code = spill_batch(self, run, batch);
        batch_release(batch);
    }
    batch_stream_close(stream);
    self->figures->n_passes++;
    return code;
}

/* A merge of some runs. */
static int open_merge(struct passes *self, struct spill_run *runs, size_t n, bool with_keys,
                      struct merge **out)
{
    const struct merge_context *context = self->context;
    defer_free struct sorted_source **sources = memory_alloc((n + 1) * sizeof *sources);
    uint32_t n_sources = 0;
    for (size_t i = 0; i < n; i++) {
        struct sorted_source *source;
        if (runs[i].n_blocks == 0) continue;
        int code = spill_run_open(&source, self->file, &runs[i], context->schema, context->budget);
        if (code == 0) code = read_ahead_open(&sources[n_sources], context->runtime, source);
        ASSERT(code == 0); /* neither does more than allocate */
        n_sources++;
    }
    struct merge_settings settings = {.with_keys = with_keys};
    if (with_keys) settings.batch_bytes = SPILL_BYTES;
    return merge_new(out, context->runtime, context->schema, sources, n_sources, &settings,
                     context->budget);
}

/* Runs [first, first + n) become one, in their place. */
static int merge_runs(struct passes *self, size_t first, size_t n)
{
    struct merge *merge;
    struct spill_run run = {0};
    uint64_t before = spill_file_bytes(self->file);
    TRY(open_merge(self, self->runs + first, n, true, &merge));
    int code = 0;
    while (code == 0) {
        struct sorted_block block;
        code = merge_next(merge, &block);
        if (code < 0 || !block.batch) break;
        code = spill_run_append(self->file, &run, &block);
        sorted_block_free(&block);
    }
    merge_free(merge);
    self->figures->spilled_bytes += spill_file_bytes(self->file) - before;
    if (code < 0) {
        spill_run_free(self->file, &run);
        return code;
    }
    for (size_t i = first; i < first + n; i++)
        spill_run_free(self->file, &self->runs[i]);
    self->runs[first] = run;
    memmove(self->runs + first + 1, self->runs + first + n,
            (self->n_runs - first - n) * sizeof *self->runs);
    self->n_runs -= n - 1;
    self->figures->n_passes++;
    return 0;
}

/* One level: as many neighbours at a time as may be, and no more than are needed. */
static int merge_level(struct passes *self, size_t most)
{
    for (size_t first = 0; self->n_runs > most && first + 1 < self->n_runs; first++) {
        size_t n = self->n_runs - most + 1;
        if (n > most) n = most;
        if (n > self->n_runs - first) n = self->n_runs - first;
        TRY(merge_runs(self, first, n));
    }
    return 0;
}

static int make_runs(struct passes *self, merge_open_inputs open, void *state, size_t n_inputs)
{
    size_t most = self->options->inputs_max;
    TRY(spill_file_open(&self->file, self->options->spill_folder));
    spill_file_set_encode(self->file, encode_keys, self);
    self->runs = memory_alloc_zero((n_inputs + 1) * sizeof *self->runs);
    for (size_t first = 0; first < n_inputs; first += most)
        TRY(spill_inputs(self, open, state, first,
                         n_inputs - first < most ? n_inputs - first : most));
    self->figures->spilled_bytes += spill_file_bytes(self->file);
    /* Two blocks of each run are in memory at a time. */
    size_t runs_most = (size_t)(self->options->memory_bytes / 2 / (2 * 2 * SPILL_BYTES));
    if (runs_most > most) runs_most = most;
    if (runs_most < 2) runs_most = 2;
    while (self->n_runs > runs_most)
        TRY(merge_level(self, runs_most));
    return open_merge(self, self->runs, self->n_runs, false, &self->merge);
}

int merge_passes_open(struct batch_stream **out, const struct merge_context *context,
                      merge_open_inputs open, void *state, size_t n_inputs,
                      const struct merge_passes_options *options,
                      struct merge_passes_figures *figures)
{
    struct passes *self = memory_alloc_zero(sizeof *self);
    self->stream =
        (struct batch_stream){schema_acquire(context->schema), passes_next, passes_close};
    self->context = context;
    self->options = options;
    self->figures = figures;
    *figures = (struct merge_passes_figures){0};
    int code = make_runs(self, open, state, n_inputs);
    if (code < 0) {
        passes_close(&self->stream);
        return code;
    }
    *out = &self->stream;
    return 0;
}
