/*
 * sort_keys.c: sorts references to rows by encoded keys.
 *
 * Keys are byte strings; an entry carries eight bytes of its key as a number. The sort goes by
 * single bytes of that number, the most significant first: count, scatter into the scratch array,
 * copy back, then each group of equal bytes for itself by the next byte. A group that agrees in all
 * eight bytes loads the next eight from its keys. A byte in which the whole group agrees costs only
 * the counting.
 *
 * Small groups are sorted by insertion, and groups that are reached after many steps by merging
 * with comparisons, so that neither depth nor time depends on how long keys agree: at most
 * LEVELS_MAX radix steps lie above any entry, then O(n log n) comparisons.
 *
 * A large input is first scattered into up to 2,048 parts by its leading bits (after subtracting
 * the least prefix, so that text, which uses few of a byte's values, spreads as well); the parts
 * are sorted on the pool.
 *
 * No encoded key is the prefix of another (column.h), so zeros in place of bytes beyond an end
 * never decide an order. All steps are stable.
 */
#include "lsm/lsm_int.h"

enum {
    SMALL = 24,      /* entries that insertion sorts faster */
    LEVELS_MAX = 40, /* radix steps before comparisons take over */
    PARALLEL_MIN = 1 << 15,
    PARTS = 2048,
};

struct sort {
    const struct keys *keys;
    struct sort_entry *entries, *scratch;
    size_t skip;
    uint64_t part_starts[PARTS + 1];
};

static void sort_group(const struct sort *sort, struct sort_entry *a, struct sort_entry *tmp,
                       uint64_t n, size_t base, unsigned byte, unsigned level);
static void sort_by_comparison(const struct sort *sort, struct sort_entry *a,
                               struct sort_entry *tmp, uint64_t n, size_t base);
static uint64_t split_by_leading_bits(struct sort *sort, uint64_t n);
static int sort_part(void *state, size_t index);

int key_sort(struct pool *pool, struct sort_entry *entries, struct sort_entry *scratch, uint64_t n,
             const struct keys *keys, size_t skip)
{
    struct sort *sort = memory_alloc(sizeof *sort);
    sort->keys = keys;
    sort->entries = entries;
    sort->scratch = scratch;
    sort->skip = skip;
    int code = 0;
    if (n < PARALLEL_MIN || !pool || pool_size(pool) < 2) {
        sort_group(sort, entries, scratch, n, skip, 0, 0);
    } else {
        uint64_t n_parts = split_by_leading_bits(sort, n);
        code = pool_run(pool, n_parts, sort_part, sort);
    }
    memory_defer_free(&sort);
    return code;
}

/* Scatters all entries into parts by the leading bits; returns how many parts there are. */
static uint64_t split_by_leading_bits(struct sort *sort, uint64_t n)
{
    uint64_t least = UINT64_MAX, greatest = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t prefix = sort->entries[i].prefix;
        if (prefix < least) least = prefix;
        if (prefix > greatest) greatest = prefix;
    }
    unsigned shift = 0;
    while ((greatest - least) >> shift >= PARTS)
        shift++;
    uint64_t next[PARTS] = {0};
    for (uint64_t i = 0; i < n; i++)
        next[(sort->entries[i].prefix - least) >> shift]++;
    uint64_t start = 0, n_parts = 0;
    for (unsigned part = 0; part < PARTS; part++) {
        uint64_t count = next[part];
        next[part] = start;
        if (count > 0) sort->part_starts[n_parts++] = start;
        start += count;
    }
    sort->part_starts[n_parts] = n;
    for (uint64_t i = 0; i < n; i++)
        sort->scratch[next[(sort->entries[i].prefix - least) >> shift]++] = sort->entries[i];
    return n_parts;
}

static int sort_part(void *state, size_t index)
{
    struct sort *sort = state;
    uint64_t start = sort->part_starts[index], n = sort->part_starts[index + 1] - start;
    memcpy(sort->entries + start, sort->scratch + start, n * sizeof *sort->entries);
    sort_group(sort, sort->entries + start, sort->scratch + start, n, sort->skip, 0, 0);
    return 0;
}

/* Whether a sorts before b; both agree in the first `base` bytes of their keys, and prefix holds
 * the next eight. */
static inline bool entry_before(const struct sort *sort, const struct sort_entry *a,
                                const struct sort_entry *b, size_t base)
{
    if (a->prefix != b->prefix) return a->prefix < b->prefix;
    struct slice x = keys_get(&sort->keys[a->row.batch], a->row.row);
    struct slice y = keys_get(&sort->keys[b->row.batch], b->row.row);
    return slice_compare(slice_part(x, base + 8, x.size), slice_part(y, base + 8, y.size)) < 0;
}

static void sort_by_insertion(const struct sort *sort, struct sort_entry *a, uint64_t n,
                              size_t base)
{
    for (uint64_t i = 1; i < n; i++) {
        struct sort_entry entry = a[i];
        uint64_t at = i;
        for (; at > 0 && entry_before(sort, &entry, &a[at - 1], base); at--)
            a[at] = a[at - 1];
        a[at] = entry;
    }
}

/* Merges runs of growing length, from a to tmp and back. */
static void sort_by_comparison(const struct sort *sort, struct sort_entry *a,
                               struct sort_entry *tmp, uint64_t n, size_t base)
{
    for (uint64_t i = 0; i < n; i += SMALL)
        sort_by_insertion(sort, a + i, n - i < SMALL ? n - i : SMALL, base);
    struct sort_entry *from = a, *to = tmp;
    for (uint64_t width = SMALL; width < n; width *= 2) {
        for (uint64_t start = 0; start < n; start += 2 * width) {
            uint64_t left = start, middle = start + width < n ? start + width : n;
            uint64_t right = middle, end = middle + width < n ? middle + width : n;
            for (uint64_t at = start; at < end; at++) {
                bool take_right =
                    left == middle ||
                    (right < end && entry_before(sort, &from[right], &from[left], base));
                to[at] = take_right ? from[right++] : from[left++];
            }
        }
        struct sort_entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != a) memcpy(a, from, n * sizeof *a);
}

/* Loads the eight bytes from `base` on; false when no key of the group reaches there. (All agree up
 * to there, so when one has ended all have, and all are equal.) */
static bool load_prefixes(const struct sort *sort, struct sort_entry *a, uint64_t n, size_t base)
{
    if (keys_get(&sort->keys[a->row.batch], a->row.row).size <= base) return false;
    for (uint64_t i = 0; i < n; i++)
        a[i].prefix = key_prefix_at(&sort->keys[a[i].row.batch], a[i].row.row, base);
    return true;
}

/* Sorts n entries that agree in the first base + byte bytes; prefix holds the eight bytes from
 * base. */
static void sort_group(const struct sort *sort, struct sort_entry *a, struct sort_entry *tmp,
                       uint64_t n, size_t base, unsigned byte, unsigned level)
{
    uint32_t counts[256];
    ASSERT(n <= UINT32_MAX);
    for (;; byte++) {
        if (byte == 8) {
            base += 8;
            byte = 0;
            if (n > 1 && !load_prefixes(sort, a, n, base)) return;
        }
        if (n <= SMALL) {
            sort_by_insertion(sort, a, n, base);
            return;
        }
        if (level >= LEVELS_MAX) {
            sort_by_comparison(sort, a, tmp, n, base);
            return;
        }
        level++;
        unsigned shift = 56 - 8 * byte;
        memset(counts, 0, sizeof counts);
        for (uint64_t i = 0; i < n; i++)
            counts[a[i].prefix >> shift & 255]++;
        if (counts[a[0].prefix >> shift & 255] < n) break;
    }
    unsigned shift = 56 - 8 * byte;
    uint32_t next[256], start = 0;
    for (unsigned value = 0; value < 256; value++) {
        next[value] = start;
        start += counts[value];
    }
    for (uint64_t i = 0; i < n; i++)
        tmp[next[a[i].prefix >> shift & 255]++] = a[i];
    memcpy(a, tmp, n * sizeof *a);
    start = 0;
    for (unsigned value = 0; value < 256; value++) {
        if (counts[value] > 1)
            sort_group(sort, a + start, tmp + start, counts[value], base, byte + 1, level);
        start += counts[value];
    }
}
