/*
 * bench_state.c: a table's state of a million references over a million files, keys of 16 bytes.
 *
 *   bench_state FOLDER [REFERENCES] [ROUNDS]
 *
 * The state is made by applying change_files with 1,000 files each, on a tree of 1,000 leaves. Its
 * snapshot is written to FOLDER, dropped from memory, and read from there and loaded, in each round
 * anew. Prints one JSON object: microseconds to apply one file, bytes of the snapshot and of the
 * state in memory, what the process grew by, seconds to write, and seconds of each load (reading
 * the file included), and microseconds to copy the state and change one record in the copy.
 */
#include "bench_table.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEAVES = 1000, FILES_OF_A_JOB = 1000, ROUNDS_MAX = 100 };

static double seconds_since(int64_t begun_ns)
{
    return (double)(now_ns() - begun_ns) / 1e9;
}

static uint64_t resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* One job: files first .. first + n - 1, each of one key. */
static int add_files(const struct table_state *hold, const struct partition_tree *tree,
                     struct runtime *runtime, uint64_t first, uint64_t n, struct buffer *text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct new_file *files = ARENA_ARRAY(&arena, struct new_file, n);
    for (uint64_t i = 0; i < n; i++) {
        struct slice key = key_of(first + i, arena_alloc(&arena, 32));
        uint32_t leaf = partition_tree_leaf(tree, &key);
        files[i] = file_of_leaf(hold, tree, leaf, key, runtime, &arena);
    }
    char writer[] = "bench";
    struct ingest_commit commit = {.state = hold,
                                   .files = files,
                                   .n_files = n,
                                   .writer = slice_from_text(writer),
                                   .sequence = first / FILES_OF_A_JOB + 1};
    return write_ingest(text, &commit);
}

static int build(struct state *state, uint64_t n_references, struct runtime *runtime,
                 double *apply_s)
{
    struct buffer text = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    TRY(begin(state, LEAVES, n_references / LEAVES, &text));
    const struct table_state *hold = table_state_own(state_clone(state), 1, 1);
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct partition_tree *tree;
    int code = table_tree(hold, &arena, &tree);
    for (uint64_t first = 0; code == 0 && first < n_references; first += FILES_OF_A_JOB) {
        uint64_t left = n_references - first;
        buffer_clear(&text);
        code = add_files(hold, tree, runtime, first, left < FILES_OF_A_JOB ? left : FILES_OF_A_JOB,
                         &text);
        int64_t begun_ns = now_ns();
        if (code == 0) code = apply(state, first / FILES_OF_A_JOB + 2, &text);
        *apply_s += seconds_since(begun_ns);
    }
    table_state_release(hold);
    buffer_free(&text);
    return code;
}

/* Microseconds to copy a state and change one record, which is what a commit costs at least. */
static double measure_copies(struct state **state)
{
    enum { COPIES = 1000 };
    int64_t begun_ns = now_ns();
    for (int i = 0; i < COPIES; i++) {
        struct state *copy = state_clone(*state);
        char name[32];
        snprintf(name, sizeof(name), "writer-%d", i);
        map_put(&copy->maps[SECTION_WRITERS], slice_from_text(name), SLICE("\1\1"));
        state_free(*state);
        *state = copy;
    }
    return seconds_since(begun_ns) * 1e6 / COPIES;
}

static int run(struct store *store, struct runtime *runtime, uint64_t n_references, long rounds)
{
    double apply_s = 0, write_s, loads_s[ROUNDS_MAX], copy_us = 0;
    struct state *state = state_new();
    TRY(build(state, n_references, runtime, &apply_s));
    struct buffer bytes = BUFFER_INIT(LOG_SNAPSHOT_BYTES_MAX);
    int64_t begun_ns = now_ns();
    TRY(table_machine.snapshot_write(NULL, state, SLICE("{}"), &bytes));
    write_s = seconds_since(begun_ns);
    TRY(store_put(store, SLICE("snapshot"), buffer_slice(&bytes), 0));
    uint64_t snapshot_bytes = bytes.size, memory_bytes = 0, grown_bytes = 0;
    buffer_free(&bytes);
    state_free(state);
    malloc_trim(0);
    uint64_t before = resident_bytes();
    for (long i = 0; i < rounds; i++) {
        begun_ns = now_ns();
        TRY(load(store, &state));
        loads_s[i] = seconds_since(begun_ns);
        malloc_trim(0);
        grown_bytes = resident_bytes() - before;
        memory_bytes = state_bytes(state);
        copy_us = measure_copies(&state);
        state_free(state);
    }
    printf("{\"references\":%llu,\"apply_us_per_file\":%.2f,\"snapshot_bytes\":%llu,"
           "\"state_bytes\":%llu,\"grown_bytes\":%llu,\"write_seconds\":%.3f,\"copy_us\":%.2f,"
           "\"load_seconds\":[",
           (unsigned long long)n_references, apply_s * 1e6 / (double)n_references,
           (unsigned long long)snapshot_bytes, (unsigned long long)memory_bytes,
           (unsigned long long)grown_bytes, write_s, copy_us);
    for (long i = 0; i < rounds; i++)
        printf("%s%.3f", i ? "," : "", loads_s[i]);
    printf("]}\n");
    return 0;
}

int main(int argc, char **argv)
{
    long n_references = argc > 2 ? strtol(argv[2], NULL, 10) : 1000000;
    long rounds = argc > 3 ? strtol(argv[3], NULL, 10) : 5;
    if (argc < 2 || n_references < LEAVES || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_state FOLDER [REFERENCES] [ROUNDS]\n");
        return 2;
    }
    struct runtime runtime = {
        .clock = clock_system(), .random = random_system(), .pool = pool_new(0)};
    struct store *store;
    int code = store_local_open(&runtime, argv[1], STORE_LOCAL_CREATE, &store);
    if (code == 0) {
        code = run(store, &runtime, (uint64_t)n_references, rounds);
        store_close(store);
    }
    if (code < 0) fprintf(stderr, "%s\n", error_message());
    pool_free(runtime.pool);
    return code < 0;
}
