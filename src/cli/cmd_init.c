/*
 * cmd_init.c: `glis init ROOT [--from FOLDER] [--property name=value]`: begins an instance. The
 * table module reads and checks the folder; here is only what the user sees of it.
 */
#include "cli/command.h"

#include <stdlib.h>
#include <unistd.h>

static int init_from(struct cli *cli, struct slice folder);
static int init_plain(struct cli *cli);
static int report(struct cli *cli);

int cmd_init(struct cli *cli)
{
    struct slice from = cli_value(cli, "from");
    if (from.data && cli_flag(cli, "property"))
        return cli_usage(cli, "--property and --from are two ways to say the same; put the "
                              "properties into the folder's instance.properties");
    cli->root = cli->arguments[0];
    TRY(store_root_open(&cli->runtime, cli->root, STORE_LOCAL_CREATE, &cli->store));
    TRY(store_root_begin(cli->store, cli_value(cli, "log-home")));
    TRY(from.data ? init_from(cli, from) : init_plain(cli));
    return report(cli);
}

static int init_from(struct cli *cli, struct slice folder)
{
    struct slice *ignored = NULL;
    size_t n_ignored = 0;
    TRY(instance_init_from(&cli->runtime, cli->store, folder, &cli->arena, &ignored, &n_ignored));
    if (n_ignored == 0) return 0;
    defer_buffer struct buffer names = BUFFER_INIT(1 << 20);
    for (size_t i = 0; i < n_ignored; i++)
        TRY(buffer_printf(&names, "%s%.*s", i ? ", " : "", SLICE_PRINT(ignored[i])));
    cli_note("left out, for this version has no use for them: %.*s",
             SLICE_PRINT(buffer_slice(&names)));
    return 0;
}

static int init_plain(struct cli *cli)
{
    size_t n = 0;
    struct slice *words = ARENA_ARRAY(&cli->arena, struct slice, cli->n_given + 1);
    for (size_t i = 0; i < cli->n_given; i++)
        if (strcmp(cli->given[i].option->name, "property") == 0)
            words[n++] = cli->given[i].values[0];
    struct setting *settings;
    TRY(cli_settings(cli, words, n, &settings, &n));
    return cli_words(cli, instance_init(&cli->runtime, cli->store, settings, n));
}

static int report(struct cli *cli)
{
    TRY(instance_open(&cli->runtime, cli->store, INSTANCE_READ_ONLY, &cli->overrides,
                      &cli->instance));
    struct table_entry *tables;
    size_t n;
    TRY(instance_tables(cli->instance, false, &cli->arena, &tables, &n));
    if (cli->json) {
        struct json_writer writer;
        cli_json_begin(cli, &writer);
        json_write_object_begin(&writer);
        json_write_field_string(&writer, "instance", cli->root);
        json_write_name(&writer, "tables");
        json_write_array_begin(&writer);
        for (size_t i = 0; i < n; i++)
            json_write_string(&writer, tables[i].name);
        json_write_array_end(&writer);
        json_write_object_end(&writer);
        return cli_json_end(cli, &writer);
    }
    cli_print(cli, "began an instance in %s\n", cli->store->description);
    for (size_t i = 0; i < n; i++)
        cli_print(cli, "created table %.*s\n", SLICE_PRINT(tables[i].name));
    if (isatty(cli->out.fd) && !getenv("GLIS_INSTANCE"))
        cli_print(cli, "the other commands find it by --instance, or by GLIS_INSTANCE\n");
    return 0;
}
