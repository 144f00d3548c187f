/*
 * store_local_list.c: listing a folder in the order of keys, and what concerns temporary names.
 *
 * Keys are ordered by their bytes, with '/' an ordinary byte: "a-b" < "a/b" < "ab". A folder counts
 * as its name with '/' behind, so sorting the entries of one folder that way and descending as they
 * come yields the order of the whole. A page reads each folder that it passes whole and skips
 * subtrees that lie outside the prefix or before start_after; pages are large, so that a folder
 * with many entries is not read often. Names that cannot be keys are passed over, and so is the
 * folder of temporary files. A list is not atomic: what comes or goes meanwhile may be there or
 * not.
 */
#include "store/store_local_int.h"

#include "base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIST_PAGE_DEFAULT = 10000 };

struct entry {
    struct slice name; /* a folder's ends with '/' */
};

struct walk {
    struct arena *arena; /* for results */
    struct slice prefix, start_after;
    size_t limit, capacity;
    struct store_list *out;
    char path[STORE_KEY_BYTES_MAX + 2]; /* of the folder being read, with '/' behind, or empty */
};

static int walk_folder(struct walk *walk, int fd, size_t path_size);
static int entries_read(const struct walk *walk, int fd, size_t path_size, struct arena *arena,
                        struct entry **out, size_t *n_out);
static bool subtree_wanted(const struct walk *walk, struct slice path);
static int folder_enter(struct walk *walk, int fd, struct slice name, size_t path_size);
static int object_take(struct walk *walk, int fd, struct slice name, size_t path_size);
static int entry_compare(const void *a, const void *b);
static int slice_compare_pointers(const void *a, const void *b);
static void key_unescape(const char *name, struct buffer *out, bool *cut);

int local_list(struct store *store, struct slice prefix, struct slice start_after, size_t limit,
               struct arena *arena, struct store_list *out)
{
    struct store_local *local = (struct store_local *)store;
    struct walk walk = {.arena = arena,
                        .prefix = prefix,
                        .start_after = start_after,
                        .limit = limit ? limit : LIST_PAGE_DEFAULT,
                        .out = out};
    int fd = openat(local->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(errno, "cannot read the folder");
    return walk_folder(&walk, fd, 0);
}

/* Reads the folder `fd`, which it closes. The walk's path is path_size long. */
static int walk_folder(struct walk *walk, int fd, size_t path_size)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct entry *entries = NULL;
    size_t n = 0;
    int code = entries_read(walk, fd, path_size, &arena, &entries, &n);
    for (size_t i = 0; i < n && code == 0 && !walk->out->more; i++) {
        struct slice name = entries[i].name;
        if (slice_ends_with(name, SLICE("/")))
            code = folder_enter(walk, fd, name, path_size);
        else
            code = object_take(walk, fd, name, path_size);
    }
    close(fd);
    return code;
}

/* The entries that may matter, sorted. */
static int entries_read(const struct walk *walk, int fd, size_t path_size, struct arena *arena,
                        struct entry **out, size_t *n_out)
{
    int copy = dup(fd);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    if (!folder) {
        int failed = errno;
        if (copy >= 0) close(copy);
        return error_set_errno(failed, "cannot read the folder");
    }
    char path[sizeof(walk->path)];
    memcpy(path, walk->path, path_size);
    size_t capacity = 0, n = 0;
    struct entry *entries = NULL;
    int failed = 0;
    for (;;) {
        errno = 0;
        struct dirent *found = readdir(folder);
        if (!found) {
            failed = errno;
            break;
        }
        size_t size = strlen(found->d_name);
        if (path_size + size > STORE_KEY_BYTES_MAX) continue;
        if (path_size == 0 && strcmp(found->d_name, LOCAL_TEMP_FOLDER) == 0) continue;
        memcpy(path + path_size, found->d_name, size);
        if (store_key_check(slice_make(path, path_size + size)) < 0) {
            error_clear(); /* "." and ".." too */
            continue;
        }
        bool is_folder = found->d_type == DT_DIR;
        if (found->d_type == DT_UNKNOWN) {
            struct stat status;
            is_folder = fstatat(fd, found->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                        S_ISDIR(status.st_mode);
        }
        path[path_size + size] = '/';
        struct slice whole = slice_make(path, path_size + size + is_folder);
        if (is_folder ? !subtree_wanted(walk, whole)
                      : !slice_starts_with(whole, walk->prefix) ||
                            slice_compare(whole, walk->start_after) <= 0)
            continue;
        if (n == capacity) {
            size_t larger = capacity ? capacity * 2 : 64;
            struct entry *grown = ARENA_ARRAY(arena, struct entry, larger);
            if (n) memcpy(grown, entries, n * sizeof(*entries));
            entries = grown;
            capacity = larger;
        }
        entries[n++].name = arena_copy(arena, slice_make(path + path_size, size + is_folder));
    }
    closedir(folder);
    if (failed) return error_set_errno(failed, "cannot read the folder");
    if (n) qsort(entries, n, sizeof(*entries), entry_compare);
    *out = entries;
    *n_out = n;
    return 0;
}

/* Whether a folder's keys, which all begin with `path`, can lie in prefix and above start_after. */
static bool subtree_wanted(const struct walk *walk, struct slice path)
{
    if (!slice_starts_with(path, walk->prefix) && !slice_starts_with(walk->prefix, path))
        return false;
    return slice_compare(path, walk->start_after) >= 0 ||
           slice_starts_with(walk->start_after, path);
}

static int folder_enter(struct walk *walk, int fd, struct slice name, size_t path_size)
{
    size_t size = path_size + name.size;
    memcpy(walk->path + path_size, name.data, name.size);
    walk->path[size - 1] = '\0';
    int below = openat(fd, walk->path + path_size, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    walk->path[size - 1] = '/';
    if (below < 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return 0; /* gone in between */
        return error_set_errno(errno, "cannot read the folder %.*s", (int)size, walk->path);
    }
    return walk_folder(walk, below, size);
}

static int object_take(struct walk *walk, int fd, struct slice name, size_t path_size)
{
    struct store_list *out = walk->out;
    defer_free char *text = memory_copy_text(name);
    struct stat status;
    if (fstatat(fd, text, &status, 0) < 0) {
        if (errno == ENOENT || errno == ELOOP) return 0;
        return error_set_errno(errno, "cannot look at %s", text);
    }
    if (!S_ISREG(status.st_mode)) return 0;
    if (out->n_objects == walk->limit) {
        out->more = true;
        return 0;
    }
    if (out->n_objects == walk->capacity) {
        walk->capacity = walk->capacity ? walk->capacity * 2 : 64;
        struct store_object *grown = ARENA_ARRAY(walk->arena, struct store_object, walk->capacity);
        if (out->n_objects) memcpy(grown, out->objects, out->n_objects * sizeof(*grown));
        out->objects = grown;
    }
    char *key = arena_alloc(walk->arena, path_size + name.size);
    memcpy(key, walk->path, path_size);
    memcpy(key + path_size, name.data, name.size);
    out->objects[out->n_objects++] =
        (struct store_object){slice_make(key, path_size + name.size), (uint64_t)status.st_size,
                              local_modified_ms(&status)};
    return 0;
}

static int entry_compare(const void *a, const void *b)
{
    return slice_compare(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

int64_t local_modified_ms(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000 + status->st_mtim.tv_nsec / 1000000;
}

/* ---- folders ---- */

bool local_settled(struct store_local *local, const char *folder, bool add)
{
    enum { SLOTS = LOCAL_SETTLED_MAX * 2 };
    uint64_t hash = hash_xxh3_64(folder, strlen(folder)) | 1; /* 64 bits: no two folders meet */
    pthread_mutex_lock(&local->lock);
    if (!local->settled) local->settled = memory_alloc_zero(SLOTS * sizeof(uint64_t));
    size_t at = (hash >> 1) % SLOTS;
    while (local->settled[at] && local->settled[at] != hash)
        at = (at + 1) % SLOTS;
    bool known = local->settled[at] != 0;
    if (add && !known && local->n_settled == LOCAL_SETTLED_MAX) {
        memset(local->settled, 0, SLOTS * sizeof(uint64_t)); /* forgetting costs a few syncs */
        local->n_settled = 0;
        at = (hash >> 1) % SLOTS;
    }
    if (add && !known) {
        local->settled[at] = hash;
        local->n_settled++;
    }
    pthread_mutex_unlock(&local->lock);
    return known;
}

size_t local_distinct_folders(const struct slice *keys, size_t n_keys, struct slice *out)
{
    for (size_t i = 0; i < n_keys; i++) {
        const char *slash = memrchr(keys[i].data, '/', keys[i].size);
        out[i] = slice_make(keys[i].data, slash ? (size_t)(slash - keys[i].data) : 0);
    }
    qsort(out, n_keys, sizeof(*out), slice_compare_pointers);
    size_t n = 0;
    for (size_t i = 0; i < n_keys; i++)
        if (n == 0 || !slice_equal(out[n - 1], out[i])) out[n++] = out[i];
    return n;
}

static int slice_compare_pointers(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* ---- temporary names ---- */

void local_temp_name(struct runtime *runtime, struct slice key, char name[LOCAL_TEMP_NAME_BYTES])
{
    uint64_t now = (uint64_t)runtime->clock->wall_ms(runtime->clock) & 0xffffffffffff;
    int size = snprintf(name, LOCAL_TEMP_NAME_BYTES, "%012llx-%016llx.", (unsigned long long)now,
                        (unsigned long long)random_u64(runtime->random));
    size_t at = (size_t)size;
    for (size_t i = 0; i < key.size; i++) {
        bool plain = key.data[i] != '/' && key.data[i] != '%' && key.data[i] != '~';
        if (at + 5 > LOCAL_TEMP_NAME_BYTES) { /* room for an escape, the mark, the NUL */
            name[at++] = '~';
            break;
        }
        if (plain)
            name[at++] = key.data[i];
        else
            at += (size_t)snprintf(name + at, 4, "%%%02X", (unsigned char)key.data[i]);
    }
    name[at] = '\0';
}

/* "<12 hex>-<16 hex>.<something>" */
static bool is_temp_name(const char *name)
{
    for (int i = 0; i < 29; i++) {
        bool hex = (name[i] >= '0' && name[i] <= '9') || (name[i] >= 'a' && name[i] <= 'f');
        if (i == 12 ? name[i] != '-' : !hex) return false;
    }
    return name[29] == '.' && name[30] != '\0';
}

void local_leftovers_remove(struct store_local *local, int fd)
{
    struct stat now, status;
    int copy = openat(local->temp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy < 0 || fstat(fd, &now) < 0 ? NULL : fdopendir(copy);
    if (!folder) {
        if (copy >= 0) close(copy);
        return;
    }
    for (struct dirent *found; (found = readdir(folder));) {
        if (!is_temp_name(found->d_name)) continue;
        if (fstatat(local->temp_fd, found->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
        if (!S_ISREG(status.st_mode)) continue;
        if (local_modified_ms(&status) > local_modified_ms(&now) - LOCAL_LEFTOVER_AGE_MS) continue;
        (void)unlinkat(local->temp_fd, found->d_name, 0);
    }
    closedir(folder);
}

int local_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                          struct store_unfinished **out, size_t *n_out)
{
    struct store_local *local = (struct store_local *)store;
    int fd = openat(local->root_fd, LOCAL_TEMP_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return 0;
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        int failed = errno;
        if (fd >= 0) close(fd);
        return error_set_errno(failed, "cannot read the folder " LOCAL_TEMP_FOLDER);
    }
    size_t capacity = 0;
    for (struct dirent *found; (found = readdir(folder));) {
        if (found->d_name[0] == '.') continue;
        struct stat status;
        if (fstatat(dirfd(folder), found->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
        defer_buffer struct buffer key = BUFFER_INIT(LOCAL_TEMP_NAME_BYTES);
        bool cut = false;
        key_unescape(found->d_name, &key, &cut);
        if (!slice_starts_with(buffer_slice(&key), prefix) &&
            !(cut && slice_starts_with(prefix, buffer_slice(&key))))
            continue;
        if (*n_out == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct store_unfinished *grown = ARENA_ARRAY(arena, struct store_unfinished, capacity);
            if (*n_out) memcpy(grown, *out, *n_out * sizeof(*grown));
            *out = grown;
        }
        (*out)[(*n_out)++] = (struct store_unfinished){
            arena_copy(arena, buffer_slice(&key)),
            arena_copy(arena, slice_from_text(found->d_name)), local_modified_ms(&status)};
    }
    closedir(folder);
    return 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The key, or its beginning, out of a temporary name; empty when the name has another form. */
static void key_unescape(const char *name, struct buffer *out, bool *cut)
{
    const char *dot = strchr(name, '.');
    for (const char *next = dot ? dot + 1 : ""; *next; next++) {
        char byte = *next;
        if (byte == '~') {
            *cut = true;
            return;
        }
        if (byte == '%' && hex_digit(next[1]) >= 0 && hex_digit(next[2]) >= 0) {
            byte = (char)(hex_digit(next[1]) * 16 + hex_digit(next[2]));
            next += 2;
        }
        if (buffer_append_byte(out, (uint8_t)byte) < 0) return;
    }
}
