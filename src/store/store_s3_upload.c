/*
 * store_s3_upload.c: puts in parts to an S3 server, and those that were never finished.
 *
 * What is written gathers in a buffer. As long as all of it fits there (settings.part_bytes), it
 * becomes one plain put when the upload is finished. When more comes, a multipart upload is begun
 * and the buffer cut into parts of half that size, of which up to PARTS_UNDER_WAY_MAX are on their
 * way while the caller goes on; a write works on them without waiting, and waits only when there
 * are too many. S3 takes 10,000 parts: after each PARTS_PER_STEP parts they become larger by their
 * first size, which is enough for some 1.6 TiB.
 *
 * Nothing is seen before the upload is completed. S3 answers that with 200 before it knows, and the
 * body says what came of it; a completion whose answer is lost is asked again, and when the server
 * then knows no such upload, the object's size tells whether it was completed. An upload that
 * fails is aborted, which removes its parts. Those of processes that died are what
 * unfinished_list shows.
 *
 * Where the dialect puts parts together by a list of blocks (Azure), there is no upload that the
 * server knows of before that list comes: parts are blocks whose names begin with a number drawn
 * for this upload, the list names them, and blocks that no list named vanish by themselves.
 *
 * Memory: the parts under way and the one being filled, in the runtime's budget.
 */
#include "store/azure_int.h"
#include "store/store_s3_int.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PARTS_MAX = 10000,
    PARTS_PER_STEP = 250,
    PARTS_UNDER_WAY_MIN = 4,  /* before a write waits for one of them */
    PARTS_UNDER_WAY_MAX = 8,  /* and where there is memory for it */
    PART_BYTES_MIN = 5 << 20, /* what S3 demands of all but the last */
    COMPLETE_TRIES = 4,
    ID_BYTES_MAX = 1024,
    UNFINISHED_MAX = 1000000,
};

struct part {
    struct s3_exchange exchange;
    struct part *next;
    unsigned number; /* from 1 */
    char number_text[16];
    char block_text[64];
    struct s3_pair query[2];
    struct buffer body;
};

struct s3_upload {
    struct store_upload upload;
    struct store_s3 *s3;
    struct arena arena; /* key, id, etags */
    struct slice full_key;
    struct slice id; /* empty: not begun with the server */
    struct buffer gathered;
    struct http_batch *batch;
    struct part *parts; /* under way */
    struct slice *etags;
    unsigned n_parts;
    uint64_t bytes;
    struct error_detail failure; /* the first; nothing more is sent then */
};

static int parts_begin(struct s3_upload *upload);
static int parts_cut(struct s3_upload *upload, bool all);
static int part_send(struct s3_upload *upload, struct buffer *body);
static void parts_reap(struct s3_upload *upload);
static int complete(struct s3_upload *upload);
static void abandon(struct s3_upload *upload);
static void upload_free(struct s3_upload *upload);

static struct s3_pair id_pair(struct slice id)
{
    return (struct s3_pair){SLICE("uploadId"), id};
}

int s3_upload_open(struct store *store, struct slice key, unsigned flags, struct store_upload **out)
{
    struct store_s3 *s3 = (struct store_s3 *)store;
    (void)flags;
    TRY(s3_may_write(s3));
    TRY(s3_probe(s3));
    struct s3_upload *upload = memory_alloc_zero(sizeof(*upload));
    upload->s3 = s3;
    int code = s3_full_key(s3, key, &upload->arena, &upload->full_key);
    if (code < 0) {
        arena_free(&upload->arena);
        free(upload);
        return code;
    }
    buffer_init(&upload->gathered, SIZE_MAX, s3->runtime->budget);
    *out = &upload->upload;
    return 0;
}

uint64_t s3_part_bytes(uint64_t part_bytes, unsigned n_before)
{
    uint64_t base = part_bytes / 2;
    if (base < PART_BYTES_MIN) base = PART_BYTES_MIN;
    return base * (1 + n_before / PARTS_PER_STEP);
}

/* The size of the next part. */
static size_t part_size(const struct s3_upload *upload)
{
    return s3_part_bytes(upload->s3->settings.part_bytes, upload->n_parts);
}

int s3_upload_write(struct store_upload *base, struct slice part)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    while (part.size > 0) {
        if (upload->failure.code) return error_load(&upload->failure);
        bool begun = upload->id.size > 0;
        size_t room_for = begun ? part_size(upload) : upload->s3->settings.part_bytes;
        if (upload->gathered.size >= room_for) {
            if (!begun) TRY(parts_begin(upload));
            TRY(parts_cut(upload, false));
            continue;
        }
        struct slice now = slice_part(part, 0, room_for - upload->gathered.size);
        if (begun && upload->gathered.size == 0) TRY(buffer_reserve(&upload->gathered, room_for));
        TRY(buffer_append_slice(&upload->gathered, now));
        upload->bytes += now.size;
        part = slice_part(part, now.size, part.size);
    }
    s3_upload_go_on(base);
    return 0;
}

void s3_upload_go_on(struct store_upload *base)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    if (!upload->parts) return;
    http_batch_drive(upload->batch, SIZE_MAX);
    parts_reap(upload);
}

static int parts_begin(struct s3_upload *upload)
{
    static const struct s3_pair query = {{"uploads", 7}, {NULL, 0}};
    struct store_s3 *s3 = upload->s3;
    struct slice id = SLICE_EMPTY;
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "POST", upload->full_key, S3_KIND_WRITE, 0);
    exchange.request.query = &query;
    exchange.request.n_query = 1;
    if (s3->dialect->block_list) {
        id = slice_from_text(
            arena_printf(&upload->arena, "%016" PRIx64, random_u64(s3->runtime->random)));
    } else {
        TRY(s3_exchange_run(&exchange));
        TRY_CONTEXT(s3_xml_initiate(http_answer_body(&exchange.http), &upload->arena, &id),
                    "%s: beginning a put in parts", s3->store.description);
    }
    if (id.size == 0 || id.size > ID_BYTES_MAX)
        return s3_exchange_fail(&exchange, GLIS_EIO, "the upload's id is empty or too long");
    upload->id = id;
    upload->etags = ARENA_ARRAY(&upload->arena, struct slice, PARTS_MAX);
    upload->batch = http_batch_open(s3->http, s3->runtime->cancel);
    return 0;
}

/* Sends what has gathered, as far as it fills parts; with `all`, the rest too. */
static int parts_cut(struct s3_upload *upload, bool all)
{
    struct buffer *gathered = &upload->gathered;
    while (gathered->size > 0) {
        size_t size = part_size(upload);
        if (gathered->size < size && !all) return 0;
        struct buffer body;
        buffer_init(&body, SIZE_MAX, upload->s3->runtime->budget);
        if (gathered->size <= size) {
            body = *gathered;
            buffer_init(gathered, SIZE_MAX, upload->s3->runtime->budget);
        } else {
            TRY(buffer_append(&body, gathered->data, size));
            memmove(gathered->data, gathered->data + size, gathered->size - size);
            gathered->size -= size;
        }
        TRY(part_send(upload, &body));
    }
    return 0;
}

/* What names a part in its request. */
static void part_name(struct s3_upload *upload, struct part *part)
{
    if (upload->s3->dialect->block_list) { /* of one length, as Azure wants them */
        char name[32];
        (void)snprintf(name, sizeof(name), "%.16s-%05u", upload->id.data, part->number);
        struct buffer text = BUFFER_INIT(sizeof(part->block_text));
        ASSERT(text_base64_encode(&text, slice_from_text(name)) == 0);
        memcpy(part->block_text, text.data, text.size);
        part->query[0] = (struct s3_pair){SLICE("comp"), SLICE("block")};
        part->query[1] =
            (struct s3_pair){SLICE("blockid"), slice_make(part->block_text, text.size)};
        buffer_free(&text);
        return;
    }
    int size = snprintf(part->number_text, sizeof(part->number_text), "%u", part->number);
    part->query[0] =
        (struct s3_pair){SLICE("partNumber"), slice_make(part->number_text, (size_t)size)};
    part->query[1] = id_pair(upload->id);
}

/* A writer has its bytes in bursts, a row group at a time; the more of one can wait here, the less
 * its writer waits. */
static unsigned under_way_max(const struct s3_upload *upload)
{
    uint64_t fit = budget_left(upload->s3->runtime->budget) / 16 / part_size(upload);
    return fit < PARTS_UNDER_WAY_MIN   ? PARTS_UNDER_WAY_MIN
           : fit < PARTS_UNDER_WAY_MAX ? (unsigned)fit
                                       : PARTS_UNDER_WAY_MAX;
}

/* Takes the body. */
static int part_send(struct s3_upload *upload, struct buffer *body)
{
    struct store_s3 *s3 = upload->s3;
    if (upload->n_parts == PARTS_MAX) {
        buffer_free(body);
        return error_set(GLIS_ELIMIT, "an object of more than %" PRIu64 " bytes; S3 takes %d parts",
                         upload->bytes, PARTS_MAX);
    }
    struct part *part = memory_alloc_zero(sizeof(*part));
    part->number = ++upload->n_parts;
    part->body = *body;
    part_name(upload, part);
    s3_exchange_init(&part->exchange, s3, "PUT", upload->full_key, S3_KIND_WRITE, 0);
    part->exchange.request.query = part->query;
    part->exchange.request.n_query = 2;
    part->exchange.request.body = buffer_slice(&part->body);
    part->next = upload->parts;
    upload->parts = part;
    atomic_fetch_add_explicit(&s3->store.counters.parts, 1, memory_order_relaxed);
    s3_exchange_add(upload->batch, &part->exchange);
    http_batch_drive(upload->batch, under_way_max(upload) - 1);
    parts_reap(upload);
    return upload->failure.code ? error_load(&upload->failure) : 0;
}

/* Notes what has ended. */
static void parts_reap(struct s3_upload *upload)
{
    for (struct part **link = &upload->parts; *link;) {
        struct part *part = *link;
        struct s3_exchange *exchange = &part->exchange;
        if (!exchange->done) {
            if (!exchange->under_way) s3_exchange_add(upload->batch, exchange);
            if (!exchange->done) {
                link = &part->next;
                continue;
            }
        }
        struct slice etag = upload->s3->dialect->block_list
                                ? part->query[1].value /* the block's name */
                                : http_answer_header(&exchange->http, "etag");
        int code = exchange->code < 0 ? s3_exchange_failure(exchange) : 0;
        if (code == 0 && etag.size == 0)
            code = s3_exchange_fail(exchange, GLIS_EIO, "the answer for a part lacks its ETag");
        if (code == 0) upload->etags[part->number - 1] = arena_copy(&upload->arena, etag);
        if (code < 0 && upload->failure.code == 0) error_save(&upload->failure);
        *link = part->next;
        s3_exchange_free(exchange);
        buffer_free(&part->body);
        free(part);
    }
}

static int finish(struct s3_upload *upload)
{
    if (upload->id.size == 0)
        return s3_put_once(upload->s3, upload->full_key, buffer_slice(&upload->gathered), 0);
    TRY(parts_cut(upload, true));
    while (upload->parts) {
        http_batch_drive(upload->batch, 0);
        parts_reap(upload);
    }
    if (upload->failure.code) return error_load(&upload->failure);
    return complete(upload);
}

int s3_upload_finish(struct store_upload *base)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    int code = finish(upload);
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        abandon(upload);
        (void)error_load(&detail);
    }
    upload_free(upload);
    return code;
}

/* The object is there with all its bytes, after an answer that said nothing. */
static bool is_complete(struct s3_upload *upload)
{
    struct slice key = upload->full_key;
    size_t prefix = upload->s3->settings.prefix.size;
    struct store_object object;
    return s3_head(&upload->s3->store, slice_part(key, prefix, key.size), &object) == 0 &&
           object.size == upload->bytes;
}

static int complete(struct s3_upload *upload)
{
    struct store_s3 *s3 = upload->s3;
    bool by_list = s3->dialect->block_list;
    struct s3_pair query =
        by_list ? (struct s3_pair){SLICE("comp"), SLICE("blocklist")} : id_pair(upload->id);
    defer_buffer struct buffer body = BUFFER_INIT(4 << 20);
    if (by_list)
        TRY(azure_xml_write_blocks(&body, upload->etags, upload->n_parts));
    else
        TRY(s3_xml_write_complete(&body, upload->etags, upload->n_parts));
    bool in_doubt = false;
    for (unsigned attempt = 1;; attempt++) {
        bool done = false;
        defer_exchange struct s3_exchange exchange;
        s3_exchange_init(&exchange, s3, by_list ? "PUT" : "POST", upload->full_key, S3_KIND_WRITE,
                         0);
        exchange.request.query = &query;
        exchange.request.n_query = 1;
        exchange.request.body = buffer_slice(&body);
        int code = s3_exchange_run(&exchange);
        in_doubt |= exchange.broke;
        if (code == 0 && by_list) return 0;
        if (code == 0) {
            struct s3_error error = {0};
            code =
                s3_xml_complete(http_answer_body(&exchange.http), &exchange.answer, &done, &error);
            if (code == 0 && done) return 0;
            in_doubt |= code < 0;
            exchange.error = error;
            code = s3_exchange_fail(&exchange, GLIS_EIO, "the parts could not be put together");
            if (slice_equal_text(error.code, "InternalError") ||
                slice_equal_text(error.code, "SlowDown") || error.code.size == 0)
                if (attempt < COMPLETE_TRIES) continue;
        }
        struct error_detail detail;
        error_save(&detail);
        if (in_doubt && is_complete(upload)) return 0;
        return error_load(&detail);
    }
}

void s3_upload_abort(struct store_upload *base)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    abandon(upload);
    upload_free(upload);
}

/* The server forgets the parts. What this cannot reach, unfinished_list shows later. */
static void abandon(struct s3_upload *upload)
{
    http_batch_close(upload->batch);
    upload->batch = NULL;
    if (upload->id.size == 0 || upload->s3->dialect->block_list) return;
    struct s3_pair query = id_pair(upload->id);
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, upload->s3, "DELETE", upload->full_key, S3_KIND_DELETE,
                     S3_CLEANING_UP | S3_ABSENT_IS_OK);
    exchange.request.query = &query;
    exchange.request.n_query = 1;
    if (s3_exchange_run(&exchange) < 0) error_clear();
}

static void upload_free(struct s3_upload *upload)
{
    http_batch_close(upload->batch);
    while (upload->parts) {
        struct part *part = upload->parts;
        upload->parts = part->next;
        s3_exchange_free(&part->exchange);
        buffer_free(&part->body);
        free(part);
    }
    buffer_free(&upload->gathered);
    arena_free(&upload->arena);
    free(upload);
}

/* ---- what was never finished ---- */

int s3_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                       struct store_unfinished **out, size_t *n_out)
{
    struct store_s3 *s3 = (struct store_s3 *)store;
    struct slice own = s3->settings.prefix;
    char *full = arena_printf(arena, "%.*s%.*s", SLICE_PRINT(own), SLICE_PRINT(prefix));
    struct slice next_key = SLICE_EMPTY, next_id = SLICE_EMPTY;
    size_t capacity = 0;
    for (;;) {
        struct s3_uploads page = {0};
        struct s3_pair query[] = {{SLICE("uploads"), SLICE_EMPTY},
                                  {SLICE("encoding-type"), SLICE("url")},
                                  {SLICE("prefix"), slice_from_text(full)},
                                  {SLICE("key-marker"), next_key},
                                  {SLICE("upload-id-marker"), next_id}};
        defer_exchange struct s3_exchange exchange;
        s3_exchange_init(&exchange, s3, "GET", SLICE_EMPTY, S3_KIND_LIST, 0);
        exchange.request.query = query;
        exchange.request.n_query = next_key.size ? 5 : 3;
        TRY(s3_exchange_run(&exchange));
        TRY_CONTEXT(s3_xml_uploads(http_answer_body(&exchange.http), arena, &page),
                    "%s: its list of unfinished uploads", s3->store.description);
        if (*n_out + page.n_uploads > UNFINISHED_MAX)
            return error_set(GLIS_ELIMIT, "%s has more than %d unfinished uploads",
                             s3->store.description, UNFINISHED_MAX);
        if (*n_out + page.n_uploads > capacity) {
            capacity = (*n_out + page.n_uploads) * 2;
            struct store_unfinished *more = ARENA_ARRAY(arena, struct store_unfinished, capacity);
            if (*n_out) memcpy(more, *out, *n_out * sizeof(*more));
            *out = more;
        }
        for (size_t i = 0; i < page.n_uploads; i++) {
            struct store_unfinished unfinished = page.uploads[i];
            if (!slice_starts_with(unfinished.key, slice_from_text(full))) continue;
            unfinished.key = slice_part(unfinished.key, own.size, unfinished.key.size);
            (*out)[(*n_out)++] = unfinished;
        }
        bool goes_on =
            slice_compare(page.next_key, next_key) > 0 ||
            (slice_equal(page.next_key, next_key) && !slice_equal(page.next_id, next_id));
        if (!page.truncated) return 0;
        if (!goes_on)
            return s3_exchange_fail(&exchange, GLIS_EIO, "a list of uploads that does not go on");
        next_key = page.next_key;
        next_id = page.next_id;
    }
}

int s3_unfinished_remove(struct store *store, const struct store_unfinished *unfinished)
{
    struct store_s3 *s3 = (struct store_s3 *)store;
    struct s3_pair query = id_pair(unfinished->id);
    TRY(s3_may_write(s3));
    if (unfinished->id.size == 0 || unfinished->id.size > ID_BYTES_MAX)
        return error_set(GLIS_EINVALID, "not the id of an unfinished upload");
    defer_exchange struct s3_exchange exchange;
    s3_exchange_init(&exchange, s3, "DELETE", SLICE_EMPTY, S3_KIND_DELETE,
                     S3_CLEANING_UP | S3_ABSENT_IS_OK);
    TRY(s3_full_key(s3, unfinished->key, &exchange.arena, &exchange.request.key));
    exchange.request.query = &query;
    exchange.request.n_query = 1;
    return s3_exchange_run(&exchange);
}
