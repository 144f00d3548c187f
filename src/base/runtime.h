/*
 * runtime.h: the doors through which a process reaches the outside: clock, randomness and threads.
 * Everything that needs one takes a `struct runtime *` given at start-up, so that a simulated world
 * can stand in for the real one. (The object store is a door of its own: store/store.h.) No module
 * calls time(), rand() or pthread_create() itself.
 *
 * Ownership: a runtime and its doors outlive everything that was given them. All functions are
 * thread safe.
 */
#ifndef GLIS_BASE_RUNTIME_H
#define GLIS_BASE_RUNTIME_H

#include "base/memory.h"

/* Wall time in milliseconds since 1970 UTC; monotonic time in nanoseconds from any origin; sleep
 * that a cancel ends early. */
struct clock {
    int64_t (*wall_ms)(struct clock *clock);
    int64_t (*monotonic_ns)(struct clock *clock);
    void (*sleep_ms)(struct clock *clock, int64_t duration_ms);
};
struct clock *clock_system(void);

/* Fills with random bytes: from the system, or from a seed (the same seed gives the same bytes
 * everywhere). */
struct random {
    void (*fill)(struct random *random, void *out, size_t size);
};
struct random *random_system(void);
struct random *random_seeded_new(uint64_t seed); /* free with random_seeded_free */
void random_seeded_free(struct random *random);
uint64_t random_u64(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound); /* uniform in [0, bound); bound > 0 */

/* Threads for short computations. A pool of 0 threads runs everything in the calling thread, in
 * order. */
struct pool;
struct pool *pool_new(unsigned n_threads);
void pool_free(struct pool *pool);
unsigned pool_size(const struct pool *pool); /* threads; at least 1 for a pool of 0: the caller */

unsigned pool_threads(const struct pool *pool); /* threads of its own: 0 for a pool of 0 */

/* Runs function(state, 0 .. n-1), in any order, on the pool's threads and the calling one;
 * returns when all have ended: 0, or the code of the failed call with the lowest index, whose
 * error detail becomes the caller's. After a failure calls that have not begun are skipped. May
 * be called from within a task: a waiting thread works on, so nesting cannot block. */
int pool_run(struct pool *pool, size_t n, int (*function)(void *state, size_t index), void *state)
    GLIS_CHECKED;

/* A set of tasks that run while the caller goes on: start any number, then wait for all. The
 * queue is bounded by `max_waiting` (starting more blocks, working on the queue meanwhile). With
 * a pool of 0 threads tasks run when started. */
struct task_group;
struct task_group *task_group_new(struct pool *pool, unsigned max_waiting);
/* Hands over one task. Fails with the first failed task's code: nothing more is started then, and
 * tasks that have not begun are dropped. So what `state` points to belongs to the starter. */
int task_group_start(struct task_group *group, int (*function)(void *state), void *state)
    GLIS_CHECKED;
/* Waits until all started tasks have ended; the first failure by order of starting, its detail
 * becoming the caller's. */
int task_group_wait(struct task_group *group) GLIS_CHECKED;
void task_group_free(struct task_group *group); /* waits first; NULL is allowed; keeps the error */

/* A flag that asks long work to stop: set by Ctrl-C or by a caller, looked at between batches. */
struct cancel {
    _Atomic int requested;
};

/* The order of new identifiers (base/ulid.h), zero at first. A simulated world has its own. */
struct ulid_source {
    _Atomic int busy;
    int64_t last_ms;
    uint8_t last_random[10];
};

struct logger;        /* base/logger.h */
struct child_starter; /* base/child.h */
struct http;          /* store/http.h */

struct runtime {
    struct clock *clock;
    struct random *random;
    struct pool *pool;
    struct budget *budget;          /* the process's memory */
    struct cancel *cancel;          /* may be NULL */
    struct ulid_source *ulids;      /* may be NULL: the process's own */
    struct logger *logger;          /* what operators are told; may be NULL: nothing */
    const char *process;            /* "host:pid", for people who read a log; may be NULL */
    struct child_starter *children; /* how programs are started; may be NULL: by the system */
    struct http *http;              /* how requests leave; may be NULL: by the network */
};

/* What names this process to people: "host:pid". */
enum { RUNTIME_PROCESS_BYTES = 96 };
void runtime_process_name(char out[RUNTIME_PROCESS_BYTES]);

/* GLIS_ECANCELLED when the runtime's cancel flag is set, else 0. */
int runtime_check_cancel(const struct runtime *runtime) GLIS_CHECKED;

#endif
