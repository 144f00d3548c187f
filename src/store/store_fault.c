/*
 * store_fault.c: a store that stands before another and makes it fail, every choice from a seed.
 *
 * What can go wrong between a caller and a store, as the caller sees it: the request is lost on its
 * way or its answer on the way back; a put wanders about and takes effect long after its sender
 * gave up, or never; the store asks for patience; a connection breaks in a read; requests of one
 * call overtake each other; time passes; the process's view of the store ends for good at its n-th
 * request (crash_at). Every answer stays within store.h: a lost conditional put is GLIS_EUNKNOWN,
 * other losses are GLIS_EIO. What a store never does, this one does not do either: an acknowledged
 * put is there, and a conditional put has one winner.
 *
 * A read of n ranges counts as n requests, each with its own fate. Late puts wait here, with a copy
 * of their body, until a later request passes by; half of them never happen. With one calling
 * thread the same seed gives the same run.
 */
#include "store/store_int.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { LATE_REQUESTS_MAX = 64, LATE_PUTS_MAX = 256, DELAY_MS_MAX = 2000 };

struct late_put {
    struct late_put *next;
    uint64_t due; /* the request before which it happens */
    unsigned flags;
    char *key;
    size_t body_size;
    char *body;
};

struct store_fault {
    struct store store;
    struct store *behind;
    struct runtime *runtime;
    struct random *random;
    pthread_mutex_t lock; /* guards what follows */
    struct store_faults faults;
    struct late_put *late;
    unsigned n_late;
    _Atomic uint64_t requests;
};

struct fault_upload {
    struct store_upload upload;
    struct store_upload *behind;
};

enum fate { FATE_FINE, FATE_CRASHED, FATE_RETRY, FATE_LOST_BEFORE, FATE_LOST_AFTER, FATE_LATE };

static enum fate request_begin(struct store_fault *fault, bool is_put);
static bool chance(struct store_fault *fault, uint32_t chance_65536);
static void late_add(struct store_fault *fault, struct slice key, struct slice body,
                     unsigned flags);
static struct late_put *late_take(struct store_fault *fault, uint64_t request);
static void late_free(struct late_put *late);
static const struct store_ops fault_ops;

static struct store_fault *fault_of(struct store *store)
{
    return (struct store_fault *)store;
}

int store_fault_open(struct runtime *runtime, struct store *behind, uint64_t seed,
                     const struct store_faults *faults, struct store **out)
{
    struct store_fault *fault = memory_alloc_zero(sizeof(*fault));
    defer_buffer struct buffer description = BUFFER_INIT(1 << 16);
    int code = buffer_printf(&description, "%s with faults", behind->description);
    if (code < 0) {
        free(fault);
        return code;
    }
    store_init(&fault->store, &fault_ops, memory_copy_text(buffer_slice(&description)),
               behind->local);
    fault->behind = behind;
    fault->runtime = runtime;
    fault->random = random_seeded_new(seed);
    fault->faults = *faults;
    ASSERT(pthread_mutex_init(&fault->lock, NULL) == 0);
    *out = &fault->store;
    return 0;
}

void store_fault_set(struct store *store, const struct store_faults *faults)
{
    struct store_fault *fault = fault_of(store);
    pthread_mutex_lock(&fault->lock);
    fault->faults = *faults;
    pthread_mutex_unlock(&fault->lock);
}

static struct store_faults faults_now(struct store_fault *fault)
{
    pthread_mutex_lock(&fault->lock);
    struct store_faults faults = fault->faults;
    pthread_mutex_unlock(&fault->lock);
    return faults;
}

uint64_t store_fault_requests(const struct store *store)
{
    return atomic_load(&((const struct store_fault *)store)->requests);
}

/* Counts a request, lets late puts pass that are due, and draws what becomes of it. */
static enum fate request_begin(struct store_fault *fault, bool is_put)
{
    uint64_t request = atomic_fetch_add(&fault->requests, 1) + 1;
    pthread_mutex_lock(&fault->lock);
    struct store_faults faults = fault->faults;
    struct late_put *due = late_take(fault, request);
    pthread_mutex_unlock(&fault->lock);
    while (due) {
        struct late_put *next = due->next;
        /* Nobody waits for the answer any more. */
        int ignored = store_put(fault->behind, slice_from_text(due->key),
                                slice_make(due->body, due->body_size), due->flags);
        (void)ignored;
        late_free(due);
        due = next;
    }
    if (faults.crash_at && request >= faults.crash_at) return FATE_CRASHED;
    if (chance(fault, faults.delayed)) {
        struct clock *clock = fault->runtime->clock;
        clock->sleep_ms(clock, (int64_t)random_below(fault->random, DELAY_MS_MAX));
    }
    if (chance(fault, faults.retry)) return FATE_RETRY;
    if (chance(fault, faults.lost_before)) return FATE_LOST_BEFORE;
    if (chance(fault, faults.lost_after)) return FATE_LOST_AFTER;
    if (is_put && chance(fault, faults.late)) return FATE_LATE;
    return FATE_FINE;
}

static bool chance(struct store_fault *fault, uint32_t chance_65536)
{
    return chance_65536 && random_below(fault->random, 65536) < chance_65536;
}

/* The answer to a request that was not carried out, or whose answer was lost. */
static int fate_code(enum fate fate, bool conditional)
{
    if (fate == FATE_CRASHED) return error_set(GLIS_EIO, "the store cannot be reached any more");
    if (fate == FATE_RETRY) return error_set(GLIS_ERETRY, "the store asks for patience");
    if (fate == FATE_LATE || conditional)
        return error_set(GLIS_EUNKNOWN, "the store's answer was lost");
    return error_set(GLIS_EIO, "the connection to the store broke");
}

static int fault_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct store_fault *fault = fault_of(store);
    bool conditional = (flags & STORE_IF_ABSENT) != 0;
    enum fate fate = request_begin(fault, true);
    if (fate == FATE_LATE) late_add(fault, key, body, flags);
    if (fate != FATE_FINE && fate != FATE_LOST_AFTER) return fate_code(fate, conditional);
    int code = store_put(fault->behind, key, body, flags);
    if (code == 0 && !conditional && chance(fault, faults_now(fault).repeated))
        code = store_put(fault->behind, key, body, flags);
    return fate == FATE_LOST_AFTER ? fate_code(fate, conditional) : code;
}

/* Whether a request that only asks got through. */
static int request_simple(struct store_fault *fault)
{
    enum fate fate = request_begin(fault, false);
    return fate == FATE_FINE ? 0 : fate_code(fate, false);
}

static void read_one(struct store_fault *fault, struct store_read *read)
{
    read->outcome = request_simple(fault);
    if (read->outcome == 0 && chance(fault, faults_now(fault).short_read))
        read->outcome = error_set(GLIS_EIO, "the connection broke in the middle of an answer");
    if (read->outcome < 0) return;
    int code = store_read(fault->behind, read, 1); /* its outcome says the same */
    (void)code;
}

static void fault_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct store_fault *fault = fault_of(store);
    size_t *order = memory_alloc(n_reads * sizeof(*order));
    for (size_t i = 0; i < n_reads; i++)
        order[i] = i;
    if (chance(fault, faults_now(fault).reordered)) {
        for (size_t i = n_reads; i > 1; i--) {
            size_t other = (size_t)random_below(fault->random, i), kept = order[i - 1];
            order[i - 1] = order[other];
            order[other] = kept;
        }
    }
    struct error_detail first = {0};
    for (size_t i = 0; i < n_reads; i++) {
        struct store_read *read = &reads[order[i]];
        read_one(fault, read);
        if (read->outcome != 0 && read->outcome != GLIS_ENOTFOUND && first.code == 0)
            error_save(&first);
    }
    if (first.code != 0) (void)error_load(&first);
    free(order);
}

static int fault_head(struct store *store, struct slice key, struct store_object *out)
{
    TRY(request_simple(fault_of(store)));
    return store_head(fault_of(store)->behind, key, out);
}

static int fault_list(struct store *store, struct slice prefix, struct slice start_after,
                      size_t limit, struct arena *arena, struct store_list *out)
{
    TRY(request_simple(fault_of(store)));
    return store_list(fault_of(store)->behind, prefix, start_after, limit, arena, out);
}

static int fault_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct store_fault *fault = fault_of(store);
    enum fate fate = request_begin(fault, false);
    if (fate != FATE_FINE && fate != FATE_LOST_AFTER) return fate_code(fate, false);
    int code = store_remove(fault->behind, keys, n_keys);
    if (code == 0 && chance(fault, faults_now(fault).repeated))
        code = store_remove(fault->behind, keys, n_keys);
    return fate == FATE_LOST_AFTER ? fate_code(fate, false) : code;
}

static int fault_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    TRY(request_simple(fault_of(store)));
    return store_sync(fault_of(store)->behind, keys, n_keys);
}

static int fault_upload_open(struct store *store, struct slice key, unsigned flags,
                             struct store_upload **out)
{
    TRY(request_simple(fault_of(store)));
    struct store_upload *behind = NULL;
    TRY(store_upload_open(fault_of(store)->behind, key, flags, &behind));
    struct fault_upload *upload = memory_alloc_zero(sizeof(*upload));
    upload->behind = behind;
    *out = &upload->upload;
    return 0;
}

static int fault_upload_write(struct store_upload *base, struct slice part)
{
    TRY(request_simple(fault_of(base->store)));
    return store_upload_write(((struct fault_upload *)base)->behind, part);
}

static int fault_upload_finish(struct store_upload *base)
{
    struct store_upload *behind = ((struct fault_upload *)base)->behind;
    enum fate fate = request_begin(fault_of(base->store), false);
    free(base);
    int code = 0;
    if (fate == FATE_FINE || fate == FATE_LOST_AFTER) {
        code = store_upload_finish(behind);
    } else if (fate == FATE_CRASHED) {
        /* A dead process aborts nothing: the unfinished put stays for unfinished_list. */
    } else {
        store_upload_abort(behind);
    }
    return fate == FATE_FINE ? code : fate_code(fate, false);
}

static void fault_upload_abort(struct store_upload *base)
{
    struct store_upload *behind = ((struct fault_upload *)base)->behind;
    enum fate fate = request_begin(fault_of(base->store), false);
    free(base);
    if (fate != FATE_CRASHED) store_upload_abort(behind);
}

static int fault_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                                 struct store_unfinished **out, size_t *n_out)
{
    TRY(request_simple(fault_of(store)));
    return store_unfinished_list(fault_of(store)->behind, prefix, arena, out, n_out);
}

static int fault_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    TRY(request_simple(fault_of(store)));
    return store_unfinished_remove(fault_of(store)->behind, upload);
}

static int fault_time_ms(struct store *store, int64_t *out)
{
    return store_time_ms(fault_of(store)->behind, out);
}

static void fault_close(struct store *store)
{
    struct store_fault *fault = fault_of(store);
    while (fault->late) {
        struct late_put *next = fault->late->next;
        late_free(fault->late);
        fault->late = next;
    }
    random_seeded_free(fault->random);
    pthread_mutex_destroy(&fault->lock);
    free(fault);
}

static const struct store_ops fault_ops = {
    .put = fault_put,
    .read = fault_read,
    .head = fault_head,
    .list = fault_list,
    .remove = fault_remove,
    .sync = fault_sync,
    .upload_open = fault_upload_open,
    .upload_write = fault_upload_write,
    .upload_finish = fault_upload_finish,
    .upload_abort = fault_upload_abort,
    .unfinished_list = fault_unfinished_list,
    .unfinished_remove = fault_unfinished_remove,
    .time_ms = fault_time_ms,
    .close = fault_close,
};

/* ---- late puts ---- */

static void late_add(struct store_fault *fault, struct slice key, struct slice body, unsigned flags)
{
    if (random_below(fault->random, 2) == 0) return; /* it never happens */
    struct late_put *late = memory_alloc_zero(sizeof(*late));
    late->flags = flags;
    late->key = memory_copy_text(key);
    late->body = memory_copy_text(body);
    late->body_size = body.size;
    late->due = atomic_load(&fault->requests) + 1 + random_below(fault->random, LATE_REQUESTS_MAX);
    pthread_mutex_lock(&fault->lock);
    bool full = fault->n_late == LATE_PUTS_MAX;
    if (!full) {
        late->next = fault->late;
        fault->late = late;
        fault->n_late++;
    }
    pthread_mutex_unlock(&fault->lock);
    if (full) late_free(late);
}

/* Unlinks those that are due, the oldest first. Called with the lock held. */
static struct late_put *late_take(struct store_fault *fault, uint64_t request)
{
    struct late_put *due = NULL;
    for (struct late_put **link = &fault->late; *link;) {
        struct late_put *late = *link;
        if (late->due > request) {
            link = &late->next;
            continue;
        }
        *link = late->next;
        fault->n_late--;
        late->next = due;
        due = late;
    }
    return due;
}

static void late_free(struct late_put *late)
{
    free(late->key);
    free(late->body);
    free(late);
}
