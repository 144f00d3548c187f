/*
 * test_file_sketches.c: the section of sketches in data files: right for written rows, for copied
 * ones and for files without it; the same bytes each way; damage named.
 */
#include "sorting.h"

#include "lsm/ingest_int.h"
#include "parquet/parquet.h"
#include "sketch/sketch.h"

#include <stdio.h>

struct sketch_world {
    struct sorting_world base;
    struct store *store;
    struct instance *instance;
    struct table *table;
    const struct table_state *state;
    struct schema *schema;
    struct arena arena;
};

static void world_open(struct sketch_world *world)
{
    static const struct type keys[] = {{.kind = TYPE_STRING}, {.kind = TYPE_INT64}};
    memset(world, 0, sizeof *world);
    sorting_world_open(&world->base, 1);
    assert_ok(store_memory_open(&world->base.runtime, &world->store));
    world->schema = sorting_schema(keys, 2, 0);
    assert_ok(instance_init(&world->base.runtime, world->store, NULL, 0));
    assert_ok(instance_open(&world->base.runtime, world->store, 0, NULL, &world->instance));
    struct setting setting = {SLICE("glis.table.parquet.rowgroup.size"), SLICE("128K")};
    struct table_definition definition = {
        .name = SLICE("t"), .schema = world->schema, .settings = &setting, .n_settings = 1};
    assert_ok(table_create(world->instance, &definition, &world->table));
    assert_ok(table_state_get(world->table, 0, &world->state));
}

static void world_close(struct sketch_world *world)
{
    table_state_release(world->state);
    table_close(world->table);
    instance_close(world->instance);
    store_close(world->store);
    schema_release(world->schema);
    arena_free(&world->arena);
    sorting_world_close(&world->base);
}

/* Random rows, sorted. */
static struct batch *sorted_rows(struct sketch_world *world, int64_t n, uint64_t spread)
{
    struct sorting_rows rows =
        sorting_rows_make(world->schema, world->base.runtime.random, n, n, spread);
    struct sorter_options options = {.memory_bytes = 64 << 20};
    struct sorter *sorter;
    struct batch_stream *stream;
    struct batch *pieces[1000], *all;
    uint32_t n_pieces = 0;
    assert_ok(sorter_new(&sorter, &world->base.runtime, world->schema, &options));
    for (int64_t i = 0; i < rows.n_batches; i++)
        assert_ok(sorter_add(sorter, rows.batches[i]));
    assert_ok(sorter_finish(sorter, &stream));
    for (;; n_pieces++) {
        assert_true(n_pieces < 1000);
        assert_ok(batch_stream_next(stream, &pieces[n_pieces]));
        if (!pieces[n_pieces]) break;
    }
    assert_ok(batch_concat((const struct batch *const *)pieces, n_pieces, NULL, &all));
    for (uint32_t i = 0; i < n_pieces; i++)
        batch_release(pieces[i]);
    batch_stream_close(stream);
    sorter_free(sorter);
    sorting_rows_free(&rows);
    return all;
}

/* Writes rows as a data file, `step` at a time. */
static struct merge_file_input write_file(struct sketch_world *world, const struct batch *rows,
                                          int64_t step)
{
    struct data_file_context context = {.table = world->table,
                                        .state = world->state,
                                        .runtime = &world->base.runtime,
                                        .store = world->store,
                                        .schema = world->schema,
                                        .arena = &world->arena};
    struct data_file_writer *writer;
    struct data_file file = {0};
    assert_ok(data_file_open(&writer, &context));
    for (int64_t at = 0; at < rows->n_rows; at += step) {
        struct batch *part;
        int64_t n = rows->n_rows - at < step ? rows->n_rows - at : step;
        assert_ok(batch_slice(rows, at, n, &part));
        assert_ok(data_file_write(writer, part));
        batch_release(part);
    }
    assert_ok(data_file_finish(writer, &file));
    arena_free(&file.arena);
    return (struct merge_file_input){.name = file.name,
                                     .object_key = file.key,
                                     .size = file.size,
                                     .rows = file.rows,
                                     .schema_version = table_state_schema_version(world->state)};
}

static int into_buffer(void *state, struct slice bytes)
{
    return buffer_append_slice(state, bytes);
}

static struct buffer sketch_bytes(const struct file_sketches *sketches, const struct schema *schema)
{
    struct buffer out = BUFFER_INIT(64 << 20);
    assert_ok(file_sketches_encode(sketches, schema, &out));
    return out;
}

/* Least and greatest field key, and the number of distinct ones. */
static void check_field(const struct field_sketch *sketch, const struct batch *rows, uint32_t field)
{
    struct buffer least = BUFFER_INIT(1000), greatest = BUFFER_INIT(1000);
    const char *reason;
    for (int64_t row = 0; row < rows->n_rows; row++) {
        struct buffer key = BUFFER_INIT(1000);
        struct value value;
        column_value(&rows->columns[field], row, &value);
        assert_ok(key_append_value(rows->columns[field].type, &value, &key));
        struct slice s = buffer_slice(&key);
        if (row == 0 || slice_compare(s, buffer_slice(&least)) < 0) {
            buffer_clear(&least);
            assert_ok(buffer_append_slice(&least, s));
        }
        if (row == 0 || slice_compare(s, buffer_slice(&greatest)) > 0) {
            buffer_clear(&greatest);
            assert_ok(buffer_append_slice(&greatest, s));
        }
        buffer_free(&key);
    }
    assert_int_equal(kll_count(sketch->quantiles), rows->n_rows);
    assert_true(slice_equal(kll_min(sketch->quantiles), buffer_slice(&least)));
    assert_true(slice_equal(kll_max(sketch->quantiles), buffer_slice(&greatest)));
    if (!kll_validate(sketch->quantiles, &reason)) fail_msg("%s", reason);
    if (!hll_validate(sketch->distinct, &reason)) fail_msg("%s", reason);
    buffer_free(&least);
    buffer_free(&greatest);
}

static void a_file_has_the_sketches_of_its_rows_and_others_get_the_same(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 500, 30000};
    struct sketch_world world;
    world_open(&world);
    for (size_t i = 0; i < 3; i++) {
        struct batch *rows = sorted_rows(&world, sizes[i], i == 1 ? 3 : 100000);
        struct merge_file_input file = write_file(&world, rows, 777);
        struct file_sketches *written, *made;
        assert_ok(
            data_file_sketches(world.table, world.state, &world.base.runtime, &file, &written));
        assert_false(written->is_made);
        assert_int_equal(written->n_fields, 2);
        for (uint32_t f = 0; f < 2; f++)
            check_field(&written->fields[f], rows, f);
        /* The same rows as another program would write them. */
        struct buffer plain = BUFFER_INIT(64 << 20);
        struct parquet_sink sink = {into_buffer, &plain};
        struct parquet_writer *writer;
        assert_ok(
            parquet_writer_open(&writer, &world.base.runtime, world.schema, &sink, NULL, NULL));
        assert_ok(parquet_writer_write(writer, rows));
        assert_ok(parquet_writer_finish(writer));
        parquet_writer_close(writer);
        char key[32];
        snprintf(key, sizeof key, "plain%zu", i);
        assert_ok(store_put(world.store, slice_from_text(key), buffer_slice(&plain), 0));
        struct merge_file_input other = file;
        other.object_key = slice_from_text(key);
        assert_ok(data_file_sketches(world.table, world.state, &world.base.runtime, &other, &made));
        assert_true(made->is_made);
        struct buffer a = sketch_bytes(written, world.schema), b = sketch_bytes(made, world.schema);
        assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
        buffer_free(&a);
        buffer_free(&b);
        buffer_free(&plain);
        file_sketches_free(written);
        file_sketches_free(made);
        batch_release(rows);
    }
    world_close(&world);
}

/* Rows whose first field key lies in the range, one by one. */
static uint64_t count_rows(const struct batch *rows, const struct key_range *range)
{
    uint64_t n = 0;
    for (int64_t row = 0; row < rows->n_rows; row++) {
        struct buffer key = BUFFER_INIT(1000);
        struct value value;
        column_value(&rows->columns[0], row, &value);
        assert_ok(key_append_value(rows->columns[0].type, &value, &key));
        n += key_range_contains(range, buffer_slice(&key));
        buffer_free(&key);
    }
    return n;
}

static struct slice first_key(struct sketch_world *world, const struct batch *rows, int64_t row)
{
    struct buffer key = BUFFER_INIT(1000);
    struct value value;
    column_value(&rows->columns[0], row, &value);
    assert_ok(key_append_value(rows->columns[0].type, &value, &key));
    struct slice copy = arena_copy(&world->arena, buffer_slice(&key));
    buffer_free(&key);
    return copy;
}

/* The most rows of a page of the first field. */
static uint64_t page_rows_max(struct parquet_reader *reader)
{
    uint64_t most = 0;
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    for (uint32_t g = 0; g < metadata->n_row_groups; g++) {
        const struct parquet_page_index *index;
        assert_ok(parquet_reader_page_index(reader, g, 0, &index));
        assert_non_null(index);
        for (uint32_t p = 0; p < index->n_pages; p++) {
            uint64_t end = p + 1 < index->n_pages ? index->pages[p + 1].first_row
                                                  : metadata->row_groups[g].n_rows;
            if (end - index->pages[p].first_row > most) most = end - index->pages[p].first_row;
        }
    }
    return most;
}

static void slices_are_told_by_pages_to_within_a_page(void **state)
{
    (void)state;
    enum { ROWS = 60000 };
    static const struct {
        int64_t from, n;
    } slices[] = {{0, 300}, {0, 9000}, {20000, 1}, {30001, 700}, {30001, 9500}, {50000, 10000}};
    struct sketch_world world;
    world_open(&world);
    struct batch *rows = sorted_rows(&world, ROWS, 1 << 30);
    struct merge_file_input input = write_file(&world, rows, 5000);
    struct parquet_reader *reader;
    assert_ok(parquet_reader_open(&reader, &world.base.runtime, world.store, input.object_key,
                                  &world.base.budget));
    uint64_t page = page_rows_max(reader), told;
    assert_in_range(page, 1, 3000);
    struct slice field = world.schema->fields[0].name;
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        int64_t end = slices[i].from + slices[i].n;
        struct key_range range = {.min = first_key(&world, rows, slices[i].from)};
        range.unbounded = end == ROWS;
        if (end < ROWS) range.max = first_key(&world, rows, end);
        uint64_t real = count_rows(rows, &range);
        assert_ok(page_rows_estimate(reader, field, &range, &told));
        assert_in_range(told, real > page ? real - page : 0, real + page);
    }
    const struct key_range all = {.unbounded = true};
    assert_ok(page_rows_estimate(reader, field, &all, &told));
    assert_int_equal(told, ROWS);
    assert_ok(page_rows_estimate(reader, SLICE("no such field"), &all, &told));
    assert_true(told == ROWS_UNKNOWN);
    parquet_reader_close(reader);
    batch_release(rows);
    world_close(&world);
}

static void copied_row_groups_are_in_the_sketches(void **state)
{
    (void)state;
    struct sketch_world world;
    world_open(&world);
    struct batch *rows = sorted_rows(&world, 20000, 100000), *halves[2];
    struct merge_file_input inputs[2];
    for (int i = 0; i < 2; i++) {
        assert_ok(batch_slice(rows, i * 10000, 10000, &halves[i]));
        inputs[i] = write_file(&world, halves[i], 3000);
        batch_release(halves[i]);
    }
    struct merge_files_result result;
    struct merge_files_options options = {0};
    assert_ok(merge_files(world.table, world.state, &world.base.runtime, inputs, 2, &options,
                          &world.arena, &result));
    assert_true(result.rows_copied > 0);
    struct merge_file_input file = {.name = result.file.name,
                                    .object_key = result.object_key,
                                    .size = result.file.size,
                                    .rows = result.file.rows,
                                    .schema_version = 1};
    struct file_sketches *sketches;
    assert_ok(data_file_sketches(world.table, world.state, &world.base.runtime, &file, &sketches));
    assert_false(sketches->is_made);
    for (uint32_t f = 0; f < 2; f++)
        check_field(&sketches->fields[f], rows, f);
    file_sketches_free(sketches);
    batch_release(rows);
    world_close(&world);
}

static void damage_is_named(void **state)
{
    (void)state;
    struct sketch_world world;
    world_open(&world);
    struct batch *rows = sorted_rows(&world, 2000, 100000);
    struct merge_file_input file = write_file(&world, rows, 2000);
    struct file_sketches *sketches;
    struct buffer bytes = BUFFER_INIT(64 << 20);
    assert_ok(store_get(world.store, file.object_key, 0, UINT64_MAX, &bytes));
    uint8_t *magic = memmem(bytes.data, bytes.size, "GLSK", 4);
    uint8_t *entry = memmem(bytes.data, bytes.size, SKETCH_ENTRY, strlen(SKETCH_ENTRY));
    assert_non_null(magic);
    assert_non_null(entry);
    struct merge_file_input other = file;
    other.object_key = SLICE("damaged");
    const struct {
        uint8_t *at;
        const char *text;
    } cases[] = {{magic, "checksum"}, {magic + 100, "checksum"}, {entry + 13, "makes no sense"}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t before = *cases[i].at;
        *cases[i].at = '?';
        assert_ok(store_put(world.store, other.object_key, buffer_slice(&bytes), 0));
        assert_fails(
            data_file_sketches(world.table, world.state, &world.base.runtime, &other, &sketches),
            GLIS_ECORRUPT, cases[i].text);
        assert_non_null(strstr(error_message(), "sketches of file data/"));
        *cases[i].at = before;
    }
    other = file;
    other.rows++;
    assert_fails(
        data_file_sketches(world.table, world.state, &world.base.runtime, &other, &sketches),
        GLIS_ECORRUPT, "2000 rows");
    other = file;
    other.object_key = SLICE("nowhere");
    assert_fails(
        data_file_sketches(world.table, world.state, &world.base.runtime, &other, &sketches),
        GLIS_EGONE, "not there");
    /* The section itself, cut anywhere. */
    assert_ok(data_file_sketches(world.table, world.state, &world.base.runtime, &file, &sketches));
    struct buffer section = sketch_bytes(sketches, world.schema);
    file_sketches_free(sketches);
    for (size_t n = 0; n < section.size; n += n < 200 ? 1 : 97)
        assert_fails(file_sketches_decode(slice_make(section.data, n), world.schema, 2, &sketches),
                     GLIS_ECORRUPT, NULL);
    buffer_free(&section);
    buffer_free(&bytes);
    batch_release(rows);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_the_sketches_of_its_rows_and_others_get_the_same),
        cmocka_unit_test(slices_are_told_by_pages_to_within_a_page),
        cmocka_unit_test(copied_row_groups_are_in_the_sketches),
        cmocka_unit_test(damage_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
