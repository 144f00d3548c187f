/*
 * logger.c: log entries as text or JSON lines.
 *
 * An entry is put together in a bounded buffer and written at once. A field that does not fit any
 * more is left out, with all behind it, and the entry says so with cut=true. In text, values with
 * blanks, quotes, '=' or anything but printable characters are written as JSON strings, so an entry
 * is always one line and cannot be forged by what is logged.
 */
#include "base/logger.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { ENDING_BYTES = 32 }; /* kept free for what closes an entry */

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};
static const char *const format_names[] = {"text", "json"};

static int append_start(struct buffer *out, const struct logger *logger, enum logger_level level,
                        const char *message);
static int append_field(struct buffer *out, enum logger_format format,
                        const struct logger_field *field);
static int append_text_value(struct buffer *out, enum logger_format format, struct slice value);
static void format_time(int64_t wall_ms, char *out, size_t capacity);
static bool is_secret(const char *name);
static int parse_choice(struct slice s, const char *const *names, unsigned n, unsigned *out);

void logger_init(struct logger *logger, int fd, enum logger_level level, enum logger_format format,
                 struct clock *clock)
{
    logger->fd = fd;
    logger->level = level;
    logger->format = format;
    logger->clock = clock;
}

void logger_write(struct logger *logger, enum logger_level level, const char *message,
                  const struct logger_field *fields, size_t n_fields)
{
    if (!logger || level < logger->level || level >= LOGGER_OFF) return;
    /* Logging happens on the way of errors too, and must not replace what they say. */
    struct error_detail before;
    error_save(&before);

    defer_buffer struct buffer entry = BUFFER_INIT(LOGGER_ENTRY_BYTES - ENDING_BYTES);
    bool cut = append_start(&entry, logger, level, message) < 0;
    for (size_t i = 0; i < n_fields && !cut; i++) {
        size_t size = entry.size;
        cut = append_field(&entry, logger->format, &fields[i]) < 0;
        if (cut) entry.size = size;
    }
    entry.max_bytes += ENDING_BYTES;
    bool json = logger->format == LOGGER_JSON;
    int code = cut ? buffer_append_text(&entry, json ? ",\"cut\":true" : " cut=true") : 0;
    if (code == 0) code = buffer_append_text(&entry, json ? "}\n" : "\n");
    for (size_t done = 0; code == 0 && done < entry.size;) {
        ssize_t n = write(logger->fd, entry.data + done, entry.size - done);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) done += (size_t)n;
    }
    (void)error_load(&before);
}

int logger_level_parse(struct slice s, enum logger_level *out)
{
    unsigned choice;
    TRY(parse_choice(s, level_names, sizeof(level_names) / sizeof(level_names[0]), &choice));
    *out = (enum logger_level)choice;
    return 0;
}

int logger_format_parse(struct slice s, enum logger_format *out)
{
    unsigned choice;
    TRY(parse_choice(s, format_names, sizeof(format_names) / sizeof(format_names[0]), &choice));
    *out = (enum logger_format)choice;
    return 0;
}

static int append_start(struct buffer *out, const struct logger *logger, enum logger_level level,
                        const char *message)
{
    char when[40];
    format_time(logger->clock->wall_ms(logger->clock), when, sizeof(when));
    struct slice shown = slice_part(slice_from_text(message), 0, LOGGER_VALUE_BYTES);
    if (logger->format == LOGGER_JSON) {
        TRY(buffer_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", when,
                          level_names[level]));
        return json_append_string(out, shown);
    }
    return buffer_printf(out, "%s %s %.*s", when, level_names[level], SLICE_PRINT(shown));
}

static int append_field(struct buffer *out, enum logger_format format,
                        const struct logger_field *field)
{
    if (format == LOGGER_JSON) {
        TRY(buffer_append_byte(out, ','));
        TRY(json_append_string(out, slice_from_text(field->name)));
        TRY(buffer_append_byte(out, ':'));
    } else {
        TRY(buffer_printf(out, " %s=", field->name));
    }
    if (is_secret(field->name)) return append_text_value(out, format, SLICE("***"));
    switch (field->type) {
    case LOGGER_FIELD_INT: return buffer_printf(out, "%" PRId64, field->integer);
    case LOGGER_FIELD_DOUBLE: return json_append_double(out, field->number);
    case LOGGER_FIELD_TEXT: return append_text_value(out, format, field->text);
    }
    return 0;
}

static int append_text_value(struct buffer *out, enum logger_format format, struct slice value)
{
    struct slice shown = slice_part(value, 0, LOGGER_VALUE_BYTES);
    bool plain = format == LOGGER_TEXT && shown.size > 0 && text_is_utf8(shown, NULL);
    for (size_t i = 0; i < shown.size && plain; i++) {
        uint8_t c = (uint8_t)shown.data[i];
        plain = c > 0x20 && c != 0x7F && c != '"' && c != '=' && c != '\\';
    }
    return plain ? buffer_append_slice(out, shown) : json_append_string(out, shown);
}

static void format_time(int64_t wall_ms, char *out, size_t capacity)
{
    int64_t ms = wall_ms % 1000;
    if (ms < 0) ms += 1000;
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    struct tm parts;
    char date[32];
    if (!gmtime_r(&seconds, &parts) ||
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        snprintf(out, capacity, "%" PRId64, wall_ms);
        return;
    }
    snprintf(out, capacity, "%s.%03dZ", date, (int)ms);
}

static bool is_secret(const char *name)
{
    static const char *const words[] = {"password",   "passwd",        "secret",     "token",
                                        "credential", "authorization", "private_key"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr(name, words[i])) return true;
    }
    return false;
}

static int parse_choice(struct slice s, const char *const *names, unsigned n, unsigned *out)
{
    defer_buffer struct buffer list = BUFFER_INIT(200);
    for (unsigned i = 0; i < n; i++) {
        if (slice_equal_text(s, names[i])) {
            *out = i;
            return 0;
        }
        TRY(buffer_printf(&list, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", names[i]));
    }
    struct slice shown = slice_part(s, 0, 40);
    return error_set(GLIS_EINVALID, "'%.*s' is not one of %.*s", SLICE_PRINT(shown),
                     SLICE_PRINT(buffer_slice(&list)));
}
