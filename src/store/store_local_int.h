/*
 * store_local_int.h: what the files of the local store share: its struct, listing, temporary names.
 */
#ifndef GLIS_STORE_STORE_LOCAL_INT_H
#define GLIS_STORE_STORE_LOCAL_INT_H

#include "store/store_int.h"

#include <pthread.h>
#include <stdatomic.h>

struct stat;

#define LOCAL_TEMP_FOLDER ".glis-tmp"
enum { LOCAL_TEMP_NAME_BYTES = 256, LOCAL_SETTLED_MAX = 4096 };
#define LOCAL_LEFTOVER_AGE_MS ((int64_t)24 * 3600 * 1000)

struct store_local {
    struct store store;
    struct runtime *runtime;
    int root_fd;
    bool read_only;
    pthread_mutex_t lock; /* guards what follows; temp_fd is set once and then only read */
    int temp_fd;
    atomic_bool has_swept; /* leftovers were looked for */
    uint64_t *settled; /* hashes of folders whose names are durable, open addressing; 0 is empty */
    size_t n_settled;
    pthread_mutex_t sync_lock;     /* held during a sync of the whole; guards what follows */
    bool sync_failed;              /* one has failed: none is asked for any more */
    struct local_watcher *watcher; /* of the watches; NULL until there is one; guarded by `lock` */
};

/* The store as a folder; NULL when it is none. */
struct store_local *store_local_of(struct store *store);

/* Whether this folder is known to have a durable name; with `add`, from now on it is. */
bool local_settled(struct store_local *local, const char *folder, bool add);

/* A fresh temporary name, "<ms, 12 hex>-<random, 16 hex>.<key, escaped and cut>". */
void local_temp_name(struct runtime *runtime, struct slice key, char name[LOCAL_TEMP_NAME_BYTES]);

/* Removes temporary files that were last written to a day or more before `fd`, a temporary file
 * made just now: both times are the file system's, so clocks of processes and machines do not
 * matter. A process that is alive and slower than that finds its file gone when it wants to name
 * it, and its put fails with nothing done; a second name of a finished object is only a name. What
 * has another form than a temporary name, and what is no plain file, stays. Failing costs space
 * only, so it is silent. */
void local_leftovers_remove(struct store_local *local, int fd);

/* Opens an object for reading; GLIS_ENOTFOUND also for folders. */
int local_object_open(struct store_local *local, struct slice key, int *fd, uint64_t *size)
    GLIS_CHECKED;
/* Syncs the folders of these keys, each once. */
int local_parents_sync(struct store_local *local, const struct slice *keys, size_t n_keys)
    GLIS_CHECKED;
/* The folders of keys, each once, in order; out has room for n_keys. Returns how many. */
size_t local_distinct_folders(const struct slice *keys, size_t n_keys, struct slice *out);
int64_t local_modified_ms(const struct stat *status);

/* store_local_watch.c: what store.h says of watches, of this store. */
int local_watch_open(struct store *store, struct slice folder, struct store_watch **out)
    GLIS_CHECKED;
void local_watchers_told(struct store *store, struct slice folder);
void local_watcher_free(struct local_watcher *watcher); /* NULL is allowed */

int local_list(struct store *store, struct slice prefix, struct slice start_after, size_t limit,
               struct arena *arena, struct store_list *out);
int local_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                          struct store_unfinished **out, size_t *n_out);

#endif
