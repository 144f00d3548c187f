/*
 * refusal.c: what a refused commit means to background work.
 *
 * Mostly that others were faster: what was planned with is no longer so, and the work is planned
 * anew. But a commit is refused too when this machine's clock is wrong, when the table was dropped,
 * or when what is asked for is never allowed; then planning anew would go on for ever, or end in
 * silence. The record tells them apart: if others were faster, the table is at a later one than the
 * plan was.
 */
#include "lsm/lsm_int.h"

int refusal_excuse(struct table *table, const struct table_state *planned)
{
    const struct table_state *now;
    struct error_detail refusal;
    error_save(&refusal);
    TRY(table_state_get(table, 0, &now));
    bool moved = table_state_record(now) > table_state_record(planned);
    table_state_release(now);
    if (!moved) return error_load(&refusal);
    error_clear();
    return 0;
}
