/*
 * serial_stream.c: rows of a file one batch after another, read and decoded by the thread that asks
 * for them.
 *
 * For callers that have many such streams at once and their own threads for them, as a merge has:
 * nothing is held between two batches but the place in each column. A batch that is too large
 * (2 GiB of text in a column, or what the budget has left) is tried again with half as many rows.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

struct serial_stream {
    struct batch_stream stream;
    struct parquet_reader *reader;
    struct budget *budget;
    struct schema *schema;
    uint32_t *fields;
    uint32_t n_fields, row_group;
    uint64_t next, end; /* rows of the file */
    int64_t batch_rows;
    struct rows_cursor *cursor; /* in the row group, at `next`; NULL: none */
};

static int read_batch(struct serial_stream *self, struct batch **out)
{
    const struct parquet_metadata *metadata = &self->reader->metadata;
    while (metadata->row_groups[self->row_group].first_row +
               metadata->row_groups[self->row_group].n_rows <=
           self->next) {
        rows_cursor_close(self->cursor);
        self->cursor = NULL;
        self->row_group++;
    }
    const struct parquet_row_group *group = &metadata->row_groups[self->row_group];
    uint64_t first = self->next - group->first_row, n = group->n_rows - first;
    if (n > self->end - self->next) n = self->end - self->next;
    for (uint64_t rows = (uint64_t)self->batch_rows < n ? (uint64_t)self->batch_rows : n;;) {
        int code = 0;
        if (!self->cursor)
            code = rows_cursor_open(self->reader, self->row_group, self->fields, self->n_fields,
                                    first, n, self->budget, &self->cursor);
        if (code == 0) code = rows_cursor_next(self->cursor, rows, false, out);
        if (code == 0) {
            self->next += rows;
            return 0;
        }
        rows_cursor_close(self->cursor);
        self->cursor = NULL;
        if ((code != GLIS_ELIMIT && code != GLIS_ENOMEM) || rows <= 1) return code;
        rows /= 2;
    }
}

static int serial_next(struct batch_stream *stream, struct batch **out)
{
    struct serial_stream *self = (struct serial_stream *)stream;
    *out = NULL;
    TRY(runtime_check_cancel(self->reader->runtime));
    return self->next < self->end ? read_batch(self, out) : 0;
}

static void serial_close(struct batch_stream *stream)
{
    struct serial_stream *self = (struct serial_stream *)stream;
    rows_cursor_close(self->cursor);
    schema_release(self->schema);
    free(self->fields);
    free(self);
}

int parquet_reader_stream_serial(struct parquet_reader *reader, const uint32_t *fields,
                                 uint32_t n_fields, uint64_t first, uint64_t n, int64_t batch_rows,
                                 struct budget *budget, struct batch_stream **out)
{
    const struct parquet_metadata *metadata = &reader->metadata;
    struct schema *schema;
    if (first > metadata->n_rows || n > metadata->n_rows - first || batch_rows <= 0)
        return error_set(GLIS_EINVALID, "rows %llu to %llu of a file of %llu",
                         (unsigned long long)first, (unsigned long long)(first + n),
                         (unsigned long long)metadata->n_rows);
    TRY(schema_project(parquet_reader_schema(reader), fields, n_fields, &schema));
    struct serial_stream *self = memory_alloc_zero(sizeof *self);
    self->stream = (struct batch_stream){schema, serial_next, serial_close};
    self->reader = reader;
    self->budget = budget;
    self->schema = schema;
    self->fields = memory_alloc((n_fields + 1) * sizeof *fields);
    if (n_fields) memcpy(self->fields, fields, n_fields * sizeof *fields);
    self->n_fields = n_fields;
    self->next = first;
    self->end = first + n;
    self->batch_rows = batch_rows;
    *out = &self->stream;
    return 0;
}
