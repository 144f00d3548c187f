/*
 * format_cases.h: what the tests of the readers share: a text goes in, and what comes out is
 * compared as JSON lines, or the error by a part of its message.
 */
#ifndef GLIS_TESTS_FORMAT_CASES_H
#define GLIS_TESTS_FORMAT_CASES_H

#include "test.h"

#include "format/format.h"

struct format_case {
    const char *name;
    const char *schema; /* schema.json */
    const char *text;
    const char *rows;  /* expected JSON lines; NULL: an error is expected */
    const char *error; /* a part of the message */
    char delimiter;
    const char *null_text;
    bool ignore_extra;
};

typedef int (*format_open)(struct byte_source *, const struct schema *,
                           const struct format_options *, struct batch_stream **);

/* A source that gives its bytes in pieces of `step`, so that rows meet the window's end everywhere.
 */
struct piece_source {
    struct byte_source base;
    struct slice left;
    size_t step;
};

static inline int piece_read(struct byte_source *base, void *out, size_t size, size_t *got)
{
    struct piece_source *source = (struct piece_source *)base;
    size_t n = source->left.size < source->step ? source->left.size : source->step;
    if (n > size) n = size;
    memcpy(out, source->left.data, n);
    source->left = slice_part(source->left, n, source->left.size);
    *got = n;
    return 0;
}

static inline void piece_close(struct byte_source *base)
{
    free(base);
}

static inline struct byte_source *pieces(const char *text, size_t step)
{
    struct piece_source *source = memory_alloc_zero(sizeof *source);
    source->base = (struct byte_source){"test.txt", piece_read, piece_close};
    source->left = slice_from_text(text);
    source->step = step;
    return &source->base;
}

/* All rows of a stream as JSON lines. */
static inline int stream_text(struct batch_stream *stream, struct buffer *out)
{
    struct output_options options = {.kind = OUTPUT_JSONL};
    struct row_sink *sink;
    struct byte_sink *to = byte_sink_to_buffer(out);
    assert_int_equal(row_sink_open(to, stream->schema, NULL, &options, &sink), 0);
    int code = row_sink_drain(sink, to, stream, NULL);
    row_sink_close(sink);
    byte_sink_close(to);
    return code;
}

static inline int read_case(format_open open, const struct format_case *c, size_t step,
                            const struct format_options *more, struct buffer *out)
{
    struct schema *schema;
    struct format_options options = more ? *more : (struct format_options){0};
    struct batch_stream *stream;
    options.csv_delimiter = c->delimiter;
    options.csv_null_text = slice_from_text(c->null_text);
    options.ignore_extra_columns = c->ignore_extra;
    if (schema_from_json(slice_from_text(c->schema), &schema) < 0)
        fail_msg("%s: schema: %s", c->name, error_message());
    int code = open(pieces(c->text, step), schema, &options, &stream);
    schema_release(schema);
    if (code < 0) return code;
    code = stream_text(stream, out);
    batch_stream_close(stream);
    return code;
}

static inline void run_cases(format_open open, const struct format_case *cases, size_t n)
{
    static const size_t steps[] = {1 << 20, 1, 7};
    for (size_t i = 0; i < n; i++) {
        const struct format_case *c = &cases[i];
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
            struct buffer out defer_buffer = BUFFER_INIT(1 << 24);
            int code = read_case(open, c, steps[s], NULL, &out);
            if (c->rows) {
                if (code < 0) fail_msg("%s: %s", c->name, error_message());
                if (!slice_equal_text(buffer_slice(&out), c->rows))
                    fail_msg("%s: got\n%.*s\nnot\n%s", c->name, SLICE_PRINT(buffer_slice(&out)),
                             c->rows);
            } else {
                if (code != GLIS_EDATA)
                    fail_msg("%s: code %d, rows %.*s", c->name, code,
                             SLICE_PRINT(buffer_slice(&out)));
                if (!strstr(error_message(), c->error))
                    fail_msg("%s: '%s' lacks '%s'", c->name, error_message(), c->error);
            }
        }
    }
}

#endif
