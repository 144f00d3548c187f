/*
 * sorter.c: batches in any order in, one ascending stream out.
 *
 * Rows are collected in a buffer: the batches themselves, shared and not copied, and their encoded
 * keys. A full buffer (half of the memory) is handed to a task that sorts references to its rows,
 * gathers the rows block by block and writes them as a sorted run, while the other half is being
 * filled. At the end the last buffer is sorted and stays in memory; when it is the only one, no
 * disk is touched.
 *
 *   memory:   | buffer being filled | buffer being sorted and spilled |
 *             | last buffer, sorted | blocks of the runs in the merge |
 *
 * A merge needs two blocks of each run (one is read ahead), so half of the memory bounds how many
 * runs can be merged at once; when there are more, the first ones are merged into longer runs until
 * it fits.
 *
 * What a row costs in a buffer is its bytes, its key, and 32 bytes for the sort (two entries). The
 * limit is kept by these costs; blocks are counted in the process's budget, for batches may
 * outlive the sorter.
 */
#include "lsm/lsm_int.h"

enum {
    MEMORY_DEFAULT = 512 << 20,
    MEMORY_MIN = 1 << 20,
    BLOCK_BYTES_MIN = 16 << 10,
    BLOCK_BYTES_MAX = 1 << 20,
    BATCH_COST_BYTES = 512, /* of a batch and of each of its columns, beside their contents */
    RUNS_MAX = 1 << 20,
};

/* Rows in memory, unsorted and then sorted. */
struct sort_buffer {
    struct batch **batches;
    struct keys *keys;
    uint64_t *row_bytes; /* of each batch, on average */
    uint32_t n_batches, capacity;
    uint64_t n_rows, cost_bytes;
    struct sort_entry *entries; /* NULL until sorted; the sorter's */
    size_t skip;                /* bytes in which all keys agree */
    uint64_t next_row;          /* to be given out */
};

struct sorter {
    struct runtime *runtime;
    const struct schema *schema;
    uint64_t memory_bytes, spill_max_bytes, merge_inputs_max, block_bytes;
    char *spill_folder;
    sorter_encode encode;
    void *encode_state;
    const struct slice *borders;
    uint64_t n_borders;
    uint64_t *border_counts; /* NULL: not wanted */
    struct sort_buffer *filling, *sorting;
    /* Only one buffer at a time is sorted, so all use the same room: fresh memory costs the kernel
     * more than the sort's own writing to it. */
    struct sort_entry *entries, *scratch;
    uint64_t entries_room;
    struct task_group *group;
    struct spill_file *file;
    struct spill_run *runs;
    uint64_t n_runs, runs_capacity;
    bool streaming;
    struct sorter_figures figures;
};

static int spill_task(void *state);
static int buffer_sort(struct sorter *sorter, struct sort_buffer *buffer);
static void drop_entries(struct sorter *sorter);
static int buffer_gather(struct sorter *sorter, struct sort_buffer *buffer, bool with_keys,
                         struct sorted_block *out);

/* ---- beginning and end ---- */

static int encode_all_keys(void *state, struct keys *out, const struct batch *batch,
                           struct budget *budget)
{
    (void)state;
    return keys_encode(out, batch, schema_key_count(batch->schema), budget);
}

int sorter_new(struct sorter **out, struct runtime *runtime, const struct schema *schema,
               const struct sorter_options *options)
{
    uint64_t memory = options->memory_bytes ? options->memory_bytes : MEMORY_DEFAULT;
    if (memory < MEMORY_MIN)
        return error_set(GLIS_EINVALID, "a sorter needs at least %d bytes, not %llu", MEMORY_MIN,
                         (unsigned long long)memory);
    struct sorter *sorter = memory_alloc_zero(sizeof *sorter);
    sorter->runtime = runtime;
    sorter->schema = schema_acquire(schema);
    sorter->memory_bytes = memory;
    sorter->spill_max_bytes = options->spill_max_bytes;
    sorter->merge_inputs_max = options->merge_inputs_max;
    sorter->block_bytes = memory / 512;
    if (sorter->block_bytes < BLOCK_BYTES_MIN) sorter->block_bytes = BLOCK_BYTES_MIN;
    if (sorter->block_bytes > BLOCK_BYTES_MAX) sorter->block_bytes = BLOCK_BYTES_MAX;
    if (options->spill_folder)
        sorter->spill_folder = memory_copy_text(slice_from_text(options->spill_folder));
    sorter->encode = encode_all_keys;
    sorter->filling = memory_alloc_zero(sizeof *sorter->filling);
    sorter->group = task_group_new(runtime->pool, 1);
    *out = sorter;
    return 0;
}

void sorter_set_encode(struct sorter *sorter, sorter_encode encode, void *state)
{
    sorter->encode = encode;
    sorter->encode_state = state;
}

void sorter_set_borders(struct sorter *sorter, const struct slice *borders, uint64_t n_borders,
                        uint64_t *counts)
{
    sorter->borders = borders;
    sorter->n_borders = n_borders;
    sorter->border_counts = counts;
}

static void buffer_free_all(struct sort_buffer *buffer)
{
    if (!buffer) return;
    for (uint32_t i = 0; i < buffer->n_batches; i++) {
        batch_release(buffer->batches[i]);
        keys_free(&buffer->keys[i]);
    }
    memory_defer_free(&buffer->batches);
    memory_defer_free(&buffer->keys);
    memory_defer_free(&buffer->row_bytes);
    memory_defer_free(&buffer);
}

/* Back to empty; the spill file stays for the next rows. */
static void sorter_clear(struct sorter *sorter)
{
    buffer_free_all(sorter->filling);
    buffer_free_all(sorter->sorting);
    sorter->sorting = NULL;
    sorter->filling = memory_alloc_zero(sizeof *sorter->filling);
    drop_entries(sorter);
    for (uint64_t i = 0; i < sorter->n_runs; i++)
        spill_run_free(sorter->file, &sorter->runs[i]);
    sorter->n_runs = 0;
    sorter->streaming = false;
}

void sorter_free(struct sorter *sorter)
{
    if (!sorter) return;
    task_group_free(sorter->group);
    sorter_clear(sorter);
    buffer_free_all(sorter->filling);
    memory_defer_free(&sorter->runs);
    spill_file_close(sorter->file);
    memory_defer_free(&sorter->spill_folder);
    schema_release(sorter->schema);
    memory_defer_free(&sorter);
}

struct sorter_figures sorter_figures(const struct sorter *sorter)
{
    return sorter->figures;
}

bool sorter_is_full(const struct sorter *sorter)
{
    return sorter->spill_max_bytes && sorter->file &&
           spill_file_bytes(sorter->file) >= sorter->spill_max_bytes;
}

/* ---- adding ---- */

/* Hands the full buffer over and begins an empty one. */
static int start_spill(struct sorter *sorter)
{
    TRY(task_group_wait(sorter->group));
    buffer_free_all(sorter->sorting);
    sorter->sorting = sorter->filling;
    sorter->filling = memory_alloc_zero(sizeof *sorter->filling);
    if (!sorter->file) {
        TRY(spill_file_open(&sorter->file, sorter->spill_folder));
        if (sorter->encode == encode_all_keys)
            spill_file_set_encode(sorter->file, encode_all_keys, NULL);
    }
    return task_group_start(sorter->group, spill_task, sorter);
}

static uint64_t batch_cost(const struct batch *batch, const struct keys *keys)
{
    uint64_t rows = (uint64_t)batch->n_rows;
    uint64_t key_bytes =
        keys->stride ? keys->stride * rows : keys->offsets[rows] - keys->offsets[0] + 4 * rows;
    return batch_bytes(batch) + key_bytes + 2 * sizeof(struct sort_entry) * rows +
           BATCH_COST_BYTES * (uint64_t)(batch->schema->n_fields + 1);
}

static int add_piece(struct sorter *sorter, const struct batch *batch)
{
    struct keys keys;
    TRY(sorter->encode(sorter->encode_state, &keys, batch, sorter->runtime->budget));
    uint64_t cost = batch_cost(batch, &keys);
    struct sort_buffer *buffer = sorter->filling;
    if (buffer->n_rows > 0 && (buffer->cost_bytes + cost > sorter->memory_bytes / 2 ||
                               buffer->n_rows + (uint64_t)batch->n_rows > INT32_MAX)) {
        int code = start_spill(sorter);
        if (code < 0) {
            keys_free(&keys);
            return code;
        }
        buffer = sorter->filling;
    }
    if (buffer->n_batches == buffer->capacity) {
        uint32_t n = buffer->capacity ? 2 * buffer->capacity : 64;
        buffer->capacity = n;
        buffer->batches = memory_realloc(buffer->batches, n * sizeof *buffer->batches);
        buffer->keys = memory_realloc(buffer->keys, n * sizeof *buffer->keys);
        buffer->row_bytes = memory_realloc(buffer->row_bytes, n * sizeof *buffer->row_bytes);
    }
    buffer->batches[buffer->n_batches] = batch_acquire(batch);
    buffer->keys[buffer->n_batches] = keys;
    buffer->row_bytes[buffer->n_batches] = cost / (uint64_t)batch->n_rows;
    buffer->n_batches++;
    buffer->n_rows += (uint64_t)batch->n_rows;
    buffer->cost_bytes += cost;
    sorter->figures.n_rows += (uint64_t)batch->n_rows;
    return 0;
}

/* Adds in pieces small enough that a buffer holds several of them. */
static int add_in_pieces(struct sorter *sorter, const struct batch *batch)
{
    if (batch->n_rows == 0) return 0;
    uint64_t size = batch_bytes(batch);
    if (size <= sorter->memory_bytes / 16) return add_piece(sorter, batch);
    if (batch->n_rows == 1) {
        if (size > sorter->memory_bytes / 4)
            return error_set(GLIS_ELIMIT,
                             "row %llu takes %llu bytes, more than a quarter of the row memory "
                             "(%llu bytes); raise glis.ingest.memory",
                             (unsigned long long)sorter->figures.n_rows, (unsigned long long)size,
                             (unsigned long long)sorter->memory_bytes);
        return add_piece(sorter, batch);
    }
    int64_t half = batch->n_rows / 2;
    for (int part = 0; part < 2; part++) {
        struct batch *piece;
        TRY(batch_slice(batch, part ? half : 0, part ? batch->n_rows - half : half, &piece));
        int code = add_in_pieces(sorter, piece);
        batch_release(piece);
        if (code < 0) return code;
    }
    return 0;
}

int sorter_add(struct sorter *sorter, const struct batch *batch)
{
    ASSERT(!sorter->streaming);
    TRY(runtime_check_cancel(sorter->runtime));
    return add_in_pieces(sorter, batch);
}

/* ---- sorting a buffer ---- */

struct entry_fill {
    struct sort_buffer *buffer;
    const uint64_t *starts;
};

static int fill_entries(void *state, size_t index)
{
    const struct entry_fill *fill = state;
    const struct keys *keys = &fill->buffer->keys[index];
    struct sort_entry *entries = fill->buffer->entries + fill->starts[index];
    for (int64_t row = 0; row < keys->n_rows; row++)
        entries[row] = (struct sort_entry){key_prefix_at(keys, row, fill->buffer->skip),
                                           {(uint32_t)index, (uint32_t)row}};
    return 0;
}

/* Bytes at the start of all keys of the buffer. */
static size_t common_prefix(const struct sort_buffer *buffer)
{
    struct slice first = keys_get(&buffer->keys[0], 0);
    size_t common = first.size;
    for (uint32_t i = 0; i < buffer->n_batches && common > 0; i++) {
        const struct keys *keys = &buffer->keys[i];
        for (int64_t row = 0; row < keys->n_rows && common > 0; row++) {
            struct slice key = keys_get(keys, row);
            if (key.size >= common && memcmp(key.data, first.data, common) == 0) continue;
            common = key_common(slice_part(first, 0, common), key);
        }
    }
    return common;
}

/* The first row from `low` on whose key is at or above the border. */
static uint64_t first_at_or_above(const struct sort_buffer *buffer, uint64_t low,
                                  struct slice border)
{
    uint64_t high = buffer->n_rows;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct row_source row = buffer->entries[middle].row;
        if (slice_compare(keys_get(&buffer->keys[row.batch], row.row), border) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Jumps from border to border and over those between which no row lies, so the cost goes with
 * the smaller of rows and borders. */
static void count_between_borders(const struct sorter *sorter, const struct sort_buffer *buffer)
{
    uint64_t row = 0, border = 0;
    while (row < buffer->n_rows) {
        struct row_source at = buffer->entries[row].row;
        struct slice key = keys_get(&buffer->keys[at.batch], at.row);
        uint64_t high = sorter->n_borders; /* the first border above the key */
        while (border < high) {
            uint64_t middle = border + (high - border) / 2;
            if (slice_compare(sorter->borders[middle], key) <= 0)
                border = middle + 1;
            else
                high = middle;
        }
        uint64_t end = border == sorter->n_borders
                           ? buffer->n_rows
                           : first_at_or_above(buffer, row, sorter->borders[border]);
        sorter->border_counts[border] += end - row;
        row = end;
    }
}

static void drop_entries(struct sorter *sorter)
{
    memory_defer_free(&sorter->entries);
    memory_defer_free(&sorter->scratch);
    sorter->entries = sorter->scratch = NULL;
    sorter->entries_room = 0;
}

static int buffer_sort(struct sorter *sorter, struct sort_buffer *buffer)
{
    ASSERT(!buffer->entries && buffer->n_rows > 0);
    buffer->skip = common_prefix(buffer);
    if (buffer->n_rows > sorter->entries_room || !sorter->scratch) {
        drop_entries(sorter);
        sorter->entries_room = buffer->n_rows + buffer->n_rows / 16;
        sorter->entries = memory_alloc(sorter->entries_room * sizeof *sorter->entries);
        sorter->scratch = memory_alloc(sorter->entries_room * sizeof *sorter->scratch);
    }
    buffer->entries = sorter->entries;
    defer_free uint64_t *starts = memory_alloc(buffer->n_batches * sizeof *starts);
    uint64_t start = 0;
    for (uint32_t i = 0; i < buffer->n_batches; i++) {
        starts[i] = start;
        start += (uint64_t)buffer->batches[i]->n_rows;
    }
    struct entry_fill fill = {buffer, starts};
    TRY(pool_run(sorter->runtime->pool, buffer->n_batches, fill_entries, &fill));
    TRY(key_sort(sorter->runtime->pool, buffer->entries, sorter->scratch, buffer->n_rows,
                 buffer->keys, buffer->skip));
    if (sorter->border_counts) count_between_borders(sorter, buffer);
    return 0;
}

/* The next rows of a sorted buffer, about a block's worth; out->batch is NULL at the end. */
static int buffer_gather(struct sorter *sorter, struct sort_buffer *buffer, bool with_keys,
                         struct sorted_block *out)
{
    *out = (struct sorted_block){0};
    uint64_t start = buffer->next_row, left = buffer->n_rows - start, n = 0, bytes = 0;
    if (left == 0) return 0;
    if (left > MERGE_BATCH_ROWS) left = MERGE_BATCH_ROWS;
    defer_free struct row_source *rows = memory_alloc(left * sizeof *rows);
    while (n < left && bytes < sorter->block_bytes) {
        rows[n] = buffer->entries[start + n].row;
        bytes += buffer->row_bytes[rows[n].batch];
        n++;
    }
    const struct keys **keys = NULL;
    if (with_keys) {
        keys = memory_alloc(buffer->n_batches * sizeof(const struct keys *));
        for (uint32_t i = 0; i < buffer->n_batches; i++)
            keys[i] = &buffer->keys[i];
    }
    int code =
        blocks_gather(sorter->runtime, sorter->schema, (const struct batch *const *)buffer->batches,
                      (const struct keys *const *)keys, buffer->n_batches, rows, (int64_t)n,
                      sorter->runtime->budget, out);
    memory_defer_free(&keys);
    buffer->next_row += n;
    return code;
}

/* ---- runs ---- */

static struct spill_run *new_run(struct sorter *sorter)
{
    if (sorter->n_runs == sorter->runs_capacity) {
        sorter->runs_capacity = sorter->runs_capacity ? 2 * sorter->runs_capacity : 64;
        sorter->runs = memory_realloc(sorter->runs, sorter->runs_capacity * sizeof *sorter->runs);
    }
    struct spill_run *run = &sorter->runs[sorter->n_runs++];
    *run = (struct spill_run){0};
    return run;
}

static void note_spilled(struct sorter *sorter, uint64_t bytes_before)
{
    uint64_t bytes = spill_file_bytes(sorter->file);
    sorter->figures.spilled_bytes += bytes - bytes_before;
    if (bytes > sorter->figures.spilled_bytes_peak) sorter->figures.spilled_bytes_peak = bytes;
}

/* Sorts the buffer that was handed over and writes it as a run. */
static int spill_task(void *state)
{
    struct sorter *sorter = state;
    struct sort_buffer *buffer = sorter->sorting;
    if (sorter->n_runs == RUNS_MAX)
        return error_set(GLIS_ELIMIT, "more than %d sorted runs; raise glis.ingest.memory",
                         RUNS_MAX);
    uint64_t bytes_before = spill_file_bytes(sorter->file);
    TRY(buffer_sort(sorter, buffer));
    struct spill_run *run = new_run(sorter);
    sorter->figures.n_runs++;
    for (;;) {
        TRY(runtime_check_cancel(sorter->runtime));
        struct sorted_block block;
        TRY(buffer_gather(sorter, buffer, true, &block));
        if (!block.batch) break;
        int code = spill_run_append(sorter->file, run, &block);
        sorted_block_free(&block);
        if (code < 0) return code;
    }
    note_spilled(sorter, bytes_before);
    return 0;
}

/* How many of the runs from `first` on can be merged at once: two blocks of each fit half of the
 * memory. Never less than two. */
static uint64_t runs_at_once(const struct sorter *sorter, uint64_t first)
{
    uint64_t n = 0, bytes = 0;
    while (first + n < sorter->n_runs) {
        bytes += 2 * sorter->runs[first + n].block_bytes_max;
        if (n >= 2 && bytes > sorter->memory_bytes / 2) break;
        n++;
        if (sorter->merge_inputs_max >= 2 && n == sorter->merge_inputs_max) break;
        if (n == MERGE_INPUTS_MAX / 2) break;
    }
    return n;
}

/* Bytes in which all keys of some runs and of a sorted buffer agree. */
static size_t runs_common_prefix(const struct spill_run *runs, uint64_t n_runs,
                                 const struct sort_buffer *buffer)
{
    struct slice first = buffer_slice(&runs[0].first_key);
    size_t common = first.size;
    for (uint64_t i = 0; i < n_runs; i++) {
        const struct buffer *ends[2] = {&runs[i].first_key, &runs[i].last_key};
        for (int j = 0; j < 2; j++) {
            size_t n = key_common(first, buffer_slice(ends[j]));
            if (n < common) common = n;
        }
    }
    if (buffer && buffer->n_rows > 0) {
        struct row_source row = buffer->entries[0].row;
        size_t n = key_common(first, keys_get(&buffer->keys[row.batch], row.row));
        if (n > buffer->skip) n = buffer->skip;
        if (n < common) common = n;
    }
    return common;
}

struct buffer_source {
    struct sorted_source source;
    struct sorter *sorter;
    struct sort_buffer *buffer;
};

static int buffer_source_next(struct sorted_source *source, struct sorted_block *out)
{
    struct buffer_source *self = (struct buffer_source *)source;
    return buffer_gather(self->sorter, self->buffer, true, out);
}

static void buffer_source_close(struct sorted_source *source)
{
    struct buffer_source *self = (struct buffer_source *)source;
    memory_defer_free(&self);
}

/* A merge of runs [first, first + n) and, when not NULL, a sorted buffer. */
static int open_merge(struct sorter *sorter, uint64_t first, uint64_t n, struct sort_buffer *buffer,
                      bool with_keys, struct merge **out)
{
    defer_free struct sorted_source **sources = memory_alloc((n + 1) * sizeof *sources);
    uint32_t n_sources = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct sorted_source *run;
        int code = spill_run_open(&run, sorter->file, &sorter->runs[first + i], sorter->schema,
                                  sorter->runtime->budget);
        if (code == 0) code = read_ahead_open(&sources[n_sources], sorter->runtime, run);
        ASSERT(code == 0); /* neither does more than allocate */
        n_sources++;
    }
    if (buffer && buffer->n_rows > 0) {
        struct buffer_source *self = memory_alloc_zero(sizeof *self);
        self->source = (struct sorted_source){buffer_source_next, buffer_source_close};
        self->sorter = sorter;
        self->buffer = buffer;
        sources[n_sources++] = &self->source;
    }
    struct merge_settings settings = {.with_keys = with_keys};
    settings.skip = runs_common_prefix(sorter->runs + first, n, buffer);
    if (with_keys) settings.batch_bytes = sorter->block_bytes;
    return merge_new(out, sorter->runtime, sorter->schema, sources, n_sources, &settings,
                     sorter->runtime->budget);
}

/* Merges the first n runs into one, which becomes the last. */
static int merge_pass(struct sorter *sorter, uint64_t n)
{
    struct merge *merge;
    uint64_t bytes_before = spill_file_bytes(sorter->file);
    TRY(open_merge(sorter, 0, n, NULL, true, &merge));
    struct spill_run run = {0};
    int code = 0;
    while (code == 0) {
        struct sorted_block block;
        code = merge_next(merge, &block);
        if (code < 0 || !block.batch) break;
        code = spill_run_append(sorter->file, &run, &block);
        sorted_block_free(&block);
    }
    merge_free(merge);
    if (code < 0) {
        spill_run_free(sorter->file, &run);
        return code;
    }
    note_spilled(sorter, bytes_before);
    for (uint64_t i = 0; i < n; i++)
        spill_run_free(sorter->file, &sorter->runs[i]);
    memmove(sorter->runs, sorter->runs + n, (sorter->n_runs - n) * sizeof *sorter->runs);
    sorter->n_runs -= n;
    *new_run(sorter) = run;
    sorter->figures.n_passes++;
    return 0;
}

/* ---- the sorted stream ---- */

struct sorter_stream {
    struct batch_stream stream;
    struct sorter *sorter;
    struct merge *merge; /* NULL: the buffer alone */
};

static int sorter_stream_next(struct batch_stream *stream, struct batch **out)
{
    struct sorter_stream *self = (struct sorter_stream *)stream;
    struct sorted_block block;
    *out = NULL;
    TRY(runtime_check_cancel(self->sorter->runtime));
    if (self->merge)
        TRY(merge_next(self->merge, &block));
    else
        TRY(buffer_gather(self->sorter, self->sorter->filling, false, &block));
    keys_free(&block.keys);
    *out = block.batch;
    return 0;
}

static void sorter_stream_close(struct batch_stream *stream)
{
    struct sorter_stream *self = (struct sorter_stream *)stream;
    merge_free(self->merge);
    sorter_clear(self->sorter);
    memory_defer_free(&self);
}

int sorter_finish(struct sorter *sorter, struct batch_stream **out)
{
    ASSERT(!sorter->streaming);
    TRY(task_group_wait(sorter->group));
    buffer_free_all(sorter->sorting);
    sorter->sorting = NULL;
    if (sorter->filling->n_rows < sorter->entries_room / 2) drop_entries(sorter);
    if (sorter->filling->n_rows > 0) TRY(buffer_sort(sorter, sorter->filling));
    memory_defer_free(&sorter->scratch); /* the merge has its own use for the memory */
    sorter->scratch = NULL;
    uint64_t others = sorter->filling->n_rows > 0;
    for (;;) {
        uint64_t n = runs_at_once(sorter, 0);
        if (n == sorter->n_runs &&
            (!sorter->merge_inputs_max || n + others <= sorter->merge_inputs_max || n < 2))
            break;
        TRY(merge_pass(sorter, n));
    }
    struct sorter_stream *self = memory_alloc_zero(sizeof *self);
    self->stream = (struct batch_stream){sorter->schema, sorter_stream_next, sorter_stream_close};
    self->sorter = sorter;
    if (sorter->n_runs > 0) {
        int code = open_merge(sorter, 0, sorter->n_runs, sorter->filling, false, &self->merge);
        ASSERT(code == 0); /* opening allocates only */
    }
    sorter->streaming = true;
    *out = &self->stream;
    return 0;
}
