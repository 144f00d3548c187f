/*
 * metadata_read.c: the footer's message: what a Parquet file says of itself. The structs are those
 * of parquet.thrift (https://github.com/apache/parquet-format): FileMetaData, SchemaElement,
 * RowGroup, ColumnChunk, ColumnMetaData, Statistics.
 *
 * The footer is copied into the arena once and all slices point into the copy, so the caller may
 * drop its bytes. Row groups are read last, whatever the order of the fields, since their chunks
 * are checked against the schema. All numbers are checked here, so that those who read pages need
 * not: counts are not negative and agree with each other, offsets and sizes lie in the file, each
 * row group has a chunk for each leaf, of the leaf's type.
 *
 * Bounds are kept only where their order is known: min_value and max_value when the file says that
 * the column has the order of its type, or when older orders were the same; the deprecated min and
 * max for signed values only. A column of unknown order loses its column indexes too. What is wrong
 * in statistics is left out, for files are read without them as well.
 */
#include "base/text.h"
#include "parquet/parquet_read_int.h"

enum {
    COLUMN_ORDER_TYPE = 1,
    LOGICAL_DECIMAL = 5,
    LOGICAL_TIME = 7,
    LOGICAL_INTEGER = 10,
    LOGICAL_VARIANT = 16,
    LOGICAL_GEOMETRY = 17,
    LOGICAL_GEOGRAPHY = 18,
};

/* The least bytes that an element of such a list takes: its required fields and its end. */
enum { ELEMENT_BYTES_MIN = 3, GROUP_BYTES_MIN = 7, CHUNK_BYTES_MIN = 3, KEY_VALUE_BYTES_MIN = 3 };

struct metadata_parse {
    struct arena *arena;
    struct parquet_metadata *metadata;
    struct schema_element *elements;
    uint32_t n_elements;
    struct thrift_cursor groups; /* behind the field's header */
    bool has_groups, has_orders;
    bool *ordered; /* a leaf's order is that of its type */
    struct thrift_cursor orders;
};

static int corrupt(const char *what)
{
    return error_set(GLIS_ECORRUPT, "%s", what);
}

static int try_array(struct arena *arena, size_t item_size, uint64_t n, void *out)
{
    void *memory;
    size_t size;
    if (__builtin_mul_overflow(item_size, n, &size))
        return error_set(GLIS_ELIMIT, "the metadata is too large");
    TRY(arena_try_alloc(arena, size, &memory));
    memset(memory, 0, size);
    memcpy(out, &memory, sizeof(memory));
    return 0;
}

/* A list of structs; hostile counts are found before anything is sized by them. */
static int struct_list(struct thrift_cursor *cursor, int type, unsigned bytes_min, uint32_t *n)
{
    int element;
    TRY(thrift_list(cursor, type, &element, n));
    if (*n > 0 && element != THRIFT_STRUCT) return corrupt("the metadata has a list of no structs");
    if (*n > (uint64_t)(cursor->end - cursor->next) / bytes_min)
        return corrupt("a list of the metadata claims more than there is");
    return 0;
}

/* A number that is not negative. */
static int natural(struct thrift_cursor *cursor, int type, const char *what, int64_t *out)
{
    TRY(thrift_integer(cursor, type, out));
    if (*out < 0) return error_set(GLIS_ECORRUPT, "%s is negative", what);
    return 0;
}

static int small_integer(struct thrift_cursor *cursor, int type, int *out)
{
    int64_t value;
    TRY(thrift_integer(cursor, type, &value));
    *out = value < 0 || value > INT32_MAX ? INT32_MAX : (int)value;
    return 0;
}

/* ---- schema elements ---- */

/* TimeUnit, a union of empty structs. */
static int read_unit(struct thrift_cursor *cursor, int type, int *unit)
{
    int id = 0, field;
    if (type != THRIFT_STRUCT) return corrupt("a time unit is no union");
    for (;;) {
        TRY(thrift_field(cursor, &id, &field));
        if (field == THRIFT_STOP) return 0;
        if (id < 1 || id > 3) return error_set(GLIS_EUNSUPPORTED, "time unit %d", id);
        *unit = id == 1 ? UNIT_MILLI : id == 2 ? UNIT_MICRO : UNIT_NANO;
        TRY(thrift_skip(cursor, field));
    }
}

/* VariantType, GeometryType, GeographyType. What makes no sense in them is as not said. */
static int read_carried_part(struct thrift_cursor *cursor, int logical, int id, int type,
                             struct schema_element *element)
{
    bool geo = logical == LOGICAL_GEOMETRY || logical == LOGICAL_GEOGRAPHY;
    int64_t number;
    if (geo && id == 1 && type == THRIFT_BINARY) {
        struct slice crs;
        TRY(thrift_binary(cursor, type, &crs));
        if (text_is_utf8(crs, NULL)) element->crs = crs;
        return 0;
    }
    bool algorithm = logical == LOGICAL_GEOGRAPHY && id == 2;
    bool version = logical == LOGICAL_VARIANT && id == 1;
    if (!(algorithm || version) || type < THRIFT_I8 || type > THRIFT_I64)
        return thrift_skip(cursor, type);
    TRY(thrift_integer(cursor, type, &number));
    if (algorithm && number >= 0 && number <= INT32_MAX) element->edge_algorithm = (int)number;
    if (version && number > 0 && number <= INT8_MAX) element->variant_version = (int)number;
    return 0;
}

/* The struct inside the union: DecimalType, TimeType, TimestampType, IntType, or one without
 * fields that matter. */
static int read_logical_parts(struct thrift_cursor *cursor, int logical,
                              struct schema_element *element)
{
    int id = 0, type;
    int64_t number;
    bool is_decimal = logical == LOGICAL_DECIMAL, is_integer = logical == LOGICAL_INTEGER;
    bool is_time = logical == LOGICAL_TIME || logical == LOGICAL_TIME + 1;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        if (is_decimal && id == 1) {
            TRY(thrift_integer(cursor, type, &element->scale));
        } else if (is_decimal && id == 2) {
            TRY(thrift_integer(cursor, type, &element->precision));
        } else if (is_time && id == 1) {
            TRY(thrift_boolean(cursor, type, &element->logical_utc));
        } else if (is_time && id == 2) {
            TRY(read_unit(cursor, type, &element->logical_unit));
        } else if (is_integer && id == 1) {
            TRY(thrift_integer(cursor, type, &number));
            element->logical_bits = number < 0 || number > 64 ? 0 : (int)number;
        } else if (is_integer && id == 2) {
            TRY(thrift_boolean(cursor, type, &element->logical_signed));
        } else {
            TRY(read_carried_part(cursor, logical, id, type, element));
        }
    }
}

static int read_logical(struct thrift_cursor *cursor, int type, struct schema_element *element)
{
    int id = 0, member;
    if (type != THRIFT_STRUCT) return corrupt("a logical type is no union");
    for (;;) {
        TRY(thrift_field(cursor, &id, &member));
        if (member == THRIFT_STOP) return 0;
        element->logical = id;
        if (member == THRIFT_STRUCT)
            TRY(read_logical_parts(cursor, id, element));
        else
            TRY(thrift_skip(cursor, member));
    }
}

static int read_element(struct thrift_cursor *cursor, struct schema_element *element)
{
    int id = 0, type;
    bool has_name = false;
    int64_t scale = 0, precision = 0;
    *element = (struct schema_element){.type = -1,
                                       .repetition = -1,
                                       .converted = -1,
                                       .logical = -1,
                                       .edge_algorithm = -1,
                                       .scale = INT64_MIN,
                                       .precision = INT64_MIN};
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) break;
        switch (id) {
        case 1: TRY(small_integer(cursor, type, &element->type)); break;
        case 2: TRY(thrift_integer(cursor, type, &element->type_length)); break;
        case 3: TRY(small_integer(cursor, type, &element->repetition)); break;
        case 4:
            TRY(thrift_binary(cursor, type, &element->name));
            has_name = true;
            break;
        case 5: TRY(natural(cursor, type, "a number of children", &element->n_children)); break;
        case 6: TRY(small_integer(cursor, type, &element->converted)); break;
        case 7: TRY(thrift_integer(cursor, type, &scale)); break;
        case 8: TRY(thrift_integer(cursor, type, &precision)); break;
        case 10: TRY(read_logical(cursor, type, element)); break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
    if (!has_name) return corrupt("a schema element has no name");
    /* The logical type's own numbers come first. */
    if (element->scale == INT64_MIN) element->scale = scale;
    if (element->precision == INT64_MIN) element->precision = precision;
    return 0;
}

static int read_elements(struct metadata_parse *parse, struct thrift_cursor *cursor, int type)
{
    TRY(struct_list(cursor, type, ELEMENT_BYTES_MIN, &parse->n_elements));
    TRY(try_array(parse->arena, sizeof(struct schema_element), parse->n_elements,
                  &parse->elements));
    for (uint32_t i = 0; i < parse->n_elements; i++)
        TRY_CONTEXT(read_element(cursor, &parse->elements[i]), "schema element %u", i);
    return 0;
}

/* ---- statistics ---- */

static void keep_bounds(const struct parquet_leaf *leaf, struct parquet_statistics *out)
{
    out->has_min = out->has_min && parquet_statistic_bound(leaf, false, &out->min, &out->min_exact);
    out->has_max = out->has_max && parquet_statistic_bound(leaf, true, &out->max, &out->max_exact);
}

int parquet_statistics_read(struct thrift_cursor *cursor, int type, const struct parquet_leaf *leaf,
                            struct parquet_statistics *out)
{
    int id = 0, field;
    bool has_old_min = false, has_old_max = false;
    struct slice old_min = SLICE_EMPTY, old_max = SLICE_EMPTY;
    *out = (struct parquet_statistics){.min_exact = true, .max_exact = true};
    if (type != THRIFT_STRUCT) return corrupt("statistics are no struct");
    for (;;) {
        TRY(thrift_field(cursor, &id, &field));
        if (field == THRIFT_STOP) break;
        switch (id) {
        case 1:
            TRY(thrift_binary(cursor, field, &old_max));
            has_old_max = true;
            break;
        case 2:
            TRY(thrift_binary(cursor, field, &old_min));
            has_old_min = true;
            break;
        case 3:
            TRY(thrift_integer(cursor, field, &out->null_count));
            out->has_null_count = out->null_count >= 0;
            break;
        case 4:
            TRY(thrift_integer(cursor, field, &out->distinct_count));
            out->has_distinct_count = out->distinct_count >= 0;
            break;
        case 5:
            TRY(thrift_binary(cursor, field, &out->max));
            out->has_max = true;
            break;
        case 6:
            TRY(thrift_binary(cursor, field, &out->min));
            out->has_min = true;
            break;
        case 7: TRY(thrift_boolean(cursor, field, &out->max_exact)); break;
        case 8: TRY(thrift_boolean(cursor, field, &out->min_exact)); break;
        default: TRY(thrift_skip(cursor, field));
        }
    }
    if (!out->has_min && !out->has_max && parquet_leaf_is_signed(leaf)) {
        out->has_min = has_old_min;
        out->has_max = has_old_max;
        out->min = old_min;
        out->max = old_max;
    }
    keep_bounds(leaf, out);
    return 0;
}

/* ---- column chunks ---- */

static int read_encodings(struct thrift_cursor *cursor, int type, uint32_t *encodings)
{
    int element;
    uint32_t n;
    TRY(thrift_list(cursor, type, &element, &n));
    for (uint32_t i = 0; i < n; i++) {
        int64_t encoding;
        TRY(thrift_integer(cursor, element, &encoding));
        if (encoding >= 0 && encoding < 32) *encodings |= (uint32_t)1 << encoding;
    }
    return 0;
}

struct chunk_numbers {
    int64_t n_values, uncompressed, compressed, data_page, dictionary_page, bloom, bloom_size;
    int64_t offset_index, offset_index_size, column_index, column_index_size;
    int physical_type;
    bool has_metadata, is_encrypted, is_elsewhere;
};

/* There are files that have something else under these ids, which were unused once. */
static int read_bloom(struct thrift_cursor *cursor, int type, int64_t *out)
{
    if (type != THRIFT_I32 && type != THRIFT_I64) return thrift_skip(cursor, type);
    return natural(cursor, type, "the place of the bloom filter", out);
}

/* ColumnMetaData. */
static int read_column(struct thrift_cursor *cursor, int struct_type, struct arena *arena,
                       const struct parquet_leaf *leaf, struct chunk_numbers *numbers,
                       struct parquet_chunk *chunk)
{
    int id = 0, type;
    if (struct_type != THRIFT_STRUCT) return corrupt("a chunk's metadata is no struct");
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        switch (id) {
        case 1: TRY(small_integer(cursor, type, &numbers->physical_type)); break;
        case 2: TRY(read_encodings(cursor, type, &chunk->encodings)); break;
        case 4: TRY(small_integer(cursor, type, &chunk->codec)); break;
        case 5: TRY(natural(cursor, type, "the number of values", &numbers->n_values)); break;
        case 6: TRY(natural(cursor, type, "the size", &numbers->uncompressed)); break;
        case 7: TRY(natural(cursor, type, "the compressed size", &numbers->compressed)); break;
        case 9: TRY(natural(cursor, type, "the data's offset", &numbers->data_page)); break;
        case 11:
            TRY(natural(cursor, type, "the dictionary's offset", &numbers->dictionary_page));
            break;
        case 12: TRY(parquet_statistics_read(cursor, type, leaf, &chunk->statistics)); break;
        case 14: TRY(read_bloom(cursor, type, &numbers->bloom)); break;
        case 15: TRY(read_bloom(cursor, type, &numbers->bloom_size)); break;
        case 16: TRY(parquet_sizes_read(cursor, type, leaf, arena, &chunk->sizes)); break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
}

static int read_chunk_fields(struct thrift_cursor *cursor, struct arena *arena,
                             const struct parquet_leaf *leaf, struct chunk_numbers *numbers,
                             struct parquet_chunk *chunk)
{
    static const char index[] = "the place of an index";
    int id = 0, type;
    struct slice path;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        switch (id) {
        case 1:
            TRY(thrift_binary(cursor, type, &path));
            numbers->is_elsewhere = path.size > 0;
            break;
        case 3:
            TRY(read_column(cursor, type, arena, leaf, numbers, chunk));
            numbers->has_metadata = true;
            break;
        case 4: TRY(natural(cursor, type, index, &numbers->offset_index)); break;
        case 5: TRY(natural(cursor, type, index, &numbers->offset_index_size)); break;
        case 6: TRY(natural(cursor, type, index, &numbers->column_index)); break;
        case 7: TRY(natural(cursor, type, index, &numbers->column_index_size)); break;
        case 8:
        case 9:
            numbers->is_encrypted = true;
            TRY(thrift_skip(cursor, type));
            break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
}

/* A range of the file; nothing of it when it is empty or begins at 0. */
static int place_in_file(const char *what, int64_t offset, int64_t size, uint64_t file_size,
                         uint64_t *offset_out, uint64_t *size_out)
{
    *offset_out = *size_out = 0;
    if (offset == 0 || size == 0) return 0;
    if ((uint64_t)offset > file_size || (uint64_t)size > file_size - (uint64_t)offset)
        return error_set(GLIS_ECORRUPT, "%s is not inside of the file: %lld bytes at %lld", what,
                         (long long)size, (long long)offset);
    *offset_out = (uint64_t)offset;
    *size_out = (uint64_t)size;
    return 0;
}

/* parquet-mr up to 1.2.8 did not count the dictionary page's header in a chunk's size
 * (PARQUET-816, IMPALA-694); its earliest versions do not say which they are. */
static bool sizes_lack_header(struct slice created_by)
{
    static const uint64_t last[] = {1, 2, 8};
    const struct slice name = SLICE("parquet-mr"), words = SLICE("parquet-mr version ");
    if (slice_equal(created_by, name)) return true;
    if (!slice_starts_with(created_by, words)) return false;
    size_t at = words.size;
    for (int part = 0; part < 3; part++) {
        size_t begin = at;
        uint64_t number;
        while (at < created_by.size && created_by.data[at] >= '0' && created_by.data[at] <= '9')
            at++;
        if (text_parse_uint64(slice_part(created_by, begin, at - begin), &number) < 0) {
            error_clear();
            return false;
        }
        if (number != last[part]) return number < last[part];
        at++; /* the point */
    }
    return true;
}

static int place_chunk(const struct chunk_numbers *numbers, uint64_t file_size, bool lacks_header,
                       struct parquet_chunk *chunk)
{
    enum { HEADER_BYTES_MAX = 100 };
    uint64_t data = (uint64_t)numbers->data_page;
    uint64_t dictionary = (uint64_t)numbers->dictionary_page;
    if (data == 0) data = dictionary; /* Arrow's, of chunks without a data page */
    if (dictionary >= data) dictionary = 0;
    chunk->data_page_offset = data;
    chunk->dictionary_page_offset = dictionary;
    chunk->start = dictionary ? dictionary : data;
    chunk->n_values = numbers->n_values;
    chunk->compressed_bytes = (uint64_t)numbers->compressed;
    chunk->uncompressed_bytes = (uint64_t)numbers->uncompressed;
    if (data > file_size || chunk->compressed_bytes > file_size - chunk->start)
        return error_set(GLIS_ECORRUPT, "the pages are not inside of the file: %llu bytes at %llu",
                         (unsigned long long)chunk->compressed_bytes,
                         (unsigned long long)chunk->start);
    if (lacks_header) {
        uint64_t room = file_size - chunk->start - chunk->compressed_bytes;
        chunk->compressed_bytes += room < HEADER_BYTES_MAX ? room : HEADER_BYTES_MAX;
    }
    TRY(place_in_file("the offset index", numbers->offset_index, numbers->offset_index_size,
                      file_size, &chunk->offset_index_offset, &chunk->offset_index_size));
    TRY(place_in_file("the column index", numbers->column_index, numbers->column_index_size,
                      file_size, &chunk->column_index_offset, &chunk->column_index_size));
    /* Older writers give no size. */
    if ((uint64_t)numbers->bloom > file_size)
        return corrupt("the bloom filter is not inside of the file");
    TRY(place_in_file("the bloom filter", numbers->bloom, numbers->bloom_size, file_size,
                      &chunk->bloom_offset, &chunk->bloom_size));
    chunk->bloom_offset = (uint64_t)numbers->bloom;
    return 0;
}

static int read_chunk(struct metadata_parse *parse, struct thrift_cursor *cursor, uint32_t leaf,
                      struct parquet_chunk *chunk)
{
    const struct parquet_leaf *column = &parse->metadata->leaves[leaf];
    struct chunk_numbers numbers = {
        .n_values = -1, .uncompressed = -1, .compressed = -1, .data_page = -1, .physical_type = -1};
    chunk->codec = -1;
    chunk->sizes.text_bytes = -1;
    TRY(read_chunk_fields(cursor, parse->arena, column, &numbers, chunk));
    if (numbers.is_encrypted) return error_set(GLIS_EUNSUPPORTED, "the column is encrypted");
    if (numbers.is_elsewhere)
        return error_set(GLIS_EUNSUPPORTED, "the column's data is in another file");
    if (!numbers.has_metadata) return corrupt("the chunk has no metadata");
    if (numbers.n_values < 0 || numbers.uncompressed < 0 || numbers.compressed < 0 ||
        numbers.data_page < 0 || chunk->codec < 0)
        return corrupt("the chunk's metadata lacks a field");
    if (numbers.physical_type != (int)column->type)
        return error_set(GLIS_ECORRUPT, "the chunk has physical type %d, the schema %d",
                         numbers.physical_type, (int)column->type);
    TRY(place_chunk(&numbers, parse->metadata->file_size,
                    sizes_lack_header(parse->metadata->created_by), chunk));
    struct parquet_statistics *statistics = &chunk->statistics;
    if (statistics->null_count > chunk->n_values) statistics->has_null_count = false;
    if (statistics->distinct_count > chunk->n_values) statistics->has_distinct_count = false;
    if (!parse->ordered[leaf] && !parquet_leaf_is_signed(column)) {
        statistics->has_min = statistics->has_max = false;
        chunk->column_index_offset = chunk->column_index_size = 0;
    }
    return 0;
}

/* ---- row groups ---- */

static int read_sorting_column(struct metadata_parse *parse, struct thrift_cursor *cursor,
                               struct parquet_sorting *out)
{
    int id = 0, type;
    int64_t leaf = -1;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) break;
        switch (id) {
        case 1: TRY(thrift_integer(cursor, type, &leaf)); break;
        case 2: TRY(thrift_boolean(cursor, type, &out->descending)); break;
        case 3: TRY(thrift_boolean(cursor, type, &out->nulls_first)); break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
    if (leaf < 0 || leaf >= parse->metadata->n_leaves)
        return error_set(GLIS_ECORRUPT, "sorted by column %lld, which does not exist",
                         (long long)leaf);
    out->leaf = (uint32_t)leaf;
    return 0;
}

static int read_sorting(struct metadata_parse *parse, struct thrift_cursor *cursor, int type,
                        struct parquet_row_group *group)
{
    struct parquet_sorting *sorting;
    uint32_t n;
    TRY(struct_list(cursor, type, 1, &n));
    TRY(try_array(parse->arena, sizeof(*sorting), n, &sorting));
    for (uint32_t i = 0; i < n; i++)
        TRY(read_sorting_column(parse, cursor, &sorting[i]));
    group->n_sorting = n;
    group->sorting = sorting;
    return 0;
}

static int read_chunks(struct metadata_parse *parse, struct thrift_cursor *cursor, int type,
                       struct parquet_row_group *group)
{
    const struct parquet_metadata *metadata = parse->metadata;
    uint32_t n;
    if (group->chunks) return corrupt("the row group lists its columns twice");
    TRY(struct_list(cursor, type, CHUNK_BYTES_MIN, &n));
    if (n != metadata->n_leaves)
        return error_set(GLIS_ECORRUPT, "%u chunks for %u columns", n, metadata->n_leaves);
    TRY(try_array(parse->arena, sizeof(struct parquet_chunk), n, &group->chunks));
    for (uint32_t i = 0; i < n; i++)
        TRY_CONTEXT(read_chunk(parse, cursor, i, &group->chunks[i]), "column '%.*s'",
                    SLICE_PRINT(metadata->leaves[i].path));
    return 0;
}

static int check_values(const struct parquet_metadata *metadata,
                        const struct parquet_row_group *group)
{
    for (uint32_t i = 0; i < metadata->n_leaves; i++) {
        uint64_t n_values = (uint64_t)group->chunks[i].n_values;
        bool repeated = metadata->leaves[i].max_repetition > 0;
        if (n_values < group->n_rows || (!repeated && n_values != group->n_rows))
            return error_set(GLIS_ECORRUPT, "column '%.*s' has %llu values in %llu rows",
                             SLICE_PRINT(metadata->leaves[i].path), (unsigned long long)n_values,
                             (unsigned long long)group->n_rows);
    }
    return 0;
}

static int read_group(struct metadata_parse *parse, struct thrift_cursor *cursor,
                      struct parquet_row_group *group)
{
    int id = 0, type;
    int64_t n_rows = -1, bytes = 0;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) break;
        switch (id) {
        case 1: TRY(read_chunks(parse, cursor, type, group)); break;
        case 2: TRY(natural(cursor, type, "the size", &bytes)); break;
        case 3: TRY(natural(cursor, type, "the number of rows", &n_rows)); break;
        case 4: TRY(read_sorting(parse, cursor, type, group)); break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
    if (n_rows < 0 || !group->chunks) return corrupt("the row group lacks a field");
    group->n_rows = (uint64_t)n_rows;
    group->uncompressed_bytes = (uint64_t)bytes;
    return check_values(parse->metadata, group);
}

static int read_groups(struct metadata_parse *parse)
{
    struct parquet_metadata *metadata = parse->metadata;
    struct thrift_cursor *cursor = &parse->groups;
    uint32_t n;
    uint64_t rows = 0;
    TRY(struct_list(cursor, THRIFT_LIST, GROUP_BYTES_MIN, &n));
    TRY(try_array(parse->arena, sizeof(struct parquet_row_group), n, &metadata->row_groups));
    for (uint32_t i = 0; i < n; i++) {
        struct parquet_row_group *group = &metadata->row_groups[i];
        TRY_CONTEXT(read_group(parse, cursor, group), "row group %u", i);
        group->first_row = rows;
        if (__builtin_add_overflow(rows, group->n_rows, &rows) || rows > INT64_MAX)
            return corrupt("the row groups have too many rows");
    }
    metadata->n_row_groups = n;
    /* Some writers left the number at 0. */
    if (metadata->n_rows == 0) metadata->n_rows = rows;
    if (rows != metadata->n_rows)
        return error_set(GLIS_ECORRUPT, "the row groups have %llu rows, the file %llu",
                         (unsigned long long)rows, (unsigned long long)metadata->n_rows);
    return 0;
}

/* ---- the file ---- */

/* A ColumnOrder for each leaf: a union, of which member 1 is the order of the type. */
static int read_orders(struct metadata_parse *parse)
{
    uint32_t n;
    struct thrift_cursor *cursor = &parse->orders;
    TRY(try_array(parse->arena, sizeof(bool), parse->metadata->n_leaves, &parse->ordered));
    if (!parse->has_orders) return 0;
    TRY(struct_list(cursor, THRIFT_LIST, 1, &n));
    for (uint32_t i = 0; i < n; i++) {
        int id = 0, type, order = 0;
        for (;;) {
            TRY(thrift_field(cursor, &id, &type));
            if (type == THRIFT_STOP) break;
            order = id;
            TRY(thrift_skip(cursor, type));
        }
        if (i < parse->metadata->n_leaves) parse->ordered[i] = order == COLUMN_ORDER_TYPE;
    }
    return 0;
}

static int read_key_value(struct thrift_cursor *cursor, struct parquet_key_value *out)
{
    int id = 0, type;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        switch (id) {
        case 1: TRY(thrift_binary(cursor, type, &out->key)); break;
        case 2: TRY(thrift_binary(cursor, type, &out->value)); break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
}

static int read_key_values(struct metadata_parse *parse, struct thrift_cursor *cursor, int type)
{
    struct parquet_metadata *metadata = parse->metadata;
    uint32_t n;
    TRY(struct_list(cursor, type, KEY_VALUE_BYTES_MIN, &n));
    TRY(try_array(parse->arena, sizeof(struct parquet_key_value), n, &metadata->key_values));
    for (uint32_t i = 0; i < n; i++)
        TRY_CONTEXT(read_key_value(cursor, &metadata->key_values[i]), "key-value entry %u", i);
    metadata->n_key_values = n;
    return 0;
}

static int keep_list(struct thrift_cursor *cursor, int type, bool *has, struct thrift_cursor *out)
{
    if (type != THRIFT_LIST) return corrupt("the metadata has no list where one must be");
    *has = true;
    *out = *cursor;
    return thrift_skip(cursor, type);
}

static int read_file(struct metadata_parse *parse, struct thrift_cursor *cursor)
{
    struct parquet_metadata *metadata = parse->metadata;
    int id = 0, type;
    int64_t n_rows = -1;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) break;
        switch (id) {
        case 1: TRY(small_integer(cursor, type, &metadata->version)); break;
        case 2: TRY(read_elements(parse, cursor, type)); break;
        case 3: TRY(natural(cursor, type, "the number of rows", &n_rows)); break;
        case 4: TRY(keep_list(cursor, type, &parse->has_groups, &parse->groups)); break;
        case 5: TRY(read_key_values(parse, cursor, type)); break;
        case 6: TRY(thrift_binary(cursor, type, &metadata->created_by)); break;
        case 7: TRY(keep_list(cursor, type, &parse->has_orders, &parse->orders)); break;
        case 8: return error_set(GLIS_EUNSUPPORTED, "the file is encrypted");
        default: TRY(thrift_skip(cursor, type));
        }
    }
    if (n_rows < 0 || !parse->elements || !parse->has_groups)
        return corrupt("the metadata lacks a field");
    metadata->n_rows = (uint64_t)n_rows;
    return 0;
}

int parquet_metadata_read(struct slice footer, struct arena *arena,
                          struct parquet_metadata *metadata, struct schema **schema,
                          struct node **nodes)
{
    struct metadata_parse parse = {.arena = arena, .metadata = metadata};
    void *copy;
    *schema = NULL;
    TRY(arena_try_alloc(arena, footer.size, &copy));
    if (footer.size) memcpy(copy, footer.data, footer.size);
    struct thrift_cursor cursor = {(const uint8_t *)copy, (const uint8_t *)copy + footer.size};
    TRY_CONTEXT(read_file(&parse, &cursor), "the footer");
    TRY_CONTEXT(
        parquet_schema_build(parse.elements, parse.n_elements, arena, schema, nodes, metadata),
        "the schema");
    int code = read_orders(&parse);
    if (code == 0) code = read_groups(&parse);
    if (code < 0) {
        error_context("the footer");
        schema_release(*schema);
        *schema = NULL;
    }
    return code;
}
