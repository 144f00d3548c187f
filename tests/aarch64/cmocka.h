/*
 * cmocka.h: as much of cmocka as test_decode_kernels.c uses, for a program of another processor's,
 * for which there is no library at hand. A failed assertion ends the program.
 */
#ifndef GLIS_TEST_AARCH64_CMOCKA_H
#define GLIS_TEST_AARCH64_CMOCKA_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct CMUnitTest {
    const char *name;
    void (*function)(void **state);
};

#define cmocka_unit_test(function) \
    {                              \
#function, function        \
    }

#define fail_msg(...)                                   \
    do {                                                \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__);                   \
        fprintf(stderr, "\n");                          \
        exit(1);                                        \
    } while (0)

#define assert_true(condition)                             \
    do {                                                   \
        if (!(condition)) fail_msg("not so: " #condition); \
    } while (0)
#define assert_int_equal(a, b)          assert_true((uint64_t)(a) == (uint64_t)(b))
#define assert_memory_equal(a, b, size) assert_true(memcmp(a, b, size) == 0)

static inline int run_all(const struct CMUnitTest *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *state = NULL;
        tests[i].function(&state);
        printf("%s\n", tests[i].name);
    }
    return 0;
}

#define cmocka_run_group_tests(tests, setup, teardown) \
    run_all(tests, sizeof(tests) / sizeof *(tests))

#endif
