/*
 * test_sim_found.c: what the simulator (tests/sim) found, each as the shortest course that shows
 * it, by hand: a store before the memory store at whose n-th request of a kind something happens
 * first, or whose answer is lost.
 */
#include "test.h"

#include "log_toy.h"
#include "lsm/lsm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct scripted {
    struct store store;
    struct store *behind;
    const char *prefix; /* of the keys that count */
    unsigned n_puts, n_syncs;
    unsigned lost_put;    /* the n-th put is done, its answer lost */
    unsigned remove_sync; /* before the n-th sync its object is removed by others */
    unsigned denied_put;  /* the n-th put is refused */
    void (*before_read)(struct scripted *s); /* others, before the next read */
    int64_t time_ahead_ms;
    void (*before_put)(struct scripted *s, unsigned n); /* others, before the n-th put */
    struct log *other;
};

struct world {
    struct toy_clock clock;
    struct runtime runtime;
    struct scripted front;
};

static struct pool *pool;

static struct scripted *scripted_of(struct store *store)
{
    return (struct scripted *)store;
}

static int put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct scripted *s = scripted_of(store);
    bool counts = slice_starts_with(key, slice_from_text(s->prefix));
    if (counts && s->before_put) s->before_put(s, s->n_puts + 1);
    if (counts && s->denied_put && s->n_puts + 1 == s->denied_put) {
        s->denied_put = 0;
        return error_set(GLIS_EDENIED, "not allowed");
    }
    int code = store_put(s->behind, key, body, flags);
    if (!counts) return code;
    if (++s->n_puts == s->lost_put) return error_set(GLIS_EUNKNOWN, "the answer was lost");
    return code;
}

static void read_ranges(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct scripted *s = scripted_of(store);
    if (s->before_read && slice_starts_with(reads[0].key, slice_from_text(s->prefix))) {
        void (*others)(struct scripted * s) = s->before_read;
        s->before_read = NULL;
        others(s);
    }
    int code = store_read(s->behind, reads, n_reads);
    (void)code; /* the outcomes say it */
}

static int head(struct store *store, struct slice key, struct store_object *out)
{
    return store_head(scripted_of(store)->behind, key, out);
}

static int list(struct store *store, struct slice prefix, struct slice start_after, size_t limit,
                struct arena *arena, struct store_list *out)
{
    return store_list(scripted_of(store)->behind, prefix, start_after, limit, arena, out);
}

static int remove_keys(struct store *store, const struct slice *keys, size_t n_keys)
{
    return store_remove(scripted_of(store)->behind, keys, n_keys);
}

static int sync_keys(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct scripted *s = scripted_of(store);
    if (n_keys && slice_starts_with(keys[0], slice_from_text(s->prefix)) &&
        ++s->n_syncs == s->remove_sync)
        assert_ok(store_remove(s->behind, keys, 1));
    return store_sync(s->behind, keys, n_keys);
}

static int time_ms(struct store *store, int64_t *out)
{
    TRY(store_time_ms(scripted_of(store)->behind, out));
    *out += scripted_of(store)->time_ahead_ms;
    return 0;
}

static int unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                           struct store_unfinished **out, size_t *n_out)
{
    return store_unfinished_list(scripted_of(store)->behind, prefix, arena, out, n_out);
}

static int upload_open(struct store *store, struct slice key, unsigned flags,
                       struct store_upload **out)
{
    return store_upload_open(scripted_of(store)->behind, key, flags, out);
}

static int upload_write(struct store_upload *upload, struct slice part)
{
    struct store *front = upload->store;
    upload->store = scripted_of(front)->behind;
    int code = store_upload_write(upload, part);
    upload->store = front;
    return code;
}

static int upload_finish(struct store_upload *upload)
{
    upload->store = scripted_of(upload->store)->behind;
    return store_upload_finish(upload);
}

static void upload_abort(struct store_upload *upload)
{
    (void)upload;
    (void)error_set(GLIS_EIO, "the abort failed, too");
}

static const struct store_ops ops = {.put = put,
                                     .read = read_ranges,
                                     .head = head,
                                     .list = list,
                                     .remove = remove_keys,
                                     .sync = sync_keys,
                                     .unfinished_list = unfinished_list,
                                     .upload_open = upload_open,
                                     .upload_write = upload_write,
                                     .upload_finish = upload_finish,
                                     .upload_abort = upload_abort,
                                     .time_ms = time_ms};
static char description[] = "scripted";

static int world_setup(void **state)
{
    struct world *world = memory_alloc_zero(sizeof(*world));
    world->clock = TOY_CLOCK;
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_seeded_new(7), .pool = pool};
    world->front.store = (struct store){.ops = &ops, .description = description};
    world->front.prefix = "";
    assert_ok(store_memory_open(&world->runtime, &world->front.behind));
    *state = world;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *world = *state;
    store_close(world->front.behind);
    random_seeded_free(world->runtime.random);
    free(world);
    return 0;
}

/* Its put was answered "unknown", found to be done at the second try, and others, who have newer
 * ones, removed it before it was made durable: there is nothing left to do. */
static void a_snapshot_that_others_have_outrun_is_no_failure(void **state)
{
    struct world *world = *state;
    struct log *log;
    struct log_answer answer;
    world->front.prefix = "t/snapshot/";
    world->front.lost_put = 1;
    world->front.remove_sync = 1;
    assert_ok(
        log_open(&world->runtime, &world->front.store, SLICE("t/"), &toy_machine, NULL, &log));
    assert_ok(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_ok(log_snapshot_write(log));
    assert_int_equal(world->front.n_puts, 2);
    assert_int_equal(world->front.n_syncs, 1);
    log_close(log);
}

/* The snapshot that a trim would stand on was read, and is removed by others, who have trimmed
 * further, before it is made durable: the next one will do. */
static void a_trim_stands_on_the_next_snapshot_when_its_own_goes(void **state)
{
    struct world *world = *state;
    struct log *log;
    struct log_answer answer;
    struct log_trim_result result;
    struct log_options blocks = {.block_slots = 2, .snapshot_by_hand = true};
    world->front.prefix = "t/snapshot/";
    assert_ok(
        log_open(&world->runtime, &world->front.store, SLICE("t/"), &toy_machine, &blocks, &log));
    assert_ok(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_ok(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"b\"}"));
    assert_ok(log_snapshot_write(log));
    assert_ok(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"c\"}"));
    assert_ok(log_snapshot_write(log));
    world->front.remove_sync = world->front.n_syncs + 1;
    struct log_trim_options options = {.line = 2};
    assert_ok(log_trim(log, &options, &result));
    assert_int_equal(result.records, 2);
    log_close(log);
}

/* Who gives an upload up after a failure reports that failure, not none, and not what the giving up
 * met with: a delete whose rewriting failed was taken for done. */
static void giving_an_upload_up_keeps_the_error(void **state)
{
    struct world *world = *state;
    struct store_upload upload = {.store = &world->front.store};
    struct error_detail detail;
    assert_int_equal(error_set(GLIS_ENOSPACE, "no room"), GLIS_ENOSPACE);
    store_upload_abort(&upload);
    error_save(&detail);
    assert_int_equal(detail.code, GLIS_ENOSPACE);
    assert_string_equal(error_message(), "no room");
}

/* Others are faster twice; and when the entry waits, they go on beyond its time, end the log and
 * clear it. */
static void others_end_the_log(struct scripted *s, unsigned n)
{
    struct log_answer answer;
    char text[60];
    for (unsigned i = 0; i < (n < 3 ? 1u : n == 3 ? 4u : 0u); i++) {
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"x%u.%u\"}", n, i);
        assert_ok(toy_commit(s->other, &answer, text));
    }
    if (n != 3) return;
    assert_ok(toy_commit(s->other, &answer, "{\"type\":\"drop\"}"));
    assert_ok(log_clear_ended(s->other));
}

/* What was decided is forgotten once not_after has passed, also by the last snapshot of a log that
 * has ended: whoever begins again from there cannot say that its change did not happen. */
static void an_entry_that_a_cleared_log_has_forgotten_is_unknown(void **state)
{
    struct world *world = *state;
    struct log *log;
    struct log_answer answer;
    struct log_options small = {.block_slots = 2, .pending_slots = 2, .snapshot_by_hand = true};
    world->front.prefix = "t/log/0";
    assert_ok(log_open(&world->runtime, world->front.behind, SLICE("t/"), &toy_machine, &small,
                       &world->front.other));
    assert_ok(
        log_open(&world->runtime, &world->front.store, SLICE("t/"), &toy_machine, &small, &log));
    world->front.before_put = others_end_the_log;
    assert_int_equal(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"a\"}"), GLIS_EUNKNOWN);
    assert_non_null(strstr(answer.detail.text, "trimmed"));
    assert_true(world->front.n_puts >= 3);
    log_close(log);
    log_close(world->front.other);
}

/* A toy for which bodies are too old from record 4 on. */
static int old_bodies_apply(void *context, void *state, const struct log_record_info *info,
                            const struct json *transaction)
{
    if (info->has_body && info->record >= 4) return error_set(GLIS_EREFUSED, "begun too long ago");
    return toy_apply(context, state, info, transaction);
}

static void others_are_faster(struct scripted *s, unsigned n)
{
    struct log_answer answer;
    char text[60];
    snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"x%u\"}", n);
    if (n <= 3) assert_ok(toy_commit(s->other, &answer, text));
}

/* The body of a waiting entry grew too old: a record that named it all the same could not be read
 * once the body was collected. The change is carried without it. */
static void no_record_names_a_body_that_is_too_old(void **state)
{
    struct world *world = *state;
    struct log *log;
    struct log_answer answer;
    struct log_machine machine = toy_machine;
    struct log_options small = {.record_max_bytes = 40, .snapshot_by_hand = true};
    machine.apply = old_bodies_apply;
    world->front.prefix = "t/log/0";
    assert_ok(log_open(&world->runtime, world->front.behind, SLICE("t/"), &machine, NULL,
                       &world->front.other));
    assert_ok(log_open(&world->runtime, &world->front.store, SLICE("t/"), &machine, &small, &log));
    world->front.before_put = others_are_faster;
    assert_ok(
        toy_commit(log, &answer,
                   "{\"type\":\"add\",\"id\":\"a\",\"pad\":\"------------------------------\"}"));
    assert_int_equal(answer.record, 4);
    defer_buffer struct buffer record = BUFFER_INIT(1 << 16);
    assert_ok(store_get(world->front.behind, SLICE("t/log/00000000000000000004"), 0, STORE_TO_END,
                        &record));
    assert_null(memmem(record.data, record.size, "\"body\"", 6));
    assert_non_null(memmem(record.data, record.size, "\"pending\"", 9));
    log_close(log);
    log_close(world->front.other);
}

/* A body whose put was answered "unknown" is found to be there, and removed by others, who trim,
 * before it is made durable: once more, under another name. */
static void a_body_that_others_removed_is_put_again(void **state)
{
    struct world *world = *state;
    struct log *log;
    struct log_answer answer;
    struct log_options small = {.record_max_bytes = 40, .snapshot_by_hand = true};
    world->front.prefix = "t/log/body/";
    world->front.lost_put = 1;
    world->front.remove_sync = 1;
    assert_ok(
        log_open(&world->runtime, &world->front.store, SLICE("t/"), &toy_machine, &small, &log));
    assert_ok(
        toy_commit(log, &answer,
                   "{\"type\":\"add\",\"id\":\"a\",\"pad\":\"------------------------------\"}"));
    assert_int_equal(world->front.n_puts, 3);
    assert_ok(log_catch_up(log, 0));
    log_close(log);
    assert_ok(
        log_open(&world->runtime, &world->front.store, SLICE("t/"), &toy_machine, &small, &log));
    log_close(log);
}

/* A log that ended while the clock was wrong has ended, and no setting of the time will help. */
static void an_ended_log_has_ended_whatever_its_time(void **state)
{
    struct world *world = *state;
    struct log *log;
    struct log_answer answer;
    assert_ok(
        log_open(&world->runtime, &world->front.store, SLICE("t/"), &toy_machine, NULL, &log));
    assert_ok(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"a\"}"));
    assert_ok(toy_commit(log, &answer, "{\"type\":\"drop\"}"));
    world->clock.wall_offset_ms = -24 * 3600 * 1000;
    assert_int_equal(toy_commit(log, &answer, "{\"type\":\"add\",\"id\":\"b\"}"), GLIS_EREFUSED);
    assert_null(strstr(answer.detail.text, "clock"));
    log_close(log);
}

/* ---- tables ---- */

static void open_instance(struct world *world, struct instance **out)
{
    assert_ok(instance_init(&world->runtime, &world->front.store, NULL, 0));
    assert_ok(instance_open(&world->runtime, &world->front.store, 0, NULL, out));
}

static int create_table(struct instance *instance)
{
    struct schema *schema;
    struct field fields[] = {{SLICE("k"), {.kind = TYPE_INT64}, false}};
    assert_ok(schema_new(&schema, fields, 1, 1, 0));
    struct table_definition definition = {.name = SLICE("t"), .schema = schema};
    int code = table_create(instance, &definition, NULL);
    schema_release(schema);
    return code;
}

/* Who began a table died before its first record was durable; whoever finds it and finishes the
 * table makes that record durable before the catalogue says that the table lives. */
static void a_table_lives_only_when_its_first_record_is_durable(void **state)
{
    struct world *world = *state;
    struct instance *instance;
    open_instance(world, &instance);
    world->front.prefix = "catalogue/log/0";
    world->front.n_puts = 0;
    world->front.denied_put = 2; /* after its reservation: that it lives */
    assert_int_equal(create_table(instance), GLIS_EDENIED);
    world->front.prefix = "tables/";
    world->front.n_puts = world->front.n_syncs = 0;
    assert_ok(create_table(instance));
    assert_int_equal(world->front.n_puts, 0);
    assert_int_equal(world->front.n_syncs, 1);
    instance_close(instance);
}

/* A sweeper whose clock is wrong is told so, and not that the table's log has not ended. */
static void a_sweeper_with_a_wrong_clock_is_told_so(void **state)
{
    struct world *world = *state;
    struct arena arena defer_arena = ARENA_EMPTY;
    struct instance *instance;
    struct table_entry *entries;
    size_t n;
    uint64_t removed = 0;
    open_instance(world, &instance);
    assert_ok(create_table(instance));
    assert_ok(table_drop(instance, SLICE("t")));
    world->clock.now_ms += INT64_C(8) * 24 * 3600 * 1000;
    assert_ok(instance_tables(instance, true, &arena, &entries, &n));
    assert_int_equal(n, 1);
    world->front.prefix = "tables/";
    world->front.n_puts = 0;
    world->front.denied_put = 1; /* it dies when the table is said to be swept */
    assert_int_equal(table_sweep(instance, &entries[0], false, &removed), GLIS_EDENIED);
    world->front.time_ahead_ms = 3600 * 1000;
    assert_int_equal(table_sweep(instance, &entries[0], false, &removed), GLIS_EREFUSED);
    assert_non_null(strstr(error_message(), "clock"));
    world->front.time_ahead_ms = 0;
    assert_ok(table_sweep(instance, &entries[0], false, &removed));
    instance_close(instance);
}

/* ---- bulk imports ---- */

struct importing {
    struct instance *instance;
    struct table *table;
    char file[40];
};

static void importing_begin(struct world *world, struct importing *out)
{
    open_instance(world, &out->instance);
    assert_ok(create_table(out->instance));
    assert_ok(table_open(out->instance, SLICE("t"), &out->table));
    struct setting one = {SLICE("glis.table.bulk.import.min.leaf.partitions"), SLICE("1")};
    struct commit_result ignored;
    assert_ok(table_alter(out->table, &one, 1, NULL, &ignored));
    memcpy(out->file, "/tmp/glis-found-XXXXXX.csv", 27);
    int fd = mkstemps(out->file, 4);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "k\n1\n2\n", 6), 6);
    assert_int_equal(close(fd), 0);
}

static int import_open(struct world *world, struct importing *importing, bool has_path,
                       struct bulk_import **out)
{
    struct slice path = slice_from_text(importing->file);
    struct bulk_import_options options = {.job_id = SLICE("j"), .memory_bytes = 16 << 20};
    return bulk_import_open(out, importing->table, &world->runtime, &path, has_path, &options);
}

static void importing_end(struct importing *importing)
{
    assert_int_equal(unlink(importing->file), 0);
    table_close(importing->table);
    instance_close(importing->instance);
}

/* Whoever may not pin what a job began with because his own clock is wrong leaves the job to
 * others, and does not take it away as one that nobody can finish. */
static void a_wrong_clock_takes_no_bulk_import_away(void **state)
{
    struct world *world = *state;
    struct importing importing;
    struct bulk_import *import;
    importing_begin(world, &importing);
    assert_ok(import_open(world, &importing, true, &import));
    assert_ok(bulk_import_step(import, SLICE("sort-000000")));
    bulk_import_close(import);
    world->clock.now_ms += 3600 * 1000;
    world->front.time_ahead_ms = 3600 * 1000;
    assert_int_equal(import_open(world, &importing, true, &import), GLIS_EREFUSED);
    assert_non_null(strstr(error_message(), "clock"));
    world->front.time_ahead_ms = 0;
    assert_ok(import_open(world, &importing, false, &import));
    assert_ok(bulk_import_run(import));
    assert_int_equal(bulk_import_result(import).rows, 2);
    bulk_import_close(import);
    importing_end(&importing);
}

static void others_cancel(struct scripted *s)
{
    struct world *world = (struct world *)((char *)s - offsetof(struct world, front));
    struct instance *instance;
    struct table *table;
    struct bulk_import_result result;
    assert_ok(instance_open(&world->runtime, s->behind, 0, NULL, &instance));
    assert_ok(table_open(instance, SLICE("t"), &table));
    assert_ok(bulk_import_cancel(table, SLICE("j"), &result));
    table_close(table);
    instance_close(instance);
}

/* The plan was there and is gone when it is read, for others have committed or cancelled the job
 * meanwhile: whoever looks again finds the job done, or begins it anew. */
static void a_bulk_import_that_ends_while_it_is_opened_is_looked_at_again(void **state)
{
    struct world *world = *state;
    struct importing importing;
    struct bulk_import *import;
    importing_begin(world, &importing);
    assert_ok(import_open(world, &importing, true, &import));
    bulk_import_close(import);
    struct arena arena defer_arena = ARENA_EMPTY;
    struct slice prefix = table_prefix(importing.table);
    world->front.prefix = arena_printf(&arena, "%.*sstaging/j/plan", SLICE_PRINT(prefix));
    world->front.before_read = others_cancel;
    assert_ok(import_open(world, &importing, true, &import));
    assert_null(world->front.before_read);
    assert_ok(bulk_import_run(import));
    assert_int_equal(bulk_import_result(import).rows, 2);
    bulk_import_close(import);
    importing_end(&importing);
}

static void others_finish(struct scripted *s)
{
    struct world *world = (struct world *)((char *)s - offsetof(struct world, front));
    struct importing importing;
    struct bulk_import *import;
    assert_ok(instance_open(&world->runtime, s->behind, 0, NULL, &importing.instance));
    assert_ok(table_open(importing.instance, SLICE("t"), &importing.table));
    assert_ok(import_open(world, &importing, false, &import));
    assert_ok(bulk_import_run(import));
    bulk_import_close(import);
    table_close(importing.table);
    instance_close(importing.instance);
}

static void then_others_finish(struct scripted *s, unsigned n)
{
    if (n == s->denied_put) s->before_read = others_finish;
}

/* A step failed, the log did not know the job yet, and then its plan was gone: it had been
 * committed between the two looks, and was not ended without its rows. */
static void a_bulk_import_that_others_commit_between_two_looks_is_done(void **state)
{
    struct world *world = *state;
    struct importing importing;
    struct bulk_import *import;
    importing_begin(world, &importing);
    assert_ok(import_open(world, &importing, true, &import));
    struct arena arena defer_arena = ARENA_EMPTY;
    struct slice prefix = table_prefix(importing.table);
    world->front.prefix = arena_printf(&arena, "%.*sstaging/j/", SLICE_PRINT(prefix));
    world->front.denied_put = world->front.n_puts + 1;
    world->front.before_put = then_others_finish;
    assert_ok(bulk_import_run(import));
    assert_int_equal(world->front.denied_put, 0);
    assert_true(bulk_import_result(import).already_done);
    bulk_import_close(import);
    importing_end(&importing);
}

#define FOUND_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {
        FOUND_TEST(a_snapshot_that_others_have_outrun_is_no_failure),
        FOUND_TEST(a_trim_stands_on_the_next_snapshot_when_its_own_goes),
        FOUND_TEST(giving_an_upload_up_keeps_the_error),
        FOUND_TEST(an_entry_that_a_cleared_log_has_forgotten_is_unknown),
        FOUND_TEST(no_record_names_a_body_that_is_too_old),
        FOUND_TEST(a_body_that_others_removed_is_put_again),
        FOUND_TEST(an_ended_log_has_ended_whatever_its_time),
        FOUND_TEST(a_table_lives_only_when_its_first_record_is_durable),
        FOUND_TEST(a_sweeper_with_a_wrong_clock_is_told_so),
        FOUND_TEST(a_wrong_clock_takes_no_bulk_import_away),
        FOUND_TEST(a_bulk_import_that_ends_while_it_is_opened_is_looked_at_again),
        FOUND_TEST(a_bulk_import_that_others_commit_between_two_looks_is_done),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
