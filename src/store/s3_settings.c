/*
 * s3_settings.c: from s3://BUCKET/PREFIX to where the bucket is and how long to wait for it.
 *
 * The address says what, the environment and the shared files say where: the same names that
 * Amazon's own tools read, so that an instance is reached from any place where those work, and an
 * address can be written down without the things that differ between places. Names of Glis's own
 * (GLIS_S3_...) exist only where there is no common one.
 *
 * Values are never echoed when they may hold a password (an endpoint with user and password in it).
 */
#include "store/s3_int.h"

#include "base/text.h"

#include <stdlib.h>

enum {
    BUCKET_BYTES_MIN = 3,
    BUCKET_BYTES_MAX = 255,
    REGION_BYTES_MAX = 63,
    CONNECT_TIMEOUT_MS = 5000,
    ANSWER_TIMEOUT_MS = 30000,
    LEAST_BYTES_PER_SECOND = 256 << 10,
    CONNECTIONS_MAX = 64,
    TRIES_MAX = 8,
    PART_BYTES = 16 << 20,
};

static int read_region(struct slice region, struct arena *arena, struct s3_settings *out);
static int read_style(struct slice style, struct s3_settings *out, bool *known);
static int read_service(struct slice service, struct s3_settings *out);

/* One word from the first variable that is set, else from the profile; `where` names it. */
struct word {
    struct slice value;
    const char *where;
    bool found;
};
static struct word find_word(const struct s3_environment *environment,
                             const struct s3_profile *profile, const char *const *variables,
                             const char *setting, struct arena *arena);

int s3_settings_load(const struct s3_environment *environment, struct slice address,
                     struct arena *arena, struct s3_settings *out)
{
    memset(out, 0, sizeof(*out));
    TRY(s3_address_read("s3", address, arena, out));
    struct s3_profile profile;
    TRY(s3_profile_load(environment, arena, &profile));
    out->profile = profile.name;

    static const char *const region_names[] = {"AWS_REGION", "AWS_DEFAULT_REGION", NULL};
    static const char *const endpoint_names[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", NULL};
    static const char *const style_names[] = {"GLIS_S3_ADDRESSING", NULL};
    static const char *const ca_names[] = {"AWS_CA_BUNDLE", NULL};

    out->region = SLICE("us-east-1");
    struct word word = find_word(environment, &profile, region_names, "region", arena);
    if (word.found) {
        TRY_CONTEXT(read_region(word.value, arena, out), "%s", word.where);
        out->region_known = true;
    }
    out->tls = true;
    word = find_word(environment, &profile, endpoint_names, "endpoint_url", arena);
    const char *ignored = environment->get(environment, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if (word.found && !(ignored && strcasecmp(ignored, "true") == 0)) {
        TRY_CONTEXT(s3_endpoint_read(word.value, arena, out, NULL), "%s", word.where);
        out->endpoint_given = true;
        out->google = slice_ends_with(out->host, SLICE("storage.googleapis.com"));
    } else {
        s3_settings_follow(out, out->region, arena);
    }
    const char *service = environment->get(environment, "GLIS_S3_SERVICE");
    if (service && *service)
        TRY_CONTEXT(read_service(slice_from_text(service), out), "GLIS_S3_SERVICE");
    if (out->google && !out->region_known) {
        out->region = SLICE("auto");
        out->region_known = true; /* nothing is to be followed there */
    }
    bool style_known = false;
    word = find_word(environment, &profile, style_names, "s3.addressing_style", arena);
    if (word.found) TRY_CONTEXT(read_style(word.value, out, &style_known), "%s", word.where);
    if (!style_known)
        out->path_style =
            out->endpoint_given || (out->tls && memchr(out->bucket.data, '.', out->bucket.size));
    word = find_word(environment, &profile, ca_names, "ca_bundle", arena);
    if (word.found) out->ca_file = arena_copy_text(arena, word.value);
    return s3_patience_read(environment, out);
}

void s3_settings_follow(struct s3_settings *settings, struct slice region, struct arena *arena)
{
    settings->region = arena_copy(arena, region);
    if (settings->endpoint_given) return;
    bool china = slice_starts_with(region, SLICE("cn-"));
    settings->host = slice_from_text(
        arena_printf(arena, "s3.%.*s.amazonaws.com%s", SLICE_PRINT(region), china ? ".cn" : ""));
}

bool s3_region_is_valid(struct slice region)
{
    if (region.size == 0 || region.size > REGION_BYTES_MAX) return false;
    for (size_t i = 0; i < region.size; i++) {
        char c = region.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return true;
}

int s3_address_read(const char *scheme, struct slice address, struct arena *arena,
                    struct s3_settings *out)
{
    size_t begin = strlen(scheme) + 3;
    if (!slice_starts_with(address, slice_from_text(scheme)) ||
        !slice_equal_text(slice_part(address, begin - 3, 3), "://"))
        return error_set(GLIS_EINVALID, "'%.*s' does not begin with %s://",
                         SLICE_PRINT(slice_part(address, 0, 200)), scheme);
    struct slice rest = slice_part(address, begin, address.size);
    const char *slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
    struct slice bucket = slash ? slice_part(rest, 0, (size_t)(slash - rest.data)) : rest;
    struct slice prefix = slash ? slice_part(rest, bucket.size + 1, rest.size) : SLICE_EMPTY;
    bool good = bucket.size >= BUCKET_BYTES_MIN && bucket.size <= BUCKET_BYTES_MAX;
    for (size_t i = 0; good && i < bucket.size; i++) {
        char c = bucket.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool inner = i > 0 && i + 1 < bucket.size;
        good =
            letter || (inner && (c == '-' || c == '_' || (c == '.' && bucket.data[i - 1] != '.')));
    }
    if (!good)
        return error_set(GLIS_EINVALID,
                         "'%.*s' is no name of a bucket: 3 or more letters, digits and, inside, "
                         "'-', '_' and '.' are wanted in %s://BUCKET/PREFIX",
                         SLICE_PRINT(slice_part(bucket, 0, 200)), scheme);
    while (prefix.size > 0 && prefix.data[prefix.size - 1] == '/')
        prefix.size--;
    out->bucket = arena_copy(arena, bucket);
    out->prefix = SLICE_EMPTY;
    if (prefix.size == 0) return 0;
    TRY_CONTEXT(store_key_check(prefix), "the prefix in %s://%.*s", scheme, SLICE_PRINT(bucket));
    out->prefix = slice_from_text(arena_printf(arena, "%.*s/", SLICE_PRINT(prefix)));
    return 0;
}

static struct word find_word(const struct s3_environment *environment,
                             const struct s3_profile *profile, const char *const *variables,
                             const char *setting, struct arena *arena)
{
    for (; *variables; variables++) {
        const char *value = environment->get(environment, *variables);
        if (value && *value) return (struct word){slice_from_text(value), *variables, true};
    }
    const struct s3_profile_item *item = s3_profile_find(profile, setting);
    if (!item || item->value.size == 0) return (struct word){SLICE_EMPTY, NULL, false};
    return (struct word){
        item->value, arena_printf(arena, "%s: line %u: %s", item->file, item->line, setting), true};
}

/* User names and queries have no place in it. */
int s3_endpoint_read(struct slice url, struct arena *arena, struct s3_settings *out,
                     struct slice *path)
{
    if (slice_starts_with(url, SLICE("https://")))
        url = slice_part(url, 8, url.size);
    else if (slice_starts_with(url, SLICE("http://"))) {
        url = slice_part(url, 7, url.size);
        out->tls = false;
    } else
        return error_set(GLIS_EINVALID,
                         "an address that begins with http:// or https:// is wanted");
    if (url.size > 0 && url.data[url.size - 1] == '/') url.size--;
    const char *slash = path && url.size > 0 ? memchr(url.data, '/', url.size) : NULL;
    struct slice behind =
        slash ? slice_part(url, (size_t)(slash - url.data), url.size) : SLICE_EMPTY;
    url.size -= behind.size;
    size_t host_size = 0;
    if (url.size > 0 && url.data[0] == '[') {
        const char *end = memchr(url.data, ']', url.size);
        host_size = end ? (size_t)(end - url.data) + 1 : 0;
    } else {
        const char *colon = url.size > 0 ? memchr(url.data, ':', url.size) : NULL;
        host_size = colon ? (size_t)(colon - url.data) : url.size;
    }
    bool good = host_size > 0 && host_size <= 255;
    for (size_t i = 0; good && i < host_size; i++) {
        char c = url.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_' ||
               (url.data[0] == '[' && (c == ':' || c == '[' || c == ']'));
    }
    for (size_t i = 0; good && i < behind.size; i++) {
        char c = behind.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '/';
    }
    struct slice port = slice_part(url, host_size, url.size);
    int64_t number = 0;
    if (good && port.size > 0)
        good = port.data[0] == ':' &&
               text_parse_int_between(slice_part(port, 1, port.size), 1, 65535, &number) == 0;
    if (!good)
        return error_set(GLIS_EINVALID,
                         "scheme, host and port are wanted, as in http://127.0.0.1:7480, without "
                         "user, path or query");
    if (number == (out->tls ? 443 : 80)) number = 0;
    out->host = arena_copy(arena, slice_part(url, 0, host_size));
    out->port = (uint16_t)number;
    if (path) *path = arena_copy(arena, behind);
    return 0;
}

static int read_service(struct slice service, struct s3_settings *out)
{
    out->google = slice_equal_text(service, "google");
    if (!out->google && !slice_equal_text(service, "amazon"))
        return error_set(GLIS_EINVALID, "'%.*s' is none of amazon, google",
                         SLICE_PRINT(slice_part(service, 0, 64)));
    return 0;
}

static int read_region(struct slice region, struct arena *arena, struct s3_settings *out)
{
    if (!s3_region_is_valid(region))
        return error_set(GLIS_EINVALID, "'%.*s' is no name of a region",
                         SLICE_PRINT(slice_part(region, 0, 64)));
    out->region = arena_copy(arena, region);
    return 0;
}

static int read_style(struct slice style, struct s3_settings *out, bool *known)
{
    *known = !slice_equal_text(style, "auto");
    out->path_style = slice_equal_text(style, "path");
    if (*known && !out->path_style && !slice_equal_text(style, "virtual"))
        return error_set(GLIS_EINVALID, "'%.*s' is none of path, virtual, auto",
                         SLICE_PRINT(slice_part(style, 0, 64)));
    return 0;
}

static int read_duration(const struct s3_environment *environment, const char *name,
                         int64_t *out_ms)
{
    const char *value = environment->get(environment, name);
    if (!value || !*value) return 0;
    TRY_CONTEXT(text_parse_duration(slice_from_text(value), 1000, out_ms), "%s", name);
    if (*out_ms < 1 || *out_ms > 3600000)
        return error_set(GLIS_EINVALID, "%s: 1ms to 1h is wanted", name);
    return 0;
}

int s3_patience_read(const struct s3_environment *environment, struct s3_settings *out)
{
    out->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    out->answer_timeout_ms = ANSWER_TIMEOUT_MS;
    out->least_bytes_per_second = LEAST_BYTES_PER_SECOND;
    out->connections_max = CONNECTIONS_MAX;
    out->tries_max = TRIES_MAX;
    out->part_bytes = PART_BYTES;
    TRY(read_duration(environment, "GLIS_S3_CONNECT_TIMEOUT", &out->connect_timeout_ms));
    TRY(read_duration(environment, "GLIS_S3_TIMEOUT", &out->answer_timeout_ms));
    static const struct {
        const char *name;
        unsigned max;
        size_t offset;
    } counts[] = {
        {"GLIS_S3_CONNECTIONS", 1024, offsetof(struct s3_settings, connections_max)},
        {"GLIS_S3_TRIES", 100, offsetof(struct s3_settings, tries_max)},
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const char *value = environment->get(environment, counts[i].name);
        int64_t number;
        if (!value || !*value) continue;
        TRY_CONTEXT(text_parse_int_between(slice_from_text(value), 1, counts[i].max, &number), "%s",
                    counts[i].name);
        *(unsigned *)((char *)out + counts[i].offset) = (unsigned)number;
    }
    return 0;
}
