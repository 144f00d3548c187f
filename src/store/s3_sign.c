/*
 * s3_sign.c: signature version 4, as Amazon documents it ("Create a signed AWS API request"), in
 * the form of service s3: the path is escaped once and nothing in it is normalised, so that a key
 * like "a/../b//" stays what it is.
 *
 * A signature is an HMAC over a text about the request: method, path, sorted query, sorted headers
 * and the body's hash. Both sides make that text on their own, so each byte matters: what is signed
 * here is what is sent, the escaped path and the sorted query become the URL as they are. The key
 * of the HMAC is derived from the secret by day, region and service in four more of them; it is
 * kept, so a request costs two hashes and one HMAC: 3 to 5 microseconds.
 *
 * The query is sorted by its escaped names, then by its escaped values; headers by their names in
 * lower case, values of the same name in the order given, joined by commas; their values lose
 * blanks at both ends, and runs of blanks become one.
 */
#include "store/s3_int.h"

#include "base/digest.h"

#include <pthread.h>
#include <stdlib.h>

enum { SECRET_BYTES_MAX = 256, REGION_BYTES_MAX = 64, SERVICE_BYTES_MAX = 16, TIME_BYTES = 16 };

struct s3_signer {
    pthread_mutex_t lock;
    char secret[SECRET_BYTES_MAX];
    char region[REGION_BYTES_MAX];
    char service[SERVICE_BYTES_MAX];
    size_t secret_size, region_size, service_size;
    char day[8]; /* all zero: no key yet */
    uint8_t key[DIGEST_SHA256_BYTES];
};

static int pairs_check(const struct s3_request *request, const struct s3_settings *settings);
static struct slice request_path(const struct s3_settings *settings, struct slice key,
                                 struct arena *arena);
static struct slice request_host(const struct s3_settings *settings, struct arena *arena);
static void time_text(int64_t now_ms, char out[TIME_BYTES + 1]);
static struct slice canonical_query(const struct s3_pair *query, size_t n, struct arena *arena);
static struct slice canonical_headers(const struct http_header *headers, size_t n,
                                      struct arena *arena, struct slice *out_names);
static void signing_key(struct s3_signer *signer, const struct s3_credentials *credentials,
                        const struct s3_canonical *request, uint8_t out[DIGEST_SHA256_BYTES]);
static struct slice hex(const uint8_t *bytes, size_t size, struct arena *arena);

struct s3_signer *s3_signer_new(void)
{
    struct s3_signer *signer = memory_alloc_zero(sizeof(*signer));
    pthread_mutex_init(&signer->lock, NULL);
    return signer;
}

void s3_signer_free(struct s3_signer *signer)
{
    if (!signer) return;
    pthread_mutex_destroy(&signer->lock);
    explicit_bzero(signer, sizeof(*signer));
    free(signer);
}

int s3_sign(struct s3_signer *signer, const struct s3_settings *settings,
            const struct s3_credentials *credentials, int64_t now_ms,
            const struct s3_request *request, struct arena *arena, struct s3_signed *out)
{
    TRY(pairs_check(request, settings));
    struct s3_canonical canonical = {
        .method = request->method,
        .path = request_path(settings, request->key, arena),
        .query = request->query,
        .n_query = request->n_query,
        .payload = SLICE("UNSIGNED-PAYLOAD"),
        .region = settings->region,
        .service = settings->google ? SLICE("storage") : SLICE("s3"),
        .google = settings->google,
    };
    time_text(now_ms, canonical.time);
    if (request->payload == S3_PAYLOAD_HASH)
        canonical.payload = hex(request->sha256, DIGEST_SHA256_BYTES, arena);
    if (request->payload == S3_PAYLOAD_BODY) {
        uint8_t digest[DIGEST_SHA256_BYTES];
        digest_sha256(request->body, digest);
        canonical.payload = hex(digest, sizeof(digest), arena);
    }
    struct http_header *headers = ARENA_ARRAY(arena, struct http_header, request->n_headers + 5);
    size_t n = 0;
    for (; n < request->n_headers; n++) {
        struct slice name = request->headers[n].name;
        char *lower = arena_copy_text(arena, name);
        for (size_t i = 0; i < name.size; i++)
            if (lower[i] >= 'A' && lower[i] <= 'Z') lower[i] += 'a' - 'A';
        headers[n].name = slice_make(lower, name.size);
        headers[n].value = slice_make(arena_copy_text(arena, request->headers[n].value),
                                      request->headers[n].value.size);
    }
    struct slice host = request_host(settings, arena);
    headers[n++] = (struct http_header){SLICE("host"), host};
    bool google = settings->google;
    headers[n++] = (struct http_header){
        google ? SLICE("x-goog-content-sha256") : SLICE("x-amz-content-sha256"), canonical.payload};
    headers[n++] = (struct http_header){
        google ? SLICE("x-goog-date") : SLICE("x-amz-date"),
        slice_make(arena_copy_text(arena, slice_make(canonical.time, TIME_BYTES)), TIME_BYTES)};
    if (credentials->session_token.size > 0)
        headers[n++] =
            (struct http_header){SLICE("x-amz-security-token"),
                                 slice_make(arena_copy_text(arena, credentials->session_token),
                                            credentials->session_token.size)};
    canonical.headers = headers;
    canonical.n_headers = n;
    struct s3_signature signature;
    TRY(s3_sign_canonical(signer, credentials, &canonical, arena, &signature));
    headers[n++] = (struct http_header){SLICE("authorization"), signature.authorization};
    out->headers = headers;
    out->n_headers = n;
    const char *url =
        arena_printf(arena, "%s://%.*s%.*s%s%.*s", settings->tls ? "https" : "http",
                     SLICE_PRINT(host), SLICE_PRINT(canonical.path),
                     signature.query.size > 0 ? "?" : "", SLICE_PRINT(signature.query));
    out->url = slice_from_text(url);
    return 0;
}

int s3_sign_canonical(struct s3_signer *signer, const struct s3_credentials *credentials,
                      const struct s3_canonical *request, struct arena *arena,
                      struct s3_signature *out)
{
    if (request->n_query > S3_SIGN_PAIRS_MAX || request->n_headers > S3_SIGN_PAIRS_MAX)
        return error_set(GLIS_EINVALID, "a request with more than %d headers or parameters",
                         S3_SIGN_PAIRS_MAX);
    struct slice names;
    struct slice headers = canonical_headers(request->headers, request->n_headers, arena, &names);
    out->query = canonical_query(request->query, request->n_query, arena);
    out->canonical_request = slice_from_text(
        arena_printf(arena, "%s\n%.*s\n%.*s\n%.*s\n%.*s\n%.*s", request->method,
                     SLICE_PRINT(request->path), SLICE_PRINT(out->query), SLICE_PRINT(headers),
                     SLICE_PRINT(names), SLICE_PRINT(request->payload)));
    uint8_t digest[DIGEST_SHA256_BYTES], key[DIGEST_SHA256_BYTES];
    digest_sha256(out->canonical_request, digest);
    const char *scope = arena_printf(arena, "%.8s/%.*s/%.*s/%s", request->time,
                                     SLICE_PRINT(request->region), SLICE_PRINT(request->service),
                                     request->google ? "goog4_request" : "aws4_request");
    const char *algorithm = request->google ? "GOOG4-HMAC-SHA256" : "AWS4-HMAC-SHA256";
    out->string_to_sign =
        slice_from_text(arena_printf(arena, "%s\n%.16s\n%s\n%.*s", algorithm, request->time, scope,
                                     SLICE_PRINT(hex(digest, sizeof(digest), arena))));
    signing_key(signer, credentials, request, key);
    digest_hmac_sha256(slice_make(key, sizeof(key)), out->string_to_sign, digest);
    explicit_bzero(key, sizeof(key));
    out->authorization = slice_from_text(
        arena_printf(arena, "%s Credential=%.*s/%s, SignedHeaders=%.*s, Signature=%.*s", algorithm,
                     SLICE_PRINT(credentials->access_key), scope, SLICE_PRINT(names),
                     SLICE_PRINT(hex(digest, sizeof(digest), arena))));
    return 0;
}

struct slice s3_escape(struct slice text, bool keep_slash, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, text.size * 3 + 1), *at = out;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash)) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        }
    }
    *at = '\0';
    return slice_make(out, (size_t)(at - out));
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return true;
    }
    return false;
}

/* A line end in a header would let a value speak for a header of its own. */
static int pairs_check(const struct s3_request *request, const struct s3_settings *settings)
{
    if (request->n_query > S3_SIGN_PAIRS_MAX || request->n_headers + 5 > S3_SIGN_PAIRS_MAX)
        return error_set(GLIS_EINVALID, "a request with more than %d headers or parameters",
                         S3_SIGN_PAIRS_MAX);
    for (size_t i = 0; i < request->n_headers; i++)
        if (request->headers[i].name.size == 0 || has_control(request->headers[i].name) ||
            has_control(request->headers[i].value))
            return error_set(GLIS_EINVALID, "a header '%.*s' with control characters",
                             SLICE_PRINT(request->headers[i].name));
    if (has_control(settings->host) || has_control(settings->bucket))
        return error_set(GLIS_EINVALID, "a host with control characters");
    return 0;
}

static struct slice request_path(const struct s3_settings *settings, struct slice key,
                                 struct arena *arena)
{
    struct slice escaped = s3_escape(key, true, arena);
    if (!settings->path_style)
        return slice_from_text(arena_printf(arena, "/%.*s", SLICE_PRINT(escaped)));
    return slice_from_text(arena_printf(arena, "/%.*s%s%.*s", SLICE_PRINT(settings->bucket),
                                        key.size > 0 ? "/" : "", SLICE_PRINT(escaped)));
}

static struct slice request_host(const struct s3_settings *settings, struct arena *arena)
{
    struct slice bucket = settings->path_style ? SLICE_EMPTY : settings->bucket;
    const char *host = arena_printf(arena, "%.*s%s%.*s", SLICE_PRINT(bucket),
                                    bucket.size > 0 ? "." : "", SLICE_PRINT(settings->host));
    if (settings->port != 0) host = arena_printf(arena, "%s:%u", host, settings->port);
    return slice_from_text(host);
}

static void time_text(int64_t now_ms, char out[TIME_BYTES + 1])
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    memcpy(out, "19700101T000000Z", TIME_BYTES + 1);
    if (now_ms >= 0 && gmtime_r(&seconds, &tm) && tm.tm_year <= 8099)
        strftime(out, TIME_BYTES + 1, "%Y%m%dT%H%M%SZ", &tm);
}

static int pair_compare(const struct s3_pair *a, const struct s3_pair *b, bool with_values)
{
    int c = slice_compare(a->name, b->name);
    return c || !with_values ? c : slice_compare(a->value, b->value);
}

/* Stable, and quick for the dozen pairs that there are. */
static void pairs_sort(struct s3_pair *pairs, size_t n, bool with_values)
{
    for (size_t i = 1; i < n; i++) {
        struct s3_pair pair = pairs[i];
        size_t at = i;
        for (; at > 0 && pair_compare(&pairs[at - 1], &pair, with_values) > 0; at--)
            pairs[at] = pairs[at - 1];
        pairs[at] = pair;
    }
}

static char *put(char *at, struct slice text)
{
    if (text.size > 0) memcpy(at, text.data, text.size);
    return at + text.size;
}

static struct slice canonical_query(const struct s3_pair *query, size_t n, struct arena *arena)
{
    struct s3_pair *pairs = ARENA_ARRAY(arena, struct s3_pair, n);
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        pairs[i].name = s3_escape(query[i].name, false, arena);
        pairs[i].value = s3_escape(query[i].value, false, arena);
        size += pairs[i].name.size + pairs[i].value.size + 2;
    }
    pairs_sort(pairs, n, true);
    char *out = arena_alloc(arena, size + 1), *at = out;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) *at++ = '&';
        at = put(at, pairs[i].name);
        *at++ = '=';
        at = put(at, pairs[i].value);
    }
    *at = '\0';
    return slice_make(out, (size_t)(at - out));
}

/* A value without blanks at its ends, each run of blanks inside as one. */
static char *put_trimmed(char *at, struct slice value)
{
    bool blank = false, begun = false;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == ' ' || value.data[i] == '\t' || value.data[i] == '\n') {
            blank = true;
            continue;
        }
        if (blank && begun) *at++ = ' ';
        *at++ = value.data[i];
        blank = false;
        begun = true;
    }
    return at;
}

/* "name:value\n" of each name, and "name;name". */
static struct slice canonical_headers(const struct http_header *headers, size_t n,
                                      struct arena *arena, struct slice *out_names)
{
    struct s3_pair *pairs = ARENA_ARRAY(arena, struct s3_pair, n);
    size_t size = 0, names_size = 0;
    for (size_t i = 0; i < n; i++) {
        char *lower = arena_copy_text(arena, headers[i].name);
        for (size_t k = 0; k < headers[i].name.size; k++)
            if (lower[k] >= 'A' && lower[k] <= 'Z') lower[k] += 'a' - 'A';
        pairs[i] = (struct s3_pair){slice_make(lower, headers[i].name.size), headers[i].value};
        size += pairs[i].name.size + pairs[i].value.size + 2;
        names_size += pairs[i].name.size + 1;
    }
    pairs_sort(pairs, n, false);
    char *out = arena_alloc(arena, size + 1), *at = out;
    char *names = arena_alloc(arena, names_size + 1), *names_at = names;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && slice_equal(pairs[i].name, pairs[i - 1].name)) {
            at[-1] = ',';
        } else {
            at = put(at, pairs[i].name);
            *at++ = ':';
            if (i > 0) *names_at++ = ';';
            names_at = put(names_at, pairs[i].name);
        }
        at = put_trimmed(at, pairs[i].value);
        *at++ = '\n';
    }
    *at = *names_at = '\0';
    *out_names = slice_make(names, (size_t)(names_at - names));
    return slice_make(out, (size_t)(at - out));
}

static void derive(const struct s3_credentials *credentials, const struct s3_canonical *request,
                   uint8_t key[DIGEST_SHA256_BYTES])
{
    defer_buffer struct buffer first = BUFFER_INIT(SIZE_MAX / 2);
    ASSERT(buffer_append_text(&first, request->google ? "GOOG4" : "AWS4") == 0 &&
           buffer_append_slice(&first, credentials->secret_key) == 0);
    struct slice day = slice_make(request->time, 8);
    struct slice held = slice_make(key, DIGEST_SHA256_BYTES);
    digest_hmac_sha256(buffer_slice(&first), day, key);
    digest_hmac_sha256(held, request->region, key);
    digest_hmac_sha256(held, request->service, key);
    digest_hmac_sha256(held, request->google ? SLICE("goog4_request") : SLICE("aws4_request"), key);
    explicit_bzero(first.data, first.size);
}

static void signing_key(struct s3_signer *signer, const struct s3_credentials *credentials,
                        const struct s3_canonical *request, uint8_t out[DIGEST_SHA256_BYTES])
{
    struct slice secret = credentials->secret_key, region = request->region;
    struct slice service = request->service, day = slice_make(request->time, 8);
    bool fits = secret.size <= SECRET_BYTES_MAX && region.size <= REGION_BYTES_MAX &&
                service.size <= SERVICE_BYTES_MAX;
    if (!fits) {
        derive(credentials, request, out);
        return;
    }
    pthread_mutex_lock(&signer->lock);
    if (!slice_equal(slice_make(signer->day, 8), day) ||
        !slice_equal(slice_make(signer->secret, signer->secret_size), secret) ||
        !slice_equal(slice_make(signer->region, signer->region_size), region) ||
        !slice_equal(slice_make(signer->service, signer->service_size), service)) {
        derive(credentials, request, signer->key);
        memcpy(signer->day, day.data, 8);
        put(signer->secret, secret);
        put(signer->region, region);
        put(signer->service, service);
        signer->secret_size = secret.size;
        signer->region_size = region.size;
        signer->service_size = service.size;
    }
    memcpy(out, signer->key, DIGEST_SHA256_BYTES);
    pthread_mutex_unlock(&signer->lock);
}

static struct slice hex(const uint8_t *bytes, size_t size, struct arena *arena)
{
    static const char digits[] = "0123456789abcdef";
    char *out = arena_alloc(arena, size * 2 + 1);
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
    return slice_make(out, size * 2);
}
