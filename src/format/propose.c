/*
 * propose.c: the schema that fits a text file, guessed from its first rows.
 *
 * Every column begins with all scalar types possible, and each value strikes out those that do not
 * read it; the first that is left in the order of `ladder` is proposed, text when none is. Whole
 * numbers become LongType (IntType would be a guess about rows not seen), numbers with leading
 * zeros stay text (they are codes). JSON is read as trees, and trees of one place are joined: whole
 * and real numbers to reals, objects to structs with the members of all, arrays by their elements.
 * Values are nullable, since rows that were not looked at may lack them; keys are not.
 */
#include "base/json.h"
#include "format/format_int.h"

#include <stdlib.h>

enum { SAMPLE_ROWS = 10000, SAMPLE_JSON_BYTES = 16 << 20 };

/* ---- by name ---- */

int format_kind_by_name(struct slice name, enum format_kind *kind, char *delimiter)
{
    static const struct {
        const char *ending;
        enum format_kind kind;
        char delimiter;
    } endings[] = {
        {".parquet", FORMAT_PARQUET, 0}, {".csv", FORMAT_CSV, ','},   {".tsv", FORMAT_CSV, '\t'},
        {".txt", FORMAT_CSV, ','},       {".jsonl", FORMAT_JSONL, 0}, {".ndjson", FORMAT_JSONL, 0},
        {".json", FORMAT_JSONL, 0},
    };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (!slice_ends_with(name, slice_from_text(endings[i].ending))) continue;
        *kind = endings[i].kind;
        if (delimiter && endings[i].delimiter) *delimiter = endings[i].delimiter;
        return 0;
    }
    static const char *const packed[] = {".gz", ".zst", ".bz2", ".xz", ".zip", ".lz4"};
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (slice_ends_with(name, slice_from_text(packed[i])))
            return error_set(GLIS_EUNSUPPORTED,
                             "%.*s: compressed files are not read: unpack it first",
                             SLICE_PRINT(name));
    return error_set(GLIS_EINVALID,
                     "%.*s: the kind of file is not known by its name (.parquet, .csv, .tsv, .txt, "
                     ".jsonl, .ndjson, .json)",
                     SLICE_PRINT(name));
}

/* ---- scalars ---- */

/* Candidates in the order of preference; bit i of a mask stands for ladder[i]. */
static const struct type ladder[] = {
    {.kind = TYPE_BOOLEAN},
    {.kind = TYPE_INT64},
    {.kind = TYPE_DOUBLE},
    {.kind = TYPE_DATE},
    {.kind = TYPE_TIMESTAMP, .unit = UNIT_MICRO, .utc = true},
};
enum {
    LADDER_SIZE = 5,
    LADDER_ALL = (1 << LADDER_SIZE) - 1,
    LADDER_BOOLEAN = 1,
    LADDER_NUMBERS = 6
};

static bool has_leading_zero(struct slice text)
{
    if (text.size && text.data[0] == '-') text = slice_part(text, 1, text.size);
    return text.size > 1 && text.data[0] == '0' && text.data[1] >= '0' && text.data[1] <= '9';
}

/* Strikes out what cannot read `text`. */
static unsigned narrow(unsigned mask, struct slice text, struct arena *scratch)
{
    struct value value;
    if (has_leading_zero(text)) mask &= ~(unsigned)LADDER_NUMBERS;
    for (unsigned i = 0; i < LADDER_SIZE; i++)
        if (mask >> i & 1 && value_from_text(&ladder[i], text, scratch, &value) < 0)
            mask &= ~(1u << i);
    return mask;
}

static struct type type_of_mask(unsigned mask, bool any)
{
    for (unsigned i = 0; i < LADDER_SIZE && any; i++)
        if (mask >> i & 1) return ladder[i];
    return (struct type){.kind = TYPE_STRING};
}

/* ---- CSV ---- */

static int skip_bad_row(void *state, const struct format_bad_row *bad)
{
    (void)state;
    (void)bad;
    return 0;
}

static int look_at_csv(struct batch_stream *stream, uint32_t rows_wanted, unsigned *masks,
                       bool *any)
{
    struct arena scratch defer_arena = ARENA_EMPTY;
    uint32_t rows = 0;
    while (rows < rows_wanted) {
        struct batch *batch;
        TRY(batch_stream_next(stream, &batch));
        if (!batch) return 0;
        for (int64_t row = 0; row < batch->n_rows && rows < rows_wanted; row++, rows++)
            for (uint32_t i = 0; i < batch->schema->n_fields; i++) {
                if (column_is_null(&batch->columns[i], row)) continue;
                struct slice text = column_slice_at(&batch->columns[i], row);
                any[i] = true;
                masks[i] = narrow(masks[i], text, &scratch);
            }
        batch_release(batch);
    }
    return 0;
}

static int propose_csv(struct byte_source *source, const struct propose_options *options,
                       uint32_t rows_wanted, struct schema **out)
{
    struct format_options format = options->format;
    format.batch_rows = rows_wanted;
    format.bad_row = skip_bad_row;
    struct batch_stream *stream;
    TRY(csv_reader_open(source, NULL, &format, &stream));
    struct arena arena defer_arena = ARENA_EMPTY;
    uint32_t n = stream->schema->n_fields;
    unsigned *masks = ARENA_ARRAY(&arena, unsigned, n);
    bool *any = ARENA_ARRAY(&arena, bool, n);
    struct field *fields = ARENA_ARRAY(&arena, struct field, n);
    for (uint32_t i = 0; i < n; i++)
        masks[i] = LADDER_ALL;
    int code = look_at_csv(stream, rows_wanted, masks, any);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = (struct field){.name = stream->schema->fields[i].name,
                                   .type = type_of_mask(masks[i], any[i]),
                                   .nullable = true};
    if (code == 0) code = schema_new(out, fields, n, 0, 0);
    batch_stream_close(stream);
    return code;
}

/* ---- JSON ---- */

/* What was seen at one place: a shape that all values so far fit. */
struct shape {
    struct slice name;
    enum { SHAPE_NOTHING, SHAPE_SCALAR, SHAPE_LIST, SHAPE_STRUCT } kind;
    bool is_text;                      /* a scalar written as a string */
    unsigned mask;                     /* of the ladder; 0: only a string holds them all */
    struct shape *first, *last, *next; /* members, or the one element; the next of its parent's */
    uint32_t n_members;
};

static struct shape *shape_member(struct shape *shape, struct slice name, struct arena *arena)
{
    for (struct shape *member = shape->first; member; member = member->next)
        if (slice_equal(member->name, name)) return member;
    struct shape *member = ARENA_NEW(arena, struct shape);
    member->name = arena_copy(arena, name);
    member->mask = LADDER_ALL;
    if (shape->last)
        shape->last->next = member;
    else
        shape->first = member;
    shape->last = member;
    shape->n_members++;
    return member;
}

static int shape_kind(struct shape *shape, int kind, const struct json *json)
{
    if (shape->kind != SHAPE_NOTHING && (int)shape->kind != kind)
        return json_fail(json, "%s, where other rows have something else",
                         json_type_text(json->type));
    shape->kind = (unsigned)kind;
    return 0;
}

static int shape_scalar(struct shape *shape, const struct json *json, struct arena *scratch)
{
    bool first = shape->kind == SHAPE_NOTHING;
    TRY(shape_kind(shape, SHAPE_SCALAR, json));
    bool is_text = json->type == JSON_TYPE_STRING;
    if (!first && is_text != shape->is_text) shape->mask = 0;
    shape->is_text = is_text;
    if (is_text) {
        unsigned mask = shape->mask & ~(unsigned)(LADDER_NUMBERS | LADDER_BOOLEAN);
        shape->mask = narrow(mask, json->text, scratch);
        return 0;
    }
    if (json->type == JSON_TYPE_BOOL) shape->mask &= LADDER_BOOLEAN;
    if (json->type == JSON_TYPE_INT) shape->mask &= LADDER_NUMBERS;
    if (json->type == JSON_TYPE_DOUBLE) shape->mask &= LADDER_NUMBERS & ~2u;
    return 0;
}

static int shape_add(struct shape *shape, const struct json *json, struct arena *arena,
                     struct arena *scratch)
{
    switch (json->type) {
    case JSON_TYPE_NULL: return 0;
    case JSON_TYPE_ARRAY:
        TRY(shape_kind(shape, SHAPE_LIST, json));
        for (size_t i = 0; i < json->n_items; i++)
            TRY(shape_add(shape_member(shape, SLICE("element"), arena), &json->items[i], arena,
                          scratch));
        return 0;
    case JSON_TYPE_OBJECT:
        TRY(shape_kind(shape, SHAPE_STRUCT, json));
        for (size_t i = 0; i < json->n_items; i++)
            TRY(shape_add(shape_member(shape, json->items[i].name, arena), &json->items[i], arena,
                          scratch));
        return 0;
    default: return shape_scalar(shape, json, scratch);
    }
}

static struct type type_of_shape(const struct shape *shape, struct arena *arena)
{
    if (shape->kind == SHAPE_LIST) {
        struct type element =
            shape->first ? type_of_shape(shape->first, arena) : (struct type){.kind = TYPE_STRING};
        return type_list(arena, element, true);
    }
    if (shape->kind != SHAPE_STRUCT || !shape->first)
        return type_of_mask(shape->mask, shape->kind == SHAPE_SCALAR);
    struct field *fields = ARENA_ARRAY(arena, struct field, shape->n_members), *field = fields;
    for (const struct shape *member = shape->first; member; member = member->next)
        *field++ = (struct field){
            .name = member->name, .type = type_of_shape(member, arena), .nullable = true};
    return (struct type){.kind = TYPE_STRUCT, .n_children = shape->n_members, .children = fields};
}

static int look_at_json(struct row_reader *rows, uint32_t rows_wanted, struct shape *root,
                        struct arena *arena)
{
    struct json_rules rules = {SAMPLE_JSON_BYTES, TYPE_DEPTH_MAX * 2 + 2, GLIS_EDATA};
    for (uint32_t i = 0; i < rows_wanted; i++) {
        struct arena scratch defer_arena = ARENA_EMPTY;
        struct slice row;
        bool more;
        const struct json *json;
        TRY(jsonl_rows_next(rows, &row, &more));
        if (!more) return 0;
        int code = json_parse(&scratch, row, rules, &json);
        if (code == 0) code = json_as_object(json);
        if (code == 0) code = shape_add(root, json, arena, &scratch);
        if (code < 0) {
            error_context("%s: line %lld", rows->window.source->name, (long long)rows->line);
            return code;
        }
    }
    return 0;
}

static int propose_json(struct byte_source *source, const struct propose_options *options,
                        uint32_t rows_wanted, struct schema **out)
{
    struct row_reader *rows;
    char *name = memory_copy_text(slice_from_text(source->name));
    defer_free char *name_owner = name;
    TRY(jsonl_rows_open(source, &options->format, &rows));
    struct arena arena defer_arena = ARENA_EMPTY;
    struct shape root = {0};
    int code = look_at_json(rows, rows_wanted, &root, &arena);
    row_reader_close(&rows->stream);
    TRY(code);
    if (!root.first) return error_set(GLIS_EDATA, "%s: no row with a field", name);
    struct type type = type_of_shape(&root, &arena);
    return schema_new(out, type.children, type.n_children, 0, 0);
}

/* ---- the table's schema ---- */

int format_propose_schema(const struct schema *from, const struct propose_options *options,
                          struct schema **out)
{
    struct slice row_key;
    const struct slice *row_keys = options->row_keys;
    uint32_t n_row_keys = options->n_row_keys;
    for (uint32_t i = 0; i < from->n_fields && n_row_keys == 0; i++) {
        bool taken = false;
        for (uint32_t k = 0; k < options->n_sort_keys; k++)
            taken |= slice_equal(options->sort_keys[k], from->fields[i].name);
        if (taken || !type_can_be_key(&from->fields[i].type)) continue;
        row_key = from->fields[i].name;
        row_keys = &row_key;
        n_row_keys = 1;
    }
    if (n_row_keys == 0)
        return error_set(GLIS_EINVALID, "no column has a type that a row key can have");
    return schema_propose(from, row_keys, n_row_keys, options->sort_keys, options->n_sort_keys,
                          out);
}

int format_propose(struct byte_source *source, enum format_kind kind,
                   const struct propose_options *options, struct schema **out)
{
    uint32_t rows = options->sample_rows ? options->sample_rows : SAMPLE_ROWS;
    struct schema *from;
    if (kind == FORMAT_CSV)
        TRY(propose_csv(source, options, rows, &from));
    else if (kind == FORMAT_JSONL)
        TRY(propose_json(source, options, rows, &from));
    else {
        byte_source_close(source);
        return error_set(GLIS_EINVALID, "Parquet files have a schema of their own");
    }
    int code = format_propose_schema(from, options, out);
    schema_release(from);
    return code;
}
