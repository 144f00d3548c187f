/*
 * test_log_open.c: opening a log in a store that is far away: which requests that takes, and that
 * the state is right whatever has become of the hint, the snapshots and the first records.
 */
#include "test.h"

#include "log_toy.h"

#include <stdio.h>

struct world {
    struct toy_clock clock;
    struct runtime runtime;
    struct store *store, *faulty;
    struct log *writer;
    uint64_t n_shown, shown; /* states shown before the look; the ids in the last of them */
};

static struct pool *pool;
static const struct store_faults no_faults;

static int world_setup(void **state)
{
    struct world *world = memory_alloc_zero(sizeof *world);
    struct log_options by_hand = {.snapshot_by_hand = true, .block_slots = 4};
    world->clock = TOY_CLOCK;
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_seeded_new(7), .pool = pool};
    assert_ok(store_memory_open(&world->runtime, &world->store));
    assert_ok(store_fault_open(&world->runtime, world->store, 3, &no_faults, &world->faulty));
    assert_ok(log_open(&world->runtime, world->store, SLICE("t/"), &toy_machine, &by_hand,
                       &world->writer));
    *state = world;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *world = *state;
    log_close(world->writer);
    store_close(world->faulty);
    store_close(world->store);
    random_seeded_free(world->runtime.random);
    free(world);
    return 0;
}

static void add(struct world *world, int from, int to)
{
    for (int i = from; i <= to; i++) {
        struct log_answer answer;
        char text[100];
        snprintf(text, sizeof text, "{\"type\":\"add\",\"id\":\"i%d\"}", i);
        assert_ok(toy_commit(world->writer, &answer, text));
    }
}

static void drop(struct world *world, const char *key)
{
    struct slice slice = slice_from_text(key);
    assert_ok(store_remove(world->store, &slice, 1));
}

static uint64_t ids_of(const void *state)
{
    const struct toy *toy = state;
    struct map_cursor cursor;
    uint64_t n = 0;
    for (map_cursor_first(&toy->ids, &cursor); cursor.valid; map_cursor_next(&cursor))
        n++;
    return n;
}

static void shown(void *context, const void *state)
{
    struct world *world = context;
    world->n_shown++;
    world->shown = ids_of(state);
}

/* What opening asks: gets, looks, lists. Each of these logs has as many ids as records. */
static void assert_opens(struct world *world, uint64_t records, uint64_t gets, uint64_t heads,
                         uint64_t lists)
{
    struct log_options options = {
        .read_only = true, .block_slots = 4, .before_look = shown, .before_look_context = world};
    struct store_counters before = store_counters(world->store);
    struct log *log;
    assert_ok(log_open(&world->runtime, world->store, SLICE("t/"), &toy_machine, &options, &log));
    struct store_counters after = store_counters(world->store);
    const struct log_state *state = log_state_acquire(log);
    assert_int_equal(state->record, records);
    assert_int_equal(ids_of(state->state), records);
    log_state_release(state);
    log_close(log);
    assert_int_equal(after.gets - before.gets, gets);
    assert_int_equal(after.heads - before.heads, heads);
    assert_int_equal(after.lists - before.lists, lists);
}

static void a_young_log_takes_one_call_and_a_look(void **state)
{
    struct world *world = *state;
    assert_opens(world, 0, 5, 1, 0); /* the hint and four records */
    assert_int_equal(world->n_shown, 1);
    add(world, 1, 3);
    assert_opens(world, 3, 5, 1, 0);
    assert_int_equal(world->n_shown, 2);
    assert_int_equal(world->shown, 3);
}

static void a_snapshot_takes_one_call_more(void **state)
{
    struct world *world = *state;
    add(world, 1, 9);
    assert_ok(log_snapshot_write(world->writer));
    assert_opens(world, 9, 10, 1, 0);
    add(world, 10, 12);
    assert_opens(world, 12, 10, 1, 0);
    assert_int_equal(world->shown, 12);
    add(world, 13, 20); /* then in windows of eight */
    assert_opens(world, 20, 18, 1, 0);
}

static void a_long_log_without_a_hint_is_begun_by_the_list(void **state)
{
    struct world *world = *state;
    add(world, 1, 9);
    assert_opens(world, 9, 5 + 1 + (1 + 2 + 4 + 8), 1, 1); /* the hint once more, and windows */
    assert_ok(log_snapshot_write(world->writer));
    drop(world, "t/log/hint");
    assert_opens(world, 9, 5 + 1 + 1 + 1, 1, 1);
}

static void a_wrong_hint_costs_time_only(void **state)
{
    struct world *world = *state;
    static const char *const hints[] = {
        "", "no json", "{\"glis\":1,\"snapshot\":\"x\",\"record\":1}",
        "{\"glis\":1,\"snapshot\":\"00000000000000000005-00112233445566778899aabbccddeeff\"}"};
    add(world, 1, 9);
    assert_ok(log_snapshot_write(world->writer));
    add(world, 10, 11);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        struct log *log;
        assert_ok(store_put(world->store, SLICE("t/log/hint"), slice_from_text(hints[i]), 0));
        assert_ok(log_open(&world->runtime, world->store, SLICE("t/"), &toy_machine, NULL, &log));
        const struct log_state *seen = log_state_acquire(log);
        assert_int_equal(seen->record, 11);
        assert_int_equal(ids_of(seen->state), 11);
        log_state_release(seen);
        log_close(log);
    }
}

/* The hint is gone and so are the first records: a list, after the look has met the marker. */
static void a_trimmed_log_is_found_without_its_hint(void **state)
{
    struct world *world = *state;
    add(world, 1, 9);
    assert_ok(log_snapshot_write(world->writer));
    add(world, 10, 13);
    assert_ok(log_snapshot_write(world->writer));
    struct log_trim_plan plan;
    struct log_trim_result result;
    assert_ok(log_trim_plan(world->writer, 12, &plan));
    assert_int_equal(plan.line, 8);
    struct log_trim_options what = {.line = plan.line};
    assert_ok(log_trim(world->writer, &what, &result));
    assert_opens(world, 13, 10, 1, 0);
    drop(world, "t/log/hint");
    world->n_shown = 0;
    assert_opens(world, 13, 5 + 1 + 1, 2, 1); /* the snapshot, and no record behind it */
    assert_int_equal(world->n_shown, 1); /* of what turned out not to be real; never a second one */
    assert_int_equal(world->shown, 0);
}

/* What is begun early counts as read then: what comes after is not in it, and nothing is lost. */
static void what_is_begun_early_is_as_good_as_read(void **state)
{
    struct world *world = *state;
    add(world, 1, 2);
    struct log_ahead *ahead = log_ahead_begin(&world->runtime, world->store, SLICE("t/"));
    struct log_options options = {.read_only = true, .ahead = ahead, .asked_at_once = true};
    struct log *log;
    assert_ok(log_open(&world->runtime, world->store, SLICE("t/"), &toy_machine, &options, &log));
    /* Asked at once: the first question sends nothing, the second does. */
    add(world, 3, 3);
    uint64_t before = store_counters(world->store).gets;
    assert_ok(log_catch_up(log, 0));
    assert_int_equal(store_counters(world->store).gets, before);
    const struct log_state *seen = log_state_acquire(log);
    assert_int_equal(seen->record, 2);
    log_state_release(seen);
    assert_ok(log_catch_up(log, 0));
    seen = log_state_acquire(log);
    assert_int_equal(seen->record, 3);
    log_state_release(seen);
    log_close(log);
    log_ahead_drop(log_ahead_begin(&world->runtime, world->store, SLICE("t/")));
    /* An opening that fails takes it, too. */
    options.ahead = log_ahead_begin(&world->runtime, world->store, SLICE("t/"));
    options.record_max_bytes = UINT64_MAX;
    assert_fails(log_open(&world->runtime, world->store, SLICE("t/"), &toy_machine, &options, &log),
                 GLIS_EINVALID, "glis.log.record.max");
}

/* The store is gone from the n-th request on: an error, or the whole state. */
static void an_opening_cut_short_anywhere_is_an_error(void **state)
{
    struct world *world = *state;
    unsigned n_failed = 0;
    add(world, 1, 9);
    assert_ok(log_snapshot_write(world->writer));
    add(world, 10, 12);
    for (uint64_t at = 1; at < 16; at++) {
        struct store_faults faults = {.crash_at = store_fault_requests(world->faulty) + at};
        struct log_options options = {.read_only = true, .read_attempts = 1};
        struct log *log;
        store_fault_set(world->faulty, &faults);
        int code =
            log_open(&world->runtime, world->faulty, SLICE("t/"), &toy_machine, &options, &log);
        n_failed += code < 0;
        if (code < 0) {
            assert_int_equal(code, GLIS_EIO);
            continue;
        }
        const struct log_state *seen = log_state_acquire(log);
        assert_int_equal(seen->record, 12);
        log_state_release(seen);
        log_close(log);
    }
    assert_int_equal(n_failed, 11); /* ten gets and the look */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_young_log_takes_one_call_and_a_look),
        TEST(a_snapshot_takes_one_call_more),
        TEST(a_long_log_without_a_hint_is_begun_by_the_list),
        TEST(a_wrong_hint_costs_time_only),
        TEST(a_trimmed_log_is_found_without_its_hint),
        TEST(what_is_begun_early_is_as_good_as_read),
        TEST(an_opening_cut_short_anywhere_is_an_error),
    };
    pool = pool_new(0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
