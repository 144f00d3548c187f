/*
 * parquet_rows.c: rows out of an open file.
 *
 * Rows of a row group are read by the pages that hold them where the chunk has an offset index,
 * else by whole chunks. What is to be read is known beforehand: where it is little, or the store is
 * far away, all ranges are sorted, neighbours joined (a gap of at most 64 KiB is read along), and
 * asked of the store at once. Large row groups in a folder, and those that would take more than a
 * quarter of the budget, are read in windows instead, a chunk at a time and just ahead of decoding,
 * so that their bytes are still in the processor's cache when they are decoded and a row group
 * needs no more memory than a batch.
 *
 * A cursor keeps for each leaf the place in its chunk (chunk_read.c), so a batch begins where the
 * last one ended, in the middle of pages. Fields are decoded side by side on the pool.
 *
 * Limits: what is read or decoded at once is bounded by the budget.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

enum {
    GAP_BYTES_MAX = 64 << 10,
    WHOLE_BYTES_MAX = 4 << 20,   /* of a folder's row group that is read at once */
    WINDOW_BYTES_MIN = 64 << 10, /* of a leaf */
    WINDOW_BYTES_MAX = 512 << 10,
    WINDOWS_BYTES = 32 << 20, /* of all leaves of a cursor, about */
};

/* A range of a chunk that is wanted, and where in the reads it has come. */
struct range {
    uint64_t offset, end;
    uint32_t read;
    uint32_t part; /* where it stands in the order it was asked in */
};

/* The bytes of one leaf that stand in memory at a time. */
struct leaf_window {
    struct leaf_source source;
    const struct parquet_reader *reader;
    struct budget *budget;
    uint64_t window_bytes;
    struct store_read read;
};

struct rows_cursor {
    struct parquet_reader *reader;
    const struct parquet_plan *plan;
    struct budget *budget;
    struct arena arena;
    struct schema *schema;
    uint32_t row_group, n_fields, n_leaves;
    uint64_t next, end; /* rows of the row group */
    const uint32_t *fields;
    uint32_t *first_leaf; /* of each field, in leaves */
    struct leaf_data *leaves;
    struct leaf_window *windows; /* one a leaf, or NULL */
    struct store_read *reads;
    uint32_t n_reads;
    /* the batch under way */
    uint64_t take;
    struct column *columns;
    bool *done;
};

/* ---- what to read ---- */

/* ranges[0]: the dictionary (perhaps empty), ranges[1]: the data pages, the first of which begins
 * with *first_row. */
static int plan_leaf(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                     uint64_t first, uint64_t end, uint64_t *first_row, struct range ranges[2])
{
    const struct parquet_row_group *group = &reader->metadata.row_groups[row_group];
    const struct parquet_chunk *chunk = &group->chunks[leaf];
    const struct parquet_page_index *index = NULL;
    *first_row = 0;
    ranges[0] = (struct range){0, 0, 0, 0};
    ranges[1] = (struct range){chunk->start, chunk->start + chunk->compressed_bytes, 0, 0};
    if (first > 0 || end < group->n_rows)
        TRY(parquet_reader_page_index(reader, row_group, leaf, &index));
    if (!index || index->n_pages == 0) return 0;
    uint32_t a = 0, b = index->n_pages;
    while (a + 1 < b) { /* the last page that begins at or before the first row */
        uint32_t middle = a + (b - a) / 2;
        if (index->pages[middle].first_row <= first)
            a = middle;
        else
            b = middle;
    }
    uint32_t last = a;
    while (last + 1 < index->n_pages && index->pages[last + 1].first_row < end)
        last++;
    if (index->pages[0].offset > chunk->start)
        ranges[0] = (struct range){chunk->start, index->pages[0].offset, 0, 0};
    ranges[1].offset = index->pages[a].offset;
    ranges[1].end = index->pages[last].offset + index->pages[last].size;
    *first_row = index->pages[a].first_row;
    if (ranges[1].offset == ranges[0].end) { /* the dictionary directly before: one piece */
        ranges[1].offset = ranges[0].offset;
        ranges[0].end = ranges[0].offset;
    }
    return 0;
}

int rows_leaf_ranges(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                     uint64_t first, uint64_t end, uint64_t out[4])
{
    struct range ranges[2];
    uint64_t first_row;
    TRY(plan_leaf(reader, row_group, leaf, first, end, &first_row, ranges));
    for (int i = 0; i < 2; i++) {
        out[2 * i] = ranges[i].offset;
        out[2 * i + 1] = ranges[i].end;
    }
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Sorted ranges into as few reads as pay. Returns how many. */
static uint32_t join_ranges(const struct parquet_reader *reader, struct range *ranges, uint32_t n,
                            struct budget *budget, struct store_read *reads)
{
    uint32_t n_reads = 0;
    uint64_t end = 0;
    qsort(ranges, n, sizeof *ranges, by_offset);
    for (uint32_t i = 0; i < n; i++) {
        if (ranges[i].offset == ranges[i].end) continue;
        struct store_read *last = n_reads ? &reads[n_reads - 1] : NULL;
        if (last && ranges[i].offset <= end + GAP_BYTES_MAX) {
            if (ranges[i].end > end) end = ranges[i].end;
        } else {
            reads[n_reads++] = (struct store_read){
                .key = reader->key, .offset = ranges[i].offset, .budget = budget};
            last = &reads[n_reads - 1];
            end = ranges[i].end;
        }
        last->length = end - last->offset;
        ranges[i].read = n_reads - 1;
    }
    return n_reads;
}

static int check_reads(const struct parquet_reader *reader, const struct store_read *reads,
                       uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (reads[i].outcome != 0)
            return error_set(reads[i].outcome, "'%.*s' is not there", SLICE_PRINT(reader->key));
        if (reads[i].size != reads[i].length)
            return error_set(GLIS_ECORRUPT, "'%.*s' ends within a column chunk",
                             SLICE_PRINT(reader->key));
    }
    return 0;
}

/* Takes all ranges from what is in memory; false when one is not there. */
static bool find_whole(struct rows_cursor *cursor, const struct range *ranges)
{
    for (uint32_t i = 0; i < 2 * cursor->n_leaves; i++) {
        struct leaf_data *leaf = &cursor->leaves[i / 2];
        struct slice bytes = SLICE_EMPTY;
        if (ranges[i].offset < ranges[i].end &&
            !parquet_plan_find(cursor->plan, cursor->reader, ranges[i].offset, ranges[i].end,
                               &bytes))
            return false;
        if (i % 2)
            leaf->bytes_after = bytes;
        else
            leaf->bytes = bytes;
    }
    return true;
}

static int read_whole(struct rows_cursor *cursor, struct range *ranges)
{
    uint32_t n = 2 * cursor->n_leaves;
    cursor->reads = ARENA_ARRAY(&cursor->arena, struct store_read, n + 1);
    cursor->n_reads = join_ranges(cursor->reader, ranges, n, cursor->budget, cursor->reads);
    if (cursor->n_reads) TRY(store_read(cursor->reader->store, cursor->reads, cursor->n_reads));
    TRY(check_reads(cursor->reader, cursor->reads, cursor->n_reads));
    for (uint32_t i = 0; i < n; i++) {
        const struct range *range = &ranges[i];
        if (range->offset == range->end) continue;
        const struct store_read *read = &cursor->reads[range->read];
        struct slice bytes = slice_make(read->data + (range->offset - read->offset),
                                        (size_t)(range->end - range->offset));
        struct leaf_data *leaf = &cursor->leaves[range->part / 2];
        if (range->part % 2)
            leaf->bytes_after = bytes;
        else
            leaf->bytes = bytes;
    }
    return 0;
}

/* ---- windows ---- */

static int window_refill(struct leaf_source *source, uint64_t at, uint64_t need, struct slice *out)
{
    struct leaf_window *window = (struct leaf_window *)source;
    uint64_t left = source->end - at, size = need;
    if (size < window->window_bytes) size = window->window_bytes;
    /* A rest that would be small is read along. */
    if (left <= size + size / 4) size = left;
    store_read_release(&window->read, 1);
    window->read = (struct store_read){
        .key = window->reader->key, .offset = at, .length = size, .budget = window->budget};
    TRY(store_read(window->reader->store, &window->read, 1));
    TRY(check_reads(window->reader, &window->read, 1));
    *out = slice_make(window->read.data, (size_t)size);
    return 0;
}

static void open_windows(struct rows_cursor *cursor, const struct range *ranges, uint64_t memory)
{
    uint64_t size = (memory / 8 < WINDOWS_BYTES ? memory / 8 : WINDOWS_BYTES) / cursor->n_leaves;
    if (size < WINDOW_BYTES_MIN) size = WINDOW_BYTES_MIN;
    if (size > WINDOW_BYTES_MAX) size = WINDOW_BYTES_MAX;
    cursor->windows = ARENA_ARRAY(&cursor->arena, struct leaf_window, cursor->n_leaves);
    for (uint32_t l = 0; l < cursor->n_leaves; l++) {
        const struct range *dictionary = &ranges[2 * l], *data = dictionary + 1;
        cursor->windows[l] = (struct leaf_window){
            .source = {.refill = window_refill,
                       .begin = dictionary->offset,
                       .end = dictionary->end,
                       .next_begin = data->offset,
                       .next_end = data->end},
            .reader = cursor->reader,
            .budget = cursor->budget,
            .window_bytes = size,
        };
        cursor->leaves[l].source = &cursor->windows[l].source;
        cursor->leaves[l].at = dictionary->offset;
    }
}

/* ---- cursors ---- */

static void open_leaf(struct rows_cursor *cursor, uint32_t number, uint32_t field,
                      struct leaf_data *out)
{
    const struct parquet_metadata *metadata = &cursor->reader->metadata;
    const struct parquet_leaf *leaf = &metadata->leaves[number];
    unsigned width = leaf_width(leaf);
    bool widens = leaf->leaf_type->kind == TYPE_DECIMAL &&
                  (leaf->type == PARQUET_INT32 || leaf->type == PARQUET_INT64);
    *out = (struct leaf_data){
        .leaf = leaf,
        .budget = cursor->budget,
        .codec = metadata->row_groups[cursor->row_group].chunks[number].codec,
        .width = width,
        .widens = widens,
        .as_bits = cursor->reader->nodes[field].kind == NODE_LEAF && leaf->max_definition == 1 &&
                   leaf->max_repetition == 0,
        .values = {.width = widens ? 16 : width},
        .codes = {.width = 4},
    };
}

static int open_cursor(struct rows_cursor *cursor)
{
    struct parquet_reader *reader = cursor->reader;
    struct range *ranges =
        ARENA_ARRAY(&cursor->arena, struct range, 2 * (size_t)cursor->n_leaves + 1);
    uint64_t bytes = 0;
    for (uint32_t f = 0, at = 0; f < cursor->n_fields; f++) {
        const struct node *node = &reader->nodes[cursor->fields[f]];
        cursor->first_leaf[f] = at;
        for (uint32_t l = 0; l < node->n_leaves; l++, at++) {
            struct range *two = &ranges[2 * at];
            open_leaf(cursor, node->leaf + l, cursor->fields[f], &cursor->leaves[at]);
            TRY(plan_leaf(reader, cursor->row_group, node->leaf + l, cursor->next, cursor->end,
                          &cursor->leaves[at].next_row, two));
            bytes += (two[0].end - two[0].offset) + (two[1].end - two[1].offset);
        }
    }
    for (uint32_t i = 0; i < 2 * cursor->n_leaves; i++)
        ranges[i].part = i;
    if (find_whole(cursor, ranges)) return 0;
    for (uint32_t l = 0; l < cursor->n_leaves; l++)
        cursor->leaves[l].bytes = cursor->leaves[l].bytes_after = SLICE_EMPTY;
    /* Where many read with the same memory, the last ones take little of it. */
    uint64_t memory = budget_left(cursor->budget);
    bool is_small = bytes <= WHOLE_BYTES_MAX;
    bool whole = is_small || (!reader->store->local && budget_has_room(cursor->budget, 2));
    if (cursor->n_leaves > 0 && (!whole || bytes > memory / 4)) {
        open_windows(cursor, ranges, memory);
        return 0;
    }
    return read_whole(cursor, ranges);
}

void rows_cursor_keep_dictionaries(struct rows_cursor *cursor, const bool *fields)
{
    const struct parquet_reader *reader = cursor->reader;
    for (uint32_t f = 0; f < cursor->n_fields; f++) {
        struct leaf_data *leaf = &cursor->leaves[cursor->first_leaf[f]];
        enum type_kind kind = reader->schema->fields[cursor->fields[f]].type.kind;
        bool is_text = kind == TYPE_STRING || kind == TYPE_BYTES;
        leaf->keeps_codes = fields[f] && is_text && leaf->leaf->type == PARQUET_BYTE_ARRAY;
    }
}

int rows_cursor_open(struct parquet_reader *reader, uint32_t row_group, const uint32_t *fields,
                     uint32_t n_fields, uint64_t first, uint64_t n, struct budget *budget,
                     struct rows_cursor **out)
{
    return rows_cursor_open_planned(reader, NULL, row_group, fields, n_fields, first, n, budget,
                                    out);
}

int rows_cursor_open_planned(struct parquet_reader *reader, const struct parquet_plan *plan,
                             uint32_t row_group, const uint32_t *fields, uint32_t n_fields,
                             uint64_t first, uint64_t n, struct budget *budget,
                             struct rows_cursor **out)
{
    ASSERT(row_group < reader->metadata.n_row_groups);
    ASSERT(first + n <= reader->metadata.row_groups[row_group].n_rows);
    struct schema *schema;
    TRY(schema_project(reader->schema, fields, n_fields, &schema));
    struct arena arena = ARENA_EMPTY;
    struct rows_cursor *cursor = ARENA_NEW(&arena, struct rows_cursor);
    uint32_t *own = ARENA_ARRAY(&arena, uint32_t, n_fields + 1);
    for (uint32_t f = 0; f < n_fields; f++) {
        own[f] = fields[f];
        cursor->n_leaves += reader->nodes[fields[f]].n_leaves;
    }
    cursor->reader = reader;
    cursor->plan = plan;
    cursor->budget = budget;
    cursor->schema = schema;
    cursor->row_group = row_group;
    cursor->n_fields = n_fields;
    cursor->fields = own;
    cursor->next = first;
    cursor->end = first + n;
    cursor->first_leaf = ARENA_ARRAY(&arena, uint32_t, n_fields + 1);
    cursor->leaves = ARENA_ARRAY(&arena, struct leaf_data, cursor->n_leaves + 1);
    cursor->columns = ARENA_ARRAY(&arena, struct column, n_fields + 1);
    cursor->done = ARENA_ARRAY(&arena, bool, n_fields + 1);
    cursor->arena = arena;
    int code = open_cursor(cursor);
    if (code < 0) {
        parquet_read_failed(reader, code);
        error_context("reading '%.*s'", SLICE_PRINT(reader->key));
        rows_cursor_close(cursor);
        return code;
    }
    *out = cursor;
    return 0;
}

void rows_cursor_close(struct rows_cursor *cursor)
{
    if (!cursor) return;
    for (uint32_t l = 0; l < cursor->n_leaves; l++) {
        leaf_data_free(&cursor->leaves[l]);
        if (cursor->windows) store_read_release(&cursor->windows[l].read, 1);
    }
    if (cursor->reads) store_read_release(cursor->reads, cursor->n_reads);
    schema_release(cursor->schema);
    struct arena arena = cursor->arena; /* which holds the cursor */
    arena_free(&arena);
}

/* ---- batches ---- */

static int take_leaf(const struct rows_cursor *cursor, struct leaf_data *leaf)
{
    int code = leaf_skip_to(leaf, cursor->next);
    if (code == 0) code = leaf_take(leaf, cursor->take);
    if (code == 0 && leaf->n_rows != (int64_t)cursor->take)
        code = error_set(GLIS_ECORRUPT, "%lld rows where %llu must be", (long long)leaf->n_rows,
                         (unsigned long long)cursor->take);
    if (code < 0)
        error_context("row group %u, column '%.*s'", cursor->row_group,
                      SLICE_PRINT(leaf->leaf->path));
    return code;
}

static int take_field(void *state, size_t index)
{
    struct rows_cursor *cursor = state;
    const struct parquet_reader *reader = cursor->reader;
    uint32_t field = cursor->fields[index];
    const struct node *node = &reader->nodes[field];
    struct leaf_data *leaves = &cursor->leaves[cursor->first_leaf[index]];
    int code = runtime_check_cancel(reader->runtime);
    for (uint32_t l = 0; l < node->n_leaves && code == 0; l++)
        code = take_leaf(cursor, &leaves[l]);
    if (code == 0) {
        code = assemble_column(node, &reader->schema->fields[field], leaves, node->leaf,
                               (int64_t)cursor->take, cursor->budget, &cursor->columns[index]);
        cursor->done[index] = code == 0;
        if (code < 0)
            error_context("row group %u, field '%.*s'", cursor->row_group,
                          SLICE_PRINT(reader->schema->fields[field].name));
    }
    for (uint32_t l = 0; l < node->n_leaves; l++)
        leaf_output_reset(&leaves[l]);
    return code;
}

uint64_t rows_cursor_at(const struct rows_cursor *cursor)
{
    return cursor->next;
}

void rows_cursor_skip(struct rows_cursor *cursor, uint64_t row)
{
    ASSERT(row >= cursor->next && row <= cursor->end);
    cursor->next = row; /* the leaves follow with the next batch */
}

int rows_cursor_next(struct rows_cursor *cursor, uint64_t n, bool parallel, struct batch **out)
{
    ASSERT(n <= cursor->end - cursor->next);
    struct pool *pool = parallel ? cursor->reader->runtime->pool : NULL;
    int code = 0;
    cursor->take = n;
    for (uint32_t f = 0; f < cursor->n_fields; f++)
        cursor->done[f] = false;
    if (pool)
        code = pool_run(pool, cursor->n_fields, take_field, cursor);
    else
        for (uint32_t f = 0; f < cursor->n_fields && code == 0; f++)
            code = take_field(cursor, f);
    if (code == 0) {
        code = batch_new(out, cursor->schema, cursor->columns, (int64_t)n);
    } else {
        for (uint32_t f = 0; f < cursor->n_fields; f++)
            if (cursor->done[f]) column_free(&cursor->columns[f]);
        parquet_read_failed(cursor->reader, code);
        error_context("reading '%.*s'", SLICE_PRINT(cursor->reader->key));
    }
    cursor->next += n;
    return code;
}

int parquet_reader_rows_of(struct parquet_reader *reader, uint32_t row_group,
                           const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                           struct budget *budget, struct batch **out)
{
    return parquet_reader_rows_planned(reader, NULL, row_group, fields, n_fields, first, n, budget,
                                       out);
}

int parquet_reader_rows_planned(struct parquet_reader *reader, const struct parquet_plan *plan,
                                uint32_t row_group, const uint32_t *fields, uint32_t n_fields,
                                uint64_t first, uint64_t n, struct budget *budget,
                                struct batch **out)
{
    struct rows_cursor *cursor;
    TRY(rows_cursor_open_planned(reader, plan, row_group, fields, n_fields, first, n, budget,
                                 &cursor));
    int code = rows_cursor_next(cursor, n, n > 4096, out);
    rows_cursor_close(cursor);
    return code;
}

int parquet_reader_page(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                        uint32_t page, struct budget *budget, struct column *out)
{
    return parquet_reader_page_planned(reader, NULL, row_group, leaf, page, budget, out);
}

int parquet_reader_page_planned(struct parquet_reader *reader, const struct parquet_plan *plan,
                                uint32_t row_group, uint32_t leaf, uint32_t page,
                                struct budget *budget, struct column *out)
{
    const struct parquet_page_index *index;
    struct batch *batch;
    TRY(parquet_reader_page_index(reader, row_group, leaf, &index));
    ASSERT(index && page < index->n_pages);
    uint32_t field = reader->metadata.leaves[leaf].field;
    ASSERT(reader->nodes[field].kind == NODE_LEAF);
    uint64_t end = page + 1 < index->n_pages ? index->pages[page + 1].first_row
                                             : reader->metadata.row_groups[row_group].n_rows;
    uint64_t first = index->pages[page].first_row;
    TRY(parquet_reader_rows_planned(reader, plan, row_group, &field, 1, first, end - first, budget,
                                    &batch));
    int code = column_share(out, &batch->columns[0]);
    if (code == 0) out->type = &reader->schema->fields[field].type;
    batch_release(batch);
    return code;
}
