/*
 * test_s3_xml.c: answers as Amazon's manual shows them and as Ceph 16 sends them; hostile ones; the
 * bodies written, read back by expat's own rules (their texts here are by hand); times.
 */
#include "test.h"

#include "store/s3_int.h"

static struct slice text(const char *s)
{
    return slice_from_text(s);
}

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS   " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static void a_list_gives_keys_sizes_and_times(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_list list;
    assert_ok(s3_xml_list(
        text(HEAD "<ListBucketResult" NS "><Name>b</Name><Prefix>a%20</Prefix><KeyCount>2"
                  "</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><EncodingType>url"
                  "</EncodingType><NextContinuationToken>1ueG+/=</NextContinuationToken>"
                  "<Contents><Key>a%20b+c%2Bd%25/%F0%9F%90%98%26%00</Key><LastModified>"
                  "2009-10-12T17:50:30.250Z</LastModified><ETag>&quot;fba9&quot;</ETag><Size>434234"
                  "</Size><Owner><ID>t</ID><DisplayName>t</DisplayName></Owner></Contents>"
                  "<Contents><Key>z</Key><LastModified>2024-02-29T00:00:00Z</LastModified>"
                  "<Size>0</Size></Contents></ListBucketResult>"),
        &arena, &list));
    assert_int_equal(list.n_objects, 2);
    assert_true(slice_equal(list.objects[0].key, slice_make("a b c+d%/\xf0\x9f\x90\x98&\0", 15)));
    assert_int_equal(list.objects[0].size, 434234);
    assert_int_equal(list.objects[0].modified_ms, 1255369830250);
    assert_int_equal(list.objects[1].modified_ms, 1709164800000);
    assert_true(slice_equal_text(list.objects[1].key, "z"));
    assert_true(list.truncated);
    assert_true(slice_equal_text(list.continuation, "1ueG+/="));
}

static void keys_of_a_server_that_does_not_escape_are_taken_as_they_are(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_list list;
    assert_ok(s3_xml_list(text("<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a+"
                               "%41&amp;</Key></Contents></ListBucketResult>"),
                          &arena, &list));
    assert_true(slice_equal_text(list.objects[0].key, "a+%41&"));
}

static void thousands_of_objects_are_listed(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    for (unsigned n = 0; n <= 10001; n += n < 40 ? 1 : 3321) {
        defer_buffer struct buffer body = BUFFER_INIT(4 << 20);
        assert_ok(buffer_append_text(&body, "<ListBucketResult><IsTruncated>0</IsTruncated>"));
        body.size -= strlen("0</IsTruncated>");
        assert_ok(buffer_append_text(&body, "false</IsTruncated>"));
        for (unsigned i = 0; i < n; i++)
            assert_ok(buffer_printf(&body, "<Contents><Key>k%u</Key><Size>%u</Size></Contents>", i,
                                    i + 1));
        assert_ok(buffer_append_text(&body, "</ListBucketResult>"));
        struct s3_list list;
        if (n > 10000) {
            assert_fails(s3_xml_list(buffer_slice(&body), &arena, &list), GLIS_EIO, "more than");
            break;
        }
        assert_ok(s3_xml_list(buffer_slice(&body), &arena, &list));
        assert_int_equal(list.n_objects, n);
        for (unsigned i = 0; i < n; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%u", i);
            assert_true(slice_equal_text(list.objects[i].key, key));
            assert_int_equal(list.objects[i].size, i + 1);
        }
    }
}

static void answers_that_are_not_what_was_asked_for_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"", "no element found"},
        {"<html><body>Bad gateway</body></html>", "<html> instead of <ListBucketResult>"},
        {"<ListBucketResult><IsTruncated>false</IsTruncated>", "no element found"},
        {"<ListBucketResult></ListBucketResult>", "whether it is whole"},
        {"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "whether"},
        {"<ListBucketResult><IsTruncated>perhaps</IsTruncated></ListBucketResult>", "perhaps"},
        {"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>"
         "</ListBucketResult>",
         "no key"},
        {"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>-1</Size>"
         "</Contents></ListBucketResult>",
         "<Size>"},
        {"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>"
         "18446744073709551616</Size></Contents></ListBucketResult>",
         "<Size>"},
        {"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><LastModified>"
         "yesterday</LastModified></Contents></ListBucketResult>",
         "no time"},
        {"<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>"
         "<Contents><Key>a%4</Key></Contents></ListBucketResult>",
         "damaged escape"},
        {"<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><ListBucketResult>&b;"
         "</ListBucketResult>",
         "document type"},
        {"<ListBucketResult>&nbsp;</ListBucketResult>", "undefined entity"},
        {"<ListBucketResult><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", "deeper than"},
        {"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>trailing", "line 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct s3_list list;
        assert_fails(s3_xml_list(text(cases[i].body), &arena, &list), GLIS_EIO, cases[i].text);
    }
    defer_arena struct arena arena = ARENA_EMPTY;
    defer_buffer struct buffer body = BUFFER_INIT(40 << 20);
    assert_ok(buffer_append_text(&body, "<ListBucketResult><Name>"));
    for (int i = 0; i < 9000; i++)
        assert_ok(buffer_append_byte(&body, 'x'));
    struct s3_list list;
    assert_fails(s3_xml_list(buffer_slice(&body), &arena, &list), GLIS_EIO, "more than 8192");
    assert_ok(buffer_append_zeros(&body, 17 << 20));
    assert_fails(s3_xml_list(buffer_slice(&body), &arena, &list), GLIS_EIO, "at most");
}

static void every_cut_of_an_answer_is_an_error(void **state)
{
    (void)state;
    static const char whole[] =
        HEAD "<ListBucketResult" NS "><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>"
             "12</Size></Contents></ListBucketResult>";
    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct s3_list list;
        assert_fails(s3_xml_list(slice_make(whole, n), &arena, &list), GLIS_EIO, NULL);
    }
}

static void unfinished_uploads_are_listed(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_uploads uploads;
    assert_ok(s3_xml_uploads(
        text(HEAD "<ListMultipartUploadsResult" NS "><Bucket>b</Bucket><KeyMarker></KeyMarker>"
                  "<NextKeyMarker>my%2Bfile</NextKeyMarker><NextUploadIdMarker>YW55"
                  "</NextUploadIdMarker><EncodingType>url</EncodingType><MaxUploads>3</MaxUploads>"
                  "<IsTruncated>true</IsTruncated><Upload><Key>my%2Bdivisor</Key><UploadId>XMgbGlr"
                  "</UploadId><Initiator><ID>arn</ID></Initiator><Owner><ID>75</ID></Owner>"
                  "<StorageClass>STANDARD</StorageClass><Initiated>2010-11-10T20:48:33.000Z"
                  "</Initiated></Upload></ListMultipartUploadsResult>"),
        &arena, &uploads));
    assert_int_equal(uploads.n_uploads, 1);
    assert_true(slice_equal_text(uploads.uploads[0].key, "my+divisor"));
    assert_true(slice_equal_text(uploads.uploads[0].id, "XMgbGlr"));
    assert_int_equal(uploads.uploads[0].begun_ms, 1289422113000);
    assert_true(uploads.truncated);
    assert_true(slice_equal_text(uploads.next_key, "my+file"));
    assert_true(slice_equal_text(uploads.next_id, "YW55"));
    assert_fails(s3_xml_uploads(text("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
                                     "<Upload><Key>k</Key></Upload></ListMultipartUploadsResult>"),
                                &arena, &uploads),
                 GLIS_EIO, "no id");
}

static void an_upload_begins_and_ends(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice id;
    assert_ok(s3_xml_initiate(text(HEAD "<InitiateMultipartUploadResult" NS
                                        "><Bucket>b</Bucket><Key>k</Key><UploadId>"
                                        "VXBsb2FkIElE</UploadId></InitiateMultipartUploadResult>"),
                              &arena, &id));
    assert_true(slice_equal_text(id, "VXBsb2FkIElE"));
    assert_fails(s3_xml_initiate(text("<InitiateMultipartUploadResult/>"), &arena, &id), GLIS_EIO,
                 "without an id");
    bool done;
    struct s3_error error;
    assert_ok(s3_xml_complete(text("  \r\n" HEAD "<CompleteMultipartUploadResult" NS "><ETag>\"3\""
                                   "</ETag></CompleteMultipartUploadResult>"),
                              &arena, &done, &error));
    assert_true(done);
    assert_ok(
        s3_xml_complete(text("   " HEAD "<Error><Code>InternalError</Code><Message>Once more, "
                             "please</Message></Error>"),
                        &arena, &done, &error));
    assert_false(done);
    assert_true(slice_equal_text(error.code, "InternalError"));
    assert_fails(s3_xml_complete(text("   "), &arena, &done, &error), GLIS_EIO, NULL);
    assert_fails(s3_xml_complete(text("<CompleteMultipartUploadResult>"), &arena, &done, &error),
                 GLIS_EIO, NULL);
    assert_false(done);
}

static void errors_are_read_and_what_is_none_is_told_apart(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_error error;
    assert_true(s3_xml_error(
        text(HEAD
             "<Error><Code>PermanentRedirect</Code><Message>The bucket is elsewhere"
             "</Message><Endpoint>b.s3-eu-west-1.amazonaws.com</Endpoint><Region>eu-west-1"
             "</Region><Key>k</Key><ServerTime>2026-03-01T12:00:00Z</ServerTime><RequestId>4442"
             "</RequestId><HostId>x</HostId></Error>"),
        &arena, &error));
    assert_true(slice_equal_text(error.code, "PermanentRedirect"));
    assert_true(slice_equal_text(error.message, "The bucket is elsewhere"));
    assert_true(slice_equal_text(error.endpoint, "b.s3-eu-west-1.amazonaws.com"));
    assert_true(slice_equal_text(error.region, "eu-west-1"));
    assert_true(slice_equal_text(error.server_time, "2026-03-01T12:00:00Z"));
    assert_true(slice_equal_text(error.request_id, "4442"));
    (void)error_set(GLIS_EIO, "the failure before");
    assert_false(s3_xml_error(text("<html><Code>x</Code></html>"), &arena, &error));
    assert_string_equal(error_message(), "the failure before");
    assert_int_equal(error.code.size, 0);
    assert_false(s3_xml_error(SLICE_EMPTY, &arena, &error));
    assert_false(s3_xml_error(text("<Error><Code></Code></Error>"), &arena, &error));
}

static void failures_of_a_removal_are_read(void **state)
{
    (void)state;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct s3_error *errors;
    size_t n;
    assert_ok(s3_xml_deleted(text(HEAD "<DeleteResult" NS "/>"), &arena, &errors, &n));
    assert_int_equal(n, 0);
    assert_ok(s3_xml_deleted(text("<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>s&amp;"
                                  "2</Key><Code>AccessDenied</Code><Message>No</Message></Error>"
                                  "</DeleteResult>"),
                             &arena, &errors, &n));
    assert_int_equal(n, 1);
    assert_true(slice_equal_text(errors[0].key, "s&2"));
    assert_true(slice_equal_text(errors[0].code, "AccessDenied"));
}

static void bodies_are_written_with_their_escapes(void **state)
{
    (void)state;
    defer_buffer struct buffer out = BUFFER_INIT(1 << 20);
    const struct slice keys[] = {SLICE("a<b>&\"'"), SLICE("line\r\n\tend"), SLICE("caf\xc3\xa9")};
    assert_ok(s3_xml_write_delete(&out, keys, 3));
    assert_ok(buffer_append_byte(&out, 0));
    assert_non_null(strstr((const char *)out.data,
                           "<Quiet>true</Quiet><Object><Key>a&lt;b&gt;&amp;&quot;&apos;</Key>"
                           "</Object><Object><Key>line&#13;&#10;&#9;end</Key></Object><Object><Key>"
                           "caf\xc3\xa9</Key></Object></Delete>"));
    const struct slice impossible[] = {SLICE("\x01"), SLICE("a\xef\xbf\xbe"), SLICE("\xff")};
    for (size_t i = 0; i < 3; i++)
        assert_fails(s3_xml_write_delete(&out, &impossible[i], 1), GLIS_EINVALID, "key");
    assert_fails(s3_xml_write_delete(&out, keys, 0), GLIS_EINVALID, "1 to 1000");
    buffer_clear(&out);
    const struct slice etags[] = {SLICE("\"a1\""), SLICE("b2")};
    assert_ok(s3_xml_write_complete(&out, etags, 2));
    assert_ok(buffer_append_byte(&out, 0));
    assert_non_null(
        strstr((const char *)out.data,
               "<Part><PartNumber>1</PartNumber><ETag>&quot;a1&quot;</ETag></Part><Part>"
               "<PartNumber>2</PartNumber><ETag>b2</ETag></Part>"
               "</CompleteMultipartUpload>"));
}

/* The numbers are GNU date's: date -u -d ... +%s%3N. */
static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } iso[] =
        {
            {"1970-01-01T00:00:00Z", 0},
            {"2000-02-29T23:59:59.999Z", 951868799999},
            {"2026-03-01T12:00:00.123456Z", 1772366400123},
            {"2100-03-01T00:00:00+00:00", 4107542400000},
            {"2100-02-29T00:00:00Z", -1},
            {"2026-13-01T00:00:00Z", -1},
            {"2026-00-01T00:00:00Z", -1},
            {"2026-01-01T24:00:00Z", -1},
            {"2026-01-01T00:00:00", -1},
            {"2026-01-01T00:00:00.Z", -1},
            {"2026-01-01 00:00:00Z", -1},
            {"", -1},
        },
      http[] = {
          {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
          {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777000},
          {"Wed, 31 Dec 2025 23:59:60 GMT", 1767225600000},
          {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
          {"Sun, 06 Nob 1994 08:49:37 GMT", -1},
          {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
          {"Sunday, 06-Nov-94 08:49:37 GMT", -1},
          {"", -1},
      };
    for (size_t i = 0; i < sizeof(iso) / sizeof(iso[0]); i++) {
        int64_t ms = -1;
        int code = s3_time_iso(text(iso[i].text), &ms);
        assert_int_equal(code, iso[i].ms < 0 ? GLIS_EINVALID : 0);
        if (code == 0) assert_int_equal(ms, iso[i].ms);
    }
    for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++) {
        int64_t ms = -1;
        int code = s3_time_http(text(http[i].text), &ms);
        assert_int_equal(code, http[i].ms < 0 ? GLIS_EINVALID : 0);
        if (code == 0) assert_int_equal(ms, http[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_gives_keys_sizes_and_times),
        cmocka_unit_test(keys_of_a_server_that_does_not_escape_are_taken_as_they_are),
        cmocka_unit_test(thousands_of_objects_are_listed),
        cmocka_unit_test(answers_that_are_not_what_was_asked_for_are_errors),
        cmocka_unit_test(every_cut_of_an_answer_is_an_error),
        cmocka_unit_test(unfinished_uploads_are_listed),
        cmocka_unit_test(an_upload_begins_and_ends),
        cmocka_unit_test(errors_are_read_and_what_is_none_is_told_apart),
        cmocka_unit_test(failures_of_a_removal_are_read),
        cmocka_unit_test(bodies_are_written_with_their_escapes),
        cmocka_unit_test(times_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
