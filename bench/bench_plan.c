/*
 * bench_plan.c: planning the compactions of a large table.
 *
 *   bench_plan FOLDER [LEAVES] [ROUNDS]
 *
 * A table of LEAVES leaves (131,072), each with two files of its own. The state is made by
 * transactions, written as a snapshot to FOLDER, and loaded from there anew in each round. Then:
 * the first plan of the loaded state by `size_ratio`, which takes neither of two files of like
 * size; the next plan after a commit to 10 leaves; the same after one to 10 leaves whose four files
 * are then worth merging; and, with the ratio set to 1, a first plan in which every leaf has a job,
 * listed up to the creation limit, and the next one of a worker that wants a single job. Prints one
 * JSON object of milliseconds, an array each.
 */
#include "bench_table.h"

#include "lsm/lsm.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS_MAX = 100, FILES_OF_A_JOB = 4096, CHANGED_LEAVES = 10 };

enum measure {
    FIRST_PLAN,
    NEXT_PLAN,
    NEXT_PLAN_WITH_JOBS,
    FIRST_PLAN_ALL_DUE,
    NEXT_PLAN_ONE_JOB,
    LOAD,
    MEASURES
};
static const char *const measure_names[] = {"first_plan_ms",          "next_plan_ms",
                                            "next_plan_with_jobs_ms", "first_plan_all_due_ms",
                                            "next_plan_one_job_ms",   "load_ms"};

struct figures {
    double ms[MEASURES][ROUNDS_MAX];
    uint64_t n_jobs[MEASURES];
};

/* One commit: a file of 100,000 rows in each leaf first, first + step, ... */
static int add_files(struct state *state, uint64_t record, struct runtime *runtime, uint64_t first,
                     uint64_t step, uint64_t n, struct buffer *text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = table_state_own(state_clone(state), record - 1, 1);
    const struct partition_tree *tree;
    int code = table_tree(hold, &arena, &tree);
    struct new_file *files = ARENA_ARRAY(&arena, struct new_file, n);
    for (uint64_t i = 0; code == 0 && i < n; i++) {
        uint64_t leaf = first + i * step;
        struct slice key = key_of(leaf, arena_alloc(&arena, 32));
        files[i] = file_of_leaf(hold, tree, (uint32_t)leaf, key, runtime, &arena);
    }
    struct slice job =
        slice_from_text(arena_printf(&arena, "job-%llu", (unsigned long long)record));
    struct ingest_commit commit = {.state = hold, .files = files, .n_files = n, .job = job};
    if (code == 0) code = write_ingest(text, &commit);
    if (code == 0) code = apply(state, record, text);
    buffer_clear(text);
    table_state_release(hold);
    return code;
}

static int build(struct state *state, uint64_t n_leaves, struct runtime *runtime, uint64_t *record)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    int code = begin(state, n_leaves, 1, &text);
    *record = 1;
    for (int file = 0; code == 0 && file < 2; file++)
        for (uint64_t first = 0; code == 0 && first < n_leaves; first += FILES_OF_A_JOB) {
            uint64_t left = n_leaves - first;
            code = add_files(state, ++*record, runtime, first, 1,
                             left < FILES_OF_A_JOB ? left : FILES_OF_A_JOB, &text);
        }
    buffer_free(&text);
    return code;
}

static int plan(struct compaction_planner *planner, const struct state *state, uint64_t record,
                uint64_t max_jobs, struct figures *figures, enum measure measure, long round)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct compaction_plan_options options = {.now_ms = 1000000, .max_jobs = max_jobs};
    struct compaction_plan made;
    const struct table_state *hold = table_state_own(state_clone(state), record, 1);
    int64_t begun_ns = now_ns();
    int code = compaction_planner_plan(planner, hold, &options, &arena, &made);
    figures->ms[measure][round] = (double)(now_ns() - begun_ns) / 1e6;
    if (code == 0) figures->n_jobs[measure] = made.n_jobs;
    table_state_release(hold);
    return code;
}

static int set_ratio(struct state *state, uint64_t record)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    struct setting setting = {SLICE("glis.table.compaction.strategy.sizeratio.ratio"), SLICE("1")};
    int code = write_alter(&text, state->numbers[NUMBER_VERSION], &setting, 1, NULL);
    if (code == 0) code = apply(state, record, &text);
    buffer_free(&text);
    return code;
}

static int run_round(struct store *store, struct runtime *runtime, uint64_t n_leaves,
                     uint64_t record, struct figures *figures, long round)
{
    struct state *state = NULL;
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    int64_t begun_ns = now_ns();
    TRY(load(store, &state));
    figures->ms[LOAD][round] = (double)(now_ns() - begun_ns) / 1e6;
    struct compaction_planner *planner = compaction_planner_new();
    uint64_t step = n_leaves / CHANGED_LEAVES;
    int code = plan(planner, state, record, 0, figures, FIRST_PLAN, round);
    for (int i = 0; code == 0 && i < 2; i++) {
        code = add_files(state, ++record, runtime, 5, step, CHANGED_LEAVES, &text);
        if (code == 0)
            code = plan(planner, state, record, 0, figures, i ? NEXT_PLAN_WITH_JOBS : NEXT_PLAN,
                        round);
    }
    if (code == 0) code = set_ratio(state, ++record);
    if (code == 0) code = plan(planner, state, record, 0, figures, FIRST_PLAN_ALL_DUE, round);
    if (code == 0) code = add_files(state, ++record, runtime, 7, step, CHANGED_LEAVES, &text);
    if (code == 0) code = plan(planner, state, record, 1, figures, NEXT_PLAN_ONE_JOB, round);
    compaction_planner_free(planner);
    buffer_free(&text);
    state_free(state);
    return code;
}

static int run(struct store *store, struct runtime *runtime, uint64_t n_leaves, long rounds)
{
    struct state *state = state_new();
    struct buffer bytes = BUFFER_INIT(LOG_SNAPSHOT_BYTES_MAX);
    uint64_t record;
    static struct figures figures;
    int code = build(state, n_leaves, runtime, &record);
    if (code == 0) code = table_machine.snapshot_write(NULL, state, SLICE("{}"), &bytes);
    if (code == 0) code = store_put(store, SLICE("snapshot"), buffer_slice(&bytes), 0);
    buffer_free(&bytes);
    state_free(state);
    for (long i = 0; code == 0 && i < rounds; i++)
        code = run_round(store, runtime, n_leaves, record, &figures, i);
    TRY(code);
    printf("{\"leaves\":%llu,\"references\":%llu", (unsigned long long)n_leaves,
           (unsigned long long)n_leaves * 2);
    for (int m = 0; m < MEASURES; m++) {
        printf(",\"%s\":[", measure_names[m]);
        for (long i = 0; i < rounds; i++)
            printf("%s%.3f", i ? "," : "", figures.ms[m][i]);
        printf("]");
    }
    printf(",\"jobs\":[");
    for (int m = 0; m < LOAD; m++)
        printf("%s%llu", m ? "," : "", (unsigned long long)figures.n_jobs[m]);
    printf("]}\n");
    return 0;
}

int main(int argc, char **argv)
{
    long n_leaves = argc > 2 ? strtol(argv[2], NULL, 10) : 131072;
    long rounds = argc > 3 ? strtol(argv[3], NULL, 10) : 9;
    if (argc < 2 || n_leaves < 1000 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_plan FOLDER [LEAVES] [ROUNDS]\n");
        return 2;
    }
    struct runtime runtime = {
        .clock = clock_system(), .random = random_system(), .pool = pool_new(0)};
    struct store *store;
    int code = store_local_open(&runtime, argv[1], STORE_LOCAL_CREATE, &store);
    if (code == 0) {
        code = run(store, &runtime, (uint64_t)n_leaves, rounds);
        store_close(store);
    }
    if (code < 0) fprintf(stderr, "%s\n", error_message());
    pool_free(runtime.pool);
    return code < 0;
}
