/*
 * builder.c: columns built by appending.
 *
 * A builder is a tree like the type's. Buffers grow by half; the bitmap of validity is only made
 * once there is a null. The end of a nested entry is remembered as the children's length then, so
 * an entry that was not ended can be dropped by truncating the children.
 */
#include "column/column_int.h"

#include <stdlib.h>

struct column_builder {
    const struct field *field;
    struct budget *budget;
    int64_t length, nulls;
    struct block *validity, *offsets, *values;
    uint64_t values_size; /* bytes in use */
    struct column_builder *children;
};

struct batch_builder {
    struct schema *schema;
    struct budget *budget;
    int64_t n_rows;
    struct column_builder *columns;
};

static void init(struct column_builder *builder, const struct field *field, struct budget *budget)
{
    *builder = (struct column_builder){.field = field, .budget = budget};
    if (!field->type.n_children) return;
    builder->children = memory_alloc_zero(field->type.n_children * sizeof *builder);
    for (uint32_t i = 0; i < field->type.n_children; i++)
        init(&builder->children[i], &field->type.children[i], budget);
}

static void release(struct column_builder *builder)
{
    block_release(builder->validity);
    block_release(builder->offsets);
    block_release(builder->values);
    for (uint32_t i = 0; builder->children && i < builder->field->type.n_children; i++)
        release(&builder->children[i]);
    free(builder->children);
}

int64_t column_builder_length(const struct column_builder *builder)
{
    return builder->length;
}

struct column_builder *column_builder_child(struct column_builder *builder, uint32_t child)
{
    ASSERT(child < builder->field->type.n_children);
    return &builder->children[child];
}

const struct type *column_builder_type(const struct column_builder *builder)
{
    return &builder->field->type;
}

static int room(struct column_builder *builder, struct block **block, uint64_t need)
{
    if (!*block) return block_new(block, builder->budget, need < 256 ? 256 : need);
    if ((*block)->size >= need) return 0;
    return block_resize(block, need + need / 2);
}

/* Room for n more entries in the bitmap (if there is one) and the offsets. */
static int entry_room(struct column_builder *builder, int64_t n)
{
    uint64_t length = (uint64_t)builder->length + (uint64_t)n;
    if (builder->validity) TRY(room(builder, &builder->validity, length / 8 + 1));
    if (type_has_offsets(&builder->field->type)) {
        bool first = !builder->offsets;
        TRY(room(builder, &builder->offsets, (length + 1) * 4));
        if (first) *(int32_t *)(void *)builder->offsets->data = 0;
    }
    if (builder->field->type.kind == TYPE_BOOLEAN)
        TRY(room(builder, &builder->values, length / 8 + 1));
    return 0;
}

static void mark(struct column_builder *builder, bool valid)
{
    if (builder->validity) bit_put(builder->validity->data, builder->length, valid);
}

static int64_t child_length(const struct column_builder *builder)
{
    return builder->children ? builder->children[0].length : 0;
}

static int32_t last_offset(const struct column_builder *builder)
{
    return ((const int32_t *)(const void *)builder->offsets->data)[builder->length];
}

static int put_offset(struct column_builder *builder, uint64_t end)
{
    if (end > INT32_MAX)
        return error_set(GLIS_ELIMIT, "column '%.*s' passes 2 GiB in one batch",
                         SLICE_PRINT(builder->field->name));
    ((int32_t *)(void *)builder->offsets->data)[builder->length + 1] = (int32_t)end;
    return 0;
}

/* One valid entry of fixed width. */
static int append_raw(struct column_builder *builder, const void *bytes, unsigned width)
{
    TRY(entry_room(builder, 1));
    TRY(room(builder, &builder->values, builder->values_size + width));
    memcpy(builder->values->data + builder->values_size, bytes, width);
    mark(builder, true);
    builder->values_size += width;
    builder->length++;
    return 0;
}

int column_builder_append_default(struct column_builder *builder)
{
    static const uint8_t zeros[32];
    const struct type *type = &builder->field->type;
    unsigned width = type_width(type);
    TRY(entry_room(builder, 1));
    if (width > 32) {
        TRY(room(builder, &builder->values, builder->values_size + width));
        memset(builder->values->data + builder->values_size, 0, width);
        builder->values_size += width;
    } else if (width) {
        return append_raw(builder, zeros, width);
    } else if (type->kind == TYPE_BOOLEAN) {
        bit_put(builder->values->data, builder->length, false);
    } else if (type_has_offsets(type)) {
        TRY(put_offset(builder, (uint64_t)last_offset(builder)));
    } else if (type->kind == TYPE_STRUCT) {
        for (uint32_t i = 0; i < type->n_children; i++) {
            if (builder->children[i].length > builder->length) continue;
            int code = column_builder_append_default(&builder->children[i]);
            if (code == 0) continue;
            column_builder_truncate(builder, builder->length); /* the members already made */
            return code;
        }
    }
    mark(builder, true);
    builder->length++;
    return 0;
}

int column_builder_append_null(struct column_builder *builder)
{
    if (!builder->field->nullable)
        return error_set(GLIS_EDATA, "null in '%.*s', which is not nullable",
                         SLICE_PRINT(builder->field->name));
    if (!builder->validity) {
        uint64_t bytes = (uint64_t)builder->length / 8 + 1;
        TRY(room(builder, &builder->validity, bytes));
        memset(builder->validity->data, 0xff, bytes);
    }
    TRY(column_builder_append_default(builder));
    bit_put(builder->validity->data, builder->length - 1, false);
    builder->nulls++;
    return 0;
}

static int does_not_fit(const struct column_builder *builder)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    return error_set(GLIS_EDATA, "a value that does not fit %s",
                     type_name(&builder->field->type, &arena));
}

static bool fits(enum type_kind kind, unsigned width, int64_t value)
{
    bool is_unsigned = kind >= TYPE_UINT8 && kind <= TYPE_UINT64;
    if (width == 8) return true;
    int64_t max = (int64_t)((UINT64_C(1) << (8 * width - !is_unsigned)) - 1);
    return value <= max && value >= (is_unsigned ? 0 : -max - 1);
}

int column_builder_append_integer(struct column_builder *builder, int64_t value)
{
    const struct type *type = &builder->field->type;
    if (type->kind == TYPE_BOOLEAN) {
        if (value != 0 && value != 1) return does_not_fit(builder);
        TRY(entry_room(builder, 1));
        bit_put(builder->values->data, builder->length, value);
        mark(builder, true);
        builder->length++;
        return 0;
    }
    unsigned width = type_width(type);
    bool integral = (type->kind >= TYPE_INT8 && type->kind <= TYPE_UINT64) ||
                    (type->kind >= TYPE_DATE && type->kind <= TYPE_TIMESTAMP);
    if (!integral || !fits(type->kind, width, value)) return does_not_fit(builder);
    return append_raw(builder, &value, width);
}

int column_builder_append_real(struct column_builder *builder, double value)
{
    float narrow = (float)value;
    if (builder->field->type.kind == TYPE_FLOAT) return append_raw(builder, &narrow, 4);
    if (builder->field->type.kind != TYPE_DOUBLE) return does_not_fit(builder);
    return append_raw(builder, &value, 8);
}

int column_builder_append_decimal(struct column_builder *builder, int128 unscaled)
{
    int128 limit = 1;
    if (builder->field->type.kind != TYPE_DECIMAL) return does_not_fit(builder);
    for (unsigned i = 0; i < builder->field->type.precision; i++)
        limit *= 10;
    if (unscaled >= limit || unscaled <= -limit) return does_not_fit(builder);
    return append_raw(builder, &unscaled, 16);
}

int column_builder_append_bytes(struct column_builder *builder, struct slice bytes)
{
    const struct type *type = &builder->field->type;
    if (type->kind != TYPE_STRING && type->kind != TYPE_BYTES) {
        if (bytes.size != type_width(type) || !bytes.size) return does_not_fit(builder);
        return append_raw(builder, bytes.data, (unsigned)bytes.size);
    }
    TRY(entry_room(builder, 1));
    TRY(put_offset(builder, builder->values_size + bytes.size));
    TRY(room(builder, &builder->values, builder->values_size + bytes.size));
    if (bytes.size) memcpy(builder->values->data + builder->values_size, bytes.data, bytes.size);
    mark(builder, true);
    builder->values_size += bytes.size;
    builder->length++;
    return 0;
}

int column_builder_append_value(struct column_builder *builder, const struct value *value)
{
    if (value->is_null) return column_builder_append_null(builder);
    switch (builder->field->type.kind) {
    case TYPE_FLOAT:
    case TYPE_DOUBLE: return column_builder_append_real(builder, value->real);
    case TYPE_DECIMAL: return column_builder_append_decimal(builder, value->decimal);
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_FIXED_BYTES:
    case TYPE_DECIMAL256:
    case TYPE_INTERVAL: return column_builder_append_bytes(builder, value->bytes);
    default: return column_builder_append_integer(builder, value->integer);
    }
}

int column_builder_append_fixed(struct column_builder *builder, const void *values, int64_t n)
{
    uint64_t bytes = (uint64_t)n * type_width(&builder->field->type);
    TRY(entry_room(builder, n));
    TRY(room(builder, &builder->values, builder->values_size + bytes));
    if (bytes) memcpy(builder->values->data + builder->values_size, values, bytes);
    builder->values_size += bytes;
    for (int64_t i = 0; builder->validity && i < n; i++)
        bit_put(builder->validity->data, builder->length + i, true);
    builder->length += n;
    return 0;
}

static int64_t index_at(const struct column *column, int64_t row)
{
    return ((const uint32_t *)(const void *)column->values.data)[column->offset + row];
}

static int append_entry(struct column_builder *builder, const struct column *column, int64_t row)
{
    const struct type *type = &builder->field->type;
    if (column_is_null(column, row)) return column_builder_append_null(builder);
    if (column->dictionary && type->kind == TYPE_FLOAT16)
        return append_entry(builder, column->dictionary, index_at(column, row));
    if (!type->n_children) {
        struct value value;
        if (type->kind == TYPE_FLOAT16) {
            const uint8_t *at = column->values.data + 2 * (column->offset + row);
            return column_builder_append_bytes(builder, slice_make(at, 2));
        }
        column_value(column, row, &value);
        return column_builder_append_value(builder, &value);
    }
    if (type->kind == TYPE_STRUCT) {
        for (uint32_t i = 0; i < type->n_children; i++)
            TRY(append_entry(&builder->children[i], &column->children[i], column->offset + row));
    } else {
        const int32_t *offsets = column_offsets(column) + row;
        TRY(column_builder_append_column(&builder->children[0], &column->children[0], offsets[0],
                                         offsets[1] - offsets[0]));
    }
    return column_builder_end(builder);
}

int column_builder_append_column(struct column_builder *builder, const struct column *column,
                                 int64_t begin, int64_t n)
{
    unsigned width = column->dictionary ? 0 : type_width(column->type);
    int64_t length = builder->length;
    if (width && !column->null_count)
        return column_builder_append_fixed(
            builder, column->values.data + (uint64_t)(column->offset + begin) * width, n);
    for (int64_t i = 0; i < n; i++) {
        int code = append_entry(builder, column, begin + i);
        if (code == 0) continue;
        column_builder_truncate(builder, length);
        return code;
    }
    return 0;
}

int column_builder_end(struct column_builder *builder)
{
    const struct type *type = &builder->field->type;
    TRY(entry_room(builder, 1));
    if (type->kind == TYPE_STRUCT) {
        for (uint32_t i = 0; i < type->n_children; i++)
            ASSERT(builder->children[i].length == builder->length + 1);
    } else {
        ASSERT(type->kind == TYPE_LIST || type->kind == TYPE_MAP);
        TRY(put_offset(builder, (uint64_t)child_length(builder)));
    }
    mark(builder, true);
    builder->length++;
    return 0;
}

void column_builder_truncate(struct column_builder *builder, int64_t length)
{
    const struct type *type = &builder->field->type;
    ASSERT(length <= builder->length);
    for (int64_t i = length; builder->validity && i < builder->length; i++)
        builder->nulls -= !bit_get(builder->validity->data, i);
    builder->length = length;
    builder->values_size = type->kind == TYPE_BOOLEAN ? 0 : (uint64_t)length * type_width(type);
    if (type_has_offsets(type)) {
        int32_t end = builder->offsets ? last_offset(builder) : 0;
        if (type->n_children)
            column_builder_truncate(&builder->children[0], end);
        else
            builder->values_size = (uint64_t)end;
    } else {
        for (uint32_t i = 0; i < type->n_children; i++)
            column_builder_truncate(&builder->children[i], length);
    }
}

/* ---- batches ---- */

int batch_builder_new(struct batch_builder **out, const struct schema *schema,
                      struct budget *budget)
{
    struct batch_builder *builder = memory_alloc_zero(sizeof *builder);
    builder->schema = schema_acquire(schema);
    builder->budget = budget;
    builder->columns = memory_alloc_zero((schema->n_fields + 1) * sizeof *builder->columns);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        init(&builder->columns[i], &builder->schema->fields[i], budget);
    *out = builder;
    return 0;
}

void batch_builder_free(struct batch_builder *builder)
{
    if (!builder) return;
    for (uint32_t i = 0; i < builder->schema->n_fields; i++)
        release(&builder->columns[i]);
    free(builder->columns);
    schema_release(builder->schema);
    free(builder);
}

struct column_builder *batch_builder_column(struct batch_builder *builder, uint32_t field)
{
    ASSERT(field < builder->schema->n_fields);
    return &builder->columns[field];
}

void batch_builder_drop_row(struct batch_builder *builder)
{
    for (uint32_t i = 0; i < builder->schema->n_fields; i++)
        column_builder_truncate(&builder->columns[i], builder->n_rows);
}

int batch_builder_end_row(struct batch_builder *builder)
{
    for (uint32_t i = 0; i < builder->schema->n_fields; i++) {
        struct column_builder *column = &builder->columns[i];
        ASSERT(column->length <= builder->n_rows + 1);
        if (column->length == builder->n_rows + 1) continue;
        int code = column_builder_append_null(column);
        if (code < 0) {
            batch_builder_drop_row(builder);
            return code;
        }
    }
    builder->n_rows++;
    return 0;
}

int64_t batch_builder_rows(const struct batch_builder *builder)
{
    return builder->n_rows;
}

static uint64_t used_bytes(const struct column_builder *builder)
{
    uint64_t bytes = builder->values_size + (builder->validity ? (uint64_t)builder->length / 8 : 0);
    if (type_has_offsets(&builder->field->type)) bytes += (uint64_t)builder->length * 4;
    if (builder->field->type.kind == TYPE_BOOLEAN) bytes += (uint64_t)builder->length / 8;
    for (uint32_t i = 0; i < builder->field->type.n_children; i++)
        bytes += used_bytes(&builder->children[i]);
    return bytes;
}

uint64_t batch_builder_bytes(const struct batch_builder *builder)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < builder->schema->n_fields; i++)
        bytes += used_bytes(&builder->columns[i]);
    return bytes;
}

static void hand_over(struct column_buffer *out, struct block **block, uint64_t size)
{
    if (!*block) return;
    *out = (struct column_buffer){*block, (*block)->data, size};
    *block = NULL;
}

/* The column of all entries; what it needs for no entries at all is there, too. */
static int finish(struct column_builder *builder, struct column *out)
{
    const struct type *type = &builder->field->type;
    uint64_t length = (uint64_t)builder->length;
    *out = (struct column){.type = type, .length = builder->length, .null_count = builder->nulls};
    TRY(entry_room(builder, 0));
    if (!type->n_children && type->kind != TYPE_NULL && type->kind != TYPE_STRUCT)
        TRY(room(builder, &builder->values, builder->values_size));
    if (type->n_children) {
        out->children = memory_alloc_zero(type->n_children * sizeof *out->children);
        for (uint32_t i = 0; i < type->n_children; i++)
            out->children[i].type = &type->children[i].type;
        for (uint32_t i = 0; i < type->n_children; i++)
            TRY(finish(&builder->children[i], &out->children[i]));
    }
    if (type->kind == TYPE_NULL)
        out->null_count = out->length; /* no bitmap tells it */
    else if (builder->nulls)
        hand_over(&out->validity, &builder->validity, (length + 7) / 8);
    if (type_has_offsets(type)) hand_over(&out->offsets, &builder->offsets, (length + 1) * 4);
    hand_over(&out->values, &builder->values,
              type->kind == TYPE_BOOLEAN ? (length + 7) / 8 : builder->values_size);
    block_release(builder->validity);
    builder->validity = NULL;
    builder->length = builder->nulls = 0;
    builder->values_size = 0;
    return 0;
}

int batch_builder_finish(struct batch_builder *builder, struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    uint32_t n = builder->schema->n_fields;
    struct column *columns = ARENA_ARRAY(&arena, struct column, n + 1);
    int64_t rows = n ? builder->columns[0].length : builder->n_rows;
    for (uint32_t i = 0; i < n; i++)
        ASSERT(builder->columns[i].length == rows);
    for (uint32_t i = 0; i < n; i++) {
        int code = finish(&builder->columns[i], &columns[i]);
        if (code == 0) continue;
        for (uint32_t j = 0; j <= i; j++)
            column_free(&columns[j]);
        return code;
    }
    builder->n_rows = 0;
    return batch_new(out, builder->schema, columns, rows);
}
