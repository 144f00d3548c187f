/*
 * test_map.c: the copy-on-write map against a sorted array that does the same the simple way.
 */
#include "test.h"

#include "base/map.h"
#include "base/runtime.h"

#include <stdio.h>
#include <stdlib.h>

enum { MODEL_MAX = 6000 };

struct entry {
    char key[40], *value;
    size_t value_size;
};

struct model {
    struct entry entries[MODEL_MAX];
    size_t n;
};

static size_t model_find(const struct model *model, const char *key, int *found)
{
    size_t i = 0;
    *found = 0;
    size_t low = 0, high = model->n;
    while (low < high) {
        i = (low + high) / 2;
        int c = strcmp(model->entries[i].key, key);
        if (c == 0) {
            *found = 1;
            return i;
        }
        if (c < 0)
            low = i + 1;
        else
            high = i;
    }
    return low;
}

static void model_put(struct model *model, const char *key, const char *value, size_t size)
{
    int found;
    size_t i = model_find(model, key, &found);
    if (!found) {
        memmove(model->entries + i + 1, model->entries + i,
                (model->n - i) * sizeof(model->entries[0]));
        model->n++;
        snprintf(model->entries[i].key, sizeof(model->entries[i].key), "%s", key);
    } else {
        free(model->entries[i].value);
    }
    model->entries[i].value = memory_alloc(size + 1);
    memcpy(model->entries[i].value, value, size);
    model->entries[i].value_size = size;
}

static int model_remove(struct model *model, const char *key)
{
    int found;
    size_t i = model_find(model, key, &found);
    if (!found) return 0;
    free(model->entries[i].value);
    memmove(model->entries + i, model->entries + i + 1,
            (model->n - i - 1) * sizeof(model->entries[0]));
    model->n--;
    return 1;
}

static void assert_same(const struct map *map, const struct model *model)
{
    assert_ok(map_validate(map));
    assert_int_equal(map_count(map), model->n);
    struct map_cursor cursor;
    map_cursor_first(map, &cursor);
    for (size_t i = 0; i < model->n; i++, map_cursor_next(&cursor)) {
        assert_true(cursor.valid);
        assert_true(slice_equal_text(cursor.key, model->entries[i].key));
        assert_int_equal(cursor.value.size, model->entries[i].value_size);
        assert_memory_equal(cursor.value.data, model->entries[i].value, cursor.value.size);
    }
    assert_false(cursor.valid);
}

static struct slice random_value(struct random *random, char *space)
{
    uint64_t kind = random_below(random, 100);
    size_t size = kind < 80   ? random_below(random, 60)
                  : kind < 97 ? random_below(random, 600)
                  : kind < 99 ? random_below(random, 9000)
                              : 20000 + random_below(random, 80000);
    memset(space, (int)('a' + random_below(random, 26)), size);
    return slice_make(space, size);
}

static void does_what_a_sorted_array_does(void **unused)
{
    (void)unused;
    struct random *random = random_seeded_new(7);
    struct model *model = memory_alloc_zero(sizeof(*model));
    char *space = memory_alloc(100000);
    struct map map = {0};
    for (int step = 0; step < 30000; step++) {
        char key[40];
        snprintf(key, sizeof(key), "%0*d", 1 + (int)random_below(random, 20),
                 (int)random_below(random, 4000));
        bool shrink = (step / 5000) % 3 == 2;
        if (random_below(random, 10) < (shrink ? 8u : 3u) || model->n + 1 >= MODEL_MAX) {
            assert_int_equal(map_remove(&map, slice_from_text(key)), model_remove(model, key));
        } else {
            struct slice value = random_value(random, space);
            map_put(&map, slice_from_text(key), value);
            model_put(model, key, value.data, value.size);
        }
        int found;
        size_t at = model_find(model, key, &found);
        struct slice value;
        assert_int_equal(map_get(&map, slice_from_text(key), &value), found);
        struct map_cursor cursor;
        map_cursor_seek(&map, slice_from_text(key), &cursor);
        assert_int_equal(cursor.valid, at < model->n);
        if (cursor.valid) assert_true(slice_equal_text(cursor.key, model->entries[at].key));
        if (step % 500 == 0) assert_same(&map, model);
    }
    assert_same(&map, model);
    while (model->n) {
        assert_true(map_remove(&map, slice_from_text(model->entries[0].key)));
        model_remove(model, model->entries[0].key);
    }
    assert_int_equal(map_count(&map), 0);
    map_free(&map);
    free(model);
    free(space);
    random_seeded_free(random);
}

static void a_clone_keeps_what_it_held(void **unused)
{
    (void)unused;
    struct map map = {0}, old = {0};
    char key[20];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "%06d", i * 7919 % 5000);
        map_put(&map, slice_from_text(key), SLICE("first"));
    }
    map_clone(&old, &map);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "%06d", i);
        if (i % 3 == 0) assert_true(map_remove(&map, slice_from_text(key)));
        if (i % 3 == 1) map_put(&map, slice_from_text(key), SLICE("second, and longer"));
        if (i % 3 == 2) map_put(&map, slice_from_text(key), SLICE("other"));
    }
    assert_ok(map_validate(&map));
    assert_ok(map_validate(&old));
    assert_int_equal(map_count(&old), 5000);
    assert_int_equal(map_count(&map), 3333);
    struct map_cursor cursor;
    for (map_cursor_first(&old, &cursor); cursor.valid; map_cursor_next(&cursor))
        assert_true(slice_equal_text(cursor.value, "first"));
    map_free(&map);
    assert_ok(map_validate(&old));
    map_free(&old);
}

static void building_in_order_wastes_nothing_and_refuses_disorder(void **unused)
{
    (void)unused;
    struct map_builder builder;
    map_builder_init(&builder);
    uint64_t raw = 0;
    for (int i = 0; i < 100000; i++) {
        char key[20];
        int n = snprintf(key, sizeof(key), "%08d", i);
        assert_ok(map_builder_add(&builder, slice_make(key, (size_t)n), SLICE("0123456789012345")));
        raw += (uint64_t)n + 16;
    }
    assert_fails(map_builder_add(&builder, SLICE("00099999"), SLICE("")), GLIS_ECORRUPT, "ascend");
    assert_fails(map_builder_add(&builder, SLICE("0"), SLICE("")), GLIS_ECORRUPT, "ascend");
    struct map map;
    map_builder_finish(&builder, &map);
    assert_ok(map_validate(&map));
    assert_int_equal(map_count(&map), 100000);
    assert_true(map_memory_bytes(&map) < raw + 100000 * 5);
    map_put(&map, SLICE("00000000x"), SLICE("between"));
    assert_ok(map_validate(&map));
    struct map_cursor cursor;
    for (uint64_t i = 2; i <= 100000; i += 1 + i / 7) {
        char key[20];
        snprintf(key, sizeof(key), "%08llu", (unsigned long long)i - 1);
        map_cursor_nth(&map, i, &cursor);
        assert_true(cursor.valid && slice_equal_text(cursor.key, key));
        map_cursor_next(&cursor);
        assert_int_equal(cursor.valid, i < 100000);
    }
    map_cursor_nth(&map, 100001, &cursor);
    assert_false(cursor.valid);
    map_cursor_seek(&map, SLICE("00000000"), &cursor);
    map_cursor_next(&cursor);
    assert_true(slice_equal_text(cursor.value, "between"));
    map_free(&map);
}

struct difference {
    char key[40];
    bool came, went;
};
struct differences {
    struct difference items[MODEL_MAX];
    size_t n;
};

static int note_difference(void *context, struct slice key, const struct slice *before,
                           const struct slice *after)
{
    struct differences *differences = context;
    assert_true(before || after);
    assert_false(before && after && slice_equal(*before, *after));
    assert_true(differences->n < MODEL_MAX);
    struct difference *item = &differences->items[differences->n++];
    snprintf(item->key, sizeof(item->key), "%.*s", SLICE_PRINT(key));
    item->came = !before;
    item->went = !after;
    return 0;
}

/* What a walk over both maps side by side finds, the simple way. */
static void assert_differences(const struct map *a, const struct map *b,
                               const struct differences *found)
{
    struct map_cursor x, y;
    size_t n = 0;
    map_cursor_first(a, &x);
    for (map_cursor_first(b, &y); x.valid || y.valid;) {
        int c = !x.valid ? 1 : !y.valid ? -1 : slice_compare(x.key, y.key);
        if (c != 0 || !slice_equal(x.value, y.value)) {
            assert_true(n < found->n);
            assert_true(slice_equal_text(c <= 0 ? x.key : y.key, found->items[n].key));
            assert_int_equal(found->items[n].came, c > 0);
            assert_int_equal(found->items[n].went, c < 0);
            n++;
        }
        if (c <= 0) map_cursor_next(&x);
        if (c >= 0) map_cursor_next(&y);
    }
    assert_int_equal(n, found->n);
}

static void a_difference_is_what_two_walks_find(void **unused)
{
    (void)unused;
    struct differences *found = memory_alloc(sizeof(*found));
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random *random = random_seeded_new(seed);
        struct map a = {0}, b = {0};
        char key[20];
        uint64_t n = random_below(random, 5000);
        for (uint64_t i = 0; i < n; i++) {
            snprintf(key, sizeof(key), "%06llu", (unsigned long long)random_below(random, 5000));
            map_put(&a, slice_from_text(key), SLICE("some value of some length"));
        }
        map_clone(&b, &a);
        uint64_t changes = random_below(random, seed % 3 ? 20 : 3000);
        for (uint64_t i = 0; i < changes; i++) {
            snprintf(key, sizeof(key), "%06llu", (unsigned long long)random_below(random, 5000));
            struct map *in = random_below(random, 8) ? &b : &a;
            if (random_below(random, 3) == 0)
                map_remove(in, slice_from_text(key));
            else
                map_put(in, slice_from_text(key), slice_make("0123456789", seed % 10));
        }
        found->n = 0;
        assert_ok(map_diff(&a, &b, note_difference, found));
        assert_differences(&a, &b, found);
        map_free(&a);
        found->n = 0;
        assert_ok(map_diff(&a, &b, note_difference, found));
        assert_int_equal(found->n, map_count(&b));
        map_free(&b);
        random_seeded_free(random);
    }
    free(found);
}

static int give_up(void *context, struct slice key, const struct slice *before,
                   const struct slice *after)
{
    (void)key, (void)before, (void)after;
    ++*(int *)context;
    return GLIS_ECANCELLED;
}

static void a_difference_of_a_large_map_is_found_and_stops_when_told(void **unused)
{
    (void)unused;
    struct map_builder builder;
    map_builder_init(&builder);
    for (int i = 0; i < 300000; i++) {
        char key[20];
        snprintf(key, sizeof(key), "%08d", i);
        assert_ok(map_builder_add(&builder, slice_from_text(key), SLICE("0123456789012345")));
    }
    struct map map, copy;
    map_builder_finish(&builder, &map);
    map_clone(&copy, &map);
    map_put(&copy, SLICE("00000001"), SLICE("new"));
    map_put(&copy, SLICE("00150000"), SLICE("new"));
    map_remove(&copy, SLICE("00299999"));
    struct differences *found = memory_alloc(sizeof(*found));
    found->n = 0;
    assert_ok(map_diff(&map, &copy, note_difference, found));
    assert_int_equal(found->n, 3);
    assert_string_equal(found->items[1].key, "00150000");
    assert_true(found->items[2].went);
    int visits = 0;
    assert_fails(map_diff(&map, &copy, give_up, &visits), GLIS_ECANCELLED, "");
    assert_int_equal(visits, 1);
    free(found);
    map_free(&map);
    map_free(&copy);
}

static void an_empty_map_has_nothing(void **unused)
{
    (void)unused;
    struct map map = {0};
    struct map_cursor cursor;
    map_cursor_first(&map, &cursor);
    assert_false(cursor.valid);
    map_cursor_nth(&map, 0, &cursor);
    assert_false(cursor.valid);
    map_cursor_seek(&map, SLICE("x"), &cursor);
    assert_false(cursor.valid);
    assert_false(map_get(&map, SLICE("x"), NULL));
    assert_false(map_remove(&map, SLICE("x")));
    map_put(&map, SLICE(""), SLICE(""));
    assert_true(map_get(&map, SLICE(""), NULL));
    assert_true(map_remove(&map, SLICE("")));
    assert_ok(map_validate(&map));
    map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_a_sorted_array_does),
        cmocka_unit_test(a_clone_keeps_what_it_held),
        cmocka_unit_test(building_in_order_wastes_nothing_and_refuses_disorder),
        cmocka_unit_test(a_difference_is_what_two_walks_find),
        cmocka_unit_test(a_difference_of_a_large_map_is_found_and_stops_when_told),
        cmocka_unit_test(an_empty_map_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
