/*
 * http.c: what is the same for whatever stands behind the door for HTTP requests: which door it is,
 * and the answer's headers.
 */
#include "store/http.h"

struct slice http_answer_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->n_answer_headers; i++)
        if (slice_equal_text(request->answer_headers[i].name, name))
            return request->answer_headers[i].value;
    return SLICE_EMPTY;
}

struct slice http_answer_body(const struct http_request *request)
{
    return request->block ? slice_make(request->block->data, request->body_size) : SLICE_EMPTY;
}

struct http *http_of(const struct runtime *runtime)
{
    return runtime->http ? runtime->http : http_system();
}

struct http_batch *http_batch_open(struct http *http, struct cancel *cancel)
{
    struct http_batch *batch = http->batch_open(http);
    batch->http = http;
    batch->cancel = cancel;
    batch->under_way_max = HTTP_UNDER_WAY_DEFAULT;
    batch->n_waiting = 0;
    return batch;
}

void http_batch_add(struct http_batch *batch, struct http_request *request)
{
    ASSERT(request->timeout_ms > 0 && request->arena);
    batch->http->batch_add(batch, request);
}

void http_batch_drive(struct http_batch *batch, size_t waiting_max)
{
    batch->http->batch_drive(batch, waiting_max);
}

void http_batch_close(struct http_batch *batch)
{
    if (batch) batch->http->batch_close(batch);
}

void http_run(struct http *http, struct cancel *cancel, struct http_request *requests, size_t n)
{
    struct http_batch *batch = http_batch_open(http, cancel);
    for (size_t i = 0; i < n; i++)
        http_batch_add(batch, &requests[i]);
    http_batch_drive(batch, 0);
    http_batch_close(batch);
}
