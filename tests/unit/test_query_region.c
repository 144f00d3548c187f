/*
 * test_query_region.c: the algebra of regions against counting every point: over small spaces of
 * two and three fields of one byte, a row is in the intervals when, and only when, it is in a
 * region.
 */
#include "test.h"

#include "base/runtime.h"
#include "query/query_int.h"

enum { VALUES = 5, ROUNDS = 4000 };

/* Field keys are prefix-free: here one byte each, 0x40 + value. */
static struct slice key_of(struct arena *arena, unsigned value)
{
    char *byte = arena_alloc(arena, 1);
    *byte = (char)(0x40 + value);
    return slice_make(byte, 1);
}

static void random_region(struct random *random, struct arena *arena, uint32_t n_fields,
                          struct query_region *out)
{
    out->ranges = ARENA_ARRAY(arena, struct key_range, n_fields);
    for (uint32_t i = 0; i < n_fields; i++) {
        struct key_range *range = &out->ranges[i];
        uint64_t shape = random_below(random, 4);
        unsigned a = (unsigned)random_below(random, VALUES),
                 b = (unsigned)random_below(random, VALUES);
        range->unbounded = true;
        if (shape == 0) continue;
        range->min = key_of(arena, a);
        if (shape == 1) continue;
        range->unbounded = false;
        range->max = key_of(arena, shape == 2 ? a + 1 : b);
    }
}

static bool in_any(const struct query_region *regions, size_t n, const struct slice *keys,
                   uint32_t n_fields)
{
    for (size_t i = 0; i < n; i++)
        if (region_contains(&regions[i], keys, n_fields)) return true;
    return false;
}

static void check_point(const struct row_intervals *intervals, const struct query_region *regions,
                        size_t n_regions, unsigned point, uint32_t n_fields, struct arena *arena)
{
    struct slice keys[3];
    char joined[3];
    for (uint32_t i = 0; i < n_fields; i++) {
        keys[i] = key_of(arena, point % VALUES);
        joined[i] = keys[i].data[0];
        point /= VALUES;
    }
    struct slice row = slice_make(joined, n_fields);
    unsigned taken = 0;
    for (size_t i = 0; i < intervals->n_items; i++) {
        const struct row_interval *item = &intervals->items[i];
        bool inside = slice_compare(item->min, row) <= 0 &&
                      (item->unbounded || slice_compare(row, item->max) < 0);
        taken += inside && row_interval_takes(item, keys, n_fields);
    }
    assert_int_equal(taken, in_any(regions, n_regions, keys, n_fields));
}

static void intervals_hold_what_the_regions_hold(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(7);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena arena defer_arena = ARENA_EMPTY;
        uint32_t n_fields = 1 + (uint32_t)random_below(random, 3);
        size_t n = (size_t)random_below(random, 6);
        struct query_region regions[6], hull;
        for (size_t i = 0; i < n; i++)
            random_region(random, &arena, n_fields, &regions[i]);
        struct row_intervals intervals;
        row_intervals_make(regions, n, n_fields, &arena, &intervals);
        assert_ok(row_intervals_validate(&intervals));
        regions_hull(regions, n, n_fields, &arena, &hull);
        unsigned points = 1;
        for (uint32_t i = 0; i < n_fields; i++)
            points *= VALUES;
        for (unsigned p = 0; p < points; p++) {
            check_point(&intervals, regions, n, p, n_fields, &arena);
            struct slice keys[3];
            unsigned left = p;
            for (uint32_t i = 0; i < n_fields; i++, left /= VALUES)
                keys[i] = key_of(&arena, left % VALUES);
            if (in_any(regions, n, keys, n_fields))
                assert_true(region_contains(&hull, keys, n_fields));
        }
    }
    random_seeded_free(random);
}

static void an_intersection_holds_what_both_hold(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(8);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena arena defer_arena = ARENA_EMPTY;
        struct query_region a, b, both;
        random_region(random, &arena, 2, &a);
        random_region(random, &arena, 2, &b);
        bool any = region_intersect(&a, b.ranges, 2, &arena, &both);
        bool seen = false;
        for (unsigned p = 0; p < VALUES * VALUES; p++) {
            struct slice keys[2] = {key_of(&arena, p % VALUES), key_of(&arena, p / VALUES)};
            bool want = region_contains(&a, keys, 2) && region_contains(&b, keys, 2);
            assert_int_equal(region_contains(&both, keys, 2), want);
            seen |= want;
        }
        if (seen) assert_true(any);
    }
    random_seeded_free(random);
}

static void exact_points_and_touching_ranges_are_one_interval(void **state)
{
    (void)state;
    struct arena arena defer_arena = ARENA_EMPTY;
    struct key_range a[] = {{SLICE("b"), SLICE("c"), false}, {SLICE("d"), SLICE("f"), false}};
    struct key_range b[] = {{SLICE("b"), SLICE("c"), false}, {SLICE("f"), SLICE_EMPTY, true}};
    struct key_range wide[] = {{SLICE("c"), SLICE("e"), false}, {SLICE("d"), SLICE("f"), false}};
    struct query_region regions[] = {{b}, {a}, {wide}};
    struct row_intervals intervals;
    row_intervals_make(regions, 2, 2, &arena, &intervals);
    assert_int_equal(intervals.n_items, 1);
    assert_true(intervals.items[0].exact);
    assert_true(slice_equal_text(intervals.items[0].min, "bd"));
    assert_true(slice_equal_text(intervals.items[0].max, "c"));
    row_intervals_make(regions, 3, 2, &arena, &intervals);
    assert_int_equal(intervals.n_items, 2);
    assert_false(intervals.items[1].exact);
    assert_true(slice_equal_text(intervals.items[1].min, "cd") ||
                slice_equal_text(intervals.items[1].min, "c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_hold_what_the_regions_hold),
        cmocka_unit_test(an_intersection_holds_what_both_hold),
        cmocka_unit_test(exact_points_and_touching_ranges_are_one_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
