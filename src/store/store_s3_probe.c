/*
 * store_s3_probe.c: whether an S3 server has what the log needs: that of two conditional puts
 * (`If-None-Match: *`, or what the dialect says) on the same key the second is refused, and of many
 * at once all but one.
 *
 * There are servers that take the header and ignore it, and servers that look first and put
 * afterwards. On them two writers would both be told that they put the same record, and
 * acknowledged rows would be lost; so nothing is written to a server before it has shown that it
 * refuses. It is shown with two puts of a key that nobody else has and sixteen at once of another,
 * and then remembered: in this process, and below the prefix as an object that names the bucket and
 * the server. That object is advisory: without it the probe is paid again, and one that was copied
 * from elsewhere names another place and does not count.
 */
#include "store/store_s3_int.h"

#include <stdlib.h>

#define REMEMBERED_KEY S3_OWN_FOLDER "conditional-puts"
enum { PROBE_TRIES = 5, PROBE_WAIT_MS = 100, RACE_PUTS = 16, REMEMBERED_PLACES_MAX = 1024 };

static struct {
    pthread_mutex_t lock;
    char *descriptions[REMEMBERED_PLACES_MAX];
    size_t n;
} remembered = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_remembered(const struct store_s3 *s3);
static void remember(const struct store_s3 *s3);
static int read_remembered(struct store_s3 *s3, struct slice text, bool *found);
static int probe(struct store_s3 *s3, struct slice text);

/* A key of the store's own. */
static struct slice own_key(const struct store_s3 *s3, struct slice name, struct arena *arena)
{
    return slice_from_text(
        arena_printf(arena, "%.*s%.*s", SLICE_PRINT(s3->settings.prefix), SLICE_PRINT(name)));
}

int s3_probe(struct store_s3 *s3)
{
    if (atomic_load_explicit(&s3->probed, memory_order_acquire)) return 0;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice text = slice_from_text(
        arena_printf(&arena, "Refuses a second conditional put: %s\n", s3->store.description));
    pthread_mutex_lock(&s3->probe_lock);
    int code = 0;
    bool known = atomic_load(&s3->probed) || is_remembered(s3);
    if (!known) code = read_remembered(s3, text, &known);
    if (code == 0 && !known) code = probe(s3, text);
    if (code == 0) {
        remember(s3);
        atomic_store_explicit(&s3->probed, true, memory_order_release);
    }
    pthread_mutex_unlock(&s3->probe_lock);
    return code;
}

static bool is_remembered(const struct store_s3 *s3)
{
    bool found = false;
    pthread_mutex_lock(&remembered.lock);
    for (size_t i = 0; i < remembered.n && !found; i++)
        found = strcmp(remembered.descriptions[i], s3->store.description) == 0;
    pthread_mutex_unlock(&remembered.lock);
    return found;
}

static void remember(const struct store_s3 *s3)
{
    if (is_remembered(s3)) return;
    pthread_mutex_lock(&remembered.lock);
    if (remembered.n < REMEMBERED_PLACES_MAX)
        remembered.descriptions[remembered.n++] =
            memory_copy_text(slice_from_text(s3->store.description));
    pthread_mutex_unlock(&remembered.lock);
}

static int read_remembered(struct store_s3 *s3, struct slice text, bool *found)
{
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "GET", SLICE_EMPTY, S3_KIND_READ, 0);
    exchange.request.key = own_key(s3, SLICE(REMEMBERED_KEY), &exchange.arena);
    exchange.answer_max = 1 << 16;
    int code = s3_exchange_run(&exchange);
    if (code == GLIS_ENOTFOUND) return 0;
    if (code < 0) return code;
    *found = exchange.status == 200 && slice_equal(http_answer_body(&exchange.http), text);
    return 0;
}

static int refuse(const struct store_s3 *s3, const char *what)
{
    return error_set(GLIS_EUNSUPPORTED,
                     "%s %s (%.*s: %.*s), so that two writers could each believe that they "
                     "wrote the same record, and acknowledged rows would be lost; nothing was "
                     "written. Use a server that honours it (docs/s3.md names those that were "
                     "tried), or a newer version of this one",
                     s3->store.description, what, SLICE_PRINT(s3->dialect->if_absent.name),
                     SLICE_PRINT(s3->dialect->if_absent.value));
}

/* One conditional put; *refused when the server says that it does not know such a thing. */
static int put_conditionally(struct store_s3 *s3, struct slice key, bool *refused)
{
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "PUT", key, S3_KIND_WRITE, S3_CONDITIONAL);
    exchange.request.body = SLICE("Glis asks whether this server honours conditional puts.\n");
    exchange.request.headers = &s3->dialect->if_absent;
    exchange.request.n_headers = 1;
    atomic_fetch_add_explicit(&s3->store.counters.probes, 1, memory_order_relaxed);
    int code = s3_exchange_run(&exchange);
    *refused = exchange.status == 501 || slice_equal_text(exchange.error.code, "NotImplemented") ||
               slice_equal_text(exchange.error.code, "InvalidArgument");
    return code;
}

/* The first put of a fresh key, tried again with another key while the outcome is unknown. */
static int first_put(struct store_s3 *s3, struct arena *arena, struct slice *key)
{
    struct clock *clock = s3->runtime->clock;
    for (unsigned attempt = 1;; attempt++) {
        bool refused = false;
        uint64_t number = random_u64(s3->runtime->random);
        char *name = arena_printf(arena, S3_OWN_FOLDER "probe-%016llx", (unsigned long long)number);
        *key = own_key(s3, slice_from_text(name), arena);
        int code = put_conditionally(s3, *key, &refused);
        if (code == 0) return 0;
        if (refused) return refuse(s3, "does not know conditional puts");
        if (code == GLIS_EEXISTS)
            return refuse(s3, "says that an object exists that nobody can have put");
        if ((code != GLIS_EUNKNOWN && code != GLIS_ERETRY) || attempt == PROBE_TRIES) return code;
        clock->sleep_ms(clock, PROBE_WAIT_MS * attempt);
        TRY(runtime_check_cancel(s3->runtime));
    }
}

static int second_put(struct store_s3 *s3, struct slice key)
{
    struct clock *clock = s3->runtime->clock;
    for (unsigned attempt = 1;; attempt++) {
        bool refused = false;
        int code = put_conditionally(s3, key, &refused);
        if (code == GLIS_EEXISTS) return 0;
        if (code == 0) return refuse(s3, "accepts a conditional put of an object that exists");
        if (refused) return refuse(s3, "does not know conditional puts");
        if ((code != GLIS_EUNKNOWN && code != GLIS_ERETRY) || attempt == PROBE_TRIES) return code;
        clock->sleep_ms(clock, PROBE_WAIT_MS * attempt);
        TRY(runtime_check_cancel(s3->runtime));
    }
}

/* Many puts of one fresh key at the same time: a server that looks first and puts afterwards
 * lets two of them win. What is not answered clearly proves nothing. */
static int race(struct store_s3 *s3, struct slice key)
{
    struct s3_exchange *exchanges = memory_alloc_zero(RACE_PUTS * sizeof(*exchanges));
    struct s3_exchange *asked[RACE_PUTS];
    unsigned n_taken = 0;
    for (unsigned i = 0; i < RACE_PUTS; i++) {
        asked[i] = &exchanges[i];
        s3_exchange_init(asked[i], s3, "PUT", key, S3_KIND_WRITE, S3_CONDITIONAL);
        asked[i]->request.body = SLICE("Glis asks whether one of many conditional puts wins.\n");
        asked[i]->request.headers = &s3->dialect->if_absent;
        asked[i]->request.n_headers = 1;
    }
    atomic_fetch_add_explicit(&s3->store.counters.probes, RACE_PUTS, memory_order_relaxed);
    s3_exchanges_run(s3, asked, RACE_PUTS);
    for (unsigned i = 0; i < RACE_PUTS; i++) {
        if (asked[i]->done && asked[i]->code == 0) n_taken++;
        s3_exchange_free(asked[i]);
    }
    free(exchanges);
    error_clear();
    return n_taken > 1 ? refuse(s3, "accepts several conditional puts of one object at once") : 0;
}

static void tidy(struct store_s3 *s3, struct slice key)
{
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "DELETE", key, S3_KIND_DELETE,
                     S3_CLEANING_UP | S3_ABSENT_IS_OK);
    if (s3_exchange_run(&exchange) < 0) error_clear(); /* it harms nobody */
}

static int probe(struct store_s3 *s3, struct slice text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice key = SLICE_EMPTY;
    TRY_CONTEXT(first_put(s3, &arena, &key), "asking for conditional puts");
    int code = second_put(s3, key);
    struct slice raced = slice_from_text(arena_printf(&arena, "%.*s-race", SLICE_PRINT(key)));
    if (code == 0) code = race(s3, raced);
    struct error_detail detail;
    if (code < 0) error_save(&detail);
    tidy(s3, key);
    tidy(s3, raced);
    if (code < 0) {
        (void)error_load(&detail);
        error_context("asking for conditional puts");
        return code;
    }
    if (s3_put_once(s3, own_key(s3, SLICE(REMEMBERED_KEY), &arena), text, 0) < 0) error_clear();
    return 0;
}
