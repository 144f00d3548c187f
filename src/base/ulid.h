/*
 * ulid.h: identifiers of 26 characters that sort by the time of their making.
 *
 * By the ULID specification (github.com/ulid/spec): 48 bits of wall time in milliseconds and 80
 * random bits, in Crockford's base 32, capital letters. Within a source they grow strictly: in the
 * same millisecond, or when the clock went back, the random part of the last one is counted up.
 */
#ifndef GLIS_BASE_ULID_H
#define GLIS_BASE_ULID_H

#include "base/runtime.h"

enum { ULID_BYTES = 26 };

struct ulid {
    char text[ULID_BYTES + 1]; /* NUL-terminated */
};

/* A new identifier, by the runtime's clock and random and its source of order. Thread safe. */
struct ulid ulid_new(const struct runtime *runtime);
/* 26 characters of the alphabet in capitals, the first at most '7'. */
bool ulid_is_valid(struct slice s);
/* The time within a valid one, in milliseconds since 1970 UTC. */
int64_t ulid_time_ms(struct slice s);

/* Its 26 characters; valid as long as the identifier. */
static inline struct slice ulid_slice(const struct ulid *ulid)
{
    return slice_make(ulid->text, ULID_BYTES);
}

#endif
