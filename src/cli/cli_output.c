/*
 * cli_output.c: what commands print: plain text and JSON through one buffered standard output,
 * aligned tables, figures as people read them, and the line of progress on a terminal.
 *
 * A failed write sticks: later ones are dropped, and the call ends with that error. A closed pipe
 * is GLIS_ECLOSED. Cells of tables may come from anybody's files: control characters in them are
 * shown as question marks.
 */
#include "cli/command.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

static void output_append(struct cli *cli, struct slice text);

void cli_print(struct cli *cli, const char *format, ...)
{
    char text[4096];
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (n >= 0 && (size_t)n < sizeof text) {
        output_append(cli, slice_make(text, (size_t)n));
    } else if (n > 0) {
        char *long_text = arena_alloc(&cli->arena, (size_t)n + 1);
        vsnprintf(long_text, (size_t)n + 1, format, again);
        output_append(cli, slice_make(long_text, (size_t)n));
    }
    va_end(again);
}

void cli_print_slice(struct cli *cli, struct slice text)
{
    output_append(cli, text);
}

static void output_append(struct cli *cli, struct slice text)
{
    if (cli->out.failed) return;
    if (buffer_append_slice(&cli->out.buffer, text) < 0 ||
        (cli->out.buffer.size > CLI_OUT_FLUSH_BYTES && cli_flush(cli) < 0))
        cli->out.failed = true;
}

int cli_flush(struct cli *cli)
{
    struct output *out = &cli->out;
    size_t done = 0;
    while (done < out->buffer.size) {
        ssize_t n = write(out->fd, out->buffer.data + done, out->buffer.size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            out->failed = true;
            return error_set_errno(errno, "cannot write standard output");
        }
        done += (size_t)n;
    }
    buffer_clear(&out->buffer);
    if (out->failed) return error_set(GLIS_EIO, "standard output could not be written");
    return 0;
}

void cli_json_begin(struct cli *cli, struct json_writer *writer)
{
    cli->out.in_json = true;
    cli->out.json_begin = cli->out.buffer.size;
    json_writer_init(writer, &cli->out.buffer, isatty(cli->out.fd) ? 2 : 0);
}

int cli_json_end(struct cli *cli, struct json_writer *writer)
{
    TRY(json_writer_finish(writer));
    cli->out.in_json = false;
    cli_print(cli, "\n");
    return 0;
}

void cli_note(const char *format, ...)
{
    char text[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, "glis: %s\n", text);
}

/* ---- tables ---- */

void text_table_init(struct text_table *table, const char *const *headings, uint32_t n)
{
    ASSERT(n <= sizeof table->right / sizeof *table->right);
    *table = (struct text_table){.arena = ARENA_EMPTY, .n_columns = n};
    for (uint32_t i = 0; i < n; i++) {
        table->right[i] = headings[i][0] == '>';
        text_table_cell(table, "%s", headings[i] + table->right[i]);
    }
}

void text_table_cell(struct text_table *table, const char *format, ...)
{
    char text[4096];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    if (table->n_cells == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 64;
        table->cells = memory_realloc(table->cells, table->capacity * sizeof *table->cells);
    }
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F) text[i] = '?';
    table->cells[table->n_cells++] = arena_copy(&table->arena, slice_make(text, size));
}

void text_table_end(struct cli *cli, struct text_table *table)
{
    uint32_t widths[16] = {0};
    for (size_t i = 0; i < table->n_cells; i++) {
        uint32_t width = text_width(table->cells[i]);
        if (width > widths[i % table->n_columns]) widths[i % table->n_columns] = width;
    }
    for (size_t i = 0; i < table->n_cells; i++) {
        uint32_t column = (uint32_t)(i % table->n_columns);
        bool is_last = column + 1 == table->n_columns;
        int pad = (int)(widths[column] - text_width(table->cells[i]));
        if (table->right[column])
            cli_print(cli, "%*s%.*s", pad, "", SLICE_PRINT(table->cells[i]));
        else
            cli_print(cli, "%.*s%*s", SLICE_PRINT(table->cells[i]), is_last ? 0 : pad, "");
        cli_print(cli, "%s", is_last ? "\n" : "  ");
    }
    free(table->cells);
    arena_free(&table->arena);
}

/* ---- figures ---- */

const char *cli_size(struct cli *cli, uint64_t bytes)
{
    return text_of_size(&cli->arena, bytes);
}

const char *cli_count(struct cli *cli, uint64_t n)
{
    return text_of_count(&cli->arena, n);
}

const char *text_of_size(struct arena *arena, uint64_t bytes)
{
    defer_buffer struct buffer text = BUFFER_INIT(64);
    if (text_append_size(&text, bytes) < 0) return "?";
    return arena_copy_text(arena, buffer_slice(&text));
}

const char *text_of_count(struct arena *arena, uint64_t n)
{
    char digits[24], out[32];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    return arena_copy_text(arena, slice_make(out, (size_t)at));
}

const char *cli_time(struct cli *cli, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    if (time_ms <= 0 || !gmtime_r(&seconds, &parts)) return "-";
    return arena_printf(&cli->arena, "%04d-%02d-%02d %02d:%02d:%02d", parts.tm_year + 1900,
                        parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

/* A key that was cut is no encoding any more: strings are then shown as far as they go. */
static struct slice field_key_cut(struct cli *cli, const struct type *type, struct slice key)
{
    defer_buffer struct buffer text = BUFFER_INIT(4096);
    struct buffer plain = BUFFER_INIT(4096);
    int code = 0;
    for (size_t i = 0; i < key.size && code == 0; i++) {
        code = buffer_append_byte(&plain, (uint8_t)key.data[i]);
        if (key.data[i] == 0) i++; /* 00 FF stands for 00 */
    }
    size_t bad = 0;
    struct slice bytes = buffer_slice(&plain);
    if (type->kind == TYPE_STRING && !text_is_utf8(bytes, &bad)) bytes.size = bad;
    if (code == 0 && type->kind == TYPE_STRING) code = buffer_append_slice(&text, bytes);
    if (code == 0 && type->kind != TYPE_STRING) code = text_hex_encode(&text, bytes);
    if (code == 0) code = buffer_append_text(&text, "…");
    buffer_free(&plain);
    return code == 0 ? arena_copy(&cli->arena, buffer_slice(&text)) : SLICE("?");
}

struct slice cli_field_key(struct cli *cli, const struct schema *schema, uint32_t field,
                           struct slice key)
{
    struct schema *one = NULL;
    struct value value;
    defer_buffer struct buffer text = BUFFER_INIT(64 << 10);
    struct slice out;
    const struct type *type = &schema->fields[field].type;
    if (schema_new(&one, &schema->fields[field], 1, 1, 0) < 0 ||
        key_decode(one, key, 1, &cli->arena, &value) < 0 || value_to_text(type, &value, &text) < 0)
        out = field_key_cut(cli, type, key);
    else
        out = arena_copy(&cli->arena, buffer_slice(&text));
    schema_release(one);
    return out;
}

struct slice cli_range(struct cli *cli, const struct schema *schema, uint32_t field,
                       const struct key_range *range)
{
    struct slice min = range->min.size ? cli_field_key(cli, schema, field, range->min) : SLICE("-");
    struct slice max =
        range->unbounded ? SLICE("-") : cli_field_key(cli, schema, field, range->max);
    return slice_from_text(
        arena_printf(&cli->arena, "[%.*s, %.*s)", SLICE_PRINT(min), SLICE_PRINT(max)));
}

int cli_schema_json(struct cli *cli, const struct schema *schema, unsigned indent,
                    struct slice *out)
{
    defer_buffer struct buffer line = BUFFER_INIT(16 << 20);
    TRY(schema_to_json(schema, &line));
    if (indent == 0) {
        *out = arena_copy(&cli->arena, buffer_slice(&line));
        return 0;
    }
    const struct json *tree;
    TRY(json_parse(&cli->arena, buffer_slice(&line), JSON_RULES_INTERNAL, &tree));
    defer_buffer struct buffer pretty = BUFFER_INIT(64 << 20);
    struct json_writer writer;
    json_writer_init(&writer, &pretty, indent);
    json_write_value(&writer, tree);
    TRY(json_writer_finish(&writer));
    *out = arena_copy(&cli->arena, buffer_slice(&pretty));
    return 0;
}

/* ---- progress ---- */

enum { PROGRESS_EVERY_NS = 100 * 1000 * 1000 };

void progress_begin(struct cli *cli, struct progress_line *line)
{
    *line = (struct progress_line){.cli = cli, .is_on = isatty(STDERR_FILENO)};
    line->begun_ns = cli->runtime.clock->monotonic_ns(cli->runtime.clock);
    line->shown_ns = line->begun_ns;
}

bool progress_due(struct progress_line *line)
{
    if (!line->is_on) return false;
    int64_t now = line->cli->runtime.clock->monotonic_ns(line->cli->runtime.clock);
    if (now - line->shown_ns < PROGRESS_EVERY_NS) return false;
    line->shown_ns = now;
    return true;
}

void progress_show(struct progress_line *line, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    line->is_shown = true;
}

void progress_end(struct progress_line *line)
{
    arena_free(&line->scratch);
    if (!line->is_shown) return;
    fprintf(stderr, "\r\033[K");
    fflush(stderr);
    line->is_shown = false;
}
