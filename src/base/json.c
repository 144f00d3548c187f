/*
 * json.c: JSON texts as trees; the one file that knows jansson.
 *
 * jansson checks the grammar, UTF-8, duplicate names and the range of numbers. Its tree is copied
 * into the arena and freed at once: ours has order, parents and paths, needs no reference counts
 * and is freed with everything else. Depth is checked before jansson sees the text, by counting
 * brackets outside of strings, so that no recursion here or there depends on the input.
 *
 * Lookups compare names one by one: objects have few fields, and the number of lookups is fixed by
 * the program, not by the text.
 */
#include "base/json.h"
#include "base/text.h"

#include <jansson.h>

enum { PATH_BYTES_MAX = 200, PATH_NAME_BYTES_MAX = 64, DEPTH_LIMIT = 1000 };

struct json_place {
    size_t line, column; /* from 1, in bytes */
};

static struct json_place place_of(struct slice text, size_t offset);
static int check_depth(struct slice text, struct json_rules rules);
static int copy_value(struct arena *arena, const json_t *from, int error_code, struct json *to);
static int copy_items(struct arena *arena, const json_t *from, int error_code, struct json *to);
static int copy_text(struct arena *arena, const char *data, size_t size, struct slice *out);
static void path_append(const struct json *value, char *out, size_t capacity, size_t *used);
static int wrong_type(const struct json *value, const char *wanted);
static bool find_present(const struct json *object, const char *name, const struct json **out);
static int field_expected(const struct json *object);

int json_parse(struct arena *arena, struct slice text, struct json_rules rules,
               const struct json **out)
{
    ASSERT(rules.max_depth <= DEPTH_LIMIT);
    if (text.size > rules.max_bytes)
        return error_set(GLIS_ELIMIT, "JSON of %zu bytes passes the limit of %zu bytes", text.size,
                         rules.max_bytes);
    size_t bad;
    if (!text_is_utf8(text, &bad)) {
        struct json_place place = place_of(text, bad);
        return error_set(rules.error_code, "line %zu, column %zu: text that is not UTF-8",
                         place.line, place.column);
    }
    TRY(check_depth(text, rules));

    json_error_t problem;
    json_t *root = json_loadb(text.data ? text.data : "", text.size,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
    if (!root)
        return error_set(rules.error_code, "line %d, column %d: %s", problem.line, problem.column,
                         problem.text);
    void *memory;
    int code = arena_try_alloc(arena, sizeof(struct json), &memory);
    if (code == 0) {
        struct json *copy = memory;
        copy->parent = NULL;
        copy->name = SLICE_EMPTY;
        code = copy_value(arena, root, rules.error_code, copy);
        *out = copy;
    }
    json_decref(root);
    return code;
}

const struct json *json_find(const struct json *object, const char *name)
{
    if (object->type != JSON_TYPE_OBJECT) return NULL;
    for (size_t i = 0; i < object->n_items; i++) {
        if (slice_equal_text(object->items[i].name, name)) return &object->items[i];
    }
    return NULL;
}

int json_get(const struct json *object, const char *name, const struct json **out)
{
    TRY(field_expected(object));
    *out = json_find(object, name);
    return *out ? 0 : json_fail(object, "the field '%s' is missing", name);
}

int json_get_string(const struct json *object, const char *name, struct slice *out)
{
    const struct json *value;
    TRY(json_get(object, name, &value));
    return json_as_string(value, out);
}

int json_get_int(const struct json *object, const char *name, int64_t min, int64_t max,
                 int64_t *out)
{
    const struct json *value;
    TRY(json_get(object, name, &value));
    return json_as_int(value, min, max, out);
}

int json_get_double(const struct json *object, const char *name, double *out)
{
    const struct json *value;
    TRY(json_get(object, name, &value));
    return json_as_double(value, out);
}

int json_get_bool(const struct json *object, const char *name, bool *out)
{
    const struct json *value;
    TRY(json_get(object, name, &value));
    return json_as_bool(value, out);
}

int json_get_array(const struct json *object, const char *name, const struct json **out)
{
    TRY(json_get(object, name, out));
    return json_as_array(*out);
}

int json_get_object(const struct json *object, const char *name, const struct json **out)
{
    TRY(json_get(object, name, out));
    return json_as_object(*out);
}

int json_optional_string(const struct json *object, const char *name, struct slice *out)
{
    const struct json *value;
    TRY(field_expected(object));
    return find_present(object, name, &value) ? json_as_string(value, out) : 0;
}

int json_optional_int(const struct json *object, const char *name, int64_t min, int64_t max,
                      int64_t *out)
{
    const struct json *value;
    TRY(field_expected(object));
    return find_present(object, name, &value) ? json_as_int(value, min, max, out) : 0;
}

int json_optional_double(const struct json *object, const char *name, double *out)
{
    const struct json *value;
    TRY(field_expected(object));
    return find_present(object, name, &value) ? json_as_double(value, out) : 0;
}

int json_optional_bool(const struct json *object, const char *name, bool *out)
{
    const struct json *value;
    TRY(field_expected(object));
    return find_present(object, name, &value) ? json_as_bool(value, out) : 0;
}

int json_optional_array(const struct json *object, const char *name, const struct json **out)
{
    const struct json *value;
    TRY(field_expected(object));
    if (!find_present(object, name, &value)) return 0;
    TRY(json_as_array(value));
    *out = value;
    return 0;
}

int json_optional_object(const struct json *object, const char *name, const struct json **out)
{
    const struct json *value;
    TRY(field_expected(object));
    if (!find_present(object, name, &value)) return 0;
    TRY(json_as_object(value));
    *out = value;
    return 0;
}

int json_as_string(const struct json *value, struct slice *out)
{
    if (value->type != JSON_TYPE_STRING) return wrong_type(value, "a string");
    *out = value->text;
    return 0;
}

int json_as_int(const struct json *value, int64_t min, int64_t max, int64_t *out)
{
    if (value->type != JSON_TYPE_INT) return wrong_type(value, "a whole number");
    if (value->integer < min || value->integer > max)
        return json_fail(value, "%lld is not in the range from %lld to %lld",
                         (long long)value->integer, (long long)min, (long long)max);
    *out = value->integer;
    return 0;
}

int json_as_double(const struct json *value, double *out)
{
    if (value->type == JSON_TYPE_INT) {
        *out = (double)value->integer;
        return 0;
    }
    if (value->type != JSON_TYPE_DOUBLE) return wrong_type(value, "a number");
    *out = value->number;
    return 0;
}

int json_as_bool(const struct json *value, bool *out)
{
    if (value->type != JSON_TYPE_BOOL) return wrong_type(value, "true or false");
    *out = value->boolean;
    return 0;
}

int json_as_array(const struct json *value)
{
    return value->type == JSON_TYPE_ARRAY ? 0 : wrong_type(value, "an array");
}

int json_as_object(const struct json *value)
{
    return value->type == JSON_TYPE_OBJECT ? 0 : wrong_type(value, "an object");
}

int json_check_names(const struct json *object, const char *const *names, size_t n)
{
    TRY(field_expected(object));
    for (size_t i = 0; i < object->n_items; i++) {
        struct slice name = object->items[i].name;
        bool known = false;
        for (size_t j = 0; j < n && !known; j++)
            known = slice_equal_text(name, names[j]);
        if (known) continue;
        const char *meant = text_closest(name, names, n);
        struct slice shown = slice_part(name, 0, PATH_NAME_BYTES_MAX);
        return json_fail(object, "unknown field '%.*s'%s%s%s", SLICE_PRINT(shown),
                         meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
    }
    return 0;
}

int json_fail(const struct json *value, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES], path[PATH_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return error_set(value->error_code, "%s: %s", json_path(value, path, sizeof(path)), text);
}

const char *json_path(const struct json *value, char *out, size_t capacity)
{
    size_t used = 0;
    out[0] = '\0';
    if (!value->parent) {
        snprintf(out, capacity, "the top level");
    } else {
        path_append(value, out, capacity, &used);
    }
    return out;
}

const char *json_type_text(enum json_type type)
{
    switch (type) {
    case JSON_TYPE_NULL: return "null";
    case JSON_TYPE_BOOL: return "true or false";
    case JSON_TYPE_INT: return "a whole number";
    case JSON_TYPE_DOUBLE: return "a number with a fraction or exponent";
    case JSON_TYPE_STRING: return "a string";
    case JSON_TYPE_ARRAY: return "an array";
    case JSON_TYPE_OBJECT: return "an object";
    }
    return "nothing known";
}

bool json_value_equal(const struct json *a, const struct json *b)
{
    if (a->type != b->type || a->n_items != b->n_items) return false;
    switch (a->type) {
    case JSON_TYPE_NULL: return true;
    case JSON_TYPE_BOOL: return a->boolean == b->boolean;
    case JSON_TYPE_INT: return a->integer == b->integer;
    case JSON_TYPE_DOUBLE: return a->number == b->number;
    case JSON_TYPE_STRING: return slice_equal(a->text, b->text);
    case JSON_TYPE_ARRAY:
    case JSON_TYPE_OBJECT: break;
    }
    for (size_t i = 0; i < a->n_items; i++) {
        size_t j = i;
        if (a->type == JSON_TYPE_OBJECT) {
            /* Usually at the same place; otherwise anywhere. */
            if (!slice_equal(a->items[i].name, b->items[j].name)) {
                for (j = 0; j < b->n_items; j++) {
                    if (slice_equal(a->items[i].name, b->items[j].name)) break;
                }
                if (j == b->n_items) return false;
            }
        }
        if (!json_value_equal(&a->items[i], &b->items[j])) return false;
    }
    return true;
}

static struct json_place place_of(struct slice text, size_t offset)
{
    struct json_place place = {1, 1};
    for (size_t i = 0; i < offset; i++) {
        bool ends = text.data[i] == '\n';
        place.line += ends;
        place.column = ends ? 1 : place.column + 1;
    }
    return place;
}

static int check_depth(struct slice text, struct json_rules rules)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > rules.max_depth) {
                struct json_place place = place_of(text, i);
                return error_set(GLIS_ELIMIT,
                                 "line %zu, column %zu: JSON nested deeper than %u levels",
                                 place.line, place.column, rules.max_depth);
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return 0;
}

/* Fills everything of *to but parent and name. */
static int copy_value(struct arena *arena, const json_t *from, int error_code, struct json *to)
{
    to->error_code = error_code;
    to->n_items = 0;
    switch (json_typeof(from)) {
    case JSON_NULL: to->type = JSON_TYPE_NULL; return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        to->type = JSON_TYPE_BOOL;
        to->boolean = json_is_true(from);
        return 0;
    case JSON_INTEGER:
        to->type = JSON_TYPE_INT;
        to->integer = json_integer_value(from);
        return 0;
    case JSON_REAL:
        to->type = JSON_TYPE_DOUBLE;
        to->number = json_real_value(from);
        return 0;
    case JSON_STRING:
        to->type = JSON_TYPE_STRING;
        return copy_text(arena, json_string_value(from), json_string_length(from), &to->text);
    case JSON_ARRAY: to->type = JSON_TYPE_ARRAY; return copy_items(arena, from, error_code, to);
    case JSON_OBJECT: to->type = JSON_TYPE_OBJECT; return copy_items(arena, from, error_code, to);
    }
    ASSERT(!"a type that jansson does not have");
    return GLIS_EINVALID;
}

static int copy_items(struct arena *arena, const json_t *from, int error_code, struct json *to)
{
    bool is_object = to->type == JSON_TYPE_OBJECT;
    size_t n = is_object ? json_object_size(from) : json_array_size(from);
    void *memory;
    TRY(arena_try_alloc(arena, n * sizeof(struct json), &memory));
    to->items = memory;
    to->n_items = n;
    /* jansson keeps the order of insertion. */
    void *place = is_object ? json_object_iter((json_t *)from) : NULL;
    for (size_t i = 0; i < n; i++) {
        struct json *item = &to->items[i];
        item->parent = to;
        item->name = SLICE_EMPTY;
        if (is_object) {
            const char *name = json_object_iter_key(place);
            TRY(copy_text(arena, name, strlen(name), &item->name));
            TRY(copy_value(arena, json_object_iter_value(place), error_code, item));
            place = json_object_iter_next((json_t *)from, place);
        } else {
            TRY(copy_value(arena, json_array_get(from, i), error_code, item));
        }
    }
    return 0;
}

static int copy_text(struct arena *arena, const char *data, size_t size, struct slice *out)
{
    void *memory;
    TRY(arena_try_alloc(arena, size + 1, &memory));
    memcpy(memory, data, size);
    ((char *)memory)[size] = '\0';
    *out = slice_make(memory, size);
    return 0;
}

/* Writes the path of a value that is not the root; recursion is as deep as the text may nest. */
static void path_append(const struct json *value, char *out, size_t capacity, size_t *used)
{
    const struct json *parent = value->parent;
    if (parent->parent) path_append(parent, out, capacity, used);
    if (*used >= capacity) return;
    struct slice name = slice_part(value->name, 0, PATH_NAME_BYTES_MAX);
    int n = parent->type == JSON_TYPE_ARRAY
                ? snprintf(out + *used, capacity - *used, "[%zu]", (size_t)(value - parent->items))
                : snprintf(out + *used, capacity - *used, "%s%.*s", *used ? "." : "",
                           SLICE_PRINT(name));
    *used += (size_t)n;
}

static int wrong_type(const struct json *value, const char *wanted)
{
    return json_fail(value, "%s is wanted, this is %s", wanted, json_type_text(value->type));
}

static bool find_present(const struct json *object, const char *name, const struct json **out)
{
    *out = json_find(object, name);
    return *out && (*out)->type != JSON_TYPE_NULL;
}

static int field_expected(const struct json *object)
{
    return json_as_object(object);
}
