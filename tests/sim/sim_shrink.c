/*
 * sim_shrink.c: a failing run made shorter, by leaving out what it does not need.
 *
 * Greedy: whole workers, then kinds of faults, then operations, then single faults and changes of
 * turn in halves and quarters down to one; what can be left out with some failure remaining stays
 * left out, until a round changes nothing. As each stream of choices stands by itself, most of the
 * rest stays as it was.
 */
#include "sim.h"

enum { RUNS_MAX = 3000 };

struct shrinking {
    const struct sim_kind *kind;
    uint64_t seed;
    struct sim_mask *mask;
    struct sim_result *result;
    unsigned n_runs;
};

/* Whether it still fails with this mask; if so the mask is kept. */
static bool fails(struct shrinking *s, const struct sim_mask *mask)
{
    struct sim_result result;
    if (s->n_runs++ >= RUNS_MAX) return false;
    sim_run(s->kind, s->seed, mask, false, &result);
    if (!result.failed) return false;
    *s->mask = *mask;
    *s->result = result;
    return true;
}

static void set_bits(uint8_t *bits, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        bits[i / 8] |= (uint8_t)(1u << i % 8);
}

/* Leaves out runs of bits, from large to small. */
static bool shrink_bits(struct shrinking *s, size_t offset, uint64_t n)
{
    bool any = false;
    for (uint64_t length = n; length >= 1; length = length == 1 ? 0 : (length + 1) / 2) {
        if (n / length > 300) break; /* too many single ones */
        for (uint64_t from = 0; from < n; from += length) {
            struct sim_mask mask = *s->mask;
            uint64_t to = from + length < n ? from + length : n;
            set_bits((uint8_t *)&mask + offset, from, to);
            if (memcmp(&mask, s->mask, sizeof(mask)) != 0) any |= fails(s, &mask);
        }
    }
    return any;
}

static bool shrink_round(struct shrinking *s)
{
    bool any = false;
    for (unsigned i = 0; i < s->result->n_workers; i++) {
        struct sim_mask mask = *s->mask;
        mask.workers |= 1u << i;
        if (mask.workers != s->mask->workers) any |= fails(s, &mask);
    }
    for (unsigned i = 0; i < SIM_FAULT_KINDS; i++) {
        struct sim_mask mask = *s->mask;
        mask.fault_kinds |= 1u << i;
        if (mask.fault_kinds != s->mask->fault_kinds) any |= fails(s, &mask);
    }
    for (unsigned i = 0; i < s->result->n_workers; i++)
        for (unsigned k = SIM_OPERATIONS_MAX; k-- > 0;) {
            struct sim_mask mask = *s->mask;
            if (k >= s->result->n_operations[i] || mask.workers & 1u << i) continue;
            mask.operations[i] |= UINT64_C(1) << k;
            if (mask.operations[i] != s->mask->operations[i]) any |= fails(s, &mask);
        }
    uint64_t n = s->result->n_faults;
    any |=
        shrink_bits(s, offsetof(struct sim_mask, faults), n < SIM_FAULTS_MAX ? n : SIM_FAULTS_MAX);
    n = s->result->n_switches;
    any |= shrink_bits(s, offsetof(struct sim_mask, switches),
                       n < SIM_SWITCHES_MAX ? n : SIM_SWITCHES_MAX);
    return any;
}

void sim_shrink(const struct sim_kind *kind, uint64_t seed, struct sim_mask *mask,
                struct sim_result *out)
{
    uint64_t counts[SIM_EVENT_KINDS];
    memcpy(counts, sim_event_counts, sizeof(counts)); /* these runs do not count */
    struct shrinking s = {.kind = kind, .seed = seed, .mask = mask, .result = out};
    memset(mask, 0, sizeof(*mask));
    if (fails(&s, mask))
        while (s.n_runs < RUNS_MAX && shrink_round(&s))
            continue;
    memcpy(sim_event_counts, counts, sizeof(counts));
}
