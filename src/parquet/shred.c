/*
 * shred.c: from columns to the levels and values of one leaf
 * (https://parquet.apache.org/docs/file-format/nestedencoding/). Values are brought into their
 * physical form here, without nulls; bytes stay in the batches and are only pointed to.
 *
 * All goes column-wise. A nested field is walked along its path, some rows at a time, so that what
 * is at hand stays in the cache: each step turns the entries of the step before (levels, and the
 * place in the column, or -1 where the entry has ended) into its own; a list makes several of one.
 * The places that are left in the end ascend, mostly without a gap, and then their values are
 * copied at once.
 */
#include "parquet/parquet_int.h"

enum { NESTED_ROWS = 2048 }; /* walked at a time */

static void reverse(uint8_t *out, const uint8_t *in, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = in[n - 1 - i];
}

/* Entry `i` of the buffers, which is not null; `out` has room for the leaf's stride. */
static void physical_value(const struct write_leaf *leaf, const struct column *column, int64_t i,
                           uint8_t *out)
{
    if (column->dictionary) {
        int32_t index = ((const int32_t *)(const void *)column->values.data)[i];
        column = column->dictionary;
        i = column->offset + index;
    }
    const uint8_t *values = column->values.data;
    int32_t narrow;
    switch (leaf->leaf_type->kind) {
    case TYPE_BOOLEAN: *out = values[i >> 3] >> (i & 7) & 1; return;
    case TYPE_INT8: narrow = ((const int8_t *)values)[i]; break;
    case TYPE_UINT8: narrow = values[i]; break;
    case TYPE_INT16: narrow = ((const int16_t *)(const void *)values)[i]; break;
    case TYPE_UINT16: narrow = ((const uint16_t *)(const void *)values)[i]; break;
    case TYPE_DECIMAL:
        if (leaf->type != PARQUET_FIXED_LEN_BYTE_ARRAY)
            memcpy(out, values + 16 * i, leaf->stride);
        else
            reverse(out, values + 16 * i, 16);
        return;
    case TYPE_DECIMAL256: reverse(out, values + 32 * i, 32); return;
    case TYPE_STRING:
    case TYPE_BYTES: {
        const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data;
        struct slice s = slice_make(values + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
        memcpy(out, &s, sizeof(s));
        return;
    }
    default: memcpy(out, values + (uint64_t)leaf->stride * (uint64_t)i, leaf->stride); return;
    }
    memcpy(out, &narrow, 4);
}

/* Whether the values buffer holds the physical values as they are. */
static bool is_copied(const struct write_leaf *leaf, const struct column *column)
{
    if (column->dictionary) return false;
    switch (leaf->leaf_type->kind) {
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_UINT32:
    case TYPE_UINT64:
    case TYPE_FLOAT16:
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
    case TYPE_DATE:
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_FIXED_BYTES:
    case TYPE_INTERVAL: return true;
    default: return false;
    }
}

static bool entry_is_null(const struct column *column, int64_t row)
{
    return column->type->kind == TYPE_NULL || column_is_null(column, row);
}

/* Appends n values from `first` on of the column's buffers, none of them null. */
static void put_run(struct shredded *out, const struct column *column, int64_t first, int64_t n)
{
    const struct write_leaf *leaf = out->leaf;
    uint8_t *at = out->values.data + out->values.size;
    bool text = leaf->leaf_type->kind == TYPE_STRING || leaf->leaf_type->kind == TYPE_BYTES;
    if (is_copied(leaf, column)) {
        if (n)
            memcpy(at, column->values.data + first * (int64_t)leaf->stride,
                   (size_t)n * leaf->stride);
    } else if (text && !column->dictionary) {
        const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data + first;
        const uint8_t *bytes = column->values.data;
        struct slice *slices = (struct slice *)(void *)at;
        for (int64_t i = 0; i < n; i++)
            slices[i] = slice_make(bytes + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
    } else {
        for (int64_t i = 0; i < n; i++)
            physical_value(leaf, column, first + i, at + (size_t)i * leaf->stride);
    }
    out->values.size += (size_t)n * leaf->stride;
    out->n_values += n;
}

static int shred_flat(struct shredded *out, const struct column *column, int64_t begin, int64_t n)
{
    const struct write_leaf *leaf = out->leaf;
    bool nulls = leaf->leaf_type->kind == TYPE_NULL || column->null_count > 0;
    if (nulls && leaf->max_definition == 0)
        return error_set(GLIS_EDATA, "field '%.*s' has a null, which it may not",
                         SLICE_PRINT(leaf->path[0]->name));
    TRY(buffer_reserve(&out->values, (size_t)n * leaf->stride));
    uint8_t *levels = NULL;
    if (leaf->max_definition > 0) {
        TRY(buffer_reserve(&out->definitions, (size_t)n));
        levels = out->definitions.data + out->definitions.size;
        out->definitions.size += (size_t)n;
    }
    out->n_entries += n;
    if (!nulls) {
        if (levels) memset(levels, 1, (size_t)n);
        put_run(out, column, column->offset + begin, n);
        return 0;
    }
    for (int64_t i = 0; i < n;) {
        int64_t run = i;
        while (run < n && !entry_is_null(column, begin + run))
            levels[run++] = 1;
        if (run > i) put_run(out, column, column->offset + begin + i, run - i);
        for (i = run; i < n && entry_is_null(column, begin + i); i++)
            levels[i] = 0;
    }
    return 0;
}

/* ---- nested fields ---- */

/* Entries of a step: levels, and places in its column. */
struct entries {
    struct buffer definitions, repetitions, places; /* a byte each; int32_t, -1: ended */
    int64_t n;
};

static int32_t *places_of(const struct entries *entries)
{
    return (int32_t *)(void *)entries->places.data;
}

/* Room for n entries, in place of those there were. */
static int entries_begin(struct entries *entries, int64_t n)
{
    TRY(buffer_reserve(&entries->definitions, (size_t)n));
    TRY(buffer_reserve(&entries->repetitions, (size_t)n));
    TRY(buffer_reserve(&entries->places, (size_t)n * sizeof(int32_t)));
    entries->n = n;
    return 0;
}

/* Ends the entries that are null; the others have one level more when the field is optional. */
static int end_nulls(const struct field *field, const struct column *column,
                     struct entries *entries)
{
    uint8_t *definitions = entries->definitions.data;
    int32_t *places = places_of(entries);
    uint8_t optional = write_field_is_optional(field);
    bool bad = false;
    if (column->type->kind != TYPE_NULL && column->null_count == 0) {
        for (int64_t i = 0; i < entries->n; i++)
            definitions[i] += places[i] >= 0 ? optional : 0;
        return 0;
    }
    for (int64_t i = 0; i < entries->n; i++) {
        if (places[i] < 0) continue;
        if (entry_is_null(column, places[i])) {
            places[i] = -1;
            bad |= !optional;
        } else {
            definitions[i] += optional;
        }
    }
    if (!bad) return 0;
    return error_set(GLIS_EDATA, "field '%.*s' has a null, which it may not",
                     SLICE_PRINT(field->name));
}

/* Elements that stand in a list; 0 of none. */
static inline int32_t list_size(const int32_t *offsets, int32_t place)
{
    return place < 0 ? 0 : offsets[place + 1] - offsets[place];
}

/* The entries of a list's or map's elements; `repeated`: the level of all but the first. */
static int enter_list(const struct column *column, uint8_t repeated, const struct entries *from,
                      struct entries *to)
{
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data + column->offset;
    const int32_t *places = places_of(from);
    int64_t n = 0;
    for (int64_t i = 0; i < from->n; i++) {
        int32_t size = list_size(offsets, places[i]);
        n += size > 0 ? size : 1;
    }
    TRY(entries_begin(to, n));
    uint8_t *definitions = to->definitions.data, *repetitions = to->repetitions.data;
    int32_t *out = places_of(to);
    for (int64_t i = 0; i < from->n; i++) {
        int32_t size = list_size(offsets, places[i]);
        uint8_t definition = from->definitions.data[i];
        *repetitions++ = from->repetitions.data[i];
        if (size == 0) {
            *definitions++ = definition;
            *out++ = -1;
            continue;
        }
        int32_t begin = offsets[places[i]];
        *definitions++ = definition + 1;
        *out++ = begin;
        for (int32_t k = 1; k < size; k++) {
            *definitions++ = definition + 1;
            *repetitions++ = repeated;
            *out++ = begin + k;
        }
    }
    return 0;
}

static void enter_struct(const struct column *column, struct entries *entries)
{
    int32_t *places = places_of(entries);
    for (int64_t i = 0; i < entries->n && column->offset > 0; i++)
        places[i] = places[i] < 0 ? -1 : (int32_t)(places[i] + column->offset);
}

/* The levels as they are, and the values of the entries that did not end. */
static int put_entries(struct shredded *out, const struct column *column, struct entries *entries)
{
    int32_t *places = places_of(entries);
    int64_t n = 0;
    for (int64_t i = 0; i < entries->n; i++) {
        int32_t place = places[i];
        places[n] = place;
        n += place >= 0;
    }
    if (out->leaf->max_definition)
        TRY(buffer_append(&out->definitions, entries->definitions.data, (size_t)entries->n));
    if (out->leaf->max_repetition)
        TRY(buffer_append(&out->repetitions, entries->repetitions.data, (size_t)entries->n));
    out->n_entries += entries->n;
    TRY(buffer_reserve(&out->values, (size_t)n * out->leaf->stride));
    for (int64_t i = 0; i < n;) {
        int64_t end = n;
        if (places[n - 1] - places[i] != n - 1 - i)
            for (end = i + 1; end < n && places[end] == places[end - 1] + 1;)
                end++;
        put_run(out, column, column->offset + places[i], end - i);
        i = end;
    }
    return 0;
}

static int walk_rows(struct shredded *out, const struct column *column, int64_t begin, int64_t n,
                     struct entries entries[2])
{
    const struct write_leaf *leaf = out->leaf;
    struct entries *at = &entries[0], *next = &entries[1];
    uint8_t repeated = 0;
    TRY(entries_begin(at, n));
    memset(at->definitions.data, 0, (size_t)n);
    memset(at->repetitions.data, 0, (size_t)n);
    for (int64_t i = 0; i < n; i++)
        places_of(at)[i] = (int32_t)(begin + i);
    for (unsigned step = 0;; step++) {
        TRY(end_nulls(leaf->path[step], column, at));
        if (step + 1 == leaf->n_path) return put_entries(out, column, at);
        if (leaf->path[step]->type.kind == TYPE_STRUCT) {
            enter_struct(column, at);
        } else {
            TRY(enter_list(column, ++repeated, at, next));
            struct entries *done = at;
            at = next;
            next = done;
        }
        column = &column->children[leaf->child[step]];
    }
}

int shred_rows(struct shredded *out, const struct column *column, int64_t begin, int64_t n)
{
    if (out->leaf->n_path == 1) return shred_flat(out, column, begin, n);
    struct entries entries[2];
    struct buffer *all[] = {&entries[0].definitions, &entries[0].repetitions, &entries[0].places,
                            &entries[1].definitions, &entries[1].repetitions, &entries[1].places};
    for (unsigned i = 0; i < 6; i++)
        buffer_init(all[i], (size_t)16 << 30, out->values.budget);
    int code = 0;
    for (int64_t done = 0; done < n && code == 0; done += NESTED_ROWS)
        code = walk_rows(out, column, begin + done, n - done < NESTED_ROWS ? n - done : NESTED_ROWS,
                         entries);
    for (unsigned i = 0; i < 6; i++)
        buffer_free(all[i]);
    return code;
}

int shred_segment(struct shredded *out, const struct row_segment *segment)
{
    return shred_rows(out, &segment->batch->columns[out->leaf->field], segment->begin, segment->n);
}
