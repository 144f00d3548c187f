/*
 * data_file.c: one ascending stream of rows into one data file of the table.
 *
 * The file is plain Parquet (docs/formats.md, "Data files"): written part by part as a streamed
 * put, its whole-file checksum computed on the way, so nothing is read again. It is put with
 * STORE_DEFER_SYNC: durable only after the store_sync of the job's files before the commit, which
 * costs one sync and not one a file.
 *
 * Sketches of the row keys are made on the way, and written behind the last row group. Bounds are
 * exact field keys, which the sketches know. They are cut (outward) only when the commit is
 * described, for what a cut may reach depends on the references.
 *
 * The name says at which record of the log the writing began, which is what collection goes by.
 */
#include "lsm/ingest_int.h"

#include "base/mutant.h"
#include "base/text.h"
#include "format/format.h"
#include "parquet/parquet.h"
#include "sketch/sketch.h"

#include <stdio.h>

enum { TEMPORARY_PAGE_BYTES = 64 << 10 };

/* Rows of a row group of another file. */
struct copied_rows {
    struct parquet_reader *reader;
    uint32_t row_group;
    uint64_t first, n;
};

struct data_file_writer {
    const struct data_file_context *context;
    struct slice name, key;
    struct store_upload *upload;
    struct hash_stream *hash;
    struct parquet_writer *parquet;
    struct sketch_maker *sketches; /* of all rows; they know the exact bounds too */
    struct task_group *sketching;  /* of copied rows, on the pool meanwhile; NULL: none yet */
    struct copied_rows copied;     /* what it works on */
    struct arena arena;            /* of the ages */
    struct file_ages ages;
    uint64_t rows;
    _Atomic uint64_t bytes;
};

/* ---- the file ---- */

/* What the Parquet writer gives goes into the upload and the checksum. */
static int put_bytes(void *state, struct slice bytes)
{
    struct data_file_writer *writer = state;
    hash_stream_add(writer->hash, bytes.data, bytes.size);
    writer->bytes += bytes.size;
    return store_upload_write(writer->upload, bytes);
}

/* Counts for nobody: what an estimate writes into. */
static int count_bytes(void *state, struct slice bytes)
{
    uint64_t *size = state;
    *size += bytes.size;
    return 0;
}

/* By the property's words, auto|true|false, what the writer calls 0 (while it pays), 2 and 1. */
static int dictionary_of(const struct table_state *state, enum property_id id)
{
    static const int meaning[] = {0, 2, 1};
    int64_t choice = table_state_number(state, id);
    return choice >= 0 && choice < 3 ? meaning[choice] : 0;
}

/* By the property's words, zstd|snappy|uncompressed|gzip|brotli|lz4_raw. */
static int codec_of(const struct table_state *state)
{
    static const int codecs[] = {PARQUET_ZSTD, PARQUET_SNAPPY, PARQUET_UNCOMPRESSED,
                                 PARQUET_GZIP, PARQUET_BROTLI, PARQUET_LZ4_RAW};
    int64_t choice = table_state_number(state, PROPERTY_TABLE_CODEC);
    return (choice >= 0 && choice < 6 ? codecs[choice] : PARQUET_ZSTD) + 1;
}

/* The row keys that get a bloom filter, by the property's words auto|true|false: with auto the
 * first one, if it is of a type of which keys are mostly many and looked up one by one. */
static uint32_t bloom_columns(const struct data_file_context *context,
                              struct parquet_column_options *out)
{
    const struct schema *schema = context->schema;
    int64_t choice = table_state_number(context->state, PROPERTY_TABLE_BLOOM);
    double rate = (double)table_state_number(context->state, PROPERTY_TABLE_BLOOM_RATE) / 1e6;
    uint32_t n = 0, n_fields = choice == 2 ? 0 : choice == 1 ? schema->n_row_keys : 1;
    for (uint32_t i = 0; i < n_fields; i++) {
        enum type_kind kind = schema->fields[i].type.kind;
        bool pays = kind == TYPE_STRING || kind == TYPE_BYTES || kind == TYPE_INT64;
        if (choice == 1 ? !parquet_bloom_helps(&schema->fields[i].type) : !pays) continue;
        out[n++] =
            (struct parquet_column_options){.path = schema->fields[i].name, .bloom_rate = rate};
    }
    return n;
}

static int open_parquet(const struct data_file_context *context, int (*write)(void *, struct slice),
                        void *state, struct parquet_writer **out)
{
    const struct table_state *table = context->state;
    struct parquet_sink sink = {write, state};
    defer_free struct parquet_column_options *blooms =
        memory_alloc((context->schema->n_row_keys + 1) * sizeof *blooms);
    struct parquet_writer_options options = {
        .columns = blooms,
        .n_columns = bloom_columns(context, blooms),
        .codec = codec_of(table),
        .level = (int)table_state_number(table, PROPERTY_TABLE_CODEC_LEVEL),
        .row_group_bytes = (uint64_t)table_state_number(table, PROPERTY_TABLE_ROWGROUP_SIZE),
        .row_group_rows_max = (uint64_t)table_state_number(table, PROPERTY_TABLE_ROWGROUP_ROWS),
        .page_bytes = (uint64_t)table_state_number(table, PROPERTY_TABLE_PAGE_SIZE),
        .key_page_bytes = (uint64_t)table_state_number(table, PROPERTY_TABLE_KEY_PAGE_SIZE),
        .page_rows_max = (uint64_t)table_state_number(table, PROPERTY_TABLE_PAGE_ROWS),
        .statistics_bytes_max =
            (uint32_t)table_state_number(table, PROPERTY_TABLE_STATISTICS_LENGTH),
        .data_page_v1 = table_state_number(table, PROPERTY_TABLE_PAGE_VERSION) == 0,
        .n_sorting_columns = schema_key_count(context->schema),
        .dictionary_row_keys = dictionary_of(table, PROPERTY_TABLE_DICTIONARY_ROW_KEYS),
        .dictionary_sort_keys = dictionary_of(table, PROPERTY_TABLE_DICTIONARY_SORT_KEYS),
        .dictionary_values = dictionary_of(table, PROPERTY_TABLE_DICTIONARY_VALUES),
    };
    if (context->is_temporary) {
        options.codec = PARQUET_LZ4_RAW + 1;
        options.level = 0;
        options.page_bytes = options.key_page_bytes = TEMPORARY_PAGE_BYTES;
        options.dictionary_row_keys = options.dictionary_sort_keys = options.dictionary_values = 1;
    }
    return parquet_writer_open(out, context->runtime, context->schema, &sink, &options,
                               context->budget);
}

int data_file_open(struct data_file_writer **out, const struct data_file_context *context)
{
    struct data_file_writer *writer = memory_alloc_zero(sizeof *writer);
    writer->context = context;
    writer->name = table_file_name_new(context->state, context->runtime, context->arena);
    writer->key = table_file_key(context->table, writer->name, context->arena);
    writer->hash = hash_stream_new();
    writer->sketches =
        sketch_maker_new(context->schema, context->schema->n_row_keys, KLL_K_DEFAULT, writer->name);
    arena_init(&writer->arena, NULL);
    int code = file_ages_begin(&writer->ages, context->state, &writer->arena);
    if (code == 0)
        code = store_upload_open(context->store, writer->key, STORE_DEFER_SYNC, &writer->upload);
    if (code == 0) code = open_parquet(context, put_bytes, writer, &writer->parquet);
    if (code < 0) {
        error_context("beginning data file '%.*s'", SLICE_PRINT(writer->name));
        data_file_abort(writer);
        return code;
    }
    *out = writer;
    return 0;
}

/* The sketches are those of all rows given so far, in their order. */
static int await_sketches(struct data_file_writer *writer)
{
    return writer->sketching ? task_group_wait(writer->sketching) : 0;
}

int data_file_write(struct data_file_writer *writer, const struct batch *batch)
{
    if (batch->n_rows == 0) return 0;
    TRY_CONTEXT(await_sketches(writer), "writing data file '%.*s'", SLICE_PRINT(writer->name));
    TRY(sketch_maker_add(writer->sketches, batch, writer->context->budget));
    writer->rows += (uint64_t)batch->n_rows;
    file_ages_add(&writer->ages, batch);
    TRY_CONTEXT(parquet_writer_write(writer->parquet, batch), "writing data file '%.*s'",
                SLICE_PRINT(writer->name));
    /* Rows are gathered for long before the next bytes come; what was given goes on its way. */
    if (writer->upload) store_upload_go_on(writer->upload);
    return 0;
}

/* Takes the row keys of copied rows into the sketches. */
static int sketch_copied(void *state)
{
    enum { ROWS_AT_ONCE = 65536 };
    struct data_file_writer *writer = state;
    const struct copied_rows *copied = &writer->copied;
    uint32_t n_keys = writer->context->schema->n_row_keys;
    defer_free uint32_t *fields = memory_alloc((n_keys + 1) * sizeof *fields);
    for (uint32_t i = 0; i < n_keys; i++)
        fields[i] = i;
    uint64_t end = copied->first + copied->n;
    for (uint64_t row = copied->first; row < end; row += ROWS_AT_ONCE) {
        uint64_t rows = end - row < ROWS_AT_ONCE ? end - row : ROWS_AT_ONCE;
        struct batch *batch;
        TRY(runtime_check_cancel(writer->context->runtime));
        TRY(parquet_reader_rows_of(copied->reader, copied->row_group, fields, n_keys, row, rows,
                                   writer->context->budget, &batch));
        int code = sketch_maker_add(writer->sketches, batch, writer->context->budget);
        batch_release(batch);
        TRY(code);
    }
    return 0;
}

bool data_file_can_copy(const struct data_file_writer *writer, struct parquet_reader *reader,
                        uint32_t row_group)
{
    return parquet_writer_can_copy(writer->parquet, reader, row_group);
}

int data_file_copy(struct data_file_writer *writer, struct parquet_reader *reader,
                   uint32_t row_group, uint64_t first, uint64_t n)
{
    if (n == 0) return 0;
    int code = await_sketches(writer);
    writer->ages.n = 0; /* not seen */
    writer->copied = (struct copied_rows){reader, row_group, first, n};
    writer->rows += n;
    if (!writer->sketching) writer->sketching = task_group_new(writer->context->runtime->pool, 1);
    if (code == 0) code = task_group_start(writer->sketching, sketch_copied, writer);
    if (code == 0) code = parquet_writer_copy(writer->parquet, reader, row_group, first, n);
    TRY_CONTEXT(code, "writing data file '%.*s'", SLICE_PRINT(writer->name));
    return 0;
}

uint64_t data_file_bytes(const struct data_file_writer *writer)
{
    return writer->bytes;
}

static int add_text(struct data_file_writer *writer, const char *name, const char *format, ...)
    GLIS_PRINTF(3, 4);

/* A key-value entry of the footer. */
static int add_text(struct data_file_writer *writer, const char *name, const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ASSERT(n >= 0 && (size_t)n < sizeof text);
    return parquet_writer_add_metadata(writer->parquet, slice_from_text(name),
                                       slice_make(text, (size_t)n));
}

/* Field keys as base64, parted by blanks. */
static int add_keys(struct data_file_writer *writer, const char *name, bool greatest)
{
    defer_buffer struct buffer text = BUFFER_INIT(64 << 20);
    for (uint32_t i = 0; i < writer->context->schema->n_row_keys; i++) {
        const struct kll *keys = sketch_maker_sketches(writer->sketches)->fields[i].quantiles;
        if (i > 0) TRY(buffer_append_byte(&text, ' '));
        TRY(text_base64_encode(&text, greatest ? kll_max(keys) : kll_min(keys)));
    }
    return parquet_writer_add_metadata(writer->parquet, slice_from_text(name), buffer_slice(&text));
}

/* The section of sketches, behind all rows. */
static int add_sketches(struct data_file_writer *writer)
{
    const struct data_file_context *context = writer->context;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct buffer section;
    uint64_t offset = 0;
    buffer_init(&section, SKETCH_SECTION_BYTES_MAX, context->budget);
    int code =
        file_sketches_encode(sketch_maker_sketches(writer->sketches), context->schema, &section);
    struct slice bytes = buffer_slice(&section);
    if (code == 0) code = parquet_writer_add_section(writer->parquet, bytes, &offset);
    if (code == 0)
        code =
            parquet_writer_add_metadata(writer->parquet, SLICE(SKETCH_ENTRY),
                                        slice_from_text(sketch_entry_text(offset, bytes, &arena)));
    buffer_free(&section);
    return code;
}

static int add_metadata(struct data_file_writer *writer)
{
    const struct data_file_context *context = writer->context;
    struct slice id = table_id(context->table);
    TRY(add_text(writer, "glis.table", "%.*s", SLICE_PRINT(id)));
    TRY(add_text(writer, "glis.schema.version", "%llu",
                 (unsigned long long)table_state_schema_version(context->state)));
    TRY(add_text(writer, "glis.rows", "%llu", (unsigned long long)writer->rows));
    TRY(add_keys(writer, "glis.keys.min", false));
    TRY(add_keys(writer, "glis.keys.max", true));
    return arrow_schema_add(writer->parquet, context->schema);
}

static void describe(const struct data_file_writer *writer, struct data_file *out)
{
    *out = (struct data_file){
        .name = writer->name, .key = writer->key, .size = writer->bytes, .rows = writer->rows};
    uint32_t n = writer->context->schema->n_row_keys;
    out->bounds = ARENA_ARRAY(&out->arena, struct file_bound, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct kll *keys = sketch_maker_sketches(writer->sketches)->fields[i].quantiles;
        out->bounds[i].min = arena_copy(&out->arena, kll_min(keys));
        out->bounds[i].max = arena_copy(&out->arena, kll_max(keys));
    }
    out->ages = ARENA_ARRAY(&out->arena, struct file_age, writer->ages.n);
    for (; out->n_ages < writer->ages.n; out->n_ages++) {
        out->ages[out->n_ages] = writer->ages.ages[out->n_ages];
        out->ages[out->n_ages].field = arena_copy(&out->arena, out->ages[out->n_ages].field);
    }
    struct hash128 hash = hash_stream_128(writer->hash);
    uint64_t canonical[2] = {__builtin_bswap64(hash.high), __builtin_bswap64(hash.low)};
    memcpy(out->checksum, canonical, sizeof out->checksum);
}

int data_file_finish(struct data_file_writer *writer, struct data_file *out)
{
    ASSERT(writer->rows > 0);
    int code = await_sketches(writer);
    if (code == 0) code = add_sketches(writer);
    if (code == 0) code = add_metadata(writer);
    if (code == 0) code = parquet_writer_finish(writer->parquet);
    if (code == 0) {
        struct store_upload *upload = writer->upload;
        writer->upload = NULL;
        code = store_upload_finish(upload);
        /* Whatever the outcome, there may be an object now: it is to be known for removal. */
        describe(writer, out);
    }
    if (code < 0) error_context("writing data file '%.*s'", SLICE_PRINT(writer->name));
    data_file_abort(writer);
    return code;
}

void data_file_abort(struct data_file_writer *writer)
{
    if (!writer) return;
    task_group_free(writer->sketching);
    parquet_writer_close(writer->parquet);
    store_upload_abort(writer->upload);
    hash_stream_free(writer->hash);
    sketch_maker_free(writer->sketches);
    arena_free(&writer->arena);
    memory_defer_free(&writer);
}

int data_file_estimate(const struct data_file_context *context, const struct batch *batch,
                       uint64_t *bytes)
{
    struct parquet_writer *parquet;
    *bytes = 0;
    TRY(open_parquet(context, count_bytes, bytes, &parquet));
    int code = parquet_writer_write(parquet, batch);
    if (code == 0) code = parquet_writer_finish(parquet);
    parquet_writer_close(parquet);
    return code;
}

/* ---- making durable ---- */

/* The error of a sync that did not find a file: when the horizon has passed that file, what has
 * become of it. */
static int explain_missing(struct table *table, const struct slice *keys, size_t n)
{
    const struct table_state *state;
    struct error_detail missing;
    size_t prefix = table_prefix(table).size;
    uint64_t horizon, begun;
    error_save(&missing);
    if (table_state_get(table, 0, &state) < 0) return error_load(&missing);
    horizon = table_state_horizon(state);
    table_state_release(state);
    for (size_t i = 0; i < n; i++) {
        struct slice name = slice_part(keys[i], prefix, keys[i].size);
        if (table_file_begun(name, &begun) && begun < horizon)
            return error_set(GLIS_EREFUSED,
                             "file '%.*s' was begun below the horizon, record %llu, and has been "
                             "collected: the job took longer than glis.gc.orphan.age",
                             SLICE_PRINT(name), (unsigned long long)horizon);
    }
    return error_load(&missing);
}

int data_files_sync(struct table *table, const struct slice *keys, size_t n)
{
    if (n == 0 || GLIS_MUTANT(files_are_durable)) return 0;
    int code = store_sync(instance_store(table_instance(table)), keys, n);
    return code == GLIS_ENOTFOUND ? explain_missing(table, keys, n) : code;
}
