/*
 * fuzz_properties.c: what properties_parse accepts, properties_write writes, and that reads back as
 * the same names and values.
 */
#include "fuzz.h"

#include "base/properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_buffer struct buffer out = BUFFER_INIT(64 << 20);
    struct properties first, second;
    if (properties_parse(&arena, slice_make(data, size), &first) < 0) return 0;
    for (size_t i = 0; i < first.n_items; i++)
        ASSERT(properties_write(&out, first.items[i].name, first.items[i].value) == 0);
    ASSERT(properties_parse(&arena, buffer_slice(&out), &second) == 0);
    ASSERT(second.n_items == first.n_items);
    for (size_t i = 0; i < first.n_items; i++) {
        ASSERT(slice_equal(first.items[i].name, second.items[i].name));
        ASSERT(slice_equal(first.items[i].value, second.items[i].value));
    }
    return 0;
}
