/*
 * aggregate.c: rows that are equal in all row and sort keys become one.
 *
 * Rows come in key order, so equal ones lie side by side, and the work begins with one question for
 * each row: is its key that of the row before? It is asked column by column, fixed widths first,
 * and ends where no row is left that it could be true for; where no keys are equal, that is one
 * pass over one column, and the batch goes out as it came.
 *
 * A batch is held until the first row of the next is known, for its last group may go on there.
 * When it does, the group is folded into one row, which is put before the next batch: sums go on
 * from where they were, so it does not matter where batches end, and a group of any size takes the
 * memory of one batch.
 *
 * In an aggregated table -0 is 0, every NaN is the same, and maps have their entries in the order
 * of their keys: all of it is seen to here, for rows of groups and for others, so that equal rows
 * are equal bytes whatever way they came.
 */
#include "process/process_int.h"

#include <stdlib.h>

struct aggregate_stream {
    struct batch_stream stream;
    struct batch_stream *behind;
    struct budget *budget;
    struct process_counts *counts;
    uint8_t *aggregations; /* of each column */
    uint32_t n_keys;
    bool normalises; /* some column may have something to normalise */
    struct batch *held;
    uint8_t *equal; /* of the held batch: row i has the key of row i - 1; equal[0] is 0 */
    int64_t n_equal, capacity;
    struct buffer last_key, first_key;
};

/* ---- equal keys ---- */

#define MARK_FIXED(type)                                                                  \
    do {                                                                                  \
        const type *v = (const type *)(const void *)column->values.data + column->offset; \
        for (int64_t i = 1; i < n; i++)                                                   \
            equal[i] &= v[i] == v[i - 1];                                                 \
    } while (0)

static void mark_fixed(const struct column *column, int64_t n, uint8_t *equal)
{
    switch (column->type->kind) {
    case TYPE_FLOAT: MARK_FIXED(float); return;
    case TYPE_DOUBLE: MARK_FIXED(double); return;
    default: break;
    }
    switch (type_width(column->type)) {
    case 4: MARK_FIXED(int32_t); return;
    case 8: MARK_FIXED(int64_t); return;
    default: break;
    }
    for (int64_t i = 1; i < n; i++)
        if (equal[i]) equal[i] = column_compare(column, i - 1, column, i) == 0;
}

static void mark_texts(const struct column *column, int64_t n, uint8_t *equal)
{
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data + column->offset;
    const uint8_t *bytes = column->values.data;
    for (int64_t i = 1; i < n; i++) {
        int32_t size = offsets[i + 1] - offsets[i];
        if (!equal[i]) continue;
        equal[i] =
            size == offsets[i] - offsets[i - 1] &&
            (size == 0 || memcmp(bytes + offsets[i], bytes + offsets[i - 1], (size_t)size) == 0);
    }
}

static int64_t count_marks(const uint8_t *equal, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += equal[i];
    return count;
}

static void mark_equal(struct aggregate_stream *aggregate, const struct batch *batch)
{
    int64_t n = batch->n_rows;
    if (n > aggregate->capacity) {
        aggregate->equal = memory_realloc(aggregate->equal, (size_t)n);
        aggregate->capacity = n;
    }
    memset(aggregate->equal, 1, (size_t)n);
    aggregate->equal[0] = 0;
    aggregate->n_equal = n - 1;
    for (int texts = 0; texts < 2; texts++)
        for (uint32_t i = aggregate->n_keys; i-- && aggregate->n_equal;) {
            const struct column *column = &batch->columns[i];
            if (type_has_offsets(column->type) != (texts == 1)) continue;
            if (texts)
                mark_texts(column, n, aggregate->equal);
            else
                mark_fixed(column, n, aggregate->equal);
            aggregate->n_equal = count_marks(aggregate->equal, n);
        }
}

/* Whether the batch begins with the key that the held one ends with. */
static int goes_on(struct aggregate_stream *aggregate, const struct batch *next, bool *out)
{
    const struct batch *held = aggregate->held;
    buffer_clear(&aggregate->last_key);
    buffer_clear(&aggregate->first_key);
    TRY(key_append_row(held, held->n_rows - 1, aggregate->n_keys, &aggregate->last_key));
    TRY(key_append_row(next, 0, aggregate->n_keys, &aggregate->first_key));
    *out = slice_equal(buffer_slice(&aggregate->last_key), buffer_slice(&aggregate->first_key));
    return 0;
}

/* ---- groups into rows ---- */

static bool is_of_maps(uint8_t aggregation)
{
    return aggregation >= AGGREGATION_MAP_SUM;
}

static int aggregate_field(const struct aggregate_stream *aggregate, const struct batch *batch,
                           uint32_t i, const struct runs *runs, struct column *out)
{
    enum aggregation aggregation = (enum aggregation)aggregate->aggregations[i];
    const struct column *column = &batch->columns[i];
    if (aggregation == AGGREGATION_NONE)
        return column_take(out, column, runs->starts, runs->n, aggregate->budget);
    if (is_of_maps((uint8_t)aggregation))
        return aggregate_map_column(out, column, aggregation, runs, aggregate->budget);
    return aggregate_column(out, column, aggregation, runs, aggregate->budget);
}

/* The rows [begin, end) of the held batch, marks and all, with each group as one. */
static int fold_rows(struct aggregate_stream *aggregate, int64_t begin, int64_t end,
                     struct batch **out)
{
    struct batch *held = aggregate->held, *part;
    const uint8_t *equal = aggregate->equal + begin;
    int64_t n = end - begin;
    TRY(batch_slice(held, begin, n, &part));
    struct runs runs = {.n = 0};
    defer_free uint32_t *starts = memory_alloc(((size_t)n + 1) * sizeof *starts);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || !equal[i]) starts[runs.n++] = (uint32_t)i;
    starts[runs.n] = (uint32_t)n;
    runs.starts = starts;
    if (runs.n == n) {
        *out = part;
        return 0;
    }
    uint32_t n_fields = part->schema->n_fields, made = 0;
    defer_free struct column *columns = memory_alloc_zero((n_fields + 1) * sizeof *columns);
    int code = 0;
    for (; made < n_fields; made++) {
        code = aggregate_field(aggregate, part, made, &runs, &columns[made]);
        if (code < 0) break;
    }
    if (code == 0)
        code = batch_new(out, part->schema, columns, runs.n);
    else
        for (uint32_t i = 0; i < made; i++)
            column_free(&columns[i]);
    batch_release(part);
    if (code == 0 && aggregate->counts)
        aggregate->counts->rows_aggregated += (uint64_t)(n - runs.n);
    return code;
}

/* ---- one form for equal values ---- */

static bool is_real(const struct type *type)
{
    return type->kind == TYPE_FLOAT || type->kind == TYPE_DOUBLE;
}

static int normalise_column(struct column *column, uint8_t aggregation, struct budget *budget)
{
    TRY(normalise_reals(column, budget));
    if (!is_of_maps(aggregation) || map_column_is_normal(column)) return 0;
    defer_free uint32_t *starts = memory_alloc(((size_t)column->length + 1) * sizeof *starts);
    for (int64_t i = 0; i <= column->length; i++)
        starts[i] = (uint32_t)i;
    struct runs runs = {NULL, starts, column->length};
    struct column normal;
    TRY(aggregate_map_column(&normal, column, (enum aggregation)aggregation, &runs, budget));
    column_free(column);
    *column = normal;
    return 0;
}

/* Takes the batch. */
static int normalise_batch(struct aggregate_stream *aggregate, struct batch *batch,
                           struct batch **out)
{
    uint32_t n = batch->schema->n_fields, made = 0;
    *out = batch;
    if (!aggregate->normalises) return 0;
    defer_free struct column *columns = memory_alloc_zero((n + 1) * sizeof *columns);
    int code = 0;
    bool changed = false;
    for (; made < n && code == 0; made++) {
        code = column_share(&columns[made], &batch->columns[made]);
        if (code < 0) break;
        if (aggregate->aggregations[made] == AGGREGATION_NONE) continue;
        code = normalise_column(&columns[made], aggregate->aggregations[made], aggregate->budget);
        changed = changed || columns[made].values.block != batch->columns[made].values.block ||
                  columns[made].offsets.block != batch->columns[made].offsets.block ||
                  (columns[made].type->kind == TYPE_MAP && code == 0);
    }
    if (code == 0 && changed) {
        code = batch_new(out, batch->schema, columns, batch->n_rows);
        batch_release(batch);
        return code;
    }
    for (uint32_t i = 0; i < made; i++)
        column_free(&columns[i]);
    if (code < 0) batch_release(batch);
    return code;
}

/* ---- the stream ---- */

static void hold(struct aggregate_stream *aggregate, struct batch *batch)
{
    aggregate->held = batch;
    mark_equal(aggregate, batch);
}

/* All of the held batch, which nothing follows any more. */
static int give_held(struct aggregate_stream *aggregate, struct batch **out)
{
    struct batch *held = aggregate->held;
    int code = 0;
    if (aggregate->n_equal == 0) {
        *out = held;
    } else {
        code = fold_rows(aggregate, 0, held->n_rows, out);
        batch_release(held);
    }
    aggregate->held = NULL;
    return code;
}

/* The held batch's last group goes on in the next batch: its row is put before that, and the rest
 * of the held one given out (*out is NULL when there is none). Takes the batch. */
static int carry(struct aggregate_stream *aggregate, struct batch *next, struct batch **out)
{
    struct batch *held = aggregate->held, *parts[2] = {NULL, next}, *joined = NULL;
    int64_t begin = held->n_rows - 1;
    while (aggregate->equal[begin])
        begin--;
    *out = NULL;
    int code = fold_rows(aggregate, begin, held->n_rows, &parts[0]);
    if (code == 0 && begin) code = fold_rows(aggregate, 0, begin, out);
    if (code == 0)
        code = batch_concat((const struct batch *const *)parts, 2, aggregate->budget, &joined);
    batch_release(parts[0]);
    batch_release(next);
    if (code < 0) {
        batch_release(*out);
        *out = NULL;
        return code;
    }
    batch_release(held);
    hold(aggregate, joined);
    return 0;
}

static int aggregate_next(struct batch_stream *stream, struct batch **out)
{
    struct aggregate_stream *aggregate = (struct aggregate_stream *)stream;
    for (;;) {
        struct batch *next;
        *out = NULL;
        TRY(batch_stream_next(aggregate->behind, &next));
        if (!next) return aggregate->held ? give_held(aggregate, out) : 0;
        TRY(normalise_batch(aggregate, next, &next));
        if (!aggregate->held) {
            hold(aggregate, next);
            continue;
        }
        bool same;
        int code = goes_on(aggregate, next, &same);
        if (code == 0 && same) {
            TRY(carry(aggregate, next, out));
            if (*out) return 0;
            continue;
        }
        if (code == 0) code = give_held(aggregate, out);
        if (code < 0) {
            batch_release(next);
            return code;
        }
        hold(aggregate, next);
        return 0;
    }
}

static void aggregate_close(struct batch_stream *stream)
{
    struct aggregate_stream *aggregate = (struct aggregate_stream *)stream;
    batch_stream_close(aggregate->behind);
    batch_release(aggregate->held);
    buffer_free(&aggregate->last_key);
    buffer_free(&aggregate->first_key);
    free(aggregate->aggregations);
    free(aggregate->equal);
    free(aggregate);
}

int aggregate_open(struct batch_stream **out, struct batch_stream *in,
                   const struct processing *processing, const struct process_options *options,
                   struct budget *budget)
{
    const struct schema *schema = in->schema;
    struct aggregate_stream *aggregate = memory_alloc_zero(sizeof *aggregate);
    aggregate->stream = (struct batch_stream){schema, aggregate_next, aggregate_close};
    aggregate->behind = in;
    aggregate->budget = budget;
    aggregate->counts = options->counts;
    aggregate->n_keys = schema_key_count(schema);
    buffer_init(&aggregate->last_key, 4 * KEY_BYTES_MAX, NULL);
    buffer_init(&aggregate->first_key, 4 * KEY_BYTES_MAX, NULL);
    aggregate->aggregations = memory_alloc_zero(schema->n_fields + 1);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        uint8_t aggregation = processing->aggregations[process_field_of(options, i)];
        aggregate->aggregations[i] = aggregation;
        if (aggregation && (is_of_maps(aggregation) || is_real(&schema->fields[i].type)))
            aggregate->normalises = true;
    }
    *out = &aggregate->stream;
    return 0;
}
