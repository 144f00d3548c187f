/*
 * cmd_parquet_rewrite.c: `glis parquet rewrite FILE --output FILE`: the same rows in another
 * physical form. Metadata entries and annotations are carried over, and that the rows are sorted is
 * said again when every row group of the old file said so of its first columns.
 */
#include "base/text.h"
#include "cli/command.h"
#include "parquet/parquet.h"

static int read_options(struct cli *cli, struct parquet_writer_options *out)
{
    static const char *const when[] = {"auto", "never", "always"}; /* as the writer numbers them */
    struct slice codec = cli_value(cli, "codec"), dictionary = cli_value(cli, "dictionary");
    uint64_t level = 0, page_rows = 0, group_rows = 0;
    if (codec.data) out->codec = parquet_codec_parse(codec) + 1;
    TRY(cli_number(cli, "level", 1, 19, &level));
    out->level = (int)level;
    for (int i = 0; i < 3; i++)
        if (dictionary.data && slice_equal_text(dictionary, when[i])) out->dictionary_values = i;
    TRY(cli_bytes(cli, "row-group-size", 1024, UINT64_C(1) << 40, &out->row_group_bytes));
    TRY(cli_number(cli, "row-group-rows", 1, INT32_MAX, &group_rows));
    TRY(cli_bytes(cli, "page-size", 1, 256 << 20, &out->page_bytes));
    TRY(cli_number(cli, "page-rows", 1, INT32_MAX, &page_rows));
    out->row_group_rows_max = group_rows;
    out->page_rows_max = page_rows;
    out->data_page_v1 = slice_equal_text(cli_value(cli, "page-version"), "1");
    out->without_checksums = cli_flag(cli, "no-checksums");
    return 0;
}

/* COLUMN=NAME; the name has no '=', a column's may. */
static int read_encodings(struct cli *cli, struct parquet_writer_options *out)
{
    struct slice *values;
    size_t n;
    cli_values(cli, "encoding", &values, &n);
    struct parquet_column_options *columns =
        ARENA_ARRAY(&cli->arena, struct parquet_column_options, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct slice text = values[i];
        size_t at = text.size;
        while (at > 0 && text.data[at - 1] != '=')
            at--;
        int encoding = at ? parquet_encoding_parse(slice_part(text, at, text.size)) : -1;
        if (at < 2 || encoding < 0)
            return cli_usage(cli,
                             "--encoding is COLUMN=NAME with the name of an encoding, not '%.*s'",
                             SLICE_PRINT(text));
        columns[i] = (struct parquet_column_options){.path = slice_part(text, 0, at - 1),
                                                     .encoding = encoding + 1};
    }
    out->columns = columns;
    out->n_columns = (uint32_t)n;
    return 0;
}

/* COLUMN or COLUMN=RATE; added to what read_encodings made. */
static int read_blooms(struct cli *cli, struct parquet_writer_options *out)
{
    struct slice *values;
    size_t n;
    cli_values(cli, "bloom", &values, &n);
    struct parquet_column_options *columns =
        ARENA_ARRAY(&cli->arena, struct parquet_column_options, out->n_columns + n + 1);
    if (out->n_columns) memcpy(columns, out->columns, out->n_columns * sizeof *columns);
    for (size_t i = 0; i < n; i++) {
        struct slice text = values[i];
        double rate = 0.01, given;
        size_t at = text.size;
        while (at > 0 && text.data[at - 1] != '=')
            at--;
        if (at > 1 && text_parse_double(slice_part(text, at, text.size), &given) == 0) {
            if (!(given > 0 && given < 1))
                return cli_usage(cli, "--bloom COLUMN=RATE has a rate between 0 and 1, not '%.*s'",
                                 SLICE_PRINT(text));
            rate = given;
            text = slice_part(text, 0, at - 1);
        }
        error_clear();
        columns[out->n_columns++] =
            (struct parquet_column_options){.path = text, .bloom_rate = rate};
    }
    out->columns = columns;
    return 0;
}

/* By how many first columns all row groups are said to ascend. */
static uint32_t sorted_columns(const struct parquet_metadata *metadata)
{
    uint32_t n = metadata->n_row_groups ? UINT32_MAX : 0;
    for (uint32_t g = 0; g < metadata->n_row_groups; g++) {
        const struct parquet_row_group *group = &metadata->row_groups[g];
        uint32_t fits = 0;
        while (fits < group->n_sorting && group->sorting[fits].leaf == fits &&
               !group->sorting[fits].descending && !group->sorting[fits].nulls_first)
            fits++;
        if (fits < n) n = fits;
    }
    return n;
}

/* The entries of the footer, but those that say where something stands in the file: it is another
 * place in the new one, or nothing stands there. */
static void keep_entries(struct cli *cli, const struct parquet_metadata *metadata,
                         struct parquet_writer_options *options)
{
    struct parquet_key_value *kept =
        ARENA_ARRAY(&cli->arena, struct parquet_key_value, metadata->n_key_values + 1);
    options->key_values = kept;
    for (uint32_t i = 0; i < metadata->n_key_values; i++)
        if (!slice_equal(metadata->key_values[i].key, SLICE("glis.sketch")))
            kept[options->n_key_values++] = metadata->key_values[i];
}

static int rewrite(struct cli *cli, struct parquet_reader *reader,
                   struct parquet_writer_options *options)
{
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader);
    struct answer_target target = {
        .kind = OUTPUT_PARQUET, .path = cli_value(cli, "output"), .fd = -1, .parquet = options};
    keep_entries(cli, metadata, options);
    options->annotations = metadata->annotations;
    options->n_sorting_columns = sorted_columns(metadata);
    struct batch_stream *stream;
    TRY(parquet_reader_stream(reader, &stream));
    int code = answer_target_open(cli, &target);
    if (code == 0) code = answer_target_write(cli, &target, stream, NULL);
    batch_stream_close(stream);
    answer_target_close(&target);
    return code;
}

int cmd_parquet_rewrite(struct cli *cli)
{
    struct parquet_writer_options options = {0};
    struct parquet_file file;
    TRY(read_options(cli, &options));
    TRY(read_encodings(cli, &options));
    TRY(read_blooms(cli, &options));
    if (!cli_value(cli, "output").data) return cli_usage(cli, "--output FILE must be given");
    TRY(parquet_file_open(cli, &file));
    return parquet_file_close(cli, &file, rewrite(cli, file.reader, &options));
}
