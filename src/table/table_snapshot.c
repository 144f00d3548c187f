/*
 * table_snapshot.c: snapshots of tables and catalogue: Parquet files of the columns (section, key,
 * value). This is the one file that knows their form; docs/formats.md, "Snapshots", describes it.
 *
 * The rows of a section ascend by key, so a map is built from them without a search; sections
 * ascend. Keys and values are written plain, without dictionaries or statistics that pay, in pages
 * of a megabyte: what costs time when a state is loaded is only the copy out of the pages. The
 * rows wait in batches of a few megabytes on both ways, so besides the bytes themselves little
 * memory is used.
 *
 * The log checks the whole against its hash before it asks for the rows; still nothing is trusted
 * here: the Parquet reader checks every page, and a file of other columns is refused.
 */
#include "table/table_int.h"

#include "parquet/parquet.h"

#include <stdlib.h>

enum {
    BATCH_BYTES = 4 << 20, /* of a batch that is written */
    BATCH_ROWS = 32768,    /* of a batch that is read */
    PAGE_BYTES = 256 << 10,
    SECTION = 0, /* columns */
    KEY = 1,
    VALUE = 2,
};
#define READ_BYTES_MAX ((uint64_t)1 << 30) /* pages and batches under way while reading */
#define FORM           "1"
#define OBJECT_KEY     SLICE("snapshot")

struct snapshot_writer {
    struct runtime runtime;
    struct schema *schema;
    struct batch_builder *rows;
    struct parquet_writer *parquet;
};

static struct runtime runtime_of_caller(struct pool *pool)
{
    return (struct runtime){.clock = clock_system(), .random = random_system(), .pool = pool};
}

static int snapshot_schema(struct schema **out)
{
    const struct field fields[] = {
        {.name = SLICE("section"), .type = {.kind = TYPE_INT32}},
        {.name = SLICE("key"), .type = {.kind = TYPE_BYTES}},
        {.name = SLICE("value"), .type = {.kind = TYPE_BYTES}},
    };
    return schema_new(out, fields, 3, 1, 1);
}

/* ---- writing ---- */

static int append_bytes(void *state, struct slice bytes)
{
    return buffer_append_slice(state, bytes);
}

static int open_parts(struct snapshot_writer *writer, const char *kind, struct slice log_part,
                      struct buffer *out)
{
    struct parquet_sink sink = {append_bytes, out};
    static const struct parquet_column_options plain[] = {
        {.path = SLICE("key"), .encoding = PARQUET_PLAIN + 1},
        {.path = SLICE("value"), .encoding = PARQUET_PLAIN + 1},
    };
    struct parquet_writer_options options = {.codec = PARQUET_ZSTD + 1,
                                             .page_bytes = PAGE_BYTES,
                                             .page_rows_max = BATCH_ROWS,
                                             .key_page_bytes = PAGE_BYTES,
                                             .n_sorting_columns = 2,
                                             .dictionary_sort_keys = 1,
                                             .dictionary_values = 1,
                                             .columns = plain,
                                             .n_columns = 2};
    TRY(snapshot_schema(&writer->schema));
    TRY(batch_builder_new(&writer->rows, writer->schema, NULL));
    TRY(parquet_writer_open(&writer->parquet, &writer->runtime, writer->schema, &sink, &options,
                            NULL));
    TRY(parquet_writer_add_metadata(writer->parquet, SLICE("glis.snapshot"), SLICE(FORM)));
    TRY(parquet_writer_add_metadata(writer->parquet, SLICE("glis.kind"), slice_from_text(kind)));
    return parquet_writer_add_metadata(writer->parquet, SLICE("glis.log"), log_part);
}

int snapshot_writer_open(const char *kind, struct slice log_part, struct buffer *out,
                         struct snapshot_writer **writer)
{
    struct snapshot_writer *made = memory_alloc_zero(sizeof(*made));
    made->runtime = runtime_of_caller(pool_new(0));
    int code = open_parts(made, kind, log_part, out);
    if (code == 0)
        *writer = made;
    else
        snapshot_writer_free(made);
    return code;
}

static int write_rows(struct snapshot_writer *writer)
{
    if (batch_builder_rows(writer->rows) == 0) return 0;
    struct batch *batch;
    TRY(batch_builder_finish(writer->rows, &batch));
    int code = parquet_writer_write(writer->parquet, batch);
    batch_release(batch);
    return code;
}

int snapshot_writer_add(struct snapshot_writer *writer, uint32_t section, struct slice key,
                        struct slice value)
{
    struct batch_builder *rows = writer->rows;
    TRY(column_builder_append_integer(batch_builder_column(rows, SECTION), section));
    TRY(column_builder_append_bytes(batch_builder_column(rows, KEY), key));
    TRY(column_builder_append_bytes(batch_builder_column(rows, VALUE), value));
    TRY(batch_builder_end_row(rows));
    if (batch_builder_bytes(rows) < BATCH_BYTES) return 0;
    return write_rows(writer);
}

int snapshot_writer_add_map(struct snapshot_writer *writer, uint32_t section, const struct map *map)
{
    struct map_cursor cursor;
    for (map_cursor_first(map, &cursor); cursor.valid; map_cursor_next(&cursor))
        TRY(snapshot_writer_add(writer, section, cursor.key, cursor.value));
    return 0;
}

int snapshot_writer_finish(struct snapshot_writer *writer)
{
    TRY(write_rows(writer));
    return parquet_writer_finish(writer->parquet);
}

void snapshot_writer_free(struct snapshot_writer *writer)
{
    if (!writer) return;
    parquet_writer_close(writer->parquet);
    batch_builder_free(writer->rows);
    schema_release(writer->schema);
    pool_free(writer->runtime.pool);
    free(writer);
}

/* ---- reading ---- */

struct snapshot_reading {
    const char *kind;
    struct arena *arena;
    struct slice *log_part;
    int (*visit)(void *context, uint32_t section, struct slice key, struct slice value);
    void *context;
};

static int check_columns(const struct parquet_reader *reader)
{
    static const char *const names[] = {"section", "key", "value"};
    static const enum type_kind kinds[] = {TYPE_INT32, TYPE_BYTES, TYPE_BYTES};
    const struct schema *schema = parquet_reader_schema(reader);
    bool good = schema->n_fields == 3;
    for (uint32_t i = 0; good && i < 3; i++)
        good = slice_equal_text(schema->fields[i].name, names[i]) &&
               schema->fields[i].type.kind == kinds[i] && !schema->fields[i].nullable;
    return good ? 0 : error_set(GLIS_ECORRUPT, "not the columns of a snapshot");
}

static int check_footer(const struct parquet_reader *reader, struct snapshot_reading *reading)
{
    struct slice form, kind, part;
    if (!parquet_reader_key_value(reader, SLICE("glis.snapshot"), &form))
        return error_set(GLIS_ECORRUPT, "a Parquet file, but not a snapshot");
    if (!slice_equal_text(form, FORM))
        return error_set(GLIS_ENEWER, "a snapshot of form '%.*s', which this program does not know",
                         SLICE_PRINT(slice_part(form, 0, 32)));
    if (!parquet_reader_key_value(reader, SLICE("glis.kind"), &kind) ||
        !slice_equal_text(kind, reading->kind))
        return error_set(GLIS_ECORRUPT, "not a snapshot of a %s", reading->kind);
    if (!parquet_reader_key_value(reader, SLICE("glis.log"), &part))
        return error_set(GLIS_ECORRUPT, "the snapshot lacks the log's part");
    *reading->log_part = arena_copy(reading->arena, part);
    return check_columns(reader);
}

static int visit_batch(const struct snapshot_reading *reading, const struct batch *batch)
{
    const struct column *section = &batch->columns[SECTION];
    const int32_t *sections = (const int32_t *)(const void *)section->values.data + section->offset;
    for (int64_t row = 0; row < batch->n_rows; row++) {
        if (sections[row] < 0) return error_set(GLIS_ECORRUPT, "a section below 0");
        TRY(reading->visit(reading->context, (uint32_t)sections[row],
                           column_slice_at(&batch->columns[KEY], row),
                           column_slice_at(&batch->columns[VALUE], row)));
    }
    return 0;
}

static int visit_rows(struct parquet_reader *reader, const struct snapshot_reading *reading)
{
    static const uint32_t fields[] = {SECTION, KEY, VALUE};
    struct batch_stream *stream;
    TRY(parquet_reader_stream_part(reader, fields, 3, 0, parquet_reader_rows(reader), BATCH_ROWS,
                                   &stream));
    struct batch *batch = NULL;
    int code;
    while ((code = batch_stream_next(stream, &batch)) == 0 && batch) {
        code = visit_batch(reading, batch);
        batch_release(batch);
        if (code != 0) break;
    }
    batch_stream_close(stream);
    return code;
}

static int read_snapshot(struct runtime *runtime, struct store *store, struct budget *budget,
                         struct snapshot_reading *reading)
{
    struct parquet_reader *reader;
    TRY(parquet_reader_open(&reader, runtime, store, OBJECT_KEY, budget));
    int code = check_footer(reader, reading);
    if (code == 0) code = visit_rows(reader, reading);
    parquet_reader_close(reader);
    return code;
}

/* What Parquet allows and no snapshot has (another codec, a size beyond the limits) is damage: the
 * log then passes the snapshot over. */
static int as_damage(int code)
{
    if (code != GLIS_EUNSUPPORTED && code != GLIS_ELIMIT && code != GLIS_EINVALID) return code;
    struct error_detail detail;
    error_save(&detail);
    detail.code = GLIS_ECORRUPT;
    return error_load(&detail);
}

int snapshot_each(const char *kind, struct block *block, struct slice bytes, struct arena *arena,
                  struct slice *log_part,
                  int (*visit)(void *context, uint32_t section, struct slice key,
                               struct slice value),
                  void *context)
{
    struct snapshot_reading reading = {kind, arena, log_part, visit, context};
    struct store *store;
    TRY(store_slice_open(OBJECT_KEY, block, bytes, &store));
    struct budget budget;
    budget_init(&budget, "memory for reading a snapshot", READ_BYTES_MAX, NULL, NULL);
    struct runtime runtime = runtime_of_caller(pool_new(0));
    int code = as_damage(read_snapshot(&runtime, store, &budget, &reading));
    pool_free(runtime.pool);
    store_close(store);
    return code;
}
