/*
 * bench_s3_request.c: the processor's time that a request to an S3 server costs beside the
 * transport: signing, credentials, the answer's meaning, counting. The network is replaced by a
 * door that answers each request at once.
 *
 *   bench_s3_request [COUNT]     prints one JSON object; times in microseconds per request
 */
#include "store/http.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct http_batch *door_open(struct http *http)
{
    (void)http;
    return memory_alloc_zero(sizeof(struct http_batch));
}

static void door_add(struct http_batch *batch, struct http_request *request)
{
    static struct http_header headers[] = {{{"date", 4}, {"Sun, 01 Mar 2026 12:00:00 GMT", 29}},
                                           {{"content-length", 14}, {"0", 1}},
                                           {{"x-amz-request-id", 16}, {"4442587FB7D0A2F9", 16}},
                                           {{"etag", 4}, {"\"d41d8cd98f00b204e9\"", 20}}};
    static struct http_header length = {{"last-modified", 13},
                                        {"Sun, 01 Mar 2026 12:00:00 GMT", 29}};
    struct http_header *all = arena_alloc(request->arena, 5 * sizeof(*all));
    memcpy(all, headers, sizeof(headers));
    all[4] = length;
    static unsigned n_probes;
    static struct slice absent = {"<Error><Code>NoSuchKey</Code></Error>", 37};
    (void)batch;
    request->outcome = 0;
    request->sent = true;
    request->status = 200;
    if (strstr(request->url.data, ".glis-store/probe-") && strcmp(request->method, "PUT") == 0)
        request->status = n_probes++ ? 412 : 200;
    if (strstr(request->url.data, ".glis-store/cond") && strcmp(request->method, "GET") == 0) {
        request->status = 404;
        if (block_new(&request->block, NULL, absent.size) == 0)
            memcpy(request->block->data, absent.data, absent.size);
        request->body_size = absent.size;
    }
    request->answer_headers = all;
    request->n_answer_headers = 5;
    (void)request->answered(request);
}

static void door_drive(struct http_batch *batch, size_t waiting_max)
{
    (void)batch, (void)waiting_max;
}

static void door_close(struct http_batch *batch)
{
    free(batch);
}

static double processor_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void check(int code)
{
    if (code == 0) return;
    fprintf(stderr, "bench_s3_request: %s\n", error_message());
    exit(1);
}

int main(int argc, char **argv)
{
    struct http door = {door_open, door_add, door_drive, door_close};
    struct pool *pool = pool_new(0);
    struct runtime runtime = {
        .clock = clock_system(), .random = random_system(), .pool = pool, .http = &door};
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 100000; /* check: allow, a bench */
    struct store *store;
    static char record[300];
    memset(record, 'r', sizeof(record));
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 1);
    setenv("AWS_REGION", "us-east-1", 1);
    check(store_s3_open(&runtime, SLICE("s3://bucket/instance"), 0, &store));
    double before = processor_us();
    for (long i = 0; i < count; i++) {
        struct store_object object;
        check(store_head(store, SLICE("tables/01M7Z5T4QCXD1AH2T708F6FZ7Y/log/00000000000000000042"),
                         &object));
    }
    double head_us = (processor_us() - before) / (double)count;
    before = processor_us();
    for (long i = 0; i < count; i++)
        check(store_put(store, SLICE("tables/01M7Z5T4QCXD1AH2T708F6FZ7Y/log/00000000000000000042"),
                        slice_make(record, sizeof(record)), STORE_IF_ABSENT));
    double put_us = (processor_us() - before) / (double)count;
    printf("{\"requests\": %ld, \"head_us\": %.2f, \"put_us\": %.2f}\n", count, head_us, put_us);
    store_close(store);
    pool_free(pool);
    return 0;
}
