/*
 * properties.c: Java's properties syntax, as the documentation of java.util.Properties.load
 * states it.
 *
 * A text is natural lines, ended by \n, \r or \r\n. A line whose first character that is no blank
 * is # or ! is a comment and cannot be continued. Any other line that ends in an odd number of
 * backslashes goes on with the next, less that line's leading blanks; what comes together is a
 * logical line, and that is split into name and value before escapes are undone. Blanks are space,
 * tab and form feed.
 */
#include "base/properties.h"
#include "base/text.h"

/* A place in the text, with its line counted from 1. */
struct cursor {
    struct slice rest;
    unsigned line;
};

static int to_utf8(struct arena *arena, struct slice text, struct slice *out);
static struct slice natural_line(struct cursor *cursor);
static int logical_line(struct cursor *cursor, struct buffer *out, unsigned *line);
static int split_line(struct arena *arena, struct slice line, struct property *out);
static int unescape(struct arena *arena, struct slice s, struct slice *out);
static int unescape_unicode(struct slice s, size_t *at, char *to, size_t *n_written);
static bool code_unit(struct slice s, size_t at, uint32_t *out);
static int escape(struct buffer *out, struct slice s, bool is_name);
static struct slice skip_blanks(struct slice s);

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

int properties_parse(struct arena *arena, struct slice text, struct properties *out)
{
    if (text.size > PROPERTIES_BYTES_MAX)
        return error_set(GLIS_ELIMIT, "properties of %zu bytes pass the limit of %d bytes",
                         text.size, PROPERTIES_BYTES_MAX);
    TRY(to_utf8(arena, text, &text));
    if (slice_starts_with(text, SLICE("\xEF\xBB\xBF"))) text = slice_part(text, 3, text.size);

    struct cursor cursor = {text, 0};
    struct property *items = NULL;
    size_t n_items = 0, capacity = 0;
    defer_buffer struct buffer line;
    buffer_init(&line, text.size + 1, arena->budget);
    for (;;) {
        unsigned number = 0;
        buffer_clear(&line);
        TRY(logical_line(&cursor, &line, &number));
        if (line.size == 0) break;
        if (n_items == capacity) {
            void *larger;
            capacity = capacity ? capacity * 2 : 16;
            TRY(arena_try_alloc(arena, capacity * sizeof(*items), &larger));
            if (n_items) memcpy(larger, items, n_items * sizeof(*items));
            items = larger;
        }
        items[n_items].line = number;
        TRY_CONTEXT(split_line(arena, buffer_slice(&line), &items[n_items]), "line %u", number);
        n_items++;
    }
    out->items = items;
    out->n_items = n_items;
    return 0;
}

const struct property *properties_find(const struct properties *properties, const char *name)
{
    for (size_t i = properties->n_items; i-- > 0;) {
        if (slice_equal_text(properties->items[i].name, name)) return &properties->items[i];
    }
    return NULL;
}

int properties_write(struct buffer *out, struct slice name, struct slice value)
{
    if (!text_is_utf8(name, NULL) || !text_is_utf8(value, NULL))
        return error_set(GLIS_EINVALID, "a property whose text is not UTF-8 cannot be written");
    TRY(escape(out, name, true));
    TRY(buffer_append_byte(out, '='));
    TRY(escape(out, value, false));
    return buffer_append_byte(out, '\n');
}

int properties_write_comment(struct buffer *out, struct slice text)
{
    struct cursor cursor = {text, 0};
    do {
        struct slice line = natural_line(&cursor);
        TRY(buffer_append_text(out, line.size ? "# " : "#"));
        TRY(buffer_append_slice(out, line));
        TRY(buffer_append_byte(out, '\n'));
    } while (cursor.rest.size > 0);
    return 0;
}

static int to_utf8(struct arena *arena, struct slice text, struct slice *out)
{
    *out = text;
    if (text_is_utf8(text, NULL)) return 0;
    void *memory;
    TRY(arena_try_alloc(arena, text.size * 2, &memory));
    char *to = memory;
    for (size_t i = 0; i < text.size; i++)
        to += text_utf8_encode((uint8_t)text.data[i], to);
    *out = slice_make(memory, (size_t)(to - (char *)memory));
    return 0;
}

/* The next natural line without its end; moves past it. */
static struct slice natural_line(struct cursor *cursor)
{
    struct slice rest = cursor->rest;
    size_t n = 0;
    while (n < rest.size && rest.data[n] != '\n' && rest.data[n] != '\r')
        n++;
    size_t end = n;
    if (end < rest.size)
        end += rest.data[end] == '\r' && end + 1 < rest.size && rest.data[end + 1] == '\n' ? 2 : 1;
    cursor->rest = slice_part(rest, end, rest.size);
    cursor->line++;
    return slice_part(rest, 0, n);
}

/* Puts the next logical line that is neither blank nor a comment into `out`; empty at the end. */
static int logical_line(struct cursor *cursor, struct buffer *out, unsigned *line)
{
    while (cursor->rest.size > 0) {
        struct slice part = skip_blanks(natural_line(cursor));
        *line = cursor->line;
        if (part.size == 0 || part.data[0] == '#' || part.data[0] == '!') continue;
        for (;;) {
            size_t n_backslashes = 0;
            while (n_backslashes < part.size && part.data[part.size - 1 - n_backslashes] == '\\')
                n_backslashes++;
            bool goes_on = n_backslashes % 2 == 1;
            TRY(buffer_append(out, part.data, part.size - goes_on));
            if (!goes_on || cursor->rest.size == 0) break;
            part = skip_blanks(natural_line(cursor));
        }
        if (out->size > 0) return 0;
    }
    return 0;
}

static int split_line(struct arena *arena, struct slice line, struct property *out)
{
    size_t end = 0;
    while (end < line.size) {
        char c = line.data[end];
        if (c == '=' || c == ':' || is_blank(c)) break;
        end += c == '\\' && end + 1 < line.size ? 2 : 1;
    }
    struct slice value = skip_blanks(slice_part(line, end, line.size));
    if (value.size && (value.data[0] == '=' || value.data[0] == ':'))
        value = skip_blanks(slice_part(value, 1, value.size));
    TRY(unescape(arena, slice_part(line, 0, end), &out->name));
    return unescape(arena, value, &out->value);
}

static int unescape(struct arena *arena, struct slice s, struct slice *out)
{
    void *memory;
    TRY(arena_try_alloc(arena, s.size + 1, &memory));
    char *to = memory;
    for (size_t i = 0; i < s.size;) {
        char c = s.data[i++];
        if (c == '\\' && i < s.size) {
            c = s.data[i++];
            if (c == 'u') {
                size_t n = 0;
                TRY(unescape_unicode(s, &i, to, &n));
                to += n;
                continue;
            }
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
        }
        *to++ = c;
    }
    *to = '\0';
    *out = slice_make(memory, (size_t)(to - (char *)memory));
    return 0;
}

/* Behind "\u": four digits, and for a high surrogate "\u" and four more. At most 4 bytes come out
 * of the 6 or 12 that went in. */
static int unescape_unicode(struct slice s, size_t *at, char *to, size_t *n_written)
{
    uint32_t code_point, low;
    if (!code_unit(s, *at, &code_point))
        return error_set(GLIS_EINVALID, "\\u is not followed by four hexadecimal digits");
    *at += 4;
    if (code_point >= 0xD800 && code_point <= 0xDFFF) {
        bool paired = code_point < 0xDC00 && slice_starts_with(slice_part(s, *at, 2), SLICE("\\u"));
        if (!paired || !code_unit(s, *at + 2, &low) || low < 0xDC00 || low > 0xDFFF)
            return error_set(GLIS_EINVALID, "\\u%04x is half of a pair of surrogates", code_point);
        *at += 6;
        code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
    }
    *n_written = text_utf8_encode(code_point, to);
    return 0;
}

static bool code_unit(struct slice s, size_t at, uint32_t *out)
{
    struct slice digits = slice_part(s, at, 4);
    uint32_t value = 0;
    if (digits.size < 4) return false;
    for (size_t i = 0; i < 4; i++) {
        char c = digits.data[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return false;
        value = value << 4 | (uint32_t)digit;
    }
    *out = value;
    return true;
}

/* Writes valid UTF-8 so that readers of Latin-1 and of UTF-8 both understand it. */
static int escape(struct buffer *out, struct slice s, bool is_name)
{
    for (size_t i = 0; i < s.size;) {
        uint8_t c = (uint8_t)s.data[i];
        if (c >= 0x80) {
            size_t size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
            uint32_t code_point = c & (0x7Fu >> size);
            for (size_t j = 1; j < size; j++)
                code_point = code_point << 6 | ((uint8_t)s.data[i + j] & 0x3F);
            if (code_point >= 0x10000) {
                TRY(buffer_printf(out, "\\u%04X\\u%04X", 0xD800 + ((code_point - 0x10000) >> 10),
                                  0xDC00 + (code_point & 0x3FF)));
            } else {
                TRY(buffer_printf(out, "\\u%04X", code_point));
            }
            i += size;
            continue;
        }
        bool special = c == '\\' || (is_name && (c == '=' || c == ':' || c == ' ')) ||
                       (i == 0 && (c == ' ' || (is_name && (c == '#' || c == '!'))));
        const char *letter = c == '\t'   ? "\\t"
                             : c == '\n' ? "\\n"
                             : c == '\r' ? "\\r"
                             : c == '\f' ? "\\f"
                                         : NULL;
        if (letter) {
            TRY(buffer_append_text(out, letter));
        } else if (c < 0x20 || c == 0x7F) {
            TRY(buffer_printf(out, "\\u%04X", c));
        } else {
            if (special) TRY(buffer_append_byte(out, '\\'));
            TRY(buffer_append_byte(out, c));
        }
        i++;
    }
    return 0;
}

static struct slice skip_blanks(struct slice s)
{
    size_t n = 0;
    while (n < s.size && is_blank(s.data[n]))
        n++;
    return slice_part(s, n, s.size);
}
