/*
 * table_transaction.c: the transactions of a table: one table of types, and those that make a
 * table, change its definition and empty it.
 *
 * Every apply checks all of its conditions before it changes anything, so a refusal leaves the
 * state as it was. Each condition is false for ever once its transaction has been applied:
 * create_table wants a log without one, alter the version that it saw, reset the generation that
 * it saw.
 */
#include "table/table_int.h"

#include "base/hash.h"
#include "base/text.h"

static const struct transaction_type types[] = {
    {"create_table", apply_create_table, true},
    {"alter", apply_alter, false},
    {"change_files", apply_change_files, false},
    {"assign_job", apply_assign_job, false},
    {"release_job", apply_release_job, false},
    {"split_partition", apply_split_partition, false},
    {"extend_tree", apply_extend_tree, false},
    {"merge_partitions", apply_merge_partitions, false},
    {"pin", apply_pin, false},
    {"unpin", apply_unpin, false},
    {"mark_files", apply_mark_files, false},
    {"forget_files", apply_forget_files, false},
    {"raise_horizon", apply_raise_horizon, false},
    {"raise_trim_line", apply_raise_trim_line, false},
    {"take_role", apply_take_role, false},
    {"restore", apply_restore, false},
    {"reset", apply_reset, false},
    {"forget_writer", apply_forget_writer, false},
    {"drop", apply_drop_table, true},
};

int malformed(int code)
{
    if (code != GLIS_ECORRUPT && code != GLIS_EDATA && code != GLIS_ELIMIT) return code;
    struct error_detail detail;
    error_save(&detail);
    detail.code = GLIS_EINVALID;
    return error_load(&detail);
}

int table_apply(struct state *state, const struct log_record_info *info,
                const struct json *transaction)
{
    struct slice name;
    int code = json_get_string(transaction, "type", &name);
    if (code < 0) return malformed(code);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const struct transaction_type *type = &types[i];
        if (!slice_equal_text(name, type->name)) continue;
        if (state->numbers[NUMBER_DROPPED])
            return error_set(GLIS_EREFUSED, "the table was dropped");
        if (!type->begins && !state->numbers[NUMBER_CREATED])
            return error_set(GLIS_EREFUSED, "there is no table here yet");
        if (info->has_body && info->body_begun < state->numbers[NUMBER_HORIZON])
            return error_set(GLIS_EREFUSED,
                             "the transaction's body was begun below the horizon, "
                             "record %llu",
                             (unsigned long long)state->numbers[NUMBER_HORIZON]);
        code = role_check(state, transaction);
        if (code < 0) return malformed(code);
        defer_arena struct arena arena = ARENA_EMPTY;
        code = type->apply(state, info, transaction, &arena);
        if (code < 0) error_context("%s", type->name);
        return malformed(code);
    }
    return error_set(GLIS_ENEWER, "a transaction of type '%.*s', which this program does not know",
                     SLICE_PRINT(name));
}

/* ---- time set anew ---- */

/* Jobs as if they were done now. */
static void renew_jobs(struct state *state, int64_t time_ms)
{
    struct map_builder jobs;
    map_builder_init(&jobs);
    map_free(&state->maps[SECTION_JOB_TIMES]);
    struct map_cursor cursor;
    map_cursor_first(&state->maps[SECTION_JOBS], &cursor);
    for (; cursor.valid; map_cursor_next(&cursor)) {
        struct job_record job;
        bool good = job_unpack(cursor.value, &job);
        ASSERT(good);
        job.time_ms = time_ms;
        defer_packer struct packer value = {0}, key = {0};
        job_pack(&value, &job);
        int code = map_builder_add(&jobs, cursor.key, packed(&value));
        ASSERT(code == 0);
        if (!job.is_given) continue;
        uint8_t time[8];
        big_endian_put(time, (uint64_t)time_ms, 8);
        pack_bytes(&key, slice_make(time, 8));
        pack_bytes(&key, cursor.key);
        map_put(&state->maps[SECTION_JOB_TIMES], packed(&key), SLICE_EMPTY);
    }
    map_free(&state->maps[SECTION_JOBS]);
    map_builder_finish(&jobs, &state->maps[SECTION_JOBS]);
}

/* Assignments of a time yet to come would live until then: they run out, so that others may take
 * the files; whoever still works extends his, or commits as long as nobody did. */
static void end_assignments(struct state *state, int64_t time_ms)
{
    struct map assignments;
    struct map_cursor cursor;
    map_clone(&assignments, &state->maps[SECTION_ASSIGNMENTS]);
    for (map_cursor_first(&assignments, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        struct assignment_record assignment;
        bool good = assignment_unpack(cursor.value, &assignment);
        ASSERT(good);
        if (assignment.until_ms <= time_ms) continue;
        assignment.until_ms = time_ms;
        defer_packer struct packer value = {0};
        assignment_pack(&value, &assignment);
        map_put(&state->maps[SECTION_ASSIGNMENTS], cursor.key, packed(&value));
    }
    map_free(&assignments);
}

/* Pins that had run out kept nothing since: where it is gone, setting time back must not promise it
 * again. Where it is all there they live until their time, as if they were set anew. */
static void end_broken_pins(struct state *state, int64_t before_ms)
{
    struct map pins;
    struct map_cursor cursor;
    map_clone(&pins, &state->maps[SECTION_PINS]);
    for (map_cursor_first(&pins, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        struct pin_record pin;
        bool good = pin_unpack(cursor.value, &pin);
        ASSERT(good);
        if (pin_lives(&pin, before_ms) || pin_check(state, &pin) == 0) continue;
        error_clear();
        map_remove(&state->maps[SECTION_PINS], cursor.key);
    }
    map_free(&pins);
}

void state_time_set(struct state *state, int64_t before_ms, int64_t time_ms)
{
    struct map files;
    struct map_cursor cursor;
    map_clone(&files, &state->maps[SECTION_FILES]);
    for (map_cursor_first(&files, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        struct file_record file;
        bool good = file_unpack(cursor.value, &file);
        ASSERT(good);
        if (file.n_references || GLIS_MUTANT(delays_begin_again)) continue;
        file.gone_ms = time_ms;
        defer_packer struct packer value = {0};
        file_pack(&value, &file);
        map_put(&state->maps[SECTION_FILES], cursor.key, packed(&value));
    }
    map_free(&files);
    renew_jobs(state, time_ms);
    end_assignments(state, time_ms);
    end_broken_pins(state, before_ms);
}

/* ---- fields ---- */

int json_get_base64(const struct json *object, const char *name, struct arena *arena,
                    struct slice *out)
{
    struct slice text;
    TRY(json_get_string(object, name, &text));
    struct buffer bytes = BUFFER_INIT(text.size + 4);
    int code = text_base64_decode(&bytes, text);
    if (code == 0) *out = arena_copy(arena, buffer_slice(&bytes));
    buffer_free(&bytes);
    TRY_CONTEXT(code, "'%s'", name);
    return 0;
}

void json_write_base64(struct json_writer *json, const char *name, struct slice bytes)
{
    struct buffer text = BUFFER_INIT(bytes.size * 2 + 8);
    int code = text_base64_encode(&text, bytes);
    ASSERT(code == 0); /* the maximum is large enough and there is no budget */
    json_write_field_string(json, name, buffer_slice(&text));
    buffer_free(&text);
}

int json_get_u64(const struct json *object, const char *name, uint64_t *out)
{
    int64_t number;
    TRY(json_get_int(object, name, 0, INT64_MAX, &number));
    *out = (uint64_t)number;
    return 0;
}

int job_id_check(const char *what, struct slice id)
{
    bool good = id.size > 0 && id.size <= JOB_ID_MAX;
    for (size_t i = 0; good && i < id.size; i++) {
        char c = id.data[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '.' || c == '-' || c == '_' || c == ':';
    }
    if (!good)
        return error_set(GLIS_EINVALID, "a %s is 1 to %d of A-Z a-z 0-9 . _ : -, not '%.*s'", what,
                         JOB_ID_MAX, SLICE_PRINT(slice_part(id, 0, 80)));
    return 0;
}

/* The schema that a field of the transaction holds; the caller releases it. */
static int read_schema(const struct json *json, struct schema **out)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_value(&writer, json);
    int code = json_writer_finish(&writer);
    if (code == 0) code = schema_from_json(buffer_slice(&text), out);
    buffer_free(&text);
    TRY(code);
    code = schema_validate_table(*out);
    if (code < 0) schema_release(*out);
    return code;
}

/* Checks "properties": names known, values good. A null value goes back to the default. */
static int check_properties(const struct json *properties, bool creating)
{
    for (size_t i = 0; properties && i < properties->n_items; i++) {
        const struct json *item = &properties->items[i];
        struct slice value = SLICE_EMPTY;
        if (property_find(item->name) == PROPERTY_NONE)
            return error_set(GLIS_ENEWER, "a property '%.*s', which this program does not know",
                             SLICE_PRINT(item->name));
        if (item->type == JSON_TYPE_NULL && !creating) {
            const struct property_definition *definition =
                property_definition(property_find(item->name));
            value = slice_from_text(definition->default_text);
        } else {
            TRY(json_as_string(item, &value));
        }
        TRY(table_setting_check(item->name, value, creating));
    }
    return 0;
}

static void set_properties(struct state *state, const struct json *properties)
{
    struct map *map = &state->maps[SECTION_PROPERTIES];
    for (size_t i = 0; properties && i < properties->n_items; i++) {
        const struct json *item = &properties->items[i];
        if (item->type == JSON_TYPE_NULL)
            map_remove(map, item->name);
        else
            map_put(map, item->name, item->text);
    }
}

/* ---- processing ---- */

/* A property as it will be. */
static struct slice text_after(const struct state *state, const struct json *changes,
                               enum property_id id)
{
    const struct property_definition *definition = property_definition(id);
    struct slice text = slice_from_text(definition->default_text);
    const struct json *change = changes ? json_find(changes, definition->name) : NULL;
    if (!change)
        map_get(&state->maps[SECTION_PROPERTIES], slice_from_text(definition->name), &text);
    else if (change->type != JSON_TYPE_NULL)
        text = change->text;
    return text;
}

int state_processing(const struct state *state, const struct schema *schema,
                     const struct json *changes, struct arena *arena, struct processing *out)
{
    bool inexact;
    TRY(text_parse_bool(text_after(state, changes, PROPERTY_TABLE_INEXACT), &inexact));
    struct processing_settings settings = {
        .filters = text_after(state, changes, PROPERTY_TABLE_FILTERS),
        .aggregations = text_after(state, changes, PROPERTY_TABLE_AGGREGATIONS),
        .visibility_field = text_after(state, changes, PROPERTY_TABLE_VISIBILITY_FIELD),
        .iterator = text_after(state, changes, PROPERTY_TABLE_ITERATOR),
        .iterator_config = text_after(state, changes, PROPERTY_TABLE_ITERATOR_CONFIG),
        .inexact = inexact,
    };
    return processing_parse(schema, &settings, arena, out);
}

/* Checks what an alter makes of the processing; *goes_up: it is another one. */
static int check_processing_change(const struct state *state, const struct schema *schema,
                                   const struct json *changes, struct arena *arena, bool *goes_up)
{
    struct processing old, now;
    TRY(state_processing(state, state_schema(state), NULL, arena, &old));
    TRY(state_processing(state, schema, changes, arena, &now));
    return processing_check_change(&(struct processing_of){state_schema(state), &old},
                                   &(struct processing_of){schema, &now},
                                   map_count(&state->maps[SECTION_REFERENCES]) > 0, goes_up);
}

/* ---- create_table ---- */

int apply_create_table(struct state *state, const struct log_record_info *info,
                       const struct json *transaction, struct arena *arena)
{
    if (state->numbers[NUMBER_CREATED] || info->record > 1)
        return error_set(GLIS_EREFUSED, "the table's log is not empty");
    const struct json *schema_json, *properties = NULL, *partitions;
    struct slice definition;
    TRY(json_get_object(transaction, "schema", &schema_json));
    TRY(json_optional_object(transaction, "properties", &properties));
    TRY(json_get_array(transaction, "partitions", &partitions));
    TRY(json_get_string(transaction, "definition", &definition));
    struct buffer hash = BUFFER_INIT(16);
    int code = text_hex_decode(&hash, definition);
    uint64_t number = 0;
    if (code == 0 && hash.size == 8) number = big_endian_get(hash.data, 8);
    bool good = code == 0 && hash.size == 8;
    buffer_free(&hash);
    if (!good) return error_set(GLIS_EINVALID, "'definition' is no hash");
    TRY(check_properties(properties, true));
    struct schema *schema;
    TRY(read_schema(schema_json, &schema));
    struct map tree;
    uint64_t n_leaves;
    struct processing processing;
    code = state_processing(state, schema, properties, arena, &processing);
    if (code == 0) code = tree_read(partitions, schema, &tree, &n_leaves);
    if (code == 0) {
        code = state_add_schema(state, schema);
        if (code < 0) map_free(&tree);
    }
    schema_release(schema);
    TRY(code);
    set_properties(state, properties);
    state->maps[SECTION_PARTITIONS] = tree;
    state->numbers[NUMBER_CREATED] = 1;
    state->numbers[NUMBER_DEFINITION] = number;
    state->numbers[NUMBER_VERSION] = 1;
    state->numbers[NUMBER_LEAVES] = n_leaves;
    return 0;
}

int write_create_table(struct buffer *out, const struct table_definition *definition,
                       uint64_t *definition_hash)
{
    struct buffer schema = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    int code = schema_to_json(definition->schema, &schema);
    struct json_writer json;
    size_t begin = out->size;
    if (code == 0) {
        json_writer_init(&json, out, 0);
        json_write_object_begin(&json);
        json_write_field_text(&json, "type", "create_table");
        json_write_name(&json, "schema");
        json_write_raw(&json, buffer_slice(&schema));
        json_write_name(&json, "properties");
        json_write_object_begin(&json);
        for (size_t i = 0; i < definition->n_settings; i++) {
            const struct setting *setting = &definition->settings[i];
            enum property_id id = property_find(setting->name);
            if (id == PROPERTY_NONE || !property_definition(id)->editable) continue;
            json_write_name_slice(&json, setting->name);
            json_write_string(&json, setting->value);
        }
        json_write_object_end(&json);
        json_write_name(&json, "partitions");
        code =
            tree_write_split_points(&json, 0, definition->split_points, definition->n_split_points);
    }
    buffer_free(&schema);
    TRY(code);
    if (json.code == 0) {
        *definition_hash = hash_xxh3_64(out->data + begin, out->size - begin);
        char hex[HASH64_HEX_BYTES + 1];
        hash_hex64(*definition_hash, hex);
        json_write_field_text(&json, "definition", hex);
    }
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

/* ---- alter ---- */

int apply_alter(struct state *state, const struct log_record_info *info,
                const struct json *transaction, struct arena *arena)
{
    (void)info;
    uint64_t version;
    const struct json *properties = NULL, *schema_json = NULL;
    TRY(json_get_u64(transaction, "version", &version));
    TRY(json_optional_object(transaction, "properties", &properties));
    TRY(json_optional_object(transaction, "schema", &schema_json));
    if (version != state->numbers[NUMBER_VERSION] && !GLIS_MUTANT(alter_of_a_version))
        return error_set(GLIS_EREFUSED, "the table's definition is at version %llu, not %llu",
                         (unsigned long long)state->numbers[NUMBER_VERSION],
                         (unsigned long long)version);
    TRY(check_properties(properties, false));
    struct schema *schema;
    bool changes_processing = false;
    if (schema_json)
        TRY(read_schema(schema_json, &schema));
    else
        schema = schema_acquire(state_schema(state));
    int code = schema_check_evolution(state_schema(state), schema);
    if (code == 0)
        code = check_processing_change(state, schema, properties, arena, &changes_processing);
    if (code == 0 && !schema_equal(state_schema(state), schema))
        code = state_add_schema(state, schema);
    schema_release(schema);
    TRY(code);
    set_properties(state, properties);
    state->numbers[NUMBER_VERSION]++;
    state->numbers[NUMBER_PROCESSING] += changes_processing;
    return 0;
}

int write_alter(struct buffer *out, uint64_t version, const struct setting *settings,
                size_t n_settings, const struct schema *schema)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "alter");
    json_write_field_uint(&json, "version", version);
    if (n_settings) {
        json_write_name(&json, "properties");
        json_write_object_begin(&json);
        for (size_t i = 0; i < n_settings; i++) {
            json_write_name_slice(&json, settings[i].name);
            if (settings[i].value.size)
                json_write_string(&json, settings[i].value);
            else
                json_write_null(&json);
        }
        json_write_object_end(&json);
    }
    if (schema) {
        struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
        int code = schema_to_json(schema, &text);
        if (code == 0) {
            json_write_name(&json, "schema");
            json_write_raw(&json, buffer_slice(&text));
        }
        buffer_free(&text);
        TRY(code);
    }
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

/* ---- reset ---- */

int apply_reset(struct state *state, const struct log_record_info *info,
                const struct json *transaction, struct arena *arena)
{
    (void)arena;
    uint64_t generation, n_leaves = state->numbers[NUMBER_LEAVES];
    const struct json *partitions = NULL;
    TRY(json_get_u64(transaction, "generation", &generation));
    TRY(json_optional_array(transaction, "partitions", &partitions));
    if (generation != state->numbers[NUMBER_GENERATION] && !GLIS_MUTANT(reset_of_generation))
        return error_set(GLIS_EREFUSED, "the table is at generation %llu, not %llu",
                         (unsigned long long)state->numbers[NUMBER_GENERATION],
                         (unsigned long long)generation);
    struct map tree = {0};
    if (partitions) TRY(tree_read(partitions, state_schema(state), &tree, &n_leaves));
    references_clear(state, info);
    if (partitions) {
        map_free(&state->maps[SECTION_PARTITIONS]);
        map_free(&state->maps[SECTION_MERGED]);
        state->maps[SECTION_PARTITIONS] = tree;
    }
    map_free(&state->maps[SECTION_JOBS]);
    map_free(&state->maps[SECTION_JOB_TIMES]);
    map_free(&state->maps[SECTION_WRITERS]);
    state->numbers[NUMBER_GENERATION]++;
    state->numbers[NUMBER_LEAVES] = n_leaves;
    state->numbers[NUMBER_GIVEN_JOBS] = 0;
    return 0;
}

int write_reset(struct buffer *out, uint64_t generation, const struct slice *split_points,
                size_t n_split_points, bool keep_tree)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "reset");
    json_write_field_uint(&json, "generation", generation);
    if (!keep_tree) {
        json_write_name(&json, "partitions");
        TRY(tree_write_split_points(&json, generation + 1, split_points, n_split_points));
    }
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

/* ---- forget_writer ---- */

int apply_forget_writer(struct state *state, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena)
{
    (void)info;
    (void)arena;
    struct slice writer, value;
    uint64_t sequence;
    TRY(json_get_string(transaction, "writer", &writer));
    TRY(json_get_u64(transaction, "sequence", &sequence));
    struct writer_record record;
    if (!map_get(&state->maps[SECTION_WRITERS], writer, &value))
        return error_set(GLIS_EREFUSED, "there is no writer '%.*s'", SLICE_PRINT(writer));
    bool good = writer_unpack(value, &record);
    ASSERT(good);
    if (record.sequence != sequence)
        return error_set(GLIS_EREFUSED, "writer '%.*s' is at %llu, not %llu", SLICE_PRINT(writer),
                         (unsigned long long)record.sequence, (unsigned long long)sequence);
    map_remove(&state->maps[SECTION_WRITERS], writer);
    return 0;
}

/* ---- drop ---- */

/* The end of the log: also of one that no table was ever created in, so that none ever is. */
int apply_drop_table(struct state *state, const struct log_record_info *info,
                     const struct json *transaction, struct arena *arena)
{
    (void)info;
    (void)transaction;
    (void)arena;
    state->numbers[NUMBER_DROPPED] = 1;
    return 0;
}
