/*
 * flatbuffer.h: the few flatbuffers that Arrow's messages are made of, written back to front
 * (https://flatbuffers.dev/internals/): what is referred to is written before what refers to it, at
 * higher addresses. Positions are counted from the end of the buffer, which does not move when it
 * grows. No tables are shared; all fields that are set are stored, defaults too.
 */
#ifndef GLIS_FORMAT_FLATBUFFER_H
#define GLIS_FORMAT_FLATBUFFER_H

#include "base/memory.h"

enum { FLATBUFFER_FIELDS_MAX = 8 };

struct flatbuffer {
    uint8_t *data; /* `size` bytes at the end of it are in use */
    uint32_t size, capacity, max_bytes;
    bool overflow; /* max_bytes was passed; everything since is lost */
    /* the table at hand: */
    uint32_t table_end;
    uint32_t fields[FLATBUFFER_FIELDS_MAX]; /* position of each, 0: absent */
};

void flatbuffer_init(struct flatbuffer *fb, uint32_t max_bytes);
void flatbuffer_free(struct flatbuffer *fb);
/* Everything written, from the root on; aligned to 8 by length. */
static inline struct slice flatbuffer_bytes(const struct flatbuffer *fb)
{
    return slice_make(fb->data + fb->capacity - fb->size, fb->size);
}

/* Positions of what was written, for references to it. */
uint32_t flatbuffer_string(struct flatbuffer *fb, struct slice text);
uint32_t flatbuffer_vector_of_offsets(struct flatbuffer *fb, const uint32_t *positions, uint32_t n);
/* n structs of `bytes` each, aligned to 8. */
uint32_t flatbuffer_vector_of_structs(struct flatbuffer *fb, const void *structs, uint32_t n,
                                      uint32_t bytes);

/* A table: begin, its fields in any order, end. Nothing else is written in between. */
void flatbuffer_table_begin(struct flatbuffer *fb);
void flatbuffer_field_u8(struct flatbuffer *fb, unsigned field, uint8_t value);
void flatbuffer_field_i16(struct flatbuffer *fb, unsigned field, int16_t value);
void flatbuffer_field_i32(struct flatbuffer *fb, unsigned field, int32_t value);
void flatbuffer_field_i64(struct flatbuffer *fb, unsigned field, int64_t value);
void flatbuffer_field_offset(struct flatbuffer *fb, unsigned field, uint32_t position);
uint32_t flatbuffer_table_end(struct flatbuffer *fb);
/* The reference to the root table; the buffer is complete. */
void flatbuffer_finish(struct flatbuffer *fb, uint32_t root);

#endif
