/*
 * export_manifest.c: manifest.json, the last object of an export: what the table was (schema,
 * properties, the whole tree, the record) and what each file holds (leaf, region, rows, bytes,
 * checksum, least and greatest keys). An export without a manifest is not finished.
 *
 * What a restore reads here comes from outside: every number, index and name is looked at, the tree
 * is proven to be one, and each file to be of a leaf of it, of which there is at most one file.
 * docs/formats.md, "Exports".
 */
#include "query/export_int.h"

#include "base/text.h"

#include <stdlib.h>

/* ---- writing ---- */

static int write_schema(const struct schema *schema, struct json_writer *writer)
{
    defer_buffer struct buffer text = BUFFER_INIT(64 << 20);
    TRY(schema_to_json(schema, &text));
    json_write_name(writer, "schema");
    json_write_raw(writer, buffer_slice(&text));
    return 0;
}

static int write_settings(const struct table_state *state, struct arena *arena,
                          struct json_writer *writer)
{
    struct setting *settings;
    size_t n;
    TRY(table_state_settings(state, arena, &settings, &n));
    json_write_name(writer, "properties");
    json_write_object_begin(writer);
    for (size_t i = 0; i < n; i++) {
        json_write_name_slice(writer, settings[i].name);
        json_write_string(writer, settings[i].value);
    }
    json_write_object_end(writer);
    return 0;
}

static int write_tree(const struct table_state *state, struct arena *arena,
                      struct json_writer *writer)
{
    const struct partition_tree *tree;
    TRY(table_tree(state, arena, &tree));
    json_write_name(writer, "partitions");
    json_write_array_begin(writer);
    for (uint32_t i = 0; i < tree->n_nodes; i++) {
        const struct partition_node *node = &tree->nodes[i];
        json_write_object_begin(writer);
        json_write_field_string(writer, "id", node->id);
        if (node->left != UINT32_MAX) {
            json_write_field_uint(writer, "dimension", node->dimension);
            json_write_name(writer, "split");
            export_write_bytes(writer, node->split);
            json_write_field_uint(writer, "left", node->left);
            json_write_field_uint(writer, "right", node->right);
        }
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
    return 0;
}

static void write_values(struct json_writer *writer, const char *name, const struct slice *texts,
                         uint32_t n)
{
    json_write_name(writer, name);
    json_write_array_begin(writer);
    for (uint32_t i = 0; i < n; i++)
        json_write_string(writer, texts[i]);
    json_write_array_end(writer);
}

static void write_files(const struct export_leaf *leaves, const struct export_outcome *outcomes,
                        size_t n, uint32_t n_row_keys, struct json_writer *writer)
{
    json_write_name(writer, "files");
    json_write_array_begin(writer);
    for (size_t i = 0; i < n; i++) {
        const struct export_outcome *outcome = &outcomes[i];
        if (outcome->file.size == 0) continue;
        json_write_object_begin(writer);
        json_write_field_string(writer, "file", outcome->file);
        json_write_field_string(writer, "leaf", leaves[i].id);
        json_write_name(writer, "region");
        export_write_region(writer, leaves[i].region, n_row_keys);
        json_write_field_uint(writer, "rows", outcome->rows);
        json_write_field_uint(writer, "bytes", outcome->bytes);
        json_write_field_string(writer, "xxh3", outcome->checksum);
        write_values(writer, "min", outcome->min, n_row_keys);
        write_values(writer, "max", outcome->max, n_row_keys);
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

int export_manifest_write(const struct export_work *work, const struct export_leaf *leaves,
                          const struct export_outcome *outcomes, size_t n, struct buffer *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct export_plan *plan = work->plan;
    const struct schema *schema = table_state_schema(work->state);
    uint64_t rows = 0, bytes = 0, hidden = 0;
    for (size_t i = 0; i < n; i++) {
        hidden += outcomes[i].hidden;
        rows += outcomes[i].rows;
        bytes += outcomes[i].bytes;
    }
    struct json_writer writer;
    json_writer_init(&writer, out, 1);
    json_write_object_begin(&writer);
    json_write_field_int(&writer, "glisExport", EXPORT_VERSION);
    json_write_field_string(&writer, "id", plan->id);
    if (plan->job.size) json_write_field_string(&writer, "job", plan->job);
    json_write_field_string(&writer, "table", plan->table_name);
    json_write_field_string(&writer, "tableId", plan->table_id);
    json_write_field_uint(&writer, "record", plan->record);
    json_write_field_int(&writer, "recordTime", table_state_time_ms(work->state));
    json_write_field_int(&writer, "now", plan->now_ms);
    json_write_field_text(&writer, "format", export_kind_name(plan->kind));
    json_write_field_bool(&writer, "whole", plan->whole && !hidden);
    if (hidden) json_write_field_uint(&writer, "hidden", hidden);
    export_write_query(plan, &writer);
    json_write_field_uint(&writer, "rows", rows);
    json_write_field_uint(&writer, "bytes", bytes);
    TRY(write_schema(schema, &writer));
    TRY(write_settings(work->state, &arena, &writer));
    TRY(write_tree(work->state, &arena, &writer));
    write_files(leaves, outcomes, n, schema->n_row_keys, &writer);
    json_write_object_end(&writer);
    TRY(json_writer_finish(&writer));
    return buffer_append_byte(out, '\n');
}

/* ---- reading ---- */

static int read_schema(const struct json *root, struct export_manifest *out)
{
    const struct json *json;
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_PLAN_BYTES_MAX);
    struct json_writer writer;
    TRY(json_get_object(root, "schema", &json));
    json_writer_init(&writer, &text, 0);
    json_write_value(&writer, json);
    TRY(json_writer_finish(&writer));
    TRY_CONTEXT(schema_from_json(buffer_slice(&text), &out->schema), "schema");
    return schema_validate_table(out->schema);
}

static int read_settings(const struct json *root, struct arena *arena, struct export_manifest *out)
{
    const struct json *json;
    TRY(json_get_object(root, "properties", &json));
    out->settings = ARENA_ARRAY(arena, struct setting, json->n_items);
    for (size_t i = 0; i < json->n_items; i++) {
        struct setting *setting = &out->settings[i];
        setting->name = json->items[i].name;
        TRY(json_as_string(&json->items[i], &setting->value));
    }
    out->n_settings = json->n_items;
    return 0;
}

/* A node of the tree and its id, for finding leaves by id. */
struct named_leaf {
    struct slice id;
    uint32_t leaf;
};

static int compare_leaves(const void *a, const void *b)
{
    const struct named_leaf *x = a, *y = b;
    return slice_compare(x->id, y->id);
}

/* Nodes in depth-first order: node i's left child is i + 1, and its right child begins where the
 * left subtree ends. A stack of right children that are due proves it. */
static int check_shape(const struct export_manifest *manifest, const struct json *json)
{
    defer_free uint32_t *due = memory_alloc((manifest->n_nodes + 1) * sizeof *due);
    size_t n_due = 0;
    for (size_t i = 0; i < manifest->n_nodes; i++) {
        const struct export_node *node = &manifest->nodes[i];
        if (node->left) {
            if (node->left != i + 1 || node->right <= node->left)
                return json_fail(&json->items[i], "the partitions are not in depth-first order");
            due[n_due++] = node->right;
        } else if (i + 1 < manifest->n_nodes && (n_due == 0 || due[--n_due] != i + 1)) {
            return json_fail(&json->items[i], "the partitions are not in depth-first order");
        }
    }
    return n_due == 0 ? 0 : json_fail(json, "the partitions do not make a tree");
}

static int read_node(const struct json *json, struct export_manifest *manifest, struct arena *arena,
                     struct export_node *out)
{
    int64_t left, right, dimension;
    if (!json_find(json, "split")) return 0;
    TRY(json_get_int(json, "dimension", 0, manifest->schema->n_row_keys - 1, &dimension));
    TRY(json_get_int(json, "left", 1, (int64_t)manifest->n_nodes - 1, &left));
    TRY(json_get_int(json, "right", 1, (int64_t)manifest->n_nodes - 1, &right));
    TRY(export_read_bytes(json_find(json, "split"), arena, &out->split));
    out->dimension = (uint32_t)dimension;
    out->left = (uint32_t)left;
    out->right = (uint32_t)right;
    return 0;
}

static int read_tree(const struct json *root, struct arena *arena, struct export_manifest *out,
                     struct named_leaf **leaves)
{
    const struct json *json;
    TRY(json_get_array(root, "partitions", &json));
    if (json->n_items == 0 || json->n_items > UINT32_MAX)
        return json_fail(json, "a tree has a root");
    out->nodes = ARENA_ARRAY(arena, struct export_node, json->n_items);
    out->n_nodes = json->n_items;
    *leaves = ARENA_ARRAY(arena, struct named_leaf, json->n_items);
    for (size_t i = 0; i < json->n_items; i++) {
        struct slice id;
        TRY(json_as_object(&json->items[i]));
        TRY(json_get_string(&json->items[i], "id", &id));
        TRY(read_node(&json->items[i], out, arena, &out->nodes[i]));
        if (out->nodes[i].left) continue;
        (*leaves)[out->n_leaves] = (struct named_leaf){id, (uint32_t)out->n_leaves};
        out->n_leaves++;
    }
    TRY(check_shape(out, json));
    qsort(*leaves, out->n_leaves, sizeof **leaves, compare_leaves);
    for (size_t i = 1; i < out->n_leaves; i++)
        if (slice_equal((*leaves)[i - 1].id, (*leaves)[i].id))
            return json_fail(json, "partition %.*s comes twice", SLICE_PRINT((*leaves)[i].id));
    return 0;
}

static int read_files(const struct json *root, struct arena *arena, const struct named_leaf *leaves,
                      struct export_manifest *out)
{
    const struct json *json;
    uint64_t rows = 0;
    TRY(json_get_array(root, "files", &json));
    out->files = ARENA_ARRAY(arena, struct export_file, json->n_items);
    for (size_t i = 0; i < json->n_items; i++) {
        struct export_outcome outcome;
        struct export_file *file = &out->files[i];
        TRY(export_outcome_read(&json->items[i], out->schema->n_row_keys, arena, &outcome));
        if (outcome.file.size == 0) return json_fail(&json->items[i], "a file without a name");
        struct named_leaf wanted = {outcome.leaf, 0};
        const struct named_leaf *leaf =
            bsearch(&wanted, leaves, out->n_leaves, sizeof *leaves, compare_leaves);
        if (!leaf) return json_fail(&json->items[i], "a file of no leaf of the tree");
        if (i > 0 && leaf->leaf <= file[-1].leaf)
            return json_fail(&json->items[i], "the files are not in the order of the leaves");
        *file = (struct export_file){outcome.file, outcome.checksum, outcome.rows, outcome.bytes,
                                     leaf->leaf};
        if (__builtin_add_overflow(rows, outcome.rows, &rows) ||
            __builtin_add_overflow(out->bytes, outcome.bytes, &out->bytes))
            return json_fail(&json->items[i], "too many rows");
    }
    out->n_files = json->n_items;
    return rows == out->rows ? 0 : json_fail(json, "the files do not have the rows of the export");
}

static int read_manifest(const struct json *root, struct arena *arena, struct export_manifest *out)
{
    int64_t version, record, rows;
    struct named_leaf *leaves = NULL;
    TRY(json_as_object(root));
    TRY(json_get_int(root, "glisExport", 1, INT32_MAX, &version));
    if (version > EXPORT_VERSION)
        return error_set(GLIS_ENEWER, "this export was made by a newer Glis (form %lld)",
                         (long long)version);
    TRY(json_get_string(root, "id", &out->id));
    TRY(json_get_string(root, "table", &out->table_name));
    TRY(json_get_int(root, "record", 1, INT64_MAX, &record));
    TRY(json_get_int(root, "rows", 0, INT64_MAX, &rows));
    TRY(json_get_bool(root, "whole", &out->whole));
    TRY(export_kind_parse(root, "format", &out->kind));
    out->record = (uint64_t)record;
    out->rows = (uint64_t)rows;
    TRY(read_schema(root, out));
    TRY(read_settings(root, arena, out));
    TRY(read_tree(root, arena, out, &leaves));
    return read_files(root, arena, leaves, out);
}

int export_manifest_read(struct store *store, struct arena *arena, struct export_manifest *out)
{
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_PLAN_BYTES_MAX);
    const struct json *root;
    *out = (struct export_manifest){0};
    int code = store_get(store, EXPORT_MANIFEST_KEY, 0, STORE_TO_END, &text);
    if (code == GLIS_ENOTFOUND)
        return error_set(GLIS_ENOTFOUND, "%s has no manifest.json: no export, or not finished",
                         store->description);
    TRY(code);
    code = json_parse(arena, buffer_slice(&text), JSON_RULES_INTERNAL, &root);
    if (code == 0) code = read_manifest(root, arena, out);
    if (code < 0) {
        error_context("%s: manifest.json", store->description);
        schema_release(out->schema);
        out->schema = NULL;
    }
    return code;
}
