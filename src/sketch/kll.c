/*
 * kll.c: quantiles of byte strings in bounded memory.
 *
 * Items stand in levels; one of level i stands for 2^(base + i) rows. New ones come into level 0.
 * When a sketch holds 3 k items, the lowest level that has its share is *compacted*: sorted, and of
 * each pair of neighbours one, always the first or always the second as a coin says, goes up to the
 * next level. Any rank changes by at most one item's weight then, up or down alike. A level has a
 * share of k × (2/3)^d, d counted from the top, so low levels, whose items weigh little, are small.
 * Where a share would fall below k / 8 there is no level any more: `base` grows, and of each block
 * of 2^base rows one, picked at random, is taken into level 0. So a row costs the less the more
 * there are, and there are never more than seven levels.
 *
 * Up to 3 k rows nothing is compacted: quantiles are exact. Items ascending need no sorting.
 *
 * Long items are kept whole. When the bytes of all pass KLL_ITEMS_BYTES_MAX, k is halved (down to
 * KLL_K_MIN) and the sketch compacted until it fits; errors grow as if it had been made so.
 *
 * The generator is splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
 * generators", 2014), begun with the hash of the seed.
 */
#include "sketch/sketch_int.h"

#include "base/hash.h"

#define NO_PICK UINT64_MAX

static void compress(struct kll *kll);

/* ---- small parts ---- */

static uint64_t next_random(struct kll *kll)
{
    uint64_t z = kll->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct slice kll_item_bytes(const uint8_t *heap, const struct kll_item *item,
                            uint8_t room[KLL_PREFIX_BYTES])
{
    if (item->size > KLL_PREFIX_BYTES) return slice_make(heap + item->place, item->size);
    uint64_t bytes = __builtin_bswap64(item->prefix);
    memcpy(room, &bytes, KLL_PREFIX_BYTES);
    return slice_make(room, item->size);
}

int kll_item_compare(const uint8_t *heap_a, const struct kll_item *a, const uint8_t *heap_b,
                     const struct kll_item *b)
{
    if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
    /* Equal but for zeros at the end: the shorter is the beginning of the longer. */
    if (a->size <= KLL_PREFIX_BYTES || b->size <= KLL_PREFIX_BYTES)
        return (a->size > b->size) - (a->size < b->size);
    return slice_compare(slice_make(heap_a + a->place, a->size),
                         slice_make(heap_b + b->place, b->size));
}

static inline bool is_less(const uint8_t *heap, const struct kll_item *a, const struct kll_item *b)
{
    if (a->prefix != b->prefix) return a->prefix < b->prefix;
    return kll_item_compare(heap, a, heap, b) < 0;
}

/* Merges two ascending runs; of equal items those of `a` come first. */
static void merge_runs(struct kll_item *out, const struct kll_item *a, uint32_t n_a,
                       const struct kll_item *b, uint32_t n_b, const uint8_t *heap)
{
    while (n_a > 0 && n_b > 0) {
        bool second = is_less(heap, b, a);
        *out++ = second ? *b : *a;
        b += second;
        n_b -= second;
        a += !second;
        n_a -= !second;
    }
    memcpy(out, n_a ? a : b, (n_a ? n_a : n_b) * sizeof *out);
}

/* Runs of a few items by insertion, then merged two by two. */
void kll_items_sort(struct kll_item *items, uint32_t n, const uint8_t *heap)
{
    enum { RUN = 12 };
    for (uint32_t from = 0; from < n; from += RUN) {
        uint32_t to = n - from < RUN ? n : from + RUN;
        for (uint32_t i = from + 1; i < to; i++) {
            struct kll_item item = items[i];
            uint32_t j = i;
            for (; j > from && is_less(heap, &item, &items[j - 1]); j--)
                items[j] = items[j - 1];
            items[j] = item;
        }
    }
    if (n <= RUN) return;
    defer_free struct kll_item *spare = memory_alloc(n * sizeof *spare);
    struct kll_item *from = items, *to = spare;
    for (uint32_t run = RUN; run < n; run *= 2) {
        for (uint32_t at = 0; at < n; at += 2 * run) {
            uint32_t n_a = n - at < run ? n - at : run;
            uint32_t n_b = n - at - n_a < run ? n - at - n_a : run;
            merge_runs(to + at, from + at, n_a, from + at + n_a, n_b, heap);
        }
        struct kll_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) memcpy(items, from, n * sizeof *items);
}

/* ---- limits ---- */

static uint32_t level_min(uint32_t k)
{
    return k / 8 > 8 ? k / 8 : 8;
}

uint32_t kll_level_capacity(uint32_t k, uint32_t n_levels, uint32_t level)
{
    uint32_t capacity = k, least = level_min(k);
    for (uint32_t i = level + 1; i < n_levels && capacity > least; i++)
        capacity = (capacity * 2 + 2) / 3;
    return capacity > least ? capacity : least;
}

uint32_t kll_levels_max(uint32_t k)
{
    uint32_t n = 1;
    for (uint32_t capacity = k; capacity > level_min(k); n++)
        capacity = (capacity * 2 + 2) / 3;
    return n;
}

void kll_set_limits(struct kll *kll)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < kll->n_levels; i++)
        sum += kll_level_capacity(kll->k, kll->n_levels, i);
    kll->items_max = sum > 3 * kll->k ? sum : 3 * kll->k;
}

/* ---- making ---- */

struct kll *kll_new(uint32_t k, struct slice seed)
{
    ASSERT(k >= KLL_K_MIN && k <= KLL_K_MAX);
    struct kll *kll = memory_alloc_zero(sizeof *kll);
    kll->k = k;
    kll->n_levels = 1;
    kll->is_sorted = true;
    kll->random = hash_xxh3_64(seed.data, seed.size);
    kll->pick_left = NO_PICK;
    buffer_init(&kll->min, KLL_ITEM_BYTES_MAX, NULL);
    buffer_init(&kll->max, KLL_ITEM_BYTES_MAX, NULL);
    kll_set_limits(kll);
    return kll;
}

void kll_free(struct kll *kll)
{
    if (!kll) return;
    for (uint32_t i = 0; i < KLL_LEVELS_MAX; i++)
        free(kll->levels[i].items);
    free(kll->heap);
    buffer_free(&kll->min);
    buffer_free(&kll->max);
    free(kll);
}

/* At most KLL_ITEM_BYTES_MAX bytes, so it has room. */
static void set_bytes(struct buffer *buffer, struct slice bytes)
{
    buffer_clear(buffer);
    int code = buffer_append_slice(buffer, bytes);
    ASSERT(code == 0);
}

static void level_reserve(struct kll_level *level, uint32_t n)
{
    if (n <= level->capacity) return;
    uint32_t capacity = level->capacity * 2 > n ? level->capacity * 2 : n;
    if (capacity < 64) capacity = 64;
    level->items = memory_realloc(level->items, capacity * sizeof *level->items);
    level->capacity = capacity;
}

struct kll *kll_copy(const struct kll *kll)
{
    struct kll *copy = memory_alloc(sizeof *copy);
    *copy = *kll;
    buffer_init(&copy->min, KLL_ITEM_BYTES_MAX, NULL);
    buffer_init(&copy->max, KLL_ITEM_BYTES_MAX, NULL);
    set_bytes(&copy->min, buffer_slice(&kll->min));
    set_bytes(&copy->max, buffer_slice(&kll->max));
    copy->heap = NULL;
    copy->heap_capacity = 0;
    if (kll->heap_used > 0) {
        copy->heap = memory_alloc(kll->heap_used);
        copy->heap_capacity = kll->heap_used;
        memcpy(copy->heap, kll->heap, kll->heap_used);
    }
    for (uint32_t i = 0; i < KLL_LEVELS_MAX; i++) {
        const struct kll_level *from = &kll->levels[i];
        copy->levels[i] = (struct kll_level){0};
        if (from->n == 0) continue;
        level_reserve(&copy->levels[i], from->n);
        memcpy(copy->levels[i].items, from->items, from->n * sizeof *from->items);
        copy->levels[i].n = from->n;
    }
    return copy;
}

/* ---- the heap ---- */

/* Moves the bytes of living items together. */
static void heap_tidy(struct kll *kll, uint64_t more)
{
    uint64_t capacity = 2 * kll->heap_live + more + 4096;
    uint8_t *heap = memory_alloc(capacity);
    uint64_t used = 0;
    for (uint32_t i = 0; i < kll->n_levels; i++)
        for (uint32_t j = 0; j < kll->levels[i].n; j++) {
            struct kll_item *item = &kll->levels[i].items[j];
            if (item->size <= KLL_PREFIX_BYTES) continue;
            memcpy(heap + used, kll->heap + item->place, item->size);
            item->place = (uint32_t)used;
            used += item->size;
        }
    ASSERT(used == kll->heap_live);
    free(kll->heap);
    kll->heap = heap;
    kll->heap_used = used;
    kll->heap_capacity = capacity;
}

void kll_append(struct kll *kll, uint32_t level, struct slice item)
{
    struct kll_level *to = &kll->levels[level];
    level_reserve(to, to->n + 1);
    struct kll_item *made = &to->items[to->n];
    *made = (struct kll_item){kll_prefix(item), (uint32_t)item.size, 0};
    if (item.size > KLL_PREFIX_BYTES) {
        if (kll->heap_capacity - kll->heap_used < item.size) heap_tidy(kll, item.size);
        made->place = (uint32_t)kll->heap_used;
        memcpy(kll->heap + kll->heap_used, item.data, item.size);
        kll->heap_used += item.size;
        kll->heap_live += item.size;
    }
    if (level == 0 && to->n > 0 && is_less(kll->heap, made, made - 1)) kll->is_sorted = false;
    to->n++;
    kll->n_items++;
}

static void drop_item(struct kll *kll, const struct kll_item *item)
{
    if (item->size > KLL_PREFIX_BYTES) kll->heap_live -= item->size;
    kll->n_items--;
}

/* ---- compacting ---- */

static void sort_bottom(struct kll *kll)
{
    if (!kll->is_sorted) kll_items_sort(kll->levels[0].items, kll->levels[0].n, kll->heap);
    kll->is_sorted = true;
}

/* Every second item of a level goes up, the others are dropped. Of an odd number the last stays. */
static void compact(struct kll *kll, uint32_t level)
{
    if (level == 0) sort_bottom(kll);
    if (level + 1 == kll->n_levels) {
        ASSERT(kll->n_levels + 1 < KLL_LEVELS_MAX);
        kll->n_levels++;
    }
    struct kll_level *from = &kll->levels[level], *to = &kll->levels[level + 1];
    uint32_t pairs = from->n / 2;
    uint32_t offset = next_random(kll) >> 63;
    for (uint32_t i = 0; i < pairs; i++) {
        drop_item(kll, &from->items[2 * i + !offset]);
        from->items[i] = from->items[2 * i + offset];
    }
    uint32_t n = to->n + pairs;
    uint32_t capacity = n < 64 ? 64 : n;
    struct kll_item *merged = memory_alloc(capacity * sizeof *merged);
    merge_runs(merged, to->items, to->n, from->items, pairs, kll->heap);
    free(to->items);
    *to = (struct kll_level){merged, n, capacity};
    if (from->n % 2) from->items[0] = from->items[from->n - 1];
    from->n %= 2;
}

/* Level 0 is given up: what is in it goes up, and an odd item as a coin says. */
static void raise_base(struct kll *kll)
{
    compact(kll, 0);
    if (kll->levels[0].n > 0) {
        struct kll_item item = kll->levels[0].items[0];
        struct kll_level *to = &kll->levels[1];
        if (next_random(kll) >> 63) {
            level_reserve(to, to->n + 1);
            uint32_t i = to->n++;
            for (; i > 0 && is_less(kll->heap, &item, &to->items[i - 1]); i--)
                to->items[i] = to->items[i - 1];
            to->items[i] = item;
        } else {
            drop_item(kll, &item);
        }
        kll->levels[0].n = 0;
    }
    free(kll->levels[0].items);
    memmove(&kll->levels[0], &kll->levels[1], (KLL_LEVELS_MAX - 1) * sizeof kll->levels[0]);
    kll->levels[KLL_LEVELS_MAX - 1] = (struct kll_level){0};
    kll->n_levels--;
    kll->base++;
    /* A pick that is still to come would weigh twice as much now. */
    if (kll->pick_left != NO_PICK && next_random(kll) >> 63) kll->pick_left = NO_PICK;
}

static void compact_once(struct kll *kll)
{
    uint32_t level = 0;
    while (level + 1 < kll->n_levels &&
           kll->levels[level].n < kll_level_capacity(kll->k, kll->n_levels, level))
        level++;
    compact(kll, level);
    while (kll->n_levels > kll_levels_max(kll->k))
        raise_base(kll);
    kll_set_limits(kll);
}

/* Until there is room for more, in items and in bytes. */
static void compress(struct kll *kll)
{
    while (kll->n_levels > kll_levels_max(kll->k))
        raise_base(kll);
    kll_set_limits(kll);
    while (kll->n_items >= kll->items_max)
        compact_once(kll);
    while (kll->heap_live > KLL_ITEMS_BYTES_MAX && kll->k > KLL_K_MIN) {
        kll->k = kll->k / 2 > KLL_K_MIN ? kll->k / 2 : KLL_K_MIN;
        while (kll->n_levels > kll_levels_max(kll->k))
            raise_base(kll);
        kll_set_limits(kll);
        while (kll->n_items >= kll->items_max)
            compact_once(kll);
    }
}

/* ---- adding ---- */

static void see_min(struct kll *kll, struct slice item, uint64_t prefix)
{
    if (kll->count > 0 && slice_compare(item, buffer_slice(&kll->min)) >= 0) return;
    set_bytes(&kll->min, item);
    kll->least = prefix;
}

static void see_max(struct kll *kll, struct slice item, uint64_t prefix)
{
    if (kll->count > 0 && slice_compare(item, buffer_slice(&kll->max)) <= 0) return;
    set_bytes(&kll->max, item);
    kll->greatest = prefix;
}

static void take_item(struct kll *kll, struct slice item)
{
    kll_append(kll, 0, item);
    if (kll->n_items >= kll->items_max || kll->heap_live > KLL_ITEMS_BYTES_MAX) compress(kll);
}

static void begin_block(struct kll *kll)
{
    kll->block_left = UINT64_C(1) << kll->base;
    kll->pick_left = next_random(kll) >> (64 - kll->base);
}

void kll_update(struct kll *kll, struct slice item)
{
    ASSERT(item.size <= KLL_ITEM_BYTES_MAX);
    uint64_t prefix = kll_prefix(item);
    if (kll->count == 0 || prefix <= kll->least) see_min(kll, item, prefix);
    if (kll->count == 0 || prefix >= kll->greatest) see_max(kll, item, prefix);
    kll->count++;
    if (kll->base == 0) {
        take_item(kll, item);
        return;
    }
    if (kll->block_left == 0) begin_block(kll);
    kll->block_left--;
    if (kll->pick_left == 0) {
        kll->pick_left = NO_PICK;
        take_item(kll, item);
    } else if (kll->pick_left != NO_PICK) {
        kll->pick_left--;
    }
}

/* The least and the greatest of keys [from, to). */
static void see_keys(struct kll *kll, const struct keys *keys, int64_t from, int64_t to)
{
    int64_t least = from, greatest = from;
    uint64_t low = keys_prefix(keys, from), high = low;
    for (int64_t i = from + 1; i < to; i++) {
        uint64_t prefix = keys_prefix(keys, i);
        if (prefix > low && prefix < high) continue;
        if (prefix < low || (prefix == low && keys->stride != KLL_PREFIX_BYTES &&
                             slice_compare(keys_get(keys, i), keys_get(keys, least)) < 0)) {
            low = prefix;
            least = i;
        }
        if (prefix > high || (prefix == high && keys->stride != KLL_PREFIX_BYTES &&
                              slice_compare(keys_get(keys, i), keys_get(keys, greatest)) > 0)) {
            high = prefix;
            greatest = i;
        }
    }
    see_min(kll, keys_get(keys, least), low);
    see_max(kll, keys_get(keys, greatest), high);
}

void kll_update_keys(struct kll *kll, const struct keys *keys)
{
    if (keys->n_rows == 0) return;
    ASSERT(keys->stride <= KLL_ITEM_BYTES_MAX);
    see_keys(kll, keys, 0, keys->n_rows);
    kll->count += (uint64_t)keys->n_rows;
    for (int64_t row = 0; row < keys->n_rows;) {
        if (kll->base == 0) {
            take_item(kll, keys_get(keys, row++));
            continue;
        }
        if (kll->block_left == 0) begin_block(kll);
        uint64_t left = (uint64_t)(keys->n_rows - row);
        if (kll->pick_left < kll->block_left && kll->pick_left < left) {
            uint64_t skip = kll->pick_left;
            kll->block_left -= skip + 1;
            kll->pick_left = NO_PICK;
            row += (int64_t)skip + 1;
            take_item(kll, keys_get(keys, row - 1));
            continue;
        }
        uint64_t n = left < kll->block_left ? left : kll->block_left;
        kll->block_left -= n;
        if (kll->pick_left != NO_PICK) kll->pick_left -= n;
        row += (int64_t)n;
    }
}

void kll_merge(struct kll *kll, const struct kll *other)
{
    if (other->count == 0) return;
    struct kll *copy = kll_copy(other);
    if (copy->k < kll->k) kll->k = copy->k;
    kll->random += copy->random * UINT64_C(0xd1342543de82ef95);
    while (kll->base < copy->base)
        raise_base(kll);
    while (copy->base < kll->base)
        raise_base(copy);
    see_min(kll, buffer_slice(&copy->min), copy->least);
    see_max(kll, buffer_slice(&copy->max), copy->greatest);
    kll->count += copy->count;
    if (copy->n_levels > kll->n_levels) kll->n_levels = copy->n_levels;
    sort_bottom(kll);
    sort_bottom(copy);
    for (uint32_t i = 0; i < copy->n_levels; i++) {
        struct kll_level *level = &kll->levels[i], *from = &copy->levels[i];
        uint32_t before = level->n;
        if (from->n == 0) continue;
        for (uint32_t j = 0; j < from->n; j++) {
            uint8_t room[KLL_PREFIX_BYTES];
            kll_append(kll, i, kll_item_bytes(copy->heap, &from->items[j], room));
        }
        struct kll_item *merged = memory_alloc(level->n * sizeof *merged);
        merge_runs(merged, level->items, before, level->items + before, from->n, kll->heap);
        free(level->items);
        *level = (struct kll_level){merged, level->n, level->n};
    }
    kll->is_sorted = true;
    kll_free(copy);
    compress(kll);
}

/* ---- looking ---- */

uint64_t kll_count(const struct kll *kll)
{
    return kll->count;
}

uint32_t kll_k(const struct kll *kll)
{
    return kll->k;
}

uint32_t kll_items(const struct kll *kll)
{
    return kll->n_items;
}

struct slice kll_min(const struct kll *kll)
{
    return buffer_slice(&kll->min);
}

struct slice kll_max(const struct kll *kll)
{
    return buffer_slice(&kll->max);
}
