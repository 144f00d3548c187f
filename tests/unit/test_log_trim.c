/*
 * test_log_trim.c: trimming: what goes and what stays, with a trimmer that dies at each of its
 * requests, whose answers get lost, and that is interleaved with others. What several trimmers and
 * writers do to each other by seed is in test_log_world.c.
 */
#include "test.h"

#include "log/log_int.h"
#include "log_toy.h"

struct world {
    struct toy_clock clock;
    struct runtime runtime;
    struct store *store, *faulty;
};

static struct pool *pool;
static const struct store_faults no_faults;
enum { SLOTS = 4 };

static void world_make(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->clock = TOY_CLOCK;
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_seeded_new(7), .pool = pool};
    assert_ok(store_memory_open(&world->runtime, &world->store));
    assert_ok(store_fault_open(&world->runtime, world->store, 3, &no_faults, &world->faulty));
}

static void world_free(struct world *world)
{
    store_close(world->faulty);
    store_close(world->store);
    random_seeded_free(world->runtime.random);
}

static const struct log_options options = {
    .block_slots = SLOTS, .snapshot_by_hand = true, .record_max_bytes = 90};

static struct log *open_on(struct world *world, struct store *store)
{
    struct log *log = NULL;
    assert_ok(log_open(&world->runtime, store, SLICE("t/"), &toy_machine, &options, &log));
    return log;
}

static void add(struct log *log, unsigned number, bool large)
{
    struct log_answer answer;
    char text[300];
    snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"%03u\"%s}", number,
             large ? ",\"pad\":\"------------------------------------------------------------"
                     "--------------------\""
                   : "");
    assert_ok(toy_commit(log, &answer, text));
    assert_int_equal(answer.record, number);
}

/* Records 1..n; every third is a body; a snapshot behind each record of `snapshots`. */
static struct log *fill(struct world *world, unsigned n, uint64_t snapshots)
{
    struct log *log = open_on(world, world->store);
    for (unsigned i = 1; i <= n; i++) {
        add(log, i, i % 3 == 0);
        if (snapshots >> i & 1) assert_ok(log_snapshot_write(log));
    }
    return log;
}

static int count_object(void *state, const struct store_object *object)
{
    (void)object;
    ++*(unsigned *)state;
    return 0;
}

static unsigned objects(struct world *world, const char *prefix)
{
    unsigned n = 0;
    assert_ok(store_each(world->store, slice_from_text(prefix), SLICE_EMPTY, count_object, &n));
    return n;
}

/* States from..to can be read, in a handle of its own, and hold what was added up to there. */
static void assert_readable(struct world *world, uint64_t from, uint64_t to)
{
    struct log *log = open_on(world, world->store);
    for (uint64_t record = from; record <= to; record++) {
        const struct log_state *state = NULL;
        assert_ok(log_state_at(log, record, &state));
        assert_int_equal(state->record, record);
        assert_int_equal(map_count(&((const struct toy *)state->state)->ids), record);
        log_state_release(state);
    }
    log_close(log);
}

static void what_is_wanted_stays_readable(void **unused)
{
    (void)unused;
    for (uint64_t keep_from = 1; keep_from <= 22; keep_from++) {
        struct world world;
        world_make(&world);
        /* Snapshots behind 3, 6, 7, 10, 13, 17, 18 and 21: groups of 0, 4, 8, 12, 16, 20. */
        struct log *log = fill(
            &world, 22, 1 << 3 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 13 | 1 << 17 | 1 << 18 | 1 << 21);
        static const uint64_t bases[] = {6, 10, 13, 17, 21};
        struct log_trim_plan plan;
        struct log_trim_result result;
        uint64_t base = 0;
        for (size_t i = 0; i < 5; i++)
            if (bases[i] <= keep_from) base = bases[i];
        assert_ok(log_trim_plan(log, keep_from, &plan));
        assert_int_equal(plan.base, base);
        assert_int_equal(plan.line, base / SLOTS * SLOTS);
        assert_int_equal(plan.is_due, base > 0);
        struct log_trim_options what = {.line = plan.line, .dry_run = true};
        unsigned before = objects(&world, "");
        assert_ok(log_trim(log, &what, &result));
        assert_int_equal(objects(&world, ""), before);
        assert_int_equal(result.records, plan.line);
        assert_int_equal(result.bodies, plan.line / 3);
        what.dry_run = false;
        assert_ok(log_trim(log, &what, &result));
        assert_int_equal(result.records, plan.line);
        assert_int_equal(result.bodies, plan.line / 3);
        assert_int_equal(objects(&world, "t/log/trimmed/"), plan.line / SLOTS);
        assert_int_equal(objects(&world, "t/log/0"), 22 - plan.line);
        assert_int_equal(objects(&world, "t/log/body/"), 7 - plan.line / 3);
        assert_readable(&world, base ? base : 1, 22);
        if (base > 1) {
            const struct log_state *state;
            assert_fails(log_state_at(log, plan.line ? plan.line - 1 : 0, &state), GLIS_EGONE,
                         "trimmed");
        }
        /* Once more there is nothing to do. */
        assert_ok(log_trim_plan(log, keep_from, &plan));
        assert_false(plan.is_due);
        assert_ok(log_trim(log, &what, &result));
        assert_int_equal(result.records + result.bodies + result.snapshots, 0);
        add(log, 23, false);
        log_close(log);
        world_free(&world);
    }
}

static void snapshots_that_nothing_needs_go(void **unused)
{
    (void)unused;
    struct world world;
    world_make(&world);
    struct log *log = fill(&world, 22, (1 << 23) - 2); /* behind each record */
    struct log_trim_result result;
    struct log_trim_plan plan;
    /* The newest two, and the lowest of each group but the first: 4, 8, 12, 16, 20, 21, 22. */
    assert_int_equal(objects(&world, "t/snapshot/"), 7);
    assert_ok(log_trim_plan(log, 14, &plan));
    assert_int_equal(plan.base, 12);
    assert_ok(log_trim(log, &(struct log_trim_options){.line = plan.line}, &result));
    assert_int_equal(result.snapshots, 2);
    assert_int_equal(objects(&world, "t/snapshot/"), 5);
    assert_readable(&world, 12, 22);
    log_close(log);
    world_free(&world);
}

static void without_a_snapshot_nothing_is_trimmed(void **unused)
{
    (void)unused;
    struct world world;
    world_make(&world);
    struct log *log = fill(&world, 10, 0);
    struct log_trim_plan plan;
    struct log_trim_result result;
    assert_ok(log_trim_plan(log, 10, &plan));
    assert_int_equal(plan.line, 0);
    assert_false(plan.is_due);
    assert_fails(log_trim(log, &(struct log_trim_options){.line = 8}, &result), GLIS_EREFUSED,
                 "no readable snapshot");
    assert_int_equal(objects(&world, "t/log/trimmed/"), 0);
    assert_fails(log_trim(log, &(struct log_trim_options){.line = 7}, &result), GLIS_EINVALID,
                 "blocks");
    log_close(log);
    world_free(&world);
}

/* Changes a byte of the only snapshot of a record. */
static int first_key(void *state, const struct store_object *object)
{
    snprintf(state, 200, "%.*s", SLICE_PRINT(object->key));
    return 1;
}

static void damage_snapshot(struct world *world, const char *prefix)
{
    char key[200] = "";
    defer_buffer struct buffer bytes = BUFFER_INIT(1 << 20);
    assert_int_equal(store_each(world->store, slice_from_text(prefix), SLICE_EMPTY, first_key, key),
                     1);
    assert_ok(store_get(world->store, slice_from_text(key), 0, STORE_TO_END, &bytes));
    bytes.data[bytes.size / 2] ^= 1;
    assert_ok(store_put(world->store, slice_from_text(key), buffer_slice(&bytes), 0));
}

/* What a damaged snapshot was to carry is carried by the records, so these stay: as far as a lower
 * snapshot reaches, or all of them. */
static void a_damaged_snapshot_is_no_ground(void **unused)
{
    (void)unused;
    for (int lower = 0; lower < 2; lower++) {
        struct world world;
        world_make(&world);
        struct log *log = fill(&world, 22, (lower ? 1 << 5 : 0) | 1 << 9 | 1 << 15 | 1 << 21);
        struct log_trim_plan plan;
        struct log_trim_result result;
        damage_snapshot(&world, "t/snapshot/00000000000000000009-");
        assert_readable(&world, 11, 22);
        /* Planned by names alone, the trim is refused before anything has gone. */
        assert_ok(log_trim_plan(log, 12, &plan));
        assert_int_equal(plan.base, 9);
        assert_fails(log_trim(log, &(struct log_trim_options){.line = plan.line}, &result),
                     GLIS_EREFUSED, "damaged");
        assert_int_equal(objects(&world, "t/log/trimmed/"), 0);
        assert_readable(&world, 1, 22);
        /* Planned with a look, it stands on what can be read. */
        assert_ok(log_trim_plan_sure(log, 12, &plan));
        assert_int_equal(plan.is_due, lower);
        assert_int_equal(plan.base, lower ? 5 : 0);
        assert_ok(log_trim(log, &(struct log_trim_options){.line = plan.line}, &result));
        assert_int_equal(result.line, lower ? 4 : 0);
        assert_readable(&world, lower ? 5 : 1, 22);
        log_close(log);
        world_free(&world);
    }
}

/* A trimmer dies at its n-th request, or from then on its answers get lost; whoever comes next
 * finishes, and what is wanted can be read at every moment. */
static void a_trimmer_may_die_at_each_request(void **unused)
{
    (void)unused;
    bool died = true;
    unsigned n_runs = 0;
    for (uint64_t at = 1; died; at++) {
        struct world world;
        world_make(&world);
        struct log *log = fill(&world, 14, 1 << 5 | 1 << 9 | 1 << 13);
        struct log *doomed = open_on(&world, world.faulty);
        struct log_trim_plan plan;
        struct log_trim_result result;
        struct store_faults faults = {.crash_at = store_fault_requests(world.faulty) + at};
        store_fault_set(world.faulty, &faults);
        int code = log_trim_plan(doomed, 11, &plan);
        if (code == 0)
            code = log_trim(doomed, &(struct log_trim_options){.line = plan.line}, &result);
        died = code < 0;
        error_clear();
        assert_readable(&world, 9, 14);
        assert_ok(log_trim_plan(log, 11, &plan));
        assert_int_equal(plan.line, 8);
        assert_ok(log_trim(log, &(struct log_trim_options){.line = plan.line}, &result));
        assert_int_equal(objects(&world, "t/log/trimmed/"), 2);
        assert_int_equal(objects(&world, "t/log/0"), 6);
        assert_readable(&world, 9, 14);
        /* Bodies of a trimmer that died are orphans, which go when the owner says so. */
        assert_ok(log_trim(log, &(struct log_trim_options){.bodies_below = 9}, &result));
        assert_int_equal(objects(&world, "t/log/body/"), 2);
        log_close(doomed);
        log_close(log);
        world_free(&world);
        n_runs++;
    }
    assert_true(n_runs > 20);
}

static void lost_answers_do_not_keep_from_trimming(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed < 200; seed++) {
        struct world world;
        world_make(&world);
        log_close(fill(&world, 14, 1 << 5 | 1 << 9 | 1 << 13));
        struct store *store;
        struct store_faults faults = {
            .lost_before = 8000, .lost_after = 8000, .late = 4000, .retry = 4000, .repeated = 8000};
        assert_ok(store_fault_open(&world.runtime, world.store, seed, &no_faults, &store));
        struct log *log = open_on(&world, store);
        store_fault_set(store, &faults);
        for (unsigned i = 0; i < 5; i++) {
            struct log_trim_plan plan;
            struct log_trim_result result;
            int code = log_trim_plan(log, 11, &plan);
            if (code == 0)
                code = log_trim(log, &(struct log_trim_options){.line = plan.line}, &result);
            /* Whatever came of it: what was deleted had its marker. */
            unsigned markers = objects(&world, "t/log/trimmed/");
            assert_true(objects(&world, "t/log/0") >= 14 - markers * SLOTS);
            assert_readable(&world, 9, 14);
        }
        error_clear();
        log_close(log);
        store_close(store);
        world_free(&world);
    }
}

/* A put of record 3 was under way when its writer gave it up; its transaction, with its body, came
 * into record 9. The put lands in a trimmed slot: the ghost names a body that is needed. */
static void a_ghosts_body_stays(void **unused)
{
    (void)unused;
    struct world world;
    world_make(&world);
    struct log *log = fill(&world, 14, 1 << 5 | 1 << 9 | 1 << 13);
    struct log_trim_result result;
    struct store_object object;
    defer_buffer struct buffer body = BUFFER_INIT(1 << 20);
    assert_ok(store_get(world.store, SLICE("t/log/00000000000000000009"), 0, STORE_TO_END, &body));
    assert_ok(log_trim(log, &(struct log_trim_options){.line = 4}, &result));
    /* The ghost: record 9 as it would have been in slot 3. */
    defer_arena struct arena arena = ARENA_EMPTY;
    struct log_record record;
    assert_ok(log_record_decode(&arena, buffer_slice(&body), 9, &record));
    assert_int_equal(record.lines[0].kind, LOG_LINE_BODY);
    struct log_line_out line = {.body_name = record.lines[0].body_name,
                                .body_bytes = record.lines[0].body_bytes,
                                .body_hash = record.lines[0].body_hash};
    record.record = 3;
    defer_buffer struct buffer ghost = BUFFER_INIT(1 << 20);
    assert_ok(log_record_encode(&record, &line, 1, &ghost));
    assert_ok(store_put(world.store, SLICE("t/log/00000000000000000003"), buffer_slice(&ghost),
                        STORE_IF_ABSENT));
    assert_ok(log_trim(log, &(struct log_trim_options){.line = 8, .bodies_below = 8}, &result));
    assert_int_equal(result.records, 5); /* the ghost, too */
    assert_fails(store_head(world.store, SLICE("t/log/00000000000000000003"), &object),
                 GLIS_ENOTFOUND, NULL);
    assert_readable(&world, 9, 14);
    assert_int_equal(objects(&world, "t/log/body/"), 2);
    log_close(log);
    world_free(&world);
}

static void who_slept_through_a_trim_begins_again(void **unused)
{
    (void)unused;
    struct world world;
    world_make(&world);
    struct log *log = fill(&world, 2, 0), *sleeper = open_on(&world, world.store);
    struct log *writer = open_on(&world, world.store);
    for (unsigned i = 3; i <= 9; i++)
        add(log, i, false);
    assert_ok(log_snapshot_write(log));
    struct log_trim_result result;
    struct log_answer answer;
    assert_ok(log_trim(log, &(struct log_trim_options){.line = 8}, &result));
    assert_ok(log_catch_up(sleeper, 0));
    const struct log_state *state = log_state_acquire(sleeper);
    assert_int_equal(state->record, 9);
    log_state_release(state);
    assert_fails(toy_commit(writer, &answer, "{\"type\":\"add\",\"id\":\"x\"}"), GLIS_EUNKNOWN,
                 "trimmed");
    assert_ok(toy_commit(writer, &answer, "{\"type\":\"add\",\"id\":\"x\"}"));
    assert_int_equal(answer.record, 10);
    /* The ghost that it left goes with the next trim. */
    assert_int_equal(objects(&world, "t/log/0"), 3);
    assert_ok(log_trim(log, &(struct log_trim_options){0}, &result));
    assert_int_equal(result.records, 1);
    assert_int_equal(objects(&world, "t/log/0"), 2);
    log_close(log);
    log_close(sleeper);
    log_close(writer);
    world_free(&world);
}

static void old_uploads_and_entries_are_cleaned(void **unused)
{
    (void)unused;
    struct world world;
    world_make(&world);
    struct log *log = fill(&world, 5, 0);
    struct store_upload *upload;
    struct log_trim_result result;
    assert_ok(store_upload_open(world.store, SLICE("t/log/body/x"), 0, &upload));
    static const struct {
        const char *key, *text;
    } entries[] = {
        {"t/log/pending/aa", "{\"log\":\"pending\",\"id\":\"aa\",\"not_after\":5,"
                             "\"transaction\":{\"type\":\"add\",\"id\":\"y\"}}\n"},
        {"t/log/pending/bb", "{\"log\":\"pending\",\"id\":\"bb\",\"not_after\":6,"
                             "\"transaction\":{\"type\":\"add\",\"id\":\"y\"}}\n"},
        {"t/log/pending/cc", "{\"log\":\"pending\",\"id\":\"dd\",\"not_after\":3,"
                             "\"transaction\":{\"type\":\"add\",\"id\":\"y\"}}\n"},
        {"t/log/pending/dd", "no entry at all"},
    };
    for (size_t i = 0; i < 4; i++)
        assert_ok(store_put(world.store, slice_from_text(entries[i].key),
                            slice_from_text(entries[i].text), 0));
    assert_ok(log_trim(log, &(struct log_trim_options){0}, &result));
    assert_int_equal(result.pending, 1); /* aa: its time is over */
    assert_int_equal(result.uploads, 0); /* somebody may be at it */
    toy_sleep_ms(&world.clock.clock, 25 * 3600 * 1000);
    assert_ok(log_trim(log, &(struct log_trim_options){0}, &result));
    assert_int_equal(result.uploads, 1);
    assert_int_equal(objects(&world, "t/log/pending/"), 3);
    store_upload_abort(upload);
    log_close(log);
    world_free(&world);
}

int main(void)
{
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wanted_stays_readable),
        cmocka_unit_test(snapshots_that_nothing_needs_go),
        cmocka_unit_test(without_a_snapshot_nothing_is_trimmed),
        cmocka_unit_test(a_damaged_snapshot_is_no_ground),
        cmocka_unit_test(a_trimmer_may_die_at_each_request),
        cmocka_unit_test(lost_answers_do_not_keep_from_trimming),
        cmocka_unit_test(a_ghosts_body_stays),
        cmocka_unit_test(who_slept_through_a_trim_begins_again),
        cmocka_unit_test(old_uploads_and_entries_are_cleaned),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
