/*
 * cmd_import.c: `glis import sleeper FOLDER [--data FOLDER]`: finds and checks what is there
 * (lsm.h), begins the instance as `glis init --from` does, and brings the rows in, table by table.
 *
 * A call that was stopped is repeated: an instance that is there already is gone on with when each
 * of its tables is empty, or holds the job of this import.
 */
#include "cli/command.h"

#include "lsm/lsm.h"

#include <stdlib.h>

struct importing {
    struct sleeper_import found;
    struct sleeper_import_result *results; /* one a table */
    struct slice *ignored;
    size_t n_ignored;
    bool was_there;
};

static int check_apart(struct cli *cli, struct slice folder);
static int begin_instance(struct cli *cli, struct importing *importing);
static int check_tables(struct cli *cli, const struct importing *importing);
static int bring_rows(struct cli *cli, struct importing *importing);
static int report(struct cli *cli, const struct importing *importing);
static int report_json(struct cli *cli, const struct importing *importing);

int cmd_import(struct cli *cli)
{
    struct importing importing = {0};
    struct slice data = cli_value(cli, "data");
    if (cli->root.size == 0)
        return cli_usage(cli, "say where the instance is to be: --instance ROOT");
    if (cli_flag(cli, "all-files") && !data.size)
        return cli_usage(cli, "--all-files says something about --data");
    TRY(check_apart(cli, cli->arguments[0]));
    if (data.size) TRY(check_apart(cli, data));
    TRY(sleeper_import_find(&cli->runtime, cli->arguments[0], data, cli_flag(cli, "all-files"),
                            &cli->arena, &importing.found));
    TRY(begin_instance(cli, &importing));
    importing.results =
        ARENA_ARRAY(&cli->arena, struct sleeper_import_result, importing.found.n_tables);
    int code = data.size ? bring_rows(cli, &importing) : 0;
    if (code < 0)
        cli_note("the instance is begun and what was brought in stays; the same call goes on from "
                 "there");
    TRY(code);
    return cli->json ? report_json(cli, &importing) : report(cli, &importing);
}

/* An instance among what is imported would be in the way of the next call. */
static int check_apart(struct cli *cli, struct slice folder)
{
    char *root = realpath(arena_copy_text(&cli->arena, cli->root), NULL);
    char *other = realpath(arena_copy_text(&cli->arena, folder), NULL);
    bool is_same = root && other && strcmp(root, other) == 0;
    free(root);
    free(other);
    if (!is_same) return 0;
    return error_set(
        GLIS_EINVALID,
        "%.*s is what is imported; the instance (--instance) wants a folder of its own",
        SLICE_PRINT(folder));
}

static int begin_instance(struct cli *cli, struct importing *importing)
{
    TRY(store_root_open(&cli->runtime, cli->root, STORE_LOCAL_CREATE, &cli->store));
    TRY(store_root_begin(cli->store, SLICE_EMPTY));
    int code = instance_init_from(&cli->runtime, cli->store, cli->arguments[0], &cli->arena,
                                  &importing->ignored, &importing->n_ignored);
    if (code < 0 && code != GLIS_EEXISTS) return code;
    importing->was_there = code == GLIS_EEXISTS;
    struct error_detail detail;
    if (importing->was_there) error_save(&detail);
    TRY(instance_open(&cli->runtime, cli->store, 0, &cli->overrides, &cli->instance));
    TRY(property_logger(&cli->overrides, cli->instance, cli->runtime.clock, &cli->logger));
    TRY(cli_start_threads(cli));
    if (!importing->was_there || check_tables(cli, importing) == 0) return 0;
    error_load(&detail);
    return code;
}

/* 0 when every table is there, and has nothing but what this import brings. */
static int check_tables(struct cli *cli, const struct importing *importing)
{
    for (size_t i = 0; i < importing->found.n_tables; i++) {
        const struct sleeper_table *from = &importing->found.tables[i];
        const struct table_state *state;
        struct table *table;
        TRY(table_open(cli->instance, from->name, &table));
        int code = table_state_get(table, 0, &state);
        if (code == 0) {
            bool is_ours = table_state_figures(state).references == 0 ||
                           sleeper_import_is_known(state, from->id, &cli->arena);
            code = is_ours ? 0 : GLIS_EEXISTS;
            table_state_release(state);
        }
        table_close(table);
        if (code < 0) return code;
    }
    return 0;
}

static int bring_rows(struct cli *cli, struct importing *importing)
{
    for (size_t i = 0; i < importing->found.n_tables; i++) {
        const struct sleeper_table *from = &importing->found.tables[i];
        struct table *table;
        struct progress_line line;
        TRY(table_open(cli->instance, from->name, &table));
        progress_begin(cli, &line);
        struct ingest_options options = {.progress = cli_ingest_progress, .progress_state = &line};
        int code = sleeper_import_table(table, &cli->runtime, from, cli_flag(cli, "rewrite"),
                                        &options, &cli->arena, &importing->results[i]);
        progress_end(&line);
        table_close(table);
        TRY_CONTEXT(code, "table %.*s", SLICE_PRINT(from->name));
    }
    return 0;
}

/* ---- the result ---- */

static void print_part(struct cli *cli, const char *before, uint64_t rows, uint64_t files,
                       const char *after)
{
    cli_print(cli, "%s%s %s in %s %s %s", before, cli_count(cli, rows), rows == 1 ? "row" : "rows",
              cli_count(cli, files), files == 1 ? "file" : "files", after);
}

static void print_rows(struct cli *cli, const struct sleeper_import_result *done)
{
    const char *before = ": ";
    if (done->files_adopted) {
        print_part(cli, before, done->rows_adopted, done->files_adopted,
                   done->files_adopted == 1 ? "that stays where it is"
                                            : "that stay where they are");
        before = ", ";
    }
    if (done->files_rewritten)
        print_part(cli, before, done->rewritten.rows, done->files_rewritten, "sorted anew");
    if (!done->files_adopted && !done->files_rewritten) cli_print(cli, ": no rows");
}

static int report(struct cli *cli, const struct importing *importing)
{
    uint64_t n_not_live = 0, n_sketches = 0, n_adopted = 0;
    bool with_data = cli_value(cli, "data").size > 0;
    cli_print(cli, "%s an instance in %s\n", importing->was_there ? "went on with" : "began",
              cli->store->description);
    for (size_t i = 0; i < importing->found.n_tables; i++) {
        const struct sleeper_table *from = &importing->found.tables[i];
        const struct sleeper_import_result *done = &importing->results[i];
        n_not_live += from->n_not_live;
        n_sketches += from->n_sketches;
        n_adopted += done->files_adopted;
        cli_print(cli, "table %.*s", SLICE_PRINT(from->name));
        if (done->already_done)
            cli_print(cli, ": its rows were brought in before");
        else if (with_data)
            print_rows(cli, done);
        cli_print(cli, "\n");
    }
    if (!with_data && importing->found.n_tables)
        cli_print(cli, "no rows were brought in: --data names a copy of the data bucket\n");
    if (n_adopted)
        cli_print(cli,
                  "the instance reads files in %.*s from now on: keep them until they have "
                  "been compacted\n",
                  SLICE_PRINT(cli_value(cli, "data")));
    if (n_not_live)
        cli_print(cli, "left out: %s Parquet %s not live\n", cli_count(cli, n_not_live),
                  n_not_live == 1 ? "file that is" : "files that are");
    if (n_sketches)
        cli_print(cli, "left out: %s %s, which are not needed\n", cli_count(cli, n_sketches),
                  n_sketches == 1 ? "file of sketches" : "files of sketches");
    if (importing->n_ignored) {
        cli_print(cli, "left out, for this version has no use for them:");
        for (size_t i = 0; i < importing->n_ignored; i++)
            cli_print(cli, "%s %.*s", i ? "," : "", SLICE_PRINT(importing->ignored[i]));
        cli_print(cli, "\n");
    }
    return 0;
}

static int report_json(struct cli *cli, const struct importing *importing)
{
    struct json_writer json;
    cli_json_begin(cli, &json);
    json_write_object_begin(&json);
    json_write_field_string(&json, "instance", cli->root);
    json_write_field_bool(&json, "wasThere", importing->was_there);
    json_write_name(&json, "tables");
    json_write_array_begin(&json);
    for (size_t i = 0; i < importing->found.n_tables; i++) {
        const struct sleeper_table *from = &importing->found.tables[i];
        const struct sleeper_import_result *done = &importing->results[i];
        json_write_object_begin(&json);
        json_write_field_string(&json, "name", from->name);
        if (from->id.size) json_write_field_string(&json, "sleeperId", from->id);
        json_write_field_bool(&json, "alreadyDone", done->already_done);
        json_write_field_uint(&json, "rows", done->rows_adopted + done->rewritten.rows);
        json_write_field_uint(&json, "filesByReference", done->files_adopted);
        json_write_field_uint(&json, "filesRewritten", done->files_rewritten);
        json_write_field_uint(&json, "filesNotLive", from->n_not_live);
        json_write_field_uint(&json, "sketchesLeftOut", from->n_sketches);
        json_write_object_end(&json);
    }
    json_write_array_end(&json);
    json_write_name(&json, "propertiesLeftOut");
    json_write_array_begin(&json);
    for (size_t i = 0; i < importing->n_ignored; i++)
        json_write_string(&json, importing->ignored[i]);
    json_write_array_end(&json);
    json_write_object_end(&json);
    return cli_json_end(cli, &json);
}
