/*
 * sketch.h: what a file's keys look like, in a few kilobytes: quantiles and distinct counts.
 *
 * A *kll* is a quantiles sketch (Karnin, Lang, Liberty: "Optimal Quantile Approximation in
 * Streams", 2016) over byte strings in memcmp order, which is what encoded field keys are
 * (column.h). An *hll* counts distinct ones (HyperLogLog, with the estimator of Ertl: "New
 * cardinality estimation algorithms for HyperLogLog sketches", 2017). Both can be merged, and are
 * the same bytes for the same sequence of calls and the same seed. A *kll_view* answers questions
 * about one or several klls at once, all of their rows or those of a range.
 *
 * Their bytes are described in docs/formats.md ("Sketches").
 *
 * Ownership: ..._new, ..._copy and ..._decode give something that the caller frees. Items that are
 * handed out point into the sketch and live until it is changed or freed; a view's live as long as
 * the sketches that it was made from. A sketch may be read by several threads at once, and changed
 * by one.
 */
#ifndef GLIS_SKETCH_SKETCH_H
#define GLIS_SKETCH_SKETCH_H

#include "base/buffer.h"
#include "base/memory.h"
#include "column/column.h"

/* ---- quantiles ---- */

enum {
    KLL_K_DEFAULT = 1024,
    KLL_K_MIN = 32,
    KLL_K_MAX = 1 << 16,
    KLL_ITEM_BYTES_MAX = KEY_BYTES_MAX + 64, /* field keys are never longer */
    KLL_ENCODED_BYTES_MAX = 64 << 20,
};
/* What the kept items take at most, about: with longer ones k is halved, down to KLL_K_MIN. */
#define KLL_ITEMS_BYTES_MAX (UINT64_C(4) << 20)

struct kll;

/*
 * An empty sketch. k is at least KLL_K_MIN and at most KLL_K_MAX. Up to 3 k items are kept as they
 * are; of more, about 3 k stand for all of them. With k = 1024 a rank is off by less than 0.3 % of
 * all rows in 99 cases of 100; ten times k makes the error about three times smaller for rows in no
 * order, ten times for rows in order. Choices are drawn from a generator that begins with `seed`
 * (of a data file its name and the field's number).
 */
struct kll *kll_new(uint32_t k, struct slice seed);
struct kll *kll_copy(const struct kll *kll);
void kll_free(struct kll *kll); /* NULL is allowed */
/* One item, at most KLL_ITEM_BYTES_MAX long. */
void kll_update(struct kll *kll, struct slice item);
/* All keys, in their order, as one by one. Cost: keys that ascend need no sorting; beyond some
 * 100,000 (for k = 1024) only a share that gets ever smaller is looked at for more than the least
 * and the greatest. */
void kll_update_keys(struct kll *kll, const struct keys *keys);
/* Adds the other's rows. k becomes the smaller one. */
void kll_merge(struct kll *kll, const struct kll *other);

uint64_t kll_count(const struct kll *kll);   /* rows, exactly */
uint32_t kll_k(const struct kll *kll);       /* the present one */
uint32_t kll_items(const struct kll *kll);   /* that are kept */
struct slice kll_min(const struct kll *kll); /* the least item, exactly; empty without rows */
struct slice kll_max(const struct kll *kll); /* the greatest */
/* Appends the sketch's bytes. */
int kll_encode(const struct kll *kll, struct buffer *out) GLIS_CHECKED;
/* Reads what kll_encode wrote, all of `bytes`; GLIS_ECORRUPT says what is wrong. */
int kll_decode(struct slice bytes, struct kll **out) GLIS_CHECKED;
/* Whether all that should hold does: order within levels, counts, least and greatest. */
bool kll_validate(const struct kll *kll, const char **reason);

/* ---- views ---- */

/* A kept item, and the weight of all smaller ones. Items ascend; equal ones are one. */
struct kll_view_item {
    struct slice key;
    uint64_t before;
};

/*
 * All items of some sketches in order. Weights are in rows, but for sampling, which makes their sum
 * differ a little from the count. The exact least and greatest of each sketch are among the items,
 * if need be with no weight.
 */
struct kll_view {
    const struct kll_view_item *items;
    uint32_t n_items;
    uint64_t weight; /* of all */
    uint64_t count;  /* rows of all sketches, exactly */
};

/* Items [begin, end) of a view. */
struct kll_range {
    uint32_t begin, end;
};

enum { KLL_VIEW_SKETCHES_MAX = 4096 };
/* In the arena, whose budget bounds it (32 bytes an item): GLIS_ENOMEM; GLIS_ELIMIT for more than
 * KLL_VIEW_SKETCHES_MAX. Sketches without rows and none at all make an empty view. */
int kll_view_new(const struct kll *const *sketches, size_t n, struct arena *arena,
                 const struct kll_view **out) GLIS_CHECKED;
/* The items at or above `min` and, unless unbounded, below `max`. */
struct kll_range kll_view_range(const struct kll_view *view, struct slice min, struct slice max,
                                bool unbounded);
struct kll_range kll_view_all(const struct kll_view *view);
uint64_t kll_view_weight(const struct kll_view *view, struct kll_range range);
/* Rows in the range, estimated; all rows exactly when it holds all items. Can be 0. */
uint64_t kll_view_rows(const struct kll_view *view, struct kll_range range);
/* Rows below an item, estimated: its rank times the count. */
uint64_t kll_view_rows_below(const struct kll_view *view, struct slice item);
/*
 * The item that stands at floor(fraction × rows) when the range's rows are sorted and counted from
 * 0; the greatest for a fraction of 1 or more. False when the range has no item. A range whose
 * items have no weight gives its least.
 */
bool kll_view_quantile(const struct kll_view *view, struct kll_range range, double fraction,
                       struct slice *out);
bool kll_view_min(const struct kll_view *view, struct kll_range range, struct slice *out);
bool kll_view_max(const struct kll_view *view, struct kll_range range, struct slice *out);
/* The smallest item of the range that is greater than `item`; false when there is none. */
bool kll_view_above(const struct kll_view *view, struct kll_range range, struct slice item,
                    struct slice *out);

/* ---- distinct counts ---- */

enum {
    HLL_PRECISION_DEFAULT = 12,
    HLL_PRECISION_MIN = 4,
    HLL_PRECISION_MAX = 16,
};

struct hll;

/* With 2^precision registers: the standard error is 1.04 / 2^(precision / 2), 1.6 % for 12. Up to
 * an eighth as many distinct items are counted by their hashes, all but exactly. */
struct hll *hll_new(unsigned precision);
struct hll *hll_copy(const struct hll *hll);
void hll_free(struct hll *hll); /* NULL is allowed */
void hll_update(struct hll *hll, struct slice item);
/* All keys; one that is equal to the one before is passed over. */
void hll_update_keys(struct hll *hll, const struct keys *keys);
/* As if the other's items had been added. Both have the same precision, else GLIS_EINVALID. */
int hll_merge(struct hll *hll, const struct hll *other) GLIS_CHECKED;
double hll_estimate(const struct hll *hll);
unsigned hll_precision(const struct hll *hll);
/* Appends its bytes; the same for the same set of items, in whatever order they came. */
int hll_encode(const struct hll *hll, struct buffer *out) GLIS_CHECKED;
int hll_decode(struct slice bytes, struct hll **out) GLIS_CHECKED;
bool hll_validate(const struct hll *hll, const char **reason);

#endif
