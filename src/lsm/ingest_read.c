/*
 * ingest_read.c: each input as batches in the table's schema.
 *
 * CSV and JSON lines come in the table's schema from their readers; Parquet and foreign streams are
 * brought into it here. Either way bad rows end the job, or go one by one into a file of JSON lines
 * and are counted.
 *
 * The next batch is made ready on the pool (read, decoded, converted) while the caller works on the
 * present one. Only one such task is under way at a time, and the caller waits for it before it
 * looks at anything that the task touches, so nothing here needs a lock.
 */
#include "lsm/ingest_int.h"

#include "base/json.h"
#include "parquet/parquet.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BAD_ROW_LINE_BYTES = 1 << 20, BAD_ROW_TEXT_BYTES = 64 << 10 };

struct ingest_reader {
    struct runtime *runtime;
    struct ingest_reader_settings settings;
    const struct schema *schema;
    const char *name;
    struct store *store; /* of a Parquet file */
    struct parquet_reader *parquet;
    struct batch_stream *stream;
    bool conforms; /* batches have the table's schema already */
    bool is_text;
    uint64_t size;    /* of the file, 0: not known */
    uint64_t n_total; /* rows of the file, 0: not known */
    struct task_group *group;
    bool started, ended;
    struct batch *batch;              /* being made ready */
    uint64_t rows_ready, bytes_ready; /* of the task's side: after the batch being made ready */
    uint64_t rows_given, bytes_given; /* what the caller may see */
    uint64_t batch_first_row;         /* of the batch being conformed */
};

/* ---- bad rows ---- */

int bad_rows_sync(const struct bad_rows *bad)
{
    if (bad->fd < 0) return 0;
    while (fsync(bad->fd) < 0) {
        if (errno == EINTR) continue;
        if (errno == EINVAL || errno == ENOTSUP || errno == EROFS) return 0; /* a pipe, a device */
        return error_set_errno(errno, "cannot make the bad rows in '%s' durable", bad->path);
    }
    return 0;
}

void bad_rows_close(struct bad_rows *bad)
{
    if (bad->fd >= 0) (void)close(bad->fd);
    bad->fd = -1;
    buffer_free(&bad->line);
}

static int write_line(const struct bad_rows *bad)
{
    size_t done = 0;
    while (done < bad->line.size) {
        ssize_t n = write(bad->fd, bad->line.data + done, bad->line.size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return error_set_errno(n < 0 ? errno : EIO, "writing bad rows to '%s'", bad->path);
        done += (size_t)n;
    }
    return 0;
}

/* One bad row: a line of the file, or the end of the job. */
static int bad_row_add(struct bad_rows *bad, const struct format_bad_row *row, bool is_text)
{
    if (!bad->path && !bad->sink) {
        const char *before = row->field && row->field[0] ? "field '" : "";
        const char *after = row->field && row->field[0] ? "': " : "";
        return error_set(GLIS_EDATA, "%s: %s %lld: %s%s%s%s", row->source, is_text ? "line" : "row",
                         (long long)(is_text ? row->line : row->row + 1), before,
                         row->field ? row->field : "", after, row->reason);
    }
    if (bad->count == 0) buffer_init(&bad->line, BAD_ROW_LINE_BYTES, NULL);
    if (!bad->sink && bad->fd < 0) {
        bad->fd = open(bad->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (bad->fd < 0) return error_set_errno(errno, "cannot write bad rows to '%s'", bad->path);
    }
    buffer_clear(&bad->line);
    struct json_writer json;
    json_writer_init(&json, &bad->line, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "file", row->source);
    json_write_field_int(&json, "row", row->row + 1);
    if (is_text) json_write_field_int(&json, "line", row->line);
    if (row->field && row->field[0]) json_write_field_text(&json, "field", row->field);
    json_write_field_text(&json, "reason", row->reason);
    if (row->text.size > 0)
        json_write_field_string(&json, "text", slice_part(row->text, 0, BAD_ROW_TEXT_BYTES));
    json_write_object_end(&json);
    TRY(json_writer_finish(&json));
    TRY(buffer_append_byte(&bad->line, '\n'));
    TRY(bad->sink ? bad->sink(bad->sink_state, buffer_slice(&bad->line)) : write_line(bad));
    bad->count++;
    return 0;
}

static int bad_text_row(void *state, const struct format_bad_row *row)
{
    struct ingest_reader *reader = state;
    return bad_row_add(reader->settings.bad, row, true);
}

static int bad_batch_row(void *state, const struct bad_row *row)
{
    struct ingest_reader *reader = state;
    struct format_bad_row bad = {.source = reader->name,
                                 .row = (int64_t)reader->batch_first_row + row->row,
                                 .field = row->field,
                                 .reason = row->reason};
    return bad_row_add(reader->settings.bad, &bad, false);
}

/* ---- the next batch ---- */

static int conform(struct ingest_reader *reader, struct batch **batch)
{
    struct conform_options options = {.ignore_extra_columns = reader->settings.ignore_extra_columns,
                                      .unique_map_keys = true,
                                      .joined_maps = reader->settings.joined_maps,
                                      .bad_row = bad_batch_row,
                                      .bad_row_state = reader};
    struct batch *conformed = NULL;
    reader->batch_first_row = reader->settings.first_row + reader->rows_ready;
    reader->rows_ready += (uint64_t)(*batch)->n_rows;
    int code = batch_conform(*batch, reader->schema, &options, reader->runtime->budget, &conformed);
    batch_release(*batch);
    *batch = conformed;
    return code;
}

static void note_progress(struct ingest_reader *reader)
{
    if (reader->is_text) {
        struct format_progress progress = format_reader_progress(reader->stream);
        reader->bytes_ready = progress.bytes_read;
        reader->rows_ready = (uint64_t)progress.rows_read;
    } else if (reader->n_total > 0) {
        reader->bytes_ready =
            (uint64_t)((double)reader->size * (double)reader->rows_ready / (double)reader->n_total);
    }
}

/* The pool's task: the next batch into reader->batch. */
static int fetch(void *state)
{
    struct ingest_reader *reader = state;
    struct batch *batch = NULL;
    int code = batch_stream_next(reader->stream, &batch);
    if (code == 0 && batch && !reader->conforms) code = conform(reader, &batch);
    if (code < 0) {
        /* What text readers say begins with the name. */
        if (!reader->is_text && code != GLIS_EDATA) error_context("%s", reader->name);
        return code;
    }
    note_progress(reader);
    reader->batch = batch;
    return 0;
}

int ingest_reader_next(struct ingest_reader *reader, struct batch **out)
{
    *out = NULL;
    if (reader->ended) return 0;
    if (!reader->started) {
        reader->started = true;
        TRY(task_group_start(reader->group, fetch, reader));
    }
    TRY(task_group_wait(reader->group));
    *out = reader->batch;
    reader->batch = NULL;
    reader->rows_given = reader->rows_ready;
    reader->bytes_given = reader->bytes_ready;
    if (!*out) {
        reader->ended = true;
        return 0;
    }
    int code = task_group_start(reader->group, fetch, reader);
    if (code < 0) {
        batch_release(*out);
        *out = NULL;
    }
    return code;
}

uint64_t ingest_reader_rows(const struct ingest_reader *reader)
{
    return reader->rows_given;
}

uint64_t ingest_reader_bytes(const struct ingest_reader *reader)
{
    return reader->bytes_given;
}

/* ---- beginning and end ---- */

static struct ingest_reader *reader_new(struct runtime *runtime, const char *name,
                                        const struct ingest_reader_settings *settings)
{
    struct ingest_reader *reader = memory_alloc_zero(sizeof *reader);
    reader->runtime = runtime;
    reader->settings = *settings;
    reader->schema = schema_acquire(settings->schema);
    reader->name = name;
    return reader;
}

static int open_text(struct ingest_reader *reader, const struct ingest_input *input)
{
    struct format_options options = {.csv_delimiter = input->csv_delimiter,
                                     .csv_null_text = reader->settings.csv_null_text,
                                     .ignore_extra_columns = reader->settings.ignore_extra_columns,
                                     .joined_maps = reader->settings.joined_maps,
                                     .bad_row = bad_text_row,
                                     .bad_row_state = reader,
                                     .budget = reader->runtime->budget};
    struct byte_source *source;
    if (input->is_stdin) {
        TRY(byte_source_open_fd(reader->runtime, STDIN_FILENO, input->name, false, &source));
    } else if (input->is_stream) {
        int fd = open(input->name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return error_set_errno(errno, "cannot read '%s'", input->name);
        TRY(byte_source_open_fd(reader->runtime, fd, input->name, true, &source));
    } else {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice key;
        TRY(store_locate(reader->runtime, input->address, &arena, &reader->store, &key));
        TRY(byte_source_open_object(reader->store, key, input->name, &source));
    }
    reader->conforms = reader->is_text = true;
    if (input->format == INGEST_CSV)
        return csv_reader_open(source, reader->schema, &options, &reader->stream);
    return jsonl_reader_open(source, reader->schema, &options, &reader->stream);
}

static int open_parquet(struct ingest_reader *reader, const struct ingest_input *input);

int ingest_reader_open(struct ingest_reader **out, struct runtime *runtime,
                       const struct ingest_input *input,
                       const struct ingest_reader_settings *settings)
{
    struct ingest_reader *reader = reader_new(runtime, input->name, settings);
    reader->size = input->size;
    int code =
        input->format == INGEST_PARQUET ? open_parquet(reader, input) : open_text(reader, input);
    if (code < 0) {
        ingest_reader_close(reader);
        return code;
    }
    reader->group = task_group_new(runtime->pool, 1);
    *out = reader;
    return 0;
}

static int check_schema(const struct ingest_reader *reader)
{
    struct conform_options options = {.ignore_extra_columns =
                                          reader->settings.ignore_extra_columns};
    TRY_CONTEXT(schema_check_conform(reader->stream->schema, reader->schema, &options), "%s",
                reader->name);
    return 0;
}

int ingest_reader_open_stream(struct ingest_reader **out, struct runtime *runtime,
                              struct batch_stream *stream, const char *name,
                              const struct ingest_reader_settings *settings)
{
    struct ingest_reader *reader = reader_new(runtime, name, settings);
    reader->stream = stream;
    int code = check_schema(reader);
    if (code < 0) {
        ingest_reader_close(reader);
        return code;
    }
    reader->group = task_group_new(runtime->pool, 1);
    *out = reader;
    return 0;
}

void ingest_reader_close(struct ingest_reader *reader)
{
    if (!reader) return;
    task_group_free(reader->group);
    batch_release(reader->batch);
    batch_stream_close(reader->stream);
    parquet_reader_close(reader->parquet);
    store_close(reader->store);
    schema_release(reader->schema);
    memory_defer_free(&reader);
}

/* ---- Parquet ---- */

static int open_parquet(struct ingest_reader *reader, const struct ingest_input *input)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice key;
    TRY(store_locate(reader->runtime, input->address, &arena, &reader->store, &key));
    TRY_CONTEXT(parquet_reader_open(&reader->parquet, reader->runtime, reader->store, key,
                                    reader->runtime->budget),
                "%s", input->name);
    reader->n_total = parquet_reader_rows(reader->parquet);
    TRY(parquet_reader_stream(reader->parquet, &reader->stream));
    return check_schema(reader);
}
