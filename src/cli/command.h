/*
 * command.h: what the files of the `glis` command share: the table of commands, the words of one
 * call, and how a command opens what it works on and prints what it found.
 *
 * There is one table of commands (command_table.c, with entries in commands_of_*.c). It says name,
 * arguments, options and text of each; the parser, `--help`, the manual pages and the shells'
 * completion are all made from it, so that they cannot disagree. A command itself is one function
 * in a file cmd_*.c.
 *
 * A command returns 0 or an error code; cli_run prints the error and picks the exit code: 0 done, 1
 * failed, 2 wrong words on the command line (cli_usage). Standard output is written through
 * cli->out, which is flushed at the end and now and then between; what is meant for people only
 * (progress, notes) goes to standard error.
 *
 * Ownership: everything that a call parses or opens lies in its `struct cli` and ends with it.
 */
#ifndef GLIS_CLI_COMMAND_H
#define GLIS_CLI_COMMAND_H

#include "base/buffer.h"
#include "base/json.h"
#include "base/logger.h"
#include "base/memory.h"
#include "base/runtime.h"
#include "format/format.h"
#include "query/query.h"
#include "table/table.h"

enum { CLI_OPTIONS_MAX = 32, CLI_OUT_FLUSH_BYTES = 64 << 10 };

/* ---- the table of commands ---- */

struct command_option {
    const char *name;     /* without the dashes; NULL ends a list */
    const char *argument; /* "FILE"; NULL: a flag */
    const char *choices;  /* the words that the argument may be, by '|'; NULL: anything */
    bool many;            /* takes all words up to the next option: --key A B */
    bool repeats;         /* may be given several times */
    const char *text;
};

struct cli;
struct command {
    const char *noun, *verb; /* verb: NULL when the noun stands alone */
    const char *arguments;   /* "TABLE FILE..." */
    unsigned min_arguments, max_arguments;
    const char *summary;                  /* one line, no full stop */
    const char *text;                     /* paragraphs */
    const struct command_option *options; /* NULL: none */
    const char *examples;                 /* lines */
    int (*run)(struct cli *cli);
    bool takes_table_settings; /* --set may name properties of a table, for the new one */
};

/* All of them, by 0, 1, 2...; NULL beyond the last. */
const struct command *command_at(size_t index);
extern const struct command_option global_options[]; /* ended by a NULL name */

/* What stands before a group of commands: "table", "Create, change and look at tables". */
struct command_noun {
    const char *noun, *summary;
};
extern const struct command_noun command_nouns[];
extern const size_t n_command_nouns;

/* ---- one call ---- */

/* One use of an option, in the order of the command line. */
struct given_option {
    const struct command_option *option;
    struct slice *values;
    size_t n_values; /* 0 of a flag */
};

struct output {
    int fd;
    struct buffer buffer;
    bool failed;       /* a write failed: nothing more is written */
    bool in_json;      /* between cli_json_begin and cli_json_end */
    size_t json_begin; /* where in the buffer that value begins */
};

struct cli {
    struct arena arena;
    struct cancel cancel;
    struct budget budget;
    struct runtime runtime;
    char process[RUNTIME_PROCESS_BYTES];
    struct logger logger;
    struct pool *pool;
    const struct command *command;
    struct slice *arguments;
    size_t n_arguments;
    struct given_option *given;
    size_t n_given;
    const char *noun; /* of the command, as soon as it is known */
    bool json;        /* the answer as JSON, and an error too */
    bool wants_help, wants_version, is_usage_error;
    struct slice root;    /* --instance or GLIS_INSTANCE; empty: none */
    struct setting *sets; /* --set of process properties */
    size_t n_sets;
    struct setting *table_sets; /* --set of table properties, where the command takes them */
    size_t n_table_sets;
    struct property_overrides overrides;
    struct store *store;
    struct instance *instance;
    const struct table_state *state; /* whose schema a query's names were looked up in */
    struct output out;               /* standard output */
};

/* Does everything that main does; the exit code. */
int cli_run(int n_words, char **words);

/* Reads the words of the command line into `cli` (command, arguments, options). Fails with
 * cli_usage. */
int cli_parse(struct cli *cli, int n_words, char **words) GLIS_CHECKED;

/* Records that the command line is wrong (exit code 2); the message as for error_set. */
int cli_usage(struct cli *cli, const char *format, ...) GLIS_PRINTF(2, 3);

/* The code of a function that took values from the command line: GLIS_EINVALID says that the words
 * are wrong (exit code 2). */
int cli_words(struct cli *cli, int code) GLIS_CHECKED;

/* "; did you mean 'x'?", or "" when nothing is near; in the arena. */
const char *cli_did_you_mean(struct cli *cli, struct slice word, const char *const *candidates,
                             size_t n);

/* ---- options of the call ---- */

/* The last use of an option; NULL when it was not given. The name must be one of the command's. */
const struct given_option *cli_option(const struct cli *cli, const char *name);
bool cli_flag(const struct cli *cli, const char *name);
/* Its last value; empty when it was not given (data is NULL then). */
struct slice cli_value(const struct cli *cli, const char *name);
/* A whole number in [min, max]; *out keeps what it held when the option was not given. */
int cli_number(struct cli *cli, const char *name, uint64_t min, uint64_t max, uint64_t *out)
    GLIS_CHECKED;
/* Bytes, as "64K": likewise. */
int cli_bytes(struct cli *cli, const char *name, uint64_t min, uint64_t max, uint64_t *out)
    GLIS_CHECKED;
/* "90s", "15m": likewise, in milliseconds. */
int cli_duration(struct cli *cli, const char *name, int64_t *out_ms) GLIS_CHECKED;
/* The value of each use, in order, in the arena. */
void cli_values(struct cli *cli, const char *name, struct slice **out, size_t *n_out);
/* All values of all uses, split at commas, in the arena: --columns a,b --columns c. */
void cli_names(struct cli *cli, const char *name, struct slice **out, size_t *n_out);
/* "name=value" of each word, names checked to be properties by the caller. */
int cli_settings(struct cli *cli, const struct slice *words, size_t n, struct setting **out,
                 size_t *n_out) GLIS_CHECKED;

/* ---- what a command works on ---- */

enum cli_access {
    CLI_READ,
    CLI_HOLD, /* reads, and may pin what it reads, where it may write */
    CLI_WRITE,
};
/* Opens the instance at cli->root; once a call. */
int cli_open_instance(struct cli *cli, enum cli_access access) GLIS_CHECKED;
/* The instance, and the table that is the first argument. The caller closes it. */
int cli_open_table(struct cli *cli, enum cli_access access, struct table **out) GLIS_CHECKED;
/* Says what glis.table.inexact is needed for, a note for each field; nothing where it is not. */
int cli_warn_inexact(struct cli *cli, struct table *table) GLIS_CHECKED;
/* The column of that name; GLIS_EINVALID with "did you mean". */
int cli_find_column(struct cli *cli, const struct schema *schema, struct slice name, uint32_t *out)
    GLIS_CHECKED;
/* Threads by glis.threads; the runtime's pool from here on. cli_open_instance does it. */
int cli_start_threads(struct cli *cli) GLIS_CHECKED;
/* The schema that --schema names, or --like proposes with --row-keys and --sort-keys. */
int cli_schema_read(struct cli *cli, struct schema **out) GLIS_CHECKED;
/* A local file, or "-" for standard input, whole; in `out`. At most 64 MiB. */
int cli_read_file(struct cli *cli, struct slice path, struct buffer *out) GLIS_CHECKED;

/* ---- printing ---- */

/* Appends to standard output; a failed write shows at the end of the call. */
void cli_print(struct cli *cli, const char *format, ...) GLIS_PRINTF(2, 3);
void cli_print_slice(struct cli *cli, struct slice text);
/* Writes what is held; GLIS_ECLOSED when nobody reads any more. */
int cli_flush(struct cli *cli) GLIS_CHECKED;
/* The writer of a JSON value to standard output; cli_json_end adds the newline. What a call that
 * fails has begun and not ended is not printed. */
void cli_json_begin(struct cli *cli, struct json_writer *writer);
int cli_json_end(struct cli *cli, struct json_writer *writer) GLIS_CHECKED;
/* The fields of a schema with their types and classes, aligned, for people. */
void cli_print_schema(struct cli *cli, const struct schema *schema);
/* Settings as name=value lines, or as a JSON object with --json. */
int cli_print_settings(struct cli *cli, const struct setting *settings, size_t n) GLIS_CHECKED;
/* One line to standard error: "glis: ...". */
void cli_note(const char *format, ...) GLIS_PRINTF(1, 2);
/* What helps when files are missing and the logs are elsewhere (store_root_logs). */
#define CLI_SHARED_LOGS                                                                         \
    "the logs are in %s, and all copies of this instance share them: if there is a newer one, " \
    "use that"

/* Aligned columns; numbers to the right. Cells are copied. */
struct text_table {
    struct arena arena;
    uint32_t n_columns;
    struct slice *cells;
    size_t n_cells, capacity;
    bool right[16];
};
/* Begins with a heading for each column, n of them; one with a leading '>' is aligned right. */
void text_table_init(struct text_table *table, const char *const *headings, uint32_t n);
void text_table_cell(struct text_table *table, const char *format, ...) GLIS_PRINTF(2, 3);
/* Prints and frees. */
void text_table_end(struct cli *cli, struct text_table *table);

/* Texts for people, in the call's arena: "1.5 GiB"; "12,345"; "2026-11-21 10:00:00" (UTC). */
const char *cli_size(struct cli *cli, uint64_t bytes);
const char *cli_count(struct cli *cli, uint64_t n);
const char *text_of_size(struct arena *arena, uint64_t bytes); /* the same in any arena */
const char *text_of_count(struct arena *arena, uint64_t n);
const char *cli_time(struct cli *cli, int64_t time_ms);
/* A field key of a row-key field as text; "…" behind one that was cut. In the arena. */
struct slice cli_field_key(struct cli *cli, const struct schema *schema, uint32_t field,
                           struct slice key);
/* "[a, b)" of a range, "-" for an open end; likewise. */
struct slice cli_range(struct cli *cli, const struct schema *schema, uint32_t field,
                       const struct key_range *range);
/* The schema as schema.json, indented, in the arena. */
int cli_schema_json(struct cli *cli, const struct schema *schema, unsigned indent,
                    struct slice *out) GLIS_CHECKED;

/* What a call has asked of a service so far, and what that costs by the instance's prices; all zero
 * for a folder. */
struct cli_cost {
    uint64_t reads, lists, writes, deletes;
    uint64_t nanodollars;
};
struct cli_cost cli_cost(struct cli *cli);
/* The price of keeping so many bytes for a month, in dollars. */
double cli_storage_dollars(struct cli *cli, uint64_t bytes);

/* ---- progress ---- */

/* A line that is written over and over, on a terminal only. */
struct progress_line {
    struct cli *cli;
    bool is_on, is_shown;
    int64_t begun_ns, shown_ns;
    struct arena scratch; /* for the texts of one look; freed at the end */
};
void progress_begin(struct cli *cli, struct progress_line *line);
/* False when it is too early for another look, or nobody looks. */
bool progress_due(struct progress_line *line);
void progress_show(struct progress_line *line, const char *format, ...) GLIS_PRINTF(2, 3);
void progress_end(struct progress_line *line); /* wipes it */
/* The line of an ingest (lsm.h); state: the progress_line. */
struct ingest_progress;
int cli_ingest_progress(void *state, const struct ingest_progress *progress);

/* ---- answers: rows to standard output or into a file ---- */

struct answer_target {
    enum output_kind kind;
    struct slice path; /* empty: standard output */
    struct byte_sink *bytes;
    char *temporary; /* the file under its temporary name */
    int fd;
    const struct parquet_writer_options *parquet; /* for OUTPUT_PARQUET; NULL: its defaults */
    const bool *dictionaries;                     /* for OUTPUT_ARROW; as in output_options */
};
/* What --format and --output say: kind and path. GLIS_EINVALID (usage) for Parquet on a terminal.
 */
int answer_target_choose(struct cli *cli, struct answer_target *out) GLIS_CHECKED;
int answer_target_open(struct cli *cli, struct answer_target *target) GLIS_CHECKED;
/* Writes the whole stream; a file appears under its name only now. */
int answer_target_write(struct cli *cli, struct answer_target *target, struct batch_stream *stream,
                        uint64_t *n_rows) GLIS_CHECKED;
void answer_target_close(struct answer_target *target); /* removes what is unfinished */

/* ---- the file that a command of `glis parquet` is about ---- */

struct parquet_reader;
struct parquet_file {
    struct store *store;
    struct parquet_reader *reader;
    int spool; /* holds standard input; -1: none */
};
/* Opens the first argument ("-": standard input), and starts the threads. */
int parquet_file_open(struct cli *cli, struct parquet_file *out) GLIS_CHECKED;
/* The same; what is read of it is counted in a budget that outlives it. */
int parquet_file_open_within(struct cli *cli, struct budget *budget, struct parquet_file *out)
    GLIS_CHECKED;
/* Closes it and gives the code back; a failure gets the file's name as context. */
int parquet_file_close(struct cli *cli, struct parquet_file *file, int code) GLIS_CHECKED;

/* ---- help, manual, completion ---- */

/* `glis --help`, `glis table --help` (noun only) or one command's. */
void help_print(struct cli *cli, const char *noun, const struct command *command);
/* The usage line of a command, without "glis ". In the arena. */
const char *help_usage(struct cli *cli, const struct command *command);
/* A manual page in man(7) form: of "glis" or "glis-NOUN". GLIS_ENOTFOUND. */
int manual_page(struct cli *cli, struct slice name) GLIS_CHECKED;
/* The script for "bash" or "zsh". */
int completion_script(struct cli *cli, struct slice shell) GLIS_CHECKED;

/* ---- the commands ---- */

/* An option whose value is the id of a job or the name of a writer, `what`: that it can be one. */
int cli_job_id(struct cli *cli, const char *option, const char *what) GLIS_CHECKED;
/* What --delimiter says; *out stays without it. */
int cli_delimiter(struct cli *cli, char *out) GLIS_CHECKED;
/* The regions of --key, --from and --to, which the command has; into a query without any. */
int cli_query_regions(struct cli *cli, struct query *query) GLIS_CHECKED;
/* Parts of `glis status` that have files of their own: jobs as the table's log tells of them, and
 * the tree. */
/* `past`: the state is one of then, and so is what is shown. */
int status_jobs(struct cli *cli, struct table *table, const struct table_state *state, bool past)
    GLIS_CHECKED;
int status_partitions(struct cli *cli, const struct table_state *state) GLIS_CHECKED;

int cmd_init(struct cli *cli);
int cmd_table_create(struct cli *cli);
int cmd_table_list(struct cli *cli);
int cmd_table_show(struct cli *cli);
int cmd_table_set(struct cli *cli);
int cmd_table_rename(struct cli *cli);
int cmd_table_drop(struct cli *cli);
int cmd_table_undrop(struct cli *cli);
int cmd_table_online(struct cli *cli);
int cmd_table_offline(struct cli *cli);
int cmd_table_reset(struct cli *cli);
int cmd_table_add_column(struct cli *cli);
int cmd_table_widen(struct cli *cli);
int cmd_table_splits(struct cli *cli);
int cmd_table_estimate_splits(struct cli *cli);
int cmd_table_forget_writer(struct cli *cli);
int cmd_table_pin(struct cli *cli);
int cmd_table_unpin(struct cli *cli);
int cmd_table_restore(struct cli *cli);
int cmd_table_set_aside(struct cli *cli);
int cmd_table_take_back(struct cli *cli);
int cmd_ingest(struct cli *cli);
int cmd_bulk_import(struct cli *cli);
int cmd_query(struct cli *cli);
int cmd_export(struct cli *cli);
int cmd_import(struct cli *cli);
int cmd_delete(struct cli *cli);
int cmd_compact(struct cli *cli);
int cmd_split(struct cli *cli);
int cmd_gc(struct cli *cli);
int cmd_maintain(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_store_probe(struct cli *cli);
int cmd_cache_show(struct cli *cli);
int cmd_cache_clear(struct cli *cli);
int cmd_log_show(struct cli *cli);
int cmd_log_snapshot(struct cli *cli);
int cmd_log_trim(struct cli *cli);
int cmd_log_set_time(struct cli *cli);
int cmd_check(struct cli *cli);
int cmd_parquet_show(struct cli *cli);
int cmd_parquet_pages(struct cli *cli);
int cmd_parquet_cat(struct cli *cli);
int cmd_parquet_check(struct cli *cli);
int cmd_parquet_rewrite(struct cli *cli);
int cmd_properties(struct cli *cli);
int cmd_set(struct cli *cli);
int cmd_help(struct cli *cli);

#endif
