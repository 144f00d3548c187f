/*
 * property.h: the one table of properties, of instance, process and table, and what is asked of it:
 * types and ranges, reading properties files (also the reference's), the manual, and what a process
 * goes by when --set, environment and instance disagree.
 *
 * A property is added by one entry of GLIS_PROPERTIES; parsing, defaults, ranges, `glis properties`
 * and the mapping of the reference's names follow from it. Values travel as text, as they were
 * set; numbers are made where they are used. Whatever comes out of an instance or a file was
 * checked before, so a property of a good id always has a good value.
 *
 * Ownership: texts point into what they were read from, or lie in the arena that was given.
 */
#ifndef GLIS_TABLE_PROPERTY_H
#define GLIS_TABLE_PROPERTY_H

#include "base/buffer.h"
#include "base/logger.h"
#include "base/memory.h"
#include "base/properties.h"
#include "base/runtime.h"

struct instance;

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
    PROPERTY_PRICE,    /* 0.005 dollars; the value is in millionths */
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
    X(CACHE_MEMORY, "glis.cache.memory", PROPERTY_OF_PROCESS, PROPERTY_BYTES, "64M", 0,            \
      INT64_C(1) << 50, NULL, true, NULL,                                                          \
      "Memory for pieces of data files of a remote store that were read; 0: none.")                \
    X(CACHE_DISK, "glis.cache.disk", PROPERTY_OF_PROCESS, PROPERTY_BYTES, "1G", 0,                 \
      INT64_C(1) << 60, NULL, true, NULL,                                                          \
      "The same on this machine's disk, shared by its processes; 0: none.")                        \
    X(CACHE_DIR, "glis.cache.dir", PROPERTY_OF_PROCESS, PROPERTY_TEXT, "", 0, 4000, NULL, true,    \
      NULL, "Folder for them; empty: glis in XDG_CACHE_HOME, or in .cache at home.")               \
    X(CACHE_LOCAL, "glis.cache.local", PROPERTY_OF_PROCESS, PROPERTY_BOOLEAN, "false", 0, 0, NULL, \
      true, NULL, "Whether instances in a folder are cached, too: for slow network folders.")      \
    X(PRICE_WRITE, "glis.price.put", PROPERTY_OF_INSTANCE, PROPERTY_PRICE, "0.005", 0,             \
      INT64_C(1000000000000), NULL, true, NULL,                                                    \
      "Dollars for 1,000 PUT and POST requests: Amazon's list price of S3 Standard.")              \
    X(PRICE_READ, "glis.price.get", PROPERTY_OF_INSTANCE, PROPERTY_PRICE, "0.0004", 0,             \
      INT64_C(1000000000000), NULL, true, NULL, "Dollars for 1,000 GET and HEAD requests.")        \
    X(PRICE_LIST, "glis.price.list", PROPERTY_OF_INSTANCE, PROPERTY_PRICE, "0.005", 0,             \
      INT64_C(1000000000000), NULL, true, NULL, "Dollars for 1,000 list requests.")                \
    X(PRICE_DELETE, "glis.price.delete", PROPERTY_OF_INSTANCE, PROPERTY_PRICE, "0", 0,             \
      INT64_C(1000000000000), NULL, true, NULL, "Dollars for 1,000 delete requests.")              \
    X(PRICE_STORAGE, "glis.price.storage", PROPERTY_OF_INSTANCE, PROPERTY_PRICE, "0.023", 0,       \
      INT64_C(1000000000000), NULL, true, NULL, "Dollars for a gigabyte (10^9) stored a month.")   \
    X(PRICE_TRANSFER, "glis.price.transfer", PROPERTY_OF_INSTANCE, PROPERTY_PRICE, "0", 0,         \
      INT64_C(1000000000000), NULL, true, NULL,                                                    \
      "Dollars for a gigabyte (10^9) read; 0 within the region.")                                  \
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
    X(TABLE_LOG_KEEP, "glis.table.log.keep", PROPERTY_OF_TABLE, PROPERTY_DURATION, "7d", 0,        \
      INT64_C(1) << 42, NULL, true, NULL,                                                          \
      "How long records and states stay readable; pins keep theirs as long as they live.")         \
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
    unsigned log_block_slots; /* only for simulated worlds: as of log_options */
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

#endif
