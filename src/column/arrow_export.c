/*
 * arrow_export.c: schemas, batches and streams as the structs of the Arrow C data and stream
 * interfaces. What is exported owns all that it points to: each struct's private data is one
 * holder, freed by its release; buffers stay alive by a shared copy of the column.
 *
 * Dictionaries are looked up unless the stream is to have them for a field. Then every batch must
 * have one, so the plain columns of a file whose pages have no dictionary are given as their own:
 * row i refers to entry i. That costs 4 bytes a row, and nobody's time for finding equal values.
 */
#include "column/column_int.h"
#include "glis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int export_batch(const struct batch *batch, const bool *dictionaries,
                        struct ArrowArray *out);

/* ---- schemas ---- */

static void release_schema(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
        free(schema->children[i]);
    }
    free(schema->children);
    if (schema->dictionary && schema->dictionary->release)
        schema->dictionary->release(schema->dictionary);
    free(schema->dictionary);
    free((void *)(uintptr_t)schema->format);
    free((void *)(uintptr_t)schema->name);
    schema->release = NULL;
}

static void put_format(const struct type *type, char *out, size_t size)
{
    static const char *const plain[] = {
        [TYPE_NULL] = "n",   [TYPE_BOOLEAN] = "b", [TYPE_INT8] = "c",    [TYPE_INT16] = "s",
        [TYPE_INT32] = "i",  [TYPE_INT64] = "l",   [TYPE_UINT8] = "C",   [TYPE_UINT16] = "S",
        [TYPE_UINT32] = "I", [TYPE_UINT64] = "L",  [TYPE_FLOAT16] = "e", [TYPE_FLOAT] = "f",
        [TYPE_DOUBLE] = "g", [TYPE_DATE] = "tdD",  [TYPE_STRING] = "u",  [TYPE_BYTES] = "z",
        [TYPE_LIST] = "+l",  [TYPE_MAP] = "+m",    [TYPE_STRUCT] = "+s", [TYPE_INTERVAL] = "w:12",
    };
    static const char units[] = "mun";
    switch (type->kind) {
    case TYPE_TIME: snprintf(out, size, "tt%c", units[type->unit]); return;
    case TYPE_TIMESTAMP:
        snprintf(out, size, "ts%c:%s", units[type->unit], type->utc ? "UTC" : "");
        return;
    case TYPE_DECIMAL: snprintf(out, size, "d:%u,%u", type->precision, type->scale); return;
    case TYPE_DECIMAL256: snprintf(out, size, "d:%u,%u,256", type->precision, type->scale); return;
    case TYPE_FIXED_BYTES: snprintf(out, size, "w:%u", type->width); return;
    default: snprintf(out, size, "%s", plain[type->kind]);
    }
}

static void export_field(struct slice name, const struct type *type, bool nullable,
                         struct ArrowSchema *out)
{
    char format[32];
    put_format(type, format, sizeof format);
    *out = (struct ArrowSchema){
        .format = memory_copy_text(slice_from_text(format)),
        .name = memory_copy_text(name),
        .flags = nullable ? ARROW_FLAG_NULLABLE : 0,
        .n_children = type->n_children,
        .release = release_schema,
    };
    out->children = memory_alloc_zero((type->n_children + 1) * sizeof *out->children);
    for (uint32_t i = 0; i < type->n_children; i++) {
        const struct field *child = &type->children[i];
        out->children[i] = memory_alloc_zero(sizeof *out->children[i]);
        export_field(child->name, &child->type, child->nullable, out->children[i]);
    }
}

int arrow_export_schema(const struct schema *schema, struct ArrowSchema *out)
{
    struct type rows = {
        .kind = TYPE_STRUCT, .n_children = schema->n_fields, .children = schema->fields};
    export_field(SLICE(""), &rows, false, out);
    return 0;
}

/* ---- arrays ---- */

struct array_holder {
    struct column column; /* shares the buffers; of the root: nothing */
    struct schema *schema;
    struct block *indices; /* of a plain column as a dictionary */
    const void *buffers[3];
};

static void release_array(struct ArrowArray *array)
{
    struct array_holder *holder = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release) array->children[i]->release(array->children[i]);
        free(array->children[i]);
    }
    free(array->children);
    if (array->dictionary && array->dictionary->release)
        array->dictionary->release(array->dictionary);
    free(array->dictionary);
    block_release(holder->indices);
    if (holder->column.type) column_free(&holder->column);
    schema_release(holder->schema);
    free(holder);
    array->release = NULL;
}

static void begin_array(struct ArrowArray *out, const struct schema *schema, uint32_t n_children)
{
    struct array_holder *holder = memory_alloc_zero(sizeof *holder);
    holder->schema = schema_acquire(schema); /* the types of the columns live there */
    *out = (struct ArrowArray){.buffers = holder->buffers,
                               .n_children = n_children,
                               .release = release_array,
                               .private_data = holder};
    out->children = memory_alloc_zero((n_children + 1) * sizeof *out->children);
    for (uint32_t i = 0; i < n_children; i++)
        out->children[i] = memory_alloc_zero(sizeof *out->children[i]);
}

static int export_column(const struct schema *schema, const struct column *column,
                         struct ArrowArray *out)
{
    const struct type *type = column->type;
    begin_array(out, schema, type->n_children);
    struct array_holder *holder = out->private_data;
    TRY(column_share(&holder->column, column));
    TRY(column_decode_dictionary(&holder->column, NULL));
    const struct column *own = &holder->column;
    out->length = own->length;
    out->offset = own->offset;
    out->null_count = own->null_count;
    holder->buffers[0] = own->validity.data;
    out->n_buffers = type->kind == TYPE_NULL ? 0 : 1;
    if (type_has_offsets(type)) holder->buffers[out->n_buffers++] = own->offsets.data;
    if (!type->n_children && type->kind != TYPE_NULL)
        holder->buffers[out->n_buffers++] = own->values.data;
    for (uint32_t i = 0; i < type->n_children; i++)
        TRY(export_column(schema, &own->children[i], out->children[i]));
    return 0;
}

/* Values to refer to: a column's without its nulls, to which nothing refers. */
static int export_entries(const struct schema *schema, const struct column *column,
                          struct ArrowArray *out)
{
    struct column entries;
    TRY(column_share(&entries, column));
    block_release(entries.validity.block);
    entries.validity = (struct column_buffer){NULL, NULL, 0};
    entries.null_count = 0;
    int code = export_column(schema, &entries, out);
    column_free(&entries);
    return code;
}

/* 0, 1, 2, ... for the entries of a column from its offset on. */
static int count_up(const struct column *column, struct block **out)
{
    TRY(block_new(out, NULL, ((uint64_t)column->offset + (uint64_t)column->length) * 4));
    int32_t *indices = (int32_t *)(void *)(*out)->data;
    for (int64_t i = 0; i < column->offset + column->length; i++)
        indices[i] = i < column->offset ? 0 : (int32_t)(i - column->offset);
    return 0;
}

static int export_dictionary(const struct schema *schema, const struct column *column,
                             struct ArrowArray *out)
{
    begin_array(out, schema, 0);
    struct array_holder *holder = out->private_data;
    TRY(column_share(&holder->column, column));
    const struct column *own = &holder->column;
    out->length = own->length;
    out->offset = own->offset;
    out->null_count = own->null_count;
    out->n_buffers = 2;
    out->dictionary = memory_alloc_zero(sizeof *out->dictionary);
    holder->buffers[0] = own->validity.data;
    holder->buffers[1] = own->values.data;
    if (own->dictionary) return export_column(schema, own->dictionary, out->dictionary);
    TRY(count_up(own, &holder->indices));
    holder->buffers[1] = holder->indices->data;
    return export_entries(schema, own, out->dictionary);
}

int arrow_export_batch(const struct batch *batch, struct ArrowArray *out)
{
    return export_batch(batch, NULL, out);
}

static int export_batch(const struct batch *batch, const bool *dictionaries, struct ArrowArray *out)
{
    begin_array(out, batch->schema, batch->schema->n_fields);
    out->length = batch->n_rows;
    out->n_buffers = 1;
    for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
        const struct column *column = &batch->columns[i];
        bool dictionary = dictionaries && dictionaries[i];
        int code = dictionary ? export_dictionary(batch->schema, column, out->children[i])
                              : export_column(batch->schema, column, out->children[i]);
        if (code == 0) continue;
        release_array(out);
        return code;
    }
    return 0;
}

/* ---- streams ---- */

struct stream_holder {
    struct batch_stream *stream;
    bool *dictionaries; /* NULL: none */
    char text[ERROR_TEXT_BYTES];
};

static int stream_failed(struct stream_holder *holder, int code)
{
    snprintf(holder->text, sizeof holder->text, "%s", error_message());
    return code == GLIS_ENOMEM ? ENOMEM : code == GLIS_EINVALID ? EINVAL : EIO;
}

/* A field's description as that of indices into a dictionary of its values. */
static void make_dictionary(struct ArrowSchema *field)
{
    struct ArrowSchema *values = memory_alloc(sizeof *values);
    *values = *field;
    *field = (struct ArrowSchema){.format = memory_copy_text(SLICE("i")),
                                  .name = values->name,
                                  .flags = values->flags,
                                  .children = memory_alloc_zero(sizeof *field->children),
                                  .dictionary = values,
                                  .release = release_schema};
    values->name = memory_copy_text(SLICE(""));
}

static int stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    struct stream_holder *holder = stream->private_data;
    int code = arrow_export_schema(holder->stream->schema, out);
    for (int64_t i = 0; code == 0 && holder->dictionaries && i < out->n_children; i++)
        if (holder->dictionaries[i]) make_dictionary(out->children[i]);
    return code < 0 ? stream_failed(holder, code) : 0;
}

static int stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    struct stream_holder *holder = stream->private_data;
    struct batch *batch;
    *out = (struct ArrowArray){.release = NULL};
    int code = batch_stream_next(holder->stream, &batch);
    if (code == 0 && batch) {
        code = export_batch(batch, holder->dictionaries, out);
        batch_release(batch);
    }
    return code < 0 ? stream_failed(holder, code) : 0;
}

static const char *stream_error(struct ArrowArrayStream *stream)
{
    const struct stream_holder *holder = stream->private_data;
    return holder->text[0] ? holder->text : NULL;
}

static void stream_release(struct ArrowArrayStream *stream)
{
    struct stream_holder *holder = stream->private_data;
    batch_stream_close(holder->stream);
    free(holder->dictionaries);
    free(holder);
    stream->release = NULL;
}

int arrow_export_stream(struct batch_stream *stream, struct ArrowArrayStream *out)
{
    struct stream_holder *holder = memory_alloc_zero(sizeof *holder);
    holder->stream = stream;
    *out =
        (struct ArrowArrayStream){stream_schema, stream_next, stream_error, stream_release, holder};
    return 0;
}

int arrow_export_stream_dictionaries(struct batch_stream *stream, const bool *dictionaries,
                                     struct ArrowArrayStream *out)
{
    const struct schema *schema = stream->schema;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        if (dictionaries[i] && schema->fields[i].type.n_children)
            return error_set(GLIS_EINVALID, "field '%.*s' cannot be a dictionary",
                             SLICE_PRINT(schema->fields[i].name));
    TRY(arrow_export_stream(stream, out));
    struct stream_holder *holder = out->private_data;
    holder->dictionaries = memory_alloc((schema->n_fields + 1) * sizeof *dictionaries);
    if (schema->n_fields)
        memcpy(holder->dictionaries, dictionaries, schema->n_fields * sizeof *dictionaries);
    return 0;
}

struct batch_stream *arrow_exported_stream(const struct ArrowArrayStream *stream)
{
    if (!stream->release || stream->get_next != stream_next) return NULL;
    return ((struct stream_holder *)stream->private_data)->stream;
}
