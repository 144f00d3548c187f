/*
 * cmd_delete.c: `glis delete TABLE (--key V | --from V --to V)`: rows taken out for good, with what
 * still keeps them said plainly.
 */
#include "cli/command.h"

#include "lsm/lsm.h"

static int on_progress(void *state, const struct merge_files_progress *progress)
{
    struct progress_line *line = state;
    if (!progress_due(line)) return 0;
    arena_free(&line->scratch);
    progress_show(line, "writing anew: %s of %s rows",
                  text_of_count(&line->scratch, progress->rows_read),
                  text_of_count(&line->scratch, progress->rows_total));
    return 0;
}

static int report_json(struct cli *cli, const struct delete_result *result)
{
    struct json_writer json;
    cli_json_begin(cli, &json);
    json_write_object_begin(&json);
    json_write_field_uint(&json, "rows", result->rows);
    json_write_field_uint(&json, "references", result->references);
    json_write_field_uint(&json, "filesWritten", result->files);
    json_write_field_uint(&json, "bytesWritten", result->bytes);
    json_write_field_uint(&json, "objectsRemoved", result->objects_removed);
    json_write_field_uint(&json, "record", result->record);
    json_write_field_bool(&json, "complete", result->is_complete);
    json_write_name(&json, "pins");
    json_write_array_begin(&json);
    for (size_t i = 0; i < result->n_pins; i++)
        json_write_string(&json, result->pins[i]);
    json_write_array_end(&json);
    json_write_field_uint(&json, "staged", result->staged);
    json_write_field_uint(&json, "takenOver", result->foreign);
    json_write_field_uint(&json, "filesLeft", result->files_left);
    json_write_object_end(&json);
    return cli_json_end(cli, &json);
}

static void report(struct cli *cli, const struct delete_result *result)
{
    if (cli_flag(cli, "dry-run")) {
        cli_print(cli, "%s %s would be written anew\n", cli_count(cli, result->references),
                  result->references == 1 ? "file" : "files");
    } else if (!result->record) {
        cli_print(cli, "no file holds such rows\n");
    } else {
        cli_print(cli, "deleted %s %s; %s %s written anew, %s; record %llu\n",
                  cli_count(cli, result->rows), result->rows == 1 ? "row" : "rows",
                  cli_count(cli, result->files), result->files == 1 ? "file" : "files",
                  cli_size(cli, result->bytes), (unsigned long long)result->record);
    }
    for (size_t i = 0; i < result->n_pins; i++)
        cli_print(cli, "pin %.*s still keeps such rows (--drop-pins, or glis table unpin)\n",
                  SLICE_PRINT(result->pins[i]));
    if (result->staged)
        cli_print(cli, "%s %s of jobs under way may hold such rows: run this again later\n",
                  cli_count(cli, result->staged), result->staged == 1 ? "object" : "objects");
    if (result->foreign)
        cli_print(cli,
                  "%s files that were taken over hold such rows where they lie: remove them "
                  "there\n",
                  cli_count(cli, result->foreign));
    if (result->files_left && !result->n_pins)
        cli_print(cli,
                  "%s files may hold such rows still, added or kept meanwhile: run this again\n",
                  cli_count(cli, result->files_left));
    if (result->is_complete)
        cli_print(cli, "no file and no pin holds such rows any more; split points, log records and "
                       "old snapshots may name keys until they are trimmed\n");
}

static int run(struct cli *cli, struct table *table)
{
    struct query query;
    struct delete_result result;
    struct progress_line line;
    TRY(table_state_get(table, 0, &cli->state));
    query = (struct query){.schema = table_state_schema(cli->state)};
    TRY(cli_query_regions(cli, &query));
    const struct key_range **regions =
        ARENA_ARRAY(&cli->arena, const struct key_range *, query.n_regions);
    for (size_t i = 0; i < query.n_regions; i++)
        regions[i] = query.regions[i].ranges;
    struct delete_options options = {
        .dry_run = cli_flag(cli, "dry-run"),
        .drop_pins = cli_flag(cli, "drop-pins"),
        .work = {.progress = on_progress, .progress_state = &line},
    };
    progress_begin(cli, &line);
    int code =
        delete_rows(table, &cli->runtime, regions, query.n_regions, &options, &cli->arena, &result);
    progress_end(&line);
    TRY(code);
    if (cli->json) return report_json(cli, &result);
    report(cli, &result);
    return 0;
}

int cmd_delete(struct cli *cli)
{
    if (!cli_flag(cli, "key") && !cli_flag(cli, "from") && !cli_flag(cli, "to"))
        return cli_usage(cli, "say which rows: --key, or --from and --to; all rows go with "
                              "`glis table reset`");
    if (!cli_flag(cli, "yes") && !cli_flag(cli, "dry-run"))
        return cli_usage(cli, "deleted rows cannot be had back; say --yes when that is meant, or "
                              "--dry-run to see how much would be written");
    struct table *table;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code = run(cli, table);
    table_close(table);
    return code;
}
