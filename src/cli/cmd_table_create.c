/*
 * cmd_table_create.c: `glis table create`: the schema from a file, proposed from data, or from a
 * folder as instances describe their tables; split points; properties; and the one transaction that
 * makes the table. Everything is read and checked first.
 */
#include "cli/command.h"
#include "parquet/parquet.h"

#include <errno.h>
#include <fcntl.h>

struct creation {
    struct table_definition definition;
    struct schema *schema; /* ours to release */
};

static int creation_read(struct cli *cli, struct creation *creation);
static int schema_from_file(struct cli *cli, struct slice path, struct schema **out);
static int schema_like(struct cli *cli, struct slice path, struct schema **out);
static int like_parquet(struct cli *cli, struct slice path, const struct propose_options *options,
                        struct schema **out);
static int definition_from_folder(struct cli *cli, struct creation *creation);
static int splits_from_file(struct cli *cli, struct creation *creation);
static int create_and_report(struct cli *cli, const struct creation *creation);

int cmd_table_create(struct cli *cli)
{
    int n_sources = cli_flag(cli, "schema") + cli_flag(cli, "like") + cli_flag(cli, "from");
    if (n_sources != 1)
        return cli_usage(cli, "exactly one of --schema FILE, --like FILE and --from FOLDER says "
                              "what the table looks like");
    if (!cli_flag(cli, "like") && (cli_flag(cli, "row-keys") || cli_flag(cli, "sort-keys")))
        return cli_usage(cli, "--row-keys and --sort-keys go with --like; a schema file names its "
                              "keys itself");
    if (!cli_flag(cli, "dry-run")) TRY(cli_words(cli, table_name_check(cli->arguments[0])));
    struct creation creation = {.definition = {.name = cli->arguments[0]}};
    int code = creation_read(cli, &creation);
    if (code == 0) code = create_and_report(cli, &creation);
    schema_release(creation.schema);
    return code;
}

static int creation_read(struct cli *cli, struct creation *creation)
{
    if (cli_flag(cli, "from"))
        TRY(definition_from_folder(cli, creation));
    else
        TRY(cli_schema_read(cli, &creation->schema));
    struct table_definition *definition = &creation->definition;
    definition->schema = creation->schema;
    TRY(schema_validate_table(creation->schema));
    if (cli_flag(cli, "splits")) TRY(splits_from_file(cli, creation));
    size_t n = definition->n_settings + cli->n_table_sets;
    struct setting *settings = ARENA_ARRAY(&cli->arena, struct setting, n);
    if (definition->n_settings)
        memcpy(settings, definition->settings, definition->n_settings * sizeof *settings);
    if (cli->n_table_sets)
        memcpy(settings + definition->n_settings, cli->table_sets,
               cli->n_table_sets * sizeof *settings);
    definition->settings = settings;
    definition->n_settings = n;
    return 0;
}

int cli_schema_read(struct cli *cli, struct schema **out)
{
    if (cli_flag(cli, "schema")) return schema_from_file(cli, cli_value(cli, "schema"), out);
    return schema_like(cli, cli_value(cli, "like"), out);
}

static int schema_from_file(struct cli *cli, struct slice path, struct schema **out)
{
    defer_buffer struct buffer text = BUFFER_INIT(0);
    TRY(cli_read_file(cli, path, &text));
    TRY_CONTEXT(schema_from_json(buffer_slice(&text), out), "%.*s", SLICE_PRINT(path));
    return 0;
}

static int schema_like(struct cli *cli, struct slice path, struct schema **out)
{
    enum format_kind kind;
    struct propose_options options = {.format = {.budget = &cli->budget}};
    TRY(format_kind_by_name(path, &kind, &options.format.csv_delimiter));
    struct slice *row_keys, *sort_keys;
    size_t n_row_keys, n_sort_keys;
    cli_names(cli, "row-keys", &row_keys, &n_row_keys);
    cli_names(cli, "sort-keys", &sort_keys, &n_sort_keys);
    options.row_keys = row_keys;
    options.sort_keys = sort_keys;
    options.n_row_keys = (uint32_t)n_row_keys;
    options.n_sort_keys = (uint32_t)n_sort_keys;
    if (kind == FORMAT_PARQUET) return like_parquet(cli, path, &options, out);
    const char *name = arena_copy_text(&cli->arena, path);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(errno, "cannot open %s", name);
    struct byte_source *source;
    TRY(byte_source_open_fd(&cli->runtime, fd, name, true, &source));
    return format_propose(source, kind, &options, out);
}

static int like_parquet(struct cli *cli, struct slice path, const struct propose_options *options,
                        struct schema **out)
{
    struct store *store;
    struct slice key;
    TRY(store_locate(&cli->runtime, path, &cli->arena, &store, &key));
    struct parquet_reader *reader = NULL;
    int code = parquet_reader_open(&reader, &cli->runtime, store, key, &cli->budget);
    if (code == 0) code = format_propose_schema(parquet_reader_schema(reader), options, out);
    parquet_reader_close(reader);
    store_close(store);
    if (code < 0) error_context("%.*s", SLICE_PRINT(path));
    return code;
}

static int definition_from_folder(struct cli *cli, struct creation *creation)
{
    struct property_file properties;
    struct slice name = creation->definition.name;
    TRY(table_definition_read(&cli->runtime, cli_value(cli, "from"), &cli->arena,
                              &creation->definition, &properties));
    creation->schema = (struct schema *)creation->definition.schema;
    creation->definition.name = name;
    for (size_t i = 0; i < properties.n_ignored; i++)
        cli_note("left out, for this version has no use for it: %.*s",
                 SLICE_PRINT(properties.ignored[i]));
    return 0;
}

static int splits_from_file(struct cli *cli, struct creation *creation)
{
    defer_buffer struct buffer text = BUFFER_INIT(0);
    struct slice path = cli_value(cli, "splits"), *points;
    TRY(cli_read_file(cli, path, &text));
    TRY(table_split_points_read(creation->schema, path, buffer_slice(&text),
                                cli_flag(cli, "splits-base64"), &cli->arena, &points,
                                &creation->definition.n_split_points));
    creation->definition.split_points = points;
    return 0;
}

static int create_and_report(struct cli *cli, const struct creation *creation)
{
    const struct table_definition *definition = &creation->definition;
    struct slice schema;
    TRY(cli_schema_json(cli, creation->schema, cli->json ? 0 : 2, &schema));
    if (cli_flag(cli, "dry-run")) {
        cli_print_slice(cli, schema);
        cli_print(cli, "\n");
        return 0;
    }
    TRY(cli_open_instance(cli, CLI_WRITE));
    struct table *table;
    TRY(table_create(cli->instance, definition, &table));
    struct slice id = arena_copy(&cli->arena, table_id(table));
    int code = cli_warn_inexact(cli, table);
    table_close(table);
    TRY(code);
    if (cli->json) {
        struct json_writer writer;
        cli_json_begin(cli, &writer);
        json_write_object_begin(&writer);
        json_write_field_string(&writer, "table", definition->name);
        json_write_field_string(&writer, "id", id);
        json_write_field_uint(&writer, "leaves", definition->n_split_points + 1);
        json_write_name(&writer, "schema");
        json_write_raw(&writer, schema);
        json_write_object_end(&writer);
        return cli_json_end(cli, &writer);
    }
    cli_print(cli, "created table %.*s with %zu %s\n", SLICE_PRINT(definition->name),
              definition->n_split_points + 1, definition->n_split_points ? "leaves" : "leaf");
    if (!cli_flag(cli, "like")) return 0;
    cli_print(cli, "\n");
    cli_print_schema(cli, creation->schema);
    if (!cli_flag(cli, "row-keys"))
        cli_print(cli, "\nthe first column that can be a key became the row key; --row-keys names "
                       "others\n");
    return 0;
}
