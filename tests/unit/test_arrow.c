/*
 * test_arrow.c: the Arrow C data and stream interfaces: what is exported has the formats, buffers
 * and ownership of the standard (https://arrow.apache.org/docs/format/CDataInterface.html); what is
 * imported is made by hand here, in each foreign layout, sound and broken. Whole arrays made by
 * pyarrow are in tests/system/test_arrow_import.py.
 */
#include "batches.h"

#include "glis.h"

/* ---- export ---- */

static void formats_are_those_of_the_standard(void **state)
{
    (void)state;
    static const char *const formats[] = {
        "n",   "b",    "c",   "s",   "i",   "l",       "C",    "S",      "I",          "L", "e",
        "f",   "g",    "tdD", "ttm", "ttn", "tsu:UTC", "tsn:", "d:38,2", "d:40,0,256", "u", "z",
        "w:3", "w:12", "+l",  "+l",  "+l",  "+m",      "+s",   "+s",     "+l",
    };
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    assert_int_equal(n, COUNT(formats));
    for (size_t s = 0; s < n; s++) {
        struct schema *schema = schema_with(all[s].type, s % 2 == 0);
        struct ArrowSchema out;
        assert_ok(arrow_export_schema(schema, &out));
        schema_release(schema); /* what was exported stands alone */
        assert_string_equal(out.format, "+s");
        assert_int_equal(out.n_children, 1);
        assert_string_equal(out.children[0]->format, formats[s]);
        assert_string_equal(out.children[0]->name, "v");
        assert_int_equal(out.children[0]->flags, s % 2 == 0 ? ARROW_FLAG_NULLABLE : 0);
        assert_null(out.children[0]->dictionary);
        assert_int_equal(out.children[0]->n_children, all[s].type.n_children);
        out.release(&out);
        assert_null(out.release);
    }
}

static void every_type_goes_out_and_comes_back(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    size_t n;
    const struct sample *all = samples(&arena, &n);
    for (size_t s = 0; s < n; s++) {
        if (strcmp(all[s].name, "interval") == 0) continue; /* goes out as fixed bytes */
        struct batch *batch = batch_of(all[s].type, all[s].values), *part, *back;
        const struct json *json = json_of(&arena, all[s].values);
        for (int begin = 0; begin < 8; begin++) {
            struct ArrowSchema format;
            struct ArrowArray array;
            struct schema *schema;
            struct budget budget;
            budget_init(&budget, "test", 0, NULL, NULL);
            assert_ok(batch_slice(batch, begin, 8 - begin, &part));
            assert_ok(arrow_export_schema(part->schema, &format));
            assert_ok(arrow_export_batch(part, &array));
            assert_int_equal(array.length, 8 - begin);
            assert_int_equal(array.null_count, 0);
            batch_release(part); /* the array keeps the buffers */
            assert_ok(arrow_import_schema(&format, &schema));
            assert_ok(arrow_import_batch(&array, &format, schema, &budget, &back));
            assert_null(array.release);
            format.release(&format);
            assert_true(type_equal(&schema->fields[0].type, &all[s].type));
            schema_release(schema);
            assert_ok(batch_validate(back, true));
            for (int i = 0; i < 8 - begin; i++)
                assert_entry(&back->columns[0], i, &json->items[begin + i]);
            batch_release(back);
            assert_int_equal(budget_used(&budget), 0);
        }
        batch_release(batch);
    }
}

static void children_of_an_exported_array_may_be_moved_out(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type list = type_list(&arena, plain_type(TYPE_STRING), true);
    struct batch *batch = batch_of(list, "[['a','b'],null,['c']]");
    struct ArrowArray array, child;
    struct ArrowSchema schema, field;
    assert_ok(arrow_export_batch(batch, &array));
    assert_ok(arrow_export_schema(batch->schema, &schema));
    batch_release(batch);
    child = *array.children[0];
    array.children[0]->release = NULL;
    array.release(&array);
    assert_null(array.release);
    assert_int_equal(child.length, 3);
    assert_int_equal(child.null_count, 1);
    assert_int_equal(child.n_buffers, 2);
    assert_int_equal(child.children[0]->n_buffers, 3);
    assert_memory_equal(child.children[0]->buffers[2], "abc", 3);
    child.release(&child);
    field = *schema.children[0];
    schema.children[0]->release = NULL;
    schema.release(&schema);
    assert_string_equal(field.children[0]->name, "element");
    field.release(&field);
}

/* ---- foreign arrays by hand ---- */

static int released;

static void count_release(struct ArrowArray *array)
{
    released++;
    array->release = NULL;
}

/* An array of no children over up to four buffers. */
static struct ArrowArray array_of(int64_t length, int64_t offset, int64_t n_buffers,
                                  const void **buffers)
{
    return (struct ArrowArray){.length = length,
                               .offset = offset,
                               .null_count = -1,
                               .n_buffers = n_buffers,
                               .buffers = buffers,
                               .release = count_release};
}

static struct ArrowSchema format_of(const char *format)
{
    return (struct ArrowSchema){.format = format, .name = "v", .flags = ARROW_FLAG_NULLABLE};
}

/* The array as a batch of one column "v"; it is released once whatever comes of it. */
static int import_one(struct ArrowSchema *field, struct ArrowArray *array, uint64_t limit,
                      struct batch **out)
{
    const void *no_validity[1] = {NULL};
    struct ArrowSchema *fields[1] = {field};
    struct ArrowArray *arrays[1] = {array};
    struct ArrowSchema format = {.format = "+s", .name = "", .n_children = 1, .children = fields};
    struct ArrowArray rows = array_of(array->length, 0, 1, no_validity);
    struct schema *schema;
    struct budget budget;
    struct batch *batch;
    released = 0;
    rows.n_children = 1;
    rows.children = arrays;
    budget_init(&budget, "test memory", limit, NULL, NULL);
    TRY(arrow_import_schema(&format, &schema));
    int code = arrow_import_batch(&rows, &format, schema, &budget, &batch);
    schema_release(schema);
    assert_null(rows.release);
    if (code < 0) {
        assert_int_equal(released, 1);
        assert_int_equal(budget_used(&budget), 0);
        return code;
    }
    /* a copy without budget, as the test looks at it after all has been released */
    uint32_t *order = memory_alloc((size_t)(batch->n_rows + 1) * sizeof *order);
    for (int64_t i = 0; i < batch->n_rows; i++)
        order[i] = (uint32_t)i;
    assert_int_equal(batch_take(batch, order, batch->n_rows, NULL, out), 0);
    free(order);
    batch_release(batch);
    assert_int_equal(released, 1);
    assert_int_equal(budget_used(&budget), 0);
    return 0;
}

/* The import gives these values; and with any smaller budget it fails cleanly. */
static void check_import(struct ArrowSchema *field, struct ArrowArray *array, const char *values)
{
    struct batch *batch;
    assert_ok(import_one(field, array, 0, &batch));
    assert_values(batch, values);
    batch_release(batch);
    for (uint64_t limit = 1, code = 1; code && limit < 10000; limit += 8) {
        code = (uint64_t)import_one(field, array, limit, &batch);
        if (code == 0)
            batch_release(batch);
        else
            assert_int_equal((int)code, GLIS_ENOMEM);
    }
}

static void check_refusal(struct ArrowSchema *field, struct ArrowArray *array, int expected,
                          const char *text)
{
    struct batch *batch;
    assert_fails(import_one(field, array, 0, &batch), expected, text);
}

static const uint8_t odd[] = {0x55, 0x55}; /* rows 0, 2, 4, ... are valid */

static void scalars_of_other_layouts_become_ours(void **state)
{
    (void)state;
    static const int64_t seconds[] = {9, 0, -1, 1795255200, 7}, days[] = {86400000, 5, -86400000};
    static const int32_t short_seconds[] = {1, 2, 86399};
    static const int32_t small[] = {125, -1, -999999999};
    static const int64_t middle[] = {125, -1, -999999999999999999};
    static const uint64_t large[][4] = {
        {125, 0, 0, 0}, {0, 0, 0, 7}, {UINT64_MAX - 4, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    static const uint64_t wide[][2] = {{12, 0}, {0, 0}, {UINT64_MAX - 2, UINT64_MAX}};
    const struct {
        const char *format;
        const void *values;
        int64_t length, offset;
        bool nulls;
        const char *expected;
    } cases[] = {
        {"tss:UTC", seconds, 3, 1, false, "[0,-1000,1795255200000]"},
        {"tss:", seconds, 4, 0, true, "[9000,null,-1000,null]"},
        {"tts", short_seconds, 3, 0, false, "[1000,2000,86399000]"},
        {"tdm", days, 3, 0, true, "[1,null,-1]"},
        {"d:9,2,32", small, 3, 0, false, "['125','-1','-999999999']"},
        {"d:9,2,32", small, 2, 1, false, "['-1','-999999999']"},
        {"d:18,2,64", middle, 3, 0, true, "['125',null,'-999999999999999999']"},
        {"d:38,2,256", large, 3, 0, true, "['125',null,'-5']"},
        {"d:2,-3", wide, 3, 0, false, "['12000','0','-3000']"},
        {"d:2,-3,128", wide, 2, 1, false, "['0','-3000']"},
        {"d:2,7", wide, 3, 0, true, "['12',null,'-3']"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const void *buffers[] = {cases[i].nulls ? odd : NULL, cases[i].values};
        struct ArrowSchema field = format_of(cases[i].format);
        struct ArrowArray array = array_of(cases[i].length, cases[i].offset, 2, buffers);
        check_import(&field, &array, cases[i].expected);
    }
}

static void values_that_do_not_fit_are_named_by_row(void **state)
{
    (void)state;
    static const int64_t seconds[] = {0, INT64_MAX / 1000 + 1}, days[] = {0, 1};
    static const int64_t far_days[] = {0, INT64_C(86400000) * 3000000000};
    static const int32_t times[] = {0, 3000000}, small[] = {99, 100};
    static const uint64_t large[][4] = {{1, 0, 0, 0}, {0, 0, 1, 0}};
    const struct {
        const char *format;
        const void *values;
        const char *text;
    } cases[] = {
        {"tss:", seconds, "column 'v': row 1: seconds out of range"},
        {"tts", times, "column 'v': row 1: a date or time out of range"},
        {"tdm", days, "column 'v': row 1: a date that is no whole day"},
        {"tdm", far_days, "column 'v': row 1: a date or time out of range"},
        {"d:2,0,32", small, "column 'v': row 1: a decimal of more digits"},
        {"d:38,0,256", large, "column 'v': row 1: a decimal of more digits"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const void *buffers[] = {NULL, cases[i].values};
        struct ArrowSchema field = format_of(cases[i].format);
        struct ArrowArray array = array_of(2, 0, 2, buffers);
        check_refusal(&field, &array, GLIS_EDATA, cases[i].text);
    }
}

static void large_text_is_narrowed(void **state)
{
    (void)state;
    static const int64_t offsets[] = {3, 5, 5, 6, 9};
    static const int64_t down[] = {3, 5, 4, 6, 9}, below[] = {-1, 0, 0, 0, 0};
    static const int64_t huge[] = {0, INT64_C(1) << 31, INT64_C(1) << 31, INT64_C(1) << 31,
                                   INT64_C(1) << 31};
    const void *buffers[] = {NULL, offsets, "xyzabcdef"};
    struct ArrowSchema field = format_of("U");
    struct ArrowArray array = array_of(4, 0, 3, buffers);
    check_import(&field, &array, "['ab','','c','def']");
    array.length = 2;
    array.offset = 2;
    check_import(&field, &array, "['c','def']");
    buffers[0] = odd;
    array = array_of(3, 1, 3, buffers);
    check_import(&field, &array, "[null,'c',null]");
    array = array_of(0, 0, 3, (const void *[]){NULL, NULL, NULL});
    check_import(&field, &array, "[]");
    buffers[0] = NULL;
    array = array_of(4, 0, 3, buffers);
    buffers[1] = down;
    check_refusal(&field, &array, GLIS_EINVALID, "do not ascend");
    buffers[1] = below;
    check_refusal(&field, &array, GLIS_EINVALID, "negative");
    buffers[1] = huge;
    check_refusal(&field, &array, GLIS_ELIMIT, "2 GiB");
    buffers[1] = NULL;
    check_refusal(&field, &array, GLIS_EINVALID, "missing");
    buffers[1] = offsets;
    buffers[2] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    check_refusal(&field, &array, GLIS_EINVALID, "UTF-8");
}

struct view {
    int32_t size;
    char begin[4];
    int32_t buffer, offset;
};

static void views_are_gathered(void **state)
{
    (void)state;
    static const char first[] = "a text that is rather long", second[] = "another of the kind";
    static const int64_t sizes[] = {26, 19};
    struct view views[4] = {
        {.size = 2, .begin = "hi"}, {26, "a te", 0, 0}, {15, "ther", 1, 3}, {0, "", 0, 0}};
    const void *buffers[] = {NULL, views, first, second, sizes};
    struct ArrowSchema field = format_of("vu");
    struct ArrowArray array = array_of(4, 0, 5, buffers);
    check_import(&field, &array, "['hi','a text that is rather long','ther of the kin','']");
    array = array_of(2, 1, 5, buffers);
    check_import(&field, &array, "['a text that is rather long','ther of the kin']");
    static const struct view bad[] = {
        {-1, "", 0, 0}, {26, "", 2, 0},  {26, "", -1, 0},
        {26, "", 0, 1}, {13, "", 1, -1}, {27, "", 0, 0},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        views[1] = bad[i];
        array = array_of(4, 0, 5, buffers);
        check_refusal(&field, &array, GLIS_EINVALID, "a view");
    }
    buffers[0] = odd; /* what is null may hold anything */
    check_import(&field, &array, "['hi',null,'ther of the kin',null]");
}

static void dictionaries_of_every_index_are_looked_up(void **state)
{
    (void)state;
    static const int32_t text_offsets[] = {0, 1, 3};
    static const int8_t bytes[] = {1, 0, -1, 1};
    static const uint64_t words[] = {1, 0, UINT64_MAX, 1};
    static const uint16_t halves[] = {0, 1, 0, 2, 1};
    const void *text_buffers[] = {NULL, text_offsets, "abc"};
    struct ArrowArray dictionary = array_of(2, 0, 3, text_buffers);
    struct ArrowSchema text = format_of("u"), field = format_of("c");
    const void *buffers[] = {"\x0b", bytes};
    struct ArrowArray array = array_of(4, 0, 2, buffers);
    field.dictionary = &text;
    array.dictionary = &dictionary;
    check_import(&field, &array, "['bc','a',null,'bc']");
    buffers[0] = NULL;
    check_refusal(&field, &array, GLIS_EINVALID, "an index beyond its dictionary");
    field.format = "L";
    buffers[1] = words;
    check_refusal(&field, &array, GLIS_EINVALID, "an index beyond its dictionary");
    buffers[0] = "\x0b";
    check_import(&field, &array, "['bc','a',null,'bc']");
    field.format = "S";
    buffers[0] = NULL;
    buffers[1] = halves;
    array = array_of(2, 1, 2, buffers);
    array.dictionary = &dictionary;
    check_import(&field, &array, "['bc','a']");
    text_buffers[0] = "\x01"; /* a null among the dictionary's values */
    check_import(&field, &array, "[null,'a']");
    array.length = 4;
    check_refusal(&field, &array, GLIS_EINVALID, "an index beyond");
    array.dictionary = NULL;
    check_refusal(&field, &array, GLIS_EINVALID, "no dictionary");
    array.dictionary = &dictionary;
    field.format = "g";
    check_refusal(&field, &array, GLIS_EUNSUPPORTED, "'g'");
    field = format_of("S");
    check_refusal(&field, &array, GLIS_EINVALID, "a dictionary that its schema does not tell");
}

/* Lists of int32 over the same six elements. */
static void lists_of_every_layout(void **state)
{
    (void)state;
    static const int32_t elements[] = {0, 1, 2, 3, 4, 5, 6}, offsets[] = {0, 2, 2, 5},
                         sizes[] = {2, 3, 1};
    static const int32_t begins[] = {4, 0, 1}, beyond[] = {4, 6, 1}, below[] = {4, -1, 1};
    static const int64_t long_offsets[] = {1, 3, 3, 6}, far[] = {1, 3, 3, 8};
    static const int64_t long_begins[] = {4, 0, 1}, long_sizes[] = {2, 3, 1};
    const void *element_buffers[] = {NULL, elements};
    struct ArrowArray child = array_of(6, 1, 2, element_buffers), *children[] = {&child};
    struct ArrowSchema int_field = format_of("i"), *fields[] = {&int_field};
    const struct {
        const char *format;
        int64_t length, offset, n_buffers;
        const void *buffers[3];
        const char *expected; /* or a refusal */
    } cases[] = {
        {"+l", 3, 0, 2, {NULL, offsets}, "[[1,2],[],[3,4,5]]"},
        {"+l", 1, 2, 2, {NULL, offsets}, "[[3,4,5]]"},
        {"+L", 3, 0, 2, {NULL, long_offsets}, "[[2,3],[],[4,5,6]]"},
        {"+L", 2, 1, 2, {odd, long_offsets}, "[null,[4,5,6]]"},
        {"+L", 3, 0, 2, {NULL, far}, "beyond the end"},
        {"+w:2", 3, 0, 1, {NULL}, "[[1,2],[3,4],[5,6]]"},
        {"+w:2", 2, 1, 1, {odd}, "[null,[5,6]]"},
        {"+w:0", 2, 1, 1, {NULL}, "[[],[]]"},
        {"+w:3", 3, 0, 1, {NULL}, "fewer elements"},
        {"+w:999999", 3000, 0, 1, {NULL}, "2 GiB"},
        {"+vl", 3, 0, 3, {NULL, begins, sizes}, "[[5,6],[1,2,3],[2]]"},
        {"+vl", 2, 1, 3, {odd, begins, sizes}, "[null,[2]]"},
        {"+vL", 3, 0, 3, {NULL, long_begins, long_sizes}, "[[5,6],[1,2,3],[2]]"},
        {"+vl", 3, 0, 3, {NULL, beyond, sizes}, "a list beyond the end"},
        {"+vl", 3, 0, 3, {NULL, below, sizes}, "a list beyond the end"},
        {"+vl", 3, 0, 3, {NULL, NULL, sizes}, "missing"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const void *buffers[3] = {cases[i].buffers[0], cases[i].buffers[1], cases[i].buffers[2]};
        struct ArrowSchema field = format_of(cases[i].format);
        struct ArrowArray array =
            array_of(cases[i].length, cases[i].offset, cases[i].n_buffers, buffers);
        field.n_children = array.n_children = 1;
        field.children = fields;
        array.children = children;
        struct batch *batch;
        if (cases[i].expected[0] == '[') {
            check_import(&field, &array, cases[i].expected);
        } else {
            int code = import_one(&field, &array, 0, &batch);
            assert_true(code == GLIS_EINVALID || code == GLIS_ELIMIT);
            assert_non_null(strstr(error_message(), cases[i].expected));
        }
    }
}

static void runs_are_spread_out(void **state)
{
    (void)state;
    static const int16_t good[] = {2, 3, 7}, down[] = {2, 2, 7}, below[] = {-1, 3, 7};
    static const int32_t values[] = {10, 0, 30};
    const void *end_buffers[] = {NULL, good}, *value_buffers[] = {"\x05", values};
    struct ArrowArray ends = array_of(3, 0, 2, end_buffers),
                      numbers = array_of(3, 0, 2, value_buffers);
    struct ArrowArray *children[] = {&ends, &numbers}, array = array_of(7, 0, 0, NULL);
    struct ArrowSchema end_field = format_of("s"), value_field = format_of("i");
    struct ArrowSchema *fields[] = {&end_field, &value_field}, field = format_of("+r");
    field.n_children = array.n_children = 2;
    field.children = fields;
    array.children = children;
    check_import(&field, &array, "[10,10,null,30,30,30,30]");
    array.offset = 1;
    array.length = 3;
    check_import(&field, &array, "[10,null,30]");
    array.length = 7;
    check_refusal(&field, &array, GLIS_EINVALID, "too few runs");
    array.length = 6;
    end_buffers[1] = down;
    check_refusal(&field, &array, GLIS_EINVALID, "do not ascend");
    end_buffers[1] = below;
    check_refusal(&field, &array, GLIS_EINVALID, "do not ascend");
    end_buffers[1] = good;
    numbers.length = 2;
    check_refusal(&field, &array, GLIS_EINVALID, "too few runs");
    end_field.format = "g";
    check_refusal(&field, &array, GLIS_EUNSUPPORTED, "'+r'");
}

static void arrays_unlike_their_schema_are_refused(void **state)
{
    (void)state;
    static const int32_t values[] = {1, 2, 3, 4};
    static const struct {
        const char *format;
        int64_t length, offset, n_buffers;
    } cases[] = {
        {"i", -1, 0, 2},        {"i", 1, -1, 2}, {"i", INT64_MAX, 1, 2}, {"i", 1, INT64_MAX, 2},
        {"i", INT32_MAX, 1, 2}, {"i", 1, 0, 1},  {"i", 1, 0, 3},         {"u", 1, 0, 2},
        {"n", 1, 0, 1},         {"vu", 1, 0, 2}, {"+w:1", 1, 0, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const void *buffers[] = {NULL, values, values};
        struct ArrowSchema field = format_of(cases[i].format), int_field = format_of("i");
        struct ArrowSchema *fields[] = {&int_field};
        struct ArrowArray array =
            array_of(cases[i].length, cases[i].offset, cases[i].n_buffers, buffers);
        struct batch *batch;
        if (cases[i].format[0] == '+') {
            field.n_children = 1;
            field.children = fields;
        }
        assert_fails(import_one(&field, &array, 0, &batch), GLIS_EINVALID, NULL);
    }
}

static void unaligned_and_absent_buffers(void **state)
{
    (void)state;
    static const union {
        int64_t align;
        uint8_t bytes[17];
    } shifted = {.bytes = {0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0}};
    const void *buffers[] = {NULL, shifted.bytes + 1, NULL};
    struct ArrowSchema field = format_of("i");
    struct ArrowArray array = array_of(3, 0, 2, buffers);
    check_import(&field, &array, "[1,2,3]");
    field.format = "u"; /* no rows: neither offsets nor text */
    buffers[1] = NULL;
    array = array_of(0, 0, 3, buffers);
    check_import(&field, &array, "[]");
    array = array_of(1, 0, 3, buffers);
    check_refusal(&field, &array, GLIS_EINVALID, "missing");
    field.format = "l";
    array = array_of(1, 0, 2, buffers);
    check_refusal(&field, &array, GLIS_EINVALID, "missing");
    array = array_of(0, 0, 2, buffers);
    check_import(&field, &array, "[]");
    field.format = "n";
    array = array_of(2, 5, 0, NULL);
    check_import(&field, &array, "[null,null]");
}

static void formats_without_a_type_of_ours_are_named(void **state)
{
    (void)state;
    static const char *const formats[] = {
        "",      "x",      "tDs",  "tiM",      "tin",        "+ud:0",      "+us:0",  "d:",
        "d:0,0", "d:39,0", "d:1",  "d:1,2,16", "d:10,0,32",  "d:5,99",     "d:1,0x", "d:30,-20",
        "w:",    "w:0",    "w:-1", "w:1x",     "+w:",        "tsx:",       "tss",    "ttx",
        "tts:",  "tdX",    "uu",   "+",        "d:77,0,256", "w:99999999",
    };
    for (size_t i = 0; i < COUNT(formats); i++) {
        struct ArrowSchema field = format_of(formats[i]), *fields[] = {&field};
        struct ArrowSchema format = {.format = "+s", .n_children = 1, .children = fields};
        struct schema *schema;
        int code = arrow_import_schema(&format, &schema);
        if (code != GLIS_EUNSUPPORTED) fail_msg("format '%s' is taken: %d", formats[i], code);
        assert_non_null(strstr(error_message(), "column 'v'"));
    }
}

static void schemas_too_deep_or_without_children_are_refused(void **state)
{
    (void)state;
    struct ArrowSchema levels[40], *fields[40], *none[] = {NULL};
    struct schema *schema;
    for (int i = 0; i < 40; i++) {
        levels[i] = format_of(i == 39 ? "i" : i ? "+l" : "+s");
        fields[i] = &levels[i];
        if (i) {
            levels[i - 1].n_children = 1;
            levels[i - 1].children = &fields[i];
        }
    }
    assert_fails(arrow_import_schema(&levels[0], &schema), GLIS_ELIMIT, "deep");
    levels[10].format = "i"; /* nine lists: one too many for a schema of ours */
    levels[10].n_children = 0;
    assert_fails(arrow_import_schema(&levels[0], &schema), GLIS_ELIMIT, "deep");
    levels[9].format = "i";
    levels[9].n_children = 0;
    assert_ok(arrow_import_schema(&levels[0], &schema));
    schema_release(schema);
    levels[1].n_children = 0;
    assert_fails(arrow_import_schema(&levels[0], &schema), GLIS_EINVALID, "0 children");
    levels[1].n_children = 1;
    levels[1].children = none;
    assert_fails(arrow_import_schema(&levels[0], &schema), GLIS_EINVALID, "missing");
    levels[0].format = "i";
    assert_fails(arrow_import_schema(&levels[0], &schema), GLIS_EINVALID, "no struct");
}

static void rows_are_cut_and_never_null(void **state)
{
    (void)state;
    static const int32_t values[] = {1, 2, 3, 4};
    const void *buffers[] = {NULL, values}, *row_buffers[] = {NULL};
    struct ArrowSchema field = format_of("i"), *fields[] = {&field};
    struct ArrowSchema format = {.format = "+s", .n_children = 1, .children = fields};
    struct ArrowArray column = array_of(4, 0, 2, buffers), *columns[] = {&column}, rows;
    struct schema *schema;
    struct batch *batch;
    assert_ok(arrow_import_schema(&format, &schema));
    for (int c = 0; c < 4; c++) {
        rows = array_of(c == 2 ? 4 : 2, 1, 1, row_buffers);
        rows.n_children = c != 3;
        rows.children = columns;
        row_buffers[0] = c == 1 ? odd : NULL; /* row 1 is null */
        released = 0;
        int code = arrow_import_batch(&rows, &format, schema, NULL, &batch);
        if (c == 0) {
            assert_int_equal(code, 0);
            assert_values(batch, "[2,3]");
            batch_release(batch);
        } else {
            assert_int_equal(code, GLIS_EINVALID);
        }
        assert_int_equal(released, 1);
        assert_fails(arrow_import_batch(&rows, &format, schema, NULL, &batch), GLIS_EINVALID,
                     "released");
    }
    schema_release(schema);
}

/* A null struct's members may be null though their fields are not nullable; a seen one may not. */
static void members_of_null_structs_may_be_missing(void **state)
{
    (void)state;
    static const int32_t values[] = {1, 2, 3};
    const void *member_buffers[] = {"\x05", values}, *buffers[] = {"\x05"};
    struct ArrowSchema member = format_of("i"), *members[] = {&member}, field = format_of("+s");
    struct ArrowArray child = array_of(3, 0, 2, member_buffers), *children[] = {&child};
    struct ArrowArray array = array_of(3, 0, 1, buffers);
    member.flags = 0;
    field.n_children = array.n_children = 1;
    field.children = members;
    array.children = children;
    check_import(&field, &array, "[[1],null,[3]]");
    buffers[0] = "\x07";
    check_refusal(&field, &array, GLIS_EINVALID, "a null where none may be");
}

/* ---- streams ---- */

struct faulty {
    struct batch_stream stream;
    struct batch *batch;
    int left, closed;
};

static int faulty_next(struct batch_stream *base, struct batch **out)
{
    struct faulty *faulty = (struct faulty *)base;
    if (faulty->left-- == 0) return error_set(GLIS_EIO, "the tap ran dry");
    *out = batch_acquire(faulty->batch);
    return 0;
}

static void faulty_close(struct batch_stream *base)
{
    ((struct faulty *)base)->closed++;
}

static void streams_go_out_and_come_back(void **state)
{
    (void)state;
    struct batch *batch = batch_of(plain_type(TYPE_STRING), "['a',null,'b']"), *back;
    struct batch *twice[] = {batch, batch};
    struct batch_stream *stream, *other;
    struct ArrowArrayStream arrow;
    assert_ok(batch_stream_of(batch->schema, twice, 2, &stream));
    assert_ok(arrow_export_stream(stream, &arrow));
    assert_ok(arrow_import_stream(&arrow, NULL, &other));
    assert_null(arrow.release);
    for (int i = 0; i < 2; i++) {
        assert_ok(batch_stream_next(other, &back));
        assert_values(back, "['a',null,'b']");
        batch_release(back);
    }
    assert_ok(batch_stream_next(other, &back));
    assert_null(back);
    batch_stream_close(other);
    assert_fails(arrow_import_stream(&arrow, NULL, &other), GLIS_EINVALID, "released");
    batch_release(batch);
}

static void a_failing_stream_tells_why_and_is_closed_once(void **state)
{
    (void)state;
    struct batch *batch = batch_of(plain_type(TYPE_INT32), "[1]"), *back;
    struct faulty faulty = {{batch->schema, faulty_next, faulty_close}, batch, 1, 0};
    struct batch_stream *other;
    struct ArrowArrayStream arrow;
    assert_ok(arrow_export_stream(&faulty.stream, &arrow));
    assert_ok(arrow_import_stream(&arrow, NULL, &other));
    assert_ok(batch_stream_next(other, &back));
    batch_release(back);
    assert_fails(batch_stream_next(other, &back), GLIS_EIO, "the tap ran dry");
    assert_int_equal(faulty.closed, 0);
    batch_stream_close(other);
    assert_int_equal(faulty.closed, 1);
    batch_release(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_those_of_the_standard),
        cmocka_unit_test(every_type_goes_out_and_comes_back),
        cmocka_unit_test(children_of_an_exported_array_may_be_moved_out),
        cmocka_unit_test(scalars_of_other_layouts_become_ours),
        cmocka_unit_test(values_that_do_not_fit_are_named_by_row),
        cmocka_unit_test(large_text_is_narrowed),
        cmocka_unit_test(views_are_gathered),
        cmocka_unit_test(dictionaries_of_every_index_are_looked_up),
        cmocka_unit_test(lists_of_every_layout),
        cmocka_unit_test(runs_are_spread_out),
        cmocka_unit_test(arrays_unlike_their_schema_are_refused),
        cmocka_unit_test(unaligned_and_absent_buffers),
        cmocka_unit_test(formats_without_a_type_of_ours_are_named),
        cmocka_unit_test(schemas_too_deep_or_without_children_are_refused),
        cmocka_unit_test(rows_are_cut_and_never_null),
        cmocka_unit_test(members_of_null_structs_may_be_missing),
        cmocka_unit_test(streams_go_out_and_come_back),
        cmocka_unit_test(a_failing_stream_tells_why_and_is_closed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
