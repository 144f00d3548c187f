/*
 * evolve.c: rows of an older schema as the present one has them, and the table schema that fits a
 * file. Columns go by name; what is missing is null, 32-bit numbers become 64-bit ones.
 */
#include "column/column_int.h"

static int widen(struct column *out, const struct column *column, const struct type *type,
                 struct budget *budget)
{
    struct column plain;
    struct block *block;
    TRY(column_share(&plain, column));
    int code = column_decode_dictionary(&plain, budget);
    if (code == 0) code = block_new(&block, budget, (uint64_t)plain.length * 8);
    if (code < 0) {
        column_free(&plain);
        return code;
    }
    const int32_t *from = (const int32_t *)(const void *)plain.values.data + plain.offset;
    int64_t *to = (int64_t *)(void *)block->data;
    for (int64_t i = 0; i < plain.length; i++)
        to[i] = from[i];
    *out = (struct column){.type = type, .length = plain.length, .null_count = plain.null_count};
    out->values = (struct column_buffer){block, block->data, (uint64_t)plain.length * 8};
    if (plain.null_count) {
        uint64_t size = ((uint64_t)plain.length + 7) / 8;
        code = block_new(&block, budget, size);
        if (code == 0) {
            for (int64_t i = 0; i < plain.length; i++)
                bit_put(block->data, i, !column_is_null(&plain, i));
            out->validity = (struct column_buffer){block, block->data, size};
        } else {
            column_free(out);
        }
    }
    column_free(&plain);
    return code;
}

static int evolve_column(struct column *out, const struct batch *batch, const struct field *field,
                         struct budget *budget)
{
    int source = schema_find(batch->schema, field->name);
    if (source < 0) {
        if (!field->nullable)
            return error_set(GLIS_ECORRUPT, "column '%.*s' is missing", SLICE_PRINT(field->name));
        return column_new_null(out, &field->type, batch->n_rows, budget);
    }
    const struct column *column = &batch->columns[source];
    if (column->type->kind == TYPE_INT32 && field->type.kind == TYPE_INT64)
        return widen(out, column, &field->type, budget);
    return column_share(out, column);
}

int batch_evolve(const struct batch *batch, const struct schema *now, struct budget *budget,
                 struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct column *columns = ARENA_ARRAY(&arena, struct column, now->n_fields + 1);
    if (schema_equal(batch->schema, now)) {
        *out = batch_acquire(batch);
        return 0;
    }
    for (uint32_t f = 0; f < now->n_fields; f++) {
        int code = evolve_column(&columns[f], batch, &now->fields[f], budget);
        if (code == 0) continue;
        for (uint32_t g = 0; g < f; g++)
            column_free(&columns[g]);
        return code;
    }
    return batch_new(out, now, columns, batch->n_rows);
}

/* ---- proposing ---- */

static int propose_type(const struct field *field, const struct type *from, struct arena *arena,
                        struct type *out)
{
    *out = *from;
    switch (from->kind) {
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_UINT8:
    case TYPE_UINT16: *out = (struct type){.kind = TYPE_INT32}; return 0;
    case TYPE_UINT32:
    case TYPE_UINT64: *out = (struct type){.kind = TYPE_INT64}; return 0;
    case TYPE_FLOAT16: *out = (struct type){.kind = TYPE_FLOAT}; return 0;
    case TYPE_FIXED_BYTES: *out = (struct type){.kind = TYPE_BYTES}; return 0;
    case TYPE_TIMESTAMP:
        *out = (struct type){.kind = TYPE_TIMESTAMP, .unit = UNIT_MICRO, .utc = true};
        return 0;
    case TYPE_NULL: *out = (struct type){.kind = TYPE_STRING}; return 0;
    case TYPE_TIME:
    case TYPE_INTERVAL:
    case TYPE_DECIMAL256:
        return error_set(GLIS_EUNSUPPORTED,
                         "column '%.*s' has the type %s, which tables do not have",
                         SLICE_PRINT(field->name), type_name(from, arena));
    default: break;
    }
    if (!from->n_children) return 0;
    struct field *children = ARENA_ARRAY(arena, struct field, from->n_children);
    for (uint32_t i = 0; i < from->n_children; i++) {
        children[i] = from->children[i];
        TRY(propose_type(field, &from->children[i].type, arena, &children[i].type));
    }
    if (from->kind == TYPE_LIST) {
        *out = type_list(arena, children[0].type, children[0].nullable);
    } else if (from->kind == TYPE_MAP) {
        const struct field *parts = children[0].type.children;
        *out = type_map(arena, parts[0].type, parts[1].type, parts[1].nullable);
    } else {
        out->children = children;
    }
    return 0;
}

static int no_column(const struct schema *from, struct slice name)
{
    char hint[SCHEMA_HINT_BYTES];
    return error_set(GLIS_EINVALID, "there is no column '%.*s'%s", SLICE_PRINT(name),
                     schema_hint(from, name, hint));
}

static int take_keys(const struct schema *from, const struct slice *names, uint32_t n,
                     uint32_t *order, uint32_t *at, bool *taken)
{
    for (uint32_t i = 0; i < n; i++) {
        int field = schema_find(from, names[i]);
        if (field < 0) return no_column(from, names[i]);
        if (taken[field])
            return error_set(GLIS_EINVALID, "'%.*s' is named twice", SLICE_PRINT(names[i]));
        taken[field] = true;
        order[(*at)++] = (uint32_t)field;
    }
    return 0;
}

int schema_propose(const struct schema *from, const struct slice *row_keys, uint32_t n_row_keys,
                   const struct slice *sort_keys, uint32_t n_sort_keys, struct schema **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    uint32_t *order = ARENA_ARRAY(&arena, uint32_t, from->n_fields + 1), at = 0;
    bool *taken = ARENA_ARRAY(&arena, bool, from->n_fields + 1);
    struct field *fields = ARENA_ARRAY(&arena, struct field, from->n_fields + 1);
    TRY(take_keys(from, row_keys, n_row_keys, order, &at, taken));
    TRY(take_keys(from, sort_keys, n_sort_keys, order, &at, taken));
    for (uint32_t i = 0; i < from->n_fields; i++)
        if (!taken[i]) order[at++] = i;
    for (uint32_t i = 0; i < from->n_fields; i++) {
        fields[i] = from->fields[order[i]];
        if (i < n_row_keys + n_sort_keys) fields[i].nullable = false;
        TRY(propose_type(&from->fields[order[i]], &from->fields[order[i]].type, &arena,
                         &fields[i].type));
    }
    struct schema *schema;
    TRY(schema_new(&schema, fields, from->n_fields, n_row_keys, n_sort_keys));
    int code = schema_validate_table(schema);
    if (code < 0)
        schema_release(schema);
    else
        *out = schema;
    return code;
}
