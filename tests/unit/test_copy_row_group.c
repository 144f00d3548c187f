/*
 * test_copy_row_group.c: rows of other files copied into a file page by page, among rows that are
 * newly written: every type, files of all forms, cut anywhere; the rows come out as they went in,
 * and the file passes the check of everything it says about them.
 */
#include "batches.h"

#include "parquet/parquet.h"

enum { FILE_BYTES_MAX = 64 << 20, N_SOURCES = 3 };

static int take(void *state, struct slice bytes)
{
    return buffer_append_slice(state, bytes);
}

/* Rows [begin, begin + n) of the sample's rows, which repeat for ever. */
static struct batch *rows_of(const struct batch *sample, int64_t begin, int64_t n)
{
    uint32_t *rows = calloc((size_t)n + 1, sizeof *rows);
    struct batch *batch;
    for (int64_t i = 0; i < n; i++)
        rows[i] = (uint32_t)((begin + i) % sample->n_rows);
    assert_ok(batch_take(sample, rows, n, NULL, &batch));
    free(rows);
    return batch;
}

struct source {
    struct buffer bytes;
    struct store *store;
    struct parquet_reader *reader;
};

static void open_file(struct source *source, struct runtime *runtime)
{
    assert_ok(store_memory_open(runtime, &source->store));
    assert_ok(store_put(source->store, SLICE("f"), buffer_slice(&source->bytes), 0));
    assert_ok(parquet_reader_open(&source->reader, runtime, source->store, SLICE("f"), NULL));
}

static void close_file(struct source *source)
{
    parquet_reader_close(source->reader);
    store_close(source->store);
    buffer_free(&source->bytes);
}

static void write_file(struct source *source, struct runtime *runtime, const struct batch *sample,
                       int64_t n_rows, const struct parquet_writer_options *options)
{
    struct parquet_writer *writer;
    struct parquet_sink sink = {take, &source->bytes};
    struct batch *batch = rows_of(sample, 0, n_rows);
    buffer_init(&source->bytes, FILE_BYTES_MAX, NULL);
    assert_ok(parquet_writer_open(&writer, runtime, sample->schema, &sink, options, NULL));
    assert_ok(parquet_writer_write(writer, batch));
    assert_ok(parquet_writer_finish(writer));
    parquet_writer_close(writer);
    batch_release(batch);
    open_file(source, runtime);
}

static int problem(void *state, const struct parquet_problem *problem)
{
    fail_msg("%s: row group %u, column '%.*s', page %lld: %s", (const char *)state,
             problem->row_group, SLICE_PRINT(problem->column), (long long)problem->page,
             problem->text);
    return 0;
}

static void check_file(struct source *file, const char *name, const struct batch *expected)
{
    struct arena arena = ARENA_EMPTY;
    struct parquet_check check = {.found = problem, .state = (void *)(uintptr_t)name};
    struct batch_stream *stream;
    struct batch *batches[512], *all;
    const char *difference;
    uint32_t n = 0;
    assert_ok(parquet_check(file->reader, &check));
    assert_ok(parquet_reader_stream(file->reader, &stream));
    for (;; n++) {
        assert_true(n < COUNT(batches));
        assert_ok(batch_stream_next(stream, &batches[n]));
        if (!batches[n]) break;
    }
    batch_stream_close(stream);
    assert_ok(batch_concat((const struct batch *const *)batches, n, NULL, &all));
    while (n > 0)
        batch_release(batches[--n]);
    if (!batch_equal(all, expected, &arena, &difference)) fail_msg("%s: %s", name, difference);
    batch_release(all);
    arena_free(&arena);
}

/* How the sources are written; all with the codec that the target has. */
static const struct parquet_writer_options forms[N_SOURCES] = {
    {.page_rows_max = 7,
     .row_group_rows_max = 90,
     .dictionary_row_keys = 1,
     .dictionary_values = 1},
    {.page_rows_max = 10, .row_group_rows_max = 64, .dictionary_values = 2, .data_page_v1 = true},
    {.page_rows_max = 3, .row_group_rows_max = 50, .statistics_bytes_max = 2},
};

static const struct parquet_writer_options targets[] = {
    {.page_rows_max = 9, .row_group_rows_max = 100},
    {.page_rows_max = 5, .row_group_bytes = 2000, .data_page_v1 = true},
    {.page_rows_max = 20, .dictionary_values = 2},
    {.page_rows_max = 4, .row_group_rows_max = 1000, .dictionary_values = 1},
};

/* One file of new rows and copied ones, cut at random. */
static void mix(struct runtime *runtime, const char *name, const struct batch *sample,
                struct source *sources, const struct parquet_writer_options *options)
{
    struct source target = {.bytes = BUFFER_INIT(FILE_BYTES_MAX)};
    struct parquet_sink sink = {take, &target.bytes};
    struct parquet_writer *writer;
    struct batch *parts[64], *expected;
    uint32_t n = 0;
    assert_ok(parquet_writer_open(&writer, runtime, sample->schema, &sink, options, NULL));
    for (unsigned i = 0; i < 12; i++) {
        if (random_below(runtime->random, 3) == 0) {
            parts[n] = rows_of(sample, (int64_t)random_below(runtime->random, 8),
                               1 + (int64_t)random_below(runtime->random, 40));
            assert_ok(parquet_writer_write(writer, parts[n++]));
            continue;
        }
        struct parquet_reader *reader = sources[random_below(runtime->random, N_SOURCES)].reader;
        const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
        uint32_t g = (uint32_t)random_below(runtime->random, metadata->n_row_groups);
        const struct parquet_row_group *group = &metadata->row_groups[g];
        uint64_t first = 0, rows = group->n_rows;
        if (random_below(runtime->random, 3)) {
            first = random_below(runtime->random, rows);
            rows = 1 + random_below(runtime->random, rows - first);
        }
        assert_true(parquet_writer_can_copy(writer, reader, g));
        assert_ok(parquet_writer_copy(writer, reader, g, first, rows));
        parts[n++] = rows_of(sample, (int64_t)(group->first_row + first), (int64_t)rows);
    }
    assert_ok(parquet_writer_finish(writer));
    parquet_writer_close(writer);
    assert_ok(batch_concat((const struct batch *const *)parts, n, NULL, &expected));
    while (n > 0)
        batch_release(parts[--n]);
    open_file(&target, runtime);
    check_file(&target, name, expected);
    batch_release(expected);
    close_file(&target);
}

static void copied_and_new_rows_mix_in_every_type_and_form(void **state)
{
    (void)state;
    static const int codecs[] = {PARQUET_ZSTD, PARQUET_UNCOMPRESSED, PARQUET_SNAPPY};
    struct arena arena = ARENA_EMPTY;
    struct runtime runtime = {
        .clock = clock_system(), .random = random_seeded_new(7), .pool = pool_new(2)};
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t i = 0; i < n; i++) {
        struct batch *sample = batch_of(all[i].type, all[i].values);
        int codec = codecs[i % COUNT(codecs)] + 1;
        struct source sources[N_SOURCES];
        for (unsigned s = 0; s < N_SOURCES; s++) {
            struct parquet_writer_options options = forms[s];
            options.codec = codec;
            write_file(&sources[s], &runtime, sample, 230, &options);
        }
        for (unsigned round = 0; round < 12; round++) {
            struct parquet_writer_options options = targets[round % COUNT(targets)];
            options.codec = codec;
            mix(&runtime, all[i].name, sample, sources, &options);
        }
        for (unsigned s = 0; s < N_SOURCES; s++)
            close_file(&sources[s]);
        batch_release(sample);
    }
    pool_free(runtime.pool);
    random_seeded_free(runtime.random);
    arena_free(&arena);
}

static void a_bloom_filter_has_the_copied_values_too(void **state)
{
    (void)state;
    struct runtime runtime = {
        .clock = clock_system(), .random = random_seeded_new(9), .pool = pool_new(0)};
    struct batch *sample =
        batch_of(plain_type(TYPE_STRING), "['a','bb',null,'ccc','dddd','e','ff','ggg']");
    struct parquet_column_options column = {.path = sample->schema->fields[0].name,
                                            .bloom_rate = 0.01};
    struct parquet_writer_options options = {
        .page_rows_max = 6, .columns = &column, .n_columns = 1};
    struct source sources[N_SOURCES];
    for (unsigned s = 0; s < N_SOURCES; s++)
        write_file(&sources[s], &runtime, sample, 100, &options);
    for (unsigned round = 0; round < 5; round++)
        mix(&runtime, "with a bloom filter", sample, sources, &options);
    for (unsigned s = 0; s < N_SOURCES; s++)
        close_file(&sources[s]);
    batch_release(sample);
    pool_free(runtime.pool);
    random_seeded_free(runtime.random);
}

static void what_does_not_fit_is_not_copied(void **state)
{
    (void)state;
    static const struct parquet_writer_options zstd = {0}, snappy = {.codec = PARQUET_SNAPPY + 1};
    struct runtime runtime = {.clock = clock_system(), .random = random_system()};
    runtime.pool = pool_new(0);
    struct batch *ints = batch_of(plain_type(TYPE_INT32), "[1,2,3]");
    struct batch *longs = batch_of(plain_type(TYPE_INT64), "[1,2,3]");
    struct batch *dates = batch_of(plain_type(TYPE_DATE), "[1,2,3]");
    struct source sources[3];
    write_file(&sources[0], &runtime, longs, 3, &zstd);
    write_file(&sources[1], &runtime, dates, 3, &zstd);
    write_file(&sources[2], &runtime, ints, 3, &snappy);
    struct buffer bytes = BUFFER_INIT(FILE_BYTES_MAX);
    struct parquet_sink sink = {take, &bytes};
    struct parquet_writer *writer;
    assert_ok(parquet_writer_open(&writer, &runtime, ints->schema, &sink, &zstd, NULL));
    for (unsigned s = 0; s < 3; s++) {
        assert_false(parquet_writer_can_copy(writer, sources[s].reader, 0));
        close_file(&sources[s]);
    }
    parquet_writer_close(writer);
    buffer_free(&bytes);
    batch_release(ints);
    batch_release(longs);
    batch_release(dates);
    pool_free(runtime.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copied_and_new_rows_mix_in_every_type_and_form),
        cmocka_unit_test(a_bloom_filter_has_the_copied_values_too),
        cmocka_unit_test(what_does_not_fit_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
