/*
 * log_check.c: everything that lies under a log's prefix, looked at once.
 *
 * In order: markers (from block 1 without a gap), snapshots (name, hash; loads), then the records
 * outside of marked blocks (numbers without a gap from the first unmarked slot, header, hashes,
 * chain of ids, time, bodies) and, with a machine, that each applies to the state before it. What
 * lies in marked blocks is left over and no problem. A log that is written meanwhile may grow, and
 * one that is trimmed loses its beginning; that is no problem either: before a record or body is
 * called missing, its block's marker is looked for once more.
 */
#include "log/log_int.h"

#include <inttypes.h>
#include <stdlib.h>

struct check {
    struct log *log;
    void (*problem)(void *state, const char *object, const char *what);
    void *state;
    struct log_check_result *result;
    size_t folder_size;
    uint64_t newest_snapshot;
    /* of the walk over the records: */
    uint64_t expected; /* the next number */
    char id[LOG_ID_BYTES + 1];
    int64_t time_ms;
    struct log_version *version; /* NULL: states are not followed (any more) */
};

static int markers_check(struct check *check);
static int snapshots_check(struct check *check);
static int records_check(struct check *check);
static int record_check(void *state, const struct store_object *object);
static void record_apply(struct check *check, const char *key, struct log_record *record);
static void found(struct check *check, struct slice object, const char *what);

int log_check(struct runtime *runtime, struct store *store, struct slice prefix,
              const struct log_machine *machine,
              void (*problem)(void *state, const char *object, const char *what), void *state,
              struct log_check_result *out)
{
    struct log log;
    *out = (struct log_check_result){0};
    TRY(log_bare_init(&log, runtime, store, prefix, machine));
    struct check check = {.log = &log, .problem = problem, .state = state, .result = out};
    int code = markers_check(&check);
    if (code == 0) code = snapshots_check(&check);
    if (code == 0) code = records_check(&check);
    log_version_release(check.version);
    log_bare_free(&log);
    return code;
}

static void found(struct check *check, struct slice object, const char *what)
{
    defer_free char *name = memory_copy_text(object);
    check->result->n_problems++;
    check->problem(check->state, name, what);
}

static int marker_check(void *state, const struct store_object *object)
{
    struct check *check = state;
    uint64_t block;
    if (!log_decimal_parse(slice_part(object->key, check->folder_size, object->key.size), &block))
        found(check, object->key, "not the name of a marker");
    else if (block != ++check->result->n_markers)
        found(check, object->key, "a marker without that of the block before");
    return 0;
}

static int markers_check(struct check *check)
{
    char key[LOG_KEY_BYTES];
    struct slice marker = log_key_marker(check->log, 1, key);
    check->folder_size = marker.size - 20;
    return store_each(check->log->store, slice_part(marker, 0, check->folder_size), SLICE_EMPTY,
                      marker_check, check);
}

static int snapshot_check(void *state, const struct store_object *object)
{
    struct check *check = state;
    struct slice name = slice_part(object->key, check->folder_size, object->key.size);
    uint64_t record, hash;
    check->result->n_snapshots++;
    if (!log_snapshot_name_parse(name, &record, &hash)) {
        found(check, object->key, "not the name of a snapshot");
        return 0;
    }
    struct store_read read = {.key = object->key,
                              .length = LOG_SNAPSHOT_BYTES_MAX,
                              .budget = check->log->runtime->budget};
    TRY(log_read_objects(check->log, &read, 1));
    if (read.outcome == 0) {
        if (hash_xxh3_64(read.data, read.size) != hash)
            found(check, object->key, "its hash is not the one in its name");
        else if (record > check->newest_snapshot)
            check->newest_snapshot = record;
    }
    store_read_release(&read, 1);
    return 0;
}

static int snapshots_check(struct check *check)
{
    char key[LOG_KEY_BYTES];
    struct slice folder = log_key_snapshot(check->log, SLICE_EMPTY, key);
    check->folder_size = folder.size;
    TRY(store_each(check->log->store, folder, SLICE_EMPTY, snapshot_check, check));
    uint64_t slots = check->log->options.block_slots, markers = check->result->n_markers;
    bool ended = true; /* only a machine can tell; then the last marked block need not be full */
    if (check->log->machine) {
        struct log_version *newest = NULL;
        int code = log_snapshot_load_newest(check->log, UINT64_MAX, false, &newest);
        if (code == GLIS_ENEWER)
            found(check, folder, error_message());
        else if (code < 0)
            return code;
        ended = newest && newest->state.ended;
        log_version_release(newest);
    }
    if (markers && check->newest_snapshot < (ended ? (markers - 1) * slots + 1 : markers * slots))
        found(check, folder, "no readable snapshot covers the trimmed blocks");
    return 0;
}

/* The records from the first unmarked slot on. States are followed from a snapshot or from the
 * start. */
static int records_check(struct check *check)
{
    struct log *log = check->log;
    char folder[LOG_KEY_BYTES], start[LOG_KEY_BYTES];
    uint64_t before = check->result->n_markers * log->options.block_slots;
    check->expected = before + 1;
    if (log->machine && before == 0) {
        TRY(log_version_new(log->machine, &check->version));
        memcpy(check->id, check->version->state.id, sizeof(check->id));
    } else if (log->machine) {
        TRY(log_snapshot_load_newest(log, UINT64_MAX, false, &check->version));
    }
    struct slice prefix = log_key_record(log, 0, folder);
    prefix.size -= 20;
    check->folder_size = prefix.size;
    int code =
        store_each(log->store, prefix, log_key_record(log, before, start), record_check, check);
    return code > 0 ? 0 : code;
}

/* States and ids are not followed over what could not be read. */
static void follow_end(struct check *check)
{
    log_version_release(check->version);
    check->version = NULL;
    check->id[0] = '\0';
}

/* Something of a block is not as it should be: unless it was trimmed since, that is a problem. */
static int found_in_block(struct check *check, uint64_t number, struct slice object,
                          const char *what)
{
    bool marked = false;
    defer_free char *text = memory_copy_text(slice_from_text(what));
    TRY(log_marker_look(check->log, log_block(check->log, number), &marked));
    if (!marked) found(check, object, text);
    return 0;
}

static int record_check(void *state, const struct store_object *object)
{
    struct check *check = state;
    uint64_t number;
    if (!log_decimal_parse(slice_part(object->key, check->folder_size, object->key.size), &number))
        return 1; /* bodies, hint, markers: they sort behind the records */
    TRY(runtime_check_cancel(check->log->runtime));
    if (number != check->expected) {
        /* Trims take whole blocks: the one just before is the last that can be gone. */
        TRY(found_in_block(check, number - 1, object->key, "the records before it are missing"));
        follow_end(check);
    }
    check->expected = number + 1;
    if (check->result->first == 0) check->result->first = number;
    check->result->last = number;
    struct store_read read = {.key = object->key,
                              .length = LOG_RECORD_BYTES_MAX + 4096,
                              .budget = check->log->runtime->budget};
    TRY(log_read_objects(check->log, &read, 1));
    if (read.outcome != 0) { /* trimmed meanwhile */
        follow_end(check);
        return found_in_block(check, number, object->key, "it is listed, and not there");
    }
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_free char *key = memory_copy_text(object->key);
    struct log_record record;
    int code = log_record_decode(&arena, slice_make(read.data, read.size), number, &record);
    for (size_t i = 0; code == 0 && i < record.n_lines; i++)
        check->result->n_bodies += record.lines[i].kind == LOG_LINE_BODY;
    if (code == 0) code = log_bodies_resolve(check->log, &arena, &record);
    if (code == 0 && check->id[0] && memcmp(check->id, record.previous, LOG_ID_BYTES) != 0)
        code = error_set(GLIS_ECORRUPT, "it was put behind %s, but the record before is %s",
                         record.previous, check->id);
    if (code == 0 && record.time_ms < check->time_ms &&
        !(record.n_lines == 1 && record.lines[0].kind == LOG_LINE_SET_TIME))
        code = error_set(GLIS_ECORRUPT, "its time lies before that of the record before");
    if (code == 0) {
        record_apply(check, key, &record);
    } else if (code == GLIS_ECORRUPT || code == GLIS_ENEWER) {
        code = found_in_block(check, number, object->key, error_message());
        log_version_release(check->version);
        check->version = NULL;
    }
    memcpy(check->id, record.id, sizeof(check->id));
    if (record.time_ms) check->time_ms = record.time_ms;
    store_read_release(&read, 1);
    return code;
}

static void record_apply(struct check *check, const char *key, struct log_record *record)
{
    if (!check->version || record->record <= check->version->state.record) return;
    int code = log_version_apply(check->version, record);
    if (code == 0) return;
    found(check, slice_from_text(key), error_message());
    log_version_release(check->version);
    check->version = NULL;
}
