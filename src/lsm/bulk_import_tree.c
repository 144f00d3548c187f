/*
 * bulk_import_tree.c: the tree that a bulk import's rows are written for. Where it has fewer leaves
 * than glis.table.bulk.import.min.leaf.partitions, it is extended by where the rows lie: the row
 * keys of all sorted files are read once more (no other column), each leaf's rows make a sketch of
 * their own, and presplit_tree (split_point.c) says which leaves are split where.
 *
 * The sketches are sixteen times as fine as those of files: a leaf in 256 has 0.4 % of the rows,
 * and is to be about as large as the others.
 *
 * When others change the tree meanwhile, the extension is refused, and it is tried again with the
 * tree as it is then.
 */
#include "lsm/bulk_import_int.h"

#include "parquet/parquet.h"
#include "sketch/sketch.h"

enum { SKETCH_K = 16 * KLL_K_DEFAULT, ATTEMPTS = 3 };

/* The leaves of one state, and what is known of the rows for them. */
struct survey {
    struct bulk_import *job;
    const struct table_state *state;
    const struct schema *schema;
    const struct partition_tree *tree;
    struct sketch_maker **makers; /* one a leaf; NULL: no rows yet */
    struct arena arena;
    uint64_t rows;
};

static void survey_free(struct survey *survey)
{
    for (uint32_t i = 0; survey->makers && i < survey->tree->n_leaves; i++)
        sketch_maker_free(survey->makers[i]);
    arena_free(&survey->arena);
}

/* ---- rows to leaves ---- */

static int add_to_leaf(struct survey *survey, uint32_t leaf, const struct batch *batch)
{
    struct sketch_maker **maker = &survey->makers[leaf];
    if (!*maker)
        *maker = sketch_maker_new(batch->schema, survey->schema->n_row_keys, SKETCH_K,
                                  survey->tree->nodes[survey->tree->leaves[leaf]].id);
    return sketch_maker_add(*maker, batch, survey->job->runtime->budget);
}

/* The leaf of each row, and how many rows each has. */
static int find_leaves(const struct survey *survey, const struct batch *batch, uint32_t *leaf_of,
                       uint32_t *counts)
{
    struct keys keys;
    TRY(keys_encode(&keys, batch, survey->schema->n_row_keys, survey->job->runtime->budget));
    int code = 0;
    for (int64_t row = 0; row < keys.n_rows && code == 0; row++) {
        code = partition_tree_leaf_of_key(survey->tree, survey->schema, keys_get(&keys, row),
                                          &leaf_of[row]);
        if (code == 0) counts[leaf_of[row]]++;
    }
    keys_free(&keys);
    return code;
}

/* Rows in the order of their leaves; places[i] is where those of leaf i end. */
static int add_parted(struct survey *survey, const struct batch *batch, const uint32_t *rows,
                      const uint32_t *places)
{
    uint32_t begin = 0;
    for (uint32_t i = 0; i < survey->tree->n_leaves; i++) {
        uint32_t end = places[i];
        if (end == begin) continue;
        struct batch *part;
        TRY(batch_take(batch, rows + begin, end - begin, survey->job->runtime->budget, &part));
        int code = add_to_leaf(survey, i, part);
        batch_release(part);
        TRY(code);
        begin = end;
    }
    return 0;
}

static int add_batch(struct survey *survey, const struct batch *batch)
{
    uint32_t n_leaves = survey->tree->n_leaves;
    survey->rows += (uint64_t)batch->n_rows;
    if (n_leaves == 1) return add_to_leaf(survey, 0, batch);
    defer_free uint32_t *leaf_of = memory_alloc(((size_t)batch->n_rows + 1) * sizeof *leaf_of);
    defer_free uint32_t *rows = memory_alloc(((size_t)batch->n_rows + 1) * sizeof *rows);
    defer_free uint32_t *places = memory_alloc_zero(((size_t)n_leaves + 1) * sizeof *places);
    TRY(find_leaves(survey, batch, leaf_of, places + 1));
    for (uint32_t i = 0; i < n_leaves; i++)
        places[i + 1] += places[i];
    for (int64_t row = 0; row < batch->n_rows; row++)
        rows[places[leaf_of[row]]++] = (uint32_t)row;
    return add_parted(survey, batch, rows, places);
}

/* ---- the sorted files ---- */

static int add_stream(struct survey *survey, struct batch_stream *stream)
{
    for (;;) {
        struct batch *batch;
        TRY(runtime_check_cancel(survey->job->runtime));
        TRY(batch_stream_next(stream, &batch));
        if (!batch) return 0;
        int code = batch->n_rows ? add_batch(survey, batch) : 0;
        batch_release(batch);
        TRY(code);
        TRY(bulk_tell(survey->job, survey->rows));
    }
}

static int add_run(struct survey *survey, const struct bulk_run *run)
{
    struct bulk_import *job = survey->job;
    struct parquet_reader *reader;
    struct batch_stream *stream;
    uint32_t n = survey->schema->n_row_keys;
    uint32_t *fields = ARENA_ARRAY(&survey->arena, uint32_t, n);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = i;
    TRY(parquet_reader_open(&reader, job->runtime, job->store,
                            table_file_key(job->table, run->name, &survey->arena),
                            job->runtime->budget));
    int code =
        parquet_reader_stream_part(reader, fields, n, 0, parquet_reader_rows(reader), 0, &stream);
    if (code == 0) {
        code = add_stream(survey, stream);
        batch_stream_close(stream);
    }
    parquet_reader_close(reader);
    return code;
}

static int add_runs(struct survey *survey)
{
    const struct bulk_import *job = survey->job;
    for (size_t i = 0; i < job->plan.n_units; i++) {
        if (job->runs[i].rows == 0) continue;
        TRY_CONTEXT(add_run(survey, &job->runs[i]), "sorted file %.*s",
                    SLICE_PRINT(job->runs[i].name));
    }
    return 0;
}

/* ---- the extension ---- */

static int make_views(struct survey *survey, struct presplit_leaf *leaves)
{
    uint32_t n_fields = survey->schema->n_row_keys;
    for (uint32_t i = 0; i < survey->tree->n_leaves; i++) {
        leaves[i].partition = survey->tree->nodes[survey->tree->leaves[i]].id;
        if (!survey->makers[i]) continue;
        const struct file_sketches *sketches = sketch_maker_sketches(survey->makers[i]);
        const struct kll_view **views =
            ARENA_ARRAY(&survey->arena, const struct kll_view *, n_fields);
        for (uint32_t f = 0; f < n_fields; f++) {
            const struct kll *kll = sketches->fields[f].quantiles;
            TRY(kll_view_new(&kll, 1, &survey->arena, &views[f]));
        }
        leaves[i].views = views;
    }
    return 0;
}

static int extend(struct survey *survey)
{
    struct presplit_options options = presplit_options_of(survey->state);
    uint32_t n = survey->tree->n_leaves;
    struct presplit_leaf *leaves = ARENA_ARRAY(&survey->arena, struct presplit_leaf, n);
    struct presplit_result plan;
    struct commit_result done;
    survey->makers = ARENA_ARRAY(&survey->arena, struct sketch_maker *, n);
    TRY(add_runs(survey));
    TRY(make_views(survey, leaves));
    int code =
        presplit_tree(leaves, n, survey->schema->n_row_keys, &options, &survey->arena, &plan);
    survey->job->is_hopeless = code == GLIS_EDATA || code == GLIS_ELIMIT;
    if (survey->job->is_hopeless)
        error_context("glis.table.bulk.import.min.leaf.partitions (so few rows go with "
                      "`glis ingest`, or set it lower)");
    TRY(code);
    return table_extend_tree(survey->job->table, survey->state, plan.growing, plan.n_growing,
                             &done);
}

/* Extends the tree of this state when it is too small; *extended: the state is no longer the newest
 * for it. */
static int extend_state(struct bulk_import *job, const struct table_state *state, bool *extended)
{
    struct survey survey = {.job = job, .state = state, .schema = table_state_schema(state)};
    struct presplit_options options = presplit_options_of(state);
    uint64_t n_leaves = table_state_figures(state).leaves;
    *extended = n_leaves < options.min_leaves && bulk_rows_sorted(job) > 0;
    if (!*extended) return 0;
    int code = table_tree(state, &survey.arena, &survey.tree);
    if (code == 0) code = extend(&survey);
    survey_free(&survey);
    return code;
}

int bulk_choose_tree(struct bulk_import *job, const struct table_state **out)
{
    *out = NULL;
    for (int attempt = 1;; attempt++) {
        const struct table_state *state;
        bool extended;
        TRY(table_state_get(job->table, 0, &state));
        int code = 0;
        if (table_state_generation(state) != table_state_generation(job->begun))
            code =
                error_set(GLIS_EREFUSED, "the table was reset or restored since the job was begun");
        bool is_life = code == 0;
        job->is_hopeless = !is_life;
        if (is_life) code = extend_state(job, state, &extended);
        if (code == 0 && !extended) {
            *out = state;
            return 0;
        }
        table_state_release(state);
        if (code < 0 && !(code == GLIS_EREFUSED && is_life && attempt < ATTEMPTS)) {
            error_context("extending the tree");
            return code;
        }
        error_clear();
    }
}
