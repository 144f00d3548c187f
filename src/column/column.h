/*
 * column.h: types, schemas, batches and keys: what rows are made of, everywhere in Glis.
 *
 * Rows travel in batches: columns in the Arrow memory layout
 * (https://arrow.apache.org/docs/format/Columnar.html), little endian, 32-bit offsets, validity
 * bitmaps with row i at byte i/8, bit i%8. Buffers are reference-counted blocks, written by their
 * maker before they are shared and never after; so slicing and projecting copy nothing.
 *
 * Ownership: schemas and batches are reference counted (..._acquire, ..._release); types and fields
 * live as long as the schema that holds them; a batch holds its schema. Slices that point into a
 * batch live as long as the batch.
 */
#ifndef GLIS_COLUMN_COLUMN_H
#define GLIS_COLUMN_COLUMN_H

#include "base/buffer.h"
#include "base/memory.h"
#include "base/runtime.h"

/* Decimals up to 38 digits. */
__extension__ typedef __int128 int128;

/* ---- types ---- */

/* All that a Parquet file may bring; a table's schema uses those marked T. */
enum type_kind {
    TYPE_NULL,    /* only nulls; no buffers */
    TYPE_BOOLEAN, /* T bitmap */
    TYPE_INT8,
    TYPE_INT16,
    TYPE_INT32, /* T IntType */
    TYPE_INT64, /* T LongType */
    TYPE_UINT8,
    TYPE_UINT16,
    TYPE_UINT32,
    TYPE_UINT64,
    TYPE_FLOAT16,   /* 2 bytes */
    TYPE_FLOAT,     /* T 4 bytes */
    TYPE_DOUBLE,    /* T 8 bytes */
    TYPE_DATE,      /* T int32 days since 1970-01-01 */
    TYPE_TIME,      /* since midnight; milli: int32, micro and nano: int64 */
    TYPE_TIMESTAMP, /* T when micro and utc; int64 since 1970-01-01 */
    TYPE_DECIMAL, /* T 16 bytes two's complement little endian; precision 1 to 38, scale 0 to it */
    TYPE_DECIMAL256,  /* 32 bytes likewise; precision 39 to 76 */
    TYPE_STRING,      /* T UTF-8; int32 offsets */
    TYPE_BYTES,       /* T ByteArrayType; int32 offsets */
    TYPE_FIXED_BYTES, /* `width` bytes each */
    TYPE_INTERVAL, /* 12 bytes: months, days, milliseconds, uint32 little endian each (Parquet's) */
    TYPE_LIST,     /* T int32 offsets; one child, named "element" */
    TYPE_MAP,      /* T int32 offsets; one child "key_value", not nullable: a struct of "key" (not
                        nullable) and "value" */
    TYPE_STRUCT,   /* T one child a field */
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

/* Fields in order: row keys, sort keys, values. A schema of something that is not a table has no
 * keys. */
struct schema {
    _Atomic uint32_t references;
    struct arena arena;
    uint32_t n_fields, n_row_keys, n_sort_keys;
    struct field *fields;
};

/* Row and sort keys together: the leading fields that rows are ordered by. */
static inline uint32_t schema_key_count(const struct schema *schema)
{
    return schema->n_row_keys + schema->n_sort_keys;
}

/* Bytes of one value in the values buffer; 0 for bitmaps, types with offsets, nested types and
 * null. */
unsigned type_width(const struct type *type);
bool type_has_offsets(const struct type *type); /* STRING, BYTES, LIST, MAP */
/* Deep; children's names and nullability count. */
bool type_equal(const struct type *a, const struct type *b);
bool type_can_be_key(const struct type *type);
/* Nested types with the child names that the whole of Glis uses (see TYPE_LIST, TYPE_MAP); in
 * the arena. What the arguments point to is not copied (schema_new copies deeply). */
struct type type_list(struct arena *arena, struct type element, bool element_nullable);
struct type type_map(struct arena *arena, struct type key, struct type value, bool value_nullable);
/* Groups (list, map, struct) that a value of this type is nested in: 0 for scalars, 1 for a list of
 * scalars; a map's "key_value" does not count. At most TYPE_DEPTH_MAX in a schema. */
unsigned type_depth(const struct type *type);
/* As a schema file writes it for table types ("LongType"), else Arrow's name ("uint16"); in the
 * arena. */
const char *type_name(const struct type *type, struct arena *arena);

/* A new schema with one reference and deep copies of the fields. Depth, field count and key
 * counts are checked, nothing else. */
int schema_new(struct schema **out, const struct field *fields, uint32_t n_fields,
               uint32_t n_row_keys, uint32_t n_sort_keys) GLIS_CHECKED;
struct schema *schema_acquire(const struct schema *schema);
void schema_release(const struct schema *schema); /* NULL is allowed */
bool schema_equal(const struct schema *a, const struct schema *b);
int schema_find(const struct schema *schema, struct slice name); /* index, or -1 */
/* "; did you mean 'x'?" of the field whose name is nearest, or "", in `hint`, for a message that
 * says that there is no such field. Returns hint. */
enum { SCHEMA_HINT_BYTES = 128 };
const char *schema_hint(const struct schema *schema, struct slice name,
                        char hint[SCHEMA_HINT_BYTES]);
/* The schema of some fields in the order given; keys keep their class while they form the same
 * prefix. */
int schema_project(const struct schema *schema, const uint32_t *fields, uint32_t n_fields,
                   struct schema **out) GLIS_CHECKED;
/* The rules for a table: at least one row key, keys of key types and not nullable, unique names,
 * T types only, depth. */
int schema_validate_table(const struct schema *schema) GLIS_CHECKED;
/* schema.json, both ways (docs/formats.md). Errors name the field: `valueFields[2].type`. */
int schema_from_json(struct slice json, struct schema **out) GLIS_CHECKED;
int schema_to_json(const struct schema *schema, struct buffer *out)
    GLIS_CHECKED; /* canonical, one line */
/* Whether rows written under `old` can be read as `now`: nullable value columns added, INT32
 * value columns widened to INT64, columns matched by name; GLIS_EREFUSED names the first field
 * that differs otherwise. */
int schema_check_evolution(const struct schema *old, const struct schema *now) GLIS_CHECKED;

/* ---- columns and batches ---- */

/* One buffer of a column: data points into block, or is NULL when there is none. */
struct column_buffer {
    struct block *block;
    const uint8_t *data;
    uint64_t size;
};

/*
 * One column of a batch. Entries `offset` to `offset + length - 1` of the buffers are meant, as in
 * Arrow.
 *   validity    bitmap, or NULL data: all valid (then null_count is 0)
 *   offsets     int32[offset + length + 1], for STRING, BYTES, LIST, MAP
 *   values      fixed-width values, bitmap (BOOLEAN), or the bytes (STRING, BYTES)
 *   children    LIST: elements; MAP: a struct of key and value; STRUCT: its fields, to whose own
 *               offset this one's offset is added
 *   dictionary  not NULL: `values` holds int32 indices into it, `type` is the dictionary's type.
 *               Only readers that were asked for dictionaries make such columns.
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

/* A batch over columns, which are moved into it (freed on failure). Acquires the schema; each
 * column's type must equal its field's and is pointed to it. */
int batch_new(struct batch **out, const struct schema *schema, struct column *columns,
              int64_t n_rows) GLIS_CHECKED;
struct batch *batch_acquire(const struct batch *batch);
void batch_release(const struct batch *batch); /* NULL is allowed */
/* Rows [begin, begin + n_rows), without copy. */
int batch_slice(const struct batch *batch, int64_t begin, int64_t n_rows, struct batch **out)
    GLIS_CHECKED;
/* Some columns, without copy; `schema` is schema_project's result for the same fields. */
int batch_project(const struct batch *batch, const struct schema *schema, const uint32_t *fields,
                  struct batch **out) GLIS_CHECKED;
/* All that can be checked: lengths, offsets ascending and inside, null counts, children,
 * nullability, and UTF-8 when asked. The reason is the error's detail. Safe on hostile contents
 * whose sizes are true. */
int batch_validate(const struct batch *batch, bool check_utf8) GLIS_CHECKED;
/* Equal values in the same order (NaN equals NaN, null equals null). *difference says where not,
 * in the arena; both may be NULL. */
bool batch_equal(const struct batch *a, const struct batch *b, struct arena *arena,
                 const char **difference);
/* Bytes that the rows take: the used parts of the buffers. */
uint64_t batch_bytes(const struct batch *batch);

void column_free(
    struct column *column); /* releases buffers and children; the struct is the caller's */
int column_share(struct column *out, const struct column *column) GLIS_CHECKED; /* same buffers */
/* Entries [begin, begin + length) over the same buffers; GLIS_EINVALID outside of the column. */
int column_slice(struct column *out, const struct column *column, int64_t begin, int64_t length)
    GLIS_CHECKED;
/* Replaces a dictionary column by a plain one; others are left as they are. */
int column_decode_dictionary(struct column *column, struct budget *budget) GLIS_CHECKED;
/* `length` nulls of any type. `type` must outlive the column. */
int column_new_null(struct column *out, const struct type *type, int64_t length,
                    struct budget *budget) GLIS_CHECKED;

/* Whether an entry is null; `row` counts from the column's offset. */
static inline bool column_is_null(const struct column *column, int64_t row)
{
    int64_t i = column->offset + row;
    return column->validity.data && !(column->validity.data[i >> 3] >> (i & 7) & 1);
}

/* Entry `row` of a STRING or BYTES column that is no dictionary; empty for null. */
static inline struct slice column_slice_at(const struct column *column, int64_t row)
{
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data;
    int64_t i = column->offset + row;
    return slice_make(column->values.data + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
}

/* ---- single values ---- */

/*
 * One scalar. Which member of the union holds is decided by the type's kind:
 *   integer  BOOLEAN (0, 1), INT*, UINT* (UINT64 as its bits), DATE, TIME, TIMESTAMP
 *   real     FLOAT16, FLOAT, DOUBLE
 *   decimal  DECIMAL (unscaled)
 *   bytes    STRING, BYTES, FIXED_BYTES, and DECIMAL256, INTERVAL as they lie in memory
 * Nested values are not scalars: they stay in their columns.
 */
struct value {
    enum type_kind kind;
    bool is_null;
    union {
        int64_t integer;
        double real;
        int128 decimal;
        struct slice bytes;
    };
};

/* Values made by hand; bytes are not copied. */
static inline struct value value_null(enum type_kind kind)
{
    return (struct value){.kind = kind, .is_null = true};
}

/* Booleans, whole numbers, dates and times. */
static inline struct value value_integer(enum type_kind kind, int64_t integer)
{
    return (struct value){.kind = kind, .integer = integer};
}

/* FLOAT16, FLOAT and DOUBLE. */
static inline struct value value_real(enum type_kind kind, double real)
{
    return (struct value){.kind = kind, .real = real};
}

/* Decimals, unscaled. */
static inline struct value value_decimal(int128 unscaled)
{
    return (struct value){.kind = TYPE_DECIMAL, .decimal = unscaled};
}

/* Strings, bytes and other kinds that lie in memory. */
static inline struct value value_bytes(enum type_kind kind, struct slice bytes)
{
    return (struct value){.kind = kind, .bytes = bytes};
}

/* The total order of scalars of one type: by value, strings and bytes as unsigned bytes; -0
 * before 0; NaN (all alike) after Infinity; null last. Negative, zero or positive. Kinds must be
 * equal. */
int value_compare(const struct value *a, const struct value *b);
/* A copy whose bytes lie in the arena. */
struct value value_copy(const struct value *value, struct arena *arena);
/* Entry `row` of a scalar column (dictionaries are looked up); bytes point into the column. */
void column_value(const struct column *column, int64_t row, struct value *out);
/* The smallest value of a key type greater than this one, for turning bounds into [a, b): +1
 * (reals: the next one, decimals: within the precision), or the bytes and 00. False when there
 * is none: unbounded. In the arena. */
bool value_next(const struct type *type, const struct value *value, struct arena *arena,
                struct value *out);

/*
 * Text forms (spec of tables, section 1): numbers, true/false, text as it is, base64 for bytes,
 * dates 2026-11-21, timestamps 2026-11-21T10:00:00.000001Z, decimals 12.30. Parsing is strict: no
 * blanks, no sign '+', the whole slice; GLIS_EDATA says what is wrong with which text (cut to 64
 * bytes). Dates before year 1 or after 9999 are written with a sign (-0001-..., +10000-...), and
 * read so; a timestamp may leave out the fraction or give 1 to 9 digits (what is below a
 * microsecond must be 0), and end in Z or +hh:mm. Reals are written as the shortest text that reads
 * back the same, and NaN, Infinity, -Infinity. A decimal may have fewer digits behind the point
 * than its scale, or more zeros. Strings must be UTF-8. Types that no table uses are written (times
 * as 10:00:00.000001) but not read (GLIS_EUNSUPPORTED). The value's bytes point into `text`
 * (strings) or the arena (bytes).
 */
int value_from_text(const struct type *type, struct slice text, struct arena *arena,
                    struct value *out) GLIS_CHECKED;
/* Null is written as nothing. */
int value_to_text(const struct type *type, const struct value *value, struct buffer *out)
    GLIS_CHECKED;
/* Text of an entry; nested types as JSON. Null is written as nothing. */
int column_append_text(const struct column *column, int64_t row, struct buffer *out) GLIS_CHECKED;
/* JSON of an entry, nested types too: numbers and true/false plain, all else quoted; lists as
 * arrays, structs as objects, maps as objects when the keys are strings, else as arrays of
 * {"key":...,"value":...}. */
int column_append_json(const struct column *column, int64_t row, struct buffer *out) GLIS_CHECKED;

/* A set of words for other modules' text: appends 2026-11-21 etc. at `out`, which has room for
 * VALUE_TEXT_BYTES, and returns the number of bytes written (no NUL). Fast paths of the formats. */
enum { VALUE_TEXT_BYTES = 64 };
size_t text_from_int64(int64_t value, char *out);
size_t text_from_double(double value, char *out);
size_t text_from_float(float value, char *out);
size_t text_from_date(int32_t days, char *out);
size_t text_from_timestamp(int64_t micros, char *out);
size_t text_from_decimal(int128 unscaled, unsigned scale, char *out);

/* ---- comparing and ordering ---- */

/* The order of value_compare, for entries of columns of equal type; lists by elements, then
 * length; maps as lists of their entries; structs field by field. */
int column_compare(const struct column *a, int64_t row_a, const struct column *b, int64_t row_b);
/* Rows by fields first_field .. first_field + n_fields - 1. Schemas must agree in them. */
int batch_compare_rows(const struct batch *a, int64_t row_a, const struct batch *b, int64_t row_b,
                       uint32_t first_field, uint32_t n_fields);

/* ---- building ---- */

/*
 * Builds one column by appending. All appends fail with GLIS_ENOMEM when the budget is out,
 * GLIS_ELIMIT when offsets would pass 2^31 - 1, and otherwise only as they say; after a failure the
 * column holds what it held. A nested entry is made by appending to the children first and then
 * ending it: column_builder_end() closes one entry of a LIST or MAP over all child entries since
 * the last end, and of a STRUCT whose children have each got one more. (The child of a MAP is a
 * STRUCT builder: column_builder_child(map, 0) has children key and value, and is ended for each
 * entry.)
 */
struct column_builder;
int64_t column_builder_length(const struct column_builder *builder);
struct column_builder *column_builder_child(struct column_builder *builder, uint32_t child);
const struct type *column_builder_type(const struct column_builder *builder);
/* GLIS_EDATA when the field is not nullable. A null struct gives its children a default entry. */
int column_builder_append_null(struct column_builder *builder) GLIS_CHECKED;
/* 0, false, empty (for nested types too); never null. */
int column_builder_append_default(struct column_builder *builder) GLIS_CHECKED;
/* BOOLEAN, INT*, UINT*, DATE, TIME, TIMESTAMP; GLIS_EDATA when the type is too narrow for it. */
int column_builder_append_integer(struct column_builder *builder, int64_t value) GLIS_CHECKED;
/* FLOAT (rounded), DOUBLE. */
int column_builder_append_real(struct column_builder *builder, double value) GLIS_CHECKED;
/* GLIS_EDATA when it has more digits than the precision. */
int column_builder_append_decimal(struct column_builder *builder, int128 unscaled) GLIS_CHECKED;
/* STRING (UTF-8 is the caller's promise), BYTES, and fixed-width types as they lie in memory,
 * with their exact width. */
int column_builder_append_bytes(struct column_builder *builder, struct slice bytes) GLIS_CHECKED;
/* Any scalar, null too. */
int column_builder_append_value(struct column_builder *builder, const struct value *value)
    GLIS_CHECKED;
/* n values of a fixed-width type as they lie in memory; none null. Not BOOLEAN. */
int column_builder_append_fixed(struct column_builder *builder, const void *values, int64_t n)
    GLIS_CHECKED;
/* Rows [begin, begin + n) of a column of the same type. */
int column_builder_append_column(struct column_builder *builder, const struct column *column,
                                 int64_t begin, int64_t n) GLIS_CHECKED;
int column_builder_end(struct column_builder *builder) GLIS_CHECKED;
/* Drops entries from `length` on, and what was appended to children for an entry not yet ended. */
void column_builder_truncate(struct column_builder *builder, int64_t length);

/* A builder for each column. Rows may be appended row by row (append to each column, then
 * end_row) or column by column (finish requires equal lengths). */
struct batch_builder;
int batch_builder_new(struct batch_builder **out, const struct schema *schema,
                      struct budget *budget) GLIS_CHECKED;
void batch_builder_free(struct batch_builder *builder); /* NULL is allowed */
struct column_builder *batch_builder_column(struct batch_builder *builder, uint32_t field);
/* Ends a row: columns without an entry for it get null; GLIS_EDATA names the first that is not
 * nullable (the row is then dropped). */
int batch_builder_end_row(struct batch_builder *builder) GLIS_CHECKED;
/* Drops what was appended since the last end_row, for instance after a bad value. */
void batch_builder_drop_row(struct batch_builder *builder);
int64_t batch_builder_rows(const struct batch_builder *builder);   /* ended ones */
uint64_t batch_builder_bytes(const struct batch_builder *builder); /* used, without spare room */
/* The batch of all rows; the builder is empty again. */
int batch_builder_finish(struct batch_builder *builder, struct batch **out) GLIS_CHECKED;

/* ---- keys ---- */

/*
 * The one key encoding: memcmp order is key order, and no encoded tuple of the same fields is a
 * prefix of another. Integers (and dates, timestamps) big-endian with the sign bit flipped;
 * decimals likewise at 4 bytes (precision to 9), 8 (to 18) or 16; booleans one byte; reals by the
 * sign trick, -0 as 0; strings and bytes with 00 written as 00 FF and ended by 00 00. Fields follow
 * each other: a shorter tuple is a prefix of those that continue it. Described in docs/formats.md.
 */
struct keys {
    int64_t n_rows;
    uint32_t stride;         /* bytes of every key when all its fields have fixed width, else 0 */
    const uint8_t *bytes;    /* 64 readable bytes follow the last key */
    const uint32_t *offsets; /* n_rows + 1; NULL when stride is not 0 */
    struct block *bytes_block, *offsets_block;
};

/* The keys of all rows over the first n_fields columns of the batch. A null, a NaN or a key of
 * more than KEY_BYTES_MAX is GLIS_EDATA, naming field and row (from 0); all keys together over 4
 * GiB is GLIS_ELIMIT. */
int keys_encode(struct keys *out, const struct batch *batch, uint32_t n_fields,
                struct budget *budget) GLIS_CHECKED;
void keys_free(struct keys *keys);

/* The encoded key of a row; valid as long as the keys. */
static inline struct slice keys_get(const struct keys *keys, int64_t row)
{
    if (keys->stride) return slice_make(keys->bytes + row * keys->stride, keys->stride);
    return slice_make(keys->bytes + keys->offsets[row],
                      keys->offsets[row + 1] - keys->offsets[row]);
}

/* The first 8 bytes as a number that sorts as they do; shorter keys are filled up with 00. */
static inline uint64_t key_prefix(struct slice key)
{
    uint64_t prefix = 0;
    memcpy(&prefix, key.data, key.size < 8 ? key.size : 8);
    return __builtin_bswap64(prefix);
}

/* As key_prefix(keys_get(keys, row)), without a branch on the length. */
static inline uint64_t keys_prefix(const struct keys *keys, int64_t row)
{
    struct slice key = keys_get(keys, row);
    uint64_t prefix;
    memcpy(&prefix, key.data, 8);
    prefix = __builtin_bswap64(prefix);
    return key.size >= 8 ? prefix : key.size ? prefix & ~(uint64_t)0 << (64 - 8 * key.size) : 0;
}

/* Appends the encoding of one value; GLIS_EDATA for null and NaN. */
int key_append_value(const struct type *type, const struct value *value, struct buffer *out)
    GLIS_CHECKED;
/* Appends the encoding of the first n key fields' values. GLIS_EDATA names the field. */
int key_append(const struct schema *schema, const struct value *values, uint32_t n,
               struct buffer *out) GLIS_CHECKED;
/* Appends the key of one row over the first n_fields columns. */
int key_append_row(const struct batch *batch, int64_t row, uint32_t n_fields, struct buffer *out)
    GLIS_CHECKED;
/* The values back from an encoding of the first n fields; all of `key` must be used up. Bytes
 * lie in the arena. GLIS_ECORRUPT when it is no such encoding. */
int key_decode(const struct schema *schema, struct slice key, uint32_t n, struct arena *arena,
               struct value *values) GLIS_CHECKED;
/* Bytes that the first n fields take at the start of a key of at least n fields; GLIS_ECORRUPT. */
int key_fields_size(const struct schema *schema, struct slice key, uint32_t n, size_t *size)
    GLIS_CHECKED;
/* The smallest byte string greater than every one that begins with `prefix`, in the arena: [prefix,
 * successor) is all keys of a prefix. False when there is none (empty, or all FF). */
bool key_successor(struct slice prefix, struct arena *arena, struct slice *out);

/* ---- gathering rows ---- */

/* Entries `rows[0 .. n-1]` of a column, in that order, repeats allowed; rows must be < length.
 * Strings beyond 2^31 - 1 bytes are GLIS_ELIMIT. The result owns its buffers; dictionary columns
 * are decoded. */
int column_take(struct column *out, const struct column *column, const uint32_t *rows, int64_t n,
                struct budget *budget) GLIS_CHECKED;
int batch_take(const struct batch *batch, const uint32_t *rows, int64_t n, struct budget *budget,
               struct batch **out) GLIS_CHECKED;

struct row_source {
    uint32_t batch, row;
};

/* Rows gathered from several batches of one schema: the heart of sort and merge.
 * column_interleave does one field, so that callers may spread the fields over threads.
 * Dictionary columns are decoded first. */
int column_interleave(struct column *out, const struct batch *const *batches, uint32_t n_batches,
                      uint32_t field, const struct row_source *sources, int64_t n_rows,
                      struct budget *budget) GLIS_CHECKED;
int batch_interleave(const struct batch *const *batches, uint32_t n_batches,
                     const struct row_source *sources, int64_t n_rows, struct budget *budget,
                     struct batch **out) GLIS_CHECKED;
/* All rows of all batches, one after another; n_batches > 0. */
int batch_concat(const struct batch *const *batches, uint32_t n_batches, struct budget *budget,
                 struct batch **out) GLIS_CHECKED;

/* ---- bringing rows into a table's schema ---- */

/* Why one row is refused. `field` is the path ("items.element.price"); both texts live for the
 * call. */
struct bad_row {
    int64_t row; /* in the batch given in */
    const char *field, *reason;
};

struct conform_options {
    bool ignore_extra_columns;
    /* Called for each bad row, ascending, with its first reason by field; 0 leaves the row out
     * and goes on, a negative code ends the work with it. NULL: the first bad row is GLIS_EDATA. */
    int (*bad_row)(void *state, const struct bad_row *bad);
    void *bad_row_state;
    /* A map key that comes twice makes a bad row, but in the fields of `schema` that joined_maps
     * marks (NULL: none), where such entries become one later. */
    bool unique_map_keys;
    const bool *joined_maps;
};

/*
 * Brings a batch of any schema into a table's: columns by name in any order, missing nullable ones
 * null; without loss from: any integer type; float16, float, integers to reals when exact; double
 * to FloatType when exact; decimals of any width and scale, integers; strings and bytes to each
 * other (UTF-8 checked), fixed bytes, dates, timestamps of any unit (local readings count as UTC),
 * null columns, dictionaries; nested types by their parts. A value that does not fit, a null where
 * none may be, a null or NaN key and a key of more than KEY_BYTES_MAX make a bad row. -0 in keys
 * becomes 0. *out has the good rows in order, and shares buffers where nothing had to change.
 * Strings are taken as UTF-8 when the batch's type says STRING and `batch` is trusted to be
 * validated.
 */
int batch_conform(const struct batch *batch, const struct schema *schema,
                  const struct conform_options *options, struct budget *budget, struct batch **out)
    GLIS_CHECKED;
/* Whether batches of `from` can be brought into `schema` at all; GLIS_EDATA names the column:
 * missing, unknown, or of a type that cannot be brought there. */
int schema_check_conform(const struct schema *from, const struct schema *schema,
                         const struct conform_options *options) GLIS_CHECKED;
/* The table schema that fits a file's schema best: row_keys and sort_keys name its key fields
 * (in their order; no longer nullable), the rest are values in the file's order.
 * GLIS_EUNSUPPORTED names a field whose type no table has (times, intervals, decimals over 38
 * digits); GLIS_EINVALID an unknown key. */
int schema_propose(const struct schema *from, const struct slice *row_keys, uint32_t n_row_keys,
                   const struct slice *sort_keys, uint32_t n_sort_keys, struct schema **out)
    GLIS_CHECKED;
/* Rows written under an older schema as `now` says: added columns null, IntType widened to
 * LongType, columns by name; fields of the batch that `now` lacks are left out. Shares what does
 * not change. */
int batch_evolve(const struct batch *batch, const struct schema *now, struct budget *budget,
                 struct batch **out) GLIS_CHECKED;

/* ---- streams of batches ---- */

/* Batches one after another, all of one schema. next gives *out = NULL at the end; a batch may
 * have 0 rows. close frees the stream itself. First member of every kind of stream. */
struct batch_stream {
    const struct schema *schema; /* lives as long as the stream */
    int (*next)(struct batch_stream *stream, struct batch **out);
    void (*close)(struct batch_stream *stream);
};

/* The next batch, for the caller to release; NULL in *out at the end. */
static inline GLIS_CHECKED int batch_stream_next(struct batch_stream *stream, struct batch **out)
{
    return stream->next(stream, out);
}

/* Ends the stream at any point and frees it; NULL is allowed. */
static inline void batch_stream_close(struct batch_stream *stream)
{
    if (stream) stream->close(stream);
}

/* A stream over batches held in memory (acquired); for tests and small answers. */
int batch_stream_of(const struct schema *schema, struct batch *const *batches, uint32_t n_batches,
                    struct batch_stream **out) GLIS_CHECKED;

/* ---- Arrow C data and stream interface ---- */

/*
 * https://arrow.apache.org/docs/format/CDataInterface.html and CStreamInterface.html; the structs
 * are in glis.h. Exported structs own what they need until their release is called, by whatever
 * thread. Import moves: the source's release is NULL afterwards, also on failure. A batch is a
 * struct array. All types are imported that the format has and a type of ours can carry, in all
 * their layouts: dictionaries and runs are looked up, 64-bit offsets and views become 32-bit
 * offsets, lists of fixed size lists, seconds milliseconds, dates in milliseconds days, decimals
 * of any width and scale ours. A value that does not fit is GLIS_EDATA by column and row, more than
 * 2 GiB in a column GLIS_ELIMIT; durations, intervals, unions and decimals beyond 76 digits are
 * GLIS_EUNSUPPORTED by field and format. What is imported is checked as far as the interface tells
 * sizes; batch_validate has been run on it.
 */
struct ArrowSchema;
struct ArrowArray;
struct ArrowArrayStream;
int arrow_export_schema(const struct schema *schema, struct ArrowSchema *out) GLIS_CHECKED;
/* Dictionary columns are decoded, so that the array always fits arrow_export_schema. */
int arrow_export_batch(const struct batch *batch, struct ArrowArray *out) GLIS_CHECKED;
/* Reads without taking: `in` stays the caller's. */
int arrow_import_schema(const struct ArrowSchema *in, struct schema **out) GLIS_CHECKED;
/* `format` is the array's own description, `schema` arrow_import_schema's result for it. Takes
 * *in. */
int arrow_import_batch(struct ArrowArray *in, const struct ArrowSchema *format,
                       const struct schema *schema, struct budget *budget, struct batch **out)
    GLIS_CHECKED;
/* Takes the stream; closed on release. Failures are errno values with error_message() as text. */
int arrow_export_stream(struct batch_stream *stream, struct ArrowArrayStream *out) GLIS_CHECKED;
/* The same; marked fields (one mark a field, copied) are exported as dictionaries with int32
 * indices: those of dictionary columns as they are, another one for each batch perhaps; of a plain
 * column its own values, each once for each row. For scalar fields only. */
int arrow_export_stream_dictionaries(struct batch_stream *stream, const bool *dictionaries,
                                     struct ArrowArrayStream *out) GLIS_CHECKED;
/* The stream behind one that arrow_export_stream made and nobody has released; else NULL. */
struct batch_stream *arrow_exported_stream(const struct ArrowArrayStream *stream);
/* Takes *in, also on failure. */
int arrow_import_stream(struct ArrowArrayStream *in, struct budget *budget,
                        struct batch_stream **out) GLIS_CHECKED;

#endif
