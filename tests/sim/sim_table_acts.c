/*
 * sim_table_acts.c: what else workers do to the one table of a world: bulk imports whose steps are
 * done by whoever comes, files set aside and taken back, roles, trimming of the log, setting of
 * its time, and later schemas.
 *
 * The input of a bulk import is files of rows whose name and content follow from the rows' numbers
 * alone, so that they serve all worlds of a process; they lie in a folder of the process's own,
 * which is removed at its end.
 */
#include "sim_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIELDS_MAX = 4, BULK_MEMORY_BYTES = 16 << 20 };
enum { PIN_SAFE_MS = 20 * 3600 * 1000 }; /* a bulk import's pin lasts longer */

/* ---- bulk imports ---- */

static char folder[64];
static uint8_t written[ROWS_MAX + 1][JOB_ROWS_MAX + 1];

static void folder_remove(void)
{
    char path[128];
    for (unsigned first = 0; first <= ROWS_MAX; first++)
        for (unsigned n = 0; n <= JOB_ROWS_MAX; n++)
            if (written[first][n]) {
                snprintf(path, sizeof(path), "%s/%u-%u.csv", folder, first, n);
                (void)!unlink(path);
            }
    (void)!rmdir(folder);
}

/* The file of rows [first, first + n). */
static struct slice rows_file(unsigned first, unsigned n, struct arena *arena)
{
    if (!folder[0]) {
        const char *place = getenv("TMPDIR");
        snprintf(folder, sizeof(folder), "%.40s/glis-sim-XXXXXX", place ? place : "/tmp");
        ASSERT(mkdtemp(folder));
        ASSERT(atexit(folder_remove) == 0);
    }
    char *path = arena_printf(arena, "%s/%u-%u.csv", folder, first, n);
    if (written[first][n]) return slice_from_text(path);
    FILE *file = fopen(path, "w");
    ASSERT(file);
    fprintf(file, "k,v\n");
    for (unsigned row = first; row < first + n; row++)
        fprintf(file, "%lld,%u\n", (long long)row_key(row), row);
    ASSERT(fclose(file) == 0);
    written[first][n] = true;
    return slice_from_text(path);
}

/* A job that was begun before, or a new one. */
static unsigned choose_job(struct sim_worker *worker, struct sim_random *random)
{
    struct world *world = world_of(worker->sim);
    unsigned found = JOBS_MAX, n = 0;
    for (unsigned i = 0; i < world->n_jobs; i++)
        if (world->jobs[i].bulk && sim_draw(random, ++n) == 0) found = i;
    if (n && sim_draw(random, 4)) return found;
    unsigned number = sim_table_make_job(worker, random, false);
    if (number == JOBS_MAX) return number;
    world->jobs[number].bulk = world->jobs[number].maybe = true;
    world->jobs[number].begun_ms = sim_now_ms(worker->sim);
    return number;
}

static int told_progress(void *state, const struct bulk_import_progress *progress)
{
    (void)progress;
    struct sim_worker *worker = state;
    if (sim_chance(&worker->faults, 12)) worker->sim->now_ns += 40 * 1000000000ll;
    if (sim_chance(&worker->faults, 3)) sim_yield(worker);
    return 0;
}

/* Some steps, in any order; then perhaps all the rest. */
static int work(struct sim_worker *worker, struct sim_random *random, struct bulk_import *import)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    unsigned n_wanted = sim_draw(random, 3) ? (unsigned)sim_draw(random, 4) : 0;
    for (unsigned i = 0; i < n_wanted; i++) {
        struct slice *steps;
        size_t n;
        TRY(bulk_import_steps(import, &arena, &steps, &n));
        if (n == 0) break;
        size_t which = (size_t)sim_draw(random, n);
        int code = bulk_import_step(import, steps[which]);
        sim_trace(worker->sim, "step %.*s: %s", SLICE_PRINT(steps[which]),
                  code < 0 ? error_message() : "ok");
        TRY(code);
        if (!worker->dead) sim_count(worker->sim, SIM_EVENT_BULK_STEP);
    }
    return n_wanted == 0 || sim_draw(random, 2) ? bulk_import_run(import) : 0;
}

static void cancel(struct sim_worker *worker, unsigned number)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    struct bulk_import_result result;
    char name[24];
    uint64_t known = world->seen;
    world->jobs[number].cancelled = true;
    snprintf(name, sizeof(name), "job%u", number);
    int code = bulk_import_cancel(actor->table, slice_from_text(name), &result);
    sim_trace(sim, "cancels the bulk import %s: %s", name, code < 0 ? error_message() : "ok");
    if (worker->dead) return;
    if (code == 0) sim_count(sim, SIM_EVENT_BULK_CANCELLED);
    if (code == 0 && result.already_done) {
        if (!sim_table_job_was_there(world, number, known))
            sim_broken(sim, "job %u is said to be done, but is not there", number);
        sim_table_told(sim, result.record);
    }
    if (code != GLIS_ENOTFOUND) (void)sim_table_expected(worker, code, "cancelling");
}

void sim_table_bulk(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    struct arena arena defer_arena = ARENA_EMPTY;
    unsigned number = choose_job(worker, random);
    if (number == JOBS_MAX) return;
    struct job *job = &world->jobs[number];
    if (sim_draw(random, 8) == 0) {
        cancel(worker, number);
        return;
    }
    unsigned first = job->n / 2;
    struct slice paths[2] = {rows_file(job->first, first, &arena),
                             rows_file(job->first + first, job->n - first, &arena)};
    struct bulk_import_options options = {
        .job_id = slice_from_text(arena_printf(&arena, "job%u", number)),
        .memory_bytes = BULK_MEMORY_BYTES,
        .progress = told_progress,
        .progress_state = worker};
    size_t n_paths = job->n_trying && sim_draw(random, 3) == 0 ? 0 : 2;
    uint64_t known = world->seen;
    struct bulk_import *import = NULL;
    job->n_trying++;
    int code = bulk_import_open(&import, actor->table, &worker->runtime, paths, n_paths, &options);
    sim_trace(sim, "opens the bulk import job%u: %s", number, code < 0 ? error_message() : "ok");
    if (code == 0 && job->n_trying > 1) sim_count(sim, SIM_EVENT_BULK_SHARED);
    if (code == 0) code = work(worker, random, import);
    struct bulk_import_result result = {0};
    if (import) result = bulk_import_result(import);
    sim_trace(sim, "the bulk import job%u: %s", number,
              code < 0         ? error_message()
              : result.is_done ? "done"
                               : "left");
    job->n_trying--;
    if (!worker->dead && code == 0 && result.is_done) {
        if (!sim_table_job_was_there(world, number, known))
            sim_broken(sim, "job %u is said to be done, but is not there", number);
        sim_table_told(sim, result.record);
        if (!result.already_done) sim_count(sim, SIM_EVENT_BULK_DONE);
    }
    /* Others may have ended it, or it was left for so long that it was collected. */
    bool ended = code == GLIS_EGONE || code == GLIS_ENOTFOUND || code == GLIS_EDATA;
    if (ended && !worker->dead) sim_count(sim, SIM_EVENT_BULK_ENDED);
    bool by_nobody = n_paths && !job->cancelled && !world->resets && !world->few_rows &&
                     !sim->local && sim_now_ms(sim) - job->begun_ms < PIN_SAFE_MS;
    if (ended && code != GLIS_EDATA && by_nobody && !worker->dead)
        sim_broken(sim, "job %u was ended by nobody: %s", number, error_message());
    if (!ended) (void)sim_table_expected(worker, code, "a bulk import");
    bulk_import_close(import);
}

/* ---- files set aside ---- */

void sim_table_aside(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    struct commit_result result;
    bool back = sim_draw(random, 2);
    unsigned found = FILES_MAX, n = 0;
    for (unsigned i = 0; i < world->now.n_references; i++) {
        unsigned file = world->now.references[i].file;
        if (world->now.files[file].aside == back && sim_draw(random, ++n) == 0) found = file;
    }
    if (found == FILES_MAX) return;
    char name[64];
    memcpy(name, world->now.files[found].name, sizeof(name));
    int code = back ? table_take_back(actor->table, slice_from_text(name), &result)
                    : table_set_aside(actor->table, slice_from_text(name), &result);
    if (sim_table_did(worker, code, back ? "takes a file back" : "sets a file aside"))
        sim_table_told(sim, result.record);
}

/* ---- roles ---- */

void sim_table_role(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct commit_result result;
    struct slice token;
    uint64_t epoch;
    unsigned which = (unsigned)sim_draw(random, ROLES);
    struct slice name = slice_from_text(which ? "r1" : "r0");
    int code = table_state_get(actor->table, sim_draw(random, 2) ? 0 : 600000, &state);
    if (!sim_table_did(worker, code, "reads the state")) {
        if (code == 0) table_state_release(state);
        return;
    }
    table_role(state, name, &arena, &epoch, &token);
    table_state_release(state);
    code = table_take_role(actor->table, name, epoch, slice_from_text(worker->name), &result);
    if (!worker->dead && code == GLIS_EREFUSED) sim_count(sim, SIM_EVENT_ROLE_LOST);
    if (!sim_table_did(worker, code, "takes a role")) return;
    sim_table_told(sim, result.record);
    if (world->now.epochs[which] <= epoch)
        sim_broken(sim, "role r%u was taken, but is at epoch %llu", which,
                   (unsigned long long)world->now.epochs[which]);
}

/* ---- the log ---- */

void sim_table_trim(struct sim_worker *worker, struct sim_random *random)
{
    struct actor *actor = worker->own;
    struct log_trim_result result;
    struct table_trim_options options = {.keep_given = sim_draw(random, 2),
                                         .keep = sim_draw(random, 12),
                                         .full = sim_draw(random, 2)};
    if (sim_draw(random, 3) &&
        !sim_table_did(worker, table_snapshot_write(actor->table), "writes a snapshot"))
        return;
    (void)sim_table_did(worker, table_trim(actor->table, &options, &result), "trims the log");
}

void sim_table_set_time(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    const struct table_state *state;
    struct commit_result result;
    int code = table_state_get(actor->table, 0, &state);
    if (!sim_table_did(worker, code, "reads the state")) {
        if (code == 0) table_state_release(state);
        return;
    }
    uint64_t record = table_state_record(state);
    table_state_release(state);
    if (sim_table_did(worker, table_set_time(actor->table, record, &result), "sets the time"))
        sim_table_told(worker->sim, result.record);
}

/* ---- later schemas ---- */

void sim_table_widen(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    struct commit_result result;
    struct schema *schema;
    if (world->n_fields == FIELDS_MAX) return;
    static const char *const names[FIELDS_MAX] = {"k", "v", "later", "last"};
    struct field fields[FIELDS_MAX];
    unsigned n = ++world->n_fields;
    for (unsigned i = 0; i < n; i++)
        fields[i] = (struct field){slice_from_text(names[i]), {.kind = TYPE_INT64}, i > 1};
    if (schema_new(&schema, fields, n, 1, 0) < 0) {
        sim_broken(sim, "a later schema: %s", error_message());
        return;
    }
    if (sim_table_did(worker, table_alter(actor->table, NULL, 0, schema, &result),
                      "widens the schema")) {
        sim_table_told(sim, result.record);
        sim_count(sim, SIM_EVENT_WIDENED);
    }
    schema_release(schema);
}

/* ---- the truth ---- */

/* What is done in a role is of its present epoch. */
static void check_role(struct sim *sim, const struct json *json)
{
    struct slice role = sim_table_text(json, "role");
    if (role.size != 2 || role.data[0] != 'r') return;
    uint64_t epoch = world_of(sim)->now.epochs[role.data[1] - '0'];
    if ((uint64_t)sim_table_number(json, "epoch") != epoch)
        sim_broken(sim, "an act of epoch %lld in role %.*s is taken, but that is at epoch %llu",
                   (long long)sim_table_number(json, "epoch"), SLICE_PRINT(role),
                   (unsigned long long)epoch);
}

static void truth_role(struct sim *sim, const struct json *json)
{
    struct slice name = sim_table_text(json, "name");
    if (name.size != 2) return;
    uint64_t *epoch = &world_of(sim)->now.epochs[name.data[1] - '0'];
    if ((uint64_t)sim_table_number(json, "present") != *epoch)
        sim_broken(sim, "role %.*s is taken from epoch %lld, but it is at %llu", SLICE_PRINT(name),
                   (long long)sim_table_number(json, "present"), (unsigned long long)*epoch);
    ++*epoch;
    sim_count(sim, SIM_EVENT_ROLE_TAKEN);
}

static void truth_line(struct sim *sim, const struct json *json)
{
    struct world *world = world_of(sim);
    uint64_t line = (uint64_t)sim_table_number(json, "record");
    for (unsigned i = 0; i < world->now.n_pins; i++) {
        const struct pin *pin = &world->now.pins[i];
        if (pin->alive && pin->record < line &&
            (!pin->until_ms || pin->until_ms > sim_now_ms(sim) + 2 * SKEW_MS))
            sim_broken(sim, "the trim line rises to record %llu, but the pin %s keeps %llu",
                       (unsigned long long)line, pin->id, (unsigned long long)pin->record);
    }
    world->now.trim_line = line;
    sim_count(sim, SIM_EVENT_TRIM_LINE);
}

void sim_table_truth(struct sim *sim, const struct json *json)
{
    struct slice type = sim_table_text(json, "type");
    check_role(sim, json);
    if (slice_equal_text(type, "take_role"))
        truth_role(sim, json);
    else if (slice_equal_text(type, "raise_trim_line"))
        truth_line(sim, json);
}
