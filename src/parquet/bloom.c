/*
 * bloom.c: split-block bloom filters, both ways
 * (https://github.com/apache/parquet-format/blob/master/BloomFilter.md).
 *
 * A filter is a row of blocks of 32 bytes. A value's hash (xxHash64 of its PLAIN bytes, seed 0)
 * chooses one block by its upper half, and in each of the block's eight words one bit by its lower
 * half. A value may be there only if all eight are set. Before the blocks stands a header in
 * Thrift, which says how many bytes they have.
 *
 * Filters are made for every value of a chunk, nulls left out, of a size that is a power of two, as
 * the readers of Arrow want it. All hashes are made before the filter, which takes 8 bytes a value
 * meanwhile: so values that repeat side by side, as in sorted columns, do not make it larger, and
 * rows whose pages are copied need not stay decoded. A look at a filter reads its header and one
 * block; who asks more often reads it as a whole (struct parquet_bloom).
 */
#include "base/hash.h"
#include "parquet/parquet_int.h"

#include <math.h>

enum {
    BLOCK_BYTES = BLOOM_BLOCK_BYTES,
    BLOCK_WORDS = 8,
    HEADER_BYTES_MAX = 256,
    PREFETCH_AHEAD = 16,
    FILTER_BYTES_MAX = 128 << 20,
};

static const uint32_t salts[BLOCK_WORDS] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                            0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};

uint64_t bloom_block_of(uint64_t hash, uint64_t n_blocks)
{
    return (hash >> 32) * n_blocks >> 32;
}

static uint32_t bit_of(uint64_t hash, int word)
{
    return UINT32_C(1) << ((uint32_t)hash * salts[word] >> 27);
}

uint64_t bloom_hash(struct slice plain)
{
    return hash_xxh64(plain.data, plain.size, 0);
}

bool bloom_block_has(const uint8_t *block, uint64_t hash)
{
    for (int word = 0; word < BLOCK_WORDS; word++) {
        uint32_t bits;
        memcpy(&bits, block + 4 * word, 4);
        if (!(bits & bit_of(hash, word))) return false;
    }
    return true;
}

/* ---- writing ---- */

bool bloom_fits(enum parquet_type type)
{
    return type != PARQUET_BOOLEAN && type != PARQUET_INT96;
}

/* The least power of two that keeps the rate: a block's eight bits are alike eight filters. */
static uint64_t filter_bytes(uint64_t n_values, double rate)
{
    double bits = -8.0 * (double)n_values / log(1.0 - pow(rate, 1.0 / 8));
    uint64_t bytes = BLOCK_BYTES;
    while (bytes < FILTER_BYTES_MAX && (double)bytes * 8 < bits)
        bytes *= 2;
    return bytes;
}

static int write_header(struct buffer *out, uint64_t bytes)
{
    struct thrift_writer writer;
    thrift_write_begin(&writer, out);
    thrift_write_integer(&writer, 1, THRIFT_I32, (int64_t)bytes);
    for (int id = 2; id <= 4; id++) { /* algorithm, hash, compression: the first of each union */
        thrift_write_struct(&writer, id);
        thrift_write_struct(&writer, 1);
        thrift_write_end(&writer);
        thrift_write_end(&writer);
    }
    return thrift_write_finish(&writer);
}

int bloom_add(struct chunk_job *job, const uint8_t *values, uint64_t n)
{
    const struct write_leaf *leaf = job->leaf;
    TRY(buffer_reserve(&job->hashes, n * sizeof(uint64_t)));
    uint64_t *hashes = (uint64_t *)(void *)(job->hashes.data + job->hashes.size), n_hashes = 0;
    struct slice last = SLICE_EMPTY;
    for (uint64_t i = 0; i < n; i++) {
        struct slice value = chunk_value_bytes(leaf, values + i * leaf->stride);
        if (i > 0 && slice_equal(value, last)) continue;
        hashes[n_hashes++] = bloom_hash(value);
        last = value;
    }
    job->hashes.size += n_hashes * sizeof *hashes;
    return 0;
}

static void block_add(uint8_t *block, uint64_t hash)
{
    uint32_t words[BLOCK_WORDS];
    memcpy(words, block, sizeof words);
    for (int word = 0; word < BLOCK_WORDS; word++)
        words[word] |= bit_of(hash, word);
    memcpy(block, words, sizeof words);
}

int bloom_write(struct chunk_job *job)
{
    const struct write_leaf *leaf = job->leaf;
    struct buffer *out = &job->out->bloom;
    if (leaf->bloom_rate <= 0 || !bloom_fits(leaf->type)) return 0;
    if (job->encoding == PARQUET_RLE_DICTIONARY)
        TRY(bloom_add(job, job->dictionary.data, job->n_dictionary));
    else
        TRY(bloom_add(job, job->in.values.data, (uint64_t)job->in.n_values));
    const uint64_t *hashes = (const uint64_t *)(const void *)job->hashes.data;
    uint64_t n = job->hashes.size / sizeof *hashes, bytes = filter_bytes(n, leaf->bloom_rate);
    TRY(write_header(out, bytes));
    size_t start = out->size;
    TRY(buffer_append_zeros(out, bytes));
    uint8_t *blocks = out->data + start;
    uint64_t n_blocks = bytes / BLOCK_BYTES;
    for (uint64_t i = 0; i < n; i++) {
        if (i + PREFETCH_AHEAD < n) /* blocks come in no order, and most are not in the cache */
            __builtin_prefetch(
                blocks + bloom_block_of(hashes[i + PREFETCH_AHEAD], n_blocks) * BLOCK_BYTES, 1);
        block_add(blocks + bloom_block_of(hashes[i], n_blocks) * BLOCK_BYTES, hashes[i]);
    }
    return 0;
}

/* ---- reading ---- */

/* The one member of a union that Glis knows has the id 1. */
static int read_union(struct thrift_cursor *cursor, int type, bool *known)
{
    int id = 0, member;
    if (type != THRIFT_STRUCT) return error_set(GLIS_ECORRUPT, "a bad header of a bloom filter");
    for (;;) {
        TRY(thrift_field(cursor, &id, &member));
        if (member == THRIFT_STOP) return 0;
        *known = *known && id == 1;
        TRY(thrift_skip(cursor, member));
    }
}

int bloom_header_read(struct slice bytes, struct bloom_header *out)
{
    struct thrift_cursor cursor = {(const uint8_t *)bytes.data,
                                   (const uint8_t *)bytes.data + bytes.size};
    int id = 0, type;
    int64_t size = -1;
    *out = (struct bloom_header){.is_known = true};
    for (;;) {
        TRY(thrift_field(&cursor, &id, &type));
        if (type == THRIFT_STOP) break;
        if (id == 1)
            TRY(thrift_integer(&cursor, type, &size));
        else if (id >= 2 && id <= 4)
            TRY(read_union(&cursor, type, &out->is_known));
        else
            TRY(thrift_skip(&cursor, type));
    }
    if (size < BLOCK_BYTES || size > FILTER_BYTES_MAX || size % BLOCK_BYTES)
        return error_set(GLIS_ECORRUPT, "a bloom filter of %lld bytes", (long long)size);
    out->header_size = (uint32_t)(cursor.next - (const uint8_t *)bytes.data);
    out->size = (uint32_t)size;
    return 0;
}

static int read_header(struct parquet_reader *reader, uint64_t offset, struct bloom_header *out)
{
    struct store_read read;
    uint64_t left = reader->metadata.file_size - offset;
    TRY(parquet_read_range(reader, offset, left < HEADER_BYTES_MAX ? left : HEADER_BYTES_MAX,
                           &read));
    int code = bloom_header_read(slice_make(read.data, read.size), out);
    store_read_release(&read, 1);
    TRY(code);
    if (out->header_size + (uint64_t)out->size > left)
        return error_set(GLIS_ECORRUPT, "a bloom filter ends behind the file");
    return 0;
}

int bloom_find(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
               struct bloom_header *out)
{
    return read_header(reader, reader->metadata.row_groups[row_group].chunks[leaf].bloom_offset,
                       out);
}

int parquet_reader_bloom(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                         uint64_t hash, bool *may_be_there)
{
    uint64_t offset = reader->metadata.row_groups[row_group].chunks[leaf].bloom_offset;
    struct bloom_header header;
    struct store_read read;
    *may_be_there = true;
    if (offset == 0) return 0;
    TRY_CONTEXT(read_header(reader, offset, &header), "row group %u", row_group);
    if (!header.is_known) return 0;
    uint64_t block = bloom_block_of(hash, header.size / BLOCK_BYTES);
    TRY(parquet_read_range(reader, offset + header.header_size + block * BLOCK_BYTES, BLOCK_BYTES,
                           &read));
    *may_be_there = bloom_block_has(read.data, hash);
    store_read_release(&read, 1);
    return 0;
}

/* The filter as a whole. Where the footer says its size, header and blocks come in one read. */
int bloom_read_all(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                   struct budget *budget, struct parquet_bloom *out)
{
    const struct parquet_chunk *chunk = &reader->metadata.row_groups[row_group].chunks[leaf];
    uint64_t offset = chunk->bloom_offset, size = chunk->bloom_size;
    struct bloom_header header;
    struct store_read read;
    *out = (struct parquet_bloom){.block = NULL};
    if (size > FILTER_BYTES_MAX + HEADER_BYTES_MAX) size = 0;
    if (size == 0) {
        TRY(read_header(reader, offset, &header));
        size = (uint64_t)header.header_size + header.size;
    }
    TRY(parquet_read_range_for(reader, offset, size, budget, &read));
    int code = bloom_header_read(slice_make(read.data, (size_t)size), &header);
    uint64_t all = (uint64_t)header.header_size + header.size;
    if (code == 0 && all > size) { /* the footer's size may leave out the header */
        store_read_release(&read, 1);
        if (all > reader->metadata.file_size - offset)
            return error_set(GLIS_ECORRUPT, "a bloom filter ends behind the file");
        TRY(parquet_read_range_for(reader, offset, all, budget, &read));
    }
    if (code == 0 && header.is_known)
        *out = (struct parquet_bloom){block_acquire(read.block), read.data + header.header_size,
                                      header.size};
    store_read_release(&read, 1);
    return code;
}

int parquet_reader_bloom_read(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                              struct budget *budget, struct parquet_bloom *out)
{
    *out = (struct parquet_bloom){.block = NULL};
    if (reader->metadata.row_groups[row_group].chunks[leaf].bloom_offset == 0) return 0;
    TRY_CONTEXT(bloom_read_all(reader, row_group, leaf, budget, out),
                "bloom filter of row group %u, column '%.*s'", row_group,
                SLICE_PRINT(reader->metadata.leaves[leaf].path));
    return 0;
}

void parquet_bloom_release(struct parquet_bloom *bloom)
{
    block_release(bloom->block);
    *bloom = (struct parquet_bloom){.block = NULL};
}

bool parquet_bloom_has(const struct parquet_bloom *bloom, uint64_t hash)
{
    if (!bloom->block) return true;
    return bloom_block_has(
        bloom->blocks + bloom_block_of(hash, bloom->size / BLOCK_BYTES) * BLOCK_BYTES, hash);
}

/* ---- values ---- */

bool parquet_bloom_helps(const struct type *type)
{
    switch (type->kind) {
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_FIXED_BYTES:
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_UINT8:
    case TYPE_UINT16:
    case TYPE_UINT32:
    case TYPE_UINT64:
    case TYPE_DATE:
    case TYPE_TIMESTAMP: return true;
    default: return false;
    }
}

bool parquet_bloom_hash(const struct parquet_leaf *leaf, const struct value *value, uint64_t *hash)
{
    int32_t narrow = (int32_t)value->integer;
    if (!parquet_bloom_helps(leaf->leaf_type)) return false;
    switch (leaf->type) {
    case PARQUET_BYTE_ARRAY: *hash = bloom_hash(value->bytes); return true;
    case PARQUET_FIXED_LEN_BYTE_ARRAY:
        *hash = bloom_hash(value->bytes);
        return value->bytes.size == leaf->type_length;
    case PARQUET_INT32:
        *hash = bloom_hash(slice_make(&narrow, 4));
        return narrow == value->integer || (uint32_t)narrow == (uint64_t)value->integer;
    case PARQUET_INT64: *hash = bloom_hash(slice_make(&value->integer, 8)); return true;
    default: return false; /* INT96: of one instant there are several forms */
    }
}
