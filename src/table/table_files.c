/*
 * table_files.c: files that come with a transaction and references that go: what all forms of
 * change_files share.
 *
 * A file that comes: its name is new, not begun below the horizon, not ahead of the log; its
 * references' partitions are there, exact rows sum to the file's, regions are disjoint, each end of
 * each field's bounds lies in one of them. Regions of a tree's partitions are disjoint unless one
 * is the other's ancestor, so that is what is looked for. A partition that was merged away since
 * the work began stands for the ancestor that it became, and two references that meet there are
 * one.
 *
 * A reference that goes leaves its job, and the sums; with the last one its file is gone as of that
 * record, and collection may have it later.
 *
 * Cost: a few lookups for each file and reference, and a walk to the root where a file has several.
 */
#include "table/table_int.h"

#include "base/text.h"

#include <stdlib.h>

static int compare_slices(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* ---- files that come ---- */

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

/* Adds to the reference on the same partition where there is one, which merging may cause. */
static void take_reference(struct coming_file *file, struct slice partition, uint64_t rows,
                           bool is_exact, bool was_merged)
{
    for (size_t i = 0; was_merged && i < file->n_references; i++) {
        struct coming_reference *reference = &file->references[i];
        if (!slice_equal(reference->partition, partition)) continue;
        reference->rows += rows;
        reference->is_exact &= is_exact;
        return;
    }
    file->references[file->n_references++] = (struct coming_reference){partition, rows, is_exact};
}

static int read_references(const struct state *state, const struct json *array, struct arena *arena,
                           struct coming_file *file)
{
    if (array->n_items == 0)
        return error_set(GLIS_EINVALID, "file '%.*s' has no references", SLICE_PRINT(file->name));
    file->references = ARENA_ARRAY(arena, struct coming_reference, array->n_items);
    uint64_t sum = 0;
    bool all_exact = true;
    for (size_t i = 0; i < array->n_items; i++) {
        struct slice id, living;
        struct partition_record partition;
        uint64_t rows;
        bool is_exact = true;
        TRY(json_get_string(&array->items[i], "partition", &id));
        TRY(json_get_u64(&array->items[i], "rows", &rows));
        TRY(json_optional_bool(&array->items[i], "exact", &is_exact));
        if (!partition_find(state, id, &living, &partition))
            return error_set(GLIS_EREFUSED, "there is no partition '%.*s'", SLICE_PRINT(id));
        all_exact &= is_exact;
        if (__builtin_add_overflow(sum, rows, &sum))
            return error_set(GLIS_EINVALID, "the rows of file '%.*s' overflow",
                             SLICE_PRINT(file->name));
        take_reference(file, living, rows, is_exact, living.data != id.data);
    }
    if (all_exact && sum != file->rows && !GLIS_MUTANT(rows_sum_up))
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
            if (bsearch(&id, ids, file->n_references, sizeof(*ids), compare_slices) &&
                !GLIS_MUTANT(references_are_disjoint))
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
        if ((!min_inside[f] || !max_inside[f]) && !GLIS_MUTANT(bounds_inside_region))
            return error_set(GLIS_EREFUSED,
                             "the bounds of file '%.*s' lie outside its references in field '%.*s'",
                             SLICE_PRINT(file->name),
                             SLICE_PRINT(state_schema(state)->fields[f].name));
    return 0;
}

/* A name of ours, not begun below the horizon, or the address of a foreign file; not known. */
static int check_name(const struct state *state, const struct log_record_info *info,
                      struct arena *arena, struct coming_file *file)
{
    defer_packer struct packer key = {0};
    uint64_t begun;
    if (!file_key_pack(&key, file->name))
        return error_set(GLIS_EINVALID, "not the name of a data file: '%.*s'",
                         SLICE_PRINT(slice_part(file->name, 0, 200)));
    file->key = arena_copy(arena, packed(&key));
    bool is_ours = file_name_begun(file->name, &begun);
    if (is_ours && begun < state->numbers[NUMBER_HORIZON] && !GLIS_MUTANT(file_above_horizon))
        return error_set(GLIS_EREFUSED, "file '%.*s' was begun below the horizon, record %llu",
                         SLICE_PRINT(file->name),
                         (unsigned long long)state->numbers[NUMBER_HORIZON]);
    if (is_ours && begun >= info->record)
        return error_set(GLIS_EREFUSED, "file '%.*s' was begun at a record that is yet to come",
                         SLICE_PRINT(file->name));
    if (map_get(&state->maps[SECTION_FILES], file->key, NULL) && !GLIS_MUTANT(file_is_new))
        return error_set(GLIS_EREFUSED, "file '%.*s' is known already", SLICE_PRINT(file->name));
    return 0;
}

/* "ages": of fields of the schema, each once. */
static int read_ages(const struct state *state, const struct json *json, struct arena *arena,
                     struct coming_file *file)
{
    const struct json *ages = NULL;
    TRY(json_optional_array(json, "ages", &ages));
    if (!ages) return 0;
    file->ages = ARENA_ARRAY(arena, struct file_age, ages->n_items);
    for (size_t i = 0; i < ages->n_items; i++) {
        struct file_age *age = &file->ages[file->n_ages++];
        *age = (struct file_age){.max = INT64_MIN};
        TRY(json_get_string(&ages->items[i], "field", &age->field));
        TRY(json_get_u64(&ages->items[i], "nulls", &age->n_nulls));
        age->has_max = json_find(&ages->items[i], "max") != NULL;
        if (age->has_max)
            TRY(json_get_int(&ages->items[i], "max", INT64_MIN, INT64_MAX, &age->max));
        if (schema_find(state_schema(state), age->field) < 0)
            return error_set(GLIS_EREFUSED, "there is no field '%.*s'", SLICE_PRINT(age->field));
        for (size_t k = 0; k < i; k++)
            if (slice_equal(file->ages[k].field, age->field))
                return error_set(GLIS_EINVALID, "the age of field '%.*s' comes twice",
                                 SLICE_PRINT(age->field));
    }
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
    TRY(check_bounds_inside(state, arena, file));
    return read_ages(state, json, arena, file);
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

int coming_files_read(const struct state *state, const struct log_record_info *info,
                      const struct json *array, struct arena *arena, struct coming_file **out)
{
    struct coming_file *files = ARENA_ARRAY(arena, struct coming_file, array->n_items);
    for (size_t i = 0; i < array->n_items; i++)
        TRY(read_file(state, info, &array->items[i], arena, &files[i]));
    *out = files;
    return check_twice(arena, files, array->n_items);
}

void reference_add(struct state *state, struct slice partition, struct slice file_key,
                   const struct reference_record *record)
{
    defer_packer struct packer key = {0}, value = {0};
    reference_key_pack(&key, partition, file_key);
    reference_pack(&value, record);
    map_put(&state->maps[SECTION_REFERENCES], packed(&key), packed(&value));
    struct partition_record holder;
    bool good = partition_get(state, partition, &holder);
    ASSERT(good);
    holder.n_references++;
    partition_set(state, partition, &holder);
    state->numbers[NUMBER_ROWS] += record->rows;
    state->numbers[NUMBER_ESTIMATED] += !record->is_exact;
}

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
    for (size_t i = 0; i < file->n_references; i++)
        reference_add(state, file->references[i].partition, file->key,
                      &(struct reference_record){
                          .rows = file->references[i].rows,
                          .is_exact = file->references[i].is_exact,
                          .is_shared = file->n_references > 1,
                      });
    if (!file->n_ages) return;
    defer_packer struct packer ages = {0};
    ages_pack(&ages, file->ages, file->n_ages);
    map_put(&state->maps[SECTION_AGES], file->key, packed(&ages));
}

void coming_files_add(struct state *state, const struct log_record_info *info,
                      const struct coming_file *files, size_t n_files)
{
    for (size_t i = 0; i < n_files; i++)
        add_file(state, info, &files[i]);
}

/* ---- references that go ---- */

int held_reference_find(const struct state *state, struct slice partition, struct slice name,
                        struct arena *arena, struct held_reference *out)
{
    defer_packer struct packer file_key = {0}, key = {0};
    struct slice value;
    if (!file_key_pack(&file_key, name) || partition.size > PARTITION_ID_MAX)
        return error_set(GLIS_EINVALID, "not a reference: '%.*s' of partition '%.*s'",
                         SLICE_PRINT(slice_part(name, 0, 200)),
                         SLICE_PRINT(slice_part(partition, 0, 64)));
    reference_key_pack(&key, partition, packed(&file_key));
    if (!map_get(&state->maps[SECTION_REFERENCES], packed(&key), &value))
        return error_set(GLIS_EREFUSED, "file '%.*s' is no longer on partition '%.*s'",
                         SLICE_PRINT(name), SLICE_PRINT(partition));
    *out = (struct held_reference){.partition = arena_copy(arena, partition),
                                   .file_key = arena_copy(arena, packed(&file_key)),
                                   .name = arena_copy(arena, name)};
    bool good = reference_unpack(value, &out->record);
    ASSERT(good);
    out->record.job = arena_copy(arena, out->record.job);
    return 0;
}

static int compare_held(const void *a, const void *b)
{
    const struct held_reference *x = a, *y = b;
    int c = slice_compare(x->partition, y->partition);
    return c ? c : slice_compare(x->file_key, y->file_key);
}

int held_references_read(const struct state *state, const struct json *array, struct arena *arena,
                         struct held_reference **out)
{
    struct held_reference *held = ARENA_ARRAY(arena, struct held_reference, array->n_items);
    for (size_t i = 0; i < array->n_items; i++) {
        struct slice partition, file;
        TRY(json_get_string(&array->items[i], "partition", &partition));
        TRY(json_get_string(&array->items[i], "file", &file));
        TRY(held_reference_find(state, partition, file, arena, &held[i]));
    }
    if (array->n_items) qsort(held, array->n_items, sizeof(*held), compare_held);
    for (size_t i = 1; i < array->n_items; i++)
        if (compare_held(&held[i - 1], &held[i]) == 0)
            return error_set(GLIS_EINVALID, "file '%.*s' of partition '%.*s' comes twice",
                             SLICE_PRINT(held[i].name), SLICE_PRINT(held[i].partition));
    *out = held;
    return 0;
}

int held_reference_check_free(const struct state *state, const struct log_record_info *info,
                              const struct held_reference *reference)
{
    if (reference_is_assigned(state, &reference->record, info->time_ms) &&
        !GLIS_MUTANT(assignment_holds))
        return error_set(GLIS_EREFUSED, "file '%.*s' of partition '%.*s' is assigned to job '%.*s'",
                         SLICE_PRINT(reference->name), SLICE_PRINT(reference->partition),
                         SLICE_PRINT(reference->record.job));
    return 0;
}

void reference_leave_job(struct state *state, struct slice job)
{
    struct assignment_record assignment;
    if (!job.size || !assignment_get(state, job, &assignment)) return;
    if (--assignment.n_references == 0) {
        map_remove(&state->maps[SECTION_ASSIGNMENTS], job);
        return;
    }
    defer_packer struct packer value = {0};
    assignment_pack(&value, &assignment);
    map_put(&state->maps[SECTION_ASSIGNMENTS], job, packed(&value));
}

/* One reference fewer; without any it is gone as of this record. */
static void file_lose_reference(struct state *state, const struct log_record_info *info,
                                struct slice file_key)
{
    struct slice value;
    struct file_record file;
    bool good = map_get(&state->maps[SECTION_FILES], file_key, &value) && file_unpack(value, &file);
    ASSERT(good && file.n_references > 0);
    if (--file.n_references == 0) {
        file.gone_record = info->record;
        file.gone_ms = GLIS_MUTANT(gone_time_is_kept) ? 0 : info->time_ms;
        state->numbers[NUMBER_BYTES] -= file.size;
        state->numbers[NUMBER_UNREFERENCED]++;
    }
    defer_packer struct packer packer = {0};
    file_pack(&packer, &file);
    map_put(&state->maps[SECTION_FILES], file_key, packed(&packer));
}

void reference_remove(struct state *state, const struct log_record_info *info,
                      const struct held_reference *reference)
{
    defer_packer struct packer key = {0};
    reference_key_pack(&key, reference->partition, reference->file_key);
    bool good = map_remove(&state->maps[SECTION_REFERENCES], packed(&key));
    ASSERT(good);
    struct partition_record holder;
    good = partition_get(state, reference->partition, &holder);
    ASSERT(good && holder.n_references > 0);
    if (--holder.n_references == 0) holder.empty_since_ms = info->time_ms;
    partition_set(state, reference->partition, &holder);
    state->numbers[NUMBER_ROWS] -= reference->record.rows;
    state->numbers[NUMBER_ESTIMATED] -= !reference->record.is_exact;
    reference_leave_job(state, reference->record.job);
    file_lose_reference(state, info, reference->file_key);
}

void references_clear(struct state *state, const struct log_record_info *info)
{
    struct map_cursor c;
    struct map_builder files, partitions;
    map_builder_init(&files);
    for (map_cursor_first(&state->maps[SECTION_FILES], &c); c.valid; map_cursor_next(&c)) {
        struct file_record file;
        bool good = file_unpack(c.value, &file);
        ASSERT(good);
        if (file.n_references) {
            file.n_references = 0;
            file.gone_record = info->record;
            file.gone_ms = info->time_ms;
        }
        defer_packer struct packer packer = {0};
        file_pack(&packer, &file);
        int code = map_builder_add(&files, c.key, packed(&packer));
        ASSERT(code == 0);
    }
    map_builder_init(&partitions);
    for (map_cursor_first(&state->maps[SECTION_PARTITIONS], &c); c.valid; map_cursor_next(&c)) {
        struct partition_record partition;
        bool good = partition_unpack(c.value, &partition);
        ASSERT(good);
        if (partition.n_references) {
            partition.n_references = 0;
            partition.empty_since_ms = info->time_ms;
        }
        defer_packer struct packer packer = {0};
        partition_pack(&packer, &partition);
        int code = map_builder_add(&partitions, c.key, packed(&packer));
        ASSERT(code == 0);
    }
    map_free(&state->maps[SECTION_FILES]);
    map_free(&state->maps[SECTION_PARTITIONS]);
    map_free(&state->maps[SECTION_REFERENCES]);
    map_free(&state->maps[SECTION_ASSIGNMENTS]);
    map_builder_finish(&files, &state->maps[SECTION_FILES]);
    map_builder_finish(&partitions, &state->maps[SECTION_PARTITIONS]);
    state->numbers[NUMBER_UNREFERENCED] = map_count(&state->maps[SECTION_FILES]);
    state->numbers[NUMBER_ROWS] = 0;
    state->numbers[NUMBER_ESTIMATED] = 0;
    state->numbers[NUMBER_BYTES] = 0;
}

/* ---- processing ---- */

bool state_processes_rows(const struct state *state)
{
    static const char *const names[] = {"glis.table.filters", "glis.table.aggregations",
                                        "glis.table.iterator"};
    struct slice value;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (map_get(&state->maps[SECTION_PROPERTIES], slice_from_text(names[i]), &value) &&
            value.size)
            return true;
    return map_count(&state->maps[SECTION_CUTOFFS]) > 0;
}

int check_processing(const struct state *state, const struct json *transaction)
{
    uint64_t generation, processing;
    TRY(json_get_u64(transaction, "generation", &generation));
    TRY(json_get_u64(transaction, "processing", &processing));
    if (generation != state->numbers[NUMBER_GENERATION] && !GLIS_MUTANT(generation_is_checked))
        return error_set(
            GLIS_EREFUSED, "the table was reset or restored meanwhile: generation %llu, not %llu",
            (unsigned long long)state->numbers[NUMBER_GENERATION], (unsigned long long)generation);
    if (processing != state->numbers[NUMBER_PROCESSING] && !GLIS_MUTANT(processing_is_checked))
        return error_set(
            GLIS_EREFUSED, "the table's processing changed meanwhile: version %llu, not %llu",
            (unsigned long long)state->numbers[NUMBER_PROCESSING], (unsigned long long)processing);
    return 0;
}

int cutoffs_read(const struct state *state, const struct log_record_info *info,
                 const struct json *transaction, const struct json **out)
{
    int64_t now_ms;
    *out = NULL;
    TRY(json_optional_object(transaction, "cutoffs", out));
    if (!*out) return 0;
    TRY(json_get_int(transaction, "now", INT64_MIN, INT64_MAX, &now_ms));
    if (now_ms > info->time_ms)
        return error_set(GLIS_EREFUSED, "ages were counted from a time that is yet to come");
    defer_arena struct arena arena = ARENA_EMPTY;
    struct processing processing;
    const struct schema *schema = state_schema(state);
    TRY(state_processing(state, schema, NULL, &arena, &processing));
    for (size_t i = 0; i < (*out)->n_items; i++) {
        const struct json *item = &(*out)->items[i];
        int64_t cutoff;
        TRY(json_as_int(item, INT64_MIN, INT64_MAX, &cutoff));
        int field = schema_find(schema, item->name);
        if (field < 0)
            return error_set(GLIS_EREFUSED, "there is no field '%.*s'", SLICE_PRINT(item->name));
        for (uint32_t f = 0; f < processing.n_filters; f++)
            if (processing.filters[f].field == (uint32_t)field &&
                cutoff > age_cutoff_ms(processing.filters[f].age_ms, info->time_ms))
                return error_set(GLIS_EREFUSED, "the age of field '%.*s' was changed meanwhile",
                                 SLICE_PRINT(item->name));
    }
    return 0;
}

static int64_t cutoff_get(const struct state *state, struct slice field)
{
    struct slice value;
    if (!map_get(&state->maps[SECTION_CUTOFFS], field, &value)) return INT64_MIN;
    struct unpacker in = unpack_begin(value);
    return unpack_signed(&in);
}

void cutoffs_keep(struct state *state, const struct json *cutoffs)
{
    for (size_t i = 0; cutoffs && i < cutoffs->n_items; i++) {
        const struct json *item = &cutoffs->items[i];
        if (item->integer <= cutoff_get(state, item->name)) continue;
        defer_packer struct packer value = {0};
        pack_signed(&value, item->integer);
        map_put(&state->maps[SECTION_CUTOFFS], item->name, packed(&value));
    }
}

int64_t table_state_cutoff(const struct table_state *state, struct slice field)
{
    return cutoff_get(state->state, field);
}

int table_file_ages(const struct table_state *state, struct slice name, struct arena *arena,
                    struct file_age **out, size_t *n_out)
{
    *out = NULL;
    *n_out = 0;
    defer_packer struct packer key = {0};
    struct slice value;
    if (!file_key_pack(&key, name) ||
        !map_get(&state->state->maps[SECTION_AGES], packed(&key), &value))
        return 0;
    if (!ages_unpack(value, arena, out, n_out))
        return error_set(GLIS_ECORRUPT, "the ages cannot be read of file '%.*s'",
                         SLICE_PRINT(name));
    return 0;
}

/* ---- their text ---- */

void write_new_file(struct json_writer *json, const struct new_file *file, uint32_t n_fields,
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
    if (file->n_ages) {
        json_write_name(json, "ages");
        json_write_array_begin(json);
        for (size_t i = 0; i < file->n_ages; i++) {
            json_write_object_begin(json);
            json_write_field_string(json, "field", file->ages[i].field);
            if (file->ages[i].has_max) json_write_field_int(json, "max", file->ages[i].max);
            json_write_field_uint(json, "nulls", file->ages[i].n_nulls);
            json_write_object_end(json);
        }
        json_write_array_end(json);
    }
    json_write_object_end(json);
}

void write_cutoffs(struct json_writer *json, const struct age_cutoff *cutoffs, size_t n,
                   int64_t now_ms)
{
    if (!n) return;
    json_write_field_int(json, "now", now_ms);
    json_write_name(json, "cutoffs");
    json_write_object_begin(json);
    for (size_t i = 0; i < n; i++) {
        json_write_name_slice(json, cutoffs[i].field);
        json_write_int(json, cutoffs[i].cutoff);
    }
    json_write_object_end(json);
}
