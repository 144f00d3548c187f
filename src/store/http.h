/*
 * http.h: the door through which HTTP requests leave the process, so that a simulated world or a
 * test can stand in for the network.
 *
 * A batch is a set of requests that one thread has under way at the same time. That thread drives
 * them itself, within http_batch_drive: there is no thread behind the door and no hand-over. Any
 * number of threads may each have a batch; a batch may pass from one thread to another. Connections
 * are kept and used again across batches.
 *
 * The door knows nothing of S3. It follows no redirect, repeats nothing that is marked `once`,
 * unpacks nothing, and answers to every request that was added exactly once: `outcome` is 0 when
 * there is a whole answer, whatever its status.
 *
 * Outcomes:
 *   0                a whole answer: status, headers and body are set
 *   GLIS_ETIMEOUT    no connection or no whole answer in the given time
 *   GLIS_EIO         no connection, or it broke
 *   GLIS_EDENIED     the server's certificate is not to be trusted
 *   GLIS_ECANCELLED  the batch's cancel flag was set, or the batch was closed
 *   GLIS_ELIMIT      an answer larger than body_max
 *   GLIS_ENOMEM      an answer larger than its budget
 *   GLIS_EINVALID    an address that is none
 * Time-outs count the time in which the batch is driven, or left alone for less than a tenth of a
 * second: what came while nobody looked was not heard.
 * With another outcome than 0, `failure` says what happened, for people, and `sent` whether any
 * byte of the request may have reached the server: when it is false, nothing was carried out.
 *
 * Ownership: what a request points to is the caller's and lives until its outcome is known. Headers
 * and texts of the answer are in the request's arena; the answer's block belongs to the caller.
 */
#ifndef GLIS_STORE_HTTP_H
#define GLIS_STORE_HTTP_H

#include "base/memory.h"
#include "base/runtime.h"

struct http_header {
    struct slice name, value;
};

/* Headers of an answer beyond these are dropped. */
enum { HTTP_HEADERS_MAX = 64, HTTP_HEADER_BYTES_MAX = 16384, HTTP_UNDER_WAY_DEFAULT = 64 };

struct http_request {
    const char *method; /* "GET", "PUT", ... */
    struct slice url;   /* NUL-terminated; sent as it is */
    const struct http_header *headers;
    size_t n_headers;
    struct slice body;
    bool once;           /* never sent twice, whatever happens to the connection */
    bool despite_cancel; /* goes on when the cancel flag is set */
    bool direct;         /* never through a proxy */
    const char *ca_file; /* certificates to trust instead of the system's; NULL */
    int64_t connect_timeout_ms;
    int64_t timeout_ms;     /* of the whole; more than 0 */
    int64_t silence_ms;     /* without a byte, either way; 0: timeout_ms */
    uint64_t body_expected; /* bytes that the answer may have, 0: unknown: makes room at once */
    uint64_t body_max;      /* of the answer */
    struct budget *budget;  /* counts the answer; may be NULL */
    uint8_t *into;          /* where the body of a partial answer (206) shall stand: body_expected
                             * bytes, and more is GLIS_ELIMIT; NULL: in a block, like all others */
    struct arena *arena;    /* for headers and texts */
    /* Called by the driving thread when the outcome is known. Returns a negative number when the
     * request is done, or the milliseconds after which it shall be sent again; it may have changed
     * the request, and must have released its block. NULL: it is done. */
    int64_t (*answered)(struct http_request *request);
    void *state; /* the caller's own */
    /* out: */
    int outcome;
    const char *failure; /* for people; NULL when the outcome is 0 */
    bool sent;
    int64_t alone_ms;                   /* it was under way and nobody drove the batch */
    int status;                         /* 200, ...; 0: none came */
    struct http_header *answer_headers; /* names in lower case */
    size_t n_answer_headers;
    struct block *block; /* the answer's body; NULL when it has none, or it stands in `into` */
    uint64_t body_size;  /* bytes at block->data (or into); the block may be larger */
};

/* The value of a header of the answer, by its name in lower case; empty when there is none. */
struct slice http_answer_header(const struct http_request *request, const char *name);
/* The answer's body. */
struct slice http_answer_body(const struct http_request *request);

struct http_batch { /* the first member of every kind of batch */
    struct http *http;
    struct cancel *cancel;  /* may be NULL */
    unsigned under_way_max; /* at the same time; 64 unless changed */
    size_t n_waiting;       /* requests that are not done */
};

struct http {
    struct http_batch *(*batch_open)(struct http *http);
    void (*batch_add)(struct http_batch *batch, struct http_request *request);
    void (*batch_drive)(struct http_batch *batch, size_t waiting_max);
    void (*batch_close)(struct http_batch *batch);
};

/* The network, by libcurl: HTTP/1.1, TLS verified, proxies as the environment says. One for the
 * process. */
struct http *http_system(void);
/* The runtime's door: its own, or the network. */
struct http *http_of(const struct runtime *runtime);

/* A batch without requests. `cancel`, which may be NULL, ends what is under way. */
struct http_batch *http_batch_open(struct http *http, struct cancel *cancel);
/* Adds a request; it begins at once or when the batch is driven next. */
void http_batch_add(struct http_batch *batch, struct http_request *request);
/* Works until at most `waiting_max` requests are not done; with SIZE_MAX only what can be done
 * without waiting. */
void http_batch_drive(struct http_batch *batch, size_t waiting_max);
/* What is under way is given up: GLIS_ECANCELLED, `answered` is not called. NULL is allowed. */
void http_batch_close(struct http_batch *batch);

/* All at once, until each is done. */
void http_run(struct http *http, struct cancel *cancel, struct http_request *requests, size_t n);

#endif
