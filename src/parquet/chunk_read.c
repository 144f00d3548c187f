/*
 * chunk_read.c: a leaf's levels and values over its pages.
 *
 * A leaf is read from front to back: pages are opened one after the other (levels decoded, values
 * made ready), and entries are passed over or taken in as many parts as the caller likes. Entries
 * belong to rows: one each where nothing repeats, else a row begins with each repetition level 0.
 * A page that is known to lie before the wanted rows is not decompressed. v1 pages may continue a
 * row of the page before, so the row count goes on over pages, and a row is only known to be over
 * when the next one begins or the chunk ends.
 *
 * Levels are bytes. Only for the most frequent case, a field that is a leaf which may be null, they
 * are bits from the file to the column's validity: no byte is made of them.
 */
#include "parquet/level_bits.h"
#include "parquet/parquet_read_int.h"

enum { ROWS_WANTED_MAX = 128 << 10 };

static unsigned level_width(int max)
{
    return max ? 32 - (unsigned)__builtin_clz((unsigned)max) : 0;
}

static int check_levels(const uint8_t *levels, int64_t n, int max)
{
    if (((max + 1) & max) == 0) return 0; /* the width holds no more */
    const struct decode_kernels *kernels = decode_kernels();
    uint64_t above = 0;
    for (int64_t i = 0; i < n; i += 64)
        above |= kernels->levels_at_least(levels + i, max + 1) &
                 bits_low(n - i < 64 ? (unsigned)(n - i) : 64);
    if (above) return error_set(GLIS_ECORRUPT, "a level above %d, the greatest", max);
    return 0;
}

/* Room of a page's own, or behind what was taken; wide loads may pass the end. */
static int level_room(struct block **block, uint64_t need, struct budget *budget)
{
    if (!*block) return block_new(block, budget, need + 64);
    if ((*block)->size >= need + 64) return 0;
    return block_resize(block, need + need / 2 + 64);
}

/* Levels as a page has them. */
struct encoded_levels {
    struct slice bytes;
    bool packed; /* the deprecated BIT_PACKED, else runs */
};

/* The v1 form: runs behind a length of 4 bytes; the deprecated form has no length, for it follows
 * from the number of values. */
static int split_levels(struct slice *body, int encoding, unsigned width, int64_t n,
                        struct encoded_levels *levels)
{
    uint32_t size;
    size_t before = 4;
    if (encoding == PARQUET_BIT_PACKED) {
        uint64_t bytes = ((uint64_t)n * width + 7) / 8;
        if (bytes > body->size) return error_set(GLIS_ECORRUPT, "a page without its levels");
        size = (uint32_t)bytes;
        before = 0;
    } else if (encoding == PARQUET_RLE) {
        if (body->size < 4) return error_set(GLIS_ECORRUPT, "a page without its levels");
        memcpy(&size, body->data, 4);
        if (size > body->size - 4)
            return error_set(GLIS_ECORRUPT, "a page's levels are larger than the page");
    } else {
        return error_set(GLIS_EUNSUPPORTED, "levels in the encoding %s are not read",
                         parquet_encoding_name(encoding));
    }
    levels->packed = encoding == PARQUET_BIT_PACKED;
    levels->bytes = slice_part(*body, before, size);
    *body = slice_part(*body, before + (size_t)size, SIZE_MAX);
    return 0;
}

static int decode_levels(const struct encoded_levels *levels, int max, int64_t n, uint8_t *out)
{
    if (levels->packed) return decode_packed_levels(levels->bytes, level_width(max), n, out);
    return decode_rle_levels(levels->bytes, level_width(max), n, out);
}

/* Splits the levels off the body, and decodes them. */
static int read_levels(struct leaf_data *data, const struct page *header, struct slice *body)
{
    const struct parquet_leaf *leaf = data->leaf;
    struct leaf_page *page = &data->page;
    struct encoded_levels repetitions = {SLICE_EMPTY, false}, definitions = {SLICE_EMPTY, false};
    int64_t n = header->n_values;
    if (header->type == PARQUET_DATA_PAGE_V2) {
        uint32_t first = header->repetition_size, second = header->definition_size;
        repetitions.bytes = slice_part(*body, 0, first);
        definitions.bytes = slice_part(*body, first, second);
        *body = slice_part(*body, (size_t)first + second, SIZE_MAX);
    } else {
        if (leaf->max_repetition)
            TRY(split_levels(body, header->repetition_encoding, level_width(leaf->max_repetition),
                             n, &repetitions));
        if (leaf->max_definition)
            TRY(split_levels(body, header->definition_encoding, level_width(leaf->max_definition),
                             n, &definitions));
    }
    page->n_entries = page->n_values = n;
    page->repetitions = page->definitions = NULL;
    if (leaf->max_repetition) {
        TRY(level_room(&page->repetition_block, (uint64_t)n, data->budget));
        uint8_t *to = page->repetition_block->data;
        TRY_CONTEXT(decode_levels(&repetitions, leaf->max_repetition, n, to), "repetition levels");
        TRY(check_levels(to, n, leaf->max_repetition));
        page->repetitions = to;
    }
    if (!leaf->max_definition) return 0;
    TRY(level_room(&page->definition_block, (uint64_t)n / (data->as_bits ? 8 : 1), data->budget));
    uint8_t *to = page->definition_block->data;
    page->definitions = to;
    if (data->as_bits) {
        TRY_CONTEXT(definitions.packed
                        ? decode_packed_bits(definitions.bytes, n, to, &page->n_values)
                        : decode_rle_bits(definitions.bytes, n, to, &page->n_values),
                    "definition levels");
        return 0;
    }
    TRY_CONTEXT(decode_levels(&definitions, leaf->max_definition, n, to), "definition levels");
    return check_levels(to, n, leaf->max_definition);
}

/* How many of n levels are at least `level`. */
static int64_t count_levels(const uint8_t *levels, int64_t n, int level)
{
    const struct decode_kernels *kernels = decode_kernels();
    int64_t count = 0;
    for (int64_t i = 0; i < n; i += 64)
        count += __builtin_popcountll(kernels->levels_at_least(levels + i, level) &
                                      bits_low(n - i < 64 ? (unsigned)(n - i) : 64));
    return count;
}

/* The values of the next n entries of the page. */
static int64_t count_values(const struct leaf_data *data, int64_t n)
{
    const struct leaf_page *page = &data->page;
    if (page->n_values == page->n_entries) return n;
    if (n == page->n_entries - page->at) return page->n_values - page->value_at;
    if (data->as_bits) return bits_count(page->definitions, page->at, n);
    return count_levels(page->definitions + page->at, n, data->leaf->max_definition);
}

/* How many entries of the page, from where it stands, belong to the rows before `row`; goes on
 * counting rows. */
static int64_t entries_before(struct leaf_data *data, uint64_t row, int64_t *n_rows)
{
    struct leaf_page *page = &data->page;
    const struct decode_kernels *kernels = decode_kernels();
    int64_t left = page->n_entries - page->at, n = 0;
    uint64_t rows = row > data->next_row ? row - data->next_row : 0;
    *n_rows = 0;
    if (!page->repetitions) {
        n = rows < (uint64_t)left ? (int64_t)rows : left;
        *n_rows = n;
        data->next_row += (uint64_t)n;
        return n;
    }
    while (n < left) {
        unsigned part = left - n < 64 ? (unsigned)(left - n) : 64;
        uint64_t begins =
            ~kernels->levels_at_least(page->repetitions + page->at + n, 1) & bits_low(part);
        uint64_t count = (uint64_t)__builtin_popcountll(begins);
        if (count > rows) { /* the row itself begins in here */
            *n_rows += (int64_t)rows;
            data->next_row += rows;
            for (; rows > 0; rows--)
                begins &= begins - 1;
            return n + __builtin_ctzll(begins);
        }
        rows -= count;
        *n_rows += (int64_t)count;
        data->next_row += count;
        n += part;
    }
    return left;
}

/* ---- pages ---- */

static int read_dictionary(struct leaf_data *data, const struct page *header)
{
    struct slice body;
    if (data->has_dictionary) return error_set(GLIS_ECORRUPT, "a chunk with two dictionaries");
    if (header->encoding != PARQUET_PLAIN && header->encoding != PARQUET_PLAIN_DICTIONARY)
        return error_set(GLIS_EUNSUPPORTED, "a dictionary in the encoding %s is not read",
                         parquet_encoding_name(header->encoding));
    TRY(page_body_read(data->bytes, header, data->codec, data->budget, &data->scratch, &body));
    return dictionary_read(data, body, header->n_values);
}

static int open_data_page(struct leaf_data *data, const struct page *header)
{
    struct leaf_page *page = &data->page;
    struct slice body;
    TRY(page_body_read(data->bytes, header, data->codec, data->budget, &data->scratch, &body));
    TRY(read_levels(data, header, &body));
    page->at = page->value_at = 0;
    page->encoding = header->encoding;
    page->body = body;
    if (!data->as_bits && data->leaf->max_definition)
        page->n_values =
            count_levels(page->definitions, page->n_entries, data->leaf->max_definition);
    if (data->next_row == 0 && page->n_entries > 0 && page->repetitions && page->repetitions[0])
        return error_set(GLIS_ECORRUPT, "the first row does not begin with level 0");
    int code = page_values_open(data);
    if (code < 0) page->n_entries = 0;
    return code;
}

/* Rows of a page that can be passed over without looking inside; -1: not known. */
static int64_t rows_outside(const struct leaf_data *data, const struct page *header, uint64_t row)
{
    int64_t n = data->leaf->max_repetition == 0        ? header->n_values
                : header->type == PARQUET_DATA_PAGE_V2 ? header->n_rows
                                                       : -1;
    return n >= 0 && data->next_row + (uint64_t)n <= row ? n : -1;
}

/* Makes sure that the next page's header, and its body, stand in data->bytes. With nothing left,
 * they are empty after. */
static int next_header(struct leaf_data *data, struct page *header)
{
    struct leaf_source *source = data->source;
    for (uint64_t need = 1;;) {
        if (data->bytes.size == 0 && data->bytes_after.size > 0) {
            data->bytes = data->bytes_after;
            data->bytes_after = SLICE_EMPTY;
        }
        if (source && data->at == source->end && source->next_end > source->next_begin) {
            data->at = source->begin = source->next_begin;
            source->end = source->next_end;
            source->next_end = source->next_begin;
        }
        uint64_t left = source ? source->end - data->at : data->bytes.size;
        if (left == 0) {
            data->bytes = SLICE_EMPTY;
            return 0;
        }
        if (source && data->bytes.size < left && data->bytes.size < need) {
            /* pages of a chunk are mostly of a size: enough for one more like the last */
            uint64_t guess = data->page_bytes + data->page_bytes / 16;
            if (guess < need) guess = need;
            TRY(source->refill(source, data->at, guess < left ? guess : left, &data->bytes));
        }
        bool all = data->bytes.size >= left;
        int code = page_header_read(data->bytes, !all, header);
        if (code == 0) {
            uint64_t size = (uint64_t)header->header_size + header->compressed_size;
            if (all || size <= data->bytes.size) return 0;
            need = size < left ? size : left;
        } else {
            if (all || data->bytes.size >= PARQUET_PAGE_HEADER_BYTES_MAX) return code;
            error_clear();
            need = 4 * (uint64_t)data->bytes.size < left ? 4 * (uint64_t)data->bytes.size : left;
        }
    }
}

int leaf_next_header(struct leaf_data *data, struct page *header)
{
    data->page.n_entries = data->page.at = 0;
    return next_header(data, header);
}

void leaf_pass_page(struct leaf_data *data, const struct page *header)
{
    uint64_t size = (uint64_t)header->header_size + header->compressed_size;
    data->at += size;
    data->page_bytes = size;
    data->page_number++;
    data->bytes = slice_part(data->bytes, (size_t)size, SIZE_MAX);
}

int leaf_open_page(struct leaf_data *data, const struct page *header)
{
    if (header->type == PARQUET_DICTIONARY_PAGE) return read_dictionary(data, header);
    if (header->type == PARQUET_DATA_PAGE || header->type == PARQUET_DATA_PAGE_V2)
        return open_data_page(data, header);
    return 0;
}

/* The next page that holds entries and may hold rows from `row` on is open after, or there is
 * none: *end. */
static int next_page(struct leaf_data *data, uint64_t row, bool *end)
{
    *end = false;
    data->page.n_entries = data->page.at = 0;
    while (data->page.n_entries == 0) {
        struct page header;
        int code = next_header(data, &header);
        if (code == 0 && data->bytes.size == 0) {
            *end = true;
            return 0;
        }
        bool data_page =
            code == 0 && (header.type == PARQUET_DATA_PAGE || header.type == PARQUET_DATA_PAGE_V2);
        int64_t outside = data_page ? rows_outside(data, &header, row) : -1;
        if (outside >= 0)
            data->next_row += (uint64_t)outside;
        else if (code == 0)
            code = leaf_open_page(data, &header);
        if (code < 0) {
            error_context("page %u (byte %llu of %s)", data->page_number,
                          (unsigned long long)data->at,
                          data->source ? "the file" : "what was read");
            return code;
        }
        leaf_pass_page(data, &header);
    }
    return 0;
}

/* ---- rows ---- */

int leaf_skip_to(struct leaf_data *data, uint64_t row)
{
    struct leaf_page *page = &data->page;
    for (;;) {
        int64_t n_rows;
        if (page->at == page->n_entries) {
            bool end;
            if (data->next_row >= row && (!data->leaf->max_repetition || row == 0)) return 0;
            TRY(next_page(data, row, &end));
            if (end) return 0;
        }
        int64_t n = entries_before(data, row, &n_rows);
        TRY(page_values_skip(data, count_values(data, n)));
        page->at += n;
        if (page->at < page->n_entries) return 0;
    }
}

/* Appends the next n entries with their levels and values. */
static int take_entries(struct leaf_data *data, int64_t n)
{
    struct leaf_page *page = &data->page;
    int64_t have = data->n_entries, values = count_values(data, n);
    uint64_t room = (uint64_t)have + (uint64_t)(n > data->rows_wanted ? n : data->rows_wanted);
    if (page->repetitions) {
        TRY(level_room(&data->repetitions, room, data->budget));
        memcpy(data->repetitions->data + have, page->repetitions + page->at, (size_t)n);
    }
    if (page->definitions && data->as_bits) {
        TRY(level_room(&data->definitions, room / 8, data->budget));
        if (page->n_values == page->n_entries)
            bits_fill(data->definitions->data, have, n, 1);
        else
            bits_copy(data->definitions->data, have, page->definitions, page->at, n);
    } else if (page->definitions) {
        TRY(level_room(&data->definitions, room, data->budget));
        memcpy(data->definitions->data + have, page->definitions + page->at, (size_t)n);
    }
    TRY(page_values_take(data, values));
    data->n_entries += n;
    page->at += n;
    return 0;
}

int leaf_take(struct leaf_data *data, uint64_t n)
{
    struct leaf_page *page = &data->page;
    uint64_t end_row = data->next_row + n;
    data->rows_wanted = n < ROWS_WANTED_MAX ? (int64_t)n : ROWS_WANTED_MAX;
    for (;;) {
        int64_t n_rows;
        if (page->at == page->n_entries) {
            bool end;
            if (data->next_row == end_row && !data->leaf->max_repetition) return 0;
            TRY(next_page(data, 0, &end));
            if (end) return 0;
        }
        int64_t entries = entries_before(data, end_row, &n_rows);
        if (entries > 0) {
            TRY_CONTEXT(take_entries(data, entries), "page %u", data->page_number - 1);
            data->n_rows += n_rows;
        }
        if (page->at < page->n_entries) return 0;
    }
}

int leaf_take_entries(struct leaf_data *data, int64_t n)
{
    struct leaf_page *page = &data->page;
    int64_t left = page->n_entries - page->at;
    if (n > left) n = left;
    int64_t continued = page->repetitions ? count_levels(page->repetitions + page->at, n, 1) : 0;
    data->rows_wanted = n;
    TRY(take_entries(data, n));
    data->n_rows += n - continued;
    data->next_row += (uint64_t)(n - continued);
    return 0;
}

void leaf_output_rewind(struct leaf_data *data)
{
    ASSERT(!data->keeps_codes && !data->widens);
    data->values.n = 0;
    data->values.bytes_size = 0;
    data->n_entries = data->n_rows = 0;
    data->texts_unchecked = false;
}

void leaf_output_reset(struct leaf_data *data)
{
    leaf_values_free(&data->values);
    data->values.width = leaf_taken_width(data);
    leaf_values_free(&data->codes);
    block_release(data->definitions);
    block_release(data->repetitions);
    data->definitions = data->repetitions = NULL;
    data->n_entries = data->n_rows = 0;
    data->texts_unchecked = false;
}

void leaf_data_free(struct leaf_data *data)
{
    leaf_output_reset(data);
    leaf_values_free(&data->dictionary);
    leaf_values_free(&data->narrow);
    leaf_values_free(&data->page.whole);
    block_release(data->page.definition_block);
    block_release(data->page.repetition_block);
    block_release(data->scratch);
    block_release(data->indices);
    data->page.definition_block = data->page.repetition_block = NULL;
    data->scratch = data->indices = NULL;
}
