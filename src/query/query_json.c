/*
 * query_json.c: queries as users write them: the JSON form, values from the command line, and
 * cursors.
 *
 * Bounds become field keys at once, [min, max): an exclusive minimum and an inclusive maximum are
 * the successor of their key, which is right because no field key is a prefix of another. What the
 * reference's JSON says about where an answer is sent (resultsPublisherConfig,
 * statusReportDestinations) is accepted and has no effect: an answer goes to whoever asked.
 * docs/formats.md, "Query JSON".
 */
#include "base/json.h"
#include "base/text.h"
#include "query/query_int.h"

enum { CURSOR_BYTES_MAX = 4 * KEY_BYTES_MAX };

/* ---- building ---- */

static struct query_region *add_region(struct query *query, struct arena *arena)
{
    if ((query->n_regions & (query->n_regions - 1)) == 0) {
        size_t capacity = query->n_regions ? query->n_regions * 2 : 1;
        struct query_region *grown = ARENA_ARRAY(arena, struct query_region, capacity);
        if (query->n_regions) memcpy(grown, query->regions, query->n_regions * sizeof *grown);
        query->regions = grown;
    }
    struct query_region *region = &query->regions[query->n_regions++];
    region->ranges = ARENA_ARRAY(arena, struct key_range, query->schema->n_row_keys);
    for (uint32_t i = 0; i < query->schema->n_row_keys; i++)
        region->ranges[i].unbounded = true;
    return region;
}

void query_everything(const struct schema *schema, struct arena *arena, struct query *out)
{
    *out = (struct query){.schema = schema};
    add_region(out, arena);
}

/* The field key of a value, in the arena. */
static int make_field_key(const struct type *type, const struct value *value, struct arena *arena,
                          struct slice *out)
{
    struct buffer key defer_buffer = BUFFER_INIT(4 * KEY_BYTES_MAX);
    int code = key_append_value(type, value, &key);
    if (code == GLIS_EDATA || code == GLIS_ELIMIT) {
        struct error_detail detail;
        error_save(&detail);
        return error_set(GLIS_EINVALID, "%s", detail.text);
    }
    TRY(code);
    *out = arena_copy(arena, buffer_slice(&key));
    return 0;
}

static void range_set_min(struct key_range *range, struct slice key, bool inclusive,
                          struct arena *arena)
{
    range->min = key;
    if (inclusive || key_successor(key, arena, &range->min)) return;
    range->max = range->min = key; /* above the greatest value there is nothing */
    range->unbounded = false;
}

static void range_set_max(struct key_range *range, struct slice key, bool inclusive,
                          struct arena *arena)
{
    range->max = key;
    range->unbounded = false;
    if (!inclusive || key_successor(key, arena, &range->max)) return;
    range->max = SLICE_EMPTY;
    range->unbounded = true;
}

/* ---- JSON ---- */

/* A field key from JSON; strings may be base64. */
static int read_bound(const struct json *json, const struct field *field, bool base64,
                      struct arena *arena, struct slice *out)
{
    struct value value = {.kind = field->type.kind};
    struct slice text;
    struct buffer decoded defer_buffer = BUFFER_INIT(QUERY_JSON_BYTES_MAX);
    bool boolean;
    switch (field->type.kind) {
    case TYPE_INT32: TRY(json_as_int(json, INT32_MIN, INT32_MAX, &value.integer)); break;
    case TYPE_INT64: TRY(json_as_int(json, INT64_MIN, INT64_MAX, &value.integer)); break;
    case TYPE_BOOLEAN:
        TRY(json_as_bool(json, &boolean));
        value.integer = boolean;
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        TRY(json_as_string(json, &text));
        value.bytes = text;
        if (field->type.kind == TYPE_STRING && !base64) break;
        if (text_base64_decode(&decoded, text) < 0)
            return json_fail(json, "base64 is wanted%s",
                             field->type.kind == TYPE_STRING
                                 ? "; plain text goes with \"stringsBase64Encoded\": false"
                                 : "");
        value.bytes = arena_copy(arena, buffer_slice(&decoded));
        if (field->type.kind == TYPE_STRING && !text_is_utf8(value.bytes, NULL))
            return json_fail(json, "base64 of UTF-8 text is wanted");
        break;
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        if (json->type != JSON_TYPE_STRING) {
            TRY(json_as_double(json, &value.real));
            if (field->type.kind == TYPE_FLOAT && (double)(float)value.real != value.real)
                return json_fail(json, "a number of type FloatType is wanted");
            break;
        }
        /* fall through */
    default:
        TRY(json_as_string(json, &text));
        if (value_from_text(&field->type, text, arena, &value) < 0) {
            struct error_detail detail;
            error_save(&detail);
            return json_fail(json, "%s", detail.text);
        }
    }
    int code = make_field_key(&field->type, &value, arena, out);
    if (code < 0) {
        struct error_detail detail;
        error_save(&detail);
        return json_fail(json, "%s", detail.text);
    }
    return 0;
}

static int read_range(const struct json *json, const struct field *field, bool base64,
                      struct arena *arena, struct key_range *range)
{
    static const char *const names[] = {"min", "minInclusive", "max", "maxInclusive"};
    bool min_inclusive = true, max_inclusive = false;
    TRY(json_as_object(json));
    TRY(json_check_names(json, names, 4));
    TRY(json_optional_bool(json, "minInclusive", &min_inclusive));
    TRY(json_optional_bool(json, "maxInclusive", &max_inclusive));
    const struct json *min, *max = json_find(json, "max");
    struct slice min_key, max_key;
    TRY(json_get(json, "min", &min));
    if (min->type == JSON_TYPE_NULL) return json_fail(min, "a value is wanted, this is null");
    TRY(read_bound(min, field, base64, arena, &min_key));
    bool has_max = max && max->type != JSON_TYPE_NULL;
    if (has_max) {
        TRY(read_bound(max, field, base64, arena, &max_key));
        if (slice_compare(min_key, max_key) > 0) return json_fail(json, "min is greater than max");
        range_set_max(range, max_key, max_inclusive, arena);
    }
    range_set_min(range, min_key, min_inclusive, arena);
    return 0;
}

static int read_region(const struct json *json, struct query *query, struct arena *arena)
{
    bool base64 = true;
    char hint[SCHEMA_HINT_BYTES];
    TRY(json_as_object(json));
    TRY(json_optional_bool(json, "stringsBase64Encoded", &base64));
    struct query_region *region = add_region(query, arena);
    for (size_t i = 0; i < json->n_items; i++) {
        const struct json *item = &json->items[i];
        if (slice_equal_text(item->name, "stringsBase64Encoded")) continue;
        int field = schema_find(query->schema, item->name);
        if (field < 0)
            return json_fail(item, "the table has no such field%s",
                             schema_hint(query->schema, item->name, hint));
        if ((uint32_t)field >= query->schema->n_row_keys)
            return json_fail(item, "not a row key: regions are of row keys only");
        TRY(read_range(item, &query->schema->fields[field], base64, arena, &region->ranges[field]));
    }
    return 0;
}

static int read_regions(const struct json *root, struct query *query, struct arena *arena)
{
    const struct json *regions;
    TRY(json_get_array(root, "regions", &regions));
    if (regions->n_items > QUERY_REGIONS_MAX)
        return json_fail(regions, "%zu regions, at most %d are possible", regions->n_items,
                         QUERY_REGIONS_MAX);
    for (size_t i = 0; i < regions->n_items; i++)
        TRY(read_region(&regions->items[i], query, arena));
    return 0;
}

static int read_fields(const struct json *root, struct query *query, struct arena *arena)
{
    const struct json *fields = NULL;
    char hint[SCHEMA_HINT_BYTES];
    TRY(json_optional_array(root, "requestedValueFields", &fields));
    if (!fields) return 0;
    struct slice *names = ARENA_ARRAY(arena, struct slice, fields->n_items);
    for (size_t i = 0; i < fields->n_items; i++) {
        TRY(json_as_string(&fields->items[i], &names[i]));
        if (schema_find(query->schema, names[i]) < 0)
            return json_fail(&fields->items[i], "the table has no field '%.*s'%s",
                             SLICE_PRINT(names[i]), schema_hint(query->schema, names[i], hint));
    }
    return query_set_fields(query, names, fields->n_items, arena);
}

/* Milliseconds as a number, or with a unit as text ("90s"). */
static int read_duration(const struct json *root, const char *name, int64_t *out_ms)
{
    const struct json *json = json_find(root, name);
    if (!json || json->type == JSON_TYPE_NULL) return 0;
    if (json->type != JSON_TYPE_STRING) return json_as_int(json, 0, INT64_C(1) << 50, out_ms);
    if (text_parse_duration(json->text, 1, out_ms) < 0 || *out_ms < 0)
        return json_fail(json, "a duration is wanted: 90s, 15m, or a number of milliseconds");
    return 0;
}

static int read_cursor(const struct json *json, struct arena *arena, struct query_cursor *out)
{
    static const char *const names[] = {"record", "key", "given", "now"};
    struct slice key;
    int64_t record, given;
    struct buffer decoded defer_buffer = BUFFER_INIT(CURSOR_BYTES_MAX);
    TRY(json_as_object(json));
    TRY(json_check_names(json, names, 4));
    TRY(json_get_int(json, "record", 1, INT64_MAX, &record));
    TRY(json_get_string(json, "key", &key));
    TRY(json_get_int(json, "given", 0, INT64_MAX, &given));
    TRY(json_get_int(json, "now", INT64_MIN, INT64_MAX, &out->now_ms));
    if (base64url_decode(&decoded, key) < 0)
        return json_fail(json_find(json, "key"), "base64url is wanted");
    out->record = (uint64_t)record;
    out->given = (uint64_t)given;
    out->key = arena_copy(arena, buffer_slice(&decoded));
    return 0;
}

static int read_after(const struct json *root, struct query *query, struct arena *arena)
{
    const struct json *json = json_find(root, "after");
    if (!json || json->type == JSON_TYPE_NULL) return 0;
    query->has_after = true;
    if (json->type != JSON_TYPE_STRING) return read_cursor(json, arena, &query->after);
    if (query_cursor_from_text(json->text, arena, &query->after) == 0) return 0;
    struct error_detail detail;
    error_save(&detail);
    return json_fail(json, "%s", detail.text);
}

static int read_limit(const struct json *root, struct query *query)
{
    int64_t limit = -1, record = 0;
    TRY(json_optional_int(root, "limit", 0, INT64_MAX, &limit));
    TRY(json_optional_int(root, "atRecord", 1, INT64_MAX, &record));
    query->has_limit = limit >= 0;
    query->limit = limit >= 0 ? (uint64_t)limit : 0;
    query->at_record = (uint64_t)record;
    return 0;
}

static int check_authorisation(struct slice term)
{
    if (term.size && text_is_utf8(term, NULL)) return 0;
    return error_set(GLIS_EINVALID,
                     term.size ? "an authorisation is no UTF-8" : "an authorisation is empty");
}

static int read_authorisations(const struct json *root, struct query *query, struct arena *arena)
{
    const struct json *terms = NULL;
    TRY(json_optional_array(root, "authorisations", &terms));
    if (!terms) return 0;
    struct slice *out = ARENA_ARRAY(arena, struct slice, terms->n_items + 1);
    for (size_t i = 0; i < terms->n_items; i++) {
        TRY(json_as_string(&terms->items[i], &out[i]));
        if (check_authorisation(out[i]) < 0)
            return json_fail(&terms->items[i], "an authorisation is a text that is not empty");
    }
    query->authorisations = out;
    query->n_authorisations = terms->n_items;
    return 0;
}

int query_set_authorisations(struct query *query, struct slice text, struct arena *arena)
{
    size_t n = 1;
    for (size_t i = 0; i < text.size; i++)
        n += text.data[i] == ',';
    struct slice *terms = ARENA_ARRAY(arena, struct slice, n);
    for (size_t i = 0; i < n; i++) {
        const char *comma = text.size ? memchr(text.data, ',', text.size) : NULL;
        struct slice term = slice_part(text, 0, comma ? (size_t)(comma - text.data) : text.size);
        text = slice_part(text, term.size + 1, text.size);
        while (term.size && term.data[0] == ' ')
            term = slice_part(term, 1, term.size);
        while (term.size && term.data[term.size - 1] == ' ')
            term.size--;
        TRY(check_authorisation(term));
        terms[i] = term;
    }
    query->authorisations = terms;
    query->n_authorisations = n;
    return 0;
}

int query_from_json(struct slice json, const struct schema *schema, struct arena *arena,
                    struct query *out)
{
    static const char *const names[] = {"queryId",
                                        "tableName",
                                        "type",
                                        "regions",
                                        "requestedValueFields",
                                        "limit",
                                        "reverse",
                                        "countOnly",
                                        "ordered",
                                        "maxStaleness",
                                        "timeout",
                                        "atRecord",
                                        "after",
                                        "authorisations",
                                        "queryTimeIteratorClassName",
                                        "queryTimeIteratorConfig",
                                        "resultsPublisherConfig",
                                        "statusReportDestinations"};
    struct json_rules rules = JSON_RULES_USER;
    rules.max_bytes = QUERY_JSON_BYTES_MAX;
    const struct json *root;
    *out = (struct query){.schema = schema};
    TRY(json_parse(arena, json, rules, &root));
    TRY(json_as_object(root));
    TRY(json_check_names(root, names, sizeof names / sizeof *names));
    struct slice type = SLICE("Query");
    TRY(json_optional_string(root, "queryId", &out->query_id));
    TRY(json_optional_string(root, "tableName", &out->table_name));
    TRY(json_optional_string(root, "type", &type));
    if (!slice_equal_text(type, "Query"))
        return json_fail(json_find(root, "type"), "only \"Query\" is possible");
    TRY(json_optional_string(root, "queryTimeIteratorClassName", &out->iterator));
    TRY(json_optional_string(root, "queryTimeIteratorConfig", &out->iterator_config));
    if (out->iterator.size) TRY(iterator_name_check("queryTimeIteratorClassName", out->iterator));
    TRY(read_authorisations(root, out, arena));
    TRY(read_regions(root, out, arena));
    TRY(read_fields(root, out, arena));
    TRY(read_limit(root, out));
    TRY(json_optional_bool(root, "reverse", &out->reverse));
    TRY(json_optional_bool(root, "countOnly", &out->count_only));
    TRY(json_optional_bool(root, "ordered", &out->ordered));
    TRY(read_duration(root, "maxStaleness", &out->max_staleness_ms));
    TRY(read_duration(root, "timeout", &out->timeout_ms));
    return read_after(root, out, arena);
}

/* ---- the command line ---- */

static int text_field_key(const struct query *query, uint32_t field, struct slice text,
                          struct arena *arena, struct slice *out)
{
    struct value value;
    const struct field *f = &query->schema->fields[field];
    int code = value_from_text(&f->type, text, arena, &value);
    if (code == 0) code = make_field_key(&f->type, &value, arena, out);
    if (code == 0) return 0;
    struct error_detail detail;
    error_save(&detail);
    return error_set(GLIS_EINVALID, "field '%s': %s", f->name.data, detail.text);
}

static int check_count(const struct query *query, uint32_t n, bool none)
{
    if (n > query->schema->n_row_keys)
        return error_set(GLIS_EINVALID, "%u values, the table has %u row key%s", n,
                         query->schema->n_row_keys, query->schema->n_row_keys == 1 ? "" : "s");
    if (n == 0 && !none) return error_set(GLIS_EINVALID, "a key without values");
    return 0;
}

int query_add_key(struct query *query, const struct slice *key, uint32_t n, struct arena *arena)
{
    TRY(check_count(query, n, false));
    struct slice *keys = ARENA_ARRAY(arena, struct slice, n);
    for (uint32_t i = 0; i < n; i++)
        TRY(text_field_key(query, i, key[i], arena, &keys[i]));
    struct query_region *region = add_region(query, arena);
    for (uint32_t i = 0; i < n; i++) {
        range_set_min(&region->ranges[i], keys[i], true, arena);
        range_set_max(&region->ranges[i], keys[i], true, arena);
    }
    return 0;
}

static int text_field_keys(const struct query *query, const struct slice *texts, uint32_t n,
                           struct arena *arena, struct slice **out)
{
    TRY(check_count(query, n, true));
    *out = ARENA_ARRAY(arena, struct slice, n);
    for (uint32_t i = 0; i < n; i++)
        TRY(text_field_key(query, i, texts[i], arena, &(*out)[i]));
    return 0;
}

/* A region of the rows whose first n fields are these; the range of the field behind them. */
static struct key_range *add_below(struct query *query, const struct slice *keys, uint32_t n,
                                   struct arena *arena)
{
    struct query_region *region = add_region(query, arena);
    for (uint32_t i = 0; i < n; i++) {
        range_set_min(&region->ranges[i], keys[i], true, arena);
        range_set_max(&region->ranges[i], keys[i], true, arena);
    }
    return &region->ranges[n];
}

/*
 * A range of keys of several fields is a union of regions. Where the two ends first differ, in
 * field p, lies the middle: above from[p] and below to[p]. Before it come the rows that agree with
 * `from` beyond p and are above it in a later field, behind it those that agree with `to`.
 */
int query_add_range(struct query *query, const struct slice *from, uint32_t n_from,
                    const struct slice *to, uint32_t n_to, struct arena *arena)
{
    struct slice *min, *max;
    TRY(text_field_keys(query, from, n_from, arena, &min));
    TRY(text_field_keys(query, to, n_to, arena, &max));
    uint32_t p = 0;
    while (p < n_from && p < n_to && slice_equal(min[p], max[p]))
        p++;
    if (p < n_from && p < n_to && slice_compare(min[p], max[p]) > 0)
        return error_set(GLIS_EINVALID, "field '%s': from is greater than to",
                         query->schema->fields[p].name.data);
    if (n_to > 0 && p == n_to) { /* nothing lies below the key and at or above it */
        range_set_max(add_below(query, max, n_to - 1, arena), max[n_to - 1], false, arena);
        range_set_min(&query->regions[query->n_regions - 1].ranges[n_to - 1], max[n_to - 1], true,
                      arena);
        return 0;
    }
    for (uint32_t k = n_from; k-- > p + 1;)
        range_set_min(add_below(query, min, k, arena), min[k], k + 1 == n_from, arena);
    if (p < query->schema->n_row_keys) {
        struct key_range *middle = add_below(query, p < n_from ? min : max, p, arena);
        if (p < n_from) range_set_min(middle, min[p], p + 1 == n_from, arena);
        if (p < n_to) range_set_max(middle, max[p], false, arena);
    }
    for (uint32_t k = p + 1; k < n_to; k++)
        range_set_max(add_below(query, max, k, arena), max[k], false, arena);
    return 0;
}

int query_set_fields(struct query *query, const struct slice *names, size_t n_names,
                     struct arena *arena)
{
    const struct schema *schema = query->schema;
    bool *wanted = ARENA_ARRAY(arena, bool, schema->n_fields);
    for (size_t i = 0; i < n_names; i++) {
        int field = schema_find(schema, names[i]);
        char hint[SCHEMA_HINT_BYTES];
        if (field < 0)
            return error_set(GLIS_EINVALID, "the table has no field '%.*s'%s",
                             SLICE_PRINT(names[i]), schema_hint(schema, names[i], hint));
        wanted[field] = true;
    }
    query->fields = ARENA_ARRAY(arena, uint32_t, schema->n_fields);
    query->n_fields = 0;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        if (wanted[i] || i < schema_key_count(schema)) query->fields[query->n_fields++] = i;
    return 0;
}

/* ---- cursors ---- */

int base64url_encode(struct buffer *out, struct slice bytes)
{
    size_t begin = out->size;
    TRY(text_base64_encode(out, bytes));
    while (out->size > begin && out->data[out->size - 1] == '=')
        out->size--;
    for (size_t i = begin; i < out->size; i++)
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
    return 0;
}

int base64url_decode(struct buffer *out, struct slice text)
{
    struct buffer plain defer_buffer = BUFFER_INIT(CURSOR_BYTES_MAX * 2);
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '+' || c == '/' || c == '=') return error_set(GLIS_EINVALID, "not base64url");
        TRY(buffer_append_byte(&plain, (uint8_t)(c == '-' ? '+' : c == '_' ? '/' : c)));
    }
    while (plain.size % 4)
        TRY(buffer_append_byte(&plain, '='));
    return text_base64_decode(out, buffer_slice(&plain));
}

int query_cursor_from_text(struct slice text, struct arena *arena, struct query_cursor *out)
{
    struct buffer decoded defer_buffer = BUFFER_INIT(CURSOR_BYTES_MAX);
    const struct json *json;
    struct slice plain = text;
    if (text.size == 0 || text.data[0] != '{') {
        if (base64url_decode(&decoded, text) < 0)
            return error_set(GLIS_EINVALID, "not a cursor: base64url is wanted");
        plain = buffer_slice(&decoded);
    }
    int code = json_parse(arena, plain, JSON_RULES_USER, &json);
    if (code < 0 && code != GLIS_ENOMEM && text.size && text.data[0] != '{')
        return error_set(GLIS_EINVALID,
                         "'%.*s' is no cursor: an answer that ended at its limit "
                         "gives one",
                         text.size > 60 ? 60 : (int)text.size, text.data);
    TRY_CONTEXT(code, "cursor");
    TRY_CONTEXT(read_cursor(json, arena, out), "cursor");
    return 0;
}

int query_cursor_to_text(const struct query_cursor *cursor, struct buffer *out)
{
    struct buffer json defer_buffer = BUFFER_INIT(CURSOR_BYTES_MAX);
    struct buffer key defer_buffer = BUFFER_INIT(CURSOR_BYTES_MAX);
    struct json_writer writer;
    TRY(base64url_encode(&key, cursor->key));
    json_writer_init(&writer, &json, 0);
    json_write_object_begin(&writer);
    json_write_field_uint(&writer, "record", cursor->record);
    json_write_field_string(&writer, "key", buffer_slice(&key));
    json_write_field_uint(&writer, "given", cursor->given);
    json_write_field_int(&writer, "now", cursor->now_ms);
    json_write_object_end(&writer);
    TRY(json_writer_finish(&writer));
    return base64url_encode(out, buffer_slice(&json));
}
