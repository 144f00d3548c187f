/*
 * column.c: columns as shared buffers: sharing, slicing, freeing, columns of nulls, dictionaries
 * looked up. Slices move `offset`; nothing is copied, but a slice's null count is counted anew.
 */
#include "column/column_int.h"

#include <stdlib.h>

static void buffer_release(struct column_buffer *buffer)
{
    block_release(buffer->block);
    *buffer = (struct column_buffer){NULL, NULL, 0};
}

static struct column_buffer buffer_share(const struct column_buffer *buffer)
{
    struct column_buffer copy = *buffer;
    copy.block = block_acquire(buffer->block);
    return copy;
}

void column_free(struct column *column)
{
    buffer_release(&column->validity);
    buffer_release(&column->offsets);
    buffer_release(&column->values);
    for (uint32_t i = 0; column->children && i < column->type->n_children; i++)
        column_free(&column->children[i]);
    free(column->children);
    column->children = NULL;
    if (column->dictionary) column_free(column->dictionary);
    free(column->dictionary);
    column->dictionary = NULL;
}

int column_share(struct column *out, const struct column *column)
{
    *out = *column;
    out->validity = buffer_share(&column->validity);
    out->offsets = buffer_share(&column->offsets);
    out->values = buffer_share(&column->values);
    out->children = NULL;
    out->dictionary = NULL;
    if (column->children) {
        out->children = memory_alloc_zero(column->type->n_children * sizeof *out->children);
        for (uint32_t i = 0; i < column->type->n_children; i++)
            TRY(column_share(&out->children[i], &column->children[i]));
    }
    if (column->dictionary) {
        out->dictionary = memory_alloc_zero(sizeof *out->dictionary);
        TRY(column_share(out->dictionary, column->dictionary));
    }
    return 0;
}

static int64_t count_nulls(const struct column *column)
{
    int64_t n = 0;
    if (!column->validity.data) return column->type->kind == TYPE_NULL ? column->length : 0;
    for (int64_t i = 0; i < column->length;) {
        int64_t bit = column->offset + i;
        if ((bit & 7) == 0 && column->length - i >= 8) {
            n += 8 - __builtin_popcount(column->validity.data[bit >> 3]);
            i += 8;
        } else {
            n += !bit_get(column->validity.data, bit);
            i++;
        }
    }
    return n;
}

int column_slice(struct column *out, const struct column *column, int64_t begin, int64_t length)
{
    if (begin < 0 || length < 0 || begin > column->length || length > column->length - begin)
        return error_set(GLIS_EINVALID, "%lld entries from %lld of a column of %lld",
                         (long long)length, (long long)begin, (long long)column->length);
    TRY(column_share(out, column));
    out->offset += begin;
    out->length = length;
    if (column->null_count) out->null_count = count_nulls(out);
    return 0;
}

int column_new_null(struct column *out, const struct type *type, int64_t length,
                    struct budget *budget)
{
    *out = (struct column){.type = type, .length = length, .null_count = length};
    struct block *block;
    uint64_t bits = ((uint64_t)length + 7) / 8;
    if (type->kind == TYPE_NULL) return 0;
    TRY(block_new(&block, budget, bits));
    memset(block->data, 0, bits);
    if (length)
        out->validity = (struct column_buffer){block, block->data, bits};
    else
        block_release(block);
    int code = 0;
    uint64_t size = type->kind == TYPE_BOOLEAN ? bits : (uint64_t)length * type_width(type);
    bool scalar = type->n_children == 0 && type->kind != TYPE_STRUCT;
    if (type_has_offsets(type)) {
        uint64_t bytes = ((uint64_t)length + 1) * 4;
        code = block_new(&block, budget, bytes);
        if (code == 0) {
            memset(block->data, 0, bytes);
            out->offsets = (struct column_buffer){block, block->data, bytes};
        }
        size = 0;
    }
    if (code == 0 && scalar) {
        code = block_new(&block, budget, size);
        if (code == 0) {
            memset(block->data, 0, size);
            out->values = (struct column_buffer){block, block->data, size};
        }
    }
    if (code == 0 && type->n_children) {
        out->children = memory_alloc_zero(type->n_children * sizeof *out->children);
        for (uint32_t i = 0; i < type->n_children; i++)
            out->children[i].type = &type->children[i].type;
        for (uint32_t i = 0; i < type->n_children && code == 0; i++)
            code = column_new_null(&out->children[i], &type->children[i].type,
                                   type->kind == TYPE_STRUCT ? length : 0, budget);
    }
    if (code < 0) column_free(out);
    return code;
}

int column_decode_dictionary(struct column *column, struct budget *budget)
{
    if (!column->dictionary) return 0;
    struct block *rows;
    struct column plain;
    TRY(block_new(&rows, budget, (uint64_t)column->length * 4));
    uint32_t *indices = (uint32_t *)(void *)rows->data;
    const uint32_t *from = (const uint32_t *)(const void *)column->values.data + column->offset;
    bool empty = column->dictionary->length == 0;
    for (int64_t i = 0; i < column->length; i++)
        indices[i] = column_is_null(column, i) ? 0 : from[i];
    int code = empty ? column_new_null(&plain, column->type, column->length, budget)
                     : column_take(&plain, column->dictionary, indices, column->length, budget);
    block_release(rows);
    TRY(code);
    bool nothing = column->type->kind == TYPE_NULL; /* has no bitmap */
    if (!empty && !nothing &&
        column->null_count) { /* null by index, or by what the index leads to */
        struct block *bits;
        uint64_t size = ((uint64_t)column->length + 7) / 8;
        code = block_new(&bits, budget, size);
        if (code < 0) {
            column_free(&plain);
            return code;
        }
        memset(bits->data, 0, size);
        int64_t nulls = 0;
        for (int64_t i = 0; i < column->length; i++) {
            bool is_null = column_is_null(column, i) || column_is_null(&plain, i);
            bit_put(bits->data, i, !is_null);
            nulls += is_null;
        }
        buffer_release(&plain.validity);
        plain.validity = (struct column_buffer){bits, bits->data, size};
        plain.null_count = nulls;
    }
    const struct type *type = column->type;
    column_free(column);
    *column = plain;
    column->type = type;
    return 0;
}
