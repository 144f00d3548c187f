/*
 * split.c: a leaf that has grown too large becomes two.
 *
 * The split point is the median of the leaf's rows in the first row-key field where it lies
 * strictly between the least and the greatest value, by the merged sketches of the largest files
 * that lie wholly in the leaf. Where half of the rows or more have the least value of all, it is the smallest
 * sketched value above that. When no field has either, the leaf cannot be split, and the caller is
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

/* One field's values within the leaf. */
static int field_view(const struct split_work *work, uint32_t field, const struct kll_view **view,
                      struct kll_range *range)
{
    const struct kll *klls[SKETCHED_FILES_MAX];
    const struct key_range *region = &work->partition.region[field];
    for (size_t i = 0; i < work->n_sketches; i++)
        klls[i] = work->sketches[i]->fields[field].quantiles;
    TRY(kll_view_new(klls, work->n_sketches, work->arena, view));
    *range = kll_view_range(*view, region->min, region->max, region->unbounded);
    return 0;
}

static int find_point(const struct split_work *work, struct split_point *out)
{
    struct slice next = SLICE_EMPTY; /* where a median is the least value: the value above */
    uint32_t next_field = 0;
    *out = (struct split_point){0};
    for (uint32_t field = 0; field < work->n_fields; field++) {
        const struct kll_view *view;
        struct kll_range range;
        struct slice min, median, max, above;
        TRY(field_view(work, field, &view, &range));
        if (!kll_view_min(view, range, &min) || !kll_view_max(view, range, &max) ||
            !kll_view_quantile(view, range, 0.5, &median))
            continue;
        if (slice_compare(min, median) < 0 && slice_compare(median, max) < 0) {
            *out = (struct split_point){field, arena_copy(work->arena, median)};
            return 0;
        }
        if (!next.size && slice_equal(median, min) && kll_view_above(view, range, min, &above)) {
            next = arena_copy(work->arena, above);
            next_field = field;
        }
    }
    *out = (struct split_point){next_field, next};
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
    if (!out->split.size) return 0;
    code = table_split_partition(table, state, work.partition.id, out->dimension, out->split, NULL);
    *did = code == 0;
    if (code != GLIS_EREFUSED) return code;
    error_clear(); /* another was faster, or the tree has changed */
    return 0;
}
