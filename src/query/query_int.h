/*
 * query_int.h: what the files of query/ share.
 *
 *   query_json.c     the JSON form, cursors
 *   query_region.c   regions: canonical form, intervals of row keys
 *   query_plan.c     state, leaves, files
 *   query_file.c     one file: row groups, pages, runs of rows, batches
 *   query_pages.c    data files: opened and kept, bounds of pages, rows by pages
 *   query_bloom.c    bloom filters of row keys
 *   query_merge.c    answers in order: merging, passes, order of equal keys
 *   query_process.c  filters, aggregations, labels and iterators in answers
 *   query_answer.c   the stream that the caller sees: limit, cursor, time limit
 *   query_shape.c    the schemas of a query
 *   query_cache.c    footers, bloom filters and pages that queries share
 *   query_explain.c  what was looked at, for people and programs
 */
#ifndef GLIS_QUERY_QUERY_INT_H
#define GLIS_QUERY_QUERY_INT_H

#include "parquet/parquet.h"
#include "process/process.h"
#include "query/query.h"
#include "store/store.h"

#include <pthread.h>

/* ---- regions ---- */

/* An interval of encoded row keys, [min, max), with the regions that lie in it. When `exact`, every
 * row in it is wanted; else a row is wanted when one of the regions takes it. */
struct row_interval {
    struct slice min, max;
    bool unbounded; /* no max */
    bool exact;
    const struct query_region *const *regions;
    size_t n_regions;
    /* Of one region: the one value that it asks for of each row-key field, null where it asks for
     * more; NULL: not known. */
    const struct value *values;
};

/* Intervals in ascending order, disjoint. */
struct row_intervals {
    uint32_t n_fields; /* of the region: row-key fields */
    uint32_t n_keys;   /* fields of the encoded keys that min and max are compared with */
    struct row_interval *items;
    size_t n_items;
};

/* The part of a region within another; false when there is none. Ranges in the arena. */
bool region_intersect(const struct query_region *a, const struct key_range *b, uint32_t n_fields,
                      struct arena *arena, struct query_region *out);
bool region_is_empty(const struct query_region *region, uint32_t n_fields);
/* Whether a region contains a row, from the field keys of its row keys. */
bool region_contains(const struct query_region *region, const struct slice *field_keys,
                     uint32_t n_fields);
/* The intervals of row keys that regions touch, united; empty regions are left out. In the arena,
 * the regions referred to. */
void row_intervals_make(const struct query_region *regions, size_t n_regions, uint32_t n_fields,
                        struct arena *arena, struct row_intervals *out);
/* Whether a row is wanted by an interval that its key lies in; field_keys as above. */
bool row_interval_takes(const struct row_interval *interval, const struct slice *field_keys,
                        uint32_t n_fields);
/* The smallest box around all regions, for walking the tree. */
void regions_hull(const struct query_region *regions, size_t n_regions, uint32_t n_fields,
                  struct arena *arena, struct query_region *out);
/* GLIS_ECORRUPT says what does not hold: order, disjointness. For tests. */
/* Whether a range of field keys is one key: it ends directly behind it. */
bool key_range_is_one(const struct key_range *range);
int row_intervals_validate(const struct row_intervals *intervals) GLIS_CHECKED;

/* Leaves out everything below a whole key, or (descending) above it. From then on min and max are
 * compared with whole keys. */
void row_intervals_clip(struct row_intervals *intervals, struct slice key, bool descending,
                        uint32_t n_keys, struct arena *arena);

/* ---- plan ---- */

/* One file to be read, for one leaf. */
struct scan_input {
    struct slice file;       /* its name in the state */
    struct slice object_key; /* in the instance's store */
    uint64_t size, rows, schema_version;
    const struct file_bound *bounds;
    struct slice leaf;
    bool whole; /* every row is wanted; `intervals` takes them all too */
    const struct row_intervals *intervals;
};

/* Inputs whose rows stand among one another; units follow each other in the answer. */
struct scan_unit {
    struct scan_input *inputs;
    size_t n_inputs;
};

struct query_answer;
struct query_plan {
    struct scan_unit *units;
    size_t n_units;
    bool in_key_order; /* of the whole answer */
};

/* ---- answers ---- */

/* How files are read for this query; what the parts of an answer share. */
struct scan {
    struct query_engine *engine;
    struct runtime *runtime;
    struct budget *budget;
    struct store *store;
    const struct table_state *state;
    const struct schema *table_schema;
    const struct schema *schema;                      /* of the rows given: the wanted fields */
    const struct schema *row_key_schema, *key_schema; /* of row keys only, of all keys */
    const uint32_t *fields;                           /* in table_schema */
    uint32_t n_fields, n_keys, n_row_keys;
    bool descending, tie_order;
    uint64_t rows_hint; /* no more rows than this are wanted in all; 0: unknown */
    uint32_t max_files;
    uint32_t batch_rows; /* of one batch from one file, at most */
    const char *spill_folder;
    int64_t deadline_ns; /* monotonic; 0: none */
    struct query_explain *explain;
};
int scan_check(const struct scan *scan) GLIS_CHECKED; /* GLIS_ECANCELLED, GLIS_ETIMEOUT */
/* Adds to a figure of the explanation. */
#define SCAN_COUNT(scan, member, n) \
    __atomic_fetch_add(&(scan)->explain->member, (uint64_t)(n), __ATOMIC_RELAXED)

struct plan_wishes {
    bool ordered;      /* the whole answer in key order */
    bool leaf_ordered; /* each leaf's rows in key order, also of what is only counted */
};
/* Finds what is to be read. Everything in the arena. */
int query_plan_make(struct scan *scan, const struct table *table, const struct query *query,
                    const struct plan_wishes *wishes, struct arena *arena, struct query_plan *out)
    GLIS_CHECKED;

/* The rows of one file, in key order or its reverse, as the wanted fields. Input and scan outlive
 * the stream. */
int file_scan_open(const struct scan *scan, const struct scan_input *input,
                   struct batch_stream **out) GLIS_CHECKED;
/* How many rows of the file are wanted; reads no more than that takes. */
int file_scan_count(const struct scan *scan, const struct scan_input *input, uint64_t *out)
    GLIS_CHECKED;

/* The rows of a unit, merged when the scan says so. */
int unit_open(const struct scan *scan, const struct scan_unit *unit, struct batch_stream **out)
    GLIS_CHECKED;
/* Rows with equal keys in the order of their values (descending: the other way). Takes the stream.
 */
int tie_stream_open(const struct scan *scan, struct batch_stream *behind, struct batch_stream **out)
    GLIS_CHECKED;

/* ---- processing ---- */

/* What is done to the rows of an answer. */
struct query_process {
    struct processing processing;
    struct process_options options;
    struct process_counts counts;
    bool is_needed;   /* something is done */
    bool needs_order; /* and rows of a leaf must come in key order for it */
};
/* By the state's properties and the query's wishes. In the arena. */
int query_process_prepare(const struct table_state *state, const struct instance *instance,
                          const struct query *query, int64_t now_ms, struct arena *arena,
                          struct query_process *out) GLIS_CHECKED;
/* The rows of `in` (taken), which has the scan's fields, after all that is done to them. */
int query_process_open(struct query_process *process, const struct scan *scan,
                       struct batch_stream *in, struct batch_stream **out) GLIS_CHECKED;

/* ---- the engine ---- */

enum cache_kind { CACHE_FILE, CACHE_PAGE, CACHE_BLOOM, CACHE_SHAPE, CACHE_KINDS };

/* What an entry is known by: a file (hash of the object's key), and within it a page or chunk; or a
 * query's shape. */
struct cache_key {
    uint64_t file[2];
    uint32_t kind, row_group, column, page;
};

/* First member of whatever is kept. Held by the cache and by those who use it; freed when neither
 * does. */
struct cache_entry {
    _Atomic uint32_t references;
    struct cache_key key;
    uint64_t bytes; /* that it takes */
    void (*free)(struct cache_entry *entry);
    struct cache_entry *next; /* of the same slot */
    struct cache_entry *newer, *older;
    bool kept, used; /* used: since it was put, or last given another chance */
};

/* The entry, held for the caller, or NULL. */
struct cache_entry *cache_get(struct query_engine *engine, const struct cache_key *key);
/* Whether it is there, without counting as use. */
bool cache_has(struct query_engine *engine, const struct cache_key *key);
/* Offers a new entry that the caller holds (references 1); gives the one to use, held: this, or one
 * that somebody else had put first. It is kept when it fits the cache's limit, for which the oldest
 * go. */
struct cache_entry *cache_put(struct query_engine *engine, struct cache_entry *entry);
void cache_release(struct cache_entry *entry); /* NULL is allowed */
/* An entry that the caller holds has grown (or shrunk); the oldest go for it. */
void cache_resize(struct query_engine *engine, struct cache_entry *entry, uint64_t bytes);
/* Larger entries are not kept. */
uint64_t cache_entry_bytes_max(const struct query_engine *engine);
/* Makes room in the budget by dropping the oldest entries; false when there was nothing left to
 * drop. */
bool cache_shrink(struct query_engine *engine, uint64_t bytes);

/* Memory for one answer, which the last one that was closed has left, or NULL; and leaving it.
 * malloc takes longer for something so large than a lookup should. */
void *query_engine_spare_take(struct query_engine *engine);
void query_engine_spare_put(struct query_engine *engine, void *answer);
struct runtime *query_engine_runtime(const struct query_engine *engine);
struct budget *query_engine_budget(const struct query_engine *engine);

/* ---- shapes ---- */

/* Fields of a table's schema that a query reads, its keys first, and those of them (by their places
 * among them) that it gives. */
struct query_fields {
    const uint32_t *read, *given;
    uint32_t n_read, n_given;
};

/* The schemas of a query, kept by the engine's cache. */
struct query_shape {
    struct cache_entry entry;
    const struct schema *table; /* that the others were made of */
    struct schema *read, *given, *row_keys, *keys;
};
/* The caller releases the entry. */
int query_shape_get(struct query_engine *engine, const struct schema *table,
                    const struct query_fields *fields, struct query_shape **out) GLIS_CHECKED;

/* ---- data files ---- */

/* Rows from first_row on (to the next one's) have first fields within [min, max], both field keys.
 */
struct data_page {
    uint64_t first_row; /* in its row group */
    struct slice min, max;
    uint64_t min_head, max_head; /* their key_head */
};

/* The first eight bytes of a key as a number that orders as they do. */
static inline uint64_t key_head(struct slice key)
{
    uint64_t head = 0;
    memcpy(&head, key.data, key.size < 8 ? key.size : 8);
    return __builtin_bswap64(head);
}

struct data_row_group {
    uint64_t n_rows;
    bool has_bounds; /* statistics of the first field: */
    struct slice min, max;
    /* Of the first key column, ascending; none without a page index. Set by query_file_pages. */
    const struct data_page *pages;
    uint32_t n_pages;
    _Atomic bool pages_known;
    _Atomic bool in_vain; /* pages were read for a lookup that found nothing */
};

/* An opened file, kept by the engine's cache. */
struct query_file {
    struct cache_entry entry;
    struct arena arena;
    uint32_t n_row_groups;
    struct data_row_group *row_groups;
    const struct schema *schema; /* that it was written with */
    struct parquet_reader *reader;
    uint32_t *leaves; /* leaf of each field of the schema, UINT32_MAX for those that are nested */
    /* Page indexes by row group and leaf as far as they were asked for, at hand without a lock. */
    _Atomic(const struct parquet_page_index *) *indexes;
    pthread_mutex_t lock;    /* while page bounds are found */
    struct budget *budget;   /* that the arena is counted in */
    uint64_t counted;        /* bytes of it so far */
    _Atomic uint64_t memory; /* as the cache knows it */
};
/* GLIS_EGONE when it is not there any more; GLIS_ECORRUPT when it does not fit what the state says.
 * The caller releases the entry. */
int query_file_open(const struct scan *scan, const struct scan_input *input,
                    struct query_file **out) GLIS_CHECKED;
/* Where the store is far away, opens the files of a unit that are not kept yet together: their ends
 * are read in one call. They are kept as far as the cache goes. */
void query_files_open_ahead(const struct scan *scan, const struct scan_unit *unit);
/* Finds the page bounds of a row group's first key column, once. */
int query_file_pages(const struct scan *scan, struct query_file *file, uint32_t row_group)
    GLIS_CHECKED;
/* Finds what `values` of an interval says, in the arena. */
void row_interval_find_values(struct row_interval *interval, const struct schema *schema,
                              struct arena *arena);
/* Whether bloom filters say that no row of the row group lies in the interval. */
int query_bloom_misses(const struct scan *scan, struct query_file *file, uint32_t row_group,
                       const struct row_interval *interval, bool *misses) GLIS_CHECKED;
/* Rows [first, first + n) of a row group as batches of `schema`, whose fields are those of the
 * file's schema that `fields` names (types as in the file); through the page cache where that pays.
 * What a plan (may be NULL) has fetched is not read again; without one, what few rows take is read
 * in one call. */
int query_file_read(const struct scan *scan, struct query_file *file, uint32_t row_group,
                    const struct schema *schema, const uint32_t *fields, uint64_t first, uint64_t n,
                    const struct parquet_plan *plan, struct batch **out) GLIS_CHECKED;
/* Adds to a plan what reading these rows takes, but for what is kept decoded. */
int query_file_plan(const struct scan *scan, struct query_file *file, uint32_t row_group,
                    const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                    struct parquet_plan *plan) GLIS_CHECKED;
/* Rows [first, first + n) of the file as batches of `schema`, read ahead and decoded on the pool.
 * The file outlives the stream. */
int query_file_stream(const struct scan *scan, struct query_file *file, const struct schema *schema,
                      const uint32_t *fields, uint64_t first, uint64_t n, struct batch_stream **out)
    GLIS_CHECKED;

/* ---- text ---- */

/* RFC 4648 section 5, without padding. */
int base64url_encode(struct buffer *out, struct slice bytes) GLIS_CHECKED;
int base64url_decode(struct buffer *out, struct slice text) GLIS_CHECKED;

#endif
