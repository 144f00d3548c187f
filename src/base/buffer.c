/*
 * buffer.c: growable bytes with a maximum.
 *
 * Capacity doubles from 64 bytes and stops at the maximum, so appending costs amortised constant
 * time a byte and memory is at most twice what is held. Growth is the only place that can fail, and
 * it fails before anything is changed.
 */
#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_CAPACITY_MIN = 64 };

static int buffer_grow(struct buffer *buffer, size_t need);

void buffer_init(struct buffer *buffer, size_t max_bytes, struct budget *budget)
{
    *buffer = BUFFER_INIT(max_bytes);
    buffer->budget = budget;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    budget_release(buffer->budget, buffer->capacity);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
}

int buffer_reserve(struct buffer *buffer, size_t more)
{
    if (more <= buffer->capacity - buffer->size) return 0;
    size_t need;
    if (__builtin_add_overflow(buffer->size, more, &need) || need > buffer->max_bytes)
        return error_set(GLIS_ELIMIT, "%zu bytes and %zu more pass the limit of %zu bytes",
                         buffer->size, more, buffer->max_bytes);
    return buffer_grow(buffer, need);
}

int buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    TRY(buffer_reserve(buffer, size));
    if (size) memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return 0;
}

int buffer_append_slice(struct buffer *buffer, struct slice s)
{
    return buffer_append(buffer, s.data, s.size);
}

int buffer_append_text(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

int buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    TRY(buffer_reserve(buffer, 1));
    buffer->data[buffer->size++] = byte;
    return 0;
}

int buffer_append_zeros(struct buffer *buffer, size_t n)
{
    TRY(buffer_reserve(buffer, n));
    if (n) memset(buffer->data + buffer->size, 0, n);
    buffer->size += n;
    return 0;
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ASSERT(size >= 0);

    /* The printing ends with a NUL, for which the maximum need not have room. */
    char small[256];
    defer_free char *large = NULL;
    char *text = (size_t)size < sizeof(small) ? small : (large = memory_alloc((size_t)size + 1));
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return buffer_append(buffer, text, (size_t)size);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

static int buffer_grow(struct buffer *buffer, size_t need)
{
    size_t capacity = buffer->capacity > SIZE_MAX / 2 ? SIZE_MAX : buffer->capacity * 2;
    if (capacity < BUFFER_CAPACITY_MIN) capacity = BUFFER_CAPACITY_MIN;
    if (capacity < need) capacity = need;
    if (capacity > buffer->max_bytes) capacity = buffer->max_bytes;

    TRY(budget_reserve(buffer->budget, capacity - buffer->capacity));
    uint8_t *data = realloc(buffer->data, capacity);
    if (!data) {
        budget_release(buffer->budget, capacity - buffer->capacity);
        return error_set(GLIS_ENOMEM, "the machine has no memory left (%zu bytes asked for)",
                         capacity);
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}
