/*
 * log_read.c: catching up: from a real state to the newest one (docs/architecture.md, "The log").
 *
 *   1. Get the slots behind the base until one is not found; several at a time when far behind. The
 *      first that is not found ends it; what was found beyond is thrown away. Bodies are read here
 *      too.
 *   2. When all these have been answered, and not before, look for the marker of the block of the
 *      *first* slot that was asked for. Without a marker nothing of that block had been deleted
 *      when the gets were answered, so what was read is the true history, and all that was
 *      acknowledged before the first get is in it: the state is real.
 *   3. With a marker, what was read may be ghosts (records put by a writer that slept while the
 *      block was trimmed), or the not-found a deleted record. All of it is forgotten, and reading
 *      begins again from a snapshot found by a *list*; never from the hint, which may be stale for
 *      ever.
 *
 * Damage is judged only after the look: a record that does not follow, that fails a condition, or
 * whose body is gone may be a ghost. A state that says "ended" is final and needs no look.
 *
 * Cost: a fresh read is one get and one head. Far behind, the window of gets doubles up to its
 * maximum.
 */
#include "log/log_int.h"

#include <stdlib.h>

enum { RESTARTS_MAX = 8, WINDOW_MAX = LOG_READ_WINDOW_MAX };

/* A run of step 1. */
struct run {
    const struct log_watch *watch; /* NULL: nobody */
    struct log_version *base;      /* where it began; not owned */
    struct log_version *view;      /* NULL: nothing was read yet. Private */
    const struct log_first *first; /* records at hand; NULL: none */
    uint64_t last;                 /* reads no further than this record */
    int problem;                   /* what looks like damage, judged after the look */
    struct error_detail detail;
};

static int run_read(struct log *log, struct run *run);
static uint64_t run_record(const struct run *run);
static int window_read(struct log *log, struct run *run, unsigned window, bool *end);
static int records_take(struct log *log, struct run *run, uint64_t first,
                        const struct store_read *reads, unsigned n, bool *end);
static int read_forward(struct log *log, struct log_version *from, bool in_doubt,
                        const struct log_watch *watch, const struct log_first *first,
                        struct log_version **out, bool *trimmed);
static int record_take(struct log *log, struct run *run, struct slice object, uint64_t record);
static int begin_again(struct log *log, uint64_t block, struct log_version **base);

int log_read_forward(struct log *log, struct log_version *from, bool in_doubt,
                     const struct log_watch *watch, struct log_version **out, bool *trimmed)
{
    return read_forward(log, from, in_doubt, watch, NULL, out, trimmed);
}

int log_read_forward_first(struct log *log, struct log_version *from, const struct log_first *first,
                           struct log_version **out, bool *trimmed)
{
    return read_forward(log, from, false, NULL, first, out, trimmed);
}

/* Shows what was read to whoever opens the log. */
static void show(const struct log *log, const struct run *run)
{
    const struct log_version *seen = run->view ? run->view : run->base;
    if (log->options.before_look && !run->problem)
        log->options.before_look(log->options.before_look_context, seen->state.state);
}

static int read_forward(struct log *log, struct log_version *from, bool in_doubt,
                        const struct log_watch *watch, const struct log_first *first,
                        struct log_version **out, bool *trimmed)
{
    struct log_version *base = log_version_acquire(from);
    *trimmed = false;
    int code = 0;
    for (unsigned restarts = 0; !base->state.ended; restarts++) {
        struct run run = {.watch = watch, .base = base, .last = UINT64_MAX};
        if (restarts == 0) run.first = first;
        bool marked = false;
        uint64_t block = log_block(log, base->state.record + 1); /* of the first slot asked for */
        if (GLIS_MUTANT(look_after_read_not_before)) code = log_marker_look(log, block, &marked);
        if (code == 0) code = run_read(log, &run);
        if (code == 0 && watch && watch->peek && restarts == 0 && !run.view && !run.problem)
            break; /* nothing has come: nothing needs to be made sure */
        if (code == 0 && run.first) show(log, &run);
        if (GLIS_MUTANT(look_at_first_block)) block = log_block(log, run_record(&run) + 1);
        if (code == 0 && !GLIS_MUTANT(look_after_read) && !GLIS_MUTANT(look_after_read_not_before))
            code = log_marker_look(log, block, &marked);
        if (code == 0 && !marked) { /* all that was read is real */
            if (run.problem) {
                code = error_load(&run.detail);
            } else if (run.view) {
                log_version_release(base);
                base = run.view;
                run.view = NULL;
            }
            log_version_release(run.view);
            break;
        }
        log_version_release(run.view);
        if (code == 0 && in_doubt) {
            *trimmed = true;
            break;
        }
        if (code == 0 && restarts == RESTARTS_MAX)
            code = error_set(GLIS_ERETRY, "the log is trimmed faster than it can be read");
        if (code == 0) code = begin_again(log, block, &base);
        if (code < 0) break;
        if (watch) watch->restarted(watch->state, base);
    }
    if (code < 0 || *trimmed)
        log_version_release(base);
    else
        *out = base;
    return code;
}

/* Step 1. The return value is what is no question of damage. */
static int run_read(struct log *log, struct run *run)
{
    bool end = false;
    /* Who peeks expects one record, seldom more. */
    bool few = run->watch && run->watch->peek;
    unsigned window = 1;
    if (run->first && run->first->first == run_record(run) + 1) {
        TRY(records_take(log, run, run->first->first, run->first->reads, run->first->n, &end));
        window = 2 * run->first->n;
    }
    for (; !end; window = few ? window : window * 2, few = false) {
        TRY(runtime_check_cancel(log->runtime));
        if (window > log->options.read_window) window = log->options.read_window;
        TRY(window_read(log, run, window, &end));
    }
    return 0;
}

static uint64_t run_record(const struct run *run)
{
    return run->view ? run->view->state.record : run->base->state.record;
}

static int window_read(struct log *log, struct run *run, unsigned window, bool *end)
{
    struct store_read reads[WINDOW_MAX];
    defer_free char *keys = memory_alloc((size_t)window * LOG_KEY_BYTES);
    uint64_t first = run_record(run) + 1;
    if (window > run->last - first + 1) window = (unsigned)(run->last - first + 1);
    for (unsigned i = 0; i < window; i++)
        reads[i] = (struct store_read){
            .key = log_key_record(log, first + i, keys + (size_t)i * LOG_KEY_BYTES),
            .length = LOG_RECORD_BYTES_MAX + 4096,
            .budget = log->runtime->budget};
    int code = log_read_objects(log, reads, window);
    if (code == 0) code = records_take(log, run, first, reads, window, end);
    store_read_release(reads, window);
    if (run_record(run) == run->last) *end = true;
    return code;
}

/* Applies what was read of the slots from `first` on, until the first that is not there. */
static int records_take(struct log *log, struct run *run, uint64_t first,
                        const struct store_read *reads, unsigned n, bool *end)
{
    int code = 0;
    for (unsigned i = 0; i < n && code == 0 && !*end; i++) {
        if (reads[i].outcome == GLIS_ENOTFOUND) { /* the first one ends it */
            if (GLIS_MUTANT(first_not_found_ends) && i + 1 < n) continue;
            *end = true;
            break;
        }
        code = record_take(log, run, slice_make(reads[i].data, reads[i].size), first + i);
        if (code == GLIS_ECORRUPT || code == GLIS_ENEWER) {
            error_context("record %llu: object %.*s", (unsigned long long)(first + i),
                          SLICE_PRINT(reads[i].key));
            error_save(&run->detail);
            run->problem = code;
            *end = true;
            code = 0;
        } else if (code == 0 && run->view->state.ended) {
            *end = true;
        } else if (code == 0 && run->watch && run->watch->enough &&
                   run->watch->enough(run->watch->state)) {
            *end = true;
        }
    }
    return code;
}

static int record_take(struct log *log, struct run *run, struct slice object, uint64_t record)
{
    struct arena arena;
    struct log_record decoded;
    arena_init(&arena, log->runtime->budget);
    int code = log_record_decode(&arena, object, record, &decoded);
    if (code == 0) code = log_bodies_resolve(log, &arena, &decoded);
    if (code == 0 && !run->view) code = log_version_clone(run->base, &run->view);
    if (code == 0) code = log_version_apply(run->view, &decoded);
    if (code == 0 && run->watch) run->watch->applied(run->watch->state, run->view);
    arena_free(&arena);
    return code;
}

/* Step 3: replaces *base by what the newest snapshot in the list holds. */
static int begin_again(struct log *log, uint64_t block, struct log_version **base)
{
    struct log_version *found = NULL;
    TRY(log_snapshot_load_newest(log, UINT64_MAX, false, &found));
    uint64_t covered = found ? found->state.record : 0;
    if (!found || (!found->state.ended && covered < block * log->options.block_slots)) {
        log_version_release(found);
        return error_set(GLIS_ECORRUPT,
                         "block %llu of the log %s is marked as trimmed, but no readable snapshot "
                         "covers it (the newest is of record %llu)",
                         (unsigned long long)block, log->prefix, (unsigned long long)covered);
    }
    log_version_release(*base);
    *base = found;
    return 0;
}

int log_read_until(struct log *log, uint64_t record, const struct log_state **out)
{
    struct log_version *base = NULL;
    TRY(log_snapshot_load_newest(log, record, false, &base));
    if (!base) TRY(log_version_new(log->machine, &base));
    if (base->state.record == record) { /* snapshots are of real states */
        *out = &base->state;
        return 0;
    }
    struct run run = {.base = base, .last = record};
    bool marked = false;
    int code = run_read(log, &run);
    if (code == 0) code = log_marker_look(log, log_block(log, base->state.record + 1), &marked);
    if (code == 0 && !marked && run.problem) code = error_load(&run.detail);
    if (code == 0 && (marked || !run.view || run.view->state.record != record))
        code =
            error_set(GLIS_EGONE, "the log %s can no longer be read at record %llu: it was trimmed",
                      log->prefix, (unsigned long long)record);
    if (code == 0)
        *out = &run.view->state;
    else
        log_version_release(run.view);
    log_version_release(base);
    return code;
}

int log_marker_look(struct log *log, uint64_t block, bool *found)
{
    char key[LOG_KEY_BYTES];
    struct slice marker = log_key_marker(log, block, key);
    for (unsigned attempt = 0;; attempt++) {
        struct store_object object;
        int code = store_head(log->store, marker, &object);
        *found = code == 0;
        if (code == 0 || code == GLIS_ENOTFOUND) return 0;
        if ((code != GLIS_EIO && code != GLIS_ERETRY && code != GLIS_EUNKNOWN) ||
            attempt + 1 >= log->options.read_attempts)
            return code;
        TRY(runtime_check_cancel(log->runtime));
        log_back_off(log, attempt);
    }
}

int log_read_objects(struct log *log, struct store_read *reads, size_t n_reads)
{
    int code = store_read(log->store, reads, n_reads);
    for (unsigned attempt = 0; attempt + 1 < log->options.read_attempts; attempt++) {
        if (code != GLIS_EIO && code != GLIS_ERETRY && code != GLIS_EUNKNOWN) break;
        int cancelled = runtime_check_cancel(log->runtime);
        if (cancelled < 0) {
            code = cancelled;
            break;
        }
        log_back_off(log, attempt);
        code = 0;
        for (size_t i = 0; i < n_reads; i++) {
            if (reads[i].outcome == 0 || reads[i].outcome == GLIS_ENOTFOUND) continue;
            int again = store_read(log->store, &reads[i], 1);
            if (again < 0) code = again;
        }
    }
    if (code < 0) store_read_release(reads, n_reads);
    return code;
}

int log_bodies_resolve(struct log *log, struct arena *arena, struct log_record *record)
{
    for (size_t i = 0; i < record->n_lines; i++) {
        struct log_line *line = &record->lines[i];
        if (line->kind != LOG_LINE_BODY) continue;
        char key[LOG_KEY_BYTES];
        struct store_read read = {.key = log_key_body(log, line->body_name, key),
                                  .length = LOG_BODY_BYTES_MAX + 4096,
                                  .budget = log->runtime->budget};
        TRY(log_read_objects(log, &read, 1));
        int code = read.outcome == 0
                       ? log_body_decode(arena, slice_make(read.data, read.size), line)
                       : error_set(GLIS_ECORRUPT, "the object is not there");
        store_read_release(&read, 1);
        TRY_CONTEXT(code, "body %.*s", SLICE_PRINT(read.key));
    }
    return 0;
}
