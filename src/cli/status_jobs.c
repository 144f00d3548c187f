/*
 * status_jobs.c: `glis status TABLE jobs`: the jobs that the table's log still tells of, oldest
 * first; then those that failed (advisory reports), and those that run. A state only remembers what
 * it needs to do a job once; the log has when, by whom and what. What a record carries for another
 * process and what was refused then is no job.
 */
#include "cli/command.h"

#include "log/log.h"
#include "lsm/lsm.h"

struct shown_job {
    const char *kind;
    const char *status; /* "done", "failed", "running", "lost" */
    uint64_t record;    /* 0: none */
    int64_t time_ms, duration_ms;
    uint64_t files_in, files_out, rows_read, rows_written, bytes;
    struct slice job, partition, reason;
};

struct job_listing {
    struct cli *cli;
    int64_t now_ms; /* the time that is looked at */
    struct text_table text;
    struct json_writer writer;
};

static void show(struct job_listing *listing, const struct shown_job *job)
{
    struct cli *cli = listing->cli;
    if (cli->json) {
        struct json_writer *writer = &listing->writer;
        json_write_object_begin(writer);
        json_write_field_text(writer, "kind", job->kind);
        json_write_field_text(writer, "status", job->status);
        if (job->record) json_write_field_uint(writer, "record", job->record);
        json_write_field_int(writer, "time", job->time_ms);
        json_write_field_string(writer, "job", job->job);
        if (job->partition.size) json_write_field_string(writer, "partition", job->partition);
        json_write_field_uint(writer, "filesRead", job->files_in);
        json_write_field_uint(writer, "files", job->files_out);
        json_write_field_uint(writer, "rowsRead", job->rows_read);
        json_write_field_uint(writer, "rows", job->rows_written);
        json_write_field_uint(writer, "bytes", job->bytes);
        if (job->duration_ms >= 0) json_write_field_int(writer, "durationMs", job->duration_ms);
        if (job->reason.size) json_write_field_string(writer, "reason", job->reason);
        json_write_object_end(writer);
        return;
    }
    struct text_table *text = &listing->text;
    if (job->record)
        text_table_cell(text, "%llu", (unsigned long long)job->record);
    else
        text_table_cell(text, "%s", "");
    text_table_cell(text, "%s", cli_time(cli, job->time_ms));
    text_table_cell(text, "%s%s%s", job->kind, *job->status == 'd' ? "" : ", ",
                    *job->status == 'd' ? "" : job->status);
    text_table_cell(text, "%s", job->files_in ? cli_count(cli, job->files_in) : "");
    text_table_cell(text, "%s", cli_count(cli, job->files_out));
    text_table_cell(text, "%s", cli_count(cli, job->rows_written));
    text_table_cell(text, "%s", cli_size(cli, job->bytes));
    if (job->duration_ms >= 0)
        text_table_cell(text, "%.1f s", (double)job->duration_ms / 1e3);
    else
        text_table_cell(text, "%s", "");
    if (job->reason.size)
        text_table_cell(text, "%.*s: %.*s", SLICE_PRINT(job->job), SLICE_PRINT(job->reason));
    else if (job->partition.size)
        text_table_cell(text, "%.*s on %.*s", SLICE_PRINT(job->job), SLICE_PRINT(job->partition));
    else
        text_table_cell(text, "%.*s", SLICE_PRINT(job->job));
}

/* ---- what the log tells ---- */

/* Rows and bytes of the files that came. */
static int add_files(const struct log_shown *record, const struct json *files,
                     struct shown_job *out)
{
    int64_t rows = 0, bytes = 0;
    for (size_t i = 0; files && i < files->n_items; i++) {
        int64_t file_rows = 0, file_bytes = 0;
        TRY(json_optional_int(&files->items[i], "rows", 0, INT64_MAX / 2, &file_rows));
        TRY(json_optional_int(&files->items[i], "size", 0, INT64_MAX / 2, &file_bytes));
        if (__builtin_add_overflow(rows, file_rows, &rows) ||
            __builtin_add_overflow(bytes, file_bytes, &bytes))
            return error_set(GLIS_ECORRUPT, "record %llu: impossible numbers of rows",
                             (unsigned long long)record->record);
    }
    out->files_out = files ? files->n_items : 0;
    out->rows_written = (uint64_t)rows;
    out->bytes = (uint64_t)bytes;
    return 0;
}

static int show_change(struct job_listing *listing, const struct log_shown *record,
                       const struct json *transaction, const char *kind)
{
    struct shown_job job = {.kind = kind,
                            .status = "done",
                            .record = record->record,
                            .time_ms = record->time_ms,
                            .duration_ms = -1};
    struct slice writer = SLICE_EMPTY;
    const struct json *files = NULL, *inputs = NULL, *gone = NULL;
    int64_t sequence = 0, rows_read = 0;
    TRY(json_optional_string(transaction, "job", &job.job));
    TRY(json_optional_string(transaction, "writer", &writer));
    TRY(json_optional_string(transaction, "partition", &job.partition));
    TRY(json_optional_int(transaction, "sequence", 0, INT64_MAX, &sequence));
    TRY(json_optional_int(transaction, "rowsRead", 0, INT64_MAX, &rows_read));
    TRY(json_optional_int(transaction, "durationMs", -1, INT64_MAX, &job.duration_ms));
    TRY(json_optional_array(transaction, "files", &files));
    TRY(json_optional_array(transaction, "inputs", &inputs));
    TRY(json_optional_array(transaction, "references", &gone));
    TRY(add_files(record, files, &job));
    job.rows_read = (uint64_t)rows_read;
    job.files_in = inputs ? inputs->n_items : gone ? gone->n_items : 0;
    if (writer.size)
        job.job = slice_from_text(arena_printf(&listing->cli->arena, "%.*s %lld",
                                               SLICE_PRINT(writer), (long long)sequence));
    show(listing, &job);
    return 0;
}

static int visit_record(void *state, const struct log_shown *record)
{
    static const char *const kinds[] = {"ingest", "compaction", "delete", "expire"};
    struct job_listing *listing = state;
    TRY(runtime_check_cancel(&listing->cli->runtime));
    for (size_t i = 0; i < record->n_lines; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        const struct json *transaction;
        struct slice type = SLICE_EMPTY, purpose = SLICE_EMPTY;
        enum log_fate fate = record->lines[i].fate;
        if (record->lines[i].code != 0 || fate == LOG_FATE_REFUSED || fate == LOG_FATE_DONE)
            continue;
        TRY(json_parse(&arena, record->lines[i].text, JSON_RULES_INTERNAL, &transaction));
        TRY(json_optional_string(transaction, "type", &type));
        TRY(json_optional_string(transaction, "for", &purpose));
        if (slice_equal_text(type, "split_partition"))
            TRY(show_change(listing, record, transaction, "split"));
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            if (slice_equal_text(type, "change_files") && slice_equal_text(purpose, kinds[k]))
                TRY(show_change(listing, record, transaction, kinds[k]));
    }
    return 0;
}

/* ---- what failed, what runs ---- */

static int show_failed(struct job_listing *listing, struct table *table)
{
    struct job_report *reports;
    size_t n;
    TRY(job_reports(table, &listing->cli->arena, &reports, &n));
    for (size_t i = 0; i < n; i++)
        if (reports[i].time_ms <= listing->now_ms)
            show(listing, &(struct shown_job){
                              .kind = arena_copy_text(&listing->cli->arena, reports[i].kind),
                              .status = "failed",
                              .duration_ms = -1,
                              .time_ms = reports[i].time_ms,
                              .job = reports[i].job,
                              .partition = reports[i].partition,
                              .reason = reports[i].reason,
                          });
    return 0;
}

static int show_running(struct job_listing *listing, const struct table_state *state)
{
    struct table_assignment *assignments;
    size_t n;
    TRY(table_assignments(state, &listing->cli->arena, &assignments, &n));
    for (size_t i = 0; i < n; i++)
        show(listing,
             &(struct shown_job){
                 .kind = "compaction",
                 .status = assignments[i].until_ms > listing->now_ms ? "running" : "silent",
                 .duration_ms = -1,
                 .record = assignments[i].record,
                 .time_ms = assignments[i].until_ms,
                 .files_in = assignments[i].n_references,
                 .job = assignments[i].job,
                 .partition = assignments[i].partition,
             });
    return 0;
}

int status_jobs(struct cli *cli, struct table *table, const struct table_state *state, bool past)
{
    struct job_listing listing = {.cli = cli,
                                  .now_ms = cli->runtime.clock->wall_ms(cli->runtime.clock)};
    if (past) listing.now_ms = table_state_time_ms(state);
    if (cli->json) {
        cli_json_begin(cli, &listing.writer);
        json_write_array_begin(&listing.writer);
    } else {
        text_table_init(&listing.text,
                        (const char *[]){">record", "time", "kind", ">files in", ">files", ">rows",
                                         ">size", ">took", "job"},
                        9);
    }
    int code = log_show_judged(&cli->runtime, cli->store, table_prefix(table), table_log_machine(),
                               0, table_state_record(state), visit_record, &listing);
    if (code == 0) code = show_failed(&listing, table);
    if (code == 0) code = show_running(&listing, state);
    if (!cli->json) {
        text_table_end(cli, &listing.text);
        return code;
    }
    TRY(code);
    json_write_array_end(&listing.writer);
    return cli_json_end(cli, &listing.writer);
}
