/*
 * iterator_check.c: whether a table's iterator gives the same however rows were grouped.
 *
 * What a reader sees must not depend on which files were merged; for filters and aggregations that
 * is so by their nature, an iterator is somebody's program. It is tried here on rows that the table
 * has: some from each of a few files. They are put through the iterator all at once, and then, a
 * few times, in random groups whose results are merged and put through it again, as compactions
 * would. All results must be the same rows; those of equal keys in any order. A difference is a
 * proof that the iterator breaks the rule, no difference is none that it keeps it.
 */
#include "lsm/ingest_int.h"

#include "parquet/parquet.h"

#include <stdlib.h>

enum { FILES_MAX = 8, FILE_ROWS_MAX = 400, GROUPS_MAX = 4, TRIALS = 5 };

struct sample {
    struct table *table;
    const struct table_state *state;
    struct runtime *runtime;
    const struct schema *schema;
    struct row_processing rows;
    struct batch *parts[FILES_MAX]; /* each ascends */
    uint32_t n_parts;
};

/* ---- rows ---- */

static int take_first(struct sample *sample, struct batch_stream *stream, struct batch **out)
{
    struct batch *batch, *first;
    *out = NULL;
    TRY(batch_stream_next(stream, &batch));
    if (!batch) return 0;
    int64_t n = batch->n_rows < FILE_ROWS_MAX ? batch->n_rows : FILE_ROWS_MAX;
    int code = batch_slice(batch, 0, n, &first);
    batch_release(batch);
    TRY(code);
    code = batch_evolve(first, sample->schema, sample->runtime->budget, out);
    batch_release(first);
    return code;
}

static int add_file(void *context, const struct table_file *file)
{
    struct sample *sample = context;
    struct store *store = instance_store(table_instance(sample->table));
    struct parquet_reader *reader;
    struct batch_stream *stream = NULL;
    struct batch *part = NULL;
    defer_arena struct arena arena = ARENA_EMPTY;
    if (sample->n_parts == FILES_MAX) return 1;
    if (!file->n_references) return 0;
    TRY(parquet_reader_open(&reader, sample->runtime, store,
                            table_file_key(sample->table, file->name, &arena),
                            sample->runtime->budget));
    int code = parquet_reader_stream(reader, &stream);
    if (code == 0) code = take_first(sample, stream, &part);
    batch_stream_close(stream);
    parquet_reader_close(reader);
    if (part && part->n_rows)
        sample->parts[sample->n_parts++] = part;
    else
        batch_release(part);
    return code;
}

/* ---- one way through ---- */

/* All rows of a stream as one batch; NULL for none. Closes it. */
static int drain(struct batch_stream *stream, struct budget *budget, struct batch **out)
{
    struct batch **parts = NULL, *batch;
    uint32_t n = 0;
    int code;
    *out = NULL;
    while ((code = batch_stream_next(stream, &batch)) == 0 && batch) {
        parts = memory_realloc(parts, (n + 1) * sizeof *parts);
        parts[n++] = batch;
    }
    if (code == 0 && n) code = batch_concat((const struct batch *const *)parts, n, budget, out);
    for (uint32_t i = 0; i < n; i++)
        batch_release(parts[i]);
    free(parts);
    batch_stream_close(stream);
    return code;
}

/* Merges the batches and puts them through the iterator. */
static int put_through(struct sample *sample, struct batch *const *parts, uint32_t n,
                       struct batch **out)
{
    struct batch_stream *inputs[FILES_MAX], *merged, *stream;
    struct runtime *runtime = sample->runtime;
    struct process_options options = sample->rows.options;
    options.n_cutoffs = 0;
    struct processing iterator = {.visibility_field = -1,
                                  .iterator = sample->rows.processing.iterator,
                                  .iterator_config = sample->rows.processing.iterator_config};
    uint32_t n_inputs = 0;
    *out = NULL;
    for (uint32_t i = 0; i < n; i++)
        if (parts[i]) TRY(batch_stream_of(sample->schema, &parts[i], 1, &inputs[n_inputs++]));
    TRY(merge_open(&merged, runtime, sample->schema, inputs, n_inputs, NULL, runtime->budget));
    TRY(process_open(&stream, runtime, merged, &iterator, &options, runtime->budget));
    return drain(stream, runtime->budget, out);
}

/* ---- comparing ---- */

static int compare_rows(const void *a, const void *b, void *state)
{
    const struct batch *batch = state;
    return batch_compare_rows(batch, *(const uint32_t *)a, batch, *(const uint32_t *)b, 0,
                              batch->schema->n_fields);
}

/* Rows by all fields. Takes the batch, which may be NULL. */
static int sort_rows(struct batch *batch, struct budget *budget, struct batch **out)
{
    *out = NULL;
    if (!batch) return 0;
    defer_free uint32_t *rows = memory_alloc(((size_t)batch->n_rows + 1) * sizeof *rows);
    for (int64_t i = 0; i < batch->n_rows; i++)
        rows[i] = (uint32_t)i;
    qsort_r(rows, (size_t)batch->n_rows, sizeof *rows, compare_rows, batch);
    int code = batch_take(batch, rows, batch->n_rows, budget, out);
    batch_release(batch);
    return code;
}

static void compare(const struct batch *wanted, const struct batch *is, struct arena *arena,
                    struct iterator_check_result *out)
{
    const char *difference = "";
    int64_t n = wanted ? wanted->n_rows : 0, n_is = is ? is->n_rows : 0;
    out->differs = n != n_is || (n && !batch_equal(wanted, is, arena, &difference));
    if (n != n_is)
        out->difference = slice_from_text(
            arena_printf(arena, "%lld rows come of all at once, %lld of groups that are merged",
                         (long long)n, (long long)n_is));
    else if (out->differs)
        out->difference = slice_from_text(arena_printf(
            arena, "all at once and in groups that are merged rows differ: %s", difference));
}

/* ---- groups ---- */

/* The rows of a part that fall into a group; *out is NULL for none. */
static int choose(struct sample *sample, const struct batch *part, const uint8_t *groups,
                  uint8_t group, struct batch **out)
{
    defer_free uint32_t *rows = memory_alloc(((size_t)part->n_rows + 1) * sizeof *rows);
    int64_t n = 0;
    for (int64_t i = 0; i < part->n_rows; i++)
        if (groups[i] == group) rows[n++] = (uint32_t)i;
    *out = NULL;
    return n ? batch_take(part, rows, n, sample->runtime->budget, out) : 0;
}

static void release_all(struct batch **batches, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        batch_release(batches[i]);
}

static int try_groups(struct sample *sample, struct random *random, struct batch **out)
{
    struct batch *results[GROUPS_MAX] = {NULL};
    uint32_t n_groups = 2 + (uint32_t)random_below(random, GROUPS_MAX - 1);
    defer_free uint8_t *groups = memory_alloc((size_t)FILES_MAX * FILE_ROWS_MAX);
    bool whole_files = random_below(random, 2) == 0;
    for (uint32_t p = 0; p < FILES_MAX; p++) {
        uint8_t of_file = (uint8_t)random_below(random, n_groups);
        for (uint32_t i = 0; i < FILE_ROWS_MAX; i++)
            groups[p * FILE_ROWS_MAX + i] =
                whole_files ? of_file : (uint8_t)random_below(random, n_groups);
    }
    int code = 0;
    for (uint32_t g = 0; g < n_groups && code == 0; g++) {
        struct batch *parts[FILES_MAX] = {NULL};
        for (uint32_t p = 0; p < sample->n_parts && code == 0; p++)
            code =
                choose(sample, sample->parts[p], groups + p * FILE_ROWS_MAX, (uint8_t)g, &parts[p]);
        if (code == 0) code = put_through(sample, parts, sample->n_parts, &results[g]);
        release_all(parts, FILES_MAX);
    }
    if (code == 0) code = put_through(sample, results, n_groups, out);
    release_all(results, GROUPS_MAX);
    return code;
}

static int try_all(struct sample *sample, struct random *random, struct arena *arena,
                   struct iterator_check_result *out)
{
    struct budget *budget = sample->runtime->budget;
    struct batch *wanted = NULL, *is = NULL;
    TRY(put_through(sample, sample->parts, sample->n_parts, &wanted));
    TRY(sort_rows(wanted, budget, &wanted));
    int code = 0;
    for (int i = 0; i < TRIALS && code == 0 && !out->differs; i++) {
        code = try_groups(sample, random, &is);
        if (code == 0) code = sort_rows(is, budget, &is);
        if (code == 0) compare(wanted, is, arena, out);
        batch_release(is);
        is = NULL;
    }
    batch_release(wanted);
    return code;
}

int iterator_check(struct table *table, const struct table_state *state, struct runtime *runtime,
                   struct arena *arena, struct iterator_check_result *out)
{
    struct sample sample = {
        .table = table, .state = state, .runtime = runtime, .schema = table_state_schema(state)};
    *out = (struct iterator_check_result){.rows = 0};
    int64_t now_ms = runtime->clock->wall_ms(runtime->clock);
    TRY(row_processing_make(&sample.rows, table, state, runtime, now_ms, arena));
    if (!sample.rows.processing.iterator.size) return 0;
    int code = table_each_file(state, add_file, &sample);
    for (uint32_t i = 0; i < sample.n_parts; i++)
        out->rows += (uint64_t)sample.parts[i]->n_rows;
    if (code > 0) code = 0;
    if (code == 0 && sample.n_parts) code = try_all(&sample, runtime->random, arena, out);
    release_all(sample.parts, sample.n_parts);
    return code;
}
