/*
 * s3_world.h: an environment of a test's own, with variables and files, and a door for HTTP behind
 * which the test answers.
 */
#ifndef GLIS_TEST_S3_WORLD_H
#define GLIS_TEST_S3_WORLD_H

#include "test.h"

#include "store/s3_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct world_variable {
    const char *name, *value;
};
struct world {
    struct s3_environment environment; /* the first member */
    struct world_variable variables[16];
    char folder[64];
    char paths[4][128];
    unsigned n_paths;
};

static inline const char *world_get(const struct s3_environment *environment, const char *name)
{
    const struct world *world = (const struct world *)environment;
    for (size_t i = 0; i < 16 && world->variables[i].name; i++)
        if (!strcmp(world->variables[i].name, name)) return world->variables[i].value;
    return NULL;
}

#define WORLD_EMPTY                        \
    {                                      \
        .environment = {.get = world_get } \
    }

/* Sets a variable; NULL takes its value away. */
static inline void world_set(struct world *world, const char *name, const char *value)
{
    for (size_t i = 0; i < 16; i++) {
        if (world->variables[i].name && strcmp(world->variables[i].name, name) != 0) continue;
        world->variables[i] = (struct world_variable){name, value};
        return;
    }
    fail_msg("too many variables");
}

static inline void world_files_open(struct world *world)
{
    memcpy(world->folder, "/tmp/glis-s3-XXXXXX", 20);
    assert_non_null(mkdtemp(world->folder));
}

/* Writes a file, over one of that name, and makes a variable its path. */
static inline void world_file(struct world *world, const char *variable, const char *name,
                              const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", world->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    for (unsigned i = 0; i < world->n_paths; i++)
        if (!strcmp(world->paths[i], path)) {
            world_set(world, variable, world->paths[i]);
            return;
        }
    assert_true(world->n_paths < 4);
    memcpy(world->paths[world->n_paths], path, sizeof(path));
    world_set(world, variable, world->paths[world->n_paths++]);
}

static inline void world_files_close(struct world *world)
{
    for (unsigned i = 0; i < world->n_paths; i++)
        assert_int_equal(unlink(world->paths[i]), 0);
    assert_int_equal(rmdir(world->folder), 0);
}

/* ---- HTTP ---- */

/* Answers a request: sets outcome and status, and the body by world_answer. */
struct world_http {
    struct http http; /* the first member */
    void (*answer)(struct world_http *http, struct http_request *request);
    void *state;
    _Atomic unsigned n_requests;
};

struct world_batch {
    struct http_batch batch;
};

static inline void world_answer(struct http_request *request, int status, const char *body)
{
    size_t size = strlen(body);
    request->outcome = 0;
    request->status = status;
    assert_ok(block_new(&request->block, NULL, size));
    memcpy(request->block->data, body, size);
    request->body_size = size;
}

static inline struct http_batch *world_batch_open(struct http *http)
{
    (void)http;
    return calloc(1, sizeof(struct world_batch));
}

static inline void world_batch_add(struct http_batch *batch, struct http_request *request)
{
    struct world_http *http = (struct world_http *)batch->http;
    http->n_requests++;
    request->failure = NULL;
    request->block = NULL;
    request->status = 0;
    http->answer(http, request);
}

static inline void world_batch_drive(struct http_batch *batch, size_t waiting_max)
{
    (void)batch, (void)waiting_max;
}

static inline void world_batch_close(struct http_batch *batch)
{
    free(batch);
}

#define WORLD_HTTP(function)                                                               \
    {                                                                                      \
        .http = {world_batch_open, world_batch_add, world_batch_drive, world_batch_close}, \
        .answer = (function)                                                               \
    }

/* The value of a header of the request; empty when it has none. */
static inline struct slice world_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->n_headers; i++)
        if (slice_equal_text(request->headers[i].name, name)) return request->headers[i].value;
    return SLICE_EMPTY;
}

#endif
