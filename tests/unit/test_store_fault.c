/*
 * test_store_fault.c: each fault of the wrapper alone does what store.h says of it and nothing
 * else, and one seed gives one run.
 */
#include "test.h"

#include "log_toy.h" /* its clock */
#include "store/store.h"

struct world {
    struct toy_clock clock;
    struct runtime runtime;
    struct store *behind, *store;
};

static struct pool *pool;
enum { ALWAYS = 65536, HALF = 32768 };

static void world_open(struct world *world, uint64_t seed, struct store_faults faults)
{
    world->clock = TOY_CLOCK;
    world->runtime = (struct runtime){
        .clock = &world->clock.clock, .random = random_seeded_new(1), .pool = pool};
    assert_ok(store_memory_open(&world->runtime, &world->behind));
    assert_ok(store_fault_open(&world->runtime, world->behind, seed, &faults, &world->store));
}

static void world_close(struct world *world)
{
    store_close(world->store);
    store_close(world->behind);
    random_seeded_free(world->runtime.random);
}

static bool is_there(struct store *store, const char *key)
{
    struct store_object object;
    return store_head(store, slice_from_text(key), &object) == 0;
}

static int put(struct store *store, const char *key, unsigned flags)
{
    return store_put(store, slice_from_text(key), SLICE("body"), flags);
}

static void lost_on_the_way_there(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 1, (struct store_faults){.lost_before = ALWAYS});
    assert_fails(put(world.store, "a", STORE_IF_ABSENT), GLIS_EUNKNOWN, "lost");
    assert_fails(put(world.store, "b", 0), GLIS_EIO, NULL);
    assert_false(is_there(world.behind, "a") || is_there(world.behind, "b"));
    assert_ok(put(world.behind, "c", 0));
    assert_fails(store_remove(world.store, &SLICE("c"), 1), GLIS_EIO, NULL);
    assert_true(is_there(world.behind, "c"));
    struct store_object object;
    struct store_read read = {.key = SLICE("c"), .length = 1};
    assert_fails(store_head(world.store, SLICE("c"), &object), GLIS_EIO, NULL);
    assert_fails(store_read(world.store, &read, 1), GLIS_EIO, NULL);
    assert_null(read.block);
    world_close(&world);
}

static void lost_on_the_way_back(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 1, (struct store_faults){.lost_after = ALWAYS});
    assert_fails(put(world.store, "a", STORE_IF_ABSENT), GLIS_EUNKNOWN, "lost");
    assert_fails(put(world.store, "b", 0), GLIS_EIO, NULL);
    assert_true(is_there(world.behind, "a") && is_there(world.behind, "b"));
    assert_fails(store_remove(world.store, &SLICE("a"), 1), GLIS_EIO, NULL);
    assert_false(is_there(world.behind, "a"));
    world_close(&world);
}

static void late_puts_happen_later_or_never(void **state)
{
    (void)state;
    struct world world;
    unsigned landed = 0;
    world_open(&world, 5, (struct store_faults){.late = ALWAYS});
    for (int i = 0; i < 64; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%02d", i);
        assert_fails(put(world.store, key, STORE_IF_ABSENT), GLIS_EUNKNOWN, NULL);
        assert_false(is_there(world.behind, key));
    }
    for (int i = 0; i < 64; i++) /* others' requests pass by */
        is_there(world.store, "x");
    for (int i = 0; i < 64; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%02d", i);
        landed += is_there(world.behind, key);
    }
    assert_true(landed > 10 && landed < 54);
    world_close(&world);
}

static void a_late_conditional_put_overwrites_nothing(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 5, (struct store_faults){.late = ALWAYS});
    for (int i = 0; i < 20; i++)
        assert_fails(put(world.store, "k", STORE_IF_ABSENT), GLIS_EUNKNOWN, NULL);
    store_fault_set(world.store, &(struct store_faults){0});
    int code = store_put(world.store, SLICE("k"), SLICE("mine"), STORE_IF_ABSENT);
    for (int i = 0; i < 70; i++)
        is_there(world.store, "x");
    defer_buffer struct buffer body = BUFFER_INIT(100);
    assert_ok(store_get(world.store, SLICE("k"), 0, STORE_TO_END, &body));
    assert_int_equal(slice_equal_text(buffer_slice(&body), "mine"), code == 0);
    world_close(&world);
}

static void a_busy_store_carries_nothing_out(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 1, (struct store_faults){.retry = ALWAYS});
    assert_fails(put(world.store, "a", STORE_IF_ABSENT), GLIS_ERETRY, "patience");
    assert_fails(put(world.store, "a", 0), GLIS_ERETRY, "patience");
    assert_false(is_there(world.behind, "a"));
    world_close(&world);
}

static void reads_break_off_and_overtake_each_other(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 1, (struct store_faults){.short_read = HALF, .reordered = ALWAYS});
    assert_ok(put(world.behind, "a", 0));
    unsigned fine = 0, broke = 0;
    for (int i = 0; i < 50; i++) {
        struct store_read reads[] = {{.key = SLICE("a"), .length = 4},
                                     {.key = SLICE("missing"), .length = 4},
                                     {.key = SLICE("a"), .offset = 2, .length = 4}};
        int code = store_read(world.store, reads, 3);
        assert_true(code == 0 || code == GLIS_EIO);
        for (int k = 0; k < 3; k++) {
            fine += reads[k].outcome == 0;
            broke += reads[k].outcome == GLIS_EIO;
            if (reads[k].outcome == 0)
                assert_memory_equal(reads[k].data, k == 0 ? "body" : "dy", k == 0 ? 4 : 2);
        }
        store_read_release(reads, 3);
    }
    assert_true(fine > 20 && broke > 20);
    world_close(&world);
}

static void a_crash_ends_everything(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 1, (struct store_faults){.crash_at = 3});
    assert_ok(put(world.store, "a", 0));
    assert_ok(put(world.store, "b", STORE_IF_ABSENT));
    assert_int_equal(store_fault_requests(world.store), 2);
    for (int i = 0; i < 5; i++)
        assert_fails(put(world.store, "c", STORE_IF_ABSENT), GLIS_EIO, "reached");
    assert_false(is_there(world.behind, "c"));
    world_close(&world);
}

static void time_passes(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, 1, (struct store_faults){.delayed = ALWAYS});
    for (int i = 0; i < 10; i++)
        assert_ok(put(world.store, "a", 0));
    assert_true(atomic_load(&world.clock.now_ms) > TOY_CLOCK_START_MS + 1000);
    world_close(&world);
}

static void one_seed_gives_one_run(void **state)
{
    (void)state;
    struct store_faults faults = {8000, 8000, 8000, 8000, 8000, 8000, 8000, 8000, 0};
    int codes[2][300];
    for (int run = 0; run < 2; run++) {
        struct world world;
        world_open(&world, 42, faults);
        for (int i = 0; i < 300; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%d", i % 40);
            codes[run][i] = put(world.store, key, i % 3 ? STORE_IF_ABSENT : 0);
        }
        world_close(&world);
    }
    assert_memory_equal(codes[0], codes[1], sizeof(codes[0]));
}

int main(void)
{
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_on_the_way_there),
        cmocka_unit_test(lost_on_the_way_back),
        cmocka_unit_test(late_puts_happen_later_or_never),
        cmocka_unit_test(a_late_conditional_put_overwrites_nothing),
        cmocka_unit_test(a_busy_store_carries_nothing_out),
        cmocka_unit_test(reads_break_off_and_overtake_each_other),
        cmocka_unit_test(a_crash_ends_everything),
        cmocka_unit_test(time_passes),
        cmocka_unit_test(one_seed_gives_one_run),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
