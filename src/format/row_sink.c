/*
 * row_sink.c: the forms in which rows go out, by name, and the loop that carries a stream into one.
 */
#include "format/format_int.h"

static const char *const output_names[] = {
    [OUTPUT_TABLE] = "table", [OUTPUT_CSV] = "csv",         [OUTPUT_JSONL] = "jsonl",
    [OUTPUT_ARROW] = "arrow", [OUTPUT_PARQUET] = "parquet",
};

int output_kind_parse(struct slice text, enum output_kind *out)
{
    for (size_t i = 0; i < sizeof output_names / sizeof *output_names; i++) {
        if (!slice_equal_text(text, output_names[i])) continue;
        *out = (enum output_kind)i;
        return 0;
    }
    return error_set(GLIS_EINVALID,
                     "unknown output '%.*s': table, csv, jsonl, arrow and parquet are possible",
                     SLICE_PRINT(text));
}

int row_sink_open(struct byte_sink *to, const struct schema *schema, struct runtime *runtime,
                  const struct output_options *options, struct row_sink **out)
{
    switch (options->kind) {
    case OUTPUT_TABLE: return table_sink_open(to, schema, options, out);
    case OUTPUT_CSV: return csv_sink_open(to, schema, options, out);
    case OUTPUT_JSONL: return jsonl_sink_open(to, schema, options, out);
    case OUTPUT_ARROW: return arrow_sink_open(to, schema, options, out);
    case OUTPUT_PARQUET: return parquet_sink_open(to, schema, runtime, options, out);
    }
    return error_set(GLIS_EINVALID, "unknown output form %d", (int)options->kind);
}

int row_sink_drain(struct row_sink *sink, struct byte_sink *to, struct batch_stream *stream,
                   uint64_t *n_rows)
{
    uint64_t rows = 0;
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(stream, &batch));
        if (!batch) break;
        int code = sink->write(sink, batch);
        rows += (uint64_t)batch->n_rows;
        batch_release(batch);
        if (code < 0) return code;
    }
    if (n_rows) *n_rows = rows;
    TRY(sink->finish(sink));
    return to->finish(to);
}
