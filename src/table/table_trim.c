/*
 * table_trim.c: how much of a table's log, and of the catalogue's, stays.
 *
 * A state is readable as long as a snapshot at or below it and the records from there are kept. Two
 * things want old states: pins, which name a record, and people (--at-record, restore), who have
 * glis.table.log.keep to think of it. The trim line in the state says from which record on states
 * are promised. It goes up by a transaction before anything is trimmed, and never past a living
 * pin's record; a pin below it is refused. So a pin and a trim that are set at the same moment have
 * an order, and whichever comes second gives way.
 *
 * The log itself decides about blocks, snapshots and markers (log.h, "trimming").
 */
#include "table/instance_int.h"

/* The slots of a block of a log: few in simulated worlds. */
static uint64_t block_slots(const struct instance *instance)
{
    struct log_options options = instance_log_options(instance);
    return options.block_slots ? options.block_slots : LOG_BLOCK_SLOTS;
}

/* From which record on states are wanted. */
static int keep_from(struct table *table, const struct table_trim_options *options,
                     const struct table_state *state, uint64_t *out)
{
    uint64_t limit = table_trim_limit(state), record = 0;
    if (options->keep_given) {
        record = state->record > options->keep ? state->record - options->keep : 0;
    } else {
        struct clock *clock = table->instance->runtime->clock;
        int64_t keep_ms = table_state_number(state, PROPERTY_TABLE_LOG_KEEP);
        TRY(table_record_at_time(table, clock->wall_ms(clock) - keep_ms, &record));
    }
    *out = record < limit ? record : limit;
    return 0;
}

/* Raises the line to what will be the lowest state that can be read. False: somebody has set a pin
 * below it meanwhile, or raised it as well. */
static int line_raise(struct table *table, const struct table_state *state, uint64_t base,
                      bool *raised)
{
    *raised = true;
    if (table_trim_line(state) >= base) return 0;
    int code = table_raise_trim_line(table, base, NULL);
    if (code != GLIS_EREFUSED) return code;
    error_clear();
    *raised = false;
    return 0;
}

static int trim(struct table *table, const struct table_trim_options *options,
                const struct table_state *state, struct log_trim_result *out)
{
    struct log_trim_plan plan = {0};
    uint64_t wanted = 0;
    bool raised = true;
    bool long_enough = state->record > table_trim_line(state) + block_slots(table->instance);
    if (!long_enough && !options->full) return 0;
    /* The cheap question first: the search for a time reads records. */
    if (long_enough) TRY(log_trim_plan(table->log, table_trim_limit(state), &plan));
    if (plan.is_due) {
        TRY(keep_from(table, options, state, &wanted));
        TRY(log_trim_plan_sure(table->log, wanted, &plan));
    }
    if (plan.is_due && !options->dry_run) TRY(line_raise(table, state, plan.base, &raised));
    if (!options->full && (!plan.is_due || !raised)) return 0;
    struct log_trim_options what = {
        .line = plan.is_due && raised ? plan.line : 0,
        .bodies_below = options->full ? table_state_horizon(state) : 0,
        .dry_run = options->dry_run,
    };
    return log_trim(table->log, &what, out);
}

int table_trim(struct table *table, const struct table_trim_options *options,
               struct log_trim_result *out)
{
    const struct table_state *state;
    *out = (struct log_trim_result){0};
    TRY(table_state_get(table, 0, &state));
    int code = trim(table, options, state, out);
    table_state_release(state);
    TRY_CONTEXT(code, "table '%.*s'", SLICE_PRINT(table->name));
    return 0;
}

enum { CATALOGUE_KEEP = 1024 }; /* records; nobody asks for its older states */

int instance_trim(struct instance *instance, const struct table_trim_options *options,
                  struct log_trim_result *out)
{
    struct log_trim_plan plan;
    uint64_t keep = options->keep_given ? options->keep : CATALOGUE_KEEP;
    *out = (struct log_trim_result){0};
    TRY(instance_refresh(instance));
    const struct log_state *state = log_state_acquire(instance->log);
    uint64_t record = state->record;
    log_state_release(state);
    if (record <= block_slots(instance) && !options->full) return 0;
    TRY(log_trim_plan_sure(instance->log, record > keep ? record - keep : 0, &plan));
    if (!plan.is_due && !options->full) return 0;
    struct log_trim_options what = {.line = plan.line, .dry_run = options->dry_run};
    TRY_CONTEXT(log_trim(instance->log, &what, out), "the catalogue");
    return 0;
}
