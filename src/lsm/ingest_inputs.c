/*
 * ingest_inputs.c: from the names a user gives to the files an ingest reads.
 *
 * A name that exists is taken as it is, whatever characters it has; only one that does not exist is
 * tried as a glob. A folder stands for the files below it whose names end in a way that says what
 * they are; hidden ones and others are passed over, for folders hold markers, checksums and the
 * like. Order is that of the names, so that the same folder is the same input twice.
 *
 * What "the same input" means for a repeated job id: as many files in the same order with the same
 * sizes and contents, read with the same options. Names do not count: a file that was fetched anew
 * into another place is the same input.
 */
#include "lsm/ingest_int.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    INPUTS_MAX = 1 << 20,
    FOLDER_DEPTH_MAX = 32,
    HASH_PIECE_BYTES = 64 << 10,
    HASH_PIECES = 1024,
};

struct finder {
    const struct ingest_options *options;
    struct runtime *runtime;
    struct arena *arena;
    struct ingest_input *inputs;
    size_t n_inputs, capacity;
};

static int add_path(struct finder *finder, const char *path, bool from_folder, unsigned depth);

/* Format and delimiter of an input. */
static int set_format(const struct finder *finder, struct ingest_input *input)
{
    char delimiter = 0;
    input->format = finder->options->format;
    if (input->format == INGEST_BY_NAME) {
        enum format_kind kind;
        if (input->is_stdin)
            return error_set(GLIS_EINVALID,
                             "standard input has no name to tell its format by; say which (csv or "
                             "jsonl)");
        int code = format_kind_by_name(slice_from_text(input->name), &kind, &delimiter);
        if (code == GLIS_EUNSUPPORTED) return code;
        if (code < 0)
            return error_set(GLIS_EINVALID,
                             "%s: the name does not tell the kind of file (.parquet, .csv, .tsv, "
                             ".txt, .jsonl, .ndjson, .json); say which (--format)",
                             input->name);
        input->format = kind == FORMAT_PARQUET ? INGEST_PARQUET
                        : kind == FORMAT_CSV   ? INGEST_CSV
                                               : INGEST_JSONL;
    }
    input->csv_delimiter =
        finder->options->csv_delimiter ? finder->options->csv_delimiter : delimiter;
    if (input->is_stream && input->format == INGEST_PARQUET)
        return error_set(GLIS_EINVALID, "%s cannot be read as Parquet, which needs a file",
                         input->name);
    return 0;
}

static int add_input(struct finder *finder, const struct ingest_input *input)
{
    if (finder->n_inputs == INPUTS_MAX)
        return error_set(GLIS_ELIMIT, "more than %d input files; load them in several jobs",
                         INPUTS_MAX);
    ARENA_GROW(finder->arena, finder->inputs, finder->n_inputs, finder->capacity);
    struct ingest_input *added = &finder->inputs[finder->n_inputs];
    *added = *input;
    TRY(set_format(finder, added));
    finder->n_inputs++;
    return 0;
}

/* Whether a name found in a folder says that it is data. */
static bool is_data_name(const struct finder *finder, const char *name)
{
    enum format_kind kind;
    char delimiter = 0;
    if (name[0] == '.') return false;
    if (format_kind_by_name(slice_from_text(name), &kind, &delimiter) < 0) return false;
    switch (finder->options->format) {
    case INGEST_PARQUET: return kind == FORMAT_PARQUET;
    case INGEST_CSV: return kind == FORMAT_CSV;
    case INGEST_JSONL: return kind == FORMAT_JSONL;
    case INGEST_BY_NAME: break;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(struct finder *finder, const char *path, unsigned depth)
{
    if (depth > FOLDER_DEPTH_MAX)
        return error_set(GLIS_ELIMIT, "folders are nested deeper than %d at '%s'", FOLDER_DEPTH_MAX,
                         path);
    DIR *dir = opendir(path);
    if (!dir) return error_set_errno(errno, "cannot read the folder '%s'", path);
    char **names = NULL;
    size_t n = 0, capacity = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        if (n == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            names = memory_realloc(names, capacity * sizeof *names);
        }
        names[n++] = arena_printf(finder->arena, "%s%s%s", path,
                                  path[strlen(path) - 1] == '/' ? "" : "/", entry->d_name);
    }
    (void)closedir(dir);
    if (n > 0) qsort(names, n, sizeof *names, by_name);
    int code = 0;
    for (size_t i = 0; code == 0 && i < n; i++)
        code = add_path(finder, names[i], true, depth + 1);
    memory_defer_free(&names);
    return code;
}

/* A path that exists, or was found in a folder. */
static int add_path(struct finder *finder, const char *path, bool from_folder, unsigned depth)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        if (from_folder && errno == ENOENT) return 0; /* a dangling link, or gone meanwhile */
        return error_set_errno(errno, "cannot read '%s'", path);
    }
    if (S_ISDIR(status.st_mode)) {
        size_t before = finder->n_inputs;
        TRY(add_folder(finder, path, depth));
        if (!from_folder && finder->n_inputs == before)
            return error_set(GLIS_ENOTFOUND,
                             "the folder '%s' holds no file of a known name (.parquet, .csv, "
                             ".jsonl)",
                             path);
        return 0;
    }
    const char *base = strrchr(path, '/');
    if (from_folder && (!is_data_name(finder, base ? base + 1 : path) || !S_ISREG(status.st_mode)))
        return 0;
    struct ingest_input input = {.name = path, .address = slice_from_text(path)};
    input.is_stream = !S_ISREG(status.st_mode);
    input.size = input.is_stream ? 0 : (uint64_t)status.st_size;
    return add_input(finder, &input);
}

static int add_glob(struct finder *finder, const char *pattern)
{
    glob_t found = {0};
    int outcome = glob(pattern, 0, NULL, &found);
    if (outcome == GLOB_NOMATCH) return error_set(GLIS_ENOTFOUND, "no file fits '%s'", pattern);
    if (outcome != 0) return error_set(GLIS_EIO, "cannot look for files that fit '%s'", pattern);
    int code = 0;
    for (size_t i = 0; code == 0 && i < found.gl_pathc; i++)
        code = add_path(finder, arena_copy_text(finder->arena, slice_from_text(found.gl_pathv[i])),
                        false, 0);
    globfree(&found);
    return code;
}

struct listing {
    struct finder *finder;
    struct slice folder; /* without a slash at its end */
};

static int add_listed(void *state, const struct store_object *object)
{
    const struct listing *listing = state;
    struct finder *finder = listing->finder;
    const char *name = arena_printf(finder->arena, "%.*s/%.*s", SLICE_PRINT(listing->folder),
                                    SLICE_PRINT(object->key));
    if (strstr(name + listing->folder.size, "/.") || !is_data_name(finder, strrchr(name, '/') + 1))
        return 0;
    struct ingest_input input = {.name = name, .address = slice_from_text(name)};
    input.size = object->size;
    return add_input(finder, &input);
}

/* What lies below a prefix of a bucket, in the order of the keys, as with a folder's files. */
static int add_prefix(struct finder *finder, const char *name)
{
    struct listing listing = {finder, slice_from_text(name)};
    struct store *store;
    size_t before = finder->n_inputs;
    while (slice_ends_with(listing.folder, SLICE("/")))
        listing.folder.size--;
    TRY(store_locate_root(finder->runtime, listing.folder, STORE_LOCAL_READ_ONLY, &store));
    int code = store_each(store, SLICE_EMPTY, SLICE_EMPTY, add_listed, &listing);
    store_close(store);
    TRY_CONTEXT(code, "input '%s'", name);
    if (finder->n_inputs == before)
        return error_set(GLIS_ENOTFOUND,
                         "under '%s' is no object of a known name (.parquet, .csv, .jsonl)", name);
    return 0;
}

static int add_address(struct finder *finder, const char *name)
{
    struct slice inside = store_bucket_address(slice_from_text(name));
    bool in_bucket = inside.size > 0;
    if (in_bucket &&
        (slice_ends_with(inside, SLICE("/")) || !memchr(inside.data, '/', inside.size)))
        return add_prefix(finder, name);
    struct store *store;
    struct slice key;
    struct store_object object;
    TRY(store_locate(finder->runtime, slice_from_text(name), finder->arena, &store, &key));
    int code = store_head(store, key, &object);
    store_close(store);
    if (code == GLIS_ENOTFOUND && in_bucket) return add_prefix(finder, name);
    TRY_CONTEXT(code, "input '%s'", name);
    struct ingest_input input = {.name = name, .address = slice_from_text(name)};
    input.size = object.size;
    return add_input(finder, &input);
}

static int add_given(struct finder *finder, struct slice given)
{
    if (given.size == 0) return error_set(GLIS_EINVALID, "an input has an empty name");
    if (memchr(given.data, 0, given.size))
        return error_set(GLIS_EINVALID, "an input's name holds a NUL");
    const char *name = arena_copy_text(finder->arena, given);
    if (slice_equal(given, SLICE("-"))) {
        struct ingest_input input = {.name = "standard input", .is_stream = true, .is_stdin = true};
        return add_input(finder, &input);
    }
    struct stat status;
    if (stat(name, &status) == 0) return add_path(finder, name, false, 0);
    if (errno != ENOENT && errno != ENOTDIR)
        return error_set_errno(errno, "cannot read '%s'", name);
    if (strstr(name, "://")) return add_address(finder, name);
    if (strpbrk(name, "*?[")) return add_glob(finder, name);
    return error_set(GLIS_ENOTFOUND, "there is no file or folder '%s'", name);
}

int ingest_inputs_find(struct runtime *runtime, const struct slice *paths, size_t n_paths,
                       const struct ingest_options *options, struct arena *arena,
                       struct ingest_input **out, size_t *n_out)
{
    struct finder finder = {.options = options, .runtime = runtime, .arena = arena};
    if (n_paths == 0) return error_set(GLIS_EINVALID, "no input was named");
    for (size_t i = 0; i < n_paths; i++)
        TRY(add_given(&finder, paths[i]));
    size_t n_stdin = 0;
    for (size_t i = 0; i < finder.n_inputs; i++)
        n_stdin += finder.inputs[i].is_stdin;
    if (n_stdin > 1) return error_set(GLIS_EINVALID, "standard input can be read only once");
    *out = finder.inputs;
    *n_out = finder.n_inputs;
    return 0;
}

/* ---- the fingerprint ---- */

static int hash_piece(struct store *store, struct slice key, uint64_t offset, uint64_t size,
                      struct hash_stream *hash)
{
    struct store_read read = {.key = key, .offset = offset, .length = size};
    int code = store_read(store, &read, 1);
    if (code == 0 && read.outcome != 0)
        code = error_set(read.outcome, "the object is not there any more");
    if (code == 0) hash_stream_add(hash, read.data, read.size);
    store_read_release(&read, 1);
    return code;
}

static int hash_input(struct runtime *runtime, const struct ingest_input *input,
                      struct hash_stream *hash)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store *store;
    struct slice key;
    TRY(store_locate(runtime, input->address, &arena, &store, &key));
    uint64_t full = (uint64_t)HASH_PIECE_BYTES * HASH_PIECES;
    uint64_t n_pieces = HASH_PIECES, step = HASH_PIECE_BYTES;
    if (input->size <= full)
        n_pieces = (input->size + HASH_PIECE_BYTES - 1) / HASH_PIECE_BYTES;
    else
        step = (input->size - HASH_PIECE_BYTES) / (HASH_PIECES - 1);
    int code = 0;
    for (uint64_t i = 0; code == 0 && i < n_pieces; i++) {
        uint64_t offset = i * step;
        if (i + 1 == n_pieces && input->size > HASH_PIECE_BYTES && input->size > full)
            offset = input->size - HASH_PIECE_BYTES;
        code = hash_piece(store, key, offset, HASH_PIECE_BYTES, hash);
    }
    store_close(store);
    return code;
}

int ingest_inputs_hash(struct runtime *runtime, const struct ingest_input *inputs, size_t n_inputs,
                       struct hash_stream *hash)
{
    uint64_t count = n_inputs;
    hash_stream_add(hash, &count, sizeof count);
    for (size_t i = 0; i < n_inputs; i++) {
        const struct ingest_input *input = &inputs[i];
        uint64_t about[3] = {input->is_stream ? UINT64_MAX : input->size, (uint64_t)input->format,
                             (uint64_t)(unsigned char)input->csv_delimiter};
        hash_stream_add(hash, about, sizeof about);
        if (input->is_stream) continue;
        TRY_CONTEXT(hash_input(runtime, input, hash), "input '%s'", input->name);
    }
    return 0;
}
