/*
 * test_life_world.c: the same random life on a table and on a list of rows: ingest in every mode,
 * jobs that come again, bulk imports step by step, compaction by plan and by force, also while
 * another job is at work, push-downs, splits, joins, deleting, collection, orphans, pins, restore,
 * reset, changes of properties and schema, time that goes by and clocks that go back. Tables have
 * one or two row keys, numbers and strings, maps, and columns that are null. After each step the
 * state is validated and questions are asked, whose answers must be what the list gives; at the end
 * no object is left that the state does not know. The list knows nothing of files (life_rows.h).
 *
 * GLIS_LIFE_WORLD_SEED=N runs one seed, GLIS_LIFE_WORLD_SEEDS=N as many, from GLIS_LIFE_WORLD_FIRST
 * on.
 */
#include "life_world.h"

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

static void draw_rows(struct world *w, struct row *rows, size_t n)
{
    int64_t width = (int64_t[]){KEYS, 4, 1}[draw(w, 3)], first = (int64_t)draw(w, KEYS);
    int64_t hour_ms = wall_ms(w) / 3600000 * 3600000;
    memset(rows, 0, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        struct row *row = &rows[i];
        row->f[w->shape.fields[0]] = (first + (int64_t)draw(w, (uint64_t)width)) % KEYS;
        if (w->shape.n_row_keys == 2) row->f[w->shape.fields[1]] = (int64_t)draw(w, FEW_KEYS);
        row->f[F_T] = hour_ms - (int64_t)draw(w, 3) * 3600000;
        row->f[F_L] = (int64_t)draw(w, N_LABELS);
        row->null[F_V] = draw(w, 5) == 0;
        row->null[F_A] = !w->shape.has_a || draw(w, 3) == 0;
        row->null[F_M] = !w->shape.has_m || draw(w, 5) == 0;
        row->null[F_C] = !w->now.stage.has_c || draw(w, 3) == 0;
        if (!row->null[F_V]) row->f[F_V] = INT32_MAX - (int64_t)draw(w, 4);
        if (!row->null[F_A]) row->f[F_A] = hour_ms - (int64_t)draw(w, 30) * 3600000;
        if (!row->null[F_C]) row->f[F_C] = (int64_t)draw(w, 9) - 4;
        for (int k = 0; !row->null[F_M] && k < MAP_KEYS; k++) {
            row->m.has[k] = draw(w, 2);
            row->m.null[k] = row->m.has[k] && draw(w, 4) == 0;
            if (row->m.has[k] && !row->m.null[k]) row->m.v[k] = INT32_MAX - (int32_t)draw(w, 4);
        }
    }
}

static void add_rows(struct world *w, const struct row *rows, size_t n)
{
    check(w, w->now.n + n <= ROWS, "the model is full");
    memcpy(w->now.rows + w->now.n, rows, n * sizeof *rows);
    w->now.n += n;
}

static int ingest_rows(struct world *w, const struct row *rows, size_t n, struct schema *schema,
                       struct ingest_options *options, bool *already_done)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct batch_stream *stream;
    struct ingest_result result = {0};
    struct batch *batch = make_batch(&w->shape, schema, rows, n, w->how >= 0 && n % 2);
    assert_ok(batch_stream_of(schema, &batch, 1, &stream));
    batch_release(batch);
    options->progress = during_ingest;
    options->progress_state = w;
    int code = ingest_stream(w->table, &w->runtime, stream, options, &arena, &result);
    *already_done = result.already_done;
    return code;
}

static struct schema *schema_now(struct world *w)
{
    return schema_of(w, w->now.stage.v_wide, w->now.stage.has_c);
}

static void do_ingest(struct world *w)
{
    struct row rows[48];
    bool already;
    size_t n = (size_t)draw(w, draw(w, 4) ? 12 : 48);
    if (w->now.n + n > ROWS / 2) return;
    draw_rows(w, rows, n);
    struct ingest_options options = {0};
    if (!did(w, ingest_rows(w, rows, n, schema_now(w), &options, &already))) return;
    check(w, !already, "a job that never was is said to be done");
    add_rows(w, rows, n);
    counts[C_INGESTS]++;
}

/* A job with an id: perhaps it comes again, perhaps with other rows. */
static void do_named_ingest(struct world *w)
{
    unsigned i = (unsigned)draw(w, JOBS);
    struct named_job *job = &w->jobs[i];
    char id[8];
    bool already;
    if (w->now.n + JOB_ROWS > ROWS / 2) return;
    if (!job->is_made) {
        job->n = 1 + (size_t)draw(w, JOB_ROWS);
        draw_rows(w, job->rows, job->n);
        job->has_c = w->now.stage.has_c;
        job->v_wide = w->now.stage.v_wide;
        job->is_made = true;
    }
    snprintf(id, sizeof id, "job-%u", i);
    struct ingest_options options = {.job_id = slice_from_text(id)};
    struct schema *schema = schema_of(w, job->v_wide, job->has_c);
    if ((w->now.jobs >> i & 1) && draw(w, 4) == 0) {
        int code = ingest_rows(w, job->rows, job->n - 1, schema, &options, &already);
        check(w, code == GLIS_EEXISTS || (code == GLIS_EREFUSED && !w->nested),
              "another job's id was taken");
        return;
    }
    int code = ingest_rows(w, job->rows, job->n, schema, &options, &already);
    if (!did(w, code)) return;
    check(w, already == (w->now.jobs >> i & 1), "a job was done twice, or not at all");
    if (already) {
        counts[C_REPEATS]++;
        return;
    }
    add_rows(w, job->rows, job->n);
    w->now.jobs |= 1U << i;
}

static void do_sequence(struct world *w)
{
    struct row rows[6];
    bool already;
    uint64_t before = w->now.sequence, sequence = before + draw(w, 3);
    if (w->now.n + 6 > ROWS / 2 || !sequence) return;
    draw_rows(w, rows, 6);
    struct ingest_options options = {.writer = SLICE("w"), .sequence = sequence};
    int code = ingest_rows(w, rows, 6, schema_now(w), &options, &already);
    if (code == GLIS_ESEQUENCE) {
        check(w, sequence > before + 1 || sequence > w->now.sequence + 1, "in sequence");
        return;
    }
    if (!did(w, code)) return;
    check(w, already == (sequence <= w->now.sequence), "a number was taken twice, or not at all");
    if (already) {
        counts[C_REPEATS]++;
        return;
    }
    check(w, sequence == w->now.sequence + 1, "out of sequence");
    add_rows(w, rows, 6);
    w->now.sequence = sequence;
}

/* ---- bulk imports ---- */

static struct slice bulk_path(const struct bulk *bulk, struct arena *arena)
{
    const char *folder = getenv("TMPDIR");
    return slice_from_text(arena_printf(arena, "%s/glis-life-%ld-%u.jsonl",
                                        folder ? folder : "/tmp", (long)getpid(), bulk->number));
}

static void bulk_begin(struct world *w, struct bulk *bulk)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    defer_buffer struct buffer text = BUFFER_INIT(1 << 20);
    bulk->n = (size_t)draw(w, BULK_ROWS);
    draw_rows(w, bulk->rows, bulk->n);
    bulk->has_c = w->now.stage.has_c;
    bulk->number = w->n_bulks++;
    bulk->is_open = true;
    for (size_t i = 0; i < bulk->n; i++)
        append_line(&text, &w->shape, bulk->has_c, &bulk->rows[i]);
    FILE *file = fopen(bulk_path(bulk, &arena).data, "w");
    assert_non_null(file);
    if (text.size) assert_int_equal(fwrite(text.data, text.size, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static void bulk_end(struct bulk *bulk)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    if (bulk->is_open) unlink(bulk_path(bulk, &arena).data);
    bulk->is_open = false;
}

/* Some steps of a job, one after another, with others at work in between. */
static int bulk_steps(struct world *w, struct bulk_import *job, struct arena *arena)
{
    while (!bulk_import_result(job).is_done) {
        struct slice *steps;
        size_t n;
        if (draw(w, 12) == 0) return 0; /* it dies */
        TRY(bulk_import_steps(job, arena, &steps, &n));
        if (n == 0 || draw(w, 6) == 0)
            TRY(bulk_import_run(job));
        else
            TRY(bulk_import_step(job, steps[draw(w, n)]));
        if (!bulk_import_result(job).is_done) another(w);
    }
    return 0;
}

static size_t count_leaves(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_leaf *leaves;
    size_t n;
    must(w, table_state_get(w->table, 0, &state));
    must(w, table_leaves(state, NULL, &arena, &leaves, &n));
    table_state_release(state);
    return n;
}

static void do_bulk(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct bulk *bulk = &w->bulks[draw(w, BULKS)];
    struct bulk_import *import = NULL;
    if (w->now.n + 2 * BULK_ROWS > ROWS / 2) return;
    if (!bulk->is_open) bulk_begin(w, bulk);
    unsigned number = bulk->number;
    size_t leaves = count_leaves(w);
    struct slice path = bulk_path(bulk, &arena);
    struct bulk_import_options options = {
        .job_id = slice_from_text(arena_printf(&arena, "bulk-%u", number)),
        .memory_bytes = 64 << 20};
    int code = bulk_import_open(&import, w->table, &w->runtime, &path, 1, &options);
    if (code == 0) code = bulk_steps(w, import, &arena);
    bool is_done = code == 0 && bulk_import_result(import).is_done;
    counts[C_EXTENDED] += count_leaves(w) > leaves;
    bulk_import_close(import);
    if (bulk->number != number || !bulk->is_open) {
        /* Somebody in between brought this job to its end. */
        if (code != GLIS_ENOTFOUND && code != GLIS_EDATA) (void)did(w, code);
        return;
    }
    if (is_done) {
        add_rows(w, bulk->rows, bulk->n);
        bulk_end(bulk);
        counts[C_BULKS]++;
    } else if (code < 0) {
        /* Too few rows for the leaves that are asked for is an answer, too. */
        if (code != GLIS_EDATA) (void)did(w, code);
        if (draw(w, 2)) bulk_end(bulk);
    }
}

static struct slice draw_leaf(struct world *w, const struct table_state *state, struct arena *arena)
{
    struct table_leaf *leaves;
    size_t n;
    must(w, table_leaves(state, NULL, arena, &leaves, &n));
    return leaves[draw(w, n)].partition.id;
}

static void do_compact(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct compaction_plan plan;
    must(w, table_state_get(w->table, 0, &state));
    struct compaction_plan_options options = {
        .now_ms = wall_ms(w), .force = draw(w, 2), .seed = draw(w, 100)};
    if (draw(w, 4) == 0) options.leaf = draw_leaf(w, state, &arena);
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
                                      plan.jobs[i].n_files, wall_ms(w) + 60000};
        /* A worker takes the files and is never heard of again. */
        if (draw(w, 6) == 0) {
            (void)did(w, table_assign_job(w->table, &hold, &moved));
            if (draw(w, 2)) pass(w, 60001);
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

/* What was planted goes when the horizon has passed it, and not before. */
static void check_orphans(struct world *w, uint64_t horizon, bool all_looked_at)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_orphans; i++) {
        struct store_object object;
        int code = store_head(w->store, w->orphans[i], &object);
        if (code != GLIS_ENOTFOUND) must(w, code);
        bool below = w->orphans_begun[i] < horizon;
        check(w, code == 0 || below, "an orphan went that somebody might still add");
        check(w, code < 0 || !below || !all_looked_at, "an orphan stays");
        counts[C_ORPHANS] += code < 0;
        if (code < 0) continue;
        w->orphans[n] = w->orphans[i];
        w->orphans_begun[n++] = w->orphans_begun[i];
    }
    w->n_orphans = n;
}

static bool maintain(struct world *w, struct maintain_options *options)
{
    struct maintain_result result;
    options->work.progress = during_merge;
    options->work.progress_state = w;
    if (!did(w, maintain_table(w->table, &w->runtime, options, &result))) return false;
    counts[C_COMPACTIONS] += result.compactions;
    counts[C_PUSHED] += result.pushed_down;
    counts[C_SPLITS] += result.splits;
    counts[C_JOINED] += result.joined;
    counts[C_COLLECTED] += result.collected.files;
    if (options->steps & MAINTAIN_COLLECT)
        check_orphans(w, result.collected.horizon, options->collect.full);
    return true;
}

static void do_maintain(struct world *w)
{
    struct maintain_options options = {.steps = (unsigned)draw(w, MAINTAIN_ALL) + 1,
                                       .force = draw(w, 3) == 0,
                                       .collect = {.now = draw(w, 2), .full = draw(w, 2)}};
    (void)maintain(w, &options);
}

/* Two days in which nobody who is at work gets on: what they have begun is collected. */
static void do_late(struct world *w)
{
    struct commit_result result;
    struct setting setting = {SLICE("glis.table.gc.delay"), SLICE("1m")};
    struct maintain_options options = {.steps = MAINTAIN_COLLECT, .collect = {.full = true}};
    for (int i = 0; i < 2; i++) {
        pass(w, DAY_MS + 1000);
        must(w, table_alter(w->table, &setting, 1, NULL, &result));
    }
    (void)maintain(w, &options);
}

/* Old states are given up; those that pins keep are not. */
static void do_trim(struct world *w)
{
    struct commit_result result;
    const struct table_state *state;
    must(w, table_state_get(w->table, 0, &state));
    uint64_t limit = table_trim_limit(state), line = table_trim_line(state);
    table_state_release(state);
    if (draw(w, 3) == 0) limit = w->now.record; /* further than pins may allow */
    if (line >= limit) return;
    uint64_t record = line + 1 + draw(w, limit - line);
    if (!did(w, table_raise_trim_line(w->table, record, &result))) return;
    for (int i = 0; i < PINS; i++)
        if (w->pinned[i] && (!w->pinned_until[i] || w->pinned_until[i] > w->latest_ms))
            check(w, w->pinned[i] >= record, "the line has passed a pin");
    counts[C_TRIMMED]++;
}

/* An object as a job leaves it that died. */
static void do_orphan(struct world *w)
{
    if (w->n_orphans == ORPHANS) return;
    uint64_t begun = 1 + draw(w, w->now.record + 1);
    struct ulid id = ulid_new(&w->runtime);
    struct slice name =
        slice_from_text(arena_printf(&w->arena, "data/%012llx-%.*s.parquet",
                                     (unsigned long long)begun, SLICE_PRINT(ulid_slice(&id))));
    struct slice key = table_file_key(w->table, name, &w->arena);
    must(w, store_put(w->store, key, SLICE("half a file"), 0));
    w->orphans[w->n_orphans] = key;
    w->orphans_begun[w->n_orphans++] = begun;
}

static struct slice key_of(struct world *w, unsigned field, int64_t key, struct arena *arena)
{
    defer_buffer struct buffer bytes = BUFFER_INIT(1000);
    struct type type = {.kind = field == F_S ? TYPE_STRING : TYPE_INT64};
    struct value value = value_integer(TYPE_INT64, key);
    if (field == F_S)
        value = (struct value){.kind = TYPE_STRING, .bytes = slice_from_text(names[key])};
    must(w, key_append_value(&type, &value, &bytes));
    return arena_copy(arena, buffer_slice(&bytes));
}

/* Pins that the table has no more. */
static void forget_pins(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_pin *pins;
    size_t n;
    must(w, table_state_get(w->table, 0, &state));
    must(w, table_pins(state, &arena, &pins, &n));
    for (unsigned i = 0; i < PINS; i++) {
        bool found = !w->pinned[i];
        for (size_t p = 0; p < n && !found; p++)
            found = pins[p].id.size == 2 && pins[p].id.data[0] == 'p' &&
                    pins[p].id.data[1] == (char)('0' + i);
        if (!found) counts[C_DROPPED_PINS]++;
        if (!found) w->pinned[i] = 0;
    }
    table_state_release(state);
}

static void delete_area(struct world *w, const struct rectangle *area)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct key_range ranges[2];
    const struct key_range *regions[] = {ranges};
    for (unsigned i = 0; i < w->shape.n_row_keys; i++) {
        unsigned field = w->shape.fields[i];
        ranges[i] = (struct key_range){.unbounded = area->to[i] == KEYS};
        if (area->from[i]) ranges[i].min = key_of(w, field, area->from[i], &arena);
        if (!ranges[i].unbounded) ranges[i].max = key_of(w, field, area->to[i], &arena);
    }
    struct delete_options options = {.drop_pins = draw(w, 4) == 0};
    struct delete_result result;
    must(w, delete_rows(w->table, &w->runtime, regions, 1, &options, &arena, &result));
    size_t n = 0;
    for (size_t i = 0; i < w->now.n; i++)
        if (!rectangle_has(&w->shape, area, &w->now.rows[i])) w->now.rows[n++] = w->now.rows[i];
    w->now.n = n;
    if (options.drop_pins) forget_pins(w);
    counts[C_DELETES]++;
}

static void do_delete(struct world *w)
{
    struct rectangle area = draw_area(w, 3);
    delete_area(w, &area);
}

/* Leaves are emptied, and joined after a day. */
static void do_empty(struct world *w)
{
    struct rectangle area = draw(w, 3) ? draw_area(w, KEYS) : everywhere;
    delete_area(w, &area);
    pass(w, DAY_MS + 1000);
    struct maintain_options options = {.steps = MAINTAIN_ALL, .collect = {.full = draw(w, 2)}};
    (void)maintain(w, &options);
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
    struct query query;
    struct batch_stream *answer;
    query_everything(schema_now(w), &arena, &query);
    int code = query_open(w->engine, w->table, &query, &answer);
    struct batch *batch = NULL;
    if (code == 0) {
        do {
            batch_release(batch);
            code = batch_stream_next(answer, &batch);
        } while (code == 0 && batch);
        batch_stream_close(answer);
    }
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
    unsigned i = (unsigned)draw(w, PINS);
    char id[8];
    snprintf(id, sizeof id, "p%u", i);
    if (w->pinned[i]) {
        (void)did(w, table_unpin(w->table, slice_from_text(id), &result));
        w->pinned[i] = 0;
        return;
    }
    const struct past *past = &w->history[draw(w, w->n_history)];
    struct table_pin pin = {.id = slice_from_text(id),
                            .record = past->record,
                            .until_ms = draw(w, 3) ? 0 : wall_ms(w) + 3600000,
                            .keeps_work = draw(w, 3) == 0};
    if (!did(w, table_pin(w->table, &pin, &result))) return;
    w->pinned[i] = past->record;
    w->pinned_until[i] = pin.until_ms;
}

static void do_restore(struct world *w)
{
    struct commit_result result;
    const struct past *past = &w->history[draw(w, w->n_history)];
    if (!did(w, table_restore(w->table, past->record, &result))) return;
    memcpy(w->now.rows, past->rows, past->n * sizeof *past->rows);
    w->now.n = past->n;
    w->now.jobs = past->jobs;
    w->now.sequence = past->sequence;
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
        {"glis.table.bulk.import.min.leaf.partitions", "1", "3", "8", "1"},
        {"glis.table.parquet.columnindex.truncate.length", "8", "20", "128", ""},
    };
    struct commit_result result;
    unsigned which = (unsigned)draw(w, sizeof choices / sizeof *choices);
    struct setting setting = {slice_from_text(choices[which][0]),
                              slice_from_text(choices[which][1 + draw(w, 4)])};
    must(w, table_alter(w->table, &setting, 1, NULL, &result));
}

static void do_alter_age(struct world *w)
{
    static const char *const texts[3] = {"", "7200000", "86400000"};
    static const int64_t ages[3] = {0, 7200000, 86400000};
    struct arena arena defer_arena = ARENA_EMPTY;
    struct commit_result result;
    size_t t = (size_t)draw(w, 3), a = w->shape.has_a ? (size_t)draw(w, 3) : 0;
    bool drops = a && draw(w, 3) == 0, dropped = w->now.stage.drops_null;
    const char *first = t ? arena_printf(&arena, "ageOff(t,%s)", texts[t]) : "";
    const char *second =
        a ? arena_printf(&arena, "ageOff(a,%s,nulls=%s)", texts[a], drops ? "drop" : "keep") : "";
    struct setting setting = {
        SLICE("glis.table.filters"),
        slice_from_text(arena_printf(&arena, "%s%s%s", first, t && a ? "," : "", second))};
    if (!did(w, table_alter(w->table, &setting, 1, NULL, &result))) return;
    const int64_t chosen[2] = {ages[t], ages[a]};
    for (int i = 0; i < 2; i++) {
        w->now.stage.ages[i] = chosen[i];
        if (chosen[i] && (!w->age_min[i] || chosen[i] < w->age_min[i])) w->age_min[i] = chosen[i];
    }
    w->now.stage.drops_null = drops;
    if (!dropped || drops) return;
    /* That was allowed because no file is left: what it hid is gone. */
    size_t n = 0;
    for (size_t i = 0; i < w->now.n; i++)
        if (!w->now.rows[i].null[F_A]) w->now.rows[n++] = w->now.rows[i];
    w->now.n = n;
}

static struct slice aggregations(const struct world *w, bool has_c, struct arena *arena)
{
    static const char *const words[] = {"sum", "min", "max"};
    if (w->how < 0) return SLICE_EMPTY;
    const char *word = words[w->how];
    const char *map = w->shape.has_m ? arena_printf(arena, ",map_%s(m)", word) : "";
    const char *c = has_c ? arena_printf(arena, ",%s(c)", word) : "";
    return slice_from_text(arena_printf(arena, "%s(v)%s%s", word, map, c));
}

static void do_alter_schema(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct commit_result result;
    bool wide = w->now.stage.v_wide, has_c = w->now.stage.has_c;
    if (draw(w, 2))
        wide = true;
    else
        has_c = true;
    struct setting setting = {SLICE("glis.table.aggregations"), aggregations(w, has_c, &arena)};
    int code = table_alter(w->table, &setting, w->how >= 0 && has_c != w->now.stage.has_c,
                           schema_of(w, wide, has_c), &result);
    if (!did(w, code)) return;
    w->now.stage.v_wide = wide;
    w->now.stage.has_c = has_c;
}

static void do_label(struct world *w)
{
    struct commit_result result;
    struct setting setting = {SLICE("glis.table.visibility.field"),
                              w->now.stage.visible_label ? SLICE_EMPTY : SLICE("l")};
    if (did(w, table_alter(w->table, &setting, 1, NULL, &result)))
        w->now.stage.visible_label = !w->now.stage.visible_label;
}

static void do_reset(struct world *w)
{
    struct commit_result result;
    if (draw(w, 3)) return;
    if (!did(w, table_reset(w->table, NULL, 0, draw(w, 2), &result))) return;
    w->now.n = 0;
    w->now.jobs = 0;
    w->now.sequence = 0;
    counts[C_RESETS]++;
}

static void do_time(struct world *w)
{
    static const int64_t jumps[] = {1000, 70000, 1200000, 3600000, 40000000, 100000000};
    pass(w, jumps[draw(w, 6)]);
}

/* The wall clock goes back: a little does no harm; from more on nothing is written, until time has
 * caught up or somebody sets the log's time. */
static void do_back(struct world *w)
{
    struct commit_result result;
    struct setting setting = {SLICE("glis.table.gc.delay"), SLICE("1m")};
    if (draw(w, 2)) {
        int64_t most_ms = 240000 - (w->log_ms - wall_ms(w));
        if (most_ms > 0) w->clock.wall_offset_ms -= (int64_t)draw(w, (uint64_t)most_ms);
        return;
    }
    must(w, table_alter(w->table, &setting, 1, NULL, &result));
    int64_t offset_ms = w->clock.wall_offset_ms;
    uint64_t record = result.record;
    w->clock.wall_offset_ms -= 3600000 + (int64_t)draw(w, 40000000);
    int code = table_alter(w->table, &setting, 1, NULL, &result);
    check(w, code == GLIS_EREFUSED, "written by a clock that went back");
    ask(w, &w->now, 0);
    counts[C_SET_BACK]++;
    if (draw(w, 3) == 0)
        w->clock.wall_offset_ms = offset_ms;
    else {
        must(w, table_set_time(w->table, record, &result));
        w->log_ms = wall_ms(w);
    }
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
    {"ingest", do_ingest, 9, true},
    {"ingest with an id", do_named_ingest, 3, true},
    {"ingest in sequence", do_sequence, 2, true},
    {"bulk import", do_bulk, 2, true},
    {"compact", do_compact, 5, true},
    {"split", do_split, 3, true},
    {"maintain", do_maintain, 3, true},
    {"delete", do_delete, 1, true},
    {"empty", do_empty, 2, false},
    {"orphan", do_orphan, 1, true},
    {"late", do_late, 1, true},
    {"trim", do_trim, 1, true},
    {"pin", do_pin, 2, true},
    {"restore", do_restore, 1, true},
    {"alter", do_alter, 4, true},
    {"ages", do_alter_age, 1, true},
    {"columns", do_alter_schema, 1, false},
    {"labels", do_label, 1, true},
    {"reset", do_reset, 1, true},
    {"time", do_time, 2, true},
    {"back", do_back, 1, false},
    {"reopen", do_reopen, 1, false},
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

struct objects {
    struct world *w;
    const struct table_state *state;
    uint64_t n;
};

static int visit_object(void *context, const struct store_object *object)
{
    struct objects *objects = context;
    struct arena arena defer_arena = ARENA_EMPTY;
    struct slice prefix = table_prefix(objects->w->table);
    struct table_file file;
    int code = table_file(objects->state, slice_part(object->key, prefix.size, object->key.size),
                          &arena, &file);
    if (code < 0)
        fail_msg("seed %llu: %.*s is left", (unsigned long long)objects->w->seed,
                 SLICE_PRINT(object->key));
    objects->n++;
    return 0;
}

static int count_file(void *context, const struct table_file *file)
{
    (void)file;
    ++*(uint64_t *)context;
    return 0;
}

/* All work has ended: when the horizon has passed it, nothing of it is left but the table. */
static void clean_up(struct world *w)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    struct commit_result result;
    struct table_pin *pins;
    struct objects objects = {.w = w};
    struct setting setting = {SLICE("glis.table.gc.delay"), SLICE("1m")};
    size_t n;
    uint64_t n_files = 0;
    w->doing = "cleaning up";
    w->nested = true; /* nobody comes in between */
    must(w, table_state_get(w->table, 0, &objects.state));
    must(w, table_pins(objects.state, &arena, &pins, &n));
    for (size_t i = 0; i < n; i++)
        must(w, table_unpin(w->table, pins[i].id, &result));
    table_state_release(objects.state);
    memset(w->pinned, 0, sizeof w->pinned);
    for (int i = 0; i < BULKS; i++)
        bulk_end(&w->bulks[i]);
    pass(w, 2 * DAY_MS); /* assignments have run out, and a record comes after all that was begun */
    must(w, table_alter(w->table, &setting, 1, NULL, &result));
    must(w, table_alter(w->table, &setting, 1, NULL, &result));
    pass(w, 2 * DAY_MS);
    struct maintain_options options = {.steps = MAINTAIN_COLLECT,
                                       .collect = {.now = true, .full = true}};
    check(w, maintain(w, &options), "collection is refused");
    must(w, table_state_get(w->table, 0, &objects.state));
    must(w, table_each_file(objects.state, count_file, &n_files));
    static const char *const folders[] = {"data/", "staging/"};
    for (int i = 0; i < 2; i++) {
        struct slice prefix = slice_from_text(
            arena_printf(&arena, "%.*s%s", SLICE_PRINT(table_prefix(w->table)), folders[i]));
        must(w, store_each(w->store, prefix, SLICE_EMPTY, visit_object, &objects));
    }
    check(w, objects.n >= n_files, "a file is not there");
    table_state_release(objects.state);
    look(w);
}

static void world_begin(struct world *w, uint64_t seed)
{
    w->seed = seed;
    w->doing = "beginning";
    w->random = random_seeded_new(seed);
    w->clock = TOY_CLOCK;
    arena_init(&w->arena, NULL);
    budget_init(&w->budget, "world", 0, NULL, NULL);
    w->runtime = (struct runtime){.clock = &w->clock.clock,
                                  .random = random_seeded_new(seed + 1000003),
                                  .pool = pool,
                                  .budget = &w->budget,
                                  .ulids = &w->ulids};
    w->now.rows = memory_alloc_zero(ROWS * sizeof *w->now.rows);
    for (int i = 0; i < 2; i++)
        w->now.stage.cutoffs[i] = INT64_MIN;
    w->how = draw(w, 5) < 2 ? -1 : (int)draw(w, 3);
    bool has_a = w->how < 0 && draw(w, 2), has_m = draw(w, 2);
    w->shape = shape_make((unsigned)draw(w, 4), has_a, has_m, draw(w, 2));
    (void)wall_ms(w);
    assert_ok(store_memory_open(&w->runtime, &w->store));
    assert_ok(instance_init(&w->runtime, w->store, NULL, 0));
    assert_ok(instance_open(&w->runtime, w->store, 0, NULL, &w->instance));
    struct setting settings[] = {
        {SLICE("glis.table.compaction.files.batch.size"), SLICE("3")},
        {SLICE("glis.table.job.memory"), SLICE("10000d")},
        {SLICE("glis.table.bulk.import.min.leaf.partitions"), draw(w, 3) ? SLICE("1") : SLICE("9")},
        {SLICE("glis.table.partition.splitting.min.rows"), SLICE("2")},
        {SLICE("glis.table.aggregations"), aggregations(w, false, &w->arena)}};
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = schema_of(w, false, false),
                                          .settings = settings,
                                          .n_settings = w->how >= 0 ? 5 : 4};
    assert_ok(table_create(w->instance, &definition, &w->table));
    assert_ok(
        query_engine_new(&w->engine, &w->runtime, &w->budget, draw(w, 2) ? 1 << 16 : 1 << 23));
}

static void world_end(struct world *w)
{
    query_engine_free(w->engine);
    table_close(w->table);
    instance_close(w->instance);
    store_close(w->store);
    for (size_t i = 0; i < w->n_history; i++)
        free(w->history[i].rows);
    for (int i = 0; i < 4; i++)
        schema_release(w->schemas[i / 2][i % 2]);
    free(w->now.rows);
    arena_free(&w->arena);
    random_seeded_free(w->random);
    random_seeded_free(w->runtime.random);
    assert_int_equal(budget_used(&w->budget), 0);
}

static void world_run(uint64_t seed)
{
    struct world *w = memory_alloc_zero(sizeof *w);
    world_begin(w, seed);
    look(w);
    /* Most lives are short; one in ten is long. */
    for (uint64_t n = 20 + draw(w, draw(w, 10) ? 20 : 120); n > 0; n--)
        step(w);
    clean_up(w);
    world_end(w);
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
        if (i != C_LOST) assert_true(counts[i] > 0);
}

int main(int argc, char **argv)
{
    const char *count = argc > 1 ? argv[1] : getenv("GLIS_LIFE_WORLD_SEEDS");
    const char *first = getenv("GLIS_LIFE_WORLD_FIRST");
    const char *only = getenv("GLIS_LIFE_WORLD_SEED");
    if (count) n_seeds = strtoull(count, NULL, 10);
    if (first) first_seed = strtoull(first, NULL, 10);
    if (only) first_seed = strtoull(only, NULL, 10), n_seeds = 1;
    names_make();
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_table_is_its_list_of_rows)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
