/*
 * runtime.c: what belongs to the bundle of doors as a whole: the cancel flag.
 *
 * The flag is set from a signal handler or another thread and only ever goes from 0 to 1 during a
 * piece of work, so a relaxed load is enough: whoever looks late stops a batch later.
 */
#include "base/runtime.h"

int runtime_check_cancel(const struct runtime *runtime)
{
    struct cancel *cancel = runtime->cancel;
    if (cancel && atomic_load_explicit(&cancel->requested, memory_order_relaxed))
        return error_set(GLIS_ECANCELLED, "stopped on request");
    return 0;
}
