/*
 * mutants.h: the rules that can be broken one at a time (base/mutant.h), and where each is kept.
 * The names of the log's are those of the protocol's model.
 */
#ifndef GLIS_TESTS_SIM_MUTANTS_H
#define GLIS_TESTS_SIM_MUTANTS_H

#include <stdint.h>

/* X(name, kind of world that shows it, file, what is done instead) */
#define MUTANTS(X)                                                                                 \
    X(look_after_put, log, "log_commit.c", "a created record counts as committed")                 \
    X(look_after_put_not_before, log, "log_commit.c", "the marker is looked for before the put")   \
    X(look_after_read, log, "log_read.c", "not found is taken for the end of the log")             \
    X(look_after_read_not_before, log, "log_read.c", "the marker is looked for, then read")        \
    X(look_at_first_block, log, "log_read.c", "the block of the last slot read is looked at")      \
    X(first_not_found_ends, log, "log_read.c", "what lies behind a hole is applied")               \
    X(snapshot_confirmed, log, "log_snapshot.c", "an unknown put of a snapshot counts as done")    \
    X(marker_before_delete, log, "log_trim.c", "records go before the marker is put")              \
    X(marker_confirmed, log, "log_trim.c", "an unknown put of a marker counts as done")            \
    X(ascending_markers, log, "log_trim.c", "markers are put from the last block down")            \
    X(snapshot_before_marker, log, "log_trim.c", "a block is marked that no snapshot covers")      \
    X(keep_newest_snapshot, log, "log_trim.c", "any snapshot may be deleted")                      \
    X(read_back_own_id, log, "log_commit.c", "a record in the slot is taken for another's")        \
    X(same_record_again, log, "log_commit.c", "after unknown a new record is put")                 \
    X(trimmed_means_unknown, log, "log_commit.c", "marker after the put: done once more")          \
    X(doubt_until_look, log, "log_commit.c", "another's record in the slot ends the doubt")        \
    X(false_once_applied, log, "the machine", "a transaction has no condition of its own")         \
    X(drop_marks_its_own_block, log, "log_end.c", "a drop deletes a block that it did not mark")   \
    X(publish_after_commit, log, "log_commit.c", "a state is shown before its record is put")      \
    X(snapshot_after_commit, log, "log_commit.c", "a snapshot before its record is put")           \
    X(broken_means_doubt, log, "log_commit.c", "a put that broke counts as not done")              \
    X(refusal_of_a_fresh_state, log, "log_commit.c", "an old state's refusal is reported")         \
    X(dependents_wait, log, "log_commit.c", "already done, by a record that is not there yet")     \
    X(time_never_decreases, log, "log_commit.c", "a record's time is its writer's clock")          \
    X(deadline_in_doubt, log, "log_commit.c", "a deadline in doubt means: did not happen")         \
    X(clock_is_checked, log, "log_commit.c", "who writes need not know the time")                  \
    X(body_confirmed, log, "log_commit.c", "an unknown put of a body counts as done")              \
    X(body_horizon, log, "the machine", "bodies begun below the horizon are taken")                \
    X(list_after_marker, log, "log_snapshot.c", "after a marker the hint is believed")             \
    X(decided_ids, log, "log_version.c", "an entry counts each time that a record carries it")     \
    X(decided_refusals, log, "log_version.c", "only entries that took effect count as decided")    \
    X(decided_until_not_after, log, "log_version.c", "a decided id is forgotten too soon")         \
    X(not_after, log, "log_version.c", "entries count after their time")                           \
    X(no_verdict_of_ones_own, log, "log_combine.c", "a writer refuses its waiting entry itself")   \
    X(look_at_every_record, log, "log_combine.c",                                                  \
      "a writer looks for its id in the last state only")                                          \
    X(outcome_with_decided_id, log, "log_combine.c",                                               \
      "that an id was decided is taken for success")                                               \
    X(expired_only_if_read, log, "log_combine.c", "what was trimmed unread did not happen")        \
    X(nothing_after_drop, log, "log_combine.c", "an entry is carried on top of the end")           \
    X(doubt_settled_before_pending, log, "log_commit.c", "a put in doubt is left, an entry put")   \
    X(file_above_horizon, table, "table_files.c", "files begun below the horizon are taken")       \
    X(file_is_new, table, "table_files.c", "a file that is known already comes again")             \
    X(rows_sum_up, table, "table_files.c", "exact rows need not sum to the file's")                \
    X(references_are_disjoint, table, "table_files.c", "a fresh file's regions overlap")           \
    X(bounds_inside_region, table, "table_files.c", "a fresh file lies outside its region")        \
    X(assignment_holds, table, "table_files.c", "what a living job has is given to another")       \
    X(gone_time_is_kept, table, "table_files.c",                                                   \
      "a file's delay does not begin with its last reference")                                     \
    X(generation_is_checked, table, "table_files.c",                                               \
      "work begun before a reset or restore is taken")                                             \
    X(processing_is_checked, table, "table_files.c", "files of an older processing are taken")     \
    X(assignment_runs_out, table, "table_records.c", "an assignment that ran out still blocks")    \
    X(job_is_remembered, table, "table_change_files.c", "the id of a job is forgotten")            \
    X(sequence_is_remembered, table, "table_change_files.c", "a writer's sequence is taken again") \
    X(sequence_without_gap, table, "table_change_files.c", "a sequence further ahead is taken")    \
    X(fingerprint_is_compared, table, "table_change_files.c",                                      \
      "the same id with other input is a success")                                                 \
    X(inputs_are_the_jobs, table, "table_jobs.c", "a compaction that lost a reference is taken")   \
    X(compaction_keeps_rows, table, "table_jobs.c",                                                \
      "more rows come out of a compaction than went in")                                           \
    X(push_down_disjoint, table, "table_jobs.c", "targets of a push-down overlap")                 \
    X(push_down_covers, table, "table_jobs.c", "a push-down leaves a leaf out")                    \
    X(marked_without_references, table, "table_collect.c", "a file with references is marked")     \
    X(marked_as_gone_then, table, "table_collect.c",                                               \
      "a file that went at another record is marked")                                              \
    X(pin_keeps_its_record, table, "table_collect.c", "a pin keeps the state of the next record")  \
    X(pin_keeps_files, table, "table_collect.c", "collection does not look at pins")               \
    X(pin_above_collection, table, "table_collect.c",                                              \
      "a state whose files were collected is pinned")                                              \
    X(forgotten_when_marked, table, "table_collect.c", "a file that nobody marked is forgotten")   \
    X(horizon_below_work, table, "table_collect.c", "the horizon rises over living work")          \
    X(pin_keeps_work, table, "table_collect.c", "a pin that keeps work does not hold the horizon") \
    X(restore_of_jobs, table, "table_restore.c", "a restore keeps the ids of jobs")                \
    X(restore_is_a_generation, table, "table_restore.c",                                           \
      "a restore does not raise the generation")                                                   \
    X(restore_after_delete, table, "table_restore.c", "a record before a delete is restored")      \
    X(restore_of_marked, table, "table_restore.c", "a file that is being collected is restored")   \
    X(restore_of_generation, table, "table_restore.c",                                             \
      "a restore does not look at the generation")                                                 \
    X(leaves_are_split, table, "table_grow.c", "an inner partition is split again")                \
    X(split_above_horizon, table, "table_grow.c", "a split planned below the horizon is taken")    \
    X(empty_leaves_merge, table, "table_grow.c", "leaves with references become one")              \
    X(alter_of_a_version, table, "table_transaction.c",                                            \
      "changes of the definition lose each other")                                                 \
    X(reset_of_generation, table, "table_transaction.c",                                           \
      "a reset does not look at the generation")                                                   \
    X(collection_waits, table, "collect.c", "files are collected without their delay")             \
    X(delete_before_forget, table, "collect.c", "a file is forgotten before it is deleted")        \
    X(mark_before_delete, table, "collect.c", "a file is deleted before it is marked")             \
    X(orphans_below_horizon, table, "collect.c", "files above the horizon are taken for orphans")  \
    X(horizon_before_orphans, table, "collect.c",                                                  \
      "orphans go below a horizon that was not raised")                                            \
    X(unknown_keeps_files, table, "ingest.c", "an ingest of unknown outcome removes its files")    \
    X(unknown_keeps_output, table, "compaction.c",                                                 \
      "a compaction of unknown outcome removes its file")                                          \
    X(put_retried_by_transport, log, "the transport", "a conditional put is repeated")             \
    X(done_is_settled, log, "log_commit.c", "what was only read is told as done")                  \
    X(own_record_is_durable, log, "log_commit.c", "a record found again is not synced")            \
    X(set_time_at_the_end, log, "log_commit.c", "the time is set behind any record")               \
    X(snapshot_of_settled, log, "log_snapshot.c", "a snapshot outlasts its record")                \
    X(base_is_durable, log, "log_trim.c", "a trim stands on a snapshot that may go")               \
    X(markers_are_durable, log, "log_trim.c", "records go before the markers' folder is synced")   \
    X(end_is_durable, log, "log_end.c", "a log is cleared whose last snapshot may go")             \
    X(entries_are_settled, log, "log_combine.c", "an entry in a record only read is told")         \
    X(files_are_durable, table, "data_file.c", "a record names files that are not synced")         \
    X(set_aside_is_left, table, "table_jobs.c", "a file set aside is given to a job")              \
    X(role_taken_of_epoch, table, "table_roles.c", "a role is taken from any epoch")               \
    X(role_of_epoch, table, "table_roles.c", "who lost his role may act in it")                    \
    X(pin_above_trim_line, table, "table_collect.c", "a state that was trimmed is pinned")         \
    X(trim_line_below_pins, table, "table_collect.c", "the trim line rises over a pin")            \
    X(delays_begin_again, table, "table_transaction.c", "delays go on when the time is set")       \
    X(bulk_is_pinned, table, "bulk_import.c", "nothing holds what a bulk import began with")       \
    X(bulk_doubt_keeps_files, table, "bulk_import.c", "files of a put in doubt are removed")       \
    X(unwanted_are_unknown, table, "bulk_import.c", "files of a committed job are removed")        \
    X(step_is_put_once, table, "step.c", "a second outcome replaces the first")                    \
    X(table_in_its_life, catalogue, "catalogue.c", "any change of a table in any life")            \
    X(table_of_a_version, catalogue, "catalogue.c", "changes of a table lose each other")          \
    X(name_is_free, catalogue, "catalogue.c", "a name is given twice")                             \
    X(back_when_whole, catalogue, "catalogue.c", "a table comes back that was never whole")        \
    X(beginning_is_settled, catalogue, "instance.c", "a table lives before its log is sure")       \
    X(sweeping_is_settled, catalogue, "table_sweep.c", "a log ends before that is sure")           \
    X(sweep_waits, catalogue, "table_sweep.c", "a dropped table is swept at once")                 \
    X(sweep_ends_the_log, catalogue, "table_sweep.c", "a swept table's log goes on")               \
    X(forget_waits, catalogue, "table_sweep.c", "a swept table is forgotten at once")

#define MUTANT_ID(name, kind, where, what) MUTANT_##name,
enum mutant { MUTANT_NONE, MUTANTS(MUTANT_ID) MUTANT_COUNT };
#undef MUTANT_ID

extern enum mutant mutant_chosen;
extern uint64_t mutant_met;

#endif
