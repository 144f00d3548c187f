/*
 * bulk_import.c: a bulk import from its beginning to its commit.
 *
 *   begin    the plan put if absent: inputs, units, the state that it began with; a pin for work
 *   sort     each unit into a sorted file
 *   tree     which tree the rows are written for
 *   write    the rows of some leaves into data files
 *   commit   one transaction that names them all; then everything else of the job goes
 *
 * Each step has an outcome that is put once. Any number of processes may do steps of a job: each
 * looks for the outcome before it begins, and when another's was put first uses that and removes
 * what it made itself. Whoever comes later begins with a step of his own choosing, so that two
 * rarely do the same; where they do, it costs time and nothing else.
 *
 * The commit's files are those of the outcomes, whoever commits, and the log takes one of them. A
 * job whose id was made up is nobody else's: its outcomes need not be durable, and it removes what
 * it made when it fails. One with a given id stays as it is, and is gone on with by the same call;
 * collection takes it away when its pin has run out.
 */
#include "lsm/bulk_import_int.h"

#include "base/logger.h"
#include "base/mutant.h"
#include "base/text.h"

enum { REMOVE_AT_ONCE = 1000 };
/* A pin outlives its job by this much at most when that is cut off. */
static const int64_t PIN_MS = INT64_C(24) * 3600 * 1000;

/* ---- progress and the pin ---- */

int bulk_pin(struct bulk_import *job)
{
    if (GLIS_MUTANT(bulk_is_pinned)) return 0;
    if (!job->hold.table)
        job->hold = (struct table_hold){.table = job->table,
                                        .id = job->plan.job,
                                        .record = job->plan.record,
                                        .length_ms = PIN_MS,
                                        .keeps_work = true,
                                        .is_required = true};
    TRY_CONTEXT(table_hold_renew(&job->hold), "pinning record %llu for the job",
                (unsigned long long)job->plan.record);
    return 0;
}

int bulk_tell(struct bulk_import *job, uint64_t rows)
{
    TRY(bulk_check_there(job));
    TRY(bulk_pin(job));
    job->progress.rows = job->rows_before + rows;
    if (!job->options.progress) return 0;
    int code = job->options.progress(job->options.progress_state, &job->progress);
    if (code == 0) return 0;
    return code < 0 ? code : error_set(GLIS_ECANCELLED, "the caller ended the job");
}

static int begin_phase(struct bulk_import *job, int phase, uint64_t n_steps, uint64_t rows_total)
{
    job->progress =
        (struct bulk_import_progress){.phase = phase, .n_steps = n_steps, .rows_total = rows_total};
    job->rows_before = 0;
    return bulk_tell(job, 0);
}

static int end_step(struct bulk_import *job, uint64_t rows)
{
    job->progress.steps_done++;
    job->rows_before += rows;
    return bulk_tell(job, 0);
}

/* ---- removing ---- */

void bulk_remove_file(const struct bulk_import *job, struct slice name)
{
    struct error_detail detail;
    error_save(&detail);
    struct slice key = table_file_key(job->table, name, (struct arena *)&job->arena);
    if (name.size && store_remove(job->store, &key, 1) < 0)
        error_clear(); /* collection will find it */
    (void)error_load(&detail);
}

static void remove_keys(const struct bulk_import *job, const struct slice *keys, size_t n)
{
    for (size_t i = 0; i < n; i += REMOVE_AT_ONCE)
        if (store_remove(job->store, keys + i, n - i < REMOVE_AT_ONCE ? n - i : REMOVE_AT_ONCE) < 0)
            error_clear();
}

static int add_key(void *state, const struct store_object *object)
{
    struct bulk_import *job = state;
    ARENA_GROW(&job->arena, job->keys, job->n_keys, job->keys_capacity);
    job->keys[job->n_keys++] = arena_copy(&job->arena, object->key);
    return 0;
}

/* Takes away the plan first, so that whoever puts an outcome behind our back sees that the job has
 * ended; then the sorted files, the outcomes, and the pin. */
void bulk_clean_up(struct bulk_import *job, bool written_too)
{
    struct error_detail detail;
    error_save(&detail);
    struct slice plan = bulk_plan_key(job->table, job->plan.job, &job->arena);
    struct slice steps = bulk_step_key(job, SLICE_EMPTY);
    remove_keys(job, &plan, 1);
    for (size_t i = 0; i < job->plan.n_units; i++)
        if (job->run_known[i]) bulk_remove_run(job, &job->runs[i]);
    for (size_t i = 0; written_too && job->written && i < job->n_write_steps; i++)
        for (size_t k = 0; job->written_known[i] && k < job->written[i].n_files; k++)
            bulk_remove_file(job, job->written[i].files[k].file.name);
    job->n_keys = 0;
    if (store_each(job->store, steps, SLICE_EMPTY, add_key, job) < 0) error_clear();
    remove_keys(job, job->keys, job->n_keys);
    table_hold_end(&job->hold);
    (void)error_load(&detail);
}

/* ---- outcomes ---- */

static struct slice step_name(struct bulk_import *job, const char *kind, size_t i)
{
    return slice_from_text(arena_printf(&job->arena, "%s-%06zu", kind, i));
}

/* The outcome of a step; *json is NULL when there is none. */
static int get_outcome(struct bulk_import *job, struct slice step, const struct json **json)
{
    defer_buffer struct buffer text = BUFFER_INIT(BULK_OBJECT_BYTES_MAX);
    *json = NULL;
    int code = store_get(job->store, bulk_step_key(job, step), 0, STORE_TO_END, &text);
    if (code == GLIS_ENOTFOUND) return 0;
    TRY(code);
    TRY_CONTEXT(json_parse(&job->arena, arena_copy(&job->arena, buffer_slice(&text)),
                           JSON_RULES_INTERNAL, json),
                "step %.*s", SLICE_PRINT(step));
    return 0;
}

static uint32_t row_key_count(const struct bulk_import *job)
{
    return table_state_schema(job->begun)->n_row_keys;
}

static int find_run(struct bulk_import *job, size_t i)
{
    const struct json *json;
    struct slice step = step_name(job, "sort", i);
    if (job->run_known[i]) return 0;
    TRY(get_outcome(job, step, &json));
    if (!json) return 0;
    TRY_CONTEXT(bulk_run_read(json, row_key_count(job), &job->arena, &job->runs[i]), "step %.*s",
                SLICE_PRINT(step));
    job->run_known[i] = true;
    return 0;
}

static int find_written(struct bulk_import *job, size_t i)
{
    const struct json *json;
    struct slice step = step_name(job, "write", i);
    if (job->written_known[i]) return 0;
    TRY(get_outcome(job, step, &json));
    if (!json) return 0;
    TRY_CONTEXT(bulk_written_read(json, row_key_count(job), &job->arena, &job->written[i]),
                "step %.*s", SLICE_PRINT(step));
    job->written_known[i] = true;
    return 0;
}

static int find_runs(struct bulk_import *job, bool *all)
{
    *all = true;
    for (size_t i = 0; i < job->plan.n_units; i++) {
        TRY(find_run(job, i));
        *all = *all && job->run_known[i];
    }
    return 0;
}

static int find_all_written(struct bulk_import *job, bool *all)
{
    *all = true;
    for (size_t i = 0; i < job->n_write_steps; i++) {
        TRY(find_written(job, i));
        *all = *all && job->written_known[i];
    }
    return 0;
}

/* The state that the tree step chose. */
static int take_tree(struct bulk_import *job, uint64_t record)
{
    const struct table_state *state;
    TRY_CONTEXT(table_state_at(job->table, record, &state), "the record of the job's tree");
    job->state = state;
    TRY(table_tree(state, &job->arena, &job->tree));
    uint32_t n = job->tree->n_leaves;
    job->n_write_steps = n < BULK_WRITE_STEPS_MAX ? n : BULK_WRITE_STEPS_MAX;
    job->written = ARENA_ARRAY(&job->arena, struct bulk_written, job->n_write_steps);
    job->written_known = ARENA_ARRAY(&job->arena, bool, job->n_write_steps);
    job->result.leaves = n;
    return 0;
}

static int find_tree(struct bulk_import *job)
{
    const struct json *json;
    int64_t record;
    if (job->state) return 0;
    TRY(get_outcome(job, SLICE("tree"), &json));
    if (!json) return 0;
    TRY_CONTEXT(json_get_int(json, "record", 1, INT64_MAX, &record), "step tree");
    return take_tree(job, (uint64_t)record);
}

/* ---- steps ---- */

/* Puts our outcome of a step. *mine: it is the one that counts; else one is there, perhaps ours
 * too, or (GLIS_EGONE) the job has ended. *doubt: what we made may have been used, whatever it
 * looks like now, and is not to be removed: so it is when the job ended behind our put, for that is
 * also what a commit looks like that another made with it. */
static int put_outcome(struct bulk_import *job, struct slice step, const struct buffer *text,
                       bool *mine, bool *doubt)
{
    struct slice key = bulk_step_key(job, step);
    int code = step_put(job->runtime, job->store, key, buffer_slice(text), doubt);
    *mine = code == 0;
    if (code == GLIS_EEXISTS) return 0;
    TRY(code);
    if (!job->plan.job_is_given) return 0; /* nobody else is at it */
    if (bulk_is_there(job)) return 0;
    *mine = false;
    *doubt = true;
    remove_keys(job, &key, 1);
    return bulk_ended_meanwhile();
}

/* Whether what we made for a step can go: its outcome was not put. */
static bool is_in_vain(int put_code)
{
    return put_code < 0 && put_code != GLIS_EUNKNOWN;
}

static bool same_run(const struct bulk_run *a, const struct bulk_run *b)
{
    return slice_equal(a->name, b->name) && slice_equal(a->bad_name, b->bad_name);
}

static int do_sort(struct bulk_import *job, size_t i)
{
    defer_buffer struct buffer text = BUFFER_INIT(BULK_OBJECT_BYTES_MAX);
    struct bulk_run run;
    bool mine = false, doubt = false;
    TRY(find_run(job, i));
    if (job->run_known[i]) return end_step(job, job->runs[i].rows);
    TRY(bulk_sort(job, i, &run));
    int code = bulk_run_write(&run, row_key_count(job), &text);
    if (code == 0) code = put_outcome(job, step_name(job, "sort", i), &text, &mine, &doubt);
    /* Of a job that has ended nobody wants sorted files, however it did. */
    if (is_in_vain(code) && (!doubt || code == GLIS_EGONE)) bulk_remove_run(job, &run);
    TRY(code);
    if (mine) {
        job->runs[i] = run;
        job->run_known[i] = true;
        return end_step(job, run.rows);
    }
    TRY(find_run(job, i));
    bool counts = job->run_known[i] ? same_run(&job->runs[i], &run) : doubt;
    if (!counts) bulk_remove_run(job, &run);
    return job->run_known[i] ? end_step(job, job->runs[i].rows) : bulk_ended_meanwhile();
}

static bool same_files(const struct bulk_written *a, const struct bulk_written *b)
{
    return a->n_files == b->n_files &&
           (a->n_files == 0 || slice_equal(a->files[0].file.name, b->files[0].file.name));
}

static void remove_written(const struct bulk_import *job, const struct bulk_written *written)
{
    for (size_t i = 0; i < written->n_files; i++)
        bulk_remove_file(job, written->files[i].file.name);
}

/* Of a job that ended behind our put: when it was committed, and the state knows nothing of our
 * files, it was with another's, and nobody can add ours any more. Else collection will tell. */
static void remove_unwanted(struct bulk_import *job, const struct bulk_written *written)
{
    const struct table_state *state;
    struct commit_result done = {0};
    struct table_file file;
    struct error_detail detail;
    error_save(&detail);
    if (table_state_get(job->table, 0, &state) == 0) {
        int code = table_check_job(state, job->plan.job, job->plan.fingerprint, &done);
        if (code == 0 && done.already_done) code = table_settle(job->table, state);
        for (size_t i = 0; i < written->n_files && code == 0 && done.already_done; i++) {
            struct slice name = written->files[i].file.name;
            if (table_file(state, name, &job->arena, &file) == GLIS_ENOTFOUND ||
                GLIS_MUTANT(unwanted_are_unknown))
                bulk_remove_file(job, name);
        }
        table_state_release(state);
    }
    (void)error_load(&detail);
}

static int do_write(struct bulk_import *job, size_t i)
{
    defer_buffer struct buffer text = BUFFER_INIT(BULK_OBJECT_BYTES_MAX);
    struct bulk_written written;
    bool mine = false, doubt = false;
    TRY(find_written(job, i));
    if (job->written_known[i]) return end_step(job, job->written[i].rows_read);
    TRY(bulk_write(job, i, &written));
    int code = bulk_written_write(&written, row_key_count(job), &text);
    if (code == 0) code = put_outcome(job, step_name(job, "write", i), &text, &mine, &doubt);
    if (is_in_vain(code) && (!doubt || GLIS_MUTANT(bulk_doubt_keeps_files)))
        remove_written(job, &written);
    if (code == GLIS_EGONE && doubt) remove_unwanted(job, &written);
    TRY(code);
    if (mine) {
        job->written[i] = written;
        job->written_known[i] = true;
        return end_step(job, written.rows_read);
    }
    TRY(find_written(job, i));
    bool counts = job->written_known[i] ? same_files(&job->written[i], &written) : doubt;
    if (!counts) remove_written(job, &written);
    return job->written_known[i] ? end_step(job, job->written[i].rows_read)
                                 : bulk_ended_meanwhile();
}

static int do_tree(struct bulk_import *job)
{
    const struct table_state *state;
    defer_buffer struct buffer text = BUFFER_INIT(4096);
    bool mine = false, doubt = false;
    TRY(find_tree(job));
    if (job->state) return 0;
    TRY(bulk_choose_tree(job, &state));
    int code =
        buffer_printf(&text, "{\"record\":%llu}", (unsigned long long)table_state_record(state));
    if (code == 0) code = put_outcome(job, SLICE("tree"), &text, &mine, &doubt);
    if (code == 0 && mine) code = take_tree(job, table_state_record(state));
    table_state_release(state);
    if (code < 0 || mine) return code;
    TRY(find_tree(job));
    return job->state ? 0 : bulk_ended_meanwhile();
}

/* ---- the commit ---- */

uint64_t bulk_rows_sorted(const struct bulk_import *job)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < job->plan.n_units; i++)
        rows += job->runs[i].rows;
    return rows;
}

/* Every row that was sorted has been met in one leaf, as far as that can be told: with splits on
 * several fields a leaf's step looks at rows of others too, and filters leave rows out. */
static int check_rows(const struct bulk_import *job, uint64_t rows_read, bool is_processed)
{
    uint64_t sorted = bulk_rows_sorted(job);
    uint64_t found = is_processed ? rows_read : job->result.rows;
    if (found == sorted || (is_processed && !job->tree->first_field_only)) return 0;
    return error_set(GLIS_ECORRUPT, "%llu rows were sorted, but %llu were found in the leaves",
                     (unsigned long long)sorted, (unsigned long long)found);
}

/* All files with their references. */
static int collect_files(struct bulk_import *job, bool is_processed, struct new_file **files,
                         struct slice **keys, size_t *n_out)
{
    size_t n = 0;
    uint64_t rows_read = 0;
    for (size_t i = 0; i < job->n_write_steps; i++) {
        n += job->written[i].n_files;
        rows_read += job->written[i].rows_read;
    }
    *files = ARENA_ARRAY(&job->arena, struct new_file, n);
    *keys = ARENA_ARRAY(&job->arena, struct slice, n);
    *n_out = 0;
    for (size_t i = 0; i < job->n_write_steps; i++) {
        for (size_t k = 0; k < job->written[i].n_files; k++) {
            const struct bulk_file *written = &job->written[i].files[k];
            struct new_reference *reference = ARENA_NEW(&job->arena, struct new_reference);
            *reference = (struct new_reference){written->leaf, written->file.rows};
            struct new_file *file = &(*files)[*n_out];
            *file = written->file;
            file->references = reference;
            file->n_references = 1;
            (*keys)[(*n_out)++] = table_file_key(job->table, file->name, &job->arena);
            job->result.rows += file->rows;
            job->result.bytes += file->size;
        }
    }
    job->result.files = n;
    return check_rows(job, rows_read, is_processed);
}

static void log_done(const struct bulk_import *job)
{
    const struct bulk_import_result *result = &job->result;
    logger_log(job->runtime->logger, LOGGER_INFO, "bulk import committed",
               LOGGER_FIELD_SLICE("table", table_name(job->table)),
               LOGGER_FIELD_SLICE("job", result->job_id),
               LOGGER_FIELD_NUMBER("record", (int64_t)result->record),
               LOGGER_FIELD_NUMBER("rows", (int64_t)result->rows),
               LOGGER_FIELD_NUMBER("files", (int64_t)result->files),
               LOGGER_FIELD_NUMBER("bytes", (int64_t)result->bytes));
}

/* Whether a commit was refused because what was written is of a table that was reset or has other
 * filters now: numbers that only grow. */
static bool is_other_table(struct bulk_import *job)
{
    const struct table_state *now;
    struct error_detail detail;
    error_save(&detail);
    bool is_other = false;
    if (table_state_get(job->table, 0, &now) == 0) {
        is_other =
            table_state_generation(now) != table_state_generation(job->state) ||
            table_state_processing_version(now) != table_state_processing_version(job->state);
        table_state_release(now);
    }
    (void)error_load(&detail);
    return is_other;
}

/* Every step has its outcome. */
static int commit(struct bulk_import *job)
{
    struct new_file *files;
    struct slice *keys;
    size_t n;
    struct row_processing rows;
    struct commit_result done;
    TRY(begin_phase(job, BULK_COMMITTING, 0, 0));
    TRY(row_processing_make(&rows, job->table, job->state, job->runtime, job->plan.now_ms,
                            &job->arena));
    TRY(collect_files(job, rows.is_needed, &files, &keys, &n));
    TRY(data_files_sync(job->table, keys, n));
    TRY(bulk_bad_rows_deliver(job));
    job->looked_ns = 0; /* who cancelled it is told that nothing was added: once more, now */
    TRY(bulk_check_there(job));
    TRY(runtime_check_cancel(job->runtime));
    struct ingest_commit what = {
        .state = job->state,
        .files = files,
        .n_files = n,
        .job = job->plan.job,
        .job_is_given = job->plan.job_is_given,
        .fingerprint = {job->plan.fingerprint[0], job->plan.fingerprint[1]},
        .cutoffs = rows.ages,
        .n_cutoffs = rows.n_ages,
        .rows_read = bulk_rows_sorted(job),
        .duration_ms = job->runtime->clock->wall_ms(job->runtime->clock) - job->plan.now_ms};
    int code = table_commit_ingest(job->table, &what, &done);
    if (code == GLIS_EREFUSED) job->is_hopeless = is_other_table(job);
    TRY_CONTEXT(code, "committing the bulk import");
    struct bulk_import_result *result = &job->result;
    result->is_done = true;
    result->already_done = done.already_done;
    result->record = done.record;
    for (size_t i = 0; i < job->plan.n_units; i++)
        result->sorted_files += job->runs[i].rows > 0;
    log_done(job);
    bulk_clean_up(job, false);
    return 0;
}

/* ---- what callers ask for ---- */

int bulk_import_steps(struct bulk_import *job, struct arena *arena, struct slice **out,
                      size_t *n_out)
{
    bool all;
    *n_out = 0;
    *out = NULL;
    if (job->result.is_done) return 0;
    TRY(find_runs(job, &all));
    *out = ARENA_ARRAY(arena, struct slice, job->plan.n_units + 1);
    for (size_t i = 0; i < job->plan.n_units; i++)
        if (!job->run_known[i]) (*out)[(*n_out)++] = arena_copy(arena, step_name(job, "sort", i));
    if (!all) return 0;
    TRY(find_tree(job));
    if (!job->state) {
        (*out)[(*n_out)++] = SLICE("tree");
        return 0;
    }
    TRY(find_all_written(job, &all));
    *out = ARENA_ARRAY(arena, struct slice, job->n_write_steps);
    for (size_t i = 0; i < job->n_write_steps; i++)
        if (!job->written_known[i])
            (*out)[(*n_out)++] = arena_copy(arena, step_name(job, "write", i));
    return 0;
}

static int run_steps(struct bulk_import *job)
{
    size_t n = job->plan.n_units, first = 0;
    bool all;
    if (job->joined && n) first = (size_t)random_below(job->runtime->random, n);
    TRY(begin_phase(job, BULK_SORTING, n, 0));
    for (size_t i = 0; i < n; i++)
        TRY(do_sort(job, (first + i) % n));
    TRY(find_runs(job, &all));
    ASSERT(all);
    TRY(begin_phase(job, BULK_PLANNING, 1, bulk_rows_sorted(job)));
    TRY(do_tree(job));
    n = job->n_write_steps;
    first = job->joined ? (size_t)random_below(job->runtime->random, n) : 0;
    TRY(begin_phase(job, BULK_WRITING, n, bulk_rows_sorted(job)));
    for (size_t i = 0; i < n; i++)
        TRY(do_write(job, (first + i) % n));
    return commit(job);
}

/* Whether somebody else has committed the job while we were at it. */
static bool was_committed(struct bulk_import *job)
{
    const struct table_state *state;
    struct commit_result done = {0};
    struct error_detail detail;
    error_save(&detail);
    if (job->plan.job_is_given && table_state_get(job->table, 0, &state) == 0) {
        if (table_check_job(state, job->plan.job, job->plan.fingerprint, &done) < 0) error_clear();
        if (done.already_done && table_settle(job->table, state) < 0) done.already_done = false;
        table_state_release(state);
    }
    (void)error_load(&detail);
    job->result.record = done.record;
    return done.already_done;
}

/* Somebody may have ended the job, and its pin, before we pinned it. */
static void check_pin(struct bulk_import *job)
{
    struct store_object object;
    struct slice plan = bulk_plan_key(job->table, job->plan.job, &job->arena);
    struct error_detail detail;
    error_save(&detail);
    if (job->hold.is_held && store_head(job->store, plan, &object) == GLIS_ENOTFOUND)
        table_hold_end(&job->hold);
    (void)error_load(&detail);
}

/* What becomes of a failure. */
static int end_with(struct bulk_import *job, int code)
{
    if (job->plan.job_is_given) check_pin(job);
    if (code == 0) return 0;
    /* In this order: the plan goes behind the commit, so who misses it finds the commit. */
    bool gone = job->plan.job_is_given && code != GLIS_ECANCELLED && !bulk_is_there(job);
    if (job->plan.job_is_given && code != GLIS_ECANCELLED && was_committed(job)) {
        job->result.is_done = job->result.already_done = true;
        error_clear();
        return 0;
    }
    if (!job->plan.job_is_given) {
        if (code != GLIS_EUNKNOWN) bulk_clean_up(job, true);
    } else if (job->is_hopeless) {
        bulk_give_up(job);
    } else if (gone) {
        job->result.is_given_up = true; /* and whatever was missed was missed for that */
        code = bulk_ended_meanwhile();
    }
    return code;
}

int bulk_import_run(struct bulk_import *job)
{
    if (job->result.is_done) return 0;
    return end_with(job, run_steps(job));
}

/* The number behind the dash of a step's name. */
static int parse_step(struct slice name, const char *kind, size_t n, size_t *out, bool *is_it)
{
    uint64_t number;
    struct slice prefix = slice_from_text(kind);
    *is_it = slice_starts_with(name, prefix);
    if (!*is_it) return 0;
    if (text_parse_uint64(slice_part(name, prefix.size, name.size), &number) < 0 || number >= n)
        return error_set(GLIS_ENOTFOUND, "the job has no step '%.*s'", SLICE_PRINT(name));
    *out = (size_t)number;
    return 0;
}

static int step(struct bulk_import *job, struct slice name)
{
    size_t i = 0;
    bool is_it, all;
    TRY(parse_step(name, "sort-", job->plan.n_units, &i, &is_it));
    if (is_it) {
        TRY(begin_phase(job, BULK_SORTING, 1, 0));
        return do_sort(job, i);
    }
    TRY(find_runs(job, &all));
    if (!all)
        return error_set(GLIS_EREFUSED, "step '%.*s' comes after all sort steps",
                         SLICE_PRINT(name));
    if (slice_equal_text(name, "tree")) {
        TRY(begin_phase(job, BULK_PLANNING, 1, bulk_rows_sorted(job)));
        return do_tree(job);
    }
    TRY(find_tree(job));
    if (!job->state)
        return error_set(GLIS_EREFUSED, "step '%.*s' comes after step 'tree'", SLICE_PRINT(name));
    TRY(parse_step(name, "write-", job->n_write_steps, &i, &is_it));
    if (!is_it) return error_set(GLIS_ENOTFOUND, "the job has no step '%.*s'", SLICE_PRINT(name));
    TRY(begin_phase(job, BULK_WRITING, 1, 0));
    TRY(do_write(job, i));
    TRY(find_all_written(job, &all));
    return all ? commit(job) : 0;
}

int bulk_import_step(struct bulk_import *job, struct slice name)
{
    if (job->result.is_done) return 0;
    return end_with(job, step(job, name));
}
