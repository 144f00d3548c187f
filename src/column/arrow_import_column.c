/*
 * arrow_import_column.c: one foreign Arrow array as a column of ours.
 *
 * Where the foreign layout is ours, buffers are wrapped in a block that keeps the whole foreign
 * array alive, without a copy (but for buffers that are not aligned to their values). Every other
 * layout that the format offers is turned into ours by a copy, counted in the budget: dictionaries
 * and runs are looked up, 64-bit offsets narrowed, views and lists of fixed size given offsets,
 * seconds made milliseconds, days taken out of milliseconds, decimals of any width and scale
 * brought to 16 bytes. What does not fit (more than 2 GiB of text, a second beyond the range, more
 * digits than the precision) is a named error, never another value.
 *
 * The C data interface tells no sizes, so the producer's buffers are believed to be as long as its
 * lengths and last offsets say; all else (offsets, indices, run ends, views) is checked here or by
 * batch_validate, which follows. Columns made by a copy begin at offset 0.
 *
 * Format: https://arrow.apache.org/docs/format/Columnar.html and CDataInterface.html.
 */
#include "column/column_int.h"
#include "glis.h"

#include <stdlib.h>

static int bad_array(const char *what)
{
    return error_set(GLIS_EINVALID, "an Arrow array with %s", what);
}

static int too_long(void)
{
    return error_set(GLIS_ELIMIT, "an Arrow array of more than 2 GiB in one column of a batch");
}

/* ---- buffers ---- */

static int new_buffer(const struct arrow_import *import, struct column_buffer *out, uint64_t size)
{
    TRY(block_new(&out->block, import->budget, size));
    out->data = out->block->data;
    out->size = size;
    return 0;
}

/* A foreign buffer; copied where a value would not be aligned. */
static int wrap(const struct arrow_import *import, const void *data, uint64_t size,
                unsigned alignment, struct column_buffer *out)
{
    if (!data && size) return bad_array("a buffer missing");
    if (data && (uintptr_t)data % alignment == 0) {
        *out = (struct column_buffer){block_acquire(import->owner), data, size};
        return 0;
    }
    TRY(new_buffer(import, out, size));
    if (size) memcpy(out->block->data, data, size);
    return 0;
}

static bool valid_at(const struct ArrowArray *in, int64_t row)
{
    const uint8_t *bits = in->buffers[0];
    return !bits || bit_get(bits, in->offset + row);
}

/* The validity of a column that begins at offset 0. */
static int copy_validity(const struct arrow_import *import, const struct ArrowArray *in,
                         struct column *out)
{
    if (!in->buffers[0]) return 0;
    uint64_t size = ((uint64_t)in->length + 7) / 8;
    TRY(new_buffer(import, &out->validity, size));
    uint8_t *bits = out->validity.block->data;
    memset(bits, 0, size);
    out->null_count = 0;
    for (int64_t i = 0; i < in->length; i++) {
        bit_put(bits, i, valid_at(in, i));
        out->null_count += !valid_at(in, i);
    }
    return 0;
}

/* An integer of 1 to 8 bytes that may lie anywhere. */
static int64_t integer_of(const void *buffer, int64_t i, unsigned width, bool is_unsigned)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)buffer + (uint64_t)i * width, width);
    unsigned shift = 64 - 8 * width;
    return is_unsigned ? (int64_t)value : (int64_t)(value << shift) >> shift;
}

/* Entries `rows` of a column. The list of sources that gathering makes is counted as well. */
static int take_rows(const struct arrow_import *import, struct column *out,
                     const struct column *column, const struct block *rows, int64_t n)
{
    uint64_t bytes = (uint64_t)n * sizeof(struct row_source);
    TRY(budget_reserve(import->budget, bytes));
    int code =
        column_take(out, column, (const uint32_t *)(const void *)rows->data, n, import->budget);
    budget_release(import->budget, bytes);
    return code;
}

/* ---- layouts like ours ---- */

static int import_children(const struct arrow_import *import, const struct ArrowArray *in,
                           const struct ArrowSchema *schema, struct column *out)
{
    const struct field *fields = out->type->children;
    out->children = memory_alloc_zero(out->type->n_children * sizeof *out->children);
    for (uint32_t i = 0; i < out->type->n_children; i++)
        out->children[i].type = &fields[i].type;
    for (uint32_t i = 0; i < out->type->n_children; i++)
        TRY_CONTEXT(arrow_import_column(import, in->children[i], schema->children[i],
                                        &fields[i].type, &out->children[i]),
                    "in '%.*s'", SLICE_PRINT(fields[i].name));
    return 0;
}

/* Offsets of 32 bits as they are. An array of no entries may come without them. */
static int wrap_offsets(const struct arrow_import *import, const struct ArrowArray *in, int64_t end,
                        struct column *out, uint64_t *last)
{
    if (end == 0) {
        TRY(new_buffer(import, &out->offsets, 4));
        memset(out->offsets.block->data, 0, 4);
        *last = 0;
        return 0;
    }
    TRY(wrap(import, in->buffers[1], ((uint64_t)end + 1) * 4, 4, &out->offsets));
    int32_t offset = ((const int32_t *)(const void *)out->offsets.data)[end];
    *last = (uint64_t)offset;
    return offset < 0 ? bad_array("a negative offset") : 0;
}

static int import_plain(const struct arrow_import *import, const struct ArrowArray *in,
                        const struct ArrowSchema *schema, struct column *out)
{
    const struct type *type = out->type;
    int64_t end = in->offset + in->length;
    uint64_t bits = ((uint64_t)end + 7) / 8;
    unsigned width = type_width(type);
    out->offset = in->offset;
    if (type->kind == TYPE_NULL) {
        out->null_count = out->length;
        return 0;
    }
    if (in->buffers[0]) TRY(wrap(import, in->buffers[0], bits, 1, &out->validity));
    for (int64_t i = 0; out->validity.data && i < out->length; i++)
        out->null_count += column_is_null(out, i);
    uint64_t size = type->kind == TYPE_BOOLEAN ? bits : (uint64_t)end * width;
    if (type_has_offsets(type)) TRY(wrap_offsets(import, in, end, out, &size));
    if (type->n_children) return import_children(import, in, schema, out);
    unsigned alignment = width == 2 || width == 4 || width == 8 ? width : 1;
    return wrap(import, in->buffers[in->n_buffers - 1], size, alignment, &out->values);
}

/* ---- other offsets ---- */

/* Offsets of 64 bits as ones of 32, from 0; [*first, *last) is what they speak of. */
static int narrow_offsets(const struct arrow_import *import, const struct ArrowArray *in,
                          struct column *out, int64_t *first, int64_t *last)
{
    TRY(new_buffer(import, &out->offsets, ((uint64_t)in->length + 1) * 4));
    int32_t *offsets = (int32_t *)(void *)out->offsets.block->data;
    *first = *last = offsets[0] = 0;
    if (in->length == 0) return 0;
    if (!in->buffers[1]) return bad_array("a buffer missing");
    *first = *last = integer_of(in->buffers[1], in->offset, 8, false);
    if (*first < 0) return bad_array("a negative offset");
    for (int64_t i = 0; i < in->length; i++) {
        int64_t next = integer_of(in->buffers[1], in->offset + i + 1, 8, false);
        if (next < *last) return bad_array("offsets that do not ascend");
        if (next - *first > INT32_MAX) return too_long();
        offsets[i + 1] = (int32_t)(next - *first);
        *last = next;
    }
    return 0;
}

static int import_large(const struct arrow_import *import, const struct ArrowArray *in,
                        const struct ArrowSchema *schema, struct column *out)
{
    int64_t first, last;
    TRY(copy_validity(import, in, out));
    TRY(narrow_offsets(import, in, out, &first, &last));
    if (!out->type->n_children) {
        const uint8_t *bytes = in->buffers[2];
        return wrap(import, bytes ? bytes + first : NULL, (uint64_t)(last - first), 1,
                    &out->values);
    }
    TRY(import_children(import, in, schema, out));
    struct column whole = out->children[0];
    if (last > whole.length) return bad_array("an offset beyond the end");
    int code = column_slice(&out->children[0], &whole, first, last - first);
    column_free(&whole);
    return code;
}

/* Lists that all have the same number of elements. */
static int import_fixed_list(const struct arrow_import *import, const struct ArrowArray *in,
                             const struct ArrowSchema *schema, int64_t size, struct column *out)
{
    if (size && in->offset + in->length > INT32_MAX / size) return too_long();
    TRY(copy_validity(import, in, out));
    TRY(new_buffer(import, &out->offsets, ((uint64_t)in->length + 1) * 4));
    for (int64_t i = 0; i <= in->length; i++)
        ((int32_t *)(void *)out->offsets.block->data)[i] = (int32_t)(i * size);
    TRY(import_children(import, in, schema, out));
    struct column whole = out->children[0];
    if ((in->offset + in->length) * size > whole.length)
        return bad_array("fewer elements than its lists have");
    int code = column_slice(&out->children[0], &whole, in->offset * size, in->length * size);
    column_free(&whole);
    return code;
}

/* Lists whose offsets and sizes are told one by one, in any order, also overlapping. */
static int import_list_views(const struct arrow_import *import, const struct ArrowArray *in,
                             const struct ArrowSchema *schema, unsigned width, struct column *out)
{
    int64_t total = 0, n = 0;
    struct block *rows;
    if (in->length && (!in->buffers[1] || !in->buffers[2])) return bad_array("a buffer missing");
    TRY(copy_validity(import, in, out));
    TRY(new_buffer(import, &out->offsets, ((uint64_t)in->length + 1) * 4));
    TRY(import_children(import, in, schema, out));
    struct column whole = out->children[0];
    int32_t *offsets = (int32_t *)(void *)out->offsets.block->data;
    offsets[0] = 0;
    for (int64_t i = 0; i < in->length; i++) {
        int64_t begin = integer_of(in->buffers[1], in->offset + i, width, false);
        int64_t size = integer_of(in->buffers[2], in->offset + i, width, false);
        if (!valid_at(in, i)) size = 0;
        if (size && (begin < 0 || size < 0 || begin > whole.length || size > whole.length - begin))
            return bad_array("a list beyond the end of its elements");
        total += size;
        if (total > INT32_MAX) return too_long();
        offsets[i + 1] = (int32_t)total;
    }
    TRY(block_new(&rows, import->budget, (uint64_t)total * 4));
    for (int64_t i = 0; i < in->length; i++) {
        int64_t begin = integer_of(in->buffers[1], in->offset + i, width, false);
        for (int32_t e = offsets[i]; e < offsets[i + 1]; e++)
            ((uint32_t *)(void *)rows->data)[n++] = (uint32_t)(begin + e - offsets[i]);
    }
    struct column chosen;
    int code = take_rows(import, &chosen, &whole, rows, n);
    block_release(rows);
    TRY(code);
    column_free(&whole);
    out->children[0] = chosen;
    return 0;
}

/* ---- views of text ---- */

/* A view: its size, then 12 bytes of text, or 4 of its beginning, the buffer's number and an
 * offset in that. */
static int view_at(const struct ArrowArray *in, int64_t row, struct slice *out)
{
    const uint8_t *view = (const uint8_t *)in->buffers[1] + 16 * (uint64_t)(in->offset + row);
    int32_t size, buffer, offset;
    memcpy(&size, view, 4);
    memcpy(&buffer, view + 8, 4);
    memcpy(&offset, view + 12, 4);
    if (!valid_at(in, row)) size = 0;
    if (size < 0) return bad_array("a view of negative size");
    *out = slice_make(view + 4, (size_t)size);
    if (size <= 12) return 0;
    if (buffer < 0 || buffer >= in->n_buffers - 3 || offset < 0 || !in->buffers[in->n_buffers - 1])
        return bad_array("a view of a buffer that is not there");
    int64_t whole = integer_of(in->buffers[in->n_buffers - 1], buffer, 8, false);
    if (offset > whole || size > whole - offset || !in->buffers[buffer + 2])
        return bad_array("a view beyond the end of its buffer");
    *out = slice_make((const uint8_t *)in->buffers[buffer + 2] + offset, (size_t)size);
    return 0;
}

static int import_views(const struct arrow_import *import, const struct ArrowArray *in,
                        struct column *out)
{
    struct slice text;
    uint64_t total = 0;
    if (in->length && !in->buffers[1]) return bad_array("a buffer missing");
    TRY(copy_validity(import, in, out));
    TRY(new_buffer(import, &out->offsets, ((uint64_t)in->length + 1) * 4));
    int32_t *offsets = (int32_t *)(void *)out->offsets.block->data;
    offsets[0] = 0;
    for (int64_t i = 0; i < in->length; i++) {
        TRY(view_at(in, i, &text));
        total += text.size;
        if (total > INT32_MAX) return too_long();
        offsets[i + 1] = (int32_t)total;
    }
    TRY(new_buffer(import, &out->values, total));
    for (int64_t i = 0; i < in->length; i++) {
        TRY(view_at(in, i, &text));
        if (text.size) memcpy(out->values.block->data + offsets[i], text.data, text.size);
    }
    return 0;
}

/* ---- other values ---- */

static int bad_value(int64_t row, const char *what)
{
    return error_set(GLIS_EDATA, "row %lld: %s", (long long)row, what);
}

/* Seconds as milliseconds, milliseconds as days: 4 or 8 bytes into 4 or 8. */
static int import_instants(const struct arrow_import *import, const struct ArrowArray *in,
                           const struct arrow_format *format, struct column *out)
{
    unsigned width = type_width(out->type);
    TRY(copy_validity(import, in, out));
    TRY(new_buffer(import, &out->values, (uint64_t)in->length * width));
    if (in->length && !in->buffers[1]) return bad_array("a buffer missing");
    for (int64_t i = 0; i < in->length; i++) {
        int64_t value = integer_of(in->buffers[1], in->offset + i, format->width, false);
        if (!valid_at(in, i)) value = 0;
        if (format->layout == ARROW_DATE_MILLIS) {
            if (value % 86400000) return bad_value(i, "a date that is no whole day");
            value /= 86400000;
        } else if (__builtin_mul_overflow(value, 1000, &value)) {
            return bad_value(i, "seconds out of range");
        }
        if (width == 4 && (value > INT32_MAX || value < INT32_MIN))
            return bad_value(i, "a date or time out of range");
        memcpy(out->values.block->data + (uint64_t)i * width, &value, width);
    }
    return 0;
}

/* Decimals of 4 to 32 bytes as ones of 16, times 10 to the power of format->power. */
static int import_decimals(const struct arrow_import *import, const struct ArrowArray *in,
                           const struct arrow_format *format, struct column *out)
{
    int128 limit = decimal_limit(out->type->precision), most = limit, factor = 1;
    for (unsigned i = 0; i < format->power; i++) {
        most /= 10;
        factor *= 10;
    }
    TRY(copy_validity(import, in, out));
    TRY(new_buffer(import, &out->values, (uint64_t)in->length * 16));
    if (in->length && !in->buffers[1]) return bad_array("a buffer missing");
    for (int64_t i = 0; i < in->length; i++) {
        const uint8_t *at =
            (const uint8_t *)in->buffers[1] + (uint64_t)(in->offset + i) * format->width;
        int128 number = 0;
        if (format->width < 16)
            number = integer_of(at, 0, format->width, false);
        else
            memcpy(&number, at, 16);
        int128 above = number < 0 ? -1 : 0; /* what the upper half of 32 bytes has to be */
        if (format->width == 32) memcpy(&above, at + 16, 16);
        if (!valid_at(in, i)) number = above = 0;
        if (above != (number < 0 ? -1 : 0) || number >= most || number <= -most)
            return bad_value(i, "a decimal of more digits than its type");
        number *= factor;
        memcpy(out->values.block->data + (uint64_t)i * 16, &number, 16);
    }
    return 0;
}

/* ---- dictionaries and runs ---- */

static int import_dictionary(const struct arrow_import *import, const struct ArrowArray *in,
                             const struct ArrowSchema *schema, struct column *out)
{
    struct arrow_format index;
    TRY(arrow_format_parse(schema, &index));
    unsigned width = type_width(&index.type);
    bool is_unsigned = index.type.kind >= TYPE_UINT8;
    out->dictionary = memory_alloc_zero(sizeof *out->dictionary);
    out->dictionary->type = out->type;
    TRY_CONTEXT(
        arrow_import_column(import, in->dictionary, schema->dictionary, out->type, out->dictionary),
        "in its dictionary");
    TRY(copy_validity(import, in, out));
    TRY(new_buffer(import, &out->values, (uint64_t)in->length * 4));
    if (in->length && !in->buffers[1]) return bad_array("a buffer missing");
    for (int64_t i = 0; i < in->length; i++) {
        int64_t at = integer_of(in->buffers[1], in->offset + i, width, is_unsigned);
        if (!valid_at(in, i)) at = 0;
        if ((at < 0 || at >= out->dictionary->length) && valid_at(in, i))
            return bad_array("an index beyond its dictionary");
        ((uint32_t *)(void *)out->values.block->data)[i] = (uint32_t)at;
    }
    uint64_t bytes = (uint64_t)in->length * (sizeof(struct row_source) + 4);
    TRY(budget_reserve(import->budget, bytes)); /* what gathering takes besides */
    int code = column_decode_dictionary(out, import->budget);
    budget_release(import->budget, bytes);
    return code;
}

/* For each row the run that it lies in. */
static int look_up_runs(const struct ArrowArray *in, const struct ArrowArray *ends, unsigned width,
                        int64_t n_values, uint32_t *rows)
{
    int64_t run = 0, end = 0;
    for (int64_t i = 0; i < in->length; i++) {
        for (; end <= in->offset + i; run++) {
            if (run >= ends->length || run >= n_values) return bad_array("too few runs");
            int64_t next = integer_of(ends->buffers[1], ends->offset + run, width, false);
            if (next <= end) return bad_array("run ends that do not ascend");
            end = next;
        }
        rows[i] = (uint32_t)(run - 1);
    }
    return 0;
}

static int import_runs(const struct arrow_import *import, const struct ArrowArray *in,
                       const struct ArrowSchema *schema, struct column *out)
{
    const struct ArrowArray *ends = in->children[0];
    struct arrow_format format;
    struct column values = {.type = out->type};
    struct block *rows;
    TRY(arrow_format_parse(schema->children[0], &format));
    if (ends->length < 0 || ends->offset < 0 || ends->n_buffers != 2 || !ends->buffers ||
        (ends->length && !ends->buffers[1]))
        return bad_array("run ends that cannot be read");
    TRY(block_new(&rows, import->budget, (uint64_t)in->length * 4));
    int code =
        arrow_import_column(import, in->children[1], schema->children[1], out->type, &values);
    if (code == 0)
        code = look_up_runs(in, ends, type_width(&format.type), values.length,
                            (uint32_t *)(void *)rows->data);
    if (code == 0) code = take_rows(import, out, &values, rows, in->length);
    column_free(&values);
    block_release(rows);
    return code;
}

/* ---- one array ---- */

static int check_array(const struct ArrowArray *in, const struct ArrowSchema *schema,
                       const struct arrow_format *format, const struct type *type)
{
    int64_t n_buffers = 2, n_children = schema->n_children;
    if (!in || in->length < 0 || in->offset < 0 || in->length > INT32_MAX ||
        in->offset > INT32_MAX - in->length)
        return bad_array("an impossible length");
    if (schema->dictionary) {
        if (!in->dictionary) return bad_array("no dictionary");
    } else {
        if (in->dictionary) return bad_array("a dictionary that its schema does not tell");
        switch (format->layout) {
        case ARROW_VIEWS: n_buffers = in->n_buffers < 3 ? 3 : in->n_buffers; break;
        case ARROW_LIST_VIEWS:
        case ARROW_LARGE_LIST_VIEWS: n_buffers = 3; break;
        case ARROW_FIXED_LIST: n_buffers = 1; break;
        case ARROW_RUNS: n_buffers = 0; break;
        default:
            n_buffers = 1 + type_has_offsets(type) + (type->n_children == 0);
            if (type->kind == TYPE_NULL) n_buffers = 0;
        }
    }
    if (in->n_buffers != n_buffers || in->n_children != n_children || (n_buffers && !in->buffers) ||
        (n_children && !in->children))
        return bad_array("other buffers or children than its type has");
    for (int64_t i = 0; i < n_children; i++)
        if (!in->children[i]) return bad_array("a child missing");
    return 0;
}

int arrow_import_column(const struct arrow_import *import, const struct ArrowArray *in,
                        const struct ArrowSchema *schema, const struct type *type,
                        struct column *out)
{
    struct arrow_format format;
    int code;
    *out = (struct column){.type = type};
    TRY(arrow_format_parse(schema, &format));
    TRY(check_array(in, schema, &format, type));
    out->length = in->length;
    if (schema->dictionary) {
        code = import_dictionary(import, in, schema, out);
    } else {
        switch (format.layout) {
        case ARROW_PLAIN: code = import_plain(import, in, schema, out); break;
        case ARROW_LARGE: code = import_large(import, in, schema, out); break;
        case ARROW_FIXED_LIST:
            code = import_fixed_list(import, in, schema, format.width, out);
            break;
        case ARROW_LIST_VIEWS: code = import_list_views(import, in, schema, 4, out); break;
        case ARROW_LARGE_LIST_VIEWS: code = import_list_views(import, in, schema, 8, out); break;
        case ARROW_VIEWS: code = import_views(import, in, out); break;
        case ARROW_SECONDS:
        case ARROW_DATE_MILLIS: code = import_instants(import, in, &format, out); break;
        case ARROW_DECIMALS: code = import_decimals(import, in, &format, out); break;
        default: code = import_runs(import, in, schema, out); break;
        }
    }
    if (code < 0) column_free(out);
    return code;
}
