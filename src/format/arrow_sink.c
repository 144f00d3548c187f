/*
 * arrow_sink.c: the Arrow IPC streaming format (https://arrow.apache.org/docs/format/Columnar.html,
 * "Serialization and Interprocess Communication"): a schema message (arrow_schema.c), a message for
 * each batch, an end mark. Metadata version 5, no compression, buffers at multiples of 8 bytes.
 *
 * Buffers go out as they lie in memory wherever they can. Only slices are copied: bitmaps that do
 * not begin at a byte, and offsets that do not begin at 0: at most the bitmaps and offsets of one
 * batch, which the budget has counted once already.
 *
 * Fields that are to be dictionaries have a message with their dictionary before the first batch,
 * and before each one that refers to another, which then takes the place of the one before. A
 * column that comes plain is its own dictionary.
 */
#include "format/format_int.h"

#include <stdlib.h>

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
    uint32_t n_nodes, n_buffers; /* of every batch, at most */
    bool *dictionaries;          /* one a field; NULL: none */
    struct column *sent;         /* of each field the dictionary that holds; no type: none */
};

/* Ends a message with the header at `header` and sends it. */
static int send_message(struct arrow_sink *sink, struct flatbuffer *fb, uint8_t kind,
                        uint32_t header, int64_t body_bytes)
{
    uint32_t frame[2];
    TRY(arrow_message_end(fb, kind, header, body_bytes, frame));
    TRY(sink->to->write(sink->to, slice_make(frame, sizeof frame)));
    return sink->to->write(sink->to, flatbuffer_bytes(fb));
}

static int write_schema(struct arrow_sink *sink)
{
    defer_buffer struct buffer message = BUFFER_INIT(ARROW_MESSAGE_BYTES_MAX + 16);
    TRY(arrow_schema_message(sink->base.schema, sink->dictionaries, &message));
    return sink->to->write(sink->to, buffer_slice(&message));
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

/* A record batch, or (dictionary at least 0) that dictionary. */
static int send_batch(struct arrow_sink *sink, struct record_batch *rb, int64_t n_rows,
                      int64_t dictionary)
{
    uint8_t kind = ARROW_HEADER_RECORD_BATCH;
    struct flatbuffer fb;
    flatbuffer_init(&fb, ARROW_MESSAGE_BYTES_MAX);
    uint32_t buffers =
        flatbuffer_vector_of_structs(&fb, rb->buffers, rb->n_buffers, sizeof *rb->buffers);
    uint32_t nodes = flatbuffer_vector_of_structs(&fb, rb->nodes, rb->n_nodes, sizeof *rb->nodes);
    flatbuffer_table_begin(&fb);
    flatbuffer_field_i64(&fb, 0, n_rows);
    flatbuffer_field_offset(&fb, 1, nodes);
    flatbuffer_field_offset(&fb, 2, buffers);
    uint32_t header = flatbuffer_table_end(&fb);
    if (dictionary >= 0) {
        kind = ARROW_HEADER_DICTIONARY;
        flatbuffer_table_begin(&fb);
        flatbuffer_field_i64(&fb, 0, dictionary);
        flatbuffer_field_offset(&fb, 1, header);
        flatbuffer_field_u8(&fb, 2, false); /* takes the place of the one before */
        header = flatbuffer_table_end(&fb);
    }
    int code = send_message(sink, &fb, kind, header, rb->body_bytes);
    flatbuffer_free(&fb);
    TRY(code);
    return send_body(sink, rb);
}

/* ---- dictionaries ---- */

static void record_begin(struct record_batch *rb, uint32_t n_nodes, uint32_t n_buffers)
{
    *rb = (struct record_batch){.nodes_max = n_nodes, .buffers_max = n_buffers};
    arena_init(&rb->arena, NULL);
    rb->nodes = ARENA_ARRAY(&rb->arena, struct arrow_node, n_nodes);
    rb->buffers = ARENA_ARRAY(&rb->arena, struct arrow_buffer, n_buffers);
    rb->bytes = ARENA_ARRAY(&rb->arena, struct slice, n_buffers);
}

static void forget_sent(struct column *sent)
{
    if (sent->type) column_free(sent);
    *sent = (struct column){.type = NULL};
}

/* The dictionary that a column refers to, unless it is the one that the reader has. */
static int send_dictionary(struct arrow_sink *sink, uint32_t field, const struct column *column)
{
    struct column *sent = &sink->sent[field], entries;
    const struct column *dictionary = column->dictionary;
    if (dictionary && sent->type && sent->length == dictionary->length &&
        sent->offset == dictionary->offset && sent->offsets.data == dictionary->offsets.data &&
        sent->values.data == dictionary->values.data)
        return 0;
    forget_sent(sent);
    TRY(column_share(&entries, dictionary ? dictionary : column));
    if (!dictionary) entries.null_count = 0; /* nothing refers to those that are null */
    struct record_batch rb;
    record_begin(&rb, 1, 3);
    int code = add_column(&rb, &entries, entries.offset, entries.length);
    if (code == 0) code = send_batch(sink, &rb, entries.length, field);
    arena_free(&rb.arena);
    if (code == 0 && dictionary)
        *sent = entries; /* shared: nothing else can come to lie there */
    else
        column_free(&entries);
    return code;
}

/* A column's indices; those of a plain column count its rows. */
static int add_indices(struct record_batch *rb, const struct column *column)
{
    static const struct type int32 = {.kind = TYPE_INT32};
    struct column indices = *column;
    int64_t n = column->length;
    indices.type = &int32;
    indices.dictionary = NULL;
    if (column->dictionary) return add_column(rb, &indices, column->offset, n);
    void *memory;
    TRY(arena_try_alloc(&rb->arena, (size_t)n * 4 + 1, &memory));
    for (int64_t i = 0; i < n; i++)
        ((int32_t *)memory)[i] = (int32_t)i;
    indices.values.data = NULL;
    TRY(add_column(rb, &indices, column->offset, n));
    rb->bytes[rb->n_buffers - 1] = slice_make(memory, (size_t)n * 4);
    return 0;
}

/* ---- rows ---- */

/* Plain columns for those with a dictionary, in `plain`, which the caller frees. */
static int add_columns(struct arrow_sink *sink, struct record_batch *rb, const struct batch *batch,
                       struct column *plain)
{
    for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
        const struct column *column = &batch->columns[i];
        if (sink->dictionaries && sink->dictionaries[i]) {
            TRY(add_indices(rb, column));
            continue;
        }
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
    uint32_t n_fields = batch->schema->n_fields;
    for (uint32_t i = 0; sink->dictionaries && i < n_fields; i++)
        if (sink->dictionaries[i]) TRY(send_dictionary(sink, i, &batch->columns[i]));
    struct record_batch rb;
    record_begin(&rb, sink->n_nodes, sink->n_buffers);
    struct column *plain = ARENA_ARRAY(&rb.arena, struct column, n_fields);
    int code = add_columns(sink, &rb, batch, plain);
    if (code == 0) code = send_batch(sink, &rb, batch->n_rows, -1);
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
    struct arrow_sink *sink = (struct arrow_sink *)base;
    for (uint32_t i = 0; sink->sent && i < base->schema->n_fields; i++)
        forget_sent(&sink->sent[i]);
    free(sink->sent);
    free(sink->dictionaries);
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
    if (options->arrow_dictionaries) {
        size_t n = schema->n_fields;
        sink->sent = memory_alloc_zero((n + 1) * sizeof *sink->sent);
        sink->dictionaries = memory_alloc_zero(n + 1);
        for (size_t i = 0; i < n; i++)
            sink->dictionaries[i] =
                options->arrow_dictionaries[i] && (schema->fields[i].type.kind == TYPE_STRING ||
                                                   schema->fields[i].type.kind == TYPE_BYTES);
    }
    int code = write_schema(sink);
    if (code < 0) {
        arrow_close(&sink->base);
        return code;
    }
    *out = &sink->base;
    return 0;
}
