/*
 * bulk_import_begin.c: how a bulk import is begun, or found: its options and inputs become a plan,
 * which is put if absent; when one is there the job goes on from that, if it is of the same input.
 *
 * A job that was left for so long that the horizon has passed what it began with could never be
 * committed: with its input it is begun anew, without it is an error. That may happen to a job at
 * its very beginning, too, when the process is stopped between its first look at the table and its
 * pin: then it begins anew by itself.
 */
#include "lsm/bulk_import_int.h"

#include "base/ulid.h"

#include <errno.h>
#include <stdlib.h>

enum { BEGIN_TRIES = 5 };

enum { OPEN_ATTEMPTS = 8 };

static int find_inputs(struct bulk_import *job, const struct slice *paths, size_t n_paths)
{
    struct ingest_options options = {.format = job->options.format,
                                     .csv_delimiter = job->options.csv_delimiter,
                                     .csv_null_text = job->options.csv_null_text,
                                     .ignore_extra_columns = job->options.ignore_extra_columns};
    struct bulk_plan *plan = &job->plan;
    TRY(ingest_inputs_find(job->runtime, paths, n_paths, &options, &job->arena, &plan->inputs,
                           &plan->n_inputs));
    for (size_t i = 0; i < plan->n_inputs; i++) {
        struct ingest_input *input = &plan->inputs[i];
        if (input->is_stream)
            return error_set(GLIS_EINVALID,
                             "%s can be read only once; a bulk import reads files by parts",
                             input->name);
        if (memmem(input->address.data, input->address.size, "://", 3)) continue;
        char *path = realpath(input->name, NULL); /* other processes may stand elsewhere */
        if (!path) return error_set_errno(errno, "cannot read '%s'", input->name);
        input->address = arena_copy(&job->arena, slice_from_text(path));
        /* What is said of a job that many may be at is the same whoever says it. */
        if (plan->job_is_given) input->name = arena_copy_text(&job->arena, input->address);
        free(path);
    }
    return 0;
}

/* Of what was asked for; zero for a job with a made id. */
static int make_fingerprint(struct bulk_import *job)
{
    struct bulk_plan *plan = &job->plan;
    if (!plan->job_is_given) return 0;
    struct hash_stream *hash = hash_stream_new();
    uint8_t flags[2] = {plan->ignore_extra_columns, plan->csv_null_text.data != NULL};
    if (plan->bad_rows_to.size) flags[0] |= 2;
    hash_stream_add(hash, flags, sizeof flags);
    hash_stream_add(hash, plan->csv_null_text.data, plan->csv_null_text.size);
    int code = ingest_inputs_hash(job->runtime, plan->inputs, plan->n_inputs, hash);
    struct hash128 value = hash_stream_128(hash);
    plan->fingerprint[0] = value.high;
    plan->fingerprint[1] = value.low;
    hash_stream_free(hash);
    return code;
}

/* What was asked for, as a plan without units. */
static int describe_job(struct bulk_import *job, const struct slice *paths, size_t n_paths)
{
    const struct bulk_import_options *options = &job->options;
    struct bulk_plan *plan = &job->plan;
    struct ulid id = ulid_new(job->runtime);
    plan->id = arena_copy(&job->arena, ulid_slice(&id));
    plan->job_is_given = options->job_id.size > 0;
    plan->job = plan->job_is_given ? options->job_id : plan->id;
    plan->ignore_extra_columns = options->ignore_extra_columns;
    plan->csv_null_text = options->csv_null_text;
    plan->now_ms = job->runtime->clock->wall_ms(job->runtime->clock);
    if (plan->job_is_given) TRY(ingest_check_name(options->job_id, "job id"));
    if (n_paths == 0 && !plan->job_is_given)
        return error_set(GLIS_EINVALID, "a bulk import needs files, or the id of one begun before");
    if (options->bad_rows_to)
        TRY(bulk_bad_rows_path(job, options->bad_rows_to, &plan->bad_rows_to));
    if (n_paths == 0) return 0;
    TRY(find_inputs(job, paths, n_paths));
    return make_fingerprint(job);
}

/* Whether the job was committed before; then there is nothing to do. */
static int find_done(struct bulk_import *job, const struct table_state *state)
{
    struct commit_result done = {0};
    if (!job->plan.job_is_given) return 0;
    TRY(table_check_job(state, job->plan.job, job->plan.fingerprint, &done));
    if (!done.already_done) return 0;
    TRY(table_settle(job->table, state));
    job->result.is_done = job->result.already_done = true;
    job->result.record = done.record;
    return 0;
}

static int make_plan(struct bulk_import *job, const struct table_state *state)
{
    defer_buffer struct buffer text = BUFFER_INIT(BULK_OBJECT_BYTES_MAX);
    struct bulk_plan *plan = &job->plan;
    plan->record = table_state_record(state);
    TRY(bulk_plan_cut(job->runtime, plan, table_state_schema(state), job->memory_bytes * 7 / 20,
                      &job->arena));
    TRY(bulk_plan_write(plan, &text));
    return step_put(job->runtime, job->store, bulk_plan_key(job->table, plan->job, &job->arena),
                    buffer_slice(&text), NULL);
}

/* Whether the job whose plan was read can no longer be gone on with: its files lie below the
 * horizon, or whoever began it died before the pin, or the pin ran out, and what it began with was
 * collected since. When it can, it is pinned. */
static int is_stale(struct bulk_import *job, const struct table_state *state, struct slice plan,
                    bool *out)
{
    defer_buffer struct buffer again = BUFFER_INIT(BULK_OBJECT_BYTES_MAX);
    *out = true;
    if (table_state_horizon(state) > job->plan.record) return 0;
    int code = bulk_pin(job);
    *out = code == GLIS_EREFUSED;
    if (!*out) return code;
    /* It may have been refused for the clock of this machine, which is not the job's fault. */
    const struct table_state *now;
    struct error_detail refusal;
    error_save(&refusal);
    TRY(table_state_get(job->table, 0, &now));
    *out = !table_record_can_be_pinned(now, job->plan.record, true);
    table_state_release(now);
    if (!*out) return error_load(&refusal);
    code = store_get(job->store, bulk_plan_key(job->table, job->plan.job, &job->arena), 0,
                     STORE_TO_END, &again);
    if (code < 0 && code != GLIS_ENOTFOUND) return code;
    if (code < 0 || !slice_equal(buffer_slice(&again), plan))
        return error_set(GLIS_EGONE, "job '%.*s' was begun anew by somebody else meanwhile",
                         SLICE_PRINT(job->plan.job));
    error_clear();
    return 0;
}

/* A job of that id is under way: goes on with it. *stale: it was left for so long that its files
 * could no longer be added; it is taken away. has_ended is set when its plan has just gone. */
static int join(struct bulk_import *job, bool has_paths, const struct table_state *state,
                bool *stale)
{
    defer_buffer struct buffer text = BUFFER_INIT(BULK_OBJECT_BYTES_MAX);
    struct bulk_plan asked = job->plan, there;
    *stale = false;
    int code = store_get(job->store, bulk_plan_key(job->table, asked.job, &job->arena), 0,
                         STORE_TO_END, &text);
    job->has_ended = code == GLIS_ENOTFOUND;
    TRY(code);
    TRY(bulk_plan_read(arena_copy(&job->arena, buffer_slice(&text)), &job->arena, &there));
    if (!there.job_is_given) /* whoever fails at such a job takes its files away */
        return error_set(GLIS_EREFUSED,
                         "job '%.*s' was begun without an id being given: whoever began it does it "
                         "by itself; --cancel takes away what is left of one that died",
                         SLICE_PRINT(asked.job));
    if (asked.bad_rows_to.size && !there.bad_rows_to.size)
        return error_set(GLIS_EEXISTS,
                         "job '%.*s' was begun without setting bad rows aside: the first one ends "
                         "it; give it up with --cancel, then begin it again",
                         SLICE_PRINT(asked.job));
    if (has_paths && memcmp(asked.fingerprint, there.fingerprint, sizeof asked.fingerprint) != 0)
        return error_set(GLIS_EEXISTS, "job '%.*s' was begun with other input",
                         SLICE_PRINT(asked.job));
    job->plan = there;
    job->joined = true;
    TRY(is_stale(job, state, buffer_slice(&text), stale));
    if (!*stale) return 0;
    if (!has_paths)
        return error_set(GLIS_EGONE,
                         "job '%.*s' was left for too long: its files can no longer be added; "
                         "begin it again with its input",
                         SLICE_PRINT(asked.job));
    job->run_known = ARENA_ARRAY(&job->arena, bool, there.n_units);
    bulk_clean_up(job, false);
    job->plan = asked;
    job->hold = (struct table_hold){0}; /* of another record */
    job->joined = false;
    *stale = true;
    return 0;
}

/* Nobody is at it, and the input is not told: a job that was done, whatever it was, is done. */
static int find_ended(struct bulk_import *job, const struct table_state *state)
{
    struct commit_result done = {0};
    int code = table_check_job(state, job->plan.job, job->plan.fingerprint, &done);
    if (code < 0 && code != GLIS_EEXISTS) return code;
    if (code == 0 && !done.already_done)
        return error_set(GLIS_ENOTFOUND, "no bulk import '%.*s' is under way, and none was done",
                         SLICE_PRINT(job->plan.job));
    error_clear();
    TRY(table_settle(job->table, state));
    job->result.is_done = job->result.already_done = true;
    job->result.record = done.record;
    return 0;
}

static int begin(struct bulk_import *job, size_t n_paths, const struct table_state *state)
{
    struct store_object object;
    struct slice key = bulk_plan_key(job->table, job->plan.job, &job->arena);
    bool stale = false;
    int code = job->plan.job_is_given ? store_head(job->store, key, &object) : GLIS_ENOTFOUND;
    if (code < 0 && code != GLIS_ENOTFOUND) return code;
    if (code == GLIS_ENOTFOUND && n_paths == 0) return find_ended(job, state);
    if (code == 0) TRY(join(job, n_paths > 0, state, &stale));
    if (job->joined || job->result.is_done) return 0;
    code = make_plan(job, state);
    return code == GLIS_EEXISTS ? join(job, n_paths > 0, state, &stale) : code;
}

static void read_settings(struct bulk_import *job)
{
    struct instance *instance = table_instance(job->table);
    const struct bulk_import_options *options = &job->options;
    job->memory_bytes = spill_memory_choose(instance, options->memory_bytes);
    job->spill_folder = spill_folder_choose(instance, options->spill_folder, &job->arena);
}

/* What was begun before a reset or a restore can never be added. */
static int check_generation(struct bulk_import *job, const struct table_state *now)
{
    if (table_state_generation(now) == table_state_generation(job->begun)) return 0;
    job->is_hopeless = true;
    return error_set(GLIS_EREFUSED,
                     "the table was reset or restored since the job was begun, so the job is given "
                     "up; begin it again with its input");
}

/* Everything for the steps of the plan. */
static int take_plan(struct bulk_import *job, const struct table_state *now)
{
    size_t n = job->plan.n_units;
    job->runs = ARENA_ARRAY(&job->arena, struct bulk_run, n);
    job->run_known = ARENA_ARRAY(&job->arena, bool, n);
    int code = 0;
    if (!job->begun) code = table_state_at(job->table, job->plan.record, &job->begun);
    job->is_overtaken = code == GLIS_EGONE;
    TRY_CONTEXT(code, "the record that the job began with");
    TRY(check_generation(job, now));
    code = bulk_pin(job);
    job->is_overtaken = code == GLIS_EREFUSED;
    return code;
}

static int open_job(struct bulk_import *job, const struct slice *paths, size_t n_paths)
{
    const struct table_state *state;
    int code;
    TRY(describe_job(job, paths, n_paths));
    for (int attempt = 0;; attempt++) {
        TRY(table_state_get(job->table, 0, &state));
        job->has_ended = false;
        code = n_paths ? find_done(job, state) : 0;
        if (code == 0 && !job->result.is_done) code = begin(job, n_paths, state);
        /* Somebody committed or cancelled it between two requests of ours: who looks again sees
         * which. */
        if (code == 0 || !job->has_ended || attempt == OPEN_ATTEMPTS) break;
        table_state_release(state);
    }
    if (code == 0 && !job->result.is_done && table_state_record(state) == job->plan.record)
        job->begun = table_state_acquire(state);
    job->result.job_id = job->plan.job;
    if (code == 0 && !job->result.is_done) code = take_plan(job, state);
    table_state_release(state);
    return code;
}

/* Forgets what it was about to begin, which others passed by between its first look at the table
 * and its pin. A plan with a given id stays: it is met when the job is begun again, and taken away
 * with all that others may have done of it meanwhile. */
static void begin_again(struct bulk_import *job)
{
    if (!job->plan.job_is_given) bulk_clean_up(job, false);
    error_clear();
    table_state_release(job->begun);
    job->begun = NULL;
    job->runs = NULL;
    job->run_known = NULL;
    job->plan = (struct bulk_plan){0};
    job->hold = (struct table_hold){0};
    job->result = (struct bulk_import_result){0};
    job->joined = job->is_overtaken = false;
}

int bulk_import_open(struct bulk_import **out, struct table *table, struct runtime *runtime,
                     const struct slice *paths, size_t n_paths,
                     const struct bulk_import_options *options)
{
    struct bulk_import *job = memory_alloc_zero(sizeof *job);
    arena_init(&job->arena, NULL);
    job->table = table;
    job->runtime = runtime;
    job->store = instance_store(table_instance(table));
    job->options = *options;
    read_settings(job);
    int code = open_job(job, paths, n_paths);
    for (int i = 1; code < 0 && job->is_overtaken && n_paths && i < BEGIN_TRIES; i++) {
        begin_again(job);
        code = open_job(job, paths, n_paths);
    }
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        /* Nobody can go on with a job whose id was made here. */
        if (job->run_known && !job->plan.job_is_given && code != GLIS_EUNKNOWN)
            bulk_clean_up(job, false);
        if (job->is_hopeless && job->plan.job_is_given) bulk_give_up(job);
        bulk_import_close(job);
        return error_load(&detail);
    }
    *out = job;
    return 0;
}

struct bulk_import_result bulk_import_result(const struct bulk_import *job)
{
    return job->result;
}

void bulk_import_close(struct bulk_import *job)
{
    if (!job) return;
    table_state_release(job->begun);
    table_state_release(job->state);
    arena_free(&job->arena);
    memory_defer_free(&job);
}
