/*
 * instance_int.h: the insides of instances and of handles on tables, apart from table_int.h because
 * the pure part of the module (states, transactions) knows nothing of stores and logs.
 *
 * An instance resolves all properties once, when it is opened: what a process works with stays the
 * same while it runs. Texts lie in the arena of the handle.
 */
#ifndef GLIS_TABLE_INSTANCE_INT_H
#define GLIS_TABLE_INSTANCE_INT_H

#include "table/table_int.h"

struct instance {
    struct runtime *runtime;
    struct store *store;
    unsigned flags;
    const struct property_overrides *overrides;
    struct log *log; /* the catalogue's */
    /* The log of a table that will be opened, under way; and the table's name, then its id. */
    struct log_ahead *ahead;
    struct slice wanted, ahead_id;
    struct arena arena;
    struct slice base[PROPERTY_COUNT]; /* what the catalogue says; NULL data: nothing */
    struct slice texts[PROPERTY_COUNT];
    int64_t numbers[PROPERTY_COUNT];
};

struct table {
    struct instance *instance;
    struct log *log;
    struct slice name, id, prefix;
    struct arena arena;
};

/* How logs of this instance are opened. */
struct log_options instance_log_options(const struct instance *instance);
/* Puts a cache before the store's data files, as the properties say. */
int instance_cache_start(struct instance *instance) GLIS_CHECKED;
/* What is under way of a table's log; NULL: nothing. */
struct log_ahead *instance_ahead_take(struct instance *instance, struct slice id);
/* A live table by name, fresh; texts in the arena. GLIS_ENOTFOUND with "did you mean". */
int instance_find(struct instance *instance, struct slice name, struct arena *arena,
                  struct slice *id, struct catalogue_table *table) GLIS_CHECKED;

/* Makes sure that what was read of the catalogue outlasts a failure of power; as log_settle. */
int catalogue_settle(struct instance *instance) GLIS_CHECKED;

/* Commits one transaction. */
int table_commit_text(struct table *table, const struct buffer *text, struct commit_result *out)
    GLIS_CHECKED;

/* What a change of one table says besides its id and version. */
struct table_change {
    const char *type;
    struct slice name;
    int online; /* 0, 1, or -1: not said */
};

/* Commits a change of the table of an id, which must be at the version. */
int table_commit_change(struct instance *instance, struct slice id, uint64_t version,
                        const struct table_change *change) GLIS_CHECKED;

#endif
