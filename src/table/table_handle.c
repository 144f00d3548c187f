/*
 * table_handle.c: an open table: reading its state and committing to it.
 *
 * What may be refused because another process was faster is told apart afterwards from the fresh
 * state: a job that was done meanwhile is a success, a sequence that ran ahead its own error.
 */
#include "table/instance_int.h"

#include <stdlib.h>

int table_open(struct instance *instance, struct slice name, struct table **out)
{
    struct table *table = memory_alloc_zero(sizeof(*table));
    table->instance = instance;
    arena_init(&table->arena, NULL);
    struct catalogue_table entry;
    int code = instance_find(instance, name, &table->arena, &table->id, &entry);
    if (code == 0) {
        table->name = entry.name;
        table->prefix =
            slice_from_text(arena_printf(&table->arena, "tables/%.*s/", SLICE_PRINT(table->id)));
        struct log_options options = instance_log_options(instance);
        options.ahead = instance_ahead_take(instance, table->id);
        code = log_open(instance->runtime, instance->store, table->prefix, &table_machine, &options,
                        &table->log);
        if (code < 0) error_context("table '%.*s'", SLICE_PRINT(name));
    }
    if (code == 0) {
        const struct log_state *state = log_state_acquire(table->log);
        if (!((const struct state *)state->state)->numbers[NUMBER_CREATED])
            code = error_set(GLIS_ECORRUPT, "table '%.*s' (%.*s) is live and has no log",
                             SLICE_PRINT(name), SLICE_PRINT(table->id));
        log_state_release(state);
    }
    if (code == 0)
        *out = table;
    else
        table_close(table);
    return code;
}

void table_close(struct table *table)
{
    if (!table) return;
    log_close(table->log);
    arena_free(&table->arena);
    free(table);
}

struct instance *table_instance(const struct table *table)
{
    return table->instance;
}

struct slice table_name(const struct table *table)
{
    return table->name;
}

struct slice table_id(const struct table *table)
{
    return table->id;
}

struct slice table_prefix(const struct table *table)
{
    return table->prefix;
}

static struct slice own_file_key(const struct table *table, struct slice file, struct arena *arena)
{
    char *text = arena_alloc(arena, table->prefix.size + file.size + 1), *at = text;
    at = mempcpy(at, table->prefix.data, table->prefix.size);
    at = mempcpy(at, file.data, file.size);
    *at = '\0';
    return slice_make(text, (size_t)(at - text));
}

struct slice table_file_key(const struct table *table, struct slice file, struct arena *arena)
{
    uint64_t begun;
    struct slice key;
    if (!table_file_begun(file, &begun)) {
        /* An address that no store of ours can read is no key either, and said to be none. */
        if (store_foreign_key(file, arena, &key) == 0) return key;
        error_clear();
        return file;
    }
    return own_file_key(table, file, arena);
}

struct slice table_file_key_of(const struct table *table, const struct table_file *file,
                               struct arena *arena)
{
    if (file->is_foreign) return table_file_key(table, file->name, arena);
    return own_file_key(table, file->name, arena);
}

struct slice table_file_name_new(const struct table_state *state, const struct runtime *runtime,
                                 struct arena *arena)
{
    struct ulid ulid = ulid_new(runtime);
    return slice_from_text(arena_printf(arena, "data/%012llx-%s.parquet",
                                        (unsigned long long)state->record, ulid.text));
}

/* ---- states ---- */

int table_state_get(struct table *table, int64_t max_staleness_ms, const struct table_state **out)
{
    TRY_CONTEXT(log_catch_up(table->log, max_staleness_ms), "table '%.*s'",
                SLICE_PRINT(table->name));
    *out = table_state_wrap(log_state_acquire(table->log));
    return 0;
}

int table_state_at(struct table *table, uint64_t record, const struct table_state **out)
{
    if (record == 0) return error_set(GLIS_EINVALID, "records begin with 1");
    TRY_CONTEXT(log_catch_up(table->log, 0), "table '%.*s'", SLICE_PRINT(table->name));
    const struct log_state *log;
    int code = log_state_at(table->log, record, &log);
    if (code == GLIS_ENOTFOUND)
        return error_set(GLIS_EINVALID, "table '%.*s' has no record %llu yet",
                         SLICE_PRINT(table->name), (unsigned long long)record);
    TRY_CONTEXT(code, "table '%.*s' at record %llu", SLICE_PRINT(table->name),
                (unsigned long long)record);
    if (!((const struct state *)log->state)->numbers[NUMBER_CREATED]) {
        log_state_release(log);
        return error_set(GLIS_EGONE, "table '%.*s' did not exist at record %llu",
                         SLICE_PRINT(table->name), (unsigned long long)record);
    }
    *out = table_state_wrap(log);
    return 0;
}

struct record_time {
    int64_t time_ms;
    bool found;
};

static int visit_record_time(void *state, const struct log_shown *record)
{
    struct record_time *out = state;
    TRY(record->code);
    *out = (struct record_time){record->time_ms, true};
    return 0;
}

/* GLIS_EGONE and a damaged record count as above the time: what is not known is not old. */
static int record_is_old(struct table *table, uint64_t record, int64_t time_ms, bool *out)
{
    struct record_time seen = {0};
    int code = log_show(table->instance->runtime, table->instance->store, table->prefix, record,
                        record, visit_record_time, &seen);
    *out = code == 0 && seen.found && seen.time_ms <= time_ms;
    if (code != GLIS_EGONE && code != GLIS_ECORRUPT) return code;
    error_clear();
    return 0;
}

int table_record_at_time(struct table *table, int64_t time_ms, uint64_t *out)
{
    *out = 0;
    TRY_CONTEXT(log_catch_up(table->log, 0), "table '%.*s'", SLICE_PRINT(table->name));
    const struct log_state *log = log_state_acquire(table->log);
    uint64_t newest = log->record, step = 1, low = newest;
    bool is_old = log->time_ms <= time_ms;
    log_state_release(log);
    /* Backwards in steps that double, so that time set back long ago is never met first. */
    while (!is_old && low > 1) {
        low = low > step ? low - step : 1;
        step *= 2;
        TRY(record_is_old(table, low, time_ms, &is_old));
    }
    if (!is_old) return 0;
    uint64_t high = low + step < newest ? low + step : newest;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        TRY(record_is_old(table, middle, time_ms, &is_old));
        if (is_old)
            low = middle;
        else
            high = middle - 1;
    }
    *out = low;
    return 0;
}

/* ---- commits ---- */

int table_settle(struct table *table, const struct table_state *state)
{
    TRY_CONTEXT(log_settle(table->log, state->record), "table '%.*s'", SLICE_PRINT(table->name));
    return 0;
}

/* What the newest state says about the job of a commit. With `settle`, "done" is made sure. */
static int look_for_job(struct table *table, const struct ingest_commit *ingest, bool settle,
                        struct commit_result *out)
{
    const struct table_state *state = table_state_wrap(log_state_acquire(table->log));
    int code = ingest->writer.size
                   ? table_check_sequence(state, ingest->writer, ingest->sequence, out)
                   : table_check_job(state, ingest->job, ingest->fingerprint, out);
    if (code == 0 && settle && out->already_done) code = table_settle(table, state);
    table_state_release(state);
    return code;
}

int table_commit_ingest(struct table *table, const struct ingest_commit *ingest,
                        struct commit_result *out)
{
    *out = (struct commit_result){0};
    if (!ingest->job.size == !ingest->writer.size)
        return error_set(GLIS_EINVALID, "an ingest has either a job id or a writer");
    TRY(ingest->writer.size ? job_id_check("writer", ingest->writer)
                            : job_id_check("job id", ingest->job));
    if (ingest->writer.size && !ingest->sequence)
        return error_set(GLIS_EINVALID, "sequences begin with 1");
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    int code = write_ingest(&text, ingest);
    if (code == 0) code = table_commit_text(table, &text, out);
    buffer_free(&text);
    if (code == 0 && out->already_done) {
        TRY(look_for_job(table, ingest, false, out)); /* was it this one? */
        out->already_done = true;                     /* also when it has just been forgotten */
        return 0;
    }
    if (code != GLIS_EREFUSED) return code;
    struct error_detail refusal;
    error_save(&refusal);
    TRY(look_for_job(table, ingest, true, out)); /* other input, or out of order */
    return out->already_done ? 0 : error_load(&refusal);
}

enum { CHANGE_ATTEMPTS = 8 };

int table_forget_writer(struct table *table, struct slice writer)
{
    int code = 0;
    for (int attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
        TRY(log_catch_up(table->log, 0));
        const struct log_state *log = log_state_acquire(table->log);
        const struct state *state = log->state;
        struct slice value;
        struct writer_record record = {0};
        bool known =
            map_get(&state->maps[SECTION_WRITERS], writer, &value) && writer_unpack(value, &record);
        log_state_release(log);
        if (!known)
            return error_set(GLIS_ENOTFOUND, "table '%.*s' knows no writer '%.*s'",
                             SLICE_PRINT(table->name), SLICE_PRINT(slice_part(writer, 0, 200)));
        struct buffer text = BUFFER_INIT(4096);
        struct json_writer json;
        json_writer_init(&json, &text, 0);
        json_write_object_begin(&json);
        json_write_field_text(&json, "type", "forget_writer");
        json_write_field_string(&json, "writer", writer);
        json_write_field_uint(&json, "sequence", record.sequence);
        json_write_object_end(&json);
        code = json_writer_finish(&json);
        struct commit_result result;
        if (code == 0) code = table_commit_text(table, &text, &result);
        buffer_free(&text);
        if (code != GLIS_EREFUSED) break;
    }
    return code;
}

/* Whether a refusal may come from another process that was faster: the version moved on. */
static bool has_moved(struct table *table, enum state_number number, uint64_t seen)
{
    const struct log_state *log = log_state_acquire(table->log);
    bool moved = ((const struct state *)log->state)->numbers[number] != seen;
    log_state_release(log);
    return moved;
}

int table_alter(struct table *table, const struct setting *settings, size_t n_settings,
                const struct schema *schema, struct commit_result *out)
{
    for (size_t i = 0; i < n_settings; i++) {
        struct slice value = settings[i].value;
        enum property_id id = property_find(settings[i].name);
        if (!value.size && id != PROPERTY_NONE)
            value = slice_from_text(property_definition(id)->default_text);
        TRY(table_setting_check(settings[i].name, value, false));
    }
    int code = 0;
    for (int attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
        TRY(log_catch_up(table->log, 0));
        const struct log_state *log = log_state_acquire(table->log);
        uint64_t version = ((const struct state *)log->state)->numbers[NUMBER_VERSION];
        log_state_release(log);
        struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
        code = write_alter(&text, version, settings, n_settings, schema);
        if (code == 0) code = table_commit_text(table, &text, out);
        buffer_free(&text);
        if (code != GLIS_EREFUSED || !has_moved(table, NUMBER_VERSION, version)) break;
    }
    return code;
}

int table_reset(struct table *table, const struct slice *split_points, size_t n_split_points,
                bool keep_tree, struct commit_result *out)
{
    TRY(log_catch_up(table->log, 0));
    const struct log_state *log = log_state_acquire(table->log);
    uint64_t generation = ((const struct state *)log->state)->numbers[NUMBER_GENERATION];
    log_state_release(log);
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    int code = write_reset(&text, generation, split_points, n_split_points, keep_tree);
    if (code == 0) code = table_commit_text(table, &text, out);
    buffer_free(&text);
    return code;
}

/* ---- logs ---- */

int table_snapshot_write(struct table *table)
{
    TRY_CONTEXT(log_catch_up(table->log, 0), "table '%.*s'", SLICE_PRINT(table->name));
    TRY_CONTEXT(log_snapshot_write(table->log), "table '%.*s'", SLICE_PRINT(table->name));
    return 0;
}

int table_snapshot_if_due(struct table *table)
{
    return log_snapshot_due(table->log) ? table_snapshot_write(table) : 0;
}

int table_set_time(struct table *table, uint64_t record, struct commit_result *out)
{
    struct log_answer answer;
    *out = (struct commit_result){0};
    TRY_CONTEXT(log_set_time(table->log, record, 0, &answer), "table '%.*s'",
                SLICE_PRINT(table->name));
    out->record = answer.record;
    return 0;
}

const struct log_machine *table_log_machine(void)
{
    return &table_machine;
}
