/*
 * fuzz_arrow_reader.c: Arrow IPC streams of any bytes against a schema with every kind of column;
 * what comes out is sound.
 */
#include "fuzz.h"

#include "format/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema *schema;
    struct batch_stream *stream;
    struct batch *batch;
    struct budget budget;
    budget_init(&budget, "fuzz", 16 << 20, NULL, NULL);
    int code = schema_from_json(
        SLICE("{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}],\"valueFields\":["
              "{\"name\":\"n\",\"type\":\"LongType\",\"nullable\":true},"
              "{\"name\":\"m\",\"type\":{\"MapType\":{\"keyType\":\"StringType\",\"valueType\":"
              "\"LongType\"}},\"nullable\":true},"
              "{\"name\":\"l\",\"type\":{\"ListType\":{\"elementType\":\"DoubleType\"}},"
              "\"nullable\":true},"
              "{\"name\":\"b\",\"type\":\"BooleanType\",\"nullable\":true},"
              "{\"name\":\"s\",\"type\":{\"StructType\":{\"fields\":[{\"name\":\"a\",\"type\":"
              "\"IntType\"}]}},\"nullable\":true}]}"),
        &schema);
    ASSERT(code == 0);
    struct byte_source *source = byte_source_of(slice_make(data, size), "fuzz.arrows");
    if (arrow_reader_open(source, schema, &budget, &stream) == 0) {
        while (batch_stream_next(stream, &batch) == 0 && batch) {
            ASSERT(batch_validate(batch, true) == 0);
            batch_release(batch);
        }
        batch_stream_close(stream);
    }
    ASSERT(budget_used(&budget) == 0);
    schema_release(schema);
    return 0;
}
