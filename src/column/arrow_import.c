/*
 * arrow_import.c: foreign Arrow schemas, batches and streams as ours; arrow_import_column.c does
 * the arrays. A format string is read into the type that our column will have and the layout that
 * the foreign one has; formats whose values no type of ours can carry (durations, intervals,
 * unions) are refused by column and format.
 *
 * Importing moves: whatever happens, the source has been taken and is released exactly once, when
 * the last column over its buffers goes.
 */
#include "column/column_int.h"
#include "glis.h"

#include <stdlib.h>

/* ---- formats ---- */

static int unsupported(const struct ArrowSchema *in)
{
    return error_set(GLIS_EUNSUPPORTED, "column '%s': Arrow's format '%.32s' is not read",
                     in->name ? in->name : "", in->format ? in->format : "");
}

/* A whole number of at most six digits at the beginning, moved past. */
static bool take_number(const char **text, int *out)
{
    const char *at = *text;
    bool negative = *at == '-';
    int number = 0, n = 0;
    for (at += negative; *at >= '0' && *at <= '9' && n < 6; at++, n++)
        number = number * 10 + (*at - '0');
    *out = negative ? -number : number;
    *text = at;
    return n > 0;
}

/* d:precision,scale[,bits]. A scale that is negative, or greater than the precision, becomes one
 * that is neither by more digits. */
static bool parse_decimal(const char *text, struct arrow_format *out)
{
    int precision, scale, bits = 128;
    if (!take_number(&text, &precision) || *text++ != ',' || !take_number(&text, &scale))
        return false;
    if (*text && (*text++ != ',' || !take_number(&text, &bits) || *text)) return false;
    int most = bits == 32 ? 9 : bits == 64 ? 18 : bits == 128 ? 38 : bits == 256 ? 76 : 0;
    if (precision < 1 || precision > most || scale > 76 || scale < -76) return false;
    *out = (struct arrow_format){.layout = ARROW_DECIMALS, .width = (uint32_t)bits / 8};
    if (scale < 0) {
        out->power = (unsigned)-scale;
        precision -= scale;
        scale = 0;
    }
    if (scale > precision) precision = scale;
    out->type = (struct type){
        .kind = TYPE_DECIMAL, .precision = (uint8_t)precision, .scale = (uint8_t)scale};
    if (precision <= 38) return true;
    out->type.kind = TYPE_DECIMAL256;
    out->layout = ARROW_PLAIN;
    return bits == 256 && out->power == 0 && precision <= 76;
}

/* Times and timestamps: tts, ttm, ttu, ttn, tss:zone and so on. */
static bool parse_instant(const char *text, struct arrow_format *out)
{
    const char *at = text[2] ? strchr("smun", text[2]) : NULL;
    bool stamp = text[1] == 's';
    if (!at || text[3] != (stamp ? ':' : 0)) return false;
    out->type.kind = stamp ? TYPE_TIMESTAMP : TYPE_TIME;
    out->type.utc = stamp && text[4];
    out->type.unit = *at == 'n' ? UNIT_NANO : *at == 'u' ? UNIT_MICRO : UNIT_MILLI;
    if (*at == 's') {
        out->layout = ARROW_SECONDS;
        out->width = stamp ? 8 : 4;
    }
    return true;
}

static bool parse_sized(const char *text, enum type_kind kind, struct arrow_format *out)
{
    int size;
    if (!take_number(&text, &size) || *text || size < 0) return false;
    out->type.kind = kind;
    if (kind == TYPE_FIXED_BYTES) {
        out->type.width = (uint32_t)size;
        return size > 0;
    }
    out->layout = ARROW_FIXED_LIST;
    out->width = (uint32_t)size;
    return true;
}

int arrow_format_parse(const struct ArrowSchema *in, struct arrow_format *out)
{
    static const struct {
        const char *text;
        enum type_kind kind;
        enum arrow_layout layout;
    } plain[] = {
        {"n", TYPE_NULL, ARROW_PLAIN},
        {"b", TYPE_BOOLEAN, ARROW_PLAIN},
        {"c", TYPE_INT8, ARROW_PLAIN},
        {"C", TYPE_UINT8, ARROW_PLAIN},
        {"s", TYPE_INT16, ARROW_PLAIN},
        {"S", TYPE_UINT16, ARROW_PLAIN},
        {"i", TYPE_INT32, ARROW_PLAIN},
        {"I", TYPE_UINT32, ARROW_PLAIN},
        {"l", TYPE_INT64, ARROW_PLAIN},
        {"L", TYPE_UINT64, ARROW_PLAIN},
        {"e", TYPE_FLOAT16, ARROW_PLAIN},
        {"f", TYPE_FLOAT, ARROW_PLAIN},
        {"g", TYPE_DOUBLE, ARROW_PLAIN},
        {"u", TYPE_STRING, ARROW_PLAIN},
        {"z", TYPE_BYTES, ARROW_PLAIN},
        {"U", TYPE_STRING, ARROW_LARGE},
        {"Z", TYPE_BYTES, ARROW_LARGE},
        {"vu", TYPE_STRING, ARROW_VIEWS},
        {"vz", TYPE_BYTES, ARROW_VIEWS},
        {"tdD", TYPE_DATE, ARROW_PLAIN},
        {"tdm", TYPE_DATE, ARROW_DATE_MILLIS},
        {"+l", TYPE_LIST, ARROW_PLAIN},
        {"+L", TYPE_LIST, ARROW_LARGE},
        {"+vl", TYPE_LIST, ARROW_LIST_VIEWS},
        {"+vL", TYPE_LIST, ARROW_LARGE_LIST_VIEWS},
        {"+m", TYPE_MAP, ARROW_PLAIN},
        {"+s", TYPE_STRUCT, ARROW_PLAIN},
        {"+r", TYPE_NULL, ARROW_RUNS},
    };
    const char *format = in->format ? in->format : "";
    bool known = false;
    *out = (struct arrow_format){.layout = ARROW_PLAIN, .width = 8};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (!slice_equal_text(slice_from_text(format), plain[i].text)) continue;
        out->type.kind = plain[i].kind;
        out->layout = plain[i].layout;
        return 0;
    }
    if (format[0] == 'd' && format[1] == ':')
        known = parse_decimal(format + 2, out);
    else if (format[0] == 'w' && format[1] == ':')
        known = parse_sized(format + 2, TYPE_FIXED_BYTES, out);
    else if (format[0] == '+' && format[1] == 'w' && format[2] == ':')
        known = parse_sized(format + 3, TYPE_LIST, out);
    else if (format[0] == 't' && (format[1] == 't' || format[1] == 's'))
        known = parse_instant(format, out);
    return known ? 0 : unsupported(in);
}

/* ---- schemas ---- */

static int import_field(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                        struct field *out);

static int import_children(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                           enum type_kind kind, struct type *out)
{
    if (in->n_children < 1 || in->n_children > SCHEMA_FIELDS_MAX || !in->children ||
        (kind != TYPE_STRUCT && in->n_children != 1))
        return error_set(GLIS_EINVALID, "an Arrow schema with %lld children",
                         (long long)in->n_children);
    struct field *children = ARENA_ARRAY(arena, struct field, in->n_children);
    for (int64_t i = 0; i < in->n_children; i++)
        TRY(import_field(in->children[i], arena, depth + 1, &children[i]));
    if (kind == TYPE_LIST) {
        *out = type_list(arena, children[0].type, children[0].nullable);
    } else if (kind == TYPE_MAP) {
        if (children[0].type.kind != TYPE_STRUCT || children[0].type.n_children != 2)
            return error_set(GLIS_EINVALID, "an Arrow map whose entries are no pairs");
        const struct field *parts = children[0].type.children;
        *out = type_map(arena, parts[0].type, parts[1].type, parts[1].nullable);
    } else {
        *out = (struct type){
            .kind = TYPE_STRUCT, .n_children = (uint32_t)in->n_children, .children = children};
    }
    return 0;
}

static bool is_integer(enum type_kind kind)
{
    return kind >= TYPE_INT8 && kind <= TYPE_UINT64;
}

/* Runs have the type of their values. */
static int import_runs(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                       struct type *out)
{
    struct arrow_format ends;
    struct field values;
    if (in->n_children != 2 || !in->children || !in->children[0] || in->children[0]->dictionary)
        return unsupported(in);
    TRY(arrow_format_parse(in->children[0], &ends));
    if (ends.type.kind != TYPE_INT16 && ends.type.kind != TYPE_INT32 &&
        ends.type.kind != TYPE_INT64)
        return unsupported(in);
    TRY(import_field(in->children[1], arena, depth + 1, &values));
    *out = values.type;
    return 0;
}

static int import_type(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                       struct type *out)
{
    struct arrow_format format;
    /* a map's entries, dictionaries and runs are levels of an Arrow schema, and none of ours */
    if (depth > 3 * TYPE_DEPTH_MAX) return error_set(GLIS_ELIMIT, "nested too deeply");
    TRY(arrow_format_parse(in, &format));
    if (in->dictionary) {
        if (!is_integer(format.type.kind) || in->n_children) return unsupported(in);
        return import_type(in->dictionary, arena, depth + 1, out);
    }
    if (format.layout == ARROW_RUNS) return import_runs(in, arena, depth, out);
    *out = format.type;
    if (out->kind == TYPE_LIST || out->kind == TYPE_MAP || out->kind == TYPE_STRUCT)
        return import_children(in, arena, depth, out->kind, out);
    return in->n_children ? unsupported(in) : 0;
}

static int import_field(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                        struct field *out)
{
    if (!in) return error_set(GLIS_EINVALID, "an Arrow schema with a child missing");
    out->name = slice_from_text(in->name ? in->name : "");
    out->nullable = in->flags & ARROW_FLAG_NULLABLE;
    return import_type(in, arena, depth, &out->type);
}

int arrow_import_schema(const struct ArrowSchema *in, struct schema **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct type rows;
    if (!in->format || !slice_equal_text(slice_from_text(in->format), "+s"))
        return error_set(GLIS_EINVALID, "an Arrow schema that is no struct of columns");
    TRY(import_type(in, &arena, 0, &rows));
    return schema_new(out, rows.children, rows.n_children, 0, 0);
}

/* ---- arrays ---- */

static void release_foreign(void *state)
{
    struct ArrowArray *array = state;
    if (array->release) array->release(array);
    free(array);
}

/* Rows of a batch cannot be null as a whole. */
static int check_rows(const struct ArrowArray *in, const struct schema *schema)
{
    bool bad = in->n_children != schema->n_fields || !in->children || in->offset < 0 ||
               in->length < 0 || in->length > INT32_MAX || in->offset > INT32_MAX ||
               in->n_buffers != 1 || !in->buffers;
    const uint8_t *bits = bad ? NULL : in->buffers[0];
    for (int64_t i = 0; bits && in->null_count && i < in->length; i++)
        bad = bad || !bit_get(bits, in->offset + i);
    return bad ? error_set(GLIS_EINVALID,
                           "an Arrow array with other columns than its schema, or null rows")
               : 0;
}

static int import_rows(const struct arrow_import *import, const struct ArrowArray *in,
                       const struct ArrowSchema *format, const struct field *field, uint32_t i,
                       struct column *out)
{
    struct column whole;
    TRY_CONTEXT(
        arrow_import_column(import, in->children[i], format->children[i], &field->type, &whole),
        "column '%.*s'", SLICE_PRINT(field->name));
    int code =
        whole.length < in->offset + in->length
            ? error_set(GLIS_EINVALID, "column '%.*s' is too short", SLICE_PRINT(field->name))
            : column_slice(out, &whole, in->offset, in->length);
    column_free(&whole);
    return code;
}

int arrow_import_batch(struct ArrowArray *in, const struct ArrowSchema *format,
                       const struct schema *schema, struct budget *budget, struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct column *columns = ARENA_ARRAY(&arena, struct column, schema->n_fields + 1);
    if (!in->release) return error_set(GLIS_EINVALID, "an Arrow array that has been released");
    struct ArrowArray *own = memory_alloc(sizeof *own);
    *own = *in;
    in->release = NULL;
    struct arrow_import import = {block_wrap(own, 0, release_foreign, own), budget};
    int64_t n_rows = own->length;
    int code = check_rows(own, schema);
    if (code == 0 && format->n_children != schema->n_fields)
        code = error_set(GLIS_EINVALID, "an Arrow schema that is another array's");
    uint32_t done = 0;
    for (; done < schema->n_fields && code == 0; done++)
        code = import_rows(&import, own, format, &schema->fields[done], done, &columns[done]);
    if (code < 0)
        for (uint32_t i = 0; i + 1 < done; i++) /* the last one failed */
            column_free(&columns[i]);
    block_release(import.owner);
    TRY(code);
    TRY(batch_new(out, schema, columns, n_rows));
    code = batch_validate(*out, true);
    if (code < 0) batch_release(*out);
    return code;
}

/* ---- streams ---- */

struct foreign_stream {
    struct batch_stream stream;
    struct ArrowArrayStream foreign;
    struct ArrowSchema format;
    struct schema *schema;
    struct budget *budget;
};

static int foreign_failed(struct ArrowArrayStream *stream)
{
    const char *text = stream->get_last_error ? stream->get_last_error(stream) : NULL;
    return error_set(GLIS_EIO, "the Arrow stream failed: %s", text ? text : "no reason given");
}

static int foreign_next(struct batch_stream *base, struct batch **out)
{
    struct foreign_stream *stream = (struct foreign_stream *)base;
    struct ArrowArray array = {.release = NULL};
    *out = NULL;
    if (stream->foreign.get_next(&stream->foreign, &array)) return foreign_failed(&stream->foreign);
    if (!array.release) return 0;
    return arrow_import_batch(&array, &stream->format, stream->schema, stream->budget, out);
}

static void foreign_close(struct batch_stream *base)
{
    struct foreign_stream *stream = (struct foreign_stream *)base;
    if (stream->format.release) stream->format.release(&stream->format);
    if (stream->foreign.release) stream->foreign.release(&stream->foreign);
    schema_release(stream->schema);
    free(stream);
}

int arrow_import_stream(struct ArrowArrayStream *in, struct budget *budget,
                        struct batch_stream **out)
{
    if (!in->release) return error_set(GLIS_EINVALID, "an Arrow stream that has been released");
    struct foreign_stream *stream = memory_alloc_zero(sizeof *stream);
    stream->foreign = *in;
    stream->budget = budget;
    in->release = NULL;
    int code = stream->foreign.get_schema(&stream->foreign, &stream->format)
                   ? foreign_failed(&stream->foreign)
                   : arrow_import_schema(&stream->format, &stream->schema);
    if (code < 0) {
        foreign_close(&stream->stream);
        return code;
    }
    stream->stream = (struct batch_stream){stream->schema, foreign_next, foreign_close};
    *out = &stream->stream;
    return 0;
}
