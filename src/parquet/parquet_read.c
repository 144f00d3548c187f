/*
 * parquet_read.c: an open file: its footer, its page indexes, and rows out of it.
 *
 * Opening reads the tail once; that mostly brings the footer and, since our writer puts them
 * directly before it, the page indexes. Rows of a row group are read by the pages that hold them
 * where the chunk has an offset index, else by whole chunks. All ranges of one call are sorted,
 * neighbours joined (a gap of at most 64 KiB is read along), and asked of the store at once. Fields
 * are decoded side by side on the pool.
 *
 * A reader is immutable after opening but for the page indexes, which are made on first use under a
 * lock. Limits: a row group's piece that is decoded at once is bounded by the budget.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

enum { TAIL_BYTES = 64 << 10, GAP_BYTES_MAX = 64 << 10, INDEX_REGION_MAX = 64 << 20 };

struct parquet_reader {
    struct runtime *runtime;
    struct store *store;
    struct slice key;
    struct budget *budget;
    uint64_t reserved;
    struct arena arena;
    struct parquet_metadata metadata;
    struct schema *schema;
    struct node *nodes;
    struct block *tail; /* the end of the file, from tail_offset on */
    const uint8_t *tail_data;
    uint64_t tail_offset, tail_size;
    pthread_mutex_t lock;
    struct block *index_block; /* what lies between the first page index and the footer */
    const uint8_t *index_data;
    uint64_t index_offset, index_size;
    const struct parquet_page_index **indexes; /* a leaf of a row group; made under the lock */
};

/* ---- opening ---- */

static int read_range(const struct parquet_reader *reader, uint64_t offset, uint64_t size,
                      struct store_read *read)
{
    *read = (struct store_read){
        .key = reader->key, .offset = offset, .length = size, .budget = reader->budget};
    TRY(store_read(reader->store, read, 1));
    if (read->outcome != 0)
        return error_set(read->outcome, "'%.*s' is not there", SLICE_PRINT(reader->key));
    if (offset != STORE_TO_END && read->size != size) {
        store_read_release(read, 1);
        return error_set(GLIS_ECORRUPT, "the file ends within %llu bytes from %llu on",
                         (unsigned long long)size, (unsigned long long)offset);
    }
    return 0;
}

/* The tail, long enough to hold the footer. */
static int read_tail(struct parquet_reader *reader)
{
    struct store_read read;
    uint32_t footer;
    for (uint64_t want = TAIL_BYTES;;) {
        TRY(read_range(reader, STORE_TO_END, want, &read));
        reader->metadata.file_size = read.object_size;
        int code = 0;
        if (read.size < 12 || read.size > read.object_size)
            code = error_set(GLIS_ECORRUPT, "%llu bytes are no Parquet file",
                             (unsigned long long)read.object_size);
        const uint8_t *end = read.data + read.size;
        if (code == 0 && memcmp(end - 4, "PARE", 4) == 0)
            code = error_set(GLIS_EUNSUPPORTED, "encrypted Parquet files are not read");
        else if (code == 0 && memcmp(end - 4, "PAR1", 4) != 0)
            code = error_set(GLIS_ECORRUPT, "no Parquet file: it does not end with PAR1");
        if (code == 0) {
            memcpy(&footer, end - 8, 4);
            if (footer > PARQUET_FOOTER_BYTES_MAX || footer > read.object_size - 12)
                code = error_set(GLIS_ECORRUPT, "a footer of %u bytes in a file of %llu", footer,
                                 (unsigned long long)read.object_size);
        }
        if (code == 0 && (uint64_t)footer + 8 > read.size) {
            want = (uint64_t)footer + 8;
            store_read_release(&read, 1);
            continue;
        }
        if (code < 0) {
            store_read_release(&read, 1);
            return code;
        }
        break;
    }
    reader->metadata.footer_size = footer;
    reader->tail = read.block;
    reader->tail_data = read.data;
    reader->tail_size = read.size;
    reader->tail_offset = read.object_size - read.size;
    return 0;
}

static int open_file(struct parquet_reader *reader)
{
    TRY(read_tail(reader));
    uint64_t footer = reader->metadata.footer_size;
    reader->reserved = footer * 12 + 4096;
    int code = reader->budget ? budget_reserve(reader->budget, reader->reserved) : 0;
    if (code < 0) {
        reader->reserved = 0;
        return code;
    }
    struct slice message =
        slice_make(reader->tail_data + reader->tail_size - 8 - footer, (size_t)footer);
    TRY_CONTEXT(parquet_metadata_read(message, &reader->arena, &reader->metadata, &reader->schema,
                                      &reader->nodes),
                "footer");
    size_t n = (size_t)reader->metadata.n_row_groups * reader->metadata.n_leaves;
    reader->indexes = memory_alloc_zero((n + 1) * sizeof *reader->indexes);
    return 0;
}

int parquet_reader_open(struct parquet_reader **out, struct runtime *runtime, struct store *store,
                        struct slice key, struct budget *budget)
{
    struct parquet_reader *reader = memory_alloc_zero(sizeof *reader);
    reader->runtime = runtime;
    reader->store = store;
    reader->budget = budget;
    arena_init(&reader->arena, NULL);
    reader->key = arena_copy(&reader->arena, key);
    ASSERT(pthread_mutex_init(&reader->lock, NULL) == 0);
    int code = open_file(reader);
    if (code < 0) {
        error_context("opening '%.*s'", SLICE_PRINT(key));
        parquet_reader_close(reader);
        return code;
    }
    *out = reader;
    return 0;
}

void parquet_reader_close(struct parquet_reader *reader)
{
    if (!reader) return;
    block_release(reader->tail);
    block_release(reader->index_block);
    schema_release(reader->schema);
    free(reader->indexes);
    if (reader->reserved) budget_release(reader->budget, reader->reserved);
    pthread_mutex_destroy(&reader->lock);
    arena_free(&reader->arena);
    free(reader);
}

const struct schema *parquet_reader_schema(const struct parquet_reader *reader)
{
    return reader->schema;
}

struct runtime *parquet_reader_runtime(const struct parquet_reader *reader, struct budget **budget)
{
    *budget = reader->budget;
    return reader->runtime;
}

uint64_t parquet_reader_rows(const struct parquet_reader *reader)
{
    return reader->metadata.n_rows;
}

const struct parquet_metadata *parquet_reader_metadata(const struct parquet_reader *reader)
{
    return &reader->metadata;
}

bool parquet_reader_key_value(const struct parquet_reader *reader, struct slice key,
                              struct slice *value)
{
    for (uint32_t i = reader->metadata.n_key_values; i-- > 0;) {
        if (!slice_equal(reader->metadata.key_values[i].key, key)) continue;
        *value = reader->metadata.key_values[i].value;
        return true;
    }
    return false;
}

/* ---- page indexes ---- */

/* The region from the first page index to the footer, once; bounded, else each index alone. */
static int read_index_region(struct parquet_reader *reader)
{
    const struct parquet_metadata *metadata = &reader->metadata;
    uint64_t end = metadata->file_size - 8 - metadata->footer_size, begin = end;
    for (uint32_t g = 0; g < metadata->n_row_groups; g++) {
        for (uint32_t l = 0; l < metadata->n_leaves; l++) {
            const struct parquet_chunk *chunk = &metadata->row_groups[g].chunks[l];
            if (chunk->offset_index_size && chunk->offset_index_offset < begin)
                begin = chunk->offset_index_offset;
            if (chunk->column_index_size && chunk->column_index_offset < begin)
                begin = chunk->column_index_offset;
        }
    }
    reader->index_offset = begin;
    reader->index_size = end - begin;
    if (begin >= reader->tail_offset) {
        reader->index_data = reader->tail_data + (begin - reader->tail_offset);
        return 0;
    }
    if (reader->index_size > INDEX_REGION_MAX) {
        reader->index_size = 0;
        reader->index_data = reader->tail_data;
        return 0;
    }
    struct store_read read;
    TRY(read_range(reader, begin, reader->index_size, &read));
    reader->index_block = read.block;
    reader->index_data = read.data;
    return 0;
}

static int index_bytes(struct parquet_reader *reader, uint64_t offset, uint64_t size,
                       struct store_read *own, struct slice *out)
{
    *out = SLICE_EMPTY;
    if (size == 0) return 0;
    if (offset >= reader->index_offset && size <= reader->index_size &&
        offset - reader->index_offset <= reader->index_size - size) {
        *out = slice_make(reader->index_data + (offset - reader->index_offset), (size_t)size);
        return 0;
    }
    TRY(read_range(reader, offset, size, own));
    *out = slice_make(own->data, own->size);
    return 0;
}

static int make_index(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                      const struct parquet_page_index **out)
{
    const struct parquet_row_group *group = &reader->metadata.row_groups[row_group];
    const struct parquet_chunk *chunk = &group->chunks[leaf];
    struct store_read own[2] = {{.outcome = 0}, {.outcome = 0}};
    struct slice offsets, columns;
    if (!reader->index_data) TRY(read_index_region(reader));
    struct parquet_page_index *index = ARENA_NEW(&reader->arena, struct parquet_page_index);
    int code = index_bytes(reader, chunk->offset_index_offset, chunk->offset_index_size, &own[0],
                           &offsets);
    if (code == 0)
        code = index_bytes(reader, chunk->column_index_offset, chunk->column_index_size, &own[1],
                           &columns);
    if (code == 0) {
        offsets = arena_copy(&reader->arena, offsets);
        columns = arena_copy(&reader->arena, columns);
        code =
            parquet_page_index_read(offsets, columns, group, chunk, &reader->metadata.leaves[leaf],
                                    reader->metadata.file_size, &reader->arena, index);
    }
    store_read_release(own, 2);
    if (code < 0)
        error_context("page index of row group %u, column '%.*s'", row_group,
                      SLICE_PRINT(reader->metadata.leaves[leaf].path));
    else
        *out = index;
    return code;
}

int parquet_reader_page_index(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                              const struct parquet_page_index **out)
{
    ASSERT(row_group < reader->metadata.n_row_groups && leaf < reader->metadata.n_leaves);
    size_t slot = (size_t)row_group * reader->metadata.n_leaves + leaf;
    int code = 0;
    *out = NULL;
    if (reader->metadata.row_groups[row_group].chunks[leaf].offset_index_size == 0) return 0;
    pthread_mutex_lock(&reader->lock);
    if (!reader->indexes[slot]) code = make_index(reader, row_group, leaf, &reader->indexes[slot]);
    *out = reader->indexes[slot];
    pthread_mutex_unlock(&reader->lock);
    return code;
}

/* ---- pages of a chunk, for listings ---- */

int parquet_reader_pages(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                         struct arena *arena, struct parquet_page_header **out, uint32_t *n_out)
{
    const struct parquet_chunk *chunk = &reader->metadata.row_groups[row_group].chunks[leaf];
    struct store_read read;
    TRY(read_range(reader, chunk->start, chunk->compressed_bytes, &read));
    struct slice bytes = slice_make(read.data, read.size);
    struct parquet_page_header *pages = NULL;
    uint32_t n = 0, room = 0;
    int code = 0;
    while (bytes.size > 0) {
        struct page page;
        code = page_header_read(bytes, false, &page);
        if (code < 0) break;
        if (n == room) {
            struct parquet_page_header *grown =
                ARENA_ARRAY(arena, struct parquet_page_header, room ? room * 2 : 16);
            if (n) memcpy(grown, pages, n * sizeof *pages);
            pages = grown;
            room = room ? room * 2 : 16;
        }
        pages[n++] = (struct parquet_page_header){
            .type = page.type,
            .encoding = page.encoding,
            .offset = chunk->start + (read.size - bytes.size),
            .header_size = page.header_size,
            .compressed_size = page.compressed_size,
            .uncompressed_size = page.uncompressed_size,
            .n_values = page.n_values,
            .n_rows = page.n_rows,
            .n_nulls = page.n_nulls,
            .has_checksum = page.has_checksum,
            .is_compressed = page.is_compressed && chunk->codec != PARQUET_UNCOMPRESSED,
        };
        bytes = slice_part(bytes, (size_t)page.header_size + page.compressed_size, SIZE_MAX);
    }
    store_read_release(&read, 1);
    *out = pages;
    *n_out = n;
    return code;
}

/* ---- reading rows ---- */

/* A range of a chunk that is wanted, and where in the reads it has come. */
struct range {
    uint64_t offset, end;
    uint32_t read;
    uint32_t part; /* where it stands in the order it was asked in */
};

/* What one leaf needs: its dictionary page (perhaps nothing) and its data pages. */
struct leaf_plan {
    uint32_t leaf;
    uint64_t first_row; /* of the first data page that is read */
    struct slice dictionary, data;
};

struct rows_task {
    struct parquet_reader *reader;
    uint32_t row_group;
    uint64_t first, n;
    struct budget *budget;
    const uint32_t *fields;
    struct leaf_plan *plans;
    uint32_t *plan_of_field;
    struct column *columns;
    bool *done;
};

static int plan_leaf(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                     uint64_t first, uint64_t end, struct leaf_plan *plan, struct range ranges[2])
{
    const struct parquet_row_group *group = &reader->metadata.row_groups[row_group];
    const struct parquet_chunk *chunk = &group->chunks[leaf];
    const struct parquet_page_index *index = NULL;
    *plan = (struct leaf_plan){.leaf = leaf};
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
    plan->first_row = index->pages[a].first_row;
    if (ranges[1].offset == ranges[0].end) { /* the dictionary directly before: one piece */
        ranges[1].offset = ranges[0].offset;
        ranges[0].end = ranges[0].offset;
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

static int decode_leaf(const struct rows_task *task, const struct leaf_plan *plan,
                       struct leaf_data *data)
{
    const struct parquet_metadata *metadata = &task->reader->metadata;
    const struct parquet_leaf *leaf = &metadata->leaves[plan->leaf];
    const struct parquet_chunk *chunk = &metadata->row_groups[task->row_group].chunks[plan->leaf];
    static const unsigned widths[] = {1, 4, 8, 12, 4, 8, 0, 0};
    unsigned width =
        leaf->type == PARQUET_FIXED_LEN_BYTE_ARRAY ? leaf->type_length : widths[leaf->type];
    *data = (struct leaf_data){.leaf = leaf, .budget = task->budget};
    data->values.width = width;
    int code = 0;
    if (plan->dictionary.size) /* no rows are asked for: only the dictionary is taken */
        code = leaf_read_pages(data, plan->dictionary, chunk->codec, 0, 1, UINT64_MAX);
    if (code == 0)
        code = leaf_read_pages(data, plan->data, chunk->codec, plan->first_row, task->first,
                               task->first + task->n);
    if (code == 0 && data->n_rows != (int64_t)task->n)
        code = error_set(GLIS_ECORRUPT, "%lld rows where %llu must be", (long long)data->n_rows,
                         (unsigned long long)task->n);
    if (code < 0)
        error_context("row group %u, column '%.*s'", task->row_group, SLICE_PRINT(leaf->path));
    return code;
}

static int decode_field(void *state, size_t index)
{
    struct rows_task *task = state;
    const struct parquet_reader *reader = task->reader;
    uint32_t field = task->fields[index];
    const struct node *node = &reader->nodes[field];
    struct leaf_data *leaves = memory_alloc_zero(node->n_leaves * sizeof *leaves);
    int code = runtime_check_cancel(reader->runtime);
    for (uint32_t l = 0; l < node->n_leaves && code == 0; l++)
        code = decode_leaf(task, &task->plans[task->plan_of_field[index] + l], &leaves[l]);
    if (code == 0) {
        code = assemble_column(node, &reader->schema->fields[field], leaves, node->leaf,
                               (int64_t)task->n, task->budget, &task->columns[index]);
        task->done[index] = code == 0;
        if (code < 0)
            error_context("row group %u, field '%.*s'", task->row_group,
                          SLICE_PRINT(reader->schema->fields[field].name));
    }
    for (uint32_t l = 0; l < node->n_leaves; l++)
        leaf_data_free(&leaves[l]);
    free(leaves);
    return code;
}

static int plan_and_read(struct rows_task *task, uint32_t n_fields, uint32_t n_leaves,
                         struct arena *arena, struct store_read **reads_out, uint32_t *n_reads)
{
    struct parquet_reader *reader = task->reader;
    struct range *ranges = ARENA_ARRAY(arena, struct range, 2 * n_leaves + 1);
    uint32_t at = 0;
    for (uint32_t f = 0; f < n_fields; f++) {
        const struct node *node = &reader->nodes[task->fields[f]];
        task->plan_of_field[f] = at;
        for (uint32_t l = 0; l < node->n_leaves; l++, at++)
            TRY(plan_leaf(reader, task->row_group, node->leaf + l, task->first,
                          task->first + task->n, &task->plans[at], &ranges[2 * at]));
    }
    for (uint32_t i = 0; i < 2 * n_leaves; i++)
        ranges[i].part = i;
    struct store_read *reads = ARENA_ARRAY(arena, struct store_read, 2 * n_leaves + 1);
    *n_reads = join_ranges(reader, ranges, 2 * n_leaves, task->budget, reads);
    *reads_out = reads;
    if (*n_reads) TRY(store_read(reader->store, reads, *n_reads));
    TRY(check_reads(reader, reads, *n_reads));
    for (uint32_t i = 0; i < 2 * n_leaves; i++) {
        const struct range *range = &ranges[i];
        if (range->offset == range->end) continue;
        const struct store_read *read = &reads[range->read];
        struct slice bytes = slice_make(read->data + (range->offset - read->offset),
                                        (size_t)(range->end - range->offset));
        struct leaf_plan *plan = &task->plans[range->part / 2];
        if (range->part % 2)
            plan->data = bytes;
        else
            plan->dictionary = bytes;
    }
    return 0;
}

int parquet_reader_rows_of(struct parquet_reader *reader, uint32_t row_group,
                           const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                           struct budget *budget, struct batch **out)
{
    ASSERT(row_group < reader->metadata.n_row_groups);
    ASSERT(first + n <= reader->metadata.row_groups[row_group].n_rows);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct schema *schema;
    uint32_t n_leaves = 0, n_reads = 0;
    struct store_read *reads = NULL;
    TRY(schema_project(reader->schema, fields, n_fields, &schema));
    for (uint32_t f = 0; f < n_fields; f++)
        n_leaves += reader->nodes[fields[f]].n_leaves;
    struct rows_task task = {
        .reader = reader,
        .row_group = row_group,
        .first = first,
        .n = n,
        .budget = budget,
        .fields = fields,
        .plans = ARENA_ARRAY(&arena, struct leaf_plan, n_leaves + 1),
        .plan_of_field = ARENA_ARRAY(&arena, uint32_t, n_fields + 1),
        .columns = ARENA_ARRAY(&arena, struct column, n_fields + 1),
        .done = ARENA_ARRAY(&arena, bool, n_fields + 1),
    };
    int code = plan_and_read(&task, n_fields, n_leaves, &arena, &reads, &n_reads);
    if (code == 0) {
        struct pool *pool = n > 4096 ? reader->runtime->pool : NULL;
        if (pool)
            code = pool_run(pool, n_fields, decode_field, &task);
        else
            for (uint32_t f = 0; f < n_fields && code == 0; f++)
                code = decode_field(&task, f);
    }
    if (reads) store_read_release(reads, n_reads);
    if (code == 0) {
        code = batch_new(out, schema, task.columns, (int64_t)n);
    } else {
        for (uint32_t f = 0; f < n_fields; f++)
            if (task.done[f]) column_free(&task.columns[f]);
        error_context("reading '%.*s'", SLICE_PRINT(reader->key));
    }
    schema_release(schema);
    return code;
}

int parquet_reader_page(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                        uint32_t page, struct budget *budget, struct column *out)
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
    TRY(parquet_reader_rows_of(reader, row_group, &field, 1, first, end - first, budget, &batch));
    int code = column_share(out, &batch->columns[0]);
    if (code == 0) out->type = &reader->schema->fields[field].type;
    batch_release(batch);
    return code;
}
