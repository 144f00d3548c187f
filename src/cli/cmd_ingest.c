/*
 * cmd_ingest.c: `glis ingest TABLE FILE...`: options to the ingest of lsm.h, its progress as a line
 * on a terminal, and what was done.
 */
#include "base/text.h"
#include "cli/command.h"
#include "lsm/lsm.h"

static int options_read(struct cli *cli, struct ingest_options *out);
static void show_reading(struct progress_line *line, const struct ingest_progress *progress);
static int report(struct cli *cli, const struct ingest_result *result);
static int report_json(struct cli *cli, const struct ingest_result *result);

int cmd_ingest(struct cli *cli)
{
    struct ingest_options options = {0};
    TRY(options_read(cli, &options));
    struct table *table;
    TRY(cli_open_table(cli, CLI_WRITE, &table));
    struct progress_line line;
    progress_begin(cli, &line);
    options.progress = cli_ingest_progress;
    options.progress_state = &line;
    struct ingest_result result;
    int code = ingest_files(table, &cli->runtime, cli->arguments + 1, cli->n_arguments - 1,
                            &options, &cli->arena, &result);
    struct maintain_result maintained = {0};
    if (code == 0 && !options.dry_run && !result.already_done)
        maintain_inline(table, &cli->runtime, result.total_ns, result.rows, &maintained);
    progress_end(&line);
    table_close(table);
    TRY(code);
    return cli->json ? report_json(cli, &result) : report(cli, &result);
}

static int options_read(struct cli *cli, struct ingest_options *out)
{
    struct slice format = cli_value(cli, "format");
    if (slice_equal_text(format, "parquet")) out->format = INGEST_PARQUET;
    if (slice_equal_text(format, "csv")) out->format = INGEST_CSV;
    if (slice_equal_text(format, "jsonl")) out->format = INGEST_JSONL;
    for (size_t i = 1; i < cli->n_arguments; i++)
        if (slice_equal_text(cli->arguments[i], "-") && out->format != INGEST_CSV &&
            out->format != INGEST_JSONL)
            return cli_usage(cli,
                             "standard input has no name: give --format csv or --format jsonl");
    TRY(cli_delimiter(cli, &out->csv_delimiter));
    out->csv_null_text = cli_value(cli, "null");
    out->ignore_extra_columns = cli_flag(cli, "ignore-extra-columns");
    out->dry_run = cli_flag(cli, "dry-run");
    if (cli_flag(cli, "bad-rows-to"))
        out->bad_rows_to = arena_copy_text(&cli->arena, cli_value(cli, "bad-rows-to"));
    out->job_id = cli_value(cli, "job");
    out->writer = cli_value(cli, "writer");
    if (cli_flag(cli, "job") && out->job_id.size == 0) return cli_usage(cli, "--job needs a name");
    if (cli_flag(cli, "writer") != cli_flag(cli, "sequence"))
        return cli_usage(cli, "--writer and --sequence go together");
    if (cli_flag(cli, "writer") && cli_flag(cli, "job"))
        return cli_usage(cli,
                         "a job is known by --job, or by --writer and --sequence, not by both");
    TRY(cli_job_id(cli, "job", "job id"));
    TRY(cli_job_id(cli, "writer", "writer"));
    return cli_number(cli, "sequence", 1, UINT64_MAX, &out->sequence);
}

int cli_job_id(struct cli *cli, const char *option, const char *what)
{
    if (!cli_flag(cli, option)) return 0;
    TRY_CONTEXT(cli_words(cli, job_id_check(what, cli_value(cli, option))), "--%s", option);
    return 0;
}

int cli_delimiter(struct cli *cli, char *out)
{
    struct slice text = cli_value(cli, "delimiter");
    if (!text.data) return 0;
    if (slice_equal_text(text, "tab") || slice_equal_text(text, "\\t")) {
        *out = '\t';
    } else if (text.size == 1 && text.data[0] != '"' && text.data[0] != '\n' &&
               text.data[0] != '\r') {
        *out = text.data[0];
    } else {
        return cli_usage(cli, "--delimiter is one character or 'tab', not '%.*s'",
                         SLICE_PRINT(text));
    }
    return 0;
}

/* ---- progress ---- */

int cli_ingest_progress(void *state, const struct ingest_progress *progress)
{
    struct progress_line *line = state;
    if (!progress_due(line)) return 0;
    arena_free(&line->scratch);
    switch (progress->phase) {
    case INGEST_READING: show_reading(line, progress); break;
    case INGEST_WRITING:
        progress_show(line, "writing: %s rows, %s in %llu files",
                      text_of_count(&line->scratch, progress->rows_written),
                      text_of_size(&line->scratch, progress->bytes_written),
                      (unsigned long long)progress->files_written);
        break;
    case INGEST_COMMITTING: progress_show(line, "committing"); break;
    }
    return 0;
}

static void show_reading(struct progress_line *line, const struct ingest_progress *progress)
{
    struct arena *arena = &line->scratch;
    double seconds = (double)(line->shown_ns - line->begun_ns) / 1e9;
    double rate = seconds > 0 ? (double)progress->bytes_read / seconds : 0;
    const char *left = "";
    if (progress->total_bytes > progress->bytes_read && rate > 0) {
        double more = (double)(progress->total_bytes - progress->bytes_read) / rate;
        left = arena_printf(arena, ", %.0f s left", more);
    }
    const char *total =
        progress->total_bytes
            ? arena_printf(arena, " of %s", text_of_size(arena, progress->total_bytes))
            : "";
    progress_show(line, "reading: %s rows, %s%s, %s/s%s", text_of_count(arena, progress->rows_read),
                  text_of_size(arena, progress->bytes_read), total,
                  text_of_size(arena, (uint64_t)rate), left);
}

/* ---- the result ---- */

static int report(struct cli *cli, const struct ingest_result *result)
{
    double seconds = (double)result->total_ns / 1e9;
    if (result->already_done) {
        if (result->job_id.size)
            cli_print(cli, "job %.*s", SLICE_PRINT(result->job_id));
        else
            cli_print(cli, "this job");
        cli_print(cli, " was done before (record %llu); nothing was added\n",
                  (unsigned long long)result->record);
        return 0;
    }
    if (cli_flag(cli, "dry-run")) {
        uint64_t n = result->rows_read - result->bad_rows;
        cli_print(cli, "%s %s would be added", cli_count(cli, n), n == 1 ? "row" : "rows");
    } else {
        cli_print(cli, "added %s %s in %llu %s, %s; record %llu", cli_count(cli, result->rows),
                  result->rows == 1 ? "row" : "rows", (unsigned long long)result->files,
                  result->files == 1 ? "file" : "files", cli_size(cli, result->bytes),
                  (unsigned long long)result->record);
        if (result->job_id.size) cli_print(cli, ", job %.*s", SLICE_PRINT(result->job_id));
    }
    if (result->bad_rows)
        cli_print(cli, "; %s bad %s set aside", cli_count(cli, result->bad_rows),
                  result->bad_rows == 1 ? "row" : "rows");
    cli_print(cli, " (%.2f s)\n", seconds);
    return 0;
}

static int report_json(struct cli *cli, const struct ingest_result *result)
{
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    if (result->job_id.size) json_write_field_string(&writer, "job", result->job_id);
    json_write_field_bool(&writer, "alreadyDone", result->already_done);
    json_write_field_bool(&writer, "dryRun", cli_flag(cli, "dry-run"));
    json_write_field_uint(&writer, "record", result->record);
    json_write_field_uint(&writer, "rows", result->rows);
    json_write_field_uint(&writer, "files", result->files);
    json_write_field_uint(&writer, "references", result->references);
    json_write_field_uint(&writer, "bytes", result->bytes);
    json_write_field_uint(&writer, "rowsRead", result->rows_read);
    json_write_field_uint(&writer, "badRows", result->bad_rows);
    json_write_field_uint(&writer, "bytesRead", result->bytes_read);
    json_write_field_uint(&writer, "spillRuns", result->spill_runs);
    json_write_field_uint(&writer, "mergePasses", result->merge_passes);
    json_write_field_uint(&writer, "spilledBytes", result->spilled_bytes);
    json_write_field_int(&writer, "readNs", result->read_ns);
    json_write_field_int(&writer, "writeNs", result->write_ns);
    json_write_field_int(&writer, "commitNs", result->commit_ns);
    json_write_field_int(&writer, "totalNs", result->total_ns);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}
