/*
 * copy_row_group.c: rows of another file's row group in a chunk, without decoding them.
 *
 * A chunk is a dictionary page, perhaps, and data pages, each of which says its own encoding; so
 * pages of several chunks and pages that are newly made can follow each other in one, as long as
 * no two dictionaries meet (the writer sees to that). What the footer and the indexes say about a
 * copied page is taken from its own file's page index.
 *
 *   rows wanted       |---------------------------------------|
 *   pages there    |------|------|------|------|------|------|------|
 *   in the chunk      |new|  copied                      |new |
 *
 * Pages of different leaves end at different rows. So where the rows begin or end within a page,
 * its rows are decoded, and join the rows that stand before or after them in the chunk as values to
 * be encoded. These do without a dictionary when a copied page has one.
 *
 * Each copied page is held against its header and its checksum: damage does not travel. A chunk's
 * bounds are those of its pages; a bound counts as exact only where it is known to be.
 *
 * Where a leaf has a bloom filter its copied rows are decoded as well, for their hashes: the filter
 * must have the size that fits the chunk, and its values.
 */
#include "base/hash.h"
#include "parquet/parquet_int.h"

#include <stdlib.h>

enum { WINDOW_BYTES = 1 << 20, HASHED_ROWS = 64 << 10 };

/* Rows that stand together in the chunk: either values of job->in or pages of another file. */
struct piece {
    bool is_copy;
    int64_t n_rows;
    struct fresh_run run; /* not a copy: without its first row */
    struct parquet_reader *reader;
    uint32_t row_group, page_begin, page_end;
    const struct parquet_page_index *index;
};

/* A bound in bounds_text. */
struct text_bound {
    bool any, exact;
    uint32_t at, size;
};

struct copy_job {
    struct chunk_job *job;
    struct piece *pieces;
    uint32_t n_pieces, room;
    struct batch **batches; /* decoded edges, whose texts are referred to */
    uint32_t n_batches, batch_room;
    const struct piece *dictionary; /* a piece whose chunk has one */
    struct text_bound min, max;     /* of copied pages */
    bool bounds_lost, levels_lost, text_bytes_lost;
};

bool chunk_has_dictionary(const struct parquet_reader *reader, uint32_t row_group, uint32_t leaf)
{
    return reader->metadata.row_groups[row_group].chunks[leaf].dictionary_page_offset != 0;
}

/* ---- what may be copied ---- */

static bool leaf_fits(const struct parquet_leaf *there, const struct write_leaf *here)
{
    if (there->type != here->type || there->field != here->field ||
        there->max_definition != here->max_definition ||
        there->max_repetition != here->max_repetition ||
        !type_equal(there->leaf_type, here->leaf_type))
        return false;
    if (there->type == PARQUET_FIXED_LEN_BYTE_ARRAY && there->type_length != here->type_length)
        return false;
    struct slice path = there->path;
    for (unsigned i = 0; i < here->n_names; i++) {
        if (i > 0) {
            if (!slice_starts_with(path, SLICE("."))) return false;
            path = slice_part(path, 1, SIZE_MAX);
        }
        if (!slice_starts_with(path, here->names[i])) return false;
        path = slice_part(path, here->names[i].size, SIZE_MAX);
    }
    return path.size == 0;
}

bool row_group_fits(struct parquet_reader *reader, uint32_t row_group,
                    const struct write_leaf *leaves, uint32_t n_leaves, int codec)
{
    const struct parquet_metadata *metadata = &reader->metadata;
    const struct parquet_row_group *group = &metadata->row_groups[row_group];
    if (!slice_starts_with(metadata->created_by, SLICE("glis version ")) ||
        metadata->n_leaves != n_leaves || group->n_rows == 0)
        return false;
    for (uint32_t l = 0; l < n_leaves; l++) {
        const struct parquet_page_index *index;
        if (group->chunks[l].codec != codec || !leaf_fits(&metadata->leaves[l], &leaves[l]))
            return false;
        if (parquet_reader_page_index(reader, row_group, l, &index) < 0) {
            error_clear(); /* whoever decodes the rows will meet it again */
            return false;
        }
        if (!index || index->n_pages == 0) return false;
    }
    return true;
}

/* ---- pieces ---- */

static struct piece *add_piece(struct copy_job *copy)
{
    if (copy->n_pieces == copy->room) {
        copy->room = copy->room ? 2 * copy->room : 16;
        copy->pieces = memory_realloc(copy->pieces, copy->room * sizeof *copy->pieces);
    }
    struct piece *piece = &copy->pieces[copy->n_pieces++];
    *piece = (struct piece){0};
    return piece;
}

/* The piece of new values at the end; what follows is put into job->in. */
static struct piece *fresh_piece(struct copy_job *copy)
{
    const struct shredded *in = &copy->job->in;
    if (copy->n_pieces > 0 && !copy->pieces[copy->n_pieces - 1].is_copy)
        return &copy->pieces[copy->n_pieces - 1];
    struct piece *piece = add_piece(copy);
    piece->run.first_entry = in->n_entries;
    piece->run.first_value = in->n_values;
    return piece;
}

static void grow_fresh(struct copy_job *copy, struct piece *piece, int64_t n_rows)
{
    const struct shredded *in = &copy->job->in;
    piece->n_rows += n_rows;
    piece->run.n_entries = in->n_entries - piece->run.first_entry;
    piece->run.n_values = in->n_values - piece->run.first_value;
}

static int add_fresh(struct copy_job *copy, const struct row_segment *segment)
{
    struct piece *piece = fresh_piece(copy);
    TRY(shred_segment(&copy->job->in, segment));
    grow_fresh(copy, piece, segment->n);
    return 0;
}

/* Rows [begin, end) of another row group, decoded. */
static int add_decoded(struct copy_job *copy, const struct row_segment *segment, uint64_t begin,
                       uint64_t end)
{
    uint32_t field = copy->job->leaf->field;
    struct batch *batch;
    if (begin >= end) return 0;
    TRY(parquet_reader_rows_of(segment->reader, segment->row_group, &field, 1, begin, end - begin,
                               copy->job->budget, &batch));
    if (copy->n_batches == copy->batch_room) {
        copy->batch_room = copy->batch_room ? 2 * copy->batch_room : 16;
        copy->batches = memory_realloc(copy->batches, copy->batch_room * sizeof(struct batch *));
    }
    copy->batches[copy->n_batches++] = batch;
    struct piece *piece = fresh_piece(copy);
    TRY(shred_rows(&copy->job->in, &batch->columns[0], 0, batch->n_rows));
    grow_fresh(copy, piece, batch->n_rows);
    return 0;
}

/* The first page that begins at `row` or after it. */
static uint32_t page_from(const struct parquet_page_index *index, uint64_t row)
{
    uint32_t a = 0, b = index->n_pages;
    while (a < b) {
        uint32_t middle = a + (b - a) / 2;
        if (index->pages[middle].first_row < row)
            a = middle + 1;
        else
            b = middle;
    }
    return a;
}

/* Whether the pages of a piece say how many of their values are null: by the column index, or as
 * those of version 2 do by themselves. */
static int nulls_are_known(const struct copy_job *copy, const struct parquet_page_index *index,
                           struct parquet_reader *reader, uint32_t page, bool *known)
{
    *known = copy->job->leaf->max_definition == 0 ||
             (index->has_statistics && index->statistics[page].has_null_count);
    if (*known) return 0;
    struct store_read read;
    struct page header;
    uint64_t size = index->pages[page].size;
    TRY(parquet_read_range(reader, index->pages[page].offset, size, &read));
    int code = page_header_read(slice_make(read.data, (size_t)size), false, &header);
    store_read_release(&read, 1);
    *known = code == 0 && header.n_nulls >= 0;
    return code;
}

static int hash_column(struct chunk_job *job, const struct column *column, int64_t n)
{
    struct shredded rows = {.leaf = job->leaf};
    struct buffer *all[] = {&rows.definitions, &rows.repetitions, &rows.values};
    for (size_t i = 0; i < 3; i++)
        buffer_init(all[i], (size_t)16 << 30, job->budget);
    int code = shred_rows(&rows, column, 0, n);
    if (code == 0) code = bloom_add(job, rows.values.data, (uint64_t)rows.n_values);
    for (size_t i = 0; i < 3; i++)
        buffer_free(all[i]);
    return code;
}

/* The values of rows whose pages are copied, for the bloom filter. */
static int hash_rows(struct copy_job *copy, const struct row_segment *segment, uint64_t begin,
                     uint64_t end)
{
    uint32_t field = copy->job->leaf->field;
    for (uint64_t row = begin; row < end; row += HASHED_ROWS) {
        uint64_t n = end - row < HASHED_ROWS ? end - row : HASHED_ROWS;
        struct batch *batch;
        TRY(parquet_reader_rows_of(segment->reader, segment->row_group, &field, 1, row, n,
                                   copy->job->budget, &batch));
        int code = hash_column(copy->job, &batch->columns[0], batch->n_rows);
        batch_release(batch);
        TRY(code);
    }
    return 0;
}

static int add_copied(struct copy_job *copy, const struct row_segment *segment)
{
    uint64_t begin = (uint64_t)segment->begin, end = begin + (uint64_t)segment->n;
    uint64_t n_rows = segment->reader->metadata.row_groups[segment->row_group].n_rows;
    const struct parquet_page_index *index;
    TRY(parquet_reader_page_index(segment->reader, segment->row_group, copy->job->leaf->number,
                                  &index));
    ASSERT(index);
    uint32_t first = page_from(index, begin);
    uint32_t last = end == n_rows ? index->n_pages : page_from(index, end + 1);
    if (last > 0 && end < n_rows) last--; /* the page that holds `end`, or begins there */
    bool known = false;
    if (first < last) TRY(nulls_are_known(copy, index, segment->reader, first, &known));
    if (!known) return add_decoded(copy, segment, begin, end);
    uint64_t from = index->pages[first].first_row;
    uint64_t to = last < index->n_pages ? index->pages[last].first_row : n_rows;
    TRY(add_decoded(copy, segment, begin, from));
    if (copy->job->leaf->bloom_rate > 0) TRY(hash_rows(copy, segment, from, to));
    struct piece *piece = add_piece(copy);
    piece->is_copy = true;
    piece->n_rows = (int64_t)(to - from);
    piece->reader = segment->reader;
    piece->row_group = segment->row_group;
    piece->index = index;
    piece->page_begin = first;
    piece->page_end = last;
    return add_decoded(copy, segment, to, end);
}

/* ---- pages ---- */

static int check_page(const struct page *page, struct slice bytes, uint64_t size, bool dictionary)
{
    bool is_data = page->type == PARQUET_DATA_PAGE || page->type == PARQUET_DATA_PAGE_V2;
    if (dictionary ? page->type != PARQUET_DICTIONARY_PAGE : !is_data)
        return error_set(GLIS_ECORRUPT, "a page of type %d where a %s page should be", page->type,
                         dictionary ? "dictionary" : "data");
    if ((uint64_t)page->header_size + page->compressed_size != size)
        return error_set(GLIS_ECORRUPT, "a page of %llu bytes, where its index says %llu",
                         (unsigned long long)page->header_size + page->compressed_size,
                         (unsigned long long)size);
    struct slice body = slice_part(bytes, page->header_size, page->compressed_size);
    if (page->has_checksum && hash_crc32(0, body.data, body.size) != page->checksum)
        return error_set(GLIS_ECORRUPT, "a page's checksum is wrong");
    return 0;
}

static int copy_dictionary(struct copy_job *copy)
{
    const struct piece *piece = copy->dictionary;
    struct chunk_record *out = copy->job->out;
    const struct parquet_chunk *chunk =
        &piece->reader->metadata.row_groups[piece->row_group].chunks[copy->job->leaf->number];
    struct store_read read;
    struct page page;
    uint64_t size = piece->index->pages[0].offset - chunk->start;
    TRY(parquet_read_range(piece->reader, chunk->start, size, &read));
    struct slice bytes = slice_make(read.data, (size_t)size);
    int code = page_header_read(bytes, false, &page);
    if (code == 0) code = check_page(&page, bytes, size, true);
    if (code == 0) code = buffer_append_slice(&out->bytes, bytes);
    store_read_release(&read, 1);
    TRY_CONTEXT(code, "dictionary page");
    out->dictionary_size = out->bytes.size;
    out->uncompressed_bytes += page.header_size + (uint64_t)page.uncompressed_size;
    out->encodings |= 1u << PARQUET_PLAIN;
    return 0;
}

/* Widens the chunk's bound to one of a page. */
static void join_bound(const struct copy_job *copy, struct text_bound *bound, uint32_t at,
                       uint32_t size, bool is_max)
{
    if (bound->any) {
        int c = chunk_compare_text(copy->job, at, size, bound->at, bound->size);
        if (is_max ? c <= 0 : c >= 0) return;
    }
    *bound = (struct text_bound){.any = true, .at = at, .size = size};
}

static int copy_bounds(struct copy_job *copy, const struct parquet_page_index *index, uint32_t p,
                       struct page_record *record)
{
    struct buffer *text = &copy->job->out->bounds_text;
    const struct parquet_statistics *s = index->has_statistics ? &index->statistics[p] : NULL;
    if (record->n_values == 0) return 0;
    if (!s || !s->has_min || !s->has_max) {
        copy->bounds_lost = true;
        return 0;
    }
    record->min_at = (uint32_t)text->size;
    record->min_size = (uint32_t)s->min.size;
    TRY(buffer_append_slice(text, s->min));
    record->max_at = (uint32_t)text->size;
    record->max_size = (uint32_t)s->max.size;
    TRY(buffer_append_slice(text, s->max));
    join_bound(copy, &copy->min, record->min_at, record->min_size, false);
    join_bound(copy, &copy->max, record->max_at, record->max_size, true);
    return 0;
}

static int copy_counts(struct buffer *out, const int64_t *counts, unsigned n, uint32_t page,
                       bool *lost)
{
    if (n == 0) return 0;
    if (counts) return buffer_append(out, counts + (size_t)page * n, n * sizeof *counts);
    *lost = true;
    return buffer_append_zeros(out, n * sizeof *counts);
}

/* What indexes and footer will say about a page. */
static int record_page(struct copy_job *copy, const struct piece *piece, uint32_t p,
                       const struct page *page, int64_t first_row)
{
    struct chunk_record *out = copy->job->out;
    const struct parquet_page_index *index = piece->index;
    uint64_t from = index->pages[p].first_row;
    uint64_t to = p + 1 < index->n_pages
                      ? index->pages[p + 1].first_row
                      : piece->reader->metadata.row_groups[piece->row_group].n_rows;
    int64_t nulls = page->n_nulls;
    if (nulls < 0 && index->has_statistics && index->statistics[p].has_null_count)
        nulls = index->statistics[p].null_count;
    if (copy->job->leaf->max_definition == 0) nulls = 0;
    if (nulls < 0 || nulls > page->n_values ||
        (index->has_statistics && index->statistics[p].has_null_count &&
         index->statistics[p].null_count != nulls))
        return error_set(GLIS_ECORRUPT, "a page of %lld values does not say how many are null",
                         (long long)page->n_values);
    if ((page->n_rows >= 0 && (uint64_t)page->n_rows != to - from) ||
        (copy->job->leaf->max_repetition == 0 && (uint64_t)page->n_values != to - from))
        return error_set(GLIS_ECORRUPT, "a page of %lld rows, where its index says %llu",
                         (long long)(page->n_rows >= 0 ? page->n_rows : page->n_values),
                         (unsigned long long)(to - from));
    const struct parquet_chunk *chunk =
        &piece->reader->metadata.row_groups[piece->row_group].chunks[copy->job->leaf->number];
    if (page->encoding < 0 || page->encoding > 31 || !(chunk->encodings >> page->encoding & 1))
        return error_set(GLIS_ECORRUPT, "a page in the encoding %s, which the footer does not list",
                         parquet_encoding_name(page->encoding));
    struct page_record record = {.offset = out->bytes.size,
                                 .size = index->pages[p].size,
                                 .first_row = first_row,
                                 .n_nulls = nulls,
                                 .n_values = page->n_values - nulls};
    TRY(copy_bounds(copy, index, p, &record));
    if (index->text_bytes)
        record.text_bytes = index->text_bytes[p];
    else
        copy->text_bytes_lost = true;
    TRY(copy_counts(&out->level_counts, index->repetition_levels, out->n_repetition_counts, p,
                    &copy->levels_lost));
    TRY(copy_counts(&out->level_counts, index->definition_levels, out->n_definition_counts, p,
                    &copy->levels_lost));
    out->n_entries += page->n_values;
    out->n_nulls += nulls;
    out->uncompressed_bytes += page->header_size + (uint64_t)page->uncompressed_size;
    out->encodings |= 1u << page->encoding;
    out->n_pages++;
    return buffer_append(&out->pages, &record, sizeof record);
}

/* Pages [p, ...) of a piece that lie in the bytes. */
static int copy_window(struct copy_job *copy, const struct piece *piece, uint32_t p, uint32_t end,
                       struct slice bytes, int64_t first_row)
{
    const struct parquet_page_location *pages = piece->index->pages;
    for (; p < end; p++) {
        struct page page;
        int64_t row =
            first_row + (int64_t)(pages[p].first_row - pages[piece->page_begin].first_row);
        int code = page_header_read(bytes, false, &page);
        if (code == 0) code = check_page(&page, bytes, pages[p].size, false);
        if (code == 0) code = record_page(copy, piece, p, &page, row);
        if (code == 0)
            code = buffer_append_slice(&copy->job->out->bytes, slice_part(bytes, 0, pages[p].size));
        TRY_CONTEXT(code, "page %u", p);
        bytes = slice_part(bytes, pages[p].size, SIZE_MAX);
    }
    return 0;
}

/* All pages of a piece, read some at a time: they stand one behind another. */
static int copy_pages(struct copy_job *copy, const struct piece *piece, int64_t first_row)
{
    const struct parquet_page_location *pages = piece->index->pages;
    for (uint32_t p = piece->page_begin; p < piece->page_end;) {
        uint32_t end = p;
        uint64_t size = 0;
        while (end < piece->page_end && (end == p || size + pages[end].size <= WINDOW_BYTES) &&
               pages[end].offset == pages[p].offset + size)
            size += pages[end++].size;
        struct store_read read;
        TRY(parquet_read_range(piece->reader, pages[p].offset, size, &read));
        int code = copy_window(copy, piece, p, end, slice_make(read.data, (size_t)size), first_row);
        store_read_release(&read, 1);
        TRY(code);
        p = end;
    }
    return 0;
}

/* ---- the chunk ---- */

/* Whether a bound of a page is a value that occurs: whole numbers are. Texts may have been cut, and
 * a zero stands for two, but for one that a chunk copied as a whole calls exact. */
static bool bound_is_exact(const struct copy_job *copy, const struct text_bound *bound, bool is_max)
{
    const struct chunk_record *out = copy->job->out;
    enum leaf_order order = copy->job->leaf->order;
    if ((order >= ORDER_BOOLEAN && order <= ORDER_UINT64) || order == ORDER_DECIMAL) return true;
    struct slice text = slice_make(out->bounds_text.data + bound->at, bound->size);
    for (uint32_t i = 0; i < copy->n_pieces; i++) {
        const struct piece *piece = &copy->pieces[i];
        if (!piece->is_copy) continue;
        const struct parquet_statistics *s = &piece->reader->metadata.row_groups[piece->row_group]
                                                  .chunks[copy->job->leaf->number]
                                                  .statistics;
        bool has = is_max ? s->has_max && s->max_exact : s->has_min && s->min_exact;
        if (!has || !slice_equal(text, is_max ? s->max : s->min)) continue;
        if (piece->page_begin == 0 && piece->page_end == piece->index->n_pages) return true;
    }
    return false;
}

static int finish_bounds(struct copy_job *copy, const struct bounds *fresh)
{
    struct chunk_record *out = copy->job->out;
    uint32_t at[4];
    bool exact[2] = {true, true};
    TRY(chunk_put_bounds(copy->job, fresh, at, exact));
    struct text_bound min = copy->min, max = copy->max;
    if (min.any) min.exact = bound_is_exact(copy, &min, false);
    if (max.any) max.exact = bound_is_exact(copy, &max, true);
    if (fresh->min) {
        bool less = !min.any || chunk_compare_text(copy->job, at[0], at[1], min.at, min.size) < 0;
        bool more = !max.any || chunk_compare_text(copy->job, at[2], at[3], max.at, max.size) > 0;
        if (less) min = (struct text_bound){true, exact[0], at[0], at[1]};
        if (more) max = (struct text_bound){true, exact[1], at[2], at[3]};
    }
    out->has_bounds = min.any && !copy->bounds_lost && !fresh->has_nan;
    if (!out->has_bounds) return 0;
    out->min_at = min.at, out->min_size = min.size, out->min_exact = min.exact;
    out->max_at = max.at, out->max_size = max.size, out->max_exact = max.exact;
    return 0;
}

static int find_pieces(struct copy_job *copy, const struct row_segment *segments, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        TRY(segments[i].batch ? add_fresh(copy, &segments[i]) : add_copied(copy, &segments[i]));
    for (uint32_t i = 0; i < copy->n_pieces && !copy->dictionary; i++) {
        const struct piece *piece = &copy->pieces[i];
        if (piece->is_copy &&
            chunk_has_dictionary(piece->reader, piece->row_group, copy->job->leaf->number))
            copy->dictionary = piece;
    }
    return 0;
}

static int write_pieces(struct copy_job *copy, struct bounds *bounds)
{
    struct chunk_job *job = copy->job;
    int64_t row = 0;
    for (uint32_t i = 0; i < copy->n_pieces; i++) {
        struct piece *piece = &copy->pieces[i];
        if (piece->is_copy) {
            TRY_CONTEXT(copy_pages(copy, piece, row), "copying row group %u of '%.*s'",
                        piece->row_group, SLICE_PRINT(piece->reader->key));
        } else {
            piece->run.first_row = row;
            TRY(chunk_write_pages(job, &piece->run, bounds));
        }
        row += piece->n_rows;
    }
    return 0;
}

static int encode_copied(struct copy_job *copy, struct write_leaf *leaf,
                         const struct row_segment *segments, uint32_t n)
{
    struct chunk_job *job = copy->job;
    struct chunk_record *out = job->out;
    struct bounds bounds = {NULL, NULL, false};
    TRY(find_pieces(copy, segments, n));
    if (copy->dictionary) { /* what is new does without */
        leaf->dictionary = 1;
        if (leaf->encoding == PARQUET_RLE_DICTIONARY) leaf->encoding = -1;
    }
    TRY(chunk_choose_encoding(job));
    TRY(bloom_write(job));
    chunk_sizes_begin(leaf, out);
    out->has_column_index = leaf->order != ORDER_NONE;
    out->encodings = 1u << PARQUET_RLE;
    out->n_entries = job->in.n_entries;
    out->n_nulls = job->in.n_entries - job->in.n_values;
    if (copy->dictionary)
        TRY(copy_dictionary(copy));
    else if (job->encoding == PARQUET_RLE_DICTIONARY)
        TRY(chunk_write_dictionary(job));
    TRY(write_pieces(copy, &bounds));
    if (job->in.n_entries > 0) out->encodings |= 1u << job->encoding;
    if (job->encoding == PARQUET_RLE_DICTIONARY) out->encodings |= 1u << PARQUET_PLAIN;
    if (copy->bounds_lost) out->has_column_index = false;
    if (copy->levels_lost) out->n_repetition_counts = out->n_definition_counts = 0;
    if (copy->text_bytes_lost) out->has_text_bytes = false;
    out->compressed_bytes = out->bytes.size;
    if (out->has_column_index) out->boundary_order = chunk_boundary_order(job);
    if (bounds.has_nan) bounds.min = bounds.max = NULL;
    return finish_bounds(copy, &bounds);
}

int chunk_encode_copied(struct chunk_job *job, const struct row_segment *segments,
                        uint32_t n_segments)
{
    struct write_leaf leaf = *job->leaf; /* its own, for what the dictionary changes */
    const struct write_leaf *given = job->leaf;
    struct copy_job copy = {.job = job};
    job->leaf = &leaf;
    job->in.leaf = &leaf;
    int code = encode_copied(&copy, &leaf, segments, n_segments);
    for (uint32_t i = 0; i < copy.n_batches; i++)
        batch_release(copy.batches[i]);
    free(copy.batches);
    free(copy.pieces);
    job->leaf = given;
    job->in.leaf = given;
    return code;
}
