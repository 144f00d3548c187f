/*
 * keys.c: the one key encoding (column.h, "keys"; docs/formats.md), for single values and for the
 * rows of a batch.
 *
 * Each field's encoding is self-delimiting and of memcmp order, so fields follow each other. Fixed
 * widths come first to mind: a key of only such fields has a stride and is written column by
 * column. Text is escaped (00 becomes 00 FF) and ended by 00 00, so a prefix sorts first; most text
 * has no 00, which is found out before it is copied whole.
 */
#include "column/column_int.h"

#include <math.h>
#include <stdlib.h>

static unsigned fixed_width(const struct type *type)
{
    switch (type->kind) {
    case TYPE_BOOLEAN: return 1;
    case TYPE_INT32:
    case TYPE_DATE:
    case TYPE_FLOAT: return 4;
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
    case TYPE_DOUBLE: return 8;
    case TYPE_DECIMAL: return type->precision <= 9 ? 4 : type->precision <= 18 ? 8 : 16;
    default: return 0;
    }
}

unsigned key_fixed_width(const struct type *type)
{
    return fixed_width(type);
}

static void put_big_endian(uint8_t *to, unsigned __int128 bits, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        to[i] = (uint8_t)(bits >> (8 * (width - 1 - i)));
}

static void put_integer(uint8_t *to, int128 value, unsigned width)
{
    unsigned __int128 bits = (unsigned __int128)value;
    bits ^= (unsigned __int128)1 << (8 * width - 1);
    put_big_endian(to, bits, width);
}

static void put_real(uint8_t *to, double value, unsigned width)
{
    if (value == 0) value = 0; /* -0 */
    if (width == 4) {
        float narrow = (float)value;
        uint32_t bits;
        memcpy(&bits, &narrow, 4);
        bits = bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
        put_big_endian(to, bits, 4);
    } else {
        uint64_t bits;
        memcpy(&bits, &value, 8);
        bits = bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
        put_big_endian(to, bits, 8);
    }
}

static int put_fixed(uint8_t *to, const struct type *type, const struct value *value)
{
    unsigned width = fixed_width(type);
    switch (type->kind) {
    case TYPE_BOOLEAN: *to = value->integer != 0; return 0;
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        if (isnan(value->real)) return error_set(GLIS_EDATA, "a key cannot be NaN");
        put_real(to, value->real, width);
        return 0;
    case TYPE_DECIMAL: put_integer(to, value->decimal, width); return 0;
    default: put_integer(to, value->integer, width); return 0;
    }
}

/* Not 0 when one of the eight bytes is. */
static inline uint64_t zero_among(uint64_t bytes)
{
    return (bytes - UINT64_C(0x0101010101010101)) & ~bytes & UINT64_C(0x8080808080808080);
}

/* Texts of 8 to SHORT_TEXT bytes, which most keys are: eight bytes at a time, the last eight
 * perhaps over the ones before. A call of memchr would cost more than that. */
enum { SHORT_TEXT = 64 };
static inline bool short_text_has_zero(struct slice text)
{
    uint64_t bytes, zero = 0;
    for (size_t i = 0; i + 8 < text.size; i += 8) {
        memcpy(&bytes, text.data + i, 8);
        zero |= zero_among(bytes);
    }
    memcpy(&bytes, text.data + text.size - 8, 8);
    return (zero | zero_among(bytes)) != 0;
}

static inline void put_short_text(uint8_t *to, struct slice text)
{
    uint64_t bytes;
    for (size_t i = 0; i + 8 < text.size; i += 8) {
        memcpy(&bytes, text.data + i, 8);
        memcpy(to + i, &bytes, 8);
    }
    memcpy(&bytes, text.data + text.size - 8, 8);
    memcpy(to + text.size - 8, &bytes, 8);
}

static inline bool is_short_without_zero(struct slice text)
{
    return text.size >= 8 && text.size <= SHORT_TEXT && !short_text_has_zero(text);
}

/* Bytes of an escaped text, its end included. */
static size_t escaped_size(struct slice text)
{
    if (is_short_without_zero(text)) return text.size + 2;
    size_t size = text.size + 2;
    const char *at = text.data, *end = text.data + text.size;
    while (at < end && (at = memchr(at, 0, (size_t)(end - at)))) {
        size++;
        at++;
    }
    return size;
}

static uint8_t *put_escaped(uint8_t *to, struct slice text)
{
    const char *at = text.data, *end = at + text.size;
    if (is_short_without_zero(text)) {
        put_short_text(to, text);
        to += text.size;
        at = end;
    }
    while (at < end) {
        const char *zero = memchr(at, 0, (size_t)(end - at));
        size_t n = (size_t)((zero ? zero + 1 : end) - at);
        memcpy(to, at, n);
        to += n;
        at += n;
        if (zero) *to++ = 0xff;
    }
    *to++ = 0;
    *to++ = 0;
    return to;
}

int key_append_value(const struct type *type, const struct value *value, struct buffer *out)
{
    uint8_t bytes[16];
    if (value->is_null) return error_set(GLIS_EDATA, "a key cannot be null");
    unsigned width = fixed_width(type);
    if (width) {
        TRY(put_fixed(bytes, type, value));
        return buffer_append(out, bytes, width);
    }
    if (type->kind != TYPE_STRING && type->kind != TYPE_BYTES)
        return error_set(GLIS_EINVALID, "a type that no key can have");
    size_t size = escaped_size(value->bytes);
    TRY(buffer_reserve(out, size));
    put_escaped(out->data + out->size, value->bytes);
    out->size += size;
    return 0;
}

int key_append(const struct schema *schema, const struct value *values, uint32_t n,
               struct buffer *out)
{
    for (uint32_t i = 0; i < n; i++)
        TRY_CONTEXT(key_append_value(&schema->fields[i].type, &values[i], out), "field '%.*s'",
                    SLICE_PRINT(schema->fields[i].name));
    return 0;
}

int key_append_row(const struct batch *batch, int64_t row, uint32_t n_fields, struct buffer *out)
{
    for (uint32_t i = 0; i < n_fields; i++) {
        struct value value;
        column_value(&batch->columns[i], row, &value);
        TRY_CONTEXT(key_append_value(&batch->schema->fields[i].type, &value, out),
                    "field '%.*s', row %lld", SLICE_PRINT(batch->schema->fields[i].name),
                    (long long)row);
    }
    return 0;
}

/* ---- all rows of a batch ---- */

static int bad_key(const struct batch *batch, uint32_t field, int64_t row, const char *what)
{
    return error_set(GLIS_EDATA, "field '%.*s', row %lld: a key cannot be %s",
                     SLICE_PRINT(batch->schema->fields[field].name), (long long)row, what);
}

/* Where the next field of each row goes: by stride, or at a cursor a row. */
struct placing {
    uint8_t *bytes;
    uint32_t stride, *cursors;
};

static uint8_t *place(struct placing *placing, int64_t row, unsigned width)
{
    if (placing->stride) return placing->bytes + row * placing->stride;
    uint8_t *to = placing->bytes + placing->cursors[row];
    placing->cursors[row] += width;
    return to;
}

static int encode_fixed(const struct batch *batch, uint32_t field, struct placing *placing)
{
    const struct column *column = &batch->columns[field];
    const struct type *type = &batch->schema->fields[field].type;
    unsigned width = fixed_width(type);
    bool quick = !column->dictionary;
    if (quick && (type->kind == TYPE_INT64 || type->kind == TYPE_TIMESTAMP)) {
        const int64_t *from = (const int64_t *)(const void *)column->values.data + column->offset;
        for (int64_t row = 0; row < batch->n_rows; row++) {
            uint64_t bits = __builtin_bswap64((uint64_t)from[row] ^ UINT64_C(1) << 63);
            memcpy(place(placing, row, 8), &bits, 8);
        }
    } else if (quick && (type->kind == TYPE_INT32 || type->kind == TYPE_DATE)) {
        const int32_t *from = (const int32_t *)(const void *)column->values.data + column->offset;
        for (int64_t row = 0; row < batch->n_rows; row++) {
            uint32_t bits = __builtin_bswap32((uint32_t)from[row] ^ UINT32_C(1) << 31);
            memcpy(place(placing, row, 4), &bits, 4);
        }
    } else {
        for (int64_t row = 0; row < batch->n_rows; row++) {
            struct value value;
            column_value(column, row, &value);
            if (put_fixed(place(placing, row, width), type, &value) < 0)
                return bad_key(batch, field, row, "NaN");
        }
    }
    return 0;
}

static struct slice text_at(const struct column *column, int64_t row)
{
    if (!column->dictionary) return column_slice_at(column, row);
    struct value value;
    column_value(column, row, &value);
    return value.bytes;
}

static void encode_texts(const struct batch *batch, uint32_t field, struct placing *placing)
{
    const struct column *column = &batch->columns[field];
    for (int64_t row = 0; row < batch->n_rows; row++) {
        uint8_t *to = place(placing, row, 0);
        placing->cursors[row] += (uint32_t)(put_escaped(to, text_at(column, row)) - to);
    }
}

/* Sizes of all keys into cursors[row + 1]; the total. */
static int measure(const struct batch *batch, uint32_t n_fields, uint32_t *offsets)
{
    uint64_t total = 0;
    for (int64_t row = 0; row < batch->n_rows; row++) {
        uint64_t size = 0;
        for (uint32_t f = 0; f < n_fields; f++) {
            unsigned width = fixed_width(&batch->schema->fields[f].type);
            size += width ? width : escaped_size(text_at(&batch->columns[f], row));
            if (size > KEY_BYTES_MAX)
                return error_set(GLIS_EDATA, "field '%.*s', row %lld: a key of more than %d bytes",
                                 SLICE_PRINT(batch->schema->fields[f].name), (long long)row,
                                 KEY_BYTES_MAX);
        }
        offsets[row] = (uint32_t)total;
        total += size;
        if (total > UINT32_MAX)
            return error_set(GLIS_ELIMIT, "keys of more than 4 GiB in one batch");
    }
    offsets[batch->n_rows] = (uint32_t)total;
    return 0;
}

static int encode(struct keys *out, const struct batch *batch, uint32_t n_fields,
                  struct budget *budget)
{
    struct placing placing = {.stride = out->stride};
    struct block *cursors = NULL;
    uint64_t offset_bytes = ((uint64_t)batch->n_rows + 1) * 4;
    uint64_t size = (uint64_t)batch->n_rows * out->stride;
    if (!out->stride) {
        TRY(block_new(&out->offsets_block, budget, offset_bytes));
        uint32_t *offsets = (uint32_t *)(void *)out->offsets_block->data;
        TRY(measure(batch, n_fields, offsets));
        out->offsets = offsets;
        size = offsets[batch->n_rows];
        TRY(block_new(&cursors, budget, offset_bytes));
        memcpy(cursors->data, offsets, offset_bytes);
        placing.cursors = (uint32_t *)(void *)cursors->data;
    }
    int code = block_new(&out->bytes_block, budget, size);
    if (code == 0) out->bytes = out->bytes_block->data;
    placing.bytes = code == 0 ? out->bytes_block->data : NULL;
    for (uint32_t f = 0; f < n_fields && code == 0; f++) {
        unsigned width = fixed_width(&batch->schema->fields[f].type);
        if (width)
            code = encode_fixed(batch, f, &placing);
        else
            encode_texts(batch, f, &placing);
        if (placing.stride) placing.bytes += width;
    }
    block_release(cursors);
    return code;
}

int keys_encode(struct keys *out, const struct batch *batch, uint32_t n_fields,
                struct budget *budget)
{
    uint32_t stride = 0;
    bool fixed = true;
    *out = (struct keys){.n_rows = batch->n_rows};
    for (uint32_t f = 0; f < n_fields; f++) {
        const struct column *column = &batch->columns[f];
        if (!type_can_be_key(&batch->schema->fields[f].type))
            return error_set(GLIS_EINVALID, "field '%.*s' cannot be a key",
                             SLICE_PRINT(batch->schema->fields[f].name));
        for (int64_t row = 0; column->null_count && row < batch->n_rows; row++)
            if (column_is_null(column, row)) return bad_key(batch, f, row, "null");
        stride += fixed_width(&batch->schema->fields[f].type);
        fixed = fixed && fixed_width(&batch->schema->fields[f].type);
    }
    if (fixed) out->stride = stride;
    int code = encode(out, batch, n_fields, budget);
    if (code < 0) keys_free(out);
    return code;
}

void keys_free(struct keys *keys)
{
    block_release(keys->bytes_block);
    block_release(keys->offsets_block);
    *keys = (struct keys){0};
}

/* ---- back ---- */

static int no_key(void)
{
    return error_set(GLIS_ECORRUPT, "bytes that are no key of these fields");
}

/* Bytes of the escaped text at the beginning, its end included. */
static int text_size(struct slice key, size_t *size)
{
    for (size_t i = 0; i + 1 < key.size; i++) {
        if (key.data[i] != 0) continue;
        if (key.data[i + 1] == 0) {
            *size = i + 2;
            return 0;
        }
        if ((uint8_t)key.data[i + 1] != 0xff) return no_key();
        i++;
    }
    return no_key();
}

static int field_size(const struct type *type, struct slice key, size_t *size)
{
    *size = fixed_width(type);
    if (!*size) return text_size(key, size);
    return *size > key.size ? no_key() : 0;
}

static int decode_text(const struct type *type, struct slice encoded, struct arena *arena,
                       struct value *out)
{
    char *to = arena_alloc(arena, encoded.size);
    size_t n = 0;
    for (size_t i = 0; i + 2 < encoded.size; i++) {
        to[n++] = encoded.data[i];
        if (encoded.data[i] == 0) i++;
    }
    *out = value_bytes(type->kind, slice_make(to, n));
    return 0;
}

static int decode_real(const struct type *type, unsigned __int128 bits, struct value *out)
{
    double real;
    if (type->kind == TYPE_FLOAT) {
        uint32_t narrow = (uint32_t)bits;
        float value;
        narrow = narrow >> 31 ? narrow & ~(UINT32_C(1) << 31) : ~narrow;
        memcpy(&value, &narrow, 4);
        real = value;
    } else {
        uint64_t wide = (uint64_t)bits;
        wide = wide >> 63 ? wide & ~(UINT64_C(1) << 63) : ~wide;
        memcpy(&real, &wide, 8);
    }
    *out = value_real(type->kind, real);
    return isnan(real) || (real == 0 && signbit(real)) ? no_key() : 0;
}

static int decode_field(const struct type *type, struct slice encoded, struct arena *arena,
                        struct value *out)
{
    unsigned width = fixed_width(type);
    unsigned __int128 bits = 0;
    if (!width) return decode_text(type, encoded, arena, out);
    for (unsigned i = 0; i < width; i++)
        bits = bits << 8 | (uint8_t)encoded.data[i];
    if (type->kind == TYPE_BOOLEAN) {
        *out = value_integer(TYPE_BOOLEAN, (int64_t)bits);
        return bits > 1 ? no_key() : 0;
    }
    if (type->kind == TYPE_FLOAT || type->kind == TYPE_DOUBLE) return decode_real(type, bits, out);
    bits ^= (unsigned __int128)1 << (8 * width - 1);
    unsigned shift = 128 - 8 * width;
    int128 number = (int128)(bits << shift) >> shift;
    *out = type->kind == TYPE_DECIMAL ? value_decimal(number)
                                      : value_integer(type->kind, (int64_t)number);
    return 0;
}

int key_decode(const struct schema *schema, struct slice key, uint32_t n, struct arena *arena,
               struct value *values)
{
    for (uint32_t i = 0; i < n; i++) {
        size_t size;
        TRY(field_size(&schema->fields[i].type, key, &size));
        TRY(decode_field(&schema->fields[i].type, slice_part(key, 0, size), arena, &values[i]));
        key = slice_part(key, size, SIZE_MAX);
    }
    return key.size ? no_key() : 0;
}

int key_fields_size(const struct schema *schema, struct slice key, uint32_t n, size_t *size)
{
    size_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t one;
        TRY(field_size(&schema->fields[i].type, slice_part(key, total, SIZE_MAX), &one));
        total += one;
    }
    *size = total;
    return 0;
}

bool key_successor(struct slice prefix, struct arena *arena, struct slice *out)
{
    while (prefix.size && (uint8_t)prefix.data[prefix.size - 1] == 0xff)
        prefix.size--;
    if (!prefix.size) return false;
    struct slice copy = arena_copy(arena, prefix);
    ((char *)(uintptr_t)copy.data)[copy.size - 1]++;
    *out = copy;
    return true;
}
