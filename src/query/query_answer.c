/*
 * query_answer.c: the stream that the caller sees: opens the units of the plan one after another,
 * leaves out what a cursor says was given, ends at the limit, looks for cancellation and the time
 * limit between batches, and keeps the place for the next cursor.
 *
 * Nothing is read before the first next. A file that is not there any more is GLIS_EGONE with its
 * name, whatever part of the answer has been given by then: an answer is whole or it is an error.
 */
#include "query/query_int.h"

#include <stdlib.h>

enum { BATCH_ROWS = 16384, WIDE_BATCH_ROWS = 256, HOLD_AFTER_MS = 1000, ROOM_BYTES = 4096 };
static const int64_t HOLD_MS = INT64_C(3600) * 1000; /* a pin that nobody extends ends by then */

struct query_answer {
    struct batch_stream stream;
    struct scan scan;
    struct query_explain explain;
    struct query_plan plan;
    struct query_process process;
    struct arena arena;
    const struct table_state *state;
    struct query_shape *shape;
    const uint32_t *given_fields; /* in shape->read; NULL: all that is read is wanted */
    struct batch_stream units;    /* over all units, for one pass of processing */
    size_t unit;                  /* the next to open */
    struct batch_stream *now;
    struct batch_stream *processed; /* NULL: none, or unit by unit */
    bool has_limit, count_only, ordered, ended, failed;
    uint64_t limit, given;
    struct slice after_key; /* rows of this key are left out ... */
    uint64_t skip_left;     /* ... so many yet */
    bool skipping;
    /* A query that goes on for long pins the record that it reads. */
    struct table_hold hold;
    uint64_t past_record; /* 0: the newest was asked for */
    struct store_counters counters_before;
    int64_t begun_ns;
    int64_t now_ms;
    struct buffer last_key; /* of the last row given, and how many rows of it came */
    uint64_t last_key_rows;
    char room[ROOM_BYTES]; /* the arena's first bytes; not cleared */
};

int scan_check(const struct scan *scan)
{
    TRY(runtime_check_cancel(scan->runtime));
    if (scan->deadline_ns &&
        scan->runtime->clock->monotonic_ns(scan->runtime->clock) > scan->deadline_ns)
        return error_set(GLIS_ETIMEOUT, "the query took longer than its time limit");
    return 0;
}

/*
 * Files without references outlive their last one by glis.table.gc.delay; a query that has gone on
 * for half of it pins its record, so that collection waits for it, and extends the pin while it
 * lasts. Whoever may not write goes on without: a file that is gone is then GLIS_EGONE.
 */
static void hold_later(struct query_answer *answer, struct table *table)
{
    struct runtime *runtime = answer->scan.runtime;
    int64_t half = table_state_number(answer->state, PROPERTY_TABLE_GC_DELAY) / 2;
    answer->hold = (struct table_hold){
        .table = table,
        .record = table_state_record(answer->state),
        .length_ms = HOLD_MS,
        .from_ms =
            runtime->clock->wall_ms(runtime->clock) + (half > HOLD_AFTER_MS ? half : HOLD_AFTER_MS),
    };
}

/* ---- giving rows ---- */

static bool row_has_key(const struct batch *batch, int64_t row, uint32_t n_keys, struct slice key,
                        struct buffer *scratch)
{
    buffer_clear(scratch);
    if (key_append_row(batch, row, n_keys, scratch) < 0) return false;
    return slice_equal(buffer_slice(scratch), key);
}

/* Leaves out rows at the front that the cursor counts as given. Takes the batch; *out may be NULL.
 */
static int skip_given(struct query_answer *answer, struct batch *batch, struct batch **out)
{
    struct buffer scratch defer_buffer = BUFFER_INIT(4 * KEY_BYTES_MAX);
    int64_t n = 0;
    while (n < batch->n_rows && answer->skip_left &&
           row_has_key(batch, n, answer->scan.n_keys, answer->after_key, &scratch)) {
        n++;
        answer->skip_left--;
    }
    if (n < batch->n_rows) answer->skipping = false;
    *out = NULL;
    int code = n < batch->n_rows ? batch_slice(batch, n, batch->n_rows - n, out) : 0;
    batch_release(batch);
    return code;
}

/* Notes the key of the last row and how many rows of it have come, for the cursor. */
static int note_place(struct query_answer *answer, const struct batch *batch)
{
    if (!answer->ordered || !answer->has_limit || batch->n_rows == 0) return 0;
    struct buffer key defer_buffer = BUFFER_INIT(4 * KEY_BYTES_MAX);
    uint32_t n_keys = answer->scan.n_keys;
    int64_t last = batch->n_rows - 1, first = last;
    TRY(key_append_row(batch, last, n_keys, &key));
    while (first > 0 && batch_compare_rows(batch, first - 1, batch, last, 0, n_keys) == 0)
        first--;
    uint64_t rows = (uint64_t)(last - first + 1);
    bool goes_on = first == 0 && slice_equal(buffer_slice(&key), buffer_slice(&answer->last_key));
    if (goes_on) {
        answer->last_key_rows += rows;
        return 0;
    }
    buffer_clear(&answer->last_key);
    answer->last_key_rows = rows;
    return buffer_append_slice(&answer->last_key, buffer_slice(&key));
}

/* The next batch of all units, before cursor and limit. */
static int next_of_units(struct query_answer *answer, struct batch **out)
{
    *out = NULL;
    for (;;) {
        TRY(scan_check(&answer->scan));
        if (!answer->now) {
            if (answer->unit == answer->plan.n_units) return 0;
            TRY(unit_open(&answer->scan, &answer->plan.units[answer->unit++], &answer->now));
            if (answer->process.is_needed && !answer->processed) {
                struct batch_stream *unit = answer->now;
                answer->now = NULL;
                TRY(query_process_open(&answer->process, &answer->scan, unit, &answer->now));
            }
        }
        TRY(batch_stream_next(answer->now, out));
        if (*out && (*out)->n_rows) return 0;
        if (*out) {
            batch_release(*out);
            continue;
        }
        batch_stream_close(answer->now);
        answer->now = NULL;
    }
}

static int units_next(struct batch_stream *stream, struct batch **out)
{
    size_t offset = offsetof(struct query_answer, units);
    return next_of_units((struct query_answer *)(void *)((char *)stream - offset), out);
}

static void units_close(struct batch_stream *stream)
{
    (void)stream; /* a part of the answer */
}

/* One pass of processing over all units, where these follow each other in order. */
static int open_processed(struct query_answer *answer)
{
    if (!answer->process.is_needed || !answer->plan.in_key_order) return 0;
    answer->units = (struct batch_stream){answer->shape->read, units_next, units_close};
    return query_process_open(&answer->process, &answer->scan, &answer->units, &answer->processed);
}

static int next_processed(struct query_answer *answer, struct batch **out)
{
    if (!answer->processed) return next_of_units(answer, out);
    return batch_stream_next(answer->processed, out);
}

static int next_rows(struct query_answer *answer, struct batch **out)
{
    struct batch *batch;
    *out = NULL;
    if (answer->has_limit && answer->given == answer->limit) return 0;
    do {
        TRY(next_processed(answer, &batch));
        if (batch && answer->skipping) {
            TRY(skip_given(answer, batch, &batch));
            if (!batch) continue;
        }
        break;
    } while (true);
    if (!batch) return 0;
    uint64_t left = answer->limit - answer->given;
    if (answer->has_limit && (uint64_t)batch->n_rows > left) {
        struct batch *part;
        int code = batch_slice(batch, 0, (int64_t)left, &part);
        batch_release(batch);
        TRY(code);
        batch = part;
    }
    answer->given += (uint64_t)batch->n_rows;
    int code = note_place(answer, batch);
    if (code == 0 && !answer->given_fields) {
        *out = batch;
        return 0;
    }
    if (code == 0) code = batch_project(batch, answer->shape->given, answer->given_fields, out);
    batch_release(batch);
    return code;
}

/* What only processing can tell. */
static int count_processed(struct query_answer *answer)
{
    struct batch *batch;
    do {
        TRY(next_rows(answer, &batch));
        batch_release(batch);
    } while (batch);
    return 0;
}

static int count_rows(struct query_answer *answer)
{
    uint64_t n = 0;
    if (answer->process.is_needed) return count_processed(answer);
    for (size_t i = 0; i < answer->plan.n_units; i++) {
        const struct scan_unit *unit = &answer->plan.units[i];
        for (size_t k = 0; k < unit->n_inputs; k++) {
            uint64_t of_file = 0;
            TRY(scan_check(&answer->scan));
            if (unit->inputs[k].whole) {
                of_file = unit->inputs[k].rows;
                SCAN_COUNT(&answer->scan, files_from_metadata, 1);
            } else {
                TRY(file_scan_count(&answer->scan, &unit->inputs[k], &of_file));
            }
            n += of_file;
        }
    }
    answer->given = answer->has_limit && n > answer->limit ? answer->limit : n;
    return 0;
}

static void close_streams(struct query_answer *answer)
{
    batch_stream_close(answer->processed);
    answer->processed = NULL;
    batch_stream_close(answer->now);
    answer->now = NULL;
}

static int answer_next(struct batch_stream *stream, struct batch **out)
{
    struct query_answer *answer = (struct query_answer *)stream;
    *out = NULL;
    if (answer->ended) return 0;
    if (answer->failed) return error_set(GLIS_EINVALID, "the query has failed already");
    TRY(table_hold_renew(&answer->hold));
    int code = answer->count_only ? count_rows(answer) : next_rows(answer, out);
    answer->failed = code < 0;
    if (code == GLIS_EGONE && answer->past_record)
        error_context(
            "record %llu is no longer whole, for collection removes the files that no pin "
            "keeps (see glis table pin)",
            (unsigned long long)answer->past_record);
    if (code == 0 && !*out) {
        answer->ended = true;
        close_streams(answer);
    }
    return code;
}

static void answer_close(struct batch_stream *stream)
{
    struct query_answer *answer = (struct query_answer *)stream;
    close_streams(answer);
    table_hold_end(&answer->hold);
    if (answer->shape) cache_release(&answer->shape->entry);
    table_state_release(answer->state);
    arena_free(&answer->arena);
    buffer_free(&answer->last_key);
    query_engine_spare_put(answer->scan.engine, answer);
}

/* ---- opening ---- */

static int get_state(struct query_answer *answer, struct table *table, const struct query *query)
{
    uint64_t record = query->has_after ? query->after.record : query->at_record;
    if (query->state) {
        answer->state = table_state_acquire(query->state);
        return 0;
    }
    if (query->has_after && query->at_record && query->at_record != query->after.record)
        return error_set(GLIS_EINVALID, "atRecord %llu, but the cursor is of record %llu",
                         (unsigned long long)query->at_record,
                         (unsigned long long)query->after.record);
    TRY(table_state_get(table, query->max_staleness_ms, &answer->state));
    int64_t delay = 0;
    if (query->max_staleness_ms) delay = table_state_number(answer->state, PROPERTY_TABLE_GC_DELAY);
    if (query->max_staleness_ms > delay / 2)
        return error_set(GLIS_EINVALID,
                         "maxStaleness of %lld ms: at most half of glis.table.gc.delay (%lld ms)",
                         (long long)query->max_staleness_ms, (long long)delay);
    if (!record || table_state_record(answer->state) == record) return 0;
    table_state_release(answer->state);
    answer->state = NULL;
    answer->past_record = record;
    return table_state_at(table, record, &answer->state);
}

/* The wanted fields by the state's schema, which may be later or earlier than the query's. */
static int find_fields(struct query_answer *answer, const struct query *query)
{
    const struct schema *schema = answer->scan.table_schema;
    if (query->schema->n_row_keys != schema->n_row_keys)
        return error_set(GLIS_EINVALID, "the query is of another table");
    bool *wanted = ARENA_ARRAY(&answer->arena, bool, schema->n_fields);
    for (uint32_t i = 0; i < query->n_fields && query->fields; i++) {
        struct slice name = query->schema->fields[query->fields[i]].name;
        int field = schema_find(schema, name);
        if (field < 0)
            return error_set(GLIS_EINVALID, "field '%.*s' is not there as of record %llu",
                             SLICE_PRINT(name),
                             (unsigned long long)table_state_record(answer->state));
        wanted[field] = true;
    }
    struct scan *scan = &answer->scan;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        wanted[i] = i < scan->n_keys || (!query->count_only && (wanted[i] || !query->fields));
    uint32_t *fields = ARENA_ARRAY(&answer->arena, uint32_t, schema->n_fields);
    uint32_t *given = ARENA_ARRAY(&answer->arena, uint32_t, schema->n_fields), n_given = 0;
    bool *read = ARENA_ARRAY(&answer->arena, bool, schema->n_fields);
    memcpy(read, wanted, schema->n_fields);
    process_fields(schema, &answer->process.processing, &answer->process.options, read);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        if (wanted[i]) given[n_given++] = scan->n_fields;
        if (read[i]) fields[scan->n_fields++] = i;
    }
    scan->fields = fields;
    if (n_given < scan->n_fields) answer->given_fields = given;
    const struct query_fields both = {fields, given, scan->n_fields, n_given};
    TRY(query_shape_get(scan->engine, schema, &both, &answer->shape));
    scan->schema = answer->shape->read;
    scan->row_key_schema = answer->shape->row_keys;
    scan->key_schema = answer->shape->keys;
    answer->stream.schema = answer->shape->given;
    return 0;
}

static void set_limits(struct query_answer *answer, const struct query *query,
                       const struct instance *instance)
{
    struct scan *scan = &answer->scan;
    answer->has_limit = query->has_limit;
    answer->limit = query->limit;
    answer->count_only = query->count_only;
    answer->ordered = query->ordered || query->has_after;
    scan->descending = query->reverse;
    scan->batch_rows = BATCH_ROWS;
    scan->tie_order = answer->ordered;
    scan->max_files = (uint32_t)instance_number(instance, PROPERTY_QUERY_MAX_FILES);
    bool hint = query->has_limit && !answer->process.is_needed;
    scan->rows_hint = hint ? query->limit + (query->has_after ? query->after.given : 0) : 0;
    struct slice folder = instance_text(instance, PROPERTY_INGEST_SPILL_DIR);
    scan->spill_folder = folder.size ? arena_copy_text(&answer->arena, folder) : NULL;
    int64_t timeout_ms =
        query->timeout_ms ? query->timeout_ms : instance_number(instance, PROPERTY_QUERY_TIMEOUT);
    int64_t timeout_ns;
    if (timeout_ms > 0 && !__builtin_mul_overflow(timeout_ms, INT64_C(1000000), &timeout_ns) &&
        !__builtin_add_overflow(timeout_ns, answer->begun_ns, &timeout_ns))
        scan->deadline_ns = timeout_ns;
    if (!query->has_after) return;
    answer->after_key = arena_copy(&answer->arena, query->after.key);
    answer->skip_left = query->after.given;
    answer->skipping = query->after.given > 0;
    /* Further rows of the same key count on from those given. */
    answer->last_key_rows = query->after.given;
}

static int open_answer(struct query_answer *answer, struct table *table, const struct query *query)
{
    struct scan *scan = &answer->scan;
    struct clock *clock = scan->runtime->clock;
    TRY(get_state(answer, table, query));
    int64_t state_ns = clock->monotonic_ns(clock);
    answer->explain.state_ns = state_ns - answer->begun_ns;
    answer->explain.record = table_state_record(answer->state);
    scan->state = answer->state;
    scan->table_schema = table_state_schema(answer->state);
    scan->n_row_keys = scan->table_schema->n_row_keys;
    scan->n_keys = schema_key_count(scan->table_schema);
    TRY(query_process_prepare(answer->state, table_instance(table), query, answer->now_ms,
                              &answer->arena, &answer->process));
    TRY(find_fields(answer, query));
    set_limits(answer, query, table_instance(table));
    if (answer->ordered) TRY(buffer_append_slice(&answer->last_key, answer->after_key));
    if (query->has_after && query->count_only)
        return error_set(GLIS_EINVALID, "countOnly and after do not go together");
    struct query cut = *query;
    cut.after.key = answer->after_key;
    struct plan_wishes wishes = {.ordered = answer->ordered || query->reverse,
                                 .leaf_ordered = answer->process.needs_order};
    TRY(query_plan_make(scan, table, &cut, &wishes, &answer->arena, &answer->plan));
    TRY(open_processed(answer));
    /* A descending merge may be wider than max_files: then each input holds less. */
    for (size_t i = 0; i < answer->plan.n_units && scan->descending; i++)
        if (answer->plan.units[i].n_inputs > scan->max_files) scan->batch_rows = WIDE_BATCH_ROWS;
    answer->explain.order = !answer->plan.in_key_order ? "leaf by leaf"
                            : scan->descending         ? "key descending"
                                                       : "key";
    answer->explain.plan_ns = clock->monotonic_ns(clock) - state_ns;
    return 0;
}

int query_open(struct query_engine *engine, struct table *table, const struct query *query,
               struct batch_stream **out)
{
    struct query_answer *answer = query_engine_spare_take(engine);
    if (!answer) answer = memory_alloc(sizeof *answer);
    struct scan *scan = &answer->scan;
    memset(answer, 0, offsetof(struct query_answer, room));
    arena_init(&answer->arena, NULL);
    arena_use(&answer->arena, answer->room, sizeof answer->room);
    buffer_init(&answer->last_key, 4 * KEY_BYTES_MAX, NULL);
    answer->stream.next = answer_next;
    answer->stream.close = answer_close;
    scan->engine = engine;
    scan->runtime = query_engine_runtime(engine);
    scan->budget = query_engine_budget(engine);
    scan->store = instance_store(table_instance(table));
    scan->explain = &answer->explain;
    answer->counters_before = store_counters(scan->store);
    answer->begun_ns = scan->runtime->clock->monotonic_ns(scan->runtime->clock);
    answer->now_ms = query->has_after ? query->after.now_ms
                     : query->now_ms  ? query->now_ms
                                      : scan->runtime->clock->wall_ms(scan->runtime->clock);
    int code = open_answer(answer, table, query);
    if (code == 0) hold_later(answer, table);
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        answer_close(&answer->stream);
        return error_load(&detail);
    }
    *out = &answer->stream;
    return 0;
}

/* ---- looking at an answer ---- */

uint64_t query_answer_rows(const struct batch_stream *stream)
{
    return ((const struct query_answer *)stream)->given;
}

uint64_t query_answer_record(const struct batch_stream *stream)
{
    return ((const struct query_answer *)stream)->explain.record;
}

bool query_answer_cursor(const struct batch_stream *stream, struct arena *arena,
                         struct query_cursor *out)
{
    const struct query_answer *answer = (const struct query_answer *)stream;
    if (!answer->ordered || !answer->has_limit || answer->count_only || answer->failed ||
        answer->given < answer->limit || answer->last_key.size == 0)
        return false;
    *out = (struct query_cursor){
        .record = answer->explain.record,
        .key = arena_copy(arena, buffer_slice(&answer->last_key)),
        .given = answer->last_key_rows,
        .now_ms = answer->now_ms,
    };
    return true;
}

struct query_explain query_answer_explain(const struct batch_stream *stream)
{
    const struct query_answer *answer = (const struct query_answer *)stream;
    struct query_explain explain = answer->explain;
    struct clock *clock = answer->scan.runtime->clock;
    struct store_counters now = store_counters(answer->scan.store);
    uint64_t leaves = table_state_figures(answer->state).leaves;
    explain.leaves_skipped_tree = leaves > explain.leaves ? leaves - explain.leaves : 0;
    explain.rows_given = answer->given;
    explain.rows_aged = answer->process.counts.rows_aged;
    explain.rows_aggregated = answer->process.counts.rows_aggregated;
    explain.rows_hidden = answer->process.counts.rows_hidden;
    explain.bad_labels = answer->process.counts.bad_labels;
    explain.requests = now.gets + now.heads + now.lists - answer->counters_before.gets -
                       answer->counters_before.heads - answer->counters_before.lists;
    explain.bytes_read = now.bytes_read - answer->counters_before.bytes_read;
    explain.cached_pieces = now.cache_hits - answer->counters_before.cache_hits;
    explain.cached_bytes = now.cache_bytes - answer->counters_before.cache_bytes;
    explain.total_ns = clock->monotonic_ns(clock) - answer->begun_ns;
    return explain;
}
