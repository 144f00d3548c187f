/*
 * cmd_help.c: `glis help [COMMAND [VERB]]`, and the same texts as manual pages and completion
 * scripts, which the build installs.
 */
#include "base/text.h"
#include "cli/command.h"

int cmd_help(struct cli *cli)
{
    if (cli_flag(cli, "man")) return manual_page(cli, cli_value(cli, "man"));
    if (cli_flag(cli, "completion")) return completion_script(cli, cli_value(cli, "completion"));
    if (cli->n_arguments == 0) {
        help_print(cli, NULL, NULL);
        return 0;
    }
    const char *nouns[64] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < n_command_nouns && n < 64; i++)
        nouns[n++] = command_nouns[i].noun;
    const char *noun = NULL;
    for (size_t i = 0; i < n; i++)
        if (slice_equal_text(cli->arguments[0], nouns[i])) noun = nouns[i];
    if (!noun)
        return cli_usage(cli, "there is no command '%.*s'%s", SLICE_PRINT(cli->arguments[0]),
                         cli_did_you_mean(cli, cli->arguments[0], nouns, n));
    const struct command *command = NULL, *each;
    const char *verbs[64] = {NULL};
    size_t n_verbs = 0;
    for (size_t i = 0; cli->n_arguments == 2 && (each = command_at(i)); i++) {
        if (strcmp(each->noun, noun) != 0 || !each->verb) continue;
        verbs[n_verbs++] = each->verb;
        if (slice_equal_text(cli->arguments[1], each->verb)) command = each;
    }
    if (cli->n_arguments == 2 && !command)
        return cli_usage(cli, "there is no command '%s %.*s'%s", noun,
                         SLICE_PRINT(cli->arguments[1]),
                         cli_did_you_mean(cli, cli->arguments[1], verbs, n_verbs));
    help_print(cli, noun, command);
    return 0;
}
