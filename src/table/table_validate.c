/*
 * table_validate.c: everything that must hold within a table's state.
 *
 * The tree tiles the space: one root over everything, each inner node cut by its split into two
 * children, none left over. Each reference names a partition and a file that are there; each file
 * has as many references as it says, on disjoint partitions, with its bounds inside, and exact rows
 * that sum to its own; counts and sums agree. Tests call it after each step and `glis check` on
 * real instances, so nothing is asserted: the first breach is GLIS_ECORRUPT with its ids.
 */
#include "table/table_int.h"

#include <stdlib.h>

static int broken(const char *what, struct slice id)
{
    return error_set(GLIS_ECORRUPT, "%s '%.*s'", what, SLICE_PRINT(id));
}

/* ---- records, one by one ---- */

static int check_file_record(const struct state *state, struct slice key, struct slice value,
                             struct arena *arena)
{
    struct file_record file;
    struct file_bound *bounds;
    struct slice name;
    if (!file_key_name(key, arena, &name)) return broken("a file with a strange key", SLICE_EMPTY);
    if (!file_unpack(value, &file)) return broken("the record cannot be read of file", name);
    if (!bounds_unpack(file.bounds, state_schema(state)->n_row_keys, arena, &bounds))
        return broken("the bounds cannot be read of file", name);
    if (file.schema_version == 0 || file.schema_version > state->schemas->n)
        return broken("the schema's version is unknown of file", name);
    for (uint32_t f = 0; f < state_schema(state)->n_row_keys; f++)
        if (slice_compare(bounds[f].min, bounds[f].max) > 0)
            return broken("the bounds are the wrong way round of file", name);
    return 0;
}

static int check_records(const struct state *state)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct map_cursor c;
    for (map_cursor_first(&state->maps[SECTION_FILES], &c); c.valid; map_cursor_next(&c)) {
        TRY(check_file_record(state, c.key, c.value, &arena));
        if (arena.total_bytes > 1 << 20) arena_free(&arena);
    }
    for (map_cursor_first(&state->maps[SECTION_REFERENCES], &c); c.valid; map_cursor_next(&c)) {
        struct slice partition, file;
        struct reference_record reference;
        if (!reference_key_unpack(c.key, &partition, &file) ||
            !reference_unpack(c.value, &reference))
            return broken("the record cannot be read of a reference", SLICE_EMPTY);
    }
    uint64_t given = 0;
    for (map_cursor_first(&state->maps[SECTION_JOBS], &c); c.valid; map_cursor_next(&c)) {
        struct job_record job;
        if (!job_unpack(c.value, &job)) return broken("the record cannot be read of job", c.key);
        if (!job.is_given) continue;
        given++;
        defer_packer struct packer key = {0};
        uint8_t time[8];
        big_endian_put(time, (uint64_t)job.time_ms, 8);
        pack_bytes(&key, slice_make(time, 8));
        pack_bytes(&key, c.key);
        if (!map_get(&state->maps[SECTION_JOB_TIMES], packed(&key), NULL))
            return broken("no time is kept of job", c.key);
    }
    if (given != state->numbers[NUMBER_GIVEN_JOBS] ||
        given != map_count(&state->maps[SECTION_JOB_TIMES]))
        return broken("the number of jobs is wrong", SLICE_EMPTY);
    for (map_cursor_first(&state->maps[SECTION_WRITERS], &c); c.valid; map_cursor_next(&c)) {
        struct writer_record writer;
        if (!writer_unpack(c.value, &writer) || !writer.sequence)
            return broken("the record cannot be read of writer", c.key);
    }
    for (map_cursor_first(&state->maps[SECTION_PROPERTIES], &c); c.valid; map_cursor_next(&c))
        if (table_setting_check(c.key, c.value, true) < 0)
            return broken("a wrong value has property", c.key);
    return 0;
}

/* ---- the tree ---- */

static bool ranges_equal(const struct key_range *a, const struct key_range *b)
{
    return slice_equal(a->min, b->min) && a->unbounded == b->unbounded &&
           (a->unbounded || slice_equal(a->max, b->max));
}

/* A child: there, naming its parent, one deeper, and its region the parent's side of the split. */
static int check_child(const struct state *state, struct slice parent_id,
                       const struct partition_record *parent, const struct key_range *region,
                       bool right, struct arena *arena)
{
    uint32_t n = state_schema(state)->n_row_keys;
    struct slice id = right ? parent->right : parent->left, value;
    struct partition_record child;
    struct key_range *own;
    if (!map_get(&state->maps[SECTION_PARTITIONS], id, &value) ||
        !partition_unpack(value, &child) || !region_unpack(child.region, n, arena, &own))
        return broken("missing or unreadable is partition", id);
    if (!slice_equal(child.parent, parent_id) || child.depth != parent->depth + 1)
        return broken("another parent has partition", id);
    for (uint32_t f = 0; f < n; f++) {
        struct key_range wanted = region[f];
        if (f == parent->dimension && right) wanted.min = parent->split;
        if (f == parent->dimension && !right) {
            wanted.max = parent->split;
            wanted.unbounded = false;
        }
        if (!ranges_equal(&wanted, &own[f])) return broken("not its share has partition", id);
    }
    return 0;
}

static int check_partition(const struct state *state, struct slice id, struct slice value,
                           struct arena *arena, uint64_t *n_leaves, uint64_t *n_children)
{
    uint32_t n = state_schema(state)->n_row_keys;
    struct partition_record partition;
    struct key_range *region;
    if (id.size == 0 || id.size > PARTITION_ID_MAX || memchr(id.data, 0, id.size) ||
        !partition_unpack(value, &partition) || !region_unpack(partition.region, n, arena, &region))
        return broken("the record cannot be read of partition", id);
    if (slice_equal_text(id, "root")) {
        if (partition.parent.size || partition.depth)
            return broken("the root has a parent", SLICE_EMPTY);
        for (uint32_t f = 0; f < n; f++)
            if (region[f].min.size || !region[f].unbounded)
                return broken("the root does not cover everything", SLICE_EMPTY);
    } else if (!partition.parent.size) {
        return broken("no parent has partition", id);
    }
    if (partition.is_leaf) {
        ++*n_leaves;
        return 0;
    }
    if (partition.dimension >= n ||
        !key_range_contains(&region[partition.dimension], partition.split))
        return broken("a split outside it has partition", id);
    *n_children += 2;
    TRY(check_child(state, id, &partition, region, false, arena));
    return check_child(state, id, &partition, region, true, arena);
}

static int check_tree(const struct state *state)
{
    const struct map *map = &state->maps[SECTION_PARTITIONS];
    if (!map_get(map, SLICE("root"), NULL)) return broken("there is no partition", SLICE("root"));
    uint64_t n_leaves = 0, n_children = 0;
    struct map_cursor cursor;
    for (map_cursor_first(map, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        defer_arena struct arena arena = ARENA_EMPTY;
        TRY(check_partition(state, cursor.key, cursor.value, &arena, &n_leaves, &n_children));
    }
    /* Every node but the root is the child of the one parent that it names. */
    if (n_children + 1 != map_count(map)) return broken("partitions hang loose", SLICE_EMPTY);
    if (n_leaves != state->numbers[NUMBER_LEAVES])
        return broken("the number of leaves is wrong", SLICE_EMPTY);
    return 0;
}

/* ---- references ---- */

/* The references of one file, gathered: in order of the file, for the check of sums and regions. */
struct held {
    struct slice file, partition;
    struct reference_record reference;
};

static int by_file(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    int c = slice_compare(x->file, y->file);
    return c ? c : slice_compare(x->partition, y->partition);
}

static int by_partition(const void *id, const void *held)
{
    return slice_compare(*(const struct slice *)id, ((const struct held *)held)->partition);
}

/* No partition twice and none below another, of one file's references, which are sorted. */
static bool are_disjoint(const struct state *state, const struct held *held, size_t n)
{
    for (size_t i = 0; n > 1 && i < n; i++) {
        struct slice id = held[i].partition;
        struct partition_record partition;
        if (i && slice_equal(held[i - 1].partition, id)) return false;
        while (partition_get(state, id, &partition) && partition.parent.size) {
            id = partition.parent;
            if (bsearch(&id, held, n, sizeof(*held), by_partition)) return false;
        }
    }
    return true;
}

static int check_file_references(const struct state *state, const struct held *held, size_t n,
                                 const struct file_record *file, struct arena *arena)
{
    uint32_t n_fields = state_schema(state)->n_row_keys;
    struct slice name = SLICE_EMPTY;
    struct file_bound *bounds;
    bool good = file_key_name(held->file, arena, &name) &&
                bounds_unpack(file->bounds, n_fields, arena, &bounds);
    ASSERT(good);
    if (file->n_references != n) return broken("the number of references is wrong of file", name);
    if (!are_disjoint(state, held, n)) return broken("two references overlap of file", name);
    uint64_t sum = 0;
    bool exact = true;
    for (size_t i = 0; i < n; i++) {
        sum += held[i].reference.rows;
        exact &= held[i].reference.is_exact;
        struct partition_record partition;
        struct key_range *region;
        good = partition_get(state, held[i].partition, &partition) &&
               region_unpack(partition.region, n_fields, arena, &region);
        ASSERT(good);
        for (uint32_t f = 0; f < n_fields; f++)
            if (!file_bound_overlaps(&bounds[f], &region[f]))
                return broken("a reference lies outside the bounds of file", name);
    }
    bool whole = !held->reference.is_shared;
    if (whole && n != 1) return broken("several references, one of them whole, has file", name);
    if (exact && whole && sum != file->rows) return broken("the rows do not sum of file", name);
    return 0;
}

static int check_sums(const struct state *state, uint64_t rows, uint64_t estimated)
{
    uint64_t bytes = 0, unreferenced = 0;
    struct map_cursor c;
    for (map_cursor_first(&state->maps[SECTION_FILES], &c); c.valid; map_cursor_next(&c)) {
        struct file_record file;
        bool good = file_unpack(c.value, &file);
        ASSERT(good);
        if (file.n_references)
            bytes += file.size;
        else
            unreferenced++;
    }
    if (rows != state->numbers[NUMBER_ROWS] || estimated != state->numbers[NUMBER_ESTIMATED] ||
        bytes != state->numbers[NUMBER_BYTES] ||
        unreferenced != state->numbers[NUMBER_UNREFERENCED])
        return broken("the table's sums are wrong", SLICE_EMPTY);
    return 0;
}

static int check_each_file(const struct state *state, struct held *held, size_t n)
{
    uint64_t rows = 0, estimated = 0, files = 0;
    qsort(held, n, sizeof(*held), by_file);
    for (size_t i = 0; i < n; files++) {
        size_t end = i;
        for (; end < n && slice_equal(held[end].file, held[i].file); end++) {
            rows += held[end].reference.rows;
            estimated += !held[end].reference.is_exact;
        }
        struct slice value;
        struct file_record file;
        if (!map_get(&state->maps[SECTION_FILES], held[i].file, &value) ||
            !file_unpack(value, &file))
            return broken("a reference to an unknown file is on partition", held[i].partition);
        defer_arena struct arena arena = ARENA_EMPTY;
        TRY(check_file_references(state, held + i, end - i, &file, &arena));
        i = end;
    }
    if (files + state->numbers[NUMBER_UNREFERENCED] != map_count(&state->maps[SECTION_FILES]))
        return broken("a file says that it has references and has none", SLICE_EMPTY);
    return check_sums(state, rows, estimated);
}

static int check_references(const struct state *state)
{
    const struct map *map = &state->maps[SECTION_REFERENCES];
    struct held *held = memory_alloc(sizeof(*held) * (map_count(map) + 1));
    size_t n = 0;
    int code = 0;
    struct map_cursor c;
    for (map_cursor_first(map, &c); c.valid && code == 0; map_cursor_next(&c), n++) {
        bool good = reference_key_unpack(c.key, &held[n].partition, &held[n].file) &&
                    reference_unpack(c.value, &held[n].reference);
        ASSERT(good);
        if (!map_get(&state->maps[SECTION_PARTITIONS], held[n].partition, NULL))
            code = broken("a reference is on an unknown partition", held[n].partition);
    }
    /* They come by partition: counting runs is enough. */
    uint64_t counted = 0;
    for (map_cursor_first(&state->maps[SECTION_PARTITIONS], &c); c.valid && code == 0;
         map_cursor_next(&c)) {
        struct partition_record partition;
        bool good = partition_unpack(c.value, &partition);
        ASSERT(good);
        uint64_t on = 0;
        struct map_cursor r;
        defer_packer struct packer prefix = {0};
        pack_bytes(&prefix, c.key);
        pack_bytes(&prefix, slice_make("", 1));
        map_cursor_seek(map, packed(&prefix), &r);
        for (; r.valid && slice_starts_with(r.key, packed(&prefix)); map_cursor_next(&r))
            on++;
        counted += on;
        if (on != partition.n_references)
            code = broken("the number of references is wrong of partition", c.key);
    }
    if (code == 0 && counted != n) code = broken("references hang loose", SLICE_EMPTY);
    if (code == 0) code = check_each_file(state, held, n);
    free(held);
    return code;
}

/* Each job's assignment counts the references that name it, all on its partition. */
static int check_assignments(const struct state *state)
{
    struct map_cursor c;
    uint64_t named = 0, counted = 0;
    for (map_cursor_first(&state->maps[SECTION_REFERENCES], &c); c.valid; map_cursor_next(&c)) {
        struct slice partition, file;
        struct reference_record reference;
        struct assignment_record assignment;
        bool good =
            reference_key_unpack(c.key, &partition, &file) && reference_unpack(c.value, &reference);
        ASSERT(good);
        if (!reference.job.size) continue;
        named++;
        if (!assignment_get(state, reference.job, &assignment) ||
            !slice_equal(assignment.partition, partition) || reference.is_set_aside)
            return broken("a reference names wrongly job", reference.job);
    }
    for (map_cursor_first(&state->maps[SECTION_ASSIGNMENTS], &c); c.valid; map_cursor_next(&c)) {
        struct assignment_record assignment;
        if (!assignment_unpack(c.value, &assignment) || !assignment.n_references)
            return broken("the record cannot be read of the assignment of job", c.key);
        counted += assignment.n_references;
    }
    if (named != counted) return broken("assignments count other references", SLICE_EMPTY);
    return 0;
}

static int check_collection(const struct state *state)
{
    struct map_cursor c;
    struct slice value;
    for (map_cursor_first(&state->maps[SECTION_MARKED], &c); c.valid; map_cursor_next(&c)) {
        struct file_record file;
        if (!map_get(&state->maps[SECTION_FILES], c.key, &value) || !file_unpack(value, &file) ||
            file.n_references || file.gone_record > state->numbers[NUMBER_COLLECTED])
            return broken("a file is marked wrongly", SLICE_EMPTY);
    }
    for (map_cursor_first(&state->maps[SECTION_AGES], &c); c.valid; map_cursor_next(&c)) {
        defer_arena struct arena arena = ARENA_EMPTY;
        struct file_age *ages;
        size_t n;
        if (!map_get(&state->maps[SECTION_FILES], c.key, NULL) ||
            !ages_unpack(c.value, &arena, &ages, &n))
            return broken("ages are kept of no file", SLICE_EMPTY);
    }
    for (map_cursor_first(&state->maps[SECTION_CUTOFFS], &c); c.valid; map_cursor_next(&c))
        if (schema_find(state_schema(state), c.key) < 0)
            return broken("a cut-off is kept of no field", c.key);
    for (map_cursor_first(&state->maps[SECTION_PINS], &c); c.valid; map_cursor_next(&c)) {
        struct pin_record pin;
        if (!pin_unpack(c.value, &pin)) return broken("the record cannot be read of pin", c.key);
    }
    for (map_cursor_first(&state->maps[SECTION_ROLES], &c); c.valid; map_cursor_next(&c)) {
        struct role_record role;
        if (!role_unpack(c.value, &role)) return broken("the record cannot be read of role", c.key);
    }
    for (map_cursor_first(&state->maps[SECTION_MERGED], &c); c.valid; map_cursor_next(&c)) {
        struct merged_record merged;
        struct slice living;
        struct partition_record partition;
        if (!merged_unpack(c.value, &merged) ||
            map_get(&state->maps[SECTION_PARTITIONS], c.key, NULL) ||
            !partition_find(state, c.key, &living, &partition))
            return broken("nothing stands for merged partition", c.key);
    }
    return 0;
}

int state_validate(const struct state *state)
{
    for (int s = 0; s < SECTION_COUNT; s++)
        TRY_CONTEXT(map_validate(&state->maps[s]), "section %d of the state", s);
    if (!state->numbers[NUMBER_CREATED]) {
        for (int s = 0; s < SECTION_COUNT; s++)
            if (map_count(&state->maps[s]))
                return broken("there is something before create", SLICE_EMPTY);
        return 0;
    }
    if (!state->schemas || state->schemas->n != state->numbers[NUMBER_SCHEMA_VERSION] ||
        map_count(&state->maps[SECTION_SCHEMAS]) != state->schemas->n)
        return broken("schemas are missing", SLICE_EMPTY);
    TRY(schema_validate_table(state_schema(state)));
    TRY(check_records(state));
    TRY(check_tree(state));
    TRY(check_references(state));
    TRY(check_assignments(state));
    return check_collection(state);
}

int table_validate(const struct table_state *state)
{
    return state_validate(state->state);
}
