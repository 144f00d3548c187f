/*
 * commands_of_tables.c: entries of the table of commands for `glis table ...`: creating and
 * changing tables, looking at them, and their past (pins, restore, files set aside).
 */
#include "cli/command_options.h"

static const struct command_option create_options[] = {
    OPTIONS_OF_SCHEMA,
    {.name = "splits",
     .argument = "FILE",
     .text = "split points of the first row key, one a line: n of them make n + 1 leaves"},
    OPTION_SPLITS_BASE64,
    {.name = "from",
     .argument = "FOLDER",
     .text = "read table.properties, schema.json and splits.txt from this folder"},
    {.name = "dry-run", .text = "print the schema and create nothing"},
    OPTIONS_END,
};

static const struct command_option list_options[] = {
    {.name = "dropped", .text = "show dropped tables, too"},
    {.name = "names", .text = "print nothing but names, one a line"},
    OPTIONS_END,
};

static const struct command_option show_options[] = {
    {.name = "schema", .text = "print the schema only, as schema.json"},
    OPTIONS_END,
};

static const struct command_option table_set_options[] = {
    {.name = "from",
     .argument = "FILE",
     .text = "read the properties from a table.properties file"},
    OPTIONS_END,
};

static const struct command_option undrop_options[] = {
    {.name = "as", .argument = "NAME", .text = "bring it back under this name"},
    OPTIONS_END,
};

static const struct command_option reset_options[] = {
    {.name = "splits", .argument = "FILE", .text = "begin with the leaves of these split points"},
    OPTION_SPLITS_BASE64,
    {.name = "one-leaf", .text = "begin with a single leaf"},
    {.name = "yes", .text = "do it: all rows of the table go"},
    OPTIONS_END,
};

static const struct command_option add_column_options[] = {
    {.name = "aggregation",
     .argument = "WORD",
     .choices = "sum|min|max|map_sum|map_min|map_max",
     .text = "how its values become one where rows of equal keys do"},
    OPTIONS_END,
};

static const struct command_option splits_options[] = {
    OPTION_BASE64,
    OPTIONS_END,
};

static const struct command_option estimate_options[] = {
    {.name = "leaves", .argument = "N", .text = "how many leaves to make, of about as many rows"},
    OPTIONS_OF_SCHEMA,
    OPTION_BASE64,
    OPTIONS_END,
};

static const struct command_option pin_options[] = {
    {.name = "record", .argument = "N", .text = "the state after this record; else the newest"},
    {.name = "for", .argument = "TIME", .text = "so long, such as 30d; else for ever"},
    OPTIONS_END,
};

static const struct command_option restore_options[] = {
    {.name = "to-record", .argument = "N", .text = "the state after this record"},
    {.name = "to-pin", .argument = "PIN", .text = "the state that this pin keeps"},
    {.name = "yes", .text = "do it: what was added since goes out of sight"},
    OPTIONS_END,
};

const struct command commands_of_tables[] = {
    {.noun = "table",
     .verb = "create",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Create a table",
     .text = "The schema comes from --schema, --like or --from; it is printed. Rows are found and "
             "sorted by the row keys. Split points cut the table into leaves from the beginning, "
             "which lets lookups and ingests of large tables work on parts.\n\n"
             "--set takes properties of the table here: --set glis.table.gc.delay=1h.",
     .options = create_options,
     .examples = "  glis table create packages --like packages.jsonl --row-keys package,version\n"
                 "  glis table create events --schema schema.json --splits splits.txt\n"
                 "  glis table create cities --like cities.csv --dry-run > schema.json\n",
     .run = cmd_table_create,
     .takes_table_settings = true},
    {.noun = "table",
     .verb = "list",
     .arguments = "",
     .summary = "List the tables",
     .text = "",
     .options = list_options,
     .run = cmd_table_list},
    {.noun = "table",
     .verb = "show",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Show a table's schema and properties",
     .text =
         "Properties that were not set are left out; `glis properties table` lists all of them.",
     .options = show_options,
     .run = cmd_table_show},
    {.noun = "table",
     .verb = "set",
     .arguments = "NAME [PROPERTY=VALUE...]",
     .min_arguments = 1,
     .max_arguments = 1000,
     .summary = "Show or change properties of a table",
     .text = "Without PROPERTY=VALUE what was set is printed. All of them are changed or none. An "
             "empty value goes back to the default.",
     .options = table_set_options,
     .examples = "  glis table set packages glis.table.gc.delay=1h\n",
     .run = cmd_table_set},
    {.noun = "table",
     .verb = "rename",
     .arguments = "NAME NEW-NAME",
     .min_arguments = 2,
     .max_arguments = 2,
     .summary = "Give a table another name",
     .text = "Its rows stay where they are: files are kept by the table's id.",
     .run = cmd_table_rename},
    {.noun = "table",
     .verb = "drop",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Drop a table",
     .text = "It can be had back with `glis table undrop` for glis.table.drop.delay (24 hours).",
     .run = cmd_table_drop},
    {.noun = "table",
     .verb = "undrop",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Bring a dropped table back",
     .text = "NAME is the name that it had, or its id. Where several tables were dropped under one "
             "name, the last one comes back.",
     .options = undrop_options,
     .run = cmd_table_undrop},
    {.noun = "table",
     .verb = "online",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Let background work on a table go on",
     .text = "",
     .run = cmd_table_online},
    {.noun = "table",
     .verb = "offline",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Stop background work on a table",
     .text = "It can still be read and written.",
     .run = cmd_table_offline},
    {.noun = "table",
     .verb = "reset",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Remove all rows of a table",
     .text =
         "Schema, properties and, without --splits or --one-leaf, the leaves stay. Jobs that are "
         "running are refused when they end. This cannot be undone, so it wants --yes.",
     .options = reset_options,
     .run = cmd_table_reset},
    {.noun = "table",
     .verb = "add-column",
     .arguments = "NAME COLUMN TYPE",
     .min_arguments = 3,
     .max_arguments = 3,
     .summary = "Add a nullable value column",
     .text = "Rows that are there already have null in it; no file is rewritten. TYPE is as in "
             "schema.json: StringType, LongType, or JSON such as "
             "'{\"ListType\":{\"elementType\":\"StringType\"}}'. In a table with aggregations the "
             "column brings its own: --aggregation.",
     .options = add_column_options,
     .examples = "  glis table add-column packages homepage StringType\n",
     .run = cmd_table_add_column},
    {.noun = "table",
     .verb = "widen",
     .arguments = "NAME COLUMN",
     .min_arguments = 2,
     .max_arguments = 2,
     .summary = "Turn a value column of IntType into LongType",
     .text = "No file is rewritten; old rows are widened when they are read.",
     .run = cmd_table_widen},
    {.noun = "table",
     .verb = "splits",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Print the split points of the first row key",
     .text = "One a line, as --splits reads them.",
     .options = splits_options,
     .run = cmd_table_splits},
    {.noun = "table",
     .verb = "estimate-splits",
     .arguments = "FILE...",
     .min_arguments = 1,
     .max_arguments = UINT32_MAX,
     .summary = "Estimate split points from files, before there is a table",
     .text = "Reads the files as an ingest would, and prints the points at which the first row key "
             "is to be split, one a line, as `glis table create --splits` reads them. Columns that "
             "the schema lacks are passed over.",
     .options = estimate_options,
     .run = cmd_table_estimate_splits},
    {.noun = "table",
     .verb = "forget-writer",
     .arguments = "NAME WRITER",
     .min_arguments = 2,
     .max_arguments = 2,
     .summary = "Forget how far a writer's numbered jobs have come",
     .text = "The writer begins at 1 again. Do it only when none of its jobs will be repeated.",
     .run = cmd_table_forget_writer},
    {.noun = "table",
     .verb = "pin",
     .arguments = "NAME [PIN]",
     .min_arguments = 1,
     .max_arguments = 2,
     .summary = "Keep a state of a table readable, or list what is kept",
     .text = "The files of that state are not collected until the pin ends: it can be queried "
             "(atRecord), exported and restored. The same pin again extends its time. Without PIN: "
             "the pins there are.",
     .options = pin_options,
     .examples = "  glis table pin packages before-clean-up --for 30d\n"
                 "  glis table pin packages\n",
     .run = cmd_table_pin},
    {.noun = "table",
     .verb = "unpin",
     .arguments = "NAME PIN",
     .min_arguments = 2,
     .max_arguments = 2,
     .summary = "End a pin",
     .text = "What only it kept is removed by the next collection.",
     .run = cmd_table_unpin},
    {.noun = "table",
     .verb = "restore",
     .arguments = "NAME",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Go back to an earlier state of a table",
     .text = "Rows, jobs done and writers become those of that record; nothing is copied. It works "
             "as long as the files of then are there: while a pin keeps them, or as long as "
             "collection has not come. The record from before the restore can be restored too.",
     .options = restore_options,
     .examples = "  glis table restore packages --to-pin before-clean-up --yes\n",
     .run = cmd_table_restore},
    {.noun = "table",
     .verb = "set-aside",
     .arguments = "NAME FILE",
     .min_arguments = 2,
     .max_arguments = 2,
     .summary = "Put a damaged file aside, so that work goes on around it",
     .text = "Compactions leave the file out from now on. Queries that need its rows fail and name "
             "it, for a short answer would be a wrong one.",
     .run = cmd_table_set_aside},
    {.noun = "table",
     .verb = "take-back",
     .arguments = "NAME FILE",
     .min_arguments = 2,
     .max_arguments = 2,
     .summary = "Take a file back that was set aside",
     .text = "After it was mended, or found to be whole: glis check --read-data says.",
     .run = cmd_table_take_back},
    COMMANDS_END,
};
