/*
 * test_s3_server.c: signatures of awkward keys before a real server, which GLIS_TEST_S3 names
 * (s3://BUCKET; endpoint and access keys as for the command). tests/system/test_s3.py starts one
 * and runs this; without the variable there is nothing to ask, and the tests are skipped.
 *
 * These are keys that a store would not take (a slash at the end, "..", a control character),
 * beside those that it does: signing must not depend on what is allowed above it.
 */
#include "test.h"

#include "base/digest.h"
#include "base/runtime.h"
#include "base/text.h"
#include "store/http.h"
#include "store/s3_int.h"

#include <stdlib.h>

struct server {
    struct runtime runtime;
    struct s3_settings settings;
    struct s3_provider *provider;
    struct s3_signer *signer;
    struct arena arena;
};

static int send_request(struct server *server, const struct s3_request *request,
                        struct buffer *answer);

static void server_open(struct server *server)
{
    const char *address = getenv("GLIS_TEST_S3");
    if (!address) skip();
    *server = (struct server){.runtime = {.clock = clock_system(), .random = random_system()}};
    assert_ok(s3_settings_load(s3_environment_system(), slice_from_text(address), &server->arena,
                               &server->settings));
    assert_ok(s3_provider_open(&server->runtime, http_system(), s3_environment_system(),
                               &server->settings, &server->provider));
    server->signer = s3_signer_new();
    struct s3_request create = {.method = "PUT"};
    int status = send_request(server, &create, NULL);
    assert_true(status == 200 || status == 409);
}

static void server_close(struct server *server)
{
    s3_signer_free(server->signer);
    s3_provider_close(server->provider);
    arena_free(&server->arena);
}

/* Sends a request; its status, and the answer's body in `answer` (NULL: not wanted). */
static int send_request(struct server *server, const struct s3_request *request,
                        struct buffer *answer)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_credentials who;
    struct s3_signed out;
    struct clock *clock = server->runtime.clock;
    assert_ok(s3_credentials_get(server->provider, &arena, &who));
    assert_ok(s3_sign(server->signer, &server->settings, &who, clock->wall_ms(clock), request,
                      &arena, &out));
    struct http_request http = {
        .method = request->method,
        .url = out.url,
        .headers = out.headers,
        .n_headers = out.n_headers,
        .body = request->body,
        .connect_timeout_ms = 5000,
        .timeout_ms = 30000,
        .body_max = 16 << 20,
        .arena = &arena,
    };
    http_run(http_system(), NULL, &http, 1);
    if (http.outcome != 0) fail_msg("%s: %s", out.url.data, http.failure);
    if (answer) {
        buffer_clear(answer);
        assert_ok(buffer_append_slice(answer, http_answer_body(&http)));
    }
    if (http.status == 403)
        print_message("%s %s: %.*s\n", request->method, out.url.data,
                      SLICE_PRINT(http_answer_body(&http)));
    block_release(http.block);
    return http.status;
}

#define TEN(x)     x x x x x x x x x x
#define HUNDRED(x) TEN(TEN(x))

static const struct slice keys[] = {
    SLICE("plain"),
    SLICE("a b"),
    SLICE(" begins and ends with a blank "),
    SLICE("a+b"),
    SLICE("a%b"),
    SLICE("%41%2F"),
    SLICE("folder/"),
    SLICE("a//b"),
    SLICE("caf\xc3\xa9/\xe2\x82\xac/\xf0\x9f\x90\x98"),
    SLICE("e\xcc\x81 decomposed"),
    SLICE("?uploads"),
    SLICE("a?acl&b"),
    SLICE("&=;:@$,"),
    SLICE("#fragment"),
    SLICE("~tilde"),
    SLICE("a..b/..c/d.."),
    SLICE("(paren) 'quote' \"double\" <tag> [x] {y} |pipe| ^`\\!*"),
    SLICE("line\nend\rand\ttab"),
    SLICE("\x7f"),
    SLICE(HUNDRED("0123456789") "012345678901234567890123"),
    SLICE(HUNDRED("%+ \xc3\xa9&=/~") "%+ \xc3\xa9&=/~%+ \xc3\xa9&=/~%+ \xc3\xa9&=/~"),
};

static void awkward_keys_are_put_listed_read_and_removed(void **state)
{
    (void)state;
    struct server server;
    server_open(&server);
    defer_buffer struct buffer answer = BUFFER_INIT(16 << 20);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct slice key = keys[i];
        assert_true(key.size <= 1024);
        struct s3_request put = {
            .method = "PUT",
            .key = key,
            .payload = i % 2 ? S3_PAYLOAD_UNSIGNED : S3_PAYLOAD_BODY,
            .body = slice_from_text(arena_printf(&arena, "body %zu", i)),
        };
        if (send_request(&server, &put, NULL) != 200) fail_msg("put '%.*s'", SLICE_PRINT(key));
        struct s3_request get = {.method = "GET", .key = key};
        assert_int_equal(send_request(&server, &get, &answer), 200);
        assert_true(slice_equal(buffer_slice(&answer), put.body));
        get.method = "HEAD";
        assert_int_equal(send_request(&server, &get, NULL), 200);

        struct s3_pair query[] = {{SLICE("list-type"), SLICE("2")},
                                  {SLICE("prefix"), key},
                                  {SLICE("max-keys"), SLICE("1")},
                                  {SLICE("encoding-type"), SLICE("url")}};
        struct s3_request list = {.method = "GET", .query = query, .n_query = 4};
        struct s3_list page;
        assert_int_equal(send_request(&server, &list, &answer), 200);
        assert_ok(s3_xml_list(buffer_slice(&answer), &arena, &page));
        if (page.n_objects != 1 || !slice_equal(page.objects[0].key, key))
            fail_msg("'%.*s' is listed as %.*s", SLICE_PRINT(key),
                     SLICE_PRINT(buffer_slice(&answer)));
        query[1].value = SLICE_EMPTY;
        query[2] = (struct s3_pair){SLICE("start-after"), key};
        assert_int_equal(send_request(&server, &list, &answer), 200);
        assert_ok(s3_xml_list(buffer_slice(&answer), &arena, &page));
        assert_true(page.n_objects == 0 || slice_compare(page.objects[0].key, key) > 0);

        get.method = "DELETE";
        assert_int_equal(send_request(&server, &get, NULL), 204);
        get.method = "GET";
        assert_int_equal(send_request(&server, &get, NULL), 404);
    }
    server_close(&server);
}

static void awkward_keys_are_removed_many_at_once(void **state)
{
    (void)state;
    struct server server;
    server_open(&server);
    defer_buffer struct buffer body = BUFFER_INIT(1 << 20), answer = BUFFER_INIT(1 << 20);
    defer_arena struct arena arena = ARENA_EMPTY;
    enum { N = sizeof(keys) / sizeof(keys[0]) };
    for (size_t i = 0; i < N; i++) {
        struct s3_request put = {.method = "PUT", .key = keys[i], .body = SLICE("x")};
        assert_int_equal(send_request(&server, &put, NULL), 200);
    }
    assert_ok(s3_xml_write_delete(&body, keys, N));
    uint8_t digest[DIGEST_MD5_BYTES];
    digest_md5(buffer_slice(&body), digest);
    defer_buffer struct buffer md5 = BUFFER_INIT(100);
    assert_ok(text_base64_encode(&md5, slice_make(digest, sizeof(digest))));
    struct s3_pair query[] = {{SLICE("delete"), SLICE_EMPTY}};
    struct http_header headers[] = {{SLICE("Content-MD5"), buffer_slice(&md5)},
                                    {SLICE("Content-Type"), SLICE("application/xml")}};
    struct s3_request removal = {.method = "POST",
                                 .query = query,
                                 .n_query = 1,
                                 .headers = headers,
                                 .n_headers = 2,
                                 .body = buffer_slice(&body)};
    assert_int_equal(send_request(&server, &removal, &answer), 200);
    struct s3_error *errors;
    size_t n_errors;
    assert_ok(s3_xml_deleted(buffer_slice(&answer), &arena, &errors, &n_errors));
    assert_int_equal(n_errors, 0);
    for (size_t i = 0; i < N; i++) {
        struct s3_request head = {.method = "HEAD", .key = keys[i]};
        if (send_request(&server, &head, NULL) != 404)
            fail_msg("'%.*s' is still there", SLICE_PRINT(keys[i]));
    }
    server_close(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(awkward_keys_are_put_listed_read_and_removed),
        cmocka_unit_test(awkward_keys_are_removed_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
