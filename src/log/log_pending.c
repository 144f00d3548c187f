/*
 * log_pending.c: the entries of contended commits as they lie in the store (docs/formats.md, "Log
 * records"): log/pending/<id> holds the very line that a record carries for it, so that whoever
 * lists an entry can put it into a record byte by byte.
 *
 * Entries come from anybody and are advisory: one that cannot be read or understood, whose name is
 * not its id, or that has gone since the list, is passed over. An entry's writer carries it from
 * memory, and any subset of the others is safe.
 */
#include "log/log_int.h"

#include "base/map.h"

enum { READ_WINDOW = 64 };

struct visit {
    struct log *log;
    size_t prefix_size;
    bool (*wanted)(void *state, struct slice id, struct slice key); /* NULL: all are */
    int (*visit)(void *state, const struct log_pending_entry *entry);
    void *state;
    struct arena arena; /* of the keys */
    struct slice keys[READ_WINDOW];
    unsigned n;
};

int log_pending_decode(struct arena *arena, struct slice object, struct log_line *out)
{
    if (object.size == 0 || object.data[object.size - 1] != '\n' ||
        memchr(object.data, '\n', object.size) != object.data + object.size - 1)
        return error_set(GLIS_ECORRUPT, "it is not one line");
    TRY(log_line_decode(arena, slice_part(object, 0, object.size - 1), out));
    return out->carried ? 0 : error_set(GLIS_ECORRUPT, "it is no pending entry");
}

/* One entry as it was read. */
static int entry_take(struct visit *visit, const struct store_read *read)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice name = slice_part(read->key, visit->prefix_size, read->key.size);
    struct log_line line;
    arena.budget = visit->log->runtime->budget;
    int code = log_pending_decode(&arena, slice_make(read->data, read->size), &line);
    if (code == 0 && slice_equal(line.pending_id, name)) {
        struct log_pending_entry entry = {.key = read->key,
                                          .id = line.pending_id,
                                          .not_after = line.not_after,
                                          .text = line.text,
                                          .line = &line};
        return visit->visit(visit->state, &entry);
    }
    if (code != GLIS_ECORRUPT && code != GLIS_EINVALID && code != GLIS_ENEWER) return code;
    error_clear();
    return 0;
}

/* Reads what was listed, several at a time. */
static int entries_read(struct visit *visit)
{
    struct store_read reads[READ_WINDOW] = {0};
    unsigned n = visit->n;
    if (n == 0) return 0;
    for (unsigned i = 0; i < n; i++)
        reads[i] = (struct store_read){.key = visit->keys[i],
                                       .length = LOG_PENDING_BYTES_MAX,
                                       .budget = visit->log->runtime->budget};
    visit->n = 0;
    int code = log_read_objects(visit->log, reads, n);
    for (unsigned i = 0; i < n && code == 0; i++)
        if (reads[i].outcome == 0) code = entry_take(visit, &reads[i]); /* else gone since */
    store_read_release(reads, n);
    arena_free(&visit->arena);
    return code;
}

static int entry_visit(void *state, const struct store_object *object)
{
    struct visit *visit = state;
    if (object->size > LOG_PENDING_BYTES_MAX) return 0;
    struct slice id = slice_part(object->key, visit->prefix_size, object->key.size);
    if (visit->wanted && !visit->wanted(visit->state, id, object->key)) return 0;
    visit->keys[visit->n++] = arena_copy(&visit->arena, object->key);
    return visit->n == READ_WINDOW ? entries_read(visit) : 0;
}

int log_pending_each(struct log *log,
                     int (*visit)(void *state, const struct log_pending_entry *entry), void *state)
{
    return log_pending_wanted(log, NULL, visit, state);
}

int log_pending_wanted(struct log *log,
                       bool (*wanted)(void *state, struct slice id, struct slice key),
                       int (*visit)(void *state, const struct log_pending_entry *entry),
                       void *state)
{
    char key[LOG_KEY_BYTES];
    struct slice folder = log_key_pending(log, SLICE_EMPTY, key);
    struct visit all = {
        .log = log, .prefix_size = folder.size, .wanted = wanted, .visit = visit, .state = state};
    arena_init(&all.arena, NULL);
    int code = store_each(log->store, folder, SLICE_EMPTY, entry_visit, &all);
    if (code == 0) code = entries_read(&all);
    arena_free(&all.arena);
    return code;
}

static int body_visit(void *state, const struct log_pending_entry *entry)
{
    if (entry->line->kind == LOG_LINE_BODY) map_put(state, entry->line->body_name, SLICE_EMPTY);
    return 0;
}

int log_pending_bodies(struct log *log, struct map *out)
{
    return log_pending_each(log, body_visit, out);
}
