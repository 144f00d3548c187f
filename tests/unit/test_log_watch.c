/*
 * test_log_watch.c: a handle that watches its log's folder looks for new records without requests,
 * and sees every commit all the same. Processes that commit and processes that look share two
 * numbers: the newest record of which a commit was acknowledged, and the newest that anybody has
 * seen. Whoever looks afterwards sees that record, or a later one.
 */
#include "test.h"

#include "log_toy.h"

#include <ftw.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 3, READERS = 4, COMMITS = 60 };

struct shared {
    _Atomic uint64_t acknowledged, seen;
    _Atomic unsigned writing, looks, quiet, problems;
};

static char folder[64];
static struct shared *shared;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof(folder), "%s/glis-watched-XXXXXX", where);
    if (!mkdtemp(folder)) return -1;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(shared, sizeof(*shared));
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

struct handle {
    struct runtime runtime;
    struct store *store;
    struct log *log;
};

static int handle_open(struct handle *handle, const struct log_options *options)
{
    handle->runtime =
        (struct runtime){.clock = clock_system(), .random = random_system(), .pool = pool_new(0)};
    TRY(store_local_open(&handle->runtime, folder, 0, &handle->store));
    return log_open(&handle->runtime, handle->store, SLICE("t/"), &toy_machine, options,
                    &handle->log);
}

static void handle_close(struct handle *handle)
{
    log_close(handle->log);
    store_close(handle->store);
    pool_free(handle->runtime.pool);
}

static uint64_t requests(const struct handle *handle)
{
    struct store_counters counters = store_counters(handle->store);
    return counters.gets + counters.heads + counters.lists;
}

static uint64_t record_of(struct log *log)
{
    const struct log_state *state = log_state_acquire(log);
    uint64_t record = state->record;
    log_state_release(state);
    return record;
}

static void commit(struct log *log, const char *id, unsigned number)
{
    char text[100];
    struct log_answer answer;
    snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"%s%u\"}", id, number);
    assert_ok(toy_commit(log, &answer, text));
}

/* Looks so often that the handle begins to watch; false where the machine has no watches. */
static bool watches(struct handle *handle)
{
    for (int i = 0; i < 20; i++)
        assert_ok(log_catch_up(handle->log, 0));
    uint64_t before = requests(handle);
    assert_ok(log_catch_up(handle->log, 0));
    return requests(handle) == before;
}

static void a_handle_that_looks_often_asks_nothing_until_there_is_something(void **state)
{
    (void)state;
    struct handle writer, reader;
    assert_ok(handle_open(&writer, NULL));
    commit(writer.log, "first", 0);
    assert_ok(handle_open(&reader, NULL));
    if (!watches(&reader)) skip();
    for (unsigned i = 0, records = 1; i < 5; i++) {
        uint64_t before = requests(&reader);
        assert_ok(log_catch_up(reader.log, 0));
        assert_int_equal(requests(&reader), before);
        commit(writer.log, "w", i);
        assert_ok(log_catch_up(reader.log, 0));
        assert_true(requests(&reader) > before);
        assert_int_equal(record_of(reader.log), ++records);
        before = requests(&reader);
        assert_ok(log_catch_up(reader.log, 0));
        assert_int_equal(requests(&reader), before);
        /* A commit of its own hides none of another's. */
        commit(reader.log, "r", i);
        commit(writer.log, "back", i);
        records += 2;
        assert_ok(log_catch_up(reader.log, 0));
        assert_int_equal(record_of(reader.log), records);
    }
    handle_close(&writer);
    handle_close(&reader);
}

static void a_trim_and_an_end_are_met(void **state)
{
    (void)state;
    struct log_options options = {.block_slots = 4, .snapshot_by_hand = true};
    struct handle writer, reader;
    assert_ok(handle_open(&writer, &options));
    for (unsigned i = 0; i < 3; i++)
        commit(writer.log, "a", i);
    assert_ok(handle_open(&reader, &options));
    if (!watches(&reader)) skip();
    for (unsigned i = 0; i < 7; i++)
        commit(writer.log, "b", i);
    assert_ok(log_snapshot_write(writer.log));
    struct log_trim_plan plan;
    struct log_trim_result trimmed;
    assert_ok(log_trim_plan_sure(writer.log, 10, &plan));
    struct log_trim_options trim = {.line = plan.line};
    assert_ok(log_trim(writer.log, &trim, &trimmed));
    assert_true(trimmed.records > 0);
    assert_ok(log_catch_up(reader.log, 0));
    assert_int_equal(record_of(reader.log), 10);
    assert_true(watches(&reader));
    struct log_answer answer;
    assert_ok(toy_commit(writer.log, &answer, "{\"type\":\"drop\"}"));
    assert_ok(log_catch_up(reader.log, 0));
    const struct log_state *end = log_state_acquire(reader.log);
    assert_true(end->ended);
    log_state_release(end);
    handle_close(&writer);
    handle_close(&reader);
}

/* ---- many processes ---- */

static void raise_to(_Atomic uint64_t *number, uint64_t to)
{
    uint64_t now = atomic_load(number);
    while (now < to && !atomic_compare_exchange_weak(number, &now, to))
        ;
}

static int write_records(unsigned number)
{
    struct handle handle;
    if (handle_open(&handle, NULL) < 0) return 1;
    for (unsigned i = 0; i < COMMITS; i++) {
        char text[64];
        struct log_answer answer;
        snprintf(text, sizeof(text), "{\"type\":\"add\",\"id\":\"p%u.%u\"}", number, i);
        if (toy_commit(handle.log, &answer, text) < 0) return 2;
        raise_to(&shared->acknowledged, answer.record);
        if (i % 3 == 0) usleep(300); /* so that readers find it quiet now and then */
    }
    handle_close(&handle);
    atomic_fetch_sub(&shared->writing, 1);
    return 0;
}

static int look_for_records(unsigned number)
{
    struct handle handle;
    if (handle_open(&handle, NULL) < 0) return 1;
    unsigned looks = 0, quiet = 0;
    for (bool last = false; !last;) {
        last = atomic_load(&shared->writing) == 0;
        uint64_t acknowledged = atomic_load(&shared->acknowledged);
        uint64_t seen = atomic_load(&shared->seen), before = requests(&handle);
        if (log_catch_up(handle.log, 0) < 0) return 2;
        uint64_t record = record_of(handle.log);
        if (record < acknowledged || record < seen) {
            fprintf(stderr, "reader %u sees %llu; acknowledged %llu, seen %llu\n", number,
                    (unsigned long long)record, (unsigned long long)acknowledged,
                    (unsigned long long)seen);
            atomic_fetch_add(&shared->problems, 1);
        }
        raise_to(&shared->seen, record);
        looks++;
        quiet += requests(&handle) == before;
    }
    atomic_fetch_add(&shared->looks, looks);
    atomic_fetch_add(&shared->quiet, quiet);
    handle_close(&handle);
    return 0;
}

static void whoever_looks_sees_what_was_acknowledged_or_seen_before(void **state)
{
    (void)state;
    struct handle first;
    assert_ok(handle_open(&first, NULL));
    commit(first.log, "first", 0);
    bool has_watches = watches(&first);
    handle_close(&first);
    pid_t children[WRITERS + READERS];
    atomic_store(&shared->writing, WRITERS);
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            alarm(100);
            _exit(i < WRITERS ? write_records(i) : look_for_records(i));
        }
    }
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(atomic_load(&shared->problems), 0);
    assert_true(atomic_load(&shared->seen) >= atomic_load(&shared->acknowledged));
    /* Most looks found nothing new, and so were told by the watch. */
    if (has_watches) assert_true(atomic_load(&shared->quiet) > atomic_load(&shared->looks) / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_handle_that_looks_often_asks_nothing_until_there_is_something),
        TEST(a_trim_and_an_end_are_met),
        TEST(whoever_looks_sees_what_was_acknowledged_or_seen_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
