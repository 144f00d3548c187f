/*
 * bench_commit.c: commits per second to one log on a local folder, fsync included.
 *
 *   bench_commit FOLDER [THREADS] [SECONDS]
 *
 * Each thread commits one small transaction after the other; every commit is durable before the
 * next of its thread begins. The state is a counter, so that the log and the store are what is
 * measured. Prints one JSON object: commits, records (group commit puts several commits into one),
 * seconds, commits a second, and median and 99th percentile of the latency. Beside it stands the
 * time of the two bare system calls that a record costs at least, a file's fsync and a folder's,
 * measured on the same folder: the floor that no log on this disk gets below.
 */
#include "base/json.h"
#include "log/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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
    while (worker->n < COMMITS_MAX) {
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
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
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

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_commit FOLDER [THREADS] [SECONDS]\n");
        return 2;
    }
    long n_threads = argc > 2 ? strtol(argv[2], NULL, 10) : 16;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 5;
    if (n_threads < 1 || n_threads > THREADS_MAX || !(seconds > 0)) return 2;
    struct runtime runtime = {
        .clock = clock_system(), .random = random_system(), .pool = pool_new(0)};
    struct store *store = NULL;
    struct log *log = NULL;
    if (store_local_open(&runtime, argv[1], STORE_LOCAL_CREATE, &store) < 0 ||
        log_open(&runtime, store, SLICE("bench/"), &counter, NULL, &log) < 0) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    double floor = floor_ms(argv[1]);
    struct worker *workers = memory_alloc_zero((size_t)n_threads * sizeof(*workers));
    const struct log_state *first = log_state_acquire(log);
    int64_t begun_ns = now_ns();
    for (long i = 0; i < n_threads; i++) {
        workers[i].log = log;
        workers[i].end_ns = begun_ns + (int64_t)(seconds * 1e9);
        workers[i].latencies_ns = memory_alloc(COMMITS_MAX * sizeof(uint64_t));
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) return 1;
    }
    size_t n = 0;
    int code = 0;
    for (long i = 0; i < n_threads; i++) {
        pthread_join(workers[i].thread, NULL);
        n += workers[i].n;
        if (workers[i].code < 0) code = workers[i].code;
    }
    double taken_s = (double)(now_ns() - begun_ns) / 1e9;
    uint64_t *all = memory_alloc((n + 1) * sizeof(*all));
    size_t at = 0;
    for (long i = 0; i < n_threads; i++) {
        memcpy(all + at, workers[i].latencies_ns, workers[i].n * sizeof(*all));
        at += workers[i].n;
        free(workers[i].latencies_ns);
    }
    qsort(all, n, sizeof(*all), by_value);
    const struct log_state *last = log_state_acquire(log);
    printf("{\"threads\":%ld,\"commits\":%zu,\"records\":%llu,\"seconds\":%.3f,"
           "\"commits_per_second\":%.0f,\"median_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"floor_ms_per_record\":%.3f}\n",
           n_threads, n, (unsigned long long)(last->record - first->record), taken_s,
           (double)n / taken_s, n ? (double)all[n / 2] / 1e6 : 0,
           n ? (double)all[n * 99 / 100] / 1e6 : 0, floor);
    log_state_release(first);
    log_state_release(last);
    free(all);
    free(workers);
    log_close(log);
    store_close(store);
    pool_free(runtime.pool);
    return code < 0;
}
