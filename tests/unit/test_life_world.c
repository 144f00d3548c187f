/*
 * test_life_world.c: the same random life on a table and on a list of rows: ingest in every mode,
 * jobs that come again, bulk imports step by step, compaction by plan and by force, also while
 * another job is at work, push-downs, splits, joins, deleting, collection, orphans, pins, restore,
 * reset, changes of properties and schema, time that goes by and clocks that go back. Tables have
 * one or two row keys, numbers and strings, maps, and columns that are null. After each step the
 * state is validated and questions are asked, whose answers must be what the list gives; at the
 * end no object is left that the state does not know. The list knows nothing of files
 * (life_rows.h). The steps that add rows are in life_adding.h, those that see to files and leaves
 * in life_upkeep.h, here the rest.
 *
 * GLIS_LIFE_WORLD_SEED=N runs one seed, GLIS_LIFE_WORLD_SEEDS=N as many, from
 * GLIS_LIFE_WORLD_FIRST on.
 */
#include "life_upkeep.h"

/* ---- states kept, gone back to and changed ---- */

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
