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
#include "base/mutant.h"
#include "base/ulid.h"
#include "log/log.h"
#include "table/table.h"

/* Numbers are those of the snapshot's column "section"; never reused. */
enum section {
    SECTION_NUMBERS,     /* name -> varint; virtual: made of state->numbers */
    SECTION_PROPERTIES,  /* name -> text */
    SECTION_SCHEMAS,     /* version, 4 bytes big-endian -> schema JSON */
    SECTION_PARTITIONS,  /* id -> partition record */
    SECTION_FILES,       /* file key -> file record */
    SECTION_REFERENCES,  /* partition id, 00, file key -> reference record */
    SECTION_JOBS,        /* id -> job record */
    SECTION_JOB_TIMES,   /* time, 8 bytes big-endian, id -> nothing; given ids only */
    SECTION_WRITERS,     /* id -> sequence, record */
    SECTION_ASSIGNMENTS, /* job id -> assignment record */
    SECTION_MARKED,      /* file key -> nothing: its object is being deleted */
    SECTION_AGES,        /* file key -> greatest value and nulls of each ageOff field */
    SECTION_CUTOFFS,     /* ageOff field -> what a commit has filtered away at most */
    SECTION_PINS,        /* id -> pin record */
    SECTION_MERGED,      /* id of a merged leaf -> parent, record */
    SECTION_ROLES,       /* name -> epoch, record, token of who holds it */
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
    X(GIVEN_JOBS, "jobs.given")                                                    \
    X(COLLECTED, "collection.line") /* greatest gone-record of any file marked */  \
    X(DELETED, "delete.line")       /* no record below this can be restored */     \
    X(DROPPED, "dropped")           /* 1: the log has ended */                     \
    X(TRIMMED, "trim.line")         /* states below this record may be gone */

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
    /* Of a published state that is read again and again: its leaves as readers see them. */
    _Atomic(struct leaf_view *) leaves;
    _Atomic uint32_t n_walks; /* over them, before there was a view */
};
struct leaf_view;
void leaf_view_free(struct leaf_view *view); /* NULL is allowed */

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
uint64_t unpack_long_number(struct unpacker *in);
static inline uint64_t unpack_number(struct unpacker *in)
{
    /* Most are of one byte. */
    if (in->at != in->end && *in->at < 0x80) return *in->at++;
    return unpack_long_number(in);
}
struct slice unpack_text(struct unpacker *in);
struct slice unpack_bytes(struct unpacker *in, size_t size);

/* ---- records ---- */

enum { PARTITION_ID_MAX = 26, FILE_NAME_MAX = 1024, JOB_ID_MAX = 200, TREE_DEPTH_MAX = 10000 };

/* A partition's record; the region is unpacked apart because only some need it. */
struct partition_record {
    bool is_leaf;
    bool is_own_split; /* of an inner one: by a split, so that its children may be merged again */
    uint32_t depth, dimension;
    uint64_t n_references;
    int64_t empty_since_ms; /* when its last reference went or a split made it; 0: not known */
    struct slice parent, left, right, split;
    struct slice region; /* packed */
};
bool partition_unpack(struct slice value, struct partition_record *out);
bool partition_is_leaf(struct slice value); /* of a record, without unpacking it */
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
    bool is_set_aside; /* the file is damaged: readers are told, nothing else looks at it */
    struct slice job;  /* assigned to, as long as that job's assignment has not run out */
};
bool reference_unpack(struct slice value, struct reference_record *out);
void reference_pack(struct packer *packer, const struct reference_record *reference);
/* "partition 00 file key", and taken apart. */
void reference_key_pack(struct packer *packer, struct slice partition, struct slice file_key);
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
/* What a job works on: the references that name it, all on one partition. */
struct assignment_record {
    struct slice partition;
    uint64_t record;       /* of its first assign_job: its files are begun there or later */
    uint64_t n_references; /* that still name it */
    int64_t until_ms;
};
bool assignment_unpack(struct slice value, struct assignment_record *out);
void assignment_pack(struct packer *packer, const struct assignment_record *assignment);
bool assignment_get(const struct state *state, struct slice job, struct assignment_record *out);
/* Whether a reference is assigned at a time: its job's assignment is there and has not run out. */
bool reference_is_assigned(const struct state *state, const struct reference_record *reference,
                           int64_t time_ms);

struct pin_record {
    uint64_t record;
    int64_t until_ms; /* 0: for ever */
    bool keeps_work;  /* the horizon stays at or below it; else it keeps files */
};
bool pin_unpack(struct slice value, struct pin_record *out);
void pin_pack(struct packer *packer, const struct pin_record *pin);
static inline bool pin_lives(const struct pin_record *pin, int64_t time_ms)
{
    return pin->until_ms == 0 || pin->until_ms > time_ms;
}

struct merged_record {
    struct slice parent;
    uint64_t record;
};
struct role_record {
    uint64_t epoch, record; /* how often it was taken; when last */
    struct slice token;     /* of the holder */
};
bool role_unpack(struct slice value, struct role_record *out);
void role_pack(struct packer *packer, const struct role_record *role);

bool merged_unpack(struct slice value, struct merged_record *out);
void merged_pack(struct packer *packer, const struct merged_record *merged);
/* The living partition that an id means: itself, or the ancestor that it was merged into. */
bool partition_find(const struct state *state, struct slice id, struct slice *out,
                    struct partition_record *record);

/* The ages of a file: of each ageOff field the greatest value (if any is not null) and nulls. */
bool ages_unpack(struct slice value, struct arena *arena, struct file_age **out, size_t *n_out);
void ages_pack(struct packer *packer, const struct file_age *ages, size_t n);
void pack_signed(struct packer *packer, int64_t number);
int64_t unpack_signed(struct unpacker *in);

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
/* The tree of a state likewise. */
int tree_write(struct json_writer *json, const struct state *state) GLIS_CHECKED;
/* Such a value as a map of partition records; everything is checked. GLIS_EINVALID. */
int tree_read(const struct json *partitions, const struct schema *schema, struct map *out,
              uint64_t *n_leaves) GLIS_CHECKED;
/* 1 to PARTITION_ID_MAX of [A-Za-z0-9._-]. */
int partition_id_check(struct slice id) GLIS_CHECKED;
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
#define APPLY(name)                                                   \
    int name(struct state *state, const struct log_record_info *info, \
             const struct json *transaction, struct arena *arena) GLIS_CHECKED
APPLY(apply_create_table);
APPLY(apply_alter);
APPLY(apply_reset);
APPLY(apply_forget_writer);
APPLY(apply_change_files);
APPLY(apply_compaction); /* the forms of change_files */
APPLY(apply_push_down);
APPLY(apply_delete);
APPLY(apply_expire);
APPLY(apply_set_aside);
APPLY(apply_take_back);
APPLY(apply_assign_job);
APPLY(apply_release_job);
APPLY(apply_split_partition);
APPLY(apply_extend_tree);
APPLY(apply_merge_partitions);
APPLY(apply_pin);
APPLY(apply_unpin);
APPLY(apply_mark_files);
APPLY(apply_forget_files);
APPLY(apply_raise_horizon);
APPLY(apply_raise_trim_line);
APPLY(apply_take_role);
APPLY(apply_restore);
APPLY(apply_drop_table);
#undef APPLY
/* A transaction that names a role and an epoch is of the role's present holder; else refused. */
int role_check(const struct state *state, const struct json *transaction) GLIS_CHECKED;
/* The machine's apply: finds the type. Malformed transactions give GLIS_EINVALID. */
int table_apply(struct state *state, const struct log_record_info *info,
                const struct json *transaction) GLIS_CHECKED;
/* After the log's time was set, perhaps back: all delays begin again, and pins that had run out
 * live again where what they kept is still there. */
void state_time_set(struct state *state, int64_t before_ms, int64_t time_ms);
/* Whether a pin could be set anew: what it keeps has neither been collected nor trimmed, nor the
 * horizon passed the work that it is for. GLIS_EREFUSED says which. */
int pin_check(const struct state *state, const struct pin_record *pin) GLIS_CHECKED;
/* What a malformed transaction's error becomes: GLIS_EINVALID with the same words; others stay. */
int malformed(int code);
/* A string field of base64, decoded in the arena. */
int json_get_base64(const struct json *object, const char *name, struct arena *arena,
                    struct slice *out) GLIS_CHECKED;
int json_get_u64(const struct json *object, const char *name, uint64_t *out) GLIS_CHECKED;
void json_write_base64(struct json_writer *json, const char *name, struct slice bytes);

/* ---- files that come and references that go (table_files.c) ---- */

/* One reference to come, checked. */
struct coming_reference {
    struct slice partition;
    uint64_t rows;
    bool is_exact;
};
struct coming_file {
    struct slice name, key;
    uint64_t size, rows, schema_version;
    struct slice checksum;
    struct file_bound *bounds;
    struct coming_reference *references;
    size_t n_references;
    struct file_age *ages;
    size_t n_ages;
};
/* Reads the array of files of a transaction and checks each: its name new, not below the horizon,
 * not ahead of the log; its references' partitions there (merged ones stand for their ancestor),
 * exact rows summing to its own, regions disjoint, its bounds inside them. */
int coming_files_read(const struct state *state, const struct log_record_info *info,
                      const struct json *array, struct arena *arena, struct coming_file **out)
    GLIS_CHECKED;
void coming_files_add(struct state *state, const struct log_record_info *info,
                      const struct coming_file *files, size_t n_files);

/* A reference of the state that a transaction names. */
struct held_reference {
    struct slice partition, file_key, name; /* in the arena */
    struct reference_record record;
};
/* GLIS_EREFUSED when the partition has no reference to that file. */
int held_reference_find(const struct state *state, struct slice partition, struct slice name,
                        struct arena *arena, struct held_reference *out) GLIS_CHECKED;
/* An array of {"partition", "file"}; each once. */
int held_references_read(const struct state *state, const struct json *array, struct arena *arena,
                         struct held_reference **out) GLIS_CHECKED;
/* GLIS_EREFUSED when a job has it. */
int held_reference_check_free(const struct state *state, const struct log_record_info *info,
                              const struct held_reference *reference) GLIS_CHECKED;
/* Takes it away, from its job too; the file's last one leaves the file gone as of this record. */
void reference_remove(struct state *state, const struct log_record_info *info,
                      const struct held_reference *reference);
/* Puts one more reference to a known file. */
void reference_add(struct state *state, struct slice partition, struct slice file_key,
                   const struct reference_record *record);
/* All references and assignments go as of this record. */
void references_clear(struct state *state, const struct log_record_info *info);
/* The reference leaves its job; the job's assignment goes with its last one. */
void reference_leave_job(struct state *state, struct slice job);

/* What is done to rows by the state's properties and these changes (NULL: none) to them. */
int state_processing(const struct state *state, const struct schema *schema,
                     const struct json *changes, struct arena *arena, struct processing *out)
    GLIS_CHECKED;
/* Whether filters or aggregations may leave fewer rows than came. */
bool state_processes_rows(const struct state *state);
/* Checks "generation" and "processing" against the state's version. */
int check_processing(const struct state *state, const struct json *transaction) GLIS_CHECKED;
/* "cutoffs": {"field": ms}, counted from "now". Neither "now" may be above the record's time, nor a
 * cut-off above it less the age that the field's filter has now: an age may have been loosened
 * since. The state keeps the greatest. */
int cutoffs_read(const struct state *state, const struct log_record_info *info,
                 const struct json *transaction, const struct json **out) GLIS_CHECKED;
void cutoffs_keep(struct state *state, const struct json *cutoffs);

/* Texts of transactions: each writes one JSON object on one line. */
int write_create_table(struct buffer *out, const struct table_definition *definition,
                       uint64_t *definition_hash) GLIS_CHECKED;
int write_alter(struct buffer *out, uint64_t version, const struct setting *settings,
                size_t n_settings, const struct schema *schema) GLIS_CHECKED;
int write_ingest(struct buffer *out, const struct ingest_commit *commit) GLIS_CHECKED;
void write_new_file(struct json_writer *json, const struct new_file *file, uint32_t n_fields,
                    uint64_t schema_version);
void write_cutoffs(struct json_writer *json, const struct age_cutoff *cutoffs, size_t n,
                   int64_t now_ms);
int write_assign_job(struct buffer *out, const struct job_assignment *assignment) GLIS_CHECKED;
int write_compaction(struct buffer *out, const struct compaction_commit *commit) GLIS_CHECKED;
int write_push_down(struct buffer *out, const struct reference_move *moves, size_t n_moves)
    GLIS_CHECKED;
int write_delete(struct buffer *out, const struct delete_commit *commit) GLIS_CHECKED;
int write_expire(struct buffer *out, const struct table_state *state,
                 const struct named_reference *references, size_t n_references,
                 const struct age_cutoff *cutoffs, size_t n_cutoffs, int64_t now_ms) GLIS_CHECKED;
int write_restore(struct buffer *out, const struct table_state *then, const struct table_state *now)
    GLIS_CHECKED;
int write_extend_tree(struct buffer *out, const struct table_state *state,
                      const struct growing_leaf *leaves, size_t n_leaves, uint64_t salt)
    GLIS_CHECKED;
int write_split_partition(struct buffer *out, const struct table_state *state,
                          struct slice partition, uint32_t dimension, struct slice split,
                          uint64_t salt) GLIS_CHECKED;
int write_reset(struct buffer *out, uint64_t generation, const struct slice *split_points,
                size_t n_split_points, bool keep_tree) GLIS_CHECKED;

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
