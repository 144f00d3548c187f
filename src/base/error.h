/*
 * error.h: how failure travels.
 *
 * A function that can fail returns int: 0, or a negative code from the one list (GLIS_ERRORS in
 * glis.h), and is marked GLIS_CHECKED. Where a failure begins, error_set() records its detail and
 * returns the code, so `return error_set(...)` is the idiom. On the way up TRY() passes the code
 * on, and error_context() adds what a person needs to find the place. The detail is kept per thread
 * in fixed storage: setting it never allocates and never fails; text beyond the storage is cut.
 *
 * Ownership: strings returned by error_message() and friends belong to the thread and are valid
 * until its next error_set(). A pool's worker hands its detail to the waiting thread with
 * error_save() and error_load().
 */
#ifndef GLIS_BASE_ERROR_H
#define GLIS_BASE_ERROR_H

#include "base/banned.h"
#include "glis.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLIS_CHECKED             __attribute__((warn_unused_result))
#define GLIS_PRINTF(text, first) __attribute__((format(printf, text, first)))

enum { ERROR_TEXT_BYTES = 1024, ERROR_CONTEXT_BYTES = 256, ERROR_CONTEXT_COUNT = 8 };

/* A failure in full: the code, what is wrong, and the places it came through, innermost first. */
struct error_detail {
    int code;
    unsigned n_contexts;
    char text[ERROR_TEXT_BYTES];
    char contexts[ERROR_CONTEXT_COUNT][ERROR_CONTEXT_BYTES];
};

/* Records a new failure with its detail (printf-style) and returns `code`. Earlier detail of
 * this thread is replaced. */
int error_set(int code, const char *format, ...) GLIS_PRINTF(2, 3);

/* As error_set, with the system's text for `system_errno` behind; picks the code: ENOSPC,
 * EDQUOT and EFBIG give GLIS_ENOSPACE, EACCES, EPERM and EROFS GLIS_EDENIED, ENOENT
 * GLIS_ENOTFOUND, EEXIST GLIS_EEXISTS, EPIPE GLIS_ECLOSED, ENOMEM GLIS_ENOMEM, all others
 * GLIS_EIO. */
int error_set_errno(int system_errno, const char *format, ...) GLIS_PRINTF(2, 3);

/* Tells the compiler what error_set asserts, so that it sees no success, and no value that was left
 * unset, behind a failure. */
static inline int error_is_negative(int code)
{
    if (code >= 0) __builtin_unreachable();
    return code;
}
#define error_set(...)       error_is_negative(error_set(__VA_ARGS__))
#define error_set_errno(...) error_is_negative(error_set_errno(__VA_ARGS__))

/* Adds where the failure passed through: "reading x", "file y". The outermost is printed first.
 * What was just said is not said twice. Beyond the storage the outermost ones are kept and the
 * middle is dropped. */
void error_context(const char *format, ...) GLIS_PRINTF(1, 2);

/* The whole chain as one line, outermost context first: "loading a.csv: line 3: no number: x". */
const char *error_message(void);

/* The code's short text, "damaged data", and its name, "GLIS_ECORRUPT". Unknown codes give
 * "error" and "GLIS_E?". */
const char *error_code_text(int code);
const char *error_code_name(int code);

/* Copies this thread's detail out, or makes a saved one this thread's. error_load returns the
 * detail's code. */
void error_save(struct error_detail *out);
int error_load(const struct error_detail *detail);
void error_clear(void);

/* Passes a failure on. TRY_CONTEXT adds a context (printf-style) to it. */
#define TRY(expression)                                           \
    do {                                                          \
        int try_code_ = (expression);                             \
        if (__builtin_expect(try_code_ < 0, 0)) return try_code_; \
    } while (0)
#define TRY_CONTEXT(expression, ...)              \
    do {                                          \
        int try_code_ = (expression);             \
        if (__builtin_expect(try_code_ < 0, 0)) { \
            error_context(__VA_ARGS__);           \
            return try_code_;                     \
        }                                         \
    } while (0)

/* An invariant of our own; stays on in release builds. Ends the process with the place and the
 * condition. */
#define ASSERT(condition) \
    ((condition) ? (void)0 : error_assert_failed(__FILE__, __LINE__, #condition))
void error_assert_failed(const char *file, int line, const char *condition)
    __attribute__((noreturn, cold));

#endif
