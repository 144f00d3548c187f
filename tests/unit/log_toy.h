/*
 * log_toy.h: a machine for the tests of the log: a set of ids, each with the record that added it.
 *
 *   {"type":"add","id":"a"}                   refused when "a" is there
 *   {"type":"add","id":"a","unless":"b"}      refused also when "b" is there
 *   {"type":"ensure","id":"a"}                already done when "a" is there
 *   {"type":"lift","id":"a"}                  takes "a" out; refused when it is not there
 *   {"type":"drop"}                           the log ends
 * Any other type is newer than this machine. A field "pad" makes a transaction large; "broken"
 * makes apply fail half-way, after it has changed the state.
 */
#ifndef GLIS_TESTS_LOG_TOY_H
#define GLIS_TESTS_LOG_TOY_H

#include "base/json.h"
#include "base/map.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>

struct toy {
    struct map ids; /* id -> 8 bytes of record number */
    bool ended;
    int64_t time_set_ms;
};

static int toy_new(void *context, void **out)
{
    (void)context;
    *out = memory_alloc_zero(sizeof(struct toy));
    return 0;
}

static int toy_clone(void *context, const void *state, void **out)
{
    (void)context;
    const struct toy *from = state;
    struct toy *copy = memory_alloc(sizeof(*copy));
    *copy = *from;
    map_clone(&copy->ids, &from->ids);
    *out = copy;
    return 0;
}

static void toy_free(void *context, void *state)
{
    (void)context;
    struct toy *toy = state;
    map_free(&toy->ids);
    free(toy);
}

/* The record that added an id; 0 when it is not there. */
static inline uint64_t toy_record_of(const struct toy *toy, struct slice id)
{
    struct slice value;
    uint64_t record = 0;
    if (map_get(&toy->ids, id, &value)) memcpy(&record, value.data, sizeof(record));
    return record;
}

static int toy_apply(void *context, void *state, const struct log_record_info *info,
                     const struct json *transaction)
{
    (void)context;
    struct toy *toy = state;
    struct slice type, id = SLICE_EMPTY, unless = SLICE_EMPTY;
    TRY(json_get_string(transaction, "type", &type));
    if (toy->ended) return error_set(GLIS_EREFUSED, "the toy was dropped");
    if (slice_equal_text(type, "drop")) {
        toy->ended = true;
        return 0;
    }
    if (slice_equal_text(type, "lift")) {
        TRY(json_get_string(transaction, "id", &id));
        if (!map_remove(&toy->ids, id)) return error_set(GLIS_EREFUSED, "it is not there");
        return 0;
    }
    bool ensure = slice_equal_text(type, "ensure");
    if (!ensure && !slice_equal_text(type, "add"))
        return error_set(GLIS_ENEWER, "type '%.*s'", SLICE_PRINT(type));
    TRY(json_get_string(transaction, "id", &id));
    TRY(json_optional_string(transaction, "unless", &unless));
    if (map_get(&toy->ids, id, NULL)) {
        if (ensure) return LOG_ALREADY_DONE;
        return error_set(GLIS_EREFUSED, "id '%.*s' is there", SLICE_PRINT(id));
    }
    if (unless.size && map_get(&toy->ids, unless, NULL))
        return error_set(GLIS_EREFUSED, "'%.*s' bars it", SLICE_PRINT(unless));
    map_put(&toy->ids, id, slice_make(&info->record, sizeof(info->record)));
    if (json_find(transaction, "broken")) return error_set(GLIS_ENOMEM, "broken on purpose");
    return 0;
}

static void toy_time_set(void *context, void *state, const struct log_record_info *info)
{
    (void)context;
    ((struct toy *)state)->time_set_ms = info->time_ms;
}

static bool toy_is_ended(void *context, const void *state)
{
    (void)context;
    return ((const struct toy *)state)->ended;
}

static uint64_t toy_bytes(void *context, const void *state)
{
    (void)context;
    return map_count(&((const struct toy *)state)->ids) * 20;
}

static int toy_snapshot_write(void *context, const void *state, struct slice part,
                              struct buffer *out)
{
    (void)context;
    const struct toy *toy = state;
    struct map_cursor cursor;
    TRY(buffer_printf(out, "%.*s\n%d\n", SLICE_PRINT(part), toy->ended));
    for (map_cursor_first(&toy->ids, &cursor); cursor.valid; map_cursor_next(&cursor)) {
        uint64_t record;
        memcpy(&record, cursor.value.data, sizeof(record));
        TRY(buffer_printf(out, "%016llx%.*s\n", (unsigned long long)record,
                          SLICE_PRINT(cursor.key)));
    }
    return 0;
}

static int toy_snapshot_read(void *context, struct block *block, struct slice bytes,
                             struct arena *arena, struct slice *part, void **out)
{
    (void)context, (void)block;
    struct toy *toy = memory_alloc_zero(sizeof(*toy));
    for (unsigned line = 0; bytes.size; line++) {
        const char *end = memchr(bytes.data, '\n', bytes.size);
        if (!end) {
            toy_free(context, toy);
            return error_set(GLIS_ECORRUPT, "cut off");
        }
        size_t size = (size_t)(end - bytes.data);
        if (line == 0) {
            *part = arena_copy(arena, slice_part(bytes, 0, size));
        } else if (line == 1) {
            toy->ended = bytes.data[0] == '1';
        } else {
            char digits[17] = {0};
            memcpy(digits, bytes.data, 16);
            uint64_t record = strtoull(digits, NULL, 16);
            map_put(&toy->ids, slice_part(bytes, 16, size - 16),
                    slice_make(&record, sizeof(record)));
        }
        bytes = slice_part(bytes, size + 1, bytes.size);
    }
    *out = toy;
    return 0;
}

static const struct log_machine toy_machine __attribute__((unused)) = {
    .kind = "toy",
    .state_new = toy_new,
    .state_clone = toy_clone,
    .state_free = toy_free,
    .apply = toy_apply,
    .time_set = toy_time_set,
    .is_ended = toy_is_ended,
    .state_bytes = toy_bytes,
    .snapshot_write = toy_snapshot_write,
    .snapshot_read = toy_snapshot_read,
};

/* A clock that stands still but for sleeps, so that no test waits. */
struct toy_clock {
    struct clock clock;
    _Atomic int64_t now_ms;
    int64_t wall_offset_ms; /* this machine's wall clock less the time of the world */
};

static inline int64_t toy_wall_ms(struct clock *clock)
{
    struct toy_clock *toy = (struct toy_clock *)clock;
    return atomic_load(&toy->now_ms) + toy->wall_offset_ms;
}

static inline int64_t toy_monotonic_ns(struct clock *clock)
{
    return atomic_load(&((struct toy_clock *)clock)->now_ms) * 1000000;
}

static inline void toy_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    atomic_fetch_add(&((struct toy_clock *)clock)->now_ms, duration_ms);
}

#define TOY_CLOCK_START_MS 1700000000000
#define TOY_CLOCK \
    ((struct toy_clock){{toy_wall_ms, toy_monotonic_ns, toy_sleep_ms}, TOY_CLOCK_START_MS, 0})

/* Commits one transaction given as text; its answer goes to *answer. */
static inline int toy_commit(struct log *log, struct log_answer *answer, const char *text)
{
    struct slice transaction = slice_from_text(text);
    return log_commit(log, &transaction, 1, 0, answer);
}

#endif
