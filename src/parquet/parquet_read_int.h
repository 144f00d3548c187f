/*
 * parquet_read_int.h: what the files of the reading half share: the Thrift cursor, the assembly
 * tree that stands beside the schema, and the steps from a chunk's bytes to a column.
 *
 * The steps: parquet_read.c chooses pages and reads ranges; page_read.c takes a page apart and
 * decompresses it; decode_*.c turn encoded values into plain ones; chunk_read.c collects a leaf's
 * levels and values over its pages; assemble.c makes columns of them.
 */
#ifndef GLIS_PARQUET_PARQUET_READ_INT_H
#define GLIS_PARQUET_PARQUET_READ_INT_H

#include "parquet/parquet.h"

#include <pthread.h>

/* ---- Thrift, compact protocol ---- */

enum thrift_type {
    THRIFT_STOP = 0,
    THRIFT_TRUE = 1,
    THRIFT_FALSE = 2,
    THRIFT_I8 = 3,
    THRIFT_I16 = 4,
    THRIFT_I32 = 5,
    THRIFT_I64 = 6,
    THRIFT_DOUBLE = 7,
    THRIFT_BINARY = 8,
    THRIFT_LIST = 9,
    THRIFT_SET = 10,
    THRIFT_MAP = 11,
    THRIFT_STRUCT = 12,
};

/* A place in a message. Every read checks the end. */
struct thrift_cursor {
    const uint8_t *next, *end;
};

/* One field's header; at the end of a struct its type is THRIFT_STOP. `id` is in and out: the id of
 * the field before, 0 at the beginning of a struct. */
int thrift_field(struct thrift_cursor *cursor, int *id, int *type) GLIS_CHECKED;
int thrift_integer(struct thrift_cursor *cursor, int type, int64_t *out) GLIS_CHECKED;
int thrift_boolean(struct thrift_cursor *cursor, int type, bool *out) GLIS_CHECKED;
int thrift_binary(struct thrift_cursor *cursor, int type, struct slice *out) GLIS_CHECKED;
/* A list's header. The count never passes the bytes that are left. */
int thrift_list(struct thrift_cursor *cursor, int type, int *element_type, uint32_t *count)
    GLIS_CHECKED;
int thrift_skip(struct thrift_cursor *cursor, int type) GLIS_CHECKED;

/* ---- schema and metadata ---- */

/* A schema element as the file has it. */
struct schema_element {
    int type, repetition, converted, logical; /* -1: not said; logical: the union's field id */
    int64_t type_length, n_children, scale, precision;
    bool logical_utc, logical_signed;
    int logical_unit, logical_bits; /* unit as enum type_unit */
    struct slice name;
};

enum node_kind { NODE_LEAF, NODE_STRUCT, NODE_LIST, NODE_MAP };

/* How a column of the schema is put together from leaves. */
struct node {
    enum node_kind kind;
    int definition;         /* at this level or above the entry is not null */
    int element_definition; /* LIST, MAP: at this level or above there is an element */
    int repetition;         /* repeated ancestors; a list's elements have one more */
    uint32_t leaf;          /* the leaf, or the first one below */
    uint32_t n_leaves;      /* below, itself included */
    uint32_t n_children;
    struct node *children;
};

/* Types and leaves from the flat list of elements. Everything lies in the arena; the schema is the
 * caller's. */
int parquet_schema_build(const struct schema_element *elements, uint32_t n_elements,
                         struct arena *arena, struct schema **schema, struct node **nodes,
                         struct parquet_leaf **leaves, uint32_t *n_leaves) GLIS_CHECKED;
/* The footer's message. */
int parquet_metadata_read(struct slice footer, struct arena *arena,
                          struct parquet_metadata *metadata, struct schema **schema,
                          struct node **nodes) GLIS_CHECKED;
int parquet_statistics_read(struct thrift_cursor *cursor, int type, const struct parquet_leaf *leaf,
                            struct parquet_statistics *out) GLIS_CHECKED;
/* Whether a plain value bounds the leaf's order: of a right size, no NaN, of a type whose order is
 * defined. A zero of a floating-point type is widened (min -0, max +0) and then not *exact. */
bool parquet_statistic_bound(const struct parquet_leaf *leaf, bool is_max, struct slice *plain,
                             bool *exact);
/* Whether older writers ordered the leaf's values as we do: signed, by value. */
bool parquet_leaf_is_signed(const struct parquet_leaf *leaf);
/* Both indexes of a chunk; `column_index` may be empty. */
int parquet_page_index_read(struct slice offset_index, struct slice column_index,
                            const struct parquet_row_group *group,
                            const struct parquet_chunk *chunk, const struct parquet_leaf *leaf,
                            uint64_t file_size, struct arena *arena, struct parquet_page_index *out)
    GLIS_CHECKED;

/* ---- pages ---- */

struct page {
    int type, encoding;
    uint32_t header_size, compressed_size, uncompressed_size;
    int64_t n_values, n_rows, n_nulls;         /* -1: not said */
    uint32_t definition_size, repetition_size; /* v2 */
    bool is_compressed, has_checksum;
    uint32_t checksum;
    int definition_encoding, repetition_encoding; /* v1 */
};

/* The header at the beginning of `bytes`; the body follows it and lies in `bytes` as well unless
 * header_only. */
int page_header_read(struct slice bytes, bool header_only, struct page *out) GLIS_CHECKED;
/* The body, checked against the checksum and decompressed; *out points into `bytes` or into
 * *scratch (made or grown). 64 bytes behind *out are readable. For v2 the levels come first, as in
 * the file. */
int page_body_read(struct slice bytes, const struct page *page, int codec, struct budget *budget,
                   struct block **scratch, struct slice *out) GLIS_CHECKED;
/* Exactly out_size bytes from a compressed run. */
int codec_decompress(int codec, struct slice in, uint8_t *out, size_t out_size) GLIS_CHECKED;

/* ---- decoders; all inputs have 8 readable bytes behind them ---- */

/* RLE and bit-packed hybrid: n values of `width` bits (0 to 32; levels 0 to 8). */
int decode_rle_levels(struct slice in, unsigned width, int64_t n, uint8_t *out) GLIS_CHECKED;
int decode_rle_indices(struct slice in, unsigned width, int64_t n, uint32_t *out) GLIS_CHECKED;
/* n values of one bit as bits (8 bytes of room behind the last); *n_set: how many are 1. */
int decode_rle_bits(struct slice in, int64_t n, uint8_t *out, int64_t *n_set) GLIS_CHECKED;
/* n integers of 4 or 8 bytes; *used: bytes of the input taken. */
int decode_delta(struct slice in, unsigned value_bytes, int64_t n, void *out, size_t *used)
    GLIS_CHECKED;

/* The innermost loops; see decode_kernels.c. */
struct decode_kernels {
    /* n values of `width` bits (0 to 32). 8 bytes behind the packed values are readable; the input
     * ends at `end` or behind it. */
    void (*unpack)(const uint8_t *in, const uint8_t *end, unsigned width, int64_t n, uint32_t *out);
    /* Bit i: whether levels[i] >= level, of 64 levels; all of them are below 128. */
    uint64_t (*levels_at_least)(const uint8_t *levels, int level);
    /* The bits at the places that the mask names, side by side. */
    uint64_t (*extract_bits)(uint64_t bits, uint64_t mask);
    uint32_t (*greatest)(const uint32_t *values, int64_t n); /* 0 of none */
};
/* Those that suit this processor; and the plain ones, to compare with. */
const struct decode_kernels *decode_kernels(void);
extern const struct decode_kernels decode_kernels_plain;

/* Values of a leaf, without nulls, as the physical type has them: fixed width (BOOLEAN one byte
 * each), or offsets and bytes. */
struct leaf_values {
    unsigned width; /* 0: offsets and bytes */
    int64_t n;
    struct block *fixed, *offsets, *bytes; /* offsets: int32[n + 1] */
    uint64_t fixed_room, offsets_room, bytes_size;
};

/* What a leaf's pages have brought. */
struct leaf_data {
    const struct parquet_leaf *leaf;
    struct budget *budget;
    int64_t n_entries, n_rows;
    struct block *definitions, *repetitions; /* a byte each; NULL when the maximum is 0 */
    struct leaf_values values, dictionary;
    bool has_dictionary;
    struct block *scratch, *indices;
};

int leaf_values_reserve(struct leaf_values *values, int64_t more, uint64_t more_bytes,
                        struct budget *budget) GLIS_CHECKED;
void leaf_values_free(struct leaf_values *values);
/* Appends values skip .. skip + n - 1 of a page that holds n_page values (nulls not counted). */
int decode_values(struct leaf_data *data, int encoding, struct slice in, int64_t n_page,
                  int64_t skip, int64_t n) GLIS_CHECKED;

/* Pages from `bytes` on; the first data page begins with row `row` of the row group. Collects the
 * rows of [first, end). The dictionary page may be the first page, or be given before in a call
 * of its own. */
int leaf_read_pages(struct leaf_data *data, struct slice bytes, int codec, uint64_t row,
                    uint64_t first, uint64_t end) GLIS_CHECKED;
void leaf_data_free(struct leaf_data *data);

/* A column of a node from the leaves' data (by leaf number from the field's first on). */
int assemble_column(const struct node *node, const struct field *field, struct leaf_data *leaves,
                    uint32_t first_leaf, int64_t n_rows, struct budget *budget, struct column *out)
    GLIS_CHECKED;

/* The runtime and budget that a reader was opened with. */
struct runtime *parquet_reader_runtime(const struct parquet_reader *reader, struct budget **budget);

/* The deprecated timestamp of 12 bytes as microseconds since 1970. */
int64_t int96_micros(const uint8_t *bytes);

#endif
