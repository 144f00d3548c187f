/*
 * shred.c: from columns to the levels and values of one leaf
 * (https://parquet.apache.org/docs/file-format/nestedencoding/). Values are brought into their
 * physical form here, without nulls; bytes stay in the batches and are only pointed to. A field
 * that is a leaf goes column-wise, with one copy when nothing is null; nested ones go entry by
 * entry, at most WRITE_PATH_MAX deep.
 */
#include "parquet/parquet_int.h"

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

static int shred_flat(struct shredded *out, const struct column *column, int64_t begin, int64_t n)
{
    const struct write_leaf *leaf = out->leaf;
    bool nulls = leaf->leaf_type->kind == TYPE_NULL || column->null_count > 0;
    if (nulls && leaf->max_definition == 0)
        return error_set(GLIS_EDATA, "field '%.*s' has a null, which it may not",
                         SLICE_PRINT(leaf->path[0]->name));
    if (leaf->max_definition > 0) {
        TRY(buffer_reserve(&out->definitions, (size_t)n));
        uint8_t *levels = out->definitions.data + out->definitions.size;
        for (int64_t i = 0; i < n; i++)
            levels[i] = !(nulls && entry_is_null(column, begin + i));
        out->definitions.size += (size_t)n;
    }
    TRY(buffer_reserve(&out->values, (size_t)n * leaf->stride));
    uint8_t *at = out->values.data + out->values.size;
    uint8_t *first = at;
    if (!nulls && is_copied(leaf, column)) {
        size_t size = (size_t)n * leaf->stride;
        if (size) memcpy(at, column->values.data + (column->offset + begin) * leaf->stride, size);
        at += size;
    } else {
        for (int64_t i = begin; i < begin + n; i++) {
            if (nulls && entry_is_null(column, i)) continue;
            physical_value(leaf, column, column->offset + i, at);
            at += leaf->stride;
        }
    }
    out->values.size += (size_t)(at - first);
    if (leaf->stride) out->n_values += (at - first) / leaf->stride;
    out->n_entries += n;
    return 0;
}

static int put_entry(struct shredded *out, int definition, int repetition)
{
    TRY(buffer_append_byte(&out->definitions, (uint8_t)definition));
    if (out->leaf->max_repetition) TRY(buffer_append_byte(&out->repetitions, (uint8_t)repetition));
    out->n_entries++;
    return 0;
}

/* An entry of path[step]; `repeated`: lists and maps above it. */
static int shred_entry(struct shredded *out, const struct column *column, unsigned step,
                       int64_t row, int definition, int repetition, int repeated)
{
    const struct write_leaf *leaf = out->leaf;
    const struct field *field = leaf->path[step];
    if (entry_is_null(column, row)) {
        if (!write_field_is_optional(field))
            return error_set(GLIS_EDATA, "field '%.*s' has a null, which it may not",
                             SLICE_PRINT(field->name));
        return put_entry(out, definition, repetition);
    }
    if (write_field_is_optional(field)) definition++;
    if (step + 1 == leaf->n_path) {
        TRY(put_entry(out, definition, repetition));
        TRY(buffer_reserve(&out->values, leaf->stride));
        physical_value(leaf, column, column->offset + row, out->values.data + out->values.size);
        out->values.size += leaf->stride;
        out->n_values++;
        return 0;
    }
    const struct column *child = &column->children[leaf->child[step]];
    int64_t at = column->offset + row;
    if (field->type.kind == TYPE_STRUCT)
        return shred_entry(out, child, step + 1, at, definition, repetition, repeated);
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data;
    if (offsets[at] == offsets[at + 1]) return put_entry(out, definition, repetition);
    for (int32_t i = offsets[at]; i < offsets[at + 1]; i++)
        TRY(shred_entry(out, child, step + 1, i, definition + 1,
                        i == offsets[at] ? repetition : repeated + 1, repeated + 1));
    return 0;
}

int shred_rows(struct shredded *out, const struct column *column, int64_t begin, int64_t n)
{
    if (out->leaf->n_path == 1) return shred_flat(out, column, begin, n);
    for (int64_t i = begin; i < begin + n; i++)
        TRY(shred_entry(out, column, 0, i, 0, 0, 0));
    return 0;
}

int shred_segment(struct shredded *out, const struct row_segment *segment)
{
    return shred_rows(out, &segment->batch->columns[out->leaf->field], segment->begin, segment->n);
}
