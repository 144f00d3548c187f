/*
 * log_show.c: a log as people look at it, without a machine: its records in order, bodies resolved.
 *
 * Tolerant on purpose: a damaged record or body is shown with what is wrong, and the walk goes on,
 * for this is what one looks with when something is damaged. Nothing here decides anything: what is
 * shown of a log that is being trimmed may be a ghost.
 *
 * Whether a carried entry was applied only the state knows, so with a machine the records are
 * applied as they pass, from the first one on that carries any; a log that was never contended
 * costs nothing more.
 */
#include "log/log_int.h"

#include <stdlib.h>

static int first_record(struct log *log, uint64_t *out);
struct judge {
    struct log_version *version; /* after the record before; NULL: not followed */
    bool lost;                   /* nor can it be any more */
};
static int show_one(struct log *log, uint64_t number, struct slice object, const char *previous,
                    char id[LOG_ID_BYTES + 1], struct judge *judge,
                    int (*visit)(void *, const struct log_shown *), void *state);
static void judge_record(struct log *log, struct judge *judge, const struct log_record *record,
                         struct arena *arena, struct log_shown_line *lines);
static int lines_show(struct log *log, struct arena *arena, struct log_record *record,
                      struct log_shown_line **out);

int log_show(struct runtime *runtime, struct store *store, struct slice prefix, uint64_t from,
             uint64_t to, int (*visit)(void *state, const struct log_shown *record), void *state)
{
    return log_show_judged(runtime, store, prefix, NULL, from, to, visit, state);
}

int log_show_judged(struct runtime *runtime, struct store *store, struct slice prefix,
                    const struct log_machine *machine, uint64_t from, uint64_t to,
                    int (*visit)(void *state, const struct log_shown *record), void *state)
{
    struct log log;
    struct judge judge = {.lost = !machine};
    TRY(log_bare_init(&log, runtime, store, prefix, machine));
    char id[LOG_ID_BYTES + 1] = "", key[LOG_KEY_BYTES];
    uint64_t number = from;
    int code = from == 0 ? first_record(&log, &number) : 0;
    for (bool first = true; code == 0 && number > 0 && (to == 0 || number <= to); number++) {
        struct store_read read = {.key = log_key_record(&log, number, key),
                                  .length = LOG_RECORD_BYTES_MAX + 4096,
                                  .budget = runtime->budget};
        code = runtime_check_cancel(runtime);
        if (code == 0) code = log_read_objects(&log, &read, 1);
        if (code < 0) break;
        if (read.outcome == GLIS_ENOTFOUND) {
            bool marked = false;
            if (first) code = log_marker_look(&log, log_block(&log, number), &marked);
            if (marked)
                code = error_set(GLIS_EGONE, "record %llu of the log %s has been trimmed",
                                 (unsigned long long)number, log.prefix);
            break;
        }
        code = show_one(&log, number, slice_make(read.data, read.size), first ? NULL : id, id,
                        &judge, visit, state);
        store_read_release(&read, 1);
        first = false;
    }
    log_version_release(judge.version);
    log_bare_free(&log);
    return code;
}

/* The oldest record outside trimmed blocks; 0 when there is none. */
static int first_record(struct log *log, uint64_t *out)
{
    char start[LOG_KEY_BYTES], folder[LOG_KEY_BYTES];
    struct slice after = log_key_record(log, 0, start);
    struct slice prefix = slice_part(log_key_record(log, 0, folder), 0, after.size - 20);
    for (;;) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct store_list list;
        bool marked = false;
        TRY(store_list(log->store, prefix, after, 1, &arena, &list));
        *out = 0;
        if (list.n_objects == 0 ||
            !log_decimal_parse(slice_part(list.objects[0].key, prefix.size, 64), out) || *out == 0)
            return 0;
        uint64_t block = log_block(log, *out);
        TRY(log_marker_look(log, block, &marked));
        if (!marked) return 0;
        after = log_key_record(log, block * log->options.block_slots, start);
    }
}

/* Visits one record; `id` becomes its id. `previous` is the id before, NULL when that was not
 * read. */
static int show_one(struct log *log, uint64_t number, struct slice object, const char *previous,
                    char id[LOG_ID_BYTES + 1], struct judge *judge,
                    int (*visit)(void *, const struct log_shown *), void *state)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct log_record record;
    struct log_shown shown = {.record = number, .object_bytes = object.size};
    shown.code = log_record_decode(&arena, object, number, &record);
    if (shown.code == GLIS_ENOMEM) return shown.code;
    if (shown.code == 0 && previous && memcmp(record.previous, previous, LOG_ID_BYTES) != 0)
        shown.code = error_set(GLIS_ECORRUPT, "it was put behind %s, but the record before is %s",
                               record.previous, previous);
    if (shown.code < 0) shown.problem = arena_copy_text(&arena, slice_from_text(error_message()));
    shown.id = slice_from_text(record.id);
    shown.previous = slice_from_text(record.previous);
    shown.writer = record.writer;
    shown.time_ms = record.time_ms;
    shown.body_bytes = record.body_bytes;
    struct log_shown_line *lines = NULL;
    if (record.lines) TRY(lines_show(log, &arena, &record, &lines));
    shown.lines = lines;
    shown.n_lines = lines ? record.n_lines : 0;
    if (shown.code < 0 || !lines)
        judge->lost = true;
    else
        judge_record(log, judge, &record, &arena, lines);
    memcpy(id, record.id, LOG_ID_BYTES + 1);
    return visit(state, &shown);
}

static enum log_fate fate_of(const struct log_version *version, const struct log_line *line,
                             struct arena *arena, struct slice *reason)
{
    struct log_decided decided;
    if (!log_version_decided(version, line->pending_id, &decided)) return LOG_FATE_DONE;
    if (decided.record != version->state.record) return LOG_FATE_DONE; /* carried before */
    if (decided.applied) return decided.already_done ? LOG_FATE_DONE : LOG_FATE_APPLIED;
    *reason = arena_copy(arena, decided.reason);
    return LOG_FATE_REFUSED;
}

/* The version after a record, from the one before it or (NULL) a snapshot; NULL when there is none
 * to be had. */
static struct log_version *version_after(struct log *log, const struct log_version *before,
                                         const struct log_record *record)
{
    const struct log_state *state;
    struct log_version *version;
    if (!before)
        return log_read_until(log, record->record, &state) < 0 ? NULL : log_version_of(state);
    if (log_version_clone(before, &version) < 0) return NULL;
    if (log_version_apply(version, record) == 0) return version;
    log_version_release(version);
    return NULL;
}

/* Finds what became of the entries that a record carries. Not being able to is no failure. */
static void judge_record(struct log *log, struct judge *judge, const struct log_record *record,
                         struct arena *arena, struct log_shown_line *lines)
{
    bool carries = false, whole = true;
    for (size_t i = 0; i < record->n_lines; i++) {
        carries |= record->lines[i].carried;
        whole &= lines[i].code == 0;
    }
    if (judge->lost || (!carries && !judge->version)) return;
    struct log_version *after = whole ? version_after(log, judge->version, record) : NULL;
    log_version_release(judge->version);
    judge->version = after;
    if (!after) {
        error_clear();
        judge->lost = true;
        return;
    }
    for (size_t i = 0; i < record->n_lines; i++)
        if (record->lines[i].carried)
            lines[i].fate = fate_of(after, &record->lines[i], arena, &lines[i].reason);
}

/* What a pending entry wraps. */
static int transaction_text(struct arena *arena, const struct json *json, struct slice *out)
{
    defer_buffer struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_value(&writer, json);
    TRY(json_writer_finish(&writer));
    *out = arena_copy(arena, buffer_slice(&text));
    return 0;
}

static int lines_show(struct log *log, struct arena *arena, struct log_record *record,
                      struct log_shown_line **out)
{
    struct log_shown_line *lines = ARENA_ARRAY(arena, struct log_shown_line, record->n_lines);
    for (size_t i = 0; i < record->n_lines; i++) {
        struct log_line *line = &record->lines[i];
        struct log_record single = {.lines = line, .n_lines = 1};
        lines[i] = (struct log_shown_line){
            .body = line->body_name, .pending = line->pending_id, .not_after = line->not_after};
        lines[i].code = log_bodies_resolve(log, arena, &single);
        if (lines[i].code == GLIS_ECORRUPT)
            lines[i].problem = arena_copy_text(arena, slice_from_text(error_message()));
        else if (lines[i].code < 0)
            return lines[i].code;
        lines[i].text = line->text;
        if (line->carried && line->kind != LOG_LINE_BODY && line->json)
            TRY(transaction_text(arena, line->json, &lines[i].text));
    }
    *out = lines;
    return 0;
}
