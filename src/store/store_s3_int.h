/*
 * store_s3_int.h: what the files of the S3 store share.
 *
 *   store_s3.c           opening, put, head, list, time
 *   store_s3_exchange.c  one request with its repeats: signing, the answer's meaning, error texts
 *   store_s3_read.c      ranges, joined where they are neighbours
 *   store_s3_remove.c    many deletes in one request
 *   store_s3_upload.c    puts in parts, and those that were never finished
 *   store_s3_probe.c     whether the server has what the log needs
 *   store_google.c       what differs for Google Cloud Storage
 *   store_azure.c        what differs for Azure Blob Storage
 *
 * Services differ in how a request is signed, which header makes a put conditional and what their
 * answers mean; a dialect says that, and all else is the same code: repeats, joined ranges, parts,
 * the probe.
 */
#ifndef GLIS_STORE_STORE_S3_INT_H
#define GLIS_STORE_STORE_S3_INT_H

#include "store/http.h"
#include "store/s3_int.h"
#include "store/store_int.h"

#include <pthread.h>
#include <stdatomic.h>

/* Below the prefix; never listed, never a key of the caller's. */
#define S3_OWN_FOLDER ".glis-store/"

struct s3_exchange;

/* What differs between services that are otherwise asked alike. */
struct s3_dialect {
    struct http_header if_absent; /* makes a put conditional */
    const char *request_id;       /* the header of an answer that names its request */
    bool block_list;              /* parts are blocks with names of ours, put together by a list */
    /* Makes URL and headers of a try, in the exchange's arena `answer`. NULL: s3_sign. */
    int (*sign)(struct s3_exchange *exchange, const struct s3_settings *settings, int64_t now_ms,
                struct s3_signed *out);
    /* Says an answer in S3's words: `status`, and error.code, for those on which something hangs;
     * what the service said itself stays in error.said. NULL: they are S3's. */
    void (*translate)(struct s3_exchange *exchange);
    /* The good answer to a put bears the service's mark, so that no proxy has made it up. */
    bool (*put_is_own)(const struct s3_exchange *exchange);
    /* For people: what can be done about a failure; "" when nothing is known. */
    const char *(*advice)(const struct s3_exchange *exchange);
};
extern const struct s3_dialect s3_dialect_amazon, s3_dialect_google;

struct store_s3 {
    struct store store;
    const struct s3_dialect *dialect;
    struct runtime *runtime;
    struct http *http;
    struct arena arena;                          /* settings */
    struct s3_settings settings;                 /* as loaded */
    _Atomic(const struct s3_settings *) current; /* the same, or in another region */
    struct s3_provider *provider;                /* NULL: `fixed` are the credentials */
    struct s3_credentials fixed;
    struct s3_signer *signer;
    bool read_only;
    atomic_bool deletes_singly; /* the server refused DeleteObjects */
    atomic_bool probed;
    pthread_mutex_t probe_lock; /* held during the probe */

    pthread_mutex_t lock; /* guards what follows */
    int64_t tokens;       /* what is left for repeats, in thousandths of one */
    int64_t refilled_ns;
    int64_t skew_ms;      /* added to the time that requests are signed with */
    bool skew_known;      /* a server has refused our time */
    int64_t server_ms;    /* the last Date of an answer, */
    int64_t server_at_ns; /* when it came; 0: none yet */
};

/* What an exchange is allowed to do, and what its answer means. */
enum {
    S3_CONDITIONAL = 1,  /* a put that the transport must not repeat */
    S3_CLEANING_UP = 2,  /* goes on after a cancel */
    S3_ONE_TRY = 4,      /* no repeats */
    S3_ABSENT_IS_OK = 8, /* 404 is success */
};

enum s3_kind { S3_KIND_WRITE, S3_KIND_READ, S3_KIND_LIST, S3_KIND_DELETE };

/*
 * One request to the server with all its repeats. The caller fills in what is above the line
 * (s3_exchange_init, then the request), runs it, looks at `code` and the answer, and frees it.
 * What the request points to is the caller's, and lives until then, too.
 */
struct s3_exchange {
    struct store_s3 *s3;
    struct s3_request request; /* key: with the prefix */
    enum s3_kind kind;
    unsigned flags;
    uint64_t answer_expected; /* bytes, for the time-out and for room */
    uint64_t answer_max;
    struct budget *budget; /* of the answer */
    uint8_t *into;         /* where a partial answer shall stand, as http_request says; NULL */
    void *state;           /* the caller's own */
    /* ---- */
    int code;   /* 0, or as store.h says, with `detail` */
    int status; /* of the answer, in S3's words; 0: none came */
    struct error_detail detail;
    struct s3_error error;    /* what the server said */
    struct http_request http; /* the answer */
    bool done;
    bool under_way;           /* added to a batch, and no last answer yet */
    bool credentials_refused; /* when neither done nor under way: to be added again */
    unsigned tries;
    bool followed;         /* once to another region */
    bool broke;            /* an earlier try may have been carried out */
    uint64_t answer_bytes; /* the caller may take the block out; this stays */
    uint64_t depth;        /* of this try: one more than of those that were answered before it */
    struct s3_credentials credentials;
    struct arena arena;   /* the caller's, for what the request points to */
    struct arena secrets; /* the credentials */
    struct arena answer;  /* of one try */
};

void s3_exchange_init(struct s3_exchange *exchange, struct store_s3 *s3, const char *method,
                      struct slice key, enum s3_kind kind, unsigned flags);
/* Releases the answer and all memory of the exchange. */
void s3_exchange_free(struct s3_exchange *exchange);
#define defer_exchange __attribute__((cleanup(s3_exchange_free), unused))

/* Runs all to their end, as many at a time as the settings say. */
void s3_exchanges_run(struct store_s3 *s3, struct s3_exchange *const *exchanges, size_t n);
/* Runs one; its code becomes the result, its detail the thread's. */
int s3_exchange_run(struct s3_exchange *exchange) GLIS_CHECKED;
/* Adds those of a batch's exchanges that are to be begun, or again with other credentials. Returns
 * how many are not done. */
size_t s3_exchanges_add(struct http_batch *batch, struct s3_exchange *const *exchanges, size_t n);
/* Signs an exchange and adds it to a batch that is the caller's; when the batch has been driven, an
 * exchange that is neither `done` nor `under_way` is to be added again, with other credentials. A
 * failure to sign makes it done. */
void s3_exchange_add(struct http_batch *batch, struct s3_exchange *exchange);
/* For a conditional put of which no byte was sent: the code, or GLIS_ERETRY in place of one that
 * would say that it may have been carried out. */
int s3_not_sent(int code) GLIS_CHECKED;
/* Makes the exchange's failure the thread's; for codes that are not 0. */
int s3_exchange_failure(const struct s3_exchange *exchange);
/* Ends the exchange with a failure that its caller found in the answer. */
int s3_exchange_fail(struct s3_exchange *exchange, int code, const char *what) GLIS_CHECKED;

/* What can be done about a failure that S3 names. */
const char *s3_advice(const struct s3_exchange *exchange);

/* The key with the prefix before it, in the arena. GLIS_EINVALID for keys that are the store's own
 * or longer than S3 allows. */
int s3_full_key(const struct store_s3 *s3, struct slice key, struct arena *arena, struct slice *out)
    GLIS_CHECKED;
/* GLIS_EDENIED when the store was opened for reading. */
int s3_may_write(struct store_s3 *s3) GLIS_CHECKED;

/* Opens the common part; `dialect` and settings are set by then, the description is not. */
void s3_begin(struct store_s3 *s3, struct runtime *runtime, unsigned flags);
/* Frees all, also of a store that was never opened whole. */
void s3_close(struct store *store);
int s3_put(struct store *store, struct slice key, struct slice body, unsigned flags);
int s3_sync(struct store *store, const struct slice *keys, size_t n_keys);
int s3_time_ms(struct store *store, int64_t *out);
/* The keys of a page are in order, below the prefix and behind the start. */
int s3_list_check(const struct store_s3 *s3, const struct store_object *objects, size_t n,
                  struct slice prefix, struct slice start_after) GLIS_CHECKED;

/* Before the first write: the server honours If-None-Match: *, or GLIS_EUNSUPPORTED says that it
 * does not and what to do. Paid once per process and, as an object remembers it, per prefix. */
int s3_probe(struct store_s3 *s3) GLIS_CHECKED;

int s3_put_once(struct store_s3 *s3, struct slice full_key, struct slice body, unsigned flags)
    GLIS_CHECKED;
void s3_read(struct store *store, struct store_read *reads, size_t n_reads);
struct store_reading *s3_read_begin(struct store *store, struct store_read *reads, size_t n_reads);
bool s3_read_go_on(struct store_reading *reading, bool wait);
void s3_read_end(struct store_reading *reading, bool drop);
int s3_head(struct store *store, struct slice key, struct store_object *out);
int s3_remove(struct store *store, const struct slice *keys, size_t n_keys);
/* How many bytes a part has that comes after so many others; `part_bytes` as in the settings. */
uint64_t s3_part_bytes(uint64_t part_bytes, unsigned n_before);
int s3_upload_open(struct store *store, struct slice key, unsigned flags,
                   struct store_upload **out);
int s3_upload_write(struct store_upload *upload, struct slice part);
void s3_upload_go_on(struct store_upload *upload);
int s3_upload_finish(struct store_upload *upload);
void s3_upload_abort(struct store_upload *upload);
int s3_unfinished_list(struct store *store, struct slice prefix, struct arena *arena,
                       struct store_unfinished **out, size_t *n_out);
int s3_unfinished_remove(struct store *store, const struct store_unfinished *upload);

#endif
