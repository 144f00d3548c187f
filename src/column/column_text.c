/*
 * column_text.c: entries of columns as text and as JSON, nested types too (column.h).
 */
#include "base/json.h"
#include "column/column_int.h"

static bool is_nested(const struct type *type)
{
    return type->n_children || type->kind == TYPE_STRUCT;
}

int column_append_text(const struct column *column, int64_t row, struct buffer *out)
{
    struct value value;
    if (column->type->kind == TYPE_NULL || column_is_null(column, row)) return 0;
    if (is_nested(column->type)) return column_append_json(column, row, out);
    column_value(column, row, &value);
    return value_to_text(column->type, &value, out);
}

static int append_scalar(const struct column *column, int64_t row, struct buffer *out)
{
    struct value value;
    column_value(column, row, &value);
    switch (column->type->kind) {
    case TYPE_STRING: return json_append_string(out, value.bytes);
    case TYPE_BOOLEAN:
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_UINT8:
    case TYPE_UINT16:
    case TYPE_UINT32:
    case TYPE_UINT64: return value_to_text(column->type, &value, out);
    case TYPE_FLOAT16:
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        if (__builtin_isfinite(value.real)) return value_to_text(column->type, &value, out);
        break;
    default: break;
    }
    TRY(buffer_append_byte(out, '"')); /* no form of these has anything to escape */
    TRY(value_to_text(column->type, &value, out));
    return buffer_append_byte(out, '"');
}

static int append_object(const struct column *column, int64_t row, struct buffer *out)
{
    TRY(buffer_append_byte(out, '{'));
    for (uint32_t i = 0; i < column->type->n_children; i++) {
        if (i) TRY(buffer_append_byte(out, ','));
        TRY(json_append_string(out, column->type->children[i].name));
        TRY(buffer_append_byte(out, ':'));
        TRY(column_append_json(&column->children[i], column->offset + row, out));
    }
    return buffer_append_byte(out, '}');
}

static int append_map(const struct column *column, int64_t row, struct buffer *out)
{
    const struct column *entries = &column->children[0];
    const int32_t *at = column_offsets(column) + row;
    TRY(buffer_append_byte(out, '{'));
    for (int32_t i = at[0]; i < at[1]; i++) {
        if (i > at[0]) TRY(buffer_append_byte(out, ','));
        TRY(column_append_json(&entries->children[0], entries->offset + i, out));
        TRY(buffer_append_byte(out, ':'));
        TRY(column_append_json(&entries->children[1], entries->offset + i, out));
    }
    return buffer_append_byte(out, '}');
}

static int append_list(const struct column *column, int64_t row, struct buffer *out)
{
    const int32_t *at = column_offsets(column) + row;
    TRY(buffer_append_byte(out, '['));
    for (int32_t i = at[0]; i < at[1]; i++) {
        if (i > at[0]) TRY(buffer_append_byte(out, ','));
        TRY(column_append_json(&column->children[0], i, out));
    }
    return buffer_append_byte(out, ']');
}

int column_append_json(const struct column *column, int64_t row, struct buffer *out)
{
    if (column->type->kind == TYPE_NULL || column_is_null(column, row))
        return buffer_append_text(out, "null");
    switch (column->type->kind) {
    case TYPE_STRUCT: return append_object(column, row, out);
    case TYPE_MAP:
        if (column->type->children[0].type.children[0].type.kind == TYPE_STRING)
            return append_map(column, row, out);
        return append_list(column, row, out);
    case TYPE_LIST: return append_list(column, row, out);
    default: return append_scalar(column, row, out);
    }
}
