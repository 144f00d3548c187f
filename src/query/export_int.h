/*
 * export_int.h: what the files of an export share.
 *
 *   export_plan.c      export.json: what was asked for, of which state; written and read
 *   export_step.c      one leaf into one file, and its outcome
 *   export_manifest.c  manifest.json: written from the outcomes, read by a restore
 *   export.c           the job: begins or goes on, does steps, ends
 *   export_restore.c   an export becomes a new table
 */
#ifndef GLIS_QUERY_EXPORT_INT_H
#define GLIS_QUERY_EXPORT_INT_H

#include "base/hash.h"
#include "base/json.h"
#include "query/query_int.h"

enum {
    EXPORT_VERSION = 1,
    EXPORT_PLAN_BYTES_MAX = 256 << 20,
    EXPORT_OUTCOME_BYTES_MAX = 4 << 20,
    EXPORT_REQUEST_BYTES = HASH128_HEX_BYTES,
};
#define EXPORT_PLAN_KEY     SLICE("export.json")
#define EXPORT_MANIFEST_KEY SLICE("manifest.json")

/* ---- the plan ---- */

/* What export.json says. All of it lies in the arena that it was made or read in. */
struct export_plan {
    struct slice id, job;              /* job: as the user named it; may be empty */
    struct slice table_id, table_name; /* the name as it was at the beginning */
    uint64_t record;                   /* of the state that is exported */
    int64_t now_ms;                    /* the time that filters go by */
    enum output_kind kind;
    struct query query;            /* regions and fields; of the state's schema */
    const struct json *query_json; /* of a plan that was read: before it is resolved */
    struct slice given;            /* the JSON of --query as it was; may be empty */
    struct slice request;          /* hash of what was asked for, hexadecimal */
    bool whole;                    /* every region and field */
};
/* Whether the query leaves nothing out by itself; rows may be hidden by labels all the same. */
bool export_query_is_whole(const struct query *query);
/* The hash of table, form, regions and fields, in the arena. */
int export_plan_request(const struct export_plan *plan, struct arena *arena, struct slice *out)
    GLIS_CHECKED;
int export_plan_write(const struct export_plan *plan, struct buffer *out) GLIS_CHECKED;
/* Everything but the query, for whose names the schema of the state is needed: GLIS_ECORRUPT,
 * GLIS_ENEWER. `text` lives as long as the arena. */
int export_plan_read(struct slice text, struct arena *arena, struct export_plan *out) GLIS_CHECKED;
int export_plan_resolve(struct export_plan *plan, const struct schema *schema, struct arena *arena)
    GLIS_CHECKED;
/* The member "query" of plan and manifest. */
void export_write_query(const struct export_plan *plan, struct json_writer *writer);
/* "parquet", "csv", "jsonl", "arrow"; also the ends of files' names. */
const char *export_kind_name(enum output_kind kind);
int export_kind_parse(const struct json *object, const char *name, enum output_kind *out)
    GLIS_CHECKED;
/* Bytes as base64, as a value of the writer. */
void export_write_bytes(struct json_writer *writer, struct slice bytes);
int export_read_bytes(const struct json *value, struct arena *arena, struct slice *out)
    GLIS_CHECKED;
/* [{"min":base64,"max":base64 or null}, ...] of a region, both ways. */
void export_write_region(struct json_writer *writer, const struct key_range *region, uint32_t n);
int export_read_region(const struct json *value, uint32_t n, struct arena *arena,
                       struct key_range **out) GLIS_CHECKED;

/* ---- steps ---- */

/* A leaf that the query meets; its number is its place among all of those, in key order. */
struct export_leaf {
    uint32_t number;
    struct slice id;
    struct key_range *region;
    uint64_t rows; /* of its references; perhaps estimated, and before the query's regions */
};

/* What came of a step. */
struct export_outcome {
    struct slice leaf, file; /* the object's key; empty: the leaf has no rows */
    uint64_t rows, bytes;
    uint64_t hidden;         /* rows that the reader may not see by their labels */
    struct slice checksum;   /* XXH3-128, hexadecimal */
    struct slice *min, *max; /* the least and greatest value of each row key, as text */
};
struct slice export_step_key(uint32_t number, struct arena *arena);
int export_outcome_write(const struct export_outcome *outcome, uint32_t n_row_keys,
                         struct buffer *out) GLIS_CHECKED;
int export_outcome_read(const struct json *json, uint32_t n_row_keys, struct arena *arena,
                        struct export_outcome *out) GLIS_CHECKED;

/* What the steps of one process share. */
struct export_work {
    struct query_engine *engine;
    struct table *table;
    struct store *to;
    const struct export_plan *plan;
    const struct table_state *state;
    int (*tell)(void *state, uint64_t rows, uint64_t bytes); /* of this step so far */
    void *tell_state;
};
/* Does the step, unless somebody has; *out is whoever's outcome was first, in the arena. *ended:
 * the whole export was ended meanwhile. */
int export_leaf_write(const struct export_work *work, const struct export_leaf *leaf,
                      struct arena *arena, bool *ended, struct export_outcome *out) GLIS_CHECKED;
/* The outcome, when there is one. */
int export_outcome_find(const struct export_work *work, const struct export_leaf *leaf,
                        struct arena *arena, bool *found, struct export_outcome *out) GLIS_CHECKED;

/* ---- the manifest ---- */

int export_manifest_write(const struct export_work *work, const struct export_leaf *leaves,
                          const struct export_outcome *outcomes, size_t n, struct buffer *out)
    GLIS_CHECKED;

/* What a restore needs of a manifest; in the arena, but the schema, which the reader releases. */
struct export_manifest {
    struct slice id, table_name;
    uint64_t record, rows, bytes;
    bool whole;
    enum output_kind kind;
    struct schema *schema;
    struct setting *settings;
    size_t n_settings;
    struct export_node {
        uint32_t dimension, left, right; /* 0: a leaf */
        struct slice split;
    } * nodes; /* depth first, the root first */
    size_t n_nodes, n_leaves;
    struct export_file {
        struct slice key, checksum;
        uint64_t rows, bytes;
        uint32_t leaf; /* its number in key order */
    } * files;
    size_t n_files;
};
/* GLIS_ENOTFOUND when there is none, GLIS_ECORRUPT. */
int export_manifest_read(struct store *store, struct arena *arena, struct export_manifest *out)
    GLIS_CHECKED;

#endif
