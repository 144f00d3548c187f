/*
 * column.h: types, schemas, batches and keys: what rows are made of, everywhere in Glis.
 *
 * Rows travel in batches: columns in the Arrow memory layout
 * (https://arrow.apache.org/docs/format/Columnar.html), little endian, 32-bit offsets, validity bitmaps
 * with row i at byte i/8, bit i%8. Buffers are reference-counted blocks, written by their maker before they
 * are shared and never after; so slicing and projecting copy nothing.
 *
 * Ownership: schemas and batches are reference counted (..._acquire, ..._release); types and fields live as
 * long as the schema that holds them; a batch holds its schema. Slices that point into a batch live as long
 * as the batch.
 */
#ifndef GLIS_COLUMN_COLUMN_H
#define GLIS_COLUMN_COLUMN_H

#include "base/buffer.h"
#include "base/memory.h"
#include "base/runtime.h"

/* ---- types ---- */

/* All that a Parquet file may bring; a table's schema uses those marked T. */
enum type_kind {
    TYPE_NULL,       /* only nulls; no buffers */
    TYPE_BOOLEAN,    /* T bitmap */
    TYPE_INT8,
    TYPE_INT16,
    TYPE_INT32,      /* T IntType */
    TYPE_INT64,      /* T LongType */
    TYPE_UINT8,
    TYPE_UINT16,
    TYPE_UINT32,
    TYPE_UINT64,
    TYPE_FLOAT16,    /* 2 bytes */
    TYPE_FLOAT,      /* T 4 bytes */
    TYPE_DOUBLE,     /* T 8 bytes */
    TYPE_DATE,       /* T int32 days since 1970-01-01 */
    TYPE_TIME,       /* since midnight; milli: int32, micro and nano: int64 */
    TYPE_TIMESTAMP,  /* T when micro and utc; int64 since 1970-01-01 */
    TYPE_DECIMAL,    /* T 16 bytes two's complement little endian; precision 1 to 38, scale 0 to it */
    TYPE_DECIMAL256, /* 32 bytes likewise; precision 39 to 76 */
    TYPE_STRING,     /* T UTF-8; int32 offsets */
    TYPE_BYTES,      /* T ByteArrayType; int32 offsets */
    TYPE_FIXED_BYTES, /* `width` bytes each */
    TYPE_INTERVAL,   /* 12 bytes: months, days, milliseconds, uint32 little endian each (Parquet's) */
    TYPE_LIST,       /* T int32 offsets; one child */
    TYPE_MAP,        /* T int32 offsets; one child: a struct of key (never null) and value */
    TYPE_STRUCT,     /* T one child a field */
};

enum type_unit { UNIT_MILLI, UNIT_MICRO, UNIT_NANO };

enum { TYPE_DEPTH_MAX = 8, SCHEMA_FIELDS_MAX = 4096, KEY_BYTES_MAX = 32 * 1024 };

struct field;
struct type {
    enum type_kind kind;
    enum type_unit unit;      /* TIME, TIMESTAMP */
    bool utc;                 /* TIME, TIMESTAMP: instants (true) or local readings (false) */
    uint8_t precision, scale; /* DECIMAL, DECIMAL256 */
    uint32_t width;           /* FIXED_BYTES */
    uint32_t n_children;      /* LIST 1, MAP 1, STRUCT n */
    const struct field *children;
};

struct field {
    struct slice name; /* NUL-terminated as well */
    struct type type;
    bool nullable;
};

/* Fields in order: row keys, sort keys, values. A schema of something that is not a table has no keys. */
struct schema {
    _Atomic uint32_t references;
    struct arena arena;
    uint32_t n_fields, n_row_keys, n_sort_keys;
    struct field *fields;
};

static inline uint32_t schema_key_count(const struct schema *schema)
{
    return schema->n_row_keys + schema->n_sort_keys;
}

/* Bytes of one value in the values buffer; 0 for bitmaps, types with offsets, nested types and null. */
unsigned type_width(const struct type *type);
bool type_has_offsets(const struct type *type); /* STRING, BYTES, LIST, MAP */
/* Deep; children's names and nullability count. */
bool type_equal(const struct type *a, const struct type *b);
bool type_can_be_key(const struct type *type);
/* As a schema file writes it for table types ("LongType"), else Arrow's name ("uint16"); in the arena. */
const char *type_name(const struct type *type, struct arena *arena);

/* A new schema with one reference and deep copies of the fields. Depth, field count and key counts are
 * checked, nothing else. */
int schema_new(struct schema **out, const struct field *fields, uint32_t n_fields, uint32_t n_row_keys,
               uint32_t n_sort_keys) GLIS_CHECKED;
struct schema *schema_acquire(const struct schema *schema);
void schema_release(const struct schema *schema); /* NULL is allowed */
bool schema_equal(const struct schema *a, const struct schema *b);
int schema_find(const struct schema *schema, struct slice name); /* index, or -1 */
/* The schema of some fields in the order given; keys keep their class while they form the same prefix. */
int schema_project(const struct schema *schema, const uint32_t *fields, uint32_t n_fields,
                   struct schema **out) GLIS_CHECKED;
/* The rules for a table: at least one row key, keys of key types and not nullable, unique names, T types
 * only, depth. */
int schema_validate_table(const struct schema *schema) GLIS_CHECKED;
/* schema.json, both ways (docs/formats.md). Errors name the field: `valueFields[2].type`. */
int schema_from_json(struct slice json, struct schema **out) GLIS_CHECKED;
int schema_to_json(const struct schema *schema, struct buffer *out) GLIS_CHECKED; /* canonical, one line */
/* Whether rows written under `old` can be read as `now`: nullable value columns added, INT32 value columns
 * widened to INT64, columns matched by name; GLIS_EREFUSED names the first field that differs otherwise. */
int schema_check_evolution(const struct schema *old, const struct schema *now) GLIS_CHECKED;

/* ---- columns and batches ---- */

/* One buffer of a column: data points into block, or is NULL when there is none. */
struct column_buffer {
    struct block *block;
    const uint8_t *data;
    uint64_t size;
};

/*
 * One column of a batch. Entries `offset` to `offset + length - 1` of the buffers are meant, as in Arrow.
 *   validity    bitmap, or NULL data: all valid (then null_count is 0)
 *   offsets     int32[offset + length + 1], for STRING, BYTES, LIST, MAP
 *   values      fixed-width values, bitmap (BOOLEAN), or the bytes (STRING, BYTES)
 *   children    LIST: elements; MAP: a struct of key and value; STRUCT: its fields, to whose own offset
 *               this one's offset is added
 *   dictionary  not NULL: `values` holds int32 indices into it, `type` is the dictionary's type. Only
 *               readers that were asked for dictionaries make such columns.
 */
struct column {
    const struct type *type;
    int64_t length, offset;
    int64_t null_count; /* exact */
    struct column_buffer validity, offsets, values;
    struct column *children; /* type->n_children of them; owned */
    struct column *dictionary;
};

struct batch {
    _Atomic uint32_t references;
    const struct schema *schema;
    int64_t n_rows;
    struct column *columns; /* schema->n_fields of them, each of length n_rows */
};

/* A batch over columns, which are moved into it (freed on failure). Acquires the schema; each column's
 * type must equal its field's and is pointed to it. */
int batch_new(struct batch **out, const struct schema *schema, struct column *columns,
              int64_t n_rows) GLIS_CHECKED;
struct batch *batch_acquire(const struct batch *batch);
void batch_release(const struct batch *batch); /* NULL is allowed */
/* Rows [begin, begin + n_rows), without copy. */
int batch_slice(const struct batch *batch, int64_t begin, int64_t n_rows,
                struct batch **out) GLIS_CHECKED;
/* Some columns, without copy; `schema` is schema_project's result for the same fields. */
int batch_project(const struct batch *batch, const struct schema *schema, const uint32_t *fields,
                  struct batch **out) GLIS_CHECKED;
/* All that can be checked: lengths, offsets ascending and inside, null counts, children, nullability, and
 * UTF-8 when asked. The reason is the error's detail. Safe on hostile contents whose sizes are true. */
int batch_validate(const struct batch *batch, bool check_utf8) GLIS_CHECKED;
/* Equal values in the same order (NaN equals NaN, null equals null). *difference says where not, in the
 * arena; both may be NULL. */
bool batch_equal(const struct batch *a, const struct batch *b, struct arena *arena,
                 const char **difference);
/* Bytes that the rows take: the used parts of the buffers. */
uint64_t batch_bytes(const struct batch *batch);

void column_free(struct column *column); /* releases buffers and children; the struct is the caller's */
int column_share(struct column *out, const struct column *column) GLIS_CHECKED; /* same buffers */
int column_slice(struct column *out, const struct column *column, int64_t begin,
                 int64_t length) GLIS_CHECKED;
/* Replaces a dictionary column by a plain one; others are left as they are. */
int column_decode_dictionary(struct column *column, struct budget *budget) GLIS_CHECKED;

static inline bool column_is_null(const struct column *column, int64_t row)
{
    int64_t i = column->offset + row;
    return column->validity.data && !(column->validity.data[i >> 3] >> (i & 7) & 1);
}

/* ---- streams of batches ---- */

/* Batches one after another, all of one schema. next gives *out = NULL at the end; a batch may have 0 rows.
 * close frees the stream itself. First member of every kind of stream. */
struct batch_stream {
    const struct schema *schema; /* lives as long as the stream */
    int (*next)(struct batch_stream *stream, struct batch **out);
    void (*close)(struct batch_stream *stream);
};

static inline GLIS_CHECKED int batch_stream_next(struct batch_stream *stream, struct batch **out)
{
    return stream->next(stream, out);
}

static inline void batch_stream_close(struct batch_stream *stream)
{
    if (stream) stream->close(stream);
}

#endif
