/*
 * test.h: what every unit test includes: cmocka with the headers that it wants before it, and two
 * assertions that print the error chain when they fail.
 */
#ifndef GLIS_TEST_H
#define GLIS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

/* The call succeeds; when not, its error chain is the test's message. */
#define assert_ok(expression)                                                                  \
    do {                                                                                       \
        int test_code_ = (expression);                                                         \
        if (test_code_ < 0)                                                                    \
            fail_msg("%s: %s: %s", #expression, error_code_name(test_code_), error_message()); \
    } while (0)

/* The call fails with this code, and the error chain contains this text (NULL: any). */
#define assert_fails(expression, code, text)                                                \
    do {                                                                                    \
        int test_code_ = (expression);                                                      \
        const char *test_text_ = (text);                                                    \
        if (test_code_ != (code))                                                           \
            fail_msg("%s: %s instead of %s (%s)", #expression, error_code_name(test_code_), \
                     error_code_name(code), test_code_ < 0 ? error_message() : "");         \
        if (test_text_ && !strstr(error_message(), test_text_))                             \
            fail_msg("%s: '%s' is not in: %s", #expression, test_text_, error_message());   \
    } while (0)

#endif
