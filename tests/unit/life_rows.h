/*
 * life_rows.h: the naive side of test_life_world.c: rows as plain numbers, the shapes of tables
 * that they may have, and what somebody sees of a list of them. Filters, aggregations and labels
 * are worked out here from their description; nothing of Glis is asked.
 *
 * A row has a number for each field that any shape has. Strings stand in a table in the order of
 * their bytes, and a field holds the place; times are milliseconds; a map has a slot for each of
 * four keys.
 */
#ifndef GLIS_TESTS_LIFE_ROWS_H
#define GLIS_TESTS_LIFE_ROWS_H

#include "column/column.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    F_K, /* number, a row key */
    F_S, /* string, a row key */
    F_T, /* time, a sort key that rows age by */
    F_L, /* label, a sort key */
    F_V, /* narrow number, widened some day */
    F_A, /* time that may be null, and that rows age by */
    F_M, /* map */
    F_C, /* column that is added some day */
    F_MAX,
    KEYS = 40,
    N_LABELS = 7,
    MAP_KEYS = 4,
    FEW_KEYS = 8, /* values of a second row key */
};
static const char *const field_names[F_MAX] = {"k", "s", "t", "l", "v", "a", "m", "c"};

/* In the order of their bytes. Whether each holds for somebody with A (1), B (2), both (3). */
static const char *const labels[N_LABELS] = {"", "A", "A&(B|C)", "A&B", "A&B|C", "A|B", "B"};
static const bool label_holds[N_LABELS][4] = {
    {true, true, true, true},    {false, true, false, true},   {false, false, false, true},
    {false, false, false, true}, {false, false, false, false}, /* no expression */
    {false, true, true, true},   {false, false, true, true},
};
static const char *const map_key_texts[MAP_KEYS] = {"", "x", "xy", "z"};

/* The strings: five groups, each with a beginning of its own, up to longer than bounds are kept. */
static char names[KEYS][256];

static inline void names_make(void)
{
    static const unsigned beginnings[] = {0, 1, 7, 130, 200};
    for (int i = 1; i < KEYS; i++) { /* the first is the empty string */
        char *at = names[i];
        unsigned n = beginnings[i / 8];
        *at++ = (char)('a' + i / 8);
        memset(at, 'p', n);
        at += n;
        for (int k = 0; k <= i % 8; k++)
            *at++ = (char)(k < i % 8 ? 'x' : '-');
        assert_true(strcmp(names[i - 1], names[i]) < 0);
    }
}

struct map_value {
    bool has[MAP_KEYS], null[MAP_KEYS];
    int32_t v[MAP_KEYS];
};
struct row {
    int64_t f[F_MAX];
    bool null[F_MAX];
    struct map_value m;
};

/* What a table's rows are. */
struct shape {
    uint8_t fields[F_MAX], n_row_keys, n_keys, n_fields; /* without F_C */
    bool has_a, has_m, map_of_ints;
};
/* What time and schema have made of it: changes, and goes with each state. */
struct stage {
    bool has_c, v_wide, visible_label, drops_null;
    int64_t ages[2], cutoffs[2]; /* of F_T and F_A; ages 0: none */
};
static const uint8_t age_fields[2] = {F_T, F_A};

static inline struct shape shape_make(unsigned keys, bool has_a, bool has_m, bool map_of_ints)
{
    static const uint8_t row_keys[4][2] = {{F_K}, {F_S}, {F_K, F_S}, {F_S, F_K}};
    struct shape shape = {.has_a = has_a, .has_m = has_m, .map_of_ints = map_of_ints};
    uint8_t n = 0;
    shape.n_row_keys = keys < 2 ? 1 : 2;
    for (; n < shape.n_row_keys; n++)
        shape.fields[n] = row_keys[keys][n];
    shape.fields[n++] = F_T;
    shape.fields[n++] = F_L;
    shape.n_keys = n;
    shape.fields[n++] = F_V;
    if (has_a) shape.fields[n++] = F_A;
    if (has_m) shape.fields[n++] = F_M;
    shape.n_fields = n;
    return shape;
}

/* The field at a place of the schema. */
static inline unsigned shape_field(const struct shape *shape, uint32_t i)
{
    return i < shape->n_fields ? shape->fields[i] : F_C;
}

static inline struct schema *shape_schema(const struct shape *shape, bool v_wide, bool has_c)
{
    defer_buffer struct buffer text = BUFFER_INIT(2000);
    struct schema *schema;
    static const char *const types[F_MAX] = {
        [F_K] = "\"LongType\"",   [F_S] = "\"StringType\"", [F_T] = "\"LongType\"",
        [F_L] = "\"StringType\"", [F_V] = "\"IntType\"",    [F_A] = "\"LongType\"",
        [F_C] = "\"IntType\""};
    assert_ok(buffer_append_text(&text, "{\"rowKeyFields\":["));
    for (uint32_t i = 0; i < shape->n_fields + (has_c ? 1U : 0); i++) {
        unsigned f = shape_field(shape, i);
        const char *type = f == F_V && v_wide ? "\"LongType\""
                           : f != F_M         ? types[f]
                           : shape->map_of_ints
                               ? "{\"MapType\":{\"keyType\":\"IntType\",\"valueType\":\"IntType\","
                                 "\"nullable\":true}}"
                               : "{\"MapType\":{\"keyType\":\"StringType\",\"valueType\":"
                                 "\"IntType\",\"nullable\":true}}";
        const char *before = i == 0                   ? ""
                             : i == shape->n_row_keys ? "],\"sortKeyFields\":["
                             : i == shape->n_keys     ? "],\"valueFields\":["
                                                      : ",";
        assert_ok(buffer_printf(&text, "%s{\"name\":\"%s\",\"type\":%s%s}", before, field_names[f],
                                type, i >= shape->n_keys ? ",\"nullable\":true" : ""));
    }
    assert_ok(buffer_append_text(&text, "]}"));
    assert_ok(schema_from_json(buffer_slice(&text), &schema));
    return schema;
}

/* ---- comparing ---- */

static inline int compare_keys(const struct shape *shape, const struct row *a, const struct row *b)
{
    for (unsigned i = 0; i < shape->n_keys; i++) {
        unsigned f = shape->fields[i];
        if (a->f[f] != b->f[f]) return a->f[f] < b->f[f] ? -1 : 1;
    }
    return 0;
}

/* Some order in which only equal rows are equal. */
static inline int compare_rows(const void *x, const void *y, void *shape)
{
    const struct row *a = x, *b = y;
    int order = compare_keys(shape, a, b);
    for (int i = F_V; i < F_MAX && !order; i++) {
        if (a->null[i] != b->null[i]) return a->null[i] ? -1 : 1;
        if (a->f[i] != b->f[i]) order = a->f[i] < b->f[i] ? -1 : 1;
    }
    return order ? order : memcmp(&a->m, &b->m, sizeof a->m);
}

/* ---- what somebody sees ---- */

static inline int64_t join_numbers(unsigned how, bool wide, int64_t a, int64_t b)
{
    uint64_t sum = (uint64_t)a + (uint64_t)b;
    if (how == 0) return wide ? (int64_t)sum : (int64_t)(int32_t)(uint32_t)sum;
    return how == 1 ? (a < b ? a : b) : (a > b ? a : b);
}

static inline void join_maps(unsigned how, struct map_value *to, const struct map_value *from)
{
    for (int i = 0; i < MAP_KEYS; i++) {
        if (!from->has[i]) continue;
        if (!to->has[i] || to->null[i]) {
            to->v[i] = from->v[i];
            to->null[i] = from->null[i];
        } else if (!from->null[i]) {
            to->v[i] = (int32_t)join_numbers(how, false, to->v[i], from->v[i]);
        }
        to->has[i] = true;
    }
}

/* Rows of equal keys become one; how: 0 sum, 1 least, 2 greatest. */
static inline void join_rows(unsigned how, const struct stage *stage, struct row *to,
                             const struct row *from)
{
    for (int i = F_V; i < F_MAX; i++) {
        if (from->null[i]) continue;
        if (i == F_M && !to->null[i])
            join_maps(how, &to->m, &from->m);
        else if (i == F_M)
            to->m = from->m;
        else
            to->f[i] = to->null[i]
                           ? from->f[i]
                           : join_numbers(how, i == F_V && stage->v_wide, to->f[i], from->f[i]);
        to->null[i] = false;
    }
}

static inline bool row_is_aged(const struct stage *stage, const struct row *row, int64_t now_ms)
{
    for (int i = 0; i < 2; i++) {
        unsigned f = age_fields[i];
        int64_t cutoff = stage->cutoffs[i];
        if (row->null[f]) {
            if (stage->ages[i] && stage->drops_null) return true;
            continue;
        }
        if (stage->ages[i] && now_ms - stage->ages[i] > cutoff) cutoff = now_ms - stage->ages[i];
        if (row->f[f] <= cutoff) return true;
    }
    return false;
}

/* Of a key range: from (inclusive) to `to` of each row key. */
struct rectangle {
    int64_t from[2], to[2];
};

static inline bool rectangle_has(const struct shape *shape, const struct rectangle *area,
                                 const struct row *row)
{
    for (unsigned i = 0; i < shape->n_row_keys; i++) {
        int64_t key = row->f[shape->fields[i]];
        if (key < area->from[i] || key >= area->to[i]) return false;
    }
    return true;
}

/* The rows that somebody sees at a time, by key and values. how: as join_rows, -1: not joined. */
static inline size_t seen_rows(const struct shape *shape, const struct stage *stage, int how,
                               const struct row *rows, size_t n_rows, const struct rectangle *area,
                               int64_t now_ms, unsigned rights, struct row *out, uint64_t *n_aged)
{
    size_t n = 0, m = 0;
    for (size_t i = 0; i < n_rows; i++) {
        if (!rectangle_has(shape, area, &rows[i])) continue;
        if (row_is_aged(stage, &rows[i], now_ms))
            ++*n_aged;
        else
            out[n++] = rows[i];
    }
    if (n) qsort_r(out, n, sizeof *out, compare_rows, (void *)(uintptr_t)shape);
    if (how >= 0) {
        for (size_t i = 0; i < n; i++)
            if (m && compare_keys(shape, &out[m - 1], &out[i]) == 0)
                join_rows((unsigned)how, stage, &out[m - 1], &out[i]);
            else
                out[m++] = out[i];
        n = m;
    }
    if (!stage->visible_label) return n;
    m = 0;
    for (size_t i = 0; i < n; i++)
        if (label_holds[out[i].f[F_L]][rights]) out[m++] = out[i];
    return m;
}

/* ---- to batches and back ---- */

static inline void append_map(struct column_builder *column, const struct shape *shape,
                              const struct map_value *map, bool twice)
{
    struct column_builder *pairs = column_builder_child(column, 0);
    struct column_builder *key = column_builder_child(pairs, 0);
    struct column_builder *value = column_builder_child(pairs, 1);
    /* Backwards, which is not their order; with `twice` each comes once more, with a null. */
    for (int i = twice ? 2 * MAP_KEYS - 1 : MAP_KEYS - 1; i >= 0; i--) {
        int k = i % MAP_KEYS;
        if (!map->has[k]) continue;
        if (shape->map_of_ints)
            assert_ok(column_builder_append_integer(key, k - 1));
        else
            assert_ok(column_builder_append_bytes(key, slice_from_text(map_key_texts[k])));
        if (map->null[k] || i >= MAP_KEYS)
            assert_ok(column_builder_append_null(value));
        else
            assert_ok(column_builder_append_integer(value, map->v[k]));
        assert_ok(column_builder_end(pairs));
    }
    assert_ok(column_builder_end(column));
}

static inline struct batch *make_batch(const struct shape *shape, const struct schema *schema,
                                       const struct row *rows, size_t n, bool keys_twice)
{
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (size_t i = 0; i < n; i++) {
        for (uint32_t at = 0; at < schema->n_fields; at++) {
            struct column_builder *column = batch_builder_column(builder, at);
            unsigned f = shape_field(shape, at);
            const char *text = f == F_L   ? labels[rows[i].f[f]]
                               : f == F_S ? names[rows[i].f[f]]
                                          : NULL;
            if (rows[i].null[f])
                assert_ok(column_builder_append_null(column));
            else if (f == F_M)
                append_map(column, shape, &rows[i].m, keys_twice);
            else if (text)
                assert_ok(column_builder_append_bytes(column, slice_from_text(text)));
            else
                assert_ok(column_builder_append_integer(column, rows[i].f[f]));
        }
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    return batch;
}

/* The place of a text in a table; n: none. */
static inline int64_t place_of(struct slice text, const char *const *table, size_t stride, int n)
{
    int low = 0, high = n;
    while (low < high) {
        int middle = (low + high) / 2;
        const char *there = stride ? (const char *)table + stride * (size_t)middle : table[middle];
        int order = slice_compare(slice_from_text(there), text);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return n;
}

/* false: a map that holds what no row has. */
static inline bool read_map(const struct column *column, int64_t at, const struct shape *shape,
                            struct map_value *out)
{
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data + column->offset;
    const struct column *pairs = &column->children[0];
    for (int64_t e = offsets[at]; e < offsets[at + 1]; e++) {
        struct value key, value;
        column_value(&pairs->children[0], pairs->offset + e, &key);
        column_value(&pairs->children[1], pairs->offset + e, &value);
        int64_t k =
            shape->map_of_ints ? key.integer + 1 : place_of(key.bytes, map_key_texts, 0, MAP_KEYS);
        if (k < 0 || k >= MAP_KEYS || out->has[k]) return false;
        out->has[k] = true;
        out->null[k] = value.is_null;
        out->v[k] = value.is_null ? 0 : (int32_t)value.integer;
    }
    return true;
}

/* false: the row holds what no row has. */
static inline bool read_row(const struct batch *batch, int64_t at, const struct shape *shape,
                            struct row *row)
{
    memset(row, 0, sizeof *row);
    row->null[F_C] = true;
    row->null[F_A] = !shape->has_a;
    row->null[F_M] = !shape->has_m;
    for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
        const struct column *column = &batch->columns[i];
        unsigned f = shape_field(shape, i);
        struct value value;
        row->null[f] = column_is_null(column, at);
        if (row->null[f]) continue;
        if (f == F_M) {
            if (!read_map(column, at, shape, &row->m)) return false;
            continue;
        }
        column_value(column, at, &value);
        if (f == F_L)
            row->f[f] = place_of(value.bytes, labels, 0, N_LABELS);
        else if (f == F_S)
            row->f[f] = place_of(value.bytes, (const char *const *)names, sizeof names[0], KEYS);
        else
            row->f[f] = value.integer;
        if ((f == F_L && row->f[f] == N_LABELS) || (f == F_S && row->f[f] == KEYS)) return false;
    }
    return true;
}

/* A row as a line of JSON. */
static inline void append_line(struct buffer *out, const struct shape *shape, bool has_c,
                               const struct row *row)
{
    for (uint32_t i = 0; i < shape->n_fields + (has_c ? 1U : 0); i++) {
        unsigned f = shape_field(shape, i);
        assert_ok(buffer_printf(out, "%s\"%s\":", i ? "," : "{", field_names[f]));
        if (row->null[f]) {
            assert_ok(buffer_append_text(out, "null"));
        } else if (f == F_L || f == F_S) {
            assert_ok(
                buffer_printf(out, "\"%s\"", f == F_L ? labels[row->f[f]] : names[row->f[f]]));
        } else if (f == F_M) {
            const char *before = "[";
            for (int k = 0; k < MAP_KEYS; k++) {
                if (!row->m.has[k]) continue;
                if (shape->map_of_ints)
                    assert_ok(buffer_printf(out, "%s{\"key\":%d,", before, k - 1));
                else
                    assert_ok(buffer_printf(out, "%s{\"key\":\"%s\",", before, map_key_texts[k]));
                if (row->m.null[k])
                    assert_ok(buffer_append_text(out, "\"value\":null}"));
                else
                    assert_ok(buffer_printf(out, "\"value\":%d}", (int)row->m.v[k]));
                before = ",";
            }
            assert_ok(buffer_append_text(out, *before == '[' ? "[]" : "]"));
        } else {
            assert_ok(buffer_printf(out, "%lld", (long long)row->f[f]));
        }
    }
    assert_ok(buffer_append_text(out, "}\n"));
}

#endif
