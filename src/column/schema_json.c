/*
 * schema_json.c: schema.json, both ways (docs/formats.md, "Schemas").
 *
 *   {"rowKeyFields":[{"name":"key","type":"StringType"}],"sortKeyFields":[],"valueFields":[...]}
 *
 * A type is a name, or an object with one field: {"DecimalType":{"precision":10,"scale":2}},
 * {"ListType":{"elementType":T,"nullable":true}}, {"MapType":{"keyType":T,"valueType":T,
 * "nullable":true}}, {"StructType":{"fields":[{"name":...,"type":T,"nullable":true}]}}; "nullable"
 * speaks of elements and of a map's values, and is false where it is left out.
 */
#include "base/json.h"
#include "base/text.h"
#include "column/column_int.h"

#define NAMES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__       \
    }

static const struct {
    const char *name;
    struct type type;
} scalars[] = {
    {"IntType", {.kind = TYPE_INT32}},
    {"LongType", {.kind = TYPE_INT64}},
    {"StringType", {.kind = TYPE_STRING}},
    {"ByteArrayType", {.kind = TYPE_BYTES}},
    {"BooleanType", {.kind = TYPE_BOOLEAN}},
    {"FloatType", {.kind = TYPE_FLOAT}},
    {"DoubleType", {.kind = TYPE_DOUBLE}},
    {"DateType", {.kind = TYPE_DATE}},
    {"TimestampType", {.kind = TYPE_TIMESTAMP, .unit = UNIT_MICRO, .utc = true}},
};
enum { N_SCALARS = sizeof scalars / sizeof scalars[0] };

static int read_type(const struct json *json, struct arena *arena, unsigned depth,
                     struct type *out);

static int read_field(const struct json *json, struct arena *arena, unsigned depth,
                      struct field *out)
{
    const struct json *type;
    *out = (struct field){.nullable = false};
    TRY(json_as_object(json));
    TRY(json_check_names(json, NAMES("name", "type", "nullable"), 3));
    TRY(json_get_string(json, "name", &out->name));
    if (out->name.size == 0 || out->name.size > 1024)
        return json_fail(json_find(json, "name"), "a name has 1 to 1,024 bytes");
    for (size_t i = 0; i < out->name.size; i++)
        if ((unsigned char)out->name.data[i] < 0x20 || out->name.data[i] == 0x7f)
            return json_fail(json_find(json, "name"), "a name has no control characters");
    TRY(json_get(json, "type", &type));
    TRY(json_optional_bool(json, "nullable", &out->nullable));
    return read_type(type, arena, depth, &out->type);
}

static int read_fields(const struct json *array, struct arena *arena, unsigned depth,
                       struct field *out)
{
    for (size_t i = 0; i < array->n_items; i++)
        TRY(read_field(&array->items[i], arena, depth, &out[i]));
    return 0;
}

static int read_decimal(const struct json *json, struct type *out)
{
    int64_t precision, scale = 0;
    TRY(json_as_object(json));
    TRY(json_check_names(json, NAMES("precision", "scale"), 2));
    TRY(json_get_int(json, "precision", 1, 38, &precision));
    TRY(json_optional_int(json, "scale", 0, precision, &scale));
    *out = (struct type){
        .kind = TYPE_DECIMAL, .precision = (uint8_t)precision, .scale = (uint8_t)scale};
    return 0;
}

static int read_list(const struct json *json, struct arena *arena, unsigned depth, struct type *out)
{
    struct type element;
    const struct json *type;
    bool nullable = false;
    TRY(json_as_object(json));
    TRY(json_check_names(json, NAMES("elementType", "nullable"), 2));
    TRY(json_get(json, "elementType", &type));
    TRY(json_optional_bool(json, "nullable", &nullable));
    TRY(read_type(type, arena, depth + 1, &element));
    *out = type_list(arena, element, nullable);
    return 0;
}

static int read_map(const struct json *json, struct arena *arena, unsigned depth, struct type *out)
{
    struct type key, value;
    const struct json *type;
    bool nullable = false;
    TRY(json_as_object(json));
    TRY(json_check_names(json, NAMES("keyType", "valueType", "nullable"), 3));
    TRY(json_get(json, "keyType", &type));
    TRY(read_type(type, arena, depth + 1, &key));
    TRY(json_get(json, "valueType", &type));
    TRY(json_optional_bool(json, "nullable", &nullable));
    TRY(read_type(type, arena, depth + 1, &value));
    *out = type_map(arena, key, value, nullable);
    return 0;
}

static int read_struct(const struct json *json, struct arena *arena, unsigned depth,
                       struct type *out)
{
    const struct json *array;
    TRY(json_as_object(json));
    TRY(json_check_names(json, NAMES("fields"), 1));
    TRY(json_get_array(json, "fields", &array));
    if (array->n_items == 0 || array->n_items > SCHEMA_FIELDS_MAX)
        return json_fail(array, "a struct has 1 to %d fields", SCHEMA_FIELDS_MAX);
    struct field *fields = ARENA_ARRAY(arena, struct field, array->n_items);
    TRY(read_fields(array, arena, depth + 1, fields));
    for (size_t i = 0; i < array->n_items; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_equal(fields[i].name, fields[j].name))
                return json_fail(&array->items[i], "two fields are called '%.*s'",
                                 SLICE_PRINT(fields[i].name));
    *out = (struct type){
        .kind = TYPE_STRUCT, .n_children = (uint32_t)array->n_items, .children = fields};
    return 0;
}

static int read_type(const struct json *json, struct arena *arena, unsigned depth, struct type *out)
{
    if (json->type == JSON_TYPE_STRING) {
        for (int i = 0; i < N_SCALARS; i++) {
            if (!slice_equal_text(json->text, scalars[i].name)) continue;
            *out = scalars[i].type;
            return 0;
        }
        const char *known[N_SCALARS];
        for (int i = 0; i < N_SCALARS; i++)
            known[i] = scalars[i].name;
        const char *nearest = text_closest(json->text, known, N_SCALARS);
        return json_fail(
            json, "unknown type '%.*s'%s%s%s", SLICE_PRINT(slice_part(json->text, 0, 64)),
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    if (json->type != JSON_TYPE_OBJECT || json->n_items != 1)
        return json_fail(json, "a type is a name, or an object with one field");
    TRY(json_check_names(json, NAMES("DecimalType", "ListType", "MapType", "StructType"), 4));
    const struct json *inner = &json->items[0];
    if (slice_equal_text(inner->name, "DecimalType")) return read_decimal(inner, out);
    if (depth >= TYPE_DEPTH_MAX) return json_fail(json, "nested deeper than %d", TYPE_DEPTH_MAX);
    if (slice_equal_text(inner->name, "ListType")) return read_list(inner, arena, depth, out);
    if (slice_equal_text(inner->name, "MapType")) return read_map(inner, arena, depth, out);
    return read_struct(inner, arena, depth, out);
}

int schema_from_json(struct slice text, struct schema **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    static const char *const names[] = {"rowKeyFields", "sortKeyFields", "valueFields"};
    const struct json *json, *arrays[3] = {NULL, NULL, NULL};
    size_t counts[3] = {0, 0, 0}, n = 0;
    TRY(json_parse(&arena, text, JSON_RULES_USER, &json));
    TRY(json_as_object(json));
    TRY(json_check_names(json, names, 3));
    for (int a = 0; a < 3; a++) {
        if (a == 0)
            TRY(json_get_array(json, names[a], &arrays[a]));
        else
            TRY(json_optional_array(json, names[a], &arrays[a]));
        if (arrays[a]) counts[a] = arrays[a]->n_items;
        n += counts[a];
    }
    if (n > SCHEMA_FIELDS_MAX) return json_fail(json, "more than %d fields", SCHEMA_FIELDS_MAX);
    struct field *fields = ARENA_ARRAY(&arena, struct field, n + 1);
    for (size_t a = 0, at = 0; a < 3; at += counts[a++])
        if (counts[a]) TRY(read_fields(arrays[a], &arena, 0, fields + at));
    struct schema *schema;
    TRY(schema_new(&schema, fields, (uint32_t)n, (uint32_t)counts[0], (uint32_t)counts[1]));
    int code = schema_validate_table(schema);
    if (code < 0) {
        schema_release(schema);
        return code;
    }
    *out = schema;
    return 0;
}

/* ---- writing ---- */

static void write_type(struct json_writer *writer, const struct type *type);

static void write_field(struct json_writer *writer, const struct field *field)
{
    json_write_object_begin(writer);
    json_write_field_string(writer, "name", field->name);
    json_write_name(writer, "type");
    write_type(writer, &field->type);
    if (field->nullable) json_write_field_bool(writer, "nullable", true);
    json_write_object_end(writer);
}

static void write_nested(struct json_writer *writer, const struct type *type)
{
    const struct field *child = &type->children[0];
    bool nullable = false;
    json_write_object_begin(writer);
    if (type->kind == TYPE_LIST) {
        json_write_name(writer, "elementType");
        write_type(writer, &child->type);
        nullable = child->nullable;
    } else if (type->kind == TYPE_MAP) {
        json_write_name(writer, "keyType");
        write_type(writer, &child->type.children[0].type);
        json_write_name(writer, "valueType");
        write_type(writer, &child->type.children[1].type);
        nullable = child->type.children[1].nullable;
    } else {
        json_write_name(writer, "fields");
        json_write_array_begin(writer);
        for (uint32_t i = 0; i < type->n_children; i++)
            write_field(writer, &type->children[i]);
        json_write_array_end(writer);
    }
    if (nullable) json_write_field_bool(writer, "nullable", true);
    json_write_object_end(writer);
}

static void write_type(struct json_writer *writer, const struct type *type)
{
    for (int i = 0; i < N_SCALARS; i++) {
        if (scalars[i].type.kind != type->kind) continue;
        json_write_text(writer, scalars[i].name);
        return;
    }
    json_write_object_begin(writer);
    if (type->kind == TYPE_DECIMAL) {
        json_write_name(writer, "DecimalType");
        json_write_object_begin(writer);
        json_write_field_int(writer, "precision", type->precision);
        json_write_field_int(writer, "scale", type->scale);
        json_write_object_end(writer);
    } else {
        json_write_name(writer, type->kind == TYPE_LIST  ? "ListType"
                                : type->kind == TYPE_MAP ? "MapType"
                                                         : "StructType");
        write_nested(writer, type);
    }
    json_write_object_end(writer);
}

int schema_to_json(const struct schema *schema, struct buffer *out)
{
    static const char *const names[] = {"rowKeyFields", "sortKeyFields", "valueFields"};
    uint32_t ends[] = {schema->n_row_keys, schema_key_count(schema), schema->n_fields};
    struct json_writer writer;
    TRY(schema_validate_table(schema));
    json_writer_init(&writer, out, 0);
    json_write_object_begin(&writer);
    for (uint32_t a = 0, i = 0; a < 3; a++) {
        json_write_name(&writer, names[a]);
        json_write_array_begin(&writer);
        for (; i < ends[a]; i++)
            write_field(&writer, &schema->fields[i]);
        json_write_array_end(&writer);
    }
    json_write_object_end(&writer);
    return json_writer_finish(&writer);
}
