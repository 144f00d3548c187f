/*
 * store_postgres.c: objects as rows of a table, for what lies under log/.
 *
 *     create table glis_log (log text, key text, body bytea, put_ms bigint, primary key (log, key))
 *
 * The object a/b/log/c of instance I is the row (log 'I/a/b/', key 'log/c'): the split is before
 * the first part that is "log"; an object without one has all of its key in `key`. So a log is one
 * run of the primary key, both columns are in byte order (collate "C"), and log || key is always
 * I/ and the object's key. put_ms is the database's clock when the row was put.
 *
 * Whose rows these are is said by the row (log 'I', key 'home'), which is made before the object
 * `home` of the instance and never changed; its body is what that object holds, and where the
 * instance was then. No object has this row: their `log` begins with 'I/'.
 *
 * Put if absent is `insert ... on conflict do nothing`: one row changed is won, none is
 * GLIS_EEXISTS. A statement is a transaction of its own, and sets synchronous_commit itself, for
 * this transaction: what a session was told holds for another one behind a pooler. A conditional
 * put is sent once; everything else may be repeated, for it can be done twice without harm. Reads
 * of several objects go in one pipeline.
 *
 * An upload gathers its body in memory and is one put: what belongs here is small. Those under way
 * are only known to this process.
 */
#include "store/store_postgres_int.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIST_PAGE_DEFAULT = 1000, LIST_PAGE_MAX = 10000 };
#define UPLOAD_BYTES_MAX ((size_t)512 << 20)

#define CREATE_TABLE                                                                           \
    "create table if not exists glis_log (log text collate \"C\" not null, key text collate "  \
    "\"C\" not null, body bytea not null, put_ms bigint not null default (extract(epoch from " \
    "clock_timestamp()) * 1000)::bigint, primary key (log, key))"

/* True, and what this transaction does is durable when it is answered. */
#define DURABLE                                                                         \
    "set_config('synchronous_commit', case current_setting('synchronous_commit') when " \
    "'remote_apply' then 'remote_apply' else 'on' end, true) is not null"

#define PUT                                                                                  \
    "insert into glis_log (log, key, body) select $1, $2, $3 where " DURABLE " on conflict " \
    "(log, key) do "
#define REPLACE "update set body = excluded.body, put_ms = excluded.put_ms"

struct postgres_upload {
    struct store_upload upload;
    struct postgres_upload *next;
    char *key;
    char id[24];
    int64_t begun_ms;
    bool removed;
    struct buffer body;
};

struct store_postgres {
    struct store store;
    struct runtime *runtime;
    struct postgres_server *server;
    char *instance;       /* with '/' */
    pthread_mutex_t lock; /* guards all below */
    struct postgres_upload *uploads;
    uint64_t n_uploads_ever;
};

static const struct store_ops postgres_ops;

static struct store_postgres *postgres_of(struct store *store)
{
    return (struct store_postgres *)store;
}

int store_postgres_open(struct runtime *runtime, struct slice address, struct slice instance,
                        bool create, struct store **out)
{
    char *description = NULL;
    struct postgres_server *server;
    TRY(store_key_check(instance));
    TRY(postgres_server_open(runtime, address, create ? CREATE_TABLE : NULL, &server,
                             &description));
    struct store_postgres *postgres = memory_alloc_zero(sizeof *postgres);
    store_init(&postgres->store, &postgres_ops, description, false);
    postgres->runtime = runtime;
    postgres->server = server;
    char name[STORE_KEY_BYTES_MAX + 2];
    snprintf(name, sizeof name, "%.*s/", SLICE_PRINT(instance));
    postgres->instance = memory_copy_text(slice_from_text(name));
    ASSERT(pthread_mutex_init(&postgres->lock, NULL) == 0);
    *out = &postgres->store;
    return 0;
}

/* The instance's name without '/', which is the `log` of the row that says whose rows these are. */
static struct slice instance_name(const struct store_postgres *postgres)
{
    return slice_make(postgres->instance, strlen(postgres->instance) - 1);
}

int store_postgres_claim(struct store *store, struct slice text)
{
    struct store_postgres *postgres = postgres_of(store);
    struct postgres_statement claim = {
        .sql = PUT "nothing",
        .n_values = 3,
        .values = {instance_name(postgres), SLICE("home"), text},
        .types = {POSTGRES_TEXT, POSTGRES_TEXT, POSTGRES_BYTES},
    };
    TRY_CONTEXT(postgres_run(postgres->server, &claim, 1, POSTGRES_REPEATABLE), "%s",
                store->description);
    postgres_statements_free(&claim, 1);
    return 0;
}

int store_postgres_disclaim(struct store *store)
{
    struct store_postgres *postgres = postgres_of(store);
    struct postgres_statement disclaim = {
        .sql = "delete from glis_log where log = $1 and key = 'home'",
        .n_values = 1,
        .values = {instance_name(postgres)},
    };
    TRY_CONTEXT(postgres_run(postgres->server, &disclaim, 1, POSTGRES_REPEATABLE), "%s",
                store->description);
    postgres_statements_free(&disclaim, 1);
    return 0;
}

void store_postgres_expect(struct store *store)
{
    struct store_postgres *postgres = postgres_of(store);
    defer_free char *name = memory_copy_text(instance_name(postgres));
    postgres_server_expect(postgres->server, name);
}

/* ---- keys ---- */

/* Where the part "log" with something behind it begins; 0 when there is none. */
static size_t split_at(struct slice key)
{
    for (size_t at = 0; at + 4 <= key.size; at++)
        if ((at == 0 || key.data[at - 1] == '/') && memcmp(key.data + at, "log/", 4) == 0)
            return at;
    return 0;
}

/* The column `log` of a key; in the arena. */
static struct slice log_column(const struct store_postgres *postgres, struct slice key,
                               size_t split, struct arena *arena)
{
    return slice_from_text(
        arena_printf(arena, "%s%.*s", postgres->instance, (int)split, key.data ? key.data : ""));
}

static void statement_key(const struct store_postgres *postgres, struct slice key,
                          struct arena *arena, struct postgres_statement *statement)
{
    size_t split = split_at(key);
    statement->values[0] = log_column(postgres, key, split, arena);
    statement->values[1] = slice_part(key, split, key.size);
    statement->n_values = 2;
}

/* ---- requests ---- */

static int postgres_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    bool conditional = flags & STORE_IF_ABSENT;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct postgres_statement put = {.sql = conditional ? PUT "nothing" : PUT REPLACE};
    statement_key(postgres_of(store), key, &arena, &put);
    put.values[2] = body;
    put.types[2] = POSTGRES_BYTES;
    put.n_values = 3;
    TRY_CONTEXT(postgres_run(postgres_of(store)->server, &put, 1,
                             conditional ? POSTGRES_ONCE : POSTGRES_REPEATABLE),
                "%s", store->description);
    uint64_t n_changed = put.n_changed;
    postgres_statements_free(&put, 1);
    if (conditional && n_changed == 0) return error_set(GLIS_EEXISTS, "the object exists already");
    return 0;
}

static int row_read(const struct postgres_statement *statement, struct store_read *read)
{
    if (statement->n_rows == 0) return GLIS_ENOTFOUND;
    struct slice body = postgres_field(statement, 0, 0);
    uint64_t start = 0, size = 0;
    TRY(store_range(read, body.size, &start, &size));
    TRY(block_new(&read->block, read->budget, size));
    if (size) memcpy(read->block->data, body.data + start, size);
    read->data = read->block->data;
    read->size = size;
    read->object_size = body.size;
    return 0;
}

static void postgres_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct postgres_statement *statements = ARENA_ARRAY(&arena, struct postgres_statement, n_reads);
    for (size_t i = 0; i < n_reads; i++) {
        statements[i].sql = "select body from glis_log where log = $1 and key = $2";
        statement_key(postgres_of(store), reads[i].key, &arena, &statements[i]);
    }
    int code = postgres_run(postgres_of(store)->server, statements, n_reads, POSTGRES_REPEATABLE);
    if (code < 0) error_context("%s", store->description);
    struct error_detail failure = {0};
    for (size_t i = 0; i < n_reads; i++) {
        reads[i].outcome = code < 0 ? code : row_read(&statements[i], &reads[i]);
        if (reads[i].outcome != 0 && reads[i].outcome != GLIS_ENOTFOUND && !failure.code)
            error_save(&failure);
    }
    postgres_statements_free(statements, n_reads);
    if (failure.code) (void)!error_load(&failure);
}

static int postgres_head(struct store *store, struct slice key, struct store_object *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct postgres_statement head = {.sql =
                                          "select octet_length(body)::bigint, put_ms from glis_log "
                                          "where log = $1 and key = $2"};
    statement_key(postgres_of(store), key, &arena, &head);
    TRY_CONTEXT(postgres_run(postgres_of(store)->server, &head, 1, POSTGRES_REPEATABLE), "%s",
                store->description);
    int code = head.n_rows ? 0 : error_set(GLIS_ENOTFOUND, "no such object");
    int64_t size = 0, put_ms = 0;
    if (code == 0) code = postgres_number(&head, 0, 0, &size);
    if (code == 0) code = postgres_number(&head, 0, 1, &put_ms);
    postgres_statements_free(&head, 1);
    if (code == 0)
        *out = (struct store_object){.key = key, .size = (uint64_t)size, .modified_ms = put_ms};
    return code;
}

/* The least text above all that begin with `prefix`; false when that is not simple to say. */
static bool prefix_end(struct slice prefix, struct arena *arena, struct slice *out)
{
    if (prefix.size == 0) return false;
    uint8_t last = (uint8_t)prefix.data[prefix.size - 1];
    if (last >= 0x7e) return false;
    char *end = arena_copy_text(arena, prefix);
    end[prefix.size - 1] = (char)(last + 1);
    *out = slice_make(end, prefix.size);
    return true;
}

/* A list within one log: a walk along the primary key. */
static bool list_one_log(const struct store_postgres *postgres, struct slice prefix, size_t split,
                         struct slice start_after, struct arena *arena,
                         struct postgres_statement *statement)
{
    struct slice log = slice_part(prefix, 0, split), after = SLICE_EMPTY, end;
    if (slice_starts_with(start_after, log))
        after = slice_part(start_after, split, start_after.size);
    else if (slice_compare(start_after, log) > 0)
        return false; /* nothing is behind it */
    struct slice rest = slice_part(prefix, split, prefix.size);
    statement->values[0] = log_column(postgres, prefix, split, arena);
    statement->values[1] = after;
    statement->values[2] = rest;
    statement->sql = "select key, octet_length(body)::bigint, put_ms from glis_log where log = $1 "
                     "and key > $2 and key >= $3 and starts_with(key, $3) order by key "
                     "limit $4::text::bigint";
    if (prefix_end(rest, arena, &end)) {
        statement->values[4] = end;
        statement->sql = "select key, octet_length(body)::bigint, put_ms from glis_log "
                         "where log = $1 and key > $2 and key >= $3 and key < $5 "
                         "order by key limit $4::text::bigint";
        statement->n_values = 5;
    } else {
        statement->n_values = 4;
    }
    return true;
}

/* A list over several logs, which is rare: all rows of the instance are looked at. */
static void list_many_logs(const struct store_postgres *postgres, struct slice prefix,
                           struct slice start_after, struct arena *arena,
                           struct postgres_statement *statement)
{
    struct slice all = slice_from_text(postgres->instance), end = SLICE_EMPTY;
    bool simple = prefix_end(all, arena, &end); /* it ends with '/' */
    ASSERT(simple);
    statement->values[0] = all;
    statement->values[1] = end;
    statement->values[2] = slice_from_text(
        arena_printf(arena, "%s%.*s", postgres->instance, SLICE_PRINT(start_after)));
    statement->values[4] =
        slice_from_text(arena_printf(arena, "%s%.*s", postgres->instance, SLICE_PRINT(prefix)));
    statement->sql = "select log || key, octet_length(body)::bigint, put_ms from glis_log where "
                     "log >= $1 and log < $2 and (log || key) collate \"C\" > $3 and "
                     "starts_with(log || key, $5) order by (log || key) collate \"C\" "
                     "limit $4::text::bigint";
    statement->n_values = 5;
}

static int postgres_list(struct store *store, struct slice prefix, struct slice start_after,
                         size_t limit, struct arena *arena, struct store_list *out)
{
    const struct store_postgres *postgres = postgres_of(store);
    if (limit == 0) limit = LIST_PAGE_DEFAULT;
    if (limit > LIST_PAGE_MAX) limit = LIST_PAGE_MAX;
    struct postgres_statement list = {0};
    size_t split = split_at(prefix);
    bool one = split > 0 || slice_starts_with(prefix, SLICE("log/"));
    if (one && !list_one_log(postgres, prefix, split, start_after, arena, &list)) return 0;
    if (!one) list_many_logs(postgres, prefix, start_after, arena, &list);
    list.values[3] = slice_from_text(arena_printf(arena, "%zu", limit + 1));
    TRY_CONTEXT(postgres_run(postgres->server, &list, 1, POSTGRES_REPEATABLE), "%s",
                store->description);
    size_t cut = one ? 0 : strlen(postgres->instance);
    out->more = list.n_rows > limit;
    out->n_objects = out->more ? limit : list.n_rows;
    out->objects = ARENA_ARRAY(arena, struct store_object, out->n_objects);
    int code = 0;
    for (size_t i = 0; i < out->n_objects && code == 0; i++) {
        struct slice key = postgres_field(&list, i, 0);
        key = slice_part(key, cut, key.size);
        int64_t size = 0, put_ms = 0;
        code = postgres_number(&list, i, 1, &size);
        if (code == 0) code = postgres_number(&list, i, 2, &put_ms);
        struct slice whole =
            slice_from_text(arena_printf(arena, "%.*s%.*s", (int)(one ? split : 0),
                                         prefix.data ? prefix.data : "", SLICE_PRINT(key)));
        out->objects[i] = (struct store_object){whole, (uint64_t)size, put_ms};
    }
    postgres_statements_free(&list, 1);
    return code;
}

static int postgres_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct postgres_statement *statements = ARENA_ARRAY(&arena, struct postgres_statement, n_keys);
    for (size_t i = 0; i < n_keys; i++) {
        statements[i].sql = "delete from glis_log where log = $1 and key = $2 and " DURABLE;
        statement_key(postgres_of(store), keys[i], &arena, &statements[i]);
    }
    TRY_CONTEXT(postgres_run(postgres_of(store)->server, statements, n_keys, POSTGRES_REPEATABLE),
                "%s", store->description);
    postgres_statements_free(statements, n_keys);
    return 0;
}

/* Every answer was durable already. */
static int postgres_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    for (size_t i = 0; i < n_keys; i++) {
        struct store_object object;
        TRY_CONTEXT(postgres_head(store, keys[i], &object), "%.*s", SLICE_PRINT(keys[i]));
    }
    return 0;
}

static int postgres_time_ms(struct store *store, int64_t *out)
{
    struct postgres_statement now = {
        .sql = "select (extract(epoch from clock_timestamp()) * 1000)::bigint"};
    TRY_CONTEXT(postgres_run(postgres_of(store)->server, &now, 1, POSTGRES_REPEATABLE), "%s",
                store->description);
    int code = postgres_number(&now, 0, 0, out);
    postgres_statements_free(&now, 1);
    return code;
}

/* ---- puts in parts ---- */

static int postgres_upload_open(struct store *store, struct slice key, unsigned flags,
                                struct store_upload **out)
{
    (void)flags;
    struct store_postgres *postgres = postgres_of(store);
    struct postgres_upload *upload = memory_alloc_zero(sizeof *upload);
    upload->key = memory_copy_text(key);
    upload->begun_ms = postgres->runtime->clock->wall_ms(postgres->runtime->clock);
    buffer_init(&upload->body, UPLOAD_BYTES_MAX, postgres->runtime->budget);
    pthread_mutex_lock(&postgres->lock);
    snprintf(upload->id, sizeof upload->id, "%llu", (unsigned long long)++postgres->n_uploads_ever);
    upload->next = postgres->uploads;
    postgres->uploads = upload;
    pthread_mutex_unlock(&postgres->lock);
    *out = &upload->upload;
    return 0;
}

static int postgres_upload_write(struct store_upload *base, struct slice part)
{
    return buffer_append_slice(&((struct postgres_upload *)base)->body, part);
}

static bool upload_free(struct store_postgres *postgres, struct postgres_upload *upload)
{
    pthread_mutex_lock(&postgres->lock);
    struct postgres_upload **link = &postgres->uploads;
    while (*link != upload)
        link = &(*link)->next;
    *link = upload->next;
    bool removed = upload->removed;
    pthread_mutex_unlock(&postgres->lock);
    buffer_free(&upload->body);
    free(upload->key);
    free(upload);
    return removed;
}

static int postgres_upload_finish(struct store_upload *base)
{
    struct postgres_upload *upload = (struct postgres_upload *)base;
    struct store_postgres *postgres = postgres_of(base->store);
    pthread_mutex_lock(&postgres->lock);
    bool removed = upload->removed;
    pthread_mutex_unlock(&postgres->lock);
    int code = removed ? error_set(GLIS_EIO, "the put of %s in parts was removed before its end",
                                   upload->key)
                       : postgres_put(base->store, slice_from_text(upload->key),
                                      buffer_slice(&upload->body), 0);
    upload_free(postgres, upload);
    return code;
}

static void postgres_upload_abort(struct store_upload *base)
{
    upload_free(postgres_of(base->store), (struct postgres_upload *)base);
}

static int postgres_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                                    struct store_unfinished **out, size_t *n_out)
{
    struct store_postgres *postgres = postgres_of(store);
    pthread_mutex_lock(&postgres->lock);
    size_t n = 0;
    for (struct postgres_upload *u = postgres->uploads; u; u = u->next)
        n++;
    *out = ARENA_ARRAY(arena, struct store_unfinished, n);
    for (struct postgres_upload *u = postgres->uploads; u; u = u->next) {
        struct slice key = slice_from_text(u->key);
        if (u->removed || !slice_starts_with(key, prefix)) continue;
        (*out)[(*n_out)++] = (struct store_unfinished){
            arena_copy(arena, key), arena_copy(arena, slice_from_text(u->id)), u->begun_ms};
    }
    pthread_mutex_unlock(&postgres->lock);
    return 0;
}

static int postgres_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    struct store_postgres *postgres = postgres_of(store);
    pthread_mutex_lock(&postgres->lock);
    for (struct postgres_upload *u = postgres->uploads; u; u = u->next)
        if (slice_equal_text(upload->id, u->id)) u->removed = true;
    pthread_mutex_unlock(&postgres->lock);
    return 0;
}

static void postgres_close(struct store *store)
{
    struct store_postgres *postgres = postgres_of(store);
    while (postgres->uploads)
        upload_free(postgres, postgres->uploads);
    postgres_server_close(postgres->server);
    pthread_mutex_destroy(&postgres->lock);
    free(postgres->instance);
    free(postgres);
}

static const struct store_ops postgres_ops = {
    .put = postgres_put,
    .read = postgres_read,
    .head = postgres_head,
    .list = postgres_list,
    .remove = postgres_remove,
    .sync = postgres_sync,
    .upload_open = postgres_upload_open,
    .upload_write = postgres_upload_write,
    .upload_finish = postgres_upload_finish,
    .upload_abort = postgres_upload_abort,
    .unfinished_list = postgres_unfinished_list,
    .unfinished_remove = postgres_unfinished_remove,
    .time_ms = postgres_time_ms,
    .close = postgres_close,
};
