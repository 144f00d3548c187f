/*
 * test_s3_credentials.c: access keys from each source, in their order; when they are renewed and
 * what happens when that fails; many threads at once; and that no secret is ever in an error.
 */
#include "test.h"

#include "s3_world.h"

#include "base/logger.h"
#include "store/s3_int.h"

#include <pthread.h>

#define SECRET "SeCrEt/Of+The=Test"

struct test_clock {
    struct clock clock;
    _Atomic int64_t now_ms;
};
static int64_t wall_ms(struct clock *clock)
{
    return ((struct test_clock *)clock)->now_ms;
}
static int64_t monotonic_ns(struct clock *clock)
{
    return ((struct test_clock *)clock)->now_ms * 1000000;
}
static void sleep_ms(struct clock *clock, int64_t duration_ms)
{
    ((struct test_clock *)clock)->now_ms += duration_ms;
}

#define START_MS 1772366400000 /* 2026-03-01T12:00:00Z */

struct bench {
    struct world world;
    struct test_clock clock;
    struct world_http http;
    struct runtime runtime;
    struct s3_settings settings;
    struct s3_provider *provider;
    struct arena arena;
    struct logger logger;
    int log[2];
};

static void bench_open(struct bench *bench,
                       void (*answer)(struct world_http *http, struct http_request *request))
{
    *bench = (struct bench){
        .world = WORLD_EMPTY,
        .clock = {{wall_ms, monotonic_ns, sleep_ms}, START_MS},
        .http = WORLD_HTTP(answer),
        .settings = {.region = SLICE("eu-west-1")},
    };
    assert_int_equal(pipe(bench->log), 0);
    logger_init(&bench->logger, bench->log[1], LOGGER_DEBUG, LOGGER_TEXT, &bench->clock.clock);
    bench->runtime.clock = &bench->clock.clock;
    bench->runtime.logger = &bench->logger;
    bench->http.state = bench;
}

static int bench_get(struct bench *bench, struct s3_credentials *out)
{
    if (!bench->provider)
        assert_ok(s3_provider_open(&bench->runtime, &bench->http.http, &bench->world.environment,
                                   &bench->settings, &bench->provider));
    return s3_credentials_get(bench->provider, &bench->arena, out);
}

static void bench_close(struct bench *bench)
{
    s3_provider_close(bench->provider);
    arena_free(&bench->arena);
    close(bench->log[1]);
    char log[65536];
    ssize_t n = read(bench->log[0], log, sizeof(log));
    assert_true(n >= 0);
    assert_null(memmem(log, (size_t)n, SECRET, strlen(SECRET)));
    close(bench->log[0]);
}

static void nobody_answers(struct world_http *http, struct http_request *request)
{
    (void)http;
    request->outcome = GLIS_EIO;
    request->failure = "connection refused";
}

static void assert_keys(const struct s3_credentials *got, const char *key, const char *secret,
                        const char *token, const char *source)
{
    assert_true(slice_equal_text(got->access_key, key));
    assert_true(slice_equal_text(got->secret_key, secret));
    assert_true(slice_equal_text(got->session_token, token));
    assert_string_equal(got->source, source);
}

static void the_environment_comes_first(void **state)
{
    (void)state;
    struct bench bench;
    struct s3_credentials got;
    bench_open(&bench, nobody_answers);
    world_set(&bench.world, "AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere");
    world_set(&bench.world, "AWS_ACCESS_KEY_ID", "AK");
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "AWS_SECRET_ACCESS_KEY is not");
    bench.clock.now_ms += 11000;
    world_set(&bench.world, "AWS_SECRET_ACCESS_KEY", SECRET);
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AK", SECRET, "", "environment");
    assert_int_equal(got.expires_ms, 0);
    assert_false(s3_credentials_refused(bench.provider, &got));
    assert_int_equal(bench.http.n_requests, 0);
    bench_close(&bench);

    bench_open(&bench, nobody_answers);
    world_set(&bench.world, "AWS_ACCESS_KEY_ID", "AK");
    world_set(&bench.world, "AWS_SECRET_ACCESS_KEY", SECRET "\n");
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "AWS_SECRET_ACCESS_KEY holds characters");
    assert_null(strstr(error_message(), SECRET));
    bench_close(&bench);
}

static void a_profile_gives_keys_and_is_read_again_when_they_are_refused(void **state)
{
    (void)state;
    struct bench bench;
    struct s3_credentials got;
    bench_open(&bench, nobody_answers);
    world_files_open(&bench.world);
    world_file(&bench.world, "AWS_SHARED_CREDENTIALS_FILE", "credentials",
               "[a]\naws_access_key_id=AK1\naws_secret_access_key=" SECRET "\n"
               "aws_session_token=TOKEN\n");
    world_set(&bench.world, "AWS_CONFIG_FILE", "/nowhere/config");
    world_set(&bench.world, "AWS_PROFILE", "a");
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AK1", SECRET, "TOKEN", "profile 'a'");
    /* Refused, and the file says the same: nothing better is to be had. */
    assert_true(s3_credentials_refused(bench.provider, &got));
    assert_ok(bench_get(&bench, &got));
    assert_false(s3_credentials_refused(bench.provider, &got));
    /* The file says something else. */
    world_file(&bench.world, "AWS_SHARED_CREDENTIALS_FILE", "credentials",
               "[a]\naws_access_key_id=AK2\naws_secret_access_key=" SECRET "\n");
    struct s3_credentials old = got;
    s3_provider_close(bench.provider);
    bench.provider = NULL;
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AK2", SECRET, "", "profile 'a'");
    assert_true(s3_credentials_refused(bench.provider, &old)); /* others are here already */
    world_files_close(&bench.world);
    bench_close(&bench);
}

static void what_a_profile_cannot_do_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
        int code;
    } cases[] = {
        {"[a]\nrole_arn = arn:x\nsource_profile = b\n", "line 2: role_arn", GLIS_EUNSUPPORTED},
        {"[a]\n\nsso_session = s\n", "line 3: sso_session", GLIS_EUNSUPPORTED},
        {"[a]\ncredential_process = p\n", "credential_process", GLIS_EUNSUPPORTED},
        {"[a]\naws_access_key_id = AK\n", "aws_secret_access_key", GLIS_EDENIED},
        {"[a]\naws_access_key_id =\naws_secret_access_key = " SECRET "\n", "aws_access_key_id",
         GLIS_EDENIED},
        {"[a]\nregion = eu-west-1\n", "no access keys", GLIS_EDENIED},
        {"[b]\naws_access_key_id = AK\n", "no profile 'a'", GLIS_EDENIED},
        {"[a]\naws_access_key_id = A K\naws_secret_access_key = " SECRET "\n", "characters",
         GLIS_EDENIED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench bench;
        struct s3_credentials got;
        bench_open(&bench, nobody_answers);
        world_files_open(&bench.world);
        world_file(&bench.world, "AWS_SHARED_CREDENTIALS_FILE", "credentials", cases[i].text);
        world_set(&bench.world, "AWS_CONFIG_FILE", "/nowhere/config");
        world_set(&bench.world, "AWS_PROFILE", "a");
        assert_fails(bench_get(&bench, &got), cases[i].code, cases[i].error);
        assert_null(strstr(error_message(), SECRET));
        assert_int_equal(bench.http.n_requests, 0);
        world_files_close(&bench.world);
        bench_close(&bench);
    }
}

/* ---- container ---- */

static void container_answers(struct world_http *http, struct http_request *request)
{
    (void)http;
    assert_string_equal(request->method, "GET");
    assert_true(request->direct);
    if (slice_equal_text(request->url, "http://169.254.170.2/v2/x")) {
        world_answer(request, 200,
                     "{\"RoleArn\":\"a\",\"AccessKeyId\":\"AKC\",\"SecretAccessKey\":\"" SECRET
                     "\",\"Token\":\"TC\",\"Expiration\":\"2026-03-01T13:00:00Z\"}");
    } else {
        assert_true(slice_equal_text(request->url, "http://127.0.0.1:99/keys"));
        assert_true(slice_equal_text(world_header(request, "authorization"), "Bearer abc"));
        world_answer(request, 200, "{\"AccessKeyId\":\"AKF\",\"SecretAccessKey\":\"" SECRET "\"}");
    }
}

static void a_container_gives_keys(void **state)
{
    (void)state;
    struct bench bench;
    struct s3_credentials got;
    bench_open(&bench, container_answers);
    world_set(&bench.world, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AKC", SECRET, "TC", "container");
    assert_int_equal(got.expires_ms, START_MS + 3600000);
    bench_close(&bench);

    bench_open(&bench, container_answers);
    world_files_open(&bench.world);
    world_set(&bench.world, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:99/keys");
    world_set(&bench.world, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong");
    world_file(&bench.world, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "token", "Bearer abc\n");
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AKF", SECRET, "", "container");
    world_files_close(&bench.world);
    bench_close(&bench);
}

static void keys_are_not_fetched_from_anywhere(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "http://evil.example/keys",   "http://127.0.0.1.evil.example/",
        "ftp://127.0.0.1/",           "http://localhost.evil.example/",
        "http://169.254.170.2.evil/", "http://127.0.0.1@evil/",
        "http://169.254.170.231/",    "file:///etc/passwd",
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct bench bench;
        struct s3_credentials got;
        bench_open(&bench, nobody_answers);
        world_set(&bench.world, "AWS_CONTAINER_CREDENTIALS_FULL_URI", urls[i]);
        assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "this machine only");
        assert_int_equal(bench.http.n_requests, 0);
        bench_close(&bench);
    }
}

static void broken_container(struct world_http *http, struct http_request *request)
{
    static const char *const answers[] = {
        "",
        "nonsense " SECRET,
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":17}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"" SECRET "\",\"Expiration\":\"soon\"}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"" SECRET "\\n\"}",
        "{\"Code\":\"Failed\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"" SECRET "\"}",
    };
    struct bench *bench = http->state;
    world_answer(request, 200, answers[bench->settings.part_bytes]);
}

static void a_bad_answer_is_an_error_without_its_text(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 6; i++) {
        struct bench bench;
        struct s3_credentials got;
        bench_open(&bench, broken_container);
        bench.settings.part_bytes = i; /* which answer */
        world_set(&bench.world, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
        assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "the container's keys");
        assert_null(strstr(error_message(), SECRET));
        bench_close(&bench);
    }
}

static void a_container_that_fails_is_asked_again_and_then_no_more(void **state)
{
    (void)state;
    struct bench bench;
    struct s3_credentials got;
    bench_open(&bench, nobody_answers);
    world_set(&bench.world, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "connection refused");
    assert_int_equal(bench.http.n_requests, 3);
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "connection refused");
    assert_int_equal(bench.http.n_requests, 3);
    bench.clock.now_ms += 11000;
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "connection refused");
    assert_int_equal(bench.http.n_requests, 6);
    bench_close(&bench);
}

/* ---- instance metadata ---- */

struct metadata {
    _Atomic int n_fetched;
    _Atomic bool down, no_role;
};
static struct metadata metadata;

static void metadata_answers(struct world_http *http, struct http_request *request)
{
    struct bench *bench = http->state;
    assert_true(request->direct);
    assert_true(request->timeout_ms <= 1000);
    if (metadata.down) {
        request->outcome = GLIS_ETIMEOUT;
        request->failure = "no answer within 1 s";
        return;
    }
    if (!strcmp(request->method, "PUT")) {
        assert_true(slice_equal_text(request->url, "http://169.254.169.254/latest/api/token"));
        assert_true(slice_equal_text(world_header(request, "x-aws-ec2-metadata-token-ttl-seconds"),
                                     "21600"));
        world_answer(request, 200, "TOKEN==");
        return;
    }
    assert_true(slice_equal_text(world_header(request, "x-aws-ec2-metadata-token"), "TOKEN=="));
    if (slice_ends_with(request->url, SLICE("/latest/meta-data/iam/security-credentials/"))) {
        if (metadata.no_role)
            world_answer(request, 404, "none");
        else
            world_answer(request, 200, "my role\n");
        return;
    }
    assert_true(slice_ends_with(request->url, SLICE("/security-credentials/my%20role")));
    /* Good for an hour from now, to the second. */
    char text[512];
    int64_t s = (bench->clock.now_ms - START_MS) / 1000;
    snprintf(text, sizeof(text),
             "{\"Code\":\"Success\",\"AccessKeyId\":\"AK%d\",\"SecretAccessKey\":\"" SECRET
             "\",\"Token\":\"TI\",\"Expiration\":\"2026-03-01T%02d:%02d:%02dZ\"}",
             ++metadata.n_fetched, (int)(13 + s / 3600), (int)(s / 60 % 60), (int)(s % 60));
    world_answer(request, 200, text);
}

static void the_instance_gives_keys_that_are_renewed_five_minutes_early(void **state)
{
    (void)state;
    metadata = (struct metadata){0};
    struct bench bench;
    struct s3_credentials got;
    bench_open(&bench, metadata_answers);
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AK1", SECRET, "TI", "instance metadata");
    assert_int_equal(got.expires_ms, START_MS + 3600000);
    assert_int_equal(bench.http.n_requests, 3);
    bench.clock.now_ms = START_MS + 3600000 - 5 * 60000 - 1;
    assert_ok(bench_get(&bench, &got));
    assert_int_equal(bench.http.n_requests, 3);
    /* Five minutes before the end it fails: the old ones serve, and it is tried every ten
     * seconds. */
    metadata.down = true;
    bench.clock.now_ms += 1;
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AK1", SECRET, "TI", "instance metadata");
    assert_int_equal(bench.http.n_requests, 4);
    bench.clock.now_ms += 9999;
    assert_ok(bench_get(&bench, &got));
    assert_int_equal(bench.http.n_requests, 4);
    bench.clock.now_ms += 1;
    assert_ok(bench_get(&bench, &got));
    assert_int_equal(bench.http.n_requests, 5);
    /* At their end they are not handed out. */
    bench.clock.now_ms = START_MS + 3600000;
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "no answer within 1 s");
    /* It comes back. */
    metadata.down = false;
    bench.clock.now_ms += 10000;
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AK2", SECRET, "TI", "instance metadata");
    /* The server refuses them early. */
    assert_true(s3_credentials_refused(bench.provider, &got));
    assert_ok(bench_get(&bench, &got));
    assert_keys(&got, "AK3", SECRET, "TI", "instance metadata");
    bench_close(&bench);
}

static void without_any_source_the_error_says_what_to_set(void **state)
{
    (void)state;
    struct bench bench;
    struct s3_credentials got;
    bench_open(&bench, nobody_answers);
    world_set(&bench.world, "AWS_EC2_METADATA_DISABLED", "true");
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "set AWS_ACCESS_KEY_ID");
    assert_int_equal(bench.http.n_requests, 0);
    bench_close(&bench);

    metadata = (struct metadata){.no_role = true};
    bench_open(&bench, metadata_answers);
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "the instance has no role");
    bench_close(&bench);

    metadata = (struct metadata){.down = true};
    bench_open(&bench, metadata_answers);
    assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "no answer within 1 s");
    assert_int_equal(bench.http.n_requests, 1); /* off Amazon nobody waits longer than a second */
    bench_close(&bench);
}

static void *get_in_thread(void *state)
{
    struct bench *bench = state;
    for (int i = 0; i < 200; i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct s3_credentials got;
        if (s3_credentials_get(bench->provider, &arena, &got) != 0) return bench;
        if (!slice_equal_text(got.secret_key, SECRET)) return bench;
        if (i == 100) s3_credentials_refused(bench->provider, &got);
    }
    return NULL;
}

static void many_threads_fetch_once(void **state)
{
    (void)state;
    metadata = (struct metadata){0};
    struct bench bench;
    struct s3_credentials got;
    bench_open(&bench, metadata_answers);
    assert_ok(bench_get(&bench, &got));
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_in_thread, &bench), 0);
    for (int i = 0; i < 8; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_true(metadata.n_fetched <= 1 + 8); /* one for each refusal at most */
    bench_close(&bench);
}

/* ---- web identity ---- */

static void sts_answers(struct world_http *http, struct http_request *request)
{
    struct bench *bench = http->state;
    assert_string_equal(request->method, "POST");
    if (bench->settings.part_bytes == 1) {
        world_answer(request, 400,
                     "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code>"
                     "<Message>token " SECRET " expired</Message></Error></ErrorResponse>");
        return;
    }
    assert_true(slice_equal_text(request->url, "https://sts.eu-west-1.amazonaws.com/"));
    assert_true(slice_equal_text(
        request->body,
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%"
        "2Fr&RoleSessionName=glis&WebIdentityToken=ey.Jh%2B"));
    world_answer(
        request, 200,
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>TW</SessionToken>"
        "<SecretAccessKey>" SECRET "</SecretAccessKey><Expiration>2026-03-01T13:00:00Z</Expiration>"
        "<AccessKeyId>AKW</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>");
}

static void a_web_identity_is_exchanged_for_keys(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        struct bench bench;
        struct s3_credentials got;
        bench_open(&bench, sts_answers);
        bench.settings.part_bytes = i;
        world_files_open(&bench.world);
        world_file(&bench.world, "AWS_WEB_IDENTITY_TOKEN_FILE", "token", "ey.Jh+\n");
        assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "AWS_ROLE_ARN is not");
        bench.clock.now_ms += 10000;
        world_set(&bench.world, "AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
        if (i == 0) {
            assert_ok(bench_get(&bench, &got));
            assert_keys(&got, "AKW", SECRET, "TW", "web identity");
            assert_int_equal(got.expires_ms, START_MS + 3600000);
        } else {
            assert_fails(bench_get(&bench, &got), GLIS_EDENIED, "ExpiredTokenException");
            assert_null(strstr(error_message(), SECRET));
        }
        world_files_close(&bench.world);
        bench_close(&bench);
    }
}

static void secrets_are_hidden_from_what_a_server_says(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct s3_credentials who = {.access_key = SLICE("AK"),
                                       .secret_key = SLICE(SECRET),
                                       .session_token = SLICE("long-session-token")};
    static const struct {
        const char *said, *shown;
    } cases[] = {
        {"plain", "plain"},
        {"the key " SECRET ", again " SECRET, "the key ***, again ***"},
        {"x-amz-security-token:long-session-token\nend", "x-amz-security-token:*** end"},
        {"Credential=AK, Signature=0123456789abcdef", "Credential=AK, Signature=***"},
        {"?X-Amz-Signature=0123&b=1 Signature=, Signature=9",
         "?X-Amz-Signature=***&b=1 Signature=, "
         "Signature=*"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice shown = s3_hide_secrets(&who, slice_from_text(cases[i].said), &arena);
        assert_string_equal(shown.data, cases[i].shown);
    }
    char long_text[2000];
    memset(long_text, 'x', sizeof(long_text));
    memcpy(long_text + 499, "\xc3\xa9", 2);
    assert_int_equal(s3_hide_secrets(NULL, slice_make(long_text, 2000), &arena).size, 499);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_comes_first),
        cmocka_unit_test(a_profile_gives_keys_and_is_read_again_when_they_are_refused),
        cmocka_unit_test(what_a_profile_cannot_do_is_named),
        cmocka_unit_test(a_container_gives_keys),
        cmocka_unit_test(keys_are_not_fetched_from_anywhere),
        cmocka_unit_test(a_bad_answer_is_an_error_without_its_text),
        cmocka_unit_test(a_container_that_fails_is_asked_again_and_then_no_more),
        cmocka_unit_test(the_instance_gives_keys_that_are_renewed_five_minutes_early),
        cmocka_unit_test(without_any_source_the_error_says_what_to_set),
        cmocka_unit_test(many_threads_fetch_once),
        cmocka_unit_test(a_web_identity_is_exchanged_for_keys),
        cmocka_unit_test(secrets_are_hidden_from_what_a_server_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
