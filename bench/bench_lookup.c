/*
 * bench_lookup.c: lookups of present and absent keys in a file of one key column that lies in
 * memory, encoded; what bench/run lookup runs.
 *
 *   bench_lookup FOLDER [ROWS]
 *
 * Two files of ROWS (10,000,000) ascending keys each, one of longs and one of texts of 16 digits,
 * pages of 8 KiB, zstd, bloom filters at 1 %. A lookup goes the way that a query goes: row group by
 * its bounds, bloom filter, page by the column index, the page decoded, the key searched for in it.
 * Present keys and absent ones (that lie between keys), in random order; absent ones once with the
 * filter and once by the page index alone. One thread, by its processor time, which other work on
 * the machine disturbs least; nothing decoded is kept. The folder is not used.
 */
#include "parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 10000000, LOOKUPS = 100000, BATCH_ROWS = 65536, STEP = 1000 };

struct bench {
    struct runtime runtime;
    struct budget budget;
    struct buffer file;
    struct store *store;
    struct parquet_reader *reader;
    struct parquet_bloom *blooms; /* one a row group */
    const struct parquet_page_index **indexes;
    bool text;
    uint64_t n_rows, n_found, n_pages;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * 0x9e3779b97f4a7c15;
    return (x ^ x >> 29) * 0xbf58476d1ce4e5b9 >> 20;
}

/* Key i: even, ascending. Key i + 1 below the next one: absent. */
static uint64_t key_of(uint64_t i)
{
    return i * STEP + mix(i) % (STEP / 2) * 2;
}

static struct slice text_of(uint64_t key, char room[24])
{
    int n = snprintf(room, 24, "%016llu", (unsigned long long)key);
    return slice_make(room, (size_t)n);
}

static int sink(void *state, struct slice bytes)
{
    return buffer_append_slice(state, bytes);
}

static int write_batch(struct bench *bench, struct parquet_writer *writer,
                       struct batch_builder *builder, uint64_t first, uint64_t end)
{
    struct batch *batch;
    struct column_builder *column = batch_builder_column(builder, 0);
    for (uint64_t i = first; i < end; i++) {
        char room[24];
        if (bench->text)
            TRY(column_builder_append_bytes(column, text_of(key_of(i), room)));
        else
            TRY(column_builder_append_integer(column, (int64_t)key_of(i)));
        TRY(batch_builder_end_row(builder));
    }
    TRY(batch_builder_finish(builder, &batch));
    int code = parquet_writer_write(writer, batch);
    batch_release(batch);
    return code;
}

static int write_file(struct bench *bench)
{
    struct field field = {.name = SLICE("k"),
                          .type = {.kind = bench->text ? TYPE_STRING : TYPE_INT64}};
    struct schema *schema;
    struct batch_builder *builder;
    struct parquet_writer *writer;
    struct parquet_column_options bloom = {.path = SLICE("k"), .bloom_rate = 0.01};
    struct parquet_writer_options options = {
        .columns = &bloom, .n_columns = 1, .n_sorting_columns = 1, .row_group_rows_max = 1000000};
    struct parquet_sink to = {sink, &bench->file};
    TRY(schema_new(&schema, &field, 1, 1, 0));
    TRY(batch_builder_new(&builder, schema, NULL));
    TRY(parquet_writer_open(&writer, &bench->runtime, schema, &to, &options, NULL));
    int code = 0;
    for (uint64_t i = 0; i < bench->n_rows && code == 0; i += BATCH_ROWS)
        code = write_batch(bench, writer, builder, i,
                           i + BATCH_ROWS < bench->n_rows ? i + BATCH_ROWS : bench->n_rows);
    if (code == 0) code = parquet_writer_finish(writer);
    parquet_writer_close(writer);
    batch_builder_free(builder);
    schema_release(schema);
    return code;
}

static int open_file(struct bench *bench)
{
    TRY(store_slice_open(SLICE("file"), NULL, buffer_slice(&bench->file), &bench->store));
    TRY(parquet_reader_open(&bench->reader, &bench->runtime, bench->store, SLICE("file"), NULL));
    uint32_t n = parquet_reader_metadata(bench->reader)->n_row_groups;
    bench->blooms = memory_alloc_zero(n * sizeof *bench->blooms);
    bench->indexes = memory_alloc_zero(n * sizeof(void *));
    for (uint32_t g = 0; g < n; g++) {
        TRY(parquet_reader_bloom_read(bench->reader, g, 0, NULL, &bench->blooms[g]));
        TRY(parquet_reader_page_index(bench->reader, g, 0, &bench->indexes[g]));
    }
    return 0;
}

static void close_file(struct bench *bench)
{
    uint32_t n = parquet_reader_metadata(bench->reader)->n_row_groups;
    for (uint32_t g = 0; g < n; g++)
        parquet_bloom_release(&bench->blooms[g]);
    free(bench->blooms);
    free(bench->indexes);
    parquet_reader_close(bench->reader);
    store_close(bench->store);
    buffer_free(&bench->file);
}

/* A bound, PLAIN, against a key. */
static int compare(const struct bench *bench, struct slice bound, const struct value *key)
{
    int64_t number;
    if (bench->text) return slice_compare(bound, key->bytes);
    memcpy(&number, bound.data, sizeof number);
    return (number > key->integer) - (number < key->integer);
}

static bool column_has(const struct column *column, const struct value *key)
{
    int64_t a = 0, b = column->length;
    while (a < b) {
        int64_t middle = a + (b - a) / 2;
        struct value value;
        column_value(column, middle, &value);
        int c = value_compare(&value, key);
        if (c == 0) return true;
        if (c < 0)
            a = middle + 1;
        else
            b = middle;
    }
    return false;
}

static int look_up(struct bench *bench, const struct value *key, bool by_bloom)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(bench->reader);
    uint32_t g = 0;
    uint64_t hash;
    while (g < metadata->n_row_groups &&
           compare(bench, metadata->row_groups[g].chunks[0].statistics.max, key) < 0)
        g++;
    if (g == metadata->n_row_groups ||
        compare(bench, metadata->row_groups[g].chunks[0].statistics.min, key) > 0)
        return 0;
    if (by_bloom && parquet_bloom_hash(&metadata->leaves[0], key, &hash) &&
        !parquet_bloom_has(&bench->blooms[g], hash))
        return 0;
    const struct parquet_page_index *index = bench->indexes[g];
    uint32_t a = 0, b = index->n_pages;
    while (a < b) { /* the first page whose greatest key is not below it */
        uint32_t middle = a + (b - a) / 2;
        if (compare(bench, index->statistics[middle].max, key) < 0)
            a = middle + 1;
        else
            b = middle;
    }
    if (a == index->n_pages || compare(bench, index->statistics[a].min, key) > 0) return 0;
    struct column column;
    TRY(parquet_reader_page(bench->reader, g, 0, a, NULL, &column));
    bench->n_pages++;
    bench->n_found += column_has(&column, key);
    column_free(&column);
    return 0;
}

/* Lookups a second. */
static int run(struct bench *bench, const char *name, bool present, bool by_bloom, uint64_t n)
{
    bench->n_found = bench->n_pages = 0;
    clock_t start = clock();
    for (uint64_t i = 0; i < n; i++) {
        char room[24];
        uint64_t number = key_of(mix(i + 1) % bench->n_rows) + !present;
        struct value key = bench->text ? value_bytes(TYPE_STRING, text_of(number, room))
                                       : value_integer(TYPE_INT64, (int64_t)number);
        TRY(look_up(bench, &key, by_bloom));
    }
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (bench->n_found != (present ? n : 0))
        return error_set(GLIS_ECORRUPT, "%llu keys found", (unsigned long long)bench->n_found);
    printf("\"%s_%s_per_second\": %.0f, \"%s_%s_pages\": %llu, ", bench->text ? "text" : "long",
           name, (double)n / seconds, bench->text ? "text" : "long", name,
           (unsigned long long)bench->n_pages);
    return 0;
}

static int measure(bool text, uint64_t n_rows)
{
    struct bench bench = {.text = text, .n_rows = n_rows};
    bench.runtime = (struct runtime){.clock = clock_system(), .random = random_system()};
    buffer_init(&bench.file, (size_t)1 << 33, NULL);
    bench.runtime.pool = pool_new(0);
    TRY(write_file(&bench));
    TRY(open_file(&bench));
    const char *name = text ? "text" : "long";
    printf("\"%s_file_bytes\": %zu, \"%s_bloom_bytes\": %u, \"%s_pages\": %u, ", name,
           bench.file.size, name, bench.blooms[0].size, name, bench.indexes[0]->n_pages);
    TRY(run(&bench, "present", true, true, LOOKUPS));
    TRY(run(&bench, "absent", false, true, 10 * LOOKUPS));
    TRY(run(&bench, "absent_by_index", false, false, LOOKUPS));
    close_file(&bench);
    pool_free(bench.runtime.pool);
    return 0;
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments < 2) {
        fprintf(stderr, "usage: bench_lookup FOLDER [ROWS]\n");
        return 2;
    }
    uint64_t n_rows = n_arguments > 2 ? strtoull(arguments[2], NULL, 10) : ROWS;
    printf("{\"rows\": %llu, ", (unsigned long long)n_rows);
    if (measure(false, n_rows) < 0 || measure(true, n_rows) < 0) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    printf("\"lookups\": %d}\n", LOOKUPS);
    return 0;
}
