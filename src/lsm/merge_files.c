/*
 * merge_files.c: data files of a table into one, or into a stream: what compaction, the pushing
 * down of files to lower partitions, and export do.
 *
 * Inputs are opened, a plan is made (merge_plan.c), and its steps come out in key order
 * (merge_ranges.c): batches go into the data file writer, which encodes row groups on the pool;
 * parts of row groups that need no merging are copied. A hook that must see all rows at once stands
 * before the writer; one that looks at keys alone is opened in each range. What is too much for the
 * memory comes as a stream, through sorted runs on disk (merge_passes.c).
 */
#include "lsm/merge_files_int.h"

#include <stdlib.h>

enum {
    MEMORY_DEFAULT = 256 << 20,
    MEMORY_MIN = 16 << 20,
    RANGE_BYTES_MAX = 32 << 20,
    COPY_PART = 8, /* of a row group's usual size, at least, is copied */
};

/* What is asked for. */
struct job {
    struct merge_context context;
    struct merge_files_options options;
    struct merge_passes_options passes;
    struct merge_passes_figures figures;
    const struct merge_file_input *inputs;
    size_t n_inputs;
    uint64_t rows_read;
};

/* Inputs that are open, as many as may be. */
struct file_merge {
    struct job *job;
    const struct merge_file_input *inputs;
    struct merge_file *files;
    uint32_t n_files;
    struct merge_plan plan;
    struct merge_run *run;
};

/* ---- opening ---- */

static int job_begin(struct job *job, struct table *table, const struct table_state *state,
                     struct runtime *runtime, const struct merge_file_input *inputs,
                     size_t n_inputs, const struct merge_files_options *options)
{
    *job = (struct job){.inputs = inputs, .n_inputs = n_inputs};
    if (options) job->options = *options;
    struct merge_files_options *own = &job->options;
    if (own->memory_bytes == 0) own->memory_bytes = MEMORY_DEFAULT;
    if (own->memory_bytes < MEMORY_MIN)
        return error_set(GLIS_EINVALID, "a merge needs at least %d bytes, not %llu", MEMORY_MIN,
                         (unsigned long long)own->memory_bytes);
    const struct schema *schema = table_state_schema(state);
    job->context = (struct merge_context){.runtime = runtime,
                                          .store = instance_store(table_instance(table)),
                                          .state = state,
                                          .schema = schema,
                                          .budget = runtime->budget,
                                          .n_keys = schema_key_count(schema)};
    uint64_t most = own->inputs_max;
    if (most == 0) most = own->memory_bytes / 2 / ((uint64_t)schema->n_fields * MERGE_LEAF_BYTES);
    if (most > MERGE_INPUTS_MAX) most = MERGE_INPUTS_MAX;
    job->passes = (struct merge_passes_options){.memory_bytes = own->memory_bytes,
                                                .spill_folder = own->spill_folder,
                                                .inputs_max = most < 2 ? 2 : (size_t)most};
    return 0;
}

static int open_input(void *state, size_t index)
{
    struct file_merge *merge = state;
    int code = merge_file_open(&merge->files[index], &merge->job->context, &merge->inputs[index]);
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

/* Opens inputs [first, first + n) of the job. */
static int merge_begin(struct file_merge *merge, struct job *job, size_t first, size_t n)
{
    *merge = (struct file_merge){.job = job, .inputs = job->inputs + first, .n_files = (uint32_t)n};
    merge->files = memory_alloc_zero((n + 1) * sizeof *merge->files);
    TRY(pool_run(job->context.runtime->pool, n, open_input, merge));
    for (size_t i = 0; i < n; i++)
        job->rows_read += merge->files[i].end - merge->files[i].begin;
    return 0;
}

/* `hook`: for each range, or NULL. */
static int merge_start(struct file_merge *merge, const struct merge_hook *hook,
                       const struct merge_plan_options *copying)
{
    const struct job *job = merge->job;
    struct merge_plan_options plan = *copying;
    plan.range_bytes = job->options.range_bytes;
    if (plan.range_bytes == 0) {
        plan.range_bytes = job->options.memory_bytes / 16;
        if (plan.range_bytes > RANGE_BYTES_MAX) plan.range_bytes = RANGE_BYTES_MAX;
    }
    TRY(merge_plan_make(&merge->plan, &job->context, merge->files, merge->n_files, &plan));
    struct merge_run_options run = {.memory_bytes = job->options.memory_bytes, .hook = hook};
    return merge_run_open(&merge->run, &job->context, merge->files, &merge->plan, &run);
}

/* ---- the rows as a stream ---- */

struct run_stream {
    struct batch_stream stream;
    struct file_merge merge;
};

static int run_stream_next(struct batch_stream *stream, struct batch **out)
{
    const struct merge_step *copy;
    TRY(merge_run_next(((struct run_stream *)stream)->merge.run, out, &copy));
    ASSERT(!copy);
    return 0;
}

static void run_stream_close(struct batch_stream *stream)
{
    struct run_stream *self = (struct run_stream *)stream;
    merge_close(&self->merge);
    free(self);
}

/* Rows of some of the inputs, at once. */
static int open_run(struct job *job, size_t first, size_t n, const struct merge_hook *hook,
                    struct batch_stream **out)
{
    struct merge_plan_options without_copying = {0};
    struct run_stream *self = memory_alloc_zero(sizeof *self);
    self->stream = (struct batch_stream){job->context.schema, run_stream_next, run_stream_close};
    int code = merge_begin(&self->merge, job, first, n);
    if (code == 0) code = merge_start(&self->merge, hook, &without_copying);
    if (code < 0) {
        run_stream_close(&self->stream);
        return code;
    }
    *out = &self->stream;
    return 0;
}

static int open_some(void *state, size_t first, size_t n, struct batch_stream **out)
{
    return open_run(state, first, n, NULL, out);
}

/* All rows of the job, through its hook. */
static int open_rows(struct job *job, struct batch_stream **out)
{
    const struct merge_hook *hook = job->options.hook;
    bool at_once = job->n_inputs <= job->passes.inputs_max,
         by_range = at_once && hook && hook->by_key;
    struct batch_stream *rows;
    if (at_once)
        TRY(open_run(job, 0, job->n_inputs, by_range ? hook : NULL, &rows));
    else
        TRY(merge_passes_open(&rows, &job->context, open_some, job, job->n_inputs, &job->passes,
                              &job->figures));
    *out = rows;
    if (!hook || by_range) return 0;
    *out = NULL;
    return hook->open(hook->state, rows, out);
}

/* A job and its rows, for the caller. */
struct job_stream {
    struct batch_stream stream;
    struct job job;
    struct batch_stream *rows;
};

static int job_stream_next(struct batch_stream *stream, struct batch **out)
{
    return batch_stream_next(((struct job_stream *)stream)->rows, out);
}

static void job_stream_close(struct batch_stream *stream)
{
    struct job_stream *self = (struct job_stream *)stream;
    batch_stream_close(self->rows);
    free(self);
}

int merge_files_stream(struct table *table, const struct table_state *state,
                       struct runtime *runtime, const struct merge_file_input *inputs,
                       size_t n_inputs, const struct merge_files_options *options,
                       struct batch_stream **out)
{
    struct job_stream *self = memory_alloc_zero(sizeof *self);
    int code = job_begin(&self->job, table, state, runtime, inputs, n_inputs, options);
    if (code == 0) code = open_rows(&self->job, &self->rows);
    if (code < 0) {
        free(self);
        return code;
    }
    self->stream =
        (struct batch_stream){self->job.context.schema, job_stream_next, job_stream_close};
    *out = &self->stream;
    return 0;
}

/* ---- the rows as a file ---- */

struct output {
    struct job *job;
    struct file_merge *merge; /* NULL: the rows come as a stream */
    struct data_file_writer *writer;
    struct merge_files_result *result;
    uint64_t rows_written;
    struct arena *arena; /* for the result */
};

static int tell_progress(const struct output *output)
{
    const struct merge_files_options *options = &output->job->options;
    if (!options->progress) return 0;
    struct merge_files_progress progress = {
        .rows_read = output->merge ? merge_run_rows_done(output->merge->run) : output->rows_written,
        .rows_total = output->job->rows_read,
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

/* In passes, or through a hook that sees all rows. */
static int write_stream(struct output *output)
{
    struct batch_stream *stream;
    TRY(open_rows(output->job, &stream));
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
    const struct merge_hook *hook = output->job->options.hook;
    if (!file->is_present_form || file->filtered) return false;
    if (hook && !(hook->leaves_alone && hook->leaves_alone(hook->state, file->reader, row_group)))
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
static void describe(const struct output *output, const struct data_file *file)
{
    struct arena *arena = output->arena;
    struct merge_files_result *result = output->result;
    const struct key_range *region = output->job->options.region;
    uint32_t n = output->job->context.schema->n_row_keys;
    struct file_bound *bounds = ARENA_ARRAY(arena, struct file_bound, n);
    for (uint32_t i = 0; i < n; i++)
        bounds[i] = file_bound_cut(file->bounds[i].min, file->bounds[i].max,
                                   region ? &region[i] : NULL, arena);
    result->any = true;
    result->object_key = file->key;
    struct file_age *ages = ARENA_ARRAY(arena, struct file_age, file->n_ages);
    for (uint32_t i = 0; i < file->n_ages; i++) {
        ages[i] = file->ages[i];
        ages[i].field = arena_copy(arena, ages[i].field);
    }
    result->file = (struct new_file){.name = file->name,
                                     .size = file->size,
                                     .rows = file->rows,
                                     .bounds = bounds,
                                     .ages = ages,
                                     .n_ages = file->n_ages};
    memcpy(result->file.checksum, file->checksum, sizeof file->checksum);
}

static int finish_file(struct output *output)
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
        describe(output, &file);
    } else if (file.key.size) { /* perhaps it is there all the same */
        struct error_detail detail;
        error_save(&detail);
        if (store_remove(output->job->context.store, &file.key, 1) < 0) error_clear();
        (void)error_load(&detail);
    }
    arena_free(&file.arena);
    return code;
}

static int write_merged(struct output *output)
{
    struct job *job = output->job;
    struct file_merge merge;
    uint64_t row_group_bytes =
        (uint64_t)table_state_number(job->context.state, PROPERTY_TABLE_ROWGROUP_SIZE);
    struct merge_plan_options copying = {
        .copy_bytes_min = row_group_bytes / COPY_PART, .can_copy = can_copy, .state = output};
    if (job->options.without_copying) copying.can_copy = NULL;
    int code = merge_begin(&merge, job, 0, job->n_inputs);
    if (code == 0) code = merge_start(&merge, job->options.hook, &copying);
    output->result->ranges = merge.plan.n_steps;
    output->merge = &merge;
    if (code == 0) code = write_steps(output);
    /* Here, for what is copied is read until then. */
    if (code == 0) code = finish_file(output);
    data_file_abort(output->writer);
    output->writer = NULL;
    output->merge = NULL;
    merge_close(&merge);
    return code;
}

static int write_rows(struct output *output)
{
    int code = write_stream(output);
    if (code == 0) code = finish_file(output);
    data_file_abort(output->writer);
    output->writer = NULL;
    return code;
}

int merge_files(struct table *table, const struct table_state *state, struct runtime *runtime,
                const struct merge_file_input *inputs, size_t n_inputs,
                const struct merge_files_options *options, struct arena *arena,
                struct merge_files_result *out)
{
    struct job job;
    *out = (struct merge_files_result){0};
    TRY(job_begin(&job, table, state, runtime, inputs, n_inputs, options));
    struct output output = {.job = &job, .result = out, .arena = arena};
    struct data_file_context context = {.table = table,
                                        .state = state,
                                        .runtime = runtime,
                                        .store = job.context.store,
                                        .schema = job.context.schema,
                                        .budget = runtime->budget,
                                        .arena = arena};
    if (n_inputs == 0) return 0;
    TRY(data_file_open(&output.writer, &context));
    const struct merge_hook *hook = job.options.hook;
    bool at_once = n_inputs <= job.passes.inputs_max;
    int code = at_once && (!hook || hook->by_key) ? write_merged(&output) : write_rows(&output);
    out->rows_read = job.rows_read;
    out->passes = job.figures.n_passes;
    out->spilled_bytes = job.figures.spilled_bytes;
    return code;
}
