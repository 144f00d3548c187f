/*
 * ingest_run.c: one ingest, timed; what bench/ingest.py runs.
 *
 *   ingest_run ROOT SPLITS-FILE MEMORY-BYTES THREADS STRATEGY SPILL-FOLDER FILE...
 *
 * Makes an instance in ROOT and a table of (key string; number long, real double, text string) with
 * the split points of the file, ingests the files, and prints the result as one JSON object:
 * seconds of the whole ingest and of its phases, files, syncs, and the process's greatest resident
 * size.
 */
#include "lsm/lsm.h"
#include "table/table.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char schema_json[] =
    "{\"rowKeyFields\":[{\"name\":\"key\",\"type\":\"StringType\"}],\"sortKeyFields\":[],"
    "\"valueFields\":[{\"name\":\"number\",\"type\":\"LongType\"},"
    "{\"name\":\"real\",\"type\":\"DoubleType\"},{\"name\":\"text\",\"type\":\"StringType\"}]}";

static int read_file(const char *path, struct buffer *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set(GLIS_EIO, "cannot read '%s'", path);
    char piece[65536];
    ssize_t n;
    while ((n = read(fd, piece, sizeof piece)) > 0)
        TRY(buffer_append(out, piece, (size_t)n));
    (void)close(fd);
    return 0;
}

static int make_table(struct runtime *runtime, struct store *store, const char *splits_file,
                      const char *strategy, struct arena *arena, struct instance **instance,
                      struct table **table)
{
    struct schema *schema;
    TRY(schema_from_json(slice_from_text(schema_json), &schema));
    struct buffer text = BUFFER_INIT(1 << 30);
    TRY(read_file(splits_file, &text));
    struct setting setting = {SLICE("glis.table.ingest.file.writing.strategy"),
                              slice_from_text(strategy)};
    struct table_definition definition = {
        .name = SLICE("bench"), .schema = schema, .settings = &setting, .n_settings = 1};
    struct slice *points = NULL;
    if (text.size > 0)
        TRY(table_split_points_read(schema, slice_from_text(splits_file), buffer_slice(&text),
                                    false, arena, &points, &definition.n_split_points));
    definition.split_points = points;
    TRY(instance_init(runtime, store, NULL, 0));
    TRY(instance_open(runtime, store, 0, NULL, instance));
    int code = table_create(*instance, &definition, table);
    schema_release(schema);
    buffer_free(&text);
    return code;
}

/* The greatest resident size of this program, in MiB. getrusage tells it too, but begins with what
 * the process was before exec. */
static long resident_mib(void)
{
    long kib = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtol(line + 6, NULL, 10);
    if (file) (void)fclose(file);
    return kib / 1024;
}

static int run(char **arguments, int n_files)
{
    struct budget budget;
    budget_init(&budget, "process memory", 0, NULL, NULL);
    struct runtime runtime = {.clock = clock_system(),
                              .random = random_system(),
                              .pool = pool_new((unsigned)strtoul(arguments[4], NULL, 10)),
                              .budget = &budget};
    struct arena arena = ARENA_EMPTY;
    struct store *store;
    struct instance *instance;
    struct table *table;
    struct ingest_result result;
    TRY(store_local_open(&runtime, arguments[1], STORE_LOCAL_CREATE, &store));
    TRY(make_table(&runtime, store, arguments[2], arguments[5], &arena, &instance, &table));
    struct ingest_options options = {.memory_bytes = strtoull(arguments[3], NULL, 10),
                                     .spill_folder = arguments[6]};
    struct slice *paths = ARENA_ARRAY(&arena, struct slice, n_files);
    for (int i = 0; i < n_files; i++)
        paths[i] = slice_from_text(arguments[7 + i]);
    TRY(ingest_files(table, &runtime, paths, (size_t)n_files, &options, &arena, &result));
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    struct store_counters counters = store_counters(store);
    printf("{\"seconds\": %.4f, \"read_seconds\": %.4f, \"write_seconds\": %.4f, "
           "\"commit_seconds\": %.4f, \"rows\": %llu, \"files\": %llu, \"references\": %llu, "
           "\"bytes\": %llu, \"runs\": %llu, \"passes\": %llu, \"spilled_bytes\": %llu, "
           "\"puts\": %llu, \"syncs\": %llu, \"user_seconds\": %.2f, \"system_seconds\": %.2f, "
           "\"peak_counted_mib\": %llu, \"resident_mib\": %ld}\n",
           (double)result.total_ns / 1e9, (double)result.read_ns / 1e9,
           (double)result.write_ns / 1e9, (double)result.commit_ns / 1e9,
           (unsigned long long)result.rows, (unsigned long long)result.files,
           (unsigned long long)result.references, (unsigned long long)result.bytes,
           (unsigned long long)result.spill_runs, (unsigned long long)result.merge_passes,
           (unsigned long long)result.spilled_bytes,
           (unsigned long long)(counters.puts + counters.conditional_puts),
           (unsigned long long)counters.syncs,
           (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
           (unsigned long long)(budget.peak_bytes >> 20), resident_mib());
    table_close(table);
    instance_close(instance);
    store_close(store);
    arena_free(&arena);
    pool_free(runtime.pool);
    return 0;
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments < 8) {
        fprintf(stderr, "usage: ingest_run ROOT SPLITS-FILE MEMORY-BYTES THREADS STRATEGY "
                        "SPILL-FOLDER FILE...\n");
        return 2;
    }
    if (run(arguments, n_arguments - 7) == 0) return 0;
    fprintf(stderr, "%s\n", error_message());
    return 1;
}
