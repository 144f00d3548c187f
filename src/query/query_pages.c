/*
 * query_pages.c: data files as queries see them: opened once and kept, with the bounds of their
 * pages as field keys; rows of a row group by way of decoded pages that are kept, or straight from
 * the reader.
 *
 * Few rows that lie in one page of a plain column come from the cache of decoded pages, as slices
 * without copy: that is a lookup. Everything else (nested fields, rows over several pages, scans)
 * the Parquet reader does in one go, without filling the cache with pages that a scan passes once.
 *
 * When the budget is out, kept entries go and the work is tried once more.
 */
#include "query/query_int.h"

#include "base/hash.h"

#include <stdlib.h>

enum { CACHED_ROWS_MAX = 4096, SHRINK_BYTES = 32 << 20 };

/* ---- opening ---- */

static void query_file_free(struct cache_entry *entry)
{
    struct query_file *file = (struct query_file *)entry;
    parquet_reader_close(file->reader);
    pthread_mutex_destroy(&file->lock);
    arena_free(&file->arena);
    if (file->counted) budget_release(file->budget, file->counted);
    free(file);
}

/* Counts what the file has come to: its arena in the budget (the reader counts its own), and all of
 * it in the cache. Called with the file's lock held, or before anyone else has it. */
static int count_arena(const struct scan *scan, struct query_file *file)
{
    uint64_t bytes = sizeof *file + file->arena.total_bytes;
    if (!file->budget || bytes <= file->counted) return 0;
    int code = budget_reserve(file->budget, bytes - file->counted);
    if (code == GLIS_ENOMEM && cache_shrink(scan->engine, SHRINK_BYTES))
        code = budget_reserve(file->budget, bytes - file->counted);
    if (code == 0) file->counted = bytes;
    return code;
}

/* Tells the cache when page indexes have been read since it was last told. */
static void count_in_cache(const struct scan *scan, struct query_file *file)
{
    pthread_mutex_lock(&file->lock);
    uint64_t bytes = sizeof *file + file->arena.total_bytes + parquet_reader_memory(file->reader);
    bool changed = bytes != atomic_load(&file->memory);
    atomic_store(&file->memory, bytes);
    pthread_mutex_unlock(&file->lock);
    if (changed) cache_resize(scan->engine, &file->entry, bytes);
}

/* The field key of a bound; false when there is none that can be used. */
static bool bound_key(struct query_file *file, const struct parquet_leaf *leaf, bool has,
                      struct slice plain, struct slice *out)
{
    struct value value;
    struct buffer key defer_buffer = BUFFER_INIT(64 * (size_t)KEY_BYTES_MAX);
    if (!has || parquet_statistic_value(leaf, plain, &file->arena, &value) < 0) return false;
    if (key_append_value(leaf->leaf_type, &value, &key) < 0) return false;
    *out = arena_copy(&file->arena, buffer_slice(&key));
    return true;
}

static void find_leaves(struct query_file *file, const struct parquet_metadata *metadata)
{
    uint32_t n = file->schema->n_fields;
    file->leaves = ARENA_ARRAY(&file->arena, uint32_t, n);
    for (uint32_t i = 0; i < n; i++)
        file->leaves[i] = UINT32_MAX;
    for (uint32_t leaf = 0; leaf < metadata->n_leaves; leaf++) {
        uint32_t field = metadata->leaves[leaf].field;
        const struct type *type = &file->schema->fields[field].type;
        if (!type->n_children && type->kind != TYPE_STRUCT) file->leaves[field] = leaf;
    }
}

static int describe(const struct scan *scan, const struct scan_input *input,
                    struct query_file *file)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(file->reader);
    file->schema = parquet_reader_schema(file->reader);
    if (metadata->file_size != input->size)
        return error_set(GLIS_ECORRUPT, "it has %llu bytes, the table's state says %llu",
                         (unsigned long long)metadata->file_size, (unsigned long long)input->size);
    if (metadata->n_rows != input->rows)
        return error_set(GLIS_ECORRUPT, "it has %llu rows, the table's state says %llu",
                         (unsigned long long)metadata->n_rows, (unsigned long long)input->rows);
    int first = schema_find(file->schema, scan->table_schema->fields[0].name);
    if (first < 0)
        return error_set(GLIS_ECORRUPT, "it lacks the field '%s'",
                         scan->table_schema->fields[0].name.data);
    find_leaves(file, metadata);
    uint32_t leaf = file->leaves[first];
    if (leaf == UINT32_MAX) return error_set(GLIS_ECORRUPT, "its first key field is nested");
    file->n_row_groups = metadata->n_row_groups;
    size_t n_chunks = (size_t)metadata->n_row_groups * metadata->n_leaves;
    file->indexes = arena_alloc_zero(&file->arena, n_chunks * sizeof *file->indexes);
    file->row_groups = ARENA_ARRAY(&file->arena, struct data_row_group, file->n_row_groups);
    for (uint32_t g = 0; g < file->n_row_groups; g++) {
        struct data_row_group *group = &file->row_groups[g];
        const struct parquet_statistics *s = &metadata->row_groups[g].chunks[leaf].statistics;
        group->n_rows = metadata->row_groups[g].n_rows;
        group->has_bounds =
            bound_key(file, &metadata->leaves[leaf], s->has_min, s->min, &group->min) &&
            bound_key(file, &metadata->leaves[leaf], s->has_max, s->max, &group->max);
    }
    TRY(count_arena(scan, file));
    file->entry.bytes =
        sizeof *file + file->arena.total_bytes + parquet_reader_memory(file->reader);
    atomic_store(&file->memory, file->entry.bytes);
    return 0;
}

static int open_file(const struct scan *scan, const struct scan_input *input,
                     const struct cache_key *key, struct store_read *tail, struct query_file **out)
{
    struct query_file *file = memory_alloc_zero(sizeof *file);
    atomic_store(&file->entry.references, 1);
    file->entry.key = *key;
    file->entry.free = query_file_free;
    arena_init(&file->arena, NULL);
    file->budget = scan->budget;
    pthread_mutex_init(&file->lock, NULL);
    int code = parquet_reader_open_with(&file->reader, scan->runtime, scan->store,
                                        input->object_key, input->size, tail, scan->budget);
    if (code == GLIS_ENOMEM && cache_shrink(scan->engine, SHRINK_BYTES))
        code = parquet_reader_open_with(&file->reader, scan->runtime, scan->store,
                                        input->object_key, input->size, NULL, scan->budget);
    if (code == 0) code = describe(scan, input, file);
    if (code < 0) {
        cache_release(&file->entry);
        return code;
    }
    *out = file;
    return 0;
}

static struct cache_key file_key(const struct scan_input *input)
{
    struct hash128 hash = hash_xxh3_128(input->object_key.data, input->object_key.size);
    return (struct cache_key){.file = {hash.high, hash.low}, .kind = CACHE_FILE};
}

int query_file_open(const struct scan *scan, const struct scan_input *input,
                    struct query_file **out)
{
    struct cache_key key = file_key(input);
    struct cache_entry *entry = cache_get(scan->engine, &key);
    if (!entry) {
        struct query_file *file;
        int code = open_file(scan, input, &key, NULL, &file);
        if (code == GLIS_ENOTFOUND)
            return error_set(GLIS_EGONE, "file %.*s is no longer there", SLICE_PRINT(input->file));
        TRY_CONTEXT(code, "file %.*s", SLICE_PRINT(input->file));
        entry = cache_put(scan->engine, &file->entry);
    }
    *out = (struct query_file *)entry;
    return 0;
}

/* Files whose ends have been read together, opened into the cache. What fails is found out again by
 * whoever opens the file. */
static void open_together(const struct scan *scan, const struct scan_input *const *inputs,
                          struct store_read *tails, size_t n)
{
    if (store_read(scan->store, tails, n) < 0) error_clear();
    for (size_t i = 0; i < n; i++) {
        struct cache_key key = file_key(inputs[i]);
        struct query_file *file;
        if (tails[i].outcome != 0) continue;
        if (open_file(scan, inputs[i], &key, &tails[i], &file) == 0)
            cache_release(cache_put(scan->engine, &file->entry));
        else
            error_clear();
    }
    store_read_release(tails, n);
}

void query_files_open_ahead(const struct scan *scan, const struct scan_unit *unit)
{
    enum { TOGETHER_MAX = 64 };
    const struct scan_input *inputs[TOGETHER_MAX];
    struct store_read tails[TOGETHER_MAX];
    size_t n = 0;
    if (scan->store->local || unit->n_inputs < 2) return;
    for (size_t i = 0; i < unit->n_inputs && n < TOGETHER_MAX; i++) {
        const struct scan_input *input = &unit->inputs[i];
        struct cache_key key = file_key(input);
        if (cache_has(scan->engine, &key)) continue;
        inputs[n] = input;
        tails[n++] = (struct store_read){.key = input->object_key,
                                         .offset = STORE_TO_END,
                                         .length = parquet_tail_bytes(scan->store, input->size),
                                         .budget = scan->budget};
    }
    if (n > 1) open_together(scan, inputs, tails, n);
}

/* ---- bounds of pages ---- */

/* The bounds of all pages, or none: a page without bounds could hold anything. */
static int find_pages(const struct scan *scan, struct query_file *file, uint32_t row_group)
{
    struct data_row_group *group = &file->row_groups[row_group];
    const struct parquet_metadata *metadata = parquet_reader_metadata(file->reader);
    uint32_t leaf = file->leaves[schema_find(file->schema, scan->table_schema->fields[0].name)];
    const struct parquet_page_index *index;
    TRY(parquet_reader_page_index(file->reader, row_group, leaf, &index));
    if (!index || !index->has_statistics) return 0;
    struct data_page *pages = ARENA_ARRAY(&file->arena, struct data_page, index->n_pages);
    for (uint32_t p = 0; p < index->n_pages; p++) {
        const struct parquet_statistics *s = &index->statistics[p];
        pages[p].first_row = index->pages[p].first_row;
        if (!bound_key(file, &metadata->leaves[leaf], s->has_min, s->min, &pages[p].min) ||
            !bound_key(file, &metadata->leaves[leaf], s->has_max, s->max, &pages[p].max))
            return 0;
        pages[p].min_head = key_head(pages[p].min);
        pages[p].max_head = key_head(pages[p].max);
        if (p && slice_compare(pages[p - 1].min, pages[p].min) > 0)
            return error_set(GLIS_ECORRUPT, "row group %u: page %u of the key is out of order",
                             row_group, p);
    }
    group->pages = pages;
    group->n_pages = index->n_pages;
    return 0;
}

int query_file_pages(const struct scan *scan, struct query_file *file, uint32_t row_group)
{
    struct data_row_group *group = &file->row_groups[row_group];
    if (atomic_load(&group->pages_known)) return 0;
    int code = 0;
    pthread_mutex_lock(&file->lock);
    if (!atomic_load(&group->pages_known)) {
        code = find_pages(scan, file, row_group);
        if (code == 0) code = count_arena(scan, file);
        if (code == 0) atomic_store(&group->pages_known, true);
    }
    pthread_mutex_unlock(&file->lock);
    count_in_cache(scan, file);
    return code;
}

/* ---- rows by decoded pages ---- */

/* A chunk's page index; NULL when it has none. */
static int get_index(const struct scan *scan, struct query_file *file, uint32_t row_group,
                     uint32_t leaf, const struct parquet_page_index **out)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(file->reader);
    size_t slot = (size_t)row_group * metadata->n_leaves + leaf;
    *out = atomic_load(&file->indexes[slot]);
    if (*out) return 0;
    TRY(parquet_reader_page_index(file->reader, row_group, leaf, out));
    atomic_store(&file->indexes[slot], *out);
    if (*out) count_in_cache(scan, file);
    return 0;
}

struct decoded_page {
    struct cache_entry entry;
    struct column column;
};

static void decoded_page_free(struct cache_entry *entry)
{
    column_free(&((struct decoded_page *)entry)->column);
    free(entry);
}

/* The page of a chunk that holds all rows [first, first + n); false when there is no such one. */
static bool find_page(const struct parquet_page_index *index, uint64_t n_rows, uint64_t first,
                      uint64_t n, uint32_t *out)
{
    /* Pages have about as many rows each: a guess, and steps that double from there, look at fewer
     * of them than a search from the middle, and each is a look into memory. */
    uint32_t low = 0, high = index->n_pages;
    if (high > 0 && first < n_rows) {
        uint32_t guess = (uint32_t)((unsigned __int128)first * high / n_rows);
        bool behind = index->pages[guess].first_row <= first;
        for (uint32_t step = 1;; step *= 2) {
            if (behind) {
                low = guess;
                if (step >= high - guess) break;
                guess += step;
            } else {
                high = guess;
                if (guess == 0) break;
                guess -= step < guess ? step : guess;
            }
            if ((index->pages[guess].first_row <= first) != behind) {
                *(behind ? &high : &low) = guess;
                break;
            }
        }
    }
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (index->pages[middle].first_row <= first)
            low = middle;
        else
            high = middle;
    }
    uint64_t end = low + 1 < index->n_pages ? index->pages[low + 1].first_row : n_rows;
    *out = low;
    return index->n_pages && first + n <= end;
}

static struct cache_key page_key(const struct query_file *file, uint32_t row_group, uint32_t leaf,
                                 uint32_t page)
{
    return (struct cache_key){.file = {file->entry.key.file[0], file->entry.key.file[1]},
                              .kind = CACHE_PAGE,
                              .row_group = row_group,
                              .column = leaf,
                              .page = page};
}

/* Reads and decodes a page that is not kept, and keeps it. */
static int read_page(const struct scan *scan, struct query_file *file, const struct cache_key *key,
                     const struct parquet_plan *plan, struct cache_entry **out)
{
    uint32_t row_group = key->row_group, leaf = key->column, page = key->page;
    SCAN_COUNT(scan, pages_read, 1);
    struct decoded_page *decoded = memory_alloc_zero(sizeof *decoded);
    int code = parquet_reader_page_planned(file->reader, plan, row_group, leaf, page, scan->budget,
                                           &decoded->column);
    if (code == GLIS_ENOMEM && cache_shrink(scan->engine, SHRINK_BYTES))
        code = parquet_reader_page_planned(file->reader, plan, row_group, leaf, page, scan->budget,
                                           &decoded->column);
    if (code < 0) {
        free(decoded);
        return code;
    }
    const struct column *column = &decoded->column;
    atomic_store(&decoded->entry.references, 1);
    decoded->entry.key = *key;
    decoded->entry.bytes =
        sizeof *decoded + column->validity.size + column->offsets.size + column->values.size;
    decoded->entry.free = decoded_page_free;
    *out = cache_put(scan->engine, &decoded->entry);
    return 0;
}

/* One field's rows as a slice of their page, if that is kept, or (with `read`, when it is not) has
 * been read; *found is false when it is not kept, and when the rows are not in one page. */
static int read_from_page(const struct scan *scan, struct query_file *file, uint32_t row_group,
                          uint32_t leaf, uint64_t first, uint64_t n, bool read,
                          const struct parquet_plan *plan, struct column *out, bool *found)
{
    const struct parquet_page_index *index;
    uint32_t page;
    struct decoded_page *decoded;
    *found = false;
    if (leaf == UINT32_MAX) return 0;
    TRY(get_index(scan, file, row_group, leaf, &index));
    if (!index || !find_page(index, file->row_groups[row_group].n_rows, first, n, &page)) return 0;
    uint64_t begin = first - index->pages[page].first_row;
    struct cache_key key = page_key(file, row_group, leaf, page);
    struct cache_entry *entry = read ? NULL : cache_get(scan->engine, &key);
    if (!entry && !read) return 0;
    SCAN_COUNT(scan, pages_from_cache, entry != NULL);
    if (!entry) TRY(read_page(scan, file, &key, plan, &entry));
    decoded = (struct decoded_page *)entry;
    int code = 0;
    if (begin + n > (uint64_t)decoded->column.length)
        code = error_set(GLIS_ECORRUPT, "row group %u, page %u: fewer rows than its index says",
                         row_group, page);
    /* The page may have been decoded by a reader that is closed by now: the type is this one's. */
    struct column column = decoded->column;
    uint32_t field = parquet_reader_metadata(file->reader)->leaves[leaf].field;
    column.type = &parquet_reader_schema(file->reader)->fields[field].type;
    if (code == 0) code = column_slice(out, &column, (int64_t)begin, (int64_t)n);
    cache_release(entry);
    *found = code == 0;
    return code;
}

static int read_rows(const struct scan *scan, struct query_file *file, uint32_t row_group,
                     const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                     const struct parquet_plan *plan, struct batch **out)
{
    int code = parquet_reader_rows_planned(file->reader, plan, row_group, fields, n_fields, first,
                                           n, scan->budget, out);
    if (code == GLIS_ENOMEM && cache_shrink(scan->engine, SHRINK_BYTES))
        code = parquet_reader_rows_planned(file->reader, plan, row_group, fields, n_fields, first,
                                           n, scan->budget, out);
    return code;
}

/* Whether a field's rows lie in one page that is kept decoded. */
static int is_kept(const struct scan *scan, struct query_file *file, uint32_t row_group,
                   uint32_t leaf, uint64_t first, uint64_t n, bool *kept)
{
    const struct parquet_page_index *index;
    uint32_t page;
    *kept = false;
    if (leaf == UINT32_MAX) return 0;
    TRY(get_index(scan, file, row_group, leaf, &index));
    if (!index || !find_page(index, file->row_groups[row_group].n_rows, first, n, &page)) return 0;
    const struct cache_key key = page_key(file, row_group, leaf, page);
    *kept = cache_has(scan->engine, &key);
    return 0;
}

int query_file_plan(const struct scan *scan, struct query_file *file, uint32_t row_group,
                    const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                    struct parquet_plan *plan)
{
    for (uint32_t i = 0; i < n_fields; i++) {
        uint32_t leaf = file->leaves[fields[i]];
        bool kept;
        TRY(is_kept(scan, file, row_group, leaf, first, n, &kept));
        if (kept) continue;
        TRY(parquet_plan_add(plan, row_group, &fields[i], 1, first, n));
    }
    return 0;
}

/* The plan that was given, or one for these rows, if there is more than one column to be read. */
static int plan_rows(const struct scan *scan, struct query_file *file, uint32_t row_group,
                     const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                     const struct parquet_plan **plan, struct parquet_plan **own)
{
    *own = NULL;
    if (*plan || n_fields < 2) return 0;
    *own = parquet_plan_new(file->reader, 0, 0, scan->budget);
    int code = query_file_plan(scan, file, row_group, fields, n_fields, first, n, *own);
    if (code == 0) code = parquet_plan_fetch(*own);
    if (code == GLIS_ENOMEM) { /* then page by page */
        error_clear();
        code = 0;
    }
    if (code == 0)
        *plan = *own;
    else {
        parquet_plan_free(*own);
        *own = NULL;
    }
    return code;
}

/* The same batch with another schema of equal fields. Takes the batch. */
static int relabel(struct batch *batch, const struct schema *schema, struct batch **out)
{
    uint32_t *fields = memory_alloc((schema->n_fields + 1) * sizeof *fields);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        fields[i] = i;
    int code = batch_project(batch, schema, fields, out);
    free(fields);
    batch_release(batch);
    return code;
}

/* The columns that are not made yet: of what is missing in the cache, pages are read, and kept,
 * where the rows are in one page; all else comes from the reader in one go. */
static int read_others(const struct scan *scan, struct query_file *file, uint32_t row_group,
                       const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                       const struct parquet_plan *plan, struct column *columns)
{
    struct parquet_plan *own;
    TRY(plan_rows(scan, file, row_group, fields, n_fields, first, n, &plan, &own));
    uint32_t *others = memory_alloc((2 * (size_t)n_fields + 1) * sizeof *others);
    uint32_t *places = others + n_fields, n_others = 0;
    struct batch *batch = NULL;
    int code = 0;
    for (uint32_t i = 0; i < n_fields && code == 0; i++) {
        bool found = columns[i].type != NULL;
        if (!found)
            code = read_from_page(scan, file, row_group, file->leaves[fields[i]], first, n, true,
                                  plan, &columns[i], &found);
        if (found || code < 0) continue;
        others[n_others] = fields[i];
        places[n_others++] = i;
    }
    if (code == 0 && n_others)
        code = read_rows(scan, file, row_group, others, n_others, first, n, plan, &batch);
    for (uint32_t i = 0; i < n_others && code == 0; i++) {
        code = column_share(&columns[places[i]], &batch->columns[i]);
        /* That of the batch ends with it. */
        columns[places[i]].type = &parquet_reader_schema(file->reader)->fields[others[i]].type;
    }
    batch_release(batch);
    free(others);
    parquet_plan_free(own);
    count_in_cache(scan, file);
    return code;
}

/* Some columns from kept pages, the others from the reader. */
static int read_mixed(const struct scan *scan, struct query_file *file, uint32_t row_group,
                      const uint32_t *fields, uint32_t n_fields, uint64_t first, uint64_t n,
                      const struct parquet_plan *plan, struct column *columns)
{
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < n_fields; i++) {
        bool found;
        TRY(read_from_page(scan, file, row_group, file->leaves[fields[i]], first, n, false, NULL,
                           &columns[i], &found));
        n_found += found;
    }
    if (n_found == n_fields) return 0;
    return read_others(scan, file, row_group, fields, n_fields, first, n, plan, columns);
}

int query_file_read(const struct scan *scan, struct query_file *file, uint32_t row_group,
                    const struct schema *schema, const uint32_t *fields, uint64_t first, uint64_t n,
                    const struct parquet_plan *plan, struct batch **out)
{
    if (n > CACHED_ROWS_MAX) {
        struct batch *batch;
        TRY(read_rows(scan, file, row_group, fields, schema->n_fields, first, n, plan, &batch));
        return relabel(batch, schema, out);
    }
    struct column *columns = memory_alloc_zero((schema->n_fields + 1) * sizeof *columns);
    int code = read_mixed(scan, file, row_group, fields, schema->n_fields, first, n, plan, columns);
    if (code == 0)
        code = batch_new(out, schema, columns, (int64_t)n);
    else
        for (uint32_t i = 0; i < schema->n_fields; i++)
            if (columns[i].type) column_free(&columns[i]);
    free(columns);
    return code;
}

/* ---- whole files ---- */

struct file_stream {
    struct batch_stream stream;
    struct batch_stream *behind;
};

static int file_stream_next(struct batch_stream *stream, struct batch **out)
{
    struct batch *batch;
    *out = NULL;
    TRY(batch_stream_next(((struct file_stream *)stream)->behind, &batch));
    return batch ? relabel(batch, stream->schema, out) : 0;
}

static void file_stream_close(struct batch_stream *stream)
{
    batch_stream_close(((struct file_stream *)stream)->behind);
    free(stream);
}

int query_file_stream(const struct scan *scan, struct query_file *file, const struct schema *schema,
                      const uint32_t *fields, uint64_t first, uint64_t n, struct batch_stream **out)
{
    struct file_stream *stream = memory_alloc_zero(sizeof *stream);
    stream->stream = (struct batch_stream){schema, file_stream_next, file_stream_close};
    int code = parquet_reader_stream_part(file->reader, fields, schema->n_fields, first, n, 0,
                                          &stream->behind);
    if (code == GLIS_ENOMEM && cache_shrink(scan->engine, SHRINK_BYTES))
        code = parquet_reader_stream_part(file->reader, fields, schema->n_fields, first, n, 0,
                                          &stream->behind);
    if (code < 0) {
        free(stream);
        return code;
    }
    *out = &stream->stream;
    return 0;
}
