/*
 * json_value.c: JSON texts as values of a type, straight into column builders.
 *
 * The type leads: at each place it is known what may stand there, so no tree is made and no text is
 * looked at twice. The grammar is RFC 8259's, without extensions; UTF-8 is checked in strings;
 * recursion is bounded by the depth of the schema's types (and, for members that are stepped over,
 * by JSON_SKIP_DEPTH_MAX). How each type is written is in docs/formats.md ("Text forms"): numbers
 * and booleans plain, everything else as strings; NaN and the infinities as strings; lists as
 * arrays, structs as objects, maps as objects or as arrays of {"key":…,"value":…}.
 *
 * A failure leaves the builder with a part of a value: the caller truncates it or drops the row.
 * The cursor's path says where.
 */
#include "base/text.h"
#include "format/format_int.h"

#include <math.h>
#include <stdlib.h>

void json_skip_blanks(struct json_cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' ||
                                        *cursor->at == '\n' || *cursor->at == '\r'))
        cursor->at++;
}

static int unexpected(const struct json_cursor *cursor, const char *wanted)
{
    if (cursor->at >= cursor->end)
        return error_set(GLIS_EDATA, "JSON: %s is wanted, the text ends", wanted);
    unsigned char c = (unsigned char)*cursor->at;
    if (c < 0x20 || c >= 0x7F)
        return error_set(GLIS_EDATA, "JSON: %s is wanted, not the byte 0x%02x", wanted, c);
    return error_set(GLIS_EDATA, "JSON: %s is wanted, not '%c'", wanted, c);
}

int json_expect(struct json_cursor *cursor, char c)
{
    json_skip_blanks(cursor);
    if (cursor->at < cursor->end && *cursor->at == c) {
        cursor->at++;
        return 0;
    }
    return unexpected(cursor, (char[]){'\'', c, '\'', 0});
}

static char peek(struct json_cursor *cursor)
{
    json_skip_blanks(cursor);
    return cursor->at < cursor->end ? *cursor->at : 0;
}

const char *json_kind_at(const struct json_cursor *cursor)
{
    if (cursor->at >= cursor->end) return "nothing";
    switch (*cursor->at) {
    case '"': return "a string";
    case '{': return "an object";
    case '[': return "an array";
    case 't':
    case 'f': return "a boolean";
    case 'n': return "null";
    default: return "a number";
    }
}

/* ---- strings ---- */

static int read_hex4(struct json_cursor *cursor, uint32_t *out)
{
    if (cursor->end - cursor->at < 4) return error_set(GLIS_EDATA, "JSON: a cut \\u escape");
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = *cursor->at++;
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (unsigned)((c | 32) - 'a' + 10);
        else
            return error_set(GLIS_EDATA, "JSON: a \\u escape without four hexadecimal digits");
        *out = *out << 4 | digit;
    }
    return 0;
}

/* After "\u": one code point, of two escapes for those beyond the first 65,536. */
static int read_unicode_escape(struct json_cursor *cursor, char **out)
{
    uint32_t code, low;
    TRY(read_hex4(cursor, &code));
    if (code >= 0xDC00 && code < 0xE000)
        return error_set(GLIS_EDATA, "JSON: half of a surrogate pair");
    if (code >= 0xD800 && code < 0xDC00) {
        if (cursor->end - cursor->at < 6 || cursor->at[0] != '\\' || cursor->at[1] != 'u')
            return error_set(GLIS_EDATA, "JSON: half of a surrogate pair");
        cursor->at += 2;
        TRY(read_hex4(cursor, &low));
        if (low < 0xDC00 || low >= 0xE000)
            return error_set(GLIS_EDATA, "JSON: half of a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    *out += text_utf8_encode(code, *out);
    return 0;
}

/* The rest of a string from its first escape on; what came before lies at `start`. */
static int read_escaped(struct json_cursor *cursor, const char *start, struct slice *out)
{
    const char *close = cursor->at;
    while (close < cursor->end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= cursor->end) return error_set(GLIS_EDATA, "JSON: a string without end");
    char *text = arena_alloc(cursor->scratch, (size_t)(close - start) + 4), *to = text;
    memcpy(to, start, (size_t)(cursor->at - start));
    to += cursor->at - start;
    while (cursor->at < close) {
        unsigned char c = (unsigned char)*cursor->at++;
        if (c < 0x20) return error_set(GLIS_EDATA, "JSON: a control character in a string");
        if (c != '\\') {
            *to++ = (char)c;
            continue;
        }
        c = (unsigned char)*cursor->at++;
        switch (c) {
        case '"':
        case '\\':
        case '/': *to++ = (char)c; break;
        case 'b': *to++ = '\b'; break;
        case 'f': *to++ = '\f'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 't': *to++ = '\t'; break;
        case 'u': TRY(read_unicode_escape(cursor, &to)); break;
        default: return error_set(GLIS_EDATA, "JSON: an unknown escape in a string");
        }
    }
    cursor->at = close + 1;
    *out = slice_make(text, (size_t)(to - text));
    return 0;
}

int json_read_string(struct json_cursor *cursor, struct slice *out)
{
    json_skip_blanks(cursor);
    if (cursor->at >= cursor->end || *cursor->at != '"') return unexpected(cursor, "a string");
    const char *start = ++cursor->at;
    unsigned char all = 0;
    while (cursor->at < cursor->end) {
        unsigned char c = (unsigned char)*cursor->at;
        if (c == '"' || c == '\\') break;
        if (c < 0x20) return error_set(GLIS_EDATA, "JSON: a control character in a string");
        all |= c;
        cursor->at++;
    }
    if (cursor->at >= cursor->end) return error_set(GLIS_EDATA, "JSON: a string without end");
    if (*cursor->at == '\\') {
        TRY(read_escaped(cursor, start, out));
        all = 0x80;
    } else {
        *out = slice_make(start, (size_t)(cursor->at - start));
        cursor->at++;
    }
    if (all & 0x80 && !text_is_utf8(*out, NULL))
        return error_set(GLIS_EDATA, "text that is not UTF-8");
    return 0;
}

/* ---- other scalars ---- */

/* A number token by the grammar; *whole when it has neither point nor exponent. */
static int read_number(struct json_cursor *cursor, struct slice *out, bool *whole)
{
    json_skip_blanks(cursor);
    const char *p = cursor->at, *end = cursor->end;
    *whole = true;
    if (p < end && *p == '-') p++;
    const char *digits = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    if (p == digits) return unexpected(cursor, "a number");
    if (*digits == '0' && p - digits > 1)
        return error_set(GLIS_EDATA, "JSON: a number with leading zeros");
    if (p < end && *p == '.') {
        *whole = false;
        const char *fraction = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == fraction) return error_set(GLIS_EDATA, "JSON: a number that ends in a point");
    }
    if (p < end && (*p | 32) == 'e') {
        *whole = false;
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        const char *exponent = p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == exponent) return error_set(GLIS_EDATA, "JSON: an exponent without digits");
    }
    *out = slice_make(cursor->at, (size_t)(p - cursor->at));
    cursor->at = p;
    return 0;
}

static bool take_word(struct json_cursor *cursor, struct slice word)
{
    json_skip_blanks(cursor);
    if ((size_t)(cursor->end - cursor->at) < word.size ||
        memcmp(cursor->at, word.data, word.size) != 0)
        return false;
    cursor->at += word.size;
    return true;
}

static int wrong_kind(const struct json_cursor *cursor, const char *wanted)
{
    return error_set(GLIS_EDATA, "%s is wanted, this is %s", wanted, json_kind_at(cursor));
}

/* A whole number; 3.0 and 3e0 are whole too when they are exact. */
static int read_integer(struct json_cursor *cursor, const struct type *type, struct value *out)
{
    char c = peek(cursor);
    if (c != '-' && (c < '0' || c > '9')) return wrong_kind(cursor, "a whole number");
    struct slice token;
    bool whole;
    TRY(read_number(cursor, &token, &whole));
    if (whole) return value_from_text(type, token, cursor->scratch, out);
    double real;
    static const struct type double_type = {.kind = TYPE_DOUBLE};
    TRY(value_from_text(&double_type, token, cursor->scratch, out));
    real = out->real;
    double limit = type->kind == TYPE_INT32 ? 2147483647.0 : 9007199254740992.0;
    if (real != floor(real) || real > limit || real < -limit)
        return error_set(GLIS_EDATA, "not a whole number: %.*s", SLICE_PRINT(token));
    *out = value_integer(type->kind, (int64_t)real);
    return 0;
}

/* A number or a truth value where a string is wanted is taken as it is written: in real files a
 * column of titles has "1776" without quotes now and then. */
static int read_as_text(struct json_cursor *cursor, struct value *out)
{
    struct slice token;
    bool whole;
    char c = peek(cursor);
    if (take_word(cursor, SLICE("true")))
        token = SLICE("true");
    else if (take_word(cursor, SLICE("false")))
        token = SLICE("false");
    else if (c == '-' || (c >= '0' && c <= '9'))
        TRY(read_number(cursor, &token, &whole));
    else
        return wrong_kind(cursor, "a string");
    *out = value_bytes(TYPE_STRING, token);
    return 0;
}

int json_read_scalar(struct json_cursor *cursor, const struct type *type, struct value *out)
{
    struct slice token;
    bool whole;
    char c = peek(cursor);
    bool number = c == '-' || (c >= '0' && c <= '9');
    if (c == 'n' && take_word(cursor, SLICE("null"))) {
        *out = value_null(type->kind);
        return 0;
    }
    switch (type->kind) {
    case TYPE_BOOLEAN:
        if (take_word(cursor, SLICE("true")))
            *out = value_integer(TYPE_BOOLEAN, 1);
        else if (take_word(cursor, SLICE("false")))
            *out = value_integer(TYPE_BOOLEAN, 0);
        else
            return wrong_kind(cursor, "true or false");
        return 0;
    case TYPE_INT32:
    case TYPE_INT64: return read_integer(cursor, type, out);
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        if (number) {
            TRY(read_number(cursor, &token, &whole));
            return value_from_text(type, token, cursor->scratch, out);
        }
        if (c != '"') return wrong_kind(cursor, "a number");
        TRY(json_read_string(cursor, &token));
        if (!slice_equal_text(token, "NaN") && !slice_equal_text(token, "Infinity") &&
            !slice_equal_text(token, "-Infinity"))
            return error_set(GLIS_EDATA, "a number is wanted, this is a string");
        return value_from_text(type, token, cursor->scratch, out);
    case TYPE_DECIMAL:
        if (number) {
            TRY(read_number(cursor, &token, &whole));
            return value_from_text(type, token, cursor->scratch, out);
        }
        /* fall through */
    default:
        if (type->kind == TYPE_STRING && c != '"') return read_as_text(cursor, out);
        if (c != '"') return wrong_kind(cursor, "a string");
        TRY(json_read_string(cursor, &token));
        if (type->kind == TYPE_STRING) { /* its UTF-8 has been checked */
            *out = value_bytes(TYPE_STRING, token);
            return 0;
        }
        return value_from_text(type, token, cursor->scratch, out);
    }
}

/* ---- stepping over ---- */

static int skip_value(struct json_cursor *cursor, unsigned depth)
{
    struct slice text;
    bool whole;
    if (depth > JSON_SKIP_DEPTH_MAX)
        return error_set(GLIS_EDATA, "JSON nested deeper than %d", JSON_SKIP_DEPTH_MAX);
    char c = peek(cursor);
    if (c == '"') return json_read_string(cursor, &text);
    if (c == '{' || c == '[') {
        char close = c == '{' ? '}' : ']';
        cursor->at++;
        if (peek(cursor) == close) {
            cursor->at++;
            return 0;
        }
        for (;;) {
            if (c == '{') {
                TRY(json_read_string(cursor, &text));
                TRY(json_expect(cursor, ':'));
            }
            TRY(skip_value(cursor, depth + 1));
            if (peek(cursor) != ',') return json_expect(cursor, close);
            cursor->at++;
        }
    }
    if (take_word(cursor, SLICE("true")) || take_word(cursor, SLICE("false")) ||
        take_word(cursor, SLICE("null")))
        return 0;
    return read_number(cursor, &text, &whole);
}

int json_skip_value(struct json_cursor *cursor)
{
    return skip_value(cursor, 0);
}

/* ---- nested values ---- */

static int compare_values(const void *a, const void *b)
{
    return value_compare(a, b);
}

/* GLIS_EDATA when a key comes twice. */
static int check_map_keys(struct value *keys, size_t n)
{
    if (n < 2) return 0;
    qsort(keys, n, sizeof *keys, compare_values);
    for (size_t i = 1; i < n; i++)
        if (value_compare(&keys[i - 1], &keys[i]) == 0)
            return error_set(GLIS_EDATA, "a map key that comes twice");
    return 0;
}

/* The keys of the map at hand, in scratch. */
struct map_keys {
    struct value *keys;
    size_t n, capacity;
};

static int add_map_key(struct json_cursor *cursor, struct map_keys *keys,
                       struct column_builder *builder, struct value *key)
{
    if (key->is_null) return error_set(GLIS_EDATA, "a map key cannot be null");
    if (keys->n == keys->capacity) {
        size_t capacity = keys->capacity ? keys->capacity * 2 : 16;
        struct value *grown = ARENA_ARRAY(cursor->scratch, struct value, capacity);
        if (keys->n) memcpy(grown, keys->keys, keys->n * sizeof *grown);
        keys->keys = grown;
        keys->capacity = capacity;
    }
    keys->keys[keys->n++] = *key;
    return column_builder_append_value(builder, key);
}

static int push(struct json_cursor *cursor, struct slice name)
{
    if (json_push(cursor, name)) return 0;
    return error_set(GLIS_EDATA, "nested deeper than %d", TYPE_DEPTH_MAX);
}

static int read_map_object(struct json_cursor *cursor, struct column_builder *entries,
                           struct map_keys *keys)
{
    struct column_builder *key_builder = column_builder_child(entries, 0);
    const struct type *key_type = column_builder_type(key_builder);
    cursor->at++;
    if (peek(cursor) == '}') {
        cursor->at++;
        return 0;
    }
    for (;;) {
        struct slice text;
        struct value key;
        TRY(push(cursor, SLICE("key")));
        TRY(json_read_string(cursor, &text));
        if (key_type->kind == TYPE_STRING)
            key = value_bytes(TYPE_STRING, text);
        else
            TRY(value_from_text(key_type, text, cursor->scratch, &key));
        TRY(add_map_key(cursor, keys, key_builder, &key));
        cursor->path[cursor->depth - 1] = SLICE("value");
        TRY(json_expect(cursor, ':'));
        TRY(json_read_into(cursor, column_builder_child(entries, 1)));
        TRY(column_builder_end(entries));
        cursor->depth--;
        if (peek(cursor) != ',') return json_expect(cursor, '}');
        cursor->at++;
    }
}

/* One {"key":…,"value":…} of a map that is written as an array. */
static int read_map_entry(struct json_cursor *cursor, struct column_builder *entries,
                          struct map_keys *keys)
{
    struct column_builder *key_builder = column_builder_child(entries, 0);
    bool has_key = false, has_value = false;
    if (peek(cursor) != '{') return wrong_kind(cursor, "an object with key and value");
    cursor->at++;
    while (peek(cursor) != '}') {
        struct slice name;
        if (has_key || has_value) TRY(json_expect(cursor, ','));
        TRY(json_read_string(cursor, &name));
        TRY(json_expect(cursor, ':'));
        TRY(push(cursor, name));
        if (slice_equal_text(name, "key") && !has_key) {
            struct value key;
            TRY(json_read_scalar(cursor, column_builder_type(key_builder), &key));
            TRY(add_map_key(cursor, keys, key_builder, &key));
            has_key = true;
        } else if (slice_equal_text(name, "value") && !has_value) {
            TRY(json_read_into(cursor, column_builder_child(entries, 1)));
            has_value = true;
        } else {
            return error_set(GLIS_EDATA, "a map entry has one key and one value, nothing else");
        }
        cursor->depth--;
    }
    cursor->at++;
    if (!has_key) return error_set(GLIS_EDATA, "a map entry without a key");
    if (!has_value) TRY(column_builder_append_null(column_builder_child(entries, 1)));
    return column_builder_end(entries);
}

static int read_elements(struct json_cursor *cursor, struct column_builder *child,
                         struct map_keys *keys)
{
    cursor->at++;
    if (peek(cursor) == ']') {
        cursor->at++;
        return 0;
    }
    TRY(push(cursor, keys ? SLICE("key_value") : SLICE("element")));
    for (;;) {
        if (keys)
            TRY(read_map_entry(cursor, child, keys));
        else
            TRY(json_read_into(cursor, child));
        if (peek(cursor) != ',') break;
        cursor->at++;
    }
    cursor->depth--;
    return json_expect(cursor, ']');
}

static int read_struct(struct json_cursor *cursor, struct column_builder *builder)
{
    const struct type *type = column_builder_type(builder);
    bool *seen = ARENA_ARRAY(cursor->scratch, bool, type->n_children);
    uint32_t expected = 0;
    cursor->at++;
    bool first = true;
    while (peek(cursor) != '}') {
        struct slice name;
        if (!first) TRY(json_expect(cursor, ','));
        first = false;
        TRY(json_read_string(cursor, &name));
        TRY(json_expect(cursor, ':'));
        TRY(push(cursor, name));
        uint32_t i = expected;
        if (i >= type->n_children || !slice_equal(type->children[i].name, name))
            for (i = 0; i < type->n_children && !slice_equal(type->children[i].name, name);)
                i++;
        if (i == type->n_children) {
            if (!cursor->ignore_extra) return error_set(GLIS_EDATA, "an unknown member");
            TRY(json_skip_value(cursor));
        } else {
            if (seen[i]) return error_set(GLIS_EDATA, "a member that comes twice");
            seen[i] = true;
            TRY(json_read_into(cursor, column_builder_child(builder, i)));
            expected = i + 1;
        }
        cursor->depth--;
    }
    cursor->at++;
    for (uint32_t i = 0; i < type->n_children; i++) {
        if (seen[i]) continue;
        TRY(push(cursor, type->children[i].name));
        TRY(column_builder_append_null(column_builder_child(builder, i)));
        cursor->depth--;
    }
    return column_builder_end(builder);
}

int json_read_into(struct json_cursor *cursor, struct column_builder *builder)
{
    const struct type *type = column_builder_type(builder);
    struct map_keys keys = {0};
    char c = peek(cursor);
    if (!type->n_children && type->kind != TYPE_STRUCT) {
        struct value value;
        TRY(json_read_scalar(cursor, type, &value));
        if (value.is_null) return column_builder_append_null(builder);
        return column_builder_append_value(builder, &value);
    }
    if (c == 'n' && take_word(cursor, SLICE("null"))) return column_builder_append_null(builder);
    switch (type->kind) {
    case TYPE_LIST:
        if (c != '[') return wrong_kind(cursor, "an array");
        TRY(read_elements(cursor, column_builder_child(builder, 0), NULL));
        return column_builder_end(builder);
    case TYPE_MAP:
        if (c == '{')
            TRY(read_map_object(cursor, column_builder_child(builder, 0), &keys));
        else if (c == '[')
            TRY(read_elements(cursor, column_builder_child(builder, 0), &keys));
        else
            return wrong_kind(cursor, "an object");
        if (!cursor->joins_map) TRY(check_map_keys(keys.keys, keys.n));
        return column_builder_end(builder);
    default:
        if (c != '{') return wrong_kind(cursor, "an object");
        return read_struct(cursor, builder);
    }
}

const char *json_cursor_path(const struct json_cursor *cursor, struct arena *arena)
{
    struct buffer text = BUFFER_INIT(4096);
    int code = 0;
    for (unsigned i = 0; i < cursor->depth && code == 0; i++) {
        if (i) code = buffer_append_byte(&text, '.');
        if (code == 0) code = buffer_append_slice(&text, slice_part(cursor->path[i], 0, 128));
    }
    const char *path = arena_copy_text(arena, buffer_slice(&text));
    buffer_free(&text);
    return path;
}

int json_append_value(struct slice json, const char *path, struct column_builder *builder)
{
    struct arena scratch defer_arena = ARENA_EMPTY;
    struct json_cursor cursor = {
        .at = json.data, .end = json.data + json.size, .scratch = &scratch};
    bool pushed = json_push(&cursor, slice_from_text(path));
    ASSERT(pushed);
    int code = json_read_into(&cursor, builder);
    if (code == 0) {
        json_skip_blanks(&cursor);
        if (cursor.at != cursor.end) code = unexpected(&cursor, "the end of the text");
    }
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        const char *full = json_cursor_path(&cursor, &scratch);
        error_load(&detail);
        error_context("%s", full);
    }
    return code;
}
