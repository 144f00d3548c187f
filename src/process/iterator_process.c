/*
 * iterator_process.c: plug-ins that are programs of their own: rows go to their standard input as
 * an Arrow IPC stream, and come back the same way from their standard output.
 *
 * One thread serves both directions: while it wants bytes from the program it hands over what the
 * program will take, so neither can wait for the other for ever; at most one batch is held ready to
 * be written. A program that neither takes nor gives anything for the time limit is killed, and so
 * is one whose bytes are wrong. It may end without reading all rows; but it must write its end
 * mark, close its output and end with code 0, or what it gave does not count: the stream's end is
 * only told after that. What it said on standard error is in the message.
 *
 *   argument 1   the config
 *   environment  PATH, LANG=C.UTF-8, GLIS_ITERATOR_VERSION, GLIS_ITERATOR_ROW_KEYS and
 *                GLIS_ITERATOR_SORT_KEYS (how many of the first columns are keys)
 */
#include "base/child.h"
#include "format/format.h"
#include "glis_iterator.h"
#include "process/process_int.h"

#include <stdlib.h>

enum { POLL_MS = 100, SERIAL_BYTES_MAX = 1 << 30, SAID_MAX = 300 };

struct process_iterator {
    struct batch_stream stream;
    struct byte_source source; /* the program's output, as the Arrow reader wants it */
    struct batch_stream *in;
    struct batch_stream *reader; /* NULL until the first batch is wanted */
    struct runtime *runtime;
    struct budget *budget;
    struct child *child;
    struct row_sink *sink;
    struct byte_sink *to_pending;
    struct buffer pending; /* serialised rows, written up to `written` */
    size_t written;
    bool input_ended, ended;
    int64_t timeout_ms;
};

static struct process_iterator *of_source(struct byte_source *source)
{
    size_t offset = offsetof(struct process_iterator, source);
    return (struct process_iterator *)(void *)((char *)source - offset);
}

/* Adds what the program said. */
static int with_words(struct process_iterator *process, int code)
{
    struct error_detail detail;
    error_save(&detail);
    struct slice said = child_said(process->child);
    while (said.size && (unsigned char)said.data[said.size - 1] <= ' ')
        said.size--;
    if (said.size == 0) return error_load(&detail);
    if (said.size > SAID_MAX) said = slice_part(said, said.size - SAID_MAX, SAID_MAX);
    return error_set(code, "%s; it said: %.*s", detail.text, SLICE_PRINT(said));
}

/* ---- rows in ---- */

/* Makes bytes of the next rows, or of the end. */
static int fill_pending(struct process_iterator *process)
{
    struct batch *batch;
    buffer_clear(&process->pending);
    process->written = 0;
    TRY(batch_stream_next(process->in, &batch));
    if (batch) {
        int code = process->sink->write(process->sink, batch);
        batch_release(batch);
        return code;
    }
    process->input_ended = true;
    return process->sink->finish(process->sink);
}

/* Gives the program some bytes; a program that reads no more has seen enough. */
static int feed(struct process_iterator *process)
{
    size_t taken;
    struct slice rest =
        slice_part(buffer_slice(&process->pending), process->written, process->pending.size);
    int code = child_write(process->child, rest, &taken);
    process->written += taken;
    if (code == GLIS_ECLOSED ||
        (process->input_ended && process->written == process->pending.size)) {
        process->input_ended = true;
        process->written = process->pending.size;
        child_close_input(process->child);
        return 0;
    }
    return code;
}

/* ---- bytes out ---- */

static int source_read(struct byte_source *source, void *out, size_t size, size_t *got)
{
    struct process_iterator *process = of_source(source);
    struct clock *clock = process->runtime->clock;
    int64_t since = clock->monotonic_ns(clock);
    *got = 0;
    for (;;) {
        TRY(runtime_check_cancel(process->runtime));
        bool has_bytes = process->written < process->pending.size;
        if (!has_bytes && !process->input_ended) {
            TRY(fill_pending(process));
            has_bytes = true;
            since = clock->monotonic_ns(clock); /* our own time does not count */
        }
        struct child_ready ready;
        TRY(child_poll(process->child, has_bytes, POLL_MS, &ready));
        if (ready.readable) {
            bool ended;
            TRY(child_read(process->child, out, size, got, &ended));
            if (*got || ended) return 0;
        }
        if (ready.writable) TRY(feed(process));
        if (ready.readable || ready.writable) since = clock->monotonic_ns(clock);
        if (clock->monotonic_ns(clock) - since > process->timeout_ms * INT64_C(1000000))
            return error_set(GLIS_ETIMEOUT,
                             "neither took nor gave anything for %lld ms (glis.iterator.timeout)",
                             (long long)process->timeout_ms);
    }
}

static void source_close(struct byte_source *source)
{
    (void)source; /* a part of the stream */
}

/* After the end mark: nothing more may come, and the program ends well. */
static int check_end(struct process_iterator *process)
{
    char byte;
    size_t got;
    int status;
    process->input_ended = true;
    process->written = process->pending.size;
    child_close_input(process->child);
    TRY(source_read(&process->source, &byte, 1, &got));
    if (got) return error_set(GLIS_EDATA, "wrote something behind the end of its rows");
    int64_t wait_ms = process->timeout_ms < INT32_MAX ? process->timeout_ms : INT32_MAX;
    if (!child_wait(process->child, (int)wait_ms, &status))
        return error_set(GLIS_ETIMEOUT, "did not end within %lld ms (glis.iterator.timeout)",
                         (long long)process->timeout_ms);
    if (status > 128) return error_set(GLIS_EDATA, "was ended by signal %d", status - 128);
    if (status) return error_set(GLIS_EDATA, "ended with code %d", status);
    return 0;
}

/* A failure while reading: when the program has died, that is the reason. */
static int explain(struct process_iterator *process, int code)
{
    int status;
    struct error_detail detail;
    if (code == GLIS_ECANCELLED) return code;
    error_save(&detail);
    bool dead = code == GLIS_EDATA && child_wait(process->child, 200, &status) && status;
    if (dead && status > 128)
        code = error_set(GLIS_EDATA, "was ended by signal %d", status - 128);
    else if (dead)
        code = error_set(GLIS_EDATA, "ended with code %d", status);
    else
        code = error_load(&detail);
    return with_words(process, code);
}

static int read_rows(struct process_iterator *process, struct batch **out)
{
    *out = NULL;
    if (!process->reader)
        TRY(arrow_reader_open(&process->source, process->stream.schema, process->budget,
                              &process->reader));
    TRY(batch_stream_next(process->reader, out));
    return *out ? 0 : check_end(process);
}

static int process_next(struct batch_stream *stream, struct batch **out)
{
    struct process_iterator *process = (struct process_iterator *)stream;
    *out = NULL;
    if (process->ended) return 0;
    if (!process->child) return error_set(GLIS_EINVALID, "has failed already");
    int code = read_rows(process, out);
    process->ended = code == 0 && !*out;
    if (code == 0) return 0;
    code = explain(process, code);
    struct error_detail detail;
    error_save(&detail);
    child_free(process->child); /* at once, not when the stream is closed */
    process->child = NULL;
    return error_load(&detail);
}

static void process_close(struct batch_stream *stream)
{
    struct process_iterator *process = (struct process_iterator *)stream;
    batch_stream_close(process->reader);
    child_free(process->child);
    row_sink_close(process->sink);
    byte_sink_close(process->to_pending);
    buffer_free(&process->pending);
    batch_stream_close(process->in);
    free(process);
}

static int start(struct process_iterator *process, const char *path,
                 const struct iterator_call *call)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct schema *schema = process->in->schema;
    const char *arguments[] = {call->config.data, NULL};
    const char *environment[] = {
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "LANG=C.UTF-8",
        arena_printf(&arena, "GLIS_ITERATOR_VERSION=%d", GLIS_ITERATOR_VERSION),
        arena_printf(&arena, "GLIS_ITERATOR_ROW_KEYS=%u", schema->n_row_keys),
        arena_printf(&arena, "GLIS_ITERATOR_SORT_KEYS=%u", schema->n_sort_keys),
        NULL,
    };
    struct child_command command = {path, arguments, environment};
    struct output_options options = {.kind = OUTPUT_ARROW, .budget = call->budget};
    TRY(child_start(process->runtime, &command, &process->child));
    process->to_pending = byte_sink_to_buffer(&process->pending);
    return row_sink_open(process->to_pending, schema, process->runtime, &options, &process->sink);
}

int iterator_process_open(struct batch_stream **out, struct batch_stream *in, const char *path,
                          const struct iterator_call *call)
{
    struct process_iterator *process = memory_alloc_zero(sizeof *process);
    process->stream = (struct batch_stream){in->schema, process_next, process_close};
    process->source = (struct byte_source){"its output", source_read, source_close};
    process->in = in;
    process->runtime = call->runtime;
    process->budget = call->budget;
    process->timeout_ms = call->timeout_ms;
    buffer_init(&process->pending, SERIAL_BYTES_MAX, call->budget);
    int code = start(process, path, call);
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        process_close(&process->stream);
        return error_load(&detail);
    }
    *out = &process->stream;
    return 0;
}
