/*
 * compaction.c: one compaction: assign, merge, commit.
 *
 * The job's files are assigned to it first, so that nobody else begins with them; the state after
 * that commit says what is merged and gives the output its name, so that the horizon cannot pass it
 * while the assignment lives. While rows flow the assignment is extended; a worker that falls
 * asleep loses its files to whoever comes, and its commit is refused, because they no longer name
 * it.
 *
 * Rows pass the table's filters, aggregations and iterator as they do in an ingest and in a query
 * (process/); what was filtered by age is told to the state, so that no reader ever sees more of a
 * file that was not merged.
 */
#include "lsm/lsm_int.h"

#include "base/logger.h"
#include "base/mutant.h"
#include "base/ulid.h"

struct compaction {
    struct table *table;
    struct runtime *runtime;
    const struct work_options *options;
    struct arena *arena;
    struct job_assignment assignment;
    uint64_t partition_files;
    struct row_processing rows;
    const struct table_state *state; /* after the assignment */
    struct merge_file_input *inputs;
    size_t n_inputs;
    int64_t lease_ms, extend_at_ms;
    struct compaction_result *result;
};

static int64_t wall_ms(const struct compaction *work)
{
    return work->runtime->clock->wall_ms(work->runtime->clock);
}

/* ---- what is done to rows ---- */

static int open_hook(void *state, struct batch_stream *merged, struct batch_stream **out)
{
    struct row_processing *rows = state;
    return process_open(out, rows->runtime, merged, &rows->processing, &rows->options,
                        rows->runtime->budget);
}

int row_processing_make(struct row_processing *out, struct table *table,
                        const struct table_state *state, struct runtime *runtime, int64_t now_ms,
                        struct arena *arena)
{
    const struct schema *schema = table_state_schema(state);
    struct instance *instance = table_instance(table);
    *out = (struct row_processing){.runtime = runtime};
    TRY(table_state_processing(state, arena, &out->processing));
    struct process_cutoff *cutoffs = ARENA_ARRAY(arena, struct process_cutoff, schema->n_fields);
    uint32_t n_cutoffs = 0;
    for (uint32_t f = 0; f < schema->n_fields; f++) {
        int64_t cutoff = table_state_cutoff(state, schema->fields[f].name);
        if (cutoff > INT64_MIN) cutoffs[n_cutoffs++] = (struct process_cutoff){f, cutoff};
    }
    out->options = (struct process_options){
        .now_ms = now_ms,
        .cutoffs = cutoffs,
        .n_cutoffs = n_cutoffs,
        .iterator_folder =
            arena_copy_text(arena, instance_text(instance, PROPERTY_ITERATOR_FOLDER)),
        .iterator_timeout_ms = instance_number(instance, PROPERTY_ITERATOR_TIMEOUT),
    };
    out->is_needed = process_is_needed(&out->processing, &out->options);
    out->hook = (struct merge_hook){
        .open = open_hook, .state = out, .by_key = out->processing.iterator.size == 0};
    struct age_cutoff *ages = ARENA_ARRAY(arena, struct age_cutoff, out->processing.n_filters);
    for (uint32_t i = 0; i < out->processing.n_filters; i++)
        ages[i] = (struct age_cutoff){
            schema->fields[out->processing.filters[i].field].name,
            age_cutoff_ms(out->processing.filters[i].age_ms, now_ms),
        };
    out->ages = ages;
    out->n_ages = out->processing.n_filters;
    return 0;
}

/* ---- steps ---- */

static int assign(struct compaction *work)
{
    int64_t now = wall_ms(work), log_ms = work->state ? table_state_time_ms(work->state) : 0;
    work->assignment.until_ms = (now > log_ms ? now : log_ms) + work->lease_ms;
    work->extend_at_ms = now + work->lease_ms / 3;
    return table_assign_job(work->table, &work->assignment, NULL);
}

/* What the assigned references are; GLIS_EREFUSED when one of them has gone already. */
static int describe_inputs(struct compaction *work)
{
    struct partition partition;
    struct table_reference *references;
    size_t n;
    TRY(table_partition(work->state, work->assignment.partition, work->arena, &partition));
    TRY(table_references(work->state, partition.id, work->arena, &references, &n));
    work->inputs = ARENA_ARRAY(work->arena, struct merge_file_input, n);
    for (size_t i = 0; i < n; i++) {
        const struct table_file *file = references[i].file;
        if (!slice_equal(references[i].job, work->assignment.job)) continue;
        work->inputs[work->n_inputs++] = (struct merge_file_input){
            .name = file->name,
            .object_key = table_file_key(work->table, file->name, work->arena),
            .size = file->size,
            .rows = file->rows,
            .schema_version = file->schema_version,
            .bounds = file->bounds,
            .region = partition.region,
        };
        work->result->bytes_read += file->size;
    }
    if (work->n_inputs != work->assignment.n_files)
        return error_set(GLIS_EREFUSED, "another job took files of job '%.*s'",
                         SLICE_PRINT(work->assignment.job));
    return 0;
}

static int progress(void *state, const struct merge_files_progress *figures)
{
    struct compaction *work = state;
    if (wall_ms(work) >= work->extend_at_ms) TRY(assign(work));
    if (!work->options->progress) return 0;
    return work->options->progress(work->options->progress_state, figures);
}

static int merge(struct compaction *work, struct merge_files_result *merged)
{
    struct instance *instance = table_instance(work->table);
    struct partition partition;
    TRY(table_partition(work->state, work->assignment.partition, work->arena, &partition));
    struct merge_files_options options = {
        .hook = work->rows.is_needed ? &work->rows.hook : NULL,
        .memory_bytes = spill_memory_choose(instance, work->options->memory_bytes),
        .spill_folder = spill_folder_choose(instance, work->options->spill_folder, work->arena),
        .region = partition.region,
        .progress = progress,
        .progress_state = work,
    };
    return merge_files(work->table, work->state, work->runtime, work->inputs, work->n_inputs,
                       &options, work->arena, merged);
}

static int commit(struct compaction *work, const struct merge_files_result *merged,
                  int64_t start_ms, bool *keep)
{
    *keep = false;
    if (merged->any) TRY(data_files_sync(work->table, &merged->object_key, 1));
    TRY(runtime_check_cancel(work->runtime));
    struct compaction_result *result = work->result;
    result->rows_read = merged->rows_read;
    result->rows_copied = merged->rows_copied;
    result->rows_written = merged->any ? merged->file.rows : 0;
    result->bytes_written = merged->any ? merged->file.size : 0;
    result->duration_ms = wall_ms(work) - start_ms;
    struct compaction_commit what = {
        .state = work->state,
        .job = work->assignment.job,
        .partition = work->assignment.partition,
        .inputs = work->assignment.files,
        .n_inputs = work->assignment.n_files,
        .file = merged->any ? &merged->file : NULL,
        .cutoffs = work->rows.ages,
        .n_cutoffs = work->rows.n_ages,
        .now_ms = work->rows.options.now_ms,
        .rows_read = result->rows_read,
        .rows_written = result->rows_written,
        .duration_ms = result->duration_ms,
    };
    struct commit_result done;
    int code = table_commit_compaction(work->table, &what, &done);
    *keep = code == 0 || (code == GLIS_EUNKNOWN && !GLIS_MUTANT(unknown_keeps_output));
    TRY_CONTEXT(code, "committing the compaction");
    result->record = done.record;
    return 0;
}

static int run(struct compaction *work)
{
    int64_t start_ms = wall_ms(work);
    struct merge_files_result merged = {0};
    bool keep = false;
    TRY(table_state_get(work->table, 0, &work->state));
    TRY(describe_inputs(work));
    TRY(row_processing_make(&work->rows, work->table, work->state, work->runtime, start_ms,
                            work->arena));
    TRY(merge(work, &merged));
    int code = commit(work, &merged, start_ms, &keep);
    if (code == 0 || keep || !merged.any) return code;
    struct error_detail detail;
    error_save(&detail);
    if (store_remove(instance_store(table_instance(work->table)), &merged.object_key, 1) < 0)
        error_clear(); /* collection removes it */
    return error_load(&detail);
}

/* After a failure: the files are given back, and what happened is written down. */
static void give_up(struct compaction *work)
{
    struct error_detail detail;
    struct slice reason = arena_copy(work->arena, slice_from_text(error_message()));
    error_save(&detail);
    struct job_report report = {
        .job = work->assignment.job,
        .kind = SLICE("compaction"),
        .partition = work->assignment.partition,
        .reason = reason,
        .time_ms = wall_ms(work),
        .partition_files = work->partition_files,
    };
    /* Nothing that the partition's files could help: it need not rest for it. */
    if (detail.code == GLIS_ENOSPACE || detail.code == GLIS_ENOMEM || detail.code == GLIS_EDENIED)
        report.partition_files = 0;
    if (detail.code != GLIS_ECANCELLED && job_report_put(work->table, &report) < 0) error_clear();
    if (table_release_job(work->table, work->assignment.job, NULL) < 0)
        error_clear(); /* the assignment runs out */
    error_load(&detail);
}

/* Whether a refusal has nothing to do with others: the job still has all of its files, and neither
 * the table's rows nor its processing were exchanged. Doing the same again would be refused again
 * (an iterator that makes rows, a merge slower than the age of orphans), so it is a failure. */
static bool is_own_failure(const struct compaction *work)
{
    const struct table_state *now;
    struct table_assignment *assignments;
    struct error_detail refusal;
    size_t n;
    bool own = false;
    error_save(&refusal);
    if (!work->state || table_state_get(work->table, 0, &now) < 0) {
        error_load(&refusal);
        return false;
    }
    bool same = table_state_generation(now) == table_state_generation(work->state) &&
                table_state_processing_version(now) == table_state_processing_version(work->state);
    if (same && table_assignments(now, work->arena, &assignments, &n) == 0)
        for (size_t i = 0; i < n; i++)
            own |= slice_equal(assignments[i].job, work->assignment.job) &&
                   assignments[i].n_references == work->assignment.n_files;
    table_state_release(now);
    error_load(&refusal);
    return own;
}

int compaction_run(struct table *table, struct runtime *runtime, const struct compaction_job *job,
                   const struct work_options *options, struct arena *arena,
                   struct compaction_result *out)
{
    static const struct work_options defaults = {0};
    struct ulid id = ulid_new(runtime);
    *out = (struct compaction_result){.job = arena_copy(arena, ulid_slice(&id))};
    struct compaction work = {
        .table = table,
        .runtime = runtime,
        .options = options ? options : &defaults,
        .arena = arena,
        .assignment = {.job = out->job,
                       .partition = job->partition,
                       .files = job->files,
                       .n_files = job->n_files},
        .partition_files = job->partition_files,
        .result = out,
    };
    work.lease_ms = work.options->lease_ms;
    if (!work.lease_ms)
        work.lease_ms = instance_number(table_instance(table), PROPERTY_COMPACTION_LEASE);
    int code = assign(&work);
    if (code == GLIS_EREFUSED) {
        out->is_lost = true;
        out->reason = arena_copy(arena, slice_from_text(error_message()));
        error_clear();
        return 0;
    }
    TRY_CONTEXT(code, "assigning files to job %.*s", SLICE_PRINT(out->job));
    code = run(&work);
    /* Who took the files may have removed them as well, in the middle of the merge. */
    bool may_be_lost = code == GLIS_EREFUSED || code == GLIS_EGONE || code == GLIS_ENOTFOUND;
    bool is_lost = may_be_lost && !is_own_failure(&work);
    table_state_release(work.state);
    if (code == 0) {
        logger_log(runtime->logger, LOGGER_INFO, "compaction committed",
                   LOGGER_FIELD_SLICE("table", table_name(table)),
                   LOGGER_FIELD_SLICE("job", out->job),
                   LOGGER_FIELD_SLICE("partition", job->partition),
                   LOGGER_FIELD_NUMBER("record", (int64_t)out->record),
                   LOGGER_FIELD_NUMBER("files", (int64_t)job->n_files),
                   LOGGER_FIELD_NUMBER("rows", (int64_t)out->rows_written));
        return 0;
    }
    if (is_lost) {
        out->is_lost = true;
        out->reason = arena_copy(arena, slice_from_text(error_message()));
        error_clear();
        if (table_release_job(table, out->job, NULL) < 0) error_clear();
        return 0;
    }
    give_up(&work);
    error_context("compaction of partition '%.*s'", SLICE_PRINT(job->partition));
    return code;
}
