/*
 * glis_iterator.h: plug-ins through which the rows of a table or a query pass.
 *
 * A plug-in is a shared object in the folder that the instance's property glis.iterator.folder
 * names; its name ends in ".so". A table names it in glis.table.iterator, a query with --iterator
 * or "queryTimeIteratorClassName". It exports one function, glis_iterator_open, which takes a
 * stream of rows and gives another one (the Arrow C stream interface).
 *
 * What comes in: rows of the table's schema in the order of its row keys and sort keys; the key
 * fields are the first columns. What goes out: batches of the same columns (names, order and
 * types), rows ascending by the same keys. Rows may be left out, changed, joined or added; keys may
 * change as long as the order holds and rows stay within the partition that is being written. Glis
 * checks schema, order and every value, and ends the work with an error that names the plug-in when
 * they do not fit.
 *
 * A table's iterator sees rows more than once: at ingest, in each compaction, in each query; and
 * each time together with other rows. What a reader sees must not depend on that: it is the plug-in
 * writer's responsibility that f(f(a) + b) = f(a + b), in any grouping.
 *
 * The plug-in runs inside the process of Glis, as trusted as Glis itself. Streams are used by one
 * thread at a time, several streams by several threads.
 */
#ifndef GLIS_ITERATOR_H
#define GLIS_ITERATOR_H

#include "glis.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GLIS_ITERATOR_VERSION 1

/* What the plug-in is told. A later version adds members at the end and raises `version`. */
struct glis_iterator_call {
    uint32_t version;    /* GLIS_ITERATOR_VERSION of the Glis that calls */
    uint32_t n_row_keys; /* the first columns; then come as many as */
    uint32_t n_sort_keys;
    const char
        *config; /* glis.table.iterator.config, or the query's; NUL-terminated, maybe empty */
};

/*
 * The entry point. Takes `in`, also on failure: it must be released some time, and may be handed on
 * (*out = *in). Fills in *out, which Glis releases. 0, or an errno value with a text for people in
 * error[0 .. error_size-1], NUL-terminated. `call` and what it points to live as long as *out.
 */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int glis_iterator_open(const struct glis_iterator_call *call, struct ArrowArrayStream *in,
                       struct ArrowArrayStream *out, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif
#endif
