/*
 * test_table_life.c: random lives of a table's state against a model that keeps rows in a list:
 * files by shared and by ancestor reference, splits on either of two keys (often heavily skewed),
 * subtrees, push-downs, jobs that commit, run out, are taken over and released, merged leaves,
 * deletes, pins, collection, the horizon, resets and going back. After each step every row is
 * reached from the leaf that its key belongs to exactly once, and the state is valid.
 *
 * A model's row is a number; files are lists of rows. Which files hold a row, and that the state
 * leads to exactly one of them, is all there is to know. GLIS_LIFE_SEED=N runs one seed,
 * GLIS_LIFE_SEEDS=N as many.
 */
#include "table_world.h"

#define LIFE_SCHEMA                                                                       \
    "{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"LongType\"},{\"name\":\"l\",\"type\":" \
    "\"LongType\"}],\"valueFields\":[{\"name\":\"v\",\"type\":\"IntType\"}]}"

static uint64_t current_seed;

#define EXPECT(code, wanted) expect(__LINE__, code, wanted)
static void expect(int line, int code, int wanted)
{
    if (code != wanted)
        fail_msg("line %d, seed %llu: %d instead of %d: %s", line, (unsigned long long)current_seed,
                 code, wanted, code < 0 ? error_message() : "");
}

enum { ROWS_MAX = 6000, FILES_MAX = 600, JOBS_MAX = 64, RECORDS_MAX = 700, DAY = 86400000 };

struct life_row {
    int64_t key[2];
    bool alive;
};
struct life_file {
    char name[64];
    uint32_t *rows;
    uint32_t n_rows;
    bool collected; /* its object is deleted */
};
struct life_job {
    char id[16], partition[40];
    char inputs[8][64];
    uint32_t n_inputs;
    uint64_t record; /* at which it was assigned */
};
struct life {
    struct random *random;
    struct state *state;
    uint64_t record;
    int64_t time_ms;
    struct life_row rows[ROWS_MAX];
    uint32_t n_rows;
    struct life_file files[FILES_MAX];
    uint32_t n_files;
    struct life_job jobs[JOBS_MAX];
    uint32_t n_jobs, n_made_jobs;
    struct buffer text;
    /* States of the past with the rows that were alive, for going back. */
    struct state *past[RECORDS_MAX];
    bool *past_alive[RECORDS_MAX];
    uint32_t past_rows[RECORDS_MAX];
    uint64_t deleted_record;
    int counts[24]; /* how often each kind of step happened, so that a quiet walk is noticed */
};

static uint64_t below(struct life *life, uint64_t n)
{
    return random_below(life->random, n);
}

static struct slice field_key(struct arena *arena, const struct life_row *row, int field)
{
    return long_key(arena, row->key[field]);
}

/* A hold on a copy of the present state. */
static const struct table_state *hold_new(const struct life *life)
{
    return table_state_own(state_clone(life->state), life->record, life->time_ms);
}

/* Applies what was written; remembers the past when it was done. */
static int life_apply(struct life *life)
{
    life->time_ms += (int64_t)below(life, 2000);
    int code = world_apply(life->state, life->record + 1, life->time_ms, buffer_slice(&life->text));
    if (code == 0) {
        life->record++;
        /* Once applied, it is refused or harmless: no row may come twice or vanish. */
        struct state *again = state_clone(life->state);
        int second = world_apply(again, life->record + 1, life->time_ms, buffer_slice(&life->text));
        assert_true(second == GLIS_EREFUSED || second == LOG_ALREADY_DONE ||
                    again->numbers[NUMBER_ROWS] == life->state->numbers[NUMBER_ROWS]);
        state_free(again);
    } else if (code != GLIS_EREFUSED && code != LOG_ALREADY_DONE) {
        assert_ok(code);
    }
    buffer_clear(&life->text);
    return code;
}

static void life_text(struct life *life, const char *text)
{
    buffer_clear(&life->text);
    assert_ok(buffer_append_text(&life->text, text));
}

static struct life_file *file_named(struct life *life, struct slice name)
{
    for (uint32_t i = 0; i < life->n_files; i++)
        if (slice_equal_text(name, life->files[i].name)) return &life->files[i];
    fail_msg("no file of that name");
    return NULL;
}

static struct life_file *file_new(struct life *life, uint64_t begun, uint32_t n_rows)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    assert_true(life->n_files < FILES_MAX);
    uint32_t n = life->n_files;
    struct life_file *file = &life->files[life->n_files++];
    snprintf(file->name, sizeof(file->name), "data/%012llx-01ARZ3NDEKTSV4RRFFQ69G5%c%c%c.parquet",
             (unsigned long long)begun, digits[n / 1024 % 32], digits[n / 32 % 32], digits[n % 32]);
    file->rows = memory_alloc((n_rows + 1) * sizeof(*file->rows));
    file->n_rows = n_rows;
    return file;
}

static void make_bounds(struct life *life, const struct life_file *file, struct arena *arena,
                        struct file_bound bounds[2])
{
    for (int f = 0; f < 2; f++) {
        int64_t low = INT64_MAX, high = INT64_MIN;
        for (uint32_t i = 0; i < file->n_rows; i++) {
            int64_t key = life->rows[file->rows[i]].key[f];
            if (key < low) low = key;
            if (key > high) high = key;
        }
        bounds[f] = (struct file_bound){long_key(arena, low), long_key(arena, high), false};
    }
}

static bool in_region(const struct life_row *row, const struct key_range *region,
                      struct arena *arena)
{
    for (int f = 0; f < 2; f++)
        if (!key_range_contains(&region[f], field_key(arena, row, f))) return false;
    return true;
}

/* ---- what must hold ---- */

struct reach {
    struct life *life;
    uint32_t *seen;
    struct arena *arena;
    bool with_collected;
};

static int reach_leaf(void *context, const struct table_leaf *leaf)
{
    struct reach *reach = context;
    for (size_t r = 0; r < leaf->n_references; r++) {
        const struct life_file *file = file_named(reach->life, leaf->references[r].file->name);
        assert_false(file->collected);
        for (uint32_t i = 0; i < file->n_rows; i++)
            if (in_region(&reach->life->rows[file->rows[i]], leaf->partition.region, reach->arena))
                reach->seen[file->rows[i]]++;
    }
    return 0;
}

static void check_reach(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct reach reach = {.life = life, .arena = &arena};
    reach.seen = memory_alloc_zero((life->n_rows + 1) * sizeof(*reach.seen));
    const struct table_state *hold = hold_new(life);
    assert_ok(table_each_leaf(hold, NULL, NULL, reach_leaf, &reach));
    for (uint32_t i = 0; i < life->n_rows; i++)
        if (reach.seen[i] != life->rows[i].alive)
            fail_msg("seed %llu, record %llu: row %u (%lld, %lld) is reached %u times",
                     (unsigned long long)current_seed, (unsigned long long)life->record, i,
                     (long long)life->rows[i].key[0], (long long)life->rows[i].key[1],
                     reach.seen[i]);
    table_state_release(hold);
    free(reach.seen);
}

/* ---- steps ---- */

/* Random disjoint partitions below `node` that cover what the bounds meet. */
static void random_cover(struct life *life, const struct partition_tree *tree, uint32_t node,
                         const struct file_bound *bounds, bool may_stay, struct new_reference *out,
                         size_t *n_out)
{
    const struct partition_node *at = &tree->nodes[node];
    for (int f = 0; f < 2; f++)
        if (!file_bound_overlaps(&bounds[f], &at->region[f])) return;
    if (may_stay && (at->left == UINT32_MAX || below(life, 3) == 0)) {
        out[(*n_out)++] = (struct new_reference){at->id, 0};
        return;
    }
    random_cover(life, tree, at->left, bounds, true, out, n_out);
    random_cover(life, tree, at->right, bounds, true, out, n_out);
}

static void step_ingest(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    uint32_t n = 1 + (uint32_t)below(life, 12);
    if (life->n_rows + n > ROWS_MAX || life->n_files + 2 > FILES_MAX) return;
    uint64_t begun = life->record - (below(life, 8) == 0 ? below(life, life->record) : 0);
    struct life_file *file = file_new(life, begun, n);
    bool skewed = below(life, 3) == 0;
    for (uint32_t i = 0; i < n; i++) {
        struct life_row *row = &life->rows[life->n_rows];
        row->key[0] = skewed ? 7 : (int64_t)below(life, 100);
        row->key[1] = skewed && below(life, 2) ? 3 : (int64_t)below(life, 20);
        file->rows[i] = life->n_rows++;
    }
    const struct table_state *hold = hold_new(life);
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, &arena, &tree));
    struct file_bound bounds[2];
    make_bounds(life, file, &arena, bounds);
    struct new_reference *references = ARENA_ARRAY(&arena, struct new_reference, tree->n_nodes);
    size_t n_cover = 0, n_references = 0;
    random_cover(life, tree, 0, bounds, true, references, &n_cover);
    /* Only partitions with rows, as ingest does it; counts are exact. */
    for (size_t i = 0; i < n_cover; i++) {
        struct partition partition;
        assert_ok(table_partition(hold, references[i].partition, &arena, &partition));
        uint64_t rows = 0;
        for (uint32_t r = 0; r < n; r++)
            rows += in_region(&life->rows[file->rows[r]], partition.region, &arena);
        if (rows) references[n_references++] = (struct new_reference){partition.id, rows};
    }
    char job[32];
    snprintf(job, sizeof(job), "ingest-%u", life->n_files);
    struct new_file new_file = {.name = slice_from_text(file->name),
                                .size = 100,
                                .rows = n,
                                .bounds = bounds,
                                .references = references,
                                .n_references = n_references};
    struct ingest_commit commit = {.state = hold,
                                   .files = &new_file,
                                   .n_files = 1,
                                   .job = slice_from_text(job),
                                   .fingerprint = {1, 2}};
    assert_ok(write_ingest(&life->text, &commit));
    bool late = begun < life->state->numbers[NUMBER_HORIZON];
    int code = life_apply(life);
    EXPECT(code, late ? GLIS_EREFUSED : 0);
    for (uint32_t i = 0; i < n; i++)
        life->rows[file->rows[i]].alive = code == 0;
    life->counts[late ? 1 : 0]++;
    table_state_release(hold);
}

static uint32_t random_leaf(struct life *life, const struct partition_tree *tree)
{
    return tree->leaves[below(life, tree->n_leaves)];
}

static void step_split(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = hold_new(life);
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, &arena, &tree));
    const struct partition_node *leaf = &tree->nodes[random_leaf(life, tree)];
    uint32_t dimension = (uint32_t)below(life, 2);
    struct slice split = long_key(&arena, (int64_t)below(life, dimension ? 20 : 100));
    bool inside = key_range_contains(&leaf->region[dimension], split) &&
                  !slice_equal(leaf->region[dimension].min, split);
    if (below(life, 3)) {
        assert_ok(write_split_partition(&life->text, hold, leaf->id, dimension, split,
                                        random_u64(life->random)));
    } else {
        /* A subtree of three leaves when it fits. */
        struct slice second = long_key(&arena, (int64_t)below(life, dimension ? 20 : 100));
        bool right = inside && slice_compare(split, second) < 0 &&
                     key_range_contains(&leaf->region[dimension], second);
        struct growing_node nodes[5] = {{dimension, split, 1, 2}, {0}, {0}, {0}, {0}};
        if (right) nodes[2] = (struct growing_node){dimension, second, 3, 4};
        struct growing_leaf growing = {leaf->id, nodes, right ? 5 : 3};
        assert_ok(write_extend_tree(&life->text, hold, &growing, 1, random_u64(life->random)));
        life->counts[2] += right;
    }
    int code = life_apply(life);
    EXPECT(code, inside ? 0 : GLIS_EREFUSED);
    life->counts[3] += inside;
    table_state_release(hold);
}

static bool pick_reference(struct life *life, const struct table_state *hold, struct arena *arena,
                           bool inner_only, struct table_reference *out)
{
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, arena, &tree));
    for (int attempt = 0; attempt < 20; attempt++) {
        const struct partition_node *node = &tree->nodes[below(life, tree->n_nodes)];
        if (inner_only && node->left == UINT32_MAX) continue;
        struct table_reference *references;
        size_t n;
        assert_ok(table_references(hold, node->id, arena, &references, &n));
        if (!n) continue;
        *out = references[below(life, n)];
        return true;
    }
    return false;
}

static void step_push_down(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = hold_new(life);
    struct table_reference reference;
    if (pick_reference(life, hold, &arena, true, &reference)) {
        const struct partition_tree *tree;
        assert_ok(table_tree(hold, &arena, &tree));
        uint32_t node = 0;
        while (!slice_equal(tree->nodes[node].id, reference.partition))
            node++;
        struct new_reference *to = ARENA_ARRAY(&arena, struct new_reference, tree->n_nodes);
        size_t n_to = 0;
        random_cover(life, tree, node, reference.file->bounds, false, to, &n_to);
        bool left_out = n_to > 1 && below(life, 6) == 0;
        struct reference_move move = {reference.partition, reference.file->name, to,
                                      n_to - left_out};
        assert_ok(write_push_down(&life->text, &move, 1));
        bool assigned = table_reference_is_assigned(&reference, life->time_ms);
        int code = life_apply(life);
        if (left_out) EXPECT(code, GLIS_EREFUSED);
        if (assigned && life->time_ms < reference.until_ms) EXPECT(code, GLIS_EREFUSED);
        if (reference.is_set_aside) EXPECT(code, GLIS_EREFUSED);
        if (!left_out && !assigned && !reference.is_set_aside) EXPECT(code, 0);
        life->counts[code == 0 ? 4 : 5]++;
    }
    table_state_release(hold);
}

static void step_assign(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = hold_new(life);
    struct table_reference reference;
    if (life->n_jobs < JOBS_MAX && pick_reference(life, hold, &arena, false, &reference)) {
        struct life_job *job = &life->jobs[life->n_jobs];
        *job = (struct life_job){.record = life->record + 1};
        snprintf(job->id, sizeof(job->id), "job-%u", life->n_made_jobs++);
        snprintf(job->partition, sizeof(job->partition), "%.*s", SLICE_PRINT(reference.partition));
        struct table_reference *references;
        size_t n;
        bool free_all = true;
        assert_ok(table_references(hold, reference.partition, &arena, &references, &n));
        struct slice files[8];
        for (size_t i = 0; i < n && job->n_inputs < 8; i++) {
            if (n > 1 && below(life, 3) == 0) continue;
            if (references[i].is_set_aside) continue;
            files[job->n_inputs] = references[i].file->name;
            free_all &= !table_reference_is_assigned(&references[i], life->time_ms);
            snprintf(job->inputs[job->n_inputs++], 64, "%.*s",
                     SLICE_PRINT(references[i].file->name));
        }
        struct job_assignment assignment = {slice_from_text(job->id), reference.partition, files,
                                            job->n_inputs,
                                            life->time_ms + 2000 + (int64_t)below(life, 30000)};
        if (job->n_inputs) {
            assert_ok(write_assign_job(&life->text, &assignment));
            int code = life_apply(life);
            if (free_all) EXPECT(code, 0);
            if (code == 0) life->n_jobs++;
            life->counts[code == 0 ? 6 : 7]++;
        }
    }
    table_state_release(hold);
}

/* The rows of a job's inputs that lie in its partition, as its worker would merge them. */
static struct life_file *merge_inputs(struct life *life, const struct table_state *hold,
                                      const struct life_job *job, uint64_t begun)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct partition partition;
    if (table_partition(hold, slice_from_text(job->partition), &arena, &partition) < 0) return NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < job->n_inputs; i++)
        n += file_named(life, slice_from_text(job->inputs[i]))->n_rows;
    struct life_file *file = file_new(life, begun, n);
    file->n_rows = 0;
    for (uint32_t i = 0; i < job->n_inputs; i++) {
        const struct life_file *input = file_named(life, slice_from_text(job->inputs[i]));
        for (uint32_t r = 0; r < input->n_rows; r++)
            if (in_region(&life->rows[input->rows[r]], partition.region, &arena))
                file->rows[file->n_rows++] = input->rows[r];
    }
    return file;
}

static void step_finish(struct life *life)
{
    if (!life->n_jobs || life->n_files + 2 > FILES_MAX) return;
    defer_arena struct arena arena = ARENA_EMPTY;
    uint32_t which = (uint32_t)below(life, life->n_jobs);
    struct life_job job = life->jobs[which];
    const struct table_state *hold = hold_new(life);
    /* What the state says about whether the job may commit. */
    struct table_assignment *assignments;
    size_t n_assignments, held = 0;
    assert_ok(table_assignments(hold, &arena, &assignments, &n_assignments));
    for (size_t i = 0; i < n_assignments; i++)
        if (slice_equal_text(assignments[i].job, job.id)) held = assignments[i].n_references;
    struct life_file *file = merge_inputs(life, hold, &job, job.record);
    if (file) {
        struct slice inputs[8];
        for (uint32_t i = 0; i < job.n_inputs; i++)
            inputs[i] = slice_from_text(job.inputs[i]);
        struct file_bound bounds[2];
        struct new_file new_file = {
            .name = slice_from_text(file->name), .size = 100, .rows = file->n_rows};
        if (file->n_rows) {
            make_bounds(life, file, &arena, bounds);
            new_file.bounds = bounds;
        }
        struct compaction_commit commit = {.state = hold,
                                           .job = slice_from_text(job.id),
                                           .partition = slice_from_text(job.partition),
                                           .inputs = inputs,
                                           .n_inputs = job.n_inputs,
                                           .file = file->n_rows ? &new_file : NULL};
        assert_ok(write_compaction(&life->text, &commit));
        bool late = job.record < life->state->numbers[NUMBER_HORIZON] && file->n_rows;
        int code = life_apply(life);
        if (held == job.n_inputs && !late) EXPECT(code, 0);
        if (held != job.n_inputs || late) EXPECT(code, GLIS_EREFUSED);
        life->counts[code == 0 ? 8 : 9]++;
    }
    life->jobs[which] = life->jobs[--life->n_jobs];
    table_state_release(hold);
}

static void step_release(struct life *life)
{
    if (!life->n_jobs) return;
    uint32_t which = (uint32_t)below(life, life->n_jobs);
    char text[100];
    snprintf(text, sizeof(text), "{\"type\":\"release_job\",\"job\":\"%s\"}", life->jobs[which].id);
    life_text(life, text);
    life->counts[10] += life_apply(life) == 0;
    if (below(life, 2)) life->jobs[which] = life->jobs[--life->n_jobs]; /* else a zombie */
}

static void step_merge_partitions(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    if (below(life, 2)) life->time_ms += DAY;
    const struct table_state *hold = hold_new(life);
    struct slice *parents;
    size_t n;
    assert_ok(table_mergeable(hold, &arena, &parents, &n));
    if (n) {
        char text[128];
        struct slice parent = parents[below(life, n)];
        snprintf(text, sizeof(text), "{\"type\":\"merge_partitions\",\"parent\":\"%.*s\"}",
                 SLICE_PRINT(parent));
        life_text(life, text);
        EXPECT(life_apply(life), 0);
        life->counts[11]++;
    }
    table_state_release(hold);
}

/* Deletes the rows of one partition's references whose first key is in a range. */
static void step_delete(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = hold_new(life);
    struct table_reference reference;
    if (life->n_files + 2 < FILES_MAX && pick_reference(life, hold, &arena, false, &reference)) {
        int64_t low = (int64_t)below(life, 100), high = low + (int64_t)below(life, 30);
        struct partition partition;
        assert_ok(table_partition(hold, reference.partition, &arena, &partition));
        const struct life_file *old = file_named(life, reference.file->name);
        struct life_file *file = file_new(life, life->record, old->n_rows);
        file->n_rows = 0;
        bool *dies = ARENA_ARRAY(&arena, bool, ROWS_MAX);
        for (uint32_t r = 0; r < old->n_rows; r++) {
            const struct life_row *row = &life->rows[old->rows[r]];
            if (!in_region(row, partition.region, &arena)) continue;
            dies[old->rows[r]] = row->key[0] >= low && row->key[0] < high;
            if (!dies[old->rows[r]]) file->rows[file->n_rows++] = old->rows[r];
        }
        struct file_bound bounds[2];
        struct new_reference own = {reference.partition, file->n_rows};
        struct new_file new_file = {.name = slice_from_text(file->name),
                                    .size = 100,
                                    .rows = file->n_rows,
                                    .references = &own,
                                    .n_references = 1};
        if (file->n_rows) {
            make_bounds(life, file, &arena, bounds);
            new_file.bounds = bounds;
        }
        struct named_reference gone = {reference.partition, reference.file->name};
        struct delete_commit commit = {.state = hold,
                                       .references = &gone,
                                       .n_references = 1,
                                       .files = &new_file,
                                       .n_files = file->n_rows ? 1 : 0};
        assert_ok(write_delete(&life->text, &commit));
        EXPECT(life_apply(life), 0);
        for (uint32_t i = 0; i < life->n_rows; i++)
            if (dies[i]) life->rows[i].alive = false;
        life->deleted_record = life->record;
        life->counts[12]++;
    }
    table_state_release(hold);
}

struct finding {
    struct table_file files[FILES_MAX];
    size_t n;
    struct arena arena;
    const struct table_state *hold;
};

static int find_gone(void *context, const struct table_file *file)
{
    struct finding *finding = context;
    if (file->n_references) return 0;
    finding->files[finding->n] = *file;
    finding->files[finding->n++].name = arena_copy(&finding->arena, file->name);
    return 0;
}

/* Marks, deletes and forgets what no pin keeps; the horizon rises now and then. */
static void step_collect(struct life *life)
{
    const struct table_state *hold = hold_new(life);
    struct finding *finding = memory_alloc_zero(sizeof(*finding));
    assert_ok(table_each_file(hold, find_gone, finding));
    for (size_t i = 0; i < finding->n; i++) {
        struct table_file *file = &finding->files[i];
        if (below(life, 3) == 0) continue;
        char text[200];
        bool pinned = table_file_is_pinned(hold, file, life->time_ms);
        snprintf(text, sizeof(text),
                 "{\"type\":\"mark_files\",\"files\":[{\"name\":\"%.*s\",\"gone\":%llu}]}",
                 SLICE_PRINT(file->name), (unsigned long long)file->gone_record);
        life_text(life, text);
        int code = life_apply(life);
        if (!pinned) EXPECT(code, 0);
        life->counts[code == 0 ? 13 : 14]++;
        if (code < 0) continue;
        file_named(life, file->name)->collected = true;
        if (below(life, 4) == 0) continue; /* died in between */
        snprintf(text, sizeof(text), "{\"type\":\"forget_files\",\"files\":[\"%.*s\"]}",
                 SLICE_PRINT(file->name));
        life_text(life, text);
        EXPECT(life_apply(life), 0);
    }
    arena_free(&finding->arena);
    free(finding);
    table_state_release(hold);
    hold = hold_new(life);
    uint64_t limit = table_horizon_limit(hold);
    char text[100];
    uint64_t wanted = below(life, life->record + 1);
    snprintf(text, sizeof(text), "{\"type\":\"raise_horizon\",\"record\":%llu}",
             (unsigned long long)wanted);
    life_text(life, text);
    bool rises = wanted > life->state->numbers[NUMBER_HORIZON];
    int code = life_apply(life);
    if (rises && wanted <= limit) EXPECT(code, 0);
    if (!rises) EXPECT(code, GLIS_EREFUSED);
    life->counts[15] += code == 0;
    table_state_release(hold);
}

static void step_pin(struct life *life)
{
    char text[200];
    uint64_t record = 1 + below(life, life->record);
    while (!life->past[record])
        record--; /* steps of several records keep only their end */
    if (below(life, 4) == 0)
        snprintf(text, sizeof(text), "{\"type\":\"unpin\",\"id\":\"pin-%llu\"}",
                 (unsigned long long)below(life, 4));
    else
        snprintf(text, sizeof(text),
                 "{\"type\":\"pin\",\"id\":\"pin-%llu\",\"record\":%llu,\"until\":%lld,"
                 "\"keeps\":\"%s\"}",
                 (unsigned long long)below(life, 4), (unsigned long long)record,
                 below(life, 4) ? (long long)life->time_ms + 50000 : 0LL,
                 below(life, 3) ? "files" : "work");
    life_text(life, text);
    life->counts[16] += life_apply(life) == 0;
}

/* Every pinned state can be read: none of its files is collected. */
static void check_pins(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = hold_new(life);
    struct table_pin *pins;
    size_t n;
    assert_ok(table_pins(hold, &arena, &pins, &n));
    for (size_t i = 0; i < n; i++) {
        if (pins[i].until_ms && pins[i].until_ms <= life->time_ms) continue;
        assert_true(pins[i].record < RECORDS_MAX && life->past[pins[i].record]);
        const struct table_state *then =
            table_state_own(state_clone(life->past[pins[i].record]), pins[i].record, 0);
        struct finding *finding = memory_alloc_zero(sizeof(*finding));
        struct table_leaf *leaves;
        size_t n_leaves;
        assert_ok(table_leaves(then, NULL, &arena, &leaves, &n_leaves));
        for (size_t l = 0; l < n_leaves; l++)
            for (size_t r = 0; r < leaves[l].n_references; r++)
                assert_false(file_named(life, leaves[l].references[r].file->name)->collected);
        free(finding);
        table_state_release(then);
        life->counts[17]++;
    }
    table_state_release(hold);
}

static void step_restore(struct life *life)
{
    uint64_t record = life->record - below(life, life->record < 60 ? life->record : 60);
    if (record == 0 || record >= RECORDS_MAX || !life->past[record]) return;
    const struct table_state *now = hold_new(life);
    const struct table_state *then =
        table_state_own(state_clone(life->past[record]), record, life->time_ms);
    assert_ok(write_restore(&life->text, then, now));
    int code = life_apply(life);
    if (record < life->deleted_record) EXPECT(code, GLIS_EREFUSED);
    if (code == 0) {
        for (uint32_t i = 0; i < life->n_rows; i++)
            life->rows[i].alive = i < life->past_rows[record] && life->past_alive[record][i];
        life->n_jobs = below(life, 2) ? 0 : life->n_jobs; /* zombies of before, or none */
    }
    life->counts[code == 0 ? 18 : 19]++;
    table_state_release(then);
    table_state_release(now);
}

static void step_set_aside(struct life *life)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = hold_new(life);
    struct table_reference reference;
    if (pick_reference(life, hold, &arena, false, &reference)) {
        char text[200];
        snprintf(text, sizeof(text), "{\"type\":\"change_files\",\"for\":\"%s\",\"file\":\"%.*s\"}",
                 reference.is_set_aside ? "take_back" : "set_aside",
                 SLICE_PRINT(reference.file->name));
        life_text(life, text);
        EXPECT(life_apply(life), 0);
        life->counts[20]++;
        /* Mostly it is mended soon, or nothing would move any more. */
        if (!reference.is_set_aside && below(life, 4)) {
            snprintf(text, sizeof(text),
                     "{\"type\":\"change_files\",\"for\":\"take_back\",\"file\":\"%.*s\"}",
                     SLICE_PRINT(reference.file->name));
            life_text(life, text);
            EXPECT(life_apply(life), 0);
        }
    }
    table_state_release(hold);
}

static void step_reset(struct life *life)
{
    if (below(life, 12)) return;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice points[] = {long_key(&arena, 40)};
    assert_ok(write_reset(&life->text, life->state->numbers[NUMBER_GENERATION], points, 1,
                          below(life, 2)));
    EXPECT(life_apply(life), 0);
    for (uint32_t i = 0; i < life->n_rows; i++)
        life->rows[i].alive = false;
    life->n_jobs = 0;
    life->counts[21]++;
}

/* A snapshot reads back as the same state. */
static void step_snapshot(struct life *life)
{
    struct buffer bytes = BUFFER_INIT(64 << 20);
    assert_ok(table_machine.snapshot_write(NULL, life->state, SLICE("{}"), &bytes));
    struct block *block;
    assert_ok(block_new(&block, NULL, bytes.size));
    memcpy(block->data, bytes.data, bytes.size);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice log_part;
    void *loaded;
    assert_ok(table_machine.snapshot_read(NULL, block, slice_make(block->data, bytes.size), &arena,
                                          &log_part, &loaded));
    assert_ok(state_validate(loaded));
    state_free(life->state);
    life->state = loaded;
    block_release(block);
    buffer_free(&bytes);
    life->counts[22]++;
}

static void keep_past(struct life *life)
{
    if (life->record >= RECORDS_MAX) return;
    state_free(life->past[life->record]);
    free(life->past_alive[life->record]);
    life->past[life->record] = state_clone(life->state);
    life->past_alive[life->record] = memory_alloc((life->n_rows + 1) * sizeof(bool));
    for (uint32_t i = 0; i < life->n_rows; i++)
        life->past_alive[life->record][i] = life->rows[i].alive;
    life->past_rows[life->record] = life->n_rows;
}

static void (*const steps[])(struct life *) = {
    step_ingest,    step_ingest,    step_ingest, step_split,   step_split,
    step_push_down, step_push_down, step_assign, step_assign,  step_assign,
    step_finish,    step_finish,    step_finish, step_release, step_merge_partitions,
    step_delete,    step_collect,   step_pin,    step_restore, step_set_aside,
    step_reset,     step_snapshot,
};

static void live(uint64_t seed, int n_steps, int counts[24])
{
    struct life *life = memory_alloc_zero(sizeof(*life));
    life->random = random_seeded_new(seed);
    life->record = 1;
    life->time_ms = 1000;
    life->text = BUFFER_INIT(64 << 20);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice points[] = {long_key(&arena, 50)};
    life->state = world_new(LIFE_SCHEMA, points, seed % 2);
    keep_past(life);
    for (int i = 0; i < n_steps && life->record + 40 < RECORDS_MAX; i++) {
        steps[below(life, sizeof(steps) / sizeof(steps[0]))](life);
        check_reach(life);
        check_pins(life);
        keep_past(life);
    }
    for (int i = 0; i < 24; i++)
        counts[i] += life->counts[i];
    for (int i = 0; i < RECORDS_MAX; i++) {
        state_free(life->past[i]);
        free(life->past_alive[i]);
    }
    for (uint32_t i = 0; i < life->n_files; i++)
        free(life->files[i].rows);
    state_free(life->state);
    random_seeded_free(life->random);
    buffer_free(&life->text);
    free(life);
}

static uint64_t first_seed = 0, n_seeds = 40;

static void every_row_is_reached_once_after_each_step(void **unused)
{
    (void)unused;
    int counts[24] = {0};
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++) {
        current_seed = seed;
        live(seed, 150, counts);
    }
    for (int i = 0; i < 23 && n_seeds >= 40; i++) {
        if (!counts[i]) fail_msg("step %d never happened", i);
    }
}

int main(void)
{
    const char *count = getenv("GLIS_LIFE_SEEDS"), *only = getenv("GLIS_LIFE_SEED");
    if (count) n_seeds = strtoull(count, NULL, 10);
    if (only) first_seed = strtoull(only, NULL, 10), n_seeds = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_reached_once_after_each_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
