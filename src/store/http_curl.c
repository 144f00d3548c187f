/*
 * http_curl.c: the door for HTTP requests to the network, by libcurl's multi interface, which is
 * used as transport only: HTTP/1.1, no redirects, no cookies, no unpacking, no authentication.
 *
 * An engine is a multi handle with the connections that it keeps and the easy handles that are at
 * rest. Engines at rest stand in one list of the process, the last used on top, for its connections
 * are the warmest; a batch takes one, the thread that drives the batch drives the engine, and the
 * engine goes back with the batch. So no thread waits for another, and nothing is handed over.
 *
 * libcurl repeats a request by itself when a kept connection turns out to be dead before the first
 * byte of an answer. That is welcome for what may be done twice. For a request marked `once` it is
 * made impossible: the callback that libcurl must call each time before it sends (prereq) refuses
 * the second time, the body's read callback refuses to begin again, and rewinding fails. The first
 * of these also tells whether anything was sent at all.
 *
 * Descriptors: at most `limits.under_way` requests of all batches together are under way (a batch
 * with none of its own may always have one), a quarter of the process's limit of open files; the
 * connections that engines at rest may hold are bounded by the same number.
 *
 * Locks: `engines.lock` guards the list and is never held while libcurl runs. OpenSSL may raise
 * SIGPIPE when a peer is gone, so the driving thread blocks it meanwhile and takes what came.
 *
 * Cost: about 15 microseconds of processor time for a request on a kept connection, most of it in
 * the system's calls.
 */
#include "store/http.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    CONNECTIONS_PER_ENGINE_MAX = 1024,
    EASY_AT_REST_MAX = 1024,
    POLL_MS_MAX = 100, /* how long a cancel may go unnoticed */
    BUFFER_LARGE_BYTES = 256 << 10,
    BUFFER_SMALL_BYTES = 16 << 10,
};

/* One request on its way. */
struct transfer {
    struct transfer *next;
    struct curl_batch *batch;
    struct http_request *request;
    CURL *easy; /* NULL: not under way */
    struct curl_slist *headers;
    int64_t due_ns; /* not before */
    size_t body_at; /* bytes of the request's body that were handed over */
    unsigned starts;
    int failed; /* the code of what a callback found wrong; 0: nothing */
    const char *failed_text;
    size_t header_bytes;
    bool head_ended;   /* the answer's; libcurl takes one that breaks off for a whole one */
    uint64_t capacity; /* of the answer's block */
    char error[CURL_ERROR_SIZE];
};

struct engine {
    struct engine *next;
    CURLM *multi;
    CURL *easy[EASY_AT_REST_MAX];
    size_t n_easy;
    unsigned connections; /* never more than these at the same time */
};

struct curl_batch {
    struct http_batch batch;
    struct engine *engine;
    struct transfer *queued, **last_queued; /* not under way */
    struct transfer *under_way;
    unsigned n_under_way;
    int64_t left_ns; /* when it was driven last */
};

static struct {
    pthread_mutex_t lock;
    struct engine *at_rest;
    unsigned connections; /* of those at rest, at most */
} engines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    _Atomic unsigned under_way; /* of all batches */
    unsigned max;               /* of these */
} limits;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct engine *engine_take(void);
static void engine_give_back(struct engine *engine);
static void queue(struct curl_batch *batch, struct transfer *transfer);
static int start_due(struct curl_batch *batch, int64_t now_ns);
static void start(struct curl_batch *batch, struct transfer *transfer);
static bool options_set(struct transfer *transfer);
static bool time_set(struct transfer *transfer);
static bool headers_set(struct transfer *transfer);
static bool collect(struct curl_batch *batch);
static void take_off(struct curl_batch *batch, struct transfer *transfer);
static void finish(struct curl_batch *batch, struct transfer *transfer, CURLcode code);
static void conclude(struct http_request *request, struct transfer *transfer, CURLcode code);
static void finish_unsent(struct curl_batch *batch, struct transfer *transfer, int code,
                          const char *text);
static void answer(struct curl_batch *batch, struct transfer *transfer);
static void answer_reset(struct http_request *request);
static void cancel_all(struct curl_batch *batch, bool all);
static int on_start(void *state, char *ip, char *local_ip, int port, int local_port);
static size_t on_send(char *out, size_t size, size_t n, void *state);
static int on_rewind(void *state, curl_off_t offset, int origin);
static size_t on_header(char *data, size_t size, size_t n, void *state);
static size_t on_body(char *data, size_t size, size_t n, void *state);
static curl_socket_t on_socket(void *state, curlsocktype purpose, struct curl_sockaddr *address);

static int64_t now(void)
{
    return clock_system()->monotonic_ns(clock_system());
}

/* A process that was forked must not send on its parent's connections: it begins without engines,
 * and leaves those that it has copies of alone. */
static void forget_in_child(void)
{
    ASSERT(pthread_mutex_init(&engines.lock, NULL) == 0);
    engines.at_rest = NULL;
    engines.connections = 0;
    atomic_store(&limits.under_way, 0);
}

static void init_once(void)
{
    ASSERT(pthread_atfork(NULL, NULL, forget_in_child) == 0);
    ASSERT(curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK);
    struct rlimit files = {.rlim_cur = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &files);
    limits.max = files.rlim_cur < 128 ? 32 : files.rlim_cur > 4096 ? 1024 : files.rlim_cur / 4;
}

/* ---- batches ---- */

static struct http_batch *curl_batch_open(struct http *http)
{
    (void)http;
    ASSERT(pthread_once(&once, init_once) == 0);
    struct curl_batch *batch = memory_alloc_zero(sizeof(*batch));
    batch->engine = engine_take();
    batch->last_queued = &batch->queued;
    return &batch->batch;
}

static void curl_batch_add(struct http_batch *base, struct http_request *request)
{
    struct curl_batch *batch = (struct curl_batch *)base;
    struct transfer *transfer = memory_alloc_zero(sizeof(*transfer));
    transfer->batch = batch;
    transfer->request = request;
    answer_reset(request);
    base->n_waiting++;
    queue(batch, transfer);
}

/* A batch may be left alone for long while its caller does something else. What its servers have
 * said meanwhile was not heard, so that time is not theirs. */
static void excuse(struct curl_batch *batch)
{
    int64_t alone_ms = (now() - batch->left_ns) / 1000000;
    if (alone_ms <= POLL_MS_MAX) return;
    for (struct transfer *transfer = batch->under_way; transfer; transfer = transfer->next) {
        transfer->request->alone_ms += alone_ms;
        (void)time_set(transfer);
    }
}

static void drive(struct curl_batch *batch, size_t waiting_max)
{
    struct http_batch *base = &batch->batch;
    bool only_once = waiting_max == SIZE_MAX;
    while (base->n_waiting > 0 && (only_once || base->n_waiting > waiting_max)) {
        if (base->cancel && atomic_load_explicit(&base->cancel->requested, memory_order_relaxed))
            cancel_all(batch, false);
        int wait_ms = start_due(batch, now());
        int running = 0;
        ASSERT(curl_multi_perform(batch->engine->multi, &running) == CURLM_OK);
        if (collect(batch)) {
            if (only_once) return;
            continue;
        }
        if (only_once) return;
        ASSERT(curl_multi_poll(batch->engine->multi, NULL, 0, wait_ms, NULL) == CURLM_OK);
    }
}

static void curl_batch_drive(struct http_batch *base, size_t waiting_max)
{
    struct curl_batch *batch = (struct curl_batch *)base;
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    if (batch->under_way) excuse(batch);
    drive(batch, waiting_max);
    batch->left_ns = now();
    if (!was_pending) {
        struct timespec no_time = {0, 0};
        (void)sigtimedwait(&pipe, NULL, &no_time);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void curl_batch_close(struct http_batch *base)
{
    struct curl_batch *batch = (struct curl_batch *)base;
    cancel_all(batch, true);
    engine_give_back(batch->engine);
    free(batch);
}

struct http *http_system(void)
{
    static struct http network = {curl_batch_open, curl_batch_add, curl_batch_drive,
                                  curl_batch_close};
    return &network;
}

/* ---- engines ---- */

static struct engine *engine_take(void)
{
    pthread_mutex_lock(&engines.lock);
    struct engine *engine = engines.at_rest;
    if (engine) {
        engines.at_rest = engine->next;
        engines.connections -= engine->connections;
    }
    pthread_mutex_unlock(&engines.lock);
    if (engine) return engine;
    engine = memory_alloc_zero(sizeof(*engine));
    engine->multi = curl_multi_init();
    ASSERT(engine->multi);
    (void)curl_multi_setopt(engine->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    (void)curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_PER_ENGINE_MAX);
    return engine;
}

static void engine_give_back(struct engine *engine)
{
    pthread_mutex_lock(&engines.lock);
    bool keep = engines.connections + engine->connections <= limits.max;
    if (keep) {
        engines.connections += engine->connections;
        engine->next = engines.at_rest;
        engines.at_rest = engine;
    }
    pthread_mutex_unlock(&engines.lock);
    if (keep) return;
    while (engine->n_easy > 0)
        curl_easy_cleanup(engine->easy[--engine->n_easy]);
    (void)curl_multi_cleanup(engine->multi);
    free(engine);
}

/* ---- from the queue to the network ---- */

static void queue(struct curl_batch *batch, struct transfer *transfer)
{
    transfer->next = NULL;
    *batch->last_queued = transfer;
    batch->last_queued = &transfer->next;
}

static bool may_start(struct curl_batch *batch)
{
    unsigned max = batch->batch.under_way_max;
    if (max > CONNECTIONS_PER_ENGINE_MAX) max = CONNECTIONS_PER_ENGINE_MAX;
    if (batch->n_under_way == 0) return true;
    return batch->n_under_way < max &&
           atomic_load_explicit(&limits.under_way, memory_order_relaxed) < limits.max;
}

/* Starts what is due, as far as there is room. Returns how many milliseconds to wait at most. */
static int start_due(struct curl_batch *batch, int64_t now_ns)
{
    int wait_ms = POLL_MS_MAX;
    for (struct transfer **link = &batch->queued; *link;) {
        struct transfer *transfer = *link;
        if (transfer->due_ns > now_ns) {
            int64_t left_ms = (transfer->due_ns - now_ns + 999999) / 1000000;
            if (left_ms < wait_ms) wait_ms = (int)left_ms;
            link = &transfer->next;
            continue;
        }
        if (!may_start(batch)) break;
        *link = transfer->next;
        if (!*link) batch->last_queued = link;
        start(batch, transfer); /* may put it back at the end */
    }
    return wait_ms;
}

static void start(struct curl_batch *batch, struct transfer *transfer)
{
    struct engine *engine = batch->engine;
    answer_reset(transfer->request);
    transfer->body_at = transfer->header_bytes = 0;
    transfer->head_ended = false;
    transfer->capacity = 0;
    transfer->starts = 0;
    transfer->failed = 0;
    transfer->error[0] = '\0';
    transfer->easy = engine->n_easy > 0 ? engine->easy[--engine->n_easy] : curl_easy_init();
    ASSERT(transfer->easy);
    transfer->next = batch->under_way;
    batch->under_way = transfer;
    if (++batch->n_under_way > engine->connections) engine->connections = batch->n_under_way;
    atomic_fetch_add_explicit(&limits.under_way, 1, memory_order_relaxed);
    if (!headers_set(transfer) || !options_set(transfer) ||
        curl_multi_add_handle(engine->multi, transfer->easy) != CURLM_OK)
        finish_unsent(batch, transfer, GLIS_EINVALID, "the request cannot be made");
}

/* libcurl's text is read before the options are lost, so none of these needs a copy but the
 * headers. */
static bool headers_set(struct transfer *transfer)
{
    const struct http_request *request = transfer->request;
    bool has_type = false, has_agent = false;
    transfer->headers = NULL;
    char line[HTTP_HEADER_BYTES_MAX];
    for (size_t i = 0; i < request->n_headers; i++) {
        struct slice name = request->headers[i].name, value = request->headers[i].value;
        has_type |= name.size == 12 && strncasecmp(name.data, "content-type", 12) == 0;
        has_agent |= name.size == 10 && strncasecmp(name.data, "user-agent", 10) == 0;
        /* "name;" is how libcurl is told of a header without a value. */
        int n = value.size ? snprintf(line, sizeof(line), "%.*s: %.*s", SLICE_PRINT(name),
                                      SLICE_PRINT(value))
                           : snprintf(line, sizeof(line), "%.*s;", SLICE_PRINT(name));
        if (n < 0 || (size_t)n >= sizeof(line) || memchr(line, '\n', (size_t)n) ||
            memchr(line, '\r', (size_t)n))
            return false;
        struct curl_slist *longer = curl_slist_append(transfer->headers, line);
        ASSERT(longer);
        transfer->headers = longer;
    }
    /* What libcurl would add by itself. */
    const char *const less[] = {"Expect:", "Accept:", has_type ? NULL : "Content-Type:",
                                has_agent ? NULL : "User-Agent: glis/" GLIS_VERSION};
    for (size_t i = 0; i < sizeof(less) / sizeof(less[0]); i++) {
        if (!less[i]) continue;
        struct curl_slist *longer = curl_slist_append(transfer->headers, less[i]);
        ASSERT(longer);
        transfer->headers = longer;
    }
    return true;
}

#define SET(option, value) \
    if (curl_easy_setopt(easy, option, value) != CURLE_OK) return false

static bool method_set(struct transfer *transfer)
{
    const struct http_request *request = transfer->request;
    CURL *easy = transfer->easy;
    if (strcmp(request->method, "GET") == 0) {
        SET(CURLOPT_HTTPGET, 1L);
    } else if (strcmp(request->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (strcmp(request->method, "POST") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
    } else if (strcmp(request->method, "PUT") == 0) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body.size);
    } else if (request->body.size == 0) {
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    } else {
        return false;
    }
    return true;
}

/* How long it may take. */
static bool time_set(struct transfer *transfer)
{
    const struct http_request *request = transfer->request;
    CURL *easy = transfer->easy;
    int64_t alone_ms = request->alone_ms;
    int64_t connect_ms =
        request->connect_timeout_ms > 0 ? request->connect_timeout_ms : request->timeout_ms;
    int64_t silence_ms = request->silence_ms > 0 ? request->silence_ms : request->timeout_ms;
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_ms + alone_ms));
    SET(CURLOPT_TIMEOUT_MS, (long)(request->timeout_ms + alone_ms));
    SET(CURLOPT_LOW_SPEED_TIME, (long)((silence_ms + alone_ms + 999) / 1000));
    return true;
}

static bool options_set(struct transfer *transfer)
{
    const struct http_request *request = transfer->request;
    CURL *easy = transfer->easy;
    bool large = request->body_expected >= BUFFER_LARGE_BYTES;
    if (!method_set(transfer)) return false;
    SET(CURLOPT_URL, request->url.data);
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->error);
    SET(CURLOPT_HTTPHEADER, transfer->headers);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOPROGRESS, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    if (!time_set(transfer)) return false;
    /* Refused while a buffer from an earlier, failed use is there, which does as well. */
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                           large ? (long)BUFFER_LARGE_BYTES : (long)BUFFER_SMALL_BYTES);
    if (request->body.size >= BUFFER_LARGE_BYTES)
        (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_LARGE_BYTES);
    if (request->ca_file) SET(CURLOPT_CAINFO, request->ca_file);
    if (request->direct) SET(CURLOPT_PROXY, "");
    SET(CURLOPT_PREREQFUNCTION, on_start);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_READFUNCTION, on_send);
    SET(CURLOPT_READDATA, transfer);
    SET(CURLOPT_SEEKFUNCTION, on_rewind);
    SET(CURLOPT_SEEKDATA, transfer);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    return true;
}

/* ---- libcurl's callbacks ---- */

/* Before each sending, on a connection that stands. */
static int on_start(void *state, char *ip, char *local_ip, int port, int local_port)
{
    struct transfer *transfer = state;
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    if (transfer->starts > 0 && transfer->request->once) {
        transfer->failed = GLIS_EIO;
        transfer->failed_text = "the connection was closed without an answer";
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->starts++;
    transfer->request->sent = true;
    return CURL_PREREQFUNC_OK;
}

static size_t on_send(char *out, size_t size, size_t n, void *state)
{
    struct transfer *transfer = state;
    struct slice rest = slice_part(transfer->request->body, transfer->body_at, size * n);
    if (rest.size > 0) memcpy(out, rest.data, rest.size);
    transfer->body_at += rest.size;
    return rest.size;
}

static int on_rewind(void *state, curl_off_t offset, int origin)
{
    struct transfer *transfer = state;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > transfer->request->body.size)
        return CURL_SEEKFUNC_FAIL;
    if (transfer->request->once) {
        transfer->failed = GLIS_EIO;
        transfer->failed_text = "the connection was closed without an answer";
        return CURL_SEEKFUNC_FAIL;
    }
    transfer->body_at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_header(char *data, size_t size, size_t n, void *state)
{
    struct transfer *transfer = state;
    struct http_request *request = transfer->request;
    struct slice line = slice_make(data, size * n);
    if (slice_starts_with(line, SLICE("HTTP/"))) { /* another answer begins, after a 100 */
        request->n_answer_headers = 0;
        transfer->head_ended = false;
        return size * n;
    }
    while (line.size > 0 && strchr("\r\n \t", line.data[line.size - 1]))
        line.size--;
    if (line.size == 0 && request->body_size == 0) transfer->head_ended = true;
    const char *colon = line.size ? memchr(line.data, ':', line.size) : NULL;
    if (!colon || request->n_answer_headers == HTTP_HEADERS_MAX ||
        transfer->header_bytes + line.size > HTTP_HEADER_BYTES_MAX)
        return size * n;
    transfer->header_bytes += line.size;
    if (!request->answer_headers)
        request->answer_headers = ARENA_ARRAY(request->arena, struct http_header, HTTP_HEADERS_MAX);
    struct slice name = arena_copy(request->arena, slice_make(data, (size_t)(colon - data)));
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z') ((char *)(uintptr_t)name.data)[i] |= 0x20;
    struct slice value = slice_part(line, name.size + 1, line.size);
    while (value.size > 0 && (value.data[0] == ' ' || value.data[0] == '\t'))
        value = slice_part(value, 1, value.size);
    request->answer_headers[request->n_answer_headers++] =
        (struct http_header){name, arena_copy(request->arena, value)};
    return size * n;
}

/* Room for `more` bytes of the answer: what the server announced at once, else by doubling. */
static int room_make(struct transfer *transfer, uint64_t more)
{
    struct http_request *request = transfer->request;
    uint64_t wanted = request->body_size + more;
    if (wanted > request->body_max) return GLIS_ELIMIT;
    if (wanted <= transfer->capacity) return 0;
    curl_off_t announced = -1;
    if (curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced) !=
            CURLE_OK ||
        announced < 0)
        announced = (curl_off_t)(request->body_expected < request->body_max ? request->body_expected
                                                                            : request->body_max);
    if ((uint64_t)announced > request->body_max) return GLIS_ELIMIT;
    uint64_t size = transfer->capacity * 2;
    if (size < (uint64_t)announced) size = (uint64_t)announced;
    if (size < wanted) size = wanted;
    if (size > request->body_max) size = request->body_max;
    TRY(request->block ? block_resize(&request->block, size)
                       : block_new(&request->block, request->budget, size));
    transfer->capacity = size;
    return 0;
}

static bool goes_into(struct transfer *transfer)
{
    long status = 0;
    if (!transfer->request->into) return false;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status == 206;
}

static size_t on_body(char *data, size_t size, size_t n, void *state)
{
    struct transfer *transfer = state;
    struct http_request *request = transfer->request;
    if (size * n == 0) return 0;
    bool into = goes_into(transfer);
    int code = 0;
    if (!into)
        code = room_make(transfer, size * n);
    else if (size * n > request->body_expected - request->body_size)
        code = GLIS_ELIMIT;
    if (code < 0) {
        transfer->failed = code;
        transfer->failed_text =
            code == GLIS_ELIMIT ? "the answer is larger than it can be"
                                : arena_copy_text(request->arena, slice_from_text(error_message()));
        return CURL_WRITEFUNC_ERROR;
    }
    uint8_t *to = into ? request->into : request->block->data;
    memcpy(to + request->body_size, data, size * n);
    request->body_size += size * n;
    return size * n;
}

/* A socket that programs which are started do not inherit. */
static curl_socket_t on_socket(void *state, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)state, (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- from the network to the caller ---- */

/* Whether anything has ended. */
static bool collect(struct curl_batch *batch)
{
    bool any = false;
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(batch->engine->multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        struct transfer *transfer = NULL;
        CURLcode code = message->data.result; /* the message is gone with the handle */
        ASSERT(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer) ==
               CURLE_OK);
        any = true;
        finish(batch, transfer, code);
    }
    return any;
}

/* Takes a transfer from the network; its handle rests. */
static void take_off(struct curl_batch *batch, struct transfer *transfer)
{
    struct engine *engine = batch->engine;
    struct transfer **link = &batch->under_way;
    while (*link != transfer)
        link = &(*link)->next;
    *link = transfer->next;
    batch->n_under_way--;
    atomic_fetch_sub_explicit(&limits.under_way, 1, memory_order_relaxed);
    (void)curl_multi_remove_handle(engine->multi, transfer->easy);
    curl_easy_reset(transfer->easy);
    if (engine->n_easy < EASY_AT_REST_MAX)
        engine->easy[engine->n_easy++] = transfer->easy;
    else
        curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
}

static void finish(struct curl_batch *batch, struct transfer *transfer, CURLcode code)
{
    conclude(transfer->request, transfer, code);
    take_off(batch, transfer);
    answer(batch, transfer);
}

static void finish_unsent(struct curl_batch *batch, struct transfer *transfer, int code,
                          const char *text)
{
    transfer->request->outcome = code;
    transfer->request->failure = text;
    take_off(batch, transfer);
    answer(batch, transfer);
}

/* What libcurl's code means here. */
static int outcome_of(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return GLIS_ETIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return GLIS_EDENIED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CACERT_BADFILE: return GLIS_EINVALID;
    default: return GLIS_EIO;
    }
}

static void conclude(struct http_request *request, struct transfer *transfer, CURLcode code)
{
    long status = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    request->status = (int)status;
    bool broke_off = code == CURLE_OK && status > 0 && !transfer->head_ended;
    if (code == CURLE_OK && status > 0 && !broke_off) {
        request->outcome = 0;
        request->failure = NULL;
        if (request->block && request->body_size < transfer->capacity) {
            uint64_t rest = transfer->capacity - request->body_size;
            memset(request->block->data + request->body_size, 0, rest < 64 ? rest : 64);
        }
        return;
    }
    request->outcome = transfer->failed ? transfer->failed : outcome_of(code);
    if (request->sent && request->outcome == GLIS_EINVALID)
        request->outcome = GLIS_EIO; /* no HTTP */
    const char *text = transfer->failed ? transfer->failed_text : transfer->error;
    if (text[0] == '\0')
        text = broke_off          ? "the answer broke off within its head"
               : code == CURLE_OK ? "the server answered no HTTP"
                                  : curl_easy_strerror(code);
    request->failure = arena_copy_text(request->arena, slice_from_text(text));
    block_release(request->block);
    request->block = NULL;
    request->body_size = 0;
}

/* Tells the caller, who may want it once more. */
static void answer(struct curl_batch *batch, struct transfer *transfer)
{
    int64_t again_ms =
        transfer->request->answered ? transfer->request->answered(transfer->request) : -1;
    if (again_ms >= 0) {
        transfer->due_ns = now() + again_ms * 1000000;
        queue(batch, transfer);
        return;
    }
    batch->batch.n_waiting--;
    free(transfer);
}

static void answer_reset(struct http_request *request)
{
    request->outcome = GLIS_EIO;
    request->failure = "not sent";
    request->sent = false;
    request->alone_ms = 0;
    request->status = 0;
    request->answer_headers = NULL;
    request->n_answer_headers = 0;
    request->block = NULL;
    request->body_size = 0;
}

/* ---- giving up ---- */

static void cancel_one(struct curl_batch *batch, struct transfer *transfer)
{
    struct http_request *request = transfer->request;
    if (transfer->easy) take_off(batch, transfer);
    block_release(request->block);
    bool sent = request->sent;
    answer_reset(request);
    request->sent = sent;
    request->outcome = GLIS_ECANCELLED;
    request->failure = "stopped on request";
}

/* Ends what may be ended; with `all`, everything, and nobody is asked. */
static void cancel_all(struct curl_batch *batch, bool all)
{
    struct transfer *ended = NULL, *next;
    for (struct transfer *transfer = batch->under_way; transfer; transfer = next) {
        next = transfer->next;
        if (!all && transfer->request->despite_cancel) continue;
        cancel_one(batch, transfer);
        transfer->next = ended;
        ended = transfer;
    }
    for (struct transfer **link = &batch->queued; *link;) {
        struct transfer *transfer = *link;
        if (!all && transfer->request->despite_cancel) {
            link = &transfer->next;
            continue;
        }
        *link = transfer->next;
        cancel_one(batch, transfer);
        transfer->next = ended;
        ended = transfer;
    }
    batch->last_queued = &batch->queued;
    while (*batch->last_queued)
        batch->last_queued = &(*batch->last_queued)->next;
    for (; ended; ended = next) {
        next = ended->next;
        if (!all && ended->request->answered) (void)ended->request->answered(ended->request);
        batch->batch.n_waiting--;
        free(ended);
    }
}
