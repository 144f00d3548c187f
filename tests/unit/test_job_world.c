/*
 * test_job_world.c: small worlds of ingests, queries and table changes over a store that fails by
 * seed: requests are dropped before or after they take effect, late, repeated, put off, broken off,
 * reordered, delayed, and processes die. Several writers bring jobs in, readers ask, a keeper adds
 * columns, sets properties, writes snapshots and empties the table. One of them runs at a time, and
 * at each request the seed decides who goes on (turns.h), so that every course can be repeated:
 * GLIS_JOB_SEED=N runs one seed, GLIS_JOB_SEEDS=N as many (300 unless told), test_job_world N the
 * same.
 *
 * The model is a list: what each record of the log says (read as text, not by apply), and what the
 * rows of each job are. In the end, with the store whole again:
 *   - a job that was acknowledged is in the record that the answer named; one that failed for sure
 *     in every attempt is in none; none is in two (but that the table was emptied in between)
 *   - every answer to a query is what the model gives at the record that the answer names, which is
 *     not below any record that somebody had been told of before the query began
 *   - the table's state is valid, and its rows are the model's at the last record
 *   - each job once more adds nothing if it is there, and completes it if it is not
 */
#include "test.h"

#include "base/json.h"
#include "log_toy.h" /* its clock */
#include "lsm/lsm.h"
#include "query/query.h"
#include "turns.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    WRITERS_MAX = 3,
    JOBS = 4, /* of each writer */
    JOBS_MAX = WRITERS_MAX * JOBS,
    JOB_ROWS_MAX = 16,
    ROWS_MAX = JOBS_MAX * JOB_ROWS_MAX,
    KEYS = 100,
    QUERIES = 8, /* of each reader */
    OBSERVED_MAX = 64,
    EVENTS_MAX = 1000,
    ATTEMPTS_MAX = 200,
};

struct job {
    bool begun, acknowledged, maybe;
    unsigned n_trying; /* attempts under way: two actors may have the same job */
    uint64_t record;   /* that the acknowledgement named; 0: not known */
    uint64_t sequence; /* of the writer; 0: known by an id */
};

struct event { /* what a record says */
    uint64_t record;
    unsigned job; /* JOBS_MAX: the table was emptied */
};

struct question {
    unsigned from, to; /* keys */
    bool has_range, has_limit, ordered, reverse, count_only;
    unsigned limit;
};

struct observed { /* an answer */
    struct question question;
    uint64_t record, count;
    unsigned n;
    uint16_t rows[ROWS_MAX]; /* numbers of rows, as they came */
};

struct world;
struct actor {
    struct world *world;
    struct turns_player *player;
    struct random *random;
    struct store *gate, *store; /* the turn's, and the faulty one before it */
    struct instance *instance;
    struct table *table;
    struct query_engine *engine;
    unsigned number;
    bool dying, dies_at_commit, cancels_at_commit;
    struct runtime runtime; /* the world's, and its own flag */
    struct cancel cancel;
    unsigned cancel_in; /* requests; 0: not at all */
};

struct world {
    uint64_t seed;
    struct toy_clock clock;
    struct budget budget;
    struct ulid_source ulids;
    struct runtime runtime;
    struct store *real;
    struct schema *schema;
    struct random *random;
    struct turns turns;
    struct store_faults faults;  /* rare, for a job is a hundred requests that all must succeed */
    struct store_faults commits; /* while a job commits: frequent */
    struct table *read_from;     /* whose log is read */
    bool resets, sequences;
    struct actor actors[TURNS_PLAYERS_MAX];
    struct job jobs[JOBS_MAX];
    uint64_t newest_told;
    struct observed *observed;
    size_t n_observed;
    struct event events[EVENTS_MAX];
    size_t n_events;
    uint64_t last_record;
    unsigned n_acknowledged, n_unknown, n_failed, n_deaths, n_repeated, n_answers, n_broken_answers;
    char broken[1200]; /* the first thing that went wrong */
};

static struct pool *pool;

static void broken(struct world *world, const char *format, ...) GLIS_PRINTF(2, 3);
static void broken(struct world *world, const char *format, ...)
{
    if (world->broken[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->broken, sizeof world->broken, format, arguments);
    va_end(arguments);
}

/* Failures that a faulty store may bring to anybody. */
static bool is_fault(int code)
{
    return code == GLIS_EIO || code == GLIS_ERETRY || code == GLIS_EUNKNOWN ||
           code == GLIS_ETIMEOUT || code == GLIS_ECANCELLED;
}

static void must(struct world *world, int code, const char *what)
{
    if (code < 0) broken(world, "%s: %s: %s", what, error_code_name(code), error_message());
}

/* ---- the rows of a job ---- */

static unsigned job_rows(unsigned job)
{
    return (job * 5 + 3) % 13; /* one of thirteen has none */
}

static unsigned row_key(unsigned row)
{
    return (row / JOB_ROWS_MAX * 7 + row % JOB_ROWS_MAX * 13) % KEYS;
}

static bool row_v_is_null(unsigned row)
{
    return row % 3 == 0;
}

static struct schema *make_schema(unsigned n_added)
{
    struct field fields[8] = {{SLICE("k"), {.kind = TYPE_INT64}, false},
                              {SLICE("t"), {.kind = TYPE_INT64}, false},
                              {SLICE("s"), {.kind = TYPE_STRING}, false},
                              {SLICE("v"), {.kind = TYPE_INT64}, true}};
    static const char *const names[] = {"c0", "c1", "c2", "c3"};
    struct schema *schema;
    ASSERT(n_added <= 4);
    for (unsigned i = 0; i < n_added; i++)
        fields[4 + i] = (struct field){slice_from_text(names[i]), {.kind = TYPE_INT32}, true};
    int code = schema_new(&schema, fields, 4 + n_added, 1, 1);
    ASSERT(code == 0);
    return schema;
}

static struct batch *job_batch(const struct schema *schema, unsigned job)
{
    struct batch_builder *builder;
    struct batch *batch;
    int code = batch_builder_new(&builder, schema, NULL);
    for (unsigned i = 0; code == 0 && i < job_rows(job); i++) {
        unsigned row = job * JOB_ROWS_MAX + i;
        char text[24];
        int size = snprintf(text, sizeof text, "row %u", row);
        struct column_builder *v = batch_builder_column(builder, 3);
        code = column_builder_append_integer(batch_builder_column(builder, 0), row_key(row));
        if (code == 0) code = column_builder_append_integer(batch_builder_column(builder, 1), row);
        if (code == 0)
            code = column_builder_append_bytes(batch_builder_column(builder, 2),
                                               slice_make(text, (size_t)size));
        if (code == 0)
            code = row_v_is_null(row) ? column_builder_append_null(v)
                                      : column_builder_append_integer(v, (int64_t)row * 1000);
        if (code == 0) code = batch_builder_end_row(builder);
    }
    if (code == 0) code = batch_builder_finish(builder, &batch);
    ASSERT(code == 0);
    batch_builder_free(builder);
    return batch;
}

/* The number of a row that a query gave, all of whose values must be its own. */
static int row_number(const struct batch *batch, int64_t at)
{
    char text[24];
    for (uint32_t i = 0; i < batch->schema->n_fields; i++)
        if (i >= 4 && !column_is_null(&batch->columns[i], at)) return -1;
    if (batch->schema->n_fields < 4 || column_is_null(&batch->columns[1], at)) return -1;
    struct value k, t, s, v;
    column_value(&batch->columns[0], at, &k);
    column_value(&batch->columns[1], at, &t);
    column_value(&batch->columns[2], at, &s);
    column_value(&batch->columns[3], at, &v);
    if (t.integer < 0 || t.integer >= ROWS_MAX) return -1;
    unsigned row = (unsigned)t.integer;
    snprintf(text, sizeof text, "row %u", row);
    bool same = k.integer == row_key(row) && slice_equal_text(s.bytes, text) &&
                v.is_null == row_v_is_null(row) &&
                (v.is_null || v.integer == (int64_t)row * 1000) &&
                row % JOB_ROWS_MAX < job_rows(row / JOB_ROWS_MAX);
    return same ? (int)row : -1;
}

/* ---- lives ---- */

static void actor_end(struct actor *actor)
{
    query_engine_free(actor->engine);
    table_close(actor->table);
    instance_close(actor->instance);
    actor->engine = NULL;
    actor->table = NULL;
    actor->instance = NULL;
}

/* A new life: new handles. The way to the store stays: what was late may still arrive. */
static void actor_begin(struct actor *actor)
{
    struct world *world = actor->world;
    store_fault_set(actor->store, &world->faults);
    actor->dying = false;
    for (unsigned i = 0; i < ATTEMPTS_MAX && !world->broken[0]; i++) {
        int code = instance_open(&actor->runtime, actor->store, 0, NULL, &actor->instance);
        if (code == 0) code = table_open(actor->instance, SLICE("t"), &actor->table);
        if (code == 0)
            code = query_engine_new(&actor->engine, &actor->runtime, &world->budget, 1 << 16);
        if (code == 0) return;
        if (!is_fault(code)) must(world, code, "opening");
        actor_end(actor);
    }
    broken(world, "actor %u cannot open the table: %s", actor->number, error_message());
}

/* From some request soon on nothing of this life reaches the store. */
static void die_soon(struct actor *actor, struct store_faults faults, unsigned within)
{
    faults.crash_at = store_fault_requests(actor->store) + 1 + random_below(actor->random, within);
    store_fault_set(actor->store, &faults);
    actor->dying = true;
    actor->world->n_deaths++;
}

/* ---- writers ---- */

/* The commit is what matters most: more goes wrong there. */
static int before_commit(void *state, const struct ingest_progress *progress)
{
    struct actor *actor = state;
    if (progress->phase != INGEST_COMMITTING || actor->dying) return 0;
    store_fault_set(actor->store, &actor->world->commits);
    if (actor->dies_at_commit) die_soon(actor, actor->world->commits, 8);
    if (actor->cancels_at_commit) actor->cancel_in = 1 + (unsigned)random_below(actor->random, 8);
    return 0;
}

static void count_request(void *state)
{
    struct actor *actor = state;
    if (actor->cancel_in && --actor->cancel_in == 0) atomic_store(&actor->cancel.requested, 1);
}

/* `actor` is NULL when nothing shall fail. */
static int ingest_job(struct world *world, struct table *table, unsigned number,
                      struct actor *actor, struct ingest_result *result)
{
    struct job *job = &world->jobs[number];
    struct arena arena defer_arena = ARENA_EMPTY;
    struct batch_stream *stream;
    struct batch *batch = job_batch(world->schema, number);
    char name[24];
    snprintf(name, sizeof name, job->sequence ? "w%u" : "job%u",
             job->sequence ? number / JOBS : number);
    struct ingest_options options = {.sequence = job->sequence,
                                     .progress = actor ? before_commit : NULL,
                                     .progress_state = actor};
    *(job->sequence ? &options.writer : &options.job_id) = slice_from_text(name);
    int code = batch_stream_of(world->schema, &batch, 1, &stream);
    batch_release(batch);
    ASSERT(code == 0);
    job->begun = true;
    job->n_trying++;
    code = ingest_stream(table, actor ? &actor->runtime : &world->runtime, stream, &options, &arena,
                         result);
    job->n_trying--;
    if (!actor) return code;
    if (!actor->dying) store_fault_set(actor->store, &world->faults);
    actor->cancel_in = 0;
    atomic_store(&actor->cancel.requested, 0);
    return code;
}

static void acknowledged(struct world *world, unsigned number, const struct ingest_result *result)
{
    struct job *job = &world->jobs[number];
    bool known = job->acknowledged || job->maybe || job->n_trying > 0;
    job->acknowledged = true;
    job->record = result->record;
    world->n_acknowledged++;
    if (result->record > world->newest_told) world->newest_told = result->record;
    if (result->already_done && !known)
        broken(world, "job %u was done before, though every attempt had failed for sure", number);
    if (!result->already_done && result->rows != job_rows(number))
        broken(world, "job %u added %llu rows", number, (unsigned long long)result->rows);
}

static void do_job(struct actor *actor, unsigned number)
{
    struct world *world = actor->world;
    struct job *job = &world->jobs[number];
    if (world->sequences && number / JOBS % 2 == 0) job->sequence = number % JOBS + 1;
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX && !world->broken[0]; attempt++) {
        struct ingest_result result;
        if (random_below(actor->random, 16) == 0) die_soon(actor, world->faults, 100);
        actor->dies_at_commit = random_below(actor->random, 6) == 0;
        actor->cancels_at_commit = random_below(actor->random, 6) == 0;
        int code = ingest_job(world, actor->table, number, actor, &result);
        bool dying = actor->dying;
        if (code == 0) {
            acknowledged(world, number, &result);
        } else if (code == GLIS_EUNKNOWN) {
            job->maybe = true;
            world->n_unknown++;
        } else if (is_fault(code) || (code == GLIS_EREFUSED && world->resets)) {
            world->n_failed++;
        } else {
            must(world, code, "a job");
        }
        if (dying || random_below(actor->random, 8) == 0) {
            actor_end(actor);
            actor_begin(actor);
        }
        if (code == 0) return;
        if (!job->sequence && random_below(actor->random, 6) == 0) return; /* given up */
    }
    broken(world, "job %u does not get through: %s", number, error_message());
}

/* A job that was acknowledged adds nothing when it is run again. */
static void repeat_job(struct actor *actor, unsigned number)
{
    struct world *world = actor->world;
    struct ingest_result result;
    if (world->resets || !world->jobs[number].acknowledged) return;
    int code = ingest_job(world, actor->table, number, actor, &result);
    if (code < 0 && !is_fault(code)) must(world, code, "repeating a job");
    if (code == 0 && !result.already_done) broken(world, "job %u was done twice", number);
    world->n_repeated += code == 0;
}

static void play_writer(void *state)
{
    struct actor *actor = state;
    actor_begin(actor);
    for (unsigned i = 0; i < JOBS && !actor->world->broken[0]; i++) {
        unsigned number = actor->number * JOBS + i;
        do_job(actor, number);
        if (random_below(actor->random, 4) == 0) repeat_job(actor, number);
        /* What another has begun, and may be at just now. */
        unsigned other = (unsigned)random_below(actor->random, JOBS_MAX);
        for (unsigned k = 0; k < JOBS_MAX && !actor->world->jobs[other].n_trying; k++)
            other = (other + 1) % JOBS_MAX;
        if (actor->world->jobs[other].begun && random_below(actor->random, 2) &&
            !actor->world->broken[0])
            do_job(actor, other);
    }
    actor_end(actor);
}

/* ---- the keeper ---- */

static int add_column(struct actor *actor)
{
    const struct table_state *state;
    struct commit_result result;
    TRY(table_state_get(actor->table, 0, &state));
    unsigned n_added = table_state_schema(state)->n_fields - 4;
    table_state_release(state);
    if (n_added == 4) return 0;
    struct schema *later = make_schema(n_added + 1);
    int code = table_alter(actor->table, NULL, 0, later, &result);
    schema_release(later);
    return code;
}

static int keep(struct actor *actor)
{
    static const char *const delays[] = {"10m", "20m", "30m", "40m"};
    struct commit_result result;
    struct setting setting = {SLICE("glis.table.gc.delay"),
                              slice_from_text(delays[random_below(actor->random, 4)])};
    switch (random_below(actor->random, 4)) {
    case 0: return add_column(actor);
    case 1: return table_alter(actor->table, &setting, 1, NULL, &result);
    case 2: return table_snapshot_write(actor->table);
    default:
        if (!actor->world->resets) return table_snapshot_write(actor->table);
        return table_reset(actor->table, NULL, 0, true, &result);
    }
}

static void play_keeper(void *state)
{
    struct actor *actor = state;
    actor_begin(actor);
    for (unsigned i = 0; i < 8 && !actor->world->broken[0]; i++) {
        for (uint64_t pause = random_below(actor->random, 40); pause > 0; pause--)
            turns_hand_over(&actor->world->turns, actor->player);
        if (random_below(actor->random, 10) == 0) die_soon(actor, actor->world->commits, 25);
        int code = keep(actor);
        if (code < 0 && !is_fault(code) && code != GLIS_EREFUSED)
            must(actor->world, code, "the keeper");
        if (actor->dying) {
            actor_end(actor);
            actor_begin(actor);
        }
    }
    actor_end(actor);
}

/* ---- readers ---- */

static void draw_question(struct random *random, struct question *q)
{
    *q = (struct question){.has_range = random_below(random, 2),
                           .has_limit = random_below(random, 4) == 0,
                           .ordered = random_below(random, 2),
                           .reverse = random_below(random, 3) == 0,
                           .count_only = random_below(random, 6) == 0};
    q->limit = (unsigned)random_below(random, 20);
    q->from = (unsigned)random_below(random, KEYS);
    q->to = q->from + 1 + (unsigned)random_below(random, KEYS);
}

static int read_question(const struct question *q, const struct schema *schema, struct arena *arena,
                         struct query *query)
{
    defer_buffer struct buffer json = BUFFER_INIT(1000);
    static const char *const words[] = {"false", "true"};
    TRY(buffer_append_text(&json, "{\"regions\":[{"));
    if (q->has_range) TRY(buffer_printf(&json, "\"k\":{\"min\":%u,\"max\":%u}", q->from, q->to));
    TRY(buffer_printf(&json, "}],\"ordered\":%s,\"reverse\":%s,\"countOnly\":%s", words[q->ordered],
                      words[q->reverse], words[q->count_only]));
    if (q->has_limit) TRY(buffer_printf(&json, ",\"limit\":%u", q->limit));
    TRY(buffer_append_text(&json, "}"));
    return query_from_json(buffer_slice(&json), schema, arena, query);
}

static int take_answer(struct world *world, struct batch_stream *answer, struct observed *observed)
{
    observed->record = query_answer_record(answer);
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(answer, &batch));
        if (!batch) break;
        for (int64_t row = 0; row < batch->n_rows; row++) {
            int number = row_number(batch, row);
            if (number < 0)
                broken(world, "a query gave a row that nobody wrote, or two of one");
            else if (observed->n < ROWS_MAX)
                observed->rows[observed->n++] = (uint16_t)number;
            else
                broken(world, "a query gave too many rows");
        }
        batch_release(batch);
    }
    observed->count = query_answer_rows(answer);
    return 0;
}

/* Asks once; what came is kept for the judge. */
static int ask(struct world *world, struct table *table, struct query_engine *engine,
               const struct question *question, uint64_t at_record)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct query query;
    struct batch_stream *answer;
    uint64_t known = at_record ? at_record : world->newest_told;
    struct observed observed = {.question = *question};
    TRY(table_state_get(table, 0, &state));
    int code = read_question(question, table_state_schema(state), &arena, &query);
    ASSERT(code == 0);
    /* Whatever columns there are: an older state may not have the newest. */
    query.fields = NULL;
    query.at_record = at_record;
    code = query_open(engine, table, &query, &answer);
    if (code == 0) {
        code = take_answer(world, answer, &observed);
        batch_stream_close(answer);
    }
    table_state_release(state);
    TRY(code);
    if (at_record ? observed.record != at_record : observed.record < known)
        broken(world, "a query read record %llu, though %llu was %s",
               (unsigned long long)observed.record, (unsigned long long)known,
               at_record ? "asked for" : "known before");
    if (observed.record > world->newest_told) world->newest_told = observed.record;
    ASSERT(world->n_observed < OBSERVED_MAX);
    world->observed[world->n_observed++] = observed;
    world->n_answers++;
    return 0;
}

static void play_reader(void *state)
{
    struct actor *actor = state;
    struct world *world = actor->world;
    actor_begin(actor);
    for (unsigned i = 0; i < QUERIES && !world->broken[0]; i++) {
        struct question question;
        uint64_t at_record = 0;
        draw_question(actor->random, &question);
        if (random_below(actor->random, 4) == 0)
            at_record = 1 + random_below(actor->random, world->newest_told);
        int code = ask(world, actor->table, actor->engine, &question, at_record);
        world->n_broken_answers += code < 0;
        if (code < 0 && !is_fault(code)) must(world, code, "a query");
        if (random_below(actor->random, 8) == 0) {
            actor_end(actor);
            actor_begin(actor);
        }
    }
    actor_end(actor);
}

/* ---- the model ---- */

static void add_event(struct world *world, uint64_t record, unsigned job)
{
    if (world->n_events == EVENTS_MAX)
        broken(world, "too many records");
    else
        world->events[world->n_events++] = (struct event){record, job};
}

/* The job that a change_files names. */
static unsigned job_of(const struct json *line)
{
    struct slice text = SLICE_EMPTY;
    char name[24];
    unsigned number;
    if (json_optional_string(line, "job", &text) < 0) return JOBS_MAX;
    bool by_id = text.size > 0;
    if (!by_id && json_optional_string(line, "writer", &text) < 0) return JOBS_MAX;
    snprintf(name, sizeof name, "%.*s", SLICE_PRINT(text));
    if (by_id) return sscanf(name, "job%u", &number) == 1 ? number : JOBS_MAX;
    int64_t sequence;
    if (sscanf(name, "w%u", &number) != 1 || json_get_int(line, "sequence", 1, JOBS, &sequence) < 0)
        return JOBS_MAX;
    return number * JOBS + (unsigned)sequence - 1;
}

static bool has_file(struct world *world, uint64_t record, struct slice name)
{
    struct arena arena defer_arena = ARENA_EMPTY;
    const struct table_state *state;
    struct table_file file;
    int code = table_state_at(world->read_from, record, &state);
    must(world, code, "the state at a record");
    if (code < 0) return false;
    code = table_file(state, name, &arena, &file);
    table_state_release(state);
    return code == 0;
}

/* Whether a carried change took effect in its record: the log decides it when it is applied, and
 * one that comes too late is in a record all the same. Its first file tells. */
static bool took_effect(struct world *world, uint64_t record, const struct json *line)
{
    const struct json *files = NULL;
    struct slice name;
    int code = json_get_array(line, "files", &files);
    if (code == 0 && files->n_items == 0) return true;
    if (code == 0) code = json_get_string(&files->items[0], "name", &name);
    must(world, code, "a carried change");
    return code == 0 && has_file(world, record, name) && !has_file(world, record - 1, name);
}

static int read_record(void *state, const struct log_shown *shown)
{
    struct world *world = state;
    if (shown->code < 0) broken(world, "record %llu is damaged", (unsigned long long)shown->record);
    world->last_record = shown->record;
    for (size_t i = 0; i < shown->n_lines; i++) {
        struct arena arena defer_arena = ARENA_EMPTY;
        const struct json *line;
        struct slice type;
        bool carried = shown->lines[i].pending.size > 0; /* by whoever won */
        TRY(json_parse(&arena, shown->lines[i].text, JSON_RULES_INTERNAL, &line));
        TRY(json_get_string(line, "type", &type));
        if (slice_equal_text(type, "reset")) add_event(world, shown->record, JOBS_MAX);
        if (!slice_equal_text(type, "change_files")) continue;
        unsigned job = job_of(line);
        if (job >= JOBS_MAX || !world->jobs[job].begun)
            broken(world, "record %llu names a job that nobody began",
                   (unsigned long long)shown->record);
        else if (!carried || took_effect(world, shown->record, line))
            add_event(world, shown->record, job);
    }
    return 0;
}

/* The jobs whose rows are there after a record. */
static void jobs_at(struct world *world, uint64_t record, bool there[JOBS_MAX])
{
    memset(there, 0, JOBS_MAX * sizeof *there);
    for (size_t i = 0; i < world->n_events && world->events[i].record <= record; i++) {
        unsigned job = world->events[i].job;
        if (job == JOBS_MAX) {
            memset(there, 0, JOBS_MAX * sizeof *there);
            continue;
        }
        if (there[job]) broken(world, "job %u is in two records", job);
        there[job] = true;
    }
}

static int compare_rows(const void *a, const void *b)
{
    unsigned x = *(const uint16_t *)a, y = *(const uint16_t *)b;
    int by_key = (int)row_key(x) - (int)row_key(y);
    return by_key ? by_key : (int)x - (int)y;
}

/* The rows that a question gets after a record, by key, without the limit. */
static unsigned rows_at(struct world *world, const struct question *q, uint64_t record,
                        uint16_t rows[ROWS_MAX])
{
    bool there[JOBS_MAX];
    unsigned n = 0;
    jobs_at(world, record, there);
    for (unsigned row = 0; row < ROWS_MAX; row++) {
        unsigned key = row_key(row);
        if (!there[row / JOB_ROWS_MAX] || row % JOB_ROWS_MAX >= job_rows(row / JOB_ROWS_MAX))
            continue;
        if (!q->has_range || (key >= q->from && key < q->to)) rows[n++] = (uint16_t)row;
    }
    if (n) qsort(rows, n, sizeof *rows, compare_rows);
    for (unsigned i = 0; q->reverse && i < n / 2; i++) {
        uint16_t swap = rows[i];
        rows[i] = rows[n - 1 - i];
        rows[n - 1 - i] = swap;
    }
    return n;
}

static void judge_answer(struct world *world, struct observed *o)
{
    uint16_t wanted[ROWS_MAX];
    const struct question *q = &o->question;
    unsigned all = rows_at(world, q, o->record, wanted), n = all;
    if (q->has_limit && n > q->limit) n = q->limit;
    bool good = o->count == n && o->n == (q->count_only ? 0 : n) && o->record <= world->last_record;
    if (good && !q->count_only && q->ordered) {
        good = memcmp(o->rows, wanted, n * sizeof *wanted) == 0;
    } else if (good && !q->count_only && n == all) {
        struct question plain = {.has_range = q->has_range, .from = q->from, .to = q->to};
        (void)rows_at(world, &plain, o->record, wanted);
        if (n) qsort(o->rows, n, sizeof *o->rows, compare_rows);
        good = memcmp(o->rows, wanted, n * sizeof *wanted) == 0;
    }
    if (!good)
        broken(world,
               "a query of record %llu gave %llu rows (%u came), not the %u of the model "
               "(range %d %u-%u, limit %d %u, ordered %d, reverse %d, count only %d)",
               (unsigned long long)o->record, (unsigned long long)o->count, o->n, n, q->has_range,
               q->from, q->to, q->has_limit, q->limit, q->ordered, q->reverse, q->count_only);
}

static void judge_job(struct world *world, unsigned number)
{
    const struct job *job = &world->jobs[number];
    bool anywhere = false, there = false;
    for (size_t i = 0; i < world->n_events; i++) {
        if (world->events[i].job != number) continue;
        anywhere = true;
        there |= world->events[i].record == job->record;
    }
    if (job->acknowledged && (job->record ? !there : !anywhere))
        broken(world, "job %u was acknowledged in record %llu, but is not there", number,
               (unsigned long long)job->record);
    if (!job->acknowledged && !job->maybe && anywhere)
        broken(world, "job %u was said not to have happened, but did", number);
}

static int count_file(void *state, const struct table_file *file)
{
    *(unsigned *)state += file->n_references > 0;
    return 0;
}

/* All jobs again, on a store that is whole; then the table is the model. */
static void complete(struct world *world, struct table *table, struct query_engine *engine)
{
    static const struct question everything = {.ordered = true};
    bool there[JOBS_MAX];
    jobs_at(world, world->last_record, there);
    unsigned n_rows = 0, n_files = 0;
    for (unsigned number = 0; number < JOBS_MAX && !world->broken[0]; number++) {
        struct job *job = &world->jobs[number];
        struct ingest_result result;
        if (!job->begun) continue;
        must(world, ingest_job(world, table, number, NULL, &result), "a job once more");
        if (!world->broken[0] && result.already_done != there[number])
            broken(world, "job %u, once more, was %s", number,
                   there[number] ? "added again" : "not completed");
        n_rows += job_rows(number);
    }
    const struct table_state *state;
    if (world->broken[0] || table_state_get(table, 0, &state) < 0) return;
    must(world, table_validate(state), "the last state");
    must(world, table_each_file(state, count_file, &n_files), "the files");
    struct table_figures figures = table_state_figures(state);
    if (figures.rows != n_rows || !figures.rows_are_exact ||
        figures.files - figures.unreferenced_files != n_files)
        broken(world, "the last state has %llu rows, not %u, and %llu files, not %u",
               (unsigned long long)figures.rows, n_rows,
               (unsigned long long)(figures.files - figures.unreferenced_files), n_files);
    table_state_release(state);
    must(world, ask(world, table, engine, &everything, 0), "the last query");
}

static void read_log(struct world *world, struct table *table)
{
    world->n_events = 0;
    world->read_from = table;
    must(world,
         log_show(&world->runtime, world->real, table_prefix(table), 1, 0, read_record, world),
         "the log");
}

static void judge(struct world *world)
{
    static const struct question everything = {.ordered = true};
    struct instance *instance = NULL;
    struct table *table = NULL;
    struct query_engine *engine = NULL;
    int code = instance_open(&world->runtime, world->real, 0, NULL, &instance);
    if (code == 0) code = table_open(instance, SLICE("t"), &table);
    if (code == 0) code = query_engine_new(&engine, &world->runtime, &world->budget, 1 << 16);
    if (code == 0) code = ask(world, table, engine, &everything, 0);
    must(world, code, "reading the end");
    if (!world->broken[0]) {
        read_log(world, table);
        for (unsigned i = 0; i < JOBS_MAX; i++)
            judge_job(world, i);
        complete(world, table, engine);
        read_log(world, table);
        for (size_t i = 0; i < world->n_observed; i++)
            judge_answer(world, &world->observed[i]);
    }
    query_engine_free(engine);
    table_close(table);
    instance_close(instance);
}

/* ---- worlds ---- */

static uint32_t some(struct random *random, uint32_t chance)
{
    return random_below(random, 2) ? chance : 0;
}

static void add_actor(struct world *world, void (*play)(void *))
{
    unsigned number = world->turns.n_players;
    struct actor *actor = &world->actors[number];
    actor->world = world;
    actor->number = number;
    actor->random = random_seeded_new(world->seed * 31 + number);
    actor->player = turns_add(&world->turns, play, actor);
    actor->player->request = count_request;
    actor->runtime = world->runtime;
    actor->runtime.cancel = &actor->cancel;
    actor->gate = turns_gate_open(actor->player, world->real);
    assert_ok(store_fault_open(&world->runtime, actor->gate, random_u64(actor->random),
                               &world->faults, &actor->store));
}

static void make_table(struct world *world)
{
    static const char *const strategies[] = {"by_size", "one_file_per_leaf",
                                             "one_reference_per_leaf"};
    struct arena arena defer_arena = ARENA_EMPTY;
    struct instance *instance;
    struct table *table;
    struct slice points[3];
    size_t n_points = (size_t)random_below(world->random, 4);
    static const struct type key = {.kind = TYPE_INT64};
    for (size_t i = 0; i < n_points; i++) {
        defer_buffer struct buffer bytes = BUFFER_INIT(64);
        struct value value = value_integer(TYPE_INT64, 25 * ((int64_t)i + 1));
        assert_ok(key_append_value(&key, &value, &bytes));
        points[i] = arena_copy(&arena, buffer_slice(&bytes));
    }
    struct setting settings[] = {{SLICE("glis.table.ingest.file.writing.strategy"),
                                  slice_from_text(strategies[random_below(world->random, 3)])}};
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = world->schema,
                                          .settings = settings,
                                          .n_settings = 1,
                                          .split_points = points,
                                          .n_split_points = n_points};
    assert_ok(instance_init(&world->runtime, world->real, NULL, 0));
    assert_ok(instance_open(&world->runtime, world->real, 0, NULL, &instance));
    assert_ok(table_create(instance, &definition, &table));
    table_close(table);
    instance_close(instance);
    world->newest_told = 1;
}

static void world_build(struct world *world, uint64_t seed)
{
    world->seed = seed;
    world->clock = TOY_CLOCK;
    budget_init(&world->budget, "world", 0, NULL, NULL);
    world->random = random_seeded_new(seed);
    world->runtime = (struct runtime){.clock = &world->clock.clock,
                                      .random = random_seeded_new(seed + 1000003),
                                      .pool = pool,
                                      .budget = &world->budget,
                                      .ulids = &world->ulids};
    world->observed = memory_alloc_zero(OBSERVED_MAX * sizeof *world->observed);
    world->schema = make_schema(0);
    assert_ok(store_memory_open(&world->runtime, &world->real));
    struct random *r = world->random;
    make_table(world);
    world->resets = random_below(r, 3) == 0;
    world->sequences = !world->resets && random_below(r, 2);
    world->commits = (struct store_faults){.lost_before = some(r, 6000),
                                           .lost_after = some(r, 6000),
                                           .late = some(r, 6000),
                                           .retry = some(r, 6000),
                                           .repeated = some(r, 3000),
                                           .short_read = some(r, 4000),
                                           .reordered = some(r, 20000),
                                           .delayed = some(r, 6000)};
    world->faults = (struct store_faults){.lost_before = world->commits.lost_before / 12,
                                          .lost_after = world->commits.lost_after / 12,
                                          .late = world->commits.late,
                                          .retry = world->commits.retry / 12,
                                          .repeated = world->commits.repeated,
                                          .short_read = world->commits.short_read / 12,
                                          .reordered = world->commits.reordered,
                                          .delayed = world->commits.delayed / 12};
    turns_init(&world->turns, r);
    unsigned n_writers = 2 + (unsigned)random_below(r, 2),
             n_readers = 1 + (unsigned)random_below(r, 2);
    for (unsigned i = 0; i < n_writers; i++)
        add_actor(world, play_writer);
    for (unsigned i = 0; i < n_readers; i++)
        add_actor(world, play_reader);
    if (world->resets || random_below(r, 2)) add_actor(world, play_keeper);
}

static void world_tear(struct world *world)
{
    for (unsigned i = 0; i < world->turns.n_players; i++) {
        store_close(world->actors[i].store);
        store_close(world->actors[i].gate);
        random_seeded_free(world->actors[i].random);
    }
    turns_end(&world->turns);
    store_close(world->real);
    schema_release(world->schema);
    random_seeded_free(world->random);
    random_seeded_free(world->runtime.random);
    free(world->observed);
    assert_int_equal(budget_used(&world->budget), 0);
}

struct totals {
    uint64_t acknowledged, unknown, failed, deaths, repeated, answers, broken_answers;
};

static void world_run(uint64_t seed, struct totals *totals)
{
    struct world *world = memory_alloc_zero(sizeof *world);
    world_build(world, seed);
    turns_run(&world->turns);
    if (!world->broken[0]) judge(world);
    if (world->broken[0]) fail_msg("seed %llu: %s", (unsigned long long)seed, world->broken);
    totals->acknowledged += world->n_acknowledged;
    totals->unknown += world->n_unknown;
    totals->failed += world->n_failed;
    totals->deaths += world->n_deaths;
    totals->repeated += world->n_repeated;
    totals->answers += world->n_answers;
    totals->broken_answers += world->n_broken_answers;
    world_tear(world);
    free(world);
}

static uint64_t n_seeds = 300, first_seed = 1;

static void every_world_ends_as_its_model_says(void **state)
{
    (void)state;
    struct totals t = {0};
    for (uint64_t seed = first_seed; seed < first_seed + n_seeds; seed++)
        world_run(seed, &t);
    print_message("%llu worlds: %llu jobs acknowledged, %llu attempts unknown, %llu failed, %llu "
                  "deaths, %llu jobs repeated, %llu answers, %llu queries failed\n",
                  (unsigned long long)n_seeds, (unsigned long long)t.acknowledged,
                  (unsigned long long)t.unknown, (unsigned long long)t.failed,
                  (unsigned long long)t.deaths, (unsigned long long)t.repeated,
                  (unsigned long long)t.answers, (unsigned long long)t.broken_answers);
    if (n_seeds < 100) return;
    /* A world in which nothing happens shows nothing. */
    assert_true(t.acknowledged > 5 * n_seeds && t.answers > 5 * n_seeds);
    assert_true(t.unknown > 0 && t.failed > n_seeds && t.deaths > n_seeds / 2 && t.repeated > 0);
}

int main(int argc, char **argv)
{
    const char *count = argc > 1 ? argv[1] : getenv("GLIS_JOB_SEEDS");
    const char *only = getenv("GLIS_JOB_SEED");
    if (count) n_seeds = strtoull(count, NULL, 10);
    if (only) first_seed = strtoull(only, NULL, 10), n_seeds = 1;
    pool = pool_new(0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_world_ends_as_its_model_says)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
