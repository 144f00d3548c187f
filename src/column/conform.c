/*
 * conform.c: rows of any schema as rows of a table: columns by name, values without loss
 * (column.h, "bringing rows into a table's schema").
 *
 * Each source column is read through a converter that follows both types side by side. Rows are
 * appended to a builder one by one, since any of their values may make the row a bad one, which is
 * then dropped whole. Columns of equal type that cannot hold a bad value are shared when no row of
 * the batch was dropped.
 */
#include "base/text.h"
#include "column/column_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES = 256, REASON_BYTES = 256 };

struct conversion {
    const struct batch *batch;
    const struct schema *schema;
    const struct conform_options *options;
    int *sources; /* of each field of the table: the batch's column, or -1 */
    struct budget *budget;
    char path[PATH_BYTES], reason[REASON_BYTES];
};

/* ---- which types can be brought where ---- */

static bool is_integer(enum type_kind kind)
{
    return kind >= TYPE_INT8 && kind <= TYPE_UINT64;
}

static bool scalar_fits(const struct type *from, const struct type *to)
{
    enum type_kind kind = from->kind;
    bool is_real = kind == TYPE_FLOAT16 || kind == TYPE_FLOAT || kind == TYPE_DOUBLE;
    switch (to->kind) {
    case TYPE_BOOLEAN: return kind == TYPE_BOOLEAN;
    case TYPE_INT32:
    case TYPE_INT64: return is_integer(kind);
    case TYPE_FLOAT:
    case TYPE_DOUBLE: return is_real || is_integer(kind);
    case TYPE_DATE: return kind == TYPE_DATE;
    case TYPE_TIMESTAMP: return kind == TYPE_TIMESTAMP;
    case TYPE_DECIMAL: return kind == TYPE_DECIMAL || is_integer(kind);
    case TYPE_STRING:
    case TYPE_BYTES: return kind == TYPE_STRING || kind == TYPE_BYTES || kind == TYPE_FIXED_BYTES;
    default: return false;
    }
}

static int struct_source(const struct type *from, struct slice name)
{
    for (uint32_t i = 0; i < from->n_children; i++)
        if (slice_equal(from->children[i].name, name)) return (int)i;
    return -1;
}

static bool type_fits(const struct type *from, const struct type *to)
{
    if (from->kind == TYPE_NULL) return true;
    if (to->kind == TYPE_LIST)
        return from->kind == TYPE_LIST && type_fits(&from->children[0].type, &to->children[0].type);
    if (to->kind == TYPE_MAP)
        return from->kind == TYPE_MAP &&
               type_fits(&from->children[0].type.children[0].type,
                         &to->children[0].type.children[0].type) &&
               type_fits(&from->children[0].type.children[1].type,
                         &to->children[0].type.children[1].type);
    if (to->kind != TYPE_STRUCT) return scalar_fits(from, to);
    if (from->kind != TYPE_STRUCT) return false;
    for (uint32_t i = 0; i < to->n_children; i++) {
        int source = struct_source(from, to->children[i].name);
        if (source < 0 ? !to->children[i].nullable
                       : !type_fits(&from->children[source].type, &to->children[i].type))
            return false;
    }
    return true;
}

int schema_check_conform(const struct schema *from, const struct schema *schema,
                         const struct conform_options *options)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct field *field = &schema->fields[i];
        int source = schema_find(from, field->name);
        if (source < 0 && !field->nullable)
            return error_set(GLIS_EDATA, "column '%.*s' is missing", SLICE_PRINT(field->name));
        if (source >= 0 && !type_fits(&from->fields[source].type, &field->type))
            return error_set(GLIS_EDATA, "column '%.*s' has the type %s; the table has %s",
                             SLICE_PRINT(field->name),
                             type_name(&from->fields[source].type, &arena),
                             type_name(&field->type, &arena));
    }
    if (options && options->ignore_extra_columns) return 0;
    for (uint32_t i = 0; i < from->n_fields; i++)
        if (schema_find(schema, from->fields[i].name) < 0) {
            char hint[SCHEMA_HINT_BYTES];
            return error_set(GLIS_EDATA,
                             "the table has no column '%.*s'%s (--ignore-extra-columns leaves "
                             "such columns out)",
                             SLICE_PRINT(from->fields[i].name),
                             schema_hint(schema, from->fields[i].name, hint));
        }
    return 0;
}

/* ---- single values; 1: the value does not fit and the reason is set ---- */

static int misfit(struct conversion *conversion, const char *reason)
{
    snprintf(conversion->reason, REASON_BYTES, "%s", reason);
    return 1;
}

static int convert_real(struct conversion *conversion, enum type_kind from, const struct type *to,
                        const struct value *in, double *out)
{
    if (is_integer(from)) {
        bool wide = from == TYPE_UINT64;
        *out = wide ? (double)(uint64_t)in->integer : (double)in->integer;
        if (*out >= 18446744073709551616.0 || (!wide && *out >= 9223372036854775808.0) ||
            (wide ? (uint64_t)*out != (uint64_t)in->integer : (int64_t)*out != in->integer))
            return misfit(conversion, "a whole number that has no exact real");
    } else {
        *out = in->real;
    }
    if (to->kind == TYPE_FLOAT && !isnan(*out) && (double)(float)*out != *out)
        return misfit(conversion, "a number that has no exact 32-bit real");
    return 0;
}

static int convert_timestamp(struct conversion *conversion, const struct type *from, int64_t in,
                             int64_t *out)
{
    *out = in;
    if (from->unit == UNIT_MILLI && __builtin_mul_overflow(in, 1000, out))
        return misfit(conversion, "a timestamp out of range");
    if (from->unit == UNIT_NANO) {
        if (in % 1000) return misfit(conversion, "a timestamp of no whole microseconds");
        *out = in / 1000;
    }
    return 0;
}

static int convert_decimal(struct conversion *conversion, const struct type *from,
                           const struct type *to, const struct value *in, int128 *out)
{
    int128 number = from->kind == TYPE_DECIMAL  ? in->decimal
                    : from->kind == TYPE_UINT64 ? (int128)(uint64_t)in->integer
                                                : in->integer;
    int128 limit = decimal_limit(to->precision), tenth = limit / 10;
    int scale = from->kind == TYPE_DECIMAL ? from->scale : 0;
    for (; scale > to->scale; scale--) {
        if (number % 10)
            return misfit(conversion, "a decimal with too many digits after the point");
        number /= 10;
    }
    for (; scale < to->scale; scale++) {
        if (number && (number >= tenth || number <= -tenth))
            return misfit(conversion, "a decimal with too many digits");
        number *= 10;
    }
    if (number >= limit || number <= -limit)
        return misfit(conversion, "a decimal with too many digits");
    *out = number;
    return 0;
}

static int convert_scalar(struct conversion *conversion, const struct type *from,
                          const struct type *to, const struct value *in, struct value *out)
{
    size_t bad;
    *out = (struct value){.kind = to->kind};
    switch (to->kind) {
    case TYPE_INT32:
        out->integer = in->integer;
        if (in->integer > INT32_MAX || in->integer < INT32_MIN)
            return misfit(conversion, "a number beyond 32 bits");
        return 0;
    case TYPE_INT64:
        out->integer = in->integer;
        if (from->kind == TYPE_UINT64 && in->integer < 0)
            return misfit(conversion, "a number beyond 63 bits");
        return 0;
    case TYPE_FLOAT:
    case TYPE_DOUBLE: return convert_real(conversion, from->kind, to, in, &out->real);
    case TYPE_TIMESTAMP: return convert_timestamp(conversion, from, in->integer, &out->integer);
    case TYPE_DECIMAL: return convert_decimal(conversion, from, to, in, &out->decimal);
    case TYPE_STRING:
        out->bytes = in->bytes;
        if (from->kind != TYPE_STRING && !text_is_utf8(in->bytes, &bad))
            return misfit(conversion, "bytes that are not UTF-8");
        return 0;
    case TYPE_BYTES: out->bytes = in->bytes; return 0;
    default: out->integer = in->integer; return 0;
    }
}

/* ---- entries; 1: does not fit, negative: an error ---- */

static int append_entry(struct conversion *conversion, struct column_builder *builder,
                        const struct field *field, const struct column *column, int64_t row);

static int append_null(struct conversion *conversion, struct column_builder *builder,
                       const struct field *field)
{
    if (!field->nullable) return misfit(conversion, "null where none may be");
    return column_builder_append_null(builder);
}

static void go_down(struct conversion *conversion, struct slice name, size_t *length)
{
    *length = strlen(conversion->path);
    snprintf(conversion->path + *length, PATH_BYTES - *length, "%s%.*s", *length ? "." : "",
             SLICE_PRINT(name));
}

/* One child; the path stays with a value that does not fit. */
static int append_child(struct conversion *conversion, struct column_builder *builder,
                        const struct field *field, const struct column *column, int64_t row)
{
    size_t length;
    go_down(conversion, field->name, &length);
    int code = column ? append_entry(conversion, builder, field, column, row)
                      : append_null(conversion, builder, field);
    if (code == 0) conversion->path[length] = 0;
    return code;
}

static int append_struct(struct conversion *conversion, struct column_builder *builder,
                         const struct field *field, const struct column *column, int64_t row)
{
    for (uint32_t i = 0; i < field->type.n_children; i++) {
        const struct field *child = &field->type.children[i];
        int source = struct_source(column->type, child->name);
        int code =
            append_child(conversion, column_builder_child(builder, i), child,
                         source < 0 ? NULL : &column->children[source], column->offset + row);
        if (code) return code;
    }
    return column_builder_end(builder);
}

static int append_elements(struct conversion *conversion, struct column_builder *builder,
                           const struct field *field, const struct column *column, int64_t row)
{
    const struct field *child = &field->type.children[0];
    const int32_t *at = column_offsets(column) + row;
    for (int32_t e = at[0]; e < at[1]; e++) {
        struct column_builder *element = column_builder_child(builder, 0);
        if (field->type.kind == TYPE_LIST) {
            int code = append_child(conversion, element, child, &column->children[0], e);
            if (code) return code;
            continue;
        }
        const struct column *entries = &column->children[0];
        for (uint32_t part = 0; part < 2; part++) { /* a map's parts go by place, not by name */
            int code = append_child(conversion, column_builder_child(element, part),
                                    &child->type.children[part], &entries->children[part],
                                    entries->offset + e);
            if (code) return code;
        }
        TRY(column_builder_end(element));
    }
    return column_builder_end(builder);
}

static int append_entry(struct conversion *conversion, struct column_builder *builder,
                        const struct field *field, const struct column *column, int64_t row)
{
    struct value in, out;
    if (column->type->kind == TYPE_NULL || column_is_null(column, row))
        return append_null(conversion, builder, field);
    if (field->type.kind == TYPE_STRUCT)
        return append_struct(conversion, builder, field, column, row);
    if (field->type.n_children) return append_elements(conversion, builder, field, column, row);
    column_value(column, row, &in);
    if (in.is_null) return append_null(conversion, builder, field);
    int code = convert_scalar(conversion, column->type, &field->type, &in, &out);
    return code ? code : column_builder_append_value(builder, &out);
}

/* A key: neither NaN nor -0. *size: bytes of the encoded key so far. */
static int append_key(struct conversion *conversion, struct column_builder *builder,
                      const struct field *field, const struct column *column, int64_t row,
                      size_t *size)
{
    struct value in, out;
    column_value(column, row, &in);
    if (in.is_null) return misfit(conversion, "a key cannot be null");
    int code = convert_scalar(conversion, column->type, &field->type, &in, &out);
    if (code) return code;
    *size += key_fixed_width(&field->type);
    if (field->type.kind == TYPE_FLOAT || field->type.kind == TYPE_DOUBLE) {
        if (isnan(out.real)) return misfit(conversion, "a key cannot be NaN");
        if (out.real == 0) out.real = 0;
    } else if (field->type.kind == TYPE_STRING || field->type.kind == TYPE_BYTES) {
        *size += out.bytes.size + 2;
        for (size_t i = 0; i < out.bytes.size; i++)
            *size += out.bytes.data[i] == 0;
    }
    if (*size > KEY_BYTES_MAX) return misfit(conversion, "a key of more than 32 KiB");
    return column_builder_append_value(builder, &out);
}

/* ---- map keys ---- */

static int compare_values(const void *a, const void *b)
{
    return value_compare(a, b);
}

static bool keys_repeat(const struct column *keys, int64_t begin, int64_t end)
{
    if (end - begin < 2) return false;
    defer_free struct value *values = memory_alloc((size_t)(end - begin) * sizeof *values);
    bool repeat = false;
    for (int64_t i = begin; i < end; i++)
        column_value(keys, i, &values[i - begin]);
    qsort(values, (size_t)(end - begin), sizeof *values, compare_values);
    for (int64_t i = 1; i < end - begin && !repeat; i++)
        repeat = value_compare(&values[i - 1], &values[i]) == 0;
    return repeat;
}

static bool has_maps(const struct type *type)
{
    for (uint32_t i = 0; i < type->n_children; i++)
        if (has_maps(&type->children[i].type)) return true;
    return type->kind == TYPE_MAP;
}

/* Whether a map in an entry has a key twice. */
static bool entry_repeats_keys(const struct column *column, int64_t row)
{
    const struct type *type = column->type;
    if (!has_maps(type) || column_is_null(column, row)) return false;
    if (type->kind == TYPE_STRUCT) {
        for (uint32_t i = 0; i < type->n_children; i++)
            if (entry_repeats_keys(&column->children[i], column->offset + row)) return true;
        return false;
    }
    const int32_t *offsets = column_offsets(column);
    const struct column *child = &column->children[0];
    bool is_map = type->kind == TYPE_MAP;
    if (is_map && keys_repeat(&child->children[0], child->offset + offsets[row],
                              child->offset + offsets[row + 1]))
        return true;
    for (int64_t i = offsets[row]; i < offsets[row + 1]; i++)
        if (is_map ? entry_repeats_keys(&child->children[1], child->offset + i)
                   : entry_repeats_keys(child, i))
            return true;
    return false;
}

/* Whether the keys of maps in a field must be looked at. */
static bool checks_keys(const struct conversion *conversion, uint32_t field)
{
    const struct conform_options *options = conversion->options;
    return options && options->unique_map_keys &&
           !(options->joined_maps && options->joined_maps[field]) &&
           has_maps(&conversion->schema->fields[field].type);
}

/* ---- rows ---- */

static int append_row(struct conversion *conversion, struct batch_builder *builder, int64_t row)
{
    size_t key_size = 0;
    for (uint32_t f = 0; f < conversion->schema->n_fields; f++) {
        const struct field *field = &conversion->schema->fields[f];
        struct column_builder *column = batch_builder_column(builder, f);
        int source = conversion->sources[f], code;
        snprintf(conversion->path, PATH_BYTES, "%.*s", SLICE_PRINT(field->name));
        if (source < 0)
            code = append_null(conversion, column, field);
        else if (checks_keys(conversion, f) &&
                 entry_repeats_keys(&conversion->batch->columns[source], row))
            code = misfit(conversion, "a map key that comes twice");
        else if (f < schema_key_count(conversion->schema))
            code = append_key(conversion, column, field, &conversion->batch->columns[source], row,
                              &key_size);
        else
            code =
                append_entry(conversion, column, field, &conversion->batch->columns[source], row);
        if (code) return code;
    }
    return batch_builder_end_row(builder);
}

static int report(struct conversion *conversion, int64_t row)
{
    struct bad_row bad = {row, conversion->path, conversion->reason};
    const struct conform_options *options = conversion->options;
    if (options && options->bad_row) return options->bad_row(options->bad_row_state, &bad);
    return error_set(GLIS_EDATA, "row %lld, column '%s': %s", (long long)row, conversion->path,
                     conversion->reason);
}

/* Whether a decimal may be hidden in it whose digits nobody has counted. */
static bool has_decimals(const struct type *type)
{
    for (uint32_t i = 0; i < type->n_children; i++)
        if (has_decimals(&type->children[i].type)) return true;
    return type->kind == TYPE_DECIMAL;
}

static bool digits_fit(const struct column *column)
{
    int128 limit = decimal_limit(column->type->precision);
    for (int64_t row = 0; row < column->length; row++) {
        struct value value;
        column_value(column, row, &value);
        if (!value.is_null && (value.decimal >= limit || value.decimal <= -limit)) return false;
    }
    return true;
}

/* Whether every value of a column fits as it is. */
static bool fits_as_it_is(const struct conversion *conversion, uint32_t f)
{
    const struct field *field = &conversion->schema->fields[f];
    int source = conversion->sources[f];
    if (source < 0) return false;
    const struct column *column = &conversion->batch->columns[source];
    bool key = f < schema_key_count(conversion->schema);
    bool real = field->type.kind == TYPE_FLOAT || field->type.kind == TYPE_DOUBLE;
    if (column->dictionary || !type_equal(column->type, &field->type)) return false;
    if (column->null_count && !field->nullable) return false;
    if (has_decimals(&field->type) && (field->type.n_children || !digits_fit(column))) return false;
    for (int64_t row = 0; row < column->length && checks_keys(conversion, f); row++)
        if (entry_repeats_keys(column, row)) return false;
    return !(key && (real || type_has_offsets(&field->type)));
}

/* Text keys that are all short need no row-by-row look either. */
static bool short_key(const struct conversion *conversion, uint32_t f)
{
    const struct field *field = &conversion->schema->fields[f];
    int source = conversion->sources[f];
    if (source < 0 || f >= schema_key_count(conversion->schema)) return false;
    const struct column *column = &conversion->batch->columns[source];
    if (column->dictionary || !type_equal(column->type, &field->type) || column->null_count ||
        field->type.n_children || !type_has_offsets(&field->type))
        return false;
    const int32_t *offsets = column_offsets(column);
    int32_t most = KEY_BYTES_MAX / 4 / (int32_t)schema_key_count(conversion->schema);
    for (int64_t i = 0; i < column->length; i++)
        if (offsets[i + 1] - offsets[i] > most) return false;
    return true;
}

/* All columns shared or null: nothing has to be looked at row by row. */
static int conform_whole(struct conversion *conversion, bool *done, struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct schema *schema = conversion->schema;
    struct column *columns = ARENA_ARRAY(&arena, struct column, schema->n_fields + 1);
    *done = true;
    for (uint32_t f = 0; f < schema->n_fields && *done; f++)
        *done = fits_as_it_is(conversion, f) || short_key(conversion, f) ||
                (conversion->sources[f] < 0 && schema->fields[f].nullable);
    if (!*done) return 0;
    for (uint32_t f = 0; f < schema->n_fields; f++) {
        int source = conversion->sources[f];
        int code = source < 0 ? column_new_null(&columns[f], &schema->fields[f].type,
                                                conversion->batch->n_rows, conversion->budget)
                              : column_share(&columns[f], &conversion->batch->columns[source]);
        if (code == 0) continue;
        for (uint32_t g = 0; g < f; g++)
            column_free(&columns[g]);
        return code;
    }
    return batch_new(out, schema, columns, conversion->batch->n_rows);
}

static int conform_rows(struct conversion *conversion, struct batch_builder *builder)
{
    for (int64_t row = 0; row < conversion->batch->n_rows; row++) {
        int code = append_row(conversion, builder, row);
        TRY(code);
        if (code == 0) continue;
        batch_builder_drop_row(builder);
        TRY(report(conversion, row));
    }
    return 0;
}

int batch_conform(const struct batch *batch, const struct schema *schema,
                  const struct conform_options *options, struct budget *budget, struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct conversion conversion = {batch, schema, options, NULL, budget, "", ""};
    struct batch_builder *builder;
    bool done;
    TRY(schema_check_conform(batch->schema, schema, options));
    conversion.sources = ARENA_ARRAY(&arena, int, schema->n_fields + 1);
    for (uint32_t f = 0; f < schema->n_fields; f++)
        conversion.sources[f] = schema_find(batch->schema, schema->fields[f].name);
    TRY(conform_whole(&conversion, &done, out));
    if (done) return 0;
    TRY(batch_builder_new(&builder, schema, budget));
    int code = conform_rows(&conversion, builder);
    if (code == 0) code = batch_builder_finish(builder, out);
    batch_builder_free(builder);
    return code;
}
