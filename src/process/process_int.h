/*
 * process_int.h: what the files of process/ share.
 *
 *   process.c           the stages in their order
 *   age_filter.c        filters
 *   aggregate.c         groups of equal keys, also across batches
 *   aggregate_column.c  many values into one: sums, least and greatest
 *   aggregate_map.c     the same for maps, key by key
 *   visibility.c        labels
 *   iterator.c          plug-ins: where they may lie, and what they may give
 *   iterator_library.c  those that are shared objects
 *   iterator_process.c  those that are programs
 */
#ifndef GLIS_PROCESS_PROCESS_INT_H
#define GLIS_PROCESS_PROCESS_INT_H

#include "process/process.h"

/* A stage takes its input, also on failure. */
int age_filter_open(struct batch_stream **out, struct batch_stream *in,
                    const struct processing *processing, const struct process_options *options,
                    struct budget *budget) GLIS_CHECKED;
int aggregate_open(struct batch_stream **out, struct batch_stream *in,
                   const struct processing *processing, const struct process_options *options,
                   struct budget *budget) GLIS_CHECKED;
int visibility_open(struct batch_stream **out, struct batch_stream *in,
                    const struct processing *processing, const struct process_options *options,
                    struct budget *budget) GLIS_CHECKED;

/* The column of a field of the table's schema in the input; -1 when it is not there. */
int process_column_of(const struct process_options *options, uint32_t field);
/* The field of the table's schema that a column of the input is. */
static inline uint32_t process_field_of(const struct process_options *options, uint32_t column)
{
    return options->fields ? options->fields[column] : column;
}

/* The rows of a batch that keep[] marks, *out = NULL for none: the batch itself, a slice or a copy.
 * Takes the batch, also on failure. */
int process_select(struct batch *batch, const uint8_t *keep, struct budget *budget,
                   struct batch **out) GLIS_CHECKED;

/* ---- aggregation of columns ---- */

/*
 * Runs of entries that each become one: run i is entries order[starts[i]] .. order[starts[i+1] -
 * 1], or, with order NULL, starts[i] .. starts[i+1] - 1 themselves; none is empty.
 */
struct runs {
    const uint32_t *order; /* NULL: as they lie */
    const uint32_t *starts;
    int64_t n; /* starts has n + 1 */
};

/* One entry for each run by SUM, MIN or MAX, of a scalar column. The order within a run is that in
 * which sums are made. */
int aggregate_column(struct column *out, const struct column *column, enum aggregation aggregation,
                     const struct runs *runs, struct budget *budget) GLIS_CHECKED;
/* The same for maps by MAP_SUM, MAP_MIN, MAP_MAX; runs as they lie. Entries of every map come in
 * the order of their keys, none twice. */
int aggregate_map_column(struct column *out, const struct column *column,
                         enum aggregation aggregation, const struct runs *runs,
                         struct budget *budget) GLIS_CHECKED;
/* Whether every map has its entries in the order of their keys, none twice. */
bool map_column_is_normal(const struct column *column);

/* Makes -0 a 0 and every NaN the same one, of a real column or of the keys and values of a map
 * (others are left alone), copying only where there is something to change. */
int normalise_reals(struct column *column, struct budget *budget) GLIS_CHECKED;

/* ---- iterators ---- */

enum { ITERATOR_TIMEOUT_MS = 60000 };

struct iterator_call {
    const char *what;          /* the property or option that names it, for messages */
    struct slice name, config; /* config.data is NUL-terminated for those below iterator_open */
    const char *folder;
    int64_t timeout_ms;
    struct runtime *runtime;
    struct budget *budget;
};

/* The failure of a plug-in's input, set before the plug-in hears of it. */
struct iterator_failure {
    bool failed;
    struct error_detail detail;
};

/* Finds the plug-in, and puts the rows through it. Takes `in`, as all of these. */
int iterator_open(struct batch_stream **out, struct batch_stream *in,
                  const struct iterator_call *call) GLIS_CHECKED;
/* One kind each; what they give is not checked yet. */
int iterator_library_open(struct batch_stream **out, struct batch_stream *in, const char *path,
                          const struct iterator_call *call) GLIS_CHECKED;
int iterator_process_open(struct batch_stream **out, struct batch_stream *in, const char *path,
                          const struct iterator_call *call) GLIS_CHECKED;

#endif
