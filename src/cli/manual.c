/*
 * manual.c: the manual pages in man(7) source, from the table of commands: glis(1), and a page for
 * each noun with all of its verbs. The build runs `glis help --man PAGE` for each.
 */
#include "cli/command.h"

static void page_of_glis(struct cli *cli);
static void page_of_noun(struct cli *cli, const struct command_noun *noun);
static void section_of_command(struct cli *cli, const struct command *command);
static void print_roff(struct cli *cli, const char *text);
static void print_paragraphs(struct cli *cli, const char *text);
static void print_option_list(struct cli *cli, const struct command_option *options);

int manual_page(struct cli *cli, struct slice name)
{
    if (slice_equal_text(name, "glis")) {
        page_of_glis(cli);
        return 0;
    }
    const char *names[64] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < n_command_nouns && n < 64; i++) {
        names[n] = arena_printf(&cli->arena, "glis-%s", command_nouns[i].noun);
        if (slice_equal_text(name, names[n++])) {
            page_of_noun(cli, &command_nouns[i]);
            return 0;
        }
    }
    return error_set(GLIS_ENOTFOUND, "there is no manual page '%.*s'%s", SLICE_PRINT(name),
                     cli_did_you_mean(cli, name, names, n));
}

static void page_of_glis(struct cli *cli)
{
    cli_print(cli,
              ".TH GLIS 1 \"\" \"glis %s\" \"Glis\"\n.SH NAME\nglis \\- tables of keyed rows "
              "in sorted Parquet files\n",
              GLIS_VERSION);
    cli_print(cli, ".SH SYNOPSIS\n.B glis\n[\\fB\\-\\-instance\\fR \\fIROOT\\fR] "
                   "[\\fB\\-\\-json\\fR] [\\fB\\-\\-set\\fR \\fIname=value\\fR] \\fICOMMAND\\fR "
                   "...\n.SH DESCRIPTION\n");
    print_paragraphs(cli,
                     "Glis keeps tables of keyed rows as sorted Parquet files in a folder or an "
                     "object store. There is no server: each command reads and changes the "
                     "instance itself, and any number of them may run at the same time.");
    cli_print(cli, ".SH COMMANDS\n");
    for (size_t i = 0; i < n_command_nouns; i++) {
        cli_print(cli, ".TP\n.BR glis\\-%s (1)\n", command_nouns[i].noun);
        print_paragraphs(cli, command_nouns[i].summary);
    }
    cli_print(cli, ".SH OPTIONS\nThese may stand anywhere on the command line.\n");
    print_option_list(cli, global_options);
    cli_print(cli,
              ".SH EXIT STATUS\n0: done. 1: failed. 2: wrong usage. The first line on standard "
              "error says what is wrong.\n"
              ".SH ENVIRONMENT\n.TP\n.B GLIS_INSTANCE\nThe instance, where \\-\\-instance is "
              "not given.\n.TP\n.B GLIS_INGEST_MEMORY, ...\nEvery property of a process: "
              "glis.ingest.memory is GLIS_INGEST_MEMORY.\n");
}

static void page_of_noun(struct cli *cli, const struct command_noun *noun)
{
    char upper[32];
    size_t n = 0;
    for (; noun->noun[n] && n + 1 < sizeof upper; n++)
        upper[n] = noun->noun[n] >= 'a' && noun->noun[n] <= 'z' ? (char)(noun->noun[n] - 32)
                                                                : noun->noun[n];
    upper[n] = '\0';
    cli_print(cli, ".TH GLIS\\-%s 1 \"\" \"glis %s\" \"Glis\"\n.SH NAME\nglis\\-%s \\- ", upper,
              GLIS_VERSION, noun->noun);
    print_roff(cli, noun->summary);
    cli_print(cli, "\n.SH SYNOPSIS\n");
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)); i++) {
        if (strcmp(command->noun, noun->noun) != 0) continue;
        cli_print(cli, ".B glis ");
        print_roff(cli, help_usage(cli, command));
        cli_print(cli, "\n.br\n");
    }
    cli_print(cli, ".SH DESCRIPTION\n");
    for (size_t i = 0; (command = command_at(i)); i++)
        if (strcmp(command->noun, noun->noun) == 0) section_of_command(cli, command);
    cli_print(cli, ".SH SEE ALSO\n.BR glis (1)\n");
}

static void section_of_command(struct cli *cli, const struct command *command)
{
    if (command->verb) {
        cli_print(cli, ".SS ");
        print_roff(cli, help_usage(cli, command));
        cli_print(cli, "\n");
    }
    print_roff(cli, command->summary);
    cli_print(cli, ".\n");
    if (*command->text) {
        cli_print(cli, ".PP\n");
        print_paragraphs(cli, command->text);
    }
    if (command->options) print_option_list(cli, command->options);
    if (command->examples) {
        cli_print(cli, ".PP\n.EX\n");
        print_roff(cli, command->examples);
        cli_print(cli, ".EE\n");
    }
}

static void print_option_list(struct cli *cli, const struct command_option *options)
{
    for (const struct command_option *o = options; o->name; o++) {
        cli_print(cli, ".TP\n.B ");
        print_roff(cli, arena_printf(&cli->arena, "--%s%s%s", o->name, o->argument ? " " : "",
                                     o->argument ? o->argument : ""));
        cli_print(cli, "\n");
        print_roff(cli, o->text);
        if (o->choices) print_roff(cli, arena_printf(&cli->arena, " (%s)", o->choices));
        cli_print(cli, "\n");
    }
}

static void print_paragraphs(struct cli *cli, const char *text)
{
    const char *break_at;
    while ((break_at = strstr(text, "\n\n"))) {
        print_roff(cli, arena_copy_text(&cli->arena, slice_make(text, (size_t)(break_at - text))));
        cli_print(cli, "\n.PP\n");
        text = break_at + 2;
    }
    print_roff(cli, text);
    cli_print(cli, "\n");
}

/* Text without meaning to roff: backslashes, dashes, and what may not begin a line. */
static void print_roff(struct cli *cli, const char *text)
{
    for (const char *at = text; *at; at++) {
        bool begins = at == text || at[-1] == '\n';
        if (*at == '\\')
            cli_print(cli, "\\e");
        else if (*at == '-')
            cli_print(cli, "\\-");
        else if (begins && (*at == '.' || *at == '\''))
            cli_print(cli, "\\&%c", *at);
        else
            cli_print(cli, "%c", *at);
    }
}
