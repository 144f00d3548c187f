/*
 * test_parquet_write.c: every kind of type through a file in memory and back, whole and in slices,
 * in all forms of pages and codecs; bounds by hand; sinks that fail and memory that runs out.
 * What other readers make of the files, the system tests show (test_parquet_matrix.py).
 */
#include "batches.h"

#include "parquet/parquet.h"
#include "store/store.h"

enum { FILE_BYTES_MAX = 64 << 20 };

static struct pool *pool;

static struct runtime runtime_of(struct budget *budget)
{
    if (!pool) pool = pool_new(2);
    return (struct runtime){
        .clock = clock_system(), .random = random_system(), .pool = pool, .budget = budget};
}

/* Takes bytes until `left` writes were made; then it fails. */
struct sink {
    struct buffer *bytes;
    int left; /* negative: for ever */
};

static int take(void *state, struct slice bytes)
{
    struct sink *sink = state;
    if (sink->left == 0) return error_set(GLIS_EIO, "the sink is full");
    sink->left -= sink->left > 0;
    return buffer_append_slice(sink->bytes, bytes);
}

static int write_batches(struct runtime *runtime, struct batch *const *batches, size_t n,
                         const struct parquet_writer_options *options, struct sink *sink)
{
    struct parquet_writer *writer;
    struct parquet_sink to = {take, sink};
    TRY(parquet_writer_open(&writer, runtime, batches[0]->schema, &to, options, runtime->budget));
    int code = 0;
    for (size_t i = 0; i < n && code == 0; i++)
        code = parquet_writer_write(writer, batches[i]);
    if (code == 0) code = parquet_writer_finish(writer);
    /* A file that has failed stays so. */
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        assert_true(parquet_writer_finish(writer) < 0);
        code = error_load(&detail);
    }
    parquet_writer_close(writer);
    return code;
}

/* The file as a reader sees it; the store holds the bytes. */
static struct parquet_reader *open_bytes(struct runtime *runtime, const struct buffer *bytes,
                                         struct store **store)
{
    struct parquet_reader *reader;
    assert_ok(store_memory_open(runtime, store));
    assert_ok(store_put(*store, SLICE("f"), buffer_slice(bytes), 0));
    assert_ok(parquet_reader_open(&reader, runtime, *store, SLICE("f"), NULL));
    return reader;
}

static struct batch *read_all(struct parquet_reader *reader)
{
    struct batch_stream *stream;
    struct batch *batches[64], *all;
    uint32_t n = 0;
    assert_ok(parquet_reader_stream(reader, &stream));
    for (;;) {
        assert_true(n < COUNT(batches));
        assert_ok(batch_stream_next(stream, &batches[n]));
        if (!batches[n]) break;
        assert_ok(batch_validate(batches[n], true));
        n++;
    }
    batch_stream_close(stream);
    assert_true(n > 0);
    assert_ok(batch_concat((const struct batch *const *)batches, n, NULL, &all));
    while (n > 0)
        batch_release(batches[--n]);
    return all;
}

static const struct parquet_writer_options forms[] = {
    {0},
    {.codec = PARQUET_UNCOMPRESSED + 1, .data_page_v1 = true, .without_checksums = true},
    {.codec = PARQUET_SNAPPY + 1, .dictionary_row_keys = 2, .dictionary_values = 2},
    {.codec = PARQUET_GZIP + 1, .page_bytes = 1, .key_page_bytes = 1},
    {.codec = PARQUET_BROTLI + 1, .row_group_rows_max = 3, .data_page_v1 = true},
    {.codec = PARQUET_LZ4_RAW + 1, .page_rows_max = 2, .dictionary_values = 1},
};

static void every_type_comes_back(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    struct runtime runtime = runtime_of(NULL);
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t i = 0; i < n; i++) {
        for (size_t f = 0; f < COUNT(forms); f++) {
            struct buffer bytes defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
            struct sink sink = {&bytes, -1};
            struct batch *batch = batch_of(all[i].type, all[i].values);
            struct store *store;
            int code = write_batches(&runtime, &batch, 1, &forms[f], &sink);
            if (code < 0) fail_msg("%s, form %zu: %s", all[i].name, f, error_message());
            struct parquet_reader *reader = open_bytes(&runtime, &bytes, &store);
            struct batch *back = read_all(reader);
            assert_values(back, all[i].values);
            batch_release(back);
            parquet_reader_close(reader);
            store_close(store);
            batch_release(batch);
        }
    }
    arena_free(&arena);
}

/* Slices of a batch, some empty, give the same file as the batch where pages do not depend on how
 * rows come. */
static void slices_give_the_same_bytes(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    struct runtime runtime = runtime_of(NULL);
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t i = 0; i < n; i++) {
        struct buffer whole defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
        struct buffer sliced defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
        struct sink to_whole = {&whole, -1}, to_sliced = {&sliced, -1};
        struct batch *batch = batch_of(all[i].type, all[i].values), *parts[4];
        const int64_t cuts[] = {0, 3, 3, 4, batch->n_rows};
        for (int p = 0; p < 4; p++)
            assert_ok(batch_slice(batch, cuts[p], cuts[p + 1] - cuts[p], &parts[p]));
        assert_ok(write_batches(&runtime, &batch, 1, NULL, &to_whole));
        assert_ok(write_batches(&runtime, parts, 4, NULL, &to_sliced));
        if (!slice_equal(buffer_slice(&whole), buffer_slice(&sliced)))
            fail_msg("%s: slices make another file", all[i].name);
        for (int p = 0; p < 4; p++)
            batch_release(parts[p]);
        batch_release(batch);
    }
    arena_free(&arena);
}

/* ---- bounds ---- */

struct bound_case {
    const char *name;
    struct type type;
    const char *values;
    bool has;
    const char *min, *max; /* plain bytes in hexadecimal; NULL: not looked at */
    bool min_exact, max_exact;
};

static void hexadecimal(struct slice s, struct buffer *out)
{
    buffer_clear(out);
    for (size_t i = 0; i < s.size; i++)
        assert_ok(buffer_printf(out, "%02x", (uint8_t)s.data[i]));
}

static void bounds_are_as_the_format_says(void **state)
{
    (void)state;
    struct runtime runtime = runtime_of(NULL);
    const struct bound_case cases[] = {
        {"integers", {.kind = TYPE_INT32}, "[3,-1,null,2]", true, "ffffffff", "03000000", 1, 1},
        {"unsigned", {.kind = TYPE_UINT32}, "[3,4294967295,0]", true, "00000000", "ffffffff", 1, 1},
        {"nulls", {.kind = TYPE_INT32}, "[null,null]", false, NULL, NULL, 0, 0},
        /* A zero is -0 below and +0 above, whichever there is. */
        {"zeros",
         {.kind = TYPE_DOUBLE},
         "[0.0,1.0]",
         true,
         "0000000000000080",
         "000000000000f03f",
         0,
         1},
        /* The reader cannot know which zero was meant. */
        {"one zero",
         {.kind = TYPE_DOUBLE},
         "[0.0]",
         true,
         "0000000000000080",
         "0000000000000000",
         0,
         0},
        {"texts", {.kind = TYPE_STRING}, "['b','','a']", true, "", "62", 1, 1},
        {"truth", {.kind = TYPE_BOOLEAN}, "[1,0]", true, "00", "01", 1, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct bound_case *c = &cases[i];
        struct buffer bytes defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
        struct buffer text defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
        struct sink sink = {&bytes, -1};
        struct batch *batch = batch_of(c->type, c->values);
        struct store *store;
        assert_ok(write_batches(&runtime, &batch, 1, NULL, &sink));
        struct parquet_reader *reader = open_bytes(&runtime, &bytes, &store);
        const struct parquet_statistics *s =
            &parquet_reader_metadata(reader)->row_groups[0].chunks[0].statistics;
        if (s->has_min != c->has || s->has_max != c->has) fail_msg("%s: bounds or not", c->name);
        if (c->has) {
            hexadecimal(s->min, &text);
            if (!slice_equal_text(buffer_slice(&text), c->min))
                fail_msg("%s: min %.*s", c->name, SLICE_PRINT(buffer_slice(&text)));
            hexadecimal(s->max, &text);
            if (!slice_equal_text(buffer_slice(&text), c->max))
                fail_msg("%s: max %.*s", c->name, SLICE_PRINT(buffer_slice(&text)));
            if (s->min_exact != c->min_exact || s->max_exact != c->max_exact)
                fail_msg("%s: exact or not", c->name);
        }
        parquet_reader_close(reader);
        store_close(store);
        batch_release(batch);
    }
}

/* A batch of one field from bytes, for values that JSON has no words for. */
static struct batch *batch_of_bytes(enum type_kind kind, const struct slice *values, size_t n)
{
    struct schema *schema = schema_with(plain_type(kind), true);
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (size_t i = 0; i < n; i++) {
        struct column_builder *column = batch_builder_column(builder, 0);
        if (kind == TYPE_DOUBLE) {
            double real;
            memcpy(&real, values[i].data, 8);
            assert_ok(column_builder_append_real(column, real));
        } else {
            assert_ok(column_builder_append_bytes(column, values[i]));
        }
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    schema_release(schema);
    return batch;
}

static void no_bounds_beside_a_nan(void **state)
{
    (void)state;
    struct runtime runtime = runtime_of(NULL);
    const double reals[] = {1, __builtin_nan(""), 2};
    struct slice values[3];
    for (int i = 0; i < 3; i++)
        values[i] = slice_make(&reals[i], 8);
    for (int without = 0; without < 2; without++) {
        struct buffer bytes defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
        struct sink sink = {&bytes, -1};
        struct batch *batch = batch_of_bytes(TYPE_DOUBLE, values, without ? 1 : 3);
        struct store *store;
        assert_ok(write_batches(&runtime, &batch, 1, NULL, &sink));
        struct parquet_reader *reader = open_bytes(&runtime, &bytes, &store);
        const struct parquet_chunk *chunk =
            &parquet_reader_metadata(reader)->row_groups[0].chunks[0];
        assert_int_equal(chunk->statistics.has_min, without);
        assert_int_equal(chunk->column_index_size > 0, without);
        parquet_reader_close(reader);
        store_close(store);
        batch_release(batch);
    }
}

/* Long texts are cut between characters: the least down, the greatest up, as far as a character can
 * be raised; what cannot is kept whole. */
static void long_bounds_are_cut_outward(void **state)
{
    (void)state;
    struct runtime runtime = runtime_of(NULL);
    static char umlauts[200], highest[200], bytes_high[200];
    for (int i = 0; i < 200; i += 2)
        memcpy(umlauts + i, "\xc3\xbc", 2);
    for (int i = 0; i < 200; i += 4)
        memcpy(highest + i, "\xf4\x8f\xbf\xbf", 4); /* U+10FFFF */
    memset(bytes_high, 0xff, sizeof bytes_high);
    const struct {
        const char *name;
        enum type_kind kind;
        const char *text;
        size_t max_size, min_size;
        const char *max_end; /* its last two bytes */
        bool exact_max;
    } cases[] = {
        {"umlauts", TYPE_STRING, umlauts, 128, 128, "\xc3\xbd", false},
        {"the highest character", TYPE_STRING, highest, 200, 128, "\xbf\xbf", true},
        {"the highest byte", TYPE_BYTES, bytes_high, 200, 128, "\xff\xff", true},
        {"umlauts as bytes", TYPE_BYTES, umlauts, 128, 128, "\xc3\xbd", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer bytes defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
        struct sink sink = {&bytes, -1};
        struct slice value = slice_make(cases[i].text, 200);
        struct batch *batch = batch_of_bytes(cases[i].kind, &value, 1);
        struct store *store;
        assert_ok(write_batches(&runtime, &batch, 1, NULL, &sink));
        struct parquet_reader *reader = open_bytes(&runtime, &bytes, &store);
        const struct parquet_statistics *s =
            &parquet_reader_metadata(reader)->row_groups[0].chunks[0].statistics;
        assert_true(s->has_min && s->has_max);
        if (s->min.size != cases[i].min_size || s->max.size != cases[i].max_size)
            fail_msg("%s: bounds of %zu and %zu bytes", cases[i].name, s->min.size, s->max.size);
        assert_false(s->min_exact);
        assert_int_equal(s->max_exact, cases[i].exact_max);
        assert_true(slice_compare(s->min, value) <= 0 && slice_compare(s->max, value) >= 0);
        assert_memory_equal(s->max.data + s->max.size - 2, cases[i].max_end, 2);
        parquet_reader_close(reader);
        store_close(store);
        batch_release(batch);
    }
}

/* ---- what fails ---- */

static void a_sink_may_fail_at_any_write(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, "test", 0, NULL, NULL);
    struct runtime runtime = runtime_of(&budget);
    struct parquet_writer_options options = {.row_group_rows_max = 2};
    int writes = 0;
    for (;; writes++) {
        struct buffer bytes defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
        struct sink sink = {&bytes, writes};
        struct batch *batch = batch_of(plain_type(TYPE_STRING), "['a','b',null,'d','e']");
        int code = write_batches(&runtime, &batch, 1, &options, &sink);
        batch_release(batch);
        assert_true(budget.used_bytes == 0);
        if (code == 0) break;
        assert_int_equal(code, GLIS_EIO);
    }
    assert_true(writes > 8); /* the mark, three row groups, their indexes, the footer */
}

static void memory_may_end_anywhere(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    size_t n, failures = 0;
    const struct sample *all = samples(&arena, &n);
    for (size_t i = 0; i < n; i++) {
        struct batch *batch = batch_of(all[i].type, all[i].values);
        for (uint64_t limit = 64;; limit += limit / 4) {
            struct budget budget;
            budget_init(&budget, "test", limit, NULL, NULL);
            struct runtime runtime = runtime_of(&budget);
            struct buffer bytes defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
            struct sink sink = {&bytes, -1};
            int code = write_batches(&runtime, &batch, 1, NULL, &sink);
            assert_true(budget.used_bytes == 0);
            if (code == 0) break;
            assert_int_equal(code, GLIS_ENOMEM);
            failures++;
        }
        batch_release(batch);
    }
    assert_true(failures > n);
    arena_free(&arena);
}

/* A file of n texts, `first` once and then the nine digits in turn, each `width` times; all in one
 * page behind a dictionary. */
static struct parquet_reader *open_texts(struct runtime *runtime, size_t first, size_t width,
                                         size_t n, struct budget *budget, struct store **store)
{
    const struct parquet_writer_options options = {.page_bytes = 256 << 20,
                                                   .page_rows_max = 1 << 20,
                                                   .row_group_bytes = 256 << 20,
                                                   .dictionary_values = 2,
                                                   .dictionary_row_keys = 2};
    struct buffer bytes = BUFFER_INIT(FILE_BYTES_MAX);
    struct sink sink = {&bytes, -1};
    char *text = memory_alloc(first), *digits = memory_alloc(9 * width);
    struct slice *values = memory_alloc(n * sizeof *values);
    memset(text, 'x', first);
    values[0] = slice_make(text, first);
    for (size_t i = 0; i < 9; i++)
        memset(digits + i * width, '1' + (int)i, width);
    for (size_t i = 1; i < n; i++)
        values[i] = slice_make(digits + i % 9 * width, width);
    struct batch *batch = batch_of_bytes(TYPE_STRING, values, n);
    assert_ok(write_batches(runtime, &batch, 1, &options, &sink));
    batch_release(batch);
    struct parquet_reader *reader;
    assert_ok(store_memory_open(runtime, store));
    assert_ok(store_put(*store, SLICE("f"), buffer_slice(&bytes), 0));
    assert_ok(parquet_reader_open(&reader, runtime, *store, SLICE("f"), budget));
    buffer_free(&bytes);
    free(values);
    free(digits);
    free(text);
    return reader;
}

/* What a page takes follows from its rows, not from the entries of its dictionary. */
static void one_long_text_takes_its_own_room(void **state)
{
    (void)state;
    enum { ROWS = 40000, LONG = 900000 };
    struct runtime runtime = runtime_of(NULL);
    struct budget budget;
    struct store *store;
    struct batch *batch;
    uint32_t field = 0;
    struct parquet_reader *reader = open_texts(&runtime, LONG, 1, ROWS, NULL, &store);
    budget_init(&budget, "test", 16 << 20, NULL, NULL);
    assert_ok(parquet_reader_rows_of(reader, 0, &field, 1, 0, ROWS, &budget, &batch));
    assert_int_equal(column_slice_at(&batch->columns[0], 0).size, LONG);
    assert_true(slice_equal(column_slice_at(&batch->columns[0], ROWS - 1),
                            slice_make(&"123456789"[(ROWS - 1) % 9], 1)));
    batch_release(batch);
    assert_int_equal(budget_used(&budget), 0);
    parquet_reader_close(reader);
    store_close(store);
}

/* Rows that do not fit the budget at once come in several batches. */
static void conditions_make_do_with_a_small_budget(void **state)
{
    (void)state;
    enum { ROWS = 20000, WIDTH = 2000 };
    struct runtime runtime = runtime_of(NULL);
    struct budget budget;
    struct store *store;
    struct batch_stream *stream;
    struct batch *batch;
    uint32_t field = 0;
    uint64_t rows = 0;
    struct parquet_condition condition = {.op = PARQUET_IS_NOT_NULL};
    budget_init(&budget, "test", 12 << 20, NULL, NULL);
    struct parquet_reader *reader = open_texts(&runtime, WIDTH, WIDTH, ROWS, &budget, &store);
    uint64_t before = budget_used(&budget);
    assert_ok(parquet_reader_stream_where(reader, &field, 1, &condition, 1, NULL, &stream));
    for (;;) {
        assert_ok(batch_stream_next(stream, &batch));
        if (!batch) break;
        struct slice text = column_slice_at(&batch->columns[0], batch->n_rows - 1);
        rows += (uint64_t)batch->n_rows;
        assert_int_equal(text.size, WIDTH);
        assert_int_equal(text.data[WIDTH - 1], "123456789"[(rows - 1) % 9]);
        batch_release(batch);
    }
    assert_int_equal(rows, ROWS);
    batch_stream_close(stream);
    assert_true(budget_used(&budget) >= before); /* footers and indexes are kept */
    parquet_reader_close(reader);
    assert_int_equal(budget_used(&budget), 0);
    store_close(store);
}

static void files_without_rows_and_wrong_wishes(void **state)
{
    (void)state;
    struct runtime runtime = runtime_of(NULL);
    struct batch *batch = batch_of(plain_type(TYPE_INT32), "[1]"), *none;
    struct buffer bytes defer_buffer = BUFFER_INIT(FILE_BYTES_MAX);
    struct sink sink = {&bytes, -1};
    struct store *store;
    assert_ok(batch_slice(batch, 0, 0, &none));
    assert_ok(write_batches(&runtime, &none, 1, NULL, &sink));
    struct parquet_reader *reader = open_bytes(&runtime, &bytes, &store);
    assert_int_equal(parquet_reader_rows(reader), 0);
    assert_int_equal(parquet_reader_metadata(reader)->n_row_groups, 0);
    parquet_reader_close(reader);
    store_close(store);

    struct slice name = batch->schema->fields[0].name;
    struct parquet_column_options wrong = {.path = name, .encoding = PARQUET_DELTA_BYTE_ARRAY + 1};
    struct parquet_writer_options options = {.columns = &wrong, .n_columns = 1};
    assert_fails(write_batches(&runtime, &batch, 1, &options, &sink), GLIS_EINVALID, NULL);
    wrong = (struct parquet_column_options){.path = SLICE("nobody"), .encoding = PARQUET_PLAIN + 1};
    assert_fails(write_batches(&runtime, &batch, 1, &options, &sink), GLIS_EINVALID, "nobody");
    wrong = (struct parquet_column_options){.path = name, .bloom_rate = 1};
    assert_fails(write_batches(&runtime, &batch, 1, &options, &sink), GLIS_EINVALID, "rate");
    options = (struct parquet_writer_options){.codec = PARQUET_LZO + 1};
    assert_fails(write_batches(&runtime, &batch, 1, &options, &sink), GLIS_EUNSUPPORTED, "LZO");
    batch_release(none);
    batch_release(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(slices_give_the_same_bytes),
        cmocka_unit_test(bounds_are_as_the_format_says),
        cmocka_unit_test(no_bounds_beside_a_nan),
        cmocka_unit_test(long_bounds_are_cut_outward),
        cmocka_unit_test(a_sink_may_fail_at_any_write),
        cmocka_unit_test(memory_may_end_anywhere),
        cmocka_unit_test(one_long_text_takes_its_own_room),
        cmocka_unit_test(conditions_make_do_with_a_small_budget),
        cmocka_unit_test(files_without_rows_and_wrong_wishes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
