/*
 * test_instance.c: instances and tables over a memory store and the real log: creating, renaming,
 * dropping and having back; settings; commits of ingests from two handles; states of the past; and
 * a crash at every request of an init and a create, after which a repeat completes it.
 */
#include "test.h"

#include "base/runtime.h"
#include "table/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Time that only moves when somebody sleeps. */
struct still_clock {
    struct clock clock;
    int64_t now_ms;
};

static int64_t still_wall_ms(struct clock *clock)
{
    return ((struct still_clock *)clock)->now_ms;
}

static int64_t still_monotonic_ns(struct clock *clock)
{
    return ((struct still_clock *)clock)->now_ms * 1000000;
}

static void still_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    ((struct still_clock *)clock)->now_ms += duration_ms;
}

struct world {
    struct still_clock clock;
    struct runtime runtime;
    struct store *store;
    struct instance *instance;
    struct schema *schema;
    struct arena arena;
};

#define SCHEMA                                                                                     \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"LongType\"}],\"valueFields\":[{\"name\":\"v\"," \
    "\"type\":\"IntType\"}]}"

static struct slice long_key(struct arena *arena, int64_t value)
{
    uint8_t *bytes = arena_alloc(arena, 8);
    uint64_t flipped = (uint64_t)value ^ UINT64_C(1) << 63;
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(flipped >> 8 * (7 - i));
    return slice_make(bytes, 8);
}

static void world_begin(struct world *world)
{
    *world = (struct world){
        .clock = {{still_wall_ms, still_monotonic_ns, still_sleep_ms}, 1700000000000}};
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_system(), .pool = pool_new(0)};
    assert_ok(store_memory_open(&world->runtime, &world->store));
    assert_ok(schema_from_json(SLICE(SCHEMA), &world->schema));
    arena_init(&world->arena, NULL);
}

static int setup(void **state)
{
    struct world *world = memory_alloc(sizeof(*world));
    world_begin(world);
    assert_ok(instance_init(&world->runtime, world->store, NULL, 0));
    assert_ok(instance_open(&world->runtime, world->store, 0, NULL, &world->instance));
    *state = world;
    return 0;
}

static void world_end(struct world *world)
{
    instance_close(world->instance);
    store_close(world->store);
    schema_release(world->schema);
    arena_free(&world->arena);
    pool_free(world->runtime.pool);
}

static int teardown(void **state)
{
    world_end(*state);
    free(*state);
    return 0;
}

static struct table_definition definition(struct world *world, const char *name)
{
    return (struct table_definition){.name = slice_from_text(name), .schema = world->schema};
}

static void create(struct world *world, const char *name, struct table **out)
{
    struct table_definition d = definition(world, name);
    assert_ok(table_create(world->instance, &d, out));
}

/* "a:live b:dropped ..." */
static const char *list_tables(struct world *world)
{
    static const char *const lives[] = {"creating", "live", "dropped", "sweeping"};
    struct table_entry *entries;
    size_t n;
    assert_ok(instance_tables(world->instance, true, &world->arena, &entries, &n));
    const char *text = "";
    for (size_t i = 0; i < n; i++)
        text = arena_printf(&world->arena, "%s%s%.*s:%s%s", text, i ? " " : "",
                            SLICE_PRINT(entries[i].name), lives[entries[i].life],
                            entries[i].online ? "" : ":offline");
    return text;
}

static void an_instance_begins_once(void **state)
{
    struct world *world = *state;
    assert_fails(instance_init(&world->runtime, world->store, NULL, 0), GLIS_EEXISTS, "already");
    struct store *empty;
    struct instance *instance;
    assert_ok(store_memory_open(&world->runtime, &empty));
    assert_fails(instance_open(&world->runtime, empty, 0, NULL, &instance), GLIS_ENOTFOUND,
                 "glis init");
    struct setting wrong = {SLICE("glis.ingest.memory"), SLICE("tiny")};
    assert_fails(instance_init(&world->runtime, empty, &wrong, 1), GLIS_EINVALID,
                 "glis.ingest.memory");
    assert_fails(instance_open(&world->runtime, empty, 0, NULL, &instance), GLIS_ENOTFOUND, NULL);
    store_close(empty);
}

static void settings_are_kept_and_overridden(void **state)
{
    struct world *world = *state;
    struct setting settings[] = {{SLICE("glis.ingest.memory"), SLICE("1G")},
                                 {SLICE("glis.default.table.gc.delay"), SLICE("1h")}};
    assert_ok(instance_alter(world->instance, settings, 2));
    struct instance *other;
    assert_ok(instance_open(&world->runtime, world->store, 0, NULL, &other));
    assert_int_equal(instance_number(other, PROPERTY_INGEST_MEMORY), 1 << 30);
    instance_close(other);

    struct setting set = {SLICE("glis.ingest.memory"), SLICE("128M")};
    struct property_overrides overrides = {.sets = &set, .n_sets = 1};
    assert_ok(instance_open(&world->runtime, world->store, 0, &overrides, &other));
    assert_int_equal(instance_number(other, PROPERTY_INGEST_MEMORY), 128 << 20);
    instance_close(other);
    set.value = SLICE("lots");
    assert_fails(instance_open(&world->runtime, world->store, 0, &overrides, &other), GLIS_EINVALID,
                 "--set");

    /* A table takes the instance's defaults when it is created, and keeps them. */
    struct table *table;
    create(world, "t", &table);
    const struct table_state *now;
    assert_ok(table_state_get(table, 0, &now));
    assert_int_equal(table_state_number(now, PROPERTY_TABLE_GC_DELAY), 3600000);
    assert_int_equal(table_state_number(now, PROPERTY_TABLE_JOB_MEMORY), INT64_C(2592000000));
    table_state_release(now);
    table_close(table);
    struct setting back = {SLICE("glis.ingest.memory"), SLICE("")};
    assert_ok(instance_alter(world->instance, &back, 1));
    struct setting *all;
    size_t n;
    assert_ok(instance_settings(world->instance, &world->arena, &all, &n));
    assert_int_equal(n, 1);
    struct setting no_default = {SLICE("glis.default.table.drop.delay"), SLICE("1h")};
    assert_fails(instance_alter(world->instance, &no_default, 1), GLIS_EINVALID, NULL);
    struct setting unknown = {SLICE("glis.ingest.memroy"), SLICE("1G")};
    assert_fails(instance_alter(world->instance, &unknown, 1), GLIS_EINVALID, "did you mean");
}

static void tables_live_and_go_and_come_back(void **state)
{
    struct world *world = *state;
    struct table *table;
    create(world, "alpha", NULL);
    create(world, "beta", NULL);
    struct table_definition d = definition(world, "alpha");
    assert_fails(table_create(world->instance, &d, NULL), GLIS_EEXISTS, "alpha");
    d = definition(world, ".alpha");
    assert_fails(table_create(world->instance, &d, NULL), GLIS_EINVALID, "no table name");
    assert_fails(table_open(world->instance, SLICE("alhpa"), &table), GLIS_ENOTFOUND,
                 "did you mean 'alpha'");
    assert_fails(table_open(world->instance, SLICE("zzz"), &table), GLIS_ENOTFOUND, "no table");
    assert_fails(table_rename(world->instance, SLICE("alpha"), SLICE("beta")), GLIS_EEXISTS,
                 "beta");
    assert_ok(table_rename(world->instance, SLICE("alpha"), SLICE("gamma")));
    assert_ok(table_set_online(world->instance, SLICE("gamma"), false));
    assert_string_equal(list_tables(world), "beta:live gamma:live:offline");

    assert_ok(table_drop(world->instance, SLICE("gamma")));
    assert_fails(table_drop(world->instance, SLICE("gamma")), GLIS_ENOTFOUND, NULL);
    assert_fails(table_open(world->instance, SLICE("gamma"), &table), GLIS_ENOTFOUND, NULL);
    assert_string_equal(list_tables(world), "beta:live gamma:dropped:offline");
    create(world, "gamma", NULL);
    assert_fails(table_undrop(world->instance, SLICE("gamma"), SLICE_EMPTY), GLIS_EEXISTS, "--as");
    assert_ok(table_undrop(world->instance, SLICE("gamma"), SLICE("delta")));
    assert_string_equal(list_tables(world), "beta:live delta:live:offline gamma:live");
    assert_fails(table_undrop(world->instance, SLICE("gamma"), SLICE("x")), GLIS_ENOTFOUND,
                 "no dropped");
    /* Another process sees the same. */
    struct instance *other;
    assert_ok(instance_open(&world->runtime, world->store, INSTANCE_READ_ONLY, NULL, &other));
    assert_ok(table_open(other, SLICE("delta"), &table));
    assert_true(slice_equal_text(table_name(table), "delta"));
    table_close(table);
    assert_fails(table_rename(other, SLICE("delta"), SLICE("x")), GLIS_EDENIED, NULL);
    instance_close(other);
}

/* An ingest of one file of 10 rows, keys 0 to 9. */
static int ingest(struct world *world, struct table *table, const char *job, uint64_t fingerprint,
                  const char *writer, uint64_t sequence, struct commit_result *result)
{
    const struct table_state *now;
    assert_ok(table_state_get(table, 0, &now));
    struct file_bound bound = {long_key(&world->arena, 0), long_key(&world->arena, 9), false};
    struct new_reference reference = {SLICE("root"), 10};
    struct new_file file = {.name = table_file_name_new(now, &world->runtime, &world->arena),
                            .size = 77,
                            .rows = 10,
                            .bounds = &bound,
                            .references = &reference,
                            .n_references = 1};
    struct ingest_commit commit = {.state = now,
                                   .files = &file,
                                   .n_files = 1,
                                   .job = slice_from_text(job),
                                   .job_is_given = true,
                                   .fingerprint = {0, fingerprint},
                                   .writer = slice_from_text(writer),
                                   .sequence = sequence};
    int code = table_commit_ingest(table, &commit, result);
    table_state_release(now);
    return code;
}

static uint64_t count_rows(struct table *table)
{
    const struct table_state *now;
    assert_ok(table_state_get(table, 0, &now));
    assert_ok(table_validate(now));
    uint64_t rows = table_state_figures(now).rows;
    table_state_release(now);
    return rows;
}

static void a_job_is_done_once(void **state)
{
    struct world *world = *state;
    struct table *table, *second;
    struct commit_result result;
    create(world, "t", &table);
    assert_ok(table_open(world->instance, SLICE("t"), &second));
    assert_ok(ingest(world, table, "j", 1, NULL, 0, &result));
    assert_int_equal(result.record, 2);
    assert_false(result.already_done);
    assert_ok(ingest(world, second, "j", 1, NULL, 0, &result));
    assert_true(result.already_done);
    assert_int_equal(result.record, 2);
    assert_fails(ingest(world, second, "j", 2, NULL, 0, &result), GLIS_EEXISTS, "other input");
    assert_ok(ingest(world, second, NULL, 0, "w", 1, &result));
    assert_ok(ingest(world, table, NULL, 0, "w", 2, &result));
    assert_ok(ingest(world, second, NULL, 0, "w", 1, &result));
    assert_true(result.already_done);
    assert_fails(ingest(world, second, NULL, 0, "w", 4, &result), GLIS_ESEQUENCE, "is at 2");
    assert_fails(ingest(world, second, "a b", 1, NULL, 0, &result), GLIS_EINVALID, "job id");
    assert_fails(ingest(world, second, "j", 1, "w", 3, &result), GLIS_EINVALID, "either");
    assert_int_equal(count_rows(table), 30);
    assert_ok(table_forget_writer(table, SLICE("w")));
    assert_fails(table_forget_writer(table, SLICE("w")), GLIS_ENOTFOUND, "no writer 'w'");
    assert_ok(ingest(world, second, NULL, 0, "w", 1, &result));
    assert_false(result.already_done);
    table_close(second);
    table_close(table);
}

static void work_begun_before_a_reset_is_refused(void **state)
{
    struct world *world = *state;
    struct table *table;
    struct commit_result result;
    create(world, "t", &table);
    const struct table_state *before;
    assert_ok(table_state_get(table, 0, &before));
    struct slice point = long_key(&world->arena, 5);
    assert_ok(ingest(world, table, "j", 1, NULL, 0, &result));
    assert_ok(table_reset(table, &point, 1, false, &result));
    struct ingest_commit commit = {.state = before, .job = SLICE("k"), .fingerprint = {1, 1}};
    assert_fails(table_commit_ingest(table, &commit, &result), GLIS_EREFUSED, "reset");
    table_state_release(before);
    assert_int_equal(count_rows(table), 0);

    /* A snapshot does not change what is read, before it or after. */
    assert_ok(table_snapshot_write(table));
    struct table *second;
    assert_ok(table_open(world->instance, SLICE("t"), &second));
    assert_int_equal(count_rows(second), 0);
    table_close(second);
    assert_ok(instance_validate(world->instance));

    /* The past can be read while its records are kept. */
    const struct table_state *past;
    assert_ok(table_state_at(table, 2, &past));
    assert_int_equal(table_state_figures(past).rows, 10);
    assert_int_equal(table_state_record(past), 2);
    assert_int_equal(table_state_generation(past), 0);
    table_state_release(past);
    assert_fails(table_state_at(table, 9, &past), GLIS_EINVALID, "no record 9");
    assert_fails(table_state_at(table, 0, &past), GLIS_EINVALID, NULL);
    table_close(table);
}

static void a_table_is_altered_from_two_handles(void **state)
{
    struct world *world = *state;
    struct table *table, *second;
    struct commit_result result;
    create(world, "t", &table);
    assert_ok(table_open(world->instance, SLICE("t"), &second));
    struct setting delay = {SLICE("glis.table.gc.delay"), SLICE("1m")};
    struct setting codec = {SLICE("glis.table.parquet.compression.codec"), SLICE("snappy")};
    assert_ok(table_alter(table, &delay, 1, NULL, &result));
    assert_ok(table_alter(second, &codec, 1, NULL, &result));
    struct schema *wider;
    assert_ok(
        schema_from_json(SLICE("{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"LongType\"}],"
                               "\"valueFields\":[{\"name\":\"v\",\"type\":\"LongType\"},"
                               "{\"name\":\"w\",\"type\":\"StringType\",\"nullable\":true}]}"),
                         &wider));
    assert_ok(table_alter(table, NULL, 0, wider, &result));
    const struct table_state *now;
    assert_ok(table_state_get(second, 0, &now));
    assert_int_equal(table_state_number(now, PROPERTY_TABLE_GC_DELAY), 60000);
    assert_true(slice_equal_text(table_state_text(now, PROPERTY_TABLE_CODEC), "snappy"));
    assert_true(schema_equal(table_state_schema(now), wider));
    assert_int_equal(table_state_version(now), 4);
    table_state_release(now);
    assert_fails(table_alter(table, NULL, 0, world->schema, &result), GLIS_EREFUSED, NULL);
    delay.value = SLICE("soon");
    assert_fails(table_alter(table, &delay, 1, NULL, &result), GLIS_EINVALID,
                 "glis.table.gc.delay");
    schema_release(wider);
    table_close(second);
    table_close(table);
}

/* ---- threads ---- */

enum { THREADS = 4, JOBS = 40 };

struct commits {
    struct world *world;
    struct table *tables[2];
};

/* Job i / 2, so each is tried twice, from two handles. */
static int commit_one(void *state, size_t index)
{
    struct commits *commits = state;
    struct table *table = commits->tables[index % 2];
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *now;
    TRY(table_state_get(table, 0, &now));
    struct file_bound bound = {long_key(&arena, 0), long_key(&arena, 9), false};
    struct new_reference reference = {SLICE("root"), 10};
    struct new_file file = {.name = table_file_name_new(now, &commits->world->runtime, &arena),
                            .size = 77,
                            .rows = 10,
                            .bounds = &bound,
                            .references = &reference,
                            .n_references = 1};
    struct ingest_commit commit = {.state = now,
                                   .files = &file,
                                   .n_files = 1,
                                   .job =
                                       slice_from_text(arena_printf(&arena, "job-%zu", index / 2)),
                                   .fingerprint = {0, index / 2}};
    struct commit_result result;
    int code = table_commit_ingest(table, &commit, &result);
    if (code == 0) code = table_validate(now);
    table_state_release(now);
    return code;
}

static void threads_and_handles_commit_side_by_side(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world);
    world.runtime.clock = clock_system();
    assert_ok(instance_init(&world.runtime, world.store, NULL, 0));
    assert_ok(instance_open(&world.runtime, world.store, 0, NULL, &world.instance));
    struct commits commits = {.world = &world};
    create(&world, "t", &commits.tables[0]);
    assert_ok(table_open(world.instance, SLICE("t"), &commits.tables[1]));
    struct pool *pool = pool_new(THREADS);
    assert_ok(pool_run(pool, 2 * JOBS, commit_one, &commits));
    pool_free(pool);
    assert_int_equal(count_rows(commits.tables[0]), JOBS * 10);
    assert_int_equal(count_rows(commits.tables[1]), JOBS * 10);
    table_close(commits.tables[0]);
    table_close(commits.tables[1]);
    world_end(&world);
}

/* ---- crashes ---- */

static int init_and_create(struct world *world, struct store *store)
{
    int code = instance_init(&world->runtime, store, NULL, 0);
    if (code < 0 && code != GLIS_EEXISTS) return code;
    struct instance *instance;
    TRY(instance_open(&world->runtime, store, 0, NULL, &instance));
    struct slice points[] = {long_key(&world->arena, 10), long_key(&world->arena, 20)};
    struct table_definition d = definition(world, "t");
    d.split_points = points;
    d.n_split_points = 2;
    code = table_create(instance, &d, NULL);
    instance_close(instance);
    return code == GLIS_EEXISTS ? 0 : code;
}

static void a_create_that_died_anywhere_can_be_repeated(void **unused)
{
    (void)unused;
    uint64_t n_requests = 1;
    for (uint64_t crash_at = 1; crash_at <= n_requests; crash_at++) {
        struct world world;
        world_begin(&world);
        struct store *faulty;
        struct store_faults faults = {.crash_at = crash_at};
        assert_ok(store_fault_open(&world.runtime, world.store, 1, &faults, &faulty));
        int code = init_and_create(&world, faulty);
        if (code == 0)
            n_requests = 0; /* the crash lies behind the last request */
        else
            n_requests = crash_at + 1;
        store_close(faulty);
        assert_ok(init_and_create(&world, world.store));
        assert_ok(instance_open(&world.runtime, world.store, 0, NULL, &world.instance));
        struct table *table;
        assert_ok(table_open(world.instance, SLICE("t"), &table));
        const struct table_state *now;
        assert_ok(table_state_get(table, 0, &now));
        assert_ok(table_validate(now));
        assert_int_equal(table_state_figures(now).leaves, 3);
        table_state_release(now);
        table_close(table);
        assert_string_equal(list_tables(&world), "t:live");
        world_end(&world);
    }
}

static void remains_of_another_definition_are_dropped(void **unused)
{
    (void)unused;
    for (uint64_t crash_at = 1; crash_at < 100; crash_at++) {
        struct world world;
        world_begin(&world);
        struct store *faulty;
        struct store_faults faults = {0};
        struct instance *instance;
        assert_ok(store_fault_open(&world.runtime, world.store, 1, &faults, &faulty));
        assert_ok(instance_init(&world.runtime, faulty, NULL, 0));
        assert_ok(instance_open(&world.runtime, faulty, 0, NULL, &instance));
        faults.crash_at = store_fault_requests(faulty) + crash_at;
        store_fault_set(faulty, &faults);
        struct slice point = long_key(&world.arena, 10);
        struct table_definition d = definition(&world, "t");
        d.split_points = &point;
        d.n_split_points = 1;
        int code = table_create(instance, &d, NULL);
        instance_close(instance);
        store_close(faulty);
        assert_ok(instance_open(&world.runtime, world.store, 0, NULL, &world.instance));
        d.n_split_points = 0;
        struct table_entry *entries;
        size_t n;
        assert_ok(instance_tables(world.instance, false, &world.arena, &entries, &n));
        bool was_live = n && entries[0].life == TABLE_LIVE;
        if (was_live)
            assert_fails(table_create(world.instance, &d, NULL), GLIS_EEXISTS, NULL);
        else
            assert_ok(table_create(world.instance, &d, NULL));
        struct table *table;
        assert_ok(table_open(world.instance, SLICE("t"), &table));
        const struct table_state *now;
        assert_ok(table_state_get(table, 0, &now));
        assert_int_equal(table_state_figures(now).leaves, was_live ? 2 : 1);
        table_state_release(now);
        table_close(table);
        world_end(&world);
        if (code == 0) return;
    }
    fail_msg("a create takes more than 100 requests");
}

/* ---- from a folder ---- */

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void an_instance_is_made_from_the_references_folder(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world);
    char folder[] = "/tmp/glis-test-XXXXXX", tables[200], more[200];
    assert_non_null(mkdtemp(folder));
    snprintf(tables, sizeof(tables), "%s/tables", folder);
    assert_int_equal(mkdir(tables, 0700), 0);
    snprintf(tables, sizeof(tables), "%s/tables/one", folder);
    snprintf(more, sizeof(more), "%s/tables/two", folder);
    assert_int_equal(mkdir(tables, 0700) | mkdir(more, 0700), 0);
    write_text(folder, "instance.properties",
               "sleeper.id=x\nsleeper.vpc=vpc-1\nsleeper.default.table.gc.delay.minutes=3\n");
    write_text(folder, "tags.properties", "Project=Test\n");
    snprintf(tables, sizeof(tables), "%s/tables/one", folder);
    write_text(tables, "table.properties",
               "sleeper.table.name=first\nsleeper.table.online=false\n");
    write_text(tables, "schema.json", SCHEMA);
    write_text(tables, "splits.txt", "10\n20\n");
    snprintf(tables, sizeof(tables), "%s/tables/two", folder);
    write_text(tables, "table.properties", "sleeper.table.nosuch=1\n");
    write_text(tables, "schema.json", SCHEMA);

    struct slice *ignored;
    size_t n_ignored;
    /* All is read before anything is written. */
    assert_fails(instance_init_from(&world.runtime, world.store, slice_from_text(folder),
                                    &world.arena, &ignored, &n_ignored),
                 GLIS_EINVALID, "tables/two/table.properties: line 1");
    assert_fails(instance_open(&world.runtime, world.store, 0, NULL, &world.instance),
                 GLIS_ENOTFOUND, NULL);
    world.instance = NULL;
    write_text(tables, "table.properties", "");
    write_text(tables, "splits.txt", "5\n4\n");
    assert_fails(instance_init_from(&world.runtime, world.store, slice_from_text(folder),
                                    &world.arena, &ignored, &n_ignored),
                 GLIS_EINVALID, "tables/two/splits.txt: line 2");
    write_text(tables, "splits.txt", "");
    assert_ok(instance_init_from(&world.runtime, world.store, slice_from_text(folder), &world.arena,
                                 &ignored, &n_ignored));
    assert_int_equal(n_ignored, 2);
    assert_ok(instance_open(&world.runtime, world.store, 0, NULL, &world.instance));
    assert_string_equal(list_tables(&world), "first:live:offline two:live");
    struct table *table;
    assert_ok(table_open(world.instance, SLICE("first"), &table));
    const struct table_state *now;
    assert_ok(table_state_get(table, 0, &now));
    assert_int_equal(table_state_figures(now).leaves, 3);
    assert_int_equal(table_state_number(now, PROPERTY_TABLE_GC_DELAY), 180000);
    table_state_release(now);
    table_close(table);
    assert_fails(instance_init_from(&world.runtime, world.store, slice_from_text(folder),
                                    &world.arena, &ignored, &n_ignored),
                 GLIS_EEXISTS, "already");
    static const char *const paths[] = {"tables/one/table.properties",
                                        "tables/one/schema.json",
                                        "tables/one/splits.txt",
                                        "tables/two/table.properties",
                                        "tables/two/schema.json",
                                        "tables/two/splits.txt",
                                        "instance.properties",
                                        "tags.properties",
                                        "tables/one",
                                        "tables/two",
                                        "tables",
                                        "."};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        snprintf(more, sizeof(more), "%s/%s", folder, i + 1 < 12 ? paths[i] : "");
        assert_int_equal(remove(more), 0);
    }
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_instance_begins_once, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_are_kept_and_overridden, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_live_and_go_and_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_is_done_once, setup, teardown),
        cmocka_unit_test_setup_teardown(work_begun_before_a_reset_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_table_is_altered_from_two_handles, setup, teardown),
        cmocka_unit_test(threads_and_handles_commit_side_by_side),
        cmocka_unit_test(a_create_that_died_anywhere_can_be_repeated),
        cmocka_unit_test(remains_of_another_definition_are_dropped),
        cmocka_unit_test(an_instance_is_made_from_the_references_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
