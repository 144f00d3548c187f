/*
 * commands_of_rows.c: entries of the table of commands for rows on their way into tables and out of
 * them: ingest, bulk-import, query, export, delete.
 */
#include "cli/command_options.h"

static const struct command_option ingest_options[] = {
    OPTION_INPUT_FORMAT,
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
    OPTION_IGNORE_EXTRA_COLUMNS,
    OPTION_BAD_ROWS_TO,
    OPTION_DELIMITER,
    OPTION_NULL,
    OPTIONS_END,
};

static const struct command_option bulk_import_options[] = {
    OPTION_INPUT_FORMAT,
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
    {.name = "cancel", .text = "give the job up: what it has made goes, nothing is added"},
    OPTION_IGNORE_EXTRA_COLUMNS,
    OPTION_BAD_ROWS_TO,
    OPTION_DELIMITER,
    OPTION_NULL,
    OPTIONS_END,
};

static const struct command_option query_options[] = {
    OPTIONS_OF_REGIONS,
    {.name = "query", .argument = "FILE", .text = "a query as JSON; - reads standard input"},
    {.name = "columns",
     .argument = "NAMES",
     .repeats = true,
     .text = "value columns wanted, by comma; keys always come"},
    OPTION_LIMIT,
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
    OPTION_ANSWER_FORMAT,
    OPTION_ANSWER_OUTPUT,
    {.name = "explain",
     .text = "carry the query out, but print what was looked at, left out and read"},
    OPTIONS_END,
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
    OPTIONS_OF_REGIONS,
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
    OPTIONS_END,
};

static const struct command_option delete_options[] = {
    OPTIONS_OF_REGIONS,
    {.name = "dry-run", .text = "say how many files would be written anew, and do nothing"},
    {.name = "drop-pins", .text = "end the pins that keep such rows readable"},
    {.name = "yes", .text = "do it: the rows cannot be had back"},
    OPTIONS_END,
};

const struct command commands_of_rows[] = {
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
         "all sort steps, then tree, then all write steps. --cancel gives a job up.\n\n"
         "--bad-rows-to is for the whole job: the file is written by whoever commits, just before, "
         "with each refused row once, in the order of the files.",
     .options = bulk_import_options,
     .examples = "  glis bulk-import events 'history-*.parquet'\n"
                 "  glis bulk-import events history --job 2026 --plan\n"
                 "  glis bulk-import events --job 2026 --step sort-000003\n"
                 "  glis bulk-import events --job 2026\n"
                 "  glis bulk-import events --job 2026 --cancel\n",
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
    COMMANDS_END,
};
