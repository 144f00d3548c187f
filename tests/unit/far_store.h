/*
 * far_store.h: a store before another that behaves as one that is far away: what is begun comes in
 * by steps, each time somebody looks, and one read may fail. For tests of what reads ahead.
 */
#ifndef GLIS_FAR_STORE_H
#define GLIS_FAR_STORE_H

#include "test.h"

#include "store/store_int.h"

#include <stdlib.h>

struct far_store {
    struct store store;
    struct store *behind;
    unsigned steps;          /* looks until a reading is here */
    _Atomic int64_t fail_at; /* the n-th reading begun fails; 0: none */
    _Atomic int64_t n_begun, n_ended, n_dropped, n_sync;
    _Atomic uint64_t under_way, under_way_most; /* bytes asked for and not ended */
};

struct far_reading {
    struct store_reading reading;
    struct far_store *far;
    struct store_read *reads;
    size_t n_reads;
    unsigned steps_left;
    uint64_t bytes;
    bool fails;
};

static inline void far_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct far_store *far = (struct far_store *)store;
    far->n_sync++;
    (void)!store_read(far->behind, reads, n_reads);
}

static inline struct store_reading *far_begin(struct store *store, struct store_read *reads,
                                              size_t n_reads)
{
    struct far_store *far = (struct far_store *)store;
    struct far_reading *reading = memory_alloc_zero(sizeof *reading);
    reading->far = far;
    reading->reads = reads;
    reading->n_reads = n_reads;
    reading->steps_left = far->steps;
    for (size_t i = 0; i < n_reads; i++)
        reading->bytes += reads[i].length;
    reading->fails = ++far->n_begun == far->fail_at;
    uint64_t now = atomic_fetch_add(&far->under_way, reading->bytes) + reading->bytes;
    if (now > far->under_way_most) far->under_way_most = now;
    return &reading->reading;
}

static inline bool far_go_on(struct store_reading *base, bool wait)
{
    struct far_reading *reading = (struct far_reading *)base;
    (void)wait;
    if (reading->steps_left > 0) reading->steps_left--;
    return reading->steps_left == 0;
}

static inline void far_end(struct store_reading *base, bool drop)
{
    struct far_reading *reading = (struct far_reading *)base;
    struct far_store *far = reading->far;
    far->under_way -= reading->bytes;
    if (drop) {
        far->n_dropped++;
        free(reading);
        return;
    }
    far->n_ended++;
    (void)!store_read(far->behind, reading->reads, reading->n_reads);
    if (reading->fails) {
        struct store_read *last = &reading->reads[reading->n_reads - 1];
        store_read_release(last, 1);
        last->size = 0;
        last->outcome = error_set(GLIS_EIO, "the line is down");
    }
    free(reading);
}

static inline void far_close(struct store *store)
{
    free(store);
}

static inline struct far_store *far_open(struct store *behind, unsigned steps)
{
    static struct store_ops ops;
    ops = *behind->ops; /* of what is not here, nothing is asked */
    ops.read = far_read;
    ops.read_begin = far_begin;
    ops.read_go_on = far_go_on;
    ops.read_end = far_end;
    ops.forget = NULL;
    ops.counters = NULL;
    ops.close = far_close;
    struct far_store *far = memory_alloc_zero(sizeof *far);
    store_init(&far->store, &ops, memory_copy_text(SLICE("a store far away")), false);
    far->behind = behind;
    far->steps = steps;
    return far;
}

#endif
