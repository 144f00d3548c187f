/*
 * table_sink.c: rows for people: a header, a rule, and aligned columns.
 *
 *     package | version | size
 *     --------+---------+-----
 *     bash    | 5.2.15  | 1491
 *
 * The widths come from the first rows (1,000 by default), which are held back until then; cells of
 * later rows that are wider push their row out of line rather than lose anything. Only when a width
 * of the terminal is given are cells cut, widest columns first, with "…". Numbers stand at the
 * right. Null has a sign of its own; control characters are written as escapes, so that data cannot
 * drive the terminal.
 */
#include "format/format_int.h"

#include <stdlib.h>

enum { CELLS_BYTES_MAX = 256 << 20, WIDTH_MIN = 4, ROWS_DEFAULT = 1000, FLUSH_BYTES = 64 << 10 };

struct table_sink {
    struct row_sink base;
    struct byte_sink *to;
    struct arena arena;
    struct slice null_text;
    uint32_t terminal_width;
    uint64_t rows_wanted, rows_held;
    bool begun; /* widths are fixed, the header is out */
    bool cut;   /* cells wider than their column are cut */
    uint32_t *widths;
    struct buffer cells; /* text of held cells, each behind its uint32 size */
    struct buffer line, cell;
};

/* ---- cells ---- */

/* Appends text with control characters as escapes. */
static int append_visible(struct buffer *out, struct slice text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool c1 = c == 0xC2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xA0;
        if (c >= 0x20 && c != 0x7F && !c1) continue;
        TRY(buffer_append(out, text.data + from, i - from));
        if (c == '\n')
            TRY(buffer_append_text(out, "\\n"));
        else if (c == '\t')
            TRY(buffer_append_text(out, "\\t"));
        else if (c == '\r')
            TRY(buffer_append_text(out, "\\r"));
        else
            TRY(buffer_printf(out, "\\u%04x", c1 ? (unsigned char)text.data[++i] : c));
        from = i + 1;
    }
    return buffer_append(out, text.data + from, text.size - from);
}

static int make_cell(struct table_sink *sink, const struct column *column, int64_t row)
{
    buffer_clear(&sink->cell);
    if (column->type->kind == TYPE_NULL || column_is_null(column, row))
        return buffer_append_slice(&sink->cell, sink->null_text);
    if (column->type->kind == TYPE_STRING && !column->dictionary)
        return append_visible(&sink->cell, column_slice_at(column, row));
    struct buffer text defer_buffer = BUFFER_INIT(CELLS_BYTES_MAX);
    text.budget = sink->cells.budget;
    TRY(column_append_text(column, row, &text));
    return append_visible(&sink->cell, buffer_slice(&text));
}

static bool stands_right(const struct type *type)
{
    switch (type->kind) {
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_UINT8:
    case TYPE_UINT16:
    case TYPE_UINT32:
    case TYPE_UINT64:
    case TYPE_FLOAT16:
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
    case TYPE_DECIMAL: return true;
    default: return false;
    }
}

static int append_blanks(struct buffer *out, uint32_t n)
{
    while (n--)
        TRY(buffer_append_byte(out, ' '));
    return 0;
}

/* Appends a cell to the line, filled up or cut to its column. */
static int append_cell(struct table_sink *sink, uint32_t field, struct slice text, bool right)
{
    uint32_t width = text_width(text), wanted = sink->widths[field];
    bool last = field + 1 == sink->base.schema->n_fields;
    bool cut = sink->cut && width > wanted;
    if (field) TRY(buffer_append_text(&sink->line, " | "));
    if (cut) {
        size_t n = text_cut(text, wanted - 1, &width);
        text = slice_part(text, 0, n);
        width++;
    }
    uint32_t fill = width < wanted ? wanted - width : 0;
    if (right) TRY(append_blanks(&sink->line, fill));
    TRY(buffer_append_slice(&sink->line, text));
    if (cut) TRY(buffer_append_text(&sink->line, "…"));
    return right || last ? 0 : append_blanks(&sink->line, fill);
}

static int end_line(struct table_sink *sink, size_t flush_at)
{
    TRY(buffer_append_byte(&sink->line, '\n'));
    if (sink->line.size < flush_at) return 0;
    TRY(sink->to->write(sink->to, buffer_slice(&sink->line)));
    buffer_clear(&sink->line);
    return 0;
}

/* ---- beginning ---- */

/* Makes columns narrower, always the widest, until a row fits the terminal or nothing can shrink.
 */
static void fit_widths(struct table_sink *sink)
{
    uint32_t n = sink->base.schema->n_fields;
    uint64_t total = n ? 3 * (uint64_t)(n - 1) : 0;
    for (uint32_t i = 0; i < n; i++)
        total += sink->widths[i];
    while (total > sink->terminal_width) {
        uint32_t widest = 0, second = 0;
        for (uint32_t i = 0; i < n; i++)
            if (sink->widths[i] > sink->widths[widest]) widest = i;
        for (uint32_t i = 0; i < n; i++)
            if (i != widest && sink->widths[i] > second) second = sink->widths[i];
        uint32_t least = second > WIDTH_MIN ? second - 1 : WIDTH_MIN;
        if (sink->widths[widest] <= WIDTH_MIN) break;
        uint64_t excess = total - sink->terminal_width;
        uint32_t shrink = sink->widths[widest] - least;
        if (shrink > excess) shrink = (uint32_t)excess;
        sink->widths[widest] -= shrink;
        total -= shrink;
    }
    sink->cut = true;
}

static int write_header(struct table_sink *sink)
{
    const struct schema *schema = sink->base.schema;
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        buffer_clear(&sink->cell);
        TRY(append_visible(&sink->cell, schema->fields[i].name));
        TRY(append_cell(sink, i, buffer_slice(&sink->cell), stands_right(&schema->fields[i].type)));
    }
    TRY(end_line(sink, SIZE_MAX));
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        if (i) TRY(buffer_append_text(&sink->line, "-+-"));
        for (uint32_t k = 0; k < sink->widths[i]; k++)
            TRY(buffer_append_byte(&sink->line, '-'));
    }
    return end_line(sink, SIZE_MAX);
}

/* Fixes the widths and writes the header and the rows held back. */
static int begin(struct table_sink *sink)
{
    const struct schema *schema = sink->base.schema;
    sink->begun = true;
    if (sink->terminal_width) fit_widths(sink);
    TRY(write_header(sink));
    const uint8_t *at = sink->cells.data;
    for (uint64_t row = 0; row < sink->rows_held; row++) {
        for (uint32_t i = 0; i < schema->n_fields; i++) {
            uint32_t size;
            memcpy(&size, at, sizeof size);
            TRY(append_cell(sink, i, slice_make(at + sizeof size, size),
                            stands_right(&schema->fields[i].type)));
            at += sizeof size + size;
        }
        TRY(end_line(sink, FLUSH_BYTES));
    }
    buffer_free(&sink->cells);
    return 0;
}

/* ---- the sink ---- */

static int hold_row(struct table_sink *sink, const struct batch *batch, int64_t row)
{
    for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
        TRY(make_cell(sink, &batch->columns[i], row));
        uint32_t size = (uint32_t)sink->cell.size, width = text_width(buffer_slice(&sink->cell));
        if (width > sink->widths[i]) sink->widths[i] = width;
        TRY(buffer_append(&sink->cells, &size, sizeof size));
        TRY(buffer_append_slice(&sink->cells, buffer_slice(&sink->cell)));
    }
    sink->rows_held++;
    return 0;
}

static int table_write(struct row_sink *base, const struct batch *batch)
{
    struct table_sink *sink = (struct table_sink *)base;
    for (int64_t row = 0; row < batch->n_rows; row++) {
        if (!sink->begun && sink->rows_held < sink->rows_wanted &&
            sink->cells.size < CELLS_BYTES_MAX / 16) {
            TRY(hold_row(sink, batch, row));
            continue;
        }
        if (!sink->begun) TRY(begin(sink));
        for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
            TRY(make_cell(sink, &batch->columns[i], row));
            TRY(append_cell(sink, i, buffer_slice(&sink->cell),
                            stands_right(batch->columns[i].type)));
        }
        TRY(end_line(sink, FLUSH_BYTES));
    }
    return 0;
}

static int table_finish(struct row_sink *base)
{
    struct table_sink *sink = (struct table_sink *)base;
    if (!sink->begun) TRY(begin(sink));
    if (sink->line.size == 0) return 0;
    TRY(sink->to->write(sink->to, buffer_slice(&sink->line)));
    buffer_clear(&sink->line);
    return 0;
}

static void table_sink_close(struct row_sink *base)
{
    struct table_sink *sink = (struct table_sink *)base;
    schema_release(base->schema);
    buffer_free(&sink->cells);
    buffer_free(&sink->line);
    buffer_free(&sink->cell);
    arena_free(&sink->arena);
    free(sink);
}

int table_sink_open(struct byte_sink *to, const struct schema *schema,
                    const struct output_options *options, struct row_sink **out)
{
    struct table_sink *sink = memory_alloc_zero(sizeof *sink);
    sink->base =
        (struct row_sink){schema_acquire(schema), table_write, table_finish, table_sink_close};
    sink->to = to;
    arena_init(&sink->arena, NULL);
    sink->null_text =
        options->table_null.data ? arena_copy(&sink->arena, options->table_null) : SLICE("∅");
    sink->terminal_width = options->table_width;
    sink->rows_wanted = options->table_rows ? options->table_rows : ROWS_DEFAULT;
    sink->widths = ARENA_ARRAY(&sink->arena, uint32_t, schema->n_fields);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        sink->widths[i] = text_width(schema->fields[i].name);
    buffer_init(&sink->cells, CELLS_BYTES_MAX * (size_t)4, options->budget);
    buffer_init(&sink->line, CELLS_BYTES_MAX * (size_t)4, options->budget);
    buffer_init(&sink->cell, CELLS_BYTES_MAX * (size_t)4, options->budget);
    *out = &sink->base;
    return 0;
}
