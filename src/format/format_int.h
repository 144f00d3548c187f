/*
 * format_int.h: what the files of format/ share: the window onto a byte source, the part that is
 * the same in every reader of rows (line numbers, bad rows, key rules, batches), and the parser of
 * typed JSON.
 */
#ifndef GLIS_FORMAT_FORMAT_INT_H
#define GLIS_FORMAT_FORMAT_INT_H

#include "format/flatbuffer.h"
#include "format/format.h"

/* ---- the window ---- */

/* The bytes of a source that are at hand: data[begin .. end). text_window_fill moves them to the
 * front and reads more, growing up to max_bytes. */
struct text_window {
    struct byte_source *source; /* owned */
    struct block *block;
    char *data;
    size_t begin, end, capacity;
    uint64_t max_bytes;
    uint64_t bytes_read;
    struct budget *budget;
    bool at_end; /* the source has no more */
};
/* Takes the source, also on failure. */
int text_window_open(struct text_window *window, struct byte_source *source, uint64_t max_bytes,
                     struct budget *budget) GLIS_CHECKED;
void text_window_close(struct text_window *window);
/* At least one more byte, or at_end. GLIS_ELIMIT when max_bytes are at hand and none of them was
 * taken. */
int text_window_fill(struct text_window *window) GLIS_CHECKED;
/* Skips a byte order mark at the very beginning. */
int text_window_skip_mark(struct text_window *window) GLIS_CHECKED;

/* ---- what readers of rows share ---- */

/* One reader: the stream, its options with defaults filled in, the rows being built. A kind of
 * reader gives `read_row`. */
struct row_reader {
    struct batch_stream stream;
    struct format_options options;
    const struct schema *schema;
    struct text_window window;
    struct batch_builder *builder;
    struct arena scratch; /* of one row */
    int64_t line;         /* in which the row at hand begins */
    int64_t n_rows, n_bad;
    bool done;
    /* Appends the next row to the builder and ends it; *more = false at the end of the text. A bad
     * row it tells through row_reader_bad, and succeeds. */
    int (*read_row)(struct row_reader *reader, bool *more);
    void (*close)(struct row_reader *reader); /* frees what the kind has of its own; may be NULL */
};
/* Sets up everything but read_row and close; the schema may be NULL, and is set by row_reader_begin
 * then. Takes the source, also on failure. */
int row_reader_init(struct row_reader *reader, struct byte_source *source,
                    const struct format_options *options) GLIS_CHECKED;
/* From now on rows of this schema are built. */
int row_reader_begin(struct row_reader *reader, const struct schema *schema) GLIS_CHECKED;
void row_reader_close(struct batch_stream *stream);
/* Tells of a bad row and drops what was appended for it; `code` is the failure with its detail in
 * this thread. Only GLIS_EDATA makes a bad row, all else is passed on. */
int row_reader_bad(struct row_reader *reader, int code, const char *field, struct slice text)
    GLIS_CHECKED;
/* Makes a key value fit the rules (-0 is 0; null and NaN are GLIS_EDATA) and adds its encoded size.
 */
int key_value_check(const struct type *type, struct value *value, uint64_t *key_bytes) GLIS_CHECKED;
/* GLIS_EDATA when a whole key is too long. */
int key_size_check(uint64_t key_bytes) GLIS_CHECKED;

/* ---- typed JSON ---- */

enum { JSON_PATH_MAX = 3 * TYPE_DEPTH_MAX + 8, JSON_SKIP_DEPTH_MAX = 64 };

/* A place in a JSON text, and the path of the value that is being read. */
struct json_cursor {
    const char *at, *end;
    struct arena *scratch; /* for texts with escapes */
    bool ignore_extra;     /* unknown members of structs are left out */
    bool joins_map;        /* the value is a map whose keys may come twice */
    unsigned depth;        /* of `path`; components stay there on failure */
    struct slice path[JSON_PATH_MAX];
};
/* All fail with GLIS_EDATA. */
void json_skip_blanks(struct json_cursor *cursor);
int json_expect(struct json_cursor *cursor, char c) GLIS_CHECKED;
/* A string at the cursor: without escapes a part of the text, else in scratch. UTF-8 is checked. */
int json_read_string(struct json_cursor *cursor, struct slice *out) GLIS_CHECKED;
/* Steps over any value, checking its syntax. */
int json_skip_value(struct json_cursor *cursor) GLIS_CHECKED;
/* A scalar of a type. */
int json_read_scalar(struct json_cursor *cursor, const struct type *type, struct value *out)
    GLIS_CHECKED;
/* Any value into a builder. */
int json_read_into(struct json_cursor *cursor, struct column_builder *builder) GLIS_CHECKED;
/* "a.b.element", in the arena. */
const char *json_cursor_path(const struct json_cursor *cursor, struct arena *arena);
static inline bool json_push(struct json_cursor *cursor, struct slice name)
{
    if (cursor->depth >= JSON_PATH_MAX) return false;
    cursor->path[cursor->depth++] = name;
    return true;
}
/* "a number", "a string", ... by the first byte at the cursor. */
const char *json_kind_at(const struct json_cursor *cursor);

/* ---- rows of JSON as text ---- */

/* A reader of the rows' texts only: no schema, no batches. Takes the source, also on failure;
 * closed with row_reader_close. */
int jsonl_rows_open(struct byte_source *source, const struct format_options *options,
                    struct row_reader **out) GLIS_CHECKED;
/* The next row's text, valid until the next call; reader->line is its line. */
int jsonl_rows_next(struct row_reader *reader, struct slice *row, bool *more) GLIS_CHECKED;

/* How many bytes of a text fit into max_width columns; *width is what they take. */
size_t text_cut(struct slice text, uint32_t max_width, uint32_t *width);

/* ---- Arrow messages ---- */

/* Numbers of the types in Arrow's Schema.fbs. */
enum arrow_type {
    ARROW_NULL = 1,
    ARROW_INT = 2,
    ARROW_FLOATING_POINT = 3,
    ARROW_BINARY = 4,
    ARROW_UTF8 = 5,
    ARROW_BOOL = 6,
    ARROW_DECIMAL = 7,
    ARROW_DATE = 8,
    ARROW_TIME = 9,
    ARROW_TIMESTAMP = 10,
    ARROW_LIST = 12,
    ARROW_STRUCT = 13,
    ARROW_FIXED_SIZE_BINARY = 15,
    ARROW_MAP = 17,
};

/* Kinds of messages, in Message.fbs. */
enum { ARROW_HEADER_SCHEMA = 1, ARROW_HEADER_DICTIONARY = 2, ARROW_HEADER_RECORD_BATCH = 3 };
enum { ARROW_MESSAGE_BYTES_MAX = 64 << 20 };
/* Completes a message with its header at `header`; *frame goes out before its bytes. */
int arrow_message_end(struct flatbuffer *fb, uint8_t kind, uint32_t header, int64_t body_bytes,
                      uint32_t frame[2]) GLIS_CHECKED;
/* Appends the schema message with its frame. The fields marked (NULL: none) are dictionaries, of
 * which each has its field's number. */
int arrow_schema_message(const struct schema *schema, const bool *dictionaries, struct buffer *out)
    GLIS_CHECKED;

/* ---- sinks ---- */

int table_sink_open(struct byte_sink *to, const struct schema *schema,
                    const struct output_options *options, struct row_sink **out) GLIS_CHECKED;
int csv_sink_open(struct byte_sink *to, const struct schema *schema,
                  const struct output_options *options, struct row_sink **out) GLIS_CHECKED;
int jsonl_sink_open(struct byte_sink *to, const struct schema *schema,
                    const struct output_options *options, struct row_sink **out) GLIS_CHECKED;
int arrow_sink_open(struct byte_sink *to, const struct schema *schema,
                    const struct output_options *options, struct row_sink **out) GLIS_CHECKED;
int parquet_sink_open(struct byte_sink *to, const struct schema *schema, struct runtime *runtime,
                      const struct output_options *options, struct row_sink **out) GLIS_CHECKED;

#endif
