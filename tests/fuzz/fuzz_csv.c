/*
 * fuzz_csv.c: the CSV reader on any bytes, with a schema of all kinds of types and with none. Bad
 * rows are left out, so that what follows them is read too; what comes out is a valid batch.
 */
#include "fuzz.h"

#include "format/format.h"

static int leave_out(void *state, const struct format_bad_row *bad)
{
    (void)state;
    ASSERT(bad->line > 0 && bad->reason[0]);
    return 0;
}

static void read_all(struct slice text, const struct schema *schema)
{
    struct format_options options = {.bad_row = leave_out, .batch_rows = 7, .row_bytes_max = 4096};
    struct batch_stream *stream;
    struct batch *batch;
    if (csv_reader_open(byte_source_of(text, "fuzz.csv"), schema, &options, &stream) < 0) return;
    while (batch_stream_next(stream, &batch) == 0 && batch) {
        ASSERT(batch_validate(batch, true) == 0);
        batch_release(batch);
    }
    batch_stream_close(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema *schema;
    int code = schema_from_json(
        SLICE("{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}],\"valueFields\":["
              "{\"name\":\"n\",\"type\":\"LongType\",\"nullable\":true},"
              "{\"name\":\"d\",\"type\":\"DoubleType\",\"nullable\":true},"
              "{\"name\":\"t\",\"type\":\"TimestampType\",\"nullable\":true},"
              "{\"name\":\"b\",\"type\":\"ByteArrayType\",\"nullable\":true},"
              "{\"name\":\"l\",\"type\":{\"ListType\":{\"elementType\":\"StringType\"}},"
              "\"nullable\":true}]}"),
        &schema);
    ASSERT(code == 0);
    read_all(slice_make(data, size), schema);
    read_all(slice_make(data, size), NULL);
    schema_release(schema);
    return 0;
}
