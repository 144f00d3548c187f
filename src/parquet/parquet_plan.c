/*
 * parquet_plan.c: a plan of reads: which bytes of a file are needed for rows that are known
 * beforehand, asked of the store in one call.
 *
 * Row groups, rows and fields are added; by the offset indexes they become the ranges of pages that
 * hold them (with the dictionaries), or whole chunks. Ranges that lie near each other become one
 * request: the gap between them is read along where it is at most `gap_bytes`, and a request grows
 * to `request_bytes` (a range that is larger alone is one request all the same). What the reader
 * has in memory since it was opened, the end of the file, is not asked for again. After the fetch,
 * reads of the same rows by this plan find their bytes there.
 *
 * A plan may be begun long before it is fetched: its requests are under way meanwhile, which is how
 * streams read ahead.
 *
 * On an object store the time of a lookup is the number of calls that wait for each other; each
 * takes tens of milliseconds, however many ranges it asks for.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

enum {
    GAP_BYTES = 64 << 10,
    REQUEST_BYTES = 16 << 20,
    AHEAD_REQUEST_BYTES = 8 << 20,
    /* One in so many bytes of the budget may be what all plans have asked for before it is needed:
     * the rest is for what is made of it, which cannot do with less. */
    AWAITED_SHARE = 4,
    AHEAD_SHARE = 8,
};

struct parquet_plan {
    struct parquet_reader *reader;
    struct budget *budget;
    uint64_t gap_bytes, request_bytes;
    struct parquet_range *wanted, *requests; /* wanted: as added */
    uint32_t n_wanted, room, n_requests;
    bool is_joined;
    uint64_t ahead_bytes;          /* of the budget, by budget_try_ahead */
    struct store_read *reads;      /* one a request; NULL: not asked for */
    struct store_reading *reading; /* under way; NULL: not begun, or all is here */
};

struct parquet_plan *parquet_plan_new(struct parquet_reader *reader, uint64_t gap_bytes,
                                      uint64_t request_bytes, struct budget *budget)
{
    struct parquet_plan *plan = memory_alloc_zero(sizeof *plan);
    plan->reader = reader;
    plan->budget = budget;
    plan->gap_bytes = gap_bytes ? gap_bytes : GAP_BYTES;
    plan->request_bytes = request_bytes ? request_bytes : REQUEST_BYTES;
    return plan;
}

void parquet_plan_free(struct parquet_plan *plan)
{
    if (!plan) return;
    if (plan->reading)
        store_read_drop(plan->reading);
    else if (plan->reads)
        store_read_release(plan->reads, plan->n_requests);
    budget_end_ahead(plan->budget, plan->ahead_bytes);
    free(plan->reads);
    free(plan->wanted);
    free(plan->requests);
    free(plan);
}

static void add_range(struct parquet_plan *plan, uint64_t begin, uint64_t end)
{
    if (begin >= end || begin >= plan->reader->tail_offset) return;
    if (plan->n_wanted == plan->room) {
        plan->room = plan->room ? 2 * plan->room : 16;
        plan->wanted = memory_realloc(plan->wanted, plan->room * sizeof *plan->wanted);
    }
    plan->wanted[plan->n_wanted++] = (struct parquet_range){begin, end - begin};
    plan->is_joined = false;
}

int parquet_plan_add(struct parquet_plan *plan, uint32_t row_group, const uint32_t *fields,
                     uint32_t n_fields, uint64_t first, uint64_t n)
{
    ASSERT(!plan->reads);
    ASSERT(row_group < plan->reader->metadata.n_row_groups);
    if (n == 0) return 0;
    for (uint32_t f = 0; f < n_fields; f++) {
        const struct node *node = &plan->reader->nodes[fields[f]];
        for (uint32_t l = 0; l < node->n_leaves; l++) {
            uint64_t ranges[4];
            TRY(rows_leaf_ranges(plan->reader, row_group, node->leaf + l, first, first + n,
                                 ranges));
            add_range(plan, ranges[0], ranges[1]);
            add_range(plan, ranges[2], ranges[3]);
        }
    }
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct parquet_range *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void join(struct parquet_plan *plan)
{
    if (plan->is_joined) return;
    qsort(plan->wanted, plan->n_wanted, sizeof *plan->wanted, by_offset);
    plan->requests = memory_realloc(plan->requests, (plan->n_wanted + 1) * sizeof *plan->requests);
    plan->n_requests = 0;
    for (uint32_t i = 0; i < plan->n_wanted; i++) {
        const struct parquet_range *range = &plan->wanted[i];
        uint64_t end = range->offset + range->size;
        struct parquet_range *last =
            plan->n_requests ? &plan->requests[plan->n_requests - 1] : NULL;
        uint64_t last_end = last ? last->offset + last->size : 0;
        if (last && end <= last_end) continue;
        if (last && range->offset <= last_end + plan->gap_bytes &&
            end - last->offset <= plan->request_bytes)
            last->size = end - last->offset;
        else
            plan->requests[plan->n_requests++] = *range;
    }
    plan->is_joined = true;
}

const struct parquet_range *parquet_plan_ranges(struct parquet_plan *plan, uint32_t *n,
                                                uint64_t *bytes)
{
    uint64_t all = 0;
    if (plan->n_wanted) join(plan);
    for (uint32_t i = 0; i < plan->n_requests; i++)
        all += plan->requests[i].size;
    *n = plan->n_requests;
    if (bytes) *bytes = all;
    return plan->requests;
}

void parquet_plan_begin(struct parquet_plan *plan)
{
    ASSERT(!plan->reads);
    if (plan->n_wanted == 0) return;
    join(plan);
    plan->reads = memory_alloc_zero(plan->n_requests * sizeof *plan->reads);
    for (uint32_t i = 0; i < plan->n_requests; i++)
        plan->reads[i] = (struct store_read){.key = plan->reader->key,
                                             .offset = plan->requests[i].offset,
                                             .length = plan->requests[i].size,
                                             .budget = plan->budget};
    plan->reading = store_read_begin(plan->reader->store, plan->reads, plan->n_requests);
}

bool parquet_plan_go_on(struct parquet_plan *plan, bool wait)
{
    return !plan->reading || store_read_go_on(plan->reading, wait);
}

int parquet_plan_fetch(struct parquet_plan *plan)
{
    if (!plan->reads) parquet_plan_begin(plan);
    if (!plan->reading) return 0;
    int code = store_read_end(plan->reading);
    plan->reading = NULL;
    for (uint32_t i = 0; i < plan->n_requests && code == 0; i++) {
        if (plan->reads[i].outcome != 0)
            code = error_set(plan->reads[i].outcome, "'%.*s' is not there",
                             SLICE_PRINT(plan->reader->key));
        else if (plan->reads[i].size != plan->reads[i].length)
            code = error_set(GLIS_ECORRUPT, "'%.*s' ends within a column chunk",
                             SLICE_PRINT(plan->reader->key));
    }
    if (code < 0) {
        store_read_release(plan->reads, plan->n_requests);
        free(plan->reads);
        plan->reads = NULL;
        plan->n_wanted = plan->n_requests = 0;
    }
    return code;
}

struct parquet_plan *parquet_plan_ahead(struct parquet_reader *reader, uint32_t row_group,
                                        const uint32_t *fields, uint32_t n_fields, uint64_t first,
                                        uint64_t n, struct budget *budget, bool is_awaited,
                                        uint64_t most, uint64_t *bytes)
{
    struct parquet_plan *plan = parquet_plan_new(reader, 0, AHEAD_REQUEST_BYTES, budget);
    uint32_t n_ranges;
    int code = parquet_plan_add(plan, row_group, fields, n_fields, first, n);
    if (code == 0) (void)parquet_plan_ranges(plan, &n_ranges, bytes);
    if (code == 0 && *bytes <= most &&
        budget_try_ahead(budget, *bytes, is_awaited ? AWAITED_SHARE : AHEAD_SHARE)) {
        plan->ahead_bytes = *bytes;
        parquet_plan_begin(plan);
        return plan;
    }
    if (code < 0) error_clear();
    parquet_plan_free(plan);
    *bytes = 0;
    return NULL;
}

int parquet_plan_arrive(struct parquet_plan **plan)
{
    struct parquet_reader *reader = (*plan)->reader;
    int code = parquet_plan_fetch(*plan);
    if (code == 0) return 0;
    parquet_plan_free(*plan);
    *plan = NULL;
    if (code == GLIS_ENOMEM) {
        error_clear();
        return 0;
    }
    parquet_read_failed(reader, code);
    error_context("reading '%.*s'", SLICE_PRINT(reader->key));
    return code;
}

bool parquet_plan_find(const struct parquet_plan *plan, const struct parquet_reader *reader,
                       uint64_t begin, uint64_t end, struct slice *out)
{
    if (begin >= reader->tail_offset && end <= reader->tail_offset + reader->tail_size) {
        *out = slice_make(reader->tail_data + (begin - reader->tail_offset), (size_t)(end - begin));
        return true;
    }
    if (!plan || !plan->reads || plan->reading || plan->reader != reader) return false;
    uint32_t a = 0, b = plan->n_requests;
    while (a < b) { /* the first request that begins behind it */
        uint32_t middle = a + (b - a) / 2;
        if (plan->requests[middle].offset <= begin)
            a = middle + 1;
        else
            b = middle;
    }
    if (a == 0) return false;
    const struct store_read *read = &plan->reads[a - 1];
    if (end > read->offset + read->size) return false;
    *out = slice_make(read->data + (begin - read->offset), (size_t)(end - begin));
    return true;
}
