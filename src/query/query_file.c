/*
 * query_file.c: the wanted rows of one file, in order.
 *
 * Row groups are left out by the statistics of the first field and by bloom filters of row keys,
 * pages by the page index of the first field's column; what is left is bounded to the very row by
 * binary search on encoded keys. Only then the other columns are read, for those rows alone. Both
 * ends of an interval are searched for together, since for a lookup they lie in one page.
 *
 * A page's bounds are field keys of the first field: a row whose first field is f has the key f and
 * more behind it. So all rows of a page are below a bound K when the page's max is below K and K
 * does not begin with it, and none is when the page's min is K or above.
 *
 * In intervals that are not exact (regions with ranges on later fields) the keys of all rows are
 * read and tested, and the other columns only between the first and the last row that is wanted in
 * a batch.
 *
 * When no limit is set, the next batch is read on the pool while the caller works on the present
 * one, if more is to be expected.
 */
#include "query/query_int.h"

#include <stdlib.h>

enum {
    SCAN_BATCH_ROWS = 16384,
    AHEAD_ROWS_MIN = 1024,
    ROW_KEYS_TESTED_MAX = 64,
    STREAM_ROWS_MIN = 4 * SCAN_BATCH_ROWS,
    LOOKUP_ROWS_MAX = 2048, /* values of no more rows are fetched together with their keys */
    SEARCH_ROWS_MAX = 8192, /* keys of no more rows are read for one search */
};

/* Rows of one row group that lie in one interval. */
struct row_run {
    uint64_t begin, end;
    const struct row_interval *interval; /* NULL: every row is wanted */
};

struct file_scan {
    struct batch_stream stream;
    const struct scan *scan;
    const struct scan_input *input;
    struct query_file *file;
    struct arena arena;   /* of the row group at hand */
    struct row_run *runs; /* of it, in the order of the scan */
    size_t n_runs, run;
    uint32_t groups_done;
    uint32_t group; /* at hand */
    uint64_t done;  /* rows of the run at hand */
    uint64_t batch_rows;
    uint32_t *key_fields, *fields; /* in the file's schema */
    uint32_t n_fields;
    const struct schema *schema; /* of `fields` */
    struct schema *own_schema;   /* the same, when the file is of an older schema */
    struct parquet_plan *plan;   /* of a lookup in the row group at hand; NULL: none */
    struct batch_stream *all;    /* the whole file in one go, instead of all that follows */
    struct batch_stream *part;   /* the run at hand, where that is long and far away */
    /* reading ahead: */
    struct task_group *tasks;
    struct batch *ahead;
    bool ahead_started, ended;
};

/* ---- searching ---- */

static bool all_below(struct slice max, struct slice key)
{
    return slice_compare(max, key) < 0 && !slice_starts_with(key, max);
}

/* The same of a page's bounds. Most often their first bytes tell, which lie in the page's own
 * entry: those of the keys are elsewhere in memory. */
static bool page_below(const struct data_page *page, struct slice key, uint64_t head)
{
    if (page->max_head != head && page->max.size >= 8 && key.size >= 8)
        return page->max_head < head;
    return all_below(page->max, key);
}

static bool page_above(const struct data_page *page, struct slice key, uint64_t head)
{
    if (page->min_head != head && page->min.size >= 8 && key.size >= 8)
        return page->min_head > head;
    return slice_compare(page->min, key) >= 0;
}

/* The rows among which the first one with a key >= `key` is, or the end of them: [*low, *high]. No
 * page before *page is looked at, which becomes the one at which the first such row may be. */
static void bound_by_pages(const struct data_row_group *group, struct slice key, uint32_t *page,
                           uint64_t *low, uint64_t *high)
{
    *low = 0;
    *high = group->n_rows;
    if (!group->n_pages) return;
    uint32_t a = *page, b = group->n_pages;
    uint64_t head = key_head(key);
    /* What is near is looked for there first: most often both ends are in one page. */
    for (uint32_t step = 1; *page && b - a > step; step *= 2) {
        if (!page_below(&group->pages[a + step - 1], key, head)) {
            b = a + step - 1;
            break;
        }
        a += step;
    }
    while (a < b) { /* the first page that is not wholly below */
        uint32_t middle = a + (b - a) / 2;
        if (page_below(&group->pages[middle], key, head))
            a = middle + 1;
        else
            b = middle;
    }
    *low = a < group->n_pages ? group->pages[a].first_row : group->n_rows;
    *page = a;
    b = group->n_pages;
    for (uint32_t step = 1; b - a > step; step *= 2) { /* it is near, too */
        if (page_above(&group->pages[a + step - 1], key, head)) {
            b = a + step - 1;
            break;
        }
        a += step;
    }
    while (a < b) { /* the first page that is wholly at the key or above */
        uint32_t middle = a + (b - a) / 2;
        if (page_above(&group->pages[middle], key, head))
            b = middle;
        else
            a = middle + 1;
    }
    *high = a < group->n_pages ? group->pages[a].first_row : group->n_rows;
}

/* An encoded text is itself and two NULs, when there is no NUL in it: so it need not be encoded to
 * be compared. */
static bool compare_text(struct slice text, struct slice key, int *out)
{
    if (memchr(text.data, 0, text.size)) return false;
    size_t n = text.size < key.size ? text.size : key.size;
    int c = n ? memcmp(text.data, key.data, n) : 0;
    if (c == 0 && text.size < key.size) {
        struct slice rest = slice_part(key, text.size, key.size);
        c = slice_compare(slice_make("\0", 2), rest);
    } else if (c == 0) {
        c = 1;
    }
    *out = c;
    return true;
}

static int compare_row(const struct batch *keys, int64_t row, uint32_t n_keys, struct slice key,
                       struct buffer *scratch, int *out)
{
    if (n_keys == 1) {
        struct value value;
        column_value(&keys->columns[0], row, &value);
        bool is_text = value.kind == TYPE_STRING || value.kind == TYPE_BYTES;
        if (is_text && !value.is_null && compare_text(value.bytes, key, out)) return 0;
    }
    buffer_clear(scratch);
    TRY(key_append_row(keys, row, n_keys, scratch));
    *out = slice_compare(buffer_slice(scratch), key);
    return 0;
}

static int read_keys(struct file_scan *scan, uint64_t first, uint64_t n, struct batch **out)
{
    SCAN_COUNT(scan->scan, rows_decoded, n);
    const struct scan *s = scan->scan;
    bool all = scan->input->intervals->n_keys == s->n_keys;
    return query_file_read(s, scan->file, scan->group, all ? s->key_schema : s->row_key_schema,
                           scan->key_fields, first, n, scan->plan, out);
}

/* Far away, a call costs more than bytes: the few pages of all columns among whose rows a lookup
 * ends are fetched together, before it is known which of them has the row. */
static int plan_lookup(struct file_scan *scan, uint64_t first, uint64_t n)
{
    const struct scan *s = scan->scan;
    if (s->store->local || n > LOOKUP_ROWS_MAX || scan->input->intervals->n_items > 1) return 0;
    parquet_plan_free(scan->plan);
    scan->plan = parquet_plan_new(scan->file->reader, 0, 0, s->budget);
    TRY(query_file_plan(s, scan->file, scan->group, scan->key_fields, s->n_row_keys, first, n,
                        scan->plan));
    TRY(query_file_plan(s, scan->file, scan->group, scan->fields, scan->n_fields, first, n,
                        scan->plan));
    int code = parquet_plan_fetch(scan->plan);
    if (code != GLIS_ENOMEM) return code;
    error_clear(); /* then page by page */
    return 0;
}

/* Brings [*low, *high] down to at most SEARCH_ROWS_MAX rows by looking at single rows. */
static int narrow(struct file_scan *scan, struct slice key, uint64_t *low, uint64_t *high,
                  struct buffer *scratch)
{
    while (*high - *low > SEARCH_ROWS_MAX) {
        uint64_t middle = *low + (*high - *low) / 2;
        struct batch *row;
        int c = 0;
        TRY(read_keys(scan, middle, 1, &row));
        int code = compare_row(row, 0, scan->input->intervals->n_keys, key, scratch, &c);
        batch_release(row);
        TRY(code);
        if (c < 0)
            *low = middle + 1;
        else
            *high = middle;
    }
    return 0;
}

/* The first row in [*low, *high] with a key >= `key`, whose keys from `first` on are in the batch.
 */
static int search(struct file_scan *scan, const struct batch *keys, uint64_t first,
                  struct slice key, uint64_t low, uint64_t high, struct buffer *scratch,
                  uint64_t *out)
{
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int c = 0;
        TRY(compare_row(keys, (int64_t)(middle - first), scan->input->intervals->n_keys, key,
                        scratch, &c));
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return 0;
}

/* Narrows [*low, *high] in steps that double, for keys that are near *low: the end of a lookup's
 * rows lies one row behind their beginning. */
static int gallop(struct file_scan *scan, const struct batch *keys, uint64_t first,
                  struct slice key, uint64_t *low, uint64_t *high, struct buffer *scratch)
{
    for (uint64_t step = 1; *high - *low > step; step *= 2) {
        int c = 0;
        TRY(compare_row(keys, (int64_t)(*low + step - 1 - first), scan->input->intervals->n_keys,
                        key, scratch, &c));
        if (c >= 0) {
            *high = *low + step - 1;
            return 0;
        }
        *low += step;
    }
    return 0;
}

static int search_alone(struct file_scan *scan, struct slice key, uint64_t low, uint64_t high,
                        struct buffer *scratch, uint64_t *out)
{
    struct batch *keys;
    *out = low;
    TRY(narrow(scan, key, &low, &high, scratch));
    *out = low;
    if (low == high) return 0;
    TRY(read_keys(scan, low, high - low, &keys));
    int code = search(scan, keys, low, key, low, high, scratch, out);
    batch_release(keys);
    return code;
}

/* The rows of an interval in the row group at hand. */
static int find_run(struct file_scan *scan, const struct row_interval *interval,
                    struct row_run *run)
{
    const struct data_row_group *group = &scan->file->row_groups[scan->group];
    struct buffer scratch defer_buffer = BUFFER_INIT(4 * KEY_BYTES_MAX);
    uint64_t low = 0, low_end = 0, high = group->n_rows, high_end = group->n_rows;
    run->interval = interval->exact ? NULL : interval;
    uint32_t page = 0; /* max is not below min */
    if (interval->min.size) bound_by_pages(group, interval->min, &page, &low, &low_end);
    if (!interval->unbounded) bound_by_pages(group, interval->max, &page, &high, &high_end);
    if (high < low) high = low;
    bool near = high_end > low && high_end - low <= SEARCH_ROWS_MAX;
    if (near && (low < low_end || high < high_end)) {
        struct batch *keys;
        TRY(plan_lookup(scan, low, high_end - low));
        TRY(read_keys(scan, low, high_end - low, &keys));
        int code = search(scan, keys, low, interval->min, low, low_end, &scratch, &run->begin);
        uint64_t first = low;
        if (high < run->begin) high = run->begin;
        if (code == 0) code = gallop(scan, keys, first, interval->max, &high, &high_end, &scratch);
        if (code == 0)
            code = search(scan, keys, first, interval->max, high, high_end, &scratch, &run->end);
        batch_release(keys);
        return code;
    }
    TRY(search_alone(scan, interval->min, low, low_end, &scratch, &run->begin));
    return search_alone(scan, interval->max, high, high_end, &scratch, &run->end);
}

/* Whether the statistics leave the row group out of an interval. */
static bool group_misses(const struct data_row_group *group, const struct row_interval *interval)
{
    if (!group->has_bounds) return false;
    if (interval->min.size && all_below(group->max, interval->min)) return true;
    return !interval->unbounded && slice_compare(group->min, interval->max) >= 0;
}

/* The page that holds a row. */
static uint32_t page_of_row(const struct data_row_group *group, uint64_t row)
{
    uint32_t low = 0, high = group->n_pages;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (group->pages[middle].first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Runs ascend here, so each page is counted once. */
static void count_pages(struct file_scan *scan, const struct data_row_group *group)
{
    uint64_t used = 0;
    uint32_t next = 0; /* the first page not counted yet */
    for (size_t i = 0; i < scan->n_runs && group->n_pages; i++) {
        uint32_t first = page_of_row(group, scan->runs[i].begin);
        uint32_t end = page_of_row(group, scan->runs[i].end - 1) + 1;
        if (first < next) first = next;
        if (end > first) used += end - first;
        if (end > next) next = end;
    }
    SCAN_COUNT(scan->scan, pages, group->n_pages);
    SCAN_COUNT(scan->scan, pages_skipped_index, group->n_pages - used);
}

/* The runs of the row group at hand. */
static int find_runs(struct file_scan *scan)
{
    const struct row_intervals *intervals = scan->input->intervals;
    const struct data_row_group *group = &scan->file->row_groups[scan->group];
    bool missed = true, searched = false, absent, by_bloom = false;
    parquet_plan_free(scan->plan);
    scan->plan = NULL;
    scan->n_runs = scan->run = 0;
    scan->done = 0;
    SCAN_COUNT(scan->scan, row_groups, 1);
    if (scan->input->whole) {
        scan->runs[scan->n_runs++] = (struct row_run){0, group->n_rows, NULL};
        missed = false;
    } else {
        for (size_t i = 0; i < intervals->n_items; i++) {
            if (group_misses(group, &intervals->items[i])) continue;
            TRY(query_bloom_misses(scan->scan, scan->file, scan->group, &intervals->items[i],
                                   &absent));
            by_bloom |= absent;
            if (absent) continue;
            missed = false;
            if (!searched) TRY(query_file_pages(scan->scan, scan->file, scan->group));
            searched = true;
            struct row_run *run = &scan->runs[scan->n_runs];
            TRY(find_run(scan, &intervals->items[i], run));
            scan->n_runs += run->begin < run->end;
        }
    }
    if (!missed && scan->n_runs == 0)
        atomic_store(&scan->file->row_groups[scan->group].in_vain, true);
    if (missed && by_bloom)
        SCAN_COUNT(scan->scan, row_groups_skipped_bloom, 1);
    else if (missed)
        SCAN_COUNT(scan->scan, row_groups_skipped_statistics, 1);
    else
        SCAN_COUNT(scan->scan, row_groups_read, scan->n_runs > 0);
    if (!missed) count_pages(scan, group);
    for (size_t i = 0; i < scan->n_runs / 2 && scan->scan->descending; i++) {
        struct row_run run = scan->runs[i];
        scan->runs[i] = scan->runs[scan->n_runs - 1 - i];
        scan->runs[scan->n_runs - 1 - i] = run;
    }
    return 0;
}

/* ---- rows that must be tested ---- */

/* The encoded row-key fields of a row. */
static int field_keys(const struct batch *batch, int64_t row, uint32_t n, struct buffer *bytes,
                      struct slice *out)
{
    size_t ends[ROW_KEYS_TESTED_MAX];
    buffer_clear(bytes);
    for (uint32_t i = 0; i < n; i++) {
        struct value value;
        column_value(&batch->columns[i], row, &value);
        TRY(key_append_value(&batch->schema->fields[i].type, &value, bytes));
        ends[i] = bytes->size;
    }
    for (uint32_t i = 0; i < n; i++) {
        size_t begin = i ? ends[i - 1] : 0;
        out[i] = slice_make(bytes->data + begin, ends[i] - begin);
    }
    return 0;
}

/* Which rows of a batch of keys the interval takes, as ascending numbers. */
static int wanted_rows(const struct batch *keys, const struct row_interval *interval,
                       uint32_t n_row_keys, uint32_t *rows, int64_t *n_out)
{
    struct buffer bytes defer_buffer = BUFFER_INIT(64 * (size_t)KEY_BYTES_MAX);
    struct slice fields[ROW_KEYS_TESTED_MAX];
    *n_out = 0;
    if (n_row_keys > ROW_KEYS_TESTED_MAX)
        return error_set(GLIS_EUNSUPPORTED,
                         "regions over several of more than %d row keys cannot be asked for",
                         ROW_KEYS_TESTED_MAX);
    for (int64_t row = 0; row < keys->n_rows; row++) {
        TRY(field_keys(keys, row, n_row_keys, &bytes, fields));
        if (row_interval_takes(interval, fields, n_row_keys)) rows[(*n_out)++] = (uint32_t)row;
    }
    return 0;
}

/* Rows [first, first + n) of the row group that the interval takes; *out is NULL when there are
 * none. */
static int read_tested(struct file_scan *scan, const struct row_interval *interval, uint64_t first,
                       uint64_t n, struct batch **out)
{
    struct batch *keys, *all;
    int64_t n_wanted;
    *out = NULL;
    TRY(read_keys(scan, first, n, &keys));
    uint32_t *rows = memory_alloc((size_t)n * sizeof *rows);
    int code = wanted_rows(keys, interval, scan->scan->n_row_keys, rows, &n_wanted);
    batch_release(keys);
    if (code == 0 && n_wanted) {
        uint32_t begin = rows[0], end = rows[n_wanted - 1] + 1;
        code = query_file_read(scan->scan, scan->file, scan->group, scan->schema, scan->fields,
                               first + begin, end - begin, scan->plan, &all);
        if (code == 0) {
            for (int64_t i = 0; i < n_wanted; i++)
                rows[i] -= begin;
            if (n_wanted < (int64_t)(end - begin)) {
                code = batch_take(all, rows, n_wanted, scan->scan->budget, out);
                batch_release(all);
            } else {
                *out = all;
            }
        }
    }
    free(rows);
    return code;
}

/* ---- batches ---- */

static int reverse_rows(const struct scan *scan, struct batch **batch)
{
    struct batch *in = *batch;
    uint32_t *rows = memory_alloc((size_t)in->n_rows * sizeof *rows);
    for (int64_t i = 0; i < in->n_rows; i++)
        rows[i] = (uint32_t)(in->n_rows - 1 - i);
    int code = batch_take(in, rows, in->n_rows, scan->budget, batch);
    free(rows);
    batch_release(in);
    if (code < 0) *batch = NULL;
    return code;
}

/* As the query's schema has it: columns added since are null, widened ones wide. */
static int evolve(const struct file_scan *scan, struct batch **batch)
{
    struct batch *in = *batch;
    if (!scan->own_schema) return 0;
    int code = batch_evolve(in, scan->scan->schema, scan->scan->budget, batch);
    batch_release(in);
    if (code < 0) *batch = NULL;
    return code;
}

/* The next part of the run at hand. */
static int read_part(struct file_scan *scan, struct batch **out)
{
    const struct row_run *run = &scan->runs[scan->run];
    uint64_t left = run->end - run->begin - scan->done;
    uint64_t n = left < scan->batch_rows ? left : scan->batch_rows;
    uint64_t first = scan->scan->descending ? run->end - scan->done - n : run->begin + scan->done;
    scan->done += n;
    if (scan->done == run->end - run->begin) {
        scan->run++;
        scan->done = 0;
    }
    if (run->interval) {
        TRY(read_tested(scan, run->interval, first, n, out));
    } else {
        SCAN_COUNT(scan->scan, rows_decoded, n);
        TRY(query_file_read(scan->scan, scan->file, scan->group, scan->schema, scan->fields, first,
                            n, scan->plan, out));
    }
    if (!*out) return 0;
    TRY(evolve(scan, out));
    return scan->scan->descending ? reverse_rows(scan->scan, out) : 0;
}

/* Far away, each batch of a long run by itself would be a wait: the run becomes a stream, which
 * reads ahead. */
static int open_part(struct file_scan *scan)
{
    const struct row_run *run = &scan->runs[scan->run];
    const struct scan *s = scan->scan;
    uint64_t n = run->end - run->begin;
    if (s->store->local || s->descending || s->rows_hint || run->interval || scan->done ||
        n < STREAM_ROWS_MIN)
        return 0;
    uint64_t first =
        parquet_reader_metadata(scan->file->reader)->row_groups[scan->group].first_row + run->begin;
    return query_file_stream(s, scan->file, scan->schema, scan->fields, first, n, &scan->part);
}

/* The next batch of the part; *out is NULL, and the part over, when there is none. */
static int next_of_part(struct file_scan *scan, struct batch **out)
{
    TRY(batch_stream_next(scan->part, out));
    if (*out) {
        SCAN_COUNT(scan->scan, rows_decoded, (*out)->n_rows);
        return evolve(scan, out);
    }
    batch_stream_close(scan->part);
    scan->part = NULL;
    scan->run++;
    return 0;
}

static int next_batch(struct file_scan *scan, struct batch **out)
{
    uint32_t n_groups = scan->file->n_row_groups;
    *out = NULL;
    if (scan->all) {
        TRY_CONTEXT(batch_stream_next(scan->all, out), "file %.*s", SLICE_PRINT(scan->input->file));
        if (!*out) return 0;
        SCAN_COUNT(scan->scan, rows_decoded, (*out)->n_rows);
        return evolve(scan, out);
    }
    while (!*out) {
        TRY(scan_check(scan->scan));
        if (scan->run < scan->n_runs && !scan->part)
            TRY_CONTEXT(open_part(scan), "file %.*s", SLICE_PRINT(scan->input->file));
        if (scan->part) {
            TRY_CONTEXT(next_of_part(scan, out), "file %.*s", SLICE_PRINT(scan->input->file));
            continue;
        }
        if (scan->run < scan->n_runs) {
            TRY_CONTEXT(read_part(scan, out), "file %.*s", SLICE_PRINT(scan->input->file));
            continue;
        }
        if (scan->groups_done == n_groups) return 0;
        scan->group = scan->scan->descending ? n_groups - 1 - scan->groups_done : scan->groups_done;
        scan->groups_done++;
        TRY_CONTEXT(find_runs(scan), "file %.*s", SLICE_PRINT(scan->input->file));
    }
    return 0;
}

static int fetch_ahead(void *state)
{
    struct file_scan *scan = state;
    return next_batch(scan, &scan->ahead);
}

/* A lookup has one small batch, behind which most often nothing is left: handing the look for more
 * to another thread would cost more than the look. */
static bool worth_ahead(const struct file_scan *scan, const struct batch *batch)
{
    return scan->run < scan->n_runs || batch->n_rows >= AHEAD_ROWS_MIN;
}

static int scan_next(struct batch_stream *stream, struct batch **out)
{
    struct file_scan *scan = (struct file_scan *)stream;
    *out = NULL;
    if (scan->ended) return 0;
    int code;
    if (scan->ahead_started) {
        code = task_group_wait(scan->tasks);
        scan->ahead_started = false;
        *out = scan->ahead;
        scan->ahead = NULL;
    } else {
        code = next_batch(scan, out);
    }
    scan->ended = code < 0 || !*out;
    TRY(code);
    if (*out && scan->tasks && worth_ahead(scan, *out)) {
        code = task_group_start(scan->tasks, fetch_ahead, scan);
        scan->ahead_started = code == 0;
        if (code < 0) {
            batch_release(*out);
            *out = NULL;
        }
    }
    return code;
}

static void scan_close(struct batch_stream *stream)
{
    struct file_scan *scan = (struct file_scan *)stream;
    task_group_free(scan->tasks);
    batch_release(scan->ahead);
    batch_stream_close(scan->all);
    batch_stream_close(scan->part);
    parquet_plan_free(scan->plan);
    if (scan->file) cache_release(&scan->file->entry);
    schema_release(scan->own_schema);
    free(scan);
}

/* ---- opening ---- */

/* The wanted fields by the file's schema, which may lack some. */
static int find_fields(struct file_scan *scan)
{
    const struct scan *s = scan->scan;
    const struct schema *schema = scan->file->schema;
    for (uint32_t i = 0; i < s->n_fields; i++) {
        int field = schema_find(schema, s->schema->fields[i].name);
        if (field >= 0) scan->fields[scan->n_fields++] = (uint32_t)field;
        if (i >= s->n_keys) continue;
        if (field < 0)
            return error_set(GLIS_ECORRUPT, "file %.*s has no field '%s'",
                             SLICE_PRINT(scan->input->file), s->schema->fields[i].name.data);
        scan->key_fields[i] = (uint32_t)field;
    }
    scan->schema = s->schema;
    if (scan->input->schema_version == table_state_schema_version(s->state)) return 0;
    TRY(schema_project(schema, scan->fields, scan->n_fields, &scan->own_schema));
    scan->schema = scan->own_schema;
    return 0;
}

static int open_scan(const struct scan *scan, const struct scan_input *input,
                     struct file_scan **out)
{
    /* All in one: a lookup opens many files and finds nothing in most. */
    size_t n_runs = input->intervals->n_items + 1;
    struct file_scan *file_scan =
        memory_alloc_zero(sizeof *file_scan + n_runs * sizeof *file_scan->runs +
                          ((size_t)scan->n_fields + scan->n_keys) * sizeof *file_scan->fields);
    file_scan->runs = (struct row_run *)(void *)(file_scan + 1);
    file_scan->fields = (uint32_t *)(void *)(file_scan->runs + n_runs);
    file_scan->key_fields = file_scan->fields + scan->n_fields;
    file_scan->stream = (struct batch_stream){scan->schema, scan_next, scan_close};
    file_scan->scan = scan;
    file_scan->input = input;
    file_scan->batch_rows = scan->batch_rows;
    if (scan->rows_hint && scan->rows_hint < scan->batch_rows)
        file_scan->batch_rows = scan->rows_hint < 16 ? 16 : scan->rows_hint;
    int code = query_file_open(scan, input, &file_scan->file);
    if (code == 0) code = find_fields(file_scan);
    if (code < 0) {
        scan_close(&file_scan->stream);
        return code;
    }
    SCAN_COUNT(scan, files_read, 1);
    *out = file_scan;
    return 0;
}

int file_scan_open(const struct scan *scan, const struct scan_input *input,
                   struct batch_stream **out)
{
    struct file_scan *file_scan;
    TRY(open_scan(scan, input, &file_scan));
    /* What the reader gives in one go comes read ahead already. */
    bool large = !scan->rows_hint && input->rows > SCAN_BATCH_ROWS;
    if (large && input->whole && !scan->descending) {
        SCAN_COUNT(scan, row_groups, file_scan->file->n_row_groups);
        SCAN_COUNT(scan, row_groups_read, file_scan->file->n_row_groups);
        int code = query_file_stream(scan, file_scan->file, file_scan->schema, file_scan->fields, 0,
                                     parquet_reader_rows(file_scan->file->reader), &file_scan->all);
        if (code < 0) {
            scan_close(&file_scan->stream);
            return code;
        }
    } else if (large && pool_size(scan->runtime->pool) > 1)
        file_scan->tasks = task_group_new(scan->runtime->pool, 1);
    *out = &file_scan->stream;
    return 0;
}

/* Rows of a run that its interval takes. */
static int count_run(struct file_scan *scan, const struct row_run *run, uint64_t *count)
{
    if (!run->interval) {
        *count += run->end - run->begin;
        return 0;
    }
    uint32_t *rows = memory_alloc(SCAN_BATCH_ROWS * sizeof *rows);
    int code = 0;
    for (uint64_t first = run->begin; first < run->end && code == 0; first += SCAN_BATCH_ROWS) {
        uint64_t n = run->end - first < SCAN_BATCH_ROWS ? run->end - first : SCAN_BATCH_ROWS;
        struct batch *keys;
        int64_t wanted = 0;
        code = read_keys(scan, first, n, &keys);
        if (code < 0) break;
        code = wanted_rows(keys, run->interval, scan->scan->n_row_keys, rows, &wanted);
        batch_release(keys);
        *count += (uint64_t)wanted;
        if (code == 0) code = scan_check(scan->scan);
    }
    free(rows);
    return code;
}

int file_scan_count(const struct scan *scan, const struct scan_input *input, uint64_t *out)
{
    struct file_scan *file_scan;
    *out = 0;
    TRY(open_scan(scan, input, &file_scan));
    int code = 0;
    for (uint32_t g = 0; g < file_scan->file->n_row_groups && code == 0; g++) {
        file_scan->group = g;
        code = find_runs(file_scan);
        for (size_t i = 0; i < file_scan->n_runs && code == 0; i++)
            code = count_run(file_scan, &file_scan->runs[i], out);
        if (code == 0) code = scan_check(scan);
    }
    if (code < 0) error_context("file %.*s", SLICE_PRINT(input->file));
    scan_close(&file_scan->stream);
    return code;
}
