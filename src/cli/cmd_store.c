/*
 * cmd_store.c: `glis store probe ROOT`: what a folder or a bucket can do, by trying it. The trying
 * is store/store_probe.c's; here it is printed.
 */
#include "cli/command.h"

static int print_text(struct cli *cli, const struct store_probe *probe);
static int print_json(struct cli *cli, const struct store_probe *probe);

int cmd_store_probe(struct cli *cli)
{
    struct store_probe probe;
    TRY(store_locate_root(&cli->runtime, cli->arguments[0], 0, &cli->store));
    TRY(store_probe(&cli->runtime, cli->store, &cli->arena, &probe));
    TRY(cli->json ? print_json(cli, &probe) : print_text(cli, &probe));
    if (probe.good) return 0;
    for (size_t i = 0; i < probe.n_steps; i++)
        if (probe.steps[i].code < 0 && probe.steps[i].required)
            return error_set(probe.steps[i].code, "%s must not hold an instance: %s: %s",
                             cli->store->description, probe.steps[i].name, probe.steps[i].detail);
    return 0;
}

static int print_text(struct cli *cli, const struct store_probe *probe)
{
    cli_print(cli, "%s\n", cli->store->description);
    struct text_table table;
    text_table_init(&table, (const char *[]){"step", "", ">ms", "found"}, 4);
    for (size_t i = 0; i < probe->n_steps; i++) {
        const struct store_probe_step *step = &probe->steps[i];
        text_table_cell(&table, "%s", step->name);
        text_table_cell(&table, "%s", step->code == 0 ? "good" : step->required ? "BAD" : "weak");
        text_table_cell(&table, "%.1f", (double)step->time_ns / 1e6);
        text_table_cell(&table, "%s", step->detail);
    }
    text_table_end(cli, &table);
    if (probe->requests > 0)
        cli_print(cli, "%llu requests; %s\n", (unsigned long long)probe->requests,
                  probe->good ? "an instance can be kept here" : "no instance may be kept here");
    else
        cli_print(cli, "%s\n",
                  probe->good ? "an instance can be kept here" : "no instance may be kept here");
    return 0;
}

static int print_json(struct cli *cli, const struct store_probe *probe)
{
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_text(&writer, "store", cli->store->description);
    json_write_field_bool(&writer, "good", probe->good);
    json_write_field_uint(&writer, "requests", probe->requests);
    json_write_name(&writer, "steps");
    json_write_array_begin(&writer);
    for (size_t i = 0; i < probe->n_steps; i++) {
        const struct store_probe_step *step = &probe->steps[i];
        json_write_object_begin(&writer);
        json_write_field_text(&writer, "step", step->name);
        json_write_field_bool(&writer, "required", step->required);
        json_write_field_bool(&writer, "good", step->code == 0);
        json_write_field_int(&writer, "microseconds", step->time_ns / 1000);
        json_write_field_text(&writer, step->code == 0 ? "found" : "problem", step->detail);
        json_write_object_end(&writer);
    }
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}
