/*
 * test_command.c: words of the command line to commands, arguments and options, and what must hold
 * of the table of commands itself.
 */
#include "test.h"

#include "cli/command.h"

static int parse(struct cli *cli, const char *line)
{
    static char text[512];
    static char *words[64];
    int n = 0;
    *cli = (struct cli){.arena = ARENA_EMPTY};
    snprintf(text, sizeof text, "glis %s", line);
    for (char *at = text; *at;) {
        words[n++] = at;
        at += strcspn(at, " ");
        if (*at) *at++ = '\0';
    }
    return cli_parse(cli, n, words);
}

static void words_become_commands(void **state)
{
    (void)state;
    static const struct {
        const char *line, *noun, *verb;
        size_t n_arguments;
        const char *last;
    } cases[] = {
        {"status", "status", NULL, 0, NULL},
        {"status t files", "status", NULL, 2, "files"},
        {"table list", "table", "list", 0, NULL},
        {"--json table list", "table", "list", 0, NULL},
        {"table --json list", "table", "list", 0, NULL},
        {"table list --json", "table", "list", 0, NULL},
        {"--instance /x table drop t", "table", "drop", 1, "t"},
        {"ingest t - --format csv", "ingest", NULL, 2, "-"},
        {"ingest t --format=csv a b", "ingest", NULL, 3, "b"},
        {"ingest t -- --a", "ingest", NULL, 2, "--a"},
        {"query t --key a b", "query", NULL, 1, "t"},
        {"query --limit 3 t", "query", NULL, 1, "t"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cli cli;
        assert_ok(parse(&cli, cases[i].line));
        assert_string_equal(cli.command->noun, cases[i].noun);
        if (cases[i].verb) assert_string_equal(cli.command->verb, cases[i].verb);
        assert_int_equal(cli.n_arguments, cases[i].n_arguments);
        if (cases[i].last)
            assert_true(slice_equal_text(cli.arguments[cli.n_arguments - 1], cases[i].last));
        arena_free(&cli.arena);
    }
}

static void an_option_of_many_words_ends_at_the_next_option(void **state)
{
    (void)state;
    struct cli cli;
    assert_ok(parse(&cli, "query t --key a -5 --from=x y --limit 7 --columns a,b --columns ,c,"));
    const struct given_option *key = cli_option(&cli, "key"), *from = cli_option(&cli, "from");
    assert_int_equal(key->n_values, 2);
    assert_true(slice_equal_text(key->values[1], "-5"));
    assert_int_equal(from->n_values, 2);
    uint64_t limit = 0;
    assert_ok(cli_number(&cli, "limit", 0, 10, &limit));
    assert_int_equal(limit, 7);
    struct slice *names;
    size_t n;
    cli_names(&cli, "columns", &names, &n);
    assert_int_equal(n, 3);
    assert_true(slice_equal_text(names[2], "c"));
    assert_true(cli_flag(&cli, "limit") && !cli_flag(&cli, "count"));
    arena_free(&cli.arena);
}

static void settings_of_a_new_table_are_kept_apart(void **state)
{
    (void)state;
    struct cli cli;
    assert_ok(parse(&cli, "table create t --set glis.table.gc.delay=1h "
                          "--set glis.ingest.memory=1G"));
    assert_int_equal(cli.n_table_sets, 1);
    assert_int_equal(cli.n_sets, 1);
    assert_true(slice_equal_text(cli.table_sets[0].value, "1h"));
    arena_free(&cli.arena);
    assert_ok(parse(&cli, "status --set glis.table.gc.delay=1h"));
    assert_int_equal(cli.n_sets, 1);
    arena_free(&cli.arena);
}

static void wrong_words_are_usage_errors(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"", "a command is missing"},
        {"tabel", "did you mean 'table'"},
        {"table", "needs a second word"},
        {"table lst", "did you mean 'list'"},
        {"query", "an argument is missing"},
        {"query a b", "too many: 'b'"},
        {"query t --key", "--key needs a value"},
        {"query t --key --limit 3", "--key needs a value"},
        {"query t --limit", "--limit needs a value"},
        {"query t --limit 1 --limit 2", "given twice"},
        {"query t --count=1", "takes no value"},
        {"query t --format xml", "is one of table|csv"},
        {"query t -k", "begin with two dashes"},
        {"--limit 3 query t", "before the command"},
        {"--set glis.nothing=1 status", "glis.nothing"},
        {"--set nothing status", "name=value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cli cli;
        assert_fails(parse(&cli, cases[i].line), GLIS_EINVALID, cases[i].message);
        assert_true(cli.is_usage_error);
        arena_free(&cli.arena);
    }
}

static void the_table_of_commands_holds_together(void **state)
{
    (void)state;
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)); i++) {
        bool noun_is_known = false;
        for (size_t j = 0; j < n_command_nouns; j++)
            noun_is_known |= strcmp(command->noun, command_nouns[j].noun) == 0;
        assert_true(noun_is_known && command->run && command->text && command->arguments);
        assert_true(command->min_arguments <= command->max_arguments);
        assert_true(command->summary[strlen(command->summary) - 1] != '.');
        for (size_t j = 0; j < i; j++)
            assert_true(strcmp(command_at(j)->noun, command->noun) != 0 ||
                        (command->verb && strcmp(command_at(j)->verb, command->verb) != 0));
        size_t n = 0;
        for (const struct command_option *o = command->options; o && o->name; o++, n++) {
            assert_true(o->text && strncmp(o->name, "--", 2) != 0);
            for (const struct command_option *g = global_options; g->name; g++)
                assert_string_not_equal(g->name, o->name);
        }
        assert_true(n <= CLI_OPTIONS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_commands),
        cmocka_unit_test(an_option_of_many_words_ends_at_the_next_option),
        cmocka_unit_test(settings_of_a_new_table_are_kept_apart),
        cmocka_unit_test(wrong_words_are_usage_errors),
        cmocka_unit_test(the_table_of_commands_holds_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
