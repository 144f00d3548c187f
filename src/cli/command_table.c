/*
 * command_table.c: the one table of commands: names, arguments, options and texts. Parsing,
 * --help, the manual pages and completion are made from it. Texts are for users: short sentences,
 * the common case first, and what a command leaves untouched when it fails.
 *
 * The entries stand in files by subject, commands_of_*.c; options that several commands have are
 * written once, in command_options.h. Here are the options of every command, the nouns in the order
 * in which help lists them, and the list of those files.
 */
#include "cli/command_options.h"

const struct command_option global_options[] = {
    {.name = "instance",
     .argument = "ROOT",
     .text = "the instance: a folder, s3://BUCKET/PREFIX or az://CONTAINER/PREFIX; else the "
             "environment's GLIS_INSTANCE"},
    {.name = "json", .text = "print JSON instead of text for people"},
    {.name = "set",
     .argument = "NAME=VALUE",
     .repeats = true,
     .text = "a setting of this process, for this call only; stronger than the environment "
             "(GLIS_INGEST_MEMORY for glis.ingest.memory) and the instance"},
    {.name = "help", .text = "explain the command"},
    {.name = "version", .text = "print the version"},
    OPTIONS_END,
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
    {"store", "Try what a folder or a bucket can do"},
    {"cache", "Look at or remove what is kept of data files on this machine"},
    {"parquet", "Look into Parquet files, whoever wrote them, and rewrite them"},
    {"properties", "Print the manual of all properties"},
    {"set", "Show or change the instance's properties"},
    {"help", "Explain commands; print manual pages and completion"},
};
const size_t n_command_nouns = sizeof command_nouns / sizeof *command_nouns;

static const struct command *const groups[] = {
    commands_of_instance, commands_of_tables,  commands_of_rows,
    commands_of_upkeep,   commands_of_parquet,
};

const struct command *command_at(size_t index)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (const struct command *command = groups[i]; command->noun; command++)
            if (index-- == 0) return command;
    return NULL;
}
