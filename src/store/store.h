/*
 * store.h: what Glis asks of an object store, and the stores there are.
 *
 * A store maps keys to immutable bodies. Keys are UTF-8, 1 to 1,024 bytes, parts joined by '/', no
 * part empty, "." or "..", no control characters. Reads after a finished put see it; a conditional
 * put has exactly one winner; lists are in byte order of the keys. Those sentences are all that the
 * log's proof needs (docs/architecture.md, "The log").
 *
 * Outcomes are error codes:
 *   0               done and durable (what was put with STORE_DEFER_SYNC: durable after store_sync)
 *   GLIS_EEXISTS    a conditional put found the key taken
 *   GLIS_ENOTFOUND  no such object
 *   GLIS_ERETRY     not carried out, and the store asks for patience
 *   GLIS_EUNKNOWN   may have been carried out, now or at any later time, or not
 *   GLIS_EDENIED    not allowed
 *   GLIS_ENOSPACE   no room
 *   GLIS_EINVALID   a key that no store takes, a range that begins beyond the object
 *   GLIS_EIO        broken: trying again is not known to help; a put may have been carried out
 * A transport never repeats a conditional put by itself. Other requests it may repeat within its
 * budget.
 *
 * Ownership: blocks handed out belong to the caller (block_release). Every function is thread safe,
 * save that one upload is used by one thread at a time. A store outlives its uploads.
 */
#ifndef GLIS_STORE_STORE_H
#define GLIS_STORE_STORE_H

#include "base/buffer.h"
#include "base/memory.h"
#include "base/runtime.h"

enum {
    STORE_IF_ABSENT = 1,  /* a conditional put */
    STORE_DEFER_SYNC = 2, /* durable only after store_sync; for what nothing refers to yet */
};

enum { STORE_KEY_BYTES_MAX = 1024 };
#define STORE_TO_END UINT64_MAX

/* One range of one object. With offset STORE_TO_END the last `length` bytes are meant (all of a
 * smaller object). A range that begins in the object and passes its end is cut. */
struct store_read {
    struct slice key;
    uint64_t offset;
    uint64_t length;       /* STORE_TO_END: until the end */
    struct budget *budget; /* the block is counted here; may be NULL */
    /* out: */
    int outcome;          /* 0, GLIS_ENOTFOUND, ...; each read has its own */
    struct block *block;  /* caller releases; NULL unless outcome is 0 */
    const uint8_t *data;  /* inside block */
    uint64_t size;        /* bytes at data */
    uint64_t object_size; /* of the whole object */
};

struct store_object {
    struct slice key;
    uint64_t size;
    int64_t modified_ms; /* the store's clock */
};

struct store_list { /* one page of a list, in the caller's arena */
    struct store_object *objects;
    size_t n_objects;
    bool more; /* ask again with start_after = the last key */
};

/* A streamed put that was never finished. */
struct store_unfinished {
    struct slice key;
    struct slice id;
    int64_t begun_ms;
};

/* How often a store was asked, for --explain and status; all only grow. */
struct store_counters {
    uint64_t puts, conditional_puts, gets, heads, lists, deletes, syncs;
    uint64_t bytes_read, bytes_written;
    /* What went over a wire for that, of a store behind one; each is what a service bills. The
     * last three are counted in the first four, too. */
    uint64_t sent_writes, sent_reads, sent_lists, sent_deletes;
    uint64_t repeats, parts, probes;
    /* How many requests were sent one after the other at least: each behind the answer to one
     * before it. This, and not their number, is what the distance to a store is paid for. */
    uint64_t depth;
    /* Pieces that a cache was asked for, and the bytes of those that it had; see
     * store_cache_open. */
    uint64_t cache_hits, cache_misses, cache_bytes;
};

struct store;
struct store_upload;
struct store_watch;
struct store_reading;

struct store_ops {
    int (*put)(struct store *store, struct slice key, struct slice body, unsigned flags);
    void (*read)(struct store *store, struct store_read *reads, size_t n_reads);
    /* NULL, or an answer of NULL: nothing is begun, and all is read in the end. read_end gives the
     * memory back; with `drop` what is under way is given up, and no block is left. */
    struct store_reading *(*read_begin)(struct store *store, struct store_read *reads,
                                        size_t n_reads);
    bool (*read_go_on)(struct store_reading *reading, bool wait);
    void (*read_end)(struct store_reading *reading, bool drop);
    int (*head)(struct store *store, struct slice key, struct store_object *out);
    int (*list)(struct store *store, struct slice prefix, struct slice start_after, size_t limit,
                struct arena *arena, struct store_list *out);
    int (*remove)(struct store *store, const struct slice *keys, size_t n_keys);
    int (*sync)(struct store *store, const struct slice *keys, size_t n_keys);
    int (*upload_open)(struct store *store, struct slice key, unsigned flags,
                       struct store_upload **out);
    int (*upload_write)(struct store_upload *upload, struct slice part);
    void (*upload_go_on)(struct store_upload *upload); /* NULL: nothing is under way */
    int (*upload_finish)(struct store_upload *upload);
    void (*upload_abort)(struct store_upload *upload);
    int (*unfinished_list)(struct store *store, struct slice prefix, struct arena *arena,
                           struct store_unfinished **out, size_t *n_out);
    int (*unfinished_remove)(struct store *store, const struct store_unfinished *upload);
    int (*time_ms)(struct store *store, int64_t *out);
    /* NULL: it has no watches. */
    int (*watch_open)(struct store *store, struct slice folder, struct store_watch **out);
    void (*watchers_told)(struct store *store, struct slice folder);
    /* NULL: nothing is kept that could be forgotten. */
    void (*forget)(struct store *store, struct slice key, uint64_t object_size);
    /* What was asked of the stores behind this one; NULL: what was asked of it. */
    void (*counters)(const struct store *store, struct store_counters *out);
    void (*close)(struct store *store);
};

struct store { /* the first member of every kind of store */
    const struct store_ops *ops;
    char *description; /* for people: "folder /data/glis", "memory" */
    bool local;        /* a folder of this machine: maintenance inline is the default there */
    struct {
        _Atomic uint64_t puts, conditional_puts, gets, heads, lists, deletes, syncs;
        _Atomic uint64_t bytes_read, bytes_written;
        _Atomic uint64_t sent_writes, sent_reads, sent_lists, sent_deletes, repeats, parts, probes;
        _Atomic uint64_t depth;
    } counters;
};

struct store_upload { /* the first member of every kind of upload */
    struct store *store;
    uint64_t size_bytes; /* written so far */
};

struct store_reading { /* the first member of every kind of reading */
    struct store *store;
    struct store_read *reads;
    size_t n_reads;
};

/* Puts one object whole. With STORE_IF_ABSENT exactly one of all writers of a key wins; the
 * others get GLIS_EEXISTS. */
int store_put(struct store *store, struct slice key, struct slice body, unsigned flags)
    GLIS_CHECKED;

/* Reads ranges of one or of many objects, as many at a time as the store likes. Returns 0 when
 * every outcome is 0 or GLIS_ENOTFOUND, else the first other outcome (the blocks of the good
 * ones are kept, so release in both cases). */
int store_read(struct store *store, struct store_read *reads, size_t n_reads) GLIS_CHECKED;
/*
 * The same in two steps, between which the caller does something else: what a store can ask for
 * without waiting is under way then, and of any number of readings at the same time. What reads and
 * keys point to lives until the end. A store for which a wait is no loss, a folder or a simulated
 * one, reads all of it in the end. One thread at a time uses a reading, not always the same.
 */
struct store_reading *store_read_begin(struct store *store, struct store_read *reads,
                                       size_t n_reads);
/* Takes in what has come, and with `wait` waits until some of it has. True: nothing is left to be
 * done before the end. A reading makes little progress while nobody calls this. */
bool store_read_go_on(struct store_reading *reading, bool wait);
/* Waits for what is missing; outcomes and result as store_read's. Ends the reading. */
int store_read_end(struct store_reading *reading) GLIS_CHECKED;
/* Ends the reading without its answers: there are no blocks to release. NULL is allowed. */
void store_read_drop(struct store_reading *reading);
/* Releases the blocks of reads and sets them to NULL. */
void store_read_release(struct store_read *reads, size_t n_reads);
/* One range appended to a buffer; GLIS_ENOTFOUND is an error here. */
int store_get(struct store *store, struct slice key, uint64_t offset, uint64_t length,
              struct buffer *out) GLIS_CHECKED;

/* What was read of this object made no sense: it is damaged, or was on its way here. No cache hands
 * out again what it keeps of it, so that who reads it once more sees what is there then.
 * `object_size` as the reads said; 0 when it is not known. Keeps the error. */
void store_forget(struct store *store, struct slice key, uint64_t object_size);

/* Size and time of an object; out->key is `key`. */
int store_head(struct store *store, struct slice key, struct store_object *out) GLIS_CHECKED;
/* A page of at most `limit` (0: the store's own) objects whose keys begin with prefix and are above
 * start_after. */
int store_list(struct store *store, struct slice prefix, struct slice start_after, size_t limit,
               struct arena *arena, struct store_list *out) GLIS_CHECKED;
/* Calls visit for every object under prefix, in order, page by page; stops at the first code
 * that is not 0 and returns it. */
int store_each(struct store *store, struct slice prefix, struct slice start_after,
               int (*visit)(void *state, const struct store_object *object), void *state)
    GLIS_CHECKED;
/* Removes objects; an absent one is success. The first failure is returned after all were tried. */
int store_remove(struct store *store, const struct slice *keys, size_t n_keys) GLIS_CHECKED;
/* Makes deferred puts and uploads durable, all at once. */
int store_sync(struct store *store, const struct slice *keys, size_t n_keys) GLIS_CHECKED;

/* A put in parts, for what memory should not hold. Never conditional: its key must be one that
 * nobody else makes. The object is visible after finish and not before. finish and abort both
 * end the upload, whatever they return. */
int store_upload_open(struct store *store, struct slice key, unsigned flags,
                      struct store_upload **out) GLIS_CHECKED;
int store_upload_write(struct store_upload *upload, struct slice part) GLIS_CHECKED;
/* Sends on what has been written, as far as that needs no wait: for a caller who makes the next
 * part meanwhile. A failure is told by the next write. */
void store_upload_go_on(struct store_upload *upload);
int store_upload_finish(struct store_upload *upload) GLIS_CHECKED;
void store_upload_abort(struct store_upload *upload); /* NULL is allowed; keeps the error */
int store_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                          struct store_unfinished **out, size_t *n_out) GLIS_CHECKED;
int store_unfinished_remove(struct store *store, const struct store_unfinished *upload)
    GLIS_CHECKED;

/* ---- watching a folder ---- */

/*
 * A watch tells without a request that nothing was put into a folder. Only a store that hears of
 * every put, whoever makes it, has watches: a folder of a file system that only this machine writes
 * to. Thread safe; a store outlives its watches.
 */
struct store_watch { /* the first member of every kind of watch */
    uint64_t (*count)(struct store_watch *watch, int64_t now_ns);
    void (*close)(struct store_watch *watch);
};

/* Watches what lies directly in a folder ("t/log", without a slash at the end). GLIS_EUNSUPPORTED:
 * this store never can; other codes: not now. */
int store_watch_open(struct store *store, struct slice folder, struct store_watch **out)
    GLIS_CHECKED;
/*
 * The number that the watch is at; `now_ns` is of the runtime's monotonic clock. When two calls
 * give the same one, no object came to be in the folder between them, nor went: whatever a put
 * acknowledged before the second call, and whatever was read before it by somebody who then called
 * store_watchers_told, could already be read when the first one returned. 0: the watch has ended,
 * and tells nothing any more.
 */
static inline uint64_t store_watch_count(struct store_watch *watch, int64_t now_ns)
{
    return watch->count(watch, now_ns);
}
void store_watch_close(struct store_watch *watch); /* NULL is allowed */
/* An object of this folder was found that may just have been put. Returns when all who watch the
 * folder have been told of it: to be called before others are told anything that rests on it. */
void store_watchers_told(struct store *store, struct slice folder);

/* The store's clock: for a folder this machine's, for a service the service's. */
int store_time_ms(struct store *store, int64_t *out) GLIS_CHECKED;
struct store_counters store_counters(const struct store *store);
void store_close(struct store *store); /* NULL is allowed */

/* GLIS_EINVALID, naming what is wrong, unless the key has the form described at the top. */
int store_key_check(struct slice key) GLIS_CHECKED;

/*
 * Data files that lie elsewhere and are taken over by reference are named by their address,
 * file://PATH. store_foreign_address makes one of an absolute path; store_foreign_key turns it into
 * a key of a local store, which reads it and never writes it. In the arena. GLIS_EUNSUPPORTED for
 * other addresses, GLIS_EINVALID for a path that no key can say.
 */
#define STORE_FOREIGN_PREFIX ".foreign"
int store_foreign_address(struct slice path, struct arena *arena, struct slice *out) GLIS_CHECKED;
int store_foreign_key(struct slice address, struct arena *arena, struct slice *out) GLIS_CHECKED;

/* One promise of this header, tried. */
struct store_probe_step {
    const char *name;
    bool required; /* without it nothing may be kept there */
    int code;      /* 0: kept */
    const char *detail;
    int64_t time_ns;
};
enum { STORE_PROBE_STEPS_MAX = 16 };
struct store_probe {
    struct store_probe_step steps[STORE_PROBE_STEPS_MAX];
    size_t n_steps;
    bool good;         /* all that are required are kept */
    uint64_t requests; /* that went over a wire */
};
/* Tries whether a store keeps the promises of this header, with objects in a folder of its own,
 * which it removes. Texts in the arena. Fails only when it is cancelled: what a store cannot do is
 * in the steps. */
int store_probe(struct runtime *runtime, struct store *store, struct arena *arena,
                struct store_probe *out) GLIS_CHECKED;

/* ---- the stores ---- */

enum {
    STORE_LOCAL_CREATE = 1,    /* make the folder when it is not there */
    STORE_LOCAL_READ_ONLY = 2, /* never write; puts are GLIS_EDENIED */
};
/* A folder. Temporary names, fsync, link(2); store_local.c says what is synced when. */
int store_local_open(struct runtime *runtime, const char *folder, unsigned flags,
                     struct store **out) GLIS_CHECKED;

/* Bodies in memory, within the runtime's budget; for tests and simulated worlds. Its time is the
 * runtime's clock. */
int store_memory_open(struct runtime *runtime, struct store **out) GLIS_CHECKED;

/* One object, read only, whose bytes are in memory already: for readers of objects. `block` holds
 * the bytes and is acquired; NULL: they outlive the store and all blocks that it hands out. The key
 * is copied. Nothing else is. */
int store_slice_open(struct slice key, struct block *block, struct slice bytes, struct store **out)
    GLIS_CHECKED;

/* What the fault wrapper may do, each as a chance in 65,536 per request; all zero only counts. */
struct store_faults {
    uint32_t
        lost_before;     /* not carried out, answered GLIS_EUNKNOWN (conditional put) or GLIS_EIO */
    uint32_t lost_after; /* carried out, answered GLIS_EUNKNOWN or GLIS_EIO */
    uint32_t late;     /* a put answered GLIS_EUNKNOWN that happens some requests later, or never */
    uint32_t retry;    /* not carried out, GLIS_ERETRY */
    uint32_t repeated; /* an unconditional put or a remove carried out twice */
    uint32_t short_read; /* a read that breaks off: GLIS_EIO */
    uint32_t reordered;  /* the reads of one call are carried out in another order */
    uint32_t delayed;    /* the clock moves on before the answer */
    uint64_t
        crash_at; /* from the n-th request on all is GLIS_EIO, nothing is carried out; 0: never */
};
/* Stands before another store (which it does not own). Every choice comes from the seed. */
int store_fault_open(struct runtime *runtime, struct store *behind, uint64_t seed,
                     const struct store_faults *faults, struct store **out) GLIS_CHECKED;
/* Changes what it may do from now on. */
void store_fault_set(struct store *store, const struct store_faults *faults);
/* Requests seen so far. */
uint64_t store_fault_requests(const struct store *store);

/* A bucket, or what lies below a prefix of it: s3://BUCKET/PREFIX. Endpoint, region and credentials
 * come from the environment and the shared files (docs/s3.md). Of the flags only
 * STORE_LOCAL_READ_ONLY means something. Nothing is asked of the server yet. */
int store_s3_open(struct runtime *runtime, struct slice address, unsigned flags, struct store **out)
    GLIS_CHECKED;
/* A container of Azure's blob service, or what lies below a prefix of it: az://CONTAINER/PREFIX. */
int store_azure_open(struct runtime *runtime, struct slice address, unsigned flags,
                     struct store **out) GLIS_CHECKED;

/* ---- what data files were read before ---- */

struct store_cache_settings {
    uint64_t memory_bytes; /* 0: none in memory */
    uint64_t disk_bytes;   /* 0, or no folder: none on disk */
    const char *folder;    /* made when it is not there; shared by the processes of a user */
    bool look_only;        /* what is missing is fetched and not kept */
    bool quiet;            /* nobody asked for this folder: no warning when it cannot be used */
};
struct store_cache_figures {
    uint64_t memory_hits, disk_hits, misses; /* pieces */
    uint64_t hit_bytes, memory_used_bytes;
};
struct store_cache_use {
    uint64_t pieces, bytes;
};
/* Stands before another store (which it does not own) and keeps what is read of data files
 * (store_key_is_data), which never change; everything else passes through. A folder that cannot be
 * used is warned about, no failure. */
int store_cache_open(struct runtime *runtime, struct store *behind,
                     const struct store_cache_settings *settings, struct store **out) GLIS_CHECKED;
struct store_cache_figures store_cache_figures(const struct store *store);
/* What lies in a cache's folder, or with `clear` what was removed from it. */
int store_cache_use(const char *folder, bool clear, struct store_cache_use *out) GLIS_CHECKED;
/* tables/<id>/data/... */
bool store_key_is_data(struct slice key);

/* ---- PostgreSQL ---- */

/*
 * Objects as rows of the table glis_log(log, key, body) of a database, for logs; those of one
 * instance have its id before their key. `address` is postgresql://..., without a password. Nothing
 * is asked of the server yet; `create` makes the table when the first request comes and it is not
 * there. GLIS_EINVALID for an address that libpq does not read or that holds a secret.
 */
int store_postgres_open(struct runtime *runtime, struct slice address, struct slice instance,
                        bool create, struct store **out) GLIS_CHECKED;
/* Leaves in the database who the instance is, in a row that is no object, before anything else of
 * it; `text`: what is known of the instance, for people. disclaim takes it back. */
int store_postgres_claim(struct store *store, struct slice text) GLIS_CHECKED;
int store_postgres_disclaim(struct store *store) GLIS_CHECKED;
/* The instance was claimed: a database that does not know it is GLIS_ECORRUPT from now on, and not
 * a log without records. To be called before the first request. */
void store_postgres_expect(struct store *store);

/* ---- the root of an instance ---- */

/*
 * The store of an instance: the store at the address, with the logs where the object `home` says
 * (docs/formats.md, "home"), and a cache before the data files once store_root_cache was called.
 * `home` is read together with the first log objects.
 */
int store_root_open(struct runtime *runtime, struct slice address, unsigned local_flags,
                    struct store **out) GLIS_CHECKED;
/* The same over a store that it then owns, also when it fails. */
int store_root_wrap(struct runtime *runtime, struct store *main, struct store **out) GLIS_CHECKED;
/* The instance is to be begun here, with its logs at this address (empty: in the store itself):
 * `home` is written before the first object of a log, unless it is there. An address that is not
 * the one there is GLIS_EEXISTS later. Checks the address and that the database can be reached.
 * Does nothing for a store that is no root. */
int store_root_begin(struct store *root, struct slice log_home) GLIS_CHECKED;
/* Where the logs are, for people; NULL when they are in the store itself, or nobody asked yet, and
 * for a store that is no root (or NULL). Good until the store is closed. */
const char *store_root_logs(const struct store *root);
/* Puts a cache before the data files, or takes it away (NULL). To be called while nothing else is
 * asked of the store. Does nothing for a store that is no root. */
int store_root_cache(struct store *root, const struct store_cache_settings *settings) GLIS_CHECKED;

/* Finds the store for an address: a path, file://PATH, s3://BUCKET/PREFIX or az://CONTAINER/PREFIX;
 * other schemes are GLIS_EUNSUPPORTED by name. store_locate_root takes the whole address as the
 * root; store_locate splits it into a root and the key of one object in it (key in the arena). */
int store_locate_root(struct runtime *runtime, struct slice address, unsigned local_flags,
                      struct store **out) GLIS_CHECKED;
int store_locate(struct runtime *runtime, struct slice address, struct arena *arena,
                 struct store **out, struct slice *key) GLIS_CHECKED;
/* What stands behind "s3://" or "az://": a bucket, and what is in it. Empty for all other
 * addresses. */
struct slice store_bucket_address(struct slice address);

#endif
