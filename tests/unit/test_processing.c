/*
 * test_processing.c: what the properties of filters, aggregations, visibility and iterators mean,
 * what is refused for the law's sake, and which changes a table with rows may make.
 */
#include "test.h"

#include "table/table.h"

#define ROWS                                                          \
    "{\"rowKeyFields\":[{\"name\":\"key\",\"type\":\"StringType\"}]," \
    "\"sortKeyFields\":[{\"name\":\"ts\",\"type\":\"LongType\"}],"    \
    "\"valueFields\":["

static struct schema *schema_of(const char *values)
{
    struct buffer text defer_buffer = BUFFER_INIT(1 << 16);
    struct schema *schema;
    assert_ok(buffer_printf(&text, "%s%s]}", ROWS, values));
    assert_ok(schema_from_json(buffer_slice(&text), &schema));
    assert_ok(schema_validate_table(schema));
    return schema;
}

#define FIELD(name, type)    "{\"name\":\"" name "\",\"type\":\"" type "\"}"
#define NULLABLE(name, type) "{\"name\":\"" name "\",\"type\":\"" type "\",\"nullable\":true}"
#define MAP(name, key, value)                                                                      \
    "{\"name\":\"" name "\",\"type\":{\"MapType\":{\"keyType\":\"" key "\",\"valueType\":\"" value \
    "\"}}}"

static const char everything[] =
    "{\"name\":\"n\",\"type\":\"LongType\"},"
    "{\"name\":\"age\",\"type\":\"LongType\",\"nullable\":true},"
    "{\"name\":\"d\",\"type\":\"DoubleType\"},"
    "{\"name\":\"day\",\"type\":\"DateType\"},"
    "{\"name\":\"seen\",\"type\":\"TimestampType\",\"nullable\":true},"
    "{\"name\":\"label\",\"type\":\"StringType\"},"
    "{\"name\":\"counts\",\"type\":{\"MapType\":{\"keyType\":\"StringType\","
    "\"valueType\":\"LongType\"}}},"
    "{\"name\":\"texts\",\"type\":{\"MapType\":{\"keyType\":\"StringType\","
    "\"valueType\":\"StringType\"}}}";

struct settings_texts {
    const char *filters, *aggregations, *visibility, *iterator, *config;
    bool inexact;
};

static int parse(const struct schema *schema, struct settings_texts texts, struct arena *arena,
                 struct processing *out)
{
    struct processing_settings settings = {
        slice_from_text(texts.filters),    slice_from_text(texts.aggregations),
        slice_from_text(texts.visibility), slice_from_text(texts.iterator),
        slice_from_text(texts.config),     texts.inexact};
    return processing_parse(schema, &settings, arena, out);
}

static void what_is_set_is_read(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct schema *schema = schema_of(everything);
    struct processing p;
    assert_ok(parse(schema, (struct settings_texts){0}, &arena, &p));
    assert_true(processing_is_empty(&p));
    assert_ok(parse(schema,
                    (struct settings_texts){
                        .filters = " AGEOFF( seen , 500 , NULLS=DROP ),ageoff(ts,1000),"
                                   "ageOff(\"age\",9223372036854775807,nulls=keep),ageOff(ts,70)",
                        .visibility = "label",
                        .iterator = "latest.so",
                        .config = "a,b"},
                    &arena, &p));
    assert_false(processing_is_empty(&p));
    assert_int_equal(p.n_filters, 3);
    assert_int_equal(p.filters[0].field, 1); /* ts: the shorter of the two */
    assert_int_equal(p.filters[0].age_ms, 70);
    assert_int_equal(p.filters[1].field, 3);
    assert_true(p.filters[1].age_ms == INT64_MAX && !p.filters[1].drop_nulls);
    assert_int_equal(p.filters[2].field, 6);
    assert_true(p.filters[2].age_ms == 500 && p.filters[2].drop_nulls);
    assert_null(p.aggregations);
    assert_int_equal(p.visibility_field, 7);
    assert_true(slice_equal_text(p.iterator, "latest.so"));
    assert_true(slice_equal_text(p.iterator_config, "a,b"));
    schema_release(schema);

    schema = schema_of(FIELD("n", "LongType") "," NULLABLE("m", "IntType") "," MAP(
        "c", "StringType", "LongType") "," FIELD("s", "StringType") "," FIELD("a,b (\\\"x\\\")",
                                                                              "BooleanType"));
    assert_ok(
        parse(schema,
              (struct settings_texts){
                  .aggregations = "Sum(n),MAX( m ),map_SUM(c), min(s),max(\"a,b (\"\"x\"\")\")"},
              &arena, &p));
    static const uint8_t wanted[] = {AGGREGATION_NONE, AGGREGATION_NONE,    AGGREGATION_SUM,
                                     AGGREGATION_MAX,  AGGREGATION_MAP_SUM, AGGREGATION_MIN,
                                     AGGREGATION_MAX};
    assert_memory_equal(p.aggregations, wanted, sizeof wanted);
    assert_false(p.is_inexact);
    schema_release(schema);
}

static void wrong_settings_name_property_and_field(void **unused)
{
    (void)unused;
    static const struct {
        const char *values;
        struct settings_texts texts;
        const char *message;
    } cases[] = {
        {everything, {.filters = "ageOff"}, "glis.table.filters: '(' is missing at the end"},
        {everything, {.filters = "ageOff(ts"}, "glis.table.filters: ')' is missing"},
        {everything, {.filters = "ageOff(ts,1),"}, "glis.table.filters: a name is missing"},
        {everything, {.filters = "ageOff(ts,1) ageOff(ts,2)"}, "',' is wanted at 'ageOff(ts,2)'"},
        {everything, {.filters = "ageOff(,1)"}, "a field's name"},
        {everything, {.filters = "ageOff(\"ts,1)"}, "'\"' is missing"},
        {everything, {.filters = "ageOff(ts)"}, "a field and an age"},
        {everything, {.filters = "ageOff(ts,1,nulls=keep,2)"}, "too much"},
        {everything, {.filters = "ageOff(ts,-1)"}, "age of 'ts'"},
        {everything, {.filters = "ageOff(ts,1.5)"}, "age of 'ts'"},
        {everything, {.filters = "ageOff(ts,9223372036854775808)"}, "age of 'ts'"},
        {everything, {.filters = "ageOff(tss,1)"}, "no field 'tss'; did you mean 'ts'?"},
        {everything, {.filters = "younger(ts,1)"}, "no filter 'younger'"},
        {everything, {.filters = "ageOff(key,1)"}, "'key' is of type StringType"},
        {everything, {.filters = "ageOff(d,1)"}, "'d' is of type DoubleType"},
        {everything, {.filters = "ageOff(age,1)"}, "ageOff(age,1,nulls=keep) or nulls=drop"},
        {everything, {.filters = "ageOff(age,1,null=keep)"}, "'age': nulls=keep or nulls=drop"},
        {everything, {.filters = "ageOff(ts,1,nulls=keep)"}, "'ts' is never null"},
        {FIELD("n", "LongType"), {.aggregations = "sum"}, "glis.table.aggregations: '('"},
        {FIELD("n", "LongType"), {.aggregations = "avg(n)"}, "no aggregation 'avg'"},
        {FIELD("n", "LongType"), {.aggregations = "sum(n,n)"}, "sum takes one field"},
        {FIELD("n", "LongType"), {.aggregations = "sum(n),max(n)"}, "'n' has more than one"},
        {FIELD("n", "LongType"), {.aggregations = "sum(n),max(ts)"}, "'ts' is a key field"},
        {FIELD("n", "LongType") "," FIELD("m", "LongType"),
         {.aggregations = "sum(n)"},
         "'m' has none; each value field needs exactly one"},
        {FIELD("s", "StringType"), {.aggregations = "sum(s)"}, "sum(s) wants a number"},
        {FIELD("s", "DateType"), {.aggregations = "sum(s)"}, "sum(s) wants a number"},
        {FIELD("s", "LongType"), {.aggregations = "map_sum(s)"}, "map_sum(s) wants a map"},
        {MAP("c", "StringType", "LongType"), {.aggregations = "max(c)"}, "max(c) wants no map"},
        {MAP("c", "StringType", "StringType"),
         {.aggregations = "map_sum(c)"},
         "map_sum(c) wants a map of numbers"},
        {"{\"name\":\"l\",\"type\":{\"ListType\":{\"elementType\":\"LongType\"}}}",
         {.aggregations = "max(l)"},
         "'l': lists and structs cannot be aggregated"},
        {everything, {.visibility = "nosuch"}, "glis.table.visibility.field: the table has no"},
        {everything, {.visibility = "n"}, "'n' is of type LongType; labels are strings"},
        {everything, {.iterator = "../x.so"}, "glis.table.iterator: '../x.so' is no name"},
        {everything, {.iterator = "/bin/sh"}, "no name of an iterator"},
        {everything, {.iterator = ".."}, "no name of an iterator"},
        {everything, {.iterator = "-x"}, "no name of an iterator"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct processing p;
        struct schema *schema = schema_of(cases[i].values);
        assert_fails(parse(schema, cases[i].texts, &arena, &p), GLIS_EINVALID, cases[i].message);
        schema_release(schema);
    }
}

static void what_breaks_the_law_is_refused_unless_inexact(void **unused)
{
    (void)unused;
    static const struct {
        const char *values;
        struct settings_texts texts;
        const char *message;
        bool inexact_allows;
    } cases[] = {
        {FIELD("d", "DoubleType"), {.aggregations = "sum(d)"}, "'d': the sum of reals", true},
        {MAP("c", "LongType", "FloatType"),
         {.aggregations = "map_sum(c)"},
         "the sum of reals",
         true},
        {FIELD("n", "LongType"),
         {.filters = "ageOff(n,1)", .aggregations = "max(n)"},
         "glis.table.filters: 'n': rows of one key may grow too old",
         true},
        {FIELD("s", "StringType"),
         {.aggregations = "max(s)", .visibility = "s"},
         "glis.table.visibility.field: 's' is a value",
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct buffer warnings defer_buffer = BUFFER_INIT(1 << 16);
        struct processing p;
        struct schema *schema = schema_of(cases[i].values);
        struct settings_texts texts = cases[i].texts;
        assert_fails(parse(schema, texts, &arena, &p), GLIS_EREFUSED, cases[i].message);
        texts.inexact = true;
        int code = parse(schema, texts, &arena, &p);
        assert_int_equal(code == 0, cases[i].inexact_allows);
        if (code == 0) {
            assert_true(p.is_inexact);
            assert_ok(processing_warn(schema, &p, &warnings));
            assert_true(warnings.size > 20);
        }
        schema_release(schema);
    }
    static const struct {
        const char *values;
        struct settings_texts texts;
    } good[] = {
        {FIELD("d", "DoubleType"), {.aggregations = "min(d)", .inexact = true}},
        {FIELD("n", "LongType"), {.filters = "ageOff(ts,1)", .aggregations = "max(n)"}},
        {FIELD("n", "LongType"), {.aggregations = "max(n)", .visibility = "key"}},
        {FIELD("n", "LongType"), {.filters = "ageOff(n,1)"}},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct buffer warnings defer_buffer = BUFFER_INIT(1 << 16);
        struct processing p;
        struct schema *schema = schema_of(good[i].values);
        assert_ok(parse(schema, good[i].texts, &arena, &p));
        assert_ok(processing_warn(schema, &p, &warnings));
        assert_int_equal(warnings.size, 0);
        assert_false(p.is_inexact);
        schema_release(schema);
    }
}

static void changes_that_would_show_with_rows_are_refused(void **unused)
{
    (void)unused;
    static const char n[] = FIELD("n", "IntType"), wide[] = FIELD("n", "LongType"),
                      more[] = FIELD("n", "IntType") "," NULLABLE("m", "LongType"),
                      aged[] = NULLABLE("n", "LongType");
    static const struct {
        const char *old_values;
        struct settings_texts old;
        const char *values;
        struct settings_texts now;
        const char *refused; /* with rows */
        bool version_goes_up;
    } cases[] = {
        {n, {0}, n, {0}, NULL, false},
        {n, {.filters = "ageOff(ts,5)"}, n, {.filters = "ageOff(ts,9)"}, NULL, false},
        {n, {0}, n, {.filters = "ageOff(ts,9)"}, NULL, true},
        {n, {.filters = "ageOff(ts,5)"}, n, {0}, NULL, true},
        {aged,
         {.filters = "ageOff(n,5,nulls=keep)"},
         aged,
         {.filters = "ageOff(n,5,nulls=drop)"},
         NULL,
         true},
        {aged,
         {.filters = "ageOff(n,5,nulls=drop)"},
         aged,
         {.filters = "ageOff(n,5,nulls=keep)"},
         "'n': nulls=drop stays",
         true},
        {aged, {.filters = "ageOff(n,5,nulls=drop)"}, aged, {0}, "'n': nulls=drop stays", true},
        {aged,
         {.filters = "ageOff(n,5,nulls=drop)"},
         aged,
         {.filters = "ageOff(n,7,nulls=drop)"},
         NULL,
         false},
        {n, {0}, n, {.aggregations = "sum(n)"}, "fixed while the table has rows", true},
        {n, {.aggregations = "sum(n)"}, n, {0}, "fixed while the table has rows", true},
        {n, {.aggregations = "sum(n)"}, n, {.aggregations = "max(n)"}, "'n' has sum, fixed", true},
        {n, {.aggregations = "sum(n)"}, n, {.aggregations = " SUM( n )"}, NULL, false},
        {n,
         {.aggregations = "sum(n)"},
         wide,
         {.aggregations = "sum(n)"},
         "'n' has sum and is not",
         false},
        {n, {.aggregations = "max(n)"}, wide, {.aggregations = "max(n)"}, NULL, false},
        {n, {.aggregations = "sum(n)"}, more, {.aggregations = "sum(n),max(m)"}, NULL, true},
        {n, {0}, n, {.visibility = "key"}, NULL, true},
        {n, {0}, n, {.iterator = "a.so"}, NULL, true},
        {n, {.iterator = "a.so"}, n, {.iterator = "a.so", .config = "x"}, NULL, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct processing before, after;
        bool up = !cases[i].version_goes_up;
        struct schema *old_schema = schema_of(cases[i].old_values);
        struct schema *schema = schema_of(cases[i].values);
        assert_ok(parse(old_schema, cases[i].old, &arena, &before));
        assert_ok(parse(schema, cases[i].now, &arena, &after));
        struct processing_of old = {old_schema, &before}, now = {schema, &after};
        assert_ok(processing_check_change(&old, &now, false, &up));
        if (up != cases[i].version_goes_up) fail_msg("case %zu: version", i);
        if (cases[i].refused)
            assert_fails(processing_check_change(&old, &now, true, &up), GLIS_EREFUSED,
                         cases[i].refused);
        else
            assert_ok(processing_check_change(&old, &now, true, &up));
        schema_release(old_schema);
        schema_release(schema);
    }
}

static void a_cut_off_goes_as_far_as_numbers_go(void **unused)
{
    (void)unused;
    assert_true(age_cutoff_ms(1000, 5000) == 4000);
    assert_true(age_cutoff_ms(INT64_MAX, 0) == -INT64_MAX);
    assert_true(age_cutoff_ms(INT64_MAX, -5) == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_set_is_read),
        cmocka_unit_test(wrong_settings_name_property_and_field),
        cmocka_unit_test(what_breaks_the_law_is_refused_unless_inexact),
        cmocka_unit_test(changes_that_would_show_with_rows_are_refused),
        cmocka_unit_test(a_cut_off_goes_as_far_as_numbers_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
