/*
 * aggregate_map.c: maps of equal rows into one, key by key.
 *
 * The entries of all maps of a run are lined up by their keys, those of one key in the order of the
 * rows; then keys are gathered, and values go the way of all values (aggregate_column.c), with
 * entries instead of rows. The same brings a single map into its normal form, in which no key comes
 * twice and keys ascend: ingest sees to it, so that later only groups have work to do.
 *
 * A null map adds nothing; of nothing but null maps comes null. A key whose values are all null
 * stays, with a null.
 */
#include "process/process_int.h"

#include <stdlib.h>

/* Where the entries of a map column are. */
struct entries {
    const struct column *keys, *values;
    const int32_t *offsets; /* of the column's rows; begin with its first */
    int64_t offset;         /* added to an offset gives the entry in keys and values */
};

static struct entries entries_of(const struct column *column)
{
    const struct column *pairs = &column->children[0];
    return (struct entries){
        .keys = &pairs->children[0],
        .values = &pairs->children[1],
        .offsets = (const int32_t *)(const void *)column->offsets.data + column->offset,
        .offset = pairs->offset,
    };
}

static int compare_keys(const struct entries *entries, int64_t a, int64_t b)
{
    return column_compare(entries->keys, a, entries->keys, b);
}

bool map_column_is_normal(const struct column *column)
{
    struct entries entries = entries_of(column);
    for (int64_t row = 0; row < column->length; row++) {
        if (column_is_null(column, row)) continue;
        for (int64_t e = entries.offsets[row] + 1; e < entries.offsets[row + 1]; e++)
            if (compare_keys(&entries, entries.offset + e - 1, entries.offset + e) >= 0)
                return false;
    }
    return true;
}

/* ---- lining up ---- */

/* Entries in their order, and where those of one key begin. */
struct lined_up {
    uint32_t *order, *starts;
    int64_t n_order, n_starts;
};

static int compare_entries(const void *a, const void *b, void *state)
{
    const struct entries *entries = state;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int c = compare_keys(entries, x, y);
    return c ? c : (x > y) - (x < y); /* entries lie in the order of rows */
}

/* Appends the entries of rows [begin, end). */
static void line_up(const struct column *column, struct entries *entries, uint32_t begin,
                    uint32_t end, struct lined_up *out)
{
    int64_t first = out->n_order;
    bool sorted = true;
    for (uint32_t row = begin; row < end; row++) {
        if (column_is_null(column, row)) continue;
        for (int32_t e = entries->offsets[row]; e < entries->offsets[row + 1]; e++) {
            uint32_t entry = (uint32_t)(entries->offset + e);
            if (sorted && out->n_order > first)
                sorted = compare_keys(entries, out->order[out->n_order - 1], entry) < 0;
            out->order[out->n_order++] = entry;
        }
    }
    int64_t n = out->n_order - first;
    if (!sorted)
        qsort_r(out->order + first, (size_t)n, sizeof *out->order, compare_entries, entries);
    for (int64_t i = first; i < out->n_order; i++)
        if (sorted || i == first || compare_keys(entries, out->order[i - 1], out->order[i]) != 0)
            out->starts[out->n_starts++] = (uint32_t)i;
}

/* ---- columns ---- */

static int new_buffer(struct column_buffer *out, uint64_t size, struct budget *budget)
{
    TRY(block_new(&out->block, budget, size));
    out->data = out->block->data;
    out->size = size;
    return 0;
}

/* The offsets and nulls of the maps, and what their entries are made of. */
static int fill_rows(struct column *out, const struct column *column, struct entries *entries,
                     const struct runs *runs, struct lined_up *lined, struct budget *budget)
{
    size_t bitmap = ((size_t)runs->n + 7) / 8;
    TRY(new_buffer(&out->offsets, 4 * ((uint64_t)runs->n + 1), budget));
    int32_t *offsets = (int32_t *)(void *)out->offsets.block->data;
    uint8_t *bits = NULL;
    if (column->null_count) {
        TRY(new_buffer(&out->validity, bitmap, budget));
        bits = out->validity.block->data;
        memset(bits, 0, bitmap);
    }
    offsets[0] = 0;
    for (int64_t i = 0; i < runs->n; i++) {
        bool any = false;
        for (uint32_t row = runs->starts[i]; row < runs->starts[i + 1] && !any; row++)
            any = !column_is_null(column, row);
        line_up(column, entries, runs->starts[i], runs->starts[i + 1], lined);
        offsets[i + 1] = (int32_t)lined->n_starts;
        out->null_count += !any;
        if (bits) bits[i >> 3] |= (uint8_t)(any << (i & 7));
    }
    lined->starts[lined->n_starts] = (uint32_t)lined->n_order;
    if (bits && !out->null_count) {
        block_release(out->validity.block);
        out->validity = (struct column_buffer){NULL, NULL, 0};
    }
    return 0;
}

static int fill_entries(struct column *out, const struct entries *entries,
                        enum aggregation aggregation, const struct lined_up *lined,
                        struct budget *budget)
{
    const struct type *pair = &out->type->children[0].type;
    struct column *pairs = memory_alloc_zero(sizeof *pairs);
    out->children = pairs;
    *pairs = (struct column){.type = pair, .length = lined->n_starts};
    pairs->children = memory_alloc_zero(2 * sizeof *pairs->children);
    for (uint32_t i = 0; i < 2; i++)
        pairs->children[i].type = &pair->children[i].type;
    struct runs runs = {lined->order, lined->starts, lined->n_starts};
    defer_free uint32_t *firsts = memory_alloc(((size_t)runs.n + 1) * sizeof *firsts);
    for (int64_t i = 0; i < runs.n; i++)
        firsts[i] = lined->order[lined->starts[i]];
    TRY(column_take(&pairs->children[0], entries->keys, firsts, runs.n, budget));
    TRY(aggregate_column(&pairs->children[1], entries->values, aggregation, &runs, budget));
    for (uint32_t i = 0; i < 2; i++)
        pairs->children[i].type = &pair->children[i].type;
    return 0;
}

int aggregate_map_column(struct column *out, const struct column *column,
                         enum aggregation aggregation, const struct runs *runs,
                         struct budget *budget)
{
    struct entries entries = entries_of(column);
    ASSERT(!runs->order);
    *out = (struct column){.type = column->type, .length = runs->n};
    size_t n =
        runs->n
            ? (size_t)(entries.offsets[runs->starts[runs->n]] - entries.offsets[runs->starts[0]])
            : 0;
    uint64_t bytes = 2 * (n + 1) * sizeof(uint32_t);
    struct lined_up lined = {0};
    TRY(budget ? budget_reserve(budget, bytes) : 0);
    lined.order = memory_alloc((n + 1) * sizeof *lined.order);
    lined.starts = memory_alloc((n + 1) * sizeof *lined.starts);
    int code = fill_rows(out, column, &entries, runs, &lined, budget);
    if (code == 0) code = fill_entries(out, &entries, aggregation, &lined, budget);
    free(lined.order);
    free(lined.starts);
    if (budget) budget_release(budget, bytes);
    if (code < 0) column_free(out);
    return code;
}
