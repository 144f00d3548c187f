/*
 * test_compaction_rule.c: which files a strategy takes: the cases that the reference states with
 * numbers, cases worked by hand, and random sizes against the rule written down in the plainest
 * way.
 */
#include "test.h"

#include "base/runtime.h"
#include "lsm/lsm_int.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIZES_MAX = 200 };

/* Jobs as text: sizes with commas, jobs apart by blanks. */
static void show_jobs(const uint64_t *sizes, const struct job_range *jobs, size_t n, char *out,
                      size_t room)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t j = 0; j < n; j++)
        for (size_t i = jobs[j].begin; i < jobs[j].end && at < room; i++)
            at += (size_t)snprintf(out + at, room - at, "%s%llu",
                                   i > jobs[j].begin ? ","
                                   : j               ? " "
                                                     : "",
                                   (unsigned long long)sizes[i]);
}

static void strategies_take_what_the_reference_says(void **unused)
{
    (void)unused;
    static const struct {
        const char *sizes; /* ascending */
        bool is_size_ratio;
        uint64_t batch, ratio, concurrent, n_running;
        const char *jobs;
    } cases[] = {
        /* The reference's own cases. */
        {"50,50,50,50,50,50,50,100", true, 11, 3, INT32_MAX, 0, "50,50,50,50,50,50,50,100"},
        {"2,4,8,16,32,64,128,256", true, 11, 3, INT32_MAX, 0, ""},
        {"50,50,50,50,50,50,50,100", true, 5, 3, 1, 0, "50,50,50,50,50"},
        {"50,50,50,50,50,50,50,100", true, 5, 3, INT32_MAX, 0, "50,50,50,50,50"},
        {"9,9,9,9,10,90,90,90,90,100", true, 5, 3, INT32_MAX, 0, "9,9,9,9,10 90,90,90,90,100"},
        {"9,9,9,9,10,90,90,90,90,100,200,200,200", true, 5, 2, INT32_MAX, 0,
         "9,9,9,9,10 90,90,90,90,100 200,200,200"},
        {"9,9,9,9,10", true, 5, 3, INT32_MAX, 0, "9,9,9,9,10"},
        {"100,100", false, 2, 3, 1, 0, "100,100"},
        {"100,100", false, 5, 3, 1, 0, ""},
        {"100,200,300,400", false, 2, 3, 1, 0, "100,200 300,400"},
        {"500,600", false, 2, 3, 1, 9, "500,600"},
        {"1,2,3,4,5,6,7", false, 3, 3, 1, 0, "1,2,3 4,5,6"},
        /* By hand: equality is enough; one row less is not. */
        {"1,1,1,1", true, 12, 3, INT32_MAX, 0, "1,1,1,1"},
        {"10,10,9,10", true, 12, 3, INT32_MAX, 0, ""},
        {"9,10,10,10", true, 12, 3, INT32_MAX, 0, ""},
        {"10,10,10,10", true, 12, 3, INT32_MAX, 0, "10,10,10,10"},
        {"", true, 12, 3, INT32_MAX, 0, ""},
        {"7", true, 12, 3, INT32_MAX, 0, ""},
        {"0,0", true, 12, 3, INT32_MAX, 0, "0,0"},
        {"5,5", true, 12, 1, INT32_MAX, 0, "5,5"},
        {"5,5", true, 12, 2, INT32_MAX, 0, ""},
        /* The largest is left out, the rest taken. */
        {"5,5,5,5,1000", true, 12, 3, INT32_MAX, 0, "5,5,5,5"},
        /* A window that is not worth it moves on by one: 1,9,9 is not (9*2 > 10), 9,9,9 is. */
        {"1,9,9,9,9,9", true, 3, 2, INT32_MAX, 0, "9,9,9"},
        /* The last window is narrower: after 1,1,1 come 1,1, of which 1 has not twice 1. */
        {"1,1,1,1,1", true, 3, 2, INT32_MAX, 0, "1,1,1"},
        {"1,1,1,1,1", true, 3, 1, INT32_MAX, 0, "1,1,1 1,1"},
        /* Jobs beyond those that may run are left out from the end. */
        {"1,1,1,1,1", true, 3, 1, 2, 1, "1,1,1"},
        {"1,1,1,1,1", true, 3, 1, 2, 2, ""},
        {"1,1,1,1,1", true, 3, 1, 2, 5, ""},
        /* Sums beyond 64 bits. */
        {"18446744073709551615,18446744073709551615,18446744073709551615,18446744073709551615",
         true, 12, 3, INT32_MAX, 0,
         "18446744073709551615,18446744073709551615,18446744073709551615,18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t sizes[SIZES_MAX];
        size_t n = 0;
        for (const char *p = cases[i].sizes; *p; p += *p == ',') {
            char *end;
            sizes[n++] = strtoull(p, &end, 10);
            p = end;
        }
        const struct compaction_rule rule = {cases[i].is_size_ratio, cases[i].batch, cases[i].ratio,
                                             cases[i].concurrent};
        struct job_range jobs[SIZES_MAX];
        char text[4000];
        show_jobs(sizes, jobs, compaction_rule_apply(&rule, sizes, n, cases[i].n_running, jobs),
                  text, sizeof(text));
        if (strcmp(text, cases[i].jobs) != 0)
            fail_msg("case %zu (%s): [%s] instead of [%s]", i, cases[i].sizes, text, cases[i].jobs);
    }
}

static void a_hundred_files_make_ten_jobs_by_tens(void **unused)
{
    (void)unused;
    uint64_t sizes[100];
    for (int i = 0; i < 100; i++)
        sizes[99 - i] = 1000000 - (uint64_t)i * 100;
    struct job_range jobs[51];
    const struct compaction_rule rule = {false, 10, 3, 1};
    assert_int_equal(compaction_rule_apply(&rule, sizes, 100, 0, jobs), 10);
    for (size_t j = 0; j < 10; j++) {
        assert_int_equal(jobs[j].begin, 10 * j);
        assert_int_equal(jobs[j].end, 10 * j + 10);
    }
}

/* The pseudo-code of the reference, line by line, with lists that are copied. */
static bool plain_meets(const uint64_t *list, size_t n, uint64_t ratio)
{
    if (n < 2) return false;
    uint64_t others = 0;
    for (size_t i = 0; i + 1 < n; i++)
        others += list[i];
    return ratio * list[n - 1] <= others;
}

static size_t plain_size_ratio(const uint64_t *sizes, size_t n, uint64_t batch, uint64_t ratio,
                               struct job_range *out)
{
    uint64_t list[SIZES_MAX];
    size_t n_out = 0;
    memcpy(list, sizes, n * sizeof(*list));
    while (n > 1 && !plain_meets(list, n, ratio))
        n--;
    if (n <= 1) return 0;
    if (n <= batch) {
        out[0] = (struct job_range){0, n};
        return 1;
    }
    for (size_t position = 0; position < n;) {
        uint64_t window[SIZES_MAX];
        size_t width = 0;
        for (size_t i = position; i < n && width < batch; i++)
            window[width++] = list[i];
        if (plain_meets(window, width, ratio)) {
            out[n_out++] = (struct job_range){position, position + width};
            position += width;
        } else {
            position++;
        }
    }
    return n_out;
}

static int compare_sizes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void random_sizes_give_what_the_plain_rule_gives(void **unused)
{
    (void)unused;
    struct random *random = random_seeded_new(11);
    unsigned n_with_jobs = 0, n_with_many = 0;
    for (int round = 0; round < 20000; round++) {
        uint64_t sizes[SIZES_MAX], limit = UINT64_C(1) << (1 + random_below(random, 30));
        size_t n = random_below(random, round % 10 ? 30 : SIZES_MAX);
        for (size_t i = 0; i < n; i++)
            sizes[i] = random_below(random, limit) + 1;
        qsort(sizes, n, sizeof(*sizes), compare_sizes);
        const struct compaction_rule rule = {true, 2 + random_below(random, 12),
                                             1 + random_below(random, 4), INT32_MAX};
        struct job_range found[SIZES_MAX], wanted[SIZES_MAX];
        size_t n_found = compaction_rule_apply(&rule, sizes, n, 0, found);
        size_t n_wanted = plain_size_ratio(sizes, n, rule.batch, rule.ratio, wanted);
        assert_int_equal(n_found, n_wanted);
        assert_true(n_found <= n / 2 + 1);
        if (n_found) assert_memory_equal(found, wanted, n_found * sizeof(*found));
        n_with_jobs += n_found > 0;
        n_with_many += n_found > 1;
    }
    assert_true(n_with_jobs > 5000 && n_with_many > 1000);
    random_seeded_free(random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strategies_take_what_the_reference_says),
        cmocka_unit_test(a_hundred_files_make_ten_jobs_by_tens),
        cmocka_unit_test(random_sizes_give_what_the_plain_rule_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
