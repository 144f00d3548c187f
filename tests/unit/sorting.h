/*
 * sorting.h: what the tests of sorter, merge and ingest share: a runtime with a seed, schemas with
 * keys of every type, and rows drawn at random whose last column is their number, so that each can
 * be recognised wherever it comes out.
 */
#ifndef GLIS_TEST_SORTING_H
#define GLIS_TEST_SORTING_H

#include "test.h"

#include "base/runtime.h"
#include "column/column.h"

#include <stdlib.h>

/* The machine's time, but sleeping takes none: it moves the clock on. */
struct sorting_clock {
    struct clock clock;
    _Atomic int64_t slept_ms;
};

static inline int64_t sorting_clock_wall(struct clock *clock)
{
    return clock_system()->wall_ms(clock_system()) + ((struct sorting_clock *)clock)->slept_ms;
}

static inline int64_t sorting_clock_monotonic(struct clock *clock)
{
    return clock_system()->monotonic_ns(clock_system()) +
           ((struct sorting_clock *)clock)->slept_ms * 1000000;
}

static inline void sorting_clock_sleep(struct clock *clock, int64_t duration_ms)
{
    ((struct sorting_clock *)clock)->slept_ms += duration_ms;
}

struct sorting_world {
    struct sorting_clock clock;
    struct runtime runtime;
    struct budget budget;
    struct cancel cancel;
};

static inline void sorting_world_open(struct sorting_world *world, unsigned n_threads)
{
    budget_init(&world->budget, "test memory", 0, NULL, NULL);
    world->cancel = (struct cancel){0};
    world->clock.clock =
        (struct clock){sorting_clock_wall, sorting_clock_monotonic, sorting_clock_sleep};
    world->clock.slept_ms = 0;
    world->runtime = (struct runtime){.clock = &world->clock.clock,
                                      .random = random_seeded_new(42),
                                      .pool = pool_new(n_threads),
                                      .budget = &world->budget,
                                      .cancel = &world->cancel};
}

/* Nothing that was reserved may be left. */
static inline void sorting_world_close(struct sorting_world *world)
{
    pool_free(world->runtime.pool);
    random_seeded_free(world->runtime.random);
    assert_int_equal(budget_used(&world->budget), 0);
}

/* Key fields of the given types, then text (nullable), list of long, and the row's number. */
static inline struct schema *sorting_schema(const struct type *keys, uint32_t n_row_keys,
                                            uint32_t n_sort_keys)
{
    static const char *const names[] = {"k0", "k1", "k2", "k3"};
    struct arena arena = ARENA_EMPTY;
    struct field fields[8];
    uint32_t n = n_row_keys + n_sort_keys;
    assert_true(n <= 4);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = (struct field){.name = slice_from_text(names[i]), .type = keys[i]};
    fields[n] = (struct field){SLICE("text"), {.kind = TYPE_STRING}, true};
    fields[n + 1] = (struct field){
        SLICE("numbers"), type_list(&arena, (struct type){.kind = TYPE_INT64}, false), false};
    fields[n + 2] = (struct field){SLICE("id"), {.kind = TYPE_INT64}, false};
    struct schema *schema;
    assert_ok(schema_new(&schema, fields, n + 3, n_row_keys, n_sort_keys));
    arena_free(&arena);
    return schema;
}

/* A random key from few (`spread` small) or many values. */
static inline void sorting_append_key(struct column_builder *builder, struct random *random,
                                      uint64_t spread)
{
    const struct type *type = column_builder_type(builder);
    uint64_t pick = random_below(random, spread);
    int64_t integer = (int64_t)pick - (int64_t)(spread / 2);
    char bytes[24];
    size_t size = pick % 17;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(type->kind == TYPE_STRING ? 'a' + (pick >> (i % 8)) % 3
                                                    : (pick * (i + 1)) % 4 * 85);
    switch (type->kind) {
    case TYPE_BOOLEAN: assert_ok(column_builder_append_integer(builder, pick & 1)); break;
    case TYPE_FLOAT:
    case TYPE_DOUBLE: assert_ok(column_builder_append_real(builder, (double)integer / 8)); break;
    case TYPE_DECIMAL: assert_ok(column_builder_append_decimal(builder, integer % 1000)); break;
    case TYPE_STRING:
    case TYPE_BYTES:
        assert_ok(column_builder_append_bytes(builder, slice_make(bytes, size)));
        break;
    default: assert_ok(column_builder_append_integer(builder, integer)); break;
    }
}

/* `n_rows` random rows with numbers from first_id on. */
static inline struct batch *sorting_batch(const struct schema *schema, struct random *random,
                                          int64_t n_rows, int64_t first_id, uint64_t spread)
{
    struct batch_builder *builder;
    struct batch *batch;
    uint32_t n_keys = schema_key_count(schema);
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (int64_t row = 0; row < n_rows; row++) {
        for (uint32_t i = 0; i < n_keys; i++)
            sorting_append_key(batch_builder_column(builder, i), random, spread);
        struct column_builder *text = batch_builder_column(builder, n_keys);
        struct column_builder *numbers = batch_builder_column(builder, n_keys + 1);
        char words[100];
        memset(words, 'a' + (int)random_below(random, 26), sizeof words);
        if (random_below(random, 4) == 0)
            assert_ok(column_builder_append_null(text));
        else
            assert_ok(column_builder_append_bytes(
                text, slice_make(words, random_below(random, sizeof words))));
        for (uint64_t i = random_below(random, 4); i > 0; i--)
            assert_ok(column_builder_append_integer(column_builder_child(numbers, 0),
                                                    first_id + row + (int64_t)i));
        assert_ok(column_builder_end(numbers));
        assert_ok(column_builder_append_integer(batch_builder_column(builder, n_keys + 2),
                                                first_id + row));
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    return batch;
}

static inline int64_t sorting_id(const struct batch *batch, int64_t row)
{
    struct value value;
    column_value(&batch->columns[batch->schema->n_fields - 1], row, &value);
    return value.integer;
}

/* The number of the batch that holds row `id`, when all have the same number of rows, and the
 * row in it. */
struct sorting_rows {
    struct batch **batches;
    int64_t n_batches, batch_rows;
};

static inline struct sorting_rows sorting_rows_make(const struct schema *schema,
                                                    struct random *random, int64_t n_rows,
                                                    int64_t batch_rows, uint64_t spread)
{
    struct sorting_rows rows = {.batch_rows = batch_rows};
    rows.n_batches = (n_rows + batch_rows - 1) / batch_rows;
    rows.batches = calloc((size_t)rows.n_batches + 1, sizeof *rows.batches);
    for (int64_t i = 0; i < rows.n_batches; i++) {
        int64_t n = i * batch_rows + batch_rows > n_rows ? n_rows - i * batch_rows : batch_rows;
        rows.batches[i] = sorting_batch(schema, random, n, i * batch_rows, spread);
    }
    return rows;
}

static inline void sorting_rows_free(struct sorting_rows *rows)
{
    for (int64_t i = 0; i < rows->n_batches; i++)
        batch_release(rows->batches[i]);
    free(rows->batches);
}

/* All that a stream gives is in key order by the columns' own comparison (not by encoded keys), and
 * is each of the n rows once, whole. Closes the stream. */
static inline void sorting_check(struct batch_stream *stream, const struct sorting_rows *rows,
                                 int64_t n_rows, bool descending)
{
    uint32_t n_keys = schema_key_count(stream->schema);
    uint8_t *seen = calloc((size_t)n_rows + 1, 1);
    struct batch *last = NULL;
    int64_t count = 0;
    for (;;) {
        struct batch *batch;
        assert_ok(batch_stream_next(stream, &batch));
        if (!batch) break;
        assert_ok(batch_validate(batch, true));
        for (int64_t row = 0; row < batch->n_rows; row++) {
            int64_t id = sorting_id(batch, row);
            assert_true(id >= 0 && id < n_rows);
            assert_int_equal(seen[id], 0);
            seen[id] = 1;
            const struct batch *source = rows->batches[id / rows->batch_rows];
            if (batch_compare_rows(batch, row, source, id % rows->batch_rows, 0,
                                   batch->schema->n_fields) != 0)
                fail_msg("row %lld came out changed", (long long)id);
            int c = 0;
            if (row > 0)
                c = batch_compare_rows(batch, row - 1, batch, row, 0, n_keys);
            else if (last && last->n_rows > 0)
                c = batch_compare_rows(last, last->n_rows - 1, batch, row, 0, n_keys);
            if (descending ? c < 0 : c > 0)
                fail_msg("row %lld is out of order", (long long)(count + row));
        }
        count += batch->n_rows;
        if (batch->n_rows > 0) {
            batch_release(last);
            last = batch;
        } else {
            batch_release(batch);
        }
    }
    assert_int_equal(count, n_rows);
    batch_release(last);
    batch_stream_close(stream);
    free(seen);
}

#endif
