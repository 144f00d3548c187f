/*
 * test_store_local_watch.c: a watch of a folder hears of every put and removal in it, by this
 * process and by others, and of nothing else; it ends when its folder does, and in a child. The
 * folders are on a tmpfs where there is one, since watches are only had on file systems that are
 * known to be local.
 */
#include "test.h"

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long fake_magic; /* stands for the type of every file system */

int fstatfs(int fd, struct statfs *out)
{
    long code = syscall(SYS_fstatfs, fd, out);
    if (code == 0 && fake_magic) out->f_type = (__typeof__(out->f_type))fake_magic;
    return (int)code;
}

struct world {
    struct runtime runtime;
    char folder[64];
    struct store *store;
    int64_t now_ns;
};

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static void put(struct store *store, const char *key)
{
    assert_ok(store_put(store, slice_from_text(key), SLICE("x"), STORE_IF_ABSENT));
}

static int setup(void **state)
{
    struct world *world = memory_alloc_zero(sizeof(*world));
    world->runtime =
        (struct runtime){.clock = clock_system(), .random = random_system(), .pool = pool_new(0)};
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(world->folder, sizeof(world->folder), "%s/glis-watch-XXXXXX", where);
    assert_non_null(mkdtemp(world->folder));
    assert_ok(store_local_open(&world->runtime, world->folder, 0, &world->store));
    world->now_ns = world->runtime.clock->monotonic_ns(world->runtime.clock);
    put(world->store, "t/log/1");
    put(world->store, "t/other/1");
    fake_magic = 0;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    store_close(world->store);
    pool_free(world->runtime.pool);
    nftw(world->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(world);
    return 0;
}

/* Where the machine has no file system of that kind the test says nothing. */
static struct store_watch *watch_folder(struct world *world, const char *folder)
{
    struct store_watch *watch = NULL;
    int code = store_watch_open(world->store, slice_from_text(folder), &watch);
    if (code == GLIS_EUNSUPPORTED) skip();
    assert_ok(code);
    return watch;
}

static uint64_t count(struct world *world, struct store_watch *watch)
{
    return store_watch_count(watch, world->now_ns);
}

static void each_change_moves_the_number_once_and_nothing_else_does(void **state)
{
    struct world *world = *state;
    struct store_watch *watch = watch_folder(world, "t/log");
    uint64_t before = count(world, watch);
    assert_true(before > 0);
    assert_int_equal(count(world, watch), before);

    struct slice first = SLICE("t/log/1"), second = SLICE("t/log/2");
    struct store_object object;
    assert_ok(store_head(world->store, first, &object));
    put(world->store, "t/other/2");
    put(world->store, "t/log/trimmed/1");
    uint64_t with_folder = count(world, watch);
    assert_true(with_folder > before); /* a folder was made in it */
    put(world->store, "t/log/trimmed/2");
    assert_int_equal(store_put(world->store, first, SLICE("y"), STORE_IF_ABSENT), GLIS_EEXISTS);
    store_watchers_told(world->store, SLICE("t/log"));
    assert_int_equal(count(world, watch), with_folder);

    put(world->store, "t/log/2");
    uint64_t after_put = count(world, watch);
    assert_true(after_put > with_folder);
    assert_int_equal(count(world, watch), after_put);
    assert_ok(store_put(world->store, second, SLICE("z"), 0)); /* by renaming over it */
    uint64_t after_replacing = count(world, watch);
    assert_true(after_replacing > after_put);
    assert_ok(store_remove(world->store, &second, 1));
    assert_true(count(world, watch) > after_replacing);
    store_watch_close(watch);
}

static void puts_of_other_processes_and_handles_are_heard(void **state)
{
    struct world *world = *state;
    struct store_watch *watch = watch_folder(world, "t/log");
    struct store *second;
    assert_ok(store_local_open(&world->runtime, world->folder, 0, &second));
    uint64_t before = count(world, watch);
    put(second, "t/log/2");
    uint64_t between = count(world, watch);
    assert_true(between > before);
    store_close(second);

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *own;
        if (store_local_open(&world->runtime, world->folder, 0, &own) < 0) _exit(1);
        _exit(store_put(own, SLICE("t/log/3"), SLICE("x"), STORE_IF_ABSENT) < 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(count(world, watch) > between);
    store_watch_close(watch);
}

static void several_watches_share_a_queue(void **state)
{
    struct world *world = *state;
    struct store_watch *one = watch_folder(world, "t/log"), *same = watch_folder(world, "t/log"),
                       *other = watch_folder(world, "t/other");
    uint64_t a = count(world, one), b = count(world, same), c = count(world, other);
    put(world->store, "t/other/2");
    assert_int_equal(count(world, one), a);
    assert_int_equal(count(world, same), b);
    assert_true(count(world, other) > c);
    put(world->store, "t/log/2");
    c = count(world, other); /* takes the event of the others out of the queue */
    assert_true(count(world, one) > a);
    assert_true(count(world, same) > b);
    store_watch_close(one);
    b = count(world, same);
    put(world->store, "t/log/3");
    assert_true(count(world, same) > b);
    assert_int_equal(count(world, other), c);
    store_watch_close(same);
    put(world->store, "t/log/4");
    assert_int_equal(count(world, other), c);
    store_watch_close(other);
}

static void a_child_is_told_nothing_and_takes_nothing_away(void **state)
{
    struct world *world = *state;
    struct store_watch *watch = watch_folder(world, "t/log");
    uint64_t before = count(world, watch);
    put(world->store, "t/log/2");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(count(world, watch) != 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(count(world, watch) > before);
    store_watch_close(watch);
}

static void a_queue_that_runs_over_is_a_change(void **state)
{
    struct world *world = *state;
    struct store_watch *watch = watch_folder(world, "t/log");
    char path[2][128], most[32] = "16384";
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    if (file) {
        assert_non_null(fgets(most, sizeof(most), file));
        fclose(file);
    }
    long n = strtol(most, NULL, 10);
    if (n > 100000) skip();
    uint64_t before = count(world, watch);
    for (int i = 0; i < 2; i++)
        snprintf(path[i], sizeof(path[i]), "%s/t/log/%d", world->folder, i + 1);
    for (long i = 0; i < n / 2 + 10; i++) /* each is two events */
        assert_int_equal(rename(path[i % 2], path[1 - i % 2]), 0);
    uint64_t after = count(world, watch);
    assert_true(after > before);
    uint64_t quiet = count(world, watch);
    assert_int_equal(count(world, watch), quiet);
    put(world->store, "t/log/9");
    assert_true(count(world, watch) > quiet);
    store_watch_close(watch);
}

static void a_folder_that_goes_or_moves_ends_its_watch(void **state)
{
    struct world *world = *state;
    char from[128], to[128];
    struct store_watch *moved = watch_folder(world, "t/log"),
                       *removed = watch_folder(world, "t/other");
    snprintf(from, sizeof(from), "%s/t/log", world->folder);
    snprintf(to, sizeof(to), "%s/t/elsewhere", world->folder);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(count(world, moved), 0);
    struct slice key = SLICE("t/other/1");
    assert_ok(store_remove(world->store, &key, 1));
    snprintf(from, sizeof(from), "%s/t/other", world->folder);
    assert_int_equal(rmdir(from), 0);
    assert_int_equal(count(world, removed), 0);
    assert_int_equal(count(world, removed), 0);
    store_watch_close(moved);
    store_watch_close(removed);
    struct store_watch *none;
    assert_int_equal(store_watch_open(world->store, SLICE("t/other"), &none), GLIS_ENOTFOUND);
}

static void a_folder_above_that_is_exchanged_is_noticed_within_a_second(void **state)
{
    struct world *world = *state;
    char from[128], to[128];
    struct store_watch *watch = watch_folder(world, "t/log");
    uint64_t before = count(world, watch);
    snprintf(from, sizeof(from), "%s/t", world->folder);
    snprintf(to, sizeof(to), "%s/u", world->folder);
    assert_int_equal(rename(from, to), 0);
    put(world->store, "t/log/1");
    world->now_ns += 500000000;
    assert_int_equal(count(world, watch), before); /* nothing tells of that */
    world->now_ns += 2000000000;
    assert_int_equal(count(world, watch), 0);
    store_watch_close(watch);
}

static void file_systems_that_others_may_write_have_none(void **state)
{
    struct world *world = *state;
    static const long others[] = {NFS_SUPER_MAGIC,  OVERLAYFS_SUPER_MAGIC, V9FS_MAGIC,
                                  FUSE_SUPER_MAGIC, 0xff534d42 /* CIFS */, 0x12345};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        struct store_watch *watch;
        fake_magic = others[i];
        assert_int_equal(store_watch_open(world->store, SLICE("t/log"), &watch), GLIS_EUNSUPPORTED);
    }
    fake_magic = 0;
    struct store *memory;
    struct store_watch *watch;
    assert_ok(store_memory_open(&world->runtime, &memory));
    assert_int_equal(store_watch_open(memory, SLICE("t/log"), &watch), GLIS_EUNSUPPORTED);
    store_watchers_told(memory, SLICE("t/log"));
    store_close(memory);
}

static void the_root_of_an_instance_passes_watches_on(void **state)
{
    struct world *world = *state;
    struct store *own, *root;
    struct store_watch *watch;
    assert_ok(store_local_open(&world->runtime, world->folder, 0, &own));
    assert_ok(store_root_wrap(&world->runtime, own, &root));
    put(root, "tables/a/log/1");
    int code = store_watch_open(root, SLICE("tables/a/log"), &watch);
    if (code != GLIS_EUNSUPPORTED) {
        assert_ok(code);
        uint64_t before = count(world, watch);
        put(root, "tables/a/log/2");
        assert_true(count(world, watch) > before);
        store_watchers_told(root, SLICE("tables/a/log"));
        store_watch_close(watch);
    }
    store_close(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(each_change_moves_the_number_once_and_nothing_else_does),
        TEST(puts_of_other_processes_and_handles_are_heard),
        TEST(several_watches_share_a_queue),
        TEST(a_child_is_told_nothing_and_takes_nothing_away),
        TEST(a_queue_that_runs_over_is_a_change),
        TEST(a_folder_that_goes_or_moves_ends_its_watch),
        TEST(a_folder_above_that_is_exchanged_is_noticed_within_a_second),
        TEST(file_systems_that_others_may_write_have_none),
        TEST(the_root_of_an_instance_passes_watches_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
