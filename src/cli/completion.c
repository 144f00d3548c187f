/*
 * completion.c: completion scripts for bash and zsh, from the table of commands. The scripts know
 * commands, verbs, options and the choices of options; names of tables they ask `glis table list
 * --names` for, and everything else is a file.
 */
#include "cli/command.h"

static void print_bash(struct cli *cli);
static void print_command_case(struct cli *cli, const struct command *command);
static void print_verbs(struct cli *cli, const char *noun);
static void print_choices(struct cli *cli, const char *choices);

int completion_script(struct cli *cli, struct slice shell)
{
    if (slice_equal_text(shell, "zsh"))
        cli_print(cli, "#compdef glis\n"
                       "# Completion of glis for zsh, by way of the one for bash.\n"
                       "autoload -U +X bashcompinit && bashcompinit\n");
    else
        cli_print(cli, "# Completion of glis for bash.\n");
    print_bash(cli);
    return 0;
}

static void print_bash(struct cli *cli)
{
    cli_print(cli, "_glis() {\n"
                   "    local current=\"${COMP_WORDS[COMP_CWORD]}\" "
                   "previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
                   "    local noun= verb= root= i options= places=0\n"
                   "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                   "        case \"${COMP_WORDS[i]}\" in\n"
                   "        --instance) root=\"${COMP_WORDS[++i]}\" ;;\n"
                   "        --set) ((++i)) ;;\n"
                   "        -*) ;;\n"
                   "        *) if [[ -z $noun ]]; then noun=\"${COMP_WORDS[i]}\"\n"
                   "           elif [[ -z $verb ]]; then verb=\"${COMP_WORDS[i]}\"; fi\n"
                   "           ((++places)) ;;\n"
                   "        esac\n"
                   "    done\n"
                   "    if [[ -z $noun ]]; then\n"
                   "        options=\"--instance --json --set --help --version\"\n"
                   "        COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; i < n_command_nouns; i++)
        cli_print(cli, "%s ", command_nouns[i].noun);
    cli_print(cli, "$options\" -- \"$current\"))\n        return\n    fi\n"
                   "    local command=\"$noun\" words= table=no\n"
                   "    case \"$noun\" in\n");
    for (size_t i = 0; i < n_command_nouns; i++)
        print_verbs(cli, command_nouns[i].noun);
    cli_print(cli, "    esac\n"
                   "    case \"$command\" in\n");
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)); i++)
        print_command_case(cli, command);
    cli_print(cli, "    esac\n"
                   "    if [[ $current == -* ]]; then\n"
                   "        words=\"$options --instance --json --set --help\"\n"
                   "    elif [[ $table == yes ]]; then\n"
                   "        words=\"$(glis ${root:+--instance \"$root\"} table list --names "
                   "2>/dev/null)\"\n"
                   "    fi\n"
                   "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                   "    if [[ ${#COMPREPLY[@]} == 0 && $current != -* ]]; then\n"
                   "        COMPREPLY=($(compgen -f -- \"$current\"))\n"
                   "    fi\n"
                   "}\n"
                   "complete -o filenames -F _glis glis\n");
}

/* Completes the verb, or sets command to "noun verb". */
static void print_verbs(struct cli *cli, const char *noun)
{
    bool has_verbs = false;
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)); i++) {
        if (strcmp(command->noun, noun) != 0 || !command->verb) continue;
        if (!has_verbs)
            cli_print(cli,
                      "    %s)\n        if [[ -z $verb ]]; then\n"
                      "            COMPREPLY=($(compgen -W \"",
                      noun);
        cli_print(cli, "%s%s", has_verbs ? " " : "", command->verb);
        has_verbs = true;
    }
    if (has_verbs)
        cli_print(cli, "\" -- \"$current\"))\n            return\n        fi\n"
                       "        command=\"$noun $verb\"; ((--places)) ;;\n");
}

static void print_command_case(struct cli *cli, const struct command *command)
{
    cli_print(cli, "    \"%s%s%s\")\n", command->noun, command->verb ? " " : "",
              command->verb ? command->verb : "");
    bool wants_table = strncmp(command->arguments, "TABLE", 5) == 0 ||
                       strncmp(command->arguments, "[TABLE", 6) == 0 ||
                       (strncmp(command->arguments, "NAME", 4) == 0 && command->verb &&
                        strcmp(command->verb, "create") != 0);
    if (wants_table) cli_print(cli, "        [[ $places == 1 ]] && table=yes\n");
    cli_print(cli, "        options=\"");
    for (const struct command_option *o = command->options; o && o->name; o++)
        cli_print(cli, "%s--%s", o == command->options ? "" : " ", o->name);
    cli_print(cli, "\"\n");
    bool has_choices = false;
    for (const struct command_option *o = command->options; o && o->name; o++) {
        if (!o->choices) continue;
        cli_print(cli, "%s        --%s) words=\"",
                  has_choices ? "" : "        case \"$previous\" in\n", o->name);
        print_choices(cli, o->choices);
        cli_print(cli, "\"; table=no ;;\n");
        has_choices = true;
    }
    if (has_choices) cli_print(cli, "        esac\n");
    cli_print(cli, "        ;;\n");
}

static void print_choices(struct cli *cli, const char *choices)
{
    for (const char *at = choices; *at; at++)
        cli_print(cli, "%c", *at == '|' ? ' ' : *at);
}
