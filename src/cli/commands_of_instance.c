/*
 * commands_of_instance.c: entries of the table of commands for an instance as a whole (init,
 * import, set) and for what the program says of itself (properties, help).
 */
#include "cli/command_options.h"

static const struct command_option init_options[] = {
    {.name = "from",
     .argument = "FOLDER",
     .text = "read instance.properties, tags.properties and tables/NAME/{table.properties, "
             "schema.json, splits.txt} from this folder"},
    {.name = "log-home",
     .argument = "ADDRESS",
     .text = "keep the logs in PostgreSQL, postgresql://USER@HOST/DATABASE; written into the "
             "instance once, for all processes. The password is not part of it: PGPASSWORD, a "
             "password file or a service file has it"},
    {.name = "property",
     .argument = "NAME=VALUE",
     .repeats = true,
     .text = "a property of the new instance"},
    OPTIONS_END,
};

static const struct command_option import_options[] = {
    {.name = "data",
     .argument = "FOLDER",
     .text = "a copy of the data bucket, with a folder for each table, named by its id; without, "
             "no rows are brought in"},
    {.name = "all-files",
     .text = "every Parquet file in the copy is live and whole, where no files.json says so"},
    {.name = "rewrite", .text = "sort all files anew; none is taken over where it is"},
    OPTIONS_END,
};

static const struct command_option set_options[] = {
    {.name = "from", .argument = "FILE", .text = "read them from an instance.properties file"},
    OPTIONS_END,
};

static const struct command_option help_options[] = {
    {.name = "man",
     .argument = "PAGE",
     .text = "print a manual page (glis, glis-table) as man(7) source"},
    {.name = "completion",
     .argument = "SHELL",
     .choices = "bash|zsh",
     .text = "print the completion script of a shell"},
    OPTIONS_END,
};

const struct command commands_of_instance[] = {
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
    {.noun = "properties",
     .arguments = "[GROUP|NAME]",
     .max_arguments = 1,
     .summary = "Print the manual of all properties, of a group or of one",
     .text = "GROUP is instance, process or table; NAME is a property's.",
     .run = cmd_properties},
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
    COMMANDS_END,
};
