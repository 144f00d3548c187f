/*
 * table_machine.c: a table's state as the log's machine: what log_machine asks for.
 *
 * A snapshot holds the numbers and maps as they are; reading one checks every record, so that
 * a damaged or hostile snapshot is an error and never a wrong state. Sections or numbers that this
 * program does not know are GLIS_ENEWER: skipping them could lose what a newer one relies on.
 */
#include "table/table_int.h"

static int machine_new(void *context, void **out)
{
    (void)context;
    *out = state_new();
    return 0;
}

static int machine_clone(void *context, const void *state, void **out)
{
    (void)context;
    *out = state_clone(state);
    return 0;
}

static void machine_free(void *context, void *state)
{
    (void)context;
    state_free(state);
}

static int machine_apply(void *context, void *state, const struct log_record_info *info,
                         const struct json *transaction)
{
    (void)context;
    return table_apply(state, info, transaction);
}

static void machine_time_set(void *context, void *state, const struct log_record_info *info)
{
    (void)context;
    state_time_set(state, info->before_ms, info->time_ms);
}

static bool machine_is_ended(void *context, const void *state)
{
    (void)context;
    return ((const struct state *)state)->numbers[NUMBER_DROPPED];
}

static uint64_t machine_bytes(void *context, const void *state)
{
    (void)context;
    const struct state *s = state;
    uint64_t bytes = sizeof(*s);
    for (int i = 0; i < SECTION_COUNT; i++)
        bytes += map_record_bytes(&s->maps[i]);
    return bytes;
}

/* ---- snapshots ---- */

static const char *const number_names[] = {
#define STATE_NUMBER_ENTRY(id, name) name,
    STATE_NUMBERS(STATE_NUMBER_ENTRY)
#undef STATE_NUMBER_ENTRY
};

static int write_all(struct snapshot_writer *writer, const struct state *state)
{
    struct map numbers = {0};
    for (int i = 0; i < NUMBER_COUNT; i++) {
        defer_packer struct packer value = {0};
        pack_number(&value, state->numbers[i]);
        map_put(&numbers, slice_from_text(number_names[i]), packed(&value));
    }
    int code = snapshot_writer_add_map(writer, SECTION_NUMBERS, &numbers);
    map_free(&numbers);
    for (uint32_t s = SECTION_NUMBERS + 1; code == 0 && s < SECTION_COUNT; s++)
        code = snapshot_writer_add_map(writer, s, &state->maps[s]);
    return code == 0 ? snapshot_writer_finish(writer) : code;
}

static int machine_snapshot_write(void *context, const void *state, struct slice log_part,
                                  struct buffer *out)
{
    (void)context;
    struct snapshot_writer *writer = NULL;
    int code = snapshot_writer_open("table", log_part, out, &writer);
    if (code == 0) code = write_all(writer, state);
    snapshot_writer_free(writer);
    return code;
}

struct loading {
    struct state *state;
    struct map_builder builder;
    uint32_t section; /* being built */
};

static void finish_section(struct loading *loading)
{
    map_builder_finish(&loading->builder, &loading->state->maps[loading->section]);
    map_builder_init(&loading->builder);
}

static int load_number(struct state *state, struct slice name, struct slice value)
{
    struct unpacker in = unpack_begin(value);
    uint64_t number = unpack_number(&in);
    if (in.bad || in.at != in.end)
        return error_set(GLIS_ECORRUPT, "number '%.*s' cannot be read", SLICE_PRINT(name));
    for (int i = 0; i < NUMBER_COUNT; i++)
        if (slice_equal_text(name, number_names[i])) {
            state->numbers[i] = number;
            return 0;
        }
    return error_set(GLIS_ENEWER,
                     "the snapshot has a number '%.*s' that this program does not know",
                     SLICE_PRINT(slice_part(name, 0, 64)));
}

static int load_row(void *context, uint32_t section, struct slice key, struct slice value)
{
    struct loading *loading = context;
    if (section >= SECTION_COUNT)
        return error_set(GLIS_ENEWER,
                         "the snapshot has a section %u that this program does not know", section);
    if (section < loading->section) return error_set(GLIS_ECORRUPT, "sections do not ascend");
    if (section != loading->section) {
        finish_section(loading);
        loading->section = section;
    }
    if (section == SECTION_NUMBERS) return load_number(loading->state, key, value);
    return map_builder_add(&loading->builder, key, value);
}

static int load_schemas(struct state *state)
{
    struct map schemas;
    map_clone(&schemas, &state->maps[SECTION_SCHEMAS]);
    uint32_t n = 0;
    int code = 0;
    struct map_cursor cursor;
    for (map_cursor_first(&schemas, &cursor); cursor.valid && code == 0; map_cursor_next(&cursor)) {
        struct schema *schema;
        if (cursor.key.size != 4 ||
            big_endian_get((const uint8_t *)cursor.key.data, 4) != (uint64_t)n + 1)
            code = error_set(GLIS_ECORRUPT, "schema versions have a gap");
        else if (schema_from_json(cursor.value, &schema) < 0)
            code = malformed(GLIS_EDATA);
        else {
            code = state_add_schema(state, schema);
            schema_release(schema);
            n++;
        }
    }
    map_free(&schemas);
    return code;
}

/* Assignments, marks, ages, cut-offs, pins, merged partitions. */
static bool check_loaded_rest(const struct state *state, struct arena *arena)
{
    struct map_cursor c;
    bool good = true;
    for (map_cursor_first(&state->maps[SECTION_ASSIGNMENTS], &c); good && c.valid;
         map_cursor_next(&c)) {
        struct assignment_record record;
        good = assignment_unpack(c.value, &record) && record.n_references > 0 &&
               map_get(&state->maps[SECTION_PARTITIONS], record.partition, NULL);
    }
    for (map_cursor_first(&state->maps[SECTION_MARKED], &c); good && c.valid; map_cursor_next(&c))
        good = map_get(&state->maps[SECTION_FILES], c.key, NULL);
    for (map_cursor_first(&state->maps[SECTION_AGES], &c); good && c.valid; map_cursor_next(&c)) {
        struct file_age *ages;
        size_t n;
        good = ages_unpack(c.value, arena, &ages, &n);
    }
    for (map_cursor_first(&state->maps[SECTION_CUTOFFS], &c); good && c.valid;
         map_cursor_next(&c)) {
        struct unpacker in = unpack_begin(c.value);
        unpack_signed(&in);
        good = !in.bad && in.at == in.end;
    }
    for (map_cursor_first(&state->maps[SECTION_PINS], &c); good && c.valid; map_cursor_next(&c)) {
        struct pin_record pin;
        good = pin_unpack(c.value, &pin);
    }
    for (map_cursor_first(&state->maps[SECTION_ROLES], &c); good && c.valid; map_cursor_next(&c)) {
        struct role_record role;
        good = role_unpack(c.value, &role);
    }
    for (map_cursor_first(&state->maps[SECTION_MERGED], &c); good && c.valid; map_cursor_next(&c)) {
        struct merged_record merged;
        good = merged_unpack(c.value, &merged);
    }
    return good;
}

/* What lookups rely on: every record can be unpacked, every reference and child leads somewhere.
 * The sums are left to table_validate. */
static int check_loaded(const struct state *state)
{
    struct map_cursor c;
    defer_arena struct arena arena = ARENA_EMPTY;
    uint32_t n = state_schema(state)->n_row_keys;
    bool good = map_get(&state->maps[SECTION_PARTITIONS], SLICE("root"), NULL);
    for (map_cursor_first(&state->maps[SECTION_FILES], &c); good && c.valid; map_cursor_next(&c)) {
        struct file_record file;
        struct slice name;
        struct file_bound *bounds;
        good = file_unpack(c.value, &file) && bounds_unpack(file.bounds, n, &arena, &bounds) &&
               (c.key.data[0] == 0 ? c.key.size == 23 : file_key_name(c.key, &arena, &name));
        if (arena.total_bytes > 1 << 20) arena_free(&arena);
    }
    for (map_cursor_first(&state->maps[SECTION_REFERENCES], &c); good && c.valid;
         map_cursor_next(&c)) {
        struct slice partition, file;
        struct reference_record reference;
        good =
            reference_key_unpack(c.key, &partition, &file) && reference_unpack(c.value, &reference);
    }
    for (map_cursor_first(&state->maps[SECTION_JOBS], &c); good && c.valid; map_cursor_next(&c)) {
        struct job_record job;
        good = job_unpack(c.value, &job);
    }
    for (map_cursor_first(&state->maps[SECTION_JOB_TIMES], &c); good && c.valid;
         map_cursor_next(&c))
        good = c.key.size > 8;
    for (map_cursor_first(&state->maps[SECTION_WRITERS], &c); good && c.valid;
         map_cursor_next(&c)) {
        struct writer_record writer;
        good = writer_unpack(c.value, &writer);
    }
    good = good && check_loaded_rest(state, &arena);
    for (map_cursor_first(&state->maps[SECTION_PROPERTIES], &c); good && c.valid;
         map_cursor_next(&c))
        if (property_find(c.key) == PROPERTY_NONE)
            return error_set(GLIS_ENEWER, "a property '%.*s', which this program does not know",
                             SLICE_PRINT(slice_part(c.key, 0, 100)));
        else
            good = table_setting_check(c.key, c.value, true) == 0;
    if (!good) return error_set(GLIS_ECORRUPT, "a record of the snapshot cannot be read");
    return 0;
}

static int check_loaded_tree(const struct state *state);

static int machine_snapshot_read(void *context, struct block *block, struct slice bytes,
                                 struct arena *arena, struct slice *log_part, void **out)
{
    (void)context;
    struct loading loading = {.state = state_new()};
    map_builder_init(&loading.builder);
    int code = snapshot_each("table", block, bytes, arena, log_part, load_row, &loading);
    if (code == 0) finish_section(&loading);
    map_builder_abort(&loading.builder);
    if (code == 0) code = load_schemas(loading.state);
    if (code == 0 && loading.state->numbers[NUMBER_CREATED]) {
        if (!loading.state->schemas) code = error_set(GLIS_ECORRUPT, "the snapshot has no schema");
        if (code == 0) code = check_loaded(loading.state);
        if (code == 0) code = check_loaded_tree(loading.state);
    }
    if (code == 0)
        *out = loading.state;
    else
        state_free(loading.state);
    return code;
}

/* Walks of the tree end, and children are there: the tree is small beside files and references. */
static int check_loaded_tree(const struct state *state)
{
    uint64_t n_nodes = 0, n_leaves = 0, n_references = 0;
    struct map_cursor c;
    map_cursor_first(&state->maps[SECTION_PARTITIONS], &c);
    for (; c.valid; map_cursor_next(&c), n_nodes++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct partition_record node, child;
        struct key_range *region;
        bool good = partition_unpack(c.value, &node) &&
                    region_unpack(node.region, state_schema(state)->n_row_keys, &arena, &region);
        if (good && slice_equal_text(c.key, "root")) good = node.depth == 0;
        n_leaves += good && node.is_leaf;
        n_references += node.n_references;
        for (int side = 0; good && !node.is_leaf && side < 2; side++) {
            struct slice value;
            good =
                node.dimension < state_schema(state)->n_row_keys &&
                map_get(&state->maps[SECTION_PARTITIONS], side ? node.right : node.left, &value) &&
                partition_unpack(value, &child) && child.depth == node.depth + 1 &&
                slice_equal(child.parent, c.key);
        }
        if (!good)
            return error_set(GLIS_ECORRUPT, "partition '%.*s' of the snapshot cannot be read",
                             SLICE_PRINT(slice_part(c.key, 0, 64)));
    }
    if (n_leaves != state->numbers[NUMBER_LEAVES] || n_nodes != 2 * n_leaves - 1 ||
        n_references != map_count(&state->maps[SECTION_REFERENCES]))
        return error_set(GLIS_ECORRUPT, "the snapshot's tree is damaged");
    return 0;
}

const struct log_machine table_machine = {
    .kind = "table",
    .state_new = machine_new,
    .state_clone = machine_clone,
    .state_free = machine_free,
    .apply = machine_apply,
    .time_set = machine_time_set,
    .is_ended = machine_is_ended,
    .state_bytes = machine_bytes,
    .snapshot_write = machine_snapshot_write,
    .snapshot_read = machine_snapshot_read,
};
