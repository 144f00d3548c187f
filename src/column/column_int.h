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

/* ---- importing from Arrow ---- */

/* How a foreign array lies in memory. */
enum arrow_layout {
    ARROW_PLAIN,            /* as our columns do */
    ARROW_LARGE,            /* 64-bit offsets */
    ARROW_VIEWS,            /* text by views */
    ARROW_FIXED_LIST,       /* `width` elements each, no offsets */
    ARROW_LIST_VIEWS,       /* offsets and sizes of 32 bits */
    ARROW_LARGE_LIST_VIEWS, /* of 64 bits */
    ARROW_SECONDS,          /* `width` bytes, to become milliseconds */
    ARROW_DATE_MILLIS,      /* `width` bytes, to become days */
    ARROW_DECIMALS,         /* `width` bytes, to become 16; times 10 to the power of `power` */
    ARROW_RUNS,             /* run ends and values; the type is that of the values */
};

/* What a format string says: the type of the column, without children, and the layout. Of a
 * dictionary's field it is the type of the indices. */
struct arrow_format {
    struct type type;
    enum arrow_layout layout;
    uint32_t width;
    unsigned power;
};

/* What the columns of one import share: a block that keeps the foreign array, and the budget. */
struct arrow_import {
    struct block *owner;
    struct budget *budget;
};

struct ArrowSchema;
struct ArrowArray;
/* GLIS_EUNSUPPORTED names column and format. */
int arrow_format_parse(const struct ArrowSchema *in, struct arrow_format *out) GLIS_CHECKED;
/* One array as a column of `type`, which arrow_import_schema made of `schema`; on failure *out
 * holds nothing. */
int arrow_import_column(const struct arrow_import *import, const struct ArrowArray *in,
                        const struct ArrowSchema *schema, const struct type *type,
                        struct column *out) GLIS_CHECKED;

#endif
