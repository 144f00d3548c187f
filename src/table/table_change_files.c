/*
 * table_change_files.c: the transaction change_files, in its form "ingest": files come with their
 * references, once per job.
 *
 * In the order of the checks: the job (a repeat is a success without effect), generation and
 * processing version, each file (its name new, not begun below the horizon, not ahead of the log),
 * its references (partition there, exact rows sum to the file's, regions disjoint, each end of each
 * field's bounds in one of them). Regions of a tree's partitions are disjoint unless one is the
 * other's ancestor, so that is what is looked for.
 *
 * Cost: a few lookups for each file and reference, and a walk to the root where a file has several.
 */
#include "table/table_int.h"

#include "base/text.h"

#include <stdlib.h>

/* One reference to come, checked. */
struct coming_reference {
    struct slice partition;
    uint64_t rows;
    bool is_exact;
};
struct coming_file {
    struct slice name, key;
    uint64_t size, rows, schema_version;
    struct slice checksum;
    struct file_bound *bounds;
    struct coming_reference *references;
    size_t n_references;
};

/* The job or writer of the transaction, and what will be remembered of it. */
struct coming_job {
    struct slice job, fingerprint, writer;
    bool is_given;
    uint64_t sequence;
};

static int compare_slices(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* ---- once per job ---- */

static int check_job(const struct state *state, const struct log_record_info *info,
                     const struct coming_job *coming)
{
    struct slice value;
    if (map_get(&state->maps[SECTION_JOBS], coming->job, &value)) {
        struct job_record job;
        bool good = job_unpack(value, &job);
        ASSERT(good);
        if (job_is_remembered(state, &job, info->time_ms)) {
            if (slice_equal(job.fingerprint, coming->fingerprint)) return LOG_ALREADY_DONE;
            return error_set(GLIS_EREFUSED, "job '%.*s' was done with other input (record %llu)",
                             SLICE_PRINT(coming->job), (unsigned long long)job.record);
        }
    }
    return 0;
}

/* How many given jobs have run out: they are taken off in order of time before one more comes. */
static uint64_t count_expired(const struct state *state, int64_t time_ms)
{
    int64_t memory_ms = state_number(state, PROPERTY_TABLE_JOB_MEMORY);
    uint64_t n = 0;
    struct map_cursor cursor;
    map_cursor_first(&state->maps[SECTION_JOB_TIMES], &cursor);
    for (; cursor.valid; map_cursor_next(&cursor), n++) {
        int64_t done_ms = (int64_t)big_endian_get((const uint8_t *)cursor.key.data, 8);
        if (time_ms < done_ms || time_ms - done_ms < memory_ms) break;
    }
    return n;
}

static int check_writer(const struct state *state, const struct coming_job *coming)
{
    struct writer_record writer = {0};
    struct slice value;
    const struct map *writers = &state->maps[SECTION_WRITERS];
    bool known = map_get(writers, coming->writer, &value);
    if (known) {
        bool good = writer_unpack(value, &writer);
        ASSERT(good);
    }
    if (coming->sequence <= writer.sequence) return LOG_ALREADY_DONE;
    if (coming->sequence != writer.sequence + 1)
        return error_set(GLIS_EREFUSED, "writer '%.*s' is at %llu, so %llu is out of order",
                         SLICE_PRINT(coming->writer), (unsigned long long)writer.sequence,
                         (unsigned long long)coming->sequence);
    uint64_t max = (uint64_t)state_number(state, PROPERTY_TABLE_WRITERS_MAX);
    if (!known && map_count(writers) >= max)
        return error_set(GLIS_EREFUSED,
                         "no more than %llu writers (glis.table.writers.max); forget one first",
                         (unsigned long long)max);
    return 0;
}

static int read_job(const struct json *transaction, struct arena *arena, struct coming_job *out)
{
    *out = (struct coming_job){0};
    TRY(json_optional_string(transaction, "job", &out->job));
    TRY(json_optional_string(transaction, "writer", &out->writer));
    if (!out->job.data == !out->writer.data)
        return error_set(GLIS_EINVALID, "either 'job' or 'writer' is wanted");
    if (out->writer.data) {
        TRY(job_id_check("writer", out->writer));
        TRY(json_get_u64(transaction, "sequence", &out->sequence));
        if (out->sequence == 0) return error_set(GLIS_EINVALID, "sequences begin with 1");
        return 0;
    }
    TRY(job_id_check("job id", out->job));
    TRY(json_optional_bool(transaction, "given", &out->is_given));
    struct slice hex;
    TRY(json_get_string(transaction, "fingerprint", &hex));
    struct buffer bytes = BUFFER_INIT(64);
    int code = text_hex_decode(&bytes, slice_part(hex, 0, 64));
    if (code == 0 && bytes.size == 16 && hex.size == 32)
        out->fingerprint = arena_copy(arena, buffer_slice(&bytes));
    buffer_free(&bytes);
    if (!out->fingerprint.data) return error_set(GLIS_EINVALID, "'fingerprint' is no hash");
    return 0;
}

/* ---- files ---- */

static int read_bounds(const struct state *state, const struct json *array, struct arena *arena,
                       struct coming_file *file)
{
    uint32_t n = state_schema(state)->n_row_keys;
    if (array->n_items != n)
        return error_set(GLIS_EINVALID, "file '%.*s' has %zu bounds, the table %u row keys",
                         SLICE_PRINT(file->name), array->n_items, n);
    file->bounds = ARENA_ARRAY(arena, struct file_bound, n);
    for (uint32_t f = 0; f < n; f++) {
        struct file_bound *bound = &file->bounds[f];
        TRY(json_get_base64(&array->items[f], "min", arena, &bound->min));
        TRY(json_get_base64(&array->items[f], "max", arena, &bound->max));
        TRY(json_optional_bool(&array->items[f], "cut", &bound->max_exclusive));
        int c = slice_compare(bound->min, bound->max);
        if (c > 0 || (c == 0 && bound->max_exclusive))
            return error_set(GLIS_EINVALID, "the bounds of file '%.*s' are the wrong way round",
                             SLICE_PRINT(file->name));
    }
    return 0;
}

/* The partition that an id means; GLIS_EREFUSED when there is none. */
static int find_partition(const struct state *state, struct slice id, struct slice *out,
                          struct partition_record *record)
{
    if (!partition_get(state, id, record))
        return error_set(GLIS_EREFUSED, "there is no partition '%.*s'", SLICE_PRINT(id));
    *out = id;
    return 0;
}

static int read_references(const struct state *state, const struct json *array, struct arena *arena,
                           struct coming_file *file)
{
    if (array->n_items == 0)
        return error_set(GLIS_EINVALID, "file '%.*s' has no references", SLICE_PRINT(file->name));
    file->references = ARENA_ARRAY(arena, struct coming_reference, array->n_items);
    file->n_references = array->n_items;
    uint64_t sum = 0;
    bool all_exact = true;
    for (size_t i = 0; i < array->n_items; i++) {
        struct coming_reference *reference = &file->references[i];
        struct slice id;
        struct partition_record partition;
        TRY(json_get_string(&array->items[i], "partition", &id));
        TRY(json_get_u64(&array->items[i], "rows", &reference->rows));
        reference->is_exact = true;
        TRY(json_optional_bool(&array->items[i], "exact", &reference->is_exact));
        TRY(find_partition(state, id, &reference->partition, &partition));
        all_exact &= reference->is_exact;
        if (__builtin_add_overflow(sum, reference->rows, &sum))
            return error_set(GLIS_EINVALID, "the rows of file '%.*s' overflow",
                             SLICE_PRINT(file->name));
    }
    if (all_exact && sum != file->rows)
        return error_set(GLIS_EREFUSED, "file '%.*s' has %llu rows, its references together %llu",
                         SLICE_PRINT(file->name), (unsigned long long)file->rows,
                         (unsigned long long)sum);
    return 0;
}

/* No partition twice, and none below another. */
static int check_disjoint(const struct state *state, struct arena *arena,
                          const struct coming_file *file)
{
    struct slice *ids = ARENA_ARRAY(arena, struct slice, file->n_references);
    for (size_t i = 0; i < file->n_references; i++)
        ids[i] = file->references[i].partition;
    qsort(ids, file->n_references, sizeof(*ids), compare_slices);
    for (size_t i = 1; i < file->n_references; i++)
        if (slice_equal(ids[i - 1], ids[i]))
            return error_set(GLIS_EREFUSED, "file '%.*s' has two references on partition '%.*s'",
                             SLICE_PRINT(file->name), SLICE_PRINT(ids[i]));
    for (size_t i = 0; file->n_references > 1 && i < file->n_references; i++) {
        struct partition_record partition;
        struct slice id = ids[i];
        while (partition_get(state, id, &partition) && partition.parent.size) {
            id = partition.parent;
            if (bsearch(&id, ids, file->n_references, sizeof(*ids), compare_slices))
                return error_set(GLIS_EREFUSED,
                                 "the regions of file '%.*s' overlap: '%.*s' lies in '%.*s'",
                                 SLICE_PRINT(file->name), SLICE_PRINT(ids[i]), SLICE_PRINT(id));
        }
    }
    return 0;
}

static bool range_holds_max(const struct key_range *range, const struct file_bound *bound)
{
    if (range->unbounded) return slice_compare(range->min, bound->max) <= 0;
    int c = slice_compare(bound->max, range->max);
    return slice_compare(range->min, bound->max) <= 0 &&
           (c < 0 || (c == 0 && bound->max_exclusive));
}

/* Each end of each field's bounds lies in the region of one of the references, and each region
 * meets the bounds: readers leave a file out where its bounds do not meet. */
static int check_bounds_inside(const struct state *state, struct arena *arena,
                               const struct coming_file *file)
{
    uint32_t n = state_schema(state)->n_row_keys;
    bool *min_inside = ARENA_ARRAY(arena, bool, n), *max_inside = ARENA_ARRAY(arena, bool, n);
    for (size_t i = 0; i < file->n_references; i++) {
        struct partition_record partition;
        struct key_range *region;
        bool good = partition_get(state, file->references[i].partition, &partition) &&
                    region_unpack(partition.region, n, arena, &region);
        ASSERT(good);
        for (uint32_t f = 0; f < n; f++) {
            min_inside[f] |= key_range_contains(&region[f], file->bounds[f].min);
            max_inside[f] |= range_holds_max(&region[f], &file->bounds[f]);
            if (!file_bound_overlaps(&file->bounds[f], &region[f]))
                return error_set(
                    GLIS_EREFUSED, "partition '%.*s' lies outside the bounds of file '%.*s'",
                    SLICE_PRINT(file->references[i].partition), SLICE_PRINT(file->name));
        }
    }
    for (uint32_t f = 0; f < n; f++)
        if (!min_inside[f] || !max_inside[f])
            return error_set(GLIS_EREFUSED,
                             "the bounds of file '%.*s' lie outside its references in field '%.*s'",
                             SLICE_PRINT(file->name),
                             SLICE_PRINT(state_schema(state)->fields[f].name));
    return 0;
}

/* A name of ours, not begun below the horizon, not known. */
static int check_name(const struct state *state, const struct log_record_info *info,
                      struct arena *arena, struct coming_file *file)
{
    defer_packer struct packer key = {0};
    uint64_t begun;
    if (!file_name_begun(file->name, &begun) || !file_key_pack(&key, file->name))
        return error_set(GLIS_EINVALID, "not the name of a data file: '%.*s'",
                         SLICE_PRINT(slice_part(file->name, 0, 200)));
    file->key = arena_copy(arena, packed(&key));
    if (begun < state->numbers[NUMBER_HORIZON])
        return error_set(GLIS_EREFUSED, "file '%.*s' was begun below the horizon, record %llu",
                         SLICE_PRINT(file->name),
                         (unsigned long long)state->numbers[NUMBER_HORIZON]);
    if (begun >= info->record)
        return error_set(GLIS_EREFUSED, "file '%.*s' was begun at a record that is yet to come",
                         SLICE_PRINT(file->name));
    if (map_get(&state->maps[SECTION_FILES], file->key, NULL))
        return error_set(GLIS_EREFUSED, "file '%.*s' is known already", SLICE_PRINT(file->name));
    return 0;
}

static int read_file(const struct state *state, const struct log_record_info *info,
                     const struct json *json, struct arena *arena, struct coming_file *file)
{
    const struct json *bounds, *references;
    struct slice checksum;
    TRY(json_get_string(json, "name", &file->name));
    TRY(json_get_u64(json, "size", &file->size));
    TRY(json_get_u64(json, "rows", &file->rows));
    TRY(json_get_u64(json, "schema", &file->schema_version));
    TRY(json_get_string(json, "xxh3", &checksum));
    TRY(json_get_array(json, "bounds", &bounds));
    TRY(json_get_array(json, "references", &references));
    TRY(check_name(state, info, arena, file));
    if (file->rows == 0 || file->size == 0)
        return error_set(GLIS_EINVALID, "file '%.*s' is empty", SLICE_PRINT(file->name));
    if (file->schema_version == 0 || file->schema_version > state->numbers[NUMBER_SCHEMA_VERSION])
        return error_set(GLIS_EREFUSED, "file '%.*s' was written with schema %llu, unknown here",
                         SLICE_PRINT(file->name), (unsigned long long)file->schema_version);
    struct buffer bytes = BUFFER_INIT(64);
    int code = checksum.size == 32 ? text_hex_decode(&bytes, checksum) : GLIS_EINVALID;
    if (code == 0) file->checksum = arena_copy(arena, buffer_slice(&bytes));
    buffer_free(&bytes);
    if (code < 0)
        return error_set(GLIS_EINVALID, "file '%.*s' has no checksum", SLICE_PRINT(file->name));
    TRY(read_bounds(state, bounds, arena, file));
    TRY(read_references(state, references, arena, file));
    TRY(check_disjoint(state, arena, file));
    return check_bounds_inside(state, arena, file);
}

static int check_twice(struct arena *arena, const struct coming_file *files, size_t n_files)
{
    struct slice *keys = ARENA_ARRAY(arena, struct slice, n_files);
    for (size_t i = 0; i < n_files; i++)
        keys[i] = files[i].key;
    qsort(keys, n_files, sizeof(*keys), compare_slices);
    for (size_t i = 1; i < n_files; i++)
        if (slice_equal(keys[i - 1], keys[i]))
            return error_set(GLIS_EREFUSED, "a file comes twice in one transaction");
    return 0;
}

/* ---- the change ---- */

static void add_file(struct state *state, const struct log_record_info *info,
                     const struct coming_file *file)
{
    defer_packer struct packer bounds = {0}, record = {0};
    bounds_pack(&bounds, file->bounds, state_schema(state)->n_row_keys);
    file_pack(&record, &(struct file_record){
                           .size = file->size,
                           .rows = file->rows,
                           .schema_version = file->schema_version,
                           .added_record = info->record,
                           .n_references = (uint32_t)file->n_references,
                           .checksum = file->checksum,
                           .bounds = packed(&bounds),
                       });
    map_put(&state->maps[SECTION_FILES], file->key, packed(&record));
    state->numbers[NUMBER_BYTES] += file->size;
    for (size_t i = 0; i < file->n_references; i++) {
        const struct coming_reference *reference = &file->references[i];
        defer_packer struct packer key = {0}, value = {0};
        pack_bytes(&key, reference->partition);
        pack_bytes(&key, slice_make("", 1));
        pack_bytes(&key, file->key);
        reference_pack(&value, &(struct reference_record){
                                   .rows = reference->rows,
                                   .is_exact = reference->is_exact,
                                   .is_shared = file->n_references > 1,
                               });
        map_put(&state->maps[SECTION_REFERENCES], packed(&key), packed(&value));
        struct partition_record partition;
        bool good = partition_get(state, reference->partition, &partition);
        ASSERT(good);
        partition.n_references++;
        partition_set(state, reference->partition, &partition);
        state->numbers[NUMBER_ROWS] += reference->rows;
        state->numbers[NUMBER_ESTIMATED] += !reference->is_exact;
    }
}

static void forget_expired(struct state *state, uint64_t n)
{
    for (; n; n--) {
        struct map_cursor cursor;
        map_cursor_first(&state->maps[SECTION_JOB_TIMES], &cursor);
        map_remove(&state->maps[SECTION_JOBS], slice_part(cursor.key, 8, cursor.key.size));
        defer_packer struct packer key = {0};
        pack_bytes(&key, cursor.key);
        map_remove(&state->maps[SECTION_JOB_TIMES], packed(&key));
        state->numbers[NUMBER_GIVEN_JOBS]--;
    }
}

static void remember(struct state *state, const struct log_record_info *info,
                     const struct coming_job *coming)
{
    defer_packer struct packer value = {0};
    if (coming->writer.data) {
        writer_pack(&value, &(struct writer_record){coming->sequence, info->record});
        map_put(&state->maps[SECTION_WRITERS], coming->writer, packed(&value));
        return;
    }
    job_pack(&value, &(struct job_record){coming->fingerprint, info->record, info->time_ms,
                                          coming->is_given});
    map_put(&state->maps[SECTION_JOBS], coming->job, packed(&value));
    if (!coming->is_given) return;
    defer_packer struct packer key = {0};
    uint8_t time[8];
    big_endian_put(time, (uint64_t)info->time_ms, 8);
    pack_bytes(&key, slice_make(time, 8));
    pack_bytes(&key, coming->job);
    map_put(&state->maps[SECTION_JOB_TIMES], packed(&key), SLICE_EMPTY);
    state->numbers[NUMBER_GIVEN_JOBS]++;
}

static int apply_ingest(struct state *state, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena)
{
    struct coming_job job;
    uint64_t generation, processing;
    const struct json *array;
    TRY(read_job(transaction, arena, &job));
    TRY(json_get_u64(transaction, "generation", &generation));
    TRY(json_get_u64(transaction, "processing", &processing));
    TRY(json_get_array(transaction, "files", &array));

    int code = job.writer.data ? check_writer(state, &job) : check_job(state, info, &job);
    if (code) return code;
    if (generation != state->numbers[NUMBER_GENERATION])
        return error_set(
            GLIS_EREFUSED, "the table was reset or restored meanwhile: generation %llu, not %llu",
            (unsigned long long)state->numbers[NUMBER_GENERATION], (unsigned long long)generation);
    if (processing != state->numbers[NUMBER_PROCESSING])
        return error_set(
            GLIS_EREFUSED, "the table's processing changed meanwhile: version %llu, not %llu",
            (unsigned long long)state->numbers[NUMBER_PROCESSING], (unsigned long long)processing);
    uint64_t n_expired = count_expired(state, info->time_ms);
    uint64_t jobs_max = (uint64_t)state_number(state, PROPERTY_TABLE_JOB_MEMORY_MAX);
    if (job.is_given && state->numbers[NUMBER_GIVEN_JOBS] - n_expired >= jobs_max)
        return error_set(GLIS_EREFUSED,
                         "%llu job ids are remembered (glis.table.job.memory.max); a new one "
                         "must wait until some run out",
                         (unsigned long long)jobs_max);
    struct coming_file *files = ARENA_ARRAY(arena, struct coming_file, array->n_items);
    for (size_t i = 0; i < array->n_items; i++)
        TRY(read_file(state, info, &array->items[i], arena, &files[i]));
    TRY(check_twice(arena, files, array->n_items));

    forget_expired(state, n_expired);
    for (size_t i = 0; i < array->n_items; i++)
        add_file(state, info, &files[i]);
    remember(state, info, &job);
    return 0;
}

/* The forms of change_files. */
static const struct transaction_type forms[] = {
    {"ingest", apply_ingest, false},
};

int apply_change_files(struct state *state, const struct log_record_info *info,
                       const struct json *transaction, struct arena *arena)
{
    struct slice form;
    TRY(json_get_string(transaction, "for", &form));
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (slice_equal_text(form, forms[i].name))
            return forms[i].apply(state, info, transaction, arena);
    return error_set(GLIS_ENEWER, "change_files for '%.*s', which this program does not know",
                     SLICE_PRINT(form));
}

/* ---- its text ---- */

static void write_file(struct json_writer *json, const struct new_file *file, uint32_t n_fields,
                       uint64_t schema_version)
{
    static const char digits[] = "0123456789abcdef";
    char hex[33] = "";
    for (int i = 0; i < 16; i++) {
        hex[2 * i] = digits[file->checksum[i] >> 4];
        hex[2 * i + 1] = digits[file->checksum[i] & 15];
    }
    json_write_object_begin(json);
    json_write_field_string(json, "name", file->name);
    json_write_field_uint(json, "size", file->size);
    json_write_field_uint(json, "rows", file->rows);
    json_write_field_text(json, "xxh3", hex);
    json_write_field_uint(json, "schema", schema_version);
    json_write_name(json, "bounds");
    json_write_array_begin(json);
    for (uint32_t f = 0; f < n_fields; f++) {
        json_write_object_begin(json);
        json_write_base64(json, "min", file->bounds[f].min);
        json_write_base64(json, "max", file->bounds[f].max);
        if (file->bounds[f].max_exclusive) json_write_field_bool(json, "cut", true);
        json_write_object_end(json);
    }
    json_write_array_end(json);
    json_write_name(json, "references");
    json_write_array_begin(json);
    for (size_t i = 0; i < file->n_references; i++) {
        json_write_object_begin(json);
        json_write_field_string(json, "partition", file->references[i].partition);
        json_write_field_uint(json, "rows", file->references[i].rows);
        json_write_object_end(json);
    }
    json_write_array_end(json);
    json_write_object_end(json);
}

int write_ingest(struct buffer *out, const struct ingest_commit *commit)
{
    const struct state *state = commit->state->state;
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "change_files");
    json_write_field_text(&json, "for", "ingest");
    if (commit->writer.size) {
        json_write_field_string(&json, "writer", commit->writer);
        json_write_field_uint(&json, "sequence", commit->sequence);
    } else {
        static const char digits[] = "0123456789abcdef";
        char hex[33] = "";
        for (int i = 0; i < 32; i++)
            hex[i] = digits[commit->fingerprint[i / 16] >> 4 * (15 - i % 16) & 15];
        json_write_field_string(&json, "job", commit->job);
        if (commit->job_is_given) json_write_field_bool(&json, "given", true);
        json_write_field_text(&json, "fingerprint", hex);
    }
    json_write_field_uint(&json, "generation", state->numbers[NUMBER_GENERATION]);
    json_write_field_uint(&json, "processing", state->numbers[NUMBER_PROCESSING]);
    json_write_name(&json, "files");
    json_write_array_begin(&json);
    for (size_t i = 0; i < commit->n_files; i++)
        write_file(&json, &commit->files[i], state_schema(state)->n_row_keys,
                   state->numbers[NUMBER_SCHEMA_VERSION]);
    json_write_array_end(&json);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}
