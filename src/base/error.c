/*
 * error.c: the detail of the latest failure, kept per thread.
 *
 * The storage is fixed, so that the very paths that report a lack of memory or of disk need
 * neither. Text that does not fit is cut at a whole UTF-8 character. Of too many contexts the
 * middle ones are dropped: the innermost say what broke, the outermost what the user had asked for.
 */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct error_detail current;
static _Thread_local char
    message[ERROR_TEXT_BYTES + ERROR_CONTEXT_COUNT * (ERROR_CONTEXT_BYTES + 2) + 1];

static void cut_at_character(char *text, size_t capacity);
static int code_of_errno(int system_errno);

int(error_set)(int code, const char *format, ...)
{
    ASSERT(code < 0);
    /* What has nothing to be put in needs no printf: many errors are only an answer, as that of a
     * reader of a log who looks for the next record. */
    size_t size = strlen(format);
    if (size < sizeof(current.text) && !memchr(format, '%', size)) {
        memcpy(current.text, format, size + 1);
        current.code = code;
        current.n_contexts = 0;
        return code;
    }
    /* The arguments may point into the present detail, so the new one is made beside it. */
    char text[ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    cut_at_character(text, sizeof(text));
    memcpy(current.text, text, sizeof(text));
    current.code = code;
    current.n_contexts = 0;
    return code;
}

int(error_set_errno)(int system_errno, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES], reason[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    cut_at_character(text, sizeof(text));
    return error_set(code_of_errno(system_errno), "%s: %s", text,
                     strerror_r(system_errno, reason, sizeof(reason)));
}

void error_context(const char *format, ...)
{
    char text[ERROR_CONTEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    cut_at_character(text, sizeof(text));
    /* A layer that only passes a call on says the same as the one below. */
    if (current.n_contexts && strcmp(current.contexts[current.n_contexts - 1], text) == 0) return;
    if (current.n_contexts == ERROR_CONTEXT_COUNT) {
        unsigned middle = ERROR_CONTEXT_COUNT / 2;
        memmove(current.contexts[middle], current.contexts[middle + 1],
                (ERROR_CONTEXT_COUNT - middle - 1) * sizeof(current.contexts[0]));
        current.n_contexts--;
    }
    memcpy(current.contexts[current.n_contexts++], text, sizeof(text));
}

const char *error_message(void)
{
    size_t used = 0;
    for (unsigned i = current.n_contexts; i-- > 0;) {
        used +=
            (size_t)snprintf(message + used, sizeof(message) - used, "%s: ", current.contexts[i]);
    }
    snprintf(message + used, sizeof(message) - used, "%s", current.text);
    return message;
}

const char *error_code_text(int code)
{
    switch (code) {
#define ERROR_CASE(name, number, text) \
    case name: return text;
        GLIS_ERRORS(ERROR_CASE)
#undef ERROR_CASE
    case GLIS_OK: return "ok";
    default: return "error";
    }
}

const char *error_code_name(int code)
{
    switch (code) {
#define ERROR_CASE(name, number, text) \
    case name: return #name;
        GLIS_ERRORS(ERROR_CASE)
#undef ERROR_CASE
    case GLIS_OK: return "GLIS_OK";
    default: return "GLIS_E?";
    }
}

void error_save(struct error_detail *out)
{
    *out = current;
}

int error_load(const struct error_detail *detail)
{
    current = *detail;
    return current.code;
}

void error_clear(void)
{
    current.code = 0;
    current.n_contexts = 0;
    current.text[0] = '\0';
}

void error_assert_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "glis: internal error at %s:%d: %s\n", file, line, condition);
    abort();
}

/* Where vsnprintf filled the storage to its end, the last character may be a part of one. */
static void cut_at_character(char *text, size_t capacity)
{
    size_t size = strlen(text);
    if (size + 1 < capacity) return;
    size_t start = size;
    while (start > 0 && size - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (need > 1 && size - (start - 1) < need) text[start - 1] = '\0';
}

static int code_of_errno(int system_errno)
{
    switch (system_errno) {
    case ENOSPC:
    case EFBIG:
    case EDQUOT: return GLIS_ENOSPACE;
    case EACCES:
    case EPERM:
    case EROFS: return GLIS_EDENIED;
    case ENOENT: return GLIS_ENOTFOUND;
    case EEXIST: return GLIS_EEXISTS;
    case EPIPE: return GLIS_ECLOSED;
    case ENOMEM: return GLIS_ENOMEM;
    default: return GLIS_EIO;
    }
}
