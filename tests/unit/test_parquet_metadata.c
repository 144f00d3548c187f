/*
 * test_parquet_metadata.c: footers and page indexes, written here field by field as parquet.thrift
 * has them; what contradicts itself or leaves the file is refused. Bounds as values: plain encoded
 * by hand.
 */
#include "test.h"

#include "parquet/parquet_read_int.h"

/* ---- a Thrift writer, as small as the messages need ---- */

struct message {
    uint8_t bytes[1024];
    size_t size;
    int id;
};

static void put(struct message *m, unsigned byte)
{
    assert_true(m->size < sizeof(m->bytes));
    m->bytes[m->size++] = (uint8_t)byte;
}

static void varint(struct message *m, uint64_t value)
{
    for (; value > 127; value >>= 7)
        put(m, (unsigned)(value & 127) | 128);
    put(m, (unsigned)value);
}

static void header(struct message *m, int id, int type)
{
    assert_true(id > m->id && id - m->id < 16);
    put(m, (unsigned)(id - m->id) << 4 | (unsigned)type);
    m->id = id;
}

static void number(struct message *m, int id, int64_t value)
{
    header(m, id, THRIFT_I64);
    varint(m, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void bytes_of(struct message *m, const char *data, size_t size)
{
    varint(m, size);
    for (size_t i = 0; i < size; i++)
        put(m, (uint8_t)data[i]);
}

static void binary(struct message *m, int id, const char *data, size_t size)
{
    header(m, id, THRIFT_BINARY);
    bytes_of(m, data, size);
}

static void list(struct message *m, int id, int type, unsigned n)
{
    header(m, id, THRIFT_LIST);
    put(m, n << 4 | (unsigned)type);
}

static void end(struct message *m, int id_around)
{
    put(m, THRIFT_STOP);
    m->id = id_around;
}

/* ---- footers of one required INT32 column "x" ---- */

enum { FILE_BYTES = 1000 };

struct file {
    int64_t rows, group_rows, values, data, dictionary, compressed, uncompressed;
    int64_t offset_index, offset_index_size;
    int physical;
    bool encrypted, crypto, elsewhere, no_orders, no_group_rows, two_chunks;
};

static const struct file good_file = {.rows = 7,
                                      .group_rows = 7,
                                      .values = 7,
                                      .data = 40,
                                      .dictionary = 4,
                                      .compressed = 100,
                                      .uncompressed = 120,
                                      .offset_index = 200,
                                      .offset_index_size = 30,
                                      .physical = PARQUET_INT32};

static void write_chunk(struct message *m, const struct file *file)
{
    m->id = 0;
    if (file->elsewhere) binary(m, 1, "other.parquet", 13);
    header(m, 3, THRIFT_STRUCT);
    m->id = 0;
    number(m, 1, file->physical);
    list(m, 2, THRIFT_I32, 2);
    varint(m, 0 << 1);
    varint(m, 8 << 1);
    number(m, 4, PARQUET_ZSTD);
    number(m, 5, file->values);
    number(m, 6, file->uncompressed);
    number(m, 7, file->compressed);
    number(m, 9, file->data);
    number(m, 11, file->dictionary);
    header(m, 12, THRIFT_STRUCT);
    m->id = 0;
    number(m, 3, 0);
    binary(m, 5, "\x09\0\0\0", 4);
    binary(m, 6, "\xfe\xff\xff\xff", 4);
    end(m, 12);
    end(m, 3);
    number(m, 4, file->offset_index);
    number(m, 5, file->offset_index_size);
    if (file->crypto) {
        header(m, 8, THRIFT_STRUCT);
        end(m, 8);
    }
    end(m, 0);
}

static void write_file(struct message *m, const struct file *file)
{
    *m = (struct message){.size = 0};
    number(m, 1, 2);
    list(m, 2, THRIFT_STRUCT, 2);
    m->id = 0;
    binary(m, 4, "schema", 6);
    number(m, 5, 1);
    end(m, 0);
    number(m, 1, PARQUET_INT32);
    number(m, 3, PARQUET_REQUIRED);
    binary(m, 4, "x", 1);
    end(m, 2);
    number(m, 3, file->rows);
    list(m, 4, THRIFT_STRUCT, 1);
    m->id = 0;
    list(m, 1, THRIFT_STRUCT, file->two_chunks ? 2 : 1);
    write_chunk(m, file);
    if (file->two_chunks) write_chunk(m, file);
    m->id = 1;
    number(m, 2, 120);
    if (!file->no_group_rows) number(m, 3, file->group_rows);
    end(m, 4);
    list(m, 5, THRIFT_STRUCT, 1);
    m->id = 0;
    binary(m, 1, "key", 3);
    binary(m, 2, "value", 5);
    end(m, 5);
    binary(m, 6, "by hand", 7);
    if (!file->no_orders) {
        list(m, 7, THRIFT_STRUCT, 1);
        m->id = 0;
        header(m, 1, THRIFT_STRUCT);
        end(m, 1);
        end(m, 7);
    }
    if (file->encrypted) {
        header(m, 8, THRIFT_STRUCT);
        end(m, 8);
    }
    end(m, 0);
}

static int read_footer(const struct message *m, size_t size, struct arena *arena,
                       struct parquet_metadata *metadata, struct schema **schema)
{
    struct node *nodes;
    *metadata = (struct parquet_metadata){.file_size = FILE_BYTES, .footer_size = size};
    return parquet_metadata_read(slice_make(m->bytes, size), arena, metadata, schema, &nodes);
}

static void a_footer_says_what_was_written(void **state)
{
    (void)state;
    struct message m;
    struct arena arena = ARENA_EMPTY;
    struct parquet_metadata metadata;
    struct schema *schema;
    write_file(&m, &good_file);
    assert_ok(read_footer(&m, m.size, &arena, &metadata, &schema));
    memset(&m, 0xee, sizeof(m)); /* nothing points into the message */
    assert_int_equal(metadata.version, 2);
    assert_int_equal(metadata.n_rows, 7);
    assert_true(slice_equal_text(metadata.created_by, "by hand"));
    assert_int_equal(metadata.n_key_values, 1);
    assert_true(slice_equal_text(metadata.key_values[0].key, "key"));
    assert_true(slice_equal_text(metadata.key_values[0].value, "value"));
    assert_int_equal(metadata.n_leaves, 1);
    assert_int_equal(metadata.n_row_groups, 1);
    const struct parquet_chunk *chunk = &metadata.row_groups[0].chunks[0];
    assert_int_equal(chunk->codec, PARQUET_ZSTD);
    assert_int_equal(chunk->encodings, 1 << PARQUET_PLAIN | 1 << PARQUET_RLE_DICTIONARY);
    assert_int_equal(chunk->n_values, 7);
    assert_int_equal(chunk->start, 4);
    assert_int_equal(chunk->data_page_offset, 40);
    assert_int_equal(chunk->dictionary_page_offset, 4);
    assert_int_equal(chunk->compressed_bytes, 100);
    assert_int_equal(chunk->uncompressed_bytes, 120);
    assert_int_equal(chunk->offset_index_offset, 200);
    assert_int_equal(chunk->offset_index_size, 30);
    assert_int_equal(chunk->column_index_size, 0);
    assert_true(chunk->statistics.has_min && chunk->statistics.has_max);
    assert_true(chunk->statistics.has_null_count && !chunk->statistics.has_distinct_count);
    struct value value;
    assert_ok(parquet_statistic_value(&metadata.leaves[0], chunk->statistics.min, &arena, &value));
    assert_int_equal(value.integer, -2);
    assert_ok(parquet_statistic_value(&metadata.leaves[0], chunk->statistics.max, &arena, &value));
    assert_int_equal(value.integer, 9);
    schema_release(schema);
    arena_free(&arena);
}

static void a_footer_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct message m;
    write_file(&m, &good_file);
    for (size_t size = 0; size < m.size; size++) {
        struct arena arena = ARENA_EMPTY;
        struct parquet_metadata metadata;
        struct schema *schema;
        assert_fails(read_footer(&m, size, &arena, &metadata, &schema), GLIS_ECORRUPT, NULL);
        assert_null(schema);
        arena_free(&arena);
    }
}

static void numbers_that_contradict_the_file_are_refused(void **state)
{
    (void)state;
    enum { CASES = 17 };
    struct {
        struct file file;
        int code;
        const char *text;
    } cases[CASES];
    for (int i = 0; i < CASES; i++)
        cases[i].file = good_file, cases[i].code = GLIS_ECORRUPT;
    int n = 0;
    cases[n].file.rows = 8, cases[n++].text = "the file 8";
    cases[n].file.rows = -1, cases[n++].text = "negative";
    cases[n].file.group_rows = -7, cases[n++].text = "negative";
    cases[n].file.group_rows = 6, cases[n++].text = "7 values in 6 rows";
    cases[n].file.values = 8, cases[n++].text = "8 values in 7 rows";
    cases[n].file.values = -1, cases[n++].text = "negative";
    cases[n].file.compressed = FILE_BYTES - 3, cases[n++].text = "inside of the file";
    cases[n].file.compressed = INT64_MAX, cases[n++].text = "inside of the file";
    cases[n].file.data = FILE_BYTES + 1, cases[n++].text = "inside of the file";
    cases[n].file.uncompressed = -5, cases[n++].text = "negative";
    cases[n].file.offset_index = FILE_BYTES - 29, cases[n++].text = "offset index";
    cases[n].file.physical = PARQUET_INT64, cases[n++].text = "physical type";
    cases[n].file.no_group_rows = true, cases[n++].text = "lacks a field";
    cases[n].file.two_chunks = true, cases[n++].text = "2 chunks for 1";
    cases[n].file.encrypted = true, cases[n].text = "encrypted",
    cases[n++].code = GLIS_EUNSUPPORTED;
    cases[n].file.crypto = true, cases[n].text = "encrypted", cases[n++].code = GLIS_EUNSUPPORTED;
    cases[n].file.elsewhere = true, cases[n].text = "another file",
    cases[n++].code = GLIS_EUNSUPPORTED;
    assert_int_equal(n, CASES);
    for (int i = 0; i < CASES; i++) {
        struct message m;
        struct arena arena = ARENA_EMPTY;
        struct parquet_metadata metadata;
        struct schema *schema;
        write_file(&m, &cases[i].file);
        assert_fails(read_footer(&m, m.size, &arena, &metadata, &schema), cases[i].code,
                     cases[i].text);
        assert_null(schema);
        arena_free(&arena);
    }
}

static void a_dictionary_that_cannot_be_is_none(void **state)
{
    (void)state;
    static const int64_t offsets[] = {0, 40, 41};
    for (int i = 0; i < 3; i++) {
        struct message m;
        struct arena arena = ARENA_EMPTY;
        struct parquet_metadata metadata;
        struct schema *schema;
        struct file file = good_file;
        file.dictionary = offsets[i];
        write_file(&m, &file);
        assert_ok(read_footer(&m, m.size, &arena, &metadata, &schema));
        assert_int_equal(metadata.row_groups[0].chunks[0].dictionary_page_offset, 0);
        assert_int_equal(metadata.row_groups[0].chunks[0].start, 40);
        schema_release(schema);
        arena_free(&arena);
    }
}

/* ---- statistics ---- */

static const struct type type_int = {.kind = TYPE_INT32}, type_uint = {.kind = TYPE_UINT32},
                         type_text = {.kind = TYPE_STRING}, type_double = {.kind = TYPE_DOUBLE},
                         type_int8 = {.kind = TYPE_INT8}, type_half = {.kind = TYPE_FLOAT16},
                         type_decimal = {.kind = TYPE_DECIMAL, .precision = 20, .scale = 2},
                         type_wide = {.kind = TYPE_DECIMAL256, .precision = 40},
                         type_bool = {.kind = TYPE_BOOLEAN},
                         type_time = {.kind = TYPE_TIMESTAMP, .unit = UNIT_NANO};

static struct parquet_leaf leaf_of(enum parquet_type physical, const struct type *type,
                                   uint32_t length)
{
    return (struct parquet_leaf){
        .type = physical, .leaf_type = type, .type_length = length, .path = SLICE("x")};
}

static void deprecated_bounds_hold_for_signed_orders_only(void **state)
{
    (void)state;
    static const struct {
        enum parquet_type physical;
        const struct type *type;
        bool kept;
    } cases[] = {
        {PARQUET_INT32, &type_int, true},           {PARQUET_INT32, &type_uint, false},
        {PARQUET_INT32, &type_decimal, true},       {PARQUET_BYTE_ARRAY, &type_text, false},
        {PARQUET_BYTE_ARRAY, &type_decimal, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parquet_leaf leaf = leaf_of(cases[i].physical, cases[i].type, 0);
        for (int is_new = 0; is_new < 2; is_new++) {
            struct message m = {.size = 0};
            struct parquet_statistics statistics;
            binary(&m, is_new ? 5 : 1, "\5\0\0\0", 4);
            binary(&m, is_new ? 6 : 2, "\1\0\0\0", 4);
            if (is_new) header(&m, 7, THRIFT_FALSE);
            end(&m, 0);
            struct thrift_cursor cursor = {m.bytes, m.bytes + m.size};
            assert_ok(parquet_statistics_read(&cursor, THRIFT_STRUCT, &leaf, &statistics));
            assert_int_equal(statistics.has_min, is_new || cases[i].kept);
            assert_int_equal(statistics.has_max, is_new || cases[i].kept);
            assert_int_equal(statistics.max_exact, !is_new);
            assert_true(statistics.min_exact);
        }
    }
}

static void bounds_without_a_place_in_the_order_are_dropped(void **state)
{
    (void)state;
    static const struct {
        enum parquet_type physical;
        const struct type *type;
        uint32_t length;
        const char *bytes;
        size_t size;
        bool kept, exact;
    } cases[] = {
        {PARQUET_INT32, &type_int, 0, "\1\0\0\0", 4, true, true},
        {PARQUET_INT32, &type_int, 0, "\1\0\0", 3, false, true},
        {PARQUET_INT32, &type_int8, 0, "\x2c\1\0\0", 4, false, true},
        {PARQUET_DOUBLE, &type_double, 0, "\0\0\0\0\0\0\xf8\x7f", 8, false, true},
        {PARQUET_DOUBLE, &type_double, 0, "\0\0\0\0\0\0\xf0\x7f", 8, true, true},
        {PARQUET_DOUBLE, &type_double, 0, "\0\0\0\0\0\0\0\0", 8, true, false},
        {PARQUET_FIXED_LEN_BYTE_ARRAY, &type_half, 2, "\1\x7e", 2, false, true},
        {PARQUET_FIXED_LEN_BYTE_ARRAY, &type_half, 2, "\0\x3c", 2, true, true},
        {PARQUET_INT96, &type_time, 0, "\0\0\0\0\0\0\0\0\x8c\x3d\x25\0", 12, false, true},
        {PARQUET_BYTE_ARRAY, &type_decimal, 0, "", 0, false, true},
        {PARQUET_BYTE_ARRAY, &type_text, 0, "", 0, true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parquet_leaf leaf = leaf_of(cases[i].physical, cases[i].type, cases[i].length);
        struct slice plain = slice_make(cases[i].bytes, cases[i].size);
        bool exact = true;
        assert_int_equal(parquet_statistic_bound(&leaf, false, &plain, &exact), cases[i].kept);
        assert_int_equal(exact, cases[i].exact);
    }
}

static void plain_bytes_become_values(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    struct value value;
    struct parquet_leaf leaf = leaf_of(PARQUET_INT32, &type_uint, 0);
    assert_ok(parquet_statistic_value(&leaf, slice_make("\xff\xff\xff\xff", 4), &arena, &value));
    assert_int_equal(value.integer, UINT32_MAX);
    leaf = leaf_of(PARQUET_BOOLEAN, &type_bool, 0);
    assert_ok(parquet_statistic_value(&leaf, slice_make("\1", 1), &arena, &value));
    assert_int_equal(value.integer, 1);
    /* -150 and -1 with the sign in front; 2^127 does not fit into 16 bytes. */
    leaf = leaf_of(PARQUET_BYTE_ARRAY, &type_decimal, 0);
    assert_ok(parquet_statistic_value(&leaf, slice_make("\xff\x6a", 2), &arena, &value));
    assert_true(value.decimal == -150);
    assert_ok(parquet_statistic_value(
        &leaf,
        slice_make("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 18),
        &arena, &value));
    assert_true(value.decimal == -1);
    assert_fails(parquet_statistic_value(
                     &leaf, slice_make("\0\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 17), &arena, &value),
                 GLIS_ECORRUPT, "too large");
    leaf = leaf_of(PARQUET_FIXED_LEN_BYTE_ARRAY, &type_wide, 3);
    assert_ok(parquet_statistic_value(&leaf, slice_make("\xff\1\2", 3), &arena, &value));
    assert_int_equal(value.bytes.size, 32);
    assert_memory_equal(value.bytes.data, "\2\1\xff\xff\xff\xff\xff\xff", 8);
    assert_int_equal((uint8_t)value.bytes.data[31], 0xff);
    assert_fails(parquet_statistic_value(&leaf, slice_make("\1\2", 2), &arena, &value),
                 GLIS_ECORRUPT, "2 bytes");
    leaf = leaf_of(PARQUET_FIXED_LEN_BYTE_ARRAY, &type_half, 2);
    assert_ok(parquet_statistic_value(&leaf, slice_make("\0\xc1", 2), &arena, &value));
    assert_true(value.real == -2.5);
    /* 1970-01-02 is Julian day 2440589. */
    leaf = leaf_of(PARQUET_INT96, &type_time, 0);
    assert_ok(parquet_statistic_value(&leaf, slice_make("\x88\x13\0\0\0\0\0\0\x8d\x3d\x25\0", 12),
                                      &arena, &value));
    assert_true(value.integer == INT64_C(86400000005));
    arena_free(&arena);
}

/* ---- page indexes ---- */

struct index_page {
    int64_t offset, size, row;
    const char *min, *max; /* 4 bytes; NULL: a page of nulls */
    int64_t nulls;
};

struct index_case {
    const char *text; /* NULL: fine */
    struct index_page pages[2];
    int order;
    unsigned column_pages;
};

#define ONE  "\1\0\0\0"
#define FIVE "\5\0\0\0"
#define NINE "\x09\0\0\0"

static int read_index(const struct index_case *test, struct arena *arena,
                      struct parquet_page_index *index)
{
    struct message offsets = {.size = 0}, column = {.size = 0};
    list(&offsets, 1, THRIFT_STRUCT, 2);
    for (int i = 0; i < 2; i++) {
        offsets.id = 0;
        number(&offsets, 1, test->pages[i].offset);
        number(&offsets, 2, test->pages[i].size);
        number(&offsets, 3, test->pages[i].row);
        end(&offsets, 1);
    }
    end(&offsets, 0);
    unsigned n = test->column_pages;
    list(&column, 1, THRIFT_TRUE, n);
    for (unsigned i = 0; i < n; i++)
        put(&column, test->pages[i].min ? 2 : 1);
    for (int field = 2; field < 4; field++) {
        list(&column, field, THRIFT_BINARY, n);
        for (unsigned i = 0; i < n; i++) {
            const char *bound = field == 2 ? test->pages[i].min : test->pages[i].max;
            bytes_of(&column, bound, bound ? 4 : 0);
        }
    }
    number(&column, 4, test->order);
    list(&column, 5, THRIFT_I64, n);
    for (unsigned i = 0; i < n; i++)
        varint(&column, (uint64_t)test->pages[i].nulls << 1);
    end(&column, 0);
    struct parquet_leaf leaf = leaf_of(PARQUET_INT32, &type_int, 0);
    struct parquet_row_group group = {.n_rows = 10};
    struct parquet_chunk chunk = {.start = 4, .compressed_bytes = 100};
    return parquet_page_index_read(slice_make(offsets.bytes, offsets.size),
                                   slice_make(column.bytes, n ? column.size : 0), &group, &chunk,
                                   &leaf, FILE_BYTES, arena, index);
}

static void a_page_index_agrees_with_its_chunk_and_itself(void **state)
{
    (void)state;
    static const struct index_case cases[] = {
        {NULL, {{4, 50, 0, ONE, FIVE, 0}, {54, 50, 6, FIVE, NINE, 1}}, 1, 2},
        {NULL, {{4, 50, 0, FIVE, NINE, 0}, {54, 50, 6, ONE, FIVE, 1}}, 2, 2},
        {NULL, {{4, 50, 0, ONE, FIVE, 0}, {54, 50, 6, NULL, NULL, 4}}, 1, 2},
        {NULL, {{4, 50, 0, NULL, NULL, 0}, {54, 50, 6, NULL, NULL, 0}}, 0, 0},
        {"first row is 1", {{4, 50, 1, ONE, ONE, 0}, {54, 50, 6, ONE, ONE, 0}}, 0, 2},
        {"first row is 0", {{4, 50, 0, ONE, ONE, 0}, {54, 50, 0, ONE, ONE, 0}}, 0, 2},
        {"10 of 10", {{4, 50, 0, ONE, ONE, 0}, {54, 50, 10, ONE, ONE, 0}}, 0, 2},
        {"inside of the chunk", {{3, 50, 0, ONE, ONE, 0}, {54, 50, 6, ONE, ONE, 0}}, 0, 2},
        {"inside of the chunk", {{4, 50, 0, ONE, ONE, 0}, {54, 51, 6, ONE, ONE, 0}}, 0, 2},
        {"inside of the chunk", {{4, 0, 0, ONE, ONE, 0}, {54, 50, 6, ONE, ONE, 0}}, 0, 2},
        {"inside of the chunk", {{-4, 5, 0, ONE, ONE, 0}, {54, 50, 6, ONE, ONE, 0}}, 0, 2},
        {"page before", {{4, 50, 0, ONE, ONE, 0}, {53, 50, 6, ONE, ONE, 0}}, 0, 2},
        {"before another", {{54, 50, 0, ONE, ONE, 0}, {4, 50, 6, ONE, ONE, 0}}, 0, 2},
        {"1 pages of 2", {{4, 50, 0, ONE, ONE, 0}, {54, 50, 6, ONE, ONE, 0}}, 0, 1},
        {"above the maximum", {{4, 50, 0, FIVE, ONE, 0}, {54, 50, 6, ONE, ONE, 0}}, 0, 2},
        {"not in order", {{4, 50, 0, FIVE, NINE, 0}, {54, 50, 6, ONE, FIVE, 0}}, 1, 2},
        {"not in order", {{4, 50, 0, ONE, FIVE, 0}, {54, 50, 6, FIVE, NINE, 0}}, 2, 2},
        {"5 nulls in 4 rows", {{4, 50, 0, ONE, ONE, 0}, {54, 50, 6, ONE, ONE, 5}}, 0, 2},
        {"3 nulls in 4 rows", {{4, 50, 0, ONE, ONE, 0}, {54, 50, 6, NULL, NULL, 3}}, 0, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena = ARENA_EMPTY;
        struct parquet_page_index index;
        int code = read_index(&cases[i], &arena, &index);
        if (cases[i].text) {
            assert_fails(code, GLIS_ECORRUPT, cases[i].text);
        } else {
            assert_ok(code);
            assert_int_equal(index.n_pages, 2);
            assert_int_equal(index.pages[1].first_row, 6);
            assert_int_equal(index.pages[1].offset, 54);
            assert_int_equal(index.has_statistics, cases[i].column_pages == 2);
            assert_int_equal(index.boundary_order, cases[i].order);
        }
        for (unsigned page = 0; !cases[i].text && page < cases[i].column_pages; page++) {
            const struct index_page *expected = &cases[i].pages[page];
            assert_int_equal(index.null_pages[page], expected->min == NULL);
            assert_int_equal(index.statistics[page].has_min, expected->min != NULL);
            assert_int_equal(index.statistics[page].null_count, expected->nulls);
            if (expected->min)
                assert_memory_equal(index.statistics[page].min.data, expected->min, 4);
        }
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_footer_says_what_was_written),
        cmocka_unit_test(a_footer_cut_anywhere_is_refused),
        cmocka_unit_test(numbers_that_contradict_the_file_are_refused),
        cmocka_unit_test(a_dictionary_that_cannot_be_is_none),
        cmocka_unit_test(deprecated_bounds_hold_for_signed_orders_only),
        cmocka_unit_test(bounds_without_a_place_in_the_order_are_dropped),
        cmocka_unit_test(plain_bytes_become_values),
        cmocka_unit_test(a_page_index_agrees_with_its_chunk_and_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
