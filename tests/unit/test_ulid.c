/*
 * test_ulid.c: the examples of the ULID specification, order within a source, and what is no ULID.
 */
#include "test.h"

#include "base/ulid.h"

struct set_clock {
    struct clock clock;
    int64_t now_ms;
};

struct set_random {
    struct random random;
    uint8_t bytes[10];
};

static int64_t set_wall_ms(struct clock *clock)
{
    return ((struct set_clock *)clock)->now_ms;
}

static void set_fill(struct random *random, void *out, size_t size)
{
    assert_int_equal(size, 10);
    memcpy(out, ((struct set_random *)random)->bytes, size);
}

static void examples_of_the_specification(void **state)
{
    (void)state;
    struct ulid_source source = {0};
    struct set_clock clock = {{.wall_ms = set_wall_ms}, 1469918176385};
    struct set_random random = {{.fill = set_fill}, {0}};
    struct runtime runtime = {.clock = &clock.clock, .random = &random.random, .ulids = &source};
    assert_string_equal(ulid_new(&runtime).text, "01ARYZ6S410000000000000000");

    /* "01BX5ZZKBKACTAV9WEVGEMMVRY" and the two behind it in the same millisecond. */
    static const uint8_t bytes[10] = {0x53, 0x34, 0xad, 0xa7, 0x8e, 0xdc, 0x1d, 0x4a, 0x6f, 0x1e};
    clock.now_ms = 1508808576371;
    memcpy(random.bytes, bytes, 10);
    assert_string_equal(ulid_new(&runtime).text, "01BX5ZZKBKACTAV9WEVGEMMVRY");
    assert_string_equal(ulid_new(&runtime).text, "01BX5ZZKBKACTAV9WEVGEMMVRZ");
    /* The clock goes back: still the same millisecond, counted up. */
    clock.now_ms -= 5000;
    assert_string_equal(ulid_new(&runtime).text, "01BX5ZZKBKACTAV9WEVGEMMVS0");
    assert_int_equal(ulid_time_ms(SLICE("01BX5ZZKBKACTAV9WEVGEMMVRY")), 1508808576371);
}

static void a_full_random_part_carries_into_the_time(void **state)
{
    (void)state;
    struct ulid_source source = {0};
    struct set_clock clock = {{.wall_ms = set_wall_ms}, 1};
    struct set_random random = {{.fill = set_fill}, {0}};
    struct runtime runtime = {.clock = &clock.clock, .random = &random.random, .ulids = &source};
    memset(random.bytes, 0xFF, 10);
    assert_string_equal(ulid_new(&runtime).text, "0000000001ZZZZZZZZZZZZZZZZ");
    assert_string_equal(ulid_new(&runtime).text, "00000000020000000000000000");
    clock.now_ms = 2;
    assert_string_equal(ulid_new(&runtime).text, "00000000020000000000000001");
}

static int take_a_thousand(void *state, size_t index)
{
    struct ulid *out = (struct ulid *)state + index * 1000;
    struct runtime runtime = {.clock = clock_system(), .random = random_system()};
    for (size_t i = 0; i < 1000; i++) {
        out[i] = ulid_new(&runtime);
        if (i && strcmp(out[i - 1].text, out[i].text) >= 0)
            return error_set(GLIS_EINVALID, "%s after %s", out[i].text, out[i - 1].text);
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void threads_get_growing_and_different_ones(void **state)
{
    (void)state;
    struct ulid *ulids = memory_alloc(4000 * sizeof(*ulids));
    struct pool *pool = pool_new(3);
    assert_ok(pool_run(pool, 4, take_a_thousand, ulids));
    qsort(ulids, 4000, sizeof(*ulids), by_text);
    for (size_t i = 0; i < 4000; i++) {
        assert_true(ulid_is_valid(ulid_slice(&ulids[i])));
        if (i) assert_true(strcmp(ulids[i - 1].text, ulids[i].text) != 0);
    }
    pool_free(pool);
    free(ulids);
}

static void what_is_no_ulid(void **state)
{
    (void)state;
    assert_true(ulid_is_valid(SLICE("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")));
    static const char *const bad[] = {
        "",
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "01BX5ZZKBKACTAV9WEVGEMMVR",
        "01BX5ZZKBKACTAV9WEVGEMMVRYY",
        "01bx5zzkbkactav9wevgemmvry",
        "01BX5ZZKBKACTAV9WEVGEMMVRI",
        "01BX5ZZKBKACTAV9WEVGEMMVRL",
        "01BX5ZZKBKACTAV9WEVGEMMVRO",
        "01BX5ZZKBKACTAV9WEVGEMMVRU",
        "01BX5ZZKBKACTAV9WEVGEMMVR-",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(ulid_is_valid(slice_from_text(bad[i])));
    assert_false(ulid_is_valid(slice_make("01BX5ZZKBK\0CTAV9WEVGEMMVRY", 26)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_specification),
        cmocka_unit_test(a_full_random_part_carries_into_the_time),
        cmocka_unit_test(threads_get_growing_and_different_ones),
        cmocka_unit_test(what_is_no_ulid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
