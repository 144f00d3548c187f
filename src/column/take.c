/*
 * take.c: rows gathered from one or several batches: the heart of sort and merge.
 *
 * One routine serves all: a gather over a list of columns and, for each row wanted, which column
 * and which entry. Fixed widths are copied by their own loops, text in two passes (sizes, then
 * bytes) so that the buffer has its exact size; of nested types the elements are gathered in turn.
 */
#include "column/column_int.h"

#include <stdlib.h>

struct gather {
    const struct column *const *columns;
    const struct row_source *sources; /* .row counts from a column's offset */
    int64_t n;
    struct budget *budget;
};

static int gather(struct column *out, const struct type *type, const struct gather *from,
                  uint32_t n_columns);

static int new_buffer(struct column_buffer *out, uint64_t size, struct budget *budget)
{
    TRY(block_new(&out->block, budget, size));
    out->data = out->block->data;
    out->size = size;
    return 0;
}

static int gather_validity(struct column *out, const struct gather *from, uint32_t n_columns)
{
    bool any = false;
    for (uint32_t i = 0; i < n_columns; i++)
        any = any || from->columns[i]->null_count > 0;
    if (!any) return 0;
    TRY(new_buffer(&out->validity, ((uint64_t)from->n + 7) / 8, from->budget));
    uint8_t *bits = out->validity.block->data;
    memset(bits, 0, out->validity.size);
    for (int64_t i = 0; i < from->n; i++) {
        bool valid = !column_is_null(from->columns[from->sources[i].batch], from->sources[i].row);
        bits[i >> 3] |= (uint8_t)(valid << (i & 7));
        out->null_count += !valid;
    }
    if (out->null_count) return 0;
    block_release(out->validity.block);
    out->validity = (struct column_buffer){NULL, NULL, 0};
    return 0;
}

/* Rows to be gathered lie anywhere in memory: the ones to come are asked for while those at hand
 * are copied. */
enum { AHEAD = 24 };

#define GATHER_WIDTH(bytes)                                                                      \
    for (int64_t i = 0; i < from->n; i++) {                                                      \
        struct row_source next = from->sources[i + AHEAD < from->n ? i + AHEAD : i];             \
        __builtin_prefetch(bases[next.batch] + (bytes) * (uint64_t)next.row);                    \
        memcpy(to + (bytes)*i,                                                                   \
               bases[from->sources[i].batch] + (bytes) * (uint64_t)from->sources[i].row, bytes); \
    }

static int gather_fixed(struct column *out, const struct gather *from, uint32_t n_columns,
                        unsigned width)
{
    defer_free const uint8_t **bases = memory_alloc((n_columns + 1) * sizeof *bases);
    for (uint32_t i = 0; i < n_columns; i++)
        bases[i] = from->columns[i]->values.data + (uint64_t)from->columns[i]->offset * width;
    TRY(new_buffer(&out->values, (uint64_t)from->n * width, from->budget));
    uint8_t *to = out->values.block->data;
    switch (width) {
    case 1: GATHER_WIDTH(1); break;
    case 4: GATHER_WIDTH(4); break;
    case 8: GATHER_WIDTH(8); break;
    case 16: GATHER_WIDTH(16); break;
    default: GATHER_WIDTH(width);
    }
    return 0;
}

static int gather_booleans(struct column *out, const struct gather *from)
{
    TRY(new_buffer(&out->values, ((uint64_t)from->n + 7) / 8, from->budget));
    uint8_t *bits = out->values.block->data;
    memset(bits, 0, out->values.size);
    for (int64_t i = 0; i < from->n; i++) {
        const struct column *column = from->columns[from->sources[i].batch];
        bool set = bit_get(column->values.data, column->offset + from->sources[i].row);
        bits[i >> 3] |= (uint8_t)(set << (i & 7));
    }
    return 0;
}

/* Offsets of the gathered entries; *total: where the last one ends. */
static int gather_offsets(struct column *out, const struct gather *from, const int32_t **bases,
                          uint64_t *total)
{
    uint64_t end = 0;
    TRY(new_buffer(&out->offsets, ((uint64_t)from->n + 1) * 4, from->budget));
    int32_t *offsets = (int32_t *)(void *)out->offsets.block->data;
    offsets[0] = 0;
    for (int64_t i = 0; i < from->n; i++) {
        struct row_source next = from->sources[i + AHEAD < from->n ? i + AHEAD : i];
        __builtin_prefetch(bases[next.batch] + next.row);
        const int32_t *at = bases[from->sources[i].batch] + from->sources[i].row;
        end += (uint64_t)(at[1] - at[0]);
        if (end > INT32_MAX)
            return error_set(GLIS_ELIMIT, "more than 2 GiB in one column of a batch");
        offsets[i + 1] = (int32_t)end;
    }
    *total = end;
    return 0;
}

/* Copies a text that is not empty; most are short, and a few moves that overlap each other are
 * quicker for them than a call. */
static inline void copy_text(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size > 64) {
        memcpy(to, from, size);
    } else if (size >= 16) {
        memcpy(to, from, 16);
        if (size > 32) memcpy(to + 16, from + 16, 16);
        if (size > 48) memcpy(to + 32, from + 32, 16);
        memcpy(to + size - 16, from + size - 16, 16);
    } else if (size >= 8) {
        memcpy(to, from, 8);
        memcpy(to + size - 8, from + size - 8, 8);
    } else if (size >= 4) {
        memcpy(to, from, 4);
        memcpy(to + size - 4, from + size - 4, 4);
    } else {
        to[0] = from[0];
        to[size / 2] = from[size / 2];
        to[size - 1] = from[size - 1];
    }
}

static int gather_texts(struct column *out, const struct gather *from, const int32_t **bases,
                        uint32_t n_columns)
{
    uint64_t total;
    defer_free const uint8_t **texts = memory_alloc((n_columns + 1) * sizeof *texts);
    for (uint32_t i = 0; i < n_columns; i++)
        texts[i] = from->columns[i]->values.data;
    TRY(gather_offsets(out, from, bases, &total));
    TRY(new_buffer(&out->values, total, from->budget));
    uint8_t *to = out->values.block->data;
    for (int64_t i = 0; i < from->n; i++) {
        if (i + AHEAD < from->n) {
            struct row_source next = from->sources[i + AHEAD];
            const uint8_t *text = texts[next.batch] + bases[next.batch][next.row];
            __builtin_prefetch(text);
            __builtin_prefetch(text + 63);
        }
        struct row_source source = from->sources[i];
        const int32_t *at = bases[source.batch] + source.row;
        size_t size = (size_t)(at[1] - at[0]);
        if (size) copy_text(to, texts[source.batch] + at[0], size);
        to += size;
    }
    return 0;
}

/* The children's columns and, for lists, the elements of the entries wanted. */
static int gather_children(struct column *out, const struct type *type, const struct gather *from,
                           uint32_t n_columns, const int32_t **bases)
{
    out->children = memory_alloc_zero(type->n_children * sizeof *out->children);
    for (uint32_t c = 0; c < type->n_children; c++)
        out->children[c].type = &type->children[c].type;
    defer_free const struct column **children = memory_alloc((n_columns + 1) * sizeof *children);
    defer_free struct row_source *sources = NULL;
    struct gather inner = {children, NULL, from->n, from->budget};
    uint64_t total = (uint64_t)from->n, n = 0;
    if (bases) TRY(gather_offsets(out, from, bases, &total));
    sources = memory_alloc((total + 1) * sizeof *sources);
    for (int64_t i = 0; i < from->n; i++) {
        struct row_source source = from->sources[i];
        if (!bases) { /* a struct's offset is added to its children's */
            sources[n++] = (struct row_source){
                source.batch, source.row + (uint32_t)from->columns[source.batch]->offset};
            continue;
        }
        const int32_t *at = bases[source.batch] + source.row;
        for (int32_t e = at[0]; e < at[1]; e++)
            sources[n++] = (struct row_source){source.batch, (uint32_t)e};
    }
    inner.sources = sources;
    inner.n = (int64_t)n;
    for (uint32_t c = 0; c < type->n_children; c++) {
        for (uint32_t i = 0; i < n_columns; i++)
            children[i] = &from->columns[i]->children[c];
        TRY(gather(&out->children[c], &type->children[c].type, &inner, n_columns));
    }
    return 0;
}

static int gather_entries(struct column *out, const struct type *type, const struct gather *from,
                          uint32_t n_columns)
{
    TRY(gather_validity(out, from, n_columns));
    if (type->kind == TYPE_NULL) {
        out->null_count = out->length;
        return 0;
    }
    if (type->kind == TYPE_BOOLEAN) return gather_booleans(out, from);
    if (type->kind == TYPE_STRUCT) return gather_children(out, type, from, n_columns, NULL);
    if (!type_has_offsets(type)) return gather_fixed(out, from, n_columns, type_width(type));
    defer_free const int32_t **bases = memory_alloc((n_columns + 1) * sizeof *bases);
    for (uint32_t i = 0; i < n_columns; i++)
        bases[i] = column_offsets(from->columns[i]);
    return type->n_children ? gather_children(out, type, from, n_columns, bases)
                            : gather_texts(out, from, bases, n_columns);
}

/* Dictionaries are looked up first, in columns of our own. */
static int gather(struct column *out, const struct type *type, const struct gather *from,
                  uint32_t n_columns)
{
    struct column *plain = NULL;
    const struct column **columns = NULL;
    struct gather inner = *from;
    int code = 0;
    for (uint32_t i = 0; i < n_columns && !plain; i++)
        if (from->columns[i]->dictionary) plain = memory_alloc_zero(n_columns * sizeof *plain);
    if (plain) {
        columns = memory_alloc_zero(n_columns * sizeof *columns);
        for (uint32_t i = 0; i < n_columns; i++) {
            columns[i] = &plain[i];
            plain[i].type = type;
            if (code == 0) code = column_share(&plain[i], from->columns[i]);
            if (code == 0) code = column_decode_dictionary(&plain[i], from->budget);
        }
        inner.columns = columns;
    }
    *out = (struct column){.type = type, .length = from->n};
    if (code == 0) code = gather_entries(out, type, &inner, n_columns);
    for (uint32_t i = 0; plain && i < n_columns; i++)
        column_free(&plain[i]);
    free(plain);
    free(columns);
    if (code < 0) column_free(out);
    return code;
}

int column_take(struct column *out, const struct column *column, const uint32_t *rows, int64_t n,
                struct budget *budget)
{
    defer_free struct row_source *sources = memory_alloc(((size_t)n + 1) * sizeof *sources);
    for (int64_t i = 0; i < n; i++)
        sources[i] = (struct row_source){0, rows[i]};
    struct gather from = {&column, sources, n, budget};
    return gather(out, column->type, &from, 1);
}

int batch_take(const struct batch *batch, const uint32_t *rows, int64_t n, struct budget *budget,
               struct batch **out)
{
    defer_free struct row_source *sources = memory_alloc(((size_t)n + 1) * sizeof *sources);
    for (int64_t i = 0; i < n; i++)
        sources[i] = (struct row_source){0, rows[i]};
    return batch_interleave(&batch, 1, sources, n, budget, out);
}

int column_interleave(struct column *out, const struct batch *const *batches, uint32_t n_batches,
                      uint32_t field, const struct row_source *sources, int64_t n_rows,
                      struct budget *budget)
{
    defer_free const struct column **columns = memory_alloc((n_batches + 1) * sizeof *columns);
    for (uint32_t i = 0; i < n_batches; i++)
        columns[i] = &batches[i]->columns[field];
    struct gather from = {columns, sources, n_rows, budget};
    return gather(out, &batches[0]->schema->fields[field].type, &from, n_batches);
}

int batch_interleave(const struct batch *const *batches, uint32_t n_batches,
                     const struct row_source *sources, int64_t n_rows, struct budget *budget,
                     struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct schema *schema = batches[0]->schema;
    struct column *columns = ARENA_ARRAY(&arena, struct column, schema->n_fields + 1);
    for (uint32_t f = 0; f < schema->n_fields; f++) {
        int code = column_interleave(&columns[f], batches, n_batches, f, sources, n_rows, budget);
        if (code == 0) continue;
        for (uint32_t g = 0; g < f; g++)
            column_free(&columns[g]);
        return code;
    }
    return batch_new(out, schema, columns, n_rows);
}

int batch_concat(const struct batch *const *batches, uint32_t n_batches, struct budget *budget,
                 struct batch **out)
{
    int64_t n = 0, at = 0;
    for (uint32_t i = 0; i < n_batches; i++)
        n += batches[i]->n_rows;
    if (n_batches == 1) {
        *out = batch_acquire(batches[0]);
        return 0;
    }
    defer_free struct row_source *sources = memory_alloc(((size_t)n + 1) * sizeof *sources);
    for (uint32_t i = 0; i < n_batches; i++)
        for (int64_t row = 0; row < batches[i]->n_rows; row++)
            sources[at++] = (struct row_source){i, (uint32_t)row};
    return batch_interleave(batches, n_batches, sources, n, budget, out);
}
