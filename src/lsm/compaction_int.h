/*
 * compaction_int.h: what the files of the planner share.
 *
 *   compaction_rule.c      the strategies, on sizes alone (lsm_int.h)
 *   compaction_figures.c   what a planner remembers of each partition, kept up with states
 *   compaction_plan.c      a plan made of these figures
 *   push_down.c            where the files of an inner partition go (lsm_int.h)
 */
#ifndef GLIS_LSM_COMPACTION_INT_H
#define GLIS_LSM_COMPACTION_INT_H

#include "lsm/lsm_int.h"

#include "base/map.h"

enum { REST_MS = 24 * 3600 * 1000, ID_BYTES = 64, DEPTH_MAX = 10001 };

struct inner_figures {
    uint64_t rows; /* of all references */
    uint64_t is_full, is_known;
};

struct compaction_planner {
    const struct table_state *state; /* of the last plan; NULL: none yet */
    struct compaction_rule rule;
    uint64_t limit, threshold, inner_bytes, min_file_bytes;
    struct map due;     /* partition -> jobs due */
    struct map running; /* partition -> jobs that run */
    struct map wakes;   /* time, 8 bytes big-endian, partition -> nothing */
    struct map wake_of; /* partition -> that time */
    struct map splits;  /* leaf -> exact rows inside, at the threshold or over */
    struct map heavy;   /* other leaf with half the threshold's rows or more -> rows */
    struct map inner;   /* inner partition with references -> struct inner_figures */
    struct map failed;  /* partition -> index into options->failures */
    uint64_t n_due, n_running;
    /* Laid out when files go down; kept while the tree is the same. */
    struct arena tree_arena;
    const struct table_state *tree_state;
    const struct partition_tree *tree;
};

/* References sorted by rows, then by file. */
struct sized {
    uint64_t rows;
    const struct reference_figures *reference;
};

/* What a partition gives: its free references in order, and runs of them that are jobs. Whatever a
 * strategy leaves is packed behind the others when it is asked for. */
struct partition_jobs {
    struct sized *items;
    size_t n_items;
    struct planned_job {
        size_t begin, end;
        enum compaction_reason reason;
    } * jobs;
    size_t n_jobs;
    uint64_t n_running;
    int64_t wake_ms; /* INT64_MAX: never */
};

struct partition_work {
    bool by_strategy, shared, rest; /* which files are taken */
};

/* Numbers in maps. */
static inline void set_number(struct map *map, struct slice id, uint64_t number)
{
    map_put(map, id, slice_make(&number, sizeof(number)));
}

static inline bool get_number(const struct map *map, struct slice id, uint64_t *out)
{
    struct slice value;
    if (!map_get(map, id, &value)) return false;
    memcpy(out, value.data, sizeof(*out));
    return true;
}

static inline uint64_t cursor_number(const struct map_cursor *cursor)
{
    uint64_t number;
    memcpy(&number, cursor->value.data, sizeof(number));
    return number;
}

/* No living job has the reference, and it was not set aside. */
bool reference_is_free(const struct reference_figures *reference, int64_t now_ms);
/* Room for the jobs of one partition, used again and again. */
struct job_room {
    uint8_t *bytes;
    size_t capacity;
};
void job_room_free(struct job_room *room);
/* The jobs of one partition; they lie in the room until it is next used. */
void partition_find_jobs(const struct compaction_rule *rule,
                         const struct partition_figures *partition,
                         const struct partition_work *work, int64_t now_ms, struct job_room *room,
                         struct partition_jobs *out);
/* What is to be taken from a partition whose rows are kept. */
struct partition_work partition_work(const struct compaction_planner *planner,
                                     const struct compaction_plan_options *options,
                                     const struct partition_figures *partition);
/* Whether the partition rests after its failures; *until_ms is then when it is looked at again. */
bool partition_is_resting(const struct compaction_planner *planner,
                          const struct compaction_plan_options *options,
                          const struct partition_figures *partition, int64_t *until_ms);
/* A hash of the names of all files of a partition. */
uint64_t partition_hash_files(const struct partition_figures *partition);
/* Brings the figures to a state; after a failure the planner knows nothing. */
int planner_take_state(struct compaction_planner *planner, const struct table_state *state,
                       const struct compaction_plan_options *options) GLIS_CHECKED;

#endif
