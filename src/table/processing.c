/*
 * processing.c: what a table says is done to its rows on their way: filters, aggregations,
 * visibility and the table iterator, read from its properties and held against its schema.
 *
 * All rules here serve one law: what a reader sees never depends on which files happened to be
 * merged. What cannot keep it is refused, unless glis.table.inexact says that the table's owner
 * knows. These functions are pure: a state's apply calls them, so every reader of a log refuses the
 * same changes. The work itself is done by src/process.
 *
 *   filters       filter { "," filter }
 *   filter        "ageOff" "(" field "," ms [ "," "nulls=keep" | "," "nulls=drop" ] ")"
 *   aggregations  aggregation { "," aggregation }
 *   aggregation   op "(" field ")"
 *   field         anything without , ( ) " and blanks at its ends, or in quotes, "" for a quote
 *
 * Words are taken in any case, names of fields exactly. docs/formats.md describes both.
 */
#include "base/text.h"
#include "table/table.h"

enum { ARGUMENTS_MAX = 3, CALLS_MAX = 2 * SCHEMA_FIELDS_MAX };

static const char *const aggregation_names[] = {
    [AGGREGATION_NONE] = "",           [AGGREGATION_SUM] = "sum",
    [AGGREGATION_MIN] = "min",         [AGGREGATION_MAX] = "max",
    [AGGREGATION_MAP_SUM] = "map_sum", [AGGREGATION_MAP_MIN] = "map_min",
    [AGGREGATION_MAP_MAX] = "map_max",
};

const char *aggregation_name(enum aggregation aggregation)
{
    return aggregation_names[aggregation];
}

/* ---- calls ---- */

/* name(argument, ...) */
struct call {
    struct slice name;
    struct slice arguments[ARGUMENTS_MAX];
    unsigned n_arguments;
};

struct scanner {
    const char *property;
    struct slice text;
    size_t at;
    struct arena *arena; /* for names in quotes */
};

static int peek(const struct scanner *scanner)
{
    return scanner->at < scanner->text.size ? (unsigned char)scanner->text.data[scanner->at] : -1;
}

static void skip_blanks(struct scanner *scanner)
{
    while (peek(scanner) == ' ' || peek(scanner) == '\t')
        scanner->at++;
}

static int unexpected(const struct scanner *scanner, const char *wanted)
{
    struct slice rest = slice_part(scanner->text, scanner->at, 40);
    if (rest.size == 0)
        return error_set(GLIS_EINVALID, "%s: %s is missing at the end", scanner->property, wanted);
    return error_set(GLIS_EINVALID, "%s: %s is wanted at '%.*s'", scanner->property, wanted,
                     SLICE_PRINT(rest));
}

static int take(struct scanner *scanner, char c, const char *wanted)
{
    skip_blanks(scanner);
    if (peek(scanner) != (unsigned char)c) return unexpected(scanner, wanted);
    scanner->at++;
    skip_blanks(scanner);
    return 0;
}

static bool is_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static int scan_quoted(struct scanner *scanner, struct slice *out)
{
    char *to = arena_alloc(scanner->arena, scanner->text.size);
    size_t n = 0;
    for (scanner->at++; peek(scanner) >= 0; scanner->at++) {
        int c = peek(scanner);
        if (c == '"') {
            scanner->at++;
            if (peek(scanner) != '"') {
                *out = slice_make(to, n);
                return 0;
            }
        }
        to[n++] = (char)c;
    }
    return unexpected(scanner, "'\"'");
}

static int scan_argument(struct scanner *scanner, struct slice *out)
{
    skip_blanks(scanner);
    if (peek(scanner) == '"') return scan_quoted(scanner, out);
    size_t begin = scanner->at, end = begin;
    for (int c; (c = peek(scanner)) >= 0 && c != ',' && c != '(' && c != ')' && c != '"';) {
        scanner->at++;
        if (c != ' ' && c != '\t') end = scanner->at;
    }
    *out = slice_part(scanner->text, begin, end - begin);
    return out->size ? 0 : unexpected(scanner, "a field's name or a value");
}

static int scan_call(struct scanner *scanner, struct call *out)
{
    *out = (struct call){0};
    skip_blanks(scanner);
    size_t begin = scanner->at;
    while (is_word(peek(scanner)))
        scanner->at++;
    out->name = slice_part(scanner->text, begin, scanner->at - begin);
    if (!out->name.size) return unexpected(scanner, "a name");
    TRY(take(scanner, '(', "'('"));
    for (;;) {
        if (out->n_arguments == ARGUMENTS_MAX)
            return error_set(GLIS_EINVALID, "%s: too much in the brackets of %.*s",
                             scanner->property, SLICE_PRINT(slice_part(out->name, 0, 40)));
        TRY(scan_argument(scanner, &out->arguments[out->n_arguments++]));
        skip_blanks(scanner);
        if (peek(scanner) != ',') break;
        scanner->at++;
    }
    return take(scanner, ')', "')'");
}

/* Whether another call follows the one just scanned. */
static int scan_more(struct scanner *scanner, bool *more)
{
    *more = scanner->at < scanner->text.size;
    return *more ? take(scanner, ',', "','") : 0;
}

static bool same_word(struct slice a, const char *b)
{
    if (a.size != strlen(b)) return false;
    for (size_t i = 0; i < a.size; i++) {
        char c = a.data[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c + 32);
        if (c != b[i]) return false;
    }
    return true;
}

static int find_field(const struct schema *schema, const char *property, struct slice name,
                      uint32_t *out)
{
    char hint[SCHEMA_HINT_BYTES];
    int field = schema_find(schema, name);
    if (field < 0)
        return error_set(GLIS_EINVALID, "%s: the table has no field '%.*s'%s", property,
                         SLICE_PRINT(slice_part(name, 0, 100)), schema_hint(schema, name, hint));
    *out = (uint32_t)field;
    return 0;
}

static const char *type_of(const struct schema *schema, uint32_t field, struct arena *arena)
{
    return type_name(&schema->fields[field].type, arena);
}

/* ---- filters ---- */

static int parse_nulls(const struct field *field, const struct call *call, struct age_filter *out)
{
    if (call->n_arguments < 3) {
        if (!field->nullable) return 0;
        return error_set(GLIS_EINVALID,
                         "glis.table.filters: '%.*s' may be null: say ageOff(%.*s,%lld,nulls=keep) "
                         "or nulls=drop",
                         SLICE_PRINT(field->name), SLICE_PRINT(field->name),
                         (long long)out->age_ms);
    }
    if (!field->nullable)
        return error_set(
            GLIS_EINVALID, "glis.table.filters: '%.*s' is never null: leave out '%.*s'",
            SLICE_PRINT(field->name), SLICE_PRINT(slice_part(call->arguments[2], 0, 40)));
    out->drop_nulls = same_word(call->arguments[2], "nulls=drop");
    if (!out->drop_nulls && !same_word(call->arguments[2], "nulls=keep"))
        return error_set(GLIS_EINVALID,
                         "glis.table.filters: '%.*s': nulls=keep or nulls=drop is wanted, not "
                         "'%.*s'",
                         SLICE_PRINT(field->name),
                         SLICE_PRINT(slice_part(call->arguments[2], 0, 40)));
    return 0;
}

static int parse_filter(const struct schema *schema, const struct call *call, struct arena *arena,
                        struct age_filter *out)
{
    static const char property[] = "glis.table.filters";
    if (!same_word(call->name, "ageoff"))
        return error_set(GLIS_EINVALID,
                         "%s: there is no filter '%.*s'; ageOff(field,ms) is the one "
                         "that is known",
                         property, SLICE_PRINT(slice_part(call->name, 0, 40)));
    if (call->n_arguments < 2)
        return error_set(GLIS_EINVALID, "%s: ageOff takes a field and an age in milliseconds",
                         property);
    TRY(find_field(schema, property, call->arguments[0], &out->field));
    const struct field *field = &schema->fields[out->field];
    enum type_kind kind = field->type.kind;
    if (kind != TYPE_INT64 && kind != TYPE_TIMESTAMP && kind != TYPE_DATE)
        return error_set(GLIS_EINVALID,
                         "%s: '%.*s' is of type %s; ages are of LongType (milliseconds since "
                         "1970), TimestampType or DateType",
                         property, SLICE_PRINT(field->name), type_of(schema, out->field, arena));
    TRY_CONTEXT(text_parse_int_between(call->arguments[1], 0, INT64_MAX, &out->age_ms),
                "%s: age of '%.*s' in milliseconds", property, SLICE_PRINT(field->name));
    return parse_nulls(field, call, out);
}

/* A second filter on a field: the two as one. */
static void join_filter(struct processing *processing, const struct age_filter *filter)
{
    uint32_t i = 0;
    while (i < processing->n_filters && processing->filters[i].field < filter->field)
        i++;
    struct age_filter *at = &processing->filters[i];
    if (i < processing->n_filters && at->field == filter->field) {
        if (filter->age_ms < at->age_ms) at->age_ms = filter->age_ms;
        at->drop_nulls = at->drop_nulls || filter->drop_nulls;
        return;
    }
    memmove(at + 1, at, (processing->n_filters - i) * sizeof *at);
    *at = *filter;
    processing->n_filters++;
}

static int parse_filters(const struct schema *schema, struct slice text, struct arena *arena,
                         struct processing *out)
{
    struct scanner scanner = {"glis.table.filters", text, 0, arena};
    skip_blanks(&scanner);
    if (scanner.at == text.size) return 0;
    out->filters = ARENA_ARRAY(arena, struct age_filter, schema->n_fields + 1);
    bool more = true;
    for (unsigned n = 0; more; n++) {
        struct call call;
        struct age_filter filter = {0};
        if (n == CALLS_MAX) return error_set(GLIS_ELIMIT, "%s: too many", scanner.property);
        TRY(scan_call(&scanner, &call));
        TRY(parse_filter(schema, &call, arena, &filter));
        join_filter(out, &filter);
        TRY(scan_more(&scanner, &more));
    }
    return 0;
}

/* ---- aggregations ---- */

static bool is_number(const struct type *type)
{
    return type->kind == TYPE_INT32 || type->kind == TYPE_INT64 || type->kind == TYPE_FLOAT ||
           type->kind == TYPE_DOUBLE || type->kind == TYPE_DECIMAL;
}

static bool is_nested(const struct type *type)
{
    return type->n_children > 0;
}

/* What an aggregation works on: the field's type, or that of a map's values. */
static const struct type *aggregated_type(const struct type *type)
{
    return type->kind == TYPE_MAP ? &type->children[0].type.children[1].type : type;
}

static int check_aggregation(const struct schema *schema, enum aggregation aggregation,
                             uint32_t index, struct arena *arena)
{
    const struct field *field = &schema->fields[index];
    const struct type *type = &field->type;
    const char *name = aggregation_names[aggregation], *wants = NULL;
    bool of_maps = aggregation >= AGGREGATION_MAP_SUM;
    bool sums = aggregation == AGGREGATION_SUM || aggregation == AGGREGATION_MAP_SUM;
    if (type->kind == TYPE_LIST || type->kind == TYPE_STRUCT)
        return error_set(GLIS_EINVALID,
                         "glis.table.aggregations: '%.*s': lists and structs cannot be aggregated, "
                         "so a table that has some has no aggregations",
                         SLICE_PRINT(field->name));
    if (of_maps && type->kind != TYPE_MAP)
        wants = "a map";
    else if (!of_maps && type->kind == TYPE_MAP)
        wants = "no map (there are map_sum, map_min and map_max)";
    else if (is_nested(aggregated_type(type)))
        wants = "a map of plain values";
    else if (sums && !is_number(aggregated_type(type)))
        wants = of_maps ? "a map of numbers" : "a number";
    if (!wants) return 0;
    return error_set(GLIS_EINVALID, "glis.table.aggregations: %s(%.*s) wants %s, this is %s", name,
                     SLICE_PRINT(field->name), wants, type_of(schema, index, arena));
}

static int parse_aggregation(const struct schema *schema, const struct call *call,
                             struct arena *arena, uint8_t *aggregations)
{
    static const char property[] = "glis.table.aggregations";
    enum aggregation aggregation = AGGREGATION_NONE;
    for (int i = AGGREGATION_SUM; i <= AGGREGATION_MAP_MAX; i++)
        if (same_word(call->name, aggregation_names[i])) aggregation = (enum aggregation)i;
    if (aggregation == AGGREGATION_NONE)
        return error_set(GLIS_EINVALID,
                         "%s: there is no aggregation '%.*s'; there are sum, min, max, map_sum, "
                         "map_min and map_max",
                         property, SLICE_PRINT(slice_part(call->name, 0, 40)));
    if (call->n_arguments != 1)
        return error_set(GLIS_EINVALID, "%s: %s takes one field", property,
                         aggregation_names[aggregation]);
    uint32_t field;
    TRY(find_field(schema, property, call->arguments[0], &field));
    if (field < schema_key_count(schema))
        return error_set(GLIS_EINVALID, "%s: '%.*s' is a key field; only values are aggregated",
                         property, SLICE_PRINT(schema->fields[field].name));
    if (aggregations[field])
        return error_set(GLIS_EINVALID, "%s: '%.*s' has more than one", property,
                         SLICE_PRINT(schema->fields[field].name));
    TRY(check_aggregation(schema, aggregation, field, arena));
    aggregations[field] = (uint8_t)aggregation;
    return 0;
}

static int parse_aggregations(const struct schema *schema, struct slice text, struct arena *arena,
                              struct processing *out)
{
    struct scanner scanner = {"glis.table.aggregations", text, 0, arena};
    skip_blanks(&scanner);
    if (scanner.at == text.size) return 0;
    uint8_t *aggregations = ARENA_ARRAY(arena, uint8_t, schema->n_fields);
    bool more = true;
    while (more) {
        struct call call;
        TRY(scan_call(&scanner, &call));
        TRY(parse_aggregation(schema, &call, arena, aggregations));
        TRY(scan_more(&scanner, &more));
    }
    for (uint32_t i = schema_key_count(schema); i < schema->n_fields; i++)
        if (!aggregations[i])
            return error_set(GLIS_EINVALID,
                             "%s: '%.*s' has none; each value field needs exactly one",
                             scanner.property, SLICE_PRINT(schema->fields[i].name));
    out->aggregations = aggregations;
    return 0;
}

/* ---- visibility and iterator ---- */

static int parse_visibility(const struct schema *schema, struct slice text, struct arena *arena,
                            struct processing *out)
{
    static const char property[] = "glis.table.visibility.field";
    uint32_t field;
    if (!text.size) return 0;
    TRY(find_field(schema, property, text, &field));
    if (schema->fields[field].type.kind != TYPE_STRING)
        return error_set(GLIS_EINVALID, "%s: '%.*s' is of type %s; labels are strings", property,
                         SLICE_PRINT(schema->fields[field].name), type_of(schema, field, arena));
    out->visibility_field = (int)field;
    return 0;
}

int iterator_name_check(const char *what, struct slice name)
{
    bool good = name.size > 0 && name.size <= 255 && name.data[0] != '.' && name.data[0] != '-';
    for (size_t i = 0; i < name.size && good; i++)
        good = is_word((unsigned char)name.data[i]) || name.data[i] == '.' || name.data[i] == '-' ||
               name.data[i] == '+';
    if (good) return 0;
    return error_set(GLIS_EINVALID,
                     "%s: '%.*s' is no name of an iterator: one file in glis.iterator.folder, of "
                     "letters, digits and _ . - +",
                     what, SLICE_PRINT(slice_part(name, 0, 80)));
}

/* ---- the law ---- */

static bool is_real(const struct type *type)
{
    return type->kind == TYPE_FLOAT || type->kind == TYPE_DOUBLE;
}

static bool is_real_sum(const struct schema *schema, const struct processing *processing,
                        uint32_t field)
{
    enum aggregation a = (enum aggregation)processing->aggregations[field];
    return (a == AGGREGATION_SUM || a == AGGREGATION_MAP_SUM) &&
           is_real(aggregated_type(&schema->fields[field].type));
}

/* What glis.table.inexact must be set for: the first such field by the order of the schema; false
 * when there is none behind `from`. */
static bool find_inexact(const struct schema *schema, const struct processing *processing,
                         uint32_t from, uint32_t *field, const char **why)
{
    if (!processing->aggregations) return false;
    for (uint32_t i = from; i < schema->n_fields; i++) {
        *field = i;
        *why = "the sum of reals depends on the order in which rows are merged";
        if (is_real_sum(schema, processing, i)) return true;
        *why = "rows of one key may grow too old before or after they are aggregated, so the "
               "result depends on when files are merged; an ageOff on a key field does not";
        for (uint32_t k = 0; k < processing->n_filters && i >= schema_key_count(schema); k++)
            if (processing->filters[k].field == i) return true;
    }
    return false;
}

static int check_law(const struct schema *schema, struct processing *processing)
{
    uint32_t field;
    const char *why;
    if (!processing->aggregations) return 0;
    if (processing->visibility_field >= (int)schema_key_count(schema))
        return error_set(GLIS_EREFUSED,
                         "glis.table.visibility.field: '%.*s' is a value; in a table with "
                         "aggregations labels are key fields, for rows of several labels would "
                         "become one",
                         SLICE_PRINT(schema->fields[processing->visibility_field].name));
    processing->is_inexact = find_inexact(schema, processing, 0, &field, &why);
    if (!processing->is_inexact || processing->inexact) return 0;
    return error_set(GLIS_EREFUSED, "%s: '%.*s': %s; glis.table.inexact=true allows it",
                     is_real_sum(schema, processing, field) ? "glis.table.aggregations"
                                                            : "glis.table.filters",
                     SLICE_PRINT(schema->fields[field].name), why);
}

int processing_warn(const struct schema *schema, const struct processing *processing,
                    struct buffer *out)
{
    uint32_t field;
    const char *why;
    for (uint32_t i = 0; find_inexact(schema, processing, i, &field, &why); i = field + 1)
        TRY(buffer_printf(out, "'%.*s' is inexact: %s\n", SLICE_PRINT(schema->fields[field].name),
                          why));
    return 0;
}

int processing_parse(const struct schema *schema, const struct processing_settings *settings,
                     struct arena *arena, struct processing *out)
{
    *out = (struct processing){.visibility_field = -1, .inexact = settings->inexact};
    TRY(parse_filters(schema, settings->filters, arena, out));
    TRY(parse_aggregations(schema, settings->aggregations, arena, out));
    TRY(parse_visibility(schema, settings->visibility_field, arena, out));
    if (settings->iterator.size) {
        TRY(iterator_name_check("glis.table.iterator", settings->iterator));
        out->iterator = arena_copy(arena, settings->iterator);
        out->iterator_config = arena_copy(arena, settings->iterator_config);
    }
    return check_law(schema, out);
}

bool processing_is_empty(const struct processing *processing)
{
    return processing->n_filters == 0 && !processing->aggregations &&
           processing->visibility_field < 0 && processing->iterator.size == 0;
}

/* ---- changes ---- */

static const struct age_filter *filter_on(const struct schema *schema,
                                          const struct processing *processing, struct slice field)
{
    for (uint32_t i = 0; i < processing->n_filters; i++)
        if (slice_equal(schema->fields[processing->filters[i].field].name, field))
            return &processing->filters[i];
    return NULL;
}

/* A null that was dropped in one file and not in another must not come back. */
static int check_filters(const struct processing_of *old, const struct processing_of *now,
                         bool has_references, bool *changes)
{
    *changes = old->processing->n_filters != now->processing->n_filters;
    for (uint32_t i = 0; i < old->processing->n_filters; i++) {
        const struct age_filter *was = &old->processing->filters[i];
        struct slice name = old->schema->fields[was->field].name;
        const struct age_filter *is = filter_on(now->schema, now->processing, name);
        if (!is || is->drop_nulls != was->drop_nulls) *changes = true;
        if (!has_references || !was->drop_nulls || (is && is->drop_nulls)) continue;
        return error_set(GLIS_EREFUSED,
                         "glis.table.filters: '%.*s': nulls=drop stays while the table has rows; "
                         "nulls that some files have lost would come back from others",
                         SLICE_PRINT(name));
    }
    return 0;
}

static int check_aggregations(const struct processing_of *old, const struct processing_of *now,
                              bool has_references, bool *changes)
{
    static const char property[] = "glis.table.aggregations";
    const uint8_t *was = old->processing->aggregations, *is = now->processing->aggregations;
    *changes = !was != !is;
    if (*changes && has_references)
        return error_set(GLIS_EREFUSED, "%s: fixed while the table has rows", property);
    for (uint32_t i = 0; was && is && i < now->schema->n_fields; i++) {
        const struct field *field = &now->schema->fields[i];
        int before = schema_find(old->schema, field->name);
        if (before < 0) {
            *changes = true; /* an added column brings its own */
            continue;
        }
        if (was[before] != is[i]) *changes = true;
        if (!has_references) continue;
        if (was[before] != is[i])
            return error_set(GLIS_EREFUSED, "%s: '%.*s' has %s, fixed while the table has rows",
                             property, SLICE_PRINT(field->name), aggregation_names[was[before]]);
        if ((is[i] == AGGREGATION_SUM || is[i] == AGGREGATION_MAP_SUM) &&
            !type_equal(&field->type, &old->schema->fields[before].type))
            return error_set(GLIS_EREFUSED,
                             "'%.*s' has %s and is not widened while the table has rows: sums that "
                             "wrapped in some files would not in others",
                             SLICE_PRINT(field->name), aggregation_names[is[i]]);
    }
    return 0;
}

static struct slice visibility_name(const struct processing_of *of)
{
    int field = of->processing->visibility_field;
    return field < 0 ? SLICE_EMPTY : of->schema->fields[field].name;
}

int processing_check_change(const struct processing_of *old, const struct processing_of *now,
                            bool has_references, bool *version_goes_up)
{
    bool filters, aggregations;
    TRY(check_filters(old, now, has_references, &filters));
    TRY(check_aggregations(old, now, has_references, &aggregations));
    *version_goes_up =
        filters || aggregations || !slice_equal(visibility_name(old), visibility_name(now)) ||
        !slice_equal(old->processing->iterator, now->processing->iterator) ||
        !slice_equal(old->processing->iterator_config, now->processing->iterator_config);
    return 0;
}

/* ---- ages ---- */

int64_t age_cutoff_ms(int64_t age_ms, int64_t now_ms)
{
    int128 cutoff = (int128)now_ms - age_ms;
    return cutoff < INT64_MIN ? INT64_MIN : (int64_t)cutoff; /* age_ms >= 0 */
}

/* ---- states ---- */

int table_state_processing(const struct table_state *state, struct arena *arena,
                           struct processing *out)
{
    struct processing_settings settings = {
        .filters = table_state_text(state, PROPERTY_TABLE_FILTERS),
        .aggregations = table_state_text(state, PROPERTY_TABLE_AGGREGATIONS),
        .visibility_field = table_state_text(state, PROPERTY_TABLE_VISIBILITY_FIELD),
        .iterator = table_state_text(state, PROPERTY_TABLE_ITERATOR),
        .iterator_config = table_state_text(state, PROPERTY_TABLE_ITERATOR_CONFIG),
        .inexact = table_state_number(state, PROPERTY_TABLE_INEXACT) != 0,
    };
    return processing_parse(table_state_schema(state), &settings, arena, out);
}
