/*
 * test_log_world.c: small worlds of writers, readers and a trimmer on one log, each with a handle
 * of its own, over a store that fails by seed. Exactly one of them runs at a time, and at each
 * request to the store the seed decides who goes on, so that every run can be repeated:
 * GLIS_LOG_SEED=N runs one seed, GLIS_LOG_SEEDS=N as many (300 unless told), test_log_world N the
 * same.
 *
 * What nobody in the world sees is the truth: a second store that keeps the first occupant of every
 * slot. Afterwards (and where it can be at once) these are checked:
 *   - the truth replays without damage: every put was made on a state that was real
 *   - a commit answered OK is in the truth, in the record that the answer names, and none twice
 *   - what was refused or failed otherwise (not GLIS_EUNKNOWN) is not in the truth, however late
 *     puts land
 *   - every state that a catch-up gave is a prefix of the truth, and holds all that anybody was
 *     told of before the catch-up began
 *   - what a fresh handle reads in the end equals the truth
 *   - GLIS_EUNKNOWN is answered only when a block was trimmed, or the writer's store had died
 * The machine is the toy of log_toy.h.
 */
#include "test.h"

#include "log_toy.h"
#include "turns.h"

#include <stdarg.h>

enum {
    TOLD_MAX = 2000,
    RECORDS_MAX = 4000,
    TRANSACTIONS = 12, /* of each writer */
    REPEATS_MAX = 20,
};

struct told { /* what somebody was told of a transaction */
    char id[24];
    int code; /* 0: it is there; GLIS_EREFUSED: it is not, and never will be */
    uint64_t record;
};

struct seen { /* what a state was */
    uint64_t record;
    char id[LOG_ID_BYTES + 1];
};

struct world;

struct actor {
    struct world *world;
    struct turns_player *player;
    unsigned number;
    struct random *random;
    struct log *log;
    struct store *gate, *store; /* the scheduler's, and the faulty one before it */
    bool crashed;
    unsigned life;
};

struct world {
    uint64_t seed;
    struct toy_clock clock;
    struct runtime runtime;
    struct store *real, *truth;
    struct log_options options;
    struct store_faults faults;
    bool drops;
    struct random *schedule;
    struct turns turns;
    /* All below is the running actor's. */
    struct actor actors[TURNS_PLAYERS_MAX];
    unsigned n_actors;
    uint64_t newest_told;
    bool trimmed;
    struct told told[TOLD_MAX];
    size_t n_told;
    struct seen seen[TOLD_MAX];
    size_t n_seen;
    uint64_t n_ok, n_unknown, n_refused, n_ghosts, n_trims, n_crashes;
    uint64_t n_carried, n_combined;
    char broken[1200]; /* the first thing that went wrong */
};

static struct pool *pool;

static void broken(struct world *world, const char *format, ...) GLIS_PRINTF(2, 3);
static void broken(struct world *world, const char *format, ...)
{
    if (world->broken[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->broken, sizeof(world->broken), format, arguments);
    va_end(arguments);
}

/* ---- the truth ---- */

static bool is_record(struct slice key)
{
    return key.size == strlen("t/log/") + 20 && slice_starts_with(key, SLICE("t/log/")) &&
           key.data[6] >= '0' && key.data[6] <= '9';
}

/* A put that was done: the first of each slot is the truth. */
static void take_put(void *state, struct slice key, struct slice body)
{
    struct world *world = ((struct actor *)state)->world;
    if (is_record(key)) {
        if (store_put(world->truth, key, body, STORE_IF_ABSENT) == GLIS_EEXISTS) world->n_ghosts++;
    } else if (slice_starts_with(key, SLICE("t/log/body/"))) {
        if (store_put(world->truth, key, body, 0) < 0) broken(world, "no body for the truth");
    }
}

/* ---- actors ---- */

/* A new life: new doors, a new handle. */
static void actor_begin(struct actor *actor)
{
    struct world *world = actor->world;
    actor->gate = turns_gate_open(actor->player, world->real);
    if (store_fault_open(&world->runtime, actor->gate, random_u64(actor->random), &world->faults,
                         &actor->store) < 0)
        broken(world, "no fault store");
    actor->crashed = false;
    for (unsigned i = 0; i < REPEATS_MAX && !world->broken[0]; i++) {
        int code = log_open(&world->runtime, actor->store, SLICE("t/"), &toy_machine,
                            &world->options, &actor->log);
        if (code == 0) return;
        if (code != GLIS_EIO && code != GLIS_ERETRY) broken(world, "open: %s", error_message());
    }
    broken(world, "a log cannot be opened: %s", error_message());
}

static void actor_end(struct actor *actor)
{
    log_close(actor->log);
    store_close(actor->store);
    store_close(actor->gate);
    actor->log = NULL;
    actor->store = actor->gate = NULL;
}

/* What the actor's state is must be a piece of the truth. */
static void see(struct actor *actor, uint64_t at_least)
{
    struct world *world = actor->world;
    const struct log_state *state = log_state_acquire(actor->log);
    if (state->record < at_least)
        broken(world, "actor %u reads record %llu, though %llu was known", actor->number,
               (unsigned long long)state->record, (unsigned long long)at_least);
    if (world->n_seen < TOLD_MAX) {
        world->seen[world->n_seen].record = state->record;
        memcpy(world->seen[world->n_seen++].id, state->id, sizeof(state->id));
    }
    if (state->record > world->newest_told) world->newest_told = state->record;
    log_state_release(state);
}

static void tell(struct world *world, const char *id, int code, uint64_t record)
{
    if (world->n_told == TOLD_MAX) return;
    struct told *told = &world->told[world->n_told++];
    snprintf(told->id, sizeof(told->id), "%s", id);
    told->code = code;
    told->record = record;
    if (code == 0 && record > world->newest_told) world->newest_told = record;
}

/* One call with up to three transactions; those of unknown outcome are done again. */
static void commit_some(struct actor *actor, unsigned *next)
{
    struct world *world = actor->world;
    char texts[3][200], ids[3][24];
    struct slice transactions[3];
    bool maybe[3] = {false}, done[3] = {false};
    size_t n = 1 + (size_t)random_below(actor->random, 3);
    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof(ids[i]), "w%u.%u", actor->number, (*next)++);
        bool barred = random_below(actor->random, 4) == 0,
             large = random_below(actor->random, 4) == 0;
        char bar[40] = "";
        if (barred)
            snprintf(bar, sizeof(bar), ",\"unless\":\"w%u.%u\"",
                     (unsigned)random_below(actor->random, world->n_actors),
                     (unsigned)random_below(actor->random, TRANSACTIONS));
        snprintf(texts[i], sizeof(texts[i]), "{\"type\":\"add\",\"id\":\"%s\"%s%s}", ids[i], bar,
                 large ? ",\"pad\":\"----------------------------------------------------\"" : "");
        transactions[i] = slice_from_text(texts[i]);
    }
    if (random_below(actor->random, 12) == 0) { /* this process will die */
        struct store_faults faults = world->faults;
        faults.crash_at = store_fault_requests(actor->store) + 1 + random_below(actor->random, 6);
        store_fault_set(actor->store, &faults);
        actor->crashed = true;
        world->n_crashes++;
    }
    for (unsigned round = 0; round < REPEATS_MAX && !world->broken[0]; round++) {
        struct log_answer answers[3];
        struct slice open[3];
        size_t which[3], n_open = 0;
        for (size_t i = 0; i < n; i++)
            if (!done[i]) open[n_open] = transactions[i], which[n_open++] = i;
        if (n_open == 0) return;
        int ignored =
            log_commit(actor->log, open, n_open, actor->crashed ? 0 : LOG_NO_DEADLINE, answers);
        (void)ignored;
        bool trimmed = world->trimmed;
        for (size_t k = 0; k < n_open; k++) {
            size_t i = which[k];
            int code = answers[k].code;
            if (code == GLIS_EUNKNOWN) {
                if (!trimmed && !actor->crashed)
                    broken(world, "%s is unknown for no reason: %s", ids[i],
                           answers[k].detail.text);
                maybe[i] = true;
                world->n_unknown++;
                continue;
            }
            done[i] = true;
            if (code == 0) {
                world->n_ok++;
                tell(world, ids[i], 0, answers[k].record);
            } else if (code == GLIS_EREFUSED && maybe[i] &&
                       strstr(answers[k].detail.text, ids[i]) &&
                       strstr(answers[k].detail.text, "is there")) {
                tell(world, ids[i], 0, 0); /* it had happened, in some record */
            } else if (!maybe[i]) {
                world->n_refused++;
                tell(world, ids[i], GLIS_EREFUSED, 0);
                if (code != GLIS_EREFUSED && code != GLIS_EIO && code != GLIS_ERETRY &&
                    code != GLIS_ETIMEOUT)
                    broken(world, "%s: %s: %s", ids[i], error_code_name(code),
                           answers[k].detail.text);
            }
        }
        see(actor, 0);
        if (actor->crashed) {
            actor_end(actor);
            actor_begin(actor);
        }
    }
}

static void play_writer(void *state)
{
    struct actor *actor = state;
    unsigned next = 0;
    actor_begin(actor);
    while (next < TRANSACTIONS && !actor->world->broken[0])
        commit_some(actor, &next);
    if (actor->world->drops && actor->number == 0 && !actor->world->broken[0]) {
        struct log_answer answer;
        int code = toy_commit(actor->log, &answer, "{\"type\":\"drop\"}");
        if (code == 0) see(actor, answer.record);
    }
    actor_end(actor);
}

static void play_reader(void *state)
{
    struct actor *actor = state;
    actor_begin(actor);
    for (unsigned i = 0; i < 3 * TRANSACTIONS && !actor->world->broken[0]; i++) {
        uint64_t known = actor->world->newest_told;
        int code = log_catch_up(actor->log, 0);
        if (code == 0)
            see(actor, known);
        else if (code != GLIS_EIO && code != GLIS_ERETRY)
            broken(actor->world, "reader: %s", error_message());
    }
    actor_end(actor);
}

/* Trims as far as some record that it wants to keep. */
static void trim(struct actor *actor)
{
    struct world *world = actor->world;
    struct log_trim_plan plan;
    struct log_trim_result result;
    if (random_below(actor->random, 2) && log_snapshot_write(actor->log) < 0) return;
    const struct log_state *state = log_state_acquire(actor->log);
    uint64_t keep = 1 + random_below(actor->random, 4);
    uint64_t keep_from = state->record > keep ? state->record - keep : 0;
    bool ended = state->ended;
    log_state_release(state);
    world->trimmed = true; /* from the first attempt on */
    if (ended) {
        world->n_trims += log_clear_ended(actor->log) == 0;
        return;
    }
    if (log_trim_plan(actor->log, keep_from, &plan) < 0) return;
    struct log_trim_options what = {.line = plan.line};
    world->n_trims += log_trim(actor->log, &what, &result) == 0 && plan.is_due;
}

static void play_trimmer(void *state)
{
    struct actor *actor = state;
    actor_begin(actor);
    for (unsigned i = 0; i < 8 && !actor->world->broken[0]; i++) {
        for (uint64_t pause = random_below(actor->random, 20); pause > 0; pause--)
            turns_hand_over(&actor->world->turns, actor->player);
        trim(actor);
    }
    actor_end(actor);
}

/* ---- worlds ---- */

static uint32_t some(struct random *random, uint32_t chance)
{
    return random_below(random, 2) ? chance : 0;
}

static void world_build(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof(*world));
    world->seed = seed;
    world->clock = TOY_CLOCK;
    world->schedule = random_seeded_new(seed);
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_seeded_new(seed + 1000003), .pool = pool};
    assert_ok(store_memory_open(&world->runtime, &world->real));
    assert_ok(store_memory_open(&world->runtime, &world->truth));
    struct random *r = world->schedule;
    world->options = (struct log_options){.block_slots = 2 + (unsigned)random_below(r, 3),
                                          .pending_slots = 1 + (unsigned)random_below(r, 8),
                                          .record_max_bytes = 90,
                                          .read_window = 1 + (unsigned)random_below(r, 4),
                                          .read_attempts = 8,
                                          .snapshot_by_hand = random_below(r, 2) == 0,
                                          .snapshot_min_bytes = 1500};
    world->faults = (struct store_faults){.lost_before = some(r, 4000),
                                          .lost_after = some(r, 4000),
                                          .late = some(r, 4000),
                                          .retry = some(r, 3000),
                                          .repeated = some(r, 3000),
                                          .short_read = some(r, 2000),
                                          .reordered = some(r, 20000),
                                          .delayed = some(r, 2000)};
    world->drops = random_below(r, 4) == 0;
    unsigned n_writers = 2 + (unsigned)random_below(r, 2), n_readers = (unsigned)random_below(r, 2);
    unsigned n_trimmers = random_below(r, 3) > 0 ? 1 + (unsigned)random_below(r, 2) : 0;
    turns_init(&world->turns, r);
    for (unsigned i = 0; i < n_writers + n_readers + n_trimmers; i++) {
        struct actor *actor = &world->actors[world->n_actors++];
        actor->world = world;
        actor->number = i;
        actor->random = random_seeded_new(seed * 31 + i);
        actor->player = turns_add(&world->turns,
                                  i < n_writers               ? play_writer
                                  : i < n_writers + n_readers ? play_reader
                                                              : play_trimmer,
                                  actor);
        actor->player->was_put = take_put;
    }
}

struct truth {
    char (*ids)[LOG_ID_BYTES + 1];
    uint64_t n, n_carried, n_combined; /* entries; records with more than one */
};

static int truth_take(void *state, const struct log_shown *shown)
{
    struct truth *truth = state;
    if (shown->code < 0 || shown->record >= RECORDS_MAX) return GLIS_ECORRUPT;
    memcpy(truth->ids[shown->record], shown->id.data, LOG_ID_BYTES);
    truth->n = shown->record;
    uint64_t n_carried = 0;
    for (size_t i = 0; i < shown->n_lines; i++)
        n_carried += shown->lines[i].pending.size > 0;
    truth->n_carried += n_carried;
    truth->n_combined += n_carried > 1;
    return 0;
}

static bool same_ids(const struct toy *a, const struct toy *b)
{
    struct map_cursor x, y;
    map_cursor_first(&a->ids, &x);
    map_cursor_first(&b->ids, &y);
    for (; x.valid && y.valid; map_cursor_next(&x), map_cursor_next(&y))
        if (!slice_equal(x.key, y.key) || !slice_equal(x.value, y.value)) return false;
    return !x.valid && !y.valid && a->ended == b->ended;
}

/* Holds the world against its truth. */
static void world_judge(struct world *world)
{
    struct log *truth_log = NULL, *final_log = NULL;
    struct truth truth = {.ids = memory_alloc_zero(RECORDS_MAX * sizeof(*truth.ids))};
    memset(truth.ids[0], '0', LOG_ID_BYTES);
    if (log_open(&world->runtime, world->truth, SLICE("t/"), &toy_machine, &world->options,
                 &truth_log) < 0 ||
        log_show(&world->runtime, world->truth, SLICE("t/"), 1, 0, truth_take, &truth) < 0) {
        broken(world, "the truth is damaged: %s", error_message());
    } else if (log_open(&world->runtime, world->real, SLICE("t/"), &toy_machine, &world->options,
                        &final_log) < 0) {
        broken(world, "the end cannot be read: %s", error_message());
    } else {
        const struct log_state *t = log_state_acquire(truth_log), *f = log_state_acquire(final_log);
        if (t->record != f->record || strcmp(t->id, f->id) != 0 || !same_ids(t->state, f->state))
            broken(world, "the end is record %llu, in truth it is %llu",
                   (unsigned long long)f->record, (unsigned long long)t->record);
        for (size_t i = 0; i < world->n_told; i++) {
            const struct told *told = &world->told[i];
            uint64_t record = toy_record_of(t->state, slice_from_text(told->id));
            if (told->code == 0 && (record == 0 || (told->record && record != told->record)))
                broken(world, "%s was acknowledged in record %llu, in truth it is in %llu",
                       told->id, (unsigned long long)told->record, (unsigned long long)record);
            if (told->code != 0 && record != 0)
                broken(world, "%s was said not to happen, but is in record %llu", told->id,
                       (unsigned long long)record);
        }
        for (size_t i = 0; i < world->n_seen; i++) {
            const struct seen *seen = &world->seen[i];
            if (seen->record > truth.n || strcmp(seen->id, truth.ids[seen->record]) != 0)
                broken(world, "a state at record %llu was seen that never was",
                       (unsigned long long)seen->record);
        }
        log_state_release(t);
        log_state_release(f);
    }
    world->n_carried = truth.n_carried;
    world->n_combined = truth.n_combined;
    log_close(truth_log);
    log_close(final_log);
    free(truth.ids);
}

static void world_tear(struct world *world)
{
    for (unsigned i = 0; i < world->n_actors; i++)
        random_seeded_free(world->actors[i].random);
    turns_end(&world->turns);
    store_close(world->real);
    store_close(world->truth);
    random_seeded_free(world->schedule);
    random_seeded_free(world->runtime.random);
}

struct totals {
    uint64_t n_ok, n_unknown, n_refused, n_ghosts, n_trims, n_crashes, n_carried, n_combined;
};

static void world_run(uint64_t seed, struct totals *totals)
{
    struct world *world = memory_alloc(sizeof(*world));
    world_build(world, seed);
    turns_run(&world->turns);
    world_judge(world);
    if (world->broken[0]) fail_msg("seed %llu: %s", (unsigned long long)seed, world->broken);
    totals->n_ok += world->n_ok;
    totals->n_unknown += world->n_unknown;
    totals->n_refused += world->n_refused;
    totals->n_ghosts += world->n_ghosts;
    totals->n_trims += world->n_trims;
    totals->n_crashes += world->n_crashes;
    totals->n_carried += world->n_carried;
    totals->n_combined += world->n_combined;
    world_tear(world);
    free(world);
}

static uint64_t n_seeds = 300, first_seed = 1;

static void every_world_keeps_to_its_truth(void **state)
{
    (void)state;
    struct totals totals = {0};
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++)
        world_run(seed, &totals);
    print_message("%llu worlds: %llu commits, %llu unknown, %llu refused, %llu ghosts, %llu trims, "
                  "%llu crashes, %llu entries carried, %llu records with several\n",
                  (unsigned long long)n_seeds, (unsigned long long)totals.n_ok,
                  (unsigned long long)totals.n_unknown, (unsigned long long)totals.n_refused,
                  (unsigned long long)totals.n_ghosts, (unsigned long long)totals.n_trims,
                  (unsigned long long)totals.n_crashes, (unsigned long long)totals.n_carried,
                  (unsigned long long)totals.n_combined);
    if (n_seeds < 100) return;
    /* A world in which nothing happens shows nothing. */
    assert_true(totals.n_ok > 10 * n_seeds);
    assert_true(totals.n_unknown > 0 && totals.n_refused > 0 && totals.n_ghosts > 0);
    assert_true(totals.n_carried > n_seeds / 2 && totals.n_combined > n_seeds / 8);
    assert_true(totals.n_trims > n_seeds / 4 && totals.n_crashes > n_seeds / 4);
}

int main(int argc, char **argv)
{
    const char *count = argc > 1 ? argv[1] : getenv("GLIS_LOG_SEEDS");
    const char *only = getenv("GLIS_LOG_SEED");
    if (count) n_seeds = strtoull(count, NULL, 10);
    if (only) first_seed = strtoull(only, NULL, 10), n_seeds = 1;
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_world_keeps_to_its_truth)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
