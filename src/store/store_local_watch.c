/*
 * store_local_watch.c: knowing without a request that nobody has put anything into a folder.
 *
 * The kernel tells a watcher of a folder (inotify) of every name that is made in it or taken away,
 * whichever process of this machine does it and by whatever path or mount. It queues that before
 * the link or rename returns, so before a put is acknowledged: whoever then finds the queue empty
 * knows that nothing was put since it was empty last. That costs one system call that touches no
 * file. A watch has a number, which goes up whenever its queue was not empty; a queue that ran over
 * has an entry that says so, and counts as every other.
 *
 * Only where all who write do so through this kernel: file systems that are known to be local, by
 * the type of the folder's own. Never NFS, SMB, FUSE, 9p or overlays, where another machine, or the
 * layer below, may write unheard.
 *
 * Two gaps are closed by waiting for the folder's lock, which the kernel holds from before a name
 * can be found until it has queued the event (folder_pass):
 *   at the beginning  what was named while the watch began is either there to be read once it has
 *                     begun, or is told
 *   before the event  a reader can find a name a moment before those who watch are told of it. Who
 *                     goes by what it found, and lets others know, waits first
 *                     (store_watchers_told).
 *
 * A folder that is removed or moved ends its watches; one above it that is exchanged for another is
 * noticed within a second, for the path is looked up again (HOLD_NS).
 *
 * A child made by fork shares the queue and would take away what its parent has to see, so the
 * watcher's sign of life is a page that is empty after a fork: in the child all watches have ended.
 *
 * One queue for a store, made with its first watch, since a user has few of them (128).
 */
#include "store/store_local_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#define HOLD_NS     INT64_C(1000000000) /* how long a path is believed to lead to the same folder */
#define NAME_UNUSED ".glis-none" /* no object has it: parts of keys are never made that way */
enum { ROUNDS_MAX = 512 };       /* more than the queue holds where nobody has set it higher */

static const uint32_t EVENTS = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM |
                               IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
static const uint32_t ENDS = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;

struct local_watch {
    struct store_watch watch;
    struct local_watcher *watcher;
    struct local_watch *next;
    int descriptor;
    uint64_t count; /* 0: ended */
    dev_t device;
    ino_t inode;
    int64_t checked_ns;
    char *folder;
};

struct local_watcher {
    pthread_mutex_t lock; /* held during a read of the queue, which never waits */
    int queue;
    uint32_t *alive; /* 0 in a child */
    int root_fd;
    struct local_watch *first;
};

/* ---- the queue ---- */

static void watcher_close(struct local_watcher *watcher)
{
    if (watcher->queue >= 0) close(watcher->queue);
    if (watcher->alive) munmap(watcher->alive, (size_t)sysconf(_SC_PAGESIZE));
    pthread_mutex_destroy(&watcher->lock);
    free(watcher);
}

static int watcher_new(struct store_local *local, struct local_watcher **out)
{
    struct local_watcher *watcher = memory_alloc_zero(sizeof *watcher);
    ASSERT(pthread_mutex_init(&watcher->lock, NULL) == 0);
    watcher->root_fd = local->root_fd;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *alive = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    watcher->alive = alive == MAP_FAILED ? NULL : alive;
    watcher->queue = -1;
    int code = 0;
    if (!watcher->alive || madvise(watcher->alive, page, MADV_WIPEONFORK) < 0)
        code = error_set_errno(errno, "cannot have a page that a fork empties");
    if (code == 0) {
        *watcher->alive = 1;
        watcher->queue = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (watcher->queue < 0) code = error_set_errno(errno, "cannot watch any folder");
    }
    if (code < 0)
        watcher_close(watcher);
    else
        *out = watcher;
    return code;
}

void local_watcher_free(struct local_watcher *watcher)
{
    if (!watcher) return;
    ASSERT(!watcher->first);
    watcher_close(watcher);
}

/* An event, or with descriptor -1 something that concerns all. */
static void take_event(struct local_watcher *watcher, int descriptor, bool ends)
{
    for (struct local_watch *watch = watcher->first; watch; watch = watch->next) {
        if (descriptor >= 0 && watch->descriptor != descriptor) continue;
        if (ends)
            watch->count = 0;
        else if (watch->count)
            watch->count++;
    }
}

static void take_events(struct local_watcher *watcher, const char *bytes, size_t size)
{
    struct inotify_event event;
    for (size_t at = 0; at + sizeof event <= size; at += sizeof event + event.len) {
        memcpy(&event, bytes + at, sizeof event);
        take_event(watcher, event.mask & IN_Q_OVERFLOW ? -1 : event.wd, (event.mask & ENDS) != 0);
    }
}

/* Takes what is in the queue; the lock is held. */
static void queue_empty(struct local_watcher *watcher)
{
    char bytes[4096];
    for (int round = 0; round < ROUNDS_MAX; round++) {
        ssize_t n = read(watcher->queue, bytes, sizeof bytes);
        if (n > 0) {
            take_events(watcher, bytes, (size_t)n);
        } else if (n == 0 || errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            take_event(watcher, -1, true);
            return;
        }
    }
    take_event(watcher, -1, false); /* there may be more, and of every folder */
}

/* ---- watches ---- */

/* The path still leads to the folder that is watched. */
static bool is_in_place(const struct local_watch *watch)
{
    struct stat status;
    return fstatat(watch->watcher->root_fd, watch->folder, &status, 0) == 0 &&
           status.st_dev == watch->device && status.st_ino == watch->inode;
}

static uint64_t local_watch_count(struct store_watch *base, int64_t now_ns)
{
    struct local_watch *watch = (struct local_watch *)base;
    struct local_watcher *watcher = watch->watcher;
    if (!__atomic_load_n(watcher->alive, __ATOMIC_RELAXED)) return 0;
    pthread_mutex_lock(&watcher->lock);
    if (now_ns - watch->checked_ns > HOLD_NS) {
        if (!is_in_place(watch)) watch->count = 0;
        watch->checked_ns = now_ns;
    }
    queue_empty(watcher);
    uint64_t count = watch->count;
    pthread_mutex_unlock(&watcher->lock);
    return count;
}

static void local_watch_close(struct store_watch *base)
{
    struct local_watch *watch = (struct local_watch *)base;
    struct local_watcher *watcher = watch->watcher;
    pthread_mutex_lock(&watcher->lock);
    struct local_watch **at = &watcher->first;
    bool shared = false;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    for (const struct local_watch *other = watcher->first; other; other = other->next)
        shared = shared || other->descriptor == watch->descriptor;
    bool ours = __atomic_load_n(watcher->alive, __ATOMIC_RELAXED) != 0;
    if (!shared && ours) inotify_rm_watch(watcher->queue, watch->descriptor);
    pthread_mutex_unlock(&watcher->lock);
    free(watch->folder);
    free(watch);
}

/* File systems on which nobody writes but by this kernel. */
static bool is_of_this_machine(int fd)
{
    struct statfs status;
    if (fstatfs(fd, &status) < 0) return false;
    switch ((uint32_t)status.f_type) {
    case EXT4_SUPER_MAGIC: /* ext2 and ext3, too */
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC: return true;
    default: return false;
    }
}

/* Waits until nobody holds the folder's lock who holds it now: an exclusive rename of what is not
 * there takes the lock, finds that, and changes nothing. Where nothing may be renamed, since all is
 * mounted for reading only, reading the folder waits for it, too. */
static bool folder_pass(const struct store_local *local, const char *folder)
{
    char path[STORE_KEY_BYTES_MAX + sizeof "/" NAME_UNUSED];
    snprintf(path, sizeof path, "%s/" NAME_UNUSED, folder);
    if (syscall(SYS_renameat2, local->root_fd, path, local->root_fd, path, RENAME_NOREPLACE) < 0 &&
        errno == EROFS) {
        char entries[32768];
        int fd = openat(local->root_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool passed = fd >= 0 && syscall(SYS_getdents64, fd, entries, sizeof entries) >= 0;
        if (fd >= 0) close(fd);
        return passed;
    }
    return errno == ENOENT;
}

/* Asks for the events of an open folder; the lock is held. */
static int watch_begin(struct local_watch *watch, int folder)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/self/fd/%d", folder);
    if (fstat(folder, &status) < 0) return error_set_errno(errno, "cannot look at the folder");
    watch->device = status.st_dev;
    watch->inode = status.st_ino;
    watch->descriptor = inotify_add_watch(watch->watcher->queue, path, EVENTS);
    if (watch->descriptor < 0) return error_set_errno(errno, "cannot watch the folder");
    watch->next = watch->watcher->first;
    watch->watcher->first = watch;
    return 0;
}

static int folder_of(struct store_local *local, const char *path, int *out)
{
    *out = openat(local->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *out < 0 ? error_set_errno(errno, "cannot open the folder %s", path) : 0;
}

int local_watch_open(struct store *store, struct slice folder, struct store_watch **out)
{
    struct store_local *local = (struct store_local *)store;
    struct local_watch *watch = memory_alloc_zero(sizeof *watch);
    int fd = -1, code = 0;
    *watch = (struct local_watch){
        .watch = {local_watch_count, local_watch_close},
        .folder = memory_copy_text(folder),
        .count = 1,
        .checked_ns = local->runtime->clock->monotonic_ns(local->runtime->clock),
    };
    code = folder_of(local, watch->folder, &fd);
    if (code == 0 && !is_of_this_machine(fd))
        code = error_set(GLIS_EUNSUPPORTED, "its file system may be written by others unheard");
    pthread_mutex_lock(&local->lock);
    if (code == 0 && !local->watcher) code = watcher_new(local, &local->watcher);
    watch->watcher = local->watcher;
    pthread_mutex_unlock(&local->lock);
    bool begun = false;
    if (code == 0) {
        pthread_mutex_lock(&watch->watcher->lock);
        code = watch_begin(watch, fd);
        begun = code == 0;
        pthread_mutex_unlock(&watch->watcher->lock);
    }
    if (code == 0 && !folder_pass(local, watch->folder))
        code = error_set(GLIS_EUNSUPPORTED, "the lock of the folder cannot be waited for");
    if (fd >= 0) close(fd);
    if (code == 0) {
        *out = &watch->watch;
        return 0;
    }
    if (begun) {
        local_watch_close(&watch->watch);
    } else {
        free(watch->folder);
        free(watch);
    }
    return code;
}

void local_watchers_told(struct store *store, struct slice folder)
{
    struct store_local *local = (struct store_local *)store;
    char path[STORE_KEY_BYTES_MAX + 1];
    if (folder.size > STORE_KEY_BYTES_MAX) return;
    memcpy(path, folder.data, folder.size);
    path[folder.size] = '\0';
    (void)folder_pass(local, path); /* when the folder is gone, so are those who watched it */
}
