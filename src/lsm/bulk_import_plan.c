/*
 * bulk_import_plan.c: what a bulk import is, as an object: its inputs, how they are cut into units,
 * and the state that it began with; and the outcomes of its steps.
 *
 * A unit is a run of rows of one Parquet file, whole row groups where these are not too large, or a
 * whole text file. It is made so large that its rows can be sorted in memory; where that was
 * guessed wrong, or a file cannot be cut, the sorter uses the disk.
 *
 * All of this was written by this program, but is read with care: a damaged object is an error.
 */
#include "lsm/bulk_import_int.h"

#include "base/text.h"
#include "parquet/parquet.h"

/* What a row takes beside its values: key, entries of the sort, ends of texts. */
enum { ROW_COST_BYTES = 64, ROW_FIELD_BYTES = 5, VARIABLE_GROWTH = 2 };

struct slice bulk_plan_key(const struct table *table, struct slice job, struct arena *arena)
{
    return slice_from_text(arena_printf(arena, "%.*sstaging/%.*s/plan",
                                        SLICE_PRINT(table_prefix(table)), SLICE_PRINT(job)));
}

struct slice bulk_step_key(const struct bulk_import *job, struct slice step)
{
    return slice_from_text(arena_printf((struct arena *)&job->arena, "%.*sstaging/%.*s/%.*s.%.*s",
                                        SLICE_PRINT(table_prefix(job->table)),
                                        SLICE_PRINT(job->plan.job), SLICE_PRINT(job->plan.id),
                                        SLICE_PRINT(step)));
}

/* ---- units ---- */

struct cutting {
    struct bulk_plan *plan;
    struct arena *arena;
    uint64_t unit_bytes;
    size_t capacity;
};

static void add_unit(struct cutting *cutting, uint32_t input, uint64_t first, uint64_t n)
{
    struct bulk_plan *plan = cutting->plan;
    ARENA_GROW(cutting->arena, plan->units, plan->n_units, cutting->capacity);
    plan->units[plan->n_units++] = (struct bulk_unit){input, first, n};
}

/* What the rows of a row group take in memory, about: dictionaries make texts small in files. */
static uint64_t group_cost(const struct parquet_metadata *metadata, uint32_t group)
{
    const struct parquet_row_group *g = &metadata->row_groups[group];
    uint64_t cost = g->n_rows * (ROW_COST_BYTES + ROW_FIELD_BYTES * (uint64_t)metadata->n_leaves);
    for (uint32_t leaf = 0; leaf < metadata->n_leaves; leaf++) {
        unsigned width = type_width(metadata->leaves[leaf].leaf_type);
        uint64_t bytes = g->chunks[leaf].uncompressed_bytes;
        cost += width ? (uint64_t)width * g->n_rows : VARIABLE_GROWTH * bytes;
    }
    return cost;
}

static bool has_indexes(const struct parquet_metadata *metadata, uint32_t group)
{
    for (uint32_t leaf = 0; leaf < metadata->n_leaves; leaf++)
        if (!metadata->row_groups[group].chunks[leaf].offset_index_size) return false;
    return true;
}

static void cut_groups(struct cutting *cutting, uint32_t input,
                       const struct parquet_metadata *metadata)
{
    uint64_t first = 0, n = 0, cost = 0;
    for (uint32_t i = 0; i < metadata->n_row_groups; i++) {
        const struct parquet_row_group *group = &metadata->row_groups[i];
        uint64_t of_group = group_cost(metadata, i);
        if (n && cost + of_group > cutting->unit_bytes) {
            add_unit(cutting, input, first, n);
            first += n;
            n = cost = 0;
        }
        uint64_t parts = of_group / cutting->unit_bytes + 1;
        if (n == 0 && parts > 1 && has_indexes(metadata, i)) { /* one is too much */
            uint64_t step = group->n_rows / parts + 1;
            for (uint64_t row = 0; row < group->n_rows; row += step)
                add_unit(cutting, input, first + row,
                         step < group->n_rows - row ? step : group->n_rows - row);
            first += group->n_rows;
            continue;
        }
        n += group->n_rows;
        cost += of_group;
    }
    if (n) add_unit(cutting, input, first, n);
}

static int cut_parquet(struct cutting *cutting, struct runtime *runtime, uint32_t index,
                       const struct schema *schema)
{
    const struct ingest_input *input = &cutting->plan->inputs[index];
    struct conform_options options = {.ignore_extra_columns = cutting->plan->ignore_extra_columns};
    struct store *store;
    struct slice key;
    struct parquet_reader *reader = NULL;
    TRY(store_locate(runtime, input->address, cutting->arena, &store, &key));
    int code = parquet_reader_open(&reader, runtime, store, key, runtime->budget);
    if (code == 0) code = schema_check_conform(parquet_reader_schema(reader), schema, &options);
    if (code == 0) cut_groups(cutting, index, parquet_reader_metadata(reader));
    parquet_reader_close(reader);
    store_close(store);
    TRY_CONTEXT(code, "%s", input->name);
    return 0;
}

int bulk_plan_cut(struct runtime *runtime, struct bulk_plan *plan, const struct schema *schema,
                  uint64_t unit_bytes, struct arena *arena)
{
    struct cutting cutting = {.plan = plan, .arena = arena, .unit_bytes = unit_bytes};
    plan->units = NULL; /* it may have been cut before, when another's plan was in its place */
    plan->n_units = 0;
    for (size_t i = 0; i < plan->n_inputs; i++) {
        TRY(runtime_check_cancel(runtime));
        if (plan->inputs[i].format == INGEST_PARQUET)
            TRY(cut_parquet(&cutting, runtime, (uint32_t)i, schema));
        else
            add_unit(&cutting, (uint32_t)i, 0, UINT64_MAX);
    }
    return 0;
}

/* ---- the plan, written ---- */

static const char *const format_names[] = {
    [INGEST_PARQUET] = "parquet", [INGEST_CSV] = "csv", [INGEST_JSONL] = "jsonl"};

static void write_hash(struct json_writer *writer, const char *name, const uint64_t hash[2])
{
    char hex[HASH128_HEX_BYTES + 1];
    hash_hex128((struct hash128){hash[0], hash[1]}, hex);
    json_write_field_text(writer, name, hex);
}

static void write_inputs(const struct bulk_plan *plan, struct json_writer *writer)
{
    json_write_name(writer, "inputs");
    json_write_array_begin(writer);
    for (size_t i = 0; i < plan->n_inputs; i++) {
        const struct ingest_input *input = &plan->inputs[i];
        json_write_object_begin(writer);
        json_write_field_string(writer, "file", input->address);
        json_write_field_text(writer, "format", format_names[input->format]);
        json_write_field_uint(writer, "bytes", input->size);
        if (input->csv_delimiter)
            json_write_field_string(writer, "delimiter", slice_make(&input->csv_delimiter, 1));
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
    json_write_name(writer, "units");
    json_write_array_begin(writer);
    for (size_t i = 0; i < plan->n_units; i++) {
        const struct bulk_unit *unit = &plan->units[i];
        json_write_array_begin(writer);
        json_write_uint(writer, unit->input);
        json_write_uint(writer, unit->first);
        if (unit->n != UINT64_MAX) json_write_uint(writer, unit->n);
        json_write_array_end(writer);
    }
    json_write_array_end(writer);
}

int bulk_plan_write(const struct bulk_plan *plan, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out, 0);
    json_write_object_begin(&writer);
    /* Who does not know of bad rows could not tell of them. */
    json_write_field_int(&writer, "glisBulkImport", plan->bad_rows_to.size ? 2 : 1);
    json_write_field_string(&writer, "id", plan->id);
    json_write_field_string(&writer, "job", plan->job);
    json_write_field_bool(&writer, "given", plan->job_is_given);
    write_hash(&writer, "fingerprint", plan->fingerprint);
    json_write_field_uint(&writer, "record", plan->record);
    json_write_field_int(&writer, "now", plan->now_ms);
    json_write_field_bool(&writer, "ignoreExtraColumns", plan->ignore_extra_columns);
    if (plan->csv_null_text.data) json_write_field_string(&writer, "nullText", plan->csv_null_text);
    if (plan->bad_rows_to.size) json_write_field_string(&writer, "badRowsTo", plan->bad_rows_to);
    write_inputs(plan, &writer);
    json_write_object_end(&writer);
    TRY(json_writer_finish(&writer));
    return buffer_append_byte(out, '\n');
}

/* ---- and read ---- */

static int read_hash(const struct json *json, const char *name, uint64_t out[2])
{
    struct slice text;
    defer_buffer struct buffer bytes = BUFFER_INIT(64);
    TRY(json_get_string(json, name, &text));
    if (text.size != HASH128_HEX_BYTES || text_hex_decode(&bytes, text) < 0)
        return json_fail(json_find(json, name), "32 hexadecimal digits are wanted");
    memcpy(out, bytes.data, 16);
    out[0] = __builtin_bswap64(out[0]);
    out[1] = __builtin_bswap64(out[1]);
    return 0;
}

static int read_input(const struct json *json, struct arena *arena, struct ingest_input *out)
{
    struct slice format, delimiter = SLICE_EMPTY;
    int64_t size;
    TRY(json_as_object(json));
    TRY(json_get_string(json, "file", &out->address));
    TRY(json_get_string(json, "format", &format));
    TRY(json_get_int(json, "bytes", 0, INT64_MAX, &size));
    TRY(json_optional_string(json, "delimiter", &delimiter));
    out->name = arena_copy_text(arena, out->address);
    out->size = (uint64_t)size;
    out->csv_delimiter = delimiter.size ? delimiter.data[0] : 0;
    for (int i = INGEST_PARQUET; i <= INGEST_JSONL; i++) {
        if (!slice_equal_text(format, format_names[i])) continue;
        out->format = (enum ingest_format)i;
        return 0;
    }
    return json_fail(json, "no form of input: '%.*s'", SLICE_PRINT(format));
}

static int read_unit(const struct json *json, const struct bulk_plan *plan, struct bulk_unit *out)
{
    int64_t input, first, n = -1;
    TRY(json_as_array(json));
    if (json->n_items < 2 || json->n_items > 3) return json_fail(json, "no unit of input");
    TRY(json_as_int(&json->items[0], 0, (int64_t)plan->n_inputs - 1, &input));
    TRY(json_as_int(&json->items[1], 0, INT64_MAX, &first));
    if (json->n_items == 3) TRY(json_as_int(&json->items[2], 0, INT64_MAX - first, &n));
    *out = (struct bulk_unit){(uint32_t)input, (uint64_t)first, n < 0 ? UINT64_MAX : (uint64_t)n};
    return 0;
}

static int read_plan(const struct json *root, struct arena *arena, struct bulk_plan *out)
{
    int64_t version, record;
    const struct json *inputs, *units;
    TRY(json_as_object(root));
    TRY(json_get_int(root, "glisBulkImport", 1, INT32_MAX, &version));
    if (version > BULK_IMPORT_VERSION)
        return error_set(GLIS_ENEWER, "this bulk import was begun by a newer Glis (form %lld)",
                         (long long)version);
    TRY(json_get_string(root, "id", &out->id));
    TRY(json_get_string(root, "job", &out->job));
    TRY(json_get_bool(root, "given", &out->job_is_given));
    TRY(read_hash(root, "fingerprint", out->fingerprint));
    TRY(json_get_int(root, "record", 1, INT64_MAX, &record));
    TRY(json_get_int(root, "now", INT64_MIN, INT64_MAX, &out->now_ms));
    TRY(json_get_bool(root, "ignoreExtraColumns", &out->ignore_extra_columns));
    TRY(json_optional_string(root, "nullText", &out->csv_null_text));
    TRY(json_optional_string(root, "badRowsTo", &out->bad_rows_to));
    TRY(json_get_array(root, "inputs", &inputs));
    TRY(json_get_array(root, "units", &units));
    out->record = (uint64_t)record;
    out->n_inputs = inputs->n_items;
    out->inputs = ARENA_ARRAY(arena, struct ingest_input, inputs->n_items);
    for (size_t i = 0; i < inputs->n_items; i++)
        TRY(read_input(&inputs->items[i], arena, &out->inputs[i]));
    out->n_units = units->n_items;
    out->units = ARENA_ARRAY(arena, struct bulk_unit, units->n_items);
    for (size_t i = 0; i < units->n_items; i++)
        TRY(read_unit(&units->items[i], out, &out->units[i]));
    return 0;
}

int bulk_plan_read(struct slice text, struct arena *arena, struct bulk_plan *out)
{
    const struct json *root;
    *out = (struct bulk_plan){0};
    TRY_CONTEXT(json_parse(arena, text, JSON_RULES_INTERNAL, &root), "the plan of a bulk import");
    TRY_CONTEXT(read_plan(root, arena, out), "the plan of a bulk import");
    return 0;
}

/* ---- bounds ---- */

static void write_bytes(struct json_writer *writer, struct slice bytes)
{
    defer_buffer struct buffer text = BUFFER_INIT(16 * KEY_BYTES_MAX);
    if (text_base64_encode(&text, bytes) < 0 && writer->code == 0) {
        error_save(&writer->failure);
        writer->code = writer->failure.code;
    }
    json_write_string(writer, buffer_slice(&text));
}

static int read_bytes(const struct json *value, struct arena *arena, struct slice *out)
{
    defer_buffer struct buffer bytes = BUFFER_INIT(16 * KEY_BYTES_MAX);
    struct slice text;
    TRY(json_as_string(value, &text));
    if (text_base64_decode(&bytes, text) < 0) return json_fail(value, "base64 is wanted");
    *out = arena_copy(arena, buffer_slice(&bytes));
    return 0;
}

/* [min, max, whether max is exclusive] of each row key. */
static void write_bounds(struct json_writer *writer, const struct file_bound *bounds, uint32_t n)
{
    json_write_name(writer, "bounds");
    json_write_array_begin(writer);
    for (uint32_t i = 0; i < n; i++) {
        json_write_array_begin(writer);
        write_bytes(writer, bounds[i].min);
        write_bytes(writer, bounds[i].max);
        json_write_bool(writer, bounds[i].max_exclusive);
        json_write_array_end(writer);
    }
    json_write_array_end(writer);
}

static int read_bounds(const struct json *json, uint32_t n, struct arena *arena,
                       struct file_bound **out)
{
    const struct json *bounds;
    TRY(json_get_array(json, "bounds", &bounds));
    if (bounds->n_items != n) return json_fail(bounds, "%u bounds are wanted", n);
    *out = ARENA_ARRAY(arena, struct file_bound, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct json *bound = &bounds->items[i];
        TRY(json_as_array(bound));
        if (bound->n_items != 3) return json_fail(bound, "min, max and a truth are wanted");
        TRY(read_bytes(&bound->items[0], arena, &(*out)[i].min));
        TRY(read_bytes(&bound->items[1], arena, &(*out)[i].max));
        TRY(json_as_bool(&bound->items[2], &(*out)[i].max_exclusive));
    }
    return 0;
}

/* ---- outcomes of sort steps ---- */

int bulk_run_write(const struct bulk_run *run, uint32_t n_row_keys, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out, 0);
    json_write_object_begin(&writer);
    json_write_field_uint(&writer, "rows", run->rows);
    if (run->bad_rows) {
        json_write_field_uint(&writer, "badRows", run->bad_rows);
        json_write_field_string(&writer, "bad", run->bad_name);
    }
    if (run->name.size) {
        json_write_field_string(&writer, "file", run->name);
        json_write_field_uint(&writer, "bytes", run->size);
        json_write_field_uint(&writer, "schemaVersion", run->schema_version);
        write_bounds(&writer, run->bounds, n_row_keys);
    }
    json_write_object_end(&writer);
    return json_writer_finish(&writer);
}

int bulk_run_read(const struct json *json, uint32_t n_row_keys, struct arena *arena,
                  struct bulk_run *out)
{
    int64_t rows, size, version, bad = 0;
    *out = (struct bulk_run){0};
    TRY(json_as_object(json));
    TRY(json_get_int(json, "rows", 0, INT64_MAX, &rows));
    TRY(json_optional_int(json, "badRows", 0, INT64_MAX, &bad));
    if (bad) TRY(json_get_string(json, "bad", &out->bad_name));
    out->bad_rows = (uint64_t)bad;
    out->rows = (uint64_t)rows;
    if (rows == 0) return 0;
    TRY(json_get_string(json, "file", &out->name));
    TRY(json_get_int(json, "bytes", 0, INT64_MAX, &size));
    TRY(json_get_int(json, "schemaVersion", 0, INT64_MAX, &version));
    out->size = (uint64_t)size;
    out->schema_version = (uint64_t)version;
    return read_bounds(json, n_row_keys, arena, &out->bounds);
}

/* ---- outcomes of write steps ---- */

static void write_ages(struct json_writer *writer, const struct new_file *file)
{
    if (!file->n_ages) return;
    json_write_name(writer, "ages");
    json_write_array_begin(writer);
    for (size_t i = 0; i < file->n_ages; i++) {
        json_write_object_begin(writer);
        json_write_field_string(writer, "field", file->ages[i].field);
        if (file->ages[i].has_max) json_write_field_int(writer, "max", file->ages[i].max);
        json_write_field_uint(writer, "nulls", file->ages[i].n_nulls);
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

static int read_ages(const struct json *json, struct arena *arena, struct new_file *out)
{
    const struct json *ages = NULL;
    TRY(json_optional_array(json, "ages", &ages));
    if (!ages) return 0;
    struct file_age *age = ARENA_ARRAY(arena, struct file_age, ages->n_items);
    for (size_t i = 0; i < ages->n_items; i++) {
        int64_t nulls;
        TRY(json_as_object(&ages->items[i]));
        TRY(json_get_string(&ages->items[i], "field", &age[i].field));
        TRY(json_get_int(&ages->items[i], "nulls", 0, INT64_MAX, &nulls));
        age[i].n_nulls = (uint64_t)nulls;
        age[i].has_max = json_find(&ages->items[i], "max") != NULL;
        TRY(json_optional_int(&ages->items[i], "max", INT64_MIN, INT64_MAX, &age[i].max));
    }
    out->ages = age;
    out->n_ages = ages->n_items;
    return 0;
}

int bulk_written_write(const struct bulk_written *written, uint32_t n_row_keys, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out, 0);
    json_write_object_begin(&writer);
    json_write_field_uint(&writer, "rowsRead", written->rows_read);
    json_write_name(&writer, "files");
    json_write_array_begin(&writer);
    for (size_t i = 0; i < written->n_files; i++) {
        const struct new_file *file = &written->files[i].file;
        uint64_t hash[2];
        memcpy(hash, file->checksum, sizeof hash);
        hash[0] = __builtin_bswap64(hash[0]);
        hash[1] = __builtin_bswap64(hash[1]);
        json_write_object_begin(&writer);
        json_write_field_string(&writer, "leaf", written->files[i].leaf);
        json_write_field_string(&writer, "file", file->name);
        json_write_field_uint(&writer, "rows", file->rows);
        json_write_field_uint(&writer, "bytes", file->size);
        write_hash(&writer, "xxh3", hash);
        write_bounds(&writer, file->bounds, n_row_keys);
        write_ages(&writer, file);
        json_write_object_end(&writer);
    }
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    return json_writer_finish(&writer);
}

static int read_file(const struct json *json, uint32_t n_row_keys, struct arena *arena,
                     struct bulk_file *out)
{
    int64_t rows, size;
    uint64_t hash[2];
    struct file_bound *bounds;
    struct new_file *file = &out->file;
    TRY(json_as_object(json));
    TRY(json_get_string(json, "leaf", &out->leaf));
    TRY(json_get_string(json, "file", &file->name));
    TRY(json_get_int(json, "rows", 1, INT64_MAX, &rows));
    TRY(json_get_int(json, "bytes", 1, INT64_MAX, &size));
    TRY(read_hash(json, "xxh3", hash));
    hash[0] = __builtin_bswap64(hash[0]);
    hash[1] = __builtin_bswap64(hash[1]);
    memcpy(file->checksum, hash, sizeof hash);
    file->rows = (uint64_t)rows;
    file->size = (uint64_t)size;
    TRY(read_bounds(json, n_row_keys, arena, &bounds));
    file->bounds = bounds;
    return read_ages(json, arena, file);
}

int bulk_written_read(const struct json *json, uint32_t n_row_keys, struct arena *arena,
                      struct bulk_written *out)
{
    const struct json *files;
    int64_t rows;
    *out = (struct bulk_written){0};
    TRY(json_as_object(json));
    TRY(json_get_int(json, "rowsRead", 0, INT64_MAX, &rows));
    TRY(json_get_array(json, "files", &files));
    out->rows_read = (uint64_t)rows;
    out->files = ARENA_ARRAY(arena, struct bulk_file, files->n_items);
    out->n_files = files->n_items;
    for (size_t i = 0; i < files->n_items; i++)
        TRY(read_file(&files->items[i], n_row_keys, arena, &out->files[i]));
    return 0;
}
