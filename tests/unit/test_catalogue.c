/*
 * test_catalogue.c: the catalogue's transactions: each against each of its refusals, a walk of
 * random ones against a list that does the same the simple way, and snapshots.
 */
#include "test.h"

#include "base/runtime.h"
#include "table/table_int.h"

#include <stdio.h>
#include <stdlib.h>

#define A "01ARZ3NDEKTSV4RRFFQ69G5FA0"
#define B "01ARZ3NDEKTSV4RRFFQ69G5FA1"
#define C "01ARZ3NDEKTSV4RRFFQ69G5FA2"

static int apply(struct catalogue *catalogue, uint64_t record, const char *text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json;
    assert_ok(json_parse(&arena, slice_from_text(text), JSON_RULES_INTERNAL, &json));
    struct log_record_info info = {.record = record, .time_ms = (int64_t)record * 1000};
    int code = catalogue_apply(catalogue, &info, json);
    struct error_detail detail;
    error_save(&detail);
    assert_ok(catalogue_validate(catalogue));
    error_load(&detail);
    return code;
}

#define INIT      "{\"type\":\"alter_instance\",\"version\":0,\"settings\":{}}"
#define RESERVE_A "{\"type\":\"reserve_table\",\"id\":\"" A "\",\"name\":\"a\"}"
#define LIVE_A    "{\"type\":\"table_live\",\"id\":\"" A "\",\"version\":1}"
#define DROP_A(v) "{\"type\":\"drop_table\",\"id\":\"" A "\",\"version\":" #v "}"
#define RESERVE_B "{\"type\":\"reserve_table\",\"id\":\"" B "\",\"name\":\"b\"}"
#define LIVE_B    "{\"type\":\"table_live\",\"id\":\"" B "\",\"version\":1}"
#define UNDROP(v, name) \
    "{\"type\":\"undrop_table\",\"id\":\"" A "\",\"version\":" #v ",\"name\":\"" name "\"}"
#define RENAME(v, name) \
    "{\"type\":\"rename_table\",\"id\":\"" A "\",\"version\":" #v ",\"name\":\"" name "\"}"
#define ONLINE(v, on) \
    "{\"type\":\"set_online\",\"id\":\"" A "\",\"version\":" #v ",\"online\":" #on "}"

/* What was applied before, in order; then one transaction and how it fares. */
static const struct {
    const char *before[8];
    const char *transaction;
    int code;
    const char *reason;
} cases[] = {
    {{NULL}, INIT, 0, NULL},
    {{INIT}, INIT, GLIS_EREFUSED, "version 1"},
    {{NULL}, RESERVE_A, GLIS_EREFUSED, "no instance"},
    {{INIT}, RESERVE_A, 0, NULL},
    {{INIT, RESERVE_A}, RESERVE_A, GLIS_EREFUSED, A},
    {{INIT, RESERVE_A},
     "{\"type\":\"reserve_table\",\"id\":\"" B "\",\"name\":\"a\"}",
     GLIS_EREFUSED,
     "taken"},
    {{INIT},
     "{\"type\":\"reserve_table\",\"id\":\"x\",\"name\":\"a\"}",
     GLIS_EINVALID,
     "not a table id"},
    {{INIT},
     "{\"type\":\"reserve_table\",\"id\":\"" B "\",\"name\":\"-a\"}",
     GLIS_EINVALID,
     "no table name"},
    {{INIT}, LIVE_A, GLIS_EREFUSED, A},
    {{INIT, RESERVE_A}, LIVE_A, 0, NULL},
    {{INIT, RESERVE_A, LIVE_A}, LIVE_A, GLIS_EREFUSED, "is live"},
    {{INIT, RESERVE_A, DROP_A(1)}, LIVE_A, GLIS_EREFUSED, "dropped"},
    {{INIT, RESERVE_A}, DROP_A(1), 0, NULL},
    {{INIT, RESERVE_A, LIVE_A}, DROP_A(2), 0, NULL},
    {{INIT, RESERVE_A, LIVE_A}, DROP_A(1), GLIS_EREFUSED, "version 2, not 1"},
    {{INIT, RESERVE_A, LIVE_A, DROP_A(2)}, DROP_A(2), GLIS_EREFUSED, "dropped"},
    /* dropped and brought back: the first drop stays refused for ever */
    {{INIT, RESERVE_A, LIVE_A, DROP_A(2), UNDROP(3, "a")}, DROP_A(2), GLIS_EREFUSED, "version 4"},
    {{INIT, RESERVE_A, LIVE_A, DROP_A(2), UNDROP(3, "a")}, DROP_A(4), 0, NULL},
    {{INIT, RESERVE_A, LIVE_A}, UNDROP(2, "c"), GLIS_EREFUSED, "is live"},
    {{INIT, RESERVE_A, DROP_A(1)}, UNDROP(2, "a"), GLIS_EREFUSED, "never finished"},
    {{INIT, RESERVE_A, LIVE_A, DROP_A(2)}, UNDROP(3, "c"), 0, NULL},
    {{INIT, RESERVE_A, LIVE_A, DROP_A(2), RESERVE_B}, UNDROP(3, "b"), GLIS_EREFUSED, "taken"},
    {{INIT, RESERVE_A, LIVE_A, RESERVE_B}, RENAME(2, "b"), GLIS_EREFUSED, "taken"},
    {{INIT, RESERVE_A, LIVE_A}, RENAME(2, "a"), GLIS_EREFUSED, "taken"},
    {{INIT, RESERVE_A, LIVE_A}, RENAME(2, "c"), 0, NULL},
    {{INIT, RESERVE_A}, RENAME(1, "c"), GLIS_EREFUSED, "being created"},
    {{INIT, RESERVE_A, LIVE_A}, RENAME(2, "no/good"), GLIS_EINVALID, "no table name"},
    {{INIT, RESERVE_A, LIVE_A, RENAME(2, "c"), RENAME(3, "a")},
     RENAME(2, "c"),
     GLIS_EREFUSED,
     "version 4"},
    {{INIT, RESERVE_A, LIVE_A}, ONLINE(2, false), 0, NULL},
    {{INIT, RESERVE_A, LIVE_A, ONLINE(2, false)}, ONLINE(2, false), GLIS_EREFUSED, "version 3"},
    {{INIT, RESERVE_A, LIVE_A, DROP_A(2)}, ONLINE(3, false), GLIS_EREFUSED, "dropped"},
    {{INIT, RESERVE_A, LIVE_A, DROP_A(2)},
     "{\"type\":\"reserve_table\",\"id\":\"" C "\",\"name\":\"a\"}",
     0,
     NULL},
    {{INIT},
     "{\"type\":\"alter_instance\",\"version\":1,\"settings\":{\"glis.ingest.memory\":\"1G\"}}",
     0,
     NULL},
    {{INIT},
     "{\"type\":\"alter_instance\",\"version\":1,\"settings\":{\"glis.ingest.memory\":\"1\"}}",
     GLIS_EINVALID,
     "glis.ingest.memory"},
    {{INIT},
     "{\"type\":\"alter_instance\",\"version\":1,\"settings\":{\"glis.table.gc.delay\":\"1m\"}}",
     GLIS_EINVALID,
     "glis.default.table.gc.delay"},
    {{INIT}, "{\"type\":\"sing\"}", GLIS_ENEWER, "sing"},
    {{INIT}, "{\"typ\":\"sing\"}", GLIS_EINVALID, "type"},
    {{INIT}, "{\"type\":\"table_live\",\"id\":5,\"version\":1}", GLIS_EINVALID, "id"},
    {{INIT}, "{\"type\":\"table_live\",\"id\":\"x\",\"version\":-1}", GLIS_EINVALID, "version"},
};

static void each_transaction_meets_its_conditions(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct catalogue *catalogue = catalogue_new();
        uint64_t record = 1;
        for (int b = 0; b < 8 && cases[i].before[b]; b++)
            assert_ok(apply(catalogue, record++, cases[i].before[b]));
        int code = apply(catalogue, record, cases[i].transaction);
        if (code != cases[i].code)
            fail_msg("case %zu: %s: %s", i, error_code_name(code), code ? error_message() : "");
        if (cases[i].reason && !strstr(error_message(), cases[i].reason))
            fail_msg("case %zu: '%s' is not in: %s", i, cases[i].reason, error_message());
        /* Once applied, refused for ever. */
        if (code == 0)
            assert_int_equal(apply(catalogue, record + 1, cases[i].transaction), GLIS_EREFUSED);
        catalogue_free(catalogue);
    }
}

static void a_refusal_changes_nothing_and_copies_are_apart(void **unused)
{
    (void)unused;
    struct catalogue *catalogue = catalogue_new();
    assert_ok(apply(catalogue, 1, INIT));
    assert_ok(apply(catalogue, 2, RESERVE_A));
    struct catalogue *copy = catalogue_clone(catalogue);
    assert_ok(apply(catalogue, 3, LIVE_A));
    struct catalogue_table table;
    assert_true(catalogue_get(copy, SLICE(A), &table));
    assert_int_equal(table.life, TABLE_CREATING);
    assert_int_equal(table.since_ms, 2000);
    assert_true(catalogue_get(catalogue, SLICE(A), &table));
    assert_int_equal(table.life, TABLE_LIVE);
    assert_int_equal(table.since_ms, 3000);
    assert_int_equal(apply(copy, 3, RENAME(1, "z")), GLIS_EREFUSED);
    assert_true(catalogue_get(copy, SLICE(A), &table));
    assert_true(slice_equal_text(table.name, "a"));
    catalogue_free(copy);
    catalogue_free(catalogue);
}

/* A list of tables that follows the rules by looking at every one. */
enum { N_TABLES = 6, N_NAMES = 4 };
struct simple {
    int exists, life, version, complete, name;
};

static int name_free(const struct simple *tables, int name)
{
    for (int i = 0; i < N_TABLES; i++)
        if (tables[i].exists && tables[i].life <= TABLE_LIVE && tables[i].name == name) return 0;
    return 1;
}

/* Whether the operation is allowed; carries it out if so. */
static int simple_apply(struct simple *t, struct simple *all, int op, int name, int version)
{
    if (op == 0) {
        if (t->exists || !name_free(all, name)) return 0;
        *t = (struct simple){1, TABLE_CREATING, 1, 0, name};
        return 1;
    }
    if (!t->exists || t->version != version) return 0;
    switch (op) {
    case 1:
        if (t->life != TABLE_CREATING) return 0;
        t->life = TABLE_LIVE;
        t->complete = 1;
        break;
    case 2:
        if (t->life > TABLE_LIVE) return 0;
        t->life = TABLE_DROPPING;
        break;
    case 3:
        if (t->life != TABLE_DROPPING || !t->complete || !name_free(all, name)) return 0;
        t->life = TABLE_LIVE;
        t->name = name;
        break;
    default:
        if (t->life != TABLE_LIVE || !name_free(all, name)) return 0;
        t->name = name;
    }
    t->version++;
    return 1;
}

static void random_walks_agree_with_a_simple_list(void **unused)
{
    (void)unused;
    static const char *const types[] = {"reserve_table", "table_live", "drop_table", "undrop_table",
                                        "rename_table"};
    struct random *random = random_seeded_new(11);
    for (int walk = 0; walk < 30; walk++) {
        struct simple tables[N_TABLES] = {0};
        struct catalogue *catalogue = catalogue_new();
        assert_ok(apply(catalogue, 1, INIT));
        for (uint64_t record = 2; record < 150; record++) {
            int i = (int)random_below(random, N_TABLES), op = (int)random_below(random, 5);
            int name = (int)random_below(random, N_NAMES);
            int version = tables[i].version - (int)(random_below(random, 5) == 0);
            char text[300];
            snprintf(text, sizeof(text),
                     "{\"type\":\"%s\",\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FA%d\",\"version\":%d,"
                     "\"name\":\"n%d\"}",
                     types[op], i, version < 0 ? 0 : version, name);
            int wanted = simple_apply(&tables[i], tables, op, name, version < 0 ? 0 : version);
            int code = apply(catalogue, record, text);
            if ((code == 0) != wanted) fail_msg("walk %d, %s: %s", walk, text, error_message());
        }
        catalogue_free(catalogue);
    }
    random_seeded_free(random);
}

static void a_snapshot_gives_the_state_back(void **unused)
{
    (void)unused;
    struct catalogue *catalogue = catalogue_new();
    assert_ok(apply(catalogue, 1,
                    "{\"type\":\"alter_instance\",\"version\":0,\"settings\":"
                    "{\"glis.ingest.memory\":\"1G\"}}"));
    assert_ok(apply(catalogue, 2, RESERVE_A));
    assert_ok(apply(catalogue, 3, LIVE_A));
    assert_ok(apply(catalogue, 4, RESERVE_B));
    struct buffer bytes = BUFFER_INIT(1 << 20);
    assert_ok(catalogue_machine.snapshot_write(NULL, catalogue, SLICE("{\"x\":1}"), &bytes));
    struct block *block;
    assert_ok(block_new(&block, NULL, bytes.size));
    memcpy(block->data, bytes.data, bytes.size);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice log_part;
    void *loaded;
    assert_ok(catalogue_machine.snapshot_read(NULL, block, slice_make(block->data, bytes.size),
                                              &arena, &log_part, &loaded));
    assert_true(slice_equal_text(log_part, "{\"x\":1}"));
    assert_int_equal(((struct catalogue *)loaded)->version, 1);
    struct catalogue_table table;
    assert_true(catalogue_get(loaded, SLICE(A), &table));
    assert_int_equal(table.life, TABLE_LIVE);
    assert_ok(apply(loaded, 5, LIVE_B));
    assert_int_equal(apply(loaded, 6, LIVE_A), GLIS_EREFUSED);
    catalogue_machine.state_free(NULL, loaded);
    assert_true(catalogue_machine.snapshot_read(NULL, block,
                                                slice_make(block->data, bytes.size - 9), &arena,
                                                &log_part, &loaded) < 0);
    block_release(block);
    buffer_free(&bytes);
    catalogue_free(catalogue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_transaction_meets_its_conditions),
        cmocka_unit_test(a_refusal_changes_nothing_and_copies_are_apart),
        cmocka_unit_test(random_walks_agree_with_a_simple_list),
        cmocka_unit_test(a_snapshot_gives_the_state_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
