/*
 * test_json.c: what is JSON and what is not, limits, and getters whose errors name the place.
 */
#include "test.h"

#include "base/json.h"

static const struct json *parse(struct arena *arena, const char *text)
{
    const struct json *root = NULL;
    assert_ok(json_parse(arena, slice_from_text(text), JSON_RULES_USER, &root));
    return root;
}

static void values_come_in_order_with_their_types(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *root = parse(&arena, " {\"b\": [1, -2.5, 1e2, true, null, \"\\u0041\\n\"],"
                                            "\"a\": {}, \"\": \"\\ud83d\\ude00\"} \n");
    assert_int_equal(root->type, JSON_TYPE_OBJECT);
    assert_int_equal(root->n_items, 3);
    assert_true(slice_equal_text(root->items[0].name, "b"));
    assert_true(slice_equal_text(root->items[1].name, "a"));
    assert_true(slice_equal_text(root->items[2].text, "\xF0\x9F\x98\x80"));
    const struct json *list = json_find(root, "b");
    assert_int_equal(list->n_items, 6);
    assert_int_equal(list->items[0].integer, 1);
    assert_true(list->items[1].number == -2.5);
    assert_int_equal(list->items[2].type, JSON_TYPE_DOUBLE);
    assert_true(list->items[2].number == 100.0);
    assert_true(list->items[3].boolean);
    assert_int_equal(list->items[4].type, JSON_TYPE_NULL);
    assert_true(slice_equal_text(list->items[5].text, "A\n"));
    assert_null(json_find(root, "c"));
    assert_null(json_find(list, "c"));
}

static void whole_numbers_are_exact(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *root = parse(&arena, "[9223372036854775807, -9223372036854775808, -0]");
    assert_true(root->items[0].integer == INT64_MAX);
    assert_true(root->items[1].integer == INT64_MIN);
    assert_int_equal(root->items[2].integer, 0);
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } bad[] = {
        {"", "line 1"},
        {"{", "line 1"},
        {"{\"a\": 1,\n \"b\" 2}", "line 2, column"},
        {"[1,]", "line 1"},
        {"{\"a\":1,}", "line 1"},
        {"[1] x", "line 1"},
        {"[01]", "line 1"},
        {"[+1]", "line 1"},
        {"[.5]", "line 1"},
        {"[1.]", "line 1"},
        {"['a']", "line 1"},
        {"[\"\t\"]", "line 1"},
        {"[\"\\x\"]", "line 1"},
        {"[\"\\ud800\"]", "line 1"},
        {"[\"\xFF\"]", "line 1"},
        {"[\"\xED\xA0\x80\"]", "line 1"},
        {"[NaN]", "line 1"},
        {"[nul]", "line 1"},
        {"// x\n1", "line 1"},
        {"{\"a\":1,\n\"a\":2}", "duplicate"},
        {"[9223372036854775808]", "too big"},
        {"[1e400]", "overflow"},
        {"]", "line 1"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        const struct json *root;
        assert_fails(json_parse(&arena, slice_from_text(bad[i].text), JSON_RULES_USER, &root),
                     GLIS_EINVALID, bad[i].place);
        assert_fails(json_parse(&arena, slice_from_text(bad[i].text), JSON_RULES_INTERNAL, &root),
                     GLIS_ECORRUPT, bad[i].place);
    }
}

static void depth_and_size_are_limited(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *root;
    struct json_rules rules = {20, 3, GLIS_EINVALID};
    assert_ok(json_parse(&arena, SLICE("[[[\"[[[[\\\"[\"]],[]]"), rules, &root));
    assert_fails(json_parse(&arena, SLICE("[{\"a\":[[]]}]"), rules, &root), GLIS_ELIMIT,
                 "3 levels");
    assert_fails(json_parse(&arena, SLICE("[                   ]"), rules, &root), GLIS_ELIMIT,
                 "20 bytes");
    struct budget budget;
    struct arena small;
    budget_init(&budget, "request memory", 5000, NULL, NULL);
    arena_init(&small, &budget);
    char text[4001];
    for (size_t i = 0; i < 4000; i += 2)
        memcpy(text + i, i ? ",1" : "[1", 2);
    text[4000] = ']';
    assert_fails(json_parse(&small, slice_make(text, 4001), JSON_RULES_USER, &root), GLIS_ENOMEM,
                 "request memory");
    arena_free(&small);
}

static void getters_name_the_path(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *root = parse(
        &arena, "{\"regions\":[{\"key\":{\"min\":\"x\",\"n\":12}}],\"on\":true,\"none\":null}");
    const struct json *regions, *key;
    assert_ok(json_get_array(root, "regions", &regions));
    assert_ok(json_get_object(&regions->items[0], "key", &key));
    int64_t n = 5;
    assert_fails(json_get_int(key, "min", 0, 9, &n), GLIS_EINVALID,
                 "regions[0].key.min: a whole number is wanted, this is a string");
    assert_fails(json_get_int(key, "n", 0, 9, &n), GLIS_EINVALID,
                 "regions[0].key.n: 12 is not in the range from 0 to 9");
    assert_int_equal(n, 5);
    assert_fails(json_get_int(key, "m", 0, 9, &n), GLIS_EINVALID,
                 "regions[0].key: the field 'm' is missing");
    assert_fails(json_get_string(root, "on", &(struct slice){0}), GLIS_EINVALID,
                 "on: a string is wanted, this is true or false");
    assert_fails(json_get_bool(root, "off", &(bool){0}), GLIS_EINVALID,
                 "the top level: the field 'off' is missing");
    assert_fails(json_get_bool(root, "none", &(bool){0}), GLIS_EINVALID, "this is null");
    assert_fails(json_get_bool(regions, "x", &(bool){0}), GLIS_EINVALID,
                 "regions: an object is wanted, this is an array");
    assert_fails(json_get_string(root, "regions", &(struct slice){0}), GLIS_EINVALID,
                 "regions: a string is wanted, this is an array");
    assert_fails(json_get_array(key, "n", &regions), GLIS_EINVALID,
                 "regions[0].key.n: an array is wanted, this is a whole number");
    assert_fails(json_get_object(root, "none", &regions), GLIS_EINVALID, "none: an object is");
    assert_fails(json_get_double(root, "on", &(double){0}), GLIS_EINVALID, "on: a number is");
    const struct json *real = parse(&arena, "[0.5]");
    assert_fails(json_as_int(&real->items[0], 0, 9, &n), GLIS_EINVALID,
                 "[0]: a whole number is wanted, this is a number with a fraction or exponent");
    double d;
    assert_ok(json_get_double(key, "n", &d));
    assert_true(d == 12.0);
    struct slice s;
    assert_ok(json_get_string(key, "min", &s));
    assert_true(slice_equal_text(s, "x"));
}

static void optional_fields_keep_what_was_there(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *root = parse(&arena, "{\"none\":null,\"n\":3,\"l\":[]}");
    const struct json *list = NULL;
    int64_t n = 7;
    struct slice s = SLICE("old");
    bool b = true;
    double d = 0.5;
    assert_ok(json_optional_int(root, "none", 0, 9, &n));
    assert_int_equal(n, 7);
    assert_ok(json_optional_int(root, "n", 0, 9, &n));
    assert_int_equal(n, 3);
    assert_ok(json_optional_string(root, "absent", &s));
    assert_true(slice_equal_text(s, "old"));
    assert_ok(json_optional_bool(root, "absent", &b));
    assert_true(b);
    assert_ok(json_optional_double(root, "n", &d));
    assert_true(d == 3.0);
    assert_ok(json_optional_array(root, "l", &list));
    assert_non_null(list);
    assert_ok(json_optional_object(root, "none", &list));
    assert_int_equal(list->type, JSON_TYPE_ARRAY);
    assert_fails(json_optional_string(root, "n", &s), GLIS_EINVALID, "n: a string is wanted");
    assert_fails(json_optional_int(root, "n", 4, 9, &n), GLIS_EINVALID, "n: 3 is not in");
}

static void unknown_names_are_refused_with_a_proposal(void **state)
{
    (void)state;
    static const char *const names[] = {"regions", "limit", "reverse"};
    defer_arena struct arena arena = ARENA_EMPTY;
    assert_ok(json_check_names(parse(&arena, "{\"limit\":1,\"reverse\":2}"), names, 3));
    assert_fails(json_check_names(parse(&arena, "{\"limti\":1}"), names, 3), GLIS_EINVALID,
                 "unknown field 'limti'; did you mean 'limit'?");
    assert_fails(json_check_names(parse(&arena, "{\"colour\":1}"), names, 3), GLIS_EINVALID,
                 "the top level: unknown field 'colour'");
}

static void equality_is_by_value(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"{\"a\":1,\"b\":[true]}", "{\"b\":[true],\"a\":1}", true},
        {"[1,2]", "[2,1]", false},
        {"1", "1.0", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
        {"{\"a\":1,\"c\":2}", "{\"a\":1,\"b\":2}", false},
        {"\"x\"", "\"x\"", true},
        {"null", "false", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        assert_int_equal(json_value_equal(parse(&arena, cases[i].a), parse(&arena, cases[i].b)),
                         cases[i].equal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_in_order_with_their_types),
        cmocka_unit_test(whole_numbers_are_exact),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(depth_and_size_are_limited),
        cmocka_unit_test(getters_name_the_path),
        cmocka_unit_test(optional_fields_keep_what_was_there),
        cmocka_unit_test(unknown_names_are_refused_with_a_proposal),
        cmocka_unit_test(equality_is_by_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
