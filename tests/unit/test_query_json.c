/*
 * test_query_json.c: queries as JSON, by the reference's rules (min inclusive, max exclusive,
 * base64 unless told otherwise, exact when both ends are included) and the new fields; errors name
 * the path. Expected keys are written by hand from the rules of the key encoding.
 */
#include "test.h"

#include "query/query.h"

static struct schema *schema;
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, NULL);
    return schema_from_json(
        SLICE("{\"rowKeyFields\":[{\"name\":\"key\",\"type\":\"StringType\"},{\"name\":\"n\","
              "\"type\":\"IntType\"},{\"name\":\"b\",\"type\":\"ByteArrayType\"}],"
              "\"sortKeyFields\":[{\"name\":\"t\",\"type\":\"LongType\"}],"
              "\"valueFields\":[{\"name\":\"v1\",\"type\":\"StringType\"},"
              "{\"name\":\"v2\",\"type\":\"DoubleType\",\"nullable\":true}]}"),
        &schema);
}

static int tear_down(void **state)
{
    (void)state;
    schema_release(schema);
    arena_free(&arena);
    return 0;
}

#define REGION(text) "{\"regions\":[" text "]}"

static const struct {
    const char *name, *json;
    int field;
    const char *min, *max; /* as hexadecimal; NULL max: unbounded */
} ranges[] = {
    {"everything", REGION("{}"), 0, "", NULL},
    /* aGVsbG8= is hello, Z29vZGJ5ZQ== is goodbye */
    {"base64 by default", REGION("{\"key\":{\"min\":\"Z29vZGJ5ZQ==\",\"max\":\"aGVsbG8=\"}}"), 0,
     "676f6f646279650000", "68656c6c6f0000"},
    {"base64 said", REGION("{\"key\":{\"min\":\"aGVsbG8=\"},\"stringsBase64Encoded\":true}"), 0,
     "68656c6c6f0000", NULL},
    {"plain text", REGION("{\"key\":{\"min\":\"a\",\"max\":\"b\"},\"stringsBase64Encoded\":false}"),
     0, "610000", "620000"},
    {"the flag behind the range counts for it",
     REGION("{\"stringsBase64Encoded\":false,\"key\":{\"min\":\"a\"}}"), 0, "610000", NULL},
    {"min excluded",
     REGION("{\"key\":{\"min\":\"a\",\"minInclusive\":false,\"max\":\"b\"},\"stringsBase64Encoded\""
            ":false}"),
     0, "610001", "620000"},
    {"max included",
     REGION("{\"key\":{\"min\":\"a\",\"max\":\"b\",\"maxInclusive\":true},\"stringsBase64Encoded\""
            ":false}"),
     0, "610000", "620001"},
    {"exact",
     REGION("{\"key\":{\"min\":\"a\",\"max\":\"a\",\"maxInclusive\":true},\"stringsBase64Encoded\""
            ":false}"),
     0, "610000", "610001"},
    {"null max is unbounded", REGION("{\"n\":{\"min\":5,\"max\":null,\"maxInclusive\":true}}"), 1,
     "80000005", NULL},
    {"integers", REGION("{\"n\":{\"min\":-1,\"max\":256}}"), 1, "7fffffff", "80000100"},
    {"the greatest integer included is unbounded",
     REGION("{\"n\":{\"min\":0,\"max\":2147483647,\"maxInclusive\":true}}"), 1, "80000000", NULL},
    {"bytes are always base64", REGION("{\"b\":{\"min\":\"AP8=\"},\"stringsBase64Encoded\":false}"),
     2, "00ffff0000", NULL},
    {"another field is all", REGION("{\"n\":{\"min\":5}}"), 0, "", NULL},
};

static void ranges_become_field_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        struct query query;
        char min[64] = "", max[64] = "";
        if (query_from_json(slice_from_text(ranges[i].json), schema, &arena, &query) < 0)
            fail_msg("%s: %s", ranges[i].name, error_message());
        assert_int_equal(query.n_regions, 1);
        const struct key_range *range = &query.regions[0].ranges[ranges[i].field];
        for (size_t k = 0; k < range->min.size; k++)
            snprintf(min + 2 * k, 3, "%02x", (unsigned char)range->min.data[k]);
        for (size_t k = 0; k < range->max.size; k++)
            snprintf(max + 2 * k, 3, "%02x", (unsigned char)range->max.data[k]);
        if (strcmp(min, ranges[i].min) != 0) fail_msg("%s: min %s", ranges[i].name, min);
        if (range->unbounded != !ranges[i].max) fail_msg("%s: unbounded", ranges[i].name);
        if (ranges[i].max && strcmp(max, ranges[i].max) != 0)
            fail_msg("%s: max %s", ranges[i].name, max);
    }
}

static const struct {
    const char *json;
    int code;
    const char *message;
} errors[] = {
    {"", GLIS_EINVALID, "line 1"},
    {"[]", GLIS_EINVALID, "an object"},
    {"{}", GLIS_EINVALID, "regions"},
    {"{\"regions\":null}", GLIS_EINVALID, "regions"},
    {"{\"regions\":{}}", GLIS_EINVALID, "regions"},
    {"{\"regions\":[5]}", GLIS_EINVALID, "regions[0]"},
    {"{\"regions\":[{}],\"region\":1}", GLIS_EINVALID, "region"},
    {"{\"regions\":[{}],\"limits\":1}", GLIS_EINVALID, "limit"},
    {REGION("{\"nosuch\":{\"min\":\"\"}}"), GLIS_EINVALID, "regions[0].nosuch"},
    {REGION("{},{\"t\":{\"min\":1}}"), GLIS_EINVALID, "regions[1].t"},
    {REGION("{\"key\":\"a\"}"), GLIS_EINVALID, "regions[0].key"},
    {REGION("{\"key\":{}}"), GLIS_EINVALID, "regions[0].key"},
    {REGION("{\"key\":{\"min\":null}}"), GLIS_EINVALID, "regions[0].key.min"},
    {REGION("{\"key\":{\"min\":5}}"), GLIS_EINVALID, "regions[0].key.min"},
    {REGION("{\"key\":{\"min\":\"a\"}}"), GLIS_EINVALID, "stringsBase64Encoded"},
    {REGION("{\"key\":{\"min\":\"/w==\"}}"), GLIS_EINVALID, "UTF-8"},
    {REGION("{\"key\":{\"min\":\"\",\"Max\":\"\"}}"), GLIS_EINVALID, "unknown field 'Max'"},
    {REGION("{\"key\":{\"min\":\"\",\"minInclusive\":1}}"), GLIS_EINVALID,
     "regions[0].key.minInclusive"},
    {REGION("{\"key\":{\"min\":\"aGVsbG8=\",\"max\":\"Z29vZGJ5ZQ==\"}}"), GLIS_EINVALID,
     "min is greater than max"},
    {REGION("{\"n\":{\"min\":2147483648}}"), GLIS_EINVALID, "regions[0].n.min"},
    {REGION("{\"n\":{\"min\":1.5}}"), GLIS_EINVALID, "regions[0].n.min"},
    {REGION("{\"n\":{\"min\":\"1\"}}"), GLIS_EINVALID, "regions[0].n.min"},
    {REGION("{\"stringsBase64Encoded\":1}"), GLIS_EINVALID, "regions[0].stringsBase64Encoded"},
    {"{\"regions\":[{}],\"requestedValueFields\":[\"v1\",\"v3\"]}", GLIS_EINVALID,
     "requestedValueFields[1]"},
    {"{\"regions\":[{}],\"requestedValueFields\":\"v1\"}", GLIS_EINVALID, "requestedValueFields"},
    {"{\"regions\":[{}],\"limit\":-1}", GLIS_EINVALID, "limit"},
    {"{\"regions\":[{}],\"limit\":\"1\"}", GLIS_EINVALID, "limit"},
    {"{\"regions\":[{}],\"reverse\":1}", GLIS_EINVALID, "reverse"},
    {"{\"regions\":[{}],\"countOnly\":\"yes\"}", GLIS_EINVALID, "countOnly"},
    {"{\"regions\":[{}],\"timeout\":\"soon\"}", GLIS_EINVALID, "timeout"},
    {"{\"regions\":[{}],\"atRecord\":0}", GLIS_EINVALID, "atRecord"},
    {"{\"regions\":[{}],\"after\":\"!\"}", GLIS_EINVALID, "after"},
    {"{\"regions\":[{}],\"after\":{\"record\":1}}", GLIS_EINVALID, "after"},
    {"{\"regions\":[{}],\"type\":\"LeafPartitionQuery\"}", GLIS_EINVALID, "type"},
    {"{\"regions\":[{}],\"queryTimeIteratorClassName\":\"../X\"}", GLIS_EINVALID,
     "queryTimeIteratorClassName"},
    {"{\"regions\":[{}],\"authorisations\":\"A\"}", GLIS_EINVALID, "authorisations"},
    {"{\"regions\":[{}],\"authorisations\":[\"A\",\"\"]}", GLIS_EINVALID, "authorisations[1]"},
    {"{\"regions\":[{}]} x", GLIS_EINVALID, "line 1"},
};

static void errors_name_the_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct query query;
        int code = query_from_json(slice_from_text(errors[i].json), schema, &arena, &query);
        if (code != errors[i].code) fail_msg("%s: code %d", errors[i].json, code);
        if (!strstr(error_message(), errors[i].message))
            fail_msg("%s: '%s' lacks '%s'", errors[i].json, error_message(), errors[i].message);
    }
}

static void all_fields_are_read(void **state)
{
    (void)state;
    struct query query;
    assert_ok(query_from_json(
        SLICE("{\"queryId\":\"id\",\"tableName\":\"my-table\",\"type\":\"Query\","
              "\"regions\":[{\"key\":{\"min\":\"Z29vZGJ5ZQ==\",\"minInclusive\":true,\"max\":"
              "\"aGVsbG8=\",\"maxInclusive\":true},\"stringsBase64Encoded\":true}],"
              "\"requestedValueFields\":[\"v2\"],\"limit\":7,\"reverse\":true,\"countOnly\":false,"
              "\"ordered\":true,\"maxStaleness\":\"5s\",\"timeout\":1500,\"atRecord\":12,"
              "\"after\":{\"record\":12,\"key\":\"_-8\",\"given\":3,\"now\":99},"
              "\"resultsPublisherConfig\":{\"destination\":\"SQS\"},"
              "\"statusReportDestinations\":[{\"destination\":\"DYNAMODB\"}]}"),
        schema, &arena, &query));
    assert_true(slice_equal_text(query.query_id, "id"));
    assert_true(slice_equal_text(query.table_name, "my-table"));
    assert_int_equal(query.n_fields, 5); /* four keys and v2 */
    assert_int_equal(query.fields[4], 5);
    assert_true(query.has_limit && query.reverse && query.ordered && !query.count_only);
    assert_int_equal(query.limit, 7);
    assert_int_equal(query.max_staleness_ms, 5000);
    assert_int_equal(query.timeout_ms, 1500);
    assert_int_equal(query.at_record, 12);
    assert_true(query.has_after);
    assert_int_equal(query.after.record, 12);
    assert_int_equal(query.after.given, 3);
    assert_int_equal(query.after.now_ms, 99);
    assert_true(slice_equal(query.after.key, SLICE("\xff\xef")));
}

static void cursors_come_back_from_text(void **state)
{
    (void)state;
    struct buffer text defer_buffer = BUFFER_INIT(1 << 20);
    struct query_cursor in = {77, SLICE("\xff\xfe\x00k"), 5, -3}, out;
    assert_ok(query_cursor_to_text(&in, &text));
    assert_null(memchr(text.data, '=', text.size));
    assert_ok(query_cursor_from_text(buffer_slice(&text), &arena, &out));
    assert_int_equal(out.record, 77);
    assert_int_equal(out.given, 5);
    assert_int_equal(out.now_ms, -3);
    assert_true(slice_equal(out.key, in.key));
}

static void words_become_regions(void **state)
{
    (void)state;
    struct query query = {.schema = schema};
    struct slice key[] = {SLICE("a"), SLICE("5")}, to[] = {SLICE("c")},
                 bad[] = {SLICE("a"), SLICE("x")};
    assert_ok(query_add_key(&query, key, 2, &arena));
    assert_ok(query_add_range(&query, key, 2, to, 1, &arena));
    assert_int_equal(query.n_regions, 3);
    assert_true(slice_equal(query.regions[0].ranges[0].max, SLICE("a\0\1")));
    assert_true(slice_equal(query.regions[0].ranges[1].min, SLICE("\x80\0\0\5")));
    assert_true(query.regions[0].ranges[2].unbounded);
    /* ("a", 5) and above: of "a" from 5 on; then everything above "a" and below "c". */
    assert_true(slice_equal(query.regions[1].ranges[0].min, SLICE("a\0\0")));
    assert_true(slice_equal(query.regions[1].ranges[0].max, SLICE("a\0\1")));
    assert_true(slice_equal(query.regions[1].ranges[1].min, SLICE("\x80\0\0\5")));
    assert_true(query.regions[1].ranges[1].unbounded);
    assert_true(slice_equal(query.regions[2].ranges[0].min, SLICE("a\0\1")));
    assert_true(slice_equal(query.regions[2].ranges[0].max, SLICE("c\0\0")));
    assert_true(query.regions[2].ranges[1].unbounded);
    assert_fails(query_add_key(&query, bad, 2, &arena), GLIS_EINVALID, "field 'n'");
    assert_fails(query_add_key(&query, key, 0, &arena), GLIS_EINVALID, NULL);
    assert_fails(query_add_range(&query, to, 1, key, 1, &arena), GLIS_EINVALID, "greater");
    struct slice four[] = {SLICE("a"), SLICE("5"), SLICE(""), SLICE("1")};
    assert_fails(query_add_key(&query, four, 4, &arena), GLIS_EINVALID, "3 row keys");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_become_field_keys), cmocka_unit_test(errors_name_the_path),
        cmocka_unit_test(all_fields_are_read),      cmocka_unit_test(cursors_come_back_from_text),
        cmocka_unit_test(words_become_regions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
