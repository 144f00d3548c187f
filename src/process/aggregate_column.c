/*
 * aggregate_column.c: many values into one.
 *
 *   integers   sums wrap around, as two's complement does
 *   decimals   sums of precision p wrap modulo 2 * 10^p - 1 into -(10^p - 1) .. 10^p - 1: as many
 *              values as the type has, so that the order of adding does not show
 *   reals      sums in the order of the rows, from the first value on (never from 0): inexact
 *   min, max   by value; false before true; texts by bytes; NaN above all
 *
 * A null is left out; of nothing but nulls comes null. Least and greatest are found as places
 * first, and gathered at the end, so there is one way for all types.
 */
#include "process/process_int.h"

#include <math.h>

static uint32_t entry_of(const struct runs *runs, uint32_t at)
{
    return runs->order ? runs->order[at] : at;
}

/* ---- least and greatest ---- */

#define PICK_FIXED(type)                                                                  \
    do {                                                                                  \
        const type *v = (const type *)(const void *)column->values.data + column->offset; \
        for (uint32_t at = begin + 1; at < end; at++) {                                   \
            uint32_t entry = entry_of(runs, at);                                          \
            if (greatest ? v[entry] > v[best] : v[entry] < v[best]) best = entry;         \
        }                                                                                 \
    } while (0)

static bool is_integer(const struct type *type, unsigned width)
{
    return type_width(type) == width && (type->kind == TYPE_INT32 || type->kind == TYPE_INT64 ||
                                         type->kind == TYPE_DATE || type->kind == TYPE_TIMESTAMP);
}

/* The entry of a run that is least or greatest; a null one when there is no other. */
static uint32_t pick(const struct column *column, const struct runs *runs, uint32_t begin,
                     uint32_t end, bool greatest)
{
    uint32_t best = entry_of(runs, begin);
    if (column->null_count == 0 && is_integer(column->type, 8)) {
        PICK_FIXED(int64_t);
        return best;
    }
    if (column->null_count == 0 && is_integer(column->type, 4)) {
        PICK_FIXED(int32_t);
        return best;
    }
    for (uint32_t at = begin + 1; at < end; at++) {
        uint32_t entry = entry_of(runs, at);
        if (column_is_null(column, entry)) continue;
        if (column_is_null(column, best)) {
            best = entry;
            continue;
        }
        int c = column_compare(column, entry, column, best);
        if (greatest ? c > 0 : c < 0) best = entry;
    }
    return best;
}

static int pick_column(struct column *out, const struct column *column, bool greatest,
                       const struct runs *runs, struct budget *budget)
{
    defer_free uint32_t *picks = memory_alloc(((size_t)runs->n + 1) * sizeof *picks);
    for (int64_t i = 0; i < runs->n; i++) {
        uint32_t begin = runs->starts[i], end = runs->starts[i + 1];
        picks[i] =
            end - begin == 1 ? entry_of(runs, begin) : pick(column, runs, begin, end, greatest);
    }
    return column_take(out, column, picks, runs->n, budget);
}

/* ---- sums ---- */

#define NAN_BITS       UINT64_C(0x7ff8000000000000)
#define FLOAT_NAN_BITS UINT32_C(0x7fc00000)

static double one_nan(double value)
{
    uint64_t bits = NAN_BITS;
    if (isnan(value)) memcpy(&value, &bits, 8);
    return value == 0 ? 0 : value;
}

static float one_float_nan(float value)
{
    uint32_t bits = FLOAT_NAN_BITS;
    if (isnan(value)) memcpy(&value, &bits, 4);
    return value == 0 ? 0 : value;
}

/* 10^precision - 1 */
static int128 decimal_limit(unsigned precision)
{
    int128 limit = 1;
    for (unsigned i = 0; i < precision; i++)
        limit *= 10;
    return limit - 1;
}

/* A value that no file should hold, brought within the limits. */
static int128 decimal_wrap(int128 value, int128 limit)
{
    if (value >= -limit && value <= limit) return value;
    __extension__ typedef unsigned __int128 uint128;
    uint128 modulus = 2 * (uint128)limit + 1;
    uint128 rest = (value < 0 ? -(uint128)value : (uint128)value) % modulus;
    bool beyond = rest > (uint128)limit;
    int128 wrapped = (int128)(beyond ? modulus - rest : rest);
    return (value < 0) != beyond ? -wrapped : wrapped;
}

/* Both within the limits; nothing here leaves 128 bits. */
static int128 decimal_add(int128 a, int128 b, int128 limit)
{
    if (b > 0 && a > limit - b) return (a - limit) + (b - limit) - 1;
    if (b < 0 && a < -limit - b) return (a + limit) + (b + limit) + 1;
    return a + b;
}

/* One run; false when all of it is null. */
#define SUM_RUN(type, accumulator, add)                                                   \
    do {                                                                                  \
        const type *v = (const type *)(const void *)column->values.data + column->offset; \
        type *to = (type *)(void *)values;                                                \
        for (int64_t i = 0; i < runs->n; i++) {                                           \
            accumulator sum = 0;                                                          \
            bool any = false;                                                             \
            for (uint32_t at = runs->starts[i]; at < runs->starts[i + 1]; at++) {         \
                uint32_t entry = entry_of(runs, at);                                      \
                if (nulls && column_is_null(column, entry)) continue;                     \
                accumulator value = (accumulator)v[entry];                                \
                sum = any ? (add) : value;                                                \
                any = true;                                                               \
            }                                                                             \
            to[i] = (type)sum;                                                            \
            if (!any) none[i >> 3] |= (uint8_t)(1 << (i & 7));                            \
        }                                                                                 \
    } while (0)

static void sum_runs(const struct column *column, const struct runs *runs, uint8_t *values,
                     uint8_t *none)
{
    bool nulls = column->null_count > 0;
    switch (column->type->kind) {
    case TYPE_INT32: SUM_RUN(int32_t, uint32_t, sum + value); return;
    case TYPE_INT64: SUM_RUN(int64_t, uint64_t, sum + value); return;
    case TYPE_FLOAT: SUM_RUN(float, float, one_float_nan(sum + value)); return;
    case TYPE_DOUBLE: SUM_RUN(double, double, one_nan(sum + value)); return;
    default: break;
    }
    ASSERT(column->type->kind == TYPE_DECIMAL);
    int128 limit = decimal_limit(column->type->precision);
    for (int64_t i = 0; i < runs->n; i++) {
        int128 sum = 0, value;
        bool any = false;
        for (uint32_t at = runs->starts[i]; at < runs->starts[i + 1]; at++) {
            uint32_t entry = entry_of(runs, at);
            if (nulls && column_is_null(column, entry)) continue;
            memcpy(&value, column->values.data + 16 * (column->offset + entry), 16);
            value = decimal_wrap(value, limit);
            sum = any ? decimal_add(sum, value, limit) : value;
            any = true;
        }
        memcpy(values + 16 * i, &sum, 16);
        if (!any) none[i >> 3] |= (uint8_t)(1 << (i & 7));
    }
}

static int new_buffer(struct column_buffer *out, uint64_t size, struct budget *budget)
{
    TRY(block_new(&out->block, budget, size));
    out->data = out->block->data;
    out->size = size;
    return 0;
}

static int sum_column(struct column *out, const struct column *column, const struct runs *runs,
                      struct budget *budget)
{
    size_t bitmap = ((size_t)runs->n + 7) / 8;
    defer_free uint8_t *none = memory_alloc_zero(bitmap + 1);
    *out = (struct column){.type = column->type, .length = runs->n};
    TRY(new_buffer(&out->values, (uint64_t)runs->n * type_width(column->type), budget));
    sum_runs(column, runs, out->values.block->data, none);
    for (int64_t i = 0; i < runs->n; i++)
        out->null_count += none[i >> 3] >> (i & 7) & 1;
    if (!out->null_count) return 0;
    int code = new_buffer(&out->validity, bitmap, budget);
    if (code < 0) {
        column_free(out);
        return code;
    }
    for (size_t i = 0; i < bitmap; i++)
        out->validity.block->data[i] = (uint8_t)~none[i];
    if (runs->n % 8) out->validity.block->data[bitmap - 1] &= (uint8_t)((1 << runs->n % 8) - 1);
    return 0;
}

int aggregate_column(struct column *out, const struct column *column, enum aggregation aggregation,
                     const struct runs *runs, struct budget *budget)
{
    if (aggregation == AGGREGATION_SUM || aggregation == AGGREGATION_MAP_SUM)
        return sum_column(out, column, runs, budget);
    bool greatest = aggregation == AGGREGATION_MAX || aggregation == AGGREGATION_MAP_MAX;
    return pick_column(out, column, greatest, runs, budget);
}

/* ---- one form ---- */

static bool has_odd_floats(const struct column *column)
{
    const uint32_t *v = (const uint32_t *)(const void *)column->values.data + column->offset;
    uint32_t odd = 0;
    for (int64_t i = 0; i < column->length; i++) {
        uint32_t bits = v[i];
        odd |= bits == UINT32_C(0x80000000);
        odd |= (bits & UINT32_C(0x7fffffff)) > UINT32_C(0x7f800000) && bits != FLOAT_NAN_BITS;
    }
    return odd != 0;
}

static bool has_odd_doubles(const struct column *column)
{
    const uint64_t *v = (const uint64_t *)(const void *)column->values.data + column->offset;
    uint64_t odd = 0;
    for (int64_t i = 0; i < column->length; i++) {
        uint64_t bits = v[i];
        odd |= bits == UINT64_C(1) << 63;
        odd |= (bits & (UINT64_MAX >> 1)) > UINT64_C(0x7ff0000000000000) && bits != NAN_BITS;
    }
    return odd != 0;
}

static int normalise_scalars(struct column *column, struct budget *budget)
{
    bool wide = column->type->kind == TYPE_DOUBLE;
    if (!(wide ? has_odd_doubles(column) : has_odd_floats(column))) return 0;
    int64_t n = column->offset + column->length; /* what lies before keeps its place */
    struct column_buffer fresh = {0};
    TRY(new_buffer(&fresh, (uint64_t)n * (wide ? 8 : 4), budget));
    uint8_t *to = fresh.block->data;
    memcpy(to, column->values.data, fresh.size);
    for (int64_t i = column->offset; i < n; i++) {
        double value;
        float narrow;
        if (wide) {
            memcpy(&value, to + 8 * i, 8);
            value = one_nan(value);
            memcpy(to + 8 * i, &value, 8);
        } else {
            memcpy(&narrow, to + 4 * i, 4);
            narrow = one_float_nan(narrow);
            memcpy(to + 4 * i, &narrow, 4);
        }
    }
    block_release(column->values.block);
    column->values = fresh;
    return 0;
}

int normalise_reals(struct column *column, struct budget *budget)
{
    if (column->type->kind == TYPE_FLOAT || column->type->kind == TYPE_DOUBLE)
        return normalise_scalars(column, budget);
    if (column->type->kind != TYPE_MAP) return 0;
    struct column *entries = &column->children[0];
    for (uint32_t i = 0; i < 2; i++) {
        struct column *child = &entries->children[i];
        if (child->type->kind == TYPE_FLOAT || child->type->kind == TYPE_DOUBLE)
            TRY(normalise_scalars(child, budget));
    }
    return 0;
}
