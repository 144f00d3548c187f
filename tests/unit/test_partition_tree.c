/*
 * test_partition_tree.c: trees from split points in the reference's shape, reading of wrong trees,
 * leaves of regions, covers of leaves, bounds cut outward, and files of split points.
 */
#include "table_world.h"

/* ---- shapes ---- */

static void draw(const struct partition_tree *tree, uint32_t at, struct buffer *out)
{
    const struct partition_node *node = &tree->nodes[at];
    if (node->left == UINT32_MAX) {
        assert_ok(buffer_printf(out, "%u", node->first_leaf));
        return;
    }
    assert_ok(buffer_append_text(out, "("));
    draw(tree, node->left, out);
    assert_ok(buffer_append_text(out, " "));
    draw(tree, node->right, out);
    assert_ok(buffer_append_text(out, ")"));
}

static void split_points_give_the_references_shape(void **unused)
{
    (void)unused;
    /* Neighbours are paired layer by layer; an odd last one is carried up as it is. */
    static const struct {
        int n_points;
        const char *shape;
    } cases[] = {
        {0, "0"},
        {1, "(0 1)"},
        {2, "((0 1) 2)"},
        {3, "((0 1) (2 3))"},
        {4, "(((0 1) (2 3)) 4)"},
        {5, "(((0 1) (2 3)) (4 5))"},
        {6, "(((0 1) (2 3)) ((4 5) 6))"},
        {7, "(((0 1) (2 3)) ((4 5) (6 7)))"},
        {8, "((((0 1) (2 3)) ((4 5) (6 7))) 8)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice points[8];
        for (int p = 0; p < cases[i].n_points; p++)
            points[p] = long_key(&arena, p * 100);
        struct state *state = world_new(LONG_SCHEMA, points, (size_t)cases[i].n_points);
        const struct table_state *hold = table_state_own(state, 1, 1000);
        const struct partition_tree *tree;
        assert_ok(table_tree(hold, &arena, &tree));
        struct buffer shape = BUFFER_INIT(1000);
        draw(tree, 0, &shape);
        assert_ok(buffer_append_byte(&shape, 0));
        assert_string_equal(shape.data, cases[i].shape);
        buffer_free(&shape);
        assert_int_equal(tree->n_leaves, cases[i].n_points + 1);
        assert_true(slice_equal_text(tree->nodes[0].id, "root"));
        assert_true(tree->first_field_only);
        for (uint32_t n = 0; n < tree->n_nodes; n++)
            assert_true(tree->nodes[n].id.size <= PARTITION_ID_MAX);
        /* Leaf p begins at point p - 1 and ends before point p; a point belongs to the right. */
        for (int p = 0; p < cases[i].n_points; p++) {
            struct slice below = long_key(&arena, p * 100 - 1), at = points[p];
            assert_int_equal(partition_tree_leaf(tree, &below), p);
            assert_int_equal(partition_tree_leaf(tree, &at), p + 1);
            uint32_t leaf;
            assert_ok(partition_tree_leaf_of_key(tree, table_state_schema(hold), at, &leaf));
            assert_int_equal(leaf, p + 1);
            struct key_range *region = tree->nodes[tree->leaves[p + 1]].region;
            assert_true(slice_equal(region->min, points[p]));
            assert_int_equal(region->unbounded, p + 1 == cases[i].n_points);
        }
        table_state_release(hold);
    }
}

static void points_that_do_not_ascend_make_no_tree(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice points[] = {long_key(&arena, 5), long_key(&arena, 5), long_key(&arena, 4)};
    for (int first = 0; first < 2; first++) {
        struct buffer text = BUFFER_INIT(10000);
        assert_fails(write_reset(&text, 0, points + first, 2, false), GLIS_EINVALID,
                     "split point 2 is not above");
        buffer_free(&text);
    }
}

static void one_leaf_is_the_root(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = table_state_own(world_new(LONG_SCHEMA, NULL, 0), 1, 1000);
    struct partition partition;
    assert_ok(table_partition(hold, SLICE("root"), &arena, &partition));
    assert_true(partition.is_leaf);
    assert_int_equal(partition.region[0].min.size, 0);
    assert_true(partition.region[0].unbounded);
    assert_int_equal(partition.parent.size, 0);
    assert_fails(table_partition(hold, SLICE("x"), &arena, &partition), GLIS_ENOTFOUND, "x");
    table_state_release(hold);
}

static void ten_thousand_leaves_are_found_by_bisection(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    enum { N = 10000 };
    struct slice *points = ARENA_ARRAY(&arena, struct slice, N);
    for (int i = 0; i < N; i++)
        points[i] = long_key(&arena, (int64_t)i * 1000);
    const struct table_state *hold = table_state_own(world_new(LONG_SCHEMA, points, N), 1, 1000);
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, &arena, &tree));
    assert_int_equal(tree->n_leaves, N + 1);
    struct random *random = random_seeded_new(3);
    for (int i = 0; i < 20000; i++) {
        int64_t key = (int64_t)random_below(random, (N + 2) * 1000) - 1000;
        struct slice field = long_key(&arena, key);
        uint32_t wanted = key < 0 ? 0 : key / 1000 >= N ? N : (uint32_t)(key / 1000) + 1;
        assert_int_equal(partition_tree_leaf(tree, &field), wanted);
    }
    random_seeded_free(random);
    table_state_release(hold);
}

/* ---- trees in transactions ---- */

static void wrong_trees_are_refused(void **unused)
{
    (void)unused;
    /* gAAAAAAAAAA= is the long 0, gAAAAAAAAAE= 1, gAAAAAAAAAI= 2 */
#define ZERO "gAAAAAAAAAA="
#define ONE  "gAAAAAAAAAE="
#define TWO  "gAAAAAAAAAI="
#define NODE(id, split, left, right)                                              \
    "{\"id\":\"" id "\",\"dimension\":0,\"split\":\"" split "\",\"left\":\"" left \
    "\",\"right\":\"" right "\"}"
#define LEAF(id) "{\"id\":\"" id "\"}"
    static const struct {
        const char *partitions, *reason; /* NULL: good */
    } cases[] = {
        {LEAF("root"), NULL},
        {NODE("root", ONE, "a", "b") "," LEAF("a") "," LEAF("b"), NULL},
        {NODE("root", ONE, "a", "b") "," NODE("b", TWO, "c",
                                              "d") "," LEAF("c") "," LEAF("d") "," LEAF("a"),
         NULL},
        {"", "without partitions"},
        {LEAF("a"), "not root"},
        {LEAF("root") "," LEAF("a"), "no parent"},
        {NODE("root", ONE, "a", "b") "," LEAF("a"), "missing"},
        {NODE("root", ONE, "a", "a") "," LEAF("a"), "twice"},
        {NODE("root", ONE, "root", "b") "," LEAF("b"), "twice"},
        {NODE("root", ONE, "a", "b") "," LEAF("a") "," LEAF("a") "," LEAF("b"), "no parent"},
        {NODE("root", ONE, "a", "b") "," LEAF("a") "," NODE("b", ONE, "c",
                                                            "d") "," LEAF("c") "," LEAF("d"),
         "outside"},
        {NODE("root", ONE, "a", "b") "," LEAF("a") "," NODE("b", ZERO, "c",
                                                            "d") "," LEAF("c") "," LEAF("d"),
         "outside"},
        {NODE("root", ONE, "a", "b") "," NODE("a", TWO, "c",
                                              "d") "," LEAF("c") "," LEAF("d") "," LEAF("b"),
         "outside"},
        {NODE("root", "AAAA", "a", "b") "," LEAF("a") "," LEAF("b"), "no key"},
        {NODE("root", "A", "a", "b") "," LEAF("a") "," LEAF("b"), "split"},
        {NODE("root", "", "a", "b") "," LEAF("a") "," LEAF("b"), "no key"},
        {NODE("root", ONE, "a/b", "b") "," LEAF("a/b") "," LEAF("b"), "not a partition id"},
        {NODE("root", ONE, "abcdefghijklmnopqrstuvwxyz0", "b"), "not a partition id"},
        {"{\"id\":\"root\",\"dimension\":1,\"split\":\"" ONE "\",\"left\":\"a\",\"right\":\"b\"}",
         "dimension"},
        {"{\"id\":\"root\",\"dimension\":0,\"split\":\"" ONE "\",\"left\":\"a\"}", "right"},
        {"{\"no\":\"root\"}", "id"},
        {"7", "partitions[0]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[2000];
        snprintf(text, sizeof(text),
                 "{\"type\":\"create_table\",\"schema\":" LONG_SCHEMA
                 ",\"definition\":\"0123456789abcdef\",\"partitions\":[%s]}",
                 cases[i].partitions);
        struct state *state = state_new();
        int code = world_apply_text(state, 1, text);
        if (code != (cases[i].reason ? GLIS_EINVALID : 0))
            fail_msg("case %zu: %s: %s", i, error_code_name(code), code ? error_message() : "");
        if (cases[i].reason && !strstr(error_message(), cases[i].reason))
            fail_msg("case %zu: '%s' is not in: %s", i, cases[i].reason, error_message());
        state_free(state);
    }
}

#define SPLIT_ON_M \
    "{\"id\":\"l\",\"dimension\":1,\"split\":\"bQAA\",\"left\":\"la\",\"right\":\"lb\"}"

static void two_dimensions_tile_the_space(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    /* root is split on k at 1, its left on s at "m" (bQAA is 'm' 00 00). */
    struct state *state = state_new();
    assert_ok(world_apply_text(
        state, 1,
        "{\"type\":\"create_table\",\"schema\":" TWO_KEYS_SCHEMA
        ",\"definition\":\"0123456789abcdef\",\"partitions\":[" NODE(
            "root", ONE, "l", "r") "," SPLIT_ON_M
                                   "," LEAF("la") "," LEAF("lb") "," LEAF("r") "]}"));
    const struct table_state *hold = table_state_own(state, 1, 1000);
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, &arena, &tree));
    assert_false(tree->first_field_only);
    static const struct {
        int64_t k;
        const char *s, *leaf;
    } cases[] = {{0, "a", "la"}, {0, "m", "lb"}, {0, "z", "lb"}, {-5, "l", "la"},
                 {1, "a", "r"},  {1, "z", "r"},  {0, "", "la"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice fields[2] = {long_key(&arena, cases[i].k), text_key(&arena, cases[i].s)};
        uint32_t leaf = partition_tree_leaf(tree, fields), other;
        assert_true(slice_equal_text(tree->nodes[tree->leaves[leaf]].id, cases[i].leaf));
        char *key = arena_alloc(&arena, fields[0].size + fields[1].size);
        memcpy(key, fields[0].data, fields[0].size);
        memcpy(key + fields[0].size, fields[1].data, fields[1].size);
        assert_ok(partition_tree_leaf_of_key(tree, table_state_schema(hold),
                                             slice_make(key, fields[0].size + fields[1].size),
                                             &other));
        assert_int_equal(leaf, other);
    }
    /* A region of the second key alone meets both sides of the first split. */
    struct key_range region[2] = {{.unbounded = true},
                                  {.min = text_key(&arena, "x"), .unbounded = true}};
    struct table_leaf *leaves;
    size_t n;
    assert_ok(table_leaves(hold, region, &arena, &leaves, &n));
    assert_int_equal(n, 2);
    assert_true(slice_equal_text(leaves[0].partition.id, "lb"));
    assert_true(slice_equal_text(leaves[1].partition.id, "r"));
    table_state_release(hold);
}

/* ---- covers ---- */

static void covers_are_deep_disjoint_and_few(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice points[7];
    for (int i = 0; i < 7; i++)
        points[i] = long_key(&arena, i);
    const struct table_state *hold = table_state_own(world_new(LONG_SCHEMA, points, 7), 1, 1000);
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, &arena, &tree));
    static const struct {
        uint64_t rows[8];
        uint32_t max;
        const char *cover; /* first_leaf+n_leaves:rows */
    } cases[] = {
        {{0}, 64, ""},
        {{5, 0, 0, 0, 0, 0, 0, 0}, 64, "0+1:5 "},
        {{5, 0, 0, 0, 0, 0, 0, 0}, 1, "0+1:5 "},
        {{1, 1, 1, 1, 1, 1, 1, 1}, 8, "0+1:1 1+1:1 2+1:1 3+1:1 4+1:1 5+1:1 6+1:1 7+1:1 "},
        {{1, 1, 1, 1, 1, 1, 1, 1}, 1, "0+8:8 "},
        {{1, 1, 1, 1, 1, 1, 1, 1}, 2, "0+4:4 4+4:4 "},
        {{1, 0, 0, 1, 0, 0, 0, 0}, 1, "0+4:2 "},
        {{1, 0, 0, 1, 0, 0, 0, 0}, 2, "0+1:1 3+1:1 "},
        {{0, 0, 1, 1, 0, 0, 0, 0}, 1, "2+2:2 "},
        {{1, 1, 0, 0, 9, 9, 0, 0}, 2, "0+2:2 4+2:18 "},
        {{1, 1, 0, 0, 9, 9, 0, 0}, 3, "0+2:2 4+1:9 5+1:9 "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct partition_cover *cover;
        size_t n;
        struct buffer text = BUFFER_INIT(1000);
        assert_ok(partition_tree_cover(tree, cases[i].rows, cases[i].max, &arena, &cover, &n));
        for (size_t c = 0; c < n; c++)
            assert_ok(buffer_printf(&text, "%u+%u:%llu ", tree->nodes[cover[c].node].first_leaf,
                                    tree->nodes[cover[c].node].n_leaves,
                                    (unsigned long long)cover[c].rows));
        assert_ok(buffer_append_byte(&text, 0));
        if (strcmp((char *)text.data, cases[i].cover) != 0)
            fail_msg("case %zu: %s instead of %s", i, (char *)text.data, cases[i].cover);
        buffer_free(&text);
    }
    uint64_t huge[8] = {UINT64_MAX, 1};
    struct partition_cover *cover;
    size_t n;
    assert_fails(partition_tree_cover(tree, huge, 4, &arena, &cover, &n), GLIS_EINVALID,
                 "overflow");
    table_state_release(hold);
}

/* ---- bounds ---- */

static void long_bounds_are_cut_outward_and_stay_in_their_region(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    char a[101], b[101], last[101];
    memset(a, 'a', 100);
    memset(b, 'b', 100);
    memset(last, 0xff, 100);
    a[100] = b[100] = last[100] = 0;
    struct slice min = text_key(&arena, a), max = text_key(&arena, b);
    struct file_bound bound = file_bound_cut(min, max, NULL, &arena);
    assert_int_equal(bound.min.size, FILE_BOUND_BYTES);
    assert_true(slice_compare(bound.min, min) <= 0);
    assert_true(bound.max_exclusive);
    assert_true(slice_compare(bound.max, max) > 0);
    assert_int_equal(bound.max.size, FILE_BOUND_BYTES);
    assert_int_equal(bound.max.data[63], 'c');

    struct key_range range = {.min = text_key(&arena, a), .max = text_key(&arena, b)};
    range.max = arena_copy(&arena, range.max);
    ((char *)range.max.data)[90] = 'c'; /* between max and its cut form */
    bound = file_bound_cut(min, max, &range, &arena);
    assert_true(slice_equal(bound.min, range.min));
    assert_true(slice_equal(bound.max, range.max));
    assert_true(bound.max_exclusive);
    assert_true(file_bound_overlaps(&bound, &range));

    /* Nothing lies above FF FF ...: it stays whole. */
    bound = file_bound_cut(min, text_key(&arena, last), NULL, &arena);
    assert_false(bound.max_exclusive);
    assert_int_equal(bound.max.size, 102);
    /* Short ones stay as they are. */
    bound = file_bound_cut(text_key(&arena, "a"), text_key(&arena, "b"), NULL, &arena);
    assert_false(bound.max_exclusive);
    assert_int_equal(bound.max.size, 3);

    struct key_range before = {.max = text_key(&arena, "b")};
    struct key_range from = {.min = text_key(&arena, "b"), .unbounded = true};
    struct key_range after = {.min = text_key(&arena, "b0"), .unbounded = true};
    assert_true(file_bound_overlaps(&bound, &before));
    assert_true(file_bound_overlaps(&bound, &from));
    assert_false(file_bound_overlaps(&bound, &after));
    bound.max_exclusive = true;
    assert_false(file_bound_overlaps(&bound, &from));
}

/* ---- files of split points ---- */

static void split_point_files_are_read_and_written(void **unused)
{
    (void)unused;
    static const struct {
        const char *type, *text;
        int base64, n; /* n < 0: refused */
        const char *message;
    } cases[] = {
        {"LongType", "-5\n0\n7\n", 0, 3, NULL},
        {"LongType", "-5\n0\n7", 0, 3, NULL},
        {"LongType", "-5\r\n0\r\n", 0, 2, NULL},
        {"LongType", "", 0, 0, NULL},
        {"IntType", "1\n2\n", 0, 2, NULL},
        {"StringType", "a\nb c\n\xc3\xa9\n", 0, 3, NULL},
        {"StringType", "YQ==\nYg==\n", 1, 2, NULL},
        {"ByteArrayType", "AA==\n/w==\n", 0, 2, NULL},
        /* In the reference's order: 80 ff 00 7f as signed bytes, U+1F600 before U+FF5E. */
        {"ByteArrayType", "gA==\n/w==\nAA==\nfw==\n", 0, 4, NULL},
        {"ByteArrayType", "/wA=\n/wB/\nAA==\n", 0, 3, NULL},
        {"StringType", "a\n\xf0\x9f\x98\x80\n\xef\xbd\x9e\n", 0, 3, NULL},
        {"StringType", "\xed\x9f\xbf\n\xf0\x9f\x98\x80\n\xee\x80\x80\n", 0, 3, NULL},
        {"ByteArrayType", "/w==\ngA==\n", 0, -1, "s.txt: line 2: a split point that should be"},
        {"ByteArrayType", "gA==\nfw==\nAA==\n", 0, -1, "s.txt: line 2: a split point that"},
        {"StringType", "a\n\xf0\x9f\x98\x80\n\xef\xbd\x9e\nb\n", 0, -1, "s.txt: line 3"},
        {"StringType", "b\na\n", 0, -1, "s.txt: line 2: a split point that should be above"},
        {"LongType", "1\n1\n", 0, -1, "s.txt: line 2: a duplicate"},
        {"LongType", "2\n1\n", 0, -1, "s.txt: line 2: a split point that should be above"},
        {"LongType", "1\nx\n", 0, -1, "s.txt: line 2"},
        {"LongType", "1\n\n2\n", 0, -1, "s.txt: line 2: an empty line"},
        {"IntType", "3000000000\n", 0, -1, "s.txt: line 1"},
        {"StringType", "a\n%%\n", 1, -1, "s.txt: line 1"},
        {"StringType", "/w==\n", 1, -1, "UTF-8"},
        {"ByteArrayType", "?\n", 0, -1, "s.txt: line 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        char json[200];
        snprintf(json, sizeof(json), "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"%s\"}]}",
                 cases[i].type);
        struct schema *schema;
        assert_ok(schema_from_json(slice_from_text(json), &schema));
        struct slice *points;
        size_t n;
        int code = table_split_points_read(schema, SLICE("s.txt"), slice_from_text(cases[i].text),
                                           cases[i].base64, &arena, &points, &n);
        if (cases[i].n < 0) {
            if (code != GLIS_EINVALID || !strstr(error_message(), cases[i].message))
                fail_msg("case %zu: %s: %s", i, error_code_name(code), error_message());
        } else {
            assert_ok(code);
            assert_int_equal(n, cases[i].n);
            const struct table_state *hold = table_state_own(world_new(json, points, n), 1, 1000);
            struct buffer out = BUFFER_INIT(1000);
            assert_ok(table_split_points_write(hold, cases[i].base64, &out));
            size_t m;
            struct slice *again;
            assert_ok(table_split_points_read(schema, SLICE("s.txt"), buffer_slice(&out),
                                              cases[i].base64, &arena, &again, &m));
            assert_int_equal(n, m);
            for (size_t p = 0; p < n; p++)
                assert_true(slice_equal(points[p], again[p]));
            buffer_free(&out);
            table_state_release(hold);
        }
        schema_release(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_points_give_the_references_shape),
        cmocka_unit_test(points_that_do_not_ascend_make_no_tree),
        cmocka_unit_test(one_leaf_is_the_root),
        cmocka_unit_test(ten_thousand_leaves_are_found_by_bisection),
        cmocka_unit_test(wrong_trees_are_refused),
        cmocka_unit_test(two_dimensions_tile_the_space),
        cmocka_unit_test(covers_are_deep_disjoint_and_few),
        cmocka_unit_test(long_bounds_are_cut_outward_and_stay_in_their_region),
        cmocka_unit_test(split_point_files_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
