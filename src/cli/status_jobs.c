/*
 * status_jobs.c: `glis status TABLE jobs`: the ingests that the table's log still tells of, newest
 * last. A state only remembers what it needs to do a job once; the log has when, by whom and what.
 */
#include "cli/command.h"
#include "log/log.h"

struct job_listing {
    struct cli *cli;
    struct text_table text;
    struct json_writer writer;
};

static int visit_record(void *state, const struct log_shown *record);
static int show_job(struct job_listing *listing, const struct log_shown *record,
                    const struct json *transaction);

int status_jobs(struct cli *cli, struct slice prefix)
{
    struct job_listing listing = {.cli = cli};
    if (cli->json) {
        cli_json_begin(cli, &listing.writer);
        json_write_array_begin(&listing.writer);
    } else {
        text_table_init(&listing.text,
                        (const char *[]){">record", "time", ">rows", ">files", ">size", "job"}, 6);
    }
    int code = log_show(&cli->runtime, cli->store, prefix, 0, 0, visit_record, &listing);
    if (!cli->json) {
        text_table_end(cli, &listing.text);
        return code;
    }
    TRY(code);
    json_write_array_end(&listing.writer);
    return cli_json_end(cli, &listing.writer);
}

static int visit_record(void *state, const struct log_shown *record)
{
    struct job_listing *listing = state;
    TRY(runtime_check_cancel(&listing->cli->runtime));
    for (size_t i = 0; i < record->n_lines; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        const struct json *transaction;
        struct slice type = SLICE_EMPTY, purpose = SLICE_EMPTY;
        if (record->lines[i].code != 0) continue;
        TRY(json_parse(&arena, record->lines[i].text, JSON_RULES_INTERNAL, &transaction));
        TRY(json_optional_string(transaction, "type", &type));
        TRY(json_optional_string(transaction, "for", &purpose));
        if (slice_equal_text(type, "change_files") && slice_equal_text(purpose, "ingest"))
            TRY(show_job(listing, record, transaction));
    }
    return 0;
}

static int show_job(struct job_listing *listing, const struct log_shown *record,
                    const struct json *transaction)
{
    struct cli *cli = listing->cli;
    struct slice job = SLICE_EMPTY, writer_name = SLICE_EMPTY;
    const struct json *files = NULL;
    int64_t sequence = 0, rows = 0, bytes = 0;
    TRY(json_optional_string(transaction, "job", &job));
    TRY(json_optional_string(transaction, "writer", &writer_name));
    TRY(json_optional_int(transaction, "sequence", 0, INT64_MAX, &sequence));
    TRY(json_optional_array(transaction, "files", &files));
    size_t n_files = files ? files->n_items : 0;
    for (size_t i = 0; i < n_files; i++) {
        int64_t file_rows = 0, file_bytes = 0;
        TRY(json_optional_int(&files->items[i], "rows", 0, INT64_MAX / 2, &file_rows));
        TRY(json_optional_int(&files->items[i], "size", 0, INT64_MAX / 2, &file_bytes));
        if (__builtin_add_overflow(rows, file_rows, &rows) ||
            __builtin_add_overflow(bytes, file_bytes, &bytes))
            return error_set(GLIS_ECORRUPT, "record %llu: impossible numbers of rows",
                             (unsigned long long)record->record);
    }
    if (cli->json) {
        struct json_writer *writer = &listing->writer;
        json_write_object_begin(writer);
        json_write_field_uint(writer, "record", record->record);
        json_write_field_int(writer, "time", record->time_ms);
        if (job.size) json_write_field_string(writer, "job", job);
        if (writer_name.size) json_write_field_string(writer, "writer", writer_name);
        if (writer_name.size) json_write_field_int(writer, "sequence", sequence);
        json_write_field_int(writer, "rows", rows);
        json_write_field_uint(writer, "files", n_files);
        json_write_field_int(writer, "bytes", bytes);
        json_write_object_end(writer);
        return 0;
    }
    text_table_cell(&listing->text, "%llu", (unsigned long long)record->record);
    text_table_cell(&listing->text, "%s", cli_time(cli, record->time_ms));
    text_table_cell(&listing->text, "%s", cli_count(cli, (uint64_t)rows));
    text_table_cell(&listing->text, "%zu", n_files);
    text_table_cell(&listing->text, "%s", cli_size(cli, (uint64_t)bytes));
    if (writer_name.size)
        text_table_cell(&listing->text, "%.*s %lld", SLICE_PRINT(writer_name), (long long)sequence);
    else
        text_table_cell(&listing->text, "%.*s", SLICE_PRINT(job));
    return 0;
}
