/*
 * cmd_parquet.c: `glis parquet show|pages FILE`: a look into Parquet files, whoever wrote them. No
 * instance is needed. What the files say about themselves is printed as it stands; values of
 * statistics go through the column's type.
 */
#include "base/text.h"
#include "cli/command.h"
#include "parquet/parquet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

int parquet_file_open(struct cli *cli, struct parquet_file *out)
{
    return parquet_file_open_within(cli, &cli->budget, out);
}

/* Standard input, whole, in a file without a name, for a Parquet file is read from its end; the
 * address by which the process finds it. */
static int spool_standard_input(struct cli *cli, struct parquet_file *out, struct slice *address)
{
    enum { PIECE_BYTES = 1 << 20 };
    const char *folder = getenv("TMPDIR");
    struct byte_source *source;
    if (!folder || !*folder) folder = "/tmp";
    out->spool = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (out->spool < 0) return error_set_errno(errno, "cannot make a temporary file in %s", folder);
    TRY(byte_source_open_fd(&cli->runtime, STDIN_FILENO, "standard input", false, &source));
    defer_free uint8_t *piece = memory_alloc(PIECE_BYTES);
    int code = 0;
    for (size_t got = 1; code == 0 && got > 0;) {
        code = source->read(source, piece, PIECE_BYTES, &got);
        for (size_t done = 0; code == 0 && done < got;) {
            ssize_t n = write(out->spool, piece + done, got - done);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0)
                code = error_set_errno(errno, "cannot keep standard input in %s (TMPDIR)", folder);
            else
                done += (size_t)n;
        }
        if (code == 0) code = runtime_check_cancel(&cli->runtime);
    }
    byte_source_close(source);
    *address = slice_from_text(arena_printf(&cli->arena, "/proc/self/fd/%d", out->spool));
    return code;
}

int parquet_file_open_within(struct cli *cli, struct budget *budget, struct parquet_file *out)
{
    struct slice key, address = cli->arguments[0];
    *out = (struct parquet_file){.spool = -1};
    if (slice_equal_text(address, "-")) {
        int spooled = spool_standard_input(cli, out, &address);
        if (spooled < 0) return parquet_file_close(cli, out, spooled);
    }
    int located = store_locate(&cli->runtime, address, &cli->arena, &out->store, &key);
    if (located < 0) return parquet_file_close(cli, out, located);
    int code = cli_start_threads(cli);
    if (code == 0) code = parquet_reader_open(&out->reader, &cli->runtime, out->store, key, budget);
    return code < 0 ? parquet_file_close(cli, out, code) : 0;
}

int parquet_file_close(struct cli *cli, struct parquet_file *file, int code)
{
    parquet_reader_close(file->reader);
    store_close(file->store);
    if (file->spool >= 0) close(file->spool);
    if (code < 0)
        error_context("%s", slice_equal_text(cli->arguments[0], "-")
                                ? "standard input"
                                : arena_copy_text(&cli->arena, cli->arguments[0]));
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
