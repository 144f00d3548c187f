/*
 * loopback.h: an HTTP server on this machine for tests of what asks servers: one thread for each
 * connection, and a function of the test that answers each request in any way it likes, wrong ones
 * included.
 */
#ifndef GLIS_TEST_LOOPBACK_H
#define GLIS_TEST_LOOPBACK_H

#include "test.h"

#include "base/buffer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPBACK_CONNECTIONS_MAX = 4096, LOOPBACK_HEAD_MAX = 65536 };

struct loopback;
struct loopback_request {
    struct loopback *server;
    int fd;
    unsigned number_on_connection; /* from 1 */
    char *method, *target;         /* the target without its query, escapes as sent */
    char *query;                   /* "" when there is none */
    char *headers;                 /* all lines, NUL-terminated */
    struct slice body;
    bool close; /* set by the handler: the connection ends after this request */
};

struct loopback {
    int fd;
    unsigned port;
    void (*handle)(struct loopback_request *request);
    void *state;
    atomic_uint n_requests, n_connections;
    atomic_uint under_way, under_way_peak;
    pthread_t acceptor;
    pthread_mutex_t lock;
    pthread_t threads[LOOPBACK_CONNECTIONS_MAX];
    int fds[LOOPBACK_CONNECTIONS_MAX]; /* -1: closed */
    bool closing;
};

static inline void loopback_send(struct loopback_request *request, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = send(request->fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
        if (n <= 0) {
            request->close = true;
            return;
        }
        done += (size_t)n;
    }
}

/* A whole answer; `headers` are lines that end in \r\n. */
static inline void loopback_answer(struct loopback_request *request, int status,
                                   const char *headers, struct slice body)
{
    static const char date[] = "Date: Sun, 01 Mar 2026 12:00:00 GMT\r\n";
    bool is_head = strcmp(request->method, "HEAD") == 0;
    bool has_length = strstr(headers, "Content-Length:") != NULL;
    struct buffer text = BUFFER_INIT(1 << 20);
    assert_ok(buffer_printf(&text, "HTTP/1.1 %d X\r\n%s%s", status, headers,
                            strstr(headers, "Date:") ? "" : date));
    if (status != 204 && !has_length)
        assert_ok(buffer_printf(&text, "Content-Length: %zu\r\n", body.size));
    assert_ok(buffer_append_text(&text, "\r\n"));
    loopback_send(request, text.data, text.size);
    if (!is_head && status != 204) loopback_send(request, body.data, body.size);
    if (strstr(headers, "Connection: close")) request->close = true;
    buffer_free(&text);
}

/* The value of a header of the request, up to its line's end; NULL when it is not there. */
static inline const char *loopback_header(const struct loopback_request *request, const char *name,
                                          size_t *size)
{
    size_t name_size = strlen(name);
    for (const char *line = request->headers; *line;) {
        const char *end = strstr(line, "\r\n");
        if (!end) end = line + strlen(line);
        if ((size_t)(end - line) > name_size && strncasecmp(line, name, name_size) == 0 &&
            line[name_size] == ':') {
            line += name_size + 1;
            while (*line == ' ')
                line++;
            *size = (size_t)(end - line);
            return line;
        }
        line = *end ? end + 2 : end;
    }
    return NULL;
}

/* Reads and answers one request; false: the connection is over. */
static inline bool loopback_serve_one(struct loopback *server, int fd, unsigned number)
{
    struct loopback_request request = {.server = server, .fd = fd, .number_on_connection = number};
    char *head = malloc(LOOPBACK_HEAD_MAX + 1);
    size_t size = 0;
    char *end = NULL;
    while (!end && size < LOOPBACK_HEAD_MAX) {
        ssize_t n = recv(fd, head + size, LOOPBACK_HEAD_MAX - size, 0);
        if (n <= 0) {
            free(head);
            return false;
        }
        size += (size_t)n;
        head[size] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    assert_non_null(end);
    size_t rest = size - (size_t)(end + 4 - head);
    char *early = end + 4;
    end[2] = '\0';
    char *line_end = strstr(head, "\r\n");
    *line_end = '\0';
    request.headers = line_end + 2;
    request.method = head;
    request.target = strchr(head, ' ');
    *request.target++ = '\0';
    *strchr(request.target, ' ') = '\0';
    request.query = strchr(request.target, '?');
    if (request.query)
        *request.query++ = '\0';
    else
        request.query = (char *)(uintptr_t) "";
    size_t length_size = 0, length = 0;
    const char *text = loopback_header(&request, "Content-Length", &length_size);
    for (size_t i = 0; text && i < length_size; i++)
        length = length * 10 + (size_t)(text[i] - '0');
    char *body = malloc(length + 1);
    body[length] = '\0'; /* for those who look into it as a text */
    bool whole = true;
    memcpy(body, early, rest < length ? rest : length);
    for (size_t got = rest; whole && got < length;) {
        ssize_t n = recv(fd, body + got, length - got, 0);
        whole = n > 0;
        if (whole) got += (size_t)n;
    }
    request.body = slice_make(body, length);
    if (whole) {
        unsigned now = atomic_fetch_add(&server->under_way, 1) + 1;
        unsigned peak = atomic_load(&server->under_way_peak);
        while (now > peak && !atomic_compare_exchange_weak(&server->under_way_peak, &peak, now))
            ;
        atomic_fetch_add(&server->n_requests, 1);
        server->handle(&request);
        atomic_fetch_sub(&server->under_way, 1);
    }
    free(body);
    free(head);
    return whole && !request.close;
}

struct loopback_connection {
    struct loopback *server;
    unsigned slot;
};

static inline void *loopback_serve(void *state)
{
    struct loopback_connection connection = *(struct loopback_connection *)state;
    struct loopback *server = connection.server;
    free(state);
    int fd = server->fds[connection.slot];
    for (unsigned number = 1; loopback_serve_one(server, fd, number); number++)
        ;
    pthread_mutex_lock(&server->lock);
    server->fds[connection.slot] = -1;
    close(fd);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static inline void *loopback_accept(void *state)
{
    struct loopback *server = state;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL), yes = 1;
        if (fd >= 0) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        pthread_mutex_lock(&server->lock);
        unsigned slot = atomic_load(&server->n_connections);
        bool stop = server->closing || fd < 0 || slot == LOOPBACK_CONNECTIONS_MAX;
        if (!stop) {
            struct loopback_connection *connection = malloc(sizeof(*connection));
            *connection = (struct loopback_connection){server, slot};
            server->fds[slot] = fd;
            atomic_store(&server->n_connections, slot + 1);
            assert_int_equal(
                pthread_create(&server->threads[slot], NULL, loopback_serve, connection), 0);
        }
        pthread_mutex_unlock(&server->lock);
        if (stop) {
            if (fd >= 0) close(fd);
            return NULL;
        }
    }
}

static inline struct loopback *loopback_open(void (*handle)(struct loopback_request *), void *state)
{
    struct loopback *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    server->handle = handle;
    server->state = state;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server->fd, 512), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    pthread_mutex_init(&server->lock, NULL);
    assert_int_equal(pthread_create(&server->acceptor, NULL, loopback_accept, server), 0);
    return server;
}

static inline void loopback_close(struct loopback *server)
{
    pthread_mutex_lock(&server->lock);
    server->closing = true;
    for (unsigned i = 0; i < server->n_connections; i++)
        if (server->fds[i] >= 0) shutdown(server->fds[i], SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->acceptor, NULL);
    for (unsigned i = 0; i < server->n_connections; i++)
        pthread_join(server->threads[i], NULL);
    close(server->fd);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

#endif
