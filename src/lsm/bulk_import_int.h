/*
 * bulk_import_int.h: what the files of a bulk import share.
 *
 *   bulk_import_plan.c    the plan, units of input, outcomes of steps as JSON
 *   bulk_import_sort.c    a unit of the input into a sorted file
 *   bulk_import_tree.c    the tree, extended where it is too small for the rows
 *   bulk_import_write.c   a run of leaves from all sorted files
 *   bulk_import_begin.c   a job begun, or found and gone on with
 *   bulk_import.c         its steps in turn, the commit, cleaning up
 *   bulk_import_bad_rows.c  rows that were refused: an object of each sort step, and the file
 *   bulk_import_end.c     a job given up, by itself or because it was asked for
 *
 * Objects of a job lie under tables/<id>/staging/<job>/: `plan`, then one for each step, named
 * <plan's id>.<step>. The plan's id stands in the names so that what a slow process leaves of an
 * earlier job is never taken for a later one's of the same name.
 */
#ifndef GLIS_LSM_BULK_IMPORT_INT_H
#define GLIS_LSM_BULK_IMPORT_INT_H

#include "base/json.h"
#include "lsm/ingest_int.h"

enum {
    BULK_IMPORT_VERSION = 2, /* 1 when no bad rows are set aside */
    BULK_OBJECT_BYTES_MAX = 256 << 20,
    BULK_WRITE_STEPS_MAX = 1024,
};

/* Rows [first, first + n) of an input; n UINT64_MAX: all of it. */
struct bulk_unit {
    uint32_t input;
    uint64_t first, n;
};

/* What the plan object says. In the arena that it was made or read in. */
struct bulk_plan {
    struct slice id, job;
    bool job_is_given;
    uint64_t fingerprint[2];
    uint64_t record; /* of the state that the job began with */
    int64_t now_ms;  /* that filters go by */
    bool ignore_extra_columns;
    struct slice csv_null_text; /* NULL data: none */
    struct slice bad_rows_to;   /* the file, whole path; empty: the first ends the job */
    struct ingest_input *inputs;
    size_t n_inputs;
    struct bulk_unit *units;
    size_t n_units;
};

/* A sorted file, the outcome of a sort step; without rows there is none. */
struct bulk_run {
    struct slice name; /* as data files are named; empty: no rows */
    uint64_t size, rows, schema_version;
    struct file_bound *bounds;
    uint64_t bad_rows;
    struct slice bad_name; /* as of a step, of the object that has the bad rows; empty: none */
};

/* A data file, of the outcome of a write step. */
struct bulk_file {
    struct slice leaf;
    struct new_file file; /* its reference too */
};
struct bulk_written {
    struct bulk_file *files;
    size_t n_files;
    uint64_t rows_read;
};

struct bulk_import {
    struct arena arena;
    struct table *table;
    struct runtime *runtime;
    struct store *store;
    struct bulk_import_options options;
    struct bulk_plan plan;
    struct bulk_import_result result;
    struct bulk_import_progress progress;
    uint64_t memory_bytes;
    const char *spill_folder;
    const struct table_state *begun; /* at the plan's record */
    struct bulk_run *runs;           /* of the units; known[i] */
    bool *run_known;
    /* from the tree step on: */
    const struct table_state *state; /* NULL: the step was not done, as far as known */
    const struct partition_tree *tree;
    size_t n_write_steps;
    struct bulk_written *written;
    bool *written_known;
    bool joined;            /* others had begun it */
    bool has_ended;         /* its plan went while it was to be read */
    bool is_hopeless;       /* what was refused will always be */
    bool is_overtaken;      /* what it was to begin with was collected before it was pinned */
    int64_t looked_ns;      /* when it was last seen that the job is there */
    uint64_t rows_before;   /* of finished steps of this phase */
    struct table_hold hold; /* of the record that the job began with */
    struct slice *keys;     /* of a list */
    size_t n_keys, keys_capacity;
};

/* ---- plan and outcomes ---- */

int bulk_plan_write(const struct bulk_plan *plan, struct buffer *out) GLIS_CHECKED;
int bulk_plan_read(struct slice text, struct arena *arena, struct bulk_plan *out) GLIS_CHECKED;
/* Cuts the inputs into units that take about so many bytes of memory as rows. */
int bulk_plan_cut(struct runtime *runtime, struct bulk_plan *plan, const struct schema *schema,
                  uint64_t unit_bytes, struct arena *arena) GLIS_CHECKED;
/* "tables/<id>/staging/<job>/" and what follows; in the arena. */
struct slice bulk_plan_key(const struct table *table, struct slice job, struct arena *arena);
struct slice bulk_step_key(const struct bulk_import *job, struct slice step);

int bulk_run_write(const struct bulk_run *run, uint32_t n_row_keys, struct buffer *out)
    GLIS_CHECKED;
int bulk_run_read(const struct json *json, uint32_t n_row_keys, struct arena *arena,
                  struct bulk_run *out) GLIS_CHECKED;
int bulk_written_write(const struct bulk_written *written, uint32_t n_row_keys, struct buffer *out)
    GLIS_CHECKED;
int bulk_written_read(const struct json *json, uint32_t n_row_keys, struct arena *arena,
                      struct bulk_written *out) GLIS_CHECKED;

/* ---- steps ---- */

int bulk_pin(struct bulk_import *job) GLIS_CHECKED; /* puts or extends it when it is due */
/* Takes the plan away, then sorted files, outcomes, the pin; written_too: and what was written. */
void bulk_clean_up(struct bulk_import *job, bool written_too);
int bulk_tell(struct bulk_import *job, uint64_t rows) GLIS_CHECKED; /* of this step so far */
/* Sorts a unit into a file; *out in the job's arena. What failed leaves nothing. */
int bulk_sort(struct bulk_import *job, size_t unit, struct bulk_run *out) GLIS_CHECKED;
uint64_t bulk_rows_sorted(const struct bulk_import *job); /* by all sort steps; all are known */
/* The state whose leaves are written, for the caller to release: the present one, after its tree
 * was extended where it has too few leaves. GLIS_EDATA: the rows do not suffice for that;
 * GLIS_EREFUSED: the table was reset, or others change the tree again and again. */
int bulk_choose_tree(struct bulk_import *job, const struct table_state **out) GLIS_CHECKED;
/* Leaves [first, end) of a write step. */
void bulk_write_leaves(const struct bulk_import *job, size_t step, uint32_t *first, uint32_t *end);
/* Merges the leaves of a write step from the runs, all of which are known. */
int bulk_write(struct bulk_import *job, size_t step, struct bulk_written *out) GLIS_CHECKED;
/* The job was ended by others when its plan is gone, or another's. */
bool bulk_is_there(struct bulk_import *job);
/* GLIS_EGONE then; looks at most every second or two. */
int bulk_check_there(struct bulk_import *job) GLIS_CHECKED;
int bulk_ended_meanwhile(void) GLIS_CHECKED;
/* Ends a job with a given id that can never be committed. */
void bulk_give_up(struct bulk_import *job);

/* ---- bad rows ---- */

/* Those of a sort step on their way into an object. */
struct bulk_bad_rows {
    struct bulk_import *job;
    struct store_upload *upload;
    struct slice name, key; /* of the object: as of a step, and in the store */
    struct buffer text;
};
/* Where the reader is to put them: nowhere when the first ends the job. */
void bulk_bad_rows_begin(struct bulk_bad_rows *out, struct bulk_import *job, struct bad_rows *bad);
/* code: of what was done. When it is 0 the object is made and named in the run. */
int bulk_bad_rows_end(struct bulk_bad_rows *rows, int code, uint64_t n, struct bulk_run *run)
    GLIS_CHECKED;
/* The whole path of the file asked for, which can be written as far as that can be told. */
int bulk_bad_rows_path(struct bulk_import *job, const char *path, struct slice *out) GLIS_CHECKED;
/* All bad rows of the job into the file, durably, in the order of the input; no file when there are
 * none. All runs are known. */
int bulk_bad_rows_deliver(struct bulk_import *job) GLIS_CHECKED;
/* Removes a run's objects, which nobody refers to. */
void bulk_remove_run(struct bulk_import *job, const struct bulk_run *run);
/* Removes data files that nobody refers to; failures are left to collection. */
void bulk_remove_file(const struct bulk_import *job, struct slice name);

#endif
