/*
 * fuzz_parquet.c: whole files to the Parquet reader: footer, schema, page indexes, listings of
 * pages, all rows and single pages, within a budget of 64 MiB. Whatever comes out is a valid batch.
 * The corpus has files of all encodings, codecs and nestings without checksums, so that damage
 * reaches the decoders.
 */
#include "fuzz.h"

#include "parquet/parquet.h"

enum { ROWS_LOOKED_AT = 64 << 10, PAGES_LOOKED_AT = 16 };

static void look_at_chunk(struct parquet_reader *reader, uint32_t group, uint32_t leaf,
                          struct budget *budget)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct parquet_page_header *headers;
    const struct parquet_page_index *index;
    uint32_t n;
    if (parquet_reader_pages(reader, group, leaf, &arena, &headers, &n) < 0) error_clear();
    if (parquet_reader_page_index(reader, group, leaf, &index) < 0) {
        error_clear();
        return;
    }
    bool may_be_there;
    if (parquet_reader_bloom(reader, group, leaf, 0x1234567890abcdef, &may_be_there) < 0)
        error_clear();
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    const struct parquet_leaf *described = &metadata->leaves[leaf];
    const struct type *type = &parquet_reader_schema(reader)->fields[described->field].type;
    if (!index || type->n_children || type->kind == TYPE_STRUCT) return;
    for (uint32_t page = 0; page < index->n_pages && page < PAGES_LOOKED_AT; page++) {
        struct column column;
        struct value value;
        if (index->has_statistics && index->statistics[page].has_min)
            if (parquet_statistic_value(described, index->statistics[page].min, &arena, &value) < 0)
                error_clear();
        if (parquet_reader_page(reader, group, leaf, page, budget, &column) == 0)
            column_free(&column);
        else
            error_clear();
    }
}

static void look_at(struct parquet_reader *reader, struct budget *budget)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    struct batch_stream *stream;
    struct batch *batch;
    uint64_t rows = parquet_reader_rows(reader);
    for (uint32_t g = 0; g < metadata->n_row_groups && g < 4; g++)
        for (uint32_t l = 0; l < metadata->n_leaves && l < 16; l++)
            look_at_chunk(reader, g, l, budget);
    uint32_t n = parquet_reader_schema(reader)->n_fields;
    uint32_t *fields = memory_alloc((n + 1) * sizeof *fields);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = i;
    if (rows > ROWS_LOOKED_AT) rows = ROWS_LOOKED_AT;
    if (parquet_reader_stream_part(reader, fields, n, 0, rows, 1000, &stream) == 0) {
        while (batch_stream_next(stream, &batch) == 0 && batch) {
            ASSERT(batch_validate(batch, true) == 0);
            batch_release(batch);
        }
        batch_stream_close(stream);
    }
    /* The same with dictionaries, and with the annotations of the fields in reverse. */
    bool *marks = memory_alloc(n + 1);
    memset(marks, 1, n + 1);
    if (parquet_reader_stream_dictionaries(reader, fields, n, marks, 0, rows, 700, &stream) == 0) {
        while (batch_stream_next(stream, &batch) == 0 && batch) {
            ASSERT(batch_validate(batch, true) == 0);
            batch_release(batch);
        }
        batch_stream_close(stream);
    }
    memory_defer_free(&marks);
    struct arena arena defer_arena = ARENA_EMPTY;
    for (uint32_t i = 0; i < n; i++)
        fields[i] = n - 1 - i;
    ASSERT(parquet_reader_annotations(reader, fields, n, &arena).n == metadata->annotations.n);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = i;
    /* A single row in the middle, by the page index where there is one. */
    if (metadata->n_row_groups && metadata->row_groups[0].n_rows && n) {
        uint64_t row = metadata->row_groups[0].n_rows / 2;
        if (row < ROWS_LOOKED_AT &&
            parquet_reader_rows_of(reader, 0, fields, n, row, 1, budget, &batch) == 0) {
            ASSERT(batch_validate(batch, true) == 0 && batch->n_rows == 1);
            batch_release(batch);
        }
    }
    memory_defer_free(&fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pool *pool;
    if (!pool) pool = pool_new(0);
    struct budget budget;
    budget_init(&budget, "the fuzzer's memory", 64 << 20, NULL, NULL);
    struct runtime runtime = {
        .clock = clock_system(), .random = random_system(), .pool = pool, .budget = &budget};
    struct store *store;
    struct parquet_reader *reader;
    int code = store_memory_open(&runtime, &store);
    ASSERT(code == 0);
    code = store_put(store, SLICE("f"), slice_make(data, size), 0);
    ASSERT(code == 0);
    if (parquet_reader_open(&reader, &runtime, store, SLICE("f"), &budget) == 0) {
        look_at(reader, &budget);
        parquet_reader_close(reader);
    }
    error_clear();
    store_close(store);
    ASSERT(budget.used_bytes == 0);
    return 0;
}
