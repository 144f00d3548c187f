/*
 * arrow_import.c: foreign Arrow arrays as batches of ours.
 *
 * Values are copied by way of a check: the C data interface tells no sizes, so lengths and offsets
 * are bounded by each other first, then each buffer is wrapped in a block that keeps the whole
 * foreign array alive, without a copy. Types that our columns do not have are refused by name.
 */
#include "column/column_int.h"
#include "glis.h"

#include <stdlib.h>

/* ---- schemas ---- */

static int unsupported(const struct ArrowSchema *in)
{
    return error_set(GLIS_EUNSUPPORTED, "column '%s': Arrow's format '%.32s' is not read",
                     in->name ? in->name : "", in->format ? in->format : "");
}

static int import_field(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                        struct field *out);

static int import_children(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                           enum type_kind kind, struct type *out)
{
    if (depth > TYPE_DEPTH_MAX + 1) return error_set(GLIS_ELIMIT, "nested too deeply");
    if (in->n_children < 1 || in->n_children > SCHEMA_FIELDS_MAX ||
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

static int import_type(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                       struct type *out)
{
    static const char codes[] = "nbcsilCSILefguz";
    static const enum type_kind kinds[] = {TYPE_NULL,   TYPE_BOOLEAN, TYPE_INT8,    TYPE_INT16,
                                           TYPE_INT32,  TYPE_INT64,   TYPE_UINT8,   TYPE_UINT16,
                                           TYPE_UINT32, TYPE_UINT64,  TYPE_FLOAT16, TYPE_FLOAT,
                                           TYPE_DOUBLE, TYPE_STRING,  TYPE_BYTES};
    const char *format = in->format ? in->format : "";
    *out = (struct type){.kind = TYPE_NULL};
    if (in->dictionary) return unsupported(in);
    if (format[0] && !format[1]) {
        const char *at = strchr(codes, format[0]);
        if (!at) return unsupported(in);
        out->kind = kinds[at - codes];
        return 0;
    }
    if (slice_equal_text(slice_from_text(format), "tdD")) {
        out->kind = TYPE_DATE;
        return 0;
    }
    if (slice_equal_text(slice_from_text(format), "+l"))
        return import_children(in, arena, depth, TYPE_LIST, out);
    if (slice_equal_text(slice_from_text(format), "+m"))
        return import_children(in, arena, depth, TYPE_MAP, out);
    if (slice_equal_text(slice_from_text(format), "+s"))
        return import_children(in, arena, depth, TYPE_STRUCT, out);
    const char *unit = format[0] == 't' && format[1] == 's' && format[2] && format[3] == ':'
                           ? strchr("mun", format[2])
                           : NULL;
    if (!unit) return unsupported(in);
    *out = (struct type){.kind = TYPE_TIMESTAMP, .utc = format[4] != 0};
    out->unit = *unit == 'm' ? UNIT_MILLI : *unit == 'u' ? UNIT_MICRO : UNIT_NANO;
    return 0;
}

static int import_field(const struct ArrowSchema *in, struct arena *arena, unsigned depth,
                        struct field *out)
{
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

static void wrap(struct column_buffer *out, struct block *owner, const void *data, uint64_t size)
{
    if (!data) return;
    *out = (struct column_buffer){block_acquire(owner), data, size};
}

static int bad_array(const char *what)
{
    return error_set(GLIS_EINVALID, "an Arrow array with %s", what);
}

static int import_column(const struct ArrowArray *in, const struct type *type, struct block *owner,
                         struct column *out)
{
    *out = (struct column){.type = type, .length = in->length, .offset = in->offset};
    int64_t n_buffers =
        type->kind == TYPE_NULL ? 0 : 1 + type_has_offsets(type) + (type->n_children == 0);
    if (in->length < 0 || in->offset < 0 || in->offset > INT32_MAX || in->length > INT32_MAX)
        return bad_array("an impossible length");
    if (in->n_buffers != n_buffers || in->n_children != type->n_children || in->dictionary)
        return bad_array("other buffers or children than its type has");
    uint64_t end = (uint64_t)(in->length + in->offset);
    if (n_buffers) wrap(&out->validity, owner, in->buffers[0], (end + 7) / 8);
    int at = 1;
    uint64_t size = type->kind == TYPE_BOOLEAN ? (end + 7) / 8 : end * type_width(type);
    if (type_has_offsets(type)) {
        if (!in->buffers[at]) return bad_array("no offsets");
        wrap(&out->offsets, owner, in->buffers[at++], (end + 1) * 4);
        int32_t last = ((const int32_t *)(const void *)out->offsets.data)[end];
        if (last < 0) return bad_array("a negative offset");
        size = (uint64_t)last;
    }
    if (type->n_children == 0 && n_buffers) {
        if (size && !in->buffers[at]) return bad_array("no values");
        wrap(&out->values, owner, in->buffers[at], size);
    }
    if (type->n_children) {
        out->children = memory_alloc_zero(type->n_children * sizeof *out->children);
        for (uint32_t i = 0; i < type->n_children; i++)
            out->children[i].type = &type->children[i].type;
        for (uint32_t i = 0; i < type->n_children; i++)
            TRY(import_column(in->children[i], &type->children[i].type, owner, &out->children[i]));
    }
    if (type->kind == TYPE_NULL) out->null_count = out->length;
    for (int64_t i = 0; out->validity.data && i < out->length; i++)
        out->null_count += column_is_null(out, i);
    return 0;
}

int arrow_import_batch(struct ArrowArray *in, const struct ArrowSchema *format,
                       const struct schema *schema, struct budget *budget, struct batch **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct column *columns = ARENA_ARRAY(&arena, struct column, schema->n_fields + 1);
    struct ArrowArray *own = memory_alloc(sizeof *own);
    (void)format;
    (void)budget; /* nothing is copied */
    *own = *in;
    in->release = NULL;
    struct block *owner = block_wrap(own, 0, release_foreign, own);
    int code = 0;
    if (own->n_children != schema->n_fields || own->offset < 0 || own->length < 0 ||
        own->null_count > 0)
        code = bad_array("other columns than its schema, or null rows");
    for (uint32_t i = 0; i < schema->n_fields; i++)
        columns[i].type = &schema->fields[i].type;
    for (uint32_t i = 0; i < schema->n_fields && code == 0; i++) {
        code = import_column(own->children[i], &schema->fields[i].type, owner, &columns[i]);
        if (code == 0 && columns[i].length < own->offset + own->length)
            code = bad_array("a column that is too short");
        if (code == 0) {
            struct column whole = columns[i];
            code = column_slice(&columns[i], &whole, own->offset, own->length);
            column_free(&whole);
        }
    }
    int64_t n_rows = own->length;
    if (code < 0)
        for (uint32_t i = 0; i < schema->n_fields; i++)
            column_free(&columns[i]);
    block_release(owner);
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
