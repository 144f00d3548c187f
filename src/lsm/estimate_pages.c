/*
 * estimate_pages.c: how many rows of a file have their first key field in a range, by its page
 * index.
 *
 * A sketch of a file is off by up to half a percent of all its rows, which for a slice of one
 * percent is half of it. The column index bounds each page of some hundred rows, and rows are
 * sorted by the first field before all else, so counting pages tells a slice to within one page at
 * each end: of a page that is partly in the range half the rows are taken. Row groups wholly inside
 * or outside are told by the footer, so of a range at most two row groups' indexes are read.
 */
#include "lsm/lsm_int.h"

#include "parquet/parquet.h"

struct page_range {
    const struct parquet_leaf *leaf;
    const struct key_range *range;
    struct arena *arena;
};

enum place { OUTSIDE, INSIDE, ACROSS, NOT_TOLD };

static bool bound_key(const struct page_range *in, bool has, struct slice plain, struct buffer *out)
{
    struct value value;
    buffer_clear(out);
    if (has && parquet_statistic_value(in->leaf, plain, in->arena, &value) == 0 &&
        key_append_value(in->leaf->leaf_type, &value, out) == 0)
        return true;
    error_clear();
    return false;
}

/* Where values between two bounds lie; a bound that was cut is still one. */
static enum place place_of(const struct page_range *in, const struct parquet_statistics *s)
{
    struct buffer min defer_buffer = BUFFER_INIT(64 * (size_t)KEY_BYTES_MAX);
    struct buffer max defer_buffer = BUFFER_INIT(64 * (size_t)KEY_BYTES_MAX);
    const struct key_range *range = in->range;
    if (!bound_key(in, s->has_min, s->min, &min) || !bound_key(in, s->has_max, s->max, &max))
        return NOT_TOLD;
    bool ends_before = slice_compare(buffer_slice(&max), range->min) < 0;
    bool begins_behind = !range->unbounded && slice_compare(buffer_slice(&min), range->max) >= 0;
    if (ends_before || begins_behind) return OUTSIDE;
    bool begins_in = slice_compare(buffer_slice(&min), range->min) >= 0;
    bool ends_in = range->unbounded || slice_compare(buffer_slice(&max), range->max) < 0;
    return begins_in && ends_in ? INSIDE : ACROSS;
}

/* Rows of the pages of a row group, twice as many as there are; -1: not told. */
static int count_pages(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                       const struct page_range *in, uint64_t n_rows, int64_t *twice)
{
    const struct parquet_page_index *index;
    *twice = -1;
    TRY(parquet_reader_page_index(reader, row_group, leaf, &index));
    if (!index || !index->has_statistics) return 0;
    int64_t sum = 0;
    for (uint32_t p = 0; p < index->n_pages; p++) {
        uint64_t first = index->pages[p].first_row;
        uint64_t end = p + 1 < index->n_pages ? index->pages[p + 1].first_row : n_rows;
        enum place place = place_of(in, &index->statistics[p]);
        if (place == NOT_TOLD || first > end) return 0;
        if (place != OUTSIDE) sum += (int64_t)(end - first) * (place == INSIDE ? 2 : 1);
    }
    *twice = sum;
    return 0;
}

int page_rows_estimate(struct parquet_reader *reader, struct slice field,
                       const struct key_range *range, uint64_t *rows)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    int at = schema_find(parquet_reader_schema(reader), field);
    uint32_t leaf = 0;
    uint64_t twice = 0;
    *rows = ROWS_UNKNOWN;
    while (leaf < metadata->n_leaves && (int)metadata->leaves[leaf].field != at)
        leaf++;
    if (at < 0 || leaf == metadata->n_leaves) return 0;
    for (uint32_t g = 0; g < metadata->n_row_groups; g++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        const struct parquet_row_group *group = &metadata->row_groups[g];
        const struct page_range in = {&metadata->leaves[leaf], range, &arena};
        enum place place = place_of(&in, &group->chunks[leaf].statistics);
        int64_t of_pages = (int64_t)group->n_rows * 2;
        if (place == OUTSIDE) continue;
        if (place != INSIDE) TRY(count_pages(reader, g, leaf, &in, group->n_rows, &of_pages));
        if (of_pages < 0) return 0;
        twice += (uint64_t)of_pages;
    }
    *rows = twice / 2;
    return 0;
}
