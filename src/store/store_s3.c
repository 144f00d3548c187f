/*
 * store_s3.c: a bucket of an S3 server, or what lies below a prefix in it, as a store.
 *
 * Every operation is one exchange or a few (store_s3_exchange.c). Puts are durable when they are
 * answered, so there is nothing to sync; a sync says success without asking, also for objects that
 * do not exist. Below the prefix the folder .glis-store/ is the store's own: what the probe has
 * found out. It is not listed.
 *
 * Lists are ListObjectsV2 with URL-encoded keys. S3 lists in the byte order of UTF-8, as store.h
 * wants it; that is checked, for a server that does otherwise would break everything above.
 *
 * Time is the server's: the Date of an answer that came within the last minute, and the time that
 * has passed here since; without one, the bucket is asked. Its grain is a second.
 */
#include "store/store_s3_int.h"

#include <stdlib.h>

enum { PREFIX_BYTES_MAX = STORE_KEY_BYTES_MAX, LIST_PAGE_MAX = 1000 };
#define DATE_AGE_MAX_NS (60 * (int64_t)1000000000)

static const struct store_ops s3_ops;

static bool etag_is_there(const struct s3_exchange *exchange)
{
    return http_answer_header(&exchange->http, "etag").size > 0;
}

const struct s3_dialect s3_dialect_amazon = {
    .if_absent = {{"If-None-Match", 13}, {"*", 1}},
    .request_id = "x-amz-request-id",
    .put_is_own = etag_is_there, /* a proxy's page does not have one */
    .advice = s3_advice,
};

static struct store_s3 *s3_of(struct store *store)
{
    return (struct store_s3 *)store;
}

static int describe(struct store_s3 *s3)
{
    const struct s3_settings *settings = &s3->settings;
    defer_buffer struct buffer text = BUFFER_INIT(1 << 16);
    TRY(buffer_printf(
        &text, "bucket %.*s%s%.*s at %s://%.*s", SLICE_PRINT(settings->bucket),
        settings->prefix.size ? "/" : "",
        SLICE_PRINT(
            slice_part(settings->prefix, 0, settings->prefix.size ? settings->prefix.size - 1 : 0)),
        settings->tls ? "https" : "http", SLICE_PRINT(settings->host)));
    if (settings->port) TRY(buffer_printf(&text, ":%u", settings->port));
    store_init(&s3->store, &s3_ops, memory_copy_text(buffer_slice(&text)), false);
    return 0;
}

int store_s3_open(struct runtime *runtime, struct slice address, unsigned flags, struct store **out)
{
    struct store_s3 *s3 = memory_alloc_zero(sizeof(*s3));
    const struct s3_environment *environment = s3_environment_system();
    s3_begin(s3, runtime, flags);
    int code = s3_settings_load(environment, address, &s3->arena, &s3->settings);
    if (code == 0)
        code = s3_provider_open(runtime, s3->http, environment, &s3->settings, &s3->provider);
    if (code == 0) code = describe(s3);
    if (code < 0) {
        error_context("%.*s", SLICE_PRINT(address));
        s3_close(&s3->store);
        return code;
    }
    s3->dialect = s3->settings.google ? &s3_dialect_google : &s3_dialect_amazon;
    s3->deletes_singly = s3->settings.google; /* it has no DeleteObjects */
    *out = &s3->store;
    return 0;
}

void s3_begin(struct store_s3 *s3, struct runtime *runtime, unsigned flags)
{
    s3->runtime = runtime;
    s3->http = http_of(runtime);
    s3->read_only = (flags & STORE_LOCAL_READ_ONLY) != 0;
    s3->tokens = INT64_MAX / 2; /* full; cut to its maximum when first used */
    s3->signer = s3_signer_new();
    atomic_init(&s3->current, &s3->settings);
    ASSERT(pthread_mutex_init(&s3->lock, NULL) == 0);
    ASSERT(pthread_mutex_init(&s3->probe_lock, NULL) == 0);
}

void s3_close(struct store *store)
{
    struct store_s3 *s3 = s3_of(store);
    s3_signer_free(s3->signer);
    s3_provider_close(s3->provider);
    pthread_mutex_destroy(&s3->lock);
    pthread_mutex_destroy(&s3->probe_lock);
    arena_free(&s3->arena);
    free(s3);
}

int s3_may_write(struct store_s3 *s3)
{
    if (s3->read_only)
        return error_set(GLIS_EDENIED, "%s was opened for reading only", s3->store.description);
    return 0;
}

int s3_full_key(const struct store_s3 *s3, struct slice key, struct arena *arena, struct slice *out)
{
    struct slice prefix = s3->settings.prefix;
    if (slice_starts_with(key, SLICE(S3_OWN_FOLDER)))
        return error_set(GLIS_EINVALID,
                         "keys that begin with " S3_OWN_FOLDER " are the store's own: %.*s",
                         SLICE_PRINT(key));
    if (prefix.size + key.size > STORE_KEY_BYTES_MAX)
        return error_set(GLIS_EINVALID, "a key of %zu bytes with its prefix; S3 allows %d: %.*s…",
                         prefix.size + key.size, STORE_KEY_BYTES_MAX,
                         SLICE_PRINT(slice_part(key, 0, 64)));
    char *full = arena_alloc(arena, prefix.size + key.size + 1);
    if (prefix.size) memcpy(full, prefix.data, prefix.size);
    memcpy(full + prefix.size, key.data, key.size);
    *out = slice_make(full, prefix.size + key.size);
    return 0;
}

/* ---- puts ---- */

int s3_put_once(struct store_s3 *s3, struct slice full_key, struct slice body, unsigned flags)
{
    bool conditional = (flags & STORE_IF_ABSENT) != 0;
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "PUT", full_key, S3_KIND_WRITE,
                     conditional ? S3_CONDITIONAL : 0);
    exchange.request.body = body;
    if (conditional) {
        exchange.request.headers = &s3->dialect->if_absent;
        exchange.request.n_headers = 1;
    }
    int code = s3_exchange_run(&exchange);
    if (code == 0 || conditional || !exchange.broke) return code;
    /* What the last try met with says nothing of one that was cut off: it may have been carried
     * out. */
    struct error_detail detail;
    error_save(&detail);
    if (detail.code != GLIS_ECANCELLED) detail.code = GLIS_EIO;
    return error_load(&detail);
}

int s3_put(struct store *store, struct slice key, struct slice body, unsigned flags)
{
    struct store_s3 *s3 = s3_of(store);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice full_key;
    TRY(s3_may_write(s3));
    TRY(s3_full_key(s3, key, &arena, &full_key));
    int probed = s3_probe(s3);
    if (probed < 0) return flags & STORE_IF_ABSENT ? s3_not_sent(probed) : probed;
    if (!(flags & STORE_IF_ABSENT) && body.size > s3->settings.part_bytes) {
        struct store_upload *upload = NULL;
        TRY(s3_upload_open(store, key, flags, &upload));
        upload->store = store;
        int code = s3_upload_write(upload, body);
        if (code == 0) return s3_upload_finish(upload);
        s3_upload_abort(upload);
        return code;
    }
    return s3_put_once(s3, full_key, body, flags);
}

int s3_sync(struct store *store, const struct slice *keys, size_t n_keys)
{
    (void)keys, (void)n_keys;
    return s3_may_write(s3_of(store));
}

/* ---- lists ---- */

/* One page from the server, its keys without the prefix, the store's own taken out. */
static int list_page(struct store_s3 *s3, struct slice prefix, struct slice start_after,
                     size_t limit, struct arena *arena, struct s3_list *page)
{
    char limit_text[24];
    struct s3_pair query[5] = {{SLICE("list-type"), SLICE("2")},
                               {SLICE("encoding-type"), SLICE("url")},
                               {SLICE("prefix"), prefix}};
    size_t n = 3;
    if (start_after.size) query[n++] = (struct s3_pair){SLICE("start-after"), start_after};
    if (limit > 0 && limit < LIST_PAGE_MAX) {
        int size = snprintf(limit_text, sizeof(limit_text), "%zu", limit);
        query[n++] = (struct s3_pair){SLICE("max-keys"), slice_make(limit_text, (size_t)size)};
    }
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "GET", SLICE_EMPTY, S3_KIND_LIST, 0);
    exchange.request.query = query;
    exchange.request.n_query = n;
    TRY(s3_exchange_run(&exchange));
    int code = s3_xml_list(http_answer_body(&exchange.http), arena, page);
    if (code < 0) error_context("%s: its list of %.*s", s3->store.description, SLICE_PRINT(prefix));
    return code;
}

/* Order and prefix, on which all above relies. */
int s3_list_check(const struct store_s3 *s3, const struct store_object *objects, size_t n,
                  struct slice prefix, struct slice start_after)
{
    struct slice last = start_after;
    for (size_t i = 0; i < n; i++) {
        struct slice key = objects[i].key;
        if (!slice_starts_with(key, prefix) || slice_compare(key, last) <= 0)
            return error_set(GLIS_EIO,
                             "%s lists '%.*s' where it does not belong: behind '%.*s', under "
                             "'%.*s'; Glis needs keys in the order of their bytes",
                             s3->store.description, SLICE_PRINT(key), SLICE_PRINT(last),
                             SLICE_PRINT(prefix));
        last = key;
    }
    return 0;
}

static int s3_list(struct store *store, struct slice prefix, struct slice start_after, size_t limit,
                   struct arena *arena, struct store_list *out)
{
    struct store_s3 *s3 = s3_of(store);
    struct slice own = s3->settings.prefix;
    defer_arena struct arena names = ARENA_EMPTY;
    struct buffer text = BUFFER_INIT(1 << 16);
    struct slice full[2] = {prefix, start_after};
    for (int i = 0; i < 2; i++) {
        buffer_clear(&text);
        int code = buffer_append_slice(&text, own);
        if (code == 0) code = buffer_append_slice(&text, full[i]);
        if (code == 0) full[i] = arena_copy(&names, buffer_slice(&text));
        if (code < 0) return buffer_free(&text), code;
    }
    buffer_free(&text);
    if (start_after.size == 0) full[1] = SLICE_EMPTY;
    /* A start before the prefix says nothing, and some servers are slow then. */
    if (slice_compare(full[1], full[0]) < 0) full[1] = SLICE_EMPTY;
    while (out->n_objects == 0) {
        struct s3_list page = {0};
        TRY(list_page(s3, full[0], full[1], limit, arena, &page));
        TRY(s3_list_check(s3, page.objects, page.n_objects, full[0], full[1]));
        if (page.truncated && page.n_objects == 0)
            return error_set(GLIS_EIO, "%s sent an empty page of a list that goes on",
                             s3->store.description);
        out->objects = page.objects;
        out->more = page.truncated;
        for (size_t i = 0; i < page.n_objects; i++) {
            struct store_object object = page.objects[i];
            full[1] = object.key;
            object.key = slice_part(object.key, own.size, object.key.size);
            bool hidden = slice_starts_with(object.key, SLICE(S3_OWN_FOLDER));
            if (object.key.size && !hidden) out->objects[out->n_objects++] = object;
        }
        if (!page.truncated) break;
    }
    return 0;
}

/* ---- time ---- */

static bool time_known(struct store_s3 *s3, int64_t *out)
{
    int64_t now_ns = s3->runtime->clock->monotonic_ns(s3->runtime->clock);
    pthread_mutex_lock(&s3->lock);
    int64_t age_ns = now_ns - s3->server_at_ns;
    bool known = s3->server_at_ns != 0 && age_ns < DATE_AGE_MAX_NS;
    *out = s3->server_ms + age_ns / 1000000;
    pthread_mutex_unlock(&s3->lock);
    return known;
}

int s3_time_ms(struct store *store, int64_t *out)
{
    struct store_s3 *s3 = s3_of(store);
    if (time_known(s3, out)) return 0;
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "HEAD", SLICE_EMPTY, S3_KIND_READ, 0);
    int code = s3_exchange_run(&exchange);
    if (time_known(s3, out)) return 0; /* any answer has a date, also one that denies */
    if (code < 0) return code;
    return error_set(GLIS_EIO, "%s does not say what time it is (no Date in its answers)",
                     s3->store.description);
}

static const struct store_ops s3_ops = {
    .put = s3_put,
    .read = s3_read,
    .read_begin = s3_read_begin,
    .read_go_on = s3_read_go_on,
    .read_end = s3_read_end,
    .head = s3_head,
    .list = s3_list,
    .remove = s3_remove,
    .sync = s3_sync,
    .upload_open = s3_upload_open,
    .upload_write = s3_upload_write,
    .upload_go_on = s3_upload_go_on,
    .upload_finish = s3_upload_finish,
    .upload_abort = s3_upload_abort,
    .unfinished_list = s3_unfinished_list,
    .unfinished_remove = s3_unfinished_remove,
    .time_ms = s3_time_ms,
    .close = s3_close,
};
