/*
 * test_size_statistics.c: SizeStatistics of Parquet: messages as bytes by hand, as Thrift's compact
 * protocol and parquet.thrift have them; what makes no sense is left out and marked. Written ones
 * against counts by hand.
 */
#include "test.h"

#include "parquet/parquet_int.h"

/* A field header is the id's difference to the one before and the type (6 i64, 9 list, 12 struct);
 * numbers are zigzag: 2 n for n. A list's header is its length and the element's type. */
struct message {
    const char *name;
    uint8_t bytes[16];
    size_t size;
    int code;
    int64_t text_bytes;
    int64_t repetition[2], definition[3]; /* the first -1: not said */
    bool malformed;
};

/* Of a leaf with levels up to 1 and 2. */
static const struct message messages[] = {
    {"nothing", {0}, 1, 0, -1, {-1, 0}, {-1, 0, 0}, false},
    {"all",
     {0x16, 8, 0x19, 0x26, 2, 4, 0x19, 0x36, 0, 2, 4, 0},
     12,
     0,
     4,
     {1, 2},
     {0, 1, 2},
     false},
    {"bytes only", {0x16, 0, 0}, 3, 0, 0, {-1, 0}, {-1, 0, 0}, false},
    {"empty lists", {0x29, 0x06, 0x19, 0x06, 0}, 5, 0, -1, {-1, 0}, {-1, 0, 0}, false},
    {"negative bytes", {0x16, 1, 0}, 3, 0, -1, {-1, 0}, {-1, 0, 0}, true},
    {"a short list", {0x29, 0x16, 2, 0}, 4, 0, -1, {-1, 0}, {-1, 0, 0}, true},
    {"a negative count", {0x29, 0x26, 2, 1, 0}, 5, 0, -1, {-1, 0}, {-1, 0, 0}, true},
    {"a wrong list beside a right one",
     {0x29, 0x16, 2, 0x19, 0x36, 2, 2, 2, 0},
     9,
     0,
     -1,
     {-1, 0},
     {1, 1, 1},
     true},
    {"texts for counts", {0x29, 0x28, 1, 'a', 0, 0}, 6, 0, -1, {-1, 0}, {-1, 0, 0}, true},
    {"a number for a list", {0x26, 2, 0}, 3, 0, -1, {-1, 0}, {-1, 0, 0}, true},
    {"unknown fields", {0x96, 2, 0}, 3, 0, -1, {-1, 0}, {-1, 0, 0}, false},
    {"cut in a number", {0x16, 0x80}, 2, GLIS_ECORRUPT, 0, {0}, {0}, false},
    {"cut in a list", {0x29, 0x26, 2}, 3, GLIS_ECORRUPT, 0, {0}, {0}, false},
    {"a list of 2^32",
     {0x29, 0xf6, 0xff, 0xff, 0xff, 0xff, 0x0f},
     7,
     GLIS_ECORRUPT,
     0,
     {0},
     {0},
     false},
    {"no end", {0x16, 2}, 2, GLIS_ECORRUPT, 0, {0}, {0}, false},
};

static void messages_are_read_as_they_are(void **state)
{
    (void)state;
    const struct parquet_leaf leaf = {
        .type = PARQUET_BYTE_ARRAY, .max_repetition = 1, .max_definition = 2};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        const struct message *m = &messages[i];
        struct arena arena = ARENA_EMPTY;
        struct parquet_sizes sizes;
        /* In memory of its own, so that a sanitizer sees what is read behind it. */
        uint8_t *bytes = memory_alloc(m->size);
        memcpy(bytes, m->bytes, m->size);
        struct thrift_cursor cursor = {bytes, bytes + m->size};
        int code = parquet_sizes_read(&cursor, THRIFT_STRUCT, &leaf, &arena, &sizes);
        if (code != m->code) fail_msg("%s gives %s", m->name, error_code_name(code));
        if (code == 0) {
            bool repetition = m->repetition[0] >= 0, definition = m->definition[0] >= 0;
            if (sizes.is_malformed != m->malformed || sizes.text_bytes != m->text_bytes ||
                !sizes.repetition_levels == repetition || !sizes.definition_levels == definition)
                fail_msg("%s: %lld bytes, malformed %d", m->name, (long long)sizes.text_bytes,
                         sizes.is_malformed);
            if (repetition)
                assert_memory_equal(sizes.repetition_levels, m->repetition, sizeof m->repetition);
            if (definition)
                assert_memory_equal(sizes.definition_levels, m->definition, sizeof m->definition);
        }
        error_clear();
        free(bytes);
        arena_free(&arena);
    }
}

/* Two pages of texts in lists: ["a", null], [] and ["bcd"]. */
static void pages_are_counted(void **state)
{
    (void)state;
    const struct slice texts[] = {SLICE("a"), SLICE("bcd")};
    uint8_t repetitions[] = {0, 1, 0, 0}, definitions[] = {3, 2, 1, 3};
    const struct write_leaf leaf = {.type = PARQUET_BYTE_ARRAY,
                                    .stride = sizeof(struct slice),
                                    .max_repetition = 1,
                                    .max_definition = 3};
    struct shredded in = {.leaf = &leaf};
    struct chunk_record chunk = {.n_pages = 2};
    struct buffer *buffers[] = {&in.values, &in.repetitions, &in.definitions, &chunk.level_counts,
                                &chunk.pages};
    for (size_t i = 0; i < 5; i++)
        buffer_init(buffers[i], 1 << 20, NULL);
    assert_ok(buffer_append(&in.values, texts, sizeof texts));
    assert_ok(buffer_append(&in.repetitions, repetitions, 4));
    assert_ok(buffer_append(&in.definitions, definitions, 4));
    chunk_sizes_begin(&leaf, &chunk);
    struct page_record pages[2] = {{.n_values = 1}, {.n_values = 1}};
    assert_ok(page_sizes_add(&in, 0, 3, 0, 1, &chunk, &pages[0].text_bytes));
    assert_ok(page_sizes_add(&in, 3, 1, 1, 1, &chunk, &pages[1].text_bytes));
    assert_int_equal(pages[0].text_bytes, 1);
    assert_int_equal(pages[1].text_bytes, 3);
    static const int64_t counts[] = {2, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1};
    assert_int_equal(chunk.level_counts.size, sizeof counts);
    assert_memory_equal(chunk.level_counts.data, counts, sizeof counts);
    assert_ok(buffer_append(&chunk.pages, pages, sizeof pages));
    /* As a field of ColumnMetaData: 16, a struct; 4 bytes; 3 and 1; 0, 1, 1 and 2 times. */
    static const uint8_t expected[] = {0x0c, 0x20, 0x16, 8, 0x19, 0x26, 6, 2,
                                       0x19, 0x46, 0,    2, 2,    4,    0, 0};
    struct buffer out = BUFFER_INIT(1 << 10);
    struct thrift_writer writer;
    thrift_write_begin(&writer, &out);
    write_chunk_sizes(&writer, &chunk);
    assert_ok(thrift_write_finish(&writer));
    assert_int_equal(out.size, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
    buffer_free(&out);
    for (size_t i = 0; i < 5; i++)
        buffer_free(buffers[i]);
}

/* Where counts of values and nulls say the same, nothing is said. */
static void what_the_format_lets_be_left_out_is(void **state)
{
    (void)state;
    static const struct {
        enum parquet_type type;
        int repetition, definition;
        bool text_bytes;
        unsigned repetitions, definitions;
    } cases[] = {
        {PARQUET_INT32, 0, 0, false, 0, 0},     {PARQUET_INT32, 0, 1, false, 0, 0},
        {PARQUET_DOUBLE, 0, 2, false, 0, 3},    {PARQUET_BYTE_ARRAY, 0, 1, true, 0, 0},
        {PARQUET_BYTE_ARRAY, 1, 1, true, 2, 0}, {PARQUET_FIXED_LEN_BYTE_ARRAY, 2, 4, false, 3, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct write_leaf leaf = {.type = cases[i].type,
                                  .max_repetition = cases[i].repetition,
                                  .max_definition = cases[i].definition};
        struct chunk_record chunk = {0};
        chunk_sizes_begin(&leaf, &chunk);
        assert_int_equal(chunk.has_text_bytes, cases[i].text_bytes);
        assert_int_equal(chunk.n_repetition_counts, cases[i].repetitions);
        assert_int_equal(chunk.n_definition_counts, cases[i].definitions);
        struct buffer out = BUFFER_INIT(1 << 10);
        struct thrift_writer writer;
        thrift_write_begin(&writer, &out);
        write_chunk_sizes(&writer, &chunk);
        assert_ok(thrift_write_finish(&writer));
        bool any = cases[i].text_bytes || cases[i].repetitions || cases[i].definitions;
        assert_int_equal(out.size > 1, any);
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read_as_they_are),
        cmocka_unit_test(pages_are_counted),
        cmocka_unit_test(what_the_format_lets_be_left_out_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
