/*
 * mutants.h: the rules that can be broken one at a time (base/mutant.h), and where each is kept.
 * The names of the log's are those of the protocol's model.
 */
#ifndef GLIS_TESTS_SIM_MUTANTS_H
#define GLIS_TESTS_SIM_MUTANTS_H

#include <stdint.h>

/* X(name, kind of world that shows it, file, what is done instead) */
#define MUTANTS(X)                                                                               \
    X(look_after_put, log, "log_commit.c", "a created record counts as committed")               \
    X(look_after_put_not_before, log, "log_commit.c", "the marker is looked for before the put") \
    X(look_after_read, log, "log_read.c", "not found is taken for the end of the log")           \
    X(look_after_read_not_before, log, "log_read.c", "the marker is looked for, then read")      \
    X(look_at_first_block, log, "log_read.c", "the block of the last slot read is looked at")    \
    X(first_not_found_ends, log, "log_read.c", "what lies behind a hole is applied")             \
    X(snapshot_confirmed, log, "log_snapshot.c", "an unknown put of a snapshot counts as done")  \
    X(marker_before_delete, log, "log_trim.c", "records go before the marker is put")            \
    X(marker_confirmed, log, "log_trim.c", "an unknown put of a marker counts as done")          \
    X(ascending_markers, log, "log_trim.c", "markers are put from the last block down")          \
    X(snapshot_before_marker, log, "log_trim.c", "a block is marked that no snapshot covers")    \
    X(keep_newest_snapshot, log, "log_trim.c", "any snapshot may be deleted")                    \
    X(read_back_own_id, log, "log_commit.c", "a record in the slot is taken for another's")      \
    X(same_record_again, log, "log_commit.c", "after unknown a new record is put")               \
    X(trimmed_means_unknown, log, "log_commit.c", "marker after the put: done once more")        \
    X(doubt_until_look, log, "log_commit.c", "another's record in the slot ends the doubt")      \
    X(false_once_applied, log, "the machine", "a transaction has no condition of its own")       \
    X(drop_marks_its_own_block, log, "log_end.c", "a drop deletes a block that it did not mark") \
    X(publish_after_commit, log, "log_commit.c", "a state is shown before its record is put")    \
    X(snapshot_after_commit, log, "log_commit.c", "a snapshot before its record is put")         \
    X(broken_means_doubt, log, "log_commit.c", "a put that broke counts as not done")            \
    X(refusal_of_a_fresh_state, log, "log_commit.c", "an old state's refusal is reported")       \
    X(dependents_wait, log, "log_commit.c", "already done, by a record that is not there yet")   \
    X(time_never_decreases, log, "log_commit.c", "a record's time is its writer's clock")        \
    X(deadline_in_doubt, log, "log_commit.c", "a deadline in doubt means: did not happen")       \
    X(clock_is_checked, log, "log_commit.c", "who writes need not know the time")                \
    X(body_confirmed, log, "log_commit.c", "an unknown put of a body counts as done")            \
    X(body_horizon, log, "the machine", "bodies begun below the horizon are taken")              \
    X(list_after_marker, log, "log_snapshot.c", "after a marker the hint is believed")           \
    X(put_retried_by_transport, log, "the transport", "a conditional put is repeated")

#define MUTANT_ID(name, kind, where, what) MUTANT_##name,
enum mutant { MUTANT_NONE, MUTANTS(MUTANT_ID) MUTANT_COUNT };
#undef MUTANT_ID

extern enum mutant mutant_chosen;
extern uint64_t mutant_met;

#endif
