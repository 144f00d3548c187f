/*
 * table_commit.c: commits of background work on a table: one function for each transaction of
 * table_jobs.c, table_grow.c, table_collect.c, table_restore.c and table_rewrite.c.
 *
 * They do not try again: a refusal says that what the work was planned with is no longer so, and
 * whoever planned it looks at the fresh state. Only what depends on nothing but the newest state
 * (restore, set aside) reads it here.
 */
#include "table/instance_int.h"

int table_commit_text(struct table *table, const struct buffer *text, struct commit_result *out)
{
    struct slice transaction = buffer_slice(text);
    struct log_answer answer;
    *out = (struct commit_result){0};
    TRY_CONTEXT(log_commit(table->log, &transaction, 1, 0, &answer), "table '%.*s'",
                SLICE_PRINT(table->name));
    out->record = answer.record;
    out->already_done = answer.already_done;
    return 0;
}

/* Commits what was written without error, and frees it. */
static int commit(struct table *table, int code, struct buffer *text, struct commit_result *out)
{
    struct commit_result unused;
    if (code == 0) code = table_commit_text(table, text, out ? out : &unused);
    buffer_free(text);
    return code;
}

/* A transaction of a type and one string. */
static int commit_name(struct table *table, const char *type, const char *form, const char *field,
                       struct slice value, struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct json_writer json;
    json_writer_init(&json, &text, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", type);
    if (form) json_write_field_text(&json, "for", form);
    json_write_field_string(&json, field, value);
    json_write_object_end(&json);
    return commit(table, json_writer_finish(&json), &text, out);
}

/* ---- jobs ---- */

int table_assign_job(struct table *table, const struct job_assignment *assignment,
                     struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    return commit(table, write_assign_job(&text, assignment), &text, out);
}

int table_release_job(struct table *table, struct slice job, struct commit_result *out)
{
    return commit_name(table, "release_job", NULL, "job", job, out);
}

int table_commit_compaction(struct table *table, const struct compaction_commit *compaction,
                            struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    return commit(table, write_compaction(&text, compaction), &text, out);
}

int table_push_down(struct table *table, const struct reference_move *moves, size_t n_moves,
                    struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    return commit(table, write_push_down(&text, moves, n_moves), &text, out);
}

/* ---- the tree ---- */

static uint64_t new_salt(const struct table *table)
{
    return random_u64(table->instance->runtime->random);
}

int table_split_partition(struct table *table, const struct table_state *state,
                          struct slice partition, uint32_t dimension, struct slice split,
                          struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    return commit(table,
                  write_split_partition(&text, state, partition, dimension, split, new_salt(table)),
                  &text, out);
}

int table_extend_tree(struct table *table, const struct table_state *state,
                      const struct growing_leaf *leaves, size_t n_leaves, struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    return commit(table, write_extend_tree(&text, state, leaves, n_leaves, new_salt(table)), &text,
                  out);
}

int table_merge_partitions(struct table *table, struct slice parent, struct commit_result *out)
{
    return commit_name(table, "merge_partitions", NULL, "parent", parent, out);
}

/* ---- pins and collection ---- */

int table_pin(struct table *table, const struct table_pin *pin, struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct json_writer json;
    json_writer_init(&json, &text, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "pin");
    json_write_field_string(&json, "id", pin->id);
    json_write_field_uint(&json, "record", pin->record);
    json_write_field_int(&json, "until", pin->until_ms);
    json_write_field_text(&json, "keeps", pin->keeps_work ? "work" : "files");
    json_write_object_end(&json);
    return commit(table, json_writer_finish(&json), &text, out);
}

int table_unpin(struct table *table, struct slice id, struct commit_result *out)
{
    return commit_name(table, "unpin", NULL, "id", id, out);
}

int table_mark_files(struct table *table, const struct table_file *files, size_t n_files,
                     struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct json_writer json;
    json_writer_init(&json, &text, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "mark_files");
    json_write_name(&json, "files");
    json_write_array_begin(&json);
    for (size_t i = 0; i < n_files; i++) {
        json_write_object_begin(&json);
        json_write_field_string(&json, "name", files[i].name);
        json_write_field_uint(&json, "gone", files[i].gone_record);
        json_write_object_end(&json);
    }
    json_write_array_end(&json);
    json_write_object_end(&json);
    return commit(table, json_writer_finish(&json), &text, out);
}

int table_forget_files(struct table *table, const struct slice *names, size_t n_names,
                       struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct json_writer json;
    json_writer_init(&json, &text, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "forget_files");
    json_write_name(&json, "files");
    json_write_array_begin(&json);
    for (size_t i = 0; i < n_names; i++)
        json_write_string(&json, names[i]);
    json_write_array_end(&json);
    json_write_object_end(&json);
    return commit(table, json_writer_finish(&json), &text, out);
}

static int commit_record(struct table *table, const char *type, uint64_t record,
                         struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct json_writer json;
    json_writer_init(&json, &text, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", type);
    json_write_field_uint(&json, "record", record);
    json_write_object_end(&json);
    return commit(table, json_writer_finish(&json), &text, out);
}

int table_raise_horizon(struct table *table, uint64_t record, struct commit_result *out)
{
    return commit_record(table, "raise_horizon", record, out);
}

int table_raise_trim_line(struct table *table, uint64_t record, struct commit_result *out)
{
    return commit_record(table, "raise_trim_line", record, out);
}

int table_take_role(struct table *table, struct slice role, uint64_t epoch, struct slice token,
                    struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct json_writer json;
    json_writer_init(&json, &text, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "take_role");
    json_write_field_string(&json, "name", role);
    json_write_field_uint(&json, "present", epoch);
    json_write_field_string(&json, "token", token);
    json_write_object_end(&json);
    return commit(table, json_writer_finish(&json), &text, out);
}

/* ---- going back, setting aside, deleting ---- */

int table_restore(struct table *table, uint64_t record, struct commit_result *out)
{
    const struct table_state *then, *now;
    TRY(table_state_at(table, record, &then));
    int code = table_state_get(table, 0, &now);
    if (code == 0) {
        struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
        code = commit(table, write_restore(&text, then, now), &text, out);
        table_state_release(now);
    }
    table_state_release(then);
    return code;
}

int table_set_aside(struct table *table, struct slice file, struct commit_result *out)
{
    return commit_name(table, "change_files", "set_aside", "file", file, out);
}

int table_take_back(struct table *table, struct slice file, struct commit_result *out)
{
    return commit_name(table, "change_files", "take_back", "file", file, out);
}

int table_commit_delete(struct table *table, const struct delete_commit *commit_of,
                        struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    return commit(table, write_delete(&text, commit_of), &text, out);
}

int table_expire(struct table *table, const struct table_state *state,
                 const struct named_reference *references, size_t n_references,
                 const struct age_cutoff *cutoffs, size_t n_cutoffs, int64_t now_ms,
                 struct commit_result *out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    return commit(table,
                  write_expire(&text, state, references, n_references, cutoffs, n_cutoffs, now_ms),
                  &text, out);
}
