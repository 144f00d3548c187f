/*
 * compaction_unchanged.c: single files that a forced compaction would write again as they are.
 *
 * Force takes what no strategy takes, down to single files: that brings a leaf's part of a shared
 * file into one of its own, and puts old files under properties that were set later (another
 * codec, a filter, the next form of the schema). A file that is the leaf's alone, has the present
 * schema and was added after the last change of the table's properties would come out the same,
 * unless rows are filtered by age, aggregated or put through an iterator. So these are taken out
 * of the plan, and a second forced compaction in a row has nothing to do.
 *
 * The version of properties at the record that added a file tells; it never goes down, so two
 * records, the oldest that is known to have the present one and the newest that has not, answer for
 * all files outside of them. A record that cannot be read any more counts as another version.
 */
#include "lsm/lsm_int.h"

struct present_version {
    struct table *table;
    uint64_t version;
    uint64_t since, before; /* has it from here on; has not up to here */
};

static int has_version(struct present_version *present, uint64_t record, bool *out)
{
    if (record >= present->since || record <= present->before) {
        *out = record >= present->since;
        return 0;
    }
    const struct table_state *then;
    int code = table_state_at(present->table, record, &then);
    *out = code == 0 && table_state_version(then) == present->version;
    if (code == 0) table_state_release(then);
    if (code < 0 && code != GLIS_EGONE && code != GLIS_EINVALID) return code;
    if (code < 0) error_clear();
    *(*out ? &present->since : &present->before) = record;
    return 0;
}

static int is_unchanged(struct present_version *present, const struct table_state *state,
                        const struct compaction_job *job, bool *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct table_reference *references;
    size_t n;
    *out = false;
    TRY(table_references(state, job->partition, &arena, &references, &n));
    for (size_t i = 0; i < n; i++) {
        const struct table_file *file = references[i].file;
        if (!slice_equal(file->name, job->files[0])) continue;
        if (references[i].is_shared || file->is_foreign ||
            file->schema_version != table_state_schema_version(state))
            return 0;
        return has_version(present, file->added_record, out);
    }
    return 0;
}

int compaction_skip_unchanged(struct table *table, const struct table_state *state,
                              struct compaction_plan *plan, struct arena *arena)
{
    struct processing processing;
    struct present_version present = {table, table_state_version(state), table_state_record(state),
                                      0};
    struct compaction_job *jobs = ARENA_ARRAY(arena, struct compaction_job, plan->n_jobs);
    size_t n = 0;
    TRY(table_state_processing(state, arena, &processing));
    if (processing.n_filters || processing.aggregations || processing.iterator.size) return 0;
    for (size_t i = 0; i < plan->n_jobs; i++) {
        const struct compaction_job *job = &plan->jobs[i];
        bool skipped = false;
        if (job->reason == COMPACT_BY_FORCE && job->n_files == 1)
            TRY(is_unchanged(&present, state, job, &skipped));
        if (!skipped) jobs[n++] = *job;
    }
    plan->n_jobs_due -= plan->n_jobs - n;
    plan->jobs = jobs;
    plan->n_jobs = n;
    return 0;
}
