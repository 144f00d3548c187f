/*
 * arrow_sink.c: the Arrow IPC streaming format (https://arrow.apache.org/docs/format/Columnar.html,
 * "Serialization and Interprocess Communication"): a schema message, a record batch message for
 * each batch, an end mark. Metadata version 5, no compression, no dictionaries, buffers at
 * multiples of 8 bytes.
 *
 * Buffers go out as they lie in memory wherever they can. Only slices are copied: bitmaps that do
 * not begin at a byte, and offsets that do not begin at 0: at most the bitmaps and offsets of one
 * batch, which the budget has counted once already.
 *
 * Intervals (months, days, milliseconds; of Parquet files only) have no equal in Arrow and go out
 * as 12 bytes each.
 */
#include "format/flatbuffer.h"
#include "format/format_int.h"

#include <stdlib.h>

enum {
    METADATA_V5 = 4,
    HEADER_SCHEMA = 1,
    HEADER_RECORD_BATCH = 3,
    MESSAGE_BYTES_MAX = 64 << 20,
};

/* Numbers of the types in Arrow's Schema.fbs. */
enum arrow_type {
    ARROW_NULL = 1,
    ARROW_INT = 2,
    ARROW_FLOATING_POINT = 3,
    ARROW_BINARY = 4,
    ARROW_UTF8 = 5,
    ARROW_BOOL = 6,
    ARROW_DECIMAL = 7,
    ARROW_DATE = 8,
    ARROW_TIME = 9,
    ARROW_TIMESTAMP = 10,
    ARROW_LIST = 12,
    ARROW_STRUCT = 13,
    ARROW_FIXED_SIZE_BINARY = 15,
    ARROW_MAP = 17,
};

struct arrow_node {
    int64_t length, null_count;
};
struct arrow_buffer {
    int64_t offset, length;
};

/* A record batch being put together. */
struct record_batch {
    struct arena arena; /* copies, and the arrays below */
    struct arrow_node *nodes;
    struct arrow_buffer *buffers;
    struct slice *bytes; /* of each buffer */
    uint32_t n_nodes, n_buffers, nodes_max, buffers_max;
    int64_t body_bytes;
};

struct arrow_sink {
    struct row_sink base;
    struct byte_sink *to;
    struct budget *budget;
    uint32_t n_nodes, n_buffers; /* of every batch */
};

/* ---- the schema ---- */

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

static uint32_t write_field(struct flatbuffer *fb, const struct field *field)
{
    uint32_t *children = memory_alloc_zero((field->type.n_children + 1) * sizeof *children);
    for (uint32_t i = 0; i < field->type.n_children; i++)
        children[i] = write_field(fb, &field->type.children[i]);
    uint32_t vector = flatbuffer_vector_of_offsets(fb, children, field->type.n_children);
    free(children);
    uint8_t kind = 0;
    uint32_t type = write_type(fb, &field->type, &kind);
    uint32_t name = flatbuffer_string(fb, field->name);
    flatbuffer_table_begin(fb);
    flatbuffer_field_offset(fb, 0, name);
    flatbuffer_field_u8(fb, 1, field->nullable);
    flatbuffer_field_u8(fb, 2, kind);
    flatbuffer_field_offset(fb, 3, type);
    flatbuffer_field_offset(fb, 5, vector);
    return flatbuffer_table_end(fb);
}

/* Ends a message with the header at `header` and sends it. */
static int send_message(struct arrow_sink *sink, struct flatbuffer *fb, uint8_t kind,
                        uint32_t header, int64_t body_bytes)
{
    flatbuffer_table_begin(fb);
    flatbuffer_field_i64(fb, 3, body_bytes);
    flatbuffer_field_offset(fb, 2, header);
    flatbuffer_field_i16(fb, 0, METADATA_V5);
    flatbuffer_field_u8(fb, 1, kind);
    flatbuffer_finish(fb, flatbuffer_table_end(fb));
    if (fb->overflow)
        return error_set(GLIS_ELIMIT, "Arrow metadata of more than %d bytes", MESSAGE_BYTES_MAX);
    struct slice bytes = flatbuffer_bytes(fb);
    uint32_t frame[2] = {UINT32_MAX, (uint32_t)bytes.size};
    TRY(sink->to->write(sink->to, slice_make(frame, sizeof frame)));
    return sink->to->write(sink->to, bytes);
}

static int write_schema(struct arrow_sink *sink)
{
    const struct schema *schema = sink->base.schema;
    struct flatbuffer fb;
    flatbuffer_init(&fb, MESSAGE_BYTES_MAX);
    uint32_t *fields = memory_alloc_zero((schema->n_fields + 1) * sizeof *fields);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        fields[i] = write_field(&fb, &schema->fields[i]);
    uint32_t vector = flatbuffer_vector_of_offsets(&fb, fields, schema->n_fields);
    free(fields);
    flatbuffer_table_begin(&fb);
    flatbuffer_field_offset(&fb, 1, vector);
    flatbuffer_field_i16(&fb, 0, 0); /* little endian */
    uint32_t header = flatbuffer_table_end(&fb);
    int code = send_message(sink, &fb, HEADER_SCHEMA, header, 0);
    flatbuffer_free(&fb);
    return code;
}

/* ---- record batches ---- */

static void count_parts(const struct type *type, uint32_t *n_nodes, uint32_t *n_buffers)
{
    ++*n_nodes;
    *n_buffers += type->kind == TYPE_NULL                                 ? 0
                  : type->kind == TYPE_STRUCT                             ? 1
                  : type->kind == TYPE_STRING || type->kind == TYPE_BYTES ? 3
                                                                          : 2;
    for (uint32_t i = 0; i < type->n_children; i++)
        count_parts(&type->children[i].type, n_nodes, n_buffers);
}

static void add_buffer(struct record_batch *rb, const void *data, uint64_t size)
{
    ASSERT(rb->n_buffers < rb->buffers_max);
    rb->bytes[rb->n_buffers] = slice_make(data, size);
    rb->buffers[rb->n_buffers++] = (struct arrow_buffer){rb->body_bytes, (int64_t)size};
    rb->body_bytes += (int64_t)((size + 7) & ~(uint64_t)7);
}

/* Bits [first, first + n) as a bitmap of its own; in place when they begin at a byte. */
static int add_bits(struct record_batch *rb, const uint8_t *bits, int64_t first, int64_t n)
{
    uint64_t size = (uint64_t)(n + 7) / 8;
    bits += first / 8;
    unsigned shift = (unsigned)(first % 8);
    if (shift) {
        void *copy;
        TRY(arena_try_alloc(&rb->arena, size + 1, &copy));
        uint64_t last = (shift + (uint64_t)n + 7) / 8 - 1;
        for (uint64_t i = 0; i < size; i++)
            ((uint8_t *)copy)[i] =
                (uint8_t)(bits[i] >> shift | (i < last ? bits[i + 1] << (8 - shift) : 0));
        bits = copy;
    }
    add_buffer(rb, bits, size);
    return 0;
}

static int64_t count_zero_bits(const uint8_t *bits, int64_t first, int64_t n)
{
    int64_t ones = 0;
    for (int64_t i = first; i < first + n; i++) {
        if (i % 8 == 0 && i + 64 <= first + n) {
            uint64_t word;
            memcpy(&word, bits + i / 8, 8);
            ones += __builtin_popcountll(word);
            i += 63;
        } else {
            ones += bits[i / 8] >> (i % 8) & 1;
        }
    }
    return n - ones;
}

/* The offsets of entries [first, first + n), from 0; the children that they span in *begin and
 * *end. */
static int add_offsets(struct record_batch *rb, const struct column *column, int64_t first,
                       int64_t n, int32_t *begin, int32_t *end)
{
    static const int32_t zero = 0;
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data;
    if (!offsets || n == 0) {
        *begin = *end = 0;
        add_buffer(rb, &zero, sizeof zero);
        return 0;
    }
    offsets += first;
    *begin = offsets[0];
    *end = offsets[n];
    if (*begin) {
        void *copy;
        TRY(arena_try_alloc(&rb->arena, ((uint64_t)n + 1) * sizeof(int32_t), &copy));
        for (int64_t i = 0; i <= n; i++)
            ((int32_t *)copy)[i] = offsets[i] - *begin;
        offsets = copy;
    }
    add_buffer(rb, offsets, ((uint64_t)n + 1) * sizeof(int32_t));
    return 0;
}

/* Entries [first, first + n) of the buffers of a column (its own offset is part of `first`). */
static int add_column(struct record_batch *rb, const struct column *column, int64_t first,
                      int64_t n)
{
    const struct type *type = column->type;
    ASSERT(rb->n_nodes < rb->nodes_max && !column->dictionary);
    struct arrow_node *node = &rb->nodes[rb->n_nodes++];
    *node = (struct arrow_node){n, 0};
    if (type->kind == TYPE_NULL) {
        node->null_count = n;
        return 0;
    }
    if (column->validity.data && column->null_count)
        node->null_count = count_zero_bits(column->validity.data, first, n);
    if (node->null_count)
        TRY(add_bits(rb, column->validity.data, first, n));
    else
        add_buffer(rb, NULL, 0);
    int32_t begin, end;
    switch (type->kind) {
    case TYPE_BOOLEAN: return add_bits(rb, column->values.data, first, n);
    case TYPE_STRING:
    case TYPE_BYTES:
        TRY(add_offsets(rb, column, first, n, &begin, &end));
        add_buffer(rb, column->values.data ? column->values.data + begin : NULL,
                   (uint64_t)(end - begin));
        return 0;
    case TYPE_LIST:
    case TYPE_MAP:
        TRY(add_offsets(rb, column, first, n, &begin, &end));
        return add_column(rb, &column->children[0], column->children[0].offset + begin,
                          end - begin);
    case TYPE_STRUCT:
        for (uint32_t i = 0; i < type->n_children; i++)
            TRY(add_column(rb, &column->children[i], column->children[i].offset + first, n));
        return 0;
    default:
        add_buffer(rb, column->values.data ? column->values.data + first * type_width(type) : NULL,
                   (uint64_t)n * type_width(type));
        return 0;
    }
}

static int send_body(struct arrow_sink *sink, const struct record_batch *rb)
{
    static const char zeros[8];
    for (uint32_t i = 0; i < rb->n_buffers; i++) {
        if (rb->bytes[i].size == 0) continue;
        TRY(sink->to->write(sink->to, rb->bytes[i]));
        size_t rest = -rb->bytes[i].size & 7;
        if (rest) TRY(sink->to->write(sink->to, slice_make(zeros, rest)));
    }
    return 0;
}

static int send_batch(struct arrow_sink *sink, struct record_batch *rb, int64_t n_rows)
{
    struct flatbuffer fb;
    flatbuffer_init(&fb, MESSAGE_BYTES_MAX);
    uint32_t buffers =
        flatbuffer_vector_of_structs(&fb, rb->buffers, rb->n_buffers, sizeof *rb->buffers);
    uint32_t nodes = flatbuffer_vector_of_structs(&fb, rb->nodes, rb->n_nodes, sizeof *rb->nodes);
    flatbuffer_table_begin(&fb);
    flatbuffer_field_i64(&fb, 0, n_rows);
    flatbuffer_field_offset(&fb, 1, nodes);
    flatbuffer_field_offset(&fb, 2, buffers);
    uint32_t header = flatbuffer_table_end(&fb);
    int code = send_message(sink, &fb, HEADER_RECORD_BATCH, header, rb->body_bytes);
    flatbuffer_free(&fb);
    TRY(code);
    return send_body(sink, rb);
}

/* Plain columns for those with a dictionary, in `plain`, which the caller frees. */
static int add_columns(struct arrow_sink *sink, struct record_batch *rb, const struct batch *batch,
                       struct column *plain)
{
    for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
        const struct column *column = &batch->columns[i];
        if (column->dictionary) {
            TRY(column_share(&plain[i], column));
            TRY(column_decode_dictionary(&plain[i], sink->budget));
            column = &plain[i];
        }
        TRY(add_column(rb, column, column->offset, column->length));
    }
    return 0;
}

static int arrow_write(struct row_sink *base, const struct batch *batch)
{
    struct arrow_sink *sink = (struct arrow_sink *)base;
    struct record_batch rb = {.nodes_max = sink->n_nodes, .buffers_max = sink->n_buffers};
    arena_init(&rb.arena, NULL);
    rb.nodes = ARENA_ARRAY(&rb.arena, struct arrow_node, sink->n_nodes);
    rb.buffers = ARENA_ARRAY(&rb.arena, struct arrow_buffer, sink->n_buffers);
    rb.bytes = ARENA_ARRAY(&rb.arena, struct slice, sink->n_buffers);
    uint32_t n_fields = batch->schema->n_fields;
    struct column *plain = ARENA_ARRAY(&rb.arena, struct column, n_fields);
    int code = add_columns(sink, &rb, batch, plain);
    if (code == 0) code = send_batch(sink, &rb, batch->n_rows);
    for (uint32_t i = 0; i < n_fields; i++)
        if (plain[i].type) column_free(&plain[i]);
    arena_free(&rb.arena);
    return code;
}

static int arrow_finish(struct row_sink *base)
{
    struct arrow_sink *sink = (struct arrow_sink *)base;
    uint32_t end[2] = {UINT32_MAX, 0};
    return sink->to->write(sink->to, slice_make(end, sizeof end));
}

static void arrow_close(struct row_sink *base)
{
    schema_release(base->schema);
    free(base);
}

int arrow_sink_open(struct byte_sink *to, const struct schema *schema,
                    const struct output_options *options, struct row_sink **out)
{
    struct arrow_sink *sink = memory_alloc_zero(sizeof *sink);
    sink->base = (struct row_sink){schema_acquire(schema), arrow_write, arrow_finish, arrow_close};
    sink->to = to;
    sink->budget = options->budget;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        count_parts(&schema->fields[i].type, &sink->n_nodes, &sink->n_buffers);
    int code = write_schema(sink);
    if (code < 0) {
        arrow_close(&sink->base);
        return code;
    }
    *out = &sink->base;
    return 0;
}
