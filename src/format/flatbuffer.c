/*
 * flatbuffer.c: see flatbuffer.h. A buffer is aligned from its end: whatever is written is preceded
 * by as many zero bytes as bring its end position to a multiple of its alignment, and finish makes
 * the whole a multiple of 8.
 */
#include "format/flatbuffer.h"

#include <stdlib.h>

enum { FLATBUFFER_BYTES = 4096 };

void flatbuffer_init(struct flatbuffer *fb, uint32_t max_bytes)
{
    *fb = (struct flatbuffer){.capacity = FLATBUFFER_BYTES, .max_bytes = max_bytes};
    fb->data = memory_alloc(fb->capacity);
}

void flatbuffer_free(struct flatbuffer *fb)
{
    free(fb->data);
    *fb = (struct flatbuffer){0};
}

/* Room for n more bytes before what there is; their address. */
static uint8_t *room(struct flatbuffer *fb, uint32_t n)
{
    if (n > fb->max_bytes - fb->size) {
        fb->overflow = true;
        fb->size = 0; /* so that writing stays within bounds; the result is thrown away */
        if (n > fb->max_bytes) n = fb->max_bytes;
    }
    while (n > fb->capacity - fb->size) {
        uint32_t capacity = fb->capacity * 2;
        uint8_t *data = memory_alloc(capacity);
        memcpy(data + capacity - fb->size, fb->data + fb->capacity - fb->size, fb->size);
        free(fb->data);
        fb->data = data;
        fb->capacity = capacity;
    }
    fb->size += n;
    return fb->data + fb->capacity - fb->size;
}

/* Zeros, so that after `more` further bytes the size is a multiple of `alignment`. */
static void align(struct flatbuffer *fb, uint32_t more, uint32_t alignment)
{
    uint32_t n = (alignment - (fb->size + more) % alignment) % alignment;
    if (n) memset(room(fb, n), 0, n);
}

static void put(struct flatbuffer *fb, const void *value, uint32_t n)
{
    align(fb, n, n);
    memcpy(room(fb, n), value, n);
}

/* A reference from here to `position`, which was written before. */
static void put_offset(struct flatbuffer *fb, uint32_t position)
{
    align(fb, 4, 4);
    uint32_t offset = fb->size + 4 - position;
    memcpy(room(fb, 4), &offset, 4);
}

uint32_t flatbuffer_string(struct flatbuffer *fb, struct slice text)
{
    uint32_t size = text.size > fb->max_bytes ? fb->max_bytes : (uint32_t)text.size;
    align(fb, size + 1, 4);
    *room(fb, 1) = 0;
    if (size) memcpy(room(fb, size), text.data, fb->overflow ? 0 : size);
    put(fb, &size, 4);
    return fb->size;
}

uint32_t flatbuffer_vector_of_offsets(struct flatbuffer *fb, const uint32_t *positions, uint32_t n)
{
    align(fb, 4 * n, 4);
    for (uint32_t i = n; i-- > 0;)
        put_offset(fb, positions[i]);
    put(fb, &n, 4);
    return fb->size;
}

uint32_t flatbuffer_vector_of_structs(struct flatbuffer *fb, const void *structs, uint32_t n,
                                      uint32_t bytes)
{
    align(fb, n * bytes, 8);
    uint8_t *to = room(fb, n * bytes);
    if (n && !fb->overflow) memcpy(to, structs, (size_t)n * bytes);
    put(fb, &n, 4);
    return fb->size;
}

void flatbuffer_table_begin(struct flatbuffer *fb)
{
    memset(fb->fields, 0, sizeof fb->fields);
    fb->table_end = fb->size;
}

void flatbuffer_field_u8(struct flatbuffer *fb, unsigned field, uint8_t value)
{
    put(fb, &value, sizeof value);
    fb->fields[field] = fb->size;
}

void flatbuffer_field_i16(struct flatbuffer *fb, unsigned field, int16_t value)
{
    put(fb, &value, sizeof value);
    fb->fields[field] = fb->size;
}

void flatbuffer_field_i32(struct flatbuffer *fb, unsigned field, int32_t value)
{
    put(fb, &value, sizeof value);
    fb->fields[field] = fb->size;
}

void flatbuffer_field_i64(struct flatbuffer *fb, unsigned field, int64_t value)
{
    put(fb, &value, sizeof value);
    fb->fields[field] = fb->size;
}

void flatbuffer_field_offset(struct flatbuffer *fb, unsigned field, uint32_t position)
{
    put_offset(fb, position);
    fb->fields[field] = fb->size;
}

/* The table begins with the distance back to its vtable, which is written directly before it: its
 * own size, the table's, and each field's distance from the table's start. */
uint32_t flatbuffer_table_end(struct flatbuffer *fb)
{
    int32_t to_vtable = 0;
    put(fb, &to_vtable, 4);
    uint32_t table = fb->size;
    unsigned n = FLATBUFFER_FIELDS_MAX;
    while (n && !fb->fields[n - 1])
        n--;
    uint16_t vtable[2 + FLATBUFFER_FIELDS_MAX];
    vtable[0] = (uint16_t)(4 + 2 * n);
    vtable[1] = (uint16_t)(table - fb->table_end);
    for (unsigned i = 0; i < n; i++)
        vtable[2 + i] = fb->fields[i] ? (uint16_t)(table - fb->fields[i]) : 0;
    memcpy(room(fb, vtable[0]), vtable, vtable[0]);
    to_vtable = (int32_t)(fb->size - table);
    if (!fb->overflow) memcpy(fb->data + fb->capacity - table, &to_vtable, 4);
    return table;
}

void flatbuffer_finish(struct flatbuffer *fb, uint32_t root)
{
    align(fb, 4, 8);
    put_offset(fb, root);
}
