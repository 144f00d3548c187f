/*
 * table_state.c: states of a table, their life, and what readers ask of them.
 *
 * A state is numbers, copy-on-write maps and the schemas of all versions; a copy shares the maps
 * and the schemas. What the log publishes is never changed; apply changes a private copy. A
 * reader's hold (struct table_state) keeps the log's state alive, and with it every slice handed
 * out.
 */
#include "table/table_int.h"

#include <stdlib.h>

/* ---- life ---- */

struct state *state_new(void)
{
    return memory_alloc_zero(sizeof(struct state));
}

static struct schema_history *history_acquire(struct schema_history *history)
{
    if (history) atomic_fetch_add_explicit(&history->references, 1, memory_order_relaxed);
    return history;
}

static void history_release(struct schema_history *history)
{
    if (!history || atomic_fetch_sub_explicit(&history->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < history->n; i++)
        schema_release(history->items[i]);
    free(history);
}

struct state *state_clone(const struct state *state)
{
    struct state *copy = state_new();
    memcpy(copy->numbers, state->numbers, sizeof(copy->numbers));
    for (int s = 0; s < SECTION_COUNT; s++)
        map_clone(&copy->maps[s], &state->maps[s]);
    copy->schemas = history_acquire(state->schemas);
    return copy;
}

void state_free(struct state *state)
{
    if (!state) return;
    for (int s = 0; s < SECTION_COUNT; s++)
        map_free(&state->maps[s]);
    leaf_view_free(atomic_load(&state->leaves));
    history_release(state->schemas);
    free(state);
}

const struct schema *state_schema(const struct state *state)
{
    return state->schemas ? state->schemas->items[state->schemas->n - 1] : NULL;
}

int state_add_schema(struct state *state, const struct schema *schema)
{
    struct buffer json = BUFFER_INIT(LOG_BODY_BYTES_MAX);
    int code = schema_to_json(schema, &json);
    if (code < 0) {
        buffer_free(&json);
        return code;
    }
    uint32_t n = state->schemas ? state->schemas->n : 0;
    struct schema_history *history =
        memory_alloc(sizeof(*history) + (n + 1) * sizeof(history->items[0]));
    atomic_init(&history->references, 1);
    history->n = n + 1;
    for (uint32_t i = 0; i < n; i++)
        history->items[i] = schema_acquire(state->schemas->items[i]);
    history->items[n] = schema_acquire(schema);
    history_release(state->schemas);
    state->schemas = history;
    uint8_t key[4];
    big_endian_put(key, n + 1, 4);
    map_put(&state->maps[SECTION_SCHEMAS], slice_make(key, 4), buffer_slice(&json));
    buffer_free(&json);
    state->numbers[NUMBER_SCHEMA_VERSION] = n + 1;
    return 0;
}

uint64_t state_bytes(const struct state *state)
{
    uint64_t bytes = sizeof(*state);
    for (int s = 0; s < SECTION_COUNT; s++)
        bytes += map_memory_bytes(&state->maps[s]);
    return bytes;
}

int64_t state_number(const struct state *state, enum property_id id)
{
    const struct property_definition *definition = property_definition(id);
    struct slice text = slice_from_text(definition->default_text);
    map_get(&state->maps[SECTION_PROPERTIES], slice_from_text(definition->name), &text);
    int64_t number = 0;
    int code = property_check(id, text, &number);
    ASSERT(code == 0); /* checked before it got into the state */
    return number;
}

/* ---- holds ---- */

const struct table_state *table_state_wrap(const struct log_state *log)
{
    struct table_state *hold = memory_alloc_zero(sizeof(*hold));
    atomic_init(&hold->references, 1);
    hold->log = log;
    hold->state = log->state;
    hold->record = log->record;
    hold->time_ms = log->time_ms;
    return hold;
}

const struct table_state *table_state_own(struct state *state, uint64_t record, int64_t time_ms)
{
    struct table_state *hold = memory_alloc_zero(sizeof(*hold));
    atomic_init(&hold->references, 1);
    hold->state = state;
    hold->record = record;
    hold->time_ms = time_ms;
    return hold;
}

const struct table_state *table_state_acquire(const struct table_state *state)
{
    atomic_fetch_add_explicit(&((struct table_state *)state)->references, 1, memory_order_relaxed);
    return state;
}

void table_state_release(const struct table_state *state)
{
    struct table_state *hold = (struct table_state *)state;
    if (!hold || atomic_fetch_sub_explicit(&hold->references, 1, memory_order_acq_rel) != 1) return;
    if (hold->log)
        log_state_release(hold->log);
    else
        state_free((struct state *)hold->state);
    free(hold);
}

uint64_t table_state_record(const struct table_state *state)
{
    return state->record;
}

int64_t table_state_time_ms(const struct table_state *state)
{
    return state->time_ms;
}

uint64_t table_state_generation(const struct table_state *state)
{
    return state->state->numbers[NUMBER_GENERATION];
}

uint64_t table_state_processing_version(const struct table_state *state)
{
    return state->state->numbers[NUMBER_PROCESSING];
}

uint64_t table_state_version(const struct table_state *state)
{
    return state->state->numbers[NUMBER_VERSION];
}

uint64_t table_state_horizon(const struct table_state *state)
{
    return state->state->numbers[NUMBER_HORIZON];
}

const struct schema *table_state_schema(const struct table_state *state)
{
    return state_schema(state->state);
}

const struct schema *table_state_schema_at(const struct table_state *state, uint64_t version)
{
    const struct schema_history *history = state->state->schemas;
    if (!history || version == 0 || version > history->n) return NULL;
    return history->items[version - 1];
}

uint64_t table_state_schema_version(const struct table_state *state)
{
    return state->state->numbers[NUMBER_SCHEMA_VERSION];
}

int64_t table_state_number(const struct table_state *state, enum property_id id)
{
    return state_number(state->state, id);
}

struct slice table_state_text(const struct table_state *state, enum property_id id)
{
    const struct property_definition *definition = property_definition(id);
    struct slice text = slice_from_text(definition->default_text);
    map_get(&state->state->maps[SECTION_PROPERTIES], slice_from_text(definition->name), &text);
    return text;
}

int table_state_settings(const struct table_state *state, struct arena *arena, struct setting **out,
                         size_t *n_out)
{
    const struct map *map = &state->state->maps[SECTION_PROPERTIES];
    *out = ARENA_ARRAY(arena, struct setting, map_count(map));
    *n_out = 0;
    struct map_cursor cursor;
    for (map_cursor_first(map, &cursor); cursor.valid; map_cursor_next(&cursor))
        (*out)[(*n_out)++] = (struct setting){cursor.key, cursor.value};
    return 0;
}

struct table_figures table_state_figures(const struct table_state *state)
{
    const struct state *s = state->state;
    return (struct table_figures){
        .partitions = map_count(&s->maps[SECTION_PARTITIONS]),
        .leaves = s->numbers[NUMBER_LEAVES],
        .files = map_count(&s->maps[SECTION_FILES]),
        .references = map_count(&s->maps[SECTION_REFERENCES]),
        .unreferenced_files = s->numbers[NUMBER_UNREFERENCED],
        .jobs = map_count(&s->maps[SECTION_JOBS]),
        .writers = map_count(&s->maps[SECTION_WRITERS]),
        .rows = s->numbers[NUMBER_ROWS],
        .bytes = s->numbers[NUMBER_BYTES],
        .rows_are_exact = s->numbers[NUMBER_ESTIMATED] == 0,
        .memory_bytes = state_bytes(s),
    };
}

/* ---- files and references ---- */

/* A file from its map key and record; strings point into the state, the rest lies in the arena. */
static int file_make(const struct state *state, struct slice key, struct slice value,
                     struct arena *arena, struct table_file *out)
{
    struct file_record record;
    bool good = file_unpack(value, &record) && file_key_name(key, arena, &out->name) &&
                bounds_unpack(record.bounds, state_schema(state)->n_row_keys, arena, &out->bounds);
    if (!good) return error_set(GLIS_ECORRUPT, "a file's record cannot be read");
    out->size = record.size;
    out->rows = record.rows;
    memcpy(out->checksum, record.checksum.data, sizeof(out->checksum));
    out->schema_version = record.schema_version;
    out->added_record = record.added_record;
    out->gone_record = record.gone_record;
    out->gone_ms = record.gone_ms;
    out->n_references = record.n_references;
    out->is_foreign = key.data[0] == 1;
    return 0;
}

static int reference_make(const struct state *state, struct slice key, struct slice value,
                          struct arena *arena, struct table_reference *out)
{
    struct slice file_key, file_value;
    struct reference_record record;
    if (!reference_key_unpack(key, &out->partition, &file_key) ||
        !reference_unpack(value, &record) ||
        !map_get(&state->maps[SECTION_FILES], file_key, &file_value))
        return error_set(GLIS_ECORRUPT, "a reference's record cannot be read");
    struct table_file *file = ARENA_NEW(arena, struct table_file);
    TRY(file_make(state, file_key, file_value, arena, file));
    *out = (struct table_reference){
        .partition = out->partition,
        .file = file,
        .rows = record.rows,
        .is_exact = record.is_exact,
        .is_shared = record.is_shared,
        .is_set_aside = record.is_set_aside,
    };
    struct assignment_record assignment;
    if (record.job.size && assignment_get(state, record.job, &assignment)) {
        out->job = record.job;
        out->until_ms = assignment.until_ms;
    }
    return 0;
}

int table_file(const struct table_state *state, struct slice name, struct arena *arena,
               struct table_file *out)
{
    defer_packer struct packer key = {0};
    struct map_cursor cursor;
    if (file_key_pack(&key, name)) {
        map_cursor_seek(&state->state->maps[SECTION_FILES], packed(&key), &cursor);
        if (cursor.valid && slice_equal(cursor.key, packed(&key)))
            return file_make(state->state, cursor.key, cursor.value, arena, out);
    }
    return error_set(GLIS_ENOTFOUND, "the table has no file '%.*s'", SLICE_PRINT(name));
}

/* The cursor at the first reference of a partition. */
static void references_seek(const struct state *state, struct slice partition,
                            struct map_cursor *cursor)
{
    defer_packer struct packer prefix = {0};
    pack_bytes(&prefix, partition);
    pack_bytes(&prefix, slice_make("", 1));
    map_cursor_seek(&state->maps[SECTION_REFERENCES], packed(&prefix), cursor);
}

static bool reference_is_on(const struct map_cursor *cursor, struct slice partition)
{
    return cursor->valid && cursor->key.size > partition.size &&
           slice_starts_with(cursor->key, partition) && cursor->key.data[partition.size] == 0;
}

static int too_many(struct slice partition)
{
    return error_set(GLIS_ECORRUPT, "the number of references is wrong of partition '%.*s'",
                     SLICE_PRINT(partition));
}

int table_references(const struct table_state *state, struct slice partition, struct arena *arena,
                     struct table_reference **out, size_t *n_out)
{
    struct partition_record record;
    *n_out = 0;
    *out = NULL;
    if (!partition_get(state->state, partition, &record) || !record.n_references) return 0;
    *out = ARENA_ARRAY(arena, struct table_reference, record.n_references);
    struct map_cursor cursor;
    references_seek(state->state, partition, &cursor);
    for (; reference_is_on(&cursor, partition); map_cursor_next(&cursor)) {
        if (*n_out == record.n_references) return too_many(partition);
        TRY(reference_make(state->state, cursor.key, cursor.value, arena, &(*out)[*n_out]));
        (*n_out)++;
    }
    return 0;
}

int table_each_file(const struct table_state *state,
                    int (*visit)(void *context, const struct table_file *file), void *context)
{
    struct map_cursor cursor;
    defer_arena struct arena arena = ARENA_EMPTY;
    unsigned n = 0;
    map_cursor_first(&state->state->maps[SECTION_FILES], &cursor);
    for (; cursor.valid; map_cursor_next(&cursor)) {
        if (++n % 256 == 0) arena_free(&arena);
        struct table_file file;
        TRY(file_make(state->state, cursor.key, cursor.value, &arena, &file));
        int code = visit(context, &file);
        if (code) return code;
    }
    return 0;
}

int table_each_reference(const struct table_state *state,
                         int (*visit)(void *context, const struct table_reference *reference),
                         void *context)
{
    struct map_cursor cursor;
    defer_arena struct arena arena = ARENA_EMPTY;
    unsigned n = 0;
    map_cursor_first(&state->state->maps[SECTION_REFERENCES], &cursor);
    for (; cursor.valid; map_cursor_next(&cursor)) {
        if (++n % 256 == 0) arena_free(&arena);
        struct table_reference reference;
        TRY(reference_make(state->state, cursor.key, cursor.value, &arena, &reference));
        int code = visit(context, &reference);
        if (code) return code;
    }
    return 0;
}

/* ---- jobs ---- */

int table_check_job(const struct table_state *state, struct slice job,
                    const uint64_t fingerprint[2], struct commit_result *out)
{
    *out = (struct commit_result){0};
    TRY(job_id_check("job id", job));
    struct slice value;
    if (!map_get(&state->state->maps[SECTION_JOBS], job, &value)) return 0;
    struct job_record record;
    bool good = job_unpack(value, &record);
    ASSERT(good);
    if (!job_is_remembered(state->state, &record, state->time_ms)) return 0;
    uint8_t wanted[16];
    big_endian_put(wanted, fingerprint[0], 8);
    big_endian_put(wanted + 8, fingerprint[1], 8);
    if (memcmp(wanted, record.fingerprint.data, 16) != 0)
        return error_set(GLIS_EEXISTS,
                         "job '%.*s' was done with other input (record %llu); give another job id",
                         SLICE_PRINT(job), (unsigned long long)record.record);
    out->record = record.record;
    out->already_done = true;
    return 0;
}

int table_check_sequence(const struct table_state *state, struct slice writer, uint64_t sequence,
                         struct commit_result *out)
{
    *out = (struct commit_result){0};
    TRY(job_id_check("writer", writer));
    if (sequence == 0) return error_set(GLIS_EINVALID, "sequences begin with 1");
    struct writer_record record = {0};
    struct slice value;
    if (map_get(&state->state->maps[SECTION_WRITERS], writer, &value)) {
        bool good = writer_unpack(value, &record);
        ASSERT(good);
    }
    if (sequence > record.sequence + 1)
        return error_set(GLIS_ESEQUENCE,
                         "writer '%.*s' is at %llu, so its next is %llu and not %llu",
                         SLICE_PRINT(writer), (unsigned long long)record.sequence,
                         (unsigned long long)record.sequence + 1, (unsigned long long)sequence);
    if (sequence == record.sequence + 1) return 0;
    out->already_done = true;
    out->record = sequence == record.sequence ? record.record : 0;
    return 0;
}

/* ---- leaves of a region ---- */

/* Inner nodes on the way from the root to the present node, with the references they hold. */
struct level {
    struct table_reference *references;
    size_t n;
};
struct walk {
    const struct state *state;
    const struct key_range *region; /* NULL: everything */
    uint32_t n_fields;
    struct level *levels;
    uint32_t n_levels;
    struct slice *stack;
    size_t n_stack, stack_max;
};

static bool region_overlaps(const struct key_range *a, const struct key_range *b, uint32_t n)
{
    for (uint32_t f = 0; f < n; f++)
        if (!key_range_overlaps(&a[f], &b[f])) return false;
    return true;
}

static bool file_meets(const struct table_file *file, const struct key_range *region, uint32_t n)
{
    for (uint32_t f = 0; region && f < n; f++)
        if (!file_bound_overlaps(&file->bounds[f], &region[f])) return false;
    return true;
}

/* The references on one partition whose files meet the region. */
static int load_references(const struct walk *walk, struct slice id, uint64_t n_most,
                           struct arena *arena, struct level *out)
{
    *out = (struct level){0};
    if (!n_most) return 0;
    out->references = ARENA_ARRAY(arena, struct table_reference, n_most);
    uint64_t n_seen = 0;
    struct map_cursor cursor;
    references_seek(walk->state, id, &cursor);
    for (; reference_is_on(&cursor, id); map_cursor_next(&cursor)) {
        if (n_seen++ == n_most) return too_many(id);
        struct table_reference *reference = &out->references[out->n];
        TRY(reference_make(walk->state, cursor.key, cursor.value, arena, reference));
        if (file_meets(reference->file, walk->region, walk->n_fields)) out->n++;
    }
    return 0;
}

static void partition_make(const struct state *state, struct slice id,
                           const struct partition_record *record, struct arena *arena,
                           struct partition *out)
{
    *out = (struct partition){
        .id = id,
        .parent = record->parent,
        .is_leaf = record->is_leaf,
        .dimension = record->dimension,
        .split = record->split,
        .left = record->left,
        .right = record->right,
        .depth = record->depth,
    };
    bool good = region_unpack(record->region, state_schema(state)->n_row_keys, arena, &out->region);
    ASSERT(good);
}

int table_partition(const struct table_state *state, struct slice id, struct arena *arena,
                    struct partition *out)
{
    struct partition_record record;
    struct map_cursor cursor;
    map_cursor_seek(&state->state->maps[SECTION_PARTITIONS], id, &cursor);
    if (!cursor.valid || !slice_equal(cursor.key, id))
        return error_set(GLIS_ENOTFOUND, "the table has no partition '%.*s'", SLICE_PRINT(id));
    bool good = partition_unpack(cursor.value, &record);
    ASSERT(good);
    partition_make(state->state, cursor.key, &record, arena, out);
    return 0;
}

static int visit_leaf(struct walk *walk, const struct partition *partition,
                      const struct partition_record *record, struct arena *arena,
                      int (*visit)(void *context, const struct table_leaf *leaf), void *context)
{
    struct level own;
    TRY(load_references(walk, partition->id, record->n_references, arena, &own));
    size_t n_most = own.n;
    for (uint32_t d = 0; d < partition->depth; d++)
        n_most += walk->levels[d].n;
    struct table_leaf leaf = {.partition = *partition};
    leaf.references = ARENA_ARRAY(arena, struct table_reference, n_most);
    for (size_t i = 0; i < own.n; i++)
        leaf.references[leaf.n_references++] = own.references[i];
    for (uint32_t d = partition->depth; d-- > 0;)
        for (size_t i = 0; i < walk->levels[d].n; i++)
            if (file_meets(walk->levels[d].references[i].file, partition->region, walk->n_fields))
                leaf.references[leaf.n_references++] = walk->levels[d].references[i];
    return visit(context, &leaf);
}

static void push(struct walk *walk, struct slice id)
{
    if (walk->n_stack == walk->stack_max) {
        walk->stack_max = walk->stack_max * 2 + 64;
        walk->stack = memory_realloc(walk->stack, walk->stack_max * sizeof(walk->stack[0]));
    }
    walk->stack[walk->n_stack++] = id;
}

/* One node: a leaf is visited; of an inner node the references are kept and the children pushed. */
static int walk_node(struct walk *walk, struct arena *inner, struct arena *outer,
                     int (*visit)(void *context, const struct table_leaf *leaf), void *context)
{
    struct slice id = walk->stack[--walk->n_stack];
    struct map_cursor cursor;
    map_cursor_seek(&walk->state->maps[SECTION_PARTITIONS], id, &cursor);
    struct partition_record record;
    bool good =
        cursor.valid && slice_equal(cursor.key, id) && partition_unpack(cursor.value, &record);
    ASSERT(good);
    defer_arena struct arena own = ARENA_EMPTY;
    struct arena *arena = outer ? outer : &own;
    if (record.is_leaf) {
        struct partition partition;
        partition_make(walk->state, cursor.key, &record, arena, &partition);
        if (walk->region && !region_overlaps(partition.region, walk->region, walk->n_fields))
            return 0;
        return visit_leaf(walk, &partition, &record, arena, visit, context);
    }
    if (record.depth >= walk->n_levels) {
        walk->n_levels = record.depth * 2 + 16;
        walk->levels = memory_realloc(walk->levels, walk->n_levels * sizeof(walk->levels[0]));
    }
    TRY(load_references(walk, id, record.n_references, inner, &walk->levels[record.depth]));
    const struct key_range *range = walk->region ? &walk->region[record.dimension] : NULL;
    if (!range || range->unbounded || slice_compare(record.split, range->max) < 0)
        push(walk, record.right);
    if (!range || slice_compare(range->min, record.split) < 0) push(walk, record.left);
    return 0;
}

static int walk_all(const struct table_state *state, const struct key_range *region,
                    struct arena *arena, int (*visit)(void *context, const struct table_leaf *leaf),
                    void *context)
{
    struct walk walk = {.state = state->state, .region = region};
    walk.n_fields = state_schema(state->state)->n_row_keys;
    defer_arena struct arena inner = ARENA_EMPTY;
    push(&walk, SLICE("root"));
    int code = 0;
    while (code == 0 && walk.n_stack)
        code = walk_node(&walk, arena ? arena : &inner, arena, visit, context);
    free(walk.stack);
    free(walk.levels);
    return code;
}

/* ---- the leaves of a small table, kept ---- */

/*
 * Unpacking the records of a leaf's files costs as much as the rest of a lookup. A published state
 * never changes, so one that is asked again and again keeps all of its leaves unpacked, when there
 * are few; they go with it.
 */
enum { VIEW_AFTER = 3, VIEW_ITEMS_MAX = 256 };

struct leaf_array {
    struct arena *arena;
    struct table_leaf *leaves;
    size_t n, n_max;
};
struct leaf_view {
    struct arena arena;
    struct leaf_array array;
};

static int collect_leaf(void *context, const struct table_leaf *leaf)
{
    struct leaf_array *array = context;
    ARENA_GROW(array->arena, array->leaves, array->n, array->n_max);
    array->leaves[array->n++] = *leaf;
    return 0;
}

void leaf_view_free(struct leaf_view *view)
{
    if (!view) return;
    arena_free(&view->arena);
    free(view);
}

/* NULL: there is none, or not yet. */
static const struct leaf_view *view_of(const struct table_state *state)
{
    struct state *of = (struct state *)(uintptr_t)state->state;
    if (!state->log) return NULL; /* a private one, which may be changed */
    struct leaf_view *view = atomic_load(&of->leaves), *first = NULL;
    if (view) return view;
    if (map_count(&of->maps[SECTION_PARTITIONS]) + map_count(&of->maps[SECTION_REFERENCES]) >
            VIEW_ITEMS_MAX ||
        atomic_fetch_add(&of->n_walks, 1) < VIEW_AFTER)
        return NULL;
    view = memory_alloc_zero(sizeof(*view));
    arena_init(&view->arena, NULL);
    view->array.arena = &view->arena;
    if (walk_all(state, NULL, &view->arena, collect_leaf, &view->array) < 0) {
        error_clear(); /* who asks for just that part is told */
        leaf_view_free(view);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&of->leaves, &first, view)) return view;
    leaf_view_free(view);
    return first;
}

static int visit_view(const struct leaf_view *view, uint32_t n_fields,
                      const struct key_range *region, struct arena *arena,
                      int (*visit)(void *context, const struct table_leaf *leaf), void *context)
{
    for (size_t i = 0; i < view->array.n; i++) {
        struct table_leaf leaf = view->array.leaves[i];
        size_t n = leaf.n_references, n_met = 0;
        if (region && !region_overlaps(leaf.partition.region, region, n_fields)) continue;
        while (n_met < n && file_meets(leaf.references[n_met].file, region, n_fields))
            n_met++;
        if (n_met < n) { /* only those that do */
            struct table_reference *met = ARENA_ARRAY(arena, struct table_reference, n);
            if (n_met) memcpy(met, leaf.references, n_met * sizeof(*met));
            for (size_t k = n_met + 1; k < n; k++)
                if (file_meets(leaf.references[k].file, region, n_fields))
                    met[n_met++] = leaf.references[k];
            leaf.references = met;
            leaf.n_references = n_met;
        }
        int code = visit(context, &leaf);
        if (code != 0) return code;
    }
    return 0;
}

int table_each_leaf(const struct table_state *state, const struct key_range *region,
                    struct arena *arena, int (*visit)(void *context, const struct table_leaf *leaf),
                    void *context)
{
    const struct leaf_view *view = view_of(state);
    if (!view) return walk_all(state, region, arena, visit, context);
    defer_arena struct arena inner = ARENA_EMPTY;
    return visit_view(view, state_schema(state->state)->n_row_keys, region, arena ? arena : &inner,
                      visit, context);
}

int table_leaves(const struct table_state *state, const struct key_range *region,
                 struct arena *arena, struct table_leaf **out, size_t *n_out)
{
    struct leaf_array array = {.arena = arena};
    TRY(table_each_leaf(state, region, arena, collect_leaf, &array));
    *out = array.leaves;
    *n_out = array.n;
    return 0;
}
