/*
 * size_statistics.c: how much is in a chunk and in each of its pages, whatever the encoding: the
 * bytes of its texts, and how often each level occurs (SizeStatistics, and fields 2 of the offset
 * index and 6 and 7 of the column index in parquet.thrift of
 * https://github.com/apache/parquet-format). Planners size memory by them, and see how many nulls,
 * empty lists and elements there are, before any page is read.
 *
 * Written: bytes for BYTE_ARRAY only, each value as often as it occurs, its length's 4 bytes not
 * counted. Repetition levels where the greatest is above 0, definition levels where it is above 1:
 * below, the counts of values and nulls say the same, and the format lets them be left out.
 *
 * Read: what is there, when it has one number for each level and none is negative. Else the list is
 * left out and marked as malformed: files are read without it as well, and only a check tells.
 */
#include "parquet/parquet_int.h"

/* ---- reading ---- */

int parquet_counts_read(struct thrift_cursor *cursor, int type, uint64_t expected,
                        struct arena *arena, const int64_t **out, bool *malformed)
{
    struct thrift_cursor list = *cursor;
    int element;
    uint32_t n;
    void *memory;
    *out = NULL;
    TRY(thrift_skip(cursor, type));
    if (type != THRIFT_LIST) {
        *malformed = true;
        return 0;
    }
    TRY(thrift_list(&list, type, &element, &n));
    if (n == 0 && expected > 0) return 0; /* as if it were not there */
    if (n != expected || (n > 0 && element != THRIFT_I64 && element != THRIFT_I32)) {
        *malformed = true;
        return 0;
    }
    TRY(arena_try_alloc(arena, (size_t)n * sizeof(int64_t) + 1, &memory));
    int64_t *counts = memory;
    bool negative = false;
    for (uint32_t i = 0; i < n; i++) {
        TRY(thrift_integer(&list, element, &counts[i]));
        negative |= counts[i] < 0;
    }
    if (negative)
        *malformed = true;
    else
        *out = counts;
    return 0;
}

int parquet_sizes_read(struct thrift_cursor *cursor, int struct_type,
                       const struct parquet_leaf *leaf, struct arena *arena,
                       struct parquet_sizes *out)
{
    int id = 0, type;
    uint64_t n_repetition = (uint64_t)leaf->max_repetition + 1;
    uint64_t n_definition = (uint64_t)leaf->max_definition + 1;
    *out = (struct parquet_sizes){.text_bytes = -1};
    if (struct_type != THRIFT_STRUCT) {
        out->is_malformed = true;
        return thrift_skip(cursor, struct_type);
    }
    for (;;) {
        bool *malformed = &out->is_malformed;
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        if (id == 1 && (type == THRIFT_I64 || type == THRIFT_I32)) {
            TRY(thrift_integer(cursor, type, &out->text_bytes));
            if (out->text_bytes < 0) *malformed = true;
        } else if (id == 2) {
            TRY(parquet_counts_read(cursor, type, n_repetition, arena, &out->repetition_levels,
                                    malformed));
        } else if (id == 3) {
            TRY(parquet_counts_read(cursor, type, n_definition, arena, &out->definition_levels,
                                    malformed));
        } else {
            TRY(thrift_skip(cursor, type));
        }
    }
}

/* ---- writing ---- */

void chunk_sizes_begin(const struct write_leaf *leaf, struct chunk_record *out)
{
    out->has_text_bytes = leaf->type == PARQUET_BYTE_ARRAY;
    out->n_repetition_counts = leaf->max_repetition > 0 ? (unsigned)leaf->max_repetition + 1 : 0;
    out->n_definition_counts = leaf->max_definition > 1 ? (unsigned)leaf->max_definition + 1 : 0;
}

/* How many of n levels are at least `level`. */
static int64_t count_at_least(const uint8_t *levels, int64_t n, int level)
{
    const struct decode_kernels *kernels = decode_kernels();
    uint8_t rest[64] = {0};
    int64_t count = 0, i = 0;
    for (; i + 64 <= n; i += 64)
        count += __builtin_popcountll(kernels->levels_at_least(levels + i, level));
    if (i < n) memcpy(rest, levels + i, (size_t)(n - i));
    return count + __builtin_popcountll(kernels->levels_at_least(rest, level));
}

static int append_counts(struct buffer *out, const struct buffer *levels, int64_t first, int64_t n,
                         unsigned n_counts)
{
    int64_t counts[LEVELS_MAX] = {0}, left = n;
    ASSERT(n_counts <= LEVELS_MAX);
    for (unsigned level = 0; level < n_counts; level++) {
        int64_t above = n > 0 && level + 1 < n_counts
                            ? count_at_least(levels->data + first, n, (int)level + 1)
                            : 0;
        counts[level] = left - above;
        left = above;
    }
    return n_counts ? buffer_append(out, counts, n_counts * sizeof *counts) : 0;
}

int page_sizes_add(const struct shredded *in, int64_t first_entry, int64_t n_entries,
                   int64_t first_value, int64_t n_values, struct chunk_record *out,
                   int64_t *text_bytes)
{
    *text_bytes = 0;
    if (out->has_text_bytes) {
        const struct slice *texts = (const struct slice *)(const void *)in->values.data;
        for (int64_t i = first_value; i < first_value + n_values; i++)
            *text_bytes += (int64_t)texts[i].size;
    }
    TRY(append_counts(&out->level_counts, &in->repetitions, first_entry, n_entries,
                      out->n_repetition_counts));
    return append_counts(&out->level_counts, &in->definitions, first_entry, n_entries,
                         out->n_definition_counts);
}

/* The counts of a page: those of its repetition levels, then those of its definition levels. */
static const int64_t *counts_of(const struct chunk_record *chunk, uint32_t page)
{
    unsigned n = chunk->n_repetition_counts + chunk->n_definition_counts;
    return (const int64_t *)(const void *)chunk->level_counts.data + (size_t)page * n;
}

/* The list field `id` of n counts from `first` on of each page, page by page, or of their sums. */
static void write_counts(struct thrift_writer *writer, int id, const struct chunk_record *chunk,
                         unsigned first, unsigned n, bool sums)
{
    int64_t all[LEVELS_MAX] = {0};
    if (n == 0) return;
    thrift_write_list(writer, id, THRIFT_I64, sums ? n : n * chunk->n_pages);
    for (uint32_t p = 0; p < chunk->n_pages; p++) {
        const int64_t *counts = counts_of(chunk, p) + first;
        for (unsigned i = 0; i < n; i++) {
            if (!sums) thrift_write_integer_element(writer, counts[i]);
            all[i] += counts[i];
        }
    }
    for (unsigned i = 0; i < n && sums; i++)
        thrift_write_integer_element(writer, all[i]);
}

void write_page_levels(struct thrift_writer *writer, const struct chunk_record *chunk)
{
    unsigned n = chunk->n_repetition_counts;
    write_counts(writer, 6, chunk, 0, n, false);
    write_counts(writer, 7, chunk, n, chunk->n_definition_counts, false);
}

void write_page_text_bytes(struct thrift_writer *writer, const struct chunk_record *chunk)
{
    const struct page_record *pages = (const struct page_record *)(const void *)chunk->pages.data;
    if (!chunk->has_text_bytes) return;
    thrift_write_list(writer, 2, THRIFT_I64, chunk->n_pages);
    for (uint32_t i = 0; i < chunk->n_pages; i++)
        thrift_write_integer_element(writer, pages[i].text_bytes);
}

void write_chunk_sizes(struct thrift_writer *writer, const struct chunk_record *chunk)
{
    const struct page_record *pages = (const struct page_record *)(const void *)chunk->pages.data;
    unsigned n = chunk->n_repetition_counts;
    int64_t bytes = 0;
    if (!chunk->has_text_bytes && n == 0 && chunk->n_definition_counts == 0) return;
    thrift_write_struct(writer, 16);
    for (uint32_t i = 0; i < chunk->n_pages; i++)
        bytes += pages[i].text_bytes;
    if (chunk->has_text_bytes) thrift_write_integer(writer, 1, THRIFT_I64, bytes);
    write_counts(writer, 2, chunk, 0, n, true);
    write_counts(writer, 3, chunk, n, chunk->n_definition_counts, true);
    thrift_write_end(writer);
}
