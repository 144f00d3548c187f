/*
 * sim_store.c: the store of one worker in one of its lives: each request gives others their turn,
 * suffers what the seed has for it, and passes to the world's one store.
 *
 * What a store never does, this one does not do either: an acknowledged put is there, a conditional
 * put has one winner and is never repeated by the transport. A put in flight (late) belongs to the
 * world: it lands whatever has become of its sender, or never. Lists come in short pages, removals
 * of several keys and reads of several ranges are requests of their own, in any order. A streamed
 * put that its process did not finish is never seen. What a reading that was begun brings may be of
 * any moment between its beginning and its end.
 *
 * In worlds whose power may fail it promises what a folder does: what is there is durable when its
 * put or removal has returned (of a deferred one: the sync of its key), or when anything else of
 * its folder was made durable.
 */
#include "sim.h"

#include "base/mutant.h"
#include "store/store_int.h"

#include <stdio.h>
#include <stdlib.h>

struct sim_store {
    struct store store;
    struct sim_worker *worker;
};

struct sim_reading {
    struct store_reading reading;
    struct error_detail detail; /* of the first read that went wrong */
};

struct sim_upload {
    struct store_upload upload;
    struct buffer body;
    unsigned flags;
    char *key;
};

enum fate { FINE, DEAD, RETRY, LOST_BEFORE, LOST_AFTER, LATE };

static struct sim_worker *worker_of(struct store *store)
{
    return ((struct sim_store *)store)->worker;
}

/* What becomes of a request. *dies: its process does, afterwards. */
static enum fate request_begin(struct sim_worker *worker, bool is_put, bool *dies)
{
    struct sim *sim = worker->sim;
    *dies = false;
    sim_yield(worker);
    if (worker->dead) return DEAD;
    worker->n_requests++;
    if (sim_fault(worker, SIM_SLOW))
        sim->now_ns +=
            (int64_t)sim_draw(&worker->faults, sim_chance(&worker->faults, 4) ? 90000 : 3000) *
            1000000;
    if (sim_fault(worker, SIM_CLOCK) && sim_chance(&worker->faults, 40)) {
        if (sim_chance(&worker->faults, 2))
            worker->wall_offset_ms = (int64_t)sim_draw(&worker->faults, 400000) - 200000;
        else
            worker->wall_stands_ms =
                worker->wall_stands_ms ? 0 : sim_now_ms(sim) + worker->wall_offset_ms;
    }
    if (worker->crash_in ? --worker->crash_in == 0 : sim_fault(worker, SIM_CRASH)) {
        *dies = true;
        switch (sim_draw(&worker->faults, 3)) {
        case 0: return DEAD;
        case 1: return is_put ? LATE : DEAD;
        default: return LOST_AFTER;
        }
    }
    if (sim_fault(worker, SIM_RETRY)) return RETRY;
    if (sim_fault(worker, SIM_LOST_BEFORE)) return LOST_BEFORE;
    if (sim_fault(worker, SIM_LOST_AFTER)) return LOST_AFTER;
    if (is_put && sim_fault(worker, SIM_LATE)) return LATE;
    return FINE;
}

static void request_end(struct sim_worker *worker, bool dies)
{
    if (dies && !worker->dead) {
        worker->dead = true;
        atomic_store(&worker->cancel.requested, 1);
        sim_count(worker->sim, SIM_EVENT_CRASHED);
        sim_trace(worker->sim, "crashes");
    }
    if (!worker->dead && sim_chance(&worker->faults, worker->sim->local ? 2 : 4)) sim_yield(worker);
}

static int fate_code(enum fate fate, bool is_put)
{
    if (fate == DEAD) return error_set(GLIS_EIO, "the store cannot be reached any more");
    if (fate == RETRY) return error_set(GLIS_ERETRY, "the store asks for patience");
    if (is_put) return error_set(GLIS_EUNKNOWN, "the store's answer was lost");
    return error_set(GLIS_EIO, "the connection to the store broke");
}

static const char *fate_text(enum fate fate)
{
    static const char *const texts[] = {
        "", " (dead)", " (503)", " (lost before)", " (lost after)", " (late)"};
    return texts[fate];
}

static int put_now(struct sim *sim, struct sim_worker *by, struct slice key, struct slice body,
                   unsigned flags)
{
    struct store_object object;
    bool created = store_head(sim->store, key, &object) == GLIS_ENOTFOUND;
    if (created || !(flags & STORE_IF_ABSENT)) sim_power_note(sim, key, flags & STORE_DEFER_SYNC);
    int code = store_put(sim->store, key, body, flags);
    if (code == 0 && sim->kind->was_put) sim->kind->was_put(sim, by, key, body, created);
    return code;
}

static void late_add(struct sim_worker *worker, struct slice key, struct slice body, unsigned flags)
{
    struct sim *sim = worker->sim;
    if (sim_chance(&worker->faults, 4)) return; /* it never happens */
    struct sim_late *late = memory_alloc_zero(sizeof(*late));
    late->key = memory_copy_text(key);
    late->body = memory_copy_text(body);
    late->body_size = body.size;
    late->flags = flags;
    late->worker = worker->number;
    late->next = sim->late;
    sim->late = late;
}

void sim_late_settle(struct sim *sim, bool all)
{
    unsigned n = 0;
    for (struct sim_late *late = sim->late; late; late = late->next)
        n++;
    if (n == 0) return;
    unsigned which = (unsigned)sim_draw(&sim->schedule, n);
    for (struct sim_late **link = &sim->late; *link;) {
        struct sim_late *late = *link;
        if (!all && which-- > 0) {
            link = &late->next;
            continue;
        }
        struct store_object object; /* what meets another's object leads nowhere: mostly it waits */
        if (!all && store_head(sim->store, slice_from_text(late->key), &object) == 0 &&
            !sim_chance(&sim->schedule, 6))
            return;
        *link = late->next;
        int code = put_now(sim, &sim->workers[late->worker], slice_from_text(late->key),
                           slice_make(late->body, late->body_size), late->flags);
        if (code == 0) sim_count(sim, SIM_EVENT_LATE_PUT);
        sim_trace(sim, "the late put of %s by W%u lands: %s", late->key, late->worker,
                  code ? error_code_name(code) : "created");
        free(late->key);
        free(late->body);
        free(late);
        if (!all) return;
    }
}

/* Whether a key is of those in the focus, or a body of such an object; NULL: none is. */
static bool is_of(struct slice text, const char *focus)
{
    return focus && memmem(text.data, text.size, focus, strlen(focus));
}

static bool is_deadly(const struct sim *sim, struct slice body)
{
    return !sim->family->deadly_body || is_of(body, sim->family->deadly_body);
}

static int put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct sim_worker *worker = worker_of(store);
    struct sim *sim = worker->sim;
    bool dies;
    enum fate fate = request_begin(worker, true, &dies);
    int code = 0;
    if (fate == FINE && is_of(key, sim->focus)) {
        uint32_t chance = sim->family->focus_chance ? sim->family->focus_chance : 8192;
        if (sim_fault_of(worker, SIM_LOST_BEFORE, chance))
            fate = LOST_BEFORE;
        else if (sim_fault_of(worker, SIM_LOST_AFTER, chance))
            fate = LOST_AFTER;
        else if (sim_fault_of(worker, SIM_LATE, chance))
            fate = LATE;
    }
    if (fate == FINE && is_of(key, sim->deadly) && is_deadly(sim, body) &&
        sim_fault_of(worker, SIM_CRASH, 16000)) {
        fate = LOST_AFTER;
        dies = true;
    }
    if (fate == LATE) late_add(worker, key, body, flags);
    if (fate == FINE || fate == LOST_AFTER) {
        int done = put_now(sim, worker, key, body, flags);
        bool twice = !(flags & STORE_IF_ABSENT) && sim_fault(worker, SIM_REPEATED);
        if (twice && done == 0) done = put_now(sim, worker, key, body, flags);
        if (done == GLIS_EEXISTS) sim_count(sim, SIM_EVENT_LOST_PUT);
        code = done;
    }
    if (fate != FINE) code = fate_code(fate, true);
    if (fate > RETRY && fate != LATE && sim_chance(&worker->faults, 3))
        code = error_set(GLIS_EIO, "the connection to the store broke");
    if (fate > RETRY) {
        sim_count(sim, SIM_EVENT_UNKNOWN_PUT);
        if (sim_chance(&worker->faults, 2)) /* a time-out takes its time */
            worker->wake_ns =
                sim->now_ns +
                (int64_t)sim_draw(&worker->faults, fate == LATE ? 2000 : 40000) * 1000000;
    }
    if (!worker->dead)
        sim_trace(sim, "puts %.*s: %s%s", SLICE_PRINT(key), code ? error_code_name(code) : "ok",
                  fate_text(fate));
    if (fate > RETRY && GLIS_MUTANT(put_retried_by_transport) && !dies && !worker->dead) {
        request_end(worker, false);
        worker->wake_ns = sim->now_ns + (int64_t)sim_draw(&worker->faults, 60000) * 1000000;
        sim_yield(worker);
        if (!worker->dead) {
            code = put_now(sim, worker, key, body, flags);
            sim_trace(sim, "the transport puts it again: %s", code ? error_code_name(code) : "ok");
        }
    }
    if (code < 0) { /* its detail must survive the turn */
        struct error_detail detail;
        error_save(&detail);
        request_end(worker, dies);
        return error_load(&detail);
    }
    request_end(worker, dies);
    if (!worker->dead && !(flags & STORE_DEFER_SYNC)) sim_power_settle(sim, key, true);
    return 0;
}

static int simple(struct sim_worker *worker)
{
    bool dies;
    enum fate fate = request_begin(worker, false, &dies);
    if (dies) request_end(worker, true);
    return fate == FINE ? 0 : fate_code(fate, false);
}

static void read_ranges(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct sim_worker *worker = worker_of(store);
    struct sim *sim = worker->sim;
    size_t *order = memory_alloc(n_reads * sizeof(*order));
    for (size_t i = 0; i < n_reads; i++) { /* in any order */
        size_t other = n_reads > 1 ? (size_t)sim_draw(&worker->faults, i + 1) : i;
        order[i] = order[other];
        order[other] = i;
    }
    struct error_detail first = {0};
    for (size_t i = 0; i < n_reads; i++) {
        struct store_read *read = &reads[order[i]];
        read->outcome = simple(worker);
        if (read->outcome == 0 && sim_fault(worker, SIM_BROKEN_READ))
            read->outcome = error_set(GLIS_EIO, "the connection broke in the middle of an answer");
        if (read->outcome == 0) {
            int code = store_read(sim->store, read, 1);
            (void)code; /* its outcome says the same */
            if (sim->kind->was_read && read->outcome != GLIS_EIO)
                sim->kind->was_read(sim, worker, read->key, read->outcome == 0,
                                    slice_make(read->data, read->size));
        }
        if (!worker->dead)
            sim_trace(sim, "gets %.*s: %s", SLICE_PRINT(read->key),
                      read->outcome ? error_code_name(read->outcome) : "ok");
        if (read->outcome != 0 && read->outcome != GLIS_ENOTFOUND && first.code == 0)
            error_save(&first);
    }
    if (first.code != 0) (void)error_load(&first);
    free(order);
}

/* By chance all is read at once, and handed out in the end, when it may be old. */
static struct store_reading *read_begin(struct store *store, struct store_read *reads,
                                        size_t n_reads)
{
    struct sim_worker *worker = worker_of(store);
    if (worker->dead || sim_chance(&worker->faults, 3)) return NULL;
    struct sim_reading *reading = memory_alloc_zero(sizeof(*reading));
    struct error_detail before;
    error_save(&before);
    error_clear();
    read_ranges(store, reads, n_reads);
    error_save(&reading->detail);
    (void)error_load(&before);
    return &reading->reading;
}

static bool read_go_on(struct store_reading *reading, bool wait)
{
    if (wait) sim_yield(worker_of(reading->store));
    return true;
}

static void read_end(struct store_reading *base, bool drop)
{
    struct sim_reading *reading = (struct sim_reading *)base;
    struct sim_worker *worker = worker_of(base->store);
    if (drop) {
        store_read_release(base->reads, base->n_reads);
    } else {
        for (uint64_t n = sim_draw(&worker->faults, 8); n > 0; n--)
            sim_yield(worker);
        if (reading->detail.code != 0) (void)error_load(&reading->detail);
    }
    free(reading);
}

static int head(struct store *store, struct slice key, struct store_object *out)
{
    struct sim_worker *worker = worker_of(store);
    struct sim *sim = worker->sim;
    TRY(simple(worker));
    int code = store_head(sim->store, key, out);
    if (sim->kind->was_read && (code == 0 || code == GLIS_ENOTFOUND))
        sim->kind->was_read(sim, worker, key, code == 0, SLICE_EMPTY);
    sim_trace(sim, "looks for %.*s: %s", SLICE_PRINT(key), code ? error_code_name(code) : "there");
    return code;
}

static int list(struct store *store, struct slice prefix, struct slice start_after, size_t limit,
                struct arena *arena, struct store_list *out)
{
    struct sim_worker *worker = worker_of(store);
    TRY(simple(worker));
    if (limit == 0) limit = 1 + (size_t)sim_draw(&worker->faults, 4);
    int code = store_list(worker->sim->store, prefix, start_after, limit, arena, out);
    sim_trace(worker->sim, "lists %.*s: %zu", SLICE_PRINT(prefix), code ? 0 : out->n_objects);
    return code;
}

static int remove_keys(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct sim_worker *worker = worker_of(store);
    struct sim *sim = worker->sim;
    int first = 0;
    for (size_t i = 0; i < n_keys; i++) {
        bool dies;
        enum fate fate = request_begin(worker, false, &dies);
        if (fate == FINE && is_of(keys[i], sim->focus) &&
            sim_fault_of(worker, SIM_LOST_BEFORE, 32768))
            fate = LOST_BEFORE;
        int code = fate == FINE ? 0 : fate_code(fate, false);
        if (fate == FINE || fate == LOST_AFTER) {
            struct store_object object;
            if (store_head(sim->store, keys[i], &object) == 0) sim_power_note(sim, keys[i], false);
            int done = store_remove(sim->store, &keys[i], 1);
            if (done == 0 && sim->kind->was_removed) sim->kind->was_removed(sim, worker, keys[i]);
            if (fate == FINE) code = done;
        }
        if (!worker->dead)
            sim_trace(sim, "removes %.*s: %s%s", SLICE_PRINT(keys[i]),
                      code ? error_code_name(code) : "ok", fate_text(fate));
        if (code < 0 && first == 0) first = code;
        if (dies) request_end(worker, true);
    }
    for (size_t i = 0; i < n_keys && !worker->dead && first == 0; i++)
        sim_power_settle(sim, keys[i], false);
    return first < 0 ? error_set(first, "not all objects could be removed") : 0;
}

static int sync_keys(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct sim *sim = worker_of(store)->sim;
    TRY(simple(worker_of(store)));
    TRY(store_sync(sim->store, keys, n_keys));
    for (size_t i = 0; i < n_keys; i++)
        sim_power_settle(sim, keys[i], true);
    return 0;
}

static int upload_open(struct store *store, struct slice key, unsigned flags,
                       struct store_upload **out)
{
    TRY(simple(worker_of(store)));
    struct sim_upload *upload = memory_alloc_zero(sizeof(*upload));
    upload->flags = flags & STORE_DEFER_SYNC;
    upload->key = memory_copy_text(key);
    buffer_init(&upload->body, SIZE_MAX / 4, NULL);
    *out = &upload->upload;
    return 0;
}

static int upload_write(struct store_upload *base, struct slice part)
{
    TRY(simple(worker_of(base->store)));
    return buffer_append_slice(&((struct sim_upload *)base)->body, part);
}

static void upload_free(struct sim_upload *upload)
{
    buffer_free(&upload->body);
    free(upload->key);
    free(upload);
}

static int upload_finish(struct store_upload *base)
{
    struct sim_upload *upload = (struct sim_upload *)base;
    int code =
        put(base->store, slice_from_text(upload->key), buffer_slice(&upload->body), upload->flags);
    upload_free(upload);
    return code;
}

static void upload_abort(struct store_upload *base)
{
    if (simple(worker_of(base->store)) < 0) error_clear();
    upload_free((struct sim_upload *)base);
}

static int unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                           struct store_unfinished **out, size_t *n_out)
{
    (void)prefix, (void)arena;
    TRY(simple(worker_of(store)));
    *out = NULL;
    *n_out = 0;
    return 0;
}

static int unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    (void)upload;
    return simple(worker_of(store));
}

static int time_ms(struct store *store, int64_t *out)
{
    TRY(simple(worker_of(store)));
    *out = sim_now_ms(worker_of(store)->sim) + worker_of(store)->sim->wall_shift_ms;
    return 0;
}

static void close_store(struct store *store)
{
    free(store);
}

struct store *sim_store_new(struct sim_worker *worker)
{
    static const struct store_ops ops = {
        .put = put,
        .read = read_ranges,
        .read_begin = read_begin,
        .read_go_on = read_go_on,
        .read_end = read_end,
        .head = head,
        .list = list,
        .remove = remove_keys,
        .sync = sync_keys,
        .upload_open = upload_open,
        .upload_write = upload_write,
        .upload_finish = upload_finish,
        .upload_abort = upload_abort,
        .unfinished_list = unfinished_list,
        .unfinished_remove = unfinished_remove,
        .time_ms = time_ms,
        .close = close_store,
    };
    struct sim_store *store = memory_alloc_zero(sizeof(*store));
    store_init(&store->store, &ops, memory_copy_text(SLICE("simulated store")), worker->sim->local);
    store->worker = worker;
    return &store->store;
}
