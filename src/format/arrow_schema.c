/*
 * arrow_schema.c: a schema as Arrow's IPC schema message (Schema.fbs and Message.fbs of
 * https://github.com/apache/arrow/tree/main/format): the beginning of every Arrow stream, and in
 * base64 the metadata entry "ARROW:schema" of Parquet files, by which Arrow's readers know the
 * types that the file was made of.
 *
 * Intervals (months, days, milliseconds; of Parquet files only) have no equal in Arrow and go out
 * as 12 bytes each. What columns of a Parquet file are annotated as (UUID, JSON) is left to the
 * Parquet schema, where all readers find it: extension types of Arrow's stop some (polars 1.35).
 *
 * The other entries of the file are repeated in the message, as Arrow's writers do: its readers
 * take the metadata of a schema from there (what pandas left about its index, for one). More than
 * 4 MiB of them, or what is no text, is left to the file.
 *
 * Glis writes the entry and never reads it: the Parquet schema alone says what a file holds. The
 * entry may be stale (programs that copy metadata without looking), and what it could add (large
 * offsets, dictionaries, views) is layout in memory, not what values mean.
 */
#include "base/text.h"
#include "format/format_int.h"
#include "parquet/parquet.h"

#include <stdlib.h>

enum { METADATA_V5 = 4, ENTRIES_BYTES_MAX = 4 << 20 };

static uint32_t write_int_type(struct flatbuffer *fb, int32_t bits, bool is_signed, uint8_t *kind)
{
    *kind = ARROW_INT;
    flatbuffer_table_begin(fb);
    flatbuffer_field_i32(fb, 0, bits);
    flatbuffer_field_u8(fb, 1, is_signed);
    return flatbuffer_table_end(fb);
}

/* A table with one 16-bit field, or (width not 0) one of 32 bits as well. */
static uint32_t write_unit_type(struct flatbuffer *fb, int16_t unit, int32_t width)
{
    flatbuffer_table_begin(fb);
    flatbuffer_field_i16(fb, 0, unit);
    if (width) flatbuffer_field_i32(fb, 1, width);
    return flatbuffer_table_end(fb);
}

static uint32_t write_fixed_type(struct flatbuffer *fb, int32_t width, uint8_t *kind)
{
    *kind = ARROW_FIXED_SIZE_BINARY;
    flatbuffer_table_begin(fb);
    flatbuffer_field_i32(fb, 0, width);
    return flatbuffer_table_end(fb);
}

static uint32_t write_decimal_type(struct flatbuffer *fb, const struct type *type, uint8_t *kind)
{
    *kind = ARROW_DECIMAL;
    flatbuffer_table_begin(fb);
    flatbuffer_field_i32(fb, 0, type->precision);
    flatbuffer_field_i32(fb, 1, type->scale);
    flatbuffer_field_i32(fb, 2, type->kind == TYPE_DECIMAL ? 128 : 256);
    return flatbuffer_table_end(fb);
}

static uint32_t write_timestamp_type(struct flatbuffer *fb, const struct type *type, uint8_t *kind)
{
    *kind = ARROW_TIMESTAMP;
    uint32_t zone = type->utc ? flatbuffer_string(fb, SLICE("UTC")) : 0;
    flatbuffer_table_begin(fb);
    flatbuffer_field_i16(fb, 0,
                         (int16_t)(type->unit == UNIT_MILLI   ? 1
                                   : type->unit == UNIT_MICRO ? 2
                                                              : 3));
    if (zone) flatbuffer_field_offset(fb, 1, zone);
    return flatbuffer_table_end(fb);
}

static uint32_t write_empty_type(struct flatbuffer *fb, enum arrow_type arrow, uint8_t *kind)
{
    *kind = (uint8_t)arrow;
    flatbuffer_table_begin(fb);
    return flatbuffer_table_end(fb);
}

static uint32_t write_type(struct flatbuffer *fb, const struct type *type, uint8_t *kind)
{
    int16_t unit = (int16_t)(type->unit == UNIT_MILLI ? 1 : type->unit == UNIT_MICRO ? 2 : 3);
    switch (type->kind) {
    case TYPE_NULL: return write_empty_type(fb, ARROW_NULL, kind);
    case TYPE_BOOLEAN: return write_empty_type(fb, ARROW_BOOL, kind);
    case TYPE_INT8: return write_int_type(fb, 8, true, kind);
    case TYPE_INT16: return write_int_type(fb, 16, true, kind);
    case TYPE_INT32: return write_int_type(fb, 32, true, kind);
    case TYPE_INT64: return write_int_type(fb, 64, true, kind);
    case TYPE_UINT8: return write_int_type(fb, 8, false, kind);
    case TYPE_UINT16: return write_int_type(fb, 16, false, kind);
    case TYPE_UINT32: return write_int_type(fb, 32, false, kind);
    case TYPE_UINT64: return write_int_type(fb, 64, false, kind);
    case TYPE_FLOAT16:
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        *kind = ARROW_FLOATING_POINT;
        return write_unit_type(fb, (int16_t)(type->kind - TYPE_FLOAT16), 0);
    case TYPE_DATE: *kind = ARROW_DATE; return write_unit_type(fb, 0, 0);
    case TYPE_TIME:
        *kind = ARROW_TIME;
        return write_unit_type(fb, unit, type->unit == UNIT_MILLI ? 32 : 64);
    case TYPE_TIMESTAMP: return write_timestamp_type(fb, type, kind);
    case TYPE_DECIMAL:
    case TYPE_DECIMAL256: return write_decimal_type(fb, type, kind);
    case TYPE_STRING: return write_empty_type(fb, ARROW_UTF8, kind);
    case TYPE_BYTES: return write_empty_type(fb, ARROW_BINARY, kind);
    case TYPE_FIXED_BYTES: return write_fixed_type(fb, (int32_t)type->width, kind);
    case TYPE_INTERVAL: return write_fixed_type(fb, 12, kind);
    case TYPE_LIST: return write_empty_type(fb, ARROW_LIST, kind);
    case TYPE_STRUCT: return write_empty_type(fb, ARROW_STRUCT, kind);
    case TYPE_MAP:
        *kind = ARROW_MAP;
        flatbuffer_table_begin(fb);
        flatbuffer_field_u8(fb, 0, false);
        return flatbuffer_table_end(fb);
    }
    ASSERT(!"a kind of type");
    return 0;
}

static uint32_t write_pair(struct flatbuffer *fb, struct slice key, struct slice value)
{
    uint32_t value_at = flatbuffer_string(fb, value);
    uint32_t key_at = flatbuffer_string(fb, key);
    flatbuffer_table_begin(fb);
    flatbuffer_field_offset(fb, 0, key_at);
    flatbuffer_field_offset(fb, 1, value_at);
    return flatbuffer_table_end(fb);
}

/* A DictionaryEncoding with int32 indices. */
static uint32_t write_encoding(struct flatbuffer *fb, int64_t number)
{
    uint8_t kind;
    uint32_t indices = write_int_type(fb, 32, true, &kind);
    flatbuffer_table_begin(fb);
    flatbuffer_field_i64(fb, 0, number);
    flatbuffer_field_offset(fb, 1, indices);
    flatbuffer_field_u8(fb, 2, false);
    return flatbuffer_table_end(fb);
}

/* `dictionary`: its number, for a field that is one; else -1. */
static uint32_t write_field(struct flatbuffer *fb, const struct field *field, int64_t dictionary)
{
    uint32_t *children = memory_alloc_zero((field->type.n_children + 1) * sizeof *children);
    for (uint32_t i = 0; i < field->type.n_children; i++)
        children[i] = write_field(fb, &field->type.children[i], -1);
    uint32_t vector = flatbuffer_vector_of_offsets(fb, children, field->type.n_children);
    free(children);
    uint8_t kind = 0;
    uint32_t type = write_type(fb, &field->type, &kind);
    uint32_t name = flatbuffer_string(fb, field->name);
    uint32_t encoding = dictionary >= 0 ? write_encoding(fb, dictionary) : 0;
    flatbuffer_table_begin(fb);
    flatbuffer_field_offset(fb, 0, name);
    flatbuffer_field_u8(fb, 1, field->nullable);
    flatbuffer_field_u8(fb, 2, kind);
    flatbuffer_field_offset(fb, 3, type);
    if (encoding) flatbuffer_field_offset(fb, 4, encoding);
    flatbuffer_field_offset(fb, 5, vector);
    return flatbuffer_table_end(fb);
}

int arrow_message_end(struct flatbuffer *fb, uint8_t kind, uint32_t header, int64_t body_bytes,
                      uint32_t frame[2])
{
    flatbuffer_table_begin(fb);
    flatbuffer_field_i64(fb, 3, body_bytes);
    flatbuffer_field_offset(fb, 2, header);
    flatbuffer_field_i16(fb, 0, METADATA_V5);
    flatbuffer_field_u8(fb, 1, kind);
    flatbuffer_finish(fb, flatbuffer_table_end(fb));
    if (fb->overflow)
        return error_set(GLIS_ELIMIT, "Arrow metadata of more than %d bytes",
                         ARROW_MESSAGE_BYTES_MAX);
    frame[0] = UINT32_MAX;
    frame[1] = (uint32_t)flatbuffer_bytes(fb).size;
    return 0;
}

/* The vector of a file's key-value entries, as far as they are text; 0: none. */
static uint32_t write_entries(struct flatbuffer *fb, const struct parquet_key_value *entries,
                              uint32_t n)
{
    uint32_t *pairs = memory_alloc_zero(((size_t)n + 1) * sizeof *pairs), n_pairs = 0;
    for (uint32_t i = 0; i < n; i++)
        if (text_is_utf8(entries[i].key, NULL) && text_is_utf8(entries[i].value, NULL))
            pairs[n_pairs++] = write_pair(fb, entries[i].key, entries[i].value);
    uint32_t vector = n_pairs ? flatbuffer_vector_of_offsets(fb, pairs, n_pairs) : 0;
    free(pairs);
    return vector;
}

static int schema_message(const struct schema *schema, const bool *dictionaries,
                          const struct parquet_key_value *entries, uint32_t n_entries,
                          struct buffer *out)
{
    struct flatbuffer fb;
    flatbuffer_init(&fb, ARROW_MESSAGE_BYTES_MAX);
    uint32_t *fields = memory_alloc_zero((schema->n_fields + 1) * sizeof *fields);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        fields[i] =
            write_field(&fb, &schema->fields[i], dictionaries && dictionaries[i] ? (int64_t)i : -1);
    uint32_t vector = flatbuffer_vector_of_offsets(&fb, fields, schema->n_fields);
    free(fields);
    uint32_t metadata = write_entries(&fb, entries, n_entries);
    flatbuffer_table_begin(&fb);
    flatbuffer_field_offset(&fb, 1, vector);
    if (metadata) flatbuffer_field_offset(&fb, 2, metadata);
    flatbuffer_field_i16(&fb, 0, 0); /* little endian */
    uint32_t frame[2], header = flatbuffer_table_end(&fb);
    int code = arrow_message_end(&fb, ARROW_HEADER_SCHEMA, header, 0, frame);
    if (code == 0) code = buffer_append(out, frame, sizeof frame);
    if (code == 0) code = buffer_append_slice(out, flatbuffer_bytes(&fb));
    flatbuffer_free(&fb);
    return code;
}

int arrow_schema_message(const struct schema *schema, const bool *dictionaries, struct buffer *out)
{
    return schema_message(schema, dictionaries, NULL, 0, out);
}

int arrow_schema_add(struct parquet_writer *writer, const struct schema *schema)
{
    defer_buffer struct buffer message = BUFFER_INIT(ARROW_MESSAGE_BYTES_MAX + 16);
    defer_buffer struct buffer text = BUFFER_INIT(2 * ARROW_MESSAGE_BYTES_MAX);
    uint32_t n;
    const struct parquet_key_value *entries = parquet_writer_metadata(writer, &n);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += entries[i].key.size + entries[i].value.size;
    if (bytes > ENTRIES_BYTES_MAX) n = 0;
    TRY(schema_message(schema, NULL, entries, n, &message));
    TRY(text_base64_encode(&text, buffer_slice(&message)));
    return parquet_writer_add_metadata(writer, SLICE(ARROW_SCHEMA_KEY), buffer_slice(&text));
}
