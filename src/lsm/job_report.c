/*
 * job_report.c: reports of jobs that failed: small JSON objects jobs/<id> beside the log.
 *
 * They are advisory: written at most once a failure, read by `glis status` and by planners, which
 * leave a partition alone that failed again and again; lost ones cost a useless try. What succeeded
 * stands in the log itself.
 */
#include "lsm/lsm_int.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"

#include <stdlib.h>

enum { REPORT_BYTES_MAX = 64 << 10, REASON_BYTES_MAX = 8 << 10 };

static struct slice reports_prefix(struct table *table, struct arena *arena)
{
    return slice_from_text(arena_printf(arena, "%.*sjobs/", SLICE_PRINT(table_prefix(table))));
}

int job_report_put(struct table *table, const struct job_report *report)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct slice prefix = reports_prefix(table, &arena);
    struct slice key = slice_from_text(
        arena_printf(&arena, "%.*s%.*s", SLICE_PRINT(prefix), SLICE_PRINT(report->job)));
    defer_buffer struct buffer text = BUFFER_INIT(REPORT_BYTES_MAX);
    struct json_writer json;
    json_writer_init(&json, &text, 0);
    json_write_object_begin(&json);
    json_write_field_string(&json, "job", report->job);
    json_write_field_string(&json, "kind", report->kind);
    json_write_field_string(&json, "partition", report->partition);
    json_write_field_int(&json, "time", report->time_ms);
    char files[HASH64_HEX_BYTES + 1];
    hash_hex64(report->partition_files, files);
    json_write_field_text(&json, "partitionFiles", files);
    json_write_field_string(&json, "reason", slice_part(report->reason, 0, REASON_BYTES_MAX));
    json_write_object_end(&json);
    TRY(json_writer_finish(&json));
    return store_put(instance_store(table_instance(table)), key, buffer_slice(&text), 0);
}

struct report_list {
    struct table *table;
    struct arena *arena;
    struct job_report *items;
    size_t n, n_max;
};

static int read_report(const struct report_list *list, struct slice key, struct job_report *out)
{
    defer_buffer struct buffer text = BUFFER_INIT(REPORT_BYTES_MAX);
    const struct json *json;
    struct slice files = SLICE_EMPTY;
    TRY(store_get(instance_store(table_instance(list->table)), key, 0, REPORT_BYTES_MAX, &text));
    struct slice copy = arena_copy(list->arena, buffer_slice(&text));
    TRY(json_parse(list->arena, copy, JSON_RULES_INTERNAL, &json));
    TRY(json_get_string(json, "job", &out->job));
    TRY(json_get_string(json, "kind", &out->kind));
    TRY(json_get_string(json, "partition", &out->partition));
    TRY(json_get_int(json, "time", 0, INT64_MAX, &out->time_ms));
    TRY(json_get_string(json, "reason", &out->reason));
    TRY(json_optional_string(json, "partitionFiles", &files));
    defer_buffer struct buffer hash = BUFFER_INIT(16);
    if (files.size != HASH64_HEX_BYTES || text_hex_decode(&hash, files) < 0)
        return error_set(GLIS_ECORRUPT, "'partitionFiles' is no hash");
    for (size_t i = 0; i < hash.size; i++)
        out->partition_files = out->partition_files << 8 | hash.data[i];
    return 0;
}

static int visit_report(void *state, const struct store_object *object)
{
    struct report_list *list = state;
    struct job_report report = {0};
    int code = read_report(list, object->key, &report);
    if (code == GLIS_ECANCELLED || code == GLIS_ENOMEM) return code;
    if (code < 0) {
        error_clear(); /* gone meanwhile, or not ours: nothing hangs on it */
        return 0;
    }
    ARENA_GROW(list->arena, list->items, list->n, list->n_max);
    list->items[list->n++] = report;
    return 0;
}

int job_reports(struct table *table, struct arena *arena, struct job_report **out, size_t *n_out)
{
    struct report_list list = {.table = table, .arena = arena};
    TRY(store_each(instance_store(table_instance(table)), reports_prefix(table, arena), SLICE_EMPTY,
                   visit_report, &list));
    *out = list.items;
    *n_out = list.n;
    return 0;
}

int job_reports_remove(struct table *table, int64_t before_ms, uint64_t *n_removed)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct job_report *reports;
    size_t n, n_old = 0;
    TRY(job_reports(table, &arena, &reports, &n));
    struct slice prefix = reports_prefix(table, &arena);
    struct slice *keys = ARENA_ARRAY(&arena, struct slice, n);
    for (size_t i = 0; i < n; i++)
        if (reports[i].time_ms < before_ms)
            keys[n_old++] = slice_from_text(
                arena_printf(&arena, "%.*s%.*s", SLICE_PRINT(prefix), SLICE_PRINT(reports[i].job)));
    *n_removed = n_old;
    return n_old ? store_remove(instance_store(table_instance(table)), keys, n_old) : 0;
}

int job_reports_failures(const struct job_report *reports, size_t n_reports, struct arena *arena,
                         struct compaction_failure **out, size_t *n_out)
{
    struct compaction_failure *failures = ARENA_ARRAY(arena, struct compaction_failure, n_reports);
    size_t n = 0;
    for (size_t i = 0; i < n_reports; i++) {
        if (!slice_equal_text(reports[i].kind, "compaction") || !reports[i].partition_files)
            continue;
        size_t at = 0;
        while (at < n && !(slice_equal(failures[at].partition, reports[i].partition) &&
                           failures[at].partition_files == reports[i].partition_files))
            at++;
        if (at == n)
            failures[n++] = (struct compaction_failure){
                .partition = reports[i].partition, .partition_files = reports[i].partition_files};
        failures[at].times++;
        if (reports[i].time_ms > failures[at].last_ms) failures[at].last_ms = reports[i].time_ms;
    }
    *out = failures;
    *n_out = n;
    return 0;
}
