/*
 * cli_run.c: one call of the command from beginning to end: signals, words, the command, its error
 * and the exit code; and how commands open the instance that they work on.
 *
 * Ctrl-C (and SIGTERM) sets the cancel flag, at which long work stops between two batches and
 * removes what it began; the second one ends the process at once. SIGPIPE is ignored, so a reader
 * that goes away shows as GLIS_ECLOSED, which ends the call without a word; SIGXFSZ as well, so a
 * limit of the size of files (ulimit -f) is an error like a full disk. An instance is opened
 * without threads, and the pool is started when it says how many it wants: a lookup that is over
 * in milliseconds does not wait for them.
 */
#include "base/text.h"
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

static struct cancel *cancel_on_signal;

static void signals_begin(struct cancel *cancel);
static void on_signal(int number);
static int run_parsed(struct cli *cli);
static int finish(struct cli *cli, int code);
static void explain_error(struct cli *cli, int code);
static int error_as_text(struct cli *cli, int code, struct buffer *out);
static int error_as_json(struct cli *cli, int code, struct buffer *out);
static const char *as_utf8(struct cli *cli, const char *text);
static const char *error_advice(struct cli *cli, int code);
static void cli_end(struct cli *cli);
static const char *environment(void *state, const char *name);
static unsigned processors(void);

int cli_run(int n_words, char **words)
{
    struct cli cli = {.arena = ARENA_EMPTY};
    signals_begin(&cli.cancel);
    budget_init(&cli.budget, "memory of the process", 0, NULL, NULL);
    cli.runtime = (struct runtime){.clock = clock_system(),
                                   .random = random_system(),
                                   .pool = pool_new(0),
                                   .budget = &cli.budget,
                                   .cancel = &cli.cancel,
                                   .process = cli.process};
    runtime_process_name(cli.process);
    cli.out = (struct output){.fd = STDOUT_FILENO, .buffer = BUFFER_INIT((size_t)1 << 30)};
    int code = cli_parse(&cli, n_words, words);
    if (code == 0) code = run_parsed(&cli);
    int exit_code = finish(&cli, code);
    cli_end(&cli);
    return exit_code;
}

static int run_parsed(struct cli *cli)
{
    if (cli->wants_version) {
        cli_print(cli, "glis %s\n", GLIS_VERSION);
        return 0;
    }
    if (cli->wants_help) {
        const char *noun = !cli->command && cli->n_arguments
                               ? arena_copy_text(&cli->arena, cli->arguments[0])
                               : NULL;
        help_print(cli, noun, cli->command);
        return 0;
    }
    cli->overrides = (struct property_overrides){
        .sets = cli->sets, .n_sets = cli->n_sets, .environment = environment};
    TRY(property_overrides_check(&cli->overrides));
    TRY(property_logger(&cli->overrides, NULL, cli->runtime.clock, &cli->logger));
    cli->runtime.logger = &cli->logger;
    int64_t begun_ns = cli->runtime.clock->monotonic_ns(cli->runtime.clock);
    int code = cli->command->run(cli);
    int64_t took_ns = cli->runtime.clock->monotonic_ns(cli->runtime.clock) - begun_ns;
    logger_log(&cli->logger, LOGGER_DEBUG, "command ended",
               LOGGER_FIELD_STRING("noun", cli->command->noun),
               LOGGER_FIELD_STRING("verb", cli->command->verb ? cli->command->verb : ""),
               LOGGER_FIELD_STRING("outcome", code < 0 ? error_code_name(code) : "done"),
               LOGGER_FIELD_REAL("seconds", (double)took_ns / 1e9));
    return code;
}

static int finish(struct cli *cli, int code)
{
    struct error_detail detail;
    if (code < 0) error_save(&detail);
    if (code < 0 && cli->out.in_json) cli->out.buffer.size = cli->out.json_begin;
    int flushed = code == GLIS_ECLOSED ? 0 : cli_flush(cli);
    if (code == 0 && flushed < 0) {
        code = flushed;
    } else if (code < 0) {
        code = error_load(&detail);
    }
    if (code == 0) return 0;
    if (code > 0) return 1; /* said already */
    if (code != GLIS_ECLOSED) explain_error(cli, code);
    return cli->is_usage_error ? 2 : 1;
}

/* One line, then what helps; with --json one object on one line. */
static void explain_error(struct cli *cli, int code)
{
    defer_buffer struct buffer text = BUFFER_INIT(64 << 10);
    if ((cli->json ? error_as_json(cli, code, &text) : error_as_text(cli, code, &text)) < 0)
        error_clear(); /* beyond the buffer: what fits is printed */
    size_t done = 0;
    while (done < text.size) {
        ssize_t n = write(STDERR_FILENO, text.data + done, text.size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
}

static int error_as_text(struct cli *cli, int code, struct buffer *out)
{
    /* A name from outside may hold anything; the terminal gets none of it, and one line stays one.
     */
    TRY(buffer_append_text(out, "glis: "));
    for (const char *at = as_utf8(cli, error_message()); *at; at++) {
        unsigned char byte = (unsigned char)*at;
        TRY(byte < 0x20 || byte == 0x7f ? buffer_printf(out, "\\x%02x", byte)
                                        : buffer_append_byte(out, byte));
    }
    TRY(buffer_append_byte(out, '\n'));
    const char *advice = error_advice(cli, code);
    if (!cli->is_usage_error) return advice ? buffer_printf(out, "%s\n", advice) : 0;
    const struct command *command = cli->command;
    if (command)
        return buffer_printf(out, "usage: glis %s\ntry `glis %s%s%s --help`\n",
                             help_usage(cli, command), command->noun, command->verb ? " " : "",
                             command->verb ? command->verb : "");
    return buffer_printf(out, "try `glis%s%s --help`\n", cli->noun ? " " : "",
                         cli->noun ? cli->noun : "");
}

/* {"error": name, "message": the line, "detail": its innermost part, "context": the places around
 * it, outermost first, "advice": what helps, where that is known}. Bytes that are no UTF-8 become
 * replacement characters. */
static int error_as_json(struct cli *cli, int code, struct buffer *out)
{
    struct error_detail detail;
    error_save(&detail);
    struct json_writer writer;
    json_writer_init(&writer, out, 0);
    json_write_object_begin(&writer);
    json_write_field_text(&writer, "error", error_code_name(code));
    json_write_field_text(&writer, "message", as_utf8(cli, error_message()));
    json_write_field_text(&writer, "detail", as_utf8(cli, detail.text));
    json_write_name(&writer, "context");
    json_write_array_begin(&writer);
    for (unsigned i = detail.n_contexts; i-- > 0;)
        json_write_text(&writer, as_utf8(cli, detail.contexts[i]));
    json_write_array_end(&writer);
    const char *advice = error_advice(cli, code);
    if (cli->is_usage_error && cli->command)
        json_write_field_text(&writer, "usage",
                              arena_printf(&cli->arena, "glis %s", help_usage(cli, cli->command)));
    if (advice) json_write_field_text(&writer, "advice", advice);
    json_write_object_end(&writer);
    TRY(json_writer_finish(&writer));
    return buffer_append_byte(out, '\n');
}

static const char *as_utf8(struct cli *cli, const char *text)
{
    defer_buffer struct buffer out = BUFFER_INIT(32 << 10);
    struct slice rest = slice_from_text(text);
    size_t bad = 0;
    while (!text_is_utf8(rest, &bad)) {
        if (buffer_append_slice(&out, slice_part(rest, 0, bad)) < 0 ||
            buffer_append_text(&out, "\xEF\xBF\xBD") < 0)
            break;
        rest = slice_part(rest, bad + 1, rest.size);
    }
    if (text_is_utf8(rest, NULL) && buffer_append_slice(&out, rest) < 0) error_clear();
    return arena_copy_text(&cli->arena, buffer_slice(&out));
}

static const char *error_advice(struct cli *cli, int code)
{
    const char *logs = store_root_logs(cli->store);
    switch (code) {
    case GLIS_EUNKNOWN:
        return "nothing can tell whether it happened; doing it again (for an ingest: with the same "
               "--job) is safe";
    case GLIS_ERETRY: return "the store is busy; nothing happened, try again";
    case GLIS_ENEWER: return "use the newer version of glis that wrote it";
    case GLIS_EGONE: return logs ? arena_printf(&cli->arena, CLI_SHARED_LOGS, logs) : NULL;
    default: return NULL;
    }
}

static void cli_end(struct cli *cli)
{
    instance_close(cli->instance);
    store_close(cli->store);
    pool_free(cli->runtime.pool);
    buffer_free(&cli->out.buffer);
    arena_free(&cli->arena);
    cancel_on_signal = NULL;
}

/* ---- signals ---- */

static void signals_begin(struct cancel *cancel)
{
    cancel_on_signal = cancel;
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
}

static void on_signal(int number)
{
    struct cancel *cancel = cancel_on_signal;
    if (cancel && !atomic_exchange(&cancel->requested, 1)) return;
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- what commands work on ---- */

static int open_for(struct cli *cli, enum cli_access access, unsigned more, struct slice table)
{
    if (cli->root.size == 0)
        return cli_usage(cli, "no instance is named: give --instance ROOT, or set GLIS_INSTANCE");
    unsigned store_flags = access == CLI_READ ? STORE_LOCAL_READ_ONLY : 0;
    TRY(store_root_open(&cli->runtime, cli->root, store_flags, &cli->store));
    unsigned flags = access == CLI_READ   ? INSTANCE_READ_ONLY
                     : access == CLI_HOLD ? INSTANCE_NO_SNAPSHOTS
                                          : INSTANCE_CACHE_LOOK;
    TRY(instance_open_for(&cli->runtime, cli->store, flags | more, &cli->overrides, table,
                          &cli->instance));
    TRY(property_logger(&cli->overrides, cli->instance, cli->runtime.clock, &cli->logger));
    return cli_start_threads(cli);
}

int cli_open_instance(struct cli *cli, enum cli_access access)
{
    return open_for(cli, access, 0, SLICE_EMPTY);
}

int cli_open_table(struct cli *cli, enum cli_access access, struct table **out)
{
    /* What only holds a table open asks it once. */
    TRY(open_for(cli, access, access == CLI_HOLD ? INSTANCE_ASKED_AT_ONCE : 0, cli->arguments[0]));
    return table_open(cli->instance, cli->arguments[0], out);
}

int cli_find_column(struct cli *cli, const struct schema *schema, struct slice name, uint32_t *out)
{
    int field = schema_find(schema, name);
    if (field < 0) {
        const char **known = ARENA_ARRAY(&cli->arena, const char *, schema->n_fields);
        for (uint32_t i = 0; i < schema->n_fields; i++)
            known[i] = arena_copy_text(&cli->arena, schema->fields[i].name);
        return error_set(GLIS_EINVALID, "there is no column '%.*s'%s", SLICE_PRINT(name),
                         cli_did_you_mean(cli, name, known, schema->n_fields));
    }
    *out = (uint32_t)field;
    return 0;
}

int cli_start_threads(struct cli *cli)
{
    struct slice text;
    int64_t wanted = 0;
    TRY(property_resolve(&cli->overrides, cli->instance, PROPERTY_THREADS, &text, &wanted));
    unsigned n = wanted > 0 ? (unsigned)wanted : processors();
    pool_free(cli->runtime.pool);
    cli->runtime.pool = pool_new(n > 1 ? n : 0);
    return 0;
}

static unsigned processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

static const char *environment(void *state, const char *name)
{
    (void)state;
    return getenv(name);
}

int cli_read_file(struct cli *cli, struct slice path, struct buffer *out)
{
    bool is_standard = slice_equal_text(path, "-");
    const char *name = is_standard ? "standard input" : arena_copy_text(&cli->arena, path);
    int fd = is_standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(errno, "cannot open %s", name);
    struct byte_source *source;
    TRY(byte_source_open_fd(&cli->runtime, fd, name, !is_standard, &source));
    out->max_bytes = (size_t)64 << 20;
    int code = 0;
    for (size_t got = 1; code == 0 && got > 0;) {
        code = buffer_reserve(out, 64 << 10);
        if (code == 0) code = source->read(source, out->data + out->size, 64 << 10, &got);
        if (code == 0) out->size += got;
    }
    byte_source_close(source);
    if (code < 0) error_context("reading %s", name);
    return code;
}
