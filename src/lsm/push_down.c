/*
 * push_down.c: where the files of an inner partition go.
 *
 * All files of one partition go down together, node by node. Only the exact bounds of a file may
 * leave a child out; how many rows lie in each is estimated, for what is estimated wrongly costs
 * time while what is left out wrongly costs rows. A node below the first is passed when it was
 * asked for (a leaf below it wants the files), or when each child that gets anything gets at least
 * `min_bytes` of all files together: small pieces stay where they are few. Nothing stays at the
 * partition itself but files that a wanted leaf does not need.
 *
 * Nodes wait on a stack with the files that reached them, right children below left ones, so
 * targets come in key order. The stack holds at most one node for each level and one more; each
 * node's files are counted in the arena once: O(files x nodes passed).
 */
#include "lsm/lsm_int.h"

#include <stdlib.h>

struct piece {
    uint32_t file; /* index into the files of the partition */
    uint64_t rows; /* of it in the node that it reached */
};
struct waiting_node {
    uint32_t node;
    struct piece *pieces;
    size_t n_pieces;
};
struct target {
    uint32_t file, node;
    uint64_t rows;
};
struct descent {
    const struct push_down_rule *rule;
    struct arena *arena;
    struct table_file *files;
    uint32_t from;
    struct waiting_node *stack;
    size_t n_stack, stack_capacity;
    struct target *targets;
    size_t n_targets, target_capacity;
};

static bool file_meets(const struct partition_tree *tree, const struct table_file *file,
                       uint32_t node)
{
    for (uint32_t f = 0; f < tree->n_fields; f++)
        if (!file_bound_overlaps(&file->bounds[f], &tree->nodes[node].region[f])) return false;
    return true;
}

/* The first wanted leaf at or behind a leaf. */
static size_t wanted_from(const struct push_down_rule *rule, uint32_t leaf)
{
    size_t low = 0, high = rule->n_wanted_leaves;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rule->wanted_leaves[middle] < leaf)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether a leaf below the node wants the file. */
static bool is_wanted(const struct push_down_rule *rule, uint32_t node,
                      const struct table_file *file)
{
    if (rule->everything) return true;
    const struct partition_node *at = &rule->tree->nodes[node];
    for (size_t i = wanted_from(rule, at->first_leaf); i < rule->n_wanted_leaves; i++) {
        uint32_t leaf = rule->wanted_leaves[i];
        if (leaf >= at->first_leaf + at->n_leaves) break;
        if (file_meets(rule->tree, file, rule->tree->leaves[leaf])) return true;
    }
    return false;
}

static void add_target(struct descent *descent, uint32_t node, const struct piece *piece)
{
    if (descent->n_targets == descent->target_capacity) {
        descent->target_capacity = descent->target_capacity * 2 + 64;
        descent->targets =
            memory_realloc(descent->targets, descent->target_capacity * sizeof(*descent->targets));
    }
    descent->targets[descent->n_targets++] = (struct target){piece->file, node, piece->rows};
}

static void push_node(struct descent *descent, const struct waiting_node *node)
{
    if (!node->n_pieces) return;
    if (descent->n_stack == descent->stack_capacity) {
        descent->stack_capacity = descent->stack_capacity * 2 + 64;
        descent->stack =
            memory_realloc(descent->stack, descent->stack_capacity * sizeof(*descent->stack));
    }
    descent->stack[descent->n_stack++] = *node;
}

/* Rows of a file in one of two children, of its rows in their parent; never below 1. */
static int estimate_rows(const struct descent *descent, const struct table_file *file,
                         uint32_t parent, uint32_t child, uint64_t rows, uint64_t *out)
{
    const struct push_down_rule *rule = descent->rule;
    const struct partition_node *nodes = rule->tree->nodes;
    *out = ROWS_UNKNOWN;
    if (rule->estimate) TRY(rule->estimate(rule->estimate_context, file, nodes[child].region, out));
    if (*out != ROWS_UNKNOWN) {
        if (*out > rows) *out = rows;
    } else {
        *out = (uint64_t)((unsigned __int128)rows * nodes[child].n_leaves / nodes[parent].n_leaves);
    }
    if (*out == 0) *out = 1;
    return 0;
}

/* The node's files in its two children. */
static int divide(const struct descent *descent, const struct waiting_node *from,
                  struct waiting_node children[2])
{
    const struct partition_tree *tree = descent->rule->tree;
    const struct partition_node *node = &tree->nodes[from->node];
    const uint32_t ids[] = {node->left, node->right};
    for (int c = 0; c < 2; c++) {
        children[c].node = ids[c];
        children[c].n_pieces = 0;
        children[c].pieces = ARENA_ARRAY(descent->arena, struct piece, from->n_pieces);
    }
    for (size_t i = 0; i < from->n_pieces; i++) {
        struct piece piece = from->pieces[i];
        const struct table_file *file = &descent->files[piece.file];
        const bool meets[] = {file_meets(tree, file, ids[0]), file_meets(tree, file, ids[1])};
        for (int c = 0; c < 2; c++) {
            struct piece part = piece;
            if (!meets[c]) continue;
            if (meets[!c])
                TRY(estimate_rows(descent, file, from->node, ids[c], piece.rows, &part.rows));
            children[c].pieces[children[c].n_pieces++] = part;
        }
    }
    return 0;
}

static double piece_bytes(const struct descent *descent, const struct waiting_node *node)
{
    double bytes = 0;
    for (size_t i = 0; i < node->n_pieces; i++) {
        const struct table_file *file = &descent->files[node->pieces[i].file];
        bytes += (double)file->size * (double)node->pieces[i].rows /
                 (double)(file->rows ? file->rows : 1);
    }
    return bytes;
}

/* One node: its files stay, or go on to its children, all of them or those that are wanted. */
static int pass_node(struct descent *descent, const struct waiting_node *at, bool is_full)
{
    const struct push_down_rule *rule = descent->rule;
    bool is_first = at->node == descent->from;
    if (rule->tree->nodes[at->node].left == UINT32_MAX) {
        for (size_t i = 0; i < at->n_pieces; i++)
            add_target(descent, at->node, &at->pieces[i]);
        return 0;
    }
    struct waiting_node children[2], some = *at;
    TRY(divide(descent, at, children));
    bool all = is_first && is_full;
    if (!is_first && is_full) {
        all = true;
        for (int c = 0; c < 2; c++)
            if (children[c].n_pieces &&
                piece_bytes(descent, &children[c]) < (double)rule->min_bytes)
                all = false;
    }
    if (!all) {
        some.pieces = ARENA_ARRAY(descent->arena, struct piece, at->n_pieces);
        some.n_pieces = 0;
        for (size_t i = 0; i < at->n_pieces; i++) {
            if (is_wanted(rule, at->node, &descent->files[at->pieces[i].file]))
                some.pieces[some.n_pieces++] = at->pieces[i];
            else if (!is_first)
                add_target(descent, at->node, &at->pieces[i]);
        }
        if (some.n_pieces < at->n_pieces) TRY(divide(descent, &some, children));
    }
    push_node(descent, &children[1]);
    push_node(descent, &children[0]);
    return 0;
}

/* Targets by file, each file's in key order, as push-downs. */
static void gather(const struct descent *descent, size_t n_files, struct reference_move *out,
                   size_t *n_out)
{
    const struct partition_tree *tree = descent->rule->tree;
    size_t *counts = memory_alloc_zero((n_files + 1) * sizeof(*counts));
    for (size_t i = 0; i < descent->n_targets; i++)
        counts[descent->targets[i].file]++;
    struct new_reference **to = memory_alloc(n_files * sizeof(struct new_reference *));
    struct slice from = arena_copy(descent->arena, tree->nodes[descent->from].id);
    *n_out = 0;
    for (size_t i = 0; i < n_files; i++) {
        to[i] = ARENA_ARRAY(descent->arena, struct new_reference, counts[i]);
        if (!counts[i]) continue;
        out[(*n_out)++] = (struct reference_move){from, descent->files[i].name, to[i], counts[i]};
    }
    for (size_t i = 0; i < descent->n_targets; i++) {
        const struct target *target = &descent->targets[i];
        *to[target->file]++ = (struct new_reference){
            arena_copy(descent->arena, tree->nodes[target->node].id), target->rows};
    }
    free(to);
    free(counts);
}

int push_down_plan(const struct push_down_rule *rule, uint32_t node, bool is_full,
                   const struct reference_figures *references, size_t n_references,
                   struct arena *arena, struct reference_move *out, size_t *n_out)
{
    struct descent descent = {.rule = rule, .arena = arena, .from = node};
    descent.files = ARENA_ARRAY(arena, struct table_file, n_references);
    struct waiting_node first = {node, ARENA_ARRAY(arena, struct piece, n_references), 0};
    int code = 0;
    for (size_t i = 0; code == 0 && i < n_references; i++) {
        struct slice name = table_figures_name(&references[i], arena);
        code = table_file(rule->state, name, arena, &descent.files[i]);
        descent.files[i].name = name;
        first.pieces[first.n_pieces++] = (struct piece){(uint32_t)i, references[i].rows};
    }
    if (code == 0) push_node(&descent, &first);
    while (code == 0 && descent.n_stack) {
        struct waiting_node at = descent.stack[--descent.n_stack];
        code = pass_node(&descent, &at, is_full);
    }
    if (code == 0) gather(&descent, n_references, out, n_out);
    free(descent.stack);
    free(descent.targets);
    return code;
}
