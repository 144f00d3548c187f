/*
 * column_int.h: what the files of the column module share among themselves.
 */
#ifndef GLIS_COLUMN_COLUMN_INT_H
#define GLIS_COLUMN_COLUMN_INT_H

#include "column/column.h"

/* The offsets of a column with offsets, from its first entry on. */
static inline const int32_t *column_offsets(const struct column *column)
{
    return (const int32_t *)(const void *)column->offsets.data + column->offset;
}

static inline bool bit_get(const uint8_t *bits, int64_t i)
{
    return bits[i >> 3] >> (i & 7) & 1;
}

static inline void bit_put(uint8_t *bits, int64_t i, bool set)
{
    uint8_t mask = (uint8_t)(1 << (i & 7));
    bits[i >> 3] = (uint8_t)(set ? bits[i >> 3] | mask : bits[i >> 3] & ~mask);
}

/* 10 to the power of a precision: what a decimal's unscaled value is smaller than. */
static inline int128 decimal_limit(unsigned precision)
{
    int128 limit = 1;
    for (unsigned i = 0; i < precision; i++)
        limit *= 10;
    return limit;
}

/* Bytes that a field of this type takes in every key; 0 when the value decides. */
unsigned key_fixed_width(const struct type *type);

/* The type of a field's copy, its children in the arena. */
struct type type_copy(const struct type *type, struct arena *arena);

#endif
