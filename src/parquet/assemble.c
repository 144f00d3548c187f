/*
 * assemble.c: columns out of levels and values (the reverse of the shredding in the Dremel paper,
 * Melnik et al. 2010, section 4.2; https://parquet.apache.org/docs/file-format/nestedencoding/).
 *
 * Each node of the schema's tree looks at the levels of the first leaf below it. With r repeated
 * ancestors, of which the innermost has elements from definition level d on, an entry begins a slot
 * of the node when its repetition level is at most r and its definition level at least d. The slot
 * is null when the definition level is below the node's own. A list's length is the number of
 * entries in its slot that begin an element. A leaf's slot has a value when its definition level is
 * the leaf's maximum. All leaves below one node must agree in the number of slots.
 */
#include "base/text.h"
#include "parquet/parquet_read_int.h"

struct assembly {
    struct leaf_data *leaves;
    uint32_t first_leaf;
    struct budget *budget;
};

/* Where the slots of a node are. */
struct slots {
    int repetition, definition;
};

static bool is_slot(const struct leaf_data *data, const struct slots *slots, int64_t i)
{
    return (!data->repetitions || data->repetitions->data[i] <= slots->repetition) &&
           (!data->definitions || data->definitions->data[i] >= slots->definition);
}

static int definition_at(const struct leaf_data *data, int64_t i)
{
    return data->definitions ? data->definitions->data[i] : 0;
}

static int64_t count_slots(const struct leaf_data *data, const struct slots *slots)
{
    if (slots->repetition >= data->leaf->max_repetition && slots->definition == 0)
        return data->n_entries;
    int64_t n = 0;
    for (int64_t i = 0; i < data->n_entries; i++)
        n += is_slot(data, slots, i);
    return n;
}

static void take_block(struct column_buffer *out, struct block *block, uint64_t size)
{
    *out = (struct column_buffer){block, block ? block->data : NULL, block ? size : 0};
}

/* The bitmap of the slots whose definition level is `definition` or more; none when all are. */
static int make_validity(const struct assembly *assembly, const struct leaf_data *data,
                         const struct slots *slots, int definition, struct column *out)
{
    struct block *block;
    uint64_t size = ((uint64_t)out->length + 7) / 8;
    TRY(block_new(&block, assembly->budget, size));
    memset(block->data, 0, size);
    int64_t slot = 0, valid = 0;
    for (int64_t i = 0; i < data->n_entries && slot < out->length; i++) {
        if (!is_slot(data, slots, i)) continue;
        unsigned set = definition_at(data, i) >= definition;
        block->data[slot >> 3] |= (uint8_t)(set << (slot & 7));
        valid += set;
        slot++;
    }
    out->null_count = out->length - valid;
    if (out->null_count == 0) {
        block_release(block);
        return 0;
    }
    take_block(&out->validity, block, size);
    return 0;
}

/* ---- values as the column's type has them ---- */

static void big_endian_to_little(const uint8_t *from, size_t n, uint8_t *to, size_t width)
{
    uint8_t fill = n > 0 && from[0] & 0x80 ? 0xff : 0;
    for (size_t i = 0; i < width; i++)
        to[i] = i < n ? from[n - 1 - i] : fill;
}

/* Bytes beyond the width must only repeat the sign. */
static int check_decimal(const uint8_t *from, size_t n, size_t width)
{
    for (size_t i = 0; n > width && i < n - width; i++)
        if (from[i] != (from[n - width] & 0x80 ? 0xff : 0))
            return error_set(GLIS_ECORRUPT, "a decimal has more digits than its precision");
    return 0;
}

static int convert_decimals(struct leaf_values *values, const struct parquet_leaf *leaf,
                            unsigned width, struct budget *budget)
{
    struct block *made;
    TRY(block_new(&made, budget, (uint64_t)values->n * width));
    const uint8_t *from = values->fixed ? values->fixed->data : NULL;
    const int32_t *offsets =
        values->offsets ? (const int32_t *)(const void *)values->offsets->data : NULL;
    int code = 0;
    for (int64_t i = 0; i < values->n && code == 0; i++) {
        uint8_t *to = made->data + (uint64_t)i * width;
        if (leaf->type == PARQUET_INT32 || leaf->type == PARQUET_INT64) {
            memcpy(to, from + (uint64_t)i * values->width, values->width);
            memset(to + values->width, to[values->width - 1] & 0x80 ? 0xff : 0,
                   width - values->width);
            continue;
        }
        const uint8_t *bytes =
            offsets ? values->bytes->data + offsets[i] : from + (uint64_t)i * values->width;
        size_t n = offsets ? (size_t)(offsets[i + 1] - offsets[i]) : values->width;
        code = check_decimal(bytes, n, width);
        if (code == 0) big_endian_to_little(bytes, n, to, width);
    }
    int64_t n = values->n;
    leaf_values_free(values);
    *values = (struct leaf_values){.width = width, .n = n, .fixed = made};
    return code;
}

/* INT96: nanoseconds of the day, then the Julian day; 2440588 is 1970-01-01. They become
 * microseconds, rounded down: nanoseconds since 1970 would not reach 9999-12-31, which real files
 * have (docs/formats.md). What is further off than 292,000 years is kept modulo 2^64, as other
 * readers do: it is garbage already, and no reason to refuse a file. */
int64_t int96_micros(const uint8_t *bytes)
{
    int64_t nanos;
    int32_t day;
    memcpy(&nanos, bytes, 8);
    memcpy(&day, bytes + 8, 4);
    int64_t micros = nanos / 1000 - (nanos % 1000 < 0);
    return (int64_t)((uint64_t)((int64_t)day - 2440588) * UINT64_C(86400000000) + (uint64_t)micros);
}

static int convert_int96(struct leaf_values *values)
{
    uint8_t *bytes = values->fixed ? values->fixed->data : NULL;
    for (int64_t i = 0; i < values->n; i++) {
        int64_t micros = int96_micros(bytes + 12 * i);
        memcpy(bytes + 8 * i, &micros, 8);
    }
    values->width = 8;
    return 0;
}

static void narrow_integers(struct leaf_values *values, unsigned width)
{
    uint8_t *bytes = values->fixed ? values->fixed->data : NULL;
    for (int64_t i = 0; i < values->n; i++)
        memmove(bytes + width * i, bytes + 4 * i, width);
    values->width = width;
}

static int check_texts(const struct leaf_values *values)
{
    size_t bad;
    if (values->bytes && !text_is_utf8(slice_make(values->bytes->data, values->bytes_size), &bad))
        return error_set(GLIS_ECORRUPT, "text that is not UTF-8");
    /* Each text begins with a whole character: none is cut in the middle. */
    const int32_t *offsets =
        values->offsets ? (const int32_t *)(const void *)values->offsets->data : NULL;
    for (int64_t i = 1; i < values->n; i++)
        if (offsets[i] < (int32_t)values->bytes_size &&
            (values->bytes->data[offsets[i]] & 0xc0) == 0x80)
            return error_set(GLIS_ECORRUPT, "text that is not UTF-8");
    return 0;
}

static int convert_values(struct leaf_values *values, const struct parquet_leaf *leaf,
                          const struct type *type, struct budget *budget)
{
    switch (type->kind) {
    case TYPE_INT8:
    case TYPE_UINT8: narrow_integers(values, 1); return 0;
    case TYPE_INT16:
    case TYPE_UINT16: narrow_integers(values, 2); return 0;
    case TYPE_DECIMAL: return convert_decimals(values, leaf, 16, budget);
    case TYPE_DECIMAL256: return convert_decimals(values, leaf, 32, budget);
    case TYPE_STRING: return check_texts(values);
    default: return leaf->type == PARQUET_INT96 ? convert_int96(values) : 0;
    }
}

/* ---- leaves ---- */

static int spread_fixed(const struct assembly *assembly, const struct leaf_data *data,
                        const struct slots *slots, int64_t n_slots, struct block **out)
{
    const struct leaf_values *values = &data->values;
    unsigned width = values->width;
    int max = data->leaf->max_definition;
    int64_t slot = 0, value = 0;
    TRY(block_new(out, assembly->budget, (uint64_t)n_slots * width));
    uint8_t *to = (*out)->data;
    const uint8_t *from = values->fixed ? values->fixed->data : NULL;
    memset(to, 0, (uint64_t)n_slots * width);
    for (int64_t i = 0; i < data->n_entries && slot < n_slots; i++) {
        if (!is_slot(data, slots, i)) continue;
        if (definition_at(data, i) == max) {
            if (width == 8)
                memcpy(to + 8 * slot, from + 8 * value, 8);
            else if (width == 4)
                memcpy(to + 4 * slot, from + 4 * value, 4);
            else
                memcpy(to + (uint64_t)slot * width, from + (uint64_t)value * width, width);
            value++;
        }
        slot++;
    }
    return 0;
}

static int spread_offsets(const struct assembly *assembly, const struct leaf_data *data,
                          const struct slots *slots, int64_t n_slots, struct block **out)
{
    const struct leaf_values *values = &data->values;
    const int32_t *from =
        values->offsets ? (const int32_t *)(const void *)values->offsets->data : NULL;
    int max = data->leaf->max_definition;
    int64_t slot = 0, value = 0;
    TRY(block_new(out, assembly->budget, ((uint64_t)n_slots + 1) * 4));
    int32_t *to = (int32_t *)(void *)(*out)->data;
    to[0] = 0;
    for (int64_t i = 0; i < data->n_entries && slot < n_slots; i++) {
        if (!is_slot(data, slots, i)) continue;
        if (definition_at(data, i) == max) value++;
        slot++;
        to[slot] = from ? from[value] : 0;
    }
    return 0;
}

static int pack_booleans(const struct assembly *assembly, struct block **block, int64_t n)
{
    struct block *bits;
    uint64_t size = ((uint64_t)n + 7) / 8;
    TRY(block_new(&bits, assembly->budget, size));
    memset(bits->data, 0, size);
    for (int64_t i = 0; i < n; i++)
        bits->data[i >> 3] |= (uint8_t)((*block)->data[i] << (i & 7));
    block_release(*block);
    *block = bits;
    return 0;
}

static int finish_texts(const struct assembly *assembly, struct leaf_data *data,
                        const struct slots *slots, bool dense, struct column *out)
{
    struct leaf_values *values = &data->values;
    struct block *offsets = NULL;
    if (dense && values->offsets) {
        offsets = values->offsets;
        values->offsets = NULL;
    } else {
        TRY(spread_offsets(assembly, data, slots, out->length, &offsets));
    }
    take_block(&out->offsets, offsets, ((uint64_t)out->length + 1) * 4);
    if (!values->bytes) TRY(block_new(&values->bytes, assembly->budget, 0));
    take_block(&out->values, values->bytes, values->bytes_size);
    values->bytes = NULL;
    return 0;
}

static int finish_fixed(const struct assembly *assembly, struct leaf_data *data,
                        const struct slots *slots, bool dense, struct column *out)
{
    struct leaf_values *values = &data->values;
    struct block *block = NULL;
    if (dense && values->fixed) {
        block = values->fixed;
        values->fixed = NULL;
    } else {
        TRY(spread_fixed(assembly, data, slots, out->length, &block));
    }
    uint64_t size = (uint64_t)out->length * values->width;
    if (out->type->kind == TYPE_BOOLEAN) {
        int code = pack_booleans(assembly, &block, out->length);
        if (code < 0) {
            block_release(block);
            return code;
        }
        size = ((uint64_t)out->length + 7) / 8;
    }
    take_block(&out->values, block, size);
    return 0;
}

static int assemble_leaf(const struct assembly *assembly, struct leaf_data *data,
                         const struct field *field, const struct slots *slots, struct column *out)
{
    if (field->type.kind == TYPE_NULL) {
        out->null_count = out->length;
        return 0;
    }
    TRY(convert_values(&data->values, data->leaf, &field->type, assembly->budget));
    bool dense = data->values.n == out->length;
    if (!dense && field->nullable)
        TRY(make_validity(assembly, data, slots, data->leaf->max_definition, out));
    if (type_has_offsets(&field->type)) return finish_texts(assembly, data, slots, dense, out);
    if (field->type.kind != TYPE_BOOLEAN && data->values.width != type_width(&field->type))
        return error_set(GLIS_ECORRUPT, "values of %u bytes where the type has %u",
                         data->values.width, type_width(&field->type));
    return finish_fixed(assembly, data, slots, dense, out);
}

/* ---- nested ---- */

static int assemble(const struct assembly *assembly, const struct node *node,
                    const struct field *field, const struct slots *slots, struct column *out);

static int assemble_child(const struct assembly *assembly, const struct node *node,
                          const struct field *field, const struct slots *slots, int64_t expected,
                          struct column *out)
{
    TRY(assemble(assembly, node, field, slots, out));
    if (out->length == expected) return 0;
    return error_set(GLIS_ECORRUPT, "columns of one group disagree: %lld entries and %lld",
                     (long long)out->length, (long long)expected);
}

static int assemble_struct(const struct assembly *assembly, const struct node *node,
                           const struct field *field, const struct slots *slots, struct column *out)
{
    for (uint32_t c = 0; c < node->n_children; c++)
        TRY_CONTEXT(assemble_child(assembly, &node->children[c], &field->type.children[c], slots,
                                   out->length, &out->children[c]),
                    "'%.*s'", SLICE_PRINT(field->type.children[c].name));
    return 0;
}

static int assemble_list(const struct assembly *assembly, const struct node *node,
                         const struct field *field, const struct slots *slots, struct column *out)
{
    const struct leaf_data *data = &assembly->leaves[node->leaf - assembly->first_leaf];
    struct slots elements = {slots->repetition + 1, node->element_definition};
    struct block *block;
    TRY(block_new(&block, assembly->budget, ((uint64_t)out->length + 1) * 4));
    int32_t *offsets = (int32_t *)(void *)block->data;
    int64_t slot = 0, n = 0;
    for (int64_t i = 0; i < data->n_entries; i++) {
        if (is_slot(data, slots, i)) offsets[slot++] = (int32_t)n;
        n += is_slot(data, &elements, i);
    }
    offsets[slot] = (int32_t)n;
    take_block(&out->offsets, block, ((uint64_t)out->length + 1) * 4);
    if (n > INT32_MAX) return error_set(GLIS_ELIMIT, "lists of more than 2^31 elements in a piece");
    return assemble_child(assembly, &node->children[0], &field->type.children[0], &elements, n,
                          &out->children[0]);
}

static int assemble(const struct assembly *assembly, const struct node *node,
                    const struct field *field, const struct slots *slots, struct column *out)
{
    struct leaf_data *data = &assembly->leaves[node->leaf - assembly->first_leaf];
    *out = (struct column){.type = &field->type, .length = count_slots(data, slots)};
    if (field->type.n_children) {
        out->children = memory_alloc_zero(field->type.n_children * sizeof(struct column));
        for (uint32_t c = 0; c < field->type.n_children; c++)
            out->children[c].type = &field->type.children[c].type;
    }
    if (node->kind == NODE_LEAF) return assemble_leaf(assembly, data, field, slots, out);
    if (field->nullable) TRY(make_validity(assembly, data, slots, node->definition, out));
    if (node->kind == NODE_STRUCT) return assemble_struct(assembly, node, field, slots, out);
    return assemble_list(assembly, node, field, slots, out);
}

int assemble_column(const struct node *node, const struct field *field, struct leaf_data *leaves,
                    uint32_t first_leaf, int64_t n_rows, struct budget *budget, struct column *out)
{
    struct assembly assembly = {leaves, first_leaf, budget};
    struct slots slots = {0, 0};
    int code = assemble_child(&assembly, node, field, &slots, n_rows, out);
    if (code < 0) column_free(out);
    return code;
}
