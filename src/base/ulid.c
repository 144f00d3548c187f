/*
 * ulid.c: identifiers by the ULID specification (github.com/ulid/spec).
 *
 * 26 characters of 5 bits carry 130 bits; the uppermost two are always zero, so the first character
 * is at most '7'. Order within a source comes from remembering the last identifier: when the clock
 * has not moved on, the next is the last one plus one, and a carry out of the random part goes into
 * the time, which then runs ahead of the clock by a millisecond.
 */
#include "base/ulid.h"

#include <sched.h>

enum { RANDOM_BYTES = 10, TIME_CHARACTERS = 10 };

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static struct ulid_source process_source;

static void count_up(struct ulid_source *source);
static int digit_value(char c);

struct ulid ulid_new(const struct runtime *runtime)
{
    struct ulid_source *source = runtime->ulids ? runtime->ulids : &process_source;
    int64_t now_ms = runtime->clock->wall_ms(runtime->clock);
    uint8_t fresh[RANDOM_BYTES];
    runtime->random->fill(runtime->random, fresh, sizeof(fresh));
    if (now_ms < 0) now_ms = 0;

    while (atomic_exchange_explicit(&source->busy, 1, memory_order_acquire))
        sched_yield();
    if (now_ms > source->last_ms) {
        source->last_ms = now_ms;
        memcpy(source->last_random, fresh, sizeof(fresh));
    } else {
        count_up(source);
    }
    uint64_t time_ms = (uint64_t)source->last_ms;
    memcpy(fresh, source->last_random, sizeof(fresh));
    atomic_store_explicit(&source->busy, 0, memory_order_release);

    struct ulid ulid;
    for (unsigned i = TIME_CHARACTERS; i-- > 0; time_ms >>= 5)
        ulid.text[i] = alphabet[time_ms & 31];
    /* Five bytes make eight characters. */
    for (unsigned half = 0; half < 2; half++) {
        uint64_t bits = 0;
        for (unsigned i = 0; i < 5; i++)
            bits = bits << 8 | fresh[half * 5 + i];
        for (unsigned i = 8; i-- > 0; bits >>= 5)
            ulid.text[TIME_CHARACTERS + half * 8 + i] = alphabet[bits & 31];
    }
    ulid.text[ULID_BYTES] = '\0';
    return ulid;
}

bool ulid_is_valid(struct slice s)
{
    if (s.size != ULID_BYTES || s.data[0] > '7') return false;
    for (size_t i = 0; i < ULID_BYTES; i++) {
        if (digit_value(s.data[i]) < 0) return false;
    }
    return true;
}

int64_t ulid_time_ms(struct slice s)
{
    ASSERT(ulid_is_valid(s));
    int64_t time_ms = 0;
    for (size_t i = 0; i < TIME_CHARACTERS; i++)
        time_ms = time_ms << 5 | digit_value(s.data[i]);
    return time_ms;
}

static void count_up(struct ulid_source *source)
{
    for (unsigned i = RANDOM_BYTES; i-- > 0;) {
        if (++source->last_random[i] != 0) return;
    }
    source->last_ms++;
}

static int digit_value(char c)
{
    const char *place = c ? strchr(alphabet, c) : NULL;
    return place ? (int)(place - alphabet) : -1;
}
