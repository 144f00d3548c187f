/*
 * sim_power.c: what a failure of power does to the folder that is a simulated store.
 *
 * As on a disk: the changes of one folder's names are lost from some moment on, the latest ones
 * (file systems write them in order), each folder by itself; what was put with STORE_DEFER_SYNC and
 * not synced is lost or not, each by itself; a sync of anything in a folder makes all its earlier
 * names durable. A conditional put's own bytes are durable before it has its name. What came with a
 * removal that is lost is there again.
 */
#include "sim.h"

#include <stdlib.h>

static struct slice folder_of(struct slice key)
{
    while (key.size && key.data[key.size - 1] != '/')
        key.size--;
    return key;
}

static void change_free(struct sim_change *change)
{
    free(change->key);
    free(change->before);
    free(change);
}

void sim_power_note(struct sim *sim, struct slice key, bool deferred)
{
    sim->n_changes++;
    if (!sim->power_step) return;
    struct sim_change *change = memory_alloc_zero(sizeof(*change)), **end = &sim->changes;
    struct buffer before = BUFFER_INIT(SIZE_MAX / 4);
    change->number = sim->n_changes;
    change->deferred = deferred;
    change->key = memory_copy_text(key);
    change->was_there = store_get(sim->store, key, 0, STORE_TO_END, &before) == 0;
    if (!change->was_there) error_clear();
    change->before = memory_copy_text(buffer_slice(&before));
    change->before_size = before.size;
    buffer_free(&before);
    while (*end)
        end = &(*end)->next;
    *end = change;
}

void sim_power_settle(struct sim *sim, struct slice key, bool itself)
{
    struct slice folder = folder_of(key);
    for (struct sim_change **link = &sim->changes; *link;) {
        struct sim_change *change = *link;
        struct slice own = slice_from_text(change->key);
        bool settled = change->deferred ? itself && slice_equal(own, key)
                                        : slice_equal(folder_of(own), folder);
        if (settled) {
            *link = change->next;
            change_free(change);
        } else {
            link = &change->next;
        }
    }
}

/* Which changes stay: of each folder the first so many. */
static void choose_kept(struct sim *sim)
{
    for (struct sim_change *first = sim->changes; first; first = first->next) {
        struct slice folder = folder_of(slice_from_text(first->key));
        bool is_first = true;
        uint64_t n = 0;
        if (first->deferred) {
            first->keeps = sim_draw(&sim->power, 2);
            continue;
        }
        for (struct sim_change *c = sim->changes; c; c = c->next) {
            if (c->deferred || !slice_equal(folder_of(slice_from_text(c->key)), folder)) continue;
            if (c->number < first->number) is_first = false;
            n++;
        }
        if (!is_first) continue;
        uint64_t kept = sim_draw(&sim->power, n + 1);
        for (struct sim_change *c = first; c; c = c->next)
            if (!c->deferred && slice_equal(folder_of(slice_from_text(c->key)), folder))
                c->keeps = kept > 0 ? kept-- > 0 : false;
    }
}

static void undo(struct sim *sim, const struct sim_change *change)
{
    struct slice key = slice_from_text(change->key);
    for (const struct sim_change *c = change->next; c; c = c->next)
        if (c->keeps && strcmp(c->key, change->key) == 0) return; /* what came later stays */
    int code = change->was_there
                   ? store_put(sim->store, key, slice_make(change->before, change->before_size), 0)
                   : store_remove(sim->store, &key, 1);
    ASSERT(code == 0);
    sim_count(sim, SIM_EVENT_UNDONE);
    sim_trace(sim, "lost with the power: %s is %s", change->key,
              change->was_there ? "as before" : "not there");
    if (sim->kind->was_undone) sim->kind->was_undone(sim, key, change->number, change->was_there);
}

/* The newest first. */
static void undo_all(struct sim *sim, const struct sim_change *change)
{
    if (!change) return;
    undo_all(sim, change->next);
    if (!change->keeps) undo(sim, change);
}

void sim_power_free(struct sim *sim)
{
    while (sim->changes) {
        struct sim_change *change = sim->changes;
        sim->changes = change->next;
        change_free(change);
    }
}

void sim_power_fail(struct sim *sim)
{
    sim_count(sim, SIM_EVENT_POWER_LOST);
    sim_trace(sim, "the power fails");
    while (sim->late) { /* nobody is left to carry them out */
        struct sim_late *late = sim->late;
        sim->late = late->next;
        free(late->key);
        free(late->body);
        free(late);
    }
    for (unsigned i = 0; i < sim->n_workers; i++) {
        struct sim_worker *worker = &sim->workers[i];
        worker->dead = true;
        worker->wake_ns = 0;
        worker->crash_in = 0;
        atomic_store(&worker->cancel.requested, 1);
    }
    choose_kept(sim);
    undo_all(sim, sim->changes);
    sim_power_free(sim);
    if (sim->kind->power_lost) sim->kind->power_lost(sim);
    sim->now_ns += 1000000000 * (int64_t)(1 + sim_draw(&sim->power, 600));
    uint64_t next = sim->steps + 20 + sim_draw(&sim->power, 400);
    sim->power_step = next > sim->kind->calm_step || sim_chance(&sim->power, 4) ? 0 : next;
}
