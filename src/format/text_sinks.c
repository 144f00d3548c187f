/*
 * text_sinks.c: CSV and JSON lines out. Text is gathered in a buffer that goes out whenever it
 * passes 256 KiB.
 *
 * What is written reads back as the same rows. In CSV null is an empty field without quotes, so an
 * empty text is written as ""; a text that looks like the null text is quoted too.
 */
#include "base/json.h"
#include "format/format_int.h"

#include <stdlib.h>

enum { FLUSH_BYTES = 256 << 10, TEXT_BYTES_MAX = 1 << 30 };

struct text_sink {
    struct row_sink base;
    struct byte_sink *to;
    struct buffer text;
    struct slice *names; /* JSON: "{\"a\":", ",\"b\":", ... */
    struct arena arena;
    struct slice null_text;
    char delimiter;
};

static int flush(struct text_sink *sink, size_t at_least)
{
    if (sink->text.size < at_least) return 0;
    TRY(sink->to->write(sink->to, buffer_slice(&sink->text)));
    buffer_clear(&sink->text);
    return 0;
}

static int text_finish(struct row_sink *base)
{
    return flush((struct text_sink *)base, 1);
}

static void text_close(struct row_sink *base)
{
    struct text_sink *sink = (struct text_sink *)base;
    schema_release(base->schema);
    buffer_free(&sink->text);
    arena_free(&sink->arena);
    free(sink);
}

static struct text_sink *text_sink_new(struct byte_sink *to, const struct schema *schema,
                                       const struct output_options *options,
                                       int (*write)(struct row_sink *, const struct batch *))
{
    struct text_sink *sink = memory_alloc_zero(sizeof *sink);
    sink->base = (struct row_sink){schema_acquire(schema), write, text_finish, text_close};
    sink->to = to;
    sink->delimiter = options->csv_delimiter ? options->csv_delimiter : ',';
    arena_init(&sink->arena, NULL);
    sink->null_text = arena_copy(&sink->arena, options->csv_null_text);
    buffer_init(&sink->text, TEXT_BYTES_MAX, options->budget);
    return sink;
}

/* ---- CSV ---- */

static bool csv_needs_quotes(const struct text_sink *sink, struct slice text)
{
    if (text.size == 0 || slice_equal(text, sink->null_text)) return true;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == sink->delimiter || text.data[i] == '"' || text.data[i] == '\n' ||
            text.data[i] == '\r')
            return true;
    /* A reader would take it for a byte order mark. */
    return slice_starts_with(text, SLICE("\xEF\xBB\xBF"));
}

static int csv_append(struct text_sink *sink, struct slice text)
{
    struct buffer *out = &sink->text;
    if (!csv_needs_quotes(sink, text)) return buffer_append_slice(out, text);
    TRY(buffer_append_byte(out, '"'));
    while (text.size) {
        const char *quote = memchr(text.data, '"', text.size);
        size_t n = quote ? (size_t)(quote - text.data) + 1 : text.size;
        TRY(buffer_append(out, text.data, n));
        if (quote) TRY(buffer_append_byte(out, '"'));
        text = slice_part(text, n, text.size);
    }
    return buffer_append_byte(out, '"');
}

static int csv_append_entry(struct text_sink *sink, const struct column *column, int64_t row)
{
    if (column->type->kind == TYPE_NULL || column_is_null(column, row))
        return buffer_append_slice(&sink->text, sink->null_text);
    if (column->type->kind == TYPE_STRING && !column->dictionary)
        return csv_append(sink, column_slice_at(column, row));
    if (!column->type->n_children && column->type->kind != TYPE_STRUCT &&
        column->type->kind != TYPE_STRING && column->type->kind != TYPE_BYTES &&
        sink->delimiter == ',' && !sink->null_text.size)
        return column_append_text(column, row, &sink->text);
    struct buffer entry defer_buffer = BUFFER_INIT(TEXT_BYTES_MAX);
    entry.budget = sink->text.budget;
    TRY(column_append_text(column, row, &entry));
    return csv_append(sink, buffer_slice(&entry));
}

static int csv_write(struct row_sink *base, const struct batch *batch)
{
    struct text_sink *sink = (struct text_sink *)base;
    for (int64_t row = 0; row < batch->n_rows; row++) {
        for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
            if (i) TRY(buffer_append_byte(&sink->text, (uint8_t)sink->delimiter));
            TRY(csv_append_entry(sink, &batch->columns[i], row));
        }
        TRY(buffer_append_byte(&sink->text, '\n'));
        TRY(flush(sink, FLUSH_BYTES));
    }
    return 0;
}

int csv_sink_open(struct byte_sink *to, const struct schema *schema,
                  const struct output_options *options, struct row_sink **out)
{
    struct text_sink *sink = text_sink_new(to, schema, options, csv_write);
    int code = 0;
    for (uint32_t i = 0; i < schema->n_fields && code == 0 && !options->csv_no_header; i++) {
        if (i) code = buffer_append_byte(&sink->text, (uint8_t)sink->delimiter);
        if (code == 0) code = csv_append(sink, schema->fields[i].name);
    }
    if (code == 0 && !options->csv_no_header) code = buffer_append_byte(&sink->text, '\n');
    if (code < 0) {
        text_close(&sink->base);
        return code;
    }
    *out = &sink->base;
    return 0;
}

/* ---- JSON lines ---- */

static int jsonl_write(struct row_sink *base, const struct batch *batch)
{
    struct text_sink *sink = (struct text_sink *)base;
    for (int64_t row = 0; row < batch->n_rows; row++) {
        for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
            TRY(buffer_append_slice(&sink->text, sink->names[i]));
            TRY(column_append_json(&batch->columns[i], row, &sink->text));
        }
        TRY(buffer_append_text(&sink->text, batch->schema->n_fields ? "}\n" : "{}\n"));
        TRY(flush(sink, FLUSH_BYTES));
    }
    return 0;
}

int jsonl_sink_open(struct byte_sink *to, const struct schema *schema,
                    const struct output_options *options, struct row_sink **out)
{
    struct text_sink *sink = text_sink_new(to, schema, options, jsonl_write);
    sink->names = ARENA_ARRAY(&sink->arena, struct slice, schema->n_fields);
    int code = 0;
    for (uint32_t i = 0; i < schema->n_fields && code == 0; i++) {
        buffer_clear(&sink->text);
        code = buffer_append_byte(&sink->text, i ? ',' : '{');
        if (code == 0) code = json_append_string(&sink->text, schema->fields[i].name);
        if (code == 0) code = buffer_append_byte(&sink->text, ':');
        sink->names[i] = arena_copy(&sink->arena, buffer_slice(&sink->text));
    }
    buffer_clear(&sink->text);
    if (code < 0) {
        text_close(&sink->base);
        return code;
    }
    *out = &sink->base;
    return 0;
}
