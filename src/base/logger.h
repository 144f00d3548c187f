/*
 * logger.h: what a running program tells its operators, as text or JSON lines.
 *
 * An entry is a level, a constant message and fields; numbers and names go into fields, so that the
 * messages can be searched for. Text looks like 2026-03-01T12:00:00.123Z info ingest committed
 * table=packages rows=63000 and JSON like {"time":"...","level":"info","message":"ingest
 * committed","table":"packages",...}. An entry is written by one call of write(2), so that the
 * lines of several processes do not mix; it is at most LOGGER_ENTRY_BYTES long and longer values
 * are cut. Values of fields whose name speaks of a password, secret, token or credential are
 * replaced by "***" whoever logs them. What a log cannot write it drops: logging never fails.
 */
#ifndef GLIS_BASE_LOGGER_H
#define GLIS_BASE_LOGGER_H

#include "base/runtime.h"

enum { LOGGER_ENTRY_BYTES = 8192, LOGGER_VALUE_BYTES = 2048 };

enum logger_level { LOGGER_DEBUG, LOGGER_INFO, LOGGER_WARN, LOGGER_ERROR, LOGGER_OFF };
enum logger_format { LOGGER_TEXT, LOGGER_JSON };

struct logger {
    int fd; /* not owned */
    enum logger_level level;
    enum logger_format format;
    struct clock *clock;
};

enum logger_field_type { LOGGER_FIELD_TEXT, LOGGER_FIELD_INT, LOGGER_FIELD_DOUBLE };
struct logger_field {
    const char *name;
    enum logger_field_type type;
    struct slice text;
    int64_t integer;
    double number;
};
#define LOGGER_FIELD_SLICE(field_name, value) \
    ((struct logger_field){.name = (field_name), .type = LOGGER_FIELD_TEXT, .text = (value)})
#define LOGGER_FIELD_STRING(field_name, value) \
    LOGGER_FIELD_SLICE(field_name, slice_from_text(value))
#define LOGGER_FIELD_NUMBER(field_name, value) \
    ((struct logger_field){.name = (field_name), .type = LOGGER_FIELD_INT, .integer = (value)})
#define LOGGER_FIELD_REAL(field_name, value) \
    ((struct logger_field){.name = (field_name), .type = LOGGER_FIELD_DOUBLE, .number = (value)})

/* A logger that writes to `fd`. */
void logger_init(struct logger *logger, int fd, enum logger_level level, enum logger_format format,
                 struct clock *clock);
/* Writes an entry when its level is high enough. A NULL logger is allowed and says nothing. */
void logger_write(struct logger *logger, enum logger_level level, const char *message,
                  const struct logger_field *fields, size_t n_fields);
/* logger_log(logger, LOGGER_INFO, "ingest committed", LOGGER_FIELD_NUMBER("rows", n)) */
#define logger_log(logger, level, message, ...)                                            \
    logger_write((logger), (level), (message), (const struct logger_field[]){__VA_ARGS__}, \
                 sizeof((const struct logger_field[]){__VA_ARGS__}) / sizeof(struct logger_field))

/* "debug", "info", "warn", "error", "off"; "text", "json". GLIS_EINVALID lists the choices. */
int logger_level_parse(struct slice s, enum logger_level *out) GLIS_CHECKED;
int logger_format_parse(struct slice s, enum logger_format *out) GLIS_CHECKED;

#endif
