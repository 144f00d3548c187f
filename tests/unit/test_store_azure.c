/*
 * test_store_azure.c: the store behind az:// against answers that Azure's documents describe (and
 * such as nobody should send), and against a real server when GLIS_TEST_AZURE names a container
 * there and the environment says how to reach it: then it must do what every store does.
 */
#include "loopback.h"
#include "store_conform.h"

#include "store/azure_int.h"
#include "store/store_s3_int.h"

#define KEY "c2VjcmV0LWtleS1ieXRlcw=="

/* What is answered to each request, in their order; the last again and again. */
struct answer {
    int status; /* 0: the connection is closed */
    const char *headers, *body;
};
struct world {
    struct runtime runtime;
    struct loopback *server;
    struct store *store;
    pthread_mutex_t lock; /* guards what follows */
    const struct answer *answers;
    size_t n_answers, n_asked;
    char asked[16][512]; /* method, target and query */
};

static void handle(struct loopback_request *request)
{
    struct world *world = request->server->state;
    pthread_mutex_lock(&world->lock);
    size_t at = world->n_asked < world->n_answers ? world->n_asked : world->n_answers - 1;
    const struct answer *answer = &world->answers[at];
    if (world->n_asked < 16)
        snprintf(world->asked[world->n_asked], sizeof(world->asked[0]), "%s %s?%s", request->method,
                 request->target, request->query);
    world->n_asked++;
    if (answer->status == 0)
        request->close = true;
    else
        loopback_answer(request, answer->status, answer->headers ? answer->headers : "",
                        slice_from_text(answer->body ? answer->body : ""));
    pthread_mutex_unlock(&world->lock);
}

static void world_open(struct world *world)
{
    char connection[256];
    memset(world, 0, sizeof(*world));
    world->runtime = (struct runtime){.clock = clock_system(), .random = random_system()};
    assert_int_equal(pthread_mutex_init(&world->lock, NULL), 0);
    world->server = loopback_open(handle, world);
    snprintf(connection, sizeof(connection),
             "AccountName=acc;AccountKey=" KEY ";BlobEndpoint=http://127.0.0.1:%u/acc",
             world->server->port);
    setenv("AZURE_STORAGE_CONNECTION_STRING", connection, 1);
    assert_ok(store_azure_open(&world->runtime, SLICE("az://box/i"), 0, &world->store));
    ((struct store_s3 *)world->store)->probed = true; /* the probe has its own tests */
}

static void world_close(struct world *world)
{
    store_close(world->store);
    loopback_close(world->server);
    pthread_mutex_destroy(&world->lock);
}

static void world_answers(struct world *world, const struct answer *answers, size_t n)
{
    pthread_mutex_lock(&world->lock);
    world->answers = answers;
    world->n_answers = n;
    world->n_asked = 0;
    memset(world->asked, 0, sizeof(world->asked));
    pthread_mutex_unlock(&world->lock);
}

#define ID         "x-ms-request-id: 1\r\n"
#define ETAG       ID "ETag: \"0x8D\"\r\n"
#define XML(code)  "<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>m</Message></Error>"
#define SAID(code) ID "x-ms-error-code: " code "\r\n"

/* "Any answer to one but 200, 412, 403, 404 and the store's own 409, 429, 503 is unknown", in
 * Azure's words. */
static void outcomes_of_a_conditional_put(void **unused)
{
    (void)unused;
    static const struct {
        struct answer answer;
        int code;
    } cases[] = {
        {{201, ETAG, ""}, 0},
        {{0, NULL, NULL}, GLIS_EUNKNOWN},
        {{201, "", ""}, GLIS_EUNKNOWN},
        {{200, "", "<html>We will be back soon</html>"}, GLIS_EUNKNOWN},
        {{202, ETAG, ""}, GLIS_EUNKNOWN},
        {{409, SAID("BlobAlreadyExists"), XML("BlobAlreadyExists")}, GLIS_EEXISTS},
        {{409, ID, XML("BlobAlreadyExists")}, GLIS_EEXISTS},
        {{412, SAID("ConditionNotMet"), XML("ConditionNotMet")}, GLIS_EEXISTS},
        {{412, SAID("LeaseIdMissing"), XML("LeaseIdMissing")}, GLIS_EUNKNOWN},
        {{412, "", "<html>no</html>"}, GLIS_EUNKNOWN},
        {{409, SAID("ContainerBeingDeleted"), XML("ContainerBeingDeleted")}, GLIS_ERETRY},
        {{409, "", "conflict"}, GLIS_EUNKNOWN},
        {{409, SAID("BlobImmutableDueToPolicy"), XML("BlobImmutableDueToPolicy")}, GLIS_EDENIED},
        {{403, SAID("AuthorizationPermissionMismatch"), XML("AuthorizationPermissionMismatch")},
         GLIS_EDENIED},
        {{404, SAID("ContainerNotFound"), XML("ContainerNotFound")}, GLIS_ENOTFOUND},
        {{500, SAID("OperationTimedOut"), XML("OperationTimedOut")}, GLIS_EUNKNOWN},
        {{500, SAID("InternalError"), XML("InternalError")}, GLIS_EUNKNOWN},
        {{503, SAID("ServerBusy"), XML("ServerBusy")}, GLIS_ERETRY},
        {{503, "", "<html>no backend</html>"}, GLIS_EUNKNOWN},
        {{400, SAID("Md5Mismatch"), XML("Md5Mismatch")}, GLIS_EUNKNOWN},
        {{301, "Location: http://x/\r\n", ""}, GLIS_EUNKNOWN},
    };
    struct world world;
    world_open(&world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_answers(&world, &cases[i].answer, 1);
        int code = put(world.store, "log/1", "record", STORE_IF_ABSENT);
        if (code != cases[i].code)
            fail_msg("%zu: %s: %s", i, error_code_name(code), error_message());
        assert_int_equal(world.n_asked, 1); /* never repeated */
        assert_string_equal(world.asked[0], "PUT /acc/box/i/log/1?");
        if (code < 0) {
            assert_non_null(strstr(error_message(), "log/1"));
            assert_non_null(strstr(error_message(), "box/i"));
            assert_null(strstr(error_message(), KEY));
        }
        error_clear();
    }
    world_close(&world);
}

static void what_is_not_there_is_believed_only_of_azure(void **unused)
{
    (void)unused;
    static const struct {
        struct answer answer;
        int code;
        const char *error;
    } cases[] = {
        {{404, SAID("BlobNotFound"), XML("BlobNotFound")}, GLIS_ENOTFOUND, NULL},
        {{404, SAID("ContainerNotFound"), XML("ContainerNotFound")},
         GLIS_EIO,
         "make the container"},
        {{404, "", "<html>not here</html>"}, GLIS_EIO, "404"},
        {{404, SAID("ResourceNotFound"), XML("ResourceNotFound")}, GLIS_EIO, "ResourceNotFound"},
        {{403, SAID("AuthenticationFailed"), XML("AuthenticationFailed")},
         GLIS_EDENIED,
         "AZURE_STORAGE_KEY"},
    };
    struct world world;
    world_open(&world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store_read read = {.key = SLICE("a"), .length = STORE_TO_END};
        struct store_object object;
        world_answers(&world, &cases[i].answer, 1);
        int code = store_read(world.store, &read, 1);
        assert_int_equal(read.outcome, cases[i].code);
        if (cases[i].error) assert_fails(code, cases[i].code, cases[i].error);
        assert_fails(store_head(world.store, SLICE("a"), &object), cases[i].code, cases[i].error);
    }
    world_close(&world);
}

/* The clock of the server is an hour off: after one refusal its time is signed. */
static void a_refused_time_is_learned(void **unused)
{
    (void)unused;
    static const struct answer answers[] = {
        {403, SAID("AuthenticationFailed") "Date: Sun, 01 Mar 2026 12:00:00 GMT\r\n",
         XML("AuthenticationFailed")},
        {206, ETAG "Content-Range: bytes 0-4/5\r\nLast-Modified: Sun, 01 Mar 2026 12:00:00 GMT\r\n",
         "hello"}};
    struct world world;
    world_open(&world);
    world_answers(&world, answers, 2);
    struct store_read read = {.key = SLICE("a"), .length = 5};
    assert_ok(store_read(world.store, &read, 1));
    assert_memory_equal(read.data, "hello", 5);
    store_read_release(&read, 1);
    assert_int_equal(world.n_asked, 2);
    world_close(&world);
}

#define BLOB(name)                                                                     \
    "<Blob><Name>" name "</Name><Properties><Last-Modified>Sun, 01 Mar 2026 12:00:00 " \
    "GMT</Last-Modified><Content-Length>7</Content-Length></Properties></Blob>"
#define PAGE(blobs, marker)                                                      \
    "\xef\xbb\xbf<?xml version=\"1.0\"?><EnumerationResults><Prefix>i/</Prefix>" \
    "<Blobs>" blobs "</Blobs><NextMarker>" marker "</NextMarker></EnumerationResults>"

static void lists_go_on_at_their_markers(void **unused)
{
    (void)unused;
    static const struct answer answers[] = {
        {200, ID, PAGE(BLOB("i/.glis-store/x") BLOB("i/a") BLOB("i/b"), "m1")},
        {200, ID, PAGE("", "m2")}, /* Azure may send such pages */
        {200, ID, PAGE(BLOB("i/c") "<Blob><Name Encoded=\"true\">i/d%EF%BF%BF+</Name></Blob>", "")},
    };
    struct world world;
    world_open(&world);
    world_answers(&world, answers, 3);
    assert_keys(world.store, "", "", 0, "a b", true);
    assert_keys(world.store, "", "b", 0, "c d\xef\xbf\xbf+", false);
    assert_string_equal(world.asked[0], "GET /acc/box?restype=container&comp=list&prefix=i%2F");
    assert_string_equal(world.asked[1],
                        "GET /acc/box?restype=container&comp=list&prefix=i%2F&marker=m1");
    assert_string_equal(world.asked[2],
                        "GET /acc/box?restype=container&comp=list&prefix=i%2F&marker=m2");
    /* A start that is no page's end: from the beginning, and what comes before is dropped. */
    world_answers(&world, answers, 3);
    assert_keys(world.store, "", "aa", 1, "b", true);
    assert_string_equal(world.asked[0], "GET /acc/box?restype=container&comp=list&prefix=i%2F");
    world_close(&world);
}

static void lists_that_cannot_be_are_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *body, *error;
    } cases[] = {
        {PAGE(BLOB("i/b") BLOB("i/a"), ""), "order"},
        {PAGE(BLOB("j/a"), ""), "does not belong"},
        {PAGE("<Blob><Properties/></Blob>", ""), "no name"},
        {PAGE("<Blob><Name>i/a</Name><Properties><ResourceType>directory</ResourceType>"
              "</Properties></Blob>",
              ""),
         "hierarchical namespace"},
        {"<EnumerationResults><Blobs/></EnumerationResults>", "whole"},
        {"<html>no</html>", "instead of"},
        {PAGE("", "same"), "does not go on"},
    };
    struct world world;
    world_open(&world);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct store_list page;
        struct answer answer = {200, ID, cases[i].body};
        world_answers(&world, &answer, 1);
        assert_fails(store_list(world.store, SLICE_EMPTY, SLICE_EMPTY, 0, &arena, &page), GLIS_EIO,
                     cases[i].error);
    }
    world_close(&world);
}

static void reads_from_the_end_ask_for_the_size(void **unused)
{
    (void)unused;
    static const struct answer answers[] = {
        {200, ETAG "Content-Length: 10\r\nLast-Modified: Sun, 01 Mar 2026 12:00:00 GMT\r\n", ""},
        {206, ETAG "Content-Range: bytes 7-9/10\r\n", "789"}};
    struct world world;
    world_open(&world);
    world_answers(&world, answers, 2);
    struct store_read read = {.key = SLICE("a"), .offset = STORE_TO_END, .length = 3};
    assert_ok(store_read(world.store, &read, 1));
    assert_int_equal(read.size, 3);
    assert_int_equal(read.object_size, 10);
    assert_memory_equal(read.data, "789", 3);
    assert_true(read.offset == STORE_TO_END && read.length == 3);
    store_read_release(&read, 1);
    assert_string_equal(world.asked[0], "HEAD /acc/box/i/a?");
    world_close(&world);
}

/* Parts are blocks, put together by a list; a lost answer to the list is asked for again. */
static void a_large_object_is_put_in_blocks(void **unused)
{
    (void)unused;
    static const struct answer answers[] = {{201, ID, ""},
                                            {201, ID, ""},
                                            {201, ID, ""},
                                            {500, SAID("InternalError"), XML("InternalError")},
                                            {201, ETAG, ""}};
    static char body[17 << 20];
    struct world world;
    world_open(&world);
    world_answers(&world, answers, 5);
    struct store_upload *upload;
    assert_ok(store_upload_open(world.store, SLICE("data/big"), 0, &upload));
    assert_ok(store_upload_write(upload, slice_make(body, sizeof(body))));
    assert_ok(store_upload_finish(upload));
    assert_int_equal(world.n_asked, 5);
    for (size_t i = 0; i < 3; i++)
        assert_true(strncmp(world.asked[i], "PUT /acc/box/i/data/big?comp=block&blockid=", 43) ==
                    0);
    assert_string_equal(world.asked[3], "PUT /acc/box/i/data/big?comp=blocklist");
    assert_string_equal(world.asked[4], "PUT /acc/box/i/data/big?comp=blocklist");
    world_close(&world);
}

static int remove_object(void *state, const struct store_object *object)
{
    return store_remove(state, &object->key, 1);
}

static void a_real_server_conforms(void **unused)
{
    (void)unused;
    const char *address = getenv("GLIS_TEST_AZURE");
    const char *connection = getenv("GLIS_TEST_AZURE_CONNECTION");
    if (!address || !connection) skip();
    setenv("AZURE_STORAGE_CONNECTION_STRING", connection, 1);
    sync_looks_at_objects = false;
    uploads_show_at_once = false;
    for (size_t i = 0; i < sizeof(conform_cases) / sizeof(conform_cases[0]); i++) {
        print_message("%s\n", conform_cases[i].name);
        struct runtime runtime = {.clock = clock_system(), .random = random_system()};
        struct store *store;
        assert_ok(store_azure_open(&runtime, slice_from_text(address), 0, &store));
        assert_ok(store_each(store, SLICE_EMPTY, SLICE_EMPTY, remove_object, store));
        conform_cases[i].test(store);
        store_close(store);
    }
}

/* More than a page of names, from every place in it, and an object in blocks. */
static void a_real_server_keeps_what_is_large(void **unused)
{
    (void)unused;
    const char *address = getenv("GLIS_TEST_AZURE");
    const char *connection = getenv("GLIS_TEST_AZURE_CONNECTION");
    if (!address || !connection) skip();
    setenv("AZURE_STORAGE_CONNECTION_STRING", connection, 1);
    struct runtime runtime = {.clock = clock_system(), .random = random_system()};
    struct store *store;
    assert_ok(store_azure_open(&runtime, slice_from_text(address), 0, &store));
    assert_ok(store_each(store, SLICE_EMPTY, SLICE_EMPTY, remove_object, store));
    size_t size = 40 << 20;
    char *body = malloc(size);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i * 2654435761u >> 13);
    struct store_upload *upload;
    assert_ok(store_upload_open(store, SLICE("data/big"), 0, &upload));
    for (size_t i = 0; i < size; i += 1 << 20)
        assert_ok(store_upload_write(upload, slice_make(body + i, 1 << 20)));
    assert_keys(store, "", "", 0, "", false);
    assert_ok(store_upload_finish(upload));
    struct store_read reads[] = {
        {.key = SLICE("data/big"), .length = STORE_TO_END},
        {.key = SLICE("data/big"), .offset = STORE_TO_END, .length = 1000},
        {.key = SLICE("none"), .offset = STORE_TO_END, .length = 1000},
        {.key = SLICE("data/big"), .offset = (16 << 20) - 5, .length = 10}};
    assert_ok(store_read(store, reads, 4));
    assert_int_equal(reads[0].size, size);
    assert_memory_equal(reads[0].data, body, size);
    assert_memory_equal(reads[1].data, body + size - 1000, 1000);
    assert_int_equal(reads[2].outcome, GLIS_ENOTFOUND);
    assert_memory_equal(reads[3].data, body + (16 << 20) - 5, 10);
    store_read_release(reads, 4);
    free(body);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_of_a_conditional_put),
        cmocka_unit_test(what_is_not_there_is_believed_only_of_azure),
        cmocka_unit_test(a_refused_time_is_learned),
        cmocka_unit_test(lists_go_on_at_their_markers),
        cmocka_unit_test(lists_that_cannot_be_are_refused),
        cmocka_unit_test(reads_from_the_end_ask_for_the_size),
        cmocka_unit_test(a_large_object_is_put_in_blocks),
        cmocka_unit_test(a_real_server_conforms),
        cmocka_unit_test(a_real_server_keeps_what_is_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
