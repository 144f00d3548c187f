/*
 * parquet_write.c: the writer: rows are held until they make a row group, whose leaves are then
 * encoded on the pool while the caller brings the rows of the next. When too many are under way,
 * the oldest is waited for and given to the sink:
 *
 *   caller:  rows of 1 | rows of 2   | rows of 3      | 1 to the sink, rows of 4 | 2 to the sink
 *   pool:              | leaves of 1 | leaves of 1, 2 | leaves of 2, 3           | leaves of 3, 4
 *
 * Two groups are under way where there are several threads, for the last leaves of one would leave
 * some of them idle, and there is memory for it; else one. So two or three row groups are in memory
 * at most. After the last one come the bloom filters, the column indexes, the offset indexes and
 * the footer, so that one read of the file's end brings all that a lookup needs. Filters are held
 * until then; where they grow beyond a limit, those that are there go behind the row group at hand.
 * A failure leaves the file broken: every later call fails.
 */
#include "parquet/parquet_int.h"

#include <pthread.h>
#include <stdlib.h>

/* Rows of one row group. */
struct held_rows {
    struct buffer segments; /* struct row_segment */
    int64_t n_rows;
    uint64_t n_bytes;
};

enum { LIST_BYTES_MAX = 1 << 30, GROUPS_AT_ONCE = 2, SCRATCHES_MAX = 64 };
enum { BLOOM_BYTES_HELD_MAX = 32 << 20 };

struct leaf_task {
    struct parquet_writer *writer;
    struct group_work *work;
    uint32_t leaf;
};

/* A row group that is being encoded. */
struct group_work {
    struct held_rows rows;
    struct task_group *group;
    struct leaf_task *tasks; /* one a leaf */
    struct chunk_record *chunks;
};

struct parquet_writer {
    struct runtime *runtime;
    struct budget *budget;
    struct schema *schema;
    struct parquet_sink sink;
    struct parquet_writer_options options;
    struct arena arena;
    struct write_leaf *leaves;
    uint32_t n_leaves;
    struct held_rows filling;
    struct group_work
        work[GROUPS_AT_ONCE]; /* n_work of them, from first_work on, the oldest first */
    unsigned first_work, n_work;
    pthread_mutex_t lock; /* of the scratches, which tasks take and give back */
    struct chunk_scratch scratches[SCRATCHES_MAX];
    unsigned n_scratches;
    struct buffer *spare;             /* memory of a leaf's encoded bytes, one a leaf */
    struct buffer groups, key_values; /* struct group_record, struct parquet_key_value */
    uint64_t offset;
    uint64_t bloom_bytes;          /* of filters that are held */
    uint32_t n_sunk, bloom_groups; /* row groups that the sink has, and whose filters */
    bool broken, finished;
};

#define COUNT(buffer, type) ((uint32_t)((buffer).size / sizeof(type)))
#define ITEMS(buffer, type) ((type *)(void *)(buffer).data)

static void fill_defaults(struct parquet_writer_options *o)
{
    o->codec = o->codec ? o->codec - 1 : PARQUET_ZSTD;
    if (!o->row_group_bytes) o->row_group_bytes = 32 << 20;
    if (!o->row_group_rows_max) o->row_group_rows_max = 1 << 20;
    if (!o->page_bytes) o->page_bytes = 64 << 10;
    if (!o->page_rows_max) o->page_rows_max = 20000;
    if (!o->key_page_bytes) o->key_page_bytes = 8 << 10;
    if (!o->statistics_bytes_max) o->statistics_bytes_max = 128;
    if (o->row_group_rows_max > INT32_MAX) o->row_group_rows_max = INT32_MAX;
    if (o->page_bytes > 256 << 20) o->page_bytes = 256 << 20;
    if (o->key_page_bytes > 256 << 20) o->key_page_bytes = 256 << 20;
}

static int write_bytes(struct parquet_writer *writer, struct slice bytes)
{
    TRY(writer->sink.write(writer->sink.state, bytes));
    writer->offset += bytes.size;
    return 0;
}

static bool path_holds(struct slice path, struct slice leaf)
{
    return slice_starts_with(leaf, path) && (leaf.size == path.size || leaf.data[path.size] == '.');
}

static int apply_column(struct parquet_writer *writer, const struct parquet_column_options *column)
{
    bool found = false;
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        struct write_leaf *leaf = &writer->leaves[i];
        defer_buffer struct buffer path = BUFFER_INIT(1 << 20);
        for (unsigned n = 0; n < leaf->n_names; n++) {
            if (n) TRY(buffer_append_byte(&path, '.'));
            TRY(buffer_append_slice(&path, leaf->names[n]));
        }
        if (!path_holds(column->path, buffer_slice(&path))) continue;
        found = true;
        if (column->encoding) leaf->encoding = column->encoding - 1;
        if (column->bloom_rate > 0) leaf->bloom_rate = column->bloom_rate;
        if (column->bloom_rate < 0 || column->bloom_rate >= 1 ||
            (column->bloom_rate > 0 && !bloom_fits(leaf->type)))
            return error_set(GLIS_EINVALID,
                             "no bloom filter with the rate %g for column '%.*s' of type %s",
                             column->bloom_rate, SLICE_PRINT(buffer_slice(&path)),
                             parquet_type_name((int)leaf->type));
        if (leaf->encoding >= 0 && !encoding_fits(leaf->encoding, leaf->type))
            return error_set(GLIS_EINVALID, "column '%.*s' of type %s cannot be written as %s",
                             SLICE_PRINT(buffer_slice(&path)), parquet_type_name((int)leaf->type),
                             parquet_encoding_name(leaf->encoding));
    }
    if (found) return 0;
    return error_set(GLIS_EINVALID, "there is no column '%.*s'", SLICE_PRINT(column->path));
}

static void copy_annotations(struct parquet_writer *writer)
{
    struct parquet_annotations *all = &writer->options.annotations;
    const struct parquet_annotation *from = all->items;
    all->items = ARENA_ARRAY(&writer->arena, struct parquet_annotation, all->n + 1);
    for (uint32_t i = 0; i < all->n; i++) {
        all->items[i] = from[i];
        if (from[i].crs.data) all->items[i].crs = arena_copy(&writer->arena, from[i].crs);
    }
}

static int open_writer(struct parquet_writer *writer)
{
    const struct parquet_writer_options *o = &writer->options;
    if (!codec_is_written(o->codec))
        return error_set(GLIS_EUNSUPPORTED, "Parquet files are not written with codec %s",
                         parquet_codec_name(o->codec));
    copy_annotations(writer);
    TRY(write_leaves_new(writer->schema, &o->annotations, &writer->arena, &writer->leaves,
                         &writer->n_leaves));
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        struct write_leaf *leaf = &writer->leaves[i];
        bool row_key = leaf->field < writer->schema->n_row_keys;
        bool key = leaf->field < schema_key_count(writer->schema);
        leaf->page_bytes = key ? o->key_page_bytes : o->page_bytes;
        leaf->dictionary = row_key ? o->dictionary_row_keys
                           : key   ? o->dictionary_sort_keys
                                   : o->dictionary_values;
        leaf->number = i;
        leaf->encoding = -1;
        leaf->bloom_rate = 0;
    }
    for (uint32_t i = 0; i < o->n_columns; i++)
        TRY(apply_column(writer, &o->columns[i]));
    for (uint32_t i = 0; i < o->n_key_values; i++)
        TRY(parquet_writer_add_metadata(writer, o->key_values[i].key, o->key_values[i].value));
    writer->options.columns = NULL;
    writer->options.key_values = NULL;
    for (unsigned w = 0; w < GROUPS_AT_ONCE; w++) {
        struct group_work *work = &writer->work[w];
        work->tasks = ARENA_ARRAY(&writer->arena, struct leaf_task, writer->n_leaves + 1);
        for (uint32_t i = 0; i < writer->n_leaves; i++)
            work->tasks[i] = (struct leaf_task){writer, work, i};
        work->group = task_group_new(writer->runtime->pool, writer->n_leaves);
    }
    writer->spare = ARENA_ARRAY(&writer->arena, struct buffer, writer->n_leaves + 1);
    memset(writer->spare, 0, sizeof(*writer->spare) * (writer->n_leaves + 1));
    return write_bytes(writer, SLICE("PAR1"));
}

int parquet_writer_open(struct parquet_writer **out, struct runtime *runtime,
                        const struct schema *schema, const struct parquet_sink *sink,
                        const struct parquet_writer_options *options, struct budget *budget)
{
    struct parquet_writer *writer = memory_alloc_zero(sizeof(*writer));
    writer->runtime = runtime;
    writer->budget = budget;
    writer->schema = schema_acquire(schema);
    writer->sink = *sink;
    if (options) writer->options = *options;
    fill_defaults(&writer->options);
    arena_init(&writer->arena, NULL);
    buffer_init(&writer->filling.segments, LIST_BYTES_MAX, budget);
    for (unsigned w = 0; w < GROUPS_AT_ONCE; w++)
        buffer_init(&writer->work[w].rows.segments, LIST_BYTES_MAX, budget);
    (void)pthread_mutex_init(&writer->lock, NULL);
    buffer_init(&writer->groups, LIST_BYTES_MAX, budget);
    buffer_init(&writer->key_values, LIST_BYTES_MAX, budget);
    int code = open_writer(writer);
    if (code < 0) {
        parquet_writer_close(writer);
        return code;
    }
    *out = writer;
    return 0;
}

static void held_rows_drop(struct held_rows *rows)
{
    struct row_segment *segments = ITEMS(rows->segments, struct row_segment);
    for (uint32_t i = 0; i < COUNT(rows->segments, struct row_segment); i++)
        batch_release(segments[i].batch);
    buffer_clear(&rows->segments);
    rows->n_rows = 0;
    rows->n_bytes = 0;
}

/* Whether there is memory for some row groups more. */
static bool has_room(const struct parquet_writer *writer)
{
    return budget_left(writer->budget) / 8 > writer->options.row_group_bytes;
}

static struct chunk_scratch take_scratch(struct parquet_writer *writer)
{
    struct chunk_scratch scratch = {0};
    (void)pthread_mutex_lock(&writer->lock);
    if (writer->n_scratches > 0) scratch = writer->scratches[--writer->n_scratches];
    (void)pthread_mutex_unlock(&writer->lock);
    return scratch;
}

static void give_scratch(struct parquet_writer *writer, struct chunk_scratch *scratch)
{
    bool kept = false;
    if (has_room(writer)) {
        (void)pthread_mutex_lock(&writer->lock);
        kept = writer->n_scratches < SCRATCHES_MAX;
        if (kept) writer->scratches[writer->n_scratches++] = *scratch;
        (void)pthread_mutex_unlock(&writer->lock);
    }
    if (!kept) chunk_scratch_free(scratch);
}

static int encode_leaf(void *state)
{
    const struct leaf_task *task = state;
    struct parquet_writer *writer = task->writer;
    const struct held_rows *rows = &task->work->rows;
    TRY(runtime_check_cancel(writer->runtime));
    struct chunk_scratch scratch = take_scratch(writer);
    int code = chunk_encode(&writer->leaves[task->leaf], ITEMS(rows->segments, struct row_segment),
                            COUNT(rows->segments, struct row_segment), &writer->options,
                            writer->budget, &scratch, &task->work->chunks[task->leaf]);
    give_scratch(writer, &scratch);
    return code;
}

/* Has the held rows encoded, which become the last group. */
static int start_group(struct parquet_writer *writer)
{
    struct group_record group = {.n_rows = writer->filling.n_rows};
    struct group_work *work = &writer->work[(writer->first_work + writer->n_work) % GROUPS_AT_ONCE];
    TRY(buffer_reserve(&writer->groups, sizeof(group)));
    group.chunks = memory_alloc_zero(sizeof(*group.chunks) * (writer->n_leaves + 1));
    TRY(buffer_append(&writer->groups, &group, sizeof(group))); /* from here on it is freed there */
    struct held_rows empty = work->rows;
    work->rows = writer->filling;
    work->chunks = group.chunks;
    writer->filling = empty;
    writer->n_work++;
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        work->chunks[i].bytes = writer->spare[i];
        writer->spare[i] = (struct buffer){0};
        TRY(task_group_start(work->group, encode_leaf, &work->tasks[i]));
    }
    return 0;
}

/* Waits for the oldest group under way. */
static int finish_group(struct parquet_writer *writer, struct chunk_record **chunks)
{
    struct group_work *work = &writer->work[writer->first_work];
    TRY(task_group_wait(work->group));
    held_rows_drop(&work->rows);
    *chunks = work->chunks;
    writer->first_work = (writer->first_work + 1) % GROUPS_AT_ONCE;
    writer->n_work--;
    return 0;
}

static void keep_bytes(struct parquet_writer *writer, uint32_t leaf, struct buffer *bytes)
{
    if (writer->spare[leaf].data || !has_room(writer)) {
        buffer_free(bytes);
        return;
    }
    buffer_clear(bytes);
    writer->spare[leaf] = *bytes;
    *bytes = (struct buffer){0};
}

/* The filters of the row groups that the sink has. */
static int write_blooms(struct parquet_writer *writer)
{
    for (; writer->bloom_groups < writer->n_sunk; writer->bloom_groups++) {
        struct chunk_record *chunks =
            ITEMS(writer->groups, struct group_record)[writer->bloom_groups].chunks;
        for (uint32_t i = 0; i < writer->n_leaves; i++) {
            if (chunks[i].bloom.size == 0) continue;
            chunks[i].bloom_offset = writer->offset;
            chunks[i].bloom_size = chunks[i].bloom.size;
            TRY(write_bytes(writer, buffer_slice(&chunks[i].bloom)));
            buffer_free(&chunks[i].bloom);
        }
    }
    writer->bloom_bytes = 0;
    return 0;
}

static int sink_group(struct parquet_writer *writer, struct chunk_record *chunks)
{
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        chunks[i].start = writer->offset;
        TRY(write_bytes(writer, buffer_slice(&chunks[i].bytes)));
        keep_bytes(writer, i, &chunks[i].bytes);
        writer->bloom_bytes += chunks[i].bloom.size;
    }
    writer->n_sunk++;
    return writer->bloom_bytes > BLOOM_BYTES_HELD_MAX ? write_blooms(writer) : 0;
}

/* Begins with the held rows; before, groups are waited for until fewer than `at_once` are under
 * way, and given to the sink, the last of them while the new one is encoded. */
static int advance(struct parquet_writer *writer, unsigned at_once)
{
    struct chunk_record *done = NULL;
    while (writer->n_work >= at_once && writer->n_work > 0) {
        if (done) TRY(sink_group(writer, done));
        TRY(finish_group(writer, &done));
    }
    if (writer->filling.n_rows > 0) TRY(start_group(writer));
    return done ? sink_group(writer, done) : 0;
}

static int end_group(struct parquet_writer *writer)
{
    bool several = pool_threads(writer->runtime->pool) > 0 && has_room(writer);
    return advance(writer, several ? GROUPS_AT_ONCE : 1);
}

static int add_rows(struct parquet_writer *writer, const struct batch *batch)
{
    uint64_t bytes = batch_bytes(batch), rows_max = writer->options.row_group_rows_max;
    uint64_t row_bytes = batch->n_rows ? bytes / (uint64_t)batch->n_rows + 1 : 1;
    for (int64_t done = 0; done < batch->n_rows;) {
        struct held_rows *held = &writer->filling;
        uint64_t n = rows_max - (uint64_t)held->n_rows;
        uint64_t room = writer->options.row_group_bytes - held->n_bytes; /* never 0 */
        uint64_t fit = room / row_bytes + 1;
        if (n > fit) n = fit;
        if (n > (uint64_t)(batch->n_rows - done)) n = (uint64_t)(batch->n_rows - done);
        TRY(buffer_reserve(&held->segments, sizeof(struct row_segment)));
        struct row_segment segment = {
            .batch = batch_acquire(batch), .begin = done, .n = (int64_t)n};
        TRY(buffer_append(&held->segments, &segment, sizeof(segment)));
        done += (int64_t)n;
        held->n_rows += (int64_t)n;
        held->n_bytes += n * row_bytes;
        if ((uint64_t)held->n_rows >= rows_max || held->n_bytes >= writer->options.row_group_bytes)
            TRY(end_group(writer));
    }
    return 0;
}

/* Whether the rows that are held, and those of the row group, need two dictionaries for a leaf. */
static bool dictionaries_collide(const struct parquet_writer *writer,
                                 const struct parquet_reader *reader, uint32_t row_group)
{
    const struct row_segment *segments = ITEMS(writer->filling.segments, struct row_segment);
    for (uint32_t i = 0; i < COUNT(writer->filling.segments, struct row_segment); i++) {
        if (segments[i].batch) continue;
        if (segments[i].reader == reader && segments[i].row_group == row_group) continue;
        for (uint32_t l = 0; l < writer->n_leaves; l++)
            if (chunk_has_dictionary(segments[i].reader, segments[i].row_group, l) &&
                chunk_has_dictionary(reader, row_group, l))
                return true;
    }
    return false;
}

/* How many of n copied rows of so many bytes each go to the rows that are held; 0: these end. */
static uint64_t copied_rows_fit(const struct parquet_writer *writer, uint64_t n, uint64_t row_bytes)
{
    const struct held_rows *held = &writer->filling;
    uint64_t target = writer->options.row_group_bytes, most = target + target / 4;
    uint64_t room = writer->options.row_group_rows_max - (uint64_t)held->n_rows;
    if (held->n_rows > 0 && held->n_bytes + n * row_bytes > most && held->n_bytes >= target / 4)
        return 0;
    if (held->n_bytes < target / 4) most += target / 4;
    if (n * row_bytes > most - held->n_bytes) n = (target - held->n_bytes) / row_bytes + 1;
    return n < room ? n : room;
}

static int add_copied(struct parquet_writer *writer, struct parquet_reader *reader,
                      uint32_t row_group, uint64_t first, uint64_t n)
{
    const struct parquet_row_group *group = &reader->metadata.row_groups[row_group];
    struct held_rows *held = &writer->filling;
    uint64_t row_bytes = group->uncompressed_bytes / group->n_rows + 1;
    if (held->n_rows > 0 && dictionaries_collide(writer, reader, row_group)) TRY(end_group(writer));
    while (n > 0) {
        uint64_t part = copied_rows_fit(writer, n, row_bytes);
        if (part > 0) {
            struct row_segment segment = {.begin = (int64_t)first,
                                          .n = (int64_t)part,
                                          .reader = reader,
                                          .row_group = row_group};
            TRY(buffer_append(&held->segments, &segment, sizeof(segment)));
            held->n_rows += (int64_t)part;
            held->n_bytes += part * row_bytes;
            first += part;
            n -= part;
        }
        if (part == 0 || (uint64_t)held->n_rows >= writer->options.row_group_rows_max ||
            held->n_bytes >= writer->options.row_group_bytes)
            TRY(end_group(writer));
    }
    return 0;
}

static int check_usable(const struct parquet_writer *writer)
{
    if (!writer->broken && !writer->finished) return 0;
    return error_set(GLIS_EINVALID, "nothing can be written to a Parquet file that %s",
                     writer->finished ? "is finished" : "has failed before");
}

int parquet_writer_write(struct parquet_writer *writer, const struct batch *batch)
{
    TRY(check_usable(writer));
    int code = add_rows(writer, batch);
    if (code < 0) writer->broken = true;
    return code;
}

bool parquet_writer_can_copy(const struct parquet_writer *writer, struct parquet_reader *reader,
                             uint32_t row_group)
{
    return row_group_fits(reader, row_group, writer->leaves, writer->n_leaves,
                          writer->options.codec);
}

int parquet_writer_copy(struct parquet_writer *writer, struct parquet_reader *reader,
                        uint32_t row_group, uint64_t first, uint64_t n)
{
    TRY(check_usable(writer));
    ASSERT(parquet_writer_can_copy(writer, reader, row_group));
    ASSERT(n <= reader->metadata.row_groups[row_group].n_rows &&
           first <= reader->metadata.row_groups[row_group].n_rows - n);
    int code = add_copied(writer, reader, row_group, first, n);
    if (code < 0) writer->broken = true;
    return code;
}

int parquet_writer_add_metadata(struct parquet_writer *writer, struct slice key, struct slice value)
{
    TRY(check_usable(writer));
    struct parquet_key_value entry = {arena_copy(&writer->arena, key),
                                      arena_copy(&writer->arena, value)};
    return buffer_append(&writer->key_values, &entry, sizeof(entry));
}

const struct parquet_key_value *parquet_writer_metadata(const struct parquet_writer *writer,
                                                        uint32_t *n)
{
    *n = COUNT(writer->key_values, struct parquet_key_value);
    return ITEMS(writer->key_values, struct parquet_key_value);
}

static int write_index(struct parquet_writer *writer, struct chunk_record *chunk, bool offsets,
                       struct buffer *text)
{
    buffer_clear(text);
    uint64_t at = writer->offset;
    TRY(offsets ? offset_index_write(chunk, text) : column_index_write(chunk, text));
    TRY(write_bytes(writer, buffer_slice(text)));
    if (offsets) {
        chunk->offset_index_offset = at;
        chunk->offset_index_size = text->size;
    } else {
        chunk->column_index_offset = at;
        chunk->column_index_size = text->size;
    }
    return 0;
}

static int write_tail(struct parquet_writer *writer, struct buffer *text)
{
    struct group_record *groups = ITEMS(writer->groups, struct group_record);
    uint32_t n_groups = COUNT(writer->groups, struct group_record);
    TRY(write_blooms(writer));
    for (int offsets = 0; offsets < 2; offsets++)
        for (uint32_t g = 0; g < n_groups; g++)
            for (uint32_t i = 0; i < writer->n_leaves; i++)
                if (offsets || groups[g].chunks[i].has_column_index)
                    TRY(write_index(writer, &groups[g].chunks[i], offsets, text));
    struct footer_input input = {
        .schema = writer->schema,
        .leaves = writer->leaves,
        .n_leaves = writer->n_leaves,
        .groups = groups,
        .n_groups = n_groups,
        .key_values = ITEMS(writer->key_values, struct parquet_key_value),
        .n_key_values = COUNT(writer->key_values, struct parquet_key_value),
        .options = &writer->options,
    };
    buffer_clear(text);
    TRY(footer_write(&input, text));
    uint32_t size = (uint32_t)text->size;
    TRY(buffer_append(text, &size, 4));
    TRY(buffer_append(text, "PAR1", 4));
    return write_bytes(writer, buffer_slice(text));
}

int parquet_writer_add_section(struct parquet_writer *writer, struct slice bytes, uint64_t *offset)
{
    TRY(check_usable(writer));
    int code = end_group(writer);             /* the rows so far */
    if (code == 0) code = advance(writer, 0); /* and their groups to the sink */
    *offset = writer->offset;
    if (code == 0) code = write_bytes(writer, bytes);
    if (code < 0) writer->broken = true;
    return code;
}

int parquet_writer_finish(struct parquet_writer *writer)
{
    TRY(check_usable(writer));
    struct buffer text;
    buffer_init(&text, PARQUET_FOOTER_BYTES_MAX, writer->budget);
    int code = end_group(writer);             /* the last rows */
    if (code == 0) code = advance(writer, 0); /* and all groups to the sink */
    if (code == 0) code = write_tail(writer, &text);
    buffer_free(&text);
    if (code < 0)
        writer->broken = true;
    else
        writer->finished = true;
    return code;
}

void parquet_writer_close(struct parquet_writer *writer)
{
    if (!writer) return;
    held_rows_drop(&writer->filling);
    for (unsigned w = 0; w < GROUPS_AT_ONCE; w++) {
        task_group_free(writer->work[w].group);
        held_rows_drop(&writer->work[w].rows);
        buffer_free(&writer->work[w].rows.segments);
    }
    for (unsigned i = 0; i < writer->n_scratches; i++)
        chunk_scratch_free(&writer->scratches[i]);
    for (uint32_t i = 0; writer->spare && i < writer->n_leaves; i++)
        buffer_free(&writer->spare[i]);
    (void)pthread_mutex_destroy(&writer->lock);
    struct group_record *groups = ITEMS(writer->groups, struct group_record);
    for (uint32_t g = 0; g < COUNT(writer->groups, struct group_record); g++) {
        for (uint32_t i = 0; i < writer->n_leaves; i++)
            chunk_record_free(&groups[g].chunks[i]);
        free(groups[g].chunks);
    }
    buffer_free(&writer->filling.segments);
    buffer_free(&writer->groups);
    buffer_free(&writer->key_values);
    arena_free(&writer->arena);
    schema_release(writer->schema);
    free(writer);
}
