/*
 * cmd_maintain.c: `glis compact`, `glis split`, `glis gc`, `glis maintain`: one engine (lsm.h,
 * maintain_table) with different steps switched on. Each thing that is done is a line; with --json
 * the whole is one object a table.
 *
 * Several tables are done one after another, and one that fails does not keep the others from their
 * turn: its error is printed, and the last one is the command's.
 */
#include "cli/command.h"

#include "log/log.h"
#include "lsm/lsm.h"

struct work {
    struct cli *cli;
    struct table *table;
    const struct table_state *state; /* for printing keys of a plan */
    struct json_writer *json;
    const char *verb;    /* what gc says of objects: "would be removed" */
    const char *failure; /* the first message of a job that failed */
    struct progress_line *line;
    struct resting {
        struct slice partition;
        int64_t until_ms;
        uint64_t failures;
    } * resting;
    size_t n_resting, resting_max;
};

/* ---- the tables that a call is about ---- */

static int each_table(struct cli *cli, int (*run)(struct cli *cli, struct table *table))
{
    bool all = cli_flag(cli, "all");
    if (all == (cli->n_arguments > 0))
        return cli_usage(cli, all ? "--all and a table's name do not go together"
                                  : "give a table's name, or --all");
    if (!all) {
        struct table *table;
        TRY(cli_open_table(cli, CLI_WRITE, &table));
        int code = run(cli, table);
        table_close(table);
        return code;
    }
    struct table_entry *entries;
    struct error_detail last = {0};
    size_t n;
    TRY(cli_open_instance(cli, CLI_WRITE));
    TRY(instance_tables(cli->instance, false, &cli->arena, &entries, &n));
    for (size_t i = 0; i < n; i++) {
        struct table *table;
        if (!entries[i].online || entries[i].life == TABLE_CREATING) continue;
        int code = table_open(cli->instance, entries[i].name, &table);
        if (code == 0) {
            if (!cli->json) cli_print(cli, "%.*s:\n", SLICE_PRINT(entries[i].name));
            code = run(cli, table);
            table_close(table);
        }
        if (code == GLIS_ECANCELLED || code == GLIS_ECLOSED) return code;
        if (code == 0) continue;
        struct error_detail failure;
        error_save(&failure);
        if (last.code) { /* the last one is what the call ends with */
            (void)error_load(&last);
            cli_note("%s", error_message());
        }
        last = failure;
    }
    return last.code ? error_load(&last) : 0;
}

/* ---- events ---- */

static int on_event(void *state, const struct maintain_event *event)
{
    struct work *work = state;
    struct cli *cli = work->cli;
    const struct compaction_result *done = event->compaction;
    progress_end(work->line);
    if (event->code) {
        /* The first is what the call ends with: in JSON, it is told there. */
        const char *message = error_message();
        if (!work->failure) work->failure = arena_copy_text(&cli->arena, slice_from_text(message));
        if (!cli->json || strcmp(message, work->failure) != 0) cli_note("%s", message);
    } else if (event->rests_until_ms) {
        ARENA_GROW(&cli->arena, work->resting, work->n_resting, work->resting_max);
        work->resting[work->n_resting++] = (struct resting){
            arena_copy(&cli->arena, event->partition), event->rests_until_ms, event->n};
        if (!cli->json)
            cli_print(cli,
                      "partition %.*s rests until %s, or until its files change, after %s failures "
                      "(see glis status %.*s jobs; glis compact --force tries again)\n",
                      SLICE_PRINT(event->partition), cli_time(cli, event->rests_until_ms),
                      cli_count(cli, event->n), SLICE_PRINT(table_name(work->table)));
    } else if (cli->json) {
        return 0;
    } else if (event->step == MAINTAIN_COMPACT && done->is_lost) {
        cli_print(cli, "partition %.*s: its files were taken by another job\n",
                  SLICE_PRINT(event->partition));
    } else if (event->step == MAINTAIN_COMPACT) {
        cli_print(cli, "partition %.*s: %s rows, %s, to %s rows, %s; record %llu\n",
                  SLICE_PRINT(event->partition), cli_count(cli, done->rows_read),
                  cli_size(cli, done->bytes_read), cli_count(cli, done->rows_written),
                  cli_size(cli, done->bytes_written), (unsigned long long)done->record);
    } else if (event->step == MAINTAIN_PUSH_DOWN) {
        cli_print(cli, "%s %s pushed down from inner partitions\n", cli_count(cli, event->n),
                  event->n == 1 ? "file" : "files");
    } else if (event->step == MAINTAIN_SPLIT && !event->split.size) {
        cli_print(cli, "leaf %.*s cannot be split: no value lies between its rows' keys\n",
                  SLICE_PRINT(event->partition));
    } else if (event->step == MAINTAIN_SPLIT) {
        const struct schema *schema = table_state_schema(work->state);
        cli_print(cli, "leaf %.*s, %s rows: split at %.*s = %.*s\n", SLICE_PRINT(event->partition),
                  cli_count(cli, event->n), SLICE_PRINT(schema->fields[event->dimension].name),
                  SLICE_PRINT(cli_field_key(cli, schema, event->dimension, event->split)));
    } else if (event->step == MAINTAIN_JOIN) {
        cli_print(cli, "partition %.*s: its two empty leaves are one\n",
                  SLICE_PRINT(event->partition));
    } else if (event->step == MAINTAIN_EXPIRE) {
        cli_print(cli, "%s %s past %s age\n", cli_count(cli, event->n),
                  event->n == 1 ? "file" : "files", event->n == 1 ? "its" : "their");
    }
    return cli_flush(cli);
}

static int on_progress(void *state, const struct merge_files_progress *progress)
{
    struct work *work = state;
    struct progress_line *line = work->line;
    if (!progress_due(line)) return 0;
    arena_free(&line->scratch);
    progress_show(line, "merging: %s of %s rows, %s written",
                  text_of_count(&line->scratch, progress->rows_read),
                  text_of_count(&line->scratch, progress->rows_total),
                  text_of_size(&line->scratch, progress->bytes_written));
    return 0;
}

static int on_collected(void *state, const char *why, struct slice key, uint64_t bytes)
{
    struct work *work = state;
    if (!work->verb || work->cli->json) return 0;
    cli_print(work->cli, "%s %.*s (%s, %s)\n", work->verb, SLICE_PRINT(key), why,
              cli_size(work->cli, bytes));
    return cli_flush(work->cli);
}

/* ---- results ---- */

static void write_collected(struct json_writer *json, const struct collect_result *collected)
{
    json_write_field_uint(json, "files", collected->files);
    json_write_field_uint(json, "bytes", collected->bytes);
    json_write_field_uint(json, "orphans", collected->orphans);
    json_write_field_uint(json, "orphanBytes", collected->orphan_bytes);
    json_write_field_uint(json, "staged", collected->staged);
    json_write_field_uint(json, "waiting", collected->waiting);
    json_write_field_uint(json, "pinned", collected->pinned);
    json_write_field_uint(json, "horizon", collected->horizon);
    json_write_field_uint(json, "trimmed", collected->trimmed);
}

static int report_json(struct cli *cli, const struct work *work, unsigned steps,
                       const struct maintain_result *result)
{
    struct json_writer json;
    cli_json_begin(cli, &json);
    json_write_object_begin(&json);
    json_write_field_string(&json, "table", table_name(work->table));
    if (steps & MAINTAIN_COMPACT) {
        json_write_field_uint(&json, "compactions", result->compactions);
        json_write_field_uint(&json, "lost", result->lost);
        json_write_field_uint(&json, "failed", result->failed);
        json_write_field_uint(&json, "rowsRead", result->rows_read);
        json_write_field_uint(&json, "rowsWritten", result->rows_written);
        json_write_field_uint(&json, "bytesRead", result->bytes_read);
        json_write_field_uint(&json, "bytesWritten", result->bytes_written);
        json_write_field_uint(&json, "pushedDown", result->pushed_down);
        json_write_field_bool(&json, "idle", result->is_idle);
        json_write_name(&json, "resting");
        json_write_array_begin(&json);
        for (size_t i = 0; i < work->n_resting; i++) {
            json_write_object_begin(&json);
            json_write_field_string(&json, "partition", work->resting[i].partition);
            json_write_field_int(&json, "until", work->resting[i].until_ms);
            json_write_field_uint(&json, "failures", work->resting[i].failures);
            json_write_object_end(&json);
        }
        json_write_array_end(&json);
    }
    if (steps & MAINTAIN_SPLIT) {
        json_write_field_uint(&json, "splits", result->splits);
        json_write_field_uint(&json, "unsplittable", result->unsplittable);
    }
    if (steps & MAINTAIN_JOIN) json_write_field_uint(&json, "joined", result->joined);
    if (steps & MAINTAIN_EXPIRE) json_write_field_uint(&json, "expired", result->expired);
    if (steps & MAINTAIN_COLLECT) {
        json_write_name(&json, "collected");
        json_write_object_begin(&json);
        write_collected(&json, &result->collected);
        json_write_object_end(&json);
    }
    json_write_object_end(&json);
    return cli_json_end(cli, &json);
}

static void report_collected(struct cli *cli, const struct collect_result *collected, bool dry_run)
{
    uint64_t n = collected->files + collected->orphans + collected->staged;
    const char *verb = dry_run ? "would be removed" : "removed";
    if (!n)
        cli_print(cli, "nothing to remove");
    else
        cli_print(cli, "%s %s %s, %s", cli_count(cli, n), n == 1 ? "object" : "objects", verb,
                  cli_size(cli, collected->bytes + collected->orphan_bytes));
    if (collected->waiting)
        cli_print(cli, "; %s without references wait for glis.table.gc.delay",
                  cli_count(cli, collected->waiting));
    if (collected->pinned) cli_print(cli, "; %s kept by pins", cli_count(cli, collected->pinned));
    cli_print(cli, "\n");
    if (collected->trimmed)
        cli_print(cli, "%s records of the log %s\n", cli_count(cli, collected->trimmed), verb);
}

static void report(struct cli *cli, unsigned steps, const struct maintain_result *result,
                   bool dry_run)
{
    if (steps & MAINTAIN_COMPACT) {
        if (!result->compactions && !result->pushed_down && !result->lost && !result->failed)
            cli_print(cli, result->resting ? "nothing else to compact\n" : "nothing to compact\n");
        else if (result->compactions)
            cli_print(cli, "%s %s: %s rows read, %s written\n", cli_count(cli, result->compactions),
                      result->compactions == 1 ? "compaction" : "compactions",
                      cli_count(cli, result->rows_read), cli_count(cli, result->rows_written));
    }
    if (steps == MAINTAIN_SPLIT && !result->splits && !result->unsplittable)
        cli_print(cli, "no leaf is due to be split\n");
    if (steps & MAINTAIN_COLLECT) report_collected(cli, &result->collected, dry_run);
}

static int run_steps(struct cli *cli, struct table *table, struct maintain_options *options)
{
    struct progress_line line;
    struct work work = {.cli = cli, .table = table, .line = &line};
    struct maintain_result result;
    if (options->collect.dry_run) work.verb = "would remove";
    options->event = on_event;
    options->event_state = &work;
    options->work.progress = on_progress;
    options->work.progress_state = &work;
    options->collect.visit = on_collected;
    options->collect.visit_state = &work;
    TRY(table_state_get(table, 0, &work.state));
    progress_begin(cli, &line);
    int code = maintain_table(table, &cli->runtime, options, &result);
    progress_end(&line);
    table_state_release(work.state);
    struct error_detail detail;
    if (code < 0) error_save(&detail);
    if (cli->json)
        TRY(report_json(cli, &work, options->steps, &result));
    else if (code == 0)
        report(cli, options->steps, &result, options->collect.dry_run);
    if (code == 0) return 0;
    (void)error_load(&detail);
    if (!cli->json && work.failure && strcmp(work.failure, error_message()) == 0)
        return error_set(code, "%s %s; the rest is done (see glis status %.*s jobs)",
                         cli_count(cli, result.failed),
                         result.failed == 1 ? "job failed" : "jobs failed",
                         SLICE_PRINT(table_name(table)));
    return code;
}

/* ---- compact ---- */

static const char *reason_text(enum compaction_reason reason)
{
    switch (reason) {
    case COMPACT_BY_STRATEGY: return "strategy";
    case COMPACT_TO_SPLIT: return "split";
    case COMPACT_BY_FORCE: return "force";
    }
    return "";
}

static void plan_json(struct json_writer *json, struct slice table,
                      const struct compaction_plan *plan)
{
    json_write_object_begin(json);
    json_write_field_string(json, "table", table);
    json_write_name(json, "jobs");
    json_write_array_begin(json);
    for (size_t i = 0; i < plan->n_jobs; i++) {
        json_write_object_begin(json);
        json_write_field_string(json, "partition", plan->jobs[i].partition);
        json_write_field_text(json, "reason", reason_text(plan->jobs[i].reason));
        json_write_field_uint(json, "rows", plan->jobs[i].rows);
        json_write_name(json, "files");
        json_write_array_begin(json);
        for (size_t f = 0; f < plan->jobs[i].n_files; f++)
            json_write_string(json, plan->jobs[i].files[f]);
        json_write_array_end(json);
        json_write_object_end(json);
    }
    json_write_array_end(json);
    json_write_name(json, "pushDowns");
    json_write_array_begin(json);
    for (size_t i = 0; i < plan->n_push_downs; i++) {
        json_write_object_begin(json);
        json_write_field_string(json, "partition", plan->push_downs[i].partition);
        json_write_field_string(json, "file", plan->push_downs[i].file);
        json_write_name(json, "to");
        json_write_array_begin(json);
        for (size_t k = 0; k < plan->push_downs[i].n_to; k++)
            json_write_string(json, plan->push_downs[i].to[k].partition);
        json_write_array_end(json);
        json_write_object_end(json);
    }
    json_write_array_end(json);
    json_write_object_end(json);
}

static void plan_text(struct cli *cli, const struct compaction_plan *plan)
{
    for (size_t i = 0; i < plan->n_push_downs; i++)
        cli_print(cli, "push down %.*s from partition %.*s to %zu below\n",
                  SLICE_PRINT(plan->push_downs[i].file), SLICE_PRINT(plan->push_downs[i].partition),
                  plan->push_downs[i].n_to);
    for (size_t i = 0; i < plan->n_jobs; i++)
        cli_print(cli, "compact %zu files of partition %.*s, %s rows (%s)\n", plan->jobs[i].n_files,
                  SLICE_PRINT(plan->jobs[i].partition), cli_count(cli, plan->jobs[i].rows),
                  reason_text(plan->jobs[i].reason));
    if (!plan->n_jobs && !plan->n_push_downs) cli_print(cli, "nothing to compact\n");
}

static int show_plan(struct cli *cli, struct table *table)
{
    const struct table_state *state;
    struct compaction_plan plan;
    struct compaction_plan_options options = {
        .now_ms = cli->runtime.clock->wall_ms(cli->runtime.clock),
        .force = cli_flag(cli, "force"),
        .leaf = cli_value(cli, "leaf"),
    };
    TRY(table_state_get(table, 0, &state));
    int code = compaction_plan(state, &options, &cli->arena, &plan);
    if (code == 0 && options.force)
        code = compaction_skip_unchanged(table, state, &plan, &cli->arena);
    if (code == 0 && cli->json) {
        struct json_writer json;
        cli_json_begin(cli, &json);
        plan_json(&json, table_name(table), &plan);
        code = cli_json_end(cli, &json);
    } else if (code == 0) {
        plan_text(cli, &plan);
    }
    table_state_release(state);
    return code;
}

static int check_leaf(struct cli *cli, struct table *table)
{
    struct slice leaf = cli_value(cli, "leaf");
    struct partition partition;
    const struct table_state *state;
    if (!leaf.data) return 0;
    TRY(table_state_get(table, 0, &state));
    int code = table_partition(state, leaf, &cli->arena, &partition);
    if (code == 0 && !partition.is_leaf)
        code = error_set(GLIS_EINVALID, "partition '%.*s' is no leaf", SLICE_PRINT(leaf));
    table_state_release(state);
    return code;
}

static int compact_table(struct cli *cli, struct table *table)
{
    TRY(check_leaf(cli, table));
    if (cli_flag(cli, "dry-run")) return show_plan(cli, table);
    struct maintain_options options = {
        .steps = MAINTAIN_PUSH_DOWN | MAINTAIN_COMPACT,
        .force = cli_flag(cli, "force"),
        .leaf = cli_value(cli, "leaf"),
    };
    return run_steps(cli, table, &options);
}

int cmd_compact(struct cli *cli)
{
    if (cli_flag(cli, "leaf") && cli_flag(cli, "all"))
        return cli_usage(cli, "--leaf is of one table");
    return each_table(cli, compact_table);
}

/* ---- split ---- */

static int split(struct cli *cli, struct table *table)
{
    struct maintain_options options = {.steps = MAINTAIN_SPLIT};
    return run_steps(cli, table, &options);
}

int cmd_split(struct cli *cli)
{
    return each_table(cli, split);
}

/* ---- gc ---- */

static int collect(struct cli *cli, struct table *table)
{
    struct maintain_options options = {
        .steps = MAINTAIN_COLLECT,
        .once = true,
        .collect = {.dry_run = cli_flag(cli, "dry-run"),
                    .now = cli_flag(cli, "now"),
                    .full = cli_flag(cli, "full")},
    };
    return run_steps(cli, table, &options);
}

/* Tables that were dropped long enough ago. */
static int sweep_dropped(struct cli *cli, bool dry_run)
{
    struct table_entry *entries;
    size_t n;
    uint64_t n_restores = 0;
    TRY(export_restore_sweep(cli->instance, &cli->runtime, dry_run, &n_restores));
    if (n_restores && !cli->json)
        cli_print(cli, "%s unfinished %s %s\n", cli_count(cli, n_restores),
                  n_restores == 1 ? "restore" : "restores",
                  dry_run ? "would be dropped" : "dropped");
    TRY(instance_tables(cli->instance, true, &cli->arena, &entries, &n));
    for (size_t i = 0; i < n; i++) {
        uint64_t removed = 0;
        if (entries[i].life == TABLE_LIVE) continue;
        TRY(table_sweep(cli->instance, &entries[i], dry_run, &removed));
        if (removed && !cli->json)
            cli_print(cli, "dropped table %.*s (%.*s): %s objects %s\n",
                      SLICE_PRINT(entries[i].name), SLICE_PRINT(entries[i].id),
                      cli_count(cli, removed), dry_run ? "would be removed" : "removed");
    }
    return 0;
}

/* The tables of the call, and with --all also what was dropped. */
static int each_table_and_dropped(struct cli *cli, int (*run)(struct cli *cli, struct table *table),
                                  bool dry_run)
{
    int code = each_table(cli, run);
    /* Without an instance it could not even be opened. */
    bool is_over = cli->is_usage_error || !cli->instance || code == GLIS_ECANCELLED;
    if (!cli_flag(cli, "all") || is_over) return code;
    struct error_detail detail;
    if (code < 0) error_save(&detail);
    TRY(sweep_dropped(cli, dry_run));
    struct log_trim_result trimmed;
    TRY(instance_trim(cli->instance, &(struct table_trim_options){.dry_run = dry_run}, &trimmed));
    return code < 0 ? error_load(&detail) : 0;
}

int cmd_gc(struct cli *cli)
{
    return each_table_and_dropped(cli, collect, cli_flag(cli, "dry-run"));
}

/* ---- maintain ---- */

static int maintain(struct cli *cli, struct table *table)
{
    struct maintain_options options = {.steps = MAINTAIN_ALL, .once = !cli_flag(cli, "until-idle")};
    return run_steps(cli, table, &options);
}

int cmd_maintain(struct cli *cli)
{
    return each_table_and_dropped(cli, maintain, false);
}
