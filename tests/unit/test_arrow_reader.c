/*
 * test_arrow_reader.c: Arrow IPC streams, in. What the sink writes of every type comes back equal
 * (the sink's own bytes are compared with pyarrow by tests/system/test_ipc.py, which also reads a
 * stream of pyarrow's with this reader); a wrong schema is named; damage of every byte and every
 * cut is an error or harmless, never anything else.
 */
#include "batches.h"

#include "format/format.h"

static void write_stream(const struct batch *batch, struct buffer *out)
{
    struct row_sink *sink;
    struct byte_sink *to = byte_sink_to_buffer(out);
    struct output_options options = {.kind = OUTPUT_ARROW};
    struct runtime runtime = {.clock = clock_system()};
    assert_ok(row_sink_open(to, batch->schema, &runtime, &options, &sink));
    assert_ok(sink->write(sink, batch));
    struct batch *part, *none;
    assert_ok(batch_slice(batch, 1, batch->n_rows - 1, &part));
    assert_ok(batch_slice(batch, 0, 0, &none));
    assert_ok(sink->write(sink, none));
    assert_ok(sink->write(sink, part));
    assert_ok(sink->finish(sink));
    row_sink_close(sink);
    byte_sink_close(to);
    batch_release(part);
    batch_release(none);
}

static void every_type_comes_back(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t i = 0; i < n; i++) {
        struct buffer bytes defer_buffer = BUFFER_INIT(1 << 20);
        struct batch *batch = batch_of(all[i].type, all[i].values), *got;
        struct batch_stream *stream;
        struct budget budget;
        const char *difference;
        budget_init(&budget, "test", 1 << 20, NULL, NULL);
        write_stream(batch, &bytes);
        assert_ok(arrow_reader_open(byte_source_of(buffer_slice(&bytes), all[i].name),
                                    batch->schema, &budget, &stream));
        assert_ok(batch_stream_next(stream, &got));
        if (!batch_equal(batch, got, &arena, &difference))
            fail_msg("%s: %s", all[i].name, difference);
        assert_values(got, all[i].values);
        batch_release(got);
        assert_ok(batch_stream_next(stream, &got));
        assert_int_equal(got->n_rows, 0);
        batch_release(got);
        assert_ok(batch_stream_next(stream, &got));
        struct batch *part;
        assert_ok(batch_slice(batch, 1, batch->n_rows - 1, &part));
        if (!batch_equal(part, got, &arena, &difference))
            fail_msg("%s, sliced: %s", all[i].name, difference);
        batch_release(part);
        batch_release(got);
        assert_ok(batch_stream_next(stream, &got));
        assert_null(got);
        assert_ok(batch_stream_next(stream, &got));
        assert_null(got);
        batch_stream_close(stream);
        assert_int_equal(budget_used(&budget), 0);
        batch_release(batch);
    }
}

static void another_schema_is_named(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t i = 0; i < n; i++) {
        struct buffer bytes defer_buffer = BUFFER_INIT(1 << 20);
        struct batch *batch = batch_of(all[i].type, all[i].values);
        write_stream(batch, &bytes);
        for (size_t k = 0; k < n; k++) {
            struct schema *other = schema_with(all[k].type, true);
            struct batch_stream *stream;
            int code = arrow_reader_open(byte_source_of(buffer_slice(&bytes), "x.arrows"), other,
                                         NULL, &stream);
            /* an interval goes out as 12 bytes; these are another length */
            if (code == 0) {
                if (i != k) fail_msg("%s is taken for %s", all[i].name, all[k].name);
                batch_stream_close(stream);
            } else {
                if (i == k) fail_msg("%s: %s", all[i].name, error_message());
                assert_int_equal(code, GLIS_EDATA);
                assert_non_null(strstr(error_message(), "x.arrows: "));
            }
            schema_release(other);
        }
        batch_release(batch);
    }
    struct buffer bytes defer_buffer = BUFFER_INIT(1 << 20);
    struct batch *batch = batch_of(plain_type(TYPE_INT64), "[1,2]");
    struct batch_stream *stream;
    struct batch *got;
    write_stream(batch, &bytes);
    struct field fields[] = {{SLICE("w"), plain_type(TYPE_INT64), true},
                             {SLICE("v"), plain_type(TYPE_INT64), true}};
    struct schema *schema;
    assert_ok(schema_new(&schema, fields, 1, 0, 0));
    assert_fails(
        arrow_reader_open(byte_source_of(buffer_slice(&bytes), "x"), schema, NULL, &stream),
        GLIS_EDATA, "'v' where 'w' is expected");
    schema_release(schema);
    assert_ok(schema_new(&schema, fields, 2, 0, 0));
    assert_fails(
        arrow_reader_open(byte_source_of(buffer_slice(&bytes), "x"), schema, NULL, &stream),
        GLIS_EDATA, "1 columns where 2 are expected");
    schema_release(schema);
    batch_release(batch);
    /* declared nullable, and not null: good; null: not */
    static const char *const values[] = {"[1,2,3]", "[1,null,3]"};
    for (int i = 0; i < 2; i++) {
        batch = batch_of(plain_type(TYPE_INT64), values[i]);
        buffer_clear(&bytes);
        write_stream(batch, &bytes);
        schema = schema_with(plain_type(TYPE_INT64), false);
        assert_ok(
            arrow_reader_open(byte_source_of(buffer_slice(&bytes), "x"), schema, NULL, &stream));
        int code = batch_stream_next(stream, &got);
        assert_int_equal(code, i ? GLIS_EDATA : 0);
        if (code == 0) batch_release(got);
        batch_stream_close(stream);
        schema_release(schema);
        batch_release(batch);
    }
}

/* Reads to the end or an error; false for an error. */
static bool reads(struct slice bytes, const struct schema *schema)
{
    struct batch_stream *stream;
    struct batch *batch;
    struct budget budget;
    budget_init(&budget, "test", 1 << 20, NULL, NULL);
    int code = arrow_reader_open(byte_source_of(bytes, "x"), schema, &budget, &stream);
    if (code < 0) return false;
    do {
        code = batch_stream_next(stream, &batch);
        if (code == 0 && batch) {
            assert_ok(batch_validate(batch, true));
            batch_release(batch);
        }
    } while (code == 0 && batch);
    batch_stream_close(stream);
    assert_int_equal(budget_used(&budget), 0);
    return code == 0;
}

static void damage_is_found_or_harmless(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t i = 0; i < n; i++) {
        struct buffer bytes defer_buffer = BUFFER_INIT(1 << 20);
        struct batch *batch = batch_of(all[i].type, all[i].values);
        write_stream(batch, &bytes);
        for (size_t at = 0; at < bytes.size; at++) {
            assert_false(reads(slice_make(bytes.data, at), batch->schema)); /* cut short */
            static const uint8_t changes[] = {0x01, 0x80, 0xff};
            for (size_t k = 0; k < COUNT(changes); k++) {
                bytes.data[at] ^= changes[k];
                (void)reads(buffer_slice(&bytes), batch->schema);
                bytes.data[at] ^= changes[k];
            }
        }
        assert_true(reads(buffer_slice(&bytes), batch->schema));
        batch_release(batch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(another_schema_is_named),
        cmocka_unit_test(damage_is_found_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
