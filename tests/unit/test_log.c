/*
 * test_log.c: one log at a time over the memory store: commits and refusals, group commit, doubt,
 * ghosts, bodies, snapshots, the hint, damage, clocks. Markers, trimmed blocks and ghosts are made
 * by hand. What several writers do to each other is in test_log_world.c.
 */
#include "test.h"

#include "log/log_int.h"
#include "log_toy.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

struct world {
    struct toy_clock clock;
    struct runtime runtime;
    struct store *store;  /* behind */
    struct store *faulty; /* in front; fine at first */
};

static struct pool *pool;
static const struct store_faults no_faults;
enum { ALWAYS = 65536 };

static int world_setup(void **state)
{
    struct world *world = memory_alloc_zero(sizeof(*world));
    world->clock = TOY_CLOCK;
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_seeded_new(7), .pool = pool};
    assert_ok(store_memory_open(&world->runtime, &world->store));
    assert_ok(store_fault_open(&world->runtime, world->store, 3, &no_faults, &world->faulty));
    *state = world;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *world = *state;
    store_close(world->faulty);
    store_close(world->store);
    random_seeded_free(world->runtime.random);
    free(world);
    return 0;
}

static struct log *open_log(struct world *world, const struct log_options *options)
{
    struct log *log = NULL;
    assert_ok(log_open(&world->runtime, world->faulty, SLICE("t/"), &toy_machine, options, &log));
    return log;
}

/* The ids in the log's state are these, joined by blanks; it stands at this record. */
static void assert_state(struct log *log, uint64_t record, const char *wanted)
{
    const struct log_state *state = log_state_acquire(log);
    const struct toy *toy = state->state;
    defer_buffer struct buffer ids = BUFFER_INIT(1 << 20);
    struct map_cursor cursor;
    for (map_cursor_first(&toy->ids, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        if (ids.size) assert_ok(buffer_append_text(&ids, " "));
        assert_ok(buffer_append_slice(&ids, cursor.key));
    }
    assert_ok(buffer_append_byte(&ids, 0));
    assert_string_equal((char *)ids.data, wanted);
    assert_int_equal(state->record, record);
    log_state_release(state);
}

static void add(struct log *log, const char *id)
{
    struct log_answer answer;
    char text[100];
    snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"%s\"}", id);
    assert_ok(toy_commit(log, &answer, text));
}

static void store_copy(struct store *store, const char *from, const char *to)
{
    defer_buffer struct buffer body = BUFFER_INIT(1 << 20);
    assert_ok(store_get(store, slice_from_text(from), 0, STORE_TO_END, &body));
    assert_ok(store_put(store, slice_from_text(to), buffer_slice(&body), 0));
}

static void store_drop(struct store *store, const char *key)
{
    struct slice slice = slice_from_text(key);
    assert_ok(store_remove(store, &slice, 1));
}

#define RECORD(n) "t/log/0000000000000000000" #n
#define MARKER(n) "t/log/trimmed/0000000000000000000" #n

/* ---- committing ---- */

static void what_was_committed_is_there_for_everybody(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL), *other = open_log(world, NULL);
    assert_state(log, 0, "");
    add(log, "a");
    add(log, "b");
    assert_state(log, 2, "a b");
    assert_state(other, 0, "");
    assert_ok(log_catch_up(other, 0));
    assert_state(other, 2, "a b");
    add(other, "c");
    assert_ok(log_catch_up(log, 0));
    assert_state(log, 3, "a b c");
    log_close(log);
    log_close(other);
    log = open_log(world, NULL);
    assert_state(log, 3, "a b c");
    log_close(log);
}

static void a_refusal_has_a_reason_and_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    struct log_answer answer;
    add(log, "a");
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"a\"}"), GLIS_EREFUSED,
                 "'a' is there");
    assert_int_equal(answer.code, GLIS_EREFUSED);
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\"}"), GLIS_EINVALID, "id");
    assert_fails(toy_commit(log, &answer, "{\"type\":\"fly\"}"), GLIS_ENEWER, "fly");
    assert_fails(toy_commit(log, &answer, "not json"), GLIS_EINVALID, "transaction");
    assert_fails(toy_commit(log, &answer, "[1]"), GLIS_EINVALID, "object");
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\",\n\"id\":\"x\"}"), GLIS_EINVALID,
                 "line");
    assert_fails(toy_commit(log, &answer, "{\"log\":\"set_time\",\"record\":1}"), GLIS_EINVALID,
                 "log");
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"x\",\"broken\":1}"),
                 GLIS_ENOMEM, "broken on purpose");
    assert_state(log, 1, "a");
    struct store_object object;
    assert_fails(store_head(world->store, slice_from_text(RECORD(2)), &object), GLIS_ENOTFOUND,
                 NULL);
    assert_ok(toy_commit(log, &answer, "{\"type\":\"ensure\",\"id\":\"a\"}"));
    assert_true(answer.already_done);
    assert_int_equal(answer.record, 1);
    log_close(log);
}

static void a_refusal_by_an_old_state_is_checked_again(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL), *other = open_log(world, NULL);
    struct log_answer answer;
    add(log, "bar");
    assert_ok(log_catch_up(other, 0));
    /* `other` is young enough not to be caught up, yet its refusal must be by the newest state. */
    assert_fails(toy_commit(other, &answer, "{\"type\":\"add\",\"id\":\"x\",\"unless\":\"bar\"}"),
                 GLIS_EREFUSED, "bars");
    add(log, "late");
    assert_fails(toy_commit(other, &answer, "{\"type\":\"add\",\"id\":\"late\"}"), GLIS_EREFUSED,
                 "'late' is there");
    assert_state(other, 2, "bar late");
    /* By the old state it is barred, by the newest it is not. */
    assert_ok(toy_commit(log, &answer, "{\"type\":\"lift\",\"id\":\"bar\"}"));
    assert_ok(toy_commit(other, &answer, "{\"type\":\"add\",\"id\":\"x\",\"unless\":\"bar\"}"));
    assert_state(other, 4, "late x");
    log_close(log);
    log_close(other);
}

static void transactions_of_one_call_share_a_record_and_fail_alone(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    struct slice transactions[] = {
        SLICE("{\"type\":\"add\",\"id\":\"a\"}"),
        SLICE("{\"type\":\"add\",\"id\":\"a\"}"), /* refused by its companion */
        SLICE("{\"type\":\"add\",\"id\":\"b\",\"unless\":\"a\"}"),
        SLICE("{\"type\":\"ensure\",\"id\":\"a\"}"), /* already done by its companion */
        SLICE("{\"type\":\"add\",\"id\":\"x\",\"broken\":true}"),
        SLICE("{\"type\":\"add\",\"id\":\"c\"}"),
        SLICE("{\"type\":\"unheard of\"}"),
    };
    static const int codes[] = {0, GLIS_EREFUSED, GLIS_EREFUSED, 0, GLIS_ENOMEM, 0, GLIS_ENEWER};
    struct log_answer answers[7];
    assert_fails(log_commit(log, transactions, 7, 0, answers), GLIS_EREFUSED, "'a' is there");
    for (int i = 0; i < 7; i++) {
        assert_int_equal(answers[i].code, codes[i]);
        if (codes[i] == 0) assert_int_equal(answers[i].record, 1);
    }
    assert_true(answers[3].already_done);
    assert_state(log, 1, "a c");
    log_close(log);
}

/* ---- requests ---- */

static void a_commit_is_one_put_and_one_head_and_a_read_one_get_and_one_head(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    add(log, "a");
    struct store_counters before = store_counters(world->faulty);
    add(log, "b");
    struct store_counters after = store_counters(world->faulty);
    assert_int_equal(after.conditional_puts - before.conditional_puts, 1);
    assert_int_equal(after.heads - before.heads, 1);
    assert_int_equal(after.gets - before.gets, 0);
    assert_int_equal(after.lists - before.lists, 0);
    assert_ok(log_catch_up(log, 0));
    struct store_counters read = store_counters(world->faulty);
    assert_int_equal(read.gets - after.gets, 1);
    assert_int_equal(read.heads - after.heads, 1);
    assert_int_equal(read.lists - after.lists, 0);
    assert_ok(log_catch_up(log, 1000));
    assert_int_equal(store_counters(world->faulty).gets, read.gets);
    toy_sleep_ms(&world->clock.clock, 1001);
    assert_ok(log_catch_up(log, 1000));
    assert_int_equal(store_counters(world->faulty).gets, read.gets + 1);
    log_close(log);
}

static void a_reader_far_behind_asks_for_several_at_a_time(void **state)
{
    struct world *world = *state;
    struct log_options by_hand = {.snapshot_by_hand = true};
    struct log *log = open_log(world, &by_hand), *other = open_log(world, &by_hand);
    char id[16];
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "%03d", i);
        add(log, id);
    }
    uint64_t requests = store_counters(world->faulty).gets;
    assert_ok(log_catch_up(other, 0));
    const struct log_state *a = log_state_acquire(log), *b = log_state_acquire(other);
    assert_int_equal(b->record, 100);
    assert_string_equal(a->id, b->id);
    log_state_release(a);
    log_state_release(b);
    /* 1 + 2 + 4 + 8 + 16 + 32 + 32 + 32 slots */
    assert_int_equal(store_counters(world->faulty).gets - requests, 127);
    log_close(log);
    log_close(other);
}

/* ---- doubt ---- */

static void a_lost_answer_is_found_out(void **state)
{
    struct world *world = *state;
    struct log_options patient = {.read_attempts = 50};
    struct log *log = open_log(world, &patient);
    struct store_faults faults = {.lost_after = 40000};
    struct log_answer answer;
    add(log, "a");
    for (int i = 0; i < 50; i++) {
        char text[64];
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"n%02d\"}", i);
        store_fault_set(world->faulty, &faults);
        assert_ok(toy_commit(log, &answer, text));
        assert_int_equal(answer.record, 2 + i);
    }
    store_fault_set(world->faulty, &no_faults);
    log_close(log);
}

static void a_put_that_the_store_never_answers_is_unknown_at_the_deadline(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    struct log_answer answer;
    add(log, "a");
    store_fault_set(world->faulty, &(struct store_faults){.lost_before = ALWAYS});
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"b\"}"), GLIS_EUNKNOWN,
                 "before the store told");
    store_fault_set(world->faulty, &no_faults);
    add(log, "b");
    assert_state(log, 2, "a b");
    log_close(log);
}

static void a_store_that_asks_for_patience_leaves_no_doubt(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    struct log_answer answer;
    add(log, "a");
    store_fault_set(world->faulty, &(struct store_faults){.retry = ALWAYS});
    int code = toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"b\"}");
    assert_true(code == GLIS_ETIMEOUT || code == GLIS_ERETRY);
    store_fault_set(world->faulty, &no_faults);
    assert_ok(log_catch_up(log, 0));
    assert_state(log, 1, "a");
    log_close(log);
}

static void a_cancel_ends_a_commit(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    struct log_answer answer;
    struct cancel cancel = {1};
    world->runtime.cancel = &cancel;
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"b\"}"), GLIS_ECANCELLED,
                 NULL);
    cancel.requested = 0;
    add(log, "b");
    log_close(log);
}

/* ---- trimming, by hand ---- */

/* Its records may have been put by a process that has not made them durable yet. */
static void a_snapshot_is_written_of_durable_records_only(void **state)
{
    struct world *world = *state;
    struct log *writer = open_log(world, NULL), *reader = open_log(world, NULL);
    add(writer, "a");
    assert_ok(log_catch_up(reader, 0));
    uint64_t syncs = store_counters(world->store).syncs;
    assert_ok(log_snapshot_write(reader));
    assert_int_equal(store_counters(world->store).syncs, syncs + 1);
    log_close(reader);
    log_close(writer);
}

/* Whoever clears an ended log makes the last snapshot durable, also when it was only read: who put
 * it may have died before. */
static void an_end_stands_on_a_durable_snapshot(void **state)
{
    struct world *world = *state;
    struct log *writer = open_log(world, NULL);
    struct log_answer answer;
    add(writer, "a");
    assert_ok(toy_commit(writer, &answer, "{\"type\":\"drop\"}"));
    assert_ok(log_snapshot_write(writer));
    struct log *reader = open_log(world, NULL);
    uint64_t syncs = store_counters(world->store).syncs;
    assert_ok(log_clear_ended(reader));
    assert_int_equal(store_counters(world->store).syncs, syncs + 1);
    log_close(reader);
    log_close(writer);
}

/* Who closes a log after something failed reports that, not what the closing met with. */
static void closing_keeps_the_error_at_hand(void **state)
{
    struct world *world = *state;
    for (int crashed = 0; crashed < 2; crashed++) {
        struct store *store;
        struct store_faults faults = {0};
        struct log *log;
        struct log_options at_close = {
            .snapshot_at_close = true, .snapshot_by_hand = true, .snapshot_min_bytes = 1};
        assert_ok(store_fault_open(&world->runtime, world->store, 1, &faults, &store));
        assert_ok(log_open(&world->runtime, store, SLICE("t/"), &toy_machine, &at_close, &log));
        add(log, crashed ? "a" : "b");
        assert_true(log_snapshot_due(log));
        faults.crash_at = crashed;
        store_fault_set(store, &faults);
        uint64_t requests = store_fault_requests(store);
        assert_int_equal(error_set(GLIS_EDATA, "row 7 is bad"), GLIS_EDATA);
        log_close(log);
        assert_true(store_fault_requests(store) > requests);
        assert_string_equal(error_message(), "row 7 is bad");
        error_clear();
        store_close(store);
    }
}

static void a_writer_that_slept_through_a_trim_learns_that_nothing_can_tell(void **state)
{
    struct world *world = *state;
    struct log_options blocks = {.block_slots = 2};
    struct log *log = open_log(world, &blocks), *sleeper = open_log(world, &blocks);
    struct log_answer answer;
    add(log, "a");
    assert_ok(log_catch_up(sleeper, 0));
    add(log, "b");
    assert_ok(log_snapshot_write(log));
    assert_ok(store_put(world->store, slice_from_text(MARKER(1)), SLICE("{}"), STORE_IF_ABSENT));
    store_drop(world->store, RECORD(1));
    store_drop(world->store, RECORD(2));
    /* The sleeper's put creates slot 2 again: a ghost. */
    assert_fails(toy_commit(sleeper, &answer, "{\"type\":\"add\",\"id\":\"x\"}"), GLIS_EUNKNOWN,
                 "trimmed");
    /* Doing it again is safe, and works: from the snapshot now. */
    assert_ok(toy_commit(sleeper, &answer, "{\"type\":\"add\",\"id\":\"x\"}"));
    assert_int_equal(answer.record, 3);
    assert_state(sleeper, 3, "a b x");
    assert_ok(log_catch_up(log, 0));
    assert_state(log, 3, "a b x");
    const struct log_state *old = NULL;
    assert_fails(log_state_at(log, 1, &old), GLIS_EGONE, "trimmed");
    assert_ok(log_state_at(log, 2, &old));
    log_state_release(old);
    log_close(log);
    log_close(sleeper);
}

static void a_reader_that_slept_takes_no_ghost_for_a_record(void **state)
{
    struct world *world = *state;
    struct log_options blocks = {.block_slots = 2};
    struct log *log = open_log(world, &blocks), *sleeper = open_log(world, &blocks);
    add(log, "a");
    assert_ok(log_catch_up(sleeper, 0));
    /* A ghost of slot 2 made by a writer of another world, which follows record 1. */
    store_copy(world->store, RECORD(1), "keep/1");
    add(log, "ghost");
    store_copy(world->store, RECORD(2), "keep/ghost");
    store_drop(world->store, RECORD(2));
    log_close(log);
    log = open_log(world, &blocks);
    add(log, "b");
    add(log, "c");
    assert_ok(log_snapshot_write(log));
    assert_ok(store_put(world->store, slice_from_text(MARKER(1)), SLICE("{}"), STORE_IF_ABSENT));
    store_drop(world->store, RECORD(1));
    store_drop(world->store, RECORD(2));
    store_copy(world->store, "keep/ghost", RECORD(2));
    assert_ok(log_catch_up(sleeper, 0));
    assert_state(sleeper, 3, "a b c");
    struct log *fresh = open_log(world, &blocks);
    assert_state(fresh, 3, "a b c");
    log_close(fresh);
    log_close(log);
    log_close(sleeper);
}

static void an_end_is_final(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL), *other = open_log(world, NULL);
    struct log_answer answer;
    add(log, "a");
    assert_ok(log_catch_up(other, 0));
    assert_ok(toy_commit(log, &answer, "{\"type\":\"drop\"}"));
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"b\"}"), GLIS_EREFUSED,
                 "dropped");
    assert_fails(toy_commit(log, &answer, "{\"type\":\"ensure\",\"id\":\"a\"}"), GLIS_EREFUSED,
                 "dropped");
    /* The trim of everything: last snapshot, the marker of its half-filled block, all else
     * deleted. */
    assert_ok(log_snapshot_write(log));
    assert_ok(store_put(world->store, slice_from_text(MARKER(1)), SLICE("{}"), STORE_IF_ABSENT));
    store_drop(world->store, RECORD(1));
    store_drop(world->store, RECORD(2));
    store_drop(world->store, "t/log/hint");
    assert_fails(toy_commit(other, &answer, "{\"type\":\"add\",\"id\":\"b\"}"), GLIS_EUNKNOWN,
                 "trimmed");
    assert_fails(toy_commit(other, &answer, "{\"type\":\"add\",\"id\":\"b\"}"), GLIS_EREFUSED,
                 "dropped");
    assert_state(other, 2, "a");
    struct log *fresh = open_log(world, NULL);
    const struct log_state *end = log_state_acquire(fresh);
    assert_true(end->ended);
    log_state_release(end);
    uint64_t requests = store_fault_requests(world->faulty);
    assert_ok(log_catch_up(fresh, 0));
    assert_int_equal(store_fault_requests(world->faulty), requests);
    log_close(fresh);
    log_close(log);
    log_close(other);
}

/* ---- what happens between two requests ---- */

/* A store that lets something happen before a request. */
struct hook {
    struct store store;
    struct world *world;
    struct log *sleeper, *other;
    int step;
    bool others;  /* go on behind the record whose answer was lost */
    bool publish; /* a reader of the sleeper's process goes on meanwhile */
};

/* Before the sleeper reads slot 2 back, the block of slot 2 is trimmed. */
static void before_read(struct hook *hook, struct slice key)
{
    if (!slice_equal_text(key, RECORD(2)) || hook->step != 2 || hook->others) return;
    hook->step = 3;
    struct store *store = hook->world->store;
    add(hook->other, "later");
    assert_ok(log_snapshot_write(hook->other));
    assert_ok(store_put(store, slice_from_text(MARKER(1)), SLICE("{}"), STORE_IF_ABSENT));
    store_drop(store, RECORD(1));
    store_drop(store, RECORD(2));
    if (hook->publish) assert_ok(log_catch_up(hook->sleeper, 0));
}

static int hook_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct hook *hook = (struct hook *)store;
    int code = store_put(hook->world->store, key, body, flags);
    if (!slice_equal_text(key, RECORD(2)) || hook->step >= 2) return code;
    if (hook->others && hook->step == 0) {
        toy_sleep_ms(&hook->world->clock.clock, 10000);
        add(hook->other, "later");
    }
    return ++hook->step == 1 ? error_set(GLIS_EUNKNOWN, "the answer was lost") : code;
}

static void hook_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct hook *hook = (struct hook *)store;
    for (size_t i = 0; i < n_reads; i++) {
        before_read(hook, reads[i].key);
        assert_ok(store_read(hook->world->store, &reads[i], 1));
    }
}

static int hook_head(struct store *store, struct slice key, struct store_object *out)
{
    return store_head(((struct hook *)store)->world->store, key, out);
}

static int hook_list(struct store *store, struct slice prefix, struct slice start_after,
                     size_t limit, struct arena *arena, struct store_list *out)
{
    return store_list(((struct hook *)store)->world->store, prefix, start_after, limit, arena, out);
}

static int hook_time_ms(struct store *store, int64_t *out)
{
    return store_time_ms(((struct hook *)store)->world->store, out);
}

static int hook_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    return store_sync(((struct hook *)store)->world->store, keys, n_keys);
}

static char hook_description[] = "hook";
static const struct store_ops hook_ops = {.put = hook_put,
                                          .read = hook_read,
                                          .head = hook_head,
                                          .list = hook_list,
                                          .sync = hook_sync,
                                          .time_ms = hook_time_ms};

static void trimmed_in_doubt(struct world *world, bool publish)
{
    struct hook hook = {.store = {.ops = &hook_ops, .description = hook_description},
                        .world = world,
                        .publish = publish};
    struct log_options blocks = {.block_slots = 2};
    struct log_answer answer;
    hook.other = open_log(world, &blocks);
    add(hook.other, "a");
    assert_ok(
        log_open(&world->runtime, &hook.store, SLICE("t/"), &toy_machine, &blocks, &hook.sleeper));
    assert_fails(toy_commit(hook.sleeper, &answer, "{\"type\":\"add\",\"id\":\"x\"}"),
                 GLIS_EUNKNOWN, "trimmed");
    assert_int_equal(hook.step, 3);
    assert_fails(toy_commit(hook.sleeper, &answer, "{\"type\":\"add\",\"id\":\"x\"}"),
                 GLIS_EREFUSED, "'x' is there");
    log_close(hook.sleeper);
    log_close(hook.other);
}

static void in_doubt_a_marker_means_that_nothing_can_tell(void **state)
{
    trimmed_in_doubt(*state, false);
}

static void after_doubt_a_state_is_as_old_as_the_first_attempt(void **state)
{
    struct world *world = *state;
    struct hook hook = {.store = {.ops = &hook_ops, .description = hook_description},
                        .world = world,
                        .others = true};
    struct log_answer answer;
    hook.other = open_log(world, NULL);
    add(hook.other, "a");
    assert_ok(
        log_open(&world->runtime, &hook.store, SLICE("t/"), &toy_machine, NULL, &hook.sleeper));
    assert_ok(toy_commit(hook.sleeper, &answer, "{\"type\":\"add\",\"id\":\"x\"}"));
    assert_int_equal(answer.record, 2);
    assert_state(hook.other, 3, "a later x");
    assert_ok(log_catch_up(hook.sleeper, 9000)); /* "later" was acknowledged before that */
    assert_state(hook.sleeper, 3, "a later x");
    log_close(hook.sleeper);
    log_close(hook.other);
}

static void doubt_is_settled_from_the_state_it_began_with(void **state)
{
    trimmed_in_doubt(*state, true);
}

/* ---- deadlines within a group ---- */

struct busy { /* a store that asks for patience while time passes, once */
    struct store store;
    struct world *world;
    struct log *log;
    _Atomic int puts;
};

static size_t n_waiting(struct log *log)
{
    size_t n = 0;
    pthread_mutex_lock(&log->lock);
    for (struct log_request *request = log->first_waiting; request;
         request = *(struct log_request **)request) /* `next` is its first member */
        n++;
    pthread_mutex_unlock(&log->lock);
    return n;
}

static int busy_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct busy *busy = (struct busy *)store;
    switch (++busy->puts) {
    case 1: /* until the others have queued up behind this record */
        while (n_waiting(busy->log) < 2)
            usleep(100);
        break;
    case 2: /* carries both; the deadline of one of them passes */
        toy_sleep_ms(&busy->world->clock.clock, 2000);
        return error_set(GLIS_ERETRY, "patience");
    default: break;
    }
    return store_put(busy->world->store, key, body, flags);
}

static void busy_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    int ignored = store_read(((struct busy *)store)->world->store, reads, n_reads);
    (void)ignored;
}

static int busy_head(struct store *store, struct slice key, struct store_object *out)
{
    return store_head(((struct busy *)store)->world->store, key, out);
}

static int busy_list(struct store *store, struct slice prefix, struct slice start_after,
                     size_t limit, struct arena *arena, struct store_list *out)
{
    return store_list(((struct busy *)store)->world->store, prefix, start_after, limit, arena, out);
}

static int busy_time_ms(struct store *store, int64_t *out)
{
    return store_time_ms(((struct busy *)store)->world->store, out);
}

struct hurry {
    pthread_t thread;
    struct log *log;
    const char *text;
    int64_t deadline_ns;
    struct log_answer answer;
};

static void *commit_in_a_hurry(void *state)
{
    struct hurry *hurry = state;
    struct slice transaction = slice_from_text(hurry->text);
    int ignored = log_commit(hurry->log, &transaction, 1, hurry->deadline_ns, &hurry->answer);
    (void)ignored;
    return NULL;
}

static void who_was_told_that_time_is_over_is_not_put(void **state)
{
    struct world *world = *state;
    static char description[] = "busy";
    static const struct store_ops ops = {.put = busy_put,
                                         .read = busy_read,
                                         .head = busy_head,
                                         .list = busy_list,
                                         .time_ms = busy_time_ms};
    struct busy busy = {.store = {.ops = &ops, .description = description}, .world = world};
    assert_ok(log_open(&world->runtime, &busy.store, SLICE("t/"), &toy_machine, NULL, &busy.log));
    int64_t soon_ns = log_now_ns(busy.log) + 1000000000;
    struct hurry hurries[] = {
        {.text = "{\"type\":\"add\",\"id\":\"first\"}", .deadline_ns = LOG_NO_DEADLINE},
        {.text = "{\"type\":\"add\",\"id\":\"hasty\"}", .deadline_ns = soon_ns},
        {.text = "{\"type\":\"add\",\"id\":\"patient\"}", .deadline_ns = LOG_NO_DEADLINE}};
    for (size_t i = 0; i < 3; i++) {
        hurries[i].log = busy.log;
        assert_int_equal(pthread_create(&hurries[i].thread, NULL, commit_in_a_hurry, &hurries[i]),
                         0);
        while (i == 0 && busy.puts == 0) /* the first leads, and has a record of its own */
            usleep(100);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(hurries[i].thread, NULL), 0);
    assert_int_equal(hurries[0].answer.code, 0);
    assert_int_equal(hurries[1].answer.code, GLIS_ETIMEOUT);
    assert_int_equal(hurries[2].answer.code, 0);
    assert_state(busy.log, 2, "first patient");
    log_close(busy.log);
}

/* ---- bodies ---- */

static void a_large_transaction_goes_as_a_body(void **state)
{
    struct world *world = *state;
    struct log_options small = {.record_max_bytes = 100};
    struct log *log = open_log(world, &small), *other = open_log(world, NULL);
    defer_buffer struct buffer text = BUFFER_INIT(1 << 20);
    struct log_answer answer;
    add(log, "a");
    assert_ok(buffer_append_text(&text, "{\"type\":\"add\",\"id\":\"large\",\"pad\":\""));
    for (int i = 0; i < 2000; i++)
        assert_ok(buffer_printf(&text, "%d,", i * 7919 % 1000));
    assert_ok(buffer_append_text(&text, "\"}"));
    struct slice transaction = buffer_slice(&text);
    assert_ok(log_commit(log, &transaction, 1, 0, &answer));
    assert_int_equal(answer.record, 2);
    assert_ok(log_catch_up(other, 0));
    assert_state(other, 2, "a large");
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    assert_ok(store_list(world->store, SLICE("t/log/body/"), SLICE_EMPTY, 0, &arena, &list));
    assert_int_equal(list.n_objects, 1);
    /* begun at record 1, in 12 hexadecimal digits */
    assert_true(slice_starts_with(list.objects[0].key, SLICE("t/log/body/000000000001-")));
    /* refused: the body goes again */
    assert_fails(log_commit(log, &transaction, 1, 0, &answer), GLIS_EREFUSED, "is there");
    assert_ok(store_list(world->store, SLICE("t/log/body/"), SLICE_EMPTY, 0, &arena, &list));
    assert_int_equal(list.n_objects, 1);
    /* a body that is gone is damage, by name */
    struct slice key = list.objects[0].key;
    defer_buffer struct buffer body = BUFFER_INIT(1 << 20);
    assert_ok(store_get(world->store, key, 0, STORE_TO_END, &body));
    body.data[body.size / 2] ^= 1;
    assert_ok(store_put(world->store, key, buffer_slice(&body), 0));
    struct log *none = NULL;
    assert_fails(log_open(&world->runtime, world->faulty, SLICE("t/"), &toy_machine, NULL, &none),
                 GLIS_ECORRUPT, "t/log/body/000000000001-");
    assert_ok(store_remove(world->store, &key, 1));
    assert_fails(log_open(&world->runtime, world->faulty, SLICE("t/"), &toy_machine, NULL, &none),
                 GLIS_ECORRUPT, "t/log/body/000000000001-");
    log_close(log);
    log_close(other);
}

/* ---- snapshots ---- */

static void snapshots_come_when_due_and_old_ones_go(void **state)
{
    struct world *world = *state;
    struct log_options options = {.snapshot_min_bytes = 3000};
    struct log *log = open_log(world, &options);
    char id[16];
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof(id), "%03d", i);
        add(log, id);
    }
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    assert_ok(store_list(world->store, SLICE("t/snapshot/"), SLICE_EMPTY, 0, &arena, &list));
    assert_int_equal(list.n_objects, 2);
    assert_false(log_snapshot_due(log));
    uint64_t gets = store_counters(world->faulty).gets, lists = store_counters(world->faulty).lists;
    struct log *fresh = open_log(world, &options);
    assert_true(store_counters(world->faulty).gets - gets < 20);
    assert_int_equal(store_counters(world->faulty).lists, lists); /* the hint sufficed */
    const struct log_state *a = log_state_acquire(log), *b = log_state_acquire(fresh);
    assert_string_equal(a->id, b->id);
    assert_int_equal(toy_record_of(b->state, SLICE("017")), 18);
    log_state_release(a);
    log_state_release(b);
    const struct log_state *old = NULL;
    assert_ok(log_state_at(fresh, 18, &old));
    assert_int_equal(old->record, 18);
    assert_int_equal(toy_record_of(old->state, SLICE("017")), 18);
    assert_int_equal(toy_record_of(old->state, SLICE("018")), 0);
    log_state_release(old);
    assert_fails(log_state_at(fresh, 61, &old), GLIS_ENOTFOUND, "ends at record 60");
    log_close(log);
    log_close(fresh);
}

static void a_wrong_hint_and_damaged_snapshots_cost_time_only(void **state)
{
    struct world *world = *state;
    struct log_options by_hand = {.snapshot_by_hand = true};
    struct log *log = open_log(world, &by_hand);
    add(log, "a");
    assert_ok(log_snapshot_write(log));
    add(log, "b");
    assert_ok(log_snapshot_write(log));
    add(log, "c");
    static const char *const hints[] = {
        "", "{", "{\"snapshot\":\"../../etc/passwd\"}", "{\"snapshot\":7}",
        "{\"snapshot\":\"00000000000000000009-00112233445566778899aabbccddeeff\"}"};
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        assert_ok(store_put(world->store, SLICE("t/log/hint"), slice_from_text(hints[i]), 0));
        struct log *fresh = open_log(world, NULL);
        assert_state(fresh, 3, "a b c");
        log_close(fresh);
    }
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    assert_ok(store_list(world->store, SLICE("t/snapshot/"), SLICE_EMPTY, 0, &arena, &list));
    assert_int_equal(list.n_objects, 2);
    for (size_t i = 2; i-- > 0;) {
        assert_ok(store_put(world->store, list.objects[i].key, SLICE("damaged"), 0));
        struct log *fresh = open_log(world, NULL);
        assert_state(fresh, 3, "a b c");
        log_close(fresh);
    }
    log_close(log);
}

static void a_held_state_outlives_the_log(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    add(log, "a");
    const struct log_state *held = log_state_acquire(log), *shared = log_state_share(held);
    add(log, "b");
    log_close(log);
    log_state_release(held);
    assert_int_equal(toy_record_of(shared->state, SLICE("a")), 1);
    assert_int_equal(toy_record_of(shared->state, SLICE("b")), 0);
    log_state_release(shared);
}

/* ---- damage ---- */

static void damage_is_named(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL), *none = NULL;
    add(log, "a");
    add(log, "b");
    add(log, "c");
    log_close(log);
    defer_buffer struct buffer body = BUFFER_INIT(1 << 20);
    assert_ok(store_get(world->store, slice_from_text(RECORD(2)), 0, STORE_TO_END, &body));
    for (size_t i = 0; i < body.size * 8; i++) { /* every bit */
        body.data[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_ok(store_put(world->store, slice_from_text(RECORD(2)), buffer_slice(&body), 0));
        int code = log_open(&world->runtime, world->faulty, SLICE("t/"), &toy_machine, NULL, &none);
        if (code != GLIS_ECORRUPT && code != GLIS_ENEWER) fail_msg("bit %zu: %d", i, code);
        assert_non_null(strstr(error_message(), RECORD(2)));
        body.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t size = 0; size < body.size; size++) {
        assert_ok(
            store_put(world->store, slice_from_text(RECORD(2)), slice_make(body.data, size), 0));
        assert_fails(
            log_open(&world->runtime, world->faulty, SLICE("t/"), &toy_machine, NULL, &none),
            GLIS_ECORRUPT, RECORD(2));
    }
    assert_ok(store_put(world->store, slice_from_text(RECORD(2)), buffer_slice(&body), 0));
    store_copy(world->store, RECORD(3), RECORD(2));
    assert_fails(log_open(&world->runtime, world->faulty, SLICE("t/"), &toy_machine, NULL, &none),
                 GLIS_ECORRUPT, "says that it is record 3");
}

static void a_record_of_another_history_is_damage(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL), *none = NULL;
    add(log, "a");
    add(log, "b");
    log_close(log);
    store_copy(world->store, RECORD(2), "keep/2");
    store_drop(world->store, RECORD(1));
    store_drop(world->store, RECORD(2));
    log = open_log(world, NULL);
    add(log, "a");
    log_close(log);
    store_copy(world->store, "keep/2", RECORD(2));
    assert_fails(log_open(&world->runtime, world->faulty, SLICE("t/"), &toy_machine, NULL, &none),
                 GLIS_ECORRUPT, "it was put behind");
}

/* ---- looking ---- */

static int describe(void *state, const struct log_shown *shown)
{
    struct buffer *out = state;
    TRY(buffer_printf(out, "%llu%s", (unsigned long long)shown->record,
                      shown->code ? " damaged" : ""));
    for (size_t i = 0; i < shown->n_lines; i++)
        TRY(buffer_printf(out, " %.*s%s", SLICE_PRINT(shown->lines[i].text),
                          shown->lines[i].code        ? " lost"
                          : shown->lines[i].body.size ? " body"
                                                      : ""));
    return buffer_append_byte(out, '\n');
}

static void count_problem(void *state, const char *object, const char *what)
{
    (void)object, (void)what;
    ++*(unsigned *)state;
}

static void a_log_can_be_shown_and_checked_with_its_damage(void **state)
{
    struct world *world = *state;
    struct log_options small = {.record_max_bytes = 40, .snapshot_by_hand = true};
    struct log *log = open_log(world, &small);
    struct log_answer answer;
    add(log, "a");
    add(log, "b");
    add(log, "c");
    assert_ok(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"d\",\"pad\":\"0123456789\"}"));
    assert_ok(log_snapshot_write(log));
    log_close(log);
    defer_buffer struct buffer out = BUFFER_INIT(1 << 20);
    assert_ok(log_show(&world->runtime, world->store, SLICE("t/"), 0, 0, describe, &out));
    assert_ok(buffer_append_byte(&out, 0));
    assert_string_equal((char *)out.data,
                        "1 {\"type\":\"add\",\"id\":\"a\"}\n2 {\"type\":\"add\",\"id\":\"b\"}\n"
                        "3 {\"type\":\"add\",\"id\":\"c\"}\n"
                        "4 {\"type\":\"add\",\"id\":\"d\",\"pad\":\"0123456789\"} body\n");
    struct log_check_result result;
    unsigned n_problems = 0;
    assert_ok(log_check(&world->runtime, world->store, SLICE("t/"), &toy_machine, count_problem,
                        &n_problems, &result));
    assert_int_equal(n_problems, 0);
    assert_int_equal(result.first, 1);
    assert_int_equal(result.last, 4);
    assert_int_equal(result.n_bodies, 1);
    assert_int_equal(result.n_snapshots, 1);
    store_copy(world->store, RECORD(1), RECORD(2));
    buffer_clear(&out);
    assert_ok(log_show(&world->runtime, world->store, SLICE("t/"), 2, 3, describe, &out));
    assert_ok(buffer_append_byte(&out, 0));
    assert_non_null(strstr((char *)out.data, "2 damaged"));
    assert_non_null(strstr((char *)out.data, "\n3"));
    assert_ok(log_check(&world->runtime, world->store, SLICE("t/"), &toy_machine, count_problem,
                        &n_problems, &result));
    assert_true(n_problems >= 1);
    assert_int_equal(result.n_problems, n_problems);
    store_drop(world->store, RECORD(2));
    n_problems = 0;
    assert_ok(log_check(&world->runtime, world->store, SLICE("t/"), NULL, count_problem,
                        &n_problems, &result));
    assert_int_equal(n_problems, 1);
}

/* ---- time ---- */

static void wrong_clocks_refuse_to_write(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    struct log_answer answer;
    add(log, "a");
    world->clock.now_ms += 10 * 60 * 1000;
    add(log, "b"); /* ten minutes later */
    log_close(log);
    world->clock.now_ms -= 10 * 60 * 1000;
    log = open_log(world, NULL);
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"c\"}"), GLIS_EREFUSED,
                 "set-time");
    assert_fails(log_set_time(log, 1, 0, &answer), GLIS_EREFUSED, "ends at 2");
    assert_ok(log_set_time(log, 2, 0, &answer));
    assert_int_equal(answer.record, 3);
    add(log, "c");
    assert_state(log, 4, "a b c");
    const struct log_state *now = log_state_acquire(log);
    assert_true(now->time_ms >= TOY_CLOCK_START_MS && now->time_ms < TOY_CLOCK_START_MS + 60000);
    assert_int_equal(((const struct toy *)now->state)->time_set_ms, TOY_CLOCK_START_MS);
    log_state_release(now);
    struct log *fresh = open_log(world, NULL);
    assert_state(fresh, 4, "a b c");
    log_close(fresh);
    log_close(log);
}

static void time_never_goes_back(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    add(log, "a");
    world->clock.now_ms -= 60000;
    add(log, "b");
    const struct log_state *now = log_state_acquire(log);
    assert_int_equal(now->time_ms, TOY_CLOCK_START_MS);
    log_state_release(now);
    log_close(log);
}

static void a_read_only_log_puts_nothing(void **state)
{
    struct world *world = *state;
    struct log *log = open_log(world, NULL);
    struct log_answer answer;
    add(log, "a");
    log_close(log);
    struct log_options options = {.read_only = true};
    log = open_log(world, &options);
    assert_fails(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"b\"}"), GLIS_EDENIED,
                 "reading");
    assert_fails(log_snapshot_write(log), GLIS_EDENIED, "reading");
    assert_state(log, 1, "a");
    log_close(log);
}

/* ---- threads ---- */

/* A store whose snapshots are put only when the test lets them. */
static sem_t let_snapshots;

static int waiting_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    if (slice_starts_with(key, SLICE("t/snapshot/"))) sem_wait(&let_snapshots);
    return store_put(((struct hook *)store)->world->store, key, body, flags);
}

static int waiting_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    return store_remove(((struct hook *)store)->world->store, keys, n_keys);
}

static void snapshots_are_not_written_in_the_time_of_who_commits(void **state)
{
    struct world *world = *state;
    struct store_ops ops = hook_ops;
    ops.put = waiting_put;
    ops.remove = waiting_remove;
    struct hook hook = {.store = {.ops = &ops, .description = hook_description}, .world = world};
    struct log_options due = {.snapshot_min_bytes = 1};
    struct log *log = NULL;
    struct store_list list;
    defer_arena struct arena arena = ARENA_EMPTY;
    assert_int_equal(sem_init(&let_snapshots, 0, 0), 0);
    world->runtime.pool = pool_new(2);
    assert_ok(log_open(&world->runtime, &hook.store, SLICE("t/"), &toy_machine, &due, &log));
    add(log, "a"); /* these return, though no snapshot can be put */
    add(log, "b");
    assert_state(log, 2, "a b");
    assert_ok(store_list(world->store, SLICE("t/snapshot/"), SLICE_EMPTY, 0, &arena, &list));
    assert_int_equal(list.n_objects, 0);
    assert_int_equal(sem_post(&let_snapshots), 0);
    log_close(log); /* waits for it: what was begun is not lost */
    assert_ok(store_list(world->store, SLICE("t/snapshot/"), SLICE_EMPTY, 0, &arena, &list));
    assert_int_equal(list.n_objects, 1);
    pool_free(world->runtime.pool);
    world->runtime.pool = pool;
    sem_destroy(&let_snapshots);
}

enum { THREADS = 16, COMMITS = 50 };
struct committer {
    struct log *log;
    int number, failures;
};

static void *commit_many(void *state)
{
    struct committer *committer = state;
    for (int i = 0; i < COMMITS; i++) {
        char text[100];
        struct log_answer answer;
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"%02d.%03d\"}", committer->number,
                 i);
        int code = toy_commit(committer->log, &answer, text);
        const struct log_state *seen = log_state_acquire(committer->log);
        snprintf(text, sizeof(text), "%02d.%03d", committer->number, i);
        if (code < 0 || toy_record_of(seen->state, slice_from_text(text)) != answer.record)
            committer->failures++;
        log_state_release(seen);
        /* every fifth: a transaction that must be refused, among companions that must not */
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"%02d.000\"}", committer->number);
        if (i % 5 == 0 && toy_commit(committer->log, &answer, text) != GLIS_EREFUSED)
            committer->failures++;
        if (i % 7 == 0 && log_catch_up(committer->log, 0) < 0) committer->failures++;
    }
    return NULL;
}

static void share_records(struct world *world)
{
    struct log_options options = {.snapshot_min_bytes = 5000, .snapshot_at_close = true};
    struct log *log = open_log(world, &options);
    pthread_t threads[THREADS];
    struct committer committers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        committers[i] = (struct committer){log, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, commit_many, &committers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(committers[i].failures, 0);
    }
    const struct log_state *end = log_state_acquire(log);
    assert_int_equal(map_count(&((const struct toy *)end->state)->ids), THREADS * COMMITS);
    assert_true(end->record <= THREADS * COMMITS);
    struct log *fresh = open_log(world, NULL);
    const struct log_state *again = log_state_acquire(fresh);
    assert_string_equal(again->id, end->id);
    assert_int_equal(map_count(&((const struct toy *)again->state)->ids), THREADS * COMMITS);
    log_state_release(end);
    log_state_release(again);
    log_close(log);
    log_close(fresh);
}

static void threads_share_records(void **state)
{
    share_records(*state);
}

static void threads_share_records_while_snapshots_are_written(void **state)
{
    struct world *world = *state;
    world->runtime.pool = pool_new(2);
    share_records(world);
    pool_free(world->runtime.pool);
    world->runtime.pool = pool;
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {
        LOG_TEST(what_was_committed_is_there_for_everybody),
        LOG_TEST(a_refusal_has_a_reason_and_leaves_nothing),
        LOG_TEST(a_refusal_by_an_old_state_is_checked_again),
        LOG_TEST(transactions_of_one_call_share_a_record_and_fail_alone),
        LOG_TEST(a_commit_is_one_put_and_one_head_and_a_read_one_get_and_one_head),
        LOG_TEST(a_reader_far_behind_asks_for_several_at_a_time),
        LOG_TEST(a_lost_answer_is_found_out),
        LOG_TEST(a_put_that_the_store_never_answers_is_unknown_at_the_deadline),
        LOG_TEST(a_store_that_asks_for_patience_leaves_no_doubt),
        LOG_TEST(a_cancel_ends_a_commit),
        LOG_TEST(a_writer_that_slept_through_a_trim_learns_that_nothing_can_tell),
        LOG_TEST(a_reader_that_slept_takes_no_ghost_for_a_record),
        LOG_TEST(an_end_is_final),
        LOG_TEST(in_doubt_a_marker_means_that_nothing_can_tell),
        LOG_TEST(after_doubt_a_state_is_as_old_as_the_first_attempt),
        LOG_TEST(closing_keeps_the_error_at_hand),
        LOG_TEST(a_snapshot_is_written_of_durable_records_only),
        LOG_TEST(an_end_stands_on_a_durable_snapshot),
        LOG_TEST(doubt_is_settled_from_the_state_it_began_with),
        LOG_TEST(who_was_told_that_time_is_over_is_not_put),
        LOG_TEST(a_large_transaction_goes_as_a_body),
        LOG_TEST(snapshots_come_when_due_and_old_ones_go),
        LOG_TEST(a_wrong_hint_and_damaged_snapshots_cost_time_only),
        LOG_TEST(a_held_state_outlives_the_log),
        LOG_TEST(damage_is_named),
        LOG_TEST(a_record_of_another_history_is_damage),
        LOG_TEST(a_log_can_be_shown_and_checked_with_its_damage),
        LOG_TEST(wrong_clocks_refuse_to_write),
        LOG_TEST(time_never_goes_back),
        LOG_TEST(a_read_only_log_puts_nothing),
        LOG_TEST(threads_share_records),
        LOG_TEST(threads_share_records_while_snapshots_are_written),
        LOG_TEST(snapshots_are_not_written_in_the_time_of_who_commits),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
