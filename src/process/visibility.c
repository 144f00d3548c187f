/*
 * visibility.c: who may see a row. A label is an expression over terms; a reader holds some of
 * them, and sees the rows whose expression comes out true. A null label hides its row from
 * everybody, and so does one that is no expression: what cannot be understood is not shown.
 *
 *   expression  all = and-list | or-list | part      and-list = part { "&" part }
 *   part        term | "(" expression ")"            or-list  = part { "|" part }
 *   term        one or more of A-Z a-z 0-9 _ - . : /, or "..." with \" and \\
 *
 * & and | side by side without brackets are refused: what they meant would be a guess. The grammar
 * is walked and worked out in one go, without a tree; that is done once for each label that
 * differs, for a table has few of them. What was found is kept in a table of bounded size, and rows
 * with the label of the row before need no look at all.
 */
#include "base/hash.h"
#include "process/process_int.h"

#include <stdlib.h>

enum { DEPTH_MAX = 64, CACHE_ENTRIES = 1 << 14, CACHE_BYTES = 8 << 20 };

/* ---- expressions ---- */

struct label_reader {
    struct slice text;
    size_t at;
    const struct slice *terms;
    size_t n_terms;
    struct buffer *scratch; /* for quoted terms with escapes */
};

static bool holds(const struct label_reader *reader, struct slice term)
{
    size_t begin = 0, end = reader->n_terms;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        int c = slice_compare(reader->terms[middle], term);
        if (c == 0) return true;
        if (c < 0)
            begin = middle + 1;
        else
            end = middle;
    }
    return false;
}

static int peek(const struct label_reader *reader)
{
    return reader->at < reader->text.size ? (unsigned char)reader->text.data[reader->at] : -1;
}

static void skip_blanks(struct label_reader *reader)
{
    while (peek(reader) == ' ')
        reader->at++;
}

static bool is_term(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':' || c == '/';
}

/* The functions below say false for what is no expression. */
static bool read_quoted(struct label_reader *reader, bool *result)
{
    buffer_clear(reader->scratch);
    for (reader->at++;; reader->at++) {
        int c = peek(reader);
        if (c < 0) return false;
        if (c == '"') break;
        if (c == '\\') {
            reader->at++;
            c = peek(reader);
            if (c != '"' && c != '\\') return false;
        }
        if (buffer_append_byte(reader->scratch, (uint8_t)c) < 0) return false;
    }
    reader->at++;
    *result = holds(reader, buffer_slice(reader->scratch));
    return reader->scratch->size > 0;
}

static bool read_expression(struct label_reader *reader, unsigned depth, bool *result);

static bool read_part(struct label_reader *reader, unsigned depth, bool *result)
{
    skip_blanks(reader);
    int c = peek(reader);
    if (c == '"') return read_quoted(reader, result);
    if (c == '(') {
        reader->at++;
        if (!read_expression(reader, depth + 1, result) || peek(reader) != ')') return false;
        reader->at++;
        return true;
    }
    size_t begin = reader->at;
    while (is_term(peek(reader)))
        reader->at++;
    *result = holds(reader, slice_part(reader->text, begin, reader->at - begin));
    return reader->at > begin;
}

static bool read_expression(struct label_reader *reader, unsigned depth, bool *result)
{
    if (depth > DEPTH_MAX || !read_part(reader, depth, result)) return false;
    skip_blanks(reader);
    int joined_by = peek(reader);
    if (joined_by != '&' && joined_by != '|') return true;
    while (peek(reader) == joined_by) {
        bool next;
        reader->at++;
        if (!read_part(reader, depth, &next)) return false;
        *result = joined_by == '&' ? *result && next : *result || next;
        skip_blanks(reader);
    }
    return peek(reader) != '&' && peek(reader) != '|';
}

enum label_result label_evaluate(struct slice label, const struct slice *terms, size_t n_terms)
{
    struct buffer scratch defer_buffer = BUFFER_INIT(label.size + 1);
    struct label_reader reader = {label, 0, terms, n_terms, &scratch};
    bool result = false;
    if (label.size == 0) return LABEL_VISIBLE;
    if (label.size > LABEL_BYTES_MAX) return LABEL_BAD;
    if (!read_expression(&reader, 0, &result) || reader.at != label.size) return LABEL_BAD;
    return result ? LABEL_VISIBLE : LABEL_HIDDEN;
}

/* ---- what was found ---- */

struct label_entry {
    struct slice label;
    uint64_t hash; /* 0: free */
    enum label_result result;
};

struct visibility_stream {
    struct batch_stream stream;
    struct batch_stream *behind;
    struct budget *budget;
    struct process_counts *counts;
    uint32_t column;
    struct slice *terms; /* sorted, in the arena */
    size_t n_terms;
    struct arena arena;
    struct label_entry *entries; /* CACHE_ENTRIES of them, at most half used */
    size_t n_entries;
    struct arena labels;
    uint8_t *keep;
    int64_t capacity;
};

static enum label_result look_up(struct visibility_stream *visibility, struct slice label)
{
    if (label.size == 0) return LABEL_VISIBLE;
    if (label.size > LABEL_BYTES_MAX) return LABEL_BAD;
    uint64_t hash = hash_xxh3_64(label.data, label.size) | 1;
    size_t slot = (size_t)(hash >> 8) % CACHE_ENTRIES;
    for (; visibility->entries[slot].hash; slot = (slot + 1) % CACHE_ENTRIES) {
        const struct label_entry *entry = &visibility->entries[slot];
        if (entry->hash == hash && slice_equal(entry->label, label)) return entry->result;
    }
    enum label_result result = label_evaluate(label, visibility->terms, visibility->n_terms);
    if (visibility->n_entries >= CACHE_ENTRIES / 2 ||
        visibility->labels.total_bytes > CACHE_BYTES) {
        memset(visibility->entries, 0, CACHE_ENTRIES * sizeof *visibility->entries);
        visibility->n_entries = 0;
        arena_free(&visibility->labels);
        slot = (size_t)(hash >> 8) % CACHE_ENTRIES;
    }
    visibility->entries[slot] =
        (struct label_entry){arena_copy(&visibility->labels, label), hash, result};
    visibility->n_entries++;
    return result;
}

/* ---- rows ---- */

static void mark_visible(struct visibility_stream *visibility, const struct column *column)
{
    enum label_result result = LABEL_HIDDEN;
    struct slice last = SLICE_EMPTY;
    bool known = false;
    uint64_t n_hidden = 0, n_bad = 0;
    for (int64_t i = 0; i < column->length; i++) {
        if (column_is_null(column, i)) {
            visibility->keep[i] = 0;
            n_hidden++;
            continue;
        }
        struct slice label = column_slice_at(column, i);
        if (!known || !slice_equal(label, last)) result = look_up(visibility, label);
        last = label;
        known = true;
        visibility->keep[i] = result == LABEL_VISIBLE;
        n_hidden += result != LABEL_VISIBLE;
        n_bad += result == LABEL_BAD;
    }
    if (!visibility->counts) return;
    visibility->counts->rows_hidden += n_hidden;
    visibility->counts->bad_labels += n_bad;
}

static int visibility_next(struct batch_stream *stream, struct batch **out)
{
    struct visibility_stream *visibility = (struct visibility_stream *)stream;
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(visibility->behind, &batch));
        *out = batch;
        if (!batch) return 0;
        if (batch->n_rows > visibility->capacity) {
            visibility->keep = memory_realloc(visibility->keep, (size_t)batch->n_rows);
            visibility->capacity = batch->n_rows;
        }
        mark_visible(visibility, &batch->columns[visibility->column]);
        TRY(process_select(batch, visibility->keep, visibility->budget, out));
        if (*out) return 0;
    }
}

static void visibility_close(struct batch_stream *stream)
{
    struct visibility_stream *visibility = (struct visibility_stream *)stream;
    batch_stream_close(visibility->behind);
    arena_free(&visibility->arena);
    arena_free(&visibility->labels);
    free(visibility->entries);
    free(visibility->keep);
    free(visibility);
}

static int compare_terms(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

int visibility_open(struct batch_stream **out, struct batch_stream *in,
                    const struct processing *processing, const struct process_options *options,
                    struct budget *budget)
{
    struct visibility_stream *visibility = memory_alloc_zero(sizeof *visibility);
    visibility->stream = (struct batch_stream){in->schema, visibility_next, visibility_close};
    visibility->behind = in;
    visibility->budget = budget;
    visibility->counts = options->counts;
    int column = process_column_of(options, (uint32_t)processing->visibility_field);
    ASSERT(column >= 0);
    visibility->column = (uint32_t)column;
    arena_init(&visibility->arena, NULL);
    arena_init(&visibility->labels, NULL);
    size_t n = options->n_authorisations;
    visibility->terms = ARENA_ARRAY(&visibility->arena, struct slice, n + 1);
    for (size_t i = 0; i < n; i++)
        visibility->terms[i] = arena_copy(&visibility->arena, options->authorisations[i]);
    qsort(visibility->terms, n, sizeof *visibility->terms, compare_terms);
    visibility->n_terms = n;
    visibility->entries = memory_alloc_zero(CACHE_ENTRIES * sizeof *visibility->entries);
    *out = &visibility->stream;
    return 0;
}
