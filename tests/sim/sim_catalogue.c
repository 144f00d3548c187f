/*
 * sim_catalogue.c: worlds of a catalogue: several workers create, rename, drop, bring back and
 * sweep a few tables, and write to them and read them meanwhile.
 *
 * The truth is worked out from the text of the catalogue's records: after each, which tables there
 * are, what they are called and how they live. Checked:
 *   - a name leads to one table; each change is of the version that it was decided on, in a life
 *     that allows it; a table is swept no sooner than its delay after it was dropped, and forgotten
 *     no sooner than the orphan age after that
 *   - who is told that a change was made finds it in the truth between question and answer; who is
 *     told that there is no such table, or that there is one already, finds a moment when it was so
 *   - a table's own log ends only when nobody can have the table back, and then for ever; no record
 *     of a table that may be had back is removed; nothing is acknowledged behind the end
 *   - rows that were acknowledged are in their table, whatever it is called, until it is swept, and
 *     in no other
 */
#include "sim.h"

#include "base/compress.h"
#include "base/json.h"
#include "base/text.h"
#include "log/log_int.h"
#include "lsm/lsm.h"
#include "query/query.h"
#include "table/instance_int.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NAMES = 3,
    TABLES_MAX = 40,
    JOBS_MAX = 96,
    RECORDS_MAX = 400,
    SKEW_MS = 10 * 60 * 1000,
    DROP_DELAY_MS = 3600 * 1000,
    ORPHAN_AGE_MS = 20 * 60 * 1000,
};

enum life { ABSENT, CREATING, LIVE, DROPPING, SWEEPING, FORGOTTEN };

struct table_truth {
    enum life life;
    bool complete, online;
    int name; /* -1: another */
    uint64_t version;
    int64_t since_ms;
};

struct past { /* the truth after a record of the catalogue */
    struct table_truth tables[TABLES_MAX];
    int names[NAMES];      /* the table's number, or -1 */
    unsigned given, freed; /* names in this record, a bit each; perhaps both, several share it */
    uint64_t settings_version;
    int64_t time_ms;
    uint64_t change; /* of the store */
};

struct job { /* one row, whose key and value are its number */
    int table;
    bool tried, told;
};

struct world {
    struct past *past;
    uint64_t n_records, seen, told;
    char ids[TABLES_MAX][27];
    uint64_t ended[TABLES_MAX]; /* the record that ended the table's own log */
    unsigned n_tables;
    struct job jobs[JOBS_MAX];
    unsigned n_jobs, n_operations;
    struct schema *schema;
    struct property_overrides overrides;
    struct log *shadow;
};

struct actor {
    struct store *store;
    struct instance *instance;
    struct table *table; /* opened before, under whatever name */
    struct query_engine *engine;
};

static struct world *world_of(const struct sim *sim)
{
    return sim->own;
}

/* ---- the truth ---- */

static int table_number(struct world *world, struct slice id, bool make)
{
    for (unsigned i = 0; i < world->n_tables; i++)
        if (slice_equal_text(id, world->ids[i])) return (int)i;
    if (!make || world->n_tables == TABLES_MAX || id.size != 26) return -1;
    memcpy(world->ids[world->n_tables], id.data, 26);
    return (int)world->n_tables++;
}

static int name_number(struct slice name)
{
    return name.size == 1 && name.data[0] >= 'a' && name.data[0] < 'a' + NAMES ? name.data[0] - 'a'
                                                                               : -1;
}

static struct slice text_of(const struct json *object, const char *name)
{
    struct slice text = SLICE_EMPTY;
    const struct json *value = json_find(object, name);
    if (value && json_as_string(value, &text) < 0) error_clear();
    return text;
}

static int64_t number_of(const struct json *object, const char *name)
{
    int64_t number = -1;
    const struct json *value = json_find(object, name);
    if (value && json_as_int(value, INT64_MIN, INT64_MAX, &number) < 0) error_clear();
    return number;
}

static void take_name(struct sim *sim, struct past *past, int name, int table)
{
    if (name < 0) return;
    if (past->names[name] >= 0)
        sim_broken(sim, "the name '%c' is given to table %d, but it is table %d's", 'a' + name,
                   table, past->names[name]);
    past->names[name] = table;
    past->tables[table].name = name;
    past->given |= 1u << name;
}

static void free_name(struct past *past, int table)
{
    for (int i = 0; i < NAMES; i++)
        if (past->names[i] == table) {
            past->names[i] = -1;
            past->freed |= 1u << i;
        }
}

/* The change wants one of the lives (bits) and makes another. */
static void enter(struct sim *sim, struct past *past, int number, unsigned from, enum life to,
                  const char *what)
{
    struct table_truth *table = &past->tables[number];
    if (!(from >> table->life & 1))
        sim_broken(sim, "%s of table %d, which is in life %d", what, number, table->life);
    if (table->life != to) table->since_ms = past->time_ms;
    table->life = to;
    table->version++;
}

static void truth_table(struct sim *sim, struct past *past, const struct json *json,
                        struct slice type)
{
    struct world *world = world_of(sim);
    struct slice id = text_of(json, "id");
    int number = table_number(world, id, slice_equal_text(type, "reserve_table"));
    int name = name_number(text_of(json, "name"));
    if (number < 0) {
        sim_broken(sim, "%.*s of a table that is not there", SLICE_PRINT(type));
        return;
    }
    struct table_truth *table = &past->tables[number];
    if (slice_equal_text(type, "reserve_table")) {
        if (table->life != ABSENT) sim_broken(sim, "table %d is created twice", number);
        *table = (struct table_truth){CREATING, false, true, -1, 1, past->time_ms};
        take_name(sim, past, name, number);
        return;
    }
    if ((uint64_t)number_of(json, "version") != table->version)
        sim_broken(sim, "%.*s of version %lld of table %d is taken, but it is at %llu",
                   SLICE_PRINT(type), (long long)number_of(json, "version"), number,
                   (unsigned long long)table->version);
    if (slice_equal_text(type, "table_live")) {
        enter(sim, past, number, 1u << CREATING, LIVE, "finishing");
        table->complete = true;
        sim_count(sim, SIM_EVENT_TABLE_CREATED);
    } else if (slice_equal_text(type, "rename_table")) {
        enter(sim, past, number, 1u << LIVE, LIVE, "renaming");
        free_name(past, number);
        take_name(sim, past, name, number);
        sim_count(sim, SIM_EVENT_TABLE_RENAMED);
    } else if (slice_equal_text(type, "drop_table")) {
        enter(sim, past, number, 1u << CREATING | 1u << LIVE, DROPPING, "dropping");
        free_name(past, number);
        sim_count(sim, SIM_EVENT_TABLE_DROPPED);
    } else if (slice_equal_text(type, "undrop_table")) {
        if (!table->complete) sim_broken(sim, "table %d comes back and was never whole", number);
        enter(sim, past, number, 1u << DROPPING, LIVE, "bringing back");
        take_name(sim, past, name, number);
        sim_count(sim, SIM_EVENT_TABLE_BACK);
    } else if (slice_equal_text(type, "sweep_table")) {
        if (past->time_ms - table->since_ms < DROP_DELAY_MS - SKEW_MS)
            sim_broken(sim, "table %d is swept %lld s after it was dropped", number,
                       (long long)(past->time_ms - table->since_ms) / 1000);
        enter(sim, past, number, 1u << DROPPING, SWEEPING, "sweeping");
        sim_count(sim, SIM_EVENT_TABLE_SWEPT);
    } else if (slice_equal_text(type, "forget_table")) {
        if (past->time_ms - table->since_ms < ORPHAN_AGE_MS - SKEW_MS)
            sim_broken(sim, "table %d is forgotten %lld s after it was swept", number,
                       (long long)(past->time_ms - table->since_ms) / 1000);
        if (!world_of(sim)->ended[number])
            sim_broken(sim, "table %d is forgotten, but its log goes on", number);
        enter(sim, past, number, 1u << SWEEPING, FORGOTTEN, "forgetting");
        sim_count(sim, SIM_EVENT_TABLE_FORGOTTEN);
    } else if (slice_equal_text(type, "set_online")) {
        enter(sim, past, number, 1u << LIVE, LIVE, "switching");
    } else {
        sim_broken(sim, "a type that nobody made: %.*s", SLICE_PRINT(type));
    }
}

static void truth_transaction(struct sim *sim, struct past *past, const struct json *json)
{
    struct slice type = text_of(json, "type");
    if (!slice_equal_text(type, "alter_instance")) {
        truth_table(sim, past, json, type);
        return;
    }
    if ((uint64_t)number_of(json, "version") != past->settings_version)
        sim_broken(sim, "settings of version %lld are taken, but they are at %llu",
                   (long long)number_of(json, "version"),
                   (unsigned long long)past->settings_version);
    past->settings_version++;
}

/* An entry that waited: only apply() knows whether its condition held. */
static void truth_entry(struct sim *sim, struct past *past, const struct json *json,
                        uint64_t record)
{
    struct world *world = world_of(sim);
    const struct json *transaction = json_find(json, "transaction");
    if (!slice_equal_text(text_of(json, "log"), "pending") || !transaction || !world->shadow) {
        sim_broken(sim, "a line of the catalogue that is strange");
        return;
    }
    if (log_catch_up(world->shadow, 0) < 0) {
        sim_broken(sim, "record %llu cannot be read: %s", (unsigned long long)record,
                   error_message());
        return;
    }
    const struct log_state *state = log_state_acquire(world->shadow);
    struct log_decided decided;
    bool known = log_version_decided(log_version_of(state), text_of(json, "id"), &decided);
    sim_count(sim, SIM_EVENT_CARRIED_BY_OTHERS);
    if (known && decided.record == record && decided.applied && !decided.already_done)
        truth_transaction(sim, past, transaction);
    log_state_release(state);
}

static void truth_take(struct sim *sim, uint64_t record, struct slice object)
{
    struct world *world = world_of(sim);
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct json *json;
    const char *end = memchr(object.data, '\n', object.size);
    if (record != world->n_records + 1 || record >= RECORDS_MAX || !end) {
        sim_broken(sim, "record %llu was put, but the catalogue ends at %llu",
                   (unsigned long long)record, (unsigned long long)world->n_records);
        return;
    }
    struct past *past = &world->past[record];
    *past = world->past[record - 1];
    past->change = sim->n_changes;
    past->given = past->freed = 0;
    if (json_parse(&arena, slice_make(object.data, (size_t)(end - object.data)),
                   JSON_RULES_INTERNAL, &json) == 0)
        past->time_ms = number_of(json, "time");
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
        else if (text_of(json, "log").size)
            truth_entry(sim, past, json, record);
        else
            truth_transaction(sim, past, json);
        rest = slice_part(rest, size + 1, rest.size);
    }
    world->n_records = record;
}

/* "<folder><20 digits>": the number; 0: something else. */
static uint64_t record_in(struct slice name)
{
    uint64_t number = 0;
    if (name.size != 20) return 0;
    for (size_t i = 0; i < 20; i++) {
        if (name.data[i] < '0' || name.data[i] > '9') return 0;
        number = number * 10 + (uint64_t)(name.data[i] - '0');
    }
    return number;
}

/* "tables/<id>/log/<20 digits>": the number, and the table's; 0: something else. */
static uint64_t own_record_in(struct world *world, struct slice key, int *table)
{
    if (!slice_starts_with(key, SLICE("tables/")) || key.size < 38) return 0;
    *table = table_number(world, slice_part(key, 7, 26), false);
    if (*table < 0 || !slice_starts_with(slice_part(key, 33, key.size), SLICE("/log/"))) return 0;
    return record_in(slice_part(key, 38, key.size));
}

static enum life life_now(const struct world *world, int table)
{
    return world->past[world->n_records].tables[table].life;
}

static void was_put(struct sim *sim, struct sim_worker *by, struct slice key, struct slice body,
                    bool created)
{
    (void)by;
    struct world *world = world_of(sim);
    int table;
    if (!created) return;
    if (slice_starts_with(key, SLICE("catalogue/log/"))) {
        uint64_t record = record_in(slice_part(key, 14, key.size));
        if (record > world->n_records)
            truth_take(sim, record, body);
        else if (record)
            sim_count(sim, SIM_EVENT_GHOST_PUT);
        else if (slice_starts_with(key, SLICE("catalogue/log/trimmed/")))
            sim_count(sim, SIM_EVENT_TRIMMED);
        return;
    }
    uint64_t record = own_record_in(world, key, &table);
    if (!record || !memmem(body.data, body.size, "{\"type\":\"drop\"}", 15)) return;
    if (world->ended[table]) return; /* a ghost, or a second sweeper's entry */
    world->ended[table] = record;
    sim_count(sim, SIM_EVENT_ENDED);
    if (life_now(world, table) != SWEEPING && life_now(world, table) != FORGOTTEN)
        sim_broken(sim, "the log of table %d ends, which is in life %d", table,
                   life_now(world, table));
}

static void was_removed(struct sim *sim, struct sim_worker *by, struct slice key)
{
    (void)by;
    struct world *world = world_of(sim);
    int table;
    if (own_record_in(world, key, &table) && !world->ended[table])
        sim_broken(sim, "%.*s is removed, but its log has not ended", SLICE_PRINT(key));
}

static void was_undone(struct sim *sim, struct slice key, uint64_t number, bool is_there)
{
    struct world *world = world_of(sim);
    int table;
    if (is_there) return;
    if (slice_starts_with(key, SLICE("catalogue/log/")) &&
        world->past[world->n_records].change == number) {
        world->n_records--;
        sim_count(sim, SIM_EVENT_RECORD_UNDONE);
    }
    uint64_t record = own_record_in(world, key, &table);
    if (record && world->ended[table] == record) world->ended[table] = 0;
}

static void shadow_open(struct sim *sim)
{
    struct world *world = world_of(sim);
    struct log_options options = {.block_slots = world->overrides.log_block_slots,
                                  .read_only = true,
                                  .snapshot_by_hand = true};
    if (log_open(&sim->runtime, sim->store, SLICE("catalogue/"), catalogue_log_machine(), &options,
                 &world->shadow) < 0)
        sim_broken(sim, "a handle of its own: %s", error_message());
}

static void power_lost(struct sim *sim)
{
    struct world *world = world_of(sim);
    if (world->told > world->n_records)
        sim_broken(sim, "record %llu, which was acknowledged, is lost with the power",
                   (unsigned long long)world->told);
    for (unsigned i = 0; i < world->n_tables; i++)
        if (world->ended[i] && life_now(world, (int)i) != SWEEPING &&
            life_now(world, (int)i) != FORGOTTEN)
            sim_broken(sim, "table %u can be had back, but its log has ended", i);
    if (world->seen > world->n_records) world->seen = world->n_records;
    log_close(world->shadow);
    world->shadow = NULL;
    shadow_open(sim);
}

/* ---- workers ---- */

static bool passing(int code)
{
    return code == GLIS_EIO || code == GLIS_ERETRY || code == GLIS_EUNKNOWN ||
           code == GLIS_ETIMEOUT || code == GLIS_ECANCELLED;
}

/* Everything that nobody can have caused by something else. */
static bool did(struct sim_worker *worker, int code, const char *what)
{
    struct sim *sim = worker->sim;
    sim_trace(sim, "%s: %s", what, code < 0 ? error_message() : "ok");
    if (worker->dead) return false;
    if (code >= 0) return true;
    if (code == GLIS_EREFUSED && strstr(error_message(), "clock"))
        sim_count(sim, SIM_EVENT_CLOCK_REFUSED);
    else if (code == GLIS_EUNKNOWN)
        sim_count(sim, SIM_EVENT_UNKNOWN);
    else if (!passing(code) && code != GLIS_EREFUSED)
        sim_broken(sim, "worker %u, %s: %s: %s", worker->number, what, error_code_name(code),
                   error_message());
    return false;
}

static void end(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    query_engine_free(actor->engine);
    table_close(actor->table);
    instance_close(actor->instance);
    store_close(actor->store);
    *actor = (struct actor){0};
}

static bool begin(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    struct world *world = world_of(worker->sim);
    while (sim_goes_on(worker->sim)) {
        actor->store = sim_worker_begin(worker);
        int code =
            instance_open(&worker->runtime, actor->store, 0, &world->overrides, &actor->instance);
        if (code == 0)
            code = query_engine_new(&actor->engine, &worker->runtime, &worker->budget, 1 << 14);
        (void)did(worker, code, "opens");
        if (code == 0) return true;
        end(worker);
    }
    return false;
}

static bool live(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    if (!worker->dead && actor->instance) return true;
    end(worker);
    return begin(worker);
}

/* The first record from `since` on at which a name was free, or led to a table; `whole`: not one
 * that is being created. 0: there is none. */
static uint64_t name_was(const struct world *world, int name, bool taken, bool whole,
                         uint64_t since)
{
    for (uint64_t record = since; record <= world->n_records; record++) {
        const struct past *past = &world->past[record];
        int table = past->names[name];
        bool is = table >= 0 && (!whole || past->tables[table].life == LIVE);
        if (is == taken || (taken ? past->given : past->freed) >> name & 1) return record;
    }
    return 0;
}

/* The first record above `since` that gave the name to another table, or to none; 0: there is
 * none. */
static uint64_t name_changed(const struct world *world, int name, bool to_some, uint64_t since)
{
    for (uint64_t record = since + 1; record <= world->n_records; record++)
        if ((to_some ? world->past[record].given : world->past[record].freed) >> name & 1)
            return record;
    return 0;
}

static void check_changed(struct sim *sim, uint64_t record, const char *what, int name)
{
    struct world *world = world_of(sim);
    if (!record) sim_broken(sim, "'%c': %s, it is said, and that never was", 'a' + name, what);
    if (record > world->seen) world->seen = record;
    if (record > world->told) world->told = record;
}

static void check_told(struct sim *sim, bool so, const char *what, int name)
{
    if (!so) sim_broken(sim, "%s '%c': it is said to be so, and never was", what, 'a' + name);
}

static void create(struct sim_worker *worker, int name, uint64_t known)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    char text[2] = {(char)('a' + name), 0};
    static const struct setting settings[] = {
        {SLICE("glis.table.parquet.compression.codec"), SLICE("uncompressed")}};
    struct table_definition definition = {.name = slice_from_text(text),
                                          .schema = world->schema,
                                          .settings = settings,
                                          .n_settings = 1};
    int code = table_create(actor->instance, &definition, NULL);
    if (code == GLIS_EEXISTS && !worker->dead) {
        check_told(sim, name_was(world, name, true, true, known), "there is a table", name);
        return;
    }
    if (!did(worker, code, "creates a table")) return;
    check_changed(sim, name_was(world, name, true, true, known), "a table was created", name);
}

static void forget_handle(struct actor *actor)
{
    table_close(actor->table);
    actor->table = NULL;
}

static void reopen(struct sim_worker *worker, int name, uint64_t known)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    char text[2] = {(char)('a' + name), 0};
    forget_handle(actor);
    int code = table_open(actor->instance, slice_from_text(text), &actor->table);
    if (code < 0) actor->table = NULL;
    if (worker->dead) return;
    if (code == GLIS_ENOTFOUND) {
        check_told(sim, name_was(world, name, false, true, known), "there is no table", name);
        return;
    }
    if (!did(worker, code, "opens a table")) return;
    int number = table_number(world, table_id(actor->table), false);
    bool was = false;
    for (uint64_t record = known; number >= 0 && record <= world->n_records; record++)
        was |= world->past[record].names[name] == number &&
               world->past[record].tables[number].life == LIVE;
    check_told(sim, was, "this is the table", name);
}

/* Of worlds. In those of drops tables go, are swept, and are written to all the same; in
 * those of creations several begin a table of the same name, and die. */
enum sort { MIXED, DROPS, CREATIONS };

static const struct sim_family families[] = {
    {.name = "mixed", .sort = MIXED, .power = SIM_POWER_MAYBE},
    {.name = "drops", .sort = DROPS},
    {.name = "power",
     .sort = MIXED,
     .power = SIM_POWER_ALWAYS,
     .n_deadly = 3,
     .deadly = {NULL, "/log/0", "catalogue/log/0"}},
    {.name = "creations with power",
     .sort = CREATIONS,
     .power = SIM_POWER_ALWAYS,
     .n_deadly = 1,
     .deadly = {"/log/0"}},
    {.name = "drops with power",
     .sort = DROPS,
     .power = SIM_POWER_ALWAYS,
     .n_deadly = 1,
     .deadly = {"catalogue/log/0"}},
};

/* Rename, drop, undrop: codes that speak of the name are true at some moment. */
static void change(struct sim_worker *worker, struct sim_random *random, int name, uint64_t known)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    char from[2] = {(char)('a' + name), 0}, to[2] = {0};
    unsigned sort = (unsigned)sim_draw(random, 10);
    int other = (int)sim_draw(random, NAMES), code;
    if (sim->family->sort == DROPS && sim_draw(random, 3)) sort = 3;
    uint64_t before = world->n_records; /* nobody else's */
    to[0] = (char)('a' + other);
    if (sort < 3) {
        if (other == name) return;
        code = table_rename(actor->instance, slice_from_text(from), slice_from_text(to));
        if (code == 0 && did(worker, code, "renames a table"))
            check_changed(sim, name_changed(world, other, true, before), "a table was renamed",
                          other);
    } else if (sort < 6) {
        code = table_drop(actor->instance, slice_from_text(from));
        if (code == 0 && did(worker, code, "drops a table"))
            check_changed(sim, name_changed(world, name, false, before), "a table was dropped",
                          name);
    } else if (sort < 9) {
        code = table_undrop(actor->instance, slice_from_text(from), slice_from_text(to));
        if (code == 0 && did(worker, code, "brings a table back"))
            check_changed(sim, name_changed(world, other, true, before), "a table came back",
                          other);
        if (code == GLIS_ENOTFOUND) return;
    } else {
        code = table_set_online(actor->instance, slice_from_text(from), sim_draw(random, 2));
    }
    if (code == 0 || worker->dead) return;
    if (code == GLIS_ENOTFOUND)
        check_told(sim, name_was(world, name, false, sort < 3 || sort == 9, known),
                   "there is no table", name);
    else if (code == GLIS_EEXISTS)
        check_told(sim, name_was(world, other, true, false, known), "there is a table", other);
    else
        (void)did(worker, code, "changes a table");
}

/* A change that the table's life does not allow, of its present version. */
static void propose(struct sim_worker *worker, struct sim_random *random)
{
    static const char *const types[] = {"table_live",   "rename_table", "drop_table",
                                        "undrop_table", "sweep_table",  "forget_table"};
    static const unsigned allowed[] = {1u << CREATING, 1u << LIVE,     1u << CREATING | 1u << LIVE,
                                       1u << DROPPING, 1u << DROPPING, 1u << SWEEPING};
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    if (world->n_tables == 0) return;
    unsigned number = (unsigned)sim_draw(random, world->n_tables), which;
    const struct table_truth table = world->past[world->n_records].tables[number];
    if (table.life == ABSENT) return; /* lost with the power */
    if (table.life == CREATING) {     /* its creator has no chance then, and it was never whole */
        which = 2;
    } else if (table.life == DROPPING && !table.complete) {
        which = 3;
    } else {
        which = (unsigned)sim_draw(random, 6);
        if (allowed[which] >> table.life & 1) return;
    }
    char name[2] = {(char)('a' + sim_draw(random, NAMES)), 0};
    struct table_change change = {
        types[which], which == 1 || which == 3 ? slice_from_text(name) : SLICE_EMPTY, -1};
    int code = table_commit_change(actor->instance, slice_from_text(world->ids[number]),
                                   table.version, &change);
    sim_trace(sim, "proposes %s of table %u: %s", types[which], number,
              code < 0 ? error_message() : "taken");
    if (!worker->dead && code < 0) (void)did(worker, code, "proposes a change");
}

static void sweep(struct sim_worker *worker, struct sim_random *random)
{
    if (worker->sim->power_step && sim_draw(random, 3) == 0)
        worker->crash_in = 1 + (unsigned)sim_draw(random, 14);
    struct actor *actor = worker->own;
    struct arena arena defer_arena = ARENA_EMPTY;
    struct table_entry *entries;
    size_t n;
    uint64_t removed = 0;
    if (!did(worker, instance_tables(actor->instance, true, &arena, &entries, &n), "lists tables"))
        return;
    for (size_t i = 0; i < n && !worker->dead; i++)
        if (entries[i].life != TABLE_LIVE)
            (void)did(worker, table_sweep(actor->instance, &entries[i], false, &removed), "sweeps");
}

/* ---- rows ---- */

static int ingest(struct world *world, struct table *table, struct runtime *runtime, unsigned job,
                  struct ingest_result *result)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct batch_builder *builder;
    struct batch *batch;
    struct batch_stream *stream;
    char name[24];
    snprintf(name, sizeof(name), "job%u", job);
    struct ingest_options options = {.job_id = slice_from_text(name)};
    ASSERT(batch_builder_new(&builder, world->schema, NULL) == 0);
    ASSERT(column_builder_append_integer(batch_builder_column(builder, 0), job) == 0);
    ASSERT(column_builder_append_integer(batch_builder_column(builder, 1), job) == 0);
    ASSERT(batch_builder_end_row(builder) == 0);
    ASSERT(batch_builder_finish(builder, &batch) == 0);
    batch_builder_free(builder);
    int code = batch_stream_of(world->schema, &batch, 1, &stream);
    batch_release(batch);
    ASSERT(code == 0);
    return ingest_stream(table, runtime, stream, &options, &arena, result);
}

static void write_row(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    int table = table_number(world, table_id(actor->table), false);
    bool again = world->n_jobs && sim_draw(random, 4) == 0;
    unsigned number = again ? (unsigned)sim_draw(random, world->n_jobs) : world->n_jobs;
    if (number == JOBS_MAX || table < 0) return;
    if (!again) world->jobs[world->n_jobs++] = (struct job){.table = table};
    struct job *job = &world->jobs[number];
    if (job->table != table) return; /* of another table */
    struct ingest_result result;
    job->tried = true;
    int code = ingest(world, actor->table, &worker->runtime, number, &result);
    sim_trace(sim, "adds row %u to table %d: %s", number, table, code < 0 ? error_message() : "ok");
    if (worker->dead) return;
    if (code == 0) {
        job->told = true;
        sim_count(sim, result.already_done ? SIM_EVENT_ALREADY_DONE : SIM_EVENT_INGESTED);
        if (world->ended[table] && result.record >= world->ended[table])
            sim_broken(sim, "row %u is said to be in record %llu of table %d, which ended at %llu",
                       number, (unsigned long long)result.record, table,
                       (unsigned long long)world->ended[table]);
        return;
    }
    if (world->ended[table]) {
        sim_count(sim, SIM_EVENT_AFTER_END);
        return; /* whatever it says, it failed */
    }
    if (code == GLIS_EREFUSED && !strstr(error_message(), "clock") &&
        life_now(world, table) < DROPPING)
        sim_broken(sim, "a row is refused by table %d, which lives: %s", table, error_message());
    (void)did(worker, code, "adds a row");
}

/* Everything that the table holds. */
static int read_rows(struct sim *sim, struct query_engine *engine, struct table *table, bool *got)
{
    struct world *world = world_of(sim);
    struct arena arena defer_arena = ARENA_EMPTY;
    struct query query;
    struct batch_stream *answer;
    query_everything(world->schema, &arena, &query);
    memset(got, 0, JOBS_MAX * sizeof(*got));
    TRY(query_open(engine, table, &query, &answer));
    int code;
    for (;;) {
        struct batch *batch;
        code = batch_stream_next(answer, &batch);
        if (code < 0 || !batch) break;
        for (int64_t at = 0; at < batch->n_rows; at++) {
            struct value value;
            column_value(&batch->columns[1], at, &value);
            if (value.integer < 0 || value.integer >= world->n_jobs)
                sim_broken(sim, "a row that nobody wrote");
            else if (got[value.integer])
                sim_broken(sim, "row %lld is there twice", (long long)value.integer);
            else
                got[value.integer] = true;
        }
        batch_release(batch);
    }
    batch_stream_close(answer);
    return code;
}

static void check_rows(struct sim *sim, int table, const bool *got, const bool *wanted)
{
    const struct world *world = world_of(sim);
    for (unsigned i = 0; i < world->n_jobs; i++) {
        const struct job *job = &world->jobs[i];
        if (got[i] && (job->table != table || !job->tried))
            sim_broken(sim, "row %u is in table %d and should not be", i, table);
        if (!got[i] && job->table == table && wanted[i])
            sim_broken(sim, "row %u is missing in table %d", i, table);
    }
}

static void read_table(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    bool got[JOBS_MAX], wanted[JOBS_MAX] = {false};
    int table = table_number(world, table_id(actor->table), false);
    for (unsigned i = 0; i < world->n_jobs; i++)
        wanted[i] = world->jobs[i].told;
    int code = read_rows(sim, actor->engine, actor->table, got);
    if (worker->dead || table < 0) return;
    if (world->ended[table]) return; /* it is being taken away */
    if (!did(worker, code, "reads a table")) return;
    check_rows(sim, table, got, wanted);
}

static void do_trim(struct sim_worker *worker, struct sim_random *random)
{
    struct actor *actor = worker->own;
    struct log_trim_result result;
    struct table_trim_options options = {
        .keep_given = true, .keep = sim_draw(random, 3), .full = sim_draw(random, 2)};
    if (sim_draw(random, 3) &&
        !did(worker, log_snapshot_write(actor->instance->log), "writes a snapshot"))
        return;
    (void)did(worker, instance_trim(actor->instance, &options, &result), "trims the catalogue");
}

static void do_alter(struct sim_worker *worker, struct sim_random *random)
{
    static const char *const values[] = {"1G", "2G", "3G"};
    struct actor *actor = worker->own;
    struct setting setting = {SLICE("glis.ingest.memory"),
                              slice_from_text(values[sim_draw(random, 3)])};
    (void)did(worker, instance_alter(actor->instance, &setting, 1), "alters the instance");
}

static void play(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    static const int64_t jumps_s[] = {60, 1300, 4500, 4500, 90000};
    if (!begin(worker)) return;
    for (unsigned i = 0; i < world->n_operations && sim_goes_on(sim); i++) {
        struct sim_random random;
        if (!sim_operation(worker, &random)) continue;
        unsigned sort = (unsigned)sim_draw(&random, 32);
        if (sim->family->sort == DROPS && sim_draw(&random, 3) == 0) {
            static const unsigned more[] = {14, 14, 18, 18, 26, 26}; /* sweeps, time, rows */
            sort = more[sim_draw(&random, 6)];
        }
        int name = (int)sim_draw(&random, NAMES);
        if (sim->family->sort == CREATIONS && sim_draw(&random, 2)) sort = name = 0;
        uint64_t known = world->seen;
        if (sim->fault_chance[SIM_CRASH] && sim_draw(&random, 10) == 0)
            worker->crash_in = 1 + (unsigned)sim_draw(&random, 30);
        if (sort < 6)
            create(worker, name, known);
        else if (sort < 14)
            change(worker, &random, name, known);
        else if (sort < 18)
            sweep(worker, &random);
        else if (sort < 20)
            sim->now_ns += jumps_s[sim_draw(&random, 5)] * 1000000000;
        else if (sort < 22)
            do_trim(worker, &random);
        else if (sort < 23 && sim_draw(&random, 3) == 0)
            do_alter(worker, &random);
        else if (sort < 24)
            propose(worker, &random);
        else if (!actor->table || (sort < 26 && sim->family->sort != DROPS))
            reopen(worker, name, known);
        else if (sort < 30)
            write_row(worker, &random);
        else
            read_table(worker);
        if (!live(worker)) return;
    }
    end(worker);
}

/* ---- the kind ---- */

static void must(struct sim *sim, int code, const char *what)
{
    if (code < 0) sim_broken(sim, "%s: %s: %s", what, error_code_name(code), error_message());
}

static void build(struct sim *sim)
{
    struct world *world = memory_alloc_zero(sizeof(*world));
    struct sim_random *r = &sim->build;
    sim->own = world;
    world->past = memory_alloc_zero(RECORDS_MAX * sizeof(*world->past));
    world->overrides.log_block_slots = 2 + (unsigned)sim_draw(r, 6);
    world->n_operations = 6 + (unsigned)sim_draw(r, 10);
    for (int i = 0; i < SIM_FAULT_KINDS; i++)
        if (i != SIM_CLOCK && i != SIM_POWER) sim->fault_chance[i] /= 2;
    if (sim->family->sort == DROPS && !sim->local) /* who dies does not write to what is gone */
        sim->fault_chance[SIM_CRASH] = 0;
    struct field fields[] = {{SLICE("k"), {.kind = TYPE_INT64}, false},
                             {SLICE("v"), {.kind = TYPE_INT64}, false}};
    must(sim, schema_new(&world->schema, fields, 2, 1, 0), "a schema");
    struct setting settings[] = {{SLICE("glis.gc.orphan.age"), SLICE("20m")},
                                 {SLICE("glis.table.drop.delay"), SLICE("1h")}};
    must(sim, instance_init(&sim->runtime, sim->store, settings, 2), "an instance");
    for (int i = 0; i < NAMES; i++)
        world->past[1].names[i] = -1;
    world->past[1].settings_version = 1;
    world->past[1].time_ms = sim_now_ms(sim);
    world->n_records = world->seen = world->told = 1;
    shadow_open(sim);
    unsigned n = 2 + (unsigned)sim_draw(r, 3);
    for (unsigned i = 0; i < n; i++)
        sim_worker_add(sim, play, memory_alloc_zero(sizeof(struct actor)));
}

static void judge_table(struct sim *sim, struct instance *instance, struct query_engine *engine,
                        int number, struct slice name)
{
    struct world *world = world_of(sim);
    struct table *table = NULL;
    bool got[JOBS_MAX], wanted[JOBS_MAX] = {false};
    for (unsigned i = 0; i < world->n_jobs; i++)
        wanted[i] = world->jobs[i].told;
    must(sim, table_open(instance, name, &table), "a table in the end");
    if (!table) return;
    if (!slice_equal_text(table_id(table), world->ids[number]))
        sim_broken(sim, "in the end the name of table %d leads elsewhere", number);
    must(sim, read_rows(sim, engine, table, got), "the rows in the end");
    if (sim_goes_on(sim)) check_rows(sim, number, got, wanted);
    table_close(table);
}

/* The log of a table that was swept has ended, whatever came late. */
static void judge_ended(struct sim *sim, int number)
{
    struct world *world = world_of(sim);
    struct log *log = NULL;
    char prefix[64];
    struct log_options options = {.block_slots = world->overrides.log_block_slots,
                                  .read_only = true,
                                  .snapshot_by_hand = true};
    snprintf(prefix, sizeof(prefix), "tables/%s/", world->ids[number]);
    must(sim,
         log_open(&sim->runtime, sim->store, slice_from_text(prefix), table_log_machine(), &options,
                  &log),
         "the log of a table that was swept");
    if (!log) return;
    const struct log_state *state = log_state_acquire(log);
    if (!state->ended) sim_broken(sim, "the log of table %d lives again", number);
    log_state_release(state);
    log_close(log);
}

static void judge(struct sim *sim)
{
    struct world *world = world_of(sim);
    struct arena arena defer_arena = ARENA_EMPTY;
    struct instance *instance = NULL;
    struct query_engine *engine = NULL;
    const struct past past = world->past[world->n_records];
    must(sim, instance_open(&sim->runtime, sim->store, 0, &world->overrides, &instance), "the end");
    if (instance) must(sim, query_engine_new(&engine, &sim->runtime, &sim->budget, 1 << 14), "it");
    if (engine) must(sim, instance_validate(instance), "the catalogue");
    for (unsigned i = 0; i < world->n_tables && sim_goes_on(sim); i++) {
        const struct table_truth *table = &past.tables[i];
        struct slice id = slice_from_text(world->ids[i]);
        if (world->ended[i]) judge_ended(sim, (int)i);
        if (table->life == LIVE && table->name >= 0) {
            char name[2] = {(char)('a' + table->name), 0};
            if (past.names[table->name] != (int)i) sim_broken(sim, "a live table has no name");
            judge_table(sim, instance, engine, (int)i, slice_from_text(name));
        } else if (table->life == DROPPING && table->complete) {
            struct slice name = slice_from_text(arena_printf(&arena, "back%u", i));
            must(sim, table_undrop(instance, id, name), "a dropped table comes back");
            if (sim_goes_on(sim)) judge_table(sim, instance, engine, (int)i, name);
        }
    }
    query_engine_free(engine);
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
    free(world);
}

const struct sim_kind sim_catalogue_kind = {
    .name = "catalogue",
    .families = families,
    .n_families = sizeof(families) / sizeof(*families),
    .build = build,
    .judge = judge,
    .tear = tear,
    .was_put = was_put,
    .was_removed = was_removed,
    .was_undone = was_undone,
    .power_lost = power_lost,
    .steps_max = 40000,
    .calm_step = 5000,
};
