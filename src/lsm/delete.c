/*
 * delete.c: rows taken out of a table for good.
 *
 * The rows that stay of a file in a partition are those in the partition's region less the regions
 * to be deleted: a list of disjoint boxes. So a file is written anew by merging it with itself,
 * once for each box, and what no box cuts through is copied without being decoded. That is done on
 * every partition that refers to such a file, also where none of its rows is to go: as long as one
 * reference is left, the object is, with all of its rows.
 *
 * Before that, rows to be deleted are looked for in each file whose bounds meet a region: one that
 * has none stays as it is, so a delete of an absent key changes nothing.
 *
 * Each partition is one transaction, which takes the references as the plan saw them, also from
 * living compactions, whose commit is then refused. If one of them is no longer there, a compaction
 * or a push-down was faster, and the table is looked at again; a pass without such a refusal has
 * met every row that was there when it began, because what is written by others meanwhile is made
 * of what this pass has left, or was added later.
 *
 * In the end the files that went, and any others without references that may hold such rows, are
 * marked, deleted and forgotten without waiting, unless a pin keeps them: then the caller is told,
 * for the rows can still be read.
 */
#include "lsm/lsm_int.h"

#include "base/map.h"

#include <stdlib.h>

enum { PASSES_MAX = 100 };

struct deletion {
    struct table *table;
    struct runtime *runtime;
    const struct delete_options *options;
    struct arena *arena;
    struct delete_result *result;
    const struct key_range *const *regions;
    size_t n_regions;
    uint32_t n_fields;
    const struct table_state *state; /* of this pass */
    struct map clean;                /* names of files that were written here */
    struct map looked_at;            /* names of others; "" where no row was found */
    bool again;                      /* a step was refused */
};

/* ---- boxes ---- */

struct boxes {
    const struct key_range **items; /* one range a field each */
    size_t n, n_max;
};

static bool box_meets(const struct key_range *a, const struct key_range *b, uint32_t n)
{
    for (uint32_t f = 0; f < n; f++)
        if (!key_range_overlaps(&a[f], &b[f])) return false;
    return true;
}

static void boxes_add(struct boxes *boxes, const struct key_range *box, struct arena *arena)
{
    ARENA_GROW(arena, boxes->items, boxes->n, boxes->n_max);
    boxes->items[boxes->n++] = box;
}

static struct key_range *box_copy(const struct key_range *box, uint32_t n, struct arena *arena)
{
    struct key_range *copy = ARENA_ARRAY(arena, struct key_range, n);
    memcpy(copy, box, n * sizeof(*copy));
    return copy;
}

/* What is left of a box without another: on each field the part below and the part above, of what
 * the fields before have in common. */
static void box_subtract(const struct key_range *box, const struct key_range *without, uint32_t n,
                         struct arena *arena, struct boxes *out)
{
    if (!box_meets(box, without, n)) {
        boxes_add(out, box, arena);
        return;
    }
    struct key_range *rest = box_copy(box, n, arena);
    for (uint32_t f = 0; f < n; f++) {
        if (slice_compare(rest[f].min, without[f].min) < 0) {
            struct key_range *low = box_copy(rest, n, arena);
            low[f].max = without[f].min;
            low[f].unbounded = false;
            boxes_add(out, low, arena);
            rest[f].min = without[f].min;
        }
        if (!without[f].unbounded &&
            (rest[f].unbounded || slice_compare(without[f].max, rest[f].max) < 0)) {
            struct key_range *high = box_copy(rest, n, arena);
            high[f].min = without[f].max;
            boxes_add(out, high, arena);
            rest[f].max = without[f].max;
            rest[f].unbounded = false;
        }
    }
}

static struct boxes boxes_left(const struct deletion *work, const struct key_range *region)
{
    struct boxes left = {0};
    boxes_add(&left, region, work->arena);
    for (size_t i = 0; i < work->n_regions; i++) {
        struct boxes next = {0};
        for (size_t b = 0; b < left.n; b++)
            box_subtract(left.items[b], work->regions[i], work->n_fields, work->arena, &next);
        left = next;
    }
    return left;
}

/* ---- files ---- */

/* Whether a file may hold rows to be deleted. */
static bool may_hold(const struct deletion *work, const struct table_file *file)
{
    for (size_t i = 0; i < work->n_regions; i++) {
        bool meets = true;
        for (uint32_t f = 0; f < work->n_fields && meets; f++)
            meets = file_bound_overlaps(&file->bounds[f], &work->regions[i][f]);
        if (meets) return true;
    }
    return false;
}

/*
 * Whether a file has rows to be deleted, anywhere: of one that its bounds do not tell of, the rows
 * in the regions are looked for. All of the file counts, not what one reference shows of it: as
 * long as any reference keeps it, its object stays.
 */
static int holds(struct deletion *work, const struct table_file *file, bool *out)
{
    struct slice known;
    *out = false;
    if (!may_hold(work, file)) return 0;
    if (map_get(&work->looked_at, file->name, &known)) {
        *out = known.size > 0;
        return 0;
    }
    struct instance *instance = table_instance(work->table);
    struct merge_file_input *inputs =
        ARENA_ARRAY(work->arena, struct merge_file_input, work->n_regions);
    for (size_t i = 0; i < work->n_regions; i++)
        inputs[i] = (struct merge_file_input){
            .name = file->name,
            .object_key = table_file_key(work->table, file->name, work->arena),
            .size = file->size,
            .rows = file->rows,
            .schema_version = file->schema_version,
            .bounds = file->bounds,
            .region = work->regions[i],
        };
    struct merge_files_options options = {
        .memory_bytes = spill_memory_choose(instance, work->options->work.memory_bytes),
        .spill_folder =
            spill_folder_choose(instance, work->options->work.spill_folder, work->arena),
    };
    struct batch_stream *rows;
    TRY(merge_files_stream(work->table, work->state, work->runtime, inputs, work->n_regions,
                           &options, &rows));
    int code = 0;
    for (bool ended = false; code == 0 && !*out && !ended;) {
        struct batch *batch;
        code = batch_stream_next(rows, &batch);
        ended = code < 0 || !batch;
        if (ended) break;
        *out = batch->n_rows > 0;
        batch_release(batch);
    }
    batch_stream_close(rows);
    if (code == 0) map_put(&work->looked_at, file->name, *out ? SLICE("holds") : SLICE_EMPTY);
    return code;
}

/* Written here, or looked through and found without such rows. */
static bool is_clean(const struct deletion *work, const struct table_file *file)
{
    struct slice known;
    return map_get(&work->clean, file->name, NULL) ||
           (map_get(&work->looked_at, file->name, &known) && !known.size);
}

/* Writes what stays of one file in a partition. out->any is false when nothing does. */
static int rewrite(struct deletion *work, const struct table_reference *reference,
                   const struct partition *partition, const struct boxes *left,
                   struct merge_files_result *out)
{
    const struct table_file *file = reference->file;
    struct merge_file_input *inputs = ARENA_ARRAY(work->arena, struct merge_file_input, left->n);
    size_t n = 0;
    for (size_t b = 0; b < left->n; b++) {
        bool meets = true;
        for (uint32_t f = 0; f < work->n_fields && meets; f++)
            meets = file_bound_overlaps(&file->bounds[f], &left->items[b][f]);
        if (!meets) continue;
        inputs[n++] = (struct merge_file_input){
            .name = file->name,
            .object_key = table_file_key(work->table, file->name, work->arena),
            .size = file->size,
            .rows = file->rows,
            .schema_version = file->schema_version,
            .bounds = file->bounds,
            .region = left->items[b],
        };
    }
    *out = (struct merge_files_result){0};
    if (!n) return 0;
    struct instance *instance = table_instance(work->table);
    struct merge_files_options options = {
        .memory_bytes = spill_memory_choose(instance, work->options->work.memory_bytes),
        .spill_folder =
            spill_folder_choose(instance, work->options->work.spill_folder, work->arena),
        .region = partition->region,
        .progress = work->options->work.progress,
        .progress_state = work->options->work.progress_state,
    };
    return merge_files(work->table, work->state, work->runtime, inputs, n, &options, work->arena,
                       out);
}

struct step {
    const struct partition *partition;
    struct named_reference *references;
    struct new_file *files;
    struct slice *keys;
    size_t n_references, n_files;
    uint64_t rows_before, rows_after;
};

static int commit_step(struct deletion *work, struct step *step)
{
    struct store *store = instance_store(table_instance(work->table));
    struct commit_result done;
    int code = data_files_sync(work->table, step->keys, step->n_files);
    if (code == 0) code = runtime_check_cancel(work->runtime);
    if (code == 0)
        code = table_commit_delete(work->table,
                                   &(struct delete_commit){.state = work->state,
                                                           .references = step->references,
                                                           .n_references = step->n_references,
                                                           .files = step->files,
                                                           .n_files = step->n_files},
                                   &done);
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        if (code != GLIS_EUNKNOWN && store_remove(store, step->keys, step->n_files) < 0)
            error_clear();
        (void)error_load(&detail);
        work->again = true;
        return code == GLIS_EREFUSED ? refusal_excuse(work->table, work->state) : code;
    }
    work->result->record = done.record;
    work->result->references += step->n_references;
    work->result->files += step->n_files;
    /* What was only estimated before may turn out to have been more. */
    if (step->rows_before > step->rows_after)
        work->result->rows += step->rows_before - step->rows_after;
    for (size_t i = 0; i < step->n_files; i++) {
        work->result->bytes += step->files[i].size;
        map_put(&work->clean, step->files[i].name, SLICE_EMPTY);
    }
    return 0;
}

static int clean_partition(struct deletion *work, struct slice id)
{
    struct partition partition;
    struct table_reference *references;
    size_t n;
    TRY(table_partition(work->state, id, work->arena, &partition));
    TRY(table_references(work->state, id, work->arena, &references, &n));
    struct boxes left = boxes_left(work, partition.region);
    struct step step = {
        .partition = &partition,
        .references = ARENA_ARRAY(work->arena, struct named_reference, n),
        .files = ARENA_ARRAY(work->arena, struct new_file, n),
        .keys = ARENA_ARRAY(work->arena, struct slice, n),
    };
    int code = 0;
    for (size_t i = 0; i < n && code == 0; i++) {
        const struct table_file *file = references[i].file;
        bool has_rows;
        if (map_get(&work->clean, file->name, NULL)) continue;
        code = holds(work, file, &has_rows);
        if (code < 0 || !has_rows) continue;
        struct merge_files_result merged;
        step.references[step.n_references++] = (struct named_reference){partition.id, file->name};
        if (work->options->dry_run) continue;
        code = rewrite(work, &references[i], &partition, &left, &merged);
        if (code < 0) break;
        step.rows_before += references[i].rows;
        if (!merged.any) continue;
        struct new_reference *own = ARENA_NEW(work->arena, struct new_reference);
        *own = (struct new_reference){partition.id, merged.file.rows};
        step.files[step.n_files] = merged.file;
        step.files[step.n_files].references = own;
        step.files[step.n_files].n_references = 1;
        step.keys[step.n_files++] = merged.object_key;
        step.rows_after += merged.file.rows;
    }
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        if (step.n_files &&
            store_remove(instance_store(table_instance(work->table)), step.keys, step.n_files) < 0)
            error_clear();
        (void)error_load(&detail);
        return code;
    }
    if (!step.n_references) return 0;
    if (work->options->dry_run) {
        work->result->references += step.n_references;
        return 0;
    }
    return commit_step(work, &step);
}

/* Partitions with references, from the root down. */
struct partition_list {
    struct arena *arena;
    struct slice *ids;
    size_t n, n_max;
};

static int visit_partition(void *context, const struct partition_figures *partition)
{
    struct partition_list *list = context;
    ARENA_GROW(list->arena, list->ids, list->n, list->n_max);
    list->ids[list->n++] = arena_copy(list->arena, partition->id);
    return 0;
}

static int one_pass(struct deletion *work)
{
    struct partition_list list = {.arena = work->arena};
    work->again = false;
    TRY(table_state_get(work->table, 0, &work->state));
    int code = table_each_partition(work->state, visit_partition, &list);
    for (size_t i = 0; i < list.n && code == 0; i++) {
        code = runtime_check_cancel(work->runtime);
        if (code == 0) code = clean_partition(work, list.ids[i]);
    }
    table_state_release(work->state);
    work->state = NULL;
    return code;
}

/* ---- what is left of the rows ---- */

struct remains {
    struct deletion *work;
    struct table_file *files;
    size_t n, n_max;
};

static int visit_remains(void *context, const struct table_file *file)
{
    struct remains *remains = context;
    struct deletion *work = remains->work;
    if (file->n_references || map_get(&work->clean, file->name, NULL)) return 0;
    bool has_rows;
    int code = holds(work, file, &has_rows);
    if (code == GLIS_EGONE || code == GLIS_ECORRUPT) {
        error_clear(); /* half collected, or damaged: away with it */
        has_rows = true;
    } else {
        TRY(code);
    }
    if (!has_rows) return 0;
    ARENA_GROW(work->arena, remains->files, remains->n, remains->n_max);
    remains->files[remains->n] = *file;
    remains->files[remains->n].name = arena_copy(work->arena, file->name);
    remains->n++;
    return 0;
}

/* Pins that keep one of the files; ended when that is wanted. */
static int look_at_pins(struct deletion *work, const struct table_state *state,
                        const struct remains *remains, int64_t now_ms)
{
    struct table_pin *pins;
    size_t n;
    TRY(table_pins(state, work->arena, &pins, &n));
    struct slice *keeping = ARENA_ARRAY(work->arena, struct slice, n);
    work->result->n_pins = 0;
    for (size_t p = 0; p < n; p++) {
        if (pins[p].until_ms && pins[p].until_ms <= now_ms) continue;
        bool keeps = false;
        for (size_t i = 0; i < remains->n && !keeps; i++)
            keeps = remains->files[i].added_record <= pins[p].record &&
                    remains->files[i].gone_record > pins[p].record;
        if (!keeps) continue;
        if (work->options->drop_pins && !work->options->dry_run) {
            int code = table_unpin(work->table, pins[p].id, NULL);
            if (code < 0 && code != GLIS_EREFUSED) return code;
            if (code < 0) error_clear();
            continue;
        }
        keeping[work->result->n_pins++] = pins[p].id;
    }
    work->result->pins = keeping;
    return 0;
}

static int remove_file(struct deletion *work, const struct table_state *state,
                       const struct table_file *file)
{
    struct store *store = instance_store(table_instance(work->table));
    struct slice key = table_file_key(work->table, file->name, work->arena);
    uint64_t begun;
    if (!table_file_is_marked(state, file->name)) {
        int code = table_mark_files(work->table, file, 1, NULL);
        if (code == GLIS_EREFUSED) error_clear(); /* pinned: told; or another was faster */
        if (code < 0) return code == GLIS_EREFUSED ? 0 : code;
    }
    bool is_ours = table_file_begun(file->name, &begun); /* what was taken over stays where it is */
    if (is_ours) TRY(store_remove(store, &key, 1));
    int code = table_forget_files(work->table, &file->name, 1, NULL);
    if (code == GLIS_EREFUSED) error_clear();
    if (code < 0 && code != GLIS_EREFUSED) return code;
    work->result->objects_removed += is_ours;
    work->result->foreign += !is_ours;
    return 0;
}

/* Files that the table still knows and that may hold such rows: kept by somebody who was faster, or
 * added meanwhile. */
static int count_left(void *context, const struct table_file *file)
{
    struct deletion *work = context;
    work->result->files_left += may_hold(work, file) && !is_clean(work, file);
    return 0;
}

static int count_staged(void *context, const struct store_object *object)
{
    (void)object;
    ++*(uint64_t *)context;
    return 0;
}

static int finish(struct deletion *work)
{
    const struct table_state *state;
    struct remains remains = {.work = work};
    int64_t now_ms = work->runtime->clock->wall_ms(work->runtime->clock);
    TRY(table_state_get(work->table, 0, &state));
    work->state = state;
    int code = table_each_file(state, visit_remains, &remains);
    work->state = NULL;
    if (code == 0) code = look_at_pins(work, state, &remains, now_ms);
    for (size_t i = 0; code == 0 && i < remains.n && !work->options->dry_run; i++)
        code = remove_file(work, state, &remains.files[i]);
    table_state_release(state);
    TRY(code);
    struct slice staging = slice_from_text(
        arena_printf(work->arena, "%.*sstaging/", SLICE_PRINT(table_prefix(work->table))));
    TRY(store_each(instance_store(table_instance(work->table)), staging, SLICE_EMPTY, count_staged,
                   &work->result->staged));
    TRY(table_state_get(work->table, 0, &state));
    code = table_each_file(state, count_left, work);
    table_state_release(state);
    TRY(code);
    work->result->is_complete = !work->options->dry_run && !work->result->n_pins &&
                                !work->result->staged && !work->result->files_left &&
                                !work->result->foreign;
    return 0;
}

int delete_rows(struct table *table, struct runtime *runtime,
                const struct key_range *const *regions, size_t n_regions,
                const struct delete_options *options, struct arena *arena,
                struct delete_result *out)
{
    static const struct delete_options defaults = {0};
    const struct table_state *state;
    *out = (struct delete_result){0};
    TRY(table_state_get(table, 0, &state));
    struct deletion work = {
        .table = table,
        .runtime = runtime,
        .options = options ? options : &defaults,
        .arena = arena,
        .result = out,
        .regions = regions,
        .n_regions = n_regions,
        .n_fields = table_state_schema(state)->n_row_keys,
    };
    table_state_release(state);
    int code = 0, passes = 0;
    do
        code = one_pass(&work);
    while (code == 0 && work.again && ++passes < PASSES_MAX);
    if (code == 0 && work.again)
        code = error_set(GLIS_ERETRY, "others change the table faster than rows can be deleted");
    if (code == 0) code = finish(&work);
    map_free(&work.clean);
    map_free(&work.looked_at);
    return code;
}
