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
    struct slice files[26]; /* the first ones added */
    unsigned n_files;
    bool two_keys; /* the second one is a letter */
};

static void world_begin_with(struct world *world, uint64_t seed, uint32_t n_leaves, bool two_keys)
{
    *world = (struct world){.record = 1, .time_ms = 1000, .text = BUFFER_INIT(1 << 24)};
    world->random = random_seeded_new(seed);
    world->runtime = (struct runtime){.clock = clock_system(), .random = world->random};
    struct slice points[1024];
    for (uint32_t i = 0; i + 1 < n_leaves; i++)
        points[i] = long_key(&world->arena, (int64_t)(i + 1) * 100);
    world->two_keys = two_keys;
    world->state = world_new(two_keys ? TWO_KEYS_SCHEMA : LONG_SCHEMA, points, n_leaves - 1);
}

static void world_begin(struct world *world, uint64_t seed, uint32_t n_leaves)
{
    world_begin_with(world, seed, n_leaves, false);
}

static struct slice letter_key(struct world *world, uint64_t letter)
{
    const char text[] = {(char)('a' + letter), 0};
    return text_key(&world->arena, text);
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
 * that cover it. */
static void world_add(struct world *world, int64_t from, int64_t to, uint64_t times, uint32_t max)
{
    const struct table_state *hold = world_hold(world);
    struct arena *arena = &world->arena;
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, arena, &tree));
    uint64_t *rows = ARENA_ARRAY(arena, uint64_t, tree->n_leaves), total = 0;
    uint64_t letters[] = {0, 25};
    if (world->two_keys) {
        letters[0] = random_below(world->random, 26);
        letters[1] = letters[0] + random_below(world->random, 26 - letters[0]);
    }
    for (int64_t key = from; key <= to; key++) {
        uint64_t width = letters[1] - letters[0] + 1;
        struct slice fields[] = {long_key(arena, key),
                                 letter_key(world, letters[0] + (uint64_t)(key - from) % width)};
        rows[partition_tree_leaf(tree, fields)] += times;
        total += times;
    }
    struct partition_cover *cover;
    size_t n;
    assert_ok(partition_tree_cover(tree, rows, max, arena, &cover, &n));
    struct new_reference *references = ARENA_ARRAY(arena, struct new_reference, n);
    for (size_t i = 0; i < n; i++)
        references[i] = (struct new_reference){tree->nodes[cover[i].node].id, cover[i].rows};
    struct file_bound bounds[] = {{long_key(arena, from), long_key(arena, to), false},
                                  {letter_key(world, letters[0]),
                                   letter_key(world, (uint64_t)(to - from) < letters[1] - letters[0]
                                                         ? letters[0] + (uint64_t)(to - from)
                                                         : letters[1]),
                                   false}};
    struct new_file file = {.name = table_file_name_new(hold, &world->runtime, arena),
                            .size = total * 100,
                            .rows = total,
                            .bounds = bounds,
                            .references = references,
                            .n_references = n};
    char job[32];
    snprintf(job, sizeof(job), "ingest-%u", world->n_jobs++);
    struct ingest_commit commit = {
        .state = hold, .files = &file, .n_files = 1, .job = slice_from_text(job)};
    assert_ok(write_ingest(&world->text, &commit));
    world_commit(world);
    table_state_release(hold);
    if (world->n_files < 26) world->files[world->n_files++] = file.name;
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
    struct file_bound bounds[2] = {0};
    uint32_t n_fields = world->two_keys ? 2 : 1;
    uint64_t rows = 0;
    struct table_reference *references;
    size_t n_references;
    assert_ok(table_references(hold, partition, arena, &references, &n_references));
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < n_references; r++) {
            if (!slice_equal(references[r].file->name, files[i])) continue;
            for (uint32_t f = 0; f < n_fields; f++) {
                struct slice min = references[r].file->bounds[f].min;
                if (slice_compare(min, where.region[f].min) < 0) min = where.region[f].min;
                if (!bounds[f].min.data || slice_compare(min, bounds[f].min) < 0)
                    bounds[f].min = min;
                bounds[f].max = bounds[f].min; /* narrower than the truth: nobody reads rows */
            }
            rows += references[r].rows;
        }
    struct new_file file = {.name = table_file_name_new(hold, &world->runtime, arena),
                            .size = rows * 100,
                            .rows = rows,
                            .bounds = bounds};
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
    bool meets = true;
    for (uint32_t f = 0; f < plain->tree->n_fields; f++)
        meets &= file_bound_overlaps(&file->bounds[f], &plain->tree->nodes[node].region[f]);
    return meets;
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
    struct slice middle = letter_key(world, 8 + 5 * random_below(world->random, 3));
    if (world->two_keys && slice_compare(leaf.region[1].min, middle) < 0 &&
        (leaf.region[1].unbounded || slice_compare(middle, leaf.region[1].max) < 0)) {
        assert_ok(write_split_partition(&world->text, hold, id, 1, middle, world->record));
        world_commit(world);
    } else if (!leaf.region[0].unbounded && leaf.region[0].min.size) {
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
    world_begin_with(&world, seed, 1 + (uint32_t)(seed * 7 % 13), seed % 3 == 1);
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
            if (job.until_ms > world.time_ms + 1000 && random_below(world.random, 3) == 0) {
                jobs[which].until_ms += 20000;
                world_assign(&world, job.job, job.partition, job.files, job.n,
                             jobs[which].until_ms);
                continue;
            }
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

/* ---- by hand ---- */

/* The plan with files called a, b, ... in the order in which they were added. */
static void assert_plan(struct world *world, const struct compaction_plan_options *options,
                        const char *wanted)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = world_hold(world);
    struct compaction_plan plan;
    struct buffer text = BUFFER_INIT(1 << 20), found = BUFFER_INIT(1 << 20);
    assert_ok(compaction_plan(hold, options, &arena, &plan));
    say_plan(&text, &plan);
    for (const char *p = (const char *)text.data; *p;) {
        unsigned file = 0;
        while (file < world->n_files && !slice_starts_with(slice_from_text(p), world->files[file]))
            file++;
        char c = file < world->n_files ? (char)('a' + file) : *p;
        p += file < world->n_files ? world->files[file].size : 1;
        assert_ok(buffer_append_byte(&found, (uint8_t)c));
    }
    assert_ok(buffer_append_byte(&found, 0));
    assert_string_equal(found.data, wanted);
    buffer_free(&text);
    buffer_free(&found);
    table_state_release(hold);
}

static struct compaction_plan_options now(const struct world *world)
{
    return (struct compaction_plan_options){.now_ms = world->time_ms};
}

static void assert_plan_now(struct world *world, const char *wanted)
{
    struct compaction_plan_options options = now(world);
    assert_plan(world, &options, wanted);
}

static void assert_plan_forced(struct world *world, const char *leaf, const char *wanted)
{
    struct compaction_plan_options options = {
        .now_ms = world->time_ms, .force = true, .leaf = slice_from_text(leaf)};
    assert_plan(world, &options, wanted);
}

static struct slice id(const char *text)
{
    return slice_from_text(text);
}

/* The leaves of four are 0.0 to 0.3, their parents 0.4 and 0.5. */

static void partitions_are_planned_apart(void **unused)
{
    (void)unused;
    /* The reference's case: two leaves, `basic` in twos. */
    struct world world;
    world_begin(&world, 1, 2);
    world_set(&world, "glis.table.compaction.strategy.class", "basic");
    world_set(&world, "glis.table.compaction.files.batch.size", "2");
    for (uint64_t i = 1; i <= 4; i++)
        world_add(&world, 0, 99, i, 1);
    for (uint64_t i = 5; i <= 6; i++)
        world_add(&world, 100, 199, i, 1);
    assert_plan_now(&world, "job 0.0 strategy 300: a b\n"
                            "job 0.0 strategy 700: c d\n"
                            "job 0.1 strategy 1100: e f\n");
    world_end(&world);
}

static void equal_files_are_taken_by_name(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world, 2, 1);
    for (int i = 0; i < 5; i++)
        world_add(&world, 0, i == 1 ? 19 : 9, 1, 1);
    /* 10 10 10 10 20: 3 * 20 > 40, 3 * 10 <= 30. */
    assert_plan_now(&world, "job root strategy 40: a c d e\n");
    world_end(&world);
}

static void a_table_as_in_the_references_system_test_ends_with_a_file_a_leaf(void **unused)
{
    (void)unused;
    /* `basic` in twos; a file for each of the two left leaves, one over all leaves, one at the root
     * that holds keys of the right half. The reference has the same two jobs first; its second
     * step has four, because it halves blindly what the bounds keep out of the left half here. */
    struct world world;
    world_begin(&world, 3, 4);
    world_set(&world, "glis.table.compaction.strategy.class", "basic");
    world_set(&world, "glis.table.compaction.files.batch.size", "2");
    world_set(&world, "glis.table.inner.bytes", "0");
    world_add(&world, 0, 99, 1, 1);
    world_add(&world, 100, 199, 1, 1);
    world_add(&world, 0, 399, 1, 4);
    world_add(&world, 200, 399, 1, 1);
    assert_plan_now(&world, "push 0.5 d: 0.2=100 0.3=100\n"
                            "job 0.0 strategy 200: a c\n"
                            "job 0.1 strategy 200: b c\n");
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = world_hold(&world);
    struct compaction_plan_options options = now(&world);
    struct compaction_plan plan;
    assert_ok(compaction_plan(hold, &options, &arena, &plan));
    world_push_down(&world, &plan);
    assert_plan_now(&world, "job 0.0 strategy 200: a c\n"
                            "job 0.1 strategy 200: b c\n"
                            "job 0.2 strategy 200: c d\n"
                            "job 0.3 strategy 200: c d\n");
    table_state_release(hold);
    hold = world_hold(&world);
    assert_ok(compaction_plan(hold, &options, &arena, &plan));
    for (size_t i = 0; i < 4; i++) {
        world_assign(&world, "job", plan.jobs[i].partition, plan.jobs[i].files, 2, INT64_MAX / 2);
        world_compact(&world, "job", plan.jobs[i].partition, plan.jobs[i].files, 2);
    }
    assert_plan_now(&world, "");
    table_state_release(hold);
    world_end(&world);
}

static void files_go_down_as_far_as_the_pieces_are_large(void **unused)
{
    (void)unused;
    /* A row is 100 bytes. 4,000 rows at the root of four leaves. */
    static const struct {
        const char *inner_bytes, *min_bytes, *threshold, *plan;
    } cases[] = {
        /* Full by bytes: 400,000. The halves are 200,000, the quarters 100,000. */
        {"400000", "100000", "1000000", "push root a: 0.0=1000 0.1=1000 0.2=1000 0.3=1000\n"},
        {"400000", "100001", "1000000", "push root a: 0.4=2000 0.5=2000\n"},
        {"400001", "100001", "1000000", ""},
        /* Never at itself, however small the pieces. */
        {"0", "100000000", "1000000", "push root a: 0.4=2000 0.5=2000\n"},
        /* Full by min.file.bytes for each of four leaves. */
        {"1G", "100000", "1000000", "push root a: 0.0=1000 0.1=1000 0.2=1000 0.3=1000\n"},
        /* Full by a quarter of the threshold for each: 4 * 4000 / 4. */
        {"1G", "1000000", "4000", "push root a: 0.4=2000 0.5=2000\n"},
        {"1G", "1000000", "4001", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;
        world_begin(&world, 4, 4);
        world_set(&world, "glis.table.inner.bytes", cases[i].inner_bytes);
        world_set(&world, "glis.table.ingest.min.file.bytes", cases[i].min_bytes);
        world_set(&world, "glis.table.partition.splitting.threshold", cases[i].threshold);
        world_add(&world, 0, 399, 10, 1);
        assert_plan_now(&world, cases[i].plan);
        world_end(&world);
    }
}

static void a_planner_sees_that_more_leaves_make_room(void **unused)
{
    (void)unused;
    /* 20,000 bytes are full for two leaves, not for three. */
    struct world world;
    world_begin(&world, 16, 2);
    world_set(&world, "glis.table.ingest.min.file.bytes", "10000");
    world_add(&world, 0, 199, 1, 1);
    struct compaction_planner *planner = compaction_planner_new();
    struct compaction_plan_options options = now(&world);
    for (int split = 0; split < 2; split++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct compaction_plan plan;
        const struct table_state *hold = world_hold(&world);
        assert_ok(compaction_planner_plan(planner, hold, &options, &arena, &plan));
        assert_int_equal(plan.n_push_downs, split ? 0 : 1);
        if (!split) {
            assert_ok(write_split_partition(&world.text, hold, id("0.0"), 0,
                                            long_key(&world.arena, 50), 1));
            world_commit(&world);
        }
        table_state_release(hold);
    }
    compaction_planner_free(planner);
    world_end(&world);
}

static int estimate(void *context, const struct table_file *file, const struct key_range *region,
                    uint64_t *rows)
{
    (void)file;
    ++*(unsigned *)context;
    *rows = region[0].unbounded ? 0 : 390; /* says that nothing lies in the rightmost */
    return 0;
}

static int tell_nothing(void *context, const struct table_file *file,
                        const struct key_range *region, uint64_t *rows)
{
    (void)context, (void)file, (void)region;
    *rows = ROWS_UNKNOWN;
    return 0;
}

static void estimates_share_rows_out_and_never_leave_a_child_out(void **unused)
{
    (void)unused;
    struct world world;
    unsigned n_asked = 0;
    world_begin(&world, 5, 4);
    world_set(&world, "glis.table.inner.bytes", "0");
    world_add(&world, 0, 399, 1, 1);
    /* One whose bounds keep it in one leaf: all of its rows go there, unasked, exact as before. */
    world_add(&world, 0, 50, 1, 1);
    struct compaction_plan_options options = now(&world);
    options.estimate = estimate;
    options.estimate_context = &n_asked;
    assert_plan(&world, &options, "push root a: 0.4=390 0.5=1\n");
    options.estimate = tell_nothing; /* then rows are shared out by leaves */
    assert_plan(&world, &options, "push root a: 0.4=200 0.5=200\n");
    assert_int_equal(n_asked, 6); /* the halves, and the quarters to see whether these are large */
    world_end(&world);
}

static void inner_partitions_are_merged_while_they_are_not_full(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world, 6, 4);
    for (int i = 0; i < 5; i++)
        world_add(&world, 0, 399, 1, 1);
    assert_plan_now(&world, "job root strategy 2000: a b c d e\n");
    world_set(&world, "glis.table.inner.bytes", "0");
    assert_plan_now(&world, "push root a: 0.4=200 0.5=200\n"
                            "push root b: 0.4=200 0.5=200\n"
                            "push root c: 0.4=200 0.5=200\n"
                            "push root d: 0.4=200 0.5=200\n"
                            "push root e: 0.4=200 0.5=200\n");
    world_end(&world);
}

static void what_is_assigned_or_set_aside_is_left_alone(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world, 7, 1);
    world_set(&world, "glis.table.compaction.strategy.class", "basic");
    world_set(&world, "glis.table.compaction.files.batch.size", "2");
    for (uint64_t i = 1; i <= 5; i++)
        world_add(&world, 0, 9, i, 1);
    struct slice files[] = {world.files[0], world.files[3]};
    int64_t until = world.time_ms + 60000;
    world_assign(&world, "j1", id("root"), files, 2, until);
    assert_plan_now(&world, "job root strategy 50: b c\n");
    /* One file has no partner; when the time is up, not before, all count again. */
    struct compaction_plan_options options = {.now_ms = until - 1};
    assert_plan(&world, &options, "job root strategy 50: b c\n");
    options.now_ms = until;
    assert_plan(&world, &options,
                "job root strategy 30: a b\n"
                "job root strategy 70: c d\n");
    char text[200];
    snprintf(text, sizeof(text),
             "{\"type\":\"change_files\",\"for\":\"set_aside\",\"file\":\"%.*s\"}",
             SLICE_PRINT(world.files[1]));
    assert_ok(world_apply(world.state, ++world.record, world.time_ms, slice_from_text(text)));
    assert_plan(&world, &options,
                "job root strategy 40: a c\n"
                "job root strategy 90: d e\n");
    assert_plan_forced(&world, "", "job root strategy 80: c e\n");
    world_end(&world);
}

static void force_takes_what_is_left_also_single_and_shared_files(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world, 8, 4);
    world_set(&world, "glis.table.compaction.files.batch.size", "3");
    for (int i = 0; i < 4; i++)
        world_add(&world, 0, 9, 1, 1);
    world_add(&world, 100, 110, 1, 1);
    world_add(&world, 150, 249, 1, 2); /* shared by the two in the middle */
    /* 3 * 10 <= 10 + 10 + 10 holds for four, but a window of three has only 20 besides. */
    assert_plan_now(&world, "");
    assert_plan_forced(&world, "",
                       "job 0.0 force 30: a b c\n"
                       "job 0.0 force 10: d\n"
                       "job 0.1 force 61: e f\n"
                       "job 0.2 force 50: f\n");
    assert_plan_forced(&world, "0.2", "job 0.2 force 50: f\n");
    assert_plan_forced(&world, "0.3", "");
    /* What lies above a leaf comes down first, on the leaf and its siblings on the way; the leaves
     * that are reached wait. */
    world_add(&world, 0, 399, 1, 1);
    assert_plan_forced(&world, "0.2", "push root g: 0.4=200 0.2=100 0.3=100\n");
    assert_plan_forced(&world, "", "push root g: 0.0=100 0.1=100 0.2=100 0.3=100\n");
    struct compaction_plan_options options = now(&world);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct compaction_plan plan;
    const struct table_state *hold = world_hold(&world);
    options.leaf = id("root");
    assert_fails(compaction_plan(hold, &options, &arena, &plan), GLIS_ENOTFOUND, "no leaf 'root'");
    options.leaf = id("9.9");
    assert_fails(compaction_plan(hold, &options, &arena, &plan), GLIS_ENOTFOUND, "no leaf '9.9'");
    table_state_release(hold);
    world_end(&world);
}

static void one_leaf_is_planned_alone(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world, 9, 2);
    for (int i = 0; i < 8; i++)
        world_add(&world, i % 2 * 100, i % 2 * 100 + 9, 1, 1);
    assert_plan_now(&world, "job 0.0 strategy 40: a c e g\njob 0.1 strategy 40: b d f h\n");
    struct compaction_plan_options options = now(&world);
    options.leaf = id("0.1");
    assert_plan(&world, &options, "job 0.1 strategy 40: b d f h\n");
    world_end(&world);
}

static void a_leaf_over_the_threshold_by_estimate_gets_its_files_first(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world, 10, 4);
    world_set(&world, "glis.table.partition.splitting.threshold", "1000");
    world_add(&world, 0, 99, 6, 1);  /* 600 of its own */
    world_add(&world, 0, 199, 3, 2); /* 300 and 300, shared */
    assert_plan_now(&world, "");     /* 900 */
    world_add(&world, 0, 399, 1, 1); /* 400 at the root: a quarter of them, 100 */
    assert_plan_now(&world, "push root c: 0.0=100 0.1=100 0.5=200\n");
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = world_hold(&world);
    struct compaction_plan_options options = now(&world);
    struct compaction_plan plan;
    assert_ok(compaction_plan(hold, &options, &arena, &plan));
    world_push_down(&world, &plan);
    table_state_release(hold);
    /* Now they are its own, by estimate: what is not wholly inside is merged. */
    assert_plan_now(&world, "job 0.0 split 400: c b\n");
    world_add(&world, 0, 99, 4, 1); /* and by exact rows it is to be split */
    assert_plan_now(&world, "split 0.0 1000\n");
    world_end(&world);
}

static void thresholds_count_exact_rows_wholly_inside(void **unused)
{
    (void)unused;
    /* The reference's cases: 300 + 200 reach 500, not 501; a shared file does not count. */
    struct world world;
    world_begin(&world, 11, 2);
    world_add(&world, 0, 99, 3, 1);
    world_add(&world, 0, 99, 2, 1);
    world_set(&world, "glis.table.partition.splitting.threshold", "500");
    assert_plan_now(&world, "split 0.0 500\n");
    world_set(&world, "glis.table.partition.splitting.threshold", "501");
    assert_plan_now(&world, "");
    world_add(&world, 0, 199, 3, 2);
    assert_plan_now(&world, "job 0.0 split 300: c\n");
    world_end(&world);
}

static void what_failed_three_times_rests_for_a_day_or_until_a_change(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world, 12, 1);
    for (int i = 0; i < 4; i++)
        world_add(&world, 0, 9, 1, 1);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct compaction_planner *planner = compaction_planner_new();
    const struct table_state *hold = world_hold(&world);
    struct compaction_plan_options options = now(&world);
    struct compaction_plan plan;
    assert_ok(compaction_planner_plan(planner, hold, &options, &arena, &plan));
    assert_int_equal(plan.n_jobs, 1);
    struct compaction_failure failure = {.partition = id("root"),
                                         .times = 2,
                                         .last_ms = world.time_ms,
                                         .partition_files = plan.jobs[0].partition_files};
    options.failures = &failure;
    options.n_failures = 1;
    static const struct {
        uint64_t times;
        int64_t later_ms;
        bool changed, forgotten;
        size_t n_jobs;
    } steps[] = {
        {2, 0, false, false, 1},          {3, 0, false, false, 0},
        {3, DAY_MS - 1, false, false, 0}, {3, DAY_MS, false, false, 1},
        {4, DAY_MS - 1, false, false, 0}, {4, DAY_MS - 1, false, true, 1},
        {9, 5, false, false, 0},          {9, 5, true, false, 1},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        failure.times = steps[i].times;
        options.now_ms = failure.last_ms + steps[i].later_ms;
        options.n_failures = !steps[i].forgotten;
        if (steps[i].changed) {
            table_state_release(hold);
            world_add(&world, 0, 9, 1, 1);
            hold = world_hold(&world);
        }
        for (int once = 0; once < 2; once++) {
            if (once)
                assert_ok(compaction_plan(hold, &options, &arena, &plan));
            else
                assert_ok(compaction_planner_plan(planner, hold, &options, &arena, &plan));
            if (plan.n_jobs != steps[i].n_jobs) fail_msg("step %zu: %zu jobs", i, plan.n_jobs);
        }
    }
    table_state_release(hold);
    compaction_planner_free(planner);
    world_end(&world);
}

static void no_more_jobs_are_planned_than_may_run(void **unused)
{
    (void)unused;
    struct world world;
    world_begin(&world, 13, 10);
    world_set(&world, "glis.table.compaction.strategy.class", "basic");
    world_set(&world, "glis.table.compaction.files.batch.size", "2");
    for (int64_t i = 0; i < 20; i++)
        world_add(&world, i / 2 * 100, i / 2 * 100 + 9, 1, 1);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct compaction_plan_options options = now(&world);
    struct compaction_plan plan;
    const struct table_state *hold = world_hold(&world);
    assert_ok(compaction_plan(hold, &options, &arena, &plan));
    assert_int_equal(plan.n_jobs, 10);
    world_assign(&world, "running", arena_copy(&arena, plan.jobs[0].partition), plan.jobs[0].files,
                 2, world.time_ms + HOUR_MS);
    world_set(&world, "glis.table.compaction.job.creation.limit", "4");
    table_state_release(hold);
    hold = world_hold(&world);
    /* One runs, so three of nine, each as often as another. */
    unsigned counts[10] = {0};
    for (options.seed = 0; options.seed < 3000; options.seed++) {
        assert_ok(compaction_plan(hold, &options, &arena, &plan));
        assert_int_equal(plan.n_jobs, 3);
        assert_int_equal(plan.n_jobs_due, 9);
        assert_int_equal(plan.n_jobs_running, 1);
        for (size_t i = 0; i < 3; i++) {
            counts[plan.jobs[i].partition.data[2] - '0']++;
            if (i)
                assert_true(slice_compare(plan.jobs[i - 1].partition, plan.jobs[i].partition) < 0);
        }
    }
    assert_int_equal(counts[0], 0);
    for (int i = 1; i < 10; i++)
        assert_in_range(counts[i], 900, 1100); /* 1000, and 26 is a standard deviation */
    /* A worker that wants two gets two, from different places. */
    memset(counts, 0, sizeof(counts));
    options.max_jobs = 2;
    for (options.seed = 0; options.seed < 300; options.seed++) {
        assert_ok(compaction_plan(hold, &options, &arena, &plan));
        assert_int_equal(plan.n_jobs, 2);
        counts[plan.jobs[0].partition.data[2] - '0']++;
    }
    for (int i = 1; i < 10; i++)
        assert_true(counts[i] > 0);
    table_state_release(hold);
    world_end(&world);
}

static void each_property_changes_the_plan(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *value, *with;
    } cases[] = {
        {NULL, NULL, "job 0.0 strategy 40: a b c d\n"},
        {"glis.table.inner.bytes", "0",
         "push root e: 0.0=50 0.1=50\njob 0.0 strategy 40: a b c d\n"},
        {"glis.table.partition.splitting.threshold", "40",
         "push root e: 0.0=50 0.1=50\njob 0.0 strategy 40: a b c d\nsplit 0.0 40\n"},
        {"glis.table.compaction.strategy.class", "basic", ""},
        {"glis.table.compaction.files.batch.size", "3", ""},
        {"glis.table.compaction.strategy.sizeratio.ratio", "4", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;
        world_begin(&world, 14, 2);
        for (int file = 0; file < 4; file++)
            world_add(&world, 0, 9, 1, 1);
        world_add(&world, 50, 149, 1, 1);
        if (cases[i].name) world_set(&world, cases[i].name, cases[i].value);
        assert_plan_now(&world, cases[i].with);
        world_end(&world);
    }
    /* The other two: at most so many jobs of a partition, and of all. */
    static const char *const limits[] = {
        "glis.table.compaction.strategy.sizeratio.max.concurrent.jobs.per.partition",
        "glis.table.compaction.job.creation.limit"};
    for (size_t i = 0; i < 2; i++) {
        struct world world;
        world_begin(&world, 15, 1);
        world_set(&world, "glis.table.compaction.files.batch.size", "2");
        world_set(&world, "glis.table.compaction.strategy.sizeratio.ratio", "1");
        for (uint64_t file = 0; file < 4; file++)
            world_add(&world, 0, 9, 1 + file / 2, 1);
        assert_plan_now(&world, "job root strategy 20: a b\njob root strategy 40: c d\n");
        world_set(&world, limits[i], "1");
        struct compaction_plan_options options = now(&world);
        options.seed = 1;
        defer_arena struct arena arena = ARENA_EMPTY;
        struct compaction_plan plan;
        const struct table_state *hold = world_hold(&world);
        assert_ok(compaction_plan(hold, &options, &arena, &plan));
        assert_int_equal(plan.n_jobs, 1);
        table_state_release(hold);
        world_end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_are_planned_apart),
        cmocka_unit_test(equal_files_are_taken_by_name),
        cmocka_unit_test(a_table_as_in_the_references_system_test_ends_with_a_file_a_leaf),
        cmocka_unit_test(files_go_down_as_far_as_the_pieces_are_large),
        cmocka_unit_test(a_planner_sees_that_more_leaves_make_room),
        cmocka_unit_test(estimates_share_rows_out_and_never_leave_a_child_out),
        cmocka_unit_test(inner_partitions_are_merged_while_they_are_not_full),
        cmocka_unit_test(what_is_assigned_or_set_aside_is_left_alone),
        cmocka_unit_test(force_takes_what_is_left_also_single_and_shared_files),
        cmocka_unit_test(one_leaf_is_planned_alone),
        cmocka_unit_test(a_leaf_over_the_threshold_by_estimate_gets_its_files_first),
        cmocka_unit_test(thresholds_count_exact_rows_wholly_inside),
        cmocka_unit_test(what_failed_three_times_rests_for_a_day_or_until_a_change),
        cmocka_unit_test(no_more_jobs_are_planned_than_may_run),
        cmocka_unit_test(each_property_changes_the_plan),
        cmocka_unit_test(plans_of_random_histories_are_the_plain_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
