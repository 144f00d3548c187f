/*
 * store_postgres_int.h: the one file that speaks libpq (store_postgres_server.c), as
 * store_postgres.c uses it: addresses, and statements run on connections of a pool.
 */
#ifndef GLIS_STORE_STORE_POSTGRES_INT_H
#define GLIS_STORE_STORE_POSTGRES_INT_H

#include "store/store_int.h"

enum { POSTGRES_VALUES_MAX = 6 };

enum postgres_type { POSTGRES_TEXT, POSTGRES_BYTES };

/* One statement with its values, $1 and so on, and what came of it. */
struct postgres_statement {
    const char *sql;
    unsigned n_values;
    struct slice values[POSTGRES_VALUES_MAX];
    enum postgres_type types[POSTGRES_VALUES_MAX];
    /* out; freed with postgres_statements_free: */
    void *result;
    size_t n_rows;
    uint64_t n_changed;
};

/* What may be done when the connection breaks while the server works. */
enum postgres_kind {
    POSTGRES_REPEATABLE, /* again: a question, or a change that may be made twice */
    POSTGRES_ONCE,       /* nothing: the outcome is GLIS_EUNKNOWN */
};

struct postgres_server;

/* Checks the address and asks nothing. `describe` gets the address without user and options, heap
 * memory. `setup`: a statement that is run first, once; NULL: none. */
int postgres_server_open(struct runtime *runtime, struct slice address, const char *setup,
                         struct postgres_server **out, char **describe) GLIS_CHECKED;
/* From now on a connection counts only when the table glis_log of its database has the row (known,
 * 'home'); GLIS_ECORRUPT else. To be called before the first request. */
void postgres_server_expect(struct postgres_server *server, const char *known);
void postgres_server_close(struct postgres_server *server);

/*
 * Runs statements in one go, each on its own. GLIS_ERETRY: nothing was done and the server asks for
 * patience; GLIS_EUNKNOWN (POSTGRES_ONCE only); GLIS_EDENIED, GLIS_ENOSPACE, GLIS_EIO;
 * GLIS_ECORRUPT for a database that is not the expected one; with POSTGRES_ONCE GLIS_EINVALID,
 * GLIS_ELIMIT and GLIS_EUNSUPPORTED for what the server refused, and GLIS_ENOTFOUND for a database
 * or table that is not there, else GLIS_EIO for these, too. After a failure there are no results.
 */
int postgres_run(struct postgres_server *server, struct postgres_statement *statements, size_t n,
                 enum postgres_kind kind) GLIS_CHECKED;
void postgres_statements_free(struct postgres_statement *statements, size_t n);
/* A field of a row, in the server's binary form; empty when it is NULL. */
struct slice postgres_field(const struct postgres_statement *statement, size_t row, unsigned field);
/* The same as a whole number of eight bytes; GLIS_EIO when it is none. */
int postgres_number(const struct postgres_statement *statement, size_t row, unsigned field,
                    int64_t *out) GLIS_CHECKED;

#endif
