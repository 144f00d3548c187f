/*
 * catalogue.c: the state of an instance's catalogue: its settings, its tables by id, and the names
 * of those that can be found.
 *
 * A table's life: reserve_table makes it `creating` and takes the name; table_live makes it `live`;
 * drop_table frees the name and makes it `dropping`; undrop_table brings it back. Every transaction
 * about a table names the version of its entry that it was decided on, and every change raises the
 * version, so a condition is false for ever once applied, also when the effect was undone since.
 * alter_instance goes by the version of the settings; the first one, on version 0, makes the
 * instance.
 *
 * The name of a dropping table stays in its entry, for undrop_table and for people.
 */
#include "table/table_int.h"

#include <stdlib.h>

struct catalogue *catalogue_new(void)
{
    return memory_alloc_zero(sizeof(struct catalogue));
}

struct catalogue *catalogue_clone(const struct catalogue *catalogue)
{
    struct catalogue *copy = catalogue_new();
    copy->version = catalogue->version;
    for (int s = 0; s < CATALOGUE_SECTION_COUNT; s++)
        map_clone(&copy->maps[s], &catalogue->maps[s]);
    return copy;
}

void catalogue_free(struct catalogue *catalogue)
{
    if (!catalogue) return;
    for (int s = 0; s < CATALOGUE_SECTION_COUNT; s++)
        map_free(&catalogue->maps[s]);
    free(catalogue);
}

/* ---- records ---- */

static bool table_unpack(struct slice value, struct catalogue_table *out)
{
    struct unpacker in = unpack_begin(value);
    out->name = unpack_text(&in);
    uint64_t life = unpack_number(&in), online = unpack_number(&in);
    uint64_t complete = unpack_number(&in);
    out->version = unpack_number(&in);
    out->since_ms = (int64_t)unpack_number(&in);
    out->life = (enum table_life)life;
    out->online = online;
    out->is_complete = complete;
    return !in.bad && in.at == in.end && life <= TABLE_SWEEPING && online <= 1 && complete <= 1;
}

static void table_put(struct catalogue *catalogue, struct slice id,
                      const struct catalogue_table *table)
{
    defer_packer struct packer packer = {0};
    pack_text(&packer, table->name);
    pack_number(&packer, table->life);
    pack_number(&packer, table->online);
    pack_number(&packer, table->is_complete);
    pack_number(&packer, table->version);
    pack_number(&packer, (uint64_t)table->since_ms);
    map_put(&catalogue->maps[CATALOGUE_TABLES], id, packed(&packer));
}

bool catalogue_get(const struct catalogue *catalogue, struct slice id, struct catalogue_table *out)
{
    struct slice value;
    if (!map_get(&catalogue->maps[CATALOGUE_TABLES], id, &value)) return false;
    bool good = table_unpack(value, out);
    ASSERT(good);
    return true;
}

/* ---- transactions ---- */

static const char *life_text(enum table_life life)
{
    static const char *const texts[] = {"being created", "live", "dropped", "being swept"};
    return texts[life];
}

/* The table of "id", at "version" and in the life that the transaction wants; its texts are copied
 * to the arena. */
static int get_table(const struct catalogue *catalogue, const struct json *transaction,
                     unsigned lives, struct arena *arena, struct slice *id,
                     struct catalogue_table *table)
{
    uint64_t version;
    TRY(json_get_string(transaction, "id", id));
    TRY(json_get_u64(transaction, "version", &version));
    if (!catalogue_get(catalogue, *id, table))
        return error_set(GLIS_EREFUSED, "there is no table with id '%.*s'", SLICE_PRINT(*id));
    table->name = arena_copy(arena, table->name);
    if (!(lives >> table->life & 1) && !GLIS_MUTANT(table_in_its_life))
        return error_set(GLIS_EREFUSED, "table '%.*s' (%.*s) is %s", SLICE_PRINT(table->name),
                         SLICE_PRINT(*id), life_text(table->life));
    if (table->version != version && !GLIS_MUTANT(table_of_a_version))
        return error_set(GLIS_EREFUSED, "table '%.*s' (%.*s) is at version %llu, not %llu",
                         SLICE_PRINT(table->name), SLICE_PRINT(*id),
                         (unsigned long long)table->version, (unsigned long long)version);
    return 0;
}

static int check_free(const struct catalogue *catalogue, struct slice name)
{
    struct slice id;
    TRY(table_name_check(name));
    if (map_get(&catalogue->maps[CATALOGUE_NAMES], name, &id) && !GLIS_MUTANT(name_is_free))
        return error_set(GLIS_EREFUSED, "the name '%.*s' is taken by table %.*s", SLICE_PRINT(name),
                         SLICE_PRINT(id));
    return 0;
}

static void change_table(struct catalogue *catalogue, const struct log_record_info *info,
                         struct slice id, struct catalogue_table *table, enum table_life life)
{
    if (table->life != life) table->since_ms = info->time_ms;
    table->life = life;
    table->version++;
    table_put(catalogue, id, table);
}

static int apply_reserve(struct catalogue *catalogue, const struct log_record_info *info,
                         const struct json *transaction, struct arena *arena)
{
    (void)arena;
    struct slice id, name;
    bool online = true;
    TRY(json_get_string(transaction, "id", &id));
    TRY(json_get_string(transaction, "name", &name));
    TRY(json_optional_bool(transaction, "online", &online));
    if (!ulid_is_valid(id))
        return error_set(GLIS_EINVALID, "not a table id: '%.*s'", SLICE_PRINT(id));
    if (map_get(&catalogue->maps[CATALOGUE_TABLES], id, NULL))
        return error_set(GLIS_EREFUSED, "table id %.*s is known already", SLICE_PRINT(id));
    TRY(check_free(catalogue, name));
    struct catalogue_table table = {.name = name,
                                    .life = TABLE_CREATING,
                                    .online = online,
                                    .version = 1,
                                    .since_ms = info->time_ms};
    table_put(catalogue, id, &table);
    map_put(&catalogue->maps[CATALOGUE_NAMES], name, id);
    return 0;
}

static int apply_live(struct catalogue *catalogue, const struct log_record_info *info,
                      const struct json *transaction, struct arena *arena)
{
    struct slice id;
    struct catalogue_table table;
    TRY(get_table(catalogue, transaction, 1u << TABLE_CREATING, arena, &id, &table));
    table.is_complete = true;
    change_table(catalogue, info, id, &table, TABLE_LIVE);
    return 0;
}

static int apply_rename(struct catalogue *catalogue, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena)
{
    struct slice id, name;
    struct catalogue_table table;
    TRY(json_get_string(transaction, "name", &name));
    TRY(get_table(catalogue, transaction, 1u << TABLE_LIVE, arena, &id, &table));
    TRY(check_free(catalogue, name));
    map_remove(&catalogue->maps[CATALOGUE_NAMES], table.name);
    map_put(&catalogue->maps[CATALOGUE_NAMES], name, id);
    table.name = name;
    change_table(catalogue, info, id, &table, TABLE_LIVE);
    return 0;
}

static int apply_drop(struct catalogue *catalogue, const struct log_record_info *info,
                      const struct json *transaction, struct arena *arena)
{
    struct slice id;
    struct catalogue_table table;
    TRY(get_table(catalogue, transaction, 1u << TABLE_CREATING | 1u << TABLE_LIVE, arena, &id,
                  &table));
    map_remove(&catalogue->maps[CATALOGUE_NAMES], table.name);
    change_table(catalogue, info, id, &table, TABLE_DROPPING);
    return 0;
}

static int apply_undrop(struct catalogue *catalogue, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena)
{
    struct slice id, name;
    struct catalogue_table table;
    TRY(json_get_string(transaction, "name", &name));
    TRY(get_table(catalogue, transaction, 1u << TABLE_DROPPING, arena, &id, &table));
    if (!table.is_complete && !GLIS_MUTANT(back_when_whole))
        return error_set(GLIS_EREFUSED, "table '%.*s' (%.*s) was never finished",
                         SLICE_PRINT(table.name), SLICE_PRINT(id));
    TRY(check_free(catalogue, name));
    map_put(&catalogue->maps[CATALOGUE_NAMES], name, id);
    table.name = name;
    change_table(catalogue, info, id, &table, TABLE_LIVE);
    return 0;
}

/* From here on nobody can have it back. */
static int apply_sweep(struct catalogue *catalogue, const struct log_record_info *info,
                       const struct json *transaction, struct arena *arena)
{
    struct slice id;
    struct catalogue_table table;
    TRY(get_table(catalogue, transaction, 1u << TABLE_DROPPING, arena, &id, &table));
    change_table(catalogue, info, id, &table, TABLE_SWEEPING);
    return 0;
}

static int apply_forget(struct catalogue *catalogue, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena)
{
    (void)info;
    struct slice id;
    struct catalogue_table table;
    TRY(get_table(catalogue, transaction, 1u << TABLE_SWEEPING, arena, &id, &table));
    map_remove(&catalogue->maps[CATALOGUE_TABLES], id);
    return 0;
}

static int apply_online(struct catalogue *catalogue, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena)
{
    struct slice id;
    struct catalogue_table table;
    bool online;
    TRY(json_get_bool(transaction, "online", &online));
    TRY(get_table(catalogue, transaction, 1u << TABLE_LIVE, arena, &id, &table));
    table.online = online;
    change_table(catalogue, info, id, &table, TABLE_LIVE);
    return 0;
}

static int apply_alter_instance(struct catalogue *catalogue, const struct log_record_info *info,
                                const struct json *transaction, struct arena *arena)
{
    (void)info;
    (void)arena;
    uint64_t version;
    const struct json *settings;
    TRY(json_get_u64(transaction, "version", &version));
    TRY(json_get_object(transaction, "settings", &settings));
    if (version != catalogue->version)
        return error_set(GLIS_EREFUSED, "the instance's settings are at version %llu, not %llu",
                         (unsigned long long)catalogue->version, (unsigned long long)version);
    for (size_t i = 0; i < settings->n_items; i++) {
        const struct json *item = &settings->items[i];
        if (item->type == JSON_TYPE_NULL) continue;
        struct slice value;
        TRY(json_as_string(item, &value));
        TRY(instance_setting_check(item->name, value));
    }
    for (size_t i = 0; i < settings->n_items; i++) {
        const struct json *item = &settings->items[i];
        if (item->type == JSON_TYPE_NULL)
            map_remove(&catalogue->maps[CATALOGUE_SETTINGS], item->name);
        else
            map_put(&catalogue->maps[CATALOGUE_SETTINGS], item->name, item->text);
    }
    catalogue->version++;
    return 0;
}

static const struct {
    const char *name;
    int (*apply)(struct catalogue *catalogue, const struct log_record_info *info,
                 const struct json *transaction, struct arena *arena);
} types[] = {
    {"alter_instance", apply_alter_instance},
    {"reserve_table", apply_reserve},
    {"table_live", apply_live},
    {"rename_table", apply_rename},
    {"drop_table", apply_drop},
    {"undrop_table", apply_undrop},
    {"sweep_table", apply_sweep},
    {"forget_table", apply_forget},
    {"set_online", apply_online},
};

int catalogue_apply(struct catalogue *catalogue, const struct log_record_info *info,
                    const struct json *transaction)
{
    struct slice name;
    int code = json_get_string(transaction, "type", &name);
    if (code < 0) return malformed(code);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!slice_equal_text(name, types[i].name)) continue;
        if (types[i].apply != apply_alter_instance && !catalogue->version)
            return error_set(GLIS_EREFUSED, "there is no instance here yet");
        defer_arena struct arena arena = ARENA_EMPTY;
        code = types[i].apply(catalogue, info, transaction, &arena);
        if (code < 0) error_context("%s", types[i].name);
        return malformed(code);
    }
    return error_set(GLIS_ENEWER, "a transaction of type '%.*s', which this program does not know",
                     SLICE_PRINT(name));
}

void catalogue_time_set(struct catalogue *catalogue, int64_t time_ms)
{
    struct map tables;
    struct map_cursor cursor;
    map_clone(&tables, &catalogue->maps[CATALOGUE_TABLES]);
    for (map_cursor_first(&tables, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        struct catalogue_table table;
        bool good = table_unpack(cursor.value, &table);
        ASSERT(good);
        table.since_ms = time_ms;
        table_put(catalogue, cursor.key, &table);
    }
    map_free(&tables);
}

/* ---- checking ---- */

int catalogue_validate(const struct catalogue *catalogue)
{
    for (int s = 0; s < CATALOGUE_SECTION_COUNT; s++)
        TRY_CONTEXT(map_validate(&catalogue->maps[s]), "section %d of the catalogue", s);
    const struct map *names = &catalogue->maps[CATALOGUE_NAMES];
    uint64_t n_named = 0;
    struct map_cursor c;
    map_cursor_first(&catalogue->maps[CATALOGUE_TABLES], &c);
    for (; c.valid; map_cursor_next(&c)) {
        struct catalogue_table table;
        struct slice id;
        if (!table_unpack(c.value, &table) || !table.version)
            return error_set(GLIS_ECORRUPT, "the entry of table %.*s cannot be read",
                             SLICE_PRINT(c.key));
        if (table.life > TABLE_LIVE) continue;
        n_named++;
        if (!map_get(names, table.name, &id) || !slice_equal(id, c.key))
            return error_set(GLIS_ECORRUPT, "the name of table %.*s leads elsewhere",
                             SLICE_PRINT(c.key));
    }
    if (n_named != map_count(names)) return error_set(GLIS_ECORRUPT, "names lead nowhere");
    map_cursor_first(&catalogue->maps[CATALOGUE_SETTINGS], &c);
    for (; c.valid; map_cursor_next(&c)) {
        int code = instance_setting_check(c.key, c.value);
        if (code < 0)
            return error_set(GLIS_ECORRUPT, "the setting %.*s is wrong", SLICE_PRINT(c.key));
    }
    return 0;
}

/* ---- the log's machine ---- */

static int machine_new(void *context, void **out)
{
    (void)context;
    *out = catalogue_new();
    return 0;
}

static int machine_clone(void *context, const void *state, void **out)
{
    (void)context;
    *out = catalogue_clone(state);
    return 0;
}

static void machine_free(void *context, void *state)
{
    (void)context;
    catalogue_free(state);
}

static int machine_apply(void *context, void *state, const struct log_record_info *info,
                         const struct json *transaction)
{
    (void)context;
    return catalogue_apply(state, info, transaction);
}

static void machine_time_set(void *context, void *state, const struct log_record_info *info)
{
    (void)context;
    catalogue_time_set(state, info->time_ms);
}

static bool machine_is_ended(void *context, const void *state)
{
    (void)context;
    (void)state;
    return false;
}

static uint64_t machine_bytes(void *context, const void *state)
{
    (void)context;
    const struct catalogue *catalogue = state;
    uint64_t bytes = sizeof(*catalogue);
    for (int s = 0; s < CATALOGUE_SECTION_COUNT; s++)
        bytes += map_record_bytes(&catalogue->maps[s]);
    return bytes;
}

static int machine_snapshot_write(void *context, const void *state, struct slice log_part,
                                  struct buffer *out)
{
    (void)context;
    const struct catalogue *catalogue = state;
    struct snapshot_writer *writer = NULL;
    defer_packer struct packer version = {0};
    pack_number(&version, catalogue->version);
    int code = snapshot_writer_open("catalogue", log_part, out, &writer);
    if (code == 0)
        code = snapshot_writer_add(writer, CATALOGUE_NUMBERS, SLICE("version"), packed(&version));
    for (uint32_t s = CATALOGUE_SETTINGS; code == 0 && s < CATALOGUE_SECTION_COUNT; s++)
        code = snapshot_writer_add_map(writer, s, &catalogue->maps[s]);
    if (code == 0) code = snapshot_writer_finish(writer);
    snapshot_writer_free(writer);
    return code;
}

/* A catalogue is small: its rows are put one by one, and catalogue_validate checks the whole. */
static int load_row(void *context, uint32_t section, struct slice key, struct slice value)
{
    struct catalogue *catalogue = context;
    if (section >= CATALOGUE_SECTION_COUNT)
        return error_set(GLIS_ENEWER,
                         "the snapshot has a section %u that this program does not know", section);
    if (section == CATALOGUE_NUMBERS) {
        struct unpacker in = unpack_begin(value);
        catalogue->version = unpack_number(&in);
        if (in.bad) return error_set(GLIS_ECORRUPT, "a number cannot be read");
        if (!slice_equal_text(key, "version"))
            return error_set(GLIS_ENEWER,
                             "the snapshot has a number that this program does not know");
        return 0;
    }
    map_put(&catalogue->maps[section], key, value);
    return 0;
}

static int machine_snapshot_read(void *context, struct block *block, struct slice bytes,
                                 struct arena *arena, struct slice *log_part, void **out)
{
    (void)context;
    struct catalogue *catalogue = catalogue_new();
    int code = snapshot_each("catalogue", block, bytes, arena, log_part, load_row, catalogue);
    if (code == 0) code = catalogue_validate(catalogue);
    if (code == 0)
        *out = catalogue;
    else
        catalogue_free(catalogue);
    return code;
}

const struct log_machine catalogue_machine = {
    .kind = "catalogue",
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
