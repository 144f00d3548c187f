/*
 * adopt.c: a Parquet file of somebody else's as a data file of a table, left where it is.
 *
 * The state of a table promises of a file what readers build on: its rows ascend in the order of
 * the encoded keys, its bounds, the rows in each partition, its bytes' checksum. All of it is
 * found out here from the file itself, by reading its key columns once and its bytes once; nothing
 * that the file or its maker says of its order is believed. A file that does not ascend, or has
 * other columns than the table, is not adopted: whoever wanted that reads it as an input instead.
 *
 * Values are not looked at. So a file is adopted only by a table that neither filters nor
 * aggregates, where nothing had to be done to rows on their way in.
 */
#include "lsm/lsm_int.h"

#include "base/hash.h"
#include "parquet/parquet.h"

#include <stdlib.h>

enum { PIECE_BYTES = 4 << 20 };

struct adoption {
    struct runtime *runtime;
    const struct table_state *state;
    const struct partition_tree *tree;
    struct arena *arena;
    struct store *store;
    struct slice key;
    struct adopted_file *out;
    struct buffer last;   /* the key of the last row */
    struct buffer *least; /* per row-key field */
    struct buffer *greatest;
    uint64_t *rows_by_leaf;
    const char *why_not;
};

/* Whether it has the table's columns, in the table's order. */
static int check_schema(struct adoption *adoption, const struct parquet_reader *reader)
{
    const struct schema *wanted = table_state_schema(adoption->state);
    const struct schema *there = parquet_reader_schema(reader);
    struct schema *same;
    if (there->n_fields != wanted->n_fields) {
        adoption->why_not = "other columns";
        return 0;
    }
    int code =
        schema_new(&same, there->fields, there->n_fields, wanted->n_row_keys, wanted->n_sort_keys);
    if (code < 0) error_clear(); /* keys that cannot be keys */
    if (code < 0 || !schema_equal(same, wanted)) adoption->why_not = "other columns";
    if (code == 0) schema_release(same);
    return 0;
}

static int keep(struct buffer *buffer, struct slice bytes)
{
    buffer_clear(buffer);
    return buffer_append_slice(buffer, bytes);
}

static int take_bounds(struct adoption *adoption, const struct schema *schema, struct slice key)
{
    size_t begin = 0, end;
    for (uint32_t f = 0; f < schema->n_row_keys; f++) {
        TRY(key_fields_size(schema, key, f + 1, &end));
        struct slice field = slice_part(key, begin, end - begin);
        begin = end;
        bool is_first = adoption->out->rows == 0;
        if (is_first || slice_compare(field, buffer_slice(&adoption->least[f])) < 0)
            TRY(keep(&adoption->least[f], field));
        if (is_first || slice_compare(field, buffer_slice(&adoption->greatest[f])) > 0)
            TRY(keep(&adoption->greatest[f], field));
    }
    return 0;
}

static int take_batch(struct adoption *adoption, const struct batch *batch)
{
    const struct schema *schema = table_state_schema(adoption->state);
    struct keys keys;
    TRY(keys_encode(&keys, batch, schema_key_count(schema), adoption->runtime->budget));
    int code = 0;
    for (int64_t row = 0; code == 0 && !adoption->why_not && row < keys.n_rows; row++) {
        struct slice key = keys_get(&keys, row);
        uint32_t leaf = 0;
        struct slice before = row ? keys_get(&keys, row - 1) : buffer_slice(&adoption->last);
        if (adoption->out->rows && slice_compare(before, key) > 0) {
            adoption->why_not = "not in key order";
            break;
        }
        if (key.size > KEY_BYTES_MAX) adoption->why_not = "a key that is too long";
        if (schema->n_row_keys > 1 || row == 0 || row + 1 == keys.n_rows)
            code = take_bounds(adoption, schema, key);
        if (code == 0) code = partition_tree_leaf_of_key(adoption->tree, schema, key, &leaf);
        adoption->rows_by_leaf[leaf]++;
        adoption->out->rows++;
    }
    if (code == 0 && keys.n_rows) code = keep(&adoption->last, keys_get(&keys, keys.n_rows - 1));
    keys_free(&keys);
    return code;
}

static int read_keys(struct adoption *adoption, struct parquet_reader *reader)
{
    uint32_t n = schema_key_count(table_state_schema(adoption->state));
    uint32_t *fields = ARENA_ARRAY(adoption->arena, uint32_t, n);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = i;
    struct batch_stream *stream;
    TRY(parquet_reader_stream_part(reader, fields, n, 0, parquet_reader_rows(reader), 0, &stream));
    int code = 0;
    while (code == 0 && !adoption->why_not) {
        struct batch *batch;
        code = runtime_check_cancel(adoption->runtime);
        if (code == 0) code = stream->next(stream, &batch);
        if (code < 0 || !batch) break;
        code = take_batch(adoption, batch);
        batch_release(batch);
    }
    stream->close(stream);
    return code;
}

static int hash_bytes(struct adoption *adoption, uint64_t size)
{
    struct hash_stream *hash = hash_stream_new();
    int code = 0;
    for (uint64_t at = 0; code == 0 && at < size; at += PIECE_BYTES) {
        struct store_read read = {.key = adoption->key, .offset = at, .length = PIECE_BYTES};
        code = runtime_check_cancel(adoption->runtime);
        if (code == 0) code = store_read(adoption->store, &read, 1);
        if (code == 0 && read.outcome) code = error_set(GLIS_EGONE, "it went while it was read");
        if (code == 0) hash_stream_add(hash, read.data, read.size);
        store_read_release(&read, 1);
    }
    struct hash128 sum = hash_stream_128(hash);
    for (int i = 0; i < 8; i++) {
        adoption->out->checksum[i] = (uint8_t)(sum.high >> 8 * (7 - i));
        adoption->out->checksum[8 + i] = (uint8_t)(sum.low >> 8 * (7 - i));
    }
    hash_stream_free(hash);
    return code;
}

/* The references, on the deepest few partitions that cover the rows, and the bounds in them. */
static int make_references(struct adoption *adoption)
{
    const struct partition_tree *tree = adoption->tree;
    uint32_t most =
        (uint32_t)table_state_number(adoption->state, PROPERTY_TABLE_INGEST_MAX_REFERENCES);
    struct partition_cover *cover;
    size_t n;
    TRY(partition_tree_cover(tree, adoption->rows_by_leaf, most, adoption->arena, &cover, &n));
    struct new_reference *references = ARENA_ARRAY(adoption->arena, struct new_reference, n);
    for (size_t i = 0; i < n; i++)
        references[i] = (struct new_reference){tree->nodes[cover[i].node].id, cover[i].rows};
    struct file_bound *bounds = ARENA_ARRAY(adoption->arena, struct file_bound, tree->n_fields);
    for (uint32_t f = 0; f < tree->n_fields; f++) {
        /* Cut outward, but not out of the references' regions: these are as wide as they reach. */
        struct key_range range = tree->nodes[cover[0].node].region[f];
        for (size_t i = 1; i < n; i++) {
            const struct key_range *one = &tree->nodes[cover[i].node].region[f];
            if (slice_compare(one->min, range.min) < 0) range.min = one->min;
            if (one->unbounded || (!range.unbounded && slice_compare(one->max, range.max) > 0)) {
                range.max = one->max;
                range.unbounded = one->unbounded;
            }
        }
        bounds[f] = file_bound_cut(buffer_slice(&adoption->least[f]),
                                   buffer_slice(&adoption->greatest[f]), &range, adoption->arena);
    }
    adoption->out->references = references;
    adoption->out->n_references = n;
    adoption->out->bounds = bounds;
    return 0;
}

static int look_at(struct adoption *adoption)
{
    struct parquet_reader *reader;
    TRY(parquet_reader_open(&reader, adoption->runtime, adoption->store, adoption->key,
                            adoption->runtime->budget));
    uint64_t size = parquet_reader_metadata(reader)->file_size;
    int code = check_schema(adoption, reader);
    if (code == 0 && !adoption->why_not) code = read_keys(adoption, reader);
    parquet_reader_close(reader);
    TRY(code);
    if (adoption->out->rows == 0 && !adoption->why_not) adoption->why_not = "no rows";
    if (adoption->why_not) return 0;
    adoption->out->size = size;
    TRY(hash_bytes(adoption, size));
    return make_references(adoption);
}

int adopt_file(struct runtime *runtime, const struct table_state *state,
               const struct partition_tree *tree, struct slice path, struct arena *arena,
               struct adopted_file *out, const char **why_not)
{
    *out = (struct adopted_file){0};
    struct adoption adoption = {
        .runtime = runtime, .state = state, .tree = tree, .arena = arena, .out = out};
    buffer_init(&adoption.last, 8 * KEY_BYTES_MAX, NULL);
    adoption.least = ARENA_ARRAY(arena, struct buffer, tree->n_fields);
    adoption.greatest = ARENA_ARRAY(arena, struct buffer, tree->n_fields);
    for (uint32_t f = 0; f < tree->n_fields; f++) {
        buffer_init(&adoption.least[f], 2 * KEY_BYTES_MAX + 64, NULL);
        buffer_init(&adoption.greatest[f], 2 * KEY_BYTES_MAX + 64, NULL);
    }
    adoption.rows_by_leaf = ARENA_ARRAY(arena, uint64_t, tree->n_leaves);
    if (table_state_text(state, PROPERTY_TABLE_FILTERS).size ||
        table_state_text(state, PROPERTY_TABLE_AGGREGATIONS).size)
        adoption.why_not = "a table that filters or aggregates";
    int code = store_foreign_address(path, arena, &out->address);
    if (code == GLIS_EINVALID || code == GLIS_ELIMIT) {
        error_clear();
        adoption.why_not = "a path that cannot be kept";
        code = 0;
    }
    if (code == 0 && !adoption.why_not) {
        code = store_locate(runtime, path, arena, &adoption.store, &adoption.key);
        if (code == 0) code = look_at(&adoption);
        store_close(adoption.store);
    }
    buffer_free(&adoption.last);
    for (uint32_t f = 0; f < tree->n_fields; f++) {
        buffer_free(&adoption.least[f]);
        buffer_free(&adoption.greatest[f]);
    }
    *why_not = adoption.why_not;
    if (code < 0) error_context("%.*s", SLICE_PRINT(path));
    return code;
}
