/*
 * sim_world.c: the scheduler, time and choices of a simulated world (sim.h).
 *
 * Fibres are those of ucontext; a switch saves and restores the thread's error detail, the only
 * state that the code keeps by thread. Stacks are kept from world to world.
 *
 * Time moves with each request by some milliseconds, with a slow answer by more, and when all that
 * could go on are asleep, to the first awakening. It is one clock for all; what a worker sees of it
 * may be off (SIM_CLOCK).
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define START_MS 1700000000000

const char *const sim_event_texts[SIM_EVENT_KINDS] = {
#define SIM_EVENT_TEXT(name, text) text,
    SIM_EVENTS(SIM_EVENT_TEXT)
#undef SIM_EVENT_TEXT
};
uint64_t sim_event_counts[SIM_EVENT_KINDS];

static struct pool *pool;
static void *stacks[SIM_WORKERS_MAX];

/* ---- choices ---- */

uint64_t sim_next(struct sim_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t sim_draw(struct sim_random *random, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)sim_next(random) * bound >> 64);
}

struct sim_random sim_stream(uint64_t seed, uint64_t a, uint64_t b)
{
    struct sim_random random = {seed * 0x9e3779b97f4a7c15u ^ (a + 1) * 0xd1342543de82ef95u};
    random.state = sim_next(&random) ^ (b + 1) * 0xaf251af3b0f025b5u;
    return random;
}

static void fill(struct sim_random *state, void *out, size_t size)
{
    uint8_t *next = out;
    while (size > 0) {
        uint64_t word = sim_next(state);
        size_t n = size < 8 ? size : 8;
        memcpy(next, &word, n);
        next += n;
        size -= n;
    }
}

static void worker_fill(struct random *random, void *out, size_t size)
{
    struct sim_worker *worker =
        (struct sim_worker *)((char *)random - offsetof(struct sim_worker, random));
    fill(&worker->random_state, out, size);
}

static void world_fill(struct random *random, void *out, size_t size)
{
    struct sim *sim = (struct sim *)((char *)random - offsetof(struct sim, random));
    fill(&sim->random_state, out, size);
}

/* ---- what is told ---- */

void sim_broken(struct sim *sim, const char *format, ...)
{
    if (sim->broken[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim->broken, sizeof(sim->broken), format, arguments);
    va_end(arguments);
    sim_trace(sim, "=> %s", sim->broken);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    if (!sim->trace) return;
    if (sim->running)
        printf("%5llu %9.3f  W%u.%u  ", (unsigned long long)sim->steps,
               (double)(sim->now_ns / 1000000 - START_MS) / 1000, sim->running->number,
               sim->running->life);
    else
        printf("%5llu %9.3f  -     ", (unsigned long long)sim->steps,
               (double)(sim->now_ns / 1000000 - START_MS) / 1000);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

void sim_count(struct sim *sim, enum sim_event event)
{
    sim->events[event]++;
    sim_event_counts[event]++;
}

/* ---- time ---- */

static int64_t clock_wall_ms(struct clock *clock)
{
    const struct sim_worker *worker = ((struct sim_clock *)clock)->worker;
    if (worker->wall_stands_ms) return worker->wall_stands_ms;
    return worker->sim->now_ns / 1000000 + worker->wall_offset_ms + worker->sim->wall_shift_ms;
}

static int64_t clock_monotonic_ns(struct clock *clock)
{
    struct sim_worker *worker = ((struct sim_clock *)clock)->worker;
    if (worker->dead) worker->dead_extra_ns += 10000000000;
    return worker->sim->now_ns + worker->dead_extra_ns;
}

static void clock_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    struct sim_worker *worker = ((struct sim_clock *)clock)->worker;
    if (worker->dead) {
        worker->dead_extra_ns += duration_ms * 1000000;
        return;
    }
    if (duration_ms > 0) worker->wake_ns = worker->sim->now_ns + duration_ms * 1000000;
    sim_yield(worker);
}

static struct sim *world_of_clock(struct clock *clock)
{
    return (struct sim *)((char *)clock - offsetof(struct sim, clock));
}

static int64_t world_wall_ms(struct clock *clock)
{
    return world_of_clock(clock)->now_ns / 1000000 + world_of_clock(clock)->wall_shift_ms;
}

static int64_t world_monotonic_ns(struct clock *clock)
{
    return world_of_clock(clock)->now_ns;
}

static void world_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    world_of_clock(clock)->now_ns += duration_ms * 1000000;
}

/* ---- who goes on ---- */

static bool masked(const uint8_t *bits, uint64_t number, uint64_t max)
{
    return number < max && (bits[number / 8] & 1u << number % 8);
}

/* The next to run; NULL when all have ended. */
static struct sim_worker *choose(struct sim *sim, struct sim_worker *current)
{
    uint64_t number = sim->n_switches++;
    if (sim->nap && sim_chance(&sim->schedule, sim->nap))
        sim->awake = (uint32_t)sim_draw(&sim->schedule, 1u << sim->n_workers);
    bool stays = sim_draw(&sim->schedule, 100) < sim->stay;
    unsigned next = (unsigned)sim_draw(&sim->schedule, sim->n_workers);
    if (sim->mask && masked(sim->mask->switches, number, SIM_SWITCHES_MAX)) stays = true;
    if (current && current->alive && current->wake_ns <= sim->now_ns &&
        (stays || current->dead || !sim_goes_on(sim)))
        return current;
    struct sim_worker *sleeper = NULL;
    for (int round = 0; round < 2; round++) { /* in the second those who nap are woken */
        for (unsigned i = 0; i < sim->n_workers; i++) {
            struct sim_worker *worker = &sim->workers[(next + i) % sim->n_workers];
            if (!worker->alive) continue;
            bool naps = !round && !(sim->awake & 1u << worker->number);
            if (worker->wake_ns <= sim->now_ns && !naps) return worker;
            if (!sleeper || worker->wake_ns < sleeper->wake_ns) sleeper = worker;
        }
    }
    if (sleeper && sleeper->wake_ns > sim->now_ns) sim->now_ns = sleeper->wake_ns;
    return sleeper;
}

/* Sanitizers are told of each change of stack. `kept`: what they want back when the fibre that is
 * left goes on; NULL: it never does. */
static void stack_leave(void **kept, const void *bottom, size_t size)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(kept, bottom, size);
#else
    (void)kept, (void)bottom, (void)size;
#endif
}

static void stack_enter(void *kept, const void **bottom, size_t *size)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(kept, bottom, size);
#else
    (void)kept, (void)bottom, (void)size;
#endif
}

/* A stack that was left in the middle by a worker of an earlier world. */
static void stack_clean(void *bottom, size_t size)
{
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(bottom, size);
#else
    (void)bottom, (void)size;
#endif
}

static void go_on(struct sim *sim, struct sim_worker *from, struct sim_worker *next)
{
    if (next == from) return;
    sim->running = next;
    if (from) error_save(&from->error);
    ucontext_t *here = from ? &from->context : &sim->main;
    void *kept = NULL;
    bool returns = !from || from->alive;
    stack_leave(returns ? &kept : NULL, next ? next->stack : sim->main_stack,
                next ? SIM_STACK_BYTES : sim->main_stack_bytes);
    ASSERT(swapcontext(here, next ? &next->context : &sim->main) == 0);
    stack_enter(kept, NULL, NULL);
    if (from) (void)error_load(&from->error);
}

/* Whether it would undo something, of what is deadly if anything is. */
static bool power_would_hurt(const struct sim *sim)
{
    if (!sim->deadly) return sim->changes;
    for (const struct sim_change *change = sim->changes; change; change = change->next)
        if (strstr(change->key, sim->deadly)) return true;
    return false;
}

void sim_yield(struct sim_worker *worker)
{
    struct sim *sim = worker->sim;
    if (worker->dead) return;
    sim->steps++;
    sim->now_ns += (int64_t)(1 + sim_draw(&sim->schedule, 12)) * 1000000;
    if (sim->late && sim_chance(&sim->schedule, sim->land)) sim_late_settle(sim, false);
    bool hastens = power_would_hurt(sim) && sim_chance(&sim->power, sim->power_haste);
    if (sim->power_step && (hastens || sim->steps >= sim->power_step)) {
        sim_power_fail(sim);
        return;
    }
    if (sim->steps > sim->kind->steps_max) sim_broken(sim, "they cannot all finish");
    if (!sim_goes_on(sim)) { /* everybody unwinds */
        worker->dead = true;
        atomic_store(&worker->cancel.requested, 1);
        return;
    }
    go_on(sim, worker, choose(sim, worker));
    if (!sim_goes_on(sim)) {
        worker->dead = true;
        atomic_store(&worker->cancel.requested, 1);
    }
}

static void worker_main(unsigned low, unsigned high)
{
    struct sim_worker *worker = (struct sim_worker *)((uintptr_t)low | (uintptr_t)high << 32);
    const void *bottom = NULL;
    size_t size = 0;
    stack_enter(NULL, &bottom, &size);
    if (!worker->sim->main_stack) { /* the first comes from there */
        worker->sim->main_stack = bottom;
        worker->sim->main_stack_bytes = size;
    }
    error_clear();
    if (!worker->sim->mask || !(worker->sim->mask->workers & 1u << worker->number))
        worker->play(worker);
    worker->alive = false;
    go_on(worker->sim, worker, choose(worker->sim, NULL));
    ASSERT(false); /* nobody wakes the dead */
}

struct sim_worker *sim_worker_add(struct sim *sim, void (*play)(struct sim_worker *worker),
                                  void *own)
{
    ASSERT(sim->n_workers < SIM_WORKERS_MAX);
    struct sim_worker *worker = &sim->workers[sim->n_workers];
    *worker = (struct sim_worker){.sim = sim,
                                  .number = sim->n_workers,
                                  .play = play,
                                  .own = own,
                                  .alive = true,
                                  .random = {worker_fill},
                                  .random_state = sim_stream(sim->seed, 100, sim->n_workers),
                                  .faults = sim_stream(sim->seed, 200, sim->n_workers)};
    snprintf(worker->name, sizeof(worker->name), "w%u", worker->number);
    worker->clock = (struct sim_clock){{clock_wall_ms, clock_monotonic_ns, clock_sleep_ms}, worker};
    budget_init(&worker->budget, worker->name, 0, NULL, NULL);
    worker->runtime = (struct runtime){.clock = &worker->clock.clock,
                                       .random = &worker->random,
                                       .pool = pool,
                                       .budget = &worker->budget,
                                       .cancel = &worker->cancel,
                                       .ulids = &worker->ulids,
                                       .process = worker->name};
    if (!stacks[worker->number]) {
        stacks[worker->number] = mmap(NULL, SIM_STACK_BYTES, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ASSERT(stacks[worker->number] != MAP_FAILED);
    }
    worker->stack = stacks[worker->number];
    stack_clean(worker->stack, SIM_STACK_BYTES);
    sim->n_workers++;
    return worker;
}

struct store *sim_worker_begin(struct sim_worker *worker)
{
    if (sim_goes_on(worker->sim)) {
        worker->dead = false;
        worker->dead_extra_ns = 0;
        atomic_store(&worker->cancel.requested, 0);
    }
    worker->crash_in = 0;
    worker->life++;
    worker->wall_stands_ms = worker->wall_offset_ms = 0;
    memset(&worker->ulids, 0, sizeof(worker->ulids));
    if (sim_fault(worker, SIM_CLOCK)) { /* within what is allowed, mostly */
        bool far = sim_chance(&worker->faults, 8);
        int64_t most_ms = far ? 400000 : 280000;
        worker->wall_offset_ms =
            (int64_t)sim_draw(&worker->faults, (uint64_t)(2 * most_ms)) - most_ms;
        sim_trace(worker->sim, "its clock is off by %lld s",
                  (long long)worker->wall_offset_ms / 1000);
    }
    return sim_store_new(worker);
}

bool sim_operation(struct sim_worker *worker, struct sim_random *random)
{
    unsigned number = worker->operation++;
    *random = sim_stream(worker->sim->seed, 300 + worker->number, number);
    const struct sim_mask *mask = worker->sim->mask;
    return !mask || number >= SIM_OPERATIONS_MAX ||
           !(mask->operations[worker->number] & UINT64_C(1) << number);
}

bool sim_fault(struct sim_worker *worker, enum sim_fault kind)
{
    return sim_fault_of(worker, kind, worker->sim->fault_chance[kind]);
}

bool sim_fault_of(struct sim_worker *worker, enum sim_fault kind, uint32_t chance)
{
    struct sim *sim = worker->sim;
    if (!chance || sim_draw(&worker->faults, 65536) >= chance) return false;
    if (sim->steps > sim->kind->calm_step) return false;
    uint64_t number = sim->n_faults++;
    if (!sim->mask) return true;
    return !(sim->mask->fault_kinds & 1u << kind) &&
           !masked(sim->mask->faults, number, SIM_FAULTS_MAX);
}

/* ---- a run ---- */

static void family_take(struct sim *sim, const struct sim_family *family)
{
    static const char *const all[] = {NULL,          NULL,          NULL,        "log/0",
                                      "log/trimmed", "log/pending", "snapshot/", "data/"};
    sim->family = family;
    sim->focus = family->n_foci ? family->foci[sim_draw(&sim->build, family->n_foci)]
                                : all[sim_draw(&sim->build, 8)];
    sim->deadly = family->n_deadly ? family->deadly[sim_draw(&sim->build, family->n_deadly)] : NULL;
    if (family->power != SIM_POWER_MAYBE)
        sim->fault_chance[SIM_POWER] = family->power == SIM_POWER_ALWAYS;
    sim_trace(sim, "a world of the family %s", family->name);
}

/* By the seed alone, so that enlarging a family takes no world from the others' variety. */
static const struct sim_family *family_of(const struct sim_kind *kind, uint64_t seed)
{
    uint64_t shares = 0, at;
    for (unsigned i = 0; i < kind->n_families; i++)
        shares += kind->families[i].share ? kind->families[i].share : 1;
    at = seed % shares;
    const struct sim_family *family = kind->families;
    for (unsigned share = 0;; family++, at -= share) {
        share = family->share ? family->share : 1;
        if (at < share) return family;
    }
}

static void world_prepare(struct sim *sim, const struct sim_kind *kind, uint64_t seed)
{
    sim->kind = kind;
    sim->seed = seed;
    sim->now_ns = START_MS * 1000000;
    sim->build = sim_stream(seed, 1, 0);
    sim->schedule = sim_stream(seed, 2, 0);
    sim->random_state = sim_stream(seed, 3, 0);
    sim->random = (struct random){world_fill};
    sim->clock.clock = (struct clock){world_wall_ms, world_monotonic_ns, world_sleep_ms};
    budget_init(&sim->budget, "world", 0, NULL, NULL);
    sim->runtime = (struct runtime){.clock = &sim->clock.clock,
                                    .random = &sim->random,
                                    .pool = pool,
                                    .budget = &sim->budget,
                                    .ulids = &sim->ulids,
                                    .process = "world"};
    static const unsigned stays[] = {0, 20, 50, 80, 90};
    sim->stay = stays[sim_draw(&sim->build, 5)];
    sim->nap = sim_chance(&sim->build, 3) ? 0 : 20 + (unsigned)sim_draw(&sim->build, 80);
    sim->land = 2 + (unsigned)sim_draw(&sim->build, 60);
    sim->awake = UINT32_MAX;
    static const uint32_t chances[SIM_FAULT_KINDS] = {
        [SIM_LOST_BEFORE] = 4000, [SIM_LOST_AFTER] = 4000,  [SIM_LATE] = 5000, [SIM_RETRY] = 3000,
        [SIM_REPEATED] = 3000,    [SIM_BROKEN_READ] = 1500, [SIM_SLOW] = 600,  [SIM_CRASH] = 800,
        [SIM_CLOCK] = 16000,      [SIM_POWER] = 1};
    for (int i = 0; i < SIM_FAULT_KINDS; i++) /* half of the kinds, each at a rate of its own */
        if (sim_chance(&sim->build, 2))
            sim->fault_chance[i] = (uint32_t)sim_draw(&sim->build, chances[i]) + 1;
    family_take(sim, family_of(kind, seed));
    sim->local = sim->fault_chance[SIM_POWER];
    sim->power = sim_stream(seed, 4, 0);
    if (sim->local && !(sim->mask && sim->mask->fault_kinds & 1u << SIM_POWER))
        sim->power_step = 20 + sim_draw(&sim->power, 400);
    sim->power_haste = 4 + (unsigned)sim_draw(&sim->power, 80);
    if (sim->local) { /* what is there and not durable: its maker died, or could not sync it */
        sim->fault_chance[SIM_LOST_AFTER] += 2500;
        sim->fault_chance[SIM_CRASH] += 500;
    }
    ASSERT(store_memory_open(&sim->runtime, &sim->store) == 0);
}

void sim_run(const struct sim_kind *kind, uint64_t seed, const struct sim_mask *mask, bool trace,
             struct sim_result *out)
{
    if (!pool) pool = pool_new(0);
    struct sim *sim = memory_alloc_zero(sizeof(*sim));
    sim->mask = mask;
    sim->trace = trace;
    world_prepare(sim, kind, seed);
    kind->build(sim);
    for (unsigned i = 0; i < sim->n_workers; i++) {
        struct sim_worker *worker = &sim->workers[i];
        ASSERT(getcontext(&worker->context) == 0);
        worker->context.uc_stack.ss_sp = worker->stack;
        worker->context.uc_stack.ss_size = SIM_STACK_BYTES;
        worker->context.uc_link = NULL;
        uintptr_t address = (uintptr_t)worker;
        makecontext(&worker->context, (void (*)(void))(uintptr_t)worker_main, 2, (unsigned)address,
                    (unsigned)(address >> 32));
    }
    if (sim->n_workers && sim_goes_on(sim)) go_on(sim, NULL, choose(sim, NULL));
    sim_late_settle(sim, true);
    sim_power_free(sim);
    if (sim_goes_on(sim)) kind->judge(sim);
    kind->tear(sim);
    store_close(sim->store);
    for (unsigned i = 0; i < sim->n_workers; i++)
        if (budget_used(&sim->workers[i].budget) != 0)
            sim_broken(sim, "worker %u has kept %llu bytes", i,
                       (unsigned long long)budget_used(&sim->workers[i].budget));
    *out = (struct sim_result){.failed = !sim_goes_on(sim),
                               .steps = sim->steps,
                               .n_faults = sim->n_faults,
                               .n_switches = sim->n_switches,
                               .n_workers = sim->n_workers};
    memcpy(out->broken, sim->broken, sizeof(out->broken));
    for (unsigned i = 0; i < sim->n_workers; i++)
        out->n_operations[i] = sim->workers[i].operation;
    free(sim);
}
