/*
 * chunk_read.c: a leaf's levels and values over its pages.
 *
 * Entries of a page belong to rows: one each where nothing repeats, else a row begins with each
 * repetition level 0. Of every page just the entries of the wanted rows are kept; a page that is
 * known to hold none of them is not decompressed. v1 pages may continue a row of the page before,
 * so the row count goes on over pages.
 */
#include "parquet/parquet_read_int.h"

/* Levels of one page, decoded. */
struct page_levels {
    const uint8_t *definitions, *repetitions; /* NULL when the maximum is 0 */
};

/* The entries of a page that are wanted, and what they are. */
struct selection {
    int64_t begin, end;         /* entries */
    int64_t n_page, skip, take; /* values: of the page, before the entries, of the entries */
    int64_t n_rows;
};

struct row_position {
    uint64_t next;       /* the row that the next beginning begins */
    uint64_t first, end; /* wanted */
};

static unsigned level_width(int max)
{
    return max ? 32 - (unsigned)__builtin_clz((unsigned)max) : 0;
}

static int check_levels(const uint8_t *levels, int64_t n, int max)
{
    uint8_t greatest = 0;
    for (int64_t i = 0; i < n; i++)
        greatest = levels[i] > greatest ? levels[i] : greatest;
    if (greatest > max)
        return error_set(GLIS_ECORRUPT, "a level of %d where %d is the greatest", greatest, max);
    return 0;
}

/* Room for levels behind those that are kept; the page's are decoded there and moved down after. */
static int level_room(struct block **block, int64_t have, int64_t more, struct budget *budget)
{
    uint64_t need = (uint64_t)have + (uint64_t)more;
    if (!*block) return block_new(block, budget, need);
    if ((*block)->size >= need) return 0;
    return block_resize(block, need + need / 2);
}

/* The v1 form: a length of 4 bytes before the levels. */
static int sized_levels(struct slice *body, int encoding, struct slice *levels)
{
    uint32_t size;
    if (encoding != PARQUET_RLE)
        return error_set(GLIS_EUNSUPPORTED, "levels in the encoding %s are not read",
                         parquet_encoding_name(encoding));
    if (body->size < 4) return error_set(GLIS_ECORRUPT, "a page without its levels");
    memcpy(&size, body->data, 4);
    if (size > body->size - 4)
        return error_set(GLIS_ECORRUPT, "a page's levels are larger than the page");
    *levels = slice_part(*body, 4, size);
    *body = slice_part(*body, 4 + (size_t)size, SIZE_MAX);
    return 0;
}

static int read_levels(struct leaf_data *data, const struct page *page, struct slice *body,
                       struct page_levels *out)
{
    const struct parquet_leaf *leaf = data->leaf;
    bool v2 = page->type == PARQUET_DATA_PAGE_V2;
    struct slice repetitions = SLICE_EMPTY, definitions = SLICE_EMPTY;
    *out = (struct page_levels){NULL, NULL};
    if (v2) {
        repetitions = slice_part(*body, 0, page->repetition_size);
        definitions = slice_part(*body, page->repetition_size, page->definition_size);
        *body = slice_part(*body, (size_t)page->repetition_size + page->definition_size, SIZE_MAX);
    } else {
        if (leaf->max_repetition) TRY(sized_levels(body, page->repetition_encoding, &repetitions));
        if (leaf->max_definition) TRY(sized_levels(body, page->definition_encoding, &definitions));
    }
    int64_t n = page->n_values, at = data->n_entries;
    if (leaf->max_repetition) {
        TRY(level_room(&data->repetitions, at, n, data->budget));
        uint8_t *to = data->repetitions->data + at;
        TRY_CONTEXT(decode_rle_levels(repetitions, level_width(leaf->max_repetition), n, to),
                    "repetition levels");
        TRY(check_levels(to, n, leaf->max_repetition));
        out->repetitions = to;
    }
    if (leaf->max_definition) {
        TRY(level_room(&data->definitions, at, n, data->budget));
        uint8_t *to = data->definitions->data + at;
        TRY_CONTEXT(decode_rle_levels(definitions, level_width(leaf->max_definition), n, to),
                    "definition levels");
        TRY(check_levels(to, n, leaf->max_definition));
        out->definitions = to;
    }
    return 0;
}

static int64_t count_values(const struct page_levels *levels, int max, int64_t begin, int64_t end)
{
    if (!levels->definitions) return end - begin;
    int64_t n = 0;
    for (int64_t i = begin; i < end; i++)
        n += levels->definitions[i] == max;
    return n;
}

/* Which entries belong to wanted rows; goes on counting rows. */
static int select_entries(const struct page *page, const struct page_levels *levels,
                          struct row_position *rows, struct selection *out)
{
    int64_t n = page->n_values;
    if (!levels->repetitions) {
        uint64_t begin = rows->next, end = rows->next + (uint64_t)n;
        uint64_t low = rows->first > begin ? rows->first : begin;
        uint64_t high = rows->end < end ? rows->end : end;
        rows->next = end;
        if (low > high) low = high = begin;
        out->begin = (int64_t)(low - begin);
        out->end = (int64_t)(high - begin);
        out->n_rows = out->end - out->begin;
        return 0;
    }
    if (n > 0 && rows->next == 0 && levels->repetitions[0] != 0)
        return error_set(GLIS_ECORRUPT, "the first row does not begin with level 0");
    out->begin = out->end = -1;
    out->n_rows = 0;
    for (int64_t i = 0; i < n; i++) {
        bool begins = levels->repetitions[i] == 0;
        rows->next += begins;
        uint64_t row = rows->next - 1;
        if (row < rows->first || row >= rows->end) continue;
        if (out->begin < 0) out->begin = i;
        out->end = i + 1;
        out->n_rows += begins;
    }
    if (out->begin < 0) out->begin = out->end = 0;
    return 0;
}

static void keep_levels(struct block *block, int64_t at, const struct selection *selection)
{
    if (block && selection->begin > 0)
        memmove(block->data + at, block->data + at + selection->begin,
                (size_t)(selection->end - selection->begin));
}

static int read_data_page(struct leaf_data *data, struct slice bytes, const struct page *page,
                          int codec, struct row_position *rows)
{
    struct slice body;
    struct page_levels levels;
    struct selection selection = {0};
    int max = data->leaf->max_definition;
    TRY(page_body_read(bytes, page, codec, data->budget, &data->scratch, &body));
    TRY(read_levels(data, page, &body, &levels));
    TRY(select_entries(page, &levels, rows, &selection));
    selection.skip = count_values(&levels, max, 0, selection.begin);
    selection.take = count_values(&levels, max, selection.begin, selection.end);
    selection.n_page =
        selection.skip + selection.take + count_values(&levels, max, selection.end, page->n_values);
    TRY(decode_values(data, page->encoding, body, selection.n_page, selection.skip,
                      selection.take));
    keep_levels(data->repetitions, data->n_entries, &selection);
    keep_levels(data->definitions, data->n_entries, &selection);
    data->n_entries += selection.end - selection.begin;
    data->n_rows += selection.n_rows;
    return 0;
}

static int read_dictionary(struct leaf_data *data, struct slice bytes, const struct page *page,
                           int codec)
{
    struct slice body;
    if (data->has_dictionary) return error_set(GLIS_ECORRUPT, "a chunk with two dictionaries");
    if (page->encoding != PARQUET_PLAIN && page->encoding != PARQUET_PLAIN_DICTIONARY)
        return error_set(GLIS_EUNSUPPORTED, "a dictionary in the encoding %s is not read",
                         parquet_encoding_name(page->encoding));
    TRY(page_body_read(bytes, page, codec, data->budget, &data->scratch, &body));
    struct leaf_values kept = data->values;
    data->values = (struct leaf_values){.width = kept.width};
    int code = decode_values(data, PARQUET_PLAIN, body, page->n_values, 0, page->n_values);
    data->dictionary = data->values;
    data->values = kept;
    data->has_dictionary = code == 0;
    return code;
}

/* Rows of a page that can be passed over without looking inside; -1: not known. */
static int64_t rows_outside(const struct leaf_data *data, const struct page *page,
                            const struct row_position *rows)
{
    int64_t n = data->leaf->max_repetition == 0      ? page->n_values
                : page->type == PARQUET_DATA_PAGE_V2 ? page->n_rows
                                                     : -1;
    return n >= 0 && rows->next + (uint64_t)n <= rows->first ? n : -1;
}

int leaf_read_pages(struct leaf_data *data, struct slice bytes, int codec, uint64_t row,
                    uint64_t first, uint64_t end)
{
    struct row_position rows = {row, first, end};
    uint64_t at = 0;
    for (unsigned number = 0; bytes.size > 0; number++) {
        struct page page;
        if (rows.next >= end && (data->leaf->max_repetition == 0 || rows.next > end)) break;
        int code = page_header_read(bytes, false, &page);
        if (code == 0 && page.type == PARQUET_DICTIONARY_PAGE) {
            code = read_dictionary(data, bytes, &page, codec);
        } else if (code == 0 &&
                   (page.type == PARQUET_DATA_PAGE || page.type == PARQUET_DATA_PAGE_V2)) {
            int64_t outside = rows_outside(data, &page, &rows);
            if (outside >= 0)
                rows.next += (uint64_t)outside;
            else
                code = read_data_page(data, bytes, &page, codec, &rows);
        }
        if (code < 0) {
            error_context("page %u (byte %llu of what was read)", number, (unsigned long long)at);
            return code;
        }
        size_t size = (size_t)page.header_size + page.compressed_size;
        at += size;
        bytes = slice_part(bytes, size, SIZE_MAX);
    }
    return 0;
}

void leaf_data_free(struct leaf_data *data)
{
    leaf_values_free(&data->values);
    leaf_values_free(&data->dictionary);
    block_release(data->definitions);
    block_release(data->repetitions);
    block_release(data->scratch);
    block_release(data->indices);
    data->definitions = data->repetitions = data->scratch = data->indices = NULL;
}
