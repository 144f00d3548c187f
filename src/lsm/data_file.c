/*
 * data_file.c: one ascending stream of rows into one data file of the table.
 *
 * The file is plain Parquet (docs/formats.md, "Data files"): written part by part as a streamed
 * put, its whole-file checksum computed on the way, so nothing is read again. It is put with
 * STORE_DEFER_SYNC: durable only after the store_sync of the job's files before the commit, which
 * costs one sync and not one a file.
 *
 * Bounds are exact field keys. The first row key's least and greatest are those of the first and
 * last row; of other row keys every row is looked at. They are cut (outward) only when the commit
 * is described, for what a cut may reach depends on the references.
 *
 * The name says at which record of the log the writing began, which is what collection goes by.
 */
#include "lsm/ingest_int.h"

#include "parquet/parquet.h"

#include <stdio.h>

enum { BOUND_BYTES_MAX = KEY_BYTES_MAX + 64 };

/* The least and the greatest field key so far. */
struct bound_tracker {
    struct buffer min, max;
    bool any;
};

struct data_file_writer {
    const struct data_file_context *context;
    struct slice name, key;
    struct store_upload *upload;
    struct hash_stream *hash;
    struct parquet_writer *parquet;
    struct bound_tracker *bounds; /* one a row-key field */
    uint64_t rows;
    _Atomic uint64_t bytes;
};

/* ---- bounds ---- */

static void trackers_free(struct bound_tracker *bounds, uint32_t n)
{
    for (uint32_t i = 0; bounds && i < n; i++) {
        buffer_free(&bounds[i].min);
        buffer_free(&bounds[i].max);
    }
    memory_defer_free(&bounds);
}

static struct bound_tracker *trackers_new(uint32_t n)
{
    struct bound_tracker *bounds = memory_alloc_zero((n + 1) * sizeof *bounds);
    for (uint32_t i = 0; i < n; i++) {
        buffer_init(&bounds[i].min, BOUND_BYTES_MAX, NULL);
        buffer_init(&bounds[i].max, BOUND_BYTES_MAX, NULL);
    }
    return bounds;
}

/* Widens a bound to the field key of one row. */
static int tracker_add(struct bound_tracker *bound, const struct column *column, int64_t row)
{
    defer_buffer struct buffer key = BUFFER_INIT(BOUND_BYTES_MAX);
    struct value value;
    column_value(column, row, &value);
    TRY(key_append_value(column->type, &value, &key));
    struct slice s = buffer_slice(&key);
    if (!bound->any || slice_compare(s, buffer_slice(&bound->min)) < 0) {
        buffer_clear(&bound->min);
        TRY(buffer_append_slice(&bound->min, s));
    }
    if (!bound->any || slice_compare(s, buffer_slice(&bound->max)) > 0) {
        buffer_clear(&bound->max);
        TRY(buffer_append_slice(&bound->max, s));
    }
    bound->any = true;
    return 0;
}

static int track_batch(struct data_file_writer *writer, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->schema->n_row_keys; i++) {
        const struct column *column = &batch->columns[i];
        int64_t least = 0, greatest = batch->n_rows - 1;
        if (i > 0) {
            greatest = 0;
            for (int64_t row = 1; row < batch->n_rows; row++) {
                if (column_compare(column, row, column, least) < 0) least = row;
                if (column_compare(column, row, column, greatest) > 0) greatest = row;
            }
        }
        TRY(tracker_add(&writer->bounds[i], column, least));
        TRY(tracker_add(&writer->bounds[i], column, greatest));
    }
    return 0;
}
