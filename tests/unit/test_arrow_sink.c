/*
 * test_arrow_sink.c: the Arrow IPC stream. The framing is checked here by the format's description;
 * what the bytes mean is for an independent reader to say: with a folder as argument the program
 * writes each case there as NAME.arrows and as NAME.jsonl, and tests/system/test_ipc.py reads both
 * with pyarrow and compares.
 */
#include "test.h"

#include "format/format.h"

#include <stdio.h>
#include <stdlib.h>

static const char all_types[] =
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"IntType\"}],\"valueFields\":["
    "{\"name\":\"l\",\"type\":\"LongType\",\"nullable\":true},"
    "{\"name\":\"s\",\"type\":\"StringType\",\"nullable\":true},"
    "{\"name\":\"b\",\"type\":\"ByteArrayType\",\"nullable\":true},"
    "{\"name\":\"t\",\"type\":\"BooleanType\",\"nullable\":true},"
    "{\"name\":\"f\",\"type\":\"FloatType\",\"nullable\":true},"
    "{\"name\":\"d\",\"type\":\"DoubleType\",\"nullable\":true},"
    "{\"name\":\"day\",\"type\":\"DateType\",\"nullable\":true},"
    "{\"name\":\"ts\",\"type\":\"TimestampType\",\"nullable\":true},"
    "{\"name\":\"m5\",\"type\":{\"DecimalType\":{\"precision\":5,\"scale\":2}},"
    "\"nullable\":true},"
    "{\"name\":\"m38\",\"type\":{\"DecimalType\":{\"precision\":38,\"scale\":10}},"
    "\"nullable\":true},"
    "{\"name\":\"li\",\"type\":{\"ListType\":{\"elementType\":\"LongType\","
    "\"nullable\":true}},\"nullable\":true},"
    "{\"name\":\"ma\",\"type\":{\"MapType\":{\"keyType\":\"StringType\","
    "\"valueType\":\"IntType\"}},\"nullable\":true},"
    "{\"name\":\"st\",\"type\":{\"StructType\":{\"fields\":["
    "{\"name\":\"x\",\"type\":\"IntType\",\"nullable\":true},"
    "{\"name\":\"y\",\"type\":{\"ListType\":{\"elementType\":\"StringType\"}},"
    "\"nullable\":true}]}},\"nullable\":true}]}";

static const char *const rows[] = {
    "{\"k\":1,\"l\":-5,\"s\":\"a\",\"b\":\"AP8=\",\"t\":true,\"f\":0.5,\"d\":1e300,\"day\":\""
    "2026-11-21\",\"ts\":\"2026-11-21T10:00:00.000001Z\",\"m5\":\"-12.30\",\"m38\":\""
    "1234567890123456789012345678.0123456789\",\"li\":[1,2,3],\"ma\":{\"p\":1,\"q\":2},\"st\""
    ":{\"x\":7,\"y\":[\"u\",\"v\"]}}\n",
    "{\"k\":2}\n",
    "{\"k\":3,\"l\":9223372036854775807,\"s\":\"\",\"b\":\"\",\"t\":false,\"f\":-1.25,\"d\""
    ":-0.1,\"day\":\"1969-12-31\",\"ts\":\"1960-01-01T00:00:00Z\",\"m5\":\"999.99\",\"m38\":\""
    "-0.0000000001\",\"li\":[],\"ma\":{},\"st\":{\"x\":null,\"y\":null}}\n",
    "{\"k\":4,\"s\":\"Zürich 东京\",\"li\":[5],\"st\":{\"x\":1,\"y\":[]}}\n",
};
enum { N_ROWS = sizeof rows / sizeof *rows, REPEATS = 9 };

static struct batch *make_batch(const char *schema_json)
{
    struct buffer text defer_buffer = BUFFER_INIT(1 << 20);
    struct schema *schema;
    struct batch_stream *stream;
    struct batch *batch;
    for (int i = 0; i < REPEATS * N_ROWS; i++)
        assert_ok(buffer_append_text(&text, rows[i % N_ROWS]));
    assert_ok(schema_from_json(slice_from_text(schema_json), &schema));
    struct format_options options = {.ignore_extra_columns = true};
    assert_ok(
        jsonl_reader_open(byte_source_of(buffer_slice(&text), "rows"), schema, &options, &stream));
    assert_ok(batch_stream_next(stream, &batch));
    batch_stream_close(stream);
    schema_release(schema);
    return batch;
}

/* The batch in slices of all beginnings, each written as a batch of its own. */
static void write_slices(const struct batch *batch, enum output_kind kind, struct buffer *out)
{
    struct output_options options = {.kind = kind};
    struct byte_sink *to = byte_sink_to_buffer(out);
    struct row_sink *sink;
    assert_ok(row_sink_open(to, batch->schema, NULL, &options, &sink));
    for (int64_t begin = 0, n = 0; begin < batch->n_rows; begin += n++) {
        struct batch *slice;
        int64_t left = batch->n_rows - begin;
        assert_ok(batch_slice(batch, begin, n < left ? n : left, &slice));
        assert_ok(sink->write(sink, slice));
        batch_release(slice);
    }
    assert_ok(sink->finish(sink));
    row_sink_close(sink);
    byte_sink_close(to);
}

static void messages_are_framed(void **state)
{
    (void)state;
    struct batch *batch = make_batch(all_types);
    struct buffer out defer_buffer = BUFFER_INIT(1 << 24);
    write_slices(batch, OUTPUT_ARROW, &out);
    size_t at = 0;
    int n = 0;
    for (;; n++) {
        uint32_t mark, size;
        assert_true(at + 8 <= out.size);
        memcpy(&mark, out.data + at, 4);
        memcpy(&size, out.data + at + 4, 4);
        assert_int_equal(mark, UINT32_MAX);
        at += 8;
        if (size == 0) break;
        assert_int_equal(size % 8, 0);
        /* The body follows: its length is a field of the message, the fourth of the root table. */
        uint32_t root;
        memcpy(&root, out.data + at, 4);
        const uint8_t *table = out.data + at + root;
        int32_t back;
        uint16_t field;
        int64_t body;
        memcpy(&back, table, 4);
        memcpy(&field, table - back + 4 + 2 * 3, 2);
        memcpy(&body, table + field, 8);
        assert_int_equal((table + field - (out.data + at)) % 8, 0);
        at += size + (uint64_t)body;
        assert_int_equal(at % 8, 0);
    }
    assert_int_equal(at, out.size);
    assert_true(n > 5);
    batch_release(batch);
}

static void write_file(const char *folder, const char *name, const char *ending,
                       const struct buffer *bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes->data, 1, bytes->size, file), bytes->size);
    assert_int_equal(fclose(file), 0);
}

static void write_case(const char *folder, const char *name, const char *schema_json)
{
    struct batch *batch = make_batch(schema_json);
    struct buffer arrow defer_buffer = BUFFER_INIT(1 << 24),
                        lines defer_buffer = BUFFER_INIT(1 << 24);
    write_slices(batch, OUTPUT_ARROW, &arrow);
    write_slices(batch, OUTPUT_JSONL, &lines);
    write_file(folder, name, "arrows", &arrow);
    write_file(folder, name, "jsonl", &lines);
    batch_release(batch);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        write_case(argv[1], "all_types", all_types);
        write_case(argv[1], "only_a_key",
                   "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\""
                   "IntType\"}]}");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_framed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
