/*
 * buffer.h: a growable run of bytes that always has a maximum. Passing the maximum is GLIS_ELIMIT
 * and leaves the buffer as it was. A buffer owns its memory; buffer_free returns it. `budget` may
 * be NULL.
 */
#ifndef GLIS_BASE_BUFFER_H
#define GLIS_BASE_BUFFER_H

#include "base/memory.h"

struct buffer {
    uint8_t *data;
    size_t size, capacity;
    size_t max_bytes;
    struct budget *budget;
};

#define BUFFER_INIT(max) ((struct buffer){NULL, 0, 0, (max), NULL})
/* Empty, with a maximum and, or NULL, a budget that counts its capacity. */
void buffer_init(struct buffer *buffer, size_t max_bytes, struct budget *budget);
void buffer_free(struct buffer *buffer); /* empty again, same maximum */
#define defer_buffer __attribute__((cleanup(buffer_free), unused))

/* Makes room for `more` bytes behind the present ones. */
int buffer_reserve(struct buffer *buffer, size_t more) GLIS_CHECKED;
int buffer_append(struct buffer *buffer, const void *data, size_t size) GLIS_CHECKED;
int buffer_append_slice(struct buffer *buffer, struct slice s) GLIS_CHECKED;
int buffer_append_text(struct buffer *buffer, const char *text) GLIS_CHECKED;
int buffer_append_byte(struct buffer *buffer, uint8_t byte) GLIS_CHECKED;
int buffer_append_zeros(struct buffer *buffer, size_t n) GLIS_CHECKED;
int buffer_printf(struct buffer *buffer, const char *format, ...) GLIS_PRINTF(2, 3) GLIS_CHECKED;
void buffer_clear(struct buffer *buffer); /* size 0, memory kept */

/* The bytes held; valid until the buffer is changed. */
static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_make(buffer->data, buffer->size);
}

#endif
