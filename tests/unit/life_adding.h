/*
 * life_adding.h: the steps of test_life_world.c by which rows come: ingests without a name, named
 * ones that come again, numbered ones, bulk imports step by step; and the others who do something
 * while a job is under way. What was acknowledged is added to the list of rows.
 */
#ifndef GLIS_TESTS_LIFE_ADDING_H
#define GLIS_TESTS_LIFE_ADDING_H

#include "life_world.h"

/* ---- others at work meanwhile ---- */

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

/* ---- ingests ---- */

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

#endif
