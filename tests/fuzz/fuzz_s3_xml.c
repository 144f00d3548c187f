/*
 * fuzz_s3_xml.c: whatever a server answers is read as each kind of answer; what is accepted keeps
 * what s3_int.h promises, and keys that were listed can be written into a removal unless XML cannot
 * say them.
 */
#include "fuzz.h"

#include "store/s3_int.h"

static void removal_of(const struct s3_list *list)
{
    defer_buffer struct buffer out = BUFFER_INIT(64 << 20);
    for (size_t i = 0; i < list->n_objects; i++) {
        buffer_clear(&out);
        int code = s3_xml_write_delete(&out, &list->objects[i].key, 1);
        ASSERT(code == 0 || code == GLIS_EINVALID);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_make(data, size);
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_list list;
    struct s3_uploads uploads;
    struct s3_error error, *errors;
    struct s3_credentials credentials;
    struct slice id;
    size_t n_errors;
    bool done;
    int64_t ms;
    if (s3_xml_list(body, &arena, &list) == 0) {
        ASSERT(list.truncated == (list.continuation.size > 0) || !list.truncated);
        for (size_t i = 0; i < list.n_objects; i++)
            ASSERT(list.objects[i].key.size > 0 && list.objects[i].key.size <= size);
        removal_of(&list);
    }
    if (s3_xml_uploads(body, &arena, &uploads) == 0)
        for (size_t i = 0; i < uploads.n_uploads; i++)
            ASSERT(uploads.uploads[i].key.size > 0 && uploads.uploads[i].id.size > 0);
    if (s3_xml_initiate(body, &arena, &id) == 0) ASSERT(id.size > 0);
    if (s3_xml_complete(body, &arena, &done, &error) == 0) ASSERT(done == (error.code.size == 0));
    if (s3_xml_deleted(body, &arena, &errors, &n_errors) == 0) ASSERT(n_errors <= size);
    if (s3_xml_assumed(body, &arena, &credentials) == 0) ASSERT(credentials.secret_key.size > 0);
    if (s3_xml_error(body, &arena, &error)) ASSERT(error.code.size > 0);
    if (s3_time_iso(body, &ms) == 0) ASSERT(ms >= 0);
    if (s3_time_http(body, &ms) == 0) ASSERT(ms >= 0);
    struct slice shown = s3_hide_secrets(
        &(struct s3_credentials){.secret_key = SLICE("secret"), .session_token = SLICE("token")},
        body, &arena);
    ASSERT(shown.size <= 500 && !memmem(shown.data, shown.size, "secret", 6));
    return 0;
}
