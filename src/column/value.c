/*
 * value.c: single scalars: out of columns, compared, copied, and the next one after a value.
 */
#include "column/column_int.h"

#include <math.h>

static double real_from_half(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double value = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
                   : exponent == 0 ? ldexp(fraction, -24)
                                   : ldexp(fraction + 1024, exponent - 25);
    return half >> 15 ? -value : value;
}

static int64_t integer_at(const struct column *column, int64_t i)
{
    const uint8_t *at = column->values.data;
    unsigned width = type_width(column->type);
    bool is_unsigned = column->type->kind >= TYPE_UINT8 && column->type->kind <= TYPE_UINT64;
    int64_t value = 0;
    memcpy(&value, at + (uint64_t)i * width, width);
    unsigned shift = 64 - 8 * width;
    return is_unsigned ? value : (int64_t)((uint64_t)value << shift) >> shift;
}

void column_value(const struct column *column, int64_t row, struct value *out)
{
    int64_t i = column->offset + row;
    enum type_kind kind = column->type->kind;
    *out = value_null(kind);
    if (kind == TYPE_NULL || column_is_null(column, row)) return;
    if (column->dictionary) {
        const uint32_t *indices = (const uint32_t *)(const void *)column->values.data;
        column_value(column->dictionary, indices[i], out);
        return;
    }
    out->is_null = false;
    switch (kind) {
    case TYPE_BOOLEAN: out->integer = bit_get(column->values.data, i); return;
    case TYPE_FLOAT16: {
        uint16_t half;
        memcpy(&half, column->values.data + 2 * i, 2);
        out->real = real_from_half(half);
        return;
    }
    case TYPE_FLOAT: {
        float narrow;
        memcpy(&narrow, column->values.data + 4 * i, 4);
        out->real = narrow;
        return;
    }
    case TYPE_DOUBLE: memcpy(&out->real, column->values.data + 8 * i, 8); return;
    case TYPE_DECIMAL: memcpy(&out->decimal, column->values.data + 16 * i, 16); return;
    case TYPE_STRING:
    case TYPE_BYTES: out->bytes = column_slice_at(column, row); return;
    case TYPE_FIXED_BYTES:
    case TYPE_DECIMAL256:
    case TYPE_INTERVAL: {
        unsigned width = type_width(column->type);
        out->bytes = slice_make(column->values.data + (uint64_t)i * width, width);
        return;
    }
    default: out->integer = integer_at(column, i);
    }
}

static int compare_reals(double a, double b)
{
    if (isnan(a) || isnan(b)) return (isnan(a) != 0) - (isnan(b) != 0);
    if (a == b) return (signbit(b) != 0) - (signbit(a) != 0);
    return a < b ? -1 : 1;
}

int value_compare(const struct value *a, const struct value *b)
{
    if (a->is_null || b->is_null) return a->is_null - b->is_null;
    switch (a->kind) {
    case TYPE_FLOAT16:
    case TYPE_FLOAT:
    case TYPE_DOUBLE: return compare_reals(a->real, b->real);
    case TYPE_DECIMAL: return (a->decimal > b->decimal) - (a->decimal < b->decimal);
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_FIXED_BYTES:
    case TYPE_INTERVAL: return slice_compare(a->bytes, b->bytes);
    case TYPE_DECIMAL256:
        for (int i = 31; i >= 0; i--) {
            uint8_t x = (uint8_t)a->bytes.data[i], y = (uint8_t)b->bytes.data[i];
            if (i == 31) {
                x ^= 0x80;
                y ^= 0x80;
            }
            if (x != y) return x < y ? -1 : 1;
        }
        return 0;
    case TYPE_UINT64:
        return ((uint64_t)a->integer > (uint64_t)b->integer) -
               ((uint64_t)a->integer < (uint64_t)b->integer);
    default: return (a->integer > b->integer) - (a->integer < b->integer);
    }
}

static bool has_bytes(enum type_kind kind)
{
    return kind == TYPE_STRING || kind == TYPE_BYTES || kind == TYPE_FIXED_BYTES ||
           kind == TYPE_DECIMAL256 || kind == TYPE_INTERVAL;
}

struct value value_copy(const struct value *value, struct arena *arena)
{
    struct value copy = *value;
    if (!value->is_null && has_bytes(value->kind)) copy.bytes = arena_copy(arena, value->bytes);
    return copy;
}

bool value_next(const struct type *type, const struct value *value, struct arena *arena,
                struct value *out)
{
    *out = *value;
    int128 limit = 1;
    switch (type->kind) {
    case TYPE_BOOLEAN: return ++out->integer <= 1;
    case TYPE_INT32:
    case TYPE_DATE: return out->integer++ < INT32_MAX;
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        if (out->integer == INT64_MAX) return false;
        out->integer++;
        return true;
    case TYPE_FLOAT:
        if (out->real == (double)INFINITY) return false;
        out->real = out->real == 0 ? (double)nextafterf(0.0F, 1.0F)
                                   : (double)nextafterf((float)out->real, INFINITY);
        return true;
    case TYPE_DOUBLE:
        if (out->real == (double)INFINITY) return false;
        out->real = nextafter(out->real == 0 ? 0.0 : out->real, (double)INFINITY);
        return true;
    case TYPE_DECIMAL:
        for (unsigned i = 0; i < type->precision; i++)
            limit *= 10;
        return ++out->decimal < limit;
    case TYPE_STRING:
    case TYPE_BYTES: {
        char *bytes = arena_alloc(arena, value->bytes.size + 1);
        if (value->bytes.size) memcpy(bytes, value->bytes.data, value->bytes.size);
        bytes[value->bytes.size] = 0;
        out->bytes = slice_make(bytes, value->bytes.size + 1);
        return true;
    }
    default: return false;
    }
}
