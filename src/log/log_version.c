/*
 * log_version.c: a version is a machine's state and what the log itself knows beside it: the
 * number, id and time of the record it stands behind, and which pending entries were decided how.
 *
 * What this file does is pure, so that every reader makes the same of the same records. A direct
 * transaction was checked by its writer against just this state, so when it fails here the log is
 * damaged. A carried entry (one that was put as pending, and found its way into a record of
 * somebody else) is decided here and nowhere else:
 *   ignored   when its not_after has passed or lies more than 64 ahead, or its id has been decided
 *             otherwise applied or refused by the ordinary check, and its outcome remembered,
 *             refusals too, until its not_after has passed.
 * So an entry takes effect at most once, and its writer can always tell by reading on.
 *
 * Versions are counted; a published one is never changed. The machine's state in it is freed with
 * the last reference, also after the log was closed.
 */
#include "log/log_int.h"

#include <stdlib.h>

/* More than 64 records can decide that each carry as many entries as are ever listed at a time. */
enum { DECIDED_MAX = 1 << 20 };

static int line_apply(struct log_version *version, const struct log_record *record,
                      const struct log_line *line, const struct log_record_info *info);
static void decided_add(struct log_version *version, const struct log_decided *decided);
static void decided_forget(struct log_version *version, uint64_t record);
static int decided_read(const struct json *part, struct log_version *version);

int log_version_new(const struct log_machine *machine, struct log_version **out)
{
    void *state = NULL;
    TRY(machine->state_new(machine->context, &state));
    struct log_version *version = memory_alloc_zero(sizeof(*version));
    version->references = 1;
    version->machine = machine;
    version->machine_state = state;
    version->state.state = state;
    memset(version->state.id, '0', LOG_ID_BYTES);
    *out = version;
    return 0;
}

int log_version_clone(const struct log_version *version, struct log_version **out)
{
    const struct log_machine *machine = version->machine;
    void *state = NULL;
    TRY(machine->state_clone(machine->context, version->machine_state, &state));
    struct log_version *copy = memory_alloc(sizeof(*copy));
    /* Member by member: other threads may be counting references to `version` meanwhile. */
    copy->state = version->state;
    atomic_init(&copy->references, 1);
    copy->machine = machine;
    copy->machine_state = state;
    copy->snapshot_record = version->snapshot_record;
    copy->weight_bytes = version->weight_bytes;
    copy->state.state = state;
    copy->carried_record = version->carried_record;
    copy->n_carried = version->n_carried;
    map_clone(&copy->decided, &version->decided);
    map_clone(&copy->decided_until, &version->decided_until);
    *out = copy;
    return 0;
}

struct log_version *log_version_acquire(struct log_version *version)
{
    atomic_fetch_add_explicit(&version->references, 1, memory_order_relaxed);
    return version;
}

void log_version_release(struct log_version *version)
{
    if (!version || atomic_fetch_sub_explicit(&version->references, 1, memory_order_acq_rel) != 1)
        return;
    version->machine->state_free(version->machine->context, version->machine_state);
    map_free(&version->decided);
    map_free(&version->decided_until);
    free(version);
}

int log_version_try(struct log_version *version, const struct log_record_info *info,
                    const struct json *transaction)
{
    if (version->state.ended) /* nothing is put after the end, not even what would be refused */
        return error_set(GLIS_EREFUSED, "this %s was dropped", version->machine->kind);
    int code = version->machine->apply(version->machine->context, version->machine_state, info,
                                       transaction);
    if (code >= 0)
        version->state.ended =
            version->machine->is_ended(version->machine->context, version->machine_state);
    return code;
}

int log_version_apply(struct log_version *version, const struct log_record *record)
{
    if (record->record != version->state.record + 1)
        return error_set(GLIS_ECORRUPT, "it does not follow record %llu",
                         (unsigned long long)version->state.record);
    if (memcmp(record->previous, version->state.id, LOG_ID_BYTES) != 0)
        return error_set(GLIS_ECORRUPT, "it was put behind %s, but record %llu is %s",
                         record->previous, (unsigned long long)version->state.record,
                         version->state.id);
    bool sets_time = record->n_lines == 1 && record->lines[0].kind == LOG_LINE_SET_TIME;
    if (record->time_ms < version->state.time_ms && !sets_time)
        return error_set(GLIS_ECORRUPT, "its time lies before that of the record before");
    struct log_record_info info = {
        .record = record->record, .time_ms = record->time_ms, .writer = record->writer};
    for (size_t i = 0; i < record->n_lines; i++)
        TRY_CONTEXT(line_apply(version, record, &record->lines[i], &info), "line %zu", i + 2);
    log_version_complete(version, record);
    return 0;
}

static int line_apply(struct log_version *version, const struct log_record *record,
                      const struct log_line *line, const struct log_record_info *info)
{
    const struct log_machine *machine = version->machine;
    if (line->kind == LOG_LINE_SET_TIME) {
        if (record->n_lines != 1 || line->set_time_record != version->state.record ||
            version->state.ended)
            return error_set(GLIS_ECORRUPT, "a set_time that fails its condition");
        struct log_record_info set = *info;
        set.before_ms = version->state.time_ms;
        if (machine->time_set) machine->time_set(machine->context, version->machine_state, &set);
        return 0;
    }
    if (line->carried) return log_version_carry(version, info, line);
    struct log_record_info own = *info;
    own.has_body = line->kind == LOG_LINE_BODY;
    own.body_begun = line->body_begun;
    int code = log_version_try(version, &own, line->json);
    if (code == LOG_ALREADY_DONE)
        return error_set(GLIS_ECORRUPT, "a transaction that had been done before");
    if (code == GLIS_EREFUSED || code == GLIS_EINVALID) {
        error_context("a transaction that fails its condition");
        return log_error_recode(code);
    }
    return code;
}

int log_version_carry(struct log_version *version, const struct log_record_info *info,
                      const struct log_line *line)
{
    struct log_record_info own = *info;
    own.has_body = line->kind == LOG_LINE_BODY;
    own.body_begun = line->body_begun;
    if ((info->record > line->not_after && !GLIS_MUTANT(not_after)) ||
        (info->record <= line->not_after && line->not_after - info->record > LOG_PENDING_SLOTS) ||
        (log_version_decided(version, line->pending_id, NULL) && !GLIS_MUTANT(decided_ids)))
        return 0;
    int code = log_version_try(version, &own, line->json);
    if (code < 0 && code != GLIS_EREFUSED && code != GLIS_EINVALID) return code;
    if (code < 0 && GLIS_MUTANT(decided_refusals)) return 0;
    if (version->carried_record != info->record) version->n_carried = 0;
    version->carried_record = info->record;
    version->n_carried++;
    struct log_decided decided = {.id = line->pending_id,
                                  .not_after = line->not_after,
                                  .applied = code >= 0,
                                  .already_done = code == LOG_ALREADY_DONE,
                                  .record = info->record,
                                  .time_ms = info->time_ms};
    if (code < 0)
        decided.reason = slice_part(slice_from_text(error_message()), 0, LOG_REASON_BYTES_MAX - 1);
    decided_add(version, &decided);
    return 0;
}

/* ---- decided entries ---- */

struct decided_value { /* in the map, the reason behind it */
    uint64_t not_after, record;
    int64_t time_ms;
    bool applied, already_done;
};

static size_t until_key(uint64_t not_after, struct slice id, char out[8 + LOG_PENDING_ID_BYTES_MAX])
{
    for (int i = 0; i < 8; i++)
        out[i] = (char)(not_after >> 8 * (7 - i));
    memcpy(out + 8, id.data, id.size);
    return 8 + id.size;
}

static uint64_t until_not_after(const char *key)
{
    uint64_t not_after = 0;
    for (int i = 0; i < 8; i++)
        not_after = not_after << 8 | (uint8_t)key[i];
    return not_after;
}

static void decided_add(struct log_version *version, const struct log_decided *decided)
{
    char value[sizeof(struct decided_value) + LOG_REASON_BYTES_MAX],
        key[8 + LOG_PENDING_ID_BYTES_MAX];
    struct decided_value head;
    memset(&head, 0, sizeof(head));
    head.not_after = decided->not_after;
    head.record = decided->record;
    head.time_ms = decided->time_ms;
    head.applied = decided->applied;
    head.already_done = decided->already_done;
    struct slice reason = slice_part(decided->reason, 0, LOG_REASON_BYTES_MAX - 1);
    memcpy(value, &head, sizeof(head));
    if (reason.size) memcpy(value + sizeof(head), reason.data, reason.size);
    map_put(&version->decided, decided->id, slice_make(value, sizeof(head) + reason.size));
    size_t size = until_key(decided->not_after, decided->id, key);
    map_put(&version->decided_until, slice_make(key, size), SLICE_EMPTY);
}

static void decided_unpack(struct slice id, struct slice value, struct log_decided *out)
{
    struct decided_value head;
    memcpy(&head, value.data, sizeof(head));
    *out = (struct log_decided){.id = id,
                                .not_after = head.not_after,
                                .applied = head.applied,
                                .already_done = head.already_done,
                                .record = head.record,
                                .time_ms = head.time_ms,
                                .reason = slice_part(value, sizeof(head), value.size)};
}

bool log_version_decided(const struct log_version *version, struct slice id,
                         struct log_decided *out)
{
    struct slice value;
    if (id.size == 0 || !map_get(&version->decided, id, &value)) return false;
    if (out) decided_unpack(id, value, out);
    return true;
}

/* After record S those whose not_after is S or later stay. */
static void decided_forget(struct log_version *version, uint64_t record)
{
    for (;;) {
        struct map_cursor c;
        struct log_decided decided;
        char key[8 + LOG_PENDING_ID_BYTES_MAX];
        map_cursor_first(&version->decided_until, &c);
        if (!c.valid) return;
        struct slice id = slice_part(c.key, 8, c.key.size);
        uint64_t last = record + (GLIS_MUTANT(decided_until_not_after) ? 2 : 0);
        size_t size = c.key.size;
        memcpy(key, c.key.data, size);
        if (until_not_after(key) >= last) return;
        if (log_version_decided(version, id, &decided) && decided.not_after < last)
            map_remove(&version->decided, slice_make(key + 8, size - 8));
        map_remove(&version->decided_until, slice_make(key, size));
    }
}

void log_version_complete(struct log_version *version, const struct log_record *record)
{
    version->state.record = record->record;
    version->state.time_ms = record->time_ms;
    memcpy(version->state.id, record->id, sizeof(version->state.id));
    version->weight_bytes += record->weight_bytes + 256; /* a request costs, too */
    decided_forget(version, record->record);
}

/* ---- the log's part of a snapshot ---- */

int log_version_part_write(const struct log_version *version, struct buffer *out)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_int(&json, "glis", LOG_FORMAT);
    json_write_field_uint(&json, "record", version->state.record);
    json_write_field_text(&json, "id", version->state.id);
    json_write_field_int(&json, "time", version->state.time_ms);
    json_write_field_bool(&json, "ended", version->state.ended);
    json_write_name(&json, "decided");
    json_write_array_begin(&json);
    struct map_cursor c;
    for (map_cursor_first(&version->decided, &c); c.valid; map_cursor_next(&c)) {
        struct log_decided decided;
        decided_unpack(c.key, c.value, &decided);
        json_write_object_begin(&json);
        json_write_field_string(&json, "id", decided.id);
        json_write_field_uint(&json, "not_after", decided.not_after);
        json_write_field_bool(&json, "applied", decided.applied);
        json_write_field_uint(&json, "record", decided.record);
        json_write_field_int(&json, "time", decided.time_ms);
        if (decided.already_done) json_write_field_bool(&json, "already_done", true);
        if (!decided.applied) json_write_field_string(&json, "reason", decided.reason);
        json_write_object_end(&json);
    }
    json_write_array_end(&json);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

static int part_read(struct arena *arena, struct slice part, struct log_version *version)
{
    const struct json *json;
    int64_t format, record;
    struct slice id;
    bool ended;
    TRY(json_parse(arena, part, JSON_RULES_INTERNAL, &json));
    TRY(json_get_int(json, "glis", 1, INT64_MAX, &format));
    if (format > LOG_FORMAT)
        return error_set(GLIS_ENEWER, "snapshots of format %lld are newer than this program",
                         (long long)format);
    TRY(json_get_int(json, "record", 1, INT64_MAX, &record));
    TRY(json_get_string(json, "id", &id));
    TRY(json_get_int(json, "time", 0, INT64_MAX, &version->state.time_ms));
    TRY(json_get_bool(json, "ended", &ended));
    if (!log_id_is_valid(id))
        return error_set(GLIS_ECORRUPT, "id: 32 hexadecimal digits are wanted");
    memcpy(version->state.id, id.data, LOG_ID_BYTES);
    version->state.record = version->snapshot_record = (uint64_t)record;
    version->state.ended =
        version->machine->is_ended(version->machine->context, version->machine_state);
    if (ended != version->state.ended)
        return error_set(GLIS_ECORRUPT, "ended: the state says otherwise");
    return decided_read(json, version);
}

static int decided_read(const struct json *part, struct log_version *version)
{
    const struct json *array;
    TRY(json_get_array(part, "decided", &array));
    if (array->n_items == 0) return 0;
    if (array->n_items > DECIDED_MAX)
        return error_set(GLIS_ECORRUPT, "decided: %zu entries", array->n_items);
    for (size_t i = 0; i < array->n_items; i++) {
        struct log_decided decided = {0};
        int64_t not_after, record;
        TRY(json_get_string(&array->items[i], "id", &decided.id));
        TRY(json_get_int(&array->items[i], "not_after", 1, INT64_MAX, &not_after));
        TRY(json_get_bool(&array->items[i], "applied", &decided.applied));
        TRY(json_get_int(&array->items[i], "record", 1, INT64_MAX, &record));
        TRY(json_get_int(&array->items[i], "time", 0, INT64_MAX, &decided.time_ms));
        TRY(json_optional_bool(&array->items[i], "already_done", &decided.already_done));
        TRY(json_optional_string(&array->items[i], "reason", &decided.reason));
        if (decided.id.size == 0 || decided.id.size > LOG_PENDING_ID_BYTES_MAX ||
            log_version_decided(version, decided.id, NULL))
            return error_set(GLIS_ECORRUPT, "decided[%zu].id: too short, too long, or twice", i);
        decided.not_after = (uint64_t)not_after;
        decided.record = (uint64_t)record;
        decided_add(version, &decided);
    }
    return 0;
}

int log_version_part_read(const struct log_machine *machine, struct slice part, void *machine_state,
                          struct log_version **out)
{
    struct log_version *version = memory_alloc_zero(sizeof(*version));
    version->references = 1;
    version->machine = machine;
    version->machine_state = machine_state;
    version->state.state = machine_state;
    defer_arena struct arena arena = ARENA_EMPTY;
    int code = part_read(&arena, part, version);
    if (code < 0) {
        error_context("the log's part");
        log_version_release(version);
        return code;
    }
    *out = version;
    return 0;
}
