/*
 * table_tree.c: partition trees: from split points, as transactions carry them, and laid out for
 * looking up many rows.
 *
 * The tree of n split points is the reference's: n + 1 leaves on the first row key; neighbours are
 * paired into parents layer by layer, and an odd last node is carried up as it is. So 2 points give
 * ((0 1) 2). The node that remains is "root"; the others are "<generation>.<n>", counted leaves
 * first and then layer by layer, which makes ids short and new in each generation.
 *
 * A transaction lists nodes depth first:
 * {"id":"root","dimension":0,"split":"<base64>","left":"0.4", "right":"0.2"}, leaves {"id":"0.2"};
 * "own":true where the store split by itself.
 * Regions follow from the splits, so they cannot overlap or leave a gap: that every node is named
 * once, by its parent, is all there is to check.
 */
#include "table/table_int.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- from split points ---- */

struct plan_node {
    uint32_t left, right; /* UINT32_MAX: a leaf */
    uint32_t split;       /* index of the split point between its children */
};

/* Ids of nodes by number; the last one is the root. */
static const char *plan_id(uint64_t generation, uint32_t node, uint32_t root, char out[32])
{
    if (node == root)
        snprintf(out, 32, "root");
    else
        snprintf(out, 32, "%llu.%u", (unsigned long long)generation, node);
    return out;
}

/* All nodes, leaves first; the last is the root. `first` is the leftmost leaf below each. */
static struct plan_node *plan_tree(uint32_t n_leaves, uint32_t *n_nodes)
{
    struct plan_node *nodes = memory_alloc(sizeof(*nodes) * (2 * (size_t)n_leaves));
    uint32_t *layer = memory_alloc(sizeof(*layer) * n_leaves);
    uint32_t *first = memory_alloc(sizeof(*first) * 2 * (size_t)n_leaves);
    uint32_t n = n_leaves, n_layer = n_leaves;
    for (uint32_t i = 0; i < n_leaves; i++) {
        nodes[i] = (struct plan_node){UINT32_MAX, UINT32_MAX, 0};
        layer[i] = first[i] = i;
    }
    while (n_layer > 1) {
        uint32_t n_next = 0;
        for (uint32_t i = 0; i + 1 < n_layer; i += 2) {
            /* Between two neighbours lies the point in front of the right one's first leaf. */
            nodes[n] = (struct plan_node){layer[i], layer[i + 1], first[layer[i + 1]] - 1};
            first[n] = first[layer[i]];
            layer[n_next++] = n++;
        }
        if (n_layer % 2) layer[n_next++] = layer[n_layer - 1];
        n_layer = n_next;
    }
    free(layer);
    free(first);
    *n_nodes = n;
    return nodes;
}

static void write_plan(struct json_writer *json, uint64_t generation, const struct slice *points,
                       const struct plan_node *nodes, uint32_t n_nodes)
{
    char id[32];
    uint32_t root = n_nodes - 1;
    /* A layered tree is at most 32 deep; each level leaves one node waiting. */
    uint32_t stack[64], n_stack = 0;
    stack[n_stack++] = root;
    while (n_stack) {
        uint32_t at = stack[--n_stack];
        json_write_object_begin(json);
        json_write_field_text(json, "id", plan_id(generation, at, root, id));
        if (nodes[at].left != UINT32_MAX) {
            json_write_field_int(json, "dimension", 0);
            json_write_base64(json, "split", points[nodes[at].split]);
            json_write_field_text(json, "left", plan_id(generation, nodes[at].left, root, id));
            json_write_field_text(json, "right", plan_id(generation, nodes[at].right, root, id));
            ASSERT(n_stack + 2 <= 64);
            stack[n_stack++] = nodes[at].right;
            stack[n_stack++] = nodes[at].left;
        }
        json_write_object_end(json);
    }
}

int tree_write_split_points(struct json_writer *json, uint64_t generation,
                            const struct slice *points, size_t n_points)
{
    if (n_points >= 1u << 30) return error_set(GLIS_ELIMIT, "%zu split points", n_points);
    for (size_t i = 1; i < n_points; i++)
        if (slice_compare(points[i - 1], points[i]) >= 0)
            return error_set(GLIS_EINVALID, "split point %zu is not above the one before it",
                             i + 1);
    uint32_t n_nodes;
    struct plan_node *nodes = plan_tree((uint32_t)n_points + 1, &n_nodes);
    json_write_array_begin(json);
    write_plan(json, generation, points, nodes, n_nodes);
    json_write_array_end(json);
    free(nodes);
    return 0;
}

int tree_write(struct json_writer *json, const struct state *state)
{
    size_t n_nodes = map_count(&state->maps[SECTION_PARTITIONS]), n_stack = 0;
    defer_free struct slice *stack = memory_alloc((n_nodes + 1) * sizeof(*stack));
    stack[n_stack++] = SLICE("root");
    json_write_array_begin(json);
    while (n_stack) {
        struct slice id = stack[--n_stack];
        struct partition_record node;
        if (!partition_get(state, id, &node) || n_stack + 2 > n_nodes + 1)
            return error_set(GLIS_ECORRUPT, "the tree is damaged at '%.*s'", SLICE_PRINT(id));
        json_write_object_begin(json);
        json_write_field_string(json, "id", id);
        if (!node.is_leaf) {
            json_write_field_int(json, "dimension", node.dimension);
            json_write_base64(json, "split", node.split);
            json_write_field_string(json, "left", node.left);
            json_write_field_string(json, "right", node.right);
            if (node.is_own_split) json_write_field_bool(json, "own", true);
            stack[n_stack++] = node.right;
            stack[n_stack++] = node.left;
        }
        json_write_object_end(json);
    }
    json_write_array_end(json);
    return 0;
}

/* ---- reading a tree from a transaction ---- */

bool field_key_is_valid(const struct schema *schema, uint32_t field, struct slice key)
{
    struct schema *one;
    if (schema_new(&one, &schema->fields[field], 1, 1, 0) < 0) return false;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct value value;
    bool good = key_decode(one, key, 1, &arena, &value) == 0;
    schema_release(one);
    return good;
}

int partition_id_check(struct slice id)
{
    bool good = id.size > 0 && id.size <= PARTITION_ID_MAX;
    for (size_t i = 0; good && i < id.size; i++) {
        char c = id.data[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '.' || c == '-' || c == '_';
    }
    if (!good) return error_set(GLIS_EINVALID, "not a partition id: '%.*s'", SLICE_PRINT(id));
    return 0;
}

struct tree_reader {
    const struct schema *schema;
    struct map *tree;
    struct map waiting; /* id -> parent, for children that were named and have not come */
};

/* Depth, parent and region of a node, from its parent, which stands in the tree. */
static int place_node(struct tree_reader *reader, struct slice id, struct arena *arena,
                      struct partition_record *node, struct key_range **region)
{
    uint32_t n = reader->schema->n_row_keys;
    if (map_count(reader->tree) == 0) {
        if (!slice_equal_text(id, "root"))
            return error_set(GLIS_EINVALID, "the first partition is '%.*s', not root",
                             SLICE_PRINT(id));
        *region = ARENA_ARRAY(arena, struct key_range, n);
        for (uint32_t f = 0; f < n; f++)
            (*region)[f].unbounded = true;
        return 0;
    }
    struct slice parent_id, value;
    if (!map_get(&reader->waiting, id, &parent_id))
        return error_set(GLIS_EINVALID, "partition '%.*s' has no parent before it",
                         SLICE_PRINT(id));
    parent_id = arena_copy(arena, parent_id);
    struct partition_record parent;
    bool good = map_get(reader->tree, parent_id, &value) && partition_unpack(value, &parent) &&
                region_unpack(parent.region, n, arena, region);
    ASSERT(good);
    /* The region's slices point into the map, which is about to change. */
    for (uint32_t f = 0; f < n; f++) {
        (*region)[f].min = arena_copy(arena, (*region)[f].min);
        (*region)[f].max = arena_copy(arena, (*region)[f].max);
    }
    struct key_range *range = &(*region)[parent.dimension];
    struct slice split = arena_copy(arena, parent.split);
    if (slice_equal(parent.left, id)) {
        range->max = split;
        range->unbounded = false;
    } else {
        range->min = split;
    }
    node->parent = parent_id;
    node->depth = parent.depth + 1;
    if (node->depth > TREE_DEPTH_MAX) return error_set(GLIS_EINVALID, "the tree is too deep");
    map_remove(&reader->waiting, id);
    return 0;
}

static int read_inner(struct tree_reader *reader, const struct json *json, struct slice id,
                      const struct key_range *region, struct arena *arena,
                      struct partition_record *node)
{
    int64_t dimension;
    TRY(json_get_int(json, "dimension", 0, reader->schema->n_row_keys - 1, &dimension));
    TRY(json_get_base64(json, "split", arena, &node->split));
    TRY(json_get_string(json, "left", &node->left));
    TRY(json_get_string(json, "right", &node->right));
    TRY(json_optional_bool(json, "own", &node->is_own_split));
    node->dimension = (uint32_t)dimension;
    if (!field_key_is_valid(reader->schema, node->dimension, node->split))
        return error_set(GLIS_EINVALID, "the split of partition '%.*s' is no key of field '%.*s'",
                         SLICE_PRINT(id), SLICE_PRINT(reader->schema->fields[dimension].name));
    const struct key_range *range = &region[node->dimension];
    if (!key_range_contains(range, node->split) || slice_equal(range->min, node->split))
        return error_set(GLIS_EINVALID, "the split of partition '%.*s' lies outside it",
                         SLICE_PRINT(id));
    const struct slice children[] = {node->left, node->right};
    for (int i = 0; i < 2; i++) {
        TRY(partition_id_check(children[i]));
        if (slice_equal(children[i], id) || map_get(reader->tree, children[i], NULL) ||
            map_get(&reader->waiting, children[i], NULL))
            return error_set(GLIS_EINVALID, "partition '%.*s' comes twice",
                             SLICE_PRINT(children[i]));
        map_put(&reader->waiting, children[i], id);
    }
    return 0;
}

static int read_node(struct tree_reader *reader, const struct json *json, uint64_t *n_leaves)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice id;
    TRY(json_get_string(json, "id", &id));
    TRY(partition_id_check(id));
    struct partition_record node = {.is_leaf = json_find(json, "split") == NULL};
    struct key_range *region;
    TRY(place_node(reader, id, &arena, &node, &region));
    if (node.is_leaf)
        ++*n_leaves;
    else
        TRY(read_inner(reader, json, id, region, &arena, &node));
    defer_packer struct packer region_bytes = {0};
    region_pack(&region_bytes, region, reader->schema->n_row_keys);
    node.region = packed(&region_bytes);
    defer_packer struct packer record = {0};
    partition_pack(&record, &node);
    map_put(reader->tree, id, packed(&record));
    return 0;
}

int tree_read(const struct json *partitions, const struct schema *schema, struct map *out,
              uint64_t *n_leaves)
{
    struct map tree = {0};
    struct tree_reader reader = {schema, &tree, {0}};
    *n_leaves = 0;
    int code = 0;
    for (size_t i = 0; code == 0 && i < partitions->n_items; i++)
        code = read_node(&reader, &partitions->items[i], n_leaves);
    if (code == 0 && map_count(&tree) == 0)
        code = error_set(GLIS_EINVALID, "a tree without partitions");
    if (code == 0 && map_count(&reader.waiting))
        code = error_set(GLIS_EINVALID, "%llu partitions are named and missing",
                         (unsigned long long)map_count(&reader.waiting));
    map_free(&reader.waiting);
    if (code < 0)
        map_free(&tree);
    else
        *out = tree;
    return code;
}

/* ---- laid out for lookups ---- */

static void add_node(const struct state *state, struct arena *arena, struct partition_tree *tree,
                     struct slice id, uint32_t parent, struct partition_record *record)
{
    struct map_cursor cursor;
    map_cursor_seek(&state->maps[SECTION_PARTITIONS], id, &cursor);
    bool good =
        cursor.valid && slice_equal(cursor.key, id) && partition_unpack(cursor.value, record);
    ASSERT(good);
    struct partition_node *node = &tree->nodes[tree->n_nodes++];
    *node = (struct partition_node){
        .id = cursor.key,
        .left = UINT32_MAX,
        .right = UINT32_MAX,
        .parent = parent,
        .dimension = record->dimension,
        .split = record->split,
        .first_leaf = tree->n_leaves,
        .n_leaves = record->is_leaf,
    };
    good = region_unpack(record->region, tree->n_fields, arena, &node->region);
    ASSERT(good);
    if (record->is_leaf)
        tree->leaves[tree->n_leaves++] = tree->n_nodes - 1;
    else if (record->dimension != 0)
        tree->first_field_only = false;
}

int table_tree(const struct table_state *state, struct arena *arena,
               const struct partition_tree **out)
{
    const struct state *s = state->state;
    uint64_t n_nodes = map_count(&s->maps[SECTION_PARTITIONS]);
    struct partition_tree *tree = ARENA_NEW(arena, struct partition_tree);
    tree->n_fields = state_schema(s)->n_row_keys;
    tree->nodes = ARENA_ARRAY(arena, struct partition_node, n_nodes);
    tree->leaves = ARENA_ARRAY(arena, uint32_t, s->numbers[NUMBER_LEAVES]);
    tree->first_field_only = true;
    struct waiting {
        struct slice id;
        uint32_t parent;
        bool right;
    } *stack = memory_alloc(sizeof(*stack) * (n_nodes + 1));
    size_t n_stack = 0;
    stack[n_stack++] = (struct waiting){SLICE("root"), UINT32_MAX, false};
    while (n_stack) {
        struct waiting next = stack[--n_stack];
        uint32_t index = tree->n_nodes;
        struct partition_record record;
        add_node(s, arena, tree, next.id, next.parent, &record);
        if (next.parent != UINT32_MAX) {
            struct partition_node *parent = &tree->nodes[next.parent];
            *(next.right ? &parent->right : &parent->left) = index;
        }
        if (!record.is_leaf) {
            stack[n_stack++] = (struct waiting){record.right, index, true};
            stack[n_stack++] = (struct waiting){record.left, index, false};
        }
    }
    free(stack);
    /* Children stand behind their parents, so counting backwards sees them first. */
    for (uint32_t i = tree->n_nodes; i-- > 1;)
        tree->nodes[tree->nodes[i].parent].n_leaves += tree->nodes[i].n_leaves;
    *out = tree;
    return 0;
}

uint32_t partition_tree_leaf(const struct partition_tree *tree, const struct slice *field_keys)
{
    uint32_t at = 0;
    while (tree->nodes[at].left != UINT32_MAX) {
        const struct partition_node *node = &tree->nodes[at];
        bool right = slice_compare(node->split, field_keys[node->dimension]) <= 0;
        at = right ? node->right : node->left;
    }
    return tree->nodes[at].first_leaf;
}

int partition_tree_leaf_of_key(const struct partition_tree *tree, const struct schema *schema,
                               struct slice key, uint32_t *leaf)
{
    struct slice few[8], *fields = few;
    defer_free struct slice *many = NULL;
    if (tree->n_fields > 8) fields = many = memory_alloc(tree->n_fields * sizeof(*many));
    size_t begin = 0;
    uint32_t n = tree->first_field_only ? 1 : tree->n_fields;
    for (uint32_t f = 0; f < n; f++) {
        size_t end;
        TRY(key_fields_size(schema, key, f + 1, &end));
        fields[f] = slice_part(key, begin, end - begin);
        begin = end;
    }
    *leaf = partition_tree_leaf(tree, fields);
    return 0;
}

/* ---- covering leaves with few partitions ---- */

/* A heap of nodes to open, the one with most rows on top; equal ones by position. */
struct open_heap {
    struct partition_cover *items;
    size_t n;
};

static bool opens_before(const struct partition_cover *a, const struct partition_cover *b)
{
    return a->rows != b->rows ? a->rows > b->rows : a->node < b->node;
}

static void heap_push(struct open_heap *heap, struct partition_cover item)
{
    size_t i = heap->n++;
    for (; i && opens_before(&item, &heap->items[(i - 1) / 2]); i = (i - 1) / 2)
        heap->items[i] = heap->items[(i - 1) / 2];
    heap->items[i] = item;
}

static struct partition_cover heap_pop(struct open_heap *heap)
{
    struct partition_cover top = heap->items[0], last = heap->items[--heap->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->n) break;
        if (child + 1 < heap->n && opens_before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!opens_before(&heap->items[child], &last)) break;
        heap->items[i] = heap->items[child];
        i = child;
    }
    heap->items[i] = last;
    return top;
}

/* Rows below a node, from running sums over the leaves. */
static uint64_t rows_below(const struct partition_tree *tree, const uint64_t *sums, uint32_t node)
{
    const struct partition_node *n = &tree->nodes[node];
    return sums[n->first_leaf + n->n_leaves] - sums[n->first_leaf];
}

/* Goes down while only one child has rows. */
static struct partition_cover lowest(const struct partition_tree *tree, const uint64_t *sums,
                                     uint32_t node)
{
    for (;;) {
        const struct partition_node *n = &tree->nodes[node];
        if (n->left == UINT32_MAX) break;
        bool in_left = rows_below(tree, sums, n->left), in_right = rows_below(tree, sums, n->right);
        if (in_left && in_right) break;
        node = in_left ? n->left : n->right;
    }
    return (struct partition_cover){node, rows_below(tree, sums, node)};
}

static int by_position(const void *a, const void *b)
{
    uint32_t x = ((const struct partition_cover *)a)->node;
    uint32_t y = ((const struct partition_cover *)b)->node;
    return (x > y) - (x < y);
}

int partition_tree_cover(const struct partition_tree *tree, const uint64_t *rows_by_leaf,
                         uint32_t max_references, struct arena *arena, struct partition_cover **out,
                         size_t *n_out)
{
    ASSERT(max_references > 0);
    size_t n_most = max_references < tree->n_leaves ? max_references : tree->n_leaves;
    uint64_t *sums = ARENA_ARRAY(arena, uint64_t, (size_t)tree->n_leaves + 1);
    for (uint32_t i = 0; i < tree->n_leaves; i++)
        if (__builtin_add_overflow(sums[i], rows_by_leaf[i], &sums[i + 1]))
            return error_set(GLIS_EINVALID, "row counts overflow");
    *out = ARENA_ARRAY(arena, struct partition_cover, n_most);
    *n_out = 0;
    if (sums[tree->n_leaves] == 0) return 0;
    struct open_heap heap = {ARENA_ARRAY(arena, struct partition_cover, n_most + 1), 0};
    size_t n_done = 0;
    heap_push(&heap, lowest(tree, sums, 0));
    while (heap.n) {
        struct partition_cover top = heap_pop(&heap);
        const struct partition_node *node = &tree->nodes[top.node];
        if (node->left == UINT32_MAX || n_done + heap.n + 2 > n_most) {
            (*out)[n_done++] = top;
            continue;
        }
        heap_push(&heap, lowest(tree, sums, node->left));
        heap_push(&heap, lowest(tree, sums, node->right));
    }
    qsort(*out, n_done, sizeof(**out), by_position);
    *n_out = n_done;
    return 0;
}

/* ---- bounds ---- */

bool file_bound_overlaps(const struct file_bound *bound, const struct key_range *range)
{
    int above = slice_compare(range->min, bound->max);
    bool low = above < 0 || (above == 0 && !bound->max_exclusive);
    return low && (range->unbounded || slice_compare(bound->min, range->max) < 0);
}

struct file_bound file_bound_cut(struct slice min, struct slice max, const struct key_range *range,
                                 struct arena *arena)
{
    struct file_bound bound = {arena_copy(arena, min), arena_copy(arena, max), false};
    if (min.size > FILE_BOUND_BYTES) {
        bound.min = slice_part(bound.min, 0, FILE_BOUND_BYTES);
        if (range && slice_compare(bound.min, range->min) < 0)
            bound.min = arena_copy(arena, range->min);
    }
    struct slice above;
    if (max.size > FILE_BOUND_BYTES &&
        key_successor(slice_part(bound.max, 0, FILE_BOUND_BYTES), arena, &above)) {
        if (range && !range->unbounded && slice_compare(range->max, above) < 0)
            above = arena_copy(arena, range->max);
        bound.max = above;
        bound.max_exclusive = true;
    }
    return bound;
}
