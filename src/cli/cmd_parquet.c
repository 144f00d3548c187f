/*
 * cmd_parquet.c: `glis parquet show|pages|cat FILE`: a look into Parquet files, whoever wrote them.
 * No instance is needed. What the files say about themselves is printed as it stands; values of
 * statistics go through the column's type.
 */
#include "base/text.h"
#include "cli/command.h"
#include "parquet/parquet.h"

#include <stdio.h>
#include <string.h>

static int show_text(struct cli *cli, const struct parquet_reader *reader);
static int show_json(struct cli *cli, const struct parquet_reader *reader);
static int pages_of_chunk(struct cli *cli, struct parquet_reader *reader, uint32_t group,
                          uint32_t leaf, struct text_table *text, struct json_writer *writer);
static struct slice statistic(struct cli *cli, const struct parquet_leaf *leaf, bool has,
                              struct slice plain);
static void bounds_cell(struct text_table *text, bool has, struct slice min, struct slice max);
static void annotation_rows(struct cli *cli, const struct parquet_annotations *annotations);
static void annotation_members(struct json_writer *writer,
                               const struct parquet_annotations *annotations);
static bool says_sizes(const struct parquet_metadata *metadata);
static void size_cells(struct cli *cli, struct text_table *text, const struct parquet_leaf *leaf,
                       const struct parquet_sizes *sizes);
static void size_members(struct json_writer *writer, const struct parquet_leaf *leaf,
                         const struct parquet_sizes *sizes);
static int cat_fields(struct cli *cli, const struct schema *schema, uint32_t **out,
                      uint32_t *n_out);

int parquet_file_open(struct cli *cli, struct parquet_file *out)
{
    struct slice key;
    *out = (struct parquet_file){NULL, NULL};
    TRY_CONTEXT(store_locate(&cli->runtime, cli->arguments[0], &cli->arena, &out->store, &key),
                "%s", arena_copy_text(&cli->arena, cli->arguments[0]));
    int code = cli_start_threads(cli);
    if (code == 0)
        code = parquet_reader_open(&out->reader, &cli->runtime, out->store, key, &cli->budget);
    return code < 0 ? parquet_file_close(cli, out, code) : 0;
}

int parquet_file_close(struct cli *cli, struct parquet_file *file, int code)
{
    parquet_reader_close(file->reader);
    store_close(file->store);
    if (code < 0) error_context("%s", arena_copy_text(&cli->arena, cli->arguments[0]));
    return code;
}

/* ---- show ---- */

int cmd_parquet_show(struct cli *cli)
{
    struct parquet_file opened;
    TRY(parquet_file_open(cli, &opened));
    int code = cli->json ? show_json(cli, opened.reader) : show_text(cli, opened.reader);
    return parquet_file_close(cli, &opened, code);
}

static int show_text(struct cli *cli, const struct parquet_reader *reader)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    const struct schema *schema = parquet_reader_schema(reader);
    cli_print(cli, "rows        %s in %s row %s\n", cli_count(cli, metadata->n_rows),
              cli_count(cli, metadata->n_row_groups),
              metadata->n_row_groups == 1 ? "group" : "groups");
    cli_print(cli, "size        %s, of which the footer has %s\n",
              cli_size(cli, metadata->file_size), cli_size(cli, metadata->footer_size));
    cli_print(cli, "written by  %.*s (format version %d)\n\n", SLICE_PRINT(metadata->created_by),
              metadata->version);
    struct text_table text;
    text_table_init(&text, (const char *[]){"field", "type", "null"}, 3);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        text_table_cell(&text, "%.*s", SLICE_PRINT(schema->fields[i].name));
        text_table_cell(&text, "%s", type_name(&schema->fields[i].type, &cli->arena));
        text_table_cell(&text, "%s", schema->fields[i].nullable ? "may be" : "never");
    }
    text_table_end(cli, &text);
    annotation_rows(cli, &metadata->annotations);
    bool sized = says_sizes(metadata);
    for (uint32_t g = 0; g < metadata->n_row_groups; g++) {
        const struct parquet_row_group *group = &metadata->row_groups[g];
        cli_print(cli, "\nrow group %u: %s rows, %s before compression\n", g,
                  cli_count(cli, group->n_rows), cli_size(cli, group->uncompressed_bytes));
        text_table_init(&text,
                        (const char *[]){"  column", "type", "codec", ">size", ">plain", ">values",
                                         ">nulls", "min .. max", ">text", "levels"},
                        sized ? 10 : 8);
        for (uint32_t l = 0; l < metadata->n_leaves; l++) {
            const struct parquet_chunk *chunk = &group->chunks[l];
            const struct parquet_statistics *s = &chunk->statistics;
            const struct parquet_leaf *leaf = &metadata->leaves[l];
            text_table_cell(&text, "  %.*s", SLICE_PRINT(leaf->path));
            text_table_cell(&text, "%s", parquet_type_name((int)leaf->type));
            text_table_cell(&text, "%s", parquet_codec_name(chunk->codec));
            text_table_cell(&text, "%s", cli_size(cli, chunk->compressed_bytes));
            text_table_cell(&text, "%s", cli_size(cli, chunk->uncompressed_bytes));
            text_table_cell(&text, "%lld", (long long)chunk->n_values);
            text_table_cell(&text, "%s",
                            s->has_null_count ? cli_count(cli, (uint64_t)s->null_count) : "-");
            bounds_cell(&text, s->has_min || s->has_max, statistic(cli, leaf, s->has_min, s->min),
                        statistic(cli, leaf, s->has_max, s->max));
            if (sized) size_cells(cli, &text, leaf, &chunk->sizes);
        }
        text_table_end(cli, &text);
        TRY(runtime_check_cancel(&cli->runtime));
    }
    if (metadata->n_key_values == 0) return 0;
    cli_print(cli, "\n");
    text_table_init(&text, (const char *[]){"metadata", "value"}, 2);
    for (uint32_t i = 0; i < metadata->n_key_values; i++) {
        struct slice value = metadata->key_values[i].value;
        bool is_text = value.size <= 200 && text_is_utf8(value, NULL);
        text_table_cell(&text, "%.*s", SLICE_PRINT(metadata->key_values[i].key));
        if (is_text)
            text_table_cell(&text, "%.*s", SLICE_PRINT(value));
        else
            text_table_cell(&text, "(%s bytes)", cli_count(cli, value.size));
    }
    text_table_end(cli, &text);
    return 0;
}

static int show_json(struct cli *cli, const struct parquet_reader *reader)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    const struct schema *schema = parquet_reader_schema(reader);
    struct json_writer writer;
    cli_json_begin(cli, &writer);
    json_write_object_begin(&writer);
    json_write_field_uint(&writer, "rows", metadata->n_rows);
    json_write_field_uint(&writer, "bytes", metadata->file_size);
    json_write_field_uint(&writer, "footerBytes", metadata->footer_size);
    json_write_field_string(&writer, "createdBy", metadata->created_by);
    json_write_field_int(&writer, "version", metadata->version);
    json_write_name(&writer, "fields");
    json_write_array_begin(&writer);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        json_write_object_begin(&writer);
        json_write_field_string(&writer, "name", schema->fields[i].name);
        json_write_field_text(&writer, "type", type_name(&schema->fields[i].type, &cli->arena));
        json_write_field_bool(&writer, "nullable", schema->fields[i].nullable);
        json_write_object_end(&writer);
    }
    json_write_array_end(&writer);
    annotation_members(&writer, &metadata->annotations);
    json_write_name(&writer, "rowGroups");
    json_write_array_begin(&writer);
    for (uint32_t g = 0; g < metadata->n_row_groups; g++) {
        const struct parquet_row_group *group = &metadata->row_groups[g];
        json_write_object_begin(&writer);
        json_write_field_uint(&writer, "rows", group->n_rows);
        json_write_name(&writer, "columns");
        json_write_array_begin(&writer);
        for (uint32_t l = 0; l < metadata->n_leaves; l++) {
            const struct parquet_chunk *chunk = &group->chunks[l];
            const struct parquet_leaf *leaf = &metadata->leaves[l];
            const struct parquet_statistics *s = &chunk->statistics;
            json_write_object_begin(&writer);
            json_write_field_string(&writer, "column", leaf->path);
            json_write_field_text(&writer, "type", parquet_type_name((int)leaf->type));
            json_write_field_text(&writer, "codec", parquet_codec_name(chunk->codec));
            json_write_field_uint(&writer, "compressedBytes", chunk->compressed_bytes);
            json_write_field_uint(&writer, "uncompressedBytes", chunk->uncompressed_bytes);
            json_write_field_int(&writer, "values", chunk->n_values);
            if (chunk->bloom_offset)
                json_write_field_uint(&writer, "bloomOffset", chunk->bloom_offset);
            if (chunk->bloom_size) json_write_field_uint(&writer, "bloomBytes", chunk->bloom_size);
            if (s->has_null_count) json_write_field_int(&writer, "nulls", s->null_count);
            if (s->has_min)
                json_write_field_string(&writer, "min", statistic(cli, leaf, true, s->min));
            if (s->has_max)
                json_write_field_string(&writer, "max", statistic(cli, leaf, true, s->max));
            size_members(&writer, leaf, &chunk->sizes);
            json_write_object_end(&writer);
        }
        json_write_array_end(&writer);
        json_write_object_end(&writer);
    }
    json_write_array_end(&writer);
    json_write_name(&writer, "metadata");
    json_write_array_begin(&writer);
    for (uint32_t i = 0; i < metadata->n_key_values; i++) {
        json_write_object_begin(&writer);
        json_write_field_string(&writer, "key", metadata->key_values[i].key);
        json_write_field_string(&writer, "value", metadata->key_values[i].value);
        json_write_object_end(&writer);
    }
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    return cli_json_end(cli, &writer);
}

/* A bound as text of at most 40 bytes; "-" when there is none. */
static struct slice statistic(struct cli *cli, const struct parquet_leaf *leaf, bool has,
                              struct slice plain)
{
    struct value value;
    defer_buffer struct buffer text = BUFFER_INIT(1 << 20);
    if (!has) return SLICE("-");
    if (parquet_statistic_value(leaf, plain, &cli->arena, &value) < 0) return SLICE("(damaged)");
    if (leaf->leaf_type->kind == TYPE_STRING && !text_is_utf8(plain, NULL)) return SLICE("(bytes)");
    if (value_to_text(leaf->leaf_type, &value, &text) < 0) return SLICE("?");
    struct slice full = buffer_slice(&text);
    size_t size = full.size;
    if (size > 40)
        for (size = 40; size > 0 && ((unsigned char)full.data[size] & 0xC0) == 0x80;)
            size--;
    return slice_from_text(
        arena_printf(&cli->arena, "%.*s%s", (int)size, full.data, size < full.size ? "…" : ""));
}

/* "min .. max"; nothing where there are no statistics. */
static void bounds_cell(struct text_table *text, bool has, struct slice min, struct slice max)
{
    if (has)
        text_table_cell(text, "%.*s .. %.*s", SLICE_PRINT(min), SLICE_PRINT(max));
    else
        text_table_cell(text, "%s", "");
}

/* ---- annotations ---- */

/* A table of them, where there are any. */
static void annotation_rows(struct cli *cli, const struct parquet_annotations *annotations)
{
    struct text_table text;
    if (annotations->n == 0) return;
    cli_print(cli, "\n");
    text_table_init(&text, (const char *[]){"column", "stands for"}, 2);
    for (uint32_t i = 0; i < annotations->n; i++) {
        const struct parquet_annotation *a = &annotations->items[i];
        const char *name = parquet_annotation_name((int)a->kind);
        const char *crs = a->crs.data ? arena_copy_text(&cli->arena, a->crs) : NULL;
        text_table_cell(&text, "%.*s", SLICE_PRINT(a->path));
        if (a->kind == PARQUET_VARIANT && a->version > 0)
            text_table_cell(&text, "%s version %d", name, a->version);
        else
            text_table_cell(&text, "%s%s%s%s%s", name, crs ? " in " : "", crs ? crs : "",
                            a->edge_algorithm >= 0 ? " by " : "",
                            a->edge_algorithm >= 0 ? parquet_edges_name(a->edge_algorithm) : "");
    }
    text_table_end(cli, &text);
}

static void annotation_members(struct json_writer *writer,
                               const struct parquet_annotations *annotations)
{
    if (annotations->n == 0) return;
    json_write_name(writer, "annotations");
    json_write_array_begin(writer);
    for (uint32_t i = 0; i < annotations->n; i++) {
        const struct parquet_annotation *a = &annotations->items[i];
        json_write_object_begin(writer);
        json_write_field_string(writer, "column", a->path);
        json_write_field_text(writer, "annotation", parquet_annotation_name((int)a->kind));
        if (a->crs.data) json_write_field_string(writer, "crs", a->crs);
        if (a->edge_algorithm >= 0)
            json_write_field_text(writer, "edges", parquet_edges_name(a->edge_algorithm));
        if (a->version > 0) json_write_field_int(writer, "version", a->version);
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

/* ---- size statistics ---- */

static bool says_sizes(const struct parquet_metadata *metadata)
{
    for (uint32_t g = 0; g < metadata->n_row_groups; g++)
        for (uint32_t l = 0; l < metadata->n_leaves; l++) {
            const struct parquet_sizes *sizes = &metadata->row_groups[g].chunks[l].sizes;
            if (sizes->text_bytes >= 0 || sizes->repetition_levels || sizes->definition_levels)
                return true;
        }
    return false;
}

/* Bytes of texts, and how often each level occurs, from 0 up ("r 2/1 d 0/1/2"); nothing where it
 * is not said. */
static void size_cells(struct cli *cli, struct text_table *text, const struct parquet_leaf *leaf,
                       const struct parquet_sizes *sizes)
{
    const int64_t *lists[] = {sizes->repetition_levels, sizes->definition_levels};
    const int greatest[] = {leaf->max_repetition, leaf->max_definition};
    defer_buffer struct buffer cell = BUFFER_INIT(64 << 10);
    for (int i = 0; i < 2; i++)
        for (int level = 0; lists[i] && greatest[i] > 0 && level <= greatest[i]; level++) {
            char word[32];
            const char *before = level > 0 ? "/" : i == 0 ? "r " : cell.size ? " d " : "d ";
            int n = snprintf(word, sizeof word, "%s%lld", before, (long long)lists[i][level]);
            if (n < 0 || buffer_append(&cell, word, (size_t)n) < 0) break;
        }
    text_table_cell(text, "%s",
                    sizes->text_bytes >= 0 ? cli_size(cli, (uint64_t)sizes->text_bytes) : "");
    text_table_cell(text, "%.*s", SLICE_PRINT(buffer_slice(&cell)));
}

static void levels_member(struct json_writer *writer, const char *name, int greatest,
                          const int64_t *counts)
{
    if (!counts) return;
    json_write_name(writer, name);
    json_write_array_begin(writer);
    for (int level = 0; level <= greatest; level++)
        json_write_int(writer, counts[level]);
    json_write_array_end(writer);
}

static void size_members(struct json_writer *writer, const struct parquet_leaf *leaf,
                         const struct parquet_sizes *sizes)
{
    if (sizes->text_bytes >= 0) json_write_field_int(writer, "textBytes", sizes->text_bytes);
    levels_member(writer, "repetitionLevels", leaf->max_repetition, sizes->repetition_levels);
    levels_member(writer, "definitionLevels", leaf->max_definition, sizes->definition_levels);
}

/* What a page index says of one page. */
static struct parquet_sizes sizes_of_page(const struct parquet_leaf *leaf,
                                          const struct parquet_page_index *index, uint32_t page)
{
    struct parquet_sizes sizes = {.text_bytes = -1};
    if (!index || page >= index->n_pages) return sizes;
    size_t repetitions = (size_t)page * ((size_t)leaf->max_repetition + 1);
    size_t definitions = (size_t)page * ((size_t)leaf->max_definition + 1);
    if (index->text_bytes) sizes.text_bytes = index->text_bytes[page];
    if (index->repetition_levels) sizes.repetition_levels = index->repetition_levels + repetitions;
    if (index->definition_levels) sizes.definition_levels = index->definition_levels + definitions;
    return sizes;
}

/* ---- pages ---- */

int cmd_parquet_pages(struct cli *cli)
{
    struct parquet_file opened;
    TRY(parquet_file_open(cli, &opened));
    const struct parquet_metadata *metadata = parquet_reader_metadata(opened.reader);
    struct text_table text;
    struct json_writer writer;
    if (cli->json) {
        cli_json_begin(cli, &writer);
        json_write_array_begin(&writer);
    } else {
        text_table_init(&text,
                        (const char *[]){">group", "column", ">page", "kind", "encoding", ">offset",
                                         ">size", ">plain", ">values", "min .. max", ">text",
                                         "levels"},
                        says_sizes(metadata) ? 12 : 10);
    }
    int code = 0;
    for (uint32_t g = 0; g < metadata->n_row_groups && code == 0; g++)
        for (uint32_t l = 0; l < metadata->n_leaves && code == 0; l++) {
            code = runtime_check_cancel(&cli->runtime);
            if (code == 0) code = pages_of_chunk(cli, opened.reader, g, l, &text, &writer);
        }
    if (!cli->json) text_table_end(cli, &text);
    if (cli->json && code == 0) {
        json_write_array_end(&writer);
        code = cli_json_end(cli, &writer);
    }
    return parquet_file_close(cli, &opened, code);
}

static const char *page_kind(int type)
{
    static const char *const names[] = {"data", "index", "dictionary", "data v2"};
    return type >= 0 && type <= PARQUET_DATA_PAGE_V2 ? names[type] : "?";
}

static int pages_of_chunk(struct cli *cli, struct parquet_reader *reader, uint32_t group,
                          uint32_t leaf_number, struct text_table *text, struct json_writer *writer)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    const struct parquet_leaf *leaf = &parquet_reader_metadata(reader)->leaves[leaf_number];
    const struct parquet_page_index *index = NULL;
    struct parquet_page_header *pages;
    uint32_t n, n_data = 0;
    bool sized = says_sizes(parquet_reader_metadata(reader));
    TRY(parquet_reader_pages(reader, group, leaf_number, &arena, &pages, &n));
    TRY(parquet_reader_page_index(reader, group, leaf_number, &index));
    for (uint32_t i = 0; i < n; i++) {
        const struct parquet_page_header *page = &pages[i];
        bool is_data = page->type == PARQUET_DATA_PAGE || page->type == PARQUET_DATA_PAGE_V2;
        const struct parquet_statistics *s =
            is_data && index && index->has_statistics && n_data < index->n_pages
                ? &index->statistics[n_data]
                : NULL;
        struct parquet_sizes sizes = sizes_of_page(leaf, is_data ? index : NULL, n_data);
        n_data += is_data;
        struct slice min = statistic(cli, leaf, s && s->has_min, s ? s->min : SLICE_EMPTY);
        struct slice max = statistic(cli, leaf, s && s->has_max, s ? s->max : SLICE_EMPTY);
        if (cli->json) {
            json_write_object_begin(writer);
            json_write_field_uint(writer, "rowGroup", group);
            json_write_field_string(writer, "column", leaf->path);
            json_write_field_text(writer, "kind", page_kind(page->type));
            json_write_field_text(writer, "encoding", parquet_encoding_name(page->encoding));
            json_write_field_uint(writer, "offset", page->offset);
            json_write_field_uint(writer, "headerBytes", page->header_size);
            json_write_field_uint(writer, "compressedBytes", page->compressed_size);
            json_write_field_uint(writer, "uncompressedBytes", page->uncompressed_size);
            json_write_field_int(writer, "values", page->n_values);
            json_write_field_bool(writer, "hasChecksum", page->has_checksum);
            if (s && s->has_min) json_write_field_string(writer, "min", min);
            if (s && s->has_max) json_write_field_string(writer, "max", max);
            size_members(writer, leaf, &sizes);
            json_write_object_end(writer);
            continue;
        }
        text_table_cell(text, "%u", group);
        text_table_cell(text, "%.*s", SLICE_PRINT(leaf->path));
        text_table_cell(text, "%u", i);
        text_table_cell(text, "%s", page_kind(page->type));
        text_table_cell(text, "%s", parquet_encoding_name(page->encoding));
        text_table_cell(text, "%llu", (unsigned long long)page->offset);
        text_table_cell(text, "%s",
                        cli_size(cli, page->header_size + (uint64_t)page->compressed_size));
        text_table_cell(text, "%s", cli_size(cli, page->uncompressed_size));
        text_table_cell(text, "%lld", (long long)page->n_values);
        bounds_cell(text, s && (s->has_min || s->has_max), min, max);
        if (sized) size_cells(cli, text, leaf, &sizes);
    }
    return 0;
}

/* ---- cat ---- */

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

static int explain_filter(struct cli *cli, struct batch_stream *stream,
                          const struct parquet_filter_figures *figures)
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
        code = explain_filter(cli, &limited.stream, &figures);
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
