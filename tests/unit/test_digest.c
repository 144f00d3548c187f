/*
 * test_digest.c: digests of known texts, as FIPS 180-4, RFC 1321 and RFC 4231 print them.
 */
#include "test.h"

#include "base/digest.h"
#include "base/text.h"

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
    defer_buffer struct buffer hex = BUFFER_INIT(200);
    assert_ok(text_hex_encode(&hex, slice_make(bytes, size)));
    assert_int_equal(hex.size, strlen(expected));
    assert_memory_equal(hex.data, expected, hex.size);
}

static void sha256_is_as_published(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t digest[DIGEST_SHA256_BYTES];
        struct slice text = slice_from_text(cases[i].text);
        digest_sha256(text, digest);
        assert_hex(digest, sizeof(digest), cases[i].digest);
        struct digest_stream *stream = digest_stream_new();
        for (size_t k = 0; k < text.size; k++)
            digest_stream_add(stream, text.data + k, 1);
        digest_stream_end(stream, digest);
        assert_hex(digest, sizeof(digest), cases[i].digest);
    }
}

static void hmac_is_as_published(void **state)
{
    (void)state;
    char key20[20], key131[131];
    memset(key20, 0x0b, sizeof(key20));
    memset(key131, 0xaa, sizeof(key131));
    struct {
        struct slice key, text;
        const char *digest;
    } cases[] = {
        {slice_make(key20, sizeof(key20)), SLICE("Hi There"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {SLICE("Jefe"), SLICE("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {slice_make(key131, sizeof(key131)),
         SLICE("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t digest[DIGEST_SHA256_BYTES];
        digest_hmac_sha256(cases[i].key, cases[i].text, digest);
        assert_hex(digest, sizeof(digest), cases[i].digest);
    }
}

static void md5_is_as_published(void **state)
{
    (void)state;
    uint8_t digest[DIGEST_MD5_BYTES];
    digest_md5(SLICE_EMPTY, digest);
    assert_hex(digest, sizeof(digest), "d41d8cd98f00b204e9800998ecf8427e");
    digest_md5(SLICE("message digest"), digest);
    assert_hex(digest, sizeof(digest), "f96b697d7cb7938d525a2f31aaf161d0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_as_published),
        cmocka_unit_test(hmac_is_as_published),
        cmocka_unit_test(md5_is_as_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
