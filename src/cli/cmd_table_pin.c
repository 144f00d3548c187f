/*
 * cmd_table_pin.c: the commands about a table's past and its damaged files: pin, unpin, restore,
 * set-aside, take-back. Each is one transaction; a refusal changes nothing.
 */
#include "cli/command.h"

static int report(struct cli *cli, const struct commit_result *result, const char *text)
{
    if (cli->json) {
        struct json_writer json;
        cli_json_begin(cli, &json);
        json_write_object_begin(&json);
        json_write_field_uint(&json, "record", result->record);
        json_write_object_end(&json);
        return cli_json_end(cli, &json);
    }
    cli_print(cli, "%s; record %llu\n", text, (unsigned long long)result->record);
    return 0;
}

/* ---- pins ---- */

static int list_pins(struct cli *cli, const struct table_state *state)
{
    struct table_pin *pins;
    size_t n;
    int64_t now_ms = cli->runtime.clock->wall_ms(cli->runtime.clock);
    TRY(table_pins(state, &cli->arena, &pins, &n));
    if (cli->json) {
        struct json_writer json;
        cli_json_begin(cli, &json);
        json_write_array_begin(&json);
        for (size_t i = 0; i < n; i++) {
            json_write_object_begin(&json);
            json_write_field_string(&json, "pin", pins[i].id);
            json_write_field_uint(&json, "record", pins[i].record);
            json_write_field_text(&json, "keeps", pins[i].keeps_work ? "work" : "files");
            if (pins[i].until_ms) json_write_field_int(&json, "until", pins[i].until_ms);
            json_write_object_end(&json);
        }
        json_write_array_end(&json);
        return cli_json_end(cli, &json);
    }
    if (!n) cli_print(cli, "no pins\n");
    if (!n) return 0;
    struct text_table table;
    static const char *const headings[] = {"pin", ">record", "keeps", "until"};
    text_table_init(&table, headings, 4);
    for (size_t i = 0; i < n; i++) {
        bool over = pins[i].until_ms && pins[i].until_ms <= now_ms;
        text_table_cell(&table, "%.*s", SLICE_PRINT(pins[i].id));
        text_table_cell(&table, "%llu", (unsigned long long)pins[i].record);
        text_table_cell(&table, "%s", pins[i].keeps_work ? "work" : "files");
        text_table_cell(&table, "%s%s",
                        pins[i].until_ms ? cli_time(cli, pins[i].until_ms) : "for ever",
                        over ? " (over)" : "");
    }
    text_table_end(cli, &table);
    return 0;
}

static int put_pin(struct cli *cli, struct table *table, const struct table_state *state)
{
    struct table_pin pin = {.id = cli->arguments[1], .record = table_state_record(state)};
    int64_t for_ms = 0;
    TRY(cli_number(cli, "record", 1, UINT64_MAX, &pin.record));
    TRY(cli_duration(cli, "for", &for_ms));
    if (cli_flag(cli, "for") && for_ms <= 0) return cli_usage(cli, "--for wants a time");
    if (for_ms) pin.until_ms = cli->runtime.clock->wall_ms(cli->runtime.clock) + for_ms;
    if (pin.record > table_state_record(state))
        return error_set(GLIS_EINVALID, "the table's newest record is %llu",
                         (unsigned long long)table_state_record(state));
    struct commit_result result;
    TRY(table_pin(table, &pin, &result));
    return report(
        cli, &result,
        arena_printf(&cli->arena, "pin %.*s keeps record %llu readable %s", SLICE_PRINT(pin.id),
                     (unsigned long long)pin.record,
                     for_ms ? arena_printf(&cli->arena, "until %s", cli_time(cli, pin.until_ms))
                            : "for ever"));
}

int cmd_table_pin(struct cli *cli)
{
    struct table *table;
    const struct table_state *state = NULL;
    bool puts = cli->n_arguments > 1;
    if (!puts && (cli_flag(cli, "record") || cli_flag(cli, "for")))
        return cli_usage(cli, "a pin needs a name");
    if (puts) TRY(cli_words(cli, job_id_check("pin", cli->arguments[1])));
    TRY(cli_open_table(cli, puts ? CLI_WRITE : CLI_READ, &table));
    int code = table_state_get(table, 0, &state);
    if (code == 0) code = puts ? put_pin(cli, table, state) : list_pins(cli, state);
    table_state_release(state);
    table_close(table);
    return code;
}

int cmd_table_unpin(struct cli *cli)
{
    struct table *table;
    struct commit_result result;
    TRY(cli_words(cli, job_id_check("pin", cli->arguments[1])));
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code = table_unpin(table, cli->arguments[1], &result);
    table_close(table);
    TRY(code);
    return report(cli, &result,
                  arena_printf(&cli->arena, "unpinned %.*s", SLICE_PRINT(cli->arguments[1])));
}

/* ---- restore ---- */

/* The record that --to-record or --to-pin names. */
static int restore_record(struct cli *cli, struct table *table, uint64_t *out)
{
    struct slice name = cli_value(cli, "to-pin");
    if ((name.data != NULL) == cli_flag(cli, "to-record"))
        return cli_usage(cli, "give --to-record N or --to-pin NAME");
    if (!name.data) return cli_number(cli, "to-record", 1, UINT64_MAX, out);
    const struct table_state *state;
    struct table_pin *pins;
    size_t n;
    TRY(table_state_get(table, 0, &state));
    int code = table_pins(state, &cli->arena, &pins, &n);
    table_state_release(state);
    TRY(code);
    for (size_t i = 0; i < n; i++)
        if (slice_equal(pins[i].id, name)) {
            *out = pins[i].record;
            return 0;
        }
    return error_set(GLIS_ENOTFOUND, "there is no pin '%.*s'", SLICE_PRINT(name));
}

int cmd_table_restore(struct cli *cli)
{
    if (!cli_flag(cli, "yes"))
        return cli_usage(cli,
                         "what was added since goes out of sight; say --yes when that is meant");
    struct table *table;
    uint64_t record = 0;
    struct commit_result result;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code = restore_record(cli, table, &record);
    if (code == 0) code = table_restore(table, record, &result);
    table_close(table);
    TRY(code);
    return report(cli, &result,
                  arena_printf(&cli->arena, "table %.*s is as it was at record %llu",
                               SLICE_PRINT(cli->arguments[0]), (unsigned long long)record));
}

/* ---- damaged files ---- */

static int change_file(struct cli *cli, bool aside)
{
    struct table *table;
    struct commit_result result;
    struct slice file = cli->arguments[1];
    /* As check and status print it, with or without the folder. */
    if (!memmem(file.data, file.size, "/", 1))
        file = slice_from_text(arena_printf(&cli->arena, "data/%.*s", SLICE_PRINT(file)));
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code =
        aside ? table_set_aside(table, file, &result) : table_take_back(table, file, &result);
    table_close(table);
    TRY(code);
    return report(
        cli, &result,
        arena_printf(&cli->arena, aside ? "set aside %.*s" : "took back %.*s", SLICE_PRINT(file)));
}

int cmd_table_set_aside(struct cli *cli)
{
    return change_file(cli, true);
}

int cmd_table_take_back(struct cli *cli)
{
    return change_file(cli, false);
}
