/*
 * merge_file.c: a data file as an input of a merge.
 *
 * Rows of a region (one range of field keys for each row key) lie, as far as the first field goes,
 * in one run of the file's rows, whose ends are searched for; the other fields' ranges are tested
 * row by row, and only where the file's bounds do not show already that all rows lie in them.
 *
 * A row is searched for by its key in three steps: row groups by the statistics of the first field,
 * pages by its page index, rows by their decoded keys. A bound b of the first field is below a cut
 * c when b < c and c does not begin with b; keys with that field's value are then below c, whatever
 * follows in them.
 *
 * Files that were written with an older schema are read with their own fields and brought to the
 * present ones batch by batch.
 */
#include "lsm/merge_files_int.h"

#include <stdlib.h>

enum { SEARCH_ROWS_MAX = 8192 }; /* keys that one search decodes */

static const struct parquet_row_group *group_at(const struct merge_file *file, uint32_t group)
{
    return &parquet_reader_metadata(file->reader)->row_groups[group];
}

/* ---- searching ---- */

uint32_t merge_file_group(const struct merge_file *file, uint64_t row)
{
    uint32_t a = 0, b = file->n_row_groups;
    while (a + 1 < b) {
        uint32_t middle = a + (b - a) / 2;
        if (group_at(file, middle)->first_row <= row)
            a = middle;
        else
            b = middle;
    }
    return a;
}

/* The leaf of the first row key; UINT32_MAX when there is none to go by. */
static uint32_t first_leaf(const struct merge_file *file)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(file->reader);
    for (uint32_t leaf = 0; leaf < metadata->n_leaves; leaf++)
        if (metadata->leaves[leaf].field == file->fields[0]) return leaf;
    return UINT32_MAX;
}

/* How a bound of statistics stands to a cut: all_below: every key with a first field up to it is
 * below; none_below: no key with such a first field, or a greater one, is. */
enum bound_side { ALL_BELOW, NONE_BELOW, SIDE_UNKNOWN };
static enum bound_side bound_side(const struct merge_file *file, uint32_t leaf, bool has,
                                  struct slice plain, struct slice cut)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_buffer struct buffer key = BUFFER_INIT(4 * (size_t)KEY_BYTES_MAX);
    const struct parquet_leaf *leaves = parquet_reader_metadata(file->reader)->leaves;
    struct value value;
    if (!has || parquet_statistic_value(&leaves[leaf], plain, &arena, &value) < 0 ||
        key_append_value(leaves[leaf].leaf_type, &value, &key) < 0) {
        error_clear();
        return SIDE_UNKNOWN;
    }
    struct slice bound = buffer_slice(&key);
    if (slice_compare(bound, cut) >= 0) return NONE_BELOW;
    return slice_starts_with(cut, bound) ? SIDE_UNKNOWN : ALL_BELOW;
}

/* Keys of rows [first, first + n) of a row group. */
static int read_keys(const struct merge_file *file, uint32_t group, uint64_t first, uint64_t n,
                     struct keys *out)
{
    struct batch *batch;
    TRY(parquet_reader_rows_of(file->reader, group, file->fields, file->context->n_keys, first, n,
                               file->context->budget, &batch));
    int code = keys_encode(out, batch, file->context->n_keys, file->context->budget);
    batch_release(batch);
    return code;
}

int merge_file_key(const struct merge_file *file, uint64_t row, struct buffer *out)
{
    uint32_t group = merge_file_group(file, row);
    struct keys keys;
    buffer_clear(out);
    TRY_CONTEXT(read_keys(file, group, row - group_at(file, group)->first_row, 1, &keys),
                "file %.*s", SLICE_PRINT(file->input->name));
    int code = buffer_append_slice(out, keys_get(&keys, 0));
    keys_free(&keys);
    return code;
}

/* Narrows rows [*low, *high] of a row group by its page index. */
static int narrow_by_pages(const struct merge_file *file, uint32_t group, uint32_t leaf,
                           struct slice cut, uint64_t *low, uint64_t *high)
{
    const struct parquet_page_index *index;
    TRY(parquet_reader_page_index(file->reader, group, leaf, &index));
    if (!index || !index->has_statistics) return 0;
    uint32_t a = 0, b = index->n_pages;
    while (a < b) { /* the first page that is not wholly below */
        uint32_t middle = a + (b - a) / 2;
        const struct parquet_statistics *s = &index->statistics[middle];
        if (bound_side(file, leaf, s->has_max, s->max, cut) == ALL_BELOW)
            a = middle + 1;
        else
            b = middle;
    }
    uint64_t n_rows = group_at(file, group)->n_rows;
    uint64_t first = a < index->n_pages ? index->pages[a].first_row : n_rows;
    b = index->n_pages;
    while (a < b) { /* the first page that has nothing below */
        uint32_t middle = a + (b - a) / 2;
        const struct parquet_statistics *s = &index->statistics[middle];
        if (bound_side(file, leaf, s->has_min, s->min, cut) == NONE_BELOW)
            b = middle;
        else
            a = middle + 1;
    }
    uint64_t last = a < index->n_pages ? index->pages[a].first_row : n_rows;
    if (first > *low) *low = first < *high ? first : *high;
    if (last < *high) *high = last > *low ? last : *low;
    return 0;
}

static int position_in_group(const struct merge_file *file, uint32_t group, struct slice cut,
                             uint64_t low, uint64_t high, uint64_t *out)
{
    struct keys keys;
    while (high - low > SEARCH_ROWS_MAX) {
        uint64_t middle = low + (high - low) / 2;
        TRY(read_keys(file, group, middle, 1, &keys));
        int c = slice_compare(keys_get(&keys, 0), cut);
        keys_free(&keys);
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    if (low == high) return 0;
    TRY(read_keys(file, group, low, high - low, &keys));
    int64_t a = 0, b = keys.n_rows;
    while (a < b) {
        int64_t middle = a + (b - a) / 2;
        if (slice_compare(keys_get(&keys, middle), cut) < 0)
            a = middle + 1;
        else
            b = middle;
    }
    keys_free(&keys);
    *out = low + (uint64_t)a;
    return 0;
}

/* Whether a row group ends before the cut. */
static int group_is_below(const struct merge_file *file, uint32_t group, uint32_t leaf,
                          struct slice cut, bool *below)
{
    const struct parquet_row_group *g = group_at(file, group);
    *below = true;
    if (g->n_rows == 0) return 0;
    if (leaf != UINT32_MAX) {
        const struct parquet_statistics *s = &g->chunks[leaf].statistics;
        if (bound_side(file, leaf, s->has_max, s->max, cut) == ALL_BELOW) return 0;
        *below = false;
        if (bound_side(file, leaf, s->has_min, s->min, cut) == NONE_BELOW) return 0;
        if (s->max_exact && bound_side(file, leaf, s->has_max, s->max, cut) == NONE_BELOW) return 0;
    }
    struct keys keys;
    TRY(read_keys(file, group, g->n_rows - 1, 1, &keys));
    *below = slice_compare(keys_get(&keys, 0), cut) < 0;
    keys_free(&keys);
    return 0;
}

static int find_position(const struct merge_file *file, struct slice cut, uint64_t low,
                         uint64_t high, uint64_t *out)
{
    *out = low;
    if (low >= high) return 0;
    uint32_t leaf = first_leaf(file);
    uint32_t a = merge_file_group(file, low), b = merge_file_group(file, high - 1);
    while (a < b) { /* the first row group that does not end before the cut */
        uint32_t middle = a + (b - a) / 2;
        bool below;
        TRY(group_is_below(file, middle, leaf, cut, &below));
        if (below)
            a = middle + 1;
        else
            b = middle;
    }
    const struct parquet_row_group *group = group_at(file, a);
    uint64_t from = low > group->first_row ? low - group->first_row : 0;
    uint64_t to = high - group->first_row < group->n_rows ? high - group->first_row : group->n_rows;
    if (leaf != UINT32_MAX) TRY(narrow_by_pages(file, a, leaf, cut, &from, &to));
    TRY(position_in_group(file, a, cut, from, to, out));
    *out += group->first_row;
    return 0;
}

int merge_file_position(const struct merge_file *file, struct slice cut, uint64_t low,
                        uint64_t high, uint64_t *out)
{
    TRY_CONTEXT(find_position(file, cut, low, high, out), "file %.*s",
                SLICE_PRINT(file->input->name));
    return 0;
}

/* ---- opening ---- */

/* The table's fields in the file, and whether its batches are the table's as they come. */
static int find_fields(struct merge_file *file)
{
    const struct merge_context *context = file->context;
    const struct schema *own = parquet_reader_schema(file->reader), *schema = context->schema;
    file->fields = memory_alloc_zero((schema->n_fields + 1) * sizeof *file->fields);
    file->is_present_form =
        file->input->schema_version == table_state_schema_version(context->state);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct field *field = &schema->fields[i];
        int at = schema_find(own, field->name);
        if (at < 0 && (i < context->n_keys || !field->nullable))
            return error_set(GLIS_ECORRUPT, "it lacks the field '%s'", field->name.data);
        if (at < 0) {
            file->is_present_form = false;
            continue;
        }
        const struct type *type = &own->fields[at].type;
        if (!type_equal(type, &field->type)) {
            if (i < context->n_keys)
                return error_set(GLIS_ECORRUPT, "its field '%s' has another type",
                                 field->name.data);
            file->is_present_form = false;
        }
        file->fields[file->n_fields++] = (uint32_t)at;
    }
    if (file->n_fields != own->n_fields) file->is_present_form = false;
    for (uint32_t i = 0; i < file->n_fields; i++)
        if (file->fields[i] != i) file->is_present_form = false;
    return 0;
}

static bool range_is_all(const struct key_range *range)
{
    return range->min.size == 0 && range->unbounded;
}

/* Whether a bound shows that all field keys lie in the range. */
static bool bound_is_inside(const struct file_bound *bound, const struct key_range *range)
{
    if (slice_compare(bound->min, range->min) < 0) return false;
    if (range->unbounded) return true;
    int c = slice_compare(bound->max, range->max);
    return c < 0 || (c == 0 && bound->max_exclusive);
}

static bool region_needs_test(const struct merge_file *file, uint32_t field)
{
    const struct merge_file_input *input = file->input;
    if (!input->region || range_is_all(&input->region[field])) return false;
    return !input->bounds || !bound_is_inside(&input->bounds[field], &input->region[field]);
}

static int find_region(struct merge_file *file)
{
    const struct key_range *first = file->input->region;
    file->begin = 0;
    file->end = parquet_reader_rows(file->reader);
    if (region_needs_test(file, 0)) {
        if (first->min.size)
            TRY(find_position(file, first->min, file->begin, file->end, &file->begin));
        if (!first->unbounded)
            TRY(find_position(file, first->max, file->begin, file->end, &file->end));
    }
    for (uint32_t i = 1; i < file->context->schema->n_row_keys; i++)
        file->filtered = file->filtered || region_needs_test(file, i);
    return 0;
}

static int open_file(struct merge_file *file)
{
    const struct merge_context *context = file->context;
    const struct merge_file_input *input = file->input;
    TRY(parquet_reader_open(&file->reader, context->runtime, context->store, input->object_key,
                            context->budget));
    const struct parquet_metadata *metadata = parquet_reader_metadata(file->reader);
    file->n_row_groups = metadata->n_row_groups;
    if (metadata->file_size != input->size)
        return error_set(GLIS_ECORRUPT, "it has %llu bytes, the table's state says %llu",
                         (unsigned long long)metadata->file_size, (unsigned long long)input->size);
    if (metadata->n_rows != input->rows)
        return error_set(GLIS_ECORRUPT, "it has %llu rows, the table's state says %llu",
                         (unsigned long long)metadata->n_rows, (unsigned long long)input->rows);
    TRY(find_fields(file));
    uint64_t bytes = 0;
    for (uint32_t g = 0; g < metadata->n_row_groups; g++)
        if (__builtin_add_overflow(bytes, metadata->row_groups[g].uncompressed_bytes, &bytes))
            bytes = UINT64_MAX;
    file->row_bytes = metadata->n_rows ? bytes / metadata->n_rows + 16 : 16;
    return find_region(file);
}

int merge_file_open(struct merge_file *file, const struct merge_context *context,
                    const struct merge_file_input *input)
{
    *file = (struct merge_file){.context = context, .input = input};
    int code = open_file(file);
    if (code == 0) return 0;
    error_context("file %.*s", SLICE_PRINT(input->name));
    merge_file_close(file);
    return code;
}

void merge_file_close(struct merge_file *file)
{
    parquet_reader_close(file->reader);
    free(file->fields);
    *file = (struct merge_file){0};
}

/* ---- rows ---- */

struct file_stream {
    struct batch_stream stream;
    const struct merge_file *file;
    struct batch_stream *rows;
};

/* Which rows of a batch lie in the region: bit by bit off where one field does not. */
static int test_field(const struct file_stream *self, const struct batch *batch, uint32_t field,
                      bool *inside)
{
    const struct key_range *range = &self->file->input->region[field];
    struct schema *schema;
    struct batch *one;
    struct keys keys;
    TRY(schema_project(batch->schema, &field, 1, &schema));
    int code = batch_project(batch, schema, &field, &one);
    schema_release(schema);
    TRY(code);
    code = keys_encode(&keys, one, 1, self->file->context->budget);
    batch_release(one);
    TRY(code);
    for (int64_t row = 0; row < keys.n_rows; row++)
        inside[row] = inside[row] && key_range_contains(range, keys_get(&keys, row));
    keys_free(&keys);
    return 0;
}

/* Leaves out the rows outside of the region. Takes the batch. */
static int keep_region(const struct file_stream *self, struct batch *batch, struct batch **out)
{
    const struct merge_file *file = self->file;
    int64_t n = batch->n_rows, n_kept = 0;
    bool *inside = memory_alloc((size_t)n + 1);
    uint32_t *rows = memory_alloc(((size_t)n + 1) * sizeof *rows);
    memset(inside, 1, (size_t)n);
    int code = 0;
    for (uint32_t i = 1; i < file->context->schema->n_row_keys && code == 0; i++)
        if (region_needs_test(file, i)) code = test_field(self, batch, i, inside);
    for (int64_t row = 0; row < n; row++)
        if (inside[row]) rows[n_kept++] = (uint32_t)row;
    *out = batch;
    if (code == 0 && n_kept < n) code = batch_take(batch, rows, n_kept, file->context->budget, out);
    if (code < 0 || n_kept < n) batch_release(batch);
    free(inside);
    free(rows);
    return code;
}

/* In the table's schema. Takes the batch. */
static int bring_to_present(const struct merge_file *file, struct batch *batch, struct batch **out)
{
    int code;
    if (file->is_present_form)
        code = batch_project(batch, file->context->schema, file->fields, out);
    else
        code = batch_evolve(batch, file->context->schema, file->context->budget, out);
    batch_release(batch);
    return code;
}

static int next_batch(struct file_stream *self, struct batch **out)
{
    struct batch *batch;
    TRY(batch_stream_next(self->rows, &batch));
    if (!batch) return 0;
    TRY(bring_to_present(self->file, batch, &batch));
    if (self->file->filtered) TRY(keep_region(self, batch, &batch));
    *out = batch;
    return 0;
}

static int file_stream_next(struct batch_stream *stream, struct batch **out)
{
    struct file_stream *self = (struct file_stream *)stream;
    *out = NULL;
    TRY_CONTEXT(next_batch(self, out), "file %.*s", SLICE_PRINT(self->file->input->name));
    return 0;
}

static void file_stream_close(struct batch_stream *stream)
{
    struct file_stream *self = (struct file_stream *)stream;
    batch_stream_close(self->rows);
    free(self);
}

int merge_file_stream(const struct merge_file *file, uint64_t begin, uint64_t end,
                      int64_t batch_rows, struct batch_stream **out)
{
    struct batch_stream *rows;
    TRY_CONTEXT(parquet_reader_stream_serial(file->reader, file->fields, file->n_fields, begin,
                                             end - begin, batch_rows, file->context->budget, &rows),
                "file %.*s", SLICE_PRINT(file->input->name));
    struct file_stream *self = memory_alloc_zero(sizeof *self);
    self->stream =
        (struct batch_stream){file->context->schema, file_stream_next, file_stream_close};
    self->file = file;
    self->rows = rows;
    *out = &self->stream;
    return 0;
}
