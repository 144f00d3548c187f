/*
 * table_processing.h: what a table's properties say is done to its rows: leaving out what is old,
 * making one row of those with equal keys, labels, an iterator; read and checked against the schema
 * here, carried out in process/.
 *
 * The law (docs/formats.md, "Processing") is that a reader gets the same however files were merged
 * before; what would break it is refused when it is set, unless glis.table.inexact allows it. All
 * of this is pure: it reads no clock and no file.
 *
 * Ownership: what is parsed lies in the arena that was given.
 */
#ifndef GLIS_TABLE_TABLE_PROCESSING_H
#define GLIS_TABLE_TABLE_PROCESSING_H

#include "base/buffer.h"
#include "base/memory.h"
#include "column/column.h"

struct table_state;

/* How the rows of equal keys become one, field by field. */
enum aggregation {
    AGGREGATION_NONE, /* key fields */
    AGGREGATION_SUM,
    AGGREGATION_MIN,
    AGGREGATION_MAX,
    AGGREGATION_MAP_SUM, /* maps, key by key */
    AGGREGATION_MAP_MIN,
    AGGREGATION_MAP_MAX,
};
const char *aggregation_name(enum aggregation aggregation); /* "map_sum"; "" for none */

/* Keeps a row while now - value < age_ms: while its value is above the cut-off now - age_ms.
 * Values of LongType are milliseconds since 1970. */
struct age_filter {
    uint32_t field;
    int64_t age_ms;  /* 0 or more */
    bool drop_nulls; /* of a nullable field: what happens to nulls */
};

/* What is done to the rows of a table, as its properties say. Fields are those of its schema. */
struct processing {
    struct age_filter *filters; /* ascending by field, one a field */
    uint32_t n_filters;
    const uint8_t *aggregations; /* enum aggregation of each field; NULL: rows stay as they are */
    int visibility_field;        /* -1: none */
    struct slice iterator, iterator_config; /* empty: none */
    bool inexact;                           /* glis.table.inexact */
    bool is_inexact;                        /* and something here needs it */
};

/* The properties as they are set; empty ones are none. */
struct processing_settings {
    struct slice filters, aggregations, visibility_field, iterator, iterator_config;
    bool inexact;
};

/* Reads the properties against a schema; pure. In the arena. GLIS_EINVALID names property and
 * field; GLIS_EREFUSED: it would not keep the law (docs/formats.md, "Processing"). */
int processing_parse(const struct schema *schema, const struct processing_settings *settings,
                     struct arena *arena, struct processing *out) GLIS_CHECKED;
/* Nothing is done to rows. */
bool processing_is_empty(const struct processing *processing);
/* Appends a line for each field that glis.table.inexact is needed for; for whoever sets it. */
int processing_warn(const struct schema *schema, const struct processing *processing,
                    struct buffer *out) GLIS_CHECKED;

struct processing_of {
    const struct schema *schema;
    const struct processing *processing;
};
/*
 * Whether a table may go from one to the other; pure. Pairs, for a schema may change in the same
 * step. has_references: some file is referenced. GLIS_EREFUSED says what stays while rows are
 * there: aggregations, nulls=drop, the types of sums. *version_goes_up: files made under the old
 * one must not be committed any more (anything but an age has changed).
 */
int processing_check_change(const struct processing_of *old, const struct processing_of *now,
                            bool has_references, bool *version_goes_up) GLIS_CHECKED;
/* now - age, as far as int64 goes. What a commit that filtered carries, for each ageOff field. */
int64_t age_cutoff_ms(int64_t age_ms, int64_t now_ms);
/* What a state's properties say; in the arena. */
int table_state_processing(const struct table_state *state, struct arena *arena,
                           struct processing *out) GLIS_CHECKED;
/* GLIS_EINVALID, with `what` before it, unless it is the name of one file, without any path. */
int iterator_name_check(const char *what, struct slice name) GLIS_CHECKED;

#endif
