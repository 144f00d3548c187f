/*
 * table.h: instances, the catalogue of tables, and the state of a table: schema, properties,
 * partition tree, files, references, jobs, and the transactions that change them.
 *
 * A state is what the pure function apply makes of a log (log/log.h). It is immutable once
 * published, reference counted, and cheap to copy: all of its parts are copy-on-write maps
 * (base/map.h). The rules of every transaction are checked before anything is changed, the same way
 * by every reader; a refusal is GLIS_EREFUSED and names the ids. docs/formats.md describes the
 * transactions and the snapshots.
 *
 * Keys are encoded (column.h). A *field key* is the encoding of one row-key field; a region is one
 * range of field keys for each row-key field. Slices in what a state hands out point into the state
 * and live as long as the caller holds it; what says "in the arena" is a copy.
 *
 * Ownership: an instance outlives its tables, a store its instance. Instances and tables are thread
 * safe; a state may be read by any number of threads.
 */
#ifndef GLIS_TABLE_TABLE_H
#define GLIS_TABLE_TABLE_H

#include "base/buffer.h"
#include "base/logger.h"
#include "base/memory.h"
#include "base/properties.h"
#include "base/runtime.h"
#include "column/column.h"
#include "store/store.h"

struct instance;
struct table;
struct table_state;

/* ---- properties ---- */

enum property_group {
    PROPERTY_OF_INSTANCE, /* one value for all processes, in the catalogue */
    PROPERTY_OF_PROCESS,  /* likewise, but environment and --set override it */
    PROPERTY_OF_TABLE, /* in the table's state; glis.default.table.* of the instance when created */
};

enum property_type {
    PROPERTY_BOOLEAN,  /* true, false */
    PROPERTY_INTEGER,  /* whole number */
    PROPERTY_BYTES,    /* 128K, 1G: powers of 1,024 */
    PROPERTY_DURATION, /* 90s, 15m, 24h, 30d, 500ms; the value is in milliseconds */
    PROPERTY_SHARE,    /* 0.01; the value is in millionths */
    PROPERTY_CHOICE,   /* one of the words in `choices`, separated by '|' */
    PROPERTY_TEXT,
};

/* The one table of properties: X(id, name, group, type, default, min, max, choices, editable,
 * reference's name or NULL, one line). A reference's name with "sleeper.default." in front is known
 * as well where the group is PROPERTY_OF_TABLE. */
#define GLIS_PROPERTIES(X)                                                                         \
    X(INGEST_MEMORY, "glis.ingest.memory", PROPERTY_OF_PROCESS, PROPERTY_BYTES, "512M", 64 << 20,  \
      INT64_C(1) << 50, NULL, true, NULL, "Memory that one ingest uses for rows.")                 \
    X(INGEST_SPILL_DIR, "glis.ingest.spill.dir", PROPERTY_OF_PROCESS, PROPERTY_TEXT, "", 0, 4096,  \
      NULL, true, NULL,                                                                            \
      "Folder for sorted runs that do not fit into memory; empty: TMPDIR, or /tmp.")               \
    X(INGEST_SPILL_MAX, "glis.ingest.spill.max", PROPERTY_OF_PROCESS, PROPERTY_BYTES, "64G",       \
      1 << 20, INT64_C(1) << 60, NULL, true, "sleeper.ingest.arrow.max.local.store.bytes",         \
      "Sorted runs on disk beyond this are merged into files before an ingest goes on.")           \
    X(QUERY_MEMORY, "glis.query.memory", PROPERTY_OF_PROCESS, PROPERTY_BYTES, "512M", 16 << 20,    \
      INT64_C(1) << 50, NULL, true, NULL, "Memory that the queries of a process use at most.")     \
    X(PARQUET_MEMORY, "glis.parquet.memory", PROPERTY_OF_PROCESS, PROPERTY_BYTES, "512M", 1 << 20, \
      INT64_C(1) << 50, NULL, true, NULL,                                                          \
      "Memory that a check of a Parquet file uses at most; its pages must fit, one at a time.")    \
    X(QUERY_MAX_FILES, "glis.query.max.files", PROPERTY_OF_PROCESS, PROPERTY_INTEGER, "100", 2,    \
      100000, NULL, true, NULL, "Files that a query merges at once; more are merged in passes.")   \
    X(QUERY_TIMEOUT, "glis.query.timeout", PROPERTY_OF_PROCESS, PROPERTY_DURATION, "0s", 0,        \
      INT64_C(1) << 50, NULL, true, NULL, "A query ends after this time; 0: no limit.")            \
    X(THREADS, "glis.threads", PROPERTY_OF_PROCESS, PROPERTY_INTEGER, "0", 0, 1024, NULL, true,    \
      NULL, "Threads that a process uses; 0: as many as the machine has processors.")              \
    X(LOG_LEVEL, "glis.log.level", PROPERTY_OF_PROCESS, PROPERTY_CHOICE, "warn", 0, 0,             \
      "error|warn|info|debug", true, "sleeper.logging.level",                                      \
      "What is written to the log output.")                                                        \
    X(LOG_FORMAT, "glis.log.format", PROPERTY_OF_PROCESS, PROPERTY_CHOICE, "text", 0, 0,           \
      "text|json", true, NULL, "The form of the log output.")                                      \
    X(MAINTENANCE, "glis.maintenance", PROPERTY_OF_PROCESS, PROPERTY_CHOICE, "inline", 0, 0,       \
      "inline|manual|tasks", true, NULL,                                                           \
      "inline: an ingest into a local folder also does what is due for the table afterwards.")     \
    X(COMPACTION_LEASE, "glis.compaction.lease", PROPERTY_OF_PROCESS, PROPERTY_DURATION, "10m",    \
      1000, INT64_C(1) << 42, NULL, true, NULL,                                                    \
      "Files that a worker has taken are free again when it says nothing for so long.")            \
    X(GC_ORPHAN_AGE, "glis.gc.orphan.age", PROPERTY_OF_INSTANCE, PROPERTY_DURATION, "24h", 0,      \
      INT64_C(1) << 42, NULL, true, NULL,                                                          \
      "A job that takes longer fails, and what it wrote is collected.")                            \
    X(LOG_RECORD_MAX, "glis.log.record.max", PROPERTY_OF_INSTANCE, PROPERTY_BYTES, "1M", 4096,     \
      64 << 20, NULL, true, NULL, "A larger transaction is put as a body of its own.")             \
    X(TABLE_NAME, "glis.table.name", PROPERTY_OF_TABLE, PROPERTY_TEXT, "", 1, 128, NULL, false,    \
      "sleeper.table.name", "The table's name; changed with `glis table rename`.")                 \
    X(TABLE_ONLINE, "glis.table.online", PROPERTY_OF_TABLE, PROPERTY_BOOLEAN, "true", 0, 0, NULL,  \
      false, "sleeper.table.online",                                                               \
      "Whether background work is done; changed with `glis table online` and `offline`.")          \
    X(TABLE_SPLITS_FILE, "glis.table.splits.file", PROPERTY_OF_TABLE, PROPERTY_TEXT, "", 0, 4096,  \
      NULL, false, "sleeper.table.splits.file",                                                    \
      "File of split points for the first partitions; splits.txt beside the properties else.")     \
    X(TABLE_SPLITS_BASE64, "glis.table.splits.base64.encoded", PROPERTY_OF_TABLE,                  \
      PROPERTY_BOOLEAN, "false", 0, 0, NULL, false, "sleeper.table.splits.base64.encoded",         \
      "Whether the split points of a string key are base64.")                                      \
    X(TABLE_INGEST_STRATEGY, "glis.table.ingest.file.writing.strategy", PROPERTY_OF_TABLE,         \
      PROPERTY_CHOICE, "by_size", 0, 0, "by_size|one_file_per_leaf|one_reference_per_leaf", true,  \
      "sleeper.table.ingest.file.writing.strategy",                                                \
      "by_size: own files for leaves with enough rows, shared files for the rest.")                \
    X(TABLE_INGEST_MIN_FILE_BYTES, "glis.table.ingest.min.file.bytes", PROPERTY_OF_TABLE,          \
      PROPERTY_BYTES, "8M", 1, INT64_C(1) << 40, NULL, true, NULL,                                 \
      "A leaf whose rows make at least this much gets a file of its own.")                         \
    X(TABLE_INGEST_MAX_REFERENCES, "glis.table.ingest.max.references", PROPERTY_OF_TABLE,          \
      PROPERTY_INTEGER, "64", 1, 10000, NULL, true, NULL,                                          \
      "References that one shared file gets at most.")                                             \
    X(TABLE_ROWGROUP_SIZE, "glis.table.parquet.rowgroup.size", PROPERTY_OF_TABLE, PROPERTY_BYTES,  \
      "32M", 64 << 10, INT64_C(1) << 31, NULL, true, "sleeper.table.parquet.rowgroup.size",        \
      "Bytes of a row group, about, before compression.")                                          \
    X(TABLE_ROWGROUP_ROWS, "glis.table.parquet.rowgroup.rows.max", PROPERTY_OF_TABLE,              \
      PROPERTY_INTEGER, "1000000", 1, 1 << 30, NULL, true,                                         \
      "sleeper.table.parquet.rowgroup.rows.max", "Rows of a row group at most.")                   \
    X(TABLE_PAGE_SIZE, "glis.table.parquet.page.size", PROPERTY_OF_TABLE, PROPERTY_BYTES, "32K",   \
      1024, 64 << 20, NULL, true, "sleeper.table.parquet.page.size",                               \
      "Bytes of a page of a value column, about.")                                                 \
    X(TABLE_KEY_PAGE_SIZE, "glis.table.parquet.key.page.size", PROPERTY_OF_TABLE, PROPERTY_BYTES,  \
      "8K", 1024, 64 << 20, NULL, true, NULL, "Bytes of a page of a key column, about.")           \
    X(TABLE_PAGE_ROWS, "glis.table.parquet.page.rows.max", PROPERTY_OF_TABLE, PROPERTY_INTEGER,    \
      "20000", 1, 1 << 24, NULL, true, NULL, "Rows of a page at most.")                            \
    X(TABLE_PAGE_VERSION, "glis.table.parquet.writer.version", PROPERTY_OF_TABLE, PROPERTY_CHOICE, \
      "v2", 0, 0, "v1|v2", true, "sleeper.table.parquet.writer.version",                           \
      "Version of the data pages.")                                                                \
    X(TABLE_STATISTICS_LENGTH, "glis.table.parquet.columnindex.truncate.length",                   \
      PROPERTY_OF_TABLE, PROPERTY_INTEGER, "128", 8, 32768, NULL, true,                            \
      "sleeper.table.parquet.columnindex.truncate.length",                                         \
      "Least and greatest values are cut to so many bytes in statistics and page index.")          \
    X(TABLE_CODEC, "glis.table.parquet.compression.codec", PROPERTY_OF_TABLE, PROPERTY_CHOICE,     \
      "zstd", 0, 0, "zstd|snappy|uncompressed|gzip|brotli|lz4_raw", true,                          \
      "sleeper.table.parquet.compression.codec", "How pages are compressed.")                      \
    X(TABLE_CODEC_LEVEL, "glis.table.parquet.compression.level", PROPERTY_OF_TABLE,                \
      PROPERTY_INTEGER, "1", 1, 19, NULL, true, NULL, "The codec's level of effort.")              \
    X(TABLE_DICTIONARY_ROW_KEYS, "glis.table.parquet.dictionary.encoding.rowkey.fields",           \
      PROPERTY_OF_TABLE, PROPERTY_CHOICE, "auto", 0, 0, "auto|true|false", true,                   \
      "sleeper.table.parquet.dictionary.encoding.rowkey.fields",                                   \
      "Dictionaries for row keys; auto: where they make the file smaller.")                        \
    X(TABLE_DICTIONARY_SORT_KEYS, "glis.table.parquet.dictionary.encoding.sortkey.fields",         \
      PROPERTY_OF_TABLE, PROPERTY_CHOICE, "auto", 0, 0, "auto|true|false", true,                   \
      "sleeper.table.parquet.dictionary.encoding.sortkey.fields", "Dictionaries for sort keys.")   \
    X(TABLE_DICTIONARY_VALUES, "glis.table.parquet.dictionary.encoding.value.fields",              \
      PROPERTY_OF_TABLE, PROPERTY_CHOICE, "auto", 0, 0, "auto|true|false", true,                   \
      "sleeper.table.parquet.dictionary.encoding.value.fields", "Dictionaries for values.")        \
    X(TABLE_BLOOM, "glis.table.parquet.bloom.filter", PROPERTY_OF_TABLE, PROPERTY_CHOICE, "auto",  \
      0, 0, "auto|true|false", true, NULL,                                                         \
      "Bloom filters for row keys; auto: for the first, if it is a string, bytes or a long.")      \
    X(TABLE_BLOOM_RATE, "glis.table.parquet.bloom.false.positives", PROPERTY_OF_TABLE,             \
      PROPERTY_SHARE, "0.01", 1, 500000, NULL, true, NULL,                                         \
      "Share of absent keys that a bloom filter takes for present ones.")                          \
    X(TABLE_FILTERS, "glis.table.filters", PROPERTY_OF_TABLE, PROPERTY_TEXT, "", 0, 65536, NULL,   \
      true, "sleeper.table.filters",                                                               \
      "Rows that are left out once they are old: ageOff(field,ms), several with commas.")          \
    X(TABLE_AGGREGATIONS, "glis.table.aggregations", PROPERTY_OF_TABLE, PROPERTY_TEXT, "", 0,      \
      1 << 20, NULL, true, "sleeper.table.aggregations",                                           \
      "How rows of equal keys become one: sum, min, max, map_sum, map_min, map_max.")              \
    X(TABLE_VISIBILITY_FIELD, "glis.table.visibility.field", PROPERTY_OF_TABLE, PROPERTY_TEXT, "", \
      0, 65536, NULL, true, NULL, "The string field whose label says who may see a row.")          \
    X(TABLE_ITERATOR, "glis.table.iterator", PROPERTY_OF_TABLE, PROPERTY_TEXT, "", 0, 255, NULL,   \
      true, NULL, "Plug-in through which all rows pass; a file in glis.iterator.folder.")          \
    X(TABLE_ITERATOR_CONFIG, "glis.table.iterator.config", PROPERTY_OF_TABLE, PROPERTY_TEXT, "",   \
      0, 65536, NULL, true, "sleeper.table.iterator.config",                                       \
      "Text given to the table's iterator.")                                                       \
    X(TABLE_INEXACT, "glis.table.inexact", PROPERTY_OF_TABLE, PROPERTY_BOOLEAN, "false", 0, 0,     \
      NULL, true, NULL, "Allows sums of reals, and ageOff on a value together with aggregations.") \
    X(ITERATOR_FOLDER, "glis.iterator.folder", PROPERTY_OF_INSTANCE, PROPERTY_TEXT, "", 0, 4096,   \
      NULL, true, NULL, "The only folder that iterators are loaded from; empty: there are none.")  \
    X(ITERATOR_TIMEOUT, "glis.iterator.timeout", PROPERTY_OF_INSTANCE, PROPERTY_DURATION, "60s",   \
      100, INT64_C(1) << 40, NULL, true, NULL,                                                     \
      "An iterator's process that neither takes nor gives rows for so long is ended.")             \
    X(TABLE_INNER_BYTES, "glis.table.inner.bytes", PROPERTY_OF_TABLE, PROPERTY_BYTES, "4G", 0,     \
      INT64_C(1) << 50, NULL, true, NULL,                                                          \
      "Files on an inner partition beyond this go down; 0: at once, as in the reference.")         \
    X(TABLE_SPLIT_THRESHOLD, "glis.table.partition.splitting.threshold", PROPERTY_OF_TABLE,        \
      PROPERTY_INTEGER, "1000000000", 1, INT64_C(1) << 60, NULL, true,                             \
      "sleeper.table.partition.splitting.threshold", "A leaf with so many rows is split.")         \
    X(TABLE_SPLIT_MIN_ROWS, "glis.table.partition.splitting.min.rows", PROPERTY_OF_TABLE,          \
      PROPERTY_INTEGER, "1000", 0, INT64_C(1) << 50, NULL, true,                                   \
      "sleeper.table.partition.splitting.min.rows",                                                \
      "A bulk import splits a leaf only if it brings so many rows for it.")                        \
    X(TABLE_SPLIT_MIN_PERCENT, "glis.table.partition.splitting.min.distribution.percent",          \
      PROPERTY_OF_TABLE, PROPERTY_INTEGER, "10", 0, 100, NULL, true,                               \
      "sleeper.table.partition.splitting.min.distribution.percent",                                \
      "Nor a leaf with less than this part of what each would get if all got the same.")           \
    X(TABLE_BULK_MIN_LEAVES, "glis.table.bulk.import.min.leaf.partitions", PROPERTY_OF_TABLE,      \
      PROPERTY_INTEGER, "256", 1, 1 << 20, NULL, true,                                             \
      "sleeper.table.bulk.import.min.leaf.partitions",                                             \
      "A bulk import splits leaves until there are so many.")                                      \
    X(TABLE_COMPACTION_STRATEGY, "glis.table.compaction.strategy.class", PROPERTY_OF_TABLE,        \
      PROPERTY_CHOICE, "size_ratio", 0, 0, "size_ratio|basic", true,                               \
      "sleeper.table.compaction.strategy.class",                                                   \
      "size_ratio: files of like size; basic: the smallest, whenever there are enough.")           \
    X(TABLE_COMPACTION_FILES, "glis.table.compaction.files.batch.size", PROPERTY_OF_TABLE,         \
      PROPERTY_INTEGER, "12", 2, 100000, NULL, true, "sleeper.table.compaction.files.batch.size",  \
      "Files that one compaction reads at most.")                                                  \
    X(TABLE_COMPACTION_RATIO, "glis.table.compaction.strategy.sizeratio.ratio", PROPERTY_OF_TABLE, \
      PROPERTY_INTEGER, "3", 1, 1000000, NULL, true,                                               \
      "sleeper.table.compaction.strategy.sizeratio.ratio",                                         \
      "size_ratio takes files whose others have so many times the rows of the largest.")           \
    X(TABLE_COMPACTION_CONCURRENT,                                                                 \
      "glis.table.compaction.strategy.sizeratio.max.concurrent.jobs.per.partition",                \
      PROPERTY_OF_TABLE, PROPERTY_INTEGER, "2147483647", 1, INT32_MAX, NULL, true,                 \
      "sleeper.table.compaction.strategy.sizeratio.max.concurrent.jobs.per.partition",             \
      "Compactions by size_ratio that run in one partition at most.")                              \
    X(TABLE_COMPACTION_LIMIT, "glis.table.compaction.job.creation.limit", PROPERTY_OF_TABLE,       \
      PROPERTY_INTEGER, "100000", 1, 100000000, NULL, true,                                        \
      "sleeper.table.compaction.job.creation.limit",                                               \
      "Compactions of the table that are planned and running at most.")                            \
    X(TABLE_GC_DELAY, "glis.table.gc.delay", PROPERTY_OF_TABLE, PROPERTY_DURATION, "15m", 0,       \
      INT64_C(1) << 42, NULL, true, "sleeper.table.gc.delay.minutes",                              \
      "How long files outlive their last reference; a query's state is at most half as old.")      \
    X(TABLE_JOB_MEMORY, "glis.table.job.memory", PROPERTY_OF_TABLE, PROPERTY_DURATION, "30d",      \
      60000, INT64_C(1) << 42, NULL, true, NULL, "How long given job ids are remembered.")         \
    X(TABLE_JOB_MEMORY_MAX, "glis.table.job.memory.max", PROPERTY_OF_TABLE, PROPERTY_INTEGER,      \
      "1000000", 1, 100000000, NULL, true, NULL, "Job ids that are remembered at most.")           \
    X(TABLE_WRITERS_MAX, "glis.table.writers.max", PROPERTY_OF_TABLE, PROPERTY_INTEGER, "10000",   \
      1, 10000000, NULL, true, NULL, "Writers whose sequence is remembered at most.")              \
    X(TABLE_DROP_DELAY, "glis.table.drop.delay", PROPERTY_OF_INSTANCE, PROPERTY_DURATION, "24h",   \
      0, INT64_C(1) << 42, NULL, true, NULL, "How long a dropped table can be had back.")

enum property_id {
#define PROPERTY_ENTRY(id, ...) PROPERTY_##id,
    GLIS_PROPERTIES(PROPERTY_ENTRY)
#undef PROPERTY_ENTRY
        PROPERTY_COUNT,
    PROPERTY_NONE = -1,
};

struct property_definition {
    const char *name;
    enum property_group group;
    enum property_type type;
    const char *default_text;
    int64_t min, max;
    const char *choices;
    bool editable; /* may be changed after creation */
    const char *reference_name;
    const char *text;
};

/* Name and value; what sets of properties are made of everywhere. Sorted by name where a state
 * gives them out. */
struct setting {
    struct slice name, value;
};

/* What the table of properties says about one. */
const struct property_definition *property_definition(enum property_id id);
/* By Glis's name only; PROPERTY_NONE when there is none. */
enum property_id property_find(struct slice name);
/* GLIS_EINVALID, with name and reason, unless `text` is a value of it. *number is what numbers mean
 * (bytes, milliseconds, 0/1, index of the choice; 0 for text) and may be NULL. */
int property_check(enum property_id id, struct slice text, int64_t *number) GLIS_CHECKED;
/* "glis.nosuch" -> GLIS_EINVALID with "did you mean". */
int property_unknown(struct slice name) GLIS_CHECKED;

/* What was read from properties files: values by Glis's names, checked; AWS-only names apart. */
struct property_file {
    struct setting *settings;
    size_t n_settings;
    struct slice *ignored; /* names that only concern AWS, for one message */
    size_t n_ignored;
};
/* Reads the text of instance.properties or table.properties: sleeper.* mapped, AWS-only names
 * ignored, unknown ones and bad values GLIS_EINVALID with `file` and line, an iterator's class
 * GLIS_EUNSUPPORTED. `group` says what may stand there (PROPERTY_OF_INSTANCE: process settings and
 * glis.default.table.* too). In the arena. */
int property_file_read(struct arena *arena, struct slice file, struct slice text,
                       enum property_group group, struct property_file *out) GLIS_CHECKED;
/* Appends the manual: every property, or those of one group ("instance", "process", "table";
 * GLIS_EINVALID for another word), as Markdown or JSON. */
int property_manual(struct slice group, bool json, struct buffer *out) GLIS_CHECKED;

/* Where a process's settings come from besides the instance: --set first, then the environment
 * (glis.ingest.memory is GLIS_INGEST_MEMORY). `environment` may be NULL. */
struct property_overrides {
    const struct setting *sets; /* --set name=value */
    size_t n_sets;
    const char *(*environment)(void *state, const char *name);
    void *environment_state;
};
/* One value: override, else the instance's (NULL: none opened), else the default. Text lives as
 * long as the overrides and the instance's handle. GLIS_EINVALID names the place of a bad value. */
int property_resolve(const struct property_overrides *overrides, const struct instance *instance,
                     enum property_id id, struct slice *text, int64_t *number) GLIS_CHECKED;
/* GLIS_EINVALID unless every --set names a process property and has a good value, and every
 * environment variable of a process property too. */
int property_overrides_check(const struct property_overrides *overrides) GLIS_CHECKED;
/* A logger to standard error, as glis.log.level and glis.log.format say (instance NULL: before one
 * is open, without what it has set). */
int property_logger(const struct property_overrides *overrides, const struct instance *instance,
                    struct clock *clock, struct logger *out) GLIS_CHECKED;

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

enum { INSTANCE_READ_ONLY = 1 /* never write, not even snapshots */ };
/* Opens an instance and reads its catalogue; the overrides (may be NULL) must live as long.
 * GLIS_ENOTFOUND when the root has none. */
int instance_open(struct runtime *runtime, struct store *store, unsigned flags,
                  const struct property_overrides *overrides, struct instance **out) GLIS_CHECKED;
void instance_close(struct instance *instance); /* after its tables; NULL is allowed */
struct store *instance_store(const struct instance *instance);
struct runtime *instance_runtime(const struct instance *instance);
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

/* ---- tables ---- */

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
/* GLIS_ENOTFOUND with "did you mean". Its state is read to the end of the log. */
int table_open(struct instance *instance, struct slice name, struct table **out) GLIS_CHECKED;
void table_close(struct table *table); /* NULL is allowed */
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

/* What the handle was opened with; the name as it was then. */
struct instance *table_instance(const struct table *table);
/* The name, as it was at the opening. */
struct slice table_name(const struct table *table);
/* The id: a ULID, for ever the same. */
struct slice table_id(const struct table *table);
/* The store's key of a data file: "tables/<id>/data/...", or store_foreign_key; in the arena. */
struct slice table_file_key(const struct table *table, struct slice file, struct arena *arena);
/* "tables/<id>/", with the slash. */
struct slice table_prefix(const struct table *table);

/* The present state, fresh: every commit that returned before is in it. The caller releases it.
 * With max_staleness_ms > 0 a state that was fresh so long ago will do. */
int table_state_get(struct table *table, int64_t max_staleness_ms, const struct table_state **out)
    GLIS_CHECKED;
/* The state as of a record. GLIS_EGONE when that is trimmed, GLIS_EINVALID beyond the end. */
int table_state_at(struct table *table, uint64_t record, const struct table_state **out)
    GLIS_CHECKED;

/* The newest record whose time is not above a time; 0: there is none, or it cannot be read any
 * more. Cost: some twenty reads. */
int table_record_at_time(struct table *table, int64_t time_ms, uint64_t *out) GLIS_CHECKED;
/* The record at which the writing of a file of ours began, from its name; false: not such a
 * name. */
bool table_file_begun(struct slice name, uint64_t *begun);

/* ---- states ---- */

/* One more hold on a state at hand; the same pointer. */
const struct table_state *table_state_acquire(const struct table_state *state);
void table_state_release(const struct table_state *state);    /* NULL is allowed */
uint64_t table_state_record(const struct table_state *state); /* the last record in it */
int64_t table_state_time_ms(const struct table_state *state); /* that record's */
/* Goes up at reset and restore: work begun before is refused. */
uint64_t table_state_generation(const struct table_state *state);
/* Goes up when what is done to rows changes: files made before are refused. */
uint64_t table_state_processing_version(const struct table_state *state);
uint64_t table_state_version(const struct table_state *state); /* of schema and properties */
/* Files begun below this record can no longer be added. */
uint64_t table_state_horizon(const struct table_state *state);
const struct schema *table_state_schema(const struct table_state *state); /* not acquired */
/* The schema with which files of that schema version were written; NULL when there never was one.
 * */
const struct schema *table_state_schema_at(const struct table_state *state, uint64_t version);
uint64_t table_state_schema_version(const struct table_state *state);
/* A table property: the table's own value, or the default. */
int64_t table_state_number(const struct table_state *state, enum property_id id);
struct slice table_state_text(const struct table_state *state, enum property_id id);
int table_state_settings(const struct table_state *state, struct arena *arena, struct setting **out,
                         size_t *n_out) GLIS_CHECKED;

struct table_figures {
    uint64_t partitions, leaves, files, references, unreferenced_files, jobs, writers;
    uint64_t rows;  /* over all references; estimated ones count as estimated */
    uint64_t bytes; /* of the files with references */
    bool rows_are_exact;
    uint64_t memory_bytes;
};
/* Counts and sums, O(number of 8 KiB chunks). */
struct table_figures table_state_figures(const struct table_state *state);
/* Everything that must hold within a state: tiling of the tree, counts, sums, order. GLIS_ECORRUPT
 * says what does not. */
int table_validate(const struct table_state *state) GLIS_CHECKED;

/* ---- processing ---- */

/* How the rows of equal keys become one, field by field. */
enum aggregation {
    AGGREGATION_NONE, /* key fields */
    AGGREGATION_SUM,
    AGGREGATION_MIN,
    AGGREGATION_MAX,
    AGGREGATION_MAP_SUM, /* maps, key by key */
    AGGREGATION_MAP_MIN,
    AGGREGATION_MAP_MAX,
};
const char *aggregation_name(enum aggregation aggregation); /* "map_sum"; "" for none */

/* Keeps a row while now - value < age_ms: while its value is above the cut-off now - age_ms.
 * Values of LongType are milliseconds since 1970. */
struct age_filter {
    uint32_t field;
    int64_t age_ms;  /* 0 or more */
    bool drop_nulls; /* of a nullable field: what happens to nulls */
};

/* What is done to the rows of a table, as its properties say. Fields are those of its schema. */
struct processing {
    struct age_filter *filters; /* ascending by field, one a field */
    uint32_t n_filters;
    const uint8_t *aggregations; /* enum aggregation of each field; NULL: rows stay as they are */
    int visibility_field;        /* -1: none */
    struct slice iterator, iterator_config; /* empty: none */
    bool inexact;                           /* glis.table.inexact */
    bool is_inexact;                        /* and something here needs it */
};

/* The properties as they are set; empty ones are none. */
struct processing_settings {
    struct slice filters, aggregations, visibility_field, iterator, iterator_config;
    bool inexact;
};

/* Reads the properties against a schema; pure. In the arena. GLIS_EINVALID names property and
 * field; GLIS_EREFUSED: it would not keep the law (docs/formats.md, "Processing"). */
int processing_parse(const struct schema *schema, const struct processing_settings *settings,
                     struct arena *arena, struct processing *out) GLIS_CHECKED;
/* Nothing is done to rows. */
bool processing_is_empty(const struct processing *processing);
/* Appends a line for each field that glis.table.inexact is needed for; for whoever sets it. */
int processing_warn(const struct schema *schema, const struct processing *processing,
                    struct buffer *out) GLIS_CHECKED;

struct processing_of {
    const struct schema *schema;
    const struct processing *processing;
};
/*
 * Whether a table may go from one to the other; pure. Pairs, for a schema may change in the same
 * step. has_references: some file is referenced. GLIS_EREFUSED says what stays while rows are
 * there: aggregations, nulls=drop, the types of sums. *version_goes_up: files made under the old
 * one must not be committed any more (anything but an age has changed).
 */
int processing_check_change(const struct processing_of *old, const struct processing_of *now,
                            bool has_references, bool *version_goes_up) GLIS_CHECKED;
/* now - age, as far as int64 goes. What a commit that filtered carries, for each ageOff field. */
int64_t age_cutoff_ms(int64_t age_ms, int64_t now_ms);
/* What a state's properties say; in the arena. */
int table_state_processing(const struct table_state *state, struct arena *arena,
                           struct processing *out) GLIS_CHECKED;
/* GLIS_EINVALID, with `what` before it, unless it is the name of one file, without any path. */
int iterator_name_check(const char *what, struct slice name) GLIS_CHECKED;

/* ---- partitions ---- */

/* Field keys from min (inclusive; empty: unbounded) to max (exclusive; see unbounded). */
struct key_range {
    struct slice min, max;
    bool unbounded; /* no max; `max` is empty then */
};
static inline bool key_range_contains(const struct key_range *range, struct slice field_key)
{
    return slice_compare(range->min, field_key) <= 0 &&
           (range->unbounded || slice_compare(field_key, range->max) < 0);
}
static inline bool key_range_overlaps(const struct key_range *a, const struct key_range *b)
{
    return (b->unbounded || slice_compare(a->min, b->max) < 0) &&
           (a->unbounded || slice_compare(b->min, a->max) < 0);
}

struct partition {
    struct slice id, parent; /* parent: empty for the root */
    bool is_leaf;
    uint32_t dimension; /* the row-key field that it is split on; not of a leaf */
    struct slice split; /* field key: left < split <= right */
    struct slice left, right;
    struct key_range *region; /* one a row-key field */
    uint32_t depth;           /* the root has 0 */
};
/* One by id; GLIS_ENOTFOUND. The region lies in the arena, the rest in the state. */
int table_partition(const struct table_state *state, struct slice id, struct arena *arena,
                    struct partition *out) GLIS_CHECKED;

/* A whole tree, laid out for many lookups: nodes in depth-first order, left before right, so
 * leaves come in key order and what is below a node is one run of leaves. In the arena. */
struct partition_node {
    struct slice id;
    uint32_t left, right, parent; /* UINT32_MAX: none */
    uint32_t dimension;
    struct slice split;
    struct key_range *region;
    uint32_t first_leaf, n_leaves; /* a leaf: itself, 1 */
};
struct partition_tree {
    uint32_t n_fields, n_nodes, n_leaves;
    struct partition_node *nodes; /* nodes[0] is the root */
    uint32_t *leaves;             /* node of each leaf, in key order */
    bool first_field_only;        /* every split is on field 0: leaves are runs of the row order */
};
int table_tree(const struct table_state *state, struct arena *arena,
               const struct partition_tree **out) GLIS_CHECKED;
/* The leaf (index into tree->leaves) of a row, from the field keys of its row keys. */
uint32_t partition_tree_leaf(const struct partition_tree *tree, const struct slice *field_keys);
/* The same from an encoded key of at least the row keys. GLIS_ECORRUPT when it is none. */
int partition_tree_leaf_of_key(const struct partition_tree *tree, const struct schema *schema,
                               struct slice key, uint32_t *leaf) GLIS_CHECKED;
/*
 * The deepest disjoint partitions, at most max_references (> 0) of them, that cover every leaf
 * with rows (rows_by_leaf[n_leaves]): nodes in key order with the rows below each, in the arena.
 * From the lowest node that covers all, the one with the most rows is opened again and again.
 * Without rows *n_out is 0.
 */
struct partition_cover {
    uint32_t node;
    uint64_t rows;
};
int partition_tree_cover(const struct partition_tree *tree, const uint64_t *rows_by_leaf,
                         uint32_t max_references, struct arena *arena, struct partition_cover **out,
                         size_t *n_out) GLIS_CHECKED;

/* ---- files and references ---- */

/* The least and the greatest field key of a file, long ones cut outward. */
struct file_bound {
    struct slice min, max;
    bool max_exclusive; /* max was cut: all field keys are below it */
};
enum { FILE_BOUND_BYTES = 64 }; /* longer field keys are cut to this */
/* Cuts exact ends outward, but never out of `range`, in which both lie (may be NULL). In the
 * arena. */
struct file_bound file_bound_cut(struct slice min, struct slice max, const struct key_range *range,
                                 struct arena *arena);
/* Whether a file may hold field keys in the range. */
bool file_bound_overlaps(const struct file_bound *bound, const struct key_range *range);

struct table_file {
    struct slice name; /* data/<begun>-<ulid>.parquet, or a full address (is_foreign) */
    uint64_t size, rows;
    uint8_t checksum[16];      /* XXH3-128 of the whole file, canonical (big-endian) */
    struct file_bound *bounds; /* one a row-key field */
    uint64_t schema_version;
    uint64_t added_record;
    uint64_t gone_record; /* at which the last reference went; 0: it has some */
    int64_t gone_ms;
    uint32_t n_references;
    bool is_foreign;
};
/* One reference: rows of a file that lie in a partition. */
struct table_reference {
    struct slice partition;
    const struct table_file *file; /* in the arena */
    uint64_t rows;
    bool is_exact;     /* rows were counted, not estimated */
    bool is_shared;    /* the file has rows outside this partition */
    bool is_set_aside; /* the file is damaged and was set aside: reading it is GLIS_ECORRUPT */
    struct slice job;  /* assigned to, perhaps no longer (until_ms); empty: to none */
    int64_t until_ms;
};
/* Whether a job has it at a time, which is a state's or a record's. */
static inline bool table_reference_is_assigned(const struct table_reference *reference,
                                               int64_t time_ms)
{
    return reference->job.size && reference->until_ms > time_ms;
}

int table_file(const struct table_state *state, struct slice name, struct arena *arena,
               struct table_file *out) GLIS_CHECKED; /* GLIS_ENOTFOUND */
/* References on one partition, by file name; in the arena. */
int table_references(const struct table_state *state, struct slice partition, struct arena *arena,
                     struct table_reference **out, size_t *n_out) GLIS_CHECKED;
/* Visits every file, or every reference by (partition, file), in order, until visit returns
 * something else than 0, which is returned. What is visited lives for the call. */
int table_each_file(const struct table_state *state,
                    int (*visit)(void *context, const struct table_file *file), void *context)
    GLIS_CHECKED;
int table_each_reference(const struct table_state *state,
                         int (*visit)(void *context, const struct table_reference *reference),
                         void *context) GLIS_CHECKED;

/* What planners look at: partitions with the figures of their references, without the records of
 * the files. Slices point into the state. */
struct reference_figures {
    struct slice file; /* its key in the state, which sorts as names do: table_figures_name */
    uint64_t rows;
    bool is_exact, is_shared, is_set_aside;
    struct slice job; /* empty: to none */
    int64_t until_ms;
};
struct partition_figures {
    struct slice id, parent; /* parent: empty for the root */
    bool is_gone;            /* no such partition: only id is set */
    bool tree_changed;       /* table_changed_partitions: it came, went, or is a leaf no more */
    bool is_leaf;
    struct slice left, right;
    const struct reference_figures *references; /* by file name */
    size_t n_references;
};
/* Visits every partition that has references, in the order of ids, without parent and children; or
 * those that differ between two states, with all that they are in the later one (parts that both
 * states share are not looked at).
 * What is visited lives for the call; stops with visit's code when it is not 0. */
int table_each_partition(const struct table_state *state,
                         int (*visit)(void *context, const struct partition_figures *partition),
                         void *context) GLIS_CHECKED;
int table_changed_partitions(const struct table_state *before, const struct table_state *after,
                             int (*visit)(void *context, const struct partition_figures *partition),
                             void *context) GLIS_CHECKED;
/* One of them; references lie in the arena, or are left out when it is NULL. is_gone when there is
 * no such partition. */
int table_partition_figures(const struct table_state *state, struct slice id, struct arena *arena,
                            struct partition_figures *out) GLIS_CHECKED;
/* The name of a reference's file, in the arena. */
struct slice table_figures_name(const struct reference_figures *reference, struct arena *arena);

/* A leaf that a region meets, with every reference that may hold rows of it: its own and its
 * ancestors' whose file's bounds meet both the leaf and the region; by (depth descending, file
 * name). */
struct table_leaf {
    struct partition partition;
    struct table_reference *references;
    size_t n_references;
};
/* Visits the leaves that a region (one range a row-key field; NULL: everything) meets, in key
 * order, walked from the root; stops with visit's code when it is not 0. With an arena (may be
 * NULL) all of it lies there; without, a leaf and what it points to live for the call of visit. */
int table_each_leaf(const struct table_state *state, const struct key_range *region,
                    struct arena *arena, int (*visit)(void *context, const struct table_leaf *leaf),
                    void *context) GLIS_CHECKED;
/* The same as an array. */
int table_leaves(const struct table_state *state, const struct key_range *region,
                 struct arena *arena, struct table_leaf **out, size_t *n_out) GLIS_CHECKED;

/* ---- changing a table ---- */

/* A new name for a file whose writing begins at the state: data/<12 hex>-<ulid>.parquet, in the
 * arena. */
struct slice table_file_name_new(const struct table_state *state, const struct runtime *runtime,
                                 struct arena *arena);

struct new_reference {
    struct slice partition;
    uint64_t rows; /* counted */
};
/* Of one ageOff field of a file: what decides whether all of it has passed an age. */
struct file_age {
    struct slice field;
    bool has_max; /* false: all values are null */
    int64_t max;  /* milliseconds since 1970, rounded up */
    uint64_t n_nulls;
};
/* What a job that filtered by an ageOff field kept: values above the cut-off, in milliseconds since
 * 1970. */
struct age_cutoff {
    struct slice field;
    int64_t cutoff;
};
struct new_file {
    struct slice name; /* from table_file_name_new */
    uint64_t size, rows;
    uint8_t checksum[16];
    const struct file_bound *bounds; /* one a row-key field */
    const struct new_reference *references;
    size_t n_references;
    const struct file_age *ages; /* of the table's ageOff fields */
    size_t n_ages;
};
/*
 * An ingest's one commit. A job is known by `job` or by `writer` and `sequence`. A repeat of what
 * was committed is success with already_done; the same job id with another fingerprint is
 * GLIS_EEXISTS; a sequence further ahead is GLIS_ESEQUENCE. GLIS_EREFUSED: the table was reset,
 * restored or its processing changed since `state`, or a file was begun below the horizon.
 */
struct ingest_commit {
    const struct table_state *state; /* that the work began with */
    const struct new_file *files;
    size_t n_files;
    struct slice job;                 /* 1 to 200 of [A-Za-z0-9._:-] */
    bool job_is_given;                /* by the user: remembered for glis.table.job.memory */
    uint64_t fingerprint[2];          /* of the job's input */
    struct slice writer;              /* instead of job: 1 to 200 of the same characters */
    uint64_t sequence;                /* from 1 */
    const struct age_cutoff *cutoffs; /* what it filtered by age */
    size_t n_cutoffs;
    int64_t now_ms;     /* from which it counted the ages; refused when it is yet to come */
    uint64_t rows_read; /* for reports */
};
struct commit_result {
    uint64_t record; /* the commit's, or the one that had done it (0: not known) */
    bool already_done;
};
int table_commit_ingest(struct table *table, const struct ingest_commit *commit,
                        struct commit_result *out) GLIS_CHECKED;
/* Before the work: whether the job was done, by the table's present state; errors as above. Before
 * anybody is told so, table_settle. */
int table_check_job(const struct table_state *state, struct slice job,
                    const uint64_t fingerprint[2], struct commit_result *out) GLIS_CHECKED;
int table_check_sequence(const struct table_state *state, struct slice writer, uint64_t sequence,
                         struct commit_result *out) GLIS_CHECKED;
/* Makes sure that what this state says outlasts a failure of power; as log_settle. */
int table_settle(struct table *table, const struct table_state *state) GLIS_CHECKED;
int table_forget_writer(struct table *table, struct slice writer) GLIS_CHECKED;

/* Sets properties (empty value: back to the default), and with `schema` not NULL takes a later
 * form of the schema: nullable value fields added at the end, IntType values widened to LongType.
 * */
int table_alter(struct table *table, const struct setting *settings, size_t n_settings,
                const struct schema *schema, struct commit_result *out) GLIS_CHECKED;
/* All rows go; with split points (NULL: keeps the tree) a new tree comes. */
int table_reset(struct table *table, const struct slice *split_points, size_t n_split_points,
                bool keep_tree, struct commit_result *out) GLIS_CHECKED;

/* ---- jobs on references ---- */

/* The jobs that have references, with when their assignments run out; by id, in the arena. */
struct table_assignment {
    struct slice job, partition;
    uint64_t record, n_references;
    int64_t until_ms;
};
int table_assignments(const struct table_state *state, struct arena *arena,
                      struct table_assignment **out, size_t *n_out) GLIS_CHECKED;

/*
 * Gives references of one partition to a job until a time (of the records' clock), taking over what
 * ran out; for the same job again it extends. GLIS_EREFUSED: one is gone, set aside, or another
 * job's. `state` is what was planned with.
 */
struct job_assignment {
    struct slice job, partition;
    const struct slice *files;
    size_t n_files;
    int64_t until_ms;
};
int table_assign_job(struct table *table, const struct job_assignment *assignment,
                     struct commit_result *out) GLIS_CHECKED;
/* GLIS_EREFUSED when nothing is assigned to it. */
int table_release_job(struct table *table, struct slice job, struct commit_result *out)
    GLIS_CHECKED;

/* The end of a compaction: the job's references go, at most one file comes, with one reference on
 * the same partition (rows: what it has). GLIS_EREFUSED: the job lost a reference, the table was
 * reset or its processing changed, or the file was begun below the horizon. */
struct compaction_commit {
    const struct table_state *state; /* that the work began with */
    struct slice job, partition;
    const struct slice *inputs; /* names of files */
    size_t n_inputs;
    const struct new_file *file; /* NULL: no row was left */
    const struct age_cutoff *cutoffs;
    size_t n_cutoffs;
    int64_t now_ms;                   /* as of an ingest */
    uint64_t rows_read, rows_written; /* for reports */
    int64_t duration_ms;
};
int table_commit_compaction(struct table *table, const struct compaction_commit *commit,
                            struct commit_result *out) GLIS_CHECKED;

/* References of inner partitions go down to disjoint descendants that cover every leaf which the
 * file's bounds meet. Rows are estimates, except of a single target, which takes over what is
 * known. GLIS_EREFUSED: gone, assigned, or not covered. */
struct reference_move {
    struct slice partition, file;
    const struct new_reference *to;
    size_t n_to;
};
int table_push_down(struct table *table, const struct reference_move *moves, size_t n_moves,
                    struct commit_result *out) GLIS_CHECKED;

/* ---- changes of the tree ---- */

/* A leaf becomes a parent: left below `split`, right from there on. Ids are made from the state's
 * record. GLIS_EREFUSED: it is no leaf any more, or the state is below the horizon. */
int table_split_partition(struct table *table, const struct table_state *state,
                          struct slice partition, uint32_t dimension, struct slice split,
                          struct commit_result *out) GLIS_CHECKED;
/* Several leaves become subtrees, whose splits count as asked for. Of each: nodes in depth-first
 * order, the leaf itself first; `left` and `right` are indexes of nodes of the same array, 0: this
 * node stays (or becomes) a leaf. */
struct growing_node {
    uint32_t dimension;
    struct slice split;
    uint32_t left, right;
};
struct growing_leaf {
    struct slice partition;
    const struct growing_node *nodes;
    size_t n_nodes;
};
int table_extend_tree(struct table *table, const struct table_state *state,
                      const struct growing_leaf *leaves, size_t n_leaves, struct commit_result *out)
    GLIS_CHECKED;
/* Two sibling leaves without references for a day become one: their parent, whose split nobody
 * asked for. */
int table_merge_partitions(struct table *table, struct slice parent, struct commit_result *out)
    GLIS_CHECKED;
/* Inner partitions whose two children are leaves that have been empty so long by the state's time
 * and may be merged; ids in the arena. */
int table_mergeable(const struct table_state *state, struct arena *arena, struct slice **out,
                    size_t *n_out) GLIS_CHECKED;

/* ---- pins, collection, going back ---- */

/* Pins keep the state as of a record readable. */
struct table_pin {
    struct slice id; /* as job ids */
    uint64_t record;
    int64_t until_ms; /* 0: for ever */
    bool keeps_work;  /* for jobs of several steps: what they write is not taken for orphans */
};
/* By id, in the arena; those that ran out too. */
int table_pins(const struct table_state *state, struct arena *arena, struct table_pin **out,
               size_t *n_out) GLIS_CHECKED;
/* The same id again extends. GLIS_EREFUSED: files of that record have been collected. */
int table_pin(struct table *table, const struct table_pin *pin, struct commit_result *out)
    GLIS_CHECKED;
int table_unpin(struct table *table, struct slice id, struct commit_result *out) GLIS_CHECKED;

/* First and second step of collection: files as of a state, without references since their gone
 * record, kept by no pin. Between the two their objects are deleted. GLIS_EREFUSED names the file
 * that does not allow it. */
int table_mark_files(struct table *table, const struct table_file *files, size_t n_files,
                     struct commit_result *out) GLIS_CHECKED;
int table_forget_files(struct table *table, const struct slice *names, size_t n_names,
                       struct commit_result *out) GLIS_CHECKED;
/* Whether the file was marked: its object may be gone. */
bool table_file_is_marked(const struct table_state *state, struct slice name);
/* Whether a pin that lives at time_ms keeps it. */
bool table_file_is_pinned(const struct table_state *state, const struct table_file *file,
                          int64_t time_ms);
/* What was begun before the record can no longer be added. GLIS_EREFUSED: not above the present
 * one, above the log's end, a living assignment or a pin that keeps work. */
int table_raise_horizon(struct table *table, uint64_t record, struct commit_result *out)
    GLIS_CHECKED;
/* The highest record that raise_horizon would take at the state's time. */
uint64_t table_horizon_limit(const struct table_state *state);

/* References, tree, jobs done and writers become those of an earlier record; generation + 1.
 * GLIS_EREFUSED: a file of then is unknown or marked, rows were deleted since for law's sake, or
 * the processing is another; GLIS_EGONE: the record is trimmed. */
int table_restore(struct table *table, uint64_t record, struct commit_result *out) GLIS_CHECKED;

/* A damaged file: all of its references are set aside, or taken back. */
int table_set_aside(struct table *table, struct slice file, struct commit_result *out) GLIS_CHECKED;
int table_take_back(struct table *table, struct slice file, struct commit_result *out) GLIS_CHECKED;

/* One step of deleting rows: references go, files without the rows come. */
struct named_reference {
    struct slice partition, file;
};
struct delete_commit {
    const struct table_state *state; /* that the work began with */
    const struct named_reference *references;
    size_t n_references;
    const struct new_file *files;
    size_t n_files;
};
int table_commit_delete(struct table *table, const struct delete_commit *commit,
                        struct commit_result *out) GLIS_CHECKED;
/* References of files that lie wholly past an age go. */
int table_expire(struct table *table, const struct table_state *state,
                 const struct named_reference *references, size_t n_references,
                 const struct age_cutoff *cutoffs, size_t n_cutoffs, int64_t now_ms,
                 struct commit_result *out) GLIS_CHECKED;
/* What has been filtered away by age at most, in milliseconds since 1970: readers keep what is
 * above it. INT64_MIN: nothing. */
int64_t table_state_cutoff(const struct table_state *state, struct slice field);
/* What is known of a file's ageOff fields; in the arena. */
int table_file_ages(const struct table_state *state, struct slice name, struct arena *arena,
                    struct file_age **out, size_t *n_out) GLIS_CHECKED;

/* ---- looking after logs ---- */

/* Writes a snapshot of the table's newest state. */
int table_snapshot_write(struct table *table) GLIS_CHECKED;
/* The same when the records since the last one outweigh a tenth of the state. */
int table_snapshot_if_due(struct table *table) GLIS_CHECKED;
/* Sets the log's time to this machine's: `record` must be the log's end. All delays begin again. */
int table_set_time(struct table *table, uint64_t record, struct commit_result *out) GLIS_CHECKED;
/* What log_check needs: the machines of tables and of the catalogue, whose log lies below
 * "catalogue/". */
struct log_machine;
const struct log_machine *table_log_machine(void);
const struct log_machine *catalogue_log_machine(void);
/* Everything that must hold within the catalogue, fresh; GLIS_ECORRUPT says what does not. */
int instance_validate(struct instance *instance) GLIS_CHECKED;

#endif
