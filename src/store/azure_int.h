/*
 * azure_int.h: what the files of the Azure store share: where a container is and who asks, the
 * signature, and the XML that differs from S3's.
 *
 *   azure_settings.c  from az://CONTAINER/PREFIX and the environment to a place and a key
 *   azure_sign.c      Shared Key, or a shared access signature
 *   s3_xml.c          lists of blobs and of blocks, beside S3's
 *   store_azure.c     the store: what its answers mean, lists, ranges
 *
 * Secrets: the account's key and the shared access signature stand in struct azure_account and in
 * what azure_sign makes, and nowhere else.
 *
 * Ownership: whatever is handed out lives in the arena that was given. All functions are thread
 * safe.
 */
#ifndef GLIS_STORE_AZURE_INT_H
#define GLIS_STORE_AZURE_INT_H

#include "store/s3_int.h"

/* The version of the protocol that is spoken: names that XML cannot say come escaped since then. */
#define AZURE_VERSION "2021-12-02"

struct azure_account {
    struct slice name;      /* "myaccount" */
    struct slice key;       /* the bytes that base64 says; empty: a shared access signature */
    struct slice key_text;  /* as it was given, so that it can be hidden */
    struct slice sas;       /* "sv=...&sig=...", without '?'; empty: the key */
    struct slice sas_sig;   /* the value of `sig` in it, so that it can be hidden */
    struct slice base_path; /* of the endpoint: "", or "/devstoreaccount1" */
};

/* Reads az://CONTAINER[/PREFIX] and what the environment says, by the names that Azure's own tools
 * read: AZURE_STORAGE_CONNECTION_STRING (AccountName, AccountKey, SharedAccessSignature,
 * BlobEndpoint, EndpointSuffix, DefaultEndpointsProtocol, UseDevelopmentStorage), and for what that
 * lacks AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN,
 * AZURE_STORAGE_SERVICE_ENDPOINT; REQUESTS_CA_BUNDLE; time-outs as s3_patience_read. GLIS_EINVALID
 * names the variable and what is wrong with it, never its value; GLIS_EDENIED when there is neither
 * key nor signature. */
int azure_settings_load(const struct s3_environment *environment, struct slice address,
                        struct arena *arena, struct s3_settings *out, struct azure_account *account)
    GLIS_CHECKED;

/* Signs one request ("Authorize with Shared Key", version 2015-02-21 and later), or appends the
 * shared access signature. Adds x-ms-version and x-ms-date. `request` is as for s3_sign, its key
 * with the prefix; its payload and hash are not looked at. GLIS_EINVALID as s3_sign. */
int azure_sign(const struct s3_settings *settings, const struct azure_account *account,
               int64_t now_ms, const struct s3_request *request, struct arena *arena,
               struct s3_signed *out) GLIS_CHECKED;
/* The text that Shared Key signs, of headers in lower case, for an escaped path that begins with
 * the account's name ("/myaccount/container/blob"); the published example is about it. */
struct slice azure_string_to_sign(const char *method, struct slice resource,
                                  const struct s3_pair *query, size_t n_query,
                                  const struct http_header *headers, size_t n_headers,
                                  size_t body_size, struct arena *arena);

/* A page of a container; next_marker is empty on the last. Errors as s3_xml_list. */
struct azure_list {
    struct store_object *objects;
    size_t n_objects;
    struct slice next_marker;
};
int azure_xml_list(struct slice body, struct arena *arena, struct azure_list *out) GLIS_CHECKED;
/* The body of Put Block List: these blocks, in base64, in this order. */
int azure_xml_write_blocks(struct buffer *out, const struct slice *ids, size_t n_ids) GLIS_CHECKED;

#endif
