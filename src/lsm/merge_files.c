/*
 * merge_files.c: data files of a table into one, or into a stream: what compaction, the pushing
 * down of files to lower partitions, and export do.
 *
 * Inputs are opened, a plan is made (merge_plan.c), and its steps come out in key order
 * (merge_ranges.c): batches go into the data file writer, which encodes row groups on the pool; parts
 * of row groups that need no merging are copied. A hook that must see all rows at once stands
 * between the run and the writer; one that looks at keys alone is opened in each range.
 */
#include "lsm/merge_files_int.h"

#include <stdlib.h>

enum {
    MEMORY_DEFAULT = 256 << 20,
    MEMORY_MIN = 16 << 20,
    RANGE_BYTES_MAX = 32 << 20,
    COPY_PART = 8, /* of a row group's usual size, at least, is copied */
};

struct file_merge {
    struct merge_context context;
    struct merge_files_options options;
    const struct merge_file_input *inputs;
    struct merge_file *files;
    uint32_t n_files;
    struct merge_plan plan;
    struct merge_run *run;
};

/* ---- opening ---- */

static int open_input(void *state, size_t index)
{
    struct file_merge *merge = state;
    int code = merge_file_open(&merge->files[index], &merge->context, &merge->inputs[index]);
    if (code != GLIS_ENOTFOUND) return code;
    return error_set(GLIS_EGONE, "file %.*s is not there", SLICE_PRINT(merge->inputs[index].name));
}

static void merge_close(struct file_merge *merge)
{
    merge_run_close(merge->run);
    merge_plan_free(&merge->plan);
    for (uint32_t i = 0; i < merge->n_files; i++)
        merge_file_close(&merge->files[i]);
    free(merge->files);
    *merge = (struct file_merge){0};
}

static int merge_begin(struct file_merge *merge, struct table *table,
                       const struct table_state *state, struct runtime *runtime,
                       const struct merge_file_input *inputs, size_t n_inputs,
                       const struct merge_files_options *options)
{
    *merge = (struct file_merge){.inputs = inputs};
    if (options) merge->options = *options;
    struct merge_files_options *own = &merge->options;
    if (own->memory_bytes == 0) own->memory_bytes = MEMORY_DEFAULT;
    if (own->memory_bytes < MEMORY_MIN)
        return error_set(GLIS_EINVALID, "a merge needs at least %d bytes, not %llu", MEMORY_MIN,
                         (unsigned long long)own->memory_bytes);
    const struct schema *schema = table_state_schema(state);
    merge->context = (struct merge_context){.runtime = runtime,
                                            .store = instance_store(table_instance(table)),
                                            .state = state,
                                            .schema = schema,
                                            .budget = runtime->budget,
                                            .n_keys = schema_key_count(schema)};
    if (n_inputs > UINT32_MAX - 1) return error_set(GLIS_ELIMIT, "%zu inputs", n_inputs);
    merge->n_files = (uint32_t)n_inputs;
    merge->files = memory_alloc_zero((n_inputs + 1) * sizeof *merge->files);
    return pool_run(runtime->pool, n_inputs, open_input, merge);
}

static int merge_start(struct file_merge *merge, const struct merge_plan_options *copying)
{
    const struct merge_hook *hook = merge->options.hook;
    struct merge_plan_options plan = *copying;
    plan.range_bytes = merge->options.range_bytes;
    if (plan.range_bytes == 0) {
        plan.range_bytes = merge->options.memory_bytes / 16;
        if (plan.range_bytes > RANGE_BYTES_MAX) plan.range_bytes = RANGE_BYTES_MAX;
    }
    TRY(merge_plan_make(&merge->plan, &merge->context, merge->files, merge->n_files, &plan));
    struct merge_run_options run = {.memory_bytes = merge->options.memory_bytes,
                                    .hook = hook && hook->by_key ? hook : NULL};
    return merge_run_open(&merge->run, &merge->context, merge->files, &merge->plan, &run);
}

/* ---- the rows as a stream ---- */

struct run_stream {
    struct batch_stream stream;
    struct file_merge *merge;
    bool owns; /* the merge is closed with the stream */
};

static int run_stream_next(struct batch_stream *stream, struct batch **out)
{
    const struct merge_step *copy;
    TRY(merge_run_next(((struct run_stream *)stream)->merge->run, out, &copy));
    ASSERT(!copy);
    return 0;
}

static void run_stream_close(struct batch_stream *stream)
{
    struct run_stream *self = (struct run_stream *)stream;
    if (self->owns) {
        merge_close(self->merge);
        free(self->merge);
    }
    free(self);
}

/* All rows of a merge that was begun without copying, through a hook that must see all. */
static int open_stream(struct file_merge *merge, bool owns, struct batch_stream **out)
{
    const struct merge_hook *hook = merge->options.hook;
    struct run_stream *self = memory_alloc_zero(sizeof *self);
    self->stream = (struct batch_stream){merge->context.schema, run_stream_next, run_stream_close};
    self->merge = merge;
    self->owns = owns;
    *out = &self->stream;
    if (!hook || hook->by_key) return 0;
    *out = NULL;
    return hook->open(hook->state, &self->stream, out);
}

int merge_files_stream(struct table *table, const struct table_state *state,
                       struct runtime *runtime, const struct merge_file_input *inputs,
                       size_t n_inputs, const struct merge_files_options *options,
                       struct batch_stream **out)
{
    struct merge_plan_options without_copying = {0};
    struct file_merge *merge = memory_alloc_zero(sizeof *merge);
    int code = merge_begin(merge, table, state, runtime, inputs, n_inputs, options);
    if (code == 0) code = merge_start(merge, &without_copying);
    if (code < 0) {
        merge_close(merge);
        free(merge);
        return code;
    }
    return open_stream(merge, true, out);
}

/* ---- the rows as a file ---- */

struct output {
    struct file_merge *merge;
    struct data_file_writer *writer;
    struct merge_files_result *result;
    uint64_t rows_total, rows_written;
};

static int tell_progress(const struct output *output)
{
    const struct merge_files_options *options = &output->merge->options;
    if (!options->progress) return 0;
    struct merge_files_progress progress = {
        .rows_read = merge_run_rows_done(output->merge->run),
        .rows_total = output->rows_total,
        .rows_written = output->rows_written,
        .bytes_written = data_file_bytes(output->writer),
    };
    int code = options->progress(options->progress_state, &progress);
    return code < 0 || code == 0 ? code : GLIS_ECANCELLED;
}

static int write_batch(struct output *output, struct batch *batch)
{
    int code = data_file_write(output->writer, batch);
    output->rows_written += (uint64_t)batch->n_rows;
    batch_release(batch);
    TRY(code);
    return tell_progress(output);
}

/* Through a hook that sees all rows. */
static int write_stream(struct output *output)
{
    struct batch_stream *stream;
    TRY(open_stream(output->merge, false, &stream));
    int code = 0;
    while (code == 0) {
        struct batch *batch;
        code = batch_stream_next(stream, &batch);
        if (code < 0 || !batch) break;
        code = write_batch(output, batch);
    }
    batch_stream_close(stream);
    return code;
}

/* Copies rows of one row group, or gives up: the whole is on its way to an error then. */
static int copy_step(struct output *output, const struct merge_step *step)
{
    const struct merge_part *part = &step->parts[0];
    const struct merge_file *file = &output->merge->files[part->file];
    uint32_t group = merge_file_group(file, part->begin);
    const struct parquet_row_group *g = &parquet_reader_metadata(file->reader)->row_groups[group];
    ASSERT(part->end - g->first_row <= g->n_rows);
    TRY_CONTEXT(data_file_copy(output->writer, file->reader, group, part->begin - g->first_row,
                               step->n_rows),
                "file %.*s", SLICE_PRINT(file->input->name));
    output->rows_written += step->n_rows;
    output->result->rows_copied += step->n_rows;
    return tell_progress(output);
}

/* Whether a row group may be copied as it is, as far as it stands alone. */
static bool can_copy(void *state, const struct merge_file *file, uint32_t row_group)
{
    const struct output *output = state;
    const struct merge_hook *hook = output->merge->options.hook;
    if (!file->is_present_form || file->filtered) return false;
    if (hook && !(hook->by_key && hook->leaves_alone &&
                  hook->leaves_alone(hook->state, file->reader, row_group)))
        return false;
    return data_file_can_copy(output->writer, file->reader, row_group);
}

static int write_steps(struct output *output)
{
    for (;;) {
        struct batch *batch;
        const struct merge_step *copy;
        TRY(merge_run_next(output->merge->run, &batch, &copy));
        if (!batch && !copy) return 0;
        TRY(copy ? copy_step(output, copy) : write_batch(output, batch));
    }
}

/* The file as a commit wants it. */
static void describe(const struct output *output, const struct data_file *file, struct arena *arena)
{
    struct merge_files_result *result = output->result;
    const struct key_range *region = output->merge->options.region;
    uint32_t n = output->merge->context.schema->n_row_keys;
    struct file_bound *bounds = ARENA_ARRAY(arena, struct file_bound, n);
    for (uint32_t i = 0; i < n; i++)
        bounds[i] = file_bound_cut(file->bounds[i].min, file->bounds[i].max,
                                   region ? &region[i] : NULL, arena);
    result->any = true;
    result->object_key = file->key;
    result->file = (struct new_file){
        .name = file->name, .size = file->size, .rows = file->rows, .bounds = bounds};
    memcpy(result->file.checksum, file->checksum, sizeof file->checksum);
}

static int finish_file(struct output *output, struct arena *arena)
{
    struct data_file_writer *writer = output->writer;
    output->writer = NULL;
    if (output->rows_written == 0) {
        data_file_abort(writer);
        return 0;
    }
    struct data_file file = {0};
    int code = data_file_finish(writer, &file);
    if (code == 0) {
        describe(output, &file, arena);
    } else if (file.key.size) { /* perhaps it is there all the same */
        struct error_detail detail;
        error_save(&detail);
        if (store_remove(output->merge->context.store, &file.key, 1) < 0) error_clear();
        (void)error_load(&detail);
    }
    arena_free(&file.arena);
    return code;
}

static int merge_into_file(struct file_merge *merge, const struct data_file_context *context,
                           struct merge_files_result *result)
{
    struct output output = {.merge = merge, .result = result};
    const struct merge_hook *hook = merge->options.hook;
    uint64_t row_group_bytes =
        (uint64_t)table_state_number(merge->context.state, PROPERTY_TABLE_ROWGROUP_SIZE);
    struct merge_plan_options copying = {
        .copy_bytes_min = row_group_bytes / COPY_PART, .can_copy = can_copy, .state = &output};
    if (merge->options.without_copying) copying.can_copy = NULL;
    for (uint32_t i = 0; i < merge->n_files; i++)
        output.rows_total += merge->files[i].end - merge->files[i].begin;
    result->rows_read = output.rows_total;
    if (output.rows_total == 0) return 0;
    TRY(data_file_open(&output.writer, context));
    int code = merge_start(merge, &copying);
    result->ranges = merge->plan.n_steps;
    if (code == 0) code = hook && !hook->by_key ? write_stream(&output) : write_steps(&output);
    if (code == 0) code = finish_file(&output, context->arena);
    data_file_abort(output.writer);
    return code;
}

int merge_files(struct table *table, const struct table_state *state, struct runtime *runtime,
                const struct merge_file_input *inputs, size_t n_inputs,
                const struct merge_files_options *options, struct arena *arena,
                struct merge_files_result *out)
{
    struct file_merge merge;
    *out = (struct merge_files_result){0};
    int code = merge_begin(&merge, table, state, runtime, inputs, n_inputs, options);
    struct data_file_context context = {.table = table,
                                        .state = state,
                                        .runtime = runtime,
                                        .store = merge.context.store,
                                        .schema = merge.context.schema,
                                        .budget = runtime->budget,
                                        .arena = arena};
    if (code == 0) code = merge_into_file(&merge, &context, out);
    merge_close(&merge);
    return code;
}
