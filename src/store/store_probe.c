/*
 * store_probe.c: whether a store keeps the promises of store.h, found out by trying them, with the
 * time of each.
 *
 * Each step is one promise. A step that fails is `required` when rows could be lost or the program
 * could not work without it (one winner of a conditional put, reads that see a finished put, the
 * order of lists, ranges); what is left only costs time or space. Nothing that was there is
 * touched: all keys begin with a folder of this probe's own, "glis-probe-<ULID>/", and are removed
 * at the end, also after a failure. A probe that was killed leaves that folder, which may be
 * deleted.
 *
 * The race is between threads of one process; that the winner is decided by the store and not by
 * this program is sure, for each put is a request of its own. It cannot prove that a store never
 * lets two win; it finds the stores that take no notice of the condition, or look first and put
 * afterwards.
 */
#include "store/store_local_int.h"

#include "base/ulid.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    RACE_PUTTERS = 16,
    RACES = 4,
    SMALL_BYTES = 4096,
    VISIBLE_ROUNDS = 8,
    UPLOAD_PART_BYTES = 1 << 20,
    UPLOAD_PARTS = 18,   /* more than one part of an upload to S3 */
    SKEW_MAX_MS = 60000, /* from here on it is worth a word */
};

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

struct probing {
    struct runtime *runtime;
    struct store *store;
    struct arena *arena;
    const char *folder;
    struct store_probe *out;
    struct slice *made; /* keys to be removed at the end */
    size_t n_made, capacity;
    char body[SMALL_BYTES];
};

static void remove_folders(const struct probing *probing);
static int step_put_get(struct probing *probing, const char **detail);
static int step_conditional(struct probing *probing, const char **detail);
static int step_race(struct probing *probing, const char **detail);
static int step_visible(struct probing *probing, const char **detail);
static int step_ranges(struct probing *probing, const char **detail);
static int step_keys(struct probing *probing, const char **detail);
static int step_list(struct probing *probing, const char **detail);
static int step_remove(struct probing *probing, const char **detail);
static int step_upload(struct probing *probing, const char **detail);
static int step_unfinished(struct probing *probing, const char **detail);
static int step_clock(struct probing *probing, const char **detail);
static int step_link(struct probing *probing, const char **detail);
static int step_sync(struct probing *probing, const char **detail);

static const struct {
    const char *name;
    int (*run)(struct probing *probing, const char **detail);
    bool required, local_only;
} steps[] = {
    {"put, get, head", step_put_get, true, false},
    {"conditional put", step_conditional, true, false},
    {"16 conditional puts at once", step_race, true, false},
    {"read and list after put", step_visible, true, false},
    {"ranges", step_ranges, true, false},
    {"unusual keys", step_keys, true, false},
    {"list order, start-after", step_list, true, false},
    {"put in parts", step_upload, true, false},
    {"unfinished puts in parts", step_unfinished, false, false},
    {"delete", step_remove, true, false},
    {"clock", step_clock, false, false},
    {"link, rename", step_link, false, true},
    {"sync", step_sync, false, true},
};

int store_probe(struct runtime *runtime, struct store *store, struct arena *arena,
                struct store_probe *out)
{
    struct ulid id = ulid_new(runtime);
    struct probing probing = {
        .runtime = runtime,
        .store = store,
        .arena = arena,
        .folder = arena_printf(arena, "glis-probe-%.*s", SLICE_PRINT(ulid_slice(&id))),
        .out = out,
    };
    for (size_t i = 0; i < SMALL_BYTES; i++)
        probing.body[i] = (char)('a' + i % 26);
    memset(out, 0, sizeof(*out));
    out->good = true;
    struct store_counters before = store_counters(store);
    struct clock *clock = runtime->clock;
    int code = 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && code == 0; i++) {
        if (steps[i].local_only && !store_local_of(store)) continue;
        struct store_probe_step *step = &out->steps[out->n_steps++];
        *step = (struct store_probe_step){.name = steps[i].name, .required = steps[i].required};
        int64_t begun_ns = clock->monotonic_ns(clock);
        const char *detail = "";
        step->code = steps[i].run(&probing, &detail);
        step->time_ns = clock->monotonic_ns(clock) - begun_ns;
        step->detail =
            step->code == 0 ? detail : arena_copy_text(arena, slice_from_text(error_message()));
        if (step->code < 0 && step->required) out->good = false;
        /* Without a put that is taken nothing else can be tried. */
        if (step->code < 0 && i == 0) break;
        code = runtime_check_cancel(runtime);
    }
    if (probing.n_made > 0 && store_remove(store, probing.made, probing.n_made) < 0) error_clear();
    if (store_local_of(store)) remove_folders(&probing);
    free(probing.made);
    struct store_counters after = store_counters(store);
    out->requests = after.sent_writes + after.sent_reads + after.sent_lists + after.sent_deletes -
                    before.sent_writes - before.sent_reads - before.sent_lists -
                    before.sent_deletes;
    return code;
}

/* A folder keeps the folders of objects that are gone; only empty ones can be removed. */
static void remove_folders(const struct probing *probing)
{
    struct store_local *local = store_local_of(probing->store);
    for (size_t i = probing->n_made; i-- > 0;) {
        char *path = arena_copy_text(probing->arena, probing->made[i]);
        for (char *slash; (slash = strrchr(path, '/'));) {
            *slash = '\0';
            (void)unlinkat(local->root_fd, path, AT_REMOVEDIR);
        }
    }
}

/* A key in the probe's folder, removed at the end. */
static struct slice key_of(struct probing *probing, const char *name)
{
    struct slice key =
        slice_from_text(arena_printf(probing->arena, "%s/%s", probing->folder, name));
    if (probing->n_made == probing->capacity) {
        probing->capacity = probing->capacity ? 2 * probing->capacity : 64;
        probing->made = memory_realloc(probing->made, probing->capacity * sizeof(*probing->made));
    }
    probing->made[probing->n_made++] = key;
    return key;
}

static struct slice body_of(const struct probing *probing)
{
    return slice_make(probing->body, SMALL_BYTES);
}

static int64_t now_ns(const struct probing *probing)
{
    return probing->runtime->clock->monotonic_ns(probing->runtime->clock);
}

static double ms_since(const struct probing *probing, int64_t begun_ns)
{
    return (double)(now_ns(probing) - begun_ns) / 1e6;
}

static int expect_body(struct probing *probing, struct slice key, struct slice body)
{
    defer_buffer struct buffer got = BUFFER_INIT(1 << 20);
    TRY(store_get(probing->store, key, 0, STORE_TO_END, &got));
    if (!slice_equal(buffer_slice(&got), body))
        return error_set(GLIS_EIO, "%.*s came back with other bytes", SLICE_PRINT(key));
    return 0;
}

static int step_put_get(struct probing *probing, const char **detail)
{
    struct slice key = key_of(probing, "plain");
    int64_t begun_ns = now_ns(probing);
    TRY(store_put(probing->store, key, body_of(probing), 0));
    double put_ms = ms_since(probing, begun_ns);
    begun_ns = now_ns(probing);
    TRY(expect_body(probing, key, body_of(probing)));
    double get_ms = ms_since(probing, begun_ns);
    struct store_object object;
    begun_ns = now_ns(probing);
    TRY(store_head(probing->store, key, &object));
    double head_ms = ms_since(probing, begun_ns);
    if (object.size != SMALL_BYTES)
        return error_set(GLIS_EIO, "head says %llu bytes of an object of %d",
                         (unsigned long long)object.size, SMALL_BYTES);
    *detail = arena_printf(probing->arena, "%.1f ms, %.1f ms, %.1f ms", put_ms, get_ms, head_ms);
    return 0;
}

static int step_conditional(struct probing *probing, const char **detail)
{
    struct slice key = key_of(probing, "conditional");
    int64_t begun_ns = now_ns(probing);
    TRY(store_put(probing->store, key, body_of(probing), STORE_IF_ABSENT));
    double won_ms = ms_since(probing, begun_ns);
    begun_ns = now_ns(probing);
    int code = store_put(probing->store, key, SLICE("other"), STORE_IF_ABSENT);
    double lost_ms = ms_since(probing, begun_ns);
    if (code == 0)
        return error_set(GLIS_EUNSUPPORTED, "two conditional puts of one key were both taken");
    if (code != GLIS_EEXISTS) return code;
    TRY(expect_body(probing, key, body_of(probing)));
    *detail = arena_printf(probing->arena, "won in %.1f ms, lost in %.1f ms", won_ms, lost_ms);
    return 0;
}

/* ---- the race ---- */

struct putter {
    struct probing *probing;
    pthread_barrier_t *start;
    struct slice key;
    char body[24];
    int code;
    struct error_detail failure;
};

static int race_put(void *state, size_t index)
{
    struct putter *putter = (struct putter *)state + index;
    pthread_barrier_wait(putter->start);
    putter->code = store_put(putter->probing->store, putter->key, slice_from_text(putter->body),
                             STORE_IF_ABSENT);
    if (putter->code < 0) error_save(&putter->failure);
    return 0;
}

/* One race; adds to the counts. */
static int race(struct probing *probing, struct pool *pool, unsigned number, unsigned *n_unknown)
{
    struct putter *putters = ARENA_ARRAY(probing->arena, struct putter, RACE_PUTTERS);
    pthread_barrier_t start;
    ASSERT(pthread_barrier_init(&start, NULL, RACE_PUTTERS) == 0);
    struct slice key = key_of(probing, arena_printf(probing->arena, "race-%u", number));
    for (unsigned i = 0; i < RACE_PUTTERS; i++) {
        putters[i] = (struct putter){.probing = probing, .start = &start, .key = key};
        snprintf(putters[i].body, sizeof(putters[i].body), "putter %u", i);
    }
    int code = pool_run(pool, RACE_PUTTERS, race_put, putters);
    pthread_barrier_destroy(&start);
    TRY(code);
    const struct putter *winner = NULL;
    unsigned n_winners = 0;
    for (unsigned i = 0; i < RACE_PUTTERS; i++) {
        if (putters[i].code == 0) {
            winner = &putters[i];
            n_winners++;
        } else if (putters[i].code == GLIS_EUNKNOWN || putters[i].code == GLIS_ERETRY) {
            *n_unknown += 1;
        } else if (putters[i].code != GLIS_EEXISTS) {
            return error_load(&putters[i].failure);
        }
    }
    if (n_winners > 1)
        return error_set(GLIS_EUNSUPPORTED,
                         "%u of %d conditional puts of one key at once were taken; exactly one may "
                         "be",
                         n_winners, RACE_PUTTERS);
    if (winner) return expect_body(probing, key, slice_from_text(winner->body));
    if (*n_unknown == 0)
        return error_set(GLIS_EUNSUPPORTED,
                         "of %d conditional puts of an absent key at once none was taken",
                         RACE_PUTTERS);
    return 0;
}

static int step_race(struct probing *probing, const char **detail)
{
    /* The calling thread works, too. */
    struct pool *pool = pool_new(RACE_PUTTERS - 1);
    unsigned n_unknown = 0;
    int code = 0;
    for (unsigned i = 0; i < RACES && code == 0; i++)
        code = race(probing, pool, i, &n_unknown);
    pool_free(pool);
    if (code == 0)
        *detail = n_unknown ? arena_printf(probing->arena,
                                           "one winner each; %u not answered clearly", n_unknown)
                            : "one winner each";
    return code;
}

/* ---- what is seen when ---- */

static int is_listed(struct probing *probing, struct slice key, bool *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list = {0};
    TRY(store_list(probing->store, key, SLICE_EMPTY, 10, &arena, &list));
    *out = list.n_objects > 0 && slice_equal(list.objects[0].key, key);
    return 0;
}

static int step_visible(struct probing *probing, const char **detail)
{
    struct store_object object;
    for (unsigned i = 0; i < VISIBLE_ROUNDS; i++) {
        struct slice key = key_of(probing, arena_printf(probing->arena, "visible-%u", i));
        bool listed;
        /* A miss is looked up first, for some servers and caches remember one. */
        if (store_head(probing->store, key, &object) != GLIS_ENOTFOUND)
            return error_set(GLIS_EIO, "an object that nobody has put is there");
        TRY(store_put(probing->store, key, body_of(probing), 0));
        TRY_CONTEXT(expect_body(probing, key, body_of(probing)), "just after its put");
        TRY(is_listed(probing, key, &listed));
        if (!listed) return error_set(GLIS_EIO, "a list does not show what was put before it");
        TRY(store_remove(probing->store, &key, 1));
        if (store_head(probing->store, key, &object) != GLIS_ENOTFOUND)
            return error_set(GLIS_EIO, "an object is there after its delete");
        TRY(is_listed(probing, key, &listed));
        if (listed) return error_set(GLIS_EIO, "a list shows what was deleted before it");
    }
    *detail = "at once";
    return 0;
}

static int step_ranges(struct probing *probing, const char **detail)
{
    static const struct {
        uint64_t offset, length, start, size;
    } wanted[] = {
        {0, STORE_TO_END, 0, SMALL_BYTES},
        {100, 50, 100, 50},
        {SMALL_BYTES - 7, 1000, SMALL_BYTES - 7, 7},
        {STORE_TO_END, 9, SMALL_BYTES - 9, 9},
        {STORE_TO_END, 2 * SMALL_BYTES, 0, SMALL_BYTES},
    };
    enum { N = sizeof(wanted) / sizeof(wanted[0]) };
    struct slice key = key_of(probing, "ranges");
    TRY(store_put(probing->store, key, body_of(probing), 0));
    struct store_read reads[N];
    for (size_t i = 0; i < N; i++)
        reads[i] =
            (struct store_read){.key = key, .offset = wanted[i].offset, .length = wanted[i].length};
    int code = store_read(probing->store, reads, N);
    for (size_t i = 0; i < N && code == 0; i++)
        if (reads[i].outcome != 0 || reads[i].size != wanted[i].size ||
            memcmp(reads[i].data, probing->body + wanted[i].start, wanted[i].size) != 0)
            code = error_set(GLIS_EIO, "range %zu came back with other bytes", i);
    store_read_release(reads, N);
    TRY(code);
    struct store_read beyond = {.key = key, .offset = SMALL_BYTES + 1, .length = 1};
    code = store_read(probing->store, &beyond, 1);
    store_read_release(&beyond, 1);
    if (code == 0) return error_set(GLIS_EIO, "a range beyond the end came back with bytes");
    if (code != GLIS_EINVALID) return code;
    error_clear();
    *detail = "middle, end, suffix, beyond";
    return 0;
}

/* In the order of their bytes. */
static const char *const unusual[] = {
    "unusual/!bang",        "unusual/#fragment",        "unusual/%41%2F",   "unusual/&=;:@$,",
    "unusual/(a) 'b'",      "unusual/+plus+",           "unusual/?uploads", "unusual/A",
    "unusual/a b",          "unusual/a\"<b>",           "unusual/a..b",     "unusual/a/b",
    "unusual/e\xcc\x81",    "unusual/~tilde",           "unusual/\xc3\xa9", "unusual/\xe2\x82\xac",
    "unusual/\xef\xbf\xa9", "unusual/\xf0\x9f\x90\x98",
};
enum { N_UNUSUAL = sizeof(unusual) / sizeof(unusual[0]) };

static int step_keys(struct probing *probing, const char **detail)
{
    char name[256];
    for (size_t i = 0; i < N_UNUSUAL; i++) {
        struct slice key = key_of(probing, unusual[i]);
        TRY(store_put(probing->store, key, slice_from_text(unusual[i]), 0));
    }
    for (size_t i = 0; i < N_UNUSUAL; i++) {
        snprintf(name, sizeof(name), "%s/%s", probing->folder, unusual[i]);
        TRY(expect_body(probing, slice_from_text(name), slice_from_text(unusual[i])));
    }
    *detail = arena_printf(probing->arena, "%d kinds", N_UNUSUAL);
    return 0;
}

/* Pages of five, by start-after, must give all in order. */
static int step_list(struct probing *probing, const char **detail)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice prefix = slice_from_text(arena_printf(&arena, "%s/unusual/", probing->folder));
    struct slice after = SLICE_EMPTY;
    size_t n = 0, folder_size = strlen(probing->folder) + 1;
    bool more = true;
    for (unsigned page = 0; more && page <= N_UNUSUAL; page++) {
        struct store_list list = {0};
        TRY(store_list(probing->store, prefix, after, 5, &arena, &list));
        for (size_t i = 0; i < list.n_objects; i++, n++) {
            struct slice name = slice_part(list.objects[i].key, folder_size, SIZE_MAX);
            if (n >= N_UNUSUAL || !slice_equal_text(name, unusual[n]))
                return error_set(GLIS_EIO,
                                 "the list says '%.*s' in place %zu; keys in the order of their "
                                 "bytes, behind start-after, are needed",
                                 SLICE_PRINT(name), n);
            after = list.objects[i].key;
        }
        more = list.more;
    }
    if (n != N_UNUSUAL) return error_set(GLIS_EIO, "the list has %zu of %d objects", n, N_UNUSUAL);
    *detail = arena_printf(probing->arena, "%zu keys by pages of 5", n);
    return 0;
}

static int step_upload(struct probing *probing, const char **detail)
{
    struct slice key = key_of(probing, "upload");
    struct store_upload *upload;
    struct store_object object;
    char *part = arena_alloc(probing->arena, UPLOAD_PART_BYTES);
    int64_t begun_ns = now_ns(probing);
    TRY(store_upload_open(probing->store, key, 0, &upload));
    for (int i = 0; i < UPLOAD_PARTS; i++) {
        memset(part, 'A' + i, UPLOAD_PART_BYTES);
        int code = store_upload_write(upload, slice_make(part, UPLOAD_PART_BYTES));
        if (code < 0) {
            store_upload_abort(upload);
            return code;
        }
    }
    int before = store_head(probing->store, key, &object);
    TRY(store_upload_finish(upload));
    double ms = ms_since(probing, begun_ns);
    if (before != GLIS_ENOTFOUND)
        return error_set(GLIS_EIO, "a put in parts is seen before it is finished");
    TRY(store_head(probing->store, key, &object));
    uint64_t size = (uint64_t)UPLOAD_PARTS * UPLOAD_PART_BYTES;
    if (object.size != size)
        return error_set(GLIS_EIO, "a put in parts of %llu bytes has %llu",
                         (unsigned long long)size, (unsigned long long)object.size);
    for (int i = 0; i < UPLOAD_PARTS; i++) {
        defer_buffer struct buffer got = BUFFER_INIT(1 << 10);
        TRY(store_get(probing->store, key, (uint64_t)(i + 1) * UPLOAD_PART_BYTES - 1, 1, &got));
        if (got.size != 1 || got.data[0] != 'A' + i)
            return error_set(GLIS_EIO, "part %d of a put in parts has other bytes", i);
    }
    *detail = arena_printf(probing->arena, "%d MiB in %.0f ms, %.0f MiB/s",
                           UPLOAD_PARTS * UPLOAD_PART_BYTES >> 20, ms,
                           (double)(UPLOAD_PARTS * UPLOAD_PART_BYTES >> 20) / ms * 1000);
    return 0;
}

/* What was begun and not finished is listed, and gone when it is removed. */
static int step_unfinished(struct probing *probing, const char **detail)
{
    struct slice key = key_of(probing, "unfinished");
    struct slice prefix = slice_from_text(arena_printf(probing->arena, "%s/", probing->folder));
    struct store_upload *upload;
    struct store_unfinished *found = NULL;
    size_t n = 0, n_after = 0;
    char *part = arena_alloc_zero(probing->arena, UPLOAD_PART_BYTES);
    TRY(store_upload_open(probing->store, key, 0, &upload));
    int code = 0;
    for (int i = 0; i < UPLOAD_PARTS && code == 0; i++)
        code = store_upload_write(upload, slice_make(part, UPLOAD_PART_BYTES));
    /* A folder's unfinished files do not know the whole key that they are for. */
    if (store_local_of(probing->store)) prefix = SLICE_EMPTY;
    if (code == 0) code = store_unfinished_list(probing->store, prefix, probing->arena, &found, &n);
    store_upload_abort(upload);
    TRY(code);
    TRY(store_unfinished_list(probing->store, prefix, probing->arena, &found, &n_after));
    if (n == 0)
        return error_set(GLIS_EIO, "an unfinished put in parts is not listed; what dead writers "
                                   "leave must be removed by a rule of the bucket");
    if (n_after >= n) return error_set(GLIS_EIO, "an aborted put in parts is still listed");
    *detail = "listed, and gone after the abort";
    return 0;
}

static int step_remove(struct probing *probing, const char **detail)
{
    struct slice keys[] = {key_of(probing, "unusual/a b"), key_of(probing, "unusual/+plus+"),
                           key_of(probing, "never put"), key_of(probing, "unusual/~tilde")};
    enum { N = sizeof(keys) / sizeof(keys[0]) };
    int64_t begun_ns = now_ns(probing);
    TRY(store_remove(probing->store, keys, N));
    double ms = ms_since(probing, begun_ns);
    struct store_object object;
    for (size_t i = 0; i < N; i++)
        if (store_head(probing->store, keys[i], &object) != GLIS_ENOTFOUND)
            return error_set(GLIS_EIO, "%.*s is there after its delete", SLICE_PRINT(keys[i]));
    TRY(store_head(probing->store, key_of(probing, unusual[0]), &object));
    *detail = arena_printf(probing->arena, "%d keys in %.1f ms; an absent one is no error", N, ms);
    return 0;
}

static int step_clock(struct probing *probing, const char **detail)
{
    struct clock *clock = probing->runtime->clock;
    int64_t there_ms;
    TRY(store_time_ms(probing->store, &there_ms));
    int64_t skew_ms = there_ms - clock->wall_ms(clock);
    if (skew_ms > SKEW_MAX_MS || skew_ms < -SKEW_MAX_MS)
        return error_set(GLIS_EIO,
                         "the store's clock is %lld s %s this machine's; S3 refuses requests from "
                         "15 minutes on",
                         (long long)llabs(skew_ms) / 1000, skew_ms > 0 ? "before" : "behind");
    *detail = arena_printf(probing->arena, "within %lld s", (long long)llabs(skew_ms) / 1000 + 1);
    return 0;
}

/* ---- folders only ---- */

/* A new file in the folder of temporary names, written and synced; its name in `name`. */
static int temporary_file(struct probing *probing, struct store_local *local, bool sync,
                          char name[LOCAL_TEMP_NAME_BYTES])
{
    local_temp_name(probing->runtime, SLICE("probe"), name);
    int fd = openat(local->temp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return error_set_errno(errno, "%s", name);
    bool good = write(fd, probing->body, SMALL_BYTES) == SMALL_BYTES && (!sync || fsync(fd) == 0);
    int code = good ? 0 : error_set_errno(errno, "%s", name);
    close(fd);
    return code;
}

static int step_link(struct probing *probing, const char **detail)
{
    struct store_local *local = store_local_of(probing->store);
    char name[LOCAL_TEMP_NAME_BYTES], other[LOCAL_TEMP_NAME_BYTES];
    TRY(temporary_file(probing, local, false, name));
    local_temp_name(probing->runtime, SLICE("probe"), other);
    int64_t begun_ns = now_ns(probing);
    bool links = linkat(local->temp_fd, name, local->temp_fd, other, 0) == 0;
    double link_us = ms_since(probing, begun_ns) * 1000;
    bool twice = links && linkat(local->temp_fd, name, local->temp_fd, other, 0) == 0;
    if (links) unlinkat(local->temp_fd, other, 0);
    begun_ns = now_ns(probing);
    bool renames =
        syscall(SYS_renameat2, local->temp_fd, name, local->temp_fd, other, RENAME_NOREPLACE) == 0;
    double rename_us = ms_since(probing, begun_ns) * 1000;
    unlinkat(local->temp_fd, name, 0);
    unlinkat(local->temp_fd, other, 0);
    if (twice) return error_set(GLIS_EUNSUPPORTED, "link(2) replaced a name that was taken");
    if (!links && !renames)
        return error_set(GLIS_EUNSUPPORTED, "the file system knows neither link(2) nor "
                                            "renameat2(2) with RENAME_NOREPLACE");
    const char *link_text =
        links ? arena_printf(probing->arena, "link %.0f us", link_us) : "no link(2)";
    *detail = arena_printf(probing->arena, "%s, %s", link_text,
                           renames ? arena_printf(probing->arena, "rename %.0f us", rename_us)
                                   : "no rename without replacing");
    return 0;
}

static int step_sync(struct probing *probing, const char **detail)
{
    struct store_local *local = store_local_of(probing->store);
    enum { ROUNDS = 8 };
    double least_ms = 1e9, total_ms = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char name[LOCAL_TEMP_NAME_BYTES];
        int64_t begun_ns = now_ns(probing);
        int code = temporary_file(probing, local, true, name);
        double ms = ms_since(probing, begun_ns);
        unlinkat(local->temp_fd, name, 0);
        TRY(code);
        total_ms += ms;
        if (ms < least_ms) least_ms = ms;
    }
    *detail = arena_printf(probing->arena, "fsync of %d bytes %.2f ms, at best %.2f ms",
                           SMALL_BYTES, total_ms / ROUNDS, least_ms);
    return 0;
}
