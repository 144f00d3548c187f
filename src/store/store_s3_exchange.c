/*
 * store_s3_exchange.c: one request to an S3 server with all its repeats, and what the answer means.
 *
 * Repeats. What may be done twice (everything but a conditional put) is repeated when the server
 * said 429, 500, 502, 503 or 504, said that it took too long, or said nothing: after a wait drawn
 * uniformly from zero to a bound that doubles ("full jitter"), as often as the settings allow, and
 * as long as the store has tokens. A repeat costs tokens, a good answer gives a few back, and so
 * does time: a server that refuses everything is asked little more often than by a client without
 * repeats. A conditional put has one try. The door is told to repeat nothing at all by itself, for
 * also of other requests it must be known whether an earlier try may have been carried out.
 *
 * Meaning. An answer is the store's own when it has the status and the body of S3; proxies between
 * may make up statuses, and never a body of S3's form. So a "not found" is believed only with S3's
 * code (a HEAD, which has no body, with S3's request id), and a conditional put is certainly not
 * carried out only as docs/architecture.md says: 412, 403, 404, or the store's own 409, 429, 503,
 * or when no byte of it was sent. All else is GLIS_EUNKNOWN.
 *
 * Credentials that a server calls expired are fetched anew once per exchange, outside of the
 * transport's loop. Its Date is remembered with every answer; when it refuses our time
 * (RequestTimeTooSkewed), what lies between is added to the time that requests are signed with.
 *
 * Other services than S3 say the same in other words; their dialect (store_s3_int.h) signs, and
 * turns an answer into S3's words before it is judged here.
 *
 * Error texts name the server, the bucket, the key, S3's code and message and the request's id.
 * Whatever a server says goes through s3_hide_secrets.
 */
#include "store/store_s3_int.h"

#include "base/digest.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    TOKENS_MAX = 500 * 1000,
    TOKENS_REPEAT = 5 * 1000,
    TOKENS_PER_ANSWER = 1 * 1000,
    TOKENS_PER_SECOND = 5 * 1000,
    BACK_OFF_BASE_MS = 50,
    BACK_OFF_MAX_MS = 10000,
    RETRY_AFTER_MAX_MS = 30000,
    ANSWER_XML_MAX = 16 << 20,
    UNSIGNED_BODY_MIN = 1 << 20, /* over TLS, which guards it */
};

static int sign(struct s3_exchange *exchange);
static int64_t on_answer(struct http_request *http);
static int64_t judge(struct s3_exchange *exchange);
static int64_t judge_conditional(struct s3_exchange *exchange);
static int64_t repeat(struct s3_exchange *exchange, int code);
static int64_t fail(struct s3_exchange *exchange, int code);
static int64_t succeed(struct s3_exchange *exchange);
static bool tokens_take(struct store_s3 *s3);
static void time_learn(struct store_s3 *s3, const struct http_request *http, bool refused);

#define COUNT(s3, counter) \
    atomic_fetch_add_explicit(&(s3)->store.counters.counter, 1, memory_order_relaxed)

/* ---- the caller's side ---- */

void s3_exchange_init(struct s3_exchange *exchange, struct store_s3 *s3, const char *method,
                      struct slice key, enum s3_kind kind, unsigned flags)
{
    memset(exchange, 0, offsetof(struct s3_exchange, detail));
    exchange->detail.code = 0;
    memset(&exchange->error, 0, sizeof(*exchange) - offsetof(struct s3_exchange, error));
    exchange->s3 = s3;
    exchange->request.method = method;
    exchange->request.key = key;
    exchange->kind = kind;
    exchange->flags = flags;
    exchange->answer_max = ANSWER_XML_MAX;
    exchange->budget = s3->runtime->budget;
}

void s3_exchange_free(struct s3_exchange *exchange)
{
    block_release(exchange->http.block);
    exchange->http.block = NULL;
    arena_free(&exchange->answer);
    arena_free(&exchange->secrets);
    arena_free(&exchange->arena);
}

size_t s3_exchanges_add(struct http_batch *batch, struct s3_exchange *const *exchanges, size_t n)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        struct s3_exchange *exchange = exchanges[i];
        if (!exchange->done && !exchange->under_way) s3_exchange_add(batch, exchange);
        left += !exchange->done;
    }
    return left;
}

void s3_exchanges_run(struct store_s3 *s3, struct s3_exchange *const *exchanges, size_t n)
{
    struct http_batch *batch = http_batch_open(s3->http, s3->runtime->cancel);
    batch->under_way_max = s3->settings.connections_max;
    while (s3_exchanges_add(batch, exchanges, n) > 0)
        http_batch_drive(batch, 0);
    http_batch_close(batch);
}

int s3_exchange_run(struct s3_exchange *exchange)
{
    s3_exchanges_run(exchange->s3, &exchange, 1);
    return exchange->code < 0 ? s3_exchange_failure(exchange) : 0;
}

int s3_exchange_failure(const struct s3_exchange *exchange)
{
    ASSERT(exchange->done && exchange->code < 0);
    return error_load(&exchange->detail);
}

int s3_not_sent(int code)
{
    struct error_detail detail;
    if (code != GLIS_EIO && code != GLIS_ETIMEOUT && code != GLIS_EUNKNOWN) return code;
    error_save(&detail);
    return error_set(GLIS_ERETRY, "%s", detail.text);
}

void s3_exchange_add(struct http_batch *batch, struct s3_exchange *exchange)
{
    struct store_s3 *s3 = exchange->s3;
    arena_free(&exchange->secrets);
    int code = 0;
    if (s3->provider)
        code = s3_credentials_get(s3->provider, &exchange->secrets, &exchange->credentials);
    else
        exchange->credentials = s3->fixed;
    if (code == 0) code = sign(exchange);
    if (code < 0) {
        /* Nothing was sent: of a conditional put no code may say that it could have been done. */
        if (exchange->flags & S3_CONDITIONAL) code = s3_not_sent(code);
        error_context("%s", s3->store.description);
        exchange->code = code;
        error_save(&exchange->detail);
        exchange->done = true;
        return;
    }
    exchange->under_way = true;
    http_batch_add(batch, &exchange->http);
}

/* Makes the HTTP request of the next try; the answer's arena is begun anew. */
static int sign(struct s3_exchange *exchange)
{
    struct store_s3 *s3 = exchange->s3;
    const struct s3_settings *settings = atomic_load(&s3->current);
    struct s3_request *request = &exchange->request;
    struct s3_signed signed_request;
    arena_free(&exchange->answer);
    if (request->payload == S3_PAYLOAD_BODY && settings->tls &&
        request->body.size > UNSIGNED_BODY_MIN)
        request->payload = S3_PAYLOAD_UNSIGNED;
    if (request->payload == S3_PAYLOAD_BODY && request->body.size > UNSIGNED_BODY_MIN) {
        digest_sha256(request->body, request->sha256); /* once for all tries */
        request->payload = S3_PAYLOAD_HASH;
    }
    pthread_mutex_lock(&s3->lock);
    int64_t skew_ms = s3->skew_known ? s3->skew_ms : 0;
    pthread_mutex_unlock(&s3->lock);
    int64_t now_ms = s3->runtime->clock->wall_ms(s3->runtime->clock) + skew_ms;
    if (s3->dialect->sign)
        TRY(s3->dialect->sign(exchange, settings, now_ms, &signed_request));
    else
        TRY(s3_sign(s3->signer, settings, &exchange->credentials, now_ms, request,
                    &exchange->answer, &signed_request));
    uint64_t bytes = request->body.size + exchange->answer_expected;
    exchange->http = (struct http_request){
        .method = request->method,
        .url = signed_request.url,
        .headers = signed_request.headers,
        .n_headers = signed_request.n_headers,
        .body = request->body,
        .once = true, /* repeats are ours: what may have been carried out must be known */
        .despite_cancel = (exchange->flags & (S3_CONDITIONAL | S3_CLEANING_UP)) != 0,
        .ca_file = settings->ca_file,
        .connect_timeout_ms = settings->connect_timeout_ms,
        .timeout_ms = settings->answer_timeout_ms +
                      (int64_t)(bytes / (settings->least_bytes_per_second / 1000 + 1)),
        .silence_ms = settings->answer_timeout_ms,
        .body_expected = exchange->answer_expected,
        .body_max = exchange->answer_max,
        .budget = exchange->budget,
        .into = exchange->into,
        .arena = &exchange->answer,
        .answered = on_answer,
        .state = exchange,
    };
    exchange->tries++;
    exchange->depth = atomic_load_explicit(&s3->store.counters.depth, memory_order_relaxed) + 1;
    switch (exchange->kind) {
    case S3_KIND_WRITE: COUNT(s3, sent_writes); break;
    case S3_KIND_READ: COUNT(s3, sent_reads); break;
    case S3_KIND_LIST: COUNT(s3, sent_lists); break;
    case S3_KIND_DELETE: COUNT(s3, sent_deletes); break;
    }
    return 0;
}

/* ---- the answer ---- */

/* Whatever is sent from now on may have waited for this. */
static void depth_note(struct store_s3 *s3, uint64_t depth)
{
    _Atomic uint64_t *most = &s3->store.counters.depth;
    uint64_t now = atomic_load_explicit(most, memory_order_relaxed);
    while (now < depth && !atomic_compare_exchange_weak_explicit(
                              most, &now, depth, memory_order_relaxed, memory_order_relaxed))
        ;
}

static int64_t on_answer(struct http_request *http)
{
    struct s3_exchange *exchange = http->state;
    struct store_s3 *s3 = exchange->s3;
    depth_note(s3, exchange->depth);
    exchange->status = http->outcome == 0 ? http->status : 0;
    exchange->error = (struct s3_error){0};
    exchange->answer_bytes = http->body_size;
    if (http->outcome == 0 && http->status >= 300)
        (void)s3_xml_error(http_answer_body(http), &exchange->answer, &exchange->error);
    if (http->outcome == 0 && s3->dialect->translate) s3->dialect->translate(exchange);
    bool skewed = slice_equal_text(exchange->error.code, "RequestTimeTooSkewed");
    time_learn(s3, http, skewed);
    int64_t again_ms =
        exchange->flags & S3_CONDITIONAL ? judge_conditional(exchange) : judge(exchange);
    exchange->under_way = again_ms >= 0;
    if (again_ms < 0) return -1;
    COUNT(s3, repeats);
    block_release(http->block);
    if (sign(exchange) == 0) return again_ms;
    exchange->under_way = false;
    exchange->code = GLIS_EINVALID;
    error_save(&exchange->detail);
    exchange->done = true;
    return -1;
}

static bool says(const struct s3_exchange *exchange, const char *code)
{
    return slice_equal_text(exchange->error.code, code);
}

static bool status_is_good(int status)
{
    return status == 200 || status == 204 || status == 206;
}

/* An answer that ends with its connection may have been cut. */
static bool has_length(const struct s3_exchange *exchange)
{
    const struct http_request *http = &exchange->http;
    return http->status == 204 || strcmp(exchange->request.method, "HEAD") == 0 ||
           http_answer_header(http, "content-length").size > 0 ||
           http_answer_header(http, "transfer-encoding").size > 0;
}

/* A page that something in between answers with 200, because it is being mended or forbids the
 * address, does not have the store's mark: of S3, the ETag of what was put. */
static bool put_is_own(const struct s3_exchange *exchange)
{
    return strcmp(exchange->request.method, "PUT") != 0 ||
           exchange->s3->dialect->put_is_own(exchange);
}

static const char not_own[] = "the answer to a put has no ETag, so it is not the store's";

/* Others may be had in their place. */
static bool credentials_refused(struct s3_exchange *exchange)
{
    struct s3_provider *provider = exchange->s3->provider;
    return provider && s3_credentials_refused(provider, &exchange->credentials);
}

/* Credentials that may be replaced by others. True: the exchange is to be signed anew by its
 * caller, for getting them may take long. */
static bool credentials_renew(struct s3_exchange *exchange)
{
    if (exchange->credentials_refused) return false; /* once is enough */
    if (!says(exchange, "ExpiredToken") && !says(exchange, "InvalidToken") &&
        !says(exchange, "TokenRefreshRequired") && !says(exchange, "InvalidAccessKeyId"))
        return false;
    if (!credentials_refused(exchange)) return false;
    exchange->credentials_refused = true;
    block_release(exchange->http.block);
    exchange->http.block = NULL;
    return true;
}

/* Where nobody said the bucket's region, a server that names it is believed, once. True: the
 * request is to be signed and sent again. */
static bool region_follow(struct s3_exchange *exchange)
{
    struct store_s3 *s3 = exchange->s3;
    struct slice region = http_answer_header(&exchange->http, "x-amz-bucket-region");
    if (region.size == 0) region = exchange->error.region;
    if (s3->settings.region_known || exchange->followed || !s3_region_is_valid(region))
        return false;
    exchange->followed = true;
    pthread_mutex_lock(&s3->lock);
    const struct s3_settings *now = atomic_load(&s3->current);
    bool same = slice_equal(now->region, region);
    if (!same && now == &s3->settings) {
        struct s3_settings *other = ARENA_NEW(&s3->arena, struct s3_settings);
        *other = *now;
        s3_settings_follow(other, region, &s3->arena);
        atomic_store(&s3->current, other);
        same = true;
    }
    pthread_mutex_unlock(&s3->lock);
    return same;
}

/* For a request that may be repeated. -1: done, or to be added again; else when to repeat it. */
static int64_t judge(struct s3_exchange *exchange)
{
    struct http_request *http = &exchange->http;
    int status = exchange->status;
    if (http->outcome == GLIS_ETIMEOUT || http->outcome == GLIS_EIO) {
        exchange->broke |= http->sent;
        return repeat(exchange, GLIS_EIO);
    }
    if (http->outcome < 0) return fail(exchange, http->outcome);
    if (status_is_good(status)) {
        bool whole = has_length(exchange);
        if (whole && put_is_own(exchange)) return succeed(exchange);
        http->outcome = GLIS_EIO;
        http->failure = whole ? not_own : "the answer does not say how long it is";
        return repeat(exchange, GLIS_EIO);
    }
    if (status == 429 || status == 503) return repeat(exchange, GLIS_ERETRY);
    if (status == 500 || status == 502 || status == 504 || says(exchange, "RequestTimeout")) {
        exchange->broke = true;
        return repeat(exchange, GLIS_EIO);
    }
    if (status == 409 && exchange->kind == S3_KIND_WRITE) return repeat(exchange, GLIS_ERETRY);
    if (says(exchange, "RequestTimeTooSkewed") && exchange->tries < 2) return 0;
    if ((status == 301 || status == 307 || status == 400) && region_follow(exchange)) return 0;
    if (credentials_renew(exchange)) return -1;
    if (status == 404) {
        bool is_head = strcmp(exchange->request.method, "HEAD") == 0 &&
                       exchange->error.code.size == 0; /* Azure says it in a header */
        bool own = is_head ? http_answer_header(http, exchange->s3->dialect->request_id).size > 0
                           : says(exchange, "NoSuchKey");
        if (own || (exchange->flags & S3_ABSENT_IS_OK && says(exchange, "NoSuchUpload")))
            return exchange->flags & S3_ABSENT_IS_OK ? succeed(exchange)
                                                     : fail(exchange, GLIS_ENOTFOUND);
        return fail(exchange, GLIS_EIO);
    }
    if (status == 401 || status == 403) return fail(exchange, GLIS_EDENIED);
    if (status == 416) return fail(exchange, GLIS_EINVALID);
    if (status == 501) return fail(exchange, GLIS_EUNSUPPORTED);
    if (status == 507) return fail(exchange, GLIS_ENOSPACE);
    return fail(exchange, GLIS_EIO);
}

/* Never more than one try. */
static int64_t judge_conditional(struct s3_exchange *exchange)
{
    struct http_request *http = &exchange->http;
    bool own = exchange->error.code.size > 0;
    if (http->outcome < 0) {
        if (http->sent) return fail(exchange, GLIS_EUNKNOWN);
        bool may_heal = http->outcome == GLIS_EIO || http->outcome == GLIS_ETIMEOUT;
        return fail(exchange, may_heal ? GLIS_ERETRY : http->outcome);
    }
    switch (exchange->status) {
    case 200:
        if (put_is_own(exchange)) return succeed(exchange);
        http->outcome = GLIS_EUNKNOWN;
        http->failure = not_own;
        return fail(exchange, GLIS_EUNKNOWN);
    case 412: return fail(exchange, GLIS_EEXISTS);
    case 403:
        if (says(exchange, "RequestTimeTooSkewed")) return fail(exchange, GLIS_ERETRY);
        if (says(exchange, "InvalidAccessKeyId") && credentials_refused(exchange))
            return fail(exchange, GLIS_ERETRY);
        return fail(exchange, GLIS_EDENIED);
    case 404: return fail(exchange, GLIS_ENOTFOUND);
    case 409:
    case 429:
    case 503: return fail(exchange, own ? GLIS_ERETRY : GLIS_EUNKNOWN);
    default:
        if (says(exchange, "ExpiredToken") || says(exchange, "InvalidToken"))
            (void)credentials_refused(exchange);
        return fail(exchange, GLIS_EUNKNOWN);
    }
}

static int64_t succeed(struct s3_exchange *exchange)
{
    struct store_s3 *s3 = exchange->s3;
    exchange->code = 0;
    exchange->done = true;
    pthread_mutex_lock(&s3->lock);
    s3->tokens += TOKENS_PER_ANSWER;
    if (s3->tokens > TOKENS_MAX) s3->tokens = TOKENS_MAX;
    pthread_mutex_unlock(&s3->lock);
    return -1;
}

/* Again after a wait, or a failure with this code when there were enough tries. */
static int64_t repeat(struct s3_exchange *exchange, int code)
{
    struct store_s3 *s3 = exchange->s3;
    /* Servers give up a connection on which nobody takes what they send. */
    if (exchange->http.outcome < 0 && exchange->http.alone_ms > 0) exchange->tries--;
    if (exchange->flags & S3_ONE_TRY || exchange->tries >= s3->settings.tries_max ||
        !tokens_take(s3))
        return fail(exchange, code);
    unsigned repeats = exchange->tries > 0 ? exchange->tries - 1 : 0;
    unsigned doublings = repeats < 12 ? repeats : 12;
    int64_t bound_ms = (int64_t)BACK_OFF_BASE_MS << doublings;
    if (bound_ms > BACK_OFF_MAX_MS) bound_ms = BACK_OFF_MAX_MS;
    int64_t wait_ms = (int64_t)random_below(s3->runtime->random, (uint64_t)bound_ms + 1);
    if (repeats == 0 && exchange->http.outcome == GLIS_EIO && exchange->http.sent)
        wait_ms = 0; /* most likely a kept connection that the server had given up */
    uint64_t seconds = 0;
    struct slice after = http_answer_header(&exchange->http, "retry-after");
    if (after.size > 0 && after.size < 4 && after.data[0] >= '0' && after.data[0] <= '9' &&
        text_parse_uint64(after, &seconds) == 0 && (int64_t)seconds * 1000 > wait_ms)
        wait_ms = (int64_t)seconds * 1000;
    return wait_ms < RETRY_AFTER_MAX_MS ? wait_ms : RETRY_AFTER_MAX_MS;
}

static bool tokens_take(struct store_s3 *s3)
{
    int64_t now_ns = s3->runtime->clock->monotonic_ns(s3->runtime->clock);
    pthread_mutex_lock(&s3->lock);
    int64_t gained = (now_ns - s3->refilled_ns) / 1000 * TOKENS_PER_SECOND / 1000000;
    if (gained > 0) {
        s3->tokens += gained;
        s3->refilled_ns = now_ns;
    }
    if (s3->tokens > TOKENS_MAX) s3->tokens = TOKENS_MAX;
    bool enough = s3->tokens >= TOKENS_REPEAT;
    if (enough) s3->tokens -= TOKENS_REPEAT;
    pthread_mutex_unlock(&s3->lock);
    return enough;
}

/* ---- what went wrong, for people ---- */

const char *s3_advice(const struct s3_exchange *exchange)
{
    int status = exchange->status;
    if (exchange->http.outcome == GLIS_EDENIED)
        return "; AWS_CA_BUNDLE names a file of certificates to trust instead of the system's";
    if (says(exchange, "NoSuchBucket"))
        return "; make the bucket first, or name another (and check region and endpoint)";
    if (says(exchange, "ExpiredToken") || says(exchange, "InvalidToken"))
        return "; renew the credentials (AWS_SESSION_TOKEN, or sign in again)";
    if (says(exchange, "SignatureDoesNotMatch"))
        return "; the secret key is wrong (AWS_SECRET_ACCESS_KEY, or the profile's)";
    if (says(exchange, "InvalidAccessKeyId"))
        return "; the access key is not known there (AWS_ACCESS_KEY_ID, or the profile's)";
    if (says(exchange, "RequestTimeTooSkewed"))
        return "; this machine's clock and the server's differ too much: set the clock";
    if (status == 301 || status == 307 || status == 308 ||
        says(exchange, "AuthorizationHeaderMalformed"))
        return "; set AWS_REGION to the bucket's region, and AWS_ENDPOINT_URL_S3 to where it is";
    if (status == 403) return "; docs/s3.md lists the permissions that are needed";
    return "";
}

/* What a server says, cut only when its secrets are hidden: half of one would not be found. */
static struct slice said(struct s3_exchange *exchange, struct slice text, size_t size_max)
{
    struct slice shown = s3_hide_secrets(&exchange->credentials, text, &exchange->answer);
    return slice_part(shown, 0, size_max);
}

static void fail_text(struct s3_exchange *exchange, struct buffer *text)
{
    const struct http_request *http = &exchange->http;
    const struct s3_error *error = &exchange->error;
    struct slice region = http_answer_header(http, "x-amz-bucket-region");
    struct slice id = error->request_id.size
                          ? error->request_id
                          : http_answer_header(http, exchange->s3->dialect->request_id);
    struct slice said_code = error->said.size ? error->said : error->code;
    int cut = buffer_printf(text, "%s%s%.*s: ", exchange->request.method,
                            exchange->request.key.size ? " " : "",
                            SLICE_PRINT(slice_part(exchange->request.key, 0, 300)));
    if (region.size == 0) region = error->region;
    if (cut == 0 && http->outcome < 0)
        cut = buffer_printf(text, "%s", http->failure);
    else if (cut == 0)
        cut = buffer_printf(text, "HTTP status %d", http->status);
    if (cut == 0 && said_code.size)
        cut = buffer_printf(text, " %.*s", SLICE_PRINT(said(exchange, said_code, 100)));
    if (cut == 0 && error->message.size)
        cut = buffer_printf(text, ": %.*s", SLICE_PRINT(said(exchange, error->message, 300)));
    if (cut == 0 && http->status >= 300 && http->status < 400)
        cut = buffer_printf(text, ", a redirect to %.*s, which is not followed",
                            SLICE_PRINT(said(exchange, http_answer_header(http, "location"), 200)));
    if (cut == 0 && region.size && http->status >= 300)
        cut = buffer_printf(text, " (the bucket is in region %.*s)",
                            SLICE_PRINT(said(exchange, region, 64)));
    if (cut == 0 && exchange->tries > 1)
        cut = buffer_printf(text, ", after %u tries", exchange->tries);
    if (cut == 0 && id.size)
        cut = buffer_printf(text, " (request %.*s)", SLICE_PRINT(said(exchange, id, 100)));
    (void)cut;
}

static int64_t fail(struct s3_exchange *exchange, int code)
{
    struct store_s3 *s3 = exchange->s3;
    char storage[ERROR_TEXT_BYTES];
    struct buffer text = BUFFER_INIT(ERROR_TEXT_BYTES);
    fail_text(exchange, &text);
    struct slice shown =
        s3_hide_secrets(&exchange->credentials, buffer_slice(&text), &exchange->answer);
    (void)snprintf(storage, sizeof(storage), "%s: %.*s%s", s3->store.description,
                   SLICE_PRINT(shown), s3->dialect->advice(exchange));
    buffer_free(&text);
    exchange->code = error_set(code, "%s", storage);
    error_save(&exchange->detail);
    exchange->done = true;
    return -1;
}

int s3_exchange_fail(struct s3_exchange *exchange, int code, const char *what)
{
    exchange->http.failure = what;
    exchange->http.outcome = code;
    (void)fail(exchange, code);
    return s3_exchange_failure(exchange);
}

/* ---- the server's time ---- */

static void time_learn(struct store_s3 *s3, const struct http_request *http, bool refused)
{
    /* Ceph's gateway (16.2.15), which this form of id tells, deletes the keys of one DeleteObjects
     * at once and sometimes aborts over it. Deletes by themselves cost nothing there. */
    if (slice_starts_with(http_answer_header(http, "x-amz-request-id"), SLICE("tx0000")))
        atomic_store_explicit(&s3->deletes_singly, true, memory_order_relaxed);
    struct slice date = http_answer_header(http, "date");
    int64_t server_ms;
    if (http->outcome != 0 || date.size == 0) return;
    int64_t now_ns = s3->runtime->clock->monotonic_ns(s3->runtime->clock);
    pthread_mutex_lock(&s3->lock);
    bool recent = s3->server_at_ns != 0 && now_ns - s3->server_at_ns < 1000000000;
    pthread_mutex_unlock(&s3->lock);
    if (recent && !refused) return;
    if (s3_time_http(date, &server_ms) < 0) {
        error_clear();
        return;
    }
    int64_t wall_ms = s3->runtime->clock->wall_ms(s3->runtime->clock);
    pthread_mutex_lock(&s3->lock);
    s3->server_ms = server_ms;
    s3->server_at_ns = now_ns;
    if (refused) {
        s3->skew_ms = server_ms - wall_ms;
        s3->skew_known = true;
    }
    pthread_mutex_unlock(&s3->lock);
}
