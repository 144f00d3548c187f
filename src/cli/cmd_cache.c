/*
 * cmd_cache.c: `glis cache show|clear`: what pieces of data files lie on this machine, and taking
 * them away. Both ask no store.
 */
#include "cli/command.h"

#include "table/instance.h"

static int cache_use(struct cli *cli, bool clear)
{
    char *folder;
    struct store_cache_use use;
    TRY(instance_cache_folder(&cli->overrides, NULL, &cli->arena, &folder));
    if (!folder)
        return error_set(GLIS_ENOTFOUND, "no folder is known: set glis.cache.dir (GLIS_CACHE_DIR), "
                                         "XDG_CACHE_HOME or HOME");
    TRY(store_cache_use(folder, clear, &use));
    if (!cli->json) {
        cli_print(cli, "%s%s %s, %s, in %s\n", clear ? "removed " : "", cli_count(cli, use.pieces),
                  use.pieces == 1 ? "piece" : "pieces", cli_size(cli, use.bytes), folder);
        return 0;
    }
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_text(&writer, "folder", folder);
    json_write_field_uint(&writer, "pieces", use.pieces);
    json_write_field_uint(&writer, "bytes", use.bytes);
    json_write_field_bool(&writer, "removed", clear);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

int cmd_cache_show(struct cli *cli)
{
    return cache_use(cli, false);
}

int cmd_cache_clear(struct cli *cli)
{
    return cache_use(cli, true);
}
