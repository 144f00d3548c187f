/*
 * commands_of_upkeep.c: entries of the table of commands for what keeps tables fast, small and
 * right (compact, split, gc, maintain, check), and for the reports on it (status, log).
 */
#include "cli/command_options.h"

static const struct command_option compact_options[] = {
    OPTION_ALL,
    {.name = "force", .text = "merge what no strategy takes too, down to single shared files"},
    {.name = "leaf", .argument = "ID", .text = "only this leaf (see glis status TABLE partitions)"},
    {.name = "dry-run", .text = "print what is due, and do nothing"},
    OPTIONS_END,
};

static const struct command_option split_options[] = {
    OPTION_ALL,
    OPTIONS_END,
};

static const struct command_option gc_options[] = {
    OPTION_ALL,
    {.name = "dry-run", .text = "print what would be removed, and do nothing"},
    {.name = "now",
     .text = "do not wait for glis.table.gc.delay: queries that began before may fail. What "
             "unfinished jobs wrote keeps its age"},
    {.name = "full", .text = "look at all names for orphans, as is done once a week"},
    OPTIONS_END,
};

static const struct command_option maintain_options[] = {
    OPTION_ALL,
    {.name = "until-idle", .text = "go on until nothing is due; else one round"},
    OPTIONS_END,
};

static const struct command_option log_show_options[] = {
    {.name = "from", .argument = "N", .text = "begin at this record; else at the oldest"},
    {.name = "to", .argument = "N", .text = "end at this record; else at the newest"},
    {.name = "catalogue", .text = "the log of the instance itself, without TABLE"},
    OPTIONS_END,
};

static const struct command_option set_time_options[] = {
    {.name = "record",
     .argument = "N",
     .text = "the newest record of the log, which you have seen"},
    {.name = "catalogue", .text = "the log of the instance itself, without TABLE"},
    OPTIONS_END,
};

static const struct command_option trim_options[] = {
    {.name = "keep",
     .argument = "N",
     .text = "keep this many of the newest records; else what glis.table.log.keep says"},
    {.name = "full",
     .text = "also look for what died processes left: bodies that no record names, unfinished "
             "uploads"},
    {.name = "dry-run", .text = "print what would be removed, and do nothing"},
    {.name = "catalogue", .text = "the log of the instance itself, without TABLE"},
    OPTIONS_END,
};

static const struct command_option status_options[] = {
    {.name = "at-record",
     .argument = "N",
     .text = "the table as it was after this record of its log, while that is kept"},
    OPTIONS_END,
};

static const struct command_option check_options[] = {
    {.name = "at-record",
     .argument = "N",
     .text = "the state after this record of the table's log, and its files: whether it can be "
             "read, and restored"},
    {.name = "read-data", .text = "read every file: checksums, order, bounds, number of rows"},
    {.name = "iterators",
     .text = "try the iterators of tables: whether they give the same however rows are grouped"},
    OPTIONS_END,
};

const struct command commands_of_upkeep[] = {
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
     .options = status_options,
     .examples = "  glis status\n"
                 "  glis status packages partitions\n"
                 "  glis status packages files --at-record 17\n",
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
     .arguments = "[TABLE]",
     .max_arguments = 1,
     .summary = "Set a log's time to this machine's",
     .text =
         "The remedy when a record was written by a machine whose clock was far ahead, and "
         "commits are refused for it. All delays of the table begin again. Pins last until the "
         "time that they were given, also where it was reckoned from a time far ahead: "
         "`glis table unpin` ends them. Those that had run out by the wrong time live again, "
         "unless what they kept has been removed since. Tables, and the catalogue, in which they "
         "are created and dropped, each have a log.",
     .options = set_time_options,
     .examples = "  glis log set-time packages --record 17\n"
                 "  glis log set-time --catalogue --record 3\n",
     .run = cmd_log_set_time},
    {.noun = "log",
     .verb = "trim",
     .arguments = "[TABLE]",
     .max_arguments = 1,
     .summary = "Remove the old part of a log",
     .text = "In blocks of 1,024 records, down to a snapshot that is there. What pins keep stays. "
             "States below cannot be read any more: --at-record and restore refuse them. "
             "glis gc and glis maintain do this as well.",
     .options = trim_options,
     .examples = "  glis log trim packages --dry-run\n"
                 "  glis log trim packages --keep 5000\n",
     .run = cmd_log_trim},
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
                 "  glis check packages --read-data\n"
                 "  glis check packages --at-record 17\n",
     .run = cmd_check},
    {.noun = "store",
     .verb = "probe",
     .arguments = "ROOT",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "Try whether a folder or a bucket can hold an instance",
     .text = "Tries what the log and the tables rely on, and shows how long each took: that of "
             "conditional puts at once exactly one wins, that a finished put is seen by reads and "
             "lists, ranges, the order of lists, puts in parts, deletes, the clock; of a folder "
             "link, rename and sync, too. Its objects are below a folder of its own, "
             "glis-probe-..., and are removed at the end. The exit code is 1 when the place must "
             "not be used; nothing has to be there yet but the folder or the bucket.",
     .examples = "  glis store probe /data\n"
                 "  glis store probe s3://bucket/prefix\n",
     .run = cmd_store_probe},
    {.noun = "cache",
     .verb = "show",
     .arguments = "",
     .summary = "Show what is kept of data files on this machine",
     .text = "Pieces of data files that queries read from a bucket are kept in a folder, up to "
             "glis.cache.disk, for all processes of the user: glis.cache.dir, else glis in "
             "XDG_CACHE_HOME, else .cache/glis at home. They are right for ever, for data files "
             "never change.",
     .examples = "  glis cache show\n",
     .run = cmd_cache_show},
    {.noun = "cache",
     .verb = "clear",
     .arguments = "",
     .summary = "Remove what is kept of data files on this machine",
     .text = "Processes that are running go on, and fetch what they need again.",
     .examples = "  glis cache clear\n",
     .run = cmd_cache_clear},
    COMMANDS_END,
};
