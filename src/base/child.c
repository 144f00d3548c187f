/*
 * child.c: programs that Glis starts, by posix_spawn. Standard input is one end of a socket pair,
 * for a write to it can be told not to raise SIGPIPE; output and error are pipes. All of ours are
 * closed on exec and never block. What a child says on standard error is read whenever the child is
 * looked at, and kept up to a few kilobytes: one that says a lot must not stand still for it.
 */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAID_BYTES = 2048, WAIT_STEP_MS = 5 };

struct child {
    pid_t process; /* 0: has ended and was waited for */
    int in, out, error;
    int status;
    size_t n_said;
    char said[SAID_BYTES];
};

/* ---- starting ---- */

static int close_on_exec(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -1 : 0;
}

struct ends {
    int in[2], out[2], error[2]; /* ours, the child's */
};

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0) (void)close(pair[i]);
}

static int open_ends(struct ends *ends)
{
    int pipes[2];
    *ends = (struct ends){{-1, -1}, {-1, -1}, {-1, -1}};
    bool good = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends->in) == 0;
    if (good && (good = pipe2(pipes, O_CLOEXEC) == 0)) {
        ends->out[0] = pipes[0];
        ends->out[1] = pipes[1];
    }
    if (good && (good = pipe2(pipes, O_CLOEXEC) == 0)) {
        ends->error[0] = pipes[0];
        ends->error[1] = pipes[1];
    }
    good = good && close_on_exec(ends->in[0]) == 0 && close_on_exec(ends->out[0]) == 0 &&
           close_on_exec(ends->error[0]) == 0;
    if (good) return 0;
    int code = error_set_errno(errno, "cannot make pipes for a program");
    close_pair(ends->in);
    close_pair(ends->out);
    close_pair(ends->error);
    return code;
}

/* Every signal as programs expect it at their start: handlers are gone by themselves, what is
 * ignored (SIGPIPE) and blocked is not. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int failed = posix_spawnattr_setflags(
        attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (!failed) failed = posix_spawnattr_setpgroup(attributes, 0);
    if (!failed) failed = posix_spawnattr_setsigmask(attributes, &none);
    return failed ? failed : posix_spawnattr_setsigdefault(attributes, &all);
}

static int set_files(posix_spawn_file_actions_t *actions, const struct ends *ends)
{
    int failed = posix_spawn_file_actions_adddup2(actions, ends->in[1], 0);
    if (!failed) failed = posix_spawn_file_actions_adddup2(actions, ends->out[1], 1);
    if (!failed) failed = posix_spawn_file_actions_adddup2(actions, ends->error[1], 2);
    return failed ? failed : posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

static int spawn(const struct child_command *command, const struct ends *ends, pid_t *process)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    size_t n = 0;
    while (command->arguments && command->arguments[n])
        n++;
    char **arguments = memory_alloc_zero((n + 2) * sizeof *arguments);
    arguments[0] = memory_copy_text(slice_from_text(command->path));
    for (size_t i = 0; i < n; i++)
        arguments[i + 1] = memory_copy_text(slice_from_text(command->arguments[i]));
    static char *const nothing[] = {NULL};
    char *const *environment =
        command->environment ? (char *const *)(const void *)command->environment : nothing;
    int failed = posix_spawn_file_actions_init(&actions);
    ASSERT(!failed);
    failed = posix_spawnattr_init(&attributes);
    ASSERT(!failed);
    failed = set_attributes(&attributes);
    if (!failed) failed = set_files(&actions, ends);
    if (!failed)
        failed = posix_spawn(process, command->path, &actions, &attributes, arguments, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    for (size_t i = 0; i <= n; i++)
        free(arguments[i]);
    free(arguments);
    return failed;
}

struct child *child_new(int process, int in, int out, int error)
{
    struct child *child = memory_alloc_zero(sizeof *child);
    child->process = process;
    child->in = in;
    child->out = out;
    child->error = error;
    return child;
}

static int system_start(struct child_starter *starter, const struct child_command *command,
                        struct child **out)
{
    (void)starter;
    struct ends ends;
    pid_t process;
    TRY(open_ends(&ends));
    int failed = spawn(command, &ends, &process);
    (void)close(ends.in[1]);
    (void)close(ends.out[1]);
    (void)close(ends.error[1]);
    if (!failed) {
        *out = child_new(process, ends.in[0], ends.out[0], ends.error[0]);
        return 0;
    }
    (void)close(ends.in[0]);
    (void)close(ends.out[0]);
    (void)close(ends.error[0]);
    return error_set_errno(failed, "cannot start '%s'", command->path);
}

int child_start(const struct runtime *runtime, const struct child_command *command,
                struct child **out)
{
    static struct child_starter system = {system_start};
    struct child_starter *starter = runtime && runtime->children ? runtime->children : &system;
    return starter->start(starter, command, out);
}

/* ---- while it runs ---- */

/* Takes what is there on standard error. */
static void hear(struct child *child)
{
    char bytes[512];
    while (child->error >= 0) {
        ssize_t n = read(child->error, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n <= 0) {
            (void)close(child->error);
            child->error = -1;
            return;
        }
        size_t room = SAID_BYTES - child->n_said;
        if ((size_t)n < room) room = (size_t)n;
        memcpy(child->said + child->n_said, bytes, room);
        child->n_said += room;
    }
}

int child_poll(struct child *child, bool want_write, int timeout_ms, struct child_ready *out)
{
    struct pollfd fds[3] = {
        {.fd = child->out, .events = POLLIN},
        {.fd = child->error, .events = POLLIN},
        {.fd = want_write ? child->in : -1, .events = POLLOUT},
    };
    *out = (struct child_ready){false, false};
    int n = poll(fds, 3, timeout_ms);
    if (n < 0 && errno != EINTR) return error_set_errno(errno, "waiting for a program");
    if (n <= 0) return 0;
    if (fds[1].revents) hear(child);
    out->readable = fds[0].revents != 0;
    out->writable = fds[2].revents != 0;
    return 0;
}

int child_write(struct child *child, struct slice bytes, size_t *taken)
{
    *taken = 0;
    if (child->in < 0) return error_set(GLIS_ECLOSED, "the program's input was closed");
    ssize_t n = send(child->in, bytes.data, bytes.size, MSG_NOSIGNAL);
    if (n >= 0) {
        *taken = (size_t)n;
        return 0;
    }
    if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno == EPIPE || errno == ECONNRESET)
        return error_set(GLIS_ECLOSED, "the program reads no more");
    return error_set_errno(errno, "writing to a program");
}

void child_close_input(struct child *child)
{
    if (child->in >= 0) (void)close(child->in);
    child->in = -1;
}

int child_read(struct child *child, void *out, size_t size, size_t *got, bool *ended)
{
    *got = 0;
    *ended = child->out < 0;
    if (*ended) return 0;
    ssize_t n = read(child->out, out, size);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (n < 0) return error_set_errno(errno, "reading from a program");
    *got = (size_t)n;
    *ended = n == 0;
    if (n > 0) return 0;
    (void)close(child->out);
    child->out = -1;
    return 0;
}

struct slice child_said(struct child *child)
{
    hear(child);
    return slice_make(child->said, child->n_said);
}

/* ---- its end ---- */

bool child_wait(struct child *child, int timeout_ms, int *status)
{
    struct clock *clock = clock_system();
    for (int waited = 0; child->process; waited += WAIT_STEP_MS) {
        int raw;
        pid_t ended = waitpid(child->process, &raw, WNOHANG);
        if (ended == child->process || (ended < 0 && errno == ECHILD)) {
            hear(child);
            child->status = ended < 0          ? 0
                            : WIFEXITED(raw)   ? WEXITSTATUS(raw)
                            : WIFSIGNALED(raw) ? 128 + WTERMSIG(raw)
                                               : 255;
            child->process = 0;
            break;
        }
        if (waited >= timeout_ms) return false;
        hear(child);
        clock->sleep_ms(clock, waited < 20 ? 1 : WAIT_STEP_MS);
    }
    *status = child->status;
    return true;
}

void child_free(struct child *child)
{
    if (!child) return;
    if (child->process) {
        int status;
        (void)kill(-child->process, SIGKILL);
        while (waitpid(child->process, &status, 0) < 0 && errno == EINTR) {}
    }
    if (child->in >= 0) (void)close(child->in);
    if (child->out >= 0) (void)close(child->out);
    if (child->error >= 0) (void)close(child->error);
    free(child);
}
