/*
 * sim.h: simulated worlds: many workers in one thread over a store that fails, every choice from
 * one seed.
 *
 * A worker stands for a process: it has its own clock, randomness, identifiers, cancel flag and
 * handles, and runs the real code. It is a fibre; at each request to the store (before the request
 * takes effect, and sometimes between effect and answer) and at each sleep the world's scheduler
 * decides who goes on, so a pause of any length at any place occurs. The seed also decides which
 * requests are lost, late, repeated, refused for the moment or broken off, who crashes and comes
 * back, and whose clock is wrong.
 *
 * A crash: the worker's store is dead from one request on (nothing is carried out any more, every
 * answer is GLIS_EIO), its cancel flag is set and its clock runs ahead, so that the code unwinds by
 * itself without touching the world; nobody listens to what it says. Then it begins anew.
 *
 * Some worlds are folders of one machine, and its power fails (sim_power.c): all workers die at the
 * same moment, and of what was not yet made durable any part is lost.
 *
 * Worlds of a kind are of several families (struct sim_family), by the seed in turn: each family
 * has what one sort of fault needs much more often than chance would bring it together, and a share
 * of the seeds that does not change when another is enlarged.
 *
 * Random numbers are drawn from streams of their own for the schedule, the faults of each worker
 * and each of its operations, so that a run in which something is left out (struct sim_mask)
 * resembles the whole one: that is how a failing run is made shorter.
 *
 * What a kind of world is (struct sim_kind) and what must hold in it is in sim_log.c, sim_table.c
 * and sim_catalogue.c.
 */
#ifndef GLIS_TESTS_SIM_H
#define GLIS_TESTS_SIM_H

#include "base/memory.h"
#include "base/runtime.h"
#include "base/ulid.h"
#include "store/store.h"

#include <ucontext.h>

enum {
    SIM_WORKERS_MAX = 8,
    SIM_OPERATIONS_MAX = 64, /* of a worker */
    SIM_FAULTS_MAX = 2048,   /* that a mask can name */
    SIM_SWITCHES_MAX = 16384,
#ifdef __SANITIZE_ADDRESS__
    SIM_STACK_BYTES = 8 << 20,
#else
    SIM_STACK_BYTES = 1 << 20,
#endif
};

#define SIM_FAULTS(X)                                                              \
    X(LOST_BEFORE, "lost before") /* not carried out, the answer unknown */        \
    X(LOST_AFTER, "lost after")   /* carried out, the answer unknown */            \
    X(LATE, "late")               /* a put that lands some time later or never */  \
    X(RETRY, "retry")             /* the store asks for patience */                \
    X(REPEATED, "repeated")       /* an unconditional request carried out twice */ \
    X(BROKEN_READ, "broken read") /* an answer that breaks off */                  \
    X(SLOW, "slow")               /* the answer takes seconds or minutes */        \
    X(CRASH, "crash")             /* the process dies */                           \
    X(CLOCK, "clock")             /* its wall clock jumps, stands or is wrong */   \
    X(POWER, "power")             /* the machine on which all workers run loses its power */

enum sim_fault {
#define SIM_FAULT_NAME(name, text) SIM_##name,
    SIM_FAULTS(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
        SIM_FAULT_KINDS
};

/* What is counted, so that a world in which nothing happens is noticed. */
#define SIM_EVENTS(X)                                    \
    X(COMMITTED, "committed")                            \
    X(REFUSED, "refused")                                \
    X(ALREADY_DONE, "already done")                      \
    X(UNKNOWN, "unknown outcome told")                   \
    X(REPEATED_JOB, "done again after unknown")          \
    X(FAILED, "failed for sure")                         \
    X(CRASHED, "crashed")                                \
    X(POWER_LOST, "power lost")                          \
    X(UNDONE, "change lost with the power")              \
    X(RECORD_UNDONE, "record lost with the power")       \
    X(TIME_SET, "time set")                              \
    X(LOST_PUT, "put lost to another")                   \
    X(UNKNOWN_PUT, "put answered unknown")               \
    X(LATE_PUT, "late put landed")                       \
    X(READ_BACK, "unknown put read back")                \
    X(GHOST_PUT, "ghost put")                            \
    X(GHOST_READ, "ghost read")                          \
    X(MARKER_MET, "marker met")                          \
    X(MARKER_IN_DOUBT, "marker met while in doubt")      \
    X(TRIMMED, "block trimmed")                          \
    X(SNAPSHOT, "snapshot put")                          \
    X(SNAPSHOT_GONE, "snapshot vanished while read")     \
    X(BODY, "body put")                                  \
    X(PENDING, "pending entry put")                      \
    X(COMBINED, "record of several writers")             \
    X(CARRIED_BY_OTHERS, "entry carried by another")     \
    X(DECIDED_TWICE, "entry carried after its decision") \
    X(EXPIRED, "entry expired")                          \
    X(ENDED, "log ended")                                \
    X(CLEARED, "ended log cleared")                      \
    X(AFTER_END, "write after the end refused")          \
    X(OLD_STATE, "older state read")                     \
    X(CLOCK_REFUSED, "write refused for the clock")      \
    X(INGESTED, "ingested")                              \
    X(INGEST_REFUSED, "ingest refused")                  \
    X(COMPACTED, "compacted")                            \
    X(COMPACTION_LOST, "compaction lost")                \
    X(PUSHED_DOWN, "pushed down")                        \
    X(SPLIT, "split")                                    \
    X(JOINED, "joined")                                  \
    X(COLLECTED, "file collected")                       \
    X(ORPHAN, "orphan collected")                        \
    X(COLLECTION_RACED, "collection raced a reader")     \
    X(DELETED, "rows deleted")                           \
    X(RESTORED, "restored")                              \
    X(RESET, "reset")                                    \
    X(PINNED, "pinned")                                  \
    X(PINNED_READ, "pinned state read")                  \
    X(ALTERED, "altered")                                \
    X(EXPIRED_ASSIGNMENT, "assignment ran out")          \
    X(BULK_STEP, "step of a bulk import")                \
    X(BULK_SHARED, "bulk import gone on with")           \
    X(BULK_DONE, "bulk import committed")                \
    X(BULK_ENDED, "bulk import ended by others")         \
    X(BULK_CANCELLED, "bulk import cancelled")           \
    X(SET_ASIDE, "file set aside")                       \
    X(TAKEN_BACK, "file taken back")                     \
    X(ASIDE_TOLD, "answer refused for a file set aside") \
    X(ROLE_TAKEN, "role taken")                          \
    X(ROLE_LOST, "role lost to another")                 \
    X(TRIM_LINE, "trim line raised")                     \
    X(BELOW_LINE, "state below the trim line refused")   \
    X(WIDENED, "schema widened")                         \
    X(TABLE_CREATED, "table created")                    \
    X(TABLE_RENAMED, "table renamed")                    \
    X(TABLE_DROPPED, "table dropped")                    \
    X(TABLE_BACK, "table brought back")                  \
    X(TABLE_SWEPT, "table swept")                        \
    X(TABLE_FORGOTTEN, "table forgotten")

enum sim_event {
#define SIM_EVENT_NAME(name, text) SIM_EVENT_##name,
    SIM_EVENTS(SIM_EVENT_NAME)
#undef SIM_EVENT_NAME
        SIM_EVENT_KINDS
};
extern const char *const sim_event_texts[SIM_EVENT_KINDS];
extern uint64_t sim_event_counts[SIM_EVENT_KINDS]; /* of this process */

/* ---- choices ---- */

struct sim_random {
    uint64_t state;
};
uint64_t sim_next(struct sim_random *random);
uint64_t sim_draw(struct sim_random *random, uint64_t bound); /* below bound */
static inline bool sim_chance(struct sim_random *random, unsigned one_in)
{
    return one_in && sim_draw(random, one_in) == 0;
}
/* A stream of its own for the numbered thing. */
struct sim_random sim_stream(uint64_t seed, uint64_t a, uint64_t b);

/* What a run leaves out. All zero: nothing. */
struct sim_mask {
    uint32_t workers;                       /* these do nothing */
    uint32_t fault_kinds;                   /* these do not occur */
    uint64_t operations[SIM_WORKERS_MAX];   /* these are skipped */
    uint8_t faults[SIM_FAULTS_MAX / 8];     /* by number */
    uint8_t switches[SIM_SWITCHES_MAX / 8]; /* the same worker goes on */
};

/* ---- worlds ---- */

struct sim;

struct sim_clock {
    struct clock clock;
    struct sim_worker *worker;
};

struct sim_worker {
    struct sim *sim;
    unsigned number, life;
    void (*play)(struct sim_worker *worker);
    void *own; /* the kind's */
    /* doors */
    struct runtime runtime;
    struct sim_clock clock;
    struct random random;
    struct sim_random random_state;
    struct ulid_source ulids;
    struct cancel cancel;
    struct budget budget;
    char name[16];
    int64_t wall_offset_ms, wall_stands_ms; /* stands at that time; 0: it runs */
    /* the scheduler's */
    ucontext_t context;
    void *stack;
    bool alive;
    int64_t wake_ns;
    struct error_detail error;
    /* faults */
    struct sim_random faults;
    bool dead;             /* crashed: it only unwinds */
    int64_t dead_extra_ns; /* its clock runs ahead meanwhile */
    unsigned crash_in;     /* requests; 0: no crash is planned */
    unsigned operation;    /* that it is at */
    uint64_t n_requests;
};

struct sim_late {
    struct sim_late *next;
    uint64_t not_before; /* step */
    unsigned flags, worker;
    char *key, *body;
    size_t body_size;
};

/* A change of the store that power could undo. */
struct sim_change {
    struct sim_change *next; /* the next newer one */
    uint64_t number;
    bool deferred; /* only a sync of the key itself makes it durable, not one of its folder */
    bool was_there, keeps;
    char *key, *before; /* what stood there */
    size_t before_size;
};

enum sim_power { SIM_POWER_NEVER, SIM_POWER_MAYBE, SIM_POWER_ALWAYS };

struct sim_family {
    const char *name;
    unsigned sort;  /* the kind's; several families may be of one */
    unsigned share; /* of the seeds, beside the others' shares; 0: one */
    enum sim_power power;
    uint32_t focus_chance;           /* of 65,536 puts of the focus; 0: an eighth */
    unsigned n_foci, n_deadly;       /* 0: of all kinds' */
    const char *foci[4], *deadly[4]; /* one of them; see struct sim */
    const char *deadly_body;         /* only of those whose body has this in it; NULL: of all */
};

struct sim_kind {
    const char *name;
    const struct sim_family *families;
    unsigned n_families;
    void (*build)(struct sim *sim);
    void (*judge)(struct sim *sim); /* in the end, with a store that does not fail */
    void (*tear)(struct sim *sim);
    /* What takes effect in the store; all may be NULL. `created`: the key was free. */
    void (*was_put)(struct sim *sim, struct sim_worker *by, struct slice key, struct slice body,
                    bool created);
    void (*was_removed)(struct sim *sim, struct sim_worker *by, struct slice key);
    void (*was_read)(struct sim *sim, struct sim_worker *by, struct slice key, bool found,
                     struct slice body);
    /* With the power a change was undone (its number); the object is there now, or not. */
    void (*was_undone)(struct sim *sim, struct slice key, uint64_t number, bool is_there);
    /* And when all are; everybody is dead. Both may be NULL. */
    void (*power_lost)(struct sim *sim);
    uint64_t steps_max; /* after which the workers are said not to be able to finish */
    uint64_t calm_step; /* after which nothing fails any more */
};

struct sim {
    const struct sim_kind *kind;
    uint64_t seed;
    const struct sim_mask *mask; /* may be NULL */
    bool trace;
    void *own; /* the kind's */
    int64_t now_ns;
    uint64_t steps, n_switches, n_faults;
    struct sim_random build, schedule;
    unsigned stay, nap,
        land; /* of the schedule: stay of 100; a nap or a landing in so many steps */
    uint32_t awake;
    uint32_t fault_chance[SIM_FAULT_KINDS]; /* of 65,536 requests */
    const struct sim_family *family;
    const char *focus;  /* puts of keys with this in them are lost or late more often; NULL: none */
    const char *deadly; /* and their makers die more often right after these; NULL: none */
    struct store *store;    /* behind all */
    struct runtime runtime; /* without faults: for building and judging */
    struct sim_clock clock;
    struct random random;
    struct sim_random random_state;
    struct ulid_source ulids;
    struct budget budget;
    struct sim_worker workers[SIM_WORKERS_MAX];
    unsigned n_workers;
    struct sim_worker *running; /* NULL: building or judging */
    ucontext_t main;
    const void *main_stack; /* for sanitizers */
    size_t main_stack_bytes;
    struct sim_late *late;
    /* power */
    bool local;
    struct sim_random power;
    uint64_t power_step;        /* at which it fails next; 0: never */
    unsigned power_haste;       /* and one in so many steps while it would undo something */
    struct sim_change *changes; /* oldest first */
    uint64_t n_changes;         /* the number of the newest */
    int64_t wall_shift_ms;      /* of all wall clocks and the store's */
    uint64_t events[SIM_EVENT_KINDS];
    char broken[1600]; /* the first thing that went wrong */
};

struct sim_result {
    bool failed;
    char broken[1600];
    uint64_t steps, n_faults, n_switches;
    unsigned n_workers;
    unsigned n_operations[SIM_WORKERS_MAX];
};

/* Runs one world from its beginning to its end. */
void sim_run(const struct sim_kind *kind, uint64_t seed, const struct sim_mask *mask, bool trace,
             struct sim_result *out);
/* Leaves out what a failing run does not need; `mask` becomes the result. */
void sim_shrink(const struct sim_kind *kind, uint64_t seed, struct sim_mask *mask,
                struct sim_result *out);

extern const struct sim_kind sim_log_kind, sim_table_kind, sim_catalogue_kind;

/* ---- for the kinds ---- */

/* Something that must hold does not: the run ends. Only the first is kept. */
void sim_broken(struct sim *sim, const char *format, ...) GLIS_PRINTF(2, 3);
void sim_trace(struct sim *sim, const char *format, ...) GLIS_PRINTF(2, 3);
void sim_count(struct sim *sim, enum sim_event event);
/* Adds a worker that will play. */
struct sim_worker *sim_worker_add(struct sim *sim, void (*play)(struct sim_worker *worker),
                                  void *own);
/* A new life: cancel flag and crash are taken back; a store of its own, which the caller closes. */
struct store *sim_worker_begin(struct sim_worker *worker);
/* Gives its turn to others; returns when it has it again. */
void sim_yield(struct sim_worker *worker);
/* Whether there is any sense in going on: false when something is broken. */
static inline bool sim_goes_on(const struct sim *sim)
{
    return sim->broken[0] == '\0';
}
/* Begins the next operation of a worker; its random numbers. False: it is left out. */
bool sim_operation(struct sim_worker *worker, struct sim_random *random);
/* Whether a fault of a kind occurs now. */
bool sim_fault(struct sim_worker *worker, enum sim_fault kind);
/* The same with a chance of its own, of 65,536. */
bool sim_fault_of(struct sim_worker *worker, enum sim_fault kind, uint32_t chance);
/* A key is about to be put, or removed: what is there now may come back with the power. */
void sim_power_note(struct sim *sim, struct slice key, bool deferred);
/* The folder of a key was synced; with `itself` the object too. */
void sim_power_settle(struct sim *sim, struct slice key, bool itself);
/* The power fails now. */
void sim_power_fail(struct sim *sim);
void sim_power_free(struct sim *sim);
/* Late puts happen now, or never. */
void sim_late_settle(struct sim *sim, bool all);
/* A store before the world's one, whose requests are those of the worker. */
struct store *sim_store_new(struct sim_worker *worker);
static inline int64_t sim_now_ms(const struct sim *sim)
{
    return sim->now_ns / 1000000;
}

#endif
