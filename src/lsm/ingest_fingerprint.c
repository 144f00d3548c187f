/*
 * ingest_fingerprint.c: a hash of rows for input that cannot be read twice.
 *
 * Each column, and each child of a nested one, has a hash of its own, fed with its values in order:
 * which rows are null, lengths for what has offsets, bytes or fixed-width values. How the rows were
 * cut into batches cannot be seen in any of these streams, so the same rows give the same hash
 * however they arrive. What lies under a null is not defined and counts as zeros.
 *
 * Nor can be seen what a table's schema may become between a job and its repeat: a column in which
 * nothing but nulls came counts as one that is not there (columns are only ever added behind the
 * others, and the rows of older inputs have null in them), and 32-bit integers count as the 64-bit
 * ones that they may be widened to.
 */
#include "lsm/ingest_int.h"

struct column_hash {
    const struct type *type;
    bool any;                   /* a value that is not null came */
    struct hash_stream *valid;  /* one byte an entry */
    struct hash_stream *values; /* of entries with offsets: length (-1: null), then bytes */
    struct column_hash *children;
};

struct row_hash {
    const struct schema *schema;
    uint64_t n_rows;
    struct column_hash *columns;
};

static void column_hash_init(struct column_hash *hash, const struct type *type)
{
    hash->type = type;
    hash->any = false;
    hash->valid = hash_stream_new();
    hash->values = hash_stream_new();
    hash->children = NULL;
    if (type->n_children == 0) return;
    hash->children = memory_alloc_zero(type->n_children * sizeof *hash->children);
    for (uint32_t i = 0; i < type->n_children; i++)
        column_hash_init(&hash->children[i], &type->children[i].type);
}

static void column_hash_free(struct column_hash *hash)
{
    for (uint32_t i = 0; i < hash->type->n_children; i++)
        column_hash_free(&hash->children[i]);
    memory_defer_free(&hash->children);
    hash_stream_free(hash->valid);
    hash_stream_free(hash->values);
}

static void column_hash_finish(const struct column_hash *hash, struct hash_stream *into)
{
    struct hash128 digests[2] = {hash_stream_128(hash->valid), hash_stream_128(hash->values)};
    hash_stream_add(into, digests, sizeof digests);
    for (uint32_t i = 0; i < hash->type->n_children; i++)
        column_hash_finish(&hash->children[i], into);
}

static void add_validity(struct column_hash *hash, const struct column *column, int64_t begin,
                         int64_t n)
{
    uint8_t bytes[512];
    for (int64_t row = 0; row < n;) {
        size_t k = 0;
        for (; k < sizeof bytes && row < n; k++, row++)
            bytes[k] = !column_is_null(column, begin + row);
        hash_stream_add(hash->valid, bytes, k);
    }
}

/* 32-bit integers as 64-bit ones, with zeros for nulls. */
static void add_widened(struct column_hash *hash, const struct column *column, int64_t begin,
                        int64_t n)
{
    const int32_t *values = (const int32_t *)(const void *)column->values.data;
    int64_t wide[256];
    for (int64_t row = 0; row < n;) {
        size_t k = 0;
        for (; k < sizeof wide / sizeof *wide && row < n; k++, row++)
            wide[k] =
                column_is_null(column, begin + row) ? 0 : values[column->offset + begin + row];
        hash_stream_add(hash->values, wide, k * sizeof *wide);
    }
}

/* Fixed-width values (bits as bytes), with zeros for nulls. */
static void add_fixed(struct column_hash *hash, const struct column *column, int64_t begin,
                      int64_t n)
{
    static const uint8_t zeros[64];
    unsigned width = type_width(column->type);
    if (width > sizeof zeros) width = 0;
    int64_t from = column->offset + begin;
    if (column->null_count == 0 && width > 0) {
        hash_stream_add(hash->values, column->values.data + from * width, (size_t)n * width);
        return;
    }
    for (int64_t row = 0; row < n; row++) {
        int64_t i = from + row;
        if (width == 0) {
            uint8_t bit = !column_is_null(column, begin + row) &&
                          (column->values.data[i >> 3] >> (i & 7) & 1);
            hash_stream_add(hash->values, &bit, 1);
        } else {
            bool is_null = column_is_null(column, begin + row);
            hash_stream_add(hash->values, is_null ? zeros : column->values.data + i * width, width);
        }
    }
}

/* Entries [begin, begin + n) of a column. */
static void add_column(struct column_hash *hash, const struct column *column, int64_t begin,
                       int64_t n)
{
    if (n == 0) return;
    const struct type *type = column->type;
    if (type->kind == TYPE_STRUCT) {
        add_validity(hash, column, begin, n);
        for (uint32_t i = 0; i < type->n_children; i++) {
            struct column_hash *child = &hash->children[i];
            int64_t from = column->offset + begin;
            if (column->null_count == 0) add_column(child, &column->children[i], from, n);
            for (int64_t row = 0; column->null_count > 0 && row < n; row++) {
                if (!column_is_null(column, begin + row))
                    add_column(child, &column->children[i], from + row, 1);
            }
        }
    } else if (type_has_offsets(type)) {
        const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data;
        for (int64_t row = 0; row < n; row++) {
            int64_t i = column->offset + begin + row;
            int32_t size = offsets[i + 1] - offsets[i];
            if (column_is_null(column, begin + row)) size = -1;
            hash_stream_add(hash->values, &size, sizeof size);
            if (size <= 0) continue;
            if (type->n_children == 0)
                hash_stream_add(hash->values, column->values.data + offsets[i], (size_t)size);
            else
                add_column(&hash->children[0], &column->children[0], offsets[i], size);
        }
    } else {
        add_validity(hash, column, begin, n);
        if (type->kind == TYPE_INT32)
            add_widened(hash, column, begin, n);
        else
            add_fixed(hash, column, begin, n);
    }
}

struct row_hash *row_hash_new(const struct schema *schema)
{
    struct row_hash *hash = memory_alloc_zero(sizeof *hash);
    hash->schema = schema_acquire(schema);
    hash->columns = memory_alloc_zero((schema->n_fields + 1) * sizeof *hash->columns);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        column_hash_init(&hash->columns[i], &schema->fields[i].type);
    return hash;
}

void row_hash_add(struct row_hash *hash, const struct batch *batch)
{
    hash->n_rows += (uint64_t)batch->n_rows;
    for (uint32_t i = 0; i < hash->schema->n_fields; i++) {
        const struct column *column = &batch->columns[i];
        hash->columns[i].any |= column->null_count < batch->n_rows;
        add_column(&hash->columns[i], column, 0, batch->n_rows);
    }
}

void row_hash_finish(const struct row_hash *hash, struct hash_stream *into)
{
    hash_stream_add(into, &hash->n_rows, sizeof hash->n_rows);
    for (uint32_t i = 0; i < hash->schema->n_fields; i++) {
        if (!hash->columns[i].any) continue;
        hash_stream_add(into, &i, sizeof i);
        column_hash_finish(&hash->columns[i], into);
    }
}

void row_hash_free(struct row_hash *hash)
{
    if (!hash) return;
    for (uint32_t i = 0; i < hash->schema->n_fields; i++)
        column_hash_free(&hash->columns[i]);
    memory_defer_free(&hash->columns);
    schema_release(hash->schema);
    memory_defer_free(&hash);
}
