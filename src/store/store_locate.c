/*
 * store_locate.c: from the address that a user writes to a store.
 *
 * An address is a path, or a URL: file://PATH with %XX escapes (RFC 8089; the host must be empty or
 * "localhost"), or s3://BUCKET/KEY or az://CONTAINER/KEY without escapes, as everybody writes it.
 * Anything that begins like another scheme is refused by that scheme's name, so that a mistyped or
 * future address never becomes a strange folder.
 */
#include "store/store_int.h"

#include "base/text.h"

static int address_path(struct slice address, struct arena *arena, char **out);
static struct slice address_scheme(struct slice address);
static int url_path(struct slice url, struct buffer *out);
static bool address_is_bucket(struct slice address);
static int locate_in_bucket(struct runtime *runtime, struct slice address, struct arena *arena,
                            struct store **out, struct slice *key);

/* What was copied from a browser or a portal with the signature behind it would otherwise become a
 * part of keys, and be shown with each of them. It is not shown here either. */
static int check_no_signature(struct slice address)
{
    static const char *const names[] = {"sig=", "Signature="};
    for (size_t at = 0; at + 4 < address.size; at++) {
        if (address.data[at] != '?' && address.data[at] != '&') continue;
        struct slice rest = slice_part(address, at + 1, address.size);
        if (slice_starts_with(rest, SLICE("X-Amz-"))) rest = slice_part(rest, 6, rest.size);
        if (slice_starts_with(rest, SLICE("X-Goog-"))) rest = slice_part(rest, 7, rest.size);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (slice_starts_with(rest, slice_from_text(names[i])))
                return error_set(GLIS_EINVALID,
                                 "an address of a bucket bears no signature; give it in the "
                                 "environment (AZURE_STORAGE_SAS_TOKEN, or keys)");
    }
    return 0;
}

static int open_bucket(struct runtime *runtime, struct slice address, unsigned flags,
                       struct store **out)
{
    TRY(check_no_signature(address));
    if (slice_equal_text(address_scheme(address), "az"))
        return store_azure_open(runtime, address, flags, out);
    return store_s3_open(runtime, address, flags, out);
}

int store_locate_root(struct runtime *runtime, struct slice address, unsigned local_flags,
                      struct store **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    char *path = NULL;
    if (address_is_bucket(address)) return open_bucket(runtime, address, local_flags, out);
    TRY(address_path(address, &arena, &path));
    return store_local_open(runtime, path, local_flags, out);
}

int store_locate(struct runtime *runtime, struct slice address, struct arena *arena,
                 struct store **out, struct slice *key)
{
    char *path = NULL;
    if (address_is_bucket(address)) return locate_in_bucket(runtime, address, arena, out, key);
    TRY(address_path(address, arena, &path));
    char *slash = strrchr(path, '/');
    *key = slice_from_text(slash ? slash + 1 : path);
    if (key->size == 0)
        return error_set(GLIS_EINVALID, "'%s' names a folder; a file is wanted", path);
    TRY_CONTEXT(store_key_check(*key), "address '%s'", path);
    const char *folder = ".";
    if (slash == path)
        folder = "/";
    else if (slash)
        folder = arena_copy_text(arena, slice_make(path, (size_t)(slash - path)));
    return store_local_open(runtime, folder, 0, out);
}

static bool address_is_bucket(struct slice address)
{
    struct slice scheme = address_scheme(address);
    return slice_equal_text(scheme, "s3") || slice_equal_text(scheme, "az");
}

struct slice store_bucket_address(struct slice address)
{
    if (!address_is_bucket(address)) return SLICE_EMPTY;
    return slice_part(address, strlen("s3://"), address.size);
}

/* The folder that the object lies in is the store, as with paths. */
static int locate_in_bucket(struct runtime *runtime, struct slice address, struct arena *arena,
                            struct store **out, struct slice *key)
{
    size_t start = strlen("s3://"), end = address.size;
    TRY(check_no_signature(address));
    while (end > start && address.data[end - 1] != '/')
        end--;
    if (end == start || end == address.size)
        return error_set(GLIS_EINVALID, "'%.*s' names a bucket or folder; an object is wanted",
                         SLICE_PRINT(address));
    *key = arena_copy(arena, slice_part(address, end, address.size));
    TRY_CONTEXT(store_key_check(*key), "address '%.*s'", SLICE_PRINT(address));
    return open_bucket(runtime, slice_part(address, 0, end - 1), 0, out);
}

int store_foreign_address(struct slice path, struct arena *arena, struct slice *out)
{
    defer_buffer struct buffer url = BUFFER_INIT(1 << 16);
    TRY(buffer_append_text(&url, "file://"));
    for (size_t i = 0; i < path.size; i++) {
        uint8_t c = (uint8_t)path.data[i];
        if (c > ' ' && c < 0x7f && c != '%' && c != '#' && c != '?')
            TRY(buffer_append_byte(&url, c));
        else
            TRY(buffer_printf(&url, "%%%02X", c));
    }
    struct slice key;
    TRY(store_foreign_key(buffer_slice(&url), arena, &key));
    *out = arena_copy(arena, buffer_slice(&url));
    return 0;
}

int store_foreign_key(struct slice address, struct arena *arena, struct slice *out)
{
    char *path;
    if (address_scheme(address).size == 0)
        return error_set(GLIS_EINVALID, "not an address: '%.*s'",
                         SLICE_PRINT(slice_part(address, 0, 200)));
    TRY(address_path(address, arena, &path));
    *out = slice_from_text(arena_printf(arena, STORE_FOREIGN_PREFIX "%s", path));
    return store_key_check(*out);
}

static int address_path(struct slice address, struct arena *arena, char **out)
{
    if (address.size == 0) return error_set(GLIS_EINVALID, "an address is empty");
    if (memchr(address.data, '\0', address.size))
        return error_set(GLIS_EINVALID, "an address contains a NUL byte");
    struct slice scheme = address_scheme(address);
    if (scheme.size == 0) {
        *out = arena_copy_text(arena, address);
        return 0;
    }
    if (!slice_equal_text(scheme, "file"))
        return error_set(GLIS_EUNSUPPORTED,
                         "addresses with '%.*s://' are not supported; a path, "
                         "file://PATH, s3://BUCKET/KEY or az://CONTAINER/KEY is",
                         SLICE_PRINT(scheme));
    defer_buffer struct buffer path = BUFFER_INIT(1 << 16);
    TRY_CONTEXT(url_path(slice_part(address, strlen("file://"), address.size), &path),
                "address '%.*s'", SLICE_PRINT(address));
    *out = arena_copy_text(arena, buffer_slice(&path));
    return 0;
}

/* "s3" of "s3://bucket/x"; empty when the address is a path. */
static struct slice address_scheme(struct slice address)
{
    size_t n = 0;
    while (n < address.size && ((address.data[n] >= 'a' && address.data[n] <= 'z') ||
                                (address.data[n] >= 'A' && address.data[n] <= 'Z') ||
                                (n > 0 && ((address.data[n] >= '0' && address.data[n] <= '9') ||
                                           address.data[n] == '+' || address.data[n] == '-' ||
                                           address.data[n] == '.'))))
        n++;
    if (n == 0 || !slice_starts_with(slice_part(address, n, address.size), SLICE("://")))
        return SLICE_EMPTY;
    return slice_part(address, 0, n);
}

static int url_path(struct slice url, struct buffer *out)
{
    if (slice_starts_with(url, SLICE("localhost/")))
        url = slice_part(url, strlen("localhost"), url.size);
    if (url.size == 0 || url.data[0] != '/')
        return error_set(GLIS_EINVALID, "an absolute path is wanted behind file://");
    for (size_t i = 0; i < url.size; i++) {
        if (url.data[i] != '%') {
            TRY(buffer_append_byte(out, (uint8_t)url.data[i]));
            continue;
        }
        if (url.size - i < 3) return error_set(GLIS_EINVALID, "the escape at its end is cut short");
        TRY(text_hex_decode(out, slice_part(url, i + 1, 2)));
        if (out->data[out->size - 1] == '\0')
            return error_set(GLIS_EINVALID, "it contains a NUL byte");
        i += 2;
    }
    return 0;
}
