/*
 * digest.c: SHA-256, HMAC-SHA-256 and MD5 by OpenSSL.
 *
 * The algorithms are fetched once: EVP_sha256() looks them up in the providers at each use, which
 * costs more than hashing the few hundred bytes of a request. HMAC is made here of two hashes (RFC
 * 2104), for OpenSSL's own sets up a context each time. A context per thread would be faster still
 * by the cost of one allocation; it is not worth a destructor.
 */
#include "base/digest.h"

#include "base/memory.h"

#include <openssl/evp.h>
#include <pthread.h>

enum { SHA256_BLOCK_BYTES = 64 };

struct digest_stream {
    EVP_MD_CTX *context;
};

static EVP_MD *sha256, *md5;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    md5 = EVP_MD_fetch(NULL, "MD5", NULL); /* absent where only FIPS 140 algorithms are allowed */
    ASSERT(sha256 != NULL);
}

static EVP_MD_CTX *begin(void)
{
    pthread_once(&fetched, fetch);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    ASSERT(context != NULL);
    return context;
}

static void add(EVP_MD_CTX *context, const void *data, size_t size)
{
    if (size > 0) ASSERT(EVP_DigestUpdate(context, data, size) == 1);
}

void digest_sha256(struct slice bytes, uint8_t out[DIGEST_SHA256_BYTES])
{
    EVP_MD_CTX *context = begin();
    ASSERT(EVP_DigestInit_ex2(context, sha256, NULL) == 1);
    add(context, bytes.data, bytes.size);
    ASSERT(EVP_DigestFinal_ex(context, out, NULL) == 1);
    EVP_MD_CTX_free(context);
}

void digest_hmac_sha256(struct slice key, struct slice bytes, uint8_t out[DIGEST_SHA256_BYTES])
{
    uint8_t inner[SHA256_BLOCK_BYTES] = {0}, outer[SHA256_BLOCK_BYTES];
    if (key.size > SHA256_BLOCK_BYTES)
        digest_sha256(key, inner);
    else if (key.size > 0)
        memcpy(inner, key.data, key.size);
    for (size_t i = 0; i < SHA256_BLOCK_BYTES; i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    EVP_MD_CTX *context = begin();
    ASSERT(EVP_DigestInit_ex2(context, sha256, NULL) == 1);
    add(context, inner, sizeof(inner));
    add(context, bytes.data, bytes.size);
    ASSERT(EVP_DigestFinal_ex(context, out, NULL) == 1);
    ASSERT(EVP_DigestInit_ex2(context, sha256, NULL) == 1);
    add(context, outer, sizeof(outer));
    add(context, out, DIGEST_SHA256_BYTES);
    ASSERT(EVP_DigestFinal_ex(context, out, NULL) == 1);
    EVP_MD_CTX_free(context);
}

void digest_md5(struct slice bytes, uint8_t out[DIGEST_MD5_BYTES])
{
    EVP_MD_CTX *context = begin();
    ASSERT(md5 != NULL && EVP_DigestInit_ex2(context, md5, NULL) == 1);
    add(context, bytes.data, bytes.size);
    ASSERT(EVP_DigestFinal_ex(context, out, NULL) == 1);
    EVP_MD_CTX_free(context);
}

struct digest_stream *digest_stream_new(void)
{
    struct digest_stream *stream = memory_alloc_zero(sizeof(*stream));
    stream->context = begin();
    ASSERT(EVP_DigestInit_ex2(stream->context, sha256, NULL) == 1);
    return stream;
}

void digest_stream_add(struct digest_stream *stream, const void *data, size_t size)
{
    add(stream->context, data, size);
}

void digest_stream_end(struct digest_stream *stream, uint8_t out[DIGEST_SHA256_BYTES])
{
    ASSERT(EVP_DigestFinal_ex(stream->context, out, NULL) == 1);
    EVP_MD_CTX_free(stream->context);
    free(stream);
}
