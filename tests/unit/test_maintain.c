/*
 * test_maintain.c: maintenance on a store that fails: ingests, compactions, splits, push-downs,
 * collection, deletes and going back at random, each tried by processes that die until one gets
 * through, with a clock that runs on between them. After each step every acknowledged row is
 * reached once; in the end no object is left that the state does not know. GLIS_MAINTAIN_SEED=N
 * runs one seed.
 */
#include "sorting.h"

#include "lsm/lsm.h"
#include "parquet/parquet.h"
#include "table/instance_int.h"
#include "table/table_int.h"

#include <stdio.h>

enum { BATCH_ROWS = 60, ROWS_MAX = 2400, SPREAD = 400, HOUR_MS = 3600 * 1000 };

static const struct type long_type = {.kind = TYPE_INT64};

struct world {
    struct sorting_world base;
    struct store *memory, *store;
    struct instance *instance;
    struct table *table;
    struct schema *schema;
    struct random *random;
    int64_t keys[ROWS_MAX];
    bool alive[ROWS_MAX];
    int64_t n_rows;
    uint64_t seed, n_attempts;
};

static struct slice field_key(struct arena *arena, int64_t value)
{
    struct buffer bytes = BUFFER_INIT(64);
    struct value v = value_integer(TYPE_INT64, value);
    assert_ok(key_append_value(&long_type, &v, &bytes));
    struct slice copy = arena_copy(arena, buffer_slice(&bytes));
    buffer_free(&bytes);
    return copy;
}

static const struct setting settings[] = {
    {SLICE("glis.table.partition.splitting.threshold"), SLICE("150")},
    {SLICE("glis.table.partition.splitting.min.rows"), SLICE("20")},
    {SLICE("glis.table.compaction.files.batch.size"), SLICE("3")},
    {SLICE("glis.table.compaction.strategy.class"), SLICE("basic")},
};

static void world_open(struct world *world, uint64_t seed)
{
    struct arena arena = ARENA_EMPTY;
    memset(world, 0, sizeof *world);
    sorting_world_open(&world->base, 0);
    world->seed = seed;
    world->random = random_seeded_new(seed);
    assert_ok(store_memory_open(&world->base.runtime, &world->memory));
    world->store = world->memory;
    world->schema = sorting_schema(&long_type, 1, 0);
    assert_ok(instance_init(&world->base.runtime, world->memory, NULL, 0));
    assert_ok(instance_open(&world->base.runtime, world->memory, 0, NULL, &world->instance));
    struct setting some[5];
    memcpy(some, settings, sizeof settings);
    some[4] =
        (struct setting){SLICE("glis.table.inner.bytes"), seed % 2 ? SLICE("0") : SLICE("20K")};
    struct table_definition definition = {
        .name = SLICE("t"), .schema = world->schema, .settings = some, .n_settings = 5};
    assert_ok(table_create(world->instance, &definition, &world->table));
    arena_free(&arena);
}

static int reopen(struct world *world, const struct store_faults *faults)
{
    table_close(world->table);
    instance_close(world->instance);
    world->table = NULL;
    world->instance = NULL;
    if (world->store != world->memory) store_close(world->store);
    world->store = world->memory;
    if (faults)
        TRY(store_fault_open(&world->base.runtime, world->memory,
                             world->seed * 100000 + world->n_attempts++, faults, &world->store));
    TRY(instance_open(&world->base.runtime, world->store, 0, NULL, &world->instance));
    return table_open(world->instance, SLICE("t"), &world->table);
}

static void world_close(struct world *world)
{
    table_close(world->table);
    instance_close(world->instance);
    if (world->store != world->memory) store_close(world->store);
    store_close(world->memory);
    schema_release(world->schema);
    random_seeded_free(world->random);
    sorting_world_close(&world->base);
}

/* ---- what is there ---- */

static void count_rows(struct world *world, struct slice name, const struct key_range *leaf,
                       uint8_t *seen)
{
    struct arena arena = ARENA_EMPTY;
    struct parquet_reader *reader;
    struct batch_stream *stream;
    struct slice key = table_file_key(world->table, name, &arena);
    assert_ok(parquet_reader_open(&reader, &world->base.runtime, world->memory, key,
                                  &world->base.budget));
    assert_ok(parquet_reader_stream(reader, &stream));
    for (;;) {
        struct batch *batch;
        struct keys keys;
        assert_ok(batch_stream_next(stream, &batch));
        if (!batch) break;
        assert_ok(keys_encode(&keys, batch, 1, NULL));
        for (int64_t row = 0; row < batch->n_rows; row++)
            if (key_range_contains(leaf, keys_get(&keys, row))) seen[sorting_id(batch, row)]++;
        keys_free(&keys);
        batch_release(batch);
    }
    batch_stream_close(stream);
    parquet_reader_close(reader);
    arena_free(&arena);
}

static void check(struct world *world)
{
    struct arena arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_leaf *leaves;
    size_t n_leaves;
    assert_ok(reopen(world, NULL));
    assert_ok(table_state_get(world->table, 0, &state));
    assert_ok(table_validate(state));
    assert_ok(table_leaves(state, NULL, &arena, &leaves, &n_leaves));
    uint8_t *seen = calloc(ROWS_MAX, 1);
    for (size_t i = 0; i < n_leaves; i++)
        for (size_t j = 0; j < leaves[i].n_references; j++)
            count_rows(world, leaves[i].references[j].file->name, leaves[i].partition.region, seen);
    for (int64_t i = 0; i < world->n_rows; i++)
        if (seen[i] != world->alive[i])
            fail_msg("seed %llu: row %lld is there %d times instead of %d",
                     (unsigned long long)world->seed, (long long)i, seen[i], world->alive[i]);
    free(seen);
    arena_free(&arena);
    table_state_release(state);
}

/* ---- steps ---- */

static uint64_t below(struct world *world, uint64_t n)
{
    return random_below(world->random, n);
}

/* What a process meets: nothing, an end at some request, or requests that are lost or late. */
static struct store_faults draw_faults(struct world *world)
{
    switch (below(world, 3)) {
    case 0: return (struct store_faults){0};
    case 1: return (struct store_faults){.crash_at = 5 + below(world, 120)};
    default:
        return (struct store_faults){.lost_before = 300,
                                     .lost_after = 300,
                                     .late = 300,
                                     .retry = 300,
                                     .repeated = 300,
                                     .short_read = 100};
    }
}

/* Tries something by processes that fail, some time apart, until one gets through. */
static void insist(struct world *world, int (*run)(struct world *world, void *context),
                   void *context)
{
    int code = -1;
    for (int attempt = 0; code < 0; attempt++) {
        struct store_faults faults = draw_faults(world);
        assert_true(attempt < 300);
        code = reopen(world, attempt < 40 ? &faults : NULL);
        if (code == 0) code = run(world, context);
        if (code < 0 && attempt >= 41) assert_ok(code);
        world->base.clock.slept_ms += (int64_t)below(world, 3) * (int64_t)below(world, HOUR_MS);
    }
}

struct ingesting {
    struct batch *batch;
    char job[32];
};

static int run_ingest(struct world *world, void *context)
{
    struct ingesting *ingesting = context;
    struct arena arena = ARENA_EMPTY;
    struct batch_stream *stream;
    struct ingest_result result;
    assert_ok(batch_stream_of(world->schema, &ingesting->batch, 1, &stream));
    struct ingest_options options = {.job_id = slice_from_text(ingesting->job)};
    int code = ingest_stream(world->table, &world->base.runtime, stream, &options, &arena, &result);
    arena_free(&arena);
    return code;
}

static void step_ingest(struct world *world)
{
    if (world->n_rows + BATCH_ROWS > ROWS_MAX) return;
    struct ingesting ingesting = {
        .batch = sorting_batch(world->schema, world->random, BATCH_ROWS, world->n_rows, SPREAD)};
    snprintf(ingesting.job, sizeof ingesting.job, "job-%lld", (long long)world->n_rows);
    insist(world, run_ingest, &ingesting);
    for (int64_t i = 0; i < BATCH_ROWS; i++) {
        struct value key;
        column_value(&ingesting.batch->columns[0], i, &key);
        world->keys[world->n_rows + i] = key.integer;
        world->alive[world->n_rows + i] = true;
    }
    world->n_rows += BATCH_ROWS;
    batch_release(ingesting.batch);
}

static int run_maintain(struct world *world, void *context)
{
    struct maintain_options options = {.collect = {.now = *(bool *)context, .full = true},
                                       .once = below(world, 4) == 0,
                                       .force = below(world, 5) == 0};
    struct maintain_result result;
    return maintain_table(world->table, &world->base.runtime, &options, &result);
}

static void step_maintain(struct world *world)
{
    bool now = below(world, 2);
    insist(world, run_maintain, &now);
}

struct deleting {
    int64_t from, to;
};

static int run_delete(struct world *world, void *context)
{
    struct deleting *deleting = context;
    struct arena arena = ARENA_EMPTY;
    struct key_range range = {.min = field_key(&arena, deleting->from),
                              .max = field_key(&arena, deleting->to)};
    const struct key_range *region = &range;
    struct delete_options options = {.drop_pins = true};
    struct delete_result result;
    int code =
        delete_rows(world->table, &world->base.runtime, &region, 1, &options, &arena, &result);
    if (code == 0) assert_true(result.is_complete);
    arena_free(&arena);
    return code;
}

static void step_delete(struct world *world)
{
    int64_t from = (int64_t)below(world, SPREAD) - SPREAD / 2;
    struct deleting deleting = {from, from + 1 + (int64_t)below(world, 60)};
    insist(world, run_delete, &deleting);
    for (int64_t i = 0; i < world->n_rows; i++)
        if (world->keys[i] >= deleting.from && world->keys[i] < deleting.to)
            world->alive[i] = false;
}

/* Goes on for a while and back again, by a pin or by luck. */
static void step_go_back(struct world *world)
{
    const struct table_state *state;
    bool alive[ROWS_MAX], pinned = below(world, 2);
    int64_t n_rows = world->n_rows;
    assert_ok(reopen(world, NULL));
    assert_ok(table_state_get(world->table, 0, &state));
    uint64_t record = table_state_record(state);
    table_state_release(state);
    memcpy(alive, world->alive, sizeof alive);
    struct table_pin pin = {.id = SLICE("back"), .record = record};
    if (pinned) assert_ok(table_pin(world->table, &pin, NULL));
    for (uint64_t i = below(world, 3) + 1; i; i--) {
        below(world, 2) ? step_ingest(world) : step_maintain(world);
        check(world);
    }
    assert_ok(reopen(world, NULL));
    struct commit_result result;
    int code = table_restore(world->table, record, &result);
    if (pinned) assert_ok(code);
    if (pinned) assert_ok(table_unpin(world->table, pin.id, NULL));
    if (code < 0) return;
    for (int64_t i = 0; i < world->n_rows; i++)
        world->alive[i] = i < n_rows && alive[i];
}

static int count_object(void *context, const struct store_object *object)
{
    (void)object;
    ++*(uint64_t *)context;
    return 0;
}

static void check_no_orphans(struct world *world)
{
    struct arena arena = ARENA_EMPTY;
    for (int i = 0; i < 2; i++) {
        struct maintain_options options = {.collect = {.now = true, .full = true}};
        struct maintain_result result;
        const struct table_state *now;
        struct table_pin pin = {.id = SLICE("end"), .record = 1};
        assert_ok(reopen(world, NULL));
        /* One more record, so that all orphans were begun below the newest. */
        assert_ok(table_state_get(world->table, 0, &now));
        pin.record = table_state_record(now);
        table_state_release(now);
        assert_ok(table_pin(world->table, &pin, NULL));
        assert_ok(table_unpin(world->table, pin.id, NULL));
        world->base.clock.slept_ms += 30 * (int64_t)HOUR_MS;
        assert_ok(reopen(world, NULL));
        assert_ok(maintain_table(world->table, &world->base.runtime, &options, &result));
    }
    const struct table_state *state;
    uint64_t n_objects = 0;
    assert_ok(table_state_get(world->table, 0, &state));
    struct table_figures figures = table_state_figures(state);
    table_state_release(state);
    struct slice prefix =
        slice_from_text(arena_printf(&arena, "%.*sdata/", SLICE_PRINT(table_prefix(world->table))));
    assert_ok(store_each(world->memory, prefix, SLICE_EMPTY, count_object, &n_objects));
    assert_int_equal(figures.unreferenced_files, 0);
    assert_int_equal(n_objects, figures.files);
    arena_free(&arena);
}

static void no_row_is_lost_whatever_the_store_does(void **unused)
{
    (void)unused;
    const char *one = getenv("GLIS_MAINTAIN_SEED"), *many = getenv("GLIS_MAINTAIN_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t n = one ? 1 : many ? strtoull(many, NULL, 10) : 12;
    for (uint64_t seed = first; seed < first + n; seed++) {
        struct world *world = calloc(1, sizeof *world);
        world_open(world, seed);
        for (int step = 0; step < 24; step++) {
            uint64_t pick = below(world, 10);
            if (pick < 5)
                step_ingest(world);
            else if (pick < 8)
                step_maintain(world);
            else if (pick < 9)
                step_delete(world);
            else
                step_go_back(world);
            check(world);
        }
        check_no_orphans(world);
        check(world);
        world_close(world);
        free(world);
    }
}

/* ---- what is refused for good ---- */

static void a_table_that_ended_ends_its_maintenance(void **unused)
{
    (void)unused;
    struct world *world = calloc(1, sizeof *world);
    world_open(world, 2);
    for (int i = 0; i < 4; i++)
        step_ingest(world);
    assert_ok(reopen(world, NULL));
    /* Another process drops and sweeps it. */
    struct log *log;
    struct arena arena = ARENA_EMPTY;
    struct log_options options = instance_log_options(world->instance);
    struct slice drop = SLICE("{\"type\":\"drop\"}");
    struct log_answer answer;
    assert_ok(log_open(
        &world->base.runtime, world->memory,
        slice_from_text(arena_printf(&arena, "%.*s", SLICE_PRINT(table_prefix(world->table)))),
        &table_machine, &options, &log));
    assert_ok(log_commit(log, &drop, 1, 0, &answer));
    log_close(log);
    arena_free(&arena);
    struct maintain_options work = {0};
    struct maintain_result result;
    assert_int_equal(maintain_table(world->table, &world->base.runtime, &work, &result),
                     GLIS_EREFUSED);
    world_close(world);
    free(world);
}

/* ---- who comes too late ---- */

/* When the files are written: two days go by, and others work on the table. */
static int collect_behind(void *context, const struct ingest_progress *progress)
{
    struct world *world = context;
    struct setting setting = {SLICE("glis.table.gc.delay"), SLICE("1m")};
    struct commit_result done;
    struct collect_options options = {.full = true};
    struct collect_result collected;
    if (progress->files_written == 0 || progress->phase != INGEST_COMMITTING) return 0;
    for (int i = 0; i < 2; i++) {
        assert_ok(table_alter(world->table, &setting, 1, NULL, &done));
        world->base.clock.slept_ms += 25 * (int64_t)HOUR_MS;
    }
    assert_ok(collect_table(world->table, &world->base.runtime, &options, &collected));
    assert_true(collected.orphans > 0);
    return 0;
}

static void an_ingest_whose_files_were_collected_says_why(void **unused)
{
    (void)unused;
    struct world *world = calloc(1, sizeof *world);
    struct arena arena = ARENA_EMPTY;
    struct batch_stream *stream;
    struct ingest_result result;
    world_open(world, 3);
    struct batch *batch = sorting_batch(world->schema, world->random, BATCH_ROWS, 0, SPREAD);
    assert_ok(batch_stream_of(world->schema, &batch, 1, &stream));
    batch_release(batch);
    struct ingest_options options = {.progress = collect_behind, .progress_state = world};
    assert_int_equal(
        ingest_stream(world->table, &world->base.runtime, stream, &options, &arena, &result),
        GLIS_EREFUSED);
    assert_non_null(strstr(error_message(), "glis.gc.orphan.age"));
    error_clear();
    arena_free(&arena);
    check(world); /* no row */
    world_close(world);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ingest_whose_files_were_collected_says_why),
        cmocka_unit_test(a_table_that_ended_ends_its_maintenance),
        cmocka_unit_test(no_row_is_lost_whatever_the_store_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
