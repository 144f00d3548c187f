/*
 * store_cache_disk.c: pieces on the disk of this machine, shared by all processes of a user.
 *
 * A piece is a file FOLDER/pieces/XX/<30 hex>, named by its id: a header of 64 bytes (magic, sizes,
 * id and a checksum over header and bytes), then the bytes. It is written under a temporary name
 * and renamed, so that a reader finds a whole piece or none; nothing is synced, because what a
 * crash of the machine leaves behind fails its checksum, is removed and fetched again.
 *
 * No daemon and no shared count: the truth about what is used is the folders themselves. They form
 * groups, each with an equal share of the limit. Every put throws a die, and about once for an
 * eighth of a group's share the group is looked through and its pieces that were not used for
 * longest go, until seven eighths are left. So the limit holds on average to about an eighth,
 * whoever writes and however they die; two processes that clean at once are kept apart by a lock on
 * the folder that nobody waits for. The time of last use is the file's time of change, set by a hit
 * when it is older than a minute.
 *
 * Folders are 0700 and files 0600. A folder that belongs to somebody else or that others may write
 * is refused: its pieces could be anything. When the disk is full or refuses, one warning says so,
 * and this process writes no more; it goes on reading.
 */
#include "store/store_cache_int.h"

#include "base/logger.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEADER_BYTES = 64,
    FOLDERS = 256,
    GROUP_PIECES = 64,      /* that a group's share should hold at least */
    USE_NOTED_SECONDS = 60, /* a hit is noted when the last one is longer ago */
    TEMPORARY_SECONDS = 60, /* a temporary file of a dead process goes after this */
    PATH_BYTES = 4096,
};
#define MAGIC "GLISPC1\n"

struct header {
    char magic[8];
    uint64_t object_size;
    struct hash128 id;
    uint32_t size;
    uint32_t zero[5];
    uint64_t checksum; /* of the header with zero here, and the bytes */
};
_Static_assert(sizeof(struct header) == HEADER_BYTES, "the header has 64 bytes");

struct cache_disk {
    struct runtime *runtime;
    int fd; /* FOLDER/pieces */
    uint64_t limit_bytes, share_bytes;
    unsigned n_groups;
    _Atomic unsigned n_temporary;
    _Atomic bool is_off; /* for writing */
    char *folder;
};

static void group_clean(struct cache_disk *disk, unsigned group);

/* ---- opening ---- */

static int folder_make(const char *path)
{
    char part[PATH_BYTES];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part) return error_set(GLIS_EINVALID, "a path is too long");
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return error_set_errno(errno, "making folder %s", part);
    }
    return 0;
}

static int pieces_open(const char *folder, int *out)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(errno, "opening folder %s", folder);
    struct stat status;
    int code = 0;
    if (fstat(fd, &status) < 0)
        code = error_set_errno(errno, "looking at folder %s", folder);
    else if (status.st_uid != geteuid() || (status.st_mode & 022))
        code = error_set(GLIS_EDENIED, "%s belongs to another user, or others may write to it",
                         folder);
    if (code < 0)
        close(fd);
    else
        *out = fd;
    return code;
}

int cache_disk_open(struct runtime *runtime, const char *folder, uint64_t limit_bytes,
                    struct cache_disk **out)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/pieces", folder);
    if (n < 0 || (size_t)n >= sizeof path) return error_set(GLIS_EINVALID, "a path is too long");
    int fd = -1;
    TRY(folder_make(path));
    TRY(pieces_open(path, &fd));
    struct cache_disk *disk = memory_alloc_zero(sizeof *disk);
    disk->runtime = runtime;
    disk->fd = fd;
    disk->limit_bytes = limit_bytes;
    disk->folder = memory_copy_text(slice_from_text(folder));
    disk->n_groups = 1;
    while (disk->n_groups < FOLDERS &&
           limit_bytes / (2 * disk->n_groups) >= (uint64_t)GROUP_PIECES * CACHE_PIECE_BYTES)
        disk->n_groups *= 2;
    disk->share_bytes = limit_bytes / disk->n_groups;
    *out = disk;
    return 0;
}

void cache_disk_close(struct cache_disk *disk)
{
    if (!disk) return;
    close(disk->fd);
    free(disk->folder);
    free(disk);
}

/* "a7/…": where a piece lies below `fd`. */
static unsigned piece_path(struct hash128 id, char out[HASH128_HEX_BYTES + 2])
{
    char hex[HASH128_HEX_BYTES + 1];
    hash_hex128(id, hex);
    memcpy(out, hex, 2);
    out[2] = '/';
    memcpy(out + 3, hex + 2, HASH128_HEX_BYTES - 1);
    return (unsigned)(id.high >> 56);
}

static uint64_t checksum_of(const struct header *header, const void *data, size_t size)
{
    struct header sealed = *header;
    sealed.checksum = 0;
    return hash_xxh3_64_seeded(data, size, hash_xxh3_64(&sealed, sizeof sealed));
}

/* ---- reading ---- */

static bool read_whole(int fd, uint8_t *out, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, out + done, size - done, (off_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

static bool header_is_sound(const struct header *header, const struct cache_piece *piece,
                            uint64_t size, const void *data)
{
    return memcmp(header->magic, MAGIC, sizeof header->magic) == 0 && header->size == size &&
           header->id.high == piece->id.high && header->id.low == piece->id.low &&
           header->checksum == checksum_of(header, data, size);
}

bool cache_disk_get(struct cache_disk *disk, struct cache_piece *piece, struct budget *budget)
{
    char path[HASH128_HEX_BYTES + 2];
    piece_path(piece->id, path);
    int fd = openat(disk->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    struct stat status;
    struct block *block = NULL;
    bool sound = false;
    bool seen = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (seen && status.st_size >= HEADER_BYTES &&
        status.st_size <= HEADER_BYTES + CACHE_PIECE_BYTES) {
        if (block_new(&block, budget, (uint64_t)status.st_size) < 0) {
            error_clear();
            close(fd);
            return false;
        }
        struct header header;
        if (read_whole(fd, block->data, block->size)) {
            memcpy(&header, block->data, sizeof header);
            sound = header_is_sound(&header, piece, block->size - HEADER_BYTES,
                                    block->data + HEADER_BYTES);
        }
        if (sound) piece->object_size = header.object_size;
    }
    if (!sound) {
        if (seen && unlinkat(disk->fd, path, 0) < 0) error_clear();
        block_release(block);
        close(fd);
        return false;
    }
    piece->block = block;
    piece->data = block->data + HEADER_BYTES;
    piece->size = (uint32_t)(block->size - HEADER_BYTES);
    struct clock *clock = disk->runtime->clock;
    if (status.st_mtime + USE_NOTED_SECONDS < clock->wall_ms(clock) / 1000)
        (void)!futimens(fd, NULL);
    close(fd);
    return true;
}

void cache_disk_forget(struct cache_disk *disk, struct hash128 id)
{
    char path[HASH128_HEX_BYTES + 2];
    piece_path(id, path);
    (void)!unlinkat(disk->fd, path, 0);
}

/* ---- writing ---- */

static void writing_ends(struct cache_disk *disk, int system_errno)
{
    if (atomic_exchange(&disk->is_off, true)) return;
    int code = error_set_errno(system_errno, "writing into %s", disk->folder);
    logger_log(disk->runtime->logger, LOGGER_WARN,
               "the cache on disk is not written any more by this process",
               LOGGER_FIELD_STRING("reason", error_message()),
               LOGGER_FIELD_STRING("code", error_code_name(code)));
    error_clear();
}

/* errno, or 0. */
static int write_file(int fd, const struct header *header, const uint8_t *data)
{
    const uint8_t *parts[] = {(const uint8_t *)header, data};
    size_t sizes[] = {sizeof *header, header->size};
    for (size_t i = 0; i < 2; i++)
        for (size_t done = 0; done < sizes[i];) {
            ssize_t put = write(fd, parts[i] + done, sizes[i] - done);
            if (put < 0 && errno == EINTR) continue;
            if (put <= 0) return put < 0 ? errno : ENOSPC;
            done += (size_t)put;
        }
    return 0;
}

void cache_disk_put(struct cache_disk *disk, const struct cache_piece *piece)
{
    if (atomic_load_explicit(&disk->is_off, memory_order_relaxed) ||
        disk->limit_bytes < HEADER_BYTES + CACHE_PIECE_BYTES)
        return;
    char path[HASH128_HEX_BYTES + 2], temporary[64];
    unsigned folder = piece_path(piece->id, path);
    struct header header = {
        .object_size = piece->object_size, .id = piece->id, .size = piece->size};
    memcpy(header.magic, MAGIC, sizeof header.magic);
    header.checksum = checksum_of(&header, piece->data, piece->size);
    snprintf(temporary, sizeof temporary, "%.2s/.%lld-%u-%llx", path, (long long)getpid(),
             atomic_fetch_add(&disk->n_temporary, 1),
             (unsigned long long)random_u64(disk->runtime->random));
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(disk->fd, temporary, flags, 0600);
    if (fd < 0 && errno == ENOENT) {
        char name[3] = {path[0], path[1], '\0'};
        if (mkdirat(disk->fd, name, 0700) == 0 || errno == EEXIST)
            fd = openat(disk->fd, temporary, flags, 0600);
    }
    if (fd < 0) {
        writing_ends(disk, errno);
        return;
    }
    int failure = write_file(fd, &header, piece->data);
    if (close(fd) < 0 && !failure) failure = errno;
    /* ENOENT: somebody cleared the cache in between. */
    if (!failure && renameat(disk->fd, temporary, disk->fd, path) < 0 && errno != ENOENT)
        failure = errno;
    if (failure) {
        (void)!unlinkat(disk->fd, temporary, 0);
        writing_ends(disk, failure);
        return;
    }
    uint64_t turns = disk->share_bytes / 8 / (HEADER_BYTES + CACHE_PIECE_BYTES);
    if (turns < 2 || random_below(disk->runtime->random, turns) == 0)
        group_clean(disk, folder / (FOLDERS / disk->n_groups));
}

/* ---- cleaning ---- */

struct found {
    int64_t used_ns;
    uint64_t bytes;
    uint8_t folder;
    char name[48];
};

struct group {
    struct found *found;
    size_t n, capacity;
    uint64_t bytes;
};

static int older_first(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->used_ns < y->used_ns ? -1 : x->used_ns > y->used_ns;
}

static void folder_name(unsigned folder, char out[3])
{
    static const char digits[] = "0123456789abcdef";
    out[0] = digits[folder >> 4 & 15];
    out[1] = digits[folder & 15];
    out[2] = '\0';
}

/* Adds what a folder holds; leftovers of dead processes are removed at once. */
static void folder_look(struct cache_disk *disk, DIR *entries, unsigned folder, struct group *group)
{
    struct clock *clock = disk->runtime->clock;
    int64_t now = clock->wall_ms(clock) / 1000;
    struct dirent *entry;
    while ((entry = readdir(entries))) {
        struct stat status;
        size_t size = strlen(entry->d_name);
        if (size >= sizeof group->found->name ||
            fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
            continue;
        if (entry->d_name[0] == '.' && status.st_mtime + TEMPORARY_SECONDS < now) {
            (void)!unlinkat(dirfd(entries), entry->d_name, 0);
            continue;
        }
        if (group->n == group->capacity) {
            group->capacity = group->capacity ? 2 * group->capacity : 256;
            group->found = memory_realloc(group->found, group->capacity * sizeof *group->found);
        }
        struct found *found = &group->found[group->n++];
        found->used_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
        found->bytes = (uint64_t)status.st_size + 512;
        found->folder = (uint8_t)folder;
        memcpy(found->name, entry->d_name, size + 1);
        group->bytes += found->bytes;
    }
}

static DIR *folder_open(int fd, unsigned folder)
{
    char name[3];
    folder_name(folder, name);
    int opened = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (opened < 0) return NULL;
    DIR *entries = fdopendir(opened);
    if (!entries) close(opened);
    return entries;
}

static void group_clean(struct cache_disk *disk, unsigned number)
{
    unsigned n_folders = FOLDERS / disk->n_groups, first = number * n_folders;
    struct group group = {0};
    int lock = -1;
    bool locked = true;
    for (unsigned i = 0; i < n_folders && locked; i++) {
        DIR *entries = folder_open(disk->fd, first + i);
        if (!entries) continue;
        /* The lock is on the group's first folder that exists; it ends with the process. */
        if (lock < 0) {
            lock = fcntl(dirfd(entries), F_DUPFD_CLOEXEC, 0);
            locked = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
        }
        if (locked) folder_look(disk, entries, first + i, &group);
        closedir(entries);
    }
    if (locked && group.bytes > disk->share_bytes) {
        qsort(group.found, group.n, sizeof *group.found, older_first);
        uint64_t left = disk->share_bytes / 8 * 7;
        for (size_t i = 0; i < group.n && group.bytes > left; i++) {
            char name[3], path[64];
            folder_name(group.found[i].folder, name);
            snprintf(path, sizeof path, "%s/%s", name, group.found[i].name);
            (void)!unlinkat(disk->fd, path, 0);
            group.bytes -= group.found[i].bytes;
        }
    }
    if (lock >= 0) close(lock);
    free(group.found);
}

int cache_disk_walk(const char *folder, bool clear, struct store_cache_use *out)
{
    char path[PATH_BYTES];
    int fd = -1, n = snprintf(path, sizeof path, "%s/pieces", folder);
    *out = (struct store_cache_use){0};
    if (n < 0 || (size_t)n >= sizeof path) return error_set(GLIS_EINVALID, "a path is too long");
    int code = pieces_open(path, &fd);
    if (code == GLIS_ENOTFOUND) return 0;
    TRY(code);
    for (unsigned i = 0; i < FOLDERS; i++) {
        DIR *entries = folder_open(fd, i);
        struct dirent *entry;
        struct stat status;
        while (entries && (entry = readdir(entries))) {
            if (fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
                !S_ISREG(status.st_mode))
                continue;
            if (clear && unlinkat(dirfd(entries), entry->d_name, 0) < 0) continue;
            out->pieces += entry->d_name[0] != '.';
            out->bytes += (uint64_t)status.st_size;
        }
        if (entries) closedir(entries);
    }
    close(fd);
    return 0;
}
