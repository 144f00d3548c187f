/*
 * instance.c: an instance: its catalogue's log, and what is done to it.
 *
 * An instance is recognised by its catalogue: the first alter_instance makes it. Changes are
 * decided on the catalogue's present state and committed with the version they saw; when another
 * process was faster, the refusal is met by looking again, a few times.
 *
 * Creating a table takes three commits: the name reserved in the catalogue, the table's own log
 * begun, `live` in the catalogue. A process that dies between leaves a table `creating`; the next
 * create of that name goes on where it stopped when the definition is the same, and otherwise
 * drops the remains and begins again.
 */
#include "table/instance_int.h"

#include "base/text.h"

#include <stdlib.h>

enum { CHANGE_ATTEMPTS = 8, TRANSACTION_BYTES_MAX = 64 << 20 };

/* ---- opening ---- */

struct log_options instance_log_options(const struct instance *instance)
{
    return (struct log_options){
        .record_max_bytes = (uint64_t)instance->numbers[PROPERTY_LOG_RECORD_MAX],
        .block_slots = instance->overrides ? instance->overrides->log_block_slots : 0,
        .snapshot_at_close = !(instance->flags & (INSTANCE_READ_ONLY | INSTANCE_NO_SNAPSHOTS)),
        .read_only = instance->flags & INSTANCE_READ_ONLY,
        .asked_at_once = instance->flags & INSTANCE_ASKED_AT_ONCE,
        .snapshot_by_hand = instance->flags & (INSTANCE_READ_ONLY | INSTANCE_NO_SNAPSHOTS),
    };
}

static const struct catalogue *catalogue_of(const struct log_state *state)
{
    return state->state;
}

bool instance_base_text(const struct instance *instance, enum property_id id, struct slice *out)
{
    if (!instance->base[id].data) return false;
    *out = instance->base[id];
    return true;
}

/* Reads every property once: what a process works with stays the same while it runs. */
static int resolve_all(struct instance *instance)
{
    const struct log_state *state = log_state_acquire(instance->log);
    const struct map *settings = &catalogue_of(state)->maps[CATALOGUE_SETTINGS];
    for (int i = 0; i < PROPERTY_COUNT; i++) {
        struct slice text;
        const char *name = property_definition((enum property_id)i)->name;
        if (map_get(settings, slice_from_text(name), &text))
            instance->base[i] = slice_make(arena_copy_text(&instance->arena, text), text.size);
    }
    log_state_release(state);
    for (int i = 0; i < PROPERTY_COUNT; i++)
        if (property_definition((enum property_id)i)->group != PROPERTY_OF_TABLE)
            TRY(property_resolve(instance->overrides, instance, (enum property_id)i,
                                 &instance->texts[i], &instance->numbers[i]));
    return 0;
}

/* The catalogue as it most likely is: what is read of a table's log now is read in any case. */
static void begin_wanted(void *context, const void *state)
{
    struct instance *instance = context;
    const struct catalogue *catalogue = state;
    struct slice id;
    if (!instance->wanted.size || instance->ahead ||
        !map_get(&catalogue->maps[CATALOGUE_NAMES], instance->wanted, &id))
        return;
    instance->ahead_id = arena_copy(&instance->arena, id);
    instance->ahead = log_ahead_begin(
        instance->runtime, instance->store,
        slice_from_text(arena_printf(&instance->arena, "tables/%.*s/", SLICE_PRINT(id))));
}

struct log_ahead *instance_ahead_take(struct instance *instance, struct slice id)
{
    struct log_ahead *ahead = instance->ahead;
    if (!ahead || !slice_equal(id, instance->ahead_id)) return NULL;
    instance->ahead = NULL;
    return ahead;
}

static int open_catalogue(struct instance *instance)
{
    struct log_options options = {
        .block_slots = instance->overrides ? instance->overrides->log_block_slots : 0,
        .snapshot_at_close = !(instance->flags & (INSTANCE_READ_ONLY | INSTANCE_NO_SNAPSHOTS)),
        .read_only = instance->flags & INSTANCE_READ_ONLY,
        .asked_at_once = instance->flags & INSTANCE_ASKED_AT_ONCE,
        .snapshot_by_hand = instance->flags & (INSTANCE_READ_ONLY | INSTANCE_NO_SNAPSHOTS),
        .before_look = begin_wanted,
        .before_look_context = instance,
    };
    TRY_CONTEXT(log_open(instance->runtime, instance->store, SLICE("catalogue/"),
                         &catalogue_machine, &options, &instance->log),
                "the catalogue of %s", instance->store->description);
    return 0;
}

static struct instance *instance_new(struct runtime *runtime, struct store *store, unsigned flags)
{
    struct instance *instance = memory_alloc_zero(sizeof(*instance));
    instance->runtime = runtime;
    instance->store = store;
    instance->flags = flags;
    arena_init(&instance->arena, NULL);
    return instance;
}

static bool catalogue_exists(struct instance *instance)
{
    const struct log_state *state = log_state_acquire(instance->log);
    bool exists = catalogue_of(state)->version > 0;
    log_state_release(state);
    return exists;
}

int instance_open(struct runtime *runtime, struct store *store, unsigned flags,
                  const struct property_overrides *overrides, struct instance **out)
{
    return instance_open_for(runtime, store, flags, overrides, SLICE_EMPTY, out);
}

int instance_open_for(struct runtime *runtime, struct store *store, unsigned flags,
                      const struct property_overrides *overrides, struct slice table,
                      struct instance **out)
{
    TRY(property_overrides_check(overrides));
    struct instance *instance = instance_new(runtime, store, flags);
    instance->overrides = overrides;
    instance->wanted = arena_copy(&instance->arena, table);
    int code = open_catalogue(instance);
    if (code == 0 && !catalogue_exists(instance))
        code = error_set(GLIS_ENOTFOUND, "%s holds no Glis instance; `glis init` begins one",
                         store->description);
    if (code == 0) code = resolve_all(instance);
    if (code == 0) code = instance_cache_start(instance);
    if (code == 0)
        *out = instance;
    else
        instance_close(instance);
    return code;
}

void instance_close(struct instance *instance)
{
    if (!instance) return;
    log_ahead_drop(instance->ahead);
    log_close(instance->log);
    arena_free(&instance->arena);
    free(instance);
}

struct store *instance_store(const struct instance *instance)
{
    return instance->store;
}

struct runtime *instance_runtime(const struct instance *instance)
{
    return instance->runtime;
}

int64_t instance_number(const struct instance *instance, enum property_id id)
{
    ASSERT(id >= 0 && id < PROPERTY_COUNT);
    return instance->numbers[id];
}

struct slice instance_text(const struct instance *instance, enum property_id id)
{
    ASSERT(id >= 0 && id < PROPERTY_COUNT);
    return instance->texts[id];
}

int instance_refresh(struct instance *instance)
{
    return log_catch_up(instance->log, 0);
}

/* ---- settings ---- */

static int write_alter_instance(struct buffer *out, uint64_t version,
                                const struct setting *settings, size_t n_settings)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "alter_instance");
    json_write_field_uint(&json, "version", version);
    json_write_name(&json, "settings");
    json_write_object_begin(&json);
    for (size_t i = 0; i < n_settings; i++) {
        json_write_name_slice(&json, settings[i].name);
        if (settings[i].value.size)
            json_write_string(&json, settings[i].value);
        else
            json_write_null(&json);
    }
    json_write_object_end(&json);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

static int commit_text(struct instance *instance, const struct buffer *text)
{
    struct slice transaction = buffer_slice(text);
    struct log_answer answer;
    return log_commit(instance->log, &transaction, 1, 0, &answer);
}

static int commit_settings(struct instance *instance, uint64_t version,
                           const struct setting *settings, size_t n_settings)
{
    struct buffer text = BUFFER_INIT(TRANSACTION_BYTES_MAX);
    int code = write_alter_instance(&text, version, settings, n_settings);
    if (code == 0) code = commit_text(instance, &text);
    buffer_free(&text);
    return code;
}

/* Tables without a catalogue are what is left of an instance; a new one would hide that. */
static int refuse_orphans(struct store *store)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list found;
    TRY(store_list(store, SLICE("tables/"), SLICE_EMPTY, 1, &arena, &found));
    if (found.n_objects == 0) return 0;
    return error_set(GLIS_EEXISTS,
                     "%s holds tables of an instance whose catalogue is gone; bring the objects "
                     "below catalogue/ back from a backup, or choose another place",
                     store->description);
}

int instance_init(struct runtime *runtime, struct store *store, const struct setting *settings,
                  size_t n_settings)
{
    for (size_t i = 0; i < n_settings; i++)
        if (settings[i].value.size)
            TRY(instance_setting_check(settings[i].name, settings[i].value));
    struct instance *instance = instance_new(runtime, store, 0);
    int code = open_catalogue(instance);
    bool exists = code == 0 && catalogue_exists(instance);
    if (code == 0 && !exists) code = refuse_orphans(store);
    if (code == 0 && !exists) {
        code = commit_settings(instance, 0, settings, n_settings);
        exists = code == GLIS_EREFUSED && catalogue_exists(instance);
    }
    if (exists)
        code = error_set(GLIS_EEXISTS, "%s holds a Glis instance already", store->description);
    instance_close(instance);
    return code;
}

int instance_alter(struct instance *instance, const struct setting *settings, size_t n_settings)
{
    for (size_t i = 0; i < n_settings; i++) {
        struct slice value = settings[i].value;
        enum property_id id = property_find(settings[i].name);
        if (!value.size && id != PROPERTY_NONE &&
            property_definition(id)->group != PROPERTY_OF_TABLE)
            continue;
        if (!value.size &&
            slice_starts_with(settings[i].name, SLICE(PROPERTY_TABLE_DEFAULT_PREFIX)))
            continue;
        TRY(instance_setting_check(settings[i].name, value));
    }
    int code = 0;
    for (int attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
        TRY(instance_refresh(instance));
        const struct log_state *state = log_state_acquire(instance->log);
        uint64_t version = catalogue_of(state)->version;
        log_state_release(state);
        code = commit_settings(instance, version, settings, n_settings);
        if (code != GLIS_EREFUSED) break;
    }
    return code;
}

int instance_settings(struct instance *instance, struct arena *arena, struct setting **out,
                      size_t *n_out)
{
    TRY(instance_refresh(instance));
    const struct log_state *state = log_state_acquire(instance->log);
    const struct map *map = &catalogue_of(state)->maps[CATALOGUE_SETTINGS];
    *out = ARENA_ARRAY(arena, struct setting, map_count(map));
    *n_out = 0;
    struct map_cursor c;
    for (map_cursor_first(map, &c); c.valid; map_cursor_next(&c))
        (*out)[(*n_out)++] = (struct setting){arena_copy(arena, c.key), arena_copy(arena, c.value)};
    log_state_release(state);
    return 0;
}

/* ---- finding tables ---- */

int table_name_check(struct slice name)
{
    bool good = name.size >= 1 && name.size <= 128;
    for (size_t i = 0; good && i < name.size; i++) {
        char c = name.data[i];
        bool word =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        good = word || (i > 0 && (c == '-' || c == '.'));
    }
    if (!good)
        return error_set(GLIS_EINVALID,
                         "'%.*s' is no table name: 1 to 128 letters, digits, '_', '-' and '.', "
                         "not beginning with '-' or '.'",
                         SLICE_PRINT(slice_part(name, 0, 140)));
    return 0;
}

int instance_tables(struct instance *instance, bool dropped_too, struct arena *arena,
                    struct table_entry **out, size_t *n_out)
{
    TRY(instance_refresh(instance));
    const struct log_state *state = log_state_acquire(instance->log);
    const struct catalogue *catalogue = catalogue_of(state);
    *out = ARENA_ARRAY(arena, struct table_entry, map_count(&catalogue->maps[CATALOGUE_TABLES]));
    *n_out = 0;
    struct catalogue_table table;
    struct map_cursor c;
    map_cursor_first(&catalogue->maps[CATALOGUE_NAMES], &c);
    for (; c.valid; map_cursor_next(&c)) {
        bool known = catalogue_get(catalogue, c.value, &table);
        ASSERT(known);
        (*out)[(*n_out)++] =
            (struct table_entry){arena_copy(arena, c.key), arena_copy(arena, c.value), table.life,
                                 table.online, table.since_ms};
    }
    map_cursor_first(&catalogue->maps[CATALOGUE_TABLES], &c);
    for (; dropped_too && c.valid; map_cursor_next(&c)) {
        bool known = catalogue_get(catalogue, c.key, &table);
        ASSERT(known);
        if (table.life >= TABLE_DROPPING)
            (*out)[(*n_out)++] =
                (struct table_entry){arena_copy(arena, table.name), arena_copy(arena, c.key),
                                     table.life, table.online, table.since_ms};
    }
    log_state_release(state);
    return 0;
}

/* GLIS_ENOTFOUND with the nearest name. */
static int no_such_table(const struct catalogue *catalogue, struct slice name)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct map *names = &catalogue->maps[CATALOGUE_NAMES];
    const char **list = ARENA_ARRAY(&arena, const char *, map_count(names));
    size_t n = 0;
    struct map_cursor c;
    for (map_cursor_first(names, &c); c.valid; map_cursor_next(&c))
        list[n++] = arena_copy_text(&arena, c.key);
    name = slice_part(name, 0, 140);
    const char *close = text_closest(name, list, n);
    if (close)
        return error_set(GLIS_ENOTFOUND, "there is no table '%.*s'; did you mean '%s'?",
                         SLICE_PRINT(name), close);
    return error_set(GLIS_ENOTFOUND, "there is no table '%.*s'", SLICE_PRINT(name));
}

/* A table by name, in the present catalogue; texts in the arena. */
static int find_table(struct instance *instance, struct slice name, struct arena *arena,
                      struct slice *id, struct catalogue_table *table)
{
    const struct log_state *state = log_state_acquire(instance->log);
    const struct catalogue *catalogue = catalogue_of(state);
    struct slice found;
    int code = 0;
    if (map_get(&catalogue->maps[CATALOGUE_NAMES], name, &found)) {
        *id = arena_copy(arena, found);
        bool known = catalogue_get(catalogue, found, table);
        ASSERT(known);
        table->name = arena_copy(arena, table->name);
    } else {
        code = no_such_table(catalogue, name);
    }
    log_state_release(state);
    return code;
}

int instance_find(struct instance *instance, struct slice name, struct arena *arena,
                  struct slice *id, struct catalogue_table *table)
{
    TRY(instance_refresh(instance));
    TRY(find_table(instance, name, arena, id, table));
    if (table->life == TABLE_CREATING)
        return error_set(GLIS_ENOTFOUND,
                         "table '%.*s' was not finished; `glis table create` it again",
                         SLICE_PRINT(name));
    return 0;
}

/* ---- changing tables ---- */

int table_commit_change(struct instance *instance, struct slice id, uint64_t version,
                        const struct table_change *change)
{
    struct buffer text = BUFFER_INIT(TRANSACTION_BYTES_MAX);
    struct json_writer json;
    json_writer_init(&json, &text, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", change->type);
    json_write_field_string(&json, "id", id);
    if (version) json_write_field_uint(&json, "version", version);
    if (change->name.size) json_write_field_string(&json, "name", change->name);
    if (change->online >= 0) json_write_field_bool(&json, "online", change->online);
    json_write_object_end(&json);
    int code = json_writer_finish(&json);
    if (code == 0) code = commit_text(instance, &text);
    buffer_free(&text);
    return code;
}

/* Makes a change of a live table, again when another process changed it in between. */
static int change_live(struct instance *instance, struct slice name,
                       const struct table_change *change)
{
    int code = 0;
    for (int attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice id, taken;
        struct catalogue_table table, other;
        TRY(instance_find(instance, name, &arena, &id, &table));
        if (change->name.size && find_table(instance, change->name, &arena, &taken, &other) == 0)
            return error_set(GLIS_EEXISTS, "there is a table '%.*s' already",
                             SLICE_PRINT(change->name));
        code = table_commit_change(instance, id, table.version, change);
        if (code != GLIS_EREFUSED) break;
    }
    return code;
}

int table_rename(struct instance *instance, struct slice name, struct slice new_name)
{
    TRY(table_name_check(new_name));
    return change_live(instance, name, &(struct table_change){"rename_table", new_name, -1});
}

int table_set_online(struct instance *instance, struct slice name, bool online)
{
    return change_live(instance, name, &(struct table_change){"set_online", SLICE_EMPTY, online});
}

int table_drop(struct instance *instance, struct slice name)
{
    int code = 0;
    for (int attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice id;
        struct catalogue_table table;
        TRY(instance_refresh(instance));
        TRY(find_table(instance, name, &arena, &id, &table));
        code = table_commit_change(instance, id, table.version,
                                   &(struct table_change){"drop_table", SLICE_EMPTY, -1});
        if (code != GLIS_EREFUSED) break;
    }
    return code;
}

/* The table dropped last under the name, or the dropped one with this id. */
static int find_dropped(struct instance *instance, struct slice name, struct arena *arena,
                        struct slice *id, struct catalogue_table *found)
{
    const struct log_state *state = log_state_acquire(instance->log);
    const struct catalogue *catalogue = catalogue_of(state);
    bool any = false;
    struct map_cursor c;
    map_cursor_first(&catalogue->maps[CATALOGUE_TABLES], &c);
    for (; c.valid; map_cursor_next(&c)) {
        struct catalogue_table table;
        bool known = catalogue_get(catalogue, c.key, &table);
        ASSERT(known);
        if (table.life != TABLE_DROPPING || !table.is_complete ||
            (!slice_equal(table.name, name) && !slice_equal(c.key, name)) ||
            (any && table.since_ms < found->since_ms))
            continue;
        any = true;
        *found = table;
        found->name = arena_copy(arena, table.name);
        *id = arena_copy(arena, c.key);
    }
    log_state_release(state);
    if (!any)
        return error_set(GLIS_ENOTFOUND, "there is no dropped table '%.*s'",
                         SLICE_PRINT(slice_part(name, 0, 140)));
    return 0;
}

int table_undrop(struct instance *instance, struct slice name, struct slice as)
{
    if (as.size) TRY(table_name_check(as));
    int code = 0;
    for (int attempt = 0; attempt < CHANGE_ATTEMPTS; attempt++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice id, taken;
        struct catalogue_table table, other;
        TRY(instance_refresh(instance));
        TRY(find_dropped(instance, name, &arena, &id, &table));
        struct slice new_name = as.size ? as : table.name;
        if (find_table(instance, new_name, &arena, &taken, &other) == 0)
            return error_set(GLIS_EEXISTS,
                             "there is a table '%.*s' already; undrop under another name with --as",
                             SLICE_PRINT(new_name));
        code = table_commit_change(instance, id, table.version,
                                   &(struct table_change){"undrop_table", new_name, -1});
        if (code != GLIS_EREFUSED) break;
    }
    return code;
}

/* ---- creating tables ---- */

/* A table to be created: its log's first transaction. */
struct creation {
    struct slice name;
    bool online;
    struct buffer text;
    uint64_t definition;         /* its hash */
    struct error_detail refusal; /* the last one */
    char own_id[ULID_BYTES + 1]; /* whose log holds this definition, as far as we know */
};

/* The definition's settings, and the instance's defaults where it is silent. */
static int complete_settings(struct instance *instance, const struct table_definition *definition,
                             struct arena *arena, struct table_definition *out, bool *online)
{
    *out = *definition;
    *online = true;
    struct setting *all, *defaults;
    size_t n_defaults, n = 0;
    TRY(instance_settings(instance, arena, &defaults, &n_defaults));
    all = ARENA_ARRAY(arena, struct setting, definition->n_settings + n_defaults);
    for (size_t i = 0; i < definition->n_settings; i++) {
        const struct setting *setting = &definition->settings[i];
        enum property_id id = property_find(setting->name);
        int64_t number;
        if (id == PROPERTY_NONE) return property_unknown(setting->name);
        TRY(property_check(id, setting->value, &number));
        if (property_definition(id)->editable)
            TRY(table_setting_check(setting->name, setting->value, true));
        if (id == PROPERTY_TABLE_ONLINE) *online = number;
        all[n++] = *setting;
    }
    size_t n_own = n;
    for (size_t i = 0; i < n_defaults; i++) {
        struct slice prefix = SLICE(PROPERTY_TABLE_DEFAULT_PREFIX);
        if (!slice_starts_with(defaults[i].name, prefix)) continue;
        struct slice name = slice_from_text(arena_printf(
            arena, "glis.%.*s", SLICE_PRINT(slice_part(defaults[i].name, prefix.size, SIZE_MAX))));
        bool said = false;
        for (size_t j = 0; j < n_own; j++)
            said |= slice_equal(all[j].name, name);
        if (!said) all[n++] = (struct setting){name, defaults[i].value};
    }
    out->settings = all;
    out->n_settings = n;
    return 0;
}

/* Begins the log of a `creating` table, or finds it begun. *same says whether by this definition.
 * */
static int begin_log(struct instance *instance, struct slice id, const struct creation *creation,
                     bool *same)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct log_options options = instance_log_options(instance);
    options.snapshot_at_close = false;
    struct log *log;
    struct slice prefix = slice_from_text(arena_printf(&arena, "tables/%.*s/", SLICE_PRINT(id)));
    TRY(log_open(instance->runtime, instance->store, prefix, &table_machine, &options, &log));
    struct slice transaction = buffer_slice(&creation->text);
    struct log_answer answer;
    int code = log_commit(log, &transaction, 1, 0, &answer);
    if (code == 0 || code == GLIS_EREFUSED) {
        const struct log_state *state = log_state_acquire(log);
        const struct state *table = state->state;
        bool begun = table->numbers[NUMBER_CREATED];
        *same = begun && table->numbers[NUMBER_DEFINITION] == creation->definition;
        /* Another's beginning was only read: the catalogue must not outlast it. */
        if (begun)
            code =
                code == 0 || GLIS_MUTANT(beginning_is_settled) ? 0 : log_settle(log, state->record);
        log_state_release(state);
    }
    log_close(log);
    return code;
}

/* Makes sure of what was only read in the catalogue. */
int catalogue_settle(struct instance *instance)
{
    const struct log_state *state = log_state_acquire(instance->log);
    uint64_t record = state->record;
    log_state_release(state);
    TRY_CONTEXT(log_settle(instance->log, record), "the catalogue");
    return 0;
}

/* One attempt; GLIS_ERETRY (without meaning for the caller) when it has to look again. */
static int try_create(struct instance *instance, struct creation *creation)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice id;
    struct catalogue_table table;
    TRY(instance_refresh(instance));
    if (find_table(instance, creation->name, &arena, &id, &table) < 0) {
        struct ulid ulid = ulid_new(instance->runtime);
        id = arena_copy(&arena, ulid_slice(&ulid));
        int code = table_commit_change(
            instance, id, 0,
            &(struct table_change){"reserve_table", creation->name, creation->online});
        if (code == GLIS_EREFUSED) {
            error_save(&creation->refusal);
            return GLIS_ERETRY;
        }
        TRY(code);
        table.version = 1;
    } else if (table.life != TABLE_CREATING) {
        /* Ours, finished by another process that had the same in mind. */
        if (slice_equal_text(id, creation->own_id)) return catalogue_settle(instance);
        return error_set(GLIS_EEXISTS, "there is a table '%.*s' already",
                         SLICE_PRINT(creation->name));
    }
    bool same = false;
    TRY(begin_log(instance, id, creation, &same));
    if (same) memcpy(creation->own_id, id.data, ULID_BYTES);
    struct table_change change = {same ? "table_live" : "drop_table", SLICE_EMPTY, -1};
    int code = table_commit_change(instance, id, table.version, &change);
    if (code == GLIS_EREFUSED) error_save(&creation->refusal);
    return code == GLIS_EREFUSED || (code == 0 && !same) ? GLIS_ERETRY : code;
}

int table_create(struct instance *instance, const struct table_definition *definition,
                 struct table **out)
{
    TRY(table_name_check(definition->name));
    TRY(schema_validate_table(definition->schema));
    defer_arena struct arena arena = ARENA_EMPTY;
    struct table_definition complete;
    struct creation creation = {.name = definition->name,
                                .refusal = {.code = GLIS_ERETRY, .text = "busy"},
                                .text = BUFFER_INIT(LOG_BODY_BYTES_MAX)};
    TRY(complete_settings(instance, definition, &arena, &complete, &creation.online));
    int code = write_create_table(&creation.text, &complete, &creation.definition);
    for (int attempt = 0; code == 0 && attempt < CHANGE_ATTEMPTS; attempt++) {
        code = try_create(instance, &creation);
        if (code != GLIS_ERETRY) break;
        code = 0;
        if (attempt + 1 == CHANGE_ATTEMPTS) code = error_load(&creation.refusal);
    }
    buffer_free(&creation.text);
    TRY(code);
    return out ? table_open(instance, definition->name, out) : 0;
}

/* ---- checking, and mending its time ---- */

int instance_set_time(struct instance *instance, uint64_t record, uint64_t *out)
{
    struct log_answer answer;
    TRY_CONTEXT(log_set_time(instance->log, record, 0, &answer), "the catalogue");
    *out = answer.record;
    return 0;
}

int instance_validate(struct instance *instance)
{
    TRY(instance_refresh(instance));
    const struct log_state *state = log_state_acquire(instance->log);
    int code = catalogue_validate(catalogue_of(state));
    log_state_release(state);
    return code;
}

const struct log_machine *catalogue_log_machine(void)
{
    return &catalogue_machine;
}
