/*
 * test_error.c: the chain of contexts, the codes, what is cut, and the hand-over between threads.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int fails_below(void)
{
    return error_set(GLIS_ECORRUPT, "page %d is damaged", 7);
}

static int passes_on(void)
{
    TRY_CONTEXT(fails_below(), "reading %s", "a.parquet");
    return 0;
}

static int passes_on_silently(void)
{
    TRY(passes_on());
    return 0;
}

static void a_chain_reads_from_the_outside_in(void **state)
{
    (void)state;
    assert_int_equal(passes_on_silently(), GLIS_ECORRUPT);
    error_context("loading table %s", "t");
    assert_string_equal(error_message(), "loading table t: reading a.parquet: page 7 is damaged");
    assert_int_equal(error_set(GLIS_EIO, "new"), GLIS_EIO);
    assert_string_equal(error_message(), "new");
    error_clear();
    assert_string_equal(error_message(), "");
}

static void what_was_just_said_is_not_said_twice(void **state)
{
    (void)state;
    (void)error_set(GLIS_EIO, "no");
    error_context("putting a");
    error_context("putting a");
    error_context("saving b");
    error_context("putting a");
    assert_string_equal(error_message(), "putting a: saving b: putting a: no");
}

static void of_too_many_contexts_the_middle_goes(void **state)
{
    (void)state;
    (void)error_set(GLIS_EIO, "x");
    for (int i = 0; i < 12; i++)
        error_context("%d", i);
    assert_string_equal(error_message(), "11: 10: 9: 8: 3: 2: 1: 0: x");
}

static void long_text_is_cut_at_a_whole_character(void **state)
{
    (void)state;
    char text[3000];
    /* 1023 bytes fit; the euro sign of three bytes would straddle the end. */
    memset(text, 'a', sizeof(text));
    memcpy(text + 1021, "\xE2\x82\xAC", 4);
    (void)error_set(GLIS_EIO, "%s", text);
    assert_int_equal(strlen(error_message()), 1021);
    memcpy(text + 1020, "\xE2\x82\xAC", 4);
    (void)error_set(GLIS_EIO, "%s", text);
    assert_int_equal(strlen(error_message()), 1023);
}

static void a_message_may_be_part_of_the_next(void **state)
{
    (void)state;
    (void)error_set(GLIS_EIO, "inner");
    (void)error_set(GLIS_EDATA, "outer (%s)", error_message());
    assert_string_equal(error_message(), "outer (inner)");
}

static void system_errors_get_their_codes(void **state)
{
    (void)state;
    static const struct {
        int system, code;
    } cases[] = {
        {ENOSPC, GLIS_ENOSPACE},  {EFBIG, GLIS_ENOSPACE}, {EDQUOT, GLIS_ENOSPACE},
        {EACCES, GLIS_EDENIED},   {EPERM, GLIS_EDENIED},  {EROFS, GLIS_EDENIED},
        {ENOENT, GLIS_ENOTFOUND}, {EEXIST, GLIS_EEXISTS}, {EPIPE, GLIS_ECLOSED},
        {ENOMEM, GLIS_ENOMEM},    {EIO, GLIS_EIO},        {ENAMETOOLONG, GLIS_EIO},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(error_set_errno(cases[i].system, "x"), cases[i].code);
    assert_int_equal(error_set_errno(ENOENT, "opening %s", "f"), GLIS_ENOTFOUND);
    assert_string_equal(error_message(), "opening f: No such file or directory");
}

static void codes_have_names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(error_code_name(GLIS_ECORRUPT), "GLIS_ECORRUPT");
    assert_string_equal(error_code_text(GLIS_ECORRUPT), "damaged data");
    assert_string_equal(error_code_name(GLIS_OK), "GLIS_OK");
    assert_string_equal(error_code_text(GLIS_OK), "ok");
    assert_string_equal(error_code_name(-999), "GLIS_E?");
    assert_string_equal(error_code_text(-999), "error");
}

static void a_broken_invariant_ends_the_process(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        assert_true(freopen("/dev/null", "w", stderr) != NULL);
        signal(SIGABRT, SIG_DFL);
        ASSERT(1 + 1 == 3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void *fail_elsewhere(void *out)
{
    (void)error_set(GLIS_EGONE, "elsewhere");
    error_context("deep");
    error_save(out);
    return NULL;
}

static void detail_moves_between_threads(void **state)
{
    (void)state;
    struct error_detail detail;
    pthread_t thread;
    (void)error_set(GLIS_EIO, "here");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &detail), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(error_message(), "here");
    assert_int_equal(error_load(&detail), GLIS_EGONE);
    assert_string_equal(error_message(), "deep: elsewhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_reads_from_the_outside_in),
        cmocka_unit_test(what_was_just_said_is_not_said_twice),
        cmocka_unit_test(of_too_many_contexts_the_middle_goes),
        cmocka_unit_test(long_text_is_cut_at_a_whole_character),
        cmocka_unit_test(a_message_may_be_part_of_the_next),
        cmocka_unit_test(system_errors_get_their_codes),
        cmocka_unit_test(codes_have_names_and_texts),
        cmocka_unit_test(a_broken_invariant_ends_the_process),
        cmocka_unit_test(detail_moves_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
