/*
 * csv_reader.c: CSV as RFC 4180 has it, as batches of a table's schema.
 *
 * A row is cut into fields first, in place: a field is a part of the window, and only one with
 * doubled quotes is copied. When the window ends within a row, more is read and the row is cut
 * again from its beginning. Then each field is read by the type of its column. What RFC 4180 leaves
 * open: LF, CRLF and CR CR LF end rows; an empty line is skipped when there is more than one
 * column; a quote within an unquoted field, and text behind a closing quote, make a bad row; a row
 * with more or fewer fields than the header is a bad row.
 *
 * An unquoted empty field is null in a nullable column and the empty string in a required string;
 * quoted it is always the empty text.
 */
#include "base/text.h"
#include "format/format_int.h"

#include <stdlib.h>

/* One field of the row at hand. */
struct csv_field {
    const char *data; /* without the outer quotes */
    uint32_t size;
    bool quoted;
    bool doubled; /* has doubled quotes */
};

enum { CSV_COLUMNS_MAX = 65536, CSV_IGNORED = UINT16_MAX };

struct csv_reader {
    struct row_reader base;
    struct csv_field *fields; /* of the row at hand */
    uint32_t n_fields, capacity;
    uint32_t n_columns;    /* of the header */
    uint16_t *targets;     /* field of the schema for each column, or CSV_IGNORED */
    const char *row_error; /* what is wrong with the row as a whole */
    int64_t lines_taken;
    int64_t row_lines; /* line ends within the row at hand and at its end */
};

/* ---- cutting rows ---- */

static struct csv_field *new_field(struct csv_reader *reader)
{
    if (reader->n_fields == reader->capacity) {
        if (reader->n_fields >= CSV_COLUMNS_MAX) return NULL;
        reader->capacity = reader->capacity ? reader->capacity * 2 : 32;
        reader->fields = memory_realloc(reader->fields, reader->capacity * sizeof *reader->fields);
    }
    return &reader->fields[reader->n_fields++];
}

/* From behind the opening quote to behind the closing one; NULL when the text ends before. */
static const char *cut_quoted(struct csv_reader *reader, const char *p, const char *end,
                              struct csv_field *field)
{
    field->data = p;
    field->quoted = true;
    for (;;) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (!quote) return NULL;
        for (const char *line = p; (line = memchr(line, '\n', (size_t)(quote - line))); line++)
            reader->row_lines++;
        if (quote + 1 < end && quote[1] == '"') {
            field->doubled = true;
            p = quote + 2;
            continue;
        }
        /* A quote as the last byte at hand may be the first half of a doubled one. */
        if (quote + 1 == end && !reader->base.window.at_end) return NULL;
        field->size = (uint32_t)(quote - field->data);
        return quote + 1;
    }
}

/* Cuts the row at `p`. *next is where the row after it begins, NULL when the window ends before the
 * row does. */
static void cut_row(struct csv_reader *reader, const char *p, const char *end, const char **next)
{
    char delimiter = reader->base.options.csv_delimiter;
    reader->n_fields = 0;
    reader->row_error = NULL;
    reader->row_lines = 0;
    *next = NULL;
    for (;;) {
        struct csv_field *field = new_field(reader);
        struct csv_field spare;
        if (!field) {
            field = &spare;
            reader->row_error = "more than 65536 fields";
        }
        *field = (struct csv_field){.data = p};
        if (p < end && *p == '"') {
            p = cut_quoted(reader, p + 1, end, field);
            if (!p && !reader->base.window.at_end) return;
            if (!p) {
                reader->row_error = "a quoted field without end";
                field->size = 0;
                *next = end;
                return;
            }
            const char *rest = p;
            while (p < end && *p != delimiter && *p != '\n')
                p++;
            size_t extra = (size_t)(p - rest);
            if (extra && p < end && *p == '\n' && p[-1] == '\r') extra--;
            if (p == end && extra == 1 && *rest == '\r') extra = 0;
            if (extra) reader->row_error = "text behind the closing quote of a field";
        } else {
            bool quote = false;
            while (p < end && *p != delimiter && *p != '\n')
                quote |= *p++ == '"';
            if (quote) reader->row_error = "a quote within a field that does not begin with one";
            field->size = (uint32_t)(p - field->data);
            if ((p == end || *p == '\n') && field->size && p[-1] == '\r') field->size--;
        }
        if (p == end) {
            if (reader->base.window.at_end) *next = end;
            return;
        }
        if (*p++ == '\n') {
            reader->row_lines++;
            *next = p;
            return;
        }
    }
}

/* The next row, its text included; *more = false at the end. */
static int next_row(struct csv_reader *reader, struct slice *row, bool *more)
{
    struct text_window *window = &reader->base.window;
    for (;;) {
        reader->base.line = reader->lines_taken + 1;
        const char *begin = window->data + window->begin, *end = window->data + window->end;
        const char *next = NULL;
        if (begin == end && window->at_end) {
            *more = false;
            return 0;
        }
        if (begin < end) cut_row(reader, begin, end, &next);
        if (!next) {
            TRY(text_window_fill(window));
            continue;
        }
        window->begin += (size_t)(next - begin);
        reader->lines_taken += reader->row_lines;
        *row = slice_make(begin, (size_t)(next - begin));
        while (row->size && (row->data[row->size - 1] == '\n' || row->data[row->size - 1] == '\r'))
            row->size--;
        if (row->size == 0 && reader->n_columns != 1) continue;
        *more = true;
        return 0;
    }
}

/* A field's text; doubled quotes become single ones in scratch. */
static struct slice field_text(struct csv_reader *reader, const struct csv_field *field)
{
    if (!field->doubled) return slice_make(field->data, field->size);
    char *text = arena_alloc(&reader->base.scratch, field->size), *to = text;
    for (uint32_t i = 0; i < field->size; i++) {
        *to++ = field->data[i];
        if (field->data[i] == '"') i++;
    }
    return slice_make(text, (size_t)(to - text));
}

/* ---- reading rows ---- */

static int read_nested(struct csv_reader *reader, struct slice text, uint32_t target,
                       struct column_builder *builder)
{
    const bool *joined = reader->base.options.joined_maps;
    struct json_cursor cursor = {.at = text.data,
                                 .end = text.data + text.size,
                                 .scratch = &reader->base.scratch,
                                 .ignore_extra = reader->base.options.ignore_extra_columns,
                                 .joins_map = joined && joined[target]};
    TRY(json_read_into(&cursor, builder));
    json_skip_blanks(&cursor);
    if (cursor.at != cursor.end) return error_set(GLIS_EDATA, "JSON: something follows the value");
    return 0;
}

static int read_field(struct csv_reader *reader, uint32_t target, const struct csv_field *field,
                      uint64_t *key_bytes)
{
    const struct schema *schema = reader->base.schema;
    const struct field *column = &schema->fields[target];
    struct column_builder *builder = batch_builder_column(reader->base.builder, target);
    struct slice text = field_text(reader, field);
    const struct slice *null_text = &reader->base.options.csv_null_text;
    if (!field->quoted && column->nullable &&
        (text.size == 0 || (null_text->data && slice_equal(text, *null_text))))
        return column_builder_append_null(builder);
    struct value value;
    if (column->type.n_children || column->type.kind == TYPE_STRUCT)
        return read_nested(reader, text, target, builder);
    if (text.size == 0 && column->type.kind != TYPE_STRING && column->type.kind != TYPE_BYTES)
        return error_set(GLIS_EDATA, "an empty field where a value must be");
    TRY(value_from_text(&column->type, text, &reader->base.scratch, &value));
    if (target < schema_key_count(schema)) TRY(key_value_check(&column->type, &value, key_bytes));
    return column_builder_append_value(builder, &value);
}

static int csv_read_row(struct row_reader *base, bool *more)
{
    struct csv_reader *reader = (struct csv_reader *)base;
    struct slice row;
    TRY(next_row(reader, &row, more));
    if (!*more) return 0;
    if (!reader->row_error && reader->n_fields != reader->n_columns) {
        int code = error_set(GLIS_EDATA, "%u fields, the header has %u", reader->n_fields,
                             reader->n_columns);
        return row_reader_bad(base, code, "", row);
    }
    if (reader->row_error)
        return row_reader_bad(base, error_set(GLIS_EDATA, "%s", reader->row_error), "", row);
    uint64_t key_bytes = 0;
    const char *name = "";
    int code = 0;
    for (uint32_t i = 0; i < reader->n_columns && code == 0; i++) {
        uint32_t target = reader->targets[i];
        if (target == CSV_IGNORED) continue;
        code = read_field(reader, target, &reader->fields[i], &key_bytes);
        if (code < 0) name = base->schema->fields[target].name.data;
    }
    if (code == 0) code = key_size_check(key_bytes);
    if (code == 0) code = batch_builder_end_row(base->builder);
    if (code < 0) return row_reader_bad(base, code, name, row);
    base->n_rows++;
    return 0;
}

/* ---- the header ---- */

static int match_column(struct csv_reader *reader, uint32_t column, bool *found)
{
    const struct schema *schema = reader->base.schema;
    struct slice name = field_text(reader, &reader->fields[column]);
    int field = schema_find(schema, name);
    reader->targets[column] = CSV_IGNORED;
    if (field < 0) {
        char hint[SCHEMA_HINT_BYTES];
        if (reader->base.options.ignore_extra_columns) return 0;
        if (!text_is_utf8(name, NULL))
            return error_set(GLIS_EDATA, "a column's name is not UTF-8: '%.*s'",
                             SLICE_PRINT(slice_part(name, 0, 64)));
        return error_set(GLIS_EDATA,
                         "column '%.*s': the table has no such field%s (--ignore-extra-columns "
                         "leaves such columns out)",
                         SLICE_PRINT(slice_part(name, 0, 200)), schema_hint(schema, name, hint));
    }
    if (found[field]) return error_set(GLIS_EDATA, "column '%.*s' comes twice", SLICE_PRINT(name));
    found[field] = true;
    reader->targets[column] = (uint16_t)field;
    return 0;
}

/* Reads the header row into reader->fields; GLIS_EDATA when there is none. */
static int read_header(struct csv_reader *reader)
{
    struct slice row;
    bool more;
    TRY(next_row(reader, &row, &more));
    if (!more)
        return error_set(GLIS_EDATA, "empty: a header with the names of the columns is wanted");
    if (reader->row_error) return error_set(GLIS_EDATA, "header: %s", reader->row_error);
    reader->n_columns = reader->n_fields;
    return 0;
}

static int match_header(struct csv_reader *reader)
{
    const struct schema *schema = reader->base.schema;
    bool *found = ARENA_ARRAY(&reader->base.scratch, bool, schema->n_fields);
    reader->targets = memory_alloc_zero(reader->n_columns * sizeof *reader->targets);
    for (uint32_t i = 0; i < reader->n_columns; i++)
        TRY(match_column(reader, i, found));
    for (uint32_t i = 0; i < schema->n_fields; i++)
        if (!found[i] && !schema->fields[i].nullable)
            return error_set(GLIS_EDATA, "column '%s' is missing, and its values must be there",
                             schema->fields[i].name.data);
    return 0;
}

static void csv_close(struct row_reader *base)
{
    struct csv_reader *reader = (struct csv_reader *)base;
    free(reader->fields);
    free(reader->targets);
}

/* A schema with a nullable string for each column of the header, for looking at a file of unknown
 * types. */
static int schema_of_header(struct csv_reader *reader, struct schema **out)
{
    if (reader->n_columns > SCHEMA_FIELDS_MAX)
        return error_set(GLIS_EDATA, "%u columns, at most %d are possible", reader->n_columns,
                         SCHEMA_FIELDS_MAX);
    struct field *fields = ARENA_ARRAY(&reader->base.scratch, struct field, reader->n_columns);
    for (uint32_t i = 0; i < reader->n_columns; i++) {
        struct slice name = field_text(reader, &reader->fields[i]);
        if (name.size == 0) return error_set(GLIS_EDATA, "header: column %u has no name", i + 1);
        if (!text_is_utf8(name, NULL))
            return error_set(GLIS_EDATA, "header: the name of column %u is not UTF-8", i + 1);
        fields[i] = (struct field){.name = name, .type = {.kind = TYPE_STRING}, .nullable = true};
    }
    return schema_new(out, fields, reader->n_columns, 0, 0);
}

int csv_reader_open(struct byte_source *source, const struct schema *schema,
                    const struct format_options *options, struct batch_stream **out)
{
    struct csv_reader *reader = memory_alloc_zero(sizeof *reader);
    reader->base.read_row = csv_read_row;
    reader->base.close = csv_close;
    struct schema *own = NULL;
    int code = row_reader_init(&reader->base, source, options);
    if (code == 0) {
        code = read_header(reader);
        if (code == 0 && !schema) code = schema_of_header(reader, &own);
        if (code == 0) code = row_reader_begin(&reader->base, schema ? schema : own);
        if (code == 0) code = match_header(reader);
        if (code < 0) error_context("%s: line 1", reader->base.window.source->name);
    }
    schema_release(own);
    if (code < 0) {
        row_reader_close(&reader->base.stream);
        return code;
    }
    *out = &reader->base.stream;
    return 0;
}
