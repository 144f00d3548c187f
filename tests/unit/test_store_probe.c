/*
 * test_store_probe.c: the probe says good of the stores that keep their promises, leaves nothing
 * behind, and finds each promise that a store made for it breaks.
 */
#include "test.h"

#include "store/store_int.h"

#include <ftw.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static struct pool *pool;
static struct runtime runtime;

static int setup(void **state)
{
    (void)state;
    pool = pool_new(0);
    runtime = (struct runtime){.clock = clock_system(), .random = random_system(), .pool = pool};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pool_free(pool);
    return 0;
}

static int count(void *state, const struct store_object *object)
{
    (void)object;
    ++*(unsigned *)state;
    return 0;
}

static const struct store_probe_step *find(const struct store_probe *probe, const char *name)
{
    for (size_t i = 0; i < probe->n_steps; i++)
        if (strcmp(probe->steps[i].name, name) == 0) return &probe->steps[i];
    return NULL;
}

static void assert_all_good(struct store *store, bool local)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_probe probe;
    unsigned n = 0;
    assert_ok(store_probe(&runtime, store, &arena, &probe));
    for (size_t i = 0; i < probe.n_steps; i++)
        if (probe.steps[i].code != 0)
            fail_msg("%s: %s", probe.steps[i].name, probe.steps[i].detail);
    assert_true(probe.good);
    assert_int_equal(find(&probe, "sync") != NULL, local);
    assert_ok(store_each(store, SLICE_EMPTY, SLICE_EMPTY, count, &n));
    assert_int_equal(n, 0);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void a_folder_is_good_and_left_as_it_was(void **state)
{
    (void)state;
    char folder[] = "/tmp/glis-probe-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct store *store;
    assert_ok(store_local_open(&runtime, folder, 0, &store));
    assert_all_good(store, true);
    store_close(store);
    assert_int_equal(nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- a store that breaks one promise ---- */

enum breach {
    IGNORES_CONDITION,
    LOOKS_FIRST,
    NOBODY_WINS,
    FORGETS,
    STALE_LIST,
    WRONG_ORDER,
    IGNORES_START_AFTER,
    IGNORES_SUFFIX,
    SHORT_RANGE,
    ALTERS_KEYS,
    KEEPS_DELETED,
    CUTS_UPLOADS,
    CLOCK_OFF,
    N_BREACHES,
};

struct liar {
    struct store store;
    struct store_ops ops;
    struct store *behind;
    enum breach breach;
    pthread_barrier_t looked;
};

static struct liar *liar_of(struct store *store)
{
    return (struct liar *)store;
}

static int liar_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct liar *liar = liar_of(store);
    bool race = memmem(key.data, key.size, "/race-", 6) != NULL;
    if (flags & STORE_IF_ABSENT) {
        if (liar->breach == IGNORES_CONDITION) flags = 0;
        if (liar->breach == NOBODY_WINS && race)
            return error_set(GLIS_EEXISTS, "%.*s exists", SLICE_PRINT(key));
        if (liar->breach == LOOKS_FIRST) {
            /* All of the race look before any of them puts. */
            struct store_object object;
            int code = store_head(liar->behind, key, &object);
            if (race) pthread_barrier_wait(&liar->looked);
            if (code == 0) return error_set(GLIS_EEXISTS, "%.*s exists", SLICE_PRINT(key));
            flags = 0;
        }
    }
    if (liar->breach == FORGETS && memmem(key.data, key.size, "visible-3", 9)) return 0;
    if (liar->breach == ALTERS_KEYS && memchr(key.data, '+', key.size)) {
        char *changed = memory_copy_text(key);
        *strchr(changed, '+') = ' ';
        int code = store_put(liar->behind, slice_from_text(changed), body, flags);
        free(changed);
        return code;
    }
    return store_put(liar->behind, key, body, flags);
}

static void liar_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct liar *liar = liar_of(store);
    for (size_t i = 0; i < n_reads; i++) {
        struct store_read read = reads[i];
        if (liar->breach == IGNORES_SUFFIX && read.offset == STORE_TO_END) {
            read.offset = 0;
            read.length = STORE_TO_END;
        }
        if (liar->breach == SHORT_RANGE && read.length == 50) read.length = 49;
        if (store_read(liar->behind, &read, 1) < 0) assert_true(read.outcome < 0);
        reads[i].outcome = read.outcome;
        reads[i].block = read.block;
        reads[i].data = read.data;
        reads[i].size = read.size;
        reads[i].object_size = read.object_size;
    }
}

static int liar_head(struct store *store, struct slice key, struct store_object *out)
{
    return store_head(liar_of(store)->behind, key, out);
}

static int liar_list(struct store *store, struct slice prefix, struct slice start_after,
                     size_t limit, struct arena *arena, struct store_list *out)
{
    struct liar *liar = liar_of(store);
    if (liar->breach == IGNORES_START_AFTER) start_after = SLICE_EMPTY;
    TRY(store_list(liar->behind, prefix, start_after, limit, arena, out));
    if (liar->breach == STALE_LIST && memmem(prefix.data, prefix.size, "visible-2", 9))
        out->n_objects = 0;
    if (liar->breach == WRONG_ORDER && out->n_objects > 3) {
        struct store_object first = out->objects[1];
        out->objects[1] = out->objects[2];
        out->objects[2] = first;
    }
    return 0;
}

static int liar_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct liar *liar = liar_of(store);
    if (liar->breach == KEEPS_DELETED && n_keys == 4) n_keys = 3;
    return store_remove(liar->behind, keys, n_keys);
}

static int liar_upload_open(struct store *store, struct slice key, unsigned flags,
                            struct store_upload **out)
{
    TRY(store_upload_open(liar_of(store)->behind, key, flags, out));
    (*out)->store = store;
    return 0;
}

static int liar_upload_write(struct store_upload *upload, struct slice part)
{
    struct liar *liar = liar_of(upload->store);
    if (liar->breach == CUTS_UPLOADS && part.data[0] == 'F') return 0;
    upload->store = liar->behind;
    int code = store_upload_write(upload, part);
    upload->store = &liar->store;
    return code;
}

static int liar_upload_finish(struct store_upload *upload)
{
    upload->store = liar_of(upload->store)->behind;
    return store_upload_finish(upload);
}

static void liar_upload_abort(struct store_upload *upload)
{
    upload->store = liar_of(upload->store)->behind;
    store_upload_abort(upload);
}

static int liar_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                                struct store_unfinished **out, size_t *n_out)
{
    return store_unfinished_list(liar_of(store)->behind, prefix, arena, out, n_out);
}

static int liar_time_ms(struct store *store, int64_t *out)
{
    TRY(store_time_ms(liar_of(store)->behind, out));
    if (liar_of(store)->breach == CLOCK_OFF) *out += 3600000;
    return 0;
}

static void each_broken_promise_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        bool required;
    } expected[N_BREACHES] = {
        [IGNORES_CONDITION] = {"conditional put", true},
        [LOOKS_FIRST] = {"16 conditional puts at once", true},
        [NOBODY_WINS] = {"16 conditional puts at once", true},
        [FORGETS] = {"read and list after put", true},
        [STALE_LIST] = {"read and list after put", true},
        [WRONG_ORDER] = {"list order, start-after", true},
        [IGNORES_START_AFTER] = {"list order, start-after", true},
        [IGNORES_SUFFIX] = {"ranges", true},
        [SHORT_RANGE] = {"ranges", true},
        [ALTERS_KEYS] = {"unusual keys", true},
        [KEEPS_DELETED] = {"delete", true},
        [CUTS_UPLOADS] = {"put in parts", true},
        [CLOCK_OFF] = {"clock", false},
    };
    for (int i = 0; i < N_BREACHES; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct liar liar = {
            .ops = {.put = liar_put,
                    .read = liar_read,
                    .head = liar_head,
                    .list = liar_list,
                    .remove = liar_remove,
                    .upload_open = liar_upload_open,
                    .upload_write = liar_upload_write,
                    .upload_finish = liar_upload_finish,
                    .upload_abort = liar_upload_abort,
                    .unfinished_list = liar_unfinished_list,
                    .time_ms = liar_time_ms},
            .breach = (enum breach)i,
        };
        struct budget budget;
        budget_init(&budget, "test", 0, NULL, NULL);
        runtime.budget = &budget;
        assert_ok(store_memory_open(&runtime, &liar.behind));
        store_init(&liar.store, &liar.ops, memory_copy_text(SLICE("liar")), false);
        pthread_barrier_init(&liar.looked, NULL, 16);
        struct store_probe probe;
        assert_ok(store_probe(&runtime, &liar.store, &arena, &probe));
        const struct store_probe_step *step = find(&probe, expected[i].step);
        assert_non_null(step);
        if (step->code == 0) fail_msg("breach %d was not found by '%s'", i, expected[i].step);
        assert_int_equal(probe.good, !expected[i].required);
        pthread_barrier_destroy(&liar.looked);
        store_close(liar.behind);
        free(liar.store.description);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_good_and_left_as_it_was),
        cmocka_unit_test(each_broken_promise_is_found),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
