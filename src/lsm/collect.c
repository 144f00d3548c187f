/*
 * collect.c: collection: files that nothing refers to any more, and objects that no state will ever
 * know.
 *
 * A file goes in three steps: mark_files (from now on no pin can want it and no restore can bring
 * it back), the deletion of its object, forget_files. Whoever dies in between leaves a marked file,
 * and the next collection goes on from there.
 *
 * Orphans are what jobs wrote that died before their commit. Clocks cannot tell them from what a
 * living job writes, so the horizon does: raised first, it makes the state refuse everything begun
 * below it, whoever comes with it. What lies below and is unknown to a state as of that record is
 * an orphan for good. Names sort by the record at which their writing began, so a list of the names
 * between the last horizon and this one is enough; once a week all names below are listed, for a
 * collector may have died between raising and sweeping. The time of that is kept in an advisory
 * object.
 */
#include "lsm/lsm_int.h"

#include "base/json.h"
#include "base/logger.h"
#include "base/mutant.h"
#include "log/log.h"

#include <stdio.h>

enum { FILES_AT_ONCE = 1000, SWEEP_BYTES_MAX = 4096 };
#define WEEK_MS   ((int64_t)7 * 24 * 3600 * 1000)
#define REPORT_MS WEEK_MS

struct collector {
    struct table *table;
    struct runtime *runtime;
    struct store *store;
    const struct collect_options *options;
    struct collect_result *result;
    int64_t now_ms;
};

static int tell(const struct collector *collector, const char *why, struct slice key,
                uint64_t bytes)
{
    if (!collector->options->visit) return 0;
    return collector->options->visit(collector->options->visit_state, why, key, bytes);
}

static int remove_keys(const struct collector *collector, const struct slice *keys, size_t n)
{
    if (!n || collector->options->dry_run) return 0;
    return store_remove(collector->store, keys, n);
}

/* ---- files without references ---- */

struct candidates {
    struct collector *collector;
    const struct table_state *state;
    struct arena arena;
    struct table_file *files; /* to be marked */
    size_t n, n_max;
    struct slice *marked; /* names of those that are marked already */
    size_t n_marked, n_marked_max;
    int64_t delay_ms;
};

static int visit_file(void *context, const struct table_file *file)
{
    struct candidates *found = context;
    struct collector *collector = found->collector;
    if (file->n_references) return 0;
    struct slice name = arena_copy(&found->arena, file->name);
    if (table_file_is_marked(found->state, file->name)) {
        ARENA_GROW(&found->arena, found->marked, found->n_marked, found->n_marked_max);
        found->marked[found->n_marked++] = name;
        return 0;
    }
    if (table_file_is_pinned(found->state, file, collector->now_ms)) {
        collector->result->pinned++;
        return 0;
    }
    if (!collector->options->now && collector->now_ms - file->gone_ms < found->delay_ms &&
        !GLIS_MUTANT(collection_waits)) {
        collector->result->waiting++;
        return 0;
    }
    ARENA_GROW(&found->arena, found->files, found->n, found->n_max);
    found->files[found->n] = *file;
    found->files[found->n++].name = name;
    return 0;
}

/* Deletes the objects of marked files and forgets them. */
static int delete_marked(struct collector *collector, const struct slice *names, size_t n)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice *keys = ARENA_ARRAY(&arena, struct slice, n);
    size_t n_keys = 0;
    uint64_t begun;
    for (size_t i = 0; i < n; i++)
        if (table_file_begun(names[i], &begun)) /* what was taken over is not ours to delete */
            keys[n_keys++] = table_file_key(collector->table, names[i], &arena);
    if (GLIS_MUTANT(delete_before_forget) &&
        table_forget_files(collector->table, names, n, NULL) < 0)
        error_clear();
    TRY_CONTEXT(store_remove(collector->store, keys, n_keys), "deleting collected files");
    int code = table_forget_files(collector->table, names, n, NULL);
    if (code != GLIS_EREFUSED) return code;
    error_clear(); /* another collector was faster */
    return 0;
}

static int collect_batch(struct collector *collector, const struct table_state *state,
                         const struct table_file *files, size_t n)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice *names = ARENA_ARRAY(&arena, struct slice, n);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        names[i] = files[i].name;
        bytes += files[i].size;
        TRY(tell(collector, "no references", table_file_key(collector->table, names[i], &arena),
                 files[i].size));
    }
    if (!collector->options->dry_run) {
        if (GLIS_MUTANT(mark_before_delete))
            for (size_t i = 0; i < n; i++) {
                struct slice key = table_file_key(collector->table, names[i], &arena);
                TRY(store_remove(collector->store, &key, 1));
            }
        int code = table_mark_files(collector->table, files, n, NULL);
        if (code == GLIS_EREFUSED) {
            /* One of them was pinned, restored or collected meanwhile: the others are not. */
            TRY(refusal_excuse(collector->table, state));
            if (n == 1) return 0;
            TRY(collect_batch(collector, state, files, n / 2));
            return collect_batch(collector, state, files + n / 2, n - n / 2);
        }
        TRY(code);
        TRY(delete_marked(collector, names, n));
    }
    collector->result->files += n;
    collector->result->bytes += bytes;
    return 0;
}

static int collect_files(struct collector *collector)
{
    struct candidates found = {.collector = collector};
    arena_init(&found.arena, NULL);
    TRY(table_state_get(collector->table, 0, &found.state));
    found.delay_ms = table_state_number(found.state, PROPERTY_TABLE_GC_DELAY);
    int code = table_each_file(found.state, visit_file, &found);
    /* Others marked them, and may not have come so far as to make that durable. */
    if (code == 0 && found.n_marked && !collector->options->dry_run)
        code = table_settle(collector->table, found.state);
    for (size_t i = 0; code == 0 && i < found.n_marked && !collector->options->dry_run;
         i += FILES_AT_ONCE) {
        size_t n = found.n_marked - i < FILES_AT_ONCE ? found.n_marked - i : FILES_AT_ONCE;
        code = delete_marked(collector, found.marked + i, n);
    }
    for (size_t i = 0; code == 0 && i < found.n; i += FILES_AT_ONCE) {
        code = runtime_check_cancel(collector->runtime);
        size_t n = found.n - i < FILES_AT_ONCE ? found.n - i : FILES_AT_ONCE;
        if (code == 0) code = collect_batch(collector, found.state, found.files + i, n);
    }
    table_state_release(found.state);
    arena_free(&found.arena);
    return code;
}

/* ---- the horizon ---- */

/* Raises the horizon as far as the age and what is under way allow. */
static int raise_horizon(struct collector *collector, uint64_t *before, uint64_t *after)
{
    const struct table_state *state;
    struct instance *instance = table_instance(collector->table);
    int64_t age_ms = instance_number(instance, PROPERTY_GC_ORPHAN_AGE);
    TRY(table_state_get(collector->table, 0, &state));
    *before = *after = table_state_horizon(state);
    uint64_t limit = table_horizon_limit(state), record = 0;
    int code = table_record_at_time(collector->table, collector->now_ms - age_ms, &record);
    if (record > limit) record = limit;
    if (code == 0 && record > *before) *after = record;
    if (GLIS_MUTANT(horizon_before_orphans)) return code;
    if (code == 0 && record > *before && !collector->options->dry_run) {
        code = table_raise_horizon(collector->table, record, NULL);
        if (code == GLIS_EREFUSED) {
            /* Something has begun to work meanwhile, or another collector was faster. */
            *after = *before;
            code = refusal_excuse(collector->table, state);
        }
    }
    table_state_release(state);
    return code;
}

/* ---- orphans ---- */

struct sweep {
    struct collector *collector;
    const struct table_state *state;
    uint64_t horizon;
    struct arena arena;
    struct slice *keys;
    size_t n, n_max;
    uint64_t bytes;
};

static int sweep_end(struct sweep *sweep)
{
    TRY(remove_keys(sweep->collector, sweep->keys, sweep->n));
    sweep->collector->result->orphans += sweep->n;
    sweep->collector->result->orphan_bytes += sweep->bytes;
    arena_free(&sweep->arena);
    sweep->keys = NULL;
    sweep->n = sweep->n_max = 0;
    sweep->bytes = 0;
    return 0;
}

/* One object of data/: what the state knows stays, and what has no name of ours. */
static int visit_object(void *context, const struct store_object *object)
{
    struct sweep *sweep = context;
    struct slice prefix = table_prefix(sweep->collector->table);
    struct slice name = slice_part(object->key, prefix.size, object->key.size);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct table_file file;
    uint64_t begun;
    TRY(runtime_check_cancel(sweep->collector->runtime));
    if (!table_file_begun(name, &begun)) return 0;
    if (begun >= sweep->horizon && !GLIS_MUTANT(orphans_below_horizon))
        return 1; /* names ascend by it: the end */
    int code = table_file(sweep->state, name, &arena, &file);
    if (code == 0) return 0;
    if (code != GLIS_ENOTFOUND) return code;
    error_clear();
    TRY(tell(sweep->collector, "orphan", object->key, object->size));
    ARENA_GROW(&sweep->arena, sweep->keys, sweep->n, sweep->n_max);
    sweep->keys[sweep->n++] = arena_copy(&sweep->arena, object->key);
    sweep->bytes += object->size;
    return sweep->n == FILES_AT_ONCE ? sweep_end(sweep) : 0;
}

/* When all names were last looked at; 0 when nothing is known. */
static struct slice sweep_key(const struct collector *collector, struct arena *arena)
{
    return slice_from_text(
        arena_printf(arena, "%.*ssweep", SLICE_PRINT(table_prefix(collector->table))));
}

static int64_t last_full_sweep(const struct collector *collector)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_buffer struct buffer text = BUFFER_INIT(SWEEP_BYTES_MAX);
    const struct json *json;
    int64_t time_ms = 0;
    if (store_get(collector->store, sweep_key(collector, &arena), 0, SWEEP_BYTES_MAX, &text) < 0 ||
        json_parse(&arena, buffer_slice(&text), JSON_RULES_INTERNAL, &json) < 0 ||
        json_get_int(json, "time", 0, INT64_MAX, &time_ms) < 0)
        error_clear();
    return time_ms;
}

static int note_full_sweep(const struct collector *collector)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const char *text = arena_printf(&arena, "{\"time\":%lld}", (long long)collector->now_ms);
    return store_put(collector->store, sweep_key(collector, &arena), slice_from_text(text), 0);
}

static int sweep_orphans(struct collector *collector, uint64_t before, uint64_t horizon)
{
    int64_t last = last_full_sweep(collector);
    bool full =
        collector->options->full || last > collector->now_ms || collector->now_ms - last >= WEEK_MS;
    if (!full && before == horizon) return 0;
    struct sweep sweep = {.collector = collector, .horizon = horizon};
    arena_init(&sweep.arena, NULL);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice prefix = slice_from_text(
        arena_printf(&arena, "%.*sdata/", SLICE_PRINT(table_prefix(collector->table))));
    struct slice after = SLICE_EMPTY;
    if (!full)
        after = slice_from_text(
            arena_printf(&arena, "%.*s%012llx", SLICE_PRINT(prefix), (unsigned long long)before));
    /* A state as of the horizon or later: what it does not know now, it never will. */
    TRY(table_state_get(collector->table, 0, &sweep.state));
    /* The horizon may be another's, who may not have come so far as to make it durable. */
    int code = collector->options->dry_run ? 0 : table_settle(collector->table, sweep.state);
    if (code == 0) code = store_each(collector->store, prefix, after, visit_object, &sweep);
    if (code >= 0) code = sweep_end(&sweep);
    table_state_release(sweep.state);
    arena_free(&sweep.arena);
    /* Only spares the next one work: on a full disk collection must go on. */
    if (code == 0 && full && !collector->options->dry_run && note_full_sweep(collector) < 0)
        error_clear();
    return code;
}

/* ---- what jobs of several steps left ---- */

struct staging {
    struct collector *collector;
    struct table_pin *pins;
    size_t n_pins;
    struct arena arena;
    struct slice prefix;
    struct slice *keys;
    size_t n, n_max;
    int64_t before_ms;
};

static int visit_staged(void *context, const struct store_object *object)
{
    struct staging *staging = context;
    struct slice job = slice_part(object->key, staging->prefix.size, object->key.size);
    const char *slash = job.size ? memchr(job.data, '/', job.size) : NULL;
    if (slash) job.size = (size_t)(slash - job.data);
    if (object->modified_ms > staging->before_ms) return 0;
    for (size_t i = 0; i < staging->n_pins; i++) {
        const struct table_pin *pin = &staging->pins[i];
        if (slice_equal(pin->id, job) &&
            (pin->until_ms == 0 || pin->until_ms > staging->collector->now_ms))
            return 0;
    }
    TRY(tell(staging->collector, "staging", object->key, object->size));
    ARENA_GROW(&staging->arena, staging->keys, staging->n, staging->n_max);
    staging->keys[staging->n++] = arena_copy(&staging->arena, object->key);
    return 0;
}

static int sweep_staging(struct collector *collector)
{
    const struct table_state *state;
    struct staging staging = {.collector = collector};
    arena_init(&staging.arena, NULL);
    staging.prefix = slice_from_text(
        arena_printf(&staging.arena, "%.*sstaging/", SLICE_PRINT(table_prefix(collector->table))));
    staging.before_ms = collector->now_ms -
                        instance_number(table_instance(collector->table), PROPERTY_GC_ORPHAN_AGE);
    int code = table_state_get(collector->table, 0, &state);
    if (code == 0) {
        code = table_pins(state, &staging.arena, &staging.pins, &staging.n_pins);
        table_state_release(state);
    }
    if (code == 0)
        code = store_each(collector->store, staging.prefix, SLICE_EMPTY, visit_staged, &staging);
    if (code == 0) code = remove_keys(collector, staging.keys, staging.n);
    collector->result->staged = staging.n;
    arena_free(&staging.arena);
    return code;
}

/* ---- the log ---- */

static int trim_log(struct collector *collector)
{
    struct table_trim_options options = {.full = collector->options->full,
                                         .dry_run = collector->options->dry_run};
    struct log_trim_result result;
    TRY(table_trim(collector->table, &options, &result));
    collector->result->trimmed = result.records;
    return 0;
}

int collect_table(struct table *table, struct runtime *runtime,
                  const struct collect_options *options, struct collect_result *out)
{
    static const struct collect_options defaults = {0};
    *out = (struct collect_result){0};
    struct collector collector = {
        .table = table,
        .runtime = runtime,
        .store = instance_store(table_instance(table)),
        .options = options ? options : &defaults,
        .result = out,
        .now_ms = runtime->clock->wall_ms(runtime->clock),
    };
    uint64_t before, horizon;
    TRY(collect_files(&collector));
    TRY(raise_horizon(&collector, &before, &horizon));
    TRY(sweep_orphans(&collector, before, horizon));
    TRY(sweep_staging(&collector));
    if (!collector.options->dry_run)
        TRY(job_reports_remove(table, collector.now_ms - REPORT_MS, &out->reports));
    out->horizon = horizon;
    TRY(trim_log(&collector));
    logger_log(runtime->logger, LOGGER_INFO, "collected",
               LOGGER_FIELD_SLICE("table", table_name(table)),
               LOGGER_FIELD_NUMBER("files", (int64_t)out->files),
               LOGGER_FIELD_NUMBER("orphans", (int64_t)out->orphans),
               LOGGER_FIELD_NUMBER("horizon", (int64_t)out->horizon));
    return 0;
}
