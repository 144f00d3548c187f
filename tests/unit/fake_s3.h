/*
 * fake_s3.h: a small S3 server in memory for tests, whose answers a test can spoil. It checks no
 * signatures; what it does is what Amazon's API reference says of each operation, as far as the
 * store uses it. Real servers are for the system tests.
 */
#ifndef GLIS_FAKE_S3_H
#define GLIS_FAKE_S3_H

#include "loopback.h"

#include "base/text.h"

#include <time.h>

enum { FAKE_OBJECTS_MAX = 4096, FAKE_UPLOADS_MAX = 64, FAKE_PARTS_MAX = 512 };

struct fake_object {
    char *key;
    struct buffer body;
    time_t modified;
};

struct fake_upload {
    char *key;
    char id[16];
    struct buffer parts[FAKE_PARTS_MAX];
};

struct fake_s3 {
    struct loopback *server;
    pthread_mutex_t lock;                         /* guards what follows */
    struct fake_object objects[FAKE_OBJECTS_MAX]; /* in order */
    size_t n_objects;
    struct fake_upload uploads[FAKE_UPLOADS_MAX]; /* key NULL: none */
    unsigned n_uploads_ever;
    atomic_bool takes_every_put;     /* If-None-Match is ignored */
    atomic_bool no_bulk_delete;      /* 501 */
    atomic_bool complete_says_error; /* in a 200 */
    atomic_uint n_bulk_deletes, n_parts, n_gets, n_puts, n_aborts;
    /* Called first, without the lock. True: it has answered (or closed, or nothing). */
    bool (*_Atomic before)(struct fake_s3 *fake, struct loopback_request *request);
    /* Called after the work was done, in place of the answer. True: it has answered. */
    bool (*_Atomic after)(struct fake_s3 *fake, struct loopback_request *request);
    atomic_int faults_left; /* for the hooks */
};

static inline void fake_date(char out[64], time_t when)
{
    struct tm parts;
    gmtime_r(&when, &parts);
    assert_true(strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0);
}

/* The answer, unless the hook wants another. */
static inline void fake_answer(struct fake_s3 *fake, struct loopback_request *request, int status,
                               const char *headers, struct slice body)
{
    char date[64], lines[1024];
    bool (*after)(struct fake_s3 *, struct loopback_request *) = fake->after;
    if (after && after(fake, request)) return;
    fake_date(date, time(NULL));
    snprintf(lines, sizeof(lines), "Date: %s\r\nx-amz-request-id: tx0001\r\n%s", date, headers);
    loopback_answer(request, status, lines, body);
}

static inline void fake_error(struct fake_s3 *fake, struct loopback_request *request, int status,
                              const char *code)
{
    char text[512];
    snprintf(text, sizeof(text),
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>the "
             "message</Message><RequestId>tx0001</RequestId></Error>",
             code);
    fake_answer(fake, request, status, "Content-Type: application/xml\r\n", slice_from_text(text));
}

static inline int fake_hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Takes %XX out, in place. */
static inline char *fake_unescape(char *text)
{
    char *to = text;
    for (char *from = text; *from; from++) {
        if (*from == '%' && from[1] && from[2]) {
            *to++ = (char)(fake_hex(from[1]) * 16 + fake_hex(from[2]));
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return text;
}

/* A copy of a query parameter's value, unescaped, or NULL; the caller frees it. */
static inline char *fake_query(const struct loopback_request *request, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = request->query; *at;) {
        const char *end = strchr(at, '&');
        if (!end) end = at + strlen(at);
        if (strncmp(at, name, size) == 0 && (at[size] == '=' || at + size == end)) {
            const char *value = at[size] == '=' ? at + size + 1 : end;
            return fake_unescape(strndup(value, (size_t)(end - value)));
        }
        at = *end ? end + 1 : end;
    }
    return NULL;
}

/* Where a key is, or would be. */
static inline size_t fake_position(const struct fake_s3 *fake, const char *key, bool *found)
{
    size_t i = 0;
    while (i < fake->n_objects && strcmp(fake->objects[i].key, key) < 0)
        i++;
    *found = i < fake->n_objects && strcmp(fake->objects[i].key, key) == 0;
    return i;
}

static inline void fake_set(struct fake_s3 *fake, const char *key, struct slice body)
{
    bool found;
    size_t at = fake_position(fake, key, &found);
    struct fake_object *object = &fake->objects[at];
    if (!found) {
        assert_true(fake->n_objects < FAKE_OBJECTS_MAX);
        memmove(object + 1, object, (fake->n_objects - at) * sizeof(*object));
        fake->n_objects++;
        object->key = strdup(key);
    } else {
        buffer_free(&object->body);
    }
    buffer_init(&object->body, SIZE_MAX, NULL);
    assert_ok(buffer_append_slice(&object->body, body));
    object->modified = time(NULL);
}

static inline void fake_remove(struct fake_s3 *fake, const char *key)
{
    bool found;
    size_t at = fake_position(fake, key, &found);
    if (!found) return;
    free(fake->objects[at].key);
    buffer_free(&fake->objects[at].body);
    fake->n_objects--;
    memmove(&fake->objects[at], &fake->objects[at + 1],
            (fake->n_objects - at) * sizeof(fake->objects[0]));
}

static inline struct fake_upload *fake_upload_find(struct fake_s3 *fake, const char *id)
{
    for (size_t i = 0; i < FAKE_UPLOADS_MAX; i++)
        if (fake->uploads[i].key && strcmp(fake->uploads[i].id, id) == 0) return &fake->uploads[i];
    return NULL;
}

static inline void fake_upload_end(struct fake_upload *upload)
{
    for (size_t i = 0; i < FAKE_PARTS_MAX; i++)
        buffer_free(&upload->parts[i]);
    free(upload->key);
    memset(upload, 0, sizeof(*upload));
}

static inline void fake_escape(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("/-._~", *text) || (*text >= '0' && *text <= '9') ||
            ((*text | 0x20) >= 'a' && (*text | 0x20) <= 'z'))
            assert_ok(buffer_append_byte(out, (uint8_t)*text));
        else
            assert_ok(buffer_printf(out, "%%%02X", (unsigned char)*text));
    }
}

static inline void fake_list(struct fake_s3 *fake, struct loopback_request *request)
{
    char *prefix = fake_query(request, "prefix"), *after = fake_query(request, "start-after");
    char *max = fake_query(request, "max-keys");
    uint64_t limit = 1000, n = 0;
    bool more = false;
    struct buffer out = BUFFER_INIT(64 << 20);
    if (max) assert_ok(text_parse_uint64(slice_from_text(max), &limit));
    assert_ok(buffer_append_text(&out,
                                 "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult "
                                 "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    for (size_t i = 0; i < fake->n_objects; i++) {
        const struct fake_object *object = &fake->objects[i];
        struct tm parts;
        if (prefix && strncmp(object->key, prefix, strlen(prefix)) != 0) continue;
        if (after && strcmp(object->key, after) <= 0) continue;
        more = n == limit;
        if (more) break;
        n++;
        gmtime_r(&object->modified, &parts);
        char when[64];
        assert_true(strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000Z", &parts) > 0);
        assert_ok(buffer_append_text(&out, "<Contents><Key>"));
        fake_escape(&out, object->key);
        assert_ok(buffer_printf(&out,
                                "</Key><LastModified>%s</LastModified><Size>%zu</Size></Contents>",
                                when, object->body.size));
    }
    assert_ok(
        buffer_printf(&out, "<EncodingType>url</EncodingType><KeyCount>%d</KeyCount>", (int)n));
    assert_ok(buffer_printf(&out, "<IsTruncated>%s</IsTruncated>%s</ListBucketResult>",
                            more ? "true" : "false",
                            more ? "<NextContinuationToken>t</NextContinuationToken>" : ""));
    fake_answer(fake, request, 200, "", buffer_slice(&out));
    buffer_free(&out);
    free(prefix);
    free(after);
    free(max);
}

static inline void fake_list_uploads(struct fake_s3 *fake, struct loopback_request *request)
{
    char *prefix = fake_query(request, "prefix");
    struct buffer out = BUFFER_INIT(1 << 20);
    assert_ok(buffer_append_text(&out, "<ListMultipartUploadsResult>"));
    for (size_t i = 0; i < FAKE_UPLOADS_MAX; i++) {
        const struct fake_upload *upload = &fake->uploads[i];
        if (!upload->key || strncmp(upload->key, prefix, strlen(prefix)) != 0) continue;
        assert_ok(buffer_append_text(&out, "<Upload><Key>"));
        fake_escape(&out, upload->key);
        assert_ok(buffer_printf(&out,
                                "</Key><UploadId>%s</UploadId><Initiated>2026-03-01T12:00:00.000Z"
                                "</Initiated></Upload>",
                                upload->id));
    }
    assert_ok(buffer_append_text(&out, "<EncodingType>url</EncodingType><IsTruncated>false"
                                       "</IsTruncated></ListMultipartUploadsResult>"));
    fake_answer(fake, request, 200, "", buffer_slice(&out));
    buffer_free(&out);
    free(prefix);
}

static inline void fake_get(struct fake_s3 *fake, struct loopback_request *request, const char *key)
{
    bool found;
    size_t at = fake_position(fake, key, &found), size = 0;
    char lines[256], date[64];
    atomic_fetch_add(&fake->n_gets, 1);
    if (!found) {
        fake_error(fake, request, 404, "NoSuchKey");
        return;
    }
    struct slice body = buffer_slice(&fake->objects[at].body);
    const char *range = loopback_header(request, "Range", &size);
    fake_date(date, fake->objects[at].modified);
    if (!range) {
        snprintf(lines, sizeof(lines), "Last-Modified: %s\r\nETag: \"e\"\r\n", date);
        fake_answer(fake, request, 200, lines, body);
        return;
    }
    unsigned long long first = 0, last = body.size - 1, total = body.size;
    char *end;
    range += strlen("bytes=");
    if (*range == '-') {
        unsigned long long suffix = strtoull(range + 1, NULL, 10);
        first = suffix < total ? total - suffix : 0;
    } else {
        first = strtoull(range, &end, 10);
        if (end[1] >= '0' && end[1] <= '9') last = strtoull(end + 1, NULL, 10);
    }
    if (first >= total) {
        fake_error(fake, request, 416, "InvalidRange");
        return;
    }
    if (last >= total) last = total - 1;
    snprintf(lines, sizeof(lines), "Last-Modified: %s\r\nContent-Range: bytes %llu-%llu/%llu\r\n",
             date, first, last, total);
    fake_answer(fake, request, 206, lines, slice_part(body, first, last - first + 1));
}

static inline void fake_put(struct fake_s3 *fake, struct loopback_request *request, const char *key)
{
    bool found;
    size_t size = 0;
    char *id = fake_query(request, "uploadId"), *number = fake_query(request, "partNumber");
    const char *condition = loopback_header(request, "If-None-Match", &size);
    fake_position(fake, key, &found);
    atomic_fetch_add(&fake->n_puts, 1);
    if (id && number) {
        struct fake_upload *upload = fake_upload_find(fake, id);
        unsigned long n = strtoul(number, NULL, 10);
        assert_true(n >= 1 && n <= FAKE_PARTS_MAX);
        atomic_fetch_add(&fake->n_parts, 1);
        if (!upload) {
            fake_error(fake, request, 404, "NoSuchUpload");
        } else {
            char etag[64];
            struct buffer *part = &upload->parts[n - 1];
            buffer_free(part);
            buffer_init(part, SIZE_MAX, NULL);
            assert_ok(buffer_append_slice(part, request->body));
            snprintf(etag, sizeof(etag), "ETag: \"part-%lu\"\r\n", n);
            fake_answer(fake, request, 200, etag, SLICE_EMPTY);
        }
    } else if (condition && found && !fake->takes_every_put) {
        fake_error(fake, request, 412, "PreconditionFailed");
    } else {
        fake_set(fake, key, request->body);
        fake_answer(fake, request, 200, "ETag: \"e\"\r\n", SLICE_EMPTY);
    }
    free(id);
    free(number);
}

static inline void fake_bulk_delete(struct fake_s3 *fake, struct loopback_request *request)
{
    atomic_fetch_add(&fake->n_bulk_deletes, 1);
    if (fake->no_bulk_delete) {
        fake_error(fake, request, 501, "NotImplemented");
        return;
    }
    size_t size = 0;
    assert_non_null(loopback_header(request, "Content-MD5", &size));
    assert_int_equal(size, 24);
    char *text = strndup(request->body.data, request->body.size);
    for (char *at = strstr(text, "<Key>"); at; at = strstr(at, "<Key>")) {
        char *end = strstr(at, "</Key>");
        *end = '\0';
        fake_remove(fake, at + strlen("<Key>"));
        at = end + 1;
    }
    free(text);
    fake_answer(fake, request, 200, "", SLICE("<DeleteResult></DeleteResult>"));
}

static inline void fake_begin_upload(struct fake_s3 *fake, struct loopback_request *request,
                                     const char *key)
{
    struct fake_upload *upload = fake->uploads;
    while (upload->key)
        upload++;
    assert_true(upload < fake->uploads + FAKE_UPLOADS_MAX);
    upload->key = strdup(key);
    snprintf(upload->id, sizeof(upload->id), "id-%u", ++fake->n_uploads_ever);
    char text[256];
    snprintf(
        text, sizeof(text),
        "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>",
        upload->id);
    fake_answer(fake, request, 200, "", slice_from_text(text));
}

static inline void fake_complete(struct fake_s3 *fake, struct loopback_request *request,
                                 const char *key, const char *id)
{
    struct fake_upload *upload = fake_upload_find(fake, id);
    if (!upload) {
        fake_error(fake, request, 404, "NoSuchUpload");
        return;
    }
    if (fake->complete_says_error) {
        fake_answer(fake, request, 200, "",
                    SLICE("  \n<?xml version=\"1.0\"?><Error><Code>InvalidPart</Code><Message>no "
                          "such part</Message></Error>"));
        return;
    }
    char *text = strndup(request->body.data, request->body.size);
    struct buffer whole = BUFFER_INIT(SIZE_MAX);
    for (const char *at = strstr(text, "<PartNumber>"); at; at = strstr(at + 1, "<PartNumber>")) {
        unsigned long n = strtoul(at + strlen("<PartNumber>"), NULL, 10);
        char etag[64];
        snprintf(etag, sizeof(etag), "part-%lu", n);
        assert_non_null(strstr(at, etag));
        assert_ok(buffer_append_slice(&whole, buffer_slice(&upload->parts[n - 1])));
    }
    free(text);
    fake_set(fake, key, buffer_slice(&whole));
    buffer_free(&whole);
    fake_upload_end(upload);
    fake_answer(fake, request, 200, "",
                SLICE("<CompleteMultipartUploadResult><ETag>\"x\"</ETag>"
                      "</CompleteMultipartUploadResult>"));
}

static inline void fake_delete(struct fake_s3 *fake, struct loopback_request *request,
                               const char *key)
{
    char *id = fake_query(request, "uploadId");
    struct fake_upload *upload = id ? fake_upload_find(fake, id) : NULL;
    if (id) atomic_fetch_add(&fake->n_aborts, 1);
    if (upload) fake_upload_end(upload);
    if (!id) fake_remove(fake, key);
    if (id && !upload)
        fake_error(fake, request, 404, "NoSuchUpload");
    else
        fake_answer(fake, request, 204, "", SLICE_EMPTY);
    free(id);
}

static inline void fake_handle(struct loopback_request *request)
{
    struct fake_s3 *fake = request->server->state;
    bool (*before)(struct fake_s3 *, struct loopback_request *) = fake->before;
    if (before && before(fake, request)) return;
    const char *method = request->method;
    char *key = strchr(request->target + 1, '/'); /* behind /bucket */
    key = key ? fake_unescape(key + 1) : (char *)(uintptr_t) "";
    char *id = fake_query(request, "uploadId"), *uploads = fake_query(request, "uploads");
    char *list = fake_query(request, "list-type"), *bulk = fake_query(request, "delete");
    pthread_mutex_lock(&fake->lock);
    if (strncmp(request->target, "/bucket", 7) != 0)
        fake_error(fake, request, 404, "NoSuchBucket");
    else if (strcmp(method, "PUT") == 0)
        fake_put(fake, request, key);
    else if (strcmp(method, "DELETE") == 0)
        fake_delete(fake, request, key);
    else if (strcmp(method, "POST") == 0 && uploads)
        fake_begin_upload(fake, request, key);
    else if (strcmp(method, "POST") == 0 && id)
        fake_complete(fake, request, key, id);
    else if (strcmp(method, "POST") == 0 && bulk)
        fake_bulk_delete(fake, request);
    else if (list)
        fake_list(fake, request);
    else if (uploads)
        fake_list_uploads(fake, request);
    else if (*key)
        fake_get(fake, request, key);
    else
        fake_answer(fake, request, 200, "", SLICE_EMPTY);
    pthread_mutex_unlock(&fake->lock);
    free(id);
    free(uploads);
    free(list);
    free(bulk);
}

static inline struct fake_s3 *fake_s3_open(void)
{
    struct fake_s3 *fake = calloc(1, sizeof(*fake));
    pthread_mutex_init(&fake->lock, NULL);
    fake->server = loopback_open(fake_handle, fake);
    return fake;
}

static inline void fake_s3_close(struct fake_s3 *fake)
{
    loopback_close(fake->server);
    while (fake->n_objects > 0)
        fake_remove(fake, fake->objects[0].key);
    for (size_t i = 0; i < FAKE_UPLOADS_MAX; i++)
        if (fake->uploads[i].key) fake_upload_end(&fake->uploads[i]);
    pthread_mutex_destroy(&fake->lock);
    free(fake);
}

#endif
