/*
 * export.c: an export from its beginning to its manifest.
 *
 *   begin   export.json put if absent: the record, the form, the query
 *   steps   each leaf of that record's state into a file, with an outcome put if absent
 *   end     when every leaf has its outcome: manifest.json put if absent; the outcomes go
 *
 * Any number of processes may do steps of the same export; whoever finds all outcomes there writes
 * the manifest, and should two do so, they write the same. Whoever comes to an export that others
 * have begun starts at a leaf of his own choosing, so that two rarely do the same one. What a cut
 * left (outcomes, files) is used by the next call; a file that no outcome names harms nobody.
 */
#include "query/export_int.h"

#include "base/ulid.h"
#include "lsm/lsm.h"

enum { JOB_BYTES_MAX = 200, REMOVE_AT_ONCE = 1000 };
/* A pin outlives its export by this much at most when that is cut off. */
static const int64_t PIN_MS = INT64_C(24) * 3600 * 1000;

struct export
{
    struct arena arena;
    struct query_engine *engine;
    struct table *table;
    struct store *to;
    struct runtime *runtime;
    struct export_options options;
    struct export_plan plan;
    const struct table_state *state;
    struct export_work work;
    struct export_leaf *leaves;
    struct export_outcome *outcomes; /* of the same leaves; leaf empty: not known */
    size_t n_leaves, capacity;
    struct export_result result;
    struct export_progress progress;
    uint64_t rows_before, bytes_before; /* of finished steps */
    struct table_hold hold;
};

/* ---- beginning ---- */

static int check_options(const struct export_options *options)
{
    const struct query *query = options->query;
    if (!export_kind_name(options->kind))
        return error_set(GLIS_EINVALID, "an export is parquet, csv, jsonl or arrow");
    for (size_t i = 0; i < options->job.size; i++) {
        char c = options->job.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c && strchr("._:-", c));
        if (!good || i == JOB_BYTES_MAX)
            return error_set(GLIS_EINVALID,
                             "a job id has 1 to %d letters, digits and . _ : - characters",
                             JOB_BYTES_MAX);
    }
    if (!query) return 0;
    if (query->has_limit || query->reverse || query->count_only || query->has_after)
        return error_set(GLIS_EINVALID, "the query of an export says regions, fields and atRecord; "
                                        "limit, reverse, countOnly and after are for answers");
    return 0;
}

/* The query that was asked for, of the state's schema. */
static int take_query(struct export *export)
{
    const struct query *asked = export->options.query;
    const struct schema *schema = table_state_schema(export->state);
    struct query *query = &export->plan.query;
    query_everything(schema, &export->arena, query);
    if (asked) {
        query->regions = asked->regions;
        query->n_regions = asked->n_regions;
        if (asked->schema->n_row_keys != schema->n_row_keys)
            return error_set(GLIS_EINVALID, "the query is of another table");
        if (asked->fields) {
            struct slice *names = ARENA_ARRAY(&export->arena, struct slice, asked->n_fields);
            for (uint32_t i = 0; i < asked->n_fields; i++)
                names[i] = asked->schema->fields[asked->fields[i]].name;
            TRY(query_set_fields(query, names, asked->n_fields, &export->arena));
        }
        query->authorisations = asked->authorisations;
        query->n_authorisations = asked->n_authorisations;
        query->iterator = asked->iterator;
        query->iterator_config = asked->iterator_config;
    }
    export->plan.whole = export_query_is_whole(query);
    if (export->plan.whole) { /* however it was said */
        struct query all;
        query_everything(schema, &export->arena, &all);
        query->regions = all.regions;
        query->n_regions = all.n_regions;
        query->fields = NULL;
    }
    export->plan.given = export->options.given;
    return export_plan_request(&export->plan, &export->arena, &export->plan.request);
}

static int get_state(struct export *export, uint64_t record)
{
    TRY(table_state_get(export->table, 0, &export->state));
    if (record == 0 || table_state_record(export->state) == record) return 0;
    table_state_release(export->state);
    export->state = NULL;
    return table_state_at(export->table, record, &export->state);
}

/* What was asked for, as a plan of its own. */
static int make_plan(struct export *export)
{
    const struct export_options *options = &export->options;
    TRY(get_state(export, options->query ? options->query->at_record : 0));
    struct ulid id = ulid_new(export->runtime);
    export->plan = (struct export_plan){
        .id = arena_copy(&export->arena, ulid_slice(&id)),
        .job = options->job,
        .table_id = table_id(export->table),
        .table_name = table_name(export->table),
        .record = table_state_record(export->state),
        .now_ms = export->runtime->clock->wall_ms(export->runtime->clock),
        .kind = options->kind,
    };
    return take_query(export);
}

/* Whether the export is the one that is asked for. */
static int compare_plans(const struct export *export, const struct export_plan *there)
{
    const struct export_options *options = &export->options;
    if (!slice_equal(there->table_id, table_id(export->table)))
        return error_set(GLIS_EEXISTS, "%s holds an export of another table, '%.*s'",
                         export->to->description, SLICE_PRINT(there->table_name));
    if (options->job.size && !slice_equal(options->job, there->job))
        return error_set(GLIS_EEXISTS, "%s holds another export, %.*s", export->to->description,
                         SLICE_PRINT(there->job.size ? there->job : there->id));
    if (!options->any_request && !slice_equal(there->request, export->plan.request))
        return error_set(GLIS_EEXISTS,
                         "%s holds an export of the table in another form or with "
                         "another query; choose another place",
                         export->to->description);
    if (!options->any_request && options->query && options->query->at_record &&
        options->query->at_record != there->record)
        return error_set(GLIS_EEXISTS, "%s holds an export of record %llu", export->to->description,
                         (unsigned long long)there->record);
    return 0;
}

static int find_end(struct export *export, bool *found)
{
    struct store_object object;
    int code = store_head(export->to, EXPORT_MANIFEST_KEY, &object);
    *found = code == 0;
    return code == GLIS_ENOTFOUND ? 0 : code;
}

/* The figures of an export that has its manifest. */
static int take_end(struct export *export)
{
    struct export_manifest manifest;
    struct export_result *result = &export->result;
    TRY(export_manifest_read(export->to, &export->arena, &manifest));
    schema_release(manifest.schema);
    result->is_done = true;
    result->id = manifest.id;
    result->record = manifest.record;
    result->whole = manifest.whole;
    result->rows = manifest.rows;
    result->bytes = manifest.bytes;
    result->files = manifest.n_files;
    return 0;
}

/* An export is there: goes on with it, or says why not. */
static int join(struct export *export, struct slice text)
{
    struct export_plan there;
    bool ended;
    TRY_CONTEXT(export_plan_read(text, &export->arena, &there), "%s: export.json",
                export->to->description);
    TRY(find_end(export, &ended));
    /* A step of whatever is under way may be repeated when that has ended. */
    bool same_job = export->options.job.size && slice_equal(export->options.job, there.job);
    if (ended && !same_job && !export->options.any_request)
        return error_set(
            GLIS_EEXISTS, "%s holds a finished export (%.*s, record %llu); choose another place",
            export->to->description, SLICE_PRINT(there.id), (unsigned long long)there.record);
    TRY(compare_plans(export, &there));
    export->result.goes_on = true;
    if (ended) {
        export->result.already_done = true;
        return take_end(export);
    }
    table_state_release(export->state);
    export->state = NULL;
    export->plan = there;
    TRY_CONTEXT(get_state(export, there.record), "the export in %s, begun before",
                export->to->description);
    TRY_CONTEXT(
        export_plan_resolve(&export->plan, table_state_schema(export->state), &export->arena),
        "%s: export.json", export->to->description);
    return 0;
}

/* An export among an instance's own objects would be taken for a part of it, by people at least. */
static int check_place(struct export *export)
{
    struct store_list found;
    TRY(store_list(export->to, SLICE("catalogue/log/"), SLICE_EMPTY, 1, &export->arena, &found));
    if (found.n_objects == 0) return 0;
    return error_set(GLIS_EEXISTS, "%s holds a Glis instance; choose another place",
                     export->to->description);
}

/* Puts the plan, or joins the one that is there. */
static int begin(struct export *export)
{
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_PLAN_BYTES_MAX);
    bool ended;
    TRY(make_plan(export));
    TRY(export_plan_write(&export->plan, &text));
    struct store_object object;
    int code = store_head(export->to, EXPORT_PLAN_KEY, &object);
    if (code == GLIS_ENOTFOUND) {
        TRY(find_end(export, &ended));
        if (ended)
            return error_set(GLIS_EEXISTS, "%s holds a manifest.json; choose another place",
                             export->to->description);
        TRY(check_place(export));
        code = step_put(export->runtime, export->to, EXPORT_PLAN_KEY, buffer_slice(&text), NULL);
        if (code == 0) return 0;
    }
    if (code < 0 && code != GLIS_EEXISTS) return code;
    buffer_clear(&text);
    TRY(store_get(export->to, EXPORT_PLAN_KEY, 0, STORE_TO_END, &text));
    return join(export, arena_copy(&export->arena, buffer_slice(&text)));
}

/* ---- leaves ---- */

static int add_leaf(void *context, const struct table_leaf *leaf)
{
    struct export *export = context;
    const struct query *query = &export->plan.query;
    uint32_t n = query->schema->n_row_keys;
    bool meets = false;
    for (size_t i = 0; i < query->n_regions && !meets; i++) {
        meets = true;
        for (uint32_t f = 0; f < n && meets; f++)
            meets = key_range_overlaps(&query->regions[i].ranges[f], &leaf->partition.region[f]);
    }
    if (!meets) return 0;
    ARENA_GROW(&export->arena, export->leaves, export->n_leaves, export->capacity);
    struct export_leaf *out = &export->leaves[export->n_leaves];
    *out = (struct export_leaf){.number = (uint32_t) export->n_leaves,
                                .id = arena_copy(&export->arena, leaf->partition.id),
                                .region = ARENA_ARRAY(&export->arena, struct key_range, n)};
    for (uint32_t f = 0; f < n; f++) {
        const struct key_range *range = &leaf->partition.region[f];
        out->region[f] =
            (struct key_range){arena_copy(&export->arena, range->min),
                               arena_copy(&export->arena, range->max), range->unbounded};
    }
    export->n_leaves++;
    return runtime_check_cancel(export->runtime);
}

static int find_leaves(struct export *export)
{
    const struct query *query = &export->plan.query;
    struct query_region hull;
    regions_hull(query->regions, query->n_regions, query->schema->n_row_keys, &export->arena,
                 &hull);
    TRY(table_each_leaf(export->state, hull.ranges, NULL, add_leaf, export));
    export->outcomes = ARENA_ARRAY(&export->arena, struct export_outcome, export->n_leaves);
    export->progress.n_leaves = export->n_leaves;
    if (export->plan.whole) export->progress.total_rows = table_state_figures(export->state).rows;
    return 0;
}

static int tell_step(void *state, uint64_t rows, uint64_t bytes)
{
    struct export *export = state;
    TRY(table_hold_renew(&export->hold));
    export->progress.rows = export->rows_before + rows;
    export->progress.bytes = export->bytes_before + bytes;
    if (!export->options.progress) return 0;
    int code = export->options.progress(export->options.progress_state, &export->progress);
    if (code == 0) return 0;
    return code < 0 ? code : error_set(GLIS_ECANCELLED, "the caller ended the export");
}

int export_open(struct export **out, struct query_engine *engine, struct table *table,
                struct store *to, const struct export_options *options)
{
    TRY(check_options(options));
    struct export *export = memory_alloc_zero(sizeof *export);
    arena_init(&export->arena, NULL);
    export->engine = engine;
    export->table = table;
    export->to = to;
    export->runtime = query_engine_runtime(engine);
    export->options = *options;
    int code = begin(export);
    export->result.table_name = export->plan.table_name;
    if (code == 0 && !export->result.is_done) {
        export->result.id = export->plan.id;
        export->result.record = export->plan.record;
        export->result.whole = export->plan.whole;
        export->work = (struct export_work){.engine = engine,
                                            .table = table,
                                            .to = to,
                                            .plan = &export->plan,
                                            .state = export->state,
                                            .tell = tell_step,
                                            .tell_state = export};
        /* Whoever may only read goes on without. */
        export->hold = (struct table_hold){.table = table,
                                           .id = export->plan.id,
                                           .record = export->plan.record,
                                           .length_ms = PIN_MS};
        code = table_hold_renew(&export->hold);
        if (code == 0) code = find_leaves(export);
        export->result.n_leaves = export->n_leaves;
    }
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        export_close(export);
        return error_load(&detail);
    }
    *out = export;
    return 0;
}

size_t export_n_leaves(const struct export *export)
{
    return export->n_leaves;
}

struct slice export_leaf_id(const struct export *export, size_t i)
{
    return export->leaves[i].id;
}

struct export_result export_result(const struct export *export)
{
    return export->result;
}

void export_close(struct export *export)
{
    if (!export) return;
    table_state_release(export->state);
    arena_free(&export->arena);
    memory_defer_free(&export);
}

/* ---- steps ---- */

static int find_leaf(const struct export *export, struct slice id, size_t *out)
{
    for (size_t i = 0; i < export->n_leaves; i++) {
        if (!slice_equal(export->leaves[i].id, id)) continue;
        *out = i;
        return 0;
    }
    return error_set(GLIS_ENOTFOUND, "no leaf of this export: '%.*s'", SLICE_PRINT(id));
}

/* The outcome, when it is the first time that it is seen, counts. */
static int note_outcome(struct export *export, size_t i)
{
    const struct export_outcome *outcome = &export->outcomes[i];
    struct export_result *result = &export->result;
    result->leaves_done = ++export->progress.leaves_done;
    result->rows = export->rows_before += outcome->rows;
    result->bytes = export->bytes_before += outcome->bytes;
    result->files += outcome->file.size > 0;
    result->hidden += outcome->hidden;
    result->whole = export->plan.whole && !result->hidden;
    return tell_step(export, 0, 0);
}

static int do_step(struct export *export, size_t i)
{
    bool ended;
    if (export->outcomes[i].leaf.size) return 0;
    TRY(runtime_check_cancel(export->runtime));
    TRY(export_leaf_write(&export->work, &export->leaves[i], &export->arena, &ended,
                          &export->outcomes[i]));
    if (!ended) return note_outcome(export, i);
    table_hold_end(&export->hold);
    return take_end(export);
}

/* ---- the end ---- */

/* The steps that others have done. False in *all when one is missing. */
static int gather_outcomes(struct export *export, bool *all)
{
    *all = true;
    for (size_t i = 0; i < export->n_leaves && *all; i++) {
        if (export->outcomes[i].leaf.size) continue;
        TRY(runtime_check_cancel(export->runtime));
        TRY(export_outcome_find(&export->work, &export->leaves[i], &export->arena, all,
                                &export->outcomes[i]));
        if (*all) TRY(note_outcome(export, i));
    }
    return 0;
}

/* The outcomes are in the manifest now. What cannot be removed harms nobody. */
static void remove_steps(struct export *export)
{
    struct slice keys[REMOVE_AT_ONCE];
    for (size_t i = 0; i < export->n_leaves;) {
        size_t n = 0;
        while (n < REMOVE_AT_ONCE && i < export->n_leaves)
            keys[n++] = export_step_key((uint32_t)i++, &export->arena);
        if (store_remove(export->to, keys, n) < 0) error_clear();
    }
}

static int end(struct export *export)
{
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_PLAN_BYTES_MAX);
    TRY(export_manifest_write(&export->work, export->leaves, export->outcomes, export->n_leaves,
                              &text));
    int code =
        step_put(export->runtime, export->to, EXPORT_MANIFEST_KEY, buffer_slice(&text), NULL);
    if (code < 0 && code != GLIS_EEXISTS) {
        error_context("writing the manifest of the export");
        return code;
    }
    remove_steps(export);
    table_hold_end(&export->hold);
    export->result.is_done = true;
    return 0;
}

int export_run(struct export *export, const struct slice *leaves, size_t n)
{
    if (export->result.is_done) return 0;
    for (size_t i = 0; i < n && !export->result.is_done; i++) {
        size_t leaf;
        TRY(find_leaf(export, leaves[i], &leaf));
        TRY(do_step(export, leaf));
    }
    size_t first = 0;
    if (n == 0 && export->result.goes_on && export->n_leaves)
        first = (size_t)random_below(export->runtime->random, export->n_leaves);
    for (size_t i = 0; n == 0 && i < export->n_leaves && !export->result.is_done; i++)
        TRY(do_step(export, (first + i) % export->n_leaves));
    if (export->result.is_done) return 0;
    bool all, ended;
    TRY(gather_outcomes(export, &all));
    if (all) return end(export);
    TRY(find_end(export, &ended));
    if (!ended) return 0;
    table_hold_end(&export->hold); /* somebody ended it, and its pin, perhaps before we pinned it */
    return take_end(export);
}
