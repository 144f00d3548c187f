/*
 * serial_stream.c: rows of a file one batch after another, read and decoded by the thread that asks
 * for them.
 *
 * For callers that have many such streams at once and their own threads for them, as a merge has:
 * nothing is held between two batches but the place in each column. A batch that is too large
 * (2 GiB of text in a column, or what the budget has left) is tried again with half as many rows.
 *
 * From a store that is far away, a row group is read in parts of about PART_BYTES, and the next
 * part is asked for while the present one is decoded.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

enum { PART_BYTES = 8 << 20, PART_BYTES_MIN = 1 << 20 };

/* Rows of one row group whose bytes are asked for together. */
struct part {
    uint32_t row_group;
    uint64_t first, end;       /* in the row group */
    struct parquet_plan *plan; /* NULL: nothing was asked for */
};

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
    bool asks_ahead;
    uint64_t asked;         /* rows of the file before this one are in a part, or were */
    struct part now, ahead; /* end 0: none */
};

static void part_close(struct part *part)
{
    parquet_plan_free(part->plan);
    *part = (struct part){0};
}

/* Rows of which the wanted fields take about PART_BYTES as they are in the file, less where memory
 * is scarce; 0: where it is so scarce that windows are better. */
static uint64_t part_rows(const struct serial_stream *self, const struct parquet_row_group *group)
{
    uint64_t bytes = 1, most = budget_left(self->budget) / 64;
    for (uint32_t f = 0; f < self->n_fields; f++) {
        const struct node *node = &self->reader->nodes[self->fields[f]];
        for (uint32_t l = node->leaf; l < node->leaf + node->n_leaves; l++) {
            if (group->chunks[l].offset_index_size == 0) return group->n_rows;
            if (__builtin_add_overflow(bytes, group->chunks[l].compressed_bytes, &bytes)) return 0;
        }
    }
    if (most > PART_BYTES) most = PART_BYTES;
    if (most < PART_BYTES_MIN) return 0;
    if (bytes <= most + most / 2) return group->n_rows;
    return (uint64_t)((unsigned __int128)group->n_rows * most / bytes) + 1;
}

/* Asks for the part that begins with row `asked`. */
static void part_ask(struct serial_stream *self, struct part *part)
{
    const struct parquet_metadata *metadata = &self->reader->metadata;
    *part = (struct part){.row_group = self->row_group};
    if (self->asked >= self->end) return;
    while (metadata->row_groups[part->row_group].first_row +
               metadata->row_groups[part->row_group].n_rows <=
           self->asked)
        part->row_group++;
    const struct parquet_row_group *group = &metadata->row_groups[part->row_group];
    uint64_t bytes, rows = part_rows(self, group), n = group->first_row + group->n_rows;
    if (n > self->end) n = self->end;
    n -= self->asked;
    if (rows && n > rows) n = rows;
    part->first = self->asked - group->first_row;
    part->end = part->first + n;
    self->asked += n;
    if (rows)
        part->plan = parquet_plan_ahead(self->reader, part->row_group, self->fields, self->n_fields,
                                        part->first, n, self->budget, part == &self->now,
                                        4 * (uint64_t)PART_BYTES, &bytes);
}

/* The present part is the one that row `next` of the file is in; the one behind it is under way. */
static int part_advance(struct serial_stream *self, uint64_t first)
{
    struct part *now = &self->now;
    if (now->end > 0 && now->row_group == self->row_group && first < now->end) {
        if (self->ahead.plan) (void)parquet_plan_go_on(self->ahead.plan, false);
        return 0;
    }
    rows_cursor_close(self->cursor);
    self->cursor = NULL;
    part_close(now);
    *now = self->ahead;
    if (now->end == 0) part_ask(self, now);
    part_ask(self, &self->ahead);
    return now->plan ? parquet_plan_arrive(&now->plan) : 0;
}

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
    if (self->asks_ahead) {
        TRY(part_advance(self, first));
        n = self->now.end - first;
    }
    for (uint64_t rows = (uint64_t)self->batch_rows < n ? (uint64_t)self->batch_rows : n;;) {
        int code = 0;
        if (!self->cursor)
            code = rows_cursor_open_planned(self->reader, self->now.plan, self->row_group,
                                            self->fields, self->n_fields, first, n, self->budget,
                                            &self->cursor);
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
    part_close(&self->now);
    part_close(&self->ahead);
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
    self->next = self->asked = first;
    self->end = first + n;
    self->asks_ahead = !reader->store->local;
    self->batch_rows = batch_rows;
    *out = &self->stream;
    return 0;
}
