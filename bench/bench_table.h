/*
 * bench_table.h: large states of tables, made by transactions, for the benchmarks of src/table and
 * src/lsm: one string key "k", leaves cut at even distances, files that hold one key each.
 */
#ifndef GLIS_BENCH_TABLE_H
#define GLIS_BENCH_TABLE_H

#include "table/table_int.h"

#include <stdio.h>

static inline int64_t now_ns(void)
{
    return clock_system()->monotonic_ns(clock_system());
}

/* The field key of key number n: 16 characters and the two bytes that end it. */
static inline struct slice key_of(uint64_t n, char out[32])
{
    snprintf(out, 32, "key%013llu", (unsigned long long)n);
    out[17] = 0;
    return slice_make(out, 18);
}

/* Applies one transaction, as record `record`. */
static inline int apply(struct state *state, uint64_t record, const struct buffer *text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json;
    TRY(json_parse(&arena, buffer_slice(text), JSON_RULES_INTERNAL, &json));
    struct log_record_info info = {.record = record, .time_ms = (int64_t)record};
    return table_apply(state, &info, json);
}

/* Record 1: the table, with leaves that begin at every `step`th key. Leaves the text empty. */
static inline int begin(struct state *state, uint64_t n_leaves, uint64_t step, struct buffer *text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice *points = ARENA_ARRAY(&arena, struct slice, n_leaves);
    for (uint64_t i = 0; i + 1 < n_leaves; i++)
        points[i] = key_of((i + 1) * step, arena_alloc(&arena, 32));
    struct schema *schema;
    TRY(schema_from_json(SLICE("{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"StringType\"}]}"),
                         &schema));
    struct table_definition definition = {.name = SLICE("bench"),
                                          .schema = schema,
                                          .split_points = points,
                                          .n_split_points = n_leaves - 1};
    uint64_t hash;
    int code = write_create_table(text, &definition, &hash);
    schema_release(schema);
    if (code == 0) code = apply(state, 1, text);
    buffer_clear(text);
    return code;
}

/* A file of 100,000 rows of one key, in a leaf. */
static inline struct new_file file_of_leaf(const struct table_state *state,
                                           const struct partition_tree *tree, uint32_t leaf,
                                           struct slice key, struct runtime *runtime,
                                           struct arena *arena)
{
    struct file_bound *bound = ARENA_NEW(arena, struct file_bound);
    struct new_reference *reference = ARENA_NEW(arena, struct new_reference);
    *bound = (struct file_bound){key, key, false};
    *reference = (struct new_reference){tree->nodes[tree->leaves[leaf]].id, 100000};
    return (struct new_file){.name = table_file_name_new(state, runtime, arena),
                             .size = 8 << 20,
                             .rows = 100000,
                             .bounds = bound,
                             .references = reference,
                             .n_references = 1};
}

/* Loads the object "snapshot" anew. */
static inline int load(struct store *store, struct state **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_read read = {.key = SLICE("snapshot"), .length = STORE_TO_END};
    TRY(store_read(store, &read, 1));
    struct slice log_part;
    void *state;
    int code = table_machine.snapshot_read(NULL, read.block, slice_make(read.data, read.size),
                                           &arena, &log_part, &state);
    store_read_release(&read, 1);
    if (code == 0) *out = state;
    return code;
}

#endif
