/*
 * digest.h: digests that outside protocols ask for: SHA-256 and its HMAC (signatures of requests),
 * MD5 (the header Content-MD5). OpenSSL behind one file. What Glis itself checks bytes with is in
 * hash.h and many times faster.
 *
 * Nothing here can fail but by a lack of memory or a broken OpenSSL, which end the process. All
 * functions are thread safe.
 */
#ifndef GLIS_BASE_DIGEST_H
#define GLIS_BASE_DIGEST_H

#include "base/slice.h"

enum { DIGEST_SHA256_BYTES = 32, DIGEST_MD5_BYTES = 16 };

/* FIPS 180-4, RFC 2104 and RFC 1321. */
void digest_sha256(struct slice bytes, uint8_t out[DIGEST_SHA256_BYTES]);
void digest_hmac_sha256(struct slice key, struct slice bytes, uint8_t out[DIGEST_SHA256_BYTES]);
void digest_md5(struct slice bytes, uint8_t out[DIGEST_MD5_BYTES]);

/* The SHA-256 of all that was added, piece by piece; digest_stream_end frees the stream. */
struct digest_stream;
struct digest_stream *digest_stream_new(void);
void digest_stream_add(struct digest_stream *stream, const void *data, size_t size);
void digest_stream_end(struct digest_stream *stream, uint8_t out[DIGEST_SHA256_BYTES]);

#endif
