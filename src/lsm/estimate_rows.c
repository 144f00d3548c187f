/*
 * estimate_rows.c: how many rows of a file lie in a region, told by its sketches: what a planner
 * asks before files go down the tree.
 *
 * Of one row-key field the answer is the file's rows times the share of its keys in the range; of
 * several the shares are multiplied, as if the fields had nothing to do with each other. Sketches
 * are coarse where the share is small: below SMALL_SHARE the rows of the first field are counted by
 * the page index instead (estimate_pages.c), of files so large that the sketch is off by more than
 * a page. The last READERS_MAX files asked so stay open, since a plan asks for one file's slices
 * leaf by leaf.
 *
 * The sketches of a file are read once and kept as views, of FILES_MAX files for one plan; of more
 * nothing is told. A file that has none gets them from its key columns (data_file_sketches). A file
 * that cannot be read is somebody else's to complain about: of it nothing can be told either.
 */
#include "lsm/lsm_int.h"

#include "base/map.h"
#include "parquet/parquet.h"
#include "sketch/sketch.h"

#include <stdlib.h>

enum { FILES_MAX = 512 }; /* at once: about 100 KiB each */
enum { READERS_MAX = 8, ROWS_BY_PAGES_MIN = 1 << 20 };
static const double SMALL_SHARE = 0.02;

struct row_estimator {
    struct table *table;
    struct runtime *runtime;
    const struct table_state *state;
    struct arena arena;
    struct map views; /* file name -> struct file_views *, NULL: nothing can be told */
    struct open_file {
        char *name;
        struct parquet_reader *reader;
    } open[READERS_MAX];
    unsigned next_open; /* the one that goes next */
};

struct file_views {
    struct file_sketches *sketches; /* whose items the views point to */
    uint32_t n_fields;
    const struct kll_view *fields[];
};

static void close_file(struct open_file *open)
{
    parquet_reader_close(open->reader);
    free(open->name);
    *open = (struct open_file){0};
}

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
    for (unsigned i = 0; i < READERS_MAX; i++)
        close_file(&estimator->open[i]);
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

/* ---- small slices ---- */

static int open_reader(struct row_estimator *estimator, const struct table_file *file,
                       struct parquet_reader **out)
{
    for (unsigned i = 0; i < READERS_MAX; i++) {
        struct open_file *open = &estimator->open[i];
        if (!open->reader || !slice_equal(slice_from_text(open->name), file->name)) continue;
        *out = open->reader;
        return 0;
    }
    defer_arena struct arena arena = ARENA_EMPTY;
    struct open_file *open = &estimator->open[estimator->next_open];
    close_file(open);
    TRY(parquet_reader_open(
        &open->reader, estimator->runtime, instance_store(table_instance(estimator->table)),
        table_file_key_of(estimator->table, file, &arena), estimator->runtime->budget));
    open->name = memory_copy_text(file->name);
    estimator->next_open = (estimator->next_open + 1) % READERS_MAX;
    *out = open->reader;
    return 0;
}

/* The share of a file's rows by its page index; left as it is when that cannot tell. */
static int refine_share(struct row_estimator *estimator, const struct table_file *file,
                        const struct key_range *range, double *share)
{
    struct parquet_reader *reader;
    uint64_t rows = ROWS_UNKNOWN;
    struct slice field = table_state_schema(estimator->state)->fields[0].name;
    int code = open_reader(estimator, file, &reader);
    if (code == 0) code = page_rows_estimate(reader, field, range, &rows);
    if (code == GLIS_ECANCELLED) return code;
    if (code < 0) error_clear();
    if (code == 0 && rows != ROWS_UNKNOWN && rows <= file->rows)
        *share = (double)rows / (double)file->rows;
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
        double of_field = (double)kll_view_rows(view, range) / (double)view->count;
        if (f == 0 && of_field < SMALL_SHARE && file->rows >= ROWS_BY_PAGES_MIN)
            TRY(refine_share(context, file, &region[0], &of_field));
        share *= of_field;
    }
    *rows = (uint64_t)(share * (double)file->rows + 0.5);
    return 0;
}
