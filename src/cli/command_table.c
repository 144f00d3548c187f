/*
 * command_table.c: the one table of commands: names, arguments, options and texts. Parsing,
 * --help, the manual pages and completion are made from it. Texts are for users: short sentences,
 * the common case first, and what a command leaves untouched when it fails.
 */
#include "cli/command.h"

const struct command_option global_options[] = {
    {.name = "instance",
     .argument = "ROOT",
     .text = "the instance: a folder; else the environment's GLIS_INSTANCE"},
    {.name = "json", .text = "print JSON instead of text for people"},
    {.name = "set",
     .argument = "NAME=VALUE",
     .repeats = true,
     .text = "a setting of this process, for this call only; stronger than the environment "
             "(GLIS_INGEST_MEMORY for glis.ingest.memory) and the instance"},
    {.name = "help", .text = "explain the command"},
    {.name = "version", .text = "print the version"},
    {.name = NULL},
};

const struct command_noun command_nouns[] = {
    {"init", "Begin a new instance"},
    {"table", "Create, change and look at tables"},
    {"ingest", "Bring files into a table"},
    {"bulk-import", "Bring very many rows into a table"},
    {"query", "Read rows by key or range of keys"},
    {"export", "Write a table into files, or make a table of them"},
    {"import", "Take over what another system left"},
    {"delete", "Delete rows by key or range of keys, for good"},
    {"compact", "Merge files, so that reading stays fast"},
    {"split", "Split leaves that have grown too large"},
    {"gc", "Remove files that nothing refers to any more"},
    {"maintain", "Do whatever is due for a table"},
    {"status", "Show what an instance or a table holds"},
    {"log", "Look at a table's log of transactions"},
    {"check", "Verify everything that can be verified"},
    {"parquet", "Look into Parquet files, whoever wrote them, and rewrite them"},
    {"properties", "Print the manual of all properties"},
    {"set", "Show or change the instance's properties"},
    {"help", "Explain commands; print manual pages and completion"},
};
const size_t n_command_nouns = sizeof command_nouns / sizeof *command_nouns;

static const struct command_option import_options[] = {
    {.name = "data",
     .argument = "FOLDER",
     .text = "a copy of the data bucket, with a folder for each table, named by its id; without, "
             "no rows are brought in"},
    {.name = "all-files",
     .text = "every Parquet file in the copy is live and whole, where no files.json says so"},
    {.name = "rewrite", .text = "sort all files anew; none is taken over where it is"},
    {.name = NULL},
};

static const struct command_option delete_options[] = {
    {.name = "key",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "rows of this key: a value for each row-key field, or for the first few of them"},
    {.name = "from",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "rows at or above this key"},
    {.name = "to",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "rows below this key (with --from: one range; several pairs are several ranges)"},
    {.name = "dry-run", .text = "say how many files would be written anew, and do nothing"},
    {.name = "drop-pins", .text = "end the pins that keep such rows readable"},
    {.name = "yes", .text = "do it: the rows cannot be had back"},
    {.name = NULL},
};

static const struct command_option pin_options[] = {
    {.name = "record", .argument = "N", .text = "the state after this record; else the newest"},
    {.name = "for", .argument = "TIME", .text = "so long, such as 30d; else for ever"},
    {.name = NULL},
};

static const struct command_option restore_options[] = {
    {.name = "to-record", .argument = "N", .text = "the state after this record"},
    {.name = "to-pin", .argument = "PIN", .text = "the state that this pin keeps"},
    {.name = "yes", .text = "do it: what was added since goes out of sight"},
    {.name = NULL},
};

static const struct command_option compact_options[] = {
    {.name = "all", .text = "every table that is online"},
    {.name = "force", .text = "merge what no strategy takes too, down to single shared files"},
    {.name = "leaf", .argument = "ID", .text = "only this leaf (see glis status TABLE partitions)"},
    {.name = "dry-run", .text = "print what is due, and do nothing"},
    {.name = NULL},
};

static const struct command_option split_options[] = {
    {.name = "all", .text = "every table that is online"},
    {.name = NULL},
};

static const struct command_option gc_options[] = {
    {.name = "all", .text = "every table that is online"},
    {.name = "dry-run", .text = "print what would be removed, and do nothing"},
    {.name = "now",
     .text = "do not wait for glis.table.gc.delay: queries that began before may fail. What "
             "unfinished jobs wrote keeps its age"},
    {.name = "full", .text = "look at all names for orphans, as is done once a week"},
    {.name = NULL},
};

static const struct command_option maintain_options[] = {
    {.name = "all", .text = "every table that is online"},
    {.name = "until-idle", .text = "go on until nothing is due; else one round"},
    {.name = NULL},
};

static const struct command_option init_options[] = {
    {.name = "from",
     .argument = "FOLDER",
     .text = "read instance.properties, tags.properties and tables/NAME/{table.properties, "
             "schema.json, splits.txt} from this folder"},
    {.name = "property",
     .argument = "NAME=VALUE",
     .repeats = true,
     .text = "a property of the new instance"},
    {.name = NULL},
};

static const struct command_option create_options[] = {
    {.name = "schema", .argument = "FILE", .text = "the schema, as JSON; - reads standard input"},
    {.name = "like",
     .argument = "FILE",
     .text = "propose the schema from a Parquet, CSV or JSON lines file"},
    {.name = "row-keys",
     .argument = "NAMES",
     .repeats = true,
     .text = "with --like: the columns that rows are found and sorted by, by comma"},
    {.name = "sort-keys",
     .argument = "NAMES",
     .repeats = true,
     .text = "with --like: columns that sort rows of equal row keys"},
    {.name = "splits",
     .argument = "FILE",
     .text = "split points of the first row key, one a line: n of them make n + 1 leaves"},
    {.name = "splits-base64", .text = "the split points of a string key are base64"},
    {.name = "from",
     .argument = "FOLDER",
     .text = "read table.properties, schema.json and splits.txt from this folder"},
    {.name = "dry-run", .text = "print the schema and create nothing"},
    {.name = NULL},
};

static const struct command_option list_options[] = {
    {.name = "dropped", .text = "show dropped tables, too"},
    {.name = "names", .text = "print nothing but names, one a line"},
    {.name = NULL},
};

static const struct command_option show_options[] = {
    {.name = "schema", .text = "print the schema only, as schema.json"},
    {.name = NULL},
};

static const struct command_option table_set_options[] = {
    {.name = "from",
     .argument = "FILE",
     .text = "read the properties from a table.properties file"},
    {.name = NULL},
};

static const struct command_option undrop_options[] = {
    {.name = "as", .argument = "NAME", .text = "bring it back under this name"},
    {.name = NULL},
};

static const struct command_option reset_options[] = {
    {.name = "splits", .argument = "FILE", .text = "begin with the leaves of these split points"},
    {.name = "splits-base64", .text = "the split points of a string key are base64"},
    {.name = "one-leaf", .text = "begin with a single leaf"},
    {.name = "yes", .text = "do it: all rows of the table go"},
    {.name = NULL},
};

static const struct command_option add_column_options[] = {
    {.name = "aggregation",
     .argument = "WORD",
     .choices = "sum|min|max|map_sum|map_min|map_max",
     .text = "how its values become one where rows of equal keys do"},
    {0}};

static const struct command_option estimate_options[] = {
    {.name = "leaves", .argument = "N", .text = "how many leaves to make, of about as many rows"},
    {.name = "schema", .argument = "FILE", .text = "the schema, as JSON; - reads standard input"},
    {.name = "like",
     .argument = "FILE",
     .text = "propose the schema from a Parquet, CSV or JSON lines file"},
    {.name = "row-keys",
     .argument = "NAMES",
     .repeats = true,
     .text = "with --like: the columns that rows are found and sorted by, by comma"},
    {.name = "sort-keys",
     .argument = "NAMES",
     .repeats = true,
     .text = "with --like: the columns that rows of equal row keys are sorted by"},
    {.name = "base64", .text = "write string keys as base64"},
    {.name = NULL},
};

static const struct command_option splits_options[] = {
    {.name = "base64", .text = "write string keys as base64"},
    {.name = NULL},
};

static const struct command_option ingest_options[] = {
    {.name = "format",
     .argument = "FORMAT",
     .choices = "parquet|csv|jsonl",
     .text = "what the files are; else their names say it"},
    {.name = "job",
     .argument = "ID",
     .text = "the job's name: running it again with the same input adds nothing"},
    {.name = "writer",
     .argument = "NAME",
     .text = "with --sequence, instead of --job: one of a numbered row of jobs"},
    {.name = "sequence",
     .argument = "N",
     .text = "the job's number for its writer, from 1, no gaps"},
    {.name = "dry-run", .text = "read and check every row, add nothing"},
    {.name = "ignore-extra-columns", .text = "leave columns out that the table does not have"},
    {.name = "bad-rows-to",
     .argument = "FILE",
     .text =
         "put refused rows into this file, with the reasons, and go on; else the first ends the "
         "job"},
    {.name = "delimiter", .argument = "C", .text = "of CSV: one character, or 'tab'"},
    {.name = "null", .argument = "TEXT", .text = "of CSV: an unquoted field of this text is null"},
    {.name = NULL},
};

static const struct command_option bulk_import_options[] = {
    {.name = "format",
     .argument = "FORMAT",
     .choices = "parquet|csv|jsonl",
     .text = "what the files are; else their names say it"},
    {.name = "job",
     .argument = "ID",
     .text =
         "the job's name: with it an interrupted job is gone on with, other processes may share "
         "the work, and a finished one is done once"},
    {.name = "plan", .text = "only begin: print the steps that can be done now"},
    {.name = "step",
     .argument = "NAME",
     .repeats = true,
     .text = "do only this step of the job that was begun"},
    {.name = "ignore-extra-columns", .text = "leave columns out that the table does not have"},
    {.name = "delimiter", .argument = "C", .text = "of CSV: one character, or 'tab'"},
    {.name = "null", .argument = "TEXT", .text = "of CSV: an unquoted field of this text is null"},
    {.name = NULL},
};

static const struct command_option export_options[] = {
    {.name = "format",
     .argument = "FORMAT",
     .choices = "parquet|csv|jsonl|arrow",
     .text = "the form of the files; parquet when it is not said"},
    {.name = "query",
     .argument = "FILE",
     .text = "the regions and fields as JSON, and the table when it is not named; - reads standard "
             "input"},
    {.name = "key",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "only rows of this key"},
    {.name = "from",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "only rows at or above this key"},
    {.name = "to",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "only rows below this key"},
    {.name = "columns",
     .argument = "NAMES",
     .repeats = true,
     .text = "only these value columns, by comma; keys always come"},
    {.name = "auth",
     .argument = "A,B",
     .text =
         "terms of visibility labels that hold for the reader; rows that they do not let through "
         "are left out"},
    {.name = "at-record", .argument = "N", .text = "the table as it was at this record"},
    {.name = "job",
     .argument = "ID",
     .text = "the export's name: running it again when it is done writes nothing and is no error"},
    {.name = "plan",
     .text = "only begin: say what is to be done, and print the leaves, each of which is a step"},
    {.name = "leaf",
     .argument = "ID",
     .repeats = true,
     .text = "do only the step of this leaf, of the export that was begun in DEST; other processes "
             "do the others, and the last one ends the export"},
    {.name = "restore", .text = "make a new table of the export in DEST"},
    {.name = "as", .argument = "NAME", .text = "with --restore: the new table's name"},
    {.name = NULL},
};

static const struct command_option query_options[] = {
    {.name = "key",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "rows of this key: a value for each row-key field, or for the first few of them"},
    {.name = "from",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "rows at or above this key"},
    {.name = "to",
     .argument = "VALUE...",
     .many = true,
     .repeats = true,
     .text = "rows below this key (with --from: one range; several pairs are several ranges)"},
    {.name = "query", .argument = "FILE", .text = "a query as JSON; - reads standard input"},
    {.name = "columns",
     .argument = "NAMES",
     .repeats = true,
     .text = "value columns wanted, by comma; keys always come"},
    {.name = "limit", .argument = "N", .text = "at most so many rows"},
    {.name = "reverse", .text = "from the greatest key down"},
    {.name = "count", .text = "print only how many rows there are"},
    {.name = "ordered", .text = "in key order over all leaves, equal keys by their values"},
    {.name = "after",
     .argument = "CURSOR",
     .text = "go on behind an earlier answer that ended at its limit"},
    {.name = "auth",
     .argument = "A,B",
     .text = "terms of visibility labels that hold for the reader"},
    {.name = "iterator",
     .argument = "NAME",
     .text = "put the rows through this plug-in at the end"},
    {.name = "iterator-config", .argument = "TEXT", .text = "what that plug-in is told"},
    {.name = "at-record",
     .argument = "N",
     .text = "the table as it was after this record of its log"},
    {.name = "max-staleness", .argument = "TIME", .text = "a state of this age will do"},
    {.name = "timeout", .argument = "TIME", .text = "give up after this time (500ms, 30s)"},
    {.name = "format",
     .argument = "FORMAT",
     .choices = "table|csv|jsonl|parquet|arrow",
     .text = "how rows are written; else by the name of --output, or a table"},
    {.name = "output",
     .argument = "FILE",
     .text = "write to this file; it appears when it is complete"},
    {.name = "explain",
     .text = "carry the query out, but print what was looked at, left out and read"},
    {.name = NULL},
};

static const struct command_option log_show_options[] = {
    {.name = "from", .argument = "N", .text = "begin at this record; else at the oldest"},
    {.name = "to", .argument = "N", .text = "end at this record; else at the newest"},
    {.name = "catalogue", .text = "the log of the instance itself, without TABLE"},
    {.name = NULL},
};

static const struct command_option set_time_options[] = {
    {.name = "record",
     .argument = "N",
     .text = "the newest record of the log, which you have seen"},
    {.name = NULL},
};

static const struct command_option check_options[] = {
    {.name = "read-data", .text = "read every file: checksums, order, bounds, number of rows"},
    {.name = "iterators",
     .text = "try the iterators of tables: whether they give the same however rows are grouped"},
    {.name = NULL},
};

static const struct command_option cat_options[] = {
    {.name = "columns", .argument = "NAMES", .repeats = true, .text = "columns wanted, by comma"},
    {.name = "where",
     .argument = "CONDITION",
     .repeats = true,
     .text = "only rows that meet it: 'column = value', with =, !=, <, <=, >, >=, or 'column is "
             "null', 'column is not null'; several must all be met; a value may be quoted"},
    {.name = "limit", .argument = "N", .text = "at most so many rows"},
    {.name = "format",
     .argument = "FORMAT",
     .choices = "table|csv|jsonl|parquet|arrow",
     .text = "how rows are written; else by the name of --output, or a table"},
    {.name = "output",
     .argument = "FILE",
     .text = "write to this file; it appears when it is complete"},
    {.name = "dictionaries",
     .text = "with --format arrow: texts and bytes that the file has in dictionaries stay there"},
    {.name = "explain",
     .text = "print what --where looked at, left out and read, instead of the rows"},
    {.name = NULL},
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
    {.name = NULL},
};

static const struct command_option set_options[] = {
    {.name = "from", .argument = "FILE", .text = "read them from an instance.properties file"},
    {.name = NULL},
};

static const struct command_option help_options[] = {
    {.name = "man",
     .argument = "PAGE",
     .text = "print a manual page (glis, glis-table) as man(7) source"},
    {.name = "completion",
     .argument = "SHELL",
     .choices = "bash|zsh",
     .text = "print the completion script of a shell"},
    {.name = NULL},
};

const struct command commands[] = {
    {.noun = "init",
     .arguments = "ROOT",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Begin a new instance in an empty folder",
     .text = "The folder is made when it is not there. With --from the settings and tables that a "
             "folder describes are read and checked first; nothing is written when any of it is "
             "wrong. Names that begin with sleeper. are understood; those that this "
             "version has no use for are listed and left out.",
     .options = init_options,
     .examples = "  glis init /data/glis\n"
                 "  glis init /data/glis --from ./config\n",
     .run = cmd_init},
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
    {.noun = "ingest",
     .arguments = "TABLE FILE...",
     .min_arguments = 2,
     .max_arguments = 1000000,
     .summary = "Bring files into a table, all or nothing",
     .text =
         "FILE is a Parquet (.parquet), CSV (.csv, .tsv) or JSON lines (.jsonl, .ndjson, .json) "
         "file, a folder of such files, a pattern in quotes, or - for standard input with "
         "--format. Columns are found by name; nullable ones may be missing. The rows are sorted "
         "and appear with one commit, which every later query sees.\n\n"
         "A job that was interrupted has added nothing. Give --job ID when it may be repeated: "
         "the same job with the same files is done once.",
     .options = ingest_options,
     .examples = "  glis ingest packages packages.jsonl\n"
                 "  glis ingest events 'day-2026-11-*.parquet' --job 2026-11\n"
                 "  zcat log.csv.gz | glis ingest events - --format csv --bad-rows-to bad.jsonl\n",
     .run = cmd_ingest},
    {.noun = "bulk-import",
     .arguments = "TABLE [FILE...]",
     .min_arguments = 1,
     .max_arguments = 1000000,
     .summary = "Bring more rows into a table than one process should sort, all or nothing",
     .text =
         "Files are as for `glis ingest`, but standard input. The rows are sorted part by part "
         "into files that nobody sees, then merged leaf by leaf, a file each, and appear with one "
         "commit. What memory it takes says glis.ingest.memory; on the store it needs room for the "
         "rows twice.\n\n"
         "With --job ID an interrupted job is gone on with by the same call, or without the files. "
         "Several processes may do that at the same time and share the work, step by step; whoever "
         "does the last one commits. --plan and --step let a scheduler hand the steps out: first "
         "all sort steps, then tree, then all write steps.",
     .options = bulk_import_options,
     .examples = "  glis bulk-import events 'history-*.parquet'\n"
                 "  glis bulk-import events history --job 2026 --plan\n"
                 "  glis bulk-import events --job 2026 --step sort-000003\n"
                 "  glis bulk-import events --job 2026\n",
     .run = cmd_bulk_import},
    {.noun = "query",
     .arguments = "TABLE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Print the rows of a key, of ranges of keys, or all",
     .text = "Values are written as in CSV. Of a table with several row-key fields --key takes a "
             "value for each, or only for the first ones. Without --key, --from, --to and --query "
             "all rows come.\n\n"
             "An answer with --ordered that ends at its --limit prints a cursor on standard error; "
             "--after takes it and goes on from there.",
     .options = query_options,
     .examples = "  glis query packages --key libc6\n"
                 "  glis query packages --from python3 --to python4 --columns section,size\n"
                 "  glis query packages --count\n"
                 "  glis query packages --from a --to b --output a.parquet\n"
                 "  echo '{\"regions\":[{}],\"limit\":3}' | glis query packages --query -\n",
     .run = cmd_query},
    {.noun = "export",
     .arguments = "[TABLE] DEST",
     .min_arguments = 1,
     .max_arguments = 2,
     .summary = "Write a table into files with a manifest, or make a table of them",
     .text =
         "Into the folder DEST goes one file for each leaf of the table that has rows, in key "
         "order, all of them as of one record, and at the end manifest.json, which names them with "
         "their rows and checksums and says what the table was. Without a manifest an export is "
         "not finished: the same command goes on where it was stopped, as of the same record.\n\n"
         "Nothing is ever overwritten: an export of something else, or a finished one, is left as "
         "it is, and the command says so.\n\n"
         "With --restore the files of DEST are verified and become a new table, equal to the old "
         "one in schema, properties, leaves and rows. It appears under its name when it is full.",
     .options = export_options,
     .examples = "  glis export packages backup\n"
                 "  glis export packages csv --format csv --from python3 --to python4\n"
                 "  glis export packages backup --plan --json\n"
                 "  glis export packages backup --leaf 01KB3V5T9N5YH4W2Q8F6ZC7XRD\n"
                 "  glis export --restore backup --as packages-again\n",
     .run = cmd_export},
    {.noun = "import",
     .verb = "sleeper",
     .arguments = "FOLDER",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Make an instance of what Sleeper left in folders",
     .text =
         "FOLDER holds instance.properties and tables/NAME/{table.properties, schema.json, "
         "splits.txt}, as for `glis init --from`. The instance is begun where --instance says, "
         "with its tables; with --data come their rows. A file whose keys ascend in Glis's order, "
         "which is found out by reading them, is taken over by reference: it stays where it is, "
         "and must, until it has been compacted away; Glis never removes it. The others are "
         "sorted anew: Sleeper's Java parts order bytes as signed numbers and strings by UTF-16. "
         "Split points in that order are sorted, too.\n\n"
         "Which of the files are live is not in the bucket. It is read from "
         "tables/NAME/files.json: what Sleeper's filesStatusReport prints as JSON. A file that is "
         "live in part only is refused: compact the whole table there first. With --all-files "
         "the files themselves are the word for it.\n\n"
         "All is checked before anything is made: a custom iterator's class is an error, for it "
         "may hide rows, and what means nothing here is listed. A repeat goes on where the first "
         "call was stopped, and brings nothing twice.",
     .options = import_options,
     .examples = "  glis --instance /data/glis import sleeper conf --data bucket\n",
     .run = cmd_import},
    {.noun = "delete",
     .arguments = "TABLE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Delete rows by key or range of keys, for good",
     .text =
         "Every file that may hold such rows is written anew without them, and the old ones are "
         "removed at once; so this is for law's sake, not for every day. No earlier state can "
         "be restored afterwards. Pins and jobs that still hold such rows are listed, and as "
         "long as there are any the answer does not say complete. Rows that are added while it "
         "runs may go or stay.",
     .options = delete_options,
     .examples = "  glis delete packages --key zlib1g --yes\n"
                 "  glis delete packages --from a --to b --dry-run\n",
     .run = cmd_delete},
    {.noun = "compact",
     .arguments = "[TABLE]",
     .max_arguments = 1,
     .summary = "Merge files, so that reading stays fast",
     .text = "Merges what the table's strategy (glis.table.compaction.strategy.class) says is due, "
             "until nothing is; files on full inner partitions go down first. Each merge is one "
             "transaction: readers see the files before it or the one after it. Several processes "
             "may do this at once.",
     .options = compact_options,
     .examples = "  glis compact packages\n"
                 "  glis compact packages --force --dry-run\n"
                 "  glis compact --all\n",
     .run = cmd_compact},
    {.noun = "split",
     .arguments = "[TABLE]",
     .max_arguments = 1,
     .summary = "Split leaves that have grown too large",
     .text =
         "A leaf with glis.table.partition.splitting.threshold rows in files of its own becomes "
         "two, at the median of its rows by the sketches of its files. No row moves: the files "
         "go down with the next compaction (glis compact, glis maintain).",
     .options = split_options,
     .examples = "  glis split packages\n",
     .run = cmd_split},
    {.noun = "gc",
     .arguments = "[TABLE]",
     .max_arguments = 1,
     .summary = "Remove files that nothing refers to any more",
     .text =
         "Removes files whose last reference went longer than glis.table.gc.delay ago and that "
         "no pin keeps; what jobs that never finished wrote longer than glis.gc.orphan.age ago; "
         "and what jobs of several steps left behind.",
     .options = gc_options,
     .examples = "  glis gc packages --dry-run\n"
                 "  glis gc --all\n",
     .run = cmd_gc},
    {.noun = "maintain",
     .arguments = "[TABLE]",
     .max_arguments = 1,
     .summary = "Do whatever is due for a table",
     .text =
         "In the right order: files down from full inner partitions, compactions, splits, joining "
         "empty leaves, files past their age, collection, a snapshot. What other processes do "
         "meanwhile is left to them.",
     .options = maintain_options,
     .examples = "  glis maintain packages --until-idle\n"
                 "  glis maintain --all --until-idle\n",
     .run = cmd_maintain},
    {.noun = "status",
     .arguments = "[TABLE [files|partitions|jobs|log]]",
     .max_arguments = 2,
     .summary = "Show what an instance or a table holds",
     .text = "Without TABLE: all tables. With TABLE: its figures; behind it, a list of its files, "
             "its tree of partitions, its recent ingest jobs, or what its log consists of.",
     .examples = "  glis status\n"
                 "  glis status packages partitions\n",
     .run = cmd_status},
    {.noun = "log",
     .verb = "show",
     .arguments = "[TABLE]",
     .max_arguments = 1,
     .summary = "Print a table's transactions",
     .text =
         "Each record with its number, time and writer, and the transactions in it as JSON. What "
         "is damaged is shown with what is wrong. Records below a snapshot may have been "
         "trimmed.",
     .options = log_show_options,
     .examples = "  glis log show packages --from 10\n"
                 "  glis log show --catalogue\n",
     .run = cmd_log_show},
    {.noun = "log",
     .verb = "snapshot",
     .arguments = "TABLE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Write a snapshot of a table's state now",
     .text = "Snapshots are written by themselves when they are due; this is for those who want to "
             "copy or look at one.",
     .run = cmd_log_snapshot},
    {.noun = "log",
     .verb = "set-time",
     .arguments = "TABLE",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Set a log's time to this machine's",
     .text = "The remedy when a record was written by a machine whose clock was far ahead, and "
             "commits are refused for it. All delays of the table begin again.",
     .options = set_time_options,
     .run = cmd_log_set_time},
    {.noun = "check",
     .arguments = "[TABLE]",
     .max_arguments = 1,
     .summary = "Verify everything that can be verified",
     .text =
         "The logs (numbers, hashes, chain, snapshots), the state (tree, references, sums), and "
         "that every file is there with its size. What is wrong is printed, and then the exit "
         "code is 1. Nothing is changed.",
     .options = check_options,
     .examples = "  glis check\n"
                 "  glis check packages --read-data\n",
     .run = cmd_check},
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
    {.noun = "properties",
     .arguments = "[GROUP|NAME]",
     .max_arguments = 1,
     .summary = "Print the manual of all properties, of a group or of one",
     .text = "GROUP is instance, process or table; NAME is a property's.",
     .run = cmd_properties},
    {.noun = "set",
     .arguments = "[PROPERTY=VALUE...]",
     .max_arguments = 1000,
     .summary = "Show or change the instance's properties",
     .text = "Without arguments what was set is printed. All of them are changed or none. An empty "
             "value goes back to the default. glis.default.table.X is the default of glis.table.X "
             "for tables created from now on.",
     .options = set_options,
     .examples = "  glis set glis.ingest.memory=2G glis.default.table.gc.delay=1h\n",
     .run = cmd_set},
    {.noun = "help",
     .arguments = "[COMMAND [VERB]]",
     .max_arguments = 2,
     .summary = "Explain commands; print manual pages and completion",
     .text = "",
     .options = help_options,
     .examples =
         "  glis help ingest\n"
         "  glis help --completion bash > ~/.local/share/bash-completion/completions/glis\n",
     .run = cmd_help},
};
const size_t n_commands = sizeof commands / sizeof *commands;
