/*
 * export_restore.c: a new table from a whole export.
 *
 *   read      the manifest; every file's size and checksum against it
 *   create    a table with its schema, properties and tree, under a name of its own
 *   fill      each file into its leaf, one commit for all
 *   verify    as many rows as the manifest says
 *   name      only now the table gets the name that was asked for
 *
 * Whatever fails drops the table, so that under the name asked for there is a whole table or none.
 * A process that dies leaves a table named restoring-<id>. The next restore, and collection over
 * all tables, drop what has that name for longer than glis.gc.orphan.age: no commit of so old a job
 * would be taken any more.
 *
 * What comes back is equal in every form: in text reals keep all their digits, and nulls and empty
 * texts differ by quotes. Where the rows come from is not trusted: all of them are brought into the
 * table's schema and held against the order and the leaf's region (place_leaves).
 */
#include "query/export_int.h"

#include "base/text.h"
#include "base/ulid.h"
#include "lsm/lsm.h"

enum { VERIFY_PIECE_BYTES = 4 << 20 };

struct restoring {
    struct instance *instance;
    struct runtime *runtime;
    struct store *from;
    const struct restore_options *options;
    struct arena *arena;
    struct export_manifest manifest;
    struct restore_progress progress;
    struct table *table;
    /* of the file being read: */
    size_t next_file;
    struct parquet_reader *parquet;
};

static int tell(struct restoring *restoring)
{
    const struct restore_options *options = restoring->options;
    if (!options->progress) return 0;
    int code = options->progress(options->progress_state, &restoring->progress);
    if (code == 0) return 0;
    return code < 0 ? code : error_set(GLIS_ECANCELLED, "the caller ended the restore");
}

/* ---- verifying ---- */

static int hash_file(struct restoring *restoring, const struct export_file *file,
                     struct hash_stream *hash)
{
    uint64_t offset = 0;
    do {
        TRY(runtime_check_cancel(restoring->runtime));
        struct store_read read = {.key = file->key,
                                  .offset = offset,
                                  .length = VERIFY_PIECE_BYTES,
                                  .budget = restoring->runtime->budget};
        int code = store_read(restoring->from, &read, 1);
        if (code == 0 && read.outcome == GLIS_ENOTFOUND)
            code = error_set(GLIS_ENOTFOUND, "the file is missing");
        if (code == 0 && read.object_size != file->bytes)
            code = error_set(GLIS_ECORRUPT, "the file is damaged: it has %llu bytes, not %llu",
                             (unsigned long long)read.object_size, (unsigned long long)file->bytes);
        if (code == 0 && read.size == 0) code = error_set(GLIS_EIO, "a read gave nothing");
        if (code == 0) hash_stream_add(hash, read.data, read.size);
        offset += code == 0 ? read.size : 0;
        restoring->progress.bytes += code == 0 ? read.size : 0;
        store_read_release(&read, 1);
        TRY(code);
        TRY(tell(restoring));
    } while (offset < file->bytes);
    return 0;
}

static int verify_file(struct restoring *restoring, const struct export_file *file)
{
    struct hash_stream *hash = hash_stream_new();
    char hex[HASH128_HEX_BYTES + 1];
    int code = hash_file(restoring, file, hash);
    hash_hex128(hash_stream_128(hash), hex);
    hash_stream_free(hash);
    if (code == 0 && !slice_equal_text(file->checksum, hex))
        code = error_set(GLIS_ECORRUPT, "the file is damaged: its checksum is %s, not %.*s", hex,
                         SLICE_PRINT(file->checksum));
    TRY_CONTEXT(code, "%s: %.*s", restoring->from->description, SLICE_PRINT(file->key));
    return 0;
}

static int verify(struct restoring *restoring)
{
    const struct export_manifest *manifest = &restoring->manifest;
    restoring->progress = (struct restore_progress){
        .phase = RESTORE_VERIFYING, .n_files = manifest->n_files, .total_bytes = manifest->bytes};
    for (size_t i = 0; i < manifest->n_files; i++) {
        TRY(verify_file(restoring, &manifest->files[i]));
        restoring->progress.files_done++;
    }
    return 0;
}

/* ---- the table ---- */

/* The properties that may be set; a name belongs to its table. */
static int choose_settings(struct restoring *restoring, struct setting **out, size_t *n_out)
{
    const struct export_manifest *manifest = &restoring->manifest;
    *out = ARENA_ARRAY(restoring->arena, struct setting, manifest->n_settings);
    *n_out = 0;
    for (size_t i = 0; i < manifest->n_settings; i++) {
        enum property_id id = property_find(manifest->settings[i].name);
        if (id == PROPERTY_NONE)
            return error_set(GLIS_ENEWER, "properties: '%.*s' is not known to this version",
                             SLICE_PRINT(manifest->settings[i].name));
        if (property_definition(id)->editable) (*out)[(*n_out)++] = manifest->settings[i];
    }
    return 0;
}

/* The table begins as one leaf, which grows into the whole tree, of any dimensions. */
static int grow(struct restoring *restoring)
{
    const struct export_manifest *manifest = &restoring->manifest;
    if (manifest->n_nodes == 1) return 0;
    const struct table_state *state;
    const struct partition_tree *tree;
    struct commit_result done;
    struct growing_node *nodes =
        ARENA_ARRAY(restoring->arena, struct growing_node, manifest->n_nodes);
    for (size_t i = 0; i < manifest->n_nodes; i++) {
        const struct export_node *node = &manifest->nodes[i];
        nodes[i] = (struct growing_node){node->dimension, node->split, node->left, node->right};
    }
    TRY(table_state_get(restoring->table, 0, &state));
    int code = table_tree(state, restoring->arena, &tree);
    if (code == 0) {
        struct growing_leaf root = {tree->nodes[0].id, nodes, manifest->n_nodes};
        code = table_extend_tree(restoring->table, state, &root, 1, &done);
    }
    table_state_release(state);
    TRY_CONTEXT(code, "the export's partitions");
    return 0;
}

static int create(struct restoring *restoring, struct slice name)
{
    struct setting *settings;
    struct table_definition definition = {.name = name, .schema = restoring->manifest.schema};
    TRY(choose_settings(restoring, &settings, &definition.n_settings));
    definition.settings = settings;
    TRY(table_create(restoring->instance, &definition, &restoring->table));
    return 0;
}

/* ---- rows ---- */

static int open_parquet(struct restoring *restoring, const struct export_file *file,
                        struct batch_stream **out)
{
    parquet_reader_close(restoring->parquet);
    restoring->parquet = NULL;
    TRY(parquet_reader_open(&restoring->parquet, restoring->runtime, restoring->from, file->key,
                            restoring->runtime->budget));
    return parquet_reader_stream(restoring->parquet, out);
}

/* The next file, for its leaf. */
static int next_file(void *state, uint32_t *leaf, struct batch_stream **stream, const char **name)
{
    struct restoring *restoring = state;
    const struct export_manifest *manifest = &restoring->manifest;
    *stream = NULL;
    restoring->progress.files_done = restoring->next_file;
    if (restoring->next_file == manifest->n_files) return 0;
    const struct export_file *file = &manifest->files[restoring->next_file++];
    struct format_options options = {.budget = restoring->runtime->budget};
    struct byte_source *source;
    *leaf = file->leaf;
    *name = arena_copy_text(restoring->arena, file->key);
    if (manifest->kind == OUTPUT_PARQUET) {
        TRY_CONTEXT(open_parquet(restoring, file, stream), "%s", *name);
        return 0;
    }
    TRY(byte_source_open_object(restoring->from, file->key, *name, &source));
    if (manifest->kind == OUTPUT_ARROW)
        return arrow_reader_open(source, manifest->schema, restoring->runtime->budget, stream);
    if (manifest->kind == OUTPUT_CSV)
        return csv_reader_open(source, manifest->schema, &options, stream);
    return jsonl_reader_open(source, manifest->schema, &options, stream);
}

static int on_rows(void *state, uint64_t rows, uint64_t bytes)
{
    struct restoring *restoring = state;
    restoring->progress.rows = rows;
    restoring->progress.bytes = bytes;
    return tell(restoring);
}

static int fill(struct restoring *restoring, struct ingest_result *out)
{
    const struct export_manifest *manifest = &restoring->manifest;
    struct place_options options = {.next = next_file,
                                    .next_state = restoring,
                                    .progress = on_rows,
                                    .progress_state = restoring};
    restoring->progress =
        (struct restore_progress){.phase = RESTORE_WRITING, .n_files = manifest->n_files};
    int code = place_leaves(restoring->table, restoring->runtime, &options, restoring->arena, out);
    parquet_reader_close(restoring->parquet);
    restoring->parquet = NULL;
    TRY(code);
    if (out->rows != manifest->rows)
        return error_set(GLIS_ECORRUPT, "the files hold %llu rows, the manifest says %llu",
                         (unsigned long long)out->rows, (unsigned long long)manifest->rows);
    return 0;
}

/* ---- all of it ---- */

static int check_name_is_free(struct restoring *restoring)
{
    struct table *table;
    struct slice name = restoring->options->name;
    TRY(table_name_check(name));
    int code = table_open(restoring->instance, name, &table);
    if (code == GLIS_ENOTFOUND) return 0;
    TRY(code);
    table_close(table);
    return error_set(GLIS_EEXISTS, "there is a table '%.*s' already", SLICE_PRINT(name));
}

static int check_manifest(const struct restoring *restoring)
{
    const struct export_manifest *manifest = &restoring->manifest;
    if (!manifest->whole)
        return error_set(GLIS_EINVALID,
                         "%s holds a part of table '%.*s' (a query): ingest its files instead",
                         restoring->from->description, SLICE_PRINT(manifest->table_name));
    return 0;
}

static void drop(struct restoring *restoring, struct slice name)
{
    struct error_detail detail;
    error_save(&detail);
    if (table_drop(restoring->instance, name) < 0) error_clear(); /* its name says what it is */
    (void)error_load(&detail);
}

static bool is_unfinished(struct slice name)
{
    static const struct slice prefix = {"restoring-", 10};
    return slice_starts_with(name, prefix) &&
           ulid_is_valid(slice_part(name, prefix.size, name.size));
}

int export_restore_sweep(struct instance *instance, struct runtime *runtime, bool dry_run,
                         uint64_t *n_dropped)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct table_entry *entries;
    size_t n;
    int64_t age_ms = instance_number(instance, PROPERTY_GC_ORPHAN_AGE);
    int64_t now_ms = runtime->clock->wall_ms(runtime->clock);
    TRY(instance_tables(instance, false, &arena, &entries, &n));
    for (size_t i = 0; i < n; i++) {
        if (!is_unfinished(entries[i].name) || now_ms - entries[i].since_ms < age_ms) continue;
        int code = dry_run ? 0 : table_drop(instance, entries[i].name);
        if (code == GLIS_ENOTFOUND) {
            error_clear(); /* another was faster */
            continue;
        }
        TRY(code);
        ++*n_dropped;
    }
    return 0;
}

static int restore(struct restoring *restoring, struct restore_result *out)
{
    struct ingest_result filled;
    uint64_t n_dropped = 0;
    TRY(check_name_is_free(restoring));
    TRY(export_manifest_read(restoring->from, restoring->arena, &restoring->manifest));
    TRY(check_manifest(restoring));
    TRY(verify(restoring));
    TRY(export_restore_sweep(restoring->instance, restoring->runtime, false, &n_dropped));
    struct ulid id = ulid_new(restoring->runtime);
    struct slice name = slice_from_text(arena_printf(restoring->arena, "restoring-%s", id.text));
    TRY_CONTEXT(create(restoring, name), "creating the table");
    int code = grow(restoring);
    if (code == 0) code = fill(restoring, &filled);
    out->id = arena_copy(restoring->arena, table_id(restoring->table));
    table_close(restoring->table);
    if (code == 0) code = table_rename(restoring->instance, name, restoring->options->name);
    if (code < 0 && code != GLIS_EUNKNOWN) drop(restoring, name);
    TRY(code);
    out->rows = filled.rows;
    out->files = filled.files;
    out->bytes = filled.bytes;
    out->leaves = restoring->manifest.n_leaves;
    return 0;
}

int export_restore(struct instance *instance, struct runtime *runtime, struct store *from,
                   const struct restore_options *options, struct arena *arena,
                   struct restore_result *out)
{
    struct restoring restoring = {
        .instance = instance, .runtime = runtime, .from = from, .options = options, .arena = arena};
    *out = (struct restore_result){0};
    int code = restore(&restoring, out);
    schema_release(restoring.manifest.schema);
    return code;
}
