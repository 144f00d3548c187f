/*
 * table_restore.c: the transaction restore: references, jobs done and writers become exactly those
 * of an earlier record.
 *
 * apply is pure and cannot read an older state, so the transaction carries what is to be: it is as
 * large as the state and travels as a body of the log. What it says is checked against the present:
 * every file is known and not marked, nothing was deleted for law's sake since that record, the
 * processing is the same, every reference's partition is there. The tree of then comes with it only
 * when one of its partitions has gone since. Assignments do not come back; the generation goes up,
 * so that whatever was begun before is refused.
 *
 * The leaves of a tree that comes back are new ones: whether the keys of one had rows within a day
 * is known of another tree only. So those without references count as empty since the restore, and
 * are not merged before a day has passed. With the present tree each leaf keeps its time.
 */
#include "table/table_int.h"

#include "base/text.h"

#include <stdlib.h>

/* ---- reading ---- */

static int read_reference(const struct state *state, const struct map *tree,
                          const struct json *json, struct arena *arena, struct held_reference *out)
{
    struct slice name, value;
    struct packer key = {0};
    TRY(json_get_string(json, "partition", &out->partition));
    TRY(json_get_string(json, "file", &name));
    TRY(json_get_u64(json, "rows", &out->record.rows));
    TRY(json_get_bool(json, "exact", &out->record.is_exact));
    TRY(json_get_bool(json, "shared", &out->record.is_shared));
    TRY(json_optional_bool(json, "setAside", &out->record.is_set_aside));
    bool good = file_key_pack(&key, name);
    out->file_key = arena_copy(arena, packed(&key));
    out->name = name;
    packer_free(&key);
    if (!good || !map_get(&state->maps[SECTION_FILES], out->file_key, NULL))
        return error_set(GLIS_EREFUSED, "file '%.*s' is no longer known",
                         SLICE_PRINT(slice_part(name, 0, 200)));
    if (map_get(&state->maps[SECTION_MARKED], out->file_key, NULL) &&
        !GLIS_MUTANT(restore_of_marked))
        return error_set(GLIS_EREFUSED, "file '%.*s' is being collected", SLICE_PRINT(name));
    if (!map_get(tree, out->partition, &value))
        return error_set(GLIS_EREFUSED, "there is no partition '%.*s'",
                         SLICE_PRINT(slice_part(out->partition, 0, 64)));
    return 0;
}

static int compare_held(const void *a, const void *b)
{
    const struct held_reference *x = a, *y = b;
    int c = slice_compare(x->partition, y->partition);
    return c ? c : slice_compare(x->file_key, y->file_key);
}

static int read_job(const struct json *json, struct arena *arena, struct slice *id,
                    struct job_record *out)
{
    struct slice hex;
    TRY(json_get_string(json, "id", id));
    TRY(job_id_check("job id", *id));
    TRY(json_get_string(json, "fingerprint", &hex));
    TRY(json_get_u64(json, "record", &out->record));
    TRY(json_get_int(json, "time", 0, INT64_MAX, &out->time_ms));
    TRY(json_get_bool(json, "given", &out->is_given));
    struct buffer bytes = BUFFER_INIT(64);
    int code = hex.size == 32 ? text_hex_decode(&bytes, hex) : GLIS_EINVALID;
    if (code == 0) out->fingerprint = arena_copy(arena, buffer_slice(&bytes));
    buffer_free(&bytes);
    return code < 0 ? error_set(GLIS_EINVALID, "'fingerprint' is no hash") : 0;
}

static int read_jobs(const struct json *array, struct arena *arena, struct map *jobs,
                     struct map *times, uint64_t *n_given)
{
    for (size_t i = 0; i < array->n_items; i++) {
        struct slice id;
        struct job_record job;
        TRY(read_job(&array->items[i], arena, &id, &job));
        defer_packer struct packer value = {0}, key = {0};
        job_pack(&value, &job);
        if (map_get(jobs, id, NULL))
            return error_set(GLIS_EINVALID, "job '%.*s' comes twice", SLICE_PRINT(id));
        map_put(jobs, id, packed(&value));
        if (!job.is_given) continue;
        uint8_t time[8];
        big_endian_put(time, (uint64_t)job.time_ms, 8);
        pack_bytes(&key, slice_make(time, 8));
        pack_bytes(&key, id);
        map_put(times, packed(&key), SLICE_EMPTY);
        ++*n_given;
    }
    return 0;
}

static int read_writers(const struct json *array, struct map *writers)
{
    for (size_t i = 0; i < array->n_items; i++) {
        struct slice id;
        struct writer_record writer;
        TRY(json_get_string(&array->items[i], "id", &id));
        TRY(job_id_check("writer", id));
        TRY(json_get_u64(&array->items[i], "sequence", &writer.sequence));
        TRY(json_get_u64(&array->items[i], "record", &writer.record));
        if (!writer.sequence) return error_set(GLIS_EINVALID, "sequences begin with 1");
        defer_packer struct packer value = {0};
        writer_pack(&value, &writer);
        map_put(writers, id, packed(&value));
    }
    return 0;
}

static int check_conditions(const struct state *state, const struct log_record_info *info,
                            const struct json *transaction)
{
    uint64_t generation, record, processing;
    TRY(json_get_u64(transaction, "generation", &generation));
    TRY(json_get_u64(transaction, "record", &record));
    TRY(json_get_u64(transaction, "processing", &processing));
    if (generation != state->numbers[NUMBER_GENERATION] && !GLIS_MUTANT(restore_of_generation))
        return error_set(GLIS_EREFUSED, "the table is at generation %llu, not %llu",
                         (unsigned long long)state->numbers[NUMBER_GENERATION],
                         (unsigned long long)generation);
    if (record >= info->record)
        return error_set(GLIS_EREFUSED, "record %llu is yet to come", (unsigned long long)record);
    if (record < state->numbers[NUMBER_DELETED] && !GLIS_MUTANT(restore_after_delete))
        return error_set(
            GLIS_EREFUSED, "rows were deleted at record %llu, so record %llu cannot be restored",
            (unsigned long long)state->numbers[NUMBER_DELETED], (unsigned long long)record);
    if (processing != state->numbers[NUMBER_PROCESSING])
        return error_set(
            GLIS_EREFUSED,
            "the table's processing was another at record %llu: version %llu, now %llu",
            (unsigned long long)record, (unsigned long long)processing,
            (unsigned long long)state->numbers[NUMBER_PROCESSING]);
    return 0;
}

/* ---- the change ---- */

static void put_back(struct state *state, const struct held_reference *held)
{
    struct slice value;
    struct file_record file;
    bool good =
        map_get(&state->maps[SECTION_FILES], held->file_key, &value) && file_unpack(value, &file);
    ASSERT(good);
    if (file.n_references++ == 0) {
        state->numbers[NUMBER_BYTES] += file.size;
        state->numbers[NUMBER_UNREFERENCED]--;
    }
    defer_packer struct packer packer = {0};
    file_pack(&packer, &file);
    map_put(&state->maps[SECTION_FILES], held->file_key, packed(&packer));
    reference_add(state, held->partition, held->file_key, &held->record);
}

struct restored {
    struct map tree, jobs, times, writers;
    uint64_t n_given, n_leaves;
    struct held_reference *held;
    size_t n_held;
};

static int read_all(const struct state *state, const struct json *transaction, struct arena *arena,
                    struct restored *out)
{
    const struct json *references, *jobs, *writers, *partitions = NULL;
    TRY(json_get_array(transaction, "references", &references));
    TRY(json_get_array(transaction, "jobs", &jobs));
    TRY(json_get_array(transaction, "writers", &writers));
    TRY(json_optional_array(transaction, "partitions", &partitions));
    if (partitions) TRY(tree_read(partitions, state_schema(state), &out->tree, &out->n_leaves));
    const struct map *tree = partitions ? &out->tree : &state->maps[SECTION_PARTITIONS];
    out->held = ARENA_ARRAY(arena, struct held_reference, references->n_items);
    out->n_held = references->n_items;
    for (size_t i = 0; i < out->n_held; i++)
        TRY(read_reference(state, tree, &references->items[i], arena, &out->held[i]));
    if (out->n_held) qsort(out->held, out->n_held, sizeof(*out->held), compare_held);
    for (size_t i = 1; i < out->n_held; i++)
        if (compare_held(&out->held[i - 1], &out->held[i]) == 0)
            return error_set(GLIS_EINVALID, "file '%.*s' of partition '%.*s' comes twice",
                             SLICE_PRINT(out->held[i].name), SLICE_PRINT(out->held[i].partition));
    TRY(read_jobs(jobs, arena, &out->jobs, &out->times, &out->n_given));
    return read_writers(writers, &out->writers);
}

/* Of leaves without references: as from now on empty. */
static void tree_set_empty(struct map *tree, int64_t time_ms)
{
    struct map_cursor c;
    struct map_builder builder;
    map_builder_init(&builder);
    for (map_cursor_first(tree, &c); c.valid; map_cursor_next(&c)) {
        struct partition_record partition;
        bool good = partition_unpack(c.value, &partition);
        ASSERT(good);
        if (partition.is_leaf) partition.empty_since_ms = time_ms;
        defer_packer struct packer packer = {0};
        partition_pack(&packer, &partition);
        int code = map_builder_add(&builder, c.key, packed(&packer));
        ASSERT(code == 0);
    }
    map_free(tree);
    map_builder_finish(&builder, tree);
}

static void replace(struct map *map, struct map *with)
{
    map_free(map);
    *map = *with;
    *with = (struct map){0};
}

int apply_restore(struct state *state, const struct log_record_info *info,
                  const struct json *transaction, struct arena *arena)
{
    TRY(check_conditions(state, info, transaction));
    struct restored restored = {0};
    int code = read_all(state, transaction, arena, &restored);
    if (code == 0) {
        references_clear(state, info);
        if (map_count(&restored.tree)) {
            tree_set_empty(&restored.tree, info->time_ms);
            replace(&state->maps[SECTION_PARTITIONS], &restored.tree);
            state->numbers[NUMBER_LEAVES] = restored.n_leaves;
            map_free(&state->maps[SECTION_MERGED]);
        }
        for (size_t i = 0; i < restored.n_held; i++)
            put_back(state, &restored.held[i]);
        if (!GLIS_MUTANT(restore_of_jobs)) replace(&state->maps[SECTION_JOBS], &restored.jobs);
        if (!GLIS_MUTANT(restore_of_jobs))
            replace(&state->maps[SECTION_JOB_TIMES], &restored.times);
        replace(&state->maps[SECTION_WRITERS], &restored.writers);
        if (!GLIS_MUTANT(restore_of_jobs)) state->numbers[NUMBER_GIVEN_JOBS] = restored.n_given;
        if (!GLIS_MUTANT(restore_is_a_generation)) state->numbers[NUMBER_GENERATION]++;
    }
    map_free(&restored.tree);
    map_free(&restored.jobs);
    map_free(&restored.times);
    map_free(&restored.writers);
    return code;
}

/* ---- its text ---- */

static int write_references(struct json_writer *json, const struct state *then)
{
    json_write_name(json, "references");
    json_write_array_begin(json);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct map_cursor c;
    for (map_cursor_first(&then->maps[SECTION_REFERENCES], &c); c.valid; map_cursor_next(&c)) {
        struct slice partition, file_key, name;
        struct reference_record record;
        bool good = reference_key_unpack(c.key, &partition, &file_key) &&
                    reference_unpack(c.value, &record) && file_key_name(file_key, &arena, &name);
        if (!good) return error_set(GLIS_ECORRUPT, "a reference's record cannot be read");
        json_write_object_begin(json);
        json_write_field_string(json, "partition", partition);
        json_write_field_string(json, "file", name);
        json_write_field_uint(json, "rows", record.rows);
        json_write_field_bool(json, "exact", record.is_exact);
        json_write_field_bool(json, "shared", record.is_shared);
        if (record.is_set_aside) json_write_field_bool(json, "setAside", true);
        json_write_object_end(json);
        if (arena.total_bytes > 1 << 20) arena_free(&arena);
    }
    json_write_array_end(json);
    return 0;
}

static void write_jobs(struct json_writer *json, const struct state *then)
{
    static const char digits[] = "0123456789abcdef";
    struct map_cursor c;
    json_write_name(json, "jobs");
    json_write_array_begin(json);
    for (map_cursor_first(&then->maps[SECTION_JOBS], &c); c.valid; map_cursor_next(&c)) {
        struct job_record job;
        bool good = job_unpack(c.value, &job);
        ASSERT(good);
        char hex[33] = "";
        for (int i = 0; i < 16; i++) {
            hex[2 * i] = digits[(uint8_t)job.fingerprint.data[i] >> 4];
            hex[2 * i + 1] = digits[(uint8_t)job.fingerprint.data[i] & 15];
        }
        json_write_object_begin(json);
        json_write_field_string(json, "id", c.key);
        json_write_field_text(json, "fingerprint", hex);
        json_write_field_uint(json, "record", job.record);
        json_write_field_int(json, "time", job.time_ms);
        json_write_field_bool(json, "given", job.is_given);
        json_write_object_end(json);
    }
    json_write_array_end(json);
    json_write_name(json, "writers");
    json_write_array_begin(json);
    for (map_cursor_first(&then->maps[SECTION_WRITERS], &c); c.valid; map_cursor_next(&c)) {
        struct writer_record writer;
        bool good = writer_unpack(c.value, &writer);
        ASSERT(good);
        json_write_object_begin(json);
        json_write_field_string(json, "id", c.key);
        json_write_field_uint(json, "sequence", writer.sequence);
        json_write_field_uint(json, "record", writer.record);
        json_write_object_end(json);
    }
    json_write_array_end(json);
}

/* Whether a partition of then that is needed has gone since. */
static bool wants_tree(const struct state *then, const struct state *now)
{
    struct map_cursor c;
    for (map_cursor_first(&then->maps[SECTION_PARTITIONS], &c); c.valid; map_cursor_next(&c)) {
        struct partition_record partition, present;
        bool good = partition_unpack(c.value, &partition);
        ASSERT(good);
        if (!partition.n_references) continue;
        /* An id may name another region after a reset. */
        if (!partition_get(now, c.key, &present) || !slice_equal(present.region, partition.region))
            return true;
    }
    return false;
}

int write_restore(struct buffer *out, const struct table_state *then, const struct table_state *now)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "restore");
    json_write_field_uint(&json, "record", then->record);
    json_write_field_uint(&json, "generation", now->state->numbers[NUMBER_GENERATION]);
    json_write_field_uint(&json, "processing", then->state->numbers[NUMBER_PROCESSING]);
    TRY(write_references(&json, then->state));
    write_jobs(&json, then->state);
    if (wants_tree(then->state, now->state)) {
        json_write_name(&json, "partitions");
        TRY(tree_write(&json, then->state));
    }
    json_write_object_end(&json);
    return json_writer_finish(&json);
}
