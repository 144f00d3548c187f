/*
 * log.h: a replicated state machine on an object store: the one mechanism for state in Glis.
 *
 * A log is a run of records below a prefix ("tables/<id>/", "catalogue/"); record N is the object
 * log/<N as 20 digits>, put if absent, so that exactly one writer wins each number. A state is what
 * the owner's pure apply() makes of the records from 1 to N. This module reads, commits, groups,
 * settles doubt, and keeps snapshots; it knows nothing of what the transactions mean. The protocol
 * and its proof are in docs/architecture.md ("The log"), the bytes in docs/formats.md ("Log
 * records").
 *
 * Published states are immutable and reference counted: a reader acquires one and keeps it as long
 * as it likes, and never waits for a writer. A state handed out is always real: its records are
 * known not to be ghosts.
 *
 * Ownership: the log owns its states; the runtime, store and machine given to log_open outlive it.
 * Every function is thread safe, except that log_close must be the last and log_commit's answers
 * belong to the caller. Slices handed to callbacks live until the callback returns.
 */
#ifndef GLIS_LOG_LOG_H
#define GLIS_LOG_LOG_H

#include "store/store.h"

struct json;
struct log;

enum {
    LOG_ID_BYTES = 32,      /* hexadecimal digits of a record's id */
    LOG_BLOCK_SLOTS = 1024, /* slots are trimmed in blocks of this many */
    LOG_PENDING_SLOTS = 64, /* a pending entry lives this many slots */
};
#define LOG_RECORD_BYTES_MAX   ((uint64_t)64 << 20)  /* the lines of one record, uncompressed */
#define LOG_BODY_BYTES_MAX     ((uint64_t)256 << 20) /* one transaction, uncompressed */
#define LOG_SNAPSHOT_BYTES_MAX ((uint64_t)16 << 30)
#define LOG_CLOCK_SKEW_MS_MAX  ((int64_t)5 * 60 * 1000)
#define LOG_NO_DEADLINE        INT64_MAX

/* ---- what the owner gives: the machine ---- */

/* What apply may know besides the state and the transaction. It reads no clock: time is this
 * one. */
struct log_record_info {
    uint64_t record;     /* the number of the record that is applied */
    int64_t time_ms;     /* its time; never below the one before, save after `time was set` */
    int64_t before_ms;   /* when time was set: the time of the record before; else 0 */
    struct slice writer; /* for people */
    uint64_t body_begun; /* the record at which the transaction's own object was begun; 0: inline */
    bool has_body;       /* the transaction came from an object of its own */
};

/* apply()'s answer besides 0 and the errors: the transaction had been done before; the state is
 * unchanged, no record is needed for it and its commit is a success (spec: job ids, sequences). */
enum { LOG_ALREADY_DONE = 1 };

/*
 * The owner's half. States are opaque to the log and immutable once published; a private copy is
 * changed by apply. Everything here is called from any thread, on one private state at a time.
 */
struct log_machine {
    const char *kind; /* "table", "catalogue": for messages */
    void *context;    /* handed to every function */

    /* The state of an empty log. */
    int (*state_new)(void *context, void **out);
    /* A private copy that apply may change. Cheap: it shares what does not change (once a
     * record, and once a catch-up). */
    int (*state_clone)(void *context, const void *state, void **out);
    void (*state_free)(void *context, void *state);

    /*
     * Pure: no I/O, no clock, no randomness, the same result everywhere. The JSON tree and its
     * texts die after the call. Returns
     *   0                  applied
     *   LOG_ALREADY_DONE   success without effect; the state is unchanged
     *   GLIS_EREFUSED      a condition fails; detail says which; the state is unchanged
     *   GLIS_EINVALID      not a well-formed transaction; the state is unchanged
     *   GLIS_ENEWER        a type or level that this program does not know
     *   others (ENOMEM)    the state is thrown away and nothing was decided
     */
    int (*apply)(void *context, void *state, const struct log_record_info *info,
                 const struct json *transaction);
    /* Time was set (see log_set_time): all delays begin again. May be NULL. Cannot fail. */
    void (*time_set)(void *context, void *state, const struct log_record_info *info);

    /* Whether the log has ended: final, nothing is put after it. */
    bool (*is_ended)(void *context, const void *state);
    /* Roughly the bytes of a snapshot of this state: decides when one is due. */
    uint64_t (*state_bytes)(void *context, const void *state);

    /* Writes the state, together with `log_part` (a short JSON text of this module, to be kept byte
     * by byte: in Parquet, the metadata entry "glis.log"). */
    int (*snapshot_write)(void *context, const void *state, struct slice log_part,
                          struct buffer *out);
    /* Reads it back. `block` holds `bytes` and may be acquired for use without a copy. log_part
     * goes to the arena. The whole is already checked against its hash; still trust nothing in
     * it: GLIS_ECORRUPT, GLIS_ENEWER. */
    int (*snapshot_read)(void *context, struct block *block, struct slice bytes,
                         struct arena *arena, struct slice *log_part, void **out);
};

/* ---- options ---- */

struct log_options {
    struct slice writer; /* who writes, for people; "" : "glis" */
    uint64_t
        record_max_bytes; /* glis.log.record.max: larger transactions become bodies; 0: 1 MiB */
    uint64_t snapshot_min_bytes; /* records that always may pile up before a snapshot; 0: 64 KiB */
    int64_t commit_timeout_ms;   /* for commits without a deadline of their own; 0: 60 s */
    unsigned read_window;        /* records asked for at a time when far behind; 0: 32 */
    unsigned read_attempts;      /* tries of a read that is broken or busy; 0: 6 */
    unsigned block_slots;   /* only for simulated worlds, where small blocks are wanted; 0: 1,024 */
    unsigned pending_slots; /* only for simulated worlds: how long entries wait; 0: 64 */
    bool impatient;         /* only for simulated worlds: who combines does so after one lost put,
                               and leaves nothing to others */
    bool snapshot_by_hand;  /* only log_snapshot_write writes them; else after commits, when due,
                               by the pool's threads if it has any */
    bool snapshot_at_close; /* also when due at log_close */
    bool read_only;         /* commits are GLIS_EDENIED; nothing is ever put */
    /* Whoever opens the log asks it at once, and for nothing that was acknowledged after the
     * opening began: the first catch-up sends no request. */
    bool asked_at_once;
    struct log_ahead *ahead; /* of this log; taken, also by a failure; may be NULL */
    /* Called by an opening from far away, with a machine's state that may turn out not to be real,
     * for beginning reads that will most likely be wanted. May be NULL. */
    void (*before_look)(void *context, const void *state);
    void *before_look_context;
};

/* What opening a log in a store that is far away reads first, under way before it is opened.
 * NULL for a store that is near. */
struct log_ahead;
struct log_ahead *log_ahead_begin(struct runtime *runtime, struct store *store,
                                  struct slice prefix);
void log_ahead_drop(struct log_ahead *ahead); /* of one that no opening took; NULL is allowed */

/* ---- states ---- */

/* A real state of the log, immutable. */
struct log_state {
    const void *state;         /* the machine's */
    uint64_t record;           /* it is the state after this record; 0: of the empty log */
    char id[LOG_ID_BYTES + 1]; /* that record's id; 32 zeros before the first */
    int64_t time_ms;           /* that record's time; 0 before the first */
    bool ended;
};

/* The newest real state that this handle knows, without any request. Never NULL. */
const struct log_state *log_state_acquire(struct log *log);
/* One more reference to a state at hand. */
const struct log_state *log_state_share(const struct log_state *state);
void log_state_release(const struct log_state *state); /* NULL is allowed */

/* ---- opening, reading, committing ---- */

/*
 * Opens a log and catches up once. A prefix without any record is an empty log (record 0), no
 * error: the first commit makes it. The prefix is empty or ends with '/'. options may be NULL.
 * Errors: those of log_catch_up.
 */
int log_open(struct runtime *runtime, struct store *store, struct slice prefix,
             const struct log_machine *machine, const struct log_options *options, struct log **out)
    GLIS_CHECKED;

/*
 * Makes the handle's state at most max_staleness_ms old: 0 sees everything that was acknowledged
 * anywhere before the call. A call that finds its state young enough sends no request; calls of
 * several threads at a time share one catch-up where that is right. GLIS_ECORRUPT names the damaged
 * object; GLIS_ENEWER; store errors after the read attempts; GLIS_ECANCELLED.
 */
int log_catch_up(struct log *log, int64_t max_staleness_ms) GLIS_CHECKED;

/* How a transaction fared. */
struct log_answer {
    int code; /* 0: applied and durable, or already done; else as log_commit says */
    bool already_done;
    uint64_t record;            /* which carries it; with already_done, of the state that says so */
    int64_t time_ms;            /* that record's time */
    struct error_detail detail; /* when code is not 0 */
};

/*
 * Commits transactions, each by itself: each is a JSON object on one line (no line breaks), is
 * checked against the newest state and put in the next record together with those of other threads.
 * All answers are given when it returns; the return value is 0 when all codes are, else the first
 * other code, whose detail is set. deadline_ns is of the runtime's monotonic clock; 0: the options'
 * timeout; LOG_NO_DEADLINE. Codes of an answer:
 *   0              it happened, is durable, and every later reader sees it
 *   GLIS_EREFUSED  its condition fails (or the log has ended, or the clocks are wrong)
 *   GLIS_EUNKNOWN  nothing can tell any more (a trimmed slot), or the deadline or a cancel came
 *                  while an answer of the store was outstanding. Doing it again is safe
 *   GLIS_ETIMEOUT, GLIS_ECANCELLED, GLIS_EINVALID, store and catch-up errors: did not happen and
 *   never will
 * Transactions of one call may share a record; they are applied in order, but are not one: each may
 * be refused alone. Afterwards the handle's state contains those with code 0.
 */
int log_commit(struct log *log, const struct slice *transactions, size_t n_transactions,
               int64_t deadline_ns, struct log_answer *answers) GLIS_CHECKED;

/* The state after an older record, by the nearest snapshot below: for reading at a record. The
 * caller releases it. GLIS_EGONE when its records are trimmed; GLIS_ENOTFOUND beyond the log's
 * end. */
int log_state_at(struct log *log, uint64_t record, const struct log_state **out) GLIS_CHECKED;

/* Makes sure that a state read at this record outlasts a failure of power: the process that put its
 * newest records may not have come so far. To be called before anybody is told, or a snapshot says,
 * that something is so by what was only read. GLIS_EUNKNOWN when that cannot be had just now. */
int log_settle(struct log *log, uint64_t record) GLIS_CHECKED;

/* Commits a record that sets the log's time to this machine's, also backwards: the remedy when the
 * newest record lies ahead of the store's clock. `record` must be the log's end. */
int log_set_time(struct log *log, uint64_t record, int64_t deadline_ns, struct log_answer *answer)
    GLIS_CHECKED;

/* ---- snapshots ---- */

/* Whether the records since the last snapshot outweigh a tenth of the state. */
bool log_snapshot_due(struct log *log);
/* Writes a snapshot of the newest real state, whether due or not, points the hint at it, and
 * removes those that nothing needs any more: not the newest two, nor the lowest behind each 1,024
 * records, on which a trim may stand. Nothing to do (0) when there is one of this record. */
int log_snapshot_write(struct log *log) GLIS_CHECKED;

/* ---- trimming ---- */

struct log_trim_plan {
    uint64_t line; /* records up to this one would go, or have gone */
    uint64_t base; /* the lowest record whose state could be read then; 0: as now */
    bool is_due;   /* there is something to trim */
};
/* How far the log can be trimmed so that states from `keep_from` on stay readable: in whole blocks,
 * and down to a snapshot that is there. Changes nothing. */
int log_trim_plan(struct log *log, uint64_t keep_from, struct log_trim_plan *out) GLIS_CHECKED;
/* The same, and what is due is sure to stand on a snapshot that can be read: it is read. One that
 * is damaged is passed over for a lower one, since what is to stay readable above it needs the
 * records then. */
int log_trim_plan_sure(struct log *log, uint64_t keep_from, struct log_trim_plan *out) GLIS_CHECKED;

struct log_trim_options {
    uint64_t line;         /* of a plan: records up to this one go; 0: only cleaning */
    uint64_t bodies_below; /* bodies begun below this record, which the machine would refuse from
                              now on, go when nothing names them; 0: those are not looked for */
    bool dry_run;          /* only counts */
};
struct log_trim_result {
    uint64_t line; /* everything up to this record is trimmed */
    uint64_t records, bodies, snapshots, pending, uploads; /* removed */
};
/*
 * Trims a log: markers, then records and bodies up to the line; and removes what is left over in
 * blocks that were trimmed before, entries decided or expired, snapshots that nothing needs, and
 * unfinished uploads of a day ago. Several at a time do no harm, and one that died is gone on with.
 * GLIS_EREFUSED when no snapshot covers the line, or the lowest that does is damaged; GLIS_EINVALID
 * for a log that has ended.
 */
int log_trim(struct log *log, const struct log_trim_options *options, struct log_trim_result *out)
    GLIS_CHECKED;

/* Removes everything of a log that has ended but its last snapshot and the markers that keep it
 * ended. GLIS_EINVALID when it has not. Doing it again, or several at a time, does no harm. */
int log_clear_ended(struct log *log) GLIS_CHECKED;

/* Waits for commits that are under way in other threads, writes a snapshot when due and wanted, and
 * frees the handle. States still held stay valid until released. NULL is allowed. */
void log_close(struct log *log);

/* ---- looking at a log without a machine ---- */

/* What became of a transaction that a record carries for another process. */
enum log_fate {
    LOG_FATE_UNKNOWN,
    LOG_FATE_APPLIED,
    LOG_FATE_DONE,    /* it had been done before, or had expired: no effect */
    LOG_FATE_REFUSED, /* no effect */
};

/* One transaction of a record as it was read; bodies are resolved. */
struct log_shown_line {
    struct slice text;    /* JSON; of the body when there is one */
    struct slice body;    /* key of the body object below the prefix; empty: inline */
    struct slice pending; /* id when it is a pending entry carried by the record; empty: direct */
    uint64_t not_after;   /* of a pending entry */
    enum log_fate fate;   /* of one, where that was asked for and can be told */
    struct slice reason;  /* of LOG_FATE_REFUSED */
    int code;             /* GLIS_ENOTFOUND, GLIS_ECORRUPT: the body cannot be read; `problem` */
    const char *problem;
};

struct log_shown {
    uint64_t record;
    struct slice id, previous, writer;
    int64_t time_ms;
    uint64_t object_bytes, body_bytes; /* as stored; the lines uncompressed */
    const struct log_shown_line *lines;
    size_t n_lines;
    int code; /* not 0: the record is damaged, or its chain is; what could be read is filled in */
    const char *problem;
};

/*
 * Visits records from..to (0: to the end) in order; stops at the first non-zero code of `visit` and
 * returns it. Damaged records are shown with their reason and the walk goes on; it ends at the
 * first record that does not exist. GLIS_EGONE when `from` lies in a trimmed block.
 */
int log_show(struct runtime *runtime, struct store *store, struct slice prefix, uint64_t from,
             uint64_t to, int (*visit)(void *state, const struct log_shown *record), void *state)
    GLIS_CHECKED;

/* The same, telling also what became of carried entries, for which the records are applied from the
 * first one on that has any. What cannot be told is LOG_FATE_UNKNOWN: of records below the oldest
 * snapshot of a log that was trimmed, and behind a damaged one. */
int log_show_judged(struct runtime *runtime, struct store *store, struct slice prefix,
                    const struct log_machine *machine, uint64_t from, uint64_t to,
                    int (*visit)(void *state, const struct log_shown *record), void *state)
    GLIS_CHECKED;

struct log_check_result {
    uint64_t first, last; /* records that are there; 0 and 0: none */
    uint64_t n_bodies, n_snapshots, n_markers, n_problems;
};
/*
 * Checks what is there: numbers without a gap, headers, hashes, chain of ids, time, bodies,
 * snapshot hashes, markers; with a machine, also that every record applies and that snapshots load.
 * Calls `problem` with a sentence for each finding. Returns 0 also with problems found; an error
 * when it could not look.
 */
int log_check(struct runtime *runtime, struct store *store, struct slice prefix,
              const struct log_machine *machine,
              void (*problem)(void *state, const char *object, const char *what), void *state,
              struct log_check_result *out) GLIS_CHECKED;

#endif
