/*
 * store_root.c: the store of an instance, put together from the store at its address, the home of
 * its logs and a cache.
 *
 * Which home the logs have is said by the object `home` at the root, written once, put if absent,
 * before the first record; from then on every process finds it by itself, and none can set it.
 * Without that object the logs are in the store itself. What lies under a log/ of the catalogue, of
 * a table or of the tasks belongs to the home; snapshots, data files and all else to the store. A
 * list whose prefix spans both is merged.
 *
 * `home` costs no wait of its own: it is read in the same call as the first objects of a log, which
 * are thrown away and asked for again at the home when there is another one.
 *
 * Beginning: what is read before the first put comes from the store itself (an instance of before
 * this object would be found there). Then the database is reached and told of the instance, `home`
 * is put if absent, and only then the put goes on, to the home that was won.
 *
 * So a `home` that names a database is known there, and one that does not know it is not believed
 * to hold a log without records. And where `home` and log are missing but states or data files are
 * there, the object was lost: that is an error, and neither an instance whose newest snapshot is
 * all there is, nor room for a new one.
 */
#include "store/store_int.h"

#include "base/json.h"
#include "base/ulid.h"

#include <pthread.h>
#include <stdlib.h>

#define HOME_KEY SLICE("home")
enum { HOME_BYTES_MAX = 64 << 10, HOME_LEVEL = 1 };

enum home {
    HOME_UNKNOWN,
    HOME_NONE, /* `home` is not there, and this process is to write it */
    HOME_MAIN, /* in the store itself */
    HOME_AWAY, /* in root->log */
};

struct store_root {
    struct store store;
    struct runtime *runtime;
    struct store *main; /* owned, as the others */
    struct store *log;
    struct store *cache;
    pthread_mutex_t lock; /* guards finding out */
    _Atomic int home;
    bool begins;
    char *wish; /* where the logs of an instance to be begun shall be */
};

static const struct store_ops root_ops;
static int home_take(struct store_root *root, struct slice text);
static int home_find(struct store_root *root);
static int home_begin(struct store_root *root);

static struct store_root *root_of(struct store *store)
{
    return (struct store_root *)store;
}

/* ---- opening ---- */

int store_root_open(struct runtime *runtime, struct slice address, unsigned local_flags,
                    struct store **out)
{
    struct store *main_store;
    TRY(store_locate_root(runtime, address, local_flags, &main_store));
    return store_root_wrap(runtime, main_store, out);
}

int store_root_wrap(struct runtime *runtime, struct store *main_store, struct store **out)
{
    struct store_root *root = memory_alloc_zero(sizeof *root);
    store_init(&root->store, &root_ops, memory_copy_text(slice_from_text(main_store->description)),
               main_store->local);
    root->runtime = runtime;
    root->main = main_store;
    ASSERT(pthread_mutex_init(&root->lock, NULL) == 0);
    *out = &root->store;
    return 0;
}

int store_root_begin(struct store *store, struct slice log_home)
{
    struct store_root *root = root_of(store);
    if (store->ops != &root_ops) return 0;
    if (log_home.size) {
        struct store *trial;
        int64_t now_ms;
        TRY(store_postgres_open(root->runtime, log_home, SLICE("trial"), false, &trial));
        int code = store_time_ms(trial, &now_ms);
        store_close(trial);
        TRY(code);
    }
    root->begins = true;
    root->wish = memory_copy_text(log_home);
    return 0;
}

const char *store_root_logs(const struct store *store)
{
    const struct store_root *root = (const struct store_root *)store;
    if (!store || store->ops != &root_ops || atomic_load(&root->home) != HOME_AWAY) return NULL;
    return root->log->description;
}

int store_root_cache(struct store *store, const struct store_cache_settings *settings)
{
    struct store_root *root = root_of(store);
    if (store->ops != &root_ops) return 0;
    store_close(root->cache);
    root->cache = NULL;
    if (!settings || (!settings->memory_bytes && !settings->disk_bytes)) return 0;
    return store_cache_open(root->runtime, root->main, settings, &root->cache);
}

/* ---- which store ---- */

/* Behind "catalogue/", "tasks/" or "tables/<id>/": where a log's folder would begin; 0: nowhere. */
static size_t log_folder_at(struct slice key)
{
    static const char *const owners[] = {"catalogue/", "tasks/"};
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        if (slice_starts_with(key, slice_from_text(owners[i]))) return strlen(owners[i]);
    if (!slice_starts_with(key, SLICE("tables/"))) return 0;
    for (size_t i = strlen("tables/"); i < key.size; i++)
        if (key.data[i] == '/') return i + 1;
    return 0;
}

static bool key_is_of_log(struct slice key)
{
    size_t at = log_folder_at(key);
    return at && slice_starts_with(slice_part(key, at, key.size), SLICE("log/"));
}

enum side { SIDE_MAIN, SIDE_LOG, SIDE_BOTH };

/* Where the keys with a prefix lie. */
static enum side prefix_side(struct slice prefix)
{
    if (key_is_of_log(prefix)) return SIDE_LOG;
    size_t at = log_folder_at(prefix);
    if (at) {
        struct slice rest = slice_part(prefix, at, prefix.size);
        return rest.size < 4 && slice_starts_with(SLICE("log/"), rest) ? SIDE_BOTH : SIDE_MAIN;
    }
    static const char *const owners[] = {"catalogue/", "tasks/", "tables/"};
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        if (slice_starts_with(prefix, slice_from_text(owners[i])) ||
            slice_starts_with(slice_from_text(owners[i]), prefix))
            return SIDE_BOTH;
    return SIDE_MAIN;
}

/* The store of the logs, found out if need be. */
static int log_store(struct store_root *root, struct store **out)
{
    if (atomic_load(&root->home) == HOME_UNKNOWN) TRY(home_find(root));
    *out = atomic_load(&root->home) == HOME_AWAY ? root->log : root->main;
    return 0;
}

static int store_of(struct store_root *root, struct slice key, struct store **out)
{
    *out = root->main;
    return key_is_of_log(key) ? log_store(root, out) : 0;
}

/* ---- home ---- */

/* {"glis":1,"id":"01J...","log":"postgresql://..."}; without "log" the store itself. */
static int home_take(struct store_root *root, struct slice text)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct json *json;
    struct json_rules rules = {HOME_BYTES_MAX, 8, GLIS_ECORRUPT};
    int64_t level;
    struct slice id, log = SLICE_EMPTY;
    TRY_CONTEXT(json_parse(&arena, text, rules, &json), "object home of %s",
                root->store.description);
    TRY_CONTEXT(json_get_int(json, "glis", 1, INT32_MAX, &level), "object home of %s",
                root->store.description);
    if (level > HOME_LEVEL)
        return error_set(GLIS_ENEWER, "the object home of %s is of a newer version of Glis",
                         root->store.description);
    TRY_CONTEXT(json_get_string(json, "id", &id), "object home of %s", root->store.description);
    TRY_CONTEXT(json_optional_string(json, "log", &log), "object home of %s",
                root->store.description);
    store_close(root->log);
    root->log = NULL;
    if (log.size)
        TRY_CONTEXT(store_postgres_open(root->runtime, log, id, false, &root->log),
                    "the log's home of %s", root->store.description);
    if (log.size) store_postgres_expect(root->log);
    if (root->begins && root->wish[0] && !slice_equal_text(log, root->wish))
        return error_set(GLIS_EEXISTS, "the home of the logs of %s was said before, and stays: %s",
                         root->store.description,
                         log.size ? root->log->description : "the store itself");
    atomic_store(&root->home, log.size ? HOME_AWAY : HOME_MAIN);
    return 0;
}

/* Nothing is at `home`. Unless something of a log is here, there must be nothing else either. */
static int home_absent(struct store_root *root, const struct store_read *reads, size_t n_reads)
{
    for (size_t i = 0; i < n_reads; i++)
        if (reads[i].outcome == 0 && key_is_of_log(reads[i].key)) return 0;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    TRY(store_list(root->main, SLICE("catalogue/"), SLICE_EMPTY, 1, &arena, &list));
    if (list.n_objects && key_is_of_log(list.objects[0].key)) return 0;
    if (!list.n_objects)
        TRY(store_list(root->main, SLICE("tables/"), SLICE_EMPTY, 1, &arena, &list));
    if (!list.n_objects) return 0;
    return error_set(GLIS_ECORRUPT,
                     "%s holds %.*s, but neither the object home nor the log of a catalogue: home "
                     "was lost. Restore it from a backup; when the logs are in PostgreSQL, the "
                     "column body of the instance's row with the key 'home' in the table glis_log "
                     "has it",
                     root->store.description, SLICE_PRINT(list.objects[0].key));
}

/* Reads `home` before what `reads` ask of the store itself; the lock is held. */
static int home_read(struct store_root *root, struct store_read *reads, size_t n_reads)
{
    struct store_read *all = memory_alloc_zero((n_reads + 1) * sizeof *all);
    all[0] = (struct store_read){.key = HOME_KEY, .length = HOME_BYTES_MAX};
    if (n_reads) memcpy(all + 1, reads, n_reads * sizeof *all);
    int code = store_read(root->main, all, n_reads + 1);
    struct error_detail failure;
    if (code < 0) error_save(&failure);
    int found = all[0].outcome;
    if (found == 0) {
        code = home_take(root, slice_make(all[0].data, all[0].size));
        store_read_release(all, 1);
    } else if (found == GLIS_ENOTFOUND) {
        code = 0;
        for (size_t i = 1; i <= n_reads && code == 0; i++)
            if (all[i].outcome != GLIS_ENOTFOUND) code = all[i].outcome;
        if (code < 0) (void)!error_load(&failure);
        int lost = code == 0 ? home_absent(root, all + 1, n_reads) : 0;
        if (lost < 0) {
            store_read_release(all + 1, n_reads);
            free(all);
            return lost;
        }
        atomic_store(&root->home, root->begins ? HOME_NONE : HOME_MAIN);
    } else {
        error_context("looking for the home of the logs of %s", root->store.description);
    }
    /* What was read of the logs counts when they are here. */
    if (found == GLIS_ENOTFOUND ||
        (found == 0 && code == 0 && atomic_load(&root->home) == HOME_MAIN)) {
        if (n_reads) memcpy(reads, all + 1, n_reads * sizeof *all);
    } else {
        store_read_release(all + 1, n_reads);
    }
    free(all);
    return code;
}

static int home_find(struct store_root *root)
{
    pthread_mutex_lock(&root->lock);
    int code = atomic_load(&root->home) == HOME_UNKNOWN ? home_read(root, NULL, 0) : 0;
    pthread_mutex_unlock(&root->lock);
    return code;
}

/* The object `home`, or with `root` what the database keeps of it. */
static int home_text(const struct store_root *root, const struct ulid *id, bool is_row,
                     struct buffer *out)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_object_begin(&json);
    json_write_field_int(&json, "glis", HOME_LEVEL);
    json_write_field_string(&json, "id", ulid_slice(id));
    if (root->wish[0]) json_write_field_text(&json, "log", root->wish);
    if (is_row) json_write_field_text(&json, "root", root->store.description);
    json_write_object_end(&json);
    TRY(json_writer_finish(&json));
    return buffer_append_byte(out, '\n');
}

/* Opens the database for an instance to be begun there, and tells it of the instance. */
static int home_claim(const struct store_root *root, const struct ulid *id, struct store **out)
{
    defer_buffer struct buffer row = BUFFER_INIT(HOME_BYTES_MAX);
    int64_t now_ms;
    TRY(home_text(root, id, true, &row));
    struct store *log;
    TRY(store_postgres_open(root->runtime, slice_from_text(root->wish), ulid_slice(id), true,
                            &log));
    int code = store_time_ms(log, &now_ms);
    if (code == 0) code = store_postgres_claim(log, buffer_slice(&row));
    if (code == 0)
        *out = log;
    else
        store_close(log);
    return code;
}

static int home_write(struct store_root *root)
{
    struct ulid id = ulid_new(root->runtime);
    defer_buffer struct buffer text = BUFFER_INIT(HOME_BYTES_MAX);
    struct store *log = NULL;
    TRY(home_text(root, &id, false, &text));
    if (root->wish[0]) TRY(home_claim(root, &id, &log));
    int code = store_put(root->main, HOME_KEY, buffer_slice(&text), STORE_IF_ABSENT);
    struct error_detail failure;
    if (code < 0) error_save(&failure);
    /* Another's home is there for ever. What nobody knows of is a row too many, and no harm. */
    if (code == GLIS_EEXISTS && log) (void)!store_postgres_disclaim(log);
    store_close(log);
    /* Whoever wrote it, and also when nobody can tell: what is there now counts. */
    if (code < 0 && code != GLIS_EEXISTS && code != GLIS_EUNKNOWN) return error_load(&failure);
    TRY(home_read(root, NULL, 0));
    return atomic_load(&root->home) == HOME_NONE && code < 0 ? error_load(&failure) : 0;
}

/* Before the first put of an instance that is to be begun. */
static int home_begin(struct store_root *root)
{
    pthread_mutex_lock(&root->lock);
    int code = atomic_load(&root->home) == HOME_NONE ? home_write(root) : 0;
    pthread_mutex_unlock(&root->lock);
    return code;
}

/* ---- requests ---- */

static int root_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct store_root *root = root_of(store);
    struct store *to;
    TRY(store_of(root, key, &to));
    if (key_is_of_log(key) && atomic_load(&root->home) == HOME_NONE) {
        TRY(home_begin(root));
        TRY(store_of(root, key, &to));
    }
    return store_put(to, key, body, flags);
}

static void read_fails(struct store_read *reads, size_t n_reads, int code)
{
    for (size_t i = 0; i < n_reads; i++) {
        reads[i].outcome = code;
        reads[i].block = NULL;
        reads[i].data = NULL;
        reads[i].size = 0;
    }
}

/* Reads of the logs only; the first ones bring `home` with them. */
static void log_read(struct store_root *root, struct store_read *reads, size_t n_reads)
{
    if (atomic_load(&root->home) == HOME_UNKNOWN) {
        pthread_mutex_lock(&root->lock);
        bool mine = atomic_load(&root->home) == HOME_UNKNOWN;
        int code = mine ? home_read(root, reads, n_reads) : 0;
        bool away = atomic_load(&root->home) == HOME_AWAY;
        bool unknown = atomic_load(&root->home) == HOME_UNKNOWN;
        pthread_mutex_unlock(&root->lock);
        if (unknown) read_fails(reads, n_reads, code);
        if (unknown || (mine && !away)) return;
    }
    struct store *from = atomic_load(&root->home) == HOME_AWAY ? root->log : root->main;
    (void)!store_read(from, reads, n_reads);
}

static void root_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct store_root *root = root_of(store);
    struct store *rest = root->cache ? root->cache : root->main;
    size_t n_log = 0;
    for (size_t i = 0; i < n_reads; i++)
        n_log += key_is_of_log(reads[i].key);
    if (n_log == n_reads) {
        log_read(root, reads, n_reads);
    } else if (n_log == 0) {
        (void)!store_read(rest, reads, n_reads);
    } else {
        struct store_read *parts = memory_alloc(n_reads * sizeof *parts);
        size_t head = 0, tail = n_reads;
        for (size_t i = 0; i < n_reads; i++)
            parts[key_is_of_log(reads[i].key) ? head++ : --tail] = reads[i];
        (void)!store_read(rest, parts + n_log, n_reads - n_log);
        log_read(root, parts, n_log);
        for (size_t i = 0, h = 0, t = n_reads; i < n_reads; i++)
            reads[i] = parts[key_is_of_log(reads[i].key) ? h++ : --t];
        free(parts);
    }
}

/* Of data files and the like; what is of a log is read in the end. */
static struct store_reading *root_read_begin(struct store *store, struct store_read *reads,
                                             size_t n_reads)
{
    struct store_root *root = root_of(store);
    for (size_t i = 0; i < n_reads; i++)
        if (key_is_of_log(reads[i].key) && atomic_load(&root->home) != HOME_MAIN) return NULL;
    bool any_log = false;
    for (size_t i = 0; i < n_reads; i++)
        any_log |= key_is_of_log(reads[i].key);
    return store_read_begin(root->cache && !any_log ? root->cache : root->main, reads, n_reads);
}

static void root_forget(struct store *store, struct slice key, uint64_t object_size)
{
    struct store_root *root = root_of(store);
    if (root->cache) store_forget(root->cache, key, object_size);
}

static int root_head(struct store *store, struct slice key, struct store_object *out)
{
    struct store *from;
    TRY(store_of(root_of(store), key, &from));
    return store_head(from, key, out);
}

/* Two pages in one, by key; what lies beyond the end of a page that has more waits for the next. */
static void lists_merge(const struct store_list *a, const struct store_list *b, size_t limit,
                        struct arena *arena, struct store_list *out)
{
    const struct store_list *lists[] = {a, b};
    size_t at[] = {0, 0};
    if (limit == 0) limit = SIZE_MAX;
    out->objects = ARENA_ARRAY(arena, struct store_object, a->n_objects + b->n_objects);
    for (;;) {
        bool ended[2];
        for (size_t i = 0; i < 2; i++)
            ended[i] = at[i] == lists[i]->n_objects;
        out->more = a->more || b->more || !ended[0] || !ended[1];
        if ((ended[0] && a->more) || (ended[1] && b->more) || (ended[0] && ended[1]) ||
            out->n_objects == limit)
            return;
        size_t next = ended[0] ? 1 : 0;
        if (!ended[0] && !ended[1] &&
            slice_compare(b->objects[at[1]].key, a->objects[at[0]].key) < 0)
            next = 1;
        out->objects[out->n_objects++] = lists[next]->objects[at[next]++];
    }
}

static int root_list(struct store *store, struct slice prefix, struct slice start_after,
                     size_t limit, struct arena *arena, struct store_list *out)
{
    struct store_root *root = root_of(store);
    struct store *log = root->main;
    enum side side = prefix_side(prefix);
    if (side != SIDE_MAIN) TRY(log_store(root, &log));
    if (side != SIDE_BOTH || log == root->main)
        return store_list(log, prefix, start_after, limit, arena, out);
    struct store_list ours, theirs;
    TRY(store_list(root->main, prefix, start_after, limit, arena, &ours));
    TRY(store_list(log, prefix, start_after, limit, arena, &theirs));
    lists_merge(&ours, &theirs, limit, arena, out);
    return 0;
}

/* Calls one of two requests for the keys of each side. */
static int both_sides(struct store_root *root, const struct slice *keys, size_t n_keys,
                      int (*request)(struct store *store, const struct slice *keys, size_t n))
{
    size_t n_log = 0;
    for (size_t i = 0; i < n_keys; i++)
        n_log += key_is_of_log(keys[i]);
    if (n_log == 0) return request(root->main, keys, n_keys);
    struct store *log;
    TRY(log_store(root, &log));
    if (log == root->main || n_log == n_keys) return request(log, keys, n_keys);
    struct slice *parts = memory_alloc(n_keys * sizeof *parts);
    size_t head = 0, tail = n_keys;
    for (size_t i = 0; i < n_keys; i++)
        parts[key_is_of_log(keys[i]) ? head++ : --tail] = keys[i];
    int rest = request(root->main, parts + n_log, n_keys - n_log);
    int code = request(log, parts, n_log);
    free(parts);
    return rest < 0 ? rest : code;
}

static int root_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    return both_sides(root_of(store), keys, n_keys, store_remove);
}

static int root_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    return both_sides(root_of(store), keys, n_keys, store_sync);
}

/* What is handed out is an upload of the store that it goes to. */
static int root_upload_open(struct store *store, struct slice key, unsigned flags,
                            struct store_upload **out)
{
    struct store *to;
    TRY(store_of(root_of(store), key, &to));
    return store_upload_open(to, key, flags, out);
}

static int root_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                                struct store_unfinished **out, size_t *n_out)
{
    struct store *from = root_of(store)->main;
    if (prefix_side(prefix) == SIDE_LOG) TRY(log_store(root_of(store), &from));
    return store_unfinished_list(from, prefix, arena, out, n_out);
}

static int root_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    struct store *from;
    TRY(store_of(root_of(store), upload->key, &from));
    return store_unfinished_remove(from, upload);
}

/* The store that keeps what lies in a folder, which has no slash at its end. */
static int store_of_folder(struct store_root *root, struct slice folder, struct store **out)
{
    char key[STORE_KEY_BYTES_MAX + 1];
    if (folder.size >= STORE_KEY_BYTES_MAX)
        return error_set(GLIS_EINVALID, "the name of a folder has %zu bytes", folder.size);
    memcpy(key, folder.data, folder.size);
    key[folder.size] = '/';
    return store_of(root, slice_make(key, folder.size + 1), out);
}

static int root_watch_open(struct store *store, struct slice folder, struct store_watch **out)
{
    struct store *of;
    TRY(store_of_folder(root_of(store), folder, &of));
    return store_watch_open(of, folder, out);
}

static void root_watchers_told(struct store *store, struct slice folder)
{
    struct store *of;
    if (store_of_folder(root_of(store), folder, &of) == 0)
        store_watchers_told(of, folder);
    else
        error_clear();
}

static int root_time_ms(struct store *store, int64_t *out)
{
    return store_time_ms(root_of(store)->main, out);
}

static void root_counters(const struct store *store, struct store_counters *out)
{
    const struct store_root *root = (const struct store_root *)store;
    *out = store_counters(root->cache ? root->cache : root->main);
    if (atomic_load(&root->home) != HOME_AWAY) return;
    struct store_counters log = store_counters(root->log);
    out->puts += log.puts;
    out->conditional_puts += log.conditional_puts;
    out->gets += log.gets;
    out->heads += log.heads;
    out->lists += log.lists;
    out->deletes += log.deletes;
    out->syncs += log.syncs;
    out->bytes_read += log.bytes_read;
    out->bytes_written += log.bytes_written;
    out->depth += log.depth;
}

static void root_close(struct store *store)
{
    struct store_root *root = root_of(store);
    store_close(root->cache);
    store_close(root->log);
    store_close(root->main);
    pthread_mutex_destroy(&root->lock);
    free(root->wish);
    free(root);
}

static const struct store_ops root_ops = {
    .put = root_put,
    .read = root_read,
    .read_begin = root_read_begin,
    .head = root_head,
    .list = root_list,
    .remove = root_remove,
    .sync = root_sync,
    .upload_open = root_upload_open,
    .unfinished_list = root_unfinished_list,
    .unfinished_remove = root_unfinished_remove,
    .time_ms = root_time_ms,
    .watch_open = root_watch_open,
    .watchers_told = root_watchers_told,
    .forget = root_forget,
    .counters = root_counters,
    .close = root_close,
};
