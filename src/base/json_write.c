/*
 * json_write.c: writing JSON as a stream of calls.
 *
 * The writer knows for each open level whether it is an object and whether it has an item, which is
 * all that commas and line breaks need. Calls in an order that would not give JSON (a value in an
 * object without a name, an end of the wrong kind) are our own mistakes and end the process; what
 * depends on data, the buffer's maximum and the depth, becomes the writer's failure.
 */
#include "base/json.h"
#include "base/text.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool begin_value(struct json_writer *writer);
static void begin_item(struct json_writer *writer);
static void note(struct json_writer *writer, int code);
static void open_level(struct json_writer *writer, char kind);
static void close_level(struct json_writer *writer, char kind);
static int append_escaped(struct buffer *out, struct slice value);
static int append_valid(struct buffer *out, struct slice value);

void json_writer_init(struct json_writer *writer, struct buffer *out, unsigned indent)
{
    writer->out = out;
    writer->indent = indent;
    writer->depth = 0;
    writer->after_name = false;
    writer->code = 0;
}

int json_writer_finish(struct json_writer *writer)
{
    if (writer->code < 0) return error_load(&writer->failure);
    ASSERT(writer->depth == 0 && !writer->after_name);
    return 0;
}

void json_write_object_begin(struct json_writer *writer)
{
    open_level(writer, '{');
}

void json_write_object_end(struct json_writer *writer)
{
    close_level(writer, '{');
}

void json_write_array_begin(struct json_writer *writer)
{
    open_level(writer, '[');
}

void json_write_array_end(struct json_writer *writer)
{
    close_level(writer, '[');
}

void json_write_name(struct json_writer *writer, const char *name)
{
    json_write_name_slice(writer, slice_from_text(name));
}

void json_write_name_slice(struct json_writer *writer, struct slice name)
{
    if (writer->code < 0) return;
    ASSERT(writer->depth > 0 && writer->kinds[writer->depth - 1] == '{' && !writer->after_name);
    begin_item(writer);
    note(writer, json_append_string(writer->out, name));
    note(writer, buffer_append(writer->out, ": ", writer->indent ? 2 : 1));
    writer->after_name = true;
}

void json_write_string(struct json_writer *writer, struct slice value)
{
    if (begin_value(writer)) note(writer, json_append_string(writer->out, value));
}

void json_write_text(struct json_writer *writer, const char *value)
{
    json_write_string(writer, slice_from_text(value));
}

void json_write_int(struct json_writer *writer, int64_t value)
{
    if (begin_value(writer)) note(writer, buffer_printf(writer->out, "%" PRId64, value));
}

void json_write_uint(struct json_writer *writer, uint64_t value)
{
    if (begin_value(writer)) note(writer, buffer_printf(writer->out, "%" PRIu64, value));
}

void json_write_double(struct json_writer *writer, double value)
{
    if (begin_value(writer)) note(writer, json_append_double(writer->out, value));
}

void json_write_bool(struct json_writer *writer, bool value)
{
    json_write_raw(writer, value ? SLICE("true") : SLICE("false"));
}

void json_write_null(struct json_writer *writer)
{
    json_write_raw(writer, SLICE("null"));
}

void json_write_raw(struct json_writer *writer, struct slice json_text)
{
    if (begin_value(writer)) note(writer, buffer_append_slice(writer->out, json_text));
}

/* Recursion is as deep as the tree, which json_parse has bounded. */
void json_write_value(struct json_writer *writer, const struct json *value)
{
    switch (value->type) {
    case JSON_TYPE_NULL: json_write_null(writer); break;
    case JSON_TYPE_BOOL: json_write_bool(writer, value->boolean); break;
    case JSON_TYPE_INT: json_write_int(writer, value->integer); break;
    case JSON_TYPE_DOUBLE: json_write_double(writer, value->number); break;
    case JSON_TYPE_STRING: json_write_string(writer, value->text); break;
    case JSON_TYPE_ARRAY:
        json_write_array_begin(writer);
        for (size_t i = 0; i < value->n_items; i++)
            json_write_value(writer, &value->items[i]);
        json_write_array_end(writer);
        break;
    case JSON_TYPE_OBJECT:
        json_write_object_begin(writer);
        for (size_t i = 0; i < value->n_items; i++) {
            json_write_name_slice(writer, value->items[i].name);
            json_write_value(writer, &value->items[i]);
        }
        json_write_object_end(writer);
        break;
    }
}

void json_write_field_string(struct json_writer *writer, const char *name, struct slice value)
{
    json_write_name(writer, name);
    json_write_string(writer, value);
}

void json_write_field_text(struct json_writer *writer, const char *name, const char *value)
{
    json_write_name(writer, name);
    json_write_text(writer, value);
}

void json_write_field_int(struct json_writer *writer, const char *name, int64_t value)
{
    json_write_name(writer, name);
    json_write_int(writer, value);
}

void json_write_field_uint(struct json_writer *writer, const char *name, uint64_t value)
{
    json_write_name(writer, name);
    json_write_uint(writer, value);
}

void json_write_field_double(struct json_writer *writer, const char *name, double value)
{
    json_write_name(writer, name);
    json_write_double(writer, value);
}

void json_write_field_bool(struct json_writer *writer, const char *name, bool value)
{
    json_write_name(writer, name);
    json_write_bool(writer, value);
}

void json_write_field_null(struct json_writer *writer, const char *name)
{
    json_write_name(writer, name);
    json_write_null(writer);
}

int json_append_string(struct buffer *out, struct slice value)
{
    size_t before = out->size;
    int code = buffer_append_byte(out, '"');
    if (code == 0) code = append_escaped(out, value);
    if (code == 0) code = buffer_append_byte(out, '"');
    if (code < 0) out->size = before;
    return code;
}

int json_append_double(struct buffer *out, double value)
{
    if (isnan(value)) return buffer_append_text(out, "\"NaN\"");
    if (isinf(value)) return buffer_append_text(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    char text[40];
    if (value == floor(value) && fabs(value) < 1e15) {
        snprintf(text, sizeof(text), "%.1f", value);
        return buffer_append_text(out, text);
    }
    /* Fifteen digits are always held, but by the numbers next to zero. */
    int digits = fabs(value) < DBL_MIN ? 1 : 15;
    for (; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    TRY(buffer_append_text(out, text));
    return strpbrk(text, ".e") ? 0 : buffer_append_text(out, ".0");
}

/* Puts what stands before a value; false when the writer has failed. */
static bool begin_value(struct json_writer *writer)
{
    if (writer->code < 0) return false;
    if (writer->depth > 0 && writer->kinds[writer->depth - 1] == '{') {
        ASSERT(writer->after_name);
        writer->after_name = false;
    } else if (writer->depth > 0) {
        begin_item(writer);
    }
    return writer->code == 0;
}

/* The comma and the new line before an item of the innermost level. */
static void begin_item(struct json_writer *writer)
{
    unsigned level = writer->depth - 1;
    if (writer->filled[level]) note(writer, buffer_append_byte(writer->out, ','));
    writer->filled[level] = true;
    if (writer->indent)
        note(writer,
             buffer_printf(writer->out, "\n%*s", (int)(writer->indent * writer->depth), ""));
}

static void open_level(struct json_writer *writer, char kind)
{
    if (!begin_value(writer)) return;
    if (writer->depth == JSON_WRITER_DEPTH_MAX) {
        note(writer,
             error_set(GLIS_ELIMIT, "JSON nested deeper than %d levels", JSON_WRITER_DEPTH_MAX));
        return;
    }
    note(writer, buffer_append_byte(writer->out, (uint8_t)kind));
    writer->kinds[writer->depth] = (uint8_t)kind;
    writer->filled[writer->depth++] = false;
}

static void close_level(struct json_writer *writer, char kind)
{
    if (writer->code < 0) return;
    ASSERT(writer->depth > 0 && writer->kinds[writer->depth - 1] == (uint8_t)kind);
    ASSERT(!writer->after_name);
    writer->depth--;
    if (writer->indent && writer->filled[writer->depth])
        note(writer,
             buffer_printf(writer->out, "\n%*s", (int)(writer->indent * writer->depth), ""));
    note(writer, buffer_append_byte(writer->out, kind == '{' ? '}' : ']'));
}

static void note(struct json_writer *writer, int code)
{
    if (code >= 0 || writer->code < 0) return;
    writer->code = code;
    error_save(&writer->failure);
}

static int append_escaped(struct buffer *out, struct slice value)
{
    size_t bad;
    while (!text_is_utf8(value, &bad)) {
        TRY(append_valid(out, slice_part(value, 0, bad)));
        TRY(buffer_append_text(out, "\xEF\xBF\xBD"));
        value = slice_part(value, bad + 1, value.size);
    }
    return append_valid(out, value);
}

static int append_valid(struct buffer *out, struct slice value)
{
    size_t start = 0;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = (uint8_t)value.data[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) continue;
        TRY(buffer_append(out, value.data + start, i - start));
        start = i + 1;
        static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
        const char *form = NULL;
        for (const char *pair = short_forms; *pair; pair += 2) {
            if ((uint8_t)*pair == c) form = pair + 1;
        }
        if (form) {
            uint8_t escape[2] = {'\\', (uint8_t)*form};
            TRY(buffer_append(out, escape, 2));
        } else {
            TRY(buffer_printf(out, "\\u%04x", c));
        }
    }
    return buffer_append(out, value.data ? value.data + start : NULL, value.size - start);
}
