/*
 * processing.h: tables, rows and passes of the process module for its tests. Rows are written as
 * JSON, as batches.h has them: "[['key',1,...],...]", one array a row. A pass cuts them into
 * batches of some size, so that groups are met at every border.
 */
#ifndef GLIS_TESTS_PROCESSING_H
#define GLIS_TESTS_PROCESSING_H

#include "batches.h"
#include "process/process.h"

/* A table: schema from the fields' JSON, and what is done to its rows. */
struct processed {
    struct arena arena;
    struct schema *schema;
    struct processing processing;
};

static inline void processed_open(struct processed *table, const char *schema_text,
                                  const char *filters, const char *aggregations,
                                  const char *visibility, bool inexact)
{
    arena_init(&table->arena, NULL);
    char *text = arena_copy_text(&table->arena, slice_from_text(schema_text));
    for (char *at = text; *at; at++)
        if (*at == '\'') *at = '"';
    assert_ok(schema_from_json(slice_from_text(text), &table->schema));
    struct processing_settings settings = {.filters = slice_from_text(filters),
                                           .aggregations = slice_from_text(aggregations),
                                           .visibility_field = slice_from_text(visibility),
                                           .inexact = inexact};
    assert_ok(processing_parse(table->schema, &settings, &table->arena, &table->processing));
}

static inline void processed_close(struct processed *table)
{
    schema_release(table->schema);
    arena_free(&table->arena);
}

static inline struct batch *rows_of(const struct schema *schema, const char *text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json = json_of(&arena, text);
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (size_t row = 0; row < json->n_items; row++) {
        assert_int_equal(json->items[row].n_items, schema->n_fields);
        for (uint32_t i = 0; i < schema->n_fields; i++)
            assert_ok(append_json(batch_builder_column(builder, i), &json->items[row].items[i]));
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    return batch;
}

/* The batch cut into batches of `size` rows; an empty one comes first. */
static inline struct batch_stream *stream_of(const struct batch *batch, int64_t size)
{
    size_t n = 0;
    struct batch **parts = calloc((size_t)(batch->n_rows / size) + 2, sizeof(struct batch *));
    struct batch_stream *stream;
    assert_ok(batch_slice(batch, 0, 0, &parts[n++]));
    for (int64_t row = 0; row < batch->n_rows; row += size) {
        int64_t left = batch->n_rows - row;
        assert_ok(batch_slice(batch, row, left < size ? left : size, &parts[n++]));
    }
    assert_ok(batch_stream_of(batch->schema, parts, (uint32_t)n, &stream));
    for (size_t i = 0; i < n; i++)
        batch_release(parts[i]);
    free(parts);
    return stream;
}

/* All that a stream gives, as one sound batch; closes it. */
static inline struct batch *drain(struct batch_stream *stream)
{
    size_t n = 0, capacity = 4;
    struct batch **parts = malloc(capacity * sizeof(struct batch *)), *batch, *all;
    for (;;) {
        assert_ok(batch_stream_next(stream, &batch));
        if (!batch) break;
        assert_ok(batch_validate(batch, true));
        assert_true(batch->n_rows > 0);
        if (n == capacity) parts = realloc(parts, (capacity *= 2) * sizeof(struct batch *));
        parts[n++] = batch;
    }
    if (n) {
        assert_ok(batch_concat((const struct batch *const *)parts, (uint32_t)n, NULL, &all));
    } else {
        struct batch_builder *builder;
        assert_ok(batch_builder_new(&builder, stream->schema, NULL));
        assert_ok(batch_builder_finish(builder, &all));
        batch_builder_free(builder);
    }
    for (size_t i = 0; i < n; i++)
        batch_release(parts[i]);
    free(parts);
    batch_stream_close(stream);
    return all;
}

/* The same rows in memory of their own, counted nowhere. Releases the batch. */
static inline struct batch *copy_of(struct batch *batch)
{
    struct batch *copy;
    uint32_t *rows = calloc((size_t)batch->n_rows + 1, sizeof *rows);
    for (int64_t i = 0; i < batch->n_rows; i++)
        rows[i] = (uint32_t)i;
    assert_ok(batch_take(batch, rows, batch->n_rows, NULL, &copy));
    free(rows);
    batch_release(batch);
    return copy;
}

static inline struct batch *processed_rows(const struct processed *table, const struct batch *rows,
                                           int64_t size, const struct process_options *options)
{
    struct budget budget;
    struct batch_stream *stream;
    budget_init(&budget, "rows", 64 << 20, NULL, NULL);
    struct runtime runtime = {.clock = clock_system(), .budget = &budget};
    assert_ok(process_open(&stream, &runtime, stream_of(rows, size), &table->processing, options,
                           &budget));
    return copy_of(drain(stream));
}

static inline void assert_rows(const struct batch *batch, const char *text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json = json_of(&arena, text);
    assert_int_equal(batch->n_rows, json->n_items);
    for (size_t row = 0; row < json->n_items; row++)
        for (uint32_t i = 0; i < batch->schema->n_fields; i++)
            assert_entry(&batch->columns[i], (int64_t)row, &json->items[row].items[i]);
}

/* Cuts the rows at every size from 1 to 5 and as a whole. */
static inline void assert_processed(const struct processed *table, const char *rows,
                                    const struct process_options *options, const char *expected)
{
    struct batch *in = rows_of(table->schema, rows);
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 1000};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct batch *out = processed_rows(table, in, sizes[i], options);
        assert_rows(out, expected);
        batch_release(out);
    }
    batch_release(in);
}

#endif
