/*
 * store_azure.c: a container of Azure's blob service, or what lies below a prefix in it, as a
 * store. Objects are block blobs.
 *
 * Requests, repeats, joined ranges, puts in parts, the probe and the meaning of an answer are those
 * of the S3 store (store_s3_exchange.c); here stands what Azure does otherwise.
 *
 * Conditions. Put Blob with `If-None-Match: *` is refused with 409 BlobAlreadyExists (or 412, as
 * other conditional requests are), and a 409 of another code says that the container or account is
 * busy with itself. Azure's codes are turned into S3's before they are judged; a 412 with another
 * code than that of a condition (a lease) proves nothing and becomes "unknown".
 *
 * Lists. Pages of up to 5,000 names; where one ends, Azure gives a marker of its own and takes no
 * name to start after. So the marker at which each of the last few pages ended is remembered by its
 * last name, and a list that goes on costs one request a page, as on S3. A list that starts
 * elsewhere reads the prefix from its beginning and drops what comes before: one request for each
 * 5,000 names passed over. (Nothing in Glis starts a long list in its middle but a check of a log
 * and a collection that was interrupted.) Order and prefix are checked: an account with a
 * hierarchical namespace lists in another order, and is refused. The emulator lists in the order of
 * UTF-16, which differs from that of the bytes for characters beyond U+FFFF alone; where such a
 * name comes up (never among Glis's own) the whole prefix is read and sorted.
 *
 * Ranges. Azure has no range from the end: a HEAD tells the size first. (Glis knows the sizes of
 * its own files, and reads from the end only what others have made.)
 *
 * Parts. Blocks that no list has named vanish by themselves after a week, and nothing shows or
 * removes them: there are no unfinished uploads here.
 *
 * Removal. One request a key, many under way at once. Azure's batch would save round trips but no
 * money, for each of its parts is billed.
 */
#include "store/azure_int.h"
#include "store/store_s3_int.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LIST_PAGE_MAX = 5000,
    WHOLE_MAX = 1000000,
    MARKERS_MAX = 8,
    SKEW_MAX_MS = 14 * 60 * 1000,
};

/* Where the page of this prefix that ended with this key is to be continued. */
struct place {
    struct slice prefix, last, marker; /* heap */
};

struct store_azure {
    struct store_s3 s3; /* the first member */
    struct azure_account account;
    pthread_mutex_t places_lock; /* guards what follows */
    struct place places[MARKERS_MAX];
    unsigned n_places_ever;
};

static const struct store_ops azure_ops;
static const struct s3_dialect dialect_azure;

static struct store_azure *azure_of(const struct store *store)
{
    return (struct store_azure *)store;
}

static void azure_close(struct store *store)
{
    struct store_azure *azure = azure_of(store);
    for (unsigned i = 0; i < MARKERS_MAX; i++) {
        free((char *)azure->places[i].prefix.data);
        free((char *)azure->places[i].last.data);
        free((char *)azure->places[i].marker.data);
    }
    pthread_mutex_destroy(&azure->places_lock);
    s3_close(store);
}

static int describe(struct store_azure *azure)
{
    const struct s3_settings *settings = &azure->s3.settings;
    struct slice prefix = settings->prefix;
    defer_buffer struct buffer text = BUFFER_INIT(1 << 16);
    TRY(buffer_printf(&text, "container %.*s%s%.*s at %s://%.*s", SLICE_PRINT(settings->bucket),
                      prefix.size ? "/" : "",
                      SLICE_PRINT(slice_part(prefix, 0, prefix.size ? prefix.size - 1 : 0)),
                      settings->tls ? "https" : "http", SLICE_PRINT(settings->host)));
    if (settings->port) TRY(buffer_printf(&text, ":%u", settings->port));
    TRY(buffer_append_slice(&text, azure->account.base_path));
    store_init(&azure->s3.store, &azure_ops, memory_copy_text(buffer_slice(&text)), false);
    return 0;
}

int store_azure_open(struct runtime *runtime, struct slice address, unsigned flags,
                     struct store **out)
{
    struct store_azure *azure = memory_alloc_zero(sizeof(*azure));
    struct store_s3 *s3 = &azure->s3;
    s3_begin(s3, runtime, flags);
    ASSERT(pthread_mutex_init(&azure->places_lock, NULL) == 0);
    int code = azure_settings_load(s3_environment_system(), address, &s3->arena, &s3->settings,
                                   &azure->account);
    if (code == 0) code = describe(azure);
    if (code < 0) {
        error_context("%.*s", SLICE_PRINT(address));
        azure_close(&s3->store);
        return code;
    }
    s3->dialect = &dialect_azure;
    s3->deletes_singly = true;
    s3->fixed = (struct s3_credentials){.access_key = azure->account.name,
                                        .secret_key = azure->account.key_text,
                                        .session_token = azure->account.sas_sig,
                                        .source = "environment"};
    *out = &s3->store;
    return 0;
}

/* ---- the dialect ---- */

static int sign(struct s3_exchange *exchange, const struct s3_settings *settings, int64_t now_ms,
                struct s3_signed *out)
{
    const struct azure_account *account = &azure_of(&exchange->s3->store)->account;
    return azure_sign(settings, account, now_ms, &exchange->request, &exchange->answer, out);
}

/* The answer's time is so far from the one that was signed that this is why it was refused. */
static bool is_skewed(const struct s3_exchange *exchange)
{
    const struct http_request *http = &exchange->http;
    int64_t server_ms, signed_ms;
    struct slice date = SLICE_EMPTY;
    for (size_t i = 0; i < http->n_headers; i++)
        if (slice_equal_text(http->headers[i].name, "x-ms-date")) date = http->headers[i].value;
    bool known = s3_time_http(http_answer_header(http, "date"), &server_ms) == 0 &&
                 s3_time_http(date, &signed_ms) == 0;
    if (!known) {
        error_clear();
        return false;
    }
    return server_ms - signed_ms > SKEW_MAX_MS || signed_ms - server_ms > SKEW_MAX_MS;
}

static void translate(struct s3_exchange *exchange)
{
    static const struct {
        int status;
        const char *said;
        int becomes;      /* 0: the same */
        const char *code; /* of S3; NULL: nothing hangs on it */
    } words[] = {
        {404, "BlobNotFound", 0, "NoSuchKey"},
        {404, "ContainerNotFound", 0, "NoSuchBucket"},
        {409, "BlobAlreadyExists", 412, "PreconditionFailed"},
        {412, "ConditionNotMet", 412, "PreconditionFailed"},
        {412, "TargetConditionNotMet", 412, "PreconditionFailed"},
        {409, "BlobImmutableDueToPolicy", 403, NULL},
        {500, "OperationTimedOut", 500, NULL},
    };
    struct s3_error *error = &exchange->error;
    struct slice said = http_answer_header(&exchange->http, "x-ms-error-code");
    if (exchange->status == 201) exchange->status = 200;
    if (exchange->status == 202) exchange->status = 204;
    /* The emulator says so of a range that begins at the end. */
    if (exchange->status == 206 && exchange->http.body_size == 0) exchange->status = 416;
    if (exchange->status < 300) return;
    if (error->code.size > 0) said = error->code;
    error->said = said;
    error->code = said;
    bool known = false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (words[i].status != exchange->status || !slice_equal_text(said, words[i].said)) continue;
        known = true;
        if (words[i].code) error->code = slice_from_text(words[i].code);
        if (words[i].becomes) exchange->status = words[i].becomes;
        break;
    }
    if (exchange->status == 412 && !known)
        exchange->status = 0; /* a lease, or no word of Azure's */
    if (exchange->status == 403 && slice_equal_text(said, "AuthenticationFailed") &&
        is_skewed(exchange))
        error->code = SLICE("RequestTimeTooSkewed");
}

/* A block's answer has no ETag; every answer of Azure's names its request. */
static bool put_is_own(const struct s3_exchange *exchange)
{
    const struct http_request *http = &exchange->http;
    bool is_block = exchange->request.n_query > 0 &&
                    slice_equal_text(exchange->request.query[0].value, "block");
    return http_answer_header(http, "x-ms-request-id").size > 0 &&
           (is_block || http_answer_header(http, "etag").size > 0);
}

static const char *advice(const struct s3_exchange *exchange)
{
    struct slice code = exchange->error.code;
    if (exchange->http.outcome == GLIS_EDENIED)
        return "; REQUESTS_CA_BUNDLE names a file of certificates to trust instead of the system's";
    if (slice_equal_text(code, "NoSuchBucket"))
        return "; make the container first, or name another (and check the account)";
    if (slice_equal_text(code, "RequestTimeTooSkewed"))
        return "; this machine's clock and the server's differ too much: set the clock";
    if (slice_equal_text(code, "AuthenticationFailed"))
        return azure_of(&exchange->s3->store)->account.sas.size > 0
                   ? "; the shared access signature is wrong, has ended or is for another "
                     "container (AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CONNECTION_STRING)"
                   : "; the account's key is wrong (AZURE_STORAGE_KEY, "
                     "AZURE_STORAGE_CONNECTION_STRING)";
    if (exchange->status == 403)
        return "; AZURE_STORAGE_KEY or the shared access signature does not give this right, or "
               "the account does not let this machine in; docs/s3.md lists what is needed";
    return "";
}

static const struct s3_dialect dialect_azure = {
    .if_absent = {{"If-None-Match", 13}, {"*", 1}},
    .request_id = "x-ms-request-id",
    .block_list = true,
    .sign = sign,
    .translate = translate,
    .put_is_own = put_is_own,
    .advice = advice,
};

/* ---- lists ---- */

static struct slice heap_copy(struct slice text)
{
    return slice_make(memory_copy_text(text), text.size);
}

static void place_remember(struct store_azure *azure, struct slice prefix, struct slice last,
                           struct slice marker)
{
    struct place place = {heap_copy(prefix), heap_copy(last), heap_copy(marker)};
    pthread_mutex_lock(&azure->places_lock);
    struct place *slot = &azure->places[azure->n_places_ever++ % MARKERS_MAX];
    struct place old = *slot;
    *slot = place;
    pthread_mutex_unlock(&azure->places_lock);
    free((char *)old.prefix.data);
    free((char *)old.last.data);
    free((char *)old.marker.data);
}

/* The marker behind this key; empty when none is known. */
static struct slice place_find(struct store_azure *azure, struct slice prefix, struct slice last,
                               struct arena *arena)
{
    struct slice marker = SLICE_EMPTY;
    pthread_mutex_lock(&azure->places_lock);
    for (unsigned i = 0; i < MARKERS_MAX && marker.size == 0; i++)
        if (azure->places[i].marker.size > 0 && slice_equal(azure->places[i].prefix, prefix) &&
            slice_equal(azure->places[i].last, last))
            marker = arena_copy(arena, azure->places[i].marker);
    pthread_mutex_unlock(&azure->places_lock);
    return marker;
}

static int list_page(struct store_s3 *s3, struct slice prefix, struct slice marker, size_t limit,
                     struct arena *arena, struct azure_list *page)
{
    char limit_text[24];
    struct s3_pair query[5] = {{SLICE("restype"), SLICE("container")},
                               {SLICE("comp"), SLICE("list")}};
    size_t n = 2;
    if (prefix.size) query[n++] = (struct s3_pair){SLICE("prefix"), prefix};
    if (marker.size) query[n++] = (struct s3_pair){SLICE("marker"), marker};
    if (limit > 0 && limit < LIST_PAGE_MAX) {
        int size = snprintf(limit_text, sizeof(limit_text), "%zu", limit);
        query[n++] = (struct s3_pair){SLICE("maxresults"), slice_make(limit_text, (size_t)size)};
    }
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "GET", SLICE_EMPTY, S3_KIND_LIST, 0);
    exchange.request.query = query;
    exchange.request.n_query = n;
    TRY(s3_exchange_run(&exchange));
    int code = azure_xml_list(http_answer_body(&exchange.http), arena, page);
    if (code == 0 && marker.size > 0 && slice_equal(marker, page->next_marker))
        code = error_set(GLIS_EIO, "a list that does not go on");
    if (code < 0) error_context("%s: its list of %.*s", s3->store.description, SLICE_PRINT(prefix));
    return code;
}

/* Takes what the caller shall see of a page; the number of objects that came. */
static void page_take(const struct store_s3 *s3, const struct azure_list *page,
                      struct slice start_after, size_t limit, struct store_list *out)
{
    struct slice own = s3->settings.prefix;
    out->objects = page->objects;
    out->more = page->next_marker.size > 0;
    for (size_t i = 0; i < page->n_objects; i++) {
        struct store_object object = page->objects[i];
        object.key = slice_part(object.key, own.size, object.key.size);
        bool hidden = slice_starts_with(object.key, SLICE(S3_OWN_FOLDER));
        if (object.key.size == 0 || hidden || slice_compare(object.key, start_after) <= 0) continue;
        if (limit > 0 && out->n_objects == limit) {
            out->more = true;
            return;
        }
        out->objects[out->n_objects++] = object;
    }
}

/* A name with a character beyond U+FFFF, which UTF-16 sorts elsewhere. */
static bool has_astral(const struct azure_list *page)
{
    for (size_t i = 0; i < page->n_objects; i++)
        for (size_t k = 0; k < page->objects[i].key.size; k++)
            if ((uint8_t)page->objects[i].key.data[k] >= 0xf0) return true;
    return false;
}

static int object_compare(const void *a, const void *b)
{
    const struct store_object *x = a, *y = b;
    return slice_compare(x->key, y->key);
}

/* All names below a prefix, sorted by their bytes, as one page. */
static int list_whole(struct store_s3 *s3, struct slice full, struct arena *arena,
                      struct azure_list *whole)
{
    size_t capacity = 0;
    struct slice marker = SLICE_EMPTY;
    memset(whole, 0, sizeof(*whole));
    do {
        struct azure_list page;
        TRY(list_page(s3, full, marker, 0, arena, &page));
        if (whole->n_objects + page.n_objects > WHOLE_MAX)
            return error_set(GLIS_ELIMIT,
                             "%s: more than %d names under '%.*s', some with characters beyond "
                             "U+FFFF, which Azure lists in another order",
                             s3->store.description, WHOLE_MAX, SLICE_PRINT(full));
        if (whole->n_objects + page.n_objects > capacity) {
            capacity = (whole->n_objects + page.n_objects) * 2;
            struct store_object *more = ARENA_ARRAY(arena, struct store_object, capacity);
            if (whole->n_objects) memcpy(more, whole->objects, whole->n_objects * sizeof(*more));
            whole->objects = more;
        }
        if (page.n_objects)
            memcpy(whole->objects + whole->n_objects, page.objects,
                   page.n_objects * sizeof(*page.objects));
        whole->n_objects += page.n_objects;
        marker = page.next_marker;
    } while (marker.size > 0);
    if (whole->n_objects)
        qsort(whole->objects, whole->n_objects, sizeof(*whole->objects), object_compare);
    return s3_list_check(s3, whole->objects, whole->n_objects, full, SLICE_EMPTY);
}

static int azure_list(struct store *store, struct slice prefix, struct slice start_after,
                      size_t limit, struct arena *arena, struct store_list *out)
{
    struct store_azure *azure = azure_of(store);
    struct store_s3 *s3 = &azure->s3;
    struct slice own = s3->settings.prefix;
    struct slice full =
        slice_from_text(arena_printf(arena, "%.*s%.*s", SLICE_PRINT(own), SLICE_PRINT(prefix)));
    struct slice marker = SLICE_EMPTY, last = SLICE_EMPTY;
    if (slice_compare(start_after, prefix) < 0) start_after = SLICE_EMPTY;
    if (start_after.size) marker = place_find(azure, prefix, start_after, arena);
    bool skips = start_after.size > 0 && marker.size == 0;
    bool by_marker = marker.size > 0;
    for (;;) {
        struct azure_list page;
        int code = list_page(s3, full, marker, skips ? 0 : limit, arena, &page);
        if (code == GLIS_EINVALID && by_marker) { /* no marker any more: from the beginning */
            marker = SLICE_EMPTY;
            by_marker = false;
            skips = true;
            continue;
        }
        if (code < 0) return code;
        if (has_astral(&page)) {
            TRY(list_whole(s3, full, arena, &page));
            out->n_objects = 0;
            page_take(s3, &page, start_after, limit, out);
            return 0;
        }
        TRY(s3_list_check(s3, page.objects, page.n_objects, full, last));
        if (page.n_objects > 0) last = page.objects[page.n_objects - 1].key;
        marker = page.next_marker;
        bool cut = false;
        if (page.n_objects > 0) {
            page_take(s3, &page, start_after, limit, out);
            cut = out->more && marker.size == 0;
        }
        if (out->n_objects > 0 && !cut && marker.size > 0) {
            struct slice end = out->objects[out->n_objects - 1].key;
            struct slice end_full = slice_part(last, own.size, last.size);
            /* Only a page whose end was taken ends where its marker says. */
            bool whole =
                slice_equal(end, end_full) || slice_starts_with(end_full, SLICE(S3_OWN_FOLDER));
            if (whole) place_remember(azure, prefix, end, marker);
        }
        if (out->n_objects > 0 || marker.size == 0) {
            if (out->n_objects == 0) out->more = false;
            return 0;
        }
    }
}

/* ---- ranges ---- */

static bool is_from_end(const struct store_read *read)
{
    return read->offset == STORE_TO_END && read->length != 0 && read->length != STORE_TO_END;
}

static void azure_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    size_t n_from_end = 0, n = 0;
    for (size_t i = 0; i < n_reads; i++)
        n_from_end += is_from_end(&reads[i]);
    if (n_from_end == 0) {
        s3_read(store, reads, n_reads);
        return;
    }
    struct error_detail first = {0};
    struct store_read *asked = memory_alloc(n_reads * sizeof(*asked));
    size_t *of = memory_alloc(n_reads * sizeof(*of));
    for (size_t i = 0; i < n_reads; i++) {
        asked[n] = reads[i];
        of[n] = i;
        if (is_from_end(&reads[i])) { /* one at a time: more than one in a call is rare */
            struct store_object object;
            reads[i].outcome = s3_head(store, reads[i].key, &object);
            if (reads[i].outcome < 0) {
                if (reads[i].outcome != GLIS_ENOTFOUND && first.code == 0) error_save(&first);
                continue;
            }
            uint64_t length = reads[i].length < object.size ? reads[i].length : object.size;
            asked[n].offset = object.size - length;
            asked[n].length = length;
        }
        n++;
    }
    s3_read(store, asked, n);
    for (size_t i = 0; i < n; i++) {
        struct store_read *read = &reads[of[i]];
        uint64_t offset = read->offset, length = read->length;
        *read = asked[i];
        read->offset = offset;
        read->length = length;
    }
    free(of);
    free(asked);
    if (first.code != 0) (void)error_load(&first);
}

/* ---- what was never finished ---- */

static int azure_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                                 struct store_unfinished **out, size_t *n_out)
{
    (void)store, (void)prefix, (void)arena;
    *out = NULL;
    *n_out = 0;
    return 0;
}

static int azure_unfinished_remove(struct store *store, const struct store_unfinished *upload)
{
    (void)upload;
    return error_set(GLIS_EINVALID, "%s shows no unfinished uploads", store->description);
}

static const struct store_ops azure_ops = {
    .put = s3_put,
    .read = azure_read,
    .head = s3_head,
    .list = azure_list,
    .remove = s3_remove,
    .sync = s3_sync,
    .upload_open = s3_upload_open,
    .upload_write = s3_upload_write,
    .upload_finish = s3_upload_finish,
    .upload_abort = s3_upload_abort,
    .unfinished_list = azure_unfinished_list,
    .unfinished_remove = azure_unfinished_remove,
    .time_ms = s3_time_ms,
    .close = azure_close,
};
