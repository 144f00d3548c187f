/*
 * table_world.h: what tests of a table's state share: a schema of one long key, keys by hand, and
 * states changed by texts of transactions, each validated before and after.
 */
#ifndef GLIS_TEST_TABLE_WORLD_H
#define GLIS_TEST_TABLE_WORLD_H

#include "test.h"

#include "table/table_int.h"

#include <stdio.h>
#include <stdlib.h>

#define LONG_SCHEMA                                                                                \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"LongType\"}],\"valueFields\":[{\"name\":\"v\"," \
    "\"type\":\"IntType\"}]}"
#define TWO_KEYS_SCHEMA                                                                   \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"LongType\"},{\"name\":\"s\",\"type\":" \
    "\"StringType\"}]}"

/* The field key of a long, by the rule: big-endian, sign flipped. */
static inline struct slice long_key(struct arena *arena, int64_t value)
{
    uint8_t *bytes = arena_alloc(arena, 8);
    uint64_t flipped = (uint64_t)value ^ UINT64_C(1) << 63;
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(flipped >> 8 * (7 - i));
    return slice_make(bytes, 8);
}

/* The field key of a text without zeros: its bytes and 00 00. */
static inline struct slice text_key(struct arena *arena, const char *text)
{
    size_t n = strlen(text);
    char *bytes = arena_alloc_zero(arena, n + 2);
    memcpy(bytes, text, n);
    return slice_make(bytes, n + 2);
}

static inline int world_apply(struct state *state, uint64_t record, int64_t time_ms,
                              struct slice text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json;
    assert_ok(json_parse(&arena, text, JSON_RULES_INTERNAL, &json));
    struct log_record_info info = {.record = record, .time_ms = time_ms};
    int code = table_apply(state, &info, json);
    struct error_detail detail;
    if (code < 0) error_save(&detail);
    assert_ok(state_validate(state));
    if (code < 0) error_load(&detail);
    return code;
}

static inline int world_apply_text(struct state *state, uint64_t record, const char *text)
{
    return world_apply(state, record, (int64_t)record * 1000, slice_from_text(text));
}

static inline int world_apply_buffer(struct state *state, uint64_t record, int64_t time_ms,
                                     struct buffer *text)
{
    int code = world_apply(state, record, time_ms, buffer_slice(text));
    buffer_clear(text);
    return code;
}

/* A table with split points on the first key; record 1, time 1000. */
static inline struct state *world_new(const char *schema_json, const struct slice *points, size_t n)
{
    struct schema *schema;
    assert_ok(schema_from_json(slice_from_text(schema_json), &schema));
    struct table_definition definition = {
        .name = SLICE("t"), .schema = schema, .split_points = points, .n_split_points = n};
    struct buffer text = BUFFER_INIT(64 << 20);
    uint64_t hash;
    assert_ok(write_create_table(&text, &definition, &hash));
    struct state *state = state_new();
    assert_ok(world_apply_buffer(state, 1, 1000, &text));
    assert_int_equal(state->numbers[NUMBER_DEFINITION], hash);
    buffer_free(&text);
    schema_release(schema);
    return state;
}

#endif
