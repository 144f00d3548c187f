/*
 * step.c: the outcome of a step of a job that several processes may do: one object, put if absent.
 *
 * Whoever comes second finds the first's outcome and uses that, so a step repeated or cut short
 * does no harm. A put whose outcome the store leaves open is put again with the same bytes: then it
 * may be found taken by ourselves, which the caller sees when he reads it. What has ever been left
 * open and not been told since stays unknown, whatever the last try said: the put may still happen,
 * and what it names must stay.
 */
#include "lsm/lsm.h"

#include "base/mutant.h"

enum { PUT_TRIES = 8, PUT_WAIT_MS = 50 };

int step_put(const struct runtime *runtime, struct store *store, struct slice key,
             struct slice body, bool *doubt)
{
    bool in_doubt = false;
    if (doubt) *doubt = false;
    for (int tries = 1;; tries++) {
        int code = store_put(store, key, body, GLIS_MUTANT(step_is_put_once) ? 0 : STORE_IF_ABSENT);
        bool again = code == GLIS_ERETRY || code == GLIS_EUNKNOWN;
        in_doubt = in_doubt || code == GLIS_EUNKNOWN || code == GLIS_EIO;
        if (doubt) *doubt = in_doubt;
        if (again && tries < PUT_TRIES) {
            code = runtime_check_cancel(runtime);
            if (code == 0) {
                runtime->clock->sleep_ms(runtime->clock, PUT_WAIT_MS * tries);
                continue;
            }
        }
        if (code == 0 || code == GLIS_EEXISTS || !in_doubt) return code;
        struct error_detail detail;
        error_save(&detail);
        return error_set(GLIS_EUNKNOWN, "%s", detail.text);
    }
}
