/*
 * table_scan.c: partitions and the figures of their references, as planners read them.
 *
 * A plan needs the rows of every reference and almost nothing else, so neither the files' records
 * nor the regions are unpacked here, and nothing is allocated per reference: a walk over a state of
 * 131,072 leaves with two files each takes a few milliseconds. What changed between two states is
 * found by comparing their maps, which share what neither changed (base/map.h).
 *
 * References stand in the order of (partition, file), partitions in that of their ids, and no id
 * holds a byte below the 00 that ends it in a reference's key: so both orders are the same, and the
 * two maps are walked side by side.
 */
#include "table/table_int.h"

#include <stdlib.h>

struct reference_list {
    struct reference_figures *items;
    size_t n, capacity;
};

static int bad_reference(void)
{
    return error_set(GLIS_ECORRUPT, "a reference's record cannot be read");
}

/* Takes the references of one partition from the cursor, which ends behind them. */
static int take_references(const struct state *state, struct map_cursor *cursor, struct slice id,
                           struct reference_list *list)
{
    list->n = 0;
    while (cursor->valid && cursor->key.size > id.size + 1 && cursor->key.data[id.size] == 0 &&
           memcmp(cursor->key.data, id.data, id.size) == 0) {
        struct reference_record record;
        if (!reference_unpack(cursor->value, &record)) return bad_reference();
        if (list->n == list->capacity) {
            list->capacity = list->capacity * 2 + 16;
            list->items = memory_realloc(list->items, list->capacity * sizeof(*list->items));
        }
        struct reference_figures *figures = &list->items[list->n++];
        *figures = (struct reference_figures){
            .file = slice_part(cursor->key, id.size + 1, cursor->key.size),
            .rows = record.rows,
            .is_exact = record.is_exact,
            .is_shared = record.is_shared,
            .is_set_aside = record.is_set_aside,
        };
        struct assignment_record assignment;
        if (record.job.size && assignment_get(state, record.job, &assignment)) {
            figures->job = record.job;
            figures->until_ms = assignment.until_ms;
        }
        map_cursor_next(cursor);
    }
    return 0;
}

static void set_partition(struct partition_figures *out, struct slice id,
                          const struct partition_record *record)
{
    *out = (struct partition_figures){
        .id = id,
        .parent = record->parent,
        .is_leaf = record->is_leaf,
        .left = record->left,
        .right = record->right,
    };
}

int table_each_partition(const struct table_state *state,
                         int (*visit)(void *context, const struct partition_figures *partition),
                         void *context)
{
    struct map_cursor partitions, references;
    map_cursor_first(&state->state->maps[SECTION_PARTITIONS], &partitions);
    map_cursor_first(&state->state->maps[SECTION_REFERENCES], &references);
    struct reference_list list = {0};
    int code = 0;
    while (code == 0 && references.valid) {
        struct slice id, file;
        code = reference_key_unpack(references.key, &id, &file) ? 0 : bad_reference();
        while (code == 0 && partitions.valid && slice_compare(partitions.key, id) < 0)
            map_cursor_next(&partitions);
        if (code == 0 && (!partitions.valid || !slice_equal(partitions.key, id)))
            code = error_set(GLIS_ECORRUPT, "references on partition '%.*s', which is not there",
                             SLICE_PRINT(id));
        if (code == 0) code = take_references(state->state, &references, id, &list);
        if (code) break;
        struct partition_figures figures = {.id = id,
                                            .is_leaf = partition_is_leaf(partitions.value)};
        figures.references = list.items;
        figures.n_references = list.n;
        code = visit(context, &figures);
    }
    free(list.items);
    return code;
}

static int read_partition(const struct table_state *state, struct slice id,
                          struct reference_list *list, struct partition_figures *out)
{
    struct map_cursor cursor;
    struct partition_record record;
    map_cursor_seek(&state->state->maps[SECTION_PARTITIONS], id, &cursor);
    if (!cursor.valid || !slice_equal(cursor.key, id) || !partition_unpack(cursor.value, &record)) {
        *out = (struct partition_figures){.id = id, .is_gone = true};
        return 0;
    }
    set_partition(out, cursor.key, &record);
    if (!list || !record.n_references) return 0;
    uint8_t prefix[PARTITION_ID_MAX + 1] = {0};
    if (id.size > PARTITION_ID_MAX) return bad_reference();
    memcpy(prefix, id.data, id.size);
    map_cursor_seek(&state->state->maps[SECTION_REFERENCES], slice_make(prefix, id.size + 1),
                    &cursor);
    TRY(take_references(state->state, &cursor, id, list));
    out->references = list->items;
    out->n_references = list->n;
    return 0;
}

int table_partition_figures(const struct table_state *state, struct slice id, struct arena *arena,
                            struct partition_figures *out)
{
    struct reference_list list = {0};
    int code = read_partition(state, id, arena ? &list : NULL, out);
    if (code == 0 && out->n_references) {
        struct reference_figures *copy =
            ARENA_ARRAY(arena, struct reference_figures, out->n_references);
        memcpy(copy, out->references, out->n_references * sizeof(*copy));
        out->references = copy;
    }
    free(list.items);
    return code;
}

/* ---- what changed ---- */

struct id_list {
    struct slice *items;
    size_t n, capacity;
};

static void add_id(struct id_list *list, struct slice id)
{
    if (list->n && slice_equal(list->items[list->n - 1], id)) return;
    if (list->n == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->items = memory_realloc(list->items, list->capacity * sizeof(*list->items));
    }
    list->items[list->n++] = id;
}

static int note_partition(void *context, struct slice key, const struct slice *before,
                          const struct slice *after)
{
    (void)before, (void)after;
    add_id(context, key);
    return 0;
}

static int note_reference(void *context, struct slice key, const struct slice *before,
                          const struct slice *after)
{
    (void)before, (void)after;
    struct slice id, file;
    if (!reference_key_unpack(key, &id, &file)) return bad_reference();
    add_id(context, id);
    return 0;
}

/* A job that was extended changes nothing but its own record. */
static int note_assignment(void *context, struct slice key, const struct slice *before,
                           const struct slice *after)
{
    (void)key;
    struct assignment_record assignment;
    if (!assignment_unpack(after ? *after : *before, &assignment)) return bad_reference();
    add_id(context, assignment.partition);
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* Ids of what differs, in order, each once. */
static int find_changed(const struct map *old_maps, const struct map *new_maps,
                        struct id_list *list)
{
    TRY(map_diff(&old_maps[SECTION_PARTITIONS], &new_maps[SECTION_PARTITIONS], note_partition,
                 list));
    TRY(map_diff(&old_maps[SECTION_REFERENCES], &new_maps[SECTION_REFERENCES], note_reference,
                 list));
    TRY(map_diff(&old_maps[SECTION_ASSIGNMENTS], &new_maps[SECTION_ASSIGNMENTS], note_assignment,
                 list));
    if (!list->n) return 0;
    qsort(list->items, list->n, sizeof(*list->items), compare_ids);
    size_t n = list->n;
    list->n = 0;
    for (size_t i = 0; i < n; i++)
        add_id(list, list->items[i]);
    return 0;
}

static int visit_changed(const struct table_state *before, const struct table_state *after,
                         struct slice id, struct reference_list *references,
                         int (*visit)(void *context, const struct partition_figures *partition),
                         void *context)
{
    struct partition_figures old, figures;
    TRY(read_partition(before, id, NULL, &old));
    TRY(read_partition(after, id, references, &figures));
    figures.tree_changed = old.is_gone != figures.is_gone || old.is_leaf != figures.is_leaf;
    return visit(context, &figures);
}

int table_changed_partitions(const struct table_state *before, const struct table_state *after,
                             int (*visit)(void *context, const struct partition_figures *partition),
                             void *context)
{
    struct id_list changed = {0};
    struct reference_list references = {0};
    int code = find_changed(before->state->maps, after->state->maps, &changed);
    for (size_t i = 0; code == 0 && i < changed.n; i++)
        code = visit_changed(before, after, changed.items[i], &references, visit, context);
    free(changed.items);
    free(references.items);
    return code;
}

struct slice table_figures_name(const struct reference_figures *reference, struct arena *arena)
{
    struct slice name;
    bool good = file_key_name(reference->file, arena, &name);
    ASSERT(good); /* checked before it got into the state */
    return name;
}
