/*
 * page_index.c: the offset and column indexes of a chunk (PageIndex.md and parquet.thrift of
 * https://github.com/apache/parquet-format), and bounds of statistics as values.
 *
 * The offset index is what reading by pages stands on, so it is checked in full: pages lie one
 * after another inside of their chunk, none is empty of bytes, and their first rows ascend from 0
 * inside of the row group. The column index may only leave out: it has an entry for each page, and
 * what it says must agree with itself. Bounds in it may be shortened, so those of byte arrays count
 * as bounds only, never as values that occur.
 *
 * Which bounds are kept: those of a type with a defined order and of the right size. NaN has no
 * place in the order and is left out. A zero of a floating-point type is widened, to -0 below and 0
 * above, since writers did not tell them apart.
 */
#include "parquet/parquet_read_int.h"

enum { DECIMAL256_BYTES = 32 };

static int corrupt(const char *what)
{
    return error_set(GLIS_ECORRUPT, "%s", what);
}

static int try_array(struct arena *arena, size_t item_size, uint64_t n, void *out)
{
    void *memory;
    size_t size;
    if (__builtin_mul_overflow(item_size, n, &size))
        return error_set(GLIS_ELIMIT, "the page index is too large");
    TRY(arena_try_alloc(arena, size, &memory));
    memset(memory, 0, size);
    memcpy(out, &memory, sizeof(memory));
    return 0;
}

/* ---- bounds as values ---- */

static uint64_t little(struct slice plain)
{
    uint64_t bits = 0;
    for (size_t i = plain.size; i-- > 0;)
        bits = bits << 8 | (uint8_t)plain.data[i];
    return bits;
}

static double half_to_double(uint16_t bits)
{
    unsigned exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 0   ? (double)fraction * 0x1p-24
                   : exponent < 31 ? __builtin_ldexp(1024.0 + fraction, (int)exponent - 25)
                   : fraction == 0 ? __builtin_inf()
                                   : __builtin_nan("");
    return bits & 0x8000 ? -value : value;
}

static double real_of(const struct parquet_leaf *leaf, uint64_t bits)
{
    float single;
    double wide;
    uint32_t low = (uint32_t)bits;
    if (leaf->leaf_type->kind == TYPE_FLOAT16) return half_to_double((uint16_t)bits);
    memcpy(&single, &low, sizeof(single));
    memcpy(&wide, &bits, sizeof(wide));
    return leaf->leaf_type->kind == TYPE_FLOAT ? (double)single : wide;
}

static bool is_real(enum type_kind kind)
{
    return kind == TYPE_FLOAT16 || kind == TYPE_FLOAT || kind == TYPE_DOUBLE;
}

/* Whether a plain value of the leaf has so many bytes. */
static bool has_size(const struct parquet_leaf *leaf, size_t size)
{
    if (leaf->type != PARQUET_BYTE_ARRAY) return size == leaf_width(leaf);
    enum type_kind kind = leaf->leaf_type->kind;
    return kind == TYPE_DECIMAL || kind == TYPE_DECIMAL256 ? size > 0 : true;
}

/* Big-endian two's complement of any length to `width` little-endian bytes; false when it does not
 * fit. */
static bool decimal_bytes(struct slice plain, uint8_t *out, size_t width)
{
    uint8_t sign = (uint8_t)plain.data[0] & 0x80 ? 0xff : 0;
    memset(out, sign, width);
    for (size_t i = 0; i < plain.size; i++) {
        uint8_t byte = (uint8_t)plain.data[plain.size - 1 - i];
        if (i < width)
            out[i] = byte;
        else if (byte != sign)
            return false;
    }
    return ((out[width - 1] ^ sign) & 0x80) == 0;
}

/* Of a BYTE_ARRAY or FIXED_LEN_BYTE_ARRAY. */
static int decimal_value(const struct parquet_leaf *leaf, struct slice plain, struct arena *arena,
                         struct value *out)
{
    uint8_t bytes[DECIMAL256_BYTES];
    bool wide = leaf->leaf_type->kind == TYPE_DECIMAL256;
    if (!decimal_bytes(plain, bytes, wide ? DECIMAL256_BYTES : sizeof(int128)))
        return corrupt("a bound of the statistics is too large for the decimal");
    if (!wide) {
        memcpy(&out->decimal, bytes, sizeof(int128));
        return 0;
    }
    void *copy;
    TRY(arena_try_alloc(arena, DECIMAL256_BYTES, &copy));
    memcpy(copy, bytes, DECIMAL256_BYTES);
    out->bytes = slice_make(copy, DECIMAL256_BYTES);
    return 0;
}

/* Of INT32 and INT64: small types must hold it. */
static int integer_value(const struct parquet_leaf *leaf, struct slice plain, struct value *out)
{
    bool wide = leaf->type == PARQUET_INT64;
    int64_t value = wide ? (int64_t)little(plain) : (int32_t)(uint32_t)little(plain);
    int64_t low = INT64_MIN, high = INT64_MAX;
    switch (leaf->leaf_type->kind) {
    case TYPE_INT8: low = INT8_MIN, high = INT8_MAX; break;
    case TYPE_INT16: low = INT16_MIN, high = INT16_MAX; break;
    case TYPE_UINT8: low = 0, high = UINT8_MAX; break;
    case TYPE_UINT16: low = 0, high = UINT16_MAX; break;
    case TYPE_UINT32: value = (int64_t)(uint32_t)value; break;
    case TYPE_DECIMAL: out->decimal = value; return 0;
    default: break;
    }
    if (value < low || value > high)
        return corrupt("a bound of the statistics is too large for its type");
    out->integer = value;
    return 0;
}

static int bytes_value(const struct parquet_leaf *leaf, struct slice plain, struct arena *arena,
                       struct value *out)
{
    void *copy;
    if (leaf->leaf_type->kind == TYPE_DECIMAL || leaf->leaf_type->kind == TYPE_DECIMAL256)
        return decimal_value(leaf, plain, arena, out);
    TRY(arena_try_alloc(arena, plain.size, &copy));
    if (plain.size) memcpy(copy, plain.data, plain.size);
    out->bytes = slice_make(copy, plain.size);
    return 0;
}

int parquet_statistic_value(const struct parquet_leaf *leaf, struct slice plain,
                            struct arena *arena, struct value *out)
{
    enum type_kind kind = leaf->leaf_type->kind;
    *out = value_null(kind);
    if (!has_size(leaf, plain.size))
        return error_set(GLIS_ECORRUPT, "a bound of column '%.*s' has %zu bytes",
                         SLICE_PRINT(leaf->path), plain.size);
    if (kind == TYPE_NULL) return 0;
    out->is_null = false;
    if (is_real(kind)) {
        out->real = real_of(leaf, little(plain));
        return 0;
    }
    int code = 0;
    switch (leaf->type) {
    case PARQUET_BOOLEAN: out->integer = plain.data[0] & 1; break;
    case PARQUET_INT32:
    case PARQUET_INT64: code = integer_value(leaf, plain, out); break;
    case PARQUET_INT96: out->integer = int96_micros((const uint8_t *)plain.data); break;
    default: code = bytes_value(leaf, plain, arena, out);
    }
    if (code < 0) error_context("column '%.*s'", SLICE_PRINT(leaf->path));
    return code;
}

/* ---- which bounds are kept ---- */

bool parquet_leaf_is_signed(const struct parquet_leaf *leaf)
{
    switch (leaf->leaf_type->kind) {
    case TYPE_BOOLEAN:
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
    case TYPE_DATE:
    case TYPE_TIME: return true;
    case TYPE_TIMESTAMP: return leaf->type == PARQUET_INT64;
    case TYPE_DECIMAL: return leaf->type == PARQUET_INT32 || leaf->type == PARQUET_INT64;
    default: return false;
    }
}

/* A zero stands for both zeros. */
static bool real_bound(const struct parquet_leaf *leaf, bool is_max, struct slice *plain,
                       bool *exact)
{
    static const char positive[8] = {0};
    static const char negative_half[2] = {0, '\x80'};
    static const char negative_single[4] = {0, 0, 0, '\x80'};
    static const char negative_wide[8] = {0, 0, 0, 0, 0, 0, 0, '\x80'};
    double value = real_of(leaf, little(*plain));
    if (value != value) return false;
    if (value < 0 || value > 0) return true;
    plain->data = is_max             ? positive
                  : plain->size == 2 ? negative_half
                  : plain->size == 4 ? negative_single
                                     : negative_wide;
    *exact = false;
    return true;
}

static bool integer_bound(const struct parquet_leaf *leaf, struct slice plain)
{
    int64_t value = (int32_t)(uint32_t)little(plain);
    switch (leaf->leaf_type->kind) {
    case TYPE_INT8: return value == (int8_t)value;
    case TYPE_INT16: return value == (int16_t)value;
    case TYPE_UINT8: return value == (uint8_t)value;
    case TYPE_UINT16: return value == (uint16_t)value;
    default: return true;
    }
}

bool parquet_statistic_bound(const struct parquet_leaf *leaf, bool is_max, struct slice *plain,
                             bool *exact)
{
    uint8_t bytes[DECIMAL256_BYTES];
    enum type_kind kind = leaf->leaf_type->kind;
    if (leaf->type == PARQUET_INT96 || kind == TYPE_INTERVAL || kind == TYPE_NULL) return false;
    if (parquet_leaf_is_geometry(leaf)) return false;
    if (!has_size(leaf, plain->size)) return false;
    if (is_real(kind)) return real_bound(leaf, is_max, plain, exact);
    if (leaf->type == PARQUET_INT32) return integer_bound(leaf, *plain);
    if (leaf->type == PARQUET_INT64) return true;
    if (kind == TYPE_DECIMAL) return decimal_bytes(*plain, bytes, sizeof(int128));
    if (kind == TYPE_DECIMAL256) return decimal_bytes(*plain, bytes, DECIMAL256_BYTES);
    return true;
}

/* ---- the offset index ---- */

static int read_location(struct thrift_cursor *cursor, const struct parquet_chunk *chunk,
                         uint64_t file_size, struct parquet_page_location *out)
{
    int id = 0, type;
    int64_t offset = -1, size = -1, row = -1;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) break;
        switch (id) {
        case 1: TRY(thrift_integer(cursor, type, &offset)); break;
        case 2: TRY(thrift_integer(cursor, type, &size)); break;
        case 3: TRY(thrift_integer(cursor, type, &row)); break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
    uint64_t end = chunk->start + chunk->compressed_bytes;
    if (end > file_size) end = file_size;
    if (offset < 0 || (uint64_t)offset < chunk->start || (uint64_t)offset > end || size < 1 ||
        (uint64_t)size > end - (uint64_t)offset || size > UINT32_MAX)
        return error_set(GLIS_ECORRUPT, "%lld bytes at %lld are not inside of the chunk",
                         (long long)size, (long long)offset);
    if (row < 0) return corrupt("the first row is missing or negative");
    *out = (struct parquet_page_location){
        .offset = (uint64_t)offset, .size = (uint32_t)size, .first_row = (uint64_t)row};
    return 0;
}

/* Pages follow each other, and begin with a row of their own. */
static int check_location(const struct parquet_page_location *pages, uint32_t i, uint64_t n_rows)
{
    const struct parquet_page_location *page = &pages[i];
    if (i == 0 ? page->first_row != 0 : page->first_row <= pages[i - 1].first_row)
        return error_set(GLIS_ECORRUPT, "its first row is %llu",
                         (unsigned long long)page->first_row);
    if (i > 0 && page->first_row >= n_rows)
        return error_set(GLIS_ECORRUPT, "its first row is %llu of %llu",
                         (unsigned long long)page->first_row, (unsigned long long)n_rows);
    if (i > 0 && page->offset - pages[i - 1].offset < pages[i - 1].size)
        return corrupt("it begins inside of the page before");
    if (i > 0 && page->offset < pages[i - 1].offset) return corrupt("it lies before another");
    return 0;
}

static int read_locations(struct thrift_cursor *cursor, int type,
                          const struct parquet_row_group *group, const struct parquet_chunk *chunk,
                          uint64_t file_size, struct arena *arena, struct parquet_page_index *out)
{
    struct parquet_page_location *pages;
    int element;
    uint32_t n;
    /* A location takes 7 bytes at least. */
    TRY(thrift_list(cursor, type, &element, &n));
    if ((n > 0 && element != THRIFT_STRUCT) || n > (uint64_t)(cursor->end - cursor->next) / 7)
        return corrupt("the list of pages claims more than there is");
    TRY(try_array(arena, sizeof(*pages), n, &pages));
    for (uint32_t i = 0; i < n; i++) {
        TRY_CONTEXT(read_location(cursor, chunk, file_size, &pages[i]), "page %u", i);
        TRY_CONTEXT(check_location(pages, i, group->n_rows), "page %u", i);
    }
    out->pages = pages;
    out->n_pages = n;
    return 0;
}

static int read_offset_index(struct slice bytes, const struct parquet_row_group *group,
                             const struct parquet_chunk *chunk, uint64_t file_size,
                             struct arena *arena, struct parquet_page_index *out)
{
    bool *malformed = &out->sizes_are_malformed;
    struct thrift_cursor cursor = {(const uint8_t *)bytes.data,
                                   (const uint8_t *)bytes.data + bytes.size};
    int id = 0, type;
    for (;;) {
        TRY(thrift_field(&cursor, &id, &type));
        if (type == THRIFT_STOP) break;
        if (id == 1)
            TRY(read_locations(&cursor, type, group, chunk, file_size, arena, out));
        else if (id == 2)
            TRY(parquet_counts_read(&cursor, type, out->n_pages, arena, &out->text_bytes,
                                    malformed));
        else
            TRY(thrift_skip(&cursor, type));
    }
    if (out->n_pages == 0 && group->n_rows > 0) return corrupt("there are no pages");
    return 0;
}

/* ---- the column index ---- */

struct column_index_parse {
    const struct parquet_leaf *leaf;
    uint32_t n_pages;
    bool *null_pages;
    struct parquet_statistics *statistics;
    bool has_nulls, has_min, has_max;
    struct arena *arena;
    struct parquet_page_index *out;
};

static int page_list(const struct column_index_parse *parse, struct thrift_cursor *cursor, int type,
                     int *element)
{
    uint32_t n;
    TRY(thrift_list(cursor, type, element, &n));
    if (n != parse->n_pages)
        return error_set(GLIS_ECORRUPT, "entries for %u pages of %u", n, parse->n_pages);
    return 0;
}

/* In lists a boolean is a byte: 1 true, 2 false, and 0 false from older writers. */
static int read_null_pages(struct column_index_parse *parse, struct thrift_cursor *cursor, int type)
{
    int element;
    TRY(page_list(parse, cursor, type, &element));
    if (parse->n_pages && element != THRIFT_TRUE && element != THRIFT_FALSE)
        return corrupt("the list of null pages has no booleans");
    for (uint32_t i = 0; i < parse->n_pages; i++) {
        if (cursor->next == cursor->end) return corrupt("the list of null pages breaks off");
        parse->null_pages[i] = *cursor->next++ == 1;
    }
    parse->has_nulls = true;
    return 0;
}

static int read_bounds(struct column_index_parse *parse, struct thrift_cursor *cursor, int type,
                       bool is_max)
{
    int element;
    TRY(page_list(parse, cursor, type, &element));
    for (uint32_t i = 0; i < parse->n_pages; i++) {
        struct parquet_statistics *page = &parse->statistics[i];
        TRY(thrift_binary(cursor, element, is_max ? &page->max : &page->min));
    }
    *(is_max ? &parse->has_max : &parse->has_min) = true;
    return 0;
}

static int read_null_counts(struct column_index_parse *parse, struct thrift_cursor *cursor,
                            int type)
{
    int element;
    TRY(page_list(parse, cursor, type, &element));
    for (uint32_t i = 0; i < parse->n_pages; i++) {
        struct parquet_statistics *page = &parse->statistics[i];
        TRY(thrift_integer(cursor, element, &page->null_count));
        /* Some writers say -1 when they have not counted. */
        page->has_null_count = page->null_count >= 0;
    }
    return 0;
}

/* Keeps the bounds that mean something. */
static bool keep_page_bounds(const struct column_index_parse *parse, uint32_t i)
{
    struct parquet_statistics *page = &parse->statistics[i];
    bool varied = parse->leaf->type == PARQUET_BYTE_ARRAY ||
                  parse->leaf->type == PARQUET_FIXED_LEN_BYTE_ARRAY;
    page->min_exact = page->max_exact = !varied;
    page->has_min = page->has_max = false;
    if (!parse->null_pages[i]) {
        page->has_min = parquet_statistic_bound(parse->leaf, false, &page->min, &page->min_exact);
        page->has_max = parquet_statistic_bound(parse->leaf, true, &page->max, &page->max_exact);
    }
    if (!page->has_min) page->min = SLICE_EMPTY;
    if (!page->has_max) page->max = SLICE_EMPTY;
    return parse->null_pages[i] || (page->has_min && page->has_max);
}

/* Minimum not above maximum, and both in the order that is claimed. */
static int check_order(const struct column_index_parse *parse, int order, struct arena *scratch)
{
    struct value min, max, last_min = {0}, last_max = {0};
    bool has_last = false;
    for (uint32_t i = 0; i < parse->n_pages; i++) {
        const struct parquet_statistics *page = &parse->statistics[i];
        if (!page->has_min || !page->has_max) continue;
        TRY(parquet_statistic_value(parse->leaf, page->min, scratch, &min));
        TRY(parquet_statistic_value(parse->leaf, page->max, scratch, &max));
        if (value_compare(&min, &max) > 0)
            return error_set(GLIS_ECORRUPT, "page %u: the minimum is above the maximum", i);
        int by_min = has_last && order ? value_compare(&last_min, &min) : 0;
        int by_max = has_last && order ? value_compare(&last_max, &max) : 0;
        if (order == 1 ? by_min > 0 || by_max > 0 : by_min < 0 || by_max < 0)
            return error_set(GLIS_ECORRUPT, "page %u: the bounds are not in order", i);
        last_min = min;
        last_max = max;
        has_last = true;
    }
    return 0;
}

/* How often each level occurs in each page. */
static int read_levels(struct column_index_parse *parse, struct thrift_cursor *cursor, int type,
                       int max, const int64_t **out)
{
    return parquet_counts_read(cursor, type, ((uint64_t)max + 1) * parse->n_pages, parse->arena,
                               out, &parse->out->sizes_are_malformed);
}

static int read_column_fields(struct column_index_parse *parse, struct thrift_cursor *cursor,
                              int64_t *order)
{
    const struct parquet_leaf *leaf = parse->leaf;
    struct parquet_page_index *out = parse->out;
    int id = 0, type;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        switch (id) {
        case 1: TRY(read_null_pages(parse, cursor, type)); break;
        case 2: TRY(read_bounds(parse, cursor, type, false)); break;
        case 3: TRY(read_bounds(parse, cursor, type, true)); break;
        case 4: TRY(thrift_integer(cursor, type, order)); break;
        case 5: TRY(read_null_counts(parse, cursor, type)); break;
        case 6:
            TRY(read_levels(parse, cursor, type, leaf->max_repetition, &out->repetition_levels));
            break;
        case 7:
            TRY(read_levels(parse, cursor, type, leaf->max_definition, &out->definition_levels));
            break;
        default: TRY(thrift_skip(cursor, type));
        }
    }
}

/* What the counts of nulls say must fit the rows of the pages; with lists a page has more values
 * than rows, of unknown number. */
static int check_nulls(const struct column_index_parse *parse,
                       const struct parquet_row_group *group,
                       const struct parquet_page_location *pages)
{
    if (parse->leaf->max_repetition > 0) return 0;
    for (uint32_t i = 0; i < parse->n_pages; i++) {
        const struct parquet_statistics *page = &parse->statistics[i];
        uint64_t end = i + 1 < parse->n_pages ? pages[i + 1].first_row : group->n_rows;
        uint64_t n_rows = end - pages[i].first_row, n_nulls = (uint64_t)page->null_count;
        if (!page->has_null_count) continue;
        if (n_nulls > n_rows || (parse->null_pages[i] && n_nulls != n_rows))
            return error_set(GLIS_ECORRUPT, "page %u: %llu nulls in %llu rows", i,
                             (unsigned long long)n_nulls, (unsigned long long)n_rows);
    }
    return 0;
}

static int read_column_index(struct slice bytes, const struct parquet_row_group *group,
                             const struct parquet_leaf *leaf, struct arena *arena,
                             struct parquet_page_index *out)
{
    struct column_index_parse parse = {
        .leaf = leaf, .n_pages = out->n_pages, .arena = arena, .out = out};
    int64_t order = 0;
    void *copy;
    TRY(arena_try_alloc(arena, bytes.size, &copy));
    memcpy(copy, bytes.data, bytes.size);
    struct thrift_cursor cursor = {(const uint8_t *)copy, (const uint8_t *)copy + bytes.size};
    TRY(try_array(arena, sizeof(bool), parse.n_pages, &parse.null_pages));
    TRY(try_array(arena, sizeof(struct parquet_statistics), parse.n_pages, &parse.statistics));
    TRY(read_column_fields(&parse, &cursor, &order));
    if (!parse.has_nulls || !parse.has_min || !parse.has_max) return corrupt("a field is missing");
    TRY(check_nulls(&parse, group, out->pages));
    bool complete = true;
    for (uint32_t i = 0; i < parse.n_pages; i++)
        if (!keep_page_bounds(&parse, i)) complete = false;
    if (order < 0 || order > 2 || !complete) order = 0;
    struct arena scratch;
    arena_init(&scratch, arena->budget);
    int code = check_order(&parse, (int)order, &scratch);
    arena_free(&scratch);
    if (code < 0) return code;
    out->has_statistics = true;
    out->boundary_order = (int)order;
    out->statistics = parse.statistics;
    out->null_pages = parse.null_pages;
    return 0;
}

int parquet_page_index_read(struct slice offset_index, struct slice column_index,
                            const struct parquet_row_group *group,
                            const struct parquet_chunk *chunk, const struct parquet_leaf *leaf,
                            uint64_t file_size, struct arena *arena, struct parquet_page_index *out)
{
    *out = (struct parquet_page_index){0};
    TRY_CONTEXT(read_offset_index(offset_index, group, chunk, file_size, arena, out),
                "the offset index of column '%.*s'", SLICE_PRINT(leaf->path));
    if (column_index.size == 0) return 0;
    TRY_CONTEXT(read_column_index(column_index, group, leaf, arena, out),
                "the column index of column '%.*s'", SLICE_PRINT(leaf->path));
    return 0;
}
