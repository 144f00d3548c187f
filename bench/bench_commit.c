/*
 * bench_commit.c: commits per second to one log on a local folder, fsync included.
 *
 *   bench_commit FOLDER [THREADS] [SECONDS] [PROCESSES]
 *
 * Each thread of each process commits one small transaction after the other; every commit is
 * durable before the next of its thread begins. The state is a counter, so that the log and the
 * store are what is measured. Prints one JSON object: commits, records (a record carries several),
 * commits a second, the latency's median, 99th percentile and worst, processor time and requests of
 * each kind a commit.
 * Beside it stands the time of the system calls that a record costs at least, measured on the same
 * folder: a file's fsync, its link, the folder's fsync: what no log on this disk gets below.
 */
#include "base/json.h"
#include "log/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS_MAX = 256, COMMITS_MAX = 1 << 20, FLOOR_ROUNDS = 200 };

static int counter_new(void *context, void **out)
{
    (void)context;
    *out = memory_alloc_zero(sizeof(uint64_t));
    return 0;
}

static int counter_clone(void *context, const void *state, void **out)
{
    (void)context;
    *out = memory_alloc(sizeof(uint64_t));
    memcpy(*out, state, sizeof(uint64_t));
    return 0;
}

static void counter_free(void *context, void *state)
{
    (void)context;
    free(state);
}

static int counter_apply(void *context, void *state, const struct log_record_info *info,
                         const struct json *transaction)
{
    (void)context, (void)info;
    int64_t number;
    TRY(json_get_int(transaction, "number", 0, INT64_MAX, &number));
    ++*(uint64_t *)state;
    return 0;
}

static bool counter_is_ended(void *context, const void *state)
{
    (void)context, (void)state;
    return false;
}

static uint64_t counter_bytes(void *context, const void *state)
{
    (void)context, (void)state;
    return 1 << 20;
}

static int counter_write(void *context, const void *state, struct slice part, struct buffer *out)
{
    (void)context;
    TRY(buffer_append(out, state, sizeof(uint64_t)));
    return buffer_append_slice(out, part);
}

static int counter_read(void *context, struct block *block, struct slice bytes, struct arena *arena,
                        struct slice *part, void **out)
{
    (void)block;
    if (bytes.size < sizeof(uint64_t)) return error_set(GLIS_ECORRUPT, "too short");
    TRY(counter_clone(context, bytes.data, out));
    *part = arena_copy(arena, slice_part(bytes, sizeof(uint64_t), bytes.size));
    return 0;
}

static const struct log_machine counter = {
    .kind = "counter",
    .state_new = counter_new,
    .state_clone = counter_clone,
    .state_free = counter_free,
    .apply = counter_apply,
    .is_ended = counter_is_ended,
    .state_bytes = counter_bytes,
    .snapshot_write = counter_write,
    .snapshot_read = counter_read,
};

struct worker {
    pthread_t thread;
    struct log *log;
    int64_t end_ns;
    uint64_t *latencies_ns;
    size_t n;
    int code;
};

static int64_t now_ns(void)
{
    return clock_system()->monotonic_ns(clock_system());
}

static void *work(void *state)
{
    struct worker *worker = state;
    while (worker->n < COMMITS_MAX / 8) {
        int64_t begun_ns = now_ns();
        if (begun_ns >= worker->end_ns) break;
        char text[64];
        struct log_answer answer;
        int size = snprintf(text, sizeof(text), "{\"type\":\"count\",\"number\":%zu}", worker->n);
        struct slice transaction = slice_make(text, (size_t)size);
        worker->code = log_commit(worker->log, &transaction, 1, 0, &answer);
        if (worker->code < 0) {
            fprintf(stderr, "%s\n", error_message());
            break;
        }
        worker->latencies_ns[worker->n++] = (uint64_t)(now_ns() - begun_ns);
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Milliseconds of: write 200 bytes, fsync, link, fsync of the folder. */
static double floor_ms(const char *folder)
{
    char path[4096], name[4096];
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0) return -1;
    int64_t begun_ns = now_ns();
    for (int i = 0; i < FLOOR_ROUNDS; i++) {
        snprintf(path, sizeof(path), "%s/floor.tmp", folder);
        snprintf(name, sizeof(name), "%s/floor.%d", folder, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        char bytes[200] = {0};
        if (fd < 0 || write(fd, bytes, sizeof(bytes)) < 0 || fsync(fd) < 0 || close(fd) < 0 ||
            link(path, name) < 0 || unlink(path) < 0 || fsync(folder_fd) < 0) {
            if (folder_fd >= 0) close(folder_fd);
            return -1;
        }
    }
    double ms = (double)(now_ns() - begun_ns) / 1e6 / FLOOR_ROUNDS;
    for (int i = 0; i < FLOOR_ROUNDS; i++) {
        snprintf(name, sizeof(name), "%s/floor.%d", folder, i);
        unlink(name);
    }
    close(folder_fd);
    return ms;
}

/* What one process adds to the whole, in memory that all share. */
struct shared {
    _Atomic uint64_t n;
    _Atomic int failed;
    _Atomic int ready;
    _Atomic uint64_t puts, gets, heads, lists, deletes, syncs; /* of the store, after the opening */
    uint32_t latencies_us[];                                   /* of commits, in any order */
};

/* One process: opens the log for itself and commits from its threads until the time is over. */
static int run_process(const char *folder, long n_threads, int64_t seconds_ns, long n_processes,
                       struct shared *shared)
{
    struct runtime runtime = {
        .clock = clock_system(), .random = random_system(), .pool = pool_new(1)};
    struct store *store = NULL;
    struct log *log = NULL;
    if (store_locate_root(&runtime, slice_from_text(folder), STORE_LOCAL_CREATE, &store) < 0 ||
        log_open(&runtime, store, SLICE("bench/"), &counter, NULL, &log) < 0) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    struct store_counters before = store_counters(store);
    shared->ready++;
    while (shared->ready < n_processes)
        usleep(1000);
    struct worker *workers = memory_alloc_zero((size_t)n_threads * sizeof(*workers));
    int64_t begun_ns = now_ns();
    int code = 0;
    for (long i = 0; i < n_threads; i++) {
        workers[i].log = log;
        workers[i].end_ns = begun_ns + seconds_ns;
        workers[i].latencies_ns = memory_alloc(COMMITS_MAX / 8 * sizeof(uint64_t));
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) return 1;
    }
    for (long i = 0; i < n_threads; i++) {
        pthread_join(workers[i].thread, NULL);
        if (workers[i].code < 0) code = 1;
        uint64_t at = atomic_fetch_add(&shared->n, workers[i].n);
        for (size_t k = 0; k < workers[i].n && at + k < COMMITS_MAX; k++)
            shared->latencies_us[at + k] = (uint32_t)(workers[i].latencies_ns[k] / 1000);
        free(workers[i].latencies_ns);
    }
    free(workers);
    log_close(log);
    struct store_counters after = store_counters(store);
    shared->puts += after.puts - before.puts;
    shared->gets += after.gets - before.gets;
    shared->heads += after.heads - before.heads;
    shared->lists += after.lists - before.lists;
    shared->deletes += after.deletes - before.deletes;
    shared->syncs += after.syncs - before.syncs;
    store_close(store);
    pool_free(runtime.pool);
    return code;
}

/* The log's last record, behind one commit: the first one has the store probed, which is not what
 * is measured. */
static uint64_t record_now(const char *folder)
{
    struct runtime runtime = {
        .clock = clock_system(), .random = random_system(), .pool = pool_new(0)};
    struct store *store = NULL;
    struct log *log = NULL;
    uint64_t record = 0;
    if (store_locate_root(&runtime, slice_from_text(folder), STORE_LOCAL_CREATE, &store) == 0 &&
        log_open(&runtime, store, SLICE("bench/"), &counter, NULL, &log) == 0) {
        struct log_answer answer;
        struct slice first = SLICE("{\"type\":\"count\",\"number\":0}");
        if (log_commit(log, &first, 1, 0, &answer) < 0) fprintf(stderr, "%s\n", error_message());
        const struct log_state *state = log_state_acquire(log);
        record = state->record;
        log_state_release(state);
    }
    log_close(log);
    store_close(store);
    pool_free(runtime.pool);
    return record;
}

#define PER_COMMIT(kind) (n ? (double)shared->kind / (double)n : 0)

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_commit FOLDER [THREADS] [SECONDS] [PROCESSES]\n");
        return 2;
    }
    long n_threads = argc > 2 ? strtol(argv[2], NULL, 10) : 16;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 5;
    long n_processes = argc > 4 ? strtol(argv[4], NULL, 10) : 1;
    if (n_threads < 1 || n_threads > THREADS_MAX || !(seconds > 0) || n_processes < 1 ||
        n_processes > THREADS_MAX)
        return 2;
    uint64_t first = record_now(argv[1]);
    double floor = floor_ms(argv[1]);
    size_t bytes = sizeof(struct shared) + COMMITS_MAX * sizeof(uint32_t);
    struct shared *shared =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 1;
    for (long p = 0; p < n_processes; p++) {
        pid_t child = fork();
        if (child < 0) return 1;
        if (child == 0)
            _exit(run_process(argv[1], n_threads, (int64_t)(seconds * 1e9), n_processes, shared));
    }
    for (long p = 0; p < n_processes; p++) {
        int status = 0;
        if (wait(&status) < 0 || status != 0) shared->failed = 1;
    }
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    uint64_t n = shared->n < COMMITS_MAX ? shared->n : COMMITS_MAX;
    qsort(shared->latencies_us, n, sizeof(uint32_t), by_value);
    uint64_t records = record_now(argv[1]) - first - 1;
    printf("{\"processes\":%ld,\"threads\":%ld,\"commits\":%llu,\"records\":%llu,"
           "\"seconds\":%.3f,\"commits_per_second\":%.0f,\"median_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"worst_ms\":%.3f,\"cpu_us_per_commit\":%.1f,\"floor_ms_per_record\":%.3f,"
           "\"requests_per_commit\":{\"puts\":%.2f,\"gets\":%.2f,\"heads\":%.2f,"
           "\"lists\":%.2f,\"deletes\":%.2f,\"syncs\":%.2f}}\n",
           n_processes, n_threads, (unsigned long long)n, (unsigned long long)records, seconds,
           (double)n / seconds, n ? (double)shared->latencies_us[n / 2] / 1e3 : 0,
           n ? (double)shared->latencies_us[n * 99 / 100] / 1e3 : 0,
           n ? (double)shared->latencies_us[n - 1] / 1e3 : 0, n ? cpu_s * 1e6 / (double)n : 0,
           floor, PER_COMMIT(puts), PER_COMMIT(gets), PER_COMMIT(heads), PER_COMMIT(lists),
           PER_COMMIT(deletes), PER_COMMIT(syncs));
    return shared->failed;
}
