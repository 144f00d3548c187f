/*
 * format.h: rows in and out of what users hold: CSV, JSON lines, Arrow IPC streams, Parquet and
 * text for people.
 *
 * In: a byte source (a store's object, a file descriptor, memory) becomes a batch_stream of a
 * table's schema. The readers do all that batch_conform does, so that what they give needs no
 * second look: keys are never null or NaN, -0 in keys is 0, a key is at most KEY_BYTES_MAX, text is
 * UTF-8, map keys are unique. Values are read as docs/formats.md ("Text forms") says. A row that
 * does not fit is a bad row: told to a callback, or (without one) the end of the stream with
 * GLIS_EDATA.
 *
 * Out: a row sink takes batches of one schema and writes bytes into a byte sink (a file descriptor,
 * a buffer, an upload). A reader that went away is GLIS_ECLOSED.
 *
 * Ownership: what ..._open gives is ended by the matching close. A reader takes its source (closed
 * with it, also when opening fails); a row sink does not take its byte sink. Schemas are acquired.
 * One stream or sink is used by one thread at a time.
 */
#ifndef GLIS_FORMAT_FORMAT_H
#define GLIS_FORMAT_FORMAT_H

#include "base/buffer.h"
#include "base/memory.h"
#include "base/runtime.h"
#include "column/column.h"
#include "store/store.h"

/* ---- bytes in ---- */

struct byte_source {  /* first member of every kind of source */
    const char *name; /* for messages: "a.csv", "standard input"; lives as long as the source */
    /* Fills up to `size` (> 0) bytes; *got = 0 only at the end. */
    int (*read)(struct byte_source *source, void *out, size_t size, size_t *got);
    void (*close)(struct byte_source *source);
};
/* An object, read by ranges of 4 MiB. `name` is copied. GLIS_ENOTFOUND when it is not there. */
int byte_source_open_object(struct store *store, struct slice key, const char *name,
                            struct byte_source **out) GLIS_CHECKED;
/* A descriptor; closed with the source when `owns`. Waiting for its bytes ends with a cancel of the
 * runtime, which outlives the source: GLIS_ECANCELLED. */
int byte_source_open_fd(const struct runtime *runtime, int fd, const char *name, bool owns,
                        struct byte_source **out) GLIS_CHECKED;
/* Bytes that outlive the source. */
struct byte_source *byte_source_of(struct slice bytes, const char *name);
static inline void byte_source_close(struct byte_source *source)
{
    if (source) source->close(source);
}

/* ---- readers ---- */

/* Why one row is refused. All lives for the call. */
struct format_bad_row {
    const char *source; /* the byte source's name */
    int64_t line;       /* in which the row begins, from 1 (for a header: line 1) */
    int64_t row;        /* data rows before it, good and bad */
    const char *field;  /* "items.element.price"; "" when the row as a whole is wrong */
    const char *reason;
    struct slice text; /* the row as it stood */
};

/* What every reader takes. All zero is a good default. */
struct format_options {
    char csv_delimiter;         /* 0: ',' */
    struct slice csv_null_text; /* NULL data: only unquoted empty fields are null. Else an unquoted
                                   field with this text is null as well, in nullable columns */
    bool ignore_extra_columns;  /* else GLIS_EDATA (CSV: at once, by name; JSON lines: a bad row) */
    /* 0 leaves the row out and goes on; a negative code ends the work. NULL: the first bad row ends
     * the stream with GLIS_EDATA, "NAME: line 3: field 'x': not a number: 'abc'". */
    int (*bad_row)(void *state, const struct format_bad_row *bad);
    void *bad_row_state;
    /* Fields of the schema that are maps whose keys may come twice, for they become one later;
     * NULL: none. */
    const bool *joined_maps;
    uint32_t batch_rows;    /* at most; 0: 65,536 */
    uint64_t batch_bytes;   /* about so many; 0: 16 MiB */
    uint64_t row_bytes_max; /* of one row's text; 0: 64 MiB; more is GLIS_ELIMIT naming the line */
    struct budget *budget;  /* for text and batches; may be NULL */
};

/* Bytes of text taken so far, good rows and bad ones, for progress; of streams made by
 * csv_reader_open and jsonl_reader_open. */
struct format_progress {
    uint64_t bytes_read;
    int64_t rows_read, bad_rows;
};
struct format_progress format_reader_progress(const struct batch_stream *stream);

/*
 * CSV (RFC 4180): a header, required, whose names are matched in any order; columns that are
 * missing must be nullable. Quotes, doubled quotes, line ends in quotes, LF or CRLF, a byte order
 * mark. A quoted field is never null. Byte arrays are base64, nested values JSON. A completely
 * empty line is skipped, unless there is only one column. With `schema` NULL each column of the
 * header is a nullable string.
 */
int csv_reader_open(struct byte_source *source, const struct schema *schema,
                    const struct format_options *options, struct batch_stream **out) GLIS_CHECKED;
/* JSON lines: one object a line (blank lines are skipped), or one array of objects over any number
 * of lines. A missing or null member is null; a member that comes twice makes a bad row. */
int jsonl_reader_open(struct byte_source *source, const struct schema *schema,
                      const struct format_options *options, struct batch_stream **out) GLIS_CHECKED;

/*
 * An Arrow IPC stream of a schema that is known: names, order and types of its columns must be
 * these (more may be declared nullable, but is not null then). Not compressed, no dictionaries.
 * Unlike the readers above it takes rows as they are: nothing is known of order and map keys. A
 * stream without its end mark is cut short. GLIS_EDATA says what is wrong, with the source's name;
 * GLIS_EUNSUPPORTED. Takes the source, also on failure.
 */
int arrow_reader_open(struct byte_source *source, const struct schema *schema,
                      struct budget *budget, struct batch_stream **out) GLIS_CHECKED;

/* One JSON text as a value of a type, appended to the builder, strictly; `path` begins the field's
 * path in messages. GLIS_EDATA; the builder is then to be truncated by the caller. For other
 * modules that read rows as JSON. */
int json_append_value(struct slice json, const char *path, struct column_builder *builder)
    GLIS_CHECKED;

/* ---- proposing a schema ---- */

enum format_kind { FORMAT_PARQUET, FORMAT_CSV, FORMAT_JSONL };
/* By the ending: .parquet; .csv, .tsv (*delimiter becomes a tab), .txt; .jsonl, .ndjson, .json.
 * GLIS_EINVALID names the endings. */
int format_kind_by_name(struct slice name, enum format_kind *kind, char *delimiter) GLIS_CHECKED;

struct propose_options {
    const struct slice *row_keys,
        *sort_keys; /* names; without row keys the first column that can be a key is one */
    uint32_t n_row_keys, n_sort_keys;
    uint32_t sample_rows; /* of text; 0: 10,000 */
    struct format_options format;
};
/* The schema of the columns of a text file, by looking at its first rows: every value column is
 * nullable; a column that is empty throughout is a string. Takes the source. */
int format_propose(struct byte_source *source, enum format_kind kind,
                   const struct propose_options *options, struct schema **out) GLIS_CHECKED;
/* The same from a Parquet file's own schema (schema_propose of column.h with the keys' default). */
int format_propose_schema(const struct schema *from, const struct propose_options *options,
                          struct schema **out) GLIS_CHECKED;

/* ---- bytes out ---- */

struct byte_sink { /* first member of every kind of sink */
    int (*write)(struct byte_sink *sink, struct slice bytes);
    int (*finish)(
        struct byte_sink *sink); /* all is written, and durable where the kind can say so */
    void (*close)(struct byte_sink *sink); /* without finish: what was made is given up */
};
/* A descriptor, not closed; EPIPE is GLIS_ECLOSED (the caller ignores SIGPIPE). */
int byte_sink_open_fd(int fd, const char *name, struct byte_sink **out) GLIS_CHECKED;
/* Appends to a buffer that outlives the sink. */
struct byte_sink *byte_sink_to_buffer(struct buffer *buffer);
/* A streamed put of one object. */
int byte_sink_open_object(struct store *store, struct slice key, struct byte_sink **out)
    GLIS_CHECKED;
static inline void byte_sink_close(struct byte_sink *sink)
{
    if (sink) sink->close(sink);
}

/* ---- row sinks ---- */

enum output_kind { OUTPUT_TABLE, OUTPUT_CSV, OUTPUT_JSONL, OUTPUT_ARROW, OUTPUT_PARQUET };

struct output_options {
    enum output_kind kind;
    char csv_delimiter; /* 0: ',' */
    bool csv_no_header;
    struct slice csv_null_text; /* how null is written; NULL data: as nothing */
    uint32_t
        table_width; /* columns of the terminal: cells are cut ("…") until a row fits; 0: never */
    uint32_t table_rows; /* rows looked at to find the widths; 0: 1,000; later ones may be wider */
    struct slice table_null;                      /* NULL data: "∅" */
    const struct parquet_writer_options *parquet; /* NULL: its defaults */
    /* Arrow: the STRING and BYTES fields that are dictionaries, a mark a field; NULL: none. Their
     * columns may come plain all the same. Copied while opening. */
    const bool *arrow_dictionaries;
    struct budget *budget;
};

struct row_sink { /* first member of every kind of sink */
    const struct schema *schema;
    int (*write)(struct row_sink *sink,
                 const struct batch *batch); /* of an equal schema; shared, not taken */
    int (*finish)(
        struct row_sink *sink); /* all rows are in the byte sink (which is not finished) */
    void (*close)(struct row_sink *sink);
};
/* "table", "csv", "jsonl", "arrow", "parquet"; GLIS_EINVALID lists them. */
int output_kind_parse(struct slice text, enum output_kind *out) GLIS_CHECKED;
/* Opens a sink of options->kind. What a form needs of its beginning (header, schema) is written
 * even when no row comes. */
int row_sink_open(struct byte_sink *to, const struct schema *schema, struct runtime *runtime,
                  const struct output_options *options, struct row_sink **out) GLIS_CHECKED;
static inline void row_sink_close(struct row_sink *sink)
{
    if (sink) sink->close(sink);
}
/* Writes all that the stream gives, then finishes the row sink and the byte sink; counts rows (may
 * be NULL). Closes nothing. */
int row_sink_drain(struct row_sink *sink, struct byte_sink *to, struct batch_stream *stream,
                   uint64_t *n_rows) GLIS_CHECKED;

/* ---- Arrow's schema in Parquet files ---- */

struct parquet_writer;
#define ARROW_SCHEMA_KEY "ARROW:schema"
/* Adds the metadata entry by which Arrow's readers know the types that a file was made of: its
 * schema as a message of Arrow's, which repeats the entries so far. */
int arrow_schema_add(struct parquet_writer *writer, const struct schema *schema) GLIS_CHECKED;

/* Columns that a text takes on a terminal: 2 for wide characters (East Asian, emoji), 0 for
 * combining ones and control characters; bytes that are no UTF-8 count 1. */
uint32_t text_width(struct slice text);

#endif
