/*
 * cmd_status.c: `glis status [TABLE [files|partitions|jobs|log]]`: what an instance or a table
 * holds. Everything comes from one state of the table, but the jobs, which are read from its log,
 * and the log's own objects, which are listed.
 */
#include "cli/command.h"

#include "lsm/lsm.h"

static int status_instance(struct cli *cli);
static int status_table(struct cli *cli, struct table *table, const struct table_state *state);
static void write_cost(struct cli *cli, struct json_writer *writer, uint64_t bytes);
static void print_cost(struct cli *cli, uint64_t bytes);
static int status_files(struct cli *cli, const struct table_state *state);
static int visit_file(void *context, const struct table_file *file);
static int status_log(struct cli *cli, struct table *table, const struct table_state *state);
static int visit_object(void *context, const struct store_object *object);

/* The most files that a lookup meets on its way from the root to a leaf. */
static int lookup_files(const struct table_state *state, size_t *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct table_leaf *leaves;
    size_t n;
    *out = 0;
    TRY(table_leaves(state, NULL, &arena, &leaves, &n));
    for (size_t i = 0; i < n; i++)
        if (leaves[i].n_references > *out) *out = leaves[i].n_references;
    return 0;
}

int cmd_status(struct cli *cli)
{
    static const char *const parts[] = {"files", "partitions", "jobs", "log"};
    enum { N_PARTS = sizeof parts / sizeof *parts };
    uint64_t at_record = 0;
    TRY(cli_number(cli, "at-record", 1, UINT64_MAX, &at_record));
    if (at_record && cli->n_arguments == 0)
        return cli_usage(cli, "--at-record is of one table: records are those of its log");
    if (cli->n_arguments == 0) return status_instance(cli);
    size_t part = N_PARTS;
    for (size_t i = 0; cli->n_arguments == 2 && i < N_PARTS; i++)
        if (slice_equal_text(cli->arguments[1], parts[i])) part = i;
    if (cli->n_arguments == 2 && part == N_PARTS)
        return cli_usage(cli, "status shows files, partitions, jobs or log, not '%.*s'%s",
                         SLICE_PRINT(cli->arguments[1]),
                         cli_did_you_mean(cli, cli->arguments[1], parts, N_PARTS));
    if (at_record && part == 3)
        return cli_usage(cli, "the log is shown as it is now; leave --at-record away");
    struct table *table;
    TRY(cli_open_table(cli, CLI_READ, &table));
    const struct table_state *state = NULL;
    int code =
        at_record ? table_state_at(table, at_record, &state) : table_state_get(table, 0, &state);
    if (code == 0) switch (part) {
        case 0: code = status_files(cli, state); break;
        case 1: code = status_partitions(cli, state); break;
        case 2: code = status_jobs(cli, table, state, at_record > 0); break;
        case 3: code = status_log(cli, table, state); break;
        default: code = status_table(cli, table, state);
        }
    table_state_release(state);
    table_close(table);
    return code;
}

/* ---- all tables ---- */

/* One line or object. A table whose creation was interrupted has nothing to count yet. */
static int status_entry(struct cli *cli, const struct table_entry *entry, struct text_table *text,
                        struct json_writer *writer)
{
    struct table *table = NULL;
    const struct table_state *state = NULL;
    struct table_figures figures = {.rows_are_exact = true};
    uint64_t record = 0;
    int64_t time_ms = entry->since_ms;
    bool creating = entry->life == TABLE_CREATING;
    if (!creating) {
        TRY(table_open(cli->instance, entry->name, &table));
        int code = table_state_get(table, 0, &state);
        if (code == 0) {
            figures = table_state_figures(state);
            record = table_state_record(state);
            time_ms = table_state_time_ms(state);
        }
        table_state_release(state);
        table_close(table);
        TRY(code);
    }
    if (text) {
        text_table_cell(text, "%.*s%s", SLICE_PRINT(entry->name),
                        creating        ? " (being created)"
                        : entry->online ? ""
                                        : " (offline)");
        text_table_cell(text, "%s%s", figures.rows_are_exact ? "" : "~",
                        cli_count(cli, figures.rows));
        text_table_cell(text, "%s", cli_count(cli, figures.files - figures.unreferenced_files));
        text_table_cell(text, "%s", cli_size(cli, figures.bytes));
        text_table_cell(text, "%s", cli_count(cli, figures.leaves));
        text_table_cell(text, "%llu", (unsigned long long)record);
        text_table_cell(text, "%s", cli_time(cli, time_ms));
        return 0;
    }
    json_write_object_begin(writer);
    json_write_field_string(writer, "table", entry->name);
    if (creating) json_write_field_bool(writer, "beingCreated", true);
    json_write_field_bool(writer, "online", entry->online);
    json_write_field_uint(writer, "rows", figures.rows);
    json_write_field_bool(writer, "rowsAreExact", figures.rows_are_exact);
    json_write_field_uint(writer, "files", figures.files - figures.unreferenced_files);
    json_write_field_uint(writer, "bytes", figures.bytes);
    json_write_field_uint(writer, "leaves", figures.leaves);
    json_write_field_uint(writer, "record", record);
    json_write_field_int(writer, "time", time_ms);
    json_write_object_end(writer);
    return 0;
}

static int status_instance(struct cli *cli)
{
    TRY(cli_open_instance(cli, CLI_READ));
    struct table_entry *entries;
    size_t n;
    TRY(instance_tables(cli->instance, false, &cli->arena, &entries, &n));
    if (n == 0 && !cli->json) {
        cli_print(cli, "no tables yet; `glis table create` makes one\n");
        return 0;
    }
    struct text_table text;
    struct json_writer writer;
    if (cli->json) {
        cli_json_begin(cli, &writer);
        json_write_array_begin(&writer);
    } else {
        text_table_init(
            &text,
            (const char *[]){"table", ">rows", ">files", ">size", ">leaves", ">record", "changed"},
            7);
    }
    int code = 0;
    for (size_t i = 0; i < n && code == 0; i++)
        code = status_entry(cli, &entries[i], cli->json ? NULL : &text, &writer);
    if (!cli->json) {
        text_table_end(cli, &text);
        return code;
    }
    TRY(code);
    json_write_array_end(&writer);
    return cli_json_end(cli, &writer);
}

/* ---- one table ---- */

enum { SET_ASIDE_NAMED = 20 };

/* What is due, running, or stands in the way. */
struct table_debt {
    struct compaction_plan plan;
    size_t running, pins;
    uint64_t set_aside; /* files; of more than are named some are counted again */
    struct slice names[SET_ASIDE_NAMED];
    size_t n_named;
    struct arena *arena;
};

/* Names each damaged file once: references of one file lie on several partitions. */
static int find_set_aside(void *context, const struct partition_figures *partition)
{
    struct table_debt *debt = context;
    for (size_t i = 0; i < partition->n_references; i++) {
        if (!partition->references[i].is_set_aside) continue;
        struct slice name = table_figures_name(&partition->references[i], debt->arena);
        bool known = false;
        for (size_t k = 0; k < debt->n_named && !known; k++)
            known = slice_equal(debt->names[k], name);
        if (known) continue;
        debt->set_aside++;
        if (debt->n_named < SET_ASIDE_NAMED) debt->names[debt->n_named++] = name;
    }
    return 0;
}

/* Now, or with --at-record the time of then. */
static int64_t time_looked_at(struct cli *cli, const struct table_state *state)
{
    return cli_flag(cli, "at-record") ? table_state_time_ms(state)
                                      : cli->runtime.clock->wall_ms(cli->runtime.clock);
}

static int debt_find(struct cli *cli, const struct table_state *state,
                     const struct job_report *reports, size_t n_reports, struct table_debt *out)
{
    struct table_assignment *assignments;
    struct table_pin *pins;
    int64_t now_ms = time_looked_at(cli, state);
    size_t n;
    *out = (struct table_debt){.arena = &cli->arena};
    TRY(table_assignments(state, &cli->arena, &assignments, &n));
    for (size_t i = 0; i < n; i++)
        out->running += assignments[i].until_ms > now_ms;
    TRY(table_pins(state, &cli->arena, &pins, &out->pins));
    TRY(table_each_partition(state, find_set_aside, out));
    struct compaction_failure *failures;
    struct compaction_plan_options options = {.now_ms = now_ms};
    TRY(job_reports_failures(reports, n_reports, &cli->arena, &failures, &options.n_failures));
    options.failures = failures;
    return compaction_plan(state, &options, &cli->arena, &out->plan);
}

static void print_debt(struct cli *cli, const struct table_debt *debt)
{
    uint64_t due = debt->plan.n_jobs_due + debt->plan.n_push_downs + debt->plan.n_splits;
    if (due)
        cli_print(cli, "due         %s compactions, %s files to go down, %s splits\n",
                  cli_count(cli, debt->plan.n_jobs_due), cli_count(cli, debt->plan.n_push_downs),
                  cli_count(cli, debt->plan.n_splits));
    for (size_t i = 0; i < debt->plan.n_resting; i++)
        cli_print(cli, "resting     partition %.*s after failures, until %s\n",
                  SLICE_PRINT(debt->plan.resting[i].partition),
                  cli_time(cli, debt->plan.resting[i].until_ms));
    if (debt->running)
        cli_print(cli, "running     %s %s\n", cli_count(cli, debt->running),
                  debt->running == 1 ? "job" : "jobs");
    if (debt->set_aside)
        cli_print(cli, "set aside   %s damaged %s\n", cli_count(cli, debt->set_aside),
                  debt->set_aside == 1 ? "file" : "files");
    for (size_t i = 0; i < debt->n_named; i++)
        cli_print(cli, "            %.*s\n", SLICE_PRINT(debt->names[i]));
    if (debt->pins) cli_print(cli, "pins        %s\n", cli_count(cli, debt->pins));
}

static int status_table(struct cli *cli, struct table *table, const struct table_state *state)
{
    struct table_figures figures = table_state_figures(state);
    size_t at_once;
    struct table_debt debt;
    struct job_report *failures;
    size_t n_failed;
    TRY(lookup_files(state, &at_once));
    TRY(job_reports(table, &cli->arena, &failures, &n_failed));
    while (n_failed && failures[n_failed - 1].time_ms > time_looked_at(cli, state))
        n_failed--; /* they are by time */
    TRY(debt_find(cli, state, failures, n_failed, &debt));
    if (cli->json) {
        struct json_writer writer;
        cli_json_begin(cli, &writer);
        json_write_object_begin(&writer);
        json_write_field_string(&writer, "table", table_name(table));
        json_write_field_string(&writer, "id", table_id(table));
        json_write_field_uint(&writer, "rows", figures.rows);
        json_write_field_bool(&writer, "rowsAreExact", figures.rows_are_exact);
        json_write_field_uint(&writer, "files", figures.files - figures.unreferenced_files);
        json_write_field_uint(&writer, "unreferencedFiles", figures.unreferenced_files);
        json_write_field_uint(&writer, "references", figures.references);
        json_write_field_uint(&writer, "bytes", figures.bytes);
        json_write_field_uint(&writer, "partitions", figures.partitions);
        json_write_field_uint(&writer, "leaves", figures.leaves);
        json_write_field_uint(&writer, "lookupFiles", at_once);
        json_write_field_uint(&writer, "jobs", figures.jobs);
        json_write_field_uint(&writer, "jobsRunning", debt.running);
        json_write_field_uint(&writer, "jobsFailed", n_failed);
        json_write_field_uint(&writer, "compactionsDue", debt.plan.n_jobs_due);
        json_write_field_uint(&writer, "pushDownsDue", debt.plan.n_push_downs);
        json_write_field_uint(&writer, "splitsDue", debt.plan.n_splits);
        json_write_field_uint(&writer, "partitionsResting", debt.plan.n_resting);
        json_write_field_uint(&writer, "filesSetAside", debt.set_aside);
        json_write_name(&writer, "setAside");
        json_write_array_begin(&writer);
        for (size_t i = 0; i < debt.n_named; i++)
            json_write_string(&writer, debt.names[i]);
        json_write_array_end(&writer);
        json_write_field_uint(&writer, "pins", debt.pins);
        json_write_field_uint(&writer, "horizon", table_state_horizon(state));
        json_write_field_uint(&writer, "writers", figures.writers);
        json_write_field_uint(&writer, "record", table_state_record(state));
        json_write_field_int(&writer, "time", table_state_time_ms(state));
        json_write_name(&writer, "cost");
        write_cost(cli, &writer, figures.bytes);
        json_write_object_end(&writer);
        return cli_json_end(cli, &writer);
    }
    cli_print(cli, "table       %.*s (id %.*s)\n", SLICE_PRINT(table_name(table)),
              SLICE_PRINT(table_id(table)));
    cli_print(cli, "rows        %s%s\n", cli_count(cli, figures.rows),
              figures.rows_are_exact ? "" : " by estimate");
    cli_print(cli, "files       %s, %s", cli_count(cli, figures.files - figures.unreferenced_files),
              cli_size(cli, figures.bytes));
    if (figures.unreferenced_files)
        cli_print(cli, ", and %s without references, waiting for collection",
                  cli_count(cli, figures.unreferenced_files));
    cli_print(cli, "\npartitions  %s, %s of them %s\n", cli_count(cli, figures.partitions),
              cli_count(cli, figures.leaves), figures.leaves == 1 ? "a leaf" : "leaves");
    cli_print(cli, "a lookup    reads at most %zu %s\n", at_once, at_once == 1 ? "file" : "files");
    print_debt(cli, &debt);
    cli_print(cli, "jobs        %s remembered, %s %s\n", cli_count(cli, figures.jobs),
              cli_count(cli, figures.writers), figures.writers == 1 ? "writer" : "writers");
    if (n_failed)
        cli_print(cli, "failed      %s, the last at %s: %.*s (glis status %.*s jobs)\n",
                  cli_count(cli, n_failed), cli_time(cli, failures[n_failed - 1].time_ms),
                  SLICE_PRINT(failures[n_failed - 1].reason), SLICE_PRINT(table_name(table)));
    cli_print(cli, "log         record %llu, %s\n", (unsigned long long)table_state_record(state),
              cli_time(cli, table_state_time_ms(state)));
    print_cost(cli, figures.bytes);
    return 0;
}

/* What the files cost a month, and what this call did. */
static void write_cost(struct cli *cli, struct json_writer *writer, uint64_t bytes)
{
    struct cli_cost cost = cli_cost(cli);
    json_write_object_begin(writer);
    json_write_field_uint(writer, "reads", cost.reads);
    json_write_field_uint(writer, "lists", cost.lists);
    json_write_field_uint(writer, "writes", cost.writes);
    json_write_field_uint(writer, "deletes", cost.deletes);
    json_write_field_uint(writer, "nanodollars", cost.nanodollars);
    if (!cli->store->local)
        json_write_field_double(writer, "dollarsAMonth", cli_storage_dollars(cli, bytes));
    json_write_object_end(writer);
}

static void print_cost(struct cli *cli, uint64_t bytes)
{
    struct cli_cost cost = cli_cost(cli);
    if (cli->store->local) return;
    double month = cli_storage_dollars(cli, bytes);
    bool is_little = month > 0 && month < 0.0001;
    cli_print(cli,
              "costs       %s$%.4f a month for the files; this call sent %s reads, %s lists, %s "
              "writes: $%.7f\n",
              is_little ? "less than " : "", is_little ? 0.0001 : month, cli_count(cli, cost.reads),
              cli_count(cli, cost.lists), cli_count(cli, cost.writes),
              (double)cost.nanodollars / 1e9);
}

/* ---- files ---- */

struct file_listing {
    struct cli *cli;
    const struct schema *schema;
    struct text_table text;
    struct json_writer writer;
};

static int status_files(struct cli *cli, const struct table_state *state)
{
    struct file_listing listing = {.cli = cli, .schema = table_state_schema(state)};
    if (cli->json) {
        cli_json_begin(cli, &listing.writer);
        json_write_array_begin(&listing.writer);
    } else {
        text_table_init(
            &listing.text,
            (const char *[]){"file", ">rows", ">size", ">references", ">record", "first row key"},
            6);
    }
    int code = table_each_file(state, visit_file, &listing);
    if (!cli->json) {
        text_table_end(cli, &listing.text);
        return code;
    }
    TRY(code);
    json_write_array_end(&listing.writer);
    return cli_json_end(cli, &listing.writer);
}

static int visit_file(void *context, const struct table_file *file)
{
    struct file_listing *listing = context;
    struct cli *cli = listing->cli;
    const struct file_bound *bound = &file->bounds[0];
    struct slice min = cli_field_key(cli, listing->schema, 0, bound->min);
    struct slice max = cli_field_key(cli, listing->schema, 0, bound->max);
    if (cli->json) {
        struct json_writer *writer = &listing->writer;
        json_write_object_begin(writer);
        json_write_field_string(writer, "file", file->name);
        json_write_field_uint(writer, "rows", file->rows);
        json_write_field_uint(writer, "bytes", file->size);
        json_write_field_uint(writer, "references", file->n_references);
        json_write_field_uint(writer, "record", file->added_record);
        json_write_field_uint(writer, "schemaVersion", file->schema_version);
        if (file->gone_record) json_write_field_uint(writer, "goneRecord", file->gone_record);
        json_write_field_string(writer, "min", min);
        json_write_field_string(writer, "max", max);
        json_write_object_end(writer);
    } else {
        text_table_cell(&listing->text, "%.*s", SLICE_PRINT(file->name));
        text_table_cell(&listing->text, "%s", cli_count(cli, file->rows));
        text_table_cell(&listing->text, "%s", cli_size(cli, file->size));
        text_table_cell(&listing->text, "%u", file->n_references);
        text_table_cell(&listing->text, "%llu", (unsigned long long)file->added_record);
        text_table_cell(&listing->text, "%.*s .. %.*s", SLICE_PRINT(min), SLICE_PRINT(max));
    }
    return 0;
}

/* ---- the log's objects ---- */

struct log_objects {
    struct slice prefix;
    uint64_t records, record_bytes, bodies, body_bytes, snapshots, snapshot_bytes, pending, trimmed;
};

static int status_log(struct cli *cli, struct table *table, const struct table_state *state)
{
    struct log_objects objects = {.prefix = table_prefix(table)};
    struct slice log =
        slice_from_text(arena_printf(&cli->arena, "%.*slog/", SLICE_PRINT(objects.prefix)));
    struct slice snapshots =
        slice_from_text(arena_printf(&cli->arena, "%.*ssnapshot/", SLICE_PRINT(objects.prefix)));
    TRY(store_each(cli->store, log, SLICE_EMPTY, visit_object, &objects));
    TRY(store_each(cli->store, snapshots, SLICE_EMPTY, visit_object, &objects));
    if (cli->json) {
        struct json_writer writer;
        cli_json_begin(cli, &writer);
        json_write_object_begin(&writer);
        json_write_field_uint(&writer, "record", table_state_record(state));
        json_write_field_int(&writer, "time", table_state_time_ms(state));
        json_write_field_uint(&writer, "records", objects.records);
        json_write_field_uint(&writer, "recordBytes", objects.record_bytes);
        json_write_field_uint(&writer, "bodies", objects.bodies);
        json_write_field_uint(&writer, "bodyBytes", objects.body_bytes);
        json_write_field_uint(&writer, "snapshots", objects.snapshots);
        json_write_field_uint(&writer, "snapshotBytes", objects.snapshot_bytes);
        json_write_field_uint(&writer, "pending", objects.pending);
        json_write_field_uint(&writer, "trimmedBlocks", objects.trimmed);
        json_write_object_end(&writer);
        return cli_json_end(cli, &writer);
    }
    cli_print(cli, "newest record   %llu, %s\n", (unsigned long long)table_state_record(state),
              cli_time(cli, table_state_time_ms(state)));
    cli_print(cli, "records         %s, %s\n", cli_count(cli, objects.records),
              cli_size(cli, objects.record_bytes));
    cli_print(cli, "large bodies    %s, %s\n", cli_count(cli, objects.bodies),
              cli_size(cli, objects.body_bytes));
    cli_print(cli, "snapshots       %s, %s\n", cli_count(cli, objects.snapshots),
              cli_size(cli, objects.snapshot_bytes));
    cli_print(cli, "waiting         %s\n", cli_count(cli, objects.pending));
    cli_print(cli, "trimmed blocks  %s\n", cli_count(cli, objects.trimmed));
    return 0;
}

static int visit_object(void *context, const struct store_object *object)
{
    struct log_objects *objects = context;
    struct slice name = slice_part(object->key, objects->prefix.size, object->key.size);
    if (slice_starts_with(name, SLICE("snapshot/"))) {
        objects->snapshots++;
        objects->snapshot_bytes += object->size;
    } else if (slice_starts_with(name, SLICE("log/body/"))) {
        objects->bodies++;
        objects->body_bytes += object->size;
    } else if (slice_starts_with(name, SLICE("log/pending/"))) {
        objects->pending++;
    } else if (slice_starts_with(name, SLICE("log/trimmed/"))) {
        objects->trimmed++;
    } else if (name.size == 4 + 20) {
        objects->records++;
        objects->record_bytes += object->size;
    }
    return 0;
}
