/*
 * bulk_import_end.c: how a bulk import ends without its commit: given up by itself, because what
 * was refused will always be refused; cancelled by somebody; or found to be ended by others.
 *
 * A job is there as long as its plan is. So the plan goes first, and everybody else who is at the
 * job sees that when he looks, at the latest when he puts an outcome, and takes away what he made.
 *
 * Files that write steps have made are not removed here: another process may be committing them at
 * this moment, or may have committed them before the table was reset. When they are not in the
 * state, collection finds them, by the rule that is safe for it: the horizon.
 */
#include "lsm/bulk_import_int.h"

enum { PLAN_START_BYTES = 64, REMOVE_AT_ONCE = 1000 };
static const int64_t LOOK_NS = INT64_C(1000000000);

bool bulk_is_there(struct bulk_import *job)
{
    defer_buffer struct buffer start = BUFFER_INIT(PLAN_START_BYTES);
    struct slice key = bulk_plan_key(job->table, job->plan.job, &job->arena);
    struct error_detail detail;
    error_save(&detail);
    /* The id stands at the beginning: the plan may be another's who has begun the job anew. */
    int code = store_get(job->store, key, 0, PLAN_START_BYTES, &start);
    bool there = code < 0 && code != GLIS_ENOTFOUND; /* the next request will tell */
    if (code == 0)
        there = memmem(start.data, start.size, job->plan.id.data, job->plan.id.size) != NULL;
    (void)error_load(&detail);
    return there;
}

int bulk_ended_meanwhile(void)
{
    return error_set(GLIS_EGONE, "the job was ended by somebody else meanwhile");
}

int bulk_check_there(struct bulk_import *job)
{
    int64_t now_ns = job->runtime->clock->monotonic_ns(job->runtime->clock);
    if (!job->plan.job_is_given || job->result.is_done) return 0;
    if (job->looked_ns && now_ns - job->looked_ns < LOOK_NS) return 0;
    job->looked_ns = now_ns;
    return bulk_is_there(job) ? 0 : bulk_ended_meanwhile();
}

void bulk_give_up(struct bulk_import *job)
{
    struct bulk_import_result ignored;
    struct error_detail detail;
    error_save(&detail);
    if (bulk_is_there(job) && bulk_import_cancel(job->table, job->plan.job, &ignored) < 0)
        error_clear(); /* collection finds it */
    (void)error_load(&detail);
    job->hold.is_held = false;
    job->result.is_given_up = true;
}

/* ---- cancelled ---- */

/* Everything that lies in a job's staging, and the sorted files that its outcomes name. */
struct remains {
    struct table *table;
    struct store *store;
    struct slice prefix, plan;
    struct arena *arena;
    struct slice *keys, *files;
    size_t n_keys, n_files, keys_capacity, files_capacity;
};

static int note_key(void *state, const struct store_object *object)
{
    struct remains *remains = state;
    ARENA_GROW(remains->arena, remains->keys, remains->n_keys, remains->keys_capacity);
    remains->keys[remains->n_keys++] = arena_copy(remains->arena, object->key);
    return 0;
}

/* The sorted file of an outcome that can be read; another's is left to collection. */
static void note_file(struct remains *remains, struct slice key)
{
    defer_buffer struct buffer text = BUFFER_INIT(BULK_OBJECT_BYTES_MAX);
    struct slice name = slice_part(key, remains->prefix.size, key.size), file = SLICE_EMPTY;
    const struct json *json;
    if (!memmem(name.data, name.size, ".sort-", 6)) return;
    int code = store_get(remains->store, key, 0, STORE_TO_END, &text);
    if (code == 0)
        code = json_parse(remains->arena, arena_copy(remains->arena, buffer_slice(&text)),
                          JSON_RULES_INTERNAL, &json);
    if (code == 0) code = json_as_object(json);
    if (code == 0) code = json_optional_string(json, "file", &file);
    if (code < 0) error_clear();
    if (code < 0 || !slice_starts_with(file, SLICE("data/"))) return;
    ARENA_GROW(remains->arena, remains->files, remains->n_files, remains->files_capacity);
    remains->files[remains->n_files++] = table_file_key(remains->table, file, remains->arena);
}

static int remove_all(struct store *store, const struct slice *keys, size_t n)
{
    for (size_t i = 0; i < n; i += REMOVE_AT_ONCE)
        TRY(store_remove(store, keys + i, n - i < REMOVE_AT_ONCE ? n - i : REMOVE_AT_ONCE));
    return 0;
}

/* In this order, so that when it is cut off the next call finds what is left: the objects that it
 * goes by go last. */
static int remove_remains(struct remains *remains, struct slice job)
{
    struct commit_result ignored;
    TRY(store_remove(remains->store, &remains->plan, 1));
    for (size_t i = 0; i < remains->n_keys; i++)
        note_file(remains, remains->keys[i]);
    TRY(remove_all(remains->store, remains->files, remains->n_files));
    int code = table_unpin(remains->table, job, &ignored);
    if (code == GLIS_EREFUSED || code == GLIS_ENOTFOUND) {
        error_clear(); /* there was none, or it ran out */
        code = 0;
    }
    TRY(code);
    return remove_all(remains->store, remains->keys, remains->n_keys);
}

/* Whether the job was committed; *record as far as known. */
static int find_commit(struct table *table, struct slice job, bool *done, uint64_t *record)
{
    static const uint64_t no_fingerprint[2];
    const struct table_state *state;
    struct commit_result found = {0};
    TRY(table_state_get(table, 0, &state));
    int code = table_check_job(state, job, no_fingerprint, &found);
    *done = found.already_done || code == GLIS_EEXISTS; /* of whatever input */
    *record = found.record;
    if (code == GLIS_EEXISTS) {
        error_clear();
        code = 0;
    }
    if (code == 0 && *done) code = table_settle(table, state);
    table_state_release(state);
    return code;
}

static int cancel(struct remains *remains, struct slice job, struct bulk_import_result *out)
{
    TRY(store_each(remains->store, remains->prefix, SLICE_EMPTY, note_key, remains));
    bool is_found = remains->n_keys > 0;
    if (is_found) TRY(remove_remains(remains, job));
    TRY(find_commit(remains->table, job, &out->already_done, &out->record));
    if (is_found) return 0;
    if (out->already_done)
        return error_set(GLIS_EREFUSED, "job '%.*s' was done before; there is nothing to cancel",
                         SLICE_PRINT(job));
    return error_set(GLIS_ENOTFOUND, "no bulk import '%.*s' is under way, and none was done",
                     SLICE_PRINT(job));
}

int bulk_import_cancel(struct table *table, struct slice job_id, struct bulk_import_result *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    *out = (struct bulk_import_result){.job_id = job_id};
    TRY(ingest_check_name(job_id, "job id"));
    struct slice plan = bulk_plan_key(table, job_id, &arena);
    struct remains remains = {.table = table,
                              .store = instance_store(table_instance(table)),
                              .plan = plan,
                              .prefix = slice_part(plan, 0, plan.size - strlen("plan")),
                              .arena = &arena};
    TRY(cancel(&remains, job_id, out));
    out->is_given_up = true;
    return 0;
}
