/*
 * write_schema.c: from our schema to the format's: the leaves with their levels, physical types and
 * paths, and the flat list of schema elements with both kinds of annotation
 * (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md). Lists have three levels,
 * maps a repeated group "key_value". The older annotation is left out where it would say more than
 * is meant: local times, nanoseconds.
 *
 * What a field stands for beyond its type (JSON, UUID, GEOMETRY, ...) is asked for by the caller,
 * and takes the place of its type's own annotation. Both walks below count the fields as
 * parquet_annotation.place does. Geometries have no order, so neither bounds nor a column index.
 */
#include "parquet/parquet_int.h"

bool write_field_is_optional(const struct field *field)
{
    return field->nullable || field->type.kind == TYPE_NULL;
}

struct carrier {
    enum parquet_type type;
    uint32_t length, stride;
    enum leaf_order order;
};

static struct carrier fixed(uint32_t length, enum leaf_order order)
{
    return (struct carrier){PARQUET_FIXED_LEN_BYTE_ARRAY, length, length, order};
}

static struct carrier carrier_of(const struct type *type)
{
    static const struct carrier int32 = {PARQUET_INT32, 0, 4, ORDER_INT32};
    static const struct carrier int64 = {PARQUET_INT64, 0, 8, ORDER_INT64};
    switch (type->kind) {
    case TYPE_NULL: return (struct carrier){PARQUET_INT32, 0, 4, ORDER_NONE};
    case TYPE_BOOLEAN: return (struct carrier){PARQUET_BOOLEAN, 0, 1, ORDER_BOOLEAN};
    case TYPE_UINT8:
    case TYPE_UINT16:
    case TYPE_UINT32: return (struct carrier){PARQUET_INT32, 0, 4, ORDER_UINT32};
    case TYPE_INT64:
    case TYPE_TIMESTAMP: return int64;
    case TYPE_UINT64: return (struct carrier){PARQUET_INT64, 0, 8, ORDER_UINT64};
    case TYPE_FLOAT16: return fixed(2, ORDER_FLOAT16);
    case TYPE_FLOAT: return (struct carrier){PARQUET_FLOAT, 0, 4, ORDER_FLOAT};
    case TYPE_DOUBLE: return (struct carrier){PARQUET_DOUBLE, 0, 8, ORDER_DOUBLE};
    case TYPE_TIME: return type->unit == UNIT_MILLI ? int32 : int64;
    case TYPE_DECIMAL:
        return type->precision <= 9    ? int32
               : type->precision <= 18 ? int64
                                       : fixed(16, ORDER_DECIMAL);
    case TYPE_DECIMAL256: return fixed(32, ORDER_DECIMAL);
    case TYPE_STRING:
    case TYPE_BYTES:
        return (struct carrier){PARQUET_BYTE_ARRAY, 0, sizeof(struct slice), ORDER_BYTES};
    case TYPE_FIXED_BYTES: return fixed(type->width, ORDER_FIXED);
    case TYPE_INTERVAL: return fixed(12, ORDER_NONE);
    default: return int32; /* INT8, INT16, INT32, DATE */
    }
}

static bool is_group(const struct type *type)
{
    return type->kind == TYPE_LIST || type->kind == TYPE_MAP || type->kind == TYPE_STRUCT;
}

/* The annotations in the order of a walk over the fields. */
struct annotation_walk {
    const struct parquet_annotations *all;
    uint32_t place, next; /* of the next field; the first annotation that is not before it */
};

/* That of the next field; NULL: none. */
static const struct parquet_annotation *next_annotation(struct annotation_walk *walk)
{
    const struct parquet_annotations *all = walk->all;
    uint32_t place = walk->place++;
    while (walk->next < all->n && all->items[walk->next].place < place)
        walk->next++;
    bool found = walk->next < all->n && all->items[walk->next].place == place;
    return found ? &all->items[walk->next] : NULL;
}

struct leaf_list {
    struct write_leaf *leaves;
    uint32_t n;
    struct annotation_walk walk;
};

static int check_annotation(const struct parquet_annotation *annotation, const struct field *field)
{
    if (!annotation || parquet_annotation_fits((int)annotation->kind, &field->type)) return 0;
    return error_set(GLIS_EINVALID, "field '%.*s' cannot be annotated as %s",
                     SLICE_PRINT(field->name), parquet_annotation_name((int)annotation->kind));
}

static bool has_order(const struct parquet_annotation *annotation)
{
    return !annotation ||
           (annotation->kind != PARQUET_GEOMETRY && annotation->kind != PARQUET_GEOGRAPHY);
}

static uint32_t count_leaves(const struct type *type)
{
    if (!is_group(type)) return 1;
    uint32_t n = 0;
    for (uint32_t i = 0; i < type->n_children; i++)
        n += count_leaves(&type->children[i].type);
    return n;
}

/* `so_far` is the path to the field, without it. */
static int add_leaves(struct leaf_list *list, const struct write_leaf *so_far,
                      const struct field *field, struct slice name)
{
    struct write_leaf leaf = *so_far;
    const struct parquet_annotation *annotation = next_annotation(&list->walk);
    TRY(check_annotation(annotation, field));
    if (leaf.n_path >= WRITE_PATH_MAX || leaf.n_names + 2 > WRITE_NAMES_MAX)
        return error_set(GLIS_ELIMIT, "field '%.*s' is nested too deeply",
                         SLICE_PRINT(field->name));
    leaf.path[leaf.n_path++] = field;
    leaf.names[leaf.n_names++] = name;
    if (write_field_is_optional(field)) leaf.max_definition++;
    if (!is_group(&field->type)) {
        struct carrier carrier = carrier_of(&field->type);
        if (carrier.stride == 0)
            return error_set(GLIS_EUNSUPPORTED, "field '%.*s' has values of no bytes",
                             SLICE_PRINT(field->name));
        leaf.type = carrier.type;
        leaf.type_length = carrier.length;
        leaf.stride = carrier.stride;
        leaf.order = has_order(annotation) ? carrier.order : ORDER_NONE;
        leaf.leaf_type = &field->type;
        list->leaves[list->n++] = leaf;
        return 0;
    }
    if (field->type.n_children == 0)
        return error_set(GLIS_EUNSUPPORTED, "field '%.*s' is a struct without fields",
                         SLICE_PRINT(field->name));
    if (field->type.kind == TYPE_LIST || field->type.kind == TYPE_MAP) {
        leaf.max_definition++;
        leaf.max_repetition++;
    }
    const struct field *children = field->type.children;
    if (field->type.kind == TYPE_LIST) {
        leaf.names[leaf.n_names++] = SLICE("list");
        return add_leaves(list, &leaf, children, SLICE("element"));
    }
    if (field->type.kind == TYPE_MAP) return add_leaves(list, &leaf, children, SLICE("key_value"));
    bool is_entry = so_far->n_path > 0 && so_far->path[so_far->n_path - 1]->type.kind == TYPE_MAP;
    for (uint32_t i = 0; i < field->type.n_children; i++) {
        leaf.child[leaf.n_path - 1] = i;
        struct slice child = !is_entry ? children[i].name : i == 0 ? SLICE("key") : SLICE("value");
        TRY(add_leaves(list, &leaf, &children[i], child));
    }
    return 0;
}

int write_leaves_new(const struct schema *schema, const struct parquet_annotations *annotations,
                     struct arena *arena, struct write_leaf **leaves, uint32_t *n_leaves)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        n += count_leaves(&schema->fields[i].type);
    void *memory;
    TRY(arena_try_alloc(arena, n * sizeof(struct write_leaf), &memory));
    struct leaf_list list = {.leaves = memory, .walk = {.all = annotations}};
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        struct write_leaf none = {.field = i};
        TRY(add_leaves(&list, &none, &schema->fields[i], schema->fields[i].name));
    }
    *leaves = list.leaves;
    *n_leaves = list.n;
    return 0;
}

/* ---- schema elements ---- */

enum {
    CONVERTED_UTF8 = 0,
    CONVERTED_MAP = 1,
    CONVERTED_LIST = 3,
    CONVERTED_ENUM = 4,
    CONVERTED_DECIMAL = 5,
    CONVERTED_DATE = 6,
    CONVERTED_TIME_MILLIS = 7,
    CONVERTED_TIMESTAMP_MILLIS = 9,
    CONVERTED_UINT_8 = 11,
    CONVERTED_INT_8 = 15,
    CONVERTED_JSON = 19,
    CONVERTED_BSON = 20,
    CONVERTED_INTERVAL = 21
};
enum {
    LOGICAL_STRING = 1,
    LOGICAL_MAP = 2,
    LOGICAL_LIST = 3,
    LOGICAL_DECIMAL = 5,
    LOGICAL_DATE = 6,
    LOGICAL_TIME = 7,
    LOGICAL_TIMESTAMP = 8,
    LOGICAL_INTEGER = 10,
    LOGICAL_UNKNOWN = 11,
    LOGICAL_FLOAT16 = 15
};

static int converted_of(const struct type *type, const struct parquet_annotation *annotation)
{
    if (annotation)
        return annotation->kind == PARQUET_ENUM   ? CONVERTED_ENUM
               : annotation->kind == PARQUET_JSON ? CONVERTED_JSON
               : annotation->kind == PARQUET_BSON ? CONVERTED_BSON
                                                  : -1;
    switch (type->kind) {
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64: return CONVERTED_INT_8 + (int)(type->kind - TYPE_INT8);
    case TYPE_UINT8:
    case TYPE_UINT16:
    case TYPE_UINT32:
    case TYPE_UINT64: return CONVERTED_UINT_8 + (int)(type->kind - TYPE_UINT8);
    case TYPE_DATE: return CONVERTED_DATE;
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
        if (!type->utc || type->unit == UNIT_NANO) return -1;
        return (type->kind == TYPE_TIME ? CONVERTED_TIME_MILLIS : CONVERTED_TIMESTAMP_MILLIS) +
               (type->unit == UNIT_MICRO);
    case TYPE_DECIMAL:
    case TYPE_DECIMAL256: return CONVERTED_DECIMAL;
    case TYPE_STRING: return CONVERTED_UTF8;
    case TYPE_INTERVAL: return CONVERTED_INTERVAL;
    case TYPE_LIST: return CONVERTED_LIST;
    case TYPE_MAP: return CONVERTED_MAP;
    default: return -1;
    }
}

static int logical_of(const struct type *type)
{
    switch (type->kind) {
    case TYPE_NULL: return LOGICAL_UNKNOWN;
    case TYPE_FLOAT16: return LOGICAL_FLOAT16;
    case TYPE_DATE: return LOGICAL_DATE;
    case TYPE_TIME: return LOGICAL_TIME;
    case TYPE_TIMESTAMP: return LOGICAL_TIMESTAMP;
    case TYPE_DECIMAL:
    case TYPE_DECIMAL256: return LOGICAL_DECIMAL;
    case TYPE_STRING: return LOGICAL_STRING;
    case TYPE_LIST: return LOGICAL_LIST;
    case TYPE_MAP: return LOGICAL_MAP;
    default: return type->kind >= TYPE_INT8 && type->kind <= TYPE_UINT64 ? LOGICAL_INTEGER : -1;
    }
}

/* A member of the union LogicalType. */
static void write_annotation(struct thrift_writer *writer,
                             const struct parquet_annotation *annotation)
{
    bool geography = annotation->kind == PARQUET_GEOGRAPHY;
    bool geo = geography || annotation->kind == PARQUET_GEOMETRY;
    thrift_write_struct(writer, 10);
    thrift_write_struct(writer, (int)annotation->kind);
    if (geo && annotation->crs.data) thrift_write_binary(writer, 1, annotation->crs);
    if (geography && annotation->edge_algorithm >= 0)
        thrift_write_integer(writer, 2, THRIFT_I32, annotation->edge_algorithm);
    if (annotation->kind == PARQUET_VARIANT && annotation->version > 0)
        thrift_write_integer(writer, 1, THRIFT_I8, annotation->version);
    thrift_write_end(writer);
    thrift_write_end(writer);
}

static void write_logical(struct thrift_writer *writer, const struct type *type)
{
    int logical = logical_of(type);
    if (logical < 0) return;
    thrift_write_struct(writer, 10);
    thrift_write_struct(writer, logical);
    if (logical == LOGICAL_DECIMAL) {
        thrift_write_integer(writer, 1, THRIFT_I32, type->scale);
        thrift_write_integer(writer, 2, THRIFT_I32, type->precision);
    } else if (logical == LOGICAL_TIME || logical == LOGICAL_TIMESTAMP) {
        thrift_write_boolean(writer, 1, type->utc);
        thrift_write_struct(writer, 2);
        thrift_write_struct(writer, type->unit == UNIT_MILLI   ? 1
                                    : type->unit == UNIT_MICRO ? 2
                                                               : 3);
        thrift_write_end(writer);
        thrift_write_end(writer);
    } else if (logical == LOGICAL_INTEGER) {
        bool is_signed = type->kind <= TYPE_INT64;
        thrift_write_integer(writer, 1, THRIFT_I8,
                             8 << (type->kind - (is_signed ? TYPE_INT8 : TYPE_UINT8)));
        thrift_write_boolean(writer, 2, is_signed);
    }
    thrift_write_end(writer);
    thrift_write_end(writer);
}

static void write_group(struct thrift_writer *writer, struct slice name, uint32_t n_children)
{
    thrift_write_struct(writer, 0);
    thrift_write_integer(writer, 3, THRIFT_I32, PARQUET_REPEATED);
    thrift_write_binary(writer, 4, name);
    thrift_write_integer(writer, 5, THRIFT_I32, n_children);
    thrift_write_end(writer);
}

struct element_writer {
    struct thrift_writer *thrift;
    struct annotation_walk walk;
};

static void write_element(struct element_writer *elements, const struct field *field,
                          struct slice name)
{
    struct thrift_writer *writer = elements->thrift;
    const struct parquet_annotation *annotation = next_annotation(&elements->walk);
    const struct type *type = &field->type;
    int converted = converted_of(type, annotation);
    struct carrier carrier = carrier_of(type);
    thrift_write_struct(writer, 0);
    if (!is_group(type)) {
        thrift_write_integer(writer, 1, THRIFT_I32, carrier.type);
        if (carrier.length) thrift_write_integer(writer, 2, THRIFT_I32, carrier.length);
    }
    thrift_write_integer(writer, 3, THRIFT_I32,
                         write_field_is_optional(field) ? PARQUET_OPTIONAL : PARQUET_REQUIRED);
    thrift_write_binary(writer, 4, name);
    if (is_group(type))
        thrift_write_integer(writer, 5, THRIFT_I32,
                             type->kind == TYPE_STRUCT ? type->n_children : 1);
    if (converted >= 0) thrift_write_integer(writer, 6, THRIFT_I32, converted);
    if (type->kind == TYPE_DECIMAL || type->kind == TYPE_DECIMAL256) {
        thrift_write_integer(writer, 7, THRIFT_I32, type->scale);
        thrift_write_integer(writer, 8, THRIFT_I32, type->precision);
    }
    if (annotation)
        write_annotation(writer, annotation);
    else
        write_logical(writer, type);
    thrift_write_end(writer);
    if (type->kind == TYPE_LIST) {
        write_group(writer, SLICE("list"), 1);
        write_element(elements, type->children, SLICE("element"));
    } else if (type->kind == TYPE_MAP) {
        const struct field *entry = type->children[0].type.children;
        write_group(writer, SLICE("key_value"), 2);
        (void)next_annotation(&elements->walk);
        write_element(elements, &entry[0], SLICE("key"));
        write_element(elements, &entry[1], SLICE("value"));
    } else if (type->kind == TYPE_STRUCT) {
        for (uint32_t i = 0; i < type->n_children; i++)
            write_element(elements, &type->children[i], type->children[i].name);
    }
}

static uint32_t count_elements(const struct type *type)
{
    if (type->kind == TYPE_LIST) return 2 + count_elements(&type->children[0].type);
    if (type->kind == TYPE_MAP) return 1 + count_elements(&type->children[0].type);
    uint32_t n = 1;
    if (type->kind == TYPE_STRUCT)
        for (uint32_t i = 0; i < type->n_children; i++)
            n += count_elements(&type->children[i].type);
    return n;
}

void write_schema_elements(struct thrift_writer *writer, int id, const struct schema *schema,
                           const struct parquet_annotations *annotations)
{
    struct element_writer elements = {.thrift = writer, .walk = {.all = annotations}};
    uint32_t n = 1;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        n += count_elements(&schema->fields[i].type);
    thrift_write_list(writer, id, THRIFT_STRUCT, n);
    thrift_write_struct(writer, 0);
    thrift_write_binary(writer, 4, SLICE("record"));
    thrift_write_integer(writer, 5, THRIFT_I32, schema->n_fields);
    thrift_write_end(writer);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        write_element(&elements, &schema->fields[i], schema->fields[i].name);
}
