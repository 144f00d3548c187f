/*
 * test_log_processes.c: eight processes commit a hundred times each to one log in a local folder.
 * All 800 commits are there once, in the records that their processes were told, and every process
 * saw its own at once. A second round kills the processes at random moments: what they had been
 * told is there, and the log reads.
 */
#include "test.h"

#include "log_toy.h"

#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 8, COMMITS = 100 };

/* What the processes were told, in memory that they share. */
struct told {
    _Atomic uint64_t records[PROCESSES][COMMITS];
    _Atomic int problems;
};

static char folder[64];
static struct told *told;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/glis-log-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return told == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(told, sizeof(*told));
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static struct runtime runtime_new(void)
{
    return (struct runtime){
        .clock = clock_system(), .random = random_system(), .pool = pool_new(0)};
}

static void complain(const char *what)
{
    fprintf(stderr, "process %d: %s: %s\n", (int)getpid(), what, error_message());
    atomic_fetch_add(&told->problems, 1);
}

/* One process: commits of its own ids, every other one refused first if it is there already. */
static void play(unsigned number)
{
    struct runtime runtime = runtime_new();
    struct store *store = NULL;
    struct log *log = NULL;
    struct log_options options = {.snapshot_min_bytes = 20000};
    if (store_local_open(&runtime, folder, 0, &store) < 0 ||
        log_open(&runtime, store, SLICE("t/"), &toy_machine, &options, &log) < 0) {
        complain("open");
        return;
    }
    for (unsigned i = 0; i < COMMITS; i++) {
        char text[100], id[24];
        struct log_answer answer;
        snprintf(id, sizeof(id), "p%u.%02u", number, i);
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"%s\"}", id);
        if (toy_commit(log, &answer, text) < 0) {
            complain(id);
            continue;
        }
        atomic_store(&told->records[number][i], answer.record);
        const struct log_state *state = log_state_acquire(log);
        if (toy_record_of(state->state, slice_from_text(id)) != answer.record) complain("own eyes");
        log_state_release(state);
    }
    log_close(log);
    store_close(store);
    pool_free(runtime.pool);
}

static void start(pid_t children[PROCESSES])
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            alarm(100);
            play(i);
            _exit(0);
        }
    }
}

/* Reads the log afresh and holds it against what was told. Returns how many ids there are. */
static uint64_t judge(void)
{
    struct runtime runtime = runtime_new();
    struct store *store = NULL;
    struct log *log = NULL;
    assert_ok(store_local_open(&runtime, folder, 0, &store));
    assert_ok(log_open(&runtime, store, SLICE("t/"), &toy_machine, NULL, &log));
    const struct log_state *state = log_state_acquire(log);
    const struct toy *toy = state->state;
    for (unsigned p = 0; p < PROCESSES; p++)
        for (unsigned i = 0; i < COMMITS; i++) {
            char id[24];
            uint64_t record = atomic_load(&told->records[p][i]);
            snprintf(id, sizeof(id), "p%u.%02u", p, i);
            if (record) assert_int_equal(toy_record_of(toy, slice_from_text(id)), record);
        }
    uint64_t n = map_count(&toy->ids);
    assert_true(state->record <= n); /* none lost: a record carries one or more */
    log_state_release(state);
    log_close(log);
    store_close(store);
    pool_free(runtime.pool);
    return n;
}

static void eight_processes_lose_and_double_nothing(void **state)
{
    (void)state;
    pid_t children[PROCESSES];
    start(children);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(atomic_load(&told->problems), 0);
    assert_int_equal(judge(), PROCESSES * COMMITS);
}

static void killed_processes_leave_what_they_were_told(void **state)
{
    (void)state;
    pid_t children[PROCESSES];
    start(children);
    struct random *random = random_seeded_new(11);
    for (unsigned i = 0; i < PROCESSES; i++) {
        /* Each dies after some commits of its own, at whatever it does just then. */
        unsigned after = (unsigned)random_below(random, 20);
        while (atomic_load(&told->records[i][after]) == 0 && atomic_load(&told->problems) == 0)
            usleep(200);
        assert_int_equal(kill(children[i], SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
    }
    random_seeded_free(random);
    assert_int_equal(atomic_load(&told->problems), 0);
    assert_true(judge() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(eight_processes_lose_and_double_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_processes_leave_what_they_were_told, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
