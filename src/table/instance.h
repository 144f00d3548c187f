/*
 * instance.h: an instance and its catalogue: its settings, and which tables there are, with their
 * names, ids and lives; creating, renaming, dropping and, at the end, sweeping them away.
 *
 * The catalogue is a log of its own, below "catalogue/". A table's name can change, its id cannot.
 * Creating one takes three commits, dropping one only says so: whoever dies between leaves a table
 * in a life (enum table_life) from which the next call of the same kind goes on. What a table
 * holds is in its own log (table_state.h).
 *
 * Ownership: an instance outlives its tables, a store its instance. Instances are thread safe.
 */
#ifndef GLIS_TABLE_INSTANCE_H
#define GLIS_TABLE_INSTANCE_H

#include "column/column.h"
#include "store/store.h"
#include "table/property.h"

struct instance;
struct table;
struct table_state;

/* ---- instances ---- */

/* Begins an instance in an empty root. GLIS_EEXISTS when there is one. `settings` are instance and
 * process properties and defaults for tables (glis.default.table.*). */
int instance_init(struct runtime *runtime, struct store *store, const struct setting *settings,
                  size_t n_settings) GLIS_CHECKED;
/* The same from a folder as the reference has it: instance.properties, tags.properties and
 * tables/<name>/{table.properties,schema.json,splits.txt}, all read and checked before anything is
 * written; GLIS_EINVALID names file and line. May be repeated after a crash: what is there is kept
 * when it is the same. *ignored and what it holds lie in the arena. */
int instance_init_from(struct runtime *runtime, struct store *store, struct slice folder,
                       struct arena *arena, struct slice **ignored, size_t *n_ignored) GLIS_CHECKED;

enum {
    INSTANCE_READ_ONLY = 1,    /* never write, not even snapshots */
    INSTANCE_CACHE_LOOK = 2,   /* what is read of data files will not be read again: not kept */
    INSTANCE_NO_SNAPSHOTS = 4, /* write nothing but what is asked for */
    /* What is opened is asked at once, and for nothing that was acknowledged after the opening
     * began: its logs are not looked at a second time for the first question. */
    INSTANCE_ASKED_AT_ONCE = 8,
};
/* Opens an instance and reads its catalogue; the overrides (may be NULL) must live as long.
 * GLIS_ENOTFOUND when the root has none. */
int instance_open(struct runtime *runtime, struct store *store, unsigned flags,
                  const struct property_overrides *overrides, struct instance **out) GLIS_CHECKED;
/* The same for a caller who will open the table of that name: the first reads of its log are under
 * way while the catalogue's end is made sure. */
int instance_open_for(struct runtime *runtime, struct store *store, unsigned flags,
                      const struct property_overrides *overrides, struct slice table,
                      struct instance **out) GLIS_CHECKED;
void instance_close(struct instance *instance); /* after its tables; NULL is allowed */
struct store *instance_store(const struct instance *instance);
struct runtime *instance_runtime(const struct instance *instance);
/* Where pieces of data files are kept on this machine: glis.cache.dir, else the user's folder for
 * caches; NULL when there is neither. `instance` may be NULL. In the arena. */
int instance_cache_folder(const struct property_overrides *overrides,
                          const struct instance *instance, struct arena *arena, char **out)
    GLIS_CHECKED;
/* A property of instance or process, overrides first. They end the process for a wrong id only; bad
 * overrides were found by instance_open. */
int64_t instance_number(const struct instance *instance, enum property_id id);
struct slice instance_text(const struct instance *instance, enum property_id id);
/* All instance settings that were set, in the arena. */
int instance_settings(struct instance *instance, struct arena *arena, struct setting **out,
                      size_t *n_out) GLIS_CHECKED;
/* Sets properties (an empty value goes back to the default). */
int instance_alter(struct instance *instance, const struct setting *settings, size_t n_settings)
    GLIS_CHECKED;
/* Reads the catalogue to its end. */
int instance_refresh(struct instance *instance) GLIS_CHECKED;

/* Sets the time of the catalogue's log to this machine's, as table_set_time does a table's:
 * `record` must be its end. *out is the record that says so. */
int instance_set_time(struct instance *instance, uint64_t record, uint64_t *out) GLIS_CHECKED;

struct table_trim_options;
struct log_trim_result;
/* Trims the catalogue's log; as table_trim. */
int instance_trim(struct instance *instance, const struct table_trim_options *options,
                  struct log_trim_result *out) GLIS_CHECKED;

enum table_life { TABLE_CREATING, TABLE_LIVE, TABLE_DROPPING, TABLE_SWEEPING };
struct table_entry {
    struct slice name, id;
    enum table_life life;
    bool online;
    int64_t since_ms; /* when it came into this life */
};
/* Tables by name, fresh, in the arena; those dropped only when asked for. */
int instance_tables(struct instance *instance, bool dropped_too, struct arena *arena,
                    struct table_entry **out, size_t *n_out) GLIS_CHECKED;

/* ---- the tables of an instance ---- */

/* 1 to 128 characters of letters, digits, '_', '-', '.', first a letter, digit or '_'; UTF-8
 * letters beyond ASCII are not allowed. GLIS_EINVALID. */
int table_name_check(struct slice name) GLIS_CHECKED;

struct table_definition {
    struct slice name;
    const struct schema *schema;
    const struct setting *settings; /* table properties, editable ones and online */
    size_t n_settings;
    const struct slice *split_points; /* field keys of the first row key, strictly ascending */
    size_t n_split_points;
};
/* Reads table.properties, schema.json and splits.txt of one folder, or table.properties and
 * the schema beside it; GLIS_EINVALID names file and line. In the arena, but the schema, which the
 * caller releases. */
int table_definition_read(struct runtime *runtime, struct slice folder, struct arena *arena,
                          struct table_definition *out, struct property_file *properties)
    GLIS_CHECKED;
/* Split points of the first row key, one a line, as text or (base64) for strings; byte arrays are
 * always base64. Blank lines are refused but for the last. They ascend in our order, or in the
 * reference's (bytes as signed numbers, strings as UTF-16) and are then sorted. GLIS_EINVALID:
 * file, line and reason. */
int table_split_points_read(const struct schema *schema, struct slice file, struct slice text,
                            bool base64, struct arena *arena, struct slice **out, size_t *n_out)
    GLIS_CHECKED;
/* The other way: the split points of the first row key in the tree, ascending, as such a file. */
int table_split_points_write(const struct table_state *state, bool base64, struct buffer *out)
    GLIS_CHECKED;

/* Creates and opens a table. GLIS_EEXISTS: the name is taken. *out may be NULL. */
int table_create(struct instance *instance, const struct table_definition *definition,
                 struct table **out) GLIS_CHECKED;
int table_rename(struct instance *instance, struct slice name, struct slice new_name) GLIS_CHECKED;
int table_drop(struct instance *instance, struct slice name) GLIS_CHECKED;
/* The table dropped last under this name (or with this id), as `as` or under its old name. */
int table_undrop(struct instance *instance, struct slice name, struct slice as) GLIS_CHECKED;
int table_set_online(struct instance *instance, struct slice name, bool online) GLIS_CHECKED;

/*
 * The end of a table that was dropped longer than glis.table.drop.delay ago, or whose creation has
 * stood still for a day; one step further at each call, by its id (of an entry that
 * instance_tables gave): it is said to be swept, its log is ended and cleared, its objects are
 * removed, and a second time after glis.gc.orphan.age, for what was still being written; then the
 * catalogue forgets it. The last snapshot and the markers of its log stay for ever. Nothing is done
 * before its time; repeating it does no harm. *n_removed grows by the objects removed; with dry_run
 * they are only counted.
 */
int table_sweep(struct instance *instance, const struct table_entry *entry, bool dry_run,
                uint64_t *n_removed) GLIS_CHECKED;

#endif
