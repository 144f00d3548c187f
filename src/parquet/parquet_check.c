/*
 * parquet_check.c: everything that a file says about its rows, against the rows.
 *
 * Chunk by chunk: all pages are walked (headers, checksums, decompression), then the chunk is
 * decoded as a whole, and what was found is compared with what is said: counts of values, rows
 * and nulls in page headers, chunk and row group; sizes; the list of encodings; places and first
 * rows in the offset index; null counts, null pages, bounds and their order in the column index;
 * bounds of the chunk; bytes and levels of the size statistics. Bounds must hold for every value,
 * and where they are called exact, occur.
 * Every value must be in the bloom filter. That a row group is sorted is checked for the columns
 * that it names.
 *
 * Each problem is one line of text for the caller; what cannot be decoded any further is left.
 * Memory: one chunk, encoded and decoded, within the budget.
 */
#include "parquet/parquet_int.h"

#include <stdarg.h>
#include <stdio.h>

enum { HEADER_LACKS_MAX = 100 };

struct page_seen {
    uint64_t offset, entries, values, rows; /* as found; offset in the file */
    int64_t said_nulls, said_rows;          /* -1: not said */
    uint64_t first_row, first_entry, first_value;
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
    struct page_seen *pages;
    uint32_t n_pages, room;
    uint32_t encodings;
    uint64_t page_bytes, plain_bytes, chunk_problems;
    struct leaf_data data;
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
    return check->out->found(check->out->state, &problem);
}

#define SAY(check, page, ...) TRY(tell(check, page, __VA_ARGS__))

/* A failure of the file becomes a problem; others (memory, limits, reading) end the check. */
static int tell_failure(struct check *check, int64_t page, int code)
{
    if (code != GLIS_ECORRUPT && code != GLIS_EUNSUPPORTED) return code;
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

/* Value i of the chunk, as bound_compare takes it. */
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

/* Values [first, first + n) against bounds. */
static int check_bounds(struct check *check, int64_t page, const struct parquet_statistics *said,
                        uint64_t first, uint64_t n)
{
    if (check->order == ORDER_NONE || !(said->has_min || said->has_max)) return 0;
    bool texts = check->order == ORDER_BYTES, min_met = false, max_met = false, any = false;
    const uint8_t *min = texts ? (const uint8_t *)&said->min : (const uint8_t *)said->min.data;
    const uint8_t *max = texts ? (const uint8_t *)&said->max : (const uint8_t *)said->max.data;
    for (uint64_t i = first; i < first + n; i++) {
        struct slice text;
        const uint8_t *value = value_at(check, i, &text);
        if (is_nan(check, value)) continue;
        any = true;
        int low = said->has_min ? bound_compare(check->order, check->stride, value, min) : 1;
        int high = said->has_max ? bound_compare(check->order, check->stride, value, max) : -1;
        min_met |= low == 0;
        max_met |= high == 0;
        if (low < 0 || high > 0) {
            SAY(check, page, "value %llu is %s what the statistics call the %s",
                (unsigned long long)i, low < 0 ? "below" : "above", low < 0 ? "least" : "greatest");
            return 0;
        }
    }
    if (any && said->has_min && said->min_exact && !min_met)
        SAY(check, page, "the least value is not the one that the statistics say");
    if (any && said->has_max && said->max_exact && !max_met)
        SAY(check, page, "the greatest value is not the one that the statistics say");
    return 0;
}

/* Below lists some writers count an empty or missing list as a null, as the format has it, and some
 * do not. */
static bool nulls_fit(const struct check *check, int64_t said, uint64_t nulls)
{
    return check->leaf->max_repetition ? (uint64_t)said <= nulls : (uint64_t)said == nulls;
}

/* ---- pages ---- */

static struct page_seen *add_page(struct check *check)
{
    if (check->n_pages == check->room) {
        uint32_t room = check->room ? check->room * 2 : 64;
        struct page_seen *grown = ARENA_ARRAY(&check->arena, struct page_seen, room);
        if (check->n_pages) memcpy(grown, check->pages, check->n_pages * sizeof *grown);
        check->pages = grown;
        check->room = room;
    }
    struct page_seen *page = &check->pages[check->n_pages++];
    *page = (struct page_seen){0};
    return page;
}

/* Headers, checksums and bodies of all pages. */
static int walk_pages(struct check *check, struct slice bytes)
{
    struct block *scratch = NULL;
    int64_t number = 0;
    int code = 0;
    uint64_t total = bytes.size, entries = 0;
    while (code == 0 && bytes.size > 0 && entries < (uint64_t)check->chunk->n_values) {
        struct page page;
        struct slice body;
        code = page_header_read(bytes, false, &page);
        if (code < 0) {
            code = tell_failure(check, number, code);
            break;
        }
        check->page_bytes += page.header_size + (uint64_t)page.compressed_size;
        check->plain_bytes += page.header_size + (uint64_t)page.uncompressed_size;
        bool data = page.type == PARQUET_DATA_PAGE || page.type == PARQUET_DATA_PAGE_V2;
        if (data || page.type == PARQUET_DICTIONARY_PAGE) {
            check->encodings |= page.encoding < 32 ? 1u << page.encoding : 0;
            code = page_body_read(bytes, &page, check->chunk->codec, check->reader->budget,
                                  &scratch, &body);
            if (code < 0) code = tell_failure(check, number, code);
        }
        if (data) {
            struct page_seen *seen = add_page(check);
            seen->offset = check->chunk->start + (total - bytes.size);
            seen->entries = (uint64_t)page.n_values;
            entries += seen->entries;
            seen->said_nulls = page.n_nulls;
            seen->said_rows = page.n_rows;
        }
        bytes = slice_part(bytes, (size_t)page.header_size + page.compressed_size, SIZE_MAX);
        number++;
    }
    check->out->n_pages += (uint64_t)number;
    block_release(scratch);
    return code;
}

/* What each page holds, by the chunk's levels. */
static void count_pages(struct check *check)
{
    const struct leaf_data *data = &check->data;
    uint64_t entry = 0, value = 0, row = 0;
    for (uint32_t p = 0; p < check->n_pages; p++) {
        struct page_seen *page = &check->pages[p];
        page->first_entry = entry;
        page->first_value = value;
        uint64_t end = entry + page->entries;
        if (end > (uint64_t)data->n_entries) end = (uint64_t)data->n_entries;
        for (; entry < end; entry++) {
            if (!data->repetitions || data->repetitions->data[entry] == 0) page->rows++;
            if (!data->definitions || data->definitions->data[entry] == check->leaf->max_definition)
                page->values++;
        }
        page->first_row = row;
        value += page->values;
        row += page->rows;
    }
}

static int check_headers(struct check *check)
{
    for (uint32_t p = 0; p < check->n_pages; p++) {
        const struct page_seen *page = &check->pages[p];
        uint64_t nulls = page->entries - page->values;
        if (page->said_nulls >= 0 && !nulls_fit(check, page->said_nulls, nulls))
            SAY(check, p, "its header says %lld nulls, there are %llu", (long long)page->said_nulls,
                (unsigned long long)nulls);
        if (page->said_rows >= 0 && (uint64_t)page->said_rows != page->rows)
            SAY(check, p, "its header says %lld rows, there are %llu", (long long)page->said_rows,
                (unsigned long long)page->rows);
    }
    return 0;
}

/* ---- sizes ---- */

/* Bytes of the texts of values [first, first + n). */
static uint64_t text_bytes(const struct check *check, uint64_t first, uint64_t n)
{
    const struct leaf_values *values = &check->data.values;
    if (values->width || n == 0) return 0;
    const int32_t *offsets = (const int32_t *)(const void *)values->offsets->data;
    return (uint64_t)(offsets[first + n] - offsets[first]);
}

/* How often each level occurs among n entries, against what is said (NULL: nothing). */
static int check_levels(struct check *check, int64_t page, const char *kind,
                        const struct block *levels, uint64_t first, uint64_t n, int max,
                        const int64_t *said)
{
    if (!said) return 0;
    for (int level = 0; level <= max; level++) {
        uint64_t found = 0;
        for (uint64_t i = first; i < first + n && levels; i++)
            found += levels->data[i] == level;
        if (!levels && level == 0) found = n;
        if ((uint64_t)said[level] == found) continue;
        SAY(check, page, "the size statistics say %lld times %s level %d, it occurs %llu times",
            (long long)said[level], kind, level, (unsigned long long)found);
        return 0;
    }
    return 0;
}

static int check_text_bytes(struct check *check, int64_t page, int64_t said, uint64_t found)
{
    if (said >= 0 && check->leaf->type == PARQUET_BYTE_ARRAY && (uint64_t)said != found)
        SAY(check, page, "the size statistics say %lld bytes of values, there are %llu",
            (long long)said, (unsigned long long)found);
    return 0;
}

static int check_chunk_sizes(struct check *check)
{
    const struct leaf_data *data = &check->data;
    const struct parquet_sizes *said = &check->chunk->sizes;
    uint64_t n = (uint64_t)data->n_entries;
    if (said->is_malformed) SAY(check, -1, "the size statistics make no sense");
    TRY(check_text_bytes(check, -1, said->text_bytes,
                         text_bytes(check, 0, (uint64_t)data->values.n)));
    TRY(check_levels(check, -1, "repetition", data->repetitions, 0, n, check->leaf->max_repetition,
                     said->repetition_levels));
    return check_levels(check, -1, "definition", data->definitions, 0, n,
                        check->leaf->max_definition, said->definition_levels);
}

static int check_page_sizes(struct check *check, const struct parquet_page_index *index, uint32_t p)
{
    const struct page_seen *page = &check->pages[p];
    int repetition = check->leaf->max_repetition, definition = check->leaf->max_definition;
    const int64_t *repetitions = index->repetition_levels, *definitions = index->definition_levels;
    if (repetitions) repetitions += (size_t)p * ((size_t)repetition + 1);
    if (definitions) definitions += (size_t)p * ((size_t)definition + 1);
    TRY(check_text_bytes(check, p, index->text_bytes ? index->text_bytes[p] : -1,
                         text_bytes(check, page->first_value, page->values)));
    TRY(check_levels(check, p, "repetition", check->data.repetitions, page->first_entry,
                     page->entries, repetition, repetitions));
    return check_levels(check, p, "definition", check->data.definitions, page->first_entry,
                        page->entries, definition, definitions);
}

/* ---- the page index ---- */

static int check_index_page(struct check *check, const struct parquet_page_index *index, uint32_t p)
{
    const struct page_seen *page = &check->pages[p];
    const struct parquet_page_location *said = &index->pages[p];
    if (said->offset != page->offset)
        SAY(check, p, "the offset index says byte %llu, it is at %llu",
            (unsigned long long)said->offset, (unsigned long long)page->offset);
    if (said->first_row != page->first_row)
        SAY(check, p, "the offset index says that row %llu is the first, it is row %llu",
            (unsigned long long)said->first_row, (unsigned long long)page->first_row);
    TRY(check_page_sizes(check, index, p));
    if (!index->has_statistics) return 0;
    const struct parquet_statistics *s = &index->statistics[p];
    uint64_t nulls = page->entries - page->values;
    if (s->has_null_count && !nulls_fit(check, s->null_count, nulls))
        SAY(check, p, "the column index says %lld nulls, there are %llu", (long long)s->null_count,
            (unsigned long long)nulls);
    if (index->null_pages && index->null_pages[p] != (page->values == 0))
        SAY(check, p, "the column index says that %s values, it has %llu",
            index->null_pages[p] ? "it has no" : "it has", (unsigned long long)page->values);
    return check_bounds(check, p, s, page->first_value, page->values);
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

static int check_index(struct check *check)
{
    const struct parquet_page_index *index;
    int code = parquet_reader_page_index(check->reader, check->group, check->leaf_number, &index);
    if (code < 0) return tell_failure(check, -1, code);
    if (!index) return 0;
    if (index->n_pages != check->n_pages) {
        SAY(check, -1, "the page index has %u pages, there are %u", index->n_pages, check->n_pages);
        return 0;
    }
    if (index->sizes_are_malformed)
        SAY(check, -1, "the size statistics of its pages make no sense");
    for (uint32_t p = 0; p < index->n_pages; p++)
        TRY(check_index_page(check, index, p));
    return check_order(check, index);
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

static int check_bloom(struct check *check)
{
    const struct leaf_values *values = &check->data.values;
    struct parquet_bloom bloom;
    if (check->chunk->bloom_offset == 0) return 0;
    int code = bloom_read_all(check->reader, check->group, check->leaf_number,
                              check->reader->budget, &bloom);
    if (code < 0) error_context("the bloom filter");
    if (code < 0) return tell_failure(check, -1, code);
    for (int64_t i = 0; i < values->n && bloom.block && code == 0; i++) {
        struct slice text;
        const uint8_t *value = value_at(check, (uint64_t)i, &text);
        struct slice plain = values->width ? slice_make(value, values->width) : text;
        if (parquet_bloom_has(&bloom, bloom_hash(plain))) continue;
        code = tell(check, -1, "value %lld is not in the bloom filter", (long long)i);
        break;
    }
    parquet_bloom_release(&bloom);
    return code;
}

static int check_decoded(struct check *check, uint64_t group_rows)
{
    const struct leaf_data *data = &check->data;
    const struct parquet_statistics *s = &check->chunk->statistics;
    uint64_t entries = (uint64_t)data->n_entries, values = (uint64_t)data->values.n;
    if (entries != (uint64_t)check->chunk->n_values)
        SAY(check, -1, "the footer says %lld values, there are %llu",
            (long long)check->chunk->n_values, (unsigned long long)entries);
    if ((uint64_t)data->n_rows != group_rows)
        SAY(check, -1, "the row group has %llu rows, the column %lld",
            (unsigned long long)group_rows, (long long)data->n_rows);
    if (s->has_null_count && !nulls_fit(check, s->null_count, entries - values))
        SAY(check, -1, "the statistics say %lld nulls, there are %llu", (long long)s->null_count,
            (unsigned long long)(entries - values));
    if (check->leaf->leaf_type->kind == TYPE_STRING) {
        int code = leaf_texts_check(&data->values);
        if (code < 0) TRY(tell_failure(check, -1, code));
    }
    TRY(check_bloom(check));
    TRY(check_chunk_sizes(check));
    return check_bounds(check, -1, s, 0, values);
}

static int decode_and_compare(struct check *check, struct slice bytes)
{
    const struct parquet_row_group *group = &check->reader->metadata.row_groups[check->group];
    unsigned width = leaf_width(check->leaf);
    check->stride = width;
    check->data = (struct leaf_data){.leaf = check->leaf,
                                     .budget = check->reader->budget,
                                     .codec = check->chunk->codec,
                                     .width = width,
                                     .values = {.width = width},
                                     .bytes = bytes};
    /* One row more than there must be: what is too much shows. */
    int code = leaf_take(&check->data, group->n_rows + 1);
    if (code < 0) return tell_failure(check, -1, code);
    count_pages(check);
    TRY(check_headers(check));
    TRY(check_index(check));
    return check_decoded(check, group->n_rows);
}

static int check_chunk(struct check *check)
{
    struct store_read read;
    check->n_pages = check->room = 0;
    check->pages = NULL;
    check->encodings = 0;
    check->page_bytes = check->plain_bytes = check->chunk_problems = 0;
    check->order = order_of(check->leaf);
    TRY(runtime_check_cancel(check->reader->runtime));
    if (check->chunk->n_values == 0 && check->reader->metadata.row_groups[check->group].n_rows == 0)
        return 0; /* some writers leave a dictionary of nothing there, and some point past it */
    TRY(parquet_read_range(check->reader, check->chunk->start, check->chunk->compressed_bytes,
                           &read));
    struct slice bytes = slice_make(read.data, read.size);
    int code = walk_pages(check, bytes);
    if (code == 0) code = check_sizes(check, read.size);
    if (code == 0 && check->chunk_problems == 0) code = decode_and_compare(check, bytes);
    leaf_data_free(&check->data);
    check->data = (struct leaf_data){0};
    store_read_release(&read, 1);
    return code;
}

/* ---- sorting ---- */

/* How row b comes after row a by the sorting columns: negative when it may not. */
static int compare_sorted(const struct batch *batch, const struct parquet_row_group *group,
                          uint32_t n, int64_t a, int64_t b)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct column *column = &batch->columns[i];
        bool null_a = column_is_null(column, a), null_b = column_is_null(column, b);
        if (null_a && null_b) continue;
        if (null_a || null_b) return null_a == group->sorting[i].nulls_first ? 1 : -1;
        int c = column_compare(column, b, column, a);
        if (c != 0) return group->sorting[i].descending ? -c : c;
    }
    return 0;
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
    struct batch *batch;
    check->leaf = NULL;
    int code = parquet_reader_rows_of(check->reader, check->group, fields, n, 0, group->n_rows,
                                      check->reader->budget, &batch);
    if (code < 0) return tell_failure(check, -1, code);
    for (int64_t row = 1; row < batch->n_rows && code == 0; row++)
        if (compare_sorted(batch, group, n, row - 1, row) < 0) {
            code = tell(check, -1, "row %lld is not where its sorting columns say", (long long)row);
            break;
        }
    batch_release(batch);
    return code;
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
