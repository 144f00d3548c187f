/*
 * store_google.c: what differs for Google Cloud Storage, asked through its S3 interface (the "XML
 * API") with HMAC keys.
 *
 * Conditions. Google takes If-None-Match only for reads; a put that must create says
 * `x-goog-if-generation-match: 0`, and 412 refuses it. A request whose signature is Amazon's may
 * not bear headers of Google's, so all requests are signed in Google's variant of the same
 * algorithm (GOOG4-HMAC-SHA256, scope .../storage/goog4_request, x-goog-date), which s3_sign does
 * when the settings say so.
 *
 * The rest is S3's: lists with list-type=2, puts in parts (their completion is not conditional; no
 * conditional put is made in parts), error codes. There is no request that deletes many objects. An
 * answer is Google's own when it bears the id of its upload server.
 *
 * Google lets one object be written about once a second and answers 429 beyond that. Records are
 * written once, so this meets only writers who race for the same record, and says "not carried out,
 * patience", which the log takes as it is meant.
 */
#include "store/store_s3_int.h"

static bool upload_server_answered(const struct s3_exchange *exchange)
{
    return http_answer_header(&exchange->http, "etag").size > 0;
}

static const char *google_advice(const struct s3_exchange *exchange)
{
    struct slice code = exchange->error.code;
    if (slice_equal_text(code, "NoSuchBucket"))
        return "; make the bucket first, or name another (and check the project of the HMAC key)";
    if (slice_equal_text(code, "SignatureDoesNotMatch") ||
        slice_equal_text(code, "InvalidAccessKeyId") || slice_equal_text(code, "InvalidSecurity"))
        return "; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be an HMAC key of Cloud Storage";
    return s3_advice(exchange);
}

const struct s3_dialect s3_dialect_google = {
    .if_absent = {{"x-goog-if-generation-match", 26}, {"0", 1}},
    .request_id = "x-guploader-uploadid",
    .put_is_own = upload_server_answered,
    .advice = google_advice,
};
