/*
 * parquet_write.c: the writer: rows are held until they make a row group, whose leaves are then
 * encoded on the pool and given to the sink in order. After the last row group come the column
 * indexes, the offset indexes and the footer. A failure leaves the file broken: every later call
 * fails.
 */
#include "parquet/parquet_int.h"

struct parquet_writer {
    struct runtime *runtime;
    struct budget *budget;
    struct schema *schema;
    struct parquet_sink sink;
    struct parquet_writer_options options;
    struct arena arena;
    struct write_leaf *leaves;
    uint32_t n_leaves;
    struct buffer segments, groups, key_values; /* row_segment, group_record, parquet_key_value */
    int64_t n_rows;                             /* held */
    uint64_t n_bytes, offset;
    bool broken, finished;
};

enum { LIST_BYTES_MAX = 1 << 30 };

#define COUNT(buffer, type) ((uint32_t)((buffer).size / sizeof(type)))
#define ITEMS(buffer, type) ((type *)(void *)(buffer).data)

static void fill_defaults(struct parquet_writer_options *o)
{
    o->codec = o->codec ? o->codec - 1 : PARQUET_ZSTD;
    if (!o->level) o->level = 3;
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

static int open_writer(struct parquet_writer *writer)
{
    const struct parquet_writer_options *o = &writer->options;
    if (o->codec != PARQUET_UNCOMPRESSED && o->codec != PARQUET_SNAPPY && o->codec != PARQUET_ZSTD)
        return error_set(GLIS_EUNSUPPORTED, "Parquet files are not written with codec %s",
                         parquet_codec_name(o->codec));
    TRY(write_leaves_new(writer->schema, &writer->arena, &writer->leaves, &writer->n_leaves));
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        struct write_leaf *leaf = &writer->leaves[i];
        bool row_key = leaf->field < writer->schema->n_row_keys;
        bool key = leaf->field < schema_key_count(writer->schema);
        leaf->page_bytes = key ? o->key_page_bytes : o->page_bytes;
        leaf->dictionary = row_key ? o->dictionary_row_keys
                           : key   ? o->dictionary_sort_keys
                                   : o->dictionary_values;
    }
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
    buffer_init(&writer->segments, LIST_BYTES_MAX, budget);
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

static void drop_segments(struct parquet_writer *writer)
{
    struct row_segment *segments = ITEMS(writer->segments, struct row_segment);
    for (uint32_t i = 0; i < COUNT(writer->segments, struct row_segment); i++)
        batch_release(segments[i].batch);
    buffer_clear(&writer->segments);
    writer->n_rows = 0;
    writer->n_bytes = 0;
}

struct encode_state {
    struct parquet_writer *writer;
    struct chunk_record *chunks;
};

static int encode_leaf(void *state, size_t index)
{
    struct encode_state *s = state;
    struct parquet_writer *writer = s->writer;
    TRY(runtime_check_cancel(writer->runtime));
    return chunk_encode(&writer->leaves[index], ITEMS(writer->segments, struct row_segment),
                        COUNT(writer->segments, struct row_segment), &writer->options,
                        writer->budget, &s->chunks[index]);
}

static int write_group(struct parquet_writer *writer)
{
    if (writer->n_rows == 0) return 0;
    struct group_record group = {.n_rows = writer->n_rows};
    TRY(buffer_reserve(&writer->groups, sizeof(group)));
    group.chunks = memory_alloc_zero(sizeof(*group.chunks) * (writer->n_leaves + 1));
    TRY(buffer_append(&writer->groups, &group, sizeof(group))); /* from here on it is freed there */
    struct encode_state state = {writer, group.chunks};
    TRY(pool_run(writer->runtime->pool, writer->n_leaves, encode_leaf, &state));
    for (uint32_t i = 0; i < writer->n_leaves; i++) {
        group.chunks[i].start = writer->offset;
        TRY(write_bytes(writer, buffer_slice(&group.chunks[i].bytes)));
        buffer_free(&group.chunks[i].bytes);
    }
    drop_segments(writer);
    return 0;
}

static int add_rows(struct parquet_writer *writer, const struct batch *batch)
{
    uint64_t bytes = batch_bytes(batch), rows_max = writer->options.row_group_rows_max;
    uint64_t row_bytes = batch->n_rows ? bytes / (uint64_t)batch->n_rows + 1 : 1;
    for (int64_t done = 0; done < batch->n_rows;) {
        uint64_t n = rows_max - (uint64_t)writer->n_rows;
        uint64_t fit = (writer->options.row_group_bytes - writer->n_bytes) / row_bytes + 1;
        if (n > fit) n = fit;
        if (n > (uint64_t)(batch->n_rows - done)) n = (uint64_t)(batch->n_rows - done);
        TRY(buffer_reserve(&writer->segments, sizeof(struct row_segment)));
        struct row_segment segment = {batch_acquire(batch), done, (int64_t)n};
        TRY(buffer_append(&writer->segments, &segment, sizeof(segment)));
        done += (int64_t)n;
        writer->n_rows += (int64_t)n;
        writer->n_bytes += n * row_bytes;
        if ((uint64_t)writer->n_rows >= rows_max ||
            writer->n_bytes >= writer->options.row_group_bytes)
            TRY(write_group(writer));
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

int parquet_writer_add_metadata(struct parquet_writer *writer, struct slice key, struct slice value)
{
    TRY(check_usable(writer));
    struct parquet_key_value entry = {arena_copy(&writer->arena, key),
                                      arena_copy(&writer->arena, value)};
    return buffer_append(&writer->key_values, &entry, sizeof(entry));
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
    int code = write_group(writer);
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
    drop_segments(writer);
    struct group_record *groups = ITEMS(writer->groups, struct group_record);
    for (uint32_t g = 0; g < COUNT(writer->groups, struct group_record); g++) {
        for (uint32_t i = 0; i < writer->n_leaves; i++)
            chunk_record_free(&groups[g].chunks[i]);
        free(groups[g].chunks);
    }
    buffer_free(&writer->segments);
    buffer_free(&writer->groups);
    buffer_free(&writer->key_values);
    arena_free(&writer->arena);
    schema_release(writer->schema);
    free(writer);
}
