/*
 * query_bloom.c: lookups of keys that a row group does not have.
 *
 * An interval of which every region asks for one value of some row-key field is held against the
 * bloom filters of these fields: when for each region one of them says that its value is not there,
 * no row of the row group is in the interval. Filters are asked after the statistics and before the
 * page index, for they are the cheaper of the two once they are in memory, and of files that
 * overlap they leave out nearly all.
 *
 * Filters are kept by the engine's cache as a whole, counted in the budget. One that would take
 * more than a thirty-second of the cache is asked where it is, by its header and one block.
 *
 * A filter that lies about what is there (damaged bytes) cannot be told from one that does not: as
 * with statistics, `glis parquet check` compares filters with values, and the checksum of the whole
 * file, which the state has, tells of damage.
 */
#include "query/query_int.h"

#include <stdlib.h>

enum { SHRINK_BYTES = 32 << 20 };

struct kept_bloom {
    struct cache_entry entry;
    struct parquet_bloom bloom;
};

static void kept_bloom_free(struct cache_entry *entry)
{
    struct kept_bloom *kept = (struct kept_bloom *)entry;
    parquet_bloom_release(&kept->bloom);
    free(kept);
}

/* The filter of a chunk, held for the caller. */
static int get_bloom(const struct scan *scan, struct query_file *file, uint32_t row_group,
                     uint32_t leaf, struct kept_bloom **out)
{
    struct cache_key key = {.file = {file->entry.key.file[0], file->entry.key.file[1]},
                            .kind = CACHE_BLOOM,
                            .row_group = row_group,
                            .column = leaf};
    struct cache_entry *entry = cache_get(scan->engine, &key);
    if (!entry) {
        struct kept_bloom *kept = memory_alloc_zero(sizeof *kept);
        int code =
            parquet_reader_bloom_read(file->reader, row_group, leaf, scan->budget, &kept->bloom);
        if (code == GLIS_ENOMEM && cache_shrink(scan->engine, SHRINK_BYTES))
            code = parquet_reader_bloom_read(file->reader, row_group, leaf, scan->budget,
                                             &kept->bloom);
        if (code < 0) {
            free(kept);
            return code;
        }
        SCAN_COUNT(scan, blooms_read, 1);
        atomic_store(&kept->entry.references, 1);
        kept->entry.key = key;
        kept->entry.bytes = sizeof *kept + kept->bloom.size;
        kept->entry.free = kept_bloom_free;
        entry = cache_put(scan->engine, &kept->entry);
    }
    *out = (struct kept_bloom *)entry;
    return 0;
}

static int chunk_may_have(const struct scan *scan, struct query_file *file, uint32_t row_group,
                          uint32_t leaf, uint64_t hash, bool *may)
{
    const struct parquet_chunk *chunk =
        &parquet_reader_metadata(file->reader)->row_groups[row_group].chunks[leaf];
    /* Far away, a filter costs as much time as the pages that it may spare, or more; where the keys
     * that are asked for are there, it spares none. */
    if (!scan->store->local && !atomic_load(&file->row_groups[row_group].in_vain)) return 0;
    if (chunk->bloom_size > cache_entry_bytes_max(scan->engine) / 8) {
        SCAN_COUNT(scan, blooms_read, 1);
        return parquet_reader_bloom(file->reader, row_group, leaf, hash, may);
    }
    struct kept_bloom *kept;
    TRY(get_bloom(scan, file, row_group, leaf, &kept));
    *may = parquet_bloom_has(&kept->bloom, hash);
    cache_release(&kept->entry);
    return 0;
}

/* The one value of a range of keys of a field; null when there are more, or it is a border between
 * keys. */
static void one_value(const struct schema *schema, uint32_t field, const struct key_range *range,
                      struct arena *arena, struct value *out)
{
    const struct schema one = {.fields = &schema->fields[field], .n_fields = 1};
    *out = value_null(TYPE_NULL);
    if (!key_range_is_one(range) || key_decode(&one, range->min, 1, arena, out) == 0) return;
    error_clear();
    *out = value_null(TYPE_NULL);
}

void row_interval_find_values(struct row_interval *interval, const struct schema *schema,
                              struct arena *arena)
{
    if (interval->n_regions != 1) return;
    struct value *values = ARENA_ARRAY(arena, struct value, schema->n_row_keys);
    for (uint32_t i = 0; i < schema->n_row_keys; i++)
        one_value(schema, i, &interval->regions[0]->ranges[i], arena, &values[i]);
    interval->values = values;
}

/* Whether a row group may have a row whose row-key field `field` is the one value of the range,
 * which is `known` unless that is NULL. */
static int field_may_have(const struct scan *scan, struct query_file *file, uint32_t row_group,
                          uint32_t field, const struct key_range *range, const struct value *known,
                          bool *may)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(file->reader);
    char room[512];
    defer_arena struct arena arena = ARENA_EMPTY;
    struct value value;
    uint64_t hash;
    *may = true;
    int there = schema_find(file->schema, scan->table_schema->fields[field].name);
    uint32_t leaf = there < 0 ? UINT32_MAX : file->leaves[there];
    if (leaf == UINT32_MAX || !metadata->row_groups[row_group].chunks[leaf].bloom_offset) return 0;
    if (!known) {
        arena_use(&arena, room, sizeof room);
        one_value(scan->table_schema, field, range, &arena, &value);
        known = &value;
    }
    if (known->is_null) return 0;
    if (!parquet_bloom_hash(&metadata->leaves[leaf], known, &hash)) return 0;
    return chunk_may_have(scan, file, row_group, leaf, hash, may);
}

int query_bloom_misses(const struct scan *scan, struct query_file *file, uint32_t row_group,
                       const struct row_interval *interval, bool *misses)
{
    *misses = false;
    for (size_t i = 0; i < interval->n_regions; i++) {
        bool may = true;
        for (uint32_t f = 0; f < scan->n_row_keys && may; f++)
            TRY(field_may_have(scan, file, row_group, f, &interval->regions[i]->ranges[f],
                               interval->values ? &interval->values[f] : NULL, &may));
        if (may) return 0;
    }
    *misses = interval->n_regions > 0;
    return 0;
}
