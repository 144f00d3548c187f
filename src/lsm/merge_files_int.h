/*
 * merge_files_int.h: what the files of a merge of data files share.
 *
 *   merge_file.c   one input: opened, its rows found by key, read in the table's present schema
 *   merge_plan.c   which rows are merged with which, in what order, and what is copied
 *   merge_ranges.c    the plan carried out: ranges of keys side by side, given out in order
 *   merge_passes.c  too many inputs for the memory: sorted runs on disk between
 *   merge_files.c  the whole, into one data file or a stream
 *
 * A *cut* is a byte string that encoded keys are compared with: the rows of a file below it come
 * before it, the others after it. Rows of equal keys are never parted by a cut.
 */
#ifndef GLIS_LSM_MERGE_FILES_INT_H
#define GLIS_LSM_MERGE_FILES_INT_H

#include "lsm/ingest_int.h"
#include "parquet/parquet.h"

/* What all parts of one merge have in common. */
struct merge_context {
    struct runtime *runtime;
    struct store *store;
    const struct table_state *state;
    const struct schema *schema; /* the table's present one */
    struct budget *budget;
    uint32_t n_keys; /* row and sort keys */
};

/* ---- merge_file.c ---- */

struct merge_file {
    const struct merge_context *context;
    const struct merge_file_input *input;
    struct parquet_reader *reader;
    uint32_t n_row_groups;
    uint64_t begin, end;  /* rows of the file that lie in the region, as far as its first field */
    bool filtered;        /* of these, only some lie in the region */
    bool is_present_form; /* its rows need nothing but to be read */
    uint32_t *fields;     /* of the file's schema, in the order of the table's */
    uint32_t n_fields;
    uint64_t row_bytes; /* of the wanted rows, in memory, about */
};

/* Opens the file; GLIS_ECORRUPT when it does not fit what the state says. Finds begin and end. */
int merge_file_open(struct merge_file *file, const struct merge_context *context,
                    const struct merge_file_input *input) GLIS_CHECKED;
void merge_file_close(struct merge_file *file); /* one that is all zero is allowed */
/* Row group of a row of the file. */
uint32_t merge_file_group(const struct merge_file *file, uint64_t row);
/* The key of one row replaces what is in `out`. */
int merge_file_key(const struct merge_file *file, uint64_t row, struct buffer *out) GLIS_CHECKED;
/* The first row in [low, high] that is not below the cut. Reads a page of each key column, mostly.
 */
int merge_file_position(const struct merge_file *file, struct slice cut, uint64_t low,
                        uint64_t high, uint64_t *out) GLIS_CHECKED;
/* Rows [begin, end) in the table's present schema, those outside of the region left out; read and
 * decoded by whoever asks for them. The file outlives the stream. */
int merge_file_stream(const struct merge_file *file, uint64_t begin, uint64_t end,
                      int64_t batch_rows, struct batch_stream **out) GLIS_CHECKED;

/* ---- merge_plan.c ---- */

/* Rows [begin, end) of a file. */
struct merge_part {
    uint32_t file;
    uint64_t begin, end;
};

/* Rows that follow all those of the steps before: of several files, merged; or of one row group,
 * copied. */
struct merge_step {
    bool is_copy; /* of its one part */
    uint32_t n_parts;
    struct merge_part *parts; /* by file; none is empty */
    uint64_t n_rows;
    size_t common_bytes; /* in which the keys of all rows agree at their beginning */
};

struct merge_plan {
    struct merge_step *steps; /* in the arena */
    size_t n_steps, capacity;
    struct arena arena;
};

struct merge_plan_options {
    uint64_t range_bytes;    /* of the rows of a merged step, about */
    uint64_t copy_bytes_min; /* less of a row group is not worth copying */
    /* Whether a row group may be copied; NULL: none may. */
    bool (*can_copy)(void *state, const struct merge_file *file, uint32_t row_group);
    void *state;
};

int merge_plan_make(struct merge_plan *plan, const struct merge_context *context,
                    const struct merge_file *files, uint32_t n_files,
                    const struct merge_plan_options *options) GLIS_CHECKED;
void merge_plan_free(struct merge_plan *plan);
/* Every row of every file is in one step, once, and files go forward; GLIS_ECORRUPT. */
int merge_plan_validate(const struct merge_plan *plan, const struct merge_file *files,
                        uint32_t n_files) GLIS_CHECKED;

/* ---- merge_ranges.c ---- */

/* What an input takes at least while rows of it are read, for each leaf of the schema. */
enum { MERGE_LEAF_BYTES = 64 << 10 };

struct merge_run_options {
    uint64_t memory_bytes;         /* of rows: present batches of inputs, and what waits */
    const struct merge_hook *hook; /* opened for each range; NULL: none */
};

struct merge_run;
/* What is given lives longer. */
int merge_run_open(struct merge_run **out, const struct merge_context *context,
                   const struct merge_file *files, const struct merge_plan *plan,
                   const struct merge_run_options *options) GLIS_CHECKED;
/* The next rows: *batch for the caller to release, or a step to be copied; at the end both are
 * NULL. */
int merge_run_next(struct merge_run *run, struct batch **batch, const struct merge_step **copy)
    GLIS_CHECKED;
/* Rows of the inputs that are behind what was given out. */
uint64_t merge_run_rows_done(const struct merge_run *run);
void merge_run_close(struct merge_run *run); /* NULL is allowed */

/* ---- merge_passes.c ---- */

/* Gives the rows of inputs [first, first + n) as a stream; `state` is the caller's. */
typedef int (*merge_open_inputs)(void *state, size_t first, size_t n, struct batch_stream **out);
struct merge_passes_options {
    uint64_t memory_bytes;
    const char *spill_folder;
    size_t inputs_max; /* merged at once; at least 2 */
};
struct merge_passes_figures {
    uint64_t n_passes, spilled_bytes;
};
/* The rows of all inputs, in order: merged some at a time into sorted runs on disk, these until
 * there are few enough to be merged at once, which the stream then does. */
int merge_passes_open(struct batch_stream **out, const struct merge_context *context,
                      merge_open_inputs open, void *state, size_t n_inputs,
                      const struct merge_passes_options *options,
                      struct merge_passes_figures *figures) GLIS_CHECKED;

#endif
