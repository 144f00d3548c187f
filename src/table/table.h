/*
 * table.h: instances, the catalogue of tables, and the state of a table: schema, properties,
 * partition tree, files, references, jobs, and the transactions that change them.
 *
 * This is the module's header, in parts by subject: property.h, instance.h (the catalogue),
 * table_processing.h (what is done to rows, as far as it is settings), table_state.h (reading a
 * state) and table_change.h (transactions). Here: opening a table, having its states, looking after
 * its log.
 *
 * Ownership: an instance outlives its tables, a store its instance. Instances and tables are thread
 * safe; a state may be read by any number of threads.
 */
#ifndef GLIS_TABLE_TABLE_H
#define GLIS_TABLE_TABLE_H

#include "table/instance.h"
#include "table/property.h"
#include "table/table_change.h"
#include "table/table_processing.h"
#include "table/table_state.h"

/* ---- an open table ---- */

/* GLIS_ENOTFOUND with "did you mean". Its state is read to the end of the log. */
int table_open(struct instance *instance, struct slice name, struct table **out) GLIS_CHECKED;
void table_close(struct table *table); /* NULL is allowed */

/* What the handle was opened with; the name as it was then. */
struct instance *table_instance(const struct table *table);
/* The name, as it was at the opening. */
struct slice table_name(const struct table *table);
/* The id: a ULID, for ever the same. */
struct slice table_id(const struct table *table);
/* The store's key of a data file: "tables/<id>/data/...", or store_foreign_key; in the arena. */
struct slice table_file_key(const struct table *table, struct slice file, struct arena *arena);
/* The same of a file that a state has told of, which says itself whose it is. */
struct slice table_file_key_of(const struct table *table, const struct table_file *file,
                               struct arena *arena);
/* "tables/<id>/", with the slash. */
struct slice table_prefix(const struct table *table);

/* 1 to 200 of [A-Za-z0-9._:-]: ids of jobs and pins, names of writers. `what` begins the message:
 * "job id". GLIS_EINVALID. */
int job_id_check(const char *what, struct slice id) GLIS_CHECKED;

/* The present state, fresh: every commit that returned before is in it. The caller releases it.
 * With max_staleness_ms > 0 a state that was fresh so long ago will do. */
int table_state_get(struct table *table, int64_t max_staleness_ms, const struct table_state **out)
    GLIS_CHECKED;
/* The state as of a record. GLIS_EGONE when that is trimmed, GLIS_EINVALID beyond the end. */
int table_state_at(struct table *table, uint64_t record, const struct table_state **out)
    GLIS_CHECKED;

/* The newest record whose time is not above a time; 0: there is none, or it cannot be read any
 * more. Cost: some twenty reads. */
int table_record_at_time(struct table *table, int64_t time_ms, uint64_t *out) GLIS_CHECKED;
/* The record at which the writing of a file of ours began, from its name; false: not such a
 * name. */
bool table_file_begun(struct slice name, uint64_t *begun);

/* ---- looking after logs ---- */

/* Writes a snapshot of the table's newest state. */
int table_snapshot_write(struct table *table) GLIS_CHECKED;
/* The same when the records since the last one outweigh a tenth of the state. */
int table_snapshot_if_due(struct table *table) GLIS_CHECKED;
/* Sets the log's time to this machine's: `record` must be the log's end. All delays begin again. */
int table_set_time(struct table *table, uint64_t record, struct commit_result *out) GLIS_CHECKED;
/* What log_check needs: the machines of tables and of the catalogue, whose log lies below
 * "catalogue/". */
struct log_machine;
const struct log_machine *table_log_machine(void);
const struct log_machine *catalogue_log_machine(void);
/* Everything that must hold within the catalogue, fresh; GLIS_ECORRUPT says what does not. */
int instance_validate(struct instance *instance) GLIS_CHECKED;

#endif
