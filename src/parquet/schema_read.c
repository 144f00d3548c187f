/*
 * schema_read.c: from the flat list of schema elements in a footer to our types, to the tree of
 * nodes that assembles columns, and to the leaves that the file stores. By LogicalTypes.md and
 * parquet.thrift of the format (https://github.com/apache/parquet-format).
 *
 * An element's annotation is its logical type if we know it, else its converted type, else none;
 * both are brought to one form first. An annotation that the physical type cannot carry is
 * GLIS_ECORRUPT; one that we do not know is as none. Those that say more than our type does (JSON,
 * UUID, GEOMETRY, ...) are kept beside the schema.
 *
 * Lists: a LIST group has one repeated child. That child is the element itself when it is a
 * primitive, has several fields or a repeated one, is a list or map, or is named "array" or
 * "<list>_tuple"; else the element is its only field. A repeated field outside of lists and maps is
 * a list without nulls of elements without nulls. A map's key may be optional in the file; it is
 * not nullable for us. A map without values is a list of its keys.
 *
 * Levels: a definition level is added by each optional and each repeated element, a repetition
 * level by each repeated one. Recursion is bounded by TYPE_DEPTH_MAX groups; the list of elements
 * and the length of all paths by the limits below. Types are made in an arena of our own and copied
 * by schema_new, after which each leaf is pointed to its type in the schema.
 */
#include "parquet/parquet_read_int.h"

#include "base/text.h"

enum { ELEMENTS_MAX = 1 << 16, PATH_BYTES_TOTAL_MAX = 16 << 20 };

/* The numbers are the field ids of the union LogicalType; the last two have no logical type. */
enum {
    ANNOTATION_NONE = 0,
    ANNOTATION_STRING = 1,
    ANNOTATION_MAP = 2,
    ANNOTATION_LIST = 3,
    ANNOTATION_ENUM = 4,
    ANNOTATION_DECIMAL = 5,
    ANNOTATION_DATE = 6,
    ANNOTATION_TIME = 7,
    ANNOTATION_TIMESTAMP = 8,
    ANNOTATION_INTEGER = 10,
    ANNOTATION_UNKNOWN = 11,
    ANNOTATION_JSON = 12,
    ANNOTATION_BSON = 13,
    ANNOTATION_UUID = 14,
    ANNOTATION_FLOAT16 = 15,
    ANNOTATION_VARIANT = 16,
    ANNOTATION_GEOMETRY = 17,
    ANNOTATION_GEOGRAPHY = 18,
    ANNOTATION_INTERVAL = 100,
    ANNOTATION_MAP_KEY_VALUE = 101,
};

struct annotation {
    int kind, unit, bits;
    bool utc, is_signed;
};

/* Where an element stands: the levels and groups around it, and the names up to it. */
struct place {
    const struct place *parent;
    struct slice name;
    size_t path_size;
    int definition, repetition;
    unsigned depth;
};

struct schema_builder {
    const struct schema_element *elements;
    uint32_t n_elements, next, field;
    struct arena *arena;
    struct arena types;
    struct parquet_leaf *leaves;
    uint32_t n_leaves;
    uint64_t path_bytes;
    struct parquet_annotation *annotations;
    uint32_t n_annotations;
};

static int build_node(struct schema_builder *b, const struct place *around, struct type *type,
                      bool *nullable, struct node *node);
static int build_content(struct schema_builder *b, const struct place *place,
                         const struct schema_element *element, struct type *type,
                         struct node *node);

static int try_array(struct arena *arena, size_t item_size, uint64_t n, void *out)
{
    void *memory;
    size_t size;
    if (__builtin_mul_overflow(item_size, n, &size))
        return error_set(GLIS_ELIMIT, "the schema is too large");
    TRY(arena_try_alloc(arena, size, &memory));
    memset(memory, 0, size);
    memcpy(out, &memory, sizeof(memory));
    return 0;
}

/* ---- annotations ---- */

static bool annotation_from_logical(const struct schema_element *element, struct annotation *out)
{
    if (element->logical < ANNOTATION_STRING || element->logical > ANNOTATION_GEOGRAPHY ||
        element->logical == 9)
        return false;
    *out = (struct annotation){.kind = element->logical,
                               .unit = element->logical_unit,
                               .bits = element->logical_bits,
                               .utc = element->logical_utc,
                               .is_signed = element->logical_signed};
    return true;
}

/* Converted types have no zone: their times and timestamps are instants. */
static struct annotation annotation_of(const struct schema_element *element)
{
    static const struct annotation converted[] = {
        {.kind = ANNOTATION_STRING},
        {.kind = ANNOTATION_MAP},
        {.kind = ANNOTATION_MAP_KEY_VALUE},
        {.kind = ANNOTATION_LIST},
        {.kind = ANNOTATION_ENUM},
        {.kind = ANNOTATION_DECIMAL},
        {.kind = ANNOTATION_DATE},
        {.kind = ANNOTATION_TIME, .unit = UNIT_MILLI, .utc = true},
        {.kind = ANNOTATION_TIME, .unit = UNIT_MICRO, .utc = true},
        {.kind = ANNOTATION_TIMESTAMP, .unit = UNIT_MILLI, .utc = true},
        {.kind = ANNOTATION_TIMESTAMP, .unit = UNIT_MICRO, .utc = true},
        {.kind = ANNOTATION_INTEGER, .bits = 8},
        {.kind = ANNOTATION_INTEGER, .bits = 16},
        {.kind = ANNOTATION_INTEGER, .bits = 32},
        {.kind = ANNOTATION_INTEGER, .bits = 64},
        {.kind = ANNOTATION_INTEGER, .bits = 8, .is_signed = true},
        {.kind = ANNOTATION_INTEGER, .bits = 16, .is_signed = true},
        {.kind = ANNOTATION_INTEGER, .bits = 32, .is_signed = true},
        {.kind = ANNOTATION_INTEGER, .bits = 64, .is_signed = true},
        {.kind = ANNOTATION_JSON},
        {.kind = ANNOTATION_BSON},
        {.kind = ANNOTATION_INTERVAL},
    };
    struct annotation annotation = {.kind = ANNOTATION_NONE};
    if (annotation_from_logical(element, &annotation)) return annotation;
    if (element->converted >= 0 && element->converted < (int)(sizeof converted / sizeof *converted))
        return converted[element->converted];
    return annotation;
}

/* ---- types of leaves ---- */

static int contradiction(const struct schema_element *element)
{
    return error_set(GLIS_ECORRUPT, "column '%.*s' has an annotation that %s cannot carry",
                     SLICE_PRINT(element->name), parquet_type_name(element->type));
}

static int decimal_type(const struct schema_element *element, struct type *type)
{
    if (element->precision < 1 || element->scale < 0 || element->scale > element->precision)
        return error_set(GLIS_ECORRUPT, "column '%.*s' is a decimal of %lld digits and scale %lld",
                         SLICE_PRINT(element->name), (long long)element->precision,
                         (long long)element->scale);
    if (element->precision > 76)
        return error_set(GLIS_EUNSUPPORTED, "column '%.*s': decimals of more than 76 digits",
                         SLICE_PRINT(element->name));
    if ((element->type == PARQUET_INT32 && element->precision > 9) ||
        (element->type == PARQUET_INT64 && element->precision > 18))
        return contradiction(element);
    type->kind = element->precision <= 38 ? TYPE_DECIMAL : TYPE_DECIMAL256;
    type->precision = (uint8_t)element->precision;
    type->scale = (uint8_t)element->scale;
    return 0;
}

/* INT32 and INT64. */
static int integer_type(const struct schema_element *element, const struct annotation *annotation,
                        struct type *type)
{
    bool wide = element->type == PARQUET_INT64;
    bool milli = annotation->unit == UNIT_MILLI;
    type->unit = (enum type_unit)annotation->unit;
    type->utc = annotation->utc;
    switch (annotation->kind) {
    case ANNOTATION_NONE: type->kind = wide ? TYPE_INT64 : TYPE_INT32; return 0;
    case ANNOTATION_DECIMAL: return decimal_type(element, type);
    case ANNOTATION_DATE: type->kind = TYPE_DATE; return wide ? contradiction(element) : 0;
    case ANNOTATION_TIME: type->kind = TYPE_TIME; return wide == milli ? contradiction(element) : 0;
    case ANNOTATION_TIMESTAMP:
        type->kind = TYPE_TIMESTAMP;
        return wide ? 0 : contradiction(element);
    case ANNOTATION_INTEGER: break;
    default: return contradiction(element);
    }
    if ((annotation->bits == 64) != wide) return contradiction(element);
    switch (annotation->bits) {
    case 8: type->kind = annotation->is_signed ? TYPE_INT8 : TYPE_UINT8; return 0;
    case 16: type->kind = annotation->is_signed ? TYPE_INT16 : TYPE_UINT16; return 0;
    case 32: type->kind = annotation->is_signed ? TYPE_INT32 : TYPE_UINT32; return 0;
    case 64: type->kind = annotation->is_signed ? TYPE_INT64 : TYPE_UINT64; return 0;
    default: return contradiction(element);
    }
}

static int byte_array_type(const struct schema_element *element,
                           const struct annotation *annotation, struct type *type)
{
    switch (annotation->kind) {
    case ANNOTATION_STRING:
    case ANNOTATION_ENUM:
    case ANNOTATION_JSON: type->kind = TYPE_STRING; return 0;
    case ANNOTATION_BSON:
    case ANNOTATION_GEOMETRY:
    case ANNOTATION_GEOGRAPHY:
    case ANNOTATION_NONE: type->kind = TYPE_BYTES; return 0;
    case ANNOTATION_DECIMAL: return decimal_type(element, type);
    default: return contradiction(element);
    }
}

static int fixed_type(const struct schema_element *element, const struct annotation *annotation,
                      struct type *type)
{
    int64_t length = element->type_length;
    if (length < 1 || length > PARQUET_PAGE_BYTES_MAX)
        return error_set(length < 0 ? GLIS_ECORRUPT : GLIS_EUNSUPPORTED,
                         "column '%.*s' has values of %lld bytes", SLICE_PRINT(element->name),
                         (long long)length);
    type->kind = TYPE_FIXED_BYTES;
    type->width = (uint32_t)length;
    switch (annotation->kind) {
    case ANNOTATION_NONE: return 0;
    case ANNOTATION_UUID: return length == 16 ? 0 : contradiction(element);
    case ANNOTATION_DECIMAL: type->width = 0; return decimal_type(element, type);
    case ANNOTATION_FLOAT16:
        type->kind = TYPE_FLOAT16;
        type->width = 0;
        return length == 2 ? 0 : contradiction(element);
    case ANNOTATION_INTERVAL:
        type->kind = TYPE_INTERVAL;
        type->width = 0;
        return length == 12 ? 0 : contradiction(element);
    default: return contradiction(element);
    }
}

static int leaf_type(const struct schema_element *element, struct type *type)
{
    struct annotation annotation = annotation_of(element);
    *type = (struct type){.kind = TYPE_NULL};
    if (annotation.kind == ANNOTATION_UNKNOWN) {
        if (element->type == PARQUET_FIXED_LEN_BYTE_ARRAY &&
            (element->type_length < 0 || element->type_length > PARQUET_PAGE_BYTES_MAX))
            return contradiction(element);
        return 0;
    }
    switch (element->type) {
    case PARQUET_BOOLEAN: type->kind = TYPE_BOOLEAN; break;
    case PARQUET_INT32:
    case PARQUET_INT64: return integer_type(element, &annotation, type);
    case PARQUET_INT96: *type = (struct type){.kind = TYPE_TIMESTAMP, .unit = UNIT_MICRO}; return 0;
    case PARQUET_FLOAT: type->kind = TYPE_FLOAT; break;
    case PARQUET_DOUBLE: type->kind = TYPE_DOUBLE; break;
    case PARQUET_BYTE_ARRAY: return byte_array_type(element, &annotation, type);
    case PARQUET_FIXED_LEN_BYTE_ARRAY: return fixed_type(element, &annotation, type);
    default:
        return error_set(GLIS_ECORRUPT, "column '%.*s' has an unknown physical type",
                         SLICE_PRINT(element->name));
    }
    return annotation.kind == ANNOTATION_NONE ? 0 : contradiction(element);
}

bool parquet_annotation_fits(int kind, const struct type *type)
{
    switch (kind) {
    case PARQUET_ENUM:
    case PARQUET_JSON: return type->kind == TYPE_STRING;
    case PARQUET_BSON:
    case PARQUET_GEOMETRY:
    case PARQUET_GEOGRAPHY: return type->kind == TYPE_BYTES;
    case PARQUET_UUID: return type->kind == TYPE_FIXED_BYTES && type->width == 16;
    case PARQUET_VARIANT: return type->kind == TYPE_STRUCT;
    default: return false;
    }
}

/* ---- the tree ---- */

static int join_path(struct schema_builder *b, const struct place *place, struct slice *out)
{
    void *memory;
    size_t size = place->path_size;
    b->path_bytes += size;
    if (b->path_bytes > PATH_BYTES_TOTAL_MAX)
        return error_set(GLIS_ELIMIT, "the schema's paths take more than %d bytes",
                         PATH_BYTES_TOTAL_MAX);
    TRY(arena_try_alloc(b->arena, size + 1, &memory));
    char *end = (char *)memory + size;
    *end = 0;
    for (; place; place = place->parent) {
        end -= place->name.size;
        if (place->name.size) memcpy(end, place->name.data, place->name.size);
        if (place->parent) *--end = '.';
    }
    *out = slice_make(memory, size);
    return 0;
}

static int build_leaf(struct schema_builder *b, const struct place *place,
                      const struct schema_element *element, struct type *type, struct node *node)
{
    struct parquet_leaf *leaf = &b->leaves[b->n_leaves++];
    TRY(leaf_type(element, type));
    leaf->type = (enum parquet_type)element->type;
    if (leaf->type == PARQUET_FIXED_LEN_BYTE_ARRAY)
        leaf->type_length = (uint32_t)element->type_length;
    leaf->max_definition = place->definition;
    leaf->max_repetition = place->repetition;
    leaf->field = b->field;
    node->kind = NODE_LEAF;
    return join_path(b, place, &leaf->path);
}

/* The place of what stands directly inside `around`. */
static int enter(const struct place *around, const struct schema_element *element,
                 struct place *out)
{
    const char *what = around->depth > 0 || around->name.size ? "nested column" : "column";
    *out = (struct place){
        .parent = around->path_size == SIZE_MAX ? NULL : around,
        .name = element->name,
        .definition = around->definition,
        .repetition = around->repetition,
        .depth = around->depth,
    };
    if (!text_is_utf8(element->name, NULL) ||
        (element->name.size && memchr(element->name.data, 0, element->name.size)))
        return error_set(GLIS_ECORRUPT, "the name of a %s is no text", what);
    if (element->name.size > PATH_BYTES_TOTAL_MAX)
        return error_set(GLIS_ELIMIT, "the name of a %s is too long", what);
    out->path_size = element->name.size + (out->parent ? out->parent->path_size + 1 : 0);
    return 0;
}

static int new_children(struct schema_builder *b, struct node *node, enum node_kind kind,
                        uint32_t n_children)
{
    node->kind = kind;
    node->n_children = n_children;
    return try_array(b->arena, sizeof(struct node), n_children, &node->children);
}

static int deeper(struct place *place)
{
    if (++place->depth > TYPE_DEPTH_MAX)
        return error_set(GLIS_ELIMIT, "column '%.*s' is nested more than %d deep",
                         SLICE_PRINT(place->name), TYPE_DEPTH_MAX);
    return 0;
}

static int build_struct(struct schema_builder *b, const struct place *place,
                        const struct schema_element *element, struct type *type, struct node *node)
{
    struct field *fields;
    struct place inside = *place;
    uint32_t n = (uint32_t)element->n_children;
    TRY(deeper(&inside));
    TRY(new_children(b, node, NODE_STRUCT, n));
    TRY(try_array(&b->types, sizeof(struct field), n, &fields));
    for (uint32_t i = 0; i < n; i++) {
        fields[i].name = b->next < b->n_elements ? b->elements[b->next].name : SLICE_EMPTY;
        TRY(build_node(b, &inside, &fields[i].type, &fields[i].nullable, &node->children[i]));
    }
    *type = (struct type){.kind = TYPE_STRUCT, .n_children = n, .children = fields};
    return 0;
}

/* The repeated child of a LIST or MAP group, and the place inside; the group has exactly one. */
static int enter_repeated(struct schema_builder *b, const struct place *place,
                          const struct schema_element *group, const char *what,
                          const struct schema_element **repeated, struct place *out)
{
    if (group->n_children != 1 || b->next >= b->n_elements ||
        b->elements[b->next].repetition != PARQUET_REPEATED)
        return error_set(GLIS_ECORRUPT, "column '%.*s' is a %s without one repeated child",
                         SLICE_PRINT(group->name), what);
    *repeated = &b->elements[b->next++];
    TRY(enter(place, *repeated, out));
    out->definition++;
    out->repetition++;
    return deeper(out);
}

static bool is_list_or_map(const struct schema_element *element)
{
    int kind = annotation_of(element).kind;
    return kind == ANNOTATION_LIST || kind == ANNOTATION_MAP;
}

/* Whether the repeated child is the element itself. */
static bool repeated_is_element(const struct schema_builder *b, const struct schema_element *list,
                                const struct schema_element *repeated)
{
    if (repeated->type >= 0 || repeated->n_children != 1) return true;
    if (b->next < b->n_elements && b->elements[b->next].repetition == PARQUET_REPEATED) return true;
    if (is_list_or_map(repeated)) return true;
    if (slice_equal(repeated->name, SLICE("array"))) return true;
    return repeated->name.size == list->name.size + 6 &&
           slice_starts_with(repeated->name, list->name) &&
           slice_ends_with(repeated->name, SLICE("_tuple"));
}

static int build_list(struct schema_builder *b, const struct place *place,
                      const struct schema_element *list, struct type *type, struct node *node)
{
    const struct schema_element *repeated;
    struct place inside;
    struct type element;
    bool nullable = false;
    TRY(enter_repeated(b, place, list, "list", &repeated, &inside));
    TRY(new_children(b, node, NODE_LIST, 1));
    node->element_definition = inside.definition;
    if (repeated_is_element(b, list, repeated))
        TRY(build_content(b, &inside, repeated, &element, &node->children[0]));
    else
        TRY(build_node(b, &inside, &element, &nullable, &node->children[0]));
    *type = type_list(&b->types, element, nullable);
    return 0;
}

static int build_map(struct schema_builder *b, const struct place *place,
                     const struct schema_element *map, struct type *type, struct node *node)
{
    const struct schema_element *repeated;
    struct place inside;
    struct type key, value;
    bool nullable;
    TRY(enter_repeated(b, place, map, "map", &repeated, &inside));
    if (repeated->type >= 0 || repeated->n_children < 1 || repeated->n_children > 2)
        return error_set(GLIS_ECORRUPT, "column '%.*s' is a map without keys and values",
                         SLICE_PRINT(map->name));
    if (repeated->n_children == 1) {
        TRY(new_children(b, node, NODE_LIST, 1));
        node->element_definition = inside.definition;
        TRY(build_node(b, &inside, &key, &nullable, &node->children[0]));
        *type = type_list(&b->types, key, nullable);
        return 0;
    }
    TRY(new_children(b, node, NODE_MAP, 1));
    node->element_definition = inside.definition;
    struct node *entry = &node->children[0];
    TRY(new_children(b, entry, NODE_STRUCT, 2));
    entry->definition = inside.definition;
    entry->repetition = inside.repetition;
    entry->leaf = b->n_leaves;
    TRY(build_node(b, &inside, &key, &nullable, &entry->children[0]));
    TRY(build_node(b, &inside, &value, &nullable, &entry->children[1]));
    entry->n_leaves = b->n_leaves - entry->leaf;
    *type = type_map(&b->types, key, value, nullable);
    return 0;
}

/* Older writers marked a map itself, or only its entries, as MAP_KEY_VALUE. */
static bool is_map(const struct schema_builder *b, const struct schema_element *element, int kind)
{
    if (kind == ANNOTATION_MAP) return true;
    return kind == ANNOTATION_MAP_KEY_VALUE && element->n_children == 1 &&
           b->next < b->n_elements && b->elements[b->next].repetition == PARQUET_REPEATED &&
           b->elements[b->next].n_children == 2;
}

/* Keeps an annotation that says more than the type. */
static int keep_annotation(struct schema_builder *b, const struct place *place,
                           const struct schema_element *element, const struct type *type,
                           struct node *node)
{
    int kind = annotation_of(element).kind;
    if (!parquet_annotation_fits(kind, type)) return 0;
    struct parquet_annotation *annotation = &b->annotations[b->n_annotations++];
    *annotation = (struct parquet_annotation){.kind = (enum parquet_annotation_kind)kind,
                                              .crs = element->crs,
                                              .edge_algorithm = element->edge_algorithm,
                                              .version = element->variant_version};
    node->annotation = annotation;
    if (node->kind != NODE_LEAF) return join_path(b, place, &annotation->path);
    annotation->path = b->leaves[node->leaf].path;
    return 0;
}

/* What an element holds, once its own repetition is dealt with. */
static int build_content(struct schema_builder *b, const struct place *place,
                         const struct schema_element *element, struct type *type, struct node *node)
{
    node->definition = place->definition;
    node->repetition = place->repetition;
    node->leaf = b->n_leaves;
    if (element->type >= 0) {
        if (element->n_children > 0)
            return error_set(GLIS_ECORRUPT, "column '%.*s' has a type and children",
                             SLICE_PRINT(element->name));
        TRY(build_leaf(b, place, element, type, node));
    } else if (element->n_children <= 0) {
        return error_set(GLIS_EUNSUPPORTED, "column '%.*s' is a group without fields",
                         SLICE_PRINT(element->name));
    } else if (element->n_children > b->n_elements - b->next) {
        return error_set(GLIS_ECORRUPT, "column '%.*s' claims %lld children",
                         SLICE_PRINT(element->name), (long long)element->n_children);
    } else {
        int kind = annotation_of(element).kind;
        if (kind == ANNOTATION_LIST)
            TRY(build_list(b, place, element, type, node));
        else if (is_map(b, element, kind))
            TRY(build_map(b, place, element, type, node));
        else
            TRY(build_struct(b, place, element, type, node));
    }
    node->n_leaves = b->n_leaves - node->leaf;
    return keep_annotation(b, place, element, type, node);
}

/* The next element, and all below it. */
static int build_node(struct schema_builder *b, const struct place *around, struct type *type,
                      bool *nullable, struct node *node)
{
    struct place place;
    if (b->next >= b->n_elements)
        return error_set(GLIS_ECORRUPT, "the schema has too few elements");
    const struct schema_element *element = &b->elements[b->next++];
    TRY(enter(around, element, &place));
    *nullable = element->repetition == PARQUET_OPTIONAL;
    if (element->repetition == PARQUET_REQUIRED) {
        TRY(build_content(b, &place, element, type, node));
        *nullable = type->kind == TYPE_NULL; /* whatever it says: there is nothing else in it */
        return 0;
    }
    if (element->repetition == PARQUET_OPTIONAL) {
        place.definition++;
        return build_content(b, &place, element, type, node);
    }
    if (element->repetition != PARQUET_REPEATED)
        return error_set(GLIS_ECORRUPT, "column '%.*s' has no repetition type",
                         SLICE_PRINT(element->name));
    struct type repeated;
    node->definition = place.definition++;
    node->repetition = place.repetition++;
    node->element_definition = place.definition;
    node->leaf = b->n_leaves;
    TRY(deeper(&place));
    TRY(new_children(b, node, NODE_LIST, 1));
    TRY(build_content(b, &place, element, &repeated, &node->children[0]));
    node->n_leaves = b->n_leaves - node->leaf;
    *type = type_list(&b->types, repeated, repeated.kind == TYPE_NULL);
    return 0;
}

/* Leaves to their types, and annotations in the order of their places; *place counts the fields. */
static void point_leaves(const struct node *node, const struct type *type,
                         struct parquet_metadata *metadata, uint32_t *place)
{
    struct parquet_leaf *leaf = node->kind == NODE_LEAF ? &metadata->leaves[node->leaf] : NULL;
    if (leaf) leaf->leaf_type = type;
    if (node->annotation) {
        struct parquet_annotation *kept = &metadata->annotations.items[metadata->annotations.n++];
        *kept = *node->annotation;
        kept->place = *place;
        if (leaf) leaf->annotation = kept;
    }
    ++*place;
    for (uint32_t i = 0; i < node->n_children; i++)
        point_leaves(&node->children[i], &type->children[i].type, metadata, place);
}

/* Room for all that there may be. */
static int new_annotations(struct schema_builder *b)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < b->n_elements; i++) {
        int kind = annotation_of(&b->elements[i]).kind;
        n += kind == ANNOTATION_ENUM || kind == ANNOTATION_JSON || kind == ANNOTATION_BSON ||
             kind == ANNOTATION_UUID || kind >= ANNOTATION_VARIANT;
    }
    return try_array(&b->types, sizeof(struct parquet_annotation), n, &b->annotations);
}

static int build_fields(struct schema_builder *b, struct schema **schema, struct node **nodes,
                        struct parquet_metadata *metadata)
{
    const struct schema_element *root = &b->elements[0];
    /* The root's name belongs to no path; SIZE_MAX marks it. */
    struct place around = {.path_size = SIZE_MAX};
    struct field *fields;
    if (root->type >= 0 || root->n_children < 0 || root->n_children > b->n_elements - 1)
        return error_set(GLIS_ECORRUPT, "the schema's root is no group of its columns");
    if (root->n_children > SCHEMA_FIELDS_MAX)
        return error_set(GLIS_ELIMIT, "the schema has more than %d columns", SCHEMA_FIELDS_MAX);
    uint32_t n = (uint32_t)root->n_children, place = 0;
    b->next = 1;
    TRY(new_annotations(b));
    TRY(try_array(b->arena, sizeof(struct parquet_leaf), b->n_elements, &b->leaves));
    TRY(try_array(b->arena, sizeof(struct node), n, nodes));
    TRY(try_array(&b->types, sizeof(struct field), n, &fields));
    for (b->field = 0; b->field < n; b->field++) {
        struct field *field = &fields[b->field];
        field->name = b->next < b->n_elements ? b->elements[b->next].name : SLICE_EMPTY;
        TRY_CONTEXT(build_node(b, &around, &field->type, &field->nullable, &(*nodes)[b->field]),
                    "field %u", b->field);
    }
    if (b->next != b->n_elements)
        return error_set(GLIS_ECORRUPT, "the schema has elements that belong to no column");
    TRY(try_array(b->arena, sizeof(struct parquet_annotation), b->n_annotations,
                  &metadata->annotations.items));
    TRY(schema_new(schema, fields, n, 0, 0));
    metadata->leaves = b->leaves;
    metadata->n_leaves = b->n_leaves;
    for (uint32_t i = 0; i < n; i++)
        point_leaves(&(*nodes)[i], &(*schema)->fields[i].type, metadata, &place);
    return 0;
}

int parquet_schema_build(const struct schema_element *elements, uint32_t n_elements,
                         struct arena *arena, struct schema **schema, struct node **nodes,
                         struct parquet_metadata *metadata)
{
    struct schema_builder builder = {
        .elements = elements, .n_elements = n_elements, .arena = arena};
    *schema = NULL;
    if (n_elements == 0) return error_set(GLIS_ECORRUPT, "the file has no schema");
    if (n_elements > ELEMENTS_MAX)
        return error_set(GLIS_ELIMIT, "the schema has more than %d elements", ELEMENTS_MAX);
    arena_init(&builder.types, NULL);
    metadata->annotations = (struct parquet_annotations){0, NULL};
    int code = build_fields(&builder, schema, nodes, metadata);
    arena_free(&builder.types);
    return code;
}
