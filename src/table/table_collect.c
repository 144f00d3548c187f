/*
 * table_collect.c: pins, the two steps of collection, and the horizon.
 *
 * A pin keeps a file when the file was there at the pin's record: added at or before it, and its
 * last reference gone after it. So a pin of a year keeps one state and not a year of
 * intermediates. Marking a file moves the collection line to the record at which it went; a pin
 * below that line would promise what is no longer there, and is refused.
 *
 * A mark goes before the object is deleted, and forgetting after it: whoever dies in between
 * leaves a marked file, which the next collection deletes again and forgets.
 *
 * The trim line goes up before the log is trimmed: states below it are no longer promised. It never
 * passes the record of a living pin, and no pin is set below it.
 *
 * The horizon: what was begun before that record can no longer be added, so objects of that age
 * that the state does not know will never be known. It stays below every living assignment and
 * every pin that keeps work, for those still write.
 */
#include "table/table_int.h"

#include <stdlib.h>

/* ---- pins ---- */

int pin_check(const struct state *state, const struct pin_record *pin)
{
    if (pin->record < state->numbers[NUMBER_COLLECTED] && !GLIS_MUTANT(pin_above_collection))
        return error_set(
            GLIS_EREFUSED, "files of record %llu have been collected (up to record %llu)",
            (unsigned long long)pin->record, (unsigned long long)state->numbers[NUMBER_COLLECTED]);
    if (pin->record < state->numbers[NUMBER_TRIMMED] && !GLIS_MUTANT(pin_above_trim_line))
        return error_set(GLIS_EREFUSED, "states below record %llu have been trimmed",
                         (unsigned long long)state->numbers[NUMBER_TRIMMED]);
    if (pin->keeps_work && pin->record < state->numbers[NUMBER_HORIZON])
        return error_set(GLIS_EREFUSED, "record %llu lies below the horizon, record %llu",
                         (unsigned long long)pin->record,
                         (unsigned long long)state->numbers[NUMBER_HORIZON]);
    return 0;
}

int apply_pin(struct state *state, const struct log_record_info *info,
              const struct json *transaction, struct arena *arena)
{
    (void)arena;
    struct slice id, keeps, value;
    struct pin_record pin = {0}, before;
    TRY(json_get_string(transaction, "id", &id));
    TRY(job_id_check("pin", id));
    TRY(json_get_u64(transaction, "record", &pin.record));
    TRY(json_get_int(transaction, "until", 0, INT64_MAX, &pin.until_ms));
    TRY(json_get_string(transaction, "keeps", &keeps));
    pin.keeps_work = slice_equal_text(keeps, "work");
    if (!pin.keeps_work && !slice_equal_text(keeps, "files"))
        return error_set(GLIS_EINVALID, "a pin keeps files or work, not '%.*s'",
                         SLICE_PRINT(slice_part(keeps, 0, 40)));
    if (pin.record == 0 || pin.record >= info->record)
        return error_set(GLIS_EREFUSED, "record %llu is yet to come",
                         (unsigned long long)pin.record);
    bool known = map_get(&state->maps[SECTION_PINS], id, &value);
    if (known) {
        bool good = pin_unpack(value, &before);
        ASSERT(good);
    }
    if (known && pin_lives(&before, info->time_ms)) {
        if (before.record != pin.record || before.keeps_work != pin.keeps_work)
            return error_set(GLIS_EREFUSED, "pin '%.*s' keeps %s of record %llu", SLICE_PRINT(id),
                             before.keeps_work ? "work" : "files",
                             (unsigned long long)before.record);
        if (before.until_ms == 0 || (pin.until_ms && pin.until_ms < before.until_ms))
            pin.until_ms = before.until_ms; /* extending never shortens */
    } else {
        TRY(pin_check(state, &pin));
    }
    defer_packer struct packer packer = {0};
    pin_pack(&packer, &pin);
    map_put(&state->maps[SECTION_PINS], id, packed(&packer));
    return 0;
}

int apply_unpin(struct state *state, const struct log_record_info *info,
                const struct json *transaction, struct arena *arena)
{
    (void)info;
    (void)arena;
    struct slice id;
    TRY(json_get_string(transaction, "id", &id));
    if (!map_remove(&state->maps[SECTION_PINS], id))
        return error_set(GLIS_EREFUSED, "there is no pin '%.*s'",
                         SLICE_PRINT(slice_part(id, 0, JOB_ID_MAX)));
    return 0;
}

/* Whether a living pin keeps a file that was added and went at these records. */
static bool is_pinned(const struct state *state, uint64_t added, uint64_t gone, int64_t time_ms,
                      struct slice *id)
{
    struct map_cursor c;
    for (map_cursor_first(&state->maps[SECTION_PINS], &c); c.valid; map_cursor_next(&c)) {
        struct pin_record pin;
        bool good = pin_unpack(c.value, &pin);
        ASSERT(good);
        uint64_t record = pin.record + (GLIS_MUTANT(pin_keeps_its_record) ? 1 : 0);
        if (!pin_lives(&pin, time_ms) || record < added || record >= gone) continue;
        if (GLIS_MUTANT(pin_keeps_files)) continue;
        *id = c.key;
        return true;
    }
    return false;
}

/* ---- collection ---- */

int apply_mark_files(struct state *state, const struct log_record_info *info,
                     const struct json *transaction, struct arena *arena)
{
    const struct json *files;
    TRY(json_get_array(transaction, "files", &files));
    struct slice *keys = ARENA_ARRAY(arena, struct slice, files->n_items);
    uint64_t line = state->numbers[NUMBER_COLLECTED];
    for (size_t i = 0; i < files->n_items; i++) {
        struct slice name, value, pin;
        uint64_t gone;
        struct packer key = {0};
        TRY(json_get_string(&files->items[i], "name", &name));
        TRY(json_get_u64(&files->items[i], "gone", &gone));
        bool good = file_key_pack(&key, name);
        keys[i] = arena_copy(arena, packed(&key));
        packer_free(&key);
        struct file_record file;
        if (!good || !map_get(&state->maps[SECTION_FILES], keys[i], &value))
            return error_set(GLIS_EREFUSED, "there is no file '%.*s'",
                             SLICE_PRINT(slice_part(name, 0, 200)));
        good = file_unpack(value, &file);
        ASSERT(good);
        if (file.n_references && !GLIS_MUTANT(marked_without_references))
            return error_set(GLIS_EREFUSED, "file '%.*s' is referenced", SLICE_PRINT(name));
        if (file.gone_record != gone && !GLIS_MUTANT(marked_as_gone_then))
            return error_set(GLIS_EREFUSED, "file '%.*s' went at record %llu, not %llu",
                             SLICE_PRINT(name), (unsigned long long)file.gone_record,
                             (unsigned long long)gone);
        if (is_pinned(state, file.added_record, gone, info->time_ms, &pin))
            return error_set(GLIS_EREFUSED, "pin '%.*s' keeps file '%.*s'", SLICE_PRINT(pin),
                             SLICE_PRINT(name));
        if (gone > line) line = gone;
    }
    for (size_t i = 0; i < files->n_items; i++)
        map_put(&state->maps[SECTION_MARKED], keys[i], SLICE_EMPTY);
    state->numbers[NUMBER_COLLECTED] = line;
    return 0;
}

int apply_forget_files(struct state *state, const struct log_record_info *info,
                       const struct json *transaction, struct arena *arena)
{
    (void)info;
    const struct json *files;
    TRY(json_get_array(transaction, "files", &files));
    struct slice *keys = ARENA_ARRAY(arena, struct slice, files->n_items);
    for (size_t i = 0; i < files->n_items; i++) {
        struct slice name;
        struct packer key = {0};
        TRY(json_as_string(&files->items[i], &name));
        bool good = file_key_pack(&key, name);
        keys[i] = arena_copy(arena, packed(&key));
        packer_free(&key);
        if ((!good || !map_get(&state->maps[SECTION_MARKED], keys[i], NULL)) &&
            !GLIS_MUTANT(forgotten_when_marked))
            return error_set(GLIS_EREFUSED, "file '%.*s' is not marked",
                             SLICE_PRINT(slice_part(name, 0, 200)));
    }
    for (size_t i = 0; i < files->n_items; i++) {
        if (!map_remove(&state->maps[SECTION_MARKED], keys[i]) &&
            !GLIS_MUTANT(forgotten_when_marked))
            continue; /* named twice */
        bool good = map_remove(&state->maps[SECTION_FILES], keys[i]);
        ASSERT(good || GLIS_MUTANT(forgotten_when_marked));
        map_remove(&state->maps[SECTION_AGES], keys[i]);
        state->numbers[NUMBER_UNREFERENCED]--;
    }
    return 0;
}

bool table_file_is_marked(const struct table_state *state, struct slice name)
{
    defer_packer struct packer key = {0};
    return file_key_pack(&key, name) &&
           map_get(&state->state->maps[SECTION_MARKED], packed(&key), NULL);
}

bool table_file_is_pinned(const struct table_state *state, const struct table_file *file,
                          int64_t time_ms)
{
    struct slice pin;
    return file->gone_record &&
           is_pinned(state->state, file->added_record, file->gone_record, time_ms, &pin);
}

/* ---- the horizon ---- */

/* The lowest record that a living assignment or a pin that keeps work still needs. */
static uint64_t lowest_work(const struct state *state, int64_t time_ms, struct slice *holder)
{
    uint64_t lowest = UINT64_MAX;
    struct map_cursor c;
    for (map_cursor_first(&state->maps[SECTION_ASSIGNMENTS], &c); c.valid; map_cursor_next(&c)) {
        struct assignment_record assignment;
        bool good = assignment_unpack(c.value, &assignment);
        ASSERT(good);
        if (assignment.until_ms <= time_ms || assignment.record >= lowest) continue;
        lowest = assignment.record;
        *holder = c.key;
    }
    for (map_cursor_first(&state->maps[SECTION_PINS], &c); c.valid; map_cursor_next(&c)) {
        struct pin_record pin;
        bool good = pin_unpack(c.value, &pin);
        ASSERT(good);
        if (!pin.keeps_work || !pin_lives(&pin, time_ms) || pin.record >= lowest ||
            GLIS_MUTANT(pin_keeps_work))
            continue;
        lowest = pin.record;
        *holder = c.key;
    }
    return lowest;
}

/* Jobs whose ids were made go once the horizon has passed their files; merged ids and pins that
 * ran out likewise. */
static void forget_below(struct state *state, uint64_t horizon, int64_t time_ms)
{
    struct map_builder jobs, merged, pins;
    struct map_cursor c;
    map_builder_init(&jobs);
    for (map_cursor_first(&state->maps[SECTION_JOBS], &c); c.valid; map_cursor_next(&c)) {
        struct job_record job;
        bool good = job_unpack(c.value, &job);
        ASSERT(good);
        if (!job.is_given && job.record < horizon) continue;
        int code = map_builder_add(&jobs, c.key, c.value);
        ASSERT(code == 0);
    }
    map_builder_init(&merged);
    for (map_cursor_first(&state->maps[SECTION_MERGED], &c); c.valid; map_cursor_next(&c)) {
        struct merged_record record;
        bool good = merged_unpack(c.value, &record);
        ASSERT(good);
        if (record.record < horizon) continue;
        int code = map_builder_add(&merged, c.key, c.value);
        ASSERT(code == 0);
    }
    map_builder_init(&pins);
    for (map_cursor_first(&state->maps[SECTION_PINS], &c); c.valid; map_cursor_next(&c)) {
        struct pin_record pin;
        bool good = pin_unpack(c.value, &pin);
        ASSERT(good);
        if (!pin_lives(&pin, time_ms)) continue;
        int code = map_builder_add(&pins, c.key, c.value);
        ASSERT(code == 0);
    }
    map_free(&state->maps[SECTION_JOBS]);
    map_free(&state->maps[SECTION_MERGED]);
    map_free(&state->maps[SECTION_PINS]);
    map_builder_finish(&jobs, &state->maps[SECTION_JOBS]);
    map_builder_finish(&merged, &state->maps[SECTION_MERGED]);
    map_builder_finish(&pins, &state->maps[SECTION_PINS]);
}

int apply_raise_horizon(struct state *state, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena)
{
    (void)arena;
    uint64_t record;
    struct slice holder = SLICE_EMPTY;
    TRY(json_get_u64(transaction, "record", &record));
    if (record <= state->numbers[NUMBER_HORIZON])
        return error_set(GLIS_EREFUSED, "the horizon is at record %llu already",
                         (unsigned long long)state->numbers[NUMBER_HORIZON]);
    if (record >= info->record)
        return error_set(GLIS_EREFUSED, "record %llu is yet to come", (unsigned long long)record);
    if (record > lowest_work(state, info->time_ms, &holder) && !GLIS_MUTANT(horizon_below_work))
        return error_set(GLIS_EREFUSED, "'%.*s' still works on files begun before record %llu",
                         SLICE_PRINT(holder), (unsigned long long)record);
    forget_below(state, record, info->time_ms);
    state->numbers[NUMBER_HORIZON] = record;
    return 0;
}

/* ---- the trim line ---- */

/* The lowest record that a living pin wants to be readable. */
static uint64_t lowest_pin(const struct state *state, int64_t time_ms, struct slice *holder)
{
    uint64_t lowest = UINT64_MAX;
    struct map_cursor c;
    for (map_cursor_first(&state->maps[SECTION_PINS], &c); c.valid; map_cursor_next(&c)) {
        struct pin_record pin;
        bool good = pin_unpack(c.value, &pin);
        ASSERT(good);
        if (!pin_lives(&pin, time_ms) || pin.record >= lowest) continue;
        lowest = pin.record;
        *holder = c.key;
    }
    return lowest;
}

int apply_raise_trim_line(struct state *state, const struct log_record_info *info,
                          const struct json *transaction, struct arena *arena)
{
    (void)arena;
    uint64_t record;
    struct slice holder = SLICE_EMPTY;
    TRY(json_get_u64(transaction, "record", &record));
    if (record <= state->numbers[NUMBER_TRIMMED])
        return error_set(GLIS_EREFUSED, "the trim line is at record %llu already",
                         (unsigned long long)state->numbers[NUMBER_TRIMMED]);
    if (record >= info->record)
        return error_set(GLIS_EREFUSED, "record %llu is yet to come", (unsigned long long)record);
    if (record > lowest_pin(state, info->time_ms, &holder) && !GLIS_MUTANT(trim_line_below_pins))
        return error_set(GLIS_EREFUSED, "pin '%.*s' keeps a state below record %llu",
                         SLICE_PRINT(holder), (unsigned long long)record);
    state->numbers[NUMBER_TRIMMED] = record;
    return 0;
}

uint64_t table_trim_limit(const struct table_state *state)
{
    struct slice holder;
    uint64_t limit = lowest_pin(state->state, state->time_ms, &holder);
    return limit < state->record ? limit : state->record;
}

bool table_record_can_be_pinned(const struct table_state *state, uint64_t record, bool keeps_work)
{
    const uint64_t *numbers = state->state->numbers;
    return record >= numbers[NUMBER_COLLECTED] && record >= numbers[NUMBER_TRIMMED] &&
           (!keeps_work || record >= numbers[NUMBER_HORIZON]);
}

uint64_t table_trim_line(const struct table_state *state)
{
    return state->state->numbers[NUMBER_TRIMMED];
}

uint64_t table_horizon_limit(const struct table_state *state)
{
    struct slice holder;
    uint64_t limit = lowest_work(state->state, state->time_ms, &holder);
    return limit < state->record ? limit : state->record;
}

int table_pins(const struct table_state *state, struct arena *arena, struct table_pin **out,
               size_t *n_out)
{
    const struct map *map = &state->state->maps[SECTION_PINS];
    *out = ARENA_ARRAY(arena, struct table_pin, map_count(map));
    *n_out = 0;
    struct map_cursor c;
    for (map_cursor_first(map, &c); c.valid; map_cursor_next(&c)) {
        struct pin_record pin;
        bool good = pin_unpack(c.value, &pin);
        ASSERT(good);
        (*out)[(*n_out)++] = (struct table_pin){
            .id = arena_copy(arena, c.key),
            .record = pin.record,
            .until_ms = pin.until_ms,
            .keeps_work = pin.keeps_work,
        };
    }
    return 0;
}
