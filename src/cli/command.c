/*
 * command.c: from the words of the command line to a command, its arguments and its options.
 *
 * The first two words that are no options name the command (one, where the noun stands alone).
 * Global options may stand anywhere; a command's own behind its name. `--name=value` and `--name
 * value` are the same; `--` ends the options; `-` alone is an argument (standard input). A word
 * that begins with a minus and a digit is a value, so that negative keys need no escaping. What is
 * misspelled is answered with the nearest word that would have been right.
 */
#include "cli/command.h"

#include "base/text.h"

#include <ctype.h>
#include <stdarg.h>

struct words {
    struct slice *items;
    size_t n, next;
    bool options_ended;
};

static bool is_option(const struct words *words, struct slice word);
static int parse_option(struct cli *cli, struct words *words, struct slice word);
static const struct command_option *option_find(const struct cli *cli, struct slice name);
static int option_unknown(struct cli *cli, struct slice name);
static int take_values(struct cli *cli, struct words *words, const struct command_option *option,
                       bool has_inline, struct slice inline_value, struct given_option *given);
static int check_choice(struct cli *cli, const struct command_option *option, struct slice value);
static int find_command(struct cli *cli, struct slice noun, struct words *words);
static int noun_unknown(struct cli *cli, struct slice noun);
static int verb_wanted(struct cli *cli, struct slice noun, struct slice verb);
static int apply_globals(struct cli *cli);
static int add_set(struct cli *cli, struct slice word);

int cli_parse(struct cli *cli, int n_words, char **given_words)
{
    struct words words = {.items = ARENA_ARRAY(&cli->arena, struct slice, n_words + 1)};
    for (int i = 1; i < n_words; i++)
        words.items[words.n++] = slice_from_text(given_words[i]);
    cli->arguments = ARENA_ARRAY(&cli->arena, struct slice, n_words + 1);
    cli->given = ARENA_ARRAY(&cli->arena, struct given_option, n_words + 1);
    /* Known before anything can be wrong, for that is said as JSON then. */
    for (size_t i = 0; i < words.n && !slice_equal_text(words.items[i], "--"); i++)
        if (slice_equal_text(words.items[i], "--json")) cli->json = true;
    bool named = false;
    while (words.next < words.n) {
        struct slice word = words.items[words.next++];
        if (!words.options_ended && slice_equal_text(word, "--")) {
            words.options_ended = true;
        } else if (is_option(&words, word)) {
            TRY(parse_option(cli, &words, word));
        } else if (!named) {
            TRY(find_command(cli, word, &words));
            named = true;
        } else {
            cli->arguments[cli->n_arguments++] = word;
        }
    }
    TRY(apply_globals(cli));
    if (cli->wants_help || cli->wants_version) return 0;
    if (!cli->command) return cli_usage(cli, "a command is missing");
    const struct command *command = cli->command;
    if (cli->n_arguments < command->min_arguments)
        return cli_usage(cli, "an argument is missing: glis %s", help_usage(cli, command));
    if (cli->n_arguments > command->max_arguments)
        return cli_usage(cli, "one argument too many: '%.*s'",
                         SLICE_PRINT(cli->arguments[command->max_arguments]));
    return 0;
}

static bool is_option(const struct words *words, struct slice word)
{
    return !words->options_ended && word.size > 1 && word.data[0] == '-' &&
           !isdigit((unsigned char)word.data[1]) && word.data[1] != '.';
}

static int parse_option(struct cli *cli, struct words *words, struct slice word)
{
    if (slice_equal_text(word, "-h")) word = SLICE("--help");
    if (slice_equal_text(word, "-V")) word = SLICE("--version");
    if (word.data[1] != '-')
        return cli_usage(cli, "'%.*s' is no option; options begin with two dashes",
                         SLICE_PRINT(word));
    struct slice name = slice_part(word, 2, word.size), value = SLICE_EMPTY;
    const char *equals = memchr(name.data, '=', name.size);
    if (equals) {
        value = slice_part(name, (size_t)(equals - name.data) + 1, name.size);
        name.size = (size_t)(equals - name.data);
    }
    const struct command_option *option = option_find(cli, name);
    if (!option) return option_unknown(cli, name);
    for (size_t i = 0; i < cli->n_given; i++)
        if (cli->given[i].option == option && !option->repeats && option->argument)
            return cli_usage(cli, "--%s is given twice", option->name);
    struct given_option *given = &cli->given[cli->n_given];
    given->option = option;
    TRY(take_values(cli, words, option, equals, value, given));
    cli->n_given++;
    return 0;
}

static const struct command_option *option_find(const struct cli *cli, struct slice name)
{
    const struct command_option *lists[] = {cli->command ? cli->command->options : NULL,
                                            global_options};
    for (size_t l = 0; l < 2; l++)
        for (const struct command_option *o = lists[l]; o && o->name; o++)
            if (slice_equal_text(name, o->name)) return o;
    return NULL;
}

static int option_unknown(struct cli *cli, struct slice name)
{
    const char *known[2 * CLI_OPTIONS_MAX];
    size_t n = 0;
    for (const struct command_option *o = cli->command ? cli->command->options : NULL; o && o->name;
         o++)
        known[n++] = o->name;
    for (const struct command_option *o = global_options; o->name; o++)
        known[n++] = o->name;
    const char *nearest = text_closest(name, known, n);
    const char *hint = nearest ? arena_printf(&cli->arena, "; did you mean '--%s'?", nearest) : "";
    if (!cli->command)
        return cli_usage(cli, "unknown option '--%.*s' before the command%s", SLICE_PRINT(name),
                         hint);
    return cli_usage(cli, "unknown option '--%.*s'%s", SLICE_PRINT(name), hint);
}

static int take_values(struct cli *cli, struct words *words, const struct command_option *option,
                       bool has_inline, struct slice inline_value, struct given_option *given)
{
    if (!option->argument) {
        if (has_inline) return cli_usage(cli, "--%s takes no value", option->name);
        return 0;
    }
    size_t room = option->many ? words->n - words->next + 1 : 1;
    given->values = ARENA_ARRAY(&cli->arena, struct slice, room);
    if (has_inline) given->values[given->n_values++] = inline_value;
    while (given->n_values < room && words->next < words->n) {
        struct slice word = words->items[words->next];
        if (is_option(words, word) || (option->many && slice_equal_text(word, "--"))) break;
        given->values[given->n_values++] = word;
        words->next++;
    }
    if (given->n_values == 0)
        return cli_usage(cli, "--%s needs a value: --%s %s", option->name, option->name,
                         option->argument);
    if (option->choices) TRY(check_choice(cli, option, given->values[0]));
    return 0;
}

static int check_choice(struct cli *cli, const struct command_option *option, struct slice value)
{
    const char *words[16];
    size_t n = 0;
    for (const char *at = option->choices; at && n < 16;) {
        const char *bar = strchr(at, '|');
        struct slice word = slice_make(at, bar ? (size_t)(bar - at) : strlen(at));
        if (slice_equal(word, value)) return 0;
        words[n++] = arena_copy_text(&cli->arena, word);
        at = bar ? bar + 1 : NULL;
    }
    return cli_usage(cli, "--%s is one of %s, not '%.*s'%s", option->name, option->choices,
                     SLICE_PRINT(value), cli_did_you_mean(cli, value, words, n));
}

/* ---- commands ---- */

static int find_command(struct cli *cli, struct slice noun, struct words *words)
{
    const struct command *first = NULL, *command;
    for (size_t i = 0; !first && (command = command_at(i)); i++)
        if (slice_equal_text(noun, command->noun)) first = command;
    if (!first) return noun_unknown(cli, noun);
    cli->noun = first->noun;
    if (!first->verb) {
        cli->command = first;
        return 0;
    }
    /* Global options may stand between noun and verb. */
    while (words->next < words->n && is_option(words, words->items[words->next])) {
        struct slice word = words->items[words->next++];
        if (slice_equal_text(word, "--help") || slice_equal_text(word, "-h")) {
            cli->wants_help = true;
            cli->arguments[cli->n_arguments++] = noun;
        } else {
            TRY(parse_option(cli, words, word));
        }
    }
    if (words->next == words->n) return cli->wants_help ? 0 : verb_wanted(cli, noun, SLICE_EMPTY);
    struct slice verb = words->items[words->next++];
    for (size_t i = 0; (command = command_at(i)); i++)
        if (slice_equal_text(noun, command->noun) && slice_equal_text(verb, command->verb))
            cli->command = command;
    return cli->command ? 0 : verb_wanted(cli, noun, verb);
}

static int noun_unknown(struct cli *cli, struct slice noun)
{
    const char *nouns[64] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < n_command_nouns && n < 64; i++)
        nouns[n++] = command_nouns[i].noun;
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)); i++)
        if (command->verb && slice_equal_text(noun, command->verb))
            return cli_usage(cli, "there is no command '%.*s'; did you mean '%s %.*s'?",
                             SLICE_PRINT(noun), command->noun, SLICE_PRINT(noun));
    const char *hint = cli_did_you_mean(cli, noun, nouns, n);
    return cli_usage(cli, "there is no command '%.*s'%s", SLICE_PRINT(slice_part(noun, 0, 64)),
                     hint);
}

static int verb_wanted(struct cli *cli, struct slice noun, struct slice verb)
{
    const char *verbs[64] = {NULL};
    size_t n = 0;
    defer_buffer struct buffer list = BUFFER_INIT(4096);
    const struct command *command;
    for (size_t i = 0; n < 64 && (command = command_at(i)); i++) {
        if (!slice_equal_text(noun, command->noun)) continue;
        TRY(buffer_printf(&list, "%s%s", n ? ", " : "", command->verb));
        verbs[n++] = command->verb;
    }
    struct slice text = buffer_slice(&list);
    if (verb.size == 0)
        return cli_usage(cli, "glis %.*s needs a second word: %.*s", SLICE_PRINT(noun),
                         SLICE_PRINT(text));
    const char *hint = cli_did_you_mean(cli, verb, verbs, n);
    if (*hint)
        return cli_usage(cli, "there is no command '%.*s %.*s'%s", SLICE_PRINT(noun),
                         SLICE_PRINT(slice_part(verb, 0, 64)), hint);
    return cli_usage(cli, "there is no command '%.*s %.*s'; there are %.*s", SLICE_PRINT(noun),
                     SLICE_PRINT(slice_part(verb, 0, 64)), SLICE_PRINT(text));
}

const char *cli_did_you_mean(struct cli *cli, struct slice word, const char *const *candidates,
                             size_t n)
{
    const char *nearest = text_closest(word, candidates, n);
    return nearest ? arena_printf(&cli->arena, "; did you mean '%s'?", nearest) : "";
}

/* ---- global options ---- */

static int apply_globals(struct cli *cli)
{
    cli->sets = ARENA_ARRAY(&cli->arena, struct setting, cli->n_given + 1);
    cli->table_sets = ARENA_ARRAY(&cli->arena, struct setting, cli->n_given + 1);
    for (size_t i = 0; i < cli->n_given; i++) {
        const struct given_option *given = &cli->given[i];
        const char *name = given->option->name;
        if (strcmp(name, "help") == 0) cli->wants_help = true;
        if (strcmp(name, "version") == 0) cli->wants_version = true;
        if (strcmp(name, "json") == 0) cli->json = true;
        if (strcmp(name, "instance") == 0) cli->root = given->values[0];
        /* An empty variable in a script must not mean another instance. */
        if (strcmp(name, "instance") == 0 && cli->root.size == 0)
            return cli_usage(cli, "--instance is empty: a folder, s3://BUCKET/PREFIX or "
                                  "az://CONTAINER/PREFIX is wanted");
        if (strcmp(name, "set") == 0) TRY(add_set(cli, given->values[0]));
    }
    if (cli->root.size == 0) cli->root = slice_from_text(getenv("GLIS_INSTANCE"));
    return 0;
}

static int add_set(struct cli *cli, struct slice word)
{
    struct setting *setting;
    size_t n;
    TRY(cli_settings(cli, &word, 1, &setting, &n));
    enum property_id id = property_find(setting->name);
    if (id == PROPERTY_NONE) {
        int code = property_unknown(setting->name);
        cli->is_usage_error = true;
        return code;
    }
    if (setting->value.size)
        TRY_CONTEXT(cli_words(cli, property_check(id, setting->value, NULL)), "--set");
    bool of_table = property_definition(id)->group == PROPERTY_OF_TABLE;
    if (of_table && cli->command && cli->command->takes_table_settings)
        cli->table_sets[cli->n_table_sets++] = *setting;
    else
        cli->sets[cli->n_sets++] = *setting;
    return 0;
}

int cli_settings(struct cli *cli, const struct slice *words, size_t n, struct setting **out,
                 size_t *n_out)
{
    *out = ARENA_ARRAY(&cli->arena, struct setting, n);
    *n_out = n;
    for (size_t i = 0; i < n; i++) {
        const char *equals = words[i].size ? memchr(words[i].data, '=', words[i].size) : NULL;
        if (!equals || equals == words[i].data)
            return cli_usage(cli, "'%.*s' is not of the form name=value", SLICE_PRINT(words[i]));
        size_t at = (size_t)(equals - words[i].data);
        (*out)[i].name = slice_part(words[i], 0, at);
        (*out)[i].value = slice_part(words[i], at + 1, words[i].size);
    }
    return 0;
}

/* ---- looking options up ---- */

const struct given_option *cli_option(const struct cli *cli, const char *name)
{
    for (size_t i = cli->n_given; i > 0; i--)
        if (strcmp(cli->given[i - 1].option->name, name) == 0) return &cli->given[i - 1];
    return NULL;
}

bool cli_flag(const struct cli *cli, const char *name)
{
    return cli_option(cli, name) != NULL;
}

struct slice cli_value(const struct cli *cli, const char *name)
{
    const struct given_option *given = cli_option(cli, name);
    return given ? given->values[0] : SLICE_EMPTY;
}

int cli_number(struct cli *cli, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
    const struct given_option *given = cli_option(cli, name);
    if (!given) return 0;
    uint64_t number;
    if (text_parse_uint64(given->values[0], &number) < 0 || number < min || number > max)
        return cli_usage(cli, "--%s is a whole number %s %llu, not '%.*s'", name,
                         max > INT64_MAX ? "of at least" : "of at most",
                         (unsigned long long)(max > INT64_MAX ? min : max),
                         SLICE_PRINT(given->values[0]));
    *out = number;
    return 0;
}

int cli_bytes(struct cli *cli, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
    const struct given_option *given = cli_option(cli, name);
    if (!given) return 0;
    uint64_t bytes;
    if (text_parse_size(given->values[0], &bytes) < 0 || bytes < min || bytes > max)
        return cli_usage(cli, "--%s is a size like 64K or 8M, from %s to %s, not '%.*s'", name,
                         cli_size(cli, min), cli_size(cli, max), SLICE_PRINT(given->values[0]));
    *out = bytes;
    return 0;
}

int cli_duration(struct cli *cli, const char *name, int64_t *out_ms)
{
    const struct given_option *given = cli_option(cli, name);
    if (!given) return 0;
    if (text_parse_duration(given->values[0], 0, out_ms) < 0 || *out_ms < 0)
        return cli_usage(cli, "--%s is a duration like 500ms, 90s or 15m, not '%.*s'", name,
                         SLICE_PRINT(given->values[0]));
    return 0;
}

void cli_names(struct cli *cli, const char *name, struct slice **out, size_t *n_out)
{
    size_t room = 0;
    for (size_t i = 0; i < cli->n_given; i++)
        if (strcmp(cli->given[i].option->name, name) == 0) {
            struct slice text = cli->given[i].values[0];
            room++;
            for (size_t c = 0; c < text.size; c++)
                room += text.data[c] == ',';
        }
    *out = ARENA_ARRAY(&cli->arena, struct slice, room + 1);
    *n_out = 0;
    for (size_t i = 0; i < cli->n_given; i++) {
        if (strcmp(cli->given[i].option->name, name) != 0) continue;
        struct slice rest = cli->given[i].values[0];
        for (;;) {
            const char *comma = rest.size ? memchr(rest.data, ',', rest.size) : NULL;
            size_t size = comma ? (size_t)(comma - rest.data) : rest.size;
            if (size > 0) (*out)[(*n_out)++] = slice_part(rest, 0, size);
            if (!comma) break;
            rest = slice_part(rest, size + 1, rest.size);
        }
    }
}

void cli_values(struct cli *cli, const char *name, struct slice **out, size_t *n_out)
{
    *out = ARENA_ARRAY(&cli->arena, struct slice, cli->n_given + 1);
    *n_out = 0;
    for (size_t i = 0; i < cli->n_given; i++)
        if (strcmp(cli->given[i].option->name, name) == 0)
            (*out)[(*n_out)++] = cli->given[i].values[0];
}

int cli_words(struct cli *cli, int code)
{
    cli->is_usage_error |= code == GLIS_EINVALID;
    return code;
}

int cli_usage(struct cli *cli, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    cli->is_usage_error = true;
    return error_set(GLIS_EINVALID, "%s", text);
}
