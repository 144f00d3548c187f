/*
 * file_sketches.c: quantiles and distinct counts of a file's row keys: made while rows pass, as a
 * section of the file, and read again.
 *
 * Each row-key field has a sketch of its field keys (column.h), seeded by the file's name and the
 * field's number, so that a file's sketches are the same whether they were made while it was
 * written or later from its columns, and however the rows were cut into batches.
 *
 * The section stands behind the last row group; the footer's entry glis.sketch says where it is and
 * its XXH3-64 (docs/formats.md, "Sketches"). It is not among what a lookup reads. The entry and the
 * section come from a file, so both are held against the file's size, its rows and its schema.
 */
#include "lsm/ingest_int.h"

#include "base/text.h"
#include "parquet/parquet.h"
#include "sketch/sketch.h"

enum { SECTION_VERSION = 1, HEAD_BYTES = 8 };
#define SECTION_MAGIC SLICE("GLSK")

/* ---- making ---- */

static struct file_sketches *sketches_new(uint32_t n_fields)
{
    struct file_sketches *sketches = memory_alloc_zero(sizeof *sketches);
    sketches->n_fields = n_fields;
    sketches->fields = memory_alloc_zero((n_fields + 1) * sizeof *sketches->fields);
    return sketches;
}

void file_sketches_free(struct file_sketches *sketches)
{
    if (!sketches) return;
    for (uint32_t i = 0; i < sketches->n_fields; i++) {
        kll_free(sketches->fields[i].quantiles);
        hll_free(sketches->fields[i].distinct);
    }
    free(sketches->fields);
    free(sketches);
}

struct sketch_maker {
    struct file_sketches *sketches;
    const struct schema *schema;
};

struct sketch_maker *sketch_maker_new(const struct schema *schema, uint32_t n_fields, uint32_t k,
                                      struct slice name)
{
    struct sketch_maker *maker = memory_alloc_zero(sizeof *maker);
    maker->schema = schema_acquire(schema);
    maker->sketches = sketches_new(n_fields);
    for (uint32_t i = 0; i < n_fields; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        char *seed = arena_printf(&arena, "%.*s:%u", SLICE_PRINT(name), i);
        maker->sketches->fields[i].quantiles = kll_new(k, slice_from_text(seed));
        maker->sketches->fields[i].distinct = hll_new(HLL_PRECISION_DEFAULT);
    }
    return maker;
}

/* Field keys of one column. */
static int field_keys(const struct batch *batch, uint32_t field, struct budget *budget,
                      struct keys *out)
{
    struct schema *schema;
    struct batch *one;
    TRY(schema_project(batch->schema, &field, 1, &schema));
    int code = batch_project(batch, schema, &field, &one);
    schema_release(schema);
    TRY(code);
    code = keys_encode(out, one, 1, budget);
    batch_release(one);
    return code;
}

int sketch_maker_add(struct sketch_maker *maker, const struct batch *batch, struct budget *budget)
{
    for (uint32_t i = 0; i < maker->sketches->n_fields; i++) {
        struct field_sketch *sketch = &maker->sketches->fields[i];
        struct keys keys;
        TRY(field_keys(batch, i, budget, &keys));
        kll_update_keys(sketch->quantiles, &keys);
        hll_update_keys(sketch->distinct, &keys);
        keys_free(&keys);
    }
    return 0;
}

const struct file_sketches *sketch_maker_sketches(const struct sketch_maker *maker)
{
    return maker->sketches;
}

struct file_sketches *sketch_maker_take(struct sketch_maker *maker)
{
    struct file_sketches *sketches = maker->sketches;
    maker->sketches = NULL;
    sketches->is_made = true;
    return sketches;
}

void sketch_maker_free(struct sketch_maker *maker)
{
    if (!maker) return;
    file_sketches_free(maker->sketches);
    schema_release(maker->schema);
    free(maker);
}

static int add_stream(struct sketch_maker *maker, struct runtime *runtime,
                      struct batch_stream *stream)
{
    for (;;) {
        struct batch *batch;
        TRY(runtime_check_cancel(runtime));
        TRY(batch_stream_next(stream, &batch));
        if (!batch) return 0;
        int code = sketch_maker_add(maker, batch, runtime->budget);
        batch_release(batch);
        TRY(code);
    }
}

int stream_sketches(struct runtime *runtime, struct batch_stream *stream, uint32_t n_fields,
                    uint32_t k, struct slice name, struct file_sketches **out)
{
    struct sketch_maker *maker = sketch_maker_new(stream->schema, n_fields, k, name);
    int code = add_stream(maker, runtime, stream);
    if (code == 0) *out = sketch_maker_take(maker);
    batch_stream_close(stream);
    sketch_maker_free(maker);
    return code;
}

/* ---- the section ---- */

static int append_part(struct buffer *out, struct slice bytes)
{
    uint32_t size = (uint32_t)bytes.size;
    ASSERT(bytes.size <= UINT32_MAX);
    TRY(buffer_append(out, &size, sizeof size));
    return buffer_append_slice(out, bytes);
}

int file_sketches_encode(const struct file_sketches *sketches, const struct schema *schema,
                         struct buffer *out)
{
    defer_buffer struct buffer part = BUFFER_INIT(KLL_ENCODED_BYTES_MAX);
    ASSERT(sketches->n_fields <= SCHEMA_FIELDS_MAX);
    TRY(buffer_append_slice(out, SECTION_MAGIC));
    TRY(buffer_append_byte(out, SECTION_VERSION));
    TRY(buffer_append_byte(out, 0));
    uint16_t n_fields = (uint16_t)sketches->n_fields;
    TRY(buffer_append(out, &n_fields, sizeof n_fields));
    for (uint32_t i = 0; i < sketches->n_fields; i++) {
        TRY(append_part(out, schema->fields[i].name));
        buffer_clear(&part);
        TRY(kll_encode(sketches->fields[i].quantiles, &part));
        TRY(append_part(out, buffer_slice(&part)));
        buffer_clear(&part);
        TRY(hll_encode(sketches->fields[i].distinct, &part));
        TRY(append_part(out, buffer_slice(&part)));
    }
    return 0;
}

static int take_part(struct slice *in, struct slice *out)
{
    uint32_t size = 0;
    if (in->size >= sizeof size) memcpy(&size, in->data, sizeof size);
    if (in->size < sizeof size || size > in->size - sizeof size)
        return error_set(GLIS_ECORRUPT, "the section of sketches ends too early");
    *out = slice_part(*in, sizeof size, size);
    *in = slice_part(*in, sizeof size + size, in->size);
    return 0;
}

static int decode_field(struct slice *in, const struct field *field, struct field_sketch *out)
{
    struct slice name, quantiles, distinct;
    TRY(take_part(in, &name));
    if (!slice_equal(name, field->name))
        return error_set(GLIS_ECORRUPT, "there is a sketch of another field in its place");
    TRY(take_part(in, &quantiles));
    TRY(take_part(in, &distinct));
    TRY(kll_decode(quantiles, &out->quantiles));
    return hll_decode(distinct, &out->distinct);
}

static int decode_fields(struct slice in, const struct schema *schema,
                         struct file_sketches *sketches)
{
    uint16_t n_fields = 0;
    if (in.size < HEAD_BYTES || !slice_starts_with(in, SECTION_MAGIC))
        return error_set(GLIS_ECORRUPT, "there is no section of sketches where it should be");
    if (in.data[4] != SECTION_VERSION)
        return error_set(GLIS_ENEWER, "its sketches are of version %d", (uint8_t)in.data[4]);
    memcpy(&n_fields, in.data + 6, sizeof n_fields);
    if (n_fields != sketches->n_fields)
        return error_set(GLIS_ECORRUPT, "there are sketches of %u fields, not %u", n_fields,
                         sketches->n_fields);
    in = slice_part(in, HEAD_BYTES, in.size);
    for (uint32_t i = 0; i < n_fields; i++)
        TRY_CONTEXT(decode_field(&in, &schema->fields[i], &sketches->fields[i]), "field '%.*s'",
                    SLICE_PRINT(schema->fields[i].name));
    if (in.size > 0)
        return error_set(GLIS_ECORRUPT, "%zu bytes behind the section of sketches", in.size);
    return 0;
}

int file_sketches_decode(struct slice bytes, const struct schema *schema, uint32_t n_fields,
                         struct file_sketches **out)
{
    struct file_sketches *sketches = sketches_new(n_fields);
    int code = decode_fields(bytes, schema, sketches);
    if (code < 0) {
        file_sketches_free(sketches);
        return code;
    }
    *out = sketches;
    return 0;
}

const char *sketch_entry_text(uint64_t offset, struct slice section, struct arena *arena)
{
    char hex[HASH64_HEX_BYTES + 1];
    hash_hex64(hash_xxh3_64(section.data, section.size), hex);
    return arena_printf(arena, "%llu,%zu,%s", (unsigned long long)offset, section.size, hex);
}

/* ---- reading ---- */

struct place {
    uint64_t offset, length;
    struct slice checksum;
};

/* Splits at the next comma. */
static struct slice take_word(struct slice *text)
{
    const char *comma = text->size ? memchr(text->data, ',', text->size) : NULL;
    size_t size = comma ? (size_t)(comma - text->data) : text->size;
    struct slice word = slice_part(*text, 0, size);
    *text = slice_part(*text, size + 1, text->size);
    return word;
}

static int read_entry(struct slice text, uint64_t file_size, struct place *out)
{
    int code = text_parse_uint64(take_word(&text), &out->offset);
    if (code == 0) code = text_parse_uint64(take_word(&text), &out->length);
    out->checksum = text;
    if (code < 0 || out->length > SKETCH_SECTION_BYTES_MAX || out->length > file_size ||
        out->offset > file_size - out->length || text.size != HASH64_HEX_BYTES)
        return error_set(GLIS_ECORRUPT, "its entry %s makes no sense", SKETCH_ENTRY);
    return 0;
}

static int read_section(struct store *store, struct runtime *runtime, struct slice key,
                        const struct place *place, const struct schema *schema, uint32_t n_fields,
                        struct file_sketches **out)
{
    struct buffer section;
    char hex[HASH64_HEX_BYTES + 1];
    buffer_init(&section, SKETCH_SECTION_BYTES_MAX, runtime->budget);
    int code = store_get(store, key, place->offset, place->length, &section);
    hash_hex64(hash_xxh3_64(section.data, section.size), hex);
    if (code == 0 && !slice_equal(place->checksum, slice_from_text(hex)))
        code = error_set(GLIS_ECORRUPT, "the checksum of its sketches is wrong");
    if (code == 0) code = file_sketches_decode(buffer_slice(&section), schema, n_fields, out);
    buffer_free(&section);
    return code;
}

static int check_counts(const struct file_sketches *sketches, uint64_t rows)
{
    for (uint32_t i = 0; i < sketches->n_fields; i++)
        if (kll_count(sketches->fields[i].quantiles) != rows)
            return error_set(GLIS_ECORRUPT, "its sketches are of %llu rows, not %llu",
                             (unsigned long long)kll_count(sketches->fields[i].quantiles),
                             (unsigned long long)rows);
    return 0;
}

/* Of a file without sketches, from its key columns, wherever they stand in it. */
static int make_sketches(struct parquet_reader *reader, struct runtime *runtime,
                         const struct schema *schema, struct slice name, struct file_sketches **out)
{
    const struct schema *own = parquet_reader_schema(reader);
    uint32_t n = schema->n_row_keys;
    defer_free uint32_t *fields = memory_alloc((n + 1) * sizeof *fields);
    for (uint32_t i = 0; i < n; i++) {
        int at = schema_find(own, schema->fields[i].name);
        if (at < 0 || !type_equal(&own->fields[at].type, &schema->fields[i].type))
            return error_set(GLIS_ECORRUPT, "it lacks the field '%s'", schema->fields[i].name.data);
        fields[i] = (uint32_t)at;
    }
    struct batch_stream *stream;
    TRY(parquet_reader_stream_part(reader, fields, n, 0, parquet_reader_rows(reader), 0, &stream));
    return stream_sketches(runtime, stream, n, KLL_K_DEFAULT, name, out);
}

static int sketches_of(struct parquet_reader *reader, struct store *store, struct runtime *runtime,
                       const struct schema *schema, const struct merge_file_input *file,
                       struct file_sketches **out)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    struct slice text;
    struct place place;
    if (metadata->n_rows != file->rows)
        return error_set(GLIS_ECORRUPT, "it has %llu rows, the table's state says %llu",
                         (unsigned long long)metadata->n_rows, (unsigned long long)file->rows);
    if (!parquet_reader_key_value(reader, SLICE(SKETCH_ENTRY), &text))
        return make_sketches(reader, runtime, schema, file->name, out);
    TRY(read_entry(text, metadata->file_size, &place));
    TRY(read_section(store, runtime, file->object_key, &place, schema, schema->n_row_keys, out));
    return check_counts(*out, file->rows);
}

int data_file_sketches(struct table *table, const struct table_state *state,
                       struct runtime *runtime, const struct merge_file_input *file,
                       struct file_sketches **out)
{
    struct store *store = instance_store(table_instance(table));
    struct parquet_reader *reader = NULL;
    *out = NULL;
    int code = parquet_reader_open(&reader, runtime, store, file->object_key, runtime->budget);
    if (code == 0) code = sketches_of(reader, store, runtime, table_state_schema(state), file, out);
    parquet_reader_close(reader);
    if (code == 0) return 0;
    if (code == GLIS_ENOTFOUND) code = error_set(GLIS_EGONE, "it is not there");
    error_context("sketches of file %.*s", SLICE_PRINT(file->name));
    file_sketches_free(*out);
    *out = NULL;
    return code;
}
