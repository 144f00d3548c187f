/*
 * cmd_bulk_import.c: `glis bulk-import TABLE [FILE...]`: options to the bulk import of lsm.h, its
 * progress as a line on a terminal, and what was done.
 */
#include "cli/command.h"
#include "lsm/lsm.h"

static int options_read(struct cli *cli, struct bulk_import_options *out);
static int do_import(struct cli *cli, struct bulk_import *job);
static int cancel(struct cli *cli, struct slice job_id);
static int print_steps(struct cli *cli, struct bulk_import *job);
static int on_progress(void *state, const struct bulk_import_progress *progress);
static int report(struct cli *cli, const struct bulk_import_result *result);
static int report_json(struct cli *cli, const struct bulk_import_result *result);

int cmd_bulk_import(struct cli *cli)
{
    struct bulk_import_options options = {.format = INGEST_BY_NAME};
    TRY(options_read(cli, &options));
    if (cli_flag(cli, "cancel")) return cancel(cli, options.job_id);
    struct table *table;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    struct progress_line line;
    progress_begin(cli, &line);
    options.progress = on_progress;
    options.progress_state = &line;
    struct bulk_import *job = NULL;
    int code = bulk_import_open(&job, table, &cli->runtime, cli->arguments + 1,
                                cli->n_arguments - 1, &options);
    if (code == 0 && !cli_flag(cli, "plan")) code = do_import(cli, job);
    progress_end(&line);
    if (code == 0 && cli_flag(cli, "plan")) {
        code = print_steps(cli, job);
    } else if (code == 0) {
        struct bulk_import_result result = bulk_import_result(job);
        code = cli->json ? report_json(cli, &result) : report(cli, &result);
    }
    bool is_given_up = job && bulk_import_result(job).is_given_up;
    if (code < 0 && is_given_up && code != GLIS_EGONE)
        cli_note("job %.*s is given up, for going on would end the same; it can be begun again",
                 SLICE_PRINT(options.job_id));
    else if (code < 0 && job && cli_flag(cli, "job") && !is_given_up)
        cli_note("what is done stays; `glis bulk-import %.*s --job %.*s` goes on from there, "
                 "--cancel gives the job up",
                 SLICE_PRINT(cli->arguments[0]), SLICE_PRINT(options.job_id));
    bulk_import_close(job);
    table_close(table);
    return code;
}

static int options_read(struct cli *cli, struct bulk_import_options *out)
{
    struct slice format = cli_value(cli, "format");
    if (slice_equal_text(format, "parquet")) out->format = INGEST_PARQUET;
    if (slice_equal_text(format, "csv")) out->format = INGEST_CSV;
    if (slice_equal_text(format, "jsonl")) out->format = INGEST_JSONL;
    TRY(cli_delimiter(cli, &out->csv_delimiter));
    out->csv_null_text = cli_value(cli, "null");
    out->ignore_extra_columns = cli_flag(cli, "ignore-extra-columns");
    if (cli_flag(cli, "bad-rows-to"))
        out->bad_rows_to = arena_copy_text(&cli->arena, cli_value(cli, "bad-rows-to"));
    out->job_id = cli_value(cli, "job");
    if (cli_flag(cli, "job") && out->job_id.size == 0) return cli_usage(cli, "--job needs a name");
    TRY(cli_job_id(cli, "job", "job id"));
    if (cli_flag(cli, "cancel")) {
        if (!cli_flag(cli, "job")) return cli_usage(cli, "--cancel needs --job: which one");
        if (cli->n_arguments > 1 || cli_flag(cli, "plan") || cli_flag(cli, "step") ||
            cli_flag(cli, "bad-rows-to"))
            return cli_usage(cli, "--cancel goes with --job and nothing else");
    }
    for (size_t i = 1; i < cli->n_arguments; i++)
        if (slice_equal_text(cli->arguments[i], "-"))
            return cli_usage(cli, "a bulk import reads files by parts; standard input cannot be");
    if (cli->n_arguments == 1 && !cli_flag(cli, "job"))
        return cli_usage(cli, "name the files, or with --job a job that was begun");
    if ((cli_flag(cli, "plan") || cli_flag(cli, "step")) && !cli_flag(cli, "job"))
        return cli_usage(cli, "--plan and --step need --job: other calls are to find the job");
    if (cli_flag(cli, "plan") && cli_flag(cli, "step"))
        return cli_usage(cli, "--plan does no step; leave --step away");
    return 0;
}

static int cancel(struct cli *cli, struct slice job_id)
{
    struct table *table;
    struct bulk_import_result result;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    int code = bulk_import_cancel(table, job_id, &result);
    table_close(table);
    TRY(code);
    if (!cli->json) {
        if (result.already_done)
            cli_print(cli, "job %.*s was done before; what it had left behind is removed\n",
                      SLICE_PRINT(job_id));
        else
            cli_print(cli, "job %.*s is given up; nothing of it was added\n", SLICE_PRINT(job_id));
        return 0;
    }
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "job", job_id);
    json_write_field_bool(&writer, "cancelled", !result.already_done);
    json_write_field_bool(&writer, "alreadyDone", result.already_done);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

static int do_import(struct cli *cli, struct bulk_import *job)
{
    struct slice *steps;
    size_t n;
    cli_values(cli, "step", &steps, &n);
    for (size_t i = 0; i < n; i++)
        TRY(bulk_import_step(job, steps[i]));
    return n ? 0 : bulk_import_run(job);
}

static int print_steps(struct cli *cli, struct bulk_import *job)
{
    struct slice *steps;
    size_t n;
    TRY(bulk_import_steps(job, &cli->arena, &steps, &n));
    struct bulk_import_result result = bulk_import_result(job);
    if (!cli->json) {
        for (size_t i = 0; i < n; i++)
            cli_print(cli, "%.*s\n", SLICE_PRINT(steps[i]));
        return 0;
    }
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "job", result.job_id);
    json_write_field_bool(&writer, "done", result.is_done);
    json_write_name(&writer, "steps");
    json_write_array_begin(&writer);
    for (size_t i = 0; i < n; i++)
        json_write_string(&writer, steps[i]);
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

static int on_progress(void *state, const struct bulk_import_progress *progress)
{
    struct progress_line *line = state;
    if (!progress_due(line)) return 0;
    arena_free(&line->scratch);
    struct arena *arena = &line->scratch;
    const char *total =
        progress->rows_total
            ? arena_printf(arena, " of %s", text_of_count(arena, progress->rows_total))
            : "";
    switch (progress->phase) {
    case BULK_SORTING:
    case BULK_WRITING:
        progress_show(line, "%s: step %llu of %llu, %s%s rows",
                      progress->phase == BULK_SORTING ? "sorting" : "writing",
                      (unsigned long long)progress->steps_done + 1,
                      (unsigned long long)progress->n_steps, text_of_count(arena, progress->rows),
                      total);
        break;
    case BULK_PLANNING:
        progress_show(line, "planning leaves: %s%s rows", text_of_count(arena, progress->rows),
                      total);
        break;
    case BULK_COMMITTING: progress_show(line, "committing"); break;
    }
    return 0;
}

/* ---- the result ---- */

static int report(struct cli *cli, const struct bulk_import_result *result)
{
    if (!result->is_done) {
        cli_print(cli, "job %.*s: the step is done\n", SLICE_PRINT(result->job_id));
    } else if (result->already_done) {
        cli_print(cli, "job %.*s was done before; nothing was added\n",
                  SLICE_PRINT(result->job_id));
    } else {
        cli_print(cli, "added %s %s in %llu %s, %s; record %llu, job %.*s",
                  cli_count(cli, result->rows), result->rows == 1 ? "row" : "rows",
                  (unsigned long long)result->files, result->files == 1 ? "file" : "files",
                  cli_size(cli, result->bytes), (unsigned long long)result->record,
                  SLICE_PRINT(result->job_id));
        if (result->bad_rows)
            cli_print(cli, "; %s bad %s set aside", cli_count(cli, result->bad_rows),
                      result->bad_rows == 1 ? "row" : "rows");
        cli_print(cli, "\n");
    }
    return 0;
}

static int report_json(struct cli *cli, const struct bulk_import_result *result)
{
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "job", result->job_id);
    json_write_field_bool(&writer, "done", result->is_done);
    json_write_field_bool(&writer, "alreadyDone", result->already_done);
    json_write_field_uint(&writer, "record", result->record);
    json_write_field_uint(&writer, "rows", result->rows);
    json_write_field_uint(&writer, "files", result->files);
    json_write_field_uint(&writer, "bytes", result->bytes);
    json_write_field_uint(&writer, "leaves", result->leaves);
    json_write_field_uint(&writer, "sortedFiles", result->sorted_files);
    json_write_field_uint(&writer, "badRows", result->bad_rows);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}
