/*
 * test_ingest.c: jobs from their input to the table: which files and references come of them, that
 * all rows are there once whatever fails in between, and that a job counts once.
 */
#include "sorting.h"

#include "lsm/ingest_int.h"
#include "parquet/parquet.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Stands before the system's: the stores here are in memory, so what is synced is a job's own. */
static unsigned n_fsync;

int fsync(int fd)
{
    n_fsync++;
    return (int)syscall(SYS_fsync, fd);
}

static const struct type long_key = {.kind = TYPE_INT64};

/* An instance in memory, or behind a store that fails. */
struct lsm_world {
    struct sorting_world base;
    struct store *memory, *store;
    struct instance *instance;
    struct table *table;
    struct schema *schema;
    struct arena arena;
};

static struct slice long_field_key(struct arena *arena, int64_t value)
{
    struct buffer bytes = BUFFER_INIT(64);
    struct value v = value_integer(TYPE_INT64, value);
    assert_ok(key_append_value(&long_key, &v, &bytes));
    struct slice copy = arena_copy(arena, buffer_slice(&bytes));
    buffer_free(&bytes);
    return copy;
}

/* A table of sorting_schema over a long, split at step, 2 step, ... into n_leaves. */
static void world_open(struct lsm_world *world, unsigned n_threads, uint32_t n_leaves, int64_t step,
                       const struct setting *settings, size_t n_settings)
{
    memset(world, 0, sizeof *world);
    sorting_world_open(&world->base, n_threads);
    assert_ok(store_memory_open(&world->base.runtime, &world->memory));
    world->store = world->memory;
    world->schema = sorting_schema(&long_key, 1, 0);
    assert_ok(instance_init(&world->base.runtime, world->memory, NULL, 0));
    assert_ok(instance_open(&world->base.runtime, world->memory, 0, NULL, &world->instance));
    struct slice *points = ARENA_ARRAY(&world->arena, struct slice, n_leaves);
    for (uint32_t i = 0; i + 1 < n_leaves; i++)
        points[i] = long_field_key(&world->arena, (i + 1) * step);
    struct table_definition definition = {.name = SLICE("t"),
                                          .schema = world->schema,
                                          .settings = settings,
                                          .n_settings = n_settings,
                                          .split_points = points,
                                          .n_split_points = n_leaves - 1};
    assert_ok(table_create(world->instance, &definition, &world->table));
}

static void world_close(struct lsm_world *world)
{
    table_close(world->table);
    instance_close(world->instance);
    if (world->store != world->memory) store_close(world->store);
    store_close(world->memory);
    schema_release(world->schema);
    arena_free(&world->arena);
    sorting_world_close(&world->base);
}

/* Opens the table anew, through a store that does what `faults` say, or the plain one. */
static int world_reopen(struct lsm_world *world, const struct store_faults *faults, uint64_t seed)
{
    table_close(world->table);
    instance_close(world->instance);
    world->table = NULL;
    world->instance = NULL;
    if (world->store != world->memory) store_close(world->store);
    world->store = world->memory;
    if (faults)
        TRY(store_fault_open(&world->base.runtime, world->memory, seed, faults, &world->store));
    TRY(instance_open(&world->base.runtime, world->store, 0, NULL, &world->instance));
    return table_open(world->instance, SLICE("t"), &world->table);
}

static struct batch_stream *stream_of(const struct lsm_world *world,
                                      const struct sorting_rows *rows)
{
    struct batch_stream *stream;
    assert_ok(batch_stream_of(world->schema, rows->batches, (uint32_t)rows->n_batches, &stream));
    return stream;
}

/* Reads a data file with Glis's own reader: rows ascend and are those of `rows`. Counts how often
 * each was seen, where it lies in the leaf (NULL: always); returns the number of all rows. */
static uint64_t read_data_file(struct lsm_world *world, const struct schema *schema,
                               struct slice name, uint8_t *seen, const struct sorting_rows *rows,
                               const struct key_range *leaf, uint64_t *rows_in_leaf)
{
    struct arena arena = ARENA_EMPTY;
    struct parquet_reader *reader;
    struct batch_stream *stream;
    uint64_t total = 0;
    struct slice key = table_file_key(world->table, name, &arena);
    assert_ok(parquet_reader_open(&reader, &world->base.runtime, world->memory, key,
                                  &world->base.budget));
    assert_ok(parquet_reader_stream(reader, &stream));
    struct batch *last = NULL;
    *rows_in_leaf = 0;
    for (;;) {
        struct batch *batch;
        struct keys keys;
        assert_ok(batch_stream_next(stream, &batch));
        if (!batch) break;
        assert_ok(keys_encode(&keys, batch, 1, NULL));
        for (int64_t row = 0; row < batch->n_rows; row++) {
            if (row > 0 || last)
                assert_true(batch_compare_rows(row ? batch : last, row ? row - 1 : last->n_rows - 1,
                                               batch, row, 0, schema->n_row_keys) <= 0);
            if (leaf && !key_range_contains(leaf, keys_get(&keys, row))) continue;
            int64_t id = sorting_id(batch, row);
            const struct batch *source = rows->batches[id / rows->batch_rows];
            assert_int_equal(
                batch_compare_rows(batch, row, source, id % rows->batch_rows, 0, schema->n_fields),
                0);
            seen[id]++;
            ++*rows_in_leaf;
        }
        keys_free(&keys);
        total += (uint64_t)batch->n_rows;
        batch_release(last);
        last = batch;
    }
    batch_release(last);
    batch_stream_close(stream);
    parquet_reader_close(reader);
    arena_free(&arena);
    return total;
}

/* Everything that must hold of the table: a valid state, exact counts of each reference, bounds
 * that hold, and each of the n rows once, unchanged. */
static void check_table(struct lsm_world *world, const struct sorting_rows *rows, uint64_t n_rows)
{
    const struct table_state *state;
    struct arena arena = ARENA_EMPTY;
    struct table_leaf *leaves;
    size_t n_leaves;
    assert_ok(table_state_get(world->table, 0, &state));
    assert_ok(table_validate(state));
    struct table_figures figures = table_state_figures(state);
    assert_int_equal(figures.rows, n_rows);
    assert_true(figures.rows_are_exact);
    uint8_t *seen = calloc(n_rows + 1, 1);
    assert_ok(table_leaves(state, NULL, &arena, &leaves, &n_leaves));
    uint64_t total = 0;
    for (size_t i = 0; i < n_leaves; i++) {
        for (size_t j = 0; j < leaves[i].n_references; j++) {
            const struct table_reference *reference = &leaves[i].references[j];
            uint64_t in_leaf = 0;
            (void)read_data_file(world, world->schema, reference->file->name, seen, rows,
                                 &leaves[i].partition.region[0], &in_leaf);
            if (slice_equal(reference->partition, leaves[i].partition.id))
                assert_int_equal(in_leaf, reference->rows);
            total += in_leaf;
        }
    }
    assert_int_equal(total, n_rows);
    for (uint64_t i = 0; i < n_rows; i++)
        assert_int_equal(seen[i], 1);
    free(seen);
    arena_free(&arena);
    table_state_release(state);
}

static uint64_t count_objects(struct store *store, struct slice prefix)
{
    struct arena arena = ARENA_EMPTY;
    struct store_list list;
    assert_ok(store_list(store, prefix, SLICE_EMPTY, 100000, &arena, &list));
    uint64_t n = list.n_objects;
    arena_free(&arena);
    return n;
}

static uint64_t count_data_files(struct lsm_world *world)
{
    struct arena arena = ARENA_EMPTY;
    struct slice prefix =
        slice_from_text(arena_printf(&arena, "%.*sdata/", SLICE_PRINT(table_prefix(world->table))));
    uint64_t n = count_objects(world->memory, prefix);
    arena_free(&arena);
    return n;
}

/* ---- files and references ---- */

struct layout_case {
    const char *name;
    uint32_t n_leaves;
    int64_t step; /* keys are -500 .. 499 (spread 1000) */
    int64_t n_rows;
    const char *strategy, *min_file_bytes, *max_references;
    uint64_t files, references;
};

static const struct layout_case layout_cases[] = {
    {"one leaf", 1, 0, 2000, "by_size", "8M", "64", 1, 1},
    /* Five leaves: below 100, .. 200, .. 300, .. 400, and the rest; all have rows. */
    {"all shared", 5, 100, 2000, "by_size", "8M", "64", 1, 5},
    {"few references", 5, 100, 2000, "by_size", "8M", "2", 1, 2},
    {"one reference", 5, 100, 2000, "by_size", "8M", "1", 1, 1},
    {"a file each", 5, 100, 2000, "one_file_per_leaf", "8M", "64", 5, 5},
    {"a reference each", 5, 100, 2000, "one_reference_per_leaf", "1", "1", 1, 5},
    {"all large enough", 5, 100, 2000, "by_size", "1", "64", 5, 5},
    /* The first leaf has 19 of 20 rows (some 1.5 MiB in memory), the second 80 KiB. */
    {"one large leaf", 2, 450, 20000, "by_size", "100K", "64", 2, 2},
    {"many leaves", 100, 1, 4000, "by_size", "8M", "64", 1, 64},
};

static void rows_go_into_own_and_shared_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof layout_cases / sizeof *layout_cases; i++) {
        const struct layout_case *c = &layout_cases[i];
        const struct setting settings[] = {
            {SLICE("glis.table.ingest.file.writing.strategy"), slice_from_text(c->strategy)},
            {SLICE("glis.table.ingest.min.file.bytes"), slice_from_text(c->min_file_bytes)},
            {SLICE("glis.table.ingest.max.references"), slice_from_text(c->max_references)},
        };
        struct lsm_world world;
        world_open(&world, 2, c->n_leaves, c->step, settings, 3);
        struct sorting_rows rows =
            sorting_rows_make(world.schema, world.base.runtime.random, c->n_rows, 500, 1000);
        struct ingest_result result;
        assert_ok(ingest_stream(world.table, &world.base.runtime, stream_of(&world, &rows), NULL,
                                &world.arena, &result));
        if ((result.files != c->files || result.references != c->references))
            fail_msg("%s: %llu files, %llu references", c->name, (unsigned long long)result.files,
                     (unsigned long long)result.references);
        assert_int_equal(result.rows, c->n_rows);
        assert_int_equal(result.rows_read, c->n_rows);
        assert_false(result.already_done);
        assert_int_equal(count_data_files(&world), result.files);
        check_table(&world, &rows, (uint64_t)c->n_rows);
        sorting_rows_free(&rows);
        world_close(&world);
    }
}

/* A tree of four leaves: split on the first field at 0, and both sides on the second at 0. */
static const struct partition_tree *two_field_tree(struct arena *arena)
{
    static const char *const names[] = {"root", "low",      "low-low",  "low-high",
                                        "high", "high-low", "high-high"};
    static const uint32_t left[] = {1, 2, UINT32_MAX, UINT32_MAX, 5, UINT32_MAX, UINT32_MAX};
    static const uint32_t right[] = {4, 3, UINT32_MAX, UINT32_MAX, 6, UINT32_MAX, UINT32_MAX};
    static const uint32_t parent[] = {UINT32_MAX, 0, 1, 1, 0, 4, 4};
    static const uint32_t first_leaf[] = {0, 0, 0, 1, 2, 2, 3}, n_leaves[] = {4, 2, 1, 1, 2, 1, 1};
    struct partition_tree *tree = ARENA_NEW(arena, struct partition_tree);
    struct slice zero = long_field_key(arena, 0);
    *tree = (struct partition_tree){.n_fields = 2, .n_nodes = 7, .n_leaves = 4};
    tree->nodes = ARENA_ARRAY(arena, struct partition_node, 7);
    tree->leaves = ARENA_ARRAY(arena, uint32_t, 4);
    for (uint32_t i = 0; i < 7; i++) {
        struct key_range *region = ARENA_ARRAY(arena, struct key_range, 2);
        region[0] = region[1] = (struct key_range){.unbounded = true};
        if (i >= 1 && i <= 3) region[0] = (struct key_range){.max = zero};
        if (i >= 4) region[0].min = zero;
        if (i == 2 || i == 5) region[1] = (struct key_range){.max = zero};
        if (i == 3 || i == 6) region[1].min = zero;
        tree->nodes[i] = (struct partition_node){.id = slice_from_text(names[i]),
                                                 .left = left[i],
                                                 .right = right[i],
                                                 .parent = parent[i],
                                                 .dimension = i == 0 ? 0 : 1,
                                                 .split = zero,
                                                 .region = region,
                                                 .first_leaf = first_leaf[i],
                                                 .n_leaves = n_leaves[i]};
        if (n_leaves[i] == 1) tree->leaves[first_leaf[i]] = i;
    }
    return tree;
}

/* What the writer does with a memory and a disk that are both too small: sorted runs, and files
 * before the end; over a tree of one leaf, of many, and one that is split on two fields. */
static void rows_survive_small_memory_and_small_disk(void **state)
{
    (void)state;
    static const struct type keys[] = {{.kind = TYPE_INT64}, {.kind = TYPE_INT64}};
    for (int variant = 0; variant < 3; variant++) {
        struct lsm_world world;
        world_open(&world, 2, 1, 0, NULL, 0);
        struct schema *schema = sorting_schema(keys, 2, 0);
        struct sorting_rows rows =
            sorting_rows_make(schema, world.base.runtime.random, 60000, 500, 1000);
        const struct table_state *now;
        assert_ok(table_state_get(world.table, 0, &now));
        struct ingest_writer_settings settings = {
            .context = {.table = world.table,
                        .state = now,
                        .runtime = &world.base.runtime,
                        .store = world.memory,
                        .schema = schema,
                        .budget = &world.base.budget,
                        .arena = &world.arena},
            .sorter = {.memory_bytes = 4 << 20,
                       .spill_max_bytes = variant == 1 ? 1 << 20 : 0,
                       .merge_inputs_max = 2},
            .tree = variant == 2 ? two_field_tree(&world.arena) : NULL};
        struct ingest_writer *writer;
        const struct placed_file *placed;
        size_t n;
        assert_ok(ingest_writer_new(&writer, &settings));
        for (int64_t i = 0; i < rows.n_batches; i++)
            assert_ok(ingest_writer_add(writer, rows.batches[i]));
        assert_ok(ingest_writer_finish(writer, &placed, &n));
        assert_true(ingest_writer_figures(writer).spill_runs > 0);
        if (variant == 1)
            assert_true(n > 1);
        else
            assert_int_equal(n, 1);
        uint8_t *seen = calloc(60001, 1);
        uint64_t by_leaf[4] = {0}, total = 0;
        for (size_t i = 0; i < n; i++) {
            uint64_t in_leaf;
            uint64_t read =
                read_data_file(&world, schema, placed[i].file.name, seen, &rows, NULL, &in_leaf);
            assert_int_equal(read, placed[i].file.rows);
            total += read;
        }
        assert_int_equal(total, 60000);
        /* The exact number of rows for each leaf of the split tree, counted from the rows. */
        for (int64_t i = 0; variant == 2 && i < 60000; i++) {
            struct value a, b;
            column_value(&rows.batches[i / 500]->columns[0], i % 500, &a);
            column_value(&rows.batches[i / 500]->columns[1], i % 500, &b);
            by_leaf[2 * (a.integer >= 0) + (b.integer >= 0)]++;
        }
        static const char *const leaves[] = {"low-low", "low-high", "high-low", "high-high"};
        if (variant == 2) {
            assert_int_equal(placed[0].n_references, 4);
            for (int i = 0; i < 4; i++) {
                assert_true(slice_equal_text(placed[0].references[i].partition, leaves[i]));
                assert_int_equal(placed[0].references[i].rows, by_leaf[i]);
            }
        }
        free(seen);
        ingest_writer_remove_files(writer);
        ingest_writer_free(writer);
        assert_int_equal(count_data_files(&world), 0);
        table_state_release(now);
        sorting_rows_free(&rows);
        schema_release(schema);
        world_close(&world);
    }
}

/* ---- jobs ---- */

static int ingest_rows(struct lsm_world *world, const struct sorting_rows *rows, const char *job,
                       struct ingest_result *result)
{
    struct ingest_options options = {.job_id = slice_from_text(job)};
    return ingest_stream(world->table, &world->base.runtime, stream_of(world, rows), &options,
                         &world->arena, result);
}

static void a_job_counts_once(void **state)
{
    (void)state;
    struct lsm_world world;
    world_open(&world, 2, 4, 100, NULL, 0);
    struct random *random = world.base.runtime.random;
    struct sorting_rows rows = sorting_rows_make(world.schema, random, 1000, 100, 1000);
    struct sorting_rows others = sorting_rows_make(world.schema, random, 1000, 100, 1000);
    /* The same rows in one batch. */
    struct sorting_rows whole = {.n_batches = 1, .batch_rows = 1000};
    whole.batches = calloc(1, sizeof *whole.batches);
    assert_ok(batch_concat((const struct batch *const *)rows.batches, 10, NULL, &whole.batches[0]));
    struct ingest_result result;
    assert_ok(ingest_rows(&world, &rows, "job-1", &result));
    assert_false(result.already_done);
    uint64_t record = result.record;
    assert_ok(ingest_rows(&world, &rows, "job-1", &result));
    assert_true(result.already_done);
    assert_int_equal(result.record, record);
    assert_int_equal(result.rows, 0);
    assert_ok(ingest_rows(&world, &whole, "job-1", &result));
    assert_true(result.already_done);
    assert_fails(ingest_rows(&world, &others, "job-1", &result), GLIS_EEXISTS, "job-1");
    assert_int_equal(count_data_files(&world), 1);
    check_table(&world, &rows, 1000);
    /* Without an id the same rows are added again. */
    assert_ok(ingest_rows(&world, &rows, "", &result));
    assert_false(result.already_done);
    assert_int_equal(result.job_id.size, 26);
    const struct table_state *after;
    assert_ok(table_state_get(world.table, 0, &after));
    assert_int_equal(table_state_figures(after).rows, 2000);
    table_state_release(after);
    sorting_rows_free(&rows);
    sorting_rows_free(&others);
    sorting_rows_free(&whole);
    world_close(&world);
}

static void a_writers_sequence_counts_once_and_has_no_gap(void **state)
{
    (void)state;
    struct lsm_world world;
    world_open(&world, 0, 1, 0, NULL, 0);
    struct sorting_rows rows =
        sorting_rows_make(world.schema, world.base.runtime.random, 100, 100, 1000);
    static const struct {
        uint64_t sequence;
        int code;
        bool already_done;
    } steps[] = {{1, 0, false}, {1, 0, true}, {3, GLIS_ESEQUENCE, false},
                 {2, 0, false}, {1, 0, true}, {3, 0, false}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct ingest_options options = {.writer = SLICE("daily"), .sequence = steps[i].sequence};
        struct ingest_result result;
        uint64_t syncs = store_counters(world.store).syncs;
        int code = ingest_stream(world.table, &world.base.runtime, stream_of(&world, &rows),
                                 &options, &world.arena, &result);
        assert_int_equal(code, steps[i].code);
        if (code == 0) assert_int_equal(result.already_done, steps[i].already_done);
        /* What is said to be done outlasts a failure of power, whoever did it. */
        if (code == 0) assert_true(store_counters(world.store).syncs > syncs);
    }
    assert_int_equal(count_data_files(&world), 3);
    sorting_rows_free(&rows);
    world_close(&world);
}

static void a_job_without_rows_is_recorded_and_adds_no_file(void **state)
{
    (void)state;
    struct lsm_world world;
    world_open(&world, 2, 4, 100, NULL, 0);
    struct sorting_rows none = {.batches = calloc(1, sizeof(struct batch *)), .batch_rows = 1};
    struct ingest_result result;
    assert_ok(ingest_rows(&world, &none, "nothing", &result));
    assert_false(result.already_done);
    assert_int_equal(result.files, 0);
    assert_true(result.record > 0);
    assert_ok(ingest_rows(&world, &none, "nothing", &result));
    assert_true(result.already_done);
    check_table(&world, &none, 0);
    free(none.batches);
    world_close(&world);
}

static void a_dry_run_adds_nothing(void **state)
{
    (void)state;
    struct lsm_world world;
    world_open(&world, 2, 4, 100, NULL, 0);
    struct sorting_rows rows =
        sorting_rows_make(world.schema, world.base.runtime.random, 1000, 100, 1000);
    uint64_t before = count_objects(world.memory, SLICE_EMPTY);
    struct ingest_options options = {.dry_run = true};
    struct ingest_result result;
    assert_ok(ingest_stream(world.table, &world.base.runtime, stream_of(&world, &rows), &options,
                            &world.arena, &result));
    assert_int_equal(result.rows_read, 1000);
    assert_int_equal(result.rows, 0);
    assert_int_equal(count_objects(world.memory, SLICE_EMPTY), before);
    sorting_rows_free(&rows);
    world_close(&world);
}

/* ---- failures ---- */

/* The store goes away at its n-th request, for every n until the job gets through. Whatever it had
 * done, the state is whole, and the same job again brings all rows, once. */
static void a_store_that_dies_at_any_request_leaves_nothing_half(void **state)
{
    (void)state;
    uint64_t n_failed = 0;
    for (uint64_t n = 1;; n++) {
        struct lsm_world world;
        world_open(&world, 0, 3, 100, NULL, 0);
        struct sorting_rows rows =
            sorting_rows_make(world.schema, world.base.runtime.random, 400, 100, 1000);
        struct ingest_result result;
        struct store_faults faults = {.crash_at = n};
        int code = world_reopen(&world, &faults, 1);
        if (code == 0) code = ingest_rows(&world, &rows, "job", &result);
        assert_ok(world_reopen(&world, NULL, 0));
        const struct table_state *now;
        assert_ok(table_state_get(world.table, 0, &now));
        assert_ok(table_validate(now));
        uint64_t found = table_state_figures(now).rows;
        table_state_release(now);
        assert_true(found == 0 || found == 400);
        if (code == 0) assert_int_equal(found, 400);
        assert_ok(ingest_rows(&world, &rows, "job", &result));
        assert_int_equal(result.already_done, found == 400);
        check_table(&world, &rows, 400);
        sorting_rows_free(&rows);
        world_close(&world);
        if (code == 0) break;
        n_failed++;
        assert_true(n < 1000);
    }
    assert_true(n_failed > 5);
}

/* Lost, late and repeated requests, by seed: the job is tried until it says that it is done; then
 * its rows are there once. */
static void unknown_outcomes_neither_lose_nor_double_rows(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct lsm_world world;
        world_open(&world, 0, 3, 100, NULL, 0);
        struct sorting_rows rows =
            sorting_rows_make(world.schema, world.base.runtime.random, 300, 100, 1000);
        struct store_faults faults = {.lost_before = 1000,
                                      .lost_after = 1000,
                                      .late = 1000,
                                      .retry = 1000,
                                      .repeated = 1000,
                                      .short_read = 500};
        struct ingest_result result;
        int code = -1;
        for (int attempt = 0; code < 0 && attempt < 200; attempt++) {
            code = world_reopen(&world, &faults, seed * 1000 + (uint64_t)attempt);
            if (code == 0) code = ingest_rows(&world, &rows, "job", &result);
        }
        assert_ok(code);
        assert_ok(world_reopen(&world, NULL, 0));
        check_table(&world, &rows, 300);
        sorting_rows_free(&rows);
        world_close(&world);
    }
}

struct giving_up {
    int phase;      /* in which it ends, with all rows read */
    uint64_t rows;  /* all */
    uint64_t files; /* that there were by then */
};

static int give_up(void *state, const struct ingest_progress *progress)
{
    struct giving_up *giving_up = state;
    if ((int)progress->phase != giving_up->phase || progress->rows_read != giving_up->rows)
        return 0;
    giving_up->files = progress->files_written;
    return GLIS_ECANCELLED;
}

/* At the commit, and before writing begins; the latter also with files that a small disk made it
 * write while reading. */
static void a_job_given_up_removes_its_files(void **state)
{
    (void)state;
    static const struct {
        int phase;
        uint64_t memory, disk;
    } cases[] = {{INGEST_COMMITTING, 0, 0}, {INGEST_WRITING, 0, 0}, {INGEST_WRITING, 64 << 20, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lsm_world world;
        world_open(&world, 2, 3, 100, NULL, 0);
        int64_t n_rows = cases[i].disk ? 700000 : 2000;
        struct sorting_rows rows =
            sorting_rows_make(world.schema, world.base.runtime.random, n_rows, 1000, 1000);
        struct giving_up giving_up = {.phase = cases[i].phase, .rows = (uint64_t)n_rows};
        struct ingest_options options = {.progress = give_up,
                                         .progress_state = &giving_up,
                                         .memory_bytes = cases[i].memory,
                                         .spill_max_bytes = cases[i].disk};
        struct ingest_result result;
        error_clear();
        assert_int_equal(ingest_stream(world.table, &world.base.runtime, stream_of(&world, &rows),
                                       &options, &world.arena, &result),
                         GLIS_ECANCELLED);
        if (cases[i].disk) assert_true(giving_up.files > 0);
        assert_int_equal(count_data_files(&world), 0);
        sorting_rows_free(&rows);
        world_close(&world);
    }
}

static void a_reset_meanwhile_refuses_the_commit(void **state)
{
    (void)state;
    struct lsm_world world;
    world_open(&world, 0, 3, 100, NULL, 0);
    struct sorting_rows rows =
        sorting_rows_make(world.schema, world.base.runtime.random, 500, 100, 1000);
    const struct table_state *begun;
    assert_ok(table_state_get(world.table, 0, &begun));
    struct ingest_writer_settings settings = {.context = {.table = world.table,
                                                          .state = begun,
                                                          .runtime = &world.base.runtime,
                                                          .store = world.memory,
                                                          .schema = world.schema,
                                                          .budget = &world.base.budget,
                                                          .arena = &world.arena}};
    struct ingest_writer *writer;
    const struct placed_file *placed;
    size_t n;
    assert_ok(ingest_writer_new(&writer, &settings));
    for (int64_t i = 0; i < rows.n_batches; i++)
        assert_ok(ingest_writer_add(writer, rows.batches[i]));
    assert_ok(ingest_writer_finish(writer, &placed, &n));
    assert_int_equal(n, 1);
    struct commit_result reset;
    assert_ok(table_reset(world.table, NULL, 0, true, &reset));
    struct new_file file = {.name = placed[0].file.name,
                            .size = placed[0].file.size,
                            .rows = placed[0].file.rows,
                            .bounds = placed[0].file.bounds,
                            .references = placed[0].references,
                            .n_references = placed[0].n_references};
    struct ingest_commit commit = {.state = begun, .files = &file, .n_files = 1, .job = SLICE("j")};
    assert_fails(table_commit_ingest(world.table, &commit, &reset), GLIS_EREFUSED, NULL);
    ingest_writer_remove_files(writer);
    ingest_writer_free(writer);
    assert_int_equal(count_data_files(&world), 0);
    table_state_release(begun);
    sorting_rows_free(&rows);
    world_close(&world);
}

/* ---- text inputs and their errors ---- */

static void put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

struct input_case {
    const char *text;
    enum ingest_format format;
    bool ignore_extra, set_aside;
    int code;
    const char *error;
    uint64_t rows, bad_rows;
};

/* The schema: k0 long key; text nullable string; numbers list of long; id long. */
static const struct input_case input_cases[] = {
    {"k0,text,numbers,id\n1,a,[1],0\n2,,[],1\n", INGEST_CSV, false, false, 0, NULL, 2, 0},
    {"id,numbers,k0\n0,[],5\n", INGEST_CSV, false, false, 0, NULL, 1, 0},
    {"{\"k0\":1,\"numbers\":[],\"id\":0}\n", INGEST_JSONL, false, false, 0, NULL, 1, 0},
    {"k0,text,numbers,id\n", INGEST_CSV, false, false, 0, NULL, 0, 0},
    {"k0,text,numbers,id\nx,a,[1],0\n", INGEST_CSV, false, false, GLIS_EDATA, "line 2", 0, 0},
    {"k0,text,numbers,id\n1,a,[1],0\n,a,[1],0\n", INGEST_CSV, false, false, GLIS_EDATA, "line 3", 0,
     0},
    {"k0,text,numbers,id\n1,a,[1],0\n,a,[1],0\n2,b,[],1\n", INGEST_CSV, false, true, 0, NULL, 2, 1},
    {"text,numbers,id\na,[1],0\n", INGEST_CSV, false, false, GLIS_EDATA, "k0", 0, 0},
    {"k0,text,numbers,id,more\n1,a,[1],0,z\n", INGEST_CSV, false, false, GLIS_EDATA, "more", 0, 0},
    {"k0,text,numbers,id,more\n1,a,[1],0,z\n", INGEST_CSV, true, false, 0, NULL, 1, 0},
    {"{\"k0\":1,\"numbers\":[],\"id\":0}\n{\"k0\":null,\"numbers\":[],\"id\":0}\n", INGEST_JSONL,
     false, false, GLIS_EDATA, "line 2", 0, 0},
    {"{\"k0\":1,\"numbers\":[],\"id\":0}\n{\"k0\":null,\"numbers\":[],\"id\":0}\n", INGEST_JSONL,
     false, true, 0, NULL, 1, 1},
    {"{\"k0\":99999999999999999999,\"numbers\":[],\"id\":0}\n", INGEST_JSONL, false, false,
     GLIS_EDATA, "line 1", 0, 0},
    {"not parquet at all", INGEST_PARQUET, false, false, GLIS_ECORRUPT, NULL, 0, 0},
    {"", INGEST_PARQUET, false, false, GLIS_ECORRUPT, NULL, 0, 0},
};

static void inputs_are_taken_or_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof input_cases / sizeof *input_cases; i++) {
        const struct input_case *c = &input_cases[i];
        struct lsm_world world;
        world_open(&world, 2, 2, 0, NULL, 0);
        char path[] = "/tmp/glis-test-ingest-XXXXXX", bad_path[64];
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
        (void)snprintf(bad_path, sizeof bad_path, "%s.bad", path);
        put_file(path, c->text);
        struct slice name = slice_from_text(path);
        struct ingest_options options = {.format = c->format,
                                         .ignore_extra_columns = c->ignore_extra,
                                         .bad_rows_to = c->set_aside ? bad_path : NULL};
        struct ingest_result result;
        uint64_t before = count_objects(world.memory, SLICE_EMPTY);
        n_fsync = 0;
        int code = ingest_files(world.table, &world.base.runtime, &name, 1, &options, &world.arena,
                                &result);
        if (code != c->code)
            fail_msg("case %zu: %s (%s)", i, error_code_name(code), code ? error_message() : "");
        if (c->code < 0) {
            assert_non_null(strstr(error_message(), path));
            if (c->error && !strstr(error_message(), c->error))
                fail_msg("case %zu: '%s' is not in: %s", i, c->error, error_message());
            assert_int_equal(count_objects(world.memory, SLICE_EMPTY), before);
        } else {
            assert_int_equal(result.rows, c->rows);
            assert_int_equal(result.bad_rows, c->bad_rows);
            assert_int_equal(result.rows_read, c->rows + c->bad_rows);
            assert_int_equal(n_fsync, c->bad_rows > 0); /* bad rows are durable by now */
        }
        assert_int_equal(access(bad_path, F_OK) == 0, c->bad_rows > 0);
        (void)unlink(bad_path);
        assert_int_equal(unlink(path), 0);
        world_close(&world);
    }
}

static void options_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct ingest_options options;
        const char *error;
    } bad[] = {
        {{.job_id = SLICE("with blank")}, "position 5"},
        {{.writer = SLICE("w"), .job_id = SLICE("j"), .sequence = 1}, "not both"},
        {{.writer = SLICE("w")}, "begin with 1"},
        {{.sequence = 3}, "needs the name of a writer"},
        {{.csv_delimiter = '"'}, "delimiter"},
        {{.memory_bytes = 1000}, "glis.ingest.memory"},
    };
    struct lsm_world world;
    world_open(&world, 0, 1, 0, NULL, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sorting_rows none = {.batches = calloc(1, sizeof(struct batch *))};
        struct ingest_result result;
        assert_fails(ingest_stream(world.table, &world.base.runtime, stream_of(&world, &none),
                                   &bad[i].options, &world.arena, &result),
                     GLIS_EINVALID, bad[i].error);
        free(none.batches);
    }
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_into_own_and_shared_files),
        cmocka_unit_test(rows_survive_small_memory_and_small_disk),
        cmocka_unit_test(a_job_counts_once),
        cmocka_unit_test(a_writers_sequence_counts_once_and_has_no_gap),
        cmocka_unit_test(a_job_without_rows_is_recorded_and_adds_no_file),
        cmocka_unit_test(a_dry_run_adds_nothing),
        cmocka_unit_test(a_store_that_dies_at_any_request_leaves_nothing_half),
        cmocka_unit_test(unknown_outcomes_neither_lose_nor_double_rows),
        cmocka_unit_test(a_job_given_up_removes_its_files),
        cmocka_unit_test(a_reset_meanwhile_refuses_the_commit),
        cmocka_unit_test(inputs_are_taken_or_refused_by_name),
        cmocka_unit_test(options_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
