/*
 * log_record.c: the bytes of a record and of a body (docs/formats.md, "Log records").
 *
 * A record is a header line and, behind it, n lines of one JSON object each; above 4 KiB these
 * lines are a zstd frame. The header carries the XXH3-128 of the lines and, as its last field, the
 * XXH3-64 of the header's own text before that field, so that a flipped bit anywhere is found.
 * Lines whose object has the field "log" are the log's own: a body's name, a carried pending entry,
 * a setting of the time; all others are the machine's transactions.
 *
 * Reading trusts nothing: sizes are bounded before memory is taken, every number has a range, and
 * the errors are GLIS_ECORRUPT except for formats and kinds that a later Glis may have written.
 */
#include "log/log_int.h"

#include "base/compress.h"

#define LINE_FIELD ",\"line\":\""
enum { LINE_FIELD_BYTES = sizeof(LINE_FIELD) - 1, LINE_SUFFIX_BYTES = LINE_FIELD_BYTES + 16 + 2 };

static int lines_encode(const struct log_line_out *lines, size_t n_lines, uint64_t record,
                        struct buffer *out);
static int header_encode(const struct log_record *header, size_t n_lines, struct slice body,
                         struct buffer *out);
static int header_decode(struct arena *arena, struct slice line, struct log_record *out,
                         int64_t *count, struct hash128 *hash);
static int unpack(struct arena *arena, struct slice stored, uint64_t max_bytes, struct slice *out);
static int lines_decode(struct arena *arena, struct slice body, int64_t count,
                        struct log_record *out);
static int transaction_classify(const struct json *json, struct log_line *out);
static int id_copy(const struct json *object, const char *name, char out[LOG_ID_BYTES + 1]);

/* Writes and reads of JSON texts that are the log's: what is wrong is GLIS_EINVALID first, so
 * that one place decides what that means. */
static const struct json_rules line_rules = {LOG_BODY_BYTES_MAX, 64, GLIS_EINVALID};

/* ---- writing ---- */

int log_record_encode(const struct log_record *header, const struct log_line_out *lines,
                      size_t n_lines, struct buffer *out)
{
    defer_buffer struct buffer body = BUFFER_INIT(LOG_RECORD_BYTES_MAX);
    TRY(lines_encode(lines, n_lines, header->record, &body));
    TRY(header_encode(header, n_lines, buffer_slice(&body), out));
    if (body.size > LOG_PACK_BYTES) return compress_zstd(out, buffer_slice(&body), 3);
    return buffer_append_slice(out, buffer_slice(&body));
}

static int lines_encode(const struct log_line_out *lines, size_t n_lines, uint64_t record,
                        struct buffer *out)
{
    (void)record;
    for (size_t i = 0; i < n_lines; i++) {
        const struct log_line_out *line = &lines[i];
        struct json_writer json;
        json_writer_init(&json, out, 0);
        if (line->sets_time) {
            json_write_object_begin(&json);
            json_write_field_text(&json, "log", "set_time");
            json_write_field_uint(&json, "record", line->set_time_record);
            json_write_object_end(&json);
        } else if (line->body_name.size) {
            char hash[HASH128_HEX_BYTES + 1];
            hash_hex128(line->body_hash, hash);
            json_write_object_begin(&json);
            json_write_field_text(&json, "log", "body");
            json_write_field_string(&json, "name", line->body_name);
            json_write_field_uint(&json, "bytes", line->body_bytes);
            json_write_field_text(&json, "xxh3", hash);
            json_write_object_end(&json);
        } else {
            json_write_raw(&json, line->text);
        }
        TRY(json_writer_finish(&json));
        TRY(buffer_append_byte(out, '\n'));
    }
    return 0;
}

static int header_encode(const struct log_record *header, size_t n_lines, struct slice body,
                         struct buffer *out)
{
    char hash[HASH128_HEX_BYTES + 1], line_hash[HASH64_HEX_BYTES + 1];
    size_t start = out->size;
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_int(&json, "glis", LOG_FORMAT);
    json_write_field_uint(&json, "seq", header->record);
    json_write_field_text(&json, "id", header->id);
    json_write_field_text(&json, "previous", header->previous);
    json_write_field_int(&json, "time", header->time_ms);
    json_write_field_string(&json, "writer", header->writer);
    json_write_field_uint(&json, "count", n_lines);
    hash_hex128(hash_xxh3_128(body.data, body.size), hash);
    json_write_field_text(&json, "xxh3", hash);
    json_write_object_end(&json);
    TRY(json_writer_finish(&json));
    out->size--; /* the closing brace: one more field follows */
    hash_hex64(hash_xxh3_64(out->data + start, out->size - start), line_hash);
    return buffer_printf(out, LINE_FIELD "%s\"}\n", line_hash);
}

int log_body_encode(struct slice text, struct buffer *out)
{
    if (text.size > LOG_PACK_BYTES) return compress_zstd(out, text, 3);
    return buffer_append_slice(out, text);
}

/* ---- reading ---- */

int log_record_decode(struct arena *arena, struct slice object, uint64_t record,
                      struct log_record *out)
{
    *out = (struct log_record){
        .record = record, .object_bytes = object.size, .weight_bytes = object.size};
    const char *end = object.size ? memchr(object.data, '\n', object.size) : NULL;
    if (!end || end - object.data > 4096) return error_set(GLIS_ECORRUPT, "it has no header line");
    size_t line_size = (size_t)(end - object.data);
    int64_t count = 0;
    struct hash128 hash;
    int code = header_decode(arena, slice_make(object.data, line_size), out, &count, &hash);
    if (code < 0) {
        error_context("header");
        return log_error_recode(code);
    }
    if (out->record != record)
        return error_set(GLIS_ECORRUPT, "its header says that it is record %llu",
                         (unsigned long long)out->record);
    struct slice stored = slice_part(object, line_size + 1, object.size), body;
    TRY(log_error_recode(unpack(arena, stored, LOG_RECORD_BYTES_MAX, &body)));
    out->body_bytes = body.size;
    struct hash128 found = hash_xxh3_128(body.data, body.size);
    if (found.high != hash.high || found.low != hash.low)
        return error_set(GLIS_ECORRUPT, "its hash is not the one in its header");
    return log_error_recode(lines_decode(arena, body, count, out));
}

static int header_decode(struct arena *arena, struct slice line, struct log_record *out,
                         int64_t *count, struct hash128 *hash)
{
    const struct json *json;
    TRY(json_parse(arena, line, (struct json_rules){4096, 4, GLIS_EINVALID}, &json));
    int64_t format, record;
    TRY(json_get_int(json, "glis", 1, INT64_MAX, &format));
    if (format > LOG_FORMAT)
        return error_set(GLIS_ENEWER, "records of format %lld are newer than this program",
                         (long long)format);
    struct slice text;
    uint64_t line_hash;
    if (line.size <= LINE_SUFFIX_BYTES) return error_set(GLIS_EINVALID, "it is too short");
    struct slice before = slice_part(line, 0, line.size - LINE_SUFFIX_BYTES);
    struct slice suffix = slice_part(line, before.size, LINE_SUFFIX_BYTES);
    if (!slice_starts_with(suffix, SLICE(LINE_FIELD)) ||
        !log_hex_parse(slice_part(suffix, LINE_FIELD_BYTES, 16), &line_hash) ||
        line_hash != hash_xxh3_64(before.data, before.size))
        return error_set(GLIS_EINVALID, "its own hash, the field \"line\", does not fit");
    TRY(json_get_int(json, "seq", 1, INT64_MAX, &record));
    out->record = (uint64_t)record;
    TRY(id_copy(json, "id", out->id));
    TRY(id_copy(json, "previous", out->previous));
    TRY(json_get_int(json, "time", 0, INT64_MAX, &out->time_ms));
    TRY(json_get_string(json, "writer", &out->writer));
    TRY(json_get_int(json, "count", 1, (int64_t)LOG_RECORD_BYTES_MAX, count));
    TRY(json_get_string(json, "xxh3", &text));
    if (!log_hash128_parse(text, hash))
        return error_set(GLIS_EINVALID, "xxh3: 32 hexadecimal digits are wanted");
    return 0;
}

static int id_copy(const struct json *object, const char *name, char out[LOG_ID_BYTES + 1])
{
    struct slice id;
    TRY(json_get_string(object, name, &id));
    if (!log_id_is_valid(id))
        return error_set(GLIS_EINVALID, "%s: 32 hexadecimal digits are wanted", name);
    memcpy(out, id.data, LOG_ID_BYTES);
    out[LOG_ID_BYTES] = '\0';
    return 0;
}

/* The text that was stored, raw or as a zstd frame. */
static int unpack(struct arena *arena, struct slice stored, uint64_t max_bytes, struct slice *out)
{
    if (!compress_is_zstd(stored)) {
        if (stored.size > LOG_PACK_BYTES)
            return error_set(GLIS_EINVALID, "%zu bytes that should have been compressed",
                             stored.size);
        *out = stored;
        return 0;
    }
    struct buffer text;
    buffer_init(&text, max_bytes, arena->budget);
    int code = decompress_zstd(&text, stored, max_bytes);
    void *copy = NULL;
    if (code == 0) code = arena_try_alloc(arena, text.size, &copy);
    if (code == 0) {
        if (text.size) memcpy(copy, text.data, text.size);
        *out = slice_make(copy, text.size);
    }
    buffer_free(&text);
    return code;
}

static int lines_decode(struct arena *arena, struct slice body, int64_t count,
                        struct log_record *out)
{
    if ((uint64_t)count > body.size / 3) /* "{}\n" */
        return error_set(GLIS_EINVALID, "%lld lines do not fit into %zu bytes", (long long)count,
                         body.size);
    void *memory;
    TRY(arena_try_alloc(arena, (size_t)count * sizeof(struct log_line), &memory));
    out->lines = memory;
    for (int64_t i = 0; i < count; i++) {
        const char *end = body.size ? memchr(body.data, '\n', body.size) : NULL;
        if (!end) return error_set(GLIS_EINVALID, "line %lld is missing", (long long)i + 2);
        size_t size = (size_t)(end - body.data);
        TRY_CONTEXT(log_line_decode(arena, slice_part(body, 0, size), &out->lines[i]), "line %lld",
                    (long long)i + 2);
        out->weight_bytes += out->lines[i].body_bytes;
        out->n_lines++;
        body = slice_part(body, size + 1, body.size);
    }
    if (body.size) return error_set(GLIS_EINVALID, "%zu bytes behind the last line", body.size);
    return 0;
}

int log_line_decode(struct arena *arena, struct slice text, struct log_line *out)
{
    const struct json *json;
    *out = (struct log_line){.text = text};
    TRY(json_parse(arena, text, line_rules, &json));
    TRY(json_as_object(json));
    const struct json *kind = json_find(json, "log");
    struct slice name = SLICE_EMPTY;
    if (kind) TRY(json_as_string(kind, &name));
    if (!slice_equal_text(name, "pending")) return transaction_classify(json, out);
    int64_t not_after;
    out->carried = true;
    TRY(json_get_string(json, "id", &out->pending_id));
    if (out->pending_id.size == 0 || out->pending_id.size > LOG_PENDING_ID_BYTES_MAX)
        return error_set(GLIS_EINVALID, "id: 1 to %d bytes are wanted", LOG_PENDING_ID_BYTES_MAX);
    TRY(json_get_int(json, "not_after", 1, INT64_MAX, &not_after));
    out->not_after = (uint64_t)not_after;
    const struct json *transaction;
    TRY(json_get_object(json, "transaction", &transaction));
    return transaction_classify(transaction, out);
}

/* What kind of transaction: the machine's own, or one of the log's. */
static int transaction_classify(const struct json *json, struct log_line *out)
{
    const struct json *kind = json_find(json, "log");
    if (!kind) {
        out->kind = LOG_LINE_DIRECT;
        out->json = json;
        return 0;
    }
    struct slice name;
    int64_t number;
    TRY(json_as_string(kind, &name));
    if (slice_equal_text(name, "set_time") && !out->carried) {
        out->kind = LOG_LINE_SET_TIME;
        TRY(json_get_int(json, "record", 0, INT64_MAX, &number));
        out->set_time_record = (uint64_t)number;
        return 0;
    }
    if (!slice_equal_text(name, "body"))
        return error_set(GLIS_ENEWER, "a line of the kind '%.*s' is newer than this program",
                         SLICE_PRINT(name));
    struct slice hash;
    out->kind = LOG_LINE_BODY;
    TRY(json_get_string(json, "name", &out->body_name));
    TRY(json_get_int(json, "bytes", 2, (int64_t)LOG_BODY_BYTES_MAX, &number));
    TRY(json_get_string(json, "xxh3", &hash));
    out->body_bytes = (uint64_t)number;
    if (out->body_name.size != LOG_BODY_NAME_BYTES || out->body_name.data[12] != '-' ||
        !log_hex_parse(slice_part(out->body_name, 0, 12), &out->body_begun) ||
        !log_id_is_valid(slice_part(out->body_name, 13, 32)) ||
        !log_hash128_parse(hash, &out->body_hash))
        return error_set(GLIS_EINVALID, "not a body's name and hash");
    return 0;
}

int log_body_decode(struct arena *arena, struct slice object, struct log_line *line)
{
    struct slice text;
    TRY(log_error_recode(unpack(arena, object, LOG_BODY_BYTES_MAX, &text)));
    struct hash128 hash = hash_xxh3_128(text.data, text.size);
    if (text.size != line->body_bytes || hash.high != line->body_hash.high ||
        hash.low != line->body_hash.low)
        return error_set(GLIS_ECORRUPT, "its size or hash is not the one in the record");
    int code = json_parse(arena, text, line_rules, &line->json);
    if (code == 0) code = json_as_object(line->json);
    if (code == 0) line->text = text;
    return log_error_recode(code);
}

/* ---- small things ---- */

int log_error_recode(int code)
{
    if (code != GLIS_EINVALID && code != GLIS_EREFUSED && code != GLIS_ELIMIT) return code;
    struct error_detail detail;
    error_save(&detail);
    detail.code = GLIS_ECORRUPT;
    return error_load(&detail);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool log_hex_parse(struct slice digits, uint64_t *out)
{
    *out = 0;
    if (digits.size == 0 || digits.size > 16) return false;
    for (size_t i = 0; i < digits.size; i++) {
        int value = hex_value(digits.data[i]);
        if (value < 0) return false;
        *out = *out << 4 | (uint64_t)value;
    }
    return true;
}

bool log_hash128_parse(struct slice digits, struct hash128 *out)
{
    return digits.size == HASH128_HEX_BYTES &&
           log_hex_parse(slice_part(digits, 0, 16), &out->high) &&
           log_hex_parse(slice_part(digits, 16, 16), &out->low);
}

bool log_id_is_valid(struct slice id)
{
    struct hash128 ignored;
    return log_hash128_parse(id, &ignored);
}

bool log_decimal_parse(struct slice digits, uint64_t *out)
{
    *out = 0;
    if (digits.size != 20) return false;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
        if (__builtin_mul_overflow(*out, (uint64_t)10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(digits.data[i] - '0'), out))
            return false;
    }
    return true;
}
