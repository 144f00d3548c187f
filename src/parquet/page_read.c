/*
 * page_read.c: a page's header, checksum and decompression.
 *
 * Every size that a header claims is checked against the bytes at hand (compressed) or a limit and
 * the budget (uncompressed) before memory is taken. The checksum is CRC32 over the page's body as
 * it lies in the file; pages without one are taken as they are. In v2 pages the levels stand
 * uncompressed before the values. https://parquet.apache.org/docs/file-format/data-pages/
 */
#include "base/hash.h"
#include "parquet/parquet_read_int.h"

/* ---- headers ---- */

static int size_field(struct thrift_cursor *cursor, int type, int64_t max, int64_t *out)
{
    TRY(thrift_integer(cursor, type, out));
    if (*out < 0 || *out > max)
        return error_set(GLIS_ECORRUPT, "a page header says %lld", (long long)*out);
    return 0;
}

static int read_data_header(struct thrift_cursor *cursor, bool v2, struct page *out)
{
    int id = 0, type;
    int64_t number;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        if (id == 1) {
            TRY(size_field(cursor, type, INT32_MAX, &out->n_values));
        } else if (v2 && id == 2) {
            TRY(size_field(cursor, type, INT32_MAX, &out->n_nulls));
        } else if (v2 && id == 3) {
            TRY(size_field(cursor, type, INT32_MAX, &out->n_rows));
        } else if (id == (v2 ? 4 : 2)) {
            TRY(size_field(cursor, type, INT32_MAX, &number));
            out->encoding = (int)number;
        } else if (id == (v2 ? 5 : 3)) {
            TRY(size_field(cursor, type, PARQUET_PAGE_BYTES_MAX, &number));
            if (v2)
                out->definition_size = (uint32_t)number;
            else
                out->definition_encoding = (int)number;
        } else if (id == (v2 ? 6 : 4)) {
            TRY(size_field(cursor, type, PARQUET_PAGE_BYTES_MAX, &number));
            if (v2)
                out->repetition_size = (uint32_t)number;
            else
                out->repetition_encoding = (int)number;
        } else if (v2 && id == 7) {
            TRY(thrift_boolean(cursor, type, &out->is_compressed));
        } else {
            TRY(thrift_skip(cursor, type));
        }
    }
}

static int read_dictionary_header(struct thrift_cursor *cursor, struct page *out)
{
    int id = 0, type;
    int64_t number;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        if (id == 1) {
            TRY(size_field(cursor, type, INT32_MAX, &out->n_values));
        } else if (id == 2) {
            TRY(size_field(cursor, type, INT32_MAX, &number));
            out->encoding = (int)number;
        } else {
            TRY(thrift_skip(cursor, type));
        }
    }
}

static int read_header(struct thrift_cursor *cursor, struct page *out)
{
    int id = 0, type;
    int64_t number;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        switch (id) {
        case 1:
            TRY(size_field(cursor, type, INT32_MAX, &number));
            out->type = (int)number;
            break;
        case 2:
            TRY(size_field(cursor, type, PARQUET_PAGE_BYTES_MAX, &number));
            out->uncompressed_size = (uint32_t)number;
            break;
        case 3:
            TRY(size_field(cursor, type, PARQUET_PAGE_BYTES_MAX, &number));
            out->compressed_size = (uint32_t)number;
            break;
        case 4:
            TRY(thrift_integer(cursor, type, &number));
            out->checksum = (uint32_t)number;
            out->has_checksum = true;
            break;
        case 5:
            if (type != THRIFT_STRUCT) return error_set(GLIS_ECORRUPT, "a bad page header");
            TRY(read_data_header(cursor, false, out));
            break;
        case 7:
            if (type != THRIFT_STRUCT) return error_set(GLIS_ECORRUPT, "a bad page header");
            TRY(read_dictionary_header(cursor, out));
            break;
        case 8:
            if (type != THRIFT_STRUCT) return error_set(GLIS_ECORRUPT, "a bad page header");
            TRY(read_data_header(cursor, true, out));
            break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
}

int page_header_read(struct slice bytes, bool header_only, struct page *out)
{
    const uint8_t *begin = (const uint8_t *)bytes.data;
    size_t size =
        bytes.size < PARQUET_PAGE_HEADER_BYTES_MAX ? bytes.size : PARQUET_PAGE_HEADER_BYTES_MAX;
    struct thrift_cursor cursor = {begin, begin + size};
    *out = (struct page){.type = -1,
                         .encoding = -1,
                         .n_values = -1,
                         .n_rows = -1,
                         .n_nulls = -1,
                         .is_compressed = true,
                         .definition_encoding = PARQUET_RLE,
                         .repetition_encoding = PARQUET_RLE};
    TRY_CONTEXT(read_header(&cursor, out), "page header");
    out->header_size = (uint32_t)(cursor.next - begin);
    if (out->type < 0) return error_set(GLIS_ECORRUPT, "a page without a type");
    if (!header_only && out->compressed_size > bytes.size - out->header_size)
        return error_set(GLIS_ECORRUPT, "a page of %u bytes where %zu are left",
                         out->compressed_size, bytes.size - out->header_size);
    bool known = out->type == PARQUET_DATA_PAGE || out->type == PARQUET_DATA_PAGE_V2 ||
                 out->type == PARQUET_DICTIONARY_PAGE;
    if (known && (out->n_values < 0 || out->encoding < 0))
        return error_set(GLIS_ECORRUPT, "a page without a count of values");
    if (out->type == PARQUET_DATA_PAGE_V2 && (out->n_rows < 0 || out->n_rows > out->n_values))
        return error_set(GLIS_ECORRUPT, "a page of %lld values has %lld rows",
                         (long long)out->n_values, (long long)out->n_rows);
    return 0;
}

/* ---- bodies ---- */

static int scratch_room(struct block **scratch, uint64_t size, struct budget *budget)
{
    if (*scratch && (*scratch)->size >= size) return 0;
    block_release(*scratch);
    *scratch = NULL;
    return block_new(scratch, budget, size + size / 4 + 256);
}

int page_body_read(struct slice bytes, const struct page *page, int codec, struct budget *budget,
                   struct block **scratch, struct slice *out)
{
    struct slice body = slice_part(bytes, page->header_size, page->compressed_size);
    uint32_t levels = 0;
    if (page->has_checksum && hash_crc32(0, body.data, body.size) != page->checksum)
        return error_set(GLIS_ECORRUPT, "a page's checksum is wrong");
    if (page->type == PARQUET_DATA_PAGE_V2) {
        uint64_t both = (uint64_t)page->definition_size + page->repetition_size;
        if (both > body.size || both > page->uncompressed_size)
            return error_set(GLIS_ECORRUPT, "a page's levels are larger than the page");
        levels = (uint32_t)both;
    }
    if (codec == PARQUET_UNCOMPRESSED ||
        (page->type == PARQUET_DATA_PAGE_V2 && !page->is_compressed)) {
        if (page->compressed_size != page->uncompressed_size)
            return error_set(GLIS_ECORRUPT, "an uncompressed page has two sizes");
        *out = body;
        return 0;
    }
    TRY(scratch_room(scratch, page->uncompressed_size, budget));
    uint8_t *to = (*scratch)->data;
    if (levels) memcpy(to, body.data, levels);
    *out = slice_make(to, page->uncompressed_size);
    if (page->uncompressed_size == levels) return 0;
    return codec_decompress(codec, slice_part(body, levels, SIZE_MAX), to + levels,
                            page->uncompressed_size - levels);
}
