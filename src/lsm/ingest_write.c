/*
 * ingest_write.c: all rows of a job into data files.
 *
 * Rows go into a sorter whose order is leaf by leaf, and by key within a leaf. Where the tree is
 * split on the first row key only, that is simply the order of the keys; otherwise the leaf's
 * number stands before the key. The sorter counts the rows of each leaf, so when the sorted stream
 * begins it is known how many rows it will bring for every leaf, and the stream is cut by counting:
 * no key is looked at again.
 *
 * By these counts each leaf either gets a file of its own, or its rows go into a shared file. In a
 * tree that is split on several fields, rows of several leaves are not in key order one after the
 * other, so those for shared files pass a second, smaller sorter. What a leaf's rows will make in a
 * file is told by their bytes in memory and by how much smaller such rows become, which is measured
 * on a batch that is encoded for nobody.
 *
 * The rows of a leaf pass the table's filters, aggregations and iterator before they go to a file
 * (process.h). So fewer rows may be written than were counted; what a reference says is counted as
 * it is written, and a leaf of which nothing is left gets no file.
 *
 * Encoding is done on the pool in order, while the stream's next rows are merged: operations are
 * collected until they are worth a task, and at most one task runs.
 *
 *   strategy                 own file            shared files
 *   by_size                  enough bytes        the rest, at most max.references references
 *   one_file_per_leaf        every leaf          none
 *   one_reference_per_leaf   none                all rows, one reference for each leaf
 */
#include "lsm/ingest_int.h"

enum { OPERATIONS_MAX = 512, OPERATIONS_BYTES = 4 << 20 };
#define SHARED_FILE_BYTES (UINT64_C(4) << 30)

enum strategy { BY_SIZE, ONE_FILE_PER_LEAF, ONE_REFERENCE_PER_LEAF };

/* A file being made or made. */
struct making {
    struct placed_file placed;
    struct data_file_writer *writer; /* NULL when finished */
    struct making *next;
};

/* To be done on the pool, in order: rows for a file, or (batch NULL) its end. */
struct operation {
    struct making *making;
    struct batch *batch;
};

struct operations {
    struct operation items[OPERATIONS_MAX];
    unsigned n;
    uint64_t bytes;
};

/* A shared file that takes rows. */
struct shared_file {
    struct making *making; /* NULL: none open */
    uint64_t *leaf_rows;   /* of this file */
    uint64_t rows;
};

struct ingest_writer {
    struct ingest_writer_settings settings;
    const struct partition_tree *tree;
    enum strategy strategy;
    uint64_t min_file_bytes;
    uint32_t max_references;
    struct sorter *sorter;
    struct sorter *shared_sorter; /* only for trees split on several fields */
    struct slice *borders;
    uint64_t *leaf_rows; /* of what is in the sorter */
    uint64_t rows, raw_bytes;
    double ratio; /* bytes in a file for each byte in memory; 0: not measured yet */
    struct shared_file shared;
    struct making *first, **last;
    uint64_t n_files;
    bool processes; /* something is done to rows */
    struct operations *collecting, *running;
    struct task_group *group;
    struct ingest_writer_figures figures;
};

/* ---- beginning ---- */

/* A key with the number of its leaf before it. */
static int encode_leaf_key(void *state, struct keys *out, const struct batch *batch,
                           struct budget *budget)
{
    const struct ingest_writer *writer = state;
    const struct schema *schema = batch->schema;
    struct keys keys;
    TRY(keys_encode(&keys, batch, schema_key_count(schema), budget));
    uint64_t n = (uint64_t)batch->n_rows, size = 4 * n;
    size += keys.stride ? keys.stride * n : keys.offsets[n] - keys.offsets[0];
    *out = (struct keys){.n_rows = batch->n_rows, .stride = keys.stride ? keys.stride + 4 : 0};
    int code = size > UINT32_MAX ? error_set(GLIS_ELIMIT, "the keys of one batch pass 4 GiB") : 0;
    if (code == 0) code = block_new(&out->bytes_block, budget, size);
    if (code == 0 && !out->stride) code = block_new(&out->offsets_block, budget, 4 * (n + 1));
    uint32_t *offsets = NULL;
    if (code == 0 && !out->stride) out->offsets = offsets = (void *)out->offsets_block->data;
    uint8_t *at = code == 0 ? out->bytes_block->data : NULL;
    if (code == 0) out->bytes = at;
    for (uint64_t row = 0; code == 0 && row < n; row++) {
        struct slice key = keys_get(&keys, (int64_t)row);
        uint32_t leaf;
        code = partition_tree_leaf_of_key(writer->tree, schema, key, &leaf);
        if (code < 0) break;
        if (offsets) offsets[row] = (uint32_t)(at - out->bytes_block->data);
        leaf = __builtin_bswap32(leaf);
        memcpy(at, &leaf, 4);
        memcpy(at + 4, key.data, key.size);
        at += 4 + key.size;
    }
    if (code == 0 && offsets) offsets[n] = (uint32_t)(at - out->bytes_block->data);
    keys_free(&keys);
    if (code < 0) keys_free(out);
    return code;
}

/* The borders between leaves, as the sorter's keys have them. */
static void set_borders(struct ingest_writer *writer)
{
    const struct partition_tree *tree = writer->tree;
    struct arena *arena = writer->settings.context.arena;
    uint32_t n = tree->n_leaves - 1;
    writer->borders = ARENA_ARRAY(arena, struct slice, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        if (tree->first_field_only) {
            writer->borders[i] = tree->nodes[tree->leaves[i + 1]].region[0].min;
            continue;
        }
        uint32_t number = __builtin_bswap32(i + 1);
        writer->borders[i] = arena_copy(arena, slice_make(&number, sizeof number));
    }
    sorter_set_borders(writer->sorter, writer->borders, n, writer->leaf_rows);
    if (!tree->first_field_only) sorter_set_encode(writer->sorter, encode_leaf_key, writer);
}

static enum strategy strategy_of(const struct table_state *state)
{
    struct slice text = table_state_text(state, PROPERTY_TABLE_INGEST_STRATEGY);
    if (slice_equal(text, SLICE("one_file_per_leaf"))) return ONE_FILE_PER_LEAF;
    if (slice_equal(text, SLICE("one_reference_per_leaf"))) return ONE_REFERENCE_PER_LEAF;
    return BY_SIZE;
}

int ingest_writer_new(struct ingest_writer **out, const struct ingest_writer_settings *settings)
{
    struct ingest_writer *writer = memory_alloc_zero(sizeof *writer);
    const struct data_file_context *context = &settings->context;
    writer->settings = *settings;
    writer->processes = process_is_needed(&settings->processing, &settings->process);
    writer->last = &writer->first;
    writer->strategy = strategy_of(context->state);
    writer->min_file_bytes =
        (uint64_t)table_state_number(context->state, PROPERTY_TABLE_INGEST_MIN_FILE_BYTES);
    writer->max_references =
        (uint32_t)table_state_number(context->state, PROPERTY_TABLE_INGEST_MAX_REFERENCES);
    if (writer->strategy == ONE_REFERENCE_PER_LEAF) writer->max_references = UINT32_MAX;
    writer->collecting = memory_alloc_zero(sizeof *writer->collecting);
    writer->running = memory_alloc_zero(sizeof *writer->running);
    writer->group = task_group_new(context->runtime->pool, 1);
    writer->tree = settings->tree;
    int code = writer->tree ? 0 : table_tree(context->state, context->arena, &writer->tree);
    if (code == 0)
        code = sorter_new(&writer->sorter, context->runtime, context->schema, &settings->sorter);
    if (code == 0 && !writer->tree->first_field_only) {
        struct sorter_options small = settings->sorter;
        small.memory_bytes /= 4;
        code = sorter_new(&writer->shared_sorter, context->runtime, context->schema, &small);
    }
    if (code < 0) {
        ingest_writer_free(writer);
        return code;
    }
    writer->leaf_rows = memory_alloc_zero(writer->tree->n_leaves * sizeof *writer->leaf_rows);
    writer->shared.leaf_rows =
        memory_alloc_zero(writer->tree->n_leaves * sizeof *writer->shared.leaf_rows);
    set_borders(writer);
    *out = writer;
    return 0;
}

/* ---- encoding on the pool ---- */

static int run_operations(void *state)
{
    struct operations *operations = state;
    for (unsigned i = 0; i < operations->n; i++) {
        struct making *making = operations->items[i].making;
        struct data_file_writer *writer = making->writer;
        if (operations->items[i].batch) {
            TRY(data_file_write(writer, operations->items[i].batch));
            batch_release(operations->items[i].batch);
            operations->items[i].batch = NULL;
        } else {
            making->writer = NULL;
            TRY(data_file_finish(writer, &making->placed.file));
        }
    }
    return 0;
}

static void operations_clear(struct operations *operations)
{
    for (unsigned i = 0; i < operations->n; i++)
        batch_release(operations->items[i].batch);
    operations->n = 0;
    operations->bytes = 0;
}

/* Starts what was collected, once the task before has ended. */
static int start_operations(struct ingest_writer *writer)
{
    TRY(task_group_wait(writer->group));
    operations_clear(writer->running);
    struct operations *swap = writer->running;
    writer->running = writer->collecting;
    writer->collecting = swap;
    return task_group_start(writer->group, run_operations, writer->running);
}

static int finish_operations(struct ingest_writer *writer)
{
    TRY(start_operations(writer));
    TRY(task_group_wait(writer->group));
    operations_clear(writer->running);
    return 0;
}

/* Takes the batch, also on failure. */
static int add_operation(struct ingest_writer *writer, struct making *making, struct batch *batch)
{
    struct operations *operations = writer->collecting;
    operations->items[operations->n++] = (struct operation){making, batch};
    operations->bytes += batch ? batch_bytes(batch) : OPERATIONS_BYTES / 64;
    if (operations->n == OPERATIONS_MAX || operations->bytes >= OPERATIONS_BYTES)
        return start_operations(writer);
    return 0;
}

/* ---- files ---- */

static int open_file(struct ingest_writer *writer, struct making **out)
{
    struct making *making = ARENA_NEW(writer->settings.context.arena, struct making);
    TRY(data_file_open(&making->writer, &writer->settings.context));
    *writer->last = making;
    writer->last = &making->next;
    writer->n_files++;
    *out = making;
    return 0;
}

static int close_shared(struct ingest_writer *writer)
{
    struct shared_file *shared = &writer->shared;
    if (!shared->making) return 0;
    struct arena *arena = writer->settings.context.arena;
    struct partition_cover *cover;
    size_t n;
    TRY(partition_tree_cover(writer->tree, shared->leaf_rows, writer->max_references, arena, &cover,
                             &n));
    struct placed_file *placed = &shared->making->placed;
    placed->references = ARENA_ARRAY(arena, struct new_reference, n);
    placed->n_references = n;
    for (size_t i = 0; i < n; i++) {
        placed->references[i].partition = writer->tree->nodes[cover[i].node].id;
        placed->references[i].rows = cover[i].rows;
    }
    struct making *making = shared->making;
    memset(shared->leaf_rows, 0, writer->tree->n_leaves * sizeof *shared->leaf_rows);
    shared->making = NULL;
    shared->rows = 0;
    return add_operation(writer, making, NULL);
}

/* Bytes that so many rows would take in a file. */
static double file_bytes(const struct ingest_writer *writer, uint64_t rows)
{
    double raw = (double)writer->raw_bytes / (double)writer->rows * (double)rows;
    return raw * (writer->ratio > 0 ? writer->ratio : 1);
}

/* Rows for the shared file; their leaves are counted by the caller. Takes the batch. */
static int write_shared(struct ingest_writer *writer, struct batch *batch)
{
    struct shared_file *shared = &writer->shared;
    if (!shared->making) {
        int code = open_file(writer, &shared->making);
        if (code < 0) {
            batch_release(batch);
            return code;
        }
    }
    shared->rows += (uint64_t)batch->n_rows;
    return add_operation(writer, shared->making, batch);
}

static bool shared_is_full(const struct ingest_writer *writer)
{
    return writer->shared.making &&
           file_bytes(writer, writer->shared.rows) >= (double)SHARED_FILE_BYTES;
}

/* ---- cutting the stream ---- */

/* The sorted stream, given out in pieces of any number of rows. */
struct cutter {
    struct batch_stream *stream;
    struct batch *batch;
    int64_t row;
};

/* At most max_rows of the next rows, at least one. */
static int cutter_take(struct cutter *cutter, uint64_t max_rows, struct batch **out)
{
    while (!cutter->batch || cutter->row == cutter->batch->n_rows) {
        batch_release(cutter->batch);
        cutter->batch = NULL;
        cutter->row = 0;
        TRY(batch_stream_next(cutter->stream, &cutter->batch));
        ASSERT(cutter->batch); /* the counts say that there are more rows */
    }
    int64_t n = cutter->batch->n_rows - cutter->row;
    if ((uint64_t)n > max_rows) n = (int64_t)max_rows;
    if (n == cutter->batch->n_rows) {
        *out = cutter->batch;
        cutter->batch = NULL;
        return 0;
    }
    TRY(batch_slice(cutter->batch, cutter->row, n, out));
    cutter->row += n;
    return 0;
}

/* Measures how much smaller rows become in a file, on the first that come. */
static int measure_ratio(struct ingest_writer *writer, struct cutter *cutter)
{
    if (!cutter->batch || cutter->row == cutter->batch->n_rows) {
        struct batch *batch;
        TRY(cutter_take(cutter, UINT64_MAX, &batch));
        cutter->batch = batch;
        cutter->row = 0;
    }
    uint64_t bytes;
    TRY(data_file_estimate(&writer->settings.context, cutter->batch, &bytes));
    writer->ratio = (double)bytes / (double)(batch_bytes(cutter->batch) + 1);
    if (writer->ratio > 1) writer->ratio = 1;
    return 0;
}

static int leaf_gets_own_file(struct ingest_writer *writer, struct cutter *cutter, uint64_t rows,
                              bool *own)
{
    *own = writer->strategy == ONE_FILE_PER_LEAF || writer->tree->n_leaves == 1;
    if (*own || writer->strategy == ONE_REFERENCE_PER_LEAF) return 0;
    double least = (double)writer->min_file_bytes;
    double raw = (double)writer->raw_bytes / (double)writer->rows * (double)rows;
    if (raw < least) return 0;
    if (writer->ratio == 0) TRY(measure_ratio(writer, cutter));
    *own = raw * writer->ratio >= least;
    return 0;
}

static int tell_progress(struct ingest_writer *writer, uint64_t rows)
{
    writer->figures.rows += rows;
    if (!writer->settings.progress) return 0;
    return writer->settings.progress(
        writer->settings.progress_state, writer->figures.rows,
        (uint64_t)(writer->rows ? file_bytes(writer, writer->figures.rows) : 0), writer->n_files);
}

/* The rows of one leaf, off the cutter. */
struct leaf_rows {
    struct batch_stream stream;
    struct cutter *cutter;
    uint64_t left;
};

static int leaf_rows_next(struct batch_stream *stream, struct batch **out)
{
    struct leaf_rows *rows = (struct leaf_rows *)stream;
    *out = NULL;
    if (rows->left == 0) return 0;
    TRY(cutter_take(rows->cutter, rows->left, out));
    rows->left -= (uint64_t)(*out)->n_rows;
    return 0;
}

static void leaf_rows_close(struct batch_stream *stream)
{
    (void)stream; /* lies on the stack */
}

static int open_leaf(struct ingest_writer *writer, struct leaf_rows *rows,
                     struct batch_stream **out)
{
    const struct data_file_context *context = &writer->settings.context;
    rows->stream = (struct batch_stream){context->schema, leaf_rows_next, leaf_rows_close};
    *out = &rows->stream;
    if (!writer->processes) return 0;
    return process_open(out, context->runtime, &rows->stream, &writer->settings.processing,
                        &writer->settings.process, context->budget);
}

/* Rows that an iterator did not want to see. */
static int skip_rest(struct leaf_rows *rows)
{
    struct batch *batch;
    do {
        TRY(leaf_rows_next(&rows->stream, &batch));
        batch_release(batch);
    } while (batch);
    return 0;
}

static int write_own(struct ingest_writer *writer, struct batch_stream *rows, uint32_t leaf)
{
    struct making *making = NULL;
    struct new_reference *reference = NULL;
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(rows, &batch));
        if (!batch) return making ? add_operation(writer, making, NULL) : 0;
        uint64_t n = (uint64_t)batch->n_rows;
        int code = making ? 0 : open_file(writer, &making);
        if (code < 0) {
            batch_release(batch);
            return code;
        }
        if (!reference) {
            reference = ARENA_NEW(writer->settings.context.arena, struct new_reference);
            reference->partition = writer->tree->nodes[writer->tree->leaves[leaf]].id;
            making->placed.references = reference;
            making->placed.n_references = 1;
        }
        reference->rows += n;
        TRY(add_operation(writer, making, batch));
        TRY(tell_progress(writer, n));
    }
}

/* Rows of one leaf for shared files: in key order already, or by way of the second sorter. */
static int pass_to_shared(struct ingest_writer *writer, struct batch_stream *rows, uint32_t leaf)
{
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(rows, &batch));
        if (!batch) return 0;
        uint64_t n = (uint64_t)batch->n_rows;
        if (writer->shared_sorter) {
            int code = sorter_add(writer->shared_sorter, batch);
            batch_release(batch);
            if (code < 0) return code;
        } else {
            TRY(write_shared(writer, batch));
            writer->shared.leaf_rows[leaf] += n;
            if (shared_is_full(writer)) TRY(close_shared(writer));
        }
        TRY(tell_progress(writer, n));
    }
}

static int write_leaves(struct ingest_writer *writer, struct cutter *cutter)
{
    for (uint32_t leaf = 0; leaf < writer->tree->n_leaves; leaf++) {
        uint64_t rows = writer->leaf_rows[leaf];
        if (rows == 0) continue;
        bool own;
        TRY(leaf_gets_own_file(writer, cutter, rows, &own));
        struct leaf_rows of_leaf = {.cutter = cutter, .left = rows};
        struct batch_stream *stream;
        TRY(open_leaf(writer, &of_leaf, &stream));
        int code = own ? write_own(writer, stream, leaf) : pass_to_shared(writer, stream, leaf);
        batch_stream_close(stream);
        if (code == 0) code = skip_rest(&of_leaf);
        TRY(code);
    }
    return 0;
}

/* ---- shared rows of trees that are split on several fields ---- */

static int count_leaves(struct ingest_writer *writer, const struct batch *batch)
{
    struct keys keys;
    const struct schema *schema = batch->schema;
    TRY(keys_encode(&keys, batch, schema->n_row_keys, writer->settings.context.budget));
    int code = 0;
    for (int64_t row = 0; code == 0 && row < batch->n_rows; row++) {
        uint32_t leaf;
        code = partition_tree_leaf_of_key(writer->tree, schema, keys_get(&keys, row), &leaf);
        if (code == 0) writer->shared.leaf_rows[leaf]++;
    }
    keys_free(&keys);
    return code;
}

static int write_shared_sorted(struct ingest_writer *writer)
{
    struct batch_stream *stream;
    TRY(sorter_finish(writer->shared_sorter, &stream));
    int code = 0;
    while (code == 0) {
        struct batch *batch;
        code = batch_stream_next(stream, &batch);
        if (code < 0 || !batch) break;
        code = count_leaves(writer, batch);
        if (code < 0) {
            batch_release(batch);
            break;
        }
        code = write_shared(writer, batch);
        if (code == 0 && shared_is_full(writer)) code = close_shared(writer);
    }
    batch_stream_close(stream);
    return code;
}

/* ---- the whole ---- */

/* Everything that the sorter holds into files. */
static int flush(struct ingest_writer *writer)
{
    struct runtime *runtime = writer->settings.context.runtime;
    int64_t start_ns = runtime->clock->monotonic_ns(runtime->clock);
    struct cutter cutter = {0};
    if (writer->rows == 0) return 0;
    TRY(sorter_finish(writer->sorter, &cutter.stream));
    int code = write_leaves(writer, &cutter);
    batch_release(cutter.batch);
    batch_stream_close(cutter.stream);
    memset(writer->leaf_rows, 0, writer->tree->n_leaves * sizeof *writer->leaf_rows);
    TRY(code);
    if (writer->shared_sorter) TRY(write_shared_sorted(writer));
    TRY(close_shared(writer));
    TRY(finish_operations(writer));
    writer->figures.write_ns += runtime->clock->monotonic_ns(runtime->clock) - start_ns;
    return 0;
}

int ingest_writer_add(struct ingest_writer *writer, const struct batch *batch)
{
    writer->rows += (uint64_t)batch->n_rows;
    writer->raw_bytes += batch_bytes(batch);
    TRY(sorter_add(writer->sorter, batch));
    return sorter_is_full(writer->sorter) ? flush(writer) : 0;
}

int ingest_writer_finish(struct ingest_writer *writer, const struct placed_file **files,
                         size_t *n_files)
{
    TRY(flush(writer));
    struct placed_file *placed =
        ARENA_ARRAY(writer->settings.context.arena, struct placed_file, writer->n_files);
    size_t n = 0;
    for (const struct making *making = writer->first; making; making = making->next) {
        placed[n++] = making->placed;
        writer->figures.bytes += making->placed.file.size;
    }
    writer->figures.files = n;
    *files = placed;
    *n_files = n;
    return 0;
}

struct ingest_writer_figures ingest_writer_figures(const struct ingest_writer *writer)
{
    struct ingest_writer_figures figures = writer->figures;
    struct sorter_figures sorted = sorter_figures(writer->sorter);
    figures.spill_runs = sorted.n_runs;
    figures.merge_passes = sorted.n_passes;
    figures.spilled_bytes = sorted.spilled_bytes;
    return figures;
}

/* Stops the pool's work and gives up the files that are not finished. */
static void abort_files(struct ingest_writer *writer)
{
    task_group_free(writer->group);
    writer->group = NULL;
    for (struct making *making = writer->first; making; making = making->next) {
        data_file_abort(making->writer);
        making->writer = NULL;
    }
}

void ingest_writer_remove_files(struct ingest_writer *writer)
{
    abort_files(writer);
    struct error_detail detail;
    error_save(&detail);
    for (const struct making *making = writer->first; making; making = making->next) {
        if (making->placed.file.key.size == 0) continue;
        if (store_remove(writer->settings.context.store, &making->placed.file.key, 1) < 0)
            continue; /* collection will find it */
    }
    (void)error_load(&detail);
}

void ingest_writer_free(struct ingest_writer *writer)
{
    if (!writer) return;
    abort_files(writer);
    operations_clear(writer->collecting);
    operations_clear(writer->running);
    memory_defer_free(&writer->collecting);
    memory_defer_free(&writer->running);
    sorter_free(writer->sorter);
    sorter_free(writer->shared_sorter);
    for (struct making *making = writer->first; making; making = making->next)
        arena_free(&making->placed.file.arena);
    memory_defer_free(&writer->leaf_rows);
    memory_defer_free(&writer->shared.leaf_rows);
    memory_defer_free(&writer);
}
