/*
 * store_s3_remove.c: removing objects from an S3 server.
 *
 * Up to 1,000 keys go into one DeleteObjects request, with its MD5 as S3 wants it; several of these
 * are under way at once. A key that fails in there, or that XML cannot say, is deleted by itself,
 * which has its own repeats and gives the error its own text. A server that does not know
 * DeleteObjects (Google's) is found out once, and then every key is deleted by itself; so it is
 * with one that is known to fall over it (time_learn in store_s3_exchange.c).
 */
#include "store/store_s3_int.h"

#include "base/digest.h"
#include "base/text.h"

#include <stdlib.h>

enum { KEYS_PER_REQUEST = 1000, REQUESTS_AT_ONCE = 8, SINGLES_AT_ONCE = 256, BODY_MAX = 8 << 20 };

struct bulk {
    struct s3_exchange exchange;
    struct buffer body;
    struct buffer md5;
    struct http_header header;
    struct slice *keys; /* full ones */
    size_t n_keys;
};

static int remove_singly(struct store_s3 *s3, const struct slice *keys, size_t n);
static int remove_in_bulk(struct store_s3 *s3, struct slice *keys, size_t n);
static int bulk_ask(struct store_s3 *s3, struct bulk *bulk, struct slice *keys, size_t n);
static int bulk_take(struct store_s3 *s3, struct bulk *bulk);

static void keep_first(struct error_detail *first, int code)
{
    if (code < 0 && first->code == 0) error_save(first);
}

int s3_remove(struct store *store, const struct slice *keys, size_t n_keys)
{
    struct store_s3 *s3 = (struct store_s3 *)store;
    struct error_detail first = {0};
    TRY(s3_may_write(s3));
    enum { ROUND = KEYS_PER_REQUEST * REQUESTS_AT_ONCE };
    for (size_t done = 0; done < n_keys; done += ROUND) {
        size_t n = n_keys - done < ROUND ? n_keys - done : ROUND;
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice *full = ARENA_ARRAY(&arena, struct slice, n);
        for (size_t i = 0; i < n; i++)
            TRY(s3_full_key(s3, keys[done + i], &arena, &full[i]));
        bool singly = n == 1 || atomic_load(&s3->deletes_singly);
        keep_first(&first, singly ? remove_singly(s3, full, n) : remove_in_bulk(s3, full, n));
    }
    return first.code ? error_load(&first) : 0;
}

static int remove_singly(struct store_s3 *s3, const struct slice *keys, size_t n)
{
    struct error_detail first = {0};
    for (size_t done = 0; done < n; done += SINGLES_AT_ONCE) {
        size_t some = n - done < SINGLES_AT_ONCE ? n - done : SINGLES_AT_ONCE;
        struct s3_exchange *exchanges = memory_alloc_zero(some * sizeof(*exchanges));
        struct s3_exchange **asked = memory_alloc(some * sizeof(*asked));
        for (size_t i = 0; i < some; i++) {
            s3_exchange_init(&exchanges[i], s3, "DELETE", keys[done + i], S3_KIND_DELETE,
                             S3_CLEANING_UP | S3_ABSENT_IS_OK);
            asked[i] = &exchanges[i];
        }
        s3_exchanges_run(s3, asked, some);
        for (size_t i = 0; i < some; i++) {
            if (exchanges[i].code < 0) keep_first(&first, s3_exchange_failure(&exchanges[i]));
            s3_exchange_free(&exchanges[i]);
        }
        free(asked);
        free(exchanges);
    }
    return first.code ? error_load(&first) : 0;
}

/* At most REQUESTS_AT_ONCE requests' worth of keys. */
static int remove_in_bulk(struct store_s3 *s3, struct slice *keys, size_t n)
{
    struct error_detail first = {0};
    struct bulk *bulks = memory_alloc_zero(REQUESTS_AT_ONCE * sizeof(*bulks));
    struct s3_exchange *asked[REQUESTS_AT_ONCE];
    size_t n_bulks = 0, n_asked = 0;
    for (size_t done = 0; done < n; done += KEYS_PER_REQUEST) {
        struct bulk *bulk = &bulks[n_bulks++];
        size_t some = n - done < KEYS_PER_REQUEST ? n - done : KEYS_PER_REQUEST;
        if (bulk_ask(s3, bulk, keys + done, some) == 0) asked[n_asked++] = &bulk->exchange;
    }
    s3_exchanges_run(s3, asked, n_asked);
    for (size_t i = 0; i < n_bulks; i++) {
        keep_first(&first, bulk_take(s3, &bulks[i]));
        s3_exchange_free(&bulks[i].exchange);
        buffer_free(&bulks[i].body);
        buffer_free(&bulks[i].md5);
    }
    free(bulks);
    return first.code ? error_load(&first) : 0;
}

/* Another code than 0: these keys must go one by one. */
static int bulk_ask(struct store_s3 *s3, struct bulk *bulk, struct slice *keys, size_t n)
{
    static const struct s3_pair query = {{"delete", 6}, {NULL, 0}};
    uint8_t md5[DIGEST_MD5_BYTES];
    s3_exchange_init(&bulk->exchange, s3, "POST", SLICE_EMPTY, S3_KIND_DELETE, S3_CLEANING_UP);
    bulk->keys = keys;
    bulk->n_keys = n;
    buffer_init(&bulk->body, BODY_MAX, s3->runtime->budget);
    buffer_init(&bulk->md5, 64, NULL);
    TRY(s3_xml_write_delete(&bulk->body, keys, n));
    digest_md5(buffer_slice(&bulk->body), md5);
    TRY(text_base64_encode(&bulk->md5, slice_make(md5, sizeof(md5))));
    bulk->header = (struct http_header){SLICE("Content-MD5"), buffer_slice(&bulk->md5)};
    bulk->exchange.request.query = &query;
    bulk->exchange.request.n_query = 1;
    bulk->exchange.request.headers = &bulk->header;
    bulk->exchange.request.n_headers = 1;
    bulk->exchange.request.body = buffer_slice(&bulk->body);
    return 0;
}

static int bulk_take(struct store_s3 *s3, struct bulk *bulk)
{
    struct s3_exchange *exchange = &bulk->exchange;
    int status = exchange->status;
    if (!exchange->done) return remove_singly(s3, bulk->keys, bulk->n_keys); /* not asked */
    if (exchange->code < 0) {
        bool refused = status == 400 || status == 405 || status == 411 || status == 501;
        if (!refused) return s3_exchange_failure(exchange);
        TRY(remove_singly(s3, bulk->keys, bulk->n_keys));
        atomic_store(&s3->deletes_singly, true);
        return 0;
    }
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_error *errors = NULL;
    size_t n_errors = 0, n_again = 0;
    if (s3_xml_deleted(http_answer_body(&exchange->http), &arena, &errors, &n_errors) < 0)
        return remove_singly(s3, bulk->keys, bulk->n_keys);
    if (n_errors == 0) return 0;
    struct slice *again = ARENA_ARRAY(&arena, struct slice, n_errors);
    for (size_t i = 0; i < n_errors; i++)
        if (!slice_equal_text(errors[i].code, "NoSuchKey")) again[n_again++] = errors[i].key;
    for (size_t i = 0; i < n_again; i++) { /* only what was asked for */
        bool ours = false;
        for (size_t k = 0; k < bulk->n_keys && !ours; k++)
            ours = slice_equal(again[i], bulk->keys[k]);
        if (!ours)
            return error_set(GLIS_EIO, "%s answers for an object that was not to be removed: %.*s",
                             s3->store.description, SLICE_PRINT(slice_part(again[i], 0, 300)));
    }
    return remove_singly(s3, again, n_again);
}
