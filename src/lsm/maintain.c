/*
 * maintain.c: whatever is due for a table, in the right order, until nothing is.
 *
 * Push-downs go first, for they change what is to be compacted; then compactions, which make rows
 * exact and wholly inside, so that leaves may be split; then splits, whose files go down again. A
 * round that did nothing of these ends it: what is left is to join empty leaves, let expired files
 * go, collect, and write a snapshot. Rounds end by themselves: every compaction leaves fewer files
 * than it took, every push-down brings references nearer to the leaves, every split needs rows over
 * the threshold.
 *
 * Nothing here is remembered outside the log: a process that dies leaves at most assignments, which
 * run out, and files that collection knows.
 */
#include "lsm/lsm_int.h"

#include "base/logger.h"

#include <stdlib.h>

struct maintenance {
    struct table *table;
    struct runtime *runtime;
    const struct maintain_options *options;
    struct maintain_result *result;
    unsigned steps;
    struct compaction_planner *planner;
    struct row_estimator *estimator;
    struct pool *small_pool; /* made when it is first wanted */
    struct arena failures_arena;
    struct compaction_failure *failures;
    size_t n_failures, failures_max, n_known; /* the first n_known are of calls before */
    struct error_detail first_error;          /* code 0: none */
};

static int tell(const struct maintenance *work, struct maintain_event *event)
{
    if (!work->options->event) return 0;
    return work->options->event(work->options->event_state, event);
}

static bool is_late(const struct maintenance *work)
{
    const struct clock *clock = work->runtime->clock;
    return work->options->deadline_ns &&
           clock->monotonic_ns(work->runtime->clock) >= work->options->deadline_ns;
}

/* A step failed: the others go on, unless nothing can. */
static int note_failure(struct maintenance *work, int code, struct maintain_event *event)
{
    if (code == GLIS_ECANCELLED || code == GLIS_ENOSPACE || code == GLIS_ENOMEM ||
        code == GLIS_EDENIED)
        return code;
    event->code = code;
    if (!work->first_error.code) error_save(&work->first_error);
    work->result->failed++;
    /* Who listens is told, and tells people. */
    if (!work->options->event)
        logger_log(work->runtime->logger, LOGGER_ERROR, "a job failed",
                   LOGGER_FIELD_SLICE("table", table_name(work->table)),
                   LOGGER_FIELD_SLICE("partition", event->partition),
                   LOGGER_FIELD_SLICE("reason", slice_from_text(error_message())));
    return tell(work, event);
}

/* The partition rests until its files change, at least as long as this runs. */
static void remember_failure(struct maintenance *work, const struct compaction_job *job,
                             int64_t now_ms)
{
    if (work->n_failures == work->failures_max) {
        work->failures_max = work->failures_max * 2 + 8;
        work->failures =
            memory_realloc(work->failures, work->failures_max * sizeof(*work->failures));
    }
    work->failures[work->n_failures++] = (struct compaction_failure){
        .partition = arena_copy(&work->failures_arena, job->partition),
        .times = COMPACTION_FAILURES_MAX,
        .last_ms = now_ms,
        .partition_files = job->partition_files,
    };
}

static int load_failures(struct maintenance *work)
{
    struct job_report *reports;
    struct compaction_failure *known;
    size_t n_reports, n;
    TRY(job_reports(work->table, &work->failures_arena, &reports, &n_reports));
    TRY(job_reports_failures(reports, n_reports, &work->failures_arena, &known, &n));
    work->failures = memory_alloc((n + 8) * sizeof(*work->failures));
    work->failures_max = n + 8;
    work->n_failures = work->n_known = n;
    if (n) memcpy(work->failures, known, n * sizeof(*known));
    return 0;
}

/* ---- one round ---- */

static int push_down(struct maintenance *work, const struct table_state *state,
                     const struct compaction_plan *plan, bool *did)
{
    if (!plan->n_push_downs || !(work->steps & MAINTAIN_PUSH_DOWN)) return 0;
    int code = table_push_down(work->table, plan->push_downs, plan->n_push_downs, NULL);
    if (code == GLIS_EREFUSED) { /* planned anew with what is so now */
        *did = true;
        return refusal_excuse(work->table, state);
    }
    TRY_CONTEXT(code, "pushing files down");
    *did = true;
    work->result->pushed_down += plan->n_push_downs;
    struct maintain_event event = {.step = MAINTAIN_PUSH_DOWN,
                                   .partition = plan->push_downs[0].partition,
                                   .n = plan->n_push_downs};
    return tell(work, &event);
}

/* Compactions of one plan that are carried out side by side: those so small that most of their time
 * goes to waiting for the store. Large ones have all threads for themselves, one after another. */
enum { SMALL_ROWS = 200000, SMALL_AT_ONCE = 8, SMALL_MEMORY = 32 << 20, ROUND_JOBS = 256 };

struct done_job {
    const struct compaction_job *job;
    struct compaction_result result;
    struct arena arena; /* of the result */
    int code;
    struct error_detail detail;
};
struct small_jobs {
    struct maintenance *work;
    struct work_options options;
    struct done_job *jobs;
};

static int run_small(void *state, size_t index)
{
    struct small_jobs *small = state;
    struct done_job *done = &small->jobs[index];
    struct maintenance *work = small->work;
    if (is_late(work)) {
        done->job = NULL;
        return 0;
    }
    done->code = compaction_run(work->table, work->runtime, done->job, &small->options,
                                &done->arena, &done->result);
    if (done->code < 0) error_save(&done->detail);
    return 0;
}

/* What came of one job. */
static int note_done(struct maintenance *work, const struct table_state *state,
                     const struct done_job *done)
{
    struct maintain_event event = {.step = MAINTAIN_COMPACT, .partition = done->job->partition};
    if (done->code < 0) {
        remember_failure(work, done->job, work->runtime->clock->wall_ms(work->runtime->clock));
        return note_failure(work, error_load(&done->detail), &event);
    }
    if (done->result.is_lost) {
        (void)error_set(GLIS_EREFUSED, "%.*s", SLICE_PRINT(done->result.reason));
        TRY(refusal_excuse(work->table, state));
    }
    work->result->lost += done->result.is_lost;
    work->result->compactions += !done->result.is_lost;
    work->result->rows_read += done->result.rows_read;
    work->result->rows_written += done->result.rows_written;
    work->result->bytes_read += done->result.bytes_read;
    work->result->bytes_written += done->result.bytes_written;
    event.compaction = &done->result;
    return tell(work, &event);
}

/* Runs a few jobs, small ones side by side. */
static int run_jobs(struct maintenance *work, const struct table_state *state,
                    struct done_job *jobs, size_t n)
{
    struct small_jobs small = {.work = work, .options = work->options->work, .jobs = jobs};
    small.options.progress = NULL; /* from several threads nobody could follow it */
    if (!small.options.memory_bytes) small.options.memory_bytes = SMALL_MEMORY;
    if (n > 1 && pool_threads(work->runtime->pool) && !work->small_pool)
        work->small_pool = pool_new(SMALL_AT_ONCE);
    int code = 0;
    if (n > 1 && work->small_pool) {
        code = pool_run(work->small_pool, n, run_small, &small);
    } else {
        small.options = work->options->work;
        for (size_t i = 0; i < n && code == 0; i++)
            code = run_small(&small, i);
    }
    for (size_t i = 0; i < n && code == 0; i++)
        if (jobs[i].job) code = note_done(work, state, &jobs[i]);
    return code;
}

static int compact(struct maintenance *work, const struct table_state *state,
                   const struct compaction_plan *plan, bool *did)
{
    if (!(work->steps & MAINTAIN_COMPACT)) return 0;
    defer_free struct done_job *jobs = memory_alloc_zero(ROUND_JOBS * sizeof *jobs);
    int code = 0;
    for (size_t i = 0; code == 0 && i < plan->n_jobs && !is_late(work);) {
        size_t n = 0;
        for (; i < plan->n_jobs && n < ROUND_JOBS; i++) {
            const struct compaction_job *job = &plan->jobs[i];
            if (work->options->rows_max && job->rows > work->options->rows_max) continue;
            bool is_small = job->rows <= SMALL_ROWS;
            if (!is_small && n) break;
            jobs[n] = (struct done_job){.job = job};
            arena_init(&jobs[n++].arena, NULL);
            if (is_small) continue;
            i++;
            break;
        }
        *did |= n > 0;
        code = runtime_check_cancel(work->runtime);
        if (code == 0) code = run_jobs(work, state, jobs, n);
        for (size_t k = 0; k < n; k++)
            arena_free(&jobs[k].arena);
    }
    return code;
}

static int split(struct maintenance *work, const struct table_state *state,
                 const struct compaction_plan *plan, bool *did)
{
    if (!(work->steps & MAINTAIN_SPLIT)) return 0;
    work->result->unsplittable = 0;
    for (size_t i = 0; i < plan->n_splits && !is_late(work); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct split_point point;
        bool was_split;
        struct maintain_event event = {
            .step = MAINTAIN_SPLIT, .partition = plan->splits[i].leaf, .n = plan->splits[i].rows};
        TRY(runtime_check_cancel(work->runtime));
        int code = split_leaf(work->table, work->runtime, state, plan->splits[i].leaf, &arena,
                              &point, &was_split);
        if (code < 0) {
            TRY(note_failure(work, code, &event));
            continue;
        }
        event.dimension = point.dimension;
        event.split = point.split;
        work->result->splits += was_split;
        work->result->unsplittable += !point.any;
        *did |= was_split;
        if (was_split || !point.any) TRY(tell(work, &event));
    }
    return 0;
}

static int join(struct maintenance *work, const struct table_state *state, bool *did)
{
    if (!(work->steps & MAINTAIN_JOIN)) return 0;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice *parents;
    size_t n;
    TRY(table_mergeable(state, &arena, &parents, &n));
    for (size_t i = 0; i < n && !is_late(work); i++) {
        int code = table_merge_partitions(work->table, parents[i], NULL);
        if (code == GLIS_EREFUSED) {
            TRY(refusal_excuse(work->table, state));
            continue;
        }
        TRY_CONTEXT(code, "joining empty partitions");
        *did = true;
        work->result->joined++;
        struct maintain_event event = {.step = MAINTAIN_JOIN, .partition = parents[i]};
        TRY(tell(work, &event));
    }
    return 0;
}

/* ---- expiry ---- */

struct expiry {
    struct maintenance *work;
    const struct table_state *state;
    const struct row_processing *rows;
    struct arena *arena;
    struct named_reference *found;
    size_t n, n_max;
    int64_t now_ms;
};

static bool is_past(const struct expiry *expiry, const struct file_age *ages, size_t n_ages)
{
    for (size_t a = 0; a < n_ages; a++)
        for (size_t c = 0; c < expiry->rows->n_ages; c++)
            if (slice_equal(ages[a].field, expiry->rows->ages[c].field) && ages[a].has_max &&
                ages[a].n_nulls == 0 && ages[a].max <= expiry->rows->ages[c].cutoff)
                return true;
    return false;
}

static int visit_expired(void *context, const struct table_reference *reference)
{
    struct expiry *expiry = context;
    struct file_age *ages;
    size_t n_ages;
    defer_arena struct arena arena = ARENA_EMPTY;
    if (table_reference_is_assigned(reference, expiry->now_ms)) return 0;
    TRY(table_file_ages(expiry->state, reference->file->name, &arena, &ages, &n_ages));
    if (!n_ages || !is_past(expiry, ages, n_ages)) return 0;
    ARENA_GROW(expiry->arena, expiry->found, expiry->n, expiry->n_max);
    expiry->found[expiry->n++] =
        (struct named_reference){arena_copy(expiry->arena, reference->partition),
                                 arena_copy(expiry->arena, reference->file->name)};
    return 0;
}

static int expire(struct maintenance *work, const struct table_state *state, bool *did)
{
    if (!(work->steps & MAINTAIN_EXPIRE)) return 0;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct row_processing rows;
    int64_t now_ms = work->runtime->clock->wall_ms(work->runtime->clock);
    TRY(row_processing_make(&rows, work->table, state, work->runtime, now_ms, &arena));
    if (!rows.n_ages) return 0;
    struct expiry expiry = {
        .work = work, .state = state, .rows = &rows, .arena = &arena, .now_ms = now_ms};
    TRY(table_each_reference(state, visit_expired, &expiry));
    if (!expiry.n) return 0;
    int code = table_expire(work->table, state, expiry.found, expiry.n, rows.ages, rows.n_ages,
                            now_ms, NULL);
    if (code == GLIS_EREFUSED) return refusal_excuse(work->table, state); /* another time */
    TRY_CONTEXT(code, "letting expired files go");
    *did = true;
    work->result->expired += expiry.n;
    struct maintain_event event = {.step = MAINTAIN_EXPIRE, .n = expiry.n};
    return tell(work, &event);
}

/* What is due and not done, since it failed in calls before. */
static int tell_resting(struct maintenance *work, const struct compaction_plan *plan)
{
    if (!(work->steps & MAINTAIN_COMPACT)) return 0;
    for (size_t i = 0; i < plan->n_resting; i++) {
        const struct resting_partition *resting = &plan->resting[i];
        if (resting->failure >= work->n_known) continue; /* that it failed was told */
        struct maintain_event event = {.step = MAINTAIN_COMPACT,
                                       .partition = resting->partition,
                                       .n = work->failures[resting->failure].times,
                                       .rests_until_ms = resting->until_ms};
        work->result->resting++;
        TRY(tell(work, &event));
    }
    return 0;
}

/* ---- all of it ---- */

static int do_round(struct maintenance *work, bool *did)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *state;
    struct compaction_plan plan = {0};
    TRY(table_state_get(work->table, 0, &state));
    struct compaction_plan_options options = {
        .now_ms = work->runtime->clock->wall_ms(work->runtime->clock),
        .force = work->options->force,
        .leaf = work->options->leaf,
        .seed = random_u64(work->runtime->random),
        .failures = work->failures,
        .n_failures = work->n_failures,
        .estimate = row_estimator_rows,
        .estimate_context = work->estimator,
    };
    row_estimator_set_state(work->estimator, state);
    if (options.now_ms < table_state_time_ms(state)) options.now_ms = table_state_time_ms(state);
    int code = expire(work, state, did);
    if (code == 0 && !*did)
        code = compaction_planner_plan(work->planner, state, &options, &arena, &plan);
    if (code == 0 && !*did && options.force)
        code = compaction_skip_unchanged(work->table, state, &plan, &arena);
    if (code == 0 && !*did) code = push_down(work, state, &plan, did);
    if (code == 0 && !*did) code = compact(work, state, &plan, did);
    if (code == 0 && !*did) code = split(work, state, &plan, did);
    if (code == 0 && !*did) code = join(work, state, did);
    if (code == 0 && (!*did || work->options->once)) code = tell_resting(work, &plan);
    table_state_release(state);
    return code;
}

static int run(struct maintenance *work)
{
    bool did = true, forced = false;
    TRY(load_failures(work));
    while (did && !is_late(work)) {
        TRY(runtime_check_cancel(work->runtime));
        did = false;
        uint64_t pushed = work->result->pushed_down;
        TRY(do_round(work, &did));
        /* Forced: what was taken once, whole, is not taken again. */
        forced = work->options->force && work->result->pushed_down == pushed;
        if (work->options->once || forced) break;
    }
    work->result->is_idle = !did || forced;
    if (work->steps & MAINTAIN_COLLECT)
        TRY(collect_table(work->table, work->runtime, &work->options->collect,
                          &work->result->collected));
    if (work->steps & MAINTAIN_SNAPSHOT) TRY(table_snapshot_if_due(work->table));
    return 0;
}

int maintain_table(struct table *table, struct runtime *runtime,
                   const struct maintain_options *options, struct maintain_result *out)
{
    static const struct maintain_options defaults = {0};
    *out = (struct maintain_result){0};
    struct maintenance work = {
        .table = table,
        .runtime = runtime,
        .options = options ? options : &defaults,
        .result = out,
        .planner = compaction_planner_new(),
        .estimator = row_estimator_new(table, runtime),
    };
    work.steps = work.options->steps ? work.options->steps : MAINTAIN_ALL;
    arena_init(&work.failures_arena, NULL);
    int code = run(&work);
    compaction_planner_free(work.planner);
    pool_free(work.small_pool);
    row_estimator_free(work.estimator);
    free(work.failures);
    arena_free(&work.failures_arena);
    if (code == 0 && work.first_error.code) code = error_load(&work.first_error);
    return code;
}

/* ---- after an ingest ---- */

enum { INLINE_ROWS_FACTOR = 8, INLINE_LEAST_MS = 50, INLINE_GONE_MIN = 16 };

static int count_leaf(void *context, const struct table_leaf *leaf)
{
    size_t *most = context;
    if (leaf->n_references > *most) *most = leaf->n_references;
    return 0;
}

/* The most files that a lookup meets; and whether enough of them wait for collection. */
static int look(struct table *table, size_t *files, bool *has_gone)
{
    const struct table_state *state;
    TRY(table_state_get(table, 0, &state));
    struct table_figures figures = table_state_figures(state);
    *has_gone = figures.unreferenced_files > INLINE_GONE_MIN + figures.references;
    *files = 0;
    int code = table_each_leaf(state, NULL, NULL, count_leaf, files);
    table_state_release(state);
    return code;
}

/* Nothing is done by itself for a table that is offline. */
static int is_online(struct table *table, bool *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct table_entry *entries;
    size_t n;
    *out = false;
    TRY(instance_tables(table_instance(table), false, &arena, &entries, &n));
    for (size_t i = 0; i < n; i++)
        if (slice_equal(entries[i].id, table_id(table))) *out = entries[i].online;
    return 0;
}

static int run_inline(struct table *table, struct runtime *runtime, int64_t ingest_ns,
                      uint64_t rows, struct maintain_result *out)
{
    struct instance *instance = table_instance(table);
    struct clock *clock = runtime->clock;
    size_t files, files_max = (size_t)instance_number(instance, PROPERTY_QUERY_MAX_FILES) / 2;
    bool has_gone, online;
    int64_t least_ns = (int64_t)INLINE_LEAST_MS * 1000000;
    struct maintain_options options = {
        .steps = MAINTAIN_PUSH_DOWN | MAINTAIN_COMPACT | MAINTAIN_SPLIT | MAINTAIN_JOIN |
                 MAINTAIN_EXPIRE,
        .deadline_ns = clock->monotonic_ns(clock) + (ingest_ns > least_ns ? ingest_ns : least_ns),
        .rows_max = (rows + 1) * INLINE_ROWS_FACTOR,
    };
    TRY(is_online(table, &online));
    if (!online) return 0;
    TRY(maintain_table(table, runtime, &options, out));
    TRY(look(table, &files, &has_gone));
    if (files > files_max) {
        struct maintain_result more;
        options.deadline_ns = 0;
        options.rows_max = 0;
        TRY(maintain_table(table, runtime, &options, &more));
        out->compactions += more.compactions;
        out->rows_read += more.rows_read;
        out->rows_written += more.rows_written;
        out->pushed_down += more.pushed_down;
        out->splits += more.splits;
    }
    if (!has_gone) return 0;
    return collect_table(table, runtime, NULL, &out->collected);
}

void maintain_inline(struct table *table, struct runtime *runtime, int64_t ingest_ns, uint64_t rows,
                     struct maintain_result *out)
{
    struct instance *instance = table_instance(table);
    *out = (struct maintain_result){0};
    if (!slice_equal_text(instance_text(instance, PROPERTY_MAINTENANCE), "inline") ||
        !instance_store(instance)->local)
        return;
    if (run_inline(table, runtime, ingest_ns, rows, out) >= 0) return;
    logger_log(runtime->logger, LOGGER_WARN, "maintenance after an ingest failed",
               LOGGER_FIELD_SLICE("table", table_name(table)),
               LOGGER_FIELD_SLICE("reason", slice_from_text(error_message())));
    error_clear();
}
