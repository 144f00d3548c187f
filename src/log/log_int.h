/*
 * log_int.h: what the files of the log share.
 *
 *   log_record.c    bytes of a record and of a body <-> struct log_record
 *   log_version.c   versions (a state and what the log knows about it): apply, decided entries
 *   log_read.c      catching up: gets, the marker look, beginning again from a snapshot
 *   log_commit.c    group commit, doubt
 *   log_combine.c   contended commits: waiting entries, and records that carry many
 *   log_snapshot.c  snapshots and the hint
 *   log_pending.c   waiting entries as they lie in the store
 *   log_trim.c      trimming, and which snapshots stay; log_end.c: what becomes of an ended log
 *   log.c           the handle: publishing, sharing of catch-ups, opening and closing
 *   log_show.c      looking at a log without a machine; log_check.c: checking one
 *
 * Locks: log->lock guards the handle's fields and is never held across a request to the store or a
 * call of the machine. Versions are immutable once published and need none.
 */
/*
 * Where the protocol's rules stand. Each is needed: without it some interleaving loses, doubles or
 * hides a commit.
 *   a look for the marker follows a put, does not precede it      record_look        log_commit.c
 *   a look follows the gets, at the block of the first slot asked log_read_forward   log_read.c
 *   the first not-found ends a catch-up                           window_read        log_read.c
 *   a watch's number is taken before the gets                     look               log.c
 *   what was only read is passed on after those who watch know    log_publish_read   log.c
 *   damage is judged after the look                               struct run         log_read.c
 *   after a marker: a snapshot from the list, not from the hint   begin_again        log_read.c
 *   the same bytes again after "unknown"; one's own id read back  record_put         log_commit.c
 *   doubt lasts until a look from the state it began with         record_lost        log_commit.c
 *   a marker after a put, or in doubt, means GLIS_EUNKNOWN        record_look, _lost log_commit.c
 *   nothing is put after the end                                  log_version_try    log_version.c
 *   a snapshot's put is repeated until it is definite             log_put_surely     log_commit.c
 *   the newest snapshots stay                                     snapshot_stays     log_trim.c
 *   doubt is settled before an entry is put                       record_lost        log_commit.c
 *   no verdict of one's own while it waits; its fate is looked
 *   for in every record read                                      entries_see        log_combine.c
 *   beyond a snapshot above not_after nothing is known            entries_restart    log_combine.c
 *   "did not happen" only when all up to not_after was read       entries_settle     log_combine.c
 *   nobody carries an entry that expired or was decided           other_wanted,
 *                                                                 other_visit        log_combine.c
 *   a snapshot that is known to be there before a marker          base_settle        log_trim.c,
 *                                                                 last_snapshot_sync log_end.c
 *   a damaged base stops a trim                                   base_check         log_trim.c
 *   nothing goes by what was only read                            log_settle         log_trim.c
 *   markers ascending, each confirmed, their folder synced        markers_put        log_trim.c
 *   marker before deletion                                        trim_run           log_trim.c
 *   an end marks its own, half-filled block                       put_markers        log_end.c
 *   bodies go by records that were no ghosts                      block_bodies       log_trim.c
 *   bodies of waiting entries stay                                orphans_remove     log_trim.c
 *   only decided or expired entries go                            pending_visit      log_trim.c
 *   carried entries: not_after, decided ids, refusals too, their
 *   outcome, until not_after has passed                           log_version_carry  log_version.c
 */
#ifndef GLIS_LOG_LOG_INT_H
#define GLIS_LOG_LOG_INT_H

#include "log/log.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mutant.h"

#include <pthread.h>

enum {
    LOG_FORMAT = 1,        /* "glis" in headers */
    LOG_PACK_BYTES = 4096, /* larger bodies are zstd frames */
    LOG_KEY_BYTES = 1024,  /* a key with its NUL; prefixes are at most 512 */
    LOG_PREFIX_BYTES_MAX = 512,
    LOG_WRITER_BYTES_MAX = 256,
    LOG_SNAPSHOT_NAME_BYTES = 20 + 1 + 32,
    LOG_BODY_NAME_BYTES = 12 + 1 + 32,
    LOG_READ_WINDOW_MAX = 256,
    LOG_PENDING_ID_BYTES_MAX = 64,
    LOG_REASON_BYTES_MAX = 256,
};
#define LOG_PENDING_BYTES_MAX ((uint64_t)8 << 20)
#define LOG_RECORD_FILL_BYTES ((uint64_t)4 << 20) /* a group stops growing here */

/* ---- records ---- */

enum log_line_kind {
    LOG_LINE_DIRECT,
    LOG_LINE_BODY,
    LOG_LINE_PENDING,
    LOG_LINE_SET_TIME,
};

/* One line of a record. What is in brackets holds for the kind. */
struct log_line {
    enum log_line_kind kind;
    bool carried;            /* a pending entry: pending_id, not_after */
    struct slice text;       /* the transaction's JSON, of the body when that is resolved */
    const struct json *json; /* the transaction; NULL while a body is not resolved */
    struct slice body_name;  /* [has body] "<12 hex>-<32 hex>" */
    uint64_t body_begun, body_bytes;
    struct hash128 body_hash;
    struct slice pending_id;
    uint64_t not_after;
    uint64_t set_time_record; /* [SET_TIME] */
};

struct log_record {
    uint64_t record;
    char id[LOG_ID_BYTES + 1], previous[LOG_ID_BYTES + 1];
    int64_t time_ms;
    struct slice writer;
    struct log_line *lines;
    size_t n_lines;
    uint64_t object_bytes, body_bytes;
    uint64_t weight_bytes; /* what reading it costs: the object and the bodies that it names */
};

/* A transaction on its way into a record. */
struct log_line_out {
    struct slice text;      /* inline transaction, or */
    struct slice body_name; /* its body, or */
    uint64_t body_bytes;
    struct hash128 body_hash;
    bool sets_time; /* a set_time of this record */
    uint64_t set_time_record;
};

/* Appends a whole record object. */
int log_record_encode(const struct log_record *header, const struct log_line_out *lines,
                      size_t n_lines, struct buffer *out) GLIS_CHECKED;
/* Reads one; everything lives in the arena, whose budget bounds it. GLIS_ECORRUPT, GLIS_ENEWER,
 * GLIS_ENOMEM. On failure what was read of the header is filled in. */
int log_record_decode(struct arena *arena, struct slice object, uint64_t record,
                      struct log_record *out) GLIS_CHECKED;
/* A body object and back. The text is checked against size and hash. */
int log_body_encode(struct slice text, struct buffer *out) GLIS_CHECKED;
int log_body_decode(struct arena *arena, struct slice object, struct log_line *line) GLIS_CHECKED;
/* One line of a record, without its line feed. GLIS_EINVALID, GLIS_ENEWER. */
int log_line_decode(struct arena *arena, struct slice text, struct log_line *out) GLIS_CHECKED;

bool log_hex_parse(struct slice digits, uint64_t *out);           /* lower case, at most 16 */
bool log_hash128_parse(struct slice digits, struct hash128 *out); /* 32 */
bool log_decimal_parse(struct slice digits, uint64_t *out);       /* 20 digits */
bool log_id_is_valid(struct slice id);
/* This thread's error with another code: a condition that fails becomes damage. Returns `code`. */
int log_error_recode(int code);

/* ---- versions ---- */

/* A pending entry that a record decided. Its slices lie in the version. */
struct log_decided {
    struct slice id;
    uint64_t not_after;
    bool applied;
    bool already_done; /* [applied] without effect: it had been done before */
    uint64_t record;   /* that decided it, and its time */
    int64_t time_ms;
    struct slice reason; /* of a refusal, for its writer; cut */
};

/* A state with what the log knows about it. */
struct log_version {
    struct log_state state; /* what others see of it; the first member */
    _Atomic uint32_t references;
    const struct log_machine *machine;
    void *machine_state;
    struct map decided;       /* id -> outcome: those that may be met again */
    struct map decided_until; /* not_after, 8 bytes big-endian, id -> nothing */
    uint64_t carried_record;  /* the last one that carried entries, and how many it decided */
    uint64_t n_carried;
    uint64_t snapshot_record; /* the snapshot that it descends from */
    uint64_t weight_bytes;    /* records applied since then */
};

static inline struct log_version *log_version_of(const struct log_state *state)
{
    return (struct log_version *)(uintptr_t)state;
}

/* The version of an empty log. One reference. */
int log_version_new(const struct log_machine *machine, struct log_version **out) GLIS_CHECKED;
/* A private version that log_version_apply may change. */
int log_version_clone(const struct log_version *version, struct log_version **out) GLIS_CHECKED;
struct log_version *log_version_acquire(struct log_version *version);
void log_version_release(struct log_version *version); /* NULL is allowed */

/* Applies the next record; bodies are resolved. On failure the version is unusable.
 * GLIS_ECORRUPT when the record does not follow or a direct transaction fails its condition. */
int log_version_apply(struct log_version *version, const struct log_record *record) GLIS_CHECKED;
/* Applies one transaction that is not in a record yet: as the machine's apply. */
int log_version_try(struct log_version *version, const struct log_record_info *info,
                    const struct json *transaction) GLIS_CHECKED;
/* How an entry was decided, as long as that is remembered; else false. `out` may be NULL. */
bool log_version_decided(const struct log_version *version, struct slice id,
                         struct log_decided *out);
/* Decides a carried entry, whose body is resolved, as every reader of the record will. */
int log_version_carry(struct log_version *version, const struct log_record_info *info,
                      const struct log_line *line) GLIS_CHECKED;
/* Makes a version to which log_version_try or _carry was applied the one after this record. */
void log_version_complete(struct log_version *version, const struct log_record *record);

/* The log's part of a snapshot. */
int log_version_part_write(const struct log_version *version, struct buffer *out) GLIS_CHECKED;
/* Takes the machine's state over, also on failure. */
int log_version_part_read(const struct log_machine *machine, struct slice part, void *machine_state,
                          struct log_version **out) GLIS_CHECKED;

/* ---- the handle ---- */

struct log_request;

struct log {
    struct runtime *runtime;
    struct store *store;
    const struct log_machine *machine;
    struct log_options options;
    char prefix[LOG_PREFIX_BYTES_MAX + 1];
    char writer[LOG_WRITER_BYTES_MAX + 1];

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct log_version *published; /* real */
    int64_t fresh_ns;              /* everything acknowledged before this moment is in it */
    unsigned n_active;             /* calls that log_close waits for */

    bool catching_up;          /* a shared catch-up is under way */
    uint64_t n_begun, n_ended; /* shared catch-ups */
    struct {
        struct store_watch *of; /* the folder of records; NULL: none. Changed by who catches up */
        uint64_t count, record; /* at `count` the log ended with this record; 0: not known */
        unsigned n_idle;        /* catch-ups in a row that met no new record */
        int64_t not_before_ns;  /* no other attempt to begin one before */
    } watch;
    int catch_up_code; /* of the last one that ended */
    struct error_detail catch_up_detail;

    struct log_request *first_waiting, **last_waiting;
    size_t n_waiting; /* requests in that queue */
    bool leading;     /* one thread at a time commits */
    /* of who leads: */
    size_t n_together;    /* requests answered or waiting at the end of the last batch */
    unsigned n_unwaited;  /* batches that still begin without a wait for companions, */
    unsigned unwaited_of; /* since so many waits in vain */
    int64_t put_ns;       /* how long a record's put took of late */
    struct {              /* who else commits */
        int64_t committed_ns;
        unsigned n_commits;  /* since the last look for their entries; a lost put counts more */
        unsigned period;     /* commits until the next one */
        unsigned n_batches;  /* that are to combine from the start */
        uint64_t n_waiting;  /* entries seen together of late */
        uint64_t n_often;    /* entries of others that a record of this handle carries at best */
        uint64_t n_led;      /* records that this handle put to carry entries */
        uint64_t led_record; /* the newest record that this handle put with others' entries */
        int64_t seen_ns;     /* when a waiting batch met the newest record, */
        int64_t interval_ns; /* and how long records took to come of late; 0: not known */
    } others;
    struct { /* removal of entries that were carried, by a thread of the pool */
        struct task_group *group;
        bool running; /* guarded by the lock */
    } cleaning;

    int64_t clock_checked_ns, clock_offset_ms; /* the store's clock less this machine's */
    bool clock_known;

    struct {
        bool writing;
        uint64_t record;       /* of the newest snapshot that this handle wrote or found; 0: none */
        uint64_t origin;       /* snapshot_record and */
        uint64_t weight;       /* weight of the version that it was made of */
        int64_t not_before_ns; /* after a failure: no other attempt before */
        struct task_group *background; /* of whoever has set `writing`; NULL at first */
    } snapshot;
};

/* Makes a handle without a state, for looking at a log: keys and reads work, nothing else. */
int log_bare_init(struct log *log, struct runtime *runtime, struct store *store,
                  struct slice prefix, const struct log_machine *machine) GLIS_CHECKED;
void log_bare_free(struct log *log);

int64_t log_now_ns(const struct log *log);
/* "<prefix>log/<20 digits>" and the like; `out` has LOG_KEY_BYTES. */
struct slice log_key_record(const struct log *log, uint64_t record, char *out);
struct slice log_key_marker(const struct log *log, uint64_t block, char *out);
/* The folder that records lie in: "<prefix>log". */
struct slice log_key_folder(const struct log *log, char *out);
struct slice log_key_body(const struct log *log, struct slice name, char *out);
struct slice log_key_pending(const struct log *log, struct slice id, char *out);
struct slice log_key_snapshot(const struct log *log, struct slice name, char *out);
struct slice log_key_hint(const struct log *log, char *out);
static inline uint64_t log_block(const struct log *log, uint64_t record)
{
    return (record - 1) / log->options.block_slots + 1;
}
void log_random_hex(const struct log *log, char *out, size_t n_digits); /* NUL-terminated */
/* A jittered wait that grows with `attempt` (from 0). */
void log_back_off(const struct log *log, unsigned attempt);

/* The published version, one reference; and publishing one that is real, if it is not older.
 * `as_of_ns`: everything acknowledged before that moment is in it. Takes no reference away. */
struct log_version *log_published(struct log *log);
void log_publish(struct log *log, struct log_version *version, int64_t as_of_ns);
/* The same of what was read, which others may have put just now: those who watch know it first. */
void log_publish_read(struct log *log, struct log_version *version, int64_t as_of_ns);

/* One read with the options' attempts; outcome 0 or GLIS_ENOTFOUND, or an error. */
int log_read_objects(struct log *log, struct store_read *reads, size_t n_reads) GLIS_CHECKED;
/* Whether there is the marker of a block. */
int log_marker_look(struct log *log, uint64_t block, bool *found) GLIS_CHECKED;
/* Who wants to see every state that a catch-up passes. What it is shown is real only when the
 * catch-up succeeds; `restarted` takes back all that was shown before. */
struct log_watch {
    void (*applied)(void *state, const struct log_version *version);
    void (*restarted)(void *state, const struct log_version *snapshot);
    bool (*enough)(void *state); /* after `applied`: no more need be read. NULL: to the end */
    bool peek; /* without a new record there is no look either, and *out is the base: as old as it
                  was, and not known to be the newest */
    void *state;
};

/* From `base` to the end of the log: a real version, one reference. With in_doubt a marker sets
 * *trimmed and gives no version, instead of beginning again from a snapshot. `watch` may be NULL.
 */
int log_read_forward(struct log *log, struct log_version *base, bool in_doubt,
                     const struct log_watch *watch, struct log_version **out, bool *trimmed)
    GLIS_CHECKED;
/* The same, with the first records at hand: n of them from `first` on, read after the call that
 * found `base` began. */
struct log_first {
    uint64_t first;
    unsigned n;
    struct store_read *reads;
};
int log_read_forward_first(struct log *log, struct log_version *base, const struct log_first *first,
                           struct log_version **out, bool *trimmed) GLIS_CHECKED;
/* The first state of a log in a store that is far away, and the moment that it is of; *out is NULL
 * when it is to be found in the ordinary way. Takes the options' `ahead`. */
int log_open_far(struct log *log, struct log_version **out, int64_t *begun_ns) GLIS_CHECKED;
/* The real state after one record that the log has: from the nearest snapshot at or below it. */
int log_read_until(struct log *log, uint64_t record, const struct log_state **out) GLIS_CHECKED;
/* log_read_forward from the published version, and publishes. */
int log_refresh(struct log *log) GLIS_CHECKED;
/* Reads the bodies that a record names. GLIS_ECORRUPT names the object. */
int log_bodies_resolve(struct log *log, struct arena *arena, struct log_record *record)
    GLIS_CHECKED;

/* Notes how long a record's put took; of who leads. */
void log_put_took(struct log *log, int64_t took_ns);
/* Puts an object under a name that nobody else makes until the answer is definite or the
 * deadline is over. */
int log_put_surely(struct log *log, struct slice key, struct slice body, int64_t deadline_ns)
    GLIS_CHECKED;

/* The newest version that a snapshot at or below `max_record` gives; NULL when there is none. With
 * use_hint the hint is tried first. */
int log_snapshot_load_newest(struct log *log, uint64_t max_record, bool use_hint,
                             struct log_version **out) GLIS_CHECKED;
/* One snapshot by its name. GLIS_ENOTFOUND: it is gone. */
int log_snapshot_load(struct log *log, struct slice name, struct log_version **out) GLIS_CHECKED;
/* The same of one that has been read. */
int log_snapshot_take(struct log *log, struct slice name, const struct store_read *read,
                      struct log_version **out) GLIS_CHECKED;
/* The snapshot that a hint names. */
enum { LOG_HINT_BYTES_MAX = 4096 };
int log_hint_parse(struct slice text, char name[LOG_SNAPSHOT_NAME_BYTES + 1]) GLIS_CHECKED;
/* Removes the snapshots that nothing needs: not the newest two, nor what a trim may stand on. */
int log_snapshots_remove_older(struct log *log) GLIS_CHECKED;
/* Parses "<20 digits>-<32 hex>". */
bool log_snapshot_name_parse(struct slice name, uint64_t *record, uint64_t *hash);
/* After a commit, by the thread that made it: has one written if due and wanted, by a thread of the
 * pool when it has any. Failures are forgotten. */
void log_snapshot_after_commit(struct log *log);

/* ---- commits ---- */

/* What the check of a round said of a transaction. */
enum log_verdict {
    LOG_VERDICT_NONE,
    LOG_VERDICT_INCLUDED,  /* it goes into the record */
    LOG_VERDICT_DEPENDENT, /* answered as `tentative` says, if the record checked with commits */
};

/* What the records read say of a waiting entry. */
enum log_told {
    LOG_TOLD_NOTHING,
    LOG_TOLD_APPLIED,
    LOG_TOLD_DONE,    /* it had been done before */
    LOG_TOLD_REFUSED, /* told_reason */
    LOG_TOLD_UNKNOWN, /* a snapshot beyond its not_after: nothing can tell */
};

/* One transaction on its way. Belongs to its caller's stack; in the queue and the batch until
 * done. */
struct log_request {
    struct log_request *next;
    struct slice text;
    const struct json *json;
    bool sets_time;
    uint64_t set_time_record;
    int64_t deadline_ns;
    struct log_answer *answer;
    bool done; /* guarded by the log's lock */
    /* of the leader: */
    enum log_verdict verdict;
    int tentative;
    struct error_detail tentative_detail;
    bool body_put, body_shared; /* shared: an entry named it, so anybody's record may */
    uint64_t body_begun;
    char body_name[LOG_BODY_NAME_BYTES + 1];
    /* as a waiting entry: */
    bool pending;
    bool entry_absent; /* its put was refused for certain: nobody else carries it */
    char pending_id[LOG_ID_BYTES + 1];
    uint64_t not_after;
    struct slice entry; /* its line; in the batch's arena */
    enum log_told told;
    uint64_t told_record;
    int64_t told_time_ms;
    char told_reason[LOG_REASON_BYTES_MAX];
};

struct log_batch {
    struct log_request *first; /* undecided ones, in order of arrival */
    bool fresh;                /* a catch-up has begun since all of these were handed in */
    bool stale;                /* catch up before anything else */
    unsigned losses;
    bool combining;   /* some of the requests are waiting entries; base is kept between rounds */
    bool shown;       /* the entries were put: anybody may carry them */
    bool put_perhaps; /* a record that carries them was put, or may have been */
    unsigned n_looks; /* in vain, since the last record */
    unsigned n_passed_over; /* records that carried others' entries and not these */
    unsigned n_failures;    /* rounds in a row that failed by something of one's own */
    bool ranked;            /* its turn among those who wait is known */
    int64_t patience_ms;    /* so long others are left to carry them, from now on */
    int64_t end_seen_ns;    /* when the number behind the base was last not there */
    bool committed;         /* this process has put a record */
    struct arena arena;
    /* one record on its way: */
    struct log_version *base, *next; /* N, and what it would become */
    struct log_record header;
    size_t n_included;
    struct log_line_out *lines;
    struct buffer object;
    char key[LOG_KEY_BYTES];
    struct slice record_key;
    bool doubt;
};

/* Answers those whose deadline is over, or all after a cancel. Returns whether any is left. In
 * doubt those of the record cannot know, nor can waiting entries; all others did not happen. */
bool log_batch_give_up(struct log *log, struct log_batch *batch);
/* Gives a request its answer, with this thread's error detail, and takes it out of the batch. */
void log_batch_answer(struct log *log, struct log_batch *batch, struct log_request *request,
                      int code, uint64_t record, int64_t time_ms);
/* A direct put was lost: others commit, too. */
void log_combine_lost(struct log *log);
/* Whether a batch of this handle would now wait for others to carry its entries. */
bool log_combine_follows(struct log *log);
/* Waits for removals that are under way; nothing else is removed afterwards. */
void log_combine_close(struct log *log);
/* Wakes all who wait for an answer, or to lead; at the end of each round it is done anyway. */
void log_callers_wake(struct log *log);
void log_batch_answer_all(struct log *log, struct log_batch *batch, int code, bool only_included);
/* The included transactions of a batch, whose bodies are put, become waiting entries. */
void log_combine_begin(struct log *log, struct log_batch *batch);
/* Whether a batch that is not in doubt is to combine now. */
bool log_combine_wanted(struct log *log, const struct log_batch *batch);
/* One round of a batch that is combining: catches up, answers what was decided, and puts a record
 * that carries its entries and all that it can list. */
void log_combine_round(struct log *log, struct log_batch *batch);

/* ---- waiting entries ---- */

/* One entry as it was listed; lives until the visit returns. */
struct log_pending_entry {
    struct slice key, id;
    uint64_t not_after;
    struct slice text; /* the line that a record carries for it, without line feed */
    const struct log_line *line;
};

/* An entry's object and back: one line with its line feed. */
int log_pending_decode(struct arena *arena, struct slice object, struct log_line *out) GLIS_CHECKED;
/* Visits the entries that are there, in the order of their ids; those that cannot be understood are
 * passed over. Stops at the first code that is not 0. */
int log_pending_each(struct log *log,
                     int (*visit)(void *state, const struct log_pending_entry *entry), void *state)
    GLIS_CHECKED;
/* The same of those that are `wanted` by their id alone: no others are read. */
int log_pending_wanted(struct log *log,
                       bool (*wanted)(void *state, struct slice id, struct slice key),
                       int (*visit)(void *state, const struct log_pending_entry *entry),
                       void *state) GLIS_CHECKED;
/* Adds the names of bodies to a map: of all waiting entries; of the records first..last, which must
 * be there (GLIS_ECORRUPT). */
int log_pending_bodies(struct log *log, struct map *out) GLIS_CHECKED;
int log_bodies_named(struct log *log, uint64_t first, uint64_t last, struct map *out) GLIS_CHECKED;

#endif
