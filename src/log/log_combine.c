/*
 * log_combine.c: contended commits (docs/architecture.md, "Contended commits combine").
 *
 * A batch that lost its put twice in a row, and is not in doubt, puts each of its transactions as
 * an entry log/pending/<id>, and from then on tries to append a record that carries its own entries
 * and all others that it can list, in the order of their ids. Whoever wins so brings everybody's
 * changes, and a hundred writers cost a few records.
 *
 * From the moment an entry may be there only the log decides it: apply() takes it or refuses it in
 * the first record that carries it in time, and the state remembers which until `not_after`. So a
 * writer
 *   - no longer reports a refusal of its own, and looks for its ids behind every record that it
 *     reads, from the state at which it put them: this batch's base, whatever others publish;
 *   - needs no care for the outcome of its puts: it catches up, and the records tell;
 *   - knows that a change did not happen when it has read every record up to `not_after`, or to
 *     the end of a log that has ended, without its id. It then does it anew;
 *   - knows nothing when a trim made it begin from a snapshot beyond `not_after`: GLIS_EUNKNOWN.
 *
 * Who tries is settled by courtesy, since each try of many costs the server more than all that they
 * want to write. Whoever put the newest record that it knows leads: its next batch waits about as
 * long as the others need to hear of the last record and to put their next entries, and then
 * carries them. Its own transactions are carried from memory; they are put as entries only when it
 * loses. All others follow: they put their entries, sleep for most of the time that records take of
 * late, and look for the next number with one get, which needs no marker look as long as nothing is
 * there. A follower reads no further than the record that decides its entries. When no record has
 * come for one and a half times as long, the leader has gone: each lists the entries, the first by
 * id combines, and the others give each that stands before them the time of a record. Whoever wins
 * leads. So a leader that went away, or died, costs one pause, and nobody is ever waited for. Who
 * was passed over by several records combines at once.
 *
 * That is for the case of contention, and lasts as long as it does: who has met others' entries
 * begins its next batches by combining, for a writer that puts directly is always faster than those
 * that list first, and would let them wait.
 *
 * Others' entries are taken as they are found. One that has expired or was decided is removed; one
 * that this program cannot apply (a newer type) or whose body is gone or too old is left alone,
 * since a record that carries it could not be read. What a record decided is removed behind it by a
 * thread of the pool, if there is any, and what is left lying is seen by the next list: a decided
 * entry is known by its name alone, and not read again.
 */
#include "log/log_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OTHERS_MAX = 4096,
    REMOVED_MAX = 1000,
    PASSED_OVER_MAX = 3,
    WAIT_MS_MAX = 1000, /* at a time */
    GATHER_MS_MAX = 800,
    GATHER_PUTS = 4,
    GATHER_MS_MIN = 12,     /* of the longest: threads and processes wait for processors, too */
    GATHER_ALL = 8,         /* each so many records */
    MANY = 4,               /* others, that are worth waiting for */
    INTERVAL_MS_MAX = 1500, /* that is believed of records */
    TURNS_MS_MAX = 2000,
};
/* A put is lost so often before its batch combines; so many batches after it do so from the start.
 * Who commits at least once in RECENT_S looks for others' entries each PERIOD commits, sooner at
 * first, a lost put counting as LOSS_COUNTS of them: entries live for 64 records, so they are
 * met. */
enum { LOSSES_MAX = 2, BATCHES = 8, RECENT_S = 10, PERIOD_MIN = 4, PERIOD = 16, LOSS_COUNTS = 4 };

struct carried { /* an entry for the record */
    struct slice id, key, text;
    struct log_line line; /* its body resolved */
    struct log_request *own;
    bool left_out;
};

struct combine {
    struct log *log;
    struct log_batch *batch;
    struct arena arena;
    struct carried *entries;
    size_t n, capacity;
    uint64_t bytes;
    uint64_t inline_bytes; /* of changes that are carried without their bodies */
    struct slice *stale;   /* keys of entries decided or expired */
    size_t n_stale;
    uint64_t n_others; /* entries of other writers among them */
};

static bool entries_catch_up(struct log *log, struct log_batch *batch, bool peek);
static bool entries_enough(void *state);
static bool is_own(const struct log_batch *batch, struct slice id);
static void entries_see(void *state, const struct log_version *version);
static void entries_restart(void *state, const struct log_version *snapshot);
static void entries_settle(struct log *log, struct log_batch *batch, uint64_t own_record);
static int entries_list(struct combine *combine);
static int record_compose(struct combine *combine);
static int record_put(struct combine *combine);
static void record_committed(struct combine *combine, int64_t put_ns);
static void entries_remove(struct combine *combine, bool carried);
static void keys_remove(struct log *log, const struct slice *keys, size_t n);

/* ---- becoming entries ---- */

static int entry_write(const struct log_request *request, bool with_body, struct buffer *out)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "log", "pending");
    json_write_field_text(&json, "id", request->pending_id);
    json_write_field_uint(&json, "not_after", request->not_after);
    json_write_name(&json, "transaction");
    if (with_body && request->body_name[0]) {
        char hash[HASH128_HEX_BYTES + 1];
        hash_hex128(hash_xxh3_128(request->text.data, request->text.size), hash);
        json_write_object_begin(&json);
        json_write_field_text(&json, "log", "body");
        json_write_field_text(&json, "name", request->body_name);
        json_write_field_uint(&json, "bytes", request->text.size);
        json_write_field_text(&json, "xxh3", hash);
        json_write_object_end(&json);
    } else {
        json_write_raw(&json, request->text);
    }
    json_write_object_end(&json);
    TRY(json_writer_finish(&json));
    return buffer_append_byte(out, '\n');
}

static int entry_make(struct log *log, struct log_batch *batch, struct log_request *request)
{
    defer_buffer struct buffer text = BUFFER_INIT(LOG_RECORD_BYTES_MAX);
    text.budget = log->runtime->budget;
    TRY(entry_write(request, true, &text));
    struct slice object = arena_copy(&batch->arena, buffer_slice(&text));
    request->entry = slice_part(object, 0, object.size - 1);
    request->pending = true;
    request->entry_absent = true; /* so far */
    request->body_shared = true;
    request->told = LOG_TOLD_NOTHING;
    return 0;
}

void log_combine_begin(struct log *log, struct log_batch *batch)
{
    char group[LOG_ID_BYTES + 1];
    unsigned n = 0;
    ASSERT(!batch->doubt);
    log_random_hex(log, group, LOG_ID_BYTES - 8);
    batch->combining = true;
    batch->shown = false;
    batch->put_perhaps = false;
    batch->ranked = false;
    batch->n_looks = batch->n_passed_over = batch->n_failures = 0;
    batch->end_seen_ns = INT64_MIN / 2;
    for (struct log_request *request = batch->first, *next; request; request = next) {
        next = request->next;
        if (request->verdict != LOG_VERDICT_INCLUDED) continue;
        /* Ids of one call ascend, so that a record that carries all keeps their order. */
        snprintf(request->pending_id, sizeof(request->pending_id), "%.24s%08x", group, n++);
        request->not_after = batch->base->state.record + log->options.pending_slots;
        int code = entry_make(log, batch, request);
        if (code < 0) log_batch_answer(log, batch, request, code, 0, 0); /* never existed */
    }
}

/* ---- showing them to others ---- */

struct showing {
    struct log *log;
    struct log_request **requests;
};

static int entry_show(void *state, size_t index)
{
    const struct showing *showing = state;
    struct log *log = showing->log;
    struct log_request *request = showing->requests[index];
    char key[LOG_KEY_BYTES];
    /* It needs to be durable for nobody: its writer carries it from memory. */
    int code =
        store_put(log->store, log_key_pending(log, slice_from_text(request->pending_id), key),
                  slice_make(request->entry.data, request->entry.size + 1), STORE_DEFER_SYNC);
    request->entry_absent =
        code == GLIS_ERETRY || code == GLIS_EDENIED || code == GLIS_ENOSPACE; /* and nothing else */
    if (code < 0) error_clear();
    return 0;
}

/* Puts the entries, all at the same time where the pool has threads. */
static void entries_show(struct log *log, struct log_batch *batch)
{
    size_t n = 0;
    for (struct log_request *request = batch->first; request; request = request->next)
        n += request->pending;
    struct log_request **requests = memory_alloc((n + 1) * sizeof(*requests));
    n = 0;
    for (struct log_request *request = batch->first; request; request = request->next)
        if (request->pending) requests[n++] = request;
    struct showing showing = {log, requests};
    int64_t begun_ns = log_now_ns(log);
    int code =
        n > 1 && log->runtime->pool ? pool_run(log->runtime->pool, n, entry_show, &showing) : 0;
    for (size_t i = 0; i < n && (n == 1 || !log->runtime->pool); i++)
        code = entry_show(&showing, i);
    ASSERT(code == 0);
    batch->shown = true;
    if (log->put_ns == 0) log_put_took(log, log_now_ns(log) - begun_ns);
    free(requests);
}

/* ---- when ---- */

/* Whether there is an entry, by one request; none is known of a list that fails. */
static bool entries_any(struct log *log)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    char key[LOG_KEY_BYTES];
    if (store_list(log->store, log_key_pending(log, SLICE_EMPTY, key), SLICE_EMPTY, 1, &arena,
                   &list) == 0)
        return list.n_objects > 0;
    error_clear();
    return false;
}

static int64_t put_ms(const struct log *log)
{
    return log->put_ns / 1000000;
}

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

static int64_t by_chance(const struct log *log, int64_t most)
{
    return (int64_t)random_below(log->runtime->random, (uint64_t)most + 1);
}

static int64_t interval_ms(const struct log *log)
{
    int64_t ms = log->others.interval_ns ? log->others.interval_ns / 1000000 : put_ms(log);
    return at_most(ms, INTERVAL_MS_MAX);
}

/* `n` more records were met just now. A pause, in which somebody became tired of waiting, says
 * little of how long records take: what is longer than of late counts less. */
static void records_seen(struct log *log, uint64_t n)
{
    int64_t now_ns = log_now_ns(log), of_late = log->others.interval_ns;
    int64_t took_ns = (now_ns - log->others.seen_ns) / (int64_t)n;
    if (of_late == 0)
        of_late = took_ns < (int64_t)INTERVAL_MS_MAX * 1000000 && log->others.seen_ns ? took_ns : 0;
    else if (took_ns < of_late)
        of_late -= (of_late - took_ns) / 4;
    else
        of_late += ((took_ns < 2 * of_late ? took_ns : 2 * of_late) - of_late) / 4;
    log->others.interval_ns = of_late;
    log->others.seen_ns = now_ns;
}

/* How long others are left to bring the entries along before anybody asks who is next. */
static int64_t patience_ms(struct log *log)
{
    int64_t interval = interval_ms(log);
    return interval + interval / 2 + 1 + by_chance(log, interval / 4);
}

/* How many entries wait, by one request; with the place of the last of one's own among them, by id,
 * from 1; 0: it is not there. False when the list fails. */
static bool entries_waiting(struct log *log, const struct log_batch *batch, uint64_t *n,
                            uint64_t *own_place)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    char key[LOG_KEY_BYTES];
    struct slice folder = log_key_pending(log, SLICE_EMPTY, key);
    *n = *own_place = 0;
    if (store_list(log->store, folder, SLICE_EMPTY, 0, &arena, &list) < 0) {
        error_clear();
        return false;
    }
    for (size_t i = 0; i < list.n_objects; i++) {
        struct slice found = list.objects[i].key;
        struct slice id = slice_part(found, folder.size, found.size);
        if (log_version_decided(batch->base, id, NULL)) continue;
        ++*n;
        if (is_own(batch, id)) *own_place = *n;
    }
    return true;
}

/* Nobody has brought a record for too long. Those who wait take turns by the order of their ids:
 * who finds others before himself in the list leaves each of them the time of a record. */
static bool is_next(struct log *log, struct log_batch *batch)
{
    uint64_t n, own_place;
    if (batch->ranked || log->options.impatient || batch->n_passed_over >= PASSED_OVER_MAX)
        return true;
    if (!entries_waiting(log, batch, &n, &own_place)) return true;
    log->others.n_waiting = n ? n : 1;
    if (own_place <= 1) return true;
    int64_t turn_ms = interval_ms(log) > 3 * put_ms(log) ? interval_ms(log) : 3 * put_ms(log);
    batch->ranked = true;
    batch->patience_ms = at_most((int64_t)(own_place - 1) * (turn_ms + 1),
                                 TURNS_MS_MAX + by_chance(log, TURNS_MS_MAX / 2));
    return false;
}

/* Until the first of those who wait has no more time. */
static int64_t deadline_ms(const struct log *log, const struct log_batch *batch)
{
    int64_t first_ns = LOG_NO_DEADLINE, now_ns = log_now_ns(log);
    for (const struct log_request *request = batch->first; request; request = request->next)
        first_ns = at_most(request->deadline_ns, first_ns);
    return first_ns > now_ns ? (first_ns - now_ns) / 1000000 + 1 : 1;
}

/* Sleeps until a record may have come. False: others have had their time. */
static bool others_wait_for(struct log *log, struct log_batch *batch)
{
    struct clock *clock = log->runtime->clock;
    int64_t interval = interval_ms(log), ms = interval / (log->store->local ? 16 : 6) + 1;
    if (log->options.impatient) {
        clock->sleep_ms(clock, 1 + by_chance(log, 1 + put_ms(log)));
        return false;
    }
    ms += by_chance(log, ms);
    if (!log->store->local) ms += ms * batch->n_looks++ / 6; /* where a look is a request */
    /* A first look too soon costs one request, or on a folder next to nothing. */
    int64_t soonest = log->store->local ? interval / 2 : interval * 3 / 4;
    int64_t due_ms = (log->others.seen_ns - log_now_ns(log)) / 1000000 + soonest;
    if (ms < due_ms) ms = due_ms;
    ms = at_most(at_most(ms, WAIT_MS_MAX), deadline_ms(log, batch));
    if (ms > batch->patience_ms) ms = batch->patience_ms + 1;
    clock->sleep_ms(clock, ms);
    batch->patience_ms -= ms;
    return batch->patience_ms > 0 && batch->n_passed_over < PASSED_OVER_MAX;
}

/* Whether this handle put the newest record that it knows: then the others wait for its next. */
static bool leads(const struct log *log, const struct log_version *newest)
{
    return log->others.led_record != 0 && log->others.led_record == newest->state.record &&
           !log->options.impatient;
}

bool log_combine_follows(struct log *log)
{
    if (log->others.n_batches == 0) return false;
    struct log_version *newest = log_published(log);
    bool follows = !leads(log, newest);
    log_version_release(newest);
    return follows;
}

/* ---- a round ---- */

/* Something failed that the next round may not fail at: memory, a busy service, a full disk. Once
 * more until the deadline, but not without a pause. */
static void failed(struct log *log, struct log_batch *batch)
{
    error_clear();
    log_back_off(log, batch->n_failures++);
}

static bool any_pending(const struct log_batch *batch)
{
    for (const struct log_request *request = batch->first; request; request = request->next)
        if (request->pending) return true;
    return false;
}

/* The leader waits until most of the others have heard of its last record and put their next
 * entries, but not for longer than a few puts take. How many others there are shows when it waits
 * for all that time, which it does now and then. */
static void gather(struct log *log, const struct log_batch *batch)
{
    struct clock *clock = log->runtime->clock;
    uint64_t n, own_place;
    int64_t step_ms = at_most(put_ms(log), GATHER_MS_MAX / GATHER_PUTS) + 1;
    int64_t longest_ms = GATHER_PUTS * step_ms;
    bool all = log->others.n_led % GATHER_ALL == GATHER_ALL - 1;
    if (log->others.n_waiting < 2 || deadline_ms(log, batch) <= longest_ms + 2 * step_ms) return;
    clock->sleep_ms(clock, step_ms);
    if (log->others.n_often < MANY) return;
    if (longest_ms < GATHER_MS_MIN) longest_ms = GATHER_MS_MIN;
    for (int64_t waited_ms = step_ms; waited_ms < longest_ms;) {
        if (!all &&
            (!entries_waiting(log, batch, &n, &own_place) || n * 4 >= log->others.n_often * 3))
            return;
        int64_t ms = step_ms / 2 + 1;
        clock->sleep_ms(clock, ms);
        waited_ms += ms;
    }
}

/* One wait of a follower. True when it is to combine now. */
static bool follow(struct log *log, struct log_batch *batch)
{
    if (!batch->shown) {
        entries_show(log, batch);
        batch->patience_ms = patience_ms(log);
    }
    bool wait_on = others_wait_for(log, batch);
    if (any_pending(batch) && !entries_catch_up(log, batch, wait_on)) return false;
    if (!any_pending(batch)) { /* what is left begins anew */
        batch->combining = false;
        return false;
    }
    return !wait_on && is_next(log, batch);
}

void log_combine_round(struct log *log, struct log_batch *batch)
{
    if (!log_batch_give_up(log, batch)) return;
    if (!any_pending(batch)) {
        batch->combining = false;
        return;
    }
    if (!batch->shown && leads(log, batch->base))
        gather(log, batch);
    else if (!follow(log, batch))
        return;
    struct combine combine = {.log = log, .batch = batch};
    arena_init(&combine.arena, log->runtime->budget);
    combine.stale = ARENA_ARRAY(&combine.arena, struct slice, REMOVED_MAX);
    if (entries_list(&combine) < 0) error_clear(); /* any subset will do */
    int code = record_compose(&combine);
    if (code == 0 && GLIS_MUTANT(no_verdict_of_ones_own)) {
        struct log_decided own;
        if (log_version_decided(batch->next, slice_from_text(batch->first->pending_id), &own) &&
            !own.applied) {
            code = error_set(GLIS_EREFUSED, "%.*s", SLICE_PRINT(own.reason));
            log_batch_answer(log, batch, batch->first, code, 0, 0);
            arena_free(&combine.arena);
            return;
        }
    }
    if (code == 0) code = record_put(&combine);
    arena_free(&combine.arena);
    if (code == 0)
        batch->n_failures = 0;
    else if (batch->first)
        failed(log, batch);
}

/* ---- who combines ---- */

/* A writer that always wins never learns that others wait: its state is the newest, so its next put
 * is the first. So whoever commits again and again looks now and then whether an entry is there. */
static bool others_wait(struct log *log)
{
    int64_t now_ns = log_now_ns(log);
    bool recent = now_ns - log->others.committed_ns < RECENT_S * 1000000000ll;
    log->others.n_commits = recent ? log->others.n_commits + 1 : 0;
    if (!recent || log->others.period == 0) log->others.period = PERIOD_MIN;
    log->others.committed_ns = now_ns;
    if (log->others.n_commits < log->others.period) return false;
    log->others.n_commits = 0;
    if (log->others.period < PERIOD) log->others.period *= 2;
    return entries_any(log);
}

void log_combine_lost(struct log *log)
{
    log->others.n_commits += LOSS_COUNTS;
    log->others.led_record = 0;
}

bool log_combine_wanted(struct log *log, const struct log_batch *batch)
{
    if (batch->losses >= (log->options.impatient ? 1 : LOSSES_MAX)) return true;
    if (batch->losses > 0) return log->others.n_batches > 0;
    if (log->others.n_batches > 0) {
        log->others.n_batches--;
        return true;
    }
    return others_wait(log);
}

/* ---- what became of the entries ---- */

/* Reads on from the base, as far as the record that decides the last entry. Who peeks makes sure of
 * nothing as long as there is nothing new. False when that failed, or nothing is left to do. */
static bool entries_catch_up(struct log *log, struct log_batch *batch, bool peek)
{
    struct log_watch watch = {entries_see, entries_restart, entries_enough, peek, batch};
    struct log_version *version = NULL;
    int64_t begun_ns = log_now_ns(log);
    bool trimmed;
    for (struct log_request *request = batch->first; request; request = request->next)
        request->told = LOG_TOLD_NOTHING;
    int code = log_read_forward(log, batch->base, false, &watch, &version, &trimmed);
    if (code == GLIS_EIO || code == GLIS_ERETRY || code == GLIS_EUNKNOWN ||
        code == GLIS_ECANCELLED || code == GLIS_ENOMEM) {
        failed(log, batch);
        return false;
    }
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        for (struct log_request *request = batch->first, *next; request; request = next) {
            next = request->next;
            if (!request->pending) continue;
            code = error_set(GLIS_EUNKNOWN, "others may have carried it into the log: %.600s",
                             detail.text);
            log_batch_answer(log, batch, request, code, 0, 0);
        }
        batch->combining = false;
        batch->stale = true;
        return false;
    }
    uint64_t before = batch->base->state.record, now = version->state.record;
    bool nothing = peek && version == batch->base;
    bool to_the_end = !entries_enough(batch);
    if (to_the_end) batch->end_seen_ns = begun_ns;
    batch->fresh = to_the_end && !nothing;
    /* A number that was not there then, by a get whose look has followed only now. */
    if (!nothing) log_publish_read(log, version, batch->end_seen_ns);
    log_version_release(batch->base);
    batch->base = version;
    if (now > before) {
        records_seen(log, now - before);
        batch->n_looks = 0;
        if (version->carried_record > before) { /* somebody leads */
            batch->n_passed_over++;
            batch->ranked = false;
            batch->patience_ms = patience_ms(log);
        }
    }
    if (!nothing) entries_settle(log, batch, 0);
    return batch->first != NULL;
}

/* Whether all entries are decided by what was read. */
static bool entries_enough(void *state)
{
    const struct log_batch *batch = state;
    if (GLIS_MUTANT(look_at_every_record)) return false;
    for (const struct log_request *request = batch->first; request; request = request->next)
        if (request->pending && request->told == LOG_TOLD_NOTHING) return false;
    return true;
}

static void entry_see(struct log_request *request, const struct log_version *version)
{
    struct log_decided decided;
    if (!log_version_decided(version, slice_from_text(request->pending_id), &decided)) return;
    request->told = !decided.applied && !GLIS_MUTANT(outcome_with_decided_id) ? LOG_TOLD_REFUSED
                    : decided.already_done                                    ? LOG_TOLD_DONE
                                                                              : LOG_TOLD_APPLIED;
    request->told_record = decided.record;
    request->told_time_ms = decided.time_ms;
    snprintf(request->told_reason, sizeof(request->told_reason), "%.*s",
             SLICE_PRINT(decided.reason));
}

/* Behind every record: what is decided is remembered only until not_after. */
static void entries_see(void *state, const struct log_version *version)
{
    struct log_batch *batch = state;
    for (struct log_request *request = batch->first; request; request = request->next)
        if (request->pending &&
            (request->told == LOG_TOLD_NOTHING || GLIS_MUTANT(look_at_every_record))) {
            if (GLIS_MUTANT(look_at_every_record)) request->told = LOG_TOLD_NOTHING;
            entry_see(request, version);
        }
}

/* What was read before were perhaps ghosts; what lies below the snapshot counts as read if the
 * snapshot still remembers what was decided up to not_after. */
static void entries_restart(void *state, const struct log_version *snapshot)
{
    struct log_batch *batch = state;
    batch->end_seen_ns = INT64_MIN / 2; /* what was not there had been trimmed, perhaps */
    for (struct log_request *request = batch->first; request; request = request->next) {
        if (!request->pending) continue;
        request->told = LOG_TOLD_NOTHING;
        if (request->not_after < snapshot->state.record &&
            !GLIS_MUTANT(expired_only_if_read)) /* also of a log that has ended */
            request->told = LOG_TOLD_UNKNOWN;
        else
            entry_see(request, snapshot);
    }
}

/* Answers what the real state at the base tells. What stands in a record of somebody else is made
 * sure first; in `own_record` it is. */
static void entries_settle(struct log *log, struct log_batch *batch, uint64_t own_record)
{
    uint64_t settled = own_record;
    for (struct log_request *request = batch->first, *next; request; request = next) {
        next = request->next;
        if (!request->pending) continue;
        int code = 0;
        bool decided = request->told != LOG_TOLD_NOTHING && request->told != LOG_TOLD_UNKNOWN;
        if (decided && request->told_record != own_record) log->others.n_batches = BATCHES;
        if (decided && batch->base->carried_record == request->told_record)
            log->others.n_waiting = batch->base->n_carried;
        if (decided && request->told_record != settled) {
            code = GLIS_MUTANT(entries_are_settled) ? 0 : log_settle(log, request->told_record);
            if (code == 0) settled = request->told_record;
        }
        if (code < 0) {
            error_context("a change that another process carried");
        } else if (request->told == LOG_TOLD_DONE) {
            code = LOG_ALREADY_DONE;
        } else if (request->told == LOG_TOLD_REFUSED) {
            code = error_set(GLIS_EREFUSED, "%s", request->told_reason);
        } else if (request->told == LOG_TOLD_UNKNOWN) {
            code = error_set(GLIS_EUNKNOWN,
                             "the records up to %" PRIu64 " were trimmed before it was read what "
                             "became of a change that waited; doing it again is safe",
                             request->not_after);
        } else if (!decided && batch->base->state.ended && !GLIS_MUTANT(nothing_after_drop)) {
            code = error_set(GLIS_EREFUSED, "this %s was dropped", log->machine->kind);
        } else if (!decided && batch->base->state.record >= request->not_after) {
            request->pending = false; /* it did not happen, and never will: once more */
            request->verdict = LOG_VERDICT_NONE;
            continue;
        } else if (!decided) {
            continue;
        }
        log_batch_answer(log, batch, request, code, request->told_record, request->told_time_ms);
    }
}

/* ---- what a record carries ---- */

static struct carried *entry_add(struct combine *combine)
{
    ARENA_GROW(&combine->arena, combine->entries, combine->n, combine->capacity);
    return &combine->entries[combine->n++];
}

static bool is_own(const struct log_batch *batch, struct slice id)
{
    for (const struct log_request *request = batch->first; request; request = request->next)
        if (request->pending && slice_equal_text(id, request->pending_id)) return true;
    return false;
}

/* By its id alone: decided ones are stale, and one's own are at hand. */
static bool other_wanted(void *state, struct slice id, struct slice key)
{
    struct combine *combine = state;
    if (log_version_decided(combine->batch->base, id, NULL) && !GLIS_MUTANT(decided_ids)) {
        if (combine->n_stale < REMOVED_MAX)
            combine->stale[combine->n_stale++] = arena_copy(&combine->arena, key);
        return false;
    }
    return combine->n < OTHERS_MAX && !is_own(combine->batch, id);
}

static int other_visit(void *state, const struct log_pending_entry *entry)
{
    struct combine *combine = state;
    const struct log_version *base = combine->batch->base;
    uint64_t slot = base->state.record + 1;
    if (entry->not_after < slot && !GLIS_MUTANT(not_after)) {
        if (combine->n_stale < REMOVED_MAX)
            combine->stale[combine->n_stale++] = arena_copy(&combine->arena, entry->key);
        return 0;
    }
    if (entry->not_after >= slot && entry->not_after - slot > LOG_PENDING_SLOTS) return 0;
    if (combine->bytes + entry->text.size > LOG_RECORD_FILL_BYTES || combine->n >= OTHERS_MAX)
        return 0;
    struct carried carried = {.key = arena_copy(&combine->arena, entry->key),
                              .text = arena_copy(&combine->arena, entry->text)};
    TRY(log_line_decode(&combine->arena, carried.text, &carried.line));
    carried.id = carried.line.pending_id;
    if (carried.line.kind == LOG_LINE_BODY) {
        struct log_record single = {.lines = &carried.line, .n_lines = 1};
        int code = log_bodies_resolve(combine->log, &combine->arena, &single);
        if (code == GLIS_ECORRUPT) {
            error_clear();
            return 0; /* no record may name what cannot be read */
        }
        TRY(code);
    }
    combine->bytes += carried.text.size;
    *entry_add(combine) = carried;
    combine->n_others++;
    combine->log->others.n_batches = BATCHES;
    return 0;
}

static int own_add(struct combine *combine, struct log_request *request)
{
    char key[LOG_KEY_BYTES];
    struct carried *carried = entry_add(combine);
    *carried = (struct carried){.text = request->entry, .own = request};
    carried->key = arena_copy(
        &combine->arena, log_key_pending(combine->log, slice_from_text(request->pending_id), key));
    TRY(log_line_decode(&combine->arena, request->entry, &carried->line));
    carried->line.json = request->json;
    carried->id = carried->line.pending_id;
    combine->bytes += carried->text.size;
    return 0;
}

/* An entry of one's own that is refused with its body, perhaps because that lies below the line up
 * to which bodies are collected: no record may name it any more, so the change itself is carried.
 * Others do not carry it; whichever form comes first decides. What does not fit waits for the next
 * record, and keeps nobody else from this one. */
static int own_inline(struct combine *combine, struct carried *carried)
{
    uint64_t room = LOG_RECORD_BYTES_MAX - 2 * LOG_RECORD_FILL_BYTES;
    if (carried->own->text.size > room || combine->inline_bytes > room - carried->own->text.size) {
        carried->left_out = true;
        return 0;
    }
    defer_buffer struct buffer text = BUFFER_INIT(LOG_RECORD_BYTES_MAX);
    text.budget = combine->log->runtime->budget;
    TRY(entry_write(carried->own, false, &text));
    combine->inline_bytes += text.size;
    struct slice line = arena_copy(&combine->arena, buffer_slice(&text));
    carried->text = slice_part(line, 0, line.size - 1);
    TRY(log_line_decode(&combine->arena, carried->text, &carried->line));
    carried->line.json = carried->own->json;
    carried->id = carried->line.pending_id;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    return slice_compare(((const struct carried *)a)->id, ((const struct carried *)b)->id);
}

static int entries_list(struct combine *combine)
{
    return log_pending_wanted(combine->log, other_wanted, other_visit, combine);
}

/* Decides all entries on a copy of the base. An entry of somebody else that cannot be applied is
 * left out, and so is a refused one with a body, which may be below the line up to which bodies
 * are collected: then once more, since the copy may be spoilt. */
static int entries_try(struct combine *combine, bool *again)
{
    struct log_batch *batch = combine->batch;
    struct log_record_info info = {.record = batch->header.record,
                                   .time_ms = batch->header.time_ms,
                                   .writer = batch->header.writer};
    *again = false;
    log_version_release(batch->next);
    batch->next = NULL;
    TRY(log_version_clone(batch->base, &batch->next));
    for (size_t i = 0; i < combine->n; i++) {
        struct carried *carried = &combine->entries[i];
        if (carried->left_out) continue;
        int code = log_version_carry(batch->next, &info, &carried->line);
        struct log_decided decided;
        bool doubtful = carried->line.kind == LOG_LINE_BODY &&
                        log_version_decided(batch->next, carried->id, &decided) && !decided.applied;
        if (code == 0 && !doubtful) continue;
        if (carried->own && code < 0) return code;
        if (carried->own) {
            *again = true;
            return own_inline(combine, carried);
        }
        carried->left_out = *again = true;
        error_clear();
        return 0;
    }
    return 0;
}

static int record_compose(struct combine *combine)
{
    struct log *log = combine->log;
    struct log_batch *batch = combine->batch;
    for (struct log_request *request = batch->first; request; request = request->next)
        if (request->pending) TRY(own_add(combine, request));
    qsort(combine->entries, combine->n, sizeof(*combine->entries), by_id);
    struct clock *clock = log->runtime->clock;
    int64_t now_ms = clock->wall_ms(clock), before_ms = batch->base->state.time_ms;
    batch->header = (struct log_record){.record = batch->base->state.record + 1,
                                        .time_ms = now_ms > before_ms ? now_ms : before_ms,
                                        .writer = log->options.writer};
    for (bool again = true; again;)
        TRY(entries_try(combine, &again));
    struct log_line_out *lines = ARENA_ARRAY(&combine->arena, struct log_line_out, combine->n);
    size_t n = 0;
    uint64_t bodies = 0;
    for (size_t i = 0; i < combine->n; i++) {
        if (combine->entries[i].left_out) continue;
        lines[n++].text = combine->entries[i].text;
        bodies += combine->entries[i].line.body_bytes;
    }
    if (n == 0) return error_set(GLIS_ELIMIT, "nothing that waits fits a record");
    log_random_hex(log, batch->header.id, LOG_ID_BYTES);
    memcpy(batch->header.previous, batch->base->state.id, sizeof(batch->header.previous));
    buffer_clear(&batch->object);
    TRY(log_record_encode(&batch->header, lines, n, &batch->object));
    batch->header.object_bytes = batch->object.size;
    batch->header.weight_bytes = batch->object.size + bodies;
    batch->record_key = log_key_record(log, batch->header.record, batch->key);
    return 0;
}

/* ---- putting it ---- */

/* A put that was refused for certain: when nobody can ever carry the entries, that is the answer;
 * else it is for the records to tell. */
static void put_denied(struct combine *combine, int code)
{
    struct log_batch *batch = combine->batch;
    struct error_detail detail;
    error_save(&detail);
    for (struct log_request *request = batch->first, *next; request; request = next) {
        next = request->next;
        if (!request->pending || !request->entry_absent || batch->put_perhaps) continue;
        (void)error_load(&detail);
        log_batch_answer(combine->log, batch, request, code, 0, 0);
    }
}

/* Not 0: it was refused, and would be again if it were put at once. */
static int record_put(struct combine *combine)
{
    struct log *log = combine->log;
    struct log_batch *batch = combine->batch;
    int64_t put_ns = log_now_ns(log);
    int code =
        store_put(log->store, batch->record_key, buffer_slice(&batch->object), STORE_IF_ABSENT);
    if (code == 0) {
        bool marked = true;
        batch->put_perhaps = true;
        log_put_took(log, log_now_ns(log) - put_ns);
        code = log_marker_look(log, log_block(log, batch->header.record), &marked);
        if (code == 0 && !marked) {
            record_committed(combine, put_ns);
            return 0;
        }
        code = 0;
    } else if (code == GLIS_EUNKNOWN || code == GLIS_EIO) {
        batch->put_perhaps = true;
        code = 0;
    } else if (code == GLIS_EEXISTS) {
        code = 0;
    } else if (code != GLIS_ERETRY) {
        put_denied(combine, code);
    }
    error_clear();
    /* Whoever was faster may have carried them: the records tell, of this put as well. */
    entries_remove(combine, false);
    log->others.led_record = 0;
    batch->patience_ms = by_chance(log, put_ms(log)); /* more, if it was one who carries */
    return code;
}

static void record_committed(struct combine *combine, int64_t put_ns)
{
    struct log *log = combine->log;
    struct log_batch *batch = combine->batch;
    log_version_complete(batch->next, &batch->header);
    entries_see(batch, batch->next);
    log_publish(log, batch->next, put_ns);
    log_version_release(batch->base);
    batch->base = batch->next;
    batch->next = NULL;
    batch->losses = 0;
    batch->committed = true;
    log->others.led_record = batch->header.record;
    records_seen(log, 1);
    if (combine->n_others == 0 && log->others.n_batches > 1 && !log->options.impatient)
        log->others.n_batches = 1;
    if (combine->n_others > log->others.n_often || log->others.n_led % GATHER_ALL == GATHER_ALL - 1)
        log->others.n_often = combine->n_others;
    log->others.n_led++;
    entries_settle(log, batch, batch->header.record);
    log_callers_wake(log);
    entries_remove(combine, true);
}

/* Takes away what is decided, or expired, in the real state at the base. */
static void entries_remove(struct combine *combine, bool carried)
{
    for (size_t i = 0; carried && i < combine->n && combine->n_stale < REMOVED_MAX; i++) {
        const struct carried *entry = &combine->entries[i];
        if (!entry->left_out && (!entry->own || combine->batch->shown) &&
            log_version_decided(combine->batch->base, entry->id, NULL))
            combine->stale[combine->n_stale++] = entry->key;
    }
    if (combine->n_stale) keys_remove(combine->log, combine->stale, combine->n_stale);
    combine->n_stale = 0;
}

struct removal {
    struct log *log;
    struct arena arena;
    struct slice *keys;
    size_t n;
};

static int removal_task(void *state)
{
    struct removal *removal = state;
    struct log *log = removal->log;
    if (store_remove(log->store, removal->keys, removal->n) < 0) error_clear();
    arena_free(&removal->arena);
    free(removal);
    pthread_mutex_lock(&log->lock);
    log->cleaning.running = false;
    pthread_mutex_unlock(&log->lock);
    return 0;
}

/* What is not removed, since that failed or the last removal is still under way, is left to whoever
 * lists next. */
static void keys_remove(struct log *log, const struct slice *keys, size_t n)
{
    struct pool *pool = log->runtime->pool;
    if (!pool || pool_threads(pool) == 0) {
        if (store_remove(log->store, keys, n) < 0) error_clear();
        return;
    }
    pthread_mutex_lock(&log->lock);
    bool mine = !log->cleaning.running;
    if (mine) log->cleaning.running = true;
    pthread_mutex_unlock(&log->lock);
    if (!mine) return;
    struct removal *removal = memory_alloc_zero(sizeof(*removal));
    removal->log = log;
    arena_init(&removal->arena, NULL);
    removal->keys = ARENA_ARRAY(&removal->arena, struct slice, n);
    removal->n = n;
    for (size_t i = 0; i < n; i++)
        removal->keys[i] = arena_copy(&removal->arena, keys[i]);
    if (!log->cleaning.group) log->cleaning.group = task_group_new(pool, 1);
    int code = task_group_start(log->cleaning.group, removal_task, removal);
    ASSERT(code == 0); /* its tasks never fail */
}

void log_combine_close(struct log *log)
{
    task_group_free(log->cleaning.group);
    log->cleaning.group = NULL;
}
