/*
 * store_local.c: a folder as an object store. A key is the path below the folder.
 *
 * A put writes a temporary file in the hidden folder .glis-tmp of the root, syncs it, gives it its
 * name, and syncs the folder that holds the name. The naming is the one moment at which the object
 * comes to be, whole: link(2), which fails when the name exists, for a conditional put (renameat2
 * with NOREPLACE on file systems that refuse links); rename(2), which replaces, for the others. A
 * conditional put first looks whether the name is taken: losing costs one stat, no write and no
 * sync. Those that put into one folder at the same moment wait for each other a little (put_wait),
 * so that all but the first lose that way, and do not all write and sync what only one can name.
 * The lock is the folder's, flock(2): it goes with the process that holds it, nothing rests on it,
 * and whoever has waited for long enough goes on without.
 *
 * If the process dies between any two system calls, this is what is left:
 *   before the naming    a file in .glis-tmp that nothing refers to; unfinished_list shows it
 *   between link and     the object is whole and its bytes are durable; its name may be lost with
 *   the sync of the folder   power; it was not acknowledged. A second name remains in .glis-tmp
 *   after that           the object is durable
 * No later run trips over any of it: temporary names are random and never looked for. The first put
 * of a process removes temporary files that nobody wrote to for a day (local_leftovers_remove). A
 * failure after the naming is answered GLIS_EUNKNOWN, for the object is there and may or may not
 * stay.
 *
 * The entry of a new folder must be durable as well. Before the first naming in a folder, this
 * process syncs the folders above it, whoever made them (another process may have been about to),
 * and remembers that. Deferred puts leave out the syncs of the file and of its folder; store_sync
 * makes them good: it starts the write-out of all files before it waits for the first, and syncs
 * each folder once; of many files it syncs the whole file system instead, where that can be relied
 * upon (sync_all).
 *
 * Links: the last part of a temporary name is created exclusively, so nothing is ever written
 * through a symbolic link; a rename replaces the link itself. Reads follow links, since users name
 * their files that way; lists do not descend into linked folders, so there are no loops.
 */
#include "store/store_local_int.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { SYNC_ALL_MIN = 64 }; /* files from which on one sync of everything is cheaper */
enum { WAIT_MS_MAX = 50 };  /* for others that put into the same folder */

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

struct local_upload {
    struct store_upload upload;
    char *key;
    unsigned flags;
    int fd;
    char name[LOCAL_TEMP_NAME_BYTES];
};

static int folder_open(const char *folder, unsigned flags, int *out);
static int folder_make(const char *folder);
static int put_whole(struct store_local *local, struct slice key, const char *path,
                     struct slice body, unsigned flags);
static bool path_up(char *path);
static int temp_create(struct store_local *local, struct slice key, char *name, int *fd);
static int temp_folder(struct store_local *local);
static void temp_remove(struct store_local *local, const char *name);
static int temp_publish(struct store_local *local, const char *name, const char *key,
                        unsigned flags);
static int name_object(struct store_local *local, const char *name, const char *key,
                       unsigned flags);
static int link_object(struct store_local *local, const char *name, const char *key);
static int parents_make(struct store_local *local, const char *key);
static int parents_settle(struct store_local *local, const char *key);
static int parent_sync(struct store_local *local, const char *key);
static int folder_sync(struct store_local *local, const char *path);
static int write_all(const struct store *store, int fd, struct slice bytes);
static int sync_fd(int fd);
static void read_one(struct store_local *local, struct store_read *read, int fd,
                     uint64_t object_size);
static const struct store_ops local_ops;

static struct store_local *local_of(struct store *store)
{
    return (struct store_local *)store;
}

/* ---- opening ---- */

int store_local_open(struct runtime *runtime, const char *folder, unsigned flags,
                     struct store **out)
{
    int fd = -1;
    TRY(folder_open(folder, flags, &fd));
    struct store_local *local = memory_alloc_zero(sizeof(*local));
    defer_buffer struct buffer description = BUFFER_INIT(1 << 16);
    int code = buffer_printf(&description, "folder %s", folder);
    if (code < 0) {
        close(fd);
        free(local);
        return code;
    }
    store_init(&local->store, &local_ops, memory_copy_text(buffer_slice(&description)), true);
    local->runtime = runtime;
    local->root_fd = fd;
    local->temp_fd = -1;
    local->read_only = (flags & STORE_LOCAL_READ_ONLY) != 0;
    ASSERT(pthread_mutex_init(&local->lock, NULL) == 0);
    ASSERT(pthread_mutex_init(&local->sync_lock, NULL) == 0);
    *out = &local->store;
    return 0;
}

static int folder_open(const char *folder, unsigned flags, int *out)
{
    if (folder[0] == '\0') return error_set(GLIS_EINVALID, "the name of a folder is empty");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && (flags & STORE_LOCAL_CREATE)) {
        TRY(folder_make(folder));
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0 && errno == ENOENT)
        return error_set(GLIS_ENOTFOUND, "there is no folder %s", folder);
    if (fd < 0 && errno == ENOTDIR) return error_set(GLIS_EINVALID, "%s is not a folder", folder);
    if (fd < 0) return error_set_errno(errno, "cannot open the folder %s", folder);
    *out = fd;
    return 0;
}

/* Makes a folder and those above it; each new name is synced in the folder that holds it. */
static int folder_make(const char *folder)
{
    defer_free char *path = memory_copy_text(slice_from_text(folder));
    for (char *end = path + 1;; end++) {
        if (*end != '/' && *end != '\0') continue;
        char cut = *end;
        *end = '\0';
        if (mkdir(path, 0777) == 0) {
            char *slash = strrchr(path, '/');
            char kept = slash ? slash[1] : '\0';
            if (slash) slash[1] = '\0';
            int above = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (slash) slash[1] = kept;
            int code = above < 0 ? error_set_errno(errno, "cannot open the folder above %s", path)
                                 : sync_fd(above);
            if (above >= 0) close(above);
            TRY(code);
        } else if (errno != EEXIST) {
            return error_set_errno(errno, "cannot make the folder %s", path);
        }
        if (cut == '\0') return 0;
        *end = cut;
    }
}

static void local_close(struct store *store)
{
    struct store_local *local = local_of(store);
    local_watcher_free(local->watcher);
    close(local->root_fd);
    if (local->temp_fd >= 0) close(local->temp_fd);
    free(local->settled);
    pthread_mutex_destroy(&local->lock);
    pthread_mutex_destroy(&local->sync_lock);
    free(local);
}

static int local_time_ms(struct store *store, int64_t *out)
{
    struct clock *clock = local_of(store)->runtime->clock;
    *out = clock->wall_ms(clock);
    return 0;
}

/* ---- keys as paths ---- */

/* The key as a NUL-terminated path below the root. Keys are well formed already: no part is empty,
 * "." or "..", so a path cannot leave the root, save through a link that its owner made. The one
 * exception is what store_foreign_key makes, which is an absolute path and only read. */
static int key_path(struct slice key, bool reading, char path[STORE_KEY_BYTES_MAX + 1])
{
    if (slice_starts_with(key, SLICE(STORE_FOREIGN_PREFIX "/"))) {
        if (!reading) return error_set(GLIS_EDENIED, "a file that is not Glis's is only read");
        key = slice_part(key, strlen(STORE_FOREIGN_PREFIX), key.size);
    }
    if (slice_starts_with(key, SLICE(LOCAL_TEMP_FOLDER)) &&
        (key.size == strlen(LOCAL_TEMP_FOLDER) || key.data[strlen(LOCAL_TEMP_FOLDER)] == '/'))
        return error_set(GLIS_EINVALID, "the folder " LOCAL_TEMP_FOLDER " is for temporary files");
    memcpy(path, key.data, key.size);
    path[key.size] = '\0';
    return 0;
}

/* As error_set_errno, for a path made of a key. */
static int path_error(int system_errno, const char *what)
{
    if (system_errno == ENAMETOOLONG)
        return error_set(GLIS_EINVALID, "%s: a part of the key is longer than a file name may be",
                         what);
    if (system_errno == ENOTDIR)
        return error_set(GLIS_EINVALID, "%s: a part of the key is a file, not a folder", what);
    if (system_errno == EISDIR)
        return error_set(GLIS_EINVALID, "%s: the key is the name of a folder", what);
    return error_set_errno(system_errno, "%s", what);
}

static int refuse_writing(const struct store_local *local)
{
    if (local->read_only)
        return error_set(GLIS_EDENIED, "%s was opened for reading only", local->store.description);
    return 0;
}

/* ---- putting ---- */

static bool name_is_taken(struct store_local *local, const char *path)
{
    struct stat status;
    return fstatat(local->root_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Waits until nobody else puts into the folder of a key, or the key is there, or it has been long
 * enough. *lock is then closed by the caller; -1: there is none to be had. */
static void put_wait(struct store_local *local, const char *path, int *lock)
{
    char folder[STORE_KEY_BYTES_MAX + 1];
    memcpy(folder, path, strlen(path) + 1);
    *lock =
        openat(local->root_fd, path_up(folder) ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct clock *clock = local->runtime->clock;
    for (int ms = 0; *lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB) < 0; ms++) {
        if (errno != EWOULDBLOCK || ms >= WAIT_MS_MAX || name_is_taken(local, path)) return;
        clock->sleep_ms(clock, 1);
    }
}

static int put_absent(struct store_local *local, struct slice key, const char *path,
                      struct slice body, unsigned flags)
{
    int lock = -1, code;
    if (name_is_taken(local, path)) return error_set(GLIS_EEXISTS, "the object exists already");
    put_wait(local, path, &lock);
    if (name_is_taken(local, path))
        code = error_set(GLIS_EEXISTS, "the object exists already");
    else
        code = put_whole(local, key, path, body, flags);
    if (lock >= 0) close(lock);
    return code;
}

static int local_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct store_local *local = local_of(store);
    char path[STORE_KEY_BYTES_MAX + 1];
    TRY(refuse_writing(local));
    TRY(key_path(key, false, path));
    return flags & STORE_IF_ABSENT ? put_absent(local, key, path, body, flags)
                                   : put_whole(local, key, path, body, flags);
}

static int put_whole(struct store_local *local, struct slice key, const char *path,
                     struct slice body, unsigned flags)
{
    char name[LOCAL_TEMP_NAME_BYTES];
    int fd = -1;
    TRY(temp_create(local, key, name, &fd));
    int code = write_all(&local->store, fd, body);
    if (code == 0 && !(flags & STORE_DEFER_SYNC)) code = sync_fd(fd);
    if (close(fd) < 0 && code == 0) code = error_set_errno(errno, "cannot close a temporary file");
    if (code < 0) {
        temp_remove(local, name);
        return code;
    }
    return temp_publish(local, name, path, flags);
}

/* Gives a finished temporary file its name, durably unless deferred. The temporary name is gone
 * after this, whatever the outcome. */
static int temp_publish(struct store_local *local, const char *name, const char *key,
                        unsigned flags)
{
    int code = parents_settle(local, key);
    if (code == 0) code = name_object(local, name, key, flags);
    if (code < 0) {
        temp_remove(local, name);
        return code;
    }
    if (flags & STORE_DEFER_SYNC) return 0;
    if (parent_sync(local, key) < 0) { /* the object is there, and may or may not stay */
        struct error_detail detail;
        error_save(&detail);
        return error_set(GLIS_EUNKNOWN,
                         "the object has its name, but that is not known to be "
                         "durable: %.800s",
                         detail.text);
    }
    return 0;
}

static int name_object(struct store_local *local, const char *name, const char *key, unsigned flags)
{
    for (int attempt = 0;; attempt++) {
        int failed;
        if (flags & STORE_IF_ABSENT)
            failed = link_object(local, name, key);
        else
            failed = renameat(local->temp_fd, name, local->root_fd, key) < 0 ? errno : 0;
        if (failed == 0) return 0;
        if (failed == EEXIST && (flags & STORE_IF_ABSENT))
            return error_set(GLIS_EEXISTS, "the object exists already");
        if (failed == EINVAL || failed == ENOSYS || failed == EOPNOTSUPP)
            return error_set(GLIS_EUNSUPPORTED,
                             "%s: its file system has neither hard links nor an exclusive rename; "
                             "use another one",
                             local->store.description);
        if (failed == EXDEV)
            return error_set(
                GLIS_EUNSUPPORTED,
                "%s: the folder of %s lies on another file system; a store lies on one",
                local->store.description, key);
        if (failed != ENOENT || attempt == 3) /* a folder above may have been removed since */
            return path_error(failed, "cannot name the object");
        TRY(parents_make(local, key));
    }
}

/* Returns 0 or an errno. On success the temporary name is gone or, at worst, a leftover. */
static int link_object(struct store_local *local, const char *name, const char *key)
{
    if (linkat(local->temp_fd, name, local->root_fd, key, 0) == 0) {
        temp_remove(local, name);
        return 0;
    }
    int failed = errno;
    if (failed != EPERM && failed != EOPNOTSUPP && failed != ENOSYS && failed != EMLINK)
        return failed;
    if (syscall(SYS_renameat2, local->temp_fd, name, local->root_fd, key, RENAME_NOREPLACE) == 0)
        return 0;
    return errno;
}

static int temp_create(struct store_local *local, struct slice key, char *name, int *fd)
{
    TRY(temp_folder(local));
    for (int attempt = 0; attempt < 8; attempt++) {
        local_temp_name(local->runtime, key, name);
        *fd = openat(local->temp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                     0666);
        if (*fd >= 0) {
            if (!atomic_exchange(&local->has_swept, true)) local_leftovers_remove(local, *fd);
            return 0;
        }
        if (errno == ENOENT) /* somebody removed the folder under us */
            return error_set(GLIS_EIO, "the folder " LOCAL_TEMP_FOLDER " of %s was removed",
                             local->store.description);
        if (errno != EEXIST && errno != EINTR) break;
    }
    return error_set_errno(errno, "cannot make a temporary file in %s", local->store.description);
}

/* Opens the folder of temporary files, made at the first write. */
static int temp_folder(struct store_local *local)
{
    pthread_mutex_lock(&local->lock);
    int code = 0;
    if (local->temp_fd < 0) {
        if (mkdirat(local->root_fd, LOCAL_TEMP_FOLDER, 0777) < 0 && errno != EEXIST)
            code = error_set_errno(errno, "cannot write in %s", local->store.description);
        if (code == 0) {
            local->temp_fd = openat(local->root_fd, LOCAL_TEMP_FOLDER,
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (local->temp_fd < 0)
                code = error_set_errno(errno, "cannot open the folder " LOCAL_TEMP_FOLDER " of %s",
                                       local->store.description);
        }
    }
    pthread_mutex_unlock(&local->lock);
    return code;
}

static void temp_remove(struct store_local *local, const char *name)
{
    unlinkat(local->temp_fd, name, 0); /* what stays is a leftover that unfinished_list shows */
}

/* ---- folders ---- */

/* Cuts the last part off; false when the key stands in the root. */
static bool path_up(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash) return false;
    *slash = '\0';
    return true;
}

/* Makes the folders of a key that are not there. */
static int parents_make(struct store_local *local, const char *key)
{
    char path[STORE_KEY_BYTES_MAX + 1];
    memcpy(path, key, strlen(key) + 1);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdirat(local->root_fd, path, 0777) == 0;
        if (!made && errno != EEXIST) return path_error(errno, "cannot make the object's folder");
        if (made) TRY(parent_sync(local, path));
        *slash = '/';
    }
    return 0;
}

/* Before the first naming in a folder: it exists, and so do durable names for it and all above. */
static int parents_settle(struct store_local *local, const char *key)
{
    char path[STORE_KEY_BYTES_MAX + 1];
    memcpy(path, key, strlen(key) + 1);
    if (!path_up(path) || local_settled(local, path, false)) return 0;
    TRY(parents_make(local, key));
    char above[STORE_KEY_BYTES_MAX + 1];
    memcpy(above, path, strlen(path) + 1);
    do
        TRY(parent_sync(local, above));
    while (path_up(above));
    local_settled(local, path, true);
    return 0;
}

/* Syncs the folder that holds the name `key`. */
static int parent_sync(struct store_local *local, const char *key)
{
    char path[STORE_KEY_BYTES_MAX + 1];
    memcpy(path, key, strlen(key) + 1);
    return folder_sync(local, path_up(path) ? path : ".");
}

static int folder_sync(struct store_local *local, const char *path)
{
    int fd = openat(local->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(errno, "cannot open the folder %s", path);
    int code = sync_fd(fd);
    close(fd);
    return code;
}

static int write_all(const struct store *store, int fd, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t n = write(fd, bytes.data, bytes.size < (1u << 30) ? bytes.size : 1u << 30);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(errno, "cannot write a file in %s", store->description);
        bytes = slice_part(bytes, (size_t)n, bytes.size);
    }
    return 0;
}

/* File systems that cannot sync a folder say EINVAL; there is nothing more to be had from them. */
static int sync_fd(int fd)
{
    while (fsync(fd) < 0) {
        if (errno == EINTR) continue;
        if (errno == EINVAL || errno == ENOTSUP) return 0;
        return error_set_errno(errno, "cannot make a file durable");
    }
    return 0;
}

/* ---- reading ---- */

static void local_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct store_local *local = local_of(store);
    struct error_detail first = {0};
    int fd = -1, opened = 0;
    uint64_t object_size = 0;
    for (size_t i = 0; i < n_reads; i++) {
        if (i == 0 || !slice_equal(reads[i].key, reads[i - 1].key)) {
            if (fd >= 0) close(fd);
            opened = local_object_open(local, reads[i].key, &fd, &object_size);
        }
        if (opened == 0)
            read_one(local, &reads[i], fd, object_size);
        else
            reads[i].outcome = opened;
        if (reads[i].outcome != 0 && reads[i].outcome != GLIS_ENOTFOUND && first.code == 0)
            error_save(&first);
    }
    if (fd >= 0) close(fd);
    if (first.code != 0) (void)error_load(&first);
}

int local_object_open(struct store_local *local, struct slice key, int *fd, uint64_t *size)
{
    char path[STORE_KEY_BYTES_MAX + 1];
    *fd = -1;
    TRY(key_path(key, true, path));
    do
        *fd = openat(local->root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (*fd < 0 && errno == EINTR);
    if (*fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
            return error_set(GLIS_ENOTFOUND, "no such object");
        return error_set_errno(errno, "cannot open the file");
    }
    struct stat status;
    int code = 0;
    if (fstat(*fd, &status) < 0)
        code = error_set_errno(errno, "cannot look at the file");
    else if (!S_ISREG(status.st_mode))
        code = error_set(GLIS_ENOTFOUND, "not a regular file");
    if (code < 0) {
        close(*fd);
        *fd = -1;
        return code;
    }
    *size = (uint64_t)status.st_size;
    return 0;
}

static void read_one(struct store_local *local, struct store_read *read, int fd,
                     uint64_t object_size)
{
    (void)local;
    uint64_t start, size, got = 0;
    read->outcome = store_range(read, object_size, &start, &size);
    if (read->outcome < 0) return;
    struct block *block = NULL;
    read->outcome = block_new(&block, read->budget, size);
    if (read->outcome < 0) return;
    while (got < size) {
        uint64_t want = size - got < (1u << 30) ? size - got : 1u << 30;
        ssize_t n = pread(fd, block->data + got, want, (off_t)(start + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            read->outcome = n < 0
                                ? error_set_errno(errno, "cannot read the file")
                                : error_set(GLIS_EIO, "the file became shorter while it was read");
            block_release(block);
            return;
        }
        got += (uint64_t)n;
    }
    read->block = block;
    read->data = block->data;
    read->size = size;
    read->object_size = object_size;
}

static int local_head(struct store *store, struct slice key, struct store_object *out)
{
    char path[STORE_KEY_BYTES_MAX + 1];
    TRY(key_path(key, true, path));
    struct stat status;
    if (fstatat(local_of(store)->root_fd, path, &status, 0) < 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
            return error_set(GLIS_ENOTFOUND, "no such object");
        return error_set_errno(errno, "cannot look at the file");
    }
    if (!S_ISREG(status.st_mode)) return error_set(GLIS_ENOTFOUND, "not a regular file");
    out->size = (uint64_t)status.st_size;
    out->modified_ms = local_modified_ms(&status);
    return 0;
}

/* ---- removing, syncing ---- */

static int local_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct store_local *local = local_of(store);
    TRY(refuse_writing(local));
    struct error_detail first = {0};
    for (size_t i = 0; i < n_keys; i++) {
        char path[STORE_KEY_BYTES_MAX + 1];
        int code = key_path(keys[i], false, path);
        if (code == 0 && unlinkat(local->root_fd, path, 0) < 0 && errno != ENOENT &&
            errno != ENOTDIR && errno != ENAMETOOLONG && errno != EISDIR)
            code = error_set_errno(errno, "cannot remove %s", path);
        if (code < 0 && first.code == 0) error_save(&first);
    }
    int code = local_parents_sync(local, keys, n_keys);
    if (code < 0 && code != GLIS_ENOTFOUND && first.code == 0) error_save(&first);
    return first.code ? error_load(&first) : 0;
}

/* Whether syncfs tells of what could not be written: since Linux 5.8. */
static bool syncfs_reports(void)
{
    struct utsname name;
    uint64_t numbers[2] = {0, 0};
    if (uname(&name) != 0) return false;
    struct slice left = slice_from_text(name.release);
    for (int i = 0; i < 2; i++) {
        size_t end = 0;
        while (end < left.size && left.data[end] >= '0' && left.data[end] <= '9')
            end++;
        if (text_parse_uint64(slice_part(left, 0, end), &numbers[i]) < 0) {
            error_clear();
            return false;
        }
        left = slice_part(left, end + 1, left.size);
    }
    return numbers[0] > 5 || (numbers[0] == 5 && numbers[1] >= 8);
}

/* Whether a syncfs of the file system that holds the root is as good as an fsync of its files. Only
 * where that is known: FUSE and CIFS do not pass it on to their servers, and overlayfs does not say
 * what its upper layer failed to write. */
static bool syncfs_is_whole(const struct store_local *local)
{
    struct statfs status;
    if (fstatfs(local->root_fd, &status) < 0) return false;
    switch ((uint32_t)status.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC: return syncfs_reports();
    default: return false;
    }
}

/* Whether one syncfs says that all is durable. The system tells of a failed write only once by this
 * descriptor, and not of which file, so after a failure no later success proves anything: files are
 * then synced one by one, each of which has its own failure told. */
static bool root_sync(struct store_local *local)
{
    pthread_mutex_lock(&local->sync_lock);
    if (!local->sync_failed) local->sync_failed = syncfs(local->root_fd) < 0;
    bool good = !local->sync_failed;
    pthread_mutex_unlock(&local->sync_lock);
    return good;
}

/* Many files at once: each fsync would wait for a commit of the file system's journal, and one
 * syncfs waits for one. It also writes what others have not written yet, so it is not for few. The
 * root was opened before anything was written, so no failed write is missed. *done is false when
 * nothing can be said that way, and when files lie in another file system than the root. */
static int sync_all(struct store_local *local, const struct slice *keys, size_t n_keys, bool *done)
{
    struct stat root, status;
    *done = false;
    if (!syncfs_is_whole(local)) return 0;
    if (fstat(local->root_fd, &root) < 0) return error_set_errno(errno, "cannot look at the root");
    for (size_t i = 0; i < n_keys; i++) {
        int fd;
        uint64_t size;
        TRY_CONTEXT(local_object_open(local, keys[i], &fd, &size), "%.*s", SLICE_PRINT(keys[i]));
        bool same = fstat(fd, &status) == 0 && status.st_dev == root.st_dev;
        close(fd);
        if (!same) return 0;
    }
    *done = root_sync(local);
    return 0;
}

static int local_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct store_local *local = local_of(store);
    TRY(refuse_writing(local));
    bool done = false;
    if (n_keys >= SYNC_ALL_MIN) TRY(sync_all(local, keys, n_keys, &done));
    if (done) return 0;
    for (int pass = n_keys > 1 ? 0 : 1; pass < 2; pass++) {
        for (size_t i = 0; i < n_keys; i++) {
            int fd = -1;
            uint64_t size;
            TRY_CONTEXT(local_object_open(local, keys[i], &fd, &size), "%.*s",
                        SLICE_PRINT(keys[i]));
            int code = 0;
            if (pass == 0) /* only begins the write-out; its failure shows in the second pass */
                (void)!sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
            else
                code = sync_fd(fd);
            close(fd);
            TRY_CONTEXT(code, "%.*s", SLICE_PRINT(keys[i]));
        }
    }
    return local_parents_sync(local, keys, n_keys);
}

int local_parents_sync(struct store_local *local, const struct slice *keys, size_t n_keys)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice *folders = ARENA_ARRAY(&arena, struct slice, n_keys);
    size_t n = local_distinct_folders(keys, n_keys, folders);
    for (size_t i = 0; i < n; i++)
        TRY(folder_sync(local, folders[i].size ? arena_copy_text(&arena, folders[i]) : "."));
    return 0;
}

/* ---- putting in parts ---- */

static int local_upload_open(struct store *store, struct slice key, unsigned flags,
                             struct store_upload **out)
{
    struct store_local *local = local_of(store);
    char path[STORE_KEY_BYTES_MAX + 1], name[LOCAL_TEMP_NAME_BYTES];
    int fd = -1;
    TRY(refuse_writing(local));
    TRY(key_path(key, false, path));
    TRY(temp_create(local, key, name, &fd));
    struct local_upload *upload = memory_alloc_zero(sizeof(*upload));
    upload->key = memory_copy_text(key);
    upload->flags = flags;
    upload->fd = fd;
    memcpy(upload->name, name, sizeof(name));
    *out = &upload->upload;
    return 0;
}

static int local_upload_write(struct store_upload *base, struct slice part)
{
    return write_all(base->store, ((struct local_upload *)base)->fd, part);
}

static int local_upload_finish(struct store_upload *base)
{
    struct local_upload *upload = (struct local_upload *)base;
    struct store_local *local = local_of(base->store);
    int code = upload->flags & STORE_DEFER_SYNC ? 0 : sync_fd(upload->fd);
    if (close(upload->fd) < 0 && code == 0)
        code = error_set_errno(errno, "cannot close a temporary file");
    if (code == 0)
        code = temp_publish(local, upload->name, upload->key, upload->flags);
    else
        temp_remove(local, upload->name);
    if (code < 0) error_context("putting %s", upload->key);
    free(upload->key);
    free(upload);
    return code;
}

static void local_upload_abort(struct store_upload *base)
{
    struct local_upload *upload = (struct local_upload *)base;
    close(upload->fd);
    temp_remove(local_of(base->store), upload->name);
    free(upload->key);
    free(upload);
}

static int local_unfinished_remove(struct store *store, const struct store_unfinished *unfinished)
{
    struct store_local *local = local_of(store);
    TRY(refuse_writing(local));
    if (unfinished->id.size == 0 || unfinished->id.size >= LOCAL_TEMP_NAME_BYTES ||
        unfinished->id.data[0] == '.' || memchr(unfinished->id.data, '/', unfinished->id.size) ||
        memchr(unfinished->id.data, '\0', unfinished->id.size))
        return error_set(GLIS_EINVALID, "'%.*s' is not the name of an unfinished put",
                         SLICE_PRINT(unfinished->id));
    TRY(temp_folder(local));
    defer_free char *name = memory_copy_text(unfinished->id);
    if (unlinkat(local->temp_fd, name, 0) < 0 && errno != ENOENT)
        return error_set_errno(errno, "cannot remove the temporary file %s", name);
    return 0;
}

static const struct store_ops local_ops = {
    .put = local_put,
    .read = local_read,
    .head = local_head,
    .list = local_list,
    .remove = local_remove,
    .sync = local_sync,
    .upload_open = local_upload_open,
    .upload_write = local_upload_write,
    .upload_finish = local_upload_finish,
    .upload_abort = local_upload_abort,
    .unfinished_list = local_unfinished_list,
    .unfinished_remove = local_unfinished_remove,
    .time_ms = local_time_ms,
    .watch_open = local_watch_open,
    .watchers_told = local_watchers_told,
    .close = local_close,
};

struct store_local *store_local_of(struct store *store)
{
    return store->ops == &local_ops ? local_of(store) : NULL;
}
