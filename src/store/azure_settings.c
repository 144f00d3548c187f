/*
 * azure_settings.c: from az://CONTAINER/PREFIX and the environment to where a container is and what
 * to sign with.
 *
 * The variables are those of Azure's own command line. A connection string says all at once and
 * stands first; single variables add what it lacks. With neither an endpoint the account's name
 * makes the host (NAME.blob.core.windows.net). An endpoint that is an IP address or another host
 * bears the account in its path, as emulators have it (http://127.0.0.1:10000/devstoreaccount1);
 * what is given is taken as it is.
 *
 * No value is ever echoed: each may hold a secret.
 */
#include "store/azure_int.h"

#include "base/text.h"

enum { ACCOUNT_BYTES_MAX = 63, SAS_BYTES_MAX = 4096, KEY_BYTES_MAX = 256 };

/* The account of the emulators; its key is published with them and guards nothing. */
#define EMULATOR_ACCOUNT "devstoreaccount1"
#define EMULATOR_KEY \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define EMULATOR_ENDPOINT "http://127.0.0.1:10000/" EMULATOR_ACCOUNT

/* What was said, and by what. */
struct words {
    struct slice name, key, sas, endpoint;
    struct slice suffix, protocol;
    const char *key_where, *sas_where, *endpoint_where, *name_where;
};

static int read_connection(struct slice text, struct words *words);
static int read_name(const struct words *words, struct arena *arena, struct azure_account *out);
static int read_key(const struct words *words, struct arena *arena, struct azure_account *out);
static int read_sas(const struct words *words, struct arena *arena, struct azure_account *out);
static int read_place(const struct words *words, struct arena *arena, struct s3_settings *out,
                      struct azure_account *account);

/* Takes a variable's value unless there is one. */
static void add_variable(const struct s3_environment *environment, const char *variable,
                         struct slice *value, const char **where)
{
    const char *text = environment->get(environment, variable);
    if (value->size > 0 || !text || !*text) return;
    *value = slice_from_text(text);
    *where = variable;
}

int azure_settings_load(const struct s3_environment *environment, struct slice address,
                        struct arena *arena, struct s3_settings *out, struct azure_account *account)
{
    struct words words = {.suffix = SLICE("core.windows.net"), .protocol = SLICE("https")};
    memset(out, 0, sizeof(*out));
    memset(account, 0, sizeof(*account));
    TRY(s3_address_read("az", address, arena, out));
    const char *connection = environment->get(environment, "AZURE_STORAGE_CONNECTION_STRING");
    if (connection && *connection)
        TRY_CONTEXT(read_connection(slice_from_text(connection), &words),
                    "AZURE_STORAGE_CONNECTION_STRING");
    add_variable(environment, "AZURE_STORAGE_ACCOUNT", &words.name, &words.name_where);
    if (words.key.size == 0 && words.sas.size == 0) {
        /* A signature is given to somebody who shall not have the key: it stands first. */
        add_variable(environment, "AZURE_STORAGE_SAS_TOKEN", &words.sas, &words.sas_where);
        if (words.sas.size == 0)
            add_variable(environment, "AZURE_STORAGE_KEY", &words.key, &words.key_where);
    }
    add_variable(environment, "AZURE_STORAGE_SERVICE_ENDPOINT", &words.endpoint,
                 &words.endpoint_where);
    TRY(read_name(&words, arena, account));
    TRY(read_place(&words, arena, out, account));
    if (words.sas.size > 0)
        TRY_CONTEXT(read_sas(&words, arena, account), "%s", words.sas_where);
    else if (words.key.size > 0)
        TRY_CONTEXT(read_key(&words, arena, account), "%s", words.key_where);
    else
        return error_set(GLIS_EDENIED,
                         "no credentials for Azure Blob Storage: set AZURE_STORAGE_KEY, "
                         "AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING");
    out->region = SLICE("none");
    out->region_known = true;
    out->path_style = true;
    out->endpoint_given = true;
    const char *ca_file = environment->get(environment, "REQUESTS_CA_BUNDLE");
    if (ca_file && *ca_file) out->ca_file = arena_copy_text(arena, slice_from_text(ca_file));
    return s3_patience_read(environment, out);
}

/* NAME=VALUE, joined by ';'. Values may hold '='. */
static int read_connection(struct slice text, struct words *words)
{
    const struct {
        const char *name;
        struct slice *value;
        const char **where;
    } known[] = {
        {"AccountName", &words->name, &words->name_where},
        {"AccountKey", &words->key, &words->key_where},
        {"SharedAccessSignature", &words->sas, &words->sas_where},
        {"BlobEndpoint", &words->endpoint, &words->endpoint_where},
        {"EndpointSuffix", &words->suffix, NULL},
        {"DefaultEndpointsProtocol", &words->protocol, NULL},
    };
    bool emulator = false;
    while (text.size > 0) {
        const char *end = memchr(text.data, ';', text.size);
        struct slice item = end ? slice_part(text, 0, (size_t)(end - text.data)) : text;
        text = slice_part(text, item.size + (end != NULL), text.size);
        if (item.size == 0) continue;
        const char *equals = memchr(item.data, '=', item.size);
        if (!equals) return error_set(GLIS_EINVALID, "NAME=VALUE;NAME=VALUE;... is wanted");
        struct slice name = slice_part(item, 0, (size_t)(equals - item.data));
        struct slice value = slice_part(item, name.size + 1, item.size);
        if (slice_equal_text(name, "UseDevelopmentStorage"))
            emulator = slice_equal_text(value, "true");
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (!slice_equal_text(name, known[i].name)) continue;
            *known[i].value = value;
            if (known[i].where) *known[i].where = "AZURE_STORAGE_CONNECTION_STRING";
        }
    }
    if (emulator) {
        words->name = SLICE(EMULATOR_ACCOUNT);
        words->key = SLICE(EMULATOR_KEY);
        words->endpoint = SLICE(EMULATOR_ENDPOINT);
        words->name_where = words->key_where = words->endpoint_where =
            "AZURE_STORAGE_CONNECTION_STRING";
    }
    return 0;
}

static int read_name(const struct words *words, struct arena *arena, struct azure_account *out)
{
    bool good = words->name.size <= ACCOUNT_BYTES_MAX;
    for (size_t i = 0; good && i < words->name.size; i++) {
        char c = words->name.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    if (!good)
        return error_set(GLIS_EINVALID,
                         "%s: a storage account is named by small letters and digits",
                         words->name_where);
    if (words->name.size == 0 && (words->endpoint.size == 0 || words->sas.size == 0))
        return error_set(GLIS_EINVALID, "no storage account is named: set AZURE_STORAGE_ACCOUNT or "
                                        "AZURE_STORAGE_CONNECTION_STRING");
    out->name = arena_copy(arena, words->name);
    return 0;
}

static int read_key(const struct words *words, struct arena *arena, struct azure_account *out)
{
    defer_buffer struct buffer bytes = BUFFER_INIT(KEY_BYTES_MAX);
    int code = text_base64_decode(&bytes, words->key);
    if (code < 0 || bytes.size == 0) {
        error_clear(); /* it quotes the key */
        return error_set(GLIS_EINVALID, "an account key is base64; this is not");
    }
    out->key = arena_copy(arena, buffer_slice(&bytes));
    out->key_text = arena_copy(arena, words->key);
    explicit_bzero(bytes.data, bytes.size);
    return 0;
}

static int read_sas(const struct words *words, struct arena *arena, struct azure_account *out)
{
    struct slice sas = words->sas;
    if (slice_starts_with(sas, SLICE("?"))) sas = slice_part(sas, 1, sas.size);
    bool good = sas.size > 0 && sas.size <= SAS_BYTES_MAX;
    for (size_t i = 0; good && i < sas.size; i++)
        good = sas.data[i] > ' ' && sas.data[i] < 0x7f && sas.data[i] != '#' && sas.data[i] != '?';
    for (struct slice rest = sas; good && rest.size > 0;) {
        const char *end = memchr(rest.data, '&', rest.size);
        struct slice item = end ? slice_part(rest, 0, (size_t)(end - rest.data)) : rest;
        rest = slice_part(rest, item.size + (end != NULL), rest.size);
        if (slice_starts_with(item, SLICE("sig=")))
            out->sas_sig = arena_copy(arena, slice_part(item, 4, item.size));
    }
    if (!good || out->sas_sig.size == 0)
        return error_set(GLIS_EINVALID,
                         "a shared access signature is the text 'sv=...&sig=...', as it stands "
                         "behind the '?' of an address");
    out->sas = arena_copy(arena, sas);
    return 0;
}

static int read_place(const struct words *words, struct arena *arena, struct s3_settings *out,
                      struct azure_account *account)
{
    out->tls = true;
    account->base_path = SLICE_EMPTY;
    if (words->endpoint.size > 0) {
        TRY_CONTEXT(s3_endpoint_read(words->endpoint, arena, out, &account->base_path), "%s",
                    words->endpoint_where);
        return 0;
    }
    const char *url = arena_printf(arena, "%.*s://%.*s.blob.%.*s", SLICE_PRINT(words->protocol),
                                   SLICE_PRINT(account->name), SLICE_PRINT(words->suffix));
    TRY_CONTEXT(s3_endpoint_read(slice_from_text(url), arena, out, NULL),
                "AZURE_STORAGE_CONNECTION_STRING: protocol or suffix");
    return 0;
}
