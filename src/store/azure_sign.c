/*
 * azure_sign.c: Azure's two ways to say who asks.
 *
 * Shared Key ("Authorize with Shared Key", in its form since version 2015-02-21): an HMAC-SHA256,
 * with the account's key, of a text that has the method, eleven standard headers in a fixed order
 * (empty lines for those that are not there, an empty line also for a length of zero), the x-ms-
 * headers in order, and the resource: the account's name, the path as it is sent, and the
 * parameters in order, unescaped. On an emulator, whose path begins with the account, its name so
 * stands there twice.
 *
 * A shared access signature is a part of the address that somebody with the key has made; it is
 * appended to the other parameters as it was given.
 *
 * The body is not signed. Its MD5 goes along as Content-MD5, which the service checks, unless the
 * body is large and TLS guards it; of Shared Key it is a part.
 */
#include "store/azure_int.h"

#include "base/digest.h"
#include "base/text.h"

#include <time.h>

enum { UNCHECKED_BODY_MIN = 1 << 20, TIME_BYTES = 29 };

static int pairs_check(const struct s3_request *request);
static struct slice query_text(const struct s3_pair *query, size_t n, struct slice sas,
                               struct arena *arena);
static void time_text(int64_t now_ms, char out[TIME_BYTES + 1]);

static struct slice base64(struct slice bytes, struct arena *arena)
{
    struct buffer text = BUFFER_INIT(256);
    ASSERT(text_base64_encode(&text, bytes) == 0);
    char *copy = arena_copy_text(arena, buffer_slice(&text));
    struct slice out = slice_make(copy, text.size);
    buffer_free(&text);
    return out;
}

static struct slice lower(struct slice text, struct arena *arena)
{
    char *copy = arena_copy_text(arena, text);
    for (size_t i = 0; i < text.size; i++)
        if (copy[i] >= 'A' && copy[i] <= 'Z') copy[i] += 'a' - 'A';
    return slice_make(copy, text.size);
}

int azure_sign(const struct s3_settings *settings, const struct azure_account *account,
               int64_t now_ms, const struct s3_request *request, struct arena *arena,
               struct s3_signed *out)
{
    static const struct s3_pair container = {{"restype", 7}, {"container", 9}};
    const struct s3_pair *query = request->query;
    size_t n_query = request->n_query, n = 0;
    TRY(pairs_check(request));
    if (request->key.size == 0 && n_query == 0) { /* the container itself */
        query = &container;
        n_query = 1;
    }
    struct http_header *headers = ARENA_ARRAY(arena, struct http_header, request->n_headers + 8);
    for (; n < request->n_headers; n++) {
        struct slice value = request->headers[n].value;
        headers[n].name = lower(request->headers[n].name, arena);
        headers[n].value = slice_make(arena_copy_text(arena, value), value.size);
    }
    char date[TIME_BYTES + 1];
    time_text(now_ms, date);
    headers[n++] = (struct http_header){
        SLICE("x-ms-date"), slice_from_text(arena_copy_text(arena, slice_from_text(date)))};
    headers[n++] = (struct http_header){SLICE("x-ms-version"), SLICE(AZURE_VERSION)};
    bool is_put = strcmp(request->method, "PUT") == 0;
    if (is_put && n_query == 0)
        headers[n++] = (struct http_header){SLICE("x-ms-blob-type"), SLICE("BlockBlob")};
    if (is_put && request->key.size > 0 &&
        (!settings->tls || request->body.size <= UNCHECKED_BODY_MIN)) {
        uint8_t md5[DIGEST_MD5_BYTES];
        digest_md5(request->body, md5);
        headers[n++] =
            (struct http_header){SLICE("content-md5"), base64(slice_make(md5, sizeof(md5)), arena)};
    }
    struct slice key = s3_escape(request->key, true, arena);
    const char *path =
        arena_printf(arena, "%.*s/%.*s%s%.*s", SLICE_PRINT(account->base_path),
                     SLICE_PRINT(settings->bucket), key.size ? "/" : "", SLICE_PRINT(key));
    if (account->sas.size == 0) {
        uint8_t digest[DIGEST_SHA256_BYTES];
        const char *resource = arena_printf(arena, "/%.*s%s", SLICE_PRINT(account->name), path);
        struct slice text = azure_string_to_sign(request->method, slice_from_text(resource), query,
                                                 n_query, headers, n, request->body.size, arena);
        digest_hmac_sha256(account->key, text, digest);
        struct slice signature = base64(slice_make(digest, sizeof(digest)), arena);
        headers[n++] = (struct http_header){
            SLICE("authorization"),
            slice_from_text(arena_printf(arena, "SharedKey %.*s:%.*s", SLICE_PRINT(account->name),
                                         SLICE_PRINT(signature)))};
    }
    struct slice parameters = query_text(query, n_query, account->sas, arena);
    const char *port = settings->port ? arena_printf(arena, ":%u", settings->port) : "";
    const char *url = arena_printf(arena, "%s://%.*s%s%s%s%.*s", settings->tls ? "https" : "http",
                                   SLICE_PRINT(settings->host), port, path,
                                   parameters.size > 0 ? "?" : "", SLICE_PRINT(parameters));
    out->url = slice_from_text(url);
    out->headers = headers;
    out->n_headers = n;
    return 0;
}

static struct slice header_value(const struct http_header *headers, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_equal_text(headers[i].name, name)) return headers[i].value;
    return SLICE_EMPTY;
}

/* Stable, and quick for the few that there are. */
static void pairs_sort(struct s3_pair *pairs, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct s3_pair pair = pairs[i];
        size_t at = i;
        for (; at > 0 && slice_compare(pairs[at - 1].name, pair.name) > 0; at--)
            pairs[at] = pairs[at - 1];
        pairs[at] = pair;
    }
}

static struct slice trimmed(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_part(text, 1, text.size);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

struct slice azure_string_to_sign(const char *method, struct slice resource,
                                  const struct s3_pair *query, size_t n_query,
                                  const struct http_header *headers, size_t n_headers,
                                  size_t body_size, struct arena *arena)
{
    static const char *const standard[] = {
        "content-encoding", "content-language",    NULL, /* the length */
        "content-md5",      "content-type",        "date",  "if-modified-since", "if-match",
        "if-none-match",    "if-unmodified-since", "range",
    };
    defer_buffer struct buffer text = BUFFER_INIT(1 << 20);
    struct s3_pair *pairs = ARENA_ARRAY(arena, struct s3_pair, n_headers + n_query);
    size_t n = 0;
    int code = buffer_printf(&text, "%s\n", method);
    for (size_t i = 0; code == 0 && i < sizeof(standard) / sizeof(standard[0]); i++) {
        if (standard[i])
            code = buffer_printf(&text, "%.*s\n",
                                 SLICE_PRINT(header_value(headers, n_headers, standard[i])));
        else if (body_size > 0)
            code = buffer_printf(&text, "%zu\n", body_size);
        else
            code = buffer_append_byte(&text, '\n');
    }
    for (size_t i = 0; i < n_headers; i++)
        if (slice_starts_with(headers[i].name, SLICE("x-ms-")))
            pairs[n++] = (struct s3_pair){headers[i].name, trimmed(headers[i].value)};
    pairs_sort(pairs, n);
    for (size_t i = 0; code == 0 && i < n; i++)
        code = buffer_printf(&text, "%.*s:%.*s\n", SLICE_PRINT(pairs[i].name),
                             SLICE_PRINT(pairs[i].value));
    if (code == 0) code = buffer_append_slice(&text, resource);
    for (size_t i = 0; i < n_query; i++)
        pairs[i] = (struct s3_pair){lower(query[i].name, arena), query[i].value};
    pairs_sort(pairs, n_query);
    for (size_t i = 0; code == 0 && i < n_query; i++)
        code = buffer_printf(&text, "\n%.*s:%.*s", SLICE_PRINT(pairs[i].name),
                             SLICE_PRINT(pairs[i].value));
    ASSERT(code == 0); /* keys and headers are far smaller than the buffer may become */
    return arena_copy(arena, buffer_slice(&text));
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c < 0x20 || c == 0x7f) return true;
    }
    return false;
}

/* A line end in a header would let a value speak for a header of its own. */
static int pairs_check(const struct s3_request *request)
{
    size_t bytes = request->key.size;
    if (request->n_query > S3_SIGN_PAIRS_MAX || request->n_headers + 8 > S3_SIGN_PAIRS_MAX)
        return error_set(GLIS_EINVALID, "a request with more than %d headers or parameters",
                         S3_SIGN_PAIRS_MAX);
    for (size_t i = 0; i < request->n_headers; i++) {
        bytes += request->headers[i].value.size;
        if (has_control(request->headers[i].name) || has_control(request->headers[i].value))
            return error_set(GLIS_EINVALID, "a header '%.*s' with control characters",
                             SLICE_PRINT(request->headers[i].name));
    }
    for (size_t i = 0; i < request->n_query; i++)
        bytes += request->query[i].value.size;
    if (bytes > 1 << 16)
        return error_set(GLIS_EINVALID, "a request with a key or parameters too long");
    return 0;
}

static struct slice query_text(const struct s3_pair *query, size_t n, struct slice sas,
                               struct arena *arena)
{
    const char *text = "";
    for (size_t i = 0; i < n; i++)
        text = arena_printf(arena, "%s%s%.*s=%.*s", text, i > 0 ? "&" : "",
                            SLICE_PRINT(s3_escape(query[i].name, false, arena)),
                            SLICE_PRINT(s3_escape(query[i].value, false, arena)));
    if (sas.size > 0)
        text = arena_printf(arena, "%s%s%.*s", text, n > 0 ? "&" : "", SLICE_PRINT(sas));
    return slice_from_text(text);
}

/* "Sun, 01 Mar 2026 12:00:00 GMT", whatever the locale. */
static void time_text(int64_t now_ms, char out[TIME_BYTES + 1])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", TIME_BYTES + 1);
    if (now_ms < 0 || !gmtime_r(&seconds, &tm) || tm.tm_year > 8099) return;
    (void)snprintf(out, TIME_BYTES + 1, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                   days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon,
                   (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                   (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}
