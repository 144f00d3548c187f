/*
 * kll_code.c: a quantiles sketch as bytes, both ways (docs/formats.md, "Sketches").
 *
 * Within a level items ascend, so each is written as what it shares with the one before and the
 * rest: a byte with both lengths where they are small. Level 0, which is in the order of coming in
 * memory, is sorted for it. What is read is held against all that kll_validate knows, and against
 * limits before memory is taken for it.
 */
#include "sketch/sketch_int.h"

enum { VERSION = 1, NIBBLE = 15, BASE_MAX = 40 };
/* Less is let in than is valid, so that what was let in stays valid when it grows. */
enum { DECODED_SLACK = 8, VALID_SLACK = 16 };
static const char *find_fault(const struct kll *kll, uint64_t slack);
#define COUNT_MAX (UINT64_C(1) << 46)

/* ---- numbers ---- */

int varint_append(struct buffer *out, uint64_t number)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; number >= 0x80; number >>= 7)
        bytes[n++] = (uint8_t)(number | 0x80);
    bytes[n++] = (uint8_t)number;
    return buffer_append(out, bytes, n);
}

int varint_take(struct slice *in, const char *what, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 10 && i < in->size; i++) {
        uint8_t byte = (uint8_t)in->data[i];
        if (i == 9 && byte > 1) break;
        number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        *in = slice_part(*in, i + 1, in->size);
        *out = number;
        if (number <= max) return 0;
        return error_set(GLIS_ECORRUPT, "a sketch whose %s is %llu, over %llu", what,
                         (unsigned long long)number, (unsigned long long)max);
    }
    return error_set(GLIS_ECORRUPT, "a sketch that ends within its %s", what);
}

static int append_bytes(struct buffer *out, struct slice bytes)
{
    TRY(varint_append(out, bytes.size));
    return buffer_append_slice(out, bytes);
}

static int take_bytes(struct slice *in, const char *what, uint64_t size, struct slice *out)
{
    if (size > in->size) return error_set(GLIS_ECORRUPT, "a sketch that ends within its %s", what);
    *out = slice_part(*in, 0, size);
    *in = slice_part(*in, size, in->size);
    return 0;
}

/* ---- writing ---- */

static int append_item(struct buffer *out, struct slice item, struct slice before)
{
    size_t shared = 0;
    while (shared < item.size && shared < before.size && item.data[shared] == before.data[shared])
        shared++;
    size_t rest = item.size - shared;
    unsigned head_shared = shared < NIBBLE ? (unsigned)shared : NIBBLE;
    unsigned head_rest = rest < NIBBLE ? (unsigned)rest : NIBBLE;
    TRY(buffer_append_byte(out, (uint8_t)(head_shared << 4 | head_rest)));
    if (head_shared == NIBBLE) TRY(varint_append(out, shared - NIBBLE));
    if (head_rest == NIBBLE) TRY(varint_append(out, rest - NIBBLE));
    return buffer_append_slice(out, slice_part(item, shared, rest));
}

static int append_level(const struct kll *kll, const struct kll_item *items, uint32_t n,
                        struct buffer *out)
{
    uint8_t rooms[2][KLL_PREFIX_BYTES];
    struct slice before = SLICE_EMPTY;
    TRY(varint_append(out, n));
    for (uint32_t i = 0; i < n; i++) {
        struct slice item = kll_item_bytes(kll->heap, &items[i], rooms[i % 2]);
        TRY(append_item(out, item, before));
        before = item;
    }
    return 0;
}

int kll_encode(const struct kll *kll, struct buffer *out)
{
    TRY(buffer_append_byte(out, VERSION));
    TRY(varint_append(out, kll->k));
    TRY(varint_append(out, kll->count));
    TRY(varint_append(out, kll->base));
    TRY(buffer_append(out, &kll->random, sizeof kll->random));
    if (kll->count == 0) return 0;
    TRY(append_bytes(out, buffer_slice(&kll->min)));
    TRY(append_bytes(out, buffer_slice(&kll->max)));
    TRY(varint_append(out, kll->n_levels));
    const struct kll_level *bottom = &kll->levels[0];
    defer_free struct kll_item *sorted = memory_alloc((bottom->n + 1) * sizeof *sorted);
    if (bottom->n > 0) memcpy(sorted, bottom->items, bottom->n * sizeof *sorted);
    kll_items_sort(sorted, bottom->n, kll->heap);
    TRY(append_level(kll, sorted, bottom->n, out));
    for (uint32_t i = 1; i < kll->n_levels; i++)
        TRY(append_level(kll, kll->levels[i].items, kll->levels[i].n, out));
    return 0;
}

/* ---- reading ---- */

/* Takes an item; `item` holds the one before. */
static int take_item(struct slice *in, struct buffer *item)
{
    uint64_t head, shared, rest;
    struct slice bytes;
    TRY(take_bytes(in, "items", 1, &bytes));
    head = (uint8_t)bytes.data[0];
    shared = head >> 4;
    rest = head & NIBBLE;
    if (shared == NIBBLE) {
        TRY(varint_take(in, "items", KLL_ITEM_BYTES_MAX, &shared));
        shared += NIBBLE;
    }
    if (rest == NIBBLE) {
        TRY(varint_take(in, "items", KLL_ITEM_BYTES_MAX, &rest));
        rest += NIBBLE;
    }
    if (shared > item->size)
        return error_set(GLIS_ECORRUPT, "a sketch's item shares more than the one before has");
    if (shared + rest > KLL_ITEM_BYTES_MAX)
        return error_set(GLIS_ECORRUPT, "a sketch's item of %llu bytes",
                         (unsigned long long)(shared + rest));
    TRY(take_bytes(in, "items", rest, &bytes));
    item->size = shared;
    return buffer_append_slice(item, bytes);
}

static int take_level(struct kll *kll, uint32_t level, struct slice *in)
{
    defer_buffer struct buffer item = BUFFER_INIT(KLL_ITEM_BYTES_MAX);
    uint64_t n;
    TRY(varint_take(in, "number of items", kll->items_max - kll->n_items, &n));
    for (uint64_t i = 0; i < n; i++) {
        TRY(take_item(in, &item));
        if (kll->heap_live + item.size > 2 * KLL_ITEMS_BYTES_MAX)
            return error_set(GLIS_ECORRUPT, "a sketch whose items pass %llu bytes",
                             (unsigned long long)(2 * KLL_ITEMS_BYTES_MAX));
        kll_append(kll, level, buffer_slice(&item));
    }
    return 0;
}

static int take_bound(struct slice *in, const char *what, struct buffer *out, uint64_t *prefix)
{
    uint64_t size;
    struct slice bytes;
    TRY(varint_take(in, what, KLL_ITEM_BYTES_MAX, &size));
    TRY(take_bytes(in, what, size, &bytes));
    *prefix = kll_prefix(bytes);
    return buffer_append_slice(out, bytes);
}

static int decode(struct slice in, struct kll *kll)
{
    uint64_t base, n_levels;
    struct slice random;
    TRY(varint_take(&in, "count", COUNT_MAX, &kll->count));
    TRY(varint_take(&in, "base", BASE_MAX, &base));
    kll->base = (uint32_t)base;
    TRY(take_bytes(&in, "generator", sizeof kll->random, &random));
    memcpy(&kll->random, random.data, sizeof kll->random);
    if (kll->count > 0) {
        TRY(take_bound(&in, "least item", &kll->min, &kll->least));
        TRY(take_bound(&in, "greatest item", &kll->max, &kll->greatest));
        TRY(varint_take(&in, "number of levels", kll_levels_max(kll->k), &n_levels));
        if (n_levels == 0) return error_set(GLIS_ECORRUPT, "a sketch without levels");
        kll->n_levels = (uint32_t)n_levels;
        kll_set_limits(kll);
        for (uint32_t i = 0; i < kll->n_levels; i++)
            TRY_CONTEXT(take_level(kll, i, &in), "level %u", i);
    }
    if (in.size > 0) return error_set(GLIS_ECORRUPT, "%zu bytes behind a sketch", in.size);
    const char *reason;
    bool good = kll_validate(kll, &reason);
    if (good && kll->count > 0) reason = find_fault(kll, DECODED_SLACK);
    return reason ? error_set(GLIS_ECORRUPT, "a sketch with %s", reason) : 0;
}

int kll_decode(struct slice bytes, struct kll **out)
{
    uint64_t k;
    if (bytes.size > KLL_ENCODED_BYTES_MAX)
        return error_set(GLIS_ECORRUPT, "a sketch of %zu bytes", bytes.size);
    if (bytes.size == 0 || bytes.data[0] != VERSION)
        return error_set(GLIS_ECORRUPT, "a sketch of quantiles that is not of version %d", VERSION);
    bytes = slice_part(bytes, 1, bytes.size);
    TRY(varint_take(&bytes, "k", KLL_K_MAX, &k));
    if (k < KLL_K_MIN) return error_set(GLIS_ECORRUPT, "a sketch whose k is %u", (unsigned)k);
    struct kll *kll = kll_new((uint32_t)k, SLICE_EMPTY);
    int code = decode(bytes, kll);
    if (code < 0) {
        kll_free(kll);
        return code;
    }
    *out = kll;
    return 0;
}

/* ---- checking ---- */

static const char *item_fault(const struct kll *kll, uint32_t level, uint32_t i)
{
    const struct kll_item *item = &kll->levels[level].items[i];
    uint8_t room[KLL_PREFIX_BYTES];
    if (item->size > KLL_PREFIX_BYTES &&
        (item->place > kll->heap_used || item->size > kll->heap_used - item->place))
        return "an item beyond its heap";
    struct slice bytes = kll_item_bytes(kll->heap, item, room);
    if (kll_prefix(bytes) != item->prefix) return "an item with another's prefix";
    if (slice_compare(bytes, buffer_slice(&kll->min)) < 0) return "an item below the least";
    if (slice_compare(bytes, buffer_slice(&kll->max)) > 0) return "an item above the greatest";
    if (i > 0 && (level > 0 || kll->is_sorted) &&
        kll_item_compare(kll->heap, item - 1, kll->heap, item) > 0)
        return "a level out of order";
    return NULL;
}

/* With sampling, weights may make `slack` times the count. */
static const char *find_fault(const struct kll *kll, uint64_t slack)
{
    uint64_t weight = 0, live = 0, n_items = 0;
    if (kll->n_levels == 0 || kll->n_levels > kll_levels_max(kll->k)) return "too many levels";
    for (uint32_t i = 0; i < kll->n_levels; i++) {
        const struct kll_level *level = &kll->levels[i];
        if (level->n > 0 && kll->base + i > 62) return "a level of too much weight";
        n_items += level->n;
        uint64_t more;
        if (level->n > 0 &&
            (__builtin_mul_overflow((uint64_t)level->n, UINT64_C(1) << (kll->base + i), &more) ||
             __builtin_add_overflow(weight, more, &weight)))
            return "more weight than can be counted";
        for (uint32_t j = 0; j < level->n; j++) {
            const char *fault = item_fault(kll, i, j);
            if (fault) return fault;
            if (level->items[j].size > KLL_PREFIX_BYTES) live += level->items[j].size;
        }
    }
    if (n_items != kll->n_items) return "a wrong number of items";
    if (live != kll->heap_live) return "a wrong number of bytes";
    if (kll->base == 0 && weight != kll->count) return "items that do not make up its count";
    /* With sampling the sum is only right on average. */
    if (weight / slack > kll->count + (UINT64_C(1) << kll->base))
        return "items that make far more than its count";
    return NULL;
}

bool kll_validate(const struct kll *kll, const char **reason)
{
    if (kll->count == 0)
        *reason = kll->n_items == 0 ? NULL : "items but no rows";
    else if (slice_compare(buffer_slice(&kll->min), buffer_slice(&kll->max)) > 0)
        *reason = "its least item above its greatest";
    else
        *reason = find_fault(kll, VALID_SLACK);
    return *reason == NULL;
}
