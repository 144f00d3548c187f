/*
 * cmd_parquet_cat.c: `glis parquet cat FILE`: the rows of a Parquet file, or those that meet
 * conditions, in any output form. What the columns are annotated as goes along into Parquet, and
 * dictionaries into an Arrow stream where they are asked for.
 */
#include "cli/command.h"
#include "parquet/parquet.h"

#include <string.h>

static int cat_fields(struct cli *cli, const struct schema *schema, uint32_t **out,
                      uint32_t *n_out);

/* ---- conditions ---- */

static struct slice trim(struct slice s)
{
    size_t begin = 0, end = s.size;
    while (begin < end && s.data[begin] == ' ')
        begin++;
    while (end > begin && s.data[end - 1] == ' ')
        end--;
    return slice_part(s, begin, end - begin);
}

/* Finds the operator: the first that stands between a column and a value. */
static bool split_condition(struct slice text, struct slice *column, enum parquet_operator *op,
                            struct slice *value)
{
    static const struct {
        const char *text;
        enum parquet_operator op;
    } words[] = {
        {" is not null", PARQUET_IS_NOT_NULL},
        {" is null", PARQUET_IS_NULL},
        {"<=", PARQUET_LESS_EQUAL},
        {">=", PARQUET_GREATER_EQUAL},
        {"!=", PARQUET_NOT_EQUAL},
        {"<", PARQUET_LESS},
        {">", PARQUET_GREATER},
        {"=", PARQUET_EQUAL},
    };
    for (size_t at = 1; at < text.size; at++) {
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
            struct slice word = slice_from_text(words[w].text);
            struct slice rest = slice_part(text, at, text.size);
            bool null_test = words[w].op == PARQUET_IS_NULL || words[w].op == PARQUET_IS_NOT_NULL;
            if (rest.size < word.size || strncasecmp(rest.data, word.data, word.size) != 0 ||
                (null_test && rest.size != word.size))
                continue;
            *column = trim(slice_part(text, 0, at));
            *value = trim(slice_part(rest, word.size, rest.size));
            char quote = value->size >= 2 ? value->data[0] : 0;
            if ((quote == '\'' || quote == '"') && value->data[value->size - 1] == quote)
                *value = slice_part(*value, 1, value->size - 2);
            *op = words[w].op;
            return true;
        }
    }
    return false;
}

/* A value of the column's type; integers of the types that only Parquet has by way of long. */
static int read_operand(struct cli *cli, const struct type *type, struct slice text,
                        struct value *out)
{
    static const struct type wide = {.kind = TYPE_INT64};
    enum type_kind kind = type->kind;
    bool integer = kind == TYPE_INT8 || kind == TYPE_INT16 || kind == TYPE_UINT8 ||
                   kind == TYPE_UINT16 || kind == TYPE_UINT32;
    if (type->n_children)
        return error_set(GLIS_EUNSUPPORTED, "conditions on nested columns are not supported");
    TRY(value_from_text(integer ? &wide : type, text, &cli->arena, out));
    if (!integer) return 0;
    bool is_signed = kind == TYPE_INT8 || kind == TYPE_INT16;
    unsigned bits = kind == TYPE_INT8 || kind == TYPE_UINT8     ? 8
                    : kind == TYPE_INT16 || kind == TYPE_UINT16 ? 16
                                                                : 32;
    int64_t max = (INT64_C(1) << (is_signed ? bits - 1 : bits)) - 1, min = is_signed ? -max - 1 : 0;
    if (out->integer < min || out->integer > max)
        return error_set(GLIS_EDATA, "outside of the column's type: %.*s", SLICE_PRINT(text));
    out->kind = kind;
    return 0;
}

static int read_conditions(struct cli *cli, const struct schema *schema,
                           struct parquet_condition **out, uint32_t *n_out)
{
    struct slice *texts;
    size_t n;
    cli_values(cli, "where", &texts, &n);
    *n_out = (uint32_t)n;
    *out = ARENA_ARRAY(&cli->arena, struct parquet_condition, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct parquet_condition *condition = &(*out)[i];
        struct slice column, value;
        if (!split_condition(texts[i], &column, &condition->op, &value) || column.size == 0)
            return cli_usage(cli,
                             "--where is 'column = value', with =, !=, <, <=, >, >=, 'is null' "
                             "or 'is not null', not '%.*s'",
                             SLICE_PRINT(texts[i]));
        TRY(cli_find_column(cli, schema, column, &condition->field));
        if (condition->op == PARQUET_IS_NULL || condition->op == PARQUET_IS_NOT_NULL) continue;
        TRY_CONTEXT(
            read_operand(cli, &schema->fields[condition->field].type, value, &condition->value),
            "--where %.*s", SLICE_PRINT(texts[i]));
    }
    return 0;
}

/* ---- rows ---- */

/* At most so many rows of a stream. */
struct limited {
    struct batch_stream stream;
    struct batch_stream *behind;
    uint64_t left;
};

static int limited_next(struct batch_stream *stream, struct batch **out)
{
    struct limited *self = (struct limited *)stream;
    *out = NULL;
    if (self->left == 0) return 0;
    TRY(batch_stream_next(self->behind, out));
    if (!*out) return 0;
    if ((uint64_t)(*out)->n_rows > self->left) {
        struct batch *part;
        int code = batch_slice(*out, 0, (int64_t)self->left, &part);
        batch_release(*out);
        *out = code < 0 ? NULL : part;
        TRY(code);
    }
    self->left -= (uint64_t)(*out)->n_rows;
    return 0;
}

static int explain_filter(struct cli *cli, const struct parquet_file *file,
                          struct batch_stream *stream, const struct parquet_filter_figures *figures)
{
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(stream, &batch));
        if (!batch) break;
        batch_release(batch);
    }
    cli_print(cli, "row groups  %s, %s left out by their statistics, %s by bloom filters\n",
              cli_count(cli, figures->row_groups), cli_count(cli, figures->row_groups_skipped),
              cli_count(cli, figures->row_groups_skipped_bloom));
    cli_print(cli, "pages       %s of the columns in conditions, %s left out by the column index\n",
              cli_count(cli, figures->pages), cli_count(cli, figures->pages_skipped));
    cli_print(cli, "rows        %s tested, %s decoded in all columns, %s given\n",
              cli_count(cli, figures->rows_tested), cli_count(cli, figures->rows_decoded),
              cli_count(cli, figures->rows_given));
    struct store_counters asked = store_counters(file->store);
    cli_print(cli, "read        %s of the file's %s, in %s %s, its footer included\n",
              cli_size(cli, asked.bytes_read),
              cli_size(cli, parquet_reader_metadata(file->reader)->file_size),
              cli_count(cli, asked.gets), asked.gets == 1 ? "request" : "requests");
    return 0;
}

/* Marks the fields that have a dictionary in some row group; the sink leaves out those that cannot
 * be one. */
static bool *dictionary_fields(struct cli *cli, const struct parquet_reader *reader,
                               const uint32_t *fields, uint32_t n_fields)
{
    const uint32_t encodings = 1u << PARQUET_RLE_DICTIONARY | 1u << PARQUET_PLAIN_DICTIONARY;
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    uint32_t n = parquet_reader_schema(reader)->n_fields;
    bool *has = ARENA_ARRAY(&cli->arena, bool, n + 1);
    bool *marks = ARENA_ARRAY(&cli->arena, bool, n_fields + 1);
    for (uint32_t g = 0; g < metadata->n_row_groups; g++)
        for (uint32_t l = 0; l < metadata->n_leaves; l++)
            if (metadata->row_groups[g].chunks[l].encodings & encodings)
                has[metadata->leaves[l].field] = true;
    for (uint32_t i = 0; i < n_fields; i++)
        marks[i] = has[fields[i]];
    return marks;
}

int cmd_parquet_cat(struct cli *cli)
{
    struct answer_target target;
    bool explain = cli_flag(cli, "explain"), dictionaries = cli_flag(cli, "dictionaries");
    TRY(answer_target_choose(cli, &target));
    if (dictionaries && (target.kind != OUTPUT_ARROW || cli_flag(cli, "where")))
        return cli_usage(cli, "--dictionaries goes with --format arrow, and not with --where");
    uint64_t limit = UINT64_MAX;
    TRY(cli_number(cli, "limit", 0, UINT64_MAX, &limit));
    struct parquet_file opened;
    TRY(parquet_file_open(cli, &opened));
    uint32_t *fields, n_fields, n_conditions = 0;
    struct parquet_condition *conditions = NULL;
    struct parquet_filter_figures figures = {0};
    struct limited limited = {.stream = {NULL, limited_next, NULL}, .left = limit};
    const struct schema *schema = parquet_reader_schema(opened.reader);
    int code = cat_fields(cli, schema, &fields, &n_fields);
    if (code == 0) code = read_conditions(cli, schema, &conditions, &n_conditions);
    uint64_t n = parquet_reader_rows(opened.reader);
    if (code == 0 && dictionaries)
        target.dictionaries = dictionary_fields(cli, opened.reader, fields, n_fields);
    if (code == 0 && dictionaries)
        code =
            parquet_reader_stream_dictionaries(opened.reader, fields, n_fields, target.dictionaries,
                                               0, limit < n ? limit : n, 0, &limited.behind);
    else if (code == 0)
        code = n_conditions
                   ? parquet_reader_stream_where(opened.reader, fields, n_fields, conditions,
                                                 n_conditions, &figures, &limited.behind)
                   : parquet_reader_stream_part(opened.reader, fields, n_fields, 0,
                                                limit < n ? limit : n, 0, &limited.behind);
    if (code == 0) limited.stream.schema = limited.behind->schema;
    struct parquet_writer_options options = {.n_columns = 0};
    if (code == 0)
        options.annotations =
            parquet_reader_annotations(opened.reader, fields, n_fields, &cli->arena);
    target.parquet = &options;
    if (code == 0 && explain) {
        code = explain_filter(cli, &opened, &limited.stream, &figures);
    } else {
        if (code == 0) code = answer_target_open(cli, &target);
        if (code == 0) code = answer_target_write(cli, &target, &limited.stream, NULL);
    }
    batch_stream_close(limited.behind);
    answer_target_close(&target);
    return parquet_file_close(cli, &opened, code);
}

static int cat_fields(struct cli *cli, const struct schema *schema, uint32_t **out, uint32_t *n_out)
{
    if (!cli_flag(cli, "columns")) {
        *n_out = schema->n_fields;
        *out = ARENA_ARRAY(&cli->arena, uint32_t, schema->n_fields);
        for (uint32_t i = 0; i < schema->n_fields; i++)
            (*out)[i] = i;
        return 0;
    }
    struct slice *names;
    size_t n;
    cli_names(cli, "columns", &names, &n);
    *out = ARENA_ARRAY(&cli->arena, uint32_t, n);
    *n_out = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        TRY(cli_find_column(cli, schema, names[i], &(*out)[i]));
    return 0;
}
