/*
 * table_jobs.c: jobs on references: assign_job, release_job, and the forms "compaction" and
 * "push_down" of change_files.
 *
 * A job is fenced by its references: it may commit as long as the references that name it are
 * exactly its inputs. An assignment that ran out counts as none, so another job may take its
 * references over, which leaves the first with other references than its inputs; as long as nobody
 * did, it may still commit. The same job assigned again extends its time, and costs one record
 * whatever the number of its references, because the time stands with the assignment.
 *
 * A push-down replaces a reference by references on descendants that cover every leaf which the
 * file's bounds meet: exact bounds alone decide what may be left out, never an estimate.
 */
#include "table/table_int.h"

#include <stdlib.h>

/* ---- assign_job, release_job ---- */

static int check_assignable(const struct state *state, const struct log_record_info *info,
                            struct slice job, const struct held_reference *reference)
{
    if (reference->record.is_set_aside && !GLIS_MUTANT(set_aside_is_left))
        return error_set(GLIS_EREFUSED, "file '%.*s' is set aside", SLICE_PRINT(reference->name));
    if (slice_equal(reference->record.job, job)) return 0;
    return held_reference_check_free(state, info, reference);
}

static void assign(struct state *state, struct slice job, struct held_reference *reference)
{
    if (slice_equal(reference->record.job, job)) return;
    reference_leave_job(state, reference->record.job);
    reference->record.job = job;
    defer_packer struct packer key = {0}, value = {0};
    reference_key_pack(&key, reference->partition, reference->file_key);
    reference_pack(&value, &reference->record);
    map_put(&state->maps[SECTION_REFERENCES], packed(&key), packed(&value));
}

int apply_assign_job(struct state *state, const struct log_record_info *info,
                     const struct json *transaction, struct arena *arena)
{
    struct slice job, partition;
    int64_t until_ms;
    const struct json *files;
    TRY(json_get_string(transaction, "job", &job));
    TRY(job_id_check("job id", job));
    TRY(json_get_string(transaction, "partition", &partition));
    TRY(json_get_int(transaction, "until", 1, INT64_MAX, &until_ms));
    TRY(json_get_array(transaction, "files", &files));
    struct assignment_record assignment = {.record = info->record};
    if (assignment_get(state, job, &assignment) && !slice_equal(assignment.partition, partition))
        return error_set(GLIS_EREFUSED, "job '%.*s' works on partition '%.*s'", SLICE_PRINT(job),
                         SLICE_PRINT(assignment.partition));
    if (!files->n_items) return error_set(GLIS_EINVALID, "a job wants files");
    struct held_reference *held = ARENA_ARRAY(arena, struct held_reference, files->n_items);
    uint64_t n_new = 0;
    for (size_t i = 0; i < files->n_items; i++) {
        struct slice name;
        TRY(json_as_string(&files->items[i], &name));
        TRY(held_reference_find(state, partition, name, arena, &held[i]));
        TRY(check_assignable(state, info, job, &held[i]));
        n_new += !slice_equal(held[i].record.job, job);
        for (size_t k = 0; k < i; k++)
            if (slice_equal(held[k].file_key, held[i].file_key))
                return error_set(GLIS_EINVALID, "file '%.*s' comes twice", SLICE_PRINT(name));
    }
    for (size_t i = 0; i < files->n_items; i++)
        assign(state, job, &held[i]);
    assignment.partition = partition;
    assignment.n_references += n_new;
    if (until_ms > assignment.until_ms) assignment.until_ms = until_ms;
    defer_packer struct packer value = {0};
    assignment_pack(&value, &assignment);
    map_put(&state->maps[SECTION_ASSIGNMENTS], job, packed(&value));
    return 0;
}

/* The references of a partition that name a job; in the arena. */
static size_t references_of_job(const struct state *state, struct slice partition, struct slice job,
                                struct arena *arena, struct held_reference **out)
{
    defer_packer struct packer prefix = {0};
    reference_key_pack(&prefix, partition, SLICE_EMPTY);
    struct assignment_record assignment;
    if (!assignment_get(state, job, &assignment)) return 0;
    struct held_reference *held =
        ARENA_ARRAY(arena, struct held_reference, assignment.n_references);
    size_t n = 0;
    struct map_cursor c;
    map_cursor_seek(&state->maps[SECTION_REFERENCES], packed(&prefix), &c);
    for (; c.valid && slice_starts_with(c.key, packed(&prefix)); map_cursor_next(&c)) {
        struct reference_record record;
        bool good = reference_unpack(c.value, &record);
        ASSERT(good);
        if (!slice_equal(record.job, job)) continue;
        ASSERT(n < assignment.n_references);
        struct slice file_key = arena_copy(arena, slice_part(c.key, prefix.size, c.key.size));
        held[n] = (struct held_reference){
            .partition = arena_copy(arena, partition), .file_key = file_key, .record = record};
        held[n].record.job = arena_copy(arena, record.job);
        n++;
    }
    *out = held;
    return n;
}

int apply_release_job(struct state *state, const struct log_record_info *info,
                      const struct json *transaction, struct arena *arena)
{
    (void)info;
    struct slice job;
    struct assignment_record assignment;
    TRY(json_get_string(transaction, "job", &job));
    if (!assignment_get(state, job, &assignment))
        return error_set(GLIS_EREFUSED, "nothing is assigned to job '%.*s'",
                         SLICE_PRINT(slice_part(job, 0, JOB_ID_MAX)));
    struct held_reference *held;
    size_t n = references_of_job(state, arena_copy(arena, assignment.partition), job, arena, &held);
    for (size_t i = 0; i < n; i++)
        assign(state, SLICE_EMPTY, &held[i]);
    return 0;
}

/* ---- change_files for compaction ---- */

static int compare_keys(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* The inputs are just the references that name the job. */
static int check_inputs(const struct state *state, struct slice job, struct slice partition,
                        const struct json *inputs, struct arena *arena, struct held_reference **out,
                        size_t *n_out)
{
    struct assignment_record assignment;
    if (!assignment_get(state, job, &assignment))
        return error_set(GLIS_EREFUSED, "nothing is assigned to job '%.*s'",
                         SLICE_PRINT(slice_part(job, 0, JOB_ID_MAX)));
    if (!slice_equal(assignment.partition, partition))
        return error_set(GLIS_EREFUSED, "job '%.*s' works on partition '%.*s'", SLICE_PRINT(job),
                         SLICE_PRINT(assignment.partition));
    *n_out = references_of_job(state, partition, job, arena, out);
    struct slice *keys = ARENA_ARRAY(arena, struct slice, inputs->n_items);
    for (size_t i = 0; i < inputs->n_items; i++) {
        struct slice name;
        struct packer key = {0};
        TRY(json_as_string(&inputs->items[i], &name));
        bool good = file_key_pack(&key, name);
        keys[i] = arena_copy(arena, packed(&key));
        packer_free(&key);
        if (!good) return error_set(GLIS_EINVALID, "not a file: '%.*s'", SLICE_PRINT(name));
    }
    if (inputs->n_items) qsort(keys, inputs->n_items, sizeof(*keys), compare_keys);
    bool equal = *n_out == inputs->n_items;
    for (size_t i = 0; equal && i < *n_out; i++)
        equal = slice_equal(keys[i], (*out)[i].file_key);
    if (!equal && !GLIS_MUTANT(inputs_are_the_jobs))
        return error_set(GLIS_EREFUSED, "the references of job '%.*s' are no longer its inputs",
                         SLICE_PRINT(job));
    return 0;
}

static int check_output(const struct state *state, struct slice partition,
                        const struct held_reference *inputs, size_t n_inputs,
                        const struct coming_file *files, size_t n_files)
{
    uint64_t rows_in = 0, rows_out = 0;
    bool all_exact = true;
    for (size_t i = 0; i < n_inputs; i++) {
        rows_in += inputs[i].record.rows;
        all_exact &= inputs[i].record.is_exact;
    }
    if (n_files > 1) return error_set(GLIS_EINVALID, "a compaction gives one file at most");
    if (n_files) {
        rows_out = files->rows;
        if (files->n_references != 1 || !slice_equal(files->references->partition, partition))
            return error_set(GLIS_EREFUSED, "file '%.*s' is not on partition '%.*s' alone",
                             SLICE_PRINT(files->name), SLICE_PRINT(partition));
    }
    if (!all_exact) return 0;
    bool may_shrink = state_processes_rows(state);
    if ((rows_out > rows_in || (rows_out < rows_in && !may_shrink)) &&
        !GLIS_MUTANT(compaction_keeps_rows))
        return error_set(GLIS_EREFUSED, "%llu rows became %llu", (unsigned long long)rows_in,
                         (unsigned long long)rows_out);
    return 0;
}

int apply_compaction(struct state *state, const struct log_record_info *info,
                     const struct json *transaction, struct arena *arena)
{
    struct slice job, partition;
    const struct json *inputs, *array, *cutoffs;
    TRY(json_get_string(transaction, "job", &job));
    TRY(json_get_string(transaction, "partition", &partition));
    TRY(json_get_array(transaction, "inputs", &inputs));
    TRY(json_get_array(transaction, "files", &array));
    struct held_reference *held;
    size_t n_held;
    TRY(check_inputs(state, job, partition, inputs, arena, &held, &n_held));
    TRY(check_processing(state, transaction));
    TRY(cutoffs_read(state, info, transaction, &cutoffs));
    struct coming_file *files;
    TRY(coming_files_read(state, info, array, arena, &files));
    TRY(check_output(state, partition, held, n_held, files, array->n_items));
    for (size_t i = 0; i < n_held; i++)
        reference_remove(state, info, &held[i]);
    coming_files_add(state, info, files, array->n_items);
    cutoffs_keep(state, cutoffs);
    return 0;
}

/* ---- change_files for push_down ---- */

struct move {
    struct held_reference from;
    struct coming_reference *to;
    size_t n_to;
};

static int compare_coming(const void *a, const void *b)
{
    return slice_compare(((const struct coming_reference *)a)->partition,
                         ((const struct coming_reference *)b)->partition);
}

static bool is_target(const struct move *move, struct slice partition)
{
    struct coming_reference wanted = {.partition = partition};
    return bsearch(&wanted, move->to, move->n_to, sizeof(*move->to), compare_coming) != NULL;
}

/* Whether the targets cover every leaf below `id` that the bounds meet; counts those on the way. */
static int check_covered(const struct state *state, struct slice id, const struct move *move,
                         const struct file_bound *bounds, struct arena *arena, size_t *n_found)
{
    uint32_t n_fields = state_schema(state)->n_row_keys;
    struct slice few[64], *stack = few;
    size_t n_stack = 0, n_max = 64;
    int code = 0;
    stack[n_stack++] = id;
    while (code == 0 && n_stack) {
        struct slice at = stack[--n_stack];
        struct partition_record partition;
        struct key_range *region;
        bool good = partition_get(state, at, &partition) &&
                    region_unpack(partition.region, n_fields, arena, &region);
        ASSERT(good);
        bool meets = true;
        for (uint32_t f = 0; f < n_fields; f++)
            meets &= file_bound_overlaps(&bounds[f], &region[f]);
        if (!slice_equal(at, id) && is_target(move, at)) {
            ++*n_found;
            if (!meets)
                code = error_set(GLIS_EREFUSED,
                                 "partition '%.*s' lies outside the bounds of file '%.*s'",
                                 SLICE_PRINT(at), SLICE_PRINT(move->from.name));
            continue;
        }
        if (!meets) continue;
        if (partition.is_leaf) {
            if (GLIS_MUTANT(push_down_covers)) continue;
            code = error_set(GLIS_EREFUSED, "leaf '%.*s' is not covered for file '%.*s'",
                             SLICE_PRINT(at), SLICE_PRINT(move->from.name));
            continue;
        }
        if (n_stack + 2 > n_max) {
            struct slice *more = ARENA_ARRAY(arena, struct slice, 2 * n_max);
            memcpy(more, stack, n_stack * sizeof(*more));
            stack = more;
            n_max *= 2;
        }
        stack[n_stack++] = partition.right;
        stack[n_stack++] = partition.left;
    }
    return code;
}

static int read_move(const struct state *state, const struct log_record_info *info,
                     const struct json *json, struct arena *arena, struct move *out)
{
    struct slice partition, file, value;
    const struct json *to;
    TRY(json_get_string(json, "partition", &partition));
    TRY(json_get_string(json, "file", &file));
    TRY(json_get_array(json, "to", &to));
    TRY(held_reference_find(state, partition, file, arena, &out->from));
    TRY(held_reference_check_free(state, info, &out->from));
    if (out->from.record.is_set_aside)
        return error_set(GLIS_EREFUSED, "file '%.*s' is set aside", SLICE_PRINT(file));
    if (!to->n_items) return error_set(GLIS_EINVALID, "a push-down wants targets");
    out->to = ARENA_ARRAY(arena, struct coming_reference, to->n_items);
    out->n_to = to->n_items;
    for (size_t i = 0; i < to->n_items; i++) {
        TRY(json_get_string(&to->items[i], "partition", &out->to[i].partition));
        TRY(json_get_u64(&to->items[i], "rows", &out->to[i].rows));
        if (out->to[i].rows == 0) out->to[i].rows = 1; /* an estimate is never below 1 */
        if (out->to[i].rows > INT64_MAX / 2) return error_set(GLIS_EINVALID, "too many rows");
    }
    qsort(out->to, out->n_to, sizeof(*out->to), compare_coming);
    for (size_t i = 1; i < out->n_to; i++)
        if (slice_equal(out->to[i].partition, out->to[i - 1].partition))
            return error_set(GLIS_EREFUSED, "partition '%.*s' comes twice",
                             SLICE_PRINT(out->to[i].partition));
    struct file_record record;
    struct file_bound *bounds;
    bool good = map_get(&state->maps[SECTION_FILES], out->from.file_key, &value) &&
                file_unpack(value, &record) &&
                bounds_unpack(record.bounds, state_schema(state)->n_row_keys, arena, &bounds);
    ASSERT(good);
    size_t n_found = 0;
    TRY(check_covered(state, partition, out, bounds, arena, &n_found));
    /* What the walk did not meet is not below, or below another target. */
    if (n_found != out->n_to && !GLIS_MUTANT(push_down_disjoint))
        return error_set(GLIS_EREFUSED,
                         "the targets of file '%.*s' are not disjoint partitions below '%.*s'",
                         SLICE_PRINT(file), SLICE_PRINT(partition));
    return 0;
}

static void move_reference(struct state *state, const struct log_record_info *info,
                           const struct move *move)
{
    const struct reference_record *from = &move->from.record;
    bool single = move->n_to == 1;
    for (size_t i = 0; i < move->n_to; i++)
        reference_add(state, move->to[i].partition, move->from.file_key,
                      &(struct reference_record){
                          .rows = single ? from->rows : move->to[i].rows,
                          .is_exact = single && from->is_exact,
                          .is_shared = !single || from->is_shared,
                      });
    struct slice value;
    struct file_record file;
    bool good = map_get(&state->maps[SECTION_FILES], move->from.file_key, &value) &&
                file_unpack(value, &file);
    ASSERT(good);
    file.n_references += (uint32_t)move->n_to;
    defer_packer struct packer packer = {0};
    file_pack(&packer, &file);
    map_put(&state->maps[SECTION_FILES], move->from.file_key, packed(&packer));
    reference_remove(state, info, &move->from);
}

static int compare_moves(const void *a, const void *b)
{
    const struct move *x = a, *y = b;
    int c = slice_compare(x->from.file_key, y->from.file_key);
    return c ? c : slice_compare(x->from.partition, y->from.partition);
}

int apply_push_down(struct state *state, const struct log_record_info *info,
                    const struct json *transaction, struct arena *arena)
{
    const struct json *array;
    TRY(json_get_array(transaction, "moves", &array));
    if (!array->n_items) return error_set(GLIS_EINVALID, "a push-down without moves");
    struct move *moves = ARENA_ARRAY(arena, struct move, array->n_items);
    for (size_t i = 0; i < array->n_items; i++)
        TRY(read_move(state, info, &array->items[i], arena, &moves[i]));
    qsort(moves, array->n_items, sizeof(*moves), compare_moves);
    for (size_t i = 1; i < array->n_items; i++)
        if (compare_moves(&moves[i - 1], &moves[i]) == 0)
            return error_set(GLIS_EINVALID, "file '%.*s' moves twice",
                             SLICE_PRINT(moves[i].from.name));
    /* Moves of one file go to disjoint places, because its references are disjoint. */
    for (size_t i = 0; i < array->n_items; i++)
        move_reference(state, info, &moves[i]);
    return 0;
}

/* ---- what readers ask ---- */

int table_assignments(const struct table_state *state, struct arena *arena,
                      struct table_assignment **out, size_t *n_out)
{
    const struct map *map = &state->state->maps[SECTION_ASSIGNMENTS];
    *out = ARENA_ARRAY(arena, struct table_assignment, map_count(map));
    *n_out = 0;
    struct map_cursor c;
    for (map_cursor_first(map, &c); c.valid; map_cursor_next(&c)) {
        struct assignment_record record;
        bool good = assignment_unpack(c.value, &record);
        ASSERT(good);
        (*out)[(*n_out)++] = (struct table_assignment){
            .job = arena_copy(arena, c.key),
            .partition = arena_copy(arena, record.partition),
            .record = record.record,
            .n_references = record.n_references,
            .until_ms = record.until_ms,
        };
    }
    return 0;
}

/* ---- texts ---- */

int write_assign_job(struct buffer *out, const struct job_assignment *assignment)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "assign_job");
    json_write_field_string(&json, "job", assignment->job);
    json_write_field_string(&json, "partition", assignment->partition);
    json_write_field_int(&json, "until", assignment->until_ms);
    json_write_name(&json, "files");
    json_write_array_begin(&json);
    for (size_t i = 0; i < assignment->n_files; i++)
        json_write_string(&json, assignment->files[i]);
    json_write_array_end(&json);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

int write_compaction(struct buffer *out, const struct compaction_commit *commit)
{
    const struct state *state = commit->state->state;
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "change_files");
    json_write_field_text(&json, "for", "compaction");
    json_write_field_string(&json, "job", commit->job);
    json_write_field_string(&json, "partition", commit->partition);
    json_write_field_uint(&json, "generation", state->numbers[NUMBER_GENERATION]);
    json_write_field_uint(&json, "processing", state->numbers[NUMBER_PROCESSING]);
    json_write_name(&json, "inputs");
    json_write_array_begin(&json);
    for (size_t i = 0; i < commit->n_inputs; i++)
        json_write_string(&json, commit->inputs[i]);
    json_write_array_end(&json);
    json_write_name(&json, "files");
    json_write_array_begin(&json);
    if (commit->file) {
        struct new_reference reference = {commit->partition, commit->file->rows};
        struct new_file file = *commit->file;
        file.references = &reference;
        file.n_references = 1;
        write_new_file(&json, &file, state_schema(state)->n_row_keys,
                       state->numbers[NUMBER_SCHEMA_VERSION]);
    }
    json_write_array_end(&json);
    write_cutoffs(&json, commit->cutoffs, commit->n_cutoffs, commit->now_ms);
    json_write_field_uint(&json, "rowsRead", commit->rows_read);
    json_write_field_uint(&json, "rowsWritten", commit->rows_written);
    json_write_field_int(&json, "durationMs", commit->duration_ms);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

int write_push_down(struct buffer *out, const struct reference_move *moves, size_t n_moves)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "change_files");
    json_write_field_text(&json, "for", "push_down");
    json_write_name(&json, "moves");
    json_write_array_begin(&json);
    for (size_t i = 0; i < n_moves; i++) {
        json_write_object_begin(&json);
        json_write_field_string(&json, "partition", moves[i].partition);
        json_write_field_string(&json, "file", moves[i].file);
        json_write_name(&json, "to");
        json_write_array_begin(&json);
        for (size_t k = 0; k < moves[i].n_to; k++) {
            json_write_object_begin(&json);
            json_write_field_string(&json, "partition", moves[i].to[k].partition);
            json_write_field_uint(&json, "rows", moves[i].to[k].rows);
            json_write_object_end(&json);
        }
        json_write_array_end(&json);
        json_write_object_end(&json);
    }
    json_write_array_end(&json);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}
