/*
 * arrow_reader.c: the Arrow IPC streaming format, in: what arrow_sink.c writes, and what other
 * programs write of the same schema (https://arrow.apache.org/docs/format/Columnar.html).
 *
 * The stream's schema must be the one that the caller expects: names, order and types; a field may
 * be declared nullable where it is not expected to be, for many programs say so of everything, and
 * then no null may come. Names of elements, keys and values of lists and maps are free.
 * Dictionaries and compressed buffers are refused by name.
 *
 * All of it is hostile: a message's metadata is a flatbuffer in which every position is checked
 * against the message, lengths of buffers are checked against what their columns need, and the
 * batch is validated as a whole before anybody sees it. Buffers stay where they were read: one
 * block a message, shared by its columns; those that do not lie at a multiple of 8 bytes are
 * refused, as the format wants. A stream ends with its end mark; one that merely stops is cut
 * short.
 */
#include "format/format_int.h"

#include <stdlib.h>

#define BODY_BYTES_MAX (UINT64_C(4) << 30)

struct arrow_reader {
    struct batch_stream stream;
    struct byte_source *source;
    struct budget *budget;
    struct buffer metadata; /* of the message at hand */
    bool ended;
};

/* ---- flatbuffers ---- */

/* A table in a message; position 0 is the message's begin. `size` 0: absent. */
struct table {
    struct slice bytes;
    uint32_t at, vtable, vtable_size;
};

static bool get(struct slice bytes, uint64_t at, void *out, size_t size)
{
    if (at > bytes.size || size > bytes.size - at) return false;
    memcpy(out, bytes.data + at, size);
    return true;
}

static int damaged(const char *what)
{
    return error_set(GLIS_EDATA, "the Arrow stream is damaged: %s", what);
}

static int table_at(struct slice bytes, uint64_t at, struct table *out)
{
    int32_t back;
    uint16_t size;
    if (!get(bytes, at, &back, 4)) return damaged("a table lies outside of its message");
    int64_t vtable = (int64_t)at - back;
    if (vtable < 0 || !get(bytes, (uint64_t)vtable, &size, 2) || size < 4 ||
        (uint64_t)vtable + size > bytes.size)
        return damaged("a table's fields lie outside of its message");
    *out = (struct table){bytes, (uint32_t)at, (uint32_t)vtable, size};
    return 0;
}

/* The position of a field; 0 when it is absent. */
static uint64_t field_at(const struct table *table, unsigned field)
{
    uint16_t offset = 0;
    if (4 + 2 * field + 2 > table->vtable_size) return 0;
    if (!get(table->bytes, table->vtable + 4 + 2 * field, &offset, 2) || !offset) return 0;
    return (uint64_t)table->at + offset;
}

/* A number of 1, 2, 4 or 8 bytes, signed. */
static int field_number(const struct table *table, unsigned field, size_t size, int64_t absent,
                        int64_t *out)
{
    uint64_t at = field_at(table, field);
    uint64_t value = 0;
    *out = absent;
    if (!at) return 0;
    if (!get(table->bytes, at, &value, size)) return damaged("a number outside of its message");
    unsigned shift = 64 - 8 * (unsigned)size;
    *out = (int64_t)(value << shift) >> shift;
    return 0;
}

/* What a field refers to; 0 when it is absent. */
static int field_target(const struct table *table, unsigned field, uint64_t *out)
{
    uint32_t offset;
    uint64_t at = field_at(table, field);
    *out = 0;
    if (!at) return 0;
    if (!get(table->bytes, at, &offset, 4)) return damaged("a reference outside of its message");
    *out = at + offset;
    return 0;
}

static int field_table(const struct table *table, unsigned field, struct table *out)
{
    uint64_t at;
    TRY(field_target(table, field, &at));
    if (!at) return damaged("a part is missing");
    return table_at(table->bytes, at, out);
}

/* n entries of `size` bytes each, from *at on. */
static int field_vector(const struct table *table, unsigned field, size_t size, uint64_t *at,
                        uint32_t *n)
{
    *n = 0;
    TRY(field_target(table, field, at));
    if (!*at) return 0;
    if (!get(table->bytes, *at, n, 4)) return damaged("a list outside of its message");
    *at += 4;
    if ((uint64_t)*n * size > table->bytes.size - *at) return damaged("a list that is too long");
    return 0;
}

static int field_text(const struct table *table, unsigned field, struct slice *out)
{
    uint64_t at;
    uint32_t n;
    TRY(field_vector(table, field, 1, &at, &n));
    *out = n ? slice_make(table->bytes.data + at, n) : SLICE_EMPTY;
    return 0;
}

/* ---- the schema ---- */

static int unit_number(enum type_unit unit)
{
    return unit == UNIT_MILLI ? 1 : unit == UNIT_MICRO ? 2 : 3;
}

/* Whether the first fields of the type's table are these; sizes in bytes, absent as Schema.fbs
 * has it. */
static int same_numbers(const struct table *table, const size_t sizes[2], const int64_t absent[2],
                        const int64_t wanted[2], bool *same)
{
    *same = true;
    for (unsigned i = 0; i < 2; i++) {
        int64_t value = 0;
        if (!sizes[i]) continue;
        TRY(field_number(table, i, sizes[i], absent[i], &value));
        *same = *same && value == wanted[i];
    }
    return 0;
}

#define NUMBERS(...) ((const int64_t[2]){__VA_ARGS__})
#define SIZES(...)   ((const size_t[2]){__VA_ARGS__})

static int same_type(const struct table *table, int64_t kind, const struct type *type, bool *same)
{
    static const uint8_t bits[] = {
        [TYPE_INT8] = 8,  [TYPE_INT16] = 16,  [TYPE_INT32] = 32,  [TYPE_INT64] = 64,
        [TYPE_UINT8] = 8, [TYPE_UINT16] = 16, [TYPE_UINT32] = 32, [TYPE_UINT64] = 64};
    *same = false;
    switch (type->kind) {
    case TYPE_NULL: *same = kind == ARROW_NULL; return 0;
    case TYPE_BOOLEAN: *same = kind == ARROW_BOOL; return 0;
    case TYPE_STRING: *same = kind == ARROW_UTF8; return 0;
    case TYPE_BYTES: *same = kind == ARROW_BINARY; return 0;
    case TYPE_LIST: *same = kind == ARROW_LIST; return 0;
    case TYPE_MAP: *same = kind == ARROW_MAP; return 0;
    case TYPE_STRUCT: *same = kind == ARROW_STRUCT; return 0;
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_UINT8:
    case TYPE_UINT16:
    case TYPE_UINT32:
    case TYPE_UINT64:
        if (kind != ARROW_INT) return 0;
        return same_numbers(table, SIZES(4, 1), NUMBERS(0, 0),
                            NUMBERS(bits[type->kind], type->kind <= TYPE_INT64), same);
    case TYPE_FLOAT16:
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        if (kind != ARROW_FLOATING_POINT) return 0;
        return same_numbers(table, SIZES(2, 0), NUMBERS(0, 0),
                            NUMBERS(type->kind - TYPE_FLOAT16, 0), same);
    case TYPE_DATE:
        if (kind != ARROW_DATE) return 0;
        return same_numbers(table, SIZES(2, 0), NUMBERS(1, 0), NUMBERS(0, 0), same);
    case TYPE_TIME:
        if (kind != ARROW_TIME) return 0;
        return same_numbers(table, SIZES(2, 4), NUMBERS(1, 32),
                            NUMBERS(unit_number(type->unit), type->unit == UNIT_MILLI ? 32 : 64),
                            same);
    case TYPE_TIMESTAMP:
        if (kind != ARROW_TIMESTAMP || (field_at(table, 1) != 0) != type->utc) return 0;
        return same_numbers(table, SIZES(2, 0), NUMBERS(0, 0), NUMBERS(unit_number(type->unit), 0),
                            same);
    case TYPE_DECIMAL:
    case TYPE_DECIMAL256: {
        int64_t width;
        if (kind != ARROW_DECIMAL) return 0;
        TRY(field_number(table, 2, 4, 128, &width));
        if (width != (type->kind == TYPE_DECIMAL ? 128 : 256)) return 0;
        return same_numbers(table, SIZES(4, 4), NUMBERS(0, 0),
                            NUMBERS(type->precision, type->scale), same);
    }
    case TYPE_FIXED_BYTES:
    case TYPE_INTERVAL:
        if (kind != ARROW_FIXED_SIZE_BINARY) return 0;
        return same_numbers(table, SIZES(4, 0), NUMBERS(0, 0), NUMBERS(type_width(type), 0), same);
    }
    return 0;
}

static int check_field(const struct table *table, const struct field *field, bool named,
                       bool is_pair)
{
    struct slice name;
    int64_t nullable, kind;
    struct table type;
    TRY(field_text(table, 0, &name));
    TRY(field_number(table, 1, 1, 0, &nullable));
    TRY(field_number(table, 2, 1, 0, &kind));
    TRY(field_table(table, 3, &type));
    if (named && !slice_equal(name, field->name))
        return error_set(GLIS_EDATA, "a column is named '%.*s' where '%.*s' is expected",
                         SLICE_PRINT(slice_part(name, 0, 80)), SLICE_PRINT(field->name));
    if (field_at(table, 4))
        return error_set(GLIS_EUNSUPPORTED, "column '%.*s' comes with a dictionary",
                         SLICE_PRINT(field->name));
    bool same;
    TRY(same_type(&type, kind, &field->type, &same));
    uint64_t children;
    uint32_t n;
    TRY(field_vector(table, 5, 4, &children, &n));
    if (!same || n != field->type.n_children) {
        defer_arena struct arena arena = ARENA_EMPTY;
        return error_set(GLIS_EDATA, "column '%.*s' is not of the type that is expected, %s",
                         SLICE_PRINT(field->name), type_name(&field->type, &arena));
    }
    for (uint32_t i = 0; i < n; i++) {
        struct table child;
        uint32_t offset = 0;
        if (!get(table->bytes, children + 4 * i, &offset, 4)) return damaged("a child's place");
        TRY(table_at(table->bytes, children + 4 * i + offset, &child));
        /* the pair of a map has a key and a value whatever they are called */
        TRY(check_field(&child, &field->type.children[i],
                        field->type.kind == TYPE_STRUCT && !is_pair, field->type.kind == TYPE_MAP));
    }
    return 0;
}

static int check_schema(const struct table *header, const struct schema *schema)
{
    int64_t endianness;
    uint64_t fields;
    uint32_t n;
    TRY(field_number(header, 0, 2, 0, &endianness));
    if (endianness != 0) return error_set(GLIS_EUNSUPPORTED, "an Arrow stream in big-endian order");
    TRY(field_vector(header, 1, 4, &fields, &n));
    if (n != schema->n_fields)
        return error_set(GLIS_EDATA, "%u columns where %u are expected", n, schema->n_fields);
    for (uint32_t i = 0; i < n; i++) {
        struct table field;
        uint32_t offset = 0;
        if (!get(header->bytes, fields + 4 * i, &offset, 4)) return damaged("a field's place");
        TRY(table_at(header->bytes, fields + 4 * i + offset, &field));
        TRY(check_field(&field, &schema->fields[i], true, false));
    }
    return 0;
}

/* ---- messages ---- */

static int read_all(struct arrow_reader *reader, void *out, size_t size)
{
    size_t have = 0;
    while (have < size) {
        size_t got;
        TRY(reader->source->read(reader->source, (char *)out + have, size - have, &got));
        if (got == 0)
            return error_set(GLIS_EDATA, "the Arrow stream is cut short, without its end mark");
        have += got;
    }
    return 0;
}

struct message {
    int64_t kind, body_bytes;
    struct table header;
};

/* The next message's metadata; *ended at the end mark. */
static int read_message(struct arrow_reader *reader, struct message *out, bool *ended)
{
    uint32_t size;
    *ended = false;
    TRY(read_all(reader, &size, 4));
    if (size == UINT32_MAX) TRY(read_all(reader, &size, 4));
    if (size == 0) {
        *ended = true;
        return 0;
    }
    if (size > ARROW_MESSAGE_BYTES_MAX || size < 8) return damaged("the size of a message");
    buffer_clear(&reader->metadata);
    TRY(buffer_reserve(&reader->metadata, size));
    TRY(read_all(reader, reader->metadata.data, size));
    reader->metadata.size = size;
    struct slice bytes = buffer_slice(&reader->metadata);
    struct table root;
    uint32_t at = 0;
    if (!get(bytes, 0, &at, 4)) return damaged("the size of a message");
    TRY(table_at(bytes, at, &root));
    TRY(field_number(&root, 1, 1, 0, &out->kind));
    TRY(field_number(&root, 3, 8, 0, &out->body_bytes));
    if (out->body_bytes < 0 || (uint64_t)out->body_bytes > BODY_BYTES_MAX)
        return damaged("the size of a message's body");
    return field_table(&root, 2, &out->header);
}

/* ---- record batches ---- */

struct parts {
    struct slice bytes;
    uint64_t nodes, buffers;
    uint32_t n_nodes, n_buffers, node, buffer;
    struct block *body;
    struct budget *budget;
};

static int next_buffer(struct parts *parts, uint64_t least, struct column_buffer *out)
{
    int64_t place[2];
    if (parts->buffer == parts->n_buffers ||
        !get(parts->bytes, parts->buffers + 16 * (uint64_t)parts->buffer++, place, 16))
        return damaged("a buffer is missing");
    if (place[0] < 0 || place[1] < 0 || (uint64_t)place[0] > parts->body->size ||
        (uint64_t)place[1] > parts->body->size - (uint64_t)place[0])
        return damaged("a buffer lies outside of its message");
    if (place[0] % 8) return damaged("a buffer at no multiple of 8 bytes");
    if ((uint64_t)place[1] < least) return damaged("a buffer is too short for its column");
    *out = (struct column_buffer){block_acquire(parts->body), parts->body->data + place[0],
                                  (uint64_t)place[1]};
    return 0;
}

static void drop(struct column_buffer *buffer)
{
    block_release(buffer->block);
    *buffer = (struct column_buffer){NULL, NULL, 0};
}

static int read_offsets(struct parts *parts, struct column *column)
{
    uint64_t least = column->length ? 4 * ((uint64_t)column->length + 1) : 0;
    TRY(next_buffer(parts, least, &column->offsets));
    if (column->offsets.size >= 4) return 0;
    drop(&column->offsets); /* of no rows there may be none */
    TRY(block_new(&column->offsets.block, parts->budget, 4));
    memset(column->offsets.block->data, 0, 4);
    column->offsets.data = column->offsets.block->data;
    column->offsets.size = 4;
    return 0;
}

static int read_column(struct parts *parts, const struct type *type, struct column *column)
{
    int64_t node[2];
    *column = (struct column){.type = type};
    if (parts->node == parts->n_nodes ||
        !get(parts->bytes, parts->nodes + 16 * (uint64_t)parts->node++, node, 16))
        return damaged("a column is missing");
    if (node[0] < 0 || node[0] > INT32_MAX || node[1] < 0 || node[1] > node[0])
        return damaged("a column's length");
    column->length = node[0];
    column->null_count = node[1];
    uint64_t n = (uint64_t)node[0], bitmap = (n + 7) / 8;
    if (type->kind == TYPE_NULL) {
        column->null_count = node[0];
        return 0;
    }
    TRY(next_buffer(parts, column->null_count ? bitmap : 0, &column->validity));
    if (!column->null_count) drop(&column->validity);
    if (type_has_offsets(type)) TRY(read_offsets(parts, column));
    if (type->kind == TYPE_STRING || type->kind == TYPE_BYTES)
        TRY(next_buffer(parts, 0, &column->values));
    else if (type->kind == TYPE_BOOLEAN)
        TRY(next_buffer(parts, bitmap, &column->values));
    else if (!type->n_children)
        TRY(next_buffer(parts, n * type_width(type), &column->values));
    if (!type->n_children) return 0;
    column->children = memory_alloc_zero(type->n_children * sizeof *column->children);
    for (uint32_t i = 0; i < type->n_children; i++)
        column->children[i].type = &type->children[i].type;
    for (uint32_t i = 0; i < type->n_children; i++)
        TRY(read_column(parts, &type->children[i].type, &column->children[i]));
    return 0;
}

static int read_columns(struct arrow_reader *reader, const struct table *header,
                        struct parts *parts, struct batch **out)
{
    const struct schema *schema = reader->stream.schema;
    int64_t n_rows;
    TRY(field_number(header, 0, 8, 0, &n_rows));
    if (n_rows < 0 || n_rows > INT32_MAX) return damaged("the number of rows");
    if (field_at(header, 3)) return error_set(GLIS_EUNSUPPORTED, "compressed Arrow buffers");
    TRY(field_vector(header, 1, 16, &parts->nodes, &parts->n_nodes));
    TRY(field_vector(header, 2, 16, &parts->buffers, &parts->n_buffers));
    struct column *columns = memory_alloc_zero((schema->n_fields + 1) * sizeof *columns);
    int code = 0;
    uint32_t made = 0;
    while (made < schema->n_fields && code == 0) {
        struct column *column = &columns[made];
        code = read_column(parts, &schema->fields[made].type, column);
        made++;
        if (code == 0 && column->length != n_rows) code = damaged("columns of different lengths");
    }
    if (code == 0)
        code = batch_new(out, schema, columns, n_rows);
    else
        for (uint32_t i = 0; i < made; i++)
            column_free(&columns[i]);
    free(columns);
    if (code < 0) return code;
    code = batch_validate(*out, true);
    if (code == 0) return 0;
    batch_release(*out);
    *out = NULL;
    struct error_detail detail;
    error_save(&detail);
    detail.code = GLIS_EDATA;
    return error_load(&detail);
}

static int read_batch(struct arrow_reader *reader, const struct message *message,
                      struct batch **out)
{
    struct parts parts = {.bytes = message->header.bytes, .budget = reader->budget};
    TRY(block_new(&parts.body, reader->budget, (uint64_t)message->body_bytes));
    int code =
        message->body_bytes ? read_all(reader, parts.body->data, (size_t)message->body_bytes) : 0;
    if (code == 0) code = read_columns(reader, &message->header, &parts, out);
    block_release(parts.body);
    return code;
}

/* ---- the stream ---- */

static int arrow_reader_next(struct batch_stream *stream, struct batch **out)
{
    struct arrow_reader *reader = (struct arrow_reader *)stream;
    struct message message;
    *out = NULL;
    if (reader->ended) return 0;
    TRY_CONTEXT(read_message(reader, &message, &reader->ended), "%s", reader->source->name);
    if (reader->ended) return 0;
    int code = message.kind == ARROW_HEADER_RECORD_BATCH ? read_batch(reader, &message, out)
               : message.kind == ARROW_HEADER_DICTIONARY
                   ? error_set(GLIS_EUNSUPPORTED, "an Arrow stream with dictionaries")
                   : damaged("a message of an unknown kind");
    if (code < 0) error_context("%s", reader->source->name);
    return code;
}

static void arrow_reader_close(struct batch_stream *stream)
{
    struct arrow_reader *reader = (struct arrow_reader *)stream;
    byte_source_close(reader->source);
    buffer_free(&reader->metadata);
    schema_release(reader->stream.schema);
    free(reader);
}

static int read_schema(struct arrow_reader *reader)
{
    struct message message;
    bool ended;
    TRY(read_message(reader, &message, &ended));
    if (ended || message.kind != ARROW_HEADER_SCHEMA || message.body_bytes)
        return damaged("it does not begin with a schema");
    return check_schema(&message.header, reader->stream.schema);
}

int arrow_reader_open(struct byte_source *source, const struct schema *schema,
                      struct budget *budget, struct batch_stream **out)
{
    struct arrow_reader *reader = memory_alloc_zero(sizeof *reader);
    reader->stream =
        (struct batch_stream){schema_acquire(schema), arrow_reader_next, arrow_reader_close};
    reader->source = source;
    reader->budget = budget;
    buffer_init(&reader->metadata, ARROW_MESSAGE_BYTES_MAX, budget);
    int code = read_schema(reader);
    if (code < 0) {
        error_context("%s", source->name);
        arrow_reader_close(&reader->stream);
        return code;
    }
    *out = &reader->stream;
    return 0;
}
