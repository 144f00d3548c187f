/*
 * cmd_set.c: `glis set`: shows or changes the instance's properties, one transaction of the
 * catalogue's log; and `glis properties`, the manual of all of them.
 */
#include "cli/command.h"

static int show(struct cli *cli);

int cmd_set(struct cli *cli)
{
    struct setting *settings;
    size_t n;
    if (cli_flag(cli, "from") && cli->n_arguments)
        return cli_usage(cli, "either PROPERTY=VALUE or --from FILE says what to set");
    if (!cli_flag(cli, "from") && cli->n_arguments == 0) return show(cli);
    if (cli_flag(cli, "from")) {
        struct property_file file;
        struct slice path = cli_value(cli, "from");
        defer_buffer struct buffer text = BUFFER_INIT(0);
        TRY(cli_read_file(cli, path, &text));
        TRY(property_file_read(&cli->arena, path, buffer_slice(&text), PROPERTY_OF_INSTANCE,
                               &file));
        settings = file.settings;
        n = file.n_settings;
        for (size_t i = 0; i < file.n_ignored; i++)
            cli_note("left out, for this version has no use for it: %.*s",
                     SLICE_PRINT(file.ignored[i]));
    } else {
        TRY(cli_settings(cli, cli->arguments, cli->n_arguments, &settings, &n));
    }
    TRY(cli_open_instance(cli, CLI_WRITE));
    /* None: an empty file. */
    int code = n ? instance_alter(cli->instance, settings, n) : 0;
    TRY(cli_flag(cli, "from") ? code : cli_words(cli, code));
    if (cli->json)
        cli_print(cli, "{\"set\":%zu}\n", n);
    else
        cli_print(cli, "set %zu %s\n", n, n == 1 ? "property" : "properties");
    return 0;
}

static int show(struct cli *cli)
{
    TRY(cli_open_instance(cli, CLI_READ));
    struct setting *settings;
    size_t n;
    TRY(instance_settings(cli->instance, &cli->arena, &settings, &n));
    return cli_print_settings(cli, settings, n);
}

int cli_print_settings(struct cli *cli, const struct setting *settings, size_t n)
{
    if (!cli->json) {
        if (n == 0) cli_print(cli, "nothing was set; `glis properties` lists what can be\n");
        for (size_t i = 0; i < n; i++)
            cli_print(cli, "%.*s=%.*s\n", SLICE_PRINT(settings[i].name),
                      SLICE_PRINT(settings[i].value));
        return 0;
    }
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < n; i++) {
        json_write_name_slice(&writer, settings[i].name);
        json_write_string(&writer, settings[i].value);
    }
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

int cmd_properties(struct cli *cli)
{
    struct slice group = cli->n_arguments ? cli->arguments[0] : SLICE_EMPTY;
    defer_buffer struct buffer text = BUFFER_INIT(4 << 20);
    int code = property_manual(group, cli->json, &text);
    if (code == GLIS_EINVALID) cli->is_usage_error = true;
    TRY(code);
    cli_print_slice(cli, buffer_slice(&text));
    return 0;
}
