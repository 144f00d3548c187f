/*
 * query_merge.c: the rows of several files as one stream in order.
 *
 * Files whose first fields do not overlap are strung into chains, which are read one file after
 * another; only chains are merged. A table that grows by time is one chain, however many files it
 * has. When there are more chains than may be merged at once (glis.query.max.files), their rows go
 * through the sorter, which keeps to its memory and spills to disk in runs. The sorter only
 * ascends: a descending answer merges all chains, each by few rows at a time (scan->batch_rows),
 * and it is the budget that says when they are too many.
 */
#include "lsm/lsm.h"
#include "query/query_int.h"

#include <stdlib.h>

enum {
    SORTER_BYTES = 64 << 20,
    MERGED_ROWS = 16384,
    MERGED_ROWS_OF_PARTS = 2048,
    MERGED_ROWS_MIN = 64,
};

/* ---- chains ---- */

struct chain {
    struct batch_stream stream;
    const struct scan *scan;
    const struct scan_input **inputs; /* &first, as long as it is one */
    const struct scan_input *first;
    size_t n_inputs, next;
    struct batch_stream *now;
    struct batch *peeked; /* the first batch, when it was looked for already */
};

static int chain_next(struct batch_stream *stream, struct batch **out)
{
    struct chain *chain = (struct chain *)stream;
    *out = chain->peeked;
    chain->peeked = NULL;
    if (*out) return 0;
    for (;;) {
        if (!chain->now) {
            if (chain->next == chain->n_inputs) return 0;
            TRY(scan_check(chain->scan));
            TRY(file_scan_open(chain->scan, chain->inputs[chain->next++], &chain->now));
        }
        TRY(batch_stream_next(chain->now, out));
        if (*out) return 0;
        batch_stream_close(chain->now);
        chain->now = NULL;
    }
}

static void chain_close(struct batch_stream *stream)
{
    struct chain *chain = (struct chain *)stream;
    batch_release(chain->peeked);
    batch_stream_close(chain->now);
    if (chain->inputs != &chain->first) free(chain->inputs);
    free(chain);
}

/* Fetches the first rows; *any is false when there are none. */
static int chain_peek(struct chain *chain, bool *any)
{
    TRY(chain_next(&chain->stream, &chain->peeked));
    *any = chain->peeked != NULL;
    return 0;
}

static struct chain *chain_new(const struct scan *scan, const struct scan_input *input)
{
    struct chain *chain = memory_alloc_zero(sizeof *chain);
    chain->stream = (struct batch_stream){scan->schema, chain_next, chain_close};
    chain->scan = scan;
    chain->first = input;
    chain->inputs = &chain->first;
    chain->n_inputs = 1;
    return chain;
}

static void chain_add(struct chain *chain, const struct scan_input *input)
{
    size_t n = chain->n_inputs;
    if ((n & (n - 1)) == 0) { /* room for a power of two */
        bool own = chain->inputs != &chain->first;
        chain->inputs =
            memory_realloc(own ? (void *)chain->inputs : NULL, 2 * n * sizeof *chain->inputs);
        chain->inputs[0] = chain->first;
    }
    chain->inputs[chain->n_inputs++] = input;
}

static int compare_inputs(const void *a, const void *b)
{
    const struct scan_input *x = *(const struct scan_input *const *)a;
    const struct scan_input *y = *(const struct scan_input *const *)b;
    int c = slice_compare(x->bounds[0].min, y->bounds[0].min);
    return c ? c : slice_compare(x->file, y->file);
}

/* All first fields of `a` are below those of `b`. */
static bool ends_before(const struct scan_input *a, const struct scan_input *b)
{
    int c = slice_compare(a->bounds[0].max, b->bounds[0].min);
    return c < 0 || (c == 0 && a->bounds[0].max_exclusive);
}

/* Strings the inputs into chains: each goes behind the chain that ends earliest, when that ends
 * before it. Chains are kept as a heap by their ends, so n inputs cost n log n. */
struct chain_heap {
    struct chain **items;
    size_t n;
};

static const struct scan_input *chain_last(const struct chain *chain)
{
    return chain->inputs[chain->n_inputs - 1];
}

static bool ends_earlier(const struct chain *a, const struct chain *b)
{
    const struct file_bound *x = &chain_last(a)->bounds[0], *y = &chain_last(b)->bounds[0];
    int c = slice_compare(x->max, y->max);
    return c < 0 || (c == 0 && x->max_exclusive && !y->max_exclusive);
}

static void heap_sift_down(struct chain_heap *heap, size_t i)
{
    for (;;) {
        size_t least = i, left = 2 * i + 1;
        for (size_t k = left; k < left + 2 && k < heap->n; k++)
            if (ends_earlier(heap->items[k], heap->items[least])) least = k;
        if (least == i) return;
        struct chain *item = heap->items[i];
        heap->items[i] = heap->items[least];
        heap->items[least] = item;
        i = least;
    }
}

static void heap_sift_up(struct chain_heap *heap, size_t i)
{
    while (i && ends_earlier(heap->items[i], heap->items[(i - 1) / 2])) {
        struct chain *item = heap->items[i];
        heap->items[i] = heap->items[(i - 1) / 2];
        heap->items[(i - 1) / 2] = item;
        i = (i - 1) / 2;
    }
}

static void make_chains(const struct scan *scan, const struct scan_unit *unit,
                        struct chain_heap *heap)
{
    const struct scan_input **sorted = memory_alloc_zero(unit->n_inputs * sizeof *sorted);
    for (size_t i = 0; i < unit->n_inputs; i++)
        sorted[i] = &unit->inputs[i];
    qsort(sorted, unit->n_inputs, sizeof *sorted, compare_inputs);
    heap->items = memory_alloc_zero(unit->n_inputs * sizeof *heap->items);
    heap->n = 0;
    for (size_t i = 0; i < unit->n_inputs; i++) {
        if (heap->n && ends_before(chain_last(heap->items[0]), sorted[i])) {
            struct chain *chain = heap->items[0];
            chain_add(chain, sorted[i]);
            heap_sift_down(heap, 0);
            continue;
        }
        heap->items[heap->n++] = chain_new(scan, sorted[i]);
        heap_sift_up(heap, heap->n - 1);
    }
    free(sorted);
    if (!scan->descending) return;
    for (size_t c = 0; c < heap->n; c++) {
        struct chain *chain = heap->items[c];
        for (size_t i = 0; i < chain->n_inputs / 2; i++) {
            const struct scan_input *input = chain->inputs[i];
            chain->inputs[i] = chain->inputs[chain->n_inputs - 1 - i];
            chain->inputs[chain->n_inputs - 1 - i] = input;
        }
    }
}

/* ---- too many to merge at once ---- */

/* A sorter's stream together with the sorter. */
struct sorted_stream {
    struct batch_stream stream;
    struct sorter *sorter;
    struct batch_stream *behind;
};

static int sorted_next(struct batch_stream *stream, struct batch **out)
{
    return batch_stream_next(((struct sorted_stream *)stream)->behind, out);
}

static void sorted_close(struct batch_stream *stream)
{
    struct sorted_stream *sorted = (struct sorted_stream *)stream;
    batch_stream_close(sorted->behind);
    sorter_free(sorted->sorter);
    free(sorted);
}

static int sorted_stream_open(const struct scan *scan, struct sorter *sorter,
                              struct batch_stream *behind, struct batch_stream **out)
{
    struct sorted_stream *sorted = memory_alloc_zero(sizeof *sorted);
    sorted->stream = (struct batch_stream){scan->schema, sorted_next, sorted_close};
    sorted->sorter = sorter;
    sorted->behind = behind;
    *out = &sorted->stream;
    return 0;
}

static int sort_chains(const struct scan *scan, struct chain_heap *heap, struct batch_stream **out)
{
    struct sorter_options options = {.memory_bytes = SORTER_BYTES,
                                     .spill_folder = scan->spill_folder};
    struct sorter *sorter;
    TRY(sorter_new(&sorter, scan->runtime, scan->schema, &options));
    int code = 0;
    for (size_t i = 0; i < heap->n && code == 0; i++) {
        struct batch *batch = NULL;
        while ((code = batch_stream_next(&heap->items[i]->stream, &batch)) == 0 && batch) {
            code = sorter_add(sorter, batch);
            batch_release(batch);
            if (code == 0) code = scan_check(scan);
            if (code < 0) break;
        }
    }
    struct batch_stream *sorted = NULL;
    if (code == 0) code = sorter_finish(sorter, &sorted);
    if (code < 0) {
        sorter_free(sorter);
        return code;
    }
    return sorted_stream_open(scan, sorter, sorted, out);
}

/* ---- units ---- */

/* Rows of a merged batch. A merge makes room for them when it begins: a lookup should not pay for a
 * scan's. */
static int64_t merged_batch_rows(const struct scan *scan, const struct chain_heap *heap)
{
    bool whole = false;
    for (size_t i = 0; i < heap->n && !whole; i++)
        whole = heap->items[i]->inputs[0]->whole;
    int64_t rows = whole ? MERGED_ROWS : MERGED_ROWS_OF_PARTS;
    if (scan->rows_hint && scan->rows_hint < (uint64_t)rows) rows = (int64_t)scan->rows_hint;
    return rows < MERGED_ROWS_MIN ? MERGED_ROWS_MIN : rows;
}

/* Closes the chains that turn out to have no rows. A merge fetches the first batch of each input at
 * its beginning anyway, but a lookup most often ends in one file, and then needs none. One chain is
 * left over in any case. */
static int drop_empty_chains(struct chain_heap *heap)
{
    size_t n = 0;
    int code = 0;
    for (size_t i = 0; i < heap->n; i++) {
        bool any = true;
        if (code == 0) code = chain_peek(heap->items[i], &any);
        if (any || (n == 0 && i + 1 == heap->n))
            heap->items[n++] = heap->items[i];
        else
            batch_stream_close(&heap->items[i]->stream);
    }
    heap->n = n;
    return code;
}

/* Takes the chains. */
static int merge_chains(const struct scan *scan, struct chain_heap *heap, struct batch_stream **out)
{
    int dropped = drop_empty_chains(heap);
    if (dropped < 0) {
        for (size_t i = 0; i < heap->n; i++)
            batch_stream_close(&heap->items[i]->stream);
        return dropped;
    }
    if (heap->n == 1) {
        *out = &heap->items[0]->stream;
        return 0;
    }
    struct batch_stream **streams = memory_alloc_zero(heap->n * sizeof(void *));
    for (size_t i = 0; i < heap->n; i++)
        streams[i] = &heap->items[i]->stream;
    struct merge_options options = {
        .n_key_fields = scan->n_keys,
        .descending = scan->descending,
        .batch_rows = merged_batch_rows(scan, heap),
    };
    int code = merge_open(out, scan->runtime, scan->schema, streams, (uint32_t)heap->n, &options,
                          scan->budget);
    free(streams);
    return code;
}

int unit_open(const struct scan *scan, const struct scan_unit *unit, struct batch_stream **out)
{
    struct chain_heap heap;
    make_chains(scan, unit, &heap);
    if (heap.n > 1) query_files_open_ahead(scan, unit);
    int code;
    if (heap.n == 1) {
        *out = &heap.items[0]->stream;
        code = 0;
    } else if (heap.n <= scan->max_files || scan->descending) {
        code = merge_chains(scan, &heap, out);
    } else {
        code = sort_chains(scan, &heap, out);
        for (size_t i = 0; i < heap.n; i++)
            batch_stream_close(&heap.items[i]->stream);
    }
    free(heap.items);
    TRY(code);
    return scan->tie_order ? tie_stream_open(scan, *out, out) : 0;
}

/* ---- equal keys ---- */

struct tie_stream {
    struct batch_stream stream;
    const struct scan *scan;
    struct batch_stream *behind;
    struct batch **held; /* rows of one key, which may go on */
    size_t n_held, capacity;
    struct batch *ready; /* to be given next */
    bool ended;
};

static bool same_key(const struct scan *scan, const struct batch *a, int64_t i,
                     const struct batch *b, int64_t j)
{
    return batch_compare_rows(a, i, b, j, 0, scan->n_keys) == 0;
}

struct tie_order {
    const struct batch *batch;
    uint32_t first, n;
    int sign;
};

static int compare_ties(const void *a, const void *b, void *state)
{
    const struct tie_order *order = state;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return order->sign *
           batch_compare_rows(order->batch, x, order->batch, y, order->first, order->n);
}

/* The rows of a batch with those of equal keys in order; the batch itself when there are none.
 * Takes the batch. */
static int order_ties(const struct scan *scan, struct batch *batch, struct batch **out)
{
    struct tie_order order = {batch, scan->n_keys, batch->schema->n_fields - scan->n_keys,
                              scan->descending ? -1 : 1};
    uint32_t *rows = NULL;
    for (int64_t i = 0, end; i < batch->n_rows && order.n; i = end) {
        for (end = i + 1; end < batch->n_rows && same_key(scan, batch, i, batch, end);)
            end++;
        if (end - i == 1) continue;
        if (!rows) {
            rows = memory_alloc((size_t)batch->n_rows * sizeof *rows);
            for (int64_t k = 0; k < batch->n_rows; k++)
                rows[k] = (uint32_t)k;
        }
        qsort_r(rows + i, (size_t)(end - i), sizeof *rows, compare_ties, &order);
    }
    *out = batch;
    if (!rows) return 0;
    int code = batch_take(batch, rows, batch->n_rows, scan->budget, out);
    free(rows);
    batch_release(batch);
    return code;
}

static void hold(struct tie_stream *tie, struct batch *batch)
{
    if (tie->n_held == tie->capacity) {
        tie->capacity = tie->capacity ? tie->capacity * 2 : 8;
        tie->held = memory_realloc(tie->held, tie->capacity * sizeof(void *));
    }
    tie->held[tie->n_held++] = batch;
}

static void drop_held(struct tie_stream *tie)
{
    for (size_t i = 0; i < tie->n_held; i++)
        batch_release(tie->held[i]);
    tie->n_held = 0;
}

/* What is held, in order. */
static int give_held(struct tie_stream *tie, struct batch **out)
{
    struct batch *all;
    if (tie->n_held == 1) {
        all = tie->held[0];
        tie->n_held = 0;
        return order_ties(tie->scan, all, out);
    }
    TRY(batch_concat((const struct batch *const *)tie->held, (uint32_t)tie->n_held,
                     tie->scan->budget, &all));
    drop_held(tie);
    return order_ties(tie->scan, all, out);
}

/* Keeps the rows of the last key and makes the others ready. Takes the batch. */
static int take_batch(struct tie_stream *tie, struct batch *batch)
{
    int64_t last = batch->n_rows - 1, begin = last;
    while (begin > 0 && same_key(tie->scan, batch, begin - 1, batch, last))
        begin--;
    struct batch *tail, *body = NULL;
    int code = batch_slice(batch, begin, batch->n_rows - begin, &tail);
    if (code == 0) {
        hold(tie, tail);
        if (begin) code = batch_slice(batch, 0, begin, &body);
    }
    batch_release(batch);
    if (code == 0 && body) code = order_ties(tie->scan, body, &tie->ready);
    return code;
}

static int tie_next(struct batch_stream *stream, struct batch **out)
{
    struct tie_stream *tie = (struct tie_stream *)stream;
    for (;;) {
        *out = tie->ready;
        tie->ready = NULL;
        if (*out) return 0;
        if (tie->ended) return 0;
        struct batch *batch, *given = NULL;
        TRY(batch_stream_next(tie->behind, &batch));
        if (!batch) {
            tie->ended = true;
            return tie->n_held ? give_held(tie, out) : 0;
        }
        if (batch->n_rows == 0) {
            batch_release(batch);
            continue;
        }
        if (tie->n_held && same_key(tie->scan, tie->held[0], 0, batch, batch->n_rows - 1)) {
            hold(tie, batch); /* sorted: all of it has this key */
            continue;
        }
        if (tie->n_held && same_key(tie->scan, tie->held[0], 0, batch, 0)) {
            int64_t end = 1;
            struct batch *head, *rest;
            while (same_key(tie->scan, batch, 0, batch, end))
                end++;
            int code = batch_slice(batch, 0, end, &head);
            if (code == 0) hold(tie, head);
            if (code == 0) code = batch_slice(batch, end, batch->n_rows - end, &rest);
            batch_release(batch);
            TRY(code);
            batch = rest;
        }
        if (tie->n_held) {
            int code = give_held(tie, &given);
            if (code < 0) batch_release(batch);
            TRY(code);
        }
        int code = take_batch(tie, batch);
        if (code < 0) batch_release(given);
        TRY(code);
        if (!given) continue;
        *out = given;
        return 0;
    }
}

static void tie_close(struct batch_stream *stream)
{
    struct tie_stream *tie = (struct tie_stream *)stream;
    drop_held(tie);
    batch_release(tie->ready);
    batch_stream_close(tie->behind);
    free(tie->held);
    free(tie);
}

int tie_stream_open(const struct scan *scan, struct batch_stream *behind, struct batch_stream **out)
{
    struct tie_stream *tie = memory_alloc_zero(sizeof *tie);
    tie->stream = (struct batch_stream){scan->schema, tie_next, tie_close};
    tie->scan = scan;
    tie->behind = behind;
    *out = &tie->stream;
    return 0;
}
