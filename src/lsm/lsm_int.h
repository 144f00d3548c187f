/*
 * lsm_int.h: what the files of lsm/ share.
 *
 *   sort_keys.c   sorts references to rows by their encoded keys
 *   spill.c      sorted runs on local disk
 *   merge.c      the loser tree over sorted sources
 *   sorter.c     buffers, runs and passes: any order in, ascending out
 *
 * A *block* is a batch whose rows ascend together with their encoded keys, so that nothing below
 * the sorter's entrance ever encodes a key again. A *source* gives blocks one after another.
 */
#ifndef GLIS_LSM_LSM_INT_H
#define GLIS_LSM_LSM_INT_H

#include "lsm/lsm.h"
#include "process/process.h"

#include "table/table.h"

/* ---- blocks and sources ---- */

struct sorted_block {
    struct batch *batch; /* NULL: the end */
    struct keys keys;    /* of the same rows */
};

void sorted_block_free(struct sorted_block *block); /* empty again */

struct sorted_source {
    int (*next)(struct sorted_source *source, struct sorted_block *out);
    void (*close)(struct sorted_source *source);
};

/* Fetches the next block of `behind` (taken) on the pool while the present one is used. */
int read_ahead_open(struct sorted_source **out, struct runtime *runtime,
                    struct sorted_source *behind) GLIS_CHECKED;

/* Eight bytes of a key from position `skip`, as a number that sorts as they do; 00 beyond its end.
 * */
static inline uint64_t key_prefix_at(const struct keys *keys, int64_t row, size_t skip)
{
    struct slice key = keys_get(keys, row);
    if (key.size <= skip) return 0;
    uint64_t prefix;
    memcpy(&prefix, key.data + skip, 8); /* keys are followed by 64 readable bytes */
    prefix = __builtin_bswap64(prefix);
    size_t left = key.size - skip;
    return left >= 8 ? prefix : prefix & ~(uint64_t)0 << (64 - 8 * left);
}

/* Bytes at the start of both. */
size_t key_common(struct slice a, struct slice b);

/* ---- sort_keys.c ---- */

/* One row of a sort: where it is, and eight bytes of its key. */
struct sort_entry {
    uint64_t prefix;
    struct row_source row;
};

/*
 * Sorts entries by the whole keys of their rows; equal keys keep their order. On entry prefix is
 * key_prefix_at(…, skip), where all keys agree in their first `skip` bytes; on return it is
 * undefined. `scratch` has room for n entries too. Cost: radix steps by byte over the eight bytes,
 * the next eight loaded for groups that agree in them; small or deep groups by comparison. Big
 * inputs use the pool.
 */
int key_sort(struct pool *pool, struct sort_entry *entries, struct sort_entry *scratch, uint64_t n,
             const struct keys *keys, size_t skip) GLIS_CHECKED;

/* ---- spill.c ---- */

struct spill_file;
/* Makes the keys that rows are sorted by: as keys_encode does, or with something before. */
typedef int (*sorter_encode)(void *state, struct keys *out, const struct batch *batch,
                             struct budget *budget);

/* Memory and folder of a job that sorts or merges: what the caller asks for (0 and NULL: nothing),
 * else glis.ingest.memory and glis.ingest.spill.dir. The folder lies in the arena; NULL: TMPDIR,
 * else /tmp. */
uint64_t spill_memory_choose(const struct instance *instance, uint64_t asked_bytes);
const char *spill_folder_choose(const struct instance *instance, const char *asked,
                                struct arena *arena);
/* A temporary file in `folder` (NULL: TMPDIR, else /tmp) that has no name, so nothing can leave it
 * behind; where the file system wants a name for a moment, names that a dead process left are
 * removed. */
int spill_file_open(struct spill_file **out, const char *folder) GLIS_CHECKED;
/* Keys are no longer written but made again of the rows that are read, where that costs less than a
 * fifth of the bytes more. To be called before anything is written; `state` outlives the file. */
void spill_file_set_encode(struct spill_file *file, sorter_encode encode, void *state);
void spill_file_close(struct spill_file *file);           /* NULL is allowed */
uint64_t spill_file_bytes(const struct spill_file *file); /* of the runs that live */

/* A sorted run: blocks one after another in a spill file. */
struct spill_run {
    uint64_t n_rows;
    uint64_t block_bytes_max; /* as they take in memory */
    struct buffer first_key, last_key;
    uint64_t *offsets; /* of blocks in the file; one more for the end */
    uint64_t n_blocks, capacity;
};

/* A run of a file is written to its end before the next is begun; by whatever threads, in turn. */
int spill_run_append(struct spill_file *file, struct spill_run *run,
                     const struct sorted_block *block) GLIS_CHECKED;
void spill_run_free(struct spill_file *file, struct spill_run *run); /* gives the disk space back */
/* The file and the run live longer than the source. */
int spill_run_open(struct sorted_source **out, const struct spill_file *file,
                   const struct spill_run *run, const struct schema *schema, struct budget *budget)
    GLIS_CHECKED;

/* ---- merge.c ---- */

struct merge;
struct merge_settings {
    bool descending;
    bool with_keys;       /* blocks come with their keys; else keys.n_rows is 0 */
    bool serial;          /* columns are gathered by the calling thread alone */
    size_t skip;          /* all keys agree in so many first bytes */
    int64_t batch_rows;   /* 0: MERGE_BATCH_ROWS */
    uint64_t batch_bytes; /* 0: MERGE_BATCH_BYTES */
};
enum { MERGE_BATCH_ROWS = 16384, MERGE_BATCH_BYTES = 4 << 20, MERGE_INPUTS_MAX = 65536 };

/* Takes the sources, also on failure. */
int merge_new(struct merge **out, struct runtime *runtime, const struct schema *schema,
              struct sorted_source **sources, uint32_t n_sources,
              const struct merge_settings *settings, struct budget *budget) GLIS_CHECKED;
/* The next rows of all; out->batch is NULL at the end. */
int merge_next(struct merge *merge, struct sorted_block *out) GLIS_CHECKED;
void merge_free(struct merge *merge); /* NULL is allowed */

/* Gathers rows and, when asked, their keys from blocks: what merge and sorter make output with. The
 * fields are spread over the pool (runtime NULL: not) when there is much to do. */
int blocks_gather(struct runtime *runtime, const struct schema *schema,
                  const struct batch *const *batches, const struct keys *const *keys,
                  uint32_t n_batches, const struct row_source *rows, int64_t n_rows,
                  struct budget *budget, struct sorted_block *out) GLIS_CHECKED;

/* ---- sorter.c ---- */

/* To be called before anything is added. */
void sorter_set_encode(struct sorter *sorter, sorter_encode encode, void *state);
/* Counts rows between borders while it sorts: counts[i] grows by the rows whose keys lie at or
 * above borders[i - 1] and below borders[i] (n_borders of them, ascending, n_borders + 1
 * counts). Complete when sorter_finish has returned. Both arrays live as long as the sorter. */
void sorter_set_borders(struct sorter *sorter, const struct slice *borders, uint64_t n_borders,
                        uint64_t *counts);

/* ---- adopt.c ---- */

/* What was found out about a file of somebody else's. */
struct adopted_file {
    struct slice address;
    uint64_t size, rows;
    uint8_t checksum[16];
    const struct file_bound *bounds;
    const struct new_reference *references;
    size_t n_references;
};
/* Reads the keys and bytes of the Parquet file at an absolute path. *why_not says, in a few words,
 * why the table cannot have it by reference; NULL: it can, and *out says all that a commit needs.
 * In the arena. */
int adopt_file(struct runtime *runtime, const struct table_state *state,
               const struct partition_tree *tree, struct slice path, struct arena *arena,
               struct adopted_file *out, const char **why_not) GLIS_CHECKED;

/* ---- compaction_rule.c ---- */

struct compaction_rule {
    bool is_size_ratio; /* else basic */
    uint64_t batch;     /* at least 2 */
    uint64_t ratio, concurrent;
};
struct job_range {
    size_t begin, end;
};
/* Runs of `sizes` (rows, ascending) that are merged, n / 2 + 1 of them at most; n_running jobs of
 * the partition run already. */
size_t compaction_rule_apply(const struct compaction_rule *rule, const uint64_t *sizes, size_t n,
                             uint64_t n_running, struct job_range *out);

/* ---- push_down.c ---- */

/* How far down the files of inner partitions go: every node that is `opened` is passed, and others
 * where each child that gets something gets at least min_bytes. */
struct push_down_rule {
    const struct table_state *state;
    const struct partition_tree *tree;
    uint64_t min_bytes;
    bool everything;               /* all the way to the leaves */
    const uint32_t *wanted_leaves; /* leaves (indexes of tree->leaves), ascending, that want what */
    size_t n_wanted_leaves;        /* lies above them */
    int (*estimate)(void *context, const struct table_file *file, const struct key_range *region,
                    uint64_t *rows);
    void *estimate_context;
};
/* What to do with files on one inner partition. `is_full`: all of them go; else only those that
 * meet a wanted leaf. In the arena; *out has room for n_references. */
int push_down_plan(const struct push_down_rule *rule, uint32_t node, bool is_full,
                   const struct reference_figures *references, size_t n_references,
                   struct arena *arena, struct reference_move *out, size_t *n_out) GLIS_CHECKED;

/* ---- estimate_pages.c ---- */

struct parquet_reader;
/* Rows of a file whose value of its first key field lies in the range, to within one page at each
 * end; ROWS_UNKNOWN without a page index. Reads the page indexes of two row groups at most. */
int page_rows_estimate(struct parquet_reader *reader, struct slice field,
                       const struct key_range *range, uint64_t *rows) GLIS_CHECKED;

/* ---- compaction.c ---- */

/* What a table does to rows, made ready for merge_files: filters, aggregations, iterator. Lives as
 * long as the merge, where it is made. */
struct row_processing {
    struct runtime *runtime;
    struct processing processing;
    struct process_options options;
    bool is_needed; /* else the hook is left out */
    struct merge_hook hook;
    const struct age_cutoff *ages; /* what a commit says of it */
    size_t n_ages;
};
int row_processing_make(struct row_processing *out, struct table *table,
                        const struct table_state *state, struct runtime *runtime, int64_t now_ms,
                        struct arena *arena) GLIS_CHECKED;

/* Makes data files that were put durable, before the commit that names them. GLIS_EREFUSED: the
 * horizon has passed one, and it has been collected. */
int data_files_sync(struct table *table, const struct slice *keys, size_t n) GLIS_CHECKED;

/* After a commit that was refused, whose error still stands: 0 when the table has changed since the
 * state that it was planned with, so that planning anew may help; else that error again
 * (refusal.c). */
int refusal_excuse(struct table *table, const struct table_state *planned) GLIS_CHECKED;

#endif
