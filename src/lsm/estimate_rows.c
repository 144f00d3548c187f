/*
 * estimate_rows.c: how many rows of a file lie in a region, told by its sketches: what a planner
 * asks before files go down the tree.
 *
 * Of one row-key field the answer is the file's rows times the share of its keys in the range; of
 * several the shares are multiplied, as if the fields had nothing to do with each other. The
 * sketches of a file are read once and kept as views, of FILES_MAX files for one plan; of more
 * nothing is told. A file that has none gets them from its key columns (data_file_sketches). A file
 * that cannot be read is somebody else's to complain about: of it nothing can be told either.
 */
#include "lsm/lsm_int.h"

#include "base/map.h"
#include "sketch/sketch.h"

#include <stdlib.h>

enum { FILES_MAX = 512 }; /* at once: about 100 KiB each */

struct row_estimator {
    struct table *table;
    struct runtime *runtime;
    const struct table_state *state;
    struct arena arena;
    struct map views; /* file name -> struct file_views *, NULL: nothing can be told */
};

struct file_views {
    struct file_sketches *sketches; /* whose items the views point to */
    uint32_t n_fields;
    const struct kll_view *fields[];
};

/* Sketches go with their views. */
static void forget_views(struct row_estimator *estimator)
{
    struct map_cursor c;
    for (map_cursor_first(&estimator->views, &c); c.valid; map_cursor_next(&c)) {
        struct file_views *views;
        memcpy(&views, c.value.data, sizeof(views));
        if (views) file_sketches_free(views->sketches);
    }
    map_free(&estimator->views);
    arena_free(&estimator->arena);
}

struct row_estimator *row_estimator_new(struct table *table, struct runtime *runtime)
{
    struct row_estimator *estimator = memory_alloc_zero(sizeof(*estimator));
    estimator->table = table;
    estimator->runtime = runtime;
    arena_init(&estimator->arena, NULL);
    return estimator;
}

void row_estimator_free(struct row_estimator *estimator)
{
    if (!estimator) return;
    forget_views(estimator);
    free(estimator);
}

void row_estimator_set_state(struct row_estimator *estimator, const struct table_state *state)
{
    estimator->state = state;
    if (map_count(&estimator->views) >= FILES_MAX) forget_views(estimator);
}

static int read_views(struct row_estimator *estimator, const struct table_file *file,
                      struct file_views **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct merge_file_input input = {
        .name = file->name,
        .object_key = table_file_key(estimator->table, file->name, &arena),
        .size = file->size,
        .rows = file->rows,
        .schema_version = file->schema_version,
        .bounds = file->bounds,
    };
    struct file_sketches *sketches;
    TRY(data_file_sketches(estimator->table, estimator->state, estimator->runtime, &input,
                           &sketches));
    size_t size = sizeof(struct file_views) + sketches->n_fields * sizeof(struct kll_view *);
    struct file_views *views = arena_alloc_zero(&estimator->arena, size);
    views->n_fields = sketches->n_fields;
    views->sketches = sketches;
    int code = 0;
    for (uint32_t f = 0; code == 0 && f < views->n_fields; f++) {
        const struct kll *one = sketches->fields[f].quantiles;
        code = kll_view_new(&one, 1, &estimator->arena, &views->fields[f]);
    }
    if (code < 0) file_sketches_free(sketches);
    *out = code == 0 ? views : NULL;
    return code;
}

static int find_views(struct row_estimator *estimator, const struct table_file *file,
                      const struct file_views **out)
{
    struct slice value;
    struct file_views *views = NULL;
    if (map_get(&estimator->views, file->name, &value)) {
        memcpy(&views, value.data, sizeof(views));
        *out = views;
        return 0;
    }
    if (map_count(&estimator->views) >= FILES_MAX) return 0;
    int code = read_views(estimator, file, &views);
    if (code == GLIS_ECANCELLED || code == GLIS_ENOMEM) return code;
    if (code < 0) error_clear();
    map_put(&estimator->views, file->name, slice_make(&views, sizeof(views)));
    *out = views;
    return 0;
}

int row_estimator_rows(void *context, const struct table_file *file, const struct key_range *region,
                       uint64_t *rows)
{
    const struct file_views *views = NULL;
    *rows = ROWS_UNKNOWN;
    TRY(find_views(context, file, &views));
    if (!views) return 0;
    double share = 1;
    for (uint32_t f = 0; f < views->n_fields; f++) {
        const struct kll_view *view = views->fields[f];
        if (!view->count) return 0;
        struct kll_range range =
            kll_view_range(view, region[f].min, region[f].max, region[f].unbounded);
        share *= (double)kll_view_rows(view, range) / (double)view->count;
    }
    *rows = (uint64_t)(share * (double)file->rows + 0.5);
    return 0;
}
