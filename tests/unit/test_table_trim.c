/*
 * test_table_trim.c: what stays of a table's log when it is trimmed (pins, the time that people
 * have), the catalogue's log, and roles.
 */
#include "table_world.h"

#include "log/log_int.h"
#include "log_toy.h"
#include "table/instance_int.h"

struct world {
    struct toy_clock clock;
    struct runtime runtime;
    struct store *store;
    struct instance *instance;
    struct table *table;
};

static struct pool *pool;

static void world_make(struct world *world)
{
    struct schema *schema;
    memset(world, 0, sizeof(*world));
    world->clock = TOY_CLOCK;
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_seeded_new(7), .pool = pool};
    assert_ok(store_memory_open(&world->runtime, &world->store));
    assert_ok(instance_init(&world->runtime, world->store, NULL, 0));
    world->store->local = true; /* snapshots when this test wants them: as of a folder */
    assert_ok(instance_open(&world->runtime, world->store, 0, NULL, &world->instance));
    assert_ok(schema_from_json(SLICE(LONG_SCHEMA), &schema));
    struct table_definition definition = {.name = SLICE("t"), .schema = schema};
    assert_ok(table_create(world->instance, &definition, &world->table));
    schema_release(schema);
}

static void world_free(struct world *world)
{
    table_close(world->table);
    instance_close(world->instance);
    store_close(world->store);
    random_seeded_free(world->runtime.random);
}

static uint64_t record_of(struct world *world)
{
    const struct table_state *state;
    assert_ok(table_state_get(world->table, 0, &state));
    uint64_t record = state->record;
    table_state_release(state);
    return record;
}

/* Records up to this one, a second apart, of a writer's pin that goes on and on; snapshots now and
 * then. */
static void records_up_to(struct world *world, uint64_t record)
{
    while (record_of(world) < record) {
        struct table_pin pin = {.id = SLICE("now"), .record = record_of(world)};
        pin.until_ms = 1; /* past at once */
        toy_sleep_ms(&world->clock.clock, 1000);
        assert_ok(table_pin(world->table, &pin, NULL));
        if (record_of(world) % 300 == 0) assert_ok(table_snapshot_write(world->table));
    }
}

static bool is_readable(struct world *world, uint64_t record)
{
    const struct table_state *state;
    int code = table_state_at(world->table, record, &state);
    if (code == 0) {
        assert_int_equal(state->record, record);
        table_state_release(state);
    }
    assert_true(code == 0 || code == GLIS_EGONE);
    return code == 0;
}

static void pins_and_the_time_to_think_keep_states(void **unused)
{
    (void)unused;
    struct world world;
    struct log_trim_result result;
    world_make(&world);
    struct table_trim_options keep_none = {.keep_given = true}, by_time = {0}, dry = keep_none;
    dry.dry_run = true;
    records_up_to(&world, 3500);
    struct table_pin pin = {.id = SLICE("kept"), .record = 2500, .until_ms = 0};
    assert_ok(table_pin(world.table, &pin, NULL));
    assert_ok(table_trim(world.table, &by_time, &result));
    assert_int_equal(result.line, 0); /* all is of the last hour */
    assert_ok(table_trim(world.table, &dry, &result));
    assert_int_equal(result.records, 2048);
    assert_true(is_readable(&world, 1));
    assert_ok(table_trim(world.table, &keep_none, &result));
    /* The lowest snapshot of the group of 2,048 to 3,071, which begins at the pin or before. */
    assert_int_equal(result.line, 2048);
    assert_int_equal(result.records, 2048);
    assert_false(is_readable(&world, 2047));
    assert_false(is_readable(&world, 2099));
    assert_true(is_readable(&world, 2100)); /* its snapshot */
    assert_true(is_readable(&world, 2500));
    const struct table_state *state;
    assert_ok(table_state_get(world.table, 0, &state));
    assert_int_equal(table_trim_line(state), 2100);
    table_state_release(state);
    struct table_pin low = {.id = SLICE("low"), .record = 2099};
    assert_fails(table_pin(world.table, &low, NULL), GLIS_EREFUSED, "2100 have been trimmed");
    assert_fails(table_raise_trim_line(world.table, 2100, NULL), GLIS_EREFUSED, "already");
    assert_fails(table_raise_trim_line(world.table, 2501, NULL), GLIS_EREFUSED, "'kept'");
    assert_fails(table_raise_trim_line(world.table, 99999, NULL), GLIS_EREFUSED, "yet to come");
    /* The pin goes, the line goes on: by time as well as by number. */
    assert_ok(table_unpin(world.table, SLICE("kept"), NULL));
    records_up_to(&world, 3700);
    toy_sleep_ms(&world.clock.clock, INT64_C(7) * 24 * 3600 * 1000 - 150 * 1000);
    assert_ok(table_trim(world.table, &by_time, &result));
    assert_int_equal(result.line, 3072);
    assert_true(is_readable(&world, 3300));
    assert_false(is_readable(&world, 2500));
    world_free(&world);
}

/* Trims that die at each request, with a pin that comes at any moment: what a pin was granted for
 * stays readable. */
static void a_pin_and_a_trim_have_an_order(void **unused)
{
    (void)unused;
    bool died = true;
    struct world base;
    world_make(&base);
    records_up_to(&base, 2400);
    for (uint64_t at = 1; died; at++) {
        struct store *faulty;
        struct instance *instance = NULL;
        struct table *table = NULL;
        struct log_trim_result result;
        struct store_faults faults = {.crash_at = at};
        struct table_trim_options all = {.keep_given = true, .keep = 100};
        assert_ok(store_fault_open(&base.runtime, base.store, at, &faults, &faulty));
        int code = instance_open(&base.runtime, faulty, 0, NULL, &instance);
        if (code == 0) code = table_open(instance, SLICE("t"), &table);
        if (code == 0) code = table_trim(table, &all, &result);
        died = code < 0;
        error_clear();
        table_close(table);
        instance_close(instance);
        store_close(faulty);
        struct table_pin pin = {.id = SLICE("p"), .record = 1000};
        code = table_pin(base.table, &pin, NULL);
        if (code == 0) assert_true(is_readable(&base, 1000));
        if (code == 0) assert_ok(table_unpin(base.table, SLICE("p"), NULL));
        if (code < 0) assert_int_equal(code, GLIS_EREFUSED);
        assert_true(is_readable(&base, 2300));
    }
    assert_false(is_readable(&base, 1000));
    world_free(&base);
}

static void the_catalogue_is_trimmed_too(void **unused)
{
    (void)unused;
    struct world world;
    struct log_trim_result result;
    world_make(&world);
    struct setting setting = {SLICE("glis.ingest.memory"), SLICE("1G")};
    for (int i = 0; i < 2300; i++) {
        setting.value = i % 2 ? SLICE("1G") : SLICE("2G");
        assert_ok(instance_alter(world.instance, &setting, 1));
    }
    assert_ok(instance_trim(world.instance, &(struct table_trim_options){0}, &result));
    assert_int_equal(result.line, 1024);
    instance_close(world.instance);
    table_close(world.table);
    world.table = NULL;
    assert_ok(instance_open(&world.runtime, world.store, 0, NULL, &world.instance));
    assert_ok(table_open(world.instance, SLICE("t"), &world.table));
    world_free(&world);
}

/* ---- roles ---- */

static void a_role_goes_to_one_and_its_former_holder_is_refused(void **unused)
{
    (void)unused;
    struct world world;
    defer_arena struct arena arena = ARENA_EMPTY;
    uint64_t epoch;
    struct slice token;
    const struct table_state *state;
    world_make(&world);
    assert_ok(table_take_role(world.table, SLICE("collector"), 0, SLICE("anna"), NULL));
    assert_fails(table_take_role(world.table, SLICE("collector"), 0, SLICE("bert"), NULL),
                 GLIS_EREFUSED, "held by 'anna'");
    assert_ok(table_take_role(world.table, SLICE("collector"), 1, SLICE("bert"), NULL));
    assert_fails(table_take_role(world.table, SLICE("collector"), 3, SLICE("carl"), NULL),
                 GLIS_EREFUSED, "epoch 2");
    assert_fails(table_take_role(world.table, SLICE(""), 0, SLICE("x"), NULL), GLIS_EINVALID, NULL);
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"{\"type\":\"pin\",\"id\":\"a\",\"record\":1,\"until\":0,\"keeps\":\"files\","
         "\"role\":\"collector\",\"epoch\":1}",
         GLIS_EREFUSED},
        {"{\"type\":\"pin\",\"id\":\"a\",\"record\":1,\"until\":0,\"keeps\":\"files\","
         "\"role\":\"collector\",\"epoch\":2}",
         0},
        {"{\"type\":\"unpin\",\"id\":\"a\",\"role\":\"nobody's\",\"epoch\":1}", GLIS_EREFUSED},
        {"{\"type\":\"unpin\",\"id\":\"a\",\"role\":\"collector\",\"epoch\":3}", GLIS_EREFUSED},
        {"{\"type\":\"unpin\",\"id\":\"a\",\"role\":\"collector\"}", GLIS_EINVALID},
        {"{\"type\":\"unpin\",\"id\":\"a\",\"role\":7,\"epoch\":2}", GLIS_EINVALID},
        {"{\"type\":\"unpin\",\"id\":\"a\"}", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct log_answer answer;
        assert_int_equal(toy_commit(world.table->log, &answer, cases[i].text), cases[i].code);
    }
    error_clear();
    /* It outlives a snapshot. */
    assert_ok(table_snapshot_write(world.table));
    table_close(world.table);
    assert_ok(table_open(world.instance, SLICE("t"), &world.table));
    assert_ok(table_state_get(world.table, 0, &state));
    table_role(state, SLICE("collector"), &arena, &epoch, &token);
    assert_int_equal(epoch, 2);
    assert_true(slice_equal_text(token, "bert"));
    table_role(state, SLICE("other"), &arena, &epoch, &token);
    assert_int_equal(epoch, 0);
    assert_ok(table_validate(state));
    table_state_release(state);
    world_free(&world);
}

int main(void)
{
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins_and_the_time_to_think_keep_states),
        cmocka_unit_test(a_pin_and_a_trim_have_an_order),
        cmocka_unit_test(the_catalogue_is_trimmed_too),
        cmocka_unit_test(a_role_goes_to_one_and_its_former_holder_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
