/*
 * runtime.c: what belongs to the bundle of doors as a whole: the cancel flag, and the process's
 * name.
 *
 * The flag is set from a signal handler or another thread and only ever goes from 0 to 1 during a
 * piece of work, so a relaxed load is enough: whoever looks late stops a batch later.
 */
#include "base/runtime.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int runtime_check_cancel(const struct runtime *runtime)
{
    struct cancel *cancel = runtime->cancel;
    if (cancel && atomic_load_explicit(&cancel->requested, memory_order_relaxed))
        return error_set(GLIS_ECANCELLED, "stopped on request");
    return 0;
}

void runtime_process_name(char out[RUNTIME_PROCESS_BYTES])
{
    char host[65] = "?";
    if (gethostname(host, sizeof host - 1) != 0) memcpy(host, "?", 2);
    (void)snprintf(out, RUNTIME_PROCESS_BYTES, "%.64s:%ld", host, (long)getpid());
}
