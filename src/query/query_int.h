/*
 * query_int.h: what the files of query/ share.
 *
 *   query_json.c     the JSON form, cursors
 *   query_region.c   regions: canonical form, intervals of row keys
 *   query_plan.c     state, leaves, files
 *   query_file.c     one file: row groups, pages, runs of rows, batches
 *   query_merge.c    answers in order: merging, passes, order of equal keys
 *   query_answer.c   the stream that the caller sees: limit, cursor, time limit
 *   query_cache.c    footers and pages that queries share
 *   query_explain.c  what was looked at, for people and programs
 */
#ifndef GLIS_QUERY_QUERY_INT_H
#define GLIS_QUERY_QUERY_INT_H

#include "query/query.h"

/* ---- regions ---- */

/* An interval of encoded row keys, [min, max), with the regions that lie in it. When `exact`, every
 * row in it is wanted; else a row is wanted when one of the regions takes it. */
struct row_interval {
    struct slice min, max;
    bool unbounded; /* no max */
    bool exact;
    const struct query_region *const *regions;
    size_t n_regions;
};

/* Intervals in ascending order, disjoint. */
struct row_intervals {
    uint32_t n_row_keys;
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
int row_intervals_validate(const struct row_intervals *intervals) GLIS_CHECKED;

/* ---- text ---- */

/* RFC 4648 section 5, without padding. */
int base64url_encode(struct buffer *out, struct slice bytes) GLIS_CHECKED;
int base64url_decode(struct buffer *out, struct slice text) GLIS_CHECKED;

#endif
