/*
 * sim_table.h: what the files of the world of one table share.
 *
 *   sim_table.c       the truth, ingest, upkeep, questions, what must be refused, the play
 *   sim_table_acts.c  bulk imports, set-aside files, roles, trimming, time, later schemas
 */
#ifndef GLIS_TESTS_SIM_TABLE_H
#define GLIS_TESTS_SIM_TABLE_H

#include "sim.h"

#include "base/json.h"
#include "base/text.h"
#include "log/log_int.h"
#include "lsm/lsm.h"
#include "query/query.h"
#include "table/instance_int.h"

enum {
    ROWS_MAX = 384,
    KEYS = 32,
    JOBS_MAX = 96,
    JOB_ROWS_MAX = 6,
    RECORDS_MAX = 700,
    FILES_MAX = 400,
    REFERENCES_MAX = 600,
    PINS_MAX = 24,
    DELETES_MAX = 8,
    UNDO_MAX = 8,
    ROLES = 2,
    DELAY_MS = 15 * 60 * 1000,
    SKEW_MS = 10 * 60 * 1000, /* of two clocks that are each five minutes off */
};

struct job {
    unsigned first, n; /* rows */
    unsigned sequence; /* of the worker as a writer; 0: known by its id */
    unsigned owner;
    uint64_t record; /* in which the truth has it last; 0: in none */
    bool acknowledged, never, maybe;
    unsigned n_trying; /* workers that are at it */
    bool bulk;         /* a bulk import, of files */
    bool cancelled;    /* or it was tried to */
    int64_t begun_ms;
};

struct past { /* the truth after a record */
    uint8_t must[ROWS_MAX / 8], may[ROWS_MAX / 8];
    uint8_t jobs[JOBS_MAX / 8];
    uint8_t done[JOBS_MAX / 8];   /* in this record; perhaps it was reset in it, too */
    uint8_t files[FILES_MAX / 8]; /* with references */
    uint32_t sequences[SIM_WORKERS_MAX];
    uint64_t generation;
    int64_t time_ms;
    uint64_t change; /* of the store, that put the record */
    bool aside;      /* a file with references is set aside */
};

struct file {
    char name[64];
    int64_t gone_ms; /* when the last reference went; 0: it has some, or never had */
    bool removed, marked, aside;
};

struct reference {
    uint16_t file;
    char partition[27];
};

struct pin {
    char id[40];
    uint64_t record;
    int64_t until_ms;
    bool alive, keeps_work;
};

struct deleting {     /* a delete that is under way */
    int64_t from, to; /* keys */
    bool active;
};

struct truth { /* now; besides the pasts */
    struct file files[FILES_MAX];
    unsigned n_files;
    struct reference references[REFERENCES_MAX];
    unsigned n_references;
    struct pin pins[PINS_MAX];
    unsigned n_pins;
    uint64_t version;       /* of the definition; 0: not known yet */
    uint64_t delete_record; /* of the last delete; 0: none */
    uint64_t trim_line;     /* states below it are not promised */
    uint64_t epochs[ROLES]; /* of the roles "r0", ... */
};

struct world {
    char prefix[64]; /* "tables/<id>/" */
    size_t prefix_size;
    struct schema *schema;
    struct past *past; /* [record] */
    uint64_t n_records, seen;
    uint64_t told; /* by an answer to a change, which outlasts the power */
    struct job jobs[JOBS_MAX];
    unsigned n_jobs, n_rows;
    struct truth now;
    struct truth *undo; /* [record % UNDO_MAX]: what it was before the record; NULL: not kept */
    struct deleting deletes[DELETES_MAX];
    uint8_t deleted[ROWS_MAX / 8]; /* for law's sake, by deletes that were completed */
    unsigned n_wicked;
    unsigned n_fields;  /* of the newest schema, at most */
    struct log *shadow; /* reads what became of carried entries; nobody else uses it */
    bool hasty;         /* somebody collects without waiting, or deletes: files go at any time */
    bool few_rows;      /* bulk imports may have too few rows for the leaves asked for */
    bool resets;        /* restore and reset occur */
    unsigned n_operations;
    struct property_overrides overrides;
    struct setting process_settings[4];
    unsigned weights[24];
};

struct actor {
    struct store *store;
    struct instance *instance;
    struct table *table;
    struct query_engine *engine;
    unsigned pins, sequence;
};

static inline struct world *world_of(const struct sim *sim)
{
    return sim->own;
}

static inline bool bit(const uint8_t *bits, unsigned i)
{
    return bits[i / 8] >> i % 8 & 1;
}

static inline void set_bit(uint8_t *bits, unsigned i, bool value)
{
    if (value)
        bits[i / 8] |= (uint8_t)(1u << i % 8);
    else
        bits[i / 8] &= (uint8_t) ~(1u << i % 8);
}

static inline int64_t row_key(unsigned row)
{
    return (int64_t)(row * 2654435761u >> 8) % KEYS;
}

/* ---- of sim_table.c ---- */

struct slice sim_table_text(const struct json *object, const char *name); /* empty: none */
int64_t sim_table_number(const struct json *object, const char *name);    /* -1: none */
struct file *sim_table_file(struct world *world, struct slice name);      /* NULL: none */
/* A code that a store that fails may cause. */
bool sim_table_passing(int code);
/* Whether it went well; a code that a living worker must not meet breaks the world. */
bool sim_table_expected(struct sim_worker *worker, int code, const char *what);
/* The same, and says how it went; true when it did, and somebody heard it. */
bool sim_table_did(struct sim_worker *worker, int code, const char *what);
/* Somebody was told that a change is in this record. */
void sim_table_told(struct sim *sim, uint64_t record);
bool sim_table_job_was_there(const struct world *world, unsigned number, uint64_t since);
/* A new job known by its id (unless the worker counts); JOBS_MAX: there is no room. */
unsigned sim_table_make_job(struct sim_worker *worker, struct sim_random *random, bool counts);

/* ---- of sim_table_acts.c ---- */

void sim_table_bulk(struct sim_worker *worker, struct sim_random *random);
void sim_table_aside(struct sim_worker *worker, struct sim_random *random);
void sim_table_role(struct sim_worker *worker, struct sim_random *random);
void sim_table_trim(struct sim_worker *worker, struct sim_random *random);
void sim_table_set_time(struct sim_worker *worker);
void sim_table_widen(struct sim_worker *worker);
/* The truth of the transactions that these make, and of what is done in a role. */
void sim_table_truth(struct sim *sim, const struct json *json);

#endif
