/*
 * merge.c: several ascending sources into one.
 *
 * A loser tree (Knuth, The Art of Computer Programming 3, 5.4.1) holds for each inner node the
 * input that lost there, so that a new row of the winner is compared once on each level. Nodes
 * carry eight bytes of the input's present key as a number, made for a whole block at a time; whole
 * keys are compared only when these agree. As which of two wins cannot be foretold, the winner goes
 * on by arithmetic and not by a branch. While one input keeps winning, its rows are taken in a
 * tight loop up to the key of the runner-up, which is the best of the losers on its path; and a
 * whole block that ends before the runner-up is handed on as it is, without a copy.
 *
 * Output is made in steps: rows are chosen as (block, row) pairs until there are enough, then
 * gathered column by column. Blocks that the choice has used up stay alive until then, so memory is
 * the present block of each input, those used up within one step, and the output.
 *
 * Equal keys come in the order of the inputs. Descending merges turn the comparisons round.
 */
#include "lsm/lsm_int.h"

#include <stdlib.h>

enum { STREAK = 8, NOT_LIVE = UINT32_MAX, LIVE_MAX = 1 << 20 };

struct input {
    struct sorted_source *source;
    struct sorted_block block; /* batch NULL: ended */
    int64_t row;
    uint64_t prefix;    /* of the row; the greatest at the end */
    uint64_t *prefixes; /* of the block's rows, so that the least comes first */
    int64_t prefix_room;
    uint64_t row_bytes; /* on average in this block */
    uint32_t live;      /* its block's place among the live ones of this step */
};

/* Who lost at an inner node, with its prefix at hand. */
struct tree_node {
    uint64_t prefix;
    uint64_t input;
};

struct merge {
    struct runtime *runtime;
    const struct schema *schema;
    struct budget *budget;
    struct merge_settings settings;
    uint32_t n_inputs, n_running;
    bool started;
    uint32_t winner;
    struct input *inputs;
    struct tree_node *losers; /* of inner nodes 1 .. n_inputs - 1 */
    struct row_source *rows;
    /* Blocks of the step: the batches and keys that rows refer to; those used up are released after
     * it. */
    uint32_t n_live, live_capacity;
    struct sorted_block *live_blocks;
    const struct batch **live_batches;
    const struct keys **live_keys;
    bool *live_is_done;
};

void sorted_block_free(struct sorted_block *block)
{
    if (!block->batch && !block->keys.bytes_block) return;
    batch_release(block->batch);
    keys_free(&block->keys);
    *block = (struct sorted_block){0};
}

size_t key_common(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size, i = 0;
    while (i < n && a.data[i] == b.data[i])
        i++;
    return i;
}

/* ---- order of inputs ---- */

static struct slice input_key(const struct input *input)
{
    return keys_get(&input->block.keys, input->row);
}

/* Whether input a gives its row before input b. */
static bool input_before(const struct merge *merge, uint32_t a, uint32_t b)
{
    const struct input *x = &merge->inputs[a], *y = &merge->inputs[b];
    if (x->prefix != y->prefix) return x->prefix < y->prefix;
    if (!x->block.batch || !y->block.batch)
        return x->block.batch ? true : y->block.batch ? false : a < b;
    int c = slice_compare(input_key(x), input_key(y));
    if (merge->settings.descending) c = -c;
    return c < 0 || (c == 0 && a < b);
}

static void input_load_prefixes(const struct merge *merge, struct input *input)
{
    const struct keys *keys = &input->block.keys;
    size_t skip = merge->settings.skip;
    uint64_t flip = merge->settings.descending ? UINT64_MAX : 0;
    if (keys->n_rows > input->prefix_room) {
        input->prefix_room = keys->n_rows;
        free(input->prefixes);
        input->prefixes = memory_alloc((size_t)keys->n_rows * sizeof *input->prefixes);
    }
    for (int64_t row = 0; row < keys->n_rows; row++)
        input->prefixes[row] = key_prefix_at(keys, row, skip) ^ flip;
    input->prefix = input->prefixes[input->row];
}

/* The next block of an input; the one before has been put among the live ones when rows refer to
 * it. */
static int input_load_block(struct merge *merge, struct input *input)
{
    do {
        sorted_block_free(&input->block);
        TRY(input->source->next(input->source, &input->block));
    } while (input->block.batch && input->block.batch->n_rows == 0);
    input->row = 0;
    input->live = NOT_LIVE;
    if (!input->block.batch) {
        input->prefix = UINT64_MAX;
        merge->n_running--;
        return 0;
    }
    ASSERT(input->block.keys.n_rows == input->block.batch->n_rows);
    input->row_bytes = batch_bytes(input->block.batch) / (uint64_t)input->block.batch->n_rows + 1;
    input_load_prefixes(merge, input);
    return 0;
}

/* Plays all matches anew. */
static uint32_t tree_build(struct merge *merge, uint32_t node)
{
    if (node >= merge->n_inputs) return node - merge->n_inputs;
    uint32_t left = tree_build(merge, 2 * node), right = tree_build(merge, 2 * node + 1);
    bool left_wins = input_before(merge, left, right);
    uint32_t loser = left_wins ? right : left;
    merge->losers[node] = (struct tree_node){merge->inputs[loser].prefix, loser};
    return left_wins ? left : right;
}

/* Plays the matches of the last winner, whose row has changed. */
static void tree_replay(struct merge *merge)
{
    struct tree_node winner = {merge->inputs[merge->winner].prefix, merge->winner};
    for (uint32_t at = (merge->winner + merge->n_inputs) / 2; at > 0; at /= 2) {
        struct tree_node *loser = &merge->losers[at];
        uint64_t swap = loser->prefix < winner.prefix;
        if (__builtin_expect(loser->prefix == winner.prefix, 0))
            swap = input_before(merge, (uint32_t)loser->input, (uint32_t)winner.input);
        uint64_t prefix = (loser->prefix ^ winner.prefix) & (0 - swap);
        uint64_t input = (loser->input ^ winner.input) & (0 - swap);
        loser->prefix ^= prefix;
        loser->input ^= input;
        winner.prefix ^= prefix;
        winner.input ^= input;
    }
    merge->winner = (uint32_t)winner.input;
}

/* The input that comes after the winner; n_inputs when there is none. */
static uint32_t tree_runner_up(const struct merge *merge)
{
    uint32_t best = merge->n_inputs;
    for (uint32_t node = (merge->winner + merge->n_inputs) / 2; node > 0; node /= 2) {
        uint32_t loser = (uint32_t)merge->losers[node].input;
        if (best == merge->n_inputs || input_before(merge, loser, best)) best = loser;
    }
    return best < merge->n_inputs && merge->inputs[best].block.batch ? best : merge->n_inputs;
}

/* Whether row `row` of the winner's block comes before the runner-up's present row. */
static bool row_before(const struct merge *merge, const struct input *winner, int64_t row,
                       uint32_t runner_up)
{
    if (runner_up == merge->n_inputs) return true;
    const struct input *other = &merge->inputs[runner_up];
    uint64_t prefix = winner->prefixes[row];
    if (prefix != other->prefix) return prefix < other->prefix;
    int c = slice_compare(keys_get(&winner->block.keys, row), input_key(other));
    if (merge->settings.descending) c = -c;
    return c < 0 || (c == 0 && merge->winner < runner_up);
}

/* ---- the blocks of a step ---- */

static uint32_t live_add(struct merge *merge, const struct sorted_block *block)
{
    if (merge->n_live == merge->live_capacity) {
        uint32_t n = merge->live_capacity ? 2 * merge->live_capacity : 64;
        merge->live_capacity = n;
        merge->live_blocks = memory_realloc(merge->live_blocks, n * sizeof *merge->live_blocks);
        merge->live_batches = memory_realloc(merge->live_batches, n * sizeof *merge->live_batches);
        merge->live_keys = memory_realloc(merge->live_keys, n * sizeof *merge->live_keys);
        merge->live_is_done = memory_realloc(merge->live_is_done, n * sizeof *merge->live_is_done);
    }
    merge->live_blocks[merge->n_live] = *block;
    merge->live_batches[merge->n_live] = block->batch;
    merge->live_is_done[merge->n_live] = false;
    return merge->n_live++;
}

/* Ends a step: frees the blocks used up in it. */
static void live_clear(struct merge *merge)
{
    for (uint32_t i = 0; i < merge->n_live; i++) {
        if (merge->live_is_done[i]) sorted_block_free(&merge->live_blocks[i]);
    }
    merge->n_live = 0;
    for (uint32_t i = 0; i < merge->n_inputs; i++)
        merge->inputs[i].live = NOT_LIVE;
}

/* Goes to the input's next row, or block. */
static int input_advance(struct merge *merge, struct input *input)
{
    if (++input->row < input->block.batch->n_rows) {
        input->prefix = input->prefixes[input->row];
        return 0;
    }
    if (input->live != NOT_LIVE) {
        merge->live_is_done[input->live] = true;
        input->block = (struct sorted_block){0};
    }
    return input_load_block(merge, input);
}

/* ---- choosing rows ---- */

/* A whole block of the winner that comes before all others goes out as it is. */
static int try_whole_block(struct merge *merge, struct sorted_block *out, bool *done)
{
    struct input *input = &merge->inputs[merge->winner];
    *done = false;
    if (input->row != 0) return 0;
    if (!row_before(merge, input, input->block.batch->n_rows - 1, tree_runner_up(merge))) return 0;
    *out = input->block;
    input->block = (struct sorted_block){0};
    if (!merge->settings.with_keys) keys_free(&out->keys);
    *done = true;
    int code = input_load_block(merge, input);
    if (code < 0) {
        sorted_block_free(out);
        return code;
    }
    tree_replay(merge);
    return 0;
}

static int choose_rows(struct merge *merge, int64_t max_rows, uint64_t max_bytes, int64_t *n_rows)
{
    int64_t n = 0;
    uint64_t bytes = 0;
    unsigned streak = 0;
    while (n < max_rows && bytes < max_bytes && merge->n_running > 0) {
        uint32_t winner = merge->winner;
        struct input *input = &merge->inputs[winner];
        if (input->live == NOT_LIVE) input->live = live_add(merge, &input->block);
        merge->rows[n++] = (struct row_source){input->live, (uint32_t)input->row};
        bytes += input->row_bytes;
        if (streak >= STREAK) {
            uint32_t runner_up = tree_runner_up(merge);
            while (n < max_rows && bytes < max_bytes &&
                   input->row + 1 < input->block.batch->n_rows &&
                   row_before(merge, input, input->row + 1, runner_up)) {
                input->row++;
                merge->rows[n++] = (struct row_source){input->live, (uint32_t)input->row};
                bytes += input->row_bytes;
            }
            streak = 0;
        }
        TRY(input_advance(merge, input));
        tree_replay(merge);
        streak = merge->winner == winner ? streak + 1 : 0;
        /* A block begins: perhaps it can go out whole, as a step of its own. */
        if (streak > 0 && input->row == 0 && n >= max_rows / 4) break;
    }
    *n_rows = n;
    return 0;
}

int merge_next(struct merge *merge, struct sorted_block *out)
{
    *out = (struct sorted_block){0};
    if (!merge->started) {
        for (uint32_t i = 0; i < merge->n_inputs; i++)
            TRY(input_load_block(merge, &merge->inputs[i]));
        merge->winner = merge->n_inputs > 1 ? tree_build(merge, 1) : 0;
        merge->started = true;
    }
    if (merge->n_running == 0) return 0;
    TRY(runtime_check_cancel(merge->runtime));
    bool done;
    TRY(try_whole_block(merge, out, &done));
    if (done) return 0;

    int64_t n_rows = 0;
    int code = choose_rows(merge, merge->settings.batch_rows, merge->settings.batch_bytes, &n_rows);
    for (uint32_t i = 0; i < merge->n_live; i++)
        merge->live_keys[i] = &merge->live_blocks[i].keys;
    if (code == 0)
        code =
            blocks_gather(merge->settings.serial ? NULL : merge->runtime, merge->schema,
                          merge->live_batches, merge->settings.with_keys ? merge->live_keys : NULL,
                          merge->n_live, merge->rows, n_rows, merge->budget, out);
    live_clear(merge);
    return code;
}

/* ---- gathering ---- */

struct gather {
    const struct schema *schema;
    const struct batch *const *batches;
    uint32_t n_batches;
    const struct row_source *rows;
    int64_t n_rows;
    struct budget *budget;
    struct column *columns;
};

static int gather_field(void *state, size_t field)
{
    struct gather *gather = state;
    return column_interleave(&gather->columns[field], gather->batches, gather->n_batches,
                             (uint32_t)field, gather->rows, gather->n_rows, gather->budget);
}

static int gather_keys(const struct keys *const *keys, const struct row_source *rows,
                       int64_t n_rows, struct budget *budget, struct keys *out)
{
    uint64_t size = 0;
    *out = (struct keys){.n_rows = n_rows, .stride = keys[rows[0].batch]->stride};
    for (int64_t i = 0; i < n_rows; i++)
        size += keys_get(keys[rows[i].batch], rows[i].row).size;
    if (size > UINT32_MAX)
        return error_set(GLIS_ELIMIT, "the keys of %lld rows take more than 4 GiB",
                         (long long)n_rows);
    TRY(block_new(&out->bytes_block, budget, size));
    uint8_t *bytes = out->bytes_block->data;
    uint32_t *offsets = NULL;
    if (!out->stride) {
        int code = block_new(&out->offsets_block, budget, ((uint64_t)n_rows + 1) * 4);
        if (code < 0) {
            keys_free(out);
            return code;
        }
        offsets = (uint32_t *)(void *)out->offsets_block->data;
        offsets[0] = 0;
    }
    uint64_t at = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        struct slice key = keys_get(keys[rows[i].batch], rows[i].row);
        memcpy(bytes + at, key.data, key.size);
        at += key.size;
        if (offsets) offsets[i + 1] = (uint32_t)at;
    }
    out->bytes = bytes;
    out->offsets = offsets;
    return 0;
}

int blocks_gather(struct runtime *runtime, const struct schema *schema,
                  const struct batch *const *batches, const struct keys *const *keys,
                  uint32_t n_batches, const struct row_source *rows, int64_t n_rows,
                  struct budget *budget, struct sorted_block *out)
{
    enum { PARALLEL_MIN = 8192 };
    *out = (struct sorted_block){0};
    struct gather gather = {schema, batches, n_batches, rows, n_rows, budget, NULL};
    defer_free struct column *columns = memory_alloc_zero((schema->n_fields + 1) * sizeof *columns);
    gather.columns = columns;
    int code = 0;
    if (runtime && schema->n_fields > 1 && n_rows * schema->n_fields >= PARALLEL_MIN) {
        code = pool_run(runtime->pool, schema->n_fields, gather_field, &gather);
    } else {
        for (uint32_t i = 0; code == 0 && i < schema->n_fields; i++)
            code = gather_field(&gather, i);
    }
    if (code == 0 && keys) code = gather_keys(keys, rows, n_rows, budget, &out->keys);
    if (code < 0) {
        for (uint32_t i = 0; i < schema->n_fields; i++)
            column_free(&columns[i]);
        return code;
    }
    code = batch_new(&out->batch, schema, columns, n_rows);
    if (code < 0) keys_free(&out->keys);
    return code;
}

/* ---- beginning and end ---- */

int merge_new(struct merge **out, struct runtime *runtime, const struct schema *schema,
              struct sorted_source **sources, uint32_t n_sources,
              const struct merge_settings *settings, struct budget *budget)
{
    struct merge *merge = memory_alloc_zero(sizeof *merge);
    ASSERT(n_sources <= MERGE_INPUTS_MAX);
    merge->runtime = runtime;
    merge->schema = schema_acquire(schema);
    merge->budget = budget;
    merge->settings = *settings;
    if (merge->settings.batch_rows == 0) merge->settings.batch_rows = MERGE_BATCH_ROWS;
    if (merge->settings.batch_bytes == 0) merge->settings.batch_bytes = MERGE_BATCH_BYTES;
    merge->n_inputs = merge->n_running = n_sources;
    merge->inputs = memory_alloc_zero((n_sources + 1) * sizeof *merge->inputs);
    merge->losers = memory_alloc_zero((n_sources + 1) * sizeof *merge->losers);
    merge->rows = memory_alloc((uint64_t)merge->settings.batch_rows * sizeof *merge->rows);
    for (uint32_t i = 0; i < n_sources; i++) {
        merge->inputs[i].source = sources[i];
        merge->inputs[i].live = NOT_LIVE;
    }
    *out = merge;
    return 0;
}

void merge_free(struct merge *merge)
{
    if (!merge) return;
    live_clear(merge);
    for (uint32_t i = 0; i < merge->n_inputs; i++) {
        sorted_block_free(&merge->inputs[i].block);
        merge->inputs[i].source->close(merge->inputs[i].source);
        free(merge->inputs[i].prefixes);
    }
    memory_defer_free(&merge->inputs);
    memory_defer_free(&merge->losers);
    memory_defer_free(&merge->rows);
    memory_defer_free(&merge->live_blocks);
    memory_defer_free(&merge->live_batches);
    memory_defer_free(&merge->live_keys);
    memory_defer_free(&merge->live_is_done);
    schema_release(merge->schema);
    memory_defer_free(&merge);
}
