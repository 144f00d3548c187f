/*
 * step.c: the outcome of a step of a job that several processes may do: one object, put if absent.
 *
 * Whoever comes second finds the first's outcome and uses that, so a step repeated or cut short
 * does no harm. A put whose outcome the store leaves open is put again with the same bytes: then it
 * may be found taken by ourselves, which the caller sees when he reads it.
 */
#include "lsm/lsm.h"

enum { PUT_TRIES = 8, PUT_WAIT_MS = 50 };

int step_put(const struct runtime *runtime, struct store *store, struct slice key,
             struct slice body)
{
    for (int tries = 1;; tries++) {
        int code = store_put(store, key, body, STORE_IF_ABSENT);
        bool again = code == GLIS_ERETRY || code == GLIS_EUNKNOWN;
        if (!again || tries == PUT_TRIES) return code;
        TRY(runtime_check_cancel(runtime));
        runtime->clock->sleep_ms(runtime->clock, PUT_WAIT_MS * tries);
    }
}
