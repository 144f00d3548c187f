/*
 * test_http_curl.c: the door to the network against a server on this machine that answers rightly
 * and wrongly. Expected values are the sentences of http.h.
 */
#include "loopback.h"

#include "store/http.h"

#include <sys/wait.h>

static struct http_request request_to(const struct loopback *server, struct arena *arena,
                                      const char *method, const char *path)
{
    char *url = arena_printf(arena, "http://127.0.0.1:%u%s", server->port, path);
    return (struct http_request){.method = method,
                                 .url = slice_from_text(url),
                                 .timeout_ms = 20000,
                                 .connect_timeout_ms = 5000,
                                 .body_max = 1 << 20,
                                 .arena = arena};
}

static void run(struct http_request *request)
{
    http_run(http_system(), NULL, request, 1);
}

static void assert_answer(const struct http_request *request, int status, const char *body)
{
    if (request->outcome != 0) fail_msg("%s", request->failure);
    assert_int_equal(request->status, status);
    struct slice got = http_answer_body(request);
    assert_int_equal(got.size, strlen(body));
    if (got.size) assert_memory_equal(got.data, body, got.size);
}

/* ---- what goes out and comes back ---- */

static void echo(struct loopback_request *request)
{
    struct buffer text = BUFFER_INIT(1 << 20);
    assert_ok(buffer_printf(&text, "%s %s?%s\n%s\n", request->method, request->target,
                            request->query, request->headers));
    assert_ok(buffer_append_slice(&text, request->body));
    loopback_answer(request, 200, "X-One: 1\r\nX-Two:  two words \r\nETag:\r\n",
                    buffer_slice(&text));
    buffer_free(&text);
}

static void a_request_goes_out_as_it_was_made(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(echo, NULL);
    static const char *const methods[] = {"GET", "PUT", "POST", "DELETE"};
    for (size_t i = 0; i < 4; i++) {
        struct http_request request =
            request_to(server, &arena, methods[i], "/a%20b/../c//d%2Fe/?x=1&y");
        struct http_header headers[] = {{SLICE("x-amz-date"), SLICE("20260301T120000Z")},
                                        {SLICE("x-empty"), SLICE("")}};
        bool has_body = i == 1 || i == 2;
        request.headers = headers;
        request.n_headers = 2;
        if (has_body) request.body = SLICE("the body");
        run(&request);
        assert_int_equal(request.outcome, 0);
        assert_int_equal(request.status, 200);
        struct slice body = http_answer_body(&request);
        char *text = arena_copy_text(&arena, body);
        char *first = arena_printf(&arena, "%s /a%%20b/../c//d%%2Fe/?x=1&y\n", methods[i]);
        assert_true(slice_starts_with(body, slice_from_text(first)));
        assert_non_null(strstr(text, "x-amz-date: 20260301T120000Z\r\n"));
        assert_non_null(strstr(text, "x-empty:"));
        assert_non_null(strstr(text, "User-Agent: glis/"));
        assert_null(strstr(text, "Expect:"));
        assert_null(strstr(text, "Accept:"));
        assert_null(strstr(text, "Content-Type:"));
        assert_true(slice_ends_with(body, has_body ? SLICE("\nthe body") : SLICE("\n")));
        assert_true(slice_equal(http_answer_header(&request, "x-one"), SLICE("1")));
        assert_true(slice_equal(http_answer_header(&request, "x-two"), SLICE("two words")));
        assert_int_equal(http_answer_header(&request, "etag").size, 0);
        assert_int_equal(http_answer_header(&request, "x-three").size, 0);
        block_release(request.block);
    }
    assert_int_equal(atomic_load(&server->n_connections), 1); /* kept and used again */
    struct http_request head = request_to(server, &arena, "HEAD", "/x");
    run(&head);
    assert_answer(&head, 200, "");
    assert_true(http_answer_header(&head, "content-length").size > 0);
    struct http_request bad = request_to(server, &arena, "GET", "/x");
    struct http_header header = {SLICE("x"), SLICE("a\r\nInjected: 1")};
    bad.headers = &header;
    bad.n_headers = 1;
    run(&bad);
    assert_int_equal(bad.outcome, GLIS_EINVALID);
    assert_false(bad.sent);
    loopback_close(server);
}

static void redirects_are_answers(struct loopback_request *request)
{
    loopback_answer(request, 307, "Location: http://127.0.0.1:1/elsewhere\r\n", SLICE("go"));
}

static void redirects_are_not_followed(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(redirects_are_answers, NULL);
    struct http_request request = request_to(server, &arena, "GET", "/");
    run(&request);
    assert_answer(&request, 307, "go");
    assert_true(slice_equal(http_answer_header(&request, "location"),
                            SLICE("http://127.0.0.1:1/elsewhere")));
    block_release(request.block);
    loopback_close(server);
}

/* ---- connections that die ---- */

/* The first request of a connection is answered; the second is read and the connection closed. */
static void close_at_the_second(struct loopback_request *request)
{
    if (request->number_on_connection == 1) {
        loopback_answer(request, 200, "", SLICE("fine"));
        return;
    }
    request->close = true;
}

/* Which requests the server saw must be counted by itself: libcurl does not tell. */
static void kept_connection_dies(const char *method, struct slice body, bool once)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(close_at_the_second, NULL);
    struct http_request first = request_to(server, &arena, "GET", "/");
    run(&first);
    assert_answer(&first, 200, "fine");
    block_release(first.block);
    struct http_request request = request_to(server, &arena, method, "/object");
    request.body = body;
    request.once = once;
    run(&request);
    if (once) {
        assert_int_equal(request.outcome, GLIS_EIO);
        assert_true(request.sent);
        assert_non_null(request.failure);
        assert_int_equal(atomic_load(&server->n_requests), 2);
    } else { /* repeated by libcurl, on a new connection */
        assert_answer(&request, 200, "fine");
        assert_int_equal(atomic_load(&server->n_requests), 3);
        block_release(request.block);
    }
    loopback_close(server);
}

static void what_must_not_be_repeated_is_sent_once(void **unused)
{
    (void)unused;
    static char large[300000];
    memset(large, 'x', sizeof(large));
    for (int once = 0; once < 2; once++) {
        kept_connection_dies("PUT", SLICE("a record"), once);
        kept_connection_dies("PUT", SLICE(""), once);
        kept_connection_dies("PUT", slice_make(large, sizeof(large)), once);
        kept_connection_dies("POST", SLICE("a record"), once);
        kept_connection_dies("DELETE", SLICE(""), once);
    }
}

static void nothing_listens(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(echo, NULL);
    struct http_request request = request_to(server, &arena, "PUT", "/");
    loopback_close(server);
    request.body = SLICE("x");
    run(&request);
    assert_int_equal(request.outcome, GLIS_EIO);
    assert_false(request.sent);
    assert_non_null(strstr(request.failure, "connect"));
    request.url = SLICE("ftp://127.0.0.1/");
    run(&request);
    assert_int_equal(request.outcome, GLIS_EINVALID);
    assert_false(request.sent);
}

/* ---- answers that are wrong ---- */

static void wrong_answer(struct loopback_request *request)
{
    const char *path = request->target;
    request->close = true;
    if (strcmp(path, "/short") == 0)
        loopback_answer(request, 200, "Content-Length: 100\r\n", SLICE("only this"));
    else if (strcmp(path, "/garbage") == 0)
        loopback_send(request, "\x01\x02 not HTTP at all\r\n\r\n", 20);
    else if (strcmp(path, "/half") == 0)
        loopback_send(request, "HTTP/1.1 200 OK\r\nContent-", 25);
    else if (strcmp(path, "/large") == 0)
        loopback_answer(request, 200, "Content-Length: 99999999999\r\n", SLICE("x"));
    else if (strcmp(path, "/unannounced") == 0) {
        static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        char block[1000];
        memset(block, 'y', sizeof(block));
        loopback_send(request, head, sizeof(head) - 1);
        for (int i = 0; i < 3000; i++)
            loopback_send(request, block, sizeof(block));
    } else if (strcmp(path, "/silent") == 0) {
        char byte;
        (void)!recv(request->fd, &byte, 1, 0); /* until the other side gives up */
    } else if (strcmp(path, "/stuck") == 0) {
        char byte;
        loopback_answer(request, 200, "Content-Length: 100\r\n", SLICE("and then nothing"));
        (void)!recv(request->fd, &byte, 1, 0);
    }
}

static void wrong_answers_are_failures(void **unused)
{
    (void)unused;
    static const struct {
        const char *path;
        int outcome;
        int64_t timeout_ms;
    } cases[] = {
        {"/short", GLIS_EIO, 20000},     {"/garbage", GLIS_EIO, 20000},
        {"/half", GLIS_EIO, 20000},      {"/closed", GLIS_EIO, 20000},
        {"/large", GLIS_ELIMIT, 20000},  {"/unannounced", GLIS_ELIMIT, 20000},
        {"/silent", GLIS_ETIMEOUT, 300}, {"/stuck", GLIS_ETIMEOUT, 300},
    };
    struct loopback *server = loopback_open(wrong_answer, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct budget budget;
        budget_init(&budget, "answers", 0, NULL, NULL);
        struct http_request request = request_to(server, &arena, "GET", cases[i].path);
        request.timeout_ms = cases[i].timeout_ms;
        request.budget = &budget;
        run(&request);
        if (request.outcome != cases[i].outcome)
            fail_msg("%s: %s: %s", cases[i].path, error_code_name(request.outcome),
                     request.failure);
        assert_true(request.sent);
        assert_non_null(request.failure);
        assert_null(request.block);
        assert_int_equal(budget_used(&budget), 0);
    }
    defer_arena struct arena arena = ARENA_EMPTY;
    struct budget budget;
    budget_init(&budget, "answers", 1000, NULL, NULL);
    struct http_request request = request_to(server, &arena, "GET", "/unannounced");
    request.budget = &budget;
    run(&request);
    assert_int_equal(request.outcome, GLIS_ENOMEM);
    assert_non_null(strstr(request.failure, "answers"));
    loopback_close(server);
}

/* ---- many at once ---- */

enum { TOGETHER = 64 };

/* Answers only when all have come. */
static void wait_for_all(struct loopback_request *request)
{
    for (int i = 0; i < 10000 && atomic_load(&request->server->under_way_peak) < TOGETHER; i++)
        usleep(1000);
    loopback_answer(request, 200, "", slice_from_text(request->target));
}

static void many_requests_are_under_way_from_one_thread(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(wait_for_all, NULL);
    struct http_request requests[TOGETHER];
    for (int i = 0; i < TOGETHER; i++)
        requests[i] = request_to(server, &arena, "GET", arena_printf(&arena, "/%d", i));
    for (int round = 0; round < 2; round++) {
        http_run(http_system(), NULL, requests, TOGETHER);
        for (int i = 0; i < TOGETHER; i++) {
            assert_answer(&requests[i], 200, arena_printf(&arena, "/%d", i));
            block_release(requests[i].block);
        }
    }
    assert_int_equal(atomic_load(&server->under_way_peak), TOGETHER);
    assert_int_equal(atomic_load(&server->n_connections), TOGETHER);
    loopback_close(server);
}

static int64_t twice_more(struct http_request *request)
{
    unsigned *times = request->state;
    if (*times == 2) return -1;
    ++*times;
    block_release(request->block);
    return 1;
}

static void the_caller_may_want_it_again(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(echo, NULL);
    unsigned times = 0;
    struct http_request request = request_to(server, &arena, "GET", "/again");
    request.answered = twice_more;
    request.state = &times;
    run(&request);
    assert_int_equal(request.outcome, 0);
    assert_int_equal(atomic_load(&server->n_requests), 3);
    block_release(request.block);
    loopback_close(server);
}

/* ---- left alone ---- */

static void answer_at_once(struct loopback_request *request)
{
    loopback_answer(request, 200, "", SLICE("here"));
}

static void hang(struct loopback_request *request)
{
    char byte;
    (void)!recv(request->fd, &byte, 1, MSG_PEEK);
    request->close = true;
}

/* A caller who does something else for longer than the server may take. */
static void time_in_which_nobody_looks_is_not_the_servers(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(answer_at_once, NULL);
    struct http_request request = request_to(server, &arena, "GET", "/");
    request.connect_timeout_ms = 200;
    request.timeout_ms = 300;
    struct http_batch *batch = http_batch_open(http_system(), NULL);
    http_batch_add(batch, &request);
    for (int i = 0; i < 4 && batch->n_waiting > 0; i++) { /* connecting, sending, receiving */
        http_batch_drive(batch, SIZE_MAX);
        usleep(450000);
    }
    http_batch_drive(batch, 0);
    assert_answer(&request, 200, "here");
    block_release(request.block);
    http_batch_close(batch);
    assert_int_equal(atomic_load(&server->n_requests), 1);
    loopback_close(server);
}

/* And after it the server has its time, and no more. */
static void a_server_that_hangs_is_given_up_also_after_a_pause(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(hang, NULL);
    struct http_request request = request_to(server, &arena, "GET", "/");
    request.timeout_ms = 300;
    struct http_batch *batch = http_batch_open(http_system(), NULL);
    http_batch_add(batch, &request);
    http_batch_drive(batch, SIZE_MAX);
    usleep(450000);
    struct clock *clock = clock_system();
    int64_t begun_ns = clock->monotonic_ns(clock);
    http_batch_drive(batch, 0);
    assert_int_equal(request.outcome, GLIS_ETIMEOUT);
    assert_true(clock->monotonic_ns(clock) - begun_ns < 2000000000);
    http_batch_close(batch);
    loopback_close(server);
}

/* ---- cancel ---- */

static struct cancel cancel;

static void cancel_and_hang(struct loopback_request *request)
{
    char byte;
    atomic_store(&cancel.requested, 1);
    (void)!recv(request->fd, &byte, 1, MSG_PEEK);
    request->close = true;
}

static void cancel_and_answer(struct loopback_request *request)
{
    atomic_store(&cancel.requested, 1);
    usleep(200000); /* longer than it takes to notice */
    loopback_answer(request, 200, "", SLICE("done"));
}

static void a_cancel_ends_what_may_be_ended(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(cancel_and_hang, NULL);
    atomic_store(&cancel.requested, 0);
    struct http_request request = request_to(server, &arena, "GET", "/");
    http_run(http_system(), &cancel, &request, 1);
    assert_int_equal(request.outcome, GLIS_ECANCELLED);
    assert_true(request.sent);
    loopback_close(server);
    server = loopback_open(cancel_and_answer, NULL);
    atomic_store(&cancel.requested, 0);
    request = request_to(server, &arena, "GET", "/");
    request.despite_cancel = true;
    http_run(http_system(), &cancel, &request, 1);
    assert_answer(&request, 200, "done");
    block_release(request.block);
    /* Closing a batch gives up what is under way. */
    struct http_batch *batch = http_batch_open(http_system(), NULL);
    struct http_request given_up = request_to(server, &arena, "GET", "/");
    given_up.despite_cancel = true;
    http_batch_add(batch, &given_up);
    http_batch_drive(batch, SIZE_MAX);
    assert_int_equal(batch->n_waiting, 1);
    http_batch_close(batch);
    assert_int_equal(given_up.outcome, GLIS_ECANCELLED);
    loopback_close(server);
}

/* ---- many threads ---- */

static void *ask_often(void *state)
{
    struct loopback *server = state;
    for (int i = 0; i < 50; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct http_request requests[4];
        for (int k = 0; k < 4; k++)
            requests[k] = request_to(server, &arena, "GET", "/x");
        http_run(http_system(), NULL, requests, 4);
        for (int k = 0; k < 4; k++) {
            if (requests[k].outcome != 0 || requests[k].status != 200) return state;
            block_release(requests[k].block);
        }
    }
    return NULL;
}

static void threads_have_connections_of_their_own(void **unused)
{
    (void)unused;
    struct loopback *server = loopback_open(echo, NULL);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, server), 0);
    for (int i = 0; i < 8; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(atomic_load(&server->n_requests), 8 * 50 * 4);
    assert_true(atomic_load(&server->n_connections) <= 8 * 4);
    loopback_close(server);
}

/* Two processes on one connection would read each other's answers. */
static void a_forked_process_has_connections_of_its_own(void **unused)
{
    (void)unused;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct loopback *server = loopback_open(echo, NULL);
    for (int i = 0; i < 2; i++) {
        struct http_request request = request_to(server, &arena, "GET", "/");
        run(&request);
        assert_int_equal(request.status, 200);
        block_release(request.block);
        if (i == 1) break;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            run(&request);
            _exit(request.status == 200 ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(atomic_load(&server->n_connections), 2);
    }
    assert_int_equal(atomic_load(&server->n_connections), 2);
    loopback_close(server);
}

int main(void)
{
    unsetenv("http_proxy");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_out_as_it_was_made),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(what_must_not_be_repeated_is_sent_once),
        cmocka_unit_test(nothing_listens),
        cmocka_unit_test(wrong_answers_are_failures),
        cmocka_unit_test(many_requests_are_under_way_from_one_thread),
        cmocka_unit_test(the_caller_may_want_it_again),
        cmocka_unit_test(time_in_which_nobody_looks_is_not_the_servers),
        cmocka_unit_test(a_server_that_hangs_is_given_up_also_after_a_pause),
        cmocka_unit_test(a_cancel_ends_what_may_be_ended),
        cmocka_unit_test(a_forked_process_has_connections_of_its_own),
        cmocka_unit_test(threads_have_connections_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
