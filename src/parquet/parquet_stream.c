/*
 * parquet_stream.c: a file's rows as a stream of batches.
 *
 * The file is cut into segments: row groups, or parts of them where they are large and have an
 * offset index. Each segment is read front to back by a cursor of its own, a batch at a time, and
 * batches are small enough to stay in the processor's cache while they are made. Segments are
 * worked on by the pool's threads and by the caller, one thread a segment; the caller gets their
 * batches in the file's order, and while the segment that it needs is in another thread's hands, it
 * works on a later one. A file of too few segments has its fields decoded side by side instead.
 *
 * So that memory is bounded, segments rest while the batches that wait for the caller have
 * AHEAD_BYTES_MAX, or a quarter of what the budget has left; only what the caller needs next never
 * waits. A batch that passes what a batch can hold (2 GiB of text in a column), or what the budget
 * has left, is tried again with half as many rows, from a new cursor.
 *
 * From a store that is far away, the bytes of the segments to come are asked for while those before
 * are decoded: a plan of each, begun in the file's order as long as what is under way has at most
 * UNDER_WAY_BYTES_MAX, or an eighth of what the budget has left. Between two batches a thread takes
 * in what has come of the others' (the system's buffers hold little), and a segment whose bytes are
 * here is worked on before one that must be waited for.
 *
 * Under the lock: all of a segment but what is behind its cursor and plan, which belong to the
 * thread that has set is_running.
 */
#include "parquet/parquet_read_int.h"

#include <stdlib.h>

enum {
    SEGMENT_BYTES = 16 << 20,
    BATCH_BYTES = 4 << 20,
    BATCH_ROWS_MIN = 8 << 10,
    BATCH_ROWS_MAX = 64 << 10,
    AHEAD_BYTES_MAX = 48 << 20,
    AHEAD_SHARE = 4,   /* one in so many bytes of the budget may be ahead in all its streams */
    SEGMENTS_MAX = 64, /* open at a time */
    SMALL_RUN = 16,    /* batches until a larger one is tried again */
    UNDER_WAY_BYTES_MAX = 64 << 20,
    LOOK_EVERY = 4,          /* batches */
    SEGMENTS_UNDER_WAY = 16, /* open beyond those that are worked on, where reading is ahead */
};

struct segment {
    uint32_t row_group;
    uint64_t next, end;                  /* rows of the row group that have no batch yet */
    int64_t batch_rows, batch_rows_most; /* the latter when nothing was too large */
    unsigned n_small;                    /* batches since it was made smaller */
    struct parquet_plan *plan;           /* NULL: nothing was asked for beforehand */
    uint64_t plan_bytes;
    bool is_asked, is_here; /* asked: its plan was begun, or has failed; here: as far as known */
    struct rows_cursor *cursor; /* NULL: not begun, or all is done */
    bool is_running, is_done;   /* done: no batch will be added; perhaps because of `code` */
    int code;
    struct error_detail failure;
    struct batch **batches; /* in order, from first on */
    uint32_t first, n, room;
};

struct parquet_stream {
    struct batch_stream stream;
    struct parquet_reader *reader;
    struct runtime *runtime;
    struct budget *budget;
    struct schema *schema;
    uint32_t *fields;
    uint32_t n_fields;
    bool *dictionaries; /* fields that come as dictionaries where they can; NULL: none */
    uint64_t next, end; /* rows of the file that are in no segment yet */
    int64_t batch_rows; /* of a batch at most; 0: a choice by size */
    unsigned n_threads; /* the caller's included */

    pthread_mutex_t lock;
    pthread_cond_t progress;
    struct segment *open[SEGMENTS_MAX]; /* in order */
    unsigned n_open, n_open_max;
    unsigned n_workers; /* tasks that run or wait for a thread */
    uint64_t ahead_bytes, ahead_bytes_max;
    bool asks_ahead, asking; /* the latter: a thread is at it */
    unsigned n_looks;
    uint64_t under_way_bytes, under_way_max;
    bool ending;
    struct task_group *tasks;
};

/* The row group that holds a row of the file. */
static uint32_t group_of(const struct parquet_metadata *metadata, uint64_t row)
{
    uint32_t a = 0, b = metadata->n_row_groups;
    while (a + 1 < b) {
        uint32_t middle = a + (b - a) / 2;
        if (metadata->row_groups[middle].first_row <= row)
            a = middle;
        else
            b = middle;
    }
    return a;
}

/* ---- segments ---- */

/* Bytes that the wanted fields of a row group take, and whether all of them have an index. */
static uint64_t wanted_bytes(const struct parquet_stream *stream,
                             const struct parquet_row_group *group, bool *indexed)
{
    uint64_t bytes = 0;
    *indexed = true;
    for (uint32_t f = 0; f < stream->n_fields; f++) {
        const struct node *node = &stream->reader->nodes[stream->fields[f]];
        for (uint32_t l = node->leaf; l < node->leaf + node->n_leaves; l++) {
            *indexed = *indexed && group->chunks[l].offset_index_size > 0;
            if (__builtin_add_overflow(bytes, group->chunks[l].uncompressed_bytes, &bytes))
                bytes = UINT64_MAX;
        }
    }
    return bytes;
}

/* The next rows of the file as a segment. */
static struct segment *cut_segment(struct parquet_stream *stream)
{
    const struct parquet_metadata *metadata = &stream->reader->metadata;
    struct segment *segment = memory_alloc_zero(sizeof *segment);
    segment->row_group = group_of(metadata, stream->next);
    const struct parquet_row_group *group = &metadata->row_groups[segment->row_group];
    uint64_t first = stream->next - group->first_row, n = group->n_rows - first;
    if (n > stream->end - stream->next) n = stream->end - stream->next;
    bool indexed;
    uint64_t bytes = wanted_bytes(stream, group, &indexed);
    segment->batch_rows = stream->batch_rows;
    if (segment->batch_rows == 0) { /* a choice by size */
        uint64_t row_bytes = group->n_rows ? bytes / group->n_rows + 1 : 1;
        uint64_t most = budget_left(stream->budget) / 16;
        uint64_t rows = (most < BATCH_BYTES ? most : BATCH_BYTES) / row_bytes;
        segment->batch_rows = rows < BATCH_ROWS_MIN   ? BATCH_ROWS_MIN
                              : rows > BATCH_ROWS_MAX ? BATCH_ROWS_MAX
                                                      : (int64_t)(rows & ~(uint64_t)1023);
    }
    if (indexed && stream->n_threads > 1 && bytes > SEGMENT_BYTES) {
        uint64_t parts = bytes / SEGMENT_BYTES + 1, step = (uint64_t)segment->batch_rows;
        uint64_t rows = (group->n_rows / parts / step + 1) * step;
        if (n > rows) n = rows;
    }
    segment->batch_rows_most = segment->batch_rows;
    segment->next = first;
    segment->end = first + n;
    stream->next += n;
    return segment;
}

static void segment_free(struct segment *segment)
{
    rows_cursor_close(segment->cursor);
    parquet_plan_free(segment->plan);
    for (uint32_t i = 0; i < segment->n; i++)
        batch_release(segment->batches[segment->first + i]);
    free(segment->batches);
    free(segment);
}

/* ---- asking ahead ---- */

/* The next segment that nothing was asked for yet, if there is room; NULL: none. */
static struct segment *find_unasked(struct parquet_stream *stream)
{
    for (unsigned i = 0; i < stream->n_open && !stream->ending; i++) {
        struct segment *segment = stream->open[i];
        if (segment->is_asked || segment->is_running || segment->is_done) continue;
        return i == 0 || stream->under_way_bytes < stream->under_way_max ? segment : NULL;
    }
    return NULL;
}

/* Asks for the bytes of segments, in order, as far as there is room. One thread at a time; the lock
 * is held before and after. */
static void ask_ahead(struct parquet_stream *stream)
{
    struct segment *segment;
    if (!stream->asks_ahead || stream->asking) return;
    stream->asking = true;
    while ((segment = find_unasked(stream))) {
        segment->is_running = segment->is_asked = true;
        bool is_first = segment == stream->open[0];
        pthread_mutex_unlock(&stream->lock);
        uint64_t bytes = 0;
        struct parquet_plan *plan =
            parquet_plan_ahead(stream->reader, segment->row_group, stream->fields, stream->n_fields,
                               segment->next, segment->end - segment->next, stream->budget,
                               is_first, budget_left(stream->budget) / 4, &bytes);
        pthread_mutex_lock(&stream->lock);
        segment->plan = plan;
        segment->plan_bytes = bytes;
        segment->is_running = false;
        stream->under_way_bytes += bytes;
        pthread_cond_broadcast(&stream->progress);
    }
    stream->asking = false;
}

/* All of a segment's bytes are decoded. */
static void forget_plan(struct parquet_stream *stream, struct segment *segment)
{
    parquet_plan_free(segment->plan);
    segment->plan = NULL;
    stream->under_way_bytes -= segment->plan_bytes;
    segment->plan_bytes = 0;
}

/* ---- batches ---- */

/* The next batch of a segment; again with fewer rows where it is too large. When the budget is out
 * this helps only if the caller waits for this batch; else it can wait itself. */
static int read_batch(const struct parquet_stream *stream, struct segment *segment, bool is_awaited,
                      bool parallel, struct batch **out)
{
    for (;;) {
        uint64_t n = segment->end - segment->next;
        int code = 0;
        if (n > (uint64_t)segment->batch_rows) n = (uint64_t)segment->batch_rows;
        if (!segment->cursor && segment->plan) code = parquet_plan_arrive(&segment->plan);
        if (code == 0 && !segment->cursor)
            code = rows_cursor_open_planned(
                stream->reader, segment->plan, segment->row_group, stream->fields, stream->n_fields,
                segment->next, segment->end - segment->next, stream->budget, &segment->cursor);
        if (code == 0 && stream->dictionaries)
            rows_cursor_keep_dictionaries(segment->cursor, stream->dictionaries);
        if (code == 0) code = rows_cursor_next(segment->cursor, n, parallel, out);
        if (code == 0) {
            segment->next += n;
            if (segment->batch_rows < segment->batch_rows_most && ++segment->n_small == SMALL_RUN) {
                segment->batch_rows *= 2;
                segment->n_small = 0;
            }
            return 0;
        }
        rows_cursor_close(segment->cursor);
        segment->cursor = NULL;
        if (code != GLIS_ELIMIT && (code != GLIS_ENOMEM || !is_awaited)) return code;
        if (n <= 1) return code;
        segment->batch_rows = (int64_t)(n / 2);
        segment->n_small = 0;
    }
}

static void add_batch(struct segment *segment, struct batch *batch)
{
    if (segment->first + segment->n == segment->room) {
        if (segment->first > 0) {
            memmove(segment->batches, segment->batches + segment->first,
                    segment->n * sizeof(struct batch *));
            segment->first = 0;
        } else {
            segment->room = segment->room ? 2 * segment->room : 8;
            segment->batches =
                memory_realloc(segment->batches, segment->room * sizeof(struct batch *));
        }
    }
    segment->batches[segment->first + segment->n++] = batch;
}

/* One batch of a segment that nobody has in hands; the lock is held before and after. */
static void work_on(struct parquet_stream *stream, struct segment *segment)
{
    bool is_awaited = segment == stream->open[0] && segment->n == 0;
    struct batch *batch = NULL;
    bool parallel = stream->n_open < stream->n_threads && stream->n_threads > 1;
    segment->is_running = segment->is_asked = true;
    pthread_mutex_unlock(&stream->lock);
    int code = runtime_check_cancel(stream->runtime);
    if (code == 0 && segment->plan && !segment->cursor &&
        !parquet_plan_go_on(segment->plan, true)) { /* a part of it has come; others, too? */
        pthread_mutex_lock(&stream->lock);
        segment->is_running = false;
        pthread_cond_broadcast(&stream->progress);
        return;
    }
    if (code == 0 && segment->next < segment->end)
        code = read_batch(stream, segment, is_awaited, parallel, &batch);
    uint64_t bytes = batch ? batch_bytes(batch) : 0;
    if (code < 0) error_save(&segment->failure);
    if (code == 0 && segment->next == segment->end) {
        rows_cursor_close(segment->cursor);
        segment->cursor = NULL;
    }
    pthread_mutex_lock(&stream->lock);
    segment->is_running = false;
    /* Batches that wait may be why the budget is out: again when this one is awaited. */
    bool again = code == GLIS_ENOMEM && !is_awaited;
    if (again) stream->ahead_bytes_max = stream->under_way_max = 0;
    if (!again) segment->code = code;
    segment->is_done = segment->next == segment->end || (code < 0 && !again);
    if (segment->is_done) forget_plan(stream, segment);
    if (batch) {
        add_batch(segment, batch);
        stream->ahead_bytes += bytes;
        budget_add_ahead(stream->budget, bytes);
    }
    pthread_cond_broadcast(&stream->progress);
}

/* Whether work on a segment would not wait for its bytes, as far as known. */
static bool is_ready(const struct parquet_stream *stream, const struct segment *segment)
{
    return !stream->asks_ahead || segment->cursor || segment->is_here ||
           (segment->is_asked && !segment->plan);
}

static void open_segments(struct parquet_stream *stream)
{
    while (stream->n_open < stream->n_open_max && stream->next < stream->end && !stream->ending)
        stream->open[stream->n_open++] = cut_segment(stream);
}

/* The first segment that may be worked on, if possible one that is ready; NULL when there is
 * none. */
static struct segment *find_work(struct parquet_stream *stream)
{
    struct segment *unready = NULL;
    if (stream->ending) return NULL;
    open_segments(stream);
    /* Others have this budget, too: what nobody waits for yet must not take what they need. */
    bool is_full = stream->ahead_bytes >= stream->ahead_bytes_max ||
                   !budget_try_ahead(stream->budget, 0, AHEAD_SHARE);
    for (unsigned i = 0; i < stream->n_open; i++) {
        struct segment *segment = stream->open[i];
        if (segment->is_done || segment->is_running) continue;
        if (i > 0 && is_full) return unready;
        /* the first one's batches wait for the caller as well */
        if (i == 0 && segment->n > 0 && is_full) return NULL;
        if (is_ready(stream, segment)) return segment;
        /* What there is no room to ask for is asked for later. */
        if (!unready && (i == 0 || segment->is_asked)) unready = segment;
    }
    return unready;
}

/* Takes in what has come of segments that nobody works on: when work would wait for it, and now and
 * then before, since each look costs a few calls of the system. The lock is held before and after.
 */
static void take_in(struct parquet_stream *stream)
{
    if (!stream->asks_ahead || stream->asking) return;
    const struct segment *work = find_work(stream);
    if (work && is_ready(stream, work) && ++stream->n_looks % LOOK_EVERY != 0) return;
    stream->asking = true;
    for (unsigned i = 0; i < stream->n_open && !stream->ending; i++) {
        struct segment *segment = stream->open[i];
        if (segment->is_running || segment->is_done) continue; /* the rest is another's then */
        if (!segment->plan || segment->cursor || segment->is_here) continue;
        segment->is_running = true;
        pthread_mutex_unlock(&stream->lock);
        bool here = parquet_plan_go_on(segment->plan, false);
        pthread_mutex_lock(&stream->lock);
        segment->is_running = false;
        segment->is_here = here;
        pthread_cond_broadcast(&stream->progress);
    }
    stream->asking = false;
}

static int worker(void *state)
{
    struct parquet_stream *stream = state;
    pthread_mutex_lock(&stream->lock);
    for (;;) {
        ask_ahead(stream);
        take_in(stream);
        struct segment *segment = find_work(stream);
        if (!segment) break;
        work_on(stream, segment);
    }
    stream->n_workers--;
    pthread_mutex_unlock(&stream->lock);
    return 0;
}

/* ---- the stream ---- */

/* As many workers as the pool has threads, while there is work for them. The lock is held. */
static int start_workers(struct parquet_stream *stream)
{
    while (stream->n_workers + 1 < stream->n_threads && find_work(stream)) {
        stream->n_workers++;
        pthread_mutex_unlock(&stream->lock);
        int code = task_group_start(stream->tasks, worker, stream);
        pthread_mutex_lock(&stream->lock);
        if (code < 0) {
            stream->n_workers--;
            return code;
        }
        /* One that has begun holds a segment; one that waits for a thread holds none, and to start
         * more of them would be of no use. */
        break;
    }
    return 0;
}

/* The first segment has ended and all its batches are given out. */
static void drop_first(struct parquet_stream *stream)
{
    struct segment *segment = stream->open[0];
    stream->n_open--;
    memmove(stream->open, stream->open + 1, stream->n_open * sizeof(struct segment *));
    segment_free(segment);
}

static int next_batch(struct parquet_stream *stream, struct batch **out)
{
    for (;;) {
        open_segments(stream);
        ask_ahead(stream);
        take_in(stream);
        if (stream->n_open == 0) return 0;
        struct segment *first = stream->open[0];
        if (first->n > 0) {
            *out = first->batches[first->first++];
            first->n--;
            uint64_t bytes = batch_bytes(*out);
            stream->ahead_bytes -= bytes;
            budget_end_ahead(stream->budget, bytes);
            return start_workers(stream);
        }
        if (first->is_done) {
            if (first->code < 0) return error_load(&first->failure);
            drop_first(stream);
            continue;
        }
        TRY(start_workers(stream));
        struct segment *work = find_work(stream);
        if (!first->is_running && !first->is_done && first->n == 0)
            work_on(stream, work ? work : first);
        else if (first->is_running && work && work != first)
            work_on(stream, work);
        else if (first->is_running)
            pthread_cond_wait(&stream->progress, &stream->lock);
    }
}

static int stream_next(struct batch_stream *base, struct batch **out)
{
    struct parquet_stream *stream = (struct parquet_stream *)base;
    *out = NULL;
    TRY(runtime_check_cancel(stream->runtime));
    pthread_mutex_lock(&stream->lock);
    int code = next_batch(stream, out);
    pthread_mutex_unlock(&stream->lock);
    return code;
}

static void stream_close(struct batch_stream *base)
{
    struct parquet_stream *stream = (struct parquet_stream *)base;
    pthread_mutex_lock(&stream->lock);
    stream->ending = true;
    pthread_mutex_unlock(&stream->lock);
    task_group_free(stream->tasks);
    for (unsigned i = 0; i < stream->n_open; i++)
        segment_free(stream->open[i]);
    budget_end_ahead(stream->budget, stream->ahead_bytes);
    pthread_cond_destroy(&stream->progress);
    pthread_mutex_destroy(&stream->lock);
    schema_release(stream->schema);
    free(stream->fields);
    free(stream->dictionaries);
    free(stream);
}

int parquet_reader_stream_part(struct parquet_reader *reader, const uint32_t *fields,
                               uint32_t n_fields, uint64_t first, uint64_t n, int64_t batch_rows,
                               struct batch_stream **out)
{
    struct schema *schema;
    uint64_t rows = parquet_reader_rows(reader);
    if (first > rows || n > rows - first)
        return error_set(GLIS_EINVALID, "rows %llu to %llu of a file of %llu",
                         (unsigned long long)first, (unsigned long long)(first + n),
                         (unsigned long long)rows);
    TRY(schema_project(parquet_reader_schema(reader), fields, n_fields, &schema));
    struct parquet_stream *stream = memory_alloc_zero(sizeof *stream);
    struct pool *pool = reader->runtime->pool;
    stream->stream = (struct batch_stream){schema, stream_next, stream_close};
    stream->reader = reader;
    stream->runtime = reader->runtime;
    stream->budget = reader->budget;
    stream->schema = schema;
    stream->fields = memory_alloc((n_fields + 1) * sizeof *fields);
    if (n_fields) memcpy(stream->fields, fields, n_fields * sizeof *fields);
    stream->n_fields = n_fields;
    stream->next = first;
    stream->end = first + n;
    stream->batch_rows = batch_rows > 0 ? batch_rows : 0;
    stream->n_threads = 1 + pool_threads(pool);
    stream->n_open_max = stream->n_threads == 1 ? 1 : 2 * stream->n_threads;
    stream->asks_ahead = !reader->store->local;
    if (stream->asks_ahead) stream->n_open_max += SEGMENTS_UNDER_WAY;
    if (stream->n_open_max > SEGMENTS_MAX) stream->n_open_max = SEGMENTS_MAX;
    stream->ahead_bytes_max = AHEAD_BYTES_MAX;
    uint64_t left = budget_left(stream->budget);
    if (left / 4 < stream->ahead_bytes_max) stream->ahead_bytes_max = left / 4;
    stream->under_way_max =
        left / 8 < UNDER_WAY_BYTES_MAX ? left / 8 : (uint64_t)UNDER_WAY_BYTES_MAX;
    ASSERT(pthread_mutex_init(&stream->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&stream->progress, NULL) == 0);
    stream->tasks = task_group_new(pool, stream->n_threads);
    *out = &stream->stream;
    return 0;
}

int parquet_reader_stream_dictionaries(struct parquet_reader *reader, const uint32_t *fields,
                                       uint32_t n_fields, const bool *dictionaries, uint64_t first,
                                       uint64_t n, int64_t batch_rows, struct batch_stream **out)
{
    TRY(parquet_reader_stream_part(reader, fields, n_fields, first, n, batch_rows, out));
    struct parquet_stream *stream = (struct parquet_stream *)*out;
    stream->dictionaries = memory_alloc((n_fields + 1) * sizeof *dictionaries);
    if (n_fields) memcpy(stream->dictionaries, dictionaries, n_fields * sizeof *dictionaries);
    return 0;
}

int parquet_reader_stream(struct parquet_reader *reader, struct batch_stream **out)
{
    uint32_t n = parquet_reader_schema(reader)->n_fields;
    uint32_t *fields = memory_alloc((n + 1) * sizeof *fields);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = i;
    int code =
        parquet_reader_stream_part(reader, fields, n, 0, parquet_reader_rows(reader), 0, out);
    free(fields);
    return code;
}
