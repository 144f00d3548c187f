/*
 * lsm.h: the work that makes and keeps sorted files: ingest, and the sorter, the merge and the file
 * maker that compaction, bulk import and export share with it.
 *
 * There is one of each: a *sorter* turns batches in any order into one ascending stream, on disk
 * where memory does not suffice; a *merge* turns several ascending streams into one; a *data file
 * writer* turns an ascending stream into a data file of the table. Order is always that of the
 * encoded keys (column.h).
 *
 * Ownership: what an ..._open or ..._new gives is ended by the matching close or free. Text in
 * results lies in the arena that the caller gave. Nothing here is visible to readers of a table
 * before the one transaction at the end; what a failure leaves is removed as far as possible, and
 * is otherwise what collection knows as orphans.
 */
#ifndef GLIS_LSM_LSM_H
#define GLIS_LSM_LSM_H

#include "base/memory.h"
#include "base/runtime.h"
#include "column/column.h"
#include "store/store.h"
#include "table/table.h"

/* ---- merging ---- */

struct merge_options {
    uint32_t n_key_fields; /* rows ascend by the first so many fields; 0: all keys of the schema */
    bool descending;       /* inputs and output descend instead */
    bool read_ahead;       /* the next batch of each input is fetched on the pool meanwhile */
    bool serial;           /* columns are put together by the calling thread alone */
    int64_t batch_rows;    /* rows of a batch given out, at most; 0: 16,384 */
    uint64_t batch_bytes;  /* and about so many bytes; 0: 4 MiB */
    size_t common_bytes;   /* in which all keys agree at their beginning, as far as known */
};

/*
 * One ordered stream of all rows of `inputs`, each of which is ordered by the same keys; rows with
 * equal keys come in the order of the inputs. Takes the inputs (closed with the merge, also on
 * failure); all must have a schema equal to `schema`. Memory is one batch of each input (two with
 * read_ahead) and one given out, all counted in `budget`. An input out of order is GLIS_ECORRUPT,
 * naming the input. Cost: a loser tree over 8 key bytes, log2(n) comparisons a row; runs of rows
 * from one input are found by doubling steps and copied in bulk.
 */
int merge_open(struct batch_stream **out, struct runtime *runtime, const struct schema *schema,
               struct batch_stream **inputs, uint32_t n_inputs, const struct merge_options *options,
               struct budget *budget) GLIS_CHECKED;

/* ---- sketches of data files ---- */

struct merge_file_input;
struct kll;
struct hll;

/* What one row-key field of a file looks like (sketch.h). */
struct field_sketch {
    struct kll *quantiles;
    struct hll *distinct;
};

/* Of one file, one a row-key field in the schema's order. */
struct file_sketches {
    uint32_t n_fields;
    struct field_sketch *fields;
    bool is_made; /* the file has none: these were made from its key columns */
};

/*
 * The sketches that a data file of the table holds, verified against their checksum and the file's
 * rows: GLIS_ECORRUPT names the file. For a file without them they are made from its key columns,
 * which takes about as long as decoding these; they are the same then as if the file had been
 * written with them. Region and bounds of the input are not looked at. Costs two or three reads of
 * some kilobytes each; whoever asks again and again keeps the answer.
 */
int data_file_sketches(struct table *table, const struct table_state *state,
                       struct runtime *runtime, const struct merge_file_input *file,
                       struct file_sketches **out) GLIS_CHECKED;
void file_sketches_free(struct file_sketches *sketches); /* NULL is allowed */

/* The same from rows, for whoever has them at hand: of a stream of any schema (which is taken), its
 * first n_fields fields, whose types are key types. `name` seeds them. Field keys of all rows are
 * looked at; a null among them is GLIS_EDATA. */
int stream_sketches(struct runtime *runtime, struct batch_stream *stream, uint32_t n_fields,
                    uint32_t k, struct slice name, struct file_sketches **out) GLIS_CHECKED;

/* ---- split points ---- */

struct kll_view;

/* Rows whose field key is below `split` go left. */
struct split_point {
    bool any; /* false: all rows have the same key, or there are none */
    uint32_t dimension;
    struct slice split; /* a field key that a row has; lives as long as the view */
};

/*
 * Where to split rows, told by a view of the sketches of each row-key field, all of it or only what
 * lies in `region` (one range a field; may be NULL). The first field whose median lies strictly
 * between its least and greatest key is split there. If there is none, the first field that has two
 * keys: its median when that is not the least key, else the smallest key above.
 */
struct split_point find_split_point(const struct kll_view *const *views, uint32_t n_fields,
                                    const struct key_range *region);

struct presplit_leaf {
    struct slice partition;
    /* One a field, of the rows that are to come into the leaf; NULL: none. */
    const struct kll_view *const *views;
};
struct presplit_options {
    uint64_t min_leaves; /* glis.table.bulk.import.min.leaf.partitions */
    uint64_t min_rows;   /* glis.table.partition.splitting.min.rows: fewer are not split */
    /* glis.table.partition.splitting.min.distribution.percent: nor are leaves with less than this
     * part of what each would have if all had the same. */
    unsigned min_distribution_percent;
};
/* As the table's properties say. */
struct presplit_options presplit_options_of(const struct table_state *state);
struct presplit_result {
    struct growing_leaf *growing; /* for table_extend_tree; in the arena, splits in the views */
    size_t n_growing;
    uint64_t n_leaves; /* there would be in all */
};
enum { PRESPLIT_LEAVES_MAX = 1 << 20 };
/*
 * How to extend a tree, whose leaves are given in key order, until it has min_leaves: the leaf with
 * the most rows is split at its median, its children standing for half of its rows each, and so on.
 * GLIS_EDATA when the rows do not suffice; the result then has what would be possible.
 */
int presplit_tree(const struct presplit_leaf *leaves, size_t n_leaves, uint32_t n_fields,
                  const struct presplit_options *options, struct arena *arena,
                  struct presplit_result *out) GLIS_CHECKED;

/* Split points of the first row key for n_leaves of about as many rows each; fewer where keys
 * repeat. The array is in the arena, the points in the view. */
int estimate_split_points(const struct kll_view *view, uint64_t n_leaves, struct arena *arena,
                          struct slice **out, size_t *n_out) GLIS_CHECKED;

/* ---- merging data files ---- */

struct parquet_reader;

/* One data file of a table, or the rows of it that lie in a region. */
struct merge_file_input {
    struct slice name, object_key; /* as the state names it, and in the instance's store */
    uint64_t size, rows, schema_version;
    const struct file_bound *bounds; /* one a row-key field; NULL: not known */
    const struct key_range *region;  /* one a row-key field; NULL: all rows */
};

/*
 * Stands between the merged rows and the file: filters, aggregations, iterators. `open` takes the
 * merged stream, also on failure, and gives one of the same schema, still in key order.
 */
struct merge_hook {
    int (*open)(void *state, struct batch_stream *merged, struct batch_stream **out);
    void *state;
    /* It looks at rows of equal keys alone: it may be opened several times at once, each time for a
     * range of keys. Else it is opened once, for all rows. */
    bool by_key;
    /* Whether every row of a row group would come out unchanged, so that it may be copied as it is
     * where no other input has rows between; NULL: never. */
    bool (*leaves_alone)(void *state, const struct parquet_reader *reader, uint32_t row_group);
};

struct merge_files_progress {
    uint64_t rows_read, rows_total, rows_written, bytes_written;
};

struct merge_files_options {
    const struct merge_hook *hook; /* NULL: none */
    uint64_t memory_bytes;         /* of rows in all stages; 0: 256 MiB; at least 16 MiB */
    const char *spill_folder;      /* for passes; NULL: TMPDIR or /tmp */
    uint32_t inputs_max;           /* merged at once; 0: as memory allows */
    uint64_t range_bytes;          /* of rows that are one thread's work; 0: by the memory */
    bool without_copying;          /* every row is decoded and encoded anew */
    /* Cut the file's bounds to these (the partition that refers to it); NULL: only outward. */
    const struct key_range *region;
    int (*progress)(void *state, const struct merge_files_progress *progress);
    void *progress_state; /* told by the calling thread; not 0: give up with that code */
};

struct merge_files_result {
    bool any;             /* false: no row came out, and there is no file */
    struct new_file file; /* put, not synced; without references; in the arena */
    struct slice object_key;
    uint64_t rows_read;
    uint64_t rows_copied, bytes_copied; /* of the rows, those that were never decoded */
    uint64_t ranges, passes, spilled_bytes;
};

/*
 * All rows of the inputs, in key order, as one new data file with the table's settings; rows with
 * equal keys in the order of the inputs. Ranges of keys are merged side by side on the pool, and
 * parts of row groups between which no other input has rows are copied as they are. Errors name the
 * input file: GLIS_EGONE when it is not there, GLIS_ECORRUPT when it is damaged (checksums are
 * verified in what is copied too); nothing is left of the output then. Memory is bounded by
 * memory_bytes and one row group as the table's settings have it, and counted in the runtime's
 * budget.
 */
int merge_files(struct table *table, const struct table_state *state, struct runtime *runtime,
                const struct merge_file_input *inputs, size_t n_inputs,
                const struct merge_files_options *options, struct arena *arena,
                struct merge_files_result *out) GLIS_CHECKED;

/* The same rows as a stream, for whoever wants them in another form. The inputs and the state
 * outlive it. */
int merge_files_stream(struct table *table, const struct table_state *state,
                       struct runtime *runtime, const struct merge_file_input *inputs,
                       size_t n_inputs, const struct merge_files_options *options,
                       struct batch_stream **out) GLIS_CHECKED;

/* ---- sorting ---- */

struct sorter_options {
    uint64_t memory_bytes; /* rows, keys and sort arrays; 0: 512 MiB; at least 1 MiB */
    const char
        *spill_folder; /* an own folder inside it is made when needed; NULL: TMPDIR or /tmp */
    uint64_t spill_max_bytes;  /* see sorter_is_full; 0: no limit */
    uint64_t merge_inputs_max; /* runs merged at once; 0: as memory allows, in passes beyond */
};

struct sorter_figures {
    uint64_t n_rows, n_runs, n_passes, spilled_bytes, spilled_bytes_peak;
};

/*
 * Sorts by all keys of the schema. Batches are added (shared, not copied; full buffers are sorted
 * and spilled on the pool meanwhile), then sorter_finish gives all rows ascending as one stream,
 * and the sorter begins anew, empty, when that stream is closed. What fits half of the memory never
 * touches a disk. The spill file has no name: it is gone with the process, however that ends. A row
 * that takes more than a quarter of the memory is GLIS_ELIMIT, naming its number (from 0, over all
 * rows added). After a failure a sorter can only be freed.
 */
struct sorter;
int sorter_new(struct sorter **out, struct runtime *runtime, const struct schema *schema,
               const struct sorter_options *options) GLIS_CHECKED;
int sorter_add(struct sorter *sorter, const struct batch *batch) GLIS_CHECKED;
/* The runs on disk have reached spill_max_bytes: finish, write the rows away, and go on. */
bool sorter_is_full(const struct sorter *sorter);
int sorter_finish(struct sorter *sorter, struct batch_stream **out) GLIS_CHECKED;
struct sorter_figures sorter_figures(const struct sorter *sorter);
void sorter_free(struct sorter *sorter); /* NULL is allowed */

/* ---- ingest ---- */

enum ingest_format {
    INGEST_BY_NAME, /* .parquet, .csv, .tsv, .jsonl, .ndjson, .json; anything else is an error */
    INGEST_PARQUET,
    INGEST_CSV,
    INGEST_JSONL,
};

/* Told now and then, from the calling thread. total_bytes is 0 when it cannot be known (standard
 * input). */
struct ingest_progress {
    enum { INGEST_READING, INGEST_WRITING, INGEST_COMMITTING } phase;
    uint64_t rows_read, bytes_read, total_bytes;
    uint64_t rows_written, bytes_written, files_written;
};

/*
 * What to do and how. All zero is a good default. Settings that are 0 or NULL come from the table's
 * and the process's properties (glis.ingest.*, glis.table.ingest.*).
 *
 * Once only: a job is known by `job_id`, or by `writer` and `sequence`, or gets a made id. A
 * repeat of a job that was committed adds nothing and is a success (already_done) when its input
 * is the same: as many files in the same order, with the same sizes and contents (files over 64
 * MiB are sampled at 1,024 places), read with the same options; names do not count. Of standard
 * input and streams all rows are hashed, so those are read to their end before a repeat is known.
 */
struct ingest_options {
    enum ingest_format format;
    char csv_delimiter;         /* 0: ',' ('\t' for .tsv) */
    struct slice csv_null_text; /* NULL data: only unquoted empty fields are null */
    bool ignore_extra_columns;
    bool dry_run; /* read and check all, sort nothing, add nothing */
    /* A local file for refused rows (JSON lines: file, row, field, reason); NULL: the first bad
     * row is GLIS_EDATA. */
    const char *bad_rows_to;
    struct slice job_id; /* 1 to 200 of [A-Za-z0-9._:-]; empty: made */
    struct slice writer; /* with sequence, instead of job_id */
    uint64_t sequence;
    uint64_t memory_bytes;    /* glis.ingest.memory */
    const char *spill_folder; /* glis.ingest.spill.dir */
    uint64_t spill_max_bytes; /* glis.ingest.spill.max */
    int (*progress)(void *state,
                    const struct ingest_progress *progress); /* not 0: give up with that code */
    void *progress_state;
};

struct ingest_result {
    uint64_t rows, files, references; /* added by the commit */
    uint64_t bytes;                   /* of the files added */
    uint64_t record;     /* the commit's; of a repeat: the first commit's when known, else 0 */
    struct slice job_id; /* in the arena; empty for writer and sequence */
    bool already_done;
    uint64_t rows_read, bad_rows;
    uint64_t bytes_read;
    uint64_t spill_runs, merge_passes, spilled_bytes;
    int64_t read_ns, write_ns, commit_ns, total_ns; /* wall; sorting is within read_ns */
};

/*
 * Brings files into a table with one commit. Each path is a local file, a folder (its files of
 * known names, not hidden ones, in order of name, with those of folders below), a glob (* ? [ ]),
 * an address that store_locate knows, or "-" for standard input (CSV or JSON lines: `format` must
 * say which). A job that leaves no rows is recorded and adds no file. Errors: GLIS_EDATA names file
 * and row (rows from 1, for text the line); GLIS_EEXISTS: the job id was used with other input;
 * GLIS_ESEQUENCE; GLIS_ENOSPACE names the spill folder; GLIS_EREFUSED: the table was reset or
 * restored meanwhile, nothing added; GLIS_EUNKNOWN: nothing can tell whether the commit took place,
 * running the job again with the same id is safe.
 */
int ingest_files(struct table *table, struct runtime *runtime, const struct slice *paths,
                 size_t n_paths, const struct ingest_options *options, struct arena *arena,
                 struct ingest_result *out) GLIS_CHECKED;

/* Sketches of the row keys of files as an ingest into a table of this schema would read them; the
 * first bad row is an error. Of the options, what says how to read is looked at. */
int input_sketches(struct runtime *runtime, const struct schema *schema, const struct slice *paths,
                   size_t n_paths, const struct ingest_options *options, uint32_t k,
                   struct file_sketches **out) GLIS_CHECKED;

/* The same from a stream of batches of any schema that can be brought into the table's. Takes the
 * stream. */
int ingest_stream(struct table *table, struct runtime *runtime, struct batch_stream *stream,
                  const struct ingest_options *options, struct arena *arena,
                  struct ingest_result *out) GLIS_CHECKED;

/* ---- rows that are in their places already ---- */

struct place_options {
    /* The rows of one more leaf (its place among the leaves in key order; each at most once), which
     * ascend; the stream is taken. *stream = NULL: that was all. `name` is for messages and lives
     * until the next call. */
    int (*next)(void *state, uint32_t *leaf, struct batch_stream **stream, const char **name);
    void *next_state;
    int (*progress)(void *state, uint64_t rows, uint64_t bytes); /* may be NULL */
    void *progress_state;
};

/*
 * Adds sorted rows to a table, a file for each leaf, with one commit and without filters or
 * aggregations: what was read from a table goes back as it was. GLIS_ECORRUPT, with the name: rows
 * out of order or outside of their leaf. Otherwise as ingest_stream.
 */
int place_leaves(struct table *table, struct runtime *runtime, const struct place_options *options,
                 struct arena *arena, struct ingest_result *out) GLIS_CHECKED;

/* ---- from the reference ---- */

struct sleeper_table {
    struct slice name, id; /* id: the reference's, which names the folder of its data */
    struct slice *files;   /* paths of its live data files */
    size_t n_files;
    uint64_t rows;       /* that their footers say */
    uint64_t n_not_live; /* Parquet files beside them that are not live */
    uint64_t n_sketches;
};
struct sleeper_import {
    struct sleeper_table *tables;
    size_t n_tables;
};
/*
 * Looks at an instance of the reference: its settings in `folder`, as instance_init_from reads
 * them, and a copy of its data bucket in `data` (empty: no rows are wanted). Which files are live
 * say tables/<name>/files.json, the reference's report of files as JSON, or with all_files nothing
 * but that they are there. Only footers are read. GLIS_EUNSUPPORTED: a file is live in part only;
 * GLIS_EINVALID: nothing says what is live, or where it lies. In the arena.
 */
int sleeper_import_find(struct runtime *runtime, struct slice folder, struct slice data,
                        bool all_files, struct arena *arena, struct sleeper_import *out)
    GLIS_CHECKED;
/* The jobs of an import, with the reference's id of the table behind: of files taken over and of
 * those that could not be, or of all when all were written anew. */
#define SLEEPER_JOB_ADOPT   "import-files-"
#define SLEEPER_JOB_REST    "import-rest-"
#define SLEEPER_JOB_REWRITE "import-rows-"
/* Whether one of them was done in this state. */
bool sleeper_import_is_known(const struct table_state *state, struct slice id, struct arena *arena);
struct sleeper_import_result {
    uint64_t files_adopted, rows_adopted;
    uint64_t files_rewritten; /* inputs; what they became says `rewritten` */
    struct ingest_result rewritten;
    bool already_done;
};
/*
 * Brings one table's files into the table made of it. A file whose keys ascend in our order, which
 * is found out by reading them, is taken over by reference: it stays where it is, is named by its
 * absolute path, and must stay. Others, and all with `rewrite`, are read as any input is and sorted
 * anew. One commit for each of the two; a repeat adds nothing, and GLIS_EEXISTS is a repeat in
 * another way.
 */
int sleeper_import_table(struct table *table, struct runtime *runtime,
                         const struct sleeper_table *from, bool rewrite,
                         const struct ingest_options *options, struct arena *arena,
                         struct sleeper_import_result *out) GLIS_CHECKED;

/* ---- planning ---- */

/* Why files are to be merged. */
enum compaction_reason {
    COMPACT_BY_STRATEGY, /* glis.table.compaction.strategy.class */
    COMPACT_TO_SPLIT,    /* the leaf is over the threshold by estimate: its shared files */
    COMPACT_BY_FORCE,
};
struct compaction_job {
    struct slice partition;
    bool is_leaf;
    enum compaction_reason reason;
    const struct slice *files; /* by rows, then name */
    size_t n_files;
    uint64_t rows;            /* of their references, estimates included */
    uint64_t partition_files; /* hash of all files of the partition: see compaction_failure */
};
struct split_candidate {
    struct slice leaf;
    uint64_t rows; /* exact ones, of files wholly inside */
};
/* Compactions of a partition failed; kept by the caller. */
struct compaction_failure {
    struct slice partition;
    uint64_t times;
    int64_t last_ms;
    uint64_t partition_files; /* of the job that failed */
};
enum { COMPACTION_FAILURES_MAX = 3 }; /* after which a partition rests for a day */

/* A partition that is left alone since its compactions failed again and again. */
struct resting_partition {
    struct slice partition;
    int64_t until_ms; /* or until its files change */
    size_t failure;   /* which of the options' */
};

struct compaction_plan {
    const struct reference_move *push_downs; /* by partition and file */
    size_t n_push_downs;
    const struct compaction_job *jobs; /* by partition, or with max_jobs from one on */
    size_t n_jobs;
    uint64_t n_jobs_due; /* before the limits */
    uint64_t n_jobs_running;
    const struct split_candidate *splits; /* by leaf */
    size_t n_splits;
    const struct resting_partition *resting; /* with something due, by partition */
    size_t n_resting;
};

#define ROWS_UNKNOWN UINT64_MAX

struct compaction_plan_options {
    int64_t now_ms;    /* what is assigned until later is left alone */
    bool force;        /* leaves' files that no strategy takes too, also single ones */
    struct slice leaf; /* this one only; empty: all partitions */
    uint64_t max_jobs; /* 0: as many as glis.table.compaction.job.creation.limit allows; else so
                        * many at most, from a place on that `seed` chooses */
    uint64_t seed;     /* chooses also among jobs beyond the limit */
    const struct compaction_failure *failures;
    size_t n_failures;
    /* Rows of a file in a region, or ROWS_UNKNOWN (as row_estimator_rows); NULL: rows are shared
     * out by leaves. */
    int (*estimate)(void *context, const struct table_file *file, const struct key_range *region,
                    uint64_t *rows);
    void *estimate_context;
};

/*
 * Tells rows of files in regions by their sketches, which are read when they are first asked for
 * and kept; of a file that cannot be read, and of more than some hundred files in one plan, nothing
 * is told. The state of the plan must be set before each plan. One thread at a time.
 */
struct row_estimator;
struct row_estimator *row_estimator_new(struct table *table, struct runtime *runtime);
void row_estimator_free(struct row_estimator *estimator); /* NULL is allowed */
void row_estimator_set_state(struct row_estimator *estimator, const struct table_state *state);
/* compaction_plan_options.estimate; context: the estimator. */
int row_estimator_rows(void *context, const struct table_file *file, const struct key_range *region,
                       uint64_t *rows) GLIS_CHECKED;

/*
 * What is due in a state: nothing is read but the state, and nothing is changed. References that a
 * living job has, or that were set aside, are left out everywhere.
 *
 * Leaves and inner partitions get jobs by the table's strategy. An inner partition is full when its
 * files make glis.table.inner.bytes, or glis.table.ingest.min.file.bytes or a quarter of the split
 * threshold for each leaf below it; then its files go down, not to be merged there, as far as every
 * child that gets something gets min.file.bytes, at least one level.
 *
 * A leaf is a split candidate by the exact rows of files wholly inside it. One that reaches the
 * threshold only with estimates gets its ancestors' files down and its shared files merged, in
 * batches. Its ancestors' files count for that, halved for each level as in the reference's report,
 * if the leaf has half of the threshold itself. Forced: the same for every leaf (or `leaf`), and
 * then whatever files are left, in batches, the last one smaller.
 *
 * Push-downs are to be carried out first, and then planned again: what they touch has no jobs yet
 * (forced: neither have the leaves that they reach). With force that ends after one plan without
 * push-downs; without, when nothing is due.
 *
 * A partition that failed COMPACTION_FAILURES_MAX times rests for a day or until its files change,
 * unless forced. The plan lies in the arena, but for ids of partitions, which may lie in the state.
 */
int compaction_plan(const struct table_state *state, const struct compaction_plan_options *options,
                    struct arena *arena, struct compaction_plan *out) GLIS_CHECKED;
/* Takes the forced jobs of single files out of a plan of that state that would write them again as
 * they are: not shared, of the present schema, added after the last change of properties, and
 * nothing is done to rows. Reads some earlier states of the log. */
int compaction_skip_unchanged(struct table *table, const struct table_state *state,
                              struct compaction_plan *plan, struct arena *arena) GLIS_CHECKED;

/*
 * The same again and again, for a worker: remembers what is due partition by partition, and looks
 * only at what changed since the last state, ran out or failed. Forced plans and those of one leaf
 * are made anew. Holds the last state. One thread at a time.
 */
struct compaction_planner;
struct compaction_planner *compaction_planner_new(void);
void compaction_planner_free(struct compaction_planner *planner); /* NULL is allowed */
int compaction_planner_plan(struct compaction_planner *planner, const struct table_state *state,
                            const struct compaction_plan_options *options, struct arena *arena,
                            struct compaction_plan *out) GLIS_CHECKED;

/* ---- compaction ---- */

/* Settings that are 0 or NULL come from the process's properties. */
struct work_options {
    uint64_t memory_bytes;    /* of rows; glis.ingest.memory */
    const char *spill_folder; /* glis.ingest.spill.dir */
    int64_t lease_ms; /* glis.compaction.lease: an assignment holds so long without a word */
    /* Told now and then, from the calling thread; not 0: give up with that code. */
    int (*progress)(void *state, const struct merge_files_progress *progress);
    void *progress_state;
};

struct compaction_result {
    struct slice job; /* its id; in the arena, as the rest */
    uint64_t record;  /* of its commit */
    uint64_t rows_read, rows_written;
    uint64_t bytes_read, bytes_written; /* of whole files */
    uint64_t rows_copied;               /* that were never decoded */
    bool is_lost; /* another job had taken a reference, or the table changed: nothing was done */
    struct slice reason; /* of is_lost */
    int64_t duration_ms;
};

/*
 * One compaction: the files are assigned to a new job, merged within their partition through the
 * table's filters, aggregations and iterator into one file (none when no row is left), and
 * replaced by it in one commit. The assignment is extended while the work goes on. Losing the
 * files to another is no error (is_lost); a refusal that has nothing to do with others is. A
 * failure releases them, removes the output, leaves a report (job_reports) and is returned;
 * nothing is lost. Errors: as merge_files and table_commit_compaction.
 */
int compaction_run(struct table *table, struct runtime *runtime, const struct compaction_job *job,
                   const struct work_options *options, struct arena *arena,
                   struct compaction_result *out) GLIS_CHECKED;

/* What went wrong with a job: an advisory object jobs/<id> of the table, for people and planners.
 * Losing one costs a useless try. */
struct job_report {
    struct slice job, kind, partition, reason;
    int64_t time_ms;
    uint64_t partition_files; /* as of compaction_job; 0: not its files' fault */
};
int job_report_put(struct table *table, const struct job_report *report) GLIS_CHECKED;
/* All there are, oldest first; in the arena. Those that cannot be read are left out. */
int job_reports(struct table *table, struct arena *arena, struct job_report **out, size_t *n_out)
    GLIS_CHECKED;
/* Removes those older than a time. */
int job_reports_remove(struct table *table, int64_t before_ms, uint64_t *n_removed) GLIS_CHECKED;
/* Partitions whose compactions failed, as planners want them. */
int job_reports_failures(const struct job_report *reports, size_t n_reports, struct arena *arena,
                         struct compaction_failure **out, size_t *n_out) GLIS_CHECKED;

/* ---- collection ---- */

struct collect_options {
    bool dry_run; /* only say what would go */
    bool now;     /* files go without waiting for glis.table.gc.delay; orphans never do */
    bool full;    /* look for orphans from the beginning, as once a week */
    /* Told the key of each object that goes, or would go; not 0: give up with that code. */
    int (*visit)(void *state, const char *why, struct slice key, uint64_t bytes);
    void *visit_state;
};

struct collect_result {
    uint64_t files, bytes;          /* of the table that went */
    uint64_t orphans, orphan_bytes; /* objects that no state will know */
    uint64_t staged, reports;       /* of jobs that are no more */
    uint64_t waiting, pinned;       /* files without references that stay: too young, or pinned */
    uint64_t horizon;               /* now */
    uint64_t trimmed;               /* records of the log that went */
};

/*
 * Collection of one table: files whose last reference went longer than the delay ago, and that no
 * pin keeps, are marked, deleted and forgotten; then the horizon rises to the record that was the
 * newest glis.gc.orphan.age ago (no further than living assignments and pins of work allow), and
 * objects begun below it that the state does not know are deleted. Repeating it, or several at a
 * time, does no harm. Last, the table's log is trimmed (table_trim).
 */
int collect_table(struct table *table, struct runtime *runtime,
                  const struct collect_options *options, struct collect_result *out) GLIS_CHECKED;

/* Splits one leaf by the sketches of its files. *did is false when there is no point in any field
 * (out->any is false then), or another was faster. The point lies in the arena. */
int split_leaf(struct table *table, struct runtime *runtime, const struct table_state *state,
               struct slice leaf, struct arena *arena, struct split_point *out, bool *did)
    GLIS_CHECKED;

/* ---- maintenance ---- */

enum maintain_step {
    MAINTAIN_PUSH_DOWN = 1, /* full inner partitions */
    MAINTAIN_COMPACT = 2,
    MAINTAIN_SPLIT = 4,
    MAINTAIN_JOIN = 8, /* empty sibling leaves that nobody asked for become one */
    MAINTAIN_EXPIRE = 16,
    MAINTAIN_COLLECT = 32,
    MAINTAIN_SNAPSHOT = 64,
    MAINTAIN_ALL = 127,
};

/* One thing that was done, or failed, as it happens. */
struct maintain_event {
    enum maintain_step step;
    struct slice partition;
    const struct compaction_result *compaction; /* MAINTAIN_COMPACT: unless it failed */
    uint64_t n;             /* references pushed down or expired; rows of a leaf that is split */
    uint32_t dimension;     /* MAINTAIN_SPLIT: */
    struct slice split;     /* and the field key; empty: there is none, the leaf cannot be split */
    int code;               /* not 0: it failed, the error is set */
    int64_t rests_until_ms; /* MAINTAIN_COMPACT: not 0: n failures before are why nothing is done */
};

struct maintain_options {
    unsigned steps;      /* of enum maintain_step; 0: all */
    bool force;          /* compactions: see compaction_plan_options */
    struct slice leaf;   /* compactions of this leaf only */
    bool once;           /* one round; else until nothing is due */
    int64_t deadline_ns; /* monotonic: nothing is begun after it; 0: none */
    uint64_t rows_max;   /* compactions of more rows are left to others; 0: none are */
    struct work_options work;
    struct collect_options collect;
    int (*event)(void *state, const struct maintain_event *event); /* not 0: give up so */
    void *event_state;
};

struct maintain_result {
    uint64_t compactions, lost, failed, rows_read, rows_written, bytes_read, bytes_written;
    uint64_t pushed_down, splits, joined, expired;
    uint64_t unsplittable; /* leaves over the threshold without a split point */
    uint64_t resting;      /* partitions left alone, since they failed before this call */
    struct collect_result collected;
    bool is_idle; /* nothing more was due at the end */
};

/*
 * Does what is due for a table, in this order, again and again until nothing is: push-downs,
 * compactions, splits, joining of empty leaves, expiry; then collection and a snapshot. Each is one
 * transaction of its own, and several processes may do this at the same time. A job that fails does
 * not stop the others: the first such error is returned at the end (after everything else).
 */
int maintain_table(struct table *table, struct runtime *runtime,
                   const struct maintain_options *options, struct maintain_result *out)
    GLIS_CHECKED;

/* ---- deleting rows ---- */

struct delete_options {
    bool dry_run;   /* count the files that would be written anew, and do nothing */
    bool drop_pins; /* end the pins that keep such rows readable */
    struct work_options work;
};

struct delete_result {
    uint64_t rows;            /* that went; about, where rows of references were estimated */
    uint64_t files, bytes;    /* that were written anew */
    uint64_t references;      /* that went */
    uint64_t objects_removed; /* of files that nothing referred to any more */
    const struct slice *pins; /* that still keep such rows; in the arena */
    size_t n_pins;
    uint64_t staged;     /* objects of jobs under way that may hold such rows */
    uint64_t foreign;    /* files that were taken over: forgotten, their objects are not ours */
    uint64_t files_left; /* known files that may hold such rows still */
    uint64_t record;     /* of the last step; 0: there was nothing to do */
    bool is_complete;    /* no pin, no staged object and no file holds such a row any more */
};

/*
 * Deletes the rows whose keys lie in one of the regions (one range for each row-key field): every
 * file whose bounds meet them is written anew without these rows, partition by partition, each one
 * transaction; then what is no longer referenced and may hold such rows is removed at once. Rows
 * that are added while this runs may go or stay. No earlier record can be restored afterwards.
 * Split points, log records and old snapshots may go on naming keys. A failure leaves some
 * partitions done; doing it again is safe.
 */
int delete_rows(struct table *table, struct runtime *runtime,
                const struct key_range *const *regions, size_t n_regions,
                const struct delete_options *options, struct arena *arena,
                struct delete_result *out) GLIS_CHECKED;

/* ---- jobs of several steps ---- */

/* Puts the outcome of a step, unless there is one (GLIS_EEXISTS: perhaps ours), again while the
 * store asks for patience or leaves it open. GLIS_EUNKNOWN: it may be there, or come to be; with
 * all other errors it is not and never will be. *doubt (may be NULL): it was put more than once, so
 * that others may have seen it, used it and removed it already. */
int step_put(const struct runtime *runtime, struct store *store, struct slice key,
             struct slice body, bool *doubt) GLIS_CHECKED;

/*
 * Bulk import: more rows than one process should sort, into a table, with one commit. A job has
 * steps that any process can do, each with an outcome that is put once:
 *
 *   sort-N    a part of the input, sorted, into a file that nobody refers to
 *   tree      the tree that the rows are written for, made larger where it has too few leaves
 *   write-N   some leaves: their rows of all sorted files, merged, into a data file each
 *
 * and the commit at the end, which whoever finds all steps done makes. The table is pinned while it
 * lasts (for work), so nothing of it is taken for an orphan.
 */
struct bulk_import_progress {
    enum { BULK_SORTING, BULK_PLANNING, BULK_WRITING, BULK_COMMITTING } phase;
    uint64_t steps_done, n_steps; /* of this phase */
    uint64_t rows;                /* of this phase, by this process */
    uint64_t rows_total;          /* 0: not known */
};

struct bulk_import_options {
    enum ingest_format format;
    char csv_delimiter;         /* 0: ',' ('\t' for .tsv) */
    struct slice csv_null_text; /* NULL data: only unquoted empty fields are null */
    bool ignore_extra_columns;
    /* A local file for refused rows, as of ingest_options. It is named when the job is begun, and
     * whoever commits writes it; named again with a job that sets rows aside, that process writes
     * this one. */
    const char *bad_rows_to;
    struct slice job_id;      /* 1 to 200 of [A-Za-z0-9._:-]; empty: made */
    uint64_t memory_bytes;    /* 0: glis.ingest.memory */
    const char *spill_folder; /* NULL: glis.ingest.spill.dir */
    int (*progress)(void *state, const struct bulk_import_progress *progress); /* may be NULL */
    void *progress_state;
};

struct bulk_import_result {
    struct slice job_id; /* lives as long as the job's handle */
    bool is_done, already_done;
    bool is_given_up; /* it cannot be gone on with: it was ended, by this call or by others */
    uint64_t record;  /* of the commit */
    uint64_t rows, files, bytes, leaves;
    uint64_t sorted_files, bad_rows;
};

struct bulk_import;
/*
 * Begins a job, or goes on with the one of that id. Without paths the job must have been begun
 * (GLIS_ENOTFOUND). Paths are as for ingest_files, but streams, which cannot be read by parts.
 * GLIS_EEXISTS: the id was used with other input. GLIS_EREFUSED: it is the made id of a job that
 * another process does by itself. The table and what options point to outlive it.
 */
int bulk_import_open(struct bulk_import **out, struct table *table, struct runtime *runtime,
                     const struct slice *paths, size_t n_paths,
                     const struct bulk_import_options *options) GLIS_CHECKED;
/* The steps that can be done now and that nobody has done, in the arena; none: only the commit is
 * left, or it is done. */
int bulk_import_steps(struct bulk_import *job, struct arena *arena, struct slice **out,
                      size_t *n_out) GLIS_CHECKED;
/* One step; GLIS_ENOTFOUND when there is no such one, GLIS_EREFUSED when steps before it are
 * missing. */
int bulk_import_step(struct bulk_import *job, struct slice name) GLIS_CHECKED;
/* All that is left, and the commit. Errors as of ingest_files. A job with a made id removes what it
 * made when it fails; one with a given id stays, to be gone on with, unless what was refused will
 * always be: then it is given up. GLIS_EGONE: others ended it. */
int bulk_import_run(struct bulk_import *job) GLIS_CHECKED;
struct bulk_import_result bulk_import_result(const struct bulk_import *job);
void bulk_import_close(struct bulk_import *job); /* NULL is allowed */
/* Ends a job that was begun: its plan, outcomes, sorted files and pin go, and whoever is at it
 * notices (GLIS_EGONE). What write steps made is left to collection. GLIS_ENOTFOUND: no such job;
 * GLIS_EREFUSED: it was done. already_done: it was committed all the same, by somebody else just
 * then or before it could clean up. */
int bulk_import_cancel(struct table *table, struct slice job_id, struct bulk_import_result *out)
    GLIS_CHECKED;

/*
 * What glis.maintenance = inline means: to be called after an ingest that took so long (rows: what
 * it added). On a local folder it does what is due, beginning nothing when as much time has gone
 * again, and no compaction of more than eight times the rows; where a leaf holds over half of
 * glis.query.max.files it goes on until none does. Failures are logged and are no failure of the
 * ingest. *out says what was done.
 */
void maintain_inline(struct table *table, struct runtime *runtime, int64_t ingest_ns, uint64_t rows,
                     struct maintain_result *out);

/* ---- trying an iterator ---- */

struct iterator_check_result {
    uint64_t rows; /* tried on; 0: the table has no iterator, or no rows */
    bool differs;
    struct slice difference; /* in the arena */
};
/*
 * Whether the table's iterator gives the same for some of the table's rows however they are
 * grouped. Takes the runtime's randomness. Errors are those of reading, and of the iterator.
 */
int iterator_check(struct table *table, const struct table_state *state, struct runtime *runtime,
                   struct arena *arena, struct iterator_check_result *out) GLIS_CHECKED;

#endif
