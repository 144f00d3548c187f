/*
 * test_query_cache.c: the cache of a query engine against a list: what is found, what goes first,
 * what lives on while it is held, and that nothing is freed twice or never.
 */
#include "test.h"

#include "query/query_int.h"

#include <stdlib.h>

struct item {
    struct cache_entry entry;
    int number;
};

static int alive;

static void free_item(struct cache_entry *entry)
{
    alive--;
    free(entry);
}

static struct cache_key key_of(uint32_t number)
{
    return (struct cache_key){.file = {number / 7, 5}, .kind = number % 2, .page = number};
}

static struct cache_entry *new_item(uint32_t number, uint64_t bytes)
{
    struct item *item = memory_alloc_zero(sizeof *item);
    atomic_store(&item->entry.references, 1);
    item->entry.key = key_of(number);
    item->entry.bytes = bytes;
    item->entry.free = free_item;
    item->number = (int)number;
    alive++;
    return &item->entry;
}

static void put(struct query_engine *engine, uint32_t number, uint64_t bytes)
{
    cache_release(cache_put(engine, new_item(number, bytes)));
}

static bool has(struct query_engine *engine, uint32_t number)
{
    struct cache_key key = key_of(number);
    struct cache_entry *entry = cache_get(engine, &key);
    if (entry) assert_int_equal(((struct item *)entry)->number, number);
    cache_release(entry);
    return entry;
}

static struct query_engine *engine_new(uint64_t bytes)
{
    static struct runtime runtime;
    struct query_engine *engine;
    assert_ok(query_engine_new(&engine, &runtime, NULL, bytes));
    return engine;
}

static void the_oldest_go_first(void **state)
{
    (void)state;
    struct query_engine *engine = engine_new(1000);
    for (uint32_t i = 0; i < 10; i++)
        put(engine, i, 100);
    assert_true(has(engine, 0)); /* now 1 is the oldest that was not used */
    put(engine, 10, 150);        /* two must go */
    assert_false(has(engine, 1));
    assert_false(has(engine, 2));
    assert_true(has(engine, 0));
    assert_true(has(engine, 10));
    struct query_cache_figures figures = query_engine_figures(engine);
    assert_int_equal(figures.footers + figures.pages, 9);
    assert_int_equal(figures.footer_bytes + figures.page_bytes, 950);
    query_engine_free(engine);
    assert_int_equal(alive, 0);
}

static void a_use_gives_one_more_round(void **state)
{
    (void)state;
    struct query_engine *engine = engine_new(400);
    for (uint32_t i = 0; i < 4; i++)
        put(engine, i, 100);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(has(engine, i));
    put(engine, 4, 100); /* all were used: the first goes, and the others' chance is spent */
    assert_false(has(engine, 0));
    assert_true(has(engine, 2));
    put(engine, 5, 100);
    assert_false(has(engine, 1));
    put(engine, 6, 100);
    assert_true(has(engine, 2));
    assert_false(has(engine, 3));
    query_engine_free(engine);
    assert_int_equal(alive, 0);
}

static void what_is_too_large_is_not_kept(void **state)
{
    (void)state;
    struct query_engine *engine = engine_new(1000);
    put(engine, 1, 100);
    put(engine, 2, 251); /* over a quarter */
    assert_true(has(engine, 1));
    assert_false(has(engine, 2));
    assert_int_equal(alive, 1);
    query_engine_free(engine);
    assert_int_equal(alive, 0);
}

static void what_is_held_lives_on(void **state)
{
    (void)state;
    struct query_engine *engine = engine_new(400);
    struct cache_entry *held = cache_put(engine, new_item(1, 100));
    for (uint32_t i = 2; i < 10; i++)
        put(engine, i, 100);
    assert_false(has(engine, 1));
    assert_int_equal(((struct item *)held)->number, 1);
    cache_release(held);
    assert_int_equal(alive, 4);
    assert_true(cache_shrink(engine, 150));
    assert_int_equal(alive, 2);
    assert_true(cache_shrink(engine, 1000));
    assert_false(cache_shrink(engine, 1));
    query_engine_free(engine);
    assert_int_equal(alive, 0);
}

static void the_first_of_two_makers_wins(void **state)
{
    (void)state;
    struct query_engine *engine = engine_new(1000);
    struct cache_entry *first = cache_put(engine, new_item(3, 10));
    struct cache_entry *second = cache_put(engine, new_item(3, 10));
    assert_ptr_equal(first, second);
    assert_int_equal(alive, 1);
    cache_release(first);
    cache_release(second);
    query_engine_free(engine);
    assert_int_equal(alive, 0);
}

static void many_entries_are_all_found(void **state)
{
    (void)state;
    struct query_engine *engine = engine_new(1 << 30);
    for (uint32_t i = 0; i < 20000; i++)
        put(engine, i, 10);
    for (uint32_t i = 0; i < 20000; i++)
        assert_true(has(engine, i));
    assert_false(has(engine, 20000));
    assert_int_equal(alive, 20000);
    query_engine_free(engine);
    assert_int_equal(alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_go_first),
        cmocka_unit_test(a_use_gives_one_more_round),
        cmocka_unit_test(what_is_too_large_is_not_kept),
        cmocka_unit_test(what_is_held_lives_on),
        cmocka_unit_test(the_first_of_two_makers_wins),
        cmocka_unit_test(many_entries_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
