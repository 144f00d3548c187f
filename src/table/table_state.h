/*
 * table_state.h: reading the state of a table: its figures and settings, the tree of partitions,
 * files and their references, jobs, pins, and what has been said of ages.
 *
 * A state is what the pure function apply makes of a log (log/log.h). It is immutable once
 * published, reference counted, and cheap to copy: all of its parts are copy-on-write maps
 * (base/map.h). It is had from table.h and may be read by any number of threads.
 *
 * Keys are encoded (column.h). A *field key* is the encoding of one row-key field; a region is one
 * range of field keys for each row-key field. Slices in what a state hands out point into the state
 * and live as long as the caller holds it; what says "in the arena" is a copy.
 */
#ifndef GLIS_TABLE_TABLE_STATE_H
#define GLIS_TABLE_TABLE_STATE_H

#include "base/memory.h"
#include "column/column.h"
#include "table/property.h"
#include "table/table_processing.h"

struct table_state;

/* ---- states ---- */

/* One more hold on a state at hand; the same pointer. */
const struct table_state *table_state_acquire(const struct table_state *state);
void table_state_release(const struct table_state *state);    /* NULL is allowed */
uint64_t table_state_record(const struct table_state *state); /* the last record in it */
int64_t table_state_time_ms(const struct table_state *state); /* that record's */
/* Goes up at reset and restore: work begun before is refused. */
uint64_t table_state_generation(const struct table_state *state);
/* Goes up when what is done to rows changes: files made before are refused. */
uint64_t table_state_processing_version(const struct table_state *state);
uint64_t table_state_version(const struct table_state *state); /* of schema and properties */
/* Files begun below this record can no longer be added. */
uint64_t table_state_horizon(const struct table_state *state);
const struct schema *table_state_schema(const struct table_state *state); /* not acquired */
/* The schema with which files of that schema version were written; NULL when there never was one.
 * */
const struct schema *table_state_schema_at(const struct table_state *state, uint64_t version);
uint64_t table_state_schema_version(const struct table_state *state);
/* A table property: the table's own value, or the default. */
int64_t table_state_number(const struct table_state *state, enum property_id id);
struct slice table_state_text(const struct table_state *state, enum property_id id);
int table_state_settings(const struct table_state *state, struct arena *arena, struct setting **out,
                         size_t *n_out) GLIS_CHECKED;

struct table_figures {
    uint64_t partitions, leaves, files, references, unreferenced_files, jobs, writers;
    uint64_t rows;  /* over all references; estimated ones count as estimated */
    uint64_t bytes; /* of the files with references */
    bool rows_are_exact;
    uint64_t memory_bytes;
};
/* Counts and sums, O(number of 8 KiB chunks). */
struct table_figures table_state_figures(const struct table_state *state);
/* Everything that must hold within a state: tiling of the tree, counts, sums, order. GLIS_ECORRUPT
 * says what does not. */
int table_validate(const struct table_state *state) GLIS_CHECKED;

/* ---- partitions ---- */

/* Field keys from min (inclusive; empty: unbounded) to max (exclusive; see unbounded). */
struct key_range {
    struct slice min, max;
    bool unbounded; /* no max; `max` is empty then */
};
static inline bool key_range_contains(const struct key_range *range, struct slice field_key)
{
    return slice_compare(range->min, field_key) <= 0 &&
           (range->unbounded || slice_compare(field_key, range->max) < 0);
}
static inline bool key_range_overlaps(const struct key_range *a, const struct key_range *b)
{
    return (b->unbounded || slice_compare(a->min, b->max) < 0) &&
           (a->unbounded || slice_compare(b->min, a->max) < 0);
}

struct partition {
    struct slice id, parent; /* parent: empty for the root */
    bool is_leaf;
    uint32_t dimension; /* the row-key field that it is split on; not of a leaf */
    struct slice split; /* field key: left < split <= right */
    struct slice left, right;
    struct key_range *region; /* one a row-key field */
    uint32_t depth;           /* the root has 0 */
};
/* One by id; GLIS_ENOTFOUND. The region lies in the arena, the rest in the state. */
int table_partition(const struct table_state *state, struct slice id, struct arena *arena,
                    struct partition *out) GLIS_CHECKED;

/* A whole tree, laid out for many lookups: nodes in depth-first order, left before right, so
 * leaves come in key order and what is below a node is one run of leaves. In the arena. */
struct partition_node {
    struct slice id;
    uint32_t left, right, parent; /* UINT32_MAX: none */
    uint32_t dimension;
    struct slice split;
    struct key_range *region;
    uint32_t first_leaf, n_leaves; /* a leaf: itself, 1 */
};
struct partition_tree {
    uint32_t n_fields, n_nodes, n_leaves;
    struct partition_node *nodes; /* nodes[0] is the root */
    uint32_t *leaves;             /* node of each leaf, in key order */
    bool first_field_only;        /* every split is on field 0: leaves are runs of the row order */
};
int table_tree(const struct table_state *state, struct arena *arena,
               const struct partition_tree **out) GLIS_CHECKED;
/* The leaf (index into tree->leaves) of a row, from the field keys of its row keys. */
uint32_t partition_tree_leaf(const struct partition_tree *tree, const struct slice *field_keys);
/* The same from an encoded key of at least the row keys. GLIS_ECORRUPT when it is none. */
int partition_tree_leaf_of_key(const struct partition_tree *tree, const struct schema *schema,
                               struct slice key, uint32_t *leaf) GLIS_CHECKED;
/*
 * The deepest disjoint partitions, at most max_references (> 0) of them, that cover every leaf
 * with rows (rows_by_leaf[n_leaves]): nodes in key order with the rows below each, in the arena.
 * From the lowest node that covers all, the one with the most rows is opened again and again.
 * Without rows *n_out is 0.
 */
struct partition_cover {
    uint32_t node;
    uint64_t rows;
};
int partition_tree_cover(const struct partition_tree *tree, const uint64_t *rows_by_leaf,
                         uint32_t max_references, struct arena *arena, struct partition_cover **out,
                         size_t *n_out) GLIS_CHECKED;

/* ---- files and references ---- */

/* The least and the greatest field key of a file, long ones cut outward. */
struct file_bound {
    struct slice min, max;
    bool max_exclusive; /* max was cut: all field keys are below it */
};
enum { FILE_BOUND_BYTES = 64 }; /* longer field keys are cut to this */
/* Cuts exact ends outward, but never out of `range`, in which both lie (may be NULL). In the
 * arena. */
struct file_bound file_bound_cut(struct slice min, struct slice max, const struct key_range *range,
                                 struct arena *arena);
/* Whether a file may hold field keys in the range. */
bool file_bound_overlaps(const struct file_bound *bound, const struct key_range *range);

struct table_file {
    struct slice name; /* data/<begun>-<ulid>.parquet, or a full address (is_foreign) */
    uint64_t size, rows;
    uint8_t checksum[16];      /* XXH3-128 of the whole file, canonical (big-endian) */
    struct file_bound *bounds; /* one a row-key field */
    uint64_t schema_version;
    uint64_t added_record;
    uint64_t gone_record; /* at which the last reference went; 0: it has some */
    int64_t gone_ms;
    uint32_t n_references;
    bool is_foreign;
};
/* One reference: rows of a file that lie in a partition. */
struct table_reference {
    struct slice partition;
    const struct table_file *file; /* in the arena */
    uint64_t rows;
    bool is_exact;     /* rows were counted, not estimated */
    bool is_shared;    /* the file has rows outside this partition */
    bool is_set_aside; /* the file is damaged and was set aside: reading it is GLIS_ECORRUPT */
    struct slice job;  /* assigned to, perhaps no longer (until_ms); empty: to none */
    int64_t until_ms;
};
/* Whether a job has it at a time, which is a state's or a record's. */
static inline bool table_reference_is_assigned(const struct table_reference *reference,
                                               int64_t time_ms)
{
    return reference->job.size && reference->until_ms > time_ms;
}

int table_file(const struct table_state *state, struct slice name, struct arena *arena,
               struct table_file *out) GLIS_CHECKED; /* GLIS_ENOTFOUND */
/* References on one partition, by file name; in the arena. */
int table_references(const struct table_state *state, struct slice partition, struct arena *arena,
                     struct table_reference **out, size_t *n_out) GLIS_CHECKED;
/* Visits every file, or every reference by (partition, file), in order, until visit returns
 * something else than 0, which is returned. What is visited lives for the call. */
int table_each_file(const struct table_state *state,
                    int (*visit)(void *context, const struct table_file *file), void *context)
    GLIS_CHECKED;
int table_each_reference(const struct table_state *state,
                         int (*visit)(void *context, const struct table_reference *reference),
                         void *context) GLIS_CHECKED;

/* What planners look at: partitions with the figures of their references, without the records of
 * the files. Slices point into the state. */
struct reference_figures {
    struct slice file; /* its key in the state, which sorts as names do: table_figures_name */
    uint64_t rows;
    bool is_exact, is_shared, is_set_aside;
    struct slice job; /* empty: to none */
    int64_t until_ms;
};
struct partition_figures {
    struct slice id, parent; /* parent: empty for the root */
    bool is_gone;            /* no such partition: only id is set */
    bool tree_changed;       /* table_changed_partitions: it came, went, or is a leaf no more */
    bool is_leaf;
    struct slice left, right;
    const struct reference_figures *references; /* by file name */
    size_t n_references;
};
/* Visits every partition that has references, in the order of ids, without parent and children; or
 * those that differ between two states, with all that they are in the later one (parts that both
 * states share are not looked at).
 * What is visited lives for the call; stops with visit's code when it is not 0. */
int table_each_partition(const struct table_state *state,
                         int (*visit)(void *context, const struct partition_figures *partition),
                         void *context) GLIS_CHECKED;
int table_changed_partitions(const struct table_state *before, const struct table_state *after,
                             int (*visit)(void *context, const struct partition_figures *partition),
                             void *context) GLIS_CHECKED;
/* One of them; references lie in the arena, or are left out when it is NULL. is_gone when there is
 * no such partition. */
int table_partition_figures(const struct table_state *state, struct slice id, struct arena *arena,
                            struct partition_figures *out) GLIS_CHECKED;
/* The name of a reference's file, in the arena. */
struct slice table_figures_name(const struct reference_figures *reference, struct arena *arena);

/* A leaf that a region meets, with every reference that may hold rows of it: its own and its
 * ancestors' whose file's bounds meet both the leaf and the region; by (depth descending, file
 * name). */
struct table_leaf {
    struct partition partition;
    struct table_reference *references;
    size_t n_references;
};
/* Visits the leaves that a region (one range a row-key field; NULL: everything) meets, in key
 * order, walked from the root; stops with visit's code when it is not 0. With an arena (may be
 * NULL) all of it lies there or in the state; without, a leaf and what it points to live for the
 * call of visit. */
int table_each_leaf(const struct table_state *state, const struct key_range *region,
                    struct arena *arena, int (*visit)(void *context, const struct table_leaf *leaf),
                    void *context) GLIS_CHECKED;
/* The same as an array. */
int table_leaves(const struct table_state *state, const struct key_range *region,
                 struct arena *arena, struct table_leaf **out, size_t *n_out) GLIS_CHECKED;

#endif
