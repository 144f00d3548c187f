/*
 * query_region.c: regions of the row-key space, and the runs of row keys that they mean.
 *
 * A region is one range [min, max) of field keys for each row-key field. Rows are sorted by the
 * whole row key, so only a part of a region's shape can be used to find them: as long as the ranges
 * of the first fields hold one value each, they form a common prefix; the first range that is wider
 * bounds what follows; all later ranges can only be checked row by row. That gives each region one
 * interval of encoded row keys, with or without a check.
 *
 * Intervals of several regions are sorted and those that meet are joined, so that rows come once
 * and in order however regions overlap. A joined interval is exact when all its regions are, for
 * then it is just their union. Cost: n log n comparisons for n regions; a row in an interval that
 * is not exact costs one test for each of its regions.
 *
 * Field keys are prefix-free (column.h), so a range of one value is [k, successor of k).
 */
#include "query/query_int.h"

#include <stdlib.h>

bool region_intersect(const struct query_region *a, const struct key_range *b, uint32_t n_fields,
                      struct arena *arena, struct query_region *out)
{
    out->ranges = ARENA_ARRAY(arena, struct key_range, n_fields);
    for (uint32_t i = 0; i < n_fields; i++) {
        const struct key_range *x = &a->ranges[i], *y = &b[i];
        struct key_range *to = &out->ranges[i];
        to->min = slice_compare(x->min, y->min) >= 0 ? x->min : y->min;
        to->unbounded = x->unbounded && y->unbounded;
        if (x->unbounded)
            to->max = y->max;
        else if (y->unbounded)
            to->max = x->max;
        else
            to->max = slice_compare(x->max, y->max) <= 0 ? x->max : y->max;
    }
    return !region_is_empty(out, n_fields);
}

bool region_is_empty(const struct query_region *region, uint32_t n_fields)
{
    for (uint32_t i = 0; i < n_fields; i++) {
        const struct key_range *range = &region->ranges[i];
        if (!range->unbounded && slice_compare(range->min, range->max) >= 0) return true;
    }
    return false;
}

bool region_contains(const struct query_region *region, const struct slice *field_keys,
                     uint32_t n_fields)
{
    for (uint32_t i = 0; i < n_fields; i++)
        if (!key_range_contains(&region->ranges[i], field_keys[i])) return false;
    return true;
}

bool row_interval_takes(const struct row_interval *interval, const struct slice *field_keys,
                        uint32_t n_fields)
{
    if (interval->exact) return true;
    for (size_t i = 0; i < interval->n_regions; i++)
        if (region_contains(interval->regions[i], field_keys, n_fields)) return true;
    return false;
}

static struct slice join(struct slice a, struct slice b, struct arena *arena)
{
    if (a.size == 0) return b;
    if (b.size == 0) return a;
    char *text = arena_alloc(arena, a.size + b.size);
    memcpy(text, a.data, a.size);
    memcpy(text + a.size, b.data, b.size);
    return slice_make(text, a.size + b.size);
}

/* One value: the range ends directly behind it. */
static bool is_single(const struct key_range *range, struct arena *arena)
{
    struct slice next;
    if (range->min.size == 0) return false;
    if (!key_successor(range->min, arena, &next)) return range->unbounded;
    return !range->unbounded && slice_equal(range->max, next);
}

static bool is_all(const struct key_range *range)
{
    return range->unbounded && range->min.size == 0;
}

static void interval_of_region(const struct query_region *region, uint32_t n_fields,
                               struct arena *arena, struct row_interval *out)
{
    struct slice prefix = SLICE_EMPTY;
    uint32_t i = 0;
    while (i < n_fields && is_single(&region->ranges[i], arena))
        prefix = join(prefix, region->ranges[i++].min, arena);
    struct key_range all = {.unbounded = true};
    const struct key_range *range = i < n_fields ? &region->ranges[i] : &all;
    out->min = join(prefix, range->min, arena);
    if (range->unbounded)
        out->unbounded = !key_successor(prefix, arena, &out->max);
    else
        out->max = join(prefix, range->max, arena);
    out->exact = true;
    for (uint32_t k = i + 1; k < n_fields; k++)
        out->exact &= is_all(&region->ranges[k]);
}

/* A region's own interval, for sorting. */
struct region_interval {
    struct row_interval interval;
    const struct query_region *region;
};

static int compare_intervals(const void *a, const void *b)
{
    const struct region_interval *x = a, *y = b;
    return slice_compare(x->interval.min, y->interval.min);
}

/* An empty max after a bound that was cut away means "before everything": such intervals are empty.
 */
static bool interval_is_empty(const struct row_interval *interval)
{
    return !interval->unbounded && slice_compare(interval->min, interval->max) >= 0;
}

void row_intervals_make(const struct query_region *regions, size_t n_regions, uint32_t n_fields,
                        struct arena *arena, struct row_intervals *out)
{
    struct region_interval *sorted = ARENA_ARRAY(arena, struct region_interval, n_regions);
    size_t n = 0;
    for (size_t i = 0; i < n_regions; i++) {
        if (region_is_empty(&regions[i], n_fields)) continue;
        sorted[n].region = &regions[i];
        interval_of_region(&regions[i], n_fields, arena, &sorted[n].interval);
        n += !interval_is_empty(&sorted[n].interval);
    }
    if (n) qsort(sorted, n, sizeof *sorted, compare_intervals);
    const struct query_region **of_intervals = ARENA_ARRAY(arena, const struct query_region *, n);
    *out = (struct row_intervals){.n_fields = n_fields,
                                  .n_keys = n_fields,
                                  .items = ARENA_ARRAY(arena, struct row_interval, n)};
    for (size_t i = 0; i < n; i++) {
        of_intervals[i] = sorted[i].region;
        const struct row_interval *next = &sorted[i].interval;
        struct row_interval *last = out->n_items ? &out->items[out->n_items - 1] : NULL;
        /* Intervals that only touch are joined when both are exact; that saves searches. */
        int c = !last ? -1 : last->unbounded ? 1 : slice_compare(last->max, next->min);
        if (c < 0 || (c == 0 && !(last->exact && next->exact))) {
            out->items[out->n_items] = *next;
            out->items[out->n_items].regions = &of_intervals[i];
            out->items[out->n_items].values = NULL;
            out->items[out->n_items++].n_regions = 1;
            continue;
        }
        last->n_regions++;
        last->exact &= next->exact;
        if (last->unbounded) continue;
        if (next->unbounded || slice_compare(next->max, last->max) > 0) {
            last->max = next->max;
            last->unbounded = next->unbounded;
        }
    }
}

void regions_hull(const struct query_region *regions, size_t n_regions, uint32_t n_fields,
                  struct arena *arena, struct query_region *out)
{
    out->ranges = ARENA_ARRAY(arena, struct key_range, n_fields);
    bool first = true;
    for (size_t r = 0; r < n_regions; r++) {
        if (region_is_empty(&regions[r], n_fields)) continue;
        for (uint32_t i = 0; i < n_fields; i++) {
            const struct key_range *from = &regions[r].ranges[i];
            struct key_range *to = &out->ranges[i];
            if (first) {
                *to = *from;
                continue;
            }
            if (slice_compare(from->min, to->min) < 0) to->min = from->min;
            if (to->unbounded || (!from->unbounded && slice_compare(from->max, to->max) <= 0))
                continue;
            to->max = from->max;
            to->unbounded = from->unbounded;
        }
        first = false;
    }
}

void row_intervals_clip(struct row_intervals *intervals, struct slice key, bool descending,
                        uint32_t n_keys, struct arena *arena)
{
    size_t n = 0;
    struct slice after;
    bool has_after = key_successor(key, arena, &after);
    intervals->n_keys = n_keys;
    for (size_t i = 0; i < intervals->n_items; i++) {
        struct row_interval item = intervals->items[i];
        if (!descending && slice_compare(item.min, key) < 0) item.min = key;
        if (descending && has_after && (item.unbounded || slice_compare(after, item.max) < 0)) {
            item.max = after;
            item.unbounded = false;
        }
        if (!interval_is_empty(&item)) intervals->items[n++] = item;
    }
    intervals->n_items = n;
}

bool key_range_is_one(const struct key_range *range)
{
    struct slice min = range->min;
    while (min.size && (uint8_t)min.data[min.size - 1] == 0xff)
        min.size--;
    if (range->min.size == 0 || min.size == 0) return range->min.size > 0 && range->unbounded;
    return !range->unbounded && range->max.size == min.size &&
           memcmp(range->max.data, min.data, min.size - 1) == 0 &&
           (uint8_t)range->max.data[min.size - 1] == (uint8_t)min.data[min.size - 1] + 1;
}

int row_intervals_validate(const struct row_intervals *intervals)
{
    for (size_t i = 0; i < intervals->n_items; i++) {
        const struct row_interval *item = &intervals->items[i];
        if (interval_is_empty(item)) return error_set(GLIS_ECORRUPT, "interval %zu is empty", i);
        if (item->n_regions == 0) return error_set(GLIS_ECORRUPT, "interval %zu has no region", i);
        if (i == 0) continue;
        const struct row_interval *before = &intervals->items[i - 1];
        if (before->unbounded || slice_compare(before->max, item->min) > 0)
            return error_set(GLIS_ECORRUPT, "interval %zu meets the one before", i);
    }
    return 0;
}
