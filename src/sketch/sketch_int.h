/*
 * sketch_int.h: what the files of sketch/ share: the inside of a kll, for its views and bytes, and
 * numbers of variable length.
 *
 * A kept item is 16 bytes: its first eight as a number that sorts as they do, its size, and where
 * its bytes lie in the sketch's heap when there are more than eight. So items of integer keys need
 * no heap, and most comparisons touch nothing else.
 */
#ifndef GLIS_SKETCH_SKETCH_INT_H
#define GLIS_SKETCH_SKETCH_INT_H

#include "sketch/sketch.h"

#include <stdlib.h>

enum { KLL_LEVELS_MAX = 56, KLL_PREFIX_BYTES = 8 };

struct kll_item {
    uint64_t prefix; /* filled up with 00 */
    uint32_t size, place;
};

struct kll_level {
    struct kll_item *items; /* ascending, but in level 0 as they came */
    uint32_t n, capacity;
};

struct kll {
    uint32_t k;
    uint32_t base; /* an item of level i stands for 2^(base + i) rows */
    uint32_t n_levels;
    uint32_t n_items;       /* in all levels */
    uint32_t items_max;     /* at which they are compacted */
    bool is_sorted;         /* level 0 ascends */
    uint64_t count, random; /* rows; state of the generator */
    uint64_t block_left;    /* rows left of the block of which one is picked */
    uint64_t pick_left;     /* rows before that one; NO_PICK: it was, or is not to be */
    uint8_t *heap;          /* bytes of items of more than eight */
    uint64_t heap_used, heap_capacity, heap_live;
    uint64_t least, greatest; /* prefixes of min and max */
    struct buffer min, max;
    struct kll_level levels[KLL_LEVELS_MAX];
};

/* Items of this level from which on it is compacted. */
uint32_t kll_level_capacity(uint32_t k, uint32_t n_levels, uint32_t level);
/* Levels that a sketch has at most. */
uint32_t kll_levels_max(uint32_t k);
/* Appends an item to a level, without looking at limits. */
void kll_append(struct kll *kll, uint32_t level, struct slice item);
/* Sets items_max by k and the number of levels. */
void kll_set_limits(struct kll *kll);
/* An item's bytes; those of a short one are put into `room`. */
struct slice kll_item_bytes(const uint8_t *heap, const struct kll_item *item,
                            uint8_t room[KLL_PREFIX_BYTES]);
/* Order of two items by their bytes, each with the heap it lies in. */
int kll_item_compare(const uint8_t *heap_a, const struct kll_item *a, const uint8_t *heap_b,
                     const struct kll_item *b);
/* Sorts items of one heap. */
void kll_items_sort(struct kll_item *items, uint32_t n, const uint8_t *heap);

/* The first eight bytes of an item as a number. */
static inline uint64_t kll_prefix(struct slice item)
{
    uint64_t prefix = 0;
    if (item.size == 0) return 0;
    memcpy(&prefix, item.data, item.size < KLL_PREFIX_BYTES ? item.size : KLL_PREFIX_BYTES);
    return __builtin_bswap64(prefix);
}

/* Seven bits a byte, the low ones first, the top bit set where more follow. */
int varint_append(struct buffer *out, uint64_t number) GLIS_CHECKED;
/* Takes one from the beginning of *in; GLIS_ECORRUPT when it is cut, has more than 10 bytes, or
 * passes max. `what` is for the message. */
int varint_take(struct slice *in, const char *what, uint64_t max, uint64_t *out) GLIS_CHECKED;

#endif
