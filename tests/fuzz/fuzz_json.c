/*
 * fuzz_json.c: what json_parse accepts, the writer writes, and that reads back as the same tree.
 */
#include "fuzz.h"

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_buffer struct buffer out = BUFFER_INIT(64 << 20);
    const struct json *first, *second;
    struct json_writer writer;
    if (json_parse(&arena, slice_make(data, size), JSON_RULES_USER, &first) < 0) return 0;
    json_writer_init(&writer, &out, size % 3);
    json_write_value(&writer, first);
    ASSERT(json_writer_finish(&writer) == 0);
    ASSERT(json_parse(&arena, buffer_slice(&out), JSON_RULES_INTERNAL, &second) == 0);
    ASSERT(json_value_equal(first, second));
    return 0;
}
