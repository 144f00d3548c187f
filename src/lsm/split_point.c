/*
 * split_point.c: where to split leaves, told from the sketches of their rows. Pure functions: no
 * state is read and nothing is changed.
 *
 * A leaf that has grown too large is split at the median of the first row-key field in which it
 * lies strictly between the least and the greatest key. Where no field has such a median because
 * one key has half of the rows or more, that key is parted from what lies above (or below) it: so
 * only a leaf whose rows all have one key cannot be split.
 *
 * A tree that is to be extended before many rows come is told by a sketch for each leaf: the leaf
 * with the most rows is split first, again and again. The children have no sketches of their own;
 * they stand for halves of their parent's rows, and their medians are its quantiles. Rows of
 * children are counted as halves, and a median that falls on an end of its half is none: this is
 * how the system does it whose trees are to come out the same, so there is no second way here.
 */
#include "lsm/lsm.h"
#include "sketch/sketch.h"

/* ---- one leaf ---- */

/* Median strictly inside. */
static bool split_inside(const struct kll_view *view, struct kll_range range, struct slice *out)
{
    struct slice min, max;
    return kll_view_min(view, range, &min) && kll_view_max(view, range, &max) &&
           kll_view_quantile(view, range, 0.5, out) && slice_compare(min, *out) < 0 &&
           slice_compare(*out, max) < 0;
}

/* Median at an end of several keys. */
static bool split_beside(const struct kll_view *view, struct kll_range range, struct slice *out)
{
    struct slice min;
    if (!kll_view_min(view, range, &min) || !kll_view_quantile(view, range, 0.5, out)) return false;
    if (slice_compare(min, *out) < 0) return true;
    return kll_view_above(view, range, min, out);
}

struct split_point find_split_point(const struct kll_view *const *views, uint32_t n_fields,
                                    const struct key_range *region)
{
    struct split_point out = {.any = false};
    for (int beside = 0; beside < 2; beside++)
        for (uint32_t i = 0; i < n_fields; i++) {
            struct kll_range range =
                region ? kll_view_range(views[i], region[i].min, region[i].max, region[i].unbounded)
                       : kll_view_all(views[i]);
            out.dimension = i;
            out.any = beside ? split_beside(views[i], range, &out.split)
                             : split_inside(views[i], range, &out.split);
            if (out.any) return out;
        }
    return (struct split_point){.any = false};
}

/* ---- a whole tree ---- */

/* Of a field, what part of its leaf's rows a node stands for. */
struct portion {
    double low, high;
    uint64_t rows;
};

struct grown {
    struct portion *portions; /* one a field */
    uint32_t leaf;            /* of the options, that it lies in */
    uint64_t order;           /* among nodes of as many rows the lowest first */
    struct growing_node node; /* left and right: numbers of grown nodes */
};

struct presplit {
    const struct presplit_leaf *leaves;
    uint32_t n_fields;
    const struct presplit_options *options;
    struct arena *arena;
    struct grown *nodes;
    uint64_t n_nodes;
    uint64_t *queue; /* a heap of nodes; the one to be split next stands first */
    uint64_t n_queue;
};

static bool comes_first(const struct presplit *self, uint64_t a, uint64_t b)
{
    const struct grown *x = &self->nodes[a], *y = &self->nodes[b];
    if (x->portions[0].rows != y->portions[0].rows)
        return x->portions[0].rows > y->portions[0].rows;
    if (x->order != y->order) return x->order < y->order;
    return a < b;
}

static void queue_add(struct presplit *self, uint64_t node)
{
    uint64_t at = self->n_queue;
    self->nodes[node].order = self->n_queue++;
    for (; at > 0 && comes_first(self, node, self->queue[(at - 1) / 2]); at = (at - 1) / 2)
        self->queue[at] = self->queue[(at - 1) / 2];
    self->queue[at] = node;
}

static uint64_t queue_take(struct presplit *self)
{
    uint64_t first = self->queue[0], last = self->queue[--self->n_queue], at = 0;
    for (;;) {
        uint64_t child = 2 * at + 1;
        if (child >= self->n_queue) break;
        if (child + 1 < self->n_queue &&
            comes_first(self, self->queue[child + 1], self->queue[child]))
            child++;
        if (!comes_first(self, self->queue[child], last)) break;
        self->queue[at] = self->queue[child];
        at = child;
    }
    self->queue[at] = last;
    return first;
}

static uint64_t rows_of(const struct presplit_leaf *leaf)
{
    return leaf->views ? leaf->views[0]->count : 0;
}

static struct portion half(const struct portion *portion, bool right)
{
    double middle = portion->low + (portion->high - portion->low) / 2;
    return (struct portion){right ? middle : portion->low, right ? portion->high : middle,
                            portion->rows / 2};
}

/* The quantiles at both ends of the field's portion, and in its middle. */
static bool portion_split(const struct presplit *self, const struct grown *node, uint32_t field,
                          struct slice *out)
{
    const struct kll_view *view = self->leaves[node->leaf].views[field];
    const struct portion *portion = &node->portions[field];
    struct kll_range all = kll_view_all(view);
    struct slice low, high;
    double middle = portion->low + (portion->high - portion->low) / 2;
    return portion->rows >= self->options->min_rows &&
           kll_view_quantile(view, all, portion->low, &low) &&
           kll_view_quantile(view, all, middle, out) &&
           kll_view_quantile(view, all, portion->high, &high) && slice_compare(low, *out) < 0 &&
           slice_compare(*out, high) < 0;
}

static uint64_t add_child(struct presplit *self, const struct grown *parent, uint32_t field,
                          bool right)
{
    struct grown *child = &self->nodes[self->n_nodes];
    child->leaf = parent->leaf;
    child->portions = ARENA_ARRAY(self->arena, struct portion, self->n_fields);
    memcpy(child->portions, parent->portions, self->n_fields * sizeof *child->portions);
    child->portions[field] = half(&parent->portions[field], right);
    return self->n_nodes++;
}

static bool split_node(struct presplit *self, uint64_t number)
{
    struct grown *node = &self->nodes[number];
    if (!self->leaves[node->leaf].views) return false;
    for (uint32_t field = 0; field < self->n_fields; field++) {
        if (!portion_split(self, node, field, &node->node.split)) continue;
        node->node.dimension = field;
        node->node.left = (uint32_t)add_child(self, node, field, false);
        node->node.right = (uint32_t)add_child(self, node, field, true);
        queue_add(self, node->node.left);
        queue_add(self, node->node.right);
        return true;
    }
    return false;
}

/* Leaves with a fair part of all rows wait to be split. */
static int begin(struct presplit *self, size_t n_leaves, uint64_t max_nodes)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n_leaves; i++)
        total += rows_of(&self->leaves[i]);
    unsigned __int128 percent = self->options->min_distribution_percent;
    uint64_t least = (uint64_t)((total / n_leaves * percent + 99) / 100);
    void *nodes, *queue;
    TRY(arena_try_alloc(self->arena, max_nodes * sizeof *self->nodes, &nodes));
    TRY(arena_try_alloc(self->arena, max_nodes * sizeof *self->queue, &queue));
    memset(nodes, 0, max_nodes * sizeof *self->nodes);
    self->nodes = nodes;
    self->queue = queue;
    for (size_t i = 0; i < n_leaves; i++) {
        struct grown *node = &self->nodes[self->n_nodes++];
        node->leaf = (uint32_t)i;
        node->portions = ARENA_ARRAY(self->arena, struct portion, self->n_fields);
        for (uint32_t f = 0; f < self->n_fields; f++)
            node->portions[f] =
                (struct portion){0, 1, self->leaves[i].views ? self->leaves[i].views[f]->count : 0};
        if (rows_of(&self->leaves[i]) >= least) queue_add(self, i);
    }
    return 0;
}

struct presplit_options presplit_options_of(const struct table_state *state)
{
    return (struct presplit_options){
        .min_leaves = (uint64_t)table_state_number(state, PROPERTY_TABLE_BULK_MIN_LEAVES),
        .min_rows = (uint64_t)table_state_number(state, PROPERTY_TABLE_SPLIT_MIN_ROWS),
        .min_distribution_percent =
            (unsigned)table_state_number(state, PROPERTY_TABLE_SPLIT_MIN_PERCENT),
    };
}

/* The nodes below one, in depth-first order; recursion is as deep as the tree. A leaf's portion
 * halves with each level, and a double has 53 of these, for each field. */
static uint32_t lay_out(const struct presplit *self, uint64_t number, struct growing_node *out,
                        uint32_t at)
{
    const struct growing_node *node = &self->nodes[number].node;
    uint32_t here = at++;
    out[here] = (struct growing_node){0};
    if (node->left == 0) return at;
    out[here].dimension = node->dimension;
    out[here].split = node->split;
    out[here].left = at;
    at = lay_out(self, node->left, out, at);
    out[here].right = at;
    return lay_out(self, node->right, out, at);
}

int presplit_tree(const struct presplit_leaf *leaves, size_t n_leaves, uint32_t n_fields,
                  const struct presplit_options *options, struct arena *arena,
                  struct presplit_result *out)
{
    struct presplit self = {
        .leaves = leaves, .n_fields = n_fields, .options = options, .arena = arena};
    *out = (struct presplit_result){.n_leaves = n_leaves};
    if (n_leaves == 0 || n_leaves >= options->min_leaves) return 0;
    if (options->min_leaves > PRESPLIT_LEAVES_MAX)
        return error_set(GLIS_ELIMIT, "a tree of %llu leaves, over %u",
                         (unsigned long long)options->min_leaves, PRESPLIT_LEAVES_MAX);
    TRY(begin(&self, n_leaves, 2 * options->min_leaves));
    while (out->n_leaves < options->min_leaves && self.n_queue > 0)
        out->n_leaves += split_node(&self, queue_take(&self));
    out->growing = ARENA_ARRAY(arena, struct growing_leaf, n_leaves);
    struct growing_node *laid = ARENA_ARRAY(arena, struct growing_node, self.n_nodes);
    for (size_t i = 0; i < n_leaves; i++) {
        if (self.nodes[i].node.left == 0) continue;
        uint32_t n = lay_out(&self, i, laid, 0);
        out->growing[out->n_growing++] = (struct growing_leaf){leaves[i].partition, laid, n};
        laid += n;
    }
    if (out->n_leaves < options->min_leaves)
        return error_set(
            GLIS_EDATA, "the rows suffice to make %llu leaves, not the %llu that are asked for",
            (unsigned long long)out->n_leaves, (unsigned long long)options->min_leaves);
    return 0;
}

/* ---- before there is a table ---- */

int estimate_split_points(const struct kll_view *view, uint64_t n_leaves, struct arena *arena,
                          struct slice **out, size_t *n_out)
{
    struct kll_range all = kll_view_all(view);
    struct slice least;
    *n_out = 0;
    *out = NULL;
    if (n_leaves > PRESPLIT_LEAVES_MAX)
        return error_set(GLIS_ELIMIT, "%llu leaves, over %u", (unsigned long long)n_leaves,
                         PRESPLIT_LEAVES_MAX);
    if (n_leaves < 2 || !kll_view_min(view, all, &least)) return 0;
    void *points;
    TRY(arena_try_alloc(arena, n_leaves * sizeof **out, &points));
    *out = points;
    for (uint64_t i = 1; i < n_leaves; i++) {
        struct slice point;
        bool any = kll_view_quantile(view, all, (double)i / (double)n_leaves, &point);
        ASSERT(any);
        struct slice before = *n_out ? (*out)[*n_out - 1] : least;
        if (slice_compare(before, point) < 0) (*out)[(*n_out)++] = point;
    }
    return 0;
}
