/*
 * schema.c: schemas as values: made once, counted, compared, projected, and the rules for a table.
 */
#include "base/text.h"
#include "column/column_int.h"

#include <stdlib.h>

static struct slice copy_name(struct slice name, struct arena *arena)
{
    return slice_make(arena_copy_text(arena, name), name.size);
}

struct type type_copy(const struct type *type, struct arena *arena)
{
    struct type copy = *type;
    if (!type->n_children) {
        copy.children = NULL;
        return copy;
    }
    struct field *children = ARENA_ARRAY(arena, struct field, type->n_children);
    for (uint32_t i = 0; i < type->n_children; i++)
        children[i] =
            (struct field){copy_name(type->children[i].name, arena),
                           type_copy(&type->children[i].type, arena), type->children[i].nullable};
    copy.children = children;
    return copy;
}

/* Before anything is copied: bounded depth keeps every later recursion bounded. */
static bool too_deep(const struct type *type, unsigned left)
{
    if (type->n_children && left == 0) return true;
    for (uint32_t i = 0; i < type->n_children; i++) {
        bool entries = type->kind == TYPE_MAP; /* a map's entries are one group with it */
        if (too_deep(&type->children[i].type, entries ? left : left - 1)) return true;
    }
    return false;
}

int schema_new(struct schema **out, const struct field *fields, uint32_t n_fields,
               uint32_t n_row_keys, uint32_t n_sort_keys)
{
    if (n_fields > SCHEMA_FIELDS_MAX)
        return error_set(GLIS_ELIMIT, "%u fields; %d are the most", n_fields, SCHEMA_FIELDS_MAX);
    if ((uint64_t)n_row_keys + n_sort_keys > n_fields)
        return error_set(GLIS_EINVALID, "more key fields than fields");
    for (uint32_t i = 0; i < n_fields; i++)
        if (too_deep(&fields[i].type, TYPE_DEPTH_MAX))
            return error_set(GLIS_ELIMIT, "field '%.*s' is nested deeper than %d",
                             SLICE_PRINT(fields[i].name), TYPE_DEPTH_MAX);
    struct schema *schema = memory_alloc_zero(sizeof *schema);
    schema->references = 1;
    arena_init(&schema->arena, NULL);
    schema->n_fields = n_fields;
    schema->n_row_keys = n_row_keys;
    schema->n_sort_keys = n_sort_keys;
    schema->fields = ARENA_ARRAY(&schema->arena, struct field, n_fields);
    for (uint32_t i = 0; i < n_fields; i++)
        schema->fields[i] =
            (struct field){copy_name(fields[i].name, &schema->arena),
                           type_copy(&fields[i].type, &schema->arena), fields[i].nullable};
    *out = schema;
    return 0;
}

struct schema *schema_acquire(const struct schema *schema)
{
    struct schema *held = (struct schema *)(uintptr_t)schema;
    atomic_fetch_add_explicit(&held->references, 1, memory_order_relaxed);
    return held;
}

void schema_release(const struct schema *schema)
{
    struct schema *held = (struct schema *)(uintptr_t)schema;
    if (!held || atomic_fetch_sub_explicit(&held->references, 1, memory_order_acq_rel) != 1) return;
    arena_free(&held->arena);
    free(held);
}

bool schema_equal(const struct schema *a, const struct schema *b)
{
    if (a == b) return true;
    if (a->n_fields != b->n_fields || a->n_row_keys != b->n_row_keys ||
        a->n_sort_keys != b->n_sort_keys)
        return false;
    for (uint32_t i = 0; i < a->n_fields; i++)
        if (a->fields[i].nullable != b->fields[i].nullable ||
            !slice_equal(a->fields[i].name, b->fields[i].name) ||
            !type_equal(&a->fields[i].type, &b->fields[i].type))
            return false;
    return true;
}

int schema_find(const struct schema *schema, struct slice name)
{
    for (uint32_t i = 0; i < schema->n_fields; i++)
        if (slice_equal(schema->fields[i].name, name)) return (int)i;
    return -1;
}

const char *schema_hint(const struct schema *schema, struct slice name,
                        char hint[SCHEMA_HINT_BYTES])
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const char **known = ARENA_ARRAY(&arena, const char *, schema->n_fields + 1);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        known[i] = schema->fields[i].name.data;
    const char *nearest = text_closest(name, known, schema->n_fields);
    hint[0] = '\0';
    if (nearest && strlen(nearest) < SCHEMA_HINT_BYTES - 20)
        snprintf(hint, SCHEMA_HINT_BYTES, "; did you mean '%s'?", nearest);
    return hint;
}

int schema_project(const struct schema *schema, const uint32_t *fields, uint32_t n_fields,
                   struct schema **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct field *chosen = ARENA_ARRAY(&arena, struct field, n_fields + 1);
    uint32_t same = 0;
    for (uint32_t i = 0; i < n_fields; i++) {
        if (fields[i] >= schema->n_fields)
            return error_set(GLIS_EINVALID, "field %u of a schema of %u", fields[i],
                             schema->n_fields);
        chosen[i] = schema->fields[fields[i]];
        if (same == i && fields[i] == i) same++;
    }
    uint32_t row_keys = same < schema->n_row_keys ? same : schema->n_row_keys;
    uint32_t sort_keys =
        same - row_keys < schema->n_sort_keys ? same - row_keys : schema->n_sort_keys;
    return schema_new(out, chosen, n_fields, row_keys, sort_keys);
}

/* ---- tables ---- */

static bool of_table(const struct type *type)
{
    switch (type->kind) {
    case TYPE_MAP:
        if (!type_can_be_key(&type->children[0].type.children[0].type)) return false;
        /* fall through */
    case TYPE_LIST:
    case TYPE_STRUCT:
        for (uint32_t i = 0; i < type->n_children; i++)
            if (!of_table(&type->children[i].type)) return false;
        return true;
    default: return type_can_be_key(type);
    }
}

static int check_type(const struct field *field)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    if (of_table(&field->type)) return 0;
    return error_set(GLIS_EINVALID, "field '%.*s' has the type %s, which tables do not have",
                     SLICE_PRINT(field->name), type_name(&field->type, &arena));
}

int schema_validate_table(const struct schema *schema)
{
    if (schema->n_row_keys == 0) return error_set(GLIS_EINVALID, "a table needs a row key field");
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct field *field = &schema->fields[i];
        bool key = i < schema_key_count(schema);
        if (field->name.size == 0) return error_set(GLIS_EINVALID, "field %u has no name", i + 1);
        for (uint32_t j = 0; j < i; j++)
            if (slice_equal(schema->fields[j].name, field->name))
                return error_set(GLIS_EINVALID, "two fields are called '%.*s'",
                                 SLICE_PRINT(field->name));
        if (key && !type_can_be_key(&field->type))
            return error_set(GLIS_EINVALID, "key field '%.*s' has a type that no key can have",
                             SLICE_PRINT(field->name));
        if (key && field->nullable)
            return error_set(GLIS_EINVALID, "key field '%.*s' may not be nullable",
                             SLICE_PRINT(field->name));
        TRY(check_type(field));
    }
    return 0;
}

int schema_check_evolution(const struct schema *old, const struct schema *now)
{
    if (old->n_row_keys != now->n_row_keys || old->n_sort_keys != now->n_sort_keys)
        return error_set(GLIS_EREFUSED, "key fields cannot be added or removed");
    for (uint32_t i = 0; i < old->n_fields; i++) {
        const struct field *was = &old->fields[i];
        bool key = i < schema_key_count(old);
        int at = schema_find(now, was->name);
        if (at < 0 || (key && at != (int)i))
            return error_set(GLIS_EREFUSED, "field '%.*s' cannot be %s", SLICE_PRINT(was->name),
                             at < 0 ? "removed" : "moved");
        const struct field *is = &now->fields[at];
        bool widened = !key && was->type.kind == TYPE_INT32 && is->type.kind == TYPE_INT64;
        if (was->nullable != is->nullable || (!widened && !type_equal(&was->type, &is->type)))
            return error_set(GLIS_EREFUSED,
                             "field '%.*s' cannot be changed so: only a value's IntType may become "
                             "LongType, and this is a %s",
                             SLICE_PRINT(was->name), key ? "key" : "value");
    }
    for (uint32_t i = 0; i < now->n_fields; i++)
        if (schema_find(old, now->fields[i].name) < 0 && !now->fields[i].nullable)
            return error_set(GLIS_EREFUSED, "an added field must be nullable: '%.*s'",
                             SLICE_PRINT(now->fields[i].name));
    return 0;
}
