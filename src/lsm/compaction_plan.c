/*
 * compaction_plan.c: what is due in a state of a table: files to merge, files to push down, leaves
 * to split.
 *
 * A plan is made from the figures that a planner keeps (compaction_figures.c). The jobs themselves
 * are made when they are listed, from the partitions where some are due; so a plan costs what
 * changed since the last one and what it lists, whatever the size of the table.
 *
 * Leaves with at least half the threshold's rows are kept apart: only these can be over the
 * threshold once their ancestors' files are counted, so only these walk up the tree, and only while
 * inner partitions hold files.
 *
 * The tree is laid out (table_tree) only when files go down, and kept while it is the same.
 */
#include "lsm/compaction_int.h"

#include "base/hash.h"

#include <stdlib.h>

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
    struct job_room room;
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
        if (reference_is_free(&partition.references[i], planning->options->now_ms))
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
        .partition_files = partition_hash_files(partition),
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
            struct partition_work work =
                partition_work(planning->planner, planning->options, &partition);
            partition_find_jobs(&planning->planner->rule, &partition, &work,
                                planning->options->now_ms, &planning->room, &jobs);
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
        if (partition_is_resting(planner, planning->options, &partition, &until_ms)) continue;
        const struct partition_work work = {.by_strategy = true, .shared = true};
        partition_find_jobs(&planner->rule, &partition, &work, planning->options->now_ms,
                            &planning->room, &jobs);
        for (size_t i = 0; i < jobs.n_jobs; i++) {
            if (jobs.jobs[i].reason != COMPACT_TO_SPLIT || !chooser->k_left) continue;
            chooser->k_left--;
            planning->out->n_jobs_due++;
            add_job(planning, &partition, &jobs, &jobs.jobs[i], list);
        }
    }
    return 0;
}

/* So many jobs from one partition on, which the seed chooses, and around: workers that plan at the
 * same time begin at different places, and nobody looks at all that is due. */
static int list_some(struct planning *planning, uint64_t n_jobs, struct job_list *list)
{
    const struct map *due = &planning->planner->due;
    uint64_t n_partitions = map_count(due);
    if (!n_partitions) return 0;
    struct map_cursor cursor;
    uint64_t seed = planning->options->seed;
    map_cursor_nth(due, hash_xxh3_64(&seed, sizeof(seed)) % n_partitions, &cursor);
    for (uint64_t i = 0; i < n_partitions && n_jobs; i++, map_cursor_next(&cursor)) {
        if (!cursor.valid) map_cursor_first(due, &cursor);
        if (map_get(&planning->busy, cursor.key, NULL)) continue;
        uint64_t n = cursor_number(&cursor);
        if (n > n_jobs) n = n_jobs;
        n_jobs -= n;
        struct chooser all = {n, n, 0};
        TRY(list_partition(planning, cursor.key, n, &all, list));
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
    if (limit < n_due && limit == planning->options->max_jobs)
        return list_some(planning, chooser.k_left, list);
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

/* What would be due if it had not failed. */
static int list_resting(struct planning *planning)
{
    struct compaction_planner *planner = planning->planner;
    struct resting_partition *out =
        ARENA_ARRAY(planning->arena, struct resting_partition, map_count(&planner->failed));
    planning->out->resting = out;
    struct map_cursor cursor;
    for (map_cursor_first(&planner->failed, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        struct partition_figures partition;
        struct partition_jobs jobs;
        int64_t until_ms;
        TRY(table_partition_figures(planner->state, cursor.key, planning->scratch, &partition));
        if (partition.is_gone ||
            !partition_is_resting(planner, planning->options, &partition, &until_ms))
            continue;
        struct partition_work work = partition_work(planner, planning->options, &partition);
        partition_find_jobs(&planner->rule, &partition, &work, planning->options->now_ms,
                            &planning->room, &jobs);
        if (!jobs.n_jobs) continue;
        out[planning->out->n_resting++] = (struct resting_partition){
            arena_copy(planning->arena, cursor.key), until_ms, (size_t)cursor_number(&cursor)};
    }
    return 0;
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
    if (code == 0) code = list_resting(planning);
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
    job_room_free(&planning->room);
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
    TRY(planner_take_state(planner, state, options));
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
    int code = planner_take_state(planner, state, options);
    out->n_jobs_running = planner->n_running;
    if (code == 0) code = make_plan(&planning);
    compaction_planner_free(planner);
    return code;
}
