/*
 * pool.c: a pool of threads for short computations.
 *
 * Work comes from sources: a run (an index that counts up to n) or a group (a bounded queue of
 * tasks). Sources with work to give stand in a ring under the pool's one lock; each worker takes
 * one call from the source at the front and moves that source to the back, so that sources share
 * the threads fairly. Calls are batches of rows or pages, tens of microseconds and more, and the
 * lock is held for the time of a few assignments, so one lock is enough.
 *
 * Whoever waits for a source first carries out what that source still has to give, and sleeps only
 * while its last calls run elsewhere. So nesting cannot block: a call that waits for work of its
 * own needs no other thread for it, and a call that runs elsewhere ends by the same reasoning. A
 * waiting thread takes only calls of its own source: taking strangers' would make the depth of the
 * stack depend on the load.
 *
 * Invariants, under the lock: a source stands in the ring exactly while it has calls to give;
 * n_running counts its calls under way; a source with a failure gives none any more.
 */
#include "base/runtime.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_THREADS_MAX = 1024 };

struct task {
    int (*function)(void *state);
    void *state;
    uint64_t number;
};

/* A run when `run` is set, otherwise a group with its queue. */
struct source {
    struct source *previous, *next; /* in the ring; NULL when outside */
    pthread_cond_t idle;            /* signalled when nothing runs and nothing is left to give */
    uint64_t n_running;

    int (*run)(void *state, size_t index);
    void *run_state;
    size_t next_index, n_indexes;

    struct task *queue; /* a ring of `capacity` tasks */
    size_t first, n_waiting, capacity;
    uint64_t next_number;

    bool failed;
    uint64_t failed_number; /* the lowest index or number that failed */
    struct error_detail failure;
};

/* One call taken from a source. */
struct call {
    struct source *source;
    struct task task;
    size_t index;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a source has come into the ring, or the pool ends */
    struct source *front;
    bool ending;
    unsigned n_threads;
    pthread_t *threads;
};

struct task_group {
    struct pool *pool;
    struct source source;
};

static void *worker_main(void *pool);
static void source_open(struct source *source);
static void source_close(struct source *source);
static bool source_has_call(const struct source *source);
static void source_take(struct pool *pool, struct source *source, struct call *out);
static void call_carry_out(struct pool *pool, const struct call *call);
static void source_drain(struct pool *pool, struct source *source);
static int source_result(const struct source *source);
static void ring_add(struct pool *pool, struct source *source);
static void ring_remove(struct pool *pool, struct source *source);

struct pool *pool_new(unsigned n_threads)
{
    struct pool *pool = memory_alloc_zero(sizeof(*pool));
    ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&pool->work, NULL) == 0);
    if (n_threads > POOL_THREADS_MAX) n_threads = POOL_THREADS_MAX;
    pool->threads = memory_alloc(sizeof(*pool->threads) * (n_threads + 1));

    /* Signals are for the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* Fewer threads than asked for only cost time, so a refusal of the system ends the loop. */
    for (unsigned i = 0; i < n_threads; i++) {
        if (pthread_create(&pool->threads[i], NULL, worker_main, pool) != 0) break;
        pool->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool;
}

void pool_free(struct pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    ASSERT(pool->front == NULL);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++)
        ASSERT(pthread_join(pool->threads[i], NULL) == 0);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

unsigned pool_size(const struct pool *pool)
{
    return pool->n_threads ? pool->n_threads : 1;
}

unsigned pool_threads(const struct pool *pool)
{
    return pool->n_threads;
}

int pool_run(struct pool *pool, size_t n, int (*function)(void *state, size_t index), void *state)
{
    if (n == 0) return 0;
    if (n == 1 || pool->n_threads == 0) {
        for (size_t i = 0; i < n; i++)
            TRY(function(state, i));
        return 0;
    }
    struct source source;
    source_open(&source);
    source.run = function;
    source.run_state = state;
    source.n_indexes = n;

    pthread_mutex_lock(&pool->lock);
    ring_add(pool, &source);
    pthread_cond_broadcast(&pool->work);
    source_drain(pool, &source);
    pthread_mutex_unlock(&pool->lock);

    int result = source_result(&source);
    source_close(&source);
    return result;
}

struct task_group *task_group_new(struct pool *pool, unsigned max_waiting)
{
    struct task_group *group = memory_alloc(sizeof(*group));
    group->pool = pool;
    source_open(&group->source);
    group->source.capacity = max_waiting ? max_waiting : 1;
    group->source.queue = memory_alloc(sizeof(struct task) * group->source.capacity);
    return group;
}

int task_group_start(struct task_group *group, int (*function)(void *state), void *state)
{
    struct pool *pool = group->pool;
    struct source *source = &group->source;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        if (source->failed) {
            int code = source_result(source);
            pthread_mutex_unlock(&pool->lock);
            return code;
        }
        if (source->n_waiting < source->capacity) break;
        struct call call;
        source_take(pool, source, &call);
        call_carry_out(pool, &call);
    }
    size_t place = (source->first + source->n_waiting++) % source->capacity;
    source->queue[place] = (struct task){function, state, source->next_number++};
    if (!source->next) ring_add(pool, source);
    if (pool->n_threads) {
        pthread_cond_signal(&pool->work);
    } else {
        source_drain(pool, source);
    }
    pthread_mutex_unlock(&pool->lock);
    return 0;
}

int task_group_wait(struct task_group *group)
{
    pthread_mutex_lock(&group->pool->lock);
    source_drain(group->pool, &group->source);
    int code = source_result(&group->source);
    pthread_mutex_unlock(&group->pool->lock);
    return code;
}

void task_group_free(struct task_group *group)
{
    if (!group) return;
    struct error_detail detail; /* of what made the caller free it, perhaps */
    error_save(&detail);
    pthread_mutex_lock(&group->pool->lock);
    source_drain(group->pool, &group->source);
    pthread_mutex_unlock(&group->pool->lock);
    (void)error_load(&detail);
    source_close(&group->source);
    free(group);
}

static void *worker_main(void *state)
{
    struct pool *pool = state;
    pthread_setname_np(pthread_self(), "glis-pool");
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->front && !pool->ending)
            pthread_cond_wait(&pool->work, &pool->lock);
        if (!pool->front) break;
        struct call call;
        source_take(pool, pool->front, &call);
        call_carry_out(pool, &call);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void source_open(struct source *source)
{
    /* The failure's texts are large and not looked at before `failed` is set. */
    memset(source, 0, offsetof(struct source, failure));
    ASSERT(pthread_cond_init(&source->idle, NULL) == 0);
}

static void source_close(struct source *source)
{
    ASSERT(!source->next && source->n_running == 0);
    pthread_cond_destroy(&source->idle);
    free(source->queue);
}

static bool source_has_call(const struct source *source)
{
    if (source->failed) return false;
    return source->run ? source->next_index < source->n_indexes : source->n_waiting > 0;
}

/* Takes the next call of a source in the ring. With the lock. */
static void source_take(struct pool *pool, struct source *source, struct call *out)
{
    ASSERT(source->next && source_has_call(source));
    out->source = source;
    if (source->run) {
        out->index = source->next_index++;
    } else {
        out->task = source->queue[source->first];
        source->first = (source->first + 1) % source->capacity;
        source->n_waiting--;
    }
    source->n_running++;
    if (!source_has_call(source)) {
        ring_remove(pool, source);
    } else if (pool->front == source) {
        pool->front = source->next;
    }
}

/* Carries a call out without the lock, and takes note of its end with it. */
static void call_carry_out(struct pool *pool, const struct call *call)
{
    struct source *source = call->source;
    pthread_mutex_unlock(&pool->lock);
    int code = source->run ? source->run(source->run_state, call->index)
                           : call->task.function(call->task.state);
    pthread_mutex_lock(&pool->lock);

    uint64_t number = source->run ? call->index : call->task.number;
    if (code < 0 && (!source->failed || number < source->failed_number)) {
        error_save(&source->failure);
        /* A function that broke the rule of setting a detail still has its code reported. */
        if (source->failure.code != code) {
            error_set(code, "%s", error_code_text(code));
            error_save(&source->failure);
        }
        source->failed = true;
        source->failed_number = number;
        source->n_waiting = 0;
        if (source->next) ring_remove(pool, source);
    }
    source->n_running--;
    if (source->n_running == 0 && !source_has_call(source)) pthread_cond_broadcast(&source->idle);
}

/* Works on a source until nothing of it is left or under way. With the lock. */
static void source_drain(struct pool *pool, struct source *source)
{
    for (;;) {
        if (source_has_call(source)) {
            struct call call;
            source_take(pool, source, &call);
            call_carry_out(pool, &call);
        } else if (source->n_running > 0) {
            pthread_cond_wait(&source->idle, &pool->lock);
        } else {
            return;
        }
    }
}

static int source_result(const struct source *source)
{
    return source->failed ? error_load(&source->failure) : 0;
}

static void ring_add(struct pool *pool, struct source *source)
{
    if (!pool->front) {
        source->next = source->previous = source;
        pool->front = source;
        return;
    }
    source->next = pool->front;
    source->previous = pool->front->previous;
    source->previous->next = source;
    source->next->previous = source;
}

static void ring_remove(struct pool *pool, struct source *source)
{
    if (source->next == source) {
        pool->front = NULL;
    } else {
        source->previous->next = source->next;
        source->next->previous = source->previous;
        if (pool->front == source) pool->front = source->next;
    }
    source->next = source->previous = NULL;
}
