/*
 * fuzz_table.c: transactions of a table, one JSON object a line: whether one is applied or refused,
 * the state is whole afterwards, and a refusal changes no number of it. The same bytes are read as
 * a properties file and as split points.
 */
#include "fuzz.h"

#include "table/table_int.h"

static void apply_line(struct state *state, uint64_t record, struct slice line)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json;
    if (json_parse(&arena, line, JSON_RULES_INTERNAL, &json) < 0) return;
    uint64_t numbers[NUMBER_COUNT];
    memcpy(numbers, state->numbers, sizeof(numbers));
    struct log_record_info info = {.record = record, .time_ms = (int64_t)record};
    int code = table_apply(state, &info, json);
    ASSERT(code == 0 || memcmp(numbers, state->numbers, sizeof(numbers)) == 0);
    ASSERT(state_validate(state) == 0);
}

static void read_files(struct slice text, const struct schema *schema)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct property_file file;
    struct slice *points;
    size_t n;
    for (int group = 0; group <= PROPERTY_OF_TABLE; group++)
        if (property_file_read(&arena, SLICE("f"), text, (enum property_group)group, &file) < 0)
            continue;
    if (table_split_points_read(schema, SLICE("f"), text, false, &arena, &points, &n) < 0) return;
    for (size_t i = 1; i < n; i++)
        ASSERT(slice_compare(points[i - 1], points[i]) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct state *state = state_new();
    for (uint64_t record = 1; text.size && record < 100; record++) {
        const char *end = memchr(text.data, '\n', text.size);
        struct slice line = slice_part(text, 0, end ? (size_t)(end - text.data) : text.size);
        text = slice_part(text, line.size + 1, text.size);
        apply_line(state, record, line);
    }
    if (state_schema(state)) read_files(slice_make(data, size), state_schema(state));
    state_free(state);
    return 0;
}
