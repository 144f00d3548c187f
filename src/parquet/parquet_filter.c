/*
 * parquet_filter.c: the rows of a file that meet some conditions, and of the others as little as
 * possible.
 *
 *   row groups   whose statistics, or for an equality whose bloom filter, say that no row can meet
 *                a condition are left out
 *   pages        likewise, by the column indexes: what is left is ranges of rows, the ones that
 *                every condition's column leaves
 *   rows         of these ranges only the columns of the conditions are decoded, and tested
 *   the rest     the other columns are decoded for stretches around the rows that were found, so
 *                that pages without one are not read
 *
 * Conditions are joined by "and". As in SQL, a null meets none but IS_NULL; so does a NaN, which
 * stands in no statistics, but for NOT_EQUAL. Statistics bound values, they need not occur.
 *
 * A cursor goes through the tested columns of each range, so that a page is decoded once whatever
 * the windows. The others are read stretch by stretch, by a cursor that is kept where stretches
 * follow each other closely, or where without an offset index each would begin at the chunk's
 * first page.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

enum {
    WINDOW_ROWS = 64 << 10,       /* of the conditions' columns, decoded at once */
    STRETCH_GAP_ROWS = 1024,      /* rows that nobody wants are decoded along rather than parted */
    LONG_STRETCH_ROWS = 16 << 10, /* such a one is followed by more, likely */
    PARALLEL_ROWS = 4096,
    PLAN_BYTES_MAX = 4 << 20, /* of ranges that are read together */
};

struct row_range {
    uint64_t begin, end;
};

struct row_ranges {
    struct row_range *items;
    uint32_t n, room;
};

struct filter_stream {
    struct batch_stream stream;
    struct parquet_reader *reader;
    struct runtime *runtime;
    struct budget *budget;
    struct schema *schema;
    struct arena arena;
    uint32_t *fields, n_fields;
    const struct parquet_condition *conditions;
    uint32_t n_conditions;
    uint32_t *tested, n_tested; /* the fields of the conditions, each once */
    uint32_t *others, n_others; /* wanted fields that no condition has */
    struct parquet_filter_figures *figures;
    uint32_t next_group, group;
    struct row_ranges ranges;  /* of the row group at hand */
    struct parquet_plan *plan; /* what they take of the tested columns; NULL: read as they come */
    uint32_t range;
    uint64_t window_begin, window_end, window_rows; /* the latter: at most, of the next one */
    struct rows_cursor *testing;                    /* of the range at hand; NULL: none is open */
    struct rows_cursor *giving;                     /* of the row group's other columns; likewise */
    struct batch *window; /* the tested columns of it; NULL: none at hand */
    uint32_t *found;      /* rows of the window that meet the conditions, ascending */
    uint32_t n_found, next_found;
};

/* ---- statistics ---- */

/* Whether a value between the bounds can meet the condition. Bounds may be missing. */
static bool bounds_allow(const struct parquet_condition *condition, bool has_min,
                         const struct value *min, bool has_max, const struct value *max,
                         bool may_hold_nan)
{
    const struct value *value = &condition->value;
    int low = has_min ? value_compare(min, value) : -1; /* least against the value */
    int high = has_max ? value_compare(max, value) : 1;
    switch (condition->op) {
    case PARQUET_EQUAL: return low <= 0 && high >= 0;
    case PARQUET_NOT_EQUAL: return may_hold_nan || !(has_min && has_max && low == 0 && high == 0);
    case PARQUET_LESS: return !has_min || low < 0;
    case PARQUET_LESS_EQUAL: return !has_min || low <= 0;
    case PARQUET_GREATER: return !has_max || high > 0;
    case PARQUET_GREATER_EQUAL: return !has_max || high >= 0;
    default: return true;
    }
}

/* Whether statistics over n entries leave it possible that one of them meets the condition. */
static bool statistics_allow(const struct parquet_leaf *leaf, const struct parquet_statistics *s,
                             uint64_t n, const struct parquet_condition *condition)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct value min, max;
    if (s->has_null_count) {
        if (condition->op == PARQUET_IS_NULL) return s->null_count > 0;
        if ((uint64_t)s->null_count == n) return false;
    }
    if (condition->op == PARQUET_IS_NULL || condition->op == PARQUET_IS_NOT_NULL) return true;
    bool has_min = s->has_min && parquet_statistic_value(leaf, s->min, &arena, &min) == 0;
    bool has_max = s->has_max && parquet_statistic_value(leaf, s->max, &arena, &max) == 0;
    error_clear();
    enum type_kind kind = leaf->leaf_type->kind;
    bool real = kind == TYPE_FLOAT || kind == TYPE_DOUBLE || kind == TYPE_FLOAT16;
    return bounds_allow(condition, has_min, &min, has_max, &max, real);
}

static uint32_t leaf_of(const struct filter_stream *self, const struct parquet_condition *condition)
{
    return self->reader->nodes[condition->field].leaf;
}

static bool group_allows(const struct filter_stream *self, uint32_t group)
{
    const struct parquet_metadata *metadata = &self->reader->metadata;
    for (uint32_t i = 0; i < self->n_conditions; i++) {
        uint32_t leaf = leaf_of(self, &self->conditions[i]);
        const struct parquet_chunk *chunk = &metadata->row_groups[group].chunks[leaf];
        if (!statistics_allow(&metadata->leaves[leaf], &chunk->statistics,
                              (uint64_t)chunk->n_values, &self->conditions[i]))
            return false;
    }
    return true;
}

static int blooms_allow(const struct filter_stream *self, uint32_t group, bool *allow)
{
    const struct parquet_metadata *metadata = &self->reader->metadata;
    *allow = true;
    for (uint32_t i = 0; i < self->n_conditions && *allow; i++) {
        const struct parquet_condition *condition = &self->conditions[i];
        uint32_t leaf = leaf_of(self, condition);
        uint64_t hash;
        if (condition->op == PARQUET_EQUAL &&
            parquet_bloom_hash(&metadata->leaves[leaf], &condition->value, &hash))
            TRY(parquet_reader_bloom(self->reader, group, leaf, hash, allow));
    }
    return 0;
}

/* ---- ranges of rows ---- */

static void range_add(struct row_ranges *ranges, uint64_t begin, uint64_t end)
{
    if (begin >= end) return;
    if (ranges->n > 0 && ranges->items[ranges->n - 1].end == begin) {
        ranges->items[ranges->n - 1].end = end;
        return;
    }
    if (ranges->n == ranges->room) {
        ranges->room = ranges->room ? 2 * ranges->room : 16;
        ranges->items = memory_realloc(ranges->items, ranges->room * sizeof *ranges->items);
    }
    ranges->items[ranges->n++] = (struct row_range){begin, end};
}

static void ranges_free(struct row_ranges *ranges)
{
    free(ranges->items);
    *ranges = (struct row_ranges){NULL, 0, 0};
}

/* What both have; takes the place of the first. */
static void ranges_intersect(struct row_ranges *a, const struct row_ranges *b)
{
    struct row_ranges both = {NULL, 0, 0};
    for (uint32_t i = 0, j = 0; i < a->n && j < b->n;) {
        const struct row_range *x = &a->items[i], *y = &b->items[j];
        uint64_t begin = x->begin > y->begin ? x->begin : y->begin;
        uint64_t end = x->end < y->end ? x->end : y->end;
        range_add(&both, begin, end);
        if (x->end < y->end)
            i++;
        else
            j++;
    }
    ranges_free(a);
    *a = both;
}

/* The rows that the pages of one condition's column leave. */
static int condition_ranges(struct filter_stream *self, const struct parquet_condition *condition,
                            uint64_t n_rows, struct row_ranges *out)
{
    const struct parquet_page_index *index;
    uint32_t number = leaf_of(self, condition);
    const struct parquet_leaf *leaf = &self->reader->metadata.leaves[number];
    TRY(parquet_reader_page_index(self->reader, self->group, number, &index));
    if (!index || !index->has_statistics) {
        range_add(out, 0, n_rows);
        return 0;
    }
    for (uint32_t p = 0; p < index->n_pages; p++) {
        uint64_t begin = index->pages[p].first_row;
        uint64_t end = p + 1 < index->n_pages ? index->pages[p + 1].first_row : n_rows;
        self->figures->pages++;
        bool nulls_only = index->null_pages && index->null_pages[p];
        bool allowed = nulls_only
                           ? condition->op == PARQUET_IS_NULL
                           : statistics_allow(leaf, &index->statistics[p], end - begin, condition);
        if (allowed)
            range_add(out, begin, end);
        else
            self->figures->pages_skipped++;
    }
    return 0;
}

static void close_cursor(struct rows_cursor **cursor)
{
    rows_cursor_close(*cursor);
    *cursor = NULL;
}

static void close_cursors(struct filter_stream *self)
{
    close_cursor(&self->testing);
    close_cursor(&self->giving);
    parquet_plan_free(self->plan); /* which cursors may use */
    self->plan = NULL;
}

/* The tested columns of several ranges in one call, where they are not much. */
static int plan_ranges(struct filter_stream *self)
{
    uint32_t n;
    uint64_t bytes, left = budget_left(self->budget) / 8;
    if (self->ranges.n < 2) return 0;
    self->plan = parquet_plan_new(self->reader, 0, 0, self->budget);
    for (uint32_t i = 0; i < self->ranges.n; i++) {
        const struct row_range *range = &self->ranges.items[i];
        TRY(parquet_plan_add(self->plan, self->group, self->tested, self->n_tested, range->begin,
                             range->end - range->begin));
    }
    parquet_plan_ranges(self->plan, &n, &bytes);
    if (bytes <= PLAN_BYTES_MAX && bytes <= left) return parquet_plan_fetch(self->plan);
    parquet_plan_free(self->plan);
    self->plan = NULL;
    return 0;
}

/* The next row group that may have rows; *more is false when there is none. */
static int next_group(struct filter_stream *self, bool *more)
{
    const struct parquet_metadata *metadata = &self->reader->metadata;
    ranges_free(&self->ranges);
    close_cursors(self);
    self->range = 0;
    for (;;) {
        *more = self->next_group < metadata->n_row_groups;
        if (!*more) return 0;
        self->group = self->next_group++;
        self->figures->row_groups++;
        bool allowed =
            metadata->row_groups[self->group].n_rows > 0 && group_allows(self, self->group);
        self->figures->row_groups_skipped += !allowed;
        if (!allowed) continue;
        TRY(blooms_allow(self, self->group, &allowed));
        if (allowed) break;
        self->figures->row_groups_skipped_bloom++;
    }
    uint64_t n_rows = metadata->row_groups[self->group].n_rows;
    range_add(&self->ranges, 0, n_rows);
    for (uint32_t i = 0; i < self->n_conditions && self->ranges.n > 0; i++) {
        struct row_ranges one = {NULL, 0, 0};
        int code = condition_ranges(self, &self->conditions[i], n_rows, &one);
        if (code == 0) ranges_intersect(&self->ranges, &one);
        ranges_free(&one);
        TRY(code);
    }
    self->window_rows = WINDOW_ROWS;
    return plan_ranges(self);
}

/* ---- testing rows ---- */

#define TEST_OP(in_type, op)        \
    for (int64_t i = 0; i < n; i++) \
    keep[i] &= (uint8_t)(v[i] op wanted)

#define TEST_AS(in_type, field_name)                                                            \
    do {                                                                                        \
        const in_type *v = (const in_type *)(const void *)column->values.data + column->offset; \
        in_type wanted = (in_type)condition->value.field_name;                                  \
        switch (condition->op) {                                                                \
        case PARQUET_EQUAL: TEST_OP(in_type, ==); break;                                        \
        case PARQUET_NOT_EQUAL: TEST_OP(in_type, !=); break;                                    \
        case PARQUET_LESS: TEST_OP(in_type, <); break;                                          \
        case PARQUET_LESS_EQUAL: TEST_OP(in_type, <=); break;                                   \
        case PARQUET_GREATER: TEST_OP(in_type, >); break;                                       \
        default: TEST_OP(in_type, >=); break;                                                   \
        }                                                                                       \
        return;                                                                                 \
    } while (0)

static bool order_meets(enum parquet_operator op, int order)
{
    switch (op) {
    case PARQUET_EQUAL: return order == 0;
    case PARQUET_NOT_EQUAL: return order != 0;
    case PARQUET_LESS: return order < 0;
    case PARQUET_LESS_EQUAL: return order <= 0;
    case PARQUET_GREATER: return order > 0;
    default: return order >= 0;
    }
}

/* By IEEE 754, as the loops for wider reals do. */
static bool real_meets(enum parquet_operator op, double a, double b)
{
    switch (op) {
    case PARQUET_EQUAL: return a == b;
    case PARQUET_NOT_EQUAL: return a != b;
    case PARQUET_LESS: return a < b;
    case PARQUET_LESS_EQUAL: return a <= b;
    case PARQUET_GREATER: return a > b;
    default: return a >= b;
    }
}

static void test_texts(const struct column *column, const struct parquet_condition *condition,
                       int64_t n, uint8_t *keep)
{
    const int32_t *offsets = (const int32_t *)(const void *)column->offsets.data + column->offset;
    struct slice wanted = condition->value.bytes;
    bool equality = condition->op == PARQUET_EQUAL;
    for (int64_t i = 0; i < n; i++) {
        size_t size = (size_t)(offsets[i + 1] - offsets[i]);
        if (!keep[i] || (equality && size != wanted.size)) {
            keep[i] = 0;
            continue;
        }
        struct slice text = slice_make(column->values.data + offsets[i], size);
        keep[i] = order_meets(condition->op, slice_compare(text, wanted));
    }
}

/* Of values that are not null; reals by IEEE 754, so that a NaN only differs. */
static void test_values(const struct column *column, const struct parquet_condition *condition,
                        int64_t n, uint8_t *keep)
{
    if (!column->dictionary) {
        switch (column->type->kind) {
        case TYPE_INT8: TEST_AS(int8_t, integer);
        case TYPE_INT16: TEST_AS(int16_t, integer);
        case TYPE_INT32:
        case TYPE_DATE: TEST_AS(int32_t, integer);
        case TYPE_INT64:
        case TYPE_TIMESTAMP: TEST_AS(int64_t, integer);
        case TYPE_UINT8: TEST_AS(uint8_t, integer);
        case TYPE_UINT16: TEST_AS(uint16_t, integer);
        case TYPE_UINT32: TEST_AS(uint32_t, integer);
        case TYPE_FLOAT: TEST_AS(float, real);
        case TYPE_DOUBLE: TEST_AS(double, real);
        case TYPE_DECIMAL: TEST_AS(int128, decimal);
        case TYPE_STRING:
        case TYPE_BYTES: test_texts(column, condition, n, keep); return;
        default: break;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        struct value value;
        if (!keep[i]) continue;
        column_value(column, i, &value);
        keep[i] = column->type->kind == TYPE_FLOAT16
                      ? real_meets(condition->op, value.real, condition->value.real)
                      : order_meets(condition->op, value_compare(&value, &condition->value));
    }
}

static void test_column(const struct column *column, const struct parquet_condition *condition,
                        int64_t n, uint8_t *keep)
{
    bool wants_null = condition->op == PARQUET_IS_NULL;
    if (column->type->kind == TYPE_NULL) { /* has no bits that say so */
        memset(keep, 0, wants_null ? 0 : (size_t)n);
    } else if (column->null_count > 0) {
        for (int64_t i = 0; i < n; i++)
            keep[i] &= (uint8_t)(column_is_null(column, i) == wants_null);
    } else if (wants_null) {
        memset(keep, 0, (size_t)n);
    }
    if (wants_null || condition->op == PARQUET_IS_NOT_NULL) return;
    test_values(column, condition, n, keep);
}

/* Whether fewer rows may do where so many failed: they pass what a batch or the budget holds. */
static bool fewer_may_do(int code, uint64_t n)
{
    return n > 1 && (code == GLIS_ELIMIT || code == GLIS_ENOMEM);
}

/* n rows from `begin` on by a cursor, which is opened for the rows up to `end` when there is none.
 * After a failure there is none. */
static int cursor_rows(struct filter_stream *self, struct rows_cursor **cursor,
                       const uint32_t *fields, uint32_t n_fields, uint64_t begin, uint64_t n,
                       uint64_t end, struct batch **out)
{
    if (!*cursor)
        TRY(rows_cursor_open_planned(self->reader, self->plan, self->group, fields, n_fields, begin,
                                     end - begin, self->budget, cursor));
    rows_cursor_skip(*cursor, begin);
    int code = rows_cursor_next(*cursor, n, n > PARALLEL_ROWS, out);
    if (code < 0 || begin + n == end) close_cursor(cursor);
    return code;
}

/* Decodes the tested columns of the next window and finds its rows. */
static int next_window(struct filter_stream *self)
{
    const struct row_range *range = &self->ranges.items[self->range];
    uint64_t begin = self->window_end > range->begin ? self->window_end : range->begin;
    uint64_t end = range->end - begin > self->window_rows ? begin + self->window_rows : range->end;
    int64_t n = (int64_t)(end - begin);
    int code;
    if (begin == range->begin) close_cursor(&self->testing);
    while (code = cursor_rows(self, &self->testing, self->tested, self->n_tested, begin,
                              (uint64_t)n, range->end, &self->window),
           fewer_may_do(code, (uint64_t)n)) {
        n /= 2;
        end = begin + (uint64_t)n;
        self->window_rows = (uint64_t)n;
    }
    TRY(code);
    self->figures->rows_tested += (uint64_t)n;
    self->window_begin = begin;
    self->window_end = end;
    if (end == range->end) self->range++;
    uint8_t *keep = memory_alloc((size_t)n + 1);
    memset(keep, 1, (size_t)n);
    for (uint32_t i = 0; i < self->n_conditions; i++) {
        uint32_t t = 0;
        while (self->tested[t] != self->conditions[i].field)
            t++;
        test_column(&self->window->columns[t], &self->conditions[i], n, keep);
    }
    self->n_found = self->next_found = 0;
    for (int64_t i = 0; i < n; i++) {
        self->found[self->n_found] = (uint32_t)i;
        self->n_found += keep[i];
    }
    free(keep);
    return 0;
}

/* ---- giving rows out ---- */

static int take_columns(struct filter_stream *self, const struct batch *others, uint64_t begin,
                        const uint32_t *found, uint32_t n, struct column *columns)
{
    uint32_t *rows = memory_alloc((n + 1) * sizeof *rows); /* counted from the stretch's first */
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (uint32_t)(self->window_begin + found[i] - begin);
    int code = 0;
    for (uint32_t f = 0; f < self->n_fields && code == 0; f++) {
        uint32_t t = 0, o = 0;
        while (t < self->n_tested && self->tested[t] != self->fields[f])
            t++;
        while (t == self->n_tested && self->others[o] != self->fields[f])
            o++;
        code = t < self->n_tested
                   ? column_take(&columns[f], &self->window->columns[t], found, n, self->budget)
                   : column_take(&columns[f], &others->columns[o], rows, n, self->budget);
        if (code == 0) columns[f].type = &self->schema->fields[f].type;
    }
    free(rows);
    return code;
}

/* Whether all of the other columns say where their pages are. */
static int others_have_index(const struct filter_stream *self, bool *all)
{
    const struct parquet_page_index *index;
    *all = true;
    for (uint32_t i = 0; i < self->n_others && *all; i++) {
        const struct node *node = &self->reader->nodes[self->others[i]];
        for (uint32_t l = 0; l < node->n_leaves && *all; l++) {
            TRY(parquet_reader_page_index(self->reader, self->group, node->leaf + l, &index));
            *all = index && index->n_pages > 0;
        }
    }
    return 0;
}

/* The other columns of a stretch. */
static int other_rows(struct filter_stream *self, uint64_t begin, uint64_t n, struct batch **out)
{
    uint64_t end = self->reader->metadata.row_groups[self->group].n_rows;
    bool near = n >= LONG_STRETCH_ROWS, indexed;
    if (self->giving) {
        uint64_t at = rows_cursor_at(self->giving);
        near = begin >= at && begin - at <= WINDOW_ROWS;
    }
    TRY(others_have_index(self, &indexed));
    if (indexed && !near) {
        close_cursor(&self->giving);
        return parquet_reader_rows_of(self->reader, self->group, self->others, self->n_others,
                                      begin, n, self->budget, out);
    }
    if (self->giving && begin < rows_cursor_at(self->giving)) close_cursor(&self->giving);
    return cursor_rows(self, &self->giving, self->others, self->n_others, begin, n, end, out);
}

/* The found rows [first, end) of the window as a batch, decoded in one go. */
static int give_rows(struct filter_stream *self, uint32_t first, uint32_t end, struct batch **out)
{
    uint64_t begin = self->window_begin + self->found[first];
    uint64_t n_rows = self->found[end - 1] - self->found[first] + 1;
    struct batch *others = NULL;
    if (self->n_others > 0) TRY(other_rows(self, begin, n_rows, &others));
    self->figures->rows_decoded += n_rows;
    struct column *columns = memory_alloc_zero((self->n_fields + 1) * sizeof *columns);
    int code = take_columns(self, others, begin, self->found + first, end - first, columns);
    if (code == 0) {
        code = batch_new(out, self->schema, columns, end - first);
    } else {
        for (uint32_t f = 0; f < self->n_fields; f++)
            if (columns[f].type) column_free(&columns[f]);
    }
    free(columns);
    batch_release(others);
    if (code == 0) self->figures->rows_given += end - first;
    return code;
}

/* The rows found in one stretch, or as many of them as there is room for. */
static int give_stretch(struct filter_stream *self, struct batch **out)
{
    uint32_t first = self->next_found, end = first + 1;
    while (end < self->n_found && self->found[end] - self->found[end - 1] <= STRETCH_GAP_ROWS)
        end++;
    int code;
    while (code = give_rows(self, first, end, out), fewer_may_do(code, end - first))
        end = first + (end - first) / 2;
    self->next_found = end;
    return code;
}

static int filter_next(struct batch_stream *stream, struct batch **out)
{
    struct filter_stream *self = (struct filter_stream *)stream;
    *out = NULL;
    for (;;) {
        TRY(runtime_check_cancel(self->runtime));
        if (self->window && self->next_found < self->n_found) return give_stretch(self, out);
        batch_release(self->window);
        self->window = NULL;
        if (self->range < self->ranges.n) {
            TRY(next_window(self));
            continue;
        }
        bool more;
        self->window_end = 0;
        TRY(next_group(self, &more));
        if (!more) return 0;
    }
}

static void filter_close(struct batch_stream *stream)
{
    struct filter_stream *self = (struct filter_stream *)stream;
    batch_release(self->window);
    close_cursors(self);
    ranges_free(&self->ranges);
    free(self->found);
    schema_release(self->schema);
    arena_free(&self->arena);
    free(self);
}

static int check_condition(const struct parquet_reader *reader,
                           const struct parquet_condition *condition)
{
    if (condition->field >= reader->schema->n_fields)
        return error_set(GLIS_EINVALID, "a condition on a field that there is not");
    const struct field *field = &reader->schema->fields[condition->field];
    if (reader->nodes[condition->field].kind != NODE_LEAF)
        return error_set(GLIS_EUNSUPPORTED, "conditions on the nested field '%.*s'",
                         SLICE_PRINT(field->name));
    bool null_test = condition->op == PARQUET_IS_NULL || condition->op == PARQUET_IS_NOT_NULL;
    if (!null_test && (condition->value.is_null || condition->value.kind != field->type.kind))
        return error_set(GLIS_EINVALID, "a condition on '%.*s' with a value of another type",
                         SLICE_PRINT(field->name));
    return 0;
}

static bool among(const uint32_t *numbers, uint32_t n, uint32_t number)
{
    for (uint32_t i = 0; i < n; i++)
        if (numbers[i] == number) return true;
    return false;
}

int parquet_reader_stream_where(struct parquet_reader *reader, const uint32_t *fields,
                                uint32_t n_fields, const struct parquet_condition *conditions,
                                uint32_t n_conditions, struct parquet_filter_figures *figures,
                                struct batch_stream **out)
{
    for (uint32_t i = 0; i < n_conditions; i++)
        TRY(check_condition(reader, &conditions[i]));
    if (figures) *figures = (struct parquet_filter_figures){0};
    if (n_conditions == 0)
        return parquet_reader_stream_part(reader, fields, n_fields, 0, reader->metadata.n_rows, 0,
                                          out);
    struct schema *schema;
    TRY(schema_project(reader->schema, fields, n_fields, &schema));
    struct filter_stream *self = memory_alloc_zero(sizeof *self);
    self->stream = (struct batch_stream){schema, filter_next, filter_close};
    self->reader = reader;
    self->runtime = reader->runtime;
    self->budget = reader->budget;
    self->schema = schema;
    arena_init(&self->arena, NULL);
    self->figures = figures ? figures : ARENA_NEW(&self->arena, struct parquet_filter_figures);
    *self->figures = (struct parquet_filter_figures){0};
    self->n_fields = n_fields;
    self->fields = ARENA_ARRAY(&self->arena, uint32_t, n_fields + 1);
    self->others = ARENA_ARRAY(&self->arena, uint32_t, n_fields + 1);
    self->tested = ARENA_ARRAY(&self->arena, uint32_t, n_conditions);
    struct parquet_condition *copy =
        ARENA_ARRAY(&self->arena, struct parquet_condition, n_conditions);
    for (uint32_t i = 0; i < n_conditions; i++) {
        copy[i] = conditions[i];
        copy[i].value = value_copy(&conditions[i].value, &self->arena);
        if (!among(self->tested, self->n_tested, conditions[i].field))
            self->tested[self->n_tested++] = conditions[i].field;
    }
    self->conditions = copy;
    self->n_conditions = n_conditions;
    for (uint32_t f = 0; f < n_fields; f++) {
        self->fields[f] = fields[f];
        if (!among(self->tested, self->n_tested, fields[f]) &&
            !among(self->others, self->n_others, fields[f]))
            self->others[self->n_others++] = fields[f];
    }
    self->found = memory_alloc((WINDOW_ROWS + 1) * sizeof *self->found);
    *out = &self->stream;
    return 0;
}
