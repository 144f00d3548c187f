/*
 * test_random.c: seeded bytes by the published reference of xoshiro256** and splitmix64, bounds,
 * and the system's source and clock.
 */
#include "test.h"

#include "base/runtime.h"

static void seeds_give_the_bytes_of_the_reference(void **state)
{
    (void)state;
    /* Worked out by an independent program from the authors' description. */
    static const uint64_t expected[] = {0x30a3a1c363600467u, 0x19405f0f579929cau,
                                        0x115beaac046ddbd9u, 0xeb17caf48f27d7f6u};
    struct random *random = random_seeded_new(1234567);
    for (size_t i = 0; i < 4; i++)
        assert_true(random_u64(random) == expected[i]);
    random_seeded_free(random);

    /* Three bytes take a word of their own. */
    random = random_seeded_new(1234567);
    uint8_t bytes[3];
    random->fill(random, bytes, 3);
    assert_int_equal(bytes[0], expected[0] & 0xFF);
    assert_int_equal(bytes[2], expected[0] >> 16 & 0xFF);
    assert_true(random_u64(random) == expected[1]);
    random_seeded_free(random);
}

static void numbers_below_a_bound_are_even(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(1);
    unsigned counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t n = random_below(random, 7);
        assert_true(n < 7);
        counts[n]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], 9500, 10500);
    assert_int_equal(random_below(random, 1), 0);
    uint64_t large = random_below(random, UINT64_MAX);
    assert_true(large < UINT64_MAX);
    random_seeded_free(random);
}

static void the_system_gives_different_bytes(void **state)
{
    (void)state;
    struct random *random = random_system();
    uint8_t a[32] = {0}, b[32] = {0};
    random->fill(random, a, sizeof(a));
    random->fill(random, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    random->fill(random, a, 0);
}

static void the_clock_moves_on(void **state)
{
    (void)state;
    struct clock *clock = clock_system();
    int64_t before = clock->monotonic_ns(clock);
    clock->sleep_ms(clock, 2);
    clock->sleep_ms(clock, -1);
    assert_true(clock->monotonic_ns(clock) - before >= 2000000);
    /* Between 2020 and 2200. */
    assert_true(clock->wall_ms(clock) > 1577836800000 && clock->wall_ms(clock) < 7258118400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_give_the_bytes_of_the_reference),
        cmocka_unit_test(numbers_below_a_bound_are_even),
        cmocka_unit_test(the_system_gives_different_bytes),
        cmocka_unit_test(the_clock_moves_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
