/*
 * child.h: programs that Glis starts: their standard input and output as pipes that never block the
 * caller, what they said on standard error, and their end.
 *
 * A child gets only what it is given: no descriptor of ours but its three, no environment but the
 * one named, no terminal, a process group of its own, which is killed as a whole. Nothing here
 * waits longer than it is told to. Starting goes through an interface in the runtime, so that a
 * simulated world can stand in.
 *
 * Ownership: child_start gives a child that child_free ends: one that still runs is killed first.
 * A child is used by one thread at a time.
 */
#ifndef GLIS_BASE_CHILD_H
#define GLIS_BASE_CHILD_H

#include "base/buffer.h"
#include "base/runtime.h"

struct child_command {
    const char *path;               /* of the program; not looked for */
    const char *const *arguments;   /* after the program's name, NULL at the end */
    const char *const *environment; /* "NAME=value", NULL at the end */
};

struct child;

/* How children come about; runtime.children, NULL for the system's own. */
struct child_starter {
    int (*start)(struct child_starter *starter, const struct child_command *command,
                 struct child **out);
};

/* GLIS_EINVALID or what the system said when it cannot be started. */
int child_start(const struct runtime *runtime, const struct child_command *command,
                struct child **out) GLIS_CHECKED;

struct child_ready {
    bool readable; /* child_read will give something, or the end */
    bool writable; /* child_write will take something, or says that nobody reads any more */
};
/* Waits until one of the two, but no longer than timeout_ms; both false then. */
int child_poll(struct child *child, bool want_write, int timeout_ms, struct child_ready *out)
    GLIS_CHECKED;
/* Takes some of the bytes; *taken may be 0. GLIS_ECLOSED when the child does not read any more. */
int child_write(struct child *child, struct slice bytes, size_t *taken) GLIS_CHECKED;
/* Says that nothing more comes. */
void child_close_input(struct child *child);
/* Some bytes; *ended once the child has closed its output. *got may be 0 without that. */
int child_read(struct child *child, void *out, size_t size, size_t *got, bool *ended) GLIS_CHECKED;
/* The beginning of what it said on standard error, as far as it has come. */
struct slice child_said(struct child *child);
/* Waits for its end; false when it still runs after timeout_ms. *status is the exit code, or 128 +
 * the signal that ended it. */
bool child_wait(struct child *child, int timeout_ms, int *status);
void child_free(struct child *child); /* NULL is allowed */

/* For starters: a child from its process id and our ends of its three pipes, which are taken. */
struct child *child_new(int process, int in, int out, int error);

#endif
