/*
 * bounds_write.c: the least and greatest value of a page or chunk, in the order that the format
 * defines for the column's type. Where there is a NaN there are no bounds (as parquet-mr does); a
 * zero is written as -0 below and +0 above; long strings are cut outward, at a character's border.
 */
#include "base/text.h"
#include "parquet/parquet_int.h"

static int32_t half_key(const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, 2);
    return bits & 0x8000 ? -(int32_t)(bits & 0x7fff) : bits;
}

#define COMPARE_AS(in_type)       \
    do {                          \
        in_type x, y;             \
        memcpy(&x, a, sizeof(x)); \
        memcpy(&y, b, sizeof(y)); \
        return (x > y) - (x < y); \
    } while (0)

int bound_compare(enum leaf_order order, uint32_t size, const uint8_t *a, const uint8_t *b)
{
    switch (order) {
    case ORDER_BOOLEAN: return *a - *b;
    case ORDER_INT32: COMPARE_AS(int32_t);
    case ORDER_UINT32: COMPARE_AS(uint32_t);
    case ORDER_INT64: COMPARE_AS(int64_t);
    case ORDER_UINT64: COMPARE_AS(uint64_t);
    case ORDER_FLOAT: COMPARE_AS(float);
    case ORDER_DOUBLE: COMPARE_AS(double);
    case ORDER_FLOAT16: return half_key(a) - half_key(b);
    case ORDER_DECIMAL:
        if ((*a ^ *b) & 0x80) return *a & 0x80 ? -1 : 1;
        return memcmp(a, b, size);
    case ORDER_BYTES: {
        struct slice x, y;
        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return slice_compare(x, y);
    }
    default: return memcmp(a, b, size);
    }
}

/* One loop for each type of number, four values side by side, which need not wait for each other:
 * the least and the greatest of n values, and where they are. A NaN is neither less nor greater
 * than anything, so only the first value must be looked for. */
#define FIND_AS(in_type)                                          \
    do {                                                          \
        const in_type *v = (const in_type *)(const void *)values; \
        bool nan = false;                                         \
        int64_t first = 0;                                        \
        while (first < n && v[first] != v[first])                 \
            first++;                                              \
        out->has_nan = first > 0;                                 \
        if (first == n) return;                                   \
        in_type low4[4], high4[4], least, greatest;               \
        for (int k = 0; k < 4; k++)                               \
            low4[k] = high4[k] = v[first];                        \
        int64_t i = first;                                        \
        for (; i + 4 <= n; i += 4)                                \
            for (int k = 0; k < 4; k++) {                         \
                in_type x = v[i + k];                             \
                nan |= x != x;                                    \
                low4[k] = x < low4[k] ? x : low4[k];              \
                high4[k] = x > high4[k] ? x : high4[k];           \
            }                                                     \
        for (; i < n; i++) {                                      \
            nan |= v[i] != v[i];                                  \
            low4[0] = v[i] < low4[0] ? v[i] : low4[0];            \
            high4[0] = v[i] > high4[0] ? v[i] : high4[0];         \
        }                                                         \
        least = low4[0], greatest = high4[0];                     \
        for (int k = 1; k < 4; k++) {                             \
            least = low4[k] < least ? low4[k] : least;            \
            greatest = high4[k] > greatest ? high4[k] : greatest; \
        }                                                         \
        out->has_nan |= nan;                                      \
        int64_t low = first, high = first;                        \
        while (v[low] != least)                                   \
            low++;                                                \
        while (v[high] != greatest)                               \
            high++;                                               \
        out->min = (const uint8_t *)&v[low];                      \
        out->max = (const uint8_t *)&v[high];                     \
        return;                                                   \
    } while (0)

/* The first eight bytes as a number that sorts as they do; shorter texts end in zeros. */
static inline uint64_t head_of(const struct slice *s)
{
    uint64_t head = 0;
    if (s->size >= 8)
        memcpy(&head, s->data, 8);
    else if (s->size > 0)
        memcpy(&head, s->data, s->size);
    return __builtin_bswap64(head);
}

static void find_bytes(const struct slice *values, int64_t n, struct bounds *out)
{
    if (n == 0) return;
    const struct slice *least = values, *greatest = values;
    uint64_t least_head = head_of(least), greatest_head = least_head;
    for (int64_t i = 1; i < n; i++) {
        uint64_t head = head_of(&values[i]);
        if (head < least_head || (head == least_head && slice_compare(values[i], *least) < 0)) {
            least = &values[i];
            least_head = head;
        }
        if (head > greatest_head ||
            (head == greatest_head && slice_compare(values[i], *greatest) > 0)) {
            greatest = &values[i];
            greatest_head = head;
        }
    }
    out->min = (const uint8_t *)least;
    out->max = (const uint8_t *)greatest;
}

static bool is_nan_half(const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, 2);
    return (bits & 0x7fff) > 0x7c00;
}

void bounds_find(const struct write_leaf *leaf, const uint8_t *values, int64_t n,
                 struct bounds *out)
{
    *out = (struct bounds){NULL, NULL, false};
    switch (leaf->order) {
    case ORDER_NONE: return;
    case ORDER_INT32: FIND_AS(int32_t);
    case ORDER_UINT32: FIND_AS(uint32_t);
    case ORDER_INT64: FIND_AS(int64_t);
    case ORDER_UINT64: FIND_AS(uint64_t);
    case ORDER_FLOAT: FIND_AS(float);
    case ORDER_DOUBLE: FIND_AS(double);
    case ORDER_BYTES: find_bytes((const struct slice *)(const void *)values, n, out); return;
    default: break;
    }
    for (int64_t i = 0; i < n; i++, values += leaf->stride) {
        if (leaf->order == ORDER_FLOAT16 && is_nan_half(values)) {
            out->has_nan = true;
            continue;
        }
        struct bounds one = {values, values, false};
        bounds_join(leaf, out, &one);
    }
}

void bounds_join(const struct write_leaf *leaf, struct bounds *all, const struct bounds *more)
{
    all->has_nan |= more->has_nan;
    if (!more->min) return;
    if (!all->min || bound_compare(leaf->order, leaf->stride, more->min, all->min) < 0)
        all->min = more->min;
    if (!all->max || bound_compare(leaf->order, leaf->stride, more->max, all->max) > 0)
        all->max = more->max;
}

static int cut_bound(const struct write_leaf *leaf, struct slice s, bool is_max, uint32_t bytes_max,
                     struct buffer *out, bool *exact)
{
    bool text = leaf->leaf_type->kind == TYPE_STRING;
    size_t size = bytes_max;
    *exact = false;
    while (text && size > 0 && ((uint8_t)s.data[size] & 0xc0) == 0x80)
        size--;
    if (!is_max) return buffer_append(out, s.data, size);
    while (size > 0) {
        size_t last = size - 1;
        while (text && last > 0 && ((uint8_t)s.data[last] & 0xc0) == 0x80)
            last--;
        uint8_t lead = (uint8_t)s.data[last];
        if (!text && lead < 0xff) {
            TRY(buffer_append(out, s.data, last));
            return buffer_append_byte(out, (uint8_t)(lead + 1));
        }
        if (text) {
            uint32_t point = lead < 0x80   ? lead
                             : lead < 0xe0 ? lead & 0x1fu
                             : lead < 0xf0 ? lead & 0x0fu
                                           : lead & 0x07u;
            for (size_t i = last + 1; i < size; i++)
                point = point << 6 | ((uint8_t)s.data[i] & 0x3f);
            if (++point == 0xd800) point = 0xe000;
            if (point <= 0x10ffff) {
                char encoded[4];
                size_t n = text_utf8_encode(point, encoded);
                TRY(buffer_append(out, s.data, last));
                return buffer_append(out, encoded, n);
            }
        }
        size = last;
    }
    *exact = true; /* nothing shorter is above it */
    return buffer_append_slice(out, s);
}

int bound_append(const struct write_leaf *leaf, const uint8_t *value, bool is_max,
                 uint32_t bytes_max, struct buffer *out, bool *exact)
{
    static const uint8_t zeros[8];
    *exact = true;
    if (leaf->order == ORDER_BYTES) {
        struct slice s;
        memcpy(&s, value, sizeof(s));
        if (s.size > bytes_max) return cut_bound(leaf, s, is_max, bytes_max, out, exact);
        return buffer_append_slice(out, s);
    }
    bool real =
        leaf->order == ORDER_FLOAT16 || leaf->order == ORDER_FLOAT || leaf->order == ORDER_DOUBLE;
    if (real && bound_compare(leaf->order, leaf->stride, value, zeros) == 0) {
        uint8_t sign = is_max ? 0 : 0x80;
        *exact = value[leaf->stride - 1] == sign;
        TRY(buffer_append(out, zeros, leaf->stride - 1));
        return buffer_append_byte(out, sign);
    }
    return buffer_append(out, value, leaf->stride);
}
