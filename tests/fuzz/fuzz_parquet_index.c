/*
 * fuzz_parquet_index.c: the small structures beside the pages, without a file around them: a bloom
 * filter's header with its blocks, and the page index of a chunk. The first bytes choose:
 *
 *   0: physical type (low 3 bits), 8 added: it may be null, 16: a list, 32: of integers unsigned
 *   1: rows of the row group / 4    2: bytes of the offset index, the rest is the column index
 *   3: type length
 */
#include "fuzz.h"

#include "parquet/parquet_read_int.h"

enum { HEAD = 4, CHUNK_BYTES = 1 << 20 };

static void read_bloom(struct slice in)
{
    struct bloom_header header;
    if (bloom_header_read(in, &header) < 0) {
        error_clear();
        return;
    }
    ASSERT(header.header_size <= in.size && header.size % 32 == 0);
    if (in.size - header.header_size < header.size) return;
    struct block block = {.size = in.size};
    struct parquet_bloom bloom = {.block = &block,
                                  .blocks = (const uint8_t *)in.data + header.header_size,
                                  .size = header.size};
    for (uint64_t hash = 1; hash; hash *= 2)
        (void)parquet_bloom_has(&bloom, hash - 1);
}

static void read_index(const uint8_t *head, struct slice in)
{
    static const enum type_kind kinds[] = {TYPE_BOOLEAN,   TYPE_INT32,      TYPE_INT64,
                                           TYPE_TIMESTAMP, TYPE_FLOAT,      TYPE_DOUBLE,
                                           TYPE_STRING,    TYPE_FIXED_BYTES};
    struct type type = {.kind = kinds[head[0] & 7]};
    if (head[0] & 32 && type.kind == TYPE_INT32) type.kind = TYPE_UINT32;
    if (head[0] & 32 && type.kind == TYPE_INT64) type.kind = TYPE_UINT64;
    struct parquet_leaf leaf = {.type = head[0] & 7,
                                .type_length = head[3] ? head[3] : 1,
                                .max_definition = (head[0] >> 3 & 1) + (head[0] >> 4 & 1),
                                .max_repetition = head[0] >> 4 & 1,
                                .leaf_type = &type,
                                .path = SLICE("p")};
    struct parquet_chunk chunk = {.start = 4, .compressed_bytes = CHUNK_BYTES};
    struct parquet_row_group group = {.n_rows = 4u * head[1], .chunks = &chunk};
    struct slice offsets = slice_part(in, 0, head[2]), columns = slice_part(in, head[2], in.size);
    struct arena arena = ARENA_EMPTY;
    struct parquet_page_index index;
    int code = parquet_page_index_read(offsets, columns, &group, &chunk, &leaf, CHUNK_BYTES + 100,
                                       &arena, &index);
    if (code < 0) error_clear();
    for (uint32_t p = 0; code == 0 && p < index.n_pages; p++) {
        uint64_t end = p + 1 < index.n_pages ? index.pages[p + 1].first_row : group.n_rows;
        ASSERT(index.pages[p].first_row <= end);
        ASSERT(index.pages[p].offset + index.pages[p].size <= CHUNK_BYTES + 100);
        struct value value;
        const struct parquet_statistics *s = index.has_statistics ? &index.statistics[p] : NULL;
        if (s && s->has_min) ASSERT(parquet_statistic_value(&leaf, s->min, &arena, &value) == 0);
        if (s && s->has_max) ASSERT(parquet_statistic_value(&leaf, s->max, &arena, &value) == 0);
    }
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD) return 0;
    struct slice in = slice_make(data + HEAD, size - HEAD);
    read_bloom(in);
    read_index(data, in);
    return 0;
}
