/*
 * export_step.c: one step of an export: the rows of one leaf, in key order, into one file.
 *
 * The file is written under a name that nobody else uses, and then the step's outcome, which names
 * it, is put if absent. When somebody else was first, his outcome counts and our file goes. A step
 * that was cut short leaves nothing, or a file that no outcome names. The checksum and the least
 * and greatest keys are taken on the way; nothing is read twice.
 */
#include "query/export_int.h"

#include "base/ulid.h"
#include "lsm/lsm.h"

#include <stdlib.h>

struct slice export_step_key(uint32_t number, struct arena *arena)
{
    return slice_from_text(arena_printf(arena, "steps/%06u.json", number));
}

/* ---- bytes on their way ---- */

/* Counts and hashes what goes into the file. */
struct measured_sink {
    struct byte_sink base;
    struct byte_sink *behind;
    struct hash_stream *hash;
    uint64_t bytes;
};

static int measured_write(struct byte_sink *base, struct slice bytes)
{
    struct measured_sink *sink = (struct measured_sink *)base;
    hash_stream_add(sink->hash, bytes.data, bytes.size);
    sink->bytes += bytes.size;
    return sink->behind->write(sink->behind, bytes);
}

static int measured_finish(struct byte_sink *base)
{
    struct measured_sink *sink = (struct measured_sink *)base;
    return sink->behind->finish(sink->behind);
}

static void measured_close(struct byte_sink *base)
{
    struct measured_sink *sink = (struct measured_sink *)base;
    byte_sink_close(sink->behind);
    hash_stream_free(sink->hash);
    free(sink);
}

/* ---- keys on their way ---- */

/* A row that holds the least or the greatest value of a row key so far. */
struct extreme {
    struct batch *batch;
};

static int extreme_set(struct extreme *extreme, const struct batch *batch, int64_t row)
{
    struct batch *one;
    TRY(batch_take(batch, &(uint32_t){(uint32_t)row}, 1, NULL, &one));
    batch_release(extreme->batch);
    extreme->batch = one;
    return 0;
}

static int extremes_add(struct extreme *min, struct extreme *max, const struct batch *batch,
                        uint32_t n_row_keys)
{
    for (uint32_t i = 0; i < n_row_keys; i++) {
        const struct column *column = &batch->columns[i];
        int64_t least = 0, greatest = i == 0 ? batch->n_rows - 1 : 0;
        for (int64_t row = 1; i > 0 && row < batch->n_rows; row++) {
            if (column_compare(column, row, column, least) < 0) least = row;
            if (column_compare(column, row, column, greatest) > 0) greatest = row;
        }
        if (!min[i].batch || column_compare(column, least, &min[i].batch->columns[i], 0) < 0)
            TRY(extreme_set(&min[i], batch, least));
        if (!max[i].batch || column_compare(column, greatest, &max[i].batch->columns[i], 0) > 0)
            TRY(extreme_set(&max[i], batch, greatest));
    }
    return 0;
}

static int extremes_text(const struct extreme *extremes, uint32_t n, struct arena *arena,
                         struct slice **out)
{
    *out = ARENA_ARRAY(arena, struct slice, n);
    for (uint32_t i = 0; i < n && extremes[i].batch; i++) {
        defer_buffer struct buffer text = BUFFER_INIT(8 * KEY_BYTES_MAX);
        TRY(column_append_text(&extremes[i].batch->columns[i], 0, &text));
        (*out)[i] = arena_copy(arena, buffer_slice(&text));
    }
    return 0;
}

/* ---- outcomes ---- */

static void write_texts(struct json_writer *writer, const char *name, const struct slice *texts,
                        uint32_t n)
{
    json_write_name(writer, name);
    json_write_array_begin(writer);
    for (uint32_t i = 0; i < n; i++)
        json_write_string(writer, texts[i]);
    json_write_array_end(writer);
}

int export_outcome_write(const struct export_outcome *outcome, uint32_t n_row_keys,
                         struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out, 0);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "leaf", outcome->leaf);
    json_write_field_uint(&writer, "rows", outcome->rows);
    if (outcome->hidden) json_write_field_uint(&writer, "hidden", outcome->hidden);
    if (outcome->file.size) {
        json_write_field_string(&writer, "file", outcome->file);
        json_write_field_uint(&writer, "bytes", outcome->bytes);
        json_write_field_string(&writer, "xxh3", outcome->checksum);
        write_texts(&writer, "min", outcome->min, n_row_keys);
        write_texts(&writer, "max", outcome->max, n_row_keys);
    }
    json_write_object_end(&writer);
    return json_writer_finish(&writer);
}

static int read_texts(const struct json *json, const char *name, uint32_t n, struct arena *arena,
                      struct slice **out)
{
    const struct json *texts;
    TRY(json_get_array(json, name, &texts));
    if (texts->n_items != n) return json_fail(texts, "%u values are wanted", n);
    *out = ARENA_ARRAY(arena, struct slice, n);
    for (uint32_t i = 0; i < n; i++)
        TRY(json_as_string(&texts->items[i], &(*out)[i]));
    return 0;
}

int export_outcome_read(const struct json *json, uint32_t n_row_keys, struct arena *arena,
                        struct export_outcome *out)
{
    int64_t rows, bytes, hidden = 0;
    *out = (struct export_outcome){0};
    TRY(json_as_object(json));
    TRY(json_get_string(json, "leaf", &out->leaf));
    TRY(json_get_int(json, "rows", 0, INT64_MAX, &rows));
    TRY(json_optional_int(json, "hidden", 0, INT64_MAX, &hidden));
    out->rows = (uint64_t)rows;
    out->hidden = (uint64_t)hidden;
    TRY(json_optional_string(json, "file", &out->file));
    if (out->file.size == 0 && rows > 0) return json_fail(json, "rows without a file");
    if (out->file.size == 0) return 0;
    if (store_key_check(out->file) < 0) return json_fail(json, "a bad name of a file");
    TRY(json_get_int(json, "bytes", 0, INT64_MAX, &bytes));
    TRY(json_get_string(json, "xxh3", &out->checksum));
    out->bytes = (uint64_t)bytes;
    TRY(read_texts(json, "min", n_row_keys, arena, &out->min));
    return read_texts(json, "max", n_row_keys, arena, &out->max);
}

int export_outcome_find(const struct export_work *work, const struct export_leaf *leaf,
                        struct arena *arena, bool *found, struct export_outcome *out)
{
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_OUTCOME_BYTES_MAX);
    struct slice key = export_step_key(leaf->number, arena);
    *found = false;
    int code = store_get(work->to, key, 0, STORE_TO_END, &text);
    if (code == GLIS_ENOTFOUND) return 0;
    TRY(code);
    const struct json *json;
    struct slice kept = arena_copy(arena, buffer_slice(&text));
    uint32_t n = table_state_schema(work->state)->n_row_keys;
    TRY_CONTEXT(json_parse(arena, kept, JSON_RULES_INTERNAL, &json), "%.*s", SLICE_PRINT(key));
    TRY_CONTEXT(export_outcome_read(json, n, arena, out), "%.*s", SLICE_PRINT(key));
    if (!slice_equal(out->leaf, leaf->id))
        return error_set(GLIS_ECORRUPT, "%.*s is of partition %.*s, not %.*s", SLICE_PRINT(key),
                         SLICE_PRINT(out->leaf), SLICE_PRINT(leaf->id));
    *found = true;
    return 0;
}

/* ---- the step ---- */

/* The query's regions within the leaf. */
static void leaf_query(const struct export_work *work, const struct export_leaf *leaf,
                       struct arena *arena, struct query *out)
{
    const struct query *all = &work->plan->query;
    *out = *all;
    out->state = work->state;
    out->now_ms = work->plan->now_ms;
    out->regions = ARENA_ARRAY(arena, struct query_region, all->n_regions);
    out->n_regions = 0;
    for (size_t i = 0; i < all->n_regions; i++)
        out->n_regions += region_intersect(&all->regions[i], leaf->region, all->schema->n_row_keys,
                                           arena, &out->regions[out->n_regions]);
}

/* One file being written. */
struct leaf_file {
    const struct export_work *work;
    uint32_t n_row_keys;
    struct extreme *min, *max;
    struct measured_sink *bytes;
    struct row_sink *rows;
    uint64_t n_rows;
};

/* Opened with the first row, so that a leaf without rows makes no file. */
static int file_open(struct leaf_file *file, const struct schema *schema, struct slice key)
{
    const struct export_work *work = file->work;
    struct runtime *runtime = query_engine_runtime(work->engine);
    struct parquet_writer_options parquet = {.n_sorting_columns = schema_key_count(schema)};
    struct output_options options = {
        .kind = work->plan->kind, .parquet = &parquet, .budget = query_engine_budget(work->engine)};
    struct byte_sink *object;
    TRY(byte_sink_open_object(work->to, key, &object));
    file->bytes = memory_alloc_zero(sizeof *file->bytes);
    file->bytes->base = (struct byte_sink){measured_write, measured_finish, measured_close};
    file->bytes->behind = object;
    file->bytes->hash = hash_stream_new();
    return row_sink_open(&file->bytes->base, schema, runtime, &options, &file->rows);
}

static int file_fill(struct leaf_file *file, struct batch_stream *stream, struct slice key)
{
    const struct export_work *work = file->work;
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(stream, &batch));
        if (!batch) break;
        int code = 0;
        if (!file->rows) code = file_open(file, stream->schema, key);
        if (code == 0) code = extremes_add(file->min, file->max, batch, file->n_row_keys);
        if (code == 0) code = file->rows->write(file->rows, batch);
        file->n_rows += (uint64_t)batch->n_rows;
        batch_release(batch);
        TRY(code);
        if (work->tell) TRY(work->tell(work->tell_state, file->n_rows, file->bytes->bytes));
    }
    if (!file->rows) return 0;
    TRY(file->rows->finish(file->rows));
    return file->bytes->base.finish(&file->bytes->base);
}

static void file_close(struct leaf_file *file)
{
    row_sink_close(file->rows);
    if (file->bytes) byte_sink_close(&file->bytes->base);
    for (uint32_t i = 0; i < file->n_row_keys; i++) {
        batch_release(file->min[i].batch);
        batch_release(file->max[i].batch);
    }
}

static int describe(const struct leaf_file *file, struct slice key, struct arena *arena,
                    struct export_outcome *out)
{
    char hex[HASH128_HEX_BYTES + 1];
    out->rows = file->n_rows;
    if (!file->rows) return 0;
    out->file = key;
    out->bytes = file->bytes->bytes;
    hash_hex128(hash_stream_128(file->bytes->hash), hex);
    out->checksum = arena_copy(arena, slice_from_text(hex));
    TRY(extremes_text(file->min, file->n_row_keys, arena, &out->min));
    return extremes_text(file->max, file->n_row_keys, arena, &out->max);
}

/* Writes the leaf's rows under a new name. */
static int write_file(const struct export_work *work, const struct export_leaf *leaf,
                      struct arena *arena, struct export_outcome *out)
{
    struct query query;
    struct batch_stream *stream;
    struct ulid name = ulid_new(query_engine_runtime(work->engine));
    struct slice key = slice_from_text(arena_printf(arena, "data/%06u-%s.%s", leaf->number,
                                                    name.text, export_kind_name(work->plan->kind)));
    *out = (struct export_outcome){.leaf = leaf->id};
    leaf_query(work, leaf, arena, &query);
    if (query.n_regions == 0) return 0;
    TRY(query_open(work->engine, work->table, &query, &stream));
    struct leaf_file file = {.work = work, .n_row_keys = query.schema->n_row_keys};
    file.min = ARENA_ARRAY(arena, struct extreme, file.n_row_keys);
    file.max = ARENA_ARRAY(arena, struct extreme, file.n_row_keys);
    int code = file_fill(&file, stream, key);
    if (code == 0) code = describe(&file, key, arena, out);
    struct error_detail detail;
    if (code < 0) error_save(&detail);
    out->hidden = query_answer_explain(stream).rows_hidden;
    file_close(&file);
    batch_stream_close(stream);
    return code < 0 ? error_load(&detail) : 0;
}

static void remove_file(const struct export_work *work, struct slice key)
{
    struct error_detail detail;
    error_save(&detail);
    if (key.size && store_remove(work->to, &key, 1) < 0) error_clear(); /* no outcome names it */
    (void)error_load(&detail);
}

/* When the export has a manifest already, our step came too late: what it left goes, unless the
 * manifest names it after all. */
static int look_for_end(const struct export_work *work, struct slice step, struct slice file,
                        bool *ended)
{
    struct store_object object;
    int code = store_head(work->to, EXPORT_MANIFEST_KEY, &object);
    *ended = code == 0;
    if (code == GLIS_ENOTFOUND) return 0;
    TRY(code);
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_PLAN_BYTES_MAX);
    TRY(store_get(work->to, EXPORT_MANIFEST_KEY, 0, STORE_TO_END, &text));
    remove_file(work, step);
    if (file.size && !memmem(text.data, text.size, file.data, file.size)) remove_file(work, file);
    return 0;
}

int export_leaf_write(const struct export_work *work, const struct export_leaf *leaf,
                      struct arena *arena, bool *ended, struct export_outcome *out)
{
    bool found;
    struct export_outcome mine;
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_OUTCOME_BYTES_MAX);
    struct runtime *runtime = query_engine_runtime(work->engine);
    struct slice step = export_step_key(leaf->number, arena);
    *ended = false;
    TRY(export_outcome_find(work, leaf, arena, &found, out));
    if (found) return 0;
    TRY_CONTEXT(write_file(work, leaf, arena, &mine), "exporting partition %.*s",
                SLICE_PRINT(leaf->id));
    int code = export_outcome_write(&mine, table_state_schema(work->state)->n_row_keys, &text);
    if (code == 0) code = step_put(runtime, work->to, step, buffer_slice(&text), NULL);
    if (code < 0 && code != GLIS_EEXISTS) {
        if (code != GLIS_EUNKNOWN) remove_file(work, mine.file);
        return code;
    }
    *out = mine;
    if (code == 0) return look_for_end(work, step, mine.file, ended);
    /* Somebody was first; or we were, in doubt, and put it twice. */
    TRY(export_outcome_find(work, leaf, arena, &found, out));
    if (!found) return look_for_end(work, step, mine.file, ended);
    if (!slice_equal(out->file, mine.file)) remove_file(work, mine.file);
    return 0;
}
