/*
 * log_end.c: what becomes of a log that has ended (the machine says so; nothing is put after it).
 *
 * It is a trim of everything (docs/architecture.md, "The log"): a last snapshot, which says that
 * the log has ended, and is durable, whoever put it; then the markers of all blocks up to the last
 * record's; only then everything else is deleted. Whoever looks afterwards meets a marker, starts
 * from that snapshot and sees an ended log. Markers and snapshot stay for ever, so that no writer
 * that slept can begin the log anew. Doing it again does no harm.
 */
#include "log/log_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS_AT_ONCE = 1000 };

struct clearing {
    struct log *log;
    struct slice keep_below; /* "…log/trimmed/" */
    struct arena arena;
    struct slice keys[KEYS_AT_ONCE];
    size_t n;
};

static int remove_batch(struct clearing *clearing)
{
    int code = clearing->n ? store_remove(clearing->log->store, clearing->keys, clearing->n) : 0;
    clearing->n = 0;
    arena_free(&clearing->arena);
    return code;
}

static int visit(void *state, const struct store_object *object)
{
    struct clearing *clearing = state;
    if (slice_starts_with(object->key, clearing->keep_below)) return 0;
    clearing->keys[clearing->n++] = arena_copy(&clearing->arena, object->key);
    return clearing->n == KEYS_AT_ONCE ? remove_batch(clearing) : 0;
}

static int put_markers(struct log *log, uint64_t record)
{
    char key[LOG_KEY_BYTES];
    uint64_t last = log_block(log, GLIS_MUTANT(drop_marks_its_own_block) ? record + 1 : record);
    if (GLIS_MUTANT(drop_marks_its_own_block)) last--;
    for (uint64_t block = 1; block <= last; block++)
        TRY(log_put_surely(log, log_key_marker(log, block, key), SLICE("trimmed\n"),
                           log_now_ns(log) + log->options.commit_timeout_ms * 1000000));
    return 0;
}

struct ends {
    struct log *log;
    unsigned n;
};

static int end_sync(void *state, const struct store_object *object)
{
    struct ends *ends = state;
    int code = store_sync(ends->log->store, &object->key, 1);
    if (code == GLIS_ENOTFOUND) { /* there are more than two of them, and others tidied up */
        error_clear();
        return 0;
    }
    ends->n += code == 0;
    return code;
}

/* The last snapshot was perhaps only read, and whoever put it died before it was durable. */
static int last_snapshot_sync(struct log *log, uint64_t record)
{
    struct ends ends = {.log = log};
    char name[32], key[LOG_KEY_BYTES];
    snprintf(name, sizeof(name), "%020" PRIu64 "-", record);
    struct slice prefix = log_key_snapshot(log, slice_from_text(name), key);
    for (unsigned attempt = 0;; attempt++) {
        int code = store_each(log->store, prefix, SLICE_EMPTY, end_sync, &ends);
        if (code == 0 && ends.n > 0) return 0;
        if (code == 0) code = error_set(GLIS_ERETRY, "the last snapshot of the log is not there");
        if (attempt + 1 >= log->options.read_attempts) return code;
        TRY(runtime_check_cancel(log->runtime));
        log_back_off(log, attempt);
    }
}

int log_clear_ended(struct log *log)
{
    char key[LOG_KEY_BYTES];
    TRY(log_catch_up(log, 0));
    const struct log_state *state = log_state_acquire(log);
    bool ended = state->ended;
    uint64_t record = state->record;
    log_state_release(state);
    if (!ended) return error_set(GLIS_EINVALID, "the log %s has not ended", log->prefix);
    TRY(log_snapshot_write(log));
    if (!GLIS_MUTANT(end_is_durable)) TRY(last_snapshot_sync(log, record));
    TRY(put_markers(log, record));
    struct clearing *clearing = memory_alloc_zero(sizeof(*clearing));
    arena_init(&clearing->arena, NULL);
    clearing->log = log;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice folder = slice_from_text(arena_printf(&arena, "%slog/", log->prefix));
    clearing->keep_below = slice_from_text(arena_printf(&arena, "%slog/trimmed/", log->prefix));
    int code = store_each(log->store, folder, SLICE_EMPTY, visit, clearing);
    if (code == 0) {
        /* Snapshots of earlier records. */
        folder = slice_from_text(arena_printf(&arena, "%ssnapshot/", log->prefix));
        clearing->keep_below = arena_copy(
            &arena,
            slice_part(log_key_snapshot(log,
                                        slice_from_text(arena_printf(&arena, "%020llu-",
                                                                     (unsigned long long)record)),
                                        key),
                       0, LOG_KEY_BYTES));
        code = store_each(log->store, folder, SLICE_EMPTY, visit, clearing);
    }
    if (code == 0) code = remove_batch(clearing);
    arena_free(&clearing->arena);
    free(clearing);
    return code;
}
