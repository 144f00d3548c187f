/*
 * cmd_log.c: `glis log show|snapshot|trim|set-time`: a table's transactions as people read them,
 * and what a person may do to a log. `show` needs no state, so that it works on what is
 * damaged.
 */
#include "cli/command.h"
#include "log/log.h"

static int show_record(void *state, const struct log_shown *record);
static int show_json(struct cli *cli, const struct log_shown *record);
static int log_prefix(struct cli *cli, struct slice *out);

int cmd_log_show(struct cli *cli)
{
    uint64_t from = 0, to = 0;
    if (cli_flag(cli, "catalogue") == (cli->n_arguments == 1))
        return cli_usage(cli, "either TABLE or --catalogue says which log");
    TRY(cli_number(cli, "from", 1, UINT64_MAX - 1, &from));
    TRY(cli_number(cli, "to", 1, UINT64_MAX - 1, &to));
    if (to && from > to) return cli_usage(cli, "--from is greater than --to");
    struct slice prefix;
    TRY(log_prefix(cli, &prefix));
    const struct log_machine *machine =
        cli_flag(cli, "catalogue") ? catalogue_log_machine() : table_log_machine();
    return log_show_judged(&cli->runtime, cli->store, prefix, machine, from, to, show_record, cli);
}

/* From the catalogue, so that it works on a table whose own log is damaged. */
static int log_prefix(struct cli *cli, struct slice *out)
{
    TRY(cli_open_instance(cli, CLI_READ));
    *out = SLICE("catalogue/");
    if (cli_flag(cli, "catalogue")) return 0;
    struct table_entry *tables;
    size_t n;
    TRY(instance_tables(cli->instance, false, &cli->arena, &tables, &n));
    const char **names = ARENA_ARRAY(&cli->arena, const char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        names[i] = arena_copy_text(&cli->arena, tables[i].name);
        if (!slice_equal(tables[i].name, cli->arguments[0])) continue;
        *out =
            slice_from_text(arena_printf(&cli->arena, "tables/%.*s/", SLICE_PRINT(tables[i].id)));
        return 0;
    }
    return error_set(GLIS_ENOTFOUND, "there is no table '%.*s'%s", SLICE_PRINT(cli->arguments[0]),
                     cli_did_you_mean(cli, cli->arguments[0], names, n));
}

static const struct {
    const char *text, *word;
} fates[] = {
    [LOG_FATE_UNKNOWN] = {"", ""},
    [LOG_FATE_APPLIED] = {"", "applied"},
    [LOG_FATE_DONE] = {"; without effect: done before, or too late", "without effect"},
    [LOG_FATE_REFUSED] = {"; refused: ", "refused"},
};

static int show_record(void *state, const struct log_shown *record)
{
    struct cli *cli = state;
    if (cli->json) return show_json(cli, record);
    cli_print(cli, "record %llu  %s  writer %.*s\n", (unsigned long long)record->record,
              cli_time(cli, record->time_ms), SLICE_PRINT(record->writer));
    if (record->code) cli_print(cli, "  DAMAGED: %s\n", record->problem);
    for (size_t i = 0; i < record->n_lines; i++) {
        const struct log_shown_line *line = &record->lines[i];
        if (line->pending.size)
            cli_print(cli, "  (carried for %.*s, up to record %llu%s%.*s)\n",
                      SLICE_PRINT(line->pending), (unsigned long long)line->not_after,
                      fates[line->fate].text, SLICE_PRINT(line->reason));
        if (line->body.size) cli_print(cli, "  (body %.*s)\n", SLICE_PRINT(line->body));
        if (line->code)
            cli_print(cli, "  DAMAGED: %s\n", line->problem);
        else
            cli_print(cli, "  ");
        cli_print_slice(cli, line->text);
        cli_print(cli, "\n");
    }
    return runtime_check_cancel(&cli->runtime);
}

static int show_json(struct cli *cli, const struct log_shown *record)
{
    struct json_writer writer;
    json_writer_init(&writer, &cli->out.buffer, 0);
    json_write_object_begin(&writer);
    json_write_field_uint(&writer, "record", record->record);
    json_write_field_int(&writer, "time", record->time_ms);
    json_write_field_string(&writer, "writer", record->writer);
    json_write_field_string(&writer, "id", record->id);
    json_write_field_string(&writer, "previous", record->previous);
    if (record->code) json_write_field_text(&writer, "problem", record->problem);
    json_write_name(&writer, "transactions");
    json_write_array_begin(&writer);
    for (size_t i = 0; i < record->n_lines; i++) {
        const struct log_shown_line *line = &record->lines[i];
        const struct json *tree = NULL;
        json_write_object_begin(&writer);
        if (line->pending.size) json_write_field_string(&writer, "pending", line->pending);
        if (line->fate) json_write_field_text(&writer, "outcome", fates[line->fate].word);
        if (line->reason.size) json_write_field_string(&writer, "reason", line->reason);
        if (line->body.size) json_write_field_string(&writer, "body", line->body);
        if (line->code) json_write_field_text(&writer, "problem", line->problem);
        json_write_name(&writer, "transaction");
        if (json_parse(&cli->arena, line->text, JSON_RULES_INTERNAL, &tree) == 0)
            json_write_value(&writer, tree);
        else
            json_write_string(&writer, line->text);
        json_write_object_end(&writer);
    }
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    TRY(cli_json_end(cli, &writer));
    return runtime_check_cancel(&cli->runtime);
}

int cmd_log_snapshot(struct cli *cli)
{
    struct table *table;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code = table_snapshot_write(table);
    table_close(table);
    TRY(code);
    cli_print(cli, cli->json ? "{\"done\":true}\n" : "there is a snapshot of the newest state\n");
    return 0;
}

static int report_trim(struct cli *cli, const struct log_trim_result *result, bool dry_run)
{
    if (cli->json) {
        struct json_writer json;
        cli_json_begin(cli, &json);
        json_write_object_begin(&json);
        json_write_field_uint(&json, "line", result->line);
        json_write_field_uint(&json, "records", result->records);
        json_write_field_uint(&json, "bodies", result->bodies);
        json_write_field_uint(&json, "snapshots", result->snapshots);
        json_write_field_uint(&json, "pending", result->pending);
        json_write_field_uint(&json, "uploads", result->uploads);
        json_write_field_bool(&json, "dryRun", dry_run);
        json_write_object_end(&json);
        return cli_json_end(cli, &json);
    }
    uint64_t n =
        result->records + result->bodies + result->snapshots + result->pending + result->uploads;
    if (n == 0) {
        cli_print(cli, "nothing to trim\n");
        return 0;
    }
    cli_print(cli, "%s records, %s bodies, %s snapshots %s", cli_count(cli, result->records),
              cli_count(cli, result->bodies), cli_count(cli, result->snapshots),
              dry_run ? "would be removed" : "removed");
    if (result->pending) cli_print(cli, "; %s entries", cli_count(cli, result->pending));
    if (result->uploads) cli_print(cli, "; %s uploads", cli_count(cli, result->uploads));
    if (result->line)
        cli_print(cli, "; the log %s with record %llu", dry_run ? "would begin" : "begins",
                  (unsigned long long)result->line + 1);
    cli_print(cli, "\n");
    return 0;
}

int cmd_log_trim(struct cli *cli)
{
    struct log_trim_result result;
    struct table_trim_options options = {.full = cli_flag(cli, "full"),
                                         .dry_run = cli_flag(cli, "dry-run"),
                                         .keep_given = cli_flag(cli, "keep")};
    if (cli_flag(cli, "catalogue") == (cli->n_arguments == 1))
        return cli_usage(cli, "either TABLE or --catalogue says which log");
    TRY(cli_number(cli, "keep", 0, UINT64_MAX - 1, &options.keep));
    if (cli_flag(cli, "catalogue")) {
        TRY(cli_open_instance(cli, CLI_WRITE));
        TRY(instance_trim(cli->instance, &options, &result));
        return report_trim(cli, &result, options.dry_run);
    }
    struct table *table;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code = table_trim(table, &options, &result);
    table_close(table);
    TRY(code);
    return report_trim(cli, &result, options.dry_run);
}

int cmd_log_set_time(struct cli *cli)
{
    uint64_t record = 0;
    if (!cli_flag(cli, "record"))
        return cli_usage(cli, "--record N is missing: the newest record, which `glis log show` "
                              "prints last");
    TRY(cli_number(cli, "record", 1, UINT64_MAX - 1, &record));
    if (cli_flag(cli, "catalogue") == (cli->n_arguments == 1))
        return cli_usage(cli, "either TABLE or --catalogue says which log");
    struct commit_result result = {0};
    if (cli_flag(cli, "catalogue")) {
        TRY(cli_open_instance(cli, CLI_WRITE));
        TRY(instance_set_time(cli->instance, record, &result.record));
    } else {
        struct table *table;
        TRY(cli_open_table(cli, CLI_WRITE, &table));
        int code = table_set_time(table, record, &result);
        table_close(table);
        TRY(code);
    }
    if (cli->json)
        cli_print(cli, "{\"record\":%llu}\n", (unsigned long long)result.record);
    else
        cli_print(cli, "set the time of the log; record %llu\n", (unsigned long long)result.record);
    return 0;
}
