/*
 * batches.h: batches by hand for the tests of the column module. Rows are written as JSON with '
 * for ", one value of one column after another: "[1,null,'x',[1,2]]". A list is an array, a map an
 * array of pairs, a struct an array of its members; decimals are their unscaled digits in quotes,
 * and so are types that lie in memory as bytes. What comes out is read straight from the buffers as
 * Arrow's columnar format describes them, so that nothing of the code under test reads its own
 * writing.
 */
#ifndef GLIS_TESTS_BATCHES_H
#define GLIS_TESTS_BATCHES_H

#include "base/json.h"
#include "column/column.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A type with at least eight of its values, nulls among them. */
struct sample {
    const char *name;
    struct type type;
    const char *values;
};

static inline struct type plain_type(enum type_kind kind)
{
    return (struct type){.kind = kind};
}

static inline struct type timed_type(enum type_kind kind, enum type_unit unit, bool utc)
{
    return (struct type){.kind = kind, .unit = unit, .utc = utc};
}

static inline struct type decimal_type(enum type_kind kind, unsigned precision, unsigned scale)
{
    return (struct type){.kind = kind, .precision = (uint8_t)precision, .scale = (uint8_t)scale};
}

static inline struct type struct_type(struct arena *arena, struct type a, struct type b)
{
    struct field *fields = ARENA_ARRAY(arena, struct field, 2);
    fields[0] = (struct field){SLICE("a"), a, true};
    fields[1] = (struct field){SLICE("b"), b, true};
    return (struct type){.kind = TYPE_STRUCT, .n_children = 2, .children = fields};
}

/* One of every kind of type, nested ones too; in the arena. */
static inline const struct sample *samples(struct arena *arena, size_t *n)
{
    struct type ints = plain_type(TYPE_INT32), text = plain_type(TYPE_STRING);
    struct type list = type_list(arena, ints, true), texts = type_list(arena, text, true);
    struct type map = type_map(arena, text, ints, true);
    struct type pair = struct_type(arena, ints, text);
    struct type fixed = {.kind = TYPE_FIXED_BYTES, .width = 3};
    const struct sample all[] = {
        {"null", plain_type(TYPE_NULL), "[null,null,null,null,null,null,null,null]"},
        {"boolean", plain_type(TYPE_BOOLEAN), "[1,0,null,1,1,0,null,0,1]"},
        {"int8", plain_type(TYPE_INT8), "[1,-128,null,127,0,-1,null,5]"},
        {"int16", plain_type(TYPE_INT16), "[1,-32768,null,32767,0,-1,null,5]"},
        {"int32", ints, "[1,-2147483648,null,2147483647,0,-1,null,5]"},
        {"int64", plain_type(TYPE_INT64),
         "[1,-9223372036854775807,null,9223372036854775807,0,-1,2,3]"},
        {"uint8", plain_type(TYPE_UINT8), "[1,255,null,0,7,8,9,null]"},
        {"uint16", plain_type(TYPE_UINT16), "[1,65535,null,0,7,8,9,null]"},
        {"uint32", plain_type(TYPE_UINT32), "[1,4294967295,null,0,7,8,9,null]"},
        {"uint64", plain_type(TYPE_UINT64), "[1,9223372036854775807,null,0,7,8,9,null]"},
        {"float16", plain_type(TYPE_FLOAT16), "['ab','cd',null,'ef','gh','ij',null,'kl']"},
        {"float", plain_type(TYPE_FLOAT), "[1.5,-2.25,null,0.5,1024.125,-0.5,null,3.5]"},
        {"double", plain_type(TYPE_DOUBLE), "[1.5,-2.25,null,0.5,1024.125,-0.5,null,3.5]"},
        {"date", plain_type(TYPE_DATE), "[0,-1,null,20778,1,2,3,null]"},
        {"time", timed_type(TYPE_TIME, UNIT_MILLI, false), "[0,1,null,86399999,5,6,7,null]"},
        {"long time", timed_type(TYPE_TIME, UNIT_NANO, false), "[0,1,null,86399999999999,5,6,7,8]"},
        {"instant", timed_type(TYPE_TIMESTAMP, UNIT_MICRO, true),
         "[0,-1,null,1795255200000000,5,6,7,8]"},
        {"reading", timed_type(TYPE_TIMESTAMP, UNIT_NANO, false),
         "[0,-1,null,1795255200000000,5,6,7,8]"},
        {"decimal", decimal_type(TYPE_DECIMAL, 38, 2),
         "['1','-99999999999999999999999999999999999999',null,'0','125','7','8',null]"},
        {"decimal256", decimal_type(TYPE_DECIMAL256, 40, 0),
         "['01234567890123456789012345678901',null,'abcdefghijklmnopqrstuvwxyz012345',null,"
         "'01234567890123456789012345678901','x1234567890123456789012345678901',null,null]"},
        {"string", text, "['a','',null,'bc','a text of more than sixteen bytes','d',null,'e']"},
        {"bytes", plain_type(TYPE_BYTES),
         "['a','',null,'bc','0123456789abcdefghijklm','d',null,'e']"},
        {"fixed bytes", fixed, "['abc','def',null,'ghi','jkl','mno',null,'pqr']"},
        {"interval", plain_type(TYPE_INTERVAL),
         "['123456789012',null,'abcdefghijkl',null,null,null,null,null]"},
        {"list", list, "[[1,2],[],null,[3,null],[4,5,6,7],null,[8],[9]]"},
        {"list of texts", texts, "[['a','bc'],[],null,['',null],['d','e','f'],null,['g'],['h']]"},
        {"list of lists", type_list(arena, list, true),
         "[[[1],[2,3]],[],null,[null,[]],[[4,null]],[[5],[6],[7]],null,[[8]]]"},
        {"map", map,
         "[[['k',1]],[],null,[['a',null],['b',2]],[['c',3]],null,[['d',4]],[['e',5],['f',6]]]"},
        {"struct", pair, "[[1,'a'],[null,'b'],null,[3,null],[null,null],[5,'e'],null,[7,'g']]"},
        {"struct of list and map", struct_type(arena, list, map),
         "[[[1],[['k',1]]],[null,null],null,[[],[]],[[2,null],[['a',null]]],null,"
         "[[3],null],[null,[['b',2]]]]"},
        {"list of structs", type_list(arena, pair, true),
         "[[[1,'a'],[2,'b']],[],null,[null,[3,null]],[[4,'d']],null,[[5,'e']],[[null,'f']]]"},
    };
    struct sample *out = ARENA_ARRAY(arena, struct sample, COUNT(all));
    memcpy(out, all, sizeof all);
    *n = COUNT(all);
    return out;
}

/* ---- in ---- */

static inline const struct json *json_of(struct arena *arena, const char *text)
{
    char *copy = arena_copy_text(arena, slice_from_text(text));
    const struct json *json;
    for (char *at = copy; *at; at++)
        if (*at == '\'') *at = '"';
    assert_ok(json_parse(arena, slice_from_text(copy), JSON_RULES_USER, &json));
    return json;
}

static inline int128 digits_of(struct slice text)
{
    bool negative = text.size && text.data[0] == '-';
    int128 value = 0;
    for (size_t i = negative; i < text.size; i++)
        value = value * 10 + (text.data[i] - '0');
    return negative ? -value : value;
}

static inline int append_json(struct column_builder *builder, const struct json *json)
{
    const struct type *type = column_builder_type(builder);
    if (json->type == JSON_TYPE_NULL) return column_builder_append_null(builder);
    if (json->type == JSON_TYPE_INT && type->kind != TYPE_FLOAT && type->kind != TYPE_DOUBLE)
        return column_builder_append_integer(builder, json->integer);
    if (json->type == JSON_TYPE_INT)
        return column_builder_append_real(builder, (double)json->integer);
    if (json->type == JSON_TYPE_DOUBLE) return column_builder_append_real(builder, json->number);
    if (type->kind == TYPE_DECIMAL)
        return column_builder_append_decimal(builder, digits_of(json->text));
    if (json->type == JSON_TYPE_STRING) return column_builder_append_bytes(builder, json->text);
    for (size_t i = 0; i < json->n_items; i++) {
        const struct json *item = &json->items[i];
        if (type->kind == TYPE_STRUCT) {
            TRY(append_json(column_builder_child(builder, (uint32_t)i), item));
        } else {
            TRY(append_json(column_builder_child(builder, 0), item)); /* a pair is a struct */
        }
    }
    return column_builder_end(builder);
}

static inline struct schema *schema_with(struct type type, bool nullable)
{
    struct field field = {SLICE("v"), type, nullable};
    struct schema *schema;
    assert_ok(schema_new(&schema, &field, 1, 0, 0));
    return schema;
}

/* A batch of one nullable column, "v". */
static inline struct batch *batch_of(struct type type, const char *values)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json = json_of(&arena, values);
    struct schema *schema = schema_with(type, true);
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (size_t i = 0; i < json->n_items; i++)
        assert_ok(append_json(batch_builder_column(builder, 0), &json->items[i]));
    assert_ok(batch_builder_finish(builder, &batch));
    assert_ok(batch_validate(batch, true));
    assert_int_equal(batch->n_rows, json->n_items);
    batch_builder_free(builder);
    schema_release(schema);
    return batch;
}

/* ---- out ---- */

/* The text that a value of a JSON literal has in entry_text. */
static inline void literal_text(const struct json *json, struct buffer *out)
{
    switch (json->type) {
    case JSON_TYPE_NULL: assert_ok(buffer_append_text(out, "null")); return;
    case JSON_TYPE_INT: assert_ok(buffer_printf(out, "%lld", (long long)json->integer)); return;
    case JSON_TYPE_DOUBLE: assert_ok(buffer_printf(out, "%a", json->number)); return;
    case JSON_TYPE_STRING: assert_ok(buffer_printf(out, "'%.*s'", SLICE_PRINT(json->text))); return;
    default: break;
    }
    assert_ok(buffer_append_text(out, "["));
    for (size_t i = 0; i < json->n_items; i++) {
        if (i) assert_ok(buffer_append_text(out, ","));
        literal_text(&json->items[i], out);
    }
    assert_ok(buffer_append_text(out, "]"));
}

static inline void unscaled_text(const uint8_t *bytes, struct buffer *out)
{
    int128 value;
    char digits[48];
    size_t n = sizeof digits;
    memcpy(&value, bytes, 16);
    bool negative = value < 0;
    for (int128 left = value; left || n == sizeof digits; left /= 10)
        digits[--n] = (char)('0' + (int)(negative ? -(left % 10) : left % 10));
    assert_ok(
        buffer_printf(out, "'%s%.*s'", negative ? "-" : "", (int)(sizeof digits - n), digits + n));
}

/* Entry i of the buffers themselves (the column's offset is added already). */
static inline void entry_text(const struct column *column, int64_t i, struct buffer *out)
{
    const uint8_t *valid = column->validity.data, *values = column->values.data;
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data;
    const struct type *type = column->type;
    unsigned width = type_width(type);
    if (type->kind == TYPE_NULL || (valid && !(valid[i / 8] >> i % 8 & 1))) {
        assert_ok(buffer_append_text(out, "null"));
        return;
    }
    if (column->dictionary) {
        int32_t index;
        memcpy(&index, values + 4 * i, 4);
        entry_text(column->dictionary, column->dictionary->offset + index, out);
        return;
    }
    switch (type->kind) {
    case TYPE_BOOLEAN: assert_ok(buffer_printf(out, "%d", values[i / 8] >> i % 8 & 1)); return;
    case TYPE_FLOAT: {
        float real;
        memcpy(&real, values + 4 * i, 4);
        assert_ok(buffer_printf(out, "%a", (double)real));
        return;
    }
    case TYPE_DOUBLE: {
        double real;
        memcpy(&real, values + 8 * i, 8);
        assert_ok(buffer_printf(out, "%a", real));
        return;
    }
    case TYPE_DECIMAL: unscaled_text(values + 16 * i, out); return;
    case TYPE_STRING:
    case TYPE_BYTES:
        assert_ok(buffer_printf(out, "'%.*s'", offsets[i + 1] - offsets[i],
                                (const char *)values + offsets[i]));
        return;
    case TYPE_FLOAT16:
    case TYPE_DECIMAL256:
    case TYPE_FIXED_BYTES:
    case TYPE_INTERVAL:
        assert_ok(buffer_printf(out, "'%.*s'", (int)width, (const char *)values + width * i));
        return;
    case TYPE_LIST:
    case TYPE_MAP:
        assert_ok(buffer_append_text(out, "["));
        for (int32_t e = offsets[i]; e < offsets[i + 1]; e++) {
            if (e > offsets[i]) assert_ok(buffer_append_text(out, ","));
            entry_text(&column->children[0], column->children[0].offset + e, out);
        }
        assert_ok(buffer_append_text(out, "]"));
        return;
    case TYPE_STRUCT:
        assert_ok(buffer_append_text(out, "["));
        for (uint32_t c = 0; c < type->n_children; c++) {
            if (c) assert_ok(buffer_append_text(out, ","));
            entry_text(&column->children[c], column->children[c].offset + i, out);
        }
        assert_ok(buffer_append_text(out, "]"));
        return;
    default: break;
    }
    bool is_unsigned = type->kind >= TYPE_UINT8 && type->kind <= TYPE_UINT64;
    int64_t integer = 0;
    memcpy(&integer, values + width * i, width);
    if (width < 8 && !is_unsigned && integer >> (8 * width - 1)) integer -= INT64_C(1) << 8 * width;
    assert_ok(buffer_printf(out, "%lld", (long long)integer));
}

/* Entry `row` of the column is the literal. */
static inline void assert_entry(const struct column *column, int64_t row,
                                const struct json *expected)
{
    struct buffer is defer_buffer = BUFFER_INIT(1 << 16),
                     wanted defer_buffer = BUFFER_INIT(1 << 16);
    entry_text(column, column->offset + row, &is);
    literal_text(expected, &wanted);
    assert_ok(buffer_append_byte(&is, 0));
    assert_ok(buffer_append_byte(&wanted, 0));
    assert_string_equal((const char *)is.data, (const char *)wanted.data);
}

/* The batch is sound, and its column "v" has exactly these values. */
static inline void assert_values(const struct batch *batch, const char *values)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json = json_of(&arena, values);
    assert_ok(batch_validate(batch, true));
    assert_int_equal(batch->n_rows, json->n_items);
    for (size_t i = 0; i < json->n_items; i++)
        assert_entry(&batch->columns[0], (int64_t)i, &json->items[i]);
}

#endif
