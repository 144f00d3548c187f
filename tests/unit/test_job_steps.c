/*
 * test_job_steps.c: jobs of several steps, bulk import and export, over stores that die at any
 * request, lose answers and carry requests out late, and with two processes' handles whose steps
 * are mixed at random. Whatever happens, every row is there once in the end.
 */
#include "sorting.h"

#include "format/format.h"
#include "lsm/bulk_import_int.h"
#include "query/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILES = 3, ROWS_A_FILE = 60, ROWS = FILES * ROWS_A_FILE, LINE_BYTES = 64 };

static const char schema_json[] =
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}],\"valueFields\":["
    "{\"name\":\"id\",\"type\":\"LongType\"}]}";

struct world {
    struct sorting_clock clock; /* sleeping takes no time */
    struct runtime runtime;
    struct budget budget;
    struct store *memory, *store;
    struct store *folder_memory, *folder; /* of exports */
    struct instance *instance;
    struct table *table;
    struct query_engine *engine;
    char names[FILES][64];
    struct slice paths[FILES];
};

/* ---- worlds ---- */

static void write_inputs(struct world *w)
{
    for (int f = 0; f < FILES; f++) {
        snprintf(w->names[f], sizeof w->names[f], "/tmp/glis-job-steps-%d-%d.jsonl", (int)getpid(),
                 f);
        w->paths[f] = slice_from_text(w->names[f]);
        FILE *file = fopen(w->names[f], "w");
        assert_non_null(file);
        for (int i = 0; i < ROWS_A_FILE; i++) {
            int id = f * ROWS_A_FILE + i;
            fprintf(file, "{\"k\":\"%c%d\",\"id\":%d}\n", 'a' + id * 7 % 26, id % 5, id);
        }
        assert_int_equal(fclose(file), 0);
    }
}

static void open_instance(struct world *w)
{
    w->store = w->memory;
    w->folder = w->folder_memory;
    assert_ok(instance_open(&w->runtime, w->store, 0, NULL, &w->instance));
    assert_ok(table_open(w->instance, SLICE("t"), &w->table));
    assert_ok(query_engine_new(&w->engine, &w->runtime, &w->budget, 0));
}

static void close_instance(struct world *w)
{
    query_engine_free(w->engine);
    table_close(w->table);
    instance_close(w->instance);
    if (w->store != w->memory) store_close(w->store);
    if (w->folder != w->folder_memory) store_close(w->folder);
    w->engine = NULL;
    w->table = NULL;
    w->instance = NULL;
    w->store = w->memory;
    w->folder = w->folder_memory;
}

static void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    budget_init(&w->budget, "test", 0, NULL, NULL);
    w->clock.clock =
        (struct clock){sorting_clock_wall, sorting_clock_monotonic, sorting_clock_sleep};
    w->runtime = (struct runtime){.clock = &w->clock.clock,
                                  .random = random_seeded_new(7),
                                  .pool = pool_new(0),
                                  .budget = &w->budget};
    write_inputs(w);
    assert_ok(store_memory_open(&w->runtime, &w->memory));
    assert_ok(store_memory_open(&w->runtime, &w->folder_memory));
    assert_ok(instance_init(&w->runtime, w->memory, NULL, 0));
    assert_ok(instance_open(&w->runtime, w->memory, 0, NULL, &w->instance));
    struct schema *schema;
    assert_ok(schema_from_json(slice_from_text(schema_json), &schema));
    struct slice points[] = {SLICE("f\0\0"), SLICE("m\0\0"), SLICE("zz\0\0")};
    struct setting setting = {SLICE("glis.table.bulk.import.min.leaf.partitions"), SLICE("1")};
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = schema,
                                          .settings = &setting,
                                          .n_settings = 1,
                                          .split_points = points,
                                          .n_split_points = 3};
    assert_ok(table_create(w->instance, &definition, &w->table));
    schema_release(schema);
    close_instance(w);
    open_instance(w);
}

static void world_close(struct world *w)
{
    close_instance(w);
    store_close(w->memory);
    store_close(w->folder_memory);
    pool_free(w->runtime.pool);
    random_seeded_free(w->runtime.random);
    for (int f = 0; f < FILES; f++)
        unlink(w->names[f]);
    assert_int_equal(budget_used(&w->budget), 0);
}

/* The instance and the folder behind stores that fail, or as they are. */
static int world_reopen(struct world *w, const struct store_faults *faults,
                        const struct store_faults *folder_faults, uint64_t seed)
{
    close_instance(w);
    if (faults) TRY(store_fault_open(&w->runtime, w->memory, seed, faults, &w->store));
    if (folder_faults)
        TRY(store_fault_open(&w->runtime, w->folder_memory, seed + 1, folder_faults, &w->folder));
    TRY(instance_open(&w->runtime, w->store, 0, NULL, &w->instance));
    TRY(table_open(w->instance, SLICE("t"), &w->table));
    return query_engine_new(&w->engine, &w->runtime, &w->budget, 0);
}

/* Counts how often each row is in a table. */
static uint64_t count_rows(struct world *w, struct table *table, unsigned *seen)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct query query;
    struct batch_stream *answer;
    uint64_t n = 0;
    memset(seen, 0, ROWS * sizeof *seen);
    assert_ok(table_state_get(table, 0, &state));
    assert_ok(table_validate(state));
    query_everything(table_state_schema(state), &arena, &query);
    assert_ok(query_open(w->engine, table, &query, &answer));
    for (;;) {
        struct batch *batch;
        assert_ok(batch_stream_next(answer, &batch));
        if (!batch) break;
        for (int64_t row = 0; row < batch->n_rows; row++) {
            struct value id;
            column_value(&batch->columns[1], row, &id);
            assert_true(id.integer >= 0 && id.integer < ROWS);
            seen[id.integer]++;
            n++;
        }
        batch_release(batch);
    }
    batch_stream_close(answer);
    table_state_release(state);
    return n;
}

static void check_rows(struct world *w, struct table *table)
{
    unsigned seen[ROWS];
    assert_int_equal(count_rows(w, table, seen), ROWS);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(seen[i], 1);
}

static int count_object(void *state, const struct store_object *object)
{
    (void)object;
    ++*(unsigned *)state;
    return 0;
}

static unsigned objects_under(struct store *store, struct slice prefix)
{
    unsigned n = 0;
    assert_ok(store_each(store, prefix, SLICE_EMPTY, count_object, &n));
    return n;
}

static unsigned staged(const struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    return objects_under(
        w->memory,
        slice_from_text(arena_printf(&arena, "%.*sstaging/", SLICE_PRINT(table_prefix(w->table)))));
}

static unsigned data_objects(const struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    return objects_under(w->memory, slice_from_text(arena_printf(
                                        &arena, "%.*sdata/", SLICE_PRINT(table_prefix(w->table)))));
}

/* ---- bulk import ---- */

static int open_job(struct world *w, struct bulk_import **out)
{
    struct bulk_import_options options = {.job_id = SLICE("job")};
    return bulk_import_open(out, w->table, &w->runtime, w->paths, FILES, &options);
}

static int run_job(struct world *w)
{
    struct bulk_import *job;
    TRY(open_job(w, &job));
    int code = bulk_import_run(job);
    bulk_import_close(job);
    return code;
}

static void a_bulk_import_survives_the_death_of_its_store_at_any_request(void **state)
{
    (void)state;
    uint64_t n_failed = 0;
    for (uint64_t n = 1;; n++) {
        struct world w;
        world_open(&w);
        struct store_faults faults = {.crash_at = n};
        int code = world_reopen(&w, &faults, NULL, 1);
        if (code == 0) code = run_job(&w);
        bool through = code == 0 && store_fault_requests(w.store) < n;
        assert_ok(world_reopen(&w, NULL, NULL, 0));
        unsigned seen[ROWS];
        uint64_t found = count_rows(&w, w.table, seen);
        assert_true(found == 0 || found == ROWS);
        if (code == 0) assert_int_equal(found, ROWS);
        assert_ok(run_job(&w));
        check_rows(&w, w.table);
        world_close(&w);
        if (through) break;
        n_failed++;
        assert_true(n < 2000);
    }
    assert_true(n_failed > 30);
}

static void a_bulk_import_survives_unknown_outcomes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world w;
        world_open(&w);
        struct store_faults faults = {.lost_before = 800,
                                      .lost_after = 800,
                                      .late = 800,
                                      .retry = 800,
                                      .repeated = 800,
                                      .short_read = 300};
        int code = -1;
        for (uint64_t attempt = 0; code < 0 && attempt < 300; attempt++) {
            code = world_reopen(&w, &faults, NULL, seed * 1000 + attempt);
            if (code == 0) code = run_job(&w);
        }
        assert_ok(code);
        assert_ok(world_reopen(&w, NULL, NULL, 0));
        check_rows(&w, w.table);
        world_close(&w);
    }
}

/* Two handles do steps in any order, the same ones too, and are opened anew now and then. */
static void mixed_steps_of_two_processes_come_to_one_import(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world w;
        world_open(&w);
        struct random *random = random_seeded_new(seed);
        struct bulk_import *jobs[2] = {NULL, NULL};
        bool done = false;
        while (!done) {
            struct arena arena defer_arena = ARENA_EMPTY;
            struct bulk_import **job = &jobs[random_below(random, 2)];
            struct slice *steps;
            size_t n;
            if (*job && random_below(random, 4) == 0) {
                bulk_import_close(*job);
                *job = NULL;
            }
            if (!*job) assert_ok(open_job(&w, job));
            assert_ok(bulk_import_steps(*job, &arena, &steps, &n));
            if (n > 0)
                assert_ok(bulk_import_step(*job, steps[random_below(random, n)]));
            else
                assert_ok(bulk_import_run(*job));
            done = bulk_import_result(*job).is_done;
        }
        bulk_import_close(jobs[0]);
        bulk_import_close(jobs[1]);
        check_rows(&w, w.table);
        assert_int_equal(staged(&w), 0);
        assert_int_equal(data_objects(&w), 3); /* of four leaves one has no rows */
        random_seeded_free(random);
        world_close(&w);
    }
}

/* ---- somebody else at the worst moment ---- */

/* A store behind which, right after the n-th put of an outcome, another process does all the rest
 * of the job. */
struct intruded {
    struct store store;
    struct store *inner;
    struct world *world;
    unsigned n_puts, at;
    bool is_cancelled;    /* it gives the job up instead */
    bool is_before;       /* right before it */
    unsigned n_passed_by; /* so often the horizon passes the job right after its plan was put */
};

static void intrude(struct intruded *self)
{
    struct instance *instance;
    struct table *table;
    struct bulk_import_options options = {.job_id = SLICE("job")};
    struct bulk_import_result result;
    struct bulk_import *job = NULL;
    assert_ok(instance_open(&self->world->runtime, self->inner, 0, NULL, &instance));
    assert_ok(table_open(instance, SLICE("t"), &table));
    if (self->is_cancelled) {
        assert_ok(bulk_import_cancel(table, options.job_id, &result));
    } else {
        assert_ok(bulk_import_open(&job, table, &self->world->runtime, NULL, 0, &options));
        assert_ok(bulk_import_run(job));
        bulk_import_close(job);
    }
    table_close(table);
    instance_close(instance);
}

/* Others commit, and what was begun before that can no longer be added. */
static void pass_by(struct intruded *self)
{
    struct instance *instance;
    struct table *table;
    struct commit_result result;
    struct table_pin pin = {.id = SLICE("others"), .until_ms = 1};
    const struct table_state *state;
    self->n_passed_by--;
    assert_ok(instance_open(&self->world->runtime, self->inner, 0, NULL, &instance));
    assert_ok(table_open(instance, SLICE("t"), &table));
    assert_ok(table_state_get(table, 0, &state));
    pin.record = table_state_record(state);
    table_state_release(state);
    assert_ok(table_pin(table, &pin, &result));
    assert_ok(table_raise_horizon(table, result.record, &result));
    table_close(table);
    instance_close(instance);
}

static int intruded_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct intruded *self = (struct intruded *)store;
    bool is_plan = slice_ends_with(key, SLICE("/plan"));
    bool is_outcome = memmem(key.data, key.size, "/staging/", 9) && !is_plan;
    bool is_now = is_outcome && ++self->n_puts == self->at;
    if (is_now && self->is_before) intrude(self);
    int code = store_put(self->inner, key, body, flags);
    if (is_now && !self->is_before) intrude(self);
    if (is_plan && self->n_passed_by) pass_by(self);
    return code;
}

static void intruded_read(struct store *store, struct store_read *reads, size_t n)
{
    if (store_read(((struct intruded *)store)->inner, reads, n) < 0) error_clear();
}

static int intruded_head(struct store *store, struct slice key, struct store_object *out)
{
    return store_head(((struct intruded *)store)->inner, key, out);
}

static int intruded_list(struct store *store, struct slice prefix, struct slice start_after,
                         size_t limit, struct arena *arena, struct store_list *out)
{
    return store_list(((struct intruded *)store)->inner, prefix, start_after, limit, arena, out);
}

static int intruded_remove(struct store *store, const struct slice *keys, size_t n)
{
    return store_remove(((struct intruded *)store)->inner, keys, n);
}

static int intruded_sync(struct store *store, const struct slice *keys, size_t n)
{
    return store_sync(((struct intruded *)store)->inner, keys, n);
}

static int intruded_upload_open(struct store *store, struct slice key, unsigned flags,
                                struct store_upload **out)
{
    return store_upload_open(((struct intruded *)store)->inner, key, flags, out);
}

static int intruded_time_ms(struct store *store, int64_t *out)
{
    const struct store *inner = ((struct intruded *)store)->inner;
    return inner->ops->time_ms(((struct intruded *)store)->inner, out);
}

static const struct store_ops intruded_ops = {.put = intruded_put,
                                              .read = intruded_read,
                                              .head = intruded_head,
                                              .list = intruded_list,
                                              .remove = intruded_remove,
                                              .sync = intruded_sync,
                                              .upload_open = intruded_upload_open,
                                              .time_ms = intruded_time_ms};

/* At every put of an outcome once. The files of a job that another has committed stay, and of
 * one that was given up no row comes. */
static void a_job_that_ends_at_an_outcome(bool is_cancelled, bool is_before)
{
    unsigned at = 1;
    for (bool any = true; any; at++) {
        struct world w;
        world_open(&w);
        close_instance(&w);
        struct intruded self = {.store = {.ops = &intruded_ops, .description = (char *)"intruded"},
                                .inner = w.memory,
                                .world = &w,
                                .at = at,
                                .is_cancelled = is_cancelled,
                                .is_before = is_before};
        struct instance *instance;
        struct table *table;
        struct bulk_import *job;
        struct bulk_import_options options = {.job_id = SLICE("job")};
        assert_ok(instance_open(&w.runtime, &self.store, 0, NULL, &instance));
        assert_ok(table_open(instance, SLICE("t"), &table));
        assert_ok(bulk_import_open(&job, table, &w.runtime, w.paths, FILES, &options));
        int code = bulk_import_run(job);
        any = self.n_puts >= at;
        struct bulk_import_result result = bulk_import_result(job);
        bulk_import_close(job);
        table_close(table);
        instance_close(instance);
        open_instance(&w);
        assert_int_equal(staged(&w), 0);
        if (any && is_cancelled) {
            unsigned seen[ROWS];
            assert_int_equal(code, GLIS_EGONE);
            assert_true(result.is_given_up);
            assert_int_equal(count_rows(&w, w.table, seen), 0);
            assert_ok(run_job(&w));
        } else {
            assert_int_equal(code, 0);
        }
        check_rows(&w, w.table);
        if (!is_cancelled) assert_int_equal(data_objects(&w), 3); /* nobody's twin is left */
        world_close(&w);
        assert_true(at < 100);
    }
    assert_true(at > FILES + 1 + 4); /* sorts, the tree, leaves */
}

static void what_another_has_committed_is_not_removed(void **state)
{
    (void)state;
    a_job_that_ends_at_an_outcome(false, false);
    a_job_that_ends_at_an_outcome(false, true);
}

static void a_job_given_up_at_any_moment_adds_nothing(void **state)
{
    (void)state;
    a_job_that_ends_at_an_outcome(true, false);
    a_job_that_ends_at_an_outcome(true, true);
}

/* Stopped between its first look and its pin, a job begins anew, however often; of one that has no
 * peace an error is the end, and its next call goes on. */
static void a_job_that_was_passed_by_begins_anew(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 12; n++) {
        struct world w;
        unsigned times = n / 2;
        bool ends = times == 5;
        world_open(&w);
        close_instance(&w);
        struct intruded self = {.store = {.ops = &intruded_ops, .description = (char *)"intruded"},
                                .inner = w.memory,
                                .world = &w,
                                .n_passed_by = times};
        struct instance *instance;
        struct table *table;
        struct bulk_import *job;
        struct bulk_import_options options = {.job_id = n % 2 ? SLICE("job") : SLICE_EMPTY};
        assert_ok(instance_open(&w.runtime, &self.store, 0, NULL, &instance));
        assert_ok(table_open(instance, SLICE("t"), &table));
        int code = bulk_import_open(&job, table, &w.runtime, w.paths, FILES, &options);
        assert_int_equal(self.n_passed_by, 0);
        assert_int_equal(code, ends ? GLIS_EREFUSED : 0);
        if (ends) assert_ok(bulk_import_open(&job, table, &w.runtime, w.paths, FILES, &options));
        assert_ok(bulk_import_run(job));
        bulk_import_close(job);
        table_close(table);
        instance_close(instance);
        open_instance(&w);
        assert_int_equal(staged(&w), 0);
        check_rows(&w, w.table);
        assert_int_equal(data_objects(&w), 3);
        world_close(&w);
    }
}

static struct bulk_import *owner; /* to be ended meanwhile */

static int end_owner(void *state, const struct bulk_import_progress *progress)
{
    (void)state;
    if (progress->phase != BULK_WRITING || progress->steps_done < progress->n_steps) return 0;
    assert_ok(bulk_import_run(owner));
    return error_set(GLIS_ECANCELLED, "stopped");
}

/* Whoever does its steps takes such a job's files away when it is stopped: so it is for one. */
static void a_job_with_a_made_id_is_nobody_elses(void **state)
{
    (void)state;
    struct world w;
    struct bulk_import *second = NULL;
    struct bulk_import_options options = {0};
    world_open(&w);
    assert_ok(bulk_import_open(&owner, w.table, &w.runtime, w.paths, FILES, &options));
    options.job_id = bulk_import_result(owner).job_id;
    options.progress = end_owner;
    int code = bulk_import_open(&second, w.table, &w.runtime, NULL, 0, &options);
    if (code == 0) {
        code = bulk_import_run(second);
        bulk_import_close(second);
    } else {
        assert_fails(code, GLIS_EREFUSED, "by itself");
        assert_ok(bulk_import_run(owner));
    }
    bulk_import_close(owner);
    check_rows(&w, w.table);
    world_close(&w);
}

static int cancel_at_commit(void *state, const struct bulk_import_progress *progress)
{
    struct bulk_import_result result;
    if (progress->phase != BULK_COMMITTING) return 0;
    assert_ok(bulk_import_cancel(((struct world *)state)->table, SLICE("job"), &result));
    assert_false(result.already_done);
    return 0;
}

/* Whoever cancelled it was told that nothing was added, so nothing is, however short a time ago it
 * was seen that the job is there. */
static void a_job_cancelled_just_before_its_commit_adds_nothing(void **state)
{
    (void)state;
    struct world w;
    struct bulk_import *job;
    unsigned seen[ROWS];
    world_open(&w);
    struct bulk_import_options options = {
        .job_id = SLICE("job"), .progress = cancel_at_commit, .progress_state = &w};
    assert_ok(bulk_import_open(&job, w.table, &w.runtime, w.paths, FILES, &options));
    assert_fails(bulk_import_run(job), GLIS_EGONE, "ended by somebody else");
    bulk_import_close(job);
    assert_int_equal(count_rows(&w, w.table, seen), 0);
    world_close(&w);
}

/* ---- export ---- */

static int run_export(struct world *w, struct export_result *out)
{
    struct export_options options = {.kind = OUTPUT_PARQUET, .job = SLICE("job")};
    struct export *export;
    TRY(export_open(&export, w->engine, w->table, w->folder, &options));
    int code = export_run(export, NULL, 0);
    *out = export_result(export);
    export_close(export);
    return code;
}

static int run_restore(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct restore_options options = {.name = SLICE("again")};
    struct restore_result result;
    return export_restore(w->instance, &w->runtime, w->folder, &options, &arena, &result);
}

static void check_restored(struct world *w)
{
    struct table *again;
    assert_ok(table_open(w->instance, SLICE("again"), &again));
    check_rows(w, again);
    table_close(again);
}

static void an_export_survives_the_death_of_its_folder_at_any_request(void **state)
{
    (void)state;
    uint64_t n_failed = 0;
    struct world w;
    for (uint64_t n = 1;; n++) {
        world_open(&w);
        assert_ok(run_job(&w));
        struct store_faults faults = {.crash_at = n};
        struct export_result result;
        int code = world_reopen(&w, NULL, &faults, 1);
        if (code == 0) code = run_export(&w, &result);
        bool through = code == 0 && store_fault_requests(w.folder) < n;
        assert_ok(world_reopen(&w, NULL, NULL, 0));
        assert_ok(run_export(&w, &result));
        assert_true(result.is_done && result.whole);
        assert_int_equal(result.rows, ROWS);
        assert_ok(run_restore(&w));
        check_restored(&w);
        world_close(&w);
        if (through) break;
        n_failed++;
        assert_true(n < 2000);
    }
    assert_true(n_failed > 15);
}

static void an_export_survives_unknown_outcomes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct world w;
        struct export_result result;
        world_open(&w);
        assert_ok(run_job(&w));
        struct store_faults faults = {.lost_before = 600,
                                      .lost_after = 600,
                                      .late = 600,
                                      .retry = 600,
                                      .repeated = 600,
                                      .short_read = 300};
        int code = -1;
        for (uint64_t attempt = 0; code < 0 && attempt < 300; attempt++) {
            code = world_reopen(&w, &faults, &faults, seed * 1000 + attempt);
            if (code == 0) code = run_export(&w, &result);
        }
        assert_ok(code);
        assert_ok(world_reopen(&w, NULL, NULL, 0));
        assert_ok(run_restore(&w));
        check_restored(&w);
        world_close(&w);
    }
}

/* A restore whose store dies leaves the whole table under the name, or none. */
static void a_restore_that_dies_leaves_a_whole_table_or_none(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n += 3) {
        struct world w;
        struct export_result result;
        world_open(&w);
        assert_ok(run_job(&w));
        assert_ok(run_export(&w, &result));
        struct store_faults faults = {.crash_at = n};
        int code = world_reopen(&w, &faults, NULL, 1);
        if (code == 0) code = run_restore(&w);
        bool through = code == 0 && store_fault_requests(w.store) < n;
        assert_ok(world_reopen(&w, NULL, NULL, 0));
        struct table *again;
        int found = table_open(w.instance, SLICE("again"), &again);
        if (found == 0) {
            check_rows(&w, again);
            table_close(again);
        } else {
            assert_int_equal(found, GLIS_ENOTFOUND);
            assert_true(code < 0);
            assert_ok(run_restore(&w));
            check_restored(&w);
        }
        world_close(&w);
        if (through) break;
        assert_true(n < 2000);
    }
}

/* As when another's plan was in the way of the first one, and has gone. */
static void a_plan_that_is_cut_twice_has_its_units_once(void **state)
{
    (void)state;
    struct runtime runtime = {0};
    defer_arena struct arena arena = ARENA_EMPTY;
    struct ingest_input inputs[2] = {{.format = INGEST_CSV}, {.format = INGEST_JSONL}};
    struct bulk_plan plan = {.inputs = inputs, .n_inputs = 2};
    for (int i = 0; i < 2; i++) {
        assert_ok(bulk_plan_cut(&runtime, &plan, NULL, 1 << 20, &arena));
        assert_int_equal(plan.n_units, 2);
        assert_int_equal(plan.units[0].input, 0);
        assert_int_equal(plan.units[1].input, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bulk_import_survives_the_death_of_its_store_at_any_request),
        cmocka_unit_test(a_bulk_import_survives_unknown_outcomes),
        cmocka_unit_test(mixed_steps_of_two_processes_come_to_one_import),
        cmocka_unit_test(what_another_has_committed_is_not_removed),
        cmocka_unit_test(a_job_given_up_at_any_moment_adds_nothing),
        cmocka_unit_test(a_job_that_was_passed_by_begins_anew),
        cmocka_unit_test(a_job_with_a_made_id_is_nobody_elses),
        cmocka_unit_test(a_plan_that_is_cut_twice_has_its_units_once),
        cmocka_unit_test(a_job_cancelled_just_before_its_commit_adds_nothing),
        cmocka_unit_test(an_export_survives_the_death_of_its_folder_at_any_request),
        cmocka_unit_test(an_export_survives_unknown_outcomes),
        cmocka_unit_test(a_restore_that_dies_leaves_a_whole_table_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
