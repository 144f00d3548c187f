/*
 * place_leaves.c: rows that are sorted and parted by leaves already become data files of a table,
 * one a leaf, with one commit: what a restore does with an export.
 *
 * Nothing is sorted, filtered or aggregated: the rows are kept as they are. Where they come from is
 * not trusted: they are brought into the table's schema, and rows that do not ascend, or lie
 * outside of their leaf, end the work with the name of their source. Failing, it removes what it
 * put, as an ingest does.
 */
#include "lsm/ingest_int.h"

#include "base/ulid.h"

struct placing {
    struct data_file_context context;
    const struct partition_tree *tree;
    const struct place_options *options;
    struct placed *files;
    size_t n_files, capacity;
    uint64_t rows, bytes;
};

struct placed {
    struct data_file file;
    struct new_reference reference;
    const struct key_range *region;
};

/* ---- one leaf ---- */

/* Whether the rows ascend, and go on from the last key before. */
static int check_order(const struct batch *batch, struct buffer *last, struct budget *budget)
{
    struct keys keys;
    TRY(keys_encode(&keys, batch, schema_key_count(batch->schema), budget));
    struct slice before = buffer_slice(last);
    int code = 0;
    for (int64_t i = 0; i < keys.n_rows && code == 0; i++) {
        struct slice key = keys_get(&keys, i);
        if (slice_compare(before, key) > 0)
            code = error_set(GLIS_ECORRUPT, "the rows are not in key order");
        before = key;
    }
    if (code == 0) {
        struct buffer next = BUFFER_INIT(last->max_bytes);
        code = buffer_append_slice(&next, before);
        if (code == 0) {
            buffer_free(last);
            *last = next;
        }
    }
    keys_free(&keys);
    return code;
}

static int tell(const struct placing *placing, uint64_t rows)
{
    if (!placing->options->progress) return 0;
    int code = placing->options->progress(placing->options->progress_state, placing->rows + rows,
                                          placing->bytes);
    if (code == 0) return 0;
    return code < 0 ? code : error_set(GLIS_ECANCELLED, "the caller ended the work");
}

static int write_rows(const struct placing *placing, struct ingest_reader *reader,
                      struct data_file_writer **writer)
{
    defer_buffer struct buffer last = BUFFER_INIT(8 * KEY_BYTES_MAX);
    uint64_t rows = 0;
    for (;;) {
        struct batch *batch;
        TRY(runtime_check_cancel(placing->context.runtime));
        TRY(ingest_reader_next(reader, &batch));
        if (!batch) return 0;
        int code = 0;
        if (batch->n_rows > 0) {
            if (!*writer) code = data_file_open(writer, &placing->context);
            if (code == 0) code = check_order(batch, &last, placing->context.budget);
            if (code == 0) code = data_file_write(*writer, batch);
            rows += (uint64_t)batch->n_rows;
        }
        batch_release(batch);
        TRY(code);
        TRY(tell(placing, rows));
    }
}

static int check_region(const struct data_file *file, const struct key_range *region, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!key_range_contains(&region[i], file->bounds[i].min) ||
            !key_range_contains(&region[i], file->bounds[i].max))
            return error_set(GLIS_ECORRUPT, "rows lie outside of their leaf");
    return 0;
}

static struct placed *add_file(struct placing *placing)
{
    if (placing->n_files == placing->capacity) {
        size_t capacity = placing->capacity ? placing->capacity * 2 : 16;
        placing->files = memory_realloc(placing->files, capacity * sizeof *placing->files);
        placing->capacity = capacity;
    }
    struct placed *placed = &placing->files[placing->n_files++];
    *placed = (struct placed){.file = {.rows = 0}};
    return placed;
}

static int place_leaf(struct placing *placing, uint32_t leaf, struct ingest_reader *reader)
{
    struct data_file_writer *writer = NULL;
    if (leaf >= placing->tree->n_leaves)
        return error_set(GLIS_EINVALID, "the table has %u leaves", placing->tree->n_leaves);
    int code = write_rows(placing, reader, &writer);
    if (code < 0) {
        data_file_abort(writer);
        return code;
    }
    if (!writer) return 0;
    const struct partition_node *node = &placing->tree->nodes[placing->tree->leaves[leaf]];
    struct placed *placed = add_file(placing);
    TRY(data_file_finish(writer, &placed->file));
    placed->region = node->region;
    placed->reference = (struct new_reference){node->id, placed->file.rows};
    placing->rows += placed->file.rows;
    placing->bytes += placed->file.size;
    TRY(check_region(&placed->file, node->region, placing->context.schema->n_row_keys));
    return tell(placing, 0);
}

static int place_all(struct placing *placing)
{
    const struct place_options *options = placing->options;
    for (;;) {
        uint32_t leaf;
        struct batch_stream *stream;
        struct ingest_reader *reader;
        const char *name;
        TRY(options->next(options->next_state, &leaf, &stream, &name));
        if (!stream) return 0;
        struct bad_rows bad = {.fd = -1};
        struct ingest_reader_settings settings = {.schema = placing->context.schema, .bad = &bad};
        TRY(ingest_reader_open_stream(&reader, placing->context.runtime, stream, name, &settings));
        int code = place_leaf(placing, leaf, reader);
        ingest_reader_close(reader);
        TRY_CONTEXT(code, "%s", name);
    }
}

/* ---- the commit ---- */

static int commit(struct placing *placing, struct ingest_result *out, bool *keep)
{
    struct arena *arena = placing->context.arena;
    size_t n = placing->n_files;
    uint32_t n_bounds = placing->context.schema->n_row_keys;
    struct new_file *files = ARENA_ARRAY(arena, struct new_file, n);
    struct slice *keys = ARENA_ARRAY(arena, struct slice, n);
    for (size_t i = 0; i < n; i++) {
        const struct placed *placed = &placing->files[i];
        struct file_bound *bounds = ARENA_ARRAY(arena, struct file_bound, n_bounds);
        for (uint32_t f = 0; f < n_bounds; f++)
            bounds[f] = file_bound_cut(placed->file.bounds[f].min, placed->file.bounds[f].max,
                                       &placed->region[f], arena);
        files[i] = (struct new_file){.name = placed->file.name,
                                     .size = placed->file.size,
                                     .rows = placed->file.rows,
                                     .bounds = bounds,
                                     .references = &placed->reference,
                                     .n_references = 1,
                                     .ages = placed->file.ages,
                                     .n_ages = placed->file.n_ages};
        memcpy(files[i].checksum, placed->file.checksum, sizeof files[i].checksum);
        keys[i] = placed->file.key;
    }
    TRY(data_files_sync(placing->context.table, keys, n));
    struct ulid id = ulid_new(placing->context.runtime);
    struct ingest_commit what = {
        .state = placing->context.state, .files = files, .n_files = n, .job = ulid_slice(&id)};
    struct commit_result done;
    int code = table_commit_ingest(placing->context.table, &what, &done);
    *keep = code == GLIS_EUNKNOWN || code == 0;
    TRY(code);
    *out = (struct ingest_result){.rows = placing->rows,
                                  .files = n,
                                  .references = n,
                                  .bytes = placing->bytes,
                                  .record = done.record,
                                  .job_id = arena_copy(arena, ulid_slice(&id))};
    return 0;
}

static void remove_files(const struct placing *placing)
{
    struct error_detail detail;
    error_save(&detail);
    for (size_t i = 0; i < placing->n_files; i++)
        if (placing->files[i].file.key.size &&
            store_remove(placing->context.store, &placing->files[i].file.key, 1) < 0)
            error_clear(); /* collection will find it */
    (void)error_load(&detail);
}

int place_leaves(struct table *table, struct runtime *runtime, const struct place_options *options,
                 struct arena *arena, struct ingest_result *out)
{
    const struct table_state *state;
    TRY(table_state_get(table, 0, &state));
    struct placing placing = {.context = {.table = table,
                                          .state = state,
                                          .runtime = runtime,
                                          .store = instance_store(table_instance(table)),
                                          .schema = table_state_schema(state),
                                          .budget = runtime->budget,
                                          .arena = arena},
                              .options = options};
    bool keep = false;
    int code = table_tree(state, arena, &placing.tree);
    if (code == 0) code = place_all(&placing);
    if (code == 0) code = commit(&placing, out, &keep);
    if (code < 0 && !keep) remove_files(&placing);
    for (size_t i = 0; i < placing.n_files; i++)
        arena_free(&placing.files[i].file.arena);
    memory_defer_free(&placing.files);
    table_state_release(state);
    return code;
}
