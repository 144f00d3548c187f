/*
 * table_change.h: changing a table: ingest, schema and properties, compaction and other jobs, the
 * tree, pins, collection, going back, deleting. Each function is one transaction of the table's
 * log, from making it to its outcome.
 *
 * The rules of every transaction are checked before anything is changed, the same way by every
 * reader; a refusal is GLIS_EREFUSED and names the ids. A condition once met is false for ever
 * after, so a transaction whose outcome was unknown may be done again. docs/formats.md describes
 * what is written.
 *
 * Ownership: what is handed in is only read, and need not outlive the call.
 */
#ifndef GLIS_TABLE_TABLE_CHANGE_H
#define GLIS_TABLE_TABLE_CHANGE_H

#include "base/runtime.h"
#include "base/ulid.h"
#include "table/table_state.h"

struct log_trim_result;

struct table;

/* ---- changing a table ---- */

/* A new name for a file whose writing begins at the state: data/<12 hex>-<ulid>.parquet, in the
 * arena. */
struct slice table_file_name_new(const struct table_state *state, const struct runtime *runtime,
                                 struct arena *arena);

struct new_reference {
    struct slice partition;
    uint64_t rows; /* counted */
};
/* Of one ageOff field of a file: what decides whether all of it has passed an age. */
struct file_age {
    struct slice field;
    bool has_max; /* false: all values are null */
    int64_t max;  /* milliseconds since 1970, rounded up */
    uint64_t n_nulls;
};
/* What a job that filtered by an ageOff field kept: values above the cut-off, in milliseconds since
 * 1970. */
struct age_cutoff {
    struct slice field;
    int64_t cutoff;
};
struct new_file {
    struct slice name; /* from table_file_name_new */
    uint64_t size, rows;
    uint8_t checksum[16];
    const struct file_bound *bounds; /* one a row-key field */
    const struct new_reference *references;
    size_t n_references;
    const struct file_age *ages; /* of the table's ageOff fields */
    size_t n_ages;
};
/*
 * An ingest's one commit. A job is known by `job` or by `writer` and `sequence`. A repeat of what
 * was committed is success with already_done; the same job id with another fingerprint is
 * GLIS_EEXISTS; a sequence further ahead is GLIS_ESEQUENCE. GLIS_EREFUSED: the table was reset,
 * restored or its processing changed since `state`, or a file was begun below the horizon.
 */
struct ingest_commit {
    const struct table_state *state; /* that the work began with */
    const struct new_file *files;
    size_t n_files;
    struct slice job;                 /* 1 to 200 of [A-Za-z0-9._:-] */
    bool job_is_given;                /* by the user: remembered for glis.table.job.memory */
    uint64_t fingerprint[2];          /* of the job's input */
    struct slice writer;              /* instead of job: 1 to 200 of the same characters */
    uint64_t sequence;                /* from 1 */
    const struct age_cutoff *cutoffs; /* what it filtered by age */
    size_t n_cutoffs;
    int64_t now_ms;      /* from which it counted the ages; refused when it is yet to come */
    uint64_t rows_read;  /* for reports */
    int64_t duration_ms; /* likewise; 0: not known */
};
struct commit_result {
    uint64_t record; /* the commit's, or the one that had done it (0: not known) */
    bool already_done;
};
int table_commit_ingest(struct table *table, const struct ingest_commit *commit,
                        struct commit_result *out) GLIS_CHECKED;
/* Before the work: whether the job was done, by the table's present state; errors as above. Before
 * anybody is told so, table_settle. */
int table_check_job(const struct table_state *state, struct slice job,
                    const uint64_t fingerprint[2], struct commit_result *out) GLIS_CHECKED;
int table_check_sequence(const struct table_state *state, struct slice writer, uint64_t sequence,
                         struct commit_result *out) GLIS_CHECKED;
/* Makes sure that what this state says outlasts a failure of power; as log_settle. */
int table_settle(struct table *table, const struct table_state *state) GLIS_CHECKED;
int table_forget_writer(struct table *table, struct slice writer) GLIS_CHECKED;

/* Sets properties (empty value: back to the default), and with `schema` not NULL takes a later
 * form of the schema: nullable value fields added at the end, IntType values widened to LongType.
 * */
int table_alter(struct table *table, const struct setting *settings, size_t n_settings,
                const struct schema *schema, struct commit_result *out) GLIS_CHECKED;
/* All rows go; with split points (NULL: keeps the tree) a new tree comes. */
int table_reset(struct table *table, const struct slice *split_points, size_t n_split_points,
                bool keep_tree, struct commit_result *out) GLIS_CHECKED;

/* ---- jobs on references ---- */

/* The jobs that have references, with when their assignments run out; by id, in the arena. */
struct table_assignment {
    struct slice job, partition;
    uint64_t record, n_references;
    int64_t until_ms;
};
int table_assignments(const struct table_state *state, struct arena *arena,
                      struct table_assignment **out, size_t *n_out) GLIS_CHECKED;

/*
 * Gives references of one partition to a job until a time (of the records' clock), taking over what
 * ran out; for the same job again it extends. GLIS_EREFUSED: one is gone, set aside, or another
 * job's. `state` is what was planned with.
 */
struct job_assignment {
    struct slice job, partition;
    const struct slice *files;
    size_t n_files;
    int64_t until_ms;
};
int table_assign_job(struct table *table, const struct job_assignment *assignment,
                     struct commit_result *out) GLIS_CHECKED;
/* GLIS_EREFUSED when nothing is assigned to it. */
int table_release_job(struct table *table, struct slice job, struct commit_result *out)
    GLIS_CHECKED;

/* The end of a compaction: the job's references go, at most one file comes, with one reference on
 * the same partition (rows: what it has). GLIS_EREFUSED: the job lost a reference, the table was
 * reset or its processing changed, or the file was begun below the horizon. */
struct compaction_commit {
    const struct table_state *state; /* that the work began with */
    struct slice job, partition;
    const struct slice *inputs; /* names of files */
    size_t n_inputs;
    const struct new_file *file; /* NULL: no row was left */
    const struct age_cutoff *cutoffs;
    size_t n_cutoffs;
    int64_t now_ms;                   /* as of an ingest */
    uint64_t rows_read, rows_written; /* for reports */
    int64_t duration_ms;
};
int table_commit_compaction(struct table *table, const struct compaction_commit *commit,
                            struct commit_result *out) GLIS_CHECKED;

/* References of inner partitions go down to disjoint descendants that cover every leaf which the
 * file's bounds meet. Rows are estimates, except of a single target, which takes over what is
 * known. GLIS_EREFUSED: gone, assigned, or not covered. */
struct reference_move {
    struct slice partition, file;
    const struct new_reference *to;
    size_t n_to;
};
int table_push_down(struct table *table, const struct reference_move *moves, size_t n_moves,
                    struct commit_result *out) GLIS_CHECKED;

/* ---- changes of the tree ---- */

/* A leaf becomes a parent: left below `split`, right from there on. Ids are made from the state's
 * record. GLIS_EREFUSED: it is no leaf any more, or the state is below the horizon. */
int table_split_partition(struct table *table, const struct table_state *state,
                          struct slice partition, uint32_t dimension, struct slice split,
                          struct commit_result *out) GLIS_CHECKED;
/* Several leaves become subtrees, whose splits count as asked for. Of each: nodes in depth-first
 * order, the leaf itself first; `left` and `right` are indexes of nodes of the same array, 0: this
 * node stays (or becomes) a leaf. */
struct growing_node {
    uint32_t dimension;
    struct slice split;
    uint32_t left, right;
};
struct growing_leaf {
    struct slice partition;
    const struct growing_node *nodes;
    size_t n_nodes;
};
int table_extend_tree(struct table *table, const struct table_state *state,
                      const struct growing_leaf *leaves, size_t n_leaves, struct commit_result *out)
    GLIS_CHECKED;
/* Two sibling leaves without references for a day become one: their parent, whose split nobody
 * asked for. */
int table_merge_partitions(struct table *table, struct slice parent, struct commit_result *out)
    GLIS_CHECKED;
/* Inner partitions whose two children are leaves that have been empty so long by the state's time
 * and may be merged; ids in the arena. */
int table_mergeable(const struct table_state *state, struct arena *arena, struct slice **out,
                    size_t *n_out) GLIS_CHECKED;

/* ---- pins, collection, going back ---- */

/* Pins keep the state as of a record readable. */
struct table_pin {
    struct slice id; /* as job ids */
    uint64_t record;
    int64_t until_ms; /* 0: for ever */
    bool keeps_work;  /* for jobs of several steps: what they write is not taken for orphans */
};
/* By id, in the arena; those that ran out too. */
int table_pins(const struct table_state *state, struct arena *arena, struct table_pin **out,
               size_t *n_out) GLIS_CHECKED;
/* The same id again extends. GLIS_EREFUSED: files of that record have been collected. */
int table_pin(struct table *table, const struct table_pin *pin, struct commit_result *out)
    GLIS_CHECKED;
int table_unpin(struct table *table, struct slice id, struct commit_result *out) GLIS_CHECKED;
/* Whether the state still allows a pin of the record: neither collection nor trimming has passed
 * it, nor (of one that keeps work) the horizon. False is for ever, save after a restore. */
bool table_record_can_be_pinned(const struct table_state *state, uint64_t record, bool keeps_work);

/* A pin for as long as some work on a record lasts. The caller fills in the first part; what the id
 * points to must live as long as the hold. */
struct table_hold {
    struct table *table;
    struct slice id; /* the pin's; empty: a new one is made when it is needed */
    uint64_t record;
    int64_t length_ms; /* of one pin: what a process that dies leaves behind lasts so long */
    int64_t from_ms;   /* the first is due at this time */
    bool keeps_work;
    bool is_required; /* else: whoever may not write, or comes too late, goes on without */
    /* Of table_hold.c: */
    bool is_held;
    int64_t asked_ms; /* when a pin was put last; 0: never */
    struct ulid own_id;
};
/* Puts or extends the pin when it is due; to be called again and again while the work lasts. */
int table_hold_renew(struct table_hold *hold) GLIS_CHECKED;
/* Ends the pin, if there is one; the thread's error stays as it is. May be called twice. */
void table_hold_end(struct table_hold *hold);

/* First and second step of collection: files as of a state, without references since their gone
 * record, kept by no pin. Between the two their objects are deleted. GLIS_EREFUSED names the file
 * that does not allow it. */
int table_mark_files(struct table *table, const struct table_file *files, size_t n_files,
                     struct commit_result *out) GLIS_CHECKED;
int table_forget_files(struct table *table, const struct slice *names, size_t n_names,
                       struct commit_result *out) GLIS_CHECKED;
/* Whether the file was marked: its object may be gone. */
bool table_file_is_marked(const struct table_state *state, struct slice name);
/* Whether a pin that lives at time_ms keeps it. */
bool table_file_is_pinned(const struct table_state *state, const struct table_file *file,
                          int64_t time_ms);
/* What was begun before the record can no longer be added. GLIS_EREFUSED: not above the present
 * one, above the log's end, a living assignment or a pin that keeps work. */
int table_raise_horizon(struct table *table, uint64_t record, struct commit_result *out)
    GLIS_CHECKED;
/* The highest record that raise_horizon would take at the state's time. */
uint64_t table_horizon_limit(const struct table_state *state);

/* States below the record are no longer readable. GLIS_EREFUSED: not above the present line, above
 * the log's end, or a living pin keeps a state below it. */
int table_raise_trim_line(struct table *table, uint64_t record, struct commit_result *out)
    GLIS_CHECKED;
/* The highest record that raise_trim_line would take at the state's time; and the present line. */
uint64_t table_trim_limit(const struct table_state *state);
uint64_t table_trim_line(const struct table_state *state);

struct table_trim_options {
    bool keep_given; /* keep this many records; else those younger than glis.table.log.keep */
    uint64_t keep;
    bool full; /* also what may lie about for long: bodies that nothing names, leftovers */
    bool dry_run;
};
/*
 * Trims the table's log: decides what is to stay readable (living pins' records do), raises the
 * trim line, and trims in whole blocks down to a snapshot (log_trim). Without `full` the store is
 * asked nothing when the log is shorter than a block beyond the line. A pin that came meanwhile is
 * no error: it just keeps more.
 */
int table_trim(struct table *table, const struct table_trim_options *options,
               struct log_trim_result *out) GLIS_CHECKED;

/* Takes a role: its epoch goes up by one, and transactions that name a lower one are refused from
 * then on. `epoch` is the present one, 0 when nobody held it yet. GLIS_EREFUSED: it is another. */
int table_take_role(struct table *table, struct slice role, uint64_t epoch, struct slice token,
                    struct commit_result *out) GLIS_CHECKED;
/* Who holds a role: its epoch and token (in the arena); 0 and empty: nobody has. */
void table_role(const struct table_state *state, struct slice role, struct arena *arena,
                uint64_t *epoch, struct slice *token);

/* References, tree, jobs done and writers become those of an earlier record; generation + 1.
 * GLIS_EREFUSED: a file of then is unknown or marked, rows were deleted since for law's sake, or
 * the processing is another; GLIS_EGONE: the record is trimmed. */
int table_restore(struct table *table, uint64_t record, struct commit_result *out) GLIS_CHECKED;

/* A damaged file: all of its references are set aside, or taken back. */
int table_set_aside(struct table *table, struct slice file, struct commit_result *out) GLIS_CHECKED;
int table_take_back(struct table *table, struct slice file, struct commit_result *out) GLIS_CHECKED;

/* One step of deleting rows: references go, files without the rows come. */
struct named_reference {
    struct slice partition, file;
};
struct delete_commit {
    const struct table_state *state; /* that the work began with */
    const struct named_reference *references;
    size_t n_references;
    const struct new_file *files;
    size_t n_files;
};
int table_commit_delete(struct table *table, const struct delete_commit *commit,
                        struct commit_result *out) GLIS_CHECKED;
/* References of files that lie wholly past an age go. */
int table_expire(struct table *table, const struct table_state *state,
                 const struct named_reference *references, size_t n_references,
                 const struct age_cutoff *cutoffs, size_t n_cutoffs, int64_t now_ms,
                 struct commit_result *out) GLIS_CHECKED;
/* What has been filtered away by age at most, in milliseconds since 1970: readers keep what is
 * above it. INT64_MIN: nothing. */
int64_t table_state_cutoff(const struct table_state *state, struct slice field);
/* What is known of a file's ageOff fields; in the arena. */
int table_file_ages(const struct table_state *state, struct slice name, struct arena *arena,
                    struct file_age **out, size_t *n_out) GLIS_CHECKED;

#endif
