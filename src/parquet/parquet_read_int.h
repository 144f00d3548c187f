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
    struct slice name, crs;         /* crs: as in parquet_annotation, with the next two */
    int edge_algorithm, variant_version;
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
    const struct parquet_annotation *annotation; /* while the schema is built */
};

/* Types and leaves from the flat list of elements; leaves and annotations go into the metadata.
 * Everything lies in the arena; the schema is the caller's. */
int parquet_schema_build(const struct schema_element *elements, uint32_t n_elements,
                         struct arena *arena, struct schema **schema, struct node **nodes,
                         struct parquet_metadata *metadata) GLIS_CHECKED;
/* Whether a type is the carrier of an annotation, by its kind. */
bool parquet_annotation_fits(int kind, const struct type *type);
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
/* Whether its values are geometries, which have no order. */
static inline bool parquet_leaf_is_geometry(const struct parquet_leaf *leaf)
{
    return leaf->annotation && (leaf->annotation->kind == PARQUET_GEOMETRY ||
                                leaf->annotation->kind == PARQUET_GEOGRAPHY);
}
/* Whether older writers ordered the leaf's values as we do: signed, by value. */
bool parquet_leaf_is_signed(const struct parquet_leaf *leaf);
/* A list of `expected` counts; *out is NULL when it is empty, and when it has another length or a
 * negative number, which sets *malformed. */
int parquet_counts_read(struct thrift_cursor *cursor, int type, uint64_t expected,
                        struct arena *arena, const int64_t **out, bool *malformed) GLIS_CHECKED;
int parquet_sizes_read(struct thrift_cursor *cursor, int struct_type,
                       const struct parquet_leaf *leaf, struct arena *arena,
                       struct parquet_sizes *out) GLIS_CHECKED;
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
/* The deprecated BIT_PACKED: n values of `width` bits (1 to 8), the highest bits of a byte first;
 * and of one bit each, as bits, the lowest first, with how many are set. */
int decode_packed_levels(struct slice in, unsigned width, int64_t n, uint8_t *out) GLIS_CHECKED;
int decode_packed_bits(struct slice in, int64_t n, uint8_t *out, int64_t *n_set) GLIS_CHECKED;
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
    /* For each bit of `slots`, upwards: base and the bits of `elements` below it. Returns how
     * many. */
    unsigned (*count_below)(uint64_t slots, uint64_t elements, int32_t base, int32_t *out);
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

/* A data page that is open: its entries and values, taken from front to back. */
struct leaf_page {
    int64_t n_entries, at;                    /* in all, and taken or passed so far */
    int64_t n_values, value_at;               /* likewise, nulls not counted */
    const uint8_t *definitions, *repetitions; /* see leaf_data; NULL when the maximum is 0 */
    struct block *definition_block, *repetition_block;
    int encoding;
    struct slice body;        /* the encoded values */
    const char *next;         /* of texts: where the next one is */
    bool is_decoded;          /* the values stand in leaf_data.indices */
    struct leaf_values whole; /* DELTA_BYTE_ARRAY: all values of the page */
};

/* More of a chunk's bytes: those from file offset `at` on, at least `need` of them (never more than
 * are left of the range). What it gave before is no longer used. */
struct leaf_source {
    int (*refill)(struct leaf_source *source, uint64_t at, uint64_t need, struct slice *out);
    uint64_t begin, end, next_begin, next_end; /* ranges of the file, the next perhaps empty */
};

/* Where a leaf stands in its chunk, and what has been taken since leaf_output_reset. */
struct leaf_data {
    const struct parquet_leaf *leaf;
    struct budget *budget;
    int codec;
    unsigned width; /* of a value as the pages have it */
    bool widens;    /* integers are taken as decimals of 16 bytes, which is what they stand for */
    bool as_bits;   /* definition levels are kept as bits: the field is a leaf that may be null */

    /* taken: entries, rows, levels (a byte each, or bits; NULL when the maximum is 0), values */
    int64_t n_entries, n_rows;
    struct block *definitions, *repetitions;
    struct leaf_values values;
    struct leaf_values narrow; /* of a page, before they are widened */
    /* Indices (4 bytes each) in place of values, as long as all that was taken has them: where a
     * dictionary column is wanted. One of codes.n and values.n is 0. */
    bool keeps_codes;
    struct leaf_values codes;
    bool texts_unchecked; /* some did not come from the dictionary, whose texts are checked */
    int64_t rows_wanted;  /* of the take under way: for room */

    /* the place in the chunk */
    uint64_t next_row;               /* the row that the next beginning begins */
    struct slice bytes, bytes_after; /* from the next page's header on; what follows these */
    struct leaf_source *source;      /* where more comes from; NULL: these are all */
    uint64_t at;                     /* bytes of the chunk passed; with a source the file offset */
    unsigned page_number;
    uint64_t page_bytes; /* of the last page, its header included */
    struct leaf_page page;
    struct leaf_values dictionary;
    bool has_dictionary;
    struct block *scratch, *indices;
};

/* Bytes of a value of the leaf in leaf_values; 0: offsets and bytes. */
static inline unsigned leaf_width(const struct parquet_leaf *leaf)
{
    static const unsigned widths[] = {1, 4, 8, 12, 4, 8, 0};
    return leaf->type == PARQUET_FIXED_LEN_BYTE_ARRAY ? leaf->type_length : widths[leaf->type];
}

/* And of one that is taken. */
static inline unsigned leaf_taken_width(const struct leaf_data *data)
{
    return data->widens ? 16 : data->width;
}

/* Room for so many more values and bytes of text. */
int leaf_values_reserve(struct leaf_values *values, int64_t more, uint64_t more_bytes,
                        struct budget *budget) GLIS_CHECKED;
void leaf_values_free(struct leaf_values *values);
/* Begins with the page that data->page describes; its body holds n_values values. */
int page_values_open(struct leaf_data *data) GLIS_CHECKED;
/* Passes over the next n values, or appends them to data->values. */
int page_values_skip(struct leaf_data *data, int64_t n) GLIS_CHECKED;
int page_values_take(struct leaf_data *data, int64_t n) GLIS_CHECKED;
/* The values of a dictionary page. */
int dictionary_read(struct leaf_data *data, struct slice body, int64_t n) GLIS_CHECKED;

/* Passes over the rows before `row`; appends the next n rows (fewer at the end of the chunk). */
int leaf_skip_to(struct leaf_data *data, uint64_t row) GLIS_CHECKED;
int leaf_take(struct leaf_data *data, uint64_t n) GLIS_CHECKED;
/* The same by pages, for a check of each of them. The next page's header, which stands with its
 * body in data->bytes (empty at the end); what it holds: a dictionary is read, a data
 * page is open after, others say nothing; the next n entries (fewer at the page's end) of the page
 * that is open are appended; and the page is passed, which is still open. */
int leaf_next_header(struct leaf_data *data, struct page *header) GLIS_CHECKED;
int leaf_open_page(struct leaf_data *data, const struct page *header) GLIS_CHECKED;
int leaf_take_entries(struct leaf_data *data, int64_t n) GLIS_CHECKED;
void leaf_pass_page(struct leaf_data *data, const struct page *header);
/* Forgets what was taken, whose memory the next take uses; nobody else has got hold of it. */
void leaf_output_rewind(struct leaf_data *data);
/* Forgets what was taken (columns have got hold of it), and all. */
void leaf_output_reset(struct leaf_data *data);
void leaf_data_free(struct leaf_data *data);
/* GLIS_ECORRUPT unless the texts are UTF-8, each of them. */
int leaf_texts_check(const struct leaf_values *values) GLIS_CHECKED;

/* A column of a node from the leaves' data (by leaf number from the field's first on). */
int assemble_column(const struct node *node, const struct field *field, struct leaf_data *leaves,
                    uint32_t first_leaf, int64_t n_rows, struct budget *budget, struct column *out)
    GLIS_CHECKED;

/* The deprecated timestamp of 12 bytes as microseconds since 1970. */
int64_t int96_micros(const uint8_t *bytes);

/* ---- bloom filters ---- */

struct bloom_header {
    uint32_t header_size, size; /* size: of the blocks */
    bool is_known;              /* algorithm, hash and compression are the ones that Glis has */
};
int bloom_header_read(struct slice bytes, struct bloom_header *out) GLIS_CHECKED;
uint64_t bloom_hash(struct slice plain);
bool bloom_block_has(const uint8_t *block, uint64_t hash);
/* Of a chunk that has a filter; GLIS_ECORRUPT when it does not lie in the file. */
int bloom_find(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
               struct bloom_header *out) GLIS_CHECKED;
/* The filter's block, of 32 bytes, that a hash is looked for in. */
enum { BLOOM_BLOCK_BYTES = 32 };
uint64_t bloom_block_of(uint64_t hash, uint64_t n_blocks);
/* The filter of a chunk that has one. */
int bloom_read_all(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                   struct budget *budget, struct parquet_bloom *out) GLIS_CHECKED;

/* ---- an open file ---- */

struct parquet_reader {
    struct runtime *runtime;
    struct store *store;
    struct slice key;
    struct budget *budget;
    uint64_t reserved;
    struct arena arena;
    struct parquet_metadata metadata;
    struct schema *schema;
    struct node *nodes;
    struct block *tail; /* the end of the file, from tail_offset on */
    const uint8_t *tail_data;
    uint64_t tail_offset, tail_size;
    pthread_mutex_t lock;
    struct block *index_block; /* what lies between the first page index and the footer */
    const uint8_t *index_data;
    uint64_t index_offset, index_size;
    const struct parquet_page_index **indexes; /* a leaf of a row group; made under the lock */
};

/* The page index of a chunk as parquet_reader_page_index gives it, but read anew into an arena that
 * is not counted in the budget, and not kept. */
int parquet_page_index_load(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                            struct arena *arena, const struct parquet_page_index **out)
    GLIS_CHECKED;

/* Bytes of the file; with STORE_TO_END its last `size`. The caller releases the read. */
int parquet_read_range(const struct parquet_reader *reader, uint64_t offset, uint64_t size,
                       struct store_read *read) GLIS_CHECKED;
/* The same, counted in another budget than the reader's. */
/* To be called with each failure: what made no sense is not to come from a cache again. */
void parquet_read_failed(const struct parquet_reader *reader, int code);
int parquet_read_range_for(const struct parquet_reader *reader, uint64_t offset, uint64_t size,
                           struct budget *budget, struct store_read *read) GLIS_CHECKED;

/* A row group's rows, from front to back, in as many parts as the caller likes. */
struct rows_cursor;
/* Rows [first, first + n) of some fields. Large row groups of a folder are read in windows. */
int rows_cursor_open(struct parquet_reader *reader, uint32_t row_group, const uint32_t *fields,
                     uint32_t n_fields, uint64_t first, uint64_t n, struct budget *budget,
                     struct rows_cursor **out) GLIS_CHECKED;
/* The same; what the plan (may be NULL) has fetched is not read again. It outlives the cursor. */
int rows_cursor_open_planned(struct parquet_reader *reader, const struct parquet_plan *plan,
                             uint32_t row_group, const uint32_t *fields, uint32_t n_fields,
                             uint64_t first, uint64_t n, struct budget *budget,
                             struct rows_cursor **out) GLIS_CHECKED;
/* Bytes [begin, end) of the file, if the plan or the end of the file that the reader keeps has
 * them. */
bool parquet_plan_find(const struct parquet_plan *plan, const struct parquet_reader *reader,
                       uint64_t begin, uint64_t end, struct slice *out);
/* A plan of rows of some fields, begun, and how many bytes it asks for; NULL when that is more than
 * `most`, or more than may be asked for ahead within the budget (a little more when it is awaited
 * already), or cannot be told. The error is cleared: who reads without a plan meets it again. */
struct parquet_plan *parquet_plan_ahead(struct parquet_reader *reader, uint32_t row_group,
                                        const uint32_t *fields, uint32_t n_fields, uint64_t first,
                                        uint64_t n, struct budget *budget, bool is_awaited,
                                        uint64_t most, uint64_t *bytes);
/* Fetches what was asked for ahead, or frees it: *plan is NULL when the budget cannot bear it, and
 * after a failure. */
int parquet_plan_arrive(struct parquet_plan **plan) GLIS_CHECKED;
/* The ranges of a leaf that hold rows [first, end): begin and end of the dictionary (perhaps empty)
 * and of the data pages. */
int rows_leaf_ranges(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                     uint64_t first, uint64_t end, uint64_t out[4]) GLIS_CHECKED;
uint64_t rows_cursor_at(const struct rows_cursor *cursor); /* the next row */
/* Passes over the rows before `row`; none of them has been taken. */
void rows_cursor_skip(struct rows_cursor *cursor, uint64_t row);
/* The next n rows, not more than are left; decoded on the pool where `parallel`. After a failure
 * only closing is allowed. */
int rows_cursor_next(struct rows_cursor *cursor, uint64_t n, bool parallel, struct batch **out)
    GLIS_CHECKED;
/* Before the first batch: fields marked (one mark a field) come as dictionary columns where they
 * can; see parquet_reader_stream_dictionaries. */
void rows_cursor_keep_dictionaries(struct rows_cursor *cursor, const bool *fields);
void rows_cursor_close(struct rows_cursor *cursor); /* NULL is allowed */

#endif
