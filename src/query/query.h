/*
 * query.h: key-range queries over one table.
 *
 * A query is a set of regions of the row-key space (united, so no row comes twice), the fields that
 * are wanted, and how the answer is to be given: limit, reverse, counted only, ordered, as of a
 * record, after a cursor. Its JSON form is the users' (docs/formats.md, "Query JSON"). It is
 * answered from one state of the table: leaves that the regions meet, their files by bounds, row
 * groups by statistics, pages by the page index, then the exact runs of rows by binary search on
 * the encoded keys, and only for those the pages of the other columns. Then come the table's
 * filters and aggregations, labels, and iterators (process.h). Every step notes what it looked at
 * and what it could leave out (struct query_explain).
 *
 * The engine holds what queries of one process share: parsed footers and page indexes, encoded and
 * decoded pages, within one budget. Files are immutable, so nothing in it ever becomes wrong.
 *
 * Ownership: a query lies in the arena that was given for it. An answer holds its state and what it
 * needs of the query; the engine and the table outlive it. An engine is thread safe, an answer is
 * used by one thread at a time.
 */
#ifndef GLIS_QUERY_QUERY_H
#define GLIS_QUERY_QUERY_H

#include "base/buffer.h"
#include "base/memory.h"
#include "base/runtime.h"
#include "column/column.h"
#include "format/format.h"
#include "table/table.h"

enum { QUERY_REGIONS_MAX = 100000, QUERY_JSON_BYTES_MAX = 64 << 20 };

/* Where an ordered, limited answer ended: what `after` takes. As JSON {"record":N,"key":"<base64url
 * of the encoded key>", "given":n,"now":ms}, or that JSON as base64url in one string. */
struct query_cursor {
    uint64_t record;  /* the state that was read */
    struct slice key; /* encoded, all key fields */
    uint64_t given;   /* rows of that key given already */
    int64_t now_ms;   /* the time that the query goes by */
};

/* One range of field keys for each row-key field (table.h), [min, max). */
struct query_region {
    struct key_range *ranges;
};

/* All zero but schema is a query for no region: query_everything and the parsers fill it in. */
struct query {
    const struct schema *schema;       /* that names were looked up in; lives in the state */
    struct slice query_id, table_name; /* empty when not said */
    struct query_region *regions;
    size_t n_regions;
    uint32_t *fields; /* wanted, ascending; the key fields are always among them. NULL: all */
    uint32_t n_fields;
    bool has_limit, reverse, count_only, ordered;
    uint64_t limit;
    int64_t max_staleness_ms; /* 0: fresh */
    int64_t timeout_ms;       /* 0: glis.query.timeout */
    uint64_t at_record;       /* 0: the newest */
    bool has_after;
    struct query_cursor after;
    const struct table_state *state; /* read this one, whatever at_record and max_staleness_ms say;
                                        held by the caller while the answer is opened. NULL: none */
    int64_t now_ms;                  /* the time that the query goes by; 0: this machine's */
    /* What the reader may see: the terms of labels that hold. Nothing by default. */
    const struct slice *authorisations;
    size_t n_authorisations;
    struct slice iterator, iterator_config; /* after the table's own; empty: none */
};

/* The query for all rows and all fields. */
void query_everything(const struct schema *schema, struct arena *arena, struct query *out);
/* Reads the JSON form. GLIS_EINVALID names the path: "regions[0].key.min: ...". A field that is
 * unknown to Glis or to the schema is an error. */
int query_from_json(struct slice json, const struct schema *schema, struct arena *arena,
                    struct query *out) GLIS_CHECKED;
/* A region from text values (value_from_text) as the command line gives them: `key` is the values
 * of the first n row-key fields (exactly these), or `from` and `to` are the first values of [from,
 * to); either may be NULL with n 0. Appends to the query's regions. GLIS_EINVALID names the field.
 */
int query_add_key(struct query *query, const struct slice *key, uint32_t n, struct arena *arena)
    GLIS_CHECKED;
int query_add_range(struct query *query, const struct slice *from, uint32_t n_from,
                    const struct slice *to, uint32_t n_to, struct arena *arena) GLIS_CHECKED;
/* Chooses the wanted value fields by name; GLIS_EINVALID names an unknown one. */
int query_set_fields(struct query *query, const struct slice *names, size_t n_names,
                     struct arena *arena) GLIS_CHECKED;
/* The terms of "A,B,C"; blanks around them do not count. GLIS_EINVALID for an empty one. */
int query_set_authorisations(struct query *query, struct slice text, struct arena *arena)
    GLIS_CHECKED;
/* Either form of a cursor; GLIS_EINVALID. */
int query_cursor_from_text(struct slice text, struct arena *arena, struct query_cursor *out)
    GLIS_CHECKED;
int query_cursor_to_text(const struct query_cursor *cursor, struct buffer *out)
    GLIS_CHECKED; /* base64url */

/* ---- the engine ---- */

struct query_engine;
/* `cache_bytes` is what footers, bloom filters and pages may take (0: half of the budget's limit);
 * all are counted in the budget, which queries use as well (glis.query.memory). */
int query_engine_new(struct query_engine **out, struct runtime *runtime, struct budget *budget,
                     uint64_t cache_bytes) GLIS_CHECKED;
void query_engine_free(struct query_engine *engine); /* NULL is allowed */

struct query_cache_figures {
    uint64_t footers, footer_bytes, footer_hits, footer_misses;
    uint64_t pages, page_bytes, page_hits, page_misses;
    uint64_t blooms, bloom_bytes, bloom_hits, bloom_misses;
};
/* What the caches hold and how often they helped, since the engine was made. */
struct query_cache_figures query_engine_figures(struct query_engine *engine);

/* ---- answers ---- */

/* What was considered, left out (by the first thing that could), and read. */
struct query_explain {
    uint64_t record;
    const char *order; /* "key", "key descending", "leaf by leaf" */
    uint64_t leaves, leaves_skipped_tree;
    uint64_t files, files_skipped_bounds, files_from_metadata, files_read;
    uint64_t row_groups, row_groups_skipped_statistics, row_groups_skipped_bloom, row_groups_read;
    uint64_t blooms_read;
    uint64_t pages, pages_skipped_index, pages_skipped_rows, pages_from_cache, pages_read;
    uint64_t rows_decoded, rows_given;
    uint64_t rows_aged, rows_aggregated, rows_hidden, bad_labels; /* left out by processing */
    uint64_t requests, bytes_read;
    uint64_t cached_pieces, cached_bytes; /* of files, found on this machine */
    /* What the whole call has asked of a service, set by whoever prints it, and its price. */
    uint64_t sent_reads, sent_lists, sent_writes, sent_deletes, nanodollars;
    int64_t state_ns, plan_ns, total_ns;
};
int query_explain_text(const struct query_explain *explain, struct buffer *out) GLIS_CHECKED;
int query_explain_json(const struct query_explain *explain, struct buffer *out) GLIS_CHECKED;

/*
 * Opens the answer: a stream of batches of the wanted fields in the schema's order (count_only: no
 * rows come). Errors from here or from any next: GLIS_EGONE (a file or record is no longer there,
 * named; never a short answer), GLIS_ETIMEOUT, GLIS_ECANCELLED, GLIS_ENOMEM, GLIS_ECORRUPT with the
 * file's name, GLIS_EINVALID for a query that does not fit the table. The schema of the stream
 * lives as long as it.
 */
int query_open(struct query_engine *engine, struct table *table, const struct query *query,
               struct batch_stream **out) GLIS_CHECKED;
/* Rows given so far; of a count_only query all that there are (limit applied), known after the
 * first next, which ends it. */
uint64_t query_answer_rows(const struct batch_stream *answer);
/* True when the limit ended an ordered answer (one in global key order) and there may be more: the
 * cursor, in the arena. */
bool query_answer_cursor(const struct batch_stream *answer, struct arena *arena,
                         struct query_cursor *out);
struct query_explain query_answer_explain(const struct batch_stream *answer);
uint64_t query_answer_record(const struct batch_stream *answer);

/* ---- export ---- */

/*
 * An export is a folder (or prefix) of files, one for each leaf of the table that has rows, all of
 * them of one state, and a manifest, written last, that names them with their checksums; see
 * docs/formats.md, "Exports". Each leaf is a step that any process can do: its outcome is an object
 * that is put once, so a step repeated or cut short does no harm. Whoever does the last one writes
 * the manifest.
 */
struct export_progress {
    uint64_t leaves_done, n_leaves;
    uint64_t rows, bytes; /* written, by all processes whose outcomes were seen */
    uint64_t total_rows;  /* perhaps estimated; 0: cannot be known */
};

struct export_options {
    enum output_kind kind;     /* OUTPUT_PARQUET, OUTPUT_CSV, OUTPUT_JSONL or OUTPUT_ARROW */
    const struct query *query; /* regions and fields, at_record; NULL: all. No limit, no reverse */
    struct slice given; /* the query as the user wrote it, JSON, for the manifest; or empty */
    struct slice job;   /* 1 to 200 of [A-Za-z0-9._:-], or empty: known again when it was done */
    bool any_request;   /* go on with what was begun there, whatever was asked for */
    int (*progress)(void *state, const struct export_progress *progress); /* may be NULL */
    void *progress_state;
};

struct export_result {
    struct slice id, table_name; /* of the export; in the arena of the call */
    uint64_t record;             /* of the state that is exported */
    bool goes_on;                /* it had been begun before */
    bool already_done;           /* and had been finished: nothing was written */
    bool is_done;                /* the manifest is written */
    bool whole;
    uint64_t n_leaves, leaves_done;
    uint64_t files, rows, bytes;
    uint64_t hidden; /* rows that were left out for their labels: then it is not whole */
};

struct export;
/*
 * Begins an export of the table in `to`, or goes on with the one there. GLIS_EEXISTS: another
 * export is there (another table, form or query, or finished and not of this job). The engine, the
 * table and the store outlive it; what options point to too.
 */
int export_open(struct export **out, struct query_engine *engine, struct table *table,
                struct store *to, const struct export_options *options) GLIS_CHECKED;
/* The leaves, each of which is a step; ids live as long as the export. */
size_t export_n_leaves(const struct export *export);
struct slice export_leaf_id(const struct export *export, size_t i);
/* Does the steps of some leaves (n 0: of all) that nobody has done yet, and ends the export when
 * that was the last. Errors as of queries, and the store's; what was done stays done. */
int export_run(struct export *export, const struct slice *leaves, size_t n) GLIS_CHECKED;
struct export_result export_result(const struct export *export);
void export_close(struct export *export); /* NULL is allowed */

enum export_restore_phase { RESTORE_VERIFYING, RESTORE_WRITING };
struct restore_progress {
    enum export_restore_phase phase;
    uint64_t files_done, n_files, rows, bytes, total_bytes;
};
struct restore_options {
    struct slice name;                                                     /* of the new table */
    int (*progress)(void *state, const struct restore_progress *progress); /* may be NULL */
    void *progress_state;
};
struct restore_result {
    struct slice id; /* of the new table; in the arena */
    uint64_t rows, files, leaves, bytes;
};
/*
 * Makes a new table of a whole export: schema, properties, tree and rows as they were. Every file
 * is compared with its size and checksum first (GLIS_ECORRUPT and GLIS_ENOTFOUND name the file).
 * The table is made under a name of its own, filled by one commit, and only then gets the name that
 * was asked for; a failure drops it. GLIS_EEXISTS: the name is taken. GLIS_EINVALID: the export is
 * of a part of its table.
 */
int export_restore(struct instance *instance, struct runtime *runtime, struct store *from,
                   const struct restore_options *options, struct arena *arena,
                   struct restore_result *out) GLIS_CHECKED;
/* Drops the tables that restores which died have left longer than glis.gc.orphan.age ago. */
int export_restore_sweep(struct instance *instance, struct runtime *runtime, bool dry_run,
                         uint64_t *n_dropped) GLIS_CHECKED;

#endif
