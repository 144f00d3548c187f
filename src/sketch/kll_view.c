/*
 * kll_view.c: questions to one or several quantiles sketches.
 *
 * All kept items of all sketches are put in order with their weights; equal ones become one, and
 * each gets the sum of the weights before it. So nothing is drawn by chance, the answer is better
 * than one of a merged sketch, and whatever is asked takes a binary search. A range of keys is a
 * range of items, with its own quantiles.
 */
#include "sketch/sketch_int.h"

/* An item on its way into the view. */
struct entry {
    struct slice key;
    uint64_t prefix, weight;
};

static bool entry_is_less(const struct entry *a, const struct entry *b)
{
    if (a->prefix != b->prefix) return a->prefix < b->prefix;
    return slice_compare(a->key, b->key) < 0;
}

static void merge_entries(struct entry *out, const struct entry *a, size_t n_a,
                          const struct entry *b, size_t n_b)
{
    while (n_a > 0 && n_b > 0) {
        bool second = entry_is_less(b, a);
        *out++ = second ? *b : *a;
        b += second;
        n_b -= second;
        a += !second;
        n_a -= !second;
    }
    memcpy(out, n_a ? a : b, (n_a ? n_a : n_b) * sizeof *out);
}

/* The result is in one of the two, which have the same size. */
static struct entry *sort_entries(struct entry *from, struct entry *to, size_t n)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t at = 0; at < n; at += 2 * run) {
            size_t n_a = n - at < run ? n - at : run;
            size_t n_b = n - at - n_a < run ? n - at - n_a : run;
            merge_entries(to + at, from + at, n_a, from + at + n_a, n_b);
        }
        struct entry *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

/* Eight bytes of a short item in the arena's room. */
static struct slice place_item(const struct kll *kll, const struct kll_item *item, uint8_t **room)
{
    struct slice bytes = kll_item_bytes(kll->heap, item, *room);
    *room += KLL_PREFIX_BYTES;
    return bytes;
}

static size_t add_sketch(const struct kll *kll, struct entry *entries, uint8_t **room)
{
    size_t n = 0;
    if (kll->count == 0) return 0;
    entries[n++] = (struct entry){buffer_slice(&kll->min), kll->least, 0};
    entries[n++] = (struct entry){buffer_slice(&kll->max), kll->greatest, 0};
    for (uint32_t i = 0; i < kll->n_levels; i++)
        for (uint32_t j = 0; j < kll->levels[i].n; j++) {
            const struct kll_item *item = &kll->levels[i].items[j];
            entries[n++] = (struct entry){place_item(kll, item, room), item->prefix,
                                          UINT64_C(1) << (kll->base + i)};
        }
    return n;
}

int kll_view_new(const struct kll *const *sketches, size_t n, struct arena *arena,
                 const struct kll_view **out)
{
    uint64_t n_items = 0, count = 0;
    if (n > KLL_VIEW_SKETCHES_MAX)
        return error_set(GLIS_ELIMIT, "%zu sketches at once, more than %d", n,
                         KLL_VIEW_SKETCHES_MAX);
    for (size_t i = 0; i < n; i++) {
        n_items += sketches[i]->n_items + 2;
        if (__builtin_add_overflow(count, sketches[i]->count, &count) || n_items > UINT32_MAX)
            return error_set(GLIS_ELIMIT, "sketches of more rows than can be counted");
    }
    void *memory, *items;
    uint64_t bytes = (n_items + 1) * (2 * sizeof(struct entry) + KLL_PREFIX_BYTES);
    TRY(arena_try_alloc(arena, (n_items + 1) * sizeof(struct kll_view_item), &items));
    TRY(arena_try_alloc(arena, (n_items + 1) * KLL_PREFIX_BYTES, &memory));
    uint8_t *room = memory;
    struct arena scratch;
    arena_init(&scratch, arena->budget);
    int code = arena_try_alloc(&scratch, bytes, &memory);
    if (code < 0) {
        arena_free(&scratch);
        return code;
    }
    struct entry *entries = memory;
    size_t n_entries = 0;
    for (size_t i = 0; i < n; i++)
        n_entries += add_sketch(sketches[i], entries + n_entries, &room);
    entries = sort_entries(entries, entries + n_items, n_entries);
    struct kll_view *view = ARENA_NEW(arena, struct kll_view);
    struct kll_view_item *made = items;
    for (size_t i = 0; i < n_entries; i++) {
        if (view->n_items == 0 || entries[i].prefix != entries[i - 1].prefix ||
            !slice_equal(made[view->n_items - 1].key, entries[i].key))
            made[view->n_items++] = (struct kll_view_item){entries[i].key, view->weight};
        if (__builtin_add_overflow(view->weight, entries[i].weight, &view->weight))
            code = error_set(GLIS_ELIMIT, "sketches of more weight than can be counted");
    }
    arena_free(&scratch);
    view->items = made;
    view->count = count;
    *out = view;
    return code;
}

/* The first item that is not below `key`. */
static uint32_t find(const struct kll_view *view, struct slice key)
{
    uint32_t low = 0, high = view->n_items;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_compare(view->items[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t weight_before(const struct kll_view *view, uint32_t item)
{
    return item < view->n_items ? view->items[item].before : view->weight;
}

struct kll_range kll_view_all(const struct kll_view *view)
{
    return (struct kll_range){0, view->n_items};
}

struct kll_range kll_view_range(const struct kll_view *view, struct slice min, struct slice max,
                                bool unbounded)
{
    struct kll_range range = {find(view, min), unbounded ? view->n_items : find(view, max)};
    if (range.end < range.begin) range.end = range.begin;
    return range;
}

uint64_t kll_view_weight(const struct kll_view *view, struct kll_range range)
{
    return weight_before(view, range.end) - weight_before(view, range.begin);
}

/* weight × count / all weight, to the nearest. */
static uint64_t rows_of(const struct kll_view *view, uint64_t weight)
{
    if (view->weight == 0) return 0;
    unsigned __int128 product = (unsigned __int128)weight * view->count + view->weight / 2;
    return (uint64_t)(product / view->weight);
}

uint64_t kll_view_rows(const struct kll_view *view, struct kll_range range)
{
    if (range.begin == 0 && range.end == view->n_items) return view->count;
    return rows_of(view, kll_view_weight(view, range));
}

uint64_t kll_view_rows_below(const struct kll_view *view, struct slice item)
{
    return rows_of(view, weight_before(view, find(view, item)));
}

bool kll_view_quantile(const struct kll_view *view, struct kll_range range, double fraction,
                       struct slice *out)
{
    if (range.begin >= range.end) return false;
    if (fraction >= 1) return kll_view_max(view, range, out);
    uint64_t weight = kll_view_weight(view, range);
    uint64_t place = fraction > 0 ? (uint64_t)(fraction * (double)weight) : 0;
    if (weight > 0 && place >= weight) place = weight - 1;
    place += weight_before(view, range.begin);
    /* The last item with no more than that before it, which then has weight. */
    uint32_t low = range.begin, high = range.end;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (view->items[middle].before <= place && weight > 0)
            low = middle;
        else
            high = middle;
    }
    *out = view->items[low].key;
    return true;
}

bool kll_view_min(const struct kll_view *view, struct kll_range range, struct slice *out)
{
    if (range.begin >= range.end) return false;
    *out = view->items[range.begin].key;
    return true;
}

bool kll_view_max(const struct kll_view *view, struct kll_range range, struct slice *out)
{
    if (range.begin >= range.end) return false;
    *out = view->items[range.end - 1].key;
    return true;
}

bool kll_view_above(const struct kll_view *view, struct kll_range range, struct slice item,
                    struct slice *out)
{
    uint32_t at = find(view, item);
    if (at < view->n_items && slice_equal(view->items[at].key, item)) at++;
    if (at < range.begin) at = range.begin;
    if (at >= range.end) return false;
    *out = view->items[at].key;
    return true;
}
