/*
 * test_parquet_schema.c: schemas of Parquet files as our types, nodes and leaves. The cases are the
 * examples of LogicalTypes.md (lists, their older forms, maps) and its table of logical and
 * converted types; levels were counted by hand.
 *
 * A type is shown as its kind, with "!" behind what cannot be null; a node as its kind (L leaf, S
 * struct, A list, M map), definition/element definition/repetition, and its children.
 */
#include "test.h"

#include "parquet/parquet_read_int.h"

#include <stdio.h>

enum { REQ = PARQUET_REQUIRED, OPT = PARQUET_OPTIONAL, REP = PARQUET_REPEATED, NO = -1 };
enum { UTF8 = 0, MAP = 1, MAP_KEY_VALUE = 2, LIST = 3, DECIMAL = 5, INTERVAL = 21 };

#define NAME(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }
#define GROUP(repetition_, name_, n, converted_)                                       \
    {                                                                                  \
        .type = NO, .repetition = repetition_, .converted = converted_, .logical = NO, \
        .n_children = n, .name = NAME(name_)                                           \
    }
#define LEAF(repetition_, physical, name_, converted_)                                  \
    {                                                                                   \
        .type = PARQUET_##physical, .repetition = repetition_, .converted = converted_, \
        .logical = NO, .name = NAME(name_)                                              \
    }
#define ROOT GROUP(NO, "schema", 1, NO)

struct schema_case {
    const char *types, *nodes, *paths;
    struct schema_element elements[24];
};

static void print_type(const struct type *type, bool nullable, char *out, size_t room)
{
    static const char *const names[] = {
        "null",     "boolean",   "int8",    "int16",      "int32",  "int64",  "uint8",
        "uint16",   "uint32",    "uint64",  "half",       "float",  "double", "date",
        "time",     "timestamp", "decimal", "decimal256", "string", "bytes",  "fixed",
        "interval", "list",      "map",     "struct",
    };
    static const char units[] = "mun";
    size_t n = strlen(out);
    n += (size_t)snprintf(out + n, room - n, "%s", names[type->kind]);
    if (type->kind == TYPE_TIME || type->kind == TYPE_TIMESTAMP)
        n += (size_t)snprintf(out + n, room - n, "(%c%s)", units[type->unit],
                              type->utc ? ",utc" : "");
    if (type->kind == TYPE_DECIMAL || type->kind == TYPE_DECIMAL256)
        n += (size_t)snprintf(out + n, room - n, "(%d,%d)", type->precision, type->scale);
    if (type->kind == TYPE_FIXED_BYTES) snprintf(out + n, room - n, "(%u)", type->width);
    for (uint32_t i = 0; i < type->n_children; i++) {
        n = strlen(out);
        snprintf(out + n, room - n, "%s%s:", i ? "," : "<", type->children[i].name.data);
        print_type(&type->children[i].type, type->children[i].nullable, out, room);
    }
    n = strlen(out);
    snprintf(out + n, room - n, "%s%s", type->n_children ? ">" : "", nullable ? "" : "!");
}

static void print_node(const struct node *node, char *out, size_t room)
{
    size_t n = strlen(out);
    snprintf(out + n, room - n, "%c%d/%d/%d", "LSAM"[node->kind], node -> definition,
             node -> element_definition, node -> repetition);
    for (uint32_t i = 0; i < node->n_children; i++) {
        n = strlen(out);
        snprintf(out + n, room - n, "%s", i ? "," : "(");
        print_node(&node->children[i], out, room);
    }
    n = strlen(out);
    snprintf(out + n, room - n, "%s", node->n_children ? ")" : "");
}

static const struct schema_case nested_cases[] = {
    {"list<element:string>!",
     "A0/1/0(L2/0/1)",
     "my_list.list.element:2:1",
     {ROOT, GROUP(REQ, "my_list", 1, LIST), GROUP(REP, "list", 1, NO),
      LEAF(OPT, BYTE_ARRAY, "element", UTF8)}},
    {"list<element:string!>",
     "A1/2/0(L2/0/1)",
     "my_list.list.element:2:1",
     {ROOT, GROUP(OPT, "my_list", 1, LIST), GROUP(REP, "list", 1, NO),
      LEAF(REQ, BYTE_ARRAY, "element", UTF8)}},
    /* Other names of the middle group, as older writers gave. */
    {"list<element:string!>",
     "A1/2/0(L2/0/1)",
     "my_list.element.str:2:1",
     {ROOT, GROUP(OPT, "my_list", 1, LIST), GROUP(REP, "element", 1, NO),
      LEAF(REQ, BYTE_ARRAY, "str", UTF8)}},
    {"list<element:list<element:int32!>!>",
     "A1/2/0(A2/3/1(L3/0/2))",
     "array_of_arrays.list.element.list.element:3:2",
     {ROOT, GROUP(OPT, "array_of_arrays", 1, LIST), GROUP(REP, "list", 1, NO),
      GROUP(REQ, "element", 1, LIST), GROUP(REP, "list", 1, NO), LEAF(REQ, INT32, "element", NO)}},
    /* Rule 1: a repeated primitive is the element. */
    {"list<element:int32!>",
     "A1/2/0(L2/0/1)",
     "my_list.element:2:1",
     {ROOT, GROUP(OPT, "my_list", 1, LIST), LEAF(REP, INT32, "element", NO)}},
    /* Rule 2: a repeated group of several fields is. */
    {"list<element:struct<str:string!,num:int32!>!>",
     "A1/2/0(S2/0/1(L2/0/1,L2/0/1))",
     "my_list.element.str:2:1 my_list.element.num:2:1",
     {ROOT, GROUP(OPT, "my_list", 1, LIST), GROUP(REP, "element", 2, NO),
      LEAF(REQ, BYTE_ARRAY, "str", UTF8), LEAF(REQ, INT32, "num", NO)}},
    /* A repeated group with one repeated field is. */
    {"list<element:list<element:int32!>!>!",
     "A0/1/0(A1/2/1(L2/0/2))",
     "a.array.array:2:2",
     {ROOT, GROUP(REQ, "a", 1, LIST), GROUP(REP, "array", 1, LIST), LEAF(REP, INT32, "array", NO)}},
    /* Rule 3: one field, but a name that says so. */
    {"list<element:struct<str:string!>!>",
     "A1/2/0(S2/0/1(L2/0/1))",
     "my_list.array.str:2:1",
     {ROOT, GROUP(OPT, "my_list", 1, LIST), GROUP(REP, "array", 1, NO),
      LEAF(REQ, BYTE_ARRAY, "str", UTF8)}},
    {"list<element:struct<str:string!>!>",
     "A1/2/0(S2/0/1(L2/0/1))",
     "my_list.my_list_tuple.str:2:1",
     {ROOT, GROUP(OPT, "my_list", 1, LIST), GROUP(REP, "my_list_tuple", 1, NO),
      LEAF(REQ, BYTE_ARRAY, "str", UTF8)}},
    /* Repeated fields without annotation. */
    {"list<element:int32!>!", "A0/1/0(L1/0/1)", "num:1:1", {ROOT, LEAF(REP, INT32, "num", NO)}},
    {"struct<p:list<element:struct<n:int64!,k:string>!>!>",
     "S1/0/0(A1/2/0(S2/0/1(L2/0/1,L3/0/1)))",
     "ps.p.n:2:1 ps.p.k:3:1",
     {ROOT, GROUP(OPT, "ps", 1, NO), GROUP(REP, "p", 2, NO), LEAF(REQ, INT64, "n", NO),
      LEAF(OPT, BYTE_ARRAY, "k", UTF8)}},
    {"map<key_value:struct<key:string!,value:int32>!>!",
     "M0/1/0(S1/0/1(L1/0/1,L2/0/1))",
     "my_map.key_value.key:1:1 my_map.key_value.value:2:1",
     {ROOT, GROUP(REQ, "my_map", 1, MAP), GROUP(REP, "key_value", 2, NO),
      LEAF(REQ, BYTE_ARRAY, "key", UTF8), LEAF(OPT, INT32, "value", NO)}},
    {"map<key_value:struct<key:string!,value:int32!>!>",
     "M1/2/0(S2/0/1(L2/0/1,L2/0/1))",
     "my_map.map.str:2:1 my_map.map.num:2:1",
     {ROOT, GROUP(OPT, "my_map", 1, MAP_KEY_VALUE), GROUP(REP, "map", 2, NO),
      LEAF(REQ, BYTE_ARRAY, "str", UTF8), LEAF(REQ, INT32, "num", NO)}},
    /* Entries marked by older writers; an optional key is tolerated. */
    {"map<key_value:struct<key:string!,value:int32!>!>",
     "M1/2/0(S2/0/1(L3/0/1,L2/0/1))",
     "my_map.map.key:3:1 my_map.map.value:2:1",
     {ROOT, GROUP(OPT, "my_map", 1, MAP), GROUP(REP, "map", 2, MAP_KEY_VALUE),
      LEAF(OPT, BYTE_ARRAY, "key", UTF8), LEAF(REQ, INT32, "value", NO)}},
    /* A map without values is the list of its keys. */
    {"list<element:int32!>",
     "A1/2/0(L2/0/1)",
     "m.key_value.key:2:1",
     {ROOT, GROUP(OPT, "m", 1, MAP), GROUP(REP, "key_value", 1, NO), LEAF(REQ, INT32, "key", NO)}},
};

static uint32_t count_elements(const struct schema_element *elements)
{
    uint32_t n = 0;
    while (n < 24 && elements[n].name.data)
        n++;
    return n;
}

static void lists_and_maps_of_every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(nested_cases) / sizeof(nested_cases[0]); i++) {
        const struct schema_case *test = &nested_cases[i];
        struct schema *schema;
        struct node *nodes;
        struct parquet_metadata metadata = {0};
        char text[1024] = "", paths[1024] = "";
        struct arena arena = ARENA_EMPTY;
        assert_ok(parquet_schema_build(test->elements, count_elements(test->elements), &arena,
                                       &schema, &nodes, &metadata));
        assert_int_equal(schema->n_fields, 1);
        print_type(&schema->fields[0].type, schema->fields[0].nullable, text, sizeof(text));
        assert_string_equal(text, test->types);
        text[0] = '\0';
        print_node(&nodes[0], text, sizeof(text));
        assert_string_equal(text, test->nodes);
        for (uint32_t leaf = 0; leaf < metadata.n_leaves; leaf++) {
            size_t n = strlen(paths);
            snprintf(paths + n, sizeof(paths) - n, "%s%.*s:%d:%d", leaf ? " " : "",
                     SLICE_PRINT(metadata.leaves[leaf].path), metadata.leaves[leaf].max_definition,
                     metadata.leaves[leaf].max_repetition);
            assert_non_null(metadata.leaves[leaf].leaf_type);
        }
        assert_string_equal(paths, test->paths);
        assert_int_equal(nodes[0].n_leaves, metadata.n_leaves);
        schema_release(schema);
        arena_free(&arena);
    }
}

enum { L_STRING = 1, L_ENUM = 4, L_DECIMAL, L_DATE, L_TIME, L_TIMESTAMP, L_INTEGER = 10 };
enum { L_UNKNOWN = 11, L_JSON, L_BSON, L_UUID, L_FLOAT16, L_FUTURE = 99 };

struct leaf_case {
    const char *type; /* NULL: refused */
    int physical, logical, converted;
    int64_t length, precision, scale;
    int unit, bits;
    bool utc, is_signed;
};

static const struct leaf_case leaf_cases[] = {
    {"boolean!", PARQUET_BOOLEAN, NO, NO, .length = 0},
    {"int32!", PARQUET_INT32, NO, NO, .length = 0},
    {"int64!", PARQUET_INT64, NO, NO, .length = 0},
    {"timestamp(u)!", PARQUET_INT96, NO, NO, .length = 0},
    {"float!", PARQUET_FLOAT, NO, NO, .length = 0},
    {"double!", PARQUET_DOUBLE, NO, NO, .length = 0},
    {"bytes!", PARQUET_BYTE_ARRAY, NO, NO, .length = 0},
    {"fixed(7)!", PARQUET_FIXED_LEN_BYTE_ARRAY, NO, NO, .length = 7},
    {"fixed(16)!", PARQUET_FIXED_LEN_BYTE_ARRAY, L_UUID, NO, .length = 16},
    {"half!", PARQUET_FIXED_LEN_BYTE_ARRAY, L_FLOAT16, NO, .length = 2},
    {"interval!", PARQUET_FIXED_LEN_BYTE_ARRAY, NO, INTERVAL, .length = 12},
    {"string!", PARQUET_BYTE_ARRAY, L_STRING, UTF8, .length = 0},
    {"string!", PARQUET_BYTE_ARRAY, NO, UTF8, .length = 0},
    {"string!", PARQUET_BYTE_ARRAY, L_ENUM, NO, .length = 0},
    {"string!", PARQUET_BYTE_ARRAY, NO, 4, .length = 0},
    {"string!", PARQUET_BYTE_ARRAY, L_JSON, NO, .length = 0},
    {"string!", PARQUET_BYTE_ARRAY, NO, 19, .length = 0},
    {"bytes!", PARQUET_BYTE_ARRAY, L_BSON, NO, .length = 0},
    {"bytes!", PARQUET_BYTE_ARRAY, NO, 20, .length = 0},
    {"bytes!", PARQUET_BYTE_ARRAY, L_FUTURE, NO, .length = 0},
    {"string!", PARQUET_BYTE_ARRAY, L_FUTURE, UTF8, .length = 0},
    {"null", PARQUET_INT32, L_UNKNOWN, NO, .length = 0},
    {"int8!", PARQUET_INT32, L_INTEGER, NO, .bits = 8, .is_signed = true},
    {"uint16!", PARQUET_INT32, L_INTEGER, NO, .bits = 16},
    {"uint32!", PARQUET_INT32, L_INTEGER, NO, .bits = 32},
    {"uint64!", PARQUET_INT64, L_INTEGER, NO, .bits = 64},
    {"uint8!", PARQUET_INT32, NO, 11, .length = 0},
    {"uint16!", PARQUET_INT32, NO, 12, .length = 0},
    {"uint32!", PARQUET_INT32, NO, 13, .length = 0},
    {"uint64!", PARQUET_INT64, NO, 14, .length = 0},
    {"int8!", PARQUET_INT32, NO, 15, .length = 0},
    {"int16!", PARQUET_INT32, NO, 16, .length = 0},
    {"int32!", PARQUET_INT32, NO, 17, .length = 0},
    {"int64!", PARQUET_INT64, NO, 18, .length = 0},
    {"date!", PARQUET_INT32, L_DATE, NO, .length = 0},
    {"date!", PARQUET_INT32, NO, 6, .length = 0},
    {"time(m)!", PARQUET_INT32, L_TIME, NO, .unit = UNIT_MILLI},
    {"time(n,utc)!", PARQUET_INT64, L_TIME, NO, .unit = UNIT_NANO, .utc = true},
    {"time(m,utc)!", PARQUET_INT32, NO, 7, .length = 0},
    {"time(u,utc)!", PARQUET_INT64, NO, 8, .length = 0},
    {"timestamp(u)!", PARQUET_INT64, L_TIMESTAMP, NO, .unit = UNIT_MICRO},
    {"timestamp(n,utc)!", PARQUET_INT64, L_TIMESTAMP, NO, .unit = UNIT_NANO, .utc = true},
    {"timestamp(u)!", PARQUET_INT64, L_TIMESTAMP, 10, .unit = UNIT_MICRO},
    {"timestamp(m,utc)!", PARQUET_INT64, NO, 9, .length = 0},
    {"timestamp(u,utc)!", PARQUET_INT64, NO, 10, .length = 0},
    {"decimal(9,2)!", PARQUET_INT32, L_DECIMAL, NO, .precision = 9, .scale = 2},
    {"decimal(18,18)!", PARQUET_INT64, NO, DECIMAL, .precision = 18, .scale = 18},
    {"decimal(38,0)!", PARQUET_BYTE_ARRAY, NO, DECIMAL, .precision = 38},
    {"decimal256(39,5)!", PARQUET_BYTE_ARRAY, NO, DECIMAL, .precision = 39, .scale = 5},
    {"decimal(20,3)!", PARQUET_FIXED_LEN_BYTE_ARRAY, L_DECIMAL, NO, .length = 9, .precision = 20,
     .scale = 3},
    /* What the physical type cannot carry. */
    {NULL, PARQUET_INT32, NO, UTF8, .length = 0},
    {NULL, PARQUET_INT64, L_DATE, NO, .length = 0},
    {NULL, PARQUET_INT32, L_TIMESTAMP, NO, .length = 0},
    {NULL, PARQUET_INT32, L_TIME, NO, .unit = UNIT_MICRO},
    {NULL, PARQUET_INT64, NO, 7, .length = 0},
    {NULL, PARQUET_INT32, NO, 14, .length = 0},
    {NULL, PARQUET_INT32, L_INTEGER, NO, .bits = 24},
    {NULL, PARQUET_INT32, NO, DECIMAL, .precision = 10},
    {NULL, PARQUET_INT32, NO, DECIMAL, .precision = 4, .scale = 5},
    {NULL, PARQUET_INT32, NO, DECIMAL, .precision = 4, .scale = -1},
    {NULL, PARQUET_BYTE_ARRAY, NO, DECIMAL, .length = 0},
    {NULL, PARQUET_FIXED_LEN_BYTE_ARRAY, L_FLOAT16, NO, .length = 4},
    {NULL, PARQUET_FIXED_LEN_BYTE_ARRAY, NO, INTERVAL, .length = 8},
    {NULL, PARQUET_FIXED_LEN_BYTE_ARRAY, NO, NO, .length = -1},
    {NULL, PARQUET_DOUBLE, NO, UTF8, .length = 0},
    {NULL, 8, NO, NO, .length = 0},
};

static void leaves_of_every_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(leaf_cases) / sizeof(leaf_cases[0]); i++) {
        const struct leaf_case *test = &leaf_cases[i];
        struct schema_element elements[2] = {ROOT,
                                             {.type = test->physical,
                                              .converted = test->converted,
                                              .logical = test->logical,
                                              .type_length = test->length,
                                              .precision = test->precision,
                                              .scale = test->scale,
                                              .logical_unit = test->unit,
                                              .logical_bits = test->bits,
                                              .logical_utc = test->utc,
                                              .logical_signed = test->is_signed,
                                              .name = NAME("x")}};
        struct schema *schema;
        struct node *nodes;
        struct parquet_metadata metadata = {0};
        char text[128] = "";
        struct arena arena = ARENA_EMPTY;
        int code = parquet_schema_build(elements, 2, &arena, &schema, &nodes, &metadata);
        if (!test->type) {
            if (code != GLIS_ECORRUPT) fail_msg("case %zu gives %s", i, error_code_name(code));
            arena_free(&arena);
            continue;
        }
        assert_ok(code);
        print_type(&schema->fields[0].type, schema->fields[0].nullable, text, sizeof(text));
        assert_string_equal(text, test->type);
        assert_ptr_equal(metadata.leaves[0].leaf_type, &schema->fields[0].type);
        assert_int_equal(metadata.leaves[0].type, test->physical);
        schema_release(schema);
        arena_free(&arena);
    }
}

static void refuse(const struct schema_element *elements, uint32_t n, int expected,
                   const char *text)
{
    struct schema *schema;
    struct node *nodes;
    struct parquet_metadata metadata = {0};
    struct arena arena = ARENA_EMPTY;
    assert_fails(parquet_schema_build(elements, n, &arena, &schema, &nodes, &metadata), expected,
                 text);
    arena_free(&arena);
}

static void trees_that_are_none(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *text;
        struct schema_element elements[24];
    } cases[] = {
        {GLIS_ECORRUPT, "no schema", {{.type = 0}}},
        {GLIS_ECORRUPT, "root", {ROOT}},
        {GLIS_ECORRUPT, "root", {LEAF(REQ, INT32, "x", NO)}},
        {GLIS_ECORRUPT, "no column", {ROOT, LEAF(REQ, INT32, "x", NO), LEAF(REQ, INT32, "y", NO)}},
        {GLIS_ECORRUPT, "claims", {ROOT, GROUP(OPT, "g", 2, NO), LEAF(REQ, INT32, "x", NO)}},
        {GLIS_ECORRUPT, "repetition", {ROOT, LEAF(NO, INT32, "x", NO)}},
        {GLIS_ECORRUPT, "no text", {ROOT, LEAF(REQ, INT32, "\xff", NO)}},
        {GLIS_ECORRUPT, "no text", {ROOT, LEAF(REQ, INT32, "a\0b", NO)}},
        {GLIS_EUNSUPPORTED, "without fields", {ROOT, GROUP(OPT, "g", 0, NO)}},
        {GLIS_ECORRUPT,
         "repeated child",
         {ROOT, GROUP(OPT, "l", 1, LIST), LEAF(REQ, INT32, "x", NO)}},
        {GLIS_ECORRUPT,
         "repeated child",
         {ROOT, GROUP(OPT, "l", 2, LIST), LEAF(REP, INT32, "x", NO), LEAF(REP, INT32, "y", NO)}},
        {GLIS_ECORRUPT, "map", {ROOT, GROUP(OPT, "m", 1, MAP), LEAF(REP, INT32, "x", NO)}},
        {GLIS_ELIMIT,
         "nested",
         {ROOT, GROUP(OPT, "1", 1, NO), GROUP(OPT, "2", 1, NO), GROUP(OPT, "3", 1, NO),
          GROUP(OPT, "4", 1, NO), GROUP(OPT, "5", 1, NO), GROUP(OPT, "6", 1, NO),
          GROUP(OPT, "7", 1, NO), GROUP(OPT, "8", 1, NO), GROUP(OPT, "9", 1, NO),
          LEAF(REQ, INT32, "x", NO)}},
        {GLIS_ELIMIT,
         "nested",
         {ROOT, GROUP(REP, "1", 1, NO), GROUP(REP, "2", 1, NO), GROUP(REP, "3", 1, NO),
          GROUP(REP, "4", 1, NO), LEAF(REP, INT32, "x", NO)}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(cases[i].elements, count_elements(cases[i].elements), cases[i].code, cases[i].text);
}

#define MEANS(repetition_, physical, name_, logical_)                           \
    {                                                                           \
        .type = PARQUET_##physical, .repetition = repetition_, .converted = NO, \
        .logical = PARQUET_##logical_, .edge_algorithm = NO, .type_length = 16, \
        .name = NAME(name_)                                                     \
    }

/* Each field counts, those that stand for lists and entries of maps as well. */
static void annotations_know_their_fields(void **state)
{
    (void)state;
    static const struct schema_element elements[] = {
        GROUP(NO, "schema", 5, NO),
        MEANS(OPT, BYTE_ARRAY, "j", JSON),
        GROUP(OPT, "l", 1, LIST),
        GROUP(REP, "list", 1, NO),
        GROUP(OPT, "element", 2, NO),
        LEAF(REQ, INT32, "a", NO),
        {.type = PARQUET_BYTE_ARRAY,
         .repetition = OPT,
         .converted = NO,
         .logical = PARQUET_GEOGRAPHY,
         .crs = NAME("EPSG:4326"),
         .edge_algorithm = 3,
         .name = NAME("g")},
        GROUP(OPT, "m", 1, MAP),
        GROUP(REP, "key_value", 2, NO),
        MEANS(REQ, BYTE_ARRAY, "key", ENUM),
        {.type = NO,
         .repetition = OPT,
         .converted = NO,
         .logical = PARQUET_VARIANT,
         .variant_version = 1,
         .edge_algorithm = NO,
         .n_children = 2,
         .name = NAME("value")},
        LEAF(REQ, BYTE_ARRAY, "metadata", NO),
        MEANS(REQ, BYTE_ARRAY, "value", BSON),
        MEANS(REP, FIXED_LEN_BYTE_ARRAY, "r", UUID),
        MEANS(REQ, BYTE_ARRAY, "z", GEOMETRY),
    };
    static const struct {
        const char *path;
        int kind;
        uint32_t place;
    } expected[] = {
        {"j", PARQUET_JSON, 0},
        {"l.list.element.g", PARQUET_GEOGRAPHY, 4},
        {"m.key_value.key", PARQUET_ENUM, 7},
        {"m.key_value.value", PARQUET_VARIANT, 8},
        {"m.key_value.value.value", PARQUET_BSON, 10},
        {"r", PARQUET_UUID, 12},
        {"z", PARQUET_GEOMETRY, 13},
    };
    struct schema *schema;
    struct node *nodes;
    struct parquet_metadata metadata = {0};
    struct arena arena = ARENA_EMPTY;
    assert_ok(parquet_schema_build(elements, sizeof elements / sizeof *elements, &arena, &schema,
                                   &nodes, &metadata));
    assert_int_equal(metadata.annotations.n, sizeof expected / sizeof *expected);
    for (uint32_t i = 0; i < metadata.annotations.n; i++) {
        const struct parquet_annotation *a = &metadata.annotations.items[i];
        assert_true(slice_equal_text(a->path, expected[i].path));
        assert_int_equal(a->kind, expected[i].kind);
        assert_int_equal(a->place, expected[i].place);
        assert_true(slice_equal_text(a->crs, i == 1 ? "EPSG:4326" : ""));
        assert_int_equal(a->edge_algorithm, i == 1 ? 3 : -1);
        assert_int_equal(a->version, i == 3 ? 1 : 0);
    }
    assert_ptr_equal(metadata.leaves[0].annotation, &metadata.annotations.items[0]);
    assert_null(metadata.leaves[1].annotation);
    assert_ptr_equal(metadata.leaves[2].annotation, &metadata.annotations.items[1]);
    assert_null(metadata.leaves[4].annotation); /* "metadata": the group around it has one */
    schema_release(schema);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_maps_of_every_form),
        cmocka_unit_test(leaves_of_every_type),
        cmocka_unit_test(annotations_know_their_fields),
        cmocka_unit_test(trees_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
