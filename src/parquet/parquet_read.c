/*
 * parquet_read.c: an open file: its footer and its page indexes (its rows: parquet_rows.c).
 *
 * Opening reads the tail once; that mostly brings the footer and, since our writer puts them
 * directly before it, the page indexes (those of large files where the caller knows how large they
 * are, and the store is far away). A reader is immutable after opening but for the page
 * indexes, which are made on first use under a lock.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

enum {
    TAIL_BYTES = 64 << 10,
    TAIL_BYTES_MAX = 2 << 20,
    TAIL_SHARE = 128, /* of a file's bytes, page indexes take less than one in so many, mostly */
    INDEX_REGION_MAX = 64 << 20
};

/* ---- opening ---- */

int parquet_read_range(const struct parquet_reader *reader, uint64_t offset, uint64_t size,
                       struct store_read *read)
{
    return parquet_read_range_for(reader, offset, size, reader->budget, read);
}

int parquet_read_range_for(const struct parquet_reader *reader, uint64_t offset, uint64_t size,
                           struct budget *budget, struct store_read *read)
{
    if (reader->tail && offset >= reader->tail_offset && size <= reader->tail_size &&
        offset - reader->tail_offset <= reader->tail_size - size) {
        *read = (struct store_read){.key = reader->key,
                                    .offset = offset,
                                    .length = size,
                                    .block = block_acquire(reader->tail),
                                    .data = reader->tail_data + (offset - reader->tail_offset),
                                    .size = size,
                                    .object_size = reader->metadata.file_size};
        return 0;
    }
    *read =
        (struct store_read){.key = reader->key, .offset = offset, .length = size, .budget = budget};
    TRY(store_read(reader->store, read, 1));
    if (read->outcome != 0)
        return error_set(read->outcome, "'%.*s' is not there", SLICE_PRINT(reader->key));
    if (offset != STORE_TO_END && read->size != size) {
        store_read_release(read, 1);
        return error_set(GLIS_ECORRUPT, "the file ends within %llu bytes from %llu on",
                         (unsigned long long)size, (unsigned long long)offset);
    }
    return 0;
}

void parquet_read_failed(const struct parquet_reader *reader, int code)
{
    if (code == GLIS_ECORRUPT) store_forget(reader->store, reader->key, reader->metadata.file_size);
}

uint64_t parquet_tail_bytes(const struct store *store, uint64_t file_size)
{
    uint64_t share = store->local ? 0 : file_size / TAIL_SHARE;
    return share < TAIL_BYTES ? TAIL_BYTES : share < TAIL_BYTES_MAX ? share : TAIL_BYTES_MAX;
}

/* The tail, long enough to hold the footer; `tail` (taken) is what was read of it already. */
static int read_tail(struct parquet_reader *reader, uint64_t file_size, struct store_read *tail)
{
    struct store_read read;
    uint32_t footer;
    for (uint64_t want = parquet_tail_bytes(reader->store, file_size);;) {
        if (tail) {
            read = *tail;
            tail->block = NULL;
            tail = NULL;
        } else {
            TRY(parquet_read_range(reader, STORE_TO_END, want, &read));
        }
        reader->metadata.file_size = read.object_size;
        int code = 0;
        if (read.size < 12 || read.size > read.object_size)
            code = error_set(GLIS_ECORRUPT, "%llu bytes are no Parquet file",
                             (unsigned long long)read.object_size);
        const uint8_t *end = read.data + read.size;
        if (code == 0 && memcmp(end - 4, "PARE", 4) == 0)
            code = error_set(GLIS_EUNSUPPORTED, "encrypted Parquet files are not read");
        else if (code == 0 && memcmp(end - 4, "PAR1", 4) != 0)
            code = error_set(GLIS_ECORRUPT, "no Parquet file: it does not end with PAR1");
        if (code == 0) {
            memcpy(&footer, end - 8, 4);
            if (footer > PARQUET_FOOTER_BYTES_MAX || footer > read.object_size - 12)
                code = error_set(GLIS_ECORRUPT, "a footer of %u bytes in a file of %llu", footer,
                                 (unsigned long long)read.object_size);
        }
        if (code == 0 && (uint64_t)footer + 8 > read.size) {
            want = (uint64_t)footer + 8;
            store_read_release(&read, 1);
            continue;
        }
        if (code < 0) {
            store_read_release(&read, 1);
            return code;
        }
        break;
    }
    reader->metadata.footer_size = footer;
    reader->tail = read.block;
    reader->tail_data = read.data;
    reader->tail_size = read.size;
    reader->tail_offset = read.object_size - read.size;
    return 0;
}

/* What was parsed is counted, beyond what was reserved for it beforehand. */
static int count_arena(struct parquet_reader *reader)
{
    uint64_t bytes = reader->arena.total_bytes;
    if (!reader->budget || bytes <= reader->reserved) return 0;
    TRY(budget_reserve(reader->budget, bytes - reader->reserved));
    reader->reserved = bytes;
    return 0;
}

static int open_file(struct parquet_reader *reader, uint64_t file_size, struct store_read *tail)
{
    TRY(read_tail(reader, file_size, tail));
    uint64_t footer = reader->metadata.footer_size;
    reader->reserved = footer * 12 + 4096;
    int code = reader->budget ? budget_reserve(reader->budget, reader->reserved) : 0;
    if (code < 0) {
        reader->reserved = 0;
        return code;
    }
    struct slice message =
        slice_make(reader->tail_data + reader->tail_size - 8 - footer, (size_t)footer);
    TRY_CONTEXT(parquet_metadata_read(message, &reader->arena, &reader->metadata, &reader->schema,
                                      &reader->nodes),
                "footer");
    size_t n = (size_t)reader->metadata.n_row_groups * reader->metadata.n_leaves;
    reader->indexes = memory_alloc_zero((n + 1) * sizeof *reader->indexes);
    return count_arena(reader);
}

int parquet_reader_open(struct parquet_reader **out, struct runtime *runtime, struct store *store,
                        struct slice key, struct budget *budget)
{
    return parquet_reader_open_with(out, runtime, store, key, 0, NULL, budget);
}

int parquet_reader_open_with(struct parquet_reader **out, struct runtime *runtime,
                             struct store *store, struct slice key, uint64_t file_size,
                             struct store_read *tail, struct budget *budget)
{
    struct parquet_reader *reader = memory_alloc_zero(sizeof *reader);
    reader->runtime = runtime;
    reader->store = store;
    reader->budget = budget;
    arena_init(&reader->arena, NULL);
    reader->key = arena_copy(&reader->arena, key);
    ASSERT(pthread_mutex_init(&reader->lock, NULL) == 0);
    int code = open_file(reader, file_size, tail);
    if (code < 0) {
        parquet_read_failed(reader, code);
        error_context("opening '%.*s'", SLICE_PRINT(key));
        parquet_reader_close(reader);
        return code;
    }
    *out = reader;
    return 0;
}

void parquet_reader_close(struct parquet_reader *reader)
{
    if (!reader) return;
    block_release(reader->tail);
    block_release(reader->index_block);
    schema_release(reader->schema);
    free(reader->indexes);
    if (reader->reserved) budget_release(reader->budget, reader->reserved);
    pthread_mutex_destroy(&reader->lock);
    arena_free(&reader->arena);
    free(reader);
}

const struct schema *parquet_reader_schema(const struct parquet_reader *reader)
{
    return reader->schema;
}

uint64_t parquet_reader_rows(const struct parquet_reader *reader)
{
    return reader->metadata.n_rows;
}

const struct parquet_metadata *parquet_reader_metadata(const struct parquet_reader *reader)
{
    return &reader->metadata;
}

/* Fields of a type, itself included. */
static uint32_t count_fields(const struct type *type)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < type->n_children; i++)
        n += count_fields(&type->children[i].type);
    return n;
}

/* The first annotation of a field from `place` on. */
static uint32_t annotations_from(const struct parquet_annotations *all, uint32_t place)
{
    uint32_t low = 0, high = all->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (all->items[middle].place < place)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct parquet_annotations parquet_reader_annotations(const struct parquet_reader *reader,
                                                      const uint32_t *fields, uint32_t n_fields,
                                                      struct arena *arena)
{
    const struct parquet_annotations *all = &reader->metadata.annotations;
    const struct schema *schema = reader->schema;
    struct parquet_annotations out = {0, NULL};
    uint32_t *places = ARENA_ARRAY(arena, uint32_t, schema->n_fields + 1), place = 0;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        places[i + 1] = places[i] + count_fields(&schema->fields[i].type);
    if (all->n == 0) return out;
    for (int store = 0; store < 2; store++) {
        if (store) out.items = ARENA_ARRAY(arena, struct parquet_annotation, out.n + 1);
        out.n = place = 0;
        for (uint32_t i = 0; i < n_fields; i++) {
            uint32_t first = places[fields[i]], end = places[fields[i] + 1];
            for (uint32_t k = annotations_from(all, first); k < all->n; k++) {
                if (all->items[k].place >= end) break;
                if (store) {
                    out.items[out.n] = all->items[k];
                    out.items[out.n].place += place - first;
                }
                out.n++;
            }
            place += end - first;
        }
    }
    return out;
}

bool parquet_reader_key_value(const struct parquet_reader *reader, struct slice key,
                              struct slice *value)
{
    for (uint32_t i = reader->metadata.n_key_values; i-- > 0;) {
        if (!slice_equal(reader->metadata.key_values[i].key, key)) continue;
        *value = reader->metadata.key_values[i].value;
        return true;
    }
    return false;
}

/* ---- page indexes ---- */

/* The region from the first page index to the footer, once; where it is large, and where it is much
 * of what the budget has left, each index is read alone. */
static int read_index_region(struct parquet_reader *reader)
{
    const struct parquet_metadata *metadata = &reader->metadata;
    uint64_t end = metadata->file_size - 8 - metadata->footer_size, begin = end;
    for (uint32_t g = 0; g < metadata->n_row_groups; g++) {
        for (uint32_t l = 0; l < metadata->n_leaves; l++) {
            const struct parquet_chunk *chunk = &metadata->row_groups[g].chunks[l];
            if (chunk->offset_index_size && chunk->offset_index_offset < begin)
                begin = chunk->offset_index_offset;
            if (chunk->column_index_size && chunk->column_index_offset < begin)
                begin = chunk->column_index_offset;
        }
    }
    reader->index_offset = begin;
    reader->index_size = end - begin;
    if (begin >= reader->tail_offset) {
        reader->index_data = reader->tail_data + (begin - reader->tail_offset);
        return 0;
    }
    if (reader->index_size > INDEX_REGION_MAX ||
        reader->index_size > budget_left(reader->budget) / 4) {
        reader->index_size = 0;
        reader->index_data = reader->tail_data;
        return 0;
    }
    struct store_read read;
    TRY(parquet_read_range(reader, begin, reader->index_size, &read));
    reader->index_block = read.block;
    reader->index_data = read.data;
    return 0;
}

static int index_bytes(struct parquet_reader *reader, uint64_t offset, uint64_t size,
                       struct store_read *own, struct slice *out)
{
    *out = SLICE_EMPTY;
    if (size == 0) return 0;
    if (offset >= reader->index_offset && size <= reader->index_size &&
        offset - reader->index_offset <= reader->index_size - size) {
        *out = slice_make(reader->index_data + (offset - reader->index_offset), (size_t)size);
        return 0;
    }
    TRY(parquet_read_range(reader, offset, size, own));
    *out = slice_make(own->data, own->size);
    return 0;
}

/* The lock is held; everything of the index lies in the arena. */
static int load_index(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                      struct arena *arena, const struct parquet_page_index **out)
{
    const struct parquet_row_group *group = &reader->metadata.row_groups[row_group];
    const struct parquet_chunk *chunk = &group->chunks[leaf];
    struct store_read own[2] = {{.outcome = 0}, {.outcome = 0}};
    struct slice offsets, columns;
    if (!reader->index_data) TRY(read_index_region(reader));
    struct parquet_page_index *index = ARENA_NEW(arena, struct parquet_page_index);
    int code = index_bytes(reader, chunk->offset_index_offset, chunk->offset_index_size, &own[0],
                           &offsets);
    if (code == 0)
        code = index_bytes(reader, chunk->column_index_offset, chunk->column_index_size, &own[1],
                           &columns);
    if (code == 0) {
        offsets = arena_copy(arena, offsets);
        columns = arena_copy(arena, columns);
        code =
            parquet_page_index_read(offsets, columns, group, chunk, &reader->metadata.leaves[leaf],
                                    reader->metadata.file_size, arena, index);
    }
    store_read_release(own, 2);
    if (code < 0)
        error_context("page index of row group %u, column '%.*s'", row_group,
                      SLICE_PRINT(reader->metadata.leaves[leaf].path));
    else
        *out = index;
    return code;
}

static int make_index(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                      const struct parquet_page_index **out)
{
    TRY(load_index(reader, row_group, leaf, &reader->arena, out));
    int code = count_arena(reader);
    if (code < 0) *out = NULL;
    return code;
}

int parquet_page_index_load(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                            struct arena *arena, const struct parquet_page_index **out)
{
    *out = NULL;
    if (reader->metadata.row_groups[row_group].chunks[leaf].offset_index_size == 0) return 0;
    pthread_mutex_lock(&reader->lock);
    int code = load_index(reader, row_group, leaf, arena, out);
    pthread_mutex_unlock(&reader->lock);
    return code;
}

int parquet_reader_page_index(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                              const struct parquet_page_index **out)
{
    ASSERT(row_group < reader->metadata.n_row_groups && leaf < reader->metadata.n_leaves);
    size_t slot = (size_t)row_group * reader->metadata.n_leaves + leaf;
    int code = 0;
    *out = NULL;
    if (reader->metadata.row_groups[row_group].chunks[leaf].offset_index_size == 0) return 0;
    pthread_mutex_lock(&reader->lock);
    if (!reader->indexes[slot]) code = make_index(reader, row_group, leaf, &reader->indexes[slot]);
    *out = reader->indexes[slot];
    pthread_mutex_unlock(&reader->lock);
    parquet_read_failed(reader, code);
    return code;
}

uint64_t parquet_reader_memory(struct parquet_reader *reader)
{
    size_t n = (size_t)reader->metadata.n_row_groups * reader->metadata.n_leaves;
    uint64_t bytes = sizeof *reader + n * sizeof *reader->indexes;
    pthread_mutex_lock(&reader->lock);
    uint64_t arena = reader->arena.total_bytes;
    bytes += arena > reader->reserved ? arena : reader->reserved;
    if (reader->tail) bytes += reader->tail->size;
    if (reader->index_block) bytes += reader->index_block->size;
    pthread_mutex_unlock(&reader->lock);
    return bytes;
}

/* ---- pages of a chunk, for listings ---- */

int parquet_reader_pages(struct parquet_reader *reader, uint32_t row_group, uint32_t leaf,
                         struct arena *arena, struct parquet_page_header **out, uint32_t *n_out)
{
    const struct parquet_chunk *chunk = &reader->metadata.row_groups[row_group].chunks[leaf];
    struct store_read read;
    TRY(parquet_read_range(reader, chunk->start, chunk->compressed_bytes, &read));
    struct slice bytes = slice_make(read.data, read.size);
    struct parquet_page_header *pages = NULL;
    uint32_t n = 0, room = 0;
    int code = 0;
    for (int64_t left = chunk->n_values; bytes.size > 0 && (left > 0 || n == 0);) {
        struct page page;
        code = page_header_read(bytes, false, &page);
        if (code < 0) break;
        if (page.type == PARQUET_DATA_PAGE || page.type == PARQUET_DATA_PAGE_V2)
            left -= page.n_values;
        if (n == room) {
            struct parquet_page_header *grown =
                ARENA_ARRAY(arena, struct parquet_page_header, room ? room * 2 : 16);
            if (n) memcpy(grown, pages, n * sizeof *pages);
            pages = grown;
            room = room ? room * 2 : 16;
        }
        pages[n++] = (struct parquet_page_header){
            .type = page.type,
            .encoding = page.encoding,
            .offset = chunk->start + (read.size - bytes.size),
            .header_size = page.header_size,
            .compressed_size = page.compressed_size,
            .uncompressed_size = page.uncompressed_size,
            .n_values = page.n_values,
            .n_rows = page.n_rows,
            .n_nulls = page.n_nulls,
            .has_checksum = page.has_checksum,
            .is_compressed = page.is_compressed && chunk->codec != PARQUET_UNCOMPRESSED,
        };
        bytes = slice_part(bytes, (size_t)page.header_size + page.compressed_size, SIZE_MAX);
    }
    store_read_release(&read, 1);
    *out = pages;
    *n_out = n;
    return code;
}
