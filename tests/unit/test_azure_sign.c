/*
 * test_azure_sign.c: signatures for Azure. The text to sign is the example of "Authorize with
 * Shared Key"; signatures were made of such texts by Python's hmac.
 */
#include "test.h"

#include "base/runtime.h"
#include "base/text.h"
#include "store/azure_int.h"

/* The key that is published with the emulators. */
#define KEY_TEXT \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

static struct slice key_of(struct arena *arena)
{
    defer_buffer struct buffer key = BUFFER_INIT(256);
    assert_ok(text_base64_decode(&key, SLICE(KEY_TEXT)));
    return arena_copy(arena, buffer_slice(&key));
}

static void the_published_text_is_what_is_signed(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct s3_pair query[] = {{SLICE("restype"), SLICE("container")},
                                    {SLICE("timeout"), SLICE("20")},
                                    {SLICE("comp"), SLICE("metadata")}};
    const struct http_header headers[] = {
        {SLICE("x-ms-version"), SLICE("2015-02-21")},
        {SLICE("x-ms-date"), SLICE("Fri, 26 Jun 2015 23:39:12 GMT")}};
    struct slice text = azure_string_to_sign("GET", SLICE("/myaccount/mycontainer"), query, 3,
                                             headers, 2, 0, &arena);
    assert_true(slice_equal_text(
        text, "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n"
              "x-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\n"
              "restype:container\ntimeout:20"));
}

/* Every standard header has its line, and blanks around a value are not signed. */
static void each_header_has_its_line(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct http_header headers[] = {{SLICE("range"), SLICE("bytes=0-9")},
                                          {SLICE("if-none-match"), SLICE("*")},
                                          {SLICE("content-md5"), SLICE("1B2M2Y8AsgTpgAmY7PhCfg==")},
                                          {SLICE("content-type"), SLICE("text/plain")},
                                          {SLICE("x-ms-meta-b"), SLICE("  two ")},
                                          {SLICE("x-ms-meta-a"), SLICE("one")},
                                          {SLICE("host"), SLICE("ignored")}};
    const struct s3_pair query[] = {{SLICE("blockid"), SLICE("YWJj+/==")},
                                    {SLICE("COMP"), SLICE("block")}};
    struct slice text =
        azure_string_to_sign("PUT", SLICE("/a/a/c/b%20d"), query, 2, headers, 7, 11, &arena);
    assert_true(slice_equal_text(text,
                                 "PUT\n\n\n11\n1B2M2Y8AsgTpgAmY7PhCfg==\ntext/plain\n\n\n\n*\n"
                                 "\nbytes=0-9\nx-ms-meta-a:one\nx-ms-meta-b:two\n"
                                 "/a/a/c/b%20d\nblockid:YWJj+/==\ncomp:block"));
}

static struct slice header_of(const struct s3_signed *request, const char *name)
{
    for (size_t i = 0; i < request->n_headers; i++)
        if (slice_equal_text(request->headers[i].name, name)) return request->headers[i].value;
    return SLICE_EMPTY;
}

static void requests_are_signed_whole(void **state)
{
    (void)state;
    static const struct {
        const char *method, *key, *body;
        struct s3_pair query;
        struct http_header header;
        bool emulator;
        const char *url, *authorization;
    } cases[] = {
        {"PUT",
         "a b/\xc3\xa9+%",
         "hello",
         {{0}, {0}},
         {{"If-None-Match", 13}, {"*", 1}},
         false,
         "https://acc.blob.core.windows.net/box/a%20b/%C3%A9%2B%25",
         "SharedKey acc:/5bvTEPWbO6edWrvvWF8IenevBl1RcnXS8I4vztnsj4="},
        {"GET",
         "k",
         "",
         {{0}, {0}},
         {{"Range", 5}, {"bytes=0-9", 9}},
         true,
         "http://127.0.0.1:10000/acc/box/k",
         "SharedKey acc:HZyNUp2jVsiRjERLjsm3lug/tBszxjCOrE8neb2nhak="},
        {"HEAD",
         "",
         "",
         {{0}, {0}},
         {{0}, {0}},
         false,
         "https://acc.blob.core.windows.net/box?restype=container",
         "SharedKey acc:Vff7HDaum1WtHJwoY6riO18VJW5zgWri0PwFS8m6oFo="},
        {"PUT",
         "k",
         "part",
         {{"comp", 4}, {"block", 5}},
         {{0}, {0}},
         false,
         "https://acc.blob.core.windows.net/box/k?comp=block",
         "SharedKey acc:haZjGu8KeihxVE6unJ7k+JOMHhC7RfU/BGl7lsQ61+Q="},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct azure_account account = {.name = SLICE("acc"), .key = key_of(&arena)};
        struct s3_settings settings = {
            .bucket = SLICE("box"), .tls = true, .host = SLICE("acc.blob.core.windows.net")};
        if (cases[i].emulator) {
            account.base_path = SLICE("/acc");
            settings.tls = false;
            settings.host = SLICE("127.0.0.1");
            settings.port = 10000;
        }
        struct s3_request request = {.method = cases[i].method,
                                     .key = slice_from_text(cases[i].key),
                                     .query = &cases[i].query,
                                     .n_query = cases[i].query.name.size > 0,
                                     .headers = &cases[i].header,
                                     .n_headers = cases[i].header.name.size > 0,
                                     .body = slice_from_text(cases[i].body)};
        struct s3_signed out;
        assert_ok(azure_sign(&settings, &account, 1772366400000, &request, &arena, &out));
        assert_string_equal(out.url.data, cases[i].url);
        assert_string_equal(header_of(&out, "x-ms-date").data, "Sun, 01 Mar 2026 12:00:00 GMT");
        if (!slice_equal_text(header_of(&out, "authorization"), cases[i].authorization))
            fail_msg("%zu: %s", i, header_of(&out, "authorization").data);
    }
}

static void a_shared_access_signature_is_appended(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct azure_account account = {.name = SLICE("acc"), .sas = SLICE("sv=2021&sig=a%2Bb%3D")};
    struct s3_settings settings = {.bucket = SLICE("box"), .tls = true, .host = SLICE("h.net")};
    struct s3_pair query = {SLICE("comp"), SLICE("list")};
    struct s3_request request = {.method = "GET", .query = &query, .n_query = 1};
    struct s3_signed out;
    assert_ok(azure_sign(&settings, &account, 0, &request, &arena, &out));
    assert_string_equal(out.url.data, "https://h.net/box?comp=list&sv=2021&sig=a%2Bb%3D");
    assert_int_equal(header_of(&out, "authorization").size, 0);
    request.key = SLICE("k");
    request.n_query = 0;
    assert_ok(azure_sign(&settings, &account, 0, &request, &arena, &out));
    assert_string_equal(out.url.data, "https://h.net/box/k?sv=2021&sig=a%2Bb%3D");
}

static void line_ends_in_headers_are_refused(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct azure_account account = {.name = SLICE("acc"), .sas = SLICE("sig=x")};
    struct s3_settings settings = {.bucket = SLICE("box"), .host = SLICE("h")};
    struct http_header header = {SLICE("Range"), SLICE("bytes=0-1\r\nx-ms-version: 1")};
    struct s3_request request = {.method = "GET", .headers = &header, .n_headers = 1};
    struct s3_signed out;
    assert_fails(azure_sign(&settings, &account, 0, &request, &arena, &out), GLIS_EINVALID,
                 "control");
    request.n_headers = 0;
    request.n_query = S3_SIGN_PAIRS_MAX + 1;
    assert_fails(azure_sign(&settings, &account, 0, &request, &arena, &out), GLIS_EINVALID,
                 "more than");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_text_is_what_is_signed),
        cmocka_unit_test(each_header_has_its_line),
        cmocka_unit_test(requests_are_signed_whole),
        cmocka_unit_test(a_shared_access_signature_is_appended),
        cmocka_unit_test(line_ends_in_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
