/*
 * property_file.c: reading instance.properties and table.properties.
 *
 * Names begin with "glis."; a file of the reference's says "sleeper.", and is read all the same:
 * names that Glis has become its own, with units where the reference's name carries one
 * (".minutes"); names that only concern how the reference runs on AWS are collected and ignored;
 * anything else is an error, for a setting that silently does nothing is a trap. Filters,
 * aggregations and iterators are never ignored: they may be what keeps rows from being seen.
 */
#include "table/table_int.h"

#include "base/text.h"

#include <stdlib.h>

static int compare_name(const void *key, const void *entry)
{
    return slice_compare(*(const struct slice *)key, slice_from_text(*(const char *const *)entry));
}

static bool is_ignored(struct slice name)
{
    return bsearch(&name, property_ignored_names, property_n_ignored_names,
                   sizeof(property_ignored_names[0]), compare_name) != NULL;
}

/* Glis's name for one of the reference's, in the arena; *id is its property. */
static bool map_name(struct slice name, struct arena *arena, struct slice *out,
                     enum property_id *id)
{
    struct slice prefix = SLICE("sleeper.default.");
    bool is_default = slice_starts_with(name, SLICE("sleeper.default.table."));
    struct slice wanted = name;
    if (is_default)
        wanted = slice_from_text(arena_printf(
            arena, "sleeper.%.*s", SLICE_PRINT(slice_part(name, prefix.size, name.size))));
    for (int i = 0; i < PROPERTY_COUNT; i++) {
        const struct property_definition *d = property_definition((enum property_id)i);
        if (!d->reference_name || !slice_equal_text(wanted, d->reference_name)) continue;
        *id = (enum property_id)i;
        *out = is_default ? slice_from_text(arena_printf(arena, PROPERTY_TABLE_DEFAULT_PREFIX "%s",
                                                         d->name + 5))
                          : slice_from_text(d->name);
        return true;
    }
    return false;
}

/* The reference names a strategy by its Java class, with or without the package. */
static struct slice map_strategy(struct slice value)
{
    struct slice name = value;
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] == '.') name = slice_part(value, i + 1, value.size);
    if (slice_equal_text(name, "SizeRatioCompactionStrategy")) return SLICE("size_ratio");
    if (slice_equal_text(name, "BasicCompactionStrategy")) return SLICE("basic");
    return value;
}

/* The reference's way of writing a value, turned into ours. */
static struct slice map_value(enum property_id id, struct slice value, struct arena *arena)
{
    const struct property_definition *d = property_definition(id);
    struct slice name = slice_from_text(d->reference_name);
    int64_t number;
    if (d->type == PROPERTY_DURATION && text_parse_int64(value, &number) == 0) {
        const char *unit = slice_ends_with(name, SLICE(".minutes"))   ? "m"
                           : slice_ends_with(name, SLICE(".seconds")) ? "s"
                           : slice_ends_with(name, SLICE(".days"))    ? "d"
                                                                      : "ms";
        return slice_from_text(arena_printf(arena, "%.*s%s", SLICE_PRINT(value), unit));
    }
    if (d->type != PROPERTY_CHOICE) return value;
    if (id == PROPERTY_TABLE_COMPACTION_STRATEGY) return map_strategy(value);
    char *lower = arena_copy_text(arena, value);
    for (char *p = lower; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + 32);
    return slice_from_text(lower);
}

static int check_reference_only(struct slice name, struct slice value)
{
    if (slice_starts_with(name, SLICE("sleeper.table.iterator.class")) && value.size)
        return error_set(
            GLIS_EUNSUPPORTED,
            "%.*s: a Java iterator cannot run here, and leaving it out could show rows "
            "that it hides",
            SLICE_PRINT(name));
    if (slice_equal(name, SLICE("sleeper.table.iterator.class.name"))) return 0;
    return error_set(GLIS_EINVALID,
                     "this version knows no property '%.*s'; take the line out if the table's rows "
                     "do not hang on it",
                     SLICE_PRINT(slice_part(name, 0, 200)));
}

static int read_one(struct arena *arena, const struct property *property, enum property_group group,
                    struct property_file *out)
{
    struct slice name = property->name, value = property->value;
    if (slice_starts_with(name, SLICE("sleeper."))) {
        enum property_id id;
        if (!map_name(name, arena, &name, &id)) {
            if (!is_ignored(property->name)) return check_reference_only(property->name, value);
            out->ignored[out->n_ignored++] = property->name;
            return 0;
        }
        if (!value.size) return 0; /* as if it were not there */
        value = map_value(id, value, arena);
    }
    if (group == PROPERTY_OF_TABLE) {
        enum property_id id = property_find(name);
        if (id == PROPERTY_NONE) return property_unknown(name);
        if (property_definition(id)->group != PROPERTY_OF_TABLE)
            return error_set(GLIS_EINVALID, "%.*s is no property of a table", SLICE_PRINT(name));
        TRY(property_check(id, value, NULL));
    } else {
        TRY(instance_setting_check(name, value));
    }
    for (size_t i = 0; i < out->n_settings; i++)
        if (slice_equal(out->settings[i].name, name)) {
            out->settings[i].value = value; /* the last one counts, as in Java */
            return 0;
        }
    out->settings[out->n_settings++] = (struct setting){name, value};
    return 0;
}

int property_file_read(struct arena *arena, struct slice file, struct slice text,
                       enum property_group group, struct property_file *out)
{
    struct properties properties;
    TRY_CONTEXT(properties_parse(arena, text, &properties), "%.*s", SLICE_PRINT(file));
    *out = (struct property_file){0};
    if (properties.n_items > 10000)
        return error_set(GLIS_ELIMIT, "%.*s: more than 10,000 properties", SLICE_PRINT(file));
    out->settings = ARENA_ARRAY(arena, struct setting, properties.n_items);
    out->ignored = ARENA_ARRAY(arena, struct slice, properties.n_items);
    for (size_t i = 0; i < properties.n_items; i++)
        TRY_CONTEXT(read_one(arena, &properties.items[i], group, out), "%.*s: line %u",
                    SLICE_PRINT(file), properties.items[i].line);
    return 0;
}
