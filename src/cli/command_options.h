/*
 * command_options.h: what the files of the table of commands share: options that several commands
 * have, each written once, so that they read and mean the same wherever they stand; and the ends of
 * the arrays.
 *
 * An entry OPTION_X is one element of an array of struct command_option, OPTIONS_OF_X are several.
 */
#ifndef GLIS_CLI_COMMAND_OPTIONS_H
#define GLIS_CLI_COMMAND_OPTIONS_H

#include "cli/command.h"

/* The arrays end by an element without a name. */
#define OPTIONS_END  \
    {                \
        .name = NULL \
    }
#define COMMANDS_END \
    {                \
        .noun = NULL \
    }

extern const struct command commands_of_instance[], commands_of_tables[], commands_of_rows[],
    commands_of_upkeep[], commands_of_parquet[];

/* ---- which rows ---- */

#define OPTIONS_OF_REGIONS                                                                       \
    {.name = "key",                                                                              \
     .argument = "VALUE...",                                                                     \
     .many = true,                                                                               \
     .repeats = true,                                                                            \
     .text = "rows of this key: a value for each row-key field, or for the first few of them"},  \
        {.name = "from",                                                                         \
         .argument = "VALUE...",                                                                 \
         .many = true,                                                                           \
         .repeats = true,                                                                        \
         .text = "rows at or above this key"},                                                   \
    {                                                                                            \
        .name = "to", .argument = "VALUE...", .many = true, .repeats = true,                     \
        .text = "rows below this key (with --from: one range; several pairs are several ranges)" \
    }

#define OPTION_LIMIT                                                     \
    {                                                                    \
        .name = "limit", .argument = "N", .text = "at most so many rows" \
    }

/* ---- which tables ---- */

#define OPTION_ALL                                          \
    {                                                       \
        .name = "all", .text = "every table that is online" \
    }

/* ---- files that come in ---- */

#define OPTION_INPUT_FORMAT                                                     \
    {                                                                           \
        .name = "format", .argument = "FORMAT", .choices = "parquet|csv|jsonl", \
        .text = "what the files are; else their names say it"                   \
    }
#define OPTION_IGNORE_EXTRA_COLUMNS                                                              \
    {                                                                                            \
        .name = "ignore-extra-columns", .text = "leave columns out that the table does not have" \
    }
#define OPTION_BAD_ROWS_TO                                                                       \
    {                                                                                            \
        .name = "bad-rows-to", .argument = "FILE",                                               \
        .text =                                                                                  \
            "put refused rows into this file, with the reasons, and go on; else the first ends " \
            "the job"                                                                            \
    }
#define OPTION_DELIMITER                                                                \
    {                                                                                   \
        .name = "delimiter", .argument = "C", .text = "of CSV: one character, or 'tab'" \
    }
#define OPTION_NULL                                              \
    {                                                            \
        .name = "null", .argument = "TEXT",                      \
        .text = "of CSV: an unquoted field of this text is null" \
    }

/* ---- answers that go out ---- */

#define OPTION_ANSWER_FORMAT                                                                \
    {                                                                                       \
        .name = "format", .argument = "FORMAT", .choices = "table|csv|jsonl|parquet|arrow", \
        .text = "how rows are written; else by the name of --output, or a table"            \
    }
#define OPTION_ANSWER_OUTPUT                                         \
    {                                                                \
        .name = "output", .argument = "FILE",                        \
        .text = "write to this file; it appears when it is complete" \
    }

/* ---- schemas and split points ---- */

#define OPTIONS_OF_SCHEMA                                                                          \
    {.name = "schema", .argument = "FILE", .text = "the schema, as JSON; - reads standard input"}, \
        {.name = "like",                                                                           \
         .argument = "FILE",                                                                       \
         .text = "propose the schema from a Parquet, CSV or JSON lines file"},                     \
        {.name = "row-keys",                                                                       \
         .argument = "NAMES",                                                                      \
         .repeats = true,                                                                          \
         .text = "with --like: the columns that rows are found and sorted by, by comma"},          \
    {                                                                                              \
        .name = "sort-keys", .argument = "NAMES", .repeats = true,                                 \
        .text = "with --like: columns that sort rows of equal row keys"                            \
    }
#define OPTION_SPLITS_BASE64                                                           \
    {                                                                                  \
        .name = "splits-base64", .text = "the split points of a string key are base64" \
    }
#define OPTION_BASE64                                           \
    {                                                           \
        .name = "base64", .text = "write string keys as base64" \
    }

#endif
