/*
 * test_split_point.c: where leaves are split and trees extended, by examples whose results are
 * stated with numbers, and by random rows against a plain model.
 */
#include "test.h"

#include "base/runtime.h"
#include "lsm/lsm.h"
#include "sketch/sketch.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MAX = 2000 };

/* A view of rows, whose keys are numbers from -1000 on. */
static const struct kll_view *view_of(const int *rows, size_t n, struct kll **kll,
                                      struct arena *arena)
{
    const struct kll_view *view;
    *kll = kll_new(KLL_K_DEFAULT, SLICE("test"));
    for (size_t i = 0; i < n; i++) {
        uint32_t key = __builtin_bswap32((uint32_t)rows[i] ^ UINT32_C(1) << 31);
        kll_update(*kll, slice_make(&key, 4));
    }
    assert_ok(kll_view_new((const struct kll *const *)kll, 1, arena, &view));
    return view;
}

static int number_of(struct slice key)
{
    uint32_t number;
    assert_int_equal(key.size, 4);
    memcpy(&number, key.data, 4);
    return (int)(__builtin_bswap32(number) ^ UINT32_C(1) << 31);
}

/* ---- one leaf ---- */

enum pattern { UP, TEN, TWENTY_RARE, TWENTY_OFTEN, ONE };

static int pattern_row(enum pattern pattern, int i)
{
    switch (pattern) {
    case UP: return i % 100;
    case TEN: return 10;
    case TWENTY_RARE: return i % 4 == 0 ? 20 : 10;
    case TWENTY_OFTEN: return i % 4 == 0 ? 10 : 20;
    default: return -100;
    }
}

static void the_first_field_with_a_median_inside_is_split_there(void **state)
{
    (void)state;
    static const struct {
        enum pattern fields[2];
        unsigned n_fields;
        int dimension, split; /* dimension -1: cannot be split */
    } cases[] = {
        {{UP}, 1, 0, 50},
        {{UP, TEN}, 2, 0, 50},
        {{TEN, UP}, 2, 1, 50},
        {{UP, UP}, 2, 0, 50},
        {{TWENTY_RARE, UP}, 2, 1, 50},
        {{ONE, UP}, 2, 1, 50},
        {{ONE}, 1, -1, 0},
        {{TEN, ONE}, 2, -1, 0},
        {{TWENTY_RARE}, 1, 0, 20},  /* the median is the least: the next above */
        {{TWENTY_OFTEN}, 1, 0, 20}, /* it is the greatest: there */
        {{TEN, TWENTY_RARE}, 2, 1, 20},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        const struct kll_view *views[2];
        struct kll *sketches[2];
        for (unsigned f = 0; f < cases[c].n_fields; f++) {
            int rows[1000];
            for (int i = 0; i < 1000; i++)
                rows[i] = pattern_row(cases[c].fields[f], i);
            views[f] = view_of(rows, 1000, &sketches[f], &arena);
        }
        struct split_point point = find_split_point(views, cases[c].n_fields, NULL);
        assert_int_equal(point.any, cases[c].dimension >= 0);
        if (point.any) {
            assert_int_equal(point.dimension, cases[c].dimension);
            assert_int_equal(number_of(point.split), cases[c].split);
        }
        for (unsigned f = 0; f < cases[c].n_fields; f++)
            kll_free(sketches[f]);
    }
}

static void rows_outside_of_the_region_do_not_count(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    int rows[1000];
    struct kll *kll;
    for (int i = 0; i < 1000; i++)
        rows[i] = i;
    const struct kll_view *view = view_of(rows, 1000, &kll, &arena);
    uint32_t ends[2] = {__builtin_bswap32(100 ^ UINT32_C(1) << 31),
                        __builtin_bswap32(200 ^ UINT32_C(1) << 31)};
    struct key_range region = {slice_make(&ends[0], 4), slice_make(&ends[1], 4), false};
    struct split_point point = find_split_point(&view, 1, &region);
    assert_true(point.any);
    assert_int_equal(number_of(point.split), 150);
    region = (struct key_range){slice_make(&ends[1], 4), SLICE_EMPTY, true};
    point = find_split_point(&view, 1, &region);
    assert_int_equal(number_of(point.split), 600);
    region = (struct key_range){slice_make(&ends[0], 4), slice_make(&ends[0], 4), false};
    assert_false(find_split_point(&view, 1, &region).any);
    kll_free(kll);
}

/* Each split parts rows, and goes on until every part has one key. */
static void splitting_again_and_again_ends_at_single_keys(void **state)
{
    (void)state;
    struct random *random = random_seeded_new(9);
    for (unsigned round = 0; round < 30; round++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        int rows[ROWS_MAX], n = 1 + (int)random_below(random, ROWS_MAX), values[100] = {0},
                            kinds = 0;
        for (int i = 0; i < n; i++) {
            rows[i] = (int)random_below(random, 1 + random_below(random, 100));
            kinds += values[rows[i]]++ == 0;
        }
        struct kll *kll;
        const struct kll_view *view = view_of(rows, (size_t)n, &kll, &arena);
        struct key_range ranges[400] = {{SLICE_EMPTY, SLICE_EMPTY, true}};
        int n_ranges = 1, leaves = 0;
        while (n_ranges > 0) {
            struct key_range range = ranges[--n_ranges];
            struct split_point point = find_split_point(&view, 1, &range);
            if (!point.any) {
                leaves++;
                continue;
            }
            assert_true(slice_compare(range.min, point.split) < 0);
            assert_true(range.unbounded || slice_compare(point.split, range.max) < 0);
            ranges[n_ranges++] = (struct key_range){range.min, point.split, false};
            ranges[n_ranges++] = (struct key_range){point.split, range.max, range.unbounded};
            assert_true(n_ranges < 390);
        }
        assert_int_equal(leaves, kinds);
        kll_free(kll);
    }
    random_seeded_free(random);
}

/* ---- trees ---- */

struct tree_case {
    const char *name;
    int leaves[3][12]; /* rows of each leaf; a 0 ends all but the first place */
    size_t n_leaves;
    uint64_t min_leaves, min_rows;
    unsigned percent;
    int splits[12]; /* in order of the keys; 0 ends */
    uint64_t made;  /* leaves */
};

static void collect_splits(const struct growing_leaf *leaf, uint32_t node, int *out, size_t *n)
{
    const struct growing_node *at = &leaf->nodes[node];
    if (at->left == 0) return;
    assert_true(at->left == node + 1 && at->right > at->left && at->right < leaf->n_nodes);
    assert_int_equal(at->dimension, 0);
    collect_splits(leaf, at->left, out, n);
    out[(*n)++] = number_of(at->split);
    collect_splits(leaf, at->right, out, n);
}

static void trees_are_extended_as_stated(void **state)
{
    (void)state;
    static const struct tree_case cases[] = {
        {"once", {{25, 50, 75}}, 1, 2, 0, 0, {50}, 2},
        {"twice", {{10, 20, 30, 40, 50, 60, 70, 80}}, 1, 4, 0, 0, {30, 50, 70}, 4},
        {"two leaves", {{10, 25, 40}, {60, 75, 90}}, 2, 4, 0, 0, {25, 75}, 4},
        {"two leaves, twice",
         {{1, 10, 20, 30, 40}, {60, 70, 80, 90, 100}},
         2,
         8,
         0,
         0,
         {10, 20, 30, 70, 80, 90},
         8},
        {"one key", {{50, 50, 50}}, 1, 2, 0, 0, {0}, 1},
        {"one key in one leaf", {{25, 25, 25}, {60, 75, 90}}, 2, 4, 0, 0, {75}, 3},
        {"few rows in one leaf", {{10, 25, 40}, {60, 65, 75, 80, 90}}, 2, 3, 5, 0, {75}, 3},
        {"few rows in all", {{10, 25, 40}, {60, 65, 75, 80, 90}}, 2, 4, 5, 0, {75}, 3},
        {"halves of too few", {{10, 20, 30, 40, 50, 60, 70}}, 1, 4, 5, 0, {40}, 2},
        {"enough already", {{10, 25, 40}, {60, 75, 90}}, 2, 2, 0, 0, {0}, 2},
        /* 11 rows in two leaves: 5 each, of which 60 % are 3 */
        {"less than its share",
         {{10, 20}, {60, 61, 62, 63, 75, 80, 85, 90, 95}},
         2,
         4,
         0,
         60,
         {62, 75},
         4},
        {"its share",
         {{10, 20, 30}, {60, 61, 62, 63, 75, 80, 85, 90}},
         2,
         6,
         0,
         60,
         {20, 62, 75, 85},
         6},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        const struct tree_case *test = &cases[c];
        const struct kll_view *views[3];
        struct presplit_leaf leaves[3];
        struct kll *sketches[3];
        for (size_t i = 0; i < test->n_leaves; i++) {
            size_t n = 0;
            while (n < 12 && test->leaves[i][n])
                n++;
            views[i] = view_of(test->leaves[i], n, &sketches[i], &arena);
            leaves[i] = (struct presplit_leaf){i ? SLICE("R") : SLICE("L"), &views[i]};
        }
        struct presplit_options options = {test->min_leaves, test->min_rows, test->percent};
        struct presplit_result result;
        int code = presplit_tree(leaves, test->n_leaves, 1, &options, &arena, &result);
        if (test->made >= test->min_leaves)
            assert_ok(code);
        else
            assert_fails(code, GLIS_EDATA, "suffice");
        int splits[24];
        size_t n = 0;
        for (size_t i = 0; i < result.n_growing; i++)
            collect_splits(&result.growing[i], 0, splits, &n);
        if (result.n_leaves != test->made)
            fail_msg("%s: %d leaves", test->name, (int)result.n_leaves);
        size_t expected = 0;
        while (test->splits[expected])
            expected++;
        if (n != expected) fail_msg("%s: %zu splits", test->name, n);
        for (size_t i = 0; i < n; i++)
            if (splits[i] != test->splits[i]) fail_msg("%s: split %d", test->name, splits[i]);
        for (size_t i = 0; i < test->n_leaves; i++)
            kll_free(sketches[i]);
    }
}

static void the_leaf_with_most_rows_is_split_first(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const int few[] = {1, 2, 3, 4}, many[] = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
    struct kll *sketches[2];
    const struct kll_view *views[2] = {view_of(few, 4, &sketches[0], &arena),
                                       view_of(many, 10, &sketches[1], &arena)};
    struct presplit_leaf leaves[3] = {
        {SLICE("a"), &views[0]}, {SLICE("b"), &views[1]}, {SLICE("none"), NULL}};
    struct presplit_options options = {.min_leaves = 4};
    struct presplit_result result;
    assert_ok(presplit_tree(leaves, 3, 1, &options, &arena, &result));
    assert_int_equal(result.n_growing, 1);
    assert_true(slice_equal(result.growing[0].partition, SLICE("b")));
    assert_int_equal(result.growing[0].n_nodes, 3);
    kll_free(sketches[0]);
    kll_free(sketches[1]);
}

static void half_a_million_rows_make_ten_thousand_leaves(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct kll *kll = kll_new(8192, SLICE("many"));
    for (uint32_t i = 0; i < 500001; i++) {
        uint32_t key = __builtin_bswap32(i);
        kll_update(kll, slice_make(&key, 4));
    }
    const struct kll_view *view;
    assert_ok(kll_view_new((const struct kll *const *)&kll, 1, &arena, &view));
    struct presplit_leaf leaf = {SLICE("root"), &view};
    struct presplit_options options = {.min_leaves = 10000};
    struct presplit_result result;
    assert_ok(presplit_tree(&leaf, 1, 1, &options, &arena, &result));
    assert_int_equal(result.n_leaves, 10000);
    assert_int_equal(result.growing[0].n_nodes, 19999);
    struct slice *points;
    size_t n;
    assert_ok(estimate_split_points(view, 100, &arena, &points, &n));
    assert_int_equal(n, 99);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t point;
        memcpy(&point, points[i].data, 4);
        assert_true(abs((int)__builtin_bswap32(point) - (int)(i + 1) * 5000) < 1000);
    }
    kll_free(kll);
}

static void split_points_of_repeated_keys_are_fewer_and_ascend(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const int rows[] = {1, 1, 1, 1, 1, 1, 2, 3, 3, 3};
    struct kll *kll;
    const struct kll_view *view = view_of(rows, 10, &kll, &arena);
    struct slice *points;
    size_t n;
    assert_ok(estimate_split_points(view, 10, &arena, &points, &n));
    assert_int_equal(n, 2);
    assert_int_equal(number_of(points[0]), 2);
    assert_int_equal(number_of(points[1]), 3);
    assert_ok(estimate_split_points(view, 1, &arena, &points, &n));
    assert_int_equal(n, 0);
    kll_free(kll);
}

static void a_table_says_how_its_tree_is_extended(void **state)
{
    (void)state;
    struct runtime runtime = {.clock = clock_system(), .random = random_seeded_new(1)};
    runtime.pool = pool_new(0);
    struct store *store;
    struct instance *instance;
    static const struct setting settings[] = {
        {SLICE("glis.table.bulk.import.min.leaf.partitions"), SLICE("7")},
        {SLICE("glis.table.partition.splitting.min.rows"), SLICE("5")},
        {SLICE("glis.table.partition.splitting.min.distribution.percent"), SLICE("3")},
    };
    assert_ok(store_memory_open(&runtime, &store));
    assert_ok(instance_init(&runtime, store, NULL, 0));
    assert_ok(instance_open(&runtime, store, 0, NULL, &instance));
    for (size_t n_settings = 0; n_settings <= 3; n_settings += 3) {
        const struct field field = {.name = SLICE("k"), .type = {.kind = TYPE_INT64}};
        struct table_definition definition = {.name = n_settings ? SLICE("set") : SLICE("plain"),
                                              .settings = settings,
                                              .n_settings = n_settings};
        struct schema *schema;
        struct table *table;
        const struct table_state *now;
        assert_ok(schema_new(&schema, &field, 1, 1, 0));
        definition.schema = schema;
        assert_ok(table_create(instance, &definition, &table));
        assert_ok(table_state_get(table, 0, &now));
        struct presplit_options options = presplit_options_of(now);
        assert_int_equal(options.min_leaves, n_settings ? 7 : 256);
        assert_int_equal(options.min_rows, n_settings ? 5 : 1000);
        assert_int_equal(options.min_distribution_percent, n_settings ? 3 : 10);
        table_state_release(now);
        table_close(table);
        schema_release(schema);
    }
    instance_close(instance);
    store_close(store);
    pool_free(runtime.pool);
    random_seeded_free(runtime.random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_field_with_a_median_inside_is_split_there),
        cmocka_unit_test(rows_outside_of_the_region_do_not_count),
        cmocka_unit_test(splitting_again_and_again_ends_at_single_keys),
        cmocka_unit_test(trees_are_extended_as_stated),
        cmocka_unit_test(the_leaf_with_most_rows_is_split_first),
        cmocka_unit_test(half_a_million_rows_make_ten_thousand_leaves),
        cmocka_unit_test(a_table_says_how_its_tree_is_extended),
        cmocka_unit_test(split_points_of_repeated_keys_are_fewer_and_ascend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
