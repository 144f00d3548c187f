/*
 * sim_log.c: worlds of a log alone: writers, readers and trimmers on a machine that is a set of
 * numbered transactions.
 *
 *   {"type":"add","n":5}               refused once it was applied
 *   {"type":"add","n":5,"unless":3}    refused also while 3 is in
 *   {"type":"ensure","n":5}            already done once it was applied
 *   {"type":"lift","n":6,"of":3}       takes 3 out; refused once it was applied
 *   {"type":"raise","n":8,"to":2}      bodies begun below record 2 are refused from now on
 *   {"type":"drop","n":7}              the log ends
 *
 * The truth, which no worker sees, is the list of the first occupants of the slots and the state
 * after each, worked out here from the records' text by a reading of the format that shares nothing
 * with the log's own code but the JSON parser. Checked at every step:
 *   - a record is put on the state of the true history before it: its number follows, its
 *     `previous` is the id there, its direct transactions are allowed
 *   - a commit that is answered OK is in the truth, in the record named; one refused or failed for
 *     sure is not in it and never comes; none is applied twice
 *   - a catch-up gives a state of the truth that holds all that anybody was told of before it began
 *   - a snapshot is a state of the truth; a marked block is covered by a snapshot, always
 *   - GLIS_EUNKNOWN is answered only when a block was trimmed or a deadline ended
 *   - what the power takes away nobody was told of, and no snapshot knows it; no marker that it
 *     takes away stood for records that are gone
 *   - time goes back only where it was set
 * In the end a fresh handle reads the truth, and everybody has finished.
 */
#include "sim.h"

#include "base/json.h"
#include "base/mutant.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TRANSACTIONS_MAX = 128,
    RECORDS_MAX = 400,
    DECIDED_MAX = 64,
    SNAPSHOTS_MAX = 256,
    BODIES_MAX = 128,
    ENTRIES_MAX = 128,
    TOGETHER_MAX = 3,
};

/* ---- the machine ---- */

struct state {
    bool in[TRANSACTIONS_MAX], ever[TRANSACTIONS_MAX];
    bool ended;
    uint64_t horizon; /* bodies begun below this record are refused */
};

static int state_new(void *context, void **out)
{
    (void)context;
    *out = memory_alloc_zero(sizeof(struct state));
    return 0;
}

static int state_clone(void *context, const void *state, void **out)
{
    (void)context;
    *out = memory_alloc(sizeof(struct state));
    memcpy(*out, state, sizeof(struct state));
    return 0;
}

static void state_free(void *context, void *state)
{
    (void)context;
    free(state);
}

static int state_apply(void *context, void *opaque, const struct log_record_info *info,
                       const struct json *transaction)
{
    (void)context;
    struct state *state = opaque;
    struct slice type;
    int64_t n, other = -1;
    TRY(json_get_string(transaction, "type", &type));
    TRY(json_get_int(transaction, "n", 0, TRANSACTIONS_MAX - 1, &n));
    int64_t to = 0;
    bool lift = slice_equal_text(type, "lift");
    TRY(json_optional_int(transaction, lift ? "of" : "unless", 0, TRANSACTIONS_MAX - 1, &other));
    TRY(json_optional_int(transaction, "to", 0, INT32_MAX, &to));
    if (state->ended) return error_set(GLIS_EREFUSED, "it was dropped");
    if (state->ever[n] && slice_equal_text(type, "ensure")) return LOG_ALREADY_DONE;
    if (state->ever[n] && !GLIS_MUTANT(false_once_applied))
        return error_set(GLIS_EREFUSED, "%lld had been done", (long long)n);
    if (lift ? !state->in[other] : other >= 0 && state->in[other])
        return error_set(GLIS_EREFUSED, "%lld is barred", (long long)n);
    if (info->has_body && info->body_begun < state->horizon && !GLIS_MUTANT(body_horizon))
        return error_set(GLIS_EREFUSED, "%lld was begun too long ago", (long long)n);
    if ((uint64_t)to > state->horizon) state->horizon = (uint64_t)to;
    if (lift)
        state->in[other] = false;
    else if (slice_equal_text(type, "drop"))
        state->ended = true;
    state->in[n] = state->ever[n] = true;
    return 0;
}

static bool state_is_ended(void *context, const void *state)
{
    (void)context;
    return ((const struct state *)state)->ended;
}

static uint64_t state_bytes(void *context, const void *state)
{
    (void)context, (void)state;
    return 200;
}

/* The log's part, a line end, one character a transaction, and the horizon. */
static int snapshot_write(void *context, const void *opaque, struct slice part, struct buffer *out)
{
    (void)context;
    const struct state *state = opaque;
    TRY(buffer_append_slice(out, part));
    TRY(buffer_append_byte(out, '\n'));
    TRY(buffer_append_byte(out, state->ended ? 'E' : '-'));
    for (unsigned i = 0; i < TRANSACTIONS_MAX; i++)
        TRY(buffer_append_byte(out, (uint8_t)('0' + state->in[i] + 2 * state->ever[i])));
    return buffer_append_slice(out, slice_make((const char *)&state->horizon, 8));
}

static bool snapshot_parse(struct slice bytes, struct slice *part, struct state *state)
{
    if (bytes.size < TRANSACTIONS_MAX + 10) return false;
    size_t at = bytes.size - TRANSACTIONS_MAX - 10;
    if (bytes.data[at] != '\n') return false;
    *part = slice_part(bytes, 0, at);
    memset(state, 0, sizeof(*state));
    state->ended = bytes.data[at + 1] == 'E';
    for (unsigned i = 0; i < TRANSACTIONS_MAX; i++) {
        int bits = bytes.data[at + 2 + i] - '0';
        state->in[i] = bits & 1;
        state->ever[i] = bits & 2;
    }
    memcpy(&state->horizon, bytes.data + bytes.size - 8, 8);
    return true;
}

static int snapshot_read(void *context, struct block *block, struct slice bytes,
                         struct arena *arena, struct slice *log_part, void **out)
{
    (void)context, (void)block;
    struct state *state = memory_alloc(sizeof(*state));
    struct slice part;
    if (!snapshot_parse(bytes, &part, state)) {
        free(state);
        return error_set(GLIS_ECORRUPT, "no snapshot");
    }
    *log_part = arena_copy(arena, part);
    *out = state;
    return 0;
}

static const struct log_machine machine = {
    .kind = "set",
    .state_new = state_new,
    .state_clone = state_clone,
    .state_free = state_free,
    .apply = state_apply,
    .is_ended = state_is_ended,
    .state_bytes = state_bytes,
    .snapshot_write = snapshot_write,
    .snapshot_read = snapshot_read,
};

/* ---- the world ---- */

struct decided {
    char id[72];
    uint64_t not_after;
    bool applied;
};

struct truth {       /* after a record */
    uint64_t change; /* of the store, that put it */
    struct state state;
    char id[LOG_ID_BYTES + 1];
    int64_t time_ms;
    struct decided decided[DECIDED_MAX];
    unsigned n_decided;
};

struct transaction {
    char text[200];
    unsigned owner;
    int unless, of;           /* -1: none */
    uint64_t record;          /* of the truth; 0: not applied */
    bool ok, never;           /* what its owner was told */
    bool may_have_been_asked; /* handed to a process that died or was told GLIS_EUNKNOWN */
};

struct world {
    struct log_options options;
    unsigned n_operations; /* of each worker */
    bool drops, deadlines;
    unsigned share_read, share_trim, share_snapshot; /* of 16 operations */
    struct truth *truth;                             /* [record]; 0: the empty log */
    uint64_t n_records;
    uint64_t seen; /* the newest record that anybody was told of */
    uint64_t told; /* by an answer to a commit, which outlasts the power */
    bool wild;     /* the clock of everything is a day ahead at times */
    bool crossed;  /* most transactions speak of one that was made shortly before */
    struct transaction transactions[TRANSACTIONS_MAX];
    unsigned n_transactions;
    struct {
        char name[64];
        char *text;
    } bodies[BODIES_MAX];
    unsigned n_bodies;
    struct {
        uint64_t record;
        bool ended, there;
        char name[64];
    } snapshots[SNAPSHOTS_MAX];
    unsigned n_snapshots;
    bool marks[RECORDS_MAX];
    uint64_t mark_step; /* of the first marker; 0: none */
    struct {
        char id[72];
        uint64_t not_after;
        bool over; /* decided, or counted as expired */
    } entries[ENTRIES_MAX];
    unsigned n_entries;
};

struct actor { /* a worker's own */
    struct log *log;
    struct store *store;
};

static struct world *world_of(const struct sim *sim)
{
    return sim->own;
}

/* ---- the truth ---- */

/* One transaction on the true state; false: refused. */
static bool truth_apply(struct sim *sim, struct truth *truth, const struct json *json,
                        uint64_t record, int64_t body_begun)
{
    struct world *world = world_of(sim);
    const struct json *type = json_find(json, "type"), *number = json_find(json, "n"),
                      *of = json_find(json, "of"), *unless = json_find(json, "unless"),
                      *raised = json_find(json, "to");
    struct slice name = SLICE_EMPTY;
    int64_t n = -1, other = -1, to = 0;
    if (!type || !number || json_as_string(type, &name) < 0 ||
        json_as_int(number, 0, TRANSACTIONS_MAX - 1, &n) < 0 ||
        (raised && json_as_int(raised, 0, INT32_MAX, &to) < 0) ||
        ((of || unless) && json_as_int(of ? of : unless, 0, TRANSACTIONS_MAX - 1, &other) < 0)) {
        sim_broken(sim, "record %llu holds a strange transaction", (unsigned long long)record);
        return false;
    }
    struct state *state = &truth->state;
    if (state->ended) return false;
    struct transaction *transaction = &world->transactions[n];
    if (slice_equal_text(name, "add") || slice_equal_text(name, "ensure")) {
        if (other >= 0 && state->in[other]) return false;
    } else if (slice_equal_text(name, "lift")) {
        if (!state->in[other]) return false;
    } else if (!slice_equal_text(name, "drop") && !slice_equal_text(name, "raise")) {
        sim_broken(sim, "a type that nobody made");
    }
    if (state->ever[n]) {
        /* Whoever does it again must be refused. */
        if (GLIS_MUTANT(false_once_applied))
            sim_broken(sim, "transaction %lld takes effect twice, in records %llu and %llu",
                       (long long)n, (unsigned long long)transaction->record,
                       (unsigned long long)record);
        return false;
    }
    if (body_begun >= 0 && (uint64_t)body_begun < state->horizon) return false;
    if ((uint64_t)to > state->horizon) state->horizon = (uint64_t)to;
    if (other >= 0 && slice_equal_text(name, "lift")) state->in[other] = false;
    if (slice_equal_text(name, "drop")) {
        state->ended = true;
        sim_count(sim, SIM_EVENT_ENDED);
    }
    state->in[n] = state->ever[n] = true;
    transaction->record = record;
    if (transaction->never)
        sim_broken(sim, "transaction %lld was said not to happen, but is in record %llu",
                   (long long)n, (unsigned long long)record);
    return true;
}

static const char *body_text(struct world *world, struct slice name)
{
    for (unsigned i = 0; i < world->n_bodies; i++)
        if (slice_equal_text(name, world->bodies[i].name)) return world->bodies[i].text;
    return NULL;
}

static void truth_line(struct sim *sim, struct arena *arena, struct truth *truth, struct slice line,
                       uint64_t record, bool *several, unsigned *writer)
{
    const struct json *json, *kind, *transaction;
    struct slice name = SLICE_EMPTY, id = SLICE_EMPTY;
    int64_t not_after = 0, body_begun = -1;
    if (json_parse(arena, line, JSON_RULES_INTERNAL, &json) < 0) {
        sim_broken(sim, "record %llu: a line is no JSON", (unsigned long long)record);
        return;
    }
    transaction = json;
    kind = json_find(json, "log");
    if (kind && json_as_string(kind, &name) == 0 && slice_equal_text(name, "pending")) {
        if (json_get_string(json, "id", &id) < 0 ||
            json_get_int(json, "not_after", 1, INT64_MAX, &not_after) < 0 ||
            json_get_object(json, "transaction", &transaction) < 0)
            sim_broken(sim, "a carried entry lacks something");
        kind = json_find(transaction, "log");
        name = SLICE_EMPTY;
        if (kind) (void)!json_as_string(kind, &name);
    }
    if (kind && slice_equal_text(name, "body")) {
        struct slice body = SLICE_EMPTY;
        const char *text = NULL;
        if (json_get_string(transaction, "name", &body) == 0) text = body_text(world_of(sim), body);
        body_begun = 0;
        for (size_t i = 0; i < 12 && i < body.size; i++)
            body_begun = body_begun * 16 +
                         (body.data[i] <= '9' ? body.data[i] - '0' : body.data[i] - 'a' + 10);
        if (!text ||
            json_parse(arena, slice_from_text(text), JSON_RULES_INTERNAL, &transaction) < 0) {
            sim_broken(sim, "record %llu names a body that was never put",
                       (unsigned long long)record);
            return;
        }
    }
    int64_t n;
    if (json_get_int(transaction, "n", 0, TRANSACTIONS_MAX - 1, &n) == 0) {
        unsigned owner = world_of(sim)->transactions[n].owner;
        if (*writer != UINT32_MAX && *writer != owner) *several = true;
        *writer = owner;
    }
    if (!not_after) {
        if (!truth_apply(sim, truth, transaction, record, body_begun))
            sim_broken(sim, "record %llu was put on a state that was never real",
                       (unsigned long long)record);
        return;
    }
    for (unsigned i = 0; i < truth->n_decided; i++)
        if (slice_equal_text(id, truth->decided[i].id)) {
            sim_count(sim, SIM_EVENT_DECIDED_TWICE);
            return;
        }
    if (record > (uint64_t)not_after || (uint64_t)not_after - record > LOG_PENDING_SLOTS) return;
    struct world *world = world_of(sim);
    for (unsigned i = 0; i < world->n_entries; i++)
        world->entries[i].over |= slice_equal_text(id, world->entries[i].id);
    bool applied = truth_apply(sim, truth, transaction, record, body_begun);
    if (truth->n_decided < DECIDED_MAX) {
        struct decided *decided = &truth->decided[truth->n_decided++];
        snprintf(decided->id, sizeof(decided->id), "%.*s", SLICE_PRINT(id));
        decided->not_after = (uint64_t)not_after;
        decided->applied = applied;
    }
}

/* The first occupant of a slot. */
static void truth_take(struct sim *sim, uint64_t record, struct slice object)
{
    struct world *world = world_of(sim);
    struct arena arena defer_arena = ARENA_EMPTY;
    if (record != world->n_records + 1 || record >= RECORDS_MAX) {
        sim_broken(sim, "record %llu was put, but the log ends at %llu", (unsigned long long)record,
                   (unsigned long long)world->n_records);
        return;
    }
    struct truth *before = &world->truth[record - 1], *truth = &world->truth[record];
    *truth = *before;
    const char *end = memchr(object.data, '\n', object.size);
    const struct json *header;
    struct slice id, previous;
    int64_t count = 0;
    if (!end ||
        json_parse(&arena, slice_make(object.data, (size_t)(end - object.data)),
                   JSON_RULES_INTERNAL, &header) < 0 ||
        json_get_string(header, "id", &id) < 0 ||
        json_get_string(header, "previous", &previous) < 0 ||
        json_get_int(header, "time", 0, INT64_MAX, &truth->time_ms) < 0 ||
        json_get_int(header, "count", 1, 10000, &count) < 0 || id.size != LOG_ID_BYTES) {
        sim_broken(sim, "record %llu has a strange header", (unsigned long long)record);
        return;
    }
    memcpy(truth->id, id.data, LOG_ID_BYTES);
    if (!slice_equal_text(previous, before->id) || before->state.ended)
        sim_broken(sim, "record %llu was put on a state that was never real",
                   (unsigned long long)record);
    truth->change = sim->n_changes;
    bool sets_time = memmem(object.data, object.size, "\n{\"log\":\"set_time\"", 18) != NULL;
    if (sets_time) {
        sim_count(sim, SIM_EVENT_TIME_SET);
        if (count != 1) sim_broken(sim, "a setting of the time in company");
    }
    if (!world->wild && truth->time_ms - sim_now_ms(sim) > LOG_CLOCK_SKEW_MS_MAX)
        sim_broken(sim, "record %llu lies %lld s ahead of the store's clock",
                   (unsigned long long)record,
                   (long long)(truth->time_ms - sim_now_ms(sim)) / 1000);
    if (truth->time_ms < before->time_ms && !sets_time)
        sim_broken(sim, "time goes back in record %llu", (unsigned long long)record);
    struct slice rest = slice_part(object, (size_t)(end - object.data) + 1, object.size);
    bool several = false;
    unsigned writer = UINT32_MAX;
    for (; rest.size && sim_goes_on(sim) && !sets_time; count--) {
        end = memchr(rest.data, '\n', rest.size);
        if (!end) break;
        size_t size = (size_t)(end - rest.data);
        truth_line(sim, &arena, truth, slice_part(rest, 0, size), record, &several, &writer);
        rest = slice_part(rest, size + 1, rest.size);
    }
    if (several) sim_count(sim, SIM_EVENT_COMBINED);
    char name[16];
    snprintf(name, sizeof(name), "w%u", writer);
    struct slice putter = SLICE_EMPTY;
    if (json_get_string(header, "writer", &putter) == 0 && !slice_equal_text(putter, name))
        sim_count(sim, SIM_EVENT_CARRIED_BY_OTHERS);
    for (unsigned i = 0; i < world->n_entries; i++)
        if (!world->entries[i].over && world->entries[i].not_after <= record) {
            world->entries[i].over = true;
            sim_count(sim, SIM_EVENT_EXPIRED);
        }
    unsigned n = 0;
    for (unsigned i = 0; i < truth->n_decided; i++)
        if (truth->decided[i].not_after >= record) truth->decided[n++] = truth->decided[i];
    truth->n_decided = n;
    world->n_records = record;
}

/* Whoever finds a marker must find a snapshot to begin again from. */
static void check_covered(struct sim *sim)
{
    struct world *world = world_of(sim);
    uint64_t top = 0;
    for (unsigned i = 0; i < world->n_snapshots; i++)
        if (world->snapshots[i].there) {
            if (world->snapshots[i].ended) return;
            if (world->snapshots[i].record > top) top = world->snapshots[i].record;
        }
    for (uint64_t block = 1; block < RECORDS_MAX; block++)
        if (world->marks[block] && block * world->options.block_slots > top)
            sim_broken(sim, "block %llu is marked, but not covered by any snapshot",
                       (unsigned long long)block);
}

static void take_snapshot(struct sim *sim, struct slice name, struct slice body)
{
    struct world *world = world_of(sim);
    struct arena arena defer_arena = ARENA_EMPTY;
    struct slice part, id;
    struct state state;
    const struct json *json, *decided;
    int64_t record;
    sim_count(sim, SIM_EVENT_SNAPSHOT);
    if (!snapshot_parse(body, &part, &state) ||
        json_parse(&arena, part, JSON_RULES_INTERNAL, &json) < 0 ||
        json_get_int(json, "record", 1, RECORDS_MAX - 1, &record) < 0 ||
        json_get_string(json, "id", &id) < 0 || json_get_array(json, "decided", &decided) < 0) {
        sim_broken(sim, "a snapshot that cannot be read");
        return;
    }
    struct truth *truth = &world->truth[record];
    if ((uint64_t)record > world->n_records || !slice_equal_text(id, truth->id) ||
        memcmp(&state, &truth->state, sizeof(state)) != 0)
        sim_broken(sim, "snapshot %lld is not a state of the true history", (long long)record);
    else if (decided->n_items != truth->n_decided)
        sim_broken(sim, "snapshot %lld remembers %zu decided entries, not %u", (long long)record,
                   decided->n_items, truth->n_decided);
    if (world->n_snapshots == SNAPSHOTS_MAX) return;
    world->snapshots[world->n_snapshots].record = (uint64_t)record;
    world->snapshots[world->n_snapshots].ended = state.ended;
    world->snapshots[world->n_snapshots].there = true;
    snprintf(world->snapshots[world->n_snapshots++].name, 64, "%.*s", SLICE_PRINT(name));
}

/* "t/log/<20 digits>": the number; 0: something else. */
static uint64_t number_in(struct slice key, struct slice folder)
{
    if (!slice_starts_with(key, folder) || key.size != folder.size + 20) return 0;
    uint64_t number = 0;
    for (size_t i = folder.size; i < key.size; i++) {
        if (key.data[i] < '0' || key.data[i] > '9') return 0;
        number = number * 10 + (uint64_t)(key.data[i] - '0');
    }
    return number;
}

static void was_put(struct sim *sim, struct sim_worker *by, struct slice key, struct slice body,
                    bool created)
{
    (void)by;
    struct world *world = world_of(sim);
    uint64_t record = number_in(key, SLICE("t/log/")),
             block = number_in(key, SLICE("t/log/trimmed/"));
    if (record && created) {
        if (record <= world->n_records)
            sim_count(sim, SIM_EVENT_GHOST_PUT);
        else
            truth_take(sim, record, body);
    } else if (block) {
        if (created) sim_count(sim, SIM_EVENT_TRIMMED);
        if (!world->mark_step) world->mark_step = sim->steps;
        if (block < RECORDS_MAX) world->marks[block] = true;
        check_covered(sim);
    } else if (slice_starts_with(key, SLICE("t/log/body/")) && world->n_bodies < BODIES_MAX) {
        sim_count(sim, SIM_EVENT_BODY);
        struct slice name = slice_part(key, 11, key.size);
        if (body_text(world, name)) return;
        snprintf(world->bodies[world->n_bodies].name, 64, "%.*s", SLICE_PRINT(name));
        world->bodies[world->n_bodies++].text = memory_copy_text(body);
    } else if (slice_starts_with(key, SLICE("t/log/pending/"))) {
        struct arena arena defer_arena = ARENA_EMPTY;
        const struct json *json;
        int64_t not_after;
        sim_count(sim, SIM_EVENT_PENDING);
        if (world->n_entries < ENTRIES_MAX &&
            json_parse(&arena, slice_part(body, 0, body.size - 1), JSON_RULES_INTERNAL, &json) ==
                0 &&
            json_get_int(json, "not_after", 1, INT64_MAX, &not_after) == 0) {
            snprintf(world->entries[world->n_entries].id, 72, "%.*s",
                     SLICE_PRINT(slice_part(key, 14, key.size)));
            world->entries[world->n_entries++].not_after = (uint64_t)not_after;
        }
    } else if (slice_starts_with(key, SLICE("t/snapshot/"))) {
        take_snapshot(sim, slice_part(key, 11, key.size), body);
    }
}

static void was_removed(struct sim *sim, struct sim_worker *by, struct slice key)
{
    (void)by;
    struct world *world = world_of(sim);
    if (!slice_starts_with(key, SLICE("t/snapshot/"))) return;
    struct slice name = slice_part(key, 11, key.size);
    for (unsigned i = 0; i < world->n_snapshots; i++)
        if (slice_equal_text(name, world->snapshots[i].name)) world->snapshots[i].there = false;
    check_covered(sim);
}

static void was_undone(struct sim *sim, struct slice key, uint64_t number, bool is_there)
{
    struct world *world = world_of(sim);
    uint64_t record = number_in(key, SLICE("t/log/")),
             block = number_in(key, SLICE("t/log/trimmed/"));
    if (record && !is_there && record <= world->n_records &&
        world->truth[record].change == number) {
        sim_count(sim, SIM_EVENT_RECORD_UNDONE);
        world->n_records = record - 1;
    }
    if (block && block < RECORDS_MAX) world->marks[block] = is_there;
    for (unsigned i = 0; i < world->n_snapshots; i++)
        if (slice_starts_with(key, SLICE("t/snapshot/")) &&
            slice_equal_text(slice_part(key, 11, key.size), world->snapshots[i].name))
            world->snapshots[i].there = is_there;
}

/* Whoever finds a hole must find a marker. */
static void check_holes(struct sim *sim)
{
    struct world *world = world_of(sim);
    char key[40];
    for (uint64_t record = 1; record <= world->n_records; record++) {
        struct store_object object;
        if (world->marks[(record - 1) / world->options.block_slots + 1]) continue;
        snprintf(key, sizeof(key), "t/log/%020llu", (unsigned long long)record);
        if (store_head(sim->store, slice_from_text(key), &object) == GLIS_ENOTFOUND)
            sim_broken(sim, "record %llu is gone for good, but the marker of its block is not",
                       (unsigned long long)record);
    }
}

static void power_lost(struct sim *sim)
{
    struct world *world = world_of(sim);
    if (world->told > world->n_records)
        sim_broken(sim, "record %llu, which was acknowledged, is lost with the power",
                   (unsigned long long)world->told);
    for (unsigned i = 0; i < world->n_transactions; i++)
        if (world->transactions[i].record > world->n_records) world->transactions[i].record = 0;
    for (unsigned i = 0; i < world->n_snapshots; i++)
        if (world->snapshots[i].there && world->snapshots[i].record > world->n_records)
            sim_broken(sim, "a snapshot knows record %llu, which is lost with the power",
                       (unsigned long long)world->snapshots[i].record);
    if (world->seen > world->n_records) world->seen = world->n_records;
    check_covered(sim);
    check_holes(sim);
}

static void was_read(struct sim *sim, struct sim_worker *by, struct slice key, bool found,
                     struct slice body)
{
    struct world *world = world_of(sim);
    uint64_t record = number_in(key, SLICE("t/log/"));
    char own[40];
    snprintf(own, sizeof(own), "\"writer\":\"w%u\"", by->number);
    if (record && found && body.size &&
        memmem(body.data, body.size < 300 ? body.size : 300, own, strlen(own)))
        sim_count(sim, SIM_EVENT_READ_BACK);
    if (record && found && record <= world->n_records && body.size) {
        char id[LOG_ID_BYTES + 8];
        snprintf(id, sizeof(id), "\"id\":\"%.8s", world->truth[record].id);
        if (!memmem(body.data, body.size < 100 ? body.size : 100, id, strlen(id)))
            sim_count(sim, SIM_EVENT_GHOST_READ);
    } else if (found && number_in(key, SLICE("t/log/trimmed/"))) {
        sim_count(sim, SIM_EVENT_MARKER_MET);
    } else if (!found && slice_starts_with(key, SLICE("t/snapshot/"))) {
        sim_count(sim, SIM_EVENT_SNAPSHOT_GONE);
    }
}

/* ---- workers ---- */

static bool passing(int code)
{
    return code == GLIS_EIO || code == GLIS_ERETRY || code == GLIS_EUNKNOWN ||
           code == GLIS_ETIMEOUT || code == GLIS_ECANCELLED;
}

/* What a handle shows must be a piece of the truth. */
static void see(struct sim_worker *worker, uint64_t at_least)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    if (worker->dead) return;
    const struct log_state *state = log_state_acquire(actor->log);
    if (state->record < at_least)
        sim_broken(sim, "worker %u reads record %llu, though %llu was known when it began",
                   worker->number, (unsigned long long)state->record, (unsigned long long)at_least);
    if (state->record > world->n_records ||
        (state->record && strcmp(state->id, world->truth[state->record].id) != 0) ||
        memcmp(state->state, &world->truth[state->record].state, sizeof(struct state)) != 0)
        sim_broken(sim, "worker %u holds a state at record %llu that never was", worker->number,
                   (unsigned long long)state->record);
    else if (state->record > world->seen)
        world->seen = state->record;
    log_state_release(state);
}

static void damage(struct sim_worker *worker, int code, const char *what)
{
    if (code < 0 && !passing(code) && !worker->dead)
        sim_broken(worker->sim, "worker %u, %s: %s: %s", worker->number, what,
                   error_code_name(code), error_message());
}

/* A new process. False: there is no sense in going on. */
static bool begin(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    while (sim_goes_on(worker->sim)) {
        actor->store = sim_worker_begin(worker);
        struct log_options options = world_of(worker->sim)->options;
        uint64_t known = world_of(worker->sim)->seen;
        if (sim_chance(&worker->faults, 3)) { /* as a table's, while the catalogue is read */
            options.ahead = log_ahead_begin(&worker->runtime, actor->store, SLICE("t/"));
            for (uint64_t n = sim_draw(&worker->faults, 12); n > 0; n--)
                sim_yield(worker);
        }
        int code =
            log_open(&worker->runtime, actor->store, SLICE("t/"), &machine, &options, &actor->log);
        sim_trace(worker->sim, "opens: %s", code ? error_message() : "ok");
        if (code == 0) {
            see(worker, known);
            return true;
        }
        damage(worker, code, "opening");
        store_close(actor->store);
        *actor = (struct actor){0};
    }
    return false;
}

static void end(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    log_close(actor->log);
    store_close(actor->store);
    *actor = (struct actor){0};
}

/* Takes the place of a process that died. */
static bool live(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    if (!worker->dead && actor->log) return true;
    end(worker);
    return begin(worker);
}

static unsigned make_transaction(struct sim_worker *worker, struct sim_random *random)
{
    struct world *world = world_of(worker->sim);
    if (world->n_transactions == TRANSACTIONS_MAX) return TRANSACTIONS_MAX;
    unsigned n = world->n_transactions++;
    struct transaction *transaction = &world->transactions[n];
    *transaction = (struct transaction){.owner = worker->number, .unless = -1, .of = -1};
    char more[40] = "";
    const char *type = "add";
    uint64_t sort = sim_draw(random, 12);
    unsigned other = n ? (unsigned)sim_draw(random, n) : 0;
    if (world->crossed) {
        unsigned recent = n < 6 ? n : 6;
        other = n ? n - 1 - (unsigned)sim_draw(random, recent) : 0;
        sort /= 2;
    }
    if (n && sort < 3) {
        snprintf(more, sizeof(more), ",\"unless\":%u", other);
        transaction->unless = (int)other;
    } else if (n && sort < 5) {
        type = "lift";
        snprintf(more, sizeof(more), ",\"of\":%u", other);
        transaction->of = (int)other;
    } else if (sort == 5 || (sort > 7 && worker->sim->local)) {
        type = "ensure";
    } else if (sort == 6 && world->n_records) {
        type = "raise";
        snprintf(more, sizeof(more), ",\"to\":%u",
                 (unsigned)sim_draw(random, world->n_records) + 1);
    }
    bool large = sim_draw(random, 6) == 0;
    snprintf(transaction->text, sizeof(transaction->text), "{\"type\":\"%s\",\"n\":%u%s%s}", type,
             n, more,
             large ? ",\"pad\":\"----------------------------------------------------\"" : "");
    return n;
}

/* A refusal must have been right at some moment between call and answer: in a state that was not
 * old already when the call was made. Only for calls of one transaction. */
static void check_refusal(struct sim *sim, unsigned n, uint64_t known)
{
    struct world *world = world_of(sim);
    const struct transaction *transaction = &world->transactions[n];
    int other = transaction->of >= 0 ? transaction->of : transaction->unless;
    if (known == UINT64_MAX) return;
    for (uint64_t record = known; record <= world->n_records; record++)
        if (other >= 0 && world->truth[record].state.in[other] == (transaction->of < 0)) return;
    sim_broken(sim, "transaction %u was refused for a reason that had gone before it was asked", n);
}

/* What the answer to one transaction says. True: it is settled. */
static bool take_answer(struct sim_worker *worker, unsigned n, const struct log_answer *answer,
                        bool deadline, uint64_t known)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct transaction *transaction = &world->transactions[n];
    sim_trace(sim, "transaction %u: %s%s%s", n, error_code_name(answer->code),
              answer->already_done ? ", already done" : "",
              answer->code ? answer->detail.text : "");
    bool maybe = transaction->may_have_been_asked;
    if (answer->code == 0) {
        if (!transaction->record || transaction->record > answer->record ||
            (!answer->already_done && !maybe && transaction->record != answer->record))
            sim_broken(sim,
                       "transaction %u was acknowledged in record %llu, in truth it is in %llu", n,
                       (unsigned long long)answer->record, (unsigned long long)transaction->record);
        transaction->ok = true;
        if (answer->record > world->seen) world->seen = answer->record;
        if (answer->record > world->told) world->told = answer->record;
        sim_count(sim, answer->already_done ? SIM_EVENT_ALREADY_DONE : SIM_EVENT_COMMITTED);
        return true;
    }
    if (answer->code == GLIS_EUNKNOWN) {
        sim_count(sim, SIM_EVENT_UNKNOWN);
        if (strstr(answer->detail.text, "trimmed")) sim_count(sim, SIM_EVENT_MARKER_IN_DOUBT);
        if (!world->mark_step && !deadline)
            sim_broken(sim, "transaction %u is unknown though nothing was trimmed: %s", n,
                       answer->detail.text);
        transaction->may_have_been_asked = true;
        return false;
    }
    if (answer->code != GLIS_EREFUSED && !passing(answer->code))
        sim_broken(sim, "transaction %u: %s: %s", n, error_code_name(answer->code),
                   answer->detail.text);
    if (answer->code == GLIS_EREFUSED && strstr(answer->detail.text, "clock")) {
        sim_count(sim, SIM_EVENT_CLOCK_REFUSED);
    } else if (answer->code == GLIS_EREFUSED) {
        sim_count(sim, SIM_EVENT_REFUSED);
        if (world->truth[world->n_records].state.ended) sim_count(sim, SIM_EVENT_AFTER_END);
    } else {
        sim_count(sim, SIM_EVENT_FAILED);
    }
    if (maybe) /* its first attempt may have happened; whether it did is in the record */
        return answer->code == GLIS_EREFUSED && !strstr(answer->detail.text, "clock");
    if (answer->code == GLIS_EREFUSED && strstr(answer->detail.text, "barred"))
        check_refusal(sim, n, known);
    transaction->never = true;
    if (transaction->record)
        sim_broken(sim, "transaction %u is said not to have happened (%s), but is in record %llu",
                   n, answer->detail.text, (unsigned long long)transaction->record);
    return true;
}

static void do_set_time(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    const struct log_state *state = log_state_acquire(actor->log);
    uint64_t record = state->record, known = world->n_records;
    bool ended = state->ended;
    log_state_release(state);
    struct log_answer answer;
    if (record == 0) return;
    int code = log_set_time(actor->log, record, 0, &answer);
    sim_trace(sim, "sets the time: %s", code ? error_message() : "ok");
    if (worker->dead) return;
    if (code == 0) {
        if (answer.record != record + 1 || answer.record > world->n_records || ended)
            sim_broken(sim, "the time is said to be set in record %llu",
                       (unsigned long long)answer.record);
        if (answer.record > world->seen) world->seen = answer.record;
        if (answer.record > world->told) world->told = answer.record;
    } else if (code == GLIS_EREFUSED) {
        if (known == record && world->n_records == record && !ended &&
            !strstr(error_message(), "clock"))
            sim_broken(sim, "setting the time is refused at the log's end: %s", error_message());
    } else {
        damage(worker, code, "setting the time");
    }
}

static void do_commit(struct sim_worker *worker, struct sim_random *random, bool drop)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    unsigned which[TOGETHER_MAX], n = drop ? 1 : 1 + (unsigned)sim_draw(random, TOGETHER_MAX);
    bool settled[TOGETHER_MAX] = {false};
    for (unsigned i = 0; i < n; i++) {
        which[i] = make_transaction(worker, random);
        if (which[i] == TRANSACTIONS_MAX) return;
    }
    if (n > 1 && strstr(world->transactions[which[0]].text, "ensure"))
        world->transactions[which[1] = which[0]].may_have_been_asked = true; /* twice at once */
    if (drop)
        snprintf(world->transactions[which[0]].text, sizeof(world->transactions[0].text),
                 "{\"type\":\"drop\",\"n\":%u}", which[0]);
    bool deadline = world->deadlines && sim_draw(random, 3) == 0;
    int64_t limit_ns = (int64_t)sim_draw(random, 3000) * 1000000;
    unsigned rounds = 0;
    for (; sim_goes_on(sim); rounds++) {
        struct log_answer answers[TOGETHER_MAX];
        struct slice open[TOGETHER_MAX];
        unsigned back[TOGETHER_MAX], n_open = 0;
        for (unsigned i = 0; i < n; i++)
            if (!settled[i]) {
                back[n_open] = i;
                open[n_open++] = slice_from_text(world->transactions[which[i]].text);
            }
        if (n_open == 0) break;
        if (rounds == 1) sim_count(sim, SIM_EVENT_REPEATED_JOB);
        if (rounds > 8) worker->wall_offset_ms = worker->wall_stands_ms = 0; /* it is set right */
        if (rounds > 0) worker->clock.clock.sleep_ms(&worker->clock.clock, 100 << (rounds % 8));
        if (rounds > 8 && world->wild) {
            do_set_time(worker);
            if (!live(worker)) return;
        }
        uint64_t known = world->seen;
        for (unsigned i = 0; i < n_open; i++)
            sim_trace(sim, "commits %.*s", SLICE_PRINT(open[i]));
        int ignored =
            log_commit(actor->log, open, n_open,
                       deadline && rounds == 0 ? sim->now_ns + limit_ns : LOG_NO_DEADLINE, answers);
        (void)ignored;
        if (worker->dead) { /* nobody heard the answer; the next life asks again, or does not */
            bool again = sim_draw(random, 2);
            for (unsigned i = 0; i < n; i++)
                if (!settled[i]) world->transactions[which[i]].may_have_been_asked = true;
            if (!live(worker) || !again) return;
            continue;
        }
        for (unsigned i = 0; i < n_open; i++)
            settled[back[i]] =
                take_answer(worker, which[back[i]], &answers[i], deadline && rounds == 0,
                            n_open == 1 ? known : UINT64_MAX);
        see(worker, 0);
    }
}

static void do_read(struct sim_worker *worker, struct sim_random *random)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    struct actor *actor = worker->own;
    uint64_t known = world->seen;
    if (world->n_records && sim_draw(random, 4) == 0) {
        const struct log_state *state;
        uint64_t record = 1 + sim_draw(random, world->n_records);
        int code = log_state_at(actor->log, record, &state);
        sim_trace(sim, "reads at %llu: %s", (unsigned long long)record,
                  code ? error_message() : "ok");
        if (worker->dead) {
            if (code == 0) log_state_release(state);
            return;
        }
        if (code == 0) {
            sim_count(sim, SIM_EVENT_OLD_STATE);
            if (strcmp(state->id, world->truth[record].id) != 0 ||
                memcmp(state->state, &world->truth[record].state, sizeof(struct state)) != 0)
                sim_broken(sim, "the state at record %llu never was", (unsigned long long)record);
            log_state_release(state);
        } else if (code == GLIS_EGONE ? !world->mark_step
                                      : code != GLIS_ENOTFOUND || record <= known) {
            damage(worker, code, "an older state");
        }
        return;
    }
    int code = log_catch_up(actor->log, 0);
    sim_trace(sim, "catches up: %s", code ? error_message() : "ok");
    if (code == 0)
        see(worker, known);
    else
        damage(worker, code, "catching up");
}

/* Where the power may fail, what somebody left in the middle is gone on with by others. */
static void die_soon(struct sim_worker *worker, struct sim_random *random)
{
    if (worker->sim->local && worker->sim->power_step && !worker->sim->deadly &&
        sim_draw(random, 3) == 0)
        worker->crash_in = 1 + (unsigned)sim_draw(random, 12);
}

/* `again`: what was left by one's last life. */
static void do_trim(struct sim_worker *worker, struct sim_random *random, bool again)
{
    struct sim *sim = worker->sim;
    die_soon(worker, random);
    struct actor *actor = worker->own;
    struct world *world = world_of(sim);
    if (!again && sim_draw(random, 3) && log_snapshot_write(actor->log) < 0) return;
    const struct log_state *state = log_state_acquire(actor->log);
    const struct state *own = state->state;
    uint64_t record = state->record, slots = world->options.block_slots;
    struct log_trim_options options = {.bodies_below = sim_draw(random, 2) ? own->horizon : 0};
    log_state_release(state);
    struct log_trim_plan plan;
    struct log_trim_result result;
    int code = 0;
    if (again || sim_draw(random, 4)) {
        code = log_trim_plan(actor->log,
                             sim_draw(random, 3) ? record : sim_draw(random, record + 1), &plan);
        options.line = plan.line;
    } else {
        options.line = record / slots * slots;
    }
    if (code == 0) code = log_trim(actor->log, &options, &result);
    sim_trace(sim, "trims to %llu: %s", (unsigned long long)options.line,
              code ? error_message() : "ok");
    if (code != GLIS_EREFUSED && code != GLIS_EINVALID) damage(worker, code, "trimming");
}

static void do_snapshot(struct sim_worker *worker)
{
    struct actor *actor = worker->own;
    int code = log_snapshot_write(actor->log);
    sim_trace(worker->sim, "writes a snapshot: %s", code ? error_message() : "ok");
    damage(worker, code, "a snapshot");
}

static void do_clear(struct sim_worker *worker, struct sim_random *random)
{
    struct actor *actor = worker->own;
    die_soon(worker, random);
    int code = log_clear_ended(actor->log);
    sim_trace(worker->sim, "clears the ended log: %s", code ? error_message() : "ok");
    if (worker->dead) return;
    if (code == 0) sim_count(worker->sim, SIM_EVENT_CLEARED);
    if (code != GLIS_EINVALID) damage(worker, code, "clearing");
}

static void play(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    struct world *world = world_of(sim);
    if (!begin(worker)) return;
    for (unsigned i = 0; i < world->n_operations && sim_goes_on(sim); i++) {
        struct sim_random random;
        if (!sim_operation(worker, &random)) continue;
        bool last = i + 1 == world->n_operations;
        uint64_t sort = sim_draw(&random, 16);
        if (sim->fault_chance[SIM_CRASH] && sim_draw(&random, 12) == 0)
            worker->crash_in = 1 + (unsigned)sim_draw(&random, 8);
        if (world->drops && last && worker->number == 0)
            do_commit(worker, &random, true);
        else if (world->wild && sim_draw(&random, 8) == 0)
            sim->wall_shift_ms = sim->wall_shift_ms ? 0 : (int64_t)86400000;
        else if (sim_draw(&random, world->wild ? 4 : 24) == 0)
            do_set_time(worker);
        else if (sort < world->share_trim) {
            do_trim(worker, &random, false);
            if (worker->dead && live(worker)) do_trim(worker, &random, true);
        } else if (sort < world->share_trim + world->share_snapshot)
            do_snapshot(worker);
        else if (sort < world->share_trim + world->share_snapshot + world->share_read)
            do_read(worker, &random);
        else
            do_commit(worker, &random, false);
        if (!live(worker)) return;
        const struct log_state *state = log_state_acquire(((struct actor *)worker->own)->log);
        bool ended = state->ended;
        log_state_release(state);
        if (ended && sim_draw(&random, 2)) {
            do_clear(worker, &random);
            if (worker->dead && live(worker)) do_clear(worker, &random); /* what was left */
        }
        if (sim_draw(&random, 16) == 0) { /* an orderly end, and another beginning */
            end(worker);
            if (!begin(worker)) return;
        }
        if (!live(worker)) return;
    }
    end(worker);
}

/* ---- the kind ---- */

enum sort { MIXED, CONTENTION, TRIMMED_CONTENTION, TRIMS, CLOCKS, ENDS };

static const struct sim_family families[] = {
    {.name = "mixed", .sort = MIXED},
    {.name = "contention",
     .sort = CONTENTION,
     .share = 2,
     .n_foci = 4,
     .foci = {"log/pending", "log/pending", "log/0", "log/pending"}},
    {.name = "trims",
     .sort = TRIMS,
     .focus_chance = 16384,
     .n_foci = 4,
     .foci = {"log/0", "log/0", "log/trimmed", "snapshot/"}},
    {.name = "ends with power",
     .sort = ENDS,
     .share = 3,
     .power = SIM_POWER_ALWAYS,
     .n_deadly = 3,
     .deadly = {"snapshot/", "snapshot/", "log/trimmed"}},
    {.name = "mixed, with power", .sort = MIXED, .power = SIM_POWER_MAYBE},
    {.name = "repeats with power",
     .sort = MIXED,
     .share = 2,
     .power = SIM_POWER_ALWAYS,
     .n_foci = 1,
     .n_deadly = 1,
     .deadly = {"log/0"}},
    {.name = "trimmed contention",
     .sort = TRIMMED_CONTENTION,
     .n_foci = 3,
     .foci = {"log/0", "log/pending", "log/pending"}},
    {.name = "trims with power",
     .sort = TRIMS,
     .share = 3,
     .power = SIM_POWER_ALWAYS,
     .n_foci = 1,
     .n_deadly = 2,
     .deadly = {"snapshot/", "log/0"}},
    {.name = "markers with power",
     .sort = TRIMS,
     .power = SIM_POWER_ALWAYS,
     .n_foci = 1,
     .n_deadly = 1,
     .deadly = {"log/trimmed"}},
    {.name = "trims",
     .sort = TRIMS,
     .focus_chance = 16384,
     .n_foci = 3,
     .foci = {"log/0", "log/0", "log/trimmed"}},
    {.name = "clocks", .sort = CLOCKS, .power = SIM_POWER_MAYBE},
    {.name = "contention with power",
     .sort = CONTENTION,
     .share = 3,
     .power = SIM_POWER_ALWAYS,
     .n_foci = 2,
     .foci = {NULL, "log/pending"},
     .n_deadly = 1,
     .deadly = {"log/0"},
     .deadly_body = "pending"},
    {.name = "ends", .sort = ENDS, .power = SIM_POWER_MAYBE},
};

/* What a family has, beside its faults. */
static void build_family(struct sim *sim)
{
    struct world *world = world_of(sim);
    struct sim_random *r = &sim->build;
    if (sim->family->power == SIM_POWER_ALWAYS) sim->power_haste = 4 + (unsigned)sim_draw(r, 30);
    switch ((enum sort)sim->family->sort) {
    case MIXED: break;
    case CONTENTION: /* who stays in turn, or dies, or waits, meets nobody */
    case TRIMMED_CONTENTION:
        world->options.impatient = true;
        world->options.pending_slots = 2 + (unsigned)sim_draw(r, 4);
        world->crossed = sim_draw(r, 3) > 0;
        world->drops = world->wild = world->deadlines = false;
        world->share_read = (unsigned)sim_draw(r, 2);
        world->share_snapshot = (unsigned)sim_draw(r, 3);
        world->options.snapshot_by_hand = sim_draw(r, 4) == 0;
        world->options.snapshot_min_bytes = 400;
        world->share_trim =
            sim->family->sort == TRIMMED_CONTENTION ? 2 + (unsigned)sim_draw(r, 3) : 0;
        world->n_operations = 5 + (unsigned)sim_draw(r, 5);
        sim->stay = (unsigned)sim_draw(r, 3) * 15;
        if (world->share_trim || sim_draw(r, 2)) sim->nap = 10 + (unsigned)sim_draw(r, 50);
        sim->fault_chance[SIM_CRASH] /= 8;
        sim->power_haste /= 2;
        break;
    case TRIMS: /* what is in flight stays so until much has gone */
        world->options.block_slots = 2;
        world->options.impatient = sim->local && sim_draw(r, 2); /* else by puts of one's own */
        world->drops = world->wild = false;
        world->share_trim = 3 + (unsigned)sim_draw(r, 4);
        world->share_read = (unsigned)sim_draw(r, 3);
        world->n_operations = 5 + (unsigned)sim_draw(r, 5);
        sim->land = 20 + (unsigned)sim_draw(r, 150);
        sim->nap = 10 + (unsigned)sim_draw(r, 50);
        if (sim->family->power) { /* somebody has the time to trim to the end */
            sim->power_haste = 20 + (unsigned)sim_draw(r, 120);
            sim->stay = 50 + (unsigned)sim_draw(r, 45);
            sim->nap = 0;
        }
        break;
    case CLOCKS:
        world->wild = sim_draw(r, 2);
        world->deadlines = true;
        sim->fault_chance[SIM_CLOCK] = 8000;
        break;
    case ENDS:
        world->drops = true;
        world->n_operations = 2 + (unsigned)sim_draw(r, 4);
        if (sim_draw(r, 2)) { /* only the end has a snapshot */
            world->options.snapshot_by_hand = true;
            world->options.snapshot_at_close = false;
            world->share_trim = world->share_snapshot = 0;
        }
        break;
    }
}

static void build(struct sim *sim)
{
    struct world *world = memory_alloc_zero(sizeof(*world));
    sim->own = world;
    struct sim_random *r = &sim->build;
    world->truth = memory_alloc_zero(RECORDS_MAX * sizeof(*world->truth));
    memset(world->truth[0].id, '0', LOG_ID_BYTES);
    world->options = (struct log_options){.block_slots = 2 + (unsigned)sim_draw(r, 3),
                                          .record_max_bytes = sim_draw(r, 2) ? 90 : 0,
                                          .read_window = 1 + (unsigned)sim_draw(r, 4),
                                          .read_attempts = 8,
                                          .snapshot_by_hand = sim_draw(r, 2) == 0,
                                          .snapshot_at_close = sim_draw(r, 2) == 0,
                                          .snapshot_min_bytes = 1500,
                                          .pending_slots = 2 + (unsigned)sim_draw(r, 8)};
    world->drops = sim_draw(r, sim->local ? 2 : 4) == 0;
    world->deadlines = sim_draw(r, 3) == 0;
    world->wild = sim_draw(r, 6) == 0;
    world->n_operations = 3 + (unsigned)sim_draw(r, 5);
    world->share_trim = sim_draw(r, 4) ? (unsigned)sim_draw(r, 8) : 0;
    world->share_read = (unsigned)sim_draw(r, 6);
    world->share_snapshot = (unsigned)sim_draw(r, 2);
    unsigned n = 2 + (unsigned)sim_draw(r, 4);
    /* Who waits for others seldom meets them: most worlds are of those who do not. */
    world->options.impatient = sim_draw(r, 4) > 0;
    build_family(sim);
    bool many = sim->family->sort == CONTENTION || sim->family->sort == TRIMMED_CONTENTION;
    if (many && n < 4) n = 4;
    if (sim->family->sort == TRIMS && sim->family->power && n > 3) n = 3;
    for (unsigned i = 0; i < n; i++)
        sim_worker_add(sim, play, memory_alloc_zero(sizeof(struct actor)));
}

static void judge(struct sim *sim)
{
    struct world *world = world_of(sim);
    struct log *log;
    int code = log_open(&sim->runtime, sim->store, SLICE("t/"), &machine, &world->options, &log);
    if (code < 0) {
        sim_broken(sim, "the end cannot be read: %s", error_message());
        return;
    }
    const struct log_state *state = log_state_acquire(log);
    struct truth *truth = &world->truth[world->n_records];
    if (state->record != world->n_records || strcmp(state->id, truth->id) != 0 ||
        memcmp(state->state, &truth->state, sizeof(truth->state)) != 0)
        sim_broken(sim, "the end is record %llu, in truth it is %llu",
                   (unsigned long long)state->record, (unsigned long long)world->n_records);
    log_state_release(state);
    log_close(log);
    for (unsigned n = 0; n < world->n_transactions; n++)
        if (world->transactions[n].ok && !world->transactions[n].record)
            sim_broken(sim, "transaction %u was acknowledged and is not there", n);
}

static void tear(struct sim *sim)
{
    struct world *world = world_of(sim);
    for (unsigned i = 0; i < sim->n_workers; i++)
        free(sim->workers[i].own);
    for (unsigned i = 0; i < world->n_bodies; i++)
        free(world->bodies[i].text);
    free(world->truth);
    free(world);
}

const struct sim_kind sim_log_kind = {
    .name = "log",
    .families = families,
    .n_families = sizeof(families) / sizeof(*families),
    .build = build,
    .judge = judge,
    .tear = tear,
    .was_put = was_put,
    .was_removed = was_removed,
    .was_read = was_read,
    .was_undone = was_undone,
    .power_lost = power_lost,
    .steps_max = 30000,
    .calm_step = 4000,
};
