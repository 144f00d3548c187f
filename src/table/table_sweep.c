/*
 * table_sweep.c: the end of a dropped table: dropping -> sweeping -> forgotten.
 *
 * The catalogue says first that the table is swept, after which it cannot be had back. Then the
 * table's own log is ended, so that whoever still writes to it is refused, and cleared. What lies
 * below the table's prefix goes, but for the last snapshot and the markers. A job that was writing
 * a file when the log ended may put it after that; so all is swept a second time when the orphan
 * age has passed, and only then the catalogue forgets the id.
 */
#include "table/instance_int.h"

#include "base/mutant.h"

enum { KEYS_AT_ONCE = 1000, DAY_MS = 24 * 3600 * 1000 };

struct sweep {
    struct instance *instance;
    struct slice prefix, keep_log, keep_snapshot;
    struct arena arena;
    struct slice keys[KEYS_AT_ONCE];
    size_t n;
    bool dry_run;
    uint64_t *n_removed;
};

static int remove_batch(struct sweep *sweep)
{
    int code = sweep->n && !sweep->dry_run
                   ? store_remove(sweep->instance->store, sweep->keys, sweep->n)
                   : 0;
    *sweep->n_removed += sweep->n;
    sweep->n = 0;
    arena_free(&sweep->arena);
    return code;
}

static int visit(void *state, const struct store_object *object)
{
    struct sweep *sweep = state;
    TRY(runtime_check_cancel(sweep->instance->runtime));
    if (slice_starts_with(object->key, sweep->keep_log) ||
        slice_starts_with(object->key, sweep->keep_snapshot))
        return 0;
    sweep->keys[sweep->n++] = arena_copy(&sweep->arena, object->key);
    return sweep->n == KEYS_AT_ONCE ? remove_batch(sweep) : 0;
}

static int remove_objects(struct instance *instance, struct slice prefix, bool dry_run,
                          uint64_t *n_removed)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct sweep *sweep = ARENA_NEW(&arena, struct sweep);
    *sweep = (struct sweep){
        .instance = instance, .prefix = prefix, .dry_run = dry_run, .n_removed = n_removed};
    arena_init(&sweep->arena, NULL);
    sweep->keep_log = slice_from_text(arena_printf(&arena, "%.*slog/", SLICE_PRINT(prefix)));
    sweep->keep_snapshot =
        slice_from_text(arena_printf(&arena, "%.*ssnapshot/", SLICE_PRINT(prefix)));
    int code = store_each(instance->store, prefix, SLICE_EMPTY, visit, sweep);
    if (code == 0) code = remove_batch(sweep);
    arena_free(&sweep->arena);
    return code;
}

/* Ends the table's log, and leaves of it what stays for ever. */
static int end_log(struct instance *instance, struct slice prefix)
{
    struct log *log;
    struct log_options options = instance_log_options(instance);
    options.snapshot_by_hand = true;
    TRY(log_open(instance->runtime, instance->store, prefix, &table_machine, &options, &log));
    const struct log_state *state = log_state_acquire(log);
    bool ended = state->ended;
    log_state_release(state);
    int code = 0;
    if (!ended) {
        struct slice transaction = SLICE("{\"type\":\"drop\"}");
        struct log_answer answer;
        code = log_commit(log, &transaction, 1, 0, &answer);
        if (code == GLIS_EREFUSED) {
            struct error_detail refusal;
            error_save(&refusal);
            code = log_catch_up(log, 0);
            state = log_state_acquire(log);
            if (code == 0 && !state->ended) code = error_load(&refusal);
            log_state_release(state); /* ended: another sweeper was faster */
        }
    }
    if (code == 0) code = log_clear_ended(log);
    log_close(log);
    return code;
}

/* The entry as the catalogue has it now; false when it is gone. */
static int find_entry(struct instance *instance, struct slice id, struct catalogue_table *out,
                      bool *found)
{
    TRY(instance_refresh(instance));
    const struct log_state *state = log_state_acquire(instance->log);
    *found = catalogue_get(state->state, id, out);
    out->name = SLICE_EMPTY;
    log_state_release(state);
    return 0;
}

static int change(struct instance *instance, struct slice id, uint64_t version, const char *type)
{
    int code =
        table_commit_change(instance, id, version, &(struct table_change){type, SLICE_EMPTY, -1});
    if (code != GLIS_EREFUSED) return code;
    /* Somebody was faster, and the next call goes on; unless nothing has changed. */
    struct catalogue_table now;
    struct error_detail refusal;
    bool found;
    error_save(&refusal);
    TRY(find_entry(instance, id, &now, &found));
    if (found && now.version == version) return error_load(&refusal);
    error_clear();
    return 0;
}

int table_sweep(struct instance *instance, const struct table_entry *entry, bool dry_run,
                uint64_t *n_removed)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct catalogue_table table;
    bool found;
    int64_t now_ms = instance->runtime->clock->wall_ms(instance->runtime->clock);
    TRY(find_entry(instance, entry->id, &table, &found));
    if (!found || table.life == TABLE_LIVE) return 0;
    int64_t age_ms = now_ms - table.since_ms;
    struct slice prefix =
        slice_from_text(arena_printf(&arena, "tables/%.*s/", SLICE_PRINT(entry->id)));
    if (table.life == TABLE_CREATING)
        return age_ms < DAY_MS || dry_run
                   ? 0
                   : change(instance, entry->id, table.version, "drop_table");
    if (table.life == TABLE_DROPPING) {
        if (age_ms < instance_number(instance, PROPERTY_TABLE_DROP_DELAY) &&
            !GLIS_MUTANT(sweep_waits))
            return 0;
        if (dry_run) return remove_objects(instance, prefix, true, n_removed);
        TRY(change(instance, entry->id, table.version, "sweep_table"));
        TRY(find_entry(instance, entry->id, &table, &found));
        if (!found || table.life != TABLE_SWEEPING) return 0;
        age_ms = 0;
    }
    if (dry_run) return 0;
    /* That the table is swept may have been read only, of a sweeper that died before it was
     * durable: what goes now could be had back then. */
    if (!GLIS_MUTANT(sweeping_is_settled)) TRY(catalogue_settle(instance));
    if (!GLIS_MUTANT(sweep_ends_the_log))
        TRY_CONTEXT(end_log(instance, prefix), "sweeping table %.*s", SLICE_PRINT(entry->id));
    TRY_CONTEXT(remove_objects(instance, prefix, false, n_removed), "sweeping table %.*s",
                SLICE_PRINT(entry->id));
    if (age_ms < instance_number(instance, PROPERTY_GC_ORPHAN_AGE) && !GLIS_MUTANT(forget_waits))
        return 0;
    return change(instance, entry->id, table.version, "forget_table");
}
