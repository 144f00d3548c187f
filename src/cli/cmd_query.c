/*
 * cmd_query.c: `glis query TABLE`: the words of the command line to a query (query.h), its answer
 * to standard output or a file.
 *
 * --key begins a region of its own each time; --from and --to are paired in their order, and one
 * without the other is a range that is open on that side. With --query the JSON says the regions,
 * and options may still say how the answer is given.
 */
#include "base/text.h"
#include "cli/command.h"

#include <unistd.h>

static int check_words(struct cli *cli);
static int query_build(struct cli *cli, struct table *table, struct query *query);
static int manner_build(struct cli *cli, struct query *query);
static int answer_give(struct cli *cli, struct table *table, const struct query *query,
                       struct answer_target *target);
static int answer_count(struct cli *cli, struct batch_stream *answer);
static int answer_explain(struct cli *cli, struct batch_stream *answer);
static int answer_end(struct cli *cli, const struct query *query, struct batch_stream *answer,
                      uint64_t n_rows, int64_t begun_ns);
static int drain(struct batch_stream *answer);

int cmd_query(struct cli *cli)
{
    struct answer_target target;
    TRY(check_words(cli));
    TRY(answer_target_choose(cli, &target));
    struct table *table;
    TRY(cli_open_table(cli, CLI_HOLD, &table));
    struct query query;
    int code = query_build(cli, table, &query);
    if (code == 0) code = answer_give(cli, table, &query, &target);
    answer_target_close(&target);
    table_state_release(cli->state);
    cli->state = NULL;
    table_close(table);
    return code;
}

static int check_words(struct cli *cli)
{
    bool has_words = cli_flag(cli, "key") || cli_flag(cli, "from") || cli_flag(cli, "to");
    if (cli_flag(cli, "query") && has_words)
        return cli_usage(cli, "--query says the regions; leave --key, --from and --to away");
    if (cli_flag(cli, "count") && cli_flag(cli, "output"))
        return cli_usage(cli, "--count prints one number; --output is for rows");
    if (cli_flag(cli, "explain") && (cli_flag(cli, "output") || cli_flag(cli, "format")))
        return cli_usage(cli, "--explain prints no rows; leave --output and --format away");
    if (cli_flag(cli, "iterator-config") && !cli_flag(cli, "iterator"))
        return cli_usage(cli, "--iterator-config goes with --iterator");
    /* Numbers are looked at before anything is opened. */
    uint64_t number;
    int64_t duration;
    if (cli_flag(cli, "at-record") && cli_flag(cli, "max-staleness"))
        return cli_usage(cli, "--at-record says which state; leave --max-staleness away");
    TRY(cli_number(cli, "limit", 0, UINT64_MAX, &number));
    TRY(cli_number(cli, "at-record", 1, UINT64_MAX, &number));
    TRY(cli_duration(cli, "timeout", &duration));
    return cli_duration(cli, "max-staleness", &duration);
}

static int query_build(struct cli *cli, struct table *table, struct query *query)
{
    uint64_t record = 0;
    int64_t staleness_ms = 0;
    TRY(cli_number(cli, "at-record", 1, UINT64_MAX, &record));
    TRY(cli_duration(cli, "max-staleness", &staleness_ms));
    TRY(record ? table_state_at(table, record, &cli->state)
               : table_state_get(table, staleness_ms, &cli->state));
    const struct schema *schema = table_state_schema(cli->state);
    if (cli_flag(cli, "query")) {
        struct slice path = cli_value(cli, "query");
        defer_buffer struct buffer text = BUFFER_INIT(0);
        TRY(cli_read_file(cli, path, &text));
        TRY_CONTEXT(query_from_json(buffer_slice(&text), schema, &cli->arena, query), "%s",
                    slice_equal_text(path, "-") ? "standard input"
                                                : arena_copy_text(&cli->arena, path));
    } else if (cli_flag(cli, "key") || cli_flag(cli, "from") || cli_flag(cli, "to")) {
        *query = (struct query){.schema = schema};
        TRY(cli_query_regions(cli, query));
    } else {
        query_everything(schema, &cli->arena, query);
    }
    if (record) query->at_record = record;
    return cli_words(cli, manner_build(cli, query));
}

static int add_regions(struct cli *cli, struct query *query);

int cli_query_regions(struct cli *cli, struct query *query)
{
    return cli_words(cli, add_regions(cli, query));
}

static int add_regions(struct cli *cli, struct query *query)
{
    const struct given_option *from = NULL;
    for (size_t i = 0; i <= cli->n_given; i++) {
        const struct given_option *given = i < cli->n_given ? &cli->given[i] : NULL;
        const char *name = given ? given->option->name : "from";
        if (strcmp(name, "key") == 0)
            TRY_CONTEXT(query_add_key(query, given->values, (uint32_t)given->n_values, &cli->arena),
                        "--key");
        if (strcmp(name, "from") == 0) {
            if (from)
                TRY_CONTEXT(query_add_range(query, from->values, (uint32_t)from->n_values, NULL, 0,
                                            &cli->arena),
                            "--from");
            from = given;
        }
        if (strcmp(name, "to") == 0) {
            TRY_CONTEXT(query_add_range(query, from ? from->values : NULL,
                                        from ? (uint32_t)from->n_values : 0, given->values,
                                        (uint32_t)given->n_values, &cli->arena),
                        "--from and --to");
            from = NULL;
        }
    }
    return 0;
}

static int manner_build(struct cli *cli, struct query *query)
{
    if (cli_flag(cli, "columns")) {
        struct slice *names;
        size_t n;
        cli_names(cli, "columns", &names, &n);
        uint32_t field;
        for (size_t i = 0; i < n; i++)
            TRY_CONTEXT(cli_find_column(cli, query->schema, names[i], &field), "--columns");
        TRY(query_set_fields(query, names, n, &cli->arena));
    }
    if (cli_flag(cli, "limit")) {
        TRY(cli_number(cli, "limit", 0, UINT64_MAX, &query->limit));
        query->has_limit = true;
    }
    if (cli_flag(cli, "reverse")) query->reverse = true;
    if (cli_flag(cli, "count")) query->count_only = true;
    if (cli_flag(cli, "ordered")) query->ordered = true;
    if (cli_flag(cli, "after")) {
        TRY_CONTEXT(query_cursor_from_text(cli_value(cli, "after"), &cli->arena, &query->after),
                    "--after");
        query->has_after = true;
        query->ordered = true;
    }
    if (cli_flag(cli, "auth"))
        TRY_CONTEXT(query_set_authorisations(query, cli_value(cli, "auth"), &cli->arena), "--auth");
    if (cli_flag(cli, "iterator")) {
        query->iterator = cli_value(cli, "iterator");
        query->iterator_config = cli_value(cli, "iterator-config");
        TRY(iterator_name_check("--iterator", query->iterator));
    }
    TRY(cli_duration(cli, "timeout", &query->timeout_ms));
    TRY(cli_duration(cli, "max-staleness", &query->max_staleness_ms));
    /* The state that was fetched just now is what the answer is of; to ask once more costs time. */
    bool other = query->at_record || query->has_after || query->max_staleness_ms;
    if (!other) query->state = cli->state;
    return 0;
}

/* ---- the answer ---- */

static int answer_give(struct cli *cli, struct table *table, const struct query *query,
                       struct answer_target *target)
{
    struct budget budget;
    budget_init(&budget, "memory of queries",
                (uint64_t)instance_number(cli->instance, PROPERTY_QUERY_MEMORY),
                "set glis.query.memory", &cli->budget);
    struct query_engine *engine;
    TRY(query_engine_new(&engine, &cli->runtime, &budget, 0));
    struct batch_stream *answer = NULL;
    int64_t begun = cli->runtime.clock->monotonic_ns(cli->runtime.clock);
    int code = query_open(engine, table, query, &answer);
    if (code == 0 && cli_flag(cli, "explain")) {
        code = answer_explain(cli, answer);
    } else if (code == 0 && query->count_only) {
        code = answer_count(cli, answer);
    } else if (code == 0) {
        uint64_t n_rows = 0;
        code = answer_target_open(cli, target);
        if (code == 0) code = answer_target_write(cli, target, answer, &n_rows);
        if (code == 0) code = answer_end(cli, query, answer, n_rows, begun);
    }
    batch_stream_close(answer);
    query_engine_free(engine);
    return code;
}

static int drain(struct batch_stream *answer)
{
    struct batch *batch;
    do {
        TRY(batch_stream_next(answer, &batch));
        batch_release(batch);
    } while (batch);
    return 0;
}

static int answer_count(struct cli *cli, struct batch_stream *answer)
{
    TRY(drain(answer));
    unsigned long long n = query_answer_rows(answer);
    if (cli->json)
        cli_print(cli, "{\"count\":%llu,\"record\":%llu}\n", n,
                  (unsigned long long)query_answer_record(answer));
    else
        cli_print(cli, "%llu\n", n);
    return 0;
}

static int answer_explain(struct cli *cli, struct batch_stream *answer)
{
    TRY(drain(answer));
    struct query_explain explain = query_answer_explain(answer);
    struct cli_cost cost = cli_cost(cli);
    explain.sent_reads = cost.reads;
    explain.sent_lists = cost.lists;
    explain.sent_writes = cost.writes;
    explain.sent_deletes = cost.deletes;
    explain.nanodollars = cost.nanodollars;
    TRY(cli->json ? query_explain_json(&explain, &cli->out.buffer)
                  : query_explain_text(&explain, &cli->out.buffer));
    if (cli->json) cli_print(cli, "\n");
    return 0;
}

/* Notes on standard error: the cursor of what was asked for in parts, and on a terminal the sum. */
static int answer_end(struct cli *cli, const struct query *query, struct batch_stream *answer,
                      uint64_t n_rows, int64_t begun_ns)
{
    struct query_cursor cursor;
    if (query->ordered && query_answer_cursor(answer, &cli->arena, &cursor)) {
        defer_buffer struct buffer text = BUFFER_INIT(1 << 20);
        TRY(query_cursor_to_text(&cursor, &text));
        cli_note("there may be more; go on with --after %.*s", SLICE_PRINT(buffer_slice(&text)));
    } else if (isatty(STDERR_FILENO) && isatty(cli->out.fd)) {
        int64_t now = cli->runtime.clock->monotonic_ns(cli->runtime.clock);
        fprintf(stderr, "(%s %s, %.3f s)\n", cli_count(cli, n_rows), n_rows == 1 ? "row" : "rows",
                (double)(now - begun_ns) / 1e9);
    }
    return 0;
}
