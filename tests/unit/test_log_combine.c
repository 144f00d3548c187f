/*
 * test_log_combine.c: contended commits: two lost puts make waiting entries, and records carry what
 * waits. A hook before the store lets another writer work at a chosen request of the first one.
 * What many do by seed is in test_log_world.c; here are the cases by name, a death at each request,
 * and how few records many writers need.
 */
#include "test.h"

#include "log/log_int.h"
#include "log_toy.h"

#include <pthread.h>
#include <sched.h>

struct hook {
    struct store store;
    struct store *behind;
    void (*before_put)(struct hook *hook, struct slice key); /* of a record or an entry */
    void (*before_list)(struct hook *hook, struct slice prefix);
    bool busy;
    unsigned n_calls, n_record_puts, n_entry_puts;
    int refusal;         /* of all puts of records; 0: none */
    unsigned n_told;     /* calls of watchers_told */
    uint64_t told_above; /* the newest record that the handle had published at the last of them */
    int64_t entry_ns;    /* when the first entry was put */
    void *state;
};

struct world {
    struct toy_clock clock;
    struct runtime runtime;
    struct store *store, *faulty;
    struct hook hook;
    struct log *first, *other; /* the first is behind the hook */
    unsigned n_others;
};

static struct pool *pool;
static const struct store_faults no_faults;
static struct log_options options = {
    .snapshot_by_hand = true, .record_max_bytes = 100, .block_slots = 4, .pending_slots = 5};

/* ---- the hook ---- */

static int hook_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct hook *hook = (struct hook *)store;
    bool record = slice_starts_with(key, SLICE("t/log/0"));
    hook->n_record_puts += record;
    if (hook->before_put && !hook->busy &&
        (record || slice_starts_with(key, SLICE("t/log/pending/")))) {
        hook->busy = true;
        hook->n_calls++;
        hook->before_put(hook, key);
        hook->busy = false;
    }
    if (record && hook->refusal) return error_set(hook->refusal, "refused on purpose");
    return store_put(hook->behind, key, body, flags);
}

static void hook_read(struct store *store, struct store_read *reads, size_t n)
{
    int ignored = store_read(((struct hook *)store)->behind, reads, n);
    (void)ignored;
}

static int hook_head(struct store *store, struct slice key, struct store_object *out)
{
    return store_head(((struct hook *)store)->behind, key, out);
}

static int hook_list(struct store *store, struct slice prefix, struct slice after, size_t limit,
                     struct arena *arena, struct store_list *out)
{
    struct hook *hook = (struct hook *)store;
    if (hook->before_list) hook->before_list(hook, prefix);
    return store_list(hook->behind, prefix, after, limit, arena, out);
}

static int hook_remove(struct store *store, const struct slice *keys, size_t n)
{
    return store_remove(((struct hook *)store)->behind, keys, n);
}

static int hook_sync(struct store *store, const struct slice *keys, size_t n)
{
    return store_sync(((struct hook *)store)->behind, keys, n);
}

static int hook_unfinished(struct store *store, struct slice prefix, struct arena *arena,
                           struct store_unfinished **out, size_t *n_out)
{
    return store_unfinished_list(((struct hook *)store)->behind, prefix, arena, out, n_out);
}

static int hook_time_ms(struct store *store, int64_t *out)
{
    return store_time_ms(((struct hook *)store)->behind, out);
}

static void hook_watchers_told(struct store *store, struct slice folder);

static const struct store_ops hook_ops = {
    .put = hook_put,
    .read = hook_read,
    .head = hook_head,
    .list = hook_list,
    .remove = hook_remove,
    .sync = hook_sync,
    .unfinished_list = hook_unfinished,
    .time_ms = hook_time_ms,
    .watchers_told = hook_watchers_told,
};

/* ---- worlds ---- */

static struct log *open_on(struct world *world, struct store *store)
{
    struct log *log = NULL;
    assert_ok(log_open(&world->runtime, store, SLICE("t/"), &toy_machine, &options, &log));
    return log;
}

static void world_make(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->clock = TOY_CLOCK;
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_seeded_new(7), .pool = pool};
    assert_ok(store_memory_open(&world->runtime, &world->store));
    assert_ok(store_fault_open(&world->runtime, world->store, 3, &no_faults, &world->faulty));
    world->hook = (struct hook){.store = {.ops = &hook_ops, .description = (char *)"hook"},
                                .behind = world->faulty,
                                .state = world};
    world->other = open_on(world, world->store);
    struct log_answer answer;
    assert_ok(toy_commit(world->other, &answer, "{\"type\":\"add\",\"id\":\"start\"}"));
    world->first = open_on(world, &world->hook.store);
}

static void world_free(struct world *world)
{
    log_close(world->first);
    log_close(world->other);
    store_close(world->faulty);
    store_close(world->store);
    random_seeded_free(world->runtime.random);
}

static uint64_t newest(struct log *log)
{
    const struct log_state *state = log_state_acquire(log);
    uint64_t record = state->record;
    log_state_release(state);
    return record;
}

static void hook_watchers_told(struct store *store, struct slice folder)
{
    struct hook *hook = (struct hook *)store;
    struct world *world = hook->state;
    assert_true(slice_equal_text(folder, "t/log"));
    hook->n_told++;
    if (world->first) hook->told_above = newest(world->first);
}

static void other_adds(struct world *world)
{
    struct log_answer answer;
    char text[80];
    snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"other%02u\"}", world->n_others++);
    assert_ok(toy_commit(world->other, &answer, text));
}

/* Takes the slot of the first two puts. */
static void twice(struct hook *hook, struct slice key)
{
    (void)key;
    if (hook->n_calls <= 2) other_adds(hook->state);
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

struct carried_count {
    uint64_t records, carried, most; /* records; entries in them; in one */
};
static int count_carried(void *state, const struct log_shown *shown)
{
    struct carried_count *count = state;
    uint64_t n = 0;
    assert_int_equal(shown->code, 0);
    for (size_t i = 0; i < shown->n_lines; i++) {
        assert_int_equal(shown->lines[i].code, 0);
        n += shown->lines[i].pending.size > 0;
    }
    count->records = shown->record;
    count->carried += n;
    if (n > count->most) count->most = n;
    return 0;
}

static struct carried_count carried(struct world *world)
{
    struct carried_count count = {0};
    assert_ok(log_show(&world->runtime, world->store, SLICE("t/"), 1, 0, count_carried, &count));
    return count;
}

static uint64_t where(struct world *world, const char *id)
{
    assert_ok(log_catch_up(world->other, 0));
    const struct log_state *state = log_state_acquire(world->other);
    uint64_t record = toy_record_of(state->state, slice_from_text(id));
    log_state_release(state);
    return record;
}

/* What became of each entry: applied, without effect, refused; '?' where that was not asked. */
static int note_fates(void *state, const struct log_shown *shown)
{
    static const char letters[] = {'?', 'A', 'D', 'R'};
    struct buffer *out = state;
    for (size_t i = 0; i < shown->n_lines; i++) {
        if (shown->lines[i].pending.size == 0) continue;
        assert_ok(buffer_append_byte(out, (uint8_t)letters[shown->lines[i].fate]));
        assert_int_equal(shown->lines[i].reason.size > 0, shown->lines[i].fate == LOG_FATE_REFUSED);
    }
    return 0;
}

static void assert_fates(struct world *world, const char *expected)
{
    struct buffer out defer_buffer = BUFFER_INIT(1 << 16);
    assert_ok(log_show_judged(&world->runtime, world->store, SLICE("t/"), &toy_machine, 0, 0,
                              note_fates, &out));
    assert_int_equal(out.size, strlen(expected));
    assert_memory_equal(out.data, expected, out.size);
    buffer_clear(&out);
    assert_ok(log_show(&world->runtime, world->store, SLICE("t/"), 0, 0, note_fates, &out));
    for (size_t i = 0; i < out.size; i++)
        assert_int_equal(out.data[i], '?');
}

/* ---- cases ---- */

static void after_two_lost_puts_an_entry_waits(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answers[2];
    world_make(&world);
    world.hook.before_put = twice;
    struct slice both[] = {SLICE("{\"type\":\"add\",\"id\":\"a\"}"),
                           SLICE("{\"type\":\"add\",\"id\":\"b\"}")};
    assert_ok(log_commit(world.first, both, 2, 0, answers));
    assert_int_equal(answers[0].record, 4);
    assert_int_equal(answers[1].record, 4);
    assert_int_equal(where(&world, "a"), 4);
    assert_int_equal(where(&world, "b"), 4);
    struct carried_count count = carried(&world);
    assert_int_equal(count.records, 4);
    assert_int_equal(count.carried, 2);
    assert_int_equal(objects(&world, "t/log/pending/"), 0);
    assert_fates(&world, "AA");
    world_free(&world);
}

static void one_lost_put_makes_no_entry(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = twice;
    world.hook.n_calls = 1;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_int_equal(answer.record, 3);
    assert_int_equal(carried(&world).carried, 0);
    world_free(&world);
}

/* What bars it comes before the record that carries it: the log refuses it, with the reason. */
static void bar_it(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    struct log_answer answer;
    if (hook->n_calls <= 2) other_adds(world);
    if (slice_starts_with(key, SLICE("t/log/pending/")))
        assert_ok(toy_commit(world->other, &answer, "{\"type\":\"add\",\"id\":\"bar\"}"));
}

static void the_log_refuses_and_says_why(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = bar_it;
    assert_fails(
        toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\",\"unless\":\"bar\"}"),
        GLIS_EREFUSED, "'bar' bars it");
    assert_int_equal(where(&world, "a"), 0);
    assert_fates(&world, "R");
    /* It was carried and refused there: the bar may be lifted now, it never happens. */
    assert_int_equal(carried(&world).carried, 1);
    assert_int_equal(objects(&world, "t/log/pending/"), 0);
    world_free(&world);
}

/* One that is too large for a group is refused with its reason like any other, and keeps nobody
 * waiting until the deadline. */
static void a_very_large_one_is_refused_like_any_other(void **unused)
{
    (void)unused;
    enum { PAD = 5 << 20 };
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = bar_it;
    struct buffer text = BUFFER_INIT(PAD + 1000);
    char *pad = memory_alloc(PAD);
    memset(pad, '-', PAD);
    assert_ok(buffer_printf(&text, "{\"type\":\"add\",\"id\":\"a\",\"unless\":\"bar\",\"pad\":\""));
    assert_ok(buffer_append_slice(&text, slice_make(pad, PAD)));
    assert_ok(buffer_printf(&text, "\"}"));
    assert_ok(buffer_append_byte(&text, '\0'));
    assert_fails(toy_commit(world.first, &answer, (const char *)text.data), GLIS_EREFUSED,
                 "'bar' bars it");
    assert_int_equal(where(&world, "a"), 0);
    assert_int_equal(carried(&world).carried, 1);
    free(pad);
    buffer_free(&text);
    world_free(&world);
}

static void do_it_meanwhile(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    struct log_answer answer;
    if (hook->n_calls <= 2) other_adds(world);
    if (slice_starts_with(key, SLICE("t/log/pending/")))
        assert_ok(toy_commit(world->other, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
}

static void what_had_been_done_is_said_to_be_done(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = do_it_meanwhile;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"ensure\",\"id\":\"a\"}"));
    assert_true(answer.already_done);
    assert_int_equal(where(&world, "a"), 4);
    world_free(&world);
}

/* Others go on and never carry it: past not_after it did not happen, and is done anew. */
static void six_others(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    bool entry = slice_starts_with(key, SLICE("t/log/pending/"));
    if (hook->n_calls <= 2) other_adds(world);
    for (int i = 0; i < 6 && entry && hook->n_calls == 3; i++)
        other_adds(world);
}

static void what_expired_is_done_anew(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = six_others;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_int_equal(answer.record, 10);
    assert_int_equal(where(&world, "a"), 10);
    assert_int_equal(carried(&world).carried, 1);
    assert_int_equal(objects(&world, "t/log/pending/"), 0);
    world_free(&world);
}

static void six_others_and_a_trim(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    struct log_trim_plan plan;
    struct log_trim_result result;
    six_others(hook, key);
    if (!slice_starts_with(key, SLICE("t/log/pending/"))) return;
    assert_ok(log_snapshot_write(world->other));
    assert_ok(log_trim_plan(world->other, 100, &plan));
    assert_int_equal(plan.line, 8);
    assert_ok(log_trim(world->other, &(struct log_trim_options){.line = plan.line}, &result));
}

/* not_after is 8, the snapshot of record 9: nothing can tell. */
static void beyond_a_snapshot_nothing_can_tell(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = six_others_and_a_trim;
    assert_fails(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"), GLIS_EUNKNOWN,
                 "trimmed before it was read");
    assert_int_equal(where(&world, "a"), 0);
    world_free(&world);
}

/* As above, but the snapshot is at or below not_after, so it remembers what was decided. */
static void trim_within_reach(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    struct log_trim_plan plan;
    struct log_trim_result result;
    if (hook->n_calls <= 2) other_adds(world);
    if (!slice_starts_with(key, SLICE("t/log/pending/"))) return;
    for (int i = 0; i < 3; i++)
        other_adds(world);
    assert_ok(log_snapshot_write(world->other));
    assert_ok(log_trim_plan(world->other, 100, &plan));
    assert_ok(log_trim(world->other, &(struct log_trim_options){.line = plan.line}, &result));
}

static void within_reach_of_a_snapshot_it_goes_on(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = trim_within_reach;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_int_equal(answer.record, 7);
    assert_int_equal(where(&world, "a"), 7);
    world_free(&world);
}

static void end_it(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    struct log_answer answer;
    if (hook->n_calls <= 2) other_adds(world);
    if (!slice_starts_with(key, SLICE("t/log/pending/"))) return;
    assert_ok(toy_commit(world->other, &answer, "{\"type\":\"drop\"}"));
}

static void nothing_is_carried_on_top_of_an_end(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = end_it;
    assert_fails(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"), GLIS_EREFUSED,
                 "dropped");
    assert_int_equal(carried(&world).records, 4);
    world_free(&world);
}

static void a_large_one_waits_with_its_body(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    struct log_trim_result result;
    world_make(&world);
    world.hook.before_put = twice;
    assert_ok(toy_commit(world.first, &answer,
                         "{\"type\":\"add\",\"id\":\"a\",\"pad\":\"-------------------------------"
                         "-----------------------------------------------------------\"}"));
    assert_int_equal(answer.record, 4);
    assert_int_equal(objects(&world, "t/log/body/"), 1);
    assert_int_equal(where(&world, "a"), 4);
    assert_ok(log_snapshot_write(world.first));
    assert_ok(log_trim(world.first, &(struct log_trim_options){.line = 4}, &result));
    assert_int_equal(result.bodies, 1);
    world_free(&world);
}

/* As many as records can decide while they are remembered: what was written is read. */
static void a_snapshot_remembers_all_that_was_decided(void **unused)
{
    (void)unused;
    enum { N = 64 * 4096 };
    struct world world;
    struct log_version *version, *back;
    struct buffer part = BUFFER_INIT(64 << 20);
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json;
    void *state;
    world_make(&world);
    assert_ok(json_parse(&arena, SLICE("{\"type\":\"ensure\",\"id\":\"a\"}"), JSON_RULES_INTERNAL,
                         &json));
    assert_ok(log_version_new(&toy_machine, &version));
    struct log_record record = {.record = 1};
    memset(record.id, 'a', LOG_ID_BYTES);
    for (unsigned i = 0; i < N; i++) {
        char id[40];
        struct log_line line = {.carried = true, .not_after = 60, .json = json};
        snprintf(id, sizeof(id), "%032u", i);
        line.pending_id = slice_from_text(id);
        assert_ok(log_version_carry(version, &(struct log_record_info){.record = 1}, &line));
    }
    log_version_complete(version, &record);
    assert_ok(log_version_part_write(version, &part));
    assert_ok(toy_machine.state_new(NULL, &state));
    assert_ok(log_version_part_read(&toy_machine, buffer_slice(&part), state, &back));
    assert_int_equal(map_count(&back->decided), N);
    log_version_release(back);
    log_version_release(version);
    buffer_free(&part);
    world_free(&world);
}

/* ---- checking meanwhile ---- */

static void trim_it(struct hook *hook, struct slice prefix)
{
    struct world *world = hook->state;
    struct log_trim_result result;
    if (!slice_equal_text(prefix, "t/log/")) return; /* markers and snapshots were looked at */
    hook->before_list = NULL;
    assert_ok(log_trim(world->other, &(struct log_trim_options){.line = 1024}, &result));
    assert_int_equal(result.records, 1024);
}

static void count_problem(void *state, const char *object, const char *what)
{
    (void)object, (void)what;
    ++*(unsigned *)state;
}

/* What a trim takes away while a log is checked is not missing; what is missing else is. */
static void a_check_during_a_trim_finds_nothing(void **unused)
{
    (void)unused;
    struct world world;
    struct log_check_result result;
    unsigned n = 0;
    const struct log_options before = options;
    options.block_slots = 0;
    world_make(&world);
    for (unsigned i = 2; i <= 1100; i++) {
        struct log_answer answer;
        char text[80];
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"%u\"}", i);
        assert_ok(toy_commit(world.other, &answer, text));
        if (i == 1050) assert_ok(log_snapshot_write(world.other));
    }
    world.hook.before_list = trim_it;
    assert_ok(log_check(&world.runtime, &world.hook.store, SLICE("t/"), &toy_machine, count_problem,
                        &n, &result));
    assert_null(world.hook.before_list);
    assert_int_equal(n, 0);
    assert_int_equal(result.first, 1025);
    assert_int_equal(result.last, 1100);
    struct slice record = SLICE("t/log/00000000000000001060");
    assert_ok(store_remove(world.store, &record, 1));
    assert_ok(log_check(&world.runtime, world.store, SLICE("t/"), &toy_machine, count_problem, &n,
                        &result));
    assert_int_equal(n, 1);
    world_free(&world);
    options = before;
}

/* ---- others' entries ---- */

static void put_entry(struct world *world, const char *id, unsigned not_after, const char *text)
{
    char key[100], object[400];
    snprintf(key, sizeof(key), "t/log/pending/%s", id);
    snprintf(object, sizeof(object),
             "{\"log\":\"pending\",\"id\":\"%s\",\"not_after\":%u,\"transaction\":%s}\n", id,
             not_after, text);
    assert_ok(store_put(world->store, slice_from_text(key), slice_from_text(object), 0));
}

static void whatever_can_be_carried_is_and_nothing_else(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    put_entry(&world, "e1", 20, "{\"type\":\"add\",\"id\":\"x1\"}");
    put_entry(&world, "e2", 20, "{\"type\":\"add\",\"id\":\"x1\"}"); /* refused in the record */
    put_entry(&world, "e3", 3, "{\"type\":\"add\",\"id\":\"x3\"}");  /* expired */
    put_entry(&world, "e4", 69, "{\"type\":\"add\",\"id\":\"x4\"}"); /* too far ahead of 4 */
    put_entry(&world, "e5", 68, "{\"type\":\"add\",\"id\":\"x5\"}");
    put_entry(&world, "e6", 20, "{\"type\":\"of a newer program\"}");
    put_entry(&world, "e7", 20, "{\"type\":\"add\",\"id\":\"x7\",\"broken\":1}");
    put_entry(&world, "e8", 20,
              "{\"log\":\"body\",\"name\":\"000000000001-0123456789abcdef0123456789abcdef\","
              "\"bytes\":90,\"xxh3\":\"0123456789abcdef0123456789abcdef\"}");
    put_entry(&world, "e9", 20, "{\"log\":\"set_time\",\"record\":3}");
    assert_ok(store_put(world.store, SLICE("t/log/pending/f1"), SLICE("{}\n"), 0));
    assert_ok(store_put(world.store, SLICE("t/log/pending/f2"), SLICE("\n\n"), 0));
    assert_ok(store_put(world.store, SLICE("t/log/pending/f3"), SLICE("{\"log\":\"pen"), 0));
    world.hook.before_put = twice;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_int_equal(answer.record, 4);
    assert_int_equal(where(&world, "x1"), 4);
    assert_int_equal(where(&world, "x3"), 0);
    assert_int_equal(where(&world, "x4"), 0);
    assert_int_equal(where(&world, "x5"), 4);
    assert_int_equal(carried(&world).carried, 4); /* e1, e2, e5 and its own */
    /* e4, e6, e7, e8, e9, f1, f2, f3: nobody knows that their time is over. */
    assert_int_equal(objects(&world, "t/log/pending/"), 8);
    world_free(&world);
}

/* A record never holds an entry twice, and what was decided is not decided anew. */
static void put_it_back(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    (void)key;
    if (hook->n_calls <= 2) other_adds(world);
    put_entry(world, "e1", 20, "{\"type\":\"add\",\"id\":\"x1\"}");
}

static void what_was_decided_is_not_decided_again(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = put_it_back;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_int_equal(where(&world, "x1"), 4);
    assert_ok(toy_commit(world.other, &answer, "{\"type\":\"lift\",\"id\":\"x1\"}"));
    world.hook.n_calls = 0;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"b\"}"));
    assert_int_equal(where(&world, "x1"), 0);
    world_free(&world);
}

/* ---- who leads and who follows ---- */

static void count_entries(struct hook *hook, struct slice key)
{
    hook->n_entry_puts += slice_starts_with(key, SLICE("t/log/pending/"));
}

/* Whoever put the newest record carries what waits, and needs no entry for its own. */
static void the_leader_carries_its_own_without_an_entry(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    put_entry(&world, "e1", 20, "{\"type\":\"add\",\"id\":\"x1\"}");
    world.hook.before_put = twice;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_int_equal(answer.record, 4);
    put_entry(&world, "e2", 20, "{\"type\":\"add\",\"id\":\"x2\"}");
    world.hook.before_put = count_entries;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"b\"}"));
    assert_int_equal(world.hook.n_entry_puts, 0);
    assert_int_equal(answer.record, 5);
    assert_int_equal(where(&world, "b"), 5);
    assert_int_equal(where(&world, "x2"), 5);
    assert_int_equal(objects(&world, "t/log/pending/"), 0);
    /* Another's record: it follows, and its entry is there for others. */
    other_adds(&world);
    put_entry(&world, "e3", 20, "{\"type\":\"add\",\"id\":\"x3\"}");
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"c\"}"));
    assert_int_equal(world.hook.n_entry_puts, 1);
    assert_int_equal(where(&world, "c"), where(&world, "x3"));
    assert_int_equal(objects(&world, "t/log/pending/"), 0);
    world_free(&world);
}

static bool seen_enough(void *state)
{
    return *(unsigned *)state > 0;
}

static void see_one(void *state, const struct log_version *version)
{
    (void)version;
    ++*(unsigned *)state;
}

/* One get while nothing is there; then no more than the record that was waited for, and a look. */
static void a_follower_asks_for_little(void **unused)
{
    (void)unused;
    struct world world;
    struct log_version *version;
    bool trimmed;
    unsigned n = 0;
    world_make(&world);
    struct log_watch watch = {.applied = see_one, .enough = seen_enough, .peek = true, .state = &n};
    struct log_version *base = log_published(world.first);
    struct store_counters before = store_counters(world.store);
    assert_ok(log_read_forward(world.first, base, false, &watch, &version, &trimmed));
    assert_ptr_equal(version, base);
    struct store_counters after = store_counters(world.store);
    assert_int_equal(after.gets - before.gets, 1);
    assert_int_equal(after.heads - before.heads, 0);
    log_version_release(version);
    for (int i = 0; i < 3; i++)
        other_adds(&world);
    before = store_counters(world.store);
    assert_ok(log_read_forward(world.first, base, false, &watch, &version, &trimmed));
    assert_int_equal(version->state.record, 2);
    assert_int_equal(n, 1);
    after = store_counters(world.store);
    assert_int_equal(after.gets - before.gets, 1);
    assert_int_equal(after.heads - before.heads, 1);
    log_version_release(version);
    log_version_release(base);
    world_free(&world);
}

/* Entries of processes that died stand before one's own: each costs a turn, none is waited for. */
static void the_dead_are_not_waited_for(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    int64_t begun_ns = world.clock.clock.monotonic_ns(&world.clock.clock);
    for (unsigned i = 0; i < 200; i++) {
        char id[24], text[60];
        snprintf(id, sizeof(id), "0000000000%03u", i);
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"dead%03u\"}", i);
        put_entry(&world, id, 20, text);
    }
    world.hook.before_put = twice;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_int_equal(where(&world, "dead199"), where(&world, "a"));
    int64_t took_ns = world.clock.clock.monotonic_ns(&world.clock.clock) - begun_ns;
    assert_true(took_ns < 5000000000);
    world_free(&world);
}

/* A refusal, too, lets others know what was read: those who watch know first. */
static void a_refusal_comes_after_those_who_watch_were_told(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    uint64_t before = newest(world.first);
    assert_ok(toy_commit(world.other, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    world.hook.n_told = 0;
    assert_fails(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"), GLIS_EREFUSED,
                 "is there");
    assert_int_equal(newest(world.first), before + 1);
    assert_int_equal(world.hook.n_told, 1);
    assert_int_equal(world.hook.told_above, before);
    world_free(&world);
}

/* What was done and is undone since is not done, however young the state that still has it. */
static void done_before_is_said_of_a_fresh_state(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"ensure\",\"id\":\"a\"}"));
    assert_ok(toy_commit(world.other, &answer, "{\"type\":\"lift\",\"id\":\"a\"}"));
    assert_int_equal(newest(world.first), answer.record - 1);
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"ensure\",\"id\":\"a\"}"));
    assert_false(answer.already_done);
    assert_int_equal(where(&world, "a"), answer.record);
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"ensure\",\"id\":\"a\"}"));
    assert_true(answer.already_done);
    world_free(&world);
}

static void trim_and_three_more(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    six_others_and_a_trim(hook, key);
    if (!slice_starts_with(key, SLICE("t/log/pending/"))) return;
    for (int i = 0; i < 3; i++)
        other_adds(world);
    hook->entry_ns = log_now_ns(world->first);
    world->first->others.interval_ns = 100000000; /* so that it peeks before it looks */
    world->first->others.seen_ns = hook->entry_ns;
}

/* A number that was not there when it was peeked at had been trimmed: that says nothing of how new
 * the state is that is read later. */
static void what_was_peeked_at_before_a_trim_was_met_is_no_end(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = trim_and_three_more;
    assert_fails(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"), GLIS_EUNKNOWN,
                 "trimmed before it was read");
    /* All that was acknowledged up to when the entry was put, and a moment after. */
    int64_t age_ms = (log_now_ns(world.first) - world.hook.entry_ns) / 1000000 - 1;
    assert_true(age_ms > 0);
    assert_ok(log_catch_up(world.first, age_ms));
    assert_int_equal(newest(world.first), newest(world.other));
    world_free(&world);
}

/* How often a state was asked to be copied since copying began to fail; 0: it does not fail. */
static unsigned n_failures;

static int failing_clone(void *context, const void *state, void **out)
{
    if (n_failures == 0) return toy_clone(context, state, out);
    if (++n_failures > 5000) n_failures = 0; /* or it would never end */
    return error_set(GLIS_ENOMEM, "no memory for a copy");
}

static void begin_to_fail(struct hook *hook, struct slice key)
{
    twice(hook, key);
    if (slice_starts_with(key, SLICE("t/log/pending/"))) n_failures = 1;
}

/* What fails again and again is not tried without a pause. */
static void what_cannot_be_composed_is_tried_in_moderation(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    struct log_machine machine = toy_machine;
    machine.state_clone = failing_clone;
    n_failures = 0;
    world_make(&world);
    log_close(world.first);
    world.first = NULL;
    struct log *failing;
    assert_ok(
        log_open(&world.runtime, &world.hook.store, SLICE("t/"), &machine, &options, &failing));
    world.first = failing;
    world.hook.before_put = begin_to_fail;
    struct store_counters before = store_counters(world.store);
    assert_fails(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"), GLIS_EUNKNOWN,
                 "time limit");
    struct store_counters after = store_counters(world.store);
    assert_in_range(n_failures, 2, 300);
    assert_in_range(after.lists - before.lists, 2, 600);
    n_failures = 0;
    world_free(&world);
}

static int refusal_wanted;

static void begin_to_refuse(struct hook *hook, struct slice key)
{
    twice(hook, key);
    if (slice_starts_with(key, SLICE("t/log/pending/"))) hook->refusal = refusal_wanted;
}

/* Nor does a service that says "later", or a full disk, hear of it a thousand times a second. */
static void what_is_refused_is_put_in_moderation(void **unused)
{
    (void)unused;
    static const int refusals[] = {GLIS_ERETRY, GLIS_ENOSPACE};
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        struct log_answer answer;
        world_make(&world);
        refusal_wanted = refusals[i];
        world.hook.before_put = begin_to_refuse;
        assert_fails(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"),
                     GLIS_EUNKNOWN, "time limit");
        assert_in_range(world.hook.n_record_puts, 5, 300);
        world.hook.before_put = NULL;
        world.hook.refusal = 0;
        assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"b\"}"));
        world_free(&world);
    }
}

static void slow_records(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    twice(hook, key);
    if (!slice_starts_with(key, SLICE("t/log/pending/"))) return;
    world->first->others.interval_ns = 1400000000;
    world->first->others.seen_ns = log_now_ns(world->first);
}

/* However long records take: who has little time waits no longer than that. */
static void a_follower_ends_at_its_deadline(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    struct slice text = SLICE("{\"type\":\"add\",\"id\":\"a\"}");
    world_make(&world);
    world.hook.before_put = slow_records;
    int64_t deadline_ns = log_now_ns(world.first) + 50000000;
    assert_fails(log_commit(world.first, &text, 1, deadline_ns, &answer), GLIS_EUNKNOWN,
                 "time limit");
    assert_true(log_now_ns(world.first) <= deadline_ns + 10000000);
    world_free(&world);
}

/* Nor does a leader wait for others when its own have no time for that. */
static void a_leader_in_a_hurry_waits_for_nobody(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    struct slice text = SLICE("{\"type\":\"add\",\"id\":\"a\"}");
    world_make(&world);
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"z\"}"));
    assert_int_equal(world.first->others.led_record, answer.record);
    world.first->put_ns = 200000000;
    world.first->others.n_batches = 8;
    world.first->others.n_waiting = world.first->others.n_often = 10;
    int64_t begun_ns = log_now_ns(world.first);
    assert_ok(log_commit(world.first, &text, 1, begun_ns + 300000000, &answer));
    assert_int_equal(answer.record, newest(world.first));
    assert_true(log_now_ns(world.first) <= begun_ns + 300000000);
    world_free(&world);
}

/* ---- when answers are late ---- */

/* A thread that waits to be taken into the next record, with little time. */
struct behind {
    struct world world; /* the first member: the hook's state */
    pthread_t thread;
    int64_t deadline_ns;
    struct log_answer answer;
    bool is_looked_at, has_left;
};

static size_t n_waiting(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    size_t n = log->n_waiting;
    pthread_mutex_unlock(&log->lock);
    return n;
}

static void *commit_behind(void *state)
{
    struct behind *behind = state;
    struct slice text = SLICE("{\"type\":\"add\",\"id\":\"b\"}");
    (void)!log_commit(behind->world.first, &text, 1, behind->deadline_ns, &behind->answer);
    return NULL;
}

static void lose_with_another_behind(struct hook *hook, struct slice key)
{
    struct behind *behind = hook->state;
    struct log *log = behind->world.first;
    (void)key;
    if (hook->n_calls == 1) {
        store_fault_set(behind->world.faulty, &(struct store_faults){.lost_before = 65536});
        behind->deadline_ns = log_now_ns(log) + 100000000;
        assert_int_equal(pthread_create(&behind->thread, NULL, commit_behind, behind), 0);
        while (n_waiting(log) == 0)
            sched_yield();
    } else if (!behind->is_looked_at && log_now_ns(log) > behind->deadline_ns + 5000000000) {
        behind->is_looked_at = true;
        behind->has_left = n_waiting(log) == 0;
    }
}

/* However long the record under way is in doubt. */
static void who_waits_for_the_next_record_ends_at_its_deadline(void **unused)
{
    (void)unused;
    struct behind behind = {0};
    struct log_answer answer;
    world_make(&behind.world);
    behind.world.hook.before_put = lose_with_another_behind;
    assert_fails(toy_commit(behind.world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"),
                 GLIS_EUNKNOWN, "before the store told");
    assert_int_equal(pthread_join(behind.thread, NULL), 0);
    store_fault_set(behind.world.faulty, &no_faults);
    assert_true(behind.is_looked_at);
    assert_true(behind.has_left);
    assert_int_equal(behind.answer.code, GLIS_ETIMEOUT);
    assert_int_equal(behind.answer.detail.code, GLIS_ETIMEOUT);
    /* The queue is as good as before. */
    behind.world.hook.before_put = NULL;
    assert_ok(toy_commit(behind.world.first, &answer, "{\"type\":\"add\",\"id\":\"c\"}"));
    assert_int_equal(where(&behind.world, "b"), 0);
    world_free(&behind.world);
}

static void lose_all(struct hook *hook, struct slice key)
{
    struct world *world = hook->state;
    if (hook->n_calls <= 2) other_adds(world);
    if (slice_starts_with(key, SLICE("t/log/0")) && hook->n_calls > 2)
        store_fault_set(world->faulty, &(struct store_faults){.lost_before = 65536});
}

static void at_the_deadline_an_entry_is_unknown(void **unused)
{
    (void)unused;
    struct world world;
    struct log_answer answer;
    world_make(&world);
    world.hook.before_put = lose_all;
    assert_fails(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}"), GLIS_EUNKNOWN,
                 "waited to be carried");
    store_fault_set(world.faulty, &no_faults);
    world.hook.before_put = NULL;
    /* The entry is there: the next one who combines carries it. */
    assert_int_equal(objects(&world, "t/log/pending/"), 1);
    world.hook.before_put = twice;
    world.hook.n_calls = 0;
    assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"b\"}"));
    assert_int_equal(where(&world, "a"), answer.record);
    world_free(&world);
}

/* Dies at its n-th request, or loses answers from then on; what it was told holds, and nothing
 * takes effect twice. */
static void a_death_at_each_request(void **unused)
{
    (void)unused;
    bool died = true;
    unsigned n_runs = 0;
    for (uint64_t at = 1; died; at++, n_runs++) {
        struct world world;
        struct log_answer answer;
        world_make(&world);
        world.hook.before_put = twice;
        struct store_faults faults = {.crash_at = store_fault_requests(world.faulty) + at};
        store_fault_set(world.faulty, &faults);
        int code = toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}");
        died = code < 0;
        if (code == 0) assert_int_equal(where(&world, "a"), answer.record);
        if (code < 0 && code != GLIS_EUNKNOWN) {
            assert_int_equal(where(&world, "a"), 0);
            assert_int_equal(objects(&world, "t/log/pending/"), 0);
        }
        store_fault_set(world.faulty, &no_faults);
        error_clear();
        /* Another one does it again, as after a crash: it is there once, whoever carried it. */
        code = toy_commit(world.other, &answer, "{\"type\":\"ensure\",\"id\":\"a\"}");
        assert_int_equal(code, 0);
        uint64_t record = where(&world, "a");
        assert_true(record > 0);
        world.hook.n_calls = 0;
        assert_ok(toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"b\"}"));
        assert_int_equal(where(&world, "a"), record);
        world_free(&world);
    }
    assert_true(n_runs > 8);
}

static void lost_answers_change_nothing(void **unused)
{
    (void)unused;
    unsigned n_ok = 0, n_unknown = 0;
    for (uint64_t seed = 1; seed < 300; seed++) {
        struct world world;
        struct log_answer answer;
        struct store *store;
        struct store_faults faults = {
            .lost_before = 10000, .lost_after = 10000, .late = 6000, .retry = 6000};
        world_make(&world);
        assert_ok(store_fault_open(&world.runtime, world.store, seed, &no_faults, &store));
        world.hook.behind = store;
        world.hook.before_put = twice;
        store_fault_set(store, &faults);
        int code = toy_commit(world.first, &answer, "{\"type\":\"add\",\"id\":\"a\"}");
        uint64_t record = where(&world, "a");
        if (code == 0) assert_int_equal(record, answer.record);
        if (code < 0 && code != GLIS_EUNKNOWN) assert_int_equal(record, 0);
        n_ok += code == 0;
        n_unknown += code == GLIS_EUNKNOWN;
        world.hook.behind = world.faulty;
        store_close(store);
        world_free(&world);
    }
    assert_true(n_ok > 200);
    assert_true(n_unknown < 20);
    error_clear();
}

/* ---- many ---- */

/*
 * A world of many processes with a time of its own: each request takes a while that the seed gives,
 * takes effect in its middle, and whoever's time is the least goes on. So it is counted, not timed,
 * how long they wait and how many records they need.
 */
enum { WRITERS_MAX = 64 };

struct stage;
struct actor {
    struct store store; /* what its log sees: the first member */
    struct clock clock;
    struct runtime runtime;
    struct stage *stage;
    struct random *random;
    pthread_t thread;
    pthread_cond_t turn;
    unsigned number, n_commits;
    int64_t time_us, worst_us;
    bool alive;
};
struct stage {
    struct world *world;
    pthread_mutex_t lock;
    struct actor actors[WRITERS_MAX];
    unsigned n, running;
    int64_t request_us;
};

/* Whoever is to go on; `me` waits until it is that one. */
static void stage_next(struct stage *stage, struct actor *me)
{
    unsigned next = WRITERS_MAX;
    for (unsigned i = 0; i < stage->n; i++)
        if (stage->actors[i].alive &&
            (next == WRITERS_MAX || stage->actors[i].time_us < stage->actors[next].time_us))
            next = i;
    if (next == WRITERS_MAX) return;
    pthread_mutex_lock(&stage->lock);
    stage->running = next;
    pthread_cond_signal(&stage->actors[next].turn);
    while (me && me->alive && stage->running != me->number)
        pthread_cond_wait(&me->turn, &stage->lock);
    pthread_mutex_unlock(&stage->lock);
}

static void actor_spend(struct actor *actor, int64_t us)
{
    actor->time_us += us;
    stage_next(actor->stage, actor);
}

static struct store *actor_begins(struct store *store, int64_t *rest_us)
{
    struct actor *actor = (struct actor *)store;
    int64_t half_us = actor->stage->request_us / 2;
    *rest_us = half_us / 2 + (int64_t)random_below(actor->random, (uint64_t)half_us);
    actor_spend(actor, half_us / 2 + (int64_t)random_below(actor->random, (uint64_t)half_us));
    return actor->stage->world->store;
}

static int actor_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    int64_t rest_us;
    int code = store_put(actor_begins(store, &rest_us), key, body, flags);
    actor_spend((struct actor *)store, rest_us);
    return code;
}

static void actor_read(struct store *store, struct store_read *reads, size_t n)
{
    int64_t rest_us;
    int ignored = store_read(actor_begins(store, &rest_us), reads, n);
    (void)ignored;
    actor_spend((struct actor *)store, rest_us);
}

static int actor_head(struct store *store, struct slice key, struct store_object *out)
{
    int64_t rest_us;
    int code = store_head(actor_begins(store, &rest_us), key, out);
    actor_spend((struct actor *)store, rest_us);
    return code;
}

static int actor_list(struct store *store, struct slice prefix, struct slice after, size_t limit,
                      struct arena *arena, struct store_list *out)
{
    int64_t rest_us;
    int code = store_list(actor_begins(store, &rest_us), prefix, after, limit, arena, out);
    actor_spend((struct actor *)store, rest_us);
    return code;
}

static int actor_remove(struct store *store, const struct slice *keys, size_t n)
{
    int64_t rest_us;
    int code = store_remove(actor_begins(store, &rest_us), keys, n);
    actor_spend((struct actor *)store, rest_us);
    return code;
}

static int actor_sync(struct store *store, const struct slice *keys, size_t n)
{
    return store_sync(((struct actor *)store)->stage->world->store, keys, n);
}

static int actor_time_ms(struct store *store, int64_t *out)
{
    *out = TOY_CLOCK_START_MS + ((struct actor *)store)->time_us / 1000;
    return 0;
}

static const struct store_ops actor_ops = {
    .put = actor_put,
    .read = actor_read,
    .head = actor_head,
    .list = actor_list,
    .remove = actor_remove,
    .sync = actor_sync,
    .time_ms = actor_time_ms,
};

static struct actor *clock_actor(struct clock *clock)
{
    return (struct actor *)((char *)clock - offsetof(struct actor, clock));
}

static int64_t actor_wall_ms(struct clock *clock)
{
    return TOY_CLOCK_START_MS + clock_actor(clock)->time_us / 1000;
}

static int64_t actor_monotonic_ns(struct clock *clock)
{
    return clock_actor(clock)->time_us * 1000;
}

static void actor_sleep_ms(struct clock *clock, int64_t ms)
{
    actor_spend(clock_actor(clock), ms * 1000);
}

static void *actor_play(void *state)
{
    struct actor *actor = state;
    pthread_mutex_lock(&actor->stage->lock);
    while (actor->stage->running != actor->number)
        pthread_cond_wait(&actor->turn, &actor->stage->lock);
    pthread_mutex_unlock(&actor->stage->lock);
    struct log *log = NULL;
    assert_ok(log_open(&actor->runtime, &actor->store, SLICE("t/"), &toy_machine, &options, &log));
    for (unsigned i = 0; i < actor->n_commits; i++) {
        struct log_answer answer;
        char text[80];
        int64_t begun_us = actor->time_us;
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"w%u.%02u\"}", actor->number, i);
        assert_ok(toy_commit(log, &answer, text));
        if (actor->time_us - begun_us > actor->worst_us)
            actor->worst_us = actor->time_us - begun_us;
    }
    log_close(log);
    actor->alive = false;
    stage_next(actor->stage, NULL);
    return NULL;
}

struct figures {
    uint64_t commits, records, most;
    uint64_t puts, gets, heads, lists, deletes;
    int64_t time_us, worst_us;
};

static struct figures stage_run(uint64_t seed, unsigned n_writers, unsigned each)
{
    struct world world;
    struct figures out = {.commits = (uint64_t)n_writers * each};
    struct stage *stage = memory_alloc_zero(sizeof(*stage));
    world_make(&world);
    stage->world = &world;
    stage->n = n_writers;
    stage->request_us = 10000;
    stage->running = WRITERS_MAX;
    pthread_mutex_init(&stage->lock, NULL);
    for (unsigned i = 0; i < n_writers; i++) {
        struct actor *actor = &stage->actors[i];
        *actor = (struct actor){
            .store = {.ops = &actor_ops, .description = (char *)"stage"},
            .clock = {actor_wall_ms, actor_monotonic_ns, actor_sleep_ms},
            .stage = stage,
            .random = random_seeded_new(seed * 1000 + i),
            .number = i,
            .n_commits = each,
            .alive = true,
        };
        actor->runtime =
            (struct runtime){.clock = &actor->clock, .random = actor->random, .pool = pool};
        pthread_cond_init(&actor->turn, NULL);
    }
    for (unsigned i = 0; i < n_writers; i++)
        assert_int_equal(
            pthread_create(&stage->actors[i].thread, NULL, actor_play, &stage->actors[i]), 0);
    stage_next(stage, NULL);
    for (unsigned i = 0; i < n_writers; i++) {
        struct actor *actor = &stage->actors[i];
        pthread_join(actor->thread, NULL);
        if (actor->worst_us > out.worst_us) out.worst_us = actor->worst_us;
        if (actor->time_us > out.time_us) out.time_us = actor->time_us;
        pthread_cond_destroy(&actor->turn);
        random_seeded_free(actor->random);
    }
    pthread_mutex_destroy(&stage->lock);
    struct store_counters asked = store_counters(world.store);
    assert_ok(log_catch_up(world.other, 0));
    const struct log_state *state = log_state_acquire(world.other);
    assert_int_equal(map_count(&((const struct toy *)state->state)->ids), 1 + out.commits);
    log_state_release(state);
    struct carried_count count = carried(&world);
    out.records = count.records - 1;
    out.puts = asked.puts + asked.conditional_puts;
    out.gets = asked.gets;
    out.heads = asked.heads;
    out.lists = asked.lists;
    out.deletes = asked.deletes;
    out.most = count.most;
    assert_true(objects(&world, "t/log/pending/") <= n_writers);
    free(stage);
    world_free(&world);
    return out;
}

static void many_writers_need_few_records_and_none_starves(void **unused)
{
    (void)unused;
    struct log_options kept = options;
    options.pending_slots = 0;
    options.block_slots = 0;
    static const struct {
        unsigned writers, each;
        double commits_per_record;
    } cases[] = {{1, 200, 1}, {2, 100, 1}, {4, 50, 1.5}, {16, 25, 4}, {64, 12, 10}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct figures sum = {0};
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct figures one = stage_run(seed, cases[i].writers, cases[i].each);
            sum.commits += one.commits;
            sum.records += one.records;
            sum.time_us += one.time_us;
            sum.puts += one.puts;
            sum.gets += one.gets;
            sum.heads += one.heads;
            sum.lists += one.lists;
            sum.deletes += one.deletes;
            if (one.worst_us > sum.worst_us) sum.worst_us = one.worst_us;
            if (one.most > sum.most) sum.most = one.most;
        }
        print_message("%2u writers, requests of 10 ms: %.1f commits a record, %.0f a second, most "
                      "in one record %llu, longest wait %.0f ms\n",
                      cases[i].writers, (double)sum.commits / (double)sum.records,
                      (double)sum.commits * 1e6 / (double)sum.time_us, (unsigned long long)sum.most,
                      (double)sum.worst_us / 1000);
        double n = (double)sum.commits;
        print_message("   requests a commit: %.2f puts, %.2f gets, %.2f heads, %.2f lists, %.2f "
                      "deletes\n",
                      (double)sum.puts / n, (double)sum.gets / n, (double)sum.heads / n,
                      (double)sum.lists / n, (double)sum.deletes / n);
        assert_true((double)sum.commits >= cases[i].commits_per_record * (double)sum.records);
        assert_true(sum.worst_us < 5000000);
    }
    options = kept;
}

int main(void)
{
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_two_lost_puts_an_entry_waits),
        cmocka_unit_test(one_lost_put_makes_no_entry),
        cmocka_unit_test(the_log_refuses_and_says_why),
        cmocka_unit_test(a_very_large_one_is_refused_like_any_other),
        cmocka_unit_test(what_had_been_done_is_said_to_be_done),
        cmocka_unit_test(what_expired_is_done_anew),
        cmocka_unit_test(beyond_a_snapshot_nothing_can_tell),
        cmocka_unit_test(within_reach_of_a_snapshot_it_goes_on),
        cmocka_unit_test(nothing_is_carried_on_top_of_an_end),
        cmocka_unit_test(a_large_one_waits_with_its_body),
        cmocka_unit_test(a_snapshot_remembers_all_that_was_decided),
        cmocka_unit_test(a_check_during_a_trim_finds_nothing),
        cmocka_unit_test(whatever_can_be_carried_is_and_nothing_else),
        cmocka_unit_test(what_was_decided_is_not_decided_again),
        cmocka_unit_test(the_leader_carries_its_own_without_an_entry),
        cmocka_unit_test(a_follower_asks_for_little),
        cmocka_unit_test(the_dead_are_not_waited_for),
        cmocka_unit_test(a_refusal_comes_after_those_who_watch_were_told),
        cmocka_unit_test(done_before_is_said_of_a_fresh_state),
        cmocka_unit_test(what_was_peeked_at_before_a_trim_was_met_is_no_end),
        cmocka_unit_test(what_cannot_be_composed_is_tried_in_moderation),
        cmocka_unit_test(what_is_refused_is_put_in_moderation),
        cmocka_unit_test(a_follower_ends_at_its_deadline),
        cmocka_unit_test(a_leader_in_a_hurry_waits_for_nobody),
        cmocka_unit_test(who_waits_for_the_next_record_ends_at_its_deadline),
        cmocka_unit_test(at_the_deadline_an_entry_is_unknown),
        cmocka_unit_test(a_death_at_each_request),
        cmocka_unit_test(lost_answers_change_nothing),
        cmocka_unit_test(many_writers_need_few_records_and_none_starves),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
