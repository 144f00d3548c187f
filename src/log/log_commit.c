/*
 * log_commit.c: commits: group commit within the process, and doubt and its end.
 *
 * Threads queue their transactions. One of them leads: it takes what is waiting into a batch, and
 * drives it until each transaction of it has an answer; whoever waits then leads next. A round of a
 * batch is section "Reading and committing" of docs/architecture.md to the letter:
 *
 *   1. Check each transaction against a real state at N, those before it in the record applied. A
 *      state older than a second is caught up first. A transaction that fails, or was done before,
 *      is answered so only if it still is after a catch-up that began after it was handed in, and
 *      only when what it was checked against is certain: the real state, or companions whose
 *      record was committed.
 *   2. Put record N+1 if absent. Unknown or broken: in doubt; the same bytes, with the same id,
 *      again until the answer is definite. Retry later: the same after a jittered wait. Exists: get
 *      it; mine by id counts as put; else catch up from N: if that meets the marker while in doubt,
 *      nothing can tell any more (GLIS_EUNKNOWN); if not, the put is lost and the doubt over: go to
 *      1.
 *   3. After the put returned, and not before, look for the marker of N+1's block. There: the
 *      record may be a ghost: GLIS_EUNKNOWN. Not there: committed.
 *   4. Publish, answer. The next record is put only now.
 *
 * While in doubt the base stays N, whatever readers publish meanwhile: only a catch-up from N,
 * whose look is at N+1's block, ends the doubt. A deadline or a cancel that comes in doubt is
 * GLIS_EUNKNOWN for the transactions of the record; out of doubt it is certain that they did not
 * happen.
 *
 * A record costs about the same for one transaction as for many. So whoever leads next waits a
 * little for those that were answered together with it, or waited meanwhile (companions_wait).
 *
 * After two lost puts in a row, out of doubt, the batch turns to combining (log_combine.c), and so
 * do the next ones from the start.
 */
#include "log/log_int.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLOCK_CHECK_S = 60, WAIT_YIELDS_MAX = 2000 };
enum { STALE_MS = 1000, OLD_MS = 10000 };
#define WAIT_NS_MAX ((int64_t)20 * 1000000)

enum owner { OWNER_MINE, OWNER_OTHER, OWNER_UNREADABLE }; /* of what stands in a slot */

static int request_prepare(struct log *log, struct arena *arena, struct slice text,
                           struct log_request *request);
static void queue_and_wait(struct log *log, struct log_request *requests, size_t n);
static bool lead(struct log *log);
static void companions_wait(struct log *log);
static struct log_request *batch_take(struct log *log);
static void batch_round(struct log *log, struct log_batch *batch);
static bool batch_check(struct log *log, struct log_batch *batch);
static int batch_check_each(struct log *log, struct log_batch *batch);
static int settle_done(struct log *log, struct log_batch *batch);
static int check_one(struct log *log, struct log_batch *batch, struct log_request *request);
static bool bodies_put(struct log *log, struct log_batch *batch);
static int body_put(struct log *log, struct log_request *request);
static int record_make(struct log *log, struct log_batch *batch);
static void record_put(struct log *log, struct log_batch *batch);
static bool record_lost(struct log *log, struct log_batch *batch);
static enum owner record_owner(struct log *log, struct log_batch *batch);
static size_t included_left(const struct log_batch *batch);
static void record_look(struct log *log, struct log_batch *batch, int64_t put_ns);
static void record_committed(struct log *log, struct log_batch *batch, int64_t put_ns);
static void state_outdated(struct log *log, struct log_batch *batch);
static int clocks_check(struct log *log, const struct log_version *base, bool sets_time);

/* ---- the callers' side ---- */

int log_commit(struct log *log, const struct slice *transactions, size_t n_transactions,
               int64_t deadline_ns, struct log_answer *answers)
{
    if (n_transactions == 0) return 0;
    defer_arena struct arena arena = ARENA_EMPTY;
    arena.budget = log->runtime->budget;
    if (deadline_ns == 0) deadline_ns = log_now_ns(log) + log->options.commit_timeout_ms * 1000000;
    struct log_request *requests = memory_alloc_zero(n_transactions * sizeof(*requests));
    for (size_t i = 0; i < n_transactions; i++) {
        memset(&answers[i], 0, offsetof(struct log_answer, detail));
        requests[i].answer = &answers[i];
        requests[i].deadline_ns = deadline_ns;
        int code = request_prepare(log, &arena, transactions[i], &requests[i]);
        if (code == 0) continue;
        answers[i].code = code;
        error_save(&answers[i].detail);
        requests[i].done = true;
    }
    queue_and_wait(log, requests, n_transactions);
    free(requests);
    for (size_t i = 0; i < n_transactions; i++)
        if (answers[i].code != 0) return error_load(&answers[i].detail);
    return 0;
}

int log_set_time(struct log *log, uint64_t record, int64_t deadline_ns, struct log_answer *out)
{
    if (log->options.read_only)
        return error_set(GLIS_EDENIED, "the log %s was opened for reading only", log->prefix);
    if (deadline_ns == 0) deadline_ns = log_now_ns(log) + log->options.commit_timeout_ms * 1000000;
    memset(out, 0, offsetof(struct log_answer, detail));
    struct log_request request = {
        .sets_time = true, .set_time_record = record, .deadline_ns = deadline_ns, .answer = out};
    queue_and_wait(log, &request, 1);
    return out->code ? error_load(&out->detail) : 0;
}

/* What can be said of a transaction without any state. */
static int request_prepare(struct log *log, struct arena *arena, struct slice text,
                           struct log_request *request)
{
    if (log->options.read_only)
        return error_set(GLIS_EDENIED, "the log %s was opened for reading only", log->prefix);
    if (text.size > LOG_BODY_BYTES_MAX)
        return error_set(GLIS_ELIMIT, "a transaction of %zu bytes; at most %" PRIu64 " are allowed",
                         text.size, LOG_BODY_BYTES_MAX);
    if (text.size == 0 || memchr(text.data, '\n', text.size))
        return error_set(GLIS_EINVALID, "a transaction is one line of JSON");
    struct json_rules rules = {LOG_BODY_BYTES_MAX, 64, GLIS_EINVALID};
    TRY_CONTEXT(json_parse(arena, text, rules, &request->json), "transaction");
    TRY_CONTEXT(json_as_object(request->json), "transaction");
    if (json_find(request->json, "log"))
        return error_set(GLIS_EINVALID, "a transaction must not have the field 'log'");
    request->text = text;
    return 0;
}

static bool all_done(const struct log_request *requests, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!requests[i].done) return false;
    return true;
}

/* Returns when all have their answers. Who waits and finds nobody leading leads a round. */
static void queue_and_wait(struct log *log, struct log_request *requests, size_t n)
{
    bool put = false;
    pthread_mutex_lock(&log->lock);
    log->n_active++;
    for (size_t i = 0; i < n; i++) {
        if (requests[i].done) continue;
        *log->last_waiting = &requests[i];
        log->last_waiting = &requests[i].next;
        log->n_waiting++;
    }
    while (!all_done(requests, n)) {
        if (log->leading) {
            pthread_cond_wait(&log->changed, &log->lock);
            continue;
        }
        log->leading = true;
        companions_wait(log);
        pthread_mutex_unlock(&log->lock);
        put |= lead(log);
        pthread_mutex_lock(&log->lock);
        log->leading = false;
        pthread_cond_broadcast(&log->changed);
    }
    pthread_mutex_unlock(&log->lock);
    if (put) log_snapshot_after_commit(log); /* who only waits leaves it to whoever puts */
    pthread_mutex_lock(&log->lock);
    if (--log->n_active == 0) pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

/* ---- the leader's side ---- */

/* Those whose commits went into the last record come back together, or nearly so. A record costs
 * the same for one as for all, so the first one waits for the others; not for long, and not when
 * that was in vain of late. Under the lock. */
static void companions_wait(struct log *log)
{
    if (log->n_waiting >= log->n_together) return;
    if (log->n_unwaited > 0) {
        log->n_unwaited--;
        return;
    }
    size_t missing = log->n_together - log->n_waiting;
    int64_t end_ns =
        log_now_ns(log) + (log->put_ns < WAIT_NS_MAX ? log->put_ns / 2 : WAIT_NS_MAX / 2);
    for (unsigned i = 0; i < WAIT_YIELDS_MAX && log->n_waiting < log->n_together; i++) {
        pthread_mutex_unlock(&log->lock);
        sched_yield();
        bool over = log_now_ns(log) >= end_ns;
        pthread_mutex_lock(&log->lock);
        if (over) break;
    }
    bool in_vain =
        log->n_together > log->n_waiting && (log->n_together - log->n_waiting) * 2 > missing;
    log->unwaited_of = !in_vain ? 0 : log->unwaited_of < 16 ? log->unwaited_of * 2 + 1 : 31;
    log->n_unwaited = log->unwaited_of;
}

/* Takes a batch and settles it. Whether a record of it was put. */
static bool lead(struct log *log)
{
    struct log_batch *batch = memory_alloc_zero(sizeof(*batch));
    batch->first = batch_take(log);
    arena_init(&batch->arena, log->runtime->budget);
    buffer_init(&batch->object, LOG_RECORD_BYTES_MAX + (1 << 16), log->runtime->budget);
    while (batch->first) {
        if (batch->combining)
            log_combine_round(log, batch);
        else
            batch_round(log, batch);
        log_version_release(batch->next);
        batch->next = NULL;
        free(batch->lines);
        batch->lines = NULL;
        log_callers_wake(log);
        if (batch->combining) continue; /* the base is where its entries are looked for from */
        log_version_release(batch->base);
        batch->base = NULL;
    }
    log_version_release(batch->base);
    buffer_free(&batch->object);
    arena_free(&batch->arena);
    bool put = batch->committed;
    free(batch);
    return put;
}

/* As many of the waiting as fit one record; a setting of the time stands alone. */
static struct log_request *batch_take(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    struct log_request *first = log->first_waiting, **link = &log->first_waiting;
    uint64_t bytes = 0;
    size_t n = 0;
    log->n_together = log->n_waiting;
    while (*link) {
        struct log_request *request = *link;
        bool inline_text = request->text.size <= log->options.record_max_bytes;
        bytes += inline_text ? request->text.size + 1 : 256;
        if (request != first && (bytes > LOG_RECORD_FILL_BYTES || request->sets_time)) break;
        link = &request->next;
        n++;
        if (request->sets_time) break;
    }
    log->n_waiting -= n;
    log->first_waiting = *link;
    if (!*link) log->last_waiting = &log->first_waiting;
    *link = NULL;
    pthread_mutex_unlock(&log->lock);
    return first;
}

/* Steps 1 to 4 once. Whatever is undecided after it stays in the batch for another round. */
static void batch_round(struct log *log, struct log_batch *batch)
{
    batch->doubt = false;
    batch->n_included = 0;
    if (!log_batch_give_up(log, batch)) return;
    int code = 0;
    if (batch->stale) {
        code = log_refresh(log);
        batch->fresh = true;
        batch->stale = false;
    } else {
        pthread_mutex_lock(&log->lock);
        int64_t age_ms = (log_now_ns(log) - log->fresh_ns) / 1000000;
        pthread_mutex_unlock(&log->lock);
        /* An entry needs no new state: it is not what is put behind it. */
        if (age_ms > OLD_MS || (age_ms > STALE_MS && !log_combine_follows(log))) {
            code = log_refresh(log);
            batch->fresh = true;
        }
    }
    batch->base = log_published(log);
    if (code == 0) code = clocks_check(log, batch->base, batch->first->sets_time);
    if (code < 0) {
        log_batch_answer_all(log, batch, code, false);
        return;
    }
    if (!batch_check(log, batch)) return;
    if (!bodies_put(log, batch)) return;
    if (!batch->first->sets_time && log_combine_wanted(log, batch)) {
        log_combine_begin(log, batch);
        return;
    }
    code = record_make(log, batch);
    if (code < 0) {
        log_batch_answer_all(log, batch, code, true);
        return;
    }
    record_put(log, batch);
}

/* Step 1. True when there is a record to put; else the round is over. */
static bool batch_check(struct log *log, struct log_batch *batch)
{
    int code;
    do { /* once more without the transaction that broke the version */
        log_version_release(batch->next);
        batch->next = NULL;
        code = log_version_clone(batch->base, &batch->next);
        if (code < 0) {
            log_batch_answer_all(log, batch, code, false);
            return false;
        }
        struct clock *clock = log->runtime->clock;
        int64_t now_ms = clock->wall_ms(clock), before_ms = batch->base->state.time_ms;
        batch->header =
            (struct log_record){.record = batch->base->state.record + 1,
                                .time_ms = now_ms > before_ms || batch->first->sets_time ||
                                                   GLIS_MUTANT(time_never_decreases)
                                               ? now_ms
                                               : before_ms,
                                .writer = log->options.writer};
        batch->n_included = 0;
        code = batch_check_each(log, batch);
    } while (code == GLIS_EIO && batch->first);
    if (code == GLIS_ERETRY) { /* a refusal that may only be of an old state */
        batch->stale = true;
        return false;
    }
    return batch->first && batch->n_included > 0;
}

/* 0; GLIS_ERETRY: catch up and begin again; GLIS_EIO: the version is unusable, begin again. */
static int batch_check_each(struct log *log, struct log_batch *batch)
{
    for (struct log_request *request = batch->first, *next; request; request = next) {
        next = request->next;
        request->verdict = LOG_VERDICT_NONE;
        int code = check_one(log, batch, request);
        if (code == 0) {
            request->verdict = LOG_VERDICT_INCLUDED;
            batch->n_included++;
            continue;
        }
        bool ended = batch->base->state.ended; /* final, however old */
        if ((code == GLIS_EREFUSED || code == LOG_ALREADY_DONE) && !batch->fresh && !ended &&
            !GLIS_MUTANT(refusal_of_a_fresh_state))
            return GLIS_ERETRY;
        if (code == LOG_ALREADY_DONE && batch->n_included == 0) code = settle_done(log, batch);
        if ((code == LOG_ALREADY_DONE || code == GLIS_EREFUSED) && batch->n_included > 0 &&
            !GLIS_MUTANT(dependents_wait)) {
            request->verdict = LOG_VERDICT_DEPENDENT;
            request->tentative = code;
            if (code < 0) error_save(&request->tentative_detail);
            continue;
        }
        log_batch_answer(log, batch, request, code, batch->base->state.record,
                         batch->base->state.time_ms);
        if (code < 0 && code != GLIS_EREFUSED && code != GLIS_EINVALID && code != GLIS_EUNKNOWN)
            return GLIS_EIO; /* apply may have left anything behind */
    }
    return 0;
}

/* "Already done" is as good as a commit of one's own. */
static int settle_done(struct log *log, struct log_batch *batch)
{
    if (GLIS_MUTANT(done_is_settled)) return LOG_ALREADY_DONE;
    int code = log_settle(log, batch->base->state.record);
    return code < 0 ? code : LOG_ALREADY_DONE;
}

int log_settle(struct log *log, uint64_t record)
{
    char key[LOG_KEY_BYTES];
    if (record == 0) return 0;
    struct slice newest = log_key_record(log, record, key);
    for (unsigned attempt = 0; attempt < log->options.read_attempts; attempt++) {
        if (attempt > 0) log_back_off(log, attempt);
        int code = store_sync(log->store, &newest, 1);
        if (code == 0 || code == GLIS_ENOTFOUND) return 0; /* or trimmed since */
    }
    struct error_detail detail;
    error_save(&detail);
    return error_set(GLIS_EUNKNOWN,
                     "what record %" PRIu64 " says was only read, and cannot be made sure just "
                     "now: %.600s",
                     record, detail.text);
}

static int check_one(struct log *log, struct log_batch *batch, struct log_request *request)
{
    struct log_record_info info = {.record = batch->header.record,
                                   .time_ms = batch->header.time_ms,
                                   .writer = batch->header.writer};
    if (request->sets_time) {
        if (batch->next->state.ended)
            return error_set(GLIS_EREFUSED, "this %s was dropped", log->machine->kind);
        if (request->set_time_record != batch->base->state.record &&
            !GLIS_MUTANT(set_time_at_the_end))
            return error_set(GLIS_EREFUSED,
                             "set_time names record %" PRIu64 ", but the log ends at %" PRIu64,
                             request->set_time_record, batch->base->state.record);
        info.before_ms = batch->base->state.time_ms;
        if (log->machine->time_set)
            log->machine->time_set(log->machine->context, batch->next->machine_state, &info);
        return 0;
    }
    if (request->text.size > log->options.record_max_bytes) {
        if (request->body_name[0] == '\0') { /* its name is part of what is checked */
            char id[LOG_ID_BYTES + 1];
            log_random_hex(log, id, LOG_ID_BYTES);
            request->body_begun = batch->base->state.record;
            snprintf(request->body_name, sizeof(request->body_name), "%012" PRIx64 "-%s",
                     request->body_begun, id);
        }
        info.has_body = true;
        info.body_begun = request->body_begun;
    }
    return log_version_try(batch->next, &info, request->json);
}

/* ---- step 2 ---- */

/* Large transactions go first, under names of their own. False when one of them failed: it has its
 * answer, and the others need another round. */
static bool bodies_put(struct log *log, struct log_batch *batch)
{
    for (struct log_request *request = batch->first; request; request = request->next) {
        if (request->verdict != LOG_VERDICT_INCLUDED || request->body_name[0] == '\0' ||
            request->body_put)
            continue;
        int code = body_put(log, request);
        if (code == 0) continue;
        if (code == GLIS_ENOTFOUND) { /* it was put and is gone: trimmed, or the log was cleared */
            request->body_name[0] = '\0';
            request->body_put = false;
            batch->stale = true;
            error_clear();
            return false;
        }
        log_batch_answer(log, batch, request, code, 0, 0);
        return false;
    }
    return true;
}

static int body_put(struct log *log, struct log_request *request)
{
    char key[LOG_KEY_BYTES];
    defer_buffer struct buffer object = BUFFER_INIT(LOG_BODY_BYTES_MAX + (1 << 20));
    object.budget = log->runtime->budget;
    TRY(log_body_encode(request->text, &object));
    int code = log_put_surely(log, log_key_body(log, slice_from_text(request->body_name), key),
                              buffer_slice(&object), request->deadline_ns);
    request->body_put = true; /* perhaps */
    if (code == GLIS_EUNKNOWN && GLIS_MUTANT(body_confirmed)) return 0;
    if (code == GLIS_EUNKNOWN || code == GLIS_EIO || code == GLIS_ERETRY) {
        struct error_detail detail; /* no record names it, so the transaction did not happen */
        error_save(&detail);
        return error_set(GLIS_ETIMEOUT, "its body could not be put in time: %.600s", detail.text);
    }
    return code;
}

static int record_make(struct log *log, struct log_batch *batch)
{
    batch->lines = memory_alloc_zero(batch->n_included * sizeof(*batch->lines));
    size_t n = 0;
    for (struct log_request *request = batch->first; request; request = request->next) {
        if (request->verdict != LOG_VERDICT_INCLUDED) continue;
        struct log_line_out *line = &batch->lines[n++];
        line->text = request->text;
        line->sets_time = request->sets_time;
        line->set_time_record = request->set_time_record;
        if (request->body_name[0]) {
            line->body_name = slice_from_text(request->body_name);
            line->body_bytes = request->text.size;
            line->body_hash = hash_xxh3_128(request->text.data, request->text.size);
        }
    }
    ASSERT(n == batch->n_included);
    log_random_hex(log, batch->header.id, LOG_ID_BYTES);
    memcpy(batch->header.previous, batch->base->state.id, sizeof(batch->header.previous));
    buffer_clear(&batch->object);
    TRY(log_record_encode(&batch->header, batch->lines, n, &batch->object));
    batch->header.object_bytes = batch->header.weight_bytes = batch->object.size;
    for (size_t i = 0; i < n; i++)
        batch->header.weight_bytes += batch->lines[i].body_bytes;
    batch->record_key = log_key_record(log, batch->header.record, batch->key);
    return 0;
}

/* Puts the record until the answer is definite; ends with it committed, lost, unknown or failed. */
static void record_put(struct log *log, struct log_batch *batch)
{
    int64_t first_ns = log_now_ns(log);
    for (unsigned attempt = 0;; attempt++) {
        int64_t put_ns = log_now_ns(log);
        bool marked = false;
        if (attempt > 0 && GLIS_MUTANT(same_record_again) && record_make(log, batch) < 0) return;
        if (GLIS_MUTANT(look_after_put_not_before) &&
            (log_marker_look(log, log_block(log, batch->header.record), &marked) < 0 || marked)) {
            state_outdated(log, batch);
            return;
        }
        if (GLIS_MUTANT(publish_after_commit) || GLIS_MUTANT(snapshot_after_commit)) {
            log_version_complete(batch->next, &batch->header);
            log_publish(log, batch->next, put_ns);
            if (GLIS_MUTANT(snapshot_after_commit) && log_snapshot_write(log) < 0) error_clear();
        }
        int code =
            store_put(log->store, batch->record_key, buffer_slice(&batch->object), STORE_IF_ABSENT);
        if (code == 0) {
            log_put_took(log, log_now_ns(log) - put_ns);
            record_look(log, batch, put_ns);
            return;
        }
        if (code == GLIS_EEXISTS) {
            enum owner owner = record_owner(log, batch);
            if (owner == OWNER_OTHER || (owner == OWNER_UNREADABLE && !batch->doubt)) {
                if (record_lost(log, batch)) return;
            }
            if (owner == OWNER_MINE) {
                /* It was put by an attempt whose answer was lost: what that would have made durable
                 * is made so now; a failure leaves the doubt. Others may have gone on behind it
                 * since the first attempt, so the state is only as fresh as that. */
                batch->doubt = true;
                code = GLIS_MUTANT(own_record_is_durable)
                           ? 0
                           : store_sync(log->store, &batch->record_key, 1);
                if (code == 0) {
                    record_look(log, batch, first_ns);
                    return;
                }
            }
        } else if (code == GLIS_EUNKNOWN ||
                   (code == GLIS_EIO && !GLIS_MUTANT(broken_means_doubt))) {
            batch->doubt = true;
            if (GLIS_MUTANT(doubt_settled_before_pending)) {
                batch->doubt = false;
                batch->losses = 9;
                return;
            }
        } else if (code != GLIS_ERETRY && !batch->doubt) { /* denied, no room: it did not happen */
            log_batch_answer_all(log, batch, code, true);
            return;
        }
        if (!log_batch_give_up(log, batch)) return; /* nobody waits for it any more */
        if (!batch->doubt && included_left(batch) < batch->n_included)
            return; /* the record must not be put with those that were told it did not happen */
        log_back_off(log, attempt);
    }
}

/* Whose record stands in the slot, by its id; gone counts as another's. A damaged one is
 * another's too: the catch-up that follows judges it. */
static enum owner record_owner(struct log *log, struct log_batch *batch)
{
    struct store_read read = {.key = batch->record_key,
                              .length = LOG_RECORD_BYTES_MAX + 4096,
                              .budget = log->runtime->budget};
    if (log_read_objects(log, &read, 1) < 0) return OWNER_UNREADABLE;
    if (read.outcome != 0) return OWNER_OTHER;
    struct arena arena;
    struct log_record record;
    arena_init(&arena, log->runtime->budget);
    int code =
        log_record_decode(&arena, slice_make(read.data, read.size), batch->header.record, &record);
    bool mine = code == 0 && memcmp(record.id, batch->header.id, LOG_ID_BYTES) == 0 &&
                !GLIS_MUTANT(read_back_own_id);
    arena_free(&arena);
    store_read_release(&read, 1);
    if (code == GLIS_ENOMEM) return OWNER_UNREADABLE;
    return mine ? OWNER_MINE : OWNER_OTHER;
}

static size_t included_left(const struct log_batch *batch)
{
    size_t n = 0;
    for (const struct log_request *request = batch->first; request; request = request->next)
        n += request->verdict == LOG_VERDICT_INCLUDED;
    return n;
}

/* Another's record was in the slot, or one that is gone again: catch up from N, so that the look
 * at the block of N+1 tells whether that proves anything. False: nothing is known yet, and the same
 * bytes are put again. */
static bool record_lost(struct log *log, struct log_batch *batch)
{
    struct log_version *version = NULL;
    int64_t begun_ns = log_now_ns(log);
    bool trimmed = false;
    bool in_doubt = batch->doubt && !GLIS_MUTANT(doubt_until_look);
    int code = log_read_forward(log, batch->base, in_doubt, NULL, &version, &trimmed);
    if (code == 0 && trimmed) {
        code = error_set(GLIS_EUNKNOWN,
                         "record %" PRIu64 " was put while its block was trimmed, and nothing can "
                         "tell whether it counts; doing it again is safe",
                         batch->header.record);
        log_batch_answer_all(log, batch, code, true);
        state_outdated(log, batch);
        return true;
    }
    if (code < 0 && batch->doubt) {
        if (code == GLIS_EIO || code == GLIS_ERETRY || code == GLIS_EUNKNOWN ||
            code == GLIS_ECANCELLED)
            return false; /* the doubt goes on until the deadline, a cancel, a definite answer */
        struct error_detail detail;
        error_save(&detail);
        code = error_set(GLIS_EUNKNOWN, "record %" PRIu64 " may have been put: %.600s",
                         batch->header.record, detail.text);
        log_batch_answer_all(log, batch, code, true);
        batch->stale = true;
        return true;
    }
    if (code < 0) {
        log_batch_answer_all(log, batch, code, false);
        return true;
    }
    log_publish_read(log, version, begun_ns);
    log_version_release(version);
    batch->fresh = true;
    batch->doubt = false;
    batch->losses++;
    log_combine_lost(log);
    return true;
}

/* ---- steps 3 and 4 ---- */

static void record_look(struct log *log, struct log_batch *batch, int64_t put_ns)
{
    bool marked = false;
    int code;
    for (unsigned attempt = 0;; attempt++) {
        if (GLIS_MUTANT(look_after_put) || GLIS_MUTANT(look_after_put_not_before)) break;
        code = log_marker_look(log, log_block(log, batch->header.record), &marked);
        if (code == 0) break;
        batch->doubt = true; /* put, but perhaps a ghost */
        if (!log_batch_give_up(log, batch)) return;
        log_back_off(log, attempt);
    }
    if (!marked) {
        record_committed(log, batch, put_ns);
        return;
    }
    if (GLIS_MUTANT(trimmed_means_unknown)) {
        batch->doubt = false;
        state_outdated(log, batch);
        return;
    }
    (void)error_set(GLIS_EUNKNOWN,
                    "record %" PRIu64 " was put, but its block has been trimmed, and nothing can "
                    "tell whether it counts; doing it again is safe",
                    batch->header.record);
    log_batch_answer_all(log, batch, GLIS_EUNKNOWN, true);
    state_outdated(log, batch);
}

/* The published state is at a trimmed block: whoever commits next begins with a catch-up, which
 * leads to a snapshot, instead of another put that nothing can be told of. */
static void state_outdated(struct log *log, struct log_batch *batch)
{
    batch->stale = true;
    pthread_mutex_lock(&log->lock);
    log->fresh_ns = INT64_MIN / 2;
    pthread_mutex_unlock(&log->lock);
}

static void record_committed(struct log *log, struct log_batch *batch, int64_t put_ns)
{
    log_version_complete(batch->next, &batch->header);
    log_publish(log, batch->next, put_ns);
    batch->losses = 0;
    batch->committed = true;
    log->others.led_record = batch->header.record;
    for (struct log_request *request = batch->first, *next; request; request = next) {
        next = request->next;
        if (request->verdict == LOG_VERDICT_INCLUDED) {
            log_batch_answer(log, batch, request, 0, batch->header.record, batch->header.time_ms);
        } else if (request->verdict == LOG_VERDICT_DEPENDENT) {
            if (request->tentative < 0) (void)error_load(&request->tentative_detail);
            log_batch_answer(log, batch, request, request->tentative, batch->header.record,
                             batch->header.time_ms);
        }
    }
}

/* ---- answers ---- */

void log_callers_wake(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

/* Those who wait for the next batch have deadlines, too, however long this one takes: of them
 * nothing was put. */
static void waiting_give_up(struct log *log, int64_t now_ns, bool cancelled)
{
    struct log_request **link = &log->first_waiting;
    bool any = false;
    pthread_mutex_lock(&log->lock);
    while (*link) {
        struct log_request *request = *link;
        if (!cancelled && now_ns < request->deadline_ns) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        log->n_waiting--;
        struct log_answer *out = request->answer;
        out->code =
            error_set(cancelled ? GLIS_ECANCELLED : GLIS_ETIMEOUT,
                      "%s before the commit to the log %s could begin",
                      cancelled ? "stopped on request" : "the time limit was reached", log->prefix);
        error_save(&out->detail);
        request->done = any = true;
    }
    log->last_waiting = link;
    if (any) pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

bool log_batch_give_up(struct log *log, struct log_batch *batch)
{
    int64_t now_ns = log_now_ns(log);
    bool cancelled = runtime_check_cancel(log->runtime) < 0;
    waiting_give_up(log, now_ns, cancelled);
    bool record_left = false, any = false;
    for (struct log_request *request = batch->first, *next; request; request = next) {
        next = request->next;
        if (!cancelled && now_ns < request->deadline_ns) {
            record_left |= request->verdict == LOG_VERDICT_INCLUDED;
            continue;
        }
        const char *why = cancelled ? "stopped on request" : "the time limit was reached";
        int code = cancelled ? GLIS_ECANCELLED : GLIS_ETIMEOUT;
        if (request->pending && (!request->entry_absent || batch->put_perhaps)) {
            code = error_set(GLIS_EUNKNOWN,
                             "%s while the change waited to be carried into the log %s, and others "
                             "may still do so; doing it again is safe",
                             why, log->prefix);
        } else if (batch->doubt && request->verdict == LOG_VERDICT_INCLUDED &&
                   !GLIS_MUTANT(deadline_in_doubt)) {
            code = error_set(GLIS_EUNKNOWN,
                             "%s before the store told whether record %" PRIu64 " of the log %s "
                             "was put; doing it again is safe",
                             why, batch->header.record, log->prefix);
        } else {
            code = error_set(code, "%s before the commit to the log %s could be made", why,
                             log->prefix);
        }
        log_batch_answer(log, batch, request, code, 0, 0);
        any = true;
    }
    if (any) log_callers_wake(log); /* whose time is over need not wait for the round's end */
    /* A record in doubt of which nobody is left needs no more care; those that only depended on it
     * begin a new round. */
    if (batch->doubt && !record_left && batch->first) {
        batch->stale = true;
        return false;
    }
    return batch->first != NULL;
}

void log_batch_answer_all(struct log *log, struct log_batch *batch, int code, bool only_included)
{
    struct error_detail detail;
    error_save(&detail);
    for (struct log_request *request = batch->first, *next; request; request = next) {
        next = request->next;
        if (only_included && request->verdict != LOG_VERDICT_INCLUDED) continue;
        (void)error_load(&detail);
        log_batch_answer(log, batch, request, code, 0, 0);
    }
}

void log_batch_answer(struct log *log, struct log_batch *batch, struct log_request *request,
                      int code, uint64_t record, int64_t time_ms)
{
    struct log_request **link = &batch->first;
    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    struct log_answer *out = request->answer;
    out->already_done = code == LOG_ALREADY_DONE;
    out->code = code < 0 ? code : 0;
    out->record = record;
    out->time_ms = time_ms;
    if (code < 0) error_save(&out->detail);
    if (code < 0 && code != GLIS_EUNKNOWN && request->body_put && !request->body_shared) {
        /* no record will name it */
        char key[LOG_KEY_BYTES];
        struct slice body = log_key_body(log, slice_from_text(request->body_name), key);
        if (store_remove(log->store, &body, 1) < 0) error_clear(); /* left to collection */
        request->body_put = false;
    }
    pthread_mutex_lock(&log->lock);
    request->done = true; /* its caller is woken at the end of the round, with all others */
    pthread_mutex_unlock(&log->lock);
}

/* ---- others ---- */

/* Refuses to write when this machine's clock is far from the store's, or the log's from the
 * store's. */
static int clocks_check(struct log *log, const struct log_version *base, bool sets_time)
{
    struct clock *clock = log->runtime->clock;
    int64_t now_ns = log_now_ns(log), store_ms;
    if (!log->clock_known || now_ns - log->clock_checked_ns > CLOCK_CHECK_S * 1000000000ll) {
        TRY(store_time_ms(log->store, &store_ms));
        log->clock_offset_ms = store_ms - clock->wall_ms(clock);
        log->clock_checked_ns = now_ns;
        log->clock_known = true;
    }
    int64_t offset_ms = log->clock_offset_ms;
    if ((offset_ms > LOG_CLOCK_SKEW_MS_MAX || offset_ms < -LOG_CLOCK_SKEW_MS_MAX) &&
        !GLIS_MUTANT(clock_is_checked)) {
        log->clock_known = false; /* look again next time */
        return error_set(GLIS_EREFUSED,
                         "this machine's clock differs by %" PRId64
                         " s from that of the store (%s); "
                         "nothing is written until it is set right",
                         offset_ms / 1000, log->store->description);
    }
    store_ms = clock->wall_ms(clock) + offset_ms;
    if (!sets_time && !base->state.ended && base->state.time_ms - store_ms > LOG_CLOCK_SKEW_MS_MAX)
        return error_set(GLIS_EREFUSED,
                         "record %" PRIu64 " of the log %s lies %" PRId64 " s ahead of the store's "
                         "clock; nothing is written until time catches up, or 'glis log set-time' "
                         "sets it back",
                         base->state.record, log->prefix, (base->state.time_ms - store_ms) / 1000);
    return 0;
}

void log_put_took(struct log *log, int64_t took_ns)
{
    log->put_ns = log->put_ns ? (log->put_ns * 3 + took_ns) / 4 : took_ns;
}

int log_put_surely(struct log *log, struct slice key, struct slice body, int64_t deadline_ns)
{
    for (unsigned attempt = 0;; attempt++) {
        int code = store_put(log->store, key, body, STORE_IF_ABSENT);
        if (code == 0) return 0;
        if (code == GLIS_EEXISTS)
            return store_sync(log->store, &key, 1); /* mine: nobody else's name */
        if (code == GLIS_EUNKNOWN && GLIS_MUTANT(body_confirmed)) return code;
        if (code != GLIS_EUNKNOWN && code != GLIS_EIO && code != GLIS_ERETRY) return code;
        TRY(runtime_check_cancel(log->runtime));
        if (log_now_ns(log) >= deadline_ns) return code;
        log_back_off(log, attempt);
    }
}
