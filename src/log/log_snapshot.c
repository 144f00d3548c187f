/*
 * log_snapshot.c: states written out, so that nobody replays the whole log.
 *
 * A snapshot is the object snapshot/<20 digits>-<32 hex>: the record it stands behind, 16 random
 * digits so that no name is used twice, and the XXH3-64 of the object, so that a damaged one is
 * known before it is read. Its bytes are the machine's, with a short text of the log kept in them.
 * Only real states are written, and durable ones; the put is repeated until its answer is definite.
 *
 * One is due when the records since the last outweigh a tenth of it (and a minimum), so that
 * writing them is a bounded share of the work and reading a bounded multiple. Whoever writes one
 * removes old ones; which stay is in log_trim.c, and the newest two always do, so that a reader who
 * has just listed finds what it lists. One that vanishes while it is read means: list again.
 *
 * The hint, log/hint, names the newest snapshot that somebody wrote. It is overwritten, may be
 * stale or wrong, and only saves a list at opening.
 */
#include "log/log_int.h"

#include "base/logger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOAD_ATTEMPTS = 5, FAILURE_PAUSE_S = 60, LAST_MAX = 4 };
/* What a record weighs besides its bytes where each is a request to a service: one snapshot is
 * worth sixteen of them. */
enum { REMOTE_RECORD_BYTES = 4096 };

struct newest { /* of the snapshots at or below max_record, the last in the list */
    uint64_t max_record;
    size_t prefix_size, n;
    char names[LAST_MAX][LOG_SNAPSHOT_NAME_BYTES + 1]; /* a ring: n % LAST_MAX is the next place */
};

static int hint_read(struct log *log, char name[LOG_SNAPSHOT_NAME_BYTES + 1]);
static int hint_write(struct log *log, struct slice name, uint64_t record);
static int load_from_list(struct log *log, uint64_t max_record, struct log_version **out,
                          bool *again);
static int newest_visit(void *state, const struct store_object *object);
static int snapshot_encode(struct log *log, struct log_version *version, struct buffer *out);
static bool snapshot_due(struct log *log, const struct log_version *version);

bool log_snapshot_name_parse(struct slice name, uint64_t *record, uint64_t *hash)
{
    uint64_t random;
    return name.size == LOG_SNAPSHOT_NAME_BYTES && name.data[20] == '-' &&
           log_decimal_parse(slice_part(name, 0, 20), record) &&
           log_hex_parse(slice_part(name, 21, 16), &random) &&
           log_hex_parse(slice_part(name, 37, 16), hash);
}

/* ---- loading ---- */

int log_snapshot_load_newest(struct log *log, uint64_t max_record, bool use_hint,
                             struct log_version **out)
{
    *out = NULL;
    char name[LOG_SNAPSHOT_NAME_BYTES + 1];
    if ((use_hint || GLIS_MUTANT(list_after_marker)) && hint_read(log, name) == 0) {
        int code = log_snapshot_load(log, slice_from_text(name), out);
        if (code == 0 || code == GLIS_ENEWER || code == GLIS_ENOMEM || code == GLIS_ECANCELLED)
            return code;
        *out = NULL; /* whatever is wrong with the hint, the list has the last word */
    }
    for (unsigned attempt = 0; attempt < LOAD_ATTEMPTS; attempt++) {
        bool again = false;
        int code = load_from_list(log, max_record, out, &again);
        bool passing = code == GLIS_EIO || code == GLIS_ERETRY || code == GLIS_EUNKNOWN;
        if (!again && (!passing || attempt + 1 == LOAD_ATTEMPTS)) return code;
        TRY(runtime_check_cancel(log->runtime));
        log_back_off(log, attempt);
    }
    return error_set(GLIS_ERETRY, "snapshots of the log %s vanish faster than they can be read",
                     log->prefix);
}

static int load_from_list(struct log *log, uint64_t max_record, struct log_version **out,
                          bool *again)
{
    char prefix[LOG_KEY_BYTES];
    struct slice folder = log_key_snapshot(log, SLICE_EMPTY, prefix);
    struct newest newest = {.max_record = max_record, .prefix_size = folder.size};
    TRY(store_each(log->store, folder, SLICE_EMPTY, newest_visit, &newest));
    size_t n = newest.n < LAST_MAX ? newest.n : LAST_MAX;
    *again = false;
    for (size_t i = 0; i < n; i++) {
        const char *name = newest.names[(newest.n - 1 - i) % LAST_MAX];
        int code = log_snapshot_load(log, slice_from_text(name), out);
        if (code == 0) return 0;
        if (code == GLIS_ENOTFOUND) *again = true; /* superseded since the list */
        if (code == GLIS_ENOTFOUND && i == 0) return 0;
        if (code != GLIS_ENOTFOUND && code != GLIS_ECORRUPT) return code;
        if (code == GLIS_ECORRUPT)
            logger_log(log->runtime->logger, LOGGER_WARN, "damaged snapshot passed over",
                       LOGGER_FIELD_STRING("log", log->prefix),
                       LOGGER_FIELD_STRING("reason", error_message()));
    }
    /* All that are there are damaged: the records may still tell everything, and if they do not,
     * the marker look finds that out and says so. */
    *out = NULL;
    return 0;
}

static int newest_visit(void *state, const struct store_object *object)
{
    struct newest *newest = state;
    struct slice name = slice_part(object->key, newest->prefix_size, object->key.size);
    uint64_t record, hash;
    if (!log_snapshot_name_parse(name, &record, &hash) || record > newest->max_record) return 0;
    char *place = newest->names[newest->n++ % LAST_MAX];
    memcpy(place, name.data, name.size);
    place[name.size] = '\0';
    return 0;
}

int log_snapshot_load(struct log *log, struct slice name, struct log_version **out)
{
    char key[LOG_KEY_BYTES];
    uint64_t record, hash;
    if (!log_snapshot_name_parse(name, &record, &hash))
        return error_set(GLIS_ECORRUPT, "not the name of a snapshot");
    struct store_read read = {.key = log_key_snapshot(log, name, key),
                              .length = LOG_SNAPSHOT_BYTES_MAX,
                              .budget = log->runtime->budget};
    TRY(log_read_objects(log, &read, 1));
    if (read.outcome == GLIS_ENOTFOUND) return error_set(GLIS_ENOTFOUND, "the snapshot is gone");
    int code = log_snapshot_take(log, name, &read, out);
    store_read_release(&read, 1);
    return code;
}

int log_snapshot_take(struct log *log, struct slice name, const struct store_read *read,
                      struct log_version **out)
{
    const struct log_machine *machine = log->machine;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice part = SLICE_EMPTY;
    void *state = NULL;
    uint64_t record, hash;
    int code = 0;
    if (!log_snapshot_name_parse(name, &record, &hash))
        return error_set(GLIS_ECORRUPT, "not the name of a snapshot");
    if (hash_xxh3_64(read->data, read->size) != hash)
        code = error_set(GLIS_ECORRUPT, "its hash is not the one in its name");
    if (code == 0)
        code = machine->snapshot_read(machine->context, read->block,
                                      slice_make(read->data, read->size), &arena, &part, &state);
    if (code == 0) code = log_version_part_read(machine, part, state, out);
    if (code == 0 && (*out)->state.record != record) {
        code = error_set(GLIS_ECORRUPT, "it is of another record than its name says");
        log_version_release(*out);
        *out = NULL;
    }
    TRY_CONTEXT(code, "snapshot %.*s", SLICE_PRINT(read->key));
    return 0;
}

/* ---- the hint ---- */

static int hint_read(struct log *log, char name[LOG_SNAPSHOT_NAME_BYTES + 1])
{
    char key[LOG_KEY_BYTES];
    defer_buffer struct buffer text = BUFFER_INIT(LOG_HINT_BYTES_MAX);
    TRY(store_get(log->store, log_key_hint(log, key), 0, LOG_HINT_BYTES_MAX, &text));
    return log_hint_parse(buffer_slice(&text), name);
}

int log_hint_parse(struct slice text, char name[LOG_SNAPSHOT_NAME_BYTES + 1])
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json;
    struct slice found;
    uint64_t record, hash;
    TRY(json_parse(&arena, text, JSON_RULES_INTERNAL, &json));
    TRY(json_get_string(json, "snapshot", &found));
    if (!log_snapshot_name_parse(found, &record, &hash))
        return error_set(GLIS_ECORRUPT, "the hint names no snapshot");
    memcpy(name, found.data, found.size);
    name[found.size] = '\0';
    return 0;
}

static int hint_write(struct log *log, struct slice name, uint64_t record)
{
    char key[LOG_KEY_BYTES];
    defer_buffer struct buffer text = BUFFER_INIT(LOG_HINT_BYTES_MAX);
    TRY(buffer_printf(&text, "{\"glis\":%d,\"snapshot\":\"%.*s\",\"record\":%" PRIu64 "}\n",
                      LOG_FORMAT, SLICE_PRINT(name), record));
    return store_put(log->store, log_key_hint(log, key), buffer_slice(&text), 0);
}

/* ---- writing ---- */

int log_snapshot_write(struct log *log)
{
    if (log->options.read_only)
        return error_set(GLIS_EDENIED, "the log %s was opened for reading only", log->prefix);
    struct log_version *version = log_published(log); /* real */
    uint64_t record = version->state.record;
    if (record == 0 || record == version->snapshot_record) {
        log_version_release(version);
        return 0;
    }
    defer_buffer struct buffer body = BUFFER_INIT(LOG_SNAPSHOT_BYTES_MAX);
    body.budget = log->runtime->budget;
    /* A snapshot must not outlast its records' loss. */
    int code = GLIS_MUTANT(snapshot_of_settled) ? 0 : log_settle(log, record);
    if (code == 0) code = snapshot_encode(log, version, &body);
    char name[LOG_SNAPSHOT_NAME_BYTES + 1], random[17], hash[HASH64_HEX_BYTES + 1];
    char key[LOG_KEY_BYTES];
    log_random_hex(log, random, 16);
    hash_hex64(hash_xxh3_64(body.data, body.size), hash);
    snprintf(name, sizeof(name), "%020" PRIu64 "-%s%s", record, random, hash);
    if (code == 0)
        code = log_put_surely(log, log_key_snapshot(log, slice_from_text(name), key),
                              buffer_slice(&body),
                              GLIS_MUTANT(snapshot_confirmed)
                                  ? 0
                                  : log_now_ns(log) + log->options.commit_timeout_ms * 1000000);
    if (code == GLIS_EUNKNOWN && GLIS_MUTANT(snapshot_confirmed)) code = 0;
    /* It was there, and is gone: others have two that are newer. */
    if (code == GLIS_ENOTFOUND) code = 0;
    if (code == 0) {
        pthread_mutex_lock(&log->lock);
        log->snapshot.record = record;
        log->snapshot.origin = version->snapshot_record;
        log->snapshot.weight = version->weight_bytes;
        pthread_mutex_unlock(&log->lock);
        /* The snapshot is there; what follows only saves time and room. */
        if (hint_write(log, slice_from_text(name), record) < 0 ||
            log_snapshots_remove_older(log) < 0)
            error_clear();
    }
    log_version_release(version);
    return code;
}

static int snapshot_encode(struct log *log, struct log_version *version, struct buffer *out)
{
    const struct log_machine *machine = log->machine;
    defer_buffer struct buffer part = BUFFER_INIT(64 << 20);
    TRY(log_version_part_write(version, &part));
    return machine->snapshot_write(machine->context, version->machine_state, buffer_slice(&part),
                                   out);
}

/* ---- when ---- */

static bool snapshot_due(struct log *log, const struct log_version *version)
{
    uint64_t weight = version->weight_bytes, since = version->snapshot_record;
    pthread_mutex_lock(&log->lock);
    if (log->snapshot.record > version->snapshot_record &&
        log->snapshot.origin == version->snapshot_record && weight >= log->snapshot.weight) {
        weight -= log->snapshot.weight;
        since = log->snapshot.record;
    }
    pthread_mutex_unlock(&log->lock);
    if (!log->store->local && version->state.record > since)
        weight += (version->state.record - since) * REMOTE_RECORD_BYTES;
    if (weight <= log->options.snapshot_min_bytes) return false;
    return weight > log->machine->state_bytes(log->machine->context, version->machine_state) / 10;
}

bool log_snapshot_due(struct log *log)
{
    struct log_version *version = log_published(log);
    bool due = snapshot_due(log, version);
    log_version_release(version);
    return due;
}

/* Writes one, and lets others write the next. Failures are forgotten: the commits were answered,
 * and a snapshot only saves time. */
static int snapshot_task(void *state)
{
    struct log *log = state;
    int code = log_snapshot_write(log);
    pthread_mutex_lock(&log->lock);
    log->snapshot.writing = false;
    if (code < 0) log->snapshot.not_before_ns = log_now_ns(log) + FAILURE_PAUSE_S * 1000000000ll;
    pthread_mutex_unlock(&log->lock);
    if (code < 0) error_clear();
    return 0;
}

void log_snapshot_after_commit(struct log *log)
{
    if (log->options.snapshot_by_hand || log->options.read_only || !log_snapshot_due(log)) return;
    pthread_mutex_lock(&log->lock);
    bool mine = !log->snapshot.writing && log_now_ns(log) >= log->snapshot.not_before_ns;
    if (mine) log->snapshot.writing = true;
    pthread_mutex_unlock(&log->lock);
    if (!mine) return;
    struct pool *pool = log->runtime->pool;
    if (!pool || pool_threads(pool) == 0) {
        (void)!snapshot_task(log);
        return;
    }
    /* Not in the time of who has just committed; log_close waits for it. */
    if (!log->snapshot.background) log->snapshot.background = task_group_new(pool, 1);
    if (task_group_start(log->snapshot.background, snapshot_task, log) < 0) error_clear();
}
