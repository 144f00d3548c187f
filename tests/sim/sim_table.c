/*
 * sim_table.c: worlds of one table: ingests, compactions, push-downs, splits, collection, deleting,
 * pins, going back, by several workers at a time, and readers that ask.
 *
 * Rows are numbers: row i has key row_key(i) and value i, and comes with one job. The truth is read
 * from the text of the table's log records, not by its apply: after each record which rows must be
 * there, which may be (a delete that is under way takes what it covers step by step), which jobs
 * were done, and which files which partitions refer to. Checked:
 *   - no job is done twice, and who is told that one was done finds it in the truth
 *   - a job that failed for sure never comes
 *   - a file that a record adds is in the store then; a file that is removed is referred to by
 *     nothing: not by the newest state, not by that of a pin within its time; and no sooner than
 *     the delay after its last reference went, unless somebody asked for that
 *   - an answer to a query has every row that must be there at its record, none that may not, and
 *     none twice; its record is not below what was known when it began. A file that is gone is an
 *     answer only when the reader's state was older than the delay
 *   - a state is valid (table_validate), and in the end too; then each leaf is asked by itself
 */
#include "sim_table.h"

#include "base/compress.h"
#include "base/mutant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the truth ---- */

/* A handle that reads for the truth. */
static void shadow_open(struct sim *sim)
{
    struct world *world = world_of(sim);
    struct log_options options = {.block_slots = world->overrides.log_block_slots,
                                  .read_only = true,
                                  .snapshot_by_hand = true};
    if (log_open(&sim->runtime, sim->store, slice_make(world->prefix, world->prefix_size),
                 table_log_machine(), &options, &world->shadow) < 0)
        sim_broken(sim, "a handle of its own: %s", error_message());
}

static int file_number(struct world *world, struct slice name, bool make)
{
    for (unsigned i = 0; i < world->now.n_files; i++)
        if (slice_equal_text(name, world->now.files[i].name)) return (int)i;
    if (!make || world->now.n_files == FILES_MAX || name.size >= sizeof(world->now.files[0].name))
        return -1;
    snprintf(world->now.files[world->now.n_files].name, sizeof(world->now.files[0].name), "%.*s",
             SLICE_PRINT(name));
    return (int)world->now.n_files++;
}

struct slice sim_table_text(const struct json *object, const char *name)
{
    struct slice text = SLICE_EMPTY;
    const struct json *value = json_find(object, name);
    if (value && json_as_string(value, &text) < 0) error_clear();
    return text;
}

int64_t sim_table_number(const struct json *object, const char *name)
{
    int64_t number = -1;
    const struct json *value = json_find(object, name);
    if (value && json_as_int(value, INT64_MIN, INT64_MAX, &number) < 0) error_clear();
    return number;
}

struct file *sim_table_file(struct world *world, struct slice name)
{
    int number = file_number(world, name, false);
    return number < 0 ? NULL : &world->now.files[number];
}

static void refers(struct sim *sim, struct slice file, struct slice partition)
{
    struct world *world = world_of(sim);
    int number = file_number(world, file, true);
    if (number < 0 || world->now.n_references == REFERENCES_MAX) {
        sim_broken(sim, "the world is too small");
        return;
    }
    struct reference *reference = &world->now.references[world->now.n_references++];
    reference->file = (uint16_t)number;
    snprintf(reference->partition, sizeof(reference->partition), "%.*s", SLICE_PRINT(partition));
    world->now.files[number].gone_ms = 0;
}

static void refers_no_more(struct sim *sim, struct slice file, struct slice partition)
{
    struct world *world = world_of(sim);
    int number = file_number(world, file, false), found = -1;
    for (unsigned i = 0; i < world->now.n_references; i++) {
        if (world->now.references[i].file != number) continue;
        if (found < 0) found = (int)i; /* of a partition that was merged since */
        if (slice_equal_text(partition, world->now.references[i].partition)) {
            found = (int)i;
            break;
        }
    }
    if (found < 0)
        sim_broken(sim, "a reference of %.*s goes that is not there", SLICE_PRINT(file));
    else
        world->now.references[found] = world->now.references[--world->now.n_references];
}

static void files_come(struct sim *sim, const struct json *json)
{
    struct world *world = world_of(sim);
    const struct json *files = json_find(json, "files");
    for (size_t i = 0; files && i < files->n_items; i++) {
        struct slice name = sim_table_text(&files->items[i], "name");
        const struct json *references = json_find(&files->items[i], "references");
        char key[160];
        struct store_object object;
        snprintf(key, sizeof(key), "%s%.*s", world->prefix, SLICE_PRINT(name));
        if (store_head(sim->store, slice_from_text(key), &object) < 0)
            sim_broken(sim, "a record adds %.*s, which is not in the store", SLICE_PRINT(name));
        for (size_t k = 0; references && k < references->n_items; k++)
            refers(sim, name, sim_table_text(&references->items[k], "partition"));
    }
}

static int job_number(const struct world *world, const struct json *json)
{
    struct slice name = sim_table_text(json, "job"), writer = sim_table_text(json, "writer");
    int64_t sequence = sim_table_number(json, "sequence");
    for (unsigned i = 0; i < world->n_jobs; i++) {
        char text[24];
        const struct job *job = &world->jobs[i];
        snprintf(text, sizeof(text), job->sequence ? "writer%u" : "job%u",
                 job->sequence ? job->owner : i);
        if (slice_equal_text(job->sequence ? writer : name, text) &&
            (!job->sequence || (int64_t)job->sequence == sequence))
            return (int)i;
    }
    return -1;
}

/* What was begun before a reset or a restore is not taken. */
static void check_generation(struct sim *sim, const struct past *past, const struct json *json)
{
    if (sim_table_number(json, "generation") != (int64_t)past->generation)
        sim_broken(sim, "work of generation %lld is taken, but it is %llu",
                   (long long)sim_table_number(json, "generation"),
                   (unsigned long long)past->generation);
}

static void truth_ingest(struct sim *sim, struct past *past, const struct json *json,
                         uint64_t record)
{
    struct world *world = world_of(sim);
    int number = job_number(world, json);
    files_come(sim, json);
    if (number < 0) {
        sim_broken(sim, "a job that nobody began");
        return;
    }
    struct job *job = &world->jobs[number];
    if (bit(past->jobs, (unsigned)number))
        sim_broken(sim, "job %d is done twice, in records %llu and %llu", number,
                   (unsigned long long)job->record, (unsigned long long)record);
    if (job->never)
        sim_broken(sim, "job %d was said to have failed, but is in record %llu", number,
                   (unsigned long long)record);
    if (job->sequence && past->sequences[job->owner] + 1 != job->sequence)
        sim_broken(sim, "writer %u has sequence %u behind %u", job->owner, job->sequence,
                   past->sequences[job->owner]);
    if (job->sequence) past->sequences[job->owner] = job->sequence;
    set_bit(past->jobs, (unsigned)number, true);
    set_bit(past->done, (unsigned)number, true);
    job->record = record;
    for (unsigned row = job->first; row < job->first + job->n; row++) {
        bool covered = false;
        for (int d = 0; d < DELETES_MAX; d++)
            covered |= world->deletes[d].active && row_key(row) >= world->deletes[d].from &&
                       row_key(row) < world->deletes[d].to;
        set_bit(past->must, row, !covered);
        set_bit(past->may, row, true);
    }
}

static void references_go(struct sim *sim, const struct json *list)
{
    for (size_t i = 0; list && i < list->n_items; i++)
        refers_no_more(sim, sim_table_text(&list->items[i], "file"),
                       sim_table_text(&list->items[i], "partition"));
}

static void truth_change(struct sim *sim, struct past *past, const struct json *json,
                         uint64_t record)
{
    struct slice what = sim_table_text(json, "for");
    if (json_find(json, "generation")) check_generation(sim, past, json);
    if (slice_equal_text(what, "ingest")) {
        truth_ingest(sim, past, json, record);
    } else if (slice_equal_text(what, "compaction")) {
        const struct json *inputs = json_find(json, "inputs");
        struct slice name, partition = sim_table_text(json, "partition");
        for (size_t i = 0; inputs && i < inputs->n_items; i++)
            if (json_as_string(&inputs->items[i], &name) == 0) refers_no_more(sim, name, partition);
        files_come(sim, json);
    } else if (slice_equal_text(what, "push_down")) {
        const struct json *moves = json_find(json, "moves");
        for (size_t i = 0; moves && i < moves->n_items; i++) {
            struct slice file = sim_table_text(&moves->items[i], "file");
            const struct json *to = json_find(&moves->items[i], "to");
            refers_no_more(sim, file, sim_table_text(&moves->items[i], "partition"));
            for (size_t k = 0; to && k < to->n_items; k++)
                refers(sim, file, sim_table_text(&to->items[k], "partition"));
        }
    } else if (slice_equal_text(what, "delete")) {
        references_go(sim, json_find(json, "references"));
        files_come(sim, json);
        world_of(sim)->now.delete_record = record;
    } else if (slice_equal_text(what, "expire")) {
        references_go(sim, json_find(json, "references"));
    } else if (slice_equal_text(what, "set_aside") || slice_equal_text(what, "take_back")) {
        struct file *file = sim_table_file(world_of(sim), sim_table_text(json, "file"));
        if (!file) return;
        file->aside = slice_equal_text(what, "set_aside");
        sim_count(sim, file->aside ? SIM_EVENT_SET_ASIDE : SIM_EVENT_TAKEN_BACK);
    }
}

static void truth_restore(struct sim *sim, struct past *past, const struct json *json)
{
    struct world *world = world_of(sim);
    int64_t record = sim_table_number(json, "record");
    const struct json *references = json_find(json, "references");
    if (record < 0 || (uint64_t)record > world->n_records) {
        sim_broken(sim, "a restore of record %lld", (long long)record);
        return;
    }
    const struct past *then = &world->past[record];
    check_generation(sim, past, json);
    past->generation++;
    for (unsigned i = 0; i < sizeof(past->must); i++) {
        past->must[i] = then->must[i] & (uint8_t)~world->deleted[i];
        past->may[i] = then->may[i] & (uint8_t)~world->deleted[i];
    }
    for (unsigned row = 0; row < world->n_rows; row++) /* a delete under way may take them */
        for (int d = 0; d < DELETES_MAX; d++)
            if (world->deletes[d].active && row_key(row) >= world->deletes[d].from &&
                row_key(row) < world->deletes[d].to)
                set_bit(past->must, row, false);
    memcpy(past->jobs, then->jobs, sizeof(past->jobs));
    memcpy(past->sequences, then->sequences, sizeof(past->sequences));
    world->now.n_references = 0;
    for (unsigned i = 0; i < world->now.n_files; i++)
        world->now.files[i].aside = false;
    for (size_t i = 0; references && i < references->n_items; i++) {
        const struct json *aside = json_find(&references->items[i], "setAside");
        struct slice name = sim_table_text(&references->items[i], "file");
        refers(sim, name, sim_table_text(&references->items[i], "partition"));
        struct file *file = sim_table_file(world, name);
        if (file && aside && aside->type == JSON_TYPE_BOOL) file->aside = true;
    }
    sim_count(sim, SIM_EVENT_RESTORED);
}

static struct pin *pin_find(struct world *world, struct slice id, bool make)
{
    for (unsigned i = 0; i < world->now.n_pins; i++)
        if (slice_equal_text(id, world->now.pins[i].id)) return &world->now.pins[i];
    if (!make) return NULL;
    for (unsigned i = 0; i < PINS_MAX; i++) {
        if (i < world->now.n_pins && world->now.pins[i].alive) continue;
        if (i == world->now.n_pins) world->now.n_pins++;
        world->now.pins[i] = (struct pin){0};
        snprintf(world->now.pins[i].id, sizeof(world->now.pins[i].id), "%.*s", SLICE_PRINT(id));
        return &world->now.pins[i];
    }
    return NULL;
}

static void truth_collect(struct sim *sim, const struct json *json, bool marks)
{
    struct world *world = world_of(sim);
    const struct json *files = json_find(json, "files");
    for (size_t i = 0; files && i < files->n_items; i++) {
        struct slice name = SLICE_EMPTY;
        struct store_object object;
        char key[160];
        if (marks)
            name = sim_table_text(&files->items[i], "name");
        else if (json_as_string(&files->items[i], &name) < 0)
            error_clear();
        int number = file_number(world, name, false);
        snprintf(key, sizeof(key), "%s%.*s", world->prefix, SLICE_PRINT(name));
        if (number >= 0 && marks) world->now.files[number].marked = true;
        if (number >= 0 && !marks && store_head(sim->store, slice_from_text(key), &object) == 0)
            sim_broken(sim, "%s is forgotten before it is removed", world->now.files[number].name);
    }
}

static void truth_transaction(struct sim *sim, struct past *past, const struct json *json,
                              uint64_t record)
{
    struct world *world = world_of(sim);
    struct slice type = sim_table_text(json, "type");
    if (slice_equal_text(type, "change_files")) {
        truth_change(sim, past, json, record);
    } else if (slice_equal_text(type, "restore")) {
        truth_restore(sim, past, json);
    } else if (slice_equal_text(type, "alter")) {
        uint64_t version = (uint64_t)sim_table_number(json, "version");
        if (world->now.version && version != world->now.version)
            sim_broken(sim, "an alter of version %llu is taken, but it is %llu",
                       (unsigned long long)version, (unsigned long long)world->now.version);
        world->now.version = version + 1;
    } else if (slice_equal_text(type, "mark_files") || slice_equal_text(type, "forget_files")) {
        truth_collect(sim, json, slice_equal_text(type, "mark_files"));
    } else if (slice_equal_text(type, "reset")) {
        check_generation(sim, past, json);
        past->generation++;
        memset(past->must, 0, sizeof(past->must));
        memset(past->may, 0, sizeof(past->may));
        memset(past->jobs, 0, sizeof(past->jobs));
        memset(past->sequences, 0, sizeof(past->sequences));
        world->now.n_references = 0;
        sim_count(sim, SIM_EVENT_RESET);
    } else if (slice_equal_text(type, "pin")) {
        struct pin *pin = pin_find(world, sim_table_text(json, "id"), true);
        if (!pin) return;
        pin->record = (uint64_t)sim_table_number(json, "record");
        pin->until_ms = sim_table_number(json, "until");
        pin->keeps_work = slice_equal_text(sim_table_text(json, "keeps"), "work");
        pin->alive = true;
        sim_count(sim, SIM_EVENT_PINNED);
    } else if (slice_equal_text(type, "unpin")) {
        struct pin *pin = pin_find(world, sim_table_text(json, "id"), false);
        if (pin) pin->alive = false;
    }
    sim_table_truth(sim, json);
}

/* An entry that waited: only apply() knows whether its condition held, so a handle of ours reads
 * that. */
static void truth_entry(struct sim *sim, struct past *past, const struct json *json,
                        uint64_t record)
{
    struct world *world = world_of(sim);
    const struct json *transaction = json_find(json, "transaction");
    if (slice_equal_text(sim_table_text(json, "log"), "set_time")) { /* delays begin again */
        for (unsigned i = 0; i < world->now.n_files; i++)
            if (world->now.files[i].gone_ms && !world->now.files[i].marked)
                world->now.files[i].gone_ms = past->time_ms;
        sim_count(sim, SIM_EVENT_TIME_SET);
        return;
    }
    if (!slice_equal_text(sim_table_text(json, "log"), "pending") || !transaction ||
        !world->shadow) {
        sim_broken(sim, "a line of the log that is strange");
        return;
    }
    if (log_catch_up(world->shadow, 0) < 0) {
        sim_broken(sim, "record %llu cannot be read: %s", (unsigned long long)record,
                   error_message());
        return;
    }
    const struct log_state *state = log_state_acquire(world->shadow);
    struct log_decided decided;
    bool known = log_version_decided(log_version_of(state), sim_table_text(json, "id"), &decided);
    sim_count(sim, SIM_EVENT_CARRIED_BY_OTHERS);
    if (known && decided.record == record && decided.applied && !decided.already_done)
        truth_transaction(sim, past, transaction, record);
    log_state_release(state);
}

/* The first occupant of a slot. */
static void truth_take(struct sim *sim, uint64_t record, struct slice object)
{
    struct world *world = world_of(sim);
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct json *json;
    const char *end = memchr(object.data, '\n', object.size);
    if (record != world->n_records + 1 || record >= RECORDS_MAX || !end) {
        sim_broken(sim, "record %llu was put, but the log ends at %llu", (unsigned long long)record,
                   (unsigned long long)world->n_records);
        return;
    }
    struct past *past = &world->past[record];
    *past = world->past[record - 1];
    past->change = sim->n_changes;
    memset(past->done, 0, sizeof(past->done));
    if (world->undo) world->undo[record % UNDO_MAX] = world->now;
    if (json_parse(&arena, slice_make(object.data, (size_t)(end - object.data)),
                   JSON_RULES_INTERNAL, &json) == 0)
        past->time_ms = sim_table_number(json, "time");
    struct slice rest = slice_part(object, (size_t)(end - object.data) + 1, object.size);
    defer_buffer struct buffer unpacked = BUFFER_INIT(16 << 20);
    if (compress_is_zstd(rest)) {
        if (decompress_zstd(&unpacked, rest, 16 << 20) < 0)
            sim_broken(sim, "a record that cannot be unpacked");
        rest = buffer_slice(&unpacked);
    }
    while (rest.size && sim_goes_on(sim)) {
        end = memchr(rest.data, '\n', rest.size);
        if (!end) break;
        size_t size = (size_t)(end - rest.data);
        if (json_parse(&arena, slice_part(rest, 0, size), JSON_RULES_INTERNAL, &json) < 0)
            sim_broken(sim, "a line that is no JSON");
        else if (sim_table_text(json, "log").size)
            truth_entry(sim, past, json, record);
        else
            truth_transaction(sim, past, json, record);
        rest = slice_part(rest, size + 1, rest.size);
    }
    memset(past->files, 0, sizeof(past->files));
    past->aside = false;
    for (unsigned i = 0; i < world->now.n_references; i++) {
        set_bit(past->files, world->now.references[i].file, true);
        past->aside |= world->now.files[world->now.references[i].file].aside;
    }
    for (unsigned i = 0; i < world->now.n_files; i++)
        if (bit(world->past[record - 1].files, i) && !bit(past->files, i))
            world->now.files[i].gone_ms = past->time_ms;
    world->n_records = record;
}

static void was_put(struct sim *sim, struct sim_worker *by, struct slice key, struct slice body,
                    bool created)
{
    (void)by;
    struct world *world = world_of(sim);
    if (!created || !slice_starts_with(key, slice_make(world->prefix, world->prefix_size))) return;
    struct slice name = slice_part(key, world->prefix_size, key.size);
    if (slice_starts_with(name, SLICE("log/trimmed/"))) sim_count(sim, SIM_EVENT_TRIMMED);
    if (slice_starts_with(name, SLICE("snapshot/"))) sim_count(sim, SIM_EVENT_SNAPSHOT);
    if (!slice_starts_with(name, SLICE("log/")) || name.size != 24) return;
    uint64_t record = 0;
    for (size_t i = 4; i < 24; i++)
        record = record * 10 + (uint64_t)(name.data[i] - '0');
    if (record <= world->n_records)
        sim_count(sim, SIM_EVENT_GHOST_PUT);
    else
        truth_take(sim, record, body);
}

static void was_removed(struct sim *sim, struct sim_worker *by, struct slice key)
{
    (void)by;
    struct world *world = world_of(sim);
    if (!slice_starts_with(key, slice_make(world->prefix, world->prefix_size))) return;
    struct slice name = slice_part(key, world->prefix_size, key.size);
    if (!slice_starts_with(name, SLICE("data/"))) return;
    int number = file_number(world, name, false);
    if (number < 0) {
        sim_count(sim, SIM_EVENT_ORPHAN);
        return;
    }
    struct file *file = &world->now.files[number];
    if (file->removed) return;
    file->removed = true;
    if (!file->marked) sim_broken(sim, "%s is removed before it is marked", file->name);
    if (bit(world->past[world->n_records].files, (unsigned)number))
        sim_broken(sim, "%s is removed, but record %llu refers to it", file->name,
                   (unsigned long long)world->n_records);
    for (unsigned i = 0; i < world->now.n_pins; i++) {
        const struct pin *pin = &world->now.pins[i];
        if (pin->alive && (!pin->until_ms || pin->until_ms > sim_now_ms(sim) + SKEW_MS) &&
            bit(world->past[pin->record].files, (unsigned)number))
            sim_broken(sim, "%s is removed, but the pin %s keeps record %llu", file->name, pin->id,
                       (unsigned long long)pin->record);
    }
    if (!world->hasty && sim_now_ms(sim) - file->gone_ms < DELAY_MS - SKEW_MS)
        sim_broken(sim, "%s is removed %lld s after its last reference went", file->name,
                   (long long)(sim_now_ms(sim) - file->gone_ms) / 1000);
}

static void was_undone(struct sim *sim, struct slice key, uint64_t number, bool is_there)
{
    struct world *world = world_of(sim);
    if (!slice_starts_with(key, slice_make(world->prefix, world->prefix_size))) return;
    struct slice name = slice_part(key, world->prefix_size, key.size);
    struct file *file = is_there ? sim_table_file(world, name) : NULL;
    if (file) file->removed = false;
    if (is_there || !slice_starts_with(name, SLICE("log/")) || name.size != 24) return;
    uint64_t record = world->n_records;
    if (record == 0 || world->past[record].change != number) return; /* a ghost */
    if (record + UNDO_MAX <= world->n_records + 1) sim_broken(sim, "the world is too small");
    bool removed[FILES_MAX];
    unsigned n_files = world->now.n_files;
    for (unsigned i = 0; i < n_files; i++)
        removed[i] = world->now.files[i].removed;
    world->now = world->undo[record % UNDO_MAX];
    for (unsigned i = 0; i < world->now.n_files; i++)
        world->now.files[i].removed = removed[i];
    world->n_records = record - 1;
    sim_count(sim, SIM_EVENT_RECORD_UNDONE);
}

/* What anybody was told of is there, and every file that a record refers to. */
static void power_lost(struct sim *sim)
{
    struct world *world = world_of(sim);
    if (world->told > world->n_records)
        sim_broken(sim, "record %llu, which was acknowledged, is lost with the power",
                   (unsigned long long)world->told);
    for (unsigned i = 0; i < world->n_jobs; i++) {
        struct job *job = &world->jobs[i];
        if (job->record > world->n_records) job->record = 0;
    }
    for (unsigned i = 0; i < world->now.n_references && sim_goes_on(sim); i++) {
        char key[160];
        struct store_object object;
        const struct file *file = &world->now.files[world->now.references[i].file];
        snprintf(key, sizeof(key), "%s%s", world->prefix, file->name);
        if (store_head(sim->store, slice_from_text(key), &object) < 0)
            sim_broken(sim, "%s is lost with the power, but record %llu refers to it", file->name,
                       (unsigned long long)world->n_records);
    }
    if (world->seen > world->n_records) world->seen = world->n_records;
    log_close(world->shadow);
    world->shadow = NULL;
    shadow_open(sim);
}

/* ---- workers ---- */

void sim_table_told(struct sim *sim, uint64_t record)
{
    struct world *world = world_of(sim);
    if (record > world->n_records)
        sim_broken(sim, "a change is said to be in record %llu, but the log ends at %llu",
                   (unsigned long long)record, (unsigned long long)world->n_records);
    if (record > world->seen) world->seen = record;
    if (record > world->told) world->told = record;
}

bool sim_table_passing(int code)
{
    return code == GLIS_EIO || code == GLIS_ERETRY || code == GLIS_EUNKNOWN ||
           code == GLIS_ETIMEOUT || code == GLIS_ECANCELLED;
}

/* A code that a living worker may meet: what the store does to it, a refusal, a wrong clock. */
bool sim_table_expected(struct sim_worker *worker, int code, const char *what)
{
    if (code >= 0) return true;
    if (code == GLIS_EREFUSED && strstr(error_message(), "clock"))
        sim_count(worker->sim, SIM_EVENT_CLOCK_REFUSED);
    if (!worker->dead && !sim_table_passing(code) && code != GLIS_EREFUSED && code != GLIS_EGONE)
        sim_broken(worker->sim, "worker %u, %s: %s: %s", worker->number, what,
                   error_code_name(code), error_message());
    return false;
}

/* Says how it went; true when it did. */
bool sim_table_did(struct sim_worker *worker, int code, const char *what)
{
    sim_trace(worker->sim, "%s: %s", what, code < 0 ? error_message() : "ok");
    return sim_table_expected(worker, code, what) && !worker->dead;
}

static void end(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    query_engine_free(actor->engine);
    table_close(actor->table);
    instance_close(actor->instance);
    store_close(actor->store);
    actor->engine = NULL;
    actor->table = NULL;
    actor->instance = NULL;
    actor->store = NULL;
}

static bool begin(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    struct world *world = world_of(worker->sim);
    while (sim_goes_on(worker->sim)) {
        actor->store = sim_worker_begin(worker);
        int code =
            instance_open(&worker->runtime, actor->store, 0, &world->overrides, &actor->instance);
        if (code == 0) code = table_open(actor->instance, SLICE("t"), &actor->table);
        if (code == 0)
            code = query_engine_new(&actor->engine, &worker->runtime, &worker->budget, 1 << 14);
        sim_trace(worker->sim, "opens: %s", code ? error_message() : "ok");
        if (code == 0) return true;
        (void)sim_table_expected(worker, code, "opening");
        end(worker);
    }
    return false;
}

static bool live(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    if (!worker->dead && actor->table) return true;
    end(worker);
    return begin(worker);
}

/* ---- ingest ---- */

static struct batch *job_batch(const struct world *world, const struct job *job)
{
    struct batch_builder *builder;
    struct batch *batch;
    ASSERT(batch_builder_new(&builder, world->schema, NULL) == 0);
    for (unsigned row = job->first; row < job->first + job->n; row++) {
        ASSERT(column_builder_append_integer(batch_builder_column(builder, 0), row_key(row)) == 0);
        ASSERT(column_builder_append_integer(batch_builder_column(builder, 1), row) == 0);
        ASSERT(batch_builder_end_row(builder) == 0);
    }
    ASSERT(batch_builder_finish(builder, &batch) == 0);
    batch_builder_free(builder);
    return batch;
}

static int ingest(struct world *world, struct table *table, struct runtime *runtime,
                  unsigned number, struct ingest_result *result)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct job *job = &world->jobs[number];
    struct batch *batch = job_batch(world, job);
    struct batch_stream *stream;
    char name[24];
    snprintf(name, sizeof(name), job->sequence ? "writer%u" : "job%u",
             job->sequence ? job->owner : number);
    struct ingest_options options = {.sequence = job->sequence};
    *(job->sequence ? &options.writer : &options.job_id) = slice_from_text(name);
    int code = batch_stream_of(world->schema, &batch, 1, &stream);
    batch_release(batch);
    ASSERT(code == 0);
    return ingest_stream(table, runtime, stream, &options, &arena, result);
}

unsigned sim_table_make_job(struct sim_worker *worker, struct sim_random *random, bool counts)
{
    struct world *world = world_of(worker->sim);
    struct actor *actor = worker->own;
    unsigned n = (unsigned)sim_draw(random, JOB_ROWS_MAX + 1);
    if (world->n_jobs == JOBS_MAX || world->n_rows + n > ROWS_MAX) return JOBS_MAX;
    struct job *job = &world->jobs[world->n_jobs];
    *job = (struct job){.first = world->n_rows, .n = n, .owner = worker->number};
    if (counts && !world->resets && worker->number % 2) job->sequence = ++actor->sequence;
    world->n_rows += n;
    return world->n_jobs++;
}

/* Whether the truth has had a job at some record from `since` on. */
bool sim_table_job_was_there(const struct world *world, unsigned number, uint64_t since)
{
    for (uint64_t record = since; record <= world->n_records; record++)
        if (bit(world->past[record].jobs, number) || bit(world->past[record].done, number))
            return true;
    return false;
}

static void try_job(struct sim_worker *worker, struct sim_random *random, unsigned number,
                    bool again)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    struct job *job = &world->jobs[number];
    for (unsigned round = 0; sim_goes_on(sim); round++) {
        struct ingest_result result;
        uint64_t known = world->seen;
        bool maybe = job->maybe;
        job->maybe = true; /* while it is under way */
        if (round > 8) worker->wall_offset_ms = worker->wall_stands_ms = 0; /* it is set right */
        if (round > 0) worker->clock.clock.sleep_ms(&worker->clock.clock, 100 << (round % 8));
        sim_trace(sim, "ingests job %u: rows %u to %u", number, job->first, job->first + job->n);
        int code = ingest(world, actor->table, &worker->runtime, number, &result);
        sim_trace(sim, "job %u: %s", number,
                  code < 0              ? error_message()
                  : result.already_done ? "already done"
                                        : "ok");
        if (worker->dead) {
            if (!live(worker) || (!job->sequence && sim_draw(random, 2))) return;
            continue;
        }
        if (code == 0) {
            if (!sim_table_job_was_there(world, number, known))
                sim_broken(sim, "job %u is said to be done, but is not there", number);
            sim_table_told(sim, result.record);
            job->acknowledged = true;
            sim_count(sim, result.already_done ? SIM_EVENT_ALREADY_DONE : SIM_EVENT_INGESTED);
            return;
        }
        if (code == GLIS_EUNKNOWN) {
            sim_count(sim, SIM_EVENT_UNKNOWN);
            continue;
        }
        if (job->never) return;
        bool collected = code == GLIS_ENOTFOUND && strstr(error_message(), "no such object");
        if (!sim_table_passing(code) && code != GLIS_EREFUSED && !collected) {
            sim_broken(sim, "job %u: %s: %s", number, error_code_name(code), error_message());
            return;
        }
        sim_count(sim, code == GLIS_EREFUSED ? SIM_EVENT_INGEST_REFUSED : SIM_EVENT_FAILED);
        job->maybe = maybe;
        if (!job->sequence && !maybe && !again && job->n_trying == 1 && !job->acknowledged &&
            sim_draw(random, 3) == 0) {
            job->never = true; /* its author gives up and was told that it did not happen */
            if (job->record)
                sim_broken(sim, "job %u is said to have failed, but is in record %llu", number,
                           (unsigned long long)job->record);
            return;
        }
    }
}

static void do_ingest(struct sim_worker *worker, struct sim_random *random)
{
    struct world *world = world_of(worker->sim);
    bool again = world->n_jobs && sim_draw(random, 4) == 0; /* one that was begun before */
    unsigned number = again ? (unsigned)sim_draw(random, world->n_jobs)
                            : sim_table_make_job(worker, random, true);
    if (number == JOBS_MAX) return;
    struct job *job = &world->jobs[number];
    if (job->bulk) return;  /* its input has another form */
    if (job->never) return; /* its author was told; another try would be another job */
    job->n_trying++;
    try_job(worker, random, number, again);
    job->n_trying--;
}

/* ---- upkeep ---- */

static int keep_working(void *state, const struct merge_files_progress *progress)
{
    (void)progress;
    struct sim_worker *worker = state;
    if (sim_chance(&worker->faults, 8)) worker->sim->now_ns += 70 * 1000000000ll; /* it was slow */
    sim_yield(worker);
    return 0;
}

static void compact(struct sim_worker *worker, struct sim_random *random,
                    const struct table_state *state, bool vanish)
{
    struct sim *sim = worker->sim;
    struct actor *actor = worker->own;
    struct arena arena defer_arena = ARENA_EMPTY;
    struct compaction_plan plan;
    struct clock *clock = &worker->clock.clock;
    struct compaction_plan_options options = {.now_ms = clock->wall_ms(clock),
                                              .force = sim_draw(random, 2),
                                              .seed = sim_draw(random, 100)};
    if (!sim_table_did(worker, compaction_plan(state, &options, &arena, &plan), "plans")) return;
    struct commit_result moved;
    if (plan.n_push_downs &&
        sim_table_did(worker,
                      table_push_down(actor->table, plan.push_downs, plan.n_push_downs, &moved),
                      "pushes down"))
        sim_count(sim, SIM_EVENT_PUSHED_DOWN);
    for (size_t i = 0; i < plan.n_jobs && i < 2 && !worker->dead; i++) {
        const struct compaction_job *job = &plan.jobs[i];
        if (vanish) { /* takes the files and is never heard of again */
            struct job_assignment hold = {SLICE("gone"), job->partition, job->files, job->n_files,
                                          clock->wall_ms(clock) + 60000};
            if (sim_table_did(worker, table_assign_job(actor->table, &hold, &moved), "takes files"))
                sim_count(sim, SIM_EVENT_EXPIRED_ASSIGNMENT);
            return;
        }
        struct work_options work = {
            .lease_ms = 60000, .progress = keep_working, .progress_state = worker};
        struct compaction_result result;
        if (sim_table_did(
                worker, compaction_run(actor->table, &worker->runtime, job, &work, &arena, &result),
                "compacts"))
            sim_count(sim, result.is_lost ? SIM_EVENT_COMPACTION_LOST : SIM_EVENT_COMPACTED);
    }
}

static void split(struct sim_worker *worker, struct sim_random *random,
                  const struct table_state *state)
{
    struct actor *actor = worker->own;
    struct arena arena defer_arena = ARENA_EMPTY;
    struct table_leaf *leaves;
    struct split_point point;
    size_t n;
    bool done = false;
    if (!sim_table_did(worker, table_leaves(state, NULL, &arena, &leaves, &n), "looks at leaves") ||
        n > 12)
        return;
    if (sim_table_did(worker,
                      split_leaf(actor->table, &worker->runtime, state,
                                 leaves[sim_draw(random, n)].partition.id, &arena, &point, &done),
                      "splits") &&
        done)
        sim_count(worker->sim, SIM_EVENT_SPLIT);
}

static void do_upkeep(struct sim_worker *worker, struct sim_random *random, bool splits)
{
    struct actor *actor = worker->own;
    const struct table_state *state;
    int code = table_state_get(actor->table, sim_draw(random, 3) ? 0 : 600000, &state);
    if (!sim_table_did(worker, code, "reads the state")) {
        if (code == 0) table_state_release(state);
        return;
    }
    code = table_validate(state);
    if (code < 0)
        sim_broken(worker->sim, "the state at record %llu: %s",
                   (unsigned long long)table_state_record(state), error_message());
    bool vanish = sim_draw(random, 6) == 0;
    if (splits)
        split(worker, random, state);
    else
        compact(worker, random, state, vanish);
    table_state_release(state);
}

static void do_maintain(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    struct maintain_result result = {0};
    struct maintain_options options = {
        .steps = (unsigned)sim_draw(random, MAINTAIN_ALL) + 1,
        .force = sim_draw(random, 4) == 0,
        .once = true,
        .work = {.lease_ms = 60000},
        .collect = {.now = world->hasty && sim_draw(random, 2), .full = sim_draw(random, 2)}};
    if (!sim_table_did(worker, maintain_table(actor->table, &worker->runtime, &options, &result),
                       "maintains"))
        return;
    for (uint64_t i = 0; i < result.splits; i++)
        sim_count(sim, SIM_EVENT_SPLIT);
    for (uint64_t i = 0; i < result.joined; i++)
        sim_count(sim, SIM_EVENT_JOINED);
    for (uint64_t i = 0; i < result.collected.files; i++)
        sim_count(sim, SIM_EVENT_COLLECTED);
}

static void do_collect(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct actor *actor = worker->own;
    struct collect_result result;
    struct collect_options options = {.now = world_of(sim)->hasty && sim_draw(random, 2),
                                      .full = sim_draw(random, 2)};
    if (!sim_table_did(worker, collect_table(actor->table, &worker->runtime, &options, &result),
                       "collects"))
        return;
    for (uint64_t i = 0; i < result.files; i++)
        sim_count(sim, SIM_EVENT_COLLECTED);
}

/* ---- changes of what is there ---- */

static void do_delete(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    struct arena arena defer_arena = ARENA_EMPTY;
    struct key_range range = {0};
    const struct key_range *regions[] = {&range};
    int64_t from = (int64_t)sim_draw(random, KEYS), to = from + 1 + (int64_t)sim_draw(random, 6);
    struct slice *ends[] = {&range.min, &range.max};
    static const struct type type = {.kind = TYPE_INT64};
    for (int i = 0; i < 2; i++) {
        defer_buffer struct buffer bytes = BUFFER_INIT(64);
        struct value value = value_integer(TYPE_INT64, i ? to : from);
        ASSERT(key_append_value(&type, &value, &bytes) == 0);
        *ends[i] = arena_copy(&arena, buffer_slice(&bytes));
    }
    struct deleting *deleting = NULL;
    for (int d = 0; d < DELETES_MAX && !deleting; d++)
        if (!world->deletes[d].active) deleting = &world->deletes[d];
    if (!deleting) return;
    uint64_t begun = world->n_records;
    *deleting = (struct deleting){from, to, true};
    for (unsigned row = 0; row < world->n_rows; row++) /* from now on they may go */
        if (row_key(row) >= from && row_key(row) < to) set_bit(world->past[begun].must, row, false);
    struct delete_options options = {.work = {.lease_ms = 60000}};
    struct delete_result result;
    sim_trace(sim, "deletes keys %lld to %lld", (long long)from, (long long)to);
    int code = delete_rows(actor->table, &worker->runtime, regions, 1, &options, &arena, &result);
    if (!sim_table_did(worker, code, "deletes"))
        return; /* what it covers may go at any later time: it stays */
    sim_trace(sim, "deleted %llu rows, %llu references, wrote %llu files, left %llu, record %llu%s",
              (unsigned long long)result.rows, (unsigned long long)result.references,
              (unsigned long long)result.files, (unsigned long long)result.files_left,
              (unsigned long long)result.record, result.is_complete ? "" : ", not complete");
    sim_count(sim, SIM_EVENT_DELETED);
    deleting->active = false;
    sim_table_told(sim, result.record);
    uint64_t last = result.record ? result.record : world->n_records;
    for (unsigned job = 0; job < world->n_jobs; job++)
        for (unsigned i = 0; i < world->jobs[job].n; i++) {
            unsigned row = world->jobs[job].first + i;
            bool covered = row_key(row) >= from && row_key(row) < to;
            if (!covered || !bit(world->past[begun].may, row)) continue;
            for (uint64_t record = last; record <= world->n_records; record++)
                set_bit(world->past[record].may, row, false);
            set_bit(world->deleted, row, true);
        }
}

/* Any, or one of the newest, which still have what is about to go. */
static uint64_t chosen_record(const struct world *world, struct sim_random *random)
{
    uint64_t back = sim_draw(random, sim_draw(random, 2) ? world->n_records : 3);
    return back < world->n_records ? world->n_records - back : 1;
}

static void do_pin(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    char id[24];
    snprintf(id, sizeof(id), "p%u.%u", worker->number, (unsigned)sim_draw(random, 2));
    struct commit_result result;
    if (sim_draw(random, 3) == 0) {
        (void)sim_table_did(worker, table_unpin(actor->table, slice_from_text(id), &result),
                            "unpins");
        return;
    }
    struct table_pin pin = {.id = slice_from_text(id),
                            .record = chosen_record(world, random),
                            .keeps_work = sim_draw(random, 4) == 0};
    static const int64_t lengths[] = {0, 60000, 3600000, 86400000};
    int64_t length = lengths[sim_draw(random, 4)];
    if (length) pin.until_ms = sim_now_ms(sim) + length;
    (void)sim_table_did(worker, table_pin(actor->table, &pin, &result), "pins");
}

static void do_restore(struct sim_worker *worker, struct sim_random *random)
{
    struct world *world = world_of(worker->sim);
    struct actor *actor = worker->own;
    struct commit_result result;
    if (!world->resets) return;
    if (sim_draw(random, 4) == 0)
        (void)sim_table_did(
            worker, table_reset(actor->table, NULL, 0, sim_draw(random, 2), &result), "resets");
    else
        (void)sim_table_did(
            worker, table_restore(actor->table, 1 + sim_draw(random, world->n_records), &result),
            "restores");
}

static void do_alter(struct sim_worker *worker, struct sim_random *random)
{
    static const char *const choices[][5] = {
        {"glis.table.ingest.file.writing.strategy", "by_size", "one_file_per_leaf",
         "one_reference_per_leaf", "by_size"},
        {"glis.table.ingest.min.file.bytes", "1", "300", "2K", "1"},
        {"glis.table.inner.bytes", "0", "1K", "4G", "0"},
        {"glis.table.compaction.strategy.class", "basic", "size_ratio", "basic", "basic"},
        {"glis.table.compaction.files.batch.size", "2", "3", "2", "4"},
        {"glis.table.partition.splitting.threshold", "4", "10", "40", "1000"},
        {"glis.table.ingest.max.references", "1", "3", "64", "2"},
    };
    struct commit_result result;
    unsigned which = (unsigned)sim_draw(random, 7);
    struct setting setting = {slice_from_text(choices[which][0]),
                              slice_from_text(choices[which][1 + sim_draw(random, 4)])};
    struct actor *actor = worker->own;
    if (sim_table_did(worker, table_alter(actor->table, &setting, 1, NULL, &result), "alters"))
        sim_count(worker->sim, SIM_EVENT_ALTERED);
}

static void do_snapshot(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    (void)sim_table_did(worker, table_snapshot_write(actor->table), "writes a snapshot");
}

static void do_time(struct sim_worker *worker, struct sim_random *random)
{
    static const int64_t jumps[] = {1000, 70000, 1200000, 3700000, 90000000};
    struct sim *sim = worker->sim;
    sim->now_ns += jumps[sim_draw(random, 5)] * 1000000;
    sim_trace(sim, "time goes on");
}

/* Of families of worlds. */
enum sort { MIXED, WICKEDNESS, PINS, TRIMS, DOUBTS, IMPORTS, TIMES, RESTORES };

/* ---- what must be refused ---- */

struct wicked { /* what a careless program proposes */
    struct sim_worker *worker;
    struct sim_random *random;
    struct table *table;
    const struct table_state *state;
    struct arena arena;
    const struct partition_tree *tree;
    struct table_leaf *leaves;
    size_t n_leaves;
    struct buffer text; /* its transaction; empty: none can be made here */
    const char *what;
    uint64_t n_own;     /* records that preparing it took */
    bool done_is_wrong; /* also that it was done already */
};

static void propose(struct wicked *w, const char *what, const char *format, ...) GLIS_PRINTF(3, 4);
static void propose(struct wicked *w, const char *what, const char *format, ...)
{
    char text[1600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    w->what = what;
    if (buffer_append_text(&w->text, text) < 0) error_clear();
}

static const char *base64_key(struct wicked *w, int64_t key)
{
    static const struct type type = {.kind = TYPE_INT64};
    struct buffer bytes = BUFFER_INIT(64), text = BUFFER_INIT(200);
    struct value value = value_integer(TYPE_INT64, key);
    ASSERT(key_append_value(&type, &value, &bytes) == 0);
    ASSERT(text_base64_encode(&text, buffer_slice(&bytes)) == 0);
    const char *out = arena_copy_text(&w->arena, buffer_slice(&text));
    buffer_free(&bytes);
    buffer_free(&text);
    return out;
}

/* An ingest of one file, with what is wrong about it put in. */
static void propose_ingest(struct wicked *w, const char *what, struct slice name, int64_t min,
                           int64_t max, unsigned rows, const char *references, int generation,
                           int processing)
{
    struct world *world = world_of(w->worker->sim);
    propose(
        w, what,
        "{\"type\":\"change_files\",\"for\":\"ingest\",\"job\":\"wicked%u\",\"given\":true,"
        "\"fingerprint\":\"00112233445566778899aabbccddeeff\",\"generation\":%d,"
        "\"processing\":%d,\"files\":[{\"name\":\"%.*s\",\"size\":100,\"rows\":%u,"
        "\"xxh3\":\"00112233445566778899aabbccddeeff\",\"schema\":1,\"bounds\":[{\"min\":\"%s\","
        "\"max\":\"%s\"}],\"references\":[%s]}]}",
        world->n_wicked++, (int)table_state_generation(w->state) + generation,
        (int)table_state_processing_version(w->state) + processing, SLICE_PRINT(name), rows,
        base64_key(w, min), base64_key(w, max), references);
}

static int some_file(void *context, const struct table_file *file)
{
    struct wicked *w = ((void **)context)[0];
    struct table_file *out = ((void **)context)[1];
    if (out->name.size && sim_draw(w->random, 3)) return 0;
    *out = *file;
    out->name = arena_copy(&w->arena, file->name);
    return 0;
}

/* What the state refers to is pinned, so that nobody collects and forgets it meanwhile. */
static bool stays_known(struct wicked *w)
{
    struct commit_result result;
    struct table_pin pin = {
        .id = slice_from_text(arena_printf(&w->arena, "wicked%u", w->worker->number)),
        .record = table_state_record(w->state),
        .until_ms = sim_now_ms(w->worker->sim) + INT64_C(864000000)};
    w->n_own = 1;
    return sim_table_did(w->worker, table_pin(w->table, &pin, &result), "pins");
}

static void wicked_ingest(struct wicked *w, unsigned which)
{
    struct runtime *runtime = &w->worker->runtime;
    struct slice name = table_file_name_new(w->state, runtime, &w->arena);
    const struct partition *leaf = &w->leaves[w->n_leaves - 1].partition;
    const char *one =
        arena_printf(&w->arena, "{\"partition\":\"%.*s\",\"rows\":3}", SLICE_PRINT(leaf->id));
    struct table_file known = {0};
    void *context[] = {w, &known};
    if (which == 0 && w->n_leaves > 1)
        propose_ingest(w, "a file outside its region", name, 0, KEYS - 1, 3, one, 0, 0);
    else if (which == 1)
        propose_ingest(w, "rows that do not sum up", name, KEYS - 1, KEYS - 1, 4, one, 0, 0);
    else if (which == 2 && leaf->parent.size)
        propose_ingest(w, "regions that overlap", name, KEYS - 1, KEYS - 1, 6,
                       arena_printf(&w->arena, "%s,{\"partition\":\"%.*s\",\"rows\":3}", one,
                                    SLICE_PRINT(leaf->parent)),
                       0, 0);
    else if (which == 3 && table_state_horizon(w->state) > 1)
        propose_ingest(
            w, "a file below the horizon",
            slice_from_text(arena_printf(&w->arena, "data/%012llx%.*s",
                                         (unsigned long long)table_state_horizon(w->state) - 1,
                                         SLICE_PRINT(slice_part(name, 17, name.size)))),
            KEYS - 1, KEYS - 1, 3, one, 0, 0);
    else if (which == 4 && table_each_file(w->state, some_file, context) == 0 &&
             known.n_references && stays_known(w))
        propose_ingest(w, "a file that is known", known.name, KEYS - 1, KEYS - 1, 3, one, 0, 0);
    else if (which == 5)
        propose_ingest(w, "another processing", name, KEYS - 1, KEYS - 1, 3, one, 0, 1000);
    else if (which == 6)
        propose_ingest(w, "another generation", name, KEYS - 1, KEYS - 1, 3, one, 1000, 0);
}

static void wicked_once(struct wicked *w, unsigned which)
{
    struct world *world = world_of(w->worker->sim);
    const struct past *past = &world->past[table_state_record(w->state)];
    const char *end = arena_printf(&w->arena, "\"generation\":%d,\"processing\":%d,\"files\":[]}",
                                   (int)table_state_generation(w->state),
                                   (int)table_state_processing_version(w->state));
    if (which == 0) { /* the same id, other input */
        for (unsigned i = 0; i < world->n_jobs; i++)
            if (bit(past->jobs, i) && !world->jobs[i].sequence) {
                w->done_is_wrong = true;
                propose(w, "a job's id with other input",
                        "{\"type\":\"change_files\",\"for\":\"ingest\",\"job\":\"job%u\","
                        "\"given\":true,"
                        "\"fingerprint\":\"00112233445566778899aabbccddeeff\",%s",
                        i, end);
                return;
            }
    } else {
        propose(w, "a sequence too far ahead",
                "{\"type\":\"change_files\",\"for\":\"ingest\",\"writer\":\"writer0\","
                "\"sequence\":%u,%s",
                past->sequences[0] + 1000, end);
    }
}

/* A reference on an inner partition goes to too much, or to too little. */
static void wicked_push_down(struct wicked *w, bool overlap)
{
    for (uint32_t at = 0; at < w->tree->n_nodes; at++) {
        const struct partition_node *node = &w->tree->nodes[at];
        struct table_reference *references;
        size_t n;
        if (node->left == UINT32_MAX ||
            table_references(w->state, node->id, &w->arena, &references, &n) < 0 || n == 0)
            continue;
        const struct table_reference *r = &references[sim_draw(w->random, n)];
        const struct partition_node *left = &w->tree->nodes[node->left],
                                    *right = &w->tree->nodes[node->right];
        bool meets_left = file_bound_overlaps(&r->file->bounds[0], &left->region[0]),
             meets_right = file_bound_overlaps(&r->file->bounds[0], &right->region[0]);
        if (!overlap && meets_left && meets_right) {
            propose(w, "a push-down that leaves a leaf out",
                    "{\"type\":\"change_files\",\"for\":\"push_down\","
                    "\"moves\":[{\"partition\":\"%.*s\","
                    "\"file\":\"%.*s\",\"to\":[{\"partition\":\"%.*s\",\"rows\":1}]}]}",
                    SLICE_PRINT(node->id), SLICE_PRINT(r->file->name), SLICE_PRINT(left->id));
            return;
        }
        if (!overlap || left->left == UINT32_MAX || !meets_left) continue;
        const struct partition_node *deeper = &w->tree->nodes[left->left];
        if (!file_bound_overlaps(&r->file->bounds[0], &deeper->region[0])) continue;
        propose(
            w, "a push-down to places that overlap",
            "{\"type\":\"change_files\",\"for\":\"push_down\",\"moves\":[{\"partition\":\"%.*s\","
            "\"file\":\"%.*s\",\"to\":[{\"partition\":\"%.*s\",\"rows\":1},"
            "{\"partition\":\"%.*s\",\"rows\":1}",
            SLICE_PRINT(node->id), SLICE_PRINT(r->file->name), SLICE_PRINT(left->id),
            SLICE_PRINT(deeper->id));
        if (meets_right)
            propose(w, w->what, ",{\"partition\":\"%.*s\",\"rows\":1}", SLICE_PRINT(right->id));
        propose(w, w->what, "]}]}");
        return;
    }
}

static void wicked_collection(struct wicked *w, unsigned which)
{
    struct world *world = world_of(w->worker->sim);
    struct table_file file = {0};
    void *context[] = {w, &file};
    if (which < 3) {
        if (table_each_file(w->state, some_file, context) < 0 || !file.name.size) return;
        if (which == 0 && file.n_references)
            propose(w, "a mark of a file with references",
                    "{\"type\":\"mark_files\",\"files\":[{\"name\":\"%.*s\",\"gone\":0}]}",
                    SLICE_PRINT(file.name));
        else if (which == 1 && !file.n_references)
            propose(w, "a mark of a file that went at another record",
                    "{\"type\":\"mark_files\",\"files\":[{\"name\":\"%.*s\",\"gone\":%llu}]}",
                    SLICE_PRINT(file.name), (unsigned long long)file.gone_record + 1);
        else if (which == 2 && file.n_references && stays_known(w))
            propose(w, "forgetting a file that is not marked",
                    "{\"type\":\"forget_files\",\"files\":[\"%.*s\"]}", SLICE_PRINT(file.name));
        return;
    }
    uint64_t lowest = UINT64_MAX;
    struct table_assignment *assignments;
    size_t n;
    if (which == 3) {
        for (unsigned i = 0; i < world->now.n_pins; i++) {
            const struct pin *pin = &world->now.pins[i];
            if (pin->alive && pin->keeps_work && pin->record < lowest &&
                (!pin->until_ms || pin->until_ms > sim_now_ms(w->worker->sim) + 2 * SKEW_MS))
                lowest = pin->record;
        }
    } else if (table_assignments(w->state, &w->arena, &assignments, &n) == 0) {
        for (size_t i = 0; i < n; i++)
            if (slice_equal_text(assignments[i].job, "holder") && assignments[i].record < lowest &&
                assignments[i].until_ms > sim_now_ms(w->worker->sim) + 2 * SKEW_MS)
                lowest = assignments[i].record;
    }
    if (lowest < table_state_record(w->state) && lowest >= table_state_horizon(w->state))
        propose(w,
                which == 3 ? "a horizon over a pin that keeps work" : "a horizon over a living job",
                "{\"type\":\"raise_horizon\",\"record\":%llu}", (unsigned long long)lowest + 1);
}

/* Somebody has some files for long; nobody else gets them, and what he makes of them has no more
 * rows than they had. */
static void wicked_job(struct wicked *w, unsigned which)
{
    struct sim *sim = w->worker->sim;
    struct commit_result ignored;
    const struct table_leaf *leaf = &w->leaves[sim_draw(w->random, w->n_leaves)];
    struct table_reference *references;
    size_t n;
    struct slice id = leaf->partition.id;
    if (table_references(w->state, id, &w->arena, &references, &n) < 0 || n == 0) return;
    struct clock *clock = &w->worker->clock.clock;
    size_t n_held = which == 2 ? 2 : 1;
    if (n < n_held) return;
    struct slice held[2] = {references[0].file->name, references[n_held - 1].file->name};
    struct job_assignment hold = {which == 2 ? SLICE("holder2") : SLICE("holder"), id, held, n_held,
                                  clock->wall_ms(clock) + 7200000};
    int code = table_assign_job(w->table, &hold, &ignored);
    if (!sim_table_did(w->worker, code, "takes a file for long")) return;
    w->n_own = 1;
    if (which == 2) {
        propose(w, "a compaction of a part of its files",
                "{\"type\":\"change_files\",\"for\":\"compaction\",\"job\":\"holder2\","
                "\"partition\":\"%.*s\","
                "\"generation\":%d,\"processing\":%d,\"inputs\":[\"%.*s\"],\"files\":[]}",
                SLICE_PRINT(id), (int)table_state_generation(w->state),
                (int)table_state_processing_version(w->state), SLICE_PRINT(held[0]));
        return;
    }
    if (which == 0) {
        propose(
            w, "another's file",
            "{\"type\":\"assign_job\",\"job\":\"thief%u\",\"partition\":\"%.*s\",\"until\":%lld,"
            "\"files\":[\"%.*s\"]}",
            w->worker->number, SLICE_PRINT(id), (long long)sim_now_ms(sim) + 60000,
            SLICE_PRINT(references[0].file->name));
        return;
    }
    if (!references[0].is_exact) return;
    struct slice name = table_file_name_new(w->state, &w->worker->runtime, &w->arena);
    const struct file_bound *bounds = references[0].file->bounds;
    struct buffer min = BUFFER_INIT(200), max = BUFFER_INIT(200);
    ASSERT(text_base64_encode(&min, bounds[0].min) == 0);
    ASSERT(text_base64_encode(&max, bounds[0].max) == 0);
    propose(
        w, "a compaction that makes rows",
        "{\"type\":\"change_files\",\"for\":\"compaction\",\"job\":\"holder\","
        "\"partition\":\"%.*s\","
        "\"generation\":%d,\"processing\":%d,\"inputs\":[\"%.*s\"],\"files\":[{\"name\":\"%.*s\","
        "\"size\":100,\"rows\":%llu,\"xxh3\":\"00112233445566778899aabbccddeeff\",\"schema\":1,"
        "\"bounds\":[{\"min\":\"%.*s\",\"max\":\"%.*s\"}],\"references\":[{\"partition\":\"%.*s\","
        "\"rows\":%llu}]}]}",
        SLICE_PRINT(id), (int)table_state_generation(w->state),
        (int)table_state_processing_version(w->state), SLICE_PRINT(references[0].file->name),
        SLICE_PRINT(name), (unsigned long long)references[0].rows + 1,
        SLICE_PRINT(buffer_slice(&min)), SLICE_PRINT(buffer_slice(&max)), SLICE_PRINT(id),
        (unsigned long long)references[0].rows + 1);
    buffer_free(&min);
    buffer_free(&max);
}

static int marked_file(void *context, const struct table_file *file)
{
    struct wicked *w = ((void **)context)[0];
    struct slice *out = ((void **)context)[1];
    if (table_file_is_marked(w->state, file->name)) *out = arena_copy(&w->arena, file->name);
    return 0;
}

static void wicked_tree(struct wicked *w, unsigned which)
{
    uint64_t record = table_state_record(w->state), horizon = table_state_horizon(w->state);
    const struct partition_node *root = &w->tree->nodes[0];
    int generation = (int)table_state_generation(w->state);
    if (which == 0 && root->left != UINT32_MAX)
        propose(
            w, "a split of an inner partition",
            "{\"type\":\"split_partition\",\"begun\":%llu,\"partition\":\"root\",\"dimension\":0,"
            "\"split\":\"%s\",\"left\":\"%llx-00000%u.1\",\"right\":\"%llx-00000%u.2\"}",
            (unsigned long long)record, base64_key(w, 5), (unsigned long long)record,
            w->worker->number, (unsigned long long)record, w->worker->number);
    else if (which == 1 && horizon > 1 && w->n_leaves)
        propose(
            w, "a split planned below the horizon",
            "{\"type\":\"split_partition\",\"begun\":%llu,\"partition\":\"%.*s\",\"dimension\":0,"
            "\"split\":\"%s\",\"left\":\"%llx-00000%u.1\",\"right\":\"%llx-00000%u.2\"}",
            (unsigned long long)horizon - 1, SLICE_PRINT(w->leaves[0].partition.id),
            base64_key(w, -7), (unsigned long long)horizon - 1, w->worker->number,
            (unsigned long long)horizon - 1, w->worker->number);
    else if (which == 2)
        propose(w, "a reset of another generation", "{\"type\":\"reset\",\"generation\":%d}",
                generation + 1000);
    else if (which == 3)
        propose(w, "a restore of another generation",
                "{\"type\":\"restore\",\"record\":1,\"generation\":%d,\"processing\":%d,"
                "\"references\":[],\"jobs\":[],\"writers\":[]}",
                generation + 1000, (int)table_state_processing_version(w->state));
    else if (which == 4)
        propose(w, "an alter of another version",
                "{\"type\":\"alter\",\"version\":%llu,\"properties\":"
                "{\"glis.table.compaction.files.batch.size\":\"3\"}}",
                (unsigned long long)table_state_version(w->state) + 1000);
    else if (which == 6) {
        struct world *world = world_of(w->worker->sim);
        if (world->now.delete_record > 1 && world->now.delete_record <= record)
            propose(w, "a restore of a record before a delete",
                    "{\"type\":\"restore\",\"record\":%llu,\"generation\":%d,\"processing\":%d,"
                    "\"references\":[],\"jobs\":[],\"writers\":[]}",
                    (unsigned long long)world->now.delete_record - 1, generation,
                    (int)table_state_processing_version(w->state));
    } else if (which == 7) {
        struct slice marked = SLICE_EMPTY;
        void *context[] = {w, &marked};
        if (table_each_file(w->state, marked_file, context) < 0 || !marked.size) return;
        propose(w, "a restore of a file that is being collected",
                "{\"type\":\"restore\",\"record\":1,\"generation\":%d,\"processing\":%d,"
                "\"references\":[{\"partition\":\"%.*s\",\"file\":\"%.*s\",\"rows\":1,"
                "\"exact\":false,\"shared\":true}],\"jobs\":[],\"writers\":[]}",
                generation, (int)table_state_processing_version(w->state),
                SLICE_PRINT(w->leaves[0].partition.id), SLICE_PRINT(marked));
    } else if (which == 5)
        for (uint32_t at = 0; at < w->tree->n_nodes; at++) {
            const struct partition_node *node = &w->tree->nodes[at];
            struct table_reference *references;
            size_t n = 0, m = 0;
            if (node->left == UINT32_MAX || w->tree->nodes[node->left].left != UINT32_MAX ||
                w->tree->nodes[node->right].left != UINT32_MAX ||
                table_references(w->state, w->tree->nodes[node->left].id, &w->arena, &references,
                                 &n) < 0 ||
                table_references(w->state, w->tree->nodes[node->right].id, &w->arena, &references,
                                 &m) < 0 ||
                n + m == 0)
                continue;
            propose(w, "joining leaves that hold references",
                    "{\"type\":\"merge_partitions\",\"parent\":\"%.*s\"}", SLICE_PRINT(node->id));
            return;
        }
}

static void wicked_rest(struct wicked *w, unsigned which)
{
    struct world *world = world_of(w->worker->sim);
    uint64_t record = table_state_record(w->state), epoch;
    struct slice token;
    if (which == 0) { /* of one whose role another took since */
        const char *name = sim_draw(w->random, 2) ? "r0" : "r1";
        table_role(w->state, slice_from_text(name), &w->arena, &epoch, &token);
        if (epoch > 0)
            propose(w, "an act of a former holder",
                    "{\"type\":\"pin\",\"id\":\"former\",\"record\":%llu,\"until\":0,"
                    "\"keeps\":\"files\",\"role\":\"%s\",\"epoch\":%llu}",
                    (unsigned long long)record, name, (unsigned long long)epoch - 1);
    } else if (which == 1) { /* a role that somebody else has taken meanwhile */
        table_role(w->state, SLICE("r0"), &w->arena, &epoch, &token);
        if (epoch > 0)
            propose(w, "a role taken from an epoch that has passed",
                    "{\"type\":\"take_role\",\"name\":\"r0\",\"present\":%llu,"
                    "\"token\":\"thief\"}",
                    (unsigned long long)epoch - 1);
    } else if (which == 2) { /* a pin's state is trimmed away */
        uint64_t lowest = UINT64_MAX;
        for (unsigned i = 0; i < world->now.n_pins; i++) {
            const struct pin *pin = &world->now.pins[i];
            if (pin->alive && pin->record < lowest &&
                (!pin->until_ms || pin->until_ms > sim_now_ms(w->worker->sim) + 2 * SKEW_MS))
                lowest = pin->record;
        }
        if (lowest < record && lowest + 1 > table_trim_line(w->state))
            propose(w, "a trim line over a living pin",
                    "{\"type\":\"raise_trim_line\",\"record\":%llu}",
                    (unsigned long long)lowest + 1);
    } else { /* a job that wants a damaged file */
        for (unsigned i = 0; i < world->now.n_references; i++) {
            const struct reference *reference = &world->now.references[i];
            const struct file *file = &world->now.files[reference->file];
            if (!file->aside || w->text.size) continue;
            propose(w, "a job on a file that is set aside",
                    "{\"type\":\"assign_job\",\"job\":\"careless\",\"partition\":\"%s\","
                    "\"until\":%lld,\"files\":[\"%s\"]}",
                    reference->partition, (long long)sim_now_ms(w->worker->sim) + 60000,
                    file->name);
        }
    }
}

static void do_wicked(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct actor *actor = worker->own;
    struct wicked w = {.worker = worker, .random = random, .table = actor->table};
    int64_t begun_ns = sim->now_ns;
    buffer_init(&w.text, 1 << 16, NULL);
    arena_init(&w.arena, NULL);
    if (table_state_get(actor->table, 0, &w.state) == 0 && !worker->dead &&
        table_tree(w.state, &w.arena, &w.tree) == 0 &&
        table_leaves(w.state, NULL, &w.arena, &w.leaves, &w.n_leaves) == 0) {
        for (int i = 0; i < 14 && !w.text.size && !worker->dead; i++) {
            unsigned which = (unsigned)sim_draw(random, 31);
            if (sim->family->sort == RESTORES && sim_draw(random, 2)) which = 25 + which % 2;
            if (which < 7)
                wicked_ingest(&w, which);
            else if (which < 9)
                wicked_once(&w, which - 7);
            else if (which < 11)
                wicked_push_down(&w, which == 9);
            else if (which < 16)
                wicked_collection(&w, which - 11);
            else if (which < 19)
                wicked_job(&w, which - 16);
            else if (which < 27)
                wicked_tree(&w, which - 19);
            else
                wicked_rest(&w, which - 27);
        }
    }
    struct commit_result result = {0};
    if (w.text.size && !worker->dead && sim_goes_on(sim)) {
        int code = table_commit_text(actor->table, &w.text, &result);
        sim_trace(sim, "proposes %s: %s", w.what, code < 0 ? error_message() : "taken");
        bool at_once = sim->now_ns - begun_ns < 600 * 1000000000ll; /* else it may have run out */
        /* Nor can be said what was right if others came in between. */
        bool no_record = w.done_is_wrong && result.already_done;
        at_once &= result.record == table_state_record(w.state) + (no_record ? 0 : 1 + w.n_own);
        if (code == 0 && !worker->dead && at_once)
            sim_broken(sim, "the table takes %s", w.what);
        else
            (void)sim_table_expected(worker, code, w.what);
    }
    table_state_release(w.state);
    arena_free(&w.arena);
    buffer_free(&w.text);
}

/* ---- questions ---- */

/* Holds the rows of an answer against the truth at its record. */
static void compare(struct sim *sim, const uint8_t *got, uint64_t record, int64_t from, int64_t to)
{
    struct world *world = world_of(sim);
    const struct past *past = &world->past[record];
    for (unsigned row = 0; row < world->n_rows; row++) {
        if (row_key(row) < from || row_key(row) >= to) continue;
        if (!bit(got, row) && bit(past->must, row))
            sim_broken(sim, "row %u (key %lld) is missing at record %llu", row,
                       (long long)row_key(row), (unsigned long long)record);
        if (bit(got, row) && !bit(past->may, row))
            sim_broken(sim, "row %u (key %lld) is there at record %llu and should not be", row,
                       (long long)row_key(row), (unsigned long long)record);
    }
}

static int ask(struct sim *sim, struct query_engine *engine, struct table *table,
               struct sim_random *random, uint64_t at_record, uint8_t *got, uint64_t *record,
               int64_t *from, int64_t *to)
{
    struct world *world = world_of(sim);
    struct arena arena defer_arena = ARENA_EMPTY;
    struct query query;
    struct batch_stream *answer;
    *from = 0;
    *to = KEYS;
    if (random && sim_draw(random, 2)) {
        defer_buffer struct buffer json = BUFFER_INIT(500);
        *from = (int64_t)sim_draw(random, KEYS);
        *to = *from + 1 + (int64_t)sim_draw(random, 8);
        if (*to > KEYS) *to = KEYS;
        TRY(buffer_printf(&json, "{\"regions\":[{\"k\":{\"min\":%d,\"max\":%d}}]}", (int)*from,
                          (int)*to));
        TRY(query_from_json(buffer_slice(&json), world->schema, &arena, &query));
    } else {
        query_everything(world->schema, &arena, &query);
    }
    query.at_record = at_record;
    memset(got, 0, ROWS_MAX / 8);
    TRY(query_open(engine, table, &query, &answer));
    *record = query_answer_record(answer);
    int code;
    for (;;) {
        struct batch *batch;
        code = batch_stream_next(answer, &batch);
        if (code < 0 || !batch) break;
        for (int64_t at = 0; at < batch->n_rows; at++) {
            struct value key, number;
            column_value(&batch->columns[0], at, &key);
            column_value(&batch->columns[1], at, &number);
            unsigned row = (unsigned)number.integer;
            if (row >= world->n_rows || key.integer != row_key(row)) {
                sim_broken(sim, "a row that nobody wrote");
            } else if (bit(got, row)) {
                sim_broken(sim, "row %u (key %lld) is there twice at record %llu", row,
                           (long long)row_key(row), (unsigned long long)*record);
            } else {
                set_bit(got, row, true);
            }
        }
        batch_release(batch);
    }
    batch_stream_close(answer);
    return code;
}

/* Whether a file was set aside at a record or any later one. */
static bool was_aside(const struct world *world, uint64_t since)
{
    for (uint64_t record = since; record <= world->n_records; record++)
        if (world->past[record].aside) return true;
    return false;
}

static void do_query(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    uint8_t got[ROWS_MAX / 8];
    uint64_t record = 0, known = world->seen, at = 0;
    int64_t from, to;
    const struct pin *pin = NULL;
    if (world->now.n_pins && sim_draw(random, 3) == 0) { /* one that lives long enough */
        pin = &world->now.pins[sim_draw(random, world->now.n_pins)];
        if (!pin->alive || (pin->until_ms && pin->until_ms < sim_now_ms(sim) + 2 * SKEW_MS))
            pin = NULL;
    }
    struct pin copy;
    if (pin) {
        copy = *pin;
        at = pin->record;
    }
    int code = ask(sim, actor->engine, actor->table, random, at, got, &record, &from, &to);
    sim_trace(sim, "asks: %s", code < 0 ? error_message() : "answered");
    if (worker->dead) return;
    if (code == GLIS_EGONE) {
        sim_count(sim, SIM_EVENT_COLLECTION_RACED);
        bool still = pin && pin->alive && strcmp(pin->id, copy.id) == 0 &&
                     pin->record == copy.record &&
                     (!pin->until_ms || pin->until_ms > sim_now_ms(sim) + SKEW_MS);
        bool young = !at && record >= known && record < world->n_records &&
                     sim_now_ms(sim) - world->past[record + 1].time_ms < DELAY_MS - SKEW_MS;
        if (still || ((young || (!at && record == world->n_records)) && !world->hasty))
            sim_broken(sim, "a query at record %llu misses a file too soon: %s",
                       (unsigned long long)record, error_message());
        return;
    }
    if (code == GLIS_ECORRUPT && was_aside(world, at ? at : known)) {
        sim_count(sim, SIM_EVENT_ASIDE_TOLD);
        return;
    }
    if (!sim_table_expected(worker, code, "a query")) return;
    if (record < known && !at)
        sim_broken(sim, "worker %u reads record %llu, though %llu was known when it began",
                   worker->number, (unsigned long long)record, (unsigned long long)known);
    if (record > world->n_records) {
        sim_broken(sim, "an answer at record %llu", (unsigned long long)record);
        return;
    }
    if (!at && record > world->seen) world->seen = record;
    if (at) sim_count(sim, SIM_EVENT_PINNED_READ);
    compare(sim, got, record, from, to);
}

/* ---- the play ---- */

enum operation {
    INGEST,
    COMPACT,
    SPLIT,
    MAINTAIN,
    COLLECT,
    QUERY,
    PIN,
    DELETE,
    RESTORE,
    ALTER,
    SNAPSHOT,
    TIME,
    WICKED,
    BULK,
    ASIDE,
    ROLE,
    TRIM,
    SET_TIME,
    WIDEN,
    OPERATIONS
};

static void play(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    if (!begin(worker)) return;
    unsigned total = 0;
    for (int i = 0; i < OPERATIONS; i++)
        total += world->weights[i];
    for (unsigned i = 0; i < world->n_operations && sim_goes_on(sim); i++) {
        struct sim_random random;
        if (!sim_operation(worker, &random)) continue;
        unsigned sort = (unsigned)sim_draw(&random, total);
        int which = 0;
        for (; sort >= world->weights[which]; which++)
            sort -= world->weights[which];
        if (sim->fault_chance[SIM_CRASH] && sim_draw(&random, 12) == 0)
            worker->crash_in = 1 + (unsigned)sim_draw(&random, 40);
        switch ((enum operation)which) {
        case INGEST: do_ingest(worker, &random); break;
        case COMPACT: do_upkeep(worker, &random, false); break;
        case SPLIT: do_upkeep(worker, &random, true); break;
        case MAINTAIN: do_maintain(worker, &random); break;
        case COLLECT: do_collect(worker, &random); break;
        case QUERY: do_query(worker, &random); break;
        case PIN: do_pin(worker, &random); break;
        case DELETE: do_delete(worker, &random); break;
        case RESTORE: do_restore(worker, &random); break;
        case ALTER: do_alter(worker, &random); break;
        case SNAPSHOT: do_snapshot(worker); break;
        case TIME: do_time(worker, &random); break;
        case WICKED: do_wicked(worker, &random); break;
        case BULK: sim_table_bulk(worker, &random); break;
        case ASIDE: sim_table_aside(worker, &random); break;
        case ROLE: sim_table_role(worker, &random); break;
        case TRIM: sim_table_trim(worker, &random); break;
        case SET_TIME: sim_table_set_time(worker); break;
        case WIDEN: sim_table_widen(worker); break;
        case OPERATIONS: break;
        }
        if (!live(worker)) return;
    }
    end(worker);
}

/* ---- the kind ---- */

static void must(struct sim *sim, int code, const char *what)
{
    if (code < 0) sim_broken(sim, "%s: %s: %s", what, error_code_name(code), error_message());
}

static const struct sim_family families[] = {
    {.name = "mixed", .sort = MIXED, .power = SIM_POWER_MAYBE},
    {.name = "wickedness", .sort = WICKEDNESS},
    {.name = "pins", .sort = PINS},
    {.name = "trims", .sort = TRIMS},
    {.name = "doubts",
     .sort = DOUBTS,
     .focus_chance = 12000,
     .n_foci = 2,
     .foci = {"log/0", "log/trimmed"}},
    {.name = "imports", .sort = IMPORTS, .share = 3, .power = SIM_POWER_MAYBE},
    {.name = "times", .sort = TIMES, .power = SIM_POWER_MAYBE},
    {.name = "restores", .sort = RESTORES, .n_deadly = 2, .deadly = {NULL, "log/0"}},
    {.name = "power",
     .sort = MIXED,
     .power = SIM_POWER_ALWAYS,
     .n_deadly = 4,
     .deadly = {NULL, "data/", "log/0", "snapshot/"}},
};

/* What a family does more often than others. */
static void build_family(struct sim *sim)
{
    struct world *world = world_of(sim);
    unsigned *weights = world->weights;
    switch ((enum sort)sim->family->sort) {
    case MIXED: break;
    case WICKEDNESS:
        weights[WICKED] += 25;
        weights[SPLIT] += 2;
        break;
    case PINS:
        weights[PIN] += 8;
        weights[COLLECT] += 8;
        weights[COMPACT] += 8;
        weights[QUERY] += 8;
        weights[TIME] += 8;
        world->n_operations += 6;
        break;
    case TRIMS:
        weights[TRIM] += 10;
        weights[ALTER] += 10;
        weights[PIN] += 4;
        weights[TIME] += 5;
        weights[COLLECT] = 0;
        world->n_operations += 4;
        break;
    case DOUBTS:
        weights[COMPACT] += 10;
        weights[TRIM] += 3;
        weights[COLLECT] += 3;
        break;
    case IMPORTS: /* hardly anything else, by many at a time */
        for (int i = 0; i < OPERATIONS; i++)
            weights[i] = i == BULK ? 30 : i == COLLECT || i == TIME || i == QUERY;
        sim->nap = 10 + (unsigned)sim_draw(&sim->build, 40);
        break;
    case TIMES:
        weights[SET_TIME] += 5;
        weights[TIME] += 4;
        weights[COLLECT] += 6;
        weights[COMPACT] += 5;
        break;
    case RESTORES:
        world->resets = true;
        weights[RESTORE] += 6;
        weights[COLLECT] += 4;
        weights[COMPACT] += 4;
        weights[TIME] += 2;
        weights[WICKED] += 8;
        break;
    }
}

static void build(struct sim *sim)
{
    struct world *world = memory_alloc_zero(sizeof(*world));
    struct sim_random *r = &sim->build;
    sim->own = world;
    world->past = memory_alloc_zero(RECORDS_MAX * sizeof(*world->past));
    world->overrides.log_block_slots = 2 + (unsigned)sim_draw(r, 6);
    world->hasty = sim_draw(r, 3) == 0;
    world->resets = sim_draw(r, 3) == 0;
    world->n_operations = 4 + (unsigned)sim_draw(r, 8);
    static const unsigned weights[OPERATIONS] = {
        [INGEST] = 8,   [COMPACT] = 6, [SPLIT] = 2,    [MAINTAIN] = 3, [COLLECT] = 3,
        [QUERY] = 5,    [PIN] = 2,     [DELETE] = 1,   [RESTORE] = 2,  [ALTER] = 2,
        [SNAPSHOT] = 1, [TIME] = 2,    [WICKED] = 6,   [BULK] = 3,     [ASIDE] = 4,
        [ROLE] = 1,     [TRIM] = 2,    [SET_TIME] = 1, [WIDEN] = 1};
    for (int i = 0; i < OPERATIONS; i++) /* each world has its own liking */
        world->weights[i] = (unsigned)sim_draw(r, 2 * weights[i] + 1);
    world->weights[INGEST] += 3;
    if (sim->family->sort == PINS || sim->family->sort == RESTORES) world->hasty = sim_draw(r, 2);
    if (world->hasty) world->weights[DELETE] += 2;
    if (!world->hasty) world->weights[DELETE] = 0;
    if (world->hasty || sim_draw(r, 2)) world->weights[ASIDE] = 0;
    build_family(sim);
    if (sim->local) world->undo = memory_alloc_zero(UNDO_MAX * sizeof(*world->undo));
    world->n_fields = 2;
    world->few_rows = sim_draw(r, 3) == 0;
    for (int i = 0; i < SIM_FAULT_KINDS; i++) /* a job is a hundred requests that must succeed */
        if (i != SIM_CLOCK) sim->fault_chance[i] /= 4;
    struct field fields[] = {{SLICE("k"), {.kind = TYPE_INT64}, false},
                             {SLICE("v"), {.kind = TYPE_INT64}, false}};
    must(sim, schema_new(&world->schema, fields, 2, 1, 0), "a schema");
    static const char *const ages[] = {"10m", "1h", "24h"};
    struct setting of_instance[] = {
        {SLICE("glis.gc.orphan.age"), slice_from_text(ages[sim_draw(r, 3)])}};
    must(sim, instance_init(&sim->runtime, sim->store, of_instance, 1), "an instance");
    struct instance *instance = NULL;
    must(sim, instance_open(&sim->runtime, sim->store, 0, &world->overrides, &instance), "opening");
    static const char *const thresholds[] = {"4", "10", "40", "1000"};
    static const char *const strategies[] = {"by_size", "one_file_per_leaf",
                                             "one_reference_per_leaf"};
    static const char *const inner[] = {"0", "1K", "4G"};
    static const char *const keeps[] = {"1m", "1h", "7d"};
    static const char *const limits[] = {"1", "2", "64"};
    bool is_deep = sim->family->sort == WICKEDNESS && sim_draw(r, 2);
    struct setting settings[] = {
        {SLICE("glis.table.compaction.files.batch.size"),
         slice_from_text(sim_draw(r, 2) ? "2" : "3")},
        {SLICE("glis.table.partition.splitting.threshold"),
         slice_from_text(thresholds[sim_draw(r, 4)])},
        {SLICE("glis.table.partition.splitting.min.rows"), SLICE("0")},
        {SLICE("glis.table.ingest.file.writing.strategy"),
         slice_from_text(strategies[sim_draw(r, 3)])},
        {SLICE("glis.table.ingest.min.file.bytes"), slice_from_text(sim_draw(r, 2) ? "1" : "1M")},
        {SLICE("glis.table.ingest.max.references"),
         slice_from_text(limits[is_deep ? 0 : sim_draw(r, 3)])},
        {SLICE("glis.table.inner.bytes"), slice_from_text(inner[sim_draw(r, 3)])},
        {SLICE("glis.table.gc.delay"), SLICE("15m")},
        {SLICE("glis.table.bulk.import.min.leaf.partitions"),
         slice_from_text(world->few_rows ? "3" : "1")},
        {SLICE("glis.table.log.keep"),
         slice_from_text(keeps[sim->family->sort == TRIMS ? 0 : sim_draw(r, 3)])},
        {SLICE("glis.table.parquet.compression.codec"), SLICE("uncompressed")},
    };
    struct slice points[3];
    struct arena arena defer_arena = ARENA_EMPTY;
    size_t n_points = is_deep ? 3 : (size_t)sim_draw(r, 4);
    static const struct type type = {.kind = TYPE_INT64};
    for (size_t i = 0; i < n_points; i++) {
        defer_buffer struct buffer bytes = BUFFER_INIT(64);
        struct value value = value_integer(TYPE_INT64, (int64_t)((i + 1) * KEYS / (n_points + 1)));
        must(sim, key_append_value(&type, &value, &bytes), "a key");
        points[i] = arena_copy(&arena, buffer_slice(&bytes));
    }
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = world->schema,
                                          .settings = settings,
                                          .n_settings = sizeof(settings) / sizeof(*settings),
                                          .split_points = points,
                                          .n_split_points = n_points};
    struct table *table = NULL;
    if (instance) must(sim, table_create(instance, &definition, &table), "a table");
    if (table) {
        struct slice prefix = table_prefix(table);
        snprintf(world->prefix, sizeof(world->prefix), "%.*s", SLICE_PRINT(prefix));
        world->prefix_size = prefix.size;
        world->n_records = world->seen = world->told = 1; /* create_table */
        world->past[1].time_ms = sim_now_ms(sim);
        shadow_open(sim);
    }
    table_close(table);
    instance_close(instance);
    unsigned n = 2 + (unsigned)sim_draw(r, 3);
    for (unsigned i = 0; i < n; i++)
        sim_worker_add(sim, play, memory_alloc_zero(sizeof(struct actor)));
}

static void judge_pins(struct sim *sim, struct query_engine *engine, struct table *table)
{
    struct world *world = world_of(sim);
    uint8_t got[ROWS_MAX / 8];
    uint64_t record = 0;
    int64_t from, to;
    for (unsigned i = 0; i < world->now.n_pins && sim_goes_on(sim); i++) {
        const struct pin *pin = &world->now.pins[i];
        if (!pin->alive || (pin->until_ms && pin->until_ms < sim_now_ms(sim) + SKEW_MS)) continue;
        if (world->past[pin->record].aside) continue;
        must(sim, ask(sim, engine, table, NULL, pin->record, got, &record, &from, &to),
             "a pinned record");
        if (sim_goes_on(sim)) compare(sim, got, pin->record, from, to);
    }
}

static void entries_remove(struct sim *sim)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct store_list list;
    struct slice folder =
        slice_from_text(arena_printf(&arena, "%slog/pending/", world_of(sim)->prefix));
    must(sim, store_list(sim->store, folder, SLICE_EMPTY, 1000, &arena, &list), "entries");
    for (size_t i = 0; i < list.n_objects && sim_goes_on(sim); i++)
        must(sim, store_remove(sim->store, &list.objects[i].key, 1), "an entry");
}

/* A day later all that was ever assigned is free, and what is left can be merged, with the same
 * rows as before. */
static void judge_upkeep(struct sim *sim, struct query_engine *engine, struct table *table)
{
    struct world *world = world_of(sim);
    struct maintain_result result = {0};
    struct maintain_options options = {.steps = MAINTAIN_PUSH_DOWN | MAINTAIN_COMPACT,
                                       .force = true};
    uint8_t got[ROWS_MAX / 8];
    uint64_t record = 0;
    int64_t from, to;
    sim->now_ns += 86400 * 1000000000ll;
    entries_remove(sim); /* of workers that are no more; they would be carried now */
    must(sim, maintain_table(table, &sim->runtime, &options, &result), "the last upkeep");
    if (result.lost || !result.is_idle)
        sim_broken(sim, "in the end files cannot be merged: %llu compactions lost",
                   (unsigned long long)result.lost);
    must(sim, ask(sim, engine, table, NULL, 0, got, &record, &from, &to), "the very last question");
    if (sim_goes_on(sim)) compare(sim, got, world->n_records, from, to);
}

/* Files that were set aside are whole after all. */
static void take_all_back(struct sim *sim, struct table *table)
{
    struct world *world = world_of(sim);
    struct commit_result result;
    for (unsigned i = 0; i < world->now.n_files && sim_goes_on(sim); i++)
        if (world->now.files[i].aside && bit(world->past[world->n_records].files, i))
            must(sim, table_take_back(table, slice_from_text(world->now.files[i].name), &result),
                 "a file is taken back");
}

/* With nothing failing any more: the state is valid, and the rows are those of the truth. */
static void judge(struct sim *sim)
{
    struct world *world = world_of(sim);
    struct instance *instance = NULL;
    struct table *table = NULL;
    struct query_engine *engine = NULL;
    const struct table_state *state = NULL;
    uint8_t got[ROWS_MAX / 8];
    uint64_t record = 0;
    int64_t from, to;
    must(sim, instance_open(&sim->runtime, sim->store, 0, &world->overrides, &instance), "the end");
    if (instance) must(sim, table_open(instance, SLICE("t"), &table), "the table");
    if (table) must(sim, query_engine_new(&engine, &sim->runtime, &sim->budget, 1 << 14), "engine");
    if (engine) must(sim, table_state_get(table, 0, &state), "the state");
    if (state) {
        must(sim, table_validate(state), "the state");
        if (table_state_record(state) != world->n_records)
            sim_broken(sim, "the end is record %llu, in truth it is %llu",
                       (unsigned long long)table_state_record(state),
                       (unsigned long long)world->n_records);
        take_all_back(sim, table);
        must(sim, ask(sim, engine, table, NULL, 0, got, &record, &from, &to), "the last question");
        if (sim_goes_on(sim)) compare(sim, got, world->n_records, from, to);
    }
    judge_pins(sim, engine, table);
    if (sim_goes_on(sim)) judge_upkeep(sim, engine, table);
    table_state_release(state);
    query_engine_free(engine);
    table_close(table);
    instance_close(instance);
}

static void tear(struct sim *sim)
{
    struct world *world = world_of(sim);
    for (unsigned i = 0; i < sim->n_workers; i++)
        free(sim->workers[i].own);
    log_close(world->shadow);
    schema_release(world->schema);
    free(world->past);
    free(world->undo);
    free(world);
}

const struct sim_kind sim_table_kind = {
    .name = "table",
    .families = families,
    .n_families = sizeof(families) / sizeof(*families),
    .build = build,
    .judge = judge,
    .tear = tear,
    .was_put = was_put,
    .was_removed = was_removed,
    .was_undone = was_undone,
    .power_lost = power_lost,
    .steps_max = 60000,
    .calm_step = 10000,
};
