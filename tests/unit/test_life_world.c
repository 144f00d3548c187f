/*
 * test_life_world.c: the same random life on a table and on a list of rows: ingest in every mode,
 * compaction by plan and by force, also while another job is at work, push-downs, splits, deleting,
 * collection, pins, restore, reset, changes of properties and schema, and time that goes by. After
 * each step the state is validated and questions are asked, whose answers must be what the list
 * gives. The list knows nothing of files; filters, aggregations and labels are worked out here,
 * from their description, naively.
 *
 * GLIS_LIFE_WORLD_SEED=N runs one seed, GLIS_LIFE_WORLD_SEEDS=N as many.
 */
#include "test.h"

#include "log_toy.h" /* its clock */
#include "lsm/lsm.h"
#include "query/query.h"

#include <stdio.h>
#include <stdlib.h>

enum { F_K, F_T, F_L, F_V, F_C, F_MAX, ROWS = 2000, STATES = 160, KEYS = 40, N_LABELS = 7 };

/* In the order of their bytes. Whether each holds for somebody with A (1), B (2), both (3). */
static const char *const labels[N_LABELS] = {"", "A", "A&(B|C)", "A&B", "A&B|C", "A|B", "B"};
static const bool label_holds[N_LABELS][4] = {
    {true, true, true, true},    {false, true, false, true},   {false, false, false, true},
    {false, false, false, true}, {false, false, false, false}, /* no expression */
    {false, true, true, true},   {false, false, true, true},
};

struct row {
    int64_t f[F_MAX];
    bool null[F_MAX];
};
struct past { /* what the table was as of a record */
    uint64_t record;
    struct row *rows;
    size_t n;
    bool has_c, v_wide;
    int64_t age, cutoff;
    bool visible_label;
};
struct world {
    uint64_t seed;
    struct random *random;
    struct toy_clock clock;
    struct budget budget;
    struct ulid_source ulids;
    struct runtime runtime;
    struct store *store;
    struct instance *instance;
    struct table *table;
    struct query_engine *engine;
    enum aggregation aggregation; /* of all value fields */
    struct past now, history[STATES];
    size_t n_history;
    uint64_t pinned[4];
    int64_t age_min; /* the shortest that ever was */
    bool nested;
    const char *doing;
};
enum count {
    C_INGESTS,
    C_COMPACTIONS,
    C_LOST,
    C_PUSHED,
    C_SPLITS,
    C_COLLECTED,
    C_DELETES,
    C_RESTORES,
    C_RESETS,
    C_REFUSED,
    C_OLD_READS,
    C_NESTED,
    C_AGED,
    C_JOINED,
    C_SET_ASIDE,
    COUNTS
};
static const char *const count_names[COUNTS] = {
    "ingests",   "compactions", "lost",     "pushed down", "splits",
    "collected", "deletes",     "restores", "resets",      "refused",
    "old reads", "nested",      "aged",     "joined",      "set aside"};
static uint64_t counts[COUNTS];
static struct pool *pool;

static uint64_t draw(struct world *w, uint64_t bound)
{
    return random_below(w->random, bound);
}

static void check(struct world *w, bool good, const char *what)
{
    if (!good)
        fail_msg("seed %llu, %s: %s (%s)", (unsigned long long)w->seed, w->doing, what,
                 error_message());
}

static void must(struct world *w, int code)
{
    if (code < 0) check(w, false, error_code_name(code));
}

/* A refusal is an answer: nothing was done. */
static bool did(struct world *w, int code)
{
    if (code == GLIS_EREFUSED || code == GLIS_EGONE) {
        counts[C_REFUSED]++;
        return false;
    }
    must(w, code);
    return true;
}

/* ---- the list ---- */

static int compare_keys(const struct row *a, const struct row *b)
{
    for (int i = F_K; i <= F_L; i++)
        if (a->f[i] != b->f[i]) return a->f[i] < b->f[i] ? -1 : 1;
    return 0;
}

static int compare_rows(const void *x, const void *y)
{
    const struct row *a = x, *b = y;
    int order = compare_keys(a, b);
    for (int i = F_V; i < F_MAX && !order; i++) {
        if (a->null[i] != b->null[i]) return a->null[i] ? -1 : 1;
        if (a->f[i] != b->f[i]) order = a->f[i] < b->f[i] ? -1 : 1;
    }
    return order;
}

static void join_rows(const struct world *w, const struct past *past, struct row *to,
                      const struct row *from)
{
    for (int i = F_V; i < F_MAX; i++) {
        if (from->null[i]) continue;
        if (to->null[i]) {
            to->f[i] = from->f[i];
        } else if (w->aggregation == AGGREGATION_SUM) {
            uint64_t sum = (uint64_t)to->f[i] + (uint64_t)from->f[i];
            bool wide = i == F_V && past->v_wide;
            to->f[i] = wide ? (int64_t)sum : (int64_t)(int32_t)(uint32_t)sum;
        } else if ((from->f[i] < to->f[i]) == (w->aggregation == AGGREGATION_MIN)) {
            to->f[i] = from->f[i];
        }
        to->null[i] = false;
    }
}

/* The rows that somebody sees, by key and values. */
static size_t seen_rows(const struct world *w, const struct past *past, int64_t from, int64_t to,
                        unsigned rights, struct row *out)
{
    size_t n = 0, m = 0;
    int64_t cutoff = past->cutoff;
    if (past->age && w->clock.now_ms - past->age > cutoff) cutoff = w->clock.now_ms - past->age;
    for (size_t i = 0; i < past->n; i++) {
        const struct row *row = &past->rows[i];
        if (row->f[F_K] < from || row->f[F_K] >= to) continue;
        if (row->f[F_T] <= cutoff)
            counts[C_AGED]++;
        else
            out[n++] = *row;
    }
    if (n) qsort(out, n, sizeof *out, compare_rows);
    if (w->aggregation) {
        for (size_t i = 0; i < n; i++)
            if (m && compare_keys(&out[m - 1], &out[i]) == 0)
                join_rows(w, past, &out[m - 1], &out[i]);
            else
                out[m++] = out[i];
        n = m;
    }
    if (!past->visible_label) return n;
    m = 0;
    for (size_t i = 0; i < n; i++)
        if (label_holds[out[i].f[F_L]][rights]) out[m++] = out[i];
    return m;
}

/* ---- rows and schemas ---- */

static struct schema *make_schema(bool v_wide, bool has_c)
{
    struct field fields[F_MAX] = {{SLICE("k"), {.kind = TYPE_INT64}, false},
                                  {SLICE("t"), {.kind = TYPE_INT64}, false},
                                  {SLICE("l"), {.kind = TYPE_STRING}, false},
                                  {SLICE("v"), {.kind = v_wide ? TYPE_INT64 : TYPE_INT32}, true},
                                  {SLICE("c"), {.kind = TYPE_INT32}, true}};
    struct schema *schema;
    assert_ok(schema_new(&schema, fields, has_c ? F_MAX : F_C, 1, 2));
    return schema;
}

static struct batch *make_batch(const struct schema *schema, const struct row *rows, size_t n)
{
    struct batch_builder *builder;
    struct batch *batch;
    assert_ok(batch_builder_new(&builder, schema, NULL));
    for (size_t i = 0; i < n; i++) {
        for (uint32_t f = 0; f < schema->n_fields; f++) {
            struct column_builder *column = batch_builder_column(builder, f);
            if (rows[i].null[f])
                assert_ok(column_builder_append_null(column));
            else if (f == F_L)
                assert_ok(
                    column_builder_append_bytes(column, slice_from_text(labels[rows[i].f[f]])));
            else
                assert_ok(column_builder_append_integer(column, rows[i].f[f]));
        }
        assert_ok(batch_builder_end_row(builder));
    }
    assert_ok(batch_builder_finish(builder, &batch));
    batch_builder_free(builder);
    return batch;
}

static size_t take_rows(struct world *w, struct batch_stream *answer, struct row *out, size_t n)
{
    for (;;) {
        struct batch *batch;
        must(w, batch_stream_next(answer, &batch));
        if (!batch) return n;
        for (int64_t at = 0; at < batch->n_rows; at++) {
            check(w, n < ROWS, "too many rows");
            struct row *row = &out[n++];
            *row = (struct row){.null = {[F_C] = true}};
            for (uint32_t f = 0; f < batch->schema->n_fields; f++) {
                struct value value;
                column_value(&batch->columns[f], at, &value);
                row->null[f] = value.is_null;
                row->f[f] = value.is_null ? 0 : value.integer;
                if (f != F_L) continue;
                for (row->f[f] = 0; row->f[f] < N_LABELS; row->f[f]++)
                    if (slice_equal_text(value.bytes, labels[row->f[f]])) break;
                check(w, row->f[f] < N_LABELS, "a strange label");
            }
        }
        batch_release(batch);
    }
}

/* ---- questions ---- */

static void ask(struct world *w, const struct past *past, uint64_t at_record)
{
    static struct row got[ROWS], wanted[ROWS];
    static const char *const rights_of[] = {"", "\"A\"", "\"B\"", "\"A\",\"B\""};
    struct arena arena defer_arena = ARENA_EMPTY;
    defer_buffer struct buffer json = BUFFER_INIT(4000);
    bool ranged = draw(w, 2), ordered = draw(w, 2), reverse = draw(w, 3) == 0,
         count = draw(w, 5) == 0;
    unsigned rights = (unsigned)draw(w, 4);
    int64_t from = ranged ? (int64_t)draw(w, KEYS) : 0,
            to = ranged ? from + 1 + (int64_t)(draw(w, 2) ? 0 : draw(w, KEYS)) : KEYS;
    uint64_t limit = ordered && !count && draw(w, 3) == 0 ? 1 + draw(w, 30) : 0;
    assert_ok(buffer_append_text(&json, "{\"regions\":[{"));
    if (ranged)
        assert_ok(buffer_printf(&json, "\"k\":{\"min\":%d,\"max\":%d}", (int)from, (int)to));
    assert_ok(buffer_printf(
        &json, "}],\"ordered\":%s,\"reverse\":%s,\"countOnly\":%s,\"authorisations\":[%s]",
        ordered ? "true" : "false", reverse ? "true" : "false", count ? "true" : "false",
        rights_of[rights]));
    if (limit) assert_ok(buffer_printf(&json, ",\"limit\":%d", (int)limit));
    assert_ok(buffer_append_text(&json, "}"));
    struct schema *schema = make_schema(past->v_wide, past->has_c);
    struct query query;
    must(w, query_from_json(buffer_slice(&json), schema, &arena, &query));
    query.at_record = at_record;
    size_t n = 0, n_wanted = seen_rows(w, past, from, to, rights, wanted);
    for (bool more = true; more;) {
        struct batch_stream *answer;
        size_t before = n;
        must(w, query_open(w->engine, w->table, &query, &answer));
        n = take_rows(w, answer, got, n);
        more = query_answer_cursor(answer, &arena, &query.after);
        query.has_after = more;
        check(w, !more || (limit && n - before == limit), "a part of another size");
        if (count) n = query_answer_rows(answer);
        batch_stream_close(answer);
    }
    schema_release(schema);
    for (size_t i = 1; ordered && !count && i < n; i++)
        check(w,
              reverse ? compare_keys(&got[i - 1], &got[i]) >= 0
                      : compare_keys(&got[i - 1], &got[i]) <= 0,
              "an ordered answer is in no order");
    if (n && !count) qsort(got, n, sizeof *got, compare_rows);
    bool same = n == n_wanted;
    for (size_t i = 0; same && !count && i < n; i++)
        same = compare_rows(&got[i], &wanted[i]) == 0;
    if (!same)
        fail_msg("seed %llu, after %s: record %llu: %zu rows, not the %zu of the model: %.*s",
                 (unsigned long long)w->seed, w->doing, (unsigned long long)at_record, n, n_wanted,
                 SLICE_PRINT(buffer_slice(&json)));
}

static void look(struct world *w)
{
    const struct table_state *state;
    must(w, table_state_get(w->table, 0, &state));
    must(w, table_validate(state));
    uint64_t record = table_state_record(state);
    int64_t cutoff = table_state_cutoff(state, SLICE("t"));
    table_state_release(state);
    check(w, cutoff >= w->now.cutoff, "a cut-off went back");
    check(w, cutoff == INT64_MIN || (w->age_min && cutoff <= w->clock.now_ms - w->age_min),
          "a cut-off that no filter has");
    w->now.cutoff = cutoff;
    w->now.record = record;
    if (w->n_history < STATES && (!w->n_history || w->history[w->n_history - 1].record < record)) {
        struct past *past = &w->history[w->n_history++];
        *past = w->now;
        past->rows = memory_alloc_zero((past->n + 1) * sizeof *past->rows);
        memcpy(past->rows, w->now.rows, past->n * sizeof *past->rows);
    }
    ask(w, &w->now, 0);
    for (int i = 0; i < 4; i++)
        for (size_t p = 0; w->pinned[i] && p < w->n_history; p++)
            if (w->history[p].record == w->pinned[i] && draw(w, 3) == 0) {
                ask(w, &w->history[p], w->pinned[i]);
                counts[C_OLD_READS]++;
            }
}

/* ---- steps ---- */

static void step(struct world *w);

/* Somebody else does something while a job is under way. */
static void another(struct world *w)
{
    if (w->nested || draw(w, 6)) return;
    const char *doing = w->doing;
    w->nested = true;
    counts[C_NESTED]++;
    step(w);
    w->nested = false;
    w->doing = doing;
}

static int during_ingest(void *state, const struct ingest_progress *progress)
{
    (void)progress;
    another(state);
    return 0;
}

static int during_merge(void *state, const struct merge_files_progress *progress)
{
    (void)progress;
    another(state);
    return 0;
}

static void do_ingest(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct row rows[48];
    size_t n = (size_t)draw(w, draw(w, 4) ? 12 : 48);
    int64_t first = (int64_t)draw(w, KEYS), width = draw(w, 2) ? KEYS : 4;
    if (w->now.n + n > ROWS / 2) return;
    memset(rows, 0, sizeof rows);
    for (size_t i = 0; i < n; i++) {
        rows[i].f[F_K] = (first + (int64_t)draw(w, (uint64_t)width)) % KEYS;
        rows[i].f[F_T] = w->clock.now_ms / 3600000 * 3600000 - (int64_t)draw(w, 3) * 3600000;
        rows[i].f[F_L] = (int64_t)draw(w, N_LABELS);
        rows[i].null[F_V] = draw(w, 5) == 0;
        rows[i].null[F_C] = !w->now.has_c || draw(w, 3) == 0;
        if (!rows[i].null[F_V]) rows[i].f[F_V] = INT32_MAX - (int64_t)draw(w, 4);
        if (!rows[i].null[F_C]) rows[i].f[F_C] = (int64_t)draw(w, 9) - 4;
    }
    struct schema *schema = make_schema(w->now.v_wide, w->now.has_c);
    struct batch *batch = make_batch(schema, rows, n);
    struct batch_stream *stream;
    assert_ok(batch_stream_of(schema, &batch, 1, &stream));
    batch_release(batch);
    struct ingest_options options = {.progress = during_ingest, .progress_state = w};
    struct ingest_result result;
    int code = ingest_stream(w->table, &w->runtime, stream, &options, &arena, &result);
    schema_release(schema);
    if (!did(w, code)) return;
    memcpy(w->now.rows + w->now.n, rows, n * sizeof *rows);
    w->now.n += n;
    counts[C_INGESTS]++;
}

static void do_compact(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct compaction_plan plan;
    must(w, table_state_get(w->table, 0, &state));
    struct compaction_plan_options options = {
        .now_ms = w->clock.now_ms, .force = draw(w, 2), .seed = draw(w, 100)};
    must(w, compaction_plan(state, &options, &arena, &plan));
    struct commit_result moved;
    if (plan.n_push_downs &&
        did(w, table_push_down(w->table, plan.push_downs, plan.n_push_downs, &moved)))
        counts[C_PUSHED]++;
    for (size_t i = 0; i < plan.n_jobs && i < 3; i++) {
        struct work_options work = {
            .lease_ms = 60000, .progress = during_merge, .progress_state = w};
        struct compaction_result result;
        struct job_assignment hold = {SLICE("gone"), plan.jobs[i].partition, plan.jobs[i].files,
                                      plan.jobs[i].n_files, w->clock.now_ms + 60000};
        /* A worker takes the files and is never heard of again. */
        if (draw(w, 6) == 0) {
            (void)did(w, table_assign_job(w->table, &hold, &moved));
            if (draw(w, 2)) w->clock.now_ms += 60001;
        }
        if (!did(w, compaction_run(w->table, &w->runtime, &plan.jobs[i], &work, &arena, &result)))
            continue;
        counts[result.is_lost ? C_LOST : C_COMPACTIONS]++;
    }
    table_state_release(state);
}

static void do_split(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_leaf *leaves;
    size_t n;
    struct split_point point;
    bool done = false;
    must(w, table_state_get(w->table, 0, &state));
    must(w, table_leaves(state, NULL, &arena, &leaves, &n));
    if (n < 24)
        must(w, split_leaf(w->table, &w->runtime, state, leaves[draw(w, n)].partition.id, &arena,
                           &point, &done));
    counts[C_SPLITS] += done;
    table_state_release(state);
}

static void do_maintain(struct world *w)
{
    struct maintain_result result;
    struct maintain_options options = {.steps = (unsigned)draw(w, MAINTAIN_ALL) + 1,
                                       .force = draw(w, 3) == 0,
                                       .collect = {.now = draw(w, 2), .full = draw(w, 2)}};
    if (!did(w, maintain_table(w->table, &w->runtime, &options, &result))) return;
    counts[C_COMPACTIONS] += result.compactions;
    counts[C_PUSHED] += result.pushed_down;
    counts[C_SPLITS] += result.splits;
    counts[C_JOINED] += result.joined;
    counts[C_COLLECTED] += result.collected.files;
}

static void do_delete(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct key_range range = {0};
    const struct key_range *regions[] = {&range};
    static const struct type key = {.kind = TYPE_INT64};
    int64_t from = (int64_t)draw(w, KEYS), to = from + 1 + (int64_t)draw(w, 3);
    struct slice *ends[] = {&range.min, &range.max};
    for (int i = 0; i < 2; i++) {
        defer_buffer struct buffer bytes = BUFFER_INIT(64);
        struct value value = value_integer(TYPE_INT64, i ? to : from);
        assert_ok(key_append_value(&key, &value, &bytes));
        *ends[i] = arena_copy(&arena, buffer_slice(&bytes));
    }
    struct delete_options options = {.drop_pins = false};
    struct delete_result result;
    must(w, delete_rows(w->table, &w->runtime, regions, 1, &options, &arena, &result));
    size_t n = 0;
    for (size_t i = 0; i < w->now.n; i++)
        if (w->now.rows[i].f[F_K] < from || w->now.rows[i].f[F_K] >= to)
            w->now.rows[n++] = w->now.rows[i];
    w->now.n = n;
    counts[C_DELETES]++;
}

/* A file is taken out of sight: whoever would need it is told so, the rest goes on, and it comes
 * back as it was. */
static void do_set_aside(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_leaf *leaves;
    struct commit_result result;
    struct slice file = SLICE_EMPTY;
    size_t n;
    must(w, table_state_get(w->table, 0, &state));
    must(w, table_leaves(state, NULL, &arena, &leaves, &n));
    const struct table_leaf *leaf = &leaves[draw(w, n)];
    if (leaf->n_references)
        file = arena_copy(&arena, leaf->references[draw(w, leaf->n_references)].file->name);
    table_state_release(state);
    if (!file.size || !did(w, table_set_aside(w->table, file, &result))) return;
    struct schema *schema = make_schema(w->now.v_wide, w->now.has_c);
    struct query query;
    struct batch_stream *answer;
    query_everything(schema, &arena, &query);
    int code = query_open(w->engine, w->table, &query, &answer);
    struct batch *batch = NULL;
    if (code == 0) {
        do {
            batch_release(batch);
            code = batch_stream_next(answer, &batch);
        } while (code == 0 && batch);
        batch_stream_close(answer);
    }
    schema_release(schema);
    check(w, code == GLIS_ECORRUPT, "an answer without a file that was set aside");
    bool nested = w->nested;
    w->nested = true;
    if (draw(w, 2)) do_compact(w);
    w->nested = nested;
    must(w, table_take_back(w->table, file, &result));
    counts[C_SET_ASIDE]++;
}

static void do_pin(struct world *w)
{
    struct commit_result result;
    unsigned i = (unsigned)draw(w, 4);
    char id[8];
    snprintf(id, sizeof id, "p%u", i);
    if (w->pinned[i]) {
        must(w, table_unpin(w->table, slice_from_text(id), &result));
        w->pinned[i] = 0;
        return;
    }
    const struct past *past = &w->history[draw(w, w->n_history)];
    struct table_pin pin = {.id = slice_from_text(id), .record = past->record};
    if (did(w, table_pin(w->table, &pin, &result))) w->pinned[i] = past->record;
}

static void do_restore(struct world *w)
{
    struct commit_result result;
    const struct past *past = &w->history[draw(w, w->n_history)];
    if (!did(w, table_restore(w->table, past->record, &result))) return;
    memcpy(w->now.rows, past->rows, past->n * sizeof *past->rows);
    w->now.n = past->n;
    counts[C_RESTORES]++;
}

static void do_alter(struct world *w)
{
    static const char *const choices[][5] = {
        {"glis.table.ingest.file.writing.strategy", "by_size", "one_file_per_leaf",
         "one_reference_per_leaf", ""},
        {"glis.table.ingest.min.file.bytes", "1", "300", "2K", ""},
        {"glis.table.inner.bytes", "0", "1K", "4G", "0"},
        {"glis.table.parquet.rowgroup.rows.max", "1", "7", "100", ""},
        {"glis.table.parquet.compression.codec", "zstd", "snappy", "uncompressed", "lz4_raw"},
        {"glis.table.compaction.strategy.class", "basic", "size_ratio", "basic", ""},
        {"glis.table.compaction.files.batch.size", "2", "3", "5", "12"},
        {"glis.table.gc.delay", "0s", "15m", "2h", "1m"},
        {"glis.table.partition.splitting.threshold", "10", "40", "1000", ""},
        {"glis.table.ingest.max.references", "1", "3", "64", ""},
    };
    struct commit_result result;
    unsigned which = (unsigned)draw(w, 10);
    struct setting setting = {slice_from_text(choices[which][0]),
                              slice_from_text(choices[which][1 + draw(w, 4)])};
    must(w, table_alter(w->table, &setting, 1, NULL, &result));
}

static void do_alter_age(struct world *w)
{
    static const char *const filters[] = {"", "ageOff(t,7200000)", "ageOff(t,86400000)"};
    static const int64_t ages[] = {0, 7200000, 86400000};
    struct commit_result result;
    unsigned which = (unsigned)draw(w, 3);
    struct setting setting = {SLICE("glis.table.filters"), slice_from_text(filters[which])};
    if (!did(w, table_alter(w->table, &setting, 1, NULL, &result))) return;
    w->now.age = ages[which];
    if (ages[which] && (!w->age_min || ages[which] < w->age_min)) w->age_min = ages[which];
}

static void do_alter_schema(struct world *w)
{
    struct commit_result result;
    bool wide = w->now.v_wide, has_c = w->now.has_c;
    struct setting setting = {SLICE("glis.table.aggregations"), SLICE_EMPTY};
    char text[60];
    if (draw(w, 2))
        wide = true;
    else
        has_c = true;
    const char *name = aggregation_name(w->aggregation);
    snprintf(text, sizeof text, has_c ? "%s(v),%s(c)" : "%s(v)", name, name);
    if (w->aggregation) setting.value = slice_from_text(text);
    struct schema *schema = make_schema(wide, has_c);
    int code =
        table_alter(w->table, &setting, w->aggregation && has_c != w->now.has_c, schema, &result);
    schema_release(schema);
    if (!did(w, code)) return;
    w->now.v_wide = wide;
    w->now.has_c = has_c;
}

static void do_label(struct world *w)
{
    struct commit_result result;
    struct setting setting = {SLICE("glis.table.visibility.field"),
                              w->now.visible_label ? SLICE_EMPTY : SLICE("l")};
    if (did(w, table_alter(w->table, &setting, 1, NULL, &result)))
        w->now.visible_label = !w->now.visible_label;
}

static void do_reset(struct world *w)
{
    struct commit_result result;
    if (draw(w, 3)) return;
    if (!did(w, table_reset(w->table, NULL, 0, draw(w, 2), &result))) return;
    w->now.n = 0;
    counts[C_RESETS]++;
}

static void do_time(struct world *w)
{
    static const int64_t jumps[] = {1000, 70000, 1200000, 3600000, 40000000, 100000000};
    w->clock.now_ms += jumps[draw(w, 6)];
}

static void do_reopen(struct world *w)
{
    if (draw(w, 2)) must(w, table_snapshot_write(w->table));
    table_close(w->table);
    must(w, table_open(w->instance, SLICE("t"), &w->table));
}

static const struct {
    const char *name;
    void (*run)(struct world *w);
    unsigned weight;
    bool nests;
} steps[] = {
    {"ingest", do_ingest, 10, true},      {"compact", do_compact, 5, true},
    {"split", do_split, 3, true},         {"maintain", do_maintain, 3, true},
    {"delete", do_delete, 1, true},       {"pin", do_pin, 2, true},
    {"restore", do_restore, 1, true},     {"alter", do_alter, 3, true},
    {"ages", do_alter_age, 1, true},      {"columns", do_alter_schema, 1, false},
    {"labels", do_label, 1, true},        {"reset", do_reset, 1, true},
    {"time", do_time, 2, true},           {"reopen", do_reopen, 1, false},
    {"set aside", do_set_aside, 1, true},
};

static void step(struct world *w)
{
    unsigned total = 0, i;
    for (i = 0; i < sizeof steps / sizeof *steps; i++)
        total += steps[i].weight;
    unsigned at = (unsigned)draw(w, total);
    for (i = 0; at >= steps[i].weight; i++)
        at -= steps[i].weight;
    if (w->nested && !steps[i].nests) return;
    w->doing = steps[i].name;
    if (getenv("GLIS_LIFE_WORLD_SEED")) print_message("%s%s\n", w->nested ? "  " : "", w->doing);
    steps[i].run(w);
    look(w);
}

/* ---- worlds ---- */

static void world_run(uint64_t seed)
{
    struct world *w = memory_alloc_zero(sizeof *w);
    static const enum aggregation aggregations[] = {
        AGGREGATION_NONE, AGGREGATION_NONE, AGGREGATION_SUM, AGGREGATION_MIN, AGGREGATION_MAX};
    w->seed = seed;
    w->doing = "beginning";
    w->random = random_seeded_new(seed);
    w->clock = TOY_CLOCK;
    budget_init(&w->budget, "world", 0, NULL, NULL);
    w->runtime = (struct runtime){.clock = &w->clock.clock,
                                  .random = random_seeded_new(seed + 1000003),
                                  .pool = pool,
                                  .budget = &w->budget,
                                  .ulids = &w->ulids};
    w->now.rows = memory_alloc_zero(ROWS * sizeof *w->now.rows);
    w->now.cutoff = INT64_MIN;
    w->aggregation = aggregations[draw(w, 5)];
    assert_ok(store_memory_open(&w->runtime, &w->store));
    assert_ok(instance_init(&w->runtime, w->store, NULL, 0));
    assert_ok(instance_open(&w->runtime, w->store, 0, NULL, &w->instance));
    char text[40];
    snprintf(text, sizeof text, "%s(v)", aggregation_name(w->aggregation));
    struct setting settings[] = {{SLICE("glis.table.compaction.files.batch.size"), SLICE("3")},
                                 {SLICE("glis.table.aggregations"), slice_from_text(text)}};
    struct schema *schema = make_schema(false, false);
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = schema,
                                          .settings = settings,
                                          .n_settings = w->aggregation ? 2 : 1};
    assert_ok(table_create(w->instance, &definition, &w->table));
    schema_release(schema);
    assert_ok(query_engine_new(&w->engine, &w->runtime, &w->budget, 1 << 16));
    look(w);
    for (uint64_t n = 20 + draw(w, 20); n > 0; n--)
        step(w);
    query_engine_free(w->engine);
    table_close(w->table);
    instance_close(w->instance);
    store_close(w->store);
    for (size_t i = 0; i < w->n_history; i++)
        free(w->history[i].rows);
    free(w->now.rows);
    random_seeded_free(w->random);
    random_seeded_free(w->runtime.random);
    assert_int_equal(budget_used(&w->budget), 0);
    free(w);
}

static uint64_t n_seeds = 100, first_seed = 1;

static void a_table_is_its_list_of_rows(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++)
        world_run(seed);
    print_message("%llu worlds:", (unsigned long long)n_seeds);
    for (int i = 0; i < COUNTS; i++)
        print_message(" %s %llu,", count_names[i], (unsigned long long)counts[i]);
    print_message("\n");
    /* A life in which nothing happens shows nothing. */
    for (int i = 0; n_seeds >= 100 && i < COUNTS; i++)
        if (i != C_JOINED && i != C_LOST) assert_true(counts[i] > 0);
}

int main(int argc, char **argv)
{
    const char *count = argc > 1 ? argv[1] : getenv("GLIS_LIFE_WORLD_SEEDS");
    const char *only = getenv("GLIS_LIFE_WORLD_SEED");
    if (count) n_seeds = strtoull(count, NULL, 10);
    if (only) first_seed = strtoull(only, NULL, 10), n_seeds = 1;
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_table_is_its_list_of_rows)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
