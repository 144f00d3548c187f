/*
 * slice.h: text and bytes as {data, size}. A slice owns nothing: it points into an arena, a buffer
 * or a literal, and whoever hands it out says how long it lives. Slices are passed by value. No
 * parser relies on a NUL at the end.
 */
#ifndef GLIS_BASE_SLICE_H
#define GLIS_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data;
    size_t size;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_EMPTY    ((struct slice){NULL, 0})
/* For printf: printf("%.*s", SLICE_PRINT(s)). */
#define SLICE_PRINT(s) \
    ((s).size > 0x7fffffff ? 0x7fffffff : (int)(s).size), ((s).data ? (s).data : "")

/* `size` bytes at `data`; (NULL, 0) is the empty slice. */
static inline struct slice slice_make(const void *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

/* A NUL-terminated text without its NUL; NULL gives the empty slice. */
static inline struct slice slice_from_text(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

/* The same bytes. */
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The same bytes as a NUL-terminated text. */
static inline bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_from_text(text));
}

/* Unsigned byte order; a shorter prefix sorts first. Negative, zero or positive as memcmp. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

/* Whether `prefix` is the beginning; the empty slice always is. */
static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size &&
           (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

/* Whether `suffix` is the end; the empty slice always is. */
static inline bool slice_ends_with(struct slice s, struct slice suffix)
{
    return s.size >= suffix.size && (suffix.size == 0 || memcmp(s.data + s.size - suffix.size,
                                                                suffix.data, suffix.size) == 0);
}

/* The part from `start`, at most `size` bytes; beyond the end the slice is empty there. */
static inline struct slice slice_part(struct slice s, size_t start, size_t size)
{
    if (start > s.size) start = s.size;
    if (size > s.size - start) size = s.size - start;
    return (struct slice){s.data ? s.data + start : NULL, size};
}

#endif
