/*
 * parquet_stream.c: a file's rows as a stream of batches.
 *
 * The unit of decoding is a row group, or a part of it where it is large and has an offset index,
 * so that memory is bounded by two such pieces: the one that is handed out and the next one, which
 * the pool decodes meanwhile. A piece is handed out in slices of at most batch_rows. A piece that
 * passes what a batch can hold (2 GiB of text in a column) is halved until it fits.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

enum { PIECE_BYTES = 48 << 20, BATCH_ROWS = 64 << 10 };

struct parquet_stream {
    struct batch_stream stream;
    struct parquet_reader *reader;
    struct runtime *runtime;
    struct budget *budget;
    struct schema *schema;
    uint32_t *fields;
    uint32_t n_fields;
    uint64_t next, end; /* rows of the file that are not yet asked for */
    int64_t batch_rows;
    struct batch *piece; /* being handed out */
    int64_t piece_done;
    struct task_group *tasks;
    struct batch *ahead; /* decoded by the task that runs */
    bool ahead_started;
};

/* The row group that holds a row of the file. */
static uint32_t group_of(const struct parquet_metadata *metadata, uint64_t row)
{
    uint32_t a = 0, b = metadata->n_row_groups;
    while (a + 1 < b) {
        uint32_t middle = a + (b - a) / 2;
        if (metadata->row_groups[middle].first_row <= row)
            a = middle;
        else
            b = middle;
    }
    return a;
}

static int read_piece(void *state)
{
    struct parquet_stream *stream = state;
    const struct parquet_metadata *metadata = parquet_reader_metadata(stream->reader);
    uint32_t g = group_of(metadata, stream->next);
    const struct parquet_row_group *group = &metadata->row_groups[g];
    uint64_t first = stream->next - group->first_row, n = group->n_rows - first;
    if (n > stream->end - stream->next) n = stream->end - stream->next;
    bool indexed = group->n_rows > 0 && metadata->n_leaves > 0;
    for (uint32_t l = 0; l < metadata->n_leaves; l++)
        indexed = indexed && group->chunks[l].offset_index_size > 0;
    if (indexed && group->uncompressed_bytes > PIECE_BYTES) {
        uint64_t parts = group->uncompressed_bytes / PIECE_BYTES + 1;
        uint64_t rows = (group->n_rows + parts - 1) / parts;
        if (n > rows) n = rows;
    }
    int code;
    for (;; n = (n + 1) / 2) {
        code = parquet_reader_rows_of(stream->reader, g, stream->fields, stream->n_fields, first, n,
                                      stream->budget, &stream->ahead);
        if (code != GLIS_ELIMIT || n <= 1) break;
    }
    if (code == 0) stream->next += n;
    return code;
}

static int start_ahead(struct parquet_stream *stream)
{
    if (stream->next >= stream->end) return 0;
    stream->ahead_started = true;
    return task_group_start(stream->tasks, read_piece, stream);
}

static int next_piece(struct parquet_stream *stream)
{
    batch_release(stream->piece);
    stream->piece = NULL;
    stream->piece_done = 0;
    if (!stream->ahead_started) {
        if (stream->next >= stream->end) return 0;
        TRY(start_ahead(stream));
    }
    TRY(task_group_wait(stream->tasks));
    stream->ahead_started = false;
    stream->piece = stream->ahead;
    stream->ahead = NULL;
    return start_ahead(stream);
}

static int stream_next(struct batch_stream *base, struct batch **out)
{
    struct parquet_stream *stream = (struct parquet_stream *)base;
    *out = NULL;
    TRY(runtime_check_cancel(stream->runtime));
    while (!stream->piece || stream->piece_done == stream->piece->n_rows) {
        TRY(next_piece(stream));
        if (!stream->piece) return 0;
    }
    int64_t n = stream->piece->n_rows - stream->piece_done;
    if (n > stream->batch_rows) n = stream->batch_rows;
    TRY(batch_slice(stream->piece, stream->piece_done, n, out));
    stream->piece_done += n;
    return 0;
}

static void stream_close(struct batch_stream *base)
{
    struct parquet_stream *stream = (struct parquet_stream *)base;
    task_group_free(stream->tasks);
    batch_release(stream->piece);
    batch_release(stream->ahead);
    schema_release(stream->schema);
    free(stream->fields);
    free(stream);
}

int parquet_reader_stream_part(struct parquet_reader *reader, const uint32_t *fields,
                               uint32_t n_fields, uint64_t first, uint64_t n, int64_t batch_rows,
                               struct batch_stream **out)
{
    struct schema *schema;
    uint64_t rows = parquet_reader_rows(reader);
    if (first > rows || n > rows - first)
        return error_set(GLIS_EINVALID, "rows %llu to %llu of a file of %llu",
                         (unsigned long long)first, (unsigned long long)(first + n),
                         (unsigned long long)rows);
    TRY(schema_project(parquet_reader_schema(reader), fields, n_fields, &schema));
    struct parquet_stream *stream = memory_alloc_zero(sizeof *stream);
    stream->stream = (struct batch_stream){schema, stream_next, stream_close};
    stream->reader = reader;
    stream->runtime = parquet_reader_runtime(reader, &stream->budget);
    stream->schema = schema;
    stream->fields = memory_alloc((n_fields + 1) * sizeof *fields);
    if (n_fields) memcpy(stream->fields, fields, n_fields * sizeof *fields);
    stream->n_fields = n_fields;
    stream->next = first;
    stream->end = first + n;
    stream->batch_rows = batch_rows > 0 ? batch_rows : BATCH_ROWS;
    stream->tasks = task_group_new(stream->runtime->pool, 1);
    *out = &stream->stream;
    return 0;
}

int parquet_reader_stream(struct parquet_reader *reader, struct batch_stream **out)
{
    uint32_t n = parquet_reader_schema(reader)->n_fields;
    uint32_t *fields = memory_alloc((n + 1) * sizeof *fields);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = i;
    int code =
        parquet_reader_stream_part(reader, fields, n, 0, parquet_reader_rows(reader), 0, out);
    free(fields);
    return code;
}
