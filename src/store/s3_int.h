/*
 * s3_int.h: what the files of the S3 store share: where a bucket is (settings), who asks
 * (credentials), how a request is signed, and the XML that goes over the wire.
 *
 *   s3_settings.c     from s3://BUCKET/PREFIX, the environment and the shared files to a place
 *   s3_profile.c      the shared files themselves, ~/.aws/config and ~/.aws/credentials
 *   s3_credentials.c  keys and tokens: cached, and renewed in time
 *   s3_sources.c      where they come from
 *   s3_sign.c         signature version 4
 *   s3_xml.c          the answers that are XML, and the two bodies that are
 *   s3_time.c         the two ways in which S3 writes a time
 *
 * Secrets: the secret key and the session token stand in struct s3_credentials and in the headers
 * that s3_sign makes, and nowhere else: never in an error, a log entry or a description. What a
 * server says about a failure may repeat them, so it goes through s3_hide_secrets before it is
 * shown.
 *
 * Ownership: whatever is handed out lives in the arena that was given. Functions that take no
 * provider and no signer keep no state and are thread safe; providers and signers are thread safe
 * too.
 */
#ifndef GLIS_STORE_S3_INT_H
#define GLIS_STORE_S3_INT_H

#include "store/http.h"
#include "store/store.h"

/* ---- the environment ---- */

/* Where names like AWS_REGION are looked up; tests give their own. NULL when there is no such name;
 * the value lives until the process ends or the environment goes. */
struct s3_environment {
    const char *(*get)(const struct s3_environment *environment, const char *name);
    const void *state;
};
/* The process's own. */
const struct s3_environment *s3_environment_system(void);

/* ---- settings: where a bucket is, and what is tried how long ---- */

struct s3_settings {
    struct slice bucket;
    struct slice prefix; /* "" or "a/b/": put before every key */
    bool tls;
    struct slice host;   /* of the service, without the bucket: "s3.eu-west-1.amazonaws.com"; of an
                            IPv6 address with its brackets */
    uint16_t port;       /* 0: the scheme's own, and then neither in the URL nor in Host */
    struct slice region; /* "us-east-1" when nothing says another */
    bool region_known;   /* something said it; else a server's hint may be followed */
    bool path_style;     /* http://host/bucket/key; else http://bucket.host/key */
    bool endpoint_given; /* not Amazon's own address */
    bool google;         /* Google's headers and names in signatures, and its condition */
    const char *ca_file; /* certificates to trust instead of the system's; NULL */
    const char *profile; /* of the shared files: "default" */

    int64_t connect_timeout_ms;      /* until there is a connection */
    int64_t answer_timeout_ms;       /* of a request without its body's time */
    uint64_t least_bytes_per_second; /* a body may take size / this longer */
    unsigned connections_max;        /* requests under way at once */
    unsigned tries_max;              /* of one request that may be repeated */
    uint64_t part_bytes;             /* of a put in parts; larger objects are put so */
};

/* Reads s3://BUCKET[/PREFIX] (prefix as raw text, no escapes; slashes at the end are dropped)
 * and fills in what the environment and the shared files say: AWS_ENDPOINT_URL_S3,
 * AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_CA_BUNDLE, AWS_PROFILE,
 * GLIS_S3_ADDRESSING (path, virtual), GLIS_S3_SERVICE (amazon, google), GLIS_S3_CONNECT_TIMEOUT,
 * GLIS_S3_TIMEOUT, GLIS_S3_CONNECTIONS; region, endpoint_url, ca_bundle and addressing_style of the
 * profile.
 * Without a word about style: path style for a given endpoint and for buckets that no
 * certificate covers (a dot in the name), else virtual-hosted. GLIS_EINVALID names the variable,
 * or file and line, and what is wrong with it. */
int s3_settings_load(const struct s3_environment *environment, struct slice address,
                     struct arena *arena, struct s3_settings *out) GLIS_CHECKED;
/* The parts of that which other services share. s3_address_read: bucket and prefix of
 * SCHEME://BUCKET[/PREFIX]. s3_endpoint_read: tls, host and port of scheme://host[:port][/];
 * `path` is what follows ("" or "/x"), NULL: nothing may. s3_patience_read: time-outs, connections
 * and tries. */
int s3_address_read(const char *scheme, struct slice address, struct arena *arena,
                    struct s3_settings *out) GLIS_CHECKED;
int s3_endpoint_read(struct slice url, struct arena *arena, struct s3_settings *out,
                     struct slice *path) GLIS_CHECKED;
int s3_patience_read(const struct s3_environment *environment, struct s3_settings *out)
    GLIS_CHECKED;
/* Goes over to another region, which a server has named: Amazon's own host follows it, a given
 * endpoint stays. What a server names must be checked first: it becomes part of a host name. */
void s3_settings_follow(struct s3_settings *settings, struct slice region, struct arena *arena);
bool s3_region_is_valid(struct slice region);

/* ---- the shared files ---- */

/* A whole file of at most max_bytes, in the arena. GLIS_EINVALID for a larger one. */
int s3_file_read(const char *path, size_t max_bytes, struct arena *arena, struct slice *out)
    GLIS_CHECKED;

/* One setting of one profile; `file` and `line` for messages. */
struct s3_profile_item {
    struct slice name; /* of a nested setting "s3.addressing_style" */
    struct slice value;
    const char *file;
    unsigned line;
};
struct s3_profile {
    const char *name;
    bool found; /* there is such a section, in either file */
    struct s3_profile_item *items;
    size_t n_items;
};
/* The profile that AWS_PROFILE names (AWS_DEFAULT_PROFILE, "default"), from
 * AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config); what
 * stands in the first wins. Absent files are no error; files over 1 MiB and lines that are
 * neither section, setting, comment nor blank are GLIS_EINVALID, named without their text. */
int s3_profile_load(const struct s3_environment *environment, struct arena *arena,
                    struct s3_profile *out) GLIS_CHECKED;
/* The setting of that name; NULL when it is not there. */
const struct s3_profile_item *s3_profile_find(const struct s3_profile *profile, const char *name);

/* ---- credentials ---- */

struct s3_credentials {
    struct slice access_key, secret_key;
    struct slice session_token; /* empty: none */
    int64_t expires_ms;         /* wall time; 0: never */
    const char *source;         /* for people: "environment", "profile 'x'", "instance metadata" */
};

struct s3_provider;
/* Says where credentials will come from; nothing is fetched yet. `http` is used for container,
 * web identity and instance metadata, and outlives the provider, as do runtime and environment.
 * Order: environment, web identity, shared files, container, instance metadata; the first that is
 * set up decides, and when it then fails, the ones behind it are not asked. */
int s3_provider_open(struct runtime *runtime, struct http *http,
                     const struct s3_environment *environment, const struct s3_settings *settings,
                     struct s3_provider **out) GLIS_CHECKED;
/* Credentials to sign with, copied into the arena. Cached; fetched anew five minutes before they
 * end, by one thread while the others go on with what there is; when that fails, the old ones
 * are handed out as long as they are valid, and the next try is ten seconds off. Blocks for as
 * long as a fetch takes, so never call it from a transport's own loop. GLIS_EDENIED says where
 * it looked and what to set; GLIS_EUNSUPPORTED names a setting that Glis does not know
 * (role_arn, sso_...). */
int s3_credentials_get(struct s3_provider *provider, struct arena *arena,
                       struct s3_credentials *out) GLIS_CHECKED;
/* A server said that these have expired or are not known: they are not handed out again while
 * the source can be asked for others. True when a new s3_credentials_get may bring others. */
bool s3_credentials_refused(struct s3_provider *provider, const struct s3_credentials *used);
void s3_provider_close(struct s3_provider *provider); /* NULL is allowed */

/* Where credentials come from; s3_sources.c asks each in its way, and keeps nothing. */
struct s3_source {
    struct runtime *runtime;
    struct http *http;
    const struct s3_environment *environment;
    struct slice region;
    const char *ca_file;
    _Atomic bool
        is_fixed; /* out: the last fetch came from the environment, which does not change */
};
/* Fetches credentials anew, in the arena. Errors as s3_credentials_get. */
int s3_source_fetch(struct s3_source *source, struct arena *arena, struct s3_credentials *out)
    GLIS_CHECKED;

/* `text` without control characters, cut to 500 bytes, and with the secret key, the session token
 * and what follows "Signature=" replaced by "***". */
struct slice s3_hide_secrets(const struct s3_credentials *credentials, struct slice text,
                             struct arena *arena);

/* ---- signing ---- */

struct s3_pair {
    struct slice name, value;
};

enum s3_payload {
    S3_PAYLOAD_BODY,     /* the hash of `body` */
    S3_PAYLOAD_HASH,     /* `sha256`, which the caller knows already */
    S3_PAYLOAD_UNSIGNED, /* UNSIGNED-PAYLOAD: TLS guards the body */
};

struct s3_request {
    const char *method;          /* "GET", ... */
    struct slice key;            /* raw, the settings' prefix included; empty: the bucket itself */
    const struct s3_pair *query; /* raw, any order; an empty value is sent as "name=" */
    size_t n_query;
    const struct http_header *headers; /* all are sent and signed; values without line ends. Host,
                                      x-amz-date, x-amz-content-sha256, x-amz-security-token and
                                      Authorization are s3_sign's own and must not be here */
    size_t n_headers;
    enum s3_payload payload;
    struct slice body;
    uint8_t sha256[32];
};

/* What goes over the wire: header names in lower case, the caller's own first, then host and the
 * ones that s3_sign made. The URL is to be sent as it is: no transport may normalise "..", "//" or
 * escapes in it (CURLOPT_PATH_AS_IS). Texts are NUL-terminated. */
struct s3_signed {
    struct slice url;
    struct http_header *headers;
    size_t n_headers;
};

enum { S3_SIGN_PAIRS_MAX = 64 }; /* of query, and of headers with its own five */

/* Keeps the signing key of the day, which takes four of the five HMACs. */
struct s3_signer;
struct s3_signer *s3_signer_new(void);
void s3_signer_free(struct s3_signer *signer); /* NULL is allowed */

/* Signs one request (AWS "Signature Version 4", with the rules of service s3: the path is escaped
 * once and not normalised). `now_ms` is the wall time that the server shall compare with its own:
 * the caller adds what it knows of their difference. GLIS_EINVALID for too many pairs, and for
 * control characters in a header or the host. Under 10 µs without the body's hash. */
int s3_sign(struct s3_signer *signer, const struct s3_settings *settings,
            const struct s3_credentials *credentials, int64_t now_ms,
            const struct s3_request *request, struct arena *arena, struct s3_signed *out)
    GLIS_CHECKED;

/* The part that is the same for every service of Amazon; the published vectors are about it. */
struct s3_canonical {
    const char *method;
    struct slice path;           /* escaped, as it is sent */
    const struct s3_pair *query; /* raw */
    size_t n_query;
    const struct http_header *headers; /* all to be signed, host and x-amz-date included */
    size_t n_headers;
    struct slice payload; /* hexadecimal hash, or UNSIGNED-PAYLOAD */
    struct slice region, service;
    bool google;   /* GOOG4-HMAC-SHA256 instead of AWS4-HMAC-SHA256 */
    char time[17]; /* "20150830T123600Z" */
};
struct s3_signature {
    struct slice query; /* escaped and sorted, as it is to be sent */
    struct slice canonical_request, string_to_sign, authorization;
};
int s3_sign_canonical(struct s3_signer *signer, const struct s3_credentials *credentials,
                      const struct s3_canonical *request, struct arena *arena,
                      struct s3_signature *out) GLIS_CHECKED;
/* Escapes all but A-Z a-z 0-9 - . _ ~ (RFC 3986), and '/' when keep_slash. */
struct slice s3_escape(struct slice text, bool keep_slash, struct arena *arena);

/* ---- XML ---- */

/* Bodies beyond 16 MiB, elements nested deeper than 16, more than 10,000 items, texts beyond 8 KiB,
 * and any document type (so no entities but the five of XML) are refused: GLIS_EIO, as is all that
 * is not well formed or lacks what the answer must have. */

/* What a server says went wrong; fields it did not give are empty. */
struct s3_error {
    struct slice code;    /* "NoSuchKey" */
    struct slice said;    /* the code in the service's own words, when they are others */
    struct slice message; /* for people; show only through s3_hide_secrets */
    struct slice key;
    struct slice region;      /* where the bucket is */
    struct slice endpoint;    /* the same as an address */
    struct slice server_time; /* RequestTimeTooSkewed: ISO 8601, s3_time_iso reads it */
    struct slice request_id;
};
/* Reads an <Error>; a body that is none (a proxy's HTML, nothing) gives false and all fields
 * empty. */
bool s3_xml_error(struct slice body, struct arena *arena, struct s3_error *out);

/* ListObjectsV2 with encoding-type=url: keys come out decoded, with the prefix still on them, and
 * modified_ms is set. `continuation` is empty unless `truncated`. */
struct s3_list {
    struct store_object *objects;
    size_t n_objects;
    bool truncated;
    struct slice continuation;
};
int s3_xml_list(struct slice body, struct arena *arena, struct s3_list *out) GLIS_CHECKED;

/* ListMultipartUploads with encoding-type=url; the markers are empty unless `truncated`. */
struct s3_uploads {
    struct store_unfinished *uploads;
    size_t n_uploads;
    bool truncated;
    struct slice next_key, next_id;
};
int s3_xml_uploads(struct slice body, struct arena *arena, struct s3_uploads *out) GLIS_CHECKED;

/* InitiateMultipartUploadResult: the upload's id. */
int s3_xml_initiate(struct slice body, struct arena *arena, struct slice *id) GLIS_CHECKED;
/* CompleteMultipartUpload answers 200 before it knows. True in *done: the object is there. False:
 * the body is an <Error>, now in *error. GLIS_EIO: neither, so nothing is known. White space before
 * the document (sent to keep the connection open) is allowed. */
int s3_xml_complete(struct slice body, struct arena *arena, bool *done, struct s3_error *error)
    GLIS_CHECKED;

/* DeleteResult: the keys that could not be deleted; key, code and message are set in each. */
int s3_xml_deleted(struct slice body, struct arena *arena, struct s3_error **errors,
                   size_t *n_errors) GLIS_CHECKED;

/* The answer of the security token service to AssumeRoleWithWebIdentity; `source` is not set. */
int s3_xml_assumed(struct slice body, struct arena *arena, struct s3_credentials *out) GLIS_CHECKED;

/* The bodies of DeleteObjects (quiet: only failures are answered; at most 1,000 keys) and of
 * CompleteMultipartUpload (etags[i] is part i + 1's, quotes as the server sent them).
 * GLIS_EINVALID for a key that XML 1.0 cannot say: then it must be deleted by itself. */
int s3_xml_write_delete(struct buffer *out, const struct slice *keys, size_t n_keys) GLIS_CHECKED;
int s3_xml_write_complete(struct buffer *out, const struct slice *etags, size_t n_etags)
    GLIS_CHECKED;

/* ---- times ---- */

/* "2026-03-01T12:00:00.123Z" (fraction optional), as in lists; "Sun, 01 Mar 2026 12:00:00 GMT", as
 * in the headers Date and Last-Modified. GLIS_EINVALID otherwise. */
int s3_time_iso(struct slice text, int64_t *out_ms) GLIS_CHECKED;
int s3_time_http(struct slice text, int64_t *out_ms) GLIS_CHECKED;

#endif
