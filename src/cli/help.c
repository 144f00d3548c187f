/*
 * help.c: `--help` and `glis help`, from the table of commands. Lines are wrapped at 80 columns;
 * paragraphs of the table's texts are separated by blank lines, and lines in them that begin with
 * blanks are left as they are.
 */
#include "cli/command.h"

enum { HELP_COLUMNS = 80 };

static void print_wrapped(struct cli *cli, const char *text, int indent);
static void print_options(struct cli *cli, const char *heading,
                          const struct command_option *options);
static void print_all(struct cli *cli);
static void print_noun(struct cli *cli, const char *noun);
static void print_command(struct cli *cli, const struct command *command);

void help_print(struct cli *cli, const char *noun, const struct command *command)
{
    if (command)
        print_command(cli, command);
    else if (noun)
        print_noun(cli, noun);
    else
        print_all(cli);
}

const char *help_usage(struct cli *cli, const struct command *command)
{
    return arena_printf(&cli->arena, "%s%s%s%s%s%s", command->noun, command->verb ? " " : "",
                        command->verb ? command->verb : "", *command->arguments ? " " : "",
                        command->arguments, command->options ? " [options]" : "");
}

static void print_all(struct cli *cli)
{
    cli_print(cli, "usage: glis [--instance ROOT] [--json] [--set name=value] COMMAND ...\n\n");
    print_wrapped(
        cli,
        "Glis keeps tables of keyed rows as sorted Parquet files in a folder or an object "
        "store. There is no server: each command reads and changes the instance itself.",
        0);
    cli_print(cli, "\nCommands:\n");
    for (size_t i = 0; i < n_command_nouns; i++)
        cli_print(cli, "  %-12s %s\n", command_nouns[i].noun, command_nouns[i].summary);
    print_options(cli, "Options of every command", global_options);
    cli_print(cli, "\n`glis COMMAND --help` says more.  Exit codes: 0 done, 1 failed, 2 wrong "
                   "usage.\n");
}

static void print_noun(struct cli *cli, const char *noun)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)); i++)
        if (strcmp(command->noun, noun) == 0 && !command->verb) {
            print_command(cli, command);
            return;
        }
    for (size_t i = 0; i < n_command_nouns; i++)
        if (strcmp(command_nouns[i].noun, noun) == 0)
            cli_print(cli, "glis %s: %s\n\n", noun, command_nouns[i].summary);
    for (size_t i = 0; (command = command_at(i)); i++)
        if (strcmp(command->noun, noun) == 0)
            cli_print(cli, "  glis %s %-15s %s\n", noun, command->verb, command->summary);
    cli_print(cli, "\n`glis %s VERB --help` says more.\n", noun);
}

static void print_command(struct cli *cli, const struct command *command)
{
    cli_print(cli, "usage: glis %s\n\n%s.\n", help_usage(cli, command), command->summary);
    if (*command->text) {
        cli_print(cli, "\n");
        print_wrapped(cli, command->text, 0);
    }
    if (command->options) print_options(cli, "Options", command->options);
    if (command->examples) cli_print(cli, "\nExamples:\n%s", command->examples);
    cli_print(cli, "\nOptions of every command: --instance ROOT, --json, --set name=value, "
                   "--help.\n");
}

static void print_options(struct cli *cli, const char *heading,
                          const struct command_option *options)
{
    cli_print(cli, "\n%s:\n", heading);
    for (const struct command_option *o = options; o->name; o++) {
        const char *words = arena_printf(&cli->arena, "--%s%s%s", o->name, o->argument ? " " : "",
                                         o->argument ? o->argument : "");
        cli_print(cli, "  %-24s", words);
        if (strlen(words) > 23) cli_print(cli, "\n  %-24s", "");
        const char *choices = o->choices ? arena_printf(&cli->arena, " (%s)", o->choices) : "";
        print_wrapped(cli, arena_printf(&cli->arena, "%s%s", o->text, choices), -27);
    }
}

/* Words of `text` in lines; with a negative indent the first line has been begun already. */
static void print_wrapped(struct cli *cli, const char *text, int indent)
{
    int margin = indent < 0 ? -indent : indent;
    int column = indent < 0 ? margin - 1 : 0;
    bool begun = false;
    for (const char *at = text; *at;) {
        if (*at == '\n') {
            bool is_blank = at[1] == '\n', is_fixed = at[1] == ' ';
            if (is_blank || is_fixed) {
                cli_print(cli, is_blank ? "\n\n" : "\n");
                column = 0;
                begun = false;
            }
            at += is_blank ? 2 : 1;
            if (!is_fixed) continue;
            const char *end = strchr(at, '\n');
            size_t size = end ? (size_t)(end - at) : strlen(at);
            cli_print(cli, "%*s%.*s", margin, "", (int)size, at);
            at += size;
            begun = true;
            column = HELP_COLUMNS; /* whatever follows begins a line of its own */
            continue;
        }
        if (*at == ' ') {
            at++;
            continue;
        }
        int size = (int)strcspn(at, " \n");
        if (begun && column + 1 + size > HELP_COLUMNS) {
            cli_print(cli, "\n");
            column = 0;
            begun = false;
        }
        if (!begun && column < margin) {
            cli_print(cli, "%*s", margin - column, "");
            column = margin;
        } else if (begun) {
            cli_print(cli, " ");
            column++;
        }
        cli_print(cli, "%.*s", size, at);
        column += size;
        begun = true;
        at += size;
    }
    cli_print(cli, "\n");
}
