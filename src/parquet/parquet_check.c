/*
 * parquet_check.c: everything that a file says about its rows, against the rows.
 *
 * Chunk by chunk, twice: first all pages are walked (headers, checksums, decompression), and their
 * sizes and encodings compared with the chunk's; then each page is decoded, a part at a time, and
 * what was found is compared with what is said: counts of values, rows and nulls in page headers,
 * chunk and row group; places and first rows in the offset index; null counts, null pages, bounds
 * and their order in the column index; bounds of the chunk; bytes and levels of the size
 * statistics. Bounds must hold for every value, and where they are called exact, occur. Every value
 * must be in the bloom filter. That a row group is sorted is checked for the columns that it names.
 *
 * Each problem is one line of text for the caller; what cannot be decoded any further is left.
 *
 * Memory, within the budget: a window of the chunk's bytes that holds at least a page, the page
 * that is open, the dictionary, a part of its entries, the chunk's page index, a window of the
 * bloom filter. A chunk that fits into the window is read once. A filter that is larger than its
 * window is compared window by window, and the chunk decoded once for each of them.
 */
#include "parquet/parquet_int.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    HEADER_LACKS_MAX = 100,
    WINDOW_BYTES_MAX = 16 << 20, /* of a chunk */
    WINDOW_BYTES_MIN = 64 << 10,
    FILTER_BYTES_MAX = 16 << 20, /* of a bloom filter, at a time */
    PART_ENTRIES_MAX = 16 << 10, /* decoded at a time */
    PART_BYTES_MAX = 4 << 20,
    SORTED_ROWS_MAX = 16 << 10, /* compared at a time */
};

/* Levels are bytes below 128. */
struct level_counts {
    uint64_t n[128];
};

/* What values are compared with. */
struct bounds_seen {
    const struct parquet_statistics *said;
    bool any, min_met, max_met, is_told;
};

/* What a page or a chunk holds, as far as it has been decoded. */
struct seen {
    int64_t page; /* its number; -1: the chunk */
    uint64_t entries, values, rows, text_bytes;
    struct level_counts repetitions, definitions;
    struct bounds_seen bounds;
};

/* The bytes of the chunk that stand in memory. */
struct chunk_window {
    struct leaf_source source;
    const struct parquet_reader *reader;
    uint64_t window_bytes;
    struct store_read read;
};

/* Blocks [begin, end) of the chunk's bloom filter. */
struct filter_window {
    struct bloom_header header;
    uint64_t n_blocks, begin, end; /* n_blocks 0: there is nothing to compare */
    struct store_read read;
};

struct check {
    struct parquet_reader *reader;
    struct parquet_check *out;
    uint32_t group, leaf_number;
    const struct parquet_leaf *leaf;
    const struct parquet_chunk *chunk;
    enum leaf_order order;
    uint32_t stride;
    struct arena arena; /* of the chunk */
    uint64_t n_pages;   /* data pages */
    uint32_t encodings;
    uint64_t page_bytes, plain_bytes, chunk_problems;
    struct chunk_window window;
    struct filter_window filter;
    struct leaf_data data;
    const struct parquet_page_index *index; /* NULL: none to compare with */
    struct seen of_page, of_chunk;
    uint64_t reserved; /* for the index */
    bool bad_text_told, not_in_filter_told;
    bool is_ended; /* by the caller */
};

/* ---- telling ---- */

static int tell(struct check *check, int64_t page, const char *format, ...) GLIS_PRINTF(3, 4);

static int tell(struct check *check, int64_t page, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    check->out->n_problems++;
    check->chunk_problems++;
    struct parquet_problem problem = {.row_group = check->group,
                                      .column = check->leaf ? check->leaf->path : SLICE_EMPTY,
                                      .page = page,
                                      .text = text};
    int code = check->out->found(check->out->state, &problem);
    check->is_ended = code < 0;
    return code;
}

#define SAY(check, page, ...) TRY(tell(check, page, __VA_ARGS__))

/* A failure of the file becomes a problem; others (memory, limits, reading, what the caller said to
 * a problem) end the check. */
static int tell_failure(struct check *check, int64_t page, int code)
{
    if (check->is_ended || (code != GLIS_ECORRUPT && code != GLIS_EUNSUPPORTED)) return code;
    char text[1024];
    (void)snprintf(text, sizeof text, "%s", error_message());
    error_clear();
    return tell(check, page, "%s", text);
}

/* ---- values ---- */

static enum leaf_order order_of(const struct parquet_leaf *leaf)
{
    enum type_kind kind = leaf->leaf_type->kind;
    switch (leaf->type) {
    case PARQUET_BOOLEAN: return ORDER_BOOLEAN;
    case PARQUET_INT32:
        return kind == TYPE_UINT8 || kind == TYPE_UINT16 || kind == TYPE_UINT32 ? ORDER_UINT32
                                                                                : ORDER_INT32;
    case PARQUET_INT64: return kind == TYPE_UINT64 ? ORDER_UINT64 : ORDER_INT64;
    case PARQUET_FLOAT: return ORDER_FLOAT;
    case PARQUET_DOUBLE: return ORDER_DOUBLE;
    case PARQUET_BYTE_ARRAY:
        if (parquet_leaf_is_geometry(leaf)) return ORDER_NONE;
        return kind == TYPE_DECIMAL || kind == TYPE_DECIMAL256 ? ORDER_NONE : ORDER_BYTES;
    case PARQUET_FIXED_LEN_BYTE_ARRAY:
        if (kind == TYPE_INTERVAL) return ORDER_NONE;
        if (kind == TYPE_FLOAT16) return ORDER_FLOAT16;
        return kind == TYPE_DECIMAL || kind == TYPE_DECIMAL256 ? ORDER_DECIMAL : ORDER_FIXED;
    default: return ORDER_NONE;
    }
}

/* Value i of the part, as bound_compare takes it. */
static const uint8_t *value_at(const struct check *check, uint64_t i, struct slice *text)
{
    const struct leaf_values *values = &check->data.values;
    if (values->width) return values->fixed->data + i * values->width;
    const int32_t *offsets = (const int32_t *)(const void *)values->offsets->data;
    *text = slice_make(values->bytes->data + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
    return (const uint8_t *)text;
}

static bool is_nan(const struct check *check, const uint8_t *value)
{
    float f;
    double d;
    if (check->order == ORDER_FLOAT) return memcpy(&f, value, 4), f != f;
    if (check->order == ORDER_DOUBLE) return memcpy(&d, value, 8), d != d;
    if (check->order == ORDER_FLOAT16)
        return (value[1] & 0x7f) > 0x7c || ((value[1] & 0x7f) == 0x7c && value[0]);
    return false;
}

/* The part's values against bounds; before them the chunk has had `first` values. */
static int look_at_bounds(struct check *check, struct seen *seen, uint64_t first)
{
    struct bounds_seen *bounds = &seen->bounds;
    const struct parquet_statistics *said = bounds->said;
    if (!said || bounds->is_told || check->order == ORDER_NONE) return 0;
    if (!said->has_min && !said->has_max) return 0;
    bool texts = check->order == ORDER_BYTES;
    const uint8_t *min = texts ? (const uint8_t *)&said->min : (const uint8_t *)said->min.data;
    const uint8_t *max = texts ? (const uint8_t *)&said->max : (const uint8_t *)said->max.data;
    for (uint64_t i = 0; i < (uint64_t)check->data.values.n; i++) {
        struct slice text;
        const uint8_t *value = value_at(check, i, &text);
        if (is_nan(check, value)) continue;
        bounds->any = true;
        int low = said->has_min ? bound_compare(check->order, check->stride, value, min) : 1;
        int high = said->has_max ? bound_compare(check->order, check->stride, value, max) : -1;
        bounds->min_met |= low == 0;
        bounds->max_met |= high == 0;
        if (low < 0 || high > 0) {
            bounds->is_told = true;
            SAY(check, seen->page, "value %llu is %s what the statistics call the %s",
                (unsigned long long)(first + i), low < 0 ? "below" : "above",
                low < 0 ? "least" : "greatest");
            return 0;
        }
    }
    return 0;
}

/* After the last value: whether bounds that are called exact have occurred. */
static int end_bounds(struct check *check, const struct seen *seen)
{
    const struct bounds_seen *bounds = &seen->bounds;
    if (!bounds->any || bounds->is_told) return 0;
    if (bounds->said->has_min && bounds->said->min_exact && !bounds->min_met)
        SAY(check, seen->page, "the least value is not the one that the statistics say");
    if (bounds->said->has_max && bounds->said->max_exact && !bounds->max_met)
        SAY(check, seen->page, "the greatest value is not the one that the statistics say");
    return 0;
}

/* Below lists some writers count an empty or missing list as a null, as the format has it, and some
 * do not. */
static bool nulls_fit(const struct check *check, int64_t said, uint64_t nulls)
{
    return check->leaf->max_repetition ? (uint64_t)said <= nulls : (uint64_t)said == nulls;
}

/* ---- pages ---- */

/* What was read last is taken again where it holds enough. */
static int window_refill(struct leaf_source *source, uint64_t at, uint64_t need, struct slice *out)
{
    struct chunk_window *window = (struct chunk_window *)source;
    struct store_read *read = &window->read;
    if (!read->block || at < read->offset || at - read->offset > read->size ||
        need > read->size - (at - read->offset)) {
        uint64_t left = source->end - at;
        uint64_t size = need > window->window_bytes ? need : window->window_bytes;
        store_read_release(read, 1);
        TRY(parquet_read_range(window->reader, at, size < left ? size : left, read));
    }
    *out = slice_part(slice_make(read->data, read->size), (size_t)(at - read->offset), SIZE_MAX);
    return 0;
}

/* To the chunk's first page. */
static void begin_leaf(struct check *check)
{
    const struct parquet_chunk *chunk = check->chunk;
    unsigned width = leaf_width(check->leaf);
    leaf_data_free(&check->data);
    check->window.source = (struct leaf_source){
        .refill = window_refill,
        .begin = chunk->start,
        .end = chunk->start + chunk->compressed_bytes,
    };
    check->data = (struct leaf_data){.leaf = check->leaf,
                                     .budget = check->reader->budget,
                                     .codec = chunk->codec,
                                     .width = width,
                                     .values = {.width = width},
                                     .source = &check->window.source,
                                     .at = chunk->start};
}

/* Headers, checksums and bodies of all pages. */
static int walk_pages(struct check *check)
{
    struct leaf_data *data = &check->data;
    uint64_t entries = 0;
    int64_t number = 0;
    int code = 0;
    begin_leaf(check);
    for (; entries < (uint64_t)check->chunk->n_values; number++) {
        struct page page;
        struct slice body;
        TRY(runtime_check_cancel(check->reader->runtime));
        code = leaf_next_header(data, &page);
        if (code < 0) {
            code = tell_failure(check, number, code);
            break;
        }
        if (data->bytes.size == 0) break;
        check->page_bytes += page.header_size + (uint64_t)page.compressed_size;
        check->plain_bytes += page.header_size + (uint64_t)page.uncompressed_size;
        bool is_data = page.type == PARQUET_DATA_PAGE || page.type == PARQUET_DATA_PAGE_V2;
        if (is_data || page.type == PARQUET_DICTIONARY_PAGE) {
            check->encodings |= page.encoding < 32 ? 1u << page.encoding : 0;
            code = page_body_read(data->bytes, &page, data->codec, data->budget, &data->scratch,
                                  &body);
            if (code < 0) code = tell_failure(check, number, code);
            TRY(code);
        }
        if (is_data) {
            check->n_pages++;
            entries += (uint64_t)page.n_values;
        }
        leaf_pass_page(data, &page);
    }
    check->out->n_pages += (uint64_t)number;
    return code;
}

static int check_header(struct check *check, const struct page *header)
{
    const struct seen *seen = &check->of_page;
    uint64_t nulls = seen->entries - seen->values;
    if (header->n_nulls >= 0 && !nulls_fit(check, header->n_nulls, nulls))
        SAY(check, seen->page, "its header says %lld nulls, there are %llu",
            (long long)header->n_nulls, (unsigned long long)nulls);
    if (header->n_rows >= 0 && (uint64_t)header->n_rows != seen->rows)
        SAY(check, seen->page, "its header says %lld rows, there are %llu",
            (long long)header->n_rows, (unsigned long long)seen->rows);
    return 0;
}

/* ---- sizes ---- */

static void count_levels(const struct block *levels, int64_t n, struct level_counts *page,
                         struct level_counts *chunk)
{
    if (!levels) {
        page->n[0] += (uint64_t)n;
        chunk->n[0] += (uint64_t)n;
        return;
    }
    uint32_t counts[128] = {0}; /* of a part */
    for (int64_t i = 0; i < n; i++)
        counts[levels->data[i] & 127]++;
    for (int level = 0; level < 128; level++) {
        page->n[level] += counts[level];
        chunk->n[level] += counts[level];
    }
}

/* How often each level occurs, against what is said (NULL: nothing). */
static int check_levels(struct check *check, int64_t page, const char *kind,
                        const struct level_counts *found, int max, const int64_t *said)
{
    for (int level = 0; said && level <= max; level++) {
        if ((uint64_t)said[level] == found->n[level]) continue;
        SAY(check, page, "the size statistics say %lld times %s level %d, it occurs %llu times",
            (long long)said[level], kind, level, (unsigned long long)found->n[level]);
        return 0;
    }
    return 0;
}

static int check_sizes_of(struct check *check, const struct seen *seen, int64_t said_bytes,
                          const int64_t *repetitions, const int64_t *definitions)
{
    if (said_bytes >= 0 && check->leaf->type == PARQUET_BYTE_ARRAY &&
        (uint64_t)said_bytes != seen->text_bytes)
        SAY(check, seen->page, "the size statistics say %lld bytes of values, there are %llu",
            (long long)said_bytes, (unsigned long long)seen->text_bytes);
    TRY(check_levels(check, seen->page, "repetition", &seen->repetitions,
                     check->leaf->max_repetition, repetitions));
    return check_levels(check, seen->page, "definition", &seen->definitions,
                        check->leaf->max_definition, definitions);
}

static int check_chunk_sizes(struct check *check)
{
    const struct parquet_sizes *said = &check->chunk->sizes;
    if (said->is_malformed) SAY(check, -1, "the size statistics make no sense");
    return check_sizes_of(check, &check->of_chunk, said->text_bytes, said->repetition_levels,
                          said->definition_levels);
}

static int check_page_sizes(struct check *check, const struct parquet_page_index *index)
{
    size_t p = (size_t)check->of_page.page;
    const int64_t *repetitions = index->repetition_levels, *definitions = index->definition_levels;
    if (repetitions) repetitions += p * ((size_t)check->leaf->max_repetition + 1);
    if (definitions) definitions += p * ((size_t)check->leaf->max_definition + 1);
    return check_sizes_of(check, &check->of_page, index->text_bytes ? index->text_bytes[p] : -1,
                          repetitions, definitions);
}

/* ---- the page index ---- */

/* The page that was decoded last, which begins at `offset` with row `first_row`. */
static int check_index_page(struct check *check, uint64_t offset, uint64_t first_row)
{
    const struct parquet_page_index *index = check->index;
    const struct seen *seen = &check->of_page;
    int64_t p = seen->page;
    if (!index) return 0;
    const struct parquet_page_location *said = &index->pages[p];
    if (said->offset != offset)
        SAY(check, p, "the offset index says byte %llu, it is at %llu",
            (unsigned long long)said->offset, (unsigned long long)offset);
    if (said->first_row != first_row)
        SAY(check, p, "the offset index says that row %llu is the first, it is row %llu",
            (unsigned long long)said->first_row, (unsigned long long)first_row);
    TRY(check_page_sizes(check, index));
    if (!index->has_statistics) return 0;
    const struct parquet_statistics *s = &index->statistics[p];
    uint64_t nulls = seen->entries - seen->values;
    if (s->has_null_count && !nulls_fit(check, s->null_count, nulls))
        SAY(check, p, "the column index says %lld nulls, there are %llu", (long long)s->null_count,
            (unsigned long long)nulls);
    if (index->null_pages && index->null_pages[p] != (seen->values == 0))
        SAY(check, p, "the column index says that %s values, it has %llu",
            index->null_pages[p] ? "it has no" : "it has", (unsigned long long)seen->values);
    return end_bounds(check, seen);
}

/* Whether bounds ascend (descend) over the pages as the index says. */
static int check_order(struct check *check, const struct parquet_page_index *index)
{
    const struct parquet_statistics *last = NULL;
    bool texts = check->order == ORDER_BYTES;
    if (!index->has_statistics || check->order == ORDER_NONE) return 0;
    if (index->boundary_order != 1 && index->boundary_order != 2) return 0;
    int sign = index->boundary_order == 1 ? 1 : -1;
    for (uint32_t p = 0; p < index->n_pages; p++) {
        const struct parquet_statistics *s = &index->statistics[p];
        if (!s->has_min || !s->has_max) continue;
        if (last) {
            const struct slice *pairs[2][2] = {{&last->min, &s->min}, {&last->max, &s->max}};
            for (int i = 0; i < 2; i++) {
                const struct slice *a = pairs[i][0], *b = pairs[i][1];
                int c = bound_compare(check->order, check->stride,
                                      texts ? (const uint8_t *)a : (const uint8_t *)a->data,
                                      texts ? (const uint8_t *)b : (const uint8_t *)b->data);
                if (c * sign > 0) {
                    SAY(check, p, "bounds do not %s as the column index says",
                        sign > 0 ? "ascend" : "descend");
                    return 0;
                }
            }
        }
        last = s;
    }
    return 0;
}

/* The chunk's page index, and what can be said of it as a whole. */
static int open_index(struct check *check)
{
    const struct parquet_page_index *index;
    int code = parquet_page_index_load(check->reader, check->group, check->leaf_number,
                                       &check->arena, &index);
    uint64_t bytes = check->arena.total_bytes;
    if (code == 0 && check->reader->budget) code = budget_reserve(check->reader->budget, bytes);
    if (code == 0 && check->reader->budget) check->reserved = bytes;
    if (code < 0) return tell_failure(check, -1, code);
    if (!index) return 0;
    if (index->n_pages != check->n_pages) {
        SAY(check, -1, "the page index has %u pages, there are %llu", index->n_pages,
            (unsigned long long)check->n_pages);
        return 0;
    }
    if (index->sizes_are_malformed)
        SAY(check, -1, "the size statistics of its pages make no sense");
    check->index = index;
    return check_order(check, index);
}

/* ---- bloom filters ---- */

static int open_filter(struct check *check)
{
    struct filter_window *filter = &check->filter;
    if (check->chunk->bloom_offset == 0) return 0;
    int code = bloom_find(check->reader, check->group, check->leaf_number, &filter->header);
    if (code < 0) error_context("the bloom filter");
    if (code < 0) return tell_failure(check, -1, code);
    if (filter->header.is_known) filter->n_blocks = filter->header.size / BLOOM_BLOCK_BYTES;
    return 0;
}

/* The blocks that follow those at hand. */
static int next_filter_window(struct check *check)
{
    struct filter_window *filter = &check->filter;
    uint64_t most = budget_left(check->reader->budget) / 8, n = filter->n_blocks - filter->end;
    store_read_release(&filter->read, 1);
    if (most > FILTER_BYTES_MAX) most = FILTER_BYTES_MAX;
    if (most < WINDOW_BYTES_MIN) most = WINDOW_BYTES_MIN;
    if (n > most / BLOOM_BLOCK_BYTES) n = most / BLOOM_BLOCK_BYTES;
    filter->begin = filter->end;
    filter->end += n;
    if (n == 0) return 0;
    return parquet_read_range(check->reader,
                              check->chunk->bloom_offset + filter->header.header_size +
                                  filter->begin * BLOOM_BLOCK_BYTES,
                              n * BLOOM_BLOCK_BYTES, &filter->read);
}

/* The part's values, those whose blocks are at hand. */
static int look_in_filter(struct check *check, uint64_t first)
{
    const struct filter_window *filter = &check->filter;
    const struct leaf_values *values = &check->data.values;
    if (filter->n_blocks == 0 || check->not_in_filter_told) return 0;
    for (uint64_t i = 0; i < (uint64_t)values->n; i++) {
        struct slice text;
        const uint8_t *value = value_at(check, i, &text);
        uint64_t hash = bloom_hash(values->width ? slice_make(value, values->width) : text);
        uint64_t block = bloom_block_of(hash, filter->n_blocks);
        if (block < filter->begin || block >= filter->end) continue;
        if (bloom_block_has(filter->read.data + (block - filter->begin) * BLOOM_BLOCK_BYTES, hash))
            continue;
        check->not_in_filter_told = true;
        SAY(check, -1, "value %llu is not in the bloom filter", (unsigned long long)(first + i));
        return 0;
    }
    return 0;
}

/* ---- chunks ---- */

static int check_sizes(struct check *check, uint64_t bytes)
{
    const struct parquet_chunk *chunk = check->chunk;
    /* Early versions of parquet-mr did not count the dictionary page's header (metadata_read.c). */
    bool lacks = check->page_bytes <= bytes && bytes - check->page_bytes <= HEADER_LACKS_MAX &&
                 slice_starts_with(check->reader->metadata.created_by, SLICE("parquet-mr"));
    if (check->page_bytes != bytes && !lacks)
        SAY(check, -1, "the footer says %llu bytes, the pages have %llu", (unsigned long long)bytes,
            (unsigned long long)check->page_bytes);
    if (chunk->uncompressed_bytes != check->plain_bytes && !lacks)
        SAY(check, -1, "the footer says %llu bytes before compression, the pages have %llu",
            (unsigned long long)chunk->uncompressed_bytes, (unsigned long long)check->plain_bytes);
    uint32_t missing = check->encodings & ~chunk->encodings;
    /* Dictionaries are PLAIN and their indices PLAIN_DICTIONARY or RLE_DICTIONARY by turns. */
    const uint32_t dictionaries = 1u << PARQUET_PLAIN_DICTIONARY | 1u << PARQUET_RLE_DICTIONARY;
    if (chunk->encodings & dictionaries) missing &= ~(dictionaries | 1u << PARQUET_PLAIN);
    for (int e = 0; e < 32; e++)
        if (missing >> e & 1)
            SAY(check, -1, "a page has the encoding %s, which the footer does not list",
                parquet_encoding_name(e));
    return 0;
}

/* ---- decoding ---- */

/* Entries that are decoded at a time: the longest value of the dictionary may stand for each. */
static int64_t part_entries(const struct check *check)
{
    const struct leaf_values *dictionary = &check->data.dictionary;
    uint64_t longest = check->data.width, most = budget_left(check->data.budget) / 8;
    if (most > PART_BYTES_MAX) most = PART_BYTES_MAX;
    if (check->data.has_dictionary && check->data.width == 0 && dictionary->offsets) {
        const int32_t *offsets = (const int32_t *)(const void *)dictionary->offsets->data;
        for (int64_t i = 0; i < dictionary->n; i++)
            if ((uint64_t)(offsets[i + 1] - offsets[i]) > longest)
                longest = (uint64_t)(offsets[i + 1] - offsets[i]);
    }
    uint64_t n = longest ? most / longest : PART_ENTRIES_MAX;
    return n < 1 ? 1 : n > PART_ENTRIES_MAX ? PART_ENTRIES_MAX : (int64_t)n;
}

/* What was decoded last, of the page that is open. */
static int look_at_part(struct check *check)
{
    const struct leaf_data *data = &check->data;
    uint64_t n = (uint64_t)data->values.n, first = check->of_chunk.values;
    struct seen *both[2] = {&check->of_page, &check->of_chunk};
    for (int i = 0; i < 2; i++) {
        TRY(look_at_bounds(check, both[i], first));
        both[i]->entries += (uint64_t)data->n_entries;
        both[i]->rows += (uint64_t)data->n_rows;
        both[i]->values += n;
        if (!data->values.width && n)
            both[i]->text_bytes +=
                (uint64_t)((const int32_t *)(const void *)data->values.offsets->data)[n];
    }
    count_levels(data->repetitions, data->n_entries, &check->of_page.repetitions,
                 &check->of_chunk.repetitions);
    count_levels(data->definitions, data->n_entries, &check->of_page.definitions,
                 &check->of_chunk.definitions);
    if (check->leaf->leaf_type->kind == TYPE_STRING && !check->bad_text_told) {
        int code = leaf_texts_check(&data->values);
        check->bad_text_told = code < 0;
        if (code < 0) TRY(tell_failure(check, -1, code));
    }
    return look_in_filter(check, first);
}

/* The entries of the page that is open. */
static int decode_page(struct check *check, int64_t part, bool filter_only)
{
    struct leaf_data *data = &check->data;
    while (data->page.at < data->page.n_entries) {
        leaf_output_rewind(data);
        TRY(leaf_take_entries(data, part));
        if (!filter_only) {
            TRY(look_at_part(check));
            continue;
        }
        TRY(look_in_filter(check, check->of_chunk.values));
        check->of_chunk.values += (uint64_t)data->values.n;
    }
    return 0;
}

/* The data pages that were walked, decoded; with filter_only compared with the bloom filter alone.
 * A failure names the page. */
static int decode_pages(struct check *check, bool filter_only)
{
    struct leaf_data *data = &check->data;
    int64_t part = part_entries(check);
    begin_leaf(check);
    for (uint64_t n = 0; n < check->n_pages;) {
        struct page page;
        TRY(runtime_check_cancel(check->reader->runtime));
        uint64_t first_row = check->of_chunk.rows;
        bool bounded = check->index && check->index->has_statistics && !filter_only;
        check->of_page = (struct seen){
            .page = (int64_t)n, .bounds = {.said = bounded ? &check->index->statistics[n] : NULL}};
        int code = leaf_next_header(data, &page);
        if (code == 0 && data->bytes.size == 0)
            return error_set(GLIS_ECORRUPT, "the file has changed while it was read");
        bool is_data =
            code == 0 && (page.type == PARQUET_DATA_PAGE || page.type == PARQUET_DATA_PAGE_V2);
        if (code == 0) code = leaf_open_page(data, &page);
        if (code == 0 && page.type == PARQUET_DICTIONARY_PAGE) part = part_entries(check);
        if (code == 0 && is_data) code = decode_page(check, part, filter_only);
        if (code < 0) {
            error_context("page %u (byte %llu of the file)", data->page_number,
                          (unsigned long long)data->at);
            return code;
        }
        if (is_data && !filter_only) {
            TRY(check_header(check, &page));
            TRY(check_index_page(check, data->at, first_row));
        }
        n += is_data;
        leaf_pass_page(data, &page);
    }
    return 0;
}

static int check_decoded(struct check *check, uint64_t group_rows)
{
    const struct seen *seen = &check->of_chunk;
    const struct parquet_statistics *s = &check->chunk->statistics;
    if (seen->entries != (uint64_t)check->chunk->n_values)
        SAY(check, -1, "the footer says %lld values, there are %llu",
            (long long)check->chunk->n_values, (unsigned long long)seen->entries);
    if (seen->rows != group_rows)
        SAY(check, -1, "the row group has %llu rows, the column %llu",
            (unsigned long long)group_rows, (unsigned long long)seen->rows);
    if (s->has_null_count && !nulls_fit(check, s->null_count, seen->entries - seen->values))
        SAY(check, -1, "the statistics say %lld nulls, there are %llu", (long long)s->null_count,
            (unsigned long long)(seen->entries - seen->values));
    TRY(check_chunk_sizes(check));
    return end_bounds(check, seen);
}

/* A problem that is told is none of the code; what cannot be decoded becomes one. */
static int decode_and_compare(struct check *check)
{
    check->stride = leaf_width(check->leaf);
    check->of_chunk = (struct seen){.page = -1, .bounds = {.said = &check->chunk->statistics}};
    TRY(open_index(check));
    TRY(open_filter(check));
    TRY(next_filter_window(check));
    int code = decode_pages(check, false);
    if (code < 0) return tell_failure(check, -1, code);
    TRY(check_decoded(check, check->reader->metadata.row_groups[check->group].n_rows));
    while (check->filter.end < check->filter.n_blocks && !check->not_in_filter_told) {
        TRY(next_filter_window(check));
        check->of_chunk = (struct seen){.page = -1};
        TRY(decode_pages(check, true));
    }
    return 0;
}

static int check_chunk(struct check *check)
{
    uint64_t size = check->chunk->compressed_bytes;
    uint64_t window = budget_left(check->reader->budget) / 8;
    check->n_pages = 0;
    check->encodings = 0;
    check->page_bytes = check->plain_bytes = check->chunk_problems = 0;
    check->order = order_of(check->leaf);
    check->index = NULL;
    check->filter = (struct filter_window){.n_blocks = 0};
    check->bad_text_told = check->not_in_filter_told = false;
    TRY(runtime_check_cancel(check->reader->runtime));
    if (check->chunk->n_values == 0 && check->reader->metadata.row_groups[check->group].n_rows == 0)
        return 0; /* some writers leave a dictionary of nothing there, and some point past it */
    if (window > WINDOW_BYTES_MAX) window = WINDOW_BYTES_MAX;
    if (window < WINDOW_BYTES_MIN) window = WINDOW_BYTES_MIN;
    check->window = (struct chunk_window){.reader = check->reader, .window_bytes = window};
    int code = walk_pages(check);
    if (code == 0) code = check_sizes(check, size);
    if (code == 0 && check->chunk_problems == 0) code = decode_and_compare(check);
    leaf_data_free(&check->data);
    check->data = (struct leaf_data){0};
    store_read_release(&check->window.read, 1);
    store_read_release(&check->filter.read, 1);
    if (check->reserved) budget_release(check->reader->budget, check->reserved);
    check->reserved = 0;
    return code;
}

/* ---- sorting ---- */

/* How row b of a batch comes after row a of the same or another, by the sorting columns: negative
 * when it may not. */
static int compare_sorted(const struct batch *of_a, int64_t a, const struct batch *of_b, int64_t b,
                          const struct parquet_row_group *group)
{
    for (uint32_t i = 0; i < of_a->schema->n_fields; i++) {
        const struct column *x = &of_a->columns[i], *y = &of_b->columns[i];
        bool null_a = column_is_null(x, a), null_b = column_is_null(y, b);
        if (null_a && null_b) continue;
        if (null_a || null_b) return null_a == group->sorting[i].nulls_first ? 1 : -1;
        int c = column_compare(y, b, x, a);
        if (c != 0) return group->sorting[i].descending ? -c : c;
    }
    return 0;
}

/* The rows of a stream, one batch after the other; the one before is kept for its last row. */
static int check_order_of_rows(struct check *check, struct batch_stream *stream,
                               const struct parquet_row_group *group)
{
    struct batch *batch = NULL, *before = NULL;
    int64_t first = 0;
    bool is_told = false;
    int code = 0;
    while (code == 0 && !is_told) {
        code = batch_stream_next(stream, &batch);
        if (code < 0 || !batch) break;
        bool sorted = !before || compare_sorted(before, before->n_rows - 1, batch, 0, group) >= 0;
        int64_t row = 0;
        while (sorted && ++row < batch->n_rows)
            sorted = compare_sorted(batch, row - 1, batch, row, group) >= 0;
        is_told = !sorted;
        if (!sorted)
            code = tell(check, -1, "row %lld is not where its sorting columns say",
                        (long long)(first + row));
        batch_release(before);
        before = batch;
        first += batch->n_rows;
    }
    batch_release(before);
    return code;
}

static int check_sorting(struct check *check)
{
    const struct parquet_metadata *metadata = &check->reader->metadata;
    const struct parquet_row_group *group = &metadata->row_groups[check->group];
    defer_arena struct arena arena = ARENA_EMPTY;
    uint32_t *fields = ARENA_ARRAY(&arena, uint32_t, group->n_sorting + 1), n = 0;
    while (n < group->n_sorting && group->sorting[n].leaf < metadata->n_leaves) {
        uint32_t field = metadata->leaves[group->sorting[n].leaf].field;
        if (check->reader->nodes[field].kind != NODE_LEAF) break;
        fields[n++] = field;
    }
    if (n == 0 || group->n_rows == 0) return 0;
    struct batch_stream *stream = NULL;
    check->leaf = NULL;
    uint64_t row_bytes = 1, most = budget_left(check->reader->budget) / 32;
    for (uint32_t i = 0; i < n; i++)
        row_bytes += group->chunks[group->sorting[i].leaf].uncompressed_bytes / group->n_rows;
    uint64_t rows = most / row_bytes;
    rows = rows < 1 ? 1 : rows > SORTED_ROWS_MAX ? SORTED_ROWS_MAX : rows;
    int code =
        parquet_reader_stream_serial(check->reader, fields, n, group->first_row, group->n_rows,
                                     (int64_t)rows, check->reader->budget, &stream);
    if (code == 0) code = check_order_of_rows(check, stream, group);
    batch_stream_close(stream);
    return code < 0 ? tell_failure(check, -1, code) : 0;
}

int parquet_check(struct parquet_reader *reader, struct parquet_check *out)
{
    const struct parquet_metadata *metadata = &reader->metadata;
    struct check check = {.reader = reader, .out = out};
    uint64_t rows = 0;
    int code = 0;
    arena_init(&check.arena, NULL);
    for (uint32_t g = 0; g < metadata->n_row_groups && code == 0; g++) {
        uint64_t before = out->n_problems;
        check.group = g;
        rows += metadata->row_groups[g].n_rows;
        for (uint32_t l = 0; l < metadata->n_leaves && code == 0; l++) {
            check.leaf_number = l;
            check.leaf = &metadata->leaves[l];
            check.chunk = &metadata->row_groups[g].chunks[l];
            code = check_chunk(&check);
            out->n_chunks++;
            arena_free(&check.arena);
            arena_init(&check.arena, NULL);
        }
        if (code == 0 && out->n_problems == before) code = check_sorting(&check);
    }
    arena_free(&check.arena);
    if (code == 0 && rows != metadata->n_rows) {
        check.leaf = NULL;
        code = tell(&check, -1, "the footer says %llu rows, the row groups have %llu",
                    (unsigned long long)metadata->n_rows, (unsigned long long)rows);
    }
    return code;
}
