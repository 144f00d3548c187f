/*
 * log.c: the handle: opening and closing, the published state, and catch-ups that threads share.
 *
 * The published version is the newest that is known to be real. It is replaced, never changed, so a
 * reader that holds one needs no lock, and a writer that makes the next one disturbs nobody. Two
 * versions of one log are prefixes of each other's history, so "newest" is the larger record number
 * and publishing may come from any thread in any order.
 *
 * A caller who wants to see everything acknowledged before its call may share only a catch-up that
 * *begins* after the call: it waits for the one under way, if any, and then for the next, which one
 * of the waiting threads carries out for all.
 *
 * fresh_ns is how far back the published version may lag: whatever was acknowledged anywhere before
 * that moment is in it. For a catch-up that moment is before its first get; for a commit, before
 * its put, since the put's success shows that nothing stood in the slot.
 *
 * Where the store has watches (store.h), a handle that is asked again and again begins to watch the
 * folder of records. It takes the watch's number, and then looks; as long as the watch gives this
 * number, no record was put since, so the state that the look ended with is the newest, and neither
 * a get nor the look for the marker is needed: slot N+1 was empty and its block not trimmed then,
 * and nothing has come to be there. Others may know a record before those who watch are told of it,
 * from having read it; so whoever has read one waits for that before it publishes it
 * (log_publish_read), which is before any answer goes by it. A record of one's own is told by its
 * put.
 */
#include "log/log_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int options_fill(struct log *log, const struct log_options *options);
static int open_state(struct log *log);
static bool watch_is_quiet(struct log *log, int64_t now_ns);
static int look(struct log *log);

enum { WATCH_AFTER = 8, WATCH_AGAIN_MS = 10000 };

int log_bare_init(struct log *log, struct runtime *runtime, struct store *store,
                  struct slice prefix, const struct log_machine *machine)
{
    memset(log, 0, sizeof(*log));
    if (prefix.size > LOG_PREFIX_BYTES_MAX || (prefix.size && !slice_ends_with(prefix, SLICE("/"))))
        return error_set(GLIS_EINVALID,
                         "the prefix of a log ends with '/' and has at most %d bytes",
                         LOG_PREFIX_BYTES_MAX);
    log->runtime = runtime;
    TRY(options_fill(log, NULL));
    log->store = store;
    log->machine = machine;
    if (prefix.size) memcpy(log->prefix, prefix.data, prefix.size);
    log->last_waiting = &log->first_waiting;
    ASSERT(pthread_mutex_init(&log->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&log->changed, NULL) == 0);
    return 0;
}

void log_bare_free(struct log *log)
{
    store_watch_close(log->watch.of);
    log_version_release(log->published);
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
}

int log_open(struct runtime *runtime, struct store *store, struct slice prefix,
             const struct log_machine *machine, const struct log_options *options, struct log **out)
{
    struct log *log = memory_alloc(sizeof(*log));
    int code = log_bare_init(log, runtime, store, prefix, machine);
    if (code < 0) {
        if (options) log_ahead_drop(options->ahead);
        free(log);
        return code;
    }
    code = options_fill(log, options);
    if (code == 0) code = open_state(log);
    log_ahead_drop(log->options.ahead); /* if nobody took it */
    log->options.ahead = NULL;
    if (code < 0) {
        error_context("opening the log %s in %s", log->prefix, store->description);
        log_bare_free(log);
        free(log);
        return code;
    }
    *out = log;
    return 0;
}

static int options_fill(struct log *log, const struct log_options *options)
{
    static const struct log_options none;
    struct log_options *own = &log->options;
    *own = options ? *options : none;
    const char *process = log->runtime->process ? log->runtime->process : "glis";
    struct slice writer = own->writer.size ? own->writer : slice_from_text(process);
    if (writer.size > LOG_WRITER_BYTES_MAX) writer.size = LOG_WRITER_BYTES_MAX;
    memcpy(log->writer, writer.data, writer.size);
    own->writer = slice_make(log->writer, writer.size);
    if (own->record_max_bytes == 0) own->record_max_bytes = 1 << 20;
    if (own->record_max_bytes > LOG_RECORD_FILL_BYTES)
        return error_set(GLIS_EINVALID, "glis.log.record.max: at most %" PRIu64 " bytes",
                         LOG_RECORD_FILL_BYTES);
    if (own->snapshot_min_bytes == 0) own->snapshot_min_bytes = 64 << 10;
    if (own->commit_timeout_ms <= 0) own->commit_timeout_ms = 60000;
    if (own->read_window == 0) own->read_window = 32;
    if (own->read_window > LOG_READ_WINDOW_MAX) own->read_window = LOG_READ_WINDOW_MAX;
    if (own->block_slots == 0) own->block_slots = LOG_BLOCK_SLOTS;
    if (own->pending_slots == 0 || own->pending_slots > LOG_PENDING_SLOTS)
        own->pending_slots = LOG_PENDING_SLOTS;
    if (own->read_attempts == 0) own->read_attempts = 6;
    return 0;
}

/* The first state: from the hint's snapshot or the newest in the list, and then forward. */
static int open_state(struct log *log)
{
    struct log_version *start = NULL, *version = NULL;
    int64_t begun_ns = log_now_ns(log);
    bool trimmed;
    TRY(log_open_far(log, &version, &begun_ns));
    if (!version) {
        TRY(log_snapshot_load_newest(log, UINT64_MAX, true, &start));
        if (!start) TRY(log_version_new(log->machine, &start));
        int code = log_read_forward(log, start, false, NULL, &version, &trimmed);
        log_version_release(start);
        if (code < 0) return code;
    }
    char key[LOG_KEY_BYTES];
    if (version->state.record) store_watchers_told(log->store, log_key_folder(log, key));
    log->published = version;
    log->fresh_ns = begun_ns;
    log->watch.record = version->state.record;
    return 0;
}

void log_close(struct log *log)
{
    if (!log) return;
    pthread_mutex_lock(&log->lock);
    while (log->n_active > 0)
        pthread_cond_wait(&log->changed, &log->lock);
    pthread_mutex_unlock(&log->lock);
    task_group_free(log->snapshot.background);
    log->snapshot.background = NULL;
    log_combine_close(log);
    if (log->options.snapshot_at_close && !log->options.read_only && log_snapshot_due(log)) {
        struct error_detail detail; /* of what made the caller close it, perhaps */
        error_save(&detail);
        if (log_snapshot_write(log) < 0) error_clear(); /* it only saves time */
        (void)error_load(&detail);
    }
    log_bare_free(log);
    free(log);
}

/* ---- states ---- */

struct log_version *log_published(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    struct log_version *version = log_version_acquire(log->published);
    pthread_mutex_unlock(&log->lock);
    return version;
}

void log_publish(struct log *log, struct log_version *version, int64_t as_of_ns)
{
    struct log_version *old = NULL;
    pthread_mutex_lock(&log->lock);
    if (version->state.record > log->published->state.record) {
        old = log->published;
        log->published = log_version_acquire(version);
    }
    if (as_of_ns > log->fresh_ns) log->fresh_ns = as_of_ns; /* an older version is in the newer */
    pthread_mutex_unlock(&log->lock);
    log_version_release(old);
}

void log_publish_read(struct log *log, struct log_version *version, int64_t as_of_ns)
{
    char key[LOG_KEY_BYTES];
    pthread_mutex_lock(&log->lock);
    bool is_news = version->state.record > log->published->state.record;
    pthread_mutex_unlock(&log->lock);
    if (is_news) store_watchers_told(log->store, log_key_folder(log, key));
    log_publish(log, version, as_of_ns);
}

const struct log_state *log_state_acquire(struct log *log)
{
    return &log_published(log)->state;
}

const struct log_state *log_state_share(const struct log_state *state)
{
    return &log_version_acquire(log_version_of(state))->state;
}

void log_state_release(const struct log_state *state)
{
    if (state) log_version_release(log_version_of(state));
}

/* ---- catching up ---- */

int log_refresh(struct log *log)
{
    struct log_version *base = log_published(log), *version = NULL;
    int64_t begun_ns = log_now_ns(log);
    bool trimmed;
    int code = log_read_forward(log, base, false, NULL, &version, &trimmed);
    if (code == 0) {
        log_publish_read(log, version, begun_ns);
        log_version_release(version);
    }
    log_version_release(base);
    TRY_CONTEXT(code, "reading the log %s", log->prefix);
    return 0;
}

int log_catch_up(struct log *log, int64_t max_staleness_ms)
{
    pthread_mutex_lock(&log->lock);
    int64_t now_ns = log_now_ns(log);
    bool at_once = log->options.asked_at_once;
    log->options.asked_at_once = false;
    bool young =
        at_once || (max_staleness_ms > 0 && now_ns - log->fresh_ns <= max_staleness_ms * 1000000);
    if (young || log->published->state.ended || watch_is_quiet(log, now_ns)) { /* an end is final */
        pthread_mutex_unlock(&log->lock);
        return 0;
    }
    log->n_active++;
    uint64_t wanted = log->n_begun + 1; /* the first one that begins from now on */
    int code = 0;
    while (log->n_ended < wanted) {
        if (log->catching_up) {
            pthread_cond_wait(&log->changed, &log->lock);
            continue;
        }
        log->catching_up = true;
        log->n_begun++;
        pthread_mutex_unlock(&log->lock);
        code = look(log);
        pthread_mutex_lock(&log->lock);
        log->catching_up = false;
        log->n_ended = log->n_begun;
        log->catch_up_code = code;
        if (code < 0) error_save(&log->catch_up_detail);
        pthread_cond_broadcast(&log->changed);
    }
    code = log->catch_up_code;
    if (code < 0) (void)error_load(&log->catch_up_detail);
    if (--log->n_active == 0) pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    return code;
}

/* Whether no record was put since the last look; the lock is held. That asks nothing of the store.
 */
static bool watch_is_quiet(struct log *log, int64_t now_ns)
{
    if (!log->watch.count || log->watch.record != log->published->state.record) return false;
    if (store_watch_count(log->watch.of, now_ns) != log->watch.count) return false;
    if (now_ns > log->fresh_ns) log->fresh_ns = now_ns;
    return true;
}

/* Begins to watch where that is worth it, and ends what tells nothing any more. */
static void watch_change(struct log *log, struct store_watch *next, int64_t not_before_ns)
{
    pthread_mutex_lock(&log->lock);
    struct store_watch *old = log->watch.of;
    log->watch.of = next;
    log->watch.count = 0;
    log->watch.n_idle = 0;
    log->watch.not_before_ns = not_before_ns;
    pthread_mutex_unlock(&log->lock);
    store_watch_close(old);
}

static void watch_begin(struct log *log, int64_t now_ns)
{
    char key[LOG_KEY_BYTES];
    struct store_watch *watch = NULL;
    int code = store_watch_open(log->store, log_key_folder(log, key), &watch);
    bool never = code == GLIS_EUNSUPPORTED;
    if (code < 0) error_clear(); /* it only saves time */
    watch_change(log, watch, never ? INT64_MAX : now_ns + WATCH_AGAIN_MS * INT64_C(1000000));
}

/* Looks for new records, by the one thread that does so for all. */
static int look(struct log *log)
{
    int64_t now_ns = log_now_ns(log);
    if (!log->watch.of && log->watch.n_idle >= WATCH_AFTER && now_ns >= log->watch.not_before_ns)
        watch_begin(log, now_ns);
    uint64_t count = log->watch.of ? store_watch_count(log->watch.of, now_ns) : 0;
    if (log->watch.of && !count)
        watch_change(log, NULL, now_ns + WATCH_AGAIN_MS * INT64_C(1000000));
    TRY(log_refresh(log));
    pthread_mutex_lock(&log->lock);
    uint64_t record = log->published->state.record;
    bool idle = log->watch.record == record;
    log->watch.n_idle = !idle ? 0 : log->watch.n_idle + (log->watch.n_idle < WATCH_AFTER);
    log->watch.count = count;
    log->watch.record = record;
    pthread_mutex_unlock(&log->lock);
    return 0;
}

int log_state_at(struct log *log, uint64_t record, const struct log_state **out)
{
    *out = NULL;
    const struct log_state *newest = log_state_acquire(log);
    if (newest->record < record) {
        log_state_release(newest);
        TRY(log_catch_up(log, 0));
        newest = log_state_acquire(log);
    }
    if (newest->record == record) {
        *out = newest;
        return 0;
    }
    uint64_t end = newest->record;
    log_state_release(newest);
    if (end < record)
        return error_set(GLIS_ENOTFOUND, "the log %s ends at record %" PRIu64, log->prefix, end);
    return log_read_until(log, record, out);
}

/* ---- small things ---- */

int64_t log_now_ns(const struct log *log)
{
    return log->runtime->clock->monotonic_ns(log->runtime->clock);
}

static struct slice key_print(char *out, const char *format, ...) GLIS_PRINTF(2, 3);
static struct slice key_print(char *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(out, LOG_KEY_BYTES, format, arguments);
    va_end(arguments);
    ASSERT(size > 0 && size < LOG_KEY_BYTES);
    return slice_make(out, (size_t)size);
}

/* Prefix, folder and 20 digits, without printf: each fresh read makes two of them. */
static struct slice key_of_number(const struct log *log, const char *folder, uint64_t number,
                                  char *out)
{
    enum { DIGITS = 20 };
    size_t prefix = strlen(log->prefix), middle = strlen(folder);
    size_t size = prefix + middle + DIGITS;
    ASSERT(size < LOG_KEY_BYTES);
    memcpy(out, log->prefix, prefix);
    memcpy(out + prefix, folder, middle);
    out[size] = '\0';
    for (char *at = out + size; at > out + prefix + middle; number /= 10)
        *--at = (char)('0' + number % 10);
    return slice_make(out, size);
}

struct slice log_key_record(const struct log *log, uint64_t record, char *out)
{
    return key_of_number(log, "log/", record, out);
}

struct slice log_key_folder(const struct log *log, char *out)
{
    return key_print(out, "%slog", log->prefix);
}

struct slice log_key_marker(const struct log *log, uint64_t block, char *out)
{
    return key_of_number(log, "log/trimmed/", block, out);
}

struct slice log_key_body(const struct log *log, struct slice name, char *out)
{
    return key_print(out, "%slog/body/%.*s", log->prefix, SLICE_PRINT(name));
}

struct slice log_key_pending(const struct log *log, struct slice id, char *out)
{
    return key_print(out, "%slog/pending/%.*s", log->prefix, SLICE_PRINT(id));
}

struct slice log_key_snapshot(const struct log *log, struct slice name, char *out)
{
    return key_print(out, "%ssnapshot/%.*s", log->prefix, SLICE_PRINT(name));
}

struct slice log_key_hint(const struct log *log, char *out)
{
    return key_print(out, "%slog/hint", log->prefix);
}

void log_random_hex(const struct log *log, char *out, size_t n_digits)
{
    struct random *random = log->runtime->random;
    for (size_t i = 0; i < n_digits; i += 16) {
        char digits[HASH64_HEX_BYTES + 1];
        hash_hex64(random_u64(random), digits);
        memcpy(out + i, digits, n_digits - i < 16 ? n_digits - i : 16);
    }
    out[n_digits] = '\0';
}

void log_back_off(const struct log *log, unsigned attempt)
{
    unsigned longest_ms = attempt < 9 ? 4u << attempt : 2000;
    int64_t wait_ms = (int64_t)random_below(log->runtime->random, longest_ms) + 1;
    log->runtime->clock->sleep_ms(log->runtime->clock, wait_ms);
}
