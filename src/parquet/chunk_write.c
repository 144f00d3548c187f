/*
 * chunk_write.c: one leaf of one row group as pages, all in the encoding that choose_encoding.c
 * finds. Pages end at rows. The checksum is CRC-32 over all that follows the page's header, as it
 * is in the file.
 */
#include "base/hash.h"
#include "parquet/parquet_int.h"

/* ---- pages ---- */

static int append_plain(struct buffer *out, const struct write_leaf *leaf, const uint8_t *values,
                        int64_t n)
{
    if (leaf->type == PARQUET_BOOLEAN) {
        size_t start = out->size;
        TRY(buffer_append_zeros(out, (size_t)(n + 7) / 8));
        for (int64_t i = 0; i < n; i++)
            out->data[start + (size_t)(i >> 3)] |= (uint8_t)(values[i] << (i & 7));
        return 0;
    }
    if (leaf->type != PARQUET_BYTE_ARRAY)
        return n ? buffer_append(out, values, (size_t)n * leaf->stride) : 0;
    const struct slice *slices = (const struct slice *)(const void *)values;
    size_t total = 4 * (size_t)n;
    for (int64_t i = 0; i < n; i++)
        total += slices[i].size;
    TRY(buffer_reserve(out, total));
    uint8_t *at = out->data + out->size;
    for (int64_t i = 0; i < n; i++) {
        uint32_t size = (uint32_t)slices[i].size;
        memcpy(at, &size, 4);
        if (size) memcpy(at + 4, slices[i].data, size);
        at += 4 + size;
    }
    out->size += total;
    return 0;
}

struct data_page {
    int64_t first_entry, n_entries, first_value, n_values, first_row, n_rows;
};

/* Booleans as runs, behind their length. */
static int append_boolean_runs(struct buffer *out, const uint8_t *values, int64_t n)
{
    size_t start = out->size;
    TRY(buffer_append_zeros(out, 4));
    TRY(encode_rle_levels(out, values, n, 1));
    uint32_t size = (uint32_t)(out->size - start - 4);
    memcpy(out->data + start, &size, 4);
    return 0;
}

/* DELTA_BYTE_ARRAY of values of fixed length: through slices. */
static int append_delta_fixed(struct chunk_job *job, const uint8_t *values, int64_t n,
                              struct buffer *out)
{
    struct buffer slices;
    buffer_init(&slices, CHUNK_VALUES_BYTES_MAX, job->budget);
    int code = buffer_reserve(&slices, (size_t)n * sizeof(struct slice) + 1);
    for (int64_t i = 0; i < n && code == 0; i++) {
        struct slice s = slice_make(values + (size_t)i * job->leaf->stride, job->leaf->stride);
        code = buffer_append(&slices, &s, sizeof s);
    }
    if (code == 0)
        code = encode_delta_bytes(out, (const struct slice *)(const void *)slices.data, n,
                                  &job->lengths);
    buffer_free(&slices);
    return code;
}

static int append_values(struct chunk_job *job, const struct data_page *page, struct buffer *out)
{
    const struct write_leaf *leaf = job->leaf;
    const uint8_t *values = job->in.values.data + (size_t)page->first_value * leaf->stride;
    const struct slice *slices = (const struct slice *)(const void *)values;
    int64_t n = page->n_values;
    switch (job->encoding) {
    case PARQUET_DELTA_BINARY_PACKED: return encode_delta(out, values, n, leaf->stride);
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY: return encode_delta_length(out, slices, n, &job->lengths);
    case PARQUET_DELTA_BYTE_ARRAY:
        if (leaf->type != PARQUET_BYTE_ARRAY) return append_delta_fixed(job, values, n, out);
        return encode_delta_bytes(out, slices, n, &job->lengths);
    case PARQUET_BYTE_STREAM_SPLIT: return encode_split(out, values, n, leaf->stride);
    case PARQUET_RLE: return append_boolean_runs(out, values, n);
    case PARQUET_PLAIN: return append_plain(out, leaf, values, n);
    default: break;
    }
    unsigned width = encode_width(job->n_dictionary - 1);
    if (width == 0) width = 1;
    TRY(buffer_append_byte(out, (uint8_t)width));
    const uint32_t *indices = (const uint32_t *)(void *)job->indices.data;
    return encode_rle_indices(out, indices + page->first_value, n, width);
}

/* Levels, in version 1 behind their length. */
static int append_levels(struct chunk_job *job, const struct buffer *levels, int max,
                         const struct data_page *page, struct buffer *out, uint32_t *size)
{
    size_t start = out->size;
    *size = 0;
    if (max == 0) return 0;
    if (job->options->data_page_v1) TRY(buffer_append_zeros(out, 4));
    TRY(encode_rle_levels(out, levels->data + page->first_entry, page->n_entries,
                          encode_width((uint64_t)max)));
    *size = (uint32_t)(out->size - start);
    uint32_t length = *size - 4;
    if (job->options->data_page_v1) memcpy(out->data + start, &length, 4);
    return 0;
}

struct page_form {
    int type;
    size_t uncompressed;
    uint32_t definition_size, repetition_size;
    bool compressed;
    const struct data_page *page; /* NULL: a dictionary */
};

/* What follows a page's header, in two pieces. */
struct page_body {
    struct slice levels, values;
};

static uint32_t checksum_of(const struct page_body *body)
{
    uint32_t sum = 0;
    if (body->levels.size) sum = hash_crc32(sum, body->levels.data, body->levels.size);
    if (body->values.size) sum = hash_crc32(sum, body->values.data, body->values.size);
    return sum;
}

/* Header and body to the chunk's bytes. */
static int put_page(struct chunk_job *job, const struct page_form *form,
                    const struct page_body *body, uint32_t *size)
{
    struct buffer *out = &job->out->bytes;
    size_t start = out->size;
    struct thrift_writer writer;
    thrift_write_begin(&writer, out);
    thrift_write_integer(&writer, 1, THRIFT_I32, form->type);
    thrift_write_integer(&writer, 2, THRIFT_I32, (int32_t)form->uncompressed);
    thrift_write_integer(&writer, 3, THRIFT_I32, (int32_t)(body->levels.size + body->values.size));
    if (!job->options->without_checksums)
        thrift_write_integer(&writer, 4, THRIFT_I32, (int32_t)checksum_of(body));
    if (!form->page) {
        thrift_write_struct(&writer, 7);
        thrift_write_integer(&writer, 1, THRIFT_I32, job->n_dictionary);
        thrift_write_integer(&writer, 2, THRIFT_I32, PARQUET_PLAIN);
    } else if (form->type == PARQUET_DATA_PAGE) {
        thrift_write_struct(&writer, 5);
        thrift_write_integer(&writer, 1, THRIFT_I32, form->page->n_entries);
        thrift_write_integer(&writer, 2, THRIFT_I32, job->encoding);
        thrift_write_integer(&writer, 3, THRIFT_I32, PARQUET_RLE);
        thrift_write_integer(&writer, 4, THRIFT_I32, PARQUET_RLE);
    } else {
        thrift_write_struct(&writer, 8);
        thrift_write_integer(&writer, 1, THRIFT_I32, form->page->n_entries);
        thrift_write_integer(&writer, 2, THRIFT_I32, form->page->n_entries - form->page->n_values);
        thrift_write_integer(&writer, 3, THRIFT_I32, form->page->n_rows);
        thrift_write_integer(&writer, 4, THRIFT_I32, job->encoding);
        thrift_write_integer(&writer, 5, THRIFT_I32, form->definition_size);
        thrift_write_integer(&writer, 6, THRIFT_I32, form->repetition_size);
        thrift_write_boolean(&writer, 7, form->compressed);
    }
    thrift_write_end(&writer);
    TRY(thrift_write_finish(&writer));
    job->out->uncompressed_bytes += out->size - start + form->uncompressed;
    TRY(buffer_append_slice(out, body->levels));
    TRY(buffer_append_slice(out, body->values));
    if (form->uncompressed > PARQUET_PAGE_BYTES_MAX)
        return error_set(GLIS_ELIMIT, "a page of %zu bytes", form->uncompressed);
    *size = (uint32_t)(out->size - start);
    return 0;
}

/* Compresses body->values, which come to stand in job->packed. A page of version 2 that would
 * shrink by less than a sixteenth is stored as it is: it is not worth the time of everyone who
 * reads it. */
static int compress_body(struct chunk_job *job, bool may_store, struct page_body *body,
                         bool *compressed)
{
    size_t size = body->values.size;
    *compressed = job->codec.codec != PARQUET_UNCOMPRESSED && !(may_store && size == 0);
    if (!*compressed) return 0;
    buffer_clear(&job->packed);
    TRY(codec_compress(&job->codec, body->values, &job->packed));
    *compressed = !may_store || job->packed.size < size - size / 16;
    if (*compressed) body->values = buffer_slice(&job->packed);
    return 0;
}

int chunk_write_dictionary(struct chunk_job *job)
{
    uint32_t size;
    struct page_form form = {.type = PARQUET_DICTIONARY_PAGE};
    buffer_clear(&job->scratch);
    TRY(append_plain(&job->scratch, job->leaf, job->dictionary.data, job->n_dictionary));
    form.uncompressed = job->scratch.size;
    struct page_body body = {SLICE_EMPTY, buffer_slice(&job->scratch)};
    TRY(compress_body(job, false, &body, &form.compressed));
    TRY(put_page(job, &form, &body, &size));
    job->out->dictionary_size = job->out->bytes.size;
    return 0;
}

int chunk_put_bounds(struct chunk_job *job, const struct bounds *bounds, uint32_t at[4],
                     bool exact[2])
{
    struct buffer *text = &job->out->bounds_text;
    for (int i = 0; i < 2; i++) {
        const uint8_t *value = i ? bounds->max : bounds->min;
        at[2 * i] = (uint32_t)text->size;
        if (value)
            TRY(bound_append(job->leaf, value, i == 1, job->options->statistics_bytes_max, text,
                             &exact[i]));
        at[2 * i + 1] = (uint32_t)text->size - at[2 * i];
    }
    return 0;
}

/* The page's values behind its levels, which stand in scratch; values that are in the file as they
 * are in memory stay where they are. In version 1 all is compressed together, in version 2 the
 * values alone. */
static int make_body(struct chunk_job *job, const struct data_page *page, struct page_body *body)
{
    size_t levels = job->scratch.size, stride = job->leaf->stride;
    bool in_place = job->encoding == PARQUET_PLAIN && job->leaf->type != PARQUET_BOOLEAN &&
                    job->leaf->type != PARQUET_BYTE_ARRAY;
    if (in_place && (levels == 0 || !job->options->data_page_v1)) {
        body->levels = buffer_slice(&job->scratch);
        body->values = slice_make(job->in.values.data + (size_t)page->first_value * stride,
                                  (size_t)page->n_values * stride);
        return 0;
    }
    TRY(append_values(job, page, &job->scratch));
    if (job->options->data_page_v1) levels = 0;
    body->levels = slice_make(job->scratch.data, levels);
    body->values = slice_make(job->scratch.data + levels, job->scratch.size - levels);
    return 0;
}

static int write_data_page(struct chunk_job *job, const struct data_page *page,
                           struct bounds *chunk_bounds)
{
    bool v1 = job->options->data_page_v1, exact[2];
    struct page_form form = {.type = v1 ? PARQUET_DATA_PAGE : PARQUET_DATA_PAGE_V2, .page = page};
    struct page_record record = {.offset = job->out->bytes.size,
                                 .first_row = page->first_row,
                                 .n_nulls = page->n_entries - page->n_values,
                                 .n_values = page->n_values};
    buffer_clear(&job->scratch);
    TRY(append_levels(job, &job->in.repetitions, job->leaf->max_repetition, page, &job->scratch,
                      &form.repetition_size));
    TRY(append_levels(job, &job->in.definitions, job->leaf->max_definition, page, &job->scratch,
                      &form.definition_size));
    struct page_body body;
    TRY(make_body(job, page, &body));
    form.uncompressed = body.levels.size + body.values.size;
    TRY(compress_body(job, !v1, &body, &form.compressed));
    TRY(put_page(job, &form, &body, &record.size));
    TRY(page_sizes_add(&job->in, page->first_entry, page->n_entries, page->first_value,
                       page->n_values, job->out, &record.text_bytes));
    struct bounds bounds;
    bounds_find(job->leaf, job->in.values.data + (size_t)page->first_value * job->leaf->stride,
                page->n_values, &bounds);
    if (bounds.has_nan) bounds.min = bounds.max = NULL;
    if (page->n_values > 0 && !bounds.min) job->out->has_column_index = false;
    bounds_join(job->leaf, chunk_bounds, &bounds);
    uint32_t at[4];
    TRY(chunk_put_bounds(job, &bounds, at, exact));
    record.min_at = at[0], record.min_size = at[1], record.max_at = at[2], record.max_size = at[3];
    job->out->n_pages++;
    return buffer_append(&job->out->pages, &record, sizeof(record));
}

/* How a run is cut into pages: before rows that would pass the limits. */
struct cut {
    struct data_page page;     /* the one that is being filled */
    uint64_t bits, bits_max;   /* of its values */
    uint64_t width;            /* bits of a value */
    const struct slice *texts; /* NULL unless their sizes count */
};

static uint64_t bits_of(const struct cut *cut, int64_t n)
{
    const struct slice *texts = cut->texts + cut->page.first_value + cut->page.n_values;
    uint64_t bytes = 0;
    if (!cut->texts) return cut->width * (uint64_t)n;
    for (int64_t i = 0; i < n; i++)
        bytes += texts[i].size;
    return 32 * (uint64_t)n + 8 * bytes;
}

/* Takes 64 entries at once where no page can end among them. */
static bool take_many(const struct chunk_job *job, struct cut *cut, int64_t i)
{
    const struct decode_kernels *kernels = decode_kernels();
    const struct write_leaf *leaf = job->leaf;
    uint64_t rows = ~(uint64_t)0, values = ~(uint64_t)0;
    if (leaf->max_repetition) rows = ~kernels->levels_at_least(job->in.repetitions.data + i, 1);
    if (leaf->max_definition)
        values = kernels->levels_at_least(job->in.definitions.data + i, leaf->max_definition);
    int64_t n_rows = __builtin_popcountll(rows), n_values = __builtin_popcountll(values);
    uint64_t bits = cut->bits + bits_of(cut, n_values);
    if (bits >= cut->bits_max ||
        (uint64_t)(cut->page.n_rows + n_rows) > job->options->page_rows_max)
        return false;
    cut->bits = bits;
    cut->page.n_entries += 64;
    cut->page.n_rows += n_rows;
    cut->page.n_values += n_values;
    return true;
}

static int take_one(struct chunk_job *job, struct cut *cut, int64_t i, struct bounds *bounds)
{
    const struct write_leaf *leaf = job->leaf;
    struct data_page *page = &cut->page;
    bool row = leaf->max_repetition == 0 || job->in.repetitions.data[i] == 0;
    if (row && page->n_rows > 0 &&
        (cut->bits >= cut->bits_max || (uint64_t)page->n_rows >= job->options->page_rows_max)) {
        TRY(write_data_page(job, page, bounds));
        *page = (struct data_page){.first_entry = i,
                                   .first_value = page->first_value + page->n_values,
                                   .first_row = page->first_row + page->n_rows};
        cut->bits = 0;
    }
    page->n_rows += row;
    page->n_entries++;
    if (leaf->max_definition && job->in.definitions.data[i] < leaf->max_definition) return 0;
    cut->bits += bits_of(cut, 1);
    page->n_values++;
    return 0;
}

int chunk_write_pages(struct chunk_job *job, const struct fresh_run *run, struct bounds *bounds)
{
    const struct write_leaf *leaf = job->leaf;
    struct cut cut = {.page = {.first_entry = run->first_entry,
                               .first_value = run->first_value,
                               .first_row = run->first_row},
                      .bits_max = leaf->page_bytes * 8,
                      .width = leaf->stride * 8};
    if (leaf->type == PARQUET_BOOLEAN) cut.width = 1;
    if (job->encoding == PARQUET_RLE_DICTIONARY)
        cut.width = encode_width(job->n_dictionary - 1);
    else if (leaf->type == PARQUET_BYTE_ARRAY)
        cut.texts = (const struct slice *)(void *)job->in.values.data;
    int64_t end = run->first_entry + run->n_entries;
    for (int64_t i = run->first_entry; i < end;) {
        if (i + 64 <= end && take_many(job, &cut, i)) {
            i += 64;
            continue;
        }
        for (int64_t stop = i + 64 < end ? i + 64 : end; i < stop; i++)
            TRY(take_one(job, &cut, i, bounds));
    }
    return write_data_page(job, &cut.page, bounds);
}

int chunk_compare_text(const struct chunk_job *job, uint32_t a, uint32_t a_size, uint32_t b,
                       uint32_t b_size)
{
    const uint8_t *text = job->out->bounds_text.data;
    if (job->leaf->order == ORDER_BYTES)
        return slice_compare(slice_make(text + a, a_size), slice_make(text + b, b_size));
    return bound_compare(job->leaf->order, job->leaf->stride, text + a, text + b);
}

int chunk_boundary_order(const struct chunk_job *job)
{
    const struct page_record *pages = (const struct page_record *)(void *)job->out->pages.data;
    const struct page_record *last = NULL;
    bool ascending = true, descending = true;
    for (uint32_t i = 0; i < job->out->n_pages; i++) {
        if (pages[i].n_values == 0) continue;
        if (last) {
            int low = chunk_compare_text(job, last->min_at, last->min_size, pages[i].min_at,
                                         pages[i].min_size);
            int high = chunk_compare_text(job, last->max_at, last->max_size, pages[i].max_at,
                                          pages[i].max_size);
            if (low > 0 || high > 0) ascending = false;
            if (low < 0 || high < 0) descending = false;
        }
        last = &pages[i];
    }
    return ascending ? 1 : descending ? 2 : 0;
}

/* Room for a value a row: growing would copy what is there. */
static int reserve_values(struct chunk_job *job, const struct row_segment *segments, uint32_t n)
{
    int64_t n_rows = 0;
    for (uint32_t i = 0; i < n; i++)
        n_rows += segments[i].n;
    TRY(buffer_reserve(&job->in.values, (size_t)n_rows * job->leaf->stride));
    return job->leaf->max_definition ? buffer_reserve(&job->in.definitions, (size_t)n_rows) : 0;
}

static int encode_job(struct chunk_job *job, const struct row_segment *segments, uint32_t n)
{
    struct chunk_record *out = job->out;
    struct bounds bounds = {NULL, NULL, false};
    for (uint32_t i = 0; i < n; i++)
        if (!segments[i].batch) return chunk_encode_copied(job, segments, n);
    TRY(reserve_values(job, segments, n));
    for (uint32_t i = 0; i < n; i++)
        TRY(shred_segment(&job->in, &segments[i]));
    TRY(chunk_choose_encoding(job));
    TRY(bloom_write(job));
    chunk_sizes_begin(job->leaf, out);
    out->has_column_index = job->leaf->order != ORDER_NONE;
    if (job->encoding == PARQUET_RLE_DICTIONARY) TRY(chunk_write_dictionary(job));
    if (job->encoding == PARQUET_PLAIN && job->codec.codec == PARQUET_UNCOMPRESSED &&
        job->leaf->type != PARQUET_BYTE_ARRAY) /* what will be there, about */
        TRY(buffer_reserve(&out->bytes, job->in.values.size + job->in.values.size / 64));
    struct fresh_run all = {.n_entries = job->in.n_entries, .n_values = job->in.n_values};
    TRY(chunk_write_pages(job, &all, &bounds));
    if (bounds.has_nan) bounds.min = bounds.max = NULL;
    out->encodings = 1u << job->encoding | 1u << PARQUET_RLE;
    if (job->encoding == PARQUET_RLE_DICTIONARY) out->encodings |= 1u << PARQUET_PLAIN;
    out->n_entries = job->in.n_entries;
    out->n_nulls = job->in.n_entries - job->in.n_values;
    out->compressed_bytes = out->bytes.size;
    if (out->has_column_index) out->boundary_order = chunk_boundary_order(job);
    uint32_t at[4];
    bool exact[2] = {true, true};
    TRY(chunk_put_bounds(job, &bounds, at, exact));
    out->has_bounds = bounds.min != NULL;
    out->min_at = at[0], out->min_size = at[1], out->max_at = at[2], out->max_size = at[3];
    out->min_exact = exact[0], out->max_exact = exact[1];
    return 0;
}

void chunk_scratch_free(struct chunk_scratch *scratch)
{
    for (size_t i = 0; scratch->is_used && i < CHUNK_SCRATCH_BUFFERS; i++)
        buffer_free(&scratch->buffers[i]);
    codec_writer_free(&scratch->codec);
    *scratch = (struct chunk_scratch){0};
}

int chunk_encode(const struct write_leaf *leaf, const struct row_segment *segments,
                 uint32_t n_segments, const struct parquet_writer_options *options,
                 struct budget *budget, struct chunk_scratch *scratch, struct chunk_record *out)
{
    enum { BYTES_MAX_LOG2 = 34 };
    struct chunk_job job = {.leaf = leaf,
                            .options = options,
                            .budget = budget,
                            .out = out,
                            .in = {.leaf = leaf},
                            .codec = {.codec = options->codec, .level = options->level}};
    struct buffer *own[CHUNK_SCRATCH_BUFFERS] = {
        &job.in.definitions, &job.in.repetitions, &job.in.values, &job.indices, &job.dictionary,
        &job.scratch,        &job.lengths,        &job.packed,    &job.hashes};
    struct buffer *given[] = {&out->bytes, &out->pages, &out->bounds_text, &out->bloom,
                              &out->level_counts};
    size_t most = (size_t)1 << BYTES_MAX_LOG2;
    for (size_t i = 0; i < 5; i++)
        if (!given[i]->data) buffer_init(given[i], most, budget);
    for (size_t i = 0; i < CHUNK_SCRATCH_BUFFERS; i++) {
        if (scratch->is_used)
            *own[i] = scratch->buffers[i];
        else
            buffer_init(own[i], most, budget);
        buffer_clear(own[i]);
    }
    job.codec.context = scratch->codec.context;
    int code = encode_job(&job, segments, n_segments);
    for (size_t i = 0; i < CHUNK_SCRATCH_BUFFERS; i++)
        scratch->buffers[i] = *own[i];
    scratch->codec = job.codec;
    scratch->is_used = true;
    return code;
}

void chunk_record_free(struct chunk_record *chunk)
{
    buffer_free(&chunk->bytes);
    buffer_free(&chunk->bloom);
    buffer_free(&chunk->pages);
    buffer_free(&chunk->bounds_text);
    buffer_free(&chunk->level_counts);
}
