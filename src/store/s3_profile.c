/*
 * s3_profile.c: the files that Amazon's tools share: ~/.aws/credentials and ~/.aws/config.
 *
 * They are ini files: "[name]" in the first, "[profile name]" in the second ("[default]" in both),
 * then "setting = value"; '#' and ';' begin a comment at a line's begin, or after a blank. Settings
 * below one with an empty value, indented, belong to it: they come out as "s3.addressing_style".
 * Other kinds of section ("[sso-session x]", "[services x]") are passed over. Names of settings are
 * taken without regard to case; when a setting stands twice, the later one counts, and what is in
 * credentials counts before what is in config.
 *
 * A line that cannot be understood is named by its number only: it may hold a secret.
 */
#include "store/s3_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROFILE_FILE_BYTES_MAX = 1 << 20, PROFILE_ITEMS_MAX = 1000 };

struct reading {
    struct arena *arena;
    struct s3_profile *out;
    const char *file;
    bool is_config;
    size_t first;         /* of this file's items */
    bool in_section;      /* of our profile */
    struct slice nesting; /* the setting whose nested ones follow; empty: none */
    bool in_continuation; /* indented lines go on a value, which we have no use for */
};

static int load_file(const struct s3_environment *environment, const char *variable,
                     const char *in_home, bool is_config, struct arena *arena,
                     struct s3_profile *out);
static int read_line(struct reading *reading, unsigned number, struct slice line);
static int read_section(struct reading *reading, struct slice line);
static int add_item(struct reading *reading, unsigned number, struct slice name,
                    struct slice value);
static struct slice trim(struct slice text);

static const char *get(const struct s3_environment *environment, const char *name)
{
    const char *value = environment->get(environment, name);
    return value && *value ? value : NULL;
}

static const char *system_get(const struct s3_environment *environment, const char *name)
{
    (void)environment;
    return getenv(name);
}

const struct s3_environment *s3_environment_system(void)
{
    static const struct s3_environment system = {.get = system_get};
    return &system;
}

int s3_profile_load(const struct s3_environment *environment, struct arena *arena,
                    struct s3_profile *out)
{
    memset(out, 0, sizeof(*out));
    const char *name = get(environment, "AWS_PROFILE");
    if (!name) name = get(environment, "AWS_DEFAULT_PROFILE");
    out->name = arena_copy_text(arena, slice_from_text(name ? name : "default"));
    out->items = ARENA_ARRAY(arena, struct s3_profile_item, PROFILE_ITEMS_MAX);
    TRY(load_file(environment, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", false, arena,
                  out));
    return load_file(environment, "AWS_CONFIG_FILE", ".aws/config", true, arena, out);
}

const struct s3_profile_item *s3_profile_find(const struct s3_profile *profile, const char *name)
{
    for (size_t i = 0; i < profile->n_items; i++)
        if (slice_equal_text(profile->items[i].name, name)) return &profile->items[i];
    return NULL;
}

int s3_file_read(const char *path, size_t max_bytes, struct arena *arena, struct slice *out)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return error_set_errno(errno, "%s", path);
    char *bytes = arena_alloc(arena, max_bytes + 1);
    size_t size = 0;
    int code = 0;
    while (code == 0 && size <= max_bytes) {
        ssize_t n = read(file, bytes + size, max_bytes + 1 - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) code = error_set_errno(errno, "%s", path);
        if (n <= 0) break;
        size += (size_t)n;
    }
    close(file);
    if (code == 0 && size > max_bytes)
        code = error_set(GLIS_EINVALID, "%s: more than %zu bytes", path, max_bytes);
    *out = slice_make(bytes, size);
    return code;
}

static int load_file(const struct s3_environment *environment, const char *variable,
                     const char *in_home, bool is_config, struct arena *arena,
                     struct s3_profile *out)
{
    const char *path = get(environment, variable);
    if (!path) {
        const char *home = get(environment, "HOME");
        if (!home) return 0;
        path = arena_printf(arena, "%s/%s", home, in_home);
    }
    struct slice text;
    defer_arena struct arena scratch = ARENA_EMPTY;
    int code = s3_file_read(path, PROFILE_FILE_BYTES_MAX, &scratch, &text);
    if (code == GLIS_ENOTFOUND) {
        error_clear();
        return 0;
    }
    if (code < 0) return code;
    text = arena_copy(arena, text);
    struct reading reading = {.arena = arena,
                              .out = out,
                              .file = arena_copy_text(arena, slice_from_text(path)),
                              .is_config = is_config,
                              .first = out->n_items};
    unsigned number = 1;
    for (size_t at = 0; at < text.size; number++) {
        const char *end = memchr(text.data + at, '\n', text.size - at);
        size_t size = end ? (size_t)(end - text.data) - at : text.size - at;
        TRY_CONTEXT(read_line(&reading, number, slice_part(text, at, size)), "%s: line %u", path,
                    number);
        at += size + 1;
    }
    return 0;
}

static int read_line(struct reading *reading, unsigned number, struct slice line)
{
    bool indented = line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
    if (line.size > 0 && memchr(line.data, '\0', line.size))
        return error_set(GLIS_EINVALID, "a NUL byte");
    line = trim(line);
    if (line.size == 0 || line.data[0] == '#' || line.data[0] == ';') return 0;
    if (line.data[0] == '[' && !indented) return read_section(reading, line);
    if (!reading->in_section) return 0;
    if (indented && reading->in_continuation && reading->nesting.size == 0) return 0;
    const char *equals = memchr(line.data, '=', line.size);
    if (!equals || equals == line.data)
        return error_set(GLIS_EINVALID, "neither a section nor 'setting = value'");
    struct slice name = trim(slice_make(line.data, (size_t)(equals - line.data)));
    struct slice value = trim(slice_part(line, (size_t)(equals - line.data) + 1, line.size));
    for (size_t i = 0; i + 1 < value.size; i++)
        if ((value.data[i] == ' ' || value.data[i] == '\t') &&
            (value.data[i + 1] == '#' || value.data[i + 1] == ';')) {
            value = trim(slice_part(value, 0, i));
            break;
        }
    char *lower = arena_copy_text(reading->arena, name);
    for (size_t i = 0; i < name.size; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z') lower[i] += 'a' - 'A';
    if (indented && reading->nesting.size > 0) {
        lower = arena_printf(reading->arena, "%.*s.%s", SLICE_PRINT(reading->nesting), lower);
    } else {
        reading->nesting = value.size == 0 ? slice_from_text(lower) : SLICE_EMPTY;
        reading->in_continuation = true;
    }
    return add_item(reading, number, slice_from_text(lower), value);
}

static int read_section(struct reading *reading, struct slice line)
{
    const char *end = memchr(line.data, ']', line.size);
    if (!end) return error_set(GLIS_EINVALID, "a section without its ']'");
    struct slice name = trim(slice_make(line.data + 1, (size_t)(end - line.data) - 1));
    bool is_default = slice_equal_text(name, "default");
    if (reading->is_config && !is_default) {
        bool is_profile = slice_starts_with(name, SLICE("profile ")) ||
                          slice_starts_with(name, SLICE("profile\t"));
        name = is_profile ? trim(slice_part(name, 8, name.size)) : SLICE_EMPTY;
        if (name.size >= 2 && name.data[0] == '"' && name.data[name.size - 1] == '"')
            name = slice_part(name, 1, name.size - 2);
    }
    reading->in_section = slice_equal_text(name, reading->out->name);
    reading->nesting = SLICE_EMPTY;
    reading->in_continuation = false;
    if (reading->in_section) reading->out->found = true;
    return 0;
}

static int add_item(struct reading *reading, unsigned number, struct slice name, struct slice value)
{
    struct s3_profile *out = reading->out;
    struct s3_profile_item item = {name, value, reading->file, number};
    for (size_t i = 0; i < out->n_items; i++) {
        if (!slice_equal(out->items[i].name, name)) continue;
        if (i >= reading->first) out->items[i] = item;
        return 0;
    }
    if (out->n_items == PROFILE_ITEMS_MAX)
        return error_set(GLIS_EINVALID, "more than %d settings", PROFILE_ITEMS_MAX);
    out->items[out->n_items++] = item;
    return 0;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && strchr(" \t\r", text.data[0]) && text.data[0] != '\0')
        text = slice_part(text, 1, text.size);
    while (text.size > 0 && strchr(" \t\r", text.data[text.size - 1]) &&
           text.data[text.size - 1] != '\0')
        text.size--;
    return text;
}
