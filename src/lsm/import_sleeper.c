/*
 * import_sleeper.c: what an instance of the reference left in folders, found and checked before
 * anything is made of it.
 *
 * Its settings stand in FOLDER: instance.properties and tables/<name>/table.properties,
 * schema.json, splits.txt, which table_input.c reads. Its rows stand in a copy of its data bucket:
 * <table id>/data/partition_<id>/<name>.parquet, with sketches beside them that nobody needs here.
 *
 * Which of these files are live only its state says, and that is not in the bucket. Files whose
 * rows were compacted into others stay for a while, and a file over several partitions may be live
 * in some of them only: taking all would bring rows twice. So beside table.properties stands
 * files.json, what its report of files prints as JSON; a file is taken when its references say
 * exactly as many rows as it has, which is when all of its rows are live. Anything else is refused
 * with the way out: a full compaction over there. Without a report the caller must say that every
 * file is live and whole.
 */
#include "lsm/lsm_int.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/properties.h"
#include "parquet/parquet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES_MAX = 10000, FILES_MAX = 1 << 24, TEXT_BYTES_MAX = 256 << 20 };

struct finding {
    struct runtime *runtime;
    struct arena *arena;
    struct slice folder, data;
    struct store *settings, *bucket; /* bucket: NULL without data */
    bool all_files;
};

struct name_list {
    struct arena *arena;
    size_t prefix; /* bytes of the key that are left out */
    struct slice *items;
    size_t n, capacity;
    uint64_t n_sketches;
    bool folders; /* first parts of keys, each once; else whole keys of Parquet files */
};

static void add_name(struct name_list *list, struct slice name)
{
    ARENA_GROW(list->arena, list->items, list->n, list->capacity);
    list->items[list->n++] = arena_copy(list->arena, name);
}

static int note_object(void *context, const struct store_object *object)
{
    struct name_list *list = context;
    struct slice rest = slice_part(object->key, list->prefix, object->key.size);
    if (list->n == (list->folders ? TABLES_MAX : FILES_MAX))
        return error_set(GLIS_ELIMIT, "more than %zu %s", list->n,
                         list->folders ? "tables" : "files of one table");
    if (list->folders) {
        const char *slash = rest.size ? memchr(rest.data, '/', rest.size) : NULL;
        if (!slash) return 0;
        struct slice name = slice_part(rest, 0, (size_t)(slash - rest.data));
        if (!list->n || !slice_equal(list->items[list->n - 1], name)) add_name(list, name);
    } else if (slice_ends_with(rest, SLICE(".parquet"))) {
        add_name(list, object->key);
    } else {
        list->n_sketches += slice_ends_with(rest, SLICE(".sketches"));
    }
    return 0;
}

static struct slice path_of(struct arena *arena, struct slice folder, struct slice rest)
{
    while (folder.size > 1 && folder.data[folder.size - 1] == '/')
        folder.size--;
    return slice_from_text(
        arena_printf(arena, "%.*s/%.*s", SLICE_PRINT(folder), SLICE_PRINT(rest)));
}

static int read_text(const struct finding *finding, struct slice key, struct slice *out)
{
    struct buffer text = BUFFER_INIT(TEXT_BYTES_MAX);
    int code = store_get(finding->settings, key, 0, STORE_TO_END, &text);
    if (code == 0) *out = arena_copy(finding->arena, buffer_slice(&text));
    buffer_free(&text);
    return code;
}

/* ---- one table ---- */

/* Name and id from table.properties; an id that is not said is empty, NULL without the file. */
static int read_properties(const struct finding *finding, struct slice folder_name,
                           struct sleeper_table *out)
{
    struct properties properties;
    struct slice text;
    struct slice key = slice_from_text(
        arena_printf(finding->arena, "tables/%.*s/table.properties", SLICE_PRINT(folder_name)));
    out->name = folder_name;
    int code = read_text(finding, key, &text);
    if (code == GLIS_ENOTFOUND) return 0;
    TRY(code);
    TRY_CONTEXT(properties_parse(finding->arena, text, &properties), "%.*s",
                SLICE_PRINT(path_of(finding->arena, finding->folder, key)));
    const struct property *name = properties_find(&properties, "sleeper.table.name");
    const struct property *id = properties_find(&properties, "sleeper.table.id");
    if (!name) name = properties_find(&properties, "glis.table.name");
    if (name && name->value.size) out->name = name->value;
    out->id = id ? id->value : SLICE("");
    return 0;
}

static int count_rows(const struct finding *finding, struct slice key, uint64_t *rows)
{
    struct parquet_reader *reader;
    TRY_CONTEXT(parquet_reader_open(&reader, finding->runtime, finding->bucket, key, NULL), "%.*s",
                SLICE_PRINT(path_of(finding->arena, finding->data, key)));
    *rows = parquet_reader_rows(reader);
    parquet_reader_close(reader);
    return 0;
}

/* Rows that the references of one file say; *exact: none of them is an estimate. */
static int sum_references(const struct json *file, uint64_t *rows, bool *exact, int64_t *n)
{
    const struct json *references;
    int64_t n_total;
    *rows = 0;
    *exact = true;
    TRY(json_get_array(file, "internalReferences", &references));
    for (size_t i = 0; i < references->n_items; i++) {
        const struct json *one = &references->items[i];
        int64_t count;
        bool approximate = false;
        const char *name = json_find(one, "numberOfRecords") ? "numberOfRecords" : "numberOfRows";
        TRY(json_get_int(one, name, 0, INT64_MAX, &count));
        TRY(json_optional_bool(one, "countApproximate", &approximate));
        *rows += (uint64_t)count;
        *exact &= !approximate;
    }
    n_total = (int64_t)references->n_items;
    TRY(json_optional_int(file, "totalReferenceCount", 0, INT64_MAX, &n_total));
    *n = n_total;
    *exact &= n_total == (int64_t)references->n_items;
    return 0;
}

/* The key of a file in the copy: what follows the bucket in its address. */
static int file_key(const struct finding *finding, const struct sleeper_table *table,
                    struct slice address, struct slice *out)
{
    struct slice part =
        slice_from_text(arena_printf(finding->arena, "%.*s/data/", SLICE_PRINT(table->id)));
    const char *at = address.size ? memmem(address.data, address.size, part.data, part.size) : NULL;
    if (!at || (at != address.data && at[-1] != '/'))
        return error_set(GLIS_EINVALID, "file '%.*s' does not lie in %.*s",
                         SLICE_PRINT(slice_part(address, 0, 200)), SLICE_PRINT(part));
    *out = slice_part(address, (size_t)(at - address.data), address.size);
    return 0;
}

static int take_file(const struct finding *finding, const struct json *file,
                     struct sleeper_table *table)
{
    struct slice address, key;
    uint64_t said, rows;
    int64_t n_references;
    bool exact;
    TRY(json_get_string(file, "filename", &address));
    TRY(sum_references(file, &said, &exact, &n_references));
    if (!n_references) return 0;
    TRY(file_key(finding, table, address, &key));
    TRY(count_rows(finding, key, &rows));
    if (!exact || said != rows)
        return error_set(
            GLIS_EUNSUPPORTED,
            "file '%.*s' has %llu rows, of which its references say %s%llu: some live in other "
            "files by now. Compact the whole table over there (compactAllFiles), make the report "
            "anew, and copy the data after that",
            SLICE_PRINT(key), (unsigned long long)rows, exact ? "" : "about ",
            (unsigned long long)said);
    table->files[table->n_files++] = path_of(finding->arena, finding->data, key);
    table->rows += rows;
    return 0;
}

/* The files that the report names. */
static int take_listed(const struct finding *finding, struct slice text,
                       struct sleeper_table *table)
{
    const struct json *report, *files;
    const struct json_rules rules = {TEXT_BYTES_MAX, 64, GLIS_EINVALID};
    TRY(json_parse(finding->arena, text, rules, &report));
    TRY(json_get_array(report, "files", &files));
    table->files = ARENA_ARRAY(finding->arena, struct slice, files->n_items);
    for (size_t i = 0; i < files->n_items; i++)
        TRY(take_file(finding, &files->items[i], table));
    return 0;
}

/* Nothing of a table lies in the copy: it may be the wrong folder, so its rows would be missed. */
static int nothing_found(const struct finding *finding, const struct sleeper_table *table,
                         struct slice prefix, struct slice report)
{
    return error_set(GLIS_EINVALID,
                     "nothing lies in %.*s/%.*s, which sleeper.table.id says for table %.*s: "
                     "--data is the folder that holds a copy of the whole data bucket. Of a table "
                     "without rows %.*s says so, with an empty list of files",
                     SLICE_PRINT(finding->data), SLICE_PRINT(prefix), SLICE_PRINT(table->name),
                     SLICE_PRINT(report));
}

/* Whether the report names files with references. */
static bool names_files(const struct finding *finding, struct slice text)
{
    const struct json *report, *files;
    const struct json_rules rules = {TEXT_BYTES_MAX, 64, GLIS_EINVALID};
    bool any = false;
    if (json_parse(finding->arena, text, rules, &report) < 0 ||
        json_get_array(report, "files", &files) < 0) {
        error_clear(); /* take_listed says it */
        return false;
    }
    for (size_t i = 0; i < files->n_items && !any; i++) {
        const struct json *references = json_find(&files->items[i], "internalReferences");
        any = references && references->n_items > 0;
    }
    return any;
}

static int take_all(const struct finding *finding, const struct name_list *found,
                    struct sleeper_table *table)
{
    table->files = ARENA_ARRAY(finding->arena, struct slice, found->n);
    for (size_t i = 0; i < found->n; i++) {
        uint64_t rows;
        TRY(count_rows(finding, found->items[i], &rows));
        table->files[table->n_files++] = path_of(finding->arena, finding->data, found->items[i]);
        table->rows += rows;
    }
    return 0;
}

static int find_data(const struct finding *finding, struct slice folder_name,
                     struct sleeper_table *table)
{
    struct arena *arena = finding->arena;
    struct slice text, key = slice_from_text(
                           arena_printf(arena, "tables/%.*s/files.json", SLICE_PRINT(folder_name)));
    struct slice path = path_of(arena, finding->folder, key);
    if (!table->id.data)
        return error_set(GLIS_EINVALID,
                         "%.*s/tables/%.*s/table.properties: there is no such file; its "
                         "sleeper.table.id says where the table's data is",
                         SLICE_PRINT(finding->folder), SLICE_PRINT(folder_name));
    if (!table->id.size)
        return error_set(GLIS_EINVALID,
                         "%.*s/tables/%.*s/table.properties does not say sleeper.table.id, by "
                         "which the table's data is found",
                         SLICE_PRINT(finding->folder), SLICE_PRINT(folder_name));
    struct slice prefix =
        slice_from_text(arena_printf(arena, "%.*s/data/", SLICE_PRINT(table->id)));
    struct name_list found = {.arena = arena, .prefix = prefix.size};
    TRY_CONTEXT(store_key_check(slice_part(prefix, 0, prefix.size - 1)), "sleeper.table.id");
    TRY(store_each(finding->bucket, prefix, SLICE_EMPTY, note_object, &found));
    int code = read_text(finding, key, &text);
    if (code < 0 && code != GLIS_ENOTFOUND) return code;
    bool is_wanted = code == 0 ? names_files(finding, text) : !finding->all_files;
    if (!found.n && is_wanted) return nothing_found(finding, table, prefix, path);
    if (code == 0)
        TRY_CONTEXT(take_listed(finding, text, table), "%.*s", SLICE_PRINT(path));
    else if (finding->all_files)
        TRY(take_all(finding, &found, table));
    else
        return error_set(GLIS_EINVALID,
                         "%.*s is not there, and nothing else says which of the %zu files in "
                         "%.*s/%.*s are live: put there what the report of files prints as JSON, "
                         "or say that all of them are live and whole (--all-files)",
                         SLICE_PRINT(path), found.n, SLICE_PRINT(finding->data),
                         SLICE_PRINT(prefix));
    table->n_sketches = found.n_sketches;
    table->n_not_live = found.n > table->n_files ? found.n - table->n_files : 0;
    return 0;
}

/* Before anything is made anywhere. */
static int check_folder(const struct finding *finding)
{
    struct store_object object;
    int code = store_head(finding->settings, SLICE("instance.properties"), &object);
    if (code != GLIS_ENOTFOUND) return code;
    return error_set(GLIS_EINVALID,
                     "%.*s/instance.properties: there is no such file; FOLDER is the one that "
                     "holds it, with tables/NAME/table.properties and schema.json below",
                     SLICE_PRINT(finding->folder));
}

static int find_tables(struct finding *finding, struct sleeper_import *out)
{
    struct name_list folders = {
        .arena = finding->arena, .prefix = strlen("tables/"), .folders = true};
    TRY(store_each(finding->settings, SLICE("tables/"), SLICE_EMPTY, note_object, &folders));
    out->tables = ARENA_ARRAY(finding->arena, struct sleeper_table, folders.n);
    for (size_t i = 0; i < folders.n; i++) {
        struct sleeper_table *table = &out->tables[out->n_tables++];
        TRY(read_properties(finding, folders.items[i], table));
        if (finding->bucket) TRY(find_data(finding, folders.items[i], table));
    }
    return 0;
}

int sleeper_import_find(struct runtime *runtime, struct slice folder, struct slice data,
                        bool all_files, struct arena *arena, struct sleeper_import *out)
{
    *out = (struct sleeper_import){0};
    struct finding finding = {
        .runtime = runtime, .arena = arena, .folder = folder, .data = data, .all_files = all_files};
    TRY(store_locate_root(runtime, folder, STORE_LOCAL_READ_ONLY, &finding.settings));
    int code = 0;
    if (data.size) code = store_locate_root(runtime, data, STORE_LOCAL_READ_ONLY, &finding.bucket);
    if (code == 0) code = check_folder(&finding);
    if (code == 0) code = find_tables(&finding, out);
    store_close(finding.bucket);
    store_close(finding.settings);
    return code;
}

/* ---- bringing the rows in ---- */

/* Absolute, for the table's state will name it. */
static int absolute_path(struct slice path, struct arena *arena, struct slice *out)
{
    char *text = arena_copy_text(arena, path);
    if (slice_starts_with(path, SLICE("file://")))
        return error_set(GLIS_EUNSUPPORTED, "'%s' is not a path", text);
    char *real = realpath(text, NULL);
    if (!real) return error_set_errno(errno, "%s", text);
    *out = arena_copy(arena, slice_from_text(real));
    free(real);
    return 0;
}

struct adopting {
    struct table *table;
    struct runtime *runtime;
    struct arena *arena;
    const struct table_state *state;
    const struct partition_tree *tree;
    struct new_file *files; /* that stay where they are */
    size_t n_files;
    struct slice *rest; /* that are read as inputs */
    size_t n_rest;
    struct hash_stream *fingerprint;
};

static int look_at_file(struct adopting *adopting, struct slice path)
{
    struct adopted_file file;
    const char *why_not = NULL;
    struct slice absolute;
    TRY(absolute_path(path, adopting->arena, &absolute));
    TRY(adopt_file(adopting->runtime, adopting->state, adopting->tree, absolute, adopting->arena,
                   &file, &why_not));
    if (why_not) {
        adopting->rest[adopting->n_rest++] = path;
        return 0;
    }
    struct new_file *out = &adopting->files[adopting->n_files++];
    *out = (struct new_file){
        .name = file.address,
        .size = file.size,
        .rows = file.rows,
        .bounds = file.bounds,
        .references = file.references,
        .n_references = file.n_references,
    };
    memcpy(out->checksum, file.checksum, sizeof(out->checksum));
    hash_stream_add(adopting->fingerprint, file.checksum, sizeof(file.checksum));
    return 0;
}

/* The commit of files that stay where they are; their job is not the one of the others. */
static int commit_adopted(struct adopting *adopting, struct slice id,
                          struct sleeper_import_result *out)
{
    struct hash128 hash = hash_stream_128(adopting->fingerprint);
    struct commit_result done = {0};
    if (!adopting->n_files) return 0;
    struct ingest_commit commit = {
        .state = adopting->state,
        .files = adopting->files,
        .n_files = adopting->n_files,
        .job = slice_from_text(
            arena_printf(adopting->arena, SLEEPER_JOB_ADOPT "%.*s", SLICE_PRINT(id))),
        .job_is_given = true,
        .fingerprint = {hash.high, hash.low},
    };
    TRY_CONTEXT(table_commit_ingest(adopting->table, &commit, &done), "taking files over");
    if (done.already_done) return 0;
    out->files_adopted = adopting->n_files;
    for (size_t i = 0; i < adopting->n_files; i++)
        out->rows_adopted += adopting->files[i].rows;
    return 0;
}

static int adopt_files(struct adopting *adopting, const struct sleeper_table *from)
{
    TRY(table_tree(adopting->state, adopting->arena, &adopting->tree));
    adopting->files = ARENA_ARRAY(adopting->arena, struct new_file, from->n_files);
    adopting->rest = ARENA_ARRAY(adopting->arena, struct slice, from->n_files);
    for (size_t i = 0; i < from->n_files; i++)
        TRY(look_at_file(adopting, from->files[i]));
    return 0;
}

static bool knows_job(const struct table_state *state, const char *job, struct slice id,
                      struct arena *arena)
{
    const uint64_t none[2] = {0};
    struct commit_result done = {0};
    struct slice name = slice_from_text(arena_printf(arena, "%s%.*s", job, SLICE_PRINT(id)));
    int code = table_check_job(state, name, none, &done);
    if (code < 0) error_clear();
    return code == GLIS_EEXISTS || done.already_done;
}

bool sleeper_import_is_known(const struct table_state *state, struct slice id, struct arena *arena)
{
    return knows_job(state, SLEEPER_JOB_ADOPT, id, arena) ||
           knows_job(state, SLEEPER_JOB_REST, id, arena) ||
           knows_job(state, SLEEPER_JOB_REWRITE, id, arena);
}

/* What was begun one way is not finished in another, which would bring rows twice. */
static int check_begun(const struct adopting *adopting, struct slice id, bool rewrite)
{
    bool adopted = knows_job(adopting->state, SLEEPER_JOB_ADOPT, id, adopting->arena);
    bool mixed = adopted || knows_job(adopting->state, SLEEPER_JOB_REST, id, adopting->arena);
    if (rewrite && mixed)
        return error_set(GLIS_EEXISTS, "this was imported without rewriting all files; a repeat "
                                       "must do the same");
    if (!rewrite && knows_job(adopting->state, SLEEPER_JOB_REWRITE, id, adopting->arena))
        return error_set(GLIS_EEXISTS, "this was imported with all files rewritten; a repeat must "
                                       "do the same");
    if (!rewrite && adopted && !adopting->n_files)
        return error_set(GLIS_EEXISTS, "files that were taken over before can no longer be: the "
                                       "table's filters or aggregations were set since");
    return 0;
}

static int bring_in(struct adopting *adopting, const struct sleeper_table *from, bool rewrite,
                    const struct ingest_options *options, struct sleeper_import_result *out)
{
    TRY(table_state_get(adopting->table, 0, &adopting->state));
    if (rewrite) {
        adopting->rest = from->files;
        adopting->n_rest = from->n_files;
    } else {
        TRY(adopt_files(adopting, from));
    }
    TRY(check_begun(adopting, from->id, rewrite));
    TRY(commit_adopted(adopting, from->id, out));
    struct ingest_options own = *options;
    own.format = INGEST_PARQUET;
    own.job_id = slice_from_text(arena_printf(adopting->arena, "%s%.*s",
                                              rewrite ? SLEEPER_JOB_REWRITE : SLEEPER_JOB_REST,
                                              SLICE_PRINT(from->id)));
    if (adopting->n_rest)
        TRY(ingest_files(adopting->table, adopting->runtime, adopting->rest, adopting->n_rest, &own,
                         adopting->arena, &out->rewritten));
    return 0;
}

int sleeper_import_table(struct table *table, struct runtime *runtime,
                         const struct sleeper_table *from, bool rewrite,
                         const struct ingest_options *options, struct arena *arena,
                         struct sleeper_import_result *out)
{
    *out = (struct sleeper_import_result){0};
    if (!from->n_files) return 0;
    struct adopting adopting = {
        .table = table, .runtime = runtime, .arena = arena, .fingerprint = hash_stream_new()};
    int code = bring_in(&adopting, from, rewrite, options, out);
    hash_stream_free(adopting.fingerprint);
    table_state_release(adopting.state);
    if (!out->rewritten.already_done) out->files_rewritten = adopting.n_rest;
    out->already_done = !out->files_adopted && !out->files_rewritten;
    return code;
}
