/*
 * export_plan.c: export.json, which says what an export is of: the table, the record of its state,
 * the form of the files, and the query. It is put once, before anything else, so that all processes
 * that work on an export do the same, and so that a place holds one export and no more.
 *
 * Regions stand there as field keys (base64), which is exact; the JSON that a user gave stands
 * beside them for people. `request` is a hash of what was asked for: with it a second call is known
 * to be the same export going on. docs/formats.md, "Exports".
 */
#include "query/export_int.h"

#include "base/text.h"

static const struct {
    enum output_kind kind;
    const char *name;
} kinds[] = {{OUTPUT_PARQUET, "parquet"},
             {OUTPUT_CSV, "csv"},
             {OUTPUT_JSONL, "jsonl"},
             {OUTPUT_ARROW, "arrow"}};

const char *export_kind_name(enum output_kind kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].kind == kind) return kinds[i].name;
    return NULL;
}

int export_kind_parse(const struct json *object, const char *name, enum output_kind *out)
{
    struct slice text;
    TRY(json_get_string(object, name, &text));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!slice_equal_text(text, kinds[i].name)) continue;
        *out = kinds[i].kind;
        return 0;
    }
    return json_fail(json_find(object, name), "no form of exports: '%.*s'", SLICE_PRINT(text));
}

/* ---- bytes and regions ---- */

void export_write_bytes(struct json_writer *writer, struct slice bytes)
{
    defer_buffer struct buffer text = BUFFER_INIT(16 * KEY_BYTES_MAX);
    if (text_base64_encode(&text, bytes) < 0 && writer->code == 0) {
        error_save(&writer->failure);
        writer->code = writer->failure.code;
    }
    json_write_string(writer, buffer_slice(&text));
}

int export_read_bytes(const struct json *value, struct arena *arena, struct slice *out)
{
    defer_buffer struct buffer bytes = BUFFER_INIT(16 * KEY_BYTES_MAX);
    struct slice text;
    TRY(json_as_string(value, &text));
    if (text_base64_decode(&bytes, text) < 0) return json_fail(value, "base64 is wanted");
    *out = arena_copy(arena, buffer_slice(&bytes));
    return 0;
}

void export_write_region(struct json_writer *writer, const struct key_range *region, uint32_t n)
{
    json_write_array_begin(writer);
    for (uint32_t i = 0; i < n; i++) {
        json_write_object_begin(writer);
        json_write_name(writer, "min");
        export_write_bytes(writer, region[i].min);
        json_write_name(writer, "max");
        if (region[i].unbounded)
            json_write_null(writer);
        else
            export_write_bytes(writer, region[i].max);
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

int export_read_region(const struct json *value, uint32_t n, struct arena *arena,
                       struct key_range **out)
{
    TRY(json_as_array(value));
    if (value->n_items != n)
        return json_fail(value, "a range for each of %u row keys is wanted", n);
    struct key_range *region = ARENA_ARRAY(arena, struct key_range, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct json *min, *max;
        TRY(json_get(&value->items[i], "min", &min));
        TRY(json_get(&value->items[i], "max", &max));
        TRY(export_read_bytes(min, arena, &region[i].min));
        region[i].unbounded = max->type == JSON_TYPE_NULL;
        if (!region[i].unbounded) TRY(export_read_bytes(max, arena, &region[i].max));
    }
    *out = region;
    return 0;
}

/* ---- writing ---- */

/* Regions, fields, and what is done for the reader: what decides about the rows. */
static void write_wanted(const struct export_plan *plan, struct json_writer *writer)
{
    const struct query *query = &plan->query;
    json_write_name(writer, "regions");
    json_write_array_begin(writer);
    for (size_t i = 0; i < query->n_regions; i++)
        export_write_region(writer, query->regions[i].ranges, query->schema->n_row_keys);
    json_write_array_end(writer);
    json_write_name(writer, "fields");
    if (query->fields) {
        json_write_array_begin(writer);
        for (uint32_t i = 0; i < query->n_fields; i++)
            json_write_string(writer, query->schema->fields[query->fields[i]].name);
        json_write_array_end(writer);
    } else {
        json_write_null(writer);
    }
    if (query->n_authorisations) {
        json_write_name(writer, "authorisations");
        json_write_array_begin(writer);
        for (size_t i = 0; i < query->n_authorisations; i++)
            json_write_string(writer, query->authorisations[i]);
        json_write_array_end(writer);
    }
    if (!query->iterator.size) return;
    json_write_field_string(writer, "iterator", query->iterator);
    json_write_field_string(writer, "iteratorConfig", query->iterator_config);
}

bool export_query_is_whole(const struct query *query)
{
    if (query->fields && query->n_fields < query->schema->n_fields) return false;
    if (query->iterator.size) return false;
    for (size_t i = 0; i < query->n_regions; i++) {
        bool all = true;
        for (uint32_t f = 0; f < query->schema->n_row_keys && all; f++)
            all = query->regions[i].ranges[f].unbounded && !query->regions[i].ranges[f].min.size;
        if (all) return true;
    }
    return false;
}

void export_write_query(const struct export_plan *plan, struct json_writer *writer)
{
    json_write_name(writer, "query");
    if (plan->whole && !plan->query.n_authorisations) {
        json_write_null(writer);
        return;
    }
    json_write_object_begin(writer);
    write_wanted(plan, writer);
    if (plan->given.size) {
        json_write_name(writer, "given");
        json_write_raw(writer, plan->given);
    }
    json_write_object_end(writer);
}

int export_plan_request(const struct export_plan *plan, struct arena *arena, struct slice *out)
{
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_PLAN_BYTES_MAX);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_object_begin(&writer);
    json_write_field_string(&writer, "table", plan->table_id);
    json_write_field_text(&writer, "format", export_kind_name(plan->kind));
    write_wanted(plan, &writer);
    json_write_object_end(&writer);
    TRY(json_writer_finish(&writer));
    char hex[HASH128_HEX_BYTES + 1];
    hash_hex128(hash_xxh3_128(text.data, text.size), hex);
    *out = arena_copy(arena, slice_from_text(hex));
    return 0;
}

int export_plan_write(const struct export_plan *plan, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out, 0);
    json_write_object_begin(&writer);
    json_write_field_int(&writer, "glisExport", EXPORT_VERSION);
    json_write_field_string(&writer, "id", plan->id);
    if (plan->job.size) json_write_field_string(&writer, "job", plan->job);
    json_write_field_string(&writer, "table", plan->table_name);
    json_write_field_string(&writer, "tableId", plan->table_id);
    json_write_field_uint(&writer, "record", plan->record);
    json_write_field_int(&writer, "now", plan->now_ms);
    json_write_field_text(&writer, "format", export_kind_name(plan->kind));
    json_write_field_string(&writer, "request", plan->request);
    export_write_query(plan, &writer);
    json_write_object_end(&writer);
    TRY(json_writer_finish(&writer));
    return buffer_append_byte(out, '\n');
}

/* ---- reading ---- */

static int read_reader(const struct json *json, struct query *query, struct arena *arena)
{
    const struct json *terms = NULL;
    TRY(json_optional_string(json, "iterator", &query->iterator));
    TRY(json_optional_string(json, "iteratorConfig", &query->iterator_config));
    if (query->iterator.size) TRY(iterator_name_check("iterator", query->iterator));
    TRY(json_optional_array(json, "authorisations", &terms));
    if (!terms) return 0;
    struct slice *out = ARENA_ARRAY(arena, struct slice, terms->n_items);
    for (size_t i = 0; i < terms->n_items; i++)
        TRY(json_as_string(&terms->items[i], &out[i]));
    query->authorisations = out;
    query->n_authorisations = terms->n_items;
    return 0;
}

static int read_query(const struct json *json, struct arena *arena, struct export_plan *plan)
{
    const struct json *regions, *fields, *given;
    struct query *query = &plan->query;
    TRY(json_as_object(json));
    TRY(json_get_array(json, "regions", &regions));
    query->regions = ARENA_ARRAY(arena, struct query_region, regions->n_items);
    for (size_t i = 0; i < regions->n_items; i++)
        TRY(export_read_region(&regions->items[i], query->schema->n_row_keys, arena,
                               &query->regions[i].ranges));
    query->n_regions = regions->n_items;
    TRY(json_get(json, "fields", &fields));
    if (fields->type != JSON_TYPE_NULL) {
        TRY(json_as_array(fields));
        struct slice *names = ARENA_ARRAY(arena, struct slice, fields->n_items);
        for (size_t i = 0; i < fields->n_items; i++)
            TRY(json_as_string(&fields->items[i], &names[i]));
        TRY(query_set_fields(query, names, fields->n_items, arena));
    }
    TRY(read_reader(json, query, arena));
    given = json_find(json, "given");
    if (!given) return 0;
    defer_buffer struct buffer text = BUFFER_INIT(EXPORT_PLAN_BYTES_MAX);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_value(&writer, given);
    TRY(json_writer_finish(&writer));
    plan->given = arena_copy(arena, buffer_slice(&text));
    return 0;
}

static int read_numbers(const struct json *root, struct export_plan *out)
{
    int64_t version, record;
    TRY(json_get_int(root, "glisExport", 1, INT32_MAX, &version));
    if (version > EXPORT_VERSION)
        return error_set(GLIS_ENEWER, "this export was begun by a newer Glis (form %lld)",
                         (long long)version);
    TRY(json_get_int(root, "record", 1, INT64_MAX, &record));
    TRY(json_get_int(root, "now", INT64_MIN, INT64_MAX, &out->now_ms));
    out->record = (uint64_t)record;
    return 0;
}

int export_plan_read(struct slice text, struct arena *arena, struct export_plan *out)
{
    const struct json *root;
    *out = (struct export_plan){0};
    TRY(json_parse(arena, text, JSON_RULES_INTERNAL, &root));
    TRY(json_as_object(root));
    TRY(read_numbers(root, out));
    TRY(json_get_string(root, "id", &out->id));
    TRY(json_optional_string(root, "job", &out->job));
    TRY(json_get_string(root, "table", &out->table_name));
    TRY(json_get_string(root, "tableId", &out->table_id));
    TRY(json_get_string(root, "request", &out->request));
    TRY(export_kind_parse(root, "format", &out->kind));
    return json_get(root, "query", &out->query_json);
}

int export_plan_resolve(struct export_plan *plan, const struct schema *schema, struct arena *arena)
{
    query_everything(schema, arena, &plan->query);
    if (plan->query_json->type != JSON_TYPE_NULL) TRY(read_query(plan->query_json, arena, plan));
    plan->whole = export_query_is_whole(&plan->query);
    return 0;
}
