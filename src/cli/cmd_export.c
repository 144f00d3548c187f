/*
 * cmd_export.c: `glis export [TABLE] DEST`: the words of the command line to an export (query.h),
 * its progress as a line on a terminal, and what was written; and `glis export --restore DEST --as
 * NAME`, which makes a table of it.
 *
 * The table is named by the first word, or by the "tableName" of --query.
 */
#include "base/text.h"
#include "cli/command.h"

static int check_words(struct cli *cli);
static int run_export(struct cli *cli);
static int find_table(struct cli *cli, struct slice json, struct table **out);
static int build_query(struct cli *cli, struct table *table, struct slice json,
                       struct export_options *options, struct query *query);
static int do_export(struct cli *cli, struct table *table, const struct export_options *options);
static int run_steps(struct cli *cli, struct export *export);
static int print_plan(struct cli *cli, const struct export *export);
static int on_progress(void *state, const struct export_progress *progress);
static int report(struct cli *cli, const struct export_result *result);
static int report_json(struct cli *cli, const struct export_result *result);

static int run_restore(struct cli *cli);
static int on_restore_progress(void *state, const struct restore_progress *progress);
static int report_restore(struct cli *cli, const struct restore_result *result);

int cmd_export(struct cli *cli)
{
    if (cli_flag(cli, "restore") || cli_flag(cli, "as")) return run_restore(cli);
    TRY(check_words(cli));
    return run_export(cli);
}

static struct slice destination(const struct cli *cli)
{
    return cli->arguments[cli->n_arguments - 1];
}

static int check_words(struct cli *cli)
{
    bool has_words = cli_flag(cli, "key") || cli_flag(cli, "from") || cli_flag(cli, "to");
    uint64_t number;
    if (cli_flag(cli, "query") && has_words)
        return cli_usage(cli, "--query says the regions; leave --key, --from and --to away");
    if (cli_flag(cli, "plan") && cli_flag(cli, "leaf"))
        return cli_usage(cli, "--plan does no step; leave --leaf away");
    if (cli->n_arguments == 1 && !cli_flag(cli, "query"))
        return cli_usage(cli, "name the table, or give --query with a \"tableName\"");
    return cli_number(cli, "at-record", 1, UINT64_MAX, &number);
}

/* ---- what is asked for ---- */

static int run_export(struct cli *cli)
{
    struct export_options options = {.kind = OUTPUT_PARQUET, .job = cli_value(cli, "job")};
    struct slice json = SLICE_EMPTY;
    defer_buffer struct buffer text = BUFFER_INIT(0);
    if (cli_flag(cli, "job") && options.job.size == 0) return cli_usage(cli, "--job needs a name");
    TRY(cli_job_id(cli, "job", "job id"));
    if (cli_flag(cli, "format")) TRY(output_kind_parse(cli_value(cli, "format"), &options.kind));
    if (cli_flag(cli, "query")) {
        TRY(cli_read_file(cli, cli_value(cli, "query"), &text));
        json = arena_copy(&cli->arena, buffer_slice(&text));
    }
    struct table *table;
    struct query query;
    TRY(find_table(cli, json, &table));
    int code = build_query(cli, table, json, &options, &query);
    if (code == 0) code = do_export(cli, table, &options);
    table_state_release(cli->state);
    cli->state = NULL;
    table_close(table);
    return code;
}

static int find_table(struct cli *cli, struct slice json, struct table **out)
{
    struct slice name = cli->arguments[0];
    if (cli->n_arguments == 1) {
        const struct json *root;
        name = SLICE_EMPTY;
        TRY_CONTEXT(json_parse(&cli->arena, json, JSON_RULES_USER, &root), "--query");
        TRY_CONTEXT(json_optional_string(root, "tableName", &name), "--query");
        if (name.size == 0)
            return cli_usage(cli, "name the table, or give --query with a \"tableName\"");
    }
    TRY(cli_open_instance(cli, CLI_WRITE)); /* for the pin, where that is allowed */
    return table_open(cli->instance, name, out);
}

static int build_query(struct cli *cli, struct table *table, struct slice json,
                       struct export_options *options, struct query *query)
{
    TRY(table_state_get(table, 0, &cli->state));
    const struct schema *schema = table_state_schema(cli->state);
    bool has_words = cli_flag(cli, "key") || cli_flag(cli, "from") || cli_flag(cli, "to");
    if (json.size) {
        TRY_CONTEXT(query_from_json(json, schema, &cli->arena, query), "--query");
        const struct json *root;
        TRY(json_parse(&cli->arena, json, JSON_RULES_USER, &root));
        defer_buffer struct buffer line = BUFFER_INIT(QUERY_JSON_BYTES_MAX);
        struct json_writer writer;
        json_writer_init(&writer, &line, 0);
        json_write_value(&writer, root);
        TRY(json_writer_finish(&writer));
        options->given = arena_copy(&cli->arena, buffer_slice(&line));
    } else if (has_words) {
        *query = (struct query){.schema = schema};
        TRY(cli_query_regions(cli, query));
    } else {
        query_everything(schema, &cli->arena, query);
    }
    if (cli_flag(cli, "columns")) {
        struct slice *names;
        size_t n;
        uint32_t field;
        cli_names(cli, "columns", &names, &n);
        for (size_t i = 0; i < n; i++)
            TRY_CONTEXT(cli_words(cli, cli_find_column(cli, schema, names[i], &field)),
                        "--columns");
        TRY(query_set_fields(query, names, n, &cli->arena));
    }
    if (cli_flag(cli, "auth"))
        TRY_CONTEXT(
            cli_words(cli, query_set_authorisations(query, cli_value(cli, "auth"), &cli->arena)),
            "--auth");
    TRY(cli_number(cli, "at-record", 1, UINT64_MAX, &query->at_record));
    options->query = query;
    options->any_request = cli_flag(cli, "leaf") && !json.size && !has_words &&
                           !cli_flag(cli, "columns") && !cli_flag(cli, "format") &&
                           !cli_flag(cli, "auth");
    return 0;
}

/* ---- the work ---- */

static int do_export(struct cli *cli, struct table *table, const struct export_options *options)
{
    struct budget budget;
    budget_init(&budget, "memory of queries",
                (uint64_t)instance_number(cli->instance, PROPERTY_QUERY_MEMORY),
                "set glis.query.memory", &cli->budget);
    struct store *to;
    TRY(store_locate_root(&cli->runtime, destination(cli), STORE_LOCAL_CREATE, &to));
    struct progress_line line;
    progress_begin(cli, &line);
    struct export_options told = *options;
    told.progress = on_progress;
    told.progress_state = &line;
    struct query_engine *engine;
    struct export *export = NULL;
    int code = query_engine_new(&engine, &cli->runtime, &budget, 0);
    if (code == 0) code = export_open(&export, engine, table, to, &told);
    if (code == 0 && !cli_flag(cli, "plan")) code = run_steps(cli, export);
    progress_end(&line);
    if (code == 0 && cli_flag(cli, "plan")) {
        code = print_plan(cli, export);
    } else if (code == 0) {
        struct export_result result = export_result(export);
        code = cli->json ? report_json(cli, &result) : report(cli, &result);
    }
    if (code == GLIS_ECANCELLED && export)
        cli_note("what is done stays; the same command goes on from there");
    export_close(export);
    query_engine_free(engine);
    store_close(to);
    return code;
}

static int run_steps(struct cli *cli, struct export *export)
{
    struct slice *leaves;
    size_t n;
    cli_values(cli, "leaf", &leaves, &n);
    return export_run(export, leaves, n);
}

static int print_plan(struct cli *cli, const struct export *export)
{
    struct export_result result = export_result(export);
    size_t n = export_n_leaves(export);
    if (!cli->json) {
        for (size_t i = 0; i < n; i++)
            cli_print(cli, "%.*s\n", SLICE_PRINT(export_leaf_id(export, i)));
        return 0;
    }
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "export", result.id);
    json_write_field_string(&writer, "table", result.table_name);
    json_write_field_uint(&writer, "record", result.record);
    json_write_field_bool(&writer, "done", result.is_done);
    json_write_name(&writer, "leaves");
    json_write_array_begin(&writer);
    for (size_t i = 0; i < n; i++)
        json_write_string(&writer, export_leaf_id(export, i));
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

static int on_progress(void *state, const struct export_progress *progress)
{
    struct progress_line *line = state;
    if (!progress_due(line)) return 0;
    arena_free(&line->scratch);
    struct arena *arena = &line->scratch;
    double seconds = (double)(line->shown_ns - line->begun_ns) / 1e9;
    double rate = seconds > 0 ? (double)progress->rows / seconds : 0;
    const char *left = "";
    if (progress->total_rows > progress->rows && rate > 0)
        left = arena_printf(arena, ", %.0f s left",
                            (double)(progress->total_rows - progress->rows) / rate);
    progress_show(line, "leaf %llu of %llu: %s rows, %s, %s rows/s%s",
                  (unsigned long long)progress->leaves_done + 1,
                  (unsigned long long)progress->n_leaves, text_of_count(arena, progress->rows),
                  text_of_size(arena, progress->bytes), text_of_count(arena, (uint64_t)rate), left);
    return 0;
}

/* ---- the result ---- */

static int report(struct cli *cli, const struct export_result *result)
{
    struct slice to = destination(cli);
    if (result->already_done) {
        cli_print(cli, "export %.*s was done before (record %llu); nothing was written\n",
                  SLICE_PRINT(result->id), (unsigned long long)result->record);
        return 0;
    }
    cli_print(cli, "exported %s %s of record %llu in %llu %s, %s, to %.*s\n",
              cli_count(cli, result->rows), result->rows == 1 ? "row" : "rows",
              (unsigned long long)result->record, (unsigned long long)result->files,
              result->files == 1 ? "file" : "files", cli_size(cli, result->bytes), SLICE_PRINT(to));
    if (result->hidden)
        cli_note("%s rows were left out, for their labels do not let this reader see them: the "
                 "export is not whole",
                 cli_count(cli, result->hidden));
    if (!result->is_done)
        cli_print(cli, "%llu of %llu leaves are done\n", (unsigned long long)result->leaves_done,
                  (unsigned long long)result->n_leaves);
    return 0;
}

static int report_json(struct cli *cli, const struct export_result *result)
{
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "export", result->id);
    json_write_field_string(&writer, "table", result->table_name);
    json_write_field_uint(&writer, "record", result->record);
    json_write_field_bool(&writer, "done", result->is_done);
    json_write_field_bool(&writer, "alreadyDone", result->already_done);
    json_write_field_bool(&writer, "whole", result->whole);
    json_write_field_uint(&writer, "leaves", result->n_leaves);
    json_write_field_uint(&writer, "leavesDone", result->leaves_done);
    json_write_field_uint(&writer, "files", result->files);
    json_write_field_uint(&writer, "rows", result->rows);
    json_write_field_uint(&writer, "bytes", result->bytes);
    json_write_field_uint(&writer, "hidden", result->hidden);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

/* ---- back again ---- */

static int run_restore(struct cli *cli)
{
    if (!cli_flag(cli, "restore") || !cli_flag(cli, "as"))
        return cli_usage(cli, "--restore DEST and --as NAME go together");
    static const char *const others[] = {"format",    "query", "key",  "from", "to",  "columns",
                                         "at-record", "job",   "plan", "leaf", "auth"};
    bool alone = cli->n_arguments == 1;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        alone = alone && !cli_flag(cli, others[i]);
    if (!alone) return cli_usage(cli, "--restore takes DEST and --as NAME, and nothing else");
    TRY_CONTEXT(cli_words(cli, table_name_check(cli_value(cli, "as"))), "--as");
    TRY(cli_open_instance(cli, CLI_WRITE));
    struct store *from;
    TRY(store_locate_root(&cli->runtime, destination(cli), STORE_LOCAL_READ_ONLY, &from));
    struct progress_line line;
    progress_begin(cli, &line);
    struct restore_options options = {
        .name = cli_value(cli, "as"), .progress = on_restore_progress, .progress_state = &line};
    struct restore_result result;
    int code = export_restore(cli->instance, &cli->runtime, from, &options, &cli->arena, &result);
    progress_end(&line);
    store_close(from);
    TRY(code);
    return report_restore(cli, &result);
}

static int on_restore_progress(void *state, const struct restore_progress *progress)
{
    struct progress_line *line = state;
    if (!progress_due(line)) return 0;
    arena_free(&line->scratch);
    struct arena *arena = &line->scratch;
    if (progress->phase == RESTORE_VERIFYING)
        progress_show(line, "verifying: %llu of %llu files, %s of %s",
                      (unsigned long long)progress->files_done,
                      (unsigned long long)progress->n_files, text_of_size(arena, progress->bytes),
                      text_of_size(arena, progress->total_bytes));
    else
        progress_show(line, "writing: %llu of %llu files, %s rows, %s",
                      (unsigned long long)progress->files_done,
                      (unsigned long long)progress->n_files, text_of_count(arena, progress->rows),
                      text_of_size(arena, progress->bytes));
    return 0;
}

static int report_restore(struct cli *cli, const struct restore_result *result)
{
    struct slice name = cli_value(cli, "as");
    if (!cli->json) {
        cli_print(cli, "restored table %.*s: %s %s in %llu %s, %llu %s\n", SLICE_PRINT(name),
                  cli_count(cli, result->rows), result->rows == 1 ? "row" : "rows",
                  (unsigned long long)result->files, result->files == 1 ? "file" : "files",
                  (unsigned long long)result->leaves, result->leaves == 1 ? "leaf" : "leaves");
        return 0;
    }
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "table", name);
    json_write_field_string(&writer, "id", result->id);
    json_write_field_uint(&writer, "leaves", result->leaves);
    json_write_field_uint(&writer, "files", result->files);
    json_write_field_uint(&writer, "rows", result->rows);
    json_write_field_uint(&writer, "bytes", result->bytes);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}
