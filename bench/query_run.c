/*
 * query_run.c: lookups and ranges on one table, timed; what bench/query.py runs.
 *
 *   query_run ROOT TABLE LOOKUPS CACHE-BYTES THREADS
 *
 * Opens the table, takes LOOKUPS keys spread evenly over it and shuffles them, and asks for each:
 * first with a cache so small (32 MiB) that pages are decoded nearly each time (only answers that
 * decoded one of each column are counted), then twice with CACHE-BYTES, where the second time finds
 * every page decoded. Each of these looks first whether the log has a new record, which another
 * process may have put; a third time it does not (lookup_held, a maximum staleness of a second), as
 * an engine does not that has its files for itself. Then ranges of 1,000 rows from each key on. The
 * figures are one JSON object: medians and 99th percentiles in microseconds.
 */
#include "query/query.h"
#include "table/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_CACHE_BYTES = 32 << 20 };

struct bench {
    struct runtime runtime;
    struct budget budget;
    struct instance *instance;
    struct table *table;
    const struct table_state *state;
    struct query_engine *engine;
    struct arena arena;
    struct slice *keys; /* text values of the first row key */
    uint64_t n_keys;
    double *times;
    uint64_t n_times;
};

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(struct bench *bench, const char *name)
{
    qsort(bench->times, bench->n_times, sizeof *bench->times, compare_times);
    uint64_t n = bench->n_times;
    printf("\"%s\": {\"n\": %llu, \"median_us\": %.1f, \"p99_us\": %.1f}, ", name,
           (unsigned long long)n, n ? bench->times[n / 2] : 0.0,
           n ? bench->times[n * 99 / 100] : 0.0);
}

/* Rows of a query, and what it did. */
static int ask(struct bench *bench, const struct query *query, uint64_t *rows,
               struct query_explain *explain)
{
    struct batch_stream *answer;
    TRY(query_open(bench->engine, bench->table, query, &answer));
    *rows = 0;
    int code = 0;
    for (;;) {
        struct batch *batch;
        code = batch_stream_next(answer, &batch);
        if (code < 0 || !batch) break;
        *rows += (uint64_t)batch->n_rows;
        batch_release(batch);
    }
    *explain = query_answer_explain(answer);
    batch_stream_close(answer);
    return code;
}

static int take_keys(struct bench *bench, uint64_t wanted)
{
    struct query query;
    struct batch_stream *answer;
    query_everything(table_state_schema(bench->state), &bench->arena, &query);
    query.ordered = true;
    TRY(query_set_fields(&query, NULL, 0, &bench->arena));
    uint64_t total = table_state_figures(bench->state).rows, row = 0, next = 0;
    bench->keys = ARENA_ARRAY(&bench->arena, struct slice, wanted + 1);
    TRY(query_open(bench->engine, bench->table, &query, &answer));
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(answer, &batch));
        if (!batch) break;
        for (; next < row + (uint64_t)batch->n_rows && bench->n_keys < wanted;
             next += total / wanted) {
            struct value value;
            column_value(&batch->columns[0], (int64_t)(next - row), &value);
            bench->keys[bench->n_keys++] = arena_copy(&bench->arena, value.bytes);
        }
        row += (uint64_t)batch->n_rows;
        batch_release(batch);
    }
    batch_stream_close(answer);
    uint64_t seed = 20261121;
    for (uint64_t i = bench->n_keys; i > 1; i--) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t other = (seed >> 33) % i;
        struct slice key = bench->keys[i - 1];
        bench->keys[i - 1] = bench->keys[other];
        bench->keys[other] = key;
    }
    return 0;
}

static int time_lookups(struct bench *bench, const char *name, bool decoded, int64_t staleness_ms)
{
    bench->n_times = 0;
    const struct clock *clock = bench->runtime.clock;
    for (uint64_t i = 0; i < bench->n_keys; i++) {
        struct arena arena = ARENA_EMPTY;
        struct query query = {.schema = table_state_schema(bench->state),
                              .max_staleness_ms = staleness_ms};
        struct query_explain explain;
        uint64_t rows;
        int64_t start = clock->monotonic_ns((struct clock *)clock);
        TRY(query_add_key(&query, &bench->keys[i], 1, &arena));
        TRY(ask(bench, &query, &rows, &explain));
        int64_t end = clock->monotonic_ns((struct clock *)clock);
        arena_free(&arena);
        if (rows == 0) return error_set(GLIS_EDATA, "a key that is there was not found");
        if (decoded ? explain.pages_read > 0 : explain.pages_read < query.schema->n_fields)
            continue;
        bench->times[bench->n_times++] = (double)(end - start) / 1e3;
    }
    print_times(bench, name);
    return 0;
}

static int time_ranges(struct bench *bench, const char *name)
{
    bench->n_times = 0;
    const struct clock *clock = bench->runtime.clock;
    for (uint64_t i = 0; i < bench->n_keys && i < 1000; i++) {
        struct arena arena = ARENA_EMPTY;
        struct query query = {.schema = table_state_schema(bench->state),
                              .ordered = true,
                              .has_limit = true,
                              .limit = 1000};
        struct query_explain explain;
        uint64_t rows;
        int64_t start = clock->monotonic_ns((struct clock *)clock);
        TRY(query_add_range(&query, &bench->keys[i], 1, NULL, 0, &arena));
        TRY(ask(bench, &query, &rows, &explain));
        int64_t end = clock->monotonic_ns((struct clock *)clock);
        arena_free(&arena);
        if (rows < 1000) continue;
        bench->times[bench->n_times++] = (double)(end - start) / 1e3;
    }
    print_times(bench, name);
    return 0;
}

static int run(char **arguments)
{
    struct bench bench = {0};
    struct store *store;
    budget_init(&bench.budget, "process memory", 0, NULL, NULL);
    bench.runtime = (struct runtime){.clock = clock_system(),
                                     .random = random_system(),
                                     .pool = pool_new((unsigned)strtoul(arguments[5], NULL, 10)),
                                     .budget = &bench.budget};
    TRY(store_local_open(&bench.runtime, arguments[1], 0, &store));
    TRY(instance_open(&bench.runtime, store, 0, NULL, &bench.instance));
    TRY(table_open(bench.instance, slice_from_text(arguments[2]), &bench.table));
    TRY(table_state_get(bench.table, 0, &bench.state));
    TRY(query_engine_new(&bench.engine, &bench.runtime, &bench.budget, SMALL_CACHE_BYTES));
    uint64_t wanted = strtoull(arguments[3], NULL, 10);
    TRY(take_keys(&bench, wanted));
    bench.times = memory_alloc((bench.n_keys + 1) * sizeof *bench.times);
    printf("{");
    TRY(time_lookups(&bench, "lookup_encoded", false, 0));
    query_engine_free(bench.engine);
    TRY(query_engine_new(&bench.engine, &bench.runtime, &bench.budget,
                         strtoull(arguments[4], NULL, 10)));
    TRY(time_lookups(&bench, "lookup_filling", false, 0));
    TRY(time_lookups(&bench, "lookup_decoded", true, 0));
    TRY(time_lookups(&bench, "lookup_held", true, 1000));
    TRY(time_ranges(&bench, "range_1000_first"));
    TRY(time_ranges(&bench, "range_1000"));
    struct query_cache_figures figures = query_engine_figures(bench.engine);
    printf("\"cached_pages\": %llu, \"cached_bytes\": %llu}\n", (unsigned long long)figures.pages,
           (unsigned long long)figures.page_bytes);
    query_engine_free(bench.engine);
    table_state_release(bench.state);
    table_close(bench.table);
    instance_close(bench.instance);
    store_close(store);
    arena_free(&bench.arena);
    memory_defer_free(&bench.times);
    pool_free(bench.runtime.pool);
    return 0;
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments != 6) {
        fprintf(stderr, "usage: query_run ROOT TABLE LOOKUPS CACHE-BYTES THREADS\n");
        return 2;
    }
    if (run(arguments) == 0) return 0;
    fprintf(stderr, "%s\n", error_message());
    return 1;
}
