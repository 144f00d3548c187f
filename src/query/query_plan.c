/*
 * query_plan.c: from a query and a state to the files that must be read, in order.
 *
 * The tree is walked from the root with the box around all regions; a leaf that none of the regions
 * meets is dropped. Of a leaf's references (its own and its ancestors') those stay whose file's
 * bounds meet a region. A file that also has rows outside the leaf is read with the regions cut to
 * the leaf, so each row comes from exactly one leaf. A file wholly inside one region needs no
 * search at all, and a count takes it from the state.
 *
 * Units: the files of one leaf, when leaves follow each other in key order. When they do not (the
 * tree is split on later fields too) and order was asked for, leaves whose first fields overlap
 * share a unit. Without order each file is a unit of its own, unless what is done to rows wants the
 * order of each leaf.
 */
#include "query/query_int.h"

#include <stdlib.h>

enum { LOOKUP_INTERVALS_MAX = 64 };

struct planned_leaf {
    struct key_range first; /* region of the first field */
    struct scan_input *inputs;
    size_t n_inputs;
};

struct planner {
    struct scan *scan;
    const struct table *table;
    const struct query *query;
    const struct query_region *regions; /* cut at the cursor */
    size_t n_regions;
    struct arena *arena;
    struct planned_leaf *leaves;
    size_t n_leaves, capacity;
};

/* ---- files ---- */

/* Whether all field keys within the bounds lie in the ranges. */
static bool bounds_inside(const struct file_bound *bounds, const struct key_range *ranges,
                          uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (slice_compare(bounds[i].min, ranges[i].min) < 0) return false;
        if (ranges[i].unbounded) continue;
        int c = slice_compare(bounds[i].max, ranges[i].max);
        if (c > 0 || (c == 0 && !bounds[i].max_exclusive)) return false;
    }
    return true;
}

static bool bounds_meet(const struct file_bound *bounds, const struct key_range *ranges, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!file_bound_overlaps(&bounds[i], &ranges[i])) return false;
    return true;
}

/* The regions that meet the leaf, and the intervals of two kinds of file, made when first needed.
 */
struct leaf_regions {
    const struct table_leaf *leaf;
    const struct query_region **regions;
    size_t n_regions;
    struct row_intervals *own, *cut; /* files wholly inside the leaf, and others */
};

static void clip_at_cursor(const struct planner *planner, struct row_intervals *intervals)
{
    const struct query *query = planner->query;
    if (query->has_after)
        row_intervals_clip(intervals, query->after.key, query->reverse, planner->scan->n_keys,
                           planner->arena);
}

static const struct row_intervals *intervals_for(const struct planner *planner,
                                                 struct leaf_regions *leaf, bool inside_leaf)
{
    struct row_intervals **slot = inside_leaf ? &leaf->own : &leaf->cut;
    if (*slot) return *slot;
    uint32_t n = planner->scan->n_row_keys;
    struct query_region *regions =
        ARENA_ARRAY(planner->arena, struct query_region, leaf->n_regions);
    for (size_t i = 0; i < leaf->n_regions; i++) {
        if (inside_leaf)
            regions[i] = *leaf->regions[i];
        else
            (void)region_intersect(leaf->regions[i], leaf->leaf->partition.region, n,
                                   planner->arena, &regions[i]);
    }
    *slot = ARENA_NEW(planner->arena, struct row_intervals);
    row_intervals_make(regions, leaf->n_regions, n, planner->arena, *slot);
    clip_at_cursor(planner, *slot);
    /* A lookup holds them against the filters of all files. */
    for (size_t i = 0; i < (*slot)->n_items && (*slot)->n_items <= LOOKUP_INTERVALS_MAX; i++)
        row_interval_find_values(&(*slot)->items[i], planner->scan->table_schema, planner->arena);
    return *slot;
}

static int add_file(const struct planner *planner, struct leaf_regions *leaf,
                    const struct table_reference *reference, struct planned_leaf *out)
{
    const struct table_file *file = reference->file;
    struct scan *scan = planner->scan;
    uint32_t n = scan->n_row_keys;
    bool meets = false, whole = false;
    SCAN_COUNT(scan, files, 1);
    bool inside_leaf = bounds_inside(file->bounds, leaf->leaf->partition.region, n);
    for (size_t i = 0; i < leaf->n_regions && !whole; i++) {
        meets = meets || bounds_meet(file->bounds, leaf->regions[i]->ranges, n);
        whole = inside_leaf && !planner->query->has_after &&
                bounds_inside(file->bounds, leaf->regions[i]->ranges, n);
    }
    const struct row_intervals *intervals =
        meets || whole ? intervals_for(planner, leaf, inside_leaf) : NULL;
    if (!intervals || intervals->n_items == 0 || file->rows == 0) {
        SCAN_COUNT(scan, files_skipped_bounds, 1);
        return 0;
    }
    if (reference->is_set_aside)
        return error_set(GLIS_ECORRUPT,
                         "file '%.*s' is damaged and was set aside; its rows cannot be read",
                         SLICE_PRINT(file->name));
    struct scan_input *input = &out->inputs[out->n_inputs++];
    *input = (struct scan_input){
        .file = file->name,
        .object_key = table_file_key_of(planner->table, file, planner->arena),
        .size = file->size,
        .rows = file->rows,
        .schema_version = file->schema_version,
        .bounds = file->bounds,
        .leaf = leaf->leaf->partition.id,
        .whole = whole,
        .intervals = intervals,
    };
    return 0;
}

/* ---- leaves ---- */

static int visit_leaf(void *context, const struct table_leaf *leaf)
{
    struct planner *planner = context;
    uint32_t n = planner->scan->n_row_keys;
    struct leaf_regions regions = {.leaf = leaf};
    regions.regions = ARENA_ARRAY(planner->arena, const struct query_region *, planner->n_regions);
    for (size_t i = 0; i < planner->n_regions; i++) {
        bool meets = true;
        for (uint32_t f = 0; f < n && meets; f++)
            meets = key_range_overlaps(&planner->regions[i].ranges[f], &leaf->partition.region[f]);
        if (meets) regions.regions[regions.n_regions++] = &planner->regions[i];
    }
    if (regions.n_regions == 0) return 0;
    SCAN_COUNT(planner->scan, leaves, 1);
    ARENA_GROW(planner->arena, planner->leaves, planner->n_leaves, planner->capacity);
    struct planned_leaf *out = &planner->leaves[planner->n_leaves++];
    *out = (struct planned_leaf){
        .first = leaf->partition.region[0],
        .inputs = ARENA_ARRAY(planner->arena, struct scan_input, leaf->n_references)};
    for (size_t i = 0; i < leaf->n_references; i++)
        TRY(add_file(planner, &regions, &leaf->references[i], out));
    return scan_check(planner->scan);
}

/* ---- units ---- */

static bool leaves_in_order(const struct planned_leaf *leaves, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (leaves[i - 1].first.unbounded ||
            slice_compare(leaves[i - 1].first.max, leaves[i].first.min) > 0)
            return false;
    return true;
}

static int compare_leaves(const void *a, const void *b)
{
    const struct planned_leaf *x = a, *y = b;
    return slice_compare(x->first.min, y->first.min);
}

/* Leaves whose first fields overlap, as one. */
static void join_leaves(struct planner *planner)
{
    struct planned_leaf *leaves = planner->leaves;
    size_t n = planner->n_leaves, n_out = 0;
    qsort(leaves, n, sizeof *leaves, compare_leaves);
    for (size_t i = 0; i < n;) {
        struct key_range range = leaves[i].first;
        size_t end = i, total = 0;
        while (end < n && (end == i || range.unbounded ||
                           slice_compare(leaves[end].first.min, range.max) < 0)) {
            const struct key_range *first = &leaves[end].first;
            if (first->unbounded ||
                (!range.unbounded && slice_compare(first->max, range.max) > 0)) {
                range.max = first->max;
                range.unbounded = range.unbounded || first->unbounded;
            }
            total += leaves[end++].n_inputs;
        }
        struct scan_input *inputs = ARENA_ARRAY(planner->arena, struct scan_input, total);
        size_t at = 0;
        for (; i < end; i++) {
            if (leaves[i].n_inputs)
                memcpy(inputs + at, leaves[i].inputs, leaves[i].n_inputs * sizeof *inputs);
            at += leaves[i].n_inputs;
        }
        leaves[n_out++] = (struct planned_leaf){range, inputs, total};
    }
    planner->n_leaves = n_out;
}

static void make_units(const struct planner *planner, bool merged, struct query_plan *out)
{
    size_t n = 0;
    for (size_t i = 0; i < planner->n_leaves; i++)
        n += merged ? planner->leaves[i].n_inputs > 0 : planner->leaves[i].n_inputs;
    out->units = ARENA_ARRAY(planner->arena, struct scan_unit, n);
    for (size_t i = 0; i < planner->n_leaves; i++) {
        const struct planned_leaf *leaf = &planner->leaves[i];
        size_t step = merged ? leaf->n_inputs : 1;
        for (size_t k = 0; k < leaf->n_inputs; k += step)
            out->units[out->n_units++] = (struct scan_unit){leaf->inputs + k, step};
    }
    if (!planner->scan->descending) return;
    for (size_t i = 0; i < out->n_units / 2; i++) {
        struct scan_unit unit = out->units[i];
        out->units[i] = out->units[out->n_units - 1 - i];
        out->units[out->n_units - 1 - i] = unit;
    }
}

/* The regions without what lies before the cursor in the first field. */
static int cut_regions(struct planner *planner)
{
    const struct query *query = planner->query;
    planner->regions = query->regions;
    planner->n_regions = query->n_regions;
    if (!query->has_after) return 0;
    size_t size;
    struct slice next;
    if (key_fields_size(planner->scan->table_schema, query->after.key, 1, &size) < 0)
        return error_set(GLIS_EINVALID, "after: the key is none of this table");
    uint32_t n = planner->scan->n_row_keys;
    struct slice first = slice_part(query->after.key, 0, size);
    struct key_range *ranges = ARENA_ARRAY(planner->arena, struct key_range, n);
    for (uint32_t i = 0; i < n; i++)
        ranges[i].unbounded = true;
    if (!query->reverse)
        ranges[0].min = first;
    else if (key_successor(first, planner->arena, &next))
        ranges[0] = (struct key_range){.max = next};
    struct query_region *regions =
        ARENA_ARRAY(planner->arena, struct query_region, query->n_regions);
    planner->n_regions = 0;
    for (size_t i = 0; i < query->n_regions; i++)
        planner->n_regions += region_intersect(&query->regions[i], ranges, n, planner->arena,
                                               &regions[planner->n_regions]);
    planner->regions = regions;
    return 0;
}

int query_plan_make(struct scan *scan, const struct table *table, const struct query *query,
                    const struct plan_wishes *wishes, struct arena *arena, struct query_plan *out)
{
    struct planner planner = {.scan = scan, .table = table, .query = query, .arena = arena};
    struct query_region hull;
    *out = (struct query_plan){.in_key_order = true};
    TRY(cut_regions(&planner));
    regions_hull(planner.regions, planner.n_regions, scan->n_row_keys, arena, &hull);
    bool any = false;
    for (size_t i = 0; i < planner.n_regions && !any; i++)
        any = !region_is_empty(&planner.regions[i], scan->n_row_keys);
    if (!any) return 0;
    TRY(table_each_leaf(scan->state, hull.ranges, arena, visit_leaf, &planner));
    bool in_order = leaves_in_order(planner.leaves, planner.n_leaves);
    if (wishes->ordered && !in_order) join_leaves(&planner);
    out->in_key_order = wishes->ordered || in_order;
    bool merged = (out->in_key_order && !query->count_only) || wishes->leaf_ordered;
    make_units(&planner, merged, out);
    return 0;
}
