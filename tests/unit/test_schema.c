/*
 * test_schema.c: schemas as values, the rules for a table, evolution; and schema.json both ways.
 */
#include "batches.h"

/* Reads a schema written with ' for ". */
static int read_schema(const char *text, struct schema **out)
{
    char copy[4096];
    size_t n = strlen(text);
    assert_true(n < sizeof copy);
    for (size_t i = 0; i <= n; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    return schema_from_json(slice_make(copy, n), out);
}

#define ROW_KEY "{'rowKeyFields':[{'name':'k','type':'LongType'}],"

static void json_goes_both_ways(void **state)
{
    (void)state;
    static const char *const texts[] = {
        ROW_KEY "'sortKeyFields':[],'valueFields':[]}",
        "{'rowKeyFields':[{'name':'a','type':'StringType'},{'name':'b','type':'BooleanType'}],"
        "'sortKeyFields':[{'name':'c','type':'TimestampType'},{'name':'d','type':'DateType'}],"
        "'valueFields':[{'name':'e','type':'ByteArrayType','nullable':true},"
        "{'name':'f','type':'FloatType'},{'name':'g','type':'DoubleType'},"
        "{'name':'h','type':'IntType'}]}",
        ROW_KEY "'sortKeyFields':[],'valueFields':[{'name':'x','type':{'DecimalType':"
                "{'precision':38,'scale':38}},'nullable':true},"
                "{'name':'y','type':{'ListType':{'elementType':'IntType','nullable':true}}},"
                "{'name':'z','type':{'MapType':{'keyType':'StringType','valueType':"
                "{'ListType':{'elementType':'LongType'}},'nullable':true}}},"
                "{'name':'s','type':{'StructType':{'fields':[{'name':'m','type':'IntType'},"
                "{'name':'n','type':{'StructType':{'fields':[{'name':'m','type':'DateType',"
                "'nullable':true}]}}}]}}}]}",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct schema *schema, *again;
        struct buffer out defer_buffer = BUFFER_INIT(4096);
        assert_ok(read_schema(texts[i], &schema));
        assert_ok(schema_to_json(schema, &out));
        assert_int_equal(out.size, strlen(texts[i]));
        for (size_t at = 0; at < out.size; at++)
            assert_int_equal(out.data[at] == '"' ? '\'' : out.data[at], texts[i][at]);
        assert_ok(schema_from_json(buffer_slice(&out), &again));
        assert_true(schema_equal(schema, again));
        schema_release(schema);
        schema_release(again);
    }
}

static void what_may_be_left_out(void **state)
{
    (void)state;
    struct schema *schema;
    assert_ok(read_schema("{'rowKeyFields':[{'name':'k','type':{'DecimalType':{'precision':5}}}]}",
                          &schema));
    assert_int_equal(schema->n_fields, 1);
    assert_int_equal(schema->n_row_keys, 1);
    assert_int_equal(schema->n_sort_keys, 0);
    assert_int_equal(schema->fields[0].type.scale, 0);
    assert_false(schema->fields[0].nullable);
    schema_release(schema);
}

/* `depth` lists around an int. */
static void nested_lists(int depth, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, ROW_KEY "'valueFields':[{'name':'v','type':");
    for (int i = 0; i < depth; i++)
        n += (size_t)snprintf(out + n, size - n, "{'ListType':{'elementType':");
    n += (size_t)snprintf(out + n, size - n, "'IntType'");
    for (int i = 0; i < depth; i++)
        n += (size_t)snprintf(out + n, size - n, "}}");
    snprintf(out + n, size - n, "}]}");
}

static void bad_schemas_are_named(void **state)
{
    (void)state;
#define VALUE(field) ROW_KEY "'valueFields':[" field "]}"
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", NULL},
        {"[]", "an object"},
        {"{}", "rowKeyFields"},
        {"{'rowKeyFields':[]}", "row key"},
        {"{'rowKeyFields':{}}", "rowKeyFields"},
        {"{'rowKeyField':[]}", "rowKeyField"},
        {ROW_KEY "'values':[]}", "values"},
        {VALUE("1"), "valueFields[0]"},
        {VALUE("{'type':'IntType'}"), "name"},
        {VALUE("{'name':'v'}"), "type"},
        {VALUE("{'name':'','type':'IntType'}"), "1 to 1,024"},
        {VALUE("{'name':'v','type':'IntType','x':1}"), "x"},
        {VALUE("{'name':'v','type':'IntType','nullable':1}"), "valueFields[0].nullable"},
        {VALUE("{'name':'v','type':'inttype'}"), "unknown type 'inttype'"},
        {VALUE("{'name':'v','type':7}"), "a type is a name"},
        {VALUE("{'name':'v','type':{}}"), "a type is a name"},
        {VALUE("{'name':'v','type':{'SetType':{}}}"), "SetType"},
        {VALUE("{'name':'k','type':'IntType'}"), "two fields are called 'k'"},
        {VALUE("{'name':'v','type':{'DecimalType':{'precision':39}}}"), "precision"},
        {VALUE("{'name':'v','type':{'DecimalType':{'precision':0}}}"), "precision"},
        {VALUE("{'name':'v','type':{'DecimalType':{'precision':5,'scale':6}}}"), "scale"},
        {VALUE("{'name':'v','type':{'DecimalType':{'precision':5,'scale':-1}}}"), "scale"},
        {VALUE("{'name':'v','type':{'ListType':{}}}"), "elementType"},
        {VALUE("{'name':'v','type':{'MapType':{'keyType':'IntType'}}}"), "valueType"},
        {VALUE("{'name':'v','type':{'StructType':{'fields':[]}}}"), "1 to"},
        {VALUE("{'name':'v','type':{'StructType':{'fields':[{'name':'a','type':'IntType'},"
               "{'name':'a','type':'IntType'}]}}}"),
         "two fields are called 'a'"},
        {"{'rowKeyFields':[{'name':'k','type':'LongType','nullable':true}]}",
         "may not be nullable"},
        {"{'rowKeyFields':[{'name':'k','type':{'ListType':{'elementType':'IntType'}}}]}",
         "no key can have"},
        {ROW_KEY "'sortKeyFields':[{'name':'k','type':'IntType'}]}", "two fields are called 'k'"},
    };
    struct schema *schema;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_fails(read_schema(cases[i].text, &schema), GLIS_EINVALID, cases[i].error);
    char text[1024];
    nested_lists(TYPE_DEPTH_MAX, text, sizeof text);
    assert_ok(read_schema(text, &schema));
    assert_int_equal(type_depth(&schema->fields[1].type), TYPE_DEPTH_MAX);
    schema_release(schema);
    nested_lists(TYPE_DEPTH_MAX + 1, text, sizeof text);
    assert_fails(read_schema(text, &schema), GLIS_EINVALID, "deeper than 8");
}

static void schemas_are_made_found_and_projected(void **state)
{
    (void)state;
    struct schema *schema, *part, *none;
    static const uint32_t all[] = {0, 1, 2, 3}, swapped[] = {1, 0, 3}, keys[] = {0, 1, 3},
                          bad[] = {4};
    assert_ok(read_schema("{'rowKeyFields':[{'name':'a','type':'IntType'}],"
                          "'sortKeyFields':[{'name':'b','type':'IntType'}],"
                          "'valueFields':[{'name':'c','type':'IntType'},"
                          "{'name':'d','type':{'ListType':{'elementType':'StringType'}}}]}",
                          &schema));
    assert_int_equal(schema_key_count(schema), 2);
    assert_int_equal(schema_find(schema, SLICE("d")), 3);
    assert_int_equal(schema_find(schema, SLICE("e")), -1);
    assert_ok(schema_project(schema, all, 4, &part));
    assert_true(schema_equal(schema, part));
    schema_release(part);
    assert_ok(schema_project(schema, keys, 3, &part));
    assert_int_equal(part->n_row_keys, 1);
    assert_int_equal(part->n_sort_keys, 1);
    assert_true(type_equal(&part->fields[2].type, &schema->fields[3].type));
    assert_false(schema_equal(schema, part));
    schema_release(part);
    assert_ok(schema_project(schema, swapped, 3, &part));
    assert_int_equal(part->n_row_keys, 0);
    assert_int_equal(part->n_sort_keys, 0);
    schema_release(schema); /* a projection stands alone */
    assert_true(slice_equal_text(part->fields[0].name, "b"));
    assert_string_equal(part->fields[0].name.data, "b");
    assert_fails(schema_project(part, bad, 1, &none), GLIS_EINVALID, "field 4");
    schema_release(part);
    struct field field = {SLICE("x"), plain_type(TYPE_INT32), false};
    assert_fails(schema_new(&none, &field, 1, 1, 1), GLIS_EINVALID, "key");
    assert_fails(schema_new(&none, &field, 1, UINT32_MAX, 2), GLIS_EINVALID, "key");
    assert_fails(schema_new(&none, &field, SCHEMA_FIELDS_MAX + 1, 0, 0), GLIS_ELIMIT, "4097");
    field.type = plain_type(TYPE_UINT16);
    assert_ok(schema_new(&part, &field, 1, 0, 0));
    assert_fails(schema_validate_table(part), GLIS_EINVALID, "row key");
    schema_release(part);
    struct field two[] = {{SLICE("k"), plain_type(TYPE_INT32), false}, field};
    assert_ok(schema_new(&part, two, 2, 1, 0));
    assert_fails(schema_validate_table(part), GLIS_EINVALID, "'x' has the type uint16");
    schema_release(part);
}

static void what_may_evolve(void **state)
{
    (void)state;
#define FIELD(name, type)    "{'name':'" name "','type':'" type "'}"
#define NULLABLE(name, type) "{'name':'" name "','type':'" type "','nullable':true}"
    static const char old_text[] =
        ROW_KEY "'valueFields':[" FIELD("a", "IntType") "," NULLABLE("b", "StringType") "]}";
    static const struct {
        const char *now, *refusal;
    } cases[] = {
        {old_text, NULL},
        {VALUE(FIELD("a", "LongType") "," NULLABLE("b", "StringType")), NULL},
        {VALUE(NULLABLE("b", "StringType") "," FIELD("a", "IntType")), NULL},
        {VALUE(FIELD("a", "IntType") "," NULLABLE("c", "DateType") "," NULLABLE("b", "StringType")),
         NULL},
        {VALUE(FIELD("a", "IntType") "," NULLABLE("b", "StringType") "," FIELD("c", "IntType")),
         "'c'"},
        {VALUE(FIELD("a", "IntType")), "'b' cannot be removed"},
        {VALUE(FIELD("a", "DoubleType") "," NULLABLE("b", "StringType")), "'a' cannot be changed"},
        {VALUE(NULLABLE("a", "IntType") "," NULLABLE("b", "StringType")), "'a' cannot be changed"},
        {VALUE(FIELD("a", "IntType") "," FIELD("b", "StringType")), "'b' cannot be changed"},
        {VALUE(FIELD("a", "IntType") "," NULLABLE("b", "ByteArrayType")), "'b' cannot be changed"},
        {"{'rowKeyFields':[" FIELD("k", "IntType") "],'valueFields':[" FIELD(
             "a", "IntType") "," NULLABLE("b", "StringType") "]}",
         "'k' cannot be changed"},
        {"{'rowKeyFields':[" FIELD("k", "LongType") "," FIELD(
             "a", "IntType") "],'valueFields':[" NULLABLE("b", "StringType") "]}",
         "key fields cannot"},
        {"{'rowKeyFields':[" FIELD("a", "IntType") "],'valueFields':[" FIELD(
             "k", "LongType") "," NULLABLE("b", "StringType") "]}",
         "'k' cannot be moved"},
    };
    struct schema *old, *now;
    assert_ok(read_schema(old_text, &old));
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_ok(read_schema(cases[i].now, &now));
        if (cases[i].refusal)
            assert_fails(schema_check_evolution(old, now), GLIS_EREFUSED, cases[i].refusal);
        else
            assert_ok(schema_check_evolution(old, now));
        schema_release(now);
    }
    schema_release(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_goes_both_ways),
        cmocka_unit_test(what_may_be_left_out),
        cmocka_unit_test(bad_schemas_are_named),
        cmocka_unit_test(schemas_are_made_found_and_projected),
        cmocka_unit_test(what_may_evolve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
