/*
 * test_s3_sign.c: signatures against published ones: Amazon's test suite of signature version 4
 * (awslabs/aws-c-auth, tests/aws-signing-test-suite/v4; the cases whose paths are normalised are
 * left out, for S3 does not) and the four worked examples of the S3 manual; URLs of awkward keys as
 * RFC 3986 wants them; and what a signature costs.
 */
#include "test.h"

#include "base/digest.h"
#include "base/text.h"
#include "store/s3_int.h"

static const struct s3_credentials suite_credentials = {
    .access_key = {"AKIDEXAMPLE", 11},
    .secret_key = {"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 40},
};
static const struct s3_credentials manual_credentials = {
    .access_key = {"AKIAIOSFODNN7EXAMPLE", 20},
    .secret_key = {"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40},
};

/* Headers "Name:value|Name:value", beside host and x-amz-date; query "name=value&name=value",
 * raw. */
static const struct {
    const char *name, *method, *path, *query, *headers, *body, *request_hash, *signature;
} suite[] = {
    {"get-header-key-duplicate", "GET", "/", "",
     "My-Header1:value2|My-Header1:value2|My-Header1:value1", "",
     "dc7f04a3abfde8d472b0ab1a418b741b7c67174dad1551b4117b15527fbe966c",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-multiline", "GET", "/", "", "My-Header1:value1\n  value2\n     value3", "",
     "e99419459a677bc11de234014be3c4e72c1ea5b454ceb58b613061f5d7a162e8",
     "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd"},
    {"get-header-value-order", "GET", "/", "",
     "My-Header1:value4|My-Header1:value1|My-Header1:value3|My-Header1:value2", "",
     "31ce73cd3f3d9f66977ad3dd957dc47af14df92fcd8509f59b349e9137c58b86",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim", "GET", "/", "", "My-Header1: value1|My-Header2: \"a   b   c\"", "",
     "a726db9b0df21c14f559d0a978e563112acb1b9e05476f0a6a1c7d68f28605c7",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-relative-relative-unnormalized", "GET", "/example1/example2/../..", "", "", "",
     "76115030c0f3ff06c20fdff5ceb6d5e0b835a1743e00b94fea7c7f381269437b",
     "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b"},
    {"get-relative-unnormalized", "GET", "/example/..", "", "", "",
     "0511f456aa502b456d135fcb9d749374a55228f9dbeedda1eacf659e05b0615b",
     "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282"},
    {"get-slash-dot-slash-unnormalized", "GET", "/./", "", "", "",
     "d67825e2268bd77a97c7688b8d72c31a3c1855b309808505ba0a9747d2465aa7",
     "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"},
    {"get-slash-pointless-dot-unnormalized", "GET", "/./example", "", "", "",
     "73895e0e829507e28e39fd24669aedc2434a8e179e547e3c075b42921f952cdb",
     "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff"},
    {"get-slash-unnormalized", "GET", "//", "", "", "",
     "80cb39203d058af815de2b79250ff56e1b73eb9b4718c86556cdc6f150c5d209",
     "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e"},
    {"get-slashes-unnormalized", "GET", "//example//", "", "", "",
     "528ec3105ee1f34ab014bb0a1a45da0ed2742a4fea3555149e5b4d5d201eb240",
     "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
    {"get-space-normalized", "GET", "/example space/", "", "", "",
     "63ee75631ed7234ae61b5f736dfc7754cdccfedbff4b5128a915706ee9390d86",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-space-unnormalized", "GET", "/example space/", "", "", "",
     "63ee75631ed7234ae61b5f736dfc7754cdccfedbff4b5128a915706ee9390d86",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     "", "", "", "6a968768eefaa713e2a6b16b589a8ea192661f098f37349f4e2c0082757446f9",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8", "GET",
     "/\xe1"
     "\x88"
     "\xb4"
     "",
     "", "", "", "2a0a97d02205e45ce2e994789806b19270cfbbb0921b278ccf58f5249ac42102",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-vanilla-empty-query-key", "GET", "/", "Param1=value1", "", "",
     "1e24db194ed7d0eec2de28d7369675a243488e08526e8c1c73571282f7c517ab",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-vanilla-query-order-encoded", "GET", "/",
     "Param-3=Value3&Param=Value2&\xe1"
     "\x88"
     "\xb4"
     "=Value1",
     "", "", "868294f5c38bd141c4972a373a76654f1418a8e4fc18b2e7903ae45e8ae0ec71",
     "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
    {"get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", "", "",
     "816cd5b414d056048ba4f7c5386d6e0533120fb1fcfa93762cf0fc39e2cf19e0",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-unreserved", "GET", "/",
     "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~012345678"
     "9ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     "", "", "c30d4703d9f799439be92736156d47ccfb2d879ddf56f5befa6d1d6aab979177",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-query", "GET", "/", "", "", "",
     "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-utf8-query", "GET", "/",
     "\xe1"
     "\x88"
     "\xb4"
     "=bar",
     "", "", "eb30c5bed55734080471a834cc727ae56beb50e5f39d1bff6d0d38cb192a7073",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-vanilla-with-session-token", "GET", "/", "",
     "X-Amz-Security-Token:6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267", "",
     "067b36aa60031588cea4a4cde1f21215227a047690c72247f1d70b32fbbfad2b",
     "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
    {"get-vanilla", "GET", "/", "", "", "",
     "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-header-key-case", "POST", "/", "", "", "",
     "553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-header-key-sort", "POST", "/", "", "My-Header1:value1", "",
     "9368318c2967cf6de74404b30c65a91e8f6253e0a8659d6d5319f1a812f87d65",
     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"post-header-value-case", "POST", "/", "", "My-Header1:VALUE1", "",
     "d51ced243e649e3de6ef63afbbdcbca03131a21a7103a1583706a64618606a93",
     "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-sts-header-before", "POST", "/", "",
     "X-Amz-Security-Token:AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j"
     "4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGd"
     "eehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQ"
     "cHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9"
     "KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
     "", "c237e1b440d4c63c32ca95b5b99481081cb7b13c7e40434868e71567c1a882f6",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"post-vanilla-empty-query-value", "POST", "/", "Param1=value1", "", "",
     "9d659678c1756bb3113e2ce898845a0a79dbbc57b740555917687f1b3340fbbd",
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"post-vanilla-query", "POST", "/", "Param1=value1", "", "",
     "9d659678c1756bb3113e2ce898845a0a79dbbc57b740555917687f1b3340fbbd",
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"post-vanilla", "POST", "/", "", "", "",
     "553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-x-www-form-urlencoded-parameters", "POST", "/", "",
     "Content-Type:application/x-www-form-urlencoded; charset=utf-8|Content-Length:13|"
     "x-amz-content-sha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24"
     "d0b6e",
     "Param1=value1", "a89f1a5b53e37702ee6363ce1da3ce8f54386f3c8f352ae652153c2982a0bc4d",
     "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
    {"post-x-www-form-urlencoded", "POST", "/", "",
     "Content-Type:application/x-www-form-urlencoded|Content-Length:13|x-amz-content-s"
     "ha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
     "Param1=value1", "b1edd1d03544c25390e32085d55b57acc9a3961bb59415ff86c45c3d89d16cfb",
     "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
};

/* The parts of text between `separator`s, each cut in two at the first `cut`. */
static size_t pairs_of(const char *text, char separator, char cut, struct s3_pair out[8])
{
    size_t n = 0;
    while (*text) {
        const char *end = strchrnul(text, separator);
        const char *middle = memchr(text, cut, (size_t)(end - text));
        assert_non_null(middle);
        assert_true(n < 8);
        out[n].name = slice_make(text, (size_t)(middle - text));
        out[n++].value = slice_make(middle + 1, (size_t)(end - middle - 1));
        text = *end ? end + 1 : end;
    }
    return n;
}

static const char *after_last_line_end(struct slice text)
{
    const char *at = memrchr(text.data, '\n', text.size);
    return at ? at + 1 : text.data;
}

static void the_published_suite_is_signed_as_published(void **state)
{
    (void)state;
    struct s3_signer *signer = s3_signer_new();
    for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct s3_pair query[8], pairs[8];
        struct http_header headers[10] = {
            {SLICE("Host"), SLICE("example.amazonaws.com")},
            {SLICE("X-Amz-Date"), SLICE("20150830T123600Z")},
        };
        size_t n = pairs_of(suite[i].headers, '|', ':', pairs);
        for (size_t k = 0; k < n; k++)
            headers[2 + k] = (struct http_header){pairs[k].name, pairs[k].value};
        uint8_t digest[DIGEST_SHA256_BYTES];
        digest_sha256(slice_from_text(suite[i].body), digest);
        defer_buffer struct buffer payload = BUFFER_INIT(100);
        assert_ok(text_hex_encode(&payload, slice_make(digest, sizeof(digest))));
        struct s3_canonical request = {
            .method = suite[i].method,
            .path = s3_escape(slice_from_text(suite[i].path), true, &arena),
            .query = query,
            .n_query = pairs_of(suite[i].query, '&', '=', query),
            .headers = headers,
            .n_headers = 2 + n,
            .payload = buffer_slice(&payload),
            .region = SLICE("us-east-1"),
            .service = SLICE("service"),
            .time = "20150830T123600Z",
        };
        struct s3_signature signature;
        assert_ok(s3_sign_canonical(signer, &suite_credentials, &request, &arena, &signature));
        if (strcmp(after_last_line_end(signature.string_to_sign), suite[i].request_hash) != 0)
            fail_msg("%s: another canonical request:\n%.*s", suite[i].name,
                     SLICE_PRINT(signature.canonical_request));
        assert_true(slice_ends_with(signature.authorization, slice_from_text(suite[i].signature)));
        assert_true(slice_starts_with(signature.authorization,
                                      SLICE("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/"
                                            "us-east-1/service/aws4_request, SignedHeaders=")));
    }
    s3_signer_free(signer);
}

static const struct s3_settings manual_settings = {
    .bucket = {"examplebucket", 13},
    .tls = true,
    .host = {"s3.amazonaws.com", 16},
    .region = {"us-east-1", 9},
};
enum { MANUAL_TIME_S = 1369353600 }; /* 2013-05-24T00:00:00Z */

static struct slice signed_header(const struct s3_signed *signed_request, const char *name)
{
    for (size_t i = 0; i < signed_request->n_headers; i++)
        if (slice_equal_text(signed_request->headers[i].name, name))
            return signed_request->headers[i].value;
    return SLICE_EMPTY;
}

static void the_examples_of_the_manual_are_signed_as_there(void **state)
{
    (void)state;
    static const struct http_header range[] = {{{"Range", 5}, {"bytes=0-9", 9}}};
    static const struct http_header put[] = {
        {{"Date", 4}, {"Fri, 24 May 2013 00:00:00 GMT", 29}},
        {{"x-amz-storage-class", 19}, {"REDUCED_REDUNDANCY", 18}},
    };
    static const struct s3_pair lifecycle[] = {{{"lifecycle", 9}, {NULL, 0}}};
    static const struct s3_pair list[] = {{{"prefix", 6}, {"J", 1}}, {{"max-keys", 8}, {"2", 1}}};
    static const struct {
        struct s3_request request;
        const char *signature, *url;
    } examples[] = {
        {{.method = "GET", .key = {"test.txt", 8}, .headers = range, .n_headers = 1},
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
         "https://examplebucket.s3.amazonaws.com/test.txt"},
        {{.method = "PUT",
          .key = {"test$file.text", 14},
          .headers = put,
          .n_headers = 2,
          .body = {"Welcome to Amazon S3.", 21}},
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
         "https://examplebucket.s3.amazonaws.com/test%24file.text"},
        {{.method = "GET", .query = lifecycle, .n_query = 1},
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
         "https://examplebucket.s3.amazonaws.com/?lifecycle="},
        {{.method = "GET", .query = list, .n_query = 2},
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
         "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"},
    };
    struct s3_signer *signer = s3_signer_new();
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct s3_signed out;
        assert_ok(s3_sign(signer, &manual_settings, &manual_credentials,
                          (int64_t)MANUAL_TIME_S * 1000, &examples[i].request, &arena, &out));
        assert_string_equal(out.url.data, examples[i].url);
        struct slice authorization = signed_header(&out, "authorization");
        assert_string_equal(authorization.data + authorization.size - 64, examples[i].signature);
        assert_string_equal(signed_header(&out, "x-amz-date").data, "20130524T000000Z");
    }
    s3_signer_free(signer);
}

/* A signer that has a key for one day, secret or region must not use it for another. */
static void a_kept_key_is_used_only_for_its_day_secret_and_region(void **state)
{
    (void)state;
    struct s3_signer *kept = s3_signer_new();
    struct s3_settings other_region = manual_settings;
    other_region.region = SLICE("eu-west-1");
    struct s3_request request = {.method = "GET", .key = SLICE("test.txt")};
    for (int i = 0; i < 64; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct s3_signer *fresh = s3_signer_new();
        const struct s3_settings *settings = i & 1 ? &other_region : &manual_settings;
        const struct s3_credentials *who = i & 2 ? &suite_credentials : &manual_credentials;
        int64_t now_ms = (int64_t)MANUAL_TIME_S * 1000 + (i & 4 ? 86400000 : 0);
        struct s3_signed a, b;
        assert_ok(s3_sign(kept, settings, who, now_ms, &request, &arena, &a));
        assert_ok(s3_sign(fresh, settings, who, now_ms, &request, &arena, &b));
        assert_string_equal(signed_header(&a, "authorization").data,
                            signed_header(&b, "authorization").data);
        s3_signer_free(fresh);
    }
    s3_signer_free(kept);
}

static void keys_are_escaped_once_and_never_normalised(void **state)
{
    (void)state;
    static const struct {
        const char *key, *url;
        bool path_style;
        uint16_t port;
    } cases[] = {
        {"a b", "http://examplebucket.host.example/a%20b", false, 0},
        {"a+b", "http://examplebucket.host.example/a%2Bb", false, 0},
        {"100%", "http://examplebucket.host.example/100%25", false, 0},
        {"%41", "http://host.example:7680/examplebucket/%2541", true, 7680},
        {"folder/", "http://host.example/examplebucket/folder/", true, 0},
        {"a//b/../c/./d", "http://host.example/examplebucket/a//b/../c/./d", true, 0},
        {"caf\xc3\xa9/\xe2\x82\xac/\xf0\x9f\x90\x98",
         "http://examplebucket.host.example/caf%C3%A9/%E2%82%AC/%F0%9F%90%98", false, 0},
        {"?uploads", "http://host.example/examplebucket/%3Fuploads", true, 0},
        {"a&b=c", "http://host.example/examplebucket/a%26b%3Dc", true, 0},
        {"~user-._", "http://host.example/examplebucket/~user-._", true, 0},
        {"(!*'):@,;$#[]\"\\^`{|}<>",
         "http://host.example/examplebucket/"
         "%28%21%2A%27%29%3A%40%2C%3B%24%23%5B%5D%22%5C%5E%60%7B%7C"
         "%7D%3C%3E",
         true, 0},
        {"", "http://host.example/examplebucket", true, 0},
        {"", "http://examplebucket.host.example:81/", false, 81},
    };
    struct s3_signer *signer = s3_signer_new();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct s3_settings settings = manual_settings;
        settings.tls = false;
        settings.host = SLICE("host.example");
        settings.path_style = cases[i].path_style;
        settings.port = cases[i].port;
        struct s3_request request = {
            .method = "GET", .key = slice_from_text(cases[i].key), .payload = S3_PAYLOAD_UNSIGNED};
        struct s3_signed out;
        assert_ok(s3_sign(signer, &settings, &manual_credentials, 0, &request, &arena, &out));
        assert_string_equal(out.url.data, cases[i].url);
        const char *host = strstr(out.url.data, "//") + 2;
        assert_memory_equal(signed_header(&out, "host").data, host,
                            (size_t)(strchr(host, '/') - host));
        assert_string_equal(signed_header(&out, "x-amz-content-sha256").data, "UNSIGNED-PAYLOAD");
    }
    s3_signer_free(signer);
}

static void a_session_token_is_sent_and_signed(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_signer *signer = s3_signer_new();
    struct s3_credentials who = manual_credentials;
    who.session_token = SLICE("token//+=");
    struct s3_request request = {.method = "HEAD", .key = SLICE("k")};
    struct s3_signed out;
    assert_ok(s3_sign(signer, &manual_settings, &who, 0, &request, &arena, &out));
    assert_string_equal(signed_header(&out, "x-amz-security-token").data, "token//+=");
    assert_non_null(strstr(signed_header(&out, "authorization").data,
                           "SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
                           "x-amz-security-token, "));
    s3_signer_free(signer);
}

static void headers_that_would_break_out_are_refused(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_signer *signer = s3_signer_new();
    struct http_header header = {SLICE("range"), SLICE("bytes=0-\r\nx-evil: 1")};
    struct s3_request request = {
        .method = "GET", .key = SLICE("k"), .headers = &header, .n_headers = 1};
    struct s3_signed out;
    assert_fails(s3_sign(signer, &manual_settings, &manual_credentials, 0, &request, &arena, &out),
                 GLIS_EINVALID, "control characters");
    struct s3_pair many[S3_SIGN_PAIRS_MAX + 1] = {{SLICE_EMPTY, SLICE_EMPTY}};
    request = (struct s3_request){
        .method = "GET", .query = many, .n_query = sizeof(many) / sizeof(many[0])};
    assert_fails(s3_sign(signer, &manual_settings, &manual_credentials, 0, &request, &arena, &out),
                 GLIS_EINVALID, "more than 64");
    struct s3_settings settings = manual_settings;
    settings.host = SLICE("evil\r\nhost");
    request = (struct s3_request){.method = "GET"};
    assert_fails(s3_sign(signer, &settings, &manual_credentials, 0, &request, &arena, &out),
                 GLIS_EINVALID, "host");
    s3_signer_free(signer);
}

/* The bound is wide, for the build may have sanitizers and the machine other work; the figure is
 * printed. */
static void a_signature_costs_some_microseconds(void **state)
{
    (void)state;
    struct s3_signer *signer = s3_signer_new();
    static const struct http_header range[] = {{{"range", 5}, {"bytes=1048576-2097151", 21}}};
    struct s3_request request = {
        .method = "GET",
        .key = SLICE("tables/01JD0000000000000000000000/data/00000000000000000017-"
                     "01JD0000000000000000000001.parquet"),
        .headers = range,
        .n_headers = 1,
        .payload = S3_PAYLOAD_UNSIGNED,
    };
    enum { ROUNDS = 20000 };
    struct timespec begin, end;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin), 0);
    for (int i = 0; i < ROUNDS; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct s3_signed out;
        assert_ok(s3_sign(signer, &manual_settings, &manual_credentials,
                          (int64_t)MANUAL_TIME_S * 1000 + i, &request, &arena, &out));
    }
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end), 0);
    double us =
        ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
        ROUNDS / 1000;
    print_message("%.1f microseconds of processor time a signature\n", us);
    assert_true(us < 200);
    s3_signer_free(signer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_suite_is_signed_as_published),
        cmocka_unit_test(the_examples_of_the_manual_are_signed_as_there),
        cmocka_unit_test(a_kept_key_is_used_only_for_its_day_secret_and_region),
        cmocka_unit_test(keys_are_escaped_once_and_never_normalised),
        cmocka_unit_test(a_session_token_is_sent_and_signed),
        cmocka_unit_test(headers_that_would_break_out_are_refused),
        cmocka_unit_test(a_signature_costs_some_microseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
