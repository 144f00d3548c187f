/*
 * test_store_local.c: what only a folder does: temporary files and what is left of them, folders
 * and permissions, full disks, links, addresses. Each test has a fresh folder. Disks that are full
 * or read-only are small file systems of their own, mounted in a child process; without the right
 * to mount they are skipped.
 */
#include "test.h"

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* These stand before the system's: tests of how many files are synced at once set what the file
 * system is and what a sync of it says, and count. */
static long fake_magic;
static int fake_failures; /* so many syncfs fail */
static unsigned n_syncfs, n_fsync;

int fstatfs(int fd, struct statfs *out)
{
    long code = syscall(SYS_fstatfs, fd, out);
    if (code == 0 && fake_magic) out->f_type = (__typeof__(out->f_type))fake_magic;
    return (int)code;
}

int syncfs(int fd)
{
    n_syncfs++;
    if (fake_failures == 0) return (int)syscall(SYS_syncfs, fd);
    fake_failures--;
    errno = EIO;
    return -1;
}

int fsync(int fd)
{
    n_fsync++;
    return (int)syscall(SYS_fsync, fd);
}

struct world {
    struct runtime runtime;
    char folder[64];
    struct store *store;
};

static struct pool *pool;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct world *world = memory_alloc_zero(sizeof(*world));
    world->runtime =
        (struct runtime){.clock = clock_system(), .random = random_system(), .pool = pool};
    snprintf(world->folder, sizeof(world->folder), "/tmp/glis-local-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    assert_ok(store_local_open(&world->runtime, world->folder, 0, &world->store));
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    store_close(world->store);
    nftw(world->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(world);
    return 0;
}

static const char *below(struct world *world, const char *name)
{
    static char path[4][512];
    static unsigned next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof(path[0]), "%s/%s", world->folder, name);
    return out;
}

static int put(struct store *store, const char *key, const char *body, unsigned flags)
{
    return store_put(store, slice_from_text(key), slice_from_text(body), flags);
}

static void assert_body(struct store *store, const char *key, const char *body)
{
    defer_buffer struct buffer buffer = BUFFER_INIT(1 << 20);
    assert_ok(store_get(store, slice_from_text(key), 0, STORE_TO_END, &buffer));
    assert_int_equal(buffer.size, strlen(body));
    assert_memory_equal(buffer.data, body, buffer.size);
}

static size_t count_keys(struct store *store)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    assert_ok(store_list(store, SLICE_EMPTY, SLICE_EMPTY, 0, &arena, &list));
    return list.n_objects;
}

static size_t count_unfinished(struct store *store)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_unfinished *unfinished;
    size_t n;
    assert_ok(store_unfinished_list(store, SLICE_EMPTY, &arena, &unfinished, &n));
    return n;
}

static void opening_says_what_is_wrong_with_a_folder(void **state)
{
    struct world *world = *state;
    struct store *store = NULL;
    assert_fails(store_local_open(&world->runtime, below(world, "no"), 0, &store), GLIS_ENOTFOUND,
                 "there is no folder");
    assert_ok(put(world->store, "file", "x", 0));
    assert_fails(store_local_open(&world->runtime, below(world, "file"), 0, &store), GLIS_EINVALID,
                 "is not a folder");
    assert_fails(store_local_open(&world->runtime, "", 0, &store), GLIS_EINVALID, "empty");
    assert_ok(store_local_open(&world->runtime, below(world, "a/b/c"), STORE_LOCAL_CREATE, &store));
    assert_ok(put(store, "x", "1", 0));
    store_close(store);
    assert_body(world->store, "a/b/c/x", "1");
}

static void nothing_is_written_by_opening_or_reading(void **state)
{
    struct world *world = *state;
    struct store_object object;
    assert_fails(store_head(world->store, SLICE("x"), &object), GLIS_ENOTFOUND, NULL);
    assert_int_equal(count_unfinished(world->store), 0);
    assert_true(access(below(world, ".glis-tmp"), F_OK) < 0);
}

static void a_read_only_store_refuses_all_writing(void **state)
{
    struct world *world = *state;
    struct store *store = NULL;
    struct store_upload *upload;
    assert_ok(put(world->store, "x", "1", 0));
    assert_ok(store_local_open(&world->runtime, world->folder, STORE_LOCAL_READ_ONLY, &store));
    assert_fails(put(store, "y", "1", 0), GLIS_EDENIED, "reading only");
    assert_fails(store_remove(store, &SLICE("x"), 1), GLIS_EDENIED, "reading only");
    assert_fails(store_upload_open(store, SLICE("y"), 0, &upload), GLIS_EDENIED, "reading only");
    assert_body(store, "x", "1");
    store_close(store);
}

static void leave(struct world *world, const char *name, time_t age_seconds)
{
    struct timespec times[2];
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &times[0]), 0);
    times[0].tv_sec -= age_seconds;
    times[1] = times[0];
    int fd = open(below(world, name), O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void leftovers_of_more_than_a_day_go_with_the_first_put_of_a_later_process(void **state)
{
    static const struct {
        const char *name;
        time_t age_seconds;
        bool stays;
    } cases[] = {
        {".glis-tmp/0123456789ab-0123456789abcdef.tables%2Fx", 25 * 3600, false},
        {".glis-tmp/0123456789ab-0123456789abcde0.tables%2Fx", 23 * 3600, true},
        {".glis-tmp/0123456789ab-0123456789abcde1.tables%2Fx", -48 * 3600, true}, /* the future */
        {".glis-tmp/0123456789AB-0123456789abcdef.tables%2Fx", 25 * 3600, true},
        {".glis-tmp/0123456789ab-0123456789abcdef", 25 * 3600, true},
        {".glis-tmp/notes.txt", 25 * 3600, true},
        {"0123456789ab-0123456789abcdef.object", 25 * 3600, true},
    };
    struct world *world = *state;
    struct store *store = NULL;
    assert_ok(put(world->store, "x", "1", 0));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        leave(world, cases[i].name, cases[i].age_seconds);
    assert_ok(put(world->store, "x", "2", 0)); /* not its first */
    assert_int_equal(access(below(world, cases[0].name), F_OK), 0);
    assert_ok(store_local_open(&world->runtime, world->folder, 0, &store));
    assert_ok(put(store, "y", "1", STORE_IF_ABSENT));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(access(below(world, cases[i].name), F_OK), cases[i].stays ? 0 : -1);
    store_close(store);
}

static void leftovers_of_the_dead_are_seen_and_can_be_removed(void **state)
{
    struct world *world = *state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* dies in the middle of a put in parts */
        struct store_upload *upload = NULL;
        if (store_upload_open(world->store, SLICE("tables/t%~/data/1.parquet"), 0, &upload) < 0 ||
            store_upload_write(upload, SLICE("half")) < 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(count_keys(world->store), 0);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_unfinished *unfinished;
    size_t n;
    assert_ok(store_unfinished_list(world->store, SLICE("tables/t%~/"), &arena, &unfinished, &n));
    assert_int_equal(n, 1);
    assert_true(slice_equal_text(unfinished[0].key, "tables/t%~/data/1.parquet"));
    int64_t now;
    assert_ok(store_time_ms(world->store, &now));
    assert_true(unfinished[0].begun_ms > now - 60000 && unfinished[0].begun_ms < now + 60000);
    /* it is in nobody's way */
    assert_ok(put(world->store, "tables/t%~/data/1.parquet", "whole", STORE_IF_ABSENT));
    assert_ok(store_unfinished_remove(world->store, &unfinished[0]));
    assert_ok(store_unfinished_remove(world->store, &unfinished[0]));
    assert_int_equal(count_unfinished(world->store), 0);
    struct store_unfinished wrong = {.id = SLICE("../tables")};
    assert_fails(store_unfinished_remove(world->store, &wrong), GLIS_EINVALID, "not the name");
    wrong.id = SLICE("a/b");
    assert_fails(store_unfinished_remove(world->store, &wrong), GLIS_EINVALID, "not the name");
}

static void no_put_leaves_a_temporary_file(void **state)
{
    struct world *world = *state;
    struct store_upload *upload;
    assert_ok(put(world->store, "a/b", "1", STORE_IF_ABSENT));
    assert_fails(put(world->store, "a/b", "2", STORE_IF_ABSENT), GLIS_EEXISTS, NULL);
    assert_ok(put(world->store, "a/b", "3", 0));
    assert_fails(put(world->store, "a", "4", 0), GLIS_EINVALID, "folder");
    assert_fails(put(world->store, "a/b/c", "4", 0), GLIS_EINVALID, "not a folder");
    assert_fails(put(world->store, "a/b/c", "4", STORE_IF_ABSENT), GLIS_EINVALID, "not a folder");
    assert_ok(store_upload_open(world->store, SLICE("a"), 0, &upload));
    assert_fails(store_upload_finish(upload), GLIS_EINVALID, "folder");
    char long_part[400];
    memset(long_part, 'x', sizeof(long_part));
    long_part[300] = '\0';
    assert_fails(put(world->store, long_part, "1", 0), GLIS_EINVALID, "longer than a file name");
    assert_int_equal(count_unfinished(world->store), 0);
    assert_body(world->store, "a/b", "3");
}

static void the_hidden_folder_is_no_place_for_objects(void **state)
{
    struct world *world = *state;
    assert_ok(put(world->store, "x", "1", 0));
    assert_fails(put(world->store, ".glis-tmp/x", "1", 0), GLIS_EINVALID, ".glis-tmp");
    assert_fails(put(world->store, ".glis-tmp", "1", 0), GLIS_EINVALID, ".glis-tmp");
    assert_ok(put(world->store, ".glis-tmpx", "1", 0));
    assert_ok(put(world->store, "a/.glis-tmp", "1", 0));
    assert_int_equal(count_keys(world->store), 3);
}

static void a_removed_folder_comes_back_with_the_next_put(void **state)
{
    struct world *world = *state;
    assert_ok(put(world->store, "a/b/c", "1", STORE_IF_ABSENT));
    assert_ok(store_remove(world->store, &SLICE("a/b/c"), 1));
    assert_int_equal(rmdir(below(world, "a/b")), 0);
    assert_int_equal(rmdir(below(world, "a")), 0);
    assert_ok(put(world->store, "a/b/c", "2", STORE_IF_ABSENT));
    assert_body(world->store, "a/b/c", "2");
}

static void links_are_read_but_never_written_through(void **state)
{
    struct world *world = *state;
    assert_ok(put(world->store, "target", "kept", 0));
    assert_int_equal(symlink("target", below(world, "link")), 0);
    assert_int_equal(symlink(".", below(world, "loop")), 0);
    assert_int_equal(symlink("nowhere", below(world, "dangling")), 0);
    assert_body(world->store, "link", "kept");
    assert_int_equal(count_keys(world->store), 2); /* target, link */
    assert_fails(put(world->store, "link", "new", STORE_IF_ABSENT), GLIS_EEXISTS, NULL);
    assert_fails(put(world->store, "dangling", "new", STORE_IF_ABSENT), GLIS_EEXISTS, NULL);
    assert_ok(put(world->store, "link", "new", 0));
    assert_body(world->store, "target", "kept");
    assert_body(world->store, "link", "new");
    assert_int_equal(mkfifo(below(world, "pipe"), 0600),
                     0); /* no object, and nobody waits for it */
    struct store_read read = {.key = SLICE("pipe"), .length = 1};
    assert_ok(store_read(world->store, &read, 1));
    assert_int_equal(read.outcome, GLIS_ENOTFOUND);
}

static void writing_beyond_a_limit_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){1000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char body[5000];
    memset(body, 'x', sizeof(body));
    int code = store_put(world->store, SLICE("x"), slice_make(body, sizeof(body)), STORE_IF_ABSENT);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(code, GLIS_ENOSPACE);
    assert_int_equal(count_keys(world->store), 0);
    assert_int_equal(count_unfinished(world->store), 0);
}

enum { MANY = 100 };

/* Puts MANY files in one folder and syncs them. */
static void put_and_sync_many(struct world *world)
{
    static char names[MANY][16];
    struct slice keys[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "many/%d", i);
        assert_ok(put(world->store, names[i], "x", STORE_DEFER_SYNC));
        keys[i] = slice_from_text(names[i]);
    }
    n_syncfs = n_fsync = 0;
    assert_ok(store_sync(world->store, keys, MANY));
}

/* Each way a folder and MANY files are made durable: by one call, or by MANY + 1. */
static void many_files_are_synced_at_once_only_where_that_counts(void **state)
{
    struct world *world = *state;
    static const long good[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC};
    static const long others[] = {OVERLAYFS_SUPER_MAGIC, FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC,
                                  CIFS_SUPER_MAGIC};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        fake_magic = good[i];
        put_and_sync_many(world);
        assert_int_equal(n_syncfs, 1);
        assert_int_equal(n_fsync, 0);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        fake_magic = others[i];
        put_and_sync_many(world);
        assert_int_equal(n_syncfs, 0);
        assert_int_equal(n_fsync, MANY + 1);
    }
    fake_magic = 0;
}

/* The failure may be of files whose sync comes after, and is told only once. */
static void after_a_failed_sync_of_all_files_are_asked_one_by_one(void **state)
{
    struct world *world = *state;
    fake_magic = EXT4_SUPER_MAGIC;
    fake_failures = 1;
    put_and_sync_many(world);
    assert_int_equal(n_fsync, MANY + 1);
    put_and_sync_many(world);
    assert_int_equal(n_syncfs, 0);
    assert_int_equal(n_fsync, MANY + 1);
    fake_magic = 0;
}

/* In a child with a file system of its own at the folder; its exit status: 0, 1 wrong, 77 not
 * allowed. */
static int mounted(struct world *world, int (*test)(struct world *world))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", world->folder, "tmpfs", 0, "size=64k") < 0)
            _exit(77);
        store_close(world->store);
        if (store_local_open(&world->runtime, world->folder, 0, &world->store) < 0) _exit(1);
        _exit(test(world));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int fill_the_disk(struct world *world)
{
    static char body[200000];
    struct store_object object;
    if (put(world->store, "log/1", "first", STORE_IF_ABSENT) < 0) return 2;
    if (store_put(world->store, SLICE("data/1"), slice_make(body, sizeof(body)), 0) !=
        GLIS_ENOSPACE)
        return 3;
    if (!strstr(error_message(), "data/1")) return 4;
    struct store_upload *upload = NULL;
    if (store_upload_open(world->store, SLICE("data/2"), 0, &upload) < 0) return 5;
    if (store_upload_write(upload, slice_make(body, sizeof(body))) != GLIS_ENOSPACE) return 6;
    store_upload_abort(upload);
    if (store_head(world->store, SLICE("data/1"), &object) != GLIS_ENOTFOUND) return 7;
    /* nothing half is left, so there is room again */
    return put(world->store, "log/2", "second", STORE_IF_ABSENT) < 0 ? 8 : 0;
}

static int write_on_a_read_only_disk(struct world *world)
{
    if (put(world->store, "a/1", "first", STORE_IF_ABSENT) < 0) return 2;
    if (mount("none", world->folder, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0) return 77;
    if (put(world->store, "a/2", "second", STORE_IF_ABSENT) != GLIS_EDENIED) return 3;
    if (store_remove(world->store, &SLICE("a/1"), 1) != GLIS_EDENIED) return 4;
    struct store_object object;
    return store_head(world->store, SLICE("a/1"), &object) < 0 ? 5 : 0;
}

static void a_full_disk_is_said_and_leaves_nothing_half(void **state)
{
    int status = mounted(*state, fill_the_disk);
    if (status == 77) skip();
    assert_int_equal(status, 0);
}

static void a_read_only_disk_is_denied(void **state)
{
    int status = mounted(*state, write_on_a_read_only_disk);
    if (status == 77) skip();
    assert_int_equal(status, 0);
}

static void a_folder_without_permission_is_denied(void **state)
{
    struct world *world = *state;
    assert_ok(put(world->store, "a/1", "first", 0));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* as nobody, for root may do everything */
        struct store *store = NULL;
        if (chmod(world->folder, 0755) < 0 || setgid(65534) < 0 || setuid(65534) < 0) _exit(77);
        if (store_local_open(&world->runtime, world->folder, 0, &store) < 0) _exit(2);
        if (put(store, "b", "1", STORE_IF_ABSENT) != GLIS_EDENIED) _exit(3);
        if (put(store, "a/2", "1", 0) != GLIS_EDENIED) _exit(4);
        if (store_remove(store, &SLICE("a/1"), 1) != GLIS_EDENIED) _exit(5);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void addresses_become_stores(void **state)
{
    struct world *world = *state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store *store = NULL;
    struct slice key;
    char address[600];
    assert_ok(put(world->store, "a b", "1", 0));
    snprintf(address, sizeof(address), "file://%s/a%%20b", world->folder);
    assert_ok(store_locate(&world->runtime, slice_from_text(address), &arena, &store, &key));
    assert_body(store, "a b", "1");
    assert_true(slice_equal_text(key, "a b"));
    store_close(store);
    snprintf(address, sizeof(address), "file://localhost%s", world->folder);
    assert_ok(store_locate_root(&world->runtime, slice_from_text(address), 0, &store));
    assert_body(store, "a b", "1");
    store_close(store);
    assert_ok(store_locate(&world->runtime, SLICE("meson.build"), &arena, &store, &key));
    assert_true(slice_equal_text(key, "meson.build"));
    store_close(store);
    assert_ok(store_locate(&world->runtime, SLICE("/etc"), &arena, &store, &key));
    assert_true(slice_equal_text(key, "etc"));
    store_close(store);
    static const struct {
        struct slice address;
        int code;
        const char *text;
    } wrong[] = {
        {SLICE(""), GLIS_EINVALID, "empty"},
        {SLICE("a\0b"), GLIS_EINVALID, "NUL"},
        {SLICE("gs://bucket/x"), GLIS_EUNSUPPORTED, "gs://"},
        {SLICE("https://x/y"), GLIS_EUNSUPPORTED, "https://"},
        {SLICE("file://host/x"), GLIS_EINVALID, "absolute path"},
        {SLICE("file:///x%2"), GLIS_EINVALID, "cut short"},
        {SLICE("file:///x%zz"), GLIS_EINVALID, "file:///x%zz"},
        {SLICE("file:///x%00"), GLIS_EINVALID, "NUL"},
        {SLICE("/tmp/"), GLIS_EINVALID, "names a folder"},
        {SLICE("/tmp/.."), GLIS_EINVALID, ".."},
        {SLICE("/no such folder/x"), GLIS_ENOTFOUND, "no such folder"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_fails(store_locate(&world->runtime, wrong[i].address, &arena, &store, &key),
                     wrong[i].code, wrong[i].text);
}

static void files_of_others_are_read_where_they_are_and_never_written(void **state)
{
    struct world *world = *state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice address, key;
    char path[128];
    assert_ok(put(world->store, "inside/a b%", "mine", 0));
    snprintf(path, sizeof(path), "%s/inside/a b%%", world->folder);
    assert_ok(store_foreign_address(slice_from_text(path), &arena, &address));
    char wanted[160];
    snprintf(wanted, sizeof(wanted), "file://%s/inside/a%%20b%%25", world->folder);
    assert_true(slice_equal_text(address, wanted));
    assert_ok(store_foreign_key(address, &arena, &key));
    struct store *other;
    char elsewhere[160];
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", world->folder);
    assert_ok(store_local_open(&world->runtime, elsewhere, STORE_LOCAL_CREATE, &other));
    assert_body(other, arena_copy_text(&arena, key), "mine");
    struct store_object object;
    assert_ok(store_head(other, key, &object));
    assert_int_equal(object.size, 4);
    assert_fails(store_put(other, key, SLICE("x"), 0), GLIS_EDENIED, "only read");
    assert_fails(store_put(other, key, SLICE("x"), STORE_IF_ABSENT), GLIS_EDENIED, "only read");
    assert_fails(store_remove(other, &key, 1), GLIS_EDENIED, "only read");
    struct store_upload *upload;
    assert_fails(store_upload_open(other, key, 0, &upload), GLIS_EDENIED, "only read");
    assert_body(world->store, "inside/a b%", "mine");
    store_close(other);
    static const struct {
        struct slice address;
        int code;
    } wrong[] = {
        {SLICE("/x/y"), GLIS_EINVALID},           {SLICE("s3://b/x"), GLIS_EUNSUPPORTED},
        {SLICE("file:///x/../y"), GLIS_EINVALID}, {SLICE("file:///x//y"), GLIS_EINVALID},
        {SLICE("file://host/x"), GLIS_EINVALID},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_fails(store_foreign_key(wrong[i].address, &arena, &key), wrong[i].code, NULL);
    assert_fails(store_foreign_address(SLICE("relative"), &arena, &address), GLIS_EINVALID, NULL);
}

int main(void)
{
#define LOCAL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {
        LOCAL_TEST(opening_says_what_is_wrong_with_a_folder),
        LOCAL_TEST(nothing_is_written_by_opening_or_reading),
        LOCAL_TEST(a_read_only_store_refuses_all_writing),
        LOCAL_TEST(leftovers_of_more_than_a_day_go_with_the_first_put_of_a_later_process),
        LOCAL_TEST(leftovers_of_the_dead_are_seen_and_can_be_removed),
        LOCAL_TEST(no_put_leaves_a_temporary_file),
        LOCAL_TEST(the_hidden_folder_is_no_place_for_objects),
        LOCAL_TEST(a_removed_folder_comes_back_with_the_next_put),
        LOCAL_TEST(links_are_read_but_never_written_through),
        LOCAL_TEST(writing_beyond_a_limit_leaves_nothing),
        LOCAL_TEST(many_files_are_synced_at_once_only_where_that_counts),
        LOCAL_TEST(after_a_failed_sync_of_all_files_are_asked_one_by_one),
        LOCAL_TEST(a_full_disk_is_said_and_leaves_nothing_half),
        LOCAL_TEST(a_read_only_disk_is_denied),
        LOCAL_TEST(a_folder_without_permission_is_denied),
        LOCAL_TEST(addresses_become_stores),
        LOCAL_TEST(files_of_others_are_read_where_they_are_and_never_written),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
