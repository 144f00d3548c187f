/*
 * rocksdb_run.c: batches bulk-loaded into RocksDB, timed; the peer of bench/life.py batches.
 *
 *   rocksdb_run FOLDER MEMORY-BYTES BLOCK-BYTES LOOKUPS compact | load
 *
 * Reads the names of files from its standard input, one a line. A file is an unsorted batch of rows
 * of 40 bytes, a key of 16 and a value of 24, as bench/life.py writes it beside the Parquet file of
 * the same rows. Each is read, sorted, written as a sorted file and ingested into the database in
 * FOLDER by moving it there, which is RocksDB's quickest way in; a line of JSON then tells how long
 * that took, and the processor time of the thread that did it. Of equal keys in a batch the last
 * stays.
 *
 * With compact, two threads compact in the background as universal compaction wants. At the end of
 * the input they are waited for, the database is opened anew with MEMORY-BYTES of block cache, and
 * LOOKUPS keys, spread over all batches and shuffled, are asked for twice: first with nothing in
 * the block cache (but the files in the system's), then with all their blocks in it. Values are
 * compared with what was loaded. The last line tells all that, and what RocksDB counted.
 *
 * Write amplification is reckoned with the bytes that compactions read: hardly a row is equal to
 * another, so they write about as much, but RocksDB's counter of bytes written leaves out those of
 * the threads that compress (it counts by thread).
 *
 * zstd at its default level everywhere, compressed by two threads as Glis does, bloom filters of 10
 * bits a key.
 */
#include "base/memory.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { KEY_BYTES = 16, VALUE_BYTES = 24, ROW_BYTES = KEY_BYTES + VALUE_BYTES, N_THREADS = 2 };
enum { MAX_BATCHES = 10000, N_LEVELS = 7, POLL_MS = 20, PENDING_MS = 5000 };

/* A row's key as two numbers that sort as its bytes do, and where the row is. */
struct sort_entry {
    uint64_t high;
    uint64_t low;
    uint64_t row;
};

struct bench {
    const char *folder;
    uint64_t memory_bytes;
    uint64_t lookups;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_t *database;
    uint64_t n_batches;
    uint64_t file_bytes; /* of what was ingested */
    char *kept;          /* rows to be asked for */
    uint64_t n_kept;
    uint64_t kept_capacity;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "rocksdb_run: %s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, const char *error)
{
    if (error) fail(what, error);
}

static double seconds_of(clockid_t which)
{
    struct timespec time;
    clock_gettime(which, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- the database ---- */

static void open_database(struct bench *bench, uint64_t block_bytes, bool compact, bool count)
{
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_universal_compaction_options_t *universal =
        rocksdb_universal_compaction_options_create();
    bench->cache = rocksdb_cache_create_lru(bench->memory_bytes);
    rocksdb_block_based_options_set_block_cache(table, bench->cache);
    rocksdb_block_based_options_set_block_size(table, block_bytes);
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom(10));
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_options_set_compaction_style(options, rocksdb_universal_compaction);
    rocksdb_options_set_universal_compaction_options(options, universal);
    rocksdb_options_set_compression(options, rocksdb_zstd_compression);
    rocksdb_options_set_compression_options_parallel_threads(options, N_THREADS);
    rocksdb_options_set_max_background_jobs(options, N_THREADS);
    rocksdb_options_set_max_background_compactions(options, N_THREADS);
    rocksdb_options_set_disable_auto_compactions(options, !compact);
    if (count) rocksdb_options_enable_statistics(options);
    bench->options = options;
    bench->database = rocksdb_open(options, bench->folder, &error);
    check("opening", error);
    rocksdb_universal_compaction_options_destroy(universal);
    rocksdb_block_based_options_destroy(table);
}

static void close_database(struct bench *bench)
{
    rocksdb_close(bench->database);
    rocksdb_options_destroy(bench->options);
    rocksdb_cache_destroy(bench->cache);
}

static uint64_t property(struct bench *bench, const char *name)
{
    uint64_t value = 0;
    char *text = rocksdb_property_value(bench->database, name);
    if (!text) fail("no such property", name);
    value = strtoull(text, NULL, 10);
    rocksdb_free(text);
    return value;
}

/* A count of RocksDB's statistics: "NAME COUNT : 123". */
static uint64_t statistic(const char *all, const char *name)
{
    char line[128];
    (void)snprintf(line, sizeof line, "%s COUNT : ", name);
    const char *found = strstr(all, line);
    if (!found) fail("no such statistic", name);
    return strtoull(found + strlen(line), NULL, 10);
}

/* ---- loading ---- */

static uint64_t big_endian(const char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap64(value);
}

static int compare_entries(const void *a, const void *b)
{
    const struct sort_entry *x = a, *y = b;
    if (x->high != y->high) return x->high < y->high ? -1 : 1;
    if (x->low != y->low) return x->low < y->low ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

static char *read_rows(const char *path, uint64_t *n_rows)
{
    struct stat status;
    FILE *file = fopen(path, "re");
    if (!file || fstat(fileno(file), &status) < 0) fail("opening", path);
    *n_rows = (uint64_t)status.st_size / ROW_BYTES;
    char *rows = memory_alloc((size_t)*n_rows * ROW_BYTES + 1);
    if (fread(rows, ROW_BYTES, *n_rows, file) != *n_rows) fail("reading", path);
    (void)fclose(file);
    return rows;
}

static void write_sorted(struct bench *bench, const char *rows, uint64_t n_rows, const char *path)
{
    char *error = NULL;
    struct sort_entry *entries = memory_alloc((size_t)(n_rows + 1) * sizeof *entries);
    for (uint64_t i = 0; i < n_rows; i++) {
        const char *key = rows + i * ROW_BYTES;
        entries[i] = (struct sort_entry){big_endian(key), big_endian(key + 8), i};
    }
    qsort(entries, n_rows, sizeof *entries, compare_entries);
    rocksdb_envoptions_t *environment = rocksdb_envoptions_create();
    rocksdb_sstfilewriter_t *writer = rocksdb_sstfilewriter_create(environment, bench->options);
    rocksdb_sstfilewriter_open(writer, path, &error);
    check(path, error);
    for (uint64_t i = 0; i < n_rows; i++) {
        if (i + 1 < n_rows && entries[i].high == entries[i + 1].high &&
            entries[i].low == entries[i + 1].low)
            continue;
        const char *row = rows + entries[i].row * ROW_BYTES;
        rocksdb_sstfilewriter_put(writer, row, KEY_BYTES, row + KEY_BYTES, VALUE_BYTES, &error);
        check(path, error);
    }
    rocksdb_sstfilewriter_finish(writer, &error);
    check(path, error);
    uint64_t size = 0;
    rocksdb_sstfilewriter_file_size(writer, &size);
    bench->file_bytes += size;
    rocksdb_sstfilewriter_destroy(writer);
    rocksdb_envoptions_destroy(environment);
    free(entries);
}

static void load_batch(struct bench *bench, const char *path)
{
    char sorted[4096], *error = NULL;
    const char *names[] = {sorted};
    uint64_t n_rows;
    if (++bench->n_batches > MAX_BATCHES) fail("too many batches", path);
    (void)snprintf(sorted, sizeof sorted, "%s.sst", path);
    double begun = seconds_of(CLOCK_MONOTONIC), used = seconds_of(CLOCK_PROCESS_CPUTIME_ID),
           thread_used = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    char *rows = read_rows(path, &n_rows);
    write_sorted(bench, rows, n_rows, sorted);
    rocksdb_ingestexternalfileoptions_t *options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
    rocksdb_ingest_external_file(bench->database, names, 1, options, &error);
    check("ingesting", error);
    rocksdb_ingestexternalfileoptions_destroy(options);
    printf("{\"seconds\": %.4f, \"cpu_s\": %.4f, \"thread_cpu_s\": %.4f}\n",
           seconds_of(CLOCK_MONOTONIC) - begun, seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used,
           seconds_of(CLOCK_THREAD_CPUTIME_ID) - thread_used);
    (void)fflush(stdout);
    /* Outside of the time: rows to be asked for; of the oldest batches as many as of the newest. */
    for (uint64_t i = 0; i < bench->lookups && n_rows > 0; i++) {
        if (bench->n_kept == bench->kept_capacity) {
            bench->kept_capacity = bench->kept_capacity * 2 + 1024;
            bench->kept = memory_realloc(bench->kept, bench->kept_capacity * ROW_BYTES);
        }
        memcpy(bench->kept + bench->n_kept++ * ROW_BYTES,
               rows + i * (n_rows / bench->lookups) % n_rows * ROW_BYTES, ROW_BYTES);
    }
    free(rows);
}

/* ---- looking up ---- */

/* Universal compaction may call a compaction pending for ever that it never begins, so for that the
 * wait has an end. */
static void wait_until_idle(struct bench *bench)
{
    struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    unsigned quiet = 0, settled = 0;
    while (quiet < PENDING_MS / POLL_MS && settled < 5) {
        bool running = property(bench, "rocksdb.num-running-compactions") > 0;
        bool pending = property(bench, "rocksdb.compaction-pending") > 0;
        quiet = running ? 0 : quiet + 1;
        settled = running || pending ? 0 : settled + 1;
        nanosleep(&pause, NULL);
    }
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of all kept rows `lookups` are left, in no order. */
static void shuffle_kept(struct bench *bench)
{
    uint64_t seed = 20261121;
    char other[ROW_BYTES];
    for (uint64_t i = bench->n_kept; i > 1; i--) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        char *a = bench->kept + (i - 1) * ROW_BYTES,
             *b = bench->kept + (seed >> 33) % i * ROW_BYTES;
        memcpy(other, a, ROW_BYTES);
        memcpy(a, b, ROW_BYTES);
        memcpy(b, other, ROW_BYTES);
    }
    if (bench->n_kept > bench->lookups) bench->n_kept = bench->lookups;
}

static void time_lookups(struct bench *bench, const char *name, double *times)
{
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    double used = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t i = 0; i < bench->n_kept; i++) {
        const char *row = bench->kept + i * ROW_BYTES;
        char *error = NULL;
        size_t n_bytes;
        double begun = seconds_of(CLOCK_MONOTONIC);
        char *value = rocksdb_get(bench->database, options, row, KEY_BYTES, &n_bytes, &error);
        times[i] = (seconds_of(CLOCK_MONOTONIC) - begun) * 1e6;
        check("looking up", error);
        if (!value || n_bytes != VALUE_BYTES || memcmp(value, row + KEY_BYTES, n_bytes) != 0)
            fail("looking up", "a row that was loaded is not there");
        rocksdb_free(value);
    }
    used = seconds_of(CLOCK_THREAD_CPUTIME_ID) - used;
    rocksdb_readoptions_destroy(options);
    qsort(times, bench->n_kept, sizeof *times, compare_times);
    uint64_t n = bench->n_kept;
    printf("\"%s\": {\"n\": %llu, \"median_us\": %.1f, \"p99_us\": %.1f, \"mean_cpu_us\": %.1f}, ",
           name, (unsigned long long)n, n ? times[n / 2] : 0, n ? times[n * 99 / 100] : 0,
           n ? used / (double)n * 1e6 : 0);
}

static void finish(struct bench *bench, uint64_t block_bytes, bool compact, double begun)
{
    if (compact) wait_until_idle(bench);
    double settled = seconds_of(CLOCK_MONOTONIC) - begun;
    double used = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    char *statistics = rocksdb_options_statistics_get_string(bench->options);
    uint64_t compacted = statistic(statistics, "rocksdb.compact.write.bytes");
    uint64_t read = statistic(statistics, "rocksdb.compact.read.bytes");
    rocksdb_free(statistics);
    close_database(bench);
    open_database(bench, block_bytes, false, false);
    uint64_t n_files = 0;
    for (unsigned level = 0; level < N_LEVELS; level++) {
        char name[64];
        (void)snprintf(name, sizeof name, "rocksdb.num-files-at-level%u", level);
        n_files += property(bench, name);
    }
    shuffle_kept(bench);
    double *times = memory_alloc((bench->n_kept + 1) * sizeof *times);
    printf("{");
    time_lookups(bench, "lookup_first", times);
    time_lookups(bench, "lookup_warm", times);
    printf("\"idle_after_s\": %.1f, \"cpu_s\": %.2f, \"bytes_ingested\": %llu, "
           "\"bytes_compacted\": %llu, \"bytes_read_to_compact\": %llu, "
           "\"write_amplification\": %.2f, \"bytes\": %llu, \"files\": %llu}\n",
           settled, used, (unsigned long long)bench->file_bytes, (unsigned long long)compacted,
           (unsigned long long)read,
           bench->file_bytes ? 1 + (double)read / (double)bench->file_bytes : 0,
           (unsigned long long)property(bench, "rocksdb.live-sst-files-size"),
           (unsigned long long)n_files);
    close_database(bench);
    free(times);
    free(bench->kept);
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments != 6) {
        fprintf(stderr,
                "usage: rocksdb_run FOLDER MEMORY-BYTES BLOCK-BYTES LOOKUPS compact|load\n");
        return 2;
    }
    struct bench bench = {.folder = arguments[1],
                          .memory_bytes = strtoull(arguments[2], NULL, 10),
                          .lookups = strtoull(arguments[4], NULL, 10)};
    uint64_t block_bytes = strtoull(arguments[3], NULL, 10);
    bool compact = strcmp(arguments[5], "compact") == 0;
    char line[4000];
    double begun = seconds_of(CLOCK_MONOTONIC);
    open_database(&bench, block_bytes, compact, true);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        load_batch(&bench, line);
    }
    finish(&bench, block_bytes, compact, begun);
    return 0;
}
