/*
 * cmd_table_show.c: the commands that only look at tables: list, show, splits.
 */
#include "cli/command.h"

static int show_json(struct cli *cli, struct slice id, const struct table_state *state);
static int show_text(struct cli *cli, struct slice id, const struct table_state *state);
static const char *life_text(const struct table_entry *entry);

int cmd_table_list(struct cli *cli)
{
    TRY(cli_open_instance(cli, CLI_READ));
    struct table_entry *tables;
    size_t n;
    TRY(instance_tables(cli->instance, cli_flag(cli, "dropped"), &cli->arena, &tables, &n));
    if (cli_flag(cli, "names")) {
        for (size_t i = 0; i < n; i++)
            cli_print(cli, "%.*s\n", SLICE_PRINT(tables[i].name));
        return 0;
    }
    if (cli->json) {
        struct json_writer writer;
        cli_json_begin(cli, &writer);
        json_write_array_begin(&writer);
        for (size_t i = 0; i < n; i++) {
            json_write_object_begin(&writer);
            json_write_field_string(&writer, "name", tables[i].name);
            json_write_field_string(&writer, "id", tables[i].id);
            json_write_field_text(&writer, "state", life_text(&tables[i]));
            json_write_field_int(&writer, "since", tables[i].since_ms);
            json_write_object_end(&writer);
        }
        json_write_array_end(&writer);
        return cli_json_end(cli, &writer);
    }
    if (n == 0) {
        cli_print(cli, "no tables yet; `glis table create` makes one\n");
        return 0;
    }
    struct text_table table;
    text_table_init(&table, (const char *[]){"name", "state", "since", "id"}, 4);
    for (size_t i = 0; i < n; i++) {
        text_table_cell(&table, "%.*s", SLICE_PRINT(tables[i].name));
        text_table_cell(&table, "%s", life_text(&tables[i]));
        text_table_cell(&table, "%s", cli_time(cli, tables[i].since_ms));
        text_table_cell(&table, "%.*s", SLICE_PRINT(tables[i].id));
    }
    text_table_end(cli, &table);
    return 0;
}

static const char *life_text(const struct table_entry *entry)
{
    switch (entry->life) {
    case TABLE_CREATING: return "being created";
    case TABLE_LIVE: return entry->online ? "online" : "offline";
    case TABLE_DROPPING: return "dropped";
    case TABLE_SWEEPING: return "being removed";
    }
    return "?";
}

int cmd_table_show(struct cli *cli)
{
    struct table *table;
    TRY(cli_open_table(cli, CLI_READ, &table));
    const struct table_state *state = NULL;
    struct slice id = arena_copy(&cli->arena, table_id(table)), schema;
    int code = table_state_get(table, 0, &state);
    if (code == 0 && cli_flag(cli, "schema")) {
        code = cli_schema_json(cli, table_state_schema(state), cli->json ? 0 : 2, &schema);
        if (code == 0) cli_print_slice(cli, schema);
        if (code == 0) cli_print(cli, "\n");
    } else if (code == 0) {
        code = cli->json ? show_json(cli, id, state) : show_text(cli, id, state);
    }
    table_state_release(state);
    table_close(table);
    return code;
}

static int show_text(struct cli *cli, struct slice id, const struct table_state *state)
{
    const struct schema *schema = table_state_schema(state);
    cli_print(cli, "table %.*s, id %.*s, record %llu of its log\n\n",
              SLICE_PRINT(cli->arguments[0]), SLICE_PRINT(id),
              (unsigned long long)table_state_record(state));
    cli_print_schema(cli, schema);
    struct setting *settings;
    size_t n;
    TRY(table_state_settings(state, &cli->arena, &settings, &n));
    if (n) cli_print(cli, "\n");
    for (size_t i = 0; i < n; i++)
        cli_print(cli, "%.*s=%.*s\n", SLICE_PRINT(settings[i].name),
                  SLICE_PRINT(settings[i].value));
    return 0;
}

void cli_print_schema(struct cli *cli, const struct schema *schema)
{
    struct text_table table;
    text_table_init(&table, (const char *[]){"column", "type", "part of"}, 3);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct field *field = &schema->fields[i];
        text_table_cell(&table, "%.*s", SLICE_PRINT(field->name));
        text_table_cell(&table, "%s", type_name(&field->type, &cli->arena));
        text_table_cell(&table, "%s",
                        i < schema->n_row_keys         ? "row key"
                        : i < schema_key_count(schema) ? "sort key"
                        : field->nullable              ? "value, may be null"
                                                       : "value");
    }
    text_table_end(cli, &table);
}

static int show_json(struct cli *cli, struct slice id, const struct table_state *state)
{
    struct slice schema;
    struct setting *settings;
    size_t n;
    TRY(cli_schema_json(cli, table_state_schema(state), 0, &schema));
    TRY(table_state_settings(state, &cli->arena, &settings, &n));
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "table", cli->arguments[0]);
    json_write_field_string(&writer, "id", id);
    json_write_field_uint(&writer, "record", table_state_record(state));
    json_write_name(&writer, "schema");
    json_write_raw(&writer, schema);
    json_write_name(&writer, "properties");
    json_write_object_begin(&writer);
    for (size_t i = 0; i < n; i++) {
        json_write_name_slice(&writer, settings[i].name);
        json_write_string(&writer, settings[i].value);
    }
    json_write_object_end(&writer);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

int cmd_table_splits(struct cli *cli)
{
    struct table *table;
    TRY(cli_open_table(cli, CLI_READ, &table));
    const struct table_state *state = NULL;
    defer_buffer struct buffer text = BUFFER_INIT((size_t)1 << 30);
    int code = table_state_get(table, 0, &state);
    if (code == 0) code = table_split_points_write(state, cli_flag(cli, "base64"), &text);
    table_state_release(state);
    table_close(table);
    TRY(code);
    struct slice rest = buffer_slice(&text);
    if (!cli->json) {
        cli_print_slice(cli, rest);
        return 0;
    }
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_array_begin(&writer);
    while (rest.size) {
        const char *end = memchr(rest.data, '\n', rest.size);
        size_t size = end ? (size_t)(end - rest.data) : rest.size;
        json_write_string(&writer, slice_part(rest, 0, size));
        rest = slice_part(rest, size + 1, rest.size);
    }
    json_write_array_end(&writer);
    return cli_json_end(cli, &writer);
}
