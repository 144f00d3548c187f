/*
 * life_world.h: a table, the list of rows that it should be (life_rows.h), and the questions that
 * are asked of both: what test_life_world.c takes its steps in.
 *
 * A past is what the table was as of a record; `now` is the present one, and those that were are
 * kept for reads of pinned states and for going back. All chance comes from the world's seed.
 */
#ifndef GLIS_TESTS_LIFE_WORLD_H
#define GLIS_TESTS_LIFE_WORLD_H

#include "base/ulid.h"
#include "life_rows.h"
#include "log_toy.h" /* its clock */
#include "lsm/lsm.h"
#include "query/query.h"

#include <unistd.h>

enum { ROWS = 2000, STATES = 160, JOBS = 6, JOB_ROWS = 12, PINS = 4, BULKS = 2, BULK_ROWS = 40 };
enum { ORPHANS = 20, DAY_MS = 24 * 3600 * 1000 };

struct past { /* what the table was as of a record */
    uint64_t record;
    struct row *rows;
    size_t n;
    struct stage stage;
    unsigned jobs; /* those that were done, by bits */
    uint64_t sequence;
};
struct named_job { /* an ingest with an id, to come again */
    struct row rows[JOB_ROWS];
    size_t n;
    bool is_made, has_c, v_wide;
};
struct bulk { /* a bulk import that is under way */
    struct row rows[BULK_ROWS];
    size_t n;
    bool is_open, has_c;
    unsigned number;
};
struct world {
    uint64_t seed;
    struct random *random;
    struct toy_clock clock;
    int64_t latest_ms; /* that the clock ever showed */
    int64_t log_ms;    /* the same since the log's time was set */
    struct budget budget;
    struct ulid_source ulids;
    struct runtime runtime;
    struct store *store;
    struct instance *instance;
    struct table *table;
    struct query_engine *engine;
    struct shape shape;
    struct schema *schemas[2][2]; /* v_wide, has_c */
    int how;                      /* as seen_rows has it */
    struct past now, history[STATES];
    size_t n_history;
    uint64_t pinned[PINS];
    int64_t pinned_until[PINS]; /* 0: for ever */
    int64_t age_min[2];         /* the shortest that ever were */
    struct named_job jobs[JOBS];
    struct bulk bulks[BULKS];
    unsigned n_bulks;
    struct slice orphans[ORPHANS];
    uint64_t orphans_begun[ORPHANS];
    size_t n_orphans;
    struct arena arena;
    bool nested;
    const char *doing;
};
enum count {
    C_INGESTS,
    C_REPEATS,
    C_BULKS,
    C_EXTENDED,
    C_COMPACTIONS,
    C_LOST,
    C_PUSHED,
    C_SPLITS,
    C_JOINED,
    C_COLLECTED,
    C_ORPHANS,
    C_TRIMMED,
    C_DELETES,
    C_DROPPED_PINS,
    C_RESTORES,
    C_RESETS,
    C_REFUSED,
    C_OLD_READS,
    C_NESTED,
    C_AGED,
    C_SET_ASIDE,
    C_SET_BACK,
    COUNTS
};
static const char *const count_names[COUNTS] = {
    "ingests",     "repeats",      "bulk imports", "extended",  "compactions", "lost",
    "pushed down", "splits",       "joined",       "collected", "orphans",     "trimmed",
    "deletes",     "dropped pins", "restores",     "resets",    "refused",     "old reads",
    "nested",      "aged",         "set aside",    "set back"};
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

static int64_t wall_ms(struct world *w)
{
    int64_t now_ms = toy_wall_ms(&w->clock.clock);
    if (now_ms > w->latest_ms) w->latest_ms = now_ms;
    if (now_ms > w->log_ms) w->log_ms = now_ms;
    return now_ms;
}

static void pass(struct world *w, int64_t ms)
{
    w->clock.now_ms += ms;
    (void)wall_ms(w);
}

static struct schema *schema_of(struct world *w, bool v_wide, bool has_c)
{
    struct schema **schema = &w->schemas[v_wide][has_c];
    if (!*schema) *schema = shape_schema(&w->shape, v_wide, has_c);
    return *schema;
}

static int64_t key_bound(const struct world *w, unsigned i)
{
    (void)w;
    return i == 0 ? KEYS : FEW_KEYS;
}

static const struct rectangle everywhere = {{0, 0}, {KEYS, KEYS}};

/* A part of the keys: of each row key all, one, or some. */
static struct rectangle draw_area(struct world *w, uint64_t widest)
{
    struct rectangle area = everywhere;
    for (unsigned i = 0; i < w->shape.n_row_keys; i++) {
        if (i && draw(w, 2)) continue;
        area.from[i] = (int64_t)draw(w, (uint64_t)key_bound(w, i));
        area.to[i] = area.from[i] + 1 + (int64_t)(draw(w, 2) ? 0 : draw(w, widest));
        if (area.to[i] > KEYS) area.to[i] = KEYS;
    }
    return area;
}

/* ---- questions ---- */

static size_t take_rows(struct world *w, struct batch_stream *answer, struct row *out, size_t n)
{
    for (;;) {
        struct batch *batch;
        must(w, batch_stream_next(answer, &batch));
        if (!batch) return n;
        for (int64_t at = 0; at < batch->n_rows; at++) {
            check(w, n < ROWS, "too many rows");
            check(w, read_row(batch, at, &w->shape, &out[n++]), "a strange value");
        }
        batch_release(batch);
    }
}

static void append_end(struct world *w, struct buffer *json, unsigned field, const char *name,
                       int64_t key)
{
    if (field == F_S && key == KEYS) /* above all names */
        assert_ok(buffer_printf(json, "\"%s\":\"zz\"", name));
    else if (field == F_S)
        assert_ok(buffer_printf(json, "\"%s\":\"%s\"", name, names[key]));
    else
        assert_ok(buffer_printf(json, "\"%s\":%d", name, (int)key));
    (void)w;
}

static void append_region(struct world *w, struct buffer *json, const struct rectangle *area)
{
    assert_ok(buffer_append_text(json, "{\"stringsBase64Encoded\":false"));
    for (unsigned i = 0; i < w->shape.n_row_keys; i++) {
        unsigned field = w->shape.fields[i];
        if (area->from[i] == 0 && area->to[i] == KEYS) continue;
        assert_ok(buffer_printf(json, ",\"%s\":{", field_names[field]));
        append_end(w, json, field, "min", area->from[i]);
        assert_ok(buffer_append_text(json, ","));
        append_end(w, json, field, "max", area->to[i]);
        assert_ok(buffer_append_text(json, "}"));
    }
    assert_ok(buffer_append_text(json, "}"));
}

static void ask(struct world *w, const struct past *past, uint64_t at_record)
{
    static struct row got[ROWS], wanted[ROWS];
    static const char *const rights_of[] = {"", "\"A\"", "\"B\"", "\"A\",\"B\""};
    struct arena arena defer_arena = ARENA_EMPTY;
    defer_buffer struct buffer json = BUFFER_INIT(4000);
    bool ordered = draw(w, 2), reverse = draw(w, 3) == 0, count = draw(w, 5) == 0;
    unsigned rights = (unsigned)draw(w, 4);
    struct rectangle area = draw(w, 2) ? draw_area(w, KEYS) : everywhere;
    uint64_t limit = ordered && !count && draw(w, 3) == 0 ? 1 + draw(w, 30) : 0;
    assert_ok(buffer_append_text(&json, "{\"regions\":["));
    append_region(w, &json, &area);
    assert_ok(buffer_printf(
        &json, "],\"ordered\":%s,\"reverse\":%s,\"countOnly\":%s,\"authorisations\":[%s]",
        ordered ? "true" : "false", reverse ? "true" : "false", count ? "true" : "false",
        rights_of[rights]));
    if (limit) assert_ok(buffer_printf(&json, ",\"limit\":%d", (int)limit));
    assert_ok(buffer_append_text(&json, "}"));
    struct query query;
    must(w, query_from_json(buffer_slice(&json),
                            schema_of(w, past->stage.v_wide, past->stage.has_c), &arena, &query));
    query.at_record = at_record;
    size_t n = 0, n_wanted = seen_rows(&w->shape, &past->stage, w->how, past->rows, past->n, &area,
                                       wall_ms(w), rights, wanted, &counts[C_AGED]);
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
    for (size_t i = 1; ordered && !count && i < n; i++) {
        int order = compare_keys(&w->shape, &got[i - 1], &got[i]);
        check(w, reverse ? order >= 0 : order <= 0, "an ordered answer is in no order");
    }
    if (n && !count) qsort_r(got, n, sizeof *got, compare_rows, &w->shape);
    bool same = n == n_wanted;
    for (size_t i = 0; same && !count && i < n; i++)
        same = compare_rows(&got[i], &wanted[i], &w->shape) == 0;
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
    for (int i = 0; i < (w->shape.has_a ? 2 : 1); i++) {
        int64_t cutoff = table_state_cutoff(state, slice_from_text(field_names[age_fields[i]]));
        check(w, cutoff >= w->now.stage.cutoffs[i], "a cut-off went back");
        check(w, cutoff == INT64_MIN || (w->age_min[i] && cutoff <= w->latest_ms - w->age_min[i]),
              "a cut-off that no filter has");
        w->now.stage.cutoffs[i] = cutoff;
    }
    table_state_release(state);
    w->now.record = record;
    if (w->n_history < STATES && (!w->n_history || w->history[w->n_history - 1].record < record)) {
        struct past *past = &w->history[w->n_history++];
        *past = w->now;
        past->rows = memory_alloc((past->n + 1) * sizeof *past->rows);
        memcpy(past->rows, w->now.rows, past->n * sizeof *past->rows);
    }
    ask(w, &w->now, 0);
    for (int i = 0; i < PINS; i++) {
        if (!w->pinned[i] || (w->pinned_until[i] && w->pinned_until[i] <= w->latest_ms)) continue;
        for (size_t p = 0; p < w->n_history; p++)
            if (w->history[p].record == w->pinned[i] && draw(w, 3) == 0) {
                ask(w, &w->history[p], w->pinned[i]);
                counts[C_OLD_READS]++;
            }
    }
}

#endif
