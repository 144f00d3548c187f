/*
 * status_partitions.c: `glis status TABLE partitions`: the tree, with what each partition holds.
 *
 * Three counts of rows, as in the system that Glis takes over from: *exact* rows lie in files that
 * are wholly inside and were counted, and only they split a leaf; *referenced* rows are those of
 * all references, estimates too; the *approximate* count adds what lies below, and the share of
 * what lies above: half of the parent's, a quarter of the grandparent's, and so on.
 */
#include "cli/command.h"

struct partition_sums {
    uint64_t files, on_jobs, referenced, exact, set_aside;
    double approximate;
    bool is_estimated;
};

struct partition_listing {
    struct cli *cli;
    const struct table_state *state;
    const struct partition_tree *tree;
    struct partition_sums *sums; /* of each node */
    uint64_t threshold;
    struct text_table text;
    struct json_writer writer;
};

static int node_sums(struct partition_listing *listing, uint32_t node, int64_t now_ms)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct table_reference *references;
    struct partition_sums *out = &listing->sums[node];
    size_t n;
    TRY(table_references(listing->state, listing->tree->nodes[node].id, &arena, &references, &n));
    for (size_t i = 0; i < n; i++) {
        out->files++;
        out->on_jobs += table_reference_is_assigned(&references[i], now_ms);
        out->set_aside += references[i].is_set_aside;
        out->referenced += references[i].rows;
        out->is_estimated |= !references[i].is_exact;
        if (references[i].is_exact && !references[i].is_shared) out->exact += references[i].rows;
    }
    return 0;
}

/* Own rows, those below, and the shares of those above. */
static void add_approximate(struct partition_listing *listing)
{
    const struct partition_tree *tree = listing->tree;
    double *above = ARENA_ARRAY(&listing->cli->arena, double, tree->n_nodes);
    for (uint32_t i = 0; i < tree->n_nodes; i++) {
        uint32_t parent = tree->nodes[i].parent;
        above[i] = parent == UINT32_MAX
                       ? 0
                       : (above[parent] + (double)listing->sums[parent].referenced) / 2;
    }
    /* Children stand behind their parents. */
    for (uint32_t i = tree->n_nodes; i-- > 0;) {
        uint32_t parent = tree->nodes[i].parent;
        listing->sums[i].approximate += (double)listing->sums[i].referenced;
        if (parent != UINT32_MAX) listing->sums[parent].approximate += listing->sums[i].approximate;
    }
    for (uint32_t i = 0; i < tree->n_nodes; i++)
        listing->sums[i].approximate += above[i];
}

static uint32_t node_depth(const struct partition_tree *tree, uint32_t node)
{
    uint32_t depth = 0;
    while (tree->nodes[node].parent != UINT32_MAX && depth < tree->n_nodes) {
        node = tree->nodes[node].parent;
        depth++;
    }
    return depth;
}

static bool will_split(const struct partition_listing *listing, uint32_t node)
{
    return listing->tree->nodes[node].left == UINT32_MAX &&
           listing->sums[node].exact >= listing->threshold;
}

static bool may_split(const struct partition_listing *listing, uint32_t node)
{
    return listing->tree->nodes[node].left == UINT32_MAX && !will_split(listing, node) &&
           listing->sums[node].approximate >= (double)listing->threshold;
}

static void write_node(struct partition_listing *listing, uint32_t index)
{
    const struct partition_tree *tree = listing->tree;
    const struct partition_node *node = &tree->nodes[index];
    const struct partition_sums *sums = &listing->sums[index];
    const struct schema *schema = table_state_schema(listing->state);
    struct json_writer *writer = &listing->writer;
    bool is_leaf = node->left == UINT32_MAX;
    json_write_object_begin(writer);
    json_write_field_string(writer, "partition", node->id);
    json_write_field_bool(writer, "leaf", is_leaf);
    json_write_field_uint(writer, "depth", node_depth(tree, index));
    if (node->parent != UINT32_MAX) {
        json_write_field_string(writer, "parent", tree->nodes[node->parent].id);
        json_write_field_text(writer, "side",
                              tree->nodes[node->parent].left == index ? "left" : "right");
    }
    json_write_field_uint(writer, "files", sums->files);
    json_write_field_uint(writer, "filesOnJobs", sums->on_jobs);
    json_write_field_uint(writer, "filesSetAside", sums->set_aside);
    json_write_field_uint(writer, "rows", sums->referenced);
    json_write_field_bool(writer, "rowsAreExact", !sums->is_estimated);
    json_write_field_uint(writer, "exactRows", sums->exact);
    json_write_field_uint(writer, "approximateRows", (uint64_t)sums->approximate);
    if (is_leaf) {
        json_write_field_bool(writer, "willBeSplit", will_split(listing, index));
        json_write_field_bool(writer, "maySplitIfCompacted", may_split(listing, index));
    } else {
        json_write_field_string(writer, "splitField", schema->fields[node->dimension].name);
        json_write_field_string(writer, "splitValue",
                                cli_field_key(listing->cli, schema, node->dimension, node->split));
    }
    json_write_name(writer, "ranges");
    json_write_array_begin(writer);
    for (uint32_t f = 0; f < tree->n_fields; f++)
        json_write_string(writer, cli_range(listing->cli, schema, f, &node->region[f]));
    json_write_array_end(writer);
    json_write_object_end(writer);
}

static int print_node(struct partition_listing *listing, uint32_t index)
{
    struct cli *cli = listing->cli;
    const struct partition_tree *tree = listing->tree;
    const struct partition_node *node = &tree->nodes[index];
    const struct partition_sums *sums = &listing->sums[index];
    const struct schema *schema = table_state_schema(listing->state);
    struct text_table *text = &listing->text;
    uint32_t depth = node_depth(tree, index);
    text_table_cell(text, "%*s%.*s", (int)(2 * (depth < 40 ? depth : 40)), "",
                    SLICE_PRINT(node->id));
    text_table_cell(text, "%s", node->left == UINT32_MAX ? "leaf" : "inner");
    text_table_cell(text, "%s", cli_count(cli, sums->files));
    text_table_cell(text, "%s", cli_count(cli, sums->on_jobs));
    text_table_cell(text, "%s%s", sums->is_estimated ? "~" : "", cli_count(cli, sums->referenced));
    text_table_cell(text, "%s%s",
                    sums->is_estimated || sums->approximate > (double)sums->referenced ? "~" : "",
                    cli_count(cli, (uint64_t)sums->approximate));
    text_table_cell(text, "%s",
                    will_split(listing, index)  ? "due"
                    : may_split(listing, index) ? "if compacted"
                                                : "");
    defer_buffer struct buffer ranges = BUFFER_INIT(1 << 20);
    for (uint32_t f = 0; f < tree->n_fields; f++) {
        const struct key_range *range = &node->region[f];
        if (tree->n_fields > 1 && range->min.size == 0 && range->unbounded) continue;
        TRY(buffer_printf(&ranges, "%s%.*s %.*s", ranges.size ? ", " : "",
                          SLICE_PRINT(schema->fields[f].name),
                          SLICE_PRINT(cli_range(cli, schema, f, range))));
    }
    text_table_cell(text, "%.*s",
                    SLICE_PRINT(ranges.size ? buffer_slice(&ranges) : SLICE("everything")));
    return 0;
}

int status_partitions(struct cli *cli, const struct table_state *state)
{
    struct partition_listing listing = {.cli = cli, .state = state};
    int64_t now_ms = cli->runtime.clock->wall_ms(cli->runtime.clock);
    TRY(table_tree(state, &cli->arena, &listing.tree));
    uint32_t n = listing.tree->n_nodes;
    listing.sums = ARENA_ARRAY(&cli->arena, struct partition_sums, n);
    listing.threshold = (uint64_t)table_state_number(state, PROPERTY_TABLE_SPLIT_THRESHOLD);
    for (uint32_t i = 0; i < n; i++)
        TRY(node_sums(&listing, i, now_ms));
    add_approximate(&listing);
    if (cli->json) {
        cli_json_begin(cli, &listing.writer);
        json_write_array_begin(&listing.writer);
        for (uint32_t i = 0; i < n; i++)
            write_node(&listing, i);
        json_write_array_end(&listing.writer);
        return cli_json_end(cli, &listing.writer);
    }
    text_table_init(&listing.text,
                    (const char *[]){"partition", "kind", ">files", ">on jobs", ">rows",
                                     ">with others'", "split", "range"},
                    8);
    int code = 0;
    for (uint32_t i = 0; i < n && code == 0; i++)
        code = print_node(&listing, i);
    text_table_end(cli, &listing.text);
    return code;
}
