/*
 * fuzz_jsonl.c: the reader of JSON lines and arrays on any bytes, with nested types, and the
 * proposal of a schema for them.
 */
#include "fuzz.h"

#include "format/format.h"

static int leave_out(void *state, const struct format_bad_row *bad)
{
    (void)state;
    ASSERT(bad->line > 0 && bad->reason[0]);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema *schema, *proposed;
    struct format_options options = {.bad_row = leave_out, .batch_rows = 7, .row_bytes_max = 4096};
    struct propose_options propose = {.sample_rows = 100};
    struct batch_stream *stream;
    struct batch *batch;
    struct slice text = slice_make(data, size);
    int code = schema_from_json(
        SLICE("{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}],\"valueFields\":["
              "{\"name\":\"m\",\"type\":{\"MapType\":{\"keyType\":\"StringType\",\"valueType\":"
              "\"LongType\"}},\"nullable\":true},"
              "{\"name\":\"l\",\"type\":{\"ListType\":{\"elementType\":\"DoubleType\"}},"
              "\"nullable\":true},"
              "{\"name\":\"s\",\"type\":{\"StructType\":{\"fields\":[{\"name\":\"a\",\"type\":"
              "\"IntType\"},{\"name\":\"b\",\"type\":\"StringType\",\"nullable\":true}]}},"
              "\"nullable\":true}]}"),
        &schema);
    ASSERT(code == 0);
    if (jsonl_reader_open(byte_source_of(text, "fuzz.jsonl"), schema, &options, &stream) == 0) {
        while (batch_stream_next(stream, &batch) == 0 && batch) {
            ASSERT(batch_validate(batch, true) == 0);
            batch_release(batch);
        }
        batch_stream_close(stream);
    }
    schema_release(schema);
    if (format_propose(byte_source_of(text, "fuzz.jsonl"), FORMAT_JSONL, &propose, &proposed) == 0)
        schema_release(proposed);
    return 0;
}
