/*
 * test_compaction_plan.c: what a state's plan says: the reference's cases and cases worked by hand,
 * and random histories in which plans are carried out, each plan held against one made the plain
 * way and against that of a planner that has seen all earlier states.
 */
#include "table_world.h"

#include "lsm/lsm.h"

#include <stdarg.h>

enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };

/* A table of one long key, leaves of 100 keys each from 0 on; files are made of key ranges. */
struct world {
    struct state *state;
    uint64_t record;
    int64_t time_ms;
    struct runtime runtime;
    struct arena arena;
    struct random *random;
    struct buffer text;
    unsigned n_jobs;
};

static void world_begin(struct world *world, uint64_t seed, uint32_t n_leaves)
{
    *world = (struct world){.record = 1, .time_ms = 1000, .text = BUFFER_INIT(1 << 24)};
    world->random = random_seeded_new(seed);
    world->runtime = (struct runtime){.clock = clock_system(), .random = world->random};
    struct slice points[1024];
    for (uint32_t i = 0; i + 1 < n_leaves; i++)
        points[i] = long_key(&world->arena, (int64_t)(i + 1) * 100);
    world->state = world_new(LONG_SCHEMA, points, n_leaves - 1);
}

static void world_end(struct world *world)
{
    state_free(world->state);
    buffer_free(&world->text);
    random_seeded_free(world->random);
    arena_free(&world->arena);
}

static const struct table_state *world_hold(const struct world *world)
{
    return table_state_own(state_clone(world->state), world->record, world->time_ms);
}

static void world_commit(struct world *world)
{
    world->record++;
    world->time_ms += 1000;
    assert_ok(world_apply_buffer(world->state, world->record, world->time_ms, &world->text));
}

static void world_set(struct world *world, const char *name, const char *value)
{
    struct setting setting = {slice_from_text(name), slice_from_text(value)};
    assert_ok(write_alter(&world->text, world->state->numbers[NUMBER_VERSION], &setting, 1, NULL));
    world_commit(world);
}

/* A file with keys from..to (each once, times `times`), referenced on the `max` deepest partitions
 * that cover it. Returns its name. */
static struct slice world_add(struct world *world, int64_t from, int64_t to, uint64_t times,
                              uint32_t max)
{
    const struct table_state *hold = world_hold(world);
    struct arena *arena = &world->arena;
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, arena, &tree));
    uint64_t *rows = ARENA_ARRAY(arena, uint64_t, tree->n_leaves), total = 0;
    for (int64_t key = from; key <= to; key++) {
        struct slice field = long_key(arena, key);
        rows[partition_tree_leaf(tree, &field)] += times;
        total += times;
    }
    struct partition_cover *cover;
    size_t n;
    assert_ok(partition_tree_cover(tree, rows, max, arena, &cover, &n));
    struct new_reference *references = ARENA_ARRAY(arena, struct new_reference, n);
    for (size_t i = 0; i < n; i++)
        references[i] = (struct new_reference){tree->nodes[cover[i].node].id, cover[i].rows};
    struct file_bound bound = {long_key(arena, from), long_key(arena, to), false};
    struct new_file file = {.name = table_file_name_new(hold, &world->runtime, arena),
                            .size = total * 100,
                            .rows = total,
                            .bounds = &bound,
                            .references = references,
                            .n_references = n};
    char job[32];
    snprintf(job, sizeof(job), "ingest-%u", world->n_jobs++);
    struct ingest_commit commit = {
        .state = hold, .files = &file, .n_files = 1, .job = slice_from_text(job)};
    assert_ok(write_ingest(&world->text, &commit));
    world_commit(world);
    table_state_release(hold);
    return file.name;
}

static void world_assign(struct world *world, const char *job, struct slice partition,
                         const struct slice *files, size_t n, int64_t until_ms)
{
    struct job_assignment assignment = {slice_from_text(job), partition, files, n, until_ms};
    assert_ok(write_assign_job(&world->text, &assignment));
    world_commit(world);
}

static void world_push_down(struct world *world, const struct compaction_plan *plan)
{
    assert_ok(write_push_down(&world->text, plan->push_downs, plan->n_push_downs));
    world_commit(world);
}

/* Carries a compaction out; the bounds are those of the partition's part of the inputs. */
static void world_compact(struct world *world, const char *job, struct slice partition,
                          const struct slice *files, size_t n)
{
    const struct table_state *hold = world_hold(world);
    struct arena *arena = &world->arena;
    struct partition where;
    assert_ok(table_partition(hold, partition, arena, &where));
    struct file_bound bound = {0};
    uint64_t rows = 0;
    struct table_reference *references;
    size_t n_references;
    assert_ok(table_references(hold, partition, arena, &references, &n_references));
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < n_references; r++) {
            if (!slice_equal(references[r].file->name, files[i])) continue;
            struct file_bound one = references[r].file->bounds[0];
            if (slice_compare(one.min, where.region[0].min) < 0) one.min = where.region[0].min;
            if (!bound.min.data || slice_compare(one.min, bound.min) < 0) bound.min = one.min;
            rows += references[r].rows;
        }
    bound.max = bound.min; /* narrower than the truth: nothing here reads rows */
    struct new_file file = {.name = table_file_name_new(hold, &world->runtime, arena),
                            .size = rows * 100,
                            .rows = rows,
                            .bounds = &bound};
    struct compaction_commit commit = {.state = hold,
                                       .job = slice_from_text(job),
                                       .partition = partition,
                                       .inputs = files,
                                       .n_inputs = n,
                                       .file = &file};
    assert_ok(write_compaction(&world->text, &commit));
    world_commit(world);
    table_state_release(hold);
}

/* ---- plans as text ---- */

static void say(struct buffer *out, const char *format, ...) GLIS_PRINTF(2, 3);
static void say(struct buffer *out, const char *format, ...)
{
    char line[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    assert_ok(buffer_append_text(out, line));
}

static const char *const reasons[] = {"strategy", "split", "force"};

static void say_job(struct buffer *out, struct slice partition, const char *reason,
                    const struct slice *files, size_t n, uint64_t rows)
{
    say(out, "job %.*s %s %llu:", SLICE_PRINT(partition), reason, (unsigned long long)rows);
    for (size_t i = 0; i < n; i++)
        say(out, " %.*s", SLICE_PRINT(files[i]));
    say(out, "\n");
}

static void say_move(struct buffer *out, const struct reference_move *move)
{
    say(out, "push %.*s %.*s:", SLICE_PRINT(move->partition), SLICE_PRINT(move->file));
    for (size_t i = 0; i < move->n_to; i++)
        say(out, " %.*s=%llu", SLICE_PRINT(move->to[i].partition),
            (unsigned long long)move->to[i].rows);
    say(out, "\n");
}

static void say_plan(struct buffer *out, const struct compaction_plan *plan)
{
    for (size_t i = 0; i < plan->n_push_downs; i++)
        say_move(out, &plan->push_downs[i]);
    for (size_t i = 0; i < plan->n_jobs; i++) {
        const struct compaction_job *job = &plan->jobs[i];
        say_job(out, job->partition, reasons[job->reason], job->files, job->n_files, job->rows);
    }
    for (size_t i = 0; i < plan->n_splits; i++)
        say(out, "split %.*s %llu\n", SLICE_PRINT(plan->splits[i].leaf),
            (unsigned long long)plan->splits[i].rows);
    assert_ok(buffer_append_byte(out, 0));
}

/* ---- the plain way ---- */

struct plain {
    const struct table_state *state;
    const struct compaction_plan_options *options;
    const struct partition_tree *tree;
    struct arena *arena;
    struct table_reference **references; /* by node */
    size_t *n_references;
    bool *over, *busy, *wants;
    uint64_t threshold, inner_bytes, min_bytes, batch, ratio, concurrent;
    bool is_basic;
    struct buffer *out;
};

static bool plain_assigned(const struct plain *plain, const struct table_reference *reference)
{
    return table_reference_is_assigned(reference, plain->options->now_ms);
}

static bool plain_meets_node(const struct plain *plain, const struct table_file *file,
                             uint32_t node)
{
    return file_bound_overlaps(&file->bounds[0], &plain->tree->nodes[node].region[0]);
}

static double plain_share(const struct plain *plain, uint32_t node)
{
    if (node == UINT32_MAX) return 0;
    double rows = 0;
    for (size_t i = 0; i < plain->n_references[node]; i++)
        rows += (double)plain->references[node][i].rows;
    return rows + plain_share(plain, plain->tree->nodes[node].parent) / 2;
}

static uint64_t plain_rows(const struct plain *plain, uint32_t node, bool exact_inside)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < plain->n_references[node]; i++) {
        const struct table_reference *reference = &plain->references[node][i];
        if (!exact_inside || (reference->is_exact && !reference->is_shared))
            rows += reference->rows;
    }
    return rows;
}

static bool plain_is_full(const struct plain *plain, uint32_t node)
{
    double bytes = 0, rows = (double)plain_rows(plain, node, false);
    double leaves = plain->tree->nodes[node].n_leaves;
    for (size_t i = 0; i < plain->n_references[node]; i++) {
        const struct table_reference *reference = &plain->references[node][i];
        bytes +=
            (double)reference->file->size * (double)reference->rows / (double)reference->file->rows;
    }
    return plain->inner_bytes == 0 || bytes >= (double)plain->inner_bytes ||
           bytes >= leaves * (double)plain->min_bytes ||
           rows >= leaves * (double)plain->threshold / 4;
}

/* Whether a leaf below wants the file. */
static bool plain_wanted(const struct plain *plain, uint32_t node, const struct table_file *file)
{
    const struct partition_node *at = &plain->tree->nodes[node];
    if (at->left == UINT32_MAX) return plain->wants[node] && plain_meets_node(plain, file, node);
    return plain_wanted(plain, at->left, file) || plain_wanted(plain, at->right, file);
}

struct plain_piece {
    const struct table_file *file;
    uint64_t rows;
};

/* Targets of each file at or below a node: to[file] grows in key order. */
static void plain_push(const struct plain *plain, uint32_t from, uint32_t node, bool is_full,
                       const struct plain_piece *pieces, size_t n, struct new_reference **to,
                       size_t *n_to)
{
    const struct partition_node *at = &plain->tree->nodes[node];
    struct plain_piece *parts[2];
    bool small = false;
    for (int c = 0; at->left != UINT32_MAX && c < 2; c++) {
        uint32_t child = c ? at->right : at->left, other = c ? at->left : at->right;
        double bytes = 0;
        bool any = false;
        parts[c] = ARENA_ARRAY(plain->arena, struct plain_piece, n);
        for (size_t i = 0; i < n; i++) {
            if (!pieces[i].file || !plain_meets_node(plain, pieces[i].file, child)) continue;
            uint64_t rows = pieces[i].rows;
            if (plain_meets_node(plain, pieces[i].file, other)) {
                rows = rows * plain->tree->nodes[child].n_leaves / at->n_leaves;
                if (rows == 0) rows = 1;
            }
            parts[c][i] = (struct plain_piece){pieces[i].file, rows};
            bytes += (double)pieces[i].file->size * (double)rows / (double)pieces[i].file->rows;
            any = true;
        }
        small |= any && bytes < (double)plain->min_bytes;
    }
    for (size_t i = 0; i < n; i++) {
        if (!pieces[i].file) continue;
        bool goes = at->left != UINT32_MAX && ((is_full && (node == from || !small)) ||
                                               plain_wanted(plain, node, pieces[i].file));
        if (goes) continue;
        if (node != from) to[i][n_to[i]++] = (struct new_reference){at->id, pieces[i].rows};
        if (at->left != UINT32_MAX) parts[0][i].file = parts[1][i].file = NULL;
    }
    if (at->left == UINT32_MAX) return;
    plain_push(plain, from, at->left, is_full, parts[0], n, to, n_to);
    plain_push(plain, from, at->right, is_full, parts[1], n, to, n_to);
}

static void plain_push_partition(struct plain *plain, uint32_t node, size_t *n_moves)
{
    size_t n = plain->n_references[node];
    struct plain_piece *pieces = ARENA_ARRAY(plain->arena, struct plain_piece, n);
    struct new_reference **to = ARENA_ARRAY(plain->arena, struct new_reference *, n);
    size_t *n_to = ARENA_ARRAY(plain->arena, size_t, n);
    for (size_t i = 0; i < n; i++) {
        const struct table_reference *reference = &plain->references[node][i];
        to[i] = ARENA_ARRAY(plain->arena, struct new_reference, plain->tree->n_leaves);
        if (!plain_assigned(plain, reference))
            pieces[i] = (struct plain_piece){reference->file, reference->rows};
    }
    plain_push(plain, node, node, plain_is_full(plain, node), pieces, n, to, n_to);
    for (size_t i = 0; i < n; i++) {
        if (!n_to[i]) continue;
        struct reference_move move = {plain->tree->nodes[node].id,
                                      plain->references[node][i].file->name, to[i], n_to[i]};
        say_move(plain->out, &move);
        ++*n_moves;
        plain->busy[node] = true;
        for (size_t t = 0; plain->options->force && t < n_to[i]; t++)
            for (uint32_t k = 0; k < plain->tree->n_nodes; k++)
                if (slice_equal(plain->tree->nodes[k].id, to[i][t].partition))
                    plain->busy[k] = true;
    }
}

static int compare_references(const void *a, const void *b)
{
    const struct table_reference *x = a, *y = b;
    if (x->rows != y->rows) return x->rows < y->rows ? -1 : 1;
    return slice_compare(x->file->name, y->file->name);
}

static bool plain_is_worth_it(const struct table_reference *list, size_t n, uint64_t ratio)
{
    uint64_t others = 0;
    for (size_t i = 0; i + 1 < n; i++)
        others += list[i].rows;
    return n > 1 && ratio * list[n - 1].rows <= others;
}

static void plain_say_jobs(const struct plain *plain, uint32_t node, const char *reason,
                           const struct table_reference *list, size_t n)
{
    struct slice files[1000];
    uint64_t rows = 0;
    for (size_t i = 0; i < n; i++) {
        files[i] = list[i].file->name;
        rows += list[i].rows;
    }
    say_job(plain->out, plain->tree->nodes[node].id, reason, files, n, rows);
}

static void plain_jobs(const struct plain *plain, uint32_t node, bool no_pushes)
{
    size_t n = 0, n_running = 0, n_rest = 0;
    struct table_reference list[1000], rest[1000];
    bool taken[1000] = {false};
    for (size_t i = 0; i < plain->n_references[node]; i++) {
        struct table_reference reference = plain->references[node][i];
        if (!plain_assigned(plain, &reference)) {
            list[n++] = reference;
            continue;
        }
        bool is_new = true;
        for (size_t j = 0; j < i; j++)
            is_new &= !(plain_assigned(plain, &plain->references[node][j]) &&
                        slice_equal(plain->references[node][j].job, reference.job));
        n_running += is_new;
    }
    qsort(list, n, sizeof(*list), compare_references);
    size_t kept = n, n_jobs = 0;
    if (plain->is_basic) {
        for (size_t at = 0; at + plain->batch <= n; at += plain->batch) {
            plain_say_jobs(plain, node, "strategy", list + at, plain->batch);
            memset(taken + at, 1, plain->batch);
        }
    } else {
        while (kept > 1 && !plain_is_worth_it(list, kept, plain->ratio))
            kept--;
        for (size_t at = 0; kept > 1 && at < kept;) {
            size_t width = kept - at < plain->batch ? kept - at : plain->batch;
            if (plain_is_worth_it(list + at, width, plain->ratio)) {
                if (n_jobs + n_running < plain->concurrent) {
                    plain_say_jobs(plain, node, "strategy", list + at, width);
                    memset(taken + at, 1, width);
                    n_jobs++;
                }
                at += width;
            } else {
                at++;
            }
        }
    }
    if (plain->tree->nodes[node].left != UINT32_MAX) return;
    bool shared =
        plain->over[node] && (plain_rows(plain, node, false) >= plain->threshold || no_pushes);
    for (size_t i = 0; i < n; i++)
        if (!taken[i] &&
            (plain->options->force || (shared && (list[i].is_shared || !list[i].is_exact))))
            rest[n_rest++] = list[i];
    for (size_t at = 0; at < n_rest; at += plain->batch)
        plain_say_jobs(plain, node, plain->options->force ? "force" : "split", rest + at,
                       n_rest - at < plain->batch ? n_rest - at : plain->batch);
}

static int compare_nodes(const void *a, const void *b, void *tree)
{
    const struct partition_node *nodes = ((const struct partition_tree *)tree)->nodes;
    return slice_compare(nodes[*(const uint32_t *)a].id, nodes[*(const uint32_t *)b].id);
}

static void plain_plan(const struct table_state *state,
                       const struct compaction_plan_options *options, struct buffer *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct plain plain = {
        .state = state,
        .options = options,
        .arena = &arena,
        .out = out,
        .threshold = (uint64_t)table_state_number(state, PROPERTY_TABLE_SPLIT_THRESHOLD),
        .inner_bytes = (uint64_t)table_state_number(state, PROPERTY_TABLE_INNER_BYTES),
        .min_bytes = (uint64_t)table_state_number(state, PROPERTY_TABLE_INGEST_MIN_FILE_BYTES),
        .batch = (uint64_t)table_state_number(state, PROPERTY_TABLE_COMPACTION_FILES),
        .ratio = (uint64_t)table_state_number(state, PROPERTY_TABLE_COMPACTION_RATIO),
        .concurrent = (uint64_t)table_state_number(state, PROPERTY_TABLE_COMPACTION_CONCURRENT),
        .is_basic =
            slice_equal_text(table_state_text(state, PROPERTY_TABLE_COMPACTION_STRATEGY), "basic"),
    };
    assert_ok(table_tree(state, &arena, &plain.tree));
    uint32_t n = plain.tree->n_nodes, *order = ARENA_ARRAY(&arena, uint32_t, n);
    plain.references = ARENA_ARRAY(&arena, struct table_reference *, n);
    plain.n_references = ARENA_ARRAY(&arena, size_t, n);
    plain.over = ARENA_ARRAY(&arena, bool, n);
    plain.busy = ARENA_ARRAY(&arena, bool, n);
    plain.wants = ARENA_ARRAY(&arena, bool, n);
    for (uint32_t i = 0; i < n; i++) {
        order[i] = i;
        assert_ok(table_references(state, plain.tree->nodes[i].id, &arena, &plain.references[i],
                                   &plain.n_references[i]));
    }
    qsort_r(order, n, sizeof(*order), compare_nodes, (void *)plain.tree);
    for (uint32_t i = 0; i < n; i++) {
        if (plain.tree->nodes[i].left != UINT32_MAX) continue;
        uint64_t rows = plain_rows(&plain, i, false), exact = plain_rows(&plain, i, true);
        double share = plain_share(&plain, plain.tree->nodes[i].parent);
        plain.over[i] = plain.n_references[i] && exact < plain.threshold &&
                        rows >= plain.threshold / 2 &&
                        (double)rows + share / 2 >= (double)plain.threshold;
        plain.wants[i] = options->force || plain.over[i];
    }
    size_t n_moves = 0;
    for (uint32_t i = 0; i < n; i++)
        if (plain.tree->nodes[order[i]].left != UINT32_MAX)
            plain_push_partition(&plain, order[i], &n_moves);
    for (uint32_t i = 0; i < n; i++)
        if (!plain.busy[order[i]]) plain_jobs(&plain, order[i], n_moves == 0);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t exact = plain_rows(&plain, order[i], true);
        if (plain.tree->nodes[order[i]].left == UINT32_MAX && plain.n_references[order[i]] &&
            exact >= plain.threshold)
            say(out, "split %.*s %llu\n", SLICE_PRINT(plain.tree->nodes[order[i]].id),
                (unsigned long long)exact);
    }
    assert_ok(buffer_append_byte(out, 0));
}

/* ---- histories ---- */

struct planned {
    struct slice partition, *files;
    size_t n;
    char job[32];
    int64_t until_ms;
};

/* Takes up a job of the plan: assigns it. */
static void take_job(struct world *world, const struct compaction_plan *plan, struct planned *out)
{
    const struct compaction_job *job = &plan->jobs[random_below(world->random, plan->n_jobs)];
    out->partition = arena_copy(&world->arena, job->partition);
    out->n = job->n_files;
    out->files = ARENA_ARRAY(&world->arena, struct slice, job->n_files);
    for (size_t i = 0; i < job->n_files; i++)
        out->files[i] = arena_copy(&world->arena, job->files[i]);
    snprintf(out->job, sizeof(out->job), "job-%u", world->n_jobs++);
    out->until_ms = world->time_ms + 2000 + (int64_t)random_below(world->random, 20) * 1000;
    world_assign(world, out->job, out->partition, out->files, out->n, out->until_ms);
}

static void check_plans(struct world *world, const struct compaction_planner *planner, bool force,
                        struct arena *arena, struct compaction_plan *plan)
{
    const struct table_state *hold = world_hold(world);
    struct compaction_plan_options options = {.now_ms = world->time_ms, .force = force};
    struct buffer wanted = BUFFER_INIT(1 << 22), found = BUFFER_INIT(1 << 22),
                  again = BUFFER_INIT(1 << 22);
    struct compaction_plan other;
    plain_plan(hold, &options, &wanted);
    assert_ok(compaction_plan(hold, &options, arena, &other));
    say_plan(&found, &other);
    assert_string_equal(found.data, wanted.data);
    assert_ok(
        compaction_planner_plan((struct compaction_planner *)planner, hold, &options, arena, plan));
    say_plan(&again, plan);
    assert_string_equal(again.data, wanted.data);
    if (!force) assert_int_equal(plan->n_jobs, plan->n_jobs_due);
    /* Ids may lie in the state, which goes. */
    struct compaction_job *jobs = ARENA_ARRAY(arena, struct compaction_job, plan->n_jobs);
    for (size_t i = 0; i < plan->n_jobs; i++) {
        jobs[i] = plan->jobs[i];
        jobs[i].partition = arena_copy(arena, jobs[i].partition);
    }
    plan->jobs = jobs;
    buffer_free(&wanted);
    buffer_free(&found);
    buffer_free(&again);
    table_state_release(hold);
}

static void split_some_leaf(struct world *world, const struct compaction_plan *plan)
{
    const struct table_state *hold = world_hold(world);
    struct partition leaf;
    struct slice id = plan->splits[random_below(world->random, plan->n_splits)].leaf;
    assert_ok(table_partition(hold, id, &world->arena, &leaf));
    if (!leaf.region[0].unbounded && leaf.region[0].min.size) {
        uint64_t low = big_endian_get((const uint8_t *)leaf.region[0].min.data, 8);
        uint64_t high = big_endian_get((const uint8_t *)leaf.region[0].max.data, 8);
        if (high - low > 1) {
            struct slice split =
                long_key(&world->arena, (int64_t)((low + (high - low) / 2) ^ UINT64_C(1) << 63));
            assert_ok(write_split_partition(&world->text, hold, id, 0, split, world->record));
            world_commit(world);
        }
    }
    table_state_release(hold);
}

static const char *const inner_bytes[] = {"0", "20000", "60000", "4G"};

static unsigned run_history(uint64_t seed)
{
    struct world world;
    struct planned jobs[8];
    size_t n_jobs = 0;
    unsigned n_seen = 0;
    world_begin(&world, seed, 1 + (uint32_t)(seed * 7 % 13));
    uint32_t keys = (1 + (uint32_t)(seed * 7 % 13)) * 100;
    struct compaction_planner *planner = compaction_planner_new();
    world_set(&world, "glis.table.partition.splitting.threshold", seed % 2 ? "1000" : "100000");
    world_set(&world, "glis.table.inner.bytes", inner_bytes[seed % 4]);
    world_set(&world, "glis.table.ingest.min.file.bytes", "5000");
    world_set(&world, "glis.table.compaction.files.batch.size", seed % 3 ? "4" : "12");
    if (seed % 5 == 0) world_set(&world, "glis.table.compaction.strategy.class", "basic");
    if (seed % 7 == 0)
        world_set(&world,
                  "glis.table.compaction.strategy.sizeratio.max.concurrent.jobs.per.partition",
                  "1");
    for (int step = 0; step < 60; step++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct compaction_plan plan;
        check_plans(&world, planner, seed % 11 == 0 && step % 10 == 9, &arena, &plan);
        n_seen += plan.n_jobs > 0;
        n_seen += plan.n_push_downs > 0 ? 1000 : 0;
        n_seen += plan.n_splits > 0 ? 1000000 : 0;
        uint64_t what = random_below(world.random, 10);
        if (what == 0) world.time_ms += 15000;
        if (what <= 1 && plan.n_splits) {
            split_some_leaf(&world, &plan);
        } else if (what <= 3 && plan.n_push_downs) {
            world_push_down(&world, &plan);
        } else if (what <= 5 && plan.n_jobs && n_jobs < 8) {
            take_job(&world, &plan, &jobs[n_jobs++]);
        } else if (what <= 8 && n_jobs) {
            /* Finished in time, or given up: then its assignment runs out by itself. */
            size_t which = random_below(world.random, n_jobs);
            struct planned job = jobs[which];
            jobs[which] = jobs[--n_jobs];
            if (job.until_ms > world.time_ms + 1000)
                world_compact(&world, job.job, job.partition, job.files, job.n);
        } else {
            int64_t from = (int64_t)random_below(world.random, keys);
            int64_t width = (int64_t)random_below(world.random, step % 3 ? 60 : keys);
            int64_t to = from + width < keys ? from + width : keys - 1;
            world_add(&world, from, to, 1 + random_below(world.random, 4),
                      1 + (uint32_t)random_below(world.random, 4));
        }
    }
    compaction_planner_free(planner);
    world_end(&world);
    return n_seen;
}

static void plans_of_random_histories_are_the_plain_ones(void **unused)
{
    (void)unused;
    unsigned n_jobs = 0, n_pushes = 0, n_splits = 0;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        unsigned seen = run_history(seed);
        n_jobs += seen % 1000;
        n_pushes += seen / 1000 % 1000;
        n_splits += seen / 1000000;
    }
    assert_true(n_jobs > 500);
    assert_true(n_pushes > 300);
    assert_true(n_splits > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_of_random_histories_are_the_plain_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
