/*
 * test_process.c: filters, aggregations and labels, case by case; what is expected is worked out by
 * hand from the rules (docs/formats.md, "Processing").
 */
#include "processing.h"

#include <math.h>

#define KEYS                                              \
    "{'rowKeyFields':[{'name':'k','type':'StringType'}]," \
    "'sortKeyFields':[{'name':'t','type':'LongType'}],'valueFields':["

/* ---- filters ---- */

static void rows_stay_while_they_are_younger_than_the_age(void **unused)
{
    (void)unused;
    struct processed table;
    processed_open(&table,
                   KEYS "{'name':'at','type':'TimestampType','nullable':true},"
                        "{'name':'day','type':'DateType','nullable':true}]}",
                   "ageOff(t,100),ageOff(at,1,nulls=keep),ageOff(day,86400000,nulls=drop)", "", "",
                   false);
    /* now - v < age: t > 900; at > 999,000 us; day * 86,400,000 > 1000 - 86,400,000: day > -1 */
    struct process_counts counts = {0};
    struct process_options options = {.now_ms = 1000, .counts = &counts};
    assert_processed(&table,
                     "[['a',899,null,0],['a',900,null,0],['a',901,null,0],['b',2000,null,0],"
                     "['b',2001,999000,0],['b',2002,999001,0],['c',901,null,-1],['c',902,null,0],"
                     "['c',903,null,null],['d',9223372036854775807,null,1]]",
                     &options,
                     "[['a',901,null,0],['b',2000,null,0],['b',2002,999001,0],['c',902,null,0],"
                     "['d',9223372036854775807,null,1]]");
    assert_int_equal(counts.rows_in, 60);
    assert_int_equal(counts.rows_aged, 30);
    assert_int_equal(counts.rows_out, 30);
    processed_close(&table);
}

static void ages_are_compared_in_128_bits(void **unused)
{
    (void)unused;
    static const struct {
        const char *filters;
        int64_t now_ms;
        const char *rows, *expected;
    } cases[] = {
        /* v > now - age = -9223372036854775807 + 5 - 0 */
        {"ageOff(t,9223372036854775807)", 5,
         "[['a',-9223372036854775807],['a',-9223372036854775802],['a',-9223372036854775801]]",
         "[['a',-9223372036854775801]]"},
        {"ageOff(t,9223372036854775807)", -10, "[['a',-9223372036854775807],['a',0]]",
         "[['a',-9223372036854775807],['a',0]]"},
        {"ageOff(t,0)", INT64_MAX, "[['a',9223372036854775807]]", "[]"},
        {"ageOff(t,0)", -1, "[['a',-2],['a',-1],['a',0]]", "[['a',0]]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct processed table;
        processed_open(&table, KEYS "]}", cases[i].filters, "", "", false);
        struct process_options options = {.now_ms = cases[i].now_ms};
        assert_processed(&table, cases[i].rows, &options, cases[i].expected);
        processed_close(&table);
    }
    /* micro- and days: thresholds beyond the type */
    struct processed table;
    processed_open(&table,
                   KEYS "{'name':'at','type':'TimestampType'},{'name':'day','type':'DateType'}]}",
                   "ageOff(at,1),ageOff(day,1)", "", "", false);
    struct process_options far = {.now_ms = INT64_MAX}, past = {.now_ms = INT64_MIN + 1};
    const char *rows = "[['a',1,9223372036854775807,2147483647],['b',1,-9223372036854775807,"
                       "-2147483648]]";
    assert_processed(&table, rows, &far, "[]");
    assert_processed(&table, rows, &past, rows);
    processed_close(&table);
}

static void the_states_cut_off_holds_also_without_a_filter(void **unused)
{
    (void)unused;
    struct processed table;
    struct process_cutoff cutoffs[] = {{1, 50}};
    struct process_options options = {.now_ms = 100, .cutoffs = cutoffs, .n_cutoffs = 1};
    const char *rows = "[['a',49],['a',50],['a',51],['a',90],['a',95]]";
    processed_open(&table, KEYS "]}", "", "", "", false);
    assert_true(process_is_needed(&table.processing, &options));
    assert_processed(&table, rows, &options, "[['a',51],['a',90],['a',95]]");
    processed_close(&table);
    processed_open(&table, KEYS "]}", "ageOff(t,8)", "", "", false);
    assert_processed(&table, rows, &options, "[['a',95]]"); /* the own one is higher */
    processed_close(&table);
    processed_open(&table, KEYS "]}", "ageOff(t,70)", "", "", false);
    assert_processed(&table, rows, &options, "[['a',51],['a',90],['a',95]]");
    processed_close(&table);
}

/* ---- aggregations ---- */

static void rows_of_equal_keys_become_one(void **unused)
{
    (void)unused;
    struct processed table;
    processed_open(&table,
                   KEYS "{'name':'i','type':'IntType'},{'name':'l','type':'LongType',"
                        "'nullable':true},{'name':'s','type':'StringType','nullable':true},"
                        "{'name':'b','type':'BooleanType'},{'name':'x','type':'ByteArrayType'}]}",
                   "", "sum(i),sum(l),min(s),max(b),max(x)", "", false);
    struct process_counts counts = {0};
    struct process_options options = {.now_ms = 0, .counts = &counts};
    assert_processed(&table,
                     "[['a',1,2147483647,9223372036854775807,'b',0,'x'],"
                     " ['a',1,2,null,'ab',1,'xy'],"
                     " ['a',1,1,2,null,0,''],"
                     " ['a',2,5,null,null,0,'q'],"
                     " ['b',2,6,null,null,0,'q'],"
                     " ['b',2,7,null,null,1,'p'],"
                     " ['b',3,1,4,'z',1,'p'],['b',3,1,-4,'y',1,'p'],['b',3,1,4,'x',1,'p'],"
                     " ['b',3,1,4,'w',1,'p'],['b',3,1,4,'w',1,'p'],['b',3,1,4,'w',1,'p']]",
                     &options,
                     "[['a',1,-2147483646,-9223372036854775807,'ab',1,'xy'],"
                     " ['a',2,5,null,null,0,'q'],"
                     " ['b',2,13,null,null,1,'q'],"
                     " ['b',3,6,16,'w',1,'p']]");
    assert_int_equal(counts.rows_aggregated, 6 * 8);
    /* all rows of all batches of one key */
    assert_processed(&table,
                     "[['k',0,1,1,'a',0,''],['k',0,1,1,'a',0,''],['k',0,1,1,'a',0,''],"
                     "['k',0,1,1,'a',0,''],['k',0,1,1,'a',0,''],['k',0,1,1,'a',0,'']]",
                     &options, "[['k',0,6,6,'a',0,'']]");
    assert_processed(&table, "[]", &options, "[]");
    processed_close(&table);
}

static void sums_of_decimals_wrap_modulo_all_their_values(void **unused)
{
    (void)unused;
    static const struct {
        const char *precision, *rows, *expected;
    } cases[] = {
        /* p = 2: -99 .. 99, modulo 199 */
        {"2", "[['a',1,'99'],['a',1,'1']]", "[['a',1,'-99']]"},
        {"2", "[['a',1,'99'],['a',1,'99']]", "[['a',1,'-1']]"},
        {"2", "[['a',1,'-99'],['a',1,'-1'],['a',1,'-1']]", "[['a',1,'98']]"},
        {"2", "[['a',1,'-99'],['a',1,'99'],['a',1,'5']]", "[['a',1,'5']]"},
        {"38",
         "[['a',1,'99999999999999999999999999999999999999'],"
         "['a',1,'99999999999999999999999999999999999999']]",
         "[['a',1,'-1']]"},
        {"38", "[['a',1,'-99999999999999999999999999999999999999'],['a',1,'-1'],['a',1,'1']]",
         "[['a',1,'-99999999999999999999999999999999999999']]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct processed table;
        char schema[512];
        (void)snprintf(schema, sizeof schema,
                       KEYS "{'name':'d','type':{'DecimalType':{'precision':%s,'scale':1}}}]}",
                       cases[i].precision);
        processed_open(&table, schema, "", "sum(d)", "", false);
        struct process_options options = {0};
        assert_processed(&table, cases[i].rows, &options, cases[i].expected);
        processed_close(&table);
    }
}

static struct batch *doubles(const struct schema *schema, const double *values, size_t n)
{
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (size_t i = 0; i < n; i++) {
        assert_ok(column_builder_append_bytes(batch_builder_column(builder, 0), SLICE("a")));
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 1), 1));
        for (uint32_t k = 2; k < schema->n_fields; k++)
            assert_ok(column_builder_append_fixed(batch_builder_column(builder, k), &values[i], 1));
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    return batch;
}

static uint64_t bits_at(const struct batch *batch, uint32_t field)
{
    uint64_t bits;
    const struct column *column = &batch->columns[field];
    memcpy(&bits, column->values.data + 8 * column->offset, 8);
    return bits;
}

static void reals_have_one_zero_and_one_nan_which_is_greatest(void **unused)
{
    (void)unused;
    struct processed table;
    processed_open(&table,
                   KEYS "{'name':'s','type':'DoubleType'},{'name':'g','type':'DoubleType'},"
                        "{'name':'l','type':'DoubleType'}]}",
                   "", "sum(s),max(g),min(l)", "", true);
    const uint64_t nan = UINT64_C(0x7ff8000000000000), infinity = UINT64_C(0x7ff0000000000000);
    const uint64_t odd_bits = UINT64_C(0xfff4000000000001);
    double odd;
    memcpy(&odd, &odd_bits, 8);
    const struct {
        double values[3];
        size_t n;
        uint64_t sum, greatest, least;
    } cases[] = {
        {{-0.0}, 1, 0, 0, 0},
        {{-0.0, -0.0}, 2, 0, 0, 0},
        {{odd}, 1, nan, nan, nan},
        {{odd, (double)INFINITY}, 2, nan, nan, infinity},
        {{(double)INFINITY, -(double)INFINITY}, 2, nan, infinity, UINT64_C(0xfff0000000000000)},
        {{0.1, 0.2, 0.3},
         3,
         UINT64_C(0x3fe3333333333334),
         UINT64_C(0x3fd3333333333333),
         UINT64_C(0x3fb999999999999a)}, /* 0.6000000000000001, as added from the left */
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int64_t size = 1; size < 4; size++) {
            struct batch *rows = doubles(table.schema, cases[i].values, cases[i].n);
            struct process_options options = {0};
            struct batch *out = processed_rows(&table, rows, size, &options);
            assert_int_equal(out->n_rows, 1);
            if (bits_at(out, 2) != cases[i].sum || bits_at(out, 3) != cases[i].greatest ||
                bits_at(out, 4) != cases[i].least)
                fail_msg("case %zu: %llx %llx %llx", i, (unsigned long long)bits_at(out, 2),
                         (unsigned long long)bits_at(out, 3), (unsigned long long)bits_at(out, 4));
            batch_release(rows);
            batch_release(out);
        }
    processed_close(&table);
}

static void maps_are_aggregated_key_by_key(void **unused)
{
    (void)unused;
    struct processed table;
    processed_open(
        &table,
        KEYS "{'name':'s','type':{'MapType':{'keyType':'StringType','valueType':'LongType'}}},"
             "{'name':'g','type':{'MapType':{'keyType':'IntType','valueType':'StringType'}},"
             "'nullable':true},"
             "{'name':'l','type':{'MapType':{'keyType':'StringType','valueType':'IntType'}}}]}",
        "", "map_sum(s),map_max(g),map_min(l)", "", false);
    struct process_options options = {0};
    assert_processed(
        &table,
        "[['a',1,[['b',1],['a',2]],null,[]],"
        " ['a',1,[['b',9223372036854775807],['c',5]],[[2,'x'],[-1,'y']],[['z',1]]],"
        " ['a',1,[],[[2,'y'],[3,'q']],[['z',-1],['z',7]]],"
        " ['b',1,[['q',1],['q',2],['p',3]],null,[]],"
        " ['c',1,[],null,[]],['c',1,[],null,[]],"
        " ['d',1,[],[],[]],['d',1,[],null,[]]]",
        &options,
        "[['a',1,[['a',2],['b',-9223372036854775808],['c',5]],[[-1,'y'],[2,'y'],[3,'q']],"
        "  [['z',-1]]],"
        " ['b',1,[['p',3],['q',3]],null,[]],"
        " ['c',1,[],null,[]],"
        " ['d',1,[],[],[]]]");
    processed_close(&table);
}

static void rows_without_equal_keys_pass_as_they_are(void **unused)
{
    (void)unused;
    struct processed table;
    struct batch *out;
    struct batch_stream *stream;
    processed_open(&table, KEYS "{'name':'n','type':'LongType'}]}", "ageOff(t,10)", "sum(n)", "",
                   false);
    struct batch *in = rows_of(table.schema, "[['a',1,1],['a',2,1],['b',2,1]]");
    struct process_options options = {.now_ms = 5};
    struct runtime runtime = {0};
    assert_ok(process_open(&stream, &runtime, stream_of(in, 3), &table.processing, &options, NULL));
    assert_ok(batch_stream_next(stream, &out));
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(out->columns[i].values.block, in->columns[i].values.block);
    batch_release(out);
    batch_stream_close(stream);
    batch_release(in);
    processed_close(&table);
}

static void projected_rows_are_found_by_their_fields(void **unused)
{
    (void)unused;
    struct processed table;
    struct schema *schema;
    processed_open(&table, KEYS "{'name':'x','type':'StringType'},{'name':'n','type':'LongType'}]}",
                   "", "max(x),sum(n)", "", false);
    static const uint32_t fields[] = {0, 1, 3};
    assert_ok(schema_project(table.schema, fields, 3, &schema));
    struct batch *in = rows_of(schema, "[['a',1,1],['a',1,5]]");
    struct process_options options = {.fields = fields, .n_fields = 3};
    struct batch *out = processed_rows(&table, in, 1, &options);
    assert_rows(out, "[['a',1,6]]");
    batch_release(in);
    batch_release(out);
    schema_release(schema);
    processed_close(&table);
}

/* ---- labels ---- */

static void labels_are_expressions_over_the_readers_terms(void **unused)
{
    (void)unused;
    static const struct {
        const char *label, *terms;
        enum label_result result;
    } cases[] = {
        {"", "", LABEL_VISIBLE},
        {"A", "", LABEL_HIDDEN},
        {"A", "A", LABEL_VISIBLE},
        {"A", "AB", LABEL_HIDDEN},
        {"a", "A", LABEL_HIDDEN},
        {"A&B", "A", LABEL_HIDDEN},
        {"A&B", "A B", LABEL_VISIBLE},
        {"A|B", "B", LABEL_VISIBLE},
        {"A|B|C|D", "D", LABEL_VISIBLE},
        {"A&(B|C)", "A C", LABEL_VISIBLE},
        {"A&(B|C)", "B C", LABEL_HIDDEN},
        {"(A&B)|(C&D)", "C D", LABEL_VISIBLE},
        {"((A))", "A", LABEL_VISIBLE},
        {" A & ( B | C ) ", "A B", LABEL_VISIBLE},
        {"a.b-c_d:e/f9", "a.b-c_d:e/f9", LABEL_VISIBLE},
        {"\"A\"", "A", LABEL_VISIBLE},
        {"\"A&B\"", "A A&B B", LABEL_VISIBLE},
        {"\"A&B\"", "A B", LABEL_HIDDEN},
        {"\"\\\"\\\\\"", "\"\\", LABEL_VISIBLE},
        {"\"\xc3\xa9t\xc3\xa9\"|x", "\xc3\xa9t\xc3\xa9", LABEL_VISIBLE},
        {" ", "A", LABEL_BAD},
        {"A&", "A", LABEL_BAD},
        {"&A", "A", LABEL_BAD},
        {"A&&B", "A B", LABEL_BAD},
        {"A&B|C", "A B C", LABEL_BAD},
        {"A|B&C", "A B C", LABEL_BAD},
        {"A B", "A B", LABEL_BAD},
        {"(A", "A", LABEL_BAD},
        {"A)", "A", LABEL_BAD},
        {"()", "A", LABEL_BAD},
        {"\"\"", "A", LABEL_BAD},
        {"\"A", "A", LABEL_BAD},
        {"\"\\A\"", "A", LABEL_BAD},
        {"!A", "A", LABEL_BAD},
        {"A,B", "A", LABEL_BAD},
        {"\xc3\xa9", "\xc3\xa9", LABEL_BAD},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice terms[8], rest = slice_from_text(cases[i].terms);
        size_t n = 0;
        while (rest.size) {
            const char *blank = memchr(rest.data, ' ', rest.size);
            terms[n++] = slice_part(rest, 0, blank ? (size_t)(blank - rest.data) : rest.size);
            rest = slice_part(rest, terms[n - 1].size + 1, rest.size);
        }
        if (label_evaluate(slice_from_text(cases[i].label), terms, n) != cases[i].result)
            fail_msg("'%s' for '%s'", cases[i].label, cases[i].terms);
    }
    struct buffer wide defer_buffer = BUFFER_INIT(1 << 20);
    struct slice a = SLICE("a");
    while (wide.size < LABEL_BYTES_MAX - 2)
        assert_ok(buffer_append_text(&wide, wide.size ? "&a" : "aa&a"));
    assert_int_equal(label_evaluate(buffer_slice(&wide), &a, 1), LABEL_HIDDEN); /* "aa" is wanted */
    while (wide.size <= LABEL_BYTES_MAX)
        assert_ok(buffer_append_text(&wide, "&a"));
    assert_int_equal(label_evaluate(buffer_slice(&wide), &a, 1), LABEL_BAD);
    char deep[401];
    memset(deep, '(', 200);
    memset(deep + 200, ')', 200);
    assert_int_equal(label_evaluate(slice_make(deep, 400), NULL, 0), LABEL_BAD);
}

static void readers_see_what_their_terms_let_through(void **unused)
{
    (void)unused;
    struct processed table;
    processed_open(&table, KEYS "{'name':'who','type':'StringType','nullable':true}]}", "", "",
                   "who", false);
    const char *rows = "[['a',1,''],['a',2,null],['a',3,'X'],['b',1,'Y|X'],['b',2,'X&Y'],"
                       "['b',3,'X&'],['b',3,'X&'],['c',1,'X']]";
    struct slice terms[] = {SLICE("Z"), SLICE("X"), SLICE("X")};
    struct process_counts counts = {0};
    struct process_options writing = {0}, nobody = {.reading = true},
                           reader = {.reading = true,
                                     .authorisations = terms,
                                     .n_authorisations = 3,
                                     .counts = &counts};
    assert_false(process_is_needed(&table.processing, &writing));
    assert_processed(&table, rows, &writing, rows);
    assert_processed(&table, rows, &nobody, "[['a',1,'']]");
    assert_processed(&table, rows, &reader, "[['a',1,''],['a',3,'X'],['b',1,'Y|X'],['c',1,'X']]");
    assert_int_equal(counts.rows_hidden, 6 * 4);
    assert_int_equal(counts.bad_labels, 6 * 2);
    processed_close(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stay_while_they_are_younger_than_the_age),
        cmocka_unit_test(ages_are_compared_in_128_bits),
        cmocka_unit_test(the_states_cut_off_holds_also_without_a_filter),
        cmocka_unit_test(rows_of_equal_keys_become_one),
        cmocka_unit_test(sums_of_decimals_wrap_modulo_all_their_values),
        cmocka_unit_test(reals_have_one_zero_and_one_nan_which_is_greatest),
        cmocka_unit_test(maps_are_aggregated_key_by_key),
        cmocka_unit_test(rows_without_equal_keys_pass_as_they_are),
        cmocka_unit_test(projected_rows_are_found_by_their_fields),
        cmocka_unit_test(labels_are_expressions_over_the_readers_terms),
        cmocka_unit_test(readers_see_what_their_terms_let_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
