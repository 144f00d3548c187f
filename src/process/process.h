/*
 * process.h: what happens to rows on their way: filters, aggregations, visibility, iterators.
 *
 * There is one implementation, and ingest, compaction, query and export all put their sorted
 * stream through it; so a row meets the same fate wherever it is met first. What is done is said by
 * the table's properties (struct processing, table.h); when and for whom, by the options. The
 * order is fixed:
 *
 *   filters -> aggregations -> visibility -> table iterator -> query iterator
 *
 * The law is that what a reader sees never depends on which files happened to be merged: a filter
 * looks at one row and at cut-offs that only grow; an aggregation is associative and commutative
 * over rows of equal keys, and null changes nothing in it; visibility is asked of readers only.
 * docs/formats.md ("Processing") describes each to the last bit.
 *
 * Ownership: process_open takes its input, and the stream that it gives is closed by the caller.
 * What the options point to lives as long as the stream.
 */
#ifndef GLIS_PROCESS_PROCESS_H
#define GLIS_PROCESS_PROCESS_H

#include "base/memory.h"
#include "base/runtime.h"
#include "column/column.h"
#include "table/table.h"

/* Rows of a field stay only above this, whatever the filters of now say: the greatest cut-off that
 * a commit to the table has filtered by. */
struct process_cutoff {
    uint32_t field; /* of the table's schema */
    int64_t cutoff_ms;
};

/* What became of rows; added to while the stream runs. */
struct process_counts {
    uint64_t rows_in, rows_out;
    uint64_t rows_aged;       /* left out by filters */
    uint64_t rows_aggregated; /* that became part of another */
    uint64_t rows_hidden;     /* by their labels, those of bad_labels among them */
    uint64_t bad_labels;      /* rows whose label is no expression */
};

/* All zero but now_ms is what a compaction needs. */
struct process_options {
    int64_t now_ms;                       /* of the job or query: the ages are counted to it */
    const struct process_cutoff *cutoffs; /* of the state, one a field at most */
    uint32_t n_cutoffs;
    /* Fields of the table's schema that the input's columns are, ascending, all key fields among
     * them, and all that process_fields names; NULL: all. */
    const uint32_t *fields;
    uint32_t n_fields;
    bool descending; /* rows come so; iterators are then refused */
    /* For a reader: labels are looked at, and these are the terms that hold. */
    bool reading;
    const struct slice *authorisations;
    size_t n_authorisations;
    const char *iterator_folder; /* glis.iterator.folder; NULL or "": there are no iterators */
    int64_t iterator_timeout_ms; /* of a process; 0: 60 s */
    struct slice query_iterator, query_iterator_config; /* after the table's; empty: none */
    struct process_counts *counts;                      /* may be NULL */
};

/* Whether process_open would do anything at all; when not, rows may be counted and copied unseen.
 */
bool process_is_needed(const struct processing *processing, const struct process_options *options)
    __attribute__((pure));
/* Marks the fields of the table's schema (wanted[n_fields]) that the work looks at besides the key
 * fields. What is marked already stays so. */
void process_fields(const struct schema *schema, const struct processing *processing,
                    const struct process_options *options, bool *wanted);

/*
 * The rows of `in` after all that is to be done to them, as batches of the same schema in the same
 * order. `in` is ordered by all key fields of the table, and is taken, also on failure. Of
 * aggregated rows at most one for each key comes. Memory: two batches of the input's size, in
 * `budget`; a group of any number of rows is folded as it comes. Cost: where nothing is left out
 * and no keys are equal, batches pass as they are. GLIS_EINVALID: an iterator that is not there or
 * not allowed, by name; GLIS_EDATA: an iterator gave what does not fit (see iterator.c).
 */
int process_open(struct batch_stream **out, struct runtime *runtime, struct batch_stream *in,
                 const struct processing *processing, const struct process_options *options,
                 struct budget *budget) GLIS_CHECKED;

/* ---- labels ---- */

enum label_result { LABEL_HIDDEN, LABEL_VISIBLE, LABEL_BAD };
enum { LABEL_BYTES_MAX = 64 << 10 }; /* a longer one is bad */
/*
 * Whether a label lets through who holds these terms (sorted by bytes, each once). A label is an
 * expression: terms joined by & or by |, in brackets where both are used: A&(B|C). A term is of
 * A-Z a-z 0-9 _ - . : / or in quotes, with \" and \\ for those two. Blanks between do not count.
 * The empty label is for everybody.
 */
enum label_result label_evaluate(struct slice label, const struct slice *terms, size_t n_terms);

#endif
