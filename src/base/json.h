/*
 * json.h: JSON texts, read into a tree and written in order.
 *
 * Reading is strict: RFC 8259 without extensions, UTF-8 checked, duplicate names refused, depth and
 * size bounded, whole numbers exact within int64 (a number with a point or an exponent is a
 * double). The getters check presence, type and range, and their errors name the place as a path
 * from the root: "regions[0].key.min: a whole number is wanted, this is a string". Syntax errors
 * give line and column. The code of all these errors is the one of the rules: GLIS_EINVALID for
 * what a user wrote, GLIS_ECORRUPT for what Glis itself had written.
 *
 * Writing is a stream of calls onto a buffer: no tree is needed. The same calls give the same
 * bytes. A failure (the buffer's maximum or budget) sticks to the writer and comes out of
 * json_writer_finish, so the calls between need no checks.
 *
 * Ownership: the tree and all its texts live in the arena given to json_parse; the source text may
 * go. Trees are immutable and may be shared by threads.
 */
#ifndef GLIS_BASE_JSON_H
#define GLIS_BASE_JSON_H

#include "base/buffer.h"

enum json_type {
    JSON_TYPE_NULL,
    JSON_TYPE_BOOL,
    JSON_TYPE_INT,
    JSON_TYPE_DOUBLE,
    JSON_TYPE_STRING,
    JSON_TYPE_ARRAY,
    JSON_TYPE_OBJECT,
};

/* One value. Of an array or object, items[0 .. n_items-1] in the order of the text. */
struct json {
    enum json_type type;
    int error_code;            /* of errors about this value */
    const struct json *parent; /* NULL at the root */
    struct slice name;         /* within an object; otherwise empty */
    size_t n_items;
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct slice text;
        struct json *items;
    };
};

struct json_rules {
    size_t max_bytes;   /* of the text */
    unsigned max_depth; /* of arrays and objects within each other */
    int error_code;     /* for syntax and getters alike */
};
#define JSON_RULES_USER     ((struct json_rules){16 << 20, 64, GLIS_EINVALID})
#define JSON_RULES_INTERNAL ((struct json_rules){256 << 20, 64, GLIS_ECORRUPT})

/* Reads one text with nothing but white space around it. GLIS_ELIMIT beyond the rules' limits. */
int json_parse(struct arena *arena, struct slice text, struct json_rules rules,
               const struct json **out) GLIS_CHECKED;

/* The field of an object; NULL when it is absent or when `object` is none. */
const struct json *json_find(const struct json *object, const char *name);
/* The same; absent is an error. A null counts as present. */
int json_get(const struct json *object, const char *name, const struct json **out) GLIS_CHECKED;

/* Fields that must be there, with the type and, for numbers, in [min, max]. */
int json_get_string(const struct json *object, const char *name, struct slice *out) GLIS_CHECKED;
int json_get_int(const struct json *object, const char *name, int64_t min, int64_t max,
                 int64_t *out) GLIS_CHECKED;
int json_get_double(const struct json *object, const char *name, double *out) GLIS_CHECKED;
int json_get_bool(const struct json *object, const char *name, bool *out) GLIS_CHECKED;
int json_get_array(const struct json *object, const char *name, const struct json **out)
    GLIS_CHECKED;
int json_get_object(const struct json *object, const char *name, const struct json **out)
    GLIS_CHECKED;

/* Fields that may be absent or null: then *out keeps what it held. */
int json_optional_string(const struct json *object, const char *name, struct slice *out)
    GLIS_CHECKED;
int json_optional_int(const struct json *object, const char *name, int64_t min, int64_t max,
                      int64_t *out) GLIS_CHECKED;
int json_optional_double(const struct json *object, const char *name, double *out) GLIS_CHECKED;
int json_optional_bool(const struct json *object, const char *name, bool *out) GLIS_CHECKED;
int json_optional_array(const struct json *object, const char *name, const struct json **out)
    GLIS_CHECKED;
int json_optional_object(const struct json *object, const char *name, const struct json **out)
    GLIS_CHECKED;

/* The value itself as a type: for elements of arrays. json_as_double takes whole numbers too. */
int json_as_string(const struct json *value, struct slice *out) GLIS_CHECKED;
int json_as_int(const struct json *value, int64_t min, int64_t max, int64_t *out) GLIS_CHECKED;
int json_as_double(const struct json *value, double *out) GLIS_CHECKED;
int json_as_bool(const struct json *value, bool *out) GLIS_CHECKED;
int json_as_array(const struct json *value) GLIS_CHECKED;  /* only checks */
int json_as_object(const struct json *value) GLIS_CHECKED; /* only checks */

/* Fails at the first field of `object` that is not one of the n names, with "did you mean". */
int json_check_names(const struct json *object, const char *const *names, size_t n) GLIS_CHECKED;

/* An error about a value, led by its path; the code is the value's own. Always fails. */
int json_fail(const struct json *value, const char *format, ...) GLIS_PRINTF(2, 3) GLIS_CHECKED;
/* "regions[0].key.min", or "the top level", cut to fit; returns `out`. */
const char *json_path(const struct json *value, char *out, size_t capacity);
/* "a string", "an object", ... for messages. */
const char *json_type_text(enum json_type type);
/* Equal by value; fields of objects in any order; 1 and 1.0 differ. */
bool json_value_equal(const struct json *a, const struct json *b);

/* ---- writing ---- */

enum { JSON_WRITER_DEPTH_MAX = 128 };

struct json_writer {
    struct buffer *out;
    unsigned indent; /* 0: all on one line without blanks; otherwise blanks a level */
    unsigned depth;
    bool after_name;
    uint8_t kinds[JSON_WRITER_DEPTH_MAX]; /* '{' or '[' of each open level */
    bool filled[JSON_WRITER_DEPTH_MAX];   /* has an item already */
    int code;                             /* the first failure */
    struct error_detail failure;
};

/* Writes behind what `out` holds. Nothing needs freeing. */
void json_writer_init(struct json_writer *writer, struct buffer *out, unsigned indent);
/* The first failure, its detail restored, or 0. Everything that was begun must be ended. */
int json_writer_finish(struct json_writer *writer) GLIS_CHECKED;

/* What is begun is ended, innermost first; the values between belong to it. */
void json_write_object_begin(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array_begin(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);
/* The name of the next value; only within an object. */
void json_write_name(struct json_writer *writer, const char *name);
void json_write_name_slice(struct json_writer *writer, struct slice name);

/* Bytes that are no UTF-8 are written as U+FFFD. */
void json_write_string(struct json_writer *writer, struct slice value);
void json_write_text(struct json_writer *writer, const char *value);
void json_write_int(struct json_writer *writer, int64_t value);
void json_write_uint(struct json_writer *writer, uint64_t value);
/* The shortest text that reads back as the same double, always with a point or an exponent. What
 * JSON has no number for is written as the strings "NaN", "Infinity" and "-Infinity". */
void json_write_double(struct json_writer *writer, double value);
void json_write_bool(struct json_writer *writer, bool value);
void json_write_null(struct json_writer *writer);
/* A value that is JSON text already; not checked. */
void json_write_raw(struct json_writer *writer, struct slice json_text);
/* A whole tree, fields in its order. */
void json_write_value(struct json_writer *writer, const struct json *value);

/* Name and value in one call. */
void json_write_field_string(struct json_writer *writer, const char *name, struct slice value);
void json_write_field_text(struct json_writer *writer, const char *name, const char *value);
void json_write_field_int(struct json_writer *writer, const char *name, int64_t value);
void json_write_field_uint(struct json_writer *writer, const char *name, uint64_t value);
void json_write_field_double(struct json_writer *writer, const char *name, double value);
void json_write_field_bool(struct json_writer *writer, const char *name, bool value);
void json_write_field_null(struct json_writer *writer, const char *name);

/* Appends one quoted and escaped string, without a writer. */
int json_append_string(struct buffer *out, struct slice value) GLIS_CHECKED;
/* Appends a double as json_write_double writes it. */
int json_append_double(struct buffer *out, double value) GLIS_CHECKED;

#endif
