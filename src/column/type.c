/*
 * type.c: what is known of a type without looking at data: widths, equality, names, depth.
 */
#include "column/column_int.h"

unsigned type_width(const struct type *type)
{
    switch (type->kind) {
    case TYPE_INT8:
    case TYPE_UINT8: return 1;
    case TYPE_INT16:
    case TYPE_UINT16:
    case TYPE_FLOAT16: return 2;
    case TYPE_INT32:
    case TYPE_UINT32:
    case TYPE_FLOAT:
    case TYPE_DATE: return 4;
    case TYPE_TIME: return type->unit == UNIT_MILLI ? 4 : 8;
    case TYPE_INT64:
    case TYPE_UINT64:
    case TYPE_DOUBLE:
    case TYPE_TIMESTAMP: return 8;
    case TYPE_INTERVAL: return 12;
    case TYPE_DECIMAL: return 16;
    case TYPE_DECIMAL256: return 32;
    case TYPE_FIXED_BYTES: return type->width;
    default: return 0;
    }
}

bool type_has_offsets(const struct type *type)
{
    return type->kind == TYPE_STRING || type->kind == TYPE_BYTES || type->kind == TYPE_LIST ||
           type->kind == TYPE_MAP;
}

bool type_equal(const struct type *a, const struct type *b)
{
    if (a->kind != b->kind || a->n_children != b->n_children) return false;
    if ((a->kind == TYPE_TIME || a->kind == TYPE_TIMESTAMP) &&
        (a->unit != b->unit || a->utc != b->utc))
        return false;
    if ((a->kind == TYPE_DECIMAL || a->kind == TYPE_DECIMAL256) &&
        (a->precision != b->precision || a->scale != b->scale))
        return false;
    if (a->kind == TYPE_FIXED_BYTES && a->width != b->width) return false;
    for (uint32_t i = 0; i < a->n_children; i++) {
        const struct field *x = &a->children[i], *y = &b->children[i];
        if (x->nullable != y->nullable || !slice_equal(x->name, y->name) ||
            !type_equal(&x->type, &y->type))
            return false;
    }
    return true;
}

bool type_can_be_key(const struct type *type)
{
    switch (type->kind) {
    case TYPE_BOOLEAN:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
    case TYPE_DATE:
    case TYPE_DECIMAL:
    case TYPE_STRING:
    case TYPE_BYTES: return true;
    case TYPE_TIMESTAMP: return type->unit == UNIT_MICRO && type->utc;
    default: return false;
    }
}

unsigned type_depth(const struct type *type)
{
    unsigned deepest = 0;
    if (!type->n_children) return type->kind == TYPE_STRUCT;
    for (uint32_t i = 0; i < type->n_children; i++) {
        unsigned depth = type_depth(&type->children[i].type);
        if (depth > deepest) deepest = depth;
    }
    /* a map's entries are one group with it */
    return type->kind == TYPE_MAP ? deepest : deepest + 1;
}

struct type type_list(struct arena *arena, struct type element, bool element_nullable)
{
    struct field *child = ARENA_NEW(arena, struct field);
    *child = (struct field){SLICE("element"), element, element_nullable};
    return (struct type){.kind = TYPE_LIST, .n_children = 1, .children = child};
}

struct type type_map(struct arena *arena, struct type key, struct type value, bool value_nullable)
{
    struct field *entry = ARENA_ARRAY(arena, struct field, 2);
    struct field *child = ARENA_NEW(arena, struct field);
    entry[0] = (struct field){SLICE("key"), key, false};
    entry[1] = (struct field){SLICE("value"), value, value_nullable};
    *child = (struct field){
        SLICE("key_value"), {.kind = TYPE_STRUCT, .n_children = 2, .children = entry}, false};
    return (struct type){.kind = TYPE_MAP, .n_children = 1, .children = child};
}

static const char *const plain_names[] = {
    [TYPE_NULL] = "null",           [TYPE_BOOLEAN] = "BooleanType", [TYPE_INT8] = "int8",
    [TYPE_INT16] = "int16",         [TYPE_INT32] = "IntType",       [TYPE_INT64] = "LongType",
    [TYPE_UINT8] = "uint8",         [TYPE_UINT16] = "uint16",       [TYPE_UINT32] = "uint32",
    [TYPE_UINT64] = "uint64",       [TYPE_FLOAT16] = "halffloat",   [TYPE_FLOAT] = "FloatType",
    [TYPE_DOUBLE] = "DoubleType",   [TYPE_DATE] = "DateType",       [TYPE_STRING] = "StringType",
    [TYPE_BYTES] = "ByteArrayType", [TYPE_INTERVAL] = "interval",
};

const char *type_name(const struct type *type, struct arena *arena)
{
    static const char *const units[] = {"ms", "us", "ns"};
    switch (type->kind) {
    case TYPE_TIME: return arena_printf(arena, "time[%s]", units[type->unit]);
    case TYPE_TIMESTAMP:
        if (type->unit == UNIT_MICRO && type->utc) return "TimestampType";
        return arena_printf(arena, "timestamp[%s%s]", units[type->unit], type->utc ? ",UTC" : "");
    case TYPE_DECIMAL:
        return arena_printf(arena, "DecimalType(%u,%u)", type->precision, type->scale);
    case TYPE_DECIMAL256:
        return arena_printf(arena, "decimal256(%u,%u)", type->precision, type->scale);
    case TYPE_FIXED_BYTES: return arena_printf(arena, "fixed_size_binary[%u]", type->width);
    case TYPE_LIST:
        return arena_printf(arena, "ListType(%s)", type_name(&type->children[0].type, arena));
    case TYPE_MAP: {
        const struct type *entry = &type->children[0].type;
        return arena_printf(arena, "MapType(%s,%s)", type_name(&entry->children[0].type, arena),
                            type_name(&entry->children[1].type, arena));
    }
    case TYPE_STRUCT: {
        char *text = arena_printf(arena, "StructType(");
        for (uint32_t i = 0; i < type->n_children; i++)
            text = arena_printf(arena, "%s%s%.*s:%s", text, i ? "," : "",
                                SLICE_PRINT(type->children[i].name),
                                type_name(&type->children[i].type, arena));
        return arena_printf(arena, "%s)", text);
    }
    default: return plain_names[type->kind];
    }
}
