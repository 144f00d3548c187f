/*
 * ingest.c: one ingest job, from its inputs to its commit.
 *
 *   look         options, inputs, the table's state; was the job done already?
 *   read, sort   every input through its reader into the writer's sorter
 *   write        sorted rows into data files, which nobody can see yet
 *   sync         all files of the job made durable at once
 *   commit       one transaction that names them all
 *
 * A job is one of three: with a given id, which is remembered with a fingerprint of its input; with
 * a writer and a sequence number; or with a made id, which only tells this job's retries within the
 * process from others. Where the fingerprint is known before reading (files), a repeat is found
 * before the work, else at the commit; the commit has the last word in any case.
 *
 * Failing, a job removes what it put. The exception is a commit whose outcome nobody can tell: then
 * the files may be in use and stay; collection knows what to do with them if they are not.
 *
 * When the table changed meanwhile: partitions that were split still take references, merged ones
 * stand for their living ancestor, and rows in an older schema are read through the change, so the
 * commit goes through. A reset or a restore refuses it; the job then fails and says so, for its
 * rows belong to another life of the table.
 */
#include "lsm/ingest_int.h"

#include "base/logger.h"
#include "base/mutant.h"
#include "base/ulid.h"

enum { NAME_BYTES_MAX = 200, PROGRESS_MS = 100 };

struct job {
    struct table *table;
    struct runtime *runtime;
    const struct ingest_options *options;
    struct arena *arena;
    struct ingest_result *result;
    const struct table_state *state;
    const struct schema *schema;
    struct ingest_input *inputs;
    size_t n_inputs;
    struct batch_stream *stream; /* instead of inputs */
    struct bad_rows bad;
    struct ingest_writer *writer;
    struct hash_stream *hash;  /* of the input; NULL: no fingerprint is wanted */
    struct row_hash *row_hash; /* of rows that cannot be read twice */
    struct ingest_progress progress;
    uint64_t bytes_before; /* of the inputs before the present one */
    int64_t start_ns, told_ns;
    struct row_processing rows; /* what is done to them before they are written */
    int64_t now_ms;             /* the time that ages are counted to */
    bool *joined_maps;          /* fields whose maps may have keys that come twice */
};

static int64_t now_ns(const struct job *job)
{
    return job->runtime->clock->monotonic_ns(job->runtime->clock);
}

/* ---- progress ---- */

static int tell(struct job *job, int phase, bool always)
{
    if (!job->options->progress) return 0;
    int64_t now = now_ns(job);
    if (!always && now - job->told_ns < (int64_t)PROGRESS_MS * 1000000) return 0;
    job->told_ns = now;
    job->progress.phase = phase;
    int code = job->options->progress(job->options->progress_state, &job->progress);
    if (code == 0) return 0;
    return code < 0 ? code : error_set(GLIS_ECANCELLED, "the caller ended the ingest");
}

static int tell_written(void *state, uint64_t rows, uint64_t bytes, uint64_t files)
{
    struct job *job = state;
    job->progress.rows_written = rows;
    job->progress.bytes_written = bytes;
    job->progress.files_written = files;
    return tell(job, INGEST_WRITING, false);
}

/* ---- before the work ---- */

int ingest_check_name(struct slice name, const char *what)
{
    static const char others[] = "._:-";
    if (name.size == 0 || name.size > NAME_BYTES_MAX)
        return error_set(GLIS_EINVALID, "a %s has 1 to %d characters", what, NAME_BYTES_MAX);
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c && strchr(others, c));
        if (!good)
            return error_set(GLIS_EINVALID,
                             "a %s has only letters, digits and . _ : - (position %zu of '%.*s')",
                             what, i + 1, SLICE_PRINT(name));
    }
    return 0;
}

static int check_options(const struct job *job)
{
    const struct ingest_options *options = job->options;
    if (options->job_id.size > 0) TRY(ingest_check_name(options->job_id, "job id"));
    if (options->writer.size > 0) {
        TRY(ingest_check_name(options->writer, "writer's name"));
        if (options->job_id.size > 0)
            return error_set(GLIS_EINVALID,
                             "a job has an id or a writer with a sequence, not both");
        if (options->sequence == 0)
            return error_set(GLIS_EINVALID, "a writer's sequence numbers begin with 1");
    } else if (options->sequence != 0) {
        return error_set(GLIS_EINVALID, "a sequence number needs the name of a writer");
    }
    char c = options->csv_delimiter;
    if (c == '"' || c == '\n' || c == '\r')
        return error_set(GLIS_EINVALID, "a quote or a line end cannot be the delimiter");
    const struct property_definition *memory = property_definition(PROPERTY_INGEST_MEMORY);
    if (options->memory_bytes != 0 && options->memory_bytes < (uint64_t)memory->min)
        return error_set(GLIS_EINVALID, "%s is at least %lld bytes, not %llu", memory->name,
                         (long long)memory->min, (unsigned long long)options->memory_bytes);
    return 0;
}

static void hash_text(struct hash_stream *hash, struct slice text)
{
    uint64_t size = text.data ? text.size : UINT64_MAX;
    hash_stream_add(hash, &size, sizeof size);
    hash_stream_add(hash, text.data, text.size);
}

/* Begins the fingerprint of a job with a given id. */
static int begin_fingerprint(struct job *job)
{
    const struct ingest_options *options = job->options;
    if (options->job_id.size == 0 || options->dry_run) return 0;
    job->hash = hash_stream_new();
    uint8_t flags[2] = {options->ignore_extra_columns, options->bad_rows_to != NULL};
    hash_stream_add(job->hash, flags, sizeof flags);
    hash_text(job->hash, options->csv_null_text);
    bool streams = job->stream != NULL;
    for (size_t i = 0; i < job->n_inputs; i++)
        streams |= job->inputs[i].is_stream;
    if (streams) job->row_hash = row_hash_new(job->schema);
    return ingest_inputs_hash(job->runtime, job->inputs, job->n_inputs, job->hash);
}

static void end_fingerprint(const struct job *job, uint64_t out[2])
{
    out[0] = out[1] = 0;
    if (!job->hash) return;
    if (job->row_hash) row_hash_finish(job->row_hash, job->hash);
    struct hash128 hash = hash_stream_128(job->hash);
    out[0] = hash.high;
    out[1] = hash.low;
}

/* Whether the job was done before; what can be told before the work. */
static int check_done(const struct job *job, struct commit_result *done)
{
    const struct ingest_options *options = job->options;
    *done = (struct commit_result){0};
    if (options->dry_run) return 0;
    if (options->writer.size > 0)
        return table_check_sequence(job->state, options->writer, options->sequence, done);
    if (options->job_id.size == 0 || job->row_hash) return 0;
    uint64_t fingerprint[2];
    end_fingerprint(job, fingerprint);
    return table_check_job(job->state, options->job_id, fingerprint, done);
}

/* ---- the work ---- */

/* What is done to the rows. Entries of map_... aggregations may have keys that come twice. */
static int prepare_processing(struct job *job)
{
    job->now_ms = job->runtime->clock->wall_ms(job->runtime->clock);
    TRY(row_processing_make(&job->rows, job->table, job->state, job->runtime, job->now_ms,
                            job->arena));
    const uint8_t *aggregations = job->rows.processing.aggregations;
    job->joined_maps = ARENA_ARRAY(job->arena, bool, job->schema->n_fields);
    for (uint32_t i = 0; i < job->schema->n_fields && aggregations; i++)
        job->joined_maps[i] = aggregations[i] >= AGGREGATION_MAP_SUM;
    return 0;
}

static int open_writer(struct job *job)
{
    struct instance *instance = table_instance(job->table);
    const struct ingest_options *options = job->options;
    struct ingest_writer_settings settings = {
        .context = {.table = job->table,
                    .state = job->state,
                    .runtime = job->runtime,
                    .store = instance_store(instance),
                    .schema = job->schema,
                    .budget = job->runtime->budget,
                    .arena = job->arena},
        .progress = tell_written,
        .progress_state = job,
    };
    settings.processing = job->rows.processing;
    settings.process = job->rows.options;
    settings.sorter.memory_bytes = spill_memory_choose(instance, options->memory_bytes);
    settings.sorter.spill_max_bytes =
        options->spill_max_bytes ? options->spill_max_bytes
                                 : (uint64_t)instance_number(instance, PROPERTY_INGEST_SPILL_MAX);
    settings.sorter.spill_folder = spill_folder_choose(instance, options->spill_folder, job->arena);
    return ingest_writer_new(&job->writer, &settings);
}

static int take_rows(struct job *job, struct ingest_reader *reader, bool hash_rows)
{
    uint64_t rows_before = job->progress.rows_read;
    for (;;) {
        TRY(runtime_check_cancel(job->runtime));
        struct batch *batch;
        TRY(ingest_reader_next(reader, &batch));
        job->progress.rows_read = rows_before + ingest_reader_rows(reader);
        job->progress.bytes_read = job->bytes_before + ingest_reader_bytes(reader);
        if (!batch) return 0;
        int code = 0;
        if (hash_rows) row_hash_add(job->row_hash, batch);
        if (job->writer && batch->n_rows > 0) code = ingest_writer_add(job->writer, batch);
        batch_release(batch);
        TRY(code);
        TRY(tell(job, INGEST_READING, false));
    }
}

static int read_inputs(struct job *job)
{
    struct ingest_reader_settings settings = {.schema = job->schema,
                                              .ignore_extra_columns =
                                                  job->options->ignore_extra_columns,
                                              .csv_null_text = job->options->csv_null_text,
                                              .bad = &job->bad,
                                              .joined_maps = job->joined_maps};
    struct ingest_reader *reader;
    if (job->stream) {
        struct batch_stream *stream = job->stream;
        job->stream = NULL;
        TRY(ingest_reader_open_stream(&reader, job->runtime, stream, "the stream", &settings));
        int code = take_rows(job, reader, job->row_hash != NULL);
        ingest_reader_close(reader);
        return code;
    }
    for (size_t i = 0; i < job->n_inputs; i++) {
        const struct ingest_input *input = &job->inputs[i];
        TRY(ingest_reader_open(&reader, job->runtime, input, &settings));
        int code = take_rows(job, reader, job->row_hash && input->is_stream);
        if (code == 0) {
            job->bytes_before += input->is_stream ? ingest_reader_bytes(reader) : input->size;
            job->progress.bytes_read = job->bytes_before;
        }
        ingest_reader_close(reader);
        TRY(code);
    }
    return 0;
}

/* The span of one row-key field over the regions of a file's references. */
static int reference_range(const struct job *job, const struct placed_file *placed, uint32_t field,
                           struct key_range *out)
{
    for (size_t i = 0; i < placed->n_references; i++) {
        struct partition partition;
        TRY(table_partition(job->state, placed->references[i].partition, job->arena, &partition));
        const struct key_range *range = &partition.region[field];
        if (i == 0) {
            *out = *range;
            continue;
        }
        if (slice_compare(range->min, out->min) < 0) out->min = range->min;
        if (range->unbounded || out->unbounded) {
            out->unbounded = true;
            out->max = SLICE_EMPTY;
        } else if (slice_compare(range->max, out->max) > 0) {
            out->max = range->max;
        }
    }
    return 0;
}

static int describe_files(const struct job *job, const struct placed_file *placed, size_t n,
                          struct new_file **out)
{
    struct new_file *files = ARENA_ARRAY(job->arena, struct new_file, n);
    uint32_t n_bounds = job->schema->n_row_keys;
    for (size_t i = 0; i < n; i++) {
        const struct data_file *file = &placed[i].file;
        files[i] = (struct new_file){.name = file->name,
                                     .size = file->size,
                                     .rows = file->rows,
                                     .references = placed[i].references,
                                     .n_references = placed[i].n_references,
                                     .ages = file->ages,
                                     .n_ages = file->n_ages};
        memcpy(files[i].checksum, file->checksum, sizeof files[i].checksum);
        struct file_bound *bounds = ARENA_ARRAY(job->arena, struct file_bound, n_bounds);
        for (uint32_t field = 0; field < n_bounds; field++) {
            struct key_range range;
            TRY(reference_range(job, &placed[i], field, &range));
            bounds[field] = file_bound_cut(file->bounds[field].min, file->bounds[field].max, &range,
                                           job->arena);
        }
        files[i].bounds = bounds;
        job->result->references += placed[i].n_references;
    }
    *out = files;
    return 0;
}

static int sync_files(const struct job *job, const struct placed_file *placed, size_t n)
{
    if (n == 0) return 0;
    defer_free struct slice *keys = memory_alloc(n * sizeof *keys);
    for (size_t i = 0; i < n; i++)
        keys[i] = placed[i].file.key;
    return data_files_sync(job->table, keys, n);
}

/* Syncs the files and commits them. *keep is set when they must not be removed. */
static int commit(struct job *job, const struct placed_file *placed, size_t n, bool *keep)
{
    struct ingest_result *result = job->result;
    int64_t start_ns = now_ns(job);
    struct new_file *files;
    TRY(tell(job, INGEST_COMMITTING, true));
    TRY(describe_files(job, placed, n, &files));
    TRY(sync_files(job, placed, n));
    TRY(bad_rows_sync(&job->bad));
    TRY(runtime_check_cancel(job->runtime));
    struct ingest_commit what = {.state = job->state,
                                 .files = files,
                                 .n_files = n,
                                 .job = result->job_id,
                                 .job_is_given = job->options->job_id.size > 0,
                                 .writer = job->options->writer,
                                 .sequence = job->options->sequence,
                                 .cutoffs = job->rows.ages,
                                 .n_cutoffs = job->rows.n_ages,
                                 .now_ms = job->now_ms,
                                 .duration_ms = (start_ns - job->start_ns + 999999) / 1000000};
    end_fingerprint(job, what.fingerprint);
    struct commit_result done;
    int code = table_commit_ingest(job->table, &what, &done);
    *keep = (code == GLIS_EUNKNOWN && !GLIS_MUTANT(unknown_keeps_files)) ||
            (code == 0 && !done.already_done);
    TRY_CONTEXT(code, "committing the ingest");
    result->record = done.record;
    result->already_done = done.already_done;
    result->commit_ns = now_ns(job) - start_ns;
    return 0;
}

/* What operators are told of a job that is through. */
static void log_done(const struct job *job)
{
    const struct ingest_result *result = job->result;
    struct slice name = result->job_id.size ? result->job_id : job->options->writer;
    logger_log(job->runtime->logger, LOGGER_INFO, "ingest committed",
               LOGGER_FIELD_SLICE("table", table_name(job->table)), LOGGER_FIELD_SLICE("job", name),
               LOGGER_FIELD_NUMBER("record", (int64_t)result->record),
               LOGGER_FIELD_NUMBER("rows", (int64_t)result->rows),
               LOGGER_FIELD_NUMBER("files", (int64_t)result->files),
               LOGGER_FIELD_NUMBER("bytes", (int64_t)result->bytes));
}

static void note_written(struct job *job)
{
    struct ingest_result *result = job->result;
    struct ingest_writer_figures figures = ingest_writer_figures(job->writer);
    result->spill_runs = figures.spill_runs;
    result->merge_passes = figures.merge_passes;
    result->spilled_bytes = figures.spilled_bytes;
    result->rows = figures.rows;
    result->files = figures.files;
    result->bytes = figures.bytes;
}

static int write_and_commit(struct job *job)
{
    const struct placed_file *placed = NULL;
    size_t n = 0;
    bool keep = false;
    int64_t start_ns = now_ns(job);
    int code = tell(job, INGEST_WRITING, true);
    if (code < 0) {
        ingest_writer_remove_files(job->writer); /* there may be some already */
        return code;
    }
    code = ingest_writer_finish(job->writer, &placed, &n);
    job->result->write_ns = now_ns(job) - start_ns;
    if (code == 0) code = commit(job, placed, n, &keep);
    note_written(job);
    if (!keep) ingest_writer_remove_files(job->writer);
    if (code == 0 && job->result->already_done)
        job->result->rows = job->result->files = job->result->bytes = job->result->references = 0;
    if (code == 0) log_done(job);
    return code;
}

static int run(struct job *job, const struct slice *paths, size_t n_paths)
{
    struct ingest_result *result = job->result;
    TRY(check_options(job));
    TRY(table_state_get(job->table, 0, &job->state));
    job->schema = table_state_schema(job->state);
    if (!job->stream)
        TRY(ingest_inputs_find(job->runtime, paths, n_paths, job->options, job->arena, &job->inputs,
                               &job->n_inputs));
    for (size_t i = 0; i < job->n_inputs; i++) {
        job->progress.total_bytes += job->inputs[i].size;
        if (job->inputs[i].is_stdin) job->progress.total_bytes = 0;
    }
    if (job->options->writer.size == 0) {
        struct ulid made = ulid_new(job->runtime);
        result->job_id = arena_copy(job->arena, job->options->job_id.size ? job->options->job_id
                                                                          : ulid_slice(&made));
    }
    struct commit_result done;
    TRY(begin_fingerprint(job));
    TRY(check_done(job, &done));
    if (done.already_done) {
        TRY(table_settle(job->table, job->state));
        result->already_done = true;
        result->record = done.record;
        return 0;
    }
    TRY(prepare_processing(job));
    if (!job->options->dry_run) TRY(open_writer(job));
    int64_t start_ns = now_ns(job);
    int code = read_inputs(job);
    result->read_ns = now_ns(job) - start_ns;
    if (code < 0 && job->writer) ingest_writer_remove_files(job->writer);
    TRY(code);
    if (job->options->dry_run) return 0;
    return write_and_commit(job);
}

static int run_job(struct job *job, const struct slice *paths, size_t n_paths)
{
    static const struct ingest_options defaults;
    if (!job->options) job->options = &defaults;
    *job->result = (struct ingest_result){0};
    job->bad = (struct bad_rows){.path = job->options->bad_rows_to, .fd = -1};
    job->start_ns = now_ns(job);
    int code = run(job, paths, n_paths);
    struct ingest_result *result = job->result;
    result->rows_read = job->progress.rows_read;
    result->bytes_read = job->progress.bytes_read;
    result->bad_rows = job->bad.count;
    result->total_ns = now_ns(job) - job->start_ns;
    ingest_writer_free(job->writer);
    batch_stream_close(job->stream);
    bad_rows_close(&job->bad);
    hash_stream_free(job->hash);
    row_hash_free(job->row_hash);
    table_state_release(job->state);
    return code;
}

int ingest_files(struct table *table, struct runtime *runtime, const struct slice *paths,
                 size_t n_paths, const struct ingest_options *options, struct arena *arena,
                 struct ingest_result *out)
{
    struct job job = {
        .table = table, .runtime = runtime, .options = options, .arena = arena, .result = out};
    return run_job(&job, paths, n_paths);
}

int ingest_stream(struct table *table, struct runtime *runtime, struct batch_stream *stream,
                  const struct ingest_options *options, struct arena *arena,
                  struct ingest_result *out)
{
    struct job job = {.table = table,
                      .runtime = runtime,
                      .options = options,
                      .arena = arena,
                      .result = out,
                      .stream = stream};
    return run_job(&job, NULL, 0);
}
