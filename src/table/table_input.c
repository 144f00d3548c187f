/*
 * table_input.c: what users write in files: a table's folder, split points, and a whole instance.
 *
 * The layout is the reference's: instance.properties, tags.properties and
 * tables/<name>/{table.properties, schema.json, splits.txt}. All of it is read and checked before
 * anything is changed, and errors name file and line. These files are input only: what they say
 * becomes transactions, and nothing reads them again.
 */
#include "table/instance_int.h"

#include "base/text.h"

#include <stdlib.h>

enum { INPUT_BYTES_MAX = 256 << 20, TABLES_MAX = 10000 };

/* A file of the machine, whole, in the arena. GLIS_ENOTFOUND when it is not there. */
static int read_file(struct runtime *runtime, struct slice path, struct arena *arena,
                     struct slice *out)
{
    struct store *store;
    struct slice key;
    TRY(store_locate(runtime, path, arena, &store, &key));
    struct buffer text = BUFFER_INIT(INPUT_BYTES_MAX);
    int code = store_get(store, key, 0, STORE_TO_END, &text);
    if (code == 0) *out = arena_copy(arena, buffer_slice(&text));
    buffer_free(&text);
    store_close(store);
    if (code < 0 && code != GLIS_ENOTFOUND) error_context("%.*s", SLICE_PRINT(path));
    return code;
}

static struct slice join(struct arena *arena, struct slice folder, struct slice name)
{
    while (folder.size > 1 && folder.data[folder.size - 1] == '/')
        folder.size--;
    return slice_from_text(
        arena_printf(arena, "%.*s/%.*s", SLICE_PRINT(folder), SLICE_PRINT(name)));
}

/* ---- split points ---- */

static int read_split_point(const struct field *field, struct slice line, bool base64,
                            struct arena *arena, struct slice *out)
{
    struct value value;
    if (base64 && field->type.kind == TYPE_STRING) {
        struct buffer bytes = BUFFER_INIT(line.size + 4);
        int code = text_base64_decode(&bytes, line);
        if (code == 0 && !text_is_utf8(buffer_slice(&bytes), NULL))
            code = error_set(GLIS_EINVALID, "the string is not UTF-8");
        if (code == 0) value = value_bytes(TYPE_STRING, arena_copy(arena, buffer_slice(&bytes)));
        buffer_free(&bytes);
        TRY(code);
    } else {
        TRY(value_from_text(&field->type, line, arena, &value));
    }
    struct buffer key = BUFFER_INIT(2 * KEY_BYTES_MAX + 64);
    int code = key_append_value(&field->type, &value, &key);
    if (code == 0 && key.size > KEY_BYTES_MAX)
        code = error_set(GLIS_EINVALID, "longer than a key may be");
    if (code == 0) *out = arena_copy(arena, buffer_slice(&key));
    buffer_free(&key);
    return code;
}

/* The bytes of a split point of a string or of bytes. */
static int split_point_bytes(const struct schema *one, struct slice point, struct arena *arena,
                             struct slice *out)
{
    struct value value;
    TRY(key_decode(one, point, 1, arena, &value));
    *out = value.bytes;
    return 0;
}

/* Whether two split points ascend the way the reference orders them: bytes as signed numbers,
 * strings by UTF-16 code units, in which what lies beyond U+FFFF comes before U+E000. */
static bool ascends_in_reference(bool is_string, struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size, i = 0;
    while (i < n && a.data[i] == b.data[i])
        i++;
    if (i == n) return a.size < b.size;
    uint8_t x = (uint8_t)a.data[i], y = (uint8_t)b.data[i];
    if (!is_string) return (int8_t)x < (int8_t)y;
    bool x_beyond = x >= 0xf0, y_beyond = y >= 0xf0;
    if (x_beyond != y_beyond && (x_beyond ? y : x) >= 0xee) return x_beyond;
    return x < y;
}

static int compare_points(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* Points that do not ascend, but do by the reference's order, are sorted by ours. */
static int sort_reference_points(const struct schema *schema, struct slice *points, size_t n,
                                 struct arena *arena, bool *sorted)
{
    enum type_kind kind = schema->fields[0].type.kind;
    *sorted = false;
    if (kind != TYPE_STRING && kind != TYPE_BYTES) return 0;
    struct schema *one;
    TRY(schema_new(&one, &schema->fields[0], 1, 1, 0));
    struct slice last = SLICE_EMPTY, next;
    int code = 0;
    bool ascends = true;
    for (size_t i = 0; code == 0 && ascends && i < n; i++) {
        code = split_point_bytes(one, points[i], arena, &next);
        ascends = code == 0 && (i == 0 || ascends_in_reference(kind == TYPE_STRING, last, next));
        last = next;
    }
    schema_release(one);
    TRY(code);
    if (ascends) qsort(points, n, sizeof(*points), compare_points);
    *sorted = ascends;
    return 0;
}

static int bad_split_point(struct slice file, unsigned line, int code)
{
    error_context("%.*s: line %u", SLICE_PRINT(file), line);
    return malformed(code);
}

int table_split_points_read(const struct schema *schema, struct slice file, struct slice text,
                            bool base64, struct arena *arena, struct slice **out, size_t *n_out)
{
    size_t n_lines = 1, n = 0;
    for (size_t i = 0; i < text.size; i++)
        n_lines += text.data[i] == '\n';
    struct slice *points = ARENA_ARRAY(arena, struct slice, n_lines);
    unsigned disorder = 0; /* the first line whose point is below the one before */
    for (unsigned line = 1; text.size; line++) {
        const char *end = memchr(text.data, '\n', text.size);
        struct slice one = slice_part(text, 0, end ? (size_t)(end - text.data) : text.size);
        text = slice_part(text, one.size + 1, text.size);
        if (one.size && one.data[one.size - 1] == '\r') one.size--;
        const char *problem = NULL;
        int code = 0;
        if (!one.size) {
            if (!text.size) break;
            problem = "an empty line";
        } else {
            code = read_split_point(&schema->fields[0], one, base64, arena, &points[n]);
        }
        if (code == 0 && !problem && n) {
            int c = slice_compare(points[n - 1], points[n]);
            if (c == 0) problem = "a duplicate of the split point before it";
            if (c > 0 && !disorder) disorder = line;
        }
        if (problem) code = error_set(GLIS_EINVALID, "%s", problem);
        if (code < 0) return bad_split_point(file, line, code);
        n++;
    }
    bool sorted = true;
    if (disorder) TRY(sort_reference_points(schema, points, n, arena, &sorted));
    if (!sorted)
        return bad_split_point(
            file, disorder,
            error_set(GLIS_EINVALID, "a split point that should be above the one before it"));
    *out = points;
    *n_out = n;
    return 0;
}

int table_split_points_write(const struct table_state *state, bool base64, struct buffer *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct schema *schema = table_state_schema(state);
    const struct field *field = &schema->fields[0];
    const struct partition_tree *tree;
    TRY(table_tree(state, &arena, &tree));
    struct schema *one;
    TRY(schema_new(&one, field, 1, 1, 0));
    int code = 0;
    struct slice last = SLICE_EMPTY;
    for (uint32_t i = 0; code == 0 && i < tree->n_leaves; i++) {
        /* In key order the lower ends of field 0 are the split points, each as often as it is met.
         * */
        struct slice min = tree->nodes[tree->leaves[i]].region[0].min;
        struct value value;
        if (!min.size || slice_compare(min, last) <= 0) continue;
        last = min;
        code = key_decode(one, min, 1, &arena, &value);
        if (code == 0 && base64 && field->type.kind == TYPE_STRING)
            code = text_base64_encode(out, value.bytes);
        else if (code == 0)
            code = value_to_text(&field->type, &value, out);
        if (code == 0) code = buffer_append_byte(out, '\n');
    }
    schema_release(one);
    return code;
}

/* ---- a table's folder ---- */

static const struct setting *find_setting(const struct property_file *file, enum property_id id)
{
    for (size_t i = 0; i < file->n_settings; i++)
        if (slice_equal_text(file->settings[i].name, property_definition(id)->name))
            return &file->settings[i];
    return NULL;
}

static int read_splits(struct runtime *runtime, struct slice folder, struct arena *arena,
                       const struct property_file *properties, struct table_definition *out)
{
    const struct setting *named = find_setting(properties, PROPERTY_TABLE_SPLITS_FILE);
    const struct setting *encoded = find_setting(properties, PROPERTY_TABLE_SPLITS_BASE64);
    bool is_named = named && named->value.size;
    struct slice path = is_named && named->value.data[0] == '/'
                            ? named->value
                            : join(arena, folder, is_named ? named->value : SLICE("splits.txt"));
    int64_t base64 = 0;
    if (encoded) TRY(property_check(PROPERTY_TABLE_SPLITS_BASE64, encoded->value, &base64));
    struct slice text;
    int code = read_file(runtime, path, arena, &text);
    if (code == GLIS_ENOTFOUND && !is_named) return 0;
    if (code == GLIS_ENOTFOUND)
        return error_set(GLIS_EINVALID, "%.*s: there is no such file (glis.table.splits.file)",
                         SLICE_PRINT(path));
    TRY(code);
    struct slice *points;
    TRY(table_split_points_read(out->schema, path, text, base64, arena, &points,
                                &out->n_split_points));
    out->split_points = points;
    return 0;
}

static struct slice last_part(struct slice path)
{
    while (path.size && path.data[path.size - 1] == '/')
        path.size--;
    const char *slash = path.data && path.size ? memrchr(path.data, '/', path.size) : NULL;
    return slash ? slice_part(path, (size_t)(slash - path.data) + 1, path.size) : path;
}

int table_definition_read(struct runtime *runtime, struct slice folder, struct arena *arena,
                          struct table_definition *out, struct property_file *properties)
{
    *out = (struct table_definition){0};
    *properties = (struct property_file){0};
    struct slice path = join(arena, folder, SLICE("table.properties")), text;
    int code = read_file(runtime, path, arena, &text);
    if (code == 0)
        TRY(property_file_read(arena, path, text, PROPERTY_OF_TABLE, properties));
    else if (code != GLIS_ENOTFOUND)
        return code;
    const struct setting *name = find_setting(properties, PROPERTY_TABLE_NAME);
    out->name = name ? name->value : last_part(folder);
    TRY_CONTEXT(table_name_check(out->name), "%.*s", SLICE_PRINT(folder));
    out->settings = properties->settings;
    out->n_settings = properties->n_settings;

    path = join(arena, folder, SLICE("schema.json"));
    code = read_file(runtime, path, arena, &text);
    if (code == GLIS_ENOTFOUND)
        return error_set(GLIS_EINVALID, "%.*s: there is no such file", SLICE_PRINT(path));
    TRY(code);
    struct schema *schema;
    TRY_CONTEXT(schema_from_json(text, &schema), "%.*s", SLICE_PRINT(path));
    out->schema = schema;
    code = schema_validate_table(schema);
    if (code < 0) error_context("%.*s", SLICE_PRINT(path));
    if (code == 0) code = read_splits(runtime, folder, arena, properties, out);
    if (code < 0) {
        schema_release(schema);
        out->schema = NULL;
    }
    return code;
}

/* ---- an instance's folder ---- */

struct instance_input {
    struct property_file properties;
    struct table_definition *tables;
    size_t n_tables;
    struct slice *ignored;
    size_t n_ignored, n_ignored_max;
};

struct folder_names {
    struct arena *arena;
    struct slice *names;
    size_t n;
};

/* Gathers the folders below tables/ from the keys of their files. */
static int note_folder(void *context, const struct store_object *object)
{
    struct folder_names *folders = context;
    struct slice rest = slice_part(object->key, strlen("tables/"), SIZE_MAX);
    const char *slash = rest.data && rest.size ? memchr(rest.data, '/', rest.size) : NULL;
    if (!slash) return 0;
    struct slice name = slice_part(rest, 0, (size_t)(slash - rest.data));
    if (folders->n && slice_equal(folders->names[folders->n - 1], name)) return 0;
    if (folders->n == TABLES_MAX)
        return error_set(GLIS_ELIMIT, "more than %d tables in one folder", TABLES_MAX);
    folders->names[folders->n++] = arena_copy(folders->arena, name);
    return 0;
}

static void note_ignored(struct instance_input *input, const struct property_file *file,
                         struct arena *arena)
{
    struct slice *all = ARENA_ARRAY(arena, struct slice, input->n_ignored + file->n_ignored);
    if (input->n_ignored) memcpy(all, input->ignored, input->n_ignored * sizeof(*all));
    input->ignored = all;
    for (size_t i = 0; i < file->n_ignored; i++) {
        bool known = false;
        for (size_t j = 0; j < input->n_ignored; j++)
            known |= slice_equal(all[j], file->ignored[i]);
        if (!known) all[input->n_ignored++] = file->ignored[i];
    }
}

static int read_tables(struct runtime *runtime, struct slice folder, struct arena *arena,
                       struct instance_input *input)
{
    struct store *store;
    struct folder_names folders = {arena, ARENA_ARRAY(arena, struct slice, TABLES_MAX), 0};
    TRY(store_locate_root(runtime, folder, STORE_LOCAL_READ_ONLY, &store));
    int code = store_each(store, SLICE("tables/"), SLICE_EMPTY, note_folder, &folders);
    store_close(store);
    TRY(code);
    input->tables = ARENA_ARRAY(arena, struct table_definition, folders.n);
    for (size_t i = 0; i < folders.n; i++) {
        struct property_file properties;
        struct table_definition *table = &input->tables[input->n_tables];
        struct slice path = join(arena, join(arena, folder, SLICE("tables")), folders.names[i]);
        TRY(table_definition_read(runtime, path, arena, table, &properties));
        input->n_tables++;
        note_ignored(input, &properties, arena);
        for (size_t j = 0; j + 1 < input->n_tables; j++)
            if (slice_equal(input->tables[j].name, table->name))
                return error_set(GLIS_EINVALID, "%.*s: a second table with the name '%.*s'",
                                 SLICE_PRINT(path), SLICE_PRINT(table->name));
    }
    return 0;
}

static int read_instance(struct runtime *runtime, struct slice folder, struct arena *arena,
                         struct instance_input *input)
{
    struct slice path = join(arena, folder, SLICE("instance.properties")), text;
    int code = read_file(runtime, path, arena, &text);
    if (code == GLIS_ENOTFOUND)
        return error_set(GLIS_EINVALID, "%.*s: there is no such file", SLICE_PRINT(path));
    TRY(code);
    TRY(property_file_read(arena, path, text, PROPERTY_OF_INSTANCE, &input->properties));
    note_ignored(input, &input->properties, arena);
    /* Tags name what the reference makes on AWS: read for their syntax only. */
    path = join(arena, folder, SLICE("tags.properties"));
    code = read_file(runtime, path, arena, &text);
    if (code == 0) {
        struct properties tags;
        TRY_CONTEXT(properties_parse(arena, text, &tags), "%.*s", SLICE_PRINT(path));
    } else if (code != GLIS_ENOTFOUND) {
        return code;
    }
    return read_tables(runtime, folder, arena, input);
}

/* An instance that is there must have been begun from the same settings. */
static int check_same_settings(struct instance *instance, const struct property_file *properties,
                               struct arena *arena)
{
    struct setting *settings;
    size_t n, n_wanted = 0;
    bool same = true;
    TRY(instance_settings(instance, arena, &settings, &n));
    for (size_t i = 0; i < properties->n_settings; i++) {
        const struct setting *wanted = &properties->settings[i];
        if (!wanted->value.size) continue;
        bool found = false;
        n_wanted++;
        for (size_t j = 0; j < n; j++)
            found |= slice_equal(settings[j].name, wanted->name) &&
                     slice_equal(settings[j].value, wanted->value);
        same &= found;
    }
    if (!same || n_wanted != n)
        return error_set(GLIS_EEXISTS, "%s holds a Glis instance already, with other settings",
                         instance_store(instance)->description);
    return 0;
}

/* Creates the tables that are missing; GLIS_EEXISTS when the instance was there and none was. */
static int create_tables(struct instance *instance, const struct instance_input *input,
                         bool was_there)
{
    size_t n_created = 0;
    for (size_t i = 0; i < input->n_tables; i++) {
        int code = table_create(instance, &input->tables[i], NULL);
        if (code == GLIS_EEXISTS && was_there) continue;
        TRY(code);
        n_created++;
    }
    if (was_there && !n_created)
        return error_set(GLIS_EEXISTS, "%s holds a Glis instance already",
                         instance_store(instance)->description);
    return 0;
}

int instance_init_from(struct runtime *runtime, struct store *store, struct slice folder,
                       struct arena *arena, struct slice **ignored, size_t *n_ignored)
{
    struct instance_input input = {0};
    int code = read_instance(runtime, folder, arena, &input);
    bool was_there = false;
    if (code == 0) {
        code =
            instance_init(runtime, store, input.properties.settings, input.properties.n_settings);
        was_there = code == GLIS_EEXISTS;
        if (was_there) code = 0;
    }
    struct instance *instance = NULL;
    if (code == 0) code = instance_open(runtime, store, 0, NULL, &instance);
    if (code == 0 && was_there) code = check_same_settings(instance, &input.properties, arena);
    if (code == 0) code = create_tables(instance, &input, was_there);
    instance_close(instance);
    for (size_t i = 0; i < input.n_tables; i++)
        schema_release(input.tables[i].schema);
    *ignored = input.ignored;
    *n_ignored = input.n_ignored;
    return code;
}
