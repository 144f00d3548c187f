/*
 * table_grow.c: changes of the partition tree: split_partition, extend_tree, merge_partitions.
 *
 * A leaf that is split becomes a parent and keeps its references; they go down later
 * (table_jobs.c), and until then readers find them on the way to the leaves. Regions follow from
 * the splits, so children tile their parent by construction; what is checked is that the split
 * lies inside, that ids are new, and that the work was not planned below the horizon.
 *
 * Ids of new partitions name the record at which they were planned: "<record>-<6 random
 * digits>.<number>", all hexadecimal, never used twice. A merged leaf's id stands for its parent
 * until the horizon has passed the merge, for files that were begun before may still name it. Only
 * splits that the store made by itself are taken back: those of create_table, reset and extend_tree
 * were asked for.
 */
#include "table/table_int.h"

#include "base/text.h"

#include <stdio.h>

enum { DAY_MS = 24 * 60 * 60 * 1000 };

/* ---- growing ---- */

/* The record that an id of ours names. */
static bool id_begun(struct slice id, uint64_t *begun)
{
    *begun = 0;
    size_t i = 0;
    for (; i < id.size && id.data[i] != '-'; i++) {
        char c = id.data[i];
        if (c >= '0' && c <= '9')
            *begun = *begun << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *begun = *begun << 4 | (unsigned)(c - 'a' + 10);
        else
            return false;
    }
    return i > 0 && i <= 12 && id.size > i + 1;
}

static int check_new_id(const struct state *state, const struct map *tree, struct slice id,
                        uint64_t begun)
{
    uint64_t named;
    if (partition_id_check(id) < 0 || !id_begun(id, &named) || named != begun)
        return error_set(GLIS_EINVALID, "'%.*s' is no id of a partition planned at record %llu",
                         SLICE_PRINT(slice_part(id, 0, 64)), (unsigned long long)begun);
    if (map_get(tree, id, NULL) || map_get(&state->maps[SECTION_MERGED], id, NULL))
        return error_set(GLIS_EREFUSED, "partition '%.*s' is known already", SLICE_PRINT(id));
    return 0;
}

/* A child with its side of the parent's region. */
static void put_child(struct map *tree, const struct schema *schema, struct slice parent_id,
                      const struct partition_record *parent, const struct key_range *region,
                      bool right, int64_t time_ms, struct arena *arena)
{
    struct key_range *own = ARENA_ARRAY(arena, struct key_range, schema->n_row_keys);
    memcpy(own, region, schema->n_row_keys * sizeof(*own));
    if (right) {
        own[parent->dimension].min = parent->split;
    } else {
        own[parent->dimension].max = parent->split;
        own[parent->dimension].unbounded = false;
    }
    defer_packer struct packer packed_region = {0}, value = {0};
    region_pack(&packed_region, own, schema->n_row_keys);
    partition_pack(&value, &(struct partition_record){
                               .is_leaf = true,
                               .depth = parent->depth + 1,
                               .parent = parent_id,
                               .empty_since_ms = time_ms,
                               .region = packed(&packed_region),
                           });
    map_put(tree, right ? parent->right : parent->left, packed(&value));
}

/* Splits one leaf of a tree, which is a private copy of the state's. */
static int grow(const struct state *state, struct map *tree, const struct json *json,
                uint64_t begun, bool is_own_split, int64_t time_ms, struct arena *arena)
{
    const struct schema *schema = state_schema(state);
    struct slice id, value;
    struct partition_record node;
    struct key_range *region;
    int64_t dimension;
    TRY(json_get_string(json, "partition", &id));
    if (!map_get(tree, id, &value))
        return error_set(GLIS_EREFUSED, "there is no partition '%.*s'",
                         SLICE_PRINT(slice_part(id, 0, 64)));
    value = arena_copy(arena, value); /* the map is about to change */
    bool good = partition_unpack(value, &node) &&
                region_unpack(node.region, schema->n_row_keys, arena, &region);
    ASSERT(good);
    if (!node.is_leaf && !GLIS_MUTANT(leaves_are_split))
        return error_set(GLIS_EREFUSED, "partition '%.*s' is no leaf any more", SLICE_PRINT(id));
    if (node.depth >= TREE_DEPTH_MAX) return error_set(GLIS_EREFUSED, "the tree is too deep");
    TRY(json_get_int(json, "dimension", 0, schema->n_row_keys - 1, &dimension));
    TRY(json_get_base64(json, "split", arena, &node.split));
    TRY(json_get_string(json, "left", &node.left));
    TRY(json_get_string(json, "right", &node.right));
    node.dimension = (uint32_t)dimension;
    const struct key_range *range = &region[node.dimension];
    if (!field_key_is_valid(schema, node.dimension, node.split))
        return error_set(GLIS_EINVALID, "the split of partition '%.*s' is no key of field '%.*s'",
                         SLICE_PRINT(id), SLICE_PRINT(schema->fields[dimension].name));
    if (!key_range_contains(range, node.split) || slice_equal(range->min, node.split))
        return error_set(GLIS_EREFUSED, "the split of partition '%.*s' lies outside it",
                         SLICE_PRINT(id));
    TRY(check_new_id(state, tree, node.left, begun));
    TRY(check_new_id(state, tree, node.right, begun));
    if (slice_equal(node.left, node.right))
        return error_set(GLIS_EINVALID, "both children are '%.*s'", SLICE_PRINT(node.left));
    node.is_leaf = false;
    node.is_own_split = is_own_split;
    node.empty_since_ms = 0;
    defer_packer struct packer packer = {0};
    partition_pack(&packer, &node);
    map_put(tree, id, packed(&packer));
    put_child(tree, schema, id, &node, region, false, time_ms, arena);
    put_child(tree, schema, id, &node, region, true, time_ms, arena);
    return 0;
}

/* All splits of a transaction, or none. */
static int grow_all(struct state *state, const struct log_record_info *info,
                    const struct json *transaction, const struct json *nodes, size_t n_nodes,
                    bool is_own_split, struct arena *arena)
{
    uint64_t begun;
    TRY(json_get_u64(transaction, "begun", &begun));
    if (begun < state->numbers[NUMBER_HORIZON] && !GLIS_MUTANT(split_above_horizon))
        return error_set(GLIS_EREFUSED, "it was planned below the horizon, record %llu",
                         (unsigned long long)state->numbers[NUMBER_HORIZON]);
    if (begun >= info->record)
        return error_set(GLIS_EREFUSED, "it was planned at a record that is yet to come");
    if (!n_nodes) return error_set(GLIS_EINVALID, "a tree grows by at least one split");
    struct map tree;
    map_clone(&tree, &state->maps[SECTION_PARTITIONS]);
    int code = 0;
    for (size_t i = 0; code == 0 && i < n_nodes; i++)
        code = grow(state, &tree, &nodes[i], begun, is_own_split, info->time_ms, arena);
    if (code < 0) {
        map_free(&tree);
        return code;
    }
    map_free(&state->maps[SECTION_PARTITIONS]);
    state->maps[SECTION_PARTITIONS] = tree;
    state->numbers[NUMBER_LEAVES] += n_nodes;
    return 0;
}

int apply_split_partition(struct state *state, const struct log_record_info *info,
                          const struct json *transaction, struct arena *arena)
{
    return grow_all(state, info, transaction, transaction, 1, true, arena);
}

int apply_extend_tree(struct state *state, const struct log_record_info *info,
                      const struct json *transaction, struct arena *arena)
{
    const struct json *splits;
    TRY(json_get_array(transaction, "splits", &splits));
    return grow_all(state, info, transaction, splits->items, splits->n_items, false, arena);
}

/* ---- merging ---- */

/* Whether a leaf has been without references for a day at a time. */
static bool is_long_empty(const struct partition_record *leaf, int64_t time_ms)
{
    return leaf->is_leaf && leaf->n_references == 0 && time_ms - leaf->empty_since_ms >= DAY_MS;
}

int apply_merge_partitions(struct state *state, const struct log_record_info *info,
                           const struct json *transaction, struct arena *arena)
{
    struct slice id;
    struct partition_record node, child;
    TRY(json_get_string(transaction, "parent", &id));
    if (!partition_get(state, id, &node))
        return error_set(GLIS_EREFUSED, "there is no partition '%.*s'",
                         SLICE_PRINT(slice_part(id, 0, 64)));
    if (node.is_leaf)
        return error_set(GLIS_EREFUSED, "partition '%.*s' is a leaf", SLICE_PRINT(id));
    if (!node.is_own_split)
        return error_set(GLIS_EREFUSED, "the split of partition '%.*s' was asked for",
                         SLICE_PRINT(id));
    const struct slice children[] = {arena_copy(arena, node.left), arena_copy(arena, node.right)};
    for (int i = 0; i < 2; i++) {
        bool good = partition_get(state, children[i], &child);
        ASSERT(good);
        if (!child.is_leaf)
            return error_set(GLIS_EREFUSED, "partition '%.*s' is no leaf",
                             SLICE_PRINT(children[i]));
        if (!is_long_empty(&child, info->time_ms) && !GLIS_MUTANT(empty_leaves_merge))
            return error_set(GLIS_EREFUSED,
                             "partition '%.*s' holds a reference, or held one within a day",
                             SLICE_PRINT(children[i]));
    }
    node.is_leaf = true;
    node.is_own_split = false;
    if (!node.n_references) node.empty_since_ms = info->time_ms;
    defer_packer struct packer packer = {0}, merged = {0};
    partition_pack(&packer, &node);
    map_put(&state->maps[SECTION_PARTITIONS], id, packed(&packer));
    merged_pack(&merged, &(struct merged_record){id, info->record});
    for (int i = 0; i < 2; i++) {
        map_remove(&state->maps[SECTION_PARTITIONS], children[i]);
        map_put(&state->maps[SECTION_MERGED], children[i], packed(&merged));
    }
    state->numbers[NUMBER_LEAVES]--;
    return 0;
}

int table_mergeable(const struct table_state *state, struct arena *arena, struct slice **out,
                    size_t *n_out)
{
    const struct state *s = state->state;
    size_t n_max = 0;
    *out = NULL;
    *n_out = 0;
    struct map_cursor c;
    for (map_cursor_first(&s->maps[SECTION_PARTITIONS], &c); c.valid; map_cursor_next(&c)) {
        struct partition_record node, left, right;
        bool good = partition_unpack(c.value, &node);
        ASSERT(good);
        if (node.is_leaf || !node.is_own_split) continue;
        if (!partition_get(s, node.left, &left) || !partition_get(s, node.right, &right) ||
            !is_long_empty(&left, state->time_ms) || !is_long_empty(&right, state->time_ms))
            continue;
        ARENA_GROW(arena, *out, *n_out, n_max);
        (*out)[(*n_out)++] = arena_copy(arena, c.key);
    }
    return 0;
}

/* ---- texts ---- */

/* Ids of the nodes of one plan: the record, and digits that no other plan has. */
struct id_maker {
    uint64_t begun, salt;
};

static const char *make_id(const struct id_maker *maker, uint64_t n, char out[40])
{
    snprintf(out, 40, "%llx-%06x.%llx", (unsigned long long)maker->begun,
             (unsigned)(maker->salt & 0xffffff), (unsigned long long)n);
    return out;
}

static void write_split(struct json_writer *json, const char *partition, uint32_t dimension,
                        struct slice split, const char *left, const char *right)
{
    json_write_field_text(json, "partition", partition);
    json_write_field_int(json, "dimension", dimension);
    json_write_base64(json, "split", split);
    json_write_field_text(json, "left", left);
    json_write_field_text(json, "right", right);
}

int write_split_partition(struct buffer *out, const struct table_state *state,
                          struct slice partition, uint32_t dimension, struct slice split,
                          uint64_t salt)
{
    struct id_maker maker = {state->record, salt};
    char name[64], left[40], right[40];
    if (partition.size >= sizeof(name)) return error_set(GLIS_EINVALID, "not a partition id");
    snprintf(name, sizeof(name), "%.*s", SLICE_PRINT(partition));
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "split_partition");
    json_write_field_uint(&json, "begun", maker.begun);
    write_split(&json, name, dimension, split, make_id(&maker, 0, left), make_id(&maker, 1, right));
    json_write_object_end(&json);
    return json_writer_finish(&json);
}

/* The splits below one leaf, parents first. */
static int write_growing(struct json_writer *json, struct id_maker *maker,
                         const struct growing_leaf *leaf, uint64_t *n_ids)
{
    char name[64], left[40], right[40];
    if (leaf->partition.size >= sizeof(name)) return error_set(GLIS_EINVALID, "not a partition id");
    for (size_t i = 0; i < leaf->n_nodes; i++) {
        const struct growing_node *node = &leaf->nodes[i];
        if (!node->left) continue;
        if (node->left <= i || node->right <= i || node->left >= leaf->n_nodes ||
            node->right >= leaf->n_nodes)
            return error_set(GLIS_EINVALID, "children must stand behind their parent");
        if (i == 0)
            snprintf(name, sizeof(name), "%.*s", SLICE_PRINT(leaf->partition));
        else
            make_id(maker, *n_ids + i, name);
        json_write_object_begin(json);
        write_split(json, name, node->dimension, node->split,
                    make_id(maker, *n_ids + node->left, left),
                    make_id(maker, *n_ids + node->right, right));
        json_write_object_end(json);
    }
    *n_ids += leaf->n_nodes;
    return 0;
}

int write_extend_tree(struct buffer *out, const struct table_state *state,
                      const struct growing_leaf *leaves, size_t n_leaves, uint64_t salt)
{
    struct id_maker maker = {state->record, salt};
    uint64_t n_ids = 0;
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_text(&json, "type", "extend_tree");
    json_write_field_uint(&json, "begun", maker.begun);
    json_write_name(&json, "splits");
    json_write_array_begin(&json);
    for (size_t i = 0; i < n_leaves; i++)
        TRY(write_growing(&json, &maker, &leaves[i], &n_ids));
    json_write_array_end(&json);
    json_write_object_end(&json);
    return json_writer_finish(&json);
}
