/*
 * random.c: random bytes, from the system or from a seed.
 *
 * The seeded source is xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number
 * generators", 2018), its state filled from the seed by splitmix64. Words leave it in little-endian
 * order and a fill that is no multiple of eight throws the rest of its last word away, so the same
 * seed and the same calls give the same bytes on every machine. It is for tests and simulations:
 * never for secrets.
 */
#include "base/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct random_seeded {
    struct random random;
    pthread_mutex_t lock;
    uint64_t state[4];
};

static void system_fill(struct random *random, void *out, size_t size);
static void seeded_fill(struct random *random, void *out, size_t size);
static uint64_t xoshiro_next(uint64_t state[4]);
static uint64_t splitmix_next(uint64_t *state);

struct random *random_system(void)
{
    static struct random system_random = {system_fill};
    return &system_random;
}

struct random *random_seeded_new(uint64_t seed)
{
    struct random_seeded *seeded = memory_alloc(sizeof(*seeded));
    seeded->random.fill = seeded_fill;
    ASSERT(pthread_mutex_init(&seeded->lock, NULL) == 0);
    for (unsigned i = 0; i < 4; i++)
        seeded->state[i] = splitmix_next(&seed);
    return &seeded->random;
}

void random_seeded_free(struct random *random)
{
    if (!random) return;
    struct random_seeded *seeded = (struct random_seeded *)random;
    pthread_mutex_destroy(&seeded->lock);
    free(seeded);
}

uint64_t random_u64(struct random *random)
{
    uint8_t bytes[8];
    random->fill(random, bytes, sizeof(bytes));
    uint64_t value = 0;
    for (unsigned i = 8; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* By multiplication with rejection: Lemire, "Fast random integer generation in an interval". */
uint64_t random_below(struct random *random, uint64_t bound)
{
    ASSERT(bound > 0);
    uint64_t refused = -bound % bound;
    for (;;) {
        unsigned __int128 product = (unsigned __int128)random_u64(random) * bound;
        if ((uint64_t)product >= refused) return (uint64_t)(product >> 64);
    }
}

static void system_fill(struct random *random, void *out, size_t size)
{
    (void)random;
    uint8_t *next = out;
    while (size > 0) {
        ssize_t n = getrandom(next, size, 0);
        if (n < 0 && errno == EINTR) continue;
        ASSERT(n > 0);
        next += n;
        size -= (size_t)n;
    }
}

static void seeded_fill(struct random *random, void *out, size_t size)
{
    struct random_seeded *seeded = (struct random_seeded *)random;
    uint8_t *next = out;
    pthread_mutex_lock(&seeded->lock);
    while (size > 0) {
        uint64_t word = xoshiro_next(seeded->state);
        for (unsigned i = 0; i < 8 && size > 0; i++, size--, word >>= 8)
            *next++ = (uint8_t)word;
    }
    pthread_mutex_unlock(&seeded->lock);
}

static inline uint64_t rotate_left(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static uint64_t xoshiro_next(uint64_t state[4])
{
    uint64_t result = rotate_left(state[1] * 5, 7) * 9, shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

static uint64_t splitmix_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
