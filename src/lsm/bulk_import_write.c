/*
 * bulk_import_write.c: some leaves of a bulk import: of each the rows that lie in it, from all
 * sorted files, merged, through the table's filters, aggregations and iterator, into one data file.
 *
 * With up to a thousand leaves each is a step; of more, neighbours share one.
 */
#include "lsm/bulk_import_int.h"

void bulk_write_leaves(const struct bulk_import *job, size_t step, uint32_t *first, uint32_t *end)
{
    uint64_t n = job->tree->n_leaves;
    *first = (uint32_t)(n * step / job->n_write_steps);
    *end = (uint32_t)(n * (step + 1) / job->n_write_steps);
}

/* What one step has in common. */
struct writing {
    struct bulk_import *job;
    struct row_processing rows;
    struct merge_file_input *inputs;
    uint64_t rows_before; /* of earlier leaves */
};

static int on_rows(void *state, const struct merge_files_progress *progress)
{
    struct writing *writing = state;
    TRY(runtime_check_cancel(writing->job->runtime));
    return bulk_tell(writing->job, writing->rows_before + progress->rows_read);
}

/* The sorted files that may have rows in the region. */
static size_t choose_inputs(const struct writing *writing, const struct key_range *region,
                            uint64_t *n_rows)
{
    const struct bulk_import *job = writing->job;
    uint32_t n_row_keys = table_state_schema(job->state)->n_row_keys;
    size_t n = 0;
    *n_rows = 0;
    for (size_t i = 0; i < job->plan.n_units; i++) {
        const struct bulk_run *run = &job->runs[i];
        bool meets = run->rows > 0;
        for (uint32_t f = 0; f < n_row_keys && meets; f++)
            meets = file_bound_overlaps(&run->bounds[f], &region[f]);
        if (!meets) continue;
        *n_rows += run->rows;
        writing->inputs[n++] = (struct merge_file_input){
            .name = run->name,
            .object_key = table_file_key(job->table, run->name, (struct arena *)&job->arena),
            .size = run->size,
            .rows = run->rows,
            .schema_version = run->schema_version,
            .bounds = run->bounds,
            .region = region,
        };
    }
    return n;
}

static int write_leaf(struct writing *writing, const struct partition_node *leaf,
                      struct bulk_written *out)
{
    struct bulk_import *job = writing->job;
    struct merge_files_result merged;
    struct merge_files_options options = {
        .hook = writing->rows.is_needed ? &writing->rows.hook : NULL,
        .memory_bytes = job->memory_bytes,
        .spill_folder = job->spill_folder,
        .without_copying = true, /* sorted files are written for a short life */
        .region = leaf->region,
        .progress = on_rows,
        .progress_state = writing,
    };
    uint64_t n_rows;
    size_t n = choose_inputs(writing, leaf->region, &n_rows);
    if (n == 0) return 0;
    TRY_CONTEXT(merge_files(job->table, job->state, job->runtime, writing->inputs, n, &options,
                            &job->arena, &merged),
                "writing partition %.*s", SLICE_PRINT(leaf->id));
    writing->rows_before += merged.rows_read;
    out->rows_read += merged.rows_read;
    if (!merged.any) return 0;
    out->files[out->n_files++] = (struct bulk_file){leaf->id, merged.file};
    if (!job->plan.job_is_given) return 0;
    return data_files_sync(job->table, &merged.object_key, 1);
}

int bulk_write(struct bulk_import *job, size_t step, struct bulk_written *out)
{
    uint32_t first, end;
    struct writing writing = {.job = job};
    bulk_write_leaves(job, step, &first, &end);
    *out = (struct bulk_written){.files = ARENA_ARRAY(&job->arena, struct bulk_file, end - first)};
    writing.inputs = ARENA_ARRAY(&job->arena, struct merge_file_input, job->plan.n_units);
    int code = row_processing_make(&writing.rows, job->table, job->state, job->runtime,
                                   job->plan.now_ms, &job->arena);
    for (uint32_t i = first; i < end && code == 0; i++)
        code = write_leaf(&writing, &job->tree->nodes[job->tree->leaves[i]], out);
    for (size_t i = 0; i < out->n_files && code < 0; i++)
        bulk_remove_file(job, out->files[i].file.name);
    return code;
}
