/*
 * cmd_parquet_check.c: `glis parquet check FILE`: a line for each thing that the file says of
 * itself and that is not so. A problem is the answer, not a failure to find it, so all of them are
 * told before the exit code says that there were some. Large files are gone through in parts,
 * within glis.parquet.memory.
 */
#include "cli/command.h"
#include "parquet/parquet.h"

struct report {
    struct cli *cli;
    struct json_writer *writer; /* NULL: text */
};

static int found(void *state, const struct parquet_problem *problem)
{
    struct report *report = state;
    if (report->writer) {
        json_write_object_begin(report->writer);
        json_write_field_uint(report->writer, "rowGroup", problem->row_group);
        if (problem->column.size)
            json_write_field_string(report->writer, "column", problem->column);
        if (problem->page >= 0) json_write_field_int(report->writer, "page", problem->page);
        json_write_field_text(report->writer, "problem", problem->text);
        json_write_object_end(report->writer);
        return 0;
    }
    cli_print(report->cli, "row group %u", problem->row_group);
    if (problem->column.size)
        cli_print(report->cli, ", column '%.*s'", SLICE_PRINT(problem->column));
    if (problem->page >= 0) cli_print(report->cli, ", page %lld", (long long)problem->page);
    cli_print(report->cli, ": %s\n", problem->text);
    return 0;
}

static int report_text(struct cli *cli, struct parquet_reader *reader, struct parquet_check *check)
{
    struct report report = {cli, NULL};
    check->state = &report;
    TRY(parquet_check(reader, check));
    cli_print(cli, "%s rows in %s column chunks and %s pages: %s\n",
              cli_count(cli, parquet_reader_rows(reader)), cli_count(cli, check->n_chunks),
              cli_count(cli, check->n_pages), check->n_problems ? "not as said" : "all as said");
    return 0;
}

static int report_json(struct cli *cli, struct parquet_reader *reader, struct parquet_check *check)
{
    struct json_writer writer;
    struct report report = {cli, &writer};
    check->state = &report;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_name(&writer, "problems");
    json_write_array_begin(&writer);
    TRY(parquet_check(reader, check));
    json_write_array_end(&writer);
    json_write_field_uint(&writer, "rows", parquet_reader_rows(reader));
    json_write_field_uint(&writer, "chunks", check->n_chunks);
    json_write_field_uint(&writer, "pages", check->n_pages);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

int cmd_parquet_check(struct cli *cli)
{
    struct parquet_check check = {.found = found};
    struct parquet_file file;
    struct budget budget;
    int64_t memory;
    TRY(property_resolve(&cli->overrides, NULL, PROPERTY_PARQUET_MEMORY, NULL, &memory));
    budget_init(&budget, "memory of a check", (uint64_t)memory, "set glis.parquet.memory",
                &cli->budget);
    TRY(parquet_file_open_within(cli, &budget, &file));
    int code =
        cli->json ? report_json(cli, file.reader, &check) : report_text(cli, file.reader, &check);
    if (code == 0 && check.n_problems)
        code = error_set(GLIS_ECORRUPT, "%s %s", cli_count(cli, check.n_problems),
                         check.n_problems == 1 ? "problem" : "problems");
    return parquet_file_close(cli, &file, code);
}
