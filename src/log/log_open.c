/*
 * log_open.c: opening a log in a store that is far away, where time is the number of requests that
 * wait for each other.
 *
 * Asked for in one call: the hint and the first records. Most logs are young and have no snapshot:
 * then the end is among these, and the look for the marker is all that is left. Where the hint
 * names a snapshot, that and the records behind it are the second call. Only when neither leads to
 * the end, reading goes on as it always does, by a list and windows.
 *
 * The first call may be under way long before the log is opened (log_ahead_begin), since an object
 * is an object: what it brings counts as read at the moment when it was begun, and the look for
 * the marker follows it as it follows every get.
 *
 * Between the records and the look whoever opens the log is shown the state that may not be real
 * (before_look), and may use it for nothing but to begin reads that it will most likely want.
 */
#include "log/log_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { AHEAD_RECORDS = 4 };

struct log_ahead {
    struct store_reading *reading;
    int64_t begun_ns;
    uint64_t first; /* the record of reads[1] */
    struct store_read reads[AHEAD_RECORDS + 1];
    char keys[AHEAD_RECORDS + 1][LOG_KEY_BYTES];
};

static void ask_records(struct log_ahead *ahead, const char *prefix, uint64_t first,
                        struct budget *budget)
{
    ahead->first = first;
    for (unsigned i = 1; i <= AHEAD_RECORDS; i++) {
        int size =
            snprintf(ahead->keys[i], LOG_KEY_BYTES, "%slog/%020" PRIu64, prefix, first + i - 1);
        ASSERT(size > 0 && size < LOG_KEY_BYTES);
        ahead->reads[i] = (struct store_read){.key = slice_make(ahead->keys[i], (size_t)size),
                                              .length = LOG_RECORD_BYTES_MAX + 4096,
                                              .budget = budget};
    }
}

struct log_ahead *log_ahead_begin(struct runtime *runtime, struct store *store, struct slice prefix)
{
    char text[LOG_PREFIX_BYTES_MAX + 1];
    if (store->local || prefix.size > LOG_PREFIX_BYTES_MAX) return NULL;
    struct log_ahead *ahead = memory_alloc_zero(sizeof *ahead);
    memcpy(text, prefix.data, prefix.size);
    text[prefix.size] = '\0';
    ask_records(ahead, text, 1, runtime->budget);
    int size = snprintf(ahead->keys[0], LOG_KEY_BYTES, "%slog/hint", text);
    ASSERT(size > 0 && size < LOG_KEY_BYTES);
    ahead->reads[0] = (struct store_read){.key = slice_make(ahead->keys[0], (size_t)size),
                                          .length = LOG_HINT_BYTES_MAX,
                                          .budget = runtime->budget};
    ahead->begun_ns = runtime->clock->monotonic_ns(runtime->clock);
    ahead->reading = store_read_begin(store, ahead->reads, AHEAD_RECORDS + 1);
    return ahead;
}

void log_ahead_drop(struct log_ahead *ahead)
{
    if (!ahead) return;
    if (ahead->reading)
        store_read_drop(ahead->reading);
    else
        store_read_release(ahead->reads, AHEAD_RECORDS + 1);
    free(ahead);
}

/* Whether one of the records is not there: the end. */
static bool has_end(const struct log_ahead *ahead)
{
    for (unsigned i = 1; i <= AHEAD_RECORDS; i++)
        if (ahead->reads[i].outcome == GLIS_ENOTFOUND) return true;
    return false;
}

/* The snapshot that the hint names, with the records behind it; *start stays NULL when it is not
 * to be had by this way. */
static int take_snapshot(struct log *log, struct log_ahead *ahead, struct log_version **start)
{
    char name[LOG_SNAPSHOT_NAME_BYTES + 1];
    uint64_t record, hash;
    int code = log_hint_parse(slice_make(ahead->reads[0].data, ahead->reads[0].size), name);
    if (code < 0 || !log_snapshot_name_parse(slice_from_text(name), &record, &hash)) {
        error_clear();
        return 0;
    }
    store_read_release(ahead->reads, AHEAD_RECORDS + 1);
    ask_records(ahead, log->prefix, record + 1, log->runtime->budget);
    ahead->reads[0] =
        (struct store_read){.key = log_key_snapshot(log, slice_from_text(name), ahead->keys[0]),
                            .length = LOG_SNAPSHOT_BYTES_MAX,
                            .budget = log->runtime->budget};
    ahead->begun_ns = log_now_ns(log);
    code = store_read(log->store, ahead->reads, AHEAD_RECORDS + 1);
    if (code == 0 && ahead->reads[0].outcome == 0)
        code = log_snapshot_take(log, slice_from_text(name), &ahead->reads[0], start);
    if (code == GLIS_ENEWER || code == GLIS_ENOMEM || code == GLIS_ECANCELLED) return code;
    if (code < 0) error_clear(); /* whatever is wrong with the hint, the list has the last word */
    return 0;
}

/* What was asked for leads to a base, and records behind it, if *start is not NULL after. */
static int take_start(struct log *log, struct log_ahead *ahead, struct log_version **start)
{
    int code = store_read_end(ahead->reading);
    ahead->reading = NULL;
    *start = NULL;
    if (code < 0) { /* once more, with the patience of all others */
        error_clear();
        return runtime_check_cancel(log->runtime);
    }
    if (ahead->reads[0].outcome == 0) return take_snapshot(log, ahead, start);
    return has_end(ahead) ? log_version_new(log->machine, start) : 0;
}

int log_open_far(struct log *log, struct log_version **out, int64_t *begun_ns)
{
    struct log_ahead *ahead = log->options.ahead;
    struct log_version *start = NULL;
    bool trimmed;
    log->options.ahead = NULL;
    if (!ahead) ahead = log_ahead_begin(log->runtime, log->store, slice_from_text(log->prefix));
    *out = NULL;
    if (!ahead) return 0;
    int code = take_start(log, ahead, &start);
    if (code == 0 && start) {
        struct log_first first = {ahead->first, AHEAD_RECORDS, ahead->reads + 1};
        *begun_ns = ahead->begun_ns;
        code = log_read_forward_first(log, start, &first, out, &trimmed);
    }
    log_version_release(start);
    log_ahead_drop(ahead);
    return code;
}
