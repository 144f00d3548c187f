/*
 * query_process.c: filters, aggregations, labels and iterators in answers.
 *
 * A query reads what the table's processing looks at besides what is wanted, puts the rows through
 * it, and leaves out again what is not wanted. Where units follow each other in key order, one pass
 * takes all of them; else each unit is a pass of its own, which for filters, labels and
 * aggregations is the same (rows of equal keys lie in one leaf), and for iterators is what a
 * compaction of the leaf does. With processing nothing is counted from metadata, and no number of
 * rows is known beforehand.
 */
#include "query/query_int.h"

static int copy_authorisations(const struct query *query, struct arena *arena,
                               struct process_options *out)
{
    struct slice *terms = ARENA_ARRAY(arena, struct slice, query->n_authorisations + 1);
    for (size_t i = 0; i < query->n_authorisations; i++)
        terms[i] = arena_copy(arena, query->authorisations[i]);
    out->authorisations = terms;
    out->n_authorisations = query->n_authorisations;
    return 0;
}

/* What was filtered away before, as far as a commit has said. */
static void set_cutoffs(const struct table_state *state, struct arena *arena,
                        struct process_options *out)
{
    const struct schema *schema = table_state_schema(state);
    struct process_cutoff *cutoffs = ARENA_ARRAY(arena, struct process_cutoff, schema->n_fields);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        int64_t cutoff_ms = table_state_cutoff(state, schema->fields[i].name);
        if (cutoff_ms > INT64_MIN)
            cutoffs[out->n_cutoffs++] = (struct process_cutoff){i, cutoff_ms};
    }
    out->cutoffs = cutoffs;
}

int query_process_prepare(const struct table_state *state, const struct instance *instance,
                          const struct query *query, int64_t now_ms, struct arena *arena,
                          struct query_process *out)
{
    *out = (struct query_process){0};
    TRY(table_state_processing(state, arena, &out->processing));
    struct process_options *options = &out->options;
    options->now_ms = now_ms;
    options->reading = true;
    options->descending = query->reverse;
    options->counts = &out->counts;
    options->iterator_folder =
        arena_copy_text(arena, instance_text(instance, PROPERTY_ITERATOR_FOLDER));
    options->iterator_timeout_ms = instance_number(instance, PROPERTY_ITERATOR_TIMEOUT);
    options->query_iterator = arena_copy(arena, query->iterator);
    options->query_iterator_config = arena_copy(arena, query->iterator_config);
    set_cutoffs(state, arena, options);
    TRY(copy_authorisations(query, arena, options));
    out->is_needed = process_is_needed(&out->processing, options);
    out->needs_order = out->processing.aggregations || out->processing.iterator.size ||
                       options->query_iterator.size;
    return 0;
}

int query_process_open(struct query_process *process, const struct scan *scan,
                       struct batch_stream *in, struct batch_stream **out)
{
    process->options.fields = scan->fields;
    process->options.n_fields = scan->n_fields;
    return process_open(out, scan->runtime, in, &process->processing, &process->options,
                        scan->budget);
}
