/*
 * table_hold.c: a pin that lasts as long as some work does. What reads a record for long, a query,
 * an export, a job of several steps, pins it, so that collection leaves its files alone; extends
 * the pin while it goes on; and ends it when it is done. A process that dies leaves a pin that runs
 * out.
 *
 * Renewing is asked for between any two batches and costs a look at the clock when nothing is due.
 * A wall clock that was set back renews at once: what was put last may have been put for a time
 * that is long to come, and the next one, half a length later by that clock, much too late.
 *
 * A hold that is not required is a courtesy to the reader: who may not write, finds the disk full,
 * or comes when the files have been collected already, goes on without, and a file that is gone
 * then is GLIS_EGONE where it is missed.
 */
#include "table/table_int.h"

int table_hold_renew(struct table_hold *hold)
{
    struct runtime *runtime = instance_runtime(table_instance(hold->table));
    struct clock *clock = runtime->clock;
    int64_t now = clock->wall_ms(clock);
    if (now < hold->from_ms && !hold->asked_ms) return 0;
    if (hold->asked_ms && now >= hold->asked_ms && now - hold->asked_ms < hold->length_ms / 2)
        return 0;
    if (!hold->id.size) {
        hold->own_id = ulid_new(runtime);
        hold->id = ulid_slice(&hold->own_id);
    }
    struct table_pin pin = {.id = hold->id,
                            .record = hold->record,
                            .until_ms = now + hold->length_ms,
                            .keeps_work = hold->keeps_work};
    int code = table_pin(hold->table, &pin, NULL);
    if (code == 0) hold->is_held = true;
    /* It may have been put: then it is to be ended. */
    if (code == GLIS_EUNKNOWN) hold->is_held = true;
    if (code < 0 && (hold->is_required || code == GLIS_ECANCELLED || code == GLIS_ENOMEM))
        return code;
    if (code < 0) error_clear();
    hold->asked_ms = now;
    return 0;
}

void table_hold_end(struct table_hold *hold)
{
    if (!hold->is_held) return;
    /* Also of work that was cancelled: the flag would stop the commit. */
    struct cancel *cancel = instance_runtime(table_instance(hold->table))->cancel;
    int asked = cancel ? atomic_exchange(&cancel->requested, 0) : 0;
    struct error_detail detail;
    error_save(&detail);
    if (table_unpin(hold->table, hold->id, NULL) < 0) error_clear(); /* it runs out */
    (void)error_load(&detail);
    if (asked) atomic_store(&cancel->requested, asked);
    hold->is_held = false;
    hold->asked_ms = 0;
}
