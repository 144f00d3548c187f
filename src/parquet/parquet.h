/*
 * parquet.h: reading and writing Parquet files.
 *
 * Written from the format's specification (https://parquet.apache.org/docs/file-format/, and
 * parquet.thrift). The reader asks a store for byte ranges: the tail first (footer, and what lies
 * directly before it: column and offset indexes), then just the pages that are wanted. The writer
 * gives bytes, front to back, to a sink. Types on our side are those of column.h.
 *
 * Ownership: a reader owns its metadata, schema and indexes; what it hands out by pointer lives as
 * long as the reader. Batches and columns are the caller's. A reader may be used by several threads
 * at once; a writer or a stream by one at a time (they use the runtime's pool inside).
 *
 * Errors: GLIS_ECORRUPT for what the format forbids, with row group, column and page;
 * GLIS_EUNSUPPORTED for what it allows and Glis does not read, by name (encryption, a codec, an
 * encoding); GLIS_ELIMIT for sizes beyond the limits below; GLIS_ENOMEM from the budget; and the
 * store's own outcomes.
 */
#ifndef GLIS_PARQUET_PARQUET_H
#define GLIS_PARQUET_PARQUET_H

#include "base/runtime.h"
#include "column/column.h"
#include "store/store.h"

/* The numbers are the format's. */
enum parquet_type {
    PARQUET_BOOLEAN = 0,
    PARQUET_INT32 = 1,
    PARQUET_INT64 = 2,
    PARQUET_INT96 = 3,
    PARQUET_FLOAT = 4,
    PARQUET_DOUBLE = 5,
    PARQUET_BYTE_ARRAY = 6,
    PARQUET_FIXED_LEN_BYTE_ARRAY = 7,
};

enum parquet_encoding {
    PARQUET_PLAIN = 0,
    PARQUET_PLAIN_DICTIONARY = 2,
    PARQUET_RLE = 3,
    PARQUET_BIT_PACKED = 4,
    PARQUET_DELTA_BINARY_PACKED = 5,
    PARQUET_DELTA_LENGTH_BYTE_ARRAY = 6,
    PARQUET_DELTA_BYTE_ARRAY = 7,
    PARQUET_RLE_DICTIONARY = 8,
    PARQUET_BYTE_STREAM_SPLIT = 9,
};

enum parquet_codec {
    PARQUET_UNCOMPRESSED = 0,
    PARQUET_SNAPPY = 1,
    PARQUET_GZIP = 2,
    PARQUET_LZO = 3,
    PARQUET_BROTLI = 4,
    PARQUET_LZ4 = 5,
    PARQUET_ZSTD = 6,
    PARQUET_LZ4_RAW = 7,
};

enum parquet_repetition { PARQUET_REQUIRED = 0, PARQUET_OPTIONAL = 1, PARQUET_REPEATED = 2 };

enum parquet_page_type {
    PARQUET_DATA_PAGE = 0,
    PARQUET_INDEX_PAGE = 1,
    PARQUET_DICTIONARY_PAGE = 2,
    PARQUET_DATA_PAGE_V2 = 3,
};

/* What values stand for beyond the type that carries them. The numbers are the field ids of the
 * format's union LogicalType; annotations that are types of ours (STRING, DECIMAL, ...) are not
 * here. */
enum parquet_annotation_kind {
    PARQUET_ENUM = 4,       /* STRING */
    PARQUET_JSON = 12,      /* STRING */
    PARQUET_BSON = 13,      /* BYTES */
    PARQUET_UUID = 14,      /* FIXED_BYTES of 16 */
    PARQUET_VARIANT = 16,   /* STRUCT of metadata and value */
    PARQUET_GEOMETRY = 17,  /* BYTES: WKB; edges are straight lines */
    PARQUET_GEOGRAPHY = 18, /* BYTES: WKB; edges lie on the globe */
};

enum {
    PARQUET_FOOTER_BYTES_MAX = 256 << 20,
    PARQUET_PAGE_BYTES_MAX = INT32_MAX,
    PARQUET_PAGE_HEADER_BYTES_MAX = 16 << 20,
};

/* The format's names: "INT64", "RLE_DICTIONARY", "ZSTD"; unknown numbers give "?". */
const char *parquet_type_name(int type);
const char *parquet_encoding_name(int encoding);
const char *parquet_codec_name(int codec);
/* The number of a name as the functions above give it, in letters of either case; -1: no such. */
int parquet_encoding_parse(struct slice name);
int parquet_codec_parse(struct slice name);
const char *parquet_annotation_name(int kind);      /* "GEOMETRY" */
const char *parquet_edges_name(int edge_algorithm); /* "SPHERICAL" */

/* ---- metadata ---- */

/* Statistics of a chunk or page, as the file has them: plain-encoded values of the physical type
 * (BYTE_ARRAY without a length). The bounds are set only when their order is defined by the format
 * for the column's type (deprecated min and max only for signed orders). */
struct parquet_statistics {
    bool has_min, has_max, has_null_count, has_distinct_count;
    bool min_exact, max_exact; /* false: a bound, not a value that occurs */
    struct slice min, max;
    int64_t null_count, distinct_count;
};

/* How much is in a chunk, whatever its encoding. */
struct parquet_sizes {
    int64_t text_bytes; /* of BYTE_ARRAY values, without their lengths; -1: not said */
    /* How often each level from 0 to the leaf's greatest occurs; NULL: not said. */
    const int64_t *repetition_levels, *definition_levels;
    bool is_malformed; /* something of it made no sense and is left out */
};

/* Of one field of the schema, top-level or nested. */
struct parquet_annotation {
    enum parquet_annotation_kind kind;
    /* Which field: all of a schema's are counted from 0, each before its children (of a list its
     * element, of a map its key_value, key and value). */
    uint32_t place;
    struct slice path;  /* as the file has it; not looked at when written */
    struct slice crs;   /* GEOMETRY, GEOGRAPHY: NULL data: not said, which means OGC:CRS84 */
    int edge_algorithm; /* GEOGRAPHY: the format's number; -1: not said, which means SPHERICAL */
    int version;        /* VARIANT: of its specification; 0: not said */
};

/* Those of a schema, their places ascending. */
struct parquet_annotations {
    uint32_t n;
    struct parquet_annotation *items;
};

/* A leaf of the schema: a column as the file stores it. */
struct parquet_leaf {
    enum parquet_type type;
    uint32_t type_length; /* FIXED_LEN_BYTE_ARRAY */
    int max_definition, max_repetition;
    uint32_t field;                              /* the top-level field that it belongs to */
    struct slice path;                           /* "tags.list.element" */
    const struct type *leaf_type;                /* what its values become */
    const struct parquet_annotation *annotation; /* NULL: none */
};

/* A page as its headers and indexes describe it. */
struct parquet_page_location {
    uint64_t offset;    /* of the page's header in the file */
    uint32_t size;      /* header and compressed body */
    uint64_t first_row; /* in the row group */
};

struct parquet_chunk {
    int codec;
    uint32_t encodings; /* bit n: encoding n is used */
    int64_t n_values;   /* nulls and empty lists included */
    uint64_t compressed_bytes, uncompressed_bytes;
    uint64_t start; /* of its first page, the dictionary page if there is one */
    uint64_t data_page_offset, dictionary_page_offset; /* the latter 0: none */
    uint64_t column_index_offset, column_index_size;   /* 0: none */
    uint64_t offset_index_offset, offset_index_size;
    uint64_t bloom_offset, bloom_size;
    struct parquet_statistics statistics;
    struct parquet_sizes sizes;
};

struct parquet_row_group {
    uint64_t n_rows, first_row; /* first_row: in the file */
    uint64_t uncompressed_bytes;
    struct parquet_chunk *chunks; /* one a leaf */
    uint32_t n_sorting;
    const struct parquet_sorting {
        uint32_t leaf;
        bool descending, nulls_first;
    } * sorting;
};

struct parquet_key_value {
    struct slice key, value;
};

struct parquet_metadata {
    int version;
    uint64_t n_rows, file_size, footer_size;
    struct slice created_by;
    uint32_t n_leaves, n_row_groups, n_key_values;
    struct parquet_annotations annotations;
    struct parquet_leaf *leaves;
    struct parquet_row_group *row_groups;
    struct parquet_key_value *key_values;
};

/* The column and offset index of one chunk. pages[i].first_row ascends from 0. Statistics may
 * be missing (has_min false) when the file has only an offset index. */
struct parquet_page_index {
    uint32_t n_pages;
    const struct parquet_page_location *pages;
    bool has_statistics;
    int boundary_order;                          /* 0 unordered, 1 ascending, 2 descending */
    const struct parquet_statistics *statistics; /* n_pages; min and max unset on pages of nulls */
    const bool *null_pages;
    /* As in parquet_sizes; NULL: not said. Levels: those of page 0 from 0 to the greatest, then
     * those of page 1, and so on. */
    const int64_t *text_bytes, *repetition_levels, *definition_levels;
    bool sizes_are_malformed;
};

/* ---- reading ---- */

struct parquet_reader;

/* Opens a file: reads its tail, footer and schema. Memory is counted in the budget (may be NULL).
 * `store` outlives the reader; the key is copied. Pages are verified against their checksums. */
int parquet_reader_open(struct parquet_reader **out, struct runtime *runtime, struct store *store,
                        struct slice key, struct budget *budget) GLIS_CHECKED;
/* The same for a caller who knows how large the file is (0: not), and may have read its last
 * parquet_tail_bytes already, as a read that says so (taken; NULL: not). From a store that is far
 * away more is read of a large file then, so that the page indexes need no read of their own. */
int parquet_reader_open_with(struct parquet_reader **out, struct runtime *runtime,
                             struct store *store, struct slice key, uint64_t file_size,
                             struct store_read *tail, struct budget *budget) GLIS_CHECKED;
uint64_t parquet_tail_bytes(const struct store *store, uint64_t file_size);
void parquet_reader_close(struct parquet_reader *reader); /* NULL is allowed */
const struct schema *parquet_reader_schema(const struct parquet_reader *reader);
uint64_t parquet_reader_rows(const struct parquet_reader *reader);
const struct parquet_metadata *parquet_reader_metadata(const struct parquet_reader *reader);
/* The annotations of schema_project's schema for these fields, in the arena. */
struct parquet_annotations parquet_reader_annotations(const struct parquet_reader *reader,
                                                      const uint32_t *fields, uint32_t n_fields,
                                                      struct arena *arena);
/* The value of the last key-value entry of that name; false when there is none. */
bool parquet_reader_key_value(const struct parquet_reader *reader, struct slice key,
                              struct slice *value);

/* The page index of a chunk, read on first use and kept. *out is NULL when the file has no offset
 * index for the chunk. */
int parquet_reader_page_index(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                              const struct parquet_page_index **out) GLIS_CHECKED;
/* Bytes that the open file takes, indexes that were read included. */
uint64_t parquet_reader_memory(struct parquet_reader *reader);

/* A bloom filter in memory. Without a block there is none, and anything may be there. */
struct parquet_bloom {
    struct block *block;
    const uint8_t *blocks;
    uint32_t size;
};
/* Whether filters of such a column help to find a value of it; of other types equal values may
 * differ in bytes. */
bool parquet_bloom_helps(const struct type *type);
/* The hash of a value as the leaf would hold it; false when filters say nothing about it. */
bool parquet_bloom_hash(const struct parquet_leaf *leaf, const struct value *value, uint64_t *hash);
/* The filter of a chunk; none when it has none, or one that is made otherwise than the format knows
 * by now. GLIS_ECORRUPT. */
int parquet_reader_bloom_read(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                              struct budget *budget, struct parquet_bloom *out) GLIS_CHECKED;
void parquet_bloom_release(struct parquet_bloom *bloom);
bool parquet_bloom_has(const struct parquet_bloom *bloom, uint64_t hash);
/* One question to a filter that is not in memory: reads its header and one block. */
int parquet_reader_bloom(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                         uint64_t hash, bool *may_be_there) GLIS_CHECKED;
/* A bound of the statistics as a value of the leaf's type, in the arena. GLIS_ECORRUPT when it
 * has a wrong size. */
int parquet_statistic_value(const struct parquet_leaf *leaf, struct slice plain,
                            struct arena *arena, struct value *out) GLIS_CHECKED;
/* What must be read to open the chunk's pages: their headers, for a listing. Walks the chunk. */
struct parquet_page_header {
    int type, encoding; /* parquet_page_type, parquet_encoding */
    uint64_t offset;
    uint32_t header_size, compressed_size, uncompressed_size;
    int64_t n_values, n_rows, n_nulls; /* -1: not said */
    bool has_checksum, is_compressed;
};
int parquet_reader_pages(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                         struct arena *arena, struct parquet_page_header **out, uint32_t *n_out)
    GLIS_CHECKED;

/* One data page, decoded: entries of the top-level field that the leaf alone makes up. Only for
 * leaves without repetition below which nothing nested stands (a field that is a leaf), in chunks
 * with an offset index. The column has the page's rows. For callers that keep decoded pages. */
int parquet_reader_page(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                        uint32_t page, struct budget *budget, struct column *out) GLIS_CHECKED;

/* Rows [first, first + n) of a row group, some top-level fields (their numbers in the schema,
 * ascending or not) in the order given, as one batch of schema_project's schema. Reads just the
 * pages that hold them where there is an offset index, else the chunks; neighbouring ranges in one
 * request; columns are decoded on the pool. */
int parquet_reader_rows_of(struct parquet_reader *reader, uint32_t row_group,
                           const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                           struct budget *budget, struct batch **out) GLIS_CHECKED;

/* ---- a plan of reads ---- */

struct parquet_range {
    uint64_t offset, size; /* of the file */
};
struct parquet_plan;
/* An empty plan. Gaps of at most gap_bytes between ranges are read along (0: 64 KiB), requests do
 * not grow beyond request_bytes by it (0: 16 MiB). What is fetched is counted in the budget. */
struct parquet_plan *parquet_plan_new(struct parquet_reader *reader, uint64_t gap_bytes,
                                      uint64_t request_bytes, struct budget *budget);
/* Adds what reading rows [first, first + n) of some fields of a row group takes. Before the fetch.
 * GLIS_ECORRUPT of a page index. */
int parquet_plan_add(struct parquet_plan *plan, uint32_t row_group, const uint32_t *fields,
                     uint32_t n_fields, uint64_t first, uint64_t n) GLIS_CHECKED;
/* The requests that it comes to, ascending, joined, without what the reader has in memory; until
 * more is added. `bytes` (may be NULL): of all of them. */
const struct parquet_range *parquet_plan_ranges(struct parquet_plan *plan, uint32_t *n,
                                                uint64_t *bytes);
/* Asks the store for all of them in one call, or waits for what was begun. After a failure the plan
 * is empty. */
int parquet_plan_fetch(struct parquet_plan *plan) GLIS_CHECKED;
/* Sends the requests, as far as the store sends any before they are waited for; and takes in what
 * has come of them, as store_read_go_on. Nothing is found in the plan before the fetch. */
void parquet_plan_begin(struct parquet_plan *plan);
bool parquet_plan_go_on(struct parquet_plan *plan, bool wait);
void parquet_plan_free(struct parquet_plan *plan); /* NULL is allowed */

/* As rows_of and page; what the plan (may be NULL) has fetched is not read again. */
int parquet_reader_rows_planned(struct parquet_reader *reader, const struct parquet_plan *plan,
                                uint32_t row_group, const uint32_t *fields, uint32_t n_fields,
                                uint64_t first, uint64_t n, struct budget *budget,
                                struct batch **out) GLIS_CHECKED;
int parquet_reader_page_planned(struct parquet_reader *reader, const struct parquet_plan *plan,
                                uint32_t row_group, uint32_t leaf, uint32_t page,
                                struct budget *budget, struct column *out) GLIS_CHECKED;

/* All rows and fields, in order, in batches of bounded size; the next ones are read and decoded on
 * the pool meanwhile. Closing the reader is the caller's, after the stream. */
int parquet_reader_stream(struct parquet_reader *reader, struct batch_stream **out) GLIS_CHECKED;
/* The same for some fields and the rows [first, first + n) of the file, in batches of at most
 * batch_rows (0: a choice by size). */
int parquet_reader_stream_part(struct parquet_reader *reader, const uint32_t *fields,
                               uint32_t n_fields, uint64_t first, uint64_t n, int64_t batch_rows,
                               struct batch_stream **out) GLIS_CHECKED;
/* The same, but nothing is read ahead and no other thread is used: for callers that have many such
 * streams and threads of their own. Counted in `budget` instead of the reader's. */
int parquet_reader_stream_serial(struct parquet_reader *reader, const uint32_t *fields,
                                 uint32_t n_fields, uint64_t first, uint64_t n, int64_t batch_rows,
                                 struct budget *budget, struct batch_stream **out) GLIS_CHECKED;

/* As stream_part. Fields that are marked (one mark a field) come as dictionary columns
 * (column.dictionary) in every batch whose pages all refer to the chunk's dictionary, which the
 * batches of a row group share; where pages do not, the batch has plain values. Only fields that
 * are STRING or BYTES themselves; marks on others say nothing. */
int parquet_reader_stream_dictionaries(struct parquet_reader *reader, const uint32_t *fields,
                                       uint32_t n_fields, const bool *dictionaries, uint64_t first,
                                       uint64_t n, int64_t batch_rows, struct batch_stream **out)
    GLIS_CHECKED;

/* ---- filtering ---- */

enum parquet_operator {
    PARQUET_EQUAL,
    PARQUET_NOT_EQUAL,
    PARQUET_LESS,
    PARQUET_LESS_EQUAL,
    PARQUET_GREATER,
    PARQUET_GREATER_EQUAL,
    PARQUET_IS_NULL,
    PARQUET_IS_NOT_NULL,
};

/* Of a field that is a leaf; the value is of its type, and not looked at for the last two. */
struct parquet_condition {
    uint32_t field;
    enum parquet_operator op;
    struct value value;
};

struct parquet_filter_figures {
    uint64_t row_groups, row_groups_skipped; /* the latter by statistics */
    uint64_t row_groups_skipped_bloom;       /* and by bloom filters */
    uint64_t pages, pages_skipped;           /* of the conditions' columns, by the column index */
    uint64_t rows_tested, rows_decoded, rows_given;
};

/* The rows that meet all conditions, in order, some fields of them. Row groups, pages and columns
 * are left out as far as statistics and the conditions' own columns allow. As in SQL a null meets
 * nothing but IS_NULL; a NaN only NOT_EQUAL. `figures` (may be NULL) outlives the stream.
 * Conditions are copied. GLIS_EINVALID, GLIS_EUNSUPPORTED (nested fields). */
int parquet_reader_stream_where(struct parquet_reader *reader, const uint32_t *fields,
                                uint32_t n_fields, const struct parquet_condition *conditions,
                                uint32_t n_conditions, struct parquet_filter_figures *figures,
                                struct batch_stream **out) GLIS_CHECKED;

/* ---- checking ---- */

struct parquet_problem {
    uint32_t row_group;
    struct slice column; /* empty: the row group as a whole */
    int64_t page;        /* -1: the chunk as a whole */
    const char *text;    /* while the call lasts */
};

struct parquet_check {
    /* Called for each problem; a negative code ends the check with it. */
    int (*found)(void *state, const struct parquet_problem *problem);
    void *state;
    uint64_t n_chunks, n_pages, n_problems; /* out */
};

/* Compares everything that the file says about its rows (checksums, counts, sizes, indexes,
 * statistics, sorting) with the rows. Problems of the file are no failure; 0 when all was looked
 * at. */
int parquet_check(struct parquet_reader *reader, struct parquet_check *check) GLIS_CHECKED;

/* ---- writing ---- */

/* Takes the file's bytes in order; a negative code ends the writing with it. */
struct parquet_sink {
    int (*write)(void *state, struct slice bytes);
    void *state;
};

/* How a column is written, where the writer is not to choose. */
struct parquet_column_options {
    struct slice path; /* of a leaf ("tags.list.element"), or of a field: all its leaves */
    int encoding;      /* parquet_encoding + 1; 0: chosen by the values */
    double bloom_rate; /* a bloom filter with this share of false positives (0.01); 0: none */
};

/* Zero means the default everywhere. */
struct parquet_writer_options {
    int codec;                     /* parquet_codec + 1; 0: zstd */
    int level;                     /* the codec's; 0: its usual one (zstd 1, gzip 6, brotli 4) */
    uint64_t row_group_bytes;      /* of uncompressed data; 0: 32 MiB */
    uint64_t row_group_rows_max;   /* 0: 1,048,576 */
    uint64_t page_bytes;           /* uncompressed, of value fields; 0: 64 KiB */
    uint64_t page_rows_max;        /* 0: 20,000 */
    uint64_t key_page_bytes;       /* of the schema's key fields; 0: 8 KiB */
    uint32_t n_sorting_columns;    /* the rows ascend by so many first fields */
    uint32_t statistics_bytes_max; /* longer bounds are cut, outward; 0: 128 */
    /* Dictionaries, by class of field: 0 while it pays, 1 never, 2 wherever it can be. */
    int dictionary_row_keys, dictionary_sort_keys, dictionary_values;
    bool data_page_v1; /* else v2 */
    bool without_checksums;
    /* Both are used, and copied, while opening. */
    const struct parquet_column_options *columns; /* of several for a column what each asks for */
    uint32_t n_columns;
    const struct parquet_key_value *key_values; /* of the footer, before those that are added */
    uint32_t n_key_values;
    struct parquet_annotations annotations; /* of the schema's fields; copied while opening */
};

struct parquet_writer;

/* Begins a file of this schema. Memory is counted in the budget: bounded by three row groups'
 * rows and encoded pages. GLIS_EINVALID for an encoding or annotation that a column's type does not
 * have or a column that there is not, GLIS_EUNSUPPORTED for a codec that is only read. */
int parquet_writer_open(struct parquet_writer **out, struct runtime *runtime,
                        const struct schema *schema, const struct parquet_sink *sink,
                        const struct parquet_writer_options *options, struct budget *budget)
    GLIS_CHECKED;
/* Adds rows; acquires the batch until its row group is written. Columns are encoded on the
 * pool. */
int parquet_writer_write(struct parquet_writer *writer, const struct batch *batch) GLIS_CHECKED;
/*
 * Adds rows [first, first + n) of a row group of another file, which must be in place here: after
 * all rows before them. Their pages are copied, and their checksums verified; only where the rows
 * begin or end within a page it is decoded and made anew. Pages of added rows and copied ones, of
 * several files, may stand in one row group. The reader lives until the writer is closed. Errors
 * may come later, with those of the rows after.
 */
int parquet_writer_copy(struct parquet_writer *writer, struct parquet_reader *reader,
                        uint32_t row_group, uint64_t first, uint64_t n) GLIS_CHECKED;
/* Whether that is possible: it is one of Glis's own files, with the same leaves and codec. */
bool parquet_writer_can_copy(const struct parquet_writer *writer, struct parquet_reader *reader,
                             uint32_t row_group);
/* A key-value entry of the footer, at any time before finish; copied. */
int parquet_writer_add_metadata(struct parquet_writer *writer, struct slice key, struct slice value)
    GLIS_CHECKED;
/* Puts bytes of the caller's own into the file, behind all rows added so far, whose row group ends
 * there; *offset is where they begin in the file. Readers find them by an entry that the caller
 * adds, and others pass them over: nothing of the format points at them. */
int parquet_writer_add_section(struct parquet_writer *writer, struct slice bytes, uint64_t *offset)
    GLIS_CHECKED;
/* The entries so far; until the next one is added. */
const struct parquet_key_value *parquet_writer_metadata(const struct parquet_writer *writer,
                                                        uint32_t *n);
/* Writes what is left, the page index and the footer. Nothing may be written after. */
int parquet_writer_finish(struct parquet_writer *writer) GLIS_CHECKED;
void parquet_writer_close(struct parquet_writer *writer); /* frees; NULL is allowed */

#endif
