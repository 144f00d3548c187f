/*
 * jsonl_reader.c: JSON lines, and a top-level array of objects, as batches of a table's schema.
 *
 * The extent of a row is found first (to the end of the line; in an array to the brace that closes
 * the object), so that a bad row can be told of with its whole text and the reader goes on behind
 * it. Members are looked up where the row before had them: files made by programs have them in one
 * order, so a name costs one comparison.
 */
#include "format/format_int.h"

#include <stdlib.h>

struct jsonl_reader {
    struct row_reader base;
    bool is_array;
    bool begun;          /* in an array: its first element was looked for */
    int64_t lines_taken; /* line ends in what was taken so far */
    uint64_t *seen;      /* row (counted from 1) in which each field came last */
    uint32_t *order;     /* field at each position of the row before */
    uint64_t row_stamp;
};

/* ---- finding rows ---- */

static int64_t count_lines(const char *begin, const char *end)
{
    int64_t n = 0;
    while (begin < end && (begin = memchr(begin, '\n', (size_t)(end - begin)))) {
        begin++;
        n++;
    }
    return n;
}

/* The next line that is not blank; *more = false when there is none. Its bytes are taken from the
 * window. */
static int next_line(struct jsonl_reader *reader, struct slice *row, bool *more)
{
    struct text_window *window = &reader->base.window;
    size_t searched = 0;
    for (;;) {
        const char *begin = window->data + window->begin, *end = window->data + window->end;
        const char *line_end = memchr(begin + searched, '\n', (size_t)(end - begin) - searched);
        if (!line_end) {
            if (!window->at_end) {
                searched = (size_t)(end - begin);
                reader->base.line = reader->lines_taken + 1;
                TRY(text_window_fill(window));
                continue;
            }
            line_end = end;
        }
        *more = begin < end;
        if (!*more) return 0;
        const char *p = begin;
        while (p < line_end && (*p == ' ' || *p == '\t' || *p == '\r'))
            p++;
        reader->base.line = ++reader->lines_taken;
        window->begin = (size_t)(line_end - window->data) + (line_end < end);
        searched = 0;
        if (p == line_end) continue;
        *row = slice_make(begin, (size_t)(line_end - begin));
        if (row->size && row->data[row->size - 1] == '\r') row->size--;
        return 0;
    }
}

/* How far an element of an array that begins at `begin` reaches: to the brace, bracket or, for a
 * scalar, the comma that ends it. False when the end is not at hand. */
static bool element_extent(const char *begin, const char *end, const char **out)
{
    unsigned depth = 0;
    bool quoted = false;
    for (const char *p = begin; p < end; p++) {
        if (quoted) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                quoted = false;
            continue;
        }
        if (*p == '"') {
            quoted = true;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']' || *p == ',') && depth == 0) {
            *out = p;
            return true;
        } else if ((*p == '}' || *p == ']') && --depth == 0) {
            *out = p + 1;
            return true;
        }
    }
    return false;
}

static int array_syntax(struct jsonl_reader *reader, const char *wanted)
{
    reader->base.line = reader->lines_taken + 1;
    error_set(GLIS_EDATA, "JSON array: %s is wanted", wanted);
    error_context("%s: line %lld", reader->base.window.source->name, (long long)reader->base.line);
    return GLIS_EDATA;
}

/* The next byte of the array that is not blank, 0 at the end; not taken. */
static int array_peek(struct jsonl_reader *reader, char *out)
{
    struct text_window *window = &reader->base.window;
    for (;;) {
        while (window->begin < window->end) {
            char c = window->data[window->begin];
            if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
                *out = c;
                return 0;
            }
            reader->lines_taken += c == '\n';
            window->begin++;
        }
        *out = 0;
        if (window->at_end) return 0;
        TRY(text_window_fill(window));
    }
}

static int next_element(struct jsonl_reader *reader, struct slice *row, bool *more)
{
    struct text_window *window = &reader->base.window;
    char c;
    *more = false;
    TRY(array_peek(reader, &c));
    if (!reader->begun) {
        window->begin++; /* the bracket, which made this an array */
        TRY(array_peek(reader, &c));
    } else if (c == ',') {
        window->begin++;
        TRY(array_peek(reader, &c));
        if (c == ']' || c == ',') return array_syntax(reader, "an object");
    } else if (c != ']') {
        return array_syntax(reader, "',' or ']'");
    }
    reader->begun = true;
    if (c == ']') {
        window->begin++;
        TRY(array_peek(reader, &c));
        return c ? array_syntax(reader, "the end of the file") : 0;
    }
    reader->base.line = reader->lines_taken + 1;
    const char *end;
    while (!element_extent(window->data + window->begin, window->data + window->end, &end)) {
        if (window->at_end) return array_syntax(reader, "the end of an object and a ']'");
        TRY(text_window_fill(window));
    }
    *row = slice_make(window->data + window->begin, (size_t)(end - window->data) - window->begin);
    if (row->size == 0) return array_syntax(reader, "an object");
    reader->lines_taken += count_lines(row->data, end);
    window->begin += row->size;
    *more = true;
    return 0;
}

/* ---- reading a row ---- */

static uint32_t find_field(struct jsonl_reader *reader, uint32_t position, struct slice name)
{
    const struct schema *schema = reader->base.schema;
    if (position < schema->n_fields) {
        uint32_t guess = reader->order[position];
        if (guess < schema->n_fields && slice_equal(schema->fields[guess].name, name)) return guess;
    }
    int found = schema_find(schema, name);
    uint32_t field = found < 0 ? UINT32_MAX : (uint32_t)found;
    if (position < schema->n_fields) reader->order[position] = field;
    return field;
}

static int read_member(struct jsonl_reader *reader, struct json_cursor *cursor, uint32_t field,
                       uint64_t *key_bytes)
{
    const struct schema *schema = reader->base.schema;
    struct column_builder *builder = batch_builder_column(reader->base.builder, field);
    const bool *joined = reader->base.options.joined_maps;
    cursor->joins_map = joined && joined[field];
    if (field >= schema_key_count(schema)) return json_read_into(cursor, builder);
    const struct type *type = &schema->fields[field].type;
    struct value value;
    TRY(json_read_scalar(cursor, type, &value));
    TRY(key_value_check(type, &value, key_bytes));
    return column_builder_append_value(builder, &value);
}

static int read_object(struct jsonl_reader *reader, struct json_cursor *cursor)
{
    uint64_t key_bytes = 0;
    uint32_t position = 0;
    reader->row_stamp++;
    json_skip_blanks(cursor);
    if (cursor->at < cursor->end && *cursor->at != '{')
        return error_set(GLIS_EDATA, "an object is wanted, this is %s", json_kind_at(cursor));
    TRY(json_expect(cursor, '{'));
    json_skip_blanks(cursor);
    bool empty = cursor->at < cursor->end && *cursor->at == '}';
    while (!empty) {
        struct slice name;
        TRY(json_read_string(cursor, &name));
        TRY(json_expect(cursor, ':'));
        uint32_t field = find_field(reader, position++, name);
        json_push(cursor, name);
        if (field == UINT32_MAX) {
            if (!reader->base.options.ignore_extra_columns) {
                char hint[SCHEMA_HINT_BYTES];
                return error_set(GLIS_EDATA,
                                 "the table has no such field%s (--ignore-extra-columns leaves "
                                 "such columns out)",
                                 schema_hint(reader->base.schema, name, hint));
            }
            TRY(json_skip_value(cursor));
        } else {
            if (reader->seen[field] == reader->row_stamp)
                return error_set(GLIS_EDATA, "a field that comes twice");
            reader->seen[field] = reader->row_stamp;
            TRY(read_member(reader, cursor, field, &key_bytes));
        }
        cursor->depth = 0;
        json_skip_blanks(cursor);
        if (cursor->at >= cursor->end || *cursor->at != ',') break;
        cursor->at++;
    }
    TRY(json_expect(cursor, '}'));
    json_skip_blanks(cursor);
    if (cursor->at < cursor->end)
        return error_set(GLIS_EDATA, "JSON: something follows the object");
    TRY(key_size_check(key_bytes));
    return batch_builder_end_row(reader->base.builder);
}

static int jsonl_read_row(struct row_reader *base, bool *more)
{
    struct jsonl_reader *reader = (struct jsonl_reader *)base;
    struct slice row;
    int code = jsonl_rows_next(base, &row, more);
    if (code < 0 || !*more) return code;
    struct json_cursor cursor = {.at = row.data,
                                 .end = row.data + row.size,
                                 .scratch = &base->scratch,
                                 .ignore_extra = base->options.ignore_extra_columns};
    code = read_object(reader, &cursor);
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        const char *path = json_cursor_path(&cursor, &base->scratch);
        error_load(&detail);
        return row_reader_bad(base, code, path, row);
    }
    base->n_rows++;
    return 0;
}

static void jsonl_close(struct row_reader *base)
{
    struct jsonl_reader *reader = (struct jsonl_reader *)base;
    free(reader->seen);
    free(reader->order);
}

static int open_rows(struct byte_source *source, const struct format_options *options,
                     struct jsonl_reader **out)
{
    struct jsonl_reader *reader = memory_alloc_zero(sizeof *reader);
    reader->base.read_row = jsonl_read_row;
    reader->base.close = jsonl_close;
    char first = 0;
    int code = row_reader_init(&reader->base, source, options);
    if (code == 0) code = array_peek(reader, &first);
    if (code < 0) {
        row_reader_close(&reader->base.stream);
        return code;
    }
    reader->is_array = first == '[';
    *out = reader;
    return 0;
}

int jsonl_rows_open(struct byte_source *source, const struct format_options *options,
                    struct row_reader **out)
{
    struct jsonl_reader *reader;
    TRY(open_rows(source, options, &reader));
    *out = &reader->base;
    return 0;
}

int jsonl_rows_next(struct row_reader *base, struct slice *row, bool *more)
{
    struct jsonl_reader *reader = (struct jsonl_reader *)base;
    return reader->is_array ? next_element(reader, row, more) : next_line(reader, row, more);
}

int jsonl_reader_open(struct byte_source *source, const struct schema *schema,
                      const struct format_options *options, struct batch_stream **out)
{
    struct jsonl_reader *reader;
    TRY(open_rows(source, options, &reader));
    int code = row_reader_begin(&reader->base, schema);
    if (code < 0) {
        row_reader_close(&reader->base.stream);
        return code;
    }
    reader->seen = memory_alloc_zero(schema->n_fields * sizeof *reader->seen);
    reader->order = memory_alloc_zero(schema->n_fields * sizeof *reader->order);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        reader->order[i] = i;
    *out = &reader->base.stream;
    return 0;
}
