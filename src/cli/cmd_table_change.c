/*
 * cmd_table_change.c: the commands that change a table: set, rename, drop, undrop, online, offline,
 * reset, add-column, widen, forget-writer. Each is one transaction; a refusal changes nothing.
 */
#include "cli/command.h"

#include "base/text.h"

#include <stdarg.h>

static int done(struct cli *cli, const char *format, ...) GLIS_PRINTF(2, 3);
static int alter_schema(struct cli *cli,
                        int (*change)(struct cli *, const struct schema *, struct schema **));
static int change_add(struct cli *cli, const struct schema *now, struct schema **later);
static int change_widen(struct cli *cli, const struct schema *now, struct schema **later);
static int set_online(struct cli *cli, bool online);

static int show_settings(struct cli *cli)
{
    struct table *table;
    struct setting *settings = NULL;
    size_t n = 0;
    TRY(cli_open_table(cli, CLI_READ, &table));
    const struct table_state *state = NULL;
    int code = table_state_get(table, 0, &state);
    if (code == 0) code = table_state_settings(state, &cli->arena, &settings, &n);
    if (code == 0) code = cli_print_settings(cli, settings, n);
    table_state_release(state);
    table_close(table);
    return code;
}

/* Whether what is said about inexact processing is worth saying again. */
static bool changes_processing(const struct setting *settings, size_t n)
{
    static const enum property_id ids[] = {PROPERTY_TABLE_FILTERS, PROPERTY_TABLE_AGGREGATIONS,
                                           PROPERTY_TABLE_INEXACT};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof ids / sizeof *ids; k++)
            if (slice_equal_text(settings[i].name, property_definition(ids[k])->name)) return true;
    return false;
}

int cmd_table_set(struct cli *cli)
{
    struct setting *settings;
    size_t n;
    if (!cli_flag(cli, "from") && cli->n_arguments == 1) return show_settings(cli);
    if (cli_flag(cli, "from") && cli->n_arguments > 1)
        return cli_usage(cli, "PROPERTY=VALUE and --from FILE do not go together");
    struct property_file file;
    defer_buffer struct buffer text = BUFFER_INIT(0);
    if (cli_flag(cli, "from")) {
        struct slice path = cli_value(cli, "from");
        TRY(cli_read_file(cli, path, &text));
        TRY(property_file_read(&cli->arena, path, buffer_slice(&text), PROPERTY_OF_TABLE, &file));
        settings = file.settings;
        n = file.n_settings;
        for (size_t i = 0; i < file.n_ignored; i++)
            cli_note("left out, for this version has no use for it: %.*s",
                     SLICE_PRINT(file.ignored[i]));
    } else {
        TRY(cli_settings(cli, cli->arguments + 1, cli->n_arguments - 1, &settings, &n));
    }
    struct table *table;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    struct commit_result result;
    int code = n ? table_alter(table, settings, n, NULL, &result) : 0; /* an empty file */
    if (!cli_flag(cli, "from")) code = cli_words(cli, code);
    if (code == 0 && changes_processing(settings, n)) code = cli_warn_inexact(cli, table);
    table_close(table);
    TRY(code);
    return done(cli, "set %zu %s of table %.*s", n, n == 1 ? "property" : "properties",
                SLICE_PRINT(cli->arguments[0]));
}

int cli_warn_inexact(struct cli *cli, struct table *table)
{
    const struct table_state *state;
    struct processing processing;
    defer_buffer struct buffer lines = BUFFER_INIT(1 << 20);
    TRY(table_state_get(table, 0, &state));
    int code = table_state_processing(state, &cli->arena, &processing);
    if (code == 0) code = processing_warn(table_state_schema(state), &processing, &lines);
    table_state_release(state);
    TRY(code);
    for (struct slice rest = buffer_slice(&lines); rest.size;) {
        const char *end = memchr(rest.data, '\n', rest.size);
        struct slice line = slice_part(rest, 0, end ? (size_t)(end - rest.data) : rest.size);
        cli_note("%.*s", SLICE_PRINT(line));
        rest = slice_part(rest, line.size + 1, rest.size);
    }
    return 0;
}

int cmd_table_rename(struct cli *cli)
{
    TRY(cli_words(cli, table_name_check(cli->arguments[1])));
    TRY(cli_open_instance(cli, CLI_WRITE));
    TRY(table_rename(cli->instance, cli->arguments[0], cli->arguments[1]));
    return done(cli, "renamed table %.*s to %.*s", SLICE_PRINT(cli->arguments[0]),
                SLICE_PRINT(cli->arguments[1]));
}

int cmd_table_drop(struct cli *cli)
{
    TRY(cli_open_instance(cli, CLI_WRITE));
    TRY(table_drop(cli->instance, cli->arguments[0]));
    defer_buffer struct buffer delay = BUFFER_INIT(64);
    TRY(text_append_duration(&delay, instance_number(cli->instance, PROPERTY_TABLE_DROP_DELAY)));
    return done(cli, "dropped table %.*s; `glis table undrop %.*s` brings it back within %.*s",
                SLICE_PRINT(cli->arguments[0]), SLICE_PRINT(cli->arguments[0]),
                SLICE_PRINT(buffer_slice(&delay)));
}

int cmd_table_undrop(struct cli *cli)
{
    struct slice as = cli_value(cli, "as");
    TRY(cli_open_instance(cli, CLI_WRITE));
    TRY(table_undrop(cli->instance, cli->arguments[0], as));
    return done(cli, "table %.*s is back", SLICE_PRINT(as.size ? as : cli->arguments[0]));
}

int cmd_table_online(struct cli *cli)
{
    return set_online(cli, true);
}

int cmd_table_offline(struct cli *cli)
{
    return set_online(cli, false);
}

static int set_online(struct cli *cli, bool online)
{
    TRY(cli_open_instance(cli, CLI_WRITE));
    TRY(table_set_online(cli->instance, cli->arguments[0], online));
    return done(cli, "table %.*s is %s", SLICE_PRINT(cli->arguments[0]),
                online ? "online" : "offline");
}

int cmd_table_reset(struct cli *cli)
{
    if (cli_flag(cli, "splits") && cli_flag(cli, "one-leaf"))
        return cli_usage(cli, "--splits and --one-leaf exclude each other");
    if (!cli_flag(cli, "yes"))
        return cli_usage(cli, "this removes all rows of table '%.*s'; give --yes if you mean it",
                         SLICE_PRINT(cli->arguments[0]));
    struct table *table;
    const struct table_state *state = NULL;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    struct slice *points = NULL;
    size_t n_points = 0;
    defer_buffer struct buffer text = BUFFER_INIT(0);
    int code = table_state_get(table, 0, &state);
    if (code == 0 && cli_flag(cli, "splits")) {
        code = cli_read_file(cli, cli_value(cli, "splits"), &text);
        if (code == 0)
            code = table_split_points_read(table_state_schema(state), cli_value(cli, "splits"),
                                           buffer_slice(&text), cli_flag(cli, "splits-base64"),
                                           &cli->arena, &points, &n_points);
    }
    uint64_t rows = code == 0 ? table_state_figures(state).rows : 0;
    bool keep_tree = !cli_flag(cli, "splits") && !cli_flag(cli, "one-leaf");
    struct commit_result result;
    if (code == 0) code = table_reset(table, points, n_points, keep_tree, &result);
    table_state_release(state);
    table_close(table);
    TRY(code);
    return done(cli, "removed all rows of table %.*s (there were %s)",
                SLICE_PRINT(cli->arguments[0]), cli_count(cli, rows));
}

int cmd_table_add_column(struct cli *cli)
{
    TRY(alter_schema(cli, change_add));
    return done(cli, "added column %.*s to table %.*s", SLICE_PRINT(cli->arguments[1]),
                SLICE_PRINT(cli->arguments[0]));
}

int cmd_table_widen(struct cli *cli)
{
    TRY(alter_schema(cli, change_widen));
    return done(cli, "column %.*s of table %.*s is a LongType now", SLICE_PRINT(cli->arguments[1]),
                SLICE_PRINT(cli->arguments[0]));
}

int cmd_table_forget_writer(struct cli *cli)
{
    struct table *table;
    TRY(cli_words(cli, job_id_check("writer", cli->arguments[1])));
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code = table_forget_writer(table, cli->arguments[1]);
    table_close(table);
    TRY(code);
    return done(cli, "forgot writer %.*s of table %.*s", SLICE_PRINT(cli->arguments[1]),
                SLICE_PRINT(cli->arguments[0]));
}

/* The table's aggregations with that of a new column, when one was given. */
static int add_aggregation(struct cli *cli, const struct table_state *state, struct setting *out,
                           size_t *n_out)
{
    if (!cli_flag(cli, "aggregation")) return 0;
    struct slice name = cli->arguments[1], operation = cli_value(cli, "aggregation");
    struct slice before = table_state_text(state, PROPERTY_TABLE_AGGREGATIONS);
    defer_buffer struct buffer text = BUFFER_INIT(2 << 20);
    TRY(buffer_append_slice(&text, before));
    TRY(buffer_printf(&text, "%s%.*s(\"", before.size ? "," : "", SLICE_PRINT(operation)));
    for (size_t i = 0; i < name.size; i++) {
        TRY(buffer_append_byte(&text, (uint8_t)name.data[i]));
        if (name.data[i] == '"') TRY(buffer_append_byte(&text, '"'));
    }
    TRY(buffer_append_text(&text, "\")"));
    *out = (struct setting){slice_from_text(property_definition(PROPERTY_TABLE_AGGREGATIONS)->name),
                            arena_copy(&cli->arena, buffer_slice(&text))};
    *n_out = 1;
    return 0;
}

/* Reads the schema, lets `change` make its later form, and commits that. */
static int alter_schema(struct cli *cli,
                        int (*change)(struct cli *, const struct schema *, struct schema **))
{
    struct table *table;
    const struct table_state *state = NULL;
    struct schema *later = NULL;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code = table_state_get(table, 0, &state);
    if (code == 0) code = change(cli, table_state_schema(state), &later);
    if (code == 0) code = schema_validate_table(later);
    struct commit_result result;
    struct setting setting;
    size_t n_settings = 0;
    if (code == 0) code = add_aggregation(cli, state, &setting, &n_settings);
    if (code == 0) code = table_alter(table, &setting, n_settings, later, &result);
    if (code == 0 && n_settings) code = cli_warn_inexact(cli, table);
    schema_release(later);
    table_state_release(state);
    table_close(table);
    return code;
}

/* The type is read by the schema's own reader, from a schema with just this column. */
static int change_add(struct cli *cli, const struct schema *now, struct schema **later)
{
    struct slice name = cli->arguments[1], type = cli->arguments[2];
    if (schema_find(now, name) >= 0)
        return error_set(GLIS_EEXISTS, "table '%.*s' has a column '%.*s' already",
                         SLICE_PRINT(cli->arguments[0]), SLICE_PRINT(name));
    bool is_json = type.size && (type.data[0] == '{' || type.data[0] == '"');
    defer_buffer struct buffer text = BUFFER_INIT(1 << 20);
    TRY(buffer_append_text(&text, "{\"rowKeyFields\":[{\"name\":\"key of it\",\"type\":"
                                  "\"LongType\"}],\"valueFields\":[{\"name\":"));
    TRY(json_append_string(&text, name));
    TRY(buffer_append_text(&text, ",\"nullable\":true,\"type\":"));
    TRY(is_json ? buffer_append_slice(&text, type) : json_append_string(&text, type));
    TRY(buffer_append_text(&text, "}]}"));
    struct schema *one;
    TRY_CONTEXT(cli_words(cli, schema_from_json(buffer_slice(&text), &one)),
                "the new column '%.*s'", SLICE_PRINT(name));
    struct field *fields = ARENA_ARRAY(&cli->arena, struct field, now->n_fields + 1);
    memcpy(fields, now->fields, now->n_fields * sizeof *fields);
    fields[now->n_fields] = one->fields[1];
    int code = schema_new(later, fields, now->n_fields + 1, now->n_row_keys, now->n_sort_keys);
    schema_release(one);
    return code;
}

static int change_widen(struct cli *cli, const struct schema *now, struct schema **later)
{
    struct slice name = cli->arguments[1];
    uint32_t field;
    TRY(cli_find_column(cli, now, name, &field));
    struct field *fields = ARENA_ARRAY(&cli->arena, struct field, now->n_fields);
    memcpy(fields, now->fields, now->n_fields * sizeof *fields);
    if (fields[field].type.kind != TYPE_INT32)
        return error_set(GLIS_EREFUSED, "column '%.*s' is %s; only IntType can be widened",
                         SLICE_PRINT(name), type_name(&fields[field].type, &cli->arena));
    fields[field].type = (struct type){.kind = TYPE_INT64};
    return schema_new(later, fields, now->n_fields, now->n_row_keys, now->n_sort_keys);
}

static int done(struct cli *cli, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (!cli->json) {
        cli_print(cli, "%s\n", text);
        return 0;
    }
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_text(&writer, "done", text);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}
