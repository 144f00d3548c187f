/*
 * life_upkeep.h: the steps of test_life_world.c that change files and leaves: compaction by plan
 * or by force, splits, maintenance, collection of what is late or nobody's, trimming, deleting,
 * files that are set aside. Only deleting takes rows from the list; all others leave it as it was.
 */
#ifndef GLIS_TESTS_LIFE_UPKEEP_H
#define GLIS_TESTS_LIFE_UPKEEP_H

#include "life_adding.h"

static struct slice draw_leaf(struct world *w, const struct table_state *state, struct arena *arena)
{
    struct table_leaf *leaves;
    size_t n;
    must(w, table_leaves(state, NULL, arena, &leaves, &n));
    return leaves[draw(w, n)].partition.id;
}

static void do_compact(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct compaction_plan plan;
    must(w, table_state_get(w->table, 0, &state));
    struct compaction_plan_options options = {
        .now_ms = wall_ms(w), .force = draw(w, 2), .seed = draw(w, 100)};
    if (draw(w, 4) == 0) options.leaf = draw_leaf(w, state, &arena);
    must(w, compaction_plan(state, &options, &arena, &plan));
    struct commit_result moved;
    if (plan.n_push_downs &&
        did(w, table_push_down(w->table, plan.push_downs, plan.n_push_downs, &moved)))
        counts[C_PUSHED]++;
    for (size_t i = 0; i < plan.n_jobs && i < 3; i++) {
        struct work_options work = {
            .lease_ms = 60000, .progress = during_merge, .progress_state = w};
        struct compaction_result result;
        struct job_assignment hold = {SLICE("gone"), plan.jobs[i].partition, plan.jobs[i].files,
                                      plan.jobs[i].n_files, wall_ms(w) + 60000};
        /* A worker takes the files and is never heard of again. */
        if (draw(w, 6) == 0) {
            (void)did(w, table_assign_job(w->table, &hold, &moved));
            if (draw(w, 2)) pass(w, 60001);
        }
        if (!did(w, compaction_run(w->table, &w->runtime, &plan.jobs[i], &work, &arena, &result)))
            continue;
        counts[result.is_lost ? C_LOST : C_COMPACTIONS]++;
    }
    table_state_release(state);
}

static void do_split(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_leaf *leaves;
    size_t n;
    struct split_point point;
    bool done = false;
    must(w, table_state_get(w->table, 0, &state));
    must(w, table_leaves(state, NULL, &arena, &leaves, &n));
    if (n < 24)
        must(w, split_leaf(w->table, &w->runtime, state, leaves[draw(w, n)].partition.id, &arena,
                           &point, &done));
    counts[C_SPLITS] += done;
    table_state_release(state);
}

/* What was planted goes when the horizon has passed it, and not before. */
static void check_orphans(struct world *w, uint64_t horizon, bool all_looked_at)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_orphans; i++) {
        struct store_object object;
        int code = store_head(w->store, w->orphans[i], &object);
        if (code != GLIS_ENOTFOUND) must(w, code);
        bool below = w->orphans_begun[i] < horizon;
        check(w, code == 0 || below, "an orphan went that somebody might still add");
        check(w, code < 0 || !below || !all_looked_at, "an orphan stays");
        counts[C_ORPHANS] += code < 0;
        if (code < 0) continue;
        w->orphans[n] = w->orphans[i];
        w->orphans_begun[n++] = w->orphans_begun[i];
    }
    w->n_orphans = n;
}

static bool maintain(struct world *w, struct maintain_options *options)
{
    struct maintain_result result;
    options->work.progress = during_merge;
    options->work.progress_state = w;
    if (!did(w, maintain_table(w->table, &w->runtime, options, &result))) return false;
    counts[C_COMPACTIONS] += result.compactions;
    counts[C_PUSHED] += result.pushed_down;
    counts[C_SPLITS] += result.splits;
    counts[C_JOINED] += result.joined;
    counts[C_COLLECTED] += result.collected.files;
    if (options->steps & MAINTAIN_COLLECT)
        check_orphans(w, result.collected.horizon, options->collect.full);
    return true;
}

static void do_maintain(struct world *w)
{
    struct maintain_options options = {.steps = (unsigned)draw(w, MAINTAIN_ALL) + 1,
                                       .force = draw(w, 3) == 0,
                                       .collect = {.now = draw(w, 2), .full = draw(w, 2)}};
    (void)maintain(w, &options);
}

/* Two days in which nobody who is at work gets on: what they have begun is collected. */
static void do_late(struct world *w)
{
    struct commit_result result;
    struct setting setting = {SLICE("glis.table.gc.delay"), SLICE("1m")};
    struct maintain_options options = {.steps = MAINTAIN_COLLECT, .collect = {.full = true}};
    for (int i = 0; i < 2; i++) {
        pass(w, DAY_MS + 1000);
        must(w, table_alter(w->table, &setting, 1, NULL, &result));
    }
    (void)maintain(w, &options);
}

/* Old states are given up; those that pins keep are not. */
static void do_trim(struct world *w)
{
    struct commit_result result;
    const struct table_state *state;
    must(w, table_state_get(w->table, 0, &state));
    uint64_t limit = table_trim_limit(state), line = table_trim_line(state);
    table_state_release(state);
    if (draw(w, 3) == 0) limit = w->now.record; /* further than pins may allow */
    if (line >= limit) return;
    uint64_t record = line + 1 + draw(w, limit - line);
    if (!did(w, table_raise_trim_line(w->table, record, &result))) return;
    for (int i = 0; i < PINS; i++)
        if (w->pinned[i] && (!w->pinned_until[i] || w->pinned_until[i] > w->latest_ms))
            check(w, w->pinned[i] >= record, "the line has passed a pin");
    counts[C_TRIMMED]++;
}

/* An object as a job leaves it that died. */
static void do_orphan(struct world *w)
{
    if (w->n_orphans == ORPHANS) return;
    uint64_t begun = 1 + draw(w, w->now.record + 1);
    struct ulid id = ulid_new(&w->runtime);
    struct slice name =
        slice_from_text(arena_printf(&w->arena, "data/%012llx-%.*s.parquet",
                                     (unsigned long long)begun, SLICE_PRINT(ulid_slice(&id))));
    struct slice key = table_file_key(w->table, name, &w->arena);
    must(w, store_put(w->store, key, SLICE("half a file"), 0));
    w->orphans[w->n_orphans] = key;
    w->orphans_begun[w->n_orphans++] = begun;
}

static struct slice key_of(struct world *w, unsigned field, int64_t key, struct arena *arena)
{
    defer_buffer struct buffer bytes = BUFFER_INIT(1000);
    struct type type = {.kind = field == F_S ? TYPE_STRING : TYPE_INT64};
    struct value value = value_integer(TYPE_INT64, key);
    if (field == F_S)
        value = (struct value){.kind = TYPE_STRING, .bytes = slice_from_text(names[key])};
    must(w, key_append_value(&type, &value, &bytes));
    return arena_copy(arena, buffer_slice(&bytes));
}

/* Pins that the table has no more. */
static void forget_pins(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_pin *pins;
    size_t n;
    must(w, table_state_get(w->table, 0, &state));
    must(w, table_pins(state, &arena, &pins, &n));
    for (unsigned i = 0; i < PINS; i++) {
        bool found = !w->pinned[i];
        for (size_t p = 0; p < n && !found; p++)
            found = pins[p].id.size == 2 && pins[p].id.data[0] == 'p' &&
                    pins[p].id.data[1] == (char)('0' + i);
        if (!found) counts[C_DROPPED_PINS]++;
        if (!found) w->pinned[i] = 0;
    }
    table_state_release(state);
}

static void delete_area(struct world *w, const struct rectangle *area)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct key_range ranges[2];
    const struct key_range *regions[] = {ranges};
    for (unsigned i = 0; i < w->shape.n_row_keys; i++) {
        unsigned field = w->shape.fields[i];
        ranges[i] = (struct key_range){.unbounded = area->to[i] == KEYS};
        if (area->from[i]) ranges[i].min = key_of(w, field, area->from[i], &arena);
        if (!ranges[i].unbounded) ranges[i].max = key_of(w, field, area->to[i], &arena);
    }
    struct delete_options options = {.drop_pins = draw(w, 4) == 0};
    struct delete_result result;
    must(w, delete_rows(w->table, &w->runtime, regions, 1, &options, &arena, &result));
    size_t n = 0;
    for (size_t i = 0; i < w->now.n; i++)
        if (!rectangle_has(&w->shape, area, &w->now.rows[i])) w->now.rows[n++] = w->now.rows[i];
    w->now.n = n;
    if (options.drop_pins) forget_pins(w);
    counts[C_DELETES]++;
}

static void do_delete(struct world *w)
{
    struct rectangle area = draw_area(w, 3);
    delete_area(w, &area);
}

/* Leaves are emptied, and joined after a day. */
static void do_empty(struct world *w)
{
    struct rectangle area = draw(w, 3) ? draw_area(w, KEYS) : everywhere;
    delete_area(w, &area);
    pass(w, DAY_MS + 1000);
    struct maintain_options options = {.steps = MAINTAIN_ALL, .collect = {.full = draw(w, 2)}};
    (void)maintain(w, &options);
}

/* A file is taken out of sight: whoever would need it is told so, the rest goes on, and it comes
 * back as it was. */
static void do_set_aside(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_leaf *leaves;
    struct commit_result result;
    struct slice file = SLICE_EMPTY;
    size_t n;
    must(w, table_state_get(w->table, 0, &state));
    must(w, table_leaves(state, NULL, &arena, &leaves, &n));
    const struct table_leaf *leaf = &leaves[draw(w, n)];
    if (leaf->n_references)
        file = arena_copy(&arena, leaf->references[draw(w, leaf->n_references)].file->name);
    table_state_release(state);
    if (!file.size || !did(w, table_set_aside(w->table, file, &result))) return;
    struct query query;
    struct batch_stream *answer;
    query_everything(schema_now(w), &arena, &query);
    int code = query_open(w->engine, w->table, &query, &answer);
    struct batch *batch = NULL;
    if (code == 0) {
        do {
            batch_release(batch);
            code = batch_stream_next(answer, &batch);
        } while (code == 0 && batch);
        batch_stream_close(answer);
    }
    check(w, code == GLIS_ECORRUPT, "an answer without a file that was set aside");
    bool nested = w->nested;
    w->nested = true;
    if (draw(w, 2)) do_compact(w);
    w->nested = nested;
    must(w, table_take_back(w->table, file, &result));
    counts[C_SET_ASIDE]++;
}

#endif
