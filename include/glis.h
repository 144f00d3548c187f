/*
 * glis.h: the public C interface of Glis, a serverless table store.
 *
 * Every function that can fail returns 0 or a negative GLIS_E code; glis_error_message() then says,
 * for the calling thread, what went wrong and where. Nothing else than what this header declares is
 * exported by libglis.
 */
#ifndef GLIS_H
#define GLIS_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* The one list of error codes: GLIS_ERRORS(X) expands X(name, number, text for people). Numbers
 * never change. */
#define GLIS_ERRORS(X)                                                                            \
    X(GLIS_EINVALID, -1, "invalid argument")   /* the caller's words or settings are wrong */     \
    X(GLIS_ENOMEM, -2, "memory limit reached") /* a budget, not the machine's memory */           \
    X(GLIS_EIO, -3, "input or output failed")  /* the store or the system said so: broken */      \
    X(GLIS_ENOTFOUND, -4, "not found")                                                            \
    X(GLIS_EEXISTS, -5, "exists already")                                                         \
    X(GLIS_EDENIED, -6, "permission denied")                                                      \
    X(GLIS_ERETRY, -7, "busy, try again later")                                                   \
    X(GLIS_EUNKNOWN, -8, "outcome unknown") /* may have happened; doing it again is safe */       \
    X(GLIS_EREFUSED, -9, "refused")         /* a condition of a transaction does not hold */      \
    X(GLIS_ECORRUPT, -10, "damaged data")                                                         \
    X(GLIS_EDATA, -11, "bad input data")     /* a row, a line, a field of what was brought in */  \
    X(GLIS_ELIMIT, -12, "limit reached")     /* a named limit; the detail says how to raise it */ \
    X(GLIS_EUNSUPPORTED, -13, "unsupported") /* a known thing that Glis does not do; named */     \
    X(GLIS_ENEWER, -14, "written by a newer Glis")                                                \
    X(GLIS_EGONE, -15, "no longer there") /* collected, or overtaken by trimming */               \
    X(GLIS_ESEQUENCE, -16, "sequence number out of order")                                        \
    X(GLIS_ECANCELLED, -17, "cancelled")                                                          \
    X(GLIS_ETIMEOUT, -18, "time limit reached")                                                   \
    X(GLIS_ENOSPACE, -19, "no space left")                                                        \
    X(GLIS_ECLOSED, -20, "closed by the other side") /* a closed pipe or connection */

enum glis_error {
    GLIS_OK = 0,
#define GLIS_ERROR_ENTRY(name, number, text) name = number,
    GLIS_ERRORS(GLIS_ERROR_ENTRY)
#undef GLIS_ERROR_ENTRY
};

/* The Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html) and C
 * stream interface (CStreamInterface.html), as the standard lays them down; whoever includes
 * them first wins. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE           2
#define ARROW_FLAG_MAP_KEYS_SORTED    4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif

/* The version of the library, "0.1.0". */
const char *glis_version(void);

/* What went wrong last in the calling thread, in one line; valid until its next call. */
const char *glis_error_message(void);

/* An opened instance. Thread safe; outlives the streams that queries on it give. */
struct glis_instance;

/* Begins an instance in an empty folder, which is made when it is not there. GLIS_EEXISTS when it
 * holds one already. */
int glis_instance_init(const char *root);

/* Opens the instance in a folder. GLIS_ENOTFOUND when it holds none. Settings of the process come
 * from the environment, as for the command (GLIS_QUERY_MEMORY). */
int glis_instance_open(const char *root, struct glis_instance **out);

/* Closes it; NULL is allowed. */
void glis_instance_close(struct glis_instance *instance);

/* Creates a table. `schema` is the JSON of a schema file; `split_points`, n of them ascending, are
 * values of the first row key as text and cut the table into n + 1 leaves (NULL with n 0). */
int glis_table_create(struct glis_instance *instance, const char *name, const char *schema,
                      const char *const *split_points, size_t n_split_points);

/* Brings a Parquet, CSV or JSON lines file (or a folder of them) into a table with one commit. With
 * a job id (may be NULL) a repeat with the same input is a success that adds nothing. *n_rows (may
 * be NULL) is the number of rows added. */
int glis_ingest_file(struct glis_instance *instance, const char *table, const char *path,
                     const char *job_id, uint64_t *n_rows);

/* The same from a stream of batches. Takes the stream: it has been released when this returns. */
int glis_ingest_stream(struct glis_instance *instance, const char *table,
                       struct ArrowArrayStream *stream, const char *job_id, uint64_t *n_rows);

/* Carries a query out: `query` is its JSON, {"regions":[{}]} for all rows. With "countOnly" the
 * answer is one row of one column, the long "count". *out is the caller's to release, before the
 * instance is closed. */
int glis_query(struct glis_instance *instance, const char *table, const char *query,
               struct ArrowArrayStream *out);

/* Where an ordered answer of glis_query ended at its "limit": what "after" takes in the next query
 * to go on from there. Known once get_next has given the end; NULL before, and when there is
 * nothing more. Lives as long as the stream. */
const char *glis_query_cursor(struct ArrowArrayStream *stream);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
#endif
