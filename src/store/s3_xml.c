/*
 * s3_xml.c: the XML of S3 and of Azure's blobs, read by expat and written by hand.
 *
 * An answer is small and flat: a root, some plain fields, and items (Contents, Upload, Error) with
 * plain fields of their own. So one walker serves all of them: it keeps the path of open elements
 * and the text of the innermost, and calls back with (path of names below the root, text) when an
 * element without children ends, and when an item begins. Names are taken without a namespace
 * prefix, whatever the namespace: servers differ in it.
 *
 * Bytes come from outside: depth, number of items, length of a text and of the whole are bounded; a
 * document type ends the reading at once, so there are no entities that grow and none that read
 * files. What expat takes into memory is bounded by the body, which is in memory already.
 *
 * Keys come escaped (encoding-type=url), for XML 1.0 cannot say all that a key may hold. They are
 * escaped as in a form: '+' is a blank, as Amazon has it; a server that leaves '+' alone writes a
 * plus as %2B all the same.
 */
#include "store/azure_int.h"

#include "base/text.h"

#include <expat.h>

enum {
    XML_BYTES_MAX = 16 << 20,
    XML_DEPTH_MAX = 16,
    XML_ITEMS_MAX = 10000,
    XML_TEXT_BYTES_MAX = 8192,
    XML_NAME_BYTES_MAX = 64,
    DELETE_KEYS_MAX = 1000,
};

struct walker {
    XML_Parser parser;
    struct arena *arena;
    struct buffer text;
    char names[XML_DEPTH_MAX][XML_NAME_BYTES_MAX]; /* of the open elements, the root first */
    unsigned depth;
    bool encoded; /* the innermost says Encoded="true", as Azure does of names XML cannot say */
    bool leaf;    /* the innermost open element has had no child */
    size_t n_items;
    int code; /* the first failure */
    /* What the caller wants: `item` (may be NULL) names the repeated element below the root; field
     * is called with its parent's name ("" for the root) and its own. */
    const char *root, *other_root, *item;
    const char *around; /* NULL: items stand below the root; else below this one of its children */
    int (*begin_item)(struct walker *walker);
    int (*field)(struct walker *walker, const char *parent, const char *name, struct slice text);
    void *state;
};

static int walk(struct slice body, const char *what, struct walker *walker);
static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes);
static void XMLCALL on_end(void *data, const XML_Char *name);
static void XMLCALL on_text(void *data, const XML_Char *text, int size);
static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_subset);
static int read_bool(struct slice text, bool *out);
static int url_decode(struct slice text, struct arena *arena, struct slice *out);
static int url_decode_plainly(struct slice text, struct arena *arena, struct slice *out);
static int decode(struct slice text, bool form, struct arena *arena, struct slice *out);
static int grow(struct walker *walker, void **items, size_t item_bytes, size_t n);
static int write_escaped(struct buffer *out, struct slice text);

/* ---- errors ---- */

static int error_field(struct walker *walker, const char *parent, const char *name,
                       struct slice text)
{
    struct s3_error *error = walker->state;
    if (walker->depth != 2 && strcmp(parent, "Error") != 0) return 0;
    struct slice *field = !strcmp(name, "Code")         ? &error->code
                          : !strcmp(name, "Message")    ? &error->message
                          : !strcmp(name, "Key")        ? &error->key
                          : !strcmp(name, "Region")     ? &error->region
                          : !strcmp(name, "Endpoint")   ? &error->endpoint
                          : !strcmp(name, "ServerTime") ? &error->server_time
                          : !strcmp(name, "RequestId")  ? &error->request_id
                                                        : NULL;
    if (field) *field = arena_copy(walker->arena, text);
    return 0;
}

bool s3_xml_error(struct slice body, struct arena *arena, struct s3_error *out)
{
    memset(out, 0, sizeof(*out));
    struct error_detail before;
    error_save(&before);
    struct walker walker = {.arena = arena,
                            .root = "Error",
                            .other_root = "ErrorResponse", /* of the token service, one level up */
                            .field = error_field,
                            .state = out};
    bool is_error = walk(body, "an error", &walker) == 0 && out->code.size > 0;
    if (!is_error) memset(out, 0, sizeof(*out));
    if (before.code != 0)
        (void)error_load(&before);
    else
        error_clear();
    return is_error;
}

/* ---- lists ---- */

struct list_state {
    struct s3_list *out;
    bool url_encoded, has_size, has_key, has_truncated;
};

static int list_begin(struct walker *walker)
{
    struct list_state *state = walker->state;
    struct s3_list *out = state->out;
    TRY(grow(walker, (void **)&out->objects, sizeof(*out->objects), out->n_objects));
    out->n_objects++;
    return 0;
}

static int list_field(struct walker *walker, const char *parent, const char *name,
                      struct slice text)
{
    struct list_state *state = walker->state;
    struct s3_list *out = state->out;
    if (walker->depth == 2) {
        if (!strcmp(name, "IsTruncated")) {
            state->has_truncated = true;
            return read_bool(text, &out->truncated);
        }
        if (!strcmp(name, "NextContinuationToken"))
            out->continuation = arena_copy(walker->arena, text);
        if (!strcmp(name, "EncodingType")) state->url_encoded = slice_equal_text(text, "url");
        return 0;
    }
    if (walker->depth != 3 || strcmp(parent, "Contents") != 0) return 0;
    struct store_object *object = &out->objects[out->n_objects - 1];
    if (!strcmp(name, "Key")) object->key = arena_copy(walker->arena, text);
    if (!strcmp(name, "Size")) return text_parse_uint64(text, &object->size);
    if (!strcmp(name, "LastModified")) return s3_time_iso(text, &object->modified_ms);
    return 0;
}

int s3_xml_list(struct slice body, struct arena *arena, struct s3_list *out)
{
    memset(out, 0, sizeof(*out));
    struct list_state state = {.out = out};
    struct walker walker = {.arena = arena,
                            .root = "ListBucketResult",
                            .item = "Contents",
                            .begin_item = list_begin,
                            .field = list_field,
                            .state = &state};
    TRY(walk(body, "a list of objects", &walker));
    if (!state.has_truncated || (out->truncated && out->continuation.size == 0))
        return error_set(GLIS_EIO, "a list of objects that does not say whether it is whole");
    for (size_t i = 0; i < out->n_objects; i++) {
        if (out->objects[i].key.size == 0)
            return error_set(GLIS_EIO, "a list of objects with one that has no key");
        if (state.url_encoded) TRY(url_decode(out->objects[i].key, arena, &out->objects[i].key));
    }
    return 0;
}

/* ---- unfinished uploads ---- */

struct uploads_state {
    struct s3_uploads *out;
    bool url_encoded, has_truncated;
};

static int uploads_begin(struct walker *walker)
{
    struct uploads_state *state = walker->state;
    struct s3_uploads *out = state->out;
    TRY(grow(walker, (void **)&out->uploads, sizeof(*out->uploads), out->n_uploads));
    out->n_uploads++;
    return 0;
}

static int uploads_field(struct walker *walker, const char *parent, const char *name,
                         struct slice text)
{
    struct uploads_state *state = walker->state;
    struct s3_uploads *out = state->out;
    if (walker->depth == 2) {
        if (!strcmp(name, "IsTruncated")) {
            state->has_truncated = true;
            return read_bool(text, &out->truncated);
        }
        if (!strcmp(name, "NextKeyMarker")) out->next_key = arena_copy(walker->arena, text);
        if (!strcmp(name, "NextUploadIdMarker")) out->next_id = arena_copy(walker->arena, text);
        if (!strcmp(name, "EncodingType")) state->url_encoded = slice_equal_text(text, "url");
        return 0;
    }
    if (walker->depth != 3 || strcmp(parent, "Upload") != 0) return 0;
    struct store_unfinished *upload = &out->uploads[out->n_uploads - 1];
    if (!strcmp(name, "Key")) upload->key = arena_copy(walker->arena, text);
    if (!strcmp(name, "UploadId")) upload->id = arena_copy(walker->arena, text);
    if (!strcmp(name, "Initiated")) return s3_time_iso(text, &upload->begun_ms);
    return 0;
}

int s3_xml_uploads(struct slice body, struct arena *arena, struct s3_uploads *out)
{
    memset(out, 0, sizeof(*out));
    struct uploads_state state = {.out = out};
    struct walker walker = {.arena = arena,
                            .root = "ListMultipartUploadsResult",
                            .item = "Upload",
                            .begin_item = uploads_begin,
                            .field = uploads_field,
                            .state = &state};
    TRY(walk(body, "a list of uploads", &walker));
    if (!state.has_truncated || (out->truncated && out->next_key.size == 0))
        return error_set(GLIS_EIO, "a list of uploads that does not say whether it is whole");
    for (size_t i = 0; i < out->n_uploads; i++) {
        if (out->uploads[i].key.size == 0 || out->uploads[i].id.size == 0)
            return error_set(GLIS_EIO, "a list of uploads with one that has no key or no id");
        if (state.url_encoded) TRY(url_decode(out->uploads[i].key, arena, &out->uploads[i].key));
    }
    if (state.url_encoded) TRY(url_decode(out->next_key, arena, &out->next_key));
    return 0;
}

/* ---- uploads in parts ---- */

static int initiate_field(struct walker *walker, const char *parent, const char *name,
                          struct slice text)
{
    (void)parent;
    if (walker->depth == 2 && !strcmp(name, "UploadId"))
        *(struct slice *)walker->state = arena_copy(walker->arena, text);
    return 0;
}

int s3_xml_initiate(struct slice body, struct arena *arena, struct slice *id)
{
    *id = SLICE_EMPTY;
    struct walker walker = {.arena = arena,
                            .root = "InitiateMultipartUploadResult",
                            .field = initiate_field,
                            .state = id};
    TRY(walk(body, "the begin of an upload", &walker));
    if (id->size == 0) return error_set(GLIS_EIO, "the begin of an upload without an id");
    return 0;
}

static int ignored_field(struct walker *walker, const char *parent, const char *name,
                         struct slice text)
{
    (void)walker, (void)parent, (void)name, (void)text;
    return 0;
}

int s3_xml_complete(struct slice body, struct arena *arena, bool *done, struct s3_error *error)
{
    *done = false;
    while (body.size > 0 && strchr(" \t\r\n", body.data[0])) {
        if (body.data[0] == '\0') break;
        body = slice_part(body, 1, body.size);
    }
    if (s3_xml_error(body, arena, error)) return 0;
    struct walker walker = {
        .arena = arena, .root = "CompleteMultipartUploadResult", .field = ignored_field};
    TRY(walk(body, "the end of an upload", &walker));
    *done = true;
    return 0;
}

/* ---- removal of several ---- */

struct deleted_state {
    struct s3_error *errors;
    size_t n_errors;
};

static int deleted_begin(struct walker *walker)
{
    struct deleted_state *state = walker->state;
    TRY(grow(walker, (void **)&state->errors, sizeof(*state->errors), state->n_errors));
    state->n_errors++;
    return 0;
}

static int deleted_field(struct walker *walker, const char *parent, const char *name,
                         struct slice text)
{
    struct deleted_state *state = walker->state;
    if (walker->depth != 3 || strcmp(parent, "Error") != 0) return 0;
    struct s3_error *error = &state->errors[state->n_errors - 1];
    if (!strcmp(name, "Key")) error->key = arena_copy(walker->arena, text);
    if (!strcmp(name, "Code")) error->code = arena_copy(walker->arena, text);
    if (!strcmp(name, "Message")) error->message = arena_copy(walker->arena, text);
    return 0;
}

int s3_xml_deleted(struct slice body, struct arena *arena, struct s3_error **errors,
                   size_t *n_errors)
{
    struct deleted_state state = {NULL, 0};
    struct walker walker = {.arena = arena,
                            .root = "DeleteResult",
                            .item = "Error",
                            .begin_item = deleted_begin,
                            .field = deleted_field,
                            .state = &state};
    *errors = NULL;
    *n_errors = 0;
    TRY(walk(body, "the answer to a removal", &walker));
    *errors = state.errors;
    *n_errors = state.n_errors;
    return 0;
}

/* ---- lists and blocks of Azure ---- */

struct azure_list_state {
    struct azure_list *out;
    bool encoded, whole;
};

static int azure_list_begin(struct walker *walker)
{
    struct azure_list_state *state = walker->state;
    struct azure_list *out = state->out;
    TRY(grow(walker, (void **)&out->objects, sizeof(*out->objects), out->n_objects));
    out->n_objects++;
    return 0;
}

static int azure_list_field(struct walker *walker, const char *parent, const char *name,
                            struct slice text)
{
    struct azure_list_state *state = walker->state;
    struct azure_list *out = state->out;
    if (walker->depth == 2) {
        if (!strcmp(name, "NextMarker")) {
            state->whole = true;
            out->next_marker = arena_copy(walker->arena, text);
        }
        return 0;
    }
    if (out->n_objects == 0 || strcmp(walker->names[2], "Blob") != 0) return 0;
    struct store_object *object = &out->objects[out->n_objects - 1];
    if (walker->depth == 4 && !strcmp(name, "Name")) {
        object->key = arena_copy(walker->arena, text);
        return walker->encoded ? url_decode_plainly(object->key, walker->arena, &object->key) : 0;
    }
    if (walker->depth != 5 || strcmp(parent, "Properties") != 0) return 0;
    if (!strcmp(name, "Content-Length")) return text_parse_uint64(text, &object->size);
    if (!strcmp(name, "Last-Modified")) return s3_time_http(text, &object->modified_ms);
    if (!strcmp(name, "ResourceType") && slice_equal_text(text, "directory"))
        return error_set(GLIS_EIO, "the account has a hierarchical namespace, which lists folders "
                                   "as objects and in another order; Glis needs one without");
    return 0;
}

int azure_xml_list(struct slice body, struct arena *arena, struct azure_list *out)
{
    memset(out, 0, sizeof(*out));
    struct azure_list_state state = {.out = out};
    struct walker walker = {.arena = arena,
                            .root = "EnumerationResults",
                            .around = "Blobs",
                            .item = "Blob",
                            .begin_item = azure_list_begin,
                            .field = azure_list_field,
                            .state = &state};
    TRY(walk(body, "a list of blobs", &walker));
    if (!state.whole)
        return error_set(GLIS_EIO, "a list of blobs that does not say whether it is whole");
    for (size_t i = 0; i < out->n_objects; i++)
        if (out->objects[i].key.size == 0)
            return error_set(GLIS_EIO, "a list of blobs with one that has no name");
    return 0;
}

int azure_xml_write_blocks(struct buffer *out, const struct slice *ids, size_t n_ids)
{
    TRY(buffer_append_text(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>"));
    for (size_t i = 0; i < n_ids; i++) {
        TRY(buffer_append_text(out, "<Latest>"));
        TRY(write_escaped(out, ids[i]));
        TRY(buffer_append_text(out, "</Latest>"));
    }
    return buffer_append_text(out, "</BlockList>");
}

/* ---- temporary credentials of a web identity ---- */

static int assumed_field(struct walker *walker, const char *parent, const char *name,
                         struct slice text)
{
    struct s3_credentials *out = walker->state;
    if (strcmp(parent, "Credentials") != 0) return 0;
    if (!strcmp(name, "AccessKeyId")) out->access_key = arena_copy(walker->arena, text);
    if (!strcmp(name, "SecretAccessKey")) out->secret_key = arena_copy(walker->arena, text);
    if (!strcmp(name, "SessionToken")) out->session_token = arena_copy(walker->arena, text);
    if (!strcmp(name, "Expiration")) return s3_time_iso(text, &out->expires_ms);
    return 0;
}

int s3_xml_assumed(struct slice body, struct arena *arena, struct s3_credentials *out)
{
    memset(out, 0, sizeof(*out));
    struct walker walker = {.arena = arena,
                            .root = "AssumeRoleWithWebIdentityResponse",
                            .field = assumed_field,
                            .state = out};
    TRY(walk(body, "temporary credentials", &walker));
    if (out->access_key.size == 0 || out->secret_key.size == 0 || out->session_token.size == 0)
        return error_set(GLIS_EIO, "temporary credentials that are not whole");
    return 0;
}

/* ---- writing ---- */

int s3_xml_write_delete(struct buffer *out, const struct slice *keys, size_t n_keys)
{
    if (n_keys == 0 || n_keys > DELETE_KEYS_MAX)
        return error_set(GLIS_EINVALID, "a removal of %zu objects at once; 1 to %d are allowed",
                         n_keys, DELETE_KEYS_MAX);
    TRY(buffer_append_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\""
                                "http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"));
    for (size_t i = 0; i < n_keys; i++) {
        TRY(buffer_append_text(out, "<Object><Key>"));
        TRY_CONTEXT(write_escaped(out, keys[i]), "key %.*s", SLICE_PRINT(keys[i]));
        TRY(buffer_append_text(out, "</Key></Object>"));
    }
    return buffer_append_text(out, "</Delete>");
}

int s3_xml_write_complete(struct buffer *out, const struct slice *etags, size_t n_etags)
{
    TRY(buffer_append_text(out,
                           "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUpload "
                           "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    for (size_t i = 0; i < n_etags; i++) {
        TRY(buffer_printf(out, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1));
        TRY_CONTEXT(write_escaped(out, etags[i]), "the etag of part %zu", i + 1);
        TRY(buffer_append_text(out, "</ETag></Part>"));
    }
    return buffer_append_text(out, "</CompleteMultipartUpload>");
}

/* XML 1.0 has no way to say most control characters, U+FFFE and U+FFFF, nor what is not UTF-8; a
 * line end or a tab would come back as a blank unless it is written as a reference. */
static int write_escaped(struct buffer *out, struct slice text)
{
    if (!text_is_utf8(text, NULL))
        return error_set(GLIS_EINVALID, "text that is not UTF-8 cannot stand in XML");
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') ||
            (c == 0xef && (slice_starts_with(slice_part(text, i, 3), SLICE("\xef\xbf\xbe")) ||
                           slice_starts_with(slice_part(text, i, 3), SLICE("\xef\xbf\xbf")))))
            return error_set(GLIS_EINVALID, "XML cannot say a character of it");
        const char *reference = c == '&'    ? "&amp;"
                                : c == '<'  ? "&lt;"
                                : c == '>'  ? "&gt;"
                                : c == '"'  ? "&quot;"
                                : c == '\'' ? "&apos;"
                                            : NULL;
        if (reference)
            TRY(buffer_append_text(out, reference));
        else if (c < 0x20 || c == 0x7f)
            TRY(buffer_printf(out, "&#%u;", c));
        else
            TRY(buffer_append_byte(out, c));
    }
    return 0;
}

/* ---- the walker ---- */

static int fail(struct walker *walker, int code)
{
    if (walker->code == 0) walker->code = code;
    XML_StopParser(walker->parser, XML_FALSE);
    return code;
}

static int walk(struct slice body, const char *what, struct walker *walker)
{
    if (body.size > XML_BYTES_MAX)
        return error_set(GLIS_EIO, "%s of %zu bytes; at most %d are read", what, body.size,
                         XML_BYTES_MAX);
    buffer_init(&walker->text, XML_TEXT_BYTES_MAX, NULL);
    walker->parser = XML_ParserCreate(NULL);
    ASSERT(walker->parser != NULL);
    XML_SetUserData(walker->parser, walker);
    XML_SetElementHandler(walker->parser, on_start, on_end);
    XML_SetCharacterDataHandler(walker->parser, on_text);
    XML_SetStartDoctypeDeclHandler(walker->parser, on_doctype);
    enum XML_Status status =
        XML_Parse(walker->parser, body.data ? body.data : "", (int)body.size, XML_TRUE);
    int code = walker->code;
    if (code == 0 && status != XML_STATUS_OK)
        code = error_set(GLIS_EIO, "line %lu: %s",
                         (unsigned long)XML_GetCurrentLineNumber(walker->parser),
                         XML_ErrorString(XML_GetErrorCode(walker->parser)));
    XML_ParserFree(walker->parser);
    buffer_free(&walker->text);
    if (code != 0) {
        error_context("%s in XML", what);
        return code == GLIS_EIO ? code : error_set(GLIS_EIO, "%s", error_message());
    }
    return 0;
}

static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    struct walker *walker = data;
    name = local_name(name);
    if (walker->code != 0) return;
    walker->encoded = false;
    for (; attributes[0]; attributes += 2)
        if (!strcmp(attributes[0], "Encoded") && !strcmp(attributes[1], "true"))
            walker->encoded = true;
    if (walker->depth == XML_DEPTH_MAX) {
        fail(walker, error_set(GLIS_EIO, "elements nested deeper than %d", XML_DEPTH_MAX));
        return;
    }
    if (strlen(name) >= XML_NAME_BYTES_MAX) {
        fail(walker, error_set(GLIS_EIO, "a name of an element that is too long"));
        return;
    }
    if (walker->depth == 0 && strcmp(name, walker->root) != 0 &&
        !(walker->other_root && strcmp(name, walker->other_root) == 0)) {
        fail(walker, error_set(GLIS_EIO, "<%s> instead of <%s>", name, walker->root));
        return;
    }
    memcpy(walker->names[walker->depth], name, strlen(name) + 1);
    walker->depth++;
    walker->leaf = true;
    buffer_clear(&walker->text);
    bool in_place = walker->around ? walker->depth == 3 && !strcmp(walker->names[1], walker->around)
                                   : walker->depth == 2;
    if (in_place && walker->item && !strcmp(name, walker->item)) {
        if (++walker->n_items > XML_ITEMS_MAX)
            fail(walker, error_set(GLIS_EIO, "more than %d items", XML_ITEMS_MAX));
        else if (walker->begin_item(walker) < 0)
            fail(walker, GLIS_EIO);
    }
}

static void XMLCALL on_end(void *data, const XML_Char *name)
{
    struct walker *walker = data;
    (void)name;
    if (walker->code != 0 || walker->depth == 0) return;
    const char *own = walker->names[walker->depth - 1];
    const char *parent = walker->depth > 2 ? walker->names[walker->depth - 2] : "";
    if (walker->leaf) {
        int code = walker->field(walker, parent, own, buffer_slice(&walker->text));
        if (code < 0) {
            error_context("<%s>", own);
            fail(walker, code);
        }
    }
    walker->leaf = false;
    walker->depth--;
    buffer_clear(&walker->text);
}

static void XMLCALL on_text(void *data, const XML_Char *text, int size)
{
    struct walker *walker = data;
    if (walker->code != 0 || size <= 0) return;
    if (buffer_append(&walker->text, text, (size_t)size) < 0)
        fail(walker, error_set(GLIS_EIO, "a text of more than %d bytes", XML_TEXT_BYTES_MAX));
}

static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_subset)
{
    (void)name, (void)system_id, (void)public_id, (void)has_subset;
    fail(data, error_set(GLIS_EIO, "a document type, which no S3 server sends"));
}

static int read_bool(struct slice text, bool *out)
{
    TRY(text_parse_bool(text, out));
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static int url_decode(struct slice text, struct arena *arena, struct slice *out)
{
    return decode(text, true, arena, out);
}

static int url_decode_plainly(struct slice text, struct arena *arena, struct slice *out)
{
    return decode(text, false, arena, out);
}

/* With `form`, '+' is a blank. */
static int decode(struct slice text, bool form, struct arena *arena, struct slice *out)
{
    char *decoded = arena_alloc(arena, text.size + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
            if (low < 0)
                return error_set(GLIS_EIO, "a key with a damaged escape: '%.*s'",
                                 SLICE_PRINT(slice_part(text, 0, 200)));
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && form) {
            c = ' ';
        }
        decoded[n++] = c;
    }
    decoded[n] = '\0';
    *out = slice_make(decoded, n);
    return 0;
}

/* Room for one more item behind `n`, cleared; doubles, so the arena holds at most twice as much. */
static int grow(struct walker *walker, void **items, size_t item_bytes, size_t n)
{
    if (n == 0 || (n >= 16 && (n & (n - 1)) == 0)) {
        size_t capacity = n < 16 ? 16 : 2 * n;
        void *larger;
        TRY(arena_try_alloc(walker->arena, capacity * item_bytes, &larger));
        memset(larger, 0, capacity * item_bytes);
        if (n > 0) memcpy(larger, *items, n * item_bytes);
        *items = larger;
    }
    return 0;
}
