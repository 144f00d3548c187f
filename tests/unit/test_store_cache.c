/*
 * test_store_cache.c: the cache before data files: what comes out of it is always what the store
 * behind would have given, what was read once is not asked for again, by this process or another
 * one with the same folder, wrong bytes on disk are noticed, and the folder keeps its limit. The
 * store behind is memory; its counters say what was asked for.
 */
#include "test.h"

#include "store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 128 << 10 };
#define KEY SLICE("tables/T/data/1.parquet")

struct world {
    struct runtime runtime;
    struct pool *pool;
    char folder[64];
    struct store *behind;
};

static void world_open(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->pool = pool_new(0);
    world->runtime =
        (struct runtime){.clock = clock_system(), .random = random_system(), .pool = world->pool};
    memcpy(world->folder, "/tmp/glis-cache-XXXXXX", sizeof "/tmp/glis-cache-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    assert_ok(store_memory_open(&world->runtime, &world->behind));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static void world_close(struct world *world)
{
    store_close(world->behind);
    pool_free(world->pool);
    nftw(world->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static struct store *cache(struct world *world, uint64_t memory, uint64_t disk)
{
    struct store_cache_settings settings = {
        .memory_bytes = memory, .disk_bytes = disk, .folder = world->folder};
    struct store *store;
    assert_ok(store_cache_open(&world->runtime, world->behind, &settings, &store));
    return store;
}

/* Byte i of the object number n. */
static uint8_t byte_at(uint64_t n, uint64_t i)
{
    return (uint8_t)((i * 2654435761u >> 7) ^ (i >> 11) ^ n * 37);
}

static void put_object(struct world *world, struct slice key, uint64_t n, uint64_t size)
{
    uint8_t *body = memory_alloc(size + 1);
    for (uint64_t i = 0; i < size; i++)
        body[i] = byte_at(n, i);
    assert_ok(store_put(world->behind, key, slice_make(body, size), 0));
    free(body);
}

static uint64_t gets(const struct world *world)
{
    return store_counters(world->behind).gets;
}

/* Reads one range and holds it against the bytes that were put. */
static void assert_range(struct store *store, struct slice key, uint64_t n, uint64_t object_size,
                         uint64_t offset, uint64_t length)
{
    struct store_read read = {.key = key, .offset = offset, .length = length};
    assert_ok(store_read(store, &read, 1));
    uint64_t start = offset == STORE_TO_END
                         ? object_size - (length < object_size ? length : object_size)
                         : offset;
    uint64_t size = length < object_size - start ? length : object_size - start;
    assert_int_equal(read.size, size);
    assert_int_equal(read.object_size, object_size);
    for (uint64_t i = 0; i < size; i++)
        if (read.data[i] != byte_at(n, start + i)) fail_msg("byte %llu", (unsigned long long)i);
    store_read_release(&read, 1);
}

static void ranges_of_every_shape_are_what_is_behind(void **unused)
{
    (void)unused;
    static const uint64_t sizes[] = {0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 5 * PIECE + 77};
    static const uint64_t lengths[] = {
        0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 4 * PIECE, STORE_TO_END, UINT64_MAX / 2};
    for (size_t mode = 0; mode < 4; mode++) {
        struct world world;
        world_open(&world);
        struct store *store = cache(&world, mode & 1 ? 8 << 20 : 0, mode & 2 ? 64 << 20 : 0);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            char key[64];
            snprintf(key, sizeof key, "tables/T/data/%zu", s);
            put_object(&world, slice_from_text(key), s, sizes[s]);
            const uint64_t offsets[] = {STORE_TO_END,  0,        1,           PIECE - 1, PIECE,
                                        2 * PIECE + 5, sizes[s], sizes[s] / 2};
            for (size_t o = 0; o < sizeof offsets / sizeof *offsets; o++)
                for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
                    if (offsets[o] != STORE_TO_END && offsets[o] > sizes[s]) {
                        struct store_read read = {.key = slice_from_text(key),
                                                  .offset = offsets[o],
                                                  .length = lengths[l]};
                        assert_fails(store_read(store, &read, 1), GLIS_EINVALID, "begins at byte");
                        assert_null(read.block);
                        continue;
                    }
                    assert_range(store, slice_from_text(key), s, sizes[s], offsets[o], lengths[l]);
                }
        }
        store_close(store);
        world_close(&world);
    }
}

/* Random calls of several ranges of several objects, with and without what is not cached. */
static void random_calls_are_what_is_behind(void **unused)
{
    (void)unused;
    enum { OBJECTS = 6, CALLS = 400, READS = 9 };
    struct world world;
    world_open(&world);
    struct random *random = random_seeded_new(42);
    uint64_t sizes[OBJECTS];
    char keys[OBJECTS][64];
    for (size_t i = 0; i < OBJECTS; i++) {
        sizes[i] = random_below(random, 6 * PIECE);
        /* The last one is no data file: it passes by. */
        snprintf(keys[i], sizeof keys[i], "tables/T/%s/%zu", i + 1 < OBJECTS ? "data" : "staging",
                 i);
        put_object(&world, slice_from_text(keys[i]), i, sizes[i]);
    }
    /* So little memory and disk that pieces come and go. */
    struct store *store = cache(&world, 1 << 20, 1 << 20);
    for (int call = 0; call < CALLS; call++) {
        struct store_read reads[READS];
        size_t objects[READS], n = 1 + random_below(random, READS);
        for (size_t i = 0; i < n; i++) {
            objects[i] = random_below(random, OBJECTS + 1);
            uint64_t size = objects[i] < OBJECTS ? sizes[objects[i]] : 100;
            reads[i] = (struct store_read){
                .key = objects[i] < OBJECTS ? slice_from_text(keys[objects[i]])
                                            : SLICE("tables/T/data/none"),
                .offset = random_below(random, 4) ? random_below(random, size + 1) : STORE_TO_END,
                .length = random_below(random, 5) ? random_below(random, 2 * PIECE) : STORE_TO_END};
        }
        assert_ok(store_read(store, reads, n));
        for (size_t i = 0; i < n; i++) {
            if (objects[i] == OBJECTS) {
                assert_int_equal(reads[i].outcome, GLIS_ENOTFOUND);
                continue;
            }
            struct store_read wanted = {
                .key = reads[i].key, .offset = reads[i].offset, .length = reads[i].length};
            assert_ok(store_read(world.behind, &wanted, 1));
            assert_int_equal(reads[i].size, wanted.size);
            assert_int_equal(reads[i].object_size, wanted.object_size);
            assert_memory_equal(reads[i].data, wanted.data, wanted.size);
            store_read_release(&wanted, 1);
        }
        store_read_release(reads, n);
    }
    random_seeded_free(random);
    store_close(store);
    world_close(&world);
}

static void a_second_read_asks_nothing(void **unused)
{
    (void)unused;
    static const uint64_t ranges[][2] = {{STORE_TO_END, 8192},
                                         {100, 50},
                                         {3 * PIECE - 10, 20},
                                         {PIECE, 2 * PIECE},
                                         {0, STORE_TO_END}};
    for (size_t mode = 1; mode < 4; mode++) {
        struct world world;
        world_open(&world);
        put_object(&world, KEY, 1, 4 * PIECE + 5);
        struct store *store = cache(&world, mode & 1 ? 8 << 20 : 0, mode & 2 ? 64 << 20 : 0);
        for (size_t round = 0; round < 2; round++)
            for (size_t i = 0; i < 5; i++) {
                uint64_t before = gets(&world);
                assert_range(store, KEY, 1, 4 * PIECE + 5, ranges[i][0], ranges[i][1]);
                if (round) assert_int_equal(gets(&world), before);
                if (i == 0 && !round) assert_int_equal(gets(&world), before + 1);
            }
        /* Neighbouring pieces that were missing came with one request: at most one a range. */
        assert_true(gets(&world) <= 5);
        struct store_counters counters = store_counters(store);
        assert_true(counters.cache_hits >= 5 && counters.cache_bytes >= 4 * PIECE);
        store_close(store);
        world_close(&world);
    }
}

static void other_processes_find_it_on_disk(void **unused)
{
    (void)unused;
    struct world world;
    world_open(&world);
    put_object(&world, KEY, 1, 4 * PIECE + 5);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store = cache(&world, 1 << 20, 64 << 20);
        struct store_read read = {.key = KEY, .offset = 0, .length = STORE_TO_END};
        struct store_read tail = {.key = KEY, .offset = STORE_TO_END, .length = 10};
        bool good = store_read(store, &read, 1) == 0 && store_read(store, &tail, 1) == 0;
        if (good) raise(SIGKILL); /* it leaves nothing that has to be closed */
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    uint64_t before = gets(&world);
    struct store *store = cache(&world, 1 << 20, 64 << 20);
    assert_range(store, KEY, 1, 4 * PIECE + 5, 0, 4 * PIECE + 5);
    assert_range(store, KEY, 1, 4 * PIECE + 5, STORE_TO_END, 10);
    assert_int_equal(gets(&world), before);
    struct stat entry;
    assert_int_equal(stat(world.folder, &entry), 0);
    assert_int_equal(entry.st_mode & 0777, 0700);
    store_close(store);
    world_close(&world);
}

/* Calls visit for each file with a piece. */
static size_t each_piece(const struct world *world, void (*visit)(const char *path, size_t n),
                         uint64_t *bytes)
{
    size_t n = 0;
    for (int f = 0; f < 256; f++) {
        char path[400];
        snprintf(path, sizeof path, "%s/pieces/%02x", world->folder, f);
        DIR *folder = opendir(path);
        struct dirent *entry;
        while (folder && (entry = readdir(folder))) {
            struct stat status;
            snprintf(path, sizeof path, "%s/pieces/%02x/%s", world->folder, f, entry->d_name);
            if (stat(path, &status) < 0 || !S_ISREG(status.st_mode)) continue;
            assert_int_equal(status.st_mode & 0777, 0600);
            if (bytes) *bytes += (uint64_t)status.st_size;
            if (visit) visit(path, n);
            n++;
        }
        if (folder) closedir(folder);
    }
    return n;
}

/* A wrong byte, here and there, a cut, an empty file, another piece's bytes. */
static void spoil(const char *path, size_t n)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    switch (n % 4) {
    case 0: {
        uint8_t byte;
        off_t at = status.st_size / 2;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        break;
    }
    case 1: assert_int_equal(ftruncate(fd, status.st_size - 1), 0); break;
    case 2: assert_int_equal(ftruncate(fd, 0), 0); break;
    default: assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, 8), 4); /* the object's size */
    }
    close(fd);
}

static void wrong_bytes_on_disk_are_fetched_again(void **unused)
{
    (void)unused;
    struct world world;
    world_open(&world);
    put_object(&world, KEY, 1, 9 * PIECE);
    struct store *store = cache(&world, 0, 64 << 20);
    assert_range(store, KEY, 1, 9 * PIECE, STORE_TO_END, 100);
    assert_range(store, KEY, 1, 9 * PIECE, 0, 9 * PIECE);
    assert_true(each_piece(&world, spoil, NULL) >= 9);
    uint64_t before = gets(&world);
    assert_range(store, KEY, 1, 9 * PIECE, 0, 9 * PIECE);
    assert_range(store, KEY, 1, 9 * PIECE, STORE_TO_END, 100);
    assert_true(gets(&world) > before);
    before = gets(&world); /* and what was fetched is right now */
    assert_range(store, KEY, 1, 9 * PIECE, 0, 9 * PIECE);
    assert_int_equal(gets(&world), before);
    store_close(store);
    world_close(&world);
}

static void what_made_no_sense_is_fetched_again(void **unused)
{
    (void)unused;
    for (size_t mode = 1; mode < 4; mode++) {
        struct world world;
        world_open(&world);
        put_object(&world, KEY, 1, 3 * PIECE + 7); /* wrong for now */
        struct store *store = cache(&world, mode & 1 ? 8 << 20 : 0, mode & 2 ? 64 << 20 : 0);
        assert_range(store, KEY, 1, 3 * PIECE + 7, STORE_TO_END, 100);
        assert_range(store, KEY, 1, 3 * PIECE + 7, 0, 2 * PIECE);
        struct slice key = KEY;
        assert_ok(store_remove(world.behind, &key, 1));
        put_object(&world, KEY, 2, 3 * PIECE + 9); /* put right */
        assert_range(store, KEY, 1, 3 * PIECE + 7, 0, 2 * PIECE);
        store_forget(store, KEY, mode == 2 ? 0 : 3 * PIECE + 7);
        assert_range(store, KEY, 2, 3 * PIECE + 9, 0, 2 * PIECE);
        assert_range(store, KEY, 2, 3 * PIECE + 9, STORE_TO_END, 100);
        store_close(store);
        world_close(&world);
    }
}

static void the_folder_keeps_its_limit(void **unused)
{
    (void)unused;
    enum { LIMIT = 2 << 20, PROCESSES = 3, OBJECTS = 12 };
    struct world world;
    world_open(&world);
    for (int i = 0; i < OBJECTS; i++) {
        char key[64];
        snprintf(key, sizeof key, "tables/T/data/%d", i);
        put_object(&world, slice_from_text(key), (uint64_t)i, 5 * PIECE);
    }
    for (int p = 0; p < PROCESSES; p++) {
        if (fork()) continue;
        struct store *store = cache(&world, 0, LIMIT);
        for (int i = 0; i < OBJECTS; i++) {
            char key[64];
            snprintf(key, sizeof key, "tables/T/data/%d", (i + p * 4) % OBJECTS);
            struct store_read read = {.key = slice_from_text(key), .length = STORE_TO_END};
            if (store_read(store, &read, 1) < 0) _exit(1);
            store_read_release(&read, 1);
        }
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    /* Another one cleans up what they left beside each other. */
    struct store *store = cache(&world, 0, LIMIT);
    put_object(&world, KEY, 99, PIECE);
    assert_range(store, KEY, 99, PIECE, 0, PIECE);
    uint64_t bytes = 0;
    size_t n = each_piece(&world, NULL, &bytes);
    assert_true(n >= 8 && bytes <= LIMIT);
    /* What was used last is still there. */
    uint64_t before = gets(&world);
    assert_range(store, KEY, 99, PIECE, 0, PIECE);
    assert_int_equal(gets(&world), before);
    store_close(store);
    struct store_cache_use use;
    assert_ok(store_cache_use(world.folder, false, &use));
    assert_int_equal(use.pieces, n);
    assert_int_equal(use.bytes, bytes);
    assert_ok(store_cache_use(world.folder, true, &use));
    assert_int_equal(use.pieces, n);
    assert_int_equal(each_piece(&world, NULL, NULL), 0);
    world_close(&world);
}

static void memory_keeps_its_limit(void **unused)
{
    (void)unused;
    struct world world;
    world_open(&world);
    put_object(&world, KEY, 1, 40 * PIECE);
    struct store *store = cache(&world, 4 << 20, 0);
    for (uint64_t i = 0; i < 40; i++)
        assert_range(store, KEY, 1, 40 * PIECE, i * PIECE, PIECE);
    struct store_cache_figures figures = store_cache_figures(store);
    assert_true(figures.memory_used_bytes > 2 << 20 && figures.memory_used_bytes <= 4 << 20);
    store_close(store);
    world_close(&world);
}

static void a_disk_that_is_full_only_ends_the_writing(void **unused)
{
    (void)unused;
    struct world world;
    world_open(&world);
    put_object(&world, KEY, 1, 4 * PIECE);
    struct rlimit old, none = {4096, 4096};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    struct store *store = cache(&world, 0, 64 << 20);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_range(store, KEY, 1, 4 * PIECE, 0, 4 * PIECE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(each_piece(&world, NULL, NULL), 0);
    uint64_t before = gets(&world);
    assert_range(store, KEY, 1, 4 * PIECE, 0, 4 * PIECE);
    assert_int_equal(gets(&world), before + 1);
    assert_int_equal(each_piece(&world, NULL, NULL), 0); /* not tried again */
    store_close(store);
    world_close(&world);
}

static void a_folder_that_others_may_write_is_not_used(void **unused)
{
    (void)unused;
    struct world world;
    world_open(&world);
    char pieces[100];
    snprintf(pieces, sizeof pieces, "%s/pieces", world.folder);
    assert_int_equal(mkdir(pieces, 0777), 0);
    assert_int_equal(chmod(pieces, 0777), 0);
    put_object(&world, KEY, 1, PIECE);
    struct store *store = cache(&world, 0, 64 << 20);
    assert_range(store, KEY, 1, PIECE, 0, PIECE);
    assert_int_equal(each_piece(&world, NULL, NULL), 0);
    struct store_cache_use use;
    assert_fails(store_cache_use(world.folder, true, &use), GLIS_EDENIED, "may write");
    store_close(store);
    world_close(&world);
}

/* Whatever fails behind comes out as it is, and nothing of it is kept. */
static void failures_behind_come_out(void **unused)
{
    (void)unused;
    struct world world;
    world_open(&world);
    put_object(&world, KEY, 1, 3 * PIECE);
    struct store_faults faults = {.short_read = 65536};
    struct store *fault, *store;
    assert_ok(store_fault_open(&world.runtime, world.behind, 1, &faults, &fault));
    struct store_cache_settings settings = {.memory_bytes = 8 << 20};
    assert_ok(store_cache_open(&world.runtime, fault, &settings, &store));
    struct store_read reads[] = {{.key = KEY, .offset = 5, .length = 10},
                                 {.key = KEY, .offset = STORE_TO_END, .length = 10}};
    assert_int_equal(store_read(store, reads, 2), GLIS_EIO);
    store_read_release(reads, 2);
    store_fault_set(fault, &(struct store_faults){0});
    assert_range(store, KEY, 1, 3 * PIECE, 5, 10);
    assert_range(store, KEY, 1, 3 * PIECE, STORE_TO_END, 10);
    store_close(store);
    store_close(fault);
    world_close(&world);
}

static void only_data_files_are_kept(void **unused)
{
    (void)unused;
    static const struct {
        const char *key;
        bool is_data;
    } cases[] = {
        {"tables/T/data/x", true},
        {"tables/T/data/a/b", true},
        {"tables/T/log/00000001", false},
        {"tables/T/snapshot/1", false},
        {"tables/T/staging/data/x", false},
        {"tables/data/x", false},
        {"catalogue/log/1", false},
        {"data/x", false},
        {"tables/T/data", false},
        {"tables/T/database/x", false},
        {".foreign/tables/T/data/x", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(store_key_is_data(slice_from_text(cases[i].key)), cases[i].is_data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_data_files_are_kept),
        cmocka_unit_test(ranges_of_every_shape_are_what_is_behind),
        cmocka_unit_test(random_calls_are_what_is_behind),
        cmocka_unit_test(a_second_read_asks_nothing),
        cmocka_unit_test(other_processes_find_it_on_disk),
        cmocka_unit_test(wrong_bytes_on_disk_are_fetched_again),
        cmocka_unit_test(what_made_no_sense_is_fetched_again),
        cmocka_unit_test(the_folder_keeps_its_limit),
        cmocka_unit_test(memory_keeps_its_limit),
        cmocka_unit_test(a_disk_that_is_full_only_ends_the_writing),
        cmocka_unit_test(a_folder_that_others_may_write_is_not_used),
        cmocka_unit_test(failures_behind_come_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
