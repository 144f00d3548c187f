/*
 * store_postgres_server.c: libpq, and nothing else in Glis knows it: addresses, connections, a pool
 * of them, and statements whose outcome is one of store.h's.
 *
 * Only a server that takes writes is spoken to (target_session_attrs=read-write), and one that says
 * fsync=off is refused: an answer must mean that what was put is durable. Where an instance is
 * expected, each new connection is asked whether its database knows it (store_postgres.c), so that
 * another database, or one that was made anew, is an error before anything is read or put. libpq
 * finds passwords (PGPASSWORD, passfile, service file), certificates and host names by its own
 * rules; an address with a password in it is refused, so that none lies in an instance.
 *
 * Outcomes. 40001 and 40P01 are no harm done, so are the classes 53 and 55, a statement that was
 * cancelled (57014) and a server that does not let us in yet (57P03, 53300). An error of a class
 * that is about the statement or its values (22, 23, 42, 54 and others) ended its transaction: it
 * was refused, and will be again. 40003, a broken connection, a time-out, an end of the session and
 * every code that is not known to mean "not done" leave the outcome unknown when the statement may
 * not be repeated. A server that was reached before and cannot be reached now is being started
 * again or replaced: it is waited for up to PATIENCE_MS; one that was never reached fails at once.
 *
 * A connection is used by one thread at a time and kept for the next; at most CONNECTIONS_MAX are
 * open, the others wait. Behind a pooler each transaction may be another session's, so nothing is
 * set for a session and no statement is prepared by name. No statement_timeout is set either: it
 * would cut the wait for a standby short, and the server would then say that all is done. All
 * values go in binary form. Waiting is by poll with a time-out, so that a silent server ends as an
 * error.
 */
#include "store/store_postgres_int.h"

#include "base/text.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONNECTIONS_MAX = 16,
    CANCEL_MS = 100, /* that a cancel may go unnoticed */
    CONNECT_MS = 10000,
    CONNECT_ONE_MS = 3000, /* of several hosts */
    HOSTS_MAX = 16,
    STATEMENT_MS = 30000,
    PATIENCE_MS = 20000,
    TYPE_TEXT = 25,
    TYPE_BYTES = 17,
    STATE_BYTES = 6,
    PIPELINE_MAX = 64, /* statements; their values must fit into what sockets hold */
};

struct postgres_server {
    struct runtime *runtime;
    char *address;
    const char *setup;
    char *known;          /* the row that says whose database this is; NULL: not asked for */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t freed;
    PGconn *idle[CONNECTIONS_MAX];
    size_t n_idle, n_open;
    int64_t failing_since_ns; /* when n_failed tries have failed one after another */
    unsigned n_failed;
    bool is_set_up;
    _Atomic bool was_reached;
    _Atomic size_t host; /* of several in the address, that took us last */
};

/* How far a try came. */
enum stage {
    STAGE_CONNECTING, /* nothing was sent */
    STAGE_SENT,       /* the connection broke, or the answers did not come */
    STAGE_ANSWERED,
};

static int attempt(struct postgres_server *server, struct postgres_statement *statements, size_t n,
                   enum postgres_kind kind, enum stage *stage);
static int result_next(struct postgres_server *server, PGconn *connection, int64_t until_ns,
                       struct cancel *cancel, PGresult **out) GLIS_CHECKED;
static int result_failed(const PGresult *result, enum postgres_kind kind) GLIS_CHECKED;

/* ---- addresses ---- */

static const char *option_value(const PQconninfoOption *options, const char *name)
{
    for (; options && options->keyword; options++)
        if (strcmp(options->keyword, name) == 0 && options->val && options->val[0])
            return options->val;
    return NULL;
}

/* A password with '/', '@' or '?' in it that was not escaped is taken apart by the rules of URLs,
 * and its pieces become port, host and database: such an address is neither shown nor written. */
static bool is_torn(const char *host, const char *port, const char *database)
{
    return (host && strchr(host, '@')) || (database && strchr(database, '@')) ||
           (port && port[strspn(port, "0123456789,")]);
}

static int address_check(struct slice address, char **describe)
{
    static const char *const secrets[] = {"password", "sslpassword"};
    if (!slice_starts_with(address, SLICE("postgresql://")) &&
        !slice_starts_with(address, SLICE("postgres://")))
        return error_set(GLIS_EINVALID,
                         "the home of logs is an address postgresql://HOST/DATABASE");
    if (address.size > 8192 || memchr(address.data, '\0', address.size))
        return error_set(GLIS_EINVALID, "the address of a database is too long or has a NUL byte");
    defer_free char *text = memory_copy_text(address);
    char *reason = NULL;
    PQconninfoOption *options = PQconninfoParse(text, &reason);
    /* The reason may repeat the address, and that a password: it is not shown. */
    PQfreemem(reason);
    static const char form[] = "the address of the database is not one that libpq reads: "
                               "postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE";
    if (!options) return error_set(GLIS_EINVALID, "%s", form);
    int code = 0;
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (option_value(options, secrets[i]))
            code = error_set(GLIS_EINVALID,
                             "the address of the database holds a password; it would be written "
                             "into the instance. Leave it out: it is taken from PGPASSWORD, a "
                             "password file or a service file");
    const char *host = option_value(options, "host"), *port = option_value(options, "port"),
               *database = option_value(options, "dbname");
    if (code == 0 && is_torn(host, port, database)) code = error_set(GLIS_EINVALID, "%s", form);
    char shown[512];
    snprintf(shown, sizeof shown, "postgresql://%s%s%s/%s", host ? host : "", port ? ":" : "",
             port ? port : "", database ? database : "");
    if (code == 0) *describe = memory_copy_text(slice_from_text(shown));
    PQconninfoFree(options);
    return code;
}

int postgres_server_open(struct runtime *runtime, struct slice address, const char *setup,
                         struct postgres_server **out, char **describe)
{
    TRY(address_check(address, describe));
    struct postgres_server *server = memory_alloc_zero(sizeof *server);
    server->runtime = runtime;
    server->address = memory_copy_text(address);
    server->setup = setup;
    ASSERT(pthread_mutex_init(&server->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&server->freed, NULL) == 0);
    *out = server;
    return 0;
}

void postgres_server_expect(struct postgres_server *server, const char *known)
{
    ASSERT(!server->known && server->n_open == 0);
    server->known = memory_copy_text(slice_from_text(known));
}

void postgres_server_close(struct postgres_server *server)
{
    if (!server) return;
    ASSERT(server->n_open == server->n_idle);
    for (size_t i = 0; i < server->n_idle; i++)
        PQfinish(server->idle[i]);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->freed);
    free(server->address);
    free(server->known);
    free(server);
}

/* ---- what a server says ---- */

/* One line of libpq's text. */
static void message_line(const char *message, char out[512])
{
    size_t n = 0;
    for (const char *p = message; *p && n < 511; p++) {
        char c = *p == '\n' || *p == '\t' ? ' ' : *p;
        if (c == ' ' && (n == 0 || out[n - 1] == ' ')) continue;
        out[n++] = c;
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
}

/* The first code of five characters between ": " and ":" in a verbose message; of a connection that
 * was refused libpq tells it in no other way. */
static void message_state(const char *message, char out[STATE_BYTES])
{
    out[0] = '\0';
    for (const char *p = message; (p = strstr(p, ": ")); p++) {
        const char *code = p + 2;
        while (*code == ' ')
            code++;
        size_t n = 0;
        while (n < 5 && ((code[n] >= '0' && code[n] <= '9') || (code[n] >= 'A' && code[n] <= 'Z')))
            n++;
        if (n == 5 && code[5] == ':') {
            memcpy(out, code, 5);
            out[5] = '\0';
            return;
        }
    }
}

static bool state_is(const char *state, const char *prefix)
{
    return strncmp(state, prefix, strlen(prefix)) == 0;
}

/* The outcome that a code stands for; `unknown` is what others are. An error of a class that is
 * about the statement itself is `refused` when the session lives on after it: its transaction was
 * ended by it, which the end of a session does not say. */
static int state_outcome(const char *state, int unknown, bool lives_on)
{
    static const struct {
        const char *prefix;
        int code;    /* 0: unknown */
        int refused; /* what it is when the session lives on, of a put that may not be repeated */
    } meanings[] = {
        {"40003", 0, 0},
        {"40", GLIS_ERETRY, 0},
        {"53100", GLIS_ENOSPACE, 0},
        {"53", GLIS_ERETRY, 0},
        {"55", GLIS_ERETRY, 0},
        {"57014", 0, GLIS_ERETRY}, /* cancelled, by a time limit of the role for instance */
        {"57P03", GLIS_ERETRY, 0},
        {"42501", GLIS_EDENIED, 0},
        {"28", GLIS_EDENIED, 0},
        {"25006", GLIS_EDENIED, 0},
        {"42P01", GLIS_ENOTFOUND, 0},
        {"3D000", GLIS_ENOTFOUND, 0},
        {"3F000", GLIS_ENOTFOUND, 0},
        {"0A", 0, GLIS_EUNSUPPORTED}, /* of this database */
        {"22", 0, GLIS_EINVALID},     /* a value that it does not take */
        {"23", 0, GLIS_EDENIED},      /* by a constraint that the table was given */
        {"25", 0, GLIS_EDENIED},
        {"42", 0, GLIS_EUNSUPPORTED}, /* the table is another one than ours */
        {"44", 0, GLIS_EDENIED},
        {"54", 0, GLIS_ELIMIT},  /* of the server: too long for an index */
        {"P0", 0, GLIS_EDENIED}, /* by a trigger */
    };
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (!state_is(state, meanings[i].prefix)) continue;
        if (meanings[i].refused && lives_on && unknown == GLIS_EUNKNOWN) return meanings[i].refused;
        return meanings[i].code ? meanings[i].code : unknown;
    }
    return unknown;
}

/* ---- connecting ---- */

/* With a `cancel`, which may be NULL, it ends when that is requested; run_patiently says so. */
static int wait_for(PGconn *connection, short events, int64_t until_ns, struct clock *clock,
                    struct cancel *cancel)
{
    for (;;) {
        int64_t left_ms = (until_ns - clock->monotonic_ns(clock)) / 1000000;
        bool stop = cancel && atomic_load_explicit(&cancel->requested, memory_order_relaxed);
        if (left_ms <= 0 || stop) return error_set(GLIS_EIO, "the database does not answer");
        if (cancel && left_ms > CANCEL_MS) left_ms = CANCEL_MS;
        struct pollfd wait = {.fd = PQsocket(connection), .events = events};
        int n = poll(&wait, 1, (int)left_ms);
        if (n > 0) return 0;
        if (n < 0 && errno != EINTR) return error_set_errno(errno, "waiting for the database");
    }
}

static int connection_refused(PGconn *connection)
{
    char line[512], state[STATE_BYTES];
    message_line(PQerrorMessage(connection), line);
    message_state(line, state);
    char *place = strstr(line, " LOCATION: "); /* in the server's source */
    if (place) *place = '\0';
    int code = state[0] ? state_outcome(state, GLIS_EIO, false) : GLIS_EIO;
    return error_set(code, "%s", line[0] ? line : "the database cannot be reached");
}

/* What the checking question was answered. */
static int check_judge(const struct postgres_server *server, const PGresult *result)
{
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return result_failed(result, POSTGRES_REPEATABLE);
    if (strcmp(PQgetvalue(result, 0, 0), "off") == 0)
        return error_set(GLIS_EDENIED, "the database runs with fsync=off and may lose what it has "
                                       "acknowledged; a log needs fsync=on");
    if (PQnfields(result) > 1 && strcmp(PQgetvalue(result, 0, 1), "f") == 0)
        return error_set(GLIS_ECORRUPT,
                         "the database knows nothing of the instance %s: its table glis_log has no "
                         "row of that name. It is another database than the one that the instance "
                         "was begun with, or was made anew; restore it from a backup, or let the "
                         "address lead to the right one",
                         server->known);
    return 0;
}

/* Sees that answers of this server will mean what store.h says, and that it is the instance's. A
 * pooler may let us in long before there is a server behind it, so this has its time-out, too. */
static int connection_check(struct postgres_server *server, PGconn *connection, int64_t until_ns)
{
    static const char plain[] = "select current_setting('fsync', true)";
    static const char expecting[] = "select current_setting('fsync', true), exists (select 1 from "
                                    "glis_log where log = $1 and key = 'home')";
    const char *values[] = {server->known};
    PGresult *result = NULL, *end = NULL;
    struct cancel *cancel = server->runtime->cancel;
    PQsetnonblocking(connection, 1);
    if (!PQsendQueryParams(connection, server->known ? expecting : plain, server->known ? 1 : 0,
                           NULL, values, NULL, NULL, 0))
        return connection_refused(connection);
    error_clear();
    int code = result_next(server, connection, until_ns, cancel, &result);
    if (code < 0 && error_message()[0]) return code;
    code = code < 0 || !result ? connection_refused(connection) : check_judge(server, result);
    PQclear(result);
    if (code == 0 && (result_next(server, connection, until_ns, cancel, &end) < 0 || end)) {
        PQclear(end);
        code = connection_refused(connection);
    }
    return code;
}

static void notice_ignore(void *context, const char *text)
{
    (void)context;
    (void)text;
}

/* One of the hosts of the address; both NULL: as the address says. */
static int connect_host(struct postgres_server *server, const char *host, const char *port,
                        int64_t time_ms, PGconn **out)
{
    struct clock *clock = server->runtime->clock;
    int64_t until_ns = clock->monotonic_ns(clock) + time_ms * 1000000;
    const char *const names[] = {"fallback_application_name",
                                 "keepalives_idle",
                                 "dbname",
                                 "target_session_attrs",
                                 "client_encoding",
                                 host ? "host" : NULL,
                                 port ? "port" : NULL,
                                 NULL};
    const char *const values[] = {"glis", "30", server->address, "read-write", "UTF8", host,
                                  port,   NULL};
    PGconn *connection = PQconnectStartParams(names, values, 1);
    if (!connection) return error_set(GLIS_ENOMEM, "no memory for a connection");
    PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
    PQsetNoticeProcessor(connection, notice_ignore, NULL);
    PostgresPollingStatusType status =
        PQstatus(connection) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    int code = 0;
    while (code == 0 && status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
        code = wait_for(connection, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ns,
                        clock, server->runtime->cancel);
        if (code == 0) status = PQconnectPoll(connection);
    }
    if (code == 0 && status == PGRES_POLLING_FAILED) code = connection_refused(connection);
    PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
    if (code == 0) code = connection_check(server, connection, until_ns);
    if (code < 0)
        PQfinish(connection);
    else
        *out = connection;
    return code;
}

/* Takes a list with commas apart, in place. Returns how many parts it has, of which at most
 * HOSTS_MAX are in `out`. */
static size_t list_split(char *text, char *out[HOSTS_MAX])
{
    size_t n = 0;
    for (char *part = text; part; n++) {
        char *comma = strchr(part, ',');
        if (comma) *comma = '\0';
        if (n < HOSTS_MAX) out[n] = part;
        part = comma ? comma + 1 : NULL;
    }
    return n;
}

/* libpq goes on to the next of several hosts when one refuses, but in this way of connecting not
 * when one is silent, as a machine that died is. So each gets a connection, and a time, of its own;
 * the one that took us last is the first. What libpq must say about (a list of addresses, numbers
 * that differ) is left to it. */
static int connect_new(struct postgres_server *server, PGconn **out)
{
    char *hosts[HOSTS_MAX], *ports[HOSTS_MAX];
    PQconninfoOption *options = PQconninfoParse(server->address, NULL);
    const char *host = option_value(options, "host"), *port = option_value(options, "port");
    bool single = !host || option_value(options, "hostaddr");
    defer_free char *host_list = memory_copy_text(slice_from_text(single ? "" : host));
    defer_free char *port_list = memory_copy_text(slice_from_text(port ? port : ""));
    PQconninfoFree(options);
    size_t n = list_split(host_list, hosts), n_ports = list_split(port_list, ports);
    if (n == 1 || n > HOSTS_MAX || (n_ports != 1 && n_ports != n))
        return connect_host(server, NULL, NULL, CONNECT_MS, out);
    size_t first = atomic_load(&server->host);
    int code = GLIS_EIO;
    for (size_t i = 0; i < n && code < 0; i++) {
        size_t at = (first + i) % n;
        const char *its_port = ports[n_ports > 1 ? at : 0];
        code = connect_host(server, hosts[at], its_port[0] ? its_port : NULL, CONNECT_ONE_MS, out);
        if (code == 0) atomic_store(&server->host, at);
    }
    return code;
}

/* ---- the pool ---- */

static void connection_drop(struct postgres_server *server, PGconn *connection)
{
    PGconn *gone[CONNECTIONS_MAX];
    size_t n = 0;
    pthread_mutex_lock(&server->lock);
    /* The others stood on the same server: they are dead or soon will be. */
    while (server->n_idle > 0)
        gone[n++] = server->idle[--server->n_idle];
    server->n_open -= n + 1;
    pthread_cond_broadcast(&server->freed);
    pthread_mutex_unlock(&server->lock);
    for (size_t i = 0; i < n; i++)
        PQfinish(gone[i]);
    if (connection) PQfinish(connection);
}

static void connection_return(struct postgres_server *server, PGconn *connection)
{
    pthread_mutex_lock(&server->lock);
    server->idle[server->n_idle++] = connection;
    pthread_cond_signal(&server->freed);
    pthread_mutex_unlock(&server->lock);
}

/* Nothing is said on an idle connection but that it ends: a put sent into one that has ended would
 * leave its outcome unknown for nothing. */
static bool connection_has_ended(const PGconn *connection)
{
    struct pollfd look = {.fd = PQsocket(connection), .events = POLLIN};
    return poll(&look, 1, 0) != 0;
}

static int connection_take(struct postgres_server *server, PGconn **out)
{
    pthread_mutex_lock(&server->lock);
    for (;;) {
        while (server->n_idle == 0 && server->n_open == CONNECTIONS_MAX)
            pthread_cond_wait(&server->freed, &server->lock);
        if (server->n_idle == 0) break;
        PGconn *connection = server->idle[--server->n_idle];
        pthread_mutex_unlock(&server->lock);
        if (!connection_has_ended(connection)) {
            *out = connection;
            return 0;
        }
        connection_drop(server, connection);
        pthread_mutex_lock(&server->lock);
    }
    server->n_open++;
    pthread_mutex_unlock(&server->lock);
    int code = connect_new(server, out);
    if (code < 0) {
        connection_drop(server, NULL);
        return code;
    }
    atomic_store(&server->was_reached, true);
    return 0;
}

/* ---- statements ---- */

static int statement_send(PGconn *connection, const struct postgres_statement *statement)
{
    Oid types[POSTGRES_VALUES_MAX];
    const char *values[POSTGRES_VALUES_MAX];
    int sizes[POSTGRES_VALUES_MAX], formats[POSTGRES_VALUES_MAX];
    for (unsigned i = 0; i < statement->n_values; i++) {
        if (statement->values[i].size > INT32_MAX / 2)
            return error_set(GLIS_ELIMIT, "an object is too large for a database");
        types[i] = statement->types[i] == POSTGRES_TEXT ? TYPE_TEXT : TYPE_BYTES;
        values[i] = statement->values[i].size ? statement->values[i].data : "";
        sizes[i] = (int)statement->values[i].size;
        formats[i] = 1;
    }
    return PQsendQueryParams(connection, statement->sql, (int)statement->n_values, types, values,
                             sizes, formats, 1)
               ? 0
               : GLIS_EIO;
}

/* The next result, or NULL at a statement's end; waits for it. */
static int result_next(struct postgres_server *server, PGconn *connection, int64_t until_ns,
                       struct cancel *cancel, PGresult **out)
{
    struct clock *clock = server->runtime->clock;
    for (;;) {
        int unsent = PQflush(connection);
        if (unsent < 0) return GLIS_EIO;
        if (unsent == 0 && !PQisBusy(connection)) {
            *out = PQgetResult(connection);
            return 0;
        }
        TRY(wait_for(connection, (short)(unsent ? POLLIN | POLLOUT : POLLIN), until_ns, clock,
                     cancel));
        if (!PQconsumeInput(connection)) return GLIS_EIO;
    }
}

static int result_failed(const PGresult *result, enum postgres_kind kind)
{
    char line[512];
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    message_line(PQresultErrorMessage(result), line);
    int unknown = kind == POSTGRES_ONCE ? GLIS_EUNKNOWN : GLIS_EIO;
    bool lives_on = severity && strcmp(severity, "ERROR") == 0;
    return error_set(state ? state_outcome(state, unknown, lives_on) : unknown,
                     "the database: %s%s%s", line, state ? ", SQLSTATE " : "", state ? state : "");
}

/* Takes the results of statements that were sent. */
static int results_take(struct postgres_server *server, PGconn *connection,
                        struct postgres_statement *statements, size_t n, enum postgres_kind kind,
                        struct error_detail *failure)
{
    struct clock *clock = server->runtime->clock;
    /* What must not be sent twice is waited for, so that its outcome is known. */
    struct cancel *cancel = kind == POSTGRES_ONCE ? NULL : server->runtime->cancel;
    int64_t until_ns = clock->monotonic_ns(clock) + (STATEMENT_MS + 5000) * INT64_C(1000000);
    for (size_t i = 0; i < n;) {
        PGresult *result = NULL;
        TRY(result_next(server, connection, until_ns, cancel, &result));
        if (!result) {
            i++;
            continue;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            PQclear(statements[i].result);
            statements[i].result = result;
            statements[i].n_rows = (size_t)PQntuples(result);
            if (text_parse_uint64(slice_from_text(PQcmdTuples(result)), &statements[i].n_changed) <
                0)
                error_clear();
            continue;
        }
        if (status != PGRES_PIPELINE_ABORTED && result_failed(result, kind) < 0 && !failure->code)
            error_save(failure);
        PQclear(result);
        if (PQstatus(connection) == CONNECTION_BAD) return GLIS_EIO;
    }
    if (n == 1) return 0;
    PGresult *sync = NULL;
    TRY(result_next(server, connection, until_ns, cancel, &sync));
    bool synced = PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
    PQclear(sync);
    return synced && PQexitPipelineMode(connection) ? 0 : GLIS_EIO;
}

static int connection_broke(const PGconn *connection, enum postgres_kind kind)
{
    char line[512];
    message_line(PQerrorMessage(connection), line);
    return error_set(kind == POSTGRES_ONCE ? GLIS_EUNKNOWN : GLIS_EIO,
                     "the connection to the database broke%s%s", line[0] ? ": " : "", line);
}

static int attempt(struct postgres_server *server, struct postgres_statement *statements, size_t n,
                   enum postgres_kind kind, enum stage *stage)
{
    PGconn *connection = NULL;
    *stage = STAGE_CONNECTING;
    TRY(connection_take(server, &connection));
    *stage = STAGE_SENT;
    PQsetnonblocking(connection, 1);
    bool broke = n > 1 && !PQenterPipelineMode(connection);
    for (size_t i = 0; i < n && !broke; i++) {
        int code = statement_send(connection, &statements[i]);
        if (code == GLIS_ELIMIT) {
            connection_drop(server, connection);
            *stage = STAGE_ANSWERED;
            return code;
        }
        broke = code < 0;
    }
    if (n > 1 && !broke) broke = !PQpipelineSync(connection);
    struct error_detail failure = {0};
    if (!broke) broke = results_take(server, connection, statements, n, kind, &failure) < 0;
    if (broke) {
        postgres_statements_free(statements, n);
        int code = failure.code ? error_load(&failure) : connection_broke(connection, kind);
        connection_drop(server, connection);
        return code;
    }
    *stage = STAGE_ANSWERED;
    connection_return(server, connection);
    if (!failure.code) return 0;
    postgres_statements_free(statements, n);
    return error_load(&failure);
}

/* A try has ended; returns since when tries have failed one after another, of all callers. Who asks
 * again after patience has ended gets one try, and not all the time once more. */
static int64_t try_ended(struct postgres_server *server, int code, int64_t begun_ns,
                         unsigned *n_failed)
{
    pthread_mutex_lock(&server->lock);
    if (code == 0) server->n_failed = 0;
    if (code < 0 && server->n_failed++ == 0) server->failing_since_ns = begun_ns;
    int64_t since_ns = server->failing_since_ns;
    *n_failed = server->n_failed;
    pthread_mutex_unlock(&server->lock);
    return since_ns;
}

/* What was never sent did not happen; what one of several tries may have done may be done, whatever
 * is said to the others. */
static int patience_ended(int code, bool may_be_done, bool reached, unsigned n_failed,
                          int64_t spent_ns)
{
    struct error_detail detail;
    error_save(&detail);
    if (!may_be_done && code == GLIS_EIO && reached) code = GLIS_ERETRY;
    if (may_be_done && code != GLIS_EUNKNOWN) code = GLIS_EIO;
    if (n_failed > 1)
        return error_set(code, "%s (the last of %u tries in %.1f s)", detail.text, n_failed,
                         (double)spent_ns / 1e9);
    return error_set(code, "%s", detail.text);
}

/* Tries again what may be, with pauses, as long as patience lasts. */
static int run_patiently(struct postgres_server *server, struct postgres_statement *statements,
                         size_t n, enum postgres_kind kind)
{
    struct clock *clock = server->runtime->clock;
    int64_t begun_ns = clock->monotonic_ns(clock), pause_ms = 20;
    for (bool may_be_done = false;;) {
        enum stage stage;
        unsigned n_failed;
        int code = attempt(server, statements, n, kind, &stage);
        bool answered = stage == STAGE_ANSWERED && code != GLIS_ERETRY;
        int64_t since_ns = try_ended(server, answered ? 0 : code, begun_ns, &n_failed);
        if (code == 0) return 0;
        may_be_done = may_be_done || stage == STAGE_SENT ||
                      (stage == STAGE_ANSWERED && (code == GLIS_EIO || code == GLIS_EUNKNOWN));
        bool again = code == GLIS_ERETRY || (code == GLIS_EIO && stage != STAGE_ANSWERED);
        if (kind == POSTGRES_ONCE && stage != STAGE_CONNECTING) again = false;
        /* An address that is wrong is told at once; one that is busy was right. */
        bool reached = atomic_load(&server->was_reached);
        if (again) TRY(runtime_check_cancel(server->runtime));
        again = again && (reached || code == GLIS_ERETRY);
        if (since_ns > begun_ns) since_ns = begun_ns;
        int64_t spent_ns = clock->monotonic_ns(clock) - since_ns;
        if (!again || spent_ns >= PATIENCE_MS * INT64_C(1000000))
            return patience_ended(code, may_be_done, reached, n_failed, spent_ns);
        clock->sleep_ms(clock, pause_ms / 2 + (int64_t)random_below(server->runtime->random,
                                                                    (uint64_t)pause_ms));
        pause_ms = pause_ms < 500 ? 2 * pause_ms : 1000;
    }
}

static int run_alone(struct postgres_server *server, const char *sql)
{
    struct postgres_statement statement = {.sql = sql};
    int code = run_patiently(server, &statement, 1, POSTGRES_REPEATABLE);
    postgres_statements_free(&statement, 1);
    return code;
}

/* Makes what is not there; who may only use it need not be allowed to make it. What two make at
 * once is one of the two's: another look finds it. */
static int set_up(struct postgres_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool done = !server->setup || server->is_set_up;
    pthread_mutex_unlock(&server->lock);
    if (done) return 0;
    int code = GLIS_ENOTFOUND;
    for (int i = 0; i < 3 && code == GLIS_ENOTFOUND; i++) {
        code = run_alone(server, "select 1 from glis_log limit 0");
        if (code != GLIS_ENOTFOUND) break;
        code = run_alone(server, server->setup);
        if (code == GLIS_EIO && i < 2) code = GLIS_ENOTFOUND;
    }
    if (code < 0) {
        error_context("making the table glis_log");
        return code;
    }
    pthread_mutex_lock(&server->lock);
    server->is_set_up = true;
    pthread_mutex_unlock(&server->lock);
    return 0;
}

/* A table or a database that is not there says nothing about the objects that should be in it:
 * taken for their absence, it would be a log without records. A put, though, certainly did not
 * happen. */
static int vanished(int code, enum postgres_kind kind)
{
    struct error_detail detail;
    if (code != GLIS_ENOTFOUND || kind == POSTGRES_ONCE) return code;
    error_save(&detail);
    return error_set(GLIS_EIO, "%s", detail.text);
}

int postgres_run(struct postgres_server *server, struct postgres_statement *statements, size_t n,
                 enum postgres_kind kind)
{
    int code = set_up(server);
    for (size_t at = 0; at < n && code == 0; at += PIPELINE_MAX) {
        size_t some = n - at < PIPELINE_MAX ? n - at : PIPELINE_MAX;
        code = run_patiently(server, statements + at, some, kind);
    }
    if (code < 0) postgres_statements_free(statements, n);
    return vanished(code, kind);
}

void postgres_statements_free(struct postgres_statement *statements, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        PQclear(statements[i].result);
        statements[i].result = NULL;
        statements[i].n_rows = 0;
        statements[i].n_changed = 0;
    }
}

struct slice postgres_field(const struct postgres_statement *statement, size_t row, unsigned field)
{
    const PGresult *result = statement->result;
    if ((int)row >= PQntuples(result) || (int)field >= PQnfields(result)) return SLICE_EMPTY;
    return slice_make(PQgetvalue(result, (int)row, (int)field),
                      (size_t)PQgetlength(result, (int)row, (int)field));
}

int postgres_number(const struct postgres_statement *statement, size_t row, unsigned field,
                    int64_t *out)
{
    struct slice bytes = postgres_field(statement, row, field);
    if (bytes.size != 8)
        return error_set(GLIS_EIO, "the database gave no whole number of eight bytes");
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++)
        value = value << 8 | (uint8_t)bytes.data[i];
    *out = (int64_t)value;
    return 0;
}
