/*
 * merge_ranges.c: the steps of a merge carried out side by side and given out in order.
 *
 * Each range is merged by one thread at a time: the pool's, and the caller's while it waits for the
 * range that it needs. A range gives batches one after another; they wait until the caller takes
 * them. So that memory is bounded, only the first few ranges that are not given out may be begun,
 * and none but the first goes on when what waits has reached its limit: it rests, its inputs where
 * they are, until the caller has come to it.
 *
 * Under the lock: all of a range but its stream, which belongs to the thread that has set
 * is_running.
 */
#include "lsm/merge_files_int.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    INPUT_ROWS_MAX = 2048, /* of a batch of an input: what is merged should stay in the cache */
    INPUT_ROWS_MIN = 64,
    OUTPUT_ROWS = 8192,
    OUTPUT_BYTES = 1 << 20,
};

/* A step under way. */
struct range {
    struct batch_stream *stream; /* NULL: not begun, or all is done */
    bool is_begun, is_running, is_done, gave_some;
    int code;
    struct error_detail failure;
    struct batch **batches; /* in order, from first on */
    uint32_t first, n, room;
};

struct merge_run {
    const struct merge_context *context;
    const struct merge_file *files;
    const struct merge_plan *plan;
    struct merge_run_options options;
    unsigned n_threads; /* the caller's included */
    size_t ahead_max;   /* ranges begun at a time */
    uint64_t waiting_bytes_max, input_bytes_max;

    pthread_mutex_t lock;
    pthread_cond_t progress;
    struct range *ranges; /* one a step */
    size_t first;         /* that is not given out */
    unsigned n_workers;
    uint64_t waiting_bytes, rows_done;
    bool ending;
    struct task_group *tasks;
};

/* ---- one range ---- */

/* Rows of an input's batch, by what all inputs of the step may take. */
static int64_t input_rows(const struct merge_run *run, const struct merge_step *step)
{
    uint64_t row_bytes = 1, rows;
    for (uint32_t i = 0; i < step->n_parts; i++)
        row_bytes += run->files[step->parts[i].file].row_bytes;
    rows = run->input_bytes_max / row_bytes;
    return rows < INPUT_ROWS_MIN   ? INPUT_ROWS_MIN
           : rows > INPUT_ROWS_MAX ? INPUT_ROWS_MAX
                                   : (int64_t)rows;
}

static int begin_range(const struct merge_run *run, const struct merge_step *step,
                       struct range *range)
{
    const struct merge_context *context = run->context;
    defer_free struct batch_stream **inputs =
        memory_alloc_zero((step->n_parts + 1) * sizeof *inputs);
    int64_t rows = input_rows(run, step);
    for (uint32_t i = 0; i < step->n_parts; i++) {
        const struct merge_part *part = &step->parts[i];
        int code =
            merge_file_stream(&run->files[part->file], part->begin, part->end, rows, &inputs[i]);
        if (code == 0) continue;
        while (i > 0)
            batch_stream_close(inputs[--i]);
        return code;
    }
    struct merge_options options = {.batch_rows = OUTPUT_ROWS,
                                    .batch_bytes = OUTPUT_BYTES,
                                    .common_bytes = step->common_bytes,
                                    .serial = run->n_threads > 1};
    struct batch_stream *merged;
    TRY(merge_open(&merged, context->runtime, context->schema, inputs, step->n_parts, &options,
                   context->budget));
    range->stream = merged;
    if (!run->options.hook) return 0;
    range->stream = NULL;
    return run->options.hook->open(run->options.hook->state, merged, &range->stream);
}

static void range_end(struct range *range)
{
    batch_stream_close(range->stream);
    range->stream = NULL;
}

static void add_batch(struct range *range, struct batch *batch)
{
    if (range->first + range->n == range->room) {
        if (range->first > 0) {
            memmove(range->batches, range->batches + range->first,
                    range->n * sizeof(struct batch *));
            range->first = 0;
        } else {
            range->room = range->room ? 2 * range->room : 8;
            range->batches = memory_realloc(range->batches, range->room * sizeof(struct batch *));
        }
    }
    range->batches[range->first + range->n++] = batch;
}

/* One batch of a range that nobody has in hands; the lock is held before and after. */
static void work_on(struct merge_run *run, size_t index)
{
    struct range *range = &run->ranges[index];
    struct batch *batch = NULL;
    int code = 0;
    bool is_new = !range->is_begun;
    range->is_begun = range->is_running = true;
    pthread_mutex_unlock(&run->lock);
    if (is_new) code = begin_range(run, &run->plan->steps[index], range);
    if (code == 0) code = batch_stream_next(range->stream, &batch);
    if (code < 0) error_save(&range->failure);
    if (code < 0 || !batch) range_end(range);
    uint64_t bytes = batch ? batch_bytes(batch) : 0;
    pthread_mutex_lock(&run->lock);
    range->is_running = false;
    /* What waits may be why the budget is out: once more when this one's turn has come, and from
     * now on one range at a time. */
    bool again = code == GLIS_ENOMEM && index != run->first && !range->gave_some;
    if (again) {
        run->waiting_bytes_max = 0;
        range->is_begun = false;
        code = 0;
    }
    range->code = code;
    range->is_done = code < 0 || (!batch && !again);
    if (batch) {
        add_batch(range, batch);
        range->gave_some = true;
        run->waiting_bytes += bytes;
    }
    pthread_cond_broadcast(&run->progress);
}

/* Whether a range may be worked on now. */
static bool may_work(const struct merge_run *run, size_t index)
{
    const struct range *range = &run->ranges[index];
    if (run->ending || run->plan->steps[index].is_copy || range->is_done || range->is_running)
        return false;
    if (run->waiting_bytes < run->waiting_bytes_max) return true;
    return index == run->first && range->n == 0;
}

/* The first range that may be worked on; n_steps when there is none. */
static size_t find_work(const struct merge_run *run)
{
    size_t n_open = 0;
    for (size_t i = run->first; i < run->plan->n_steps && n_open < run->ahead_max; i++) {
        if (may_work(run, i)) return i;
        n_open += !run->plan->steps[i].is_copy;
    }
    return run->plan->n_steps;
}

static int worker(void *state)
{
    struct merge_run *run = state;
    pthread_mutex_lock(&run->lock);
    for (;;) {
        size_t index = find_work(run);
        if (index == run->plan->n_steps) break;
        do
            work_on(run, index);
        while (may_work(run, index));
    }
    run->n_workers--;
    pthread_mutex_unlock(&run->lock);
    return 0;
}

/* ---- the caller ---- */

/* One more worker, while there is work for it. The lock is held. */
static int start_worker(struct merge_run *run)
{
    if (run->n_workers + 1 >= run->n_threads || find_work(run) == run->plan->n_steps) return 0;
    run->n_workers++;
    pthread_mutex_unlock(&run->lock);
    int code = task_group_start(run->tasks, worker, run);
    pthread_mutex_lock(&run->lock);
    if (code < 0) run->n_workers--;
    return code;
}

static int next_item(struct merge_run *run, struct batch **batch, const struct merge_step **copy)
{
    while (run->first < run->plan->n_steps) {
        struct range *range = &run->ranges[run->first];
        const struct merge_step *step = &run->plan->steps[run->first];
        TRY(start_worker(run));
        if (step->is_copy) {
            *copy = step;
            run->first++;
            run->rows_done += step->n_rows;
            return 0;
        }
        if (range->n > 0) {
            *batch = range->batches[range->first++];
            range->n--;
            run->waiting_bytes -= batch_bytes(*batch);
            return 0;
        }
        if (range->is_done) {
            if (range->code < 0) return error_load(&range->failure);
            run->rows_done += step->n_rows;
            run->first++;
            continue;
        }
        if (!range->is_running) {
            work_on(run, run->first);
            continue;
        }
        size_t other = find_work(run);
        if (other < run->plan->n_steps)
            work_on(run, other);
        else
            pthread_cond_wait(&run->progress, &run->lock);
    }
    return 0;
}

int merge_run_next(struct merge_run *run, struct batch **batch, const struct merge_step **copy)
{
    *batch = NULL;
    *copy = NULL;
    TRY(runtime_check_cancel(run->context->runtime));
    pthread_mutex_lock(&run->lock);
    int code = next_item(run, batch, copy);
    pthread_mutex_unlock(&run->lock);
    return code;
}

uint64_t merge_run_rows_done(const struct merge_run *run)
{
    return run->rows_done;
}

/* Files that one range reads at most. */
static uint32_t most_parts(const struct merge_plan *plan)
{
    uint32_t most = 0;
    for (size_t i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].n_parts > most) most = plan->steps[i].n_parts;
    return most;
}

int merge_run_open(struct merge_run **out, const struct merge_context *context,
                   const struct merge_file *files, const struct merge_plan *plan,
                   const struct merge_run_options *options)
{
    struct merge_run *run = memory_alloc_zero(sizeof *run);
    run->context = context;
    run->files = files;
    run->plan = plan;
    run->options = *options;
    run->n_threads = 1 + pool_threads(context->runtime->pool);
    run->ahead_max = run->n_threads == 1 ? 1 : run->n_threads + 1;
    run->waiting_bytes_max = options->memory_bytes / 16;
    uint64_t needed = (uint64_t)most_parts(plan) * context->schema->n_fields * MERGE_LEAF_BYTES;
    while (run->ahead_max > 1 && run->ahead_max * needed > options->memory_bytes / 2)
        run->ahead_max--;
    run->input_bytes_max = options->memory_bytes / 2 / run->ahead_max;
    run->ranges = memory_alloc_zero((plan->n_steps + 1) * sizeof *run->ranges);
    ASSERT(pthread_mutex_init(&run->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&run->progress, NULL) == 0);
    run->tasks = task_group_new(context->runtime->pool, run->n_threads);
    *out = run;
    return 0;
}

void merge_run_close(struct merge_run *run)
{
    if (!run) return;
    pthread_mutex_lock(&run->lock);
    run->ending = true;
    pthread_mutex_unlock(&run->lock);
    task_group_free(run->tasks);
    for (size_t i = 0; i < run->plan->n_steps; i++) {
        struct range *range = &run->ranges[i];
        range_end(range);
        for (uint32_t b = 0; b < range->n; b++)
            batch_release(range->batches[range->first + b]);
        free(range->batches);
    }
    free(run->ranges);
    pthread_cond_destroy(&run->progress);
    pthread_mutex_destroy(&run->lock);
    free(run);
}
