/*
 * batch.c: batches: made of columns, counted, sliced, projected, checked, compared, streamed.
 */
#include "base/text.h"
#include "column/column_int.h"

#include <stdlib.h>

static void point_types(struct column *column, const struct type *type)
{
    column->type = type;
    for (uint32_t i = 0; column->children && i < type->n_children; i++)
        point_types(&column->children[i], &type->children[i].type);
    if (column->dictionary) point_types(column->dictionary, type);
}

int batch_new(struct batch **out, const struct schema *schema, struct column *columns,
              int64_t n_rows)
{
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct field *field = &schema->fields[i];
        if (columns[i].length == n_rows && type_equal(columns[i].type, &field->type)) continue;
        for (uint32_t j = 0; j < schema->n_fields; j++)
            column_free(&columns[j]);
        return error_set(GLIS_EINVALID, "column '%.*s' does not fit its batch",
                         SLICE_PRINT(field->name));
    }
    struct batch *batch =
        memory_alloc_zero(sizeof *batch + schema->n_fields * sizeof(struct column));
    batch->references = 1;
    batch->schema = schema_acquire(schema);
    batch->n_rows = n_rows;
    batch->columns = (struct column *)(void *)(batch + 1);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        batch->columns[i] = columns[i];
        point_types(&batch->columns[i], &schema->fields[i].type);
    }
    *out = batch;
    return 0;
}

struct batch *batch_acquire(const struct batch *batch)
{
    struct batch *held = (struct batch *)(uintptr_t)batch;
    atomic_fetch_add_explicit(&held->references, 1, memory_order_relaxed);
    return held;
}

void batch_release(const struct batch *batch)
{
    struct batch *held = (struct batch *)(uintptr_t)batch;
    if (!held || atomic_fetch_sub_explicit(&held->references, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t i = 0; i < held->schema->n_fields; i++)
        column_free(&held->columns[i]);
    schema_release(held->schema);
    free(held);
}

int batch_slice(const struct batch *batch, int64_t begin, int64_t n_rows, struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    uint32_t n = batch->schema->n_fields;
    struct column *columns = ARENA_ARRAY(&arena, struct column, n + 1);
    for (uint32_t i = 0; i < n; i++)
        TRY(column_slice(&columns[i], &batch->columns[i], begin, n_rows));
    return batch_new(out, batch->schema, columns, n_rows);
}

int batch_project(const struct batch *batch, const struct schema *schema, const uint32_t *fields,
                  struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct column *columns = ARENA_ARRAY(&arena, struct column, schema->n_fields + 1);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        TRY(column_share(&columns[i], &batch->columns[fields[i]]));
    return batch_new(out, schema, columns, batch->n_rows);
}

/* ---- checking ---- */

static int fails(const struct field *field, const char *reason)
{
    return error_set(GLIS_EINVALID, "column '%.*s': %s", SLICE_PRINT(field->name), reason);
}

static int validate(const struct field *field, const struct column *column, bool check_utf8);

static int validate_offsets(const struct field *field, const struct column *column, int64_t size)
{
    uint64_t need = ((uint64_t)(column->offset + column->length) + 1) * 4;
    if (column->offsets.size < need) return fails(field, "offsets are missing");
    const int32_t *offsets = column_offsets(column);
    if (offsets[0] < 0) return fails(field, "an offset is negative");
    for (int64_t i = 0; i < column->length; i++)
        if (offsets[i] > offsets[i + 1]) return fails(field, "offsets do not ascend");
    if (offsets[column->length] > size) return fails(field, "an offset is beyond the end");
    return 0;
}

static int validate_texts(const struct field *field, const struct column *column)
{
    const int32_t *offsets = column_offsets(column);
    for (int64_t i = 0; i < column->length; i++) {
        size_t bad;
        struct slice text =
            slice_make(column->values.data + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
        if (!column_is_null(column, i) && !text_is_utf8(text, &bad))
            return fails(field, "text that is not UTF-8");
    }
    return 0;
}

static int validate_nulls(const struct field *field, const struct column *column)
{
    int64_t nulls = column->type->kind == TYPE_NULL ? column->length : 0;
    if (column->validity.data) {
        if (column->validity.size < ((uint64_t)(column->offset + column->length) + 7) / 8)
            return fails(field, "the validity bitmap is too short");
        for (int64_t i = 0; i < column->length; i++)
            nulls += column_is_null(column, i);
    }
    return nulls == column->null_count ? 0 : fails(field, "the count of nulls is wrong");
}

/* Whether a null in it could be against its schema. */
static bool may_lack_values(const struct field *field, const struct column *column)
{
    if (column->dictionary)
        return !field->nullable && (column->null_count || column->dictionary->null_count);
    if (column->null_count && !field->nullable) return true;
    for (uint32_t i = 0; i < column->type->n_children; i++)
        if (may_lack_values(&column->type->children[i], &column->children[i])) return true;
    return false;
}

/* An entry that can be seen is not null unless its field says so. What lies under a null, or
 * beyond the offsets, cannot be seen and may be anything (Arrow's columnar format, "Struct Layout"
 * and "Variable-size List Layout"). */
static int validate_entry(const struct field *field, const struct column *column, int64_t row)
{
    const struct field *fields = column->type->children;
    bool is_null = column->type->kind == TYPE_NULL || column_is_null(column, row);
    if (!is_null && column->dictionary) {
        struct value value;
        column_value(column, row, &value);
        is_null = value.is_null;
    }
    if (is_null) return field->nullable ? 0 : fails(field, "a null where none may be");
    if (column->type->kind == TYPE_STRUCT) {
        for (uint32_t i = 0; i < column->type->n_children; i++)
            TRY_CONTEXT(validate_entry(&fields[i], &column->children[i], column->offset + row),
                        "in '%.*s'", SLICE_PRINT(field->name));
    } else if (column->type->n_children) {
        const int32_t *at = column_offsets(column) + row;
        for (int32_t e = at[0]; e < at[1]; e++)
            TRY_CONTEXT(validate_entry(&fields[0], &column->children[0], e), "in '%.*s'",
                        SLICE_PRINT(field->name));
    }
    return 0;
}

static int validate_values(const struct field *field, const struct column *column)
{
    uint64_t end = (uint64_t)(column->offset + column->length);
    uint64_t need =
        column->type->kind == TYPE_BOOLEAN ? (end + 7) / 8 : end * type_width(column->type);
    return column->values.size < need ? fails(field, "values are missing") : 0;
}

static int validate_children(const struct field *field, const struct column *column, bool utf8)
{
    if (!column->children) return fails(field, "children are missing");
    for (uint32_t i = 0; i < column->type->n_children; i++) {
        const struct column *child = &column->children[i];
        if (column->type->kind == TYPE_STRUCT && child->length < column->offset + column->length)
            return fails(field, "a child is too short");
        TRY_CONTEXT(validate(&column->type->children[i], child, utf8), "in '%.*s'",
                    SLICE_PRINT(field->name));
    }
    return 0;
}

static int validate(const struct field *field, const struct column *column, bool check_utf8)
{
    if (column->length < 0 || column->offset < 0) return fails(field, "a negative length");
    TRY(validate_nulls(field, column));
    if (column->dictionary) {
        const uint32_t *indices =
            (const uint32_t *)(const void *)column->values.data + column->offset;
        if (column->values.size < (uint64_t)(column->offset + column->length) * 4)
            return fails(field, "indices are missing");
        for (int64_t i = 0; i < column->length; i++)
            if (!column_is_null(column, i) && indices[i] >= column->dictionary->length)
                return fails(field, "an index is beyond the dictionary");
        return validate(field, column->dictionary, check_utf8);
    }
    switch (column->type->kind) {
    case TYPE_NULL: return 0;
    case TYPE_STRING:
    case TYPE_BYTES:
        TRY(validate_offsets(field, column, (int64_t)column->values.size));
        return check_utf8 && column->type->kind == TYPE_STRING ? validate_texts(field, column) : 0;
    case TYPE_LIST:
    case TYPE_MAP:
        TRY(validate_children(field, column, check_utf8));
        return validate_offsets(field, column, column->children[0].length);
    case TYPE_STRUCT: return validate_children(field, column, check_utf8);
    default: return validate_values(field, column);
    }
}

int batch_validate(const struct batch *batch, bool check_utf8)
{
    for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
        if (batch->columns[i].length != batch->n_rows)
            return fails(&batch->schema->fields[i], "its length is not the batch's");
        const struct field *field = &batch->schema->fields[i];
        TRY(validate(field, &batch->columns[i], check_utf8));
        bool look = may_lack_values(field, &batch->columns[i]);
        for (int64_t row = 0; look && row < batch->n_rows; row++)
            TRY(validate_entry(field, &batch->columns[i], row));
    }
    return 0;
}

/* ---- comparing ---- */

static bool differ(struct arena *arena, const char **difference, const char *text)
{
    if (arena && difference) *difference = arena_copy_text(arena, slice_from_text(text));
    return false;
}

bool batch_equal(const struct batch *a, const struct batch *b, struct arena *arena,
                 const char **difference)
{
    if (!schema_equal(a->schema, b->schema)) return differ(arena, difference, "other schemas");
    if (a->n_rows != b->n_rows) return differ(arena, difference, "other numbers of rows");
    for (uint32_t f = 0; f < a->schema->n_fields; f++) {
        for (int64_t row = 0; row < a->n_rows; row++) {
            if (column_compare(&a->columns[f], row, &b->columns[f], row) == 0) continue;
            if (arena && difference)
                *difference = arena_printf(arena, "row %lld, column '%.*s'", (long long)row,
                                           SLICE_PRINT(a->schema->fields[f].name));
            return false;
        }
    }
    return true;
}

int column_compare(const struct column *a, int64_t row_a, const struct column *b, int64_t row_b)
{
    bool null_a = column_is_null(a, row_a) || a->type->kind == TYPE_NULL;
    bool null_b = column_is_null(b, row_b) || b->type->kind == TYPE_NULL;
    if (null_a || null_b) return null_a - null_b;
    if (a->type->kind == TYPE_STRUCT) {
        for (uint32_t i = 0; i < a->type->n_children; i++) {
            int c = column_compare(&a->children[i], a->offset + row_a, &b->children[i],
                                   b->offset + row_b);
            if (c) return c;
        }
        return 0;
    }
    if (a->type->kind == TYPE_LIST || a->type->kind == TYPE_MAP) {
        const int32_t *x = column_offsets(a) + row_a, *y = column_offsets(b) + row_b;
        int32_t n = x[1] - x[0], m = y[1] - y[0];
        for (int32_t i = 0; i < n && i < m; i++) {
            int c = column_compare(&a->children[0], x[0] + i, &b->children[0], y[0] + i);
            if (c) return c;
        }
        return (n > m) - (n < m);
    }
    struct value x, y;
    column_value(a, row_a, &x);
    column_value(b, row_b, &y);
    return value_compare(&x, &y);
}

int batch_compare_rows(const struct batch *a, int64_t row_a, const struct batch *b, int64_t row_b,
                       uint32_t first_field, uint32_t n_fields)
{
    for (uint32_t f = first_field; f < first_field + n_fields; f++) {
        int c = column_compare(&a->columns[f], row_a, &b->columns[f], row_b);
        if (c) return c;
    }
    return 0;
}

/* ---- sizes ---- */

static uint64_t column_bytes(const struct column *column)
{
    uint64_t length = (uint64_t)column->length;
    uint64_t bytes = column->validity.data ? (length + 7) / 8 : 0;
    if (column->dictionary) return bytes + length * 4 + column_bytes(column->dictionary);
    if (type_has_offsets(column->type)) {
        const int32_t *offsets = column_offsets(column);
        int32_t first = offsets[0], last = offsets[column->length];
        bytes += (length + 1) * 4;
        if (!column->type->n_children) return bytes + (uint64_t)(last - first);
        struct column part = column->children[0];
        part.offset += first;
        part.length = last - first;
        return bytes + column_bytes(&part);
    }
    for (uint32_t i = 0; column->children && i < column->type->n_children; i++) {
        struct column part = column->children[i];
        part.offset += column->offset;
        part.length = column->length;
        bytes += column_bytes(&part);
    }
    if (column->type->kind == TYPE_BOOLEAN) return bytes + (length + 7) / 8;
    return bytes + length * type_width(column->type);
}

uint64_t batch_bytes(const struct batch *batch)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < batch->schema->n_fields; i++)
        bytes += column_bytes(&batch->columns[i]);
    return bytes;
}

/* ---- streams of what is in memory ---- */

struct memory_stream {
    struct batch_stream stream;
    uint32_t n, next;
    struct batch *batches[];
};

static int memory_next(struct batch_stream *base, struct batch **out)
{
    struct memory_stream *stream = (struct memory_stream *)base;
    *out = stream->next < stream->n ? batch_acquire(stream->batches[stream->next++]) : NULL;
    return 0;
}

static void memory_close(struct batch_stream *base)
{
    struct memory_stream *stream = (struct memory_stream *)base;
    for (uint32_t i = 0; i < stream->n; i++)
        batch_release(stream->batches[i]);
    schema_release(stream->stream.schema);
    free(stream);
}

int batch_stream_of(const struct schema *schema, struct batch *const *batches, uint32_t n_batches,
                    struct batch_stream **out)
{
    struct memory_stream *stream =
        memory_alloc_zero(sizeof *stream + n_batches * sizeof stream->batches[0]);
    stream->stream = (struct batch_stream){schema_acquire(schema), memory_next, memory_close};
    stream->n = n_batches;
    for (uint32_t i = 0; i < n_batches; i++)
        stream->batches[i] = batch_acquire(batches[i]);
    *out = &stream->stream;
    return 0;
}
