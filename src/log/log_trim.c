/*
 * log_trim.c: taking the old part of a log away (docs/architecture.md, "Trimming").
 *
 * Blocks are trimmed from the first one upwards, as far as the owner no longer wants to read. The
 * trim line is the last slot of the last block that is to go; in this order:
 *   1. a snapshot at or above the line is in the store, the lowest: it is read whole, and made
 *      durable. States from its record on stay readable, those below do not;
 *   2. the markers of the blocks, each after the one before, each confirmed;
 *   3. only then the records and their bodies.
 * So whoever finds a marker finds a snapshot to begin again from, and whoever deletes anything of a
 * block has marked it.
 *
 * Snapshots: the newest two stay, always. At and above the line the lowest of each 1,024 records
 * stays as well, for it is what a later trim stands on; whoever removes snapshots keeps to that
 * rule, so two that work at a time never take each other's ground away: a lower snapshot that comes
 * late is as good a base as the one it takes the place of. All others only save time.
 *
 * Bodies are found by reading the records of a block *before* its marker goes up, for only these
 * are known to be no ghosts: a ghost may name the body of a transaction that was put again later.
 * What is missed that way (the trimmer died, the marker was faster, a writer died before its
 * record) is an orphan, and log_trim removes those below a line that the owner vouches for when
 * asked, since no record to come may name them.
 *
 * Each trim also deletes what lies in marked blocks: records that a dead trimmer left and ghosts
 * that came late; entries that are decided or expired; unfinished uploads of a day ago.
 */
#include "log/log_int.h"

#include "base/logger.h"
#include "base/map.h"

#include <inttypes.h>
#include <stdlib.h>

enum { KEYS_AT_ONCE = 1000, BODY_WINDOW = 32, UPLOAD_AGE_MS = 24 * 3600 * 1000 };

/* Keys on their way to be removed, by batches. */
struct removal {
    struct log *log;
    struct arena arena;
    struct slice keys[KEYS_AT_ONCE];
    size_t n;
    bool dry_run;
    uint64_t *count; /* what has been removed is added here */
};

struct trim {
    struct log *log;
    const struct log_trim_options *options;
    struct log_trim_result *result;
    struct log_version *version; /* real */
    uint64_t line, n_marked;     /* records up to the line go; blocks marked before */
    struct map bodies;           /* keys of bodies that go with their blocks */
    struct removal removal;
};

static int trim_run(struct trim *trim);
static int base_settle(struct trim *trim);
static int markers_put(struct trim *trim);
static int block_bodies(struct trim *trim, uint64_t block);
static int records_remove(struct trim *trim);
static int bodies_remove(struct trim *trim);
static int orphans_remove(struct trim *trim);
static int pending_remove(struct trim *trim);
static int uploads_remove(struct trim *trim);
static int removal_add(struct removal *removal, struct slice key, uint64_t *count);
static int removal_end(struct removal *removal);

/* ---- which snapshots stay ---- */

struct snapshots {
    struct log *log;
    struct arena *arena;
    size_t prefix_size;
    struct {
        struct slice key;
        uint64_t record;
    } * items; /* ascending by record */
    size_t n, capacity;
};

static int snapshot_visit(void *state, const struct store_object *object)
{
    struct snapshots *all = state;
    uint64_t record, hash;
    if (!log_snapshot_name_parse(slice_part(object->key, all->prefix_size, object->key.size),
                                 &record, &hash))
        return 0;
    ARENA_GROW(all->arena, all->items, all->n, all->capacity);
    all->items[all->n].key = arena_copy(all->arena, object->key);
    all->items[all->n++].record = record;
    return 0;
}

static int snapshots_list(struct log *log, struct arena *arena, struct snapshots *out)
{
    char key[LOG_KEY_BYTES];
    struct slice folder = log_key_snapshot(log, SLICE_EMPTY, key);
    *out = (struct snapshots){.log = log, .arena = arena, .prefix_size = folder.size};
    return store_each(log->store, folder, SLICE_EMPTY, snapshot_visit, out);
}

/* The snapshots behind records [n * slots, (n + 1) * slots) are a group: each can be the base of a
 * trim of n blocks. */
static uint64_t snapshot_group(const struct snapshots *all, size_t i)
{
    return all->items[i].record / all->log->options.block_slots;
}

static bool snapshot_stays(const struct snapshots *all, size_t i, uint64_t line)
{
    if (GLIS_MUTANT(keep_newest_snapshot)) return false;
    if (i + 2 >= all->n) return true; /* the newest two */
    if (all->items[i].record < line) return false;
    bool first = i == 0 || snapshot_group(all, i) != snapshot_group(all, i - 1);
    return first && snapshot_group(all, i) > 0;
}

static int snapshots_remove(struct removal *removal, uint64_t line, uint64_t *count)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct snapshots all;
    TRY(snapshots_list(removal->log, &arena, &all));
    for (size_t i = 0; i < all.n; i++)
        if (!snapshot_stays(&all, i, line)) TRY(removal_add(removal, all.items[i].key, count));
    return removal_end(removal);
}

int log_snapshots_remove_older(struct log *log)
{
    struct removal *removal = memory_alloc_zero(sizeof(*removal));
    uint64_t ignored = 0;
    arena_init(&removal->arena, NULL);
    removal->log = log;
    /* Without the line: more stays than must, and the next trim takes that. */
    int code = snapshots_remove(removal, 0, &ignored);
    arena_free(&removal->arena);
    free(removal);
    return code;
}

/* ---- markers ---- */

struct markers {
    size_t prefix_size;
    uint64_t n; /* blocks 1 to n are marked */
};

static int marker_visit(void *state, const struct store_object *object)
{
    struct markers *markers = state;
    uint64_t block;
    struct slice name = slice_part(object->key, markers->prefix_size, object->key.size);
    if (!log_decimal_parse(name, &block)) return 0;
    if (block != markers->n + 1) return 1; /* what comes behind a gap is put again */
    markers->n = block;
    return 0;
}

/* How many blocks are marked, from the first one without a gap. */
static int markers_count(struct log *log, uint64_t *out)
{
    char key[LOG_KEY_BYTES];
    struct slice folder = log_key_marker(log, 0, key);
    struct markers markers = {.prefix_size = folder.size - 20};
    folder.size -= 20;
    int code = store_each(log->store, folder, SLICE_EMPTY, marker_visit, &markers);
    *out = markers.n;
    return code < 0 ? code : 0;
}

/* ---- planning ---- */

int log_trim_plan(struct log *log, uint64_t keep_from, struct log_trim_plan *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct snapshots all;
    uint64_t slots = log->options.block_slots, n_marked;
    *out = (struct log_trim_plan){0};
    TRY(log_catch_up(log, 0));
    TRY(markers_count(log, &n_marked));
    TRY(snapshots_list(log, &arena, &all));
    out->line = n_marked * slots;
    for (size_t i = 0; i < all.n; i++) {
        if (all.items[i].record > keep_from) break;
        if (i > 0 && snapshot_group(&all, i) == snapshot_group(&all, i - 1)) continue;
        uint64_t line = snapshot_group(&all, i) * slots;
        if (line < out->line) continue;
        out->base = all.items[i].record;
        out->is_due |= line > out->line;
        out->line = line;
    }
    return 0;
}

/* ---- trimming ---- */

int log_trim(struct log *log, const struct log_trim_options *options, struct log_trim_result *out)
{
    *out = (struct log_trim_result){0};
    if (log->options.read_only && !options->dry_run)
        return error_set(GLIS_EDENIED, "the log %s was opened for reading only", log->prefix);
    if (options->line % log->options.block_slots)
        return error_set(GLIS_EINVALID, "a log is trimmed in blocks of %u records",
                         log->options.block_slots);
    TRY(log_catch_up(log, 0));
    struct trim *trim = memory_alloc_zero(sizeof(*trim));
    trim->log = log;
    trim->options = options;
    trim->result = out;
    trim->version = log_published(log);
    trim->removal = (struct removal){.log = log, .dry_run = options->dry_run};
    arena_init(&trim->removal.arena, NULL);
    int code = trim->version->state.ended
                   ? error_set(GLIS_EINVALID, "the log %s has ended", log->prefix)
                   : trim_run(trim);
    if (code < 0) error_context("trimming the log %s", log->prefix);
    log_version_release(trim->version);
    arena_free(&trim->removal.arena);
    map_free(&trim->bodies);
    free(trim);
    return code;
}

static int trim_run(struct trim *trim)
{
    struct log *log = trim->log;
    uint64_t slots = log->options.block_slots;
    /* What goes may hang on what was only read: a line that others raised, an entry decided. */
    if (!trim->options->dry_run) TRY(log_settle(log, trim->version->state.record));
    TRY(markers_count(log, &trim->n_marked));
    trim->line = trim->options->line;
    if (trim->line <= trim->n_marked * slots)
        trim->line = trim->n_marked * slots; /* nothing new: only cleaning */
    else if (!trim->options->dry_run && !GLIS_MUTANT(snapshot_before_marker))
        TRY(base_settle(trim));
    trim->result->line = trim->line;
    if (trim->line > 0) {
        if (GLIS_MUTANT(marker_before_delete)) TRY(records_remove(trim));
        TRY(markers_put(trim));
        TRY(records_remove(trim));
        TRY(bodies_remove(trim));
    }
    TRY(snapshots_remove(&trim->removal, trim->line, &trim->result->snapshots));
    TRY(orphans_remove(trim));
    TRY(pending_remove(trim));
    return uploads_remove(trim);
}

/* Reads the lowest snapshot from the line up to a record, the base: what is wanted above it needs
 * either it or the records that are to go, and only the lowest of its group is sure to stay. So a
 * damaged one is GLIS_EREFUSED, and not passed over. With `sync` it is made durable. */
static int base_check(struct log *log, uint64_t line, uint64_t last, bool sync)
{
    for (unsigned round = 0;; round++) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct snapshots all;
        struct log_version *base = NULL;
        size_t i = 0;
        TRY(snapshots_list(log, &arena, &all));
        while (i < all.n && all.items[i].record < line)
            i++;
        if (i == all.n || all.items[i].record > last)
            return error_set(GLIS_EREFUSED, "no readable snapshot covers record %" PRIu64, line);
        struct slice name = slice_part(all.items[i].key, all.prefix_size, all.items[i].key.size);
        int code = log_snapshot_load(log, name, &base);
        log_version_release(base);
        for (unsigned attempt = 0; code == 0 && sync; attempt++) {
            code = store_sync(log->store, &all.items[i].key, 1);
            if (code == 0 || code == GLIS_ENOTFOUND || attempt + 1 >= log->options.read_attempts)
                break;
            log_back_off(log, attempt);
            code = 0;
        }
        if (code == GLIS_ECORRUPT) {
            error_context("the log cannot be trimmed to record %" PRIu64 ", for the snapshot that "
                          "it would begin with is damaged",
                          line);
            struct error_detail detail;
            error_save(&detail);
            detail.code = GLIS_EREFUSED;
            return error_load(&detail);
        }
        /* Gone since the list: a lower one has come, or others have trimmed further. */
        if (code != GLIS_ENOTFOUND || round + 1 >= log->options.read_attempts) return code;
        TRY(runtime_check_cancel(log->runtime));
        log_back_off(log, round);
    }
}

/* Step 1: the snapshot from which the lowest state is to be read can be read, and stays. */
static int base_settle(struct trim *trim)
{
    if (GLIS_MUTANT(snapshot_confirmed) && trim->log->snapshot.record >= trim->line) return 0;
    return base_check(trim->log, trim->line, trim->version->state.record,
                      !GLIS_MUTANT(base_is_durable));
}

int log_trim_plan_sure(struct log *log, uint64_t keep_from, struct log_trim_plan *out)
{
    for (;;) {
        TRY(log_trim_plan(log, keep_from, out));
        if (!out->is_due) return 0;
        int code = base_check(log, out->line, out->base, false);
        if (code != GLIS_EREFUSED) return code;
        logger_log(log->runtime->logger, LOGGER_WARN, "a snapshot is no ground for a trim",
                   LOGGER_FIELD_STRING("log", log->prefix),
                   LOGGER_FIELD_STRING("reason", error_message()));
        error_clear();
        keep_from = out->base - 1;
    }
}

/* Step 2. Every marker is put or known to be there, and all are durable, when this returns. */
static int markers_put(struct trim *trim)
{
    struct log *log = trim->log;
    char key[LOG_KEY_BYTES];
    uint64_t blocks = trim->line / log->options.block_slots;
    for (uint64_t at = trim->n_marked + 1; at <= blocks; at++) {
        uint64_t block = at;
        if (GLIS_MUTANT(ascending_markers)) block = blocks - (at - trim->n_marked - 1);
        TRY(runtime_check_cancel(log->runtime));
        TRY(block_bodies(trim, block));
        if (trim->options->dry_run) continue;
        int code = log_put_surely(log, log_key_marker(log, block, key), SLICE("trimmed\n"),
                                  GLIS_MUTANT(marker_confirmed)
                                      ? 0
                                      : log_now_ns(log) + log->options.commit_timeout_ms * 1000000);
        if (code == GLIS_EUNKNOWN && GLIS_MUTANT(marker_confirmed)) code = 0;
        TRY(code);
        if (GLIS_MUTANT(ascending_markers))
            for (uint64_t r = (block - 1) * log->options.block_slots + 1;
                 r <= block * log->options.block_slots; r++) {
                struct slice record = log_key_record(log, r, key);
                TRY(store_remove(log->store, &record, 1));
            }
    }
    if (trim->options->dry_run || GLIS_MUTANT(marker_confirmed)) return 0;
    if (GLIS_MUTANT(markers_are_durable)) return 0;
    /* Also of those that others put: their folder is synced before the first deletion. */
    struct slice last = log_key_marker(log, blocks, key);
    return store_sync(log->store, &last, 1);
}

/* Whether a body exists that a record of this block or before may name. */
static int body_exists(struct log *log, uint64_t last, bool *out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_list list;
    char key[LOG_KEY_BYTES];
    uint64_t begun;
    struct slice folder = log_key_body(log, SLICE_EMPTY, key);
    TRY(store_list(log->store, folder, SLICE_EMPTY, 1, &arena, &list));
    *out = list.n_objects > 0 &&
           log_hex_parse(slice_part(list.objects[0].key, folder.size, 12), &begun) && begun < last;
    return 0;
}

/* Reads the records of a block that is not marked yet, and takes the bodies that they name. */
static int block_bodies(struct trim *trim, uint64_t block)
{
    struct log *log = trim->log;
    uint64_t slots = log->options.block_slots, first = (block - 1) * slots + 1;
    bool any = false, marked = false;
    TRY(body_exists(log, block * slots, &any));
    if (!any) return 0;
    struct map found = {0};
    int code = log_bodies_named(log, first, block * slots, &found);
    if (code == 0) code = log_marker_look(log, block, &marked);
    if (code == 0 && !marked) {
        struct map_cursor c;
        for (map_cursor_first(&found, &c); c.valid; map_cursor_next(&c))
            map_put(&trim->bodies, c.key, SLICE_EMPTY);
    }
    map_free(&found);
    if (code != GLIS_ECORRUPT && code != GLIS_ENEWER) return code;
    error_clear(); /* what was damaged goes all the same; its bodies are orphans */
    return 0;
}

int log_bodies_named(struct log *log, uint64_t first, uint64_t last, struct map *out)
{
    struct store_read reads[BODY_WINDOW];
    defer_free char *keys = memory_alloc((size_t)BODY_WINDOW * LOG_KEY_BYTES);
    for (uint64_t next = first; next <= last;) {
        unsigned n = last - next + 1 < BODY_WINDOW ? (unsigned)(last - next + 1) : BODY_WINDOW;
        for (unsigned i = 0; i < n; i++)
            reads[i] = (struct store_read){
                .key = log_key_record(log, next + i, keys + (size_t)i * LOG_KEY_BYTES),
                .length = LOG_RECORD_BYTES_MAX + 4096,
                .budget = log->runtime->budget};
        TRY(runtime_check_cancel(log->runtime));
        TRY(log_read_objects(log, reads, n));
        int code = 0;
        for (unsigned i = 0; i < n && code == 0; i++) {
            defer_arena struct arena arena = ARENA_EMPTY;
            struct log_record record;
            if (reads[i].outcome == GLIS_ENOTFOUND)
                code = error_set(GLIS_ECORRUPT, "record %" PRIu64 " is missing", next + i);
            else
                code = log_record_decode(&arena, slice_make(reads[i].data, reads[i].size), next + i,
                                         &record);
            for (size_t k = 0; code == 0 && k < record.n_lines; k++)
                if (record.lines[k].kind == LOG_LINE_BODY)
                    map_put(out, record.lines[k].body_name, SLICE_EMPTY);
        }
        store_read_release(reads, n);
        TRY(code);
        next += n;
    }
    return 0;
}

/* ---- deletion ---- */

static int record_visit(void *state, const struct store_object *object)
{
    struct trim *trim = state;
    char key[LOG_KEY_BYTES];
    uint64_t record;
    struct slice example = log_key_record(trim->log, 0, key);
    struct slice digits = slice_part(object->key, example.size - 20, object->key.size);
    if (!log_decimal_parse(digits, &record) || record > trim->line) return 1;
    return removal_add(&trim->removal, object->key, &trim->result->records);
}

/* Step 3, and what was left in marked blocks. */
static int records_remove(struct trim *trim)
{
    char key[LOG_KEY_BYTES];
    struct slice folder = log_key_record(trim->log, 0, key);
    folder.size -= 20;
    int code = store_each(trim->log->store, folder, SLICE_EMPTY, record_visit, trim);
    return code < 0 ? code : removal_end(&trim->removal);
}

static int bodies_remove(struct trim *trim)
{
    struct map_cursor c;
    char key[LOG_KEY_BYTES];
    for (map_cursor_first(&trim->bodies, &c); c.valid; map_cursor_next(&c))
        TRY(removal_add(&trim->removal, log_key_body(trim->log, c.key, key),
                        &trim->result->bodies));
    return removal_end(&trim->removal);
}

struct orphans {
    struct trim *trim;
    size_t prefix_size;
    uint64_t below;
    struct map names;
};

static int orphan_visit(void *state, const struct store_object *object)
{
    struct orphans *orphans = state;
    struct slice name = slice_part(object->key, orphans->prefix_size, object->key.size);
    uint64_t begun;
    if (name.size != LOG_BODY_NAME_BYTES || !log_hex_parse(slice_part(name, 0, 12), &begun))
        return 0;
    if (begun >= orphans->below) return 1;
    map_put(&orphans->names, name, SLICE_EMPTY);
    return 0;
}

/* Bodies below the owner's line that no record and no waiting entry names. Listed first: what is
 * put later was begun later, or may not be named any more. */
static int orphans_remove(struct trim *trim)
{
    struct log *log = trim->log;
    char key[LOG_KEY_BYTES];
    struct slice folder = log_key_body(log, SLICE_EMPTY, key);
    struct orphans orphans = {
        .trim = trim, .prefix_size = folder.size, .below = trim->options->bodies_below};
    if (orphans.below == 0) return 0;
    int code = store_each(log->store, folder, SLICE_EMPTY, orphan_visit, &orphans);
    if (code > 0) code = 0;
    struct map named = {0};
    bool marked = false;
    uint64_t end = trim->version->state.record;
    if (code == 0 && map_count(&orphans.names) > 0) {
        code = log_bodies_named(log, trim->line + 1, end, &named);
        if (code == 0) code = log_pending_bodies(log, &named);
        if (code == 0) code = log_marker_look(log, log_block(log, trim->line + 1), &marked);
    }
    if (code == GLIS_ECORRUPT || code == GLIS_ENEWER) { /* who cannot read them all judges none */
        error_clear();
        marked = true;
        code = 0;
    }
    struct map_cursor c;
    for (map_cursor_first(&orphans.names, &c); code == 0 && !marked && c.valid; map_cursor_next(&c))
        if (!map_get(&named, c.key, NULL))
            code =
                removal_add(&trim->removal, log_key_body(log, c.key, key), &trim->result->bodies);
    map_free(&named);
    map_free(&orphans.names);
    return code < 0 ? code : removal_end(&trim->removal);
}

static int pending_visit(void *state, const struct log_pending_entry *entry)
{
    struct trim *trim = state;
    const struct log_version *version = trim->version;
    if (entry->not_after > version->state.record && !log_version_decided(version, entry->id, NULL))
        return 0;
    return removal_add(&trim->removal, entry->key, &trim->result->pending);
}

static int pending_remove(struct trim *trim)
{
    TRY(log_pending_each(trim->log, pending_visit, trim));
    return removal_end(&trim->removal);
}

static int uploads_remove(struct trim *trim)
{
    struct log *log = trim->log;
    defer_arena struct arena arena = ARENA_EMPTY;
    struct store_unfinished *uploads = NULL;
    size_t n = 0;
    int64_t now_ms;
    char key[LOG_KEY_BYTES];
    TRY(store_time_ms(log->store, &now_ms));
    const struct slice folders[] = {
        arena_copy(&arena, log_key_body(log, SLICE_EMPTY, key)),
        arena_copy(&arena, log_key_snapshot(log, SLICE_EMPTY, key)),
    };
    for (size_t f = 0; f < sizeof(folders) / sizeof(folders[0]); f++) {
        TRY(store_unfinished_list(log->store, folders[f], &arena, &uploads, &n));
        for (size_t i = 0; i < n; i++) {
            if (now_ms - uploads[i].begun_ms < UPLOAD_AGE_MS) continue;
            trim->result->uploads++;
            if (!trim->options->dry_run) TRY(store_unfinished_remove(log->store, &uploads[i]));
        }
    }
    return 0;
}

static int removal_add(struct removal *removal, struct slice key, uint64_t *count)
{
    if (removal->n == KEYS_AT_ONCE) TRY(removal_end(removal));
    removal->keys[removal->n++] = arena_copy(&removal->arena, key);
    ++*count;
    return 0;
}

static int removal_end(struct removal *removal)
{
    int code = removal->n && !removal->dry_run
                   ? store_remove(removal->log->store, removal->keys, removal->n)
                   : 0;
    removal->n = 0;
    arena_free(&removal->arena);
    return code;
}
