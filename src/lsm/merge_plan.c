/*
 * merge_plan.c: what a merge of data files does, step by step, before any row is read.
 *
 * First the rows are found that are one file's alone: the least and the greatest key of each row
 * group are read, and a sweep over these ends finds the stretches of the key space in which the row
 * groups of one file lie and nobody else's. Its rows there are copied, row group by row group, as
 * far as that is allowed and the piece is not too small. All other rows are merged.
 *
 *   file 1   |--- group 1 ---|--- group 2 ---|
 *   file 2                             |--- group 1 ---|
 *   steps     copy             copy     merge  copy        (the ends found to the very row)
 *
 * What is merged is then cut by keys into ranges of about the same number of rows, so that several
 * threads can work and memory is bounded: keys are read at even distances in all files, sorted, and
 * every so-manieth of them becomes a cut; its place in each file is searched for. Rows of equal
 * keys are never parted, so a range may be larger than asked for; it is the runner that then rests.
 *
 * Cost: two keys read for each row group, eight for each range, and for each range a search in each
 * of its files; they are spread over the pool.
 */
#include "lsm/merge_files_int.h"

#include <stdlib.h>

enum { SAMPLES_PER_RANGE = 8, CUT_BYTES_MAX = 2 * KEY_BYTES_MAX };

struct planner {
    struct merge_plan *plan;
    const struct merge_context *context;
    const struct merge_file *files;
    uint32_t n_files;
    const struct merge_plan_options *options;
    uint64_t *next; /* of each file: the first row that is in no step yet */
};

static struct merge_step *add_step(struct planner *planner, uint32_t n_parts)
{
    struct merge_plan *plan = planner->plan;
    if (plan->n_steps == plan->capacity) {
        plan->capacity = plan->capacity ? 2 * plan->capacity : 64;
        plan->steps = memory_realloc(plan->steps, plan->capacity * sizeof *plan->steps);
    }
    struct merge_step *step = &plan->steps[plan->n_steps++];
    *step = (struct merge_step){.n_parts = n_parts};
    step->parts = ARENA_ARRAY(&plan->arena, struct merge_part, n_parts);
    return step;
}

/* ---- keys of many rows ---- */

struct key_wanted {
    uint32_t file;
    uint64_t row;
    struct buffer key;
};

struct key_reading {
    const struct merge_file *files;
    struct key_wanted *wanted;
};

static int read_key(void *state, size_t index)
{
    struct key_reading *reading = state;
    struct key_wanted *wanted = &reading->wanted[index];
    return merge_file_key(&reading->files[wanted->file], wanted->row, &wanted->key);
}

static int read_all_keys(const struct planner *planner, struct key_wanted *wanted, size_t n)
{
    struct key_reading reading = {planner->files, wanted};
    for (size_t i = 0; i < n; i++)
        buffer_init(&wanted[i].key, CUT_BYTES_MAX, planner->context->budget);
    return pool_run(planner->context->runtime->pool, n, read_key, &reading);
}

static void free_keys(struct key_wanted *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buffer_free(&wanted[i].key);
    free(wanted);
}

static int by_key(const void *a, const void *b)
{
    const struct key_wanted *x = a, *y = b;
    return slice_compare(buffer_slice(&x->key), buffer_slice(&y->key));
}

/* ---- ranges ---- */

/* Rows that are merged, before they are cut. */
struct stretch {
    const struct merge_part *parts;
    uint32_t n_parts;
    uint64_t n_rows;
};

/* Even samples over all parts, one after another, so that each has its share. */
static size_t choose_samples(const struct stretch *stretch, uint64_t distance,
                             struct key_wanted *samples)
{
    size_t n = 0;
    uint64_t at = distance / 2;
    for (uint32_t i = 0; i < stretch->n_parts; i++) {
        const struct merge_part *part = &stretch->parts[i];
        for (; at < part->end - part->begin; at += distance)
            samples[n++] = (struct key_wanted){.file = part->file, .row = part->begin + at};
        at -= part->end - part->begin;
    }
    return n;
}

struct cutting {
    const struct planner *planner;
    const struct stretch *stretch;
    const struct slice *cuts;
    uint64_t *positions; /* n_parts of each cut */
};

static int find_cut(void *state, size_t index)
{
    struct cutting *cutting = state;
    const struct stretch *stretch = cutting->stretch;
    for (uint32_t i = 0; i < stretch->n_parts; i++) {
        const struct merge_part *part = &stretch->parts[i];
        TRY(merge_file_position(&cutting->planner->files[part->file], cutting->cuts[index],
                                part->begin, part->end,
                                &cutting->positions[index * stretch->n_parts + i]));
    }
    return 0;
}

/* One range: the rows of the parts between two rows of positions (NULL: the ends), whose keys lie
 * between the two cuts. */
static void add_range(struct planner *planner, const struct stretch *stretch, const uint64_t *from,
                      const uint64_t *to, struct slice low, struct slice high)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < stretch->n_parts; i++) {
        const struct merge_part *part = &stretch->parts[i];
        n += (from ? from[i] : part->begin) < (to ? to[i] : part->end);
    }
    if (n == 0) return;
    struct merge_step *step = add_step(planner, n);
    step->common_bytes = key_common(low, high);
    n = 0;
    for (uint32_t i = 0; i < stretch->n_parts; i++) {
        const struct merge_part *part = &stretch->parts[i];
        struct merge_part own = {part->file, from ? from[i] : part->begin, to ? to[i] : part->end};
        if (own.begin >= own.end) continue;
        step->parts[n++] = own;
        step->n_rows += own.end - own.begin;
    }
}

/* The least and the greatest key of a stretch. */
static int find_ends(const struct planner *planner, const struct stretch *stretch,
                     struct arena *arena, struct slice *low, struct slice *high)
{
    size_t n = 2 * (size_t)stretch->n_parts;
    struct key_wanted *ends = memory_alloc_zero(n * sizeof *ends);
    for (uint32_t i = 0; i < stretch->n_parts; i++) {
        const struct merge_part *part = &stretch->parts[i];
        ends[2 * i] = (struct key_wanted){.file = part->file, .row = part->begin};
        ends[2 * i + 1] = (struct key_wanted){.file = part->file, .row = part->end - 1};
    }
    int code = read_all_keys(planner, ends, n);
    if (code == 0) {
        qsort(ends, n, sizeof *ends, by_key);
        *low = arena_copy(arena, buffer_slice(&ends[0].key));
        *high = arena_copy(arena, buffer_slice(&ends[n - 1].key));
    }
    free_keys(ends, n);
    return code;
}

/* Cuts from sorted samples: every SAMPLES_PER_RANGEth, each once. */
static size_t choose_cuts(const struct key_wanted *samples, size_t n_samples, struct slice *cuts)
{
    size_t n = 0;
    for (size_t i = SAMPLES_PER_RANGE; i + SAMPLES_PER_RANGE / 2 < n_samples;
         i += SAMPLES_PER_RANGE) {
        struct slice cut = buffer_slice(&samples[i].key);
        if (n == 0 || slice_compare(cuts[n - 1], cut) < 0) cuts[n++] = cut;
    }
    return n;
}

static int add_cut_ranges(struct planner *planner, const struct stretch *stretch,
                          const struct slice *cuts, size_t n_cuts)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice low, high;
    TRY(find_ends(planner, stretch, &arena, &low, &high));
    uint64_t *positions = ARENA_ARRAY(&arena, uint64_t, n_cuts * stretch->n_parts + 1);
    struct cutting cutting = {planner, stretch, cuts, positions};
    TRY(pool_run(planner->context->runtime->pool, n_cuts, find_cut, &cutting));
    for (size_t i = 0; i <= n_cuts; i++)
        add_range(planner, stretch, i ? positions + (i - 1) * stretch->n_parts : NULL,
                  i < n_cuts ? positions + i * stretch->n_parts : NULL, i ? cuts[i - 1] : low,
                  i < n_cuts ? cuts[i] : high);
    return 0;
}

/* Cuts a stretch into ranges and adds them. */
static int add_stretch(struct planner *planner, const struct stretch *stretch)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < stretch->n_parts; i++) {
        const struct merge_part *part = &stretch->parts[i];
        bytes += (part->end - part->begin) * planner->files[part->file].row_bytes;
    }
    uint64_t n_ranges = bytes / planner->options->range_bytes + 1;
    uint64_t distance = stretch->n_rows / (n_ranges * SAMPLES_PER_RANGE) + 1;
    size_t n_samples_max = stretch->n_rows / distance + 2;
    struct key_wanted *samples = memory_alloc_zero(n_samples_max * sizeof *samples);
    struct slice *cuts = memory_alloc_zero(n_samples_max * sizeof *cuts);
    size_t n_samples = n_ranges > 1 ? choose_samples(stretch, distance, samples) : 0;
    int code = read_all_keys(planner, samples, n_samples);
    if (code == 0) {
        qsort(samples, n_samples, sizeof *samples, by_key);
        size_t n_cuts = choose_cuts(samples, n_samples, cuts);
        code = add_cut_ranges(planner, stretch, cuts, n_cuts);
    }
    free_keys(samples, n_samples);
    free(cuts);
    return code;
}

/* Merges what is not yet in a step, of each file up to the row that `to` says. */
static int merge_up_to(struct planner *planner, const uint64_t *to)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct merge_part *parts = ARENA_ARRAY(&arena, struct merge_part, planner->n_files);
    struct stretch stretch = {.parts = parts};
    for (uint32_t f = 0; f < planner->n_files; f++) {
        if (planner->next[f] >= to[f]) continue;
        parts[stretch.n_parts++] = (struct merge_part){f, planner->next[f], to[f]};
        stretch.n_rows += to[f] - planner->next[f];
        planner->next[f] = to[f];
    }
    return stretch.n_parts ? add_stretch(planner, &stretch) : 0;
}

/* ---- rows of one file alone ---- */

/* The rows of a row group that are wanted, and the cuts before and behind them. */
struct span {
    uint32_t file;
    uint64_t begin, end;
    struct slice first, behind;
};

struct span_end {
    struct slice cut;
    const struct span *span;
    bool is_end;
};

struct sweep {
    struct planner *planner;
    uint32_t *n_active; /* spans of each file at the place of the sweep */
    uint32_t n_files_active;
    uint64_t active_sum;      /* of the numbers of the files that are active */
    uint64_t *started;        /* of each file: the end of the spans that have begun */
    uint64_t *started_before; /* the same before the spans that begin at this cut */
    uint64_t *to;             /* room */
    uint32_t alone;           /* the file whose rows only are met since alone_row; UINT32_MAX */
    uint64_t alone_row;
};

static int by_cut(const void *a, const void *b)
{
    return slice_compare(((const struct span_end *)a)->cut, ((const struct span_end *)b)->cut);
}

/* All wanted parts of row groups, with their keys. */
static int find_spans(const struct planner *planner, struct arena *arena, struct span **out,
                      size_t *n_out)
{
    size_t n = 0, room = 0;
    for (uint32_t f = 0; f < planner->n_files; f++)
        room += planner->files[f].n_row_groups;
    struct span *spans = ARENA_ARRAY(arena, struct span, room + 1);
    for (uint32_t f = 0; f < planner->n_files; f++) {
        const struct merge_file *file = &planner->files[f];
        const struct parquet_metadata *metadata = parquet_reader_metadata(file->reader);
        for (uint32_t g = 0; g < file->n_row_groups; g++) {
            uint64_t begin = metadata->row_groups[g].first_row;
            uint64_t end = begin + metadata->row_groups[g].n_rows;
            if (begin < file->begin) begin = file->begin;
            if (end > file->end) end = file->end;
            if (begin < end) spans[n++] = (struct span){.file = f, .begin = begin, .end = end};
        }
    }
    struct key_wanted *keys = memory_alloc_zero((2 * n + 1) * sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[2 * i] = (struct key_wanted){.file = spans[i].file, .row = spans[i].begin};
        keys[2 * i + 1] = (struct key_wanted){.file = spans[i].file, .row = spans[i].end - 1};
    }
    int code = read_all_keys(planner, keys, 2 * n);
    for (size_t i = 0; i < n && code == 0; i++) {
        code = buffer_append_byte(&keys[2 * i + 1].key, 0);
        spans[i].first = arena_copy(arena, buffer_slice(&keys[2 * i].key));
        spans[i].behind = arena_copy(arena, buffer_slice(&keys[2 * i + 1].key));
    }
    free_keys(keys, 2 * n);
    *out = spans;
    *n_out = n;
    return code;
}

static int add_copy(struct planner *planner, uint32_t file, uint64_t begin, uint64_t end)
{
    struct merge_step *step = add_step(planner, 1);
    step->is_copy = true;
    step->parts[0] = (struct merge_part){file, begin, end};
    step->n_rows = end - begin;
    planner->next[file] = end;
    return 0;
}

/* Rows up to `end` of the file that was alone: what can be copied, is; the rest waits. */
static int take_alone(struct sweep *sweep, uint64_t end)
{
    struct planner *planner = sweep->planner;
    const struct merge_file *file = &planner->files[sweep->alone];
    const struct parquet_metadata *metadata = parquet_reader_metadata(file->reader);
    for (uint64_t row = sweep->alone_row; row < end;) {
        uint32_t g = merge_file_group(file, row);
        const struct parquet_row_group *group = &metadata->row_groups[g];
        uint64_t part_end = group->first_row + group->n_rows;
        if (part_end > end) part_end = end;
        uint64_t bytes = group->uncompressed_bytes / group->n_rows * (part_end - row);
        if (bytes >= planner->options->copy_bytes_min &&
            planner->options->can_copy(planner->options->state, file, g)) {
            for (uint32_t f = 0; f < planner->n_files; f++)
                sweep->to[f] = f == sweep->alone ? row : sweep->started_before[f];
            TRY(merge_up_to(planner, sweep->to));
            TRY(add_copy(planner, sweep->alone, row, part_end));
        }
        row = part_end;
    }
    return 0;
}

/* The row of a file at a cut, which its active spans contain or which lies between them. */
static int row_at(const struct sweep *sweep, uint32_t file, struct slice cut, uint64_t *row)
{
    if (sweep->started[file] != sweep->started_before[file] && sweep->n_active[file] == 1) {
        *row = sweep->started_before[file]; /* a span begins here, and none goes on */
        return 0;
    }
    return merge_file_position(&sweep->planner->files[file], cut, sweep->planner->next[file],
                               sweep->started[file], row);
}

/* All ends at one cut are in: is a file alone from here on, or no longer? */
static int judge(struct sweep *sweep, struct slice cut)
{
    uint32_t only = sweep->n_files_active == 1 ? (uint32_t)sweep->active_sum : UINT32_MAX;
    if (sweep->alone != UINT32_MAX && sweep->n_files_active > 0 && only != sweep->alone) {
        uint64_t end;
        TRY(row_at(sweep, sweep->alone, cut, &end));
        TRY(take_alone(sweep, end));
        sweep->alone = UINT32_MAX;
    }
    if (sweep->alone == UINT32_MAX && only != UINT32_MAX) {
        TRY(row_at(sweep, only, cut, &sweep->alone_row));
        sweep->alone = only;
    }
    return 0;
}

static void pass_end(struct sweep *sweep, const struct span_end *end)
{
    uint32_t file = end->span->file;
    if (end->is_end) {
        if (--sweep->n_active[file] == 0) {
            sweep->n_files_active--;
            sweep->active_sum -= file;
        }
    } else {
        if (sweep->n_active[file]++ == 0) {
            sweep->n_files_active++;
            sweep->active_sum += file;
        }
        sweep->started[file] = end->span->end;
    }
}

static int sweep_ends(struct sweep *sweep, const struct span_end *ends, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t j = i;
        for (; j < n && slice_equal(ends[j].cut, ends[i].cut); j++)
            pass_end(sweep, &ends[j]);
        TRY(judge(sweep, ends[i].cut));
        for (; i < j; i++)
            sweep->started_before[ends[i].span->file] = sweep->started[ends[i].span->file];
    }
    return sweep->alone == UINT32_MAX ? 0 : take_alone(sweep, sweep->started[sweep->alone]);
}

static int find_copies(struct planner *planner)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct span *spans;
    size_t n;
    TRY(find_spans(planner, &arena, &spans, &n));
    struct span_end *ends = ARENA_ARRAY(&arena, struct span_end, 2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        ends[2 * i] = (struct span_end){spans[i].first, &spans[i], false};
        ends[2 * i + 1] = (struct span_end){spans[i].behind, &spans[i], true};
    }
    qsort(ends, 2 * n, sizeof *ends, by_cut);
    uint32_t n_files = planner->n_files;
    struct sweep sweep = {.planner = planner, .alone = UINT32_MAX};
    sweep.n_active = ARENA_ARRAY(&arena, uint32_t, n_files);
    sweep.started = ARENA_ARRAY(&arena, uint64_t, n_files);
    sweep.started_before = ARENA_ARRAY(&arena, uint64_t, n_files);
    sweep.to = ARENA_ARRAY(&arena, uint64_t, n_files);
    for (uint32_t f = 0; f < n_files; f++)
        sweep.started[f] = sweep.started_before[f] = planner->files[f].begin;
    return sweep_ends(&sweep, ends, 2 * n);
}

/* ---- the plan ---- */

int merge_plan_make(struct merge_plan *plan, const struct merge_context *context,
                    const struct merge_file *files, uint32_t n_files,
                    const struct merge_plan_options *options)
{
    *plan = (struct merge_plan){0};
    struct planner planner = {plan, context, files, n_files, options, NULL};
    planner.next = memory_alloc_zero((n_files + 1) * sizeof *planner.next);
    uint64_t *ends = memory_alloc_zero((n_files + 1) * sizeof *ends);
    for (uint32_t f = 0; f < n_files; f++) {
        planner.next[f] = files[f].begin;
        ends[f] = files[f].end;
    }
    int code = options->can_copy ? find_copies(&planner) : 0;
    if (code == 0) code = merge_up_to(&planner, ends);
    free(planner.next);
    free(ends);
    if (code < 0) merge_plan_free(plan);
    return code;
}

void merge_plan_free(struct merge_plan *plan)
{
    free(plan->steps);
    arena_free(&plan->arena);
    *plan = (struct merge_plan){0};
}

int merge_plan_validate(const struct merge_plan *plan, const struct merge_file *files,
                        uint32_t n_files)
{
    defer_free uint64_t *next = memory_alloc_zero((n_files + 1) * sizeof *next);
    for (uint32_t f = 0; f < n_files; f++)
        next[f] = files[f].begin;
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct merge_step *step = &plan->steps[i];
        uint64_t rows = 0;
        for (uint32_t p = 0; p < step->n_parts; p++) {
            const struct merge_part *part = &step->parts[p];
            if (part->file >= n_files || part->begin != next[part->file] ||
                part->begin >= part->end || (p && step->parts[p - 1].file >= part->file))
                return error_set(GLIS_ECORRUPT, "step %zu of a merge: part %u does not follow", i,
                                 p);
            next[part->file] = part->end;
            rows += part->end - part->begin;
        }
        if (rows != step->n_rows || (step->is_copy && step->n_parts != 1))
            return error_set(GLIS_ECORRUPT, "step %zu of a merge has a wrong number of rows", i);
    }
    for (uint32_t f = 0; f < n_files; f++)
        if (next[f] != files[f].end)
            return error_set(GLIS_ECORRUPT, "a merge leaves out rows of file %u", f);
    return 0;
}
