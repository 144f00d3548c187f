/*
 * row_reader.c: what all readers of text have in common: batches are filled row by row up to a
 * number of rows or bytes, a bad row is told to whoever asked and left out, and key values are
 * brought under the table's rules where they are read.
 *
 * A bad row is found by the failure of whatever reads a value: GLIS_EDATA with its detail. Any
 * other failure (memory, the source) ends the stream. A stream that has failed stays so.
 */
#include "format/format_int.h"

#include <math.h>
#include <stdlib.h>

enum {
    BATCH_ROWS_DEFAULT = 65536,
    BATCH_BYTES_DEFAULT = 16 << 20,
    ROW_BYTES_DEFAULT = 64 << 20,
    BYTES_CHECK_EVERY = 256, /* rows between two looks at the bytes of a batch */
    SCRATCH_KEEP_BYTES = 64 << 10,
};

static int reader_next(struct batch_stream *stream, struct batch **out)
{
    struct row_reader *reader = (struct row_reader *)stream;
    *out = NULL;
    int64_t rows = 0;
    while (!reader->done && rows < reader->options.batch_rows) {
        if (reader->scratch.total_bytes > SCRATCH_KEEP_BYTES) arena_free(&reader->scratch);
        bool more = false;
        int code = reader->read_row(reader, &more);
        if (code < 0) {
            if (code == GLIS_ELIMIT)
                error_context("%s: line %lld", reader->window.source->name,
                              (long long)reader->line);
            reader->done = true;
            return code;
        }
        if (!more) reader->done = true;
        rows = batch_builder_rows(reader->builder);
        if (rows % BYTES_CHECK_EVERY == 0 &&
            batch_builder_bytes(reader->builder) >= reader->options.batch_bytes)
            break;
    }
    if (rows == 0) return 0;
    return batch_builder_finish(reader->builder, out);
}

int row_reader_init(struct row_reader *reader, struct byte_source *source,
                    const struct format_options *options)
{
    reader->options = options ? *options : (struct format_options){0};
    struct format_options *o = &reader->options;
    if (!o->csv_delimiter) o->csv_delimiter = ',';
    if (!o->batch_rows) o->batch_rows = BATCH_ROWS_DEFAULT;
    if (!o->batch_bytes) o->batch_bytes = BATCH_BYTES_DEFAULT;
    if (!o->row_bytes_max) o->row_bytes_max = ROW_BYTES_DEFAULT;
    reader->stream.next = reader_next;
    reader->stream.close = row_reader_close;
    reader->line = 1;
    arena_init(&reader->scratch, NULL);
    TRY(text_window_open(&reader->window, source, o->row_bytes_max, o->budget));
    TRY_CONTEXT(text_window_skip_mark(&reader->window), "%s", source->name);
    return 0;
}

int row_reader_begin(struct row_reader *reader, const struct schema *schema)
{
    reader->schema = schema_acquire(schema);
    reader->stream.schema = reader->schema;
    return batch_builder_new(&reader->builder, schema, reader->options.budget);
}

void row_reader_close(struct batch_stream *stream)
{
    struct row_reader *reader = (struct row_reader *)stream;
    if (reader->close) reader->close(reader);
    batch_builder_free(reader->builder);
    schema_release(reader->schema);
    text_window_close(&reader->window);
    arena_free(&reader->scratch);
    free(reader);
}

int row_reader_bad(struct row_reader *reader, int code, const char *field, struct slice text)
{
    batch_builder_drop_row(reader->builder);
    if (code != GLIS_EDATA) return code;
    reader->n_rows++;
    reader->n_bad++;
    struct error_detail detail;
    error_save(&detail);
    if (!reader->options.bad_row) {
        error_load(&detail);
        if (*field) error_context("field '%s'", field);
        error_context("line %lld", (long long)reader->line);
        error_context("%s", reader->window.source->name);
        return code;
    }
    struct format_bad_row bad = {
        .source = reader->window.source->name,
        .line = reader->line,
        .row = reader->n_rows - 1,
        .field = field,
        .reason = detail.text,
        .text = text,
    };
    return reader->options.bad_row(reader->options.bad_row_state, &bad);
}

struct format_progress format_reader_progress(const struct batch_stream *stream)
{
    const struct row_reader *reader = (const struct row_reader *)stream;
    return (struct format_progress){reader->window.bytes_read -
                                        (reader->window.end - reader->window.begin),
                                    reader->n_rows, reader->n_bad};
}

/* Bytes that a key value of fixed width takes in an encoded key (column.h, "keys"). */
static unsigned key_fixed_bytes(const struct type *type)
{
    switch (type->kind) {
    case TYPE_BOOLEAN: return 1;
    case TYPE_INT32:
    case TYPE_FLOAT:
    case TYPE_DATE: return 4;
    case TYPE_DECIMAL: return type->precision <= 9 ? 4 : type->precision <= 18 ? 8 : 16;
    default: return 8;
    }
}

int key_value_check(const struct type *type, struct value *value, uint64_t *key_bytes)
{
    if (value->is_null) return error_set(GLIS_EDATA, "a key cannot be null");
    switch (type->kind) {
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        if (isnan(value->real)) return error_set(GLIS_EDATA, "a key cannot be NaN");
        if (value->real == 0) value->real = 0;
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        *key_bytes += value->bytes.size + 2;
        for (const char *at = value->bytes.data, *end = at + value->bytes.size;
             at < end && (at = memchr(at, 0, (size_t)(end - at))); at++)
            ++*key_bytes; /* a zero byte takes two */
        return 0;
    default: break;
    }
    *key_bytes += key_fixed_bytes(type);
    return 0;
}

int key_size_check(uint64_t key_bytes)
{
    if (key_bytes <= KEY_BYTES_MAX) return 0;
    return error_set(GLIS_EDATA, "a key of more than %d bytes", KEY_BYTES_MAX);
}
