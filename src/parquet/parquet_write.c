/*
 * parquet_write.c: the writer: rows are held until they make a row group, whose leaves are then
 * encoded on the pool while the caller brings the rows of the next. When that is full, the group
 * before is waited for and given to the sink in order:
 *
 *   caller:  rows of 1 | rows of 2          | 1 to the sink, rows of 3 | 2 to the sink, ...
 *   pool:              | leaves of 1        | leaves of 2              | leaves of 3
 *
 * So two row groups are in memory at most. After the last one come the column indexes, the offset
 * indexes and the footer. A failure leaves the file broken: every later call fails.
 */
#include "parquet/parquet_int.h"

/* Rows of one row group. */
struct held_rows {
    struct buffer segments; /* struct row_segment */
    int64_t n_rows;
    uint64_t n_bytes;
};

struct leaf_task {
    struct parquet_writer *writer;
    uint32_t leaf;
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
    struct held_rows filling, encoding;
    struct leaf_task *tasks;          /* one a leaf */
    struct chunk_scratch *scratches;  /* likewise, for the task */
    struct buffer *spares;            /* likewise: memory for the next chunk's bytes */
    struct task_group *group;         /* encodes the last of the groups */
    struct buffer groups, key_values; /* struct group_record, struct parquet_key_value */
    uint64_t offset;
    bool broken, finished;
};

enum { LIST_BYTES_MAX = 1 << 30 };

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
    writer->tasks = ARENA_ARRAY(&writer->arena, struct leaf_task, writer->n_leaves + 1);
    writer->scratches = ARENA_ARRAY(&writer->arena, struct chunk_scratch, writer->n_leaves + 1);
    writer->spares = ARENA_ARRAY(&writer->arena, struct buffer, writer->n_leaves + 1);
    for (uint32_t i = 0; i < writer->n_leaves; i++)
        writer->tasks[i] = (struct leaf_task){writer, i};
    writer->group = task_group_new(writer->runtime->pool, writer->n_leaves);
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
    buffer_init(&writer->encoding.segments, LIST_BYTES_MAX, budget);
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

static struct chunk_record *last_chunks(const struct parquet_writer *writer)
{
    uint32_t n = COUNT(writer->groups, struct group_record);
    return ITEMS(writer->groups, struct group_record)[n - 1].chunks;
}

static int encode_leaf(void *state)
{
    const struct leaf_task *task = state;
    struct parquet_writer *writer = task->writer;
    TRY(runtime_check_cancel(writer->runtime));
    return chunk_encode(
        &writer->leaves[task->leaf], ITEMS(writer->encoding.segments, struct row_segment),
        COUNT(writer->encoding.segments, struct row_segment), &writer->options, writer->budget,
        &writer->scratches[task->leaf], &last_chunks(writer)[task->leaf]);
}

/* Has the held rows encoded, which become the last group. */
static int start_group(struct parquet_writer *writer)
{
    struct group_record group = {.n_rows = writer->filling.n_rows};
    TRY(buffer_reserve(&writer->groups, sizeof(group)));
    group.chunks = memory_alloc_zero(sizeof(*group.chunks) * (writer->n_leaves + 1));
    TRY(buffer_append(&writer->groups, &group, sizeof(group))); /* from here on it is freed there */
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        group.chunks[i].bytes = writer->spares[i];
        writer->spares[i] = (struct buffer){0};
    }
    struct held_rows empty = writer->encoding;
    writer->encoding = writer->filling;
    writer->filling = empty;
    for (uint32_t i = 0; i < writer->n_leaves; i++)
        TRY(task_group_start(writer->group, encode_leaf, &writer->tasks[i]));
    return 0;
}

static int sink_group(struct parquet_writer *writer, struct chunk_record *chunks)
{
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        chunks[i].start = writer->offset;
        TRY(write_bytes(writer, buffer_slice(&chunks[i].bytes)));
        buffer_clear(&chunks[i].bytes);
        buffer_free(&writer->spares[i]);
        writer->spares[i] = chunks[i].bytes;
        chunks[i].bytes = (struct buffer){0};
    }
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        if (chunks[i].bloom.size == 0) continue;
        chunks[i].bloom_offset = writer->offset;
        chunks[i].bloom_size = chunks[i].bloom.size;
        TRY(write_bytes(writer, buffer_slice(&chunks[i].bloom)));
        buffer_free(&chunks[i].bloom);
    }
    return 0;
}

/* Begins with the held rows, and gives the group before to the sink. */
static int advance(struct parquet_writer *writer)
{
    struct chunk_record *encoded = NULL;
    if (writer->encoding.n_rows > 0) {
        TRY(task_group_wait(writer->group));
        encoded = last_chunks(writer);
        held_rows_drop(&writer->encoding);
    }
    if (writer->filling.n_rows > 0) TRY(start_group(writer));
    return encoded ? sink_group(writer, encoded) : 0;
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
            TRY(advance(writer));
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
    if (held->n_rows > 0 && dictionaries_collide(writer, reader, row_group)) TRY(advance(writer));
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
            TRY(advance(writer));
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

int parquet_writer_finish(struct parquet_writer *writer)
{
    TRY(check_usable(writer));
    struct buffer text;
    buffer_init(&text, PARQUET_FOOTER_BYTES_MAX, writer->budget);
    int code = advance(writer);            /* the last rows */
    if (code == 0) code = advance(writer); /* and their group to the sink */
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
    task_group_free(writer->group);
    held_rows_drop(&writer->filling);
    held_rows_drop(&writer->encoding);
    struct group_record *groups = ITEMS(writer->groups, struct group_record);
    for (uint32_t g = 0; g < COUNT(writer->groups, struct group_record); g++) {
        for (uint32_t i = 0; i < writer->n_leaves; i++)
            chunk_record_free(&groups[g].chunks[i]);
        free(groups[g].chunks);
    }
    for (uint32_t i = 0; writer->spares && i < writer->n_leaves; i++) {
        chunk_scratch_free(&writer->scratches[i]);
        buffer_free(&writer->spares[i]);
    }
    buffer_free(&writer->filling.segments);
    buffer_free(&writer->encoding.segments);
    buffer_free(&writer->groups);
    buffer_free(&writer->key_values);
    arena_free(&writer->arena);
    schema_release(writer->schema);
    free(writer);
}
