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
 *
 * Levels are compared 64 at a time: which entries begin a slot, which are valid and which begin an
 * element are words of bits, and bitmaps and offsets are made of these. A field that is a leaf has
 * its validity as bits already (chunk_read.c). Values come without nulls and are spread to their
 * slots from the back, in place where the block has room; the slot of a null is zero.
 */
#include "base/text.h"
#include "parquet/level_bits.h"
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

/* Bit k: whether entry i + k begins a slot, of up to 64. Levels have 64 readable bytes behind. */
static uint64_t slots_at(const struct leaf_data *data, const struct slots *slots, int64_t i)
{
    const struct decode_kernels *kernels = decode_kernels();
    int64_t left = data->n_entries - i;
    uint64_t bits = bits_low(left < 64 ? (unsigned)left : 64);
    if (data->repetitions && slots->repetition < data->leaf->max_repetition)
        bits &= ~kernels->levels_at_least(data->repetitions->data + i, slots->repetition + 1);
    if (data->definitions && slots->definition > 0)
        bits &= kernels->levels_at_least(data->definitions->data + i, slots->definition);
    return bits;
}

/* Bit k: whether entry i + k is defined to a level. */
static uint64_t defined_at(const struct leaf_data *data, int definition, int64_t i)
{
    if (!data->definitions) return definition <= 0 ? ~(uint64_t)0 : 0;
    return decode_kernels()->levels_at_least(data->definitions->data + i, definition);
}

static int64_t count_slots(const struct leaf_data *data, const struct slots *slots)
{
    if (slots->repetition >= data->leaf->max_repetition && slots->definition == 0)
        return data->n_entries;
    int64_t n = 0;
    for (int64_t i = 0; i < data->n_entries; i += 64)
        n += __builtin_popcountll(slots_at(data, slots, i));
    return n;
}

static void take_block(struct column_buffer *out, struct block *block, uint64_t size)
{
    *out = (struct column_buffer){block, block ? block->data : NULL, block ? size : 0};
}

/* What stands behind the last bit of a bitmap is zero, for all to see the same bytes. */
static void end_bits(struct block *block, int64_t n)
{
    if (n & 7) block->data[n >> 3] &= (uint8_t)bits_low(n & 7);
}

/* The bitmap of the slots whose definition level is `definition` or more, and how many these are.
 * 64 bytes behind it may be written and read. */
static int make_bits(const struct assembly *assembly, struct leaf_data *data,
                     const struct slots *slots, int definition, int64_t n_slots, struct block **out,
                     int64_t *n_set)
{
    const struct decode_kernels *kernels = decode_kernels();
    if (data->as_bits) { /* they are there; the leaf's data has no further use for them */
        *out = data->definitions;
        data->definitions = NULL;
        *n_set = data->values.n + data->codes.n;
        end_bits(*out, n_slots);
        return 0;
    }
    TRY(block_new(out, assembly->budget, ((uint64_t)n_slots + 7) / 8 + 64));
    uint8_t *bits = (*out)->data;
    int64_t slot = 0, set = 0;
    for (int64_t i = 0; i < data->n_entries; i += 64) {
        uint64_t begins = slots_at(data, slots, i);
        if (!begins) continue;
        uint64_t valid = kernels->extract_bits(defined_at(data, definition, i), begins);
        unsigned n = (unsigned)__builtin_popcountll(begins);
        if (slot + n > n_slots) n = (unsigned)(n_slots - slot);
        bits_put_word(bits, slot, valid, n);
        set += __builtin_popcountll(valid & bits_low(n));
        slot += n;
    }
    *n_set = set;
    end_bits(*out, n_slots);
    return 0;
}

/* The same as a column's validity; none when all are valid. */
static void give_validity(struct block *bits, int64_t n_set, struct column *out)
{
    out->null_count = out->length - n_set;
    if (out->null_count == 0)
        block_release(bits);
    else
        take_block(&out->validity, bits, ((uint64_t)out->length + 7) / 8);
}

static int make_validity(const struct assembly *assembly, struct leaf_data *data,
                         const struct slots *slots, int definition, struct column *out)
{
    struct block *bits;
    int64_t n_set;
    TRY(make_bits(assembly, data, slots, definition, out->length, &bits, &n_set));
    give_validity(bits, n_set, out);
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

/* Of 1 to 16 bytes, the first of which is the highest; 16 bytes behind are readable. */
static inline int128 decimal_of(const uint8_t *bytes, size_t n)
{
    uint64_t high, low;
    memcpy(&high, bytes, 8);
    int64_t head = (int64_t)__builtin_bswap64(high);
    if (n <= 8) return head >> (64 - 8 * n);
    memcpy(&low, bytes + n - 8, 8);
    head >>= 128 - 8 * n;
    return (int128)((unsigned __int128)(uint64_t)head << 64 | __builtin_bswap64(low));
}

static int convert_decimals(struct leaf_values *values, const struct parquet_leaf *leaf,
                            unsigned width, struct budget *budget)
{
    struct block *made;
    /* Integers are widened while they are taken. */
    if (leaf->type == PARQUET_INT32 || leaf->type == PARQUET_INT64) return 0;
    TRY(block_new(&made, budget, (uint64_t)values->n * width));
    const uint8_t *from = values->fixed ? values->fixed->data : NULL;
    const int32_t *offsets =
        values->offsets ? (const int32_t *)(const void *)values->offsets->data : NULL;
    bool fast = !offsets && width == 16 && values->width >= 1 && values->width <= 16;
    int code = 0;
    for (int64_t i = 0; fast && i < values->n; i++) {
        int128 value = decimal_of(from + (uint64_t)i * values->width, values->width);
        memcpy(made->data + 16 * (uint64_t)i, &value, 16);
    }
    for (int64_t i = 0; !fast && i < values->n && code == 0; i++) {
        uint8_t *to = made->data + (uint64_t)i * width;
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

/* Whether all bytes are below 128: the most frequent text needs no closer look. */
static bool is_ascii(const uint8_t *at, uint64_t size)
{
    typedef uint64_t words __attribute__((vector_size(16)));
    words all[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
    uint64_t i = 0;
    for (; i + 64 <= size; i += 64) {
        words four[4];
        memcpy(four, at + i, 64);
        for (unsigned k = 0; k < 4; k++)
            all[k] |= four[k];
    }
    words sum = all[0] | all[1] | all[2] | all[3];
    uint64_t above = sum[0] | sum[1];
    for (; i < size; i++)
        above |= at[i];
    return !(above & 0x8080808080808080u);
}

int leaf_texts_check(const struct leaf_values *values)
{
    size_t bad;
    if (!values->bytes || is_ascii(values->bytes->data, values->bytes_size)) return 0;
    if (!text_is_utf8(slice_make(values->bytes->data, values->bytes_size), &bad))
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
                          bool texts_unchecked, const struct type *type, struct budget *budget)
{
    switch (type->kind) {
    case TYPE_INT8:
    case TYPE_UINT8: narrow_integers(values, 1); return 0;
    case TYPE_INT16:
    case TYPE_UINT16: narrow_integers(values, 2); return 0;
    case TYPE_DECIMAL: return convert_decimals(values, leaf, 16, budget);
    case TYPE_DECIMAL256: return convert_decimals(values, leaf, 32, budget);
    case TYPE_STRING: return texts_unchecked ? leaf_texts_check(values) : 0;
    default: return leaf->type == PARQUET_INT96 ? convert_int96(values) : 0;
    }
}

/* ---- leaves ---- */

/* Slots s, from the back: `v` values stand before the value of slot s. A value is read before its
 * place is written, since it never stands behind its slot. */
#define DEFINE_SPREAD(name, value_type)                                                 \
    static void name(uint8_t *to_bytes, const uint8_t *from_bytes, const uint8_t *bits, \
                     int64_t n_slots, int64_t v)                                        \
    {                                                                                   \
        value_type *to = (value_type *)(void *)to_bytes;                                \
        const value_type *from = (const value_type *)(const void *)from_bytes;          \
        int64_t s = n_slots;                                                            \
        while (s > 0 && v > 0) {                                                        \
            int64_t begin = (s - 1) & ~(int64_t)63;                                     \
            uint64_t word = bits_load(bits + (begin >> 3));                             \
            if (word == ~(uint64_t)0 && s - begin == 64 && v >= 64) {                   \
                v -= 64;                                                                \
                memmove(to + begin, from + v, 64 * sizeof *to);                         \
                s = begin;                                                              \
                continue;                                                               \
            }                                                                           \
            for (; s > begin && v > 0; s--) {                                           \
                int64_t set = (int64_t)(word >> (s - 1 - begin) & 1);                   \
                v -= set;                                                               \
                to[s - 1] = from[v] & (value_type)(0 - set);                            \
            }                                                                           \
        }                                                                               \
        if (s > 0) memset(to, 0, (size_t)s * sizeof *to);                               \
    }

DEFINE_SPREAD(spread_8, uint64_t)
DEFINE_SPREAD(spread_4, uint32_t)

static void spread_any(uint8_t *to, const uint8_t *from, const uint8_t *bits, int64_t n_slots,
                       int64_t v, size_t width)
{
    for (int64_t s = n_slots - 1; s >= 0; s--) {
        if (bits[s >> 3] >> (s & 7) & 1 && v > 0)
            memmove(to + (size_t)s * width, from + (size_t)--v * width, width);
        else
            memset(to + (size_t)s * width, 0, width);
    }
}

/* Values to their slots; *out is the values' own block, which goes over to the caller, or a new
 * one. */
static int spread_fixed(const struct assembly *assembly, struct leaf_values *values,
                        const uint8_t *bits, int64_t n_slots, struct block **out)
{
    unsigned width = values->width;
    uint64_t size = (uint64_t)n_slots * width;
    if (values->fixed && values->fixed->size >= size) {
        *out = values->fixed;
    } else {
        TRY(block_new(out, assembly->budget, size));
    }
    uint8_t *to = (*out)->data;
    const uint8_t *from = values->fixed ? values->fixed->data : to;
    if (width == 8)
        spread_8(to, from, bits, n_slots, values->n);
    else if (width == 4)
        spread_4(to, from, bits, n_slots, values->n);
    else
        spread_any(to, from, bits, n_slots, values->n, width);
    if (*out == values->fixed) values->fixed = NULL;
    return 0;
}

/* Offsets of all slots; those of nulls are empty. */
static int spread_offsets(const struct assembly *assembly, const struct leaf_values *values,
                          const uint8_t *bits, int64_t n_slots, struct block **out)
{
    TRY(block_new(out, assembly->budget, ((uint64_t)n_slots + 1) * 4));
    int32_t *to = (int32_t *)(void *)(*out)->data;
    if (!values->offsets) {
        memset(to, 0, ((size_t)n_slots + 1) * 4);
        return 0;
    }
    const int32_t *from = (const int32_t *)(const void *)values->offsets->data;
    int64_t v = 0;
    to[0] = 0;
    for (int64_t s = 0; s < n_slots;) {
        uint64_t word = bits_load(bits + (s >> 3));
        int64_t n = n_slots - s < 64 ? n_slots - s : 64;
        for (int64_t i = 0; i < n; i++, s++) {
            v += (int64_t)(word >> i & 1);
            to[s + 1] = from[v];
        }
    }
    return 0;
}

static int pack_booleans(const struct assembly *assembly, struct block **block, int64_t n)
{
    struct block *bits;
    uint64_t size = ((uint64_t)n + 7) / 8;
    TRY(block_new(&bits, assembly->budget, size));
    const uint8_t *from = (*block)->data;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        bits->data[i >> 3] = (uint8_t)(bits_load(from + i) * 0x0102040810204080u >> 56);
    if (i < n) bits->data[i >> 3] = 0;
    for (; i < n; i++)
        bits->data[i >> 3] |= (uint8_t)(from[i] << (i & 7));
    block_release(*block);
    *block = bits;
    return 0;
}

/* `bits`: which slots have a value; NULL when all have. */
static int finish_texts(const struct assembly *assembly, struct leaf_data *data,
                        const uint8_t *bits, struct column *out)
{
    struct leaf_values *values = &data->values;
    struct block *offsets = NULL;
    if (!bits && values->offsets) {
        offsets = values->offsets;
        values->offsets = NULL;
    } else {
        TRY(spread_offsets(assembly, values, bits, bits ? out->length : 0, &offsets));
    }
    take_block(&out->offsets, offsets, ((uint64_t)out->length + 1) * 4);
    if (!values->bytes) TRY(block_new(&values->bytes, assembly->budget, 0));
    take_block(&out->values, values->bytes, values->bytes_size);
    values->bytes = NULL;
    return 0;
}

static int finish_fixed(const struct assembly *assembly, struct leaf_data *data,
                        const uint8_t *bits, struct column *out)
{
    struct leaf_values *values = &data->values;
    struct block *block = NULL;
    if (!bits && values->fixed) {
        block = values->fixed;
        values->fixed = NULL;
    } else {
        TRY(spread_fixed(assembly, values, bits, bits ? out->length : 0, &block));
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

/* A dictionary column: the indices, and the dictionary's texts as they are. */
static int assemble_codes(const struct assembly *assembly, struct leaf_data *data,
                          const struct field *field, const struct slots *slots, struct column *out)
{
    struct leaf_values *codes = &data->codes;
    const struct leaf_values *texts = &data->dictionary;
    struct block *bits = NULL, *block = NULL;
    int64_t n_set = out->length;
    int code = 0;
    if (codes->n != out->length)
        TRY(make_bits(assembly, data, slots, data->leaf->max_definition, out->length, &bits,
                      &n_set));
    if (n_set != codes->n) {
        code = error_set(GLIS_ECORRUPT, "%lld values for %lld slots", (long long)codes->n,
                         (long long)n_set);
    } else if (bits) {
        code = spread_fixed(assembly, codes, bits->data, out->length, &block);
    } else {
        block = codes->fixed;
        codes->fixed = NULL;
    }
    if (code < 0) {
        block_release(bits);
        return code;
    }
    take_block(&out->values, block, (uint64_t)out->length * 4);
    out->dictionary = memory_alloc_zero(sizeof *out->dictionary);
    *out->dictionary = (struct column){.type = &field->type, .length = texts->n};
    take_block(&out->dictionary->offsets, block_acquire(texts->offsets),
               ((uint64_t)texts->n + 1) * 4);
    take_block(&out->dictionary->values, block_acquire(texts->bytes), texts->bytes_size);
    if (bits && field->nullable)
        give_validity(bits, n_set, out);
    else
        block_release(bits);
    return 0;
}

static int assemble_leaf(const struct assembly *assembly, struct leaf_data *data,
                         const struct field *field, const struct slots *slots, struct column *out)
{
    if (field->type.kind == TYPE_NULL) {
        out->null_count = out->length;
        return 0;
    }
    if (data->codes.n > 0) return assemble_codes(assembly, data, field, slots, out);
    TRY(convert_values(&data->values, data->leaf, data->texts_unchecked, &field->type,
                       assembly->budget));
    struct block *bits = NULL;
    int64_t n_set = out->length;
    if (data->values.n != out->length)
        TRY(make_bits(assembly, data, slots, data->leaf->max_definition, out->length, &bits,
                      &n_set));
    int code = 0;
    if (n_set != data->values.n)
        code = error_set(GLIS_ECORRUPT, "%lld values for %lld slots", (long long)data->values.n,
                         (long long)n_set);
    else if (type_has_offsets(&field->type))
        code = finish_texts(assembly, data, bits ? bits->data : NULL, out);
    else if (field->type.kind != TYPE_BOOLEAN && data->values.width != type_width(&field->type))
        code = error_set(GLIS_ECORRUPT, "values of %u bytes where the type has %u",
                         data->values.width, type_width(&field->type));
    else
        code = finish_fixed(assembly, data, bits ? bits->data : NULL, out);
    if (code == 0 && bits && field->nullable)
        give_validity(bits, n_set, out);
    else
        block_release(bits);
    return code;
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

/* Some writers declare a map's keys optional, which the format forbids; they are read as long as
 * none of them is null. */
static int check_keys(const struct assembly *assembly, const struct node *map,
                      const struct slots *entries)
{
    const struct node *key = &map->children[0].children[0];
    const struct leaf_data *data = &assembly->leaves[key->leaf - assembly->first_leaf];
    if (key->definition <= map->element_definition) return 0;
    for (int64_t i = 0; i < data->n_entries; i += 64)
        if (slots_at(data, entries, i) & ~defined_at(data, key->definition, i))
            return error_set(GLIS_ECORRUPT, "a map has a null as a key");
    return 0;
}

static int assemble_list(const struct assembly *assembly, const struct node *node,
                         const struct field *field, const struct slots *slots, struct column *out)
{
    struct leaf_data *data = &assembly->leaves[node->leaf - assembly->first_leaf];
    struct slots elements = {slots->repetition + 1, node->element_definition};
    struct block *block;
    if (node->kind == NODE_MAP) TRY(check_keys(assembly, node, &elements));
    TRY(block_new(&block, assembly->budget, ((uint64_t)out->length + 1) * 4));
    int32_t *offsets = (int32_t *)(void *)block->data;
    int64_t slot = 0, n = 0;
    const struct decode_kernels *kernels = decode_kernels();
    for (int64_t i = 0; i < data->n_entries; i += 64) {
        uint64_t begun = slots_at(data, slots, i), begins = slots_at(data, &elements, i);
        slot += kernels->count_below(begun, begins, (int32_t)n, offsets + slot);
        n += __builtin_popcountll(begins);
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
