/*
 * test_store.c: what every store must do, run against each kind: a folder, memory, both behind a
 * fault wrapper that does nothing, behind a cache, and as the root of an instance; and rows of the
 * database that GLIS_TEST_POSTGRES names, when it is set. Expected values are the sentences of
 * store.h.
 */
#include "store_conform.h"

#include "base/ulid.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    struct runtime runtime;
    char folder[64];
    struct store *behind, *store;
};

static struct pool *pool;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static void world_open(struct world *world, const char *kind)
{
    memset(world, 0, sizeof(*world));
    world->runtime =
        (struct runtime){.clock = clock_system(), .random = random_system(), .pool = pool};
    struct store *store = NULL;
    if (strstr(kind, "folder")) {
        memcpy(world->folder, "/tmp/glis-store-XXXXXX", sizeof("/tmp/glis-store-XXXXXX"));
        assert_non_null(mkdtemp(world->folder));
        assert_ok(store_local_open(&world->runtime, world->folder, 0, &store));
    } else if (strstr(kind, "postgres")) {
        struct ulid id = ulid_new(&world->runtime);
        assert_ok(store_postgres_open(&world->runtime,
                                      slice_from_text(getenv("GLIS_TEST_POSTGRES")),
                                      ulid_slice(&id), true, &store));
    } else {
        assert_ok(store_memory_open(&world->runtime, &store));
    }
    world->store = store;
    if (strstr(kind, "wrapped")) {
        static const struct store_faults none;
        world->behind = store;
        assert_ok(store_fault_open(&world->runtime, store, 1, &none, &world->store));
    } else if (strstr(kind, "cached")) {
        static const struct store_cache_settings settings = {.memory_bytes = 1 << 20};
        world->behind = store;
        assert_ok(store_cache_open(&world->runtime, store, &settings, &world->store));
    } else if (strstr(kind, "root")) {
        assert_ok(store_root_wrap(&world->runtime, store, &world->store));
    }
}

static void world_close(struct world *world)
{
    store_close(world->store);
    store_close(world->behind);
    if (world->folder[0]) nftw(world->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void bytes_in_memory_are_a_store_of_one_object(void **unused)
{
    (void)unused;
    struct block *block;
    assert_ok(block_new(&block, NULL, 10));
    memcpy(block->data, "0123456789", 10);
    struct store *store;
    assert_ok(store_slice_open(SLICE("a/b"), block, slice_make(block->data, 10), &store));
    block_release(block);
    struct store_read reads[] = {
        {.key = SLICE("a/b"), .offset = 2, .length = 3},
        {.key = SLICE("a/b"), .offset = STORE_TO_END, .length = 4},
        {.key = SLICE("a/c"), .length = 1},
    };
    assert_ok(store_read(store, reads, 3));
    assert_true(slice_equal_text(slice_make(reads[0].data, reads[0].size), "234"));
    assert_true(slice_equal_text(slice_make(reads[1].data, reads[1].size), "6789"));
    assert_int_equal(reads[1].object_size, 10);
    assert_int_equal(reads[2].outcome, GLIS_ENOTFOUND);
    assert_ptr_equal(reads[0].data, reads[1].data - 4); /* nothing was copied */
    struct store_read beyond = {.key = SLICE("a/b"), .offset = 11, .length = 1};
    assert_int_equal(store_read(store, &beyond, 1), GLIS_EINVALID);
    struct store_object object;
    assert_ok(store_head(store, SLICE("a/b"), &object));
    assert_int_equal(object.size, 10);
    assert_int_equal(store_head(store, SLICE("a"), &object), GLIS_ENOTFOUND);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    assert_ok(store_list(store, SLICE("a/"), SLICE_EMPTY, 0, &arena, &list));
    assert_int_equal(list.n_objects, 1);
    assert_ok(store_list(store, SLICE("a/"), SLICE("a/b"), 0, &arena, &list));
    assert_int_equal(list.n_objects, 0);
    struct slice key = SLICE("a/b");
    assert_int_equal(store_put(store, key, SLICE("x"), 0), GLIS_EDENIED);
    assert_int_equal(store_remove(store, &key, 1), GLIS_EDENIED);
    store_close(store);
    /* What was read outlives the store. */
    assert_true(slice_equal_text(slice_make(reads[0].data, reads[0].size), "234"));
    store_read_release(reads, 3);
}

static void conforms(void **state)
{
    const char *kind = *state;
    if (strstr(kind, "postgres") && !getenv("GLIS_TEST_POSTGRES")) {
        print_message("GLIS_TEST_POSTGRES names no database\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(conform_cases) / sizeof(conform_cases[0]); i++) {
        print_message("%s: %s\n", kind, conform_cases[i].name);
        struct world world;
        world_open(&world, kind);
        conform_cases[i].test(world.store);
        world_close(&world);
    }
}

int main(void)
{
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(conforms, (void *)"folder"),
        cmocka_unit_test_prestate(conforms, (void *)"memory"),
        cmocka_unit_test_prestate(conforms, (void *)"wrapped folder"),
        cmocka_unit_test_prestate(conforms, (void *)"wrapped memory"),
        cmocka_unit_test_prestate(conforms, (void *)"cached memory"),
        cmocka_unit_test_prestate(conforms, (void *)"root folder"),
        cmocka_unit_test_prestate(conforms, (void *)"root memory"),
        cmocka_unit_test_prestate(conforms, (void *)"postgres"),
        cmocka_unit_test(bytes_in_memory_are_a_store_of_one_object),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
