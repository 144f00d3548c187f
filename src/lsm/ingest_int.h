/*
 * ingest_int.h: what the files of an ingest share.
 *
 * ingest_inputs.c       names given by the user -> files to read, and the fingerprint of what they
 * hold ingest_read.c         each input as batches in the table's schema; bad rows
 * ingest_fingerprint.c  a hash of rows that does not depend on how they are cut into batches
 * file_sketches.c       quantiles and distinct counts of a file's row keys: made, written, read
 * data_file.c           one ascending stream of rows -> one data file in the store ingest_write.c
 * the sorted stream, cut at leaf borders into data files with their references ingest.c
 * the job from beginning to commit
 */
#ifndef GLIS_LSM_INGEST_INT_H
#define GLIS_LSM_INGEST_INT_H

#include "base/hash.h"
#include "format/format.h"
#include "lsm/lsm_int.h"
#include "process/process.h"
#include "table/table.h"

/* ---- ingest.c ---- */

/* GLIS_EINVALID, with what it is the name of, unless it has 1 to 200 of [A-Za-z0-9._:-]. */
int ingest_check_name(struct slice name, const char *what) GLIS_CHECKED;

/* ---- ingest_inputs.c ---- */

/* One file, or a stream that can be read once. */
struct ingest_input {
    const char *name; /* as given, for messages; NUL-terminated */
    struct slice address;
    enum ingest_format format; /* never INGEST_BY_NAME */
    char csv_delimiter;
    bool is_stream; /* standard input, a pipe: no size, no second reading */
    bool is_stdin;
    uint64_t size;
};

/* All inputs in order, in the arena. GLIS_ENOTFOUND names what is not there, GLIS_EINVALID what
 * cannot be an input. */
int ingest_inputs_find(struct runtime *runtime, const struct slice *paths, size_t n_paths,
                       const struct ingest_options *options, struct arena *arena,
                       struct ingest_input **out, size_t *n_out) GLIS_CHECKED;
/* Adds to the hash what makes inputs the same: their number, sizes and contents; streams are
 * left out (their rows are hashed while they are read). Files over 64 MiB are sampled: 1,024
 * pieces of 64 KiB at even distances, the last one at the end. */
int ingest_inputs_hash(struct runtime *runtime, const struct ingest_input *inputs, size_t n_inputs,
                       struct hash_stream *hash) GLIS_CHECKED;

/* ---- ingest_fingerprint.c ---- */

/* Hashes rows by value and order: the same for the same rows in batches of any sizes. */
struct row_hash;
struct row_hash *row_hash_new(const struct schema *schema);
void row_hash_add(struct row_hash *hash, const struct batch *batch);
void row_hash_finish(const struct row_hash *hash, struct hash_stream *into);
void row_hash_free(struct row_hash *hash);

/* ---- ingest_read.c ---- */

/* Where refused rows go, and how many there were. */
struct bad_rows {
    const char *path; /* NULL: the first is an error, unless there is a sink */
    /* Takes the lines instead of a file, each with its line feed; may be called by any thread. */
    int (*sink)(void *state, struct slice line);
    void *sink_state;
    int fd; /* -1 until the first */
    uint64_t count;
    struct buffer line;
};
/* Makes the file durable: before the commit, after which these rows are nowhere else. */
int bad_rows_sync(const struct bad_rows *bad) GLIS_CHECKED;
void bad_rows_close(struct bad_rows *bad);

/* Batches of one input in the table's schema, bad rows taken out. One batch is made ready on the
 * pool while the one before is used. */
struct ingest_reader;
struct ingest_reader_settings {
    const struct schema *schema;
    bool ignore_extra_columns;
    struct slice csv_null_text;
    struct bad_rows *bad;
    const bool *joined_maps; /* fields of the schema: map keys may come twice; NULL: none */
    uint64_t first_row;      /* of a stream that is a part: rows of its input before it */
};
int ingest_reader_open(struct ingest_reader **out, struct runtime *runtime,
                       const struct ingest_input *input,
                       const struct ingest_reader_settings *settings) GLIS_CHECKED;
/* The same from any stream, which is taken. */
int ingest_reader_open_stream(struct ingest_reader **out, struct runtime *runtime,
                              struct batch_stream *stream, const char *name,
                              const struct ingest_reader_settings *settings) GLIS_CHECKED;
/* *out is NULL at the end. */
int ingest_reader_next(struct ingest_reader *reader, struct batch **out) GLIS_CHECKED;
/* Rows seen, bad ones too; bytes of the input taken so far, as far as that can be told. */
uint64_t ingest_reader_rows(const struct ingest_reader *reader);
uint64_t ingest_reader_bytes(const struct ingest_reader *reader);
void ingest_reader_close(struct ingest_reader *reader); /* NULL is allowed */

/* ---- file_sketches.c ---- */

/* Makes the sketches of a file while its rows pass, in their order. */
struct sketch_maker;
struct sketch_maker *sketch_maker_new(const struct schema *schema, uint32_t n_fields, uint32_t k,
                                      struct slice name);
/* The first fields of the batch are the maker's. May be called by any thread, by one at a time. */
int sketch_maker_add(struct sketch_maker *maker, const struct batch *batch, struct budget *budget)
    GLIS_CHECKED;
const struct file_sketches *sketch_maker_sketches(const struct sketch_maker *maker);
/* They become the caller's; the maker can only be freed then. */
struct file_sketches *sketch_maker_take(struct sketch_maker *maker);
void sketch_maker_free(struct sketch_maker *maker); /* NULL is allowed */

/* The section of a data file, both ways (docs/formats.md, "Sketches"). Names are those of the
 * schema's first fields, and must be the same when read. */
int file_sketches_encode(const struct file_sketches *sketches, const struct schema *schema,
                         struct buffer *out) GLIS_CHECKED;
int file_sketches_decode(struct slice bytes, const struct schema *schema, uint32_t n_fields,
                         struct file_sketches **out) GLIS_CHECKED;
/* The text of the footer's entry for a section, in the arena, and what such a text says. */
#define SKETCH_ENTRY "glis.sketch"
enum { SKETCH_SECTION_BYTES_MAX = 256 << 20 };
const char *sketch_entry_text(uint64_t offset, struct slice section, struct arena *arena);

/* ---- file_ages.c ---- */

/* Of each ageOff field of the state: greatest value and nulls of the rows added. */
struct file_ages {
    struct file_age *ages; /* in the arena, names in the state's schema */
    uint32_t *columns;
    uint32_t n;
};
int file_ages_begin(struct file_ages *out, const struct table_state *state, struct arena *arena)
    GLIS_CHECKED;
void file_ages_add(struct file_ages *ages, const struct batch *batch); /* of the table's schema */

/* ---- data_file.c ---- */

/* What all data files of one job have in common. */
struct data_file_context {
    struct table *table;
    const struct table_state *state;
    struct runtime *runtime;
    struct store *store;
    const struct schema *schema;
    struct budget *budget;
    struct arena *arena; /* of the job, for its own thread: names live there */
    bool is_temporary;   /* read once, soon: written fast instead of small */
};

/* A finished data file: put, but neither synced nor known to the table. */
struct data_file {
    struct slice name, key; /* as the state names it, and in the store */
    uint64_t size, rows;
    uint8_t checksum[16];
    struct file_bound *bounds; /* exact ends, one a row-key field; not cut yet */
    struct file_age *ages;     /* of the table's ageOff fields; none when they are not known */
    uint32_t n_ages;
    struct arena arena; /* holds the bounds; whoever has the file frees it */
};

struct data_file_writer;
struct parquet_reader;
int data_file_open(struct data_file_writer **out, const struct data_file_context *context)
    GLIS_CHECKED;
/* Rows at or after those before. */
int data_file_write(struct data_file_writer *writer, const struct batch *batch) GLIS_CHECKED;
/* The same for rows of a row group of another data file in the table's present schema, which are
 * copied without decoding. The reader lives until the writer is done. */
int data_file_copy(struct data_file_writer *writer, struct parquet_reader *reader,
                   uint32_t row_group, uint64_t first, uint64_t n) GLIS_CHECKED;
/* Whether they may be: by codec and form. */
bool data_file_can_copy(const struct data_file_writer *writer, struct parquet_reader *reader,
                        uint32_t row_group);
/* Bytes encoded so far; of the rows not yet encoded nothing. */
uint64_t data_file_bytes(const struct data_file_writer *writer);
/* Ends the writer, also when it fails. Unlike open, may be called by any thread, as may write. */
int data_file_finish(struct data_file_writer *writer, struct data_file *out) GLIS_CHECKED;
void data_file_abort(struct data_file_writer *writer); /* NULL is allowed */
/* Bytes that the rows would take in a data file, by encoding them for nobody. */
int data_file_estimate(const struct data_file_context *context, const struct batch *batch,
                       uint64_t *bytes) GLIS_CHECKED;

/* ---- ingest_write.c ---- */

/* A file with its references, as a commit wants it. */
struct placed_file {
    struct data_file file;
    struct new_reference *references;
    size_t n_references;
};

/* Takes all rows of a job, sorted or not, and makes files of them. */
struct ingest_writer;
struct ingest_writer_settings {
    struct data_file_context context;
    struct sorter_options sorter;
    const struct partition_tree *tree; /* NULL: the state's */
    /* What is done to the sorted rows of each leaf before they are written. */
    struct processing processing;
    struct process_options process;
    int (*progress)(void *state, uint64_t rows, uint64_t bytes, uint64_t files);
    void *progress_state;
};
struct ingest_writer_figures {
    uint64_t rows, bytes, files;
    uint64_t spill_runs, merge_passes, spilled_bytes;
    int64_t write_ns;
};
int ingest_writer_new(struct ingest_writer **out, const struct ingest_writer_settings *settings)
    GLIS_CHECKED;
int ingest_writer_add(struct ingest_writer *writer, const struct batch *batch) GLIS_CHECKED;
/* Writes what is left. The files live as long as the writer. */
int ingest_writer_finish(struct ingest_writer *writer, const struct placed_file **files,
                         size_t *n_files) GLIS_CHECKED;
struct ingest_writer_figures ingest_writer_figures(const struct ingest_writer *writer);
/* Removes from the store all that was put; for a job that failed. */
void ingest_writer_remove_files(struct ingest_writer *writer);
void ingest_writer_free(struct ingest_writer *writer); /* NULL is allowed */

#endif
