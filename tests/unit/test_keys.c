/*
 * test_keys.c: the key encoding: bytes at the edges written by hand from its description
 * (docs/formats.md, "Keys"), and, for each type that keys can have and for tuples of them, the
 * order of 100,000 random keys against a comparison of the values themselves that knows nothing of
 * bytes. The same keys are made in all three ways (by value, by row, by batch) and are read back.
 */
#include "column/column.h"
#include "test.h"

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { N_KEYS = 100000, N_FIELDS_MAX = 5, TEXT_MAX = 10 };

static const struct type boolean_type = {.kind = TYPE_BOOLEAN};
static const struct type int_type = {.kind = TYPE_INT32};
static const struct type long_type = {.kind = TYPE_INT64};
static const struct type float_type = {.kind = TYPE_FLOAT};
static const struct type double_type = {.kind = TYPE_DOUBLE};
static const struct type date_type = {.kind = TYPE_DATE};
static const struct type instant_type = {.kind = TYPE_TIMESTAMP, .unit = UNIT_MICRO, .utc = true};
static const struct type string_type = {.kind = TYPE_STRING};
static const struct type bytes_type = {.kind = TYPE_BYTES};

/* ---- bytes ---- */

#define INTEGER(type_, integer_, bytes_)                                                  \
    {                                                                                     \
        &(type_), {.kind = TYPE_INT64, .integer = (integer_)}, bytes_, sizeof(bytes_) - 1 \
    }
#define REAL(type_, real_, bytes_)                                                   \
    {                                                                                \
        &(type_), {.kind = TYPE_DOUBLE, .real = (real_)}, bytes_, sizeof(bytes_) - 1 \
    }
#define DECIMAL(precision_, unscaled_, bytes_)                                         \
    {                                                                                  \
        &(const struct type){TYPE_DECIMAL, .precision = (precision_)},                 \
            {.kind = TYPE_DECIMAL, .decimal = (unscaled_)}, bytes_, sizeof(bytes_) - 1 \
    }
#define TEXT(type_, text_, bytes_)                                                             \
    {                                                                                          \
        &(type_), {.kind = TYPE_BYTES, .bytes = {.data = (text_), .size = sizeof(text_) - 1}}, \
            bytes_, sizeof(bytes_) - 1                                                         \
    }

/* 10^38 - 1 is 4B3B4CA85A86C47A098A223FFFFFFFFF; 2^127 of the sign is added to it. */
static const int128 nines = ((int128)0x4B3B4CA85A86C47A << 64) | 0x098A223FFFFFFFFF;

static void edges_have_the_bytes_of_the_description(void **state)
{
    (void)state;
    const struct {
        const struct type *type;
        struct value value;
        const char *bytes;
        size_t size;
    } cases[] = {
        INTEGER(boolean_type, 0, "\0"),
        INTEGER(boolean_type, 1, "\x01"),
        INTEGER(int_type, INT32_MIN, "\0\0\0\0"),
        INTEGER(int_type, INT32_MIN + 1, "\0\0\0\x01"),
        INTEGER(int_type, -256, "\x7f\xff\xff\0"),
        INTEGER(int_type, -1, "\x7f\xff\xff\xff"),
        INTEGER(int_type, 0, "\x80\0\0\0"),
        INTEGER(int_type, 1, "\x80\0\0\x01"),
        INTEGER(int_type, 0x01020304, "\x81\x02\x03\x04"),
        INTEGER(int_type, INT32_MAX, "\xff\xff\xff\xff"),
        INTEGER(date_type, -1, "\x7f\xff\xff\xff"),
        INTEGER(date_type, 20778, "\x80\0\x51\x2a"), /* 2026-11-21 */
        INTEGER(long_type, INT64_MIN, "\0\0\0\0\0\0\0\0"),
        INTEGER(long_type, -1, "\x7f\xff\xff\xff\xff\xff\xff\xff"),
        INTEGER(long_type, 0, "\x80\0\0\0\0\0\0\0"),
        INTEGER(long_type, 1, "\x80\0\0\0\0\0\0\x01"),
        INTEGER(long_type, INT64_C(0x0102030405060708), "\x81\x02\x03\x04\x05\x06\x07\x08"),
        INTEGER(long_type, INT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff"),
        INTEGER(instant_type, -1, "\x7f\xff\xff\xff\xff\xff\xff\xff"),
        INTEGER(instant_type, 1000000, "\x80\0\0\0\0\x0f\x42\x40"),
        REAL(float_type, -(double)INFINITY, "\0\x7f\xff\xff"),
        REAL(float_type, -(double)0x1.fffffeP127F, "\0\x80\0\0"),
        REAL(float_type, -1.0, "\x40\x7f\xff\xff"),
        REAL(float_type, -0x1p-149, "\x7f\xff\xff\xfe"),
        REAL(float_type, -0.0, "\x80\0\0\0"),
        REAL(float_type, 0.0, "\x80\0\0\0"),
        REAL(float_type, 0x1p-149, "\x80\0\0\x01"),
        REAL(float_type, 1.0, "\xbf\x80\0\0"),
        REAL(float_type, (double)INFINITY, "\xff\x80\0\0"),
        REAL(double_type, -(double)INFINITY, "\0\x0f\xff\xff\xff\xff\xff\xff"),
        REAL(double_type, -2.0, "\x3f\xff\xff\xff\xff\xff\xff\xff"),
        REAL(double_type, -0x1p-1074, "\x7f\xff\xff\xff\xff\xff\xff\xfe"),
        REAL(double_type, -0.0, "\x80\0\0\0\0\0\0\0"),
        REAL(double_type, 0.0, "\x80\0\0\0\0\0\0\0"),
        REAL(double_type, 0x1p-1074, "\x80\0\0\0\0\0\0\x01"),
        REAL(double_type, 1.0, "\xbf\xf0\0\0\0\0\0\0"),
        REAL(double_type, (double)INFINITY, "\xff\xf0\0\0\0\0\0\0"),
        DECIMAL(1, -9, "\x7f\xff\xff\xf7"),
        DECIMAL(9, -1, "\x7f\xff\xff\xff"),
        DECIMAL(9, 999999999, "\xbb\x9a\xc9\xff"),
        DECIMAL(10, -1, "\x7f\xff\xff\xff\xff\xff\xff\xff"),
        DECIMAL(18, INT64_C(999999999999999999), "\x8d\xe0\xb6\xb3\xa7\x63\xff\xff"),
        DECIMAL(19, 0, "\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        DECIMAL(38, -1, "\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        DECIMAL(38, nines, "\xcb\x3b\x4c\xa8\x5a\x86\xc4\x7a\x09\x8a\x22\x3f\xff\xff\xff\xff"),
        DECIMAL(38, -nines, "\x34\xc4\xb3\x57\xa5\x79\x3b\x85\xf6\x75\xdd\xc0\0\0\0\x01"),
        TEXT(string_type, "", "\0\0"),
        TEXT(string_type, "a", "a\0\0"),
        TEXT(string_type, "\0", "\0\xff\0\0"),
        TEXT(string_type, "a\0b",
             "a\0\xff"
             "b\0\0"),
        TEXT(string_type, "\xc3\xa9", "\xc3\xa9\0\0"),
        TEXT(bytes_type, "\0\0", "\0\xff\0\xff\0\0"),
        TEXT(bytes_type, "\xff", "\xff\0\0"),
        TEXT(bytes_type, "\0\xff\0", "\0\xff\xff\0\xff\0\0"),
    };
    struct buffer key defer_buffer = BUFFER_INIT(1024);
    for (size_t i = 0; i < COUNT(cases); i++) {
        buffer_clear(&key);
        assert_ok(key_append_value(cases[i].type, &cases[i].value, &key));
        if (key.size != cases[i].size || memcmp(key.data, cases[i].bytes, key.size) != 0)
            fail_msg("edge %zu has other bytes", i);
    }
}

static void nulls_and_what_is_no_number_are_no_keys(void **state)
{
    (void)state;
    struct buffer key defer_buffer = BUFFER_INIT(64);
    struct value nan = value_real(TYPE_DOUBLE, (double)NAN), none = value_null(TYPE_INT32);
    struct value text = value_null(TYPE_STRING);
    assert_fails(key_append_value(&double_type, &nan, &key), GLIS_EDATA, "NaN");
    nan.kind = TYPE_FLOAT;
    assert_fails(key_append_value(&float_type, &nan, &key), GLIS_EDATA, "NaN");
    assert_fails(key_append_value(&int_type, &none, &key), GLIS_EDATA, "null");
    assert_fails(key_append_value(&string_type, &text, &key), GLIS_EDATA, "null");
    assert_int_equal(key.size, 0);
}

/* ---- order ---- */

/* One value in a form of the test's own. */
struct cell {
    int128 whole;
    double real;
    uint8_t text[TEXT_MAX];
    size_t size;
};

static int compare_cells(const struct type *type, const struct cell *a, const struct cell *b)
{
    if (type->kind == TYPE_FLOAT || type->kind == TYPE_DOUBLE)
        return a->real < b->real ? -1 : a->real > b->real;
    if (type->kind != TYPE_STRING && type->kind != TYPE_BYTES)
        return a->whole < b->whole ? -1 : a->whole > b->whole;
    for (size_t i = 0; i < a->size && i < b->size; i++)
        if (a->text[i] != b->text[i]) return a->text[i] < b->text[i] ? -1 : 1;
    return a->size < b->size ? -1 : a->size > b->size;
}

static struct value cell_value(const struct type *type, const struct cell *cell)
{
    switch (type->kind) {
    case TYPE_FLOAT:
    case TYPE_DOUBLE: return value_real(type->kind, cell->real);
    case TYPE_DECIMAL: return value_decimal(cell->whole);
    case TYPE_STRING:
    case TYPE_BYTES: return value_bytes(type->kind, slice_make(cell->text, cell->size));
    default: return value_integer(type->kind, (int64_t)cell->whole);
    }
}

/* Of all magnitudes alike, both signs. */
static int128 random_whole(struct random *random, unsigned bits)
{
    unsigned __int128 wide = (unsigned __int128)random_u64(random) << 64 | random_u64(random);
    unsigned keep = (unsigned)random_below(random, bits);
    int128 whole = keep ? (int128)(wide >> (128 - keep)) : 0;
    return random_below(random, 2) ? -whole - (int128)random_below(random, 2) : whole;
}

static double random_real(struct random *random, bool narrow)
{
    static const double edges[] = {0.0, -0.0, 1.0, -1.0, 0x1p-149, -0x1p-149};
    double real = (double)NAN;
    if (random_below(random, 8) == 0) return edges[random_below(random, COUNT(edges))];
    if (random_below(random, 64) == 0) return random_below(random, 2) ? INFINITY : -INFINITY;
    while (isnan(real)) {
        uint64_t bits = random_u64(random);
        uint32_t half = (uint32_t)bits;
        float small;
        memcpy(&small, &half, 4);
        memcpy(&real, &bits, 8);
        if (narrow) real = (double)small;
    }
    return real;
}

static void random_cell(const struct type *type, struct random *random, struct cell *out)
{
    static const uint8_t bytes[] = {0, 0, 1, 0xfe, 0xff, 'a'};
    static const uint8_t ascii[] = {0, 0, 1, 'a', 'b', 0x7f};
    *out = (struct cell){.whole = 0};
    switch (type->kind) {
    case TYPE_BOOLEAN: out->whole = (int)random_below(random, 2); break;
    case TYPE_INT32:
    case TYPE_DATE: out->whole = random_whole(random, 32); break;
    case TYPE_INT64:
    case TYPE_TIMESTAMP: out->whole = random_whole(random, 64); break;
    case TYPE_DECIMAL: {
        int128 limit = 1;
        for (unsigned i = 0; i < type->precision; i++)
            limit *= 10;
        out->whole = random_whole(random, 128) % limit;
        break;
    }
    case TYPE_FLOAT:
    case TYPE_DOUBLE: out->real = random_real(random, type->kind == TYPE_FLOAT); break;
    default:
        out->size = random_below(random, TEXT_MAX + 1);
        for (size_t i = 0; i < out->size; i++)
            out->text[i] = type->kind == TYPE_STRING ? ascii[random_below(random, 6)]
                                                     : bytes[random_below(random, 6)];
    }
}

struct tuple {
    struct cell cells[N_FIELDS_MAX];
};

static int compare_tuples(const struct schema *schema, const struct tuple *a, const struct tuple *b)
{
    for (uint32_t f = 0; f < schema->n_fields; f++) {
        int c = compare_cells(&schema->fields[f].type, &a->cells[f], &b->cells[f]);
        if (c) return c;
    }
    return 0;
}

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

static void check_back(const struct schema *schema, struct slice key, const struct tuple *tuple)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct value values[N_FIELDS_MAX];
    size_t size;
    assert_ok(key_fields_size(schema, key, schema->n_fields, &size));
    assert_int_equal(size, key.size);
    assert_ok(key_decode(schema, key, schema->n_fields, &arena, values));
    for (uint32_t f = 0; f < schema->n_fields; f++) {
        const struct type *type = &schema->fields[f].type;
        struct cell cell = {.whole = values[f].integer, .real = values[f].real};
        if (type->kind == TYPE_DECIMAL) cell.whole = values[f].decimal;
        if (type->kind == TYPE_STRING || type->kind == TYPE_BYTES) {
            cell.size = values[f].bytes.size;
            assert_true(cell.size <= TEXT_MAX);
            memcpy(cell.text, values[f].bytes.data, cell.size);
        }
        if (values[f].kind != type->kind || values[f].is_null ||
            compare_cells(type, &cell, &tuple->cells[f]) != 0)
            fail_msg("field %u comes back as another value", f);
        if (type->kind == TYPE_FLOAT || type->kind == TYPE_DOUBLE)
            assert_false(values[f].real == 0 && signbit(values[f].real)); /* stored as 0 */
    }
}

/* Keys of a schema's fields: their order, their ways of being made, and back. Every second one
 * begins as the one before it does, so that later fields have something to decide. */
static void check_keys(const struct schema *schema, uint64_t seed)
{
    struct random *random = random_seeded_new(seed);
    struct tuple *tuples = memory_alloc_zero(N_KEYS * sizeof *tuples);
    struct batch_builder *builder;
    struct batch *batch;
    struct keys keys;
    struct buffer other defer_buffer = BUFFER_INIT(1024);
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (int i = 0; i < N_KEYS; i++) {
        uint32_t same = i & 1 ? (uint32_t)random_below(random, schema->n_fields + 1) : 0;
        if (same) tuples[i] = tuples[i - 1];
        for (uint32_t f = same; f < schema->n_fields; f++)
            random_cell(&schema->fields[f].type, random, &tuples[i].cells[f]);
        for (uint32_t f = 0; f < schema->n_fields; f++) {
            struct value value = cell_value(&schema->fields[f].type, &tuples[i].cells[f]);
            assert_ok(column_builder_append_value(batch_builder_column(builder, f), &value));
        }
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    assert_ok(batch_validate(batch, true));
    assert_ok(keys_encode(&keys, batch, schema->n_fields, NULL));
    int equal = 0;
    for (int i = 0; i < N_KEYS; i++) {
        struct slice key = keys_get(&keys, i);
        int before = i ? i - 1 : (int)random_below(random, N_KEYS);
        for (int pair = 0; pair < 2; pair++) {
            struct slice second = keys_get(&keys, before);
            int expected = compare_tuples(schema, &tuples[i], &tuples[before]);
            if (sign(slice_compare(key, second)) != expected)
                fail_msg("keys %d and %d are in another order", i, before);
            int prefixes = (keys_prefix(&keys, i) > keys_prefix(&keys, before)) -
                           (keys_prefix(&keys, i) < keys_prefix(&keys, before));
            if (prefixes && prefixes != expected) fail_msg("the prefix of key %d misleads", i);
            equal += expected == 0;
            before = (int)random_below(random, N_KEYS);
        }
        assert_true(keys_prefix(&keys, i) == key_prefix(key));
        check_back(schema, key, &tuples[i]);
        buffer_clear(&other);
        assert_ok(key_append_row(batch, i, schema->n_fields, &other));
        assert_true(slice_equal(key, buffer_slice(&other)));
        struct value values[N_FIELDS_MAX];
        for (uint32_t f = 0; f < schema->n_fields; f++)
            values[f] = cell_value(&schema->fields[f].type, &tuples[i].cells[f]);
        buffer_clear(&other);
        assert_ok(key_append(schema, values, schema->n_fields, &other));
        assert_true(slice_equal(key, buffer_slice(&other)));
    }
    assert_true(equal > 0); /* the table of random keys holds equal ones too */
    keys_free(&keys);
    batch_release(batch);
    batch_builder_free(builder);
    random_seeded_free(random);
    free(tuples);
}

static struct schema *schema_of(const struct type *types, uint32_t n)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct field fields[N_FIELDS_MAX];
    struct schema *schema;
    for (uint32_t i = 0; i < n; i++)
        fields[i] = (struct field){slice_from_text(names[i]), types[i], false};
    assert_ok(schema_new(&schema, fields, n, n, 0));
    return schema;
}

#define DECIMAL_TYPE(precision_, scale_)                                   \
    {                                                                      \
        .kind = TYPE_DECIMAL, .precision = (precision_), .scale = (scale_) \
    }

static void each_type_sorts_as_its_values(void **state)
{
    (void)state;
    const struct type types[] = {
        boolean_type,
        int_type,
        long_type,
        float_type,
        double_type,
        date_type,
        instant_type,
        string_type,
        bytes_type,
        DECIMAL_TYPE(1, 0),
        DECIMAL_TYPE(9, 2),
        DECIMAL_TYPE(10, 10),
        DECIMAL_TYPE(18, 5),
        DECIMAL_TYPE(19, 0),
        DECIMAL_TYPE(38, 20),
    };
    for (size_t i = 0; i < COUNT(types); i++) {
        struct schema *schema = schema_of(&types[i], 1);
        check_keys(schema, i + 1);
        schema_release(schema);
    }
}

static void tuples_sort_field_by_field(void **state)
{
    (void)state;
    const struct type decimal = DECIMAL_TYPE(20, 3);
    const struct {
        uint32_t n;
        struct type types[N_FIELDS_MAX];
    } cases[] = {
        {2, {string_type, string_type}},
        {2, {boolean_type, bytes_type}},
        {3, {bytes_type, int_type, bytes_type}},
        {3, {int_type, double_type, date_type}},
        {5, {boolean_type, string_type, decimal, float_type, instant_type}},
        {5, {long_type, bytes_type, string_type, boolean_type, double_type}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct schema *schema = schema_of(cases[i].types, cases[i].n);
        check_keys(schema, 100 + i);
        schema_release(schema);
    }
}

/* ---- what is refused ---- */

static void other_types_are_no_keys(void **state)
{
    (void)state;
    static const struct type types[] = {
        {.kind = TYPE_NULL},
        {.kind = TYPE_INT8},
        {.kind = TYPE_INT16},
        {.kind = TYPE_UINT8},
        {.kind = TYPE_UINT16},
        {.kind = TYPE_UINT32},
        {.kind = TYPE_UINT64},
        {.kind = TYPE_FLOAT16},
        {.kind = TYPE_TIME, .unit = UNIT_MICRO},
        {.kind = TYPE_TIMESTAMP, .unit = UNIT_NANO, .utc = true},
        {.kind = TYPE_TIMESTAMP, .unit = UNIT_MICRO, .utc = false},
        {.kind = TYPE_DECIMAL256, .precision = 40},
        {.kind = TYPE_FIXED_BYTES, .width = 4},
        {.kind = TYPE_INTERVAL},
    };
    for (size_t i = 0; i < COUNT(types); i++) {
        struct schema *schema = schema_of(&types[i], 1);
        struct batch_builder *builder;
        struct batch *batch;
        struct keys keys;
        assert_ok(batch_builder_new(&builder, schema, NULL));
        assert_ok(batch_builder_finish(builder, &batch));
        assert_fails(keys_encode(&keys, batch, 1, NULL), GLIS_EINVALID, "'a'");
        batch_release(batch);
        batch_builder_free(builder);
        schema_release(schema);
    }
}

static void bad_keys_of_a_batch_are_named(void **state)
{
    (void)state;
    struct field fields[] = {{SLICE("x"), double_type, true}, {SLICE("s"), string_type, true}};
    struct schema *schema;
    struct batch_builder *builder;
    struct budget small;
    static char long_text[KEY_BYTES_MAX];
    static const char *const expected[] = {
        "'x', row 1: a key cannot be NaN", "'x', row 1: a key cannot be null",
        "'s', row 1: a key cannot be null", "'s', row 1: a key of more than 32768 bytes"};
    memset(long_text, 'k', sizeof long_text);
    assert_ok(schema_new(&schema, fields, 2, 0, 0));
    for (int c = 0; c < 6; c++) {
        struct value x[2] = {value_real(TYPE_DOUBLE, 1.5), value_real(TYPE_DOUBLE, 2.5)};
        struct value s[2] = {value_bytes(TYPE_STRING, SLICE("a")),
                             value_bytes(TYPE_STRING, SLICE(""))};
        struct batch *batch;
        struct keys keys;
        if (c == 0) x[1].real = (double)NAN;
        if (c == 1) x[1].is_null = true;
        if (c == 2) s[1].is_null = true;
        if (c == 3) s[1].bytes = slice_make(long_text, KEY_BYTES_MAX - 9);
        if (c == 4) s[1].bytes = slice_make(long_text, KEY_BYTES_MAX - 10); /* the longest */
        assert_ok(batch_builder_new(&builder, schema, NULL));
        for (int row = 0; row < 2; row++) {
            assert_ok(column_builder_append_value(batch_builder_column(builder, 0), &x[row]));
            assert_ok(column_builder_append_value(batch_builder_column(builder, 1), &s[row]));
            assert_ok(batch_builder_end_row(builder));
        }
        assert_ok(batch_builder_finish(builder, &batch));
        budget_init(&small, "test memory", c == 5 ? 16 : 1 << 20, "raise it", NULL);
        if (c == 4) {
            assert_ok(keys_encode(&keys, batch, 2, &small));
            assert_int_equal(keys_get(&keys, 1).size, KEY_BYTES_MAX);
            keys_free(&keys);
        } else {
            assert_fails(keys_encode(&keys, batch, 2, &small), c < 4 ? GLIS_EDATA : GLIS_ENOMEM,
                         c < 4 ? expected[c] : "test memory");
        }
        assert_int_equal(budget_used(&small), 0);
        batch_release(batch);
        batch_builder_free(builder);
    }
    schema_release(schema);
}

static void what_is_no_encoding_is_refused(void **state)
{
    (void)state;
    const struct {
        struct type types[2];
        uint32_t n;
        struct slice bytes;
    } cases[] = {
        {{int_type}, 1, SLICE("")},
        {{int_type}, 1, SLICE("\x80\0\0")},
        {{int_type}, 1, SLICE("\x80\0\0\0\0")},
        {{boolean_type}, 1, SLICE("\x02")},
        {{double_type}, 1, SLICE("\xff\xff\xff\xff\xff\xff\xff\xff")}, /* NaN */
        {{float_type}, 1, SLICE("\0\0\0\0")},                          /* -NaN */
        {{float_type}, 1, SLICE("\x7f\xff\xff\xff")},                  /* -0 */
        {{string_type}, 1, SLICE("")},
        {{string_type}, 1, SLICE("ab")},
        {{string_type}, 1, SLICE("ab\0")},
        {{string_type}, 1, SLICE("ab\0\x01\0\0")},
        {{string_type}, 1, SLICE("ab\0\xff\0")},
        {{string_type}, 1, SLICE("ab\0\0c")},
        {{string_type, int_type}, 2, SLICE("ab\0\0\x80\0\0")},
        {{int_type, bytes_type}, 2, SLICE("\x80\0\0\0")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct schema *schema = schema_of(cases[i].types, cases[i].n);
        struct value values[2];
        int code = key_decode(schema, cases[i].bytes, cases[i].n, &arena, values);
        if (code != GLIS_ECORRUPT) fail_msg("case %zu is decoded", i);
        schema_release(schema);
    }
}

static void a_prefix_has_a_successor_unless_it_is_all_ff(void **state)
{
    (void)state;
    const struct {
        struct slice prefix, successor;
    } cases[] = {
        {SLICE("a"), SLICE("b")},         {SLICE("a\xff"), SLICE("b")},
        {SLICE("\0"), SLICE("\x01")},     {SLICE("a\0\0"), SLICE("a\0\x01")},
        {SLICE(""), SLICE_EMPTY},         {SLICE("\xff"), SLICE_EMPTY},
        {SLICE("\xff\xff"), SLICE_EMPTY}, {SLICE("\xfe\xff\xff"), SLICE("\xff")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice out;
        bool is = key_successor(cases[i].prefix, &arena, &out);
        assert_int_equal(is, cases[i].successor.size > 0);
        if (is) assert_true(slice_equal(out, cases[i].successor));
    }
}

static void keys_of_slices_and_of_no_rows(void **state)
{
    (void)state;
    const struct type types[] = {string_type, boolean_type, int_type};
    struct schema *schema = schema_of(types, 3);
    struct batch_builder *builder;
    struct batch *batch, *part;
    struct keys whole, keys;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (int row = 0; row < 20; row++) {
        char text = (char)('a' + row);
        assert_ok(column_builder_append_bytes(batch_builder_column(builder, 0),
                                              slice_make(&text, (size_t)(row % 2))));
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 1), row % 3 == 0));
        assert_ok(column_builder_append_integer(batch_builder_column(builder, 2), -row));
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    assert_ok(keys_encode(&whole, batch, 3, NULL));
    for (int begin = 0; begin <= 20; begin++) {
        assert_ok(batch_slice(batch, begin, 20 - begin, &part));
        assert_ok(keys_encode(&keys, part, 3, NULL));
        assert_int_equal(keys.n_rows, 20 - begin);
        for (int row = 0; row < 20 - begin; row++)
            assert_true(slice_equal(keys_get(&keys, row), keys_get(&whole, begin + row)));
        keys_free(&keys);
        batch_release(part);
    }
    keys_free(&whole);
    batch_release(batch);
    batch_builder_free(builder);
    schema_release(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_have_the_bytes_of_the_description),
        cmocka_unit_test(nulls_and_what_is_no_number_are_no_keys),
        cmocka_unit_test(each_type_sorts_as_its_values),
        cmocka_unit_test(tuples_sort_field_by_field),
        cmocka_unit_test(other_types_are_no_keys),
        cmocka_unit_test(bad_keys_of_a_batch_are_named),
        cmocka_unit_test(what_is_no_encoding_is_refused),
        cmocka_unit_test(a_prefix_has_a_successor_unless_it_is_all_ff),
        cmocka_unit_test(keys_of_slices_and_of_no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
