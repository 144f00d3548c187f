/*
 * split.c: a leaf that has grown too large becomes two.
 *
 * The split point comes from the sketches of the largest files that lie wholly in the leaf
 * (split_point.c). When all of its rows have one key, the leaf cannot be split, and the caller is
 * told. No row moves: the leaf keeps its files until they are pushed down.
 */
#include "lsm/lsm_int.h"
#include "sketch/sketch.h"

#include <stdlib.h>

enum { SKETCHED_FILES_MAX = 50 };

struct split_work {
    struct table *table;
    struct runtime *runtime;
    const struct table_state *state;
    struct arena *arena;
    struct partition partition;
    struct file_sketches *sketches[SKETCHED_FILES_MAX];
    size_t n_sketches;
    uint32_t n_fields;
};

static int by_rows(const void *a, const void *b)
{
    const struct table_reference *x = a, *y = b;
    if (x->rows != y->rows) return x->rows > y->rows ? -1 : 1;
    return slice_compare(x->file->name, y->file->name);
}

/* Sketches of the largest files whose rows were counted and lie wholly in the leaf. */
static int read_sketches(struct split_work *work)
{
    struct table_reference *references;
    size_t n, n_good = 0;
    TRY(table_references(work->state, work->partition.id, work->arena, &references, &n));
    for (size_t i = 0; i < n; i++)
        if (references[i].is_exact && !references[i].is_shared && !references[i].is_set_aside)
            references[n_good++] = references[i];
    if (n_good) qsort(references, n_good, sizeof(*references), by_rows);
    for (size_t i = 0; i < n_good && work->n_sketches < SKETCHED_FILES_MAX; i++) {
        const struct table_file *file = references[i].file;
        struct merge_file_input input = {
            .name = file->name,
            .object_key = table_file_key(work->table, file->name, work->arena),
            .size = file->size,
            .rows = file->rows,
            .schema_version = file->schema_version,
            .bounds = file->bounds,
        };
        TRY(runtime_check_cancel(work->runtime));
        TRY(data_file_sketches(work->table, work->state, work->runtime, &input,
                               &work->sketches[work->n_sketches]));
        work->n_sketches++;
    }
    return 0;
}

static int find_point(const struct split_work *work, struct split_point *out)
{
    const struct kll_view **views =
        ARENA_ARRAY(work->arena, const struct kll_view *, work->n_fields);
    const struct kll *klls[SKETCHED_FILES_MAX];
    for (uint32_t field = 0; field < work->n_fields; field++) {
        for (size_t i = 0; i < work->n_sketches; i++)
            klls[i] = work->sketches[i]->fields[field].quantiles;
        TRY(kll_view_new(klls, work->n_sketches, work->arena, &views[field]));
    }
    *out = find_split_point(views, work->n_fields, work->partition.region);
    out->split = arena_copy(work->arena, out->split); /* the sketches go */
    return 0;
}

int split_leaf(struct table *table, struct runtime *runtime, const struct table_state *state,
               struct slice leaf, struct arena *arena, struct split_point *out, bool *did)
{
    struct split_work work = {.table = table, .runtime = runtime, .state = state, .arena = arena};
    work.n_fields = table_state_schema(state)->n_row_keys;
    *out = (struct split_point){0};
    *did = false;
    TRY(table_partition(state, leaf, arena, &work.partition));
    int code = read_sketches(&work);
    if (code == 0) code = find_point(&work, out);
    for (size_t i = 0; i < work.n_sketches; i++)
        file_sketches_free(work.sketches[i]);
    TRY_CONTEXT(code, "splitting partition '%.*s'", SLICE_PRINT(leaf));
    if (!out->any) return 0;
    code = table_split_partition(table, state, work.partition.id, out->dimension, out->split, NULL);
    *did = code == 0;
    if (code != GLIS_EREFUSED) return code;
    return refusal_excuse(table, state); /* another was faster, or the tree has changed */
}
