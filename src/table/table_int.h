/*
 * table_int.h: what the table module's own files share: the machine's state, its records, and the
 * helpers of transactions.
 *
 * `struct state` is what the log's machine makes: numbers and maps. `struct table_state` of table.h
 * is a reader's hold on one, together with the log's word about record and time.
 *
 * Records are packed: varints and length-prefixed bytes; docs/formats.md ("Snapshots") lists each.
 * They are written by this program or read from a snapshot, whose every record is unpacked and
 * checked once when it is loaded; so unpacking asserts afterwards.
 */
#ifndef GLIS_TABLE_TABLE_INT_H
#define GLIS_TABLE_TABLE_INT_H

#include "base/json.h"
#include "base/map.h"
#include "base/ulid.h"
#include "log/log.h"
#include "table/table.h"

/* Numbers are those of the snapshot's column "section"; never reused. */
enum section {
    SECTION_NUMBERS,    /* name -> varint; virtual: made of state->numbers */
    SECTION_PROPERTIES, /* name -> text */
    SECTION_SCHEMAS,    /* version, 4 bytes big-endian -> schema JSON */
    SECTION_PARTITIONS, /* id -> partition record */
    SECTION_FILES,      /* file key -> file record */
    SECTION_REFERENCES, /* partition id, 00, file key -> reference record */
    SECTION_JOBS,       /* id -> job record */
    SECTION_JOB_TIMES,  /* time, 8 bytes big-endian, id -> nothing; given ids only */
    SECTION_WRITERS,    /* id -> sequence, record */
    SECTION_COUNT
};

/* The state's numbers: X(id, name in snapshots). */
#define STATE_NUMBERS(X)                                                           \
    X(CREATED, "created")       /* 1 once there was a create_table */              \
    X(DEFINITION, "definition") /* hash of what create_table said */               \
    X(VERSION, "version")       /* of schema and properties */                     \
    X(SCHEMA_VERSION, "schema.version")                                            \
    X(PROCESSING, "processing.version")                                            \
    X(GENERATION, "generation")                                                    \
    X(HORIZON, "horizon")                                                          \
    X(LEAVES, "leaves")                                                            \
    X(UNREFERENCED, "files.unreferenced")                                          \
    X(ROWS, "rows")                      /* sum over references */                 \
    X(ESTIMATED, "references.estimated") /* references whose rows are estimated */ \
    X(BYTES, "bytes")                    /* of files with references */            \
    X(GIVEN_JOBS, "jobs.given")

enum state_number {
#define STATE_NUMBER_ENTRY(id, name) NUMBER_##id,
    STATE_NUMBERS(STATE_NUMBER_ENTRY)
#undef STATE_NUMBER_ENTRY
        NUMBER_COUNT
};

/* All schemas that the table had, version 1 first; shared by states. */
struct schema_history {
    _Atomic uint32_t references;
    uint32_t n;
    struct schema *items[];
};

struct state {
    uint64_t numbers[NUMBER_COUNT];
    struct map maps[SECTION_COUNT];
    struct schema_history *schemas; /* NULL before create_table */
};

struct table_state {
    _Atomic uint32_t references;
    const struct log_state *log; /* NULL: the state is owned (tests) */
    const struct state *state;
    uint64_t record;
    int64_t time_ms;
};

struct state *state_new(void);
struct state *state_clone(const struct state *state);
void state_free(struct state *state);
const struct schema *state_schema(const struct state *state); /* the present one; NULL when none */
/* Adds a version to the history and the map. */
int state_add_schema(struct state *state, const struct schema *schema) GLIS_CHECKED;
int64_t state_number(const struct state *state, enum property_id id);
uint64_t state_bytes(const struct state *state);
/* A reader's hold on a state of a log. Takes the log state's reference. */
const struct table_state *table_state_wrap(const struct log_state *log);
/* Moves a private state into a hold of its own: for tests and tools without a log. */
const struct table_state *table_state_own(struct state *state, uint64_t record, int64_t time_ms);

/* ---- packing ---- */

struct packer {
    uint8_t *data;
    size_t size, capacity;
};
void packer_free(struct packer *packer);
#define defer_packer __attribute__((cleanup(packer_free)))
void pack_bytes(struct packer *packer, struct slice bytes);
void pack_number(struct packer *packer, uint64_t number);
void pack_text(struct packer *packer, struct slice text); /* length and bytes */
static inline struct slice packed(const struct packer *packer)
{
    return slice_make(packer->data, packer->size);
}

struct unpacker {
    const uint8_t *at, *end;
    bool bad; /* sticks: something was not there */
};
static inline struct unpacker unpack_begin(struct slice s)
{
    return (struct unpacker){(const uint8_t *)s.data, (const uint8_t *)s.data + s.size, false};
}
uint64_t unpack_number(struct unpacker *in);
struct slice unpack_text(struct unpacker *in);
struct slice unpack_bytes(struct unpacker *in, size_t size);

/* ---- records ---- */

enum { PARTITION_ID_MAX = 26, FILE_NAME_MAX = 1024, JOB_ID_MAX = 200, TREE_DEPTH_MAX = 10000 };

/* A partition's record; the region is unpacked apart because only some need it. */
struct partition_record {
    bool is_leaf;
    uint32_t depth, dimension;
    uint64_t n_references;
    struct slice parent, left, right, split;
    struct slice region; /* packed */
};
bool partition_unpack(struct slice value, struct partition_record *out);
void partition_pack(struct packer *packer, const struct partition_record *partition);
bool partition_get(const struct state *state, struct slice id, struct partition_record *out);
void partition_set(struct state *state, struct slice id, const struct partition_record *partition);
/* n ranges in the arena; false when the bytes are not n ranges. */
bool region_unpack(struct slice packed_region, uint32_t n_fields, struct arena *arena,
                   struct key_range **out);
void region_pack(struct packer *packer, const struct key_range *region, uint32_t n_fields);

/* The map key of a file's name, appended; false when the name has neither form. */
bool file_key_pack(struct packer *packer, struct slice name);
/* Back; the name is made in the arena (foreign ones point into the key). */
bool file_key_name(struct slice key, struct arena *arena, struct slice *out);
/* The record at which the writing of a file of ours began; false for foreign ones. */
bool file_name_begun(struct slice name, uint64_t *begun);

struct file_record {
    uint64_t size, rows, schema_version, added_record, gone_record;
    int64_t gone_ms;
    uint32_t n_references;
    struct slice checksum; /* 16 bytes */
    struct slice bounds;   /* packed */
};
bool file_unpack(struct slice value, struct file_record *out);
void file_pack(struct packer *packer, const struct file_record *file);
bool bounds_unpack(struct slice packed_bounds, uint32_t n_fields, struct arena *arena,
                   struct file_bound **out);
void bounds_pack(struct packer *packer, const struct file_bound *bounds, uint32_t n_fields);

struct reference_record {
    uint64_t rows;
    bool is_exact, is_shared;
    struct slice job;
    int64_t until_ms;
};
bool reference_unpack(struct slice value, struct reference_record *out);
void reference_pack(struct packer *packer, const struct reference_record *reference);
/* Takes "partition 00 file key" apart. */
bool reference_key_unpack(struct slice key, struct slice *partition, struct slice *file_key);

struct job_record {
    struct slice fingerprint; /* 16 bytes, big-endian */
    uint64_t record;
    int64_t time_ms;
    bool is_given;
};
bool job_unpack(struct slice value, struct job_record *out);
void job_pack(struct packer *packer, const struct job_record *job);
struct writer_record {
    uint64_t sequence, record;
};
bool writer_unpack(struct slice value, struct writer_record *out);
void writer_pack(struct packer *packer, const struct writer_record *writer);
/* Whether a remembered job's time has not run out at time_ms. */
bool job_is_remembered(const struct state *state, const struct job_record *job, int64_t time_ms);

/* Big-endian numbers in keys. */
void big_endian_put(uint8_t *out, uint64_t value, unsigned n_bytes);
uint64_t big_endian_get(const uint8_t *in, unsigned n_bytes);

/* ---- trees ---- */

/* The balanced tree of split points (field keys of field 0, strictly ascending), as the value of
 * "partitions" in create_table and reset: nodes depth first. Ids are "root" and
 * "<generation>.<n>". */
int tree_write_split_points(struct json_writer *json, uint64_t generation,
                            const struct slice *points, size_t n_points) GLIS_CHECKED;
/* Such a value as a map of partition records; everything is checked. GLIS_EINVALID. */
int tree_read(const struct json *partitions, const struct schema *schema, struct map *out,
              uint64_t *n_leaves) GLIS_CHECKED;
/* Whether `key` is the encoding of one value of row-key field `field`. */
bool field_key_is_valid(const struct schema *schema, uint32_t field, struct slice key);

/* ---- transactions ---- */

/* One type: checks everything, then changes the state. Returns 0, LOG_ALREADY_DONE or an error as
 * log_machine.apply. */
struct transaction_type {
    const char *name;
    int (*apply)(struct state *state, const struct log_record_info *info,
                 const struct json *transaction, struct arena *arena);
    bool begins; /* applies to a log without create_table */
};
int apply_create_table(struct state *state, const struct log_record_info *info,
                       const struct json *transaction, struct arena *arena) GLIS_CHECKED;
int apply_alter(struct state *state, const struct log_record_info *info,
                const struct json *transaction, struct arena *arena) GLIS_CHECKED;
int apply_change_files(struct state *state, const struct log_record_info *info,
                       const struct json *transaction, struct arena *arena) GLIS_CHECKED;
int apply_reset(struct state *state, const struct log_record_info *info,
                const struct json *transaction, struct arena *arena) GLIS_CHECKED;
int apply_forget_writer(struct state *state, const struct log_record_info *info,
                        const struct json *transaction, struct arena *arena) GLIS_CHECKED;
/* The machine's apply: finds the type. Malformed transactions give GLIS_EINVALID. */
int table_apply(struct state *state, const struct log_record_info *info,
                const struct json *transaction) GLIS_CHECKED;
/* After the log's time was set, perhaps back: all delays begin again. */
void state_time_set(struct state *state, int64_t time_ms);
/* What a malformed transaction's error becomes: GLIS_EINVALID with the same words; others stay. */
int malformed(int code);
/* A string field of base64, decoded in the arena. */
int json_get_base64(const struct json *object, const char *name, struct arena *arena,
                    struct slice *out) GLIS_CHECKED;
int json_get_u64(const struct json *object, const char *name, uint64_t *out) GLIS_CHECKED;
void json_write_base64(struct json_writer *json, const char *name, struct slice bytes);

/* Texts of transactions: each writes one JSON object on one line. */
int write_create_table(struct buffer *out, const struct table_definition *definition,
                       uint64_t *definition_hash) GLIS_CHECKED;
int write_alter(struct buffer *out, uint64_t version, const struct setting *settings,
                size_t n_settings, const struct schema *schema) GLIS_CHECKED;
int write_ingest(struct buffer *out, const struct ingest_commit *commit) GLIS_CHECKED;
int write_reset(struct buffer *out, uint64_t generation, const struct slice *split_points,
                size_t n_split_points, bool keep_tree) GLIS_CHECKED;
/* 1 to 200 of [A-Za-z0-9._:-]: names of jobs and writers. GLIS_EINVALID. */
int job_id_check(const char *what, struct slice id) GLIS_CHECKED;

/* state_validate: table_validate's work. */
int state_validate(const struct state *state) GLIS_CHECKED;

extern const struct log_machine table_machine;
extern const struct log_machine catalogue_machine;

/* ---- snapshots ---- */

/*
 * A snapshot in Parquet: columns section (int32), key, value (bytes), ordered by them, and two
 * metadata entries, "glis.log" (the log's part) and "glis.snapshot" (kind and format level). One
 * file knows Parquet; the machines hand it rows.
 */
struct snapshot_writer;
int snapshot_writer_open(const char *kind, struct slice log_part, struct buffer *out,
                         struct snapshot_writer **writer) GLIS_CHECKED;
int snapshot_writer_add(struct snapshot_writer *writer, uint32_t section, struct slice key,
                        struct slice value) GLIS_CHECKED;
/* All records of a map. */
int snapshot_writer_add_map(struct snapshot_writer *writer, uint32_t section, const struct map *map)
    GLIS_CHECKED;
int snapshot_writer_finish(struct snapshot_writer *writer) GLIS_CHECKED;
void snapshot_writer_free(struct snapshot_writer *writer); /* after finish or failure; NULL too */
/* Visits all rows in order. */
int snapshot_each(const char *kind, struct block *block, struct slice bytes, struct arena *arena,
                  struct slice *log_part,
                  int (*visit)(void *context, uint32_t section, struct slice key,
                               struct slice value),
                  void *context) GLIS_CHECKED;

/* ---- the catalogue ---- */

enum catalogue_section {
    CATALOGUE_NUMBERS,  /* name -> varint */
    CATALOGUE_SETTINGS, /* name -> text */
    CATALOGUE_TABLES,   /* id -> table record */
    CATALOGUE_NAMES,    /* name -> id; creating and live ones */
    CATALOGUE_SECTION_COUNT
};
struct catalogue {
    uint64_t version; /* of the settings; 0: no instance */
    struct map maps[CATALOGUE_SECTION_COUNT];
};
struct catalogue_table {
    struct slice name;
    enum table_life life;
    bool online, is_complete; /* is_complete: it was live once */
    uint64_t version;         /* grows with every change of this table */
    int64_t since_ms;
};
bool catalogue_get(const struct catalogue *catalogue, struct slice id, struct catalogue_table *out);
int catalogue_apply(struct catalogue *catalogue, const struct log_record_info *info,
                    const struct json *transaction) GLIS_CHECKED;
struct catalogue *catalogue_new(void);
struct catalogue *catalogue_clone(const struct catalogue *catalogue);
void catalogue_free(struct catalogue *catalogue);
/* After the log's time was set: what is dropped was dropped now. */
void catalogue_time_set(struct catalogue *catalogue, int64_t time_ms);
int catalogue_validate(const struct catalogue *catalogue) GLIS_CHECKED;

/* Whether a property may stand in the catalogue's settings: instance's, process's, and
 * glis.default.table.* with a good value. */
int instance_setting_check(struct slice name, struct slice value) GLIS_CHECKED;
/* Whether it may stand in a table's state: a table property that is editable. */
int table_setting_check(struct slice name, struct slice value, bool creating) GLIS_CHECKED;
/* Names of the reference that are known and ignored, sorted. */
extern const char *const property_ignored_names[];
extern const size_t property_n_ignored_names;
/* What the instance's catalogue says about a property, as of the opening or the last own change. */
bool instance_base_text(const struct instance *instance, enum property_id id, struct slice *out);
#define PROPERTY_TABLE_DEFAULT_PREFIX "glis.default."

#endif
