/*
 * test_parquet_dictionary.c: columns of Parquet files as dictionaries: which come as such, that
 * they share what they refer to, and how they look through the Arrow C stream interface.
 */
#include "test.h"

#include "glis.h"
#include "parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N_ROWS = 10000, GROUP_ROWS = 4000, N_WORDS = 13 };

struct world {
    struct budget budget;
    struct runtime runtime;
    char folder[64];
    struct store *store;
    struct batch *rows;
};

/* word: one of 13, each fifth null; bytes: one of 3, never null; n: a number; own: a text of its
 * own in each row; nothing: nulls. */
static const struct field fields[] = {{SLICE("word"), {.kind = TYPE_STRING}, true},
                                      {SLICE("bytes"), {.kind = TYPE_BYTES}, false},
                                      {SLICE("n"), {.kind = TYPE_INT64}, false},
                                      {SLICE("own"), {.kind = TYPE_STRING}, true},
                                      {SLICE("nothing"), {.kind = TYPE_STRING}, true}};
enum { N_FIELDS = 5 };

static void append_text(struct column_builder *column, const char *before, long long number)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%s%lld", before, number);
    assert_ok(column_builder_append_bytes(column, slice_make(text, (size_t)n)));
}

static struct batch *make_rows(void)
{
    struct schema *schema;
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(schema_new(&schema, fields, N_FIELDS, 0, 0));
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (int64_t i = 0; i < N_ROWS; i++) {
        struct column_builder *word = batch_builder_column(builder, 0);
        if (i % 5 == 4)
            assert_ok(column_builder_append_null(word));
        else
            append_text(word, "wörd ", i % N_WORDS);
        append_text(batch_builder_column(builder, 1), "", i % 3);
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 2), i % 7));
        struct column_builder *own = batch_builder_column(builder, 3);
        if (i % 11 == 10)
            assert_ok(column_builder_append_null(own));
        else
            append_text(own, "a text of its own ", i * 7919);
        assert_ok(column_builder_append_null(batch_builder_column(builder, 4)));
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    schema_release(schema);
    return batch;
}

static int to_buffer(void *state, struct slice bytes)
{
    return buffer_append(state, bytes.data, bytes.size);
}

static void put_file(struct world *world)
{
    struct buffer bytes = BUFFER_INIT(1 << 30);
    struct parquet_sink sink = {to_buffer, &bytes};
    struct parquet_writer *writer;
    struct parquet_writer_options options = {.row_group_rows_max = GROUP_ROWS,
                                             .page_rows_max = 700};
    assert_ok(
        parquet_writer_open(&writer, &world->runtime, world->rows->schema, &sink, &options, NULL));
    assert_ok(parquet_writer_write(writer, world->rows));
    assert_ok(parquet_writer_finish(writer));
    parquet_writer_close(writer);
    assert_ok(store_put(world->store, SLICE("file"), buffer_slice(&bytes), 0));
    buffer_free(&bytes);
}

static int set_up(void **state)
{
    struct world *world = memory_alloc_zero(sizeof *world);
    budget_init(&world->budget, "test memory", 0, NULL, NULL);
    world->runtime = (struct runtime){.clock = clock_system(),
                                      .random = random_system(),
                                      .pool = pool_new(2),
                                      .budget = &world->budget};
    snprintf(world->folder, sizeof world->folder, "/tmp/glis-dictionary-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    assert_ok(store_local_open(&world->runtime, world->folder, 0, &world->store));
    world->rows = make_rows();
    put_file(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    static const struct slice key = SLICE("file");
    assert_ok(store_remove(world->store, &key, 1));
    store_close(world->store);
    pool_free(world->runtime.pool);
    batch_release(world->rows);
    (void)rmdir(world->folder);
    free(world);
    return 0;
}

static void open_stream(struct world *world, const bool *marks, uint64_t first, int64_t batch_rows,
                        struct parquet_reader **reader, struct batch_stream **stream)
{
    static const uint32_t all[] = {0, 1, 2, 3, 4};
    assert_ok(
        parquet_reader_open(reader, &world->runtime, world->store, SLICE("file"), &world->budget));
    assert_ok(parquet_reader_stream_dictionaries(*reader, all, N_FIELDS, marks, first,
                                                 N_ROWS - first, batch_rows, stream));
}

static void check_rows(struct world *world, const struct batch *batch, int64_t at)
{
    struct arena arena = ARENA_EMPTY;
    const char *difference = NULL;
    struct batch *expected;
    assert_ok(batch_validate(batch, true));
    assert_ok(batch_slice(world->rows, at, batch->n_rows, &expected));
    if (!batch_equal(batch, expected, &arena, &difference))
        fail_msg("rows from %lld on: %s", (long long)at, difference);
    arena_free(&arena);
    batch_release(expected);
}

static void chunks_with_a_dictionary_keep_it(void **state)
{
    struct world *world = *state;
    static const bool marks[] = {true, true, true, true, true};
    for (int64_t first = 0; first < N_ROWS; first += 3777) {
        struct parquet_reader *reader;
        struct batch_stream *stream;
        struct batch *batch;
        const uint8_t *texts = NULL;
        int64_t at = first, group = -1;
        open_stream(world, marks, (uint64_t)first, 900, &reader, &stream);
        for (;; at += batch->n_rows, batch_release(batch)) {
            assert_ok(batch_stream_next(stream, &batch));
            if (!batch) break;
            check_rows(world, batch, at);
            const struct column *columns = batch->columns;
            assert_non_null(columns[0].dictionary);
            assert_int_equal(columns[0].dictionary->length, N_WORDS);
            assert_non_null(columns[1].dictionary);
            assert_int_equal(columns[1].dictionary->length, 3);
            assert_null(columns[2].dictionary); /* no text */
            assert_null(columns[3].dictionary); /* its pages have none */
            assert_null(columns[4].dictionary); /* no value */
            if (group == at / GROUP_ROWS && texts)
                assert_ptr_equal(columns[0].dictionary->values.data, texts);
            group = at / GROUP_ROWS;
            texts = columns[0].dictionary->values.data;
        }
        assert_int_equal(at, N_ROWS);
        batch_stream_close(stream);
        parquet_reader_close(reader);
        assert_int_equal(budget_used(&world->budget), 0);
    }
}

static void only_marked_fields_come_as_dictionaries(void **state)
{
    struct world *world = *state;
    static const bool marks[] = {false, true, false, false, false};
    struct parquet_reader *reader;
    struct batch_stream *stream;
    struct batch *batch;
    open_stream(world, marks, 0, 0, &reader, &stream);
    assert_ok(batch_stream_next(stream, &batch));
    check_rows(world, batch, 0);
    assert_null(batch->columns[0].dictionary);
    assert_non_null(batch->columns[1].dictionary);
    batch_release(batch);
    batch_stream_close(stream);
    parquet_reader_close(reader);
}

static void through_the_arrow_interface(void **state)
{
    struct world *world = *state;
    static const bool marks[] = {true, true, false, true, true};
    struct parquet_reader *reader;
    struct batch_stream *stream, *back;
    struct ArrowArrayStream exported;
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct batch *batch;
    open_stream(world, marks, 0, 1000, &reader, &stream);
    assert_ok(arrow_export_stream_dictionaries(stream, marks, &exported));
    assert_int_equal(exported.get_schema(&exported, &schema), 0);
    assert_string_equal(schema.children[0]->format, "i");
    assert_string_equal(schema.children[0]->name, "word");
    assert_string_equal(schema.children[0]->dictionary->format, "u");
    assert_string_equal(schema.children[1]->dictionary->format, "z");
    assert_null(schema.children[2]->dictionary);
    schema.release(&schema);
    assert_int_equal(exported.get_next(&exported, &array), 0);
    assert_int_equal(array.length, 1000);
    assert_int_equal(array.children[0]->dictionary->length, N_WORDS);
    assert_int_equal(array.children[0]->null_count, 200);
    assert_int_equal(array.children[3]->dictionary->length, 1000); /* its own values */
    const int32_t *indices = array.children[3]->buffers[1];
    assert_int_equal(indices[0], 0);
    assert_int_equal(indices[999], 999);
    array.release(&array);
    assert_ok(arrow_import_stream(&exported, NULL, &back));
    int64_t at = 1000;
    for (;; at += batch->n_rows, batch_release(batch)) {
        assert_ok(batch_stream_next(back, &batch));
        if (!batch) break;
        check_rows(world, batch, at);
    }
    assert_int_equal(at, N_ROWS);
    batch_stream_close(back);
    parquet_reader_close(reader);
    assert_int_equal(budget_used(&world->budget), 0);
}

static void what_is_nested_is_no_dictionary(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    struct field list = {SLICE("l"), {.kind = TYPE_LIST}, true};
    list.type = type_list(&arena, (struct type){.kind = TYPE_STRING}, true);
    struct schema *schema;
    assert_ok(schema_new(&schema, &list, 1, 0, 0));
    struct batch_stream stream = {.schema = schema};
    struct ArrowArrayStream out;
    static const bool marks[] = {true};
    assert_fails(arrow_export_stream_dictionaries(&stream, marks, &out), GLIS_EINVALID, "'l'");
    schema_release(schema);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_with_a_dictionary_keep_it),
        cmocka_unit_test(only_marked_fields_come_as_dictionaries),
        cmocka_unit_test(through_the_arrow_interface),
        cmocka_unit_test(what_is_nested_is_no_dictionary),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
