/*
 * compaction_plan.c: what is due in a state of a table: files to merge, files to push down, leaves
 * to split.
 *
 * A planner keeps, partition by partition, only figures: how many jobs are due, how many run, when
 * an assignment runs out, whether a leaf has so many rows that it matters for splitting, what lies
 * on an inner partition. A new state is compared with the last one (table_changed_partitions), and
 * partitions that differ are looked at anew; so are those whose time has come, and those whose
 * failures were or are remembered. The jobs themselves are made when they are asked for, from the
 * partitions where some are due. So a plan costs what changed and what it lists, whatever the size
 * of the table; the first one costs one walk over all references.
 *
 * Leaves with at least half the threshold's rows are kept apart: only these can be over the
 * threshold once their ancestors' files are counted, so only these walk up the tree, and only while
 * inner partitions hold files.
 *
 * Maps (base/map.h) hold all of it by partition id, with packed numbers; that keeps them ordered.
 */
#include "lsm/lsm_int.h"

#include "base/hash.h"
#include "base/map.h"

#include <stdlib.h>

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

/* ---- numbers in maps ---- */

static void set_number(struct map *map, struct slice id, uint64_t number)
{
    map_put(map, id, slice_make(&number, sizeof(number)));
}

static bool get_number(const struct map *map, struct slice id, uint64_t *out)
{
    struct slice value;
    if (!map_get(map, id, &value)) return false;
    memcpy(out, value.data, sizeof(*out));
    return true;
}

static uint64_t cursor_number(const struct map_cursor *cursor)
{
    uint64_t number;
    memcpy(&number, cursor->value.data, sizeof(number));
    return number;
}

/* ---- one partition ---- */

/* References sorted by rows, then by file. */
struct sized {
    uint64_t rows;
    const struct reference_figures *reference;
};

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

static bool is_assigned(const struct reference_figures *reference, int64_t now_ms)
{
    return reference->job.size && reference->until_ms > now_ms;
}

static bool is_free(const struct reference_figures *reference, int64_t now_ms)
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

/* Packs what no job has taken and is asked for, in batches; taken items stand in jobs already.
 * Items are moved so that each batch is one run. */
static void pack_rest(const struct compaction_rule *rule, const struct partition_work *work,
                      struct partition_jobs *out, struct arena *arena)
{
    struct sized *rest = ARENA_ARRAY(arena, struct sized, out->n_items);
    struct sized *taken = ARENA_ARRAY(arena, struct sized, out->n_items);
    size_t n_rest = 0, n_taken = 0, at = 0;
    for (size_t j = 0; j <= out->n_jobs; j++) {
        size_t end = j < out->n_jobs ? out->jobs[j].begin : out->n_items;
        for (; at < end; at++) {
            const struct reference_figures *reference = out->items[at].reference;
            if (work->rest || (work->shared && (reference->is_shared || !reference->is_exact)))
                rest[n_rest++] = out->items[at];
        }
        if (j == out->n_jobs) break;
        size_t n = out->jobs[j].end - out->jobs[j].begin;
        memcpy(&taken[n_taken], &out->items[at], n * sizeof(*taken));
        at = out->jobs[j].end;
        out->jobs[j].begin = n_taken;
        out->jobs[j].end = n_taken += n;
    }
    memcpy(&taken[n_taken], rest, n_rest * sizeof(*rest));
    for (size_t i = 0; i < n_rest; i += rule->batch) {
        size_t end = n_rest - i < rule->batch ? n_rest : i + rule->batch;
        out->jobs[out->n_jobs++] = (struct planned_job){
            n_taken + i, n_taken + end, work->rest ? COMPACT_BY_FORCE : COMPACT_TO_SPLIT};
    }
    out->items = taken;
    out->n_items = n_taken + n_rest;
}

static void find_jobs(const struct compaction_rule *rule, const struct partition_figures *partition,
                      const struct partition_work *work, int64_t now_ms, struct arena *arena,
                      struct partition_jobs *out)
{
    *out = (struct partition_jobs){.wake_ms = INT64_MAX};
    count_running(partition, now_ms, out);
    size_t n = partition->n_references;
    out->items = ARENA_ARRAY(arena, struct sized, n);
    for (size_t i = 0; i < n; i++) {
        const struct reference_figures *reference = &partition->references[i];
        if (!is_free(reference, now_ms)) continue;
        out->items[out->n_items++] = (struct sized){reference->rows, reference};
    }
    n = out->n_items;
    sort_sized(out->items, n);
    out->jobs = ARENA_ARRAY(arena, struct planned_job, n + 1);
    if (work->by_strategy && n > 1) {
        uint64_t *sizes = ARENA_ARRAY(arena, uint64_t, n);
        for (size_t i = 0; i < n; i++)
            sizes[i] = out->items[i].rows;
        struct job_range *ranges = ARENA_ARRAY(arena, struct job_range, n / 2 + 1);
        out->n_jobs = compaction_rule_apply(rule, sizes, n, out->n_running, ranges);
        for (size_t i = 0; i < out->n_jobs; i++)
            out->jobs[i] =
                (struct planned_job){ranges[i].begin, ranges[i].end, COMPACT_BY_STRATEGY};
    }
    if (work->shared || work->rest) pack_rest(rule, work, out, arena);
}

static uint64_t hash_files(const struct partition_figures *partition)
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

/* Whether the partition rests after its failures; *until_ms is then when it is looked at again. */
static bool is_resting(const struct compaction_planner *planner,
                       const struct compaction_plan_options *options,
                       const struct partition_figures *partition, int64_t *until_ms)
{
    uint64_t index;
    if (options->force || !get_number(&planner->failed, partition->id, &index)) return false;
    const struct compaction_failure *failure = &options->failures[index];
    if (failure->times < COMPACTION_FAILURES_MAX) return false;
    if (__builtin_add_overflow(failure->last_ms, REST_MS, until_ms)) *until_ms = INT64_MAX;
    return options->now_ms < *until_ms && hash_files(partition) == failure->partition_files;
}

/* What is to be taken from a leaf with these rows. */
static struct partition_work work_of(const struct compaction_planner *planner,
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
    struct arena arena; /* of one partition */
    bool rows_only;     /* no jobs are wanted */
    bool tree_changed;
    unsigned n;
};

static int look_at(void *context, const struct partition_figures *partition)
{
    struct looking *looking = context;
    struct compaction_planner *planner = looking->planner;
    looking->tree_changed |= partition->tree_changed;
    if (partition->id.size > ID_BYTES)
        return error_set(GLIS_ECORRUPT, "a partition's id is %zu bytes", partition->id.size);
    forget_partition(planner, partition->id);
    if (!partition->n_references) return 0;
    keep_rows(planner, partition);
    if (looking->rows_only) return 0;
    struct partition_work work = work_of(planner, looking->options, partition);
    if (++looking->n % 256 == 0) arena_free(&looking->arena);
    struct partition_jobs jobs;
    find_jobs(&planner->rule, partition, &work, looking->options->now_ms, &looking->arena, &jobs);
    int64_t until_ms;
    if (is_resting(planner, looking->options, partition, &until_ms)) {
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

/* Brings the figures to a state. */
static int take_state(struct compaction_planner *planner, const struct table_state *state,
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
        if (options->leaf.size)
            code = look_at_leaf(&looking, options->leaf);
        else
            code = table_each_partition(state, look_at, &looking);
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
    arena_free(&looking.arena);
    if (code < 0) forget_all(planner); /* figures of two states: begin anew next time */
    return code;
}

/* ---- inner partitions ---- */

/* Leaves below a partition, counted no further than `enough`. */
static int count_leaves(const struct table_state *state, struct slice id, uint64_t enough,
                        uint64_t *out)
{
    struct slice *stack = NULL;
    size_t n = 0, capacity = 0;
    int code = 0;
    *out = 0;
    for (;;) {
        struct partition_figures partition;
        code = table_partition_figures(state, id, NULL, &partition);
        if (code < 0 || partition.is_gone) break;
        if (!partition.is_leaf) {
            if (n == capacity) {
                capacity = capacity * 2 + 64;
                stack = memory_realloc(stack, capacity * sizeof(*stack));
            }
            stack[n++] = partition.right;
            id = partition.left;
            continue;
        }
        if (++*out >= enough || n == 0) break;
        id = stack[--n];
    }
    free(stack);
    return code;
}

/* Whether an inner partition's files go down. */
static int find_fullness(const struct compaction_planner *planner, struct slice id,
                         struct inner_figures *figures)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct partition_figures partition;
    figures->is_known = 1;
    figures->is_full = 1;
    if (planner->inner_bytes == 0) return 0;
    TRY(table_partition_figures(planner->state, id, &arena, &partition));
    double bytes = 0;
    for (size_t i = 0; i < partition.n_references; i++) {
        if (partition.references[i].is_set_aside) continue;
        struct table_file file;
        TRY(table_file(planner->state, table_figures_name(&partition.references[i], &arena), &arena,
                       &file));
        bytes += (double)file.size * (double)partition.references[i].rows /
                 (double)(file.rows ? file.rows : 1);
    }
    if (bytes >= (double)planner->inner_bytes) return 0;
    /* It is full with at most so many leaves below it. */
    double by_bytes = bytes / (double)planner->min_file_bytes;
    double by_rows = 4.0 * (double)figures->rows / (double)planner->threshold;
    double most = by_bytes > by_rows ? by_bytes : by_rows;
    uint64_t leaves, enough = most < 1e15 ? (uint64_t)most + 1 : UINT64_MAX;
    TRY(count_leaves(planner->state, id, enough, &leaves));
    figures->is_full = (double)leaves <= most;
    return 0;
}

/* All zero where nothing lies on the partition. */
static void inner_get(const struct compaction_planner *planner, struct slice id,
                      struct inner_figures *figures)
{
    struct slice value;
    *figures = (struct inner_figures){0};
    if (map_get(&planner->inner, id, &value)) memcpy(figures, value.data, sizeof(*figures));
}

/* ---- making a plan ---- */

struct planning {
    struct compaction_planner *planner;
    const struct compaction_plan_options *options;
    struct arena *arena, *scratch;
    struct compaction_plan *out;
    struct map shares;  /* partition -> rows that its files and its ancestors' bring (double) */
    struct map busy;    /* partitions whose files go down, and leaves that they reach by force */
    struct map over;    /* leaves over the threshold by estimate -> whether ancestors hold files */
    struct slice *path; /* room for a walk to the root */
};

/* The partitions from `id` up to the root, or to one for which `stop` has an entry; their number
 * in *n. Slices point into the state, but the first, which is the caller's. */
static int walk_up(struct planning *planning, struct slice id, const struct map *stop, size_t *n)
{
    if (!planning->path) planning->path = ARENA_ARRAY(planning->scratch, struct slice, DEPTH_MAX);
    for (*n = 0; id.size && !(stop && map_get(stop, id, NULL));) {
        if (*n == DEPTH_MAX) return error_set(GLIS_ECORRUPT, "the tree has a loop");
        planning->path[(*n)++] = id;
        struct partition_figures partition;
        TRY(table_partition_figures(planning->planner->state, id, NULL, &partition));
        id = partition.parent;
    }
    return 0;
}

/* Rows that lie on a partition and, halved for each level, on its ancestors: what the reference's
 * report counts. Walks up to the first partition whose share is known. */
static int find_share(struct planning *planning, struct slice id, double *out)
{
    size_t n;
    TRY(walk_up(planning, id, &planning->shares, &n));
    struct slice top = id, value;
    if (n) {
        struct partition_figures partition;
        TRY(table_partition_figures(planning->planner->state, planning->path[n - 1], NULL,
                                    &partition));
        top = partition.parent;
    }
    double share = 0;
    if (top.size && map_get(&planning->shares, top, &value))
        memcpy(&share, value.data, sizeof(share));
    while (n) {
        struct inner_figures figures;
        inner_get(planning->planner, planning->path[--n], &figures);
        share = share / 2 + (double)figures.rows;
        map_put(&planning->shares, planning->path[n], slice_make(&share, sizeof(share)));
    }
    *out = share;
    return 0;
}

/* Leaves over the threshold only by estimate. */
static int find_over(struct planning *planning)
{
    struct compaction_planner *planner = planning->planner;
    struct map_cursor cursor;
    map_cursor_first(&planner->heavy, &cursor);
    for (; cursor.valid; map_cursor_next(&cursor)) {
        uint64_t rows = cursor_number(&cursor);
        double share = 0;
        if (map_count(&planner->inner)) {
            struct partition_figures leaf;
            TRY(table_partition_figures(planner->state, cursor.key, NULL, &leaf));
            TRY(find_share(planning, leaf.parent, &share));
        }
        if (rows >= planner->threshold || (double)rows + share / 2 >= (double)planner->threshold)
            set_number(&planning->over, cursor.key, share > 0);
    }
    return 0;
}

static int lay_out_tree(struct compaction_planner *planner)
{
    if (planner->tree) return 0;
    TRY(table_tree(planner->state, &planner->tree_arena, &planner->tree));
    planner->tree_state = table_state_acquire(planner->state);
    return 0;
}

/* The tree's node of a partition: up by ids, down by nodes. */
static int find_node(struct planning *planning, struct slice id, uint32_t *out)
{
    const struct partition_tree *tree = planning->planner->tree;
    size_t n;
    TRY(walk_up(planning, id, NULL, &n));
    uint32_t at = 0;
    for (size_t i = n - 1; i-- > 0;) {
        const struct partition_node *node = &tree->nodes[at];
        ASSERT(node->left != UINT32_MAX);
        at = slice_equal(tree->nodes[node->left].id, planning->path[i]) ? node->left : node->right;
    }
    *out = at;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Leaves above which lie files that they want: those over the threshold, or the forced one. */
static int find_wanted(struct planning *planning, struct push_down_rule *rule)
{
    const struct compaction_planner *planner = planning->planner;
    const struct compaction_plan_options *options = planning->options;
    uint32_t node, *leaves = ARENA_ARRAY(planning->arena, uint32_t, map_count(&planning->over) + 1);
    struct map_cursor cursor;
    for (map_cursor_first(&planning->over, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        if (!cursor_number(&cursor)) continue;
        TRY(find_node(planning, cursor.key, &node));
        leaves[rule->n_wanted_leaves++] = planner->tree->nodes[node].first_leaf;
    }
    if (options->force && options->leaf.size) {
        TRY(find_node(planning, options->leaf, &node));
        leaves[rule->n_wanted_leaves++] = planner->tree->nodes[node].first_leaf;
    }
    qsort(leaves, rule->n_wanted_leaves, sizeof(*leaves), compare_numbers);
    rule->wanted_leaves = leaves;
    rule->everything = options->force && !options->leaf.size;
    return 0;
}

struct push_list {
    struct reference_move *items;
    size_t n, capacity;
};

static int push_partition(struct planning *planning, const struct push_down_rule *rule,
                          struct slice id, bool is_full, struct push_list *list)
{
    struct compaction_planner *planner = planning->planner;
    struct partition_figures partition;
    TRY(table_partition_figures(planner->state, id, planning->scratch, &partition));
    struct reference_figures *free_ones =
        ARENA_ARRAY(planning->scratch, struct reference_figures, partition.n_references);
    size_t n = 0, n_moves = 0;
    for (size_t i = 0; i < partition.n_references; i++)
        if (is_free(&partition.references[i], planning->options->now_ms))
            free_ones[n++] = partition.references[i];
    if (!n) return 0;
    if (list->n + n > list->capacity) {
        list->capacity = list->capacity * 2 + n;
        list->items = memory_realloc(list->items, list->capacity * sizeof(*list->items));
    }
    uint32_t node;
    TRY(find_node(planning, id, &node));
    TRY(push_down_plan(rule, node, is_full, free_ones, n, planning->arena, list->items + list->n,
                       &n_moves));
    if (n_moves) map_put(&planning->busy, id, SLICE_EMPTY);
    for (size_t i = list->n; planning->options->force && i < list->n + n_moves; i++)
        for (size_t r = 0; r < list->items[i].n_to; r++)
            map_put(&planning->busy, list->items[i].to[r].partition, SLICE_EMPTY);
    list->n += n_moves;
    return 0;
}

/* Whether a leaf wants files of its ancestors, so that all inner partitions are asked. */
static bool some_want(const struct planning *planning)
{
    if (planning->options->force) return true;
    struct map_cursor cursor;
    for (map_cursor_first(&planning->over, &cursor); cursor.valid; map_cursor_next(&cursor))
        if (cursor_number(&cursor)) return true;
    return false;
}

static int find_push_downs(struct planning *planning, struct push_list *list)
{
    struct compaction_planner *planner = planning->planner;
    struct push_down_rule rule = {
        .state = planner->state,
        .min_bytes = planner->min_file_bytes,
        .estimate = planning->options->estimate,
        .estimate_context = planning->options->estimate_context,
    };
    bool wanted = some_want(planning), is_laid_out = false;
    struct map inner;
    map_clone(&inner, &planner->inner); /* fullness is noted in it meanwhile */
    struct map_cursor cursor;
    int code = 0;
    map_cursor_first(&inner, &cursor);
    for (; code == 0 && cursor.valid; map_cursor_next(&cursor)) {
        struct inner_figures figures;
        memcpy(&figures, cursor.value.data, sizeof(figures));
        if (!figures.is_known && !planning->options->leaf.size) {
            code = find_fullness(planner, cursor.key, &figures);
            map_put(&planner->inner, cursor.key, slice_make(&figures, sizeof(figures)));
        }
        if (code < 0 || !(figures.is_full || wanted)) continue;
        if (!is_laid_out) {
            code = lay_out_tree(planner);
            rule.tree = planner->tree;
            if (code == 0) code = find_wanted(planning, &rule);
            is_laid_out = true;
        }
        if (code == 0) code = push_partition(planning, &rule, cursor.key, figures.is_full, list);
    }
    map_free(&inner);
    return code;
}

/* Chooses k of n in one pass, each set as likely as another. */
struct chooser {
    uint64_t n_left, k_left, seed;
};

static bool choose(struct chooser *chooser)
{
    uint64_t n = chooser->n_left--;
    if (n <= chooser->k_left) {
        if (chooser->k_left) chooser->k_left--;
        return n > 0;
    }
    chooser->seed = hash_xxh3_64_seeded(&n, sizeof(n), chooser->seed);
    if ((uint64_t)((unsigned __int128)chooser->seed * n >> 64) >= chooser->k_left) return false;
    chooser->k_left--;
    return true;
}

struct job_list {
    struct compaction_job *items;
    size_t n, capacity;
};

static void add_job(struct planning *planning, const struct partition_figures *partition,
                    const struct partition_jobs *jobs, const struct planned_job *job,
                    struct job_list *list)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->items = memory_realloc(list->items, list->capacity * sizeof(*list->items));
    }
    size_t n = job->end - job->begin;
    struct slice *files = ARENA_ARRAY(planning->arena, struct slice, n);
    uint64_t rows = 0;
    for (size_t i = 0; i < n; i++) {
        const struct sized *item = &jobs->items[job->begin + i];
        files[i] = table_figures_name(item->reference, planning->arena);
        if (__builtin_add_overflow(rows, item->rows, &rows)) rows = UINT64_MAX;
    }
    list->items[list->n++] = (struct compaction_job){
        .partition = partition->id,
        .is_leaf = partition->is_leaf,
        .reason = job->reason,
        .files = files,
        .n_files = n,
        .rows = rows,
        .partition_files = hash_files(partition),
    };
}

/* The chosen jobs of one partition where `n_due` are due. */
static int list_partition(struct planning *planning, struct slice id, uint64_t n_due,
                          struct chooser *chooser, struct job_list *list)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct partition_figures partition = {0};
    struct partition_jobs jobs = {0};
    for (uint64_t i = 0; i < n_due; i++) {
        if (!choose(chooser)) continue;
        if (!jobs.items) {
            TRY(table_partition_figures(planning->planner->state, id, &arena, &partition));
            struct partition_work work = work_of(planning->planner, planning->options, &partition);
            find_jobs(&planning->planner->rule, &partition, &work, planning->options->now_ms,
                      &arena, &jobs);
        }
        if (i < jobs.n_jobs) add_job(planning, &partition, &jobs, &jobs.jobs[i], list);
    }
    return 0;
}

/* Shared files of leaves that are over the threshold only with their ancestors' files: due once
 * those have come down, which is when none go down any more. */
static int list_over(struct planning *planning, struct chooser *chooser, struct job_list *list)
{
    struct compaction_planner *planner = planning->planner;
    struct map_cursor cursor;
    for (map_cursor_first(&planning->over, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        uint64_t rows;
        if (get_number(&planner->heavy, cursor.key, &rows) && rows >= planner->threshold) continue;
        if (planning->out->n_push_downs || planning->options->force) return 0;
        defer_arena struct arena arena = ARENA_EMPTY;
        struct partition_figures partition;
        struct partition_jobs jobs;
        int64_t until_ms;
        TRY(table_partition_figures(planner->state, cursor.key, &arena, &partition));
        if (is_resting(planner, planning->options, &partition, &until_ms)) continue;
        const struct partition_work work = {.by_strategy = true, .shared = true};
        find_jobs(&planner->rule, &partition, &work, planning->options->now_ms, &arena, &jobs);
        for (size_t i = 0; i < jobs.n_jobs; i++) {
            if (jobs.jobs[i].reason != COMPACT_TO_SPLIT || !chooser->k_left) continue;
            chooser->k_left--;
            planning->out->n_jobs_due++;
            add_job(planning, &partition, &jobs, &jobs.jobs[i], list);
        }
    }
    return 0;
}

static int list_jobs(struct planning *planning, struct job_list *list, struct job_list *more)
{
    struct compaction_planner *planner = planning->planner;
    uint64_t limit = planner->limit > planner->n_running ? planner->limit - planner->n_running : 0;
    if (planning->options->max_jobs && planning->options->max_jobs < limit)
        limit = planning->options->max_jobs;
    uint64_t n_due = planner->n_due, n;
    struct map_cursor cursor;
    for (map_cursor_first(&planning->busy, &cursor); cursor.valid; map_cursor_next(&cursor))
        if (get_number(&planner->due, cursor.key, &n)) n_due -= n;
    struct chooser chooser = {n_due, limit, planning->options->seed};
    planning->out->n_jobs_due = n_due;
    TRY(list_over(planning, &chooser, more));
    for (map_cursor_first(&planner->due, &cursor); cursor.valid && chooser.k_left;
         map_cursor_next(&cursor)) {
        if (map_get(&planning->busy, cursor.key, NULL)) continue;
        TRY(list_partition(planning, cursor.key, cursor_number(&cursor), &chooser, list));
    }
    return 0;
}

static void list_splits(struct planning *planning)
{
    const struct map *splits = &planning->planner->splits;
    struct split_candidate *out =
        ARENA_ARRAY(planning->arena, struct split_candidate, map_count(splits));
    planning->out->splits = out;
    struct map_cursor cursor;
    for (map_cursor_first(splits, &cursor); cursor.valid; map_cursor_next(&cursor))
        out[planning->out->n_splits++] = (struct split_candidate){
            arena_copy(planning->arena, cursor.key), cursor_number(&cursor)};
}

/* Two lists by partition become one; in a partition the first one's jobs come first. */
static void join_jobs(struct planning *planning, const struct job_list *a, const struct job_list *b)
{
    struct compaction_job *out = ARENA_ARRAY(planning->arena, struct compaction_job, a->n + b->n);
    size_t i = 0, j = 0;
    planning->out->jobs = out;
    planning->out->n_jobs = a->n + b->n;
    while (i < a->n || j < b->n) {
        bool first = j == b->n ||
                     (i < a->n && slice_compare(a->items[i].partition, b->items[j].partition) <= 0);
        *out++ = first ? a->items[i++] : b->items[j++];
    }
}

static int make_plan(struct planning *planning)
{
    struct push_list pushes = {0};
    struct job_list jobs = {0}, more = {0};
    struct compaction_plan *out = planning->out;
    int code = find_over(planning);
    if (code == 0) code = find_push_downs(planning, &pushes);
    out->n_push_downs = pushes.n;
    if (code == 0) code = list_jobs(planning, &jobs, &more);
    if (code == 0) {
        struct reference_move *push_downs =
            ARENA_ARRAY(planning->arena, struct reference_move, pushes.n);
        if (pushes.n) memcpy(push_downs, pushes.items, pushes.n * sizeof(*push_downs));
        out->push_downs = push_downs;
        join_jobs(planning, &jobs, &more);
        list_splits(planning);
    }
    free(pushes.items);
    free(jobs.items);
    free(more.items);
    map_free(&planning->shares);
    map_free(&planning->busy);
    map_free(&planning->over);
    return code;
}

int compaction_planner_plan(struct compaction_planner *planner, const struct table_state *state,
                            const struct compaction_plan_options *options, struct arena *arena,
                            struct compaction_plan *out)
{
    *out = (struct compaction_plan){0};
    if (options->force || options->leaf.size) return compaction_plan(state, options, arena, out);
    TRY(take_state(planner, state, options));
    defer_arena struct arena scratch = ARENA_EMPTY;
    struct planning planning = {
        .planner = planner, .options = options, .arena = arena, .scratch = &scratch, .out = out};
    out->n_jobs_running = planner->n_running;
    return make_plan(&planning);
}

int compaction_plan(const struct table_state *state, const struct compaction_plan_options *options,
                    struct arena *arena, struct compaction_plan *out)
{
    *out = (struct compaction_plan){0};
    struct compaction_planner *planner = compaction_planner_new();
    defer_arena struct arena scratch = ARENA_EMPTY;
    struct planning planning = {
        .planner = planner, .options = options, .arena = arena, .scratch = &scratch, .out = out};
    int code = take_state(planner, state, options);
    out->n_jobs_running = planner->n_running;
    if (code == 0) code = make_plan(&planning);
    compaction_planner_free(planner);
    return code;
}
