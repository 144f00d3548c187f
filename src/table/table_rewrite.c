/*
 * table_rewrite.c: the forms of change_files that take rows away or put files aside: "delete",
 * "expire", "set_aside", "take_back".
 *
 * A delete takes references, also those that a living job has, whose commit is then refused, and
 * brings files without the deleted rows; no earlier record can be restored from then on. An expiry
 * takes references of files that lie wholly past an age: the state's own numbers must say so, so
 * that every reader agrees. A damaged file is set aside as a whole: its references stay where they
 * are, readers that meet one are told, and nothing else looks at them.
 */
#include "table/table_int.h"

/* ---- delete ---- */

int apply_delete(struct state *state, const struct log_record_info *info,
                 const struct json *transaction, struct arena *arena)
{
    const struct json *references, *array;
    struct held_reference *held;
    struct coming_file *files;
    TRY(json_get_array(transaction, "references", &references));
    TRY(json_get_array(transaction, "files", &array));
    if (!references->n_items) return error_set(GLIS_EINVALID, "a delete takes references away");
    TRY(check_processing(state, transaction));
    TRY(held_references_read(state, references, arena, &held));
    TRY(coming_files_read(state, info, array, arena, &files));
    for (size_t i = 0; i < references->n_items; i++)
        reference_remove(state, info, &held[i]);
    coming_files_add(state, info, files, array->n_items);
    state->numbers[NUMBER_DELETED] = info->record;
    return 0;
}

static void write_references(struct json_writer *json, const struct named_reference *references,
                             size_t n)
{
    json_write_name(json, "references");
    json_write_array_begin(json);
    for (size_t i = 0; i < n; i++) {
        json_write_object_begin(json);
        json_write_field_string(json, "partition", references[i].partition);
        json_write_field_string(json, "file", references[i].file);
        json_write_object_end(json);
    }
    json_write_array_end(json);
}

int write_delete(struct buffer *out, const struct delete_commit *commit)
{
    const struct state *state = commit->state->state;
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "change_files");
    json_write_field_text(&json, "for", "delete");
    json_write_field_uint(&json, "generation", state->numbers[NUMBER_GENERATION]);
    json_write_field_uint(&json, "processing", state->numbers[NUMBER_PROCESSING]);
    write_references(&json, commit->references, commit->n_references);
    json_write_name(&json, "files");
    json_write_array_begin(&json);
    for (size_t i = 0; i < commit->n_files; i++)
        write_new_file(&json, &commit->files[i], state_schema(state)->n_row_keys,
                       state->numbers[NUMBER_SCHEMA_VERSION]);
    json_write_array_end(&json);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

/* ---- expire ---- */

/* Whether one of the cut-offs takes every row of the file: no value above it, and no null, which a
 * filter may keep. */
static bool is_past(const struct state *state, struct slice file_key, const struct json *cutoffs,
                    struct arena *arena)
{
    struct slice value;
    struct file_age *ages;
    size_t n_ages;
    if (!map_get(&state->maps[SECTION_AGES], file_key, &value)) return false;
    bool good = ages_unpack(value, arena, &ages, &n_ages);
    ASSERT(good);
    for (size_t i = 0; i < cutoffs->n_items; i++)
        for (size_t k = 0; k < n_ages; k++)
            if (slice_equal(cutoffs->items[i].name, ages[k].field) && ages[k].n_nulls == 0 &&
                ages[k].has_max && ages[k].max <= cutoffs->items[i].integer)
                return true;
    return false;
}

int apply_expire(struct state *state, const struct log_record_info *info,
                 const struct json *transaction, struct arena *arena)
{
    const struct json *references, *cutoffs;
    struct held_reference *held;
    TRY(json_get_array(transaction, "references", &references));
    TRY(check_processing(state, transaction));
    TRY(cutoffs_read(state, info, transaction, &cutoffs));
    if (!references->n_items || !cutoffs)
        return error_set(GLIS_EINVALID, "an expiry wants references and cutoffs");
    TRY(held_references_read(state, references, arena, &held));
    for (size_t i = 0; i < references->n_items; i++) {
        TRY(held_reference_check_free(state, info, &held[i]));
        if (!is_past(state, held[i].file_key, cutoffs, arena))
            return error_set(GLIS_EREFUSED, "file '%.*s' is not wholly past an age",
                             SLICE_PRINT(held[i].name));
    }
    for (size_t i = 0; i < references->n_items; i++)
        reference_remove(state, info, &held[i]);
    cutoffs_keep(state, cutoffs);
    return 0;
}

int write_expire(struct buffer *out, const struct table_state *state,
                 const struct named_reference *references, size_t n_references,
                 const struct age_cutoff *cutoffs, size_t n_cutoffs, int64_t now_ms)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "change_files");
    json_write_field_text(&json, "for", "expire");
    json_write_field_uint(&json, "generation", state->state->numbers[NUMBER_GENERATION]);
    json_write_field_uint(&json, "processing", state->state->numbers[NUMBER_PROCESSING]);
    write_references(&json, references, n_references);
    write_cutoffs(&json, cutoffs, n_cutoffs, now_ms);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

/* ---- set_aside, take_back ---- */

/* Changes all references of a file; there is at least one that is not so yet. */
static int set_aside(struct state *state, const struct json *transaction, bool aside,
                     struct arena *arena)
{
    struct slice name, value;
    struct packer key = {0};
    TRY(json_get_string(transaction, "file", &name));
    bool good = file_key_pack(&key, name);
    struct slice file_key = arena_copy(arena, packed(&key));
    packer_free(&key);
    struct file_record file;
    if (!good || !map_get(&state->maps[SECTION_FILES], file_key, &value))
        return error_set(GLIS_EREFUSED, "there is no file '%.*s'",
                         SLICE_PRINT(slice_part(name, 0, 200)));
    good = file_unpack(value, &file);
    ASSERT(good);
    if (!file.n_references)
        return error_set(GLIS_EREFUSED, "file '%.*s' has no references", SLICE_PRINT(name));
    struct held_reference *held = ARENA_ARRAY(arena, struct held_reference, file.n_references);
    size_t n = 0;
    struct map_cursor c;
    /* References lie by partition, so all are looked at: this is rare and done by hand. */
    for (map_cursor_first(&state->maps[SECTION_REFERENCES], &c); c.valid; map_cursor_next(&c)) {
        struct slice partition, of_file;
        struct reference_record record;
        good =
            reference_key_unpack(c.key, &partition, &of_file) && reference_unpack(c.value, &record);
        ASSERT(good);
        if (!slice_equal(of_file, file_key) || record.is_set_aside == aside) continue;
        ASSERT(n < file.n_references);
        record.job = arena_copy(arena, record.job);
        held[n++] = (struct held_reference){
            .partition = arena_copy(arena, partition), .file_key = file_key, .record = record};
    }
    if (!n)
        return error_set(GLIS_EREFUSED,
                         aside ? "file '%.*s' is set aside already"
                               : "file '%.*s' is not set aside",
                         SLICE_PRINT(name));
    for (size_t i = 0; i < n; i++) {
        reference_leave_job(state, held[i].record.job);
        held[i].record.job = SLICE_EMPTY;
        held[i].record.is_set_aside = aside;
        defer_packer struct packer reference = {0}, packer = {0};
        reference_key_pack(&reference, held[i].partition, file_key);
        reference_pack(&packer, &held[i].record);
        map_put(&state->maps[SECTION_REFERENCES], packed(&reference), packed(&packer));
    }
    return 0;
}

int apply_set_aside(struct state *state, const struct log_record_info *info,
                    const struct json *transaction, struct arena *arena)
{
    (void)info;
    return set_aside(state, transaction, true, arena);
}

int apply_take_back(struct state *state, const struct log_record_info *info,
                    const struct json *transaction, struct arena *arena)
{
    (void)info;
    return set_aside(state, transaction, false, arena);
}
