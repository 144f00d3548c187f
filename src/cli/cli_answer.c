/*
 * cli_answer.c: rows to standard output or into a file, in any of the forms of format.h.
 *
 * A file is written under a temporary name in its own folder and renamed when it is complete and
 * synced, so that a failure or Ctrl-C leaves what was there before and nothing else. What is no
 * regular file (/dev/null, a named pipe) is written directly.
 */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool kind_by_name(struct slice path, enum output_kind *out);
static int open_file(struct cli *cli, struct answer_target *target);
static int name_file(struct cli *cli, struct answer_target *target);

int answer_target_choose(struct cli *cli, struct answer_target *out)
{
    *out = (struct answer_target){.kind = OUTPUT_TABLE, .path = cli_value(cli, "output"), .fd = -1};
    struct slice format = cli_value(cli, "format");
    if (slice_equal_text(out->path, "-")) out->path = SLICE_EMPTY;
    if (format.data)
        TRY(output_kind_parse(format, &out->kind));
    else if (out->path.size && kind_by_name(out->path, &out->kind))
        ; /* a file is what its name says, with --json too */
    else if (cli->json)
        out->kind = OUTPUT_JSONL;
    else if (out->path.size)
        return cli_usage(cli, "the name '%.*s' does not say the form; give --format",
                         SLICE_PRINT(out->path));
    bool is_binary = out->kind == OUTPUT_PARQUET || out->kind == OUTPUT_ARROW;
    if (is_binary && out->path.size == 0 && isatty(cli->out.fd))
        return cli_usage(cli, "a terminal cannot show %.*s; give --output FILE",
                         SLICE_PRINT(format));
    return 0;
}

static bool kind_by_name(struct slice path, enum output_kind *out)
{
    static const struct {
        const char *ending;
        enum output_kind kind;
    } endings[] = {{".csv", OUTPUT_CSV},         {".jsonl", OUTPUT_JSONL},
                   {".ndjson", OUTPUT_JSONL},    {".json", OUTPUT_JSONL},
                   {".parquet", OUTPUT_PARQUET}, {".arrow", OUTPUT_ARROW},
                   {".arrows", OUTPUT_ARROW},    {".txt", OUTPUT_TABLE}};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (slice_ends_with(path, slice_from_text(endings[i].ending))) {
            *out = endings[i].kind;
            return true;
        }
    return false;
}

int answer_target_open(struct cli *cli, struct answer_target *target)
{
    if (target->path.size) {
        TRY(open_file(cli, target));
        return byte_sink_open_fd(target->fd, arena_copy_text(&cli->arena, target->path),
                                 &target->bytes);
    }
    TRY(cli_flush(cli));
    return byte_sink_open_fd(cli->out.fd, "standard output", &target->bytes);
}

static int open_file(struct cli *cli, struct answer_target *target)
{
    const char *path = arena_copy_text(&cli->arena, target->path);
    struct stat status;
    if (strstr(path, "://"))
        return cli_usage(cli,
                         "--output is a file of this machine, not '%s'; `glis export` writes "
                         "into a bucket",
                         path);
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        target->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (target->fd < 0) return error_set_errno(errno, "cannot write %s", path);
        return 0;
    }
    uint64_t number = random_u64(cli->runtime.random);
    target->temporary =
        arena_printf(&cli->arena, "%s.%016llx.part", path, (unsigned long long)number);
    target->fd = open(target->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (target->fd < 0) {
        target->temporary = NULL;
        return error_set_errno(errno, "cannot write %s", path);
    }
    return 0;
}

int answer_target_write(struct cli *cli, struct answer_target *target, struct batch_stream *stream,
                        uint64_t *n_rows)
{
    struct output_options options = {.kind = target->kind,
                                     .parquet = target->parquet,
                                     .arrow_dictionaries = target->dictionaries,
                                     .budget = &cli->budget};
    struct winsize window;
    if (target->path.size == 0 && isatty(cli->out.fd) &&
        ioctl(cli->out.fd, TIOCGWINSZ, &window) == 0)
        options.table_width = window.ws_col;
    struct row_sink *rows;
    TRY(row_sink_open(target->bytes, stream->schema, &cli->runtime, &options, &rows));
    int code = row_sink_drain(rows, target->bytes, stream, n_rows);
    row_sink_close(rows);
    if (code == 0 && target->path.size) code = name_file(cli, target);
    return code;
}

static int name_file(struct cli *cli, struct answer_target *target)
{
    if (!target->temporary) return 0;
    const char *path = arena_copy_text(&cli->arena, target->path);
    if (fsync(target->fd) < 0 || rename(target->temporary, path) < 0)
        return error_set_errno(errno, "cannot write %s", path);
    target->temporary = NULL;
    return 0;
}

void answer_target_close(struct answer_target *target)
{
    byte_sink_close(target->bytes);
    if (target->fd >= 0) close(target->fd);
    if (target->temporary) unlink(target->temporary);
    *target = (struct answer_target){.fd = -1};
}
