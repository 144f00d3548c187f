/*
 * property.c: the one table of properties, and all that is made from it: finding, checking, the
 * manual, and where a process's value comes from.
 *
 * A value is text wherever it is kept; what it means as a number is worked out when it is asked
 * for. The order in which places are asked: --set, environment, the instance's catalogue, the
 * default. A table's own properties come from its state alone, so that every reader of the state
 * agrees.
 */
#include "table/table_int.h"

#include "base/text.h"

#include <stdio.h>
#include <unistd.h>

enum { SHARE_ONE = 1000000 };

static const struct property_definition definitions[] = {
#define PROPERTY_ENTRY(id, name, group, type, default_text, min, max, choices, editable, \
                       reference_name, text)                                             \
    {name, group, type, default_text, min, max, choices, editable, reference_name, text},
    GLIS_PROPERTIES(PROPERTY_ENTRY)
#undef PROPERTY_ENTRY
};

const struct property_definition *property_definition(enum property_id id)
{
    ASSERT(id >= 0 && id < PROPERTY_COUNT);
    return &definitions[id];
}

enum property_id property_find(struct slice name)
{
    for (int i = 0; i < PROPERTY_COUNT; i++)
        if (slice_equal_text(name, definitions[i].name)) return (enum property_id)i;
    return PROPERTY_NONE;
}

int property_unknown(struct slice name)
{
    const char *names[PROPERTY_COUNT];
    for (int i = 0; i < PROPERTY_COUNT; i++)
        names[i] = definitions[i].name;
    name = slice_part(name, 0, 200);
    const char *close = text_closest(name, names, PROPERTY_COUNT);
    if (close)
        return error_set(GLIS_EINVALID, "there is no property '%.*s'; did you mean '%s'?",
                         SLICE_PRINT(name), close);
    return error_set(GLIS_EINVALID, "there is no property '%.*s'; `glis properties` lists them",
                     SLICE_PRINT(name));
}

/* ---- values ---- */

static int check_choice(const struct property_definition *definition, struct slice text,
                        int64_t *number)
{
    struct slice rest = slice_from_text(definition->choices);
    for (int64_t i = 0;; i++) {
        const char *bar = memchr(rest.data, '|', rest.size);
        struct slice word = slice_part(rest, 0, bar ? (size_t)(bar - rest.data) : rest.size);
        if (slice_equal(word, text)) {
            *number = i;
            return 0;
        }
        if (!bar) break;
        rest = slice_part(rest, word.size + 1, rest.size);
    }
    return error_set(GLIS_EINVALID, "'%.*s' is none of %s", SLICE_PRINT(slice_part(text, 0, 64)),
                     definition->choices);
}

/* A limit as people write it: 64M, 15m, 0.5. */
static void limit_text(enum property_type type, int64_t number, char out[32])
{
    if (type == PROPERTY_SHARE || type == PROPERTY_PRICE) {
        (void)snprintf(out, 32, "%.12g", (double)number / SHARE_ONE);
        return;
    }
    static const struct {
        enum property_type type;
        int64_t of;
        const char *unit;
    } units[] = {
        {PROPERTY_BYTES, INT64_C(1) << 50, "P"}, {PROPERTY_BYTES, INT64_C(1) << 40, "T"},
        {PROPERTY_BYTES, INT64_C(1) << 30, "G"}, {PROPERTY_BYTES, INT64_C(1) << 20, "M"},
        {PROPERTY_BYTES, INT64_C(1) << 10, "K"}, {PROPERTY_DURATION, 86400000, "d"},
        {PROPERTY_DURATION, 3600000, "h"},       {PROPERTY_DURATION, 60000, "m"},
        {PROPERTY_DURATION, 1000, "s"},          {PROPERTY_DURATION, 1, "ms"},
        {PROPERTY_BYTES, 1, " bytes"},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].type != type || number == 0 || number % units[i].of != 0) continue;
        (void)snprintf(out, 32, "%lld%s", (long long)(number / units[i].of), units[i].unit);
        return;
    }
    (void)snprintf(out, 32, "%lld", (long long)number);
}

/* In millionths; what is beyond all limits stays so. */
static int parse_share(struct slice text, int64_t *number)
{
    double share;
    TRY(text_parse_double(text, &share));
    if (!(share >= 0)) return error_set(GLIS_EINVALID, "a share is 0 or more");
    *number = share > 1 ? INT64_MAX : (int64_t)(share * SHARE_ONE + 0.5);
    return 0;
}

/* In millionths of a dollar. */
static int parse_price(struct slice text, int64_t *number)
{
    double price;
    TRY(text_parse_double(text, &price));
    if (!(price >= 0)) return error_set(GLIS_EINVALID, "a price is 0 or more");
    *number = price > 1e9 ? INT64_MAX : (int64_t)(price * SHARE_ONE + 0.5);
    return 0;
}

static int parse_value(const struct property_definition *definition, struct slice text,
                       int64_t *number)
{
    uint64_t bytes;
    bool boolean;
    switch (definition->type) {
    case PROPERTY_BOOLEAN:
        TRY(text_parse_bool(text, &boolean));
        *number = boolean;
        return 0;
    case PROPERTY_INTEGER: TRY(text_parse_int64(text, number)); break;
    case PROPERTY_BYTES:
        TRY(text_parse_size(text, &bytes));
        *number = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
        break;
    case PROPERTY_DURATION: TRY(text_parse_duration(text, 0, number)); break;
    case PROPERTY_SHARE: TRY(parse_share(text, number)); break;
    case PROPERTY_PRICE: TRY(parse_price(text, number)); break;
    case PROPERTY_CHOICE: return check_choice(definition, text, number);
    case PROPERTY_TEXT:
        if (text.size < (uint64_t)definition->min || text.size > (uint64_t)definition->max)
            return error_set(GLIS_EINVALID, "a text of %lld to %lld bytes is wanted",
                             (long long)definition->min, (long long)definition->max);
        if (!text_is_utf8(text, NULL) || (text.size && memchr(text.data, 0, text.size)))
            return error_set(GLIS_EINVALID, "not a text in UTF-8");
        *number = 0;
        return 0;
    }
    if (*number < definition->min || *number > definition->max) {
        char low[32], high[32];
        limit_text(definition->type, definition->min, low);
        limit_text(definition->type, definition->max, high);
        return error_set(GLIS_EINVALID, "'%.*s' is not between %s and %s",
                         SLICE_PRINT(slice_part(text, 0, 64)), low, high);
    }
    return 0;
}

int property_check(enum property_id id, struct slice text, int64_t *number)
{
    int64_t ignored;
    const struct property_definition *definition = property_definition(id);
    TRY_CONTEXT(parse_value(definition, text, number ? number : &ignored), "%s", definition->name);
    return 0;
}

int table_setting_check(struct slice name, struct slice value, bool creating)
{
    enum property_id id = property_find(name);
    if (id == PROPERTY_NONE) return property_unknown(name);
    const struct property_definition *definition = property_definition(id);
    if (definition->group != PROPERTY_OF_TABLE)
        return error_set(GLIS_EINVALID, "%s is no property of a table", definition->name);
    if (!definition->editable)
        return error_set(creating ? GLIS_EINVALID : GLIS_EREFUSED, "%s cannot be changed: %s",
                         definition->name, definition->text);
    return property_check(id, value, NULL);
}

/* "glis.default.table.x" -> the property glis.table.x; PROPERTY_NONE when it is no such name. */
static enum property_id find_default(struct slice name)
{
    struct slice prefix = SLICE(PROPERTY_TABLE_DEFAULT_PREFIX);
    char full[128];
    if (!slice_starts_with(name, SLICE(PROPERTY_TABLE_DEFAULT_PREFIX "table.")) ||
        name.size > sizeof(full))
        return PROPERTY_NONE;
    struct slice rest = slice_part(name, prefix.size, name.size);
    memcpy(full, "glis.", 5);
    memcpy(full + 5, rest.data, rest.size);
    enum property_id id = property_find(slice_make(full, 5 + rest.size));
    if (id == PROPERTY_NONE || property_definition(id)->group != PROPERTY_OF_TABLE ||
        !property_definition(id)->editable)
        return PROPERTY_NONE;
    return id;
}

int instance_setting_check(struct slice name, struct slice value)
{
    enum property_id id = find_default(name);
    if (id == PROPERTY_NONE) {
        id = property_find(name);
        if (id == PROPERTY_NONE) return property_unknown(name);
        if (property_definition(id)->group == PROPERTY_OF_TABLE)
            return error_set(GLIS_EINVALID,
                             "%s is a table's; its default for new tables is set as "
                             "glis.default.%s",
                             property_definition(id)->name, property_definition(id)->name + 5);
    }
    return property_check(id, value, NULL);
}

/* ---- where a process's value comes from ---- */

static const char *environment_value(const struct property_overrides *overrides,
                                     const struct property_definition *definition)
{
    if (!overrides || !overrides->environment) return NULL;
    char name[128];
    size_t n = 0;
    for (const char *p = definition->name; *p && n + 1 < sizeof(name); p++)
        name[n++] = *p == '.' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    name[n] = 0;
    return overrides->environment(overrides->environment_state, name);
}

int property_resolve(const struct property_overrides *overrides, const struct instance *instance,
                     enum property_id id, struct slice *text, int64_t *number)
{
    const struct property_definition *definition = property_definition(id);
    struct slice value = slice_from_text(definition->default_text);
    const char *from = "the default", *environment = environment_value(overrides, definition);
    bool of_process = definition->group == PROPERTY_OF_PROCESS;
    if (instance && instance_base_text(instance, id, &value)) from = "the instance";
    if (of_process && environment) {
        value = slice_from_text(environment);
        from = "the environment";
    }
    for (size_t i = 0; of_process && overrides && i < overrides->n_sets; i++)
        if (slice_equal_text(overrides->sets[i].name, definition->name)) {
            value = overrides->sets[i].value;
            from = "--set";
        }
    TRY_CONTEXT(property_check(id, value, number), "from %s", from);
    if (text) *text = value;
    return 0;
}

int property_overrides_check(const struct property_overrides *overrides)
{
    if (!overrides) return 0;
    for (size_t i = 0; i < overrides->n_sets; i++) {
        enum property_id id = property_find(overrides->sets[i].name);
        if (id == PROPERTY_NONE) return property_unknown(overrides->sets[i].name);
        if (property_definition(id)->group != PROPERTY_OF_PROCESS)
            return error_set(GLIS_EINVALID,
                             "--set: %s is kept in the instance or table; `glis set` "
                             "or `glis table set` changes it",
                             property_definition(id)->name);
    }
    for (int i = 0; i < PROPERTY_COUNT; i++)
        if (definitions[i].group == PROPERTY_OF_PROCESS)
            TRY(property_resolve(overrides, NULL, (enum property_id)i, NULL, NULL));
    return 0;
}

int property_logger(const struct property_overrides *overrides, const struct instance *instance,
                    struct clock *clock, struct logger *out)
{
    enum logger_level level;
    enum logger_format format;
    struct slice text;
    TRY(property_resolve(overrides, instance, PROPERTY_LOG_LEVEL, &text, NULL));
    TRY(logger_level_parse(text, &level));
    TRY(property_resolve(overrides, instance, PROPERTY_LOG_FORMAT, &text, NULL));
    TRY(logger_format_parse(text, &format));
    logger_init(out, STDERR_FILENO, level, format, clock);
    return 0;
}

/* ---- the manual ---- */

static const char *group_name(enum property_group group)
{
    static const char *const names[] = {"instance", "process", "table"};
    return names[group];
}

static const char *type_text(enum property_type type)
{
    static const char *const names[] = {
        [PROPERTY_BOOLEAN] = "boolean", [PROPERTY_INTEGER] = "integer",
        [PROPERTY_BYTES] = "bytes",     [PROPERTY_DURATION] = "duration",
        [PROPERTY_CHOICE] = "choice",   [PROPERTY_TEXT] = "text",
        [PROPERTY_SHARE] = "share",     [PROPERTY_PRICE] = "price",
    };
    return names[type];
}

static int manual_json(struct slice group, enum property_id one, struct buffer *out)
{
    struct json_writer json;
    json_writer_init(&json, out, 0);
    json_write_array_begin(&json);
    for (int i = 0; i < PROPERTY_COUNT; i++) {
        const struct property_definition *d = &definitions[i];
        if (one != PROPERTY_NONE ? one != (enum property_id)i
                                 : group.size && !slice_equal_text(group, group_name(d->group)))
            continue;
        json_write_object_begin(&json);
        json_write_field_text(&json, "name", d->name);
        json_write_field_text(&json, "group", group_name(d->group));
        json_write_field_text(&json, "type", type_text(d->type));
        json_write_field_text(&json, "default", d->default_text);
        if (d->choices) json_write_field_text(&json, "choices", d->choices);
        json_write_field_bool(&json, "editable", d->editable);
        if (d->reference_name) json_write_field_text(&json, "reference", d->reference_name);
        json_write_field_text(&json, "text", d->text);
        json_write_object_end(&json);
    }
    json_write_array_end(&json);
    TRY(json_writer_finish(&json));
    return buffer_append_text(out, "\n");
}

static int manual_entry(const struct property_definition *d, struct buffer *out)
{
    TRY(buffer_printf(out, "`%s` = `%s`\n", d->name, d->default_text));
    TRY(buffer_printf(out, ":   %s\n", d->text));
    if (d->choices)
        TRY(buffer_printf(out, "    One of %s.", d->choices));
    else
        TRY(buffer_printf(out, "    A value of type %s.", type_text(d->type)));
    if (!d->editable) TRY(buffer_append_text(out, " Fixed when the table is created."));
    if (d->reference_name) TRY(buffer_printf(out, " Also `%s`.", d->reference_name));
    return buffer_append_text(out, "\n\n");
}

int property_manual(struct slice group, bool json, struct buffer *out)
{
    bool known = group.size == 0;
    for (int g = 0; g <= PROPERTY_OF_TABLE; g++)
        known |= slice_equal_text(group, group_name((enum property_group)g));
    enum property_id one = known ? PROPERTY_NONE : property_find(group);
    if (!known && one == PROPERTY_NONE && memchr(group.data, '.', group.size))
        return property_unknown(group);
    if (!known && one == PROPERTY_NONE)
        return error_set(GLIS_EINVALID,
                         "'%.*s' is no property and no group; the groups are instance, process "
                         "and table",
                         SLICE_PRINT(slice_part(group, 0, 64)));
    if (json) return manual_json(group, one, out);
    if (one != PROPERTY_NONE) return manual_entry(&definitions[one], out);
    for (int g = 0; g <= PROPERTY_OF_TABLE; g++) {
        if (group.size && !slice_equal_text(group, group_name((enum property_group)g))) continue;
        TRY(buffer_printf(out, "## Properties of %s\n\n",
                          g == PROPERTY_OF_TABLE     ? "a table"
                          : g == PROPERTY_OF_PROCESS ? "a process"
                                                     : "the instance"));
        for (int i = 0; i < PROPERTY_COUNT; i++)
            if ((int)definitions[i].group == g) TRY(manual_entry(&definitions[i], out));
    }
    return 0;
}
