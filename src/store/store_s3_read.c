/*
 * store_s3_read.c: ranges of objects from an S3 server.
 *
 * The ranges of one call are sorted by object and offset, and neighbours are joined: one request
 * for what lies at most JOIN_GAP_BYTES apart, up to JOIN_MAX_BYTES in all, whose block the reads
 * then share. A request costs as much time as some hundred kilobytes, and money. All requests of a
 * call are under way at once. Of a range of more than LONG_BYTES only the beginning is asked for at
 * first, for many who say so much mean all that is there; when there is more, it comes in several
 * requests side by side, since one connection to a service is slow.
 *
 * A reading that is begun and not ended has its requests in a batch of its own, which is driven by
 * whoever uses the reading; between two calls the answers wait in the system's buffers.
 *
 * What S3 cannot say in a Range is asked otherwise: nothing at all (length 0) by a HEAD, for the
 * object's size; a suffix is `bytes=-N`. A range that begins at or behind the end is answered 416;
 * then a HEAD tells whether it begins behind it (GLIS_EINVALID) or at it (no bytes).
 *
 * Nothing is believed about an answer's place: Content-Range must name the bytes that were asked
 * for, and the body have as many.
 */
#include "store/store_s3_int.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    JOIN_GAP_BYTES = 64 << 10,
    JOIN_MAX_BYTES = 8 << 20,
    LONG_BYTES = 16 << 20,
    PART_BYTES = 8 << 20,
    FAILURE_BYTES_MAX = 1 << 20, /* of an answer that is no range, but says what is wrong */
};

/* One request for the reads `first` to `last - 1` of the sorted order. */
struct fetch {
    struct s3_exchange exchange;
    struct http_header range;
    char range_text[64];
    size_t first, last;
    uint64_t offset, length; /* as of a read: STORE_TO_END; what is asked for at first */
};

struct s3_reading {
    struct store_reading reading;
    struct store_s3 *s3;
    struct store_read **order;
    struct fetch *fetches;
    size_t n_fetches, n_asked;
    struct s3_exchange **exchanges; /* of those that ask for something */
    struct http_batch *batch;
};

static size_t fetches_plan(struct store_read *const *order, size_t n, struct fetch *fetches);
static void fetch_ask(struct store_s3 *s3, struct fetch *fetch, struct store_read *read);
static void fetch_settle(struct store_s3 *s3, struct fetch *fetch, struct store_read *const *order,
                         struct error_detail *first);
static int rest_take(struct store_s3 *s3, struct fetch *fetch, struct store_read *read,
                     uint64_t object_size);
static int read_take(struct s3_exchange *exchange, struct store_read *read, uint64_t start,
                     uint64_t object_size);
static int fetch_place(struct fetch *fetch, uint64_t *start, uint64_t *object_size);
static int read_by_size(struct store_s3 *s3, struct store_read *read);

/* By key, then offset; those from the end last. */
static int read_compare(const void *a, const void *b)
{
    const struct store_read *x = *(struct store_read *const *)a;
    const struct store_read *y = *(struct store_read *const *)b;
    int c = slice_compare(x->key, y->key);
    return c ? c : (x->offset > y->offset) - (x->offset < y->offset);
}

struct store_reading *s3_read_begin(struct store *store, struct store_read *reads, size_t n_reads)
{
    struct store_s3 *s3 = (struct store_s3 *)store;
    struct s3_reading *reading = memory_alloc_zero(sizeof(*reading));
    reading->s3 = s3;
    reading->order = memory_alloc((n_reads + 1) * sizeof(*reading->order));
    for (size_t i = 0; i < n_reads; i++)
        reading->order[i] = &reads[i];
    if (n_reads > 1) qsort(reading->order, n_reads, sizeof(struct store_read *), read_compare);
    reading->fetches = memory_alloc_zero((n_reads + 1) * sizeof(*reading->fetches));
    reading->exchanges = memory_alloc((n_reads + 1) * sizeof(*reading->exchanges));
    reading->n_fetches = fetches_plan(reading->order, n_reads, reading->fetches);
    for (size_t i = 0; i < reading->n_fetches; i++) {
        struct fetch *fetch = &reading->fetches[i];
        fetch_ask(s3, fetch, reading->order[fetch->first]);
        if (!fetch->exchange.done) reading->exchanges[reading->n_asked++] = &fetch->exchange;
    }
    reading->batch = http_batch_open(s3->http, s3->runtime->cancel);
    reading->batch->under_way_max = s3->settings.connections_max;
    (void)s3_exchanges_add(reading->batch, reading->exchanges, reading->n_asked);
    http_batch_drive(reading->batch, SIZE_MAX);
    return &reading->reading;
}

bool s3_read_go_on(struct store_reading *base, bool wait)
{
    struct s3_reading *reading = (struct s3_reading *)base;
    size_t left = s3_exchanges_add(reading->batch, reading->exchanges, reading->n_asked);
    if (left == 0) return true;
    size_t waiting = reading->batch->n_waiting;
    http_batch_drive(reading->batch, wait && waiting > 0 ? waiting - 1 : SIZE_MAX);
    return s3_exchanges_add(reading->batch, reading->exchanges, reading->n_asked) == 0;
}

void s3_read_end(struct store_reading *base, bool drop)
{
    struct s3_reading *reading = (struct s3_reading *)base;
    struct error_detail first = {0};
    while (!drop && s3_exchanges_add(reading->batch, reading->exchanges, reading->n_asked) > 0)
        http_batch_drive(reading->batch, 0);
    http_batch_close(reading->batch);
    for (size_t i = 0; i < reading->n_fetches; i++) {
        if (!drop) fetch_settle(reading->s3, &reading->fetches[i], reading->order, &first);
        s3_exchange_free(&reading->fetches[i].exchange);
    }
    free(reading->exchanges);
    free(reading->fetches);
    free(reading->order);
    free(reading);
    if (first.code != 0) (void)error_load(&first);
}

void s3_read(struct store *store, struct store_read *reads, size_t n_reads)
{
    if (n_reads > 0) s3_read_end(s3_read_begin(store, reads, n_reads), false);
}

/* Whether only the beginning is asked for at first. */
static bool is_long(const struct store_read *read)
{
    return read->offset != STORE_TO_END && read->length > LONG_BYTES &&
           read->offset < STORE_TO_END - 1 - PART_BYTES;
}

/* Gives each of the fetch's reads its outcome; keeps the detail of the first failure of all. */
static void fetch_settle(struct store_s3 *s3, struct fetch *fetch, struct store_read *const *order,
                         struct error_detail *first)
{
    struct s3_exchange *exchange = &fetch->exchange;
    uint64_t start = 0, object_size = 0;
    int code = exchange->code;
    bool by_size = fetch->length == 0 || (code == GLIS_EINVALID && exchange->status == 416);
    if (code == 0 && !by_size) code = fetch_place(fetch, &start, &object_size);
    for (size_t i = fetch->first; i < fetch->last; i++) {
        struct store_read *read = order[i];
        if (by_size)
            read->outcome = read_by_size(s3, read);
        else if (code < 0)
            read->outcome = s3_exchange_failure(exchange);
        else if (is_long(read) && exchange->status == 206 && start == fetch->offset)
            read->outcome = rest_take(s3, fetch, read, object_size);
        else
            read->outcome = read_take(exchange, read, start, object_size);
        if (read->outcome < 0 && read->outcome != GLIS_ENOTFOUND && first->code == 0)
            error_save(first);
    }
}

/* Whether a read can share a request with those before it, which end at `end`. */
static bool joins(const struct store_read *before, const struct store_read *read, uint64_t start,
                  uint64_t end)
{
    if (!slice_equal(before->key, read->key) || read->offset == STORE_TO_END ||
        read->length == STORE_TO_END || read->length == 0 ||
        read->length > STORE_TO_END - 1 - read->offset)
        return false;
    uint64_t read_end = read->offset + read->length;
    return read->offset <= end + JOIN_GAP_BYTES &&
           (read_end <= end || read_end - start <= JOIN_MAX_BYTES);
}

static size_t fetches_plan(struct store_read *const *order, size_t n, struct fetch *fetches)
{
    size_t n_fetches = 0;
    for (size_t i = 0; i < n;) {
        const struct store_read *read = order[i];
        struct fetch *fetch = &fetches[n_fetches++];
        fetch->first = i++;
        fetch->offset = read->offset;
        fetch->length = read->length;
        bool bounded = read->offset != STORE_TO_END && read->length != STORE_TO_END &&
                       read->length > 0 && read->length < STORE_TO_END - 1 - read->offset &&
                       read->offset + read->length < STORE_TO_END - JOIN_GAP_BYTES;
        uint64_t end = read->offset + read->length;
        for (; bounded && !is_long(read) && i < n && joins(read, order[i], read->offset, end);
             i++) {
            uint64_t read_end = order[i]->offset + order[i]->length;
            if (read_end > end) end = read_end;
            fetch->length = end - fetch->offset;
        }
        fetch->last = i;
        if (is_long(read)) fetch->length = PART_BYTES;
    }
    return n_fetches;
}

/* ---- asking ---- */

static void fetch_ask(struct store_s3 *s3, struct fetch *fetch, struct store_read *read)
{
    struct s3_exchange *exchange = &fetch->exchange;
    s3_exchange_init(exchange, s3, "GET", SLICE_EMPTY, S3_KIND_READ, 0);
    exchange->done = fetch->length == 0; /* nothing to ask for; a HEAD follows */
    if (exchange->done) return;
    exchange->code = s3_full_key(s3, read->key, &exchange->arena, &exchange->request.key);
    if (exchange->code < 0) {
        error_save(&exchange->detail);
        exchange->done = true;
        return;
    }
    exchange->budget = read->budget;
    char *text = fetch->range_text;
    uint64_t offset = fetch->offset, length = fetch->length;
    exchange->answer_expected = length == STORE_TO_END ? 0 : length;
    exchange->answer_max = INT64_MAX;
    if (offset == 0 && length == STORE_TO_END) return; /* all of it */
    if (offset == STORE_TO_END && length == STORE_TO_END) return;
    if (offset == STORE_TO_END)
        (void)snprintf(text, sizeof(fetch->range_text), "bytes=-%" PRIu64, length);
    else if (length > STORE_TO_END - 1 - offset)
        (void)snprintf(text, sizeof(fetch->range_text), "bytes=%" PRIu64 "-", offset);
    else
        (void)snprintf(text, sizeof(fetch->range_text), "bytes=%" PRIu64 "-%" PRIu64, offset,
                       offset + length - 1);
    if (length != STORE_TO_END)
        exchange->answer_max = length > FAILURE_BYTES_MAX ? length : FAILURE_BYTES_MAX;
    fetch->range = (struct http_header){SLICE("Range"), slice_from_text(text)};
    exchange->request.headers = &fetch->range;
    exchange->request.n_headers = 1;
}

/* ---- the answers ---- */

/* A read's part of an answer whose bytes stand at `start` in the object. */
static int read_take(struct s3_exchange *exchange, struct store_read *read, uint64_t start,
                     uint64_t object_size)
{
    struct block *block = exchange->http.block;
    uint64_t at = 0, size = 0, fetched = exchange->http.body_size;
    TRY(store_range(read, object_size, &at, &size));
    if (size > 0 && (at < start || at + size > start + fetched))
        return s3_exchange_fail(exchange, GLIS_EIO, "the answer lacks bytes of its range");
    if (block)
        read->block = block_acquire(block);
    else
        TRY(block_new(&read->block, read->budget, 0));
    read->data = size > 0 ? block->data + (at - start) : read->block->data;
    read->size = size;
    read->object_size = object_size;
    return 0;
}

/* One part of what is left of a long read has come to its place. */
static int part_check(struct fetch *part, uint64_t object_size, uint8_t *place)
{
    const struct http_request *http = &part->exchange.http;
    uint64_t start = 0, size = 0;
    if (part->exchange.code < 0) return s3_exchange_failure(&part->exchange);
    TRY(fetch_place(part, &start, &size));
    if (part->exchange.status != 206 || start != part->offset || http->body_size != part->length ||
        size != object_size)
        return s3_exchange_fail(&part->exchange, GLIS_EIO, "the answer lacks bytes of its range");
    if (http->block) memcpy(place, http->block->data, part->length); /* a door without `into` */
    return 0;
}

/* The part of a long read that is still missing, in several requests beside each other, into the
 * block from `have` on. */
static int rest_fetch(struct store_s3 *s3, struct store_read *read, struct block *block,
                      uint64_t have, uint64_t size, uint64_t object_size)
{
    size_t n = (size_t)((size - have + PART_BYTES - 1) / PART_BYTES), n_asked = 0;
    struct fetch *parts = memory_alloc_zero(n * sizeof(*parts));
    struct s3_exchange **exchanges = memory_alloc(n * sizeof(*exchanges));
    for (size_t i = 0; i < n; i++) {
        uint64_t at = have + i * (uint64_t)PART_BYTES;
        parts[i].offset = read->offset + at;
        parts[i].length = size - at < PART_BYTES ? size - at : PART_BYTES;
        fetch_ask(s3, &parts[i], read);
        parts[i].exchange.into = block->data + at;
        if (!parts[i].exchange.done) exchanges[n_asked++] = &parts[i].exchange;
    }
    s3_exchanges_run(s3, exchanges, n_asked);
    int code = 0;
    for (size_t i = 0; i < n; i++) {
        if (code == 0)
            code =
                part_check(&parts[i], object_size, block->data + (parts[i].offset - read->offset));
        s3_exchange_free(&parts[i].exchange);
    }
    free(exchanges);
    free(parts);
    return code;
}

/* A long read whose beginning has come. */
static int rest_take(struct store_s3 *s3, struct fetch *fetch, struct store_read *read,
                     uint64_t object_size)
{
    const struct http_request *http = &fetch->exchange.http;
    uint64_t start, size;
    TRY(store_range(read, object_size, &start, &size));
    if (size <= http->body_size)
        return read_take(&fetch->exchange, read, fetch->offset, object_size);
    struct block *block;
    TRY(block_new(&block, read->budget, size));
    memcpy(block->data, http->block->data, http->body_size);
    int code = rest_fetch(s3, read, block, http->body_size, size, object_size);
    if (code < 0) {
        block_release(block);
        return code;
    }
    read->block = block;
    read->data = block->data;
    read->size = size;
    read->object_size = object_size;
    return 0;
}

/* "bytes 0-99/1234" */
static bool content_range(struct slice text, uint64_t *start, uint64_t *end, uint64_t *size)
{
    if (!slice_starts_with(text, SLICE("bytes "))) return false;
    text = slice_part(text, strlen("bytes "), text.size);
    const char *dash = text.size ? memchr(text.data, '-', text.size) : NULL;
    const char *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    if (!dash || !slash || dash > slash) return false;
    size_t d = (size_t)(dash - text.data), s = (size_t)(slash - text.data);
    bool good = text_parse_uint64(slice_part(text, 0, d), start) == 0 &&
                text_parse_uint64(slice_part(text, d + 1, s - d - 1), end) == 0 &&
                text_parse_uint64(slice_part(text, s + 1, text.size), size) == 0;
    if (!good) error_clear();
    return good && *start <= *end && *end < *size && *size < INT64_MAX;
}

/* Where the bytes of the answer stand in the object, and how large that is. */
static int fetch_place(struct fetch *fetch, uint64_t *start, uint64_t *object_size)
{
    struct s3_exchange *exchange = &fetch->exchange;
    const struct http_request *http = &exchange->http;
    if (http->status == 200) { /* all of it, asked for or not */
        /* Without a length, or chunks, nothing tells an end from a connection that broke. */
        if (http_answer_header(http, "content-length").size == 0 &&
            http_answer_header(http, "transfer-encoding").size == 0)
            return s3_exchange_fail(exchange, GLIS_EIO, "the answer does not say how long it is");
        *start = 0;
        *object_size = http->body_size;
        return 0;
    }
    uint64_t end = 0;
    if (http->status != 206 ||
        !content_range(http_answer_header(http, "content-range"), start, &end, object_size) ||
        end - *start + 1 != http->body_size)
        return s3_exchange_fail(exchange, GLIS_EIO, "the answer's Content-Range is wrong");
    return 0;
}

/* A read whose range S3 calls wrong: the object's size tells what it is. */
static int read_by_size(struct store_s3 *s3, struct store_read *read)
{
    struct store_object object;
    uint64_t start, size;
    TRY(s3_head(&s3->store, read->key, &object));
    TRY(store_range(read, object.size, &start, &size));
    if (size > 0)
        return error_set(GLIS_EIO, "%s calls a range of %.*s wrong that is not",
                         s3->store.description, SLICE_PRINT(read->key));
    TRY(block_new(&read->block, read->budget, 0));
    read->data = read->block->data;
    read->size = 0;
    read->object_size = object.size;
    return 0;
}

/* ---- head ---- */

/* The answer to a HEAD has no body. A 404 without S3's marks may be a proxy's, and other failures
 * cannot say what they are: a GET's can. */
static int head_by_get(struct store_s3 *s3, struct slice full_key, struct store_object *out)
{
    static const struct http_header first_byte = {{"Range", 5}, {"bytes=0-0", 9}};
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "GET", full_key, S3_KIND_READ, 0);
    exchange.request.headers = &first_byte;
    exchange.request.n_headers = 1;
    int code = s3_exchange_run(&exchange);
    if (code == GLIS_EINVALID && exchange.status == 416) { /* there, and empty: as old as now */
        out->size = 0;
        return s3->store.ops->time_ms(&s3->store, &out->modified_ms);
    }
    if (code < 0) return code;
    uint64_t start, end;
    out->size = exchange.http.body_size;
    if (exchange.status != 200 &&
        !content_range(http_answer_header(&exchange.http, "content-range"), &start, &end,
                       &out->size))
        return s3_exchange_fail(&exchange, GLIS_EIO, "the answer's Content-Range is wrong");
    if (s3_time_http(http_answer_header(&exchange.http, "last-modified"), &out->modified_ms) < 0)
        return s3_exchange_fail(&exchange, GLIS_EIO, "the answer's Last-Modified is wrong");
    return 0;
}

int s3_head(struct store *store, struct slice key, struct store_object *out)
{
    struct store_s3 *s3 = (struct store_s3 *)store;
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "HEAD", SLICE_EMPTY, S3_KIND_READ, 0);
    TRY(s3_full_key(s3, key, &exchange.arena, &exchange.request.key));
    int code = s3_exchange_run(&exchange);
    if (code < 0 && code != GLIS_ENOTFOUND && exchange.status >= 300 && exchange.status < 500)
        return head_by_get(s3, exchange.request.key, out);
    if (code < 0) return code;
    struct slice length = http_answer_header(&exchange.http, "content-length");
    if (text_parse_uint64(length, &out->size) < 0 || out->size >= INT64_MAX)
        return s3_exchange_fail(&exchange, GLIS_EIO, "the answer's Content-Length is wrong");
    if (s3_time_http(http_answer_header(&exchange.http, "last-modified"), &out->modified_ms) < 0)
        return s3_exchange_fail(&exchange, GLIS_EIO, "the answer's Last-Modified is wrong");
    return 0;
}
