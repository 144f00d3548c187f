/*
 * commands_of_parquet.c: entries of the table of commands for `glis parquet ...`, which looks into
 * Parquet files and rewrites them, without any instance.
 */
#include "cli/command_options.h"

static const struct command_option cat_options[] = {
    {.name = "columns", .argument = "NAMES", .repeats = true, .text = "columns wanted, by comma"},
    {.name = "where",
     .argument = "CONDITION",
     .repeats = true,
     .text = "only rows that meet it: 'column = value', with =, !=, <, <=, >, >=, or 'column is "
             "null', 'column is not null'; several must all be met; a value may be quoted"},
    OPTION_LIMIT,
    OPTION_ANSWER_FORMAT,
    OPTION_ANSWER_OUTPUT,
    {.name = "dictionaries",
     .text = "with --format arrow: texts and bytes that the file has in dictionaries stay there"},
    {.name = "explain",
     .text = "print what --where looked at, left out and read, instead of the rows"},
    OPTIONS_END,
};

static const struct command_option rewrite_options[] = {
    {.name = "output",
     .argument = "FILE",
     .text = "the new file; it appears when it is complete, also in place of the old one"},
    {.name = "codec",
     .argument = "NAME",
     .choices = "zstd|snappy|gzip|brotli|lz4_raw|uncompressed",
     .text = "how pages are compressed; else zstd"},
    {.name = "level", .argument = "N", .text = "the codec's level of effort"},
    {.name = "encoding",
     .argument = "COLUMN=NAME",
     .repeats = true,
     .text = "how a column is encoded (PLAIN, RLE_DICTIONARY, DELTA_BINARY_PACKED, "
             "DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY, BYTE_STREAM_SPLIT, RLE); else its values "
             "decide"},
    {.name = "dictionary",
     .argument = "WHEN",
     .choices = "auto|always|never",
     .text = "dictionaries: where they make the file smaller, wherever they can be, nowhere"},
    {.name = "row-group-size", .argument = "SIZE", .text = "of uncompressed data, about; else 32M"},
    {.name = "row-group-rows", .argument = "N", .text = "rows of a row group at most"},
    {.name = "page-size", .argument = "SIZE", .text = "of a page before compression; else 64K"},
    {.name = "page-rows", .argument = "N", .text = "rows of a page at most; else 20,000"},
    {.name = "page-version", .argument = "N", .choices = "1|2", .text = "of data pages; else 2"},
    {.name = "bloom",
     .argument = "COLUMN[=RATE]",
     .repeats = true,
     .text = "a bloom filter for a column, with this share of false positives; else 0.01"},
    {.name = "no-checksums", .text = "leave the pages' checksums out"},
    OPTIONS_END,
};

const struct command commands_of_parquet[] = {
    {.noun = "parquet",
     .verb = "show",
     .arguments = "FILE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Show the schema, metadata and row groups of a Parquet file",
     .text = "",
     .run = cmd_parquet_show},
    {.noun = "parquet",
     .verb = "pages",
     .arguments = "FILE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "List the pages of a Parquet file",
     .text = "For each row group and column: place, size, encoding, rows, and least and greatest "
             "value where the file says them.",
     .run = cmd_parquet_pages},
    {.noun = "parquet",
     .verb = "cat",
     .arguments = "FILE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Print the rows of a Parquet file",
     .text = "",
     .options = cat_options,
     .examples = "  glis parquet cat data.parquet --limit 10 --format jsonl\n"
                 "  glis parquet cat data.parquet --where 'price > 100' --where 'city = Bern'\n",
     .run = cmd_parquet_cat},
    {.noun = "parquet",
     .verb = "check",
     .arguments = "FILE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Compare what a Parquet file says of itself with its rows",
     .text =
         "Checksums, counts, sizes, encodings, page indexes, statistics and sorting; a line for "
         "each that is wrong. The exit code is 1 when there is one.",
     .run = cmd_parquet_check},
    {.noun = "parquet",
     .verb = "rewrite",
     .arguments = "FILE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Write a Parquet file anew: other codec, encodings or sizes",
     .text = "The rows stay as they are and in their order; the metadata entries are kept.",
     .options = rewrite_options,
     .examples =
         "  glis parquet rewrite old.parquet --output new.parquet --codec zstd --level 9\n"
         "  glis parquet rewrite x.parquet --output y.parquet --encoding id=DELTA_BINARY_PACKED\n",
     .run = cmd_parquet_rewrite},
    COMMANDS_END,
};
