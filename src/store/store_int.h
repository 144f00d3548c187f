/*
 * store_int.h: what the kinds of store share among themselves and nobody else may use: the checks
 * of keys and ranges that must be the same for each of them.
 */
#ifndef GLIS_STORE_STORE_INT_H
#define GLIS_STORE_STORE_INT_H

#include "store/store.h"

/* Fills the common part; `description` is heap memory and becomes the store's. */
void store_init(struct store *store, const struct store_ops *ops, char *description, bool local);

/* Which bytes of an object of this size a read means. GLIS_EINVALID when it begins beyond the
 * end. */
int store_range(const struct store_read *read, uint64_t object_size, uint64_t *start,
                uint64_t *size) GLIS_CHECKED;

#endif
