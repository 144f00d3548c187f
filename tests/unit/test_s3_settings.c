/*
 * test_s3_settings.c: from an address, an environment and shared files to a place. What is expected
 * follows Amazon's documents of the shared files and of its endpoints.
 */
#include "test.h"

#include "s3_world.h"

#include "store/s3_int.h"

static void an_address_names_bucket_and_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *address, *bucket, *prefix, *error;
    } cases[] = {
        {"s3://abc", "abc", "", NULL},
        {"s3://abc/", "abc", "", NULL},
        {"s3://my-bucket.x/a b/\xc3\xa9", "my-bucket.x", "a b/\xc3\xa9/", NULL},
        {"s3://abc/p//", "abc", "p/", NULL},
        {"s3://ab", NULL, NULL, "no name of a bucket"},
        {"s3://", NULL, NULL, "no name of a bucket"},
        {"s3:///x", NULL, NULL, "no name of a bucket"},
        {"s3://a..b/x", NULL, NULL, "no name of a bucket"},
        {"s3://a%20b/x", NULL, NULL, "no name of a bucket"},
        {"s3://a@b.c/x", NULL, NULL, "no name of a bucket"},
        {"s3://abc:80/x", NULL, NULL, "no name of a bucket"},
        {"s3://abc-/x", NULL, NULL, "no name of a bucket"},
        {"s3://abc/a//b", NULL, NULL, "prefix"},
        {"s3://abc/../b", NULL, NULL, "prefix"},
        {"s3://abc/a\nb", NULL, NULL, "prefix"},
        {"/tmp/x", NULL, NULL, "s3://"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct world world = WORLD_EMPTY;
        struct s3_settings settings;
        struct slice address = slice_from_text(cases[i].address);
        if (cases[i].error) {
            assert_fails(s3_settings_load(&world.environment, address, &arena, &settings),
                         GLIS_EINVALID, cases[i].error);
            continue;
        }
        assert_ok(s3_settings_load(&world.environment, address, &arena, &settings));
        assert_true(slice_equal_text(settings.bucket, cases[i].bucket));
        assert_true(slice_equal_text(settings.prefix, cases[i].prefix));
    }
}

static void the_environment_says_where_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *bucket;
        struct world_variable variables[4];
        const char *host;
        uint16_t port;
        const char *region;
        bool region_known, path_style, tls;
    } cases[] = {
        {"s3://abc",
         {{NULL, NULL}},
         "s3.us-east-1.amazonaws.com",
         0,
         "us-east-1",
         false,
         false,
         true},
        {"s3://a.b.c",
         {{NULL, NULL}},
         "s3.us-east-1.amazonaws.com",
         0,
         "us-east-1",
         false,
         true,
         true},
        {"s3://abc",
         {{"AWS_REGION", "eu-west-1"}, {"AWS_DEFAULT_REGION", "x"}},
         "s3.eu-west-1.amazonaws.com",
         0,
         "eu-west-1",
         true,
         false,
         true},
        {"s3://abc",
         {{"AWS_DEFAULT_REGION", "cn-north-1"}},
         "s3.cn-north-1.amazonaws.com.cn",
         0,
         "cn-north-1",
         true,
         false,
         true},
        {"s3://abc",
         {{"AWS_ENDPOINT_URL", "http://127.0.0.1:7480"}},
         "127.0.0.1",
         7480,
         "us-east-1",
         false,
         true,
         false},
        {"s3://abc",
         {{"AWS_ENDPOINT_URL", "http://wrong"},
          {"AWS_ENDPOINT_URL_S3", "https://[::1]:443/"},
          {"GLIS_S3_ADDRESSING", "virtual"}},
         "[::1]",
         0,
         "us-east-1",
         false,
         false,
         true},
        {"s3://abc",
         {{"AWS_ENDPOINT_URL", "http://wrong"},
          {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"},
          {"GLIS_S3_ADDRESSING", "path"}},
         "s3.us-east-1.amazonaws.com",
         0,
         "us-east-1",
         false,
         true,
         true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct world world = WORLD_EMPTY;
        for (size_t k = 0; k < 4 && cases[i].variables[k].name; k++)
            world_set(&world, cases[i].variables[k].name, cases[i].variables[k].value);
        struct s3_settings settings;
        assert_ok(s3_settings_load(&world.environment, slice_from_text(cases[i].bucket), &arena,
                                   &settings));
        assert_true(slice_equal_text(settings.host, cases[i].host));
        assert_int_equal(settings.port, cases[i].port);
        assert_true(slice_equal_text(settings.region, cases[i].region));
        assert_int_equal(settings.region_known, cases[i].region_known);
        assert_int_equal(settings.path_style, cases[i].path_style);
        assert_int_equal(settings.tls, cases[i].tls);
    }
}

static void a_mistake_is_named_and_no_password_shown(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *error;
    } cases[] = {
        {"AWS_ENDPOINT_URL", "127.0.0.1:7480", "AWS_ENDPOINT_URL"},
        {"AWS_ENDPOINT_URL_S3", "http://me:hunter22@host", "AWS_ENDPOINT_URL_S3"},
        {"AWS_ENDPOINT_URL", "http://host/path", "without user, path"},
        {"AWS_ENDPOINT_URL", "http://host:0", "host and port"},
        {"AWS_ENDPOINT_URL", "http://host:65536", "host and port"},
        {"AWS_ENDPOINT_URL", "http://", "host and port"},
        {"AWS_ENDPOINT_URL", "http://[::1", "host and port"},
        {"AWS_REGION", "eu west", "AWS_REGION"},
        {"AWS_REGION", "x/../y", "no name of a region"},
        {"GLIS_S3_ADDRESSING", "dns", "path, virtual"},
        {"GLIS_S3_CONNECT_TIMEOUT", "soon", "GLIS_S3_CONNECT_TIMEOUT"},
        {"GLIS_S3_TIMEOUT", "0", "GLIS_S3_TIMEOUT"},
        {"GLIS_S3_CONNECTIONS", "0", "GLIS_S3_CONNECTIONS"},
        {"GLIS_S3_TRIES", "1000", "GLIS_S3_TRIES"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct world world = WORLD_EMPTY;
        world_set(&world, cases[i].name, cases[i].value);
        struct s3_settings settings;
        assert_fails(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings),
                     GLIS_EINVALID, cases[i].error);
        assert_null(strstr(error_message(), "hunter22"));
    }
}

static void times_and_numbers_are_read(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct world world = WORLD_EMPTY;
    struct s3_settings settings;
    assert_ok(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings));
    assert_true(settings.connect_timeout_ms > 0 && settings.answer_timeout_ms > 0);
    assert_true(settings.connections_max >= 64 && settings.tries_max > 1);
    assert_int_equal(settings.part_bytes, 16 << 20);
    world_set(&world, "GLIS_S3_CONNECT_TIMEOUT", "250ms");
    world_set(&world, "GLIS_S3_TIMEOUT", "2");
    world_set(&world, "GLIS_S3_CONNECTIONS", "7");
    world_set(&world, "GLIS_S3_TRIES", "1");
    world_set(&world, "AWS_CA_BUNDLE", "/etc/ca.pem");
    assert_ok(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings));
    assert_int_equal(settings.connect_timeout_ms, 250);
    assert_int_equal(settings.answer_timeout_ms, 2000);
    assert_int_equal(settings.connections_max, 7);
    assert_int_equal(settings.tries_max, 1);
    assert_string_equal(settings.ca_file, "/etc/ca.pem");
}

static void the_shared_files_are_read_as_amazons_tools_do(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct world world = WORLD_EMPTY;
    world_files_open(&world);
    world_file(&world, "AWS_SHARED_CREDENTIALS_FILE", "credentials",
               "# a comment\r\n[default]\r\naws_access_key_id = AK1\r\n"
               "aws_secret_access_key=a/b+c=d # after a blank\r\n\r\n"
               "[other]\naws_access_key_id=AK2\nregion = eu-north-1\n"
               "[default]\nAWS_Access_Key_ID = AK3\n");
    world_file(&world, "AWS_CONFIG_FILE", "config",
               "[default]\nregion = eu-west-2 ; here\naws_access_key_id = AK4\n"
               "s3 =\n  addressing_style = path\n  max_queue_size = 3\noutput = json\n"
               "[profile \"other\"]\nregion = ap-south-1\nendpoint_url = http://h:1\n"
               "[other]\nregion = wrong\n[sso-session other]\nregion = wrong\n"
               "[profile third]\nlong = a\n  still a\n  b = c\nregion = third-1\n");
    struct s3_profile profile;
    assert_ok(s3_profile_load(&world.environment, &arena, &profile));
    assert_true(profile.found);
    assert_string_equal(profile.name, "default");
    assert_true(slice_equal_text(s3_profile_find(&profile, "aws_access_key_id")->value, "AK3"));
    assert_int_equal(s3_profile_find(&profile, "aws_access_key_id")->line, 10);
    assert_true(
        slice_equal_text(s3_profile_find(&profile, "aws_secret_access_key")->value, "a/b+c=d"));
    assert_true(slice_equal_text(s3_profile_find(&profile, "region")->value, "eu-west-2"));
    assert_true(slice_equal_text(s3_profile_find(&profile, "s3.addressing_style")->value, "path"));
    assert_true(slice_equal_text(s3_profile_find(&profile, "output")->value, "json"));
    assert_null(s3_profile_find(&profile, "addressing_style"));
    struct s3_settings settings;
    assert_ok(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings));
    assert_true(slice_equal_text(settings.host, "s3.eu-west-2.amazonaws.com"));
    assert_true(settings.path_style);

    world_set(&world, "AWS_PROFILE", "other");
    assert_ok(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings));
    assert_true(slice_equal_text(settings.region, "eu-north-1")); /* credentials before config */
    assert_int_equal(settings.port, 1);
    world_set(&world, "AWS_PROFILE", "third");
    assert_ok(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings));
    assert_true(slice_equal_text(settings.region, "third-1"));
    world_set(&world, "AWS_PROFILE", "none");
    assert_ok(s3_profile_load(&world.environment, &arena, &profile));
    assert_false(profile.found);

    world_set(&world, "AWS_PROFILE", "default");
    world_file(&world, "AWS_SHARED_CREDENTIALS_FILE", "credentials",
               "[default]\naws_secret_access_key hunter22\n");
    assert_fails(s3_profile_load(&world.environment, &arena, &profile), GLIS_EINVALID, "line 2");
    assert_null(strstr(error_message(), "hunter22"));
    world_file(&world, "AWS_SHARED_CREDENTIALS_FILE", "credentials", "[default\n");
    assert_fails(s3_profile_load(&world.environment, &arena, &profile), GLIS_EINVALID, "line 1");
    world_files_close(&world);
}

static void another_region_is_followed(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct world world = WORLD_EMPTY;
    struct s3_settings settings;
    assert_ok(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings));
    s3_settings_follow(&settings, SLICE("eu-west-3"), &arena);
    assert_true(slice_equal_text(settings.host, "s3.eu-west-3.amazonaws.com"));
    world_set(&world, "AWS_ENDPOINT_URL", "http://host:1");
    assert_ok(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings));
    s3_settings_follow(&settings, SLICE("eu-west-3"), &arena);
    assert_true(slice_equal_text(settings.host, "host"));
    assert_true(slice_equal_text(settings.region, "eu-west-3"));
    assert_false(s3_region_is_valid(SLICE("evil.example/")));
    assert_false(s3_region_is_valid(SLICE_EMPTY));
    assert_true(s3_region_is_valid(SLICE("us-gov-west-1")));
}

static void google_is_known_by_its_host_or_by_name(void **state)
{
    (void)state;
    static const struct {
        struct world_variable variables[3];
        bool google;
        const char *region;
    } cases[] = {
        {{{"AWS_ENDPOINT_URL_S3", "https://storage.googleapis.com"}}, true, "auto"},
        {{{"AWS_ENDPOINT_URL", "https://storage.googleapis.com"}, {"AWS_REGION", "us-east1"}},
         true,
         "us-east1"},
        {{{"AWS_ENDPOINT_URL", "http://127.0.0.1:1"}, {"GLIS_S3_SERVICE", "google"}}, true, "auto"},
        {{{"AWS_ENDPOINT_URL", "https://storage.googleapis.com"}, {"GLIS_S3_SERVICE", "amazon"}},
         false,
         "us-east-1"},
        {{{"AWS_ENDPOINT_URL", "https://storage.googleapis.com.example"}}, false, "us-east-1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct world world = WORLD_EMPTY;
        struct s3_settings settings;
        memcpy(world.variables, cases[i].variables, sizeof(cases[i].variables));
        assert_ok(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings));
        assert_int_equal(settings.google, cases[i].google);
        assert_true(slice_equal_text(settings.region, cases[i].region));
    }
    defer_arena struct arena arena = ARENA_EMPTY;
    struct world world = WORLD_EMPTY;
    struct s3_settings settings;
    world_set(&world, "GLIS_S3_SERVICE", "other");
    assert_fails(s3_settings_load(&world.environment, SLICE("s3://abc"), &arena, &settings),
                 GLIS_EINVALID, "GLIS_S3_SERVICE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_names_bucket_and_prefix),
        cmocka_unit_test(the_environment_says_where_it_is),
        cmocka_unit_test(a_mistake_is_named_and_no_password_shown),
        cmocka_unit_test(times_and_numbers_are_read),
        cmocka_unit_test(the_shared_files_are_read_as_amazons_tools_do),
        cmocka_unit_test(another_region_is_followed),
        cmocka_unit_test(google_is_known_by_its_host_or_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
