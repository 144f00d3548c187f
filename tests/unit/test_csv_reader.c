/*
 * test_csv_reader.c: CSV as RFC 4180 and the specification of tables (sections 1 and 5) have it.
 * Expected rows are by hand.
 */
#include "format_cases.h"

#define KV                                                                           \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}],\"valueFields\":[" \
    "{\"name\":\"v\",\"type\":\"LongType\",\"nullable\":true}]}"
#define TEXTS                                                                     \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"IntType\"}],\"valueFields\":[" \
    "{\"name\":\"must\",\"type\":\"StringType\"},"                                \
    "{\"name\":\"may\",\"type\":\"StringType\",\"nullable\":true}]}"
#define ONE "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}]}"
#define TYPES                                                                            \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"ByteArrayType\"}],\"valueFields\":["  \
    "{\"name\":\"b\",\"type\":\"BooleanType\"},{\"name\":\"f\",\"type\":\"FloatType\"}," \
    "{\"name\":\"d\",\"type\":\"DoubleType\"},{\"name\":\"day\",\"type\":\"DateType\"}," \
    "{\"name\":\"t\",\"type\":\"TimestampType\"},"                                       \
    "{\"name\":\"m\",\"type\":{\"DecimalType\":{\"precision\":5,\"scale\":2}}},"         \
    "{\"name\":\"l\",\"type\":{\"ListType\":{\"elementType\":\"IntType\"}}}]}"
#define REAL "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"DoubleType\"}]}"

static const struct format_case cases[] = {
    {"plain rows", KV, "k,v\na,1\nb,2\n", "{\"k\":\"a\",\"v\":1}\n{\"k\":\"b\",\"v\":2}\n", 0, 0, 0,
     0},
    {"CRLF, no end of line at the end", KV, "k,v\r\na,1\r\nb,2",
     "{\"k\":\"a\",\"v\":1}\n{\"k\":\"b\",\"v\":2}\n", 0, 0, 0, 0},
    {"CR before the end of the file", KV, "k,v\r\na,1\r", "{\"k\":\"a\",\"v\":1}\n", 0, 0, 0, 0},
    {"columns in another order", KV, "v,k\n1,a\n", "{\"k\":\"a\",\"v\":1}\n", 0, 0, 0, 0},
    {"a byte order mark", KV, "\xEF\xBB\xBFk,v\na,1\n", "{\"k\":\"a\",\"v\":1}\n", 0, 0, 0, 0},
    {"quotes, delimiters and line ends in quotes", KV, "k,v\n\"a,\"\"b\"\"\r\nc\",1\n",
     "{\"k\":\"a,\\\"b\\\"\\r\\nc\",\"v\":1}\n", 0, 0, 0, 0},
    {"a quoted number", KV, "k,v\na,\"1\"\n", "{\"k\":\"a\",\"v\":1}\n", 0, 0, 0, 0},
    {"a quoted header", KV, "\"k\",\"v\"\r\na,1\n", "{\"k\":\"a\",\"v\":1}\n", 0, 0, 0, 0},
    {"empty is null where null may be", KV, "k,v\na,\n", "{\"k\":\"a\",\"v\":null}\n", 0, 0, 0, 0},
    {"empty is the empty string where it must be", TEXTS, "k,must,may\n1,,\n",
     "{\"k\":1,\"must\":\"\",\"may\":null}\n", 0, 0, 0, 0},
    {"quoted empty is never null", TEXTS, "k,must,may\n1,\"\",\"\"\n",
     "{\"k\":1,\"must\":\"\",\"may\":\"\"}\n", 0, 0, 0, 0},
    {"null text in nullable columns only", TEXTS, "k,must,may\n1,NA,NA\n2,\"NA\",\"NA\"\n",
     "{\"k\":1,\"must\":\"NA\",\"may\":null}\n{\"k\":2,\"must\":\"NA\",\"may\":\"NA\"}\n", 0, 0,
     "NA", 0},
    {"missing nullable column", KV, "k\na\n", "{\"k\":\"a\",\"v\":null}\n", 0, 0, 0, 0},
    {"empty lines are skipped", KV, "k,v\n\na,1\r\n\r\n", "{\"k\":\"a\",\"v\":1}\n", 0, 0, 0, 0},
    {"an empty line is a row of one column", ONE, "k\na\n\nb\n",
     "{\"k\":\"a\"}\n{\"k\":\"\"}\n{\"k\":\"b\"}\n", 0, 0, 0, 0},
    {"only a header", KV, "k,v\n", "", 0, 0, 0, 0},
    {"a tab as delimiter", KV, "k\tv\na,b\t1\n", "{\"k\":\"a,b\",\"v\":1}\n", 0, '\t', 0, 0},
    {"extra columns ignored", KV, "x,k,y,v\n9,a,8,1\n", "{\"k\":\"a\",\"v\":1}\n", 0, 0, 0, 1},
    {"all types", TYPES,
     "k,b,f,d,day,t,m,l\nAP8=,true,0.5,NaN,2026-11-21,2026-11-21T10:00:00.000001Z,12.3,\"[1,"
     " 2]\"\n",
     "{\"k\":\"AP8=\",\"b\":true,\"f\":0.5,\"d\":\"NaN\",\"day\":\"2026-11-21\",\"t\":\""
     "2026-11-21T10:00:00.000001Z\",\"m\":\"12.30\",\"l\":[1,2]}\n",
     0, 0, 0, 0},
    {"minus zero in a key is zero", REAL, "k\n-0.0\n", "{\"k\":0}\n", 0, 0, 0, 0},
    {"characters beyond ASCII", KV, "k,v\nZürich 东京,1\n", "{\"k\":\"Zürich 东京\",\"v\":1}\n", 0,
     0, 0, 0},

    {"no bytes at all", KV, "", 0, "a header", 0, 0, 0},
    {"unknown column", KV, "k,x\na,1\n", 0, "'x'", 0, 0, 0},
    {"a column twice", KV, "k,v,k\na,1,b\n", 0, "twice", 0, 0, 0},
    {"a required column is missing", TEXTS, "k,may\n1,a\n", 0, "'must' is missing", 0, 0, 0},
    {"too few fields", KV, "k,v\na,1\nb\n", 0, "line 3: 1 fields, the header has 2", 0, 0, 0},
    {"too many fields", KV, "k,v\na,1,2\n", 0, "line 2", 0, 0, 0},
    {"not a number", KV, "k,v\n\"a\nb\",1\nc,x\n", 0, "line 4: field 'v'", 0, 0, 0},
    {"a number beyond the type", KV, "k,v\na,9223372036854775808\n", 0, "field 'v'", 0, 0, 0},
    {"a quote in the middle", KV, "k,v\na\"b,1\n", 0, "quote", 0, 0, 0},
    {"text behind a quote", KV, "k,v\n\"a\"b,1\n", 0, "behind the closing quote", 0, 0, 0},
    {"a quote without end", KV, "k,v\n\"a,1\n", 0, "without end", 0, 0, 0},
    {"not UTF-8", KV, "k,v\n\xff,1\n", 0, "field 'k'", 0, 0, 0},
    {"empty where a number must be", TEXTS, "k,must,may\n,a,b\n", 0, "field 'k'", 0, 0, 0},
    {"NaN in a key", REAL, "k\nNaN\n", 0, "NaN", 0, 0, 0},
    {"bad base64", TYPES, "k,b,f,d,day,t,m,l\n!,true,1,1,2026-11-21,2026-11-21T10:00:00Z,1,[]\n", 0,
     "field 'k'", 0, 0, 0},
    {"a nanosecond", TYPES,
     "k,b,f,d,day,t,m,l\nAA==,true,1,1,2026-11-21,2026-11-21T10:00:00.000000001Z,1,[]\n", 0,
     "field 't'", 0, 0, 0},
    {"too many digits", TYPES,
     "k,b,f,d,day,t,m,l\nAA==,true,1,1,2026-11-21,2026-11-21T10:00:00Z,1234.5,[]\n", 0, "field 'm'",
     0, 0, 0},
    {"a bad list", TYPES, "k,b,f,d,day,t,m,l\nAA==,true,1,1,2026-11-21,2026-11-21T10:00:00Z,1,[1\n",
     0, "field 'l'", 0, 0, 0},
};

static void csv_is_read_as_the_standard_says(void **state)
{
    (void)state;
    run_cases(csv_reader_open, cases, sizeof cases / sizeof *cases);
}

struct collected {
    char text[1024];
    size_t size;
    int n;
};

static int collect(void *state, const struct format_bad_row *bad)
{
    struct collected *c = state;
    c->n++;
    c->size += (size_t)snprintf(c->text + c->size, sizeof c->text - c->size, "%lld/%lld/%s/%.*s;",
                                (long long)bad->line, (long long)bad->row, bad->field,
                                SLICE_PRINT(bad->text));
    return 0;
}

static void bad_rows_are_told_and_left_out(void **state)
{
    (void)state;
    struct collected c = {0};
    struct format_options options = {.bad_row = collect, .bad_row_state = &c};
    struct format_case text = {"bad rows", KV, "k,v\na,1\nb,x\n\"c\nd\",\ne\nf,6\n", 0, 0, 0, 0, 0};
    struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
    assert_int_equal(read_case(csv_reader_open, &text, 3, &options, &out), 0);
    assert_string_equal(c.text, "3/1/v/b,x;6/3//e;");
    assert_true(slice_equal_text(buffer_slice(&out),
                                 "{\"k\":\"a\",\"v\":1}\n{\"k\":\"c\\nd\",\"v\":"
                                 "null}\n{\"k\":\"f\",\"v\":6}\n"));
}

static void a_row_over_the_limit_is_an_error_with_its_line(void **state)
{
    (void)state;
    struct format_options options = {.row_bytes_max = 100};
    struct buffer text defer_buffer = BUFFER_INIT(1 << 20);
    assert_int_equal(buffer_append_text(&text, "k,v\na,1\n\""), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(buffer_append_byte(&text, 'x'), 0);
    assert_int_equal(buffer_append_text(&text, "\",1\n"), 0);
    assert_int_equal(buffer_append_byte(&text, 0), 0);
    struct format_case c = {"long", KV, (const char *)text.data, 0, 0, 0, 0, 0};
    struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
    assert_int_equal(read_case(csv_reader_open, &c, 64, &options, &out), GLIS_ELIMIT);
    assert_non_null(strstr(error_message(), "line 3"));
}

static void long_keys_are_bad_rows(void **state)
{
    (void)state;
    /* 32 KiB hold 32,766 bytes of text and the two that end it. */
    for (int size = 32765; size <= 32768; size++) {
        struct buffer text defer_buffer = BUFFER_INIT(1 << 20);
        assert_int_equal(buffer_append_text(&text, "k\n"), 0);
        for (int i = 0; i < size; i++)
            assert_int_equal(buffer_append_byte(&text, 'x'), 0);
        assert_int_equal(buffer_append_byte(&text, 0), 0);
        struct format_case c = {"key", ONE, (const char *)text.data, 0, 0, 0, 0, 0};
        struct buffer out defer_buffer = BUFFER_INIT(1 << 20);
        assert_int_equal(read_case(csv_reader_open, &c, 4096, NULL, &out),
                         size <= 32766 ? 0 : GLIS_EDATA);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_is_read_as_the_standard_says),
        cmocka_unit_test(bad_rows_are_told_and_left_out),
        cmocka_unit_test(a_row_over_the_limit_is_an_error_with_its_line),
        cmocka_unit_test(long_keys_are_bad_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
