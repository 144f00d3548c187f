/*
 * test_pool.c: runs and groups on pools of no, one and several threads; failures; nesting.
 */
#include "test.h"

#include "base/runtime.h"

static const unsigned pool_sizes[] = {0, 1, 3};
#define EACH_POOL(pool)                        \
    for (size_t size_ = 0; size_ < 3; size_++) \
        for (struct pool *pool = pool_new(pool_sizes[size_]); pool; pool_free(pool), pool = NULL)

struct marks {
    struct pool *pool;
    _Atomic int n;
    _Atomic uint8_t seen[1000];
};

static int mark(void *state, size_t index)
{
    struct marks *marks = state;
    atomic_fetch_add(&marks->seen[index], 1);
    atomic_fetch_add(&marks->n, 1);
    return 0;
}

static void a_run_calls_each_index_once(void **state)
{
    (void)state;
    EACH_POOL(pool)
    {
        static const size_t counts[] = {0, 1, 2, 1000};
        for (size_t c = 0; c < 4; c++) {
            struct marks marks = {0};
            assert_ok(pool_run(pool, counts[c], mark, &marks));
            assert_int_equal(marks.n, counts[c]);
            for (size_t i = 0; i < counts[c]; i++)
                assert_int_equal(marks.seen[i], 1);
        }
    }
}

static int fail_from_50(void *state, size_t index)
{
    atomic_fetch_add((_Atomic int *)state, 1);
    return index >= 50 ? error_set(GLIS_EDATA, "index %zu", index) : 0;
}

static void a_failed_run_reports_the_lowest_index_and_skips_the_rest(void **state)
{
    (void)state;
    EACH_POOL(pool)
    {
        _Atomic int n = 0;
        assert_fails(pool_run(pool, 100000, fail_from_50, &n), GLIS_EDATA, "index 50");
        assert_in_range(n, 51, 60);
    }
}

static int fail_silently(void *state)
{
    (void)state;
    return GLIS_EGONE;
}

static void a_failure_without_detail_still_has_its_code(void **state)
{
    (void)state;
    EACH_POOL(pool)
    {
        (void)error_set(GLIS_EIO, "older");
        struct task_group *group = task_group_new(pool, 4);
        assert_ok(task_group_start(group, fail_silently, NULL));
        assert_fails(task_group_wait(group), GLIS_EGONE, "no longer there");
        task_group_free(group);
    }
}

static int run_nested(void *state, size_t index)
{
    (void)index;
    struct marks *marks = state;
    struct marks inner = {0};
    TRY(pool_run(marks->pool, 20, mark, &inner));
    atomic_fetch_add(&marks->n, inner.n);
    return 0;
}

static void runs_within_runs_do_not_block(void **state)
{
    (void)state;
    EACH_POOL(pool)
    {
        struct marks marks = {.pool = pool};
        assert_ok(pool_run(pool, 100, run_nested, &marks));
        assert_int_equal(marks.n, 2000);
    }
}

static int task_count(void *state)
{
    atomic_fetch_add((_Atomic int *)state, 1);
    return 0;
}

struct nested_group {
    struct pool *pool;
    _Atomic int n;
};

static int group_nested(void *state)
{
    struct nested_group *nested = state;
    struct task_group *group = task_group_new(nested->pool, 2);
    for (int i = 0; i < 10; i++)
        TRY(task_group_start(group, task_count, (void *)&nested->n));
    int code = task_group_wait(group);
    task_group_free(group);
    return code;
}

static void groups_within_groups_do_not_block(void **state)
{
    (void)state;
    EACH_POOL(pool)
    {
        struct nested_group nested = {pool, 0};
        struct task_group *group = task_group_new(pool, 3);
        for (int i = 0; i < 50; i++)
            assert_ok(task_group_start(group, group_nested, &nested));
        assert_ok(task_group_wait(group));
        assert_int_equal(nested.n, 500);
        /* A group goes on after a wait. */
        assert_ok(task_group_start(group, group_nested, &nested));
        task_group_free(group);
        assert_int_equal(nested.n, 510);
    }
}

struct numbered {
    int number;
    _Atomic int *n_begun;
};

static int fail_when_odd(void *state)
{
    struct numbered *task = state;
    atomic_fetch_add(task->n_begun, 1);
    return task->number % 2 ? error_set(GLIS_EDATA, "task %d", task->number) : 0;
}

static void a_failed_group_takes_no_more(void **state)
{
    (void)state;
    EACH_POOL(pool)
    {
        _Atomic int n_begun = 0;
        struct numbered tasks[200];
        struct task_group *group = task_group_new(pool, 2);
        int code = 0, n_started = 0;
        for (int i = 0; i < 200 && code == 0; i++) {
            tasks[i] = (struct numbered){i, &n_begun};
            code = task_group_start(group, fail_when_odd, &tasks[i]);
            n_started += code == 0;
        }
        assert_int_equal(code, GLIS_EDATA);
        assert_in_range(n_started, 2, 20);
        assert_fails(task_group_wait(group), GLIS_EDATA, "task 1");
        assert_in_range(n_begun, 2, n_started);
        task_group_free(group);
    }
    task_group_free(NULL);
}

/* Sets a detail on the way, and ends well. */
static int meets_a_failure(void *state)
{
    (void)state;
    return error_set(GLIS_EEXISTS, "it is there") == GLIS_EEXISTS ? 0 : 1;
}

static void freeing_a_group_keeps_the_error(void **state)
{
    (void)state;
    for (unsigned n_threads = 0; n_threads < 3; n_threads++) {
        struct pool *pool = pool_new(n_threads);
        struct task_group *group = task_group_new(pool, 100);
        int code = 0;
        for (int i = 0; i < 100 && code == 0; i++)
            code = task_group_start(group, meets_a_failure, NULL);
        assert_ok(code);
        int failure = error_set(GLIS_EUNKNOWN, "nothing can tell");
        task_group_free(group);
        assert_fails(failure, GLIS_EUNKNOWN, "nothing can tell");
        struct error_detail detail;
        error_save(&detail);
        assert_int_equal(detail.code, GLIS_EUNKNOWN);
        pool_free(pool);
    }
}

static void the_cancel_flag_stops_work(void **state)
{
    (void)state;
    struct cancel cancel = {0};
    struct runtime runtime = {.cancel = &cancel};
    assert_ok(runtime_check_cancel(&runtime));
    cancel.requested = 1;
    assert_fails(runtime_check_cancel(&runtime), GLIS_ECANCELLED, "stopped");
    runtime.cancel = NULL;
    assert_ok(runtime_check_cancel(&runtime));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_calls_each_index_once),
        cmocka_unit_test(a_failed_run_reports_the_lowest_index_and_skips_the_rest),
        cmocka_unit_test(a_failure_without_detail_still_has_its_code),
        cmocka_unit_test(runs_within_runs_do_not_block),
        cmocka_unit_test(groups_within_groups_do_not_block),
        cmocka_unit_test(a_failed_group_takes_no_more),
        cmocka_unit_test(freeing_a_group_keeps_the_error),
        cmocka_unit_test(the_cancel_flag_stops_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
