/*
 * test_azure_settings.c: from az://CONTAINER/PREFIX and an environment to a place and a key, by the
 * rules of Azure's command line and "Configure connection strings".
 */
#include "test.h"

#include "s3_world.h"

#include "store/azure_int.h"

#define KEY "c2VjcmV0LWtleS1ieXRlcw==" /* "secret-key-bytes" */
#define SAS "sv=2021-12-02&ss=b&sig=abc%2Bdef%3D"

static void the_environment_says_where_and_who(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        struct world_variable variables[4];
        const char *bucket, *prefix, *host;
        uint16_t port;
        bool tls;
        const char *base_path, *account, *key, *sas;
    } cases[] = {
        {"az://box/a/b/",
         {{"AZURE_STORAGE_ACCOUNT", "acc"}, {"AZURE_STORAGE_KEY", KEY}},
         "box",
         "a/b/",
         "acc.blob.core.windows.net",
         0,
         true,
         "",
         "acc",
         "secret-key-bytes",
         ""},
        {"az://box",
         {{"AZURE_STORAGE_ACCOUNT", "acc"},
          {"AZURE_STORAGE_KEY", KEY},
          {"AZURE_STORAGE_SAS_TOKEN", "?" SAS}},
         "box",
         "",
         "acc.blob.core.windows.net",
         0,
         true,
         "",
         "acc",
         "",
         SAS},
        {"az://box",
         {{"AZURE_STORAGE_CONNECTION_STRING",
           "DefaultEndpointsProtocol=https;AccountName=other;AccountKey=" KEY
           ";EndpointSuffix=core.chinacloudapi.cn"},
          {"AZURE_STORAGE_ACCOUNT", "ignored"},
          {"AZURE_STORAGE_SAS_TOKEN", SAS}},
         "box",
         "",
         "other.blob.core.chinacloudapi.cn",
         0,
         true,
         "",
         "other",
         "secret-key-bytes",
         ""},
        {"az://box",
         {{"AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true"}},
         "box",
         "",
         "127.0.0.1",
         10000,
         false,
         "/devstoreaccount1",
         "devstoreaccount1",
         NULL,
         ""},
        {"az://box",
         {{"AZURE_STORAGE_CONNECTION_STRING",
           "BlobEndpoint=https://x.example/path/;SharedAccessSignature=" SAS}},
         "box",
         "",
         "x.example",
         0,
         true,
         "/path",
         "",
         "",
         SAS},
        {"az://box",
         {{"AZURE_STORAGE_ACCOUNT", "acc"},
          {"AZURE_STORAGE_KEY", KEY},
          {"AZURE_STORAGE_SERVICE_ENDPOINT", "http://[::1]:81/acc"}},
         "box",
         "",
         "[::1]",
         81,
         false,
         "/acc",
         "acc",
         "secret-key-bytes",
         ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct world world = WORLD_EMPTY;
        struct s3_settings settings;
        struct azure_account account;
        memcpy(world.variables, cases[i].variables, sizeof(cases[i].variables));
        assert_ok(azure_settings_load(&world.environment, slice_from_text(cases[i].address), &arena,
                                      &settings, &account));
        assert_true(slice_equal_text(settings.bucket, cases[i].bucket));
        assert_true(slice_equal_text(settings.prefix, cases[i].prefix));
        assert_true(slice_equal_text(settings.host, cases[i].host));
        assert_int_equal(settings.port, cases[i].port);
        assert_int_equal(settings.tls, cases[i].tls);
        assert_true(slice_equal_text(account.base_path, cases[i].base_path));
        assert_true(slice_equal_text(account.name, cases[i].account));
        if (cases[i].key) assert_true(slice_equal_text(account.key, cases[i].key));
        assert_true(slice_equal_text(account.sas, cases[i].sas));
        if (account.sas.size) assert_true(slice_equal_text(account.sas_sig, "abc%2Bdef%3D"));
    }
}

static void what_is_wrong_is_named_and_never_shown(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        struct world_variable variables[3];
        int code;
        const char *error;
    } cases[] = {
        {"az://b", {{0}}, GLIS_EINVALID, "az://BUCKET"},
        {"s3://box", {{0}}, GLIS_EINVALID, "az://"},
        {"az://box/a//b", {{0}}, GLIS_EINVALID, "prefix"},
        {"az://box", {{0}}, GLIS_EINVALID, "AZURE_STORAGE_ACCOUNT"},
        {"az://box", {{"AZURE_STORAGE_ACCOUNT", "acc"}}, GLIS_EDENIED, "AZURE_STORAGE_KEY"},
        {"az://box",
         {{"AZURE_STORAGE_ACCOUNT", "a.evil"}, {"AZURE_STORAGE_KEY", KEY}},
         GLIS_EINVALID,
         "AZURE_STORAGE_ACCOUNT"},
        {"az://box",
         {{"AZURE_STORAGE_ACCOUNT", "acc"}, {"AZURE_STORAGE_KEY", "Secret no base64!"}},
         GLIS_EINVALID,
         "AZURE_STORAGE_KEY"},
        {"az://box",
         {{"AZURE_STORAGE_ACCOUNT", "acc"}, {"AZURE_STORAGE_SAS_TOKEN", "Secret without one"}},
         GLIS_EINVALID,
         "AZURE_STORAGE_SAS_TOKEN"},
        {"az://box",
         {{"AZURE_STORAGE_CONNECTION_STRING", "Secret"}},
         GLIS_EINVALID,
         "AZURE_STORAGE_CONNECTION_STRING"},
        {"az://box",
         {{"AZURE_STORAGE_CONNECTION_STRING",
           "AccountName=a;AccountKey=" KEY ";BlobEndpoint=https://me:Secret@host/"}},
         GLIS_EINVALID,
         "AZURE_STORAGE_CONNECTION_STRING"},
        {"az://box",
         {{"AZURE_STORAGE_CONNECTION_STRING",
           "AccountName=a;AccountKey=" KEY ";EndpointSuffix=x/Secret"}},
         GLIS_EINVALID,
         "suffix"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct world world = WORLD_EMPTY;
        struct s3_settings settings;
        struct azure_account account;
        memcpy(world.variables, cases[i].variables, sizeof(cases[i].variables));
        assert_fails(azure_settings_load(&world.environment, slice_from_text(cases[i].address),
                                         &arena, &settings, &account),
                     cases[i].code, cases[i].error);
        assert_null(strstr(error_message(), "Secret"));
        assert_null(strstr(error_message(), KEY));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_says_where_and_who),
        cmocka_unit_test(what_is_wrong_is_named_and_never_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
