/*
 * test_table_transaction.c: each transaction of a table against each of its refusals; jobs, writers
 * and their memory; what readers are given; snapshots; and random walks against a model that keeps
 * plain lists.
 */
#include "table_world.h"

#define NAME(begun, n) "data/00000000000" begun "-01ARZ3NDEKTSV4RRFFQ69G5FA" n ".parquet"
/* Longs as base64 field keys. */
#define K0   "gAAAAAAAAAA="
#define K99  "gAAAAAAAAGM="
#define K100 "gAAAAAAAAGQ="
#define K150 "gAAAAAAAAJY="
#define K199 "gAAAAAAAAMc="

#define BOUNDS(min, max) "[{\"min\":\"" min "\",\"max\":\"" max "\"}]"
#define REF(id, rows)    "{\"partition\":\"" id "\",\"rows\":" #rows "}"
#define FILE_JSON(name, rows, bounds, references)                                    \
    "{\"name\":\"" name "\",\"size\":1000,\"rows\":" #rows                           \
    ",\"xxh3\":\"000102030405060708090a0b0c0d0e0f\",\"schema\":1,\"bounds\":" bounds \
    ",\"references\":[" references "]}"
#define JOB(id) "\"job\":\"" id "\",\"fingerprint\":\"00000000000000000000000000000001\""
#define INGEST(job, files)                               \
    "{\"type\":\"change_files\",\"for\":\"ingest\"," job \
    ",\"generation\":0,\"processing\":0,\"files\":[" files "]}"

/* Leaves 0.0 below 100, 0.1 up to 200, 0.2 from there; 0.3 is the parent of 0.0 and 0.1. */
static struct state *three_leaves(void)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice points[] = {long_key(&arena, 100), long_key(&arena, 200)};
    return world_new(LONG_SCHEMA, points, 2);
}

static const struct {
    const char *before[4];
    const char *transaction;
    int code;
    const char *reason;
} cases[] = {
    /* change_files for ingest: files and references */
    {{NULL},
     INGEST(JOB("j"),
            FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 4) "," REF("0.1", 6))),
     GLIS_EREFUSED,
     "partition '0.1' lies outside the bounds"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10))),
     0,
     NULL},
    {{NULL},
     INGEST(JOB("j"),
            FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199), REF("0.0", 4) "," REF("0.1", 6))),
     0,
     NULL},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199), REF("0.3", 10))),
     0,
     NULL},
    /* A file of somebody else's is named by its address, and was begun at no record. */
    {{NULL},
     INGEST(JOB("j"), FILE_JSON("file:///x/y%20z", 10, BOUNDS(K0, K99), REF("0.0", 10))),
     0,
     NULL},
    {{INGEST(JOB("i"), FILE_JSON("file:///x/y", 10, BOUNDS(K0, K99), REF("0.0", 10)))},
     INGEST(JOB("j"), FILE_JSON("file:///x/y", 10, BOUNDS(K0, K99), REF("0.0", 10))),
     GLIS_EREFUSED,
     "known already"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON("/x/y", 10, BOUNDS(K0, K99), REF("0.0", 10))),
     GLIS_EINVALID,
     "not the name of a data file: '/x/y'"},
    {{NULL}, INGEST(JOB("j"), ""), 0, NULL},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 9))),
     GLIS_EREFUSED,
     "references together 9"},
    {{NULL},
     INGEST(JOB("j"),
            FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199), REF("0.0", 4) "," REF("0.1", 7))),
     GLIS_EREFUSED,
     "references together 11"},
    {{NULL},
     INGEST(JOB("j"),
            FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199), REF("0.0", 4) "," REF("0.3", 6))),
     GLIS_EREFUSED,
     "overlap"},
    {{NULL},
     INGEST(JOB("j"),
            FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199), REF("0.0", 4) "," REF("root", 6))),
     GLIS_EREFUSED,
     "overlap"},
    {{NULL},
     INGEST(JOB("j"),
            FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 4) "," REF("0.0", 6))),
     GLIS_EREFUSED,
     "two references"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K100), REF("0.0", 10))),
     GLIS_EREFUSED,
     "outside"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K99, K150), REF("0.1", 10))),
     GLIS_EREFUSED,
     "outside"},
    {{NULL},
     INGEST(JOB("j"),
            FILE_JSON(NAME("1", "0"), 10, BOUNDS(K150, K199), REF("0.0", 4) "," REF("0.2", 6))),
     GLIS_EREFUSED,
     "outside"},
    {{NULL},
     INGEST(JOB("j"),
            FILE_JSON(NAME("1", "0"), 10,
                      "[{\"min\":\"" K0 "\",\"max\":\"" K100 "\",\"cut\":true}]", REF("0.0", 10))),
     0,
     NULL},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("nosuch", 10))),
     GLIS_EREFUSED,
     "no partition 'nosuch'"},
    {{INGEST(JOB("i"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10)))},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10))),
     GLIS_EREFUSED,
     "is known"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10)) "," FILE_JSON(
                          NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10))),
     GLIS_EREFUSED,
     "twice"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("9", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10))),
     GLIS_EREFUSED,
     "yet to come"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON("data/x.parquet", 10, BOUNDS(K0, K99), REF("0.0", 10))),
     GLIS_EINVALID,
     "not the name"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "U"), 10, BOUNDS(K0, K99), REF("0.0", 10))),
     GLIS_EINVALID,
     "not the name"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 0, BOUNDS(K0, K99), REF("0.0", 0))),
     GLIS_EINVALID,
     "empty"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), "")),
     GLIS_EINVALID,
     "no references"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K99, K0), REF("0.0", 10))),
     GLIS_EINVALID,
     "wrong way"},
    {{NULL},
     INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, "[]", REF("0.0", 10))),
     GLIS_EINVALID,
     "bounds"},
    {{NULL},
     "{\"type\":\"change_files\",\"for\":\"ingest\"," JOB(
         "j") ",\"generation\":1,\"processing\":0,\"files\":[]}",
     GLIS_EREFUSED,
     "reset or restored"},
    {{NULL},
     "{\"type\":\"change_files\",\"for\":\"ingest\"," JOB(
         "j") ",\"generation\":0,\"processing\":3,\"files\":[]}",
     GLIS_EREFUSED,
     "processing changed"},
    {{"{\"type\":\"reset\",\"generation\":0}"},
     INGEST(JOB("j"), ""),
     GLIS_EREFUSED,
     "generation 1"},
    {{NULL}, "{\"type\":\"change_files\",\"for\":\"tea\"}", GLIS_ENEWER, "change_files for 'tea'"},
    /* jobs and writers */
    {{INGEST(JOB("j"), "")}, INGEST(JOB("j"), ""), LOG_ALREADY_DONE, NULL},
    {{INGEST(JOB("j"), "")},
     INGEST("\"job\":\"j\",\"fingerprint\":\"00000000000000000000000000000002\"", ""),
     GLIS_EREFUSED,
     "other input (record 2)"},
    {{INGEST(JOB("j"), "")}, INGEST(JOB("k"), ""), 0, NULL},
    {{NULL}, INGEST(JOB("a/b"), ""), GLIS_EINVALID, "job id"},
    {{NULL}, INGEST(JOB(""), ""), GLIS_EINVALID, "job id"},
    {{NULL}, INGEST("\"job\":\"j\"", ""), GLIS_EINVALID, "fingerprint"},
    {{NULL}, INGEST("\"job\":\"j\",\"fingerprint\":\"0\"", ""), GLIS_EINVALID, "fingerprint"},
    {{NULL}, INGEST("\"x\":1", ""), GLIS_EINVALID, "either"},
    {{NULL}, INGEST(JOB("j") ",\"writer\":\"w\",\"sequence\":1", ""), GLIS_EINVALID, "either"},
    {{NULL}, INGEST("\"writer\":\"w\",\"sequence\":1", ""), 0, NULL},
    {{NULL}, INGEST("\"writer\":\"w\",\"sequence\":2", ""), GLIS_EREFUSED, "out of order"},
    {{NULL}, INGEST("\"writer\":\"w\",\"sequence\":0", ""), GLIS_EINVALID, "begin with 1"},
    {{INGEST("\"writer\":\"w\",\"sequence\":1", "")},
     INGEST("\"writer\":\"w\",\"sequence\":1", ""),
     LOG_ALREADY_DONE,
     NULL},
    {{INGEST("\"writer\":\"w\",\"sequence\":1", "")},
     INGEST("\"writer\":\"w\",\"sequence\":3", ""),
     GLIS_EREFUSED,
     "out of order"},
    {{INGEST("\"writer\":\"w\",\"sequence\":1", ""), INGEST("\"writer\":\"w\",\"sequence\":2", "")},
     INGEST("\"writer\":\"w\",\"sequence\":1", ""),
     LOG_ALREADY_DONE,
     NULL},
    {{"{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.writers.max\":\"1\"}}",
      INGEST("\"writer\":\"w\",\"sequence\":1", "")},
     INGEST("\"writer\":\"x\",\"sequence\":1", ""),
     GLIS_EREFUSED,
     "glis.table.writers.max"},
    {{"{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.job.memory.max\":\"1\"}}",
      INGEST(JOB("a") ",\"given\":true", "")},
     INGEST(JOB("b") ",\"given\":true", ""),
     GLIS_EREFUSED,
     "glis.table.job.memory.max"},
    {{"{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.job.memory.max\":\"1\"}}",
      INGEST(JOB("a") ",\"given\":true", "")},
     INGEST(JOB("b"), ""),
     0,
     NULL},
    {{INGEST("\"writer\":\"w\",\"sequence\":1", "")},
     "{\"type\":\"forget_writer\",\"writer\":\"w\",\"sequence\":1}",
     0,
     NULL},
    {{INGEST("\"writer\":\"w\",\"sequence\":1", "")},
     "{\"type\":\"forget_writer\",\"writer\":\"w\",\"sequence\":2}",
     GLIS_EREFUSED,
     "is at 1"},
    {{NULL},
     "{\"type\":\"forget_writer\",\"writer\":\"w\",\"sequence\":1}",
     GLIS_EREFUSED,
     "no writer"},
    /* alter */
    {{NULL}, "{\"type\":\"alter\",\"version\":2}", GLIS_EREFUSED, "version 1, not 2"},
    {{"{\"type\":\"alter\",\"version\":1}"},
     "{\"type\":\"alter\",\"version\":1}",
     GLIS_EREFUSED,
     "version 2, not 1"},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.gc.delay\":\"1h\"}}",
     0,
     NULL},
    {{"{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.gc.delay\":\"1h\"}}"},
     "{\"type\":\"alter\",\"version\":2,\"properties\":{\"glis.table.gc.delay\":null}}",
     0,
     NULL},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.gc.delay\":\"soon\"}}",
     GLIS_EINVALID,
     "glis.table.gc.delay"},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.name\":\"x\"}}",
     GLIS_EREFUSED,
     "cannot be changed"},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.name\":null}}",
     GLIS_EREFUSED,
     "cannot be changed"},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.ingest.memory\":\"1G\"}}",
     GLIS_EINVALID,
     "no property of a table"},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.of.tomorrow\":\"1\"}}",
     GLIS_ENEWER,
     "does not know"},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"schema\":{\"rowKeyFields\":[{\"name\":\"k\",\"type\":"
     "\"LongType\"}],\"valueFields\":[{\"name\":\"v\",\"type\":\"LongType\"},{\"name\":\"w\","
     "\"type\":\"StringType\",\"nullable\":true}]}}",
     0,
     NULL},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"schema\":{\"rowKeyFields\":[{\"name\":\"k\",\"type\":"
     "\"LongType\"}],\"valueFields\":[{\"name\":\"v\",\"type\":\"IntType\"},{\"name\":\"w\","
     "\"type\":\"StringType\"}]}}",
     GLIS_EREFUSED,
     "w"},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"schema\":{\"rowKeyFields\":[{\"name\":\"k\",\"type\":"
     "\"LongType\"}]}}",
     GLIS_EREFUSED,
     "v"},
    {{NULL},
     "{\"type\":\"alter\",\"version\":1,\"schema\":{\"rowKeyFields\":[]}}",
     GLIS_EINVALID,
     NULL},
    /* reset */
    {{NULL}, "{\"type\":\"reset\",\"generation\":0}", 0, NULL},
    {{NULL}, "{\"type\":\"reset\",\"generation\":1}", GLIS_EREFUSED, "generation 0, not 1"},
    {{"{\"type\":\"reset\",\"generation\":0}"},
     "{\"type\":\"reset\",\"generation\":0}",
     GLIS_EREFUSED,
     "generation 1, not 0"},
    {{INGEST(JOB("j"),
             FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199), REF("0.0", 4) "," REF("0.1", 6)))},
     "{\"type\":\"reset\",\"generation\":0,\"partitions\":[{\"id\":\"root\"}]}",
     0,
     NULL},
    {{NULL}, "{\"type\":\"reset\",\"generation\":0,\"partitions\":[]}", GLIS_EINVALID, "without"},
    /* the rest */
    {{NULL},
     "{\"type\":\"create_table\",\"schema\":" LONG_SCHEMA
     ",\"definition\":\"0123456789abcdef\",\"partitions\":[{\"id\":\"root\"}]}",
     GLIS_EREFUSED,
     "not empty"},
    {{NULL}, "{\"type\":\"compost\"}", GLIS_ENEWER, "compost"},
    {{NULL}, "{}", GLIS_EINVALID, "type"},
    {{NULL}, "{\"type\":\"reset\",\"generation\":\"0\"}", GLIS_EINVALID, "generation"},
};

static void each_transaction_meets_its_conditions(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct state *state = three_leaves();
        uint64_t record = 2;
        for (int b = 0; b < 4 && cases[i].before[b]; b++)
            assert_ok(world_apply_text(state, record++, cases[i].before[b]));
        struct state *before = state_clone(state);
        int code = world_apply_text(state, record, cases[i].transaction);
        if (code != cases[i].code)
            fail_msg("case %zu: %s: %s", i, error_code_name(code), code < 0 ? error_message() : "");
        if (cases[i].reason && !strstr(error_message(), cases[i].reason))
            fail_msg("case %zu: '%s' is not in: %s", i, cases[i].reason, error_message());
        if (code != 0) {
            /* Nothing was changed: the very same numbers and trees of chunks. */
            assert_memory_equal(before->numbers, state->numbers, sizeof(before->numbers));
            for (int s = 0; s < SECTION_COUNT; s++)
                if (before->maps[s].root != state->maps[s].root)
                    fail_msg("case %zu: section %d was changed", i, s);
        } else {
            /* Once applied, never again. */
            int again = world_apply_text(state, record + 1, cases[i].transaction);
            assert_true(again == GLIS_EREFUSED || again == LOG_ALREADY_DONE);
        }
        state_free(before);
        state_free(state);
    }
}

static void nothing_is_done_before_the_table_is_created(void **unused)
{
    (void)unused;
    static const char *const texts[] = {INGEST(JOB("j"), ""), "{\"type\":\"alter\",\"version\":0}",
                                        "{\"type\":\"reset\",\"generation\":0}"};
    for (size_t i = 0; i < 3; i++) {
        struct state *state = state_new();
        assert_fails(world_apply_text(state, 1, texts[i]), GLIS_EREFUSED, "no table here");
        state_free(state);
    }
    struct state *state = state_new();
    assert_fails(world_apply_text(state, 2,
                                  "{\"type\":\"create_table\",\"schema\":" LONG_SCHEMA
                                  ",\"definition\":\"0123456789abcdef\",\"partitions\":[{\"id\":"
                                  "\"root\"}]}"),
                 GLIS_EREFUSED, "not empty");
    state_free(state);
    state = state_new();
    assert_fails(world_apply_text(state, 1,
                                  "{\"type\":\"create_table\",\"schema\":" LONG_SCHEMA
                                  ",\"definition\":\"x\",\"partitions\":[{\"id\":\"root\"}]}"),
                 GLIS_EINVALID, "definition");
    state_free(state);
}

/* Breaks one thing in a good state; validate must say so. */
static void break_number(struct state *state, int which)
{
    static const enum state_number numbers[] = {
        NUMBER_LEAVES, NUMBER_UNREFERENCED, NUMBER_ROWS,          NUMBER_ESTIMATED,
        NUMBER_BYTES,  NUMBER_GIVEN_JOBS,   NUMBER_SCHEMA_VERSION};
    state->numbers[numbers[which]]++;
}

static void break_partition(struct state *state, const char *id, int which)
{
    struct partition_record partition;
    assert_true(partition_get(state, slice_from_text(id), &partition));
    struct packer copy = {0}; /* the record's slices lie in what is about to change */
    pack_bytes(&copy, partition.region);
    partition.region = packed(&copy);
    char parent[32] = "", split[32] = "", left[32] = "", right[32] = "";
    memcpy(parent, partition.parent.data, partition.parent.size);
    partition.parent.data = parent;
    if (!partition.is_leaf) {
        memcpy(split, partition.split.data, partition.split.size);
        memcpy(left, partition.left.data, partition.left.size);
        memcpy(right, partition.right.data, partition.right.size);
        partition.split.data = split;
        partition.left.data = left;
        partition.right.data = right;
    }
    if (which == 0) partition.n_references++;
    if (which == 1) partition.depth++;
    if (which == 2) partition.parent = SLICE("0.2");
    if (which == 3) split[7] ^= 1;
    if (which == 4) partition.left = partition.right;
    if (which == 5) partition.region = slice_part(partition.region, 0, partition.region.size - 1);
    partition_set(state, slice_from_text(id), &partition);
    packer_free(&copy);
}

static void validate_finds_what_is_broken(void **unused)
{
    (void)unused;
    struct state *good = three_leaves();
    assert_ok(world_apply_text(
        good, 2,
        INGEST(JOB("j") ",\"given\":true",
               FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199), REF("0.0", 4) "," REF("0.1", 6)))));
    for (int i = 0; i < 30; i++) {
        struct state *state = state_clone(good);
        struct map_cursor c;
        if (i < 7) {
            break_number(state, i);
        } else if (i < 13) {
            break_partition(state, i - 7 == 0 || i - 7 == 2 || i - 7 == 5 ? "0.0" : "0.3", i - 7);
        } else if (i < 13 + SECTION_COUNT - 2) {
            /* One record less: files, references, jobs and so on. */
            enum section section = (enum section)(i - 13 + SECTION_SCHEMAS);
            map_cursor_first(&state->maps[section], &c);
            if (c.valid) {
                struct packer key = {0};
                pack_bytes(&key, c.key);
                assert_true(map_remove(&state->maps[section], packed(&key)));
                packer_free(&key);
            } else {
                map_put(&state->maps[section], SLICE("x"), SLICE("x"));
            }
        } else {
            state_free(state);
            break;
        }
        if (state_validate(state) != GLIS_ECORRUPT) fail_msg("breach %d is not found", i);
        state_free(state);
    }
    assert_ok(state_validate(good));
    state_free(good);
}

static void given_jobs_are_remembered_for_their_time(void **unused)
{
    (void)unused;
    struct state *state = three_leaves();
    assert_ok(world_apply_text(
        state, 2,
        "{\"type\":\"alter\",\"version\":1,\"properties\":{\"glis.table.job.memory\":"
        "\"1h\",\"glis.table.job.memory.max\":\"2\"}}"));
    const char *a = INGEST(JOB("a") ",\"given\":true", "");
    const char *b = INGEST(JOB("b") ",\"given\":true", "");
    const char *c = INGEST(JOB("c") ",\"given\":true", "");
    const int64_t hour = 3600000;
    assert_ok(world_apply(state, 3, 10000, slice_from_text(a)));
    assert_ok(world_apply(state, 4, 20000, slice_from_text(b)));
    assert_fails(world_apply(state, 5, 10000 + hour - 1, slice_from_text(c)), GLIS_EREFUSED,
                 "2 job");
    assert_int_equal(world_apply(state, 5, 10000 + hour - 1, slice_from_text(a)), LOG_ALREADY_DONE);
    assert_ok(world_apply(state, 5, 10000 + hour, slice_from_text(c)));
    assert_int_equal(map_count(&state->maps[SECTION_JOBS]), 2);
    /* "a" has run out and may be used again once there is room. */
    assert_fails(world_apply(state, 6, 11000 + hour, slice_from_text(a)), GLIS_EREFUSED, "2 job");
    assert_ok(world_apply(state, 6, 20000 + hour, slice_from_text(a)));
    state_free(state);
}

#define AGED(job, now, cutoff)                                              \
    "{\"type\":\"change_files\",\"for\":\"ingest\"," JOB(                   \
        job) ",\"generation\":0,\"processing\":1,\"files\":[],\"now\":" now \
             ",\"cutoffs\":{\"k\":" cutoff "}}"

static void cut_offs_are_no_later_than_age_and_time_allow(void **unused)
{
    (void)unused;
    struct state *state = three_leaves();
    assert_ok(world_apply_text(state, 2,
                               "{\"type\":\"alter\",\"version\":1,\"properties\":{"
                               "\"glis.table.filters\":\"ageOff(k,5000)\"}}"));
    assert_int_equal(state->numbers[NUMBER_PROCESSING], 1);
    assert_fails(world_apply_text(state, 3, AGED("a", "3001", "-1999")), GLIS_EREFUSED,
                 "yet to come");
    assert_fails(world_apply_text(state, 3, AGED("a", "3000", "-1999")), GLIS_EREFUSED,
                 "changed meanwhile");
    assert_ok(world_apply_text(state, 3, AGED("a", "3000", "-2000")));
    /* Loosened while a job was under way: it would take rows that are kept now. */
    assert_ok(world_apply_text(state, 4,
                               "{\"type\":\"alter\",\"version\":2,\"properties\":{"
                               "\"glis.table.filters\":\"ageOff(k,10000)\"}}"));
    assert_int_equal(state->numbers[NUMBER_PROCESSING], 1);
    assert_fails(world_apply_text(state, 5, AGED("b", "4000", "-1000")), GLIS_EREFUSED,
                 "changed meanwhile");
    assert_ok(world_apply_text(state, 5, AGED("b", "4000", "-6000")));
    state_free(state);
}

static void what_was_begun_below_the_horizon_is_refused(void **unused)
{
    (void)unused;
    struct state *state = three_leaves();
    state->numbers[NUMBER_HORIZON] = 3;
    const char *begun_2 =
        INGEST(JOB("j"), FILE_JSON(NAME("2", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10)));
    const char *begun_3 =
        INGEST(JOB("j"), FILE_JSON(NAME("3", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10)));
    assert_fails(world_apply_text(state, 9, begun_2), GLIS_EREFUSED, "below the horizon");

    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json;
    assert_ok(json_parse(&arena, slice_from_text(begun_3), JSON_RULES_INTERNAL, &json));
    struct log_record_info info = {.record = 9, .time_ms = 9, .has_body = true, .body_begun = 2};
    assert_fails(table_apply(state, &info, json), GLIS_EREFUSED, "body was begun");
    info.body_begun = 3;
    assert_ok(table_apply(state, &info, json));
    assert_ok(state_validate(state));
    state_free(state);
}

static void after_time_was_set_all_delays_begin_again(void **unused)
{
    (void)unused;
    struct state *state = three_leaves();
    assert_ok(world_apply_text(
        state, 2,
        INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10)))));
    assert_ok(world_apply(state, 3, 5000000, SLICE("{\"type\":\"reset\",\"generation\":0}")));
    const char *given = "{\"type\":\"change_files\",\"for\":\"ingest\"," JOB(
        "g") ",\"given\":true,"
             "\"generation\":1,\"processing\":0,\"files\":[]}";
    assert_ok(world_apply(state, 4, 5000000, slice_from_text(given)));
    struct log_record_info info = {.record = 5, .time_ms = 4000};
    table_machine.time_set(NULL, state, &info);
    assert_ok(state_validate(state));
    const int64_t month = INT64_C(2592000000);
    assert_int_equal(world_apply(state, 6, 4000 + month - 1, slice_from_text(given)),
                     LOG_ALREADY_DONE);
    assert_ok(world_apply(state, 6, 4000 + month, slice_from_text(given)));
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = table_state_own(state, 6, 4000);
    struct table_file file;
    assert_ok(table_file(hold, SLICE(NAME("1", "0")), &arena, &file));
    assert_int_equal(file.gone_record, 3);
    assert_int_equal(file.gone_ms, 4000);
    table_state_release(hold);
}

static size_t count_pins(const struct state *state, int64_t time_ms)
{
    const struct map *pins = &state->maps[SECTION_PINS];
    struct map_cursor cursor;
    size_t n = 0;
    for (map_cursor_first(pins, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        struct pin_record pin;
        assert_true(pin_unpack(cursor.value, &pin));
        n += pin_lives(&pin, time_ms);
    }
    return n;
}

/* "past" is of a record whose file was collected after the pin had run out, "late" of one after
 * that, and "ever" was alive all along. */
static void a_pin_that_ran_out_lives_again_only_where_all_is_there(void **unused)
{
    (void)unused;
#define PIN(id, record, until)                                                   \
    "{\"type\":\"pin\",\"id\":\"" id "\",\"record\":" record ",\"until\":" until \
    ",\"keeps\":\"files\"}"
#define MARK "{\"type\":\"mark_files\",\"files\":[{\"name\":\"" NAME("1", "0") "\",\"gone\":4}]}"
    const int64_t ahead = INT64_C(31536000000);
    struct state *state = three_leaves();
    assert_ok(world_apply_text(
        state, 2,
        INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10)))));
    assert_ok(world_apply(state, 3, 4000, SLICE(PIN("past", "2", "9000"))));
    assert_ok(world_apply(state, 4, 4000, SLICE("{\"type\":\"reset\",\"generation\":0}")));
    assert_ok(world_apply(state, 5, 4000, SLICE(PIN("late", "4", "9000"))));
    assert_ok(world_apply(state, 6, 4000, SLICE(PIN("ever", "4", "0"))));
    assert_int_equal(count_pins(state, 4000), 3);
    assert_fails(world_apply(state, 7, 4000, SLICE(MARK)), GLIS_EREFUSED, "pin 'past' keeps");
    assert_ok(world_apply(state, 7, ahead, SLICE(MARK)));
    assert_int_equal(count_pins(state, ahead), 1);
    struct log_record_info info = {.record = 8, .time_ms = 5000, .before_ms = ahead};
    table_machine.time_set(NULL, state, &info);
    assert_ok(state_validate(state));
    assert_int_equal(count_pins(state, 5000), 2);
    assert_false(map_get(&state->maps[SECTION_PINS], SLICE("past"), NULL));
    assert_fails(world_apply(state, 9, 5000, SLICE(PIN("past", "2", "9000"))), GLIS_EREFUSED,
                 "have been collected");
    state_free(state);
}

static void an_assignment_of_a_time_to_come_ends_when_time_is_set(void **unused)
{
    (void)unused;
    struct state *state = three_leaves();
    assert_ok(world_apply_text(
        state, 2,
        INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10)))));
#define ASSIGN(job, until)                                                                \
    "{\"type\":\"assign_job\",\"job\":\"" job "\",\"partition\":\"0.0\",\"until\":" until \
    ",\"files\":[\"" NAME("1", "0") "\"]}"
    /* The clock is a year ahead, then set right: the file is anybody's. */
    const int64_t ahead = INT64_C(31536000000);
    assert_ok(world_apply(state, 3, ahead, SLICE(ASSIGN("a", "31536600000"))));
    assert_fails(world_apply(state, 4, ahead, SLICE(ASSIGN("b", "31536600000"))), GLIS_EREFUSED,
                 "assigned to job 'a'");
    struct log_record_info info = {.record = 4, .time_ms = 4000};
    table_machine.time_set(NULL, state, &info);
    assert_ok(state_validate(state));
    assert_ok(world_apply(state, 5, 4000, SLICE(ASSIGN("b", "604000"))));
    state_free(state);
}

static void readers_are_told_what_is_there(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct state *state = three_leaves();
    assert_ok(world_apply_text(
        state, 2,
        INGEST(JOB("j"),
               FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99), REF("0.0", 10)) "," FILE_JSON(
                   NAME("1", "1"), 7, BOUNDS(K99, K150),
                   REF("0.3", 7)) "," FILE_JSON(NAME("1", "2"), 8, BOUNDS(K0, K199),
                                                REF("0.0", 3) "," REF("0.1", 5)))));
    const struct table_state *hold = table_state_own(state, 2, 2000);
    struct table_figures figures = table_state_figures(hold);
    assert_int_equal(figures.files, 3);
    assert_int_equal(figures.references, 4);
    assert_int_equal(figures.rows, 25);
    assert_int_equal(figures.bytes, 3000);
    assert_int_equal(figures.leaves, 3);
    assert_int_equal(figures.partitions, 5);
    assert_true(figures.rows_are_exact);

    struct table_leaf *leaves;
    size_t n;
    assert_ok(table_leaves(hold, NULL, &arena, &leaves, &n));
    assert_int_equal(n, 3);
    assert_true(slice_equal_text(leaves[0].partition.id, "0.0"));
    assert_int_equal(leaves[0].n_references, 3); /* own two, and the parent's */
    assert_true(slice_equal_text(leaves[0].references[0].file->name, NAME("1", "0")));
    assert_false(leaves[0].references[0].is_shared);
    assert_true(leaves[0].references[1].is_shared);
    assert_true(slice_equal_text(leaves[0].references[2].partition, "0.3"));
    assert_int_equal(leaves[1].n_references, 2);
    assert_int_equal(leaves[2].n_references, 0);

    /* Keys 0 to 98: one leaf, and not the parent's file, which begins at 99. */
    struct key_range region = {.min = long_key(&arena, 0), .max = long_key(&arena, 99)};
    assert_ok(table_leaves(hold, &region, &arena, &leaves, &n));
    assert_int_equal(n, 1);
    assert_int_equal(leaves[0].n_references, 2);
    region.min = long_key(&arena, 200);
    region.unbounded = true;
    assert_ok(table_leaves(hold, &region, &arena, &leaves, &n));
    assert_int_equal(n, 1);
    assert_true(slice_equal_text(leaves[0].partition.id, "0.2"));

    struct table_file file;
    assert_ok(table_file(hold, SLICE(NAME("1", "2")), &arena, &file));
    assert_int_equal(file.rows, 8);
    assert_int_equal(file.n_references, 2);
    assert_int_equal(file.added_record, 2);
    assert_int_equal(file.checksum[15], 15);
    assert_true(slice_equal(file.bounds[0].min, long_key(&arena, 0)));
    assert_fails(table_file(hold, SLICE(NAME("1", "9")), &arena, &file), GLIS_ENOTFOUND, "no file");
    struct table_reference *references;
    assert_ok(table_references(hold, SLICE("0.1"), &arena, &references, &n));
    assert_int_equal(n, 1);
    assert_int_equal(references[0].rows, 5);

    uint64_t fingerprint[2] = {0, 1};
    struct commit_result result;
    assert_ok(table_check_job(hold, SLICE("j"), fingerprint, &result));
    assert_true(result.already_done);
    assert_int_equal(result.record, 2);
    fingerprint[1] = 2;
    assert_fails(table_check_job(hold, SLICE("j"), fingerprint, &result), GLIS_EEXISTS, "record 2");
    assert_ok(table_check_job(hold, SLICE("k"), fingerprint, &result));
    assert_false(result.already_done);
    assert_ok(table_check_sequence(hold, SLICE("w"), 1, &result));
    assert_false(result.already_done);
    assert_fails(table_check_sequence(hold, SLICE("w"), 2, &result), GLIS_ESEQUENCE, "'w' is at 0");
    assert_ok(table_validate(hold));
    table_state_release(hold);
}

static void a_reset_lets_all_files_go(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct state *state = three_leaves();
    assert_ok(world_apply_text(state, 2,
                               INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199),
                                                          REF("0.0", 4) "," REF("0.1", 6)))));
    struct slice point = long_key(&arena, 5);
    struct buffer text = BUFFER_INIT(10000);
    assert_ok(write_reset(&text, 0, &point, 1, false));
    assert_ok(world_apply_buffer(state, 3, 3333, &text));
    const struct table_state *hold = table_state_own(state_clone(state), 3, 3333);
    struct table_file file;
    assert_ok(table_file(hold, SLICE(NAME("1", "0")), &arena, &file));
    assert_int_equal(file.n_references, 0);
    assert_int_equal(file.gone_record, 3);
    assert_int_equal(file.gone_ms, 3333);
    assert_int_equal(table_state_generation(hold), 1);
    struct table_figures figures = table_state_figures(hold);
    assert_int_equal(figures.leaves, 2);
    assert_int_equal(figures.rows, 0);
    assert_int_equal(figures.unreferenced_files, 1);
    assert_int_equal(figures.jobs, 0);
    struct partition partition;
    assert_ok(table_partition(hold, SLICE("1.0"), &arena, &partition)); /* ids of the generation */
    table_state_release(hold);
    /* Once more, with the tree kept: what had gone keeps its record. */
    assert_ok(write_reset(&text, 1, NULL, 0, true));
    assert_ok(world_apply_buffer(state, 4, 4444, &text));
    hold = table_state_own(state, 4, 4444);
    assert_ok(table_file(hold, SLICE(NAME("1", "0")), &arena, &file));
    assert_int_equal(file.gone_record, 3);
    assert_int_equal(table_state_figures(hold).leaves, 2);
    table_state_release(hold);
    buffer_free(&text);
}

/* root is split into L and R, R into RL and RR. */
#define SPLIT(id, at, left, right, begun)                                                    \
    "{\"type\":\"split_partition\",\"partition\":\"" id "\",\"dimension\":0,\"split\":\"" at \
    "\",\"left\":\"" left "\",\"right\":\"" right "\",\"begun\":" #begun "}"
#define MERGE(id) "{\"type\":\"merge_partitions\",\"parent\":\"" id "\"}"

/* Rows lay within a day where the leaves of the tree that comes back are: they wait for a day. */
static void leaves_of_a_restored_tree_are_empty_since_then(void **unused)
{
    (void)unused;
    enum { HOUR = 3600 * 1000 };
    defer_arena struct arena arena = ARENA_EMPTY;
    struct buffer text = BUFFER_INIT(1 << 20);
    struct state *state = world_new(LONG_SCHEMA, NULL, 0);
    assert_ok(
        world_apply(state, 2, 2000, SLICE(SPLIT("root", K100, "1-000000.0", "1-000000.1", 1))));
    assert_ok(world_apply(state, 3, 3000,
                          SLICE(SPLIT("1-000000.1", K150, "2-000000.0", "2-000000.1", 2))));
    assert_ok(world_apply(state, 4, 4000,
                          SLICE(INGEST(JOB("i"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K99),
                                                           REF("1-000000.0", 10))))));
    const struct table_state *then = table_state_own(state_clone(state), 4, 4000);
    assert_ok(world_apply(state, 5, 5000, SLICE("{\"type\":\"reset\",\"generation\":0}")));
    int64_t late = 5000 + 25 * HOUR;
    assert_ok(world_apply(state, 6, late, SLICE(MERGE("1-000000.1"))));
    late += 25 * HOUR;
    assert_ok(world_apply(state, 7, late, SLICE(MERGE("root"))));
    assert_ok(world_apply(
        state, 8, late,
        SLICE("{\"type\":\"change_files\",\"for\":\"ingest\"," JOB(
            "j") ",\"generation\":1,\"processing\":0,\"files\":[" FILE_JSON(NAME("1", "1"), 10,
                                                                            BOUNDS(K150, K199),
                                                                            REF("root",
                                                                                10)) "]}")));
    const struct table_state *now = table_state_own(state_clone(state), 8, late);
    assert_ok(write_restore(&text, then, now));
    assert_ok(world_apply_buffer(state, 9, late + HOUR, &text));
    struct slice *parents;
    size_t n;
    const struct table_state *restored = table_state_own(state_clone(state), 9, late + HOUR);
    assert_ok(table_mergeable(restored, &arena, &parents, &n));
    assert_int_equal(n, 0);
    assert_int_equal(world_apply(state, 10, late + 24 * HOUR, SLICE(MERGE("1-000000.1"))),
                     GLIS_EREFUSED);
    assert_non_null(strstr(error_message(), "within a day"));
    assert_ok(world_apply(state, 10, late + 25 * HOUR, SLICE(MERGE("1-000000.1"))));
    table_state_release(restored);
    table_state_release(now);
    table_state_release(then);
    state_free(state);
    buffer_free(&text);
}

static void a_changed_schema_keeps_its_history(void **unused)
{
    (void)unused;
    struct state *state = three_leaves();
    struct schema *wider;
    assert_ok(schema_from_json(SLICE("{\"rowKeyFields\":[{\"name\":\"k\",\"type\":\"LongType\"}],"
                                     "\"valueFields\":[{\"name\":\"v\",\"type\":\"LongType\"}]}"),
                               &wider));
    struct buffer text = BUFFER_INIT(10000);
    assert_ok(write_alter(&text, 1, NULL, 0, wider));
    assert_ok(world_apply_buffer(state, 2, 2000, &text));
    /* The same schema again is no new version. */
    assert_ok(write_alter(&text, 2, NULL, 0, wider));
    assert_ok(world_apply_buffer(state, 3, 3000, &text));
    const struct table_state *hold = table_state_own(state, 3, 3000);
    assert_int_equal(table_state_schema_version(hold), 2);
    assert_int_equal(table_state_version(hold), 3);
    assert_int_equal(table_state_schema_at(hold, 1)->fields[1].type.kind, TYPE_INT32);
    assert_true(schema_equal(table_state_schema_at(hold, 2), wider));
    assert_true(schema_equal(table_state_schema(hold), wider));
    assert_null(table_state_schema_at(hold, 3));
    assert_null(table_state_schema_at(hold, 0));
    table_state_release(hold);
    schema_release(wider);
    buffer_free(&text);
}

/* ---- snapshots ---- */

static struct state *through_a_snapshot(const struct state *state)
{
    struct buffer bytes = BUFFER_INIT(64 << 20);
    assert_ok(table_machine.snapshot_write(NULL, state, SLICE("{\"log\":1}"), &bytes));
    struct block *block;
    assert_ok(block_new(&block, NULL, bytes.size));
    memcpy(block->data, bytes.data, bytes.size);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice part;
    void *loaded;
    assert_ok(table_machine.snapshot_read(NULL, block, slice_make(block->data, bytes.size), &arena,
                                          &part, &loaded));
    assert_true(slice_equal_text(part, "{\"log\":1}"));
    block_release(block);
    buffer_free(&bytes);
    return loaded;
}

static void assert_same_state(const struct state *a, const struct state *b)
{
    assert_memory_equal(a->numbers, b->numbers, sizeof(a->numbers));
    for (int s = 0; s < SECTION_COUNT; s++) {
        struct map_cursor x, y;
        map_cursor_first(&a->maps[s], &x);
        map_cursor_first(&b->maps[s], &y);
        for (; x.valid && y.valid; map_cursor_next(&x), map_cursor_next(&y)) {
            assert_true(slice_equal(x.key, y.key));
            assert_true(slice_equal(x.value, y.value));
        }
        assert_false(x.valid || y.valid);
    }
    assert_int_equal(!a->schemas, !b->schemas);
}

static void damaged_snapshots_never_load_as_something_else(void **unused)
{
    (void)unused;
    struct state *state = three_leaves();
    assert_ok(world_apply_text(state, 2,
                               INGEST(JOB("j"), FILE_JSON(NAME("1", "0"), 10, BOUNDS(K0, K199),
                                                          REF("0.0", 4) "," REF("0.1", 6)))));
    struct buffer bytes = BUFFER_INIT(64 << 20);
    assert_ok(table_machine.snapshot_write(NULL, state, SLICE("{}"), &bytes));
    struct block *block;
    assert_ok(block_new(&block, NULL, bytes.size));
    for (size_t cut = 0; cut < bytes.size; cut++) {
        memcpy(block->data, bytes.data, bytes.size);
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice part;
        void *loaded;
        /* The footer is the end of the file, so no part of one is a snapshot. */
        int code = table_machine.snapshot_read(NULL, block, slice_make(block->data, cut), &arena,
                                               &part, &loaded);
        assert_true(code < 0);
        /* Flips: an error or a state that can be walked; the log's hash is what finds them. */
        block->data[cut] ^= 0x10;
        code = table_machine.snapshot_read(NULL, block, slice_make(block->data, bytes.size), &arena,
                                           &part, &loaded);
        if (code < 0) continue;
        const struct table_state *hold = table_state_own(loaded, 2, 2000);
        struct table_leaf *leaves;
        size_t n;
        if (table_leaves(hold, NULL, &arena, &leaves, &n) == 0) assert_int_equal(n, 3);
        table_state_release(hold);
    }
    block_release(block);
    buffer_free(&bytes);
    state_free(state);
}

/* ---- random walks ---- */

enum { MODEL_FILES = 400, MODEL_LEAVES = 9 };

/* What a table holds, kept the simple way: rows by (file, leaf of the first generation's tree). */
struct model_file {
    char name[64];
    uint64_t rows[MODEL_LEAVES];
    int alive;
    int64_t low, high;
};
struct model {
    struct model_file files[MODEL_FILES];
    int n_files;
    int generation;
};

static struct slice model_name(struct model_file *file, uint64_t record, int n)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    snprintf(file->name, sizeof(file->name), "data/%012llx-01ARZ3NDEKTSV4RRFFQ69G5%c%c%c.parquet",
             (unsigned long long)record, digits[n / 1024 % 32], digits[n / 32 % 32],
             digits[n % 32]);
    return slice_from_text(file->name);
}

static void walk_ingest(struct random *random, struct state **state, struct model *model,
                        uint64_t record, struct buffer *text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold =
        table_state_own(state_clone(*state), record - 1, (int64_t)record * 1000);
    const struct partition_tree *tree;
    assert_ok(table_tree(hold, &arena, &tree));
    struct model_file *file = &model->files[model->n_files];
    *file = (struct model_file){.low = INT64_MAX, .high = INT64_MIN};
    uint64_t rows[MODEL_LEAVES] = {0}, sum = 0;
    for (uint64_t r = 1 + random_below(random, 20); r; r--) {
        int64_t key = (int64_t)random_below(random, 900);
        struct slice field = long_key(&arena, key);
        uint32_t leaf = partition_tree_leaf(tree, &field);
        assert_int_equal(leaf, key / 100);
        rows[leaf]++;
        sum++;
        if (key < file->low) file->low = key;
        if (key > file->high) file->high = key;
    }
    struct partition_cover *cover;
    size_t n;
    assert_ok(partition_tree_cover(tree, rows, 1 + (uint32_t)random_below(random, 5), &arena,
                                   &cover, &n));
    struct new_reference references[MODEL_LEAVES];
    for (size_t i = 0; i < n; i++)
        references[i] = (struct new_reference){tree->nodes[cover[i].node].id, cover[i].rows};
    struct file_bound bound = {long_key(&arena, file->low), long_key(&arena, file->high), false};
    struct new_file new_file = {.name = model_name(file, record - 1, model->n_files),
                                .size = 100,
                                .rows = sum,
                                .bounds = &bound,
                                .references = references,
                                .n_references = n};
    char job[32];
    snprintf(job, sizeof(job), "job-%d", model->n_files);
    struct ingest_commit commit = {.state = hold,
                                   .files = &new_file,
                                   .n_files = 1,
                                   .job = slice_from_text(job),
                                   .fingerprint = {1, 2}};
    assert_ok(write_ingest(text, &commit));
    assert_ok(world_apply(*state, record, (int64_t)record * 1000, buffer_slice(text)));
    assert_int_equal(world_apply_buffer(*state, record + 1, (int64_t)record * 1000, text),
                     LOG_ALREADY_DONE);
    memcpy(file->rows, rows, sizeof(rows));
    file->alive = 1;
    model->n_files++;
    table_state_release(hold);
}

static void compare_with_model(const struct state *state, const struct model *model,
                               uint64_t record)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct table_state *hold = table_state_own(state_clone(state), record, 0);
    uint64_t rows = 0, alive = 0;
    for (int f = 0; f < model->n_files; f++) {
        alive += (uint64_t)model->files[f].alive;
        for (int l = 0; l < MODEL_LEAVES && model->files[f].alive; l++)
            rows += model->files[f].rows[l];
    }
    struct table_figures figures = table_state_figures(hold);
    assert_int_equal(figures.files, model->n_files);
    assert_int_equal(figures.files - figures.unreferenced_files, alive);
    assert_int_equal(figures.rows, rows);
    assert_int_equal(figures.bytes, alive * 100);
    struct table_leaf *leaves;
    size_t n;
    assert_ok(table_leaves(hold, NULL, &arena, &leaves, &n));
    assert_int_equal(n, MODEL_LEAVES);
    /* Every file with rows in a leaf is among those that the leaf is read from. */
    for (int f = 0; f < model->n_files; f++)
        for (int l = 0; l < MODEL_LEAVES; l++) {
            int found = 0;
            for (size_t r = 0; r < leaves[l].n_references; r++)
                found += slice_equal_text(leaves[l].references[r].file->name, model->files[f].name);
            if (model->files[f].alive && model->files[f].rows[l]) assert_int_equal(found, 1);
            if (!model->files[f].alive) assert_int_equal(found, 0);
            assert_true(found <= 1);
        }
    table_state_release(hold);
}

static void random_walks_agree_with_plain_lists(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct random *random = random_seeded_new(5);
    struct slice points[MODEL_LEAVES - 1];
    for (int i = 0; i < MODEL_LEAVES - 1; i++)
        points[i] = long_key(&arena, (i + 1) * 100);
    for (int walk = 0; walk < 4; walk++) {
        struct model *model = memory_alloc_zero(sizeof(*model));
        struct state *state = world_new(LONG_SCHEMA, points, MODEL_LEAVES - 1);
        struct buffer text = BUFFER_INIT(1 << 20);
        for (uint64_t record = 2; record < 80; record++) {
            uint64_t what = random_below(random, 20);
            if (what < 17) {
                walk_ingest(random, &state, model, record, &text);
            } else if (what < 18) {
                assert_ok(write_reset(&text, (uint64_t)model->generation, points, MODEL_LEAVES - 1,
                                      random_below(random, 2)));
                assert_ok(world_apply_buffer(state, record, (int64_t)record * 1000, &text));
                model->generation++;
                for (int f = 0; f < model->n_files; f++)
                    model->files[f].alive = 0;
            } else {
                struct state *loaded = through_a_snapshot(state);
                assert_same_state(state, loaded);
                state_free(state);
                state = loaded;
            }
            if (record % 10 == 0) compare_with_model(state, model, record);
        }
        compare_with_model(state, model, 80);
        state_free(state);
        buffer_free(&text);
        free(model);
    }
    random_seeded_free(random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_transaction_meets_its_conditions),
        cmocka_unit_test(nothing_is_done_before_the_table_is_created),
        cmocka_unit_test(validate_finds_what_is_broken),
        cmocka_unit_test(given_jobs_are_remembered_for_their_time),
        cmocka_unit_test(cut_offs_are_no_later_than_age_and_time_allow),
        cmocka_unit_test(what_was_begun_below_the_horizon_is_refused),
        cmocka_unit_test(after_time_was_set_all_delays_begin_again),
        cmocka_unit_test(a_pin_that_ran_out_lives_again_only_where_all_is_there),
        cmocka_unit_test(an_assignment_of_a_time_to_come_ends_when_time_is_set),
        cmocka_unit_test(readers_are_told_what_is_there),
        cmocka_unit_test(a_reset_lets_all_files_go),
        cmocka_unit_test(leaves_of_a_restored_tree_are_empty_since_then),
        cmocka_unit_test(a_changed_schema_keeps_its_history),
        cmocka_unit_test(damaged_snapshots_never_load_as_something_else),
        cmocka_unit_test(random_walks_agree_with_plain_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
