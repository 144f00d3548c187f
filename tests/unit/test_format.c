/*
 * test_format.c: the forms in which rows go out, the schemas that are proposed, bytes in and out.
 * Expected texts are by hand.
 */
#include "format_cases.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define TEXTS                                                                             \
    "{\"rowKeyFields\":[{\"name\":\"key, here\",\"type\":\"IntType\"}],\"valueFields\":[" \
    "{\"name\":\"s\",\"type\":\"StringType\",\"nullable\":true}]}"

static const char text_rows[] = "{\"key, here\":1,\"s\":null}\n"
                                "{\"key, here\":22,\"s\":\"\"}\n"
                                "{\"key, here\":3,\"s\":\"a\\\"b,\\r\\nc\"}\n"
                                "{\"key, here\":4,\"s\":\"NA\"}\n"
                                "{\"key, here\":5,\"s\":\"\xE6\x9D\xB1\xE4\xBA\xAC e\xCC\x81\"}\n"
                                "{\"key, here\":6,\"s\":\"\\u001b[31m\\u009b\\t\"}\n";

static int write_rows(const char *schema_json, const char *text, struct output_options options,
                      struct byte_sink *to)
{
    struct schema *schema;
    struct batch_stream *stream;
    struct row_sink *sink;
    assert_ok(schema_from_json(slice_from_text(schema_json), &schema));
    assert_ok(
        jsonl_reader_open(byte_source_of(slice_from_text(text), "rows"), schema, NULL, &stream));
    schema_release(schema);
    int code = row_sink_open(to, stream->schema, NULL, &options, &sink);
    if (code == 0) {
        code = row_sink_drain(sink, to, stream, NULL);
        row_sink_close(sink);
    }
    batch_stream_close(stream);
    return code;
}

static void expect_output(const char *schema, const char *text, struct output_options options,
                          const char *expected)
{
    struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
    struct byte_sink *to = byte_sink_to_buffer(&out);
    assert_ok(write_rows(schema, text, options, to));
    byte_sink_close(to);
    if (!slice_equal_text(buffer_slice(&out), expected))
        fail_msg("got\n%.*s\nnot\n%s", SLICE_PRINT(buffer_slice(&out)), expected);
}

static void csv_tells_null_from_empty(void **state)
{
    (void)state;
    expect_output(TEXTS, text_rows, (struct output_options){.kind = OUTPUT_CSV},
                  "\"key, here\",s\n1,\n22,\"\"\n3,\"a\"\"b,\r\nc\"\n4,NA\n"
                  "5,\xE6\x9D\xB1\xE4\xBA\xAC e\xCC\x81\n6,\x1b[31m\xC2\x9B\t\n");
    expect_output(TEXTS, text_rows,
                  (struct output_options){.kind = OUTPUT_CSV,
                                          .csv_delimiter = '\t',
                                          .csv_no_header = true,
                                          .csv_null_text = SLICE("NA")},
                  "1\tNA\n22\t\"\"\n3\t\"a\"\"b,\r\nc\"\n4\t\"NA\"\n"
                  "5\t\xE6\x9D\xB1\xE4\xBA\xAC e\xCC\x81\n6\t\"\x1b[31m\xC2\x9B\t\"\n");
}

static void tables_are_aligned_by_width(void **state)
{
    (void)state;
    expect_output(TEXTS, text_rows, (struct output_options){.kind = OUTPUT_TABLE},
                  "key, here | s\n"
                  "----------+-------------------\n"
                  "        1 | ∅\n"
                  "       22 | \n"
                  "        3 | a\"b,\\r\\nc\n"
                  "        4 | NA\n"
                  "        5 | \xE6\x9D\xB1\xE4\xBA\xAC e\xCC\x81\n"
                  "        6 | \\u001b[31m\\u009b\\t\n");
    expect_output(TEXTS, "", (struct output_options){.kind = OUTPUT_TABLE},
                  "key, here | s\n----------+--\n");
}

static void tables_are_cut_to_the_terminal(void **state)
{
    (void)state;
    expect_output(TEXTS,
                  "{\"key, here\":1,\"s\":\"0123456789\"}\n{\"key, here\":2,\"s\":\"01\"}\n"
                  "{\"key, here\":3,\"s\":\"東京東京\"}\n",
                  (struct output_options){.kind = OUTPUT_TABLE, .table_width = 14},
                  "key,… | s\n"
                  "------+-------\n"
                  "    1 | 01234…\n"
                  "    2 | 01\n"
                  "    3 | 東京…\n");
}

static void widths_are_of_characters(void **state)
{
    (void)state;
    assert_int_equal(text_width(SLICE("abc")), 3);
    assert_int_equal(text_width(SLICE("ü")), 1);
    assert_int_equal(text_width(SLICE("東京")), 4);
    assert_int_equal(text_width(SLICE("e\xCC\x81")), 1); /* e and a combining acute */
    assert_int_equal(text_width(SLICE("😀")), 2);
    assert_int_equal(text_width(SLICE("\xff\xfe")), 2); /* no UTF-8 */
    assert_int_equal(text_width(SLICE("Ａ")), 2);       /* full width */
}

/* ---- proposals ---- */

static const struct {
    enum format_kind kind;
    const char *text, *row_keys, *fields; /* expected: "name:kind," in order */
} proposals[] = {
    {FORMAT_CSV,
     "a,b,c,d,e,f,g\n1,1.5,true,2026-11-21,2026-11-21T10:00:00Z,007,\n2,3,false,"
     "2026-11-22,2026-11-21T10:00:00Z,8,\n",
     "a", "a:long b:double c:bool d:date e:time f:text g:text "},
    {FORMAT_CSV, "a,b\nx,1\ny,\n,2\n", "b", "b:long a:text "},
    {FORMAT_CSV, "a,b\n1,x\n2.5,y\n", NULL, "a:double b:text "},
    {FORMAT_JSONL,
     "{\"k\":\"a\",\"n\":1,\"l\":[1,2],\"s\":{\"x\":true}}\n{\"k\":\"b\",\"n\""
     ":2.5,\"l\":null,\"s\":{\"y\":\"2026-11-21\"},\"z\":null}"
     "\n",
     "k", "k:text n:double l:list s:struct z:text "},
    {FORMAT_JSONL, "[{\"k\":1},{\"k\":2}]", NULL, "k:long "},
    {FORMAT_JSONL, "{\"k\":1,\"m\":\"x\",\"b\":true}\n{\"k\":2,\"m\":7,\"b\":3}", NULL,
     "k:long m:text b:text "},
};

static const char *kind_word(enum type_kind kind)
{
    switch (kind) {
    case TYPE_INT64: return "long";
    case TYPE_DOUBLE: return "double";
    case TYPE_BOOLEAN: return "bool";
    case TYPE_DATE: return "date";
    case TYPE_TIMESTAMP: return "time";
    case TYPE_STRING: return "text";
    case TYPE_LIST: return "list";
    case TYPE_STRUCT: return "struct";
    default: return "other";
    }
}

static void schemas_are_proposed_from_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof proposals / sizeof *proposals; i++) {
        struct slice key = slice_from_text(proposals[i].row_keys);
        struct propose_options options = {.row_keys = &key,
                                          .n_row_keys = proposals[i].row_keys != NULL};
        struct schema *schema;
        struct buffer got defer_buffer = BUFFER_INIT(4096);
        assert_ok(format_propose(byte_source_of(slice_from_text(proposals[i].text), "x"),
                                 proposals[i].kind, &options, &schema));
        assert_int_equal(schema->n_row_keys, 1);
        for (uint32_t f = 0; f < schema->n_fields; f++)
            assert_ok(buffer_printf(&got, "%s:%s ", schema->fields[f].name.data,
                                    kind_word(schema->fields[f].type.kind)));
        if (!slice_equal_text(buffer_slice(&got), proposals[i].fields))
            fail_msg("%zu: %.*s", i, SLICE_PRINT(buffer_slice(&got)));
        schema_release(schema);
    }
}

static void what_cannot_be_proposed_says_why(void **state)
{
    (void)state;
    struct propose_options options = {0};
    struct schema *schema;
    assert_fails(format_propose(byte_source_of(SLICE("{\"a\":1}\n{\"a\":[\"x\"]}"
                                                     "\n"),
                                               "x.jsonl"),
                                FORMAT_JSONL, &options, &schema),
                 GLIS_EDATA, "line 2");
    assert_fails(format_propose(byte_source_of(SLICE("{\"a\":[1]}"
                                                     "\n"),
                                               "x.jsonl"),
                                FORMAT_JSONL, &options, &schema),
                 GLIS_EINVALID, "no column has a type that a row key can have");
    assert_fails(
        format_propose(byte_source_of(SLICE(""), "x.jsonl"), FORMAT_JSONL, &options, &schema),
        GLIS_EDATA, "x.jsonl");
    assert_fails(format_propose(byte_source_of(SLICE(""), "x.csv"), FORMAT_CSV, &options, &schema),
                 GLIS_EDATA, "header");
    enum format_kind kind;
    char delimiter = 0;
    assert_ok(format_kind_by_name(SLICE("a/b.tsv"), &kind, &delimiter));
    assert_true(kind == FORMAT_CSV && delimiter == '\t');
    assert_fails(format_kind_by_name(SLICE("a.xls"), &kind, &delimiter), GLIS_EINVALID, "a.xls");
    enum output_kind output;
    assert_fails(output_kind_parse(SLICE("xml"), &output), GLIS_EINVALID, "jsonl");
}

/* ---- pipes ---- */

static void a_closed_pipe_is_an_error_of_its_own(void **state)
{
    (void)state;
    int ends[2];
    struct byte_sink *to;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_ok(byte_sink_open_fd(ends[1], "pipe", &to));
    assert_int_equal(write_rows(TEXTS, text_rows, (struct output_options){.kind = OUTPUT_CSV}, to),
                     GLIS_ECLOSED);
    byte_sink_close(to);
    close(ends[1]);
}

static void a_descriptor_is_read_to_its_end(void **state)
{
    (void)state;
    int ends[2];
    struct byte_source *source;
    char bytes[8];
    size_t got;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    close(ends[1]);
    struct runtime runtime = {0};
    assert_ok(byte_source_open_fd(&runtime, ends[0], "pipe", true, &source));
    assert_ok(source->read(source, bytes, sizeof bytes, &got));
    assert_int_equal(got, 3);
    assert_ok(source->read(source, bytes, sizeof bytes, &got));
    assert_int_equal(got, 0);
    byte_source_close(source);
    assert_int_equal(close(ends[0]), -1);
    assert_int_equal(errno, EBADF);
}

static void *cancel_soon(void *state)
{
    struct cancel *cancel = state;
    (void)usleep(50 * 1000);
    cancel->requested = 1;
    return NULL;
}

/* A pipe whose writer neither writes nor ends. */
static void waiting_for_a_descriptor_ends_with_a_cancel(void **state)
{
    (void)state;
    int ends[2];
    struct byte_source *source;
    char bytes[8];
    size_t got;
    pthread_t thread;
    struct cancel cancel = {0};
    struct runtime runtime = {.cancel = &cancel};
    assert_int_equal(pipe(ends), 0);
    assert_ok(byte_source_open_fd(&runtime, ends[0], "pipe", true, &source));
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
    assert_fails(source->read(source, bytes, sizeof bytes, &got), GLIS_ECANCELLED, NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    byte_source_close(source);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_tells_null_from_empty),
        cmocka_unit_test(tables_are_aligned_by_width),
        cmocka_unit_test(tables_are_cut_to_the_terminal),
        cmocka_unit_test(widths_are_of_characters),
        cmocka_unit_test(schemas_are_proposed_from_rows),
        cmocka_unit_test(what_cannot_be_proposed_says_why),
        cmocka_unit_test(a_closed_pipe_is_an_error_of_its_own),
        cmocka_unit_test(a_descriptor_is_read_to_its_end),
        cmocka_unit_test(waiting_for_a_descriptor_ends_with_a_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
