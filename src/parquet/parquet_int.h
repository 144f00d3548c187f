/*
 * parquet_int.h: what the files of the writing half share.
 *
 * The steps: parquet_write.c gathers batches into a row group; for each leaf of the schema, on the
 * pool, chunk_write.c shreds the rows into levels and values (shred.c), chooses an encoding
 * (choose_encoding.c), cuts pages, encodes (encode_*.c) and compresses them (codec.c); the chunks
 * are then given to the sink in order. footer_write.c writes indexes and footer. All output is a
 * function of the rows and options alone.
 */
#ifndef GLIS_PARQUET_PARQUET_INT_H
#define GLIS_PARQUET_PARQUET_INT_H

#include "parquet/parquet_read_int.h"

/* ---- Thrift, compact protocol: the first failure is kept until thrift_write_finish ---- */

enum { THRIFT_WRITE_DEPTH_MAX = 12 };
struct thrift_writer {
    struct buffer *out;
    int code;
    unsigned depth;
    int last[THRIFT_WRITE_DEPTH_MAX]; /* the id of the field before, for each open struct */
};

/* Begins a message, which is a struct. */
void thrift_write_begin(struct thrift_writer *writer, struct buffer *out);
int thrift_write_finish(struct thrift_writer *writer) GLIS_CHECKED;
/* Fields; `type` is THRIFT_I8 to THRIFT_I64. */
void thrift_write_integer(struct thrift_writer *writer, int id, int type, int64_t value);
void thrift_write_boolean(struct thrift_writer *writer, int id, bool value);
void thrift_write_binary(struct thrift_writer *writer, int id, struct slice value);
/* id 0: an element of a list. */
void thrift_write_struct(struct thrift_writer *writer, int id);
void thrift_write_end(struct thrift_writer *writer);
void thrift_write_list(struct thrift_writer *writer, int id, int element_type, uint32_t n);
void thrift_write_integer_element(struct thrift_writer *writer, int64_t value);
void thrift_write_boolean_element(struct thrift_writer *writer, bool value);
void thrift_write_binary_element(struct thrift_writer *writer, struct slice value);

/* ---- encoders ---- */

/* Runs and bit-packed groups of n values of `width` bits (1 to 32). */
int encode_rle_levels(struct buffer *out, const uint8_t *values, int64_t n, unsigned width)
    GLIS_CHECKED;
int encode_rle_indices(struct buffer *out, const uint32_t *values, int64_t n, unsigned width)
    GLIS_CHECKED;
/* DELTA_BINARY_PACKED of integers of 4 or 8 bytes, blocks of 128 values in 4 parts. */
int encode_delta(struct buffer *out, const void *values, int64_t n, unsigned value_bytes)
    GLIS_CHECKED;
/* About the bytes that encode_delta makes. */
uint64_t encode_delta_estimate(const void *values, int64_t n, unsigned value_bytes);
/* Bits that hold `value`; 0 for 0. */
unsigned encode_width(uint64_t value);
/* Texts; `scratch` is room for lengths. */
int encode_delta_length(struct buffer *out, const struct slice *values, int64_t n,
                        struct buffer *scratch) GLIS_CHECKED;
int encode_delta_bytes(struct buffer *out, const struct slice *values, int64_t n,
                       struct buffer *scratch) GLIS_CHECKED;
/* BYTE_STREAM_SPLIT of n values of `width` bytes. */
int encode_split(struct buffer *out, const uint8_t *values, int64_t n, uint32_t width) GLIS_CHECKED;
size_t encode_common_prefix(struct slice a, struct slice b);
/* Whether the format allows it for the type and Glis writes it. */
bool encoding_fits(int encoding, enum parquet_type type);

/* ---- leaves ---- */

enum {
    WRITE_PATH_MAX = 2 * TYPE_DEPTH_MAX + 4,
    WRITE_NAMES_MAX = 2 * WRITE_PATH_MAX,
    LEVELS_MAX = 2 * WRITE_PATH_MAX + 1, /* each field of a path adds two at most */
};

/* How values of a leaf compare. */
enum leaf_order {
    ORDER_NONE,
    ORDER_BOOLEAN,
    ORDER_INT32,
    ORDER_UINT32,
    ORDER_INT64,
    ORDER_UINT64,
    ORDER_FLOAT16,
    ORDER_FLOAT,
    ORDER_DOUBLE,
    ORDER_DECIMAL, /* two's complement, big-endian */
    ORDER_FIXED,
    ORDER_BYTES,
};

struct write_leaf {
    enum parquet_type type;
    uint32_t type_length, stride; /* stride: of a value in memory; BYTE_ARRAY: a struct slice */
    enum leaf_order order;
    int max_definition, max_repetition;
    uint32_t field, number; /* number: of the leaf */
    const struct type *leaf_type;
    unsigned n_path, n_names;
    const struct field *path[WRITE_PATH_MAX]; /* from the field down to the leaf */
    uint32_t child[WRITE_PATH_MAX];           /* which child of path[i] path[i + 1] is */
    struct slice names[WRITE_NAMES_MAX];
    int dictionary;    /* as in the options */
    int encoding;      /* asked for; -1: by what the values look like */
    double bloom_rate; /* of false positives; 0: no bloom filter */
    uint64_t page_bytes;
};

/* Leaves in the schema's order, in the arena. */
int write_leaves_new(const struct schema *schema, const struct parquet_annotations *annotations,
                     struct arena *arena, struct write_leaf **leaves, uint32_t *n_leaves)
    GLIS_CHECKED;
/* Whether a field is optional in the file: all that is nullable, and columns of nulls. */
bool write_field_is_optional(const struct field *field);
/* The field SchemaElement list of FileMetaData. */
void write_schema_elements(struct thrift_writer *writer, int id, const struct schema *schema,
                           const struct parquet_annotations *annotations);

/* Rows of a batch, or (batch NULL) of a row group of another file, as they are encoded there. */
struct row_segment {
    struct batch *batch;
    int64_t begin, n;
    struct parquet_reader *reader;
    uint32_t row_group;
};

/* A leaf's levels and values. */
struct shredded {
    const struct write_leaf *leaf;
    int64_t n_entries, n_values;
    struct buffer definitions, repetitions; /* a byte each; empty when the maximum is 0 */
    struct buffer values;                   /* leaf->stride each; slices point into the batches */
};
int shred_segment(struct shredded *out, const struct row_segment *segment) GLIS_CHECKED;
/* The same from the leaf's top-level field alone. */
int shred_rows(struct shredded *out, const struct column *column, int64_t begin, int64_t n)
    GLIS_CHECKED;

/* ---- bounds ---- */

/* Pointers to values in shredded.values; NULL: none. With has_nan they bound the other values, and
 * are not written: engines that sort NaN behind all numbers would pass over rows by them. */
struct bounds {
    const uint8_t *min, *max;
    bool has_nan;
};
void bounds_find(const struct write_leaf *leaf, const uint8_t *values, int64_t n,
                 struct bounds *out);
void bounds_join(const struct write_leaf *leaf, struct bounds *all, const struct bounds *more);
/* Appends a bound as the file has it. */
int bound_append(const struct write_leaf *leaf, const uint8_t *value, bool is_max,
                 uint32_t bytes_max, struct buffer *out, bool *exact) GLIS_CHECKED;
int bound_compare(enum leaf_order order, uint32_t size, const uint8_t *a, const uint8_t *b);

/* ---- compression ---- */

struct codec_writer {
    int codec, level;
    void *context;
};
/* Whether files are written with the codec: all but LZO and the deprecated LZ4. */
bool codec_is_written(int codec);
/* Appends the compressed bytes; UNCOMPRESSED copies. */
int codec_compress(struct codec_writer *writer, struct slice in, struct buffer *out) GLIS_CHECKED;
void codec_writer_free(struct codec_writer *writer);

/* ---- chunks ---- */

struct page_record {
    uint64_t offset; /* in the chunk */
    uint32_t size;
    int64_t first_row, n_nulls, n_values, text_bytes;
    uint32_t min_at, min_size, max_at, max_size; /* in bounds_text */
};

/* One encoded chunk. `bytes` is dropped once the sink has it; the rest is for the footer. */
struct chunk_record {
    struct buffer bytes, bloom;       /* bloom: header and blocks */
    struct buffer pages, bounds_text; /* struct page_record; bounds of pages and chunk */
    struct buffer level_counts; /* int64_t, of each page: of repetition, of definition levels */
    unsigned n_repetition_counts, n_definition_counts; /* 0: not written */
    bool has_text_bytes;
    uint32_t n_pages, min_at, min_size, max_at, max_size;
    bool has_bounds, min_exact, max_exact, has_column_index;
    int boundary_order;
    uint32_t encodings;
    int64_t n_entries, n_nulls;
    uint64_t start, dictionary_size, compressed_bytes, uncompressed_bytes;
    uint64_t column_index_offset, column_index_size, offset_index_offset, offset_index_size;
    uint64_t bloom_offset, bloom_size; /* 0: none */
};
void chunk_record_free(struct chunk_record *chunk);

struct group_record {
    int64_t n_rows;
    struct chunk_record *chunks;
};

/* A chunk in the making. */
enum { CHUNK_VALUES_BYTES_MAX = 1 << 30 };
struct chunk_job {
    const struct write_leaf *leaf;
    const struct parquet_writer_options *options;
    struct budget *budget;
    struct chunk_record *out;
    struct shredded in;
    int encoding;
    struct buffer indices, dictionary; /* a uint32_t each value; strided values */
    struct buffer scratch, lengths;    /* a page; of its texts */
    struct buffer packed;              /* its compressed values */
    struct buffer hashes;              /* uint64_t, of values for the bloom filter */
    uint32_t n_dictionary;
    struct codec_writer codec;
};
/* Sets job->encoding, and for RLE_DICTIONARY indices and dictionary. */
int chunk_choose_encoding(struct chunk_job *job) GLIS_CHECKED;
/* Of the values in job->in, which are not all of the chunk: entries and values that stand together,
 * and the row of the chunk that the first of them begins. */
struct fresh_run {
    int64_t first_entry, n_entries, first_value, n_values, first_row;
};
/* Writes a dictionary page; cuts a run into pages, and widens the bounds to its values. */
int chunk_write_dictionary(struct chunk_job *job) GLIS_CHECKED;
int chunk_write_pages(struct chunk_job *job, const struct fresh_run *run, struct bounds *bounds)
    GLIS_CHECKED;
/* Bounds as the file has them, into bounds_text: where and how long the least and the greatest are,
 * and whether they are exact. */
int chunk_put_bounds(struct chunk_job *job, const struct bounds *bounds, uint32_t at[4],
                     bool exact[2]) GLIS_CHECKED;
int chunk_compare_text(const struct chunk_job *job, uint32_t a, uint32_t a_size, uint32_t b,
                       uint32_t b_size);
int chunk_boundary_order(const struct chunk_job *job);
/* The bytes of a value of shredded.values. */
struct slice chunk_value_bytes(const struct write_leaf *leaf, const uint8_t *value);

/* ---- size statistics ---- */

/* Which of them the leaf has. */
void chunk_sizes_begin(const struct write_leaf *leaf, struct chunk_record *out);
/* Counts the levels and bytes of the next page. */
int page_sizes_add(const struct shredded *in, int64_t first_entry, int64_t n_entries,
                   int64_t first_value, int64_t n_values, struct chunk_record *out,
                   int64_t *text_bytes) GLIS_CHECKED;
/* Their fields of the column index, the offset index and ColumnMetaData. */
void write_page_levels(struct thrift_writer *writer, const struct chunk_record *chunk);
void write_page_text_bytes(struct thrift_writer *writer, const struct chunk_record *chunk);
void write_chunk_sizes(struct thrift_writer *writer, const struct chunk_record *chunk);

/* ---- copied rows ---- */

/* Encodes a chunk some of whose segments are rows of other files, whose pages are copied. */
int chunk_encode_copied(struct chunk_job *job, const struct row_segment *segments,
                        uint32_t n_segments) GLIS_CHECKED;
/* Whether pages of a leaf, by its number, refer to a dictionary. */
bool chunk_has_dictionary(const struct parquet_reader *reader, uint32_t row_group, uint32_t leaf);
/* Whether a row group's pages may stand in a file of these leaves, and its codec is the one. */
bool row_group_fits(struct parquet_reader *reader, uint32_t row_group,
                    const struct write_leaf *leaves, uint32_t n_leaves, int codec);

/* ---- bloom filters ---- */

bool bloom_fits(enum parquet_type type);
/* Adds values that are not in job->in to those that the filter will have. */
int bloom_add(struct chunk_job *job, const uint8_t *values, uint64_t n) GLIS_CHECKED;
/* Makes out->bloom where the leaf asks for it; after the encoding was chosen. */
int bloom_write(struct chunk_job *job) GLIS_CHECKED;

/* Memory of a leaf's encoder that goes from one row group to the next, for fresh pages of memory
 * cost as much as much of the work. All zero: none yet. */
enum { CHUNK_SCRATCH_BUFFERS = 9 };
struct chunk_scratch {
    struct buffer buffers[CHUNK_SCRATCH_BUFFERS];
    struct codec_writer codec;
    bool is_used;
};
void chunk_scratch_free(struct chunk_scratch *scratch);

/* Options with all defaults filled in; codec is a parquet_codec. out->bytes may bring memory. */
int chunk_encode(const struct write_leaf *leaf, const struct row_segment *segments,
                 uint32_t n_segments, const struct parquet_writer_options *options,
                 struct budget *budget, struct chunk_scratch *scratch, struct chunk_record *out)
    GLIS_CHECKED;

struct footer_input {
    const struct schema *schema;
    const struct write_leaf *leaves;
    uint32_t n_leaves, n_groups, n_key_values;
    const struct group_record *groups;
    const struct parquet_key_value *key_values;
    const struct parquet_writer_options *options;
};
int footer_write(const struct footer_input *input, struct buffer *out) GLIS_CHECKED;
int column_index_write(const struct chunk_record *chunk, struct buffer *out) GLIS_CHECKED;
int offset_index_write(const struct chunk_record *chunk, struct buffer *out) GLIS_CHECKED;

#endif
