/*
 * compaction_figures.c: what a planner remembers of each partition of a table, and how it keeps up
 * with new states.
 *
 * Partition by partition only figures are kept: how many jobs are due, how many run, when an
 * assignment runs out, whether a leaf has so many rows that it matters for splitting, what lies on
 * an inner partition. A new state is compared with the last one (table_changed_partitions), and
 * partitions that differ are looked at anew; so are those whose time has come, and those whose
 * failures were or are remembered. The first state costs one walk over all references.
 *
 * Maps (base/map.h) hold all of it by partition id, with packed numbers; that keeps them ordered.
 */
#include "lsm/compaction_int.h"

#include "base/hash.h"

#include <stdlib.h>

/* ---- one partition ---- */

static int compare_sized(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;
    if (x->rows != y->rows) return x->rows < y->rows ? -1 : 1;
    return x->reference < y->reference ? -1 : x->reference > y->reference;
}

static void sort_sized(struct sized *items, size_t n)
{
    if (n > 16) {
        qsort(items, n, sizeof(*items), compare_sized);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct sized item = items[i];
        size_t at = i;
        for (; at && items[at - 1].rows > item.rows; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

static bool is_assigned(const struct reference_figures *reference, int64_t now_ms)
{
    return reference->job.size && reference->until_ms > now_ms;
}

bool reference_is_free(const struct reference_figures *reference, int64_t now_ms)
{
    return !reference->is_set_aside && !is_assigned(reference, now_ms);
}

/* Jobs that run, each counted at its first reference; quadratic only in what runs at once. */
static void count_running(const struct partition_figures *partition, int64_t now_ms,
                          struct partition_jobs *out)
{
    for (size_t i = 0; i < partition->n_references; i++) {
        const struct reference_figures *reference = &partition->references[i];
        if (!is_assigned(reference, now_ms)) continue;
        if (reference->until_ms < out->wake_ms) out->wake_ms = reference->until_ms;
        bool is_first = true;
        for (size_t j = 0; is_first && j < i; j++)
            is_first = !is_assigned(&partition->references[j], now_ms) ||
                       !slice_equal(partition->references[j].job, reference->job);
        out->n_running += is_first;
    }
}

void job_room_free(struct job_room *room)
{
    free(room->bytes);
    *room = (struct job_room){0};
}

/* What lies in the room of a partition with n references. */
struct job_arrays {
    struct sized *items, *taken, *rest; /* n each; rest comes behind taken */
    struct planned_job *jobs;           /* n + 1 */
    struct job_range *ranges;           /* n / 2 + 1 */
    uint64_t *sizes;                    /* n */
};

static struct job_arrays lay_out(struct job_room *room, size_t n)
{
    size_t needed = 3 * n * sizeof(struct sized) + (n + 1) * sizeof(struct planned_job) +
                    (n / 2 + 1) * sizeof(struct job_range) + n * sizeof(uint64_t);
    if (needed > room->capacity) {
        room->capacity = needed * 2;
        free(room->bytes);
        room->bytes = memory_alloc(room->capacity);
    }
    struct job_arrays arrays;
    arrays.items = (struct sized *)room->bytes;
    arrays.taken = arrays.items + n;
    arrays.rest = arrays.taken + n;
    arrays.jobs = (struct planned_job *)(arrays.rest + n);
    arrays.ranges = (struct job_range *)(arrays.jobs + n + 1);
    arrays.sizes = (uint64_t *)(arrays.ranges + n / 2 + 1);
    return arrays;
}

/* Packs what no job has taken and is asked for, in batches; taken items stand in jobs already.
 * Items are moved so that each batch is one run. */
static void pack_rest(const struct compaction_rule *rule, const struct partition_work *work,
                      const struct job_arrays *arrays, struct partition_jobs *out)
{
    size_t n_rest = 0, n_taken = 0, at = 0;
    for (size_t j = 0; j <= out->n_jobs; j++) {
        size_t end = j < out->n_jobs ? out->jobs[j].begin : out->n_items;
        for (; at < end; at++) {
            const struct reference_figures *reference = out->items[at].reference;
            if (work->rest || (work->shared && (reference->is_shared || !reference->is_exact)))
                arrays->rest[n_rest++] = out->items[at];
        }
        if (j == out->n_jobs) break;
        size_t n = out->jobs[j].end - out->jobs[j].begin;
        memcpy(&arrays->taken[n_taken], &out->items[at], n * sizeof(*arrays->taken));
        at = out->jobs[j].end;
        out->jobs[j].begin = n_taken;
        out->jobs[j].end = n_taken += n;
    }
    memmove(&arrays->taken[n_taken], arrays->rest, n_rest * sizeof(*arrays->rest));
    for (size_t i = 0; i < n_rest; i += rule->batch) {
        size_t end = n_rest - i < rule->batch ? n_rest : i + rule->batch;
        out->jobs[out->n_jobs++] = (struct planned_job){
            n_taken + i, n_taken + end, work->rest ? COMPACT_BY_FORCE : COMPACT_TO_SPLIT};
    }
    out->items = arrays->taken;
    out->n_items = n_taken + n_rest;
}

void partition_find_jobs(const struct compaction_rule *rule,
                         const struct partition_figures *partition,
                         const struct partition_work *work, int64_t now_ms, struct job_room *room,
                         struct partition_jobs *out)
{
    size_t n = partition->n_references, n_items = 0;
    struct job_arrays arrays = lay_out(room, n);
    *out =
        (struct partition_jobs){.items = arrays.items, .jobs = arrays.jobs, .wake_ms = INT64_MAX};
    count_running(partition, now_ms, out);
    for (size_t i = 0; i < n; i++) {
        const struct reference_figures *reference = &partition->references[i];
        if (reference_is_free(reference, now_ms))
            arrays.items[n_items++] = (struct sized){reference->rows, reference};
    }
    out->n_items = n_items;
    sort_sized(arrays.items, n_items);
    if (work->by_strategy && n_items > 1) {
        for (size_t i = 0; i < n_items; i++)
            arrays.sizes[i] = arrays.items[i].rows;
        out->n_jobs =
            compaction_rule_apply(rule, arrays.sizes, n_items, out->n_running, arrays.ranges);
        for (size_t i = 0; i < out->n_jobs; i++)
            arrays.jobs[i] = (struct planned_job){arrays.ranges[i].begin, arrays.ranges[i].end,
                                                  COMPACT_BY_STRATEGY};
    }
    if (work->shared || work->rest) pack_rest(rule, work, &arrays, out);
}

uint64_t partition_hash_files(const struct partition_figures *partition)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < partition->n_references; i++) {
        struct slice file = partition->references[i].file;
        hash = hash_xxh3_64_seeded(file.data, file.size, hash);
    }
    return hash;
}

/* ---- keeping figures ---- */

static void forget_partition(struct compaction_planner *planner, struct slice id)
{
    uint64_t number;
    if (get_number(&planner->due, id, &number)) {
        planner->n_due -= number;
        map_remove(&planner->due, id);
    }
    if (get_number(&planner->running, id, &number)) {
        planner->n_running -= number;
        map_remove(&planner->running, id);
    }
    if (get_number(&planner->wake_of, id, &number)) {
        uint8_t key[8 + ID_BYTES];
        uint64_t big = __builtin_bswap64(number);
        memcpy(key, &big, 8);
        memcpy(key + 8, id.data, id.size);
        map_remove(&planner->wakes, slice_make(key, 8 + id.size));
        map_remove(&planner->wake_of, id);
    }
    map_remove(&planner->splits, id);
    map_remove(&planner->heavy, id);
    map_remove(&planner->inner, id);
}

static void wake_at(struct compaction_planner *planner, struct slice id, int64_t time_ms)
{
    uint8_t key[8 + ID_BYTES];
    uint64_t big = __builtin_bswap64((uint64_t)time_ms);
    memcpy(key, &big, 8);
    memcpy(key + 8, id.data, id.size);
    map_put(&planner->wakes, slice_make(key, 8 + id.size), SLICE_EMPTY);
    set_number(&planner->wake_of, id, (uint64_t)time_ms);
}

bool partition_is_resting(const struct compaction_planner *planner,
                          const struct compaction_plan_options *options,
                          const struct partition_figures *partition, int64_t *until_ms)
{
    uint64_t index;
    if (options->force || !get_number(&planner->failed, partition->id, &index)) return false;
    const struct compaction_failure *failure = &options->failures[index];
    if (failure->times < COMPACTION_FAILURES_MAX) return false;
    if (__builtin_add_overflow(failure->last_ms, REST_MS, until_ms)) *until_ms = INT64_MAX;
    return options->now_ms < *until_ms &&
           partition_hash_files(partition) == failure->partition_files;
}

struct partition_work partition_work(const struct compaction_planner *planner,
                                     const struct compaction_plan_options *options,
                                     const struct partition_figures *partition)
{
    struct partition_work work = {.by_strategy = true};
    uint64_t rows;
    if (!partition->is_leaf) return work;
    work.rest = options->force;
    work.shared = get_number(&planner->heavy, partition->id, &rows) && rows >= planner->threshold;
    return work;
}

static void keep_rows(struct compaction_planner *planner, const struct partition_figures *partition)
{
    uint64_t rows = 0, exact = 0;
    for (size_t i = 0; i < partition->n_references; i++) {
        const struct reference_figures *reference = &partition->references[i];
        if (reference->is_set_aside) continue;
        if (__builtin_add_overflow(rows, reference->rows, &rows)) rows = UINT64_MAX;
        if (reference->is_exact && !reference->is_shared &&
            __builtin_add_overflow(exact, reference->rows, &exact))
            exact = UINT64_MAX;
    }
    if (!partition->is_leaf) {
        struct inner_figures figures = {.rows = rows};
        map_put(&planner->inner, partition->id, slice_make(&figures, sizeof(figures)));
    } else if (exact >= planner->threshold) {
        set_number(&planner->splits, partition->id, exact);
    } else if (rows >= planner->threshold / 2) {
        set_number(&planner->heavy, partition->id, rows);
    }
}

struct looking {
    struct compaction_planner *planner;
    const struct compaction_plan_options *options;
    struct job_room room;
    bool is_first;  /* nothing is known yet */
    bool rows_only; /* no jobs are wanted */
    bool tree_changed;
};

static int look_at(void *context, const struct partition_figures *partition)
{
    struct looking *looking = context;
    struct compaction_planner *planner = looking->planner;
    looking->tree_changed |= partition->tree_changed;
    if (partition->id.size > ID_BYTES)
        return error_set(GLIS_ECORRUPT, "a partition's id is %zu bytes", partition->id.size);
    if (!looking->is_first) forget_partition(planner, partition->id);
    if (!partition->n_references) return 0;
    keep_rows(planner, partition);
    if (looking->rows_only) return 0;
    struct partition_work work = partition_work(planner, looking->options, partition);
    struct partition_jobs jobs;
    partition_find_jobs(&planner->rule, partition, &work, looking->options->now_ms, &looking->room,
                        &jobs);
    int64_t until_ms;
    if (partition_is_resting(planner, looking->options, partition, &until_ms)) {
        jobs.n_jobs = 0;
        if (until_ms < jobs.wake_ms) jobs.wake_ms = until_ms;
    }
    if (jobs.n_jobs) set_number(&planner->due, partition->id, jobs.n_jobs);
    if (jobs.n_running) set_number(&planner->running, partition->id, jobs.n_running);
    if (jobs.wake_ms != INT64_MAX) wake_at(planner, partition->id, jobs.wake_ms);
    planner->n_due += jobs.n_jobs;
    planner->n_running += jobs.n_running;
    return 0;
}

static int look_again(struct looking *looking, struct slice id)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct partition_figures partition;
    if (id.size > ID_BYTES) return 0;
    id = arena_copy(&arena, id); /* may lie in a map that changes */
    TRY(table_partition_figures(looking->planner->state, id, &arena, &partition));
    return look_at(looking, &partition);
}

/* Those that failed by now and those that were remembered before. */
static int look_at_failures(struct looking *looking)
{
    struct compaction_planner *planner = looking->planner;
    const struct compaction_plan_options *options = looking->options;
    struct map before = planner->failed;
    planner->failed = (struct map){0};
    for (size_t i = 0; i < options->n_failures; i++)
        set_number(&planner->failed, options->failures[i].partition, i);
    int code = 0;
    struct map_cursor cursor;
    for (map_cursor_first(&before, &cursor); code == 0 && cursor.valid; map_cursor_next(&cursor))
        code = look_again(looking, cursor.key);
    map_free(&before);
    for (size_t i = 0; code == 0 && i < options->n_failures; i++)
        code = look_again(looking, options->failures[i].partition);
    return code;
}

static int look_at_woken(struct looking *looking)
{
    struct compaction_planner *planner = looking->planner;
    for (;;) {
        struct map_cursor cursor;
        uint64_t big;
        map_cursor_first(&planner->wakes, &cursor);
        if (!cursor.valid) return 0;
        memcpy(&big, cursor.key.data, 8);
        if ((int64_t)__builtin_bswap64(big) > looking->options->now_ms) return 0;
        TRY(look_again(looking, slice_part(cursor.key, 8, cursor.key.size)));
    }
}

/* ---- a planner's life ---- */

static void forget_all(struct compaction_planner *planner)
{
    struct map *maps[] = {&planner->due,    &planner->running, &planner->wakes, &planner->wake_of,
                          &planner->splits, &planner->heavy,   &planner->inner, &planner->failed};
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
        map_free(maps[i]);
    planner->n_due = planner->n_running = 0;
    table_state_release(planner->state);
    planner->state = NULL;
}

static void forget_tree(struct compaction_planner *planner)
{
    arena_free(&planner->tree_arena);
    table_state_release(planner->tree_state);
    planner->tree_state = NULL;
    planner->tree = NULL;
}

struct compaction_planner *compaction_planner_new(void)
{
    return memory_alloc_zero(sizeof(struct compaction_planner));
}

void compaction_planner_free(struct compaction_planner *planner)
{
    if (!planner) return;
    forget_all(planner);
    forget_tree(planner);
    free(planner);
}

static void read_settings(struct compaction_planner *planner, const struct table_state *state)
{
    planner->rule = (struct compaction_rule){
        .is_size_ratio = table_state_number(state, PROPERTY_TABLE_COMPACTION_STRATEGY) == 0,
        .batch = (uint64_t)table_state_number(state, PROPERTY_TABLE_COMPACTION_FILES),
        .ratio = (uint64_t)table_state_number(state, PROPERTY_TABLE_COMPACTION_RATIO),
        .concurrent = (uint64_t)table_state_number(state, PROPERTY_TABLE_COMPACTION_CONCURRENT),
    };
    planner->limit = (uint64_t)table_state_number(state, PROPERTY_TABLE_COMPACTION_LIMIT);
    planner->threshold = (uint64_t)table_state_number(state, PROPERTY_TABLE_SPLIT_THRESHOLD);
    planner->inner_bytes = (uint64_t)table_state_number(state, PROPERTY_TABLE_INNER_BYTES);
    planner->min_file_bytes =
        (uint64_t)table_state_number(state, PROPERTY_TABLE_INGEST_MIN_FILE_BYTES);
}

/* Whether each inner partition is full is asked again: the leaves below may be others. */
static void forget_fullness(struct compaction_planner *planner)
{
    struct map kept = {0};
    struct map_cursor cursor;
    for (map_cursor_first(&planner->inner, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        struct inner_figures figures;
        memcpy(&figures, cursor.value.data, sizeof(figures));
        figures.is_known = 0;
        map_put(&kept, cursor.key, slice_make(&figures, sizeof(figures)));
    }
    map_free(&planner->inner);
    planner->inner = kept;
}

/* One leaf alone; of its ancestors what lies on them. */
static int look_at_leaf(struct looking *looking, struct slice id)
{
    struct partition_figures partition;
    TRY(table_partition_figures(looking->planner->state, id, NULL, &partition));
    if (partition.is_gone || !partition.is_leaf)
        return error_set(GLIS_ENOTFOUND, "the table has no leaf '%.*s'",
                         SLICE_PRINT(slice_part(id, 0, ID_BYTES)));
    TRY(look_again(looking, id));
    looking->rows_only = true;
    for (size_t depth = 0; partition.parent.size; depth++) {
        if (depth == DEPTH_MAX) return error_set(GLIS_ECORRUPT, "the tree has a loop");
        id = partition.parent;
        TRY(look_again(looking, id));
        TRY(table_partition_figures(looking->planner->state, id, NULL, &partition));
    }
    return 0;
}

int planner_take_state(struct compaction_planner *planner, const struct table_state *state,
                       const struct compaction_plan_options *options)
{
    const struct table_state *before = planner->state;
    struct looking looking = {.planner = planner, .options = options};
    bool anew = !before || table_state_version(before) != table_state_version(state) ||
                table_state_generation(before) != table_state_generation(state);
    int code = 0;
    if (anew) {
        forget_all(planner);
        forget_tree(planner);
        read_settings(planner, state);
        for (size_t i = 0; i < options->n_failures; i++)
            set_number(&planner->failed, options->failures[i].partition, i);
        planner->state = table_state_acquire(state);
        looking.is_first = true;
        if (options->leaf.size)
            code = look_at_leaf(&looking, options->leaf);
        else
            code = table_each_partition(state, look_at, &looking);
        looking.is_first = false;
    } else {
        planner->state = table_state_acquire(state);
        code = look_at_failures(&looking);
        if (code == 0) code = table_changed_partitions(before, state, look_at, &looking);
        table_state_release(before);
        if (looking.tree_changed) {
            forget_tree(planner);
            forget_fullness(planner);
        }
    }
    if (code == 0) code = look_at_woken(&looking);
    job_room_free(&looking.room);
    if (code < 0) forget_all(planner); /* figures of two states: begin anew next time */
    return code;
}
