/*
 * cmd_check.c: `glis check [TABLE] [--read-data] [--iterators]`: verifies everything that can be
 * verified, prints what is wrong, and changes nothing.
 *
 * In order: the catalogue's log and what it says; then of each table its log, its state, its files'
 * presence and size, and with --read-data each file's checksum, number of rows, order, bounds and
 * sketches; with --iterators whether its iterator keeps the rule of processing. A problem does not
 * end the check; exit code 1 says that there was one. Memory is one batch and one piece of a file.
 */
#include "base/hash.h"
#include "cli/command.h"
#include "log/log.h"
#include "lsm/lsm.h"
#include "parquet/parquet.h"
#include "sketch/sketch.h"

#include <stdarg.h>

struct check {
    struct cli *cli;
    struct json_writer writer; /* with --json */
    struct slice table;        /* empty: the catalogue */
    struct table *handle;
    const struct schema *schema;
    const struct table_state *state;
    struct progress_line line;
    uint64_t at_record; /* the state that is checked; 0: the newest */
    uint64_t n_problems, n_missing, n_tables, n_records, n_files, n_bytes;
};

/* What was seen of one file's rows. */
struct seen_rows {
    struct buffer last_key;
    struct kll **fields; /* one a row-key field, for the least and the greatest field key */
    uint32_t n_fields;
    bool is_bad; /* a breach was told */
};

static int check_catalogue(struct check *check);
static int check_tables(struct check *check);
static int check_table(struct check *check, const struct table_entry *entry);
static int check_iterator(struct check *check);
static int check_file(void *context, const struct table_file *file);
static int check_bytes(struct check *check, const struct table_file *file, struct slice key);
static int check_rows(struct check *check, const struct table_file *file, struct slice key);
static int check_stream(struct check *check, const struct table_file *file,
                        struct batch_stream *stream, struct seen_rows *seen);
static int check_batch(struct check *check, const struct table_file *file,
                       const struct batch *batch, struct seen_rows *seen, uint64_t first_row);
static int check_sketches(struct check *check, const struct table_file *file, struct slice key,
                          const struct seen_rows *seen);
static void problem(struct check *check, const char *object, const char *format, ...)
    GLIS_PRINTF(3, 4);
static void problem_of_log(void *state, const char *object, const char *what);
static int failure(struct check *check, const char *object, int code);
static int report(struct check *check, bool is_finished);

int cmd_check(struct cli *cli)
{
    uint64_t at_record = 0;
    TRY(cli_number(cli, "at-record", 1, UINT64_MAX, &at_record));
    if (at_record && !cli->n_arguments)
        return cli_usage(cli, "--at-record is of one table: records are those of its log");
    TRY(cli_open_instance(cli, CLI_READ));
    TRY(store_root_cache(cli->store, NULL)); /* what is checked is what is there */
    struct check check = {.cli = cli, .at_record = at_record};
    if (cli->json) {
        cli_json_begin(cli, &check.writer);
        json_write_object_begin(&check.writer);
        json_write_name(&check.writer, "problems");
        json_write_array_begin(&check.writer);
    }
    progress_begin(cli, &check.line);
    int code = cli->n_arguments ? 0 : check_catalogue(&check);
    if (code == 0) code = check_tables(&check);
    progress_end(&check.line);
    struct error_detail detail;
    if (code < 0) error_save(&detail);
    TRY(report(&check, code == 0)); /* also when it could not go on: what was found is told */
    if (code < 0) return error_load(&detail);
    return check.n_problems ? 1 : 0;
}

static int report(struct check *check, bool is_finished)
{
    struct cli *cli = check->cli;
    if (cli->json) {
        json_write_array_end(&check->writer);
        json_write_field_bool(&check->writer, "finished", is_finished);
        json_write_field_uint(&check->writer, "tables", check->n_tables);
        json_write_field_uint(&check->writer, "records", check->n_records);
        json_write_field_uint(&check->writer, "files", check->n_files);
        json_write_field_uint(&check->writer, "bytesRead", check->n_bytes);
        json_write_object_end(&check->writer);
        return cli_json_end(cli, &check->writer);
    }
    cli_print(cli, "checked %llu %s, %s records, %s %s", (unsigned long long)check->n_tables,
              check->n_tables == 1 ? "table" : "tables", cli_count(cli, check->n_records),
              cli_count(cli, check->n_files), check->n_files == 1 ? "file" : "files");
    if (cli_flag(cli, "read-data")) cli_print(cli, ", %s read", cli_size(cli, check->n_bytes));
    if (check->n_problems)
        cli_print(cli, ": %s %s\n", cli_count(cli, check->n_problems),
                  check->n_problems == 1 ? "problem" : "problems");
    const char *logs = store_root_logs(cli->store);
    if (check->n_missing && logs) cli_note(CLI_SHARED_LOGS, logs);
    if (check->n_problems == 0)
        cli_print(cli, is_finished ? ": all is well\n" : ": not finished\n");
    return 0;
}

static int check_catalogue(struct check *check)
{
    struct cli *cli = check->cli;
    struct log_check_result result;
    TRY(log_check(&cli->runtime, cli->store, SLICE("catalogue/"), catalogue_log_machine(),
                  problem_of_log, check, &result));
    check->n_records += result.last ? result.last - result.first + 1 : 0;
    return failure(check, "catalogue", instance_validate(cli->instance));
}

static int check_tables(struct check *check)
{
    struct cli *cli = check->cli;
    struct table_entry *tables;
    size_t n;
    TRY(instance_tables(cli->instance, false, &cli->arena, &tables, &n));
    const char **names = ARENA_ARRAY(&cli->arena, const char *, n + 1);
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        names[i] = arena_copy_text(&cli->arena, tables[i].name);
        if (cli->n_arguments && !slice_equal(cli->arguments[0], tables[i].name)) continue;
        found = true;
        TRY(check_table(check, &tables[i]));
    }
    if (cli->n_arguments && !found)
        return error_set(GLIS_ENOTFOUND, "there is no table '%.*s'%s",
                         SLICE_PRINT(cli->arguments[0]),
                         cli_did_you_mean(cli, cli->arguments[0], names, n));
    return 0;
}

/* A table whose creation was interrupted has a log at most: there is no state yet to look at. */
static int check_table(struct check *check, const struct table_entry *entry)
{
    struct cli *cli = check->cli;
    struct log_check_result result;
    struct slice prefix =
        slice_from_text(arena_printf(&cli->arena, "tables/%.*s/", SLICE_PRINT(entry->id)));
    check->table = entry->name;
    check->n_tables++;
    TRY(log_check(&cli->runtime, cli->store, prefix, table_log_machine(), problem_of_log, check,
                  &result));
    check->n_records += result.last ? result.last - result.first + 1 : 0;
    if (entry->life == TABLE_CREATING) return 0;
    check->handle = NULL;
    check->state = NULL;
    int code = table_open(cli->instance, entry->name, &check->handle);
    if (code == 0 && check->at_record) {
        /* That there is no such state is no problem of the table's. */
        code = table_state_at(check->handle, check->at_record, &check->state);
        if (code < 0) table_close(check->handle);
        TRY(code);
    }
    if (code == 0 && !check->state) code = table_state_get(check->handle, 0, &check->state);
    if (code == 0) {
        check->schema = table_state_schema(check->state);
        code = failure(check, "state", table_validate(check->state));
        if (code == 0) code = table_each_file(check->state, check_file, check);
        if (code == 0 && cli_flag(cli, "iterators")) code = check_iterator(check);
    } else {
        code = failure(check, "state", code);
    }
    table_state_release(check->state);
    table_close(check->handle);
    return code;
}

/* Tries the table's iterator on random groups of its rows. */
static int check_iterator(struct check *check)
{
    struct cli *cli = check->cli;
    struct iterator_check_result result;
    int code = iterator_check(check->handle, check->state, &cli->runtime, &cli->arena, &result);
    if (code == 0 && result.differs)
        problem(check, "iterator", "what it gives depends on how rows are grouped: %.*s",
                SLICE_PRINT(result.difference));
    return failure(check, "iterator", code);
}

/* ---- files ---- */

static int check_file(void *context, const struct table_file *file)
{
    struct check *check = context;
    struct cli *cli = check->cli;
    TRY(runtime_check_cancel(&cli->runtime));
    check->n_files++;
    if (progress_due(&check->line))
        progress_show(&check->line, "checking: %llu files, %llu MiB read",
                      (unsigned long long)check->n_files,
                      (unsigned long long)(check->n_bytes >> 20));
    const char *name = arena_copy_text(&cli->arena, file->name);
    struct slice key = table_file_key(check->handle, file->name, &cli->arena);
    struct store_object object;
    int code = store_head(cli->store, key, &object);
    if (code == GLIS_ENOTFOUND) {
        if (file->n_references) problem(check, name, "the file is missing");
        check->n_missing += file->n_references > 0;
        return 0;
    }
    TRY(code);
    if (object.size != file->size) {
        problem(check, name, "has %llu bytes, not the %llu that the table knows of",
                (unsigned long long)object.size, (unsigned long long)file->size);
        return 0;
    }
    if (!cli_flag(cli, "read-data")) return 0;
    uint64_t before = check->n_problems;
    TRY(check_bytes(check, file, key));
    if (check->n_problems > before) return 0;
    return failure(check, name, check_rows(check, file, key));
}

static int check_bytes(struct check *check, const struct table_file *file, struct slice key)
{
    enum { PIECE_BYTES = 4 << 20 };
    struct cli *cli = check->cli;
    struct hash_stream *hash = hash_stream_new();
    int code = 0;
    for (uint64_t at = 0; at < file->size && code == 0; at += PIECE_BYTES) {
        struct store_read read = {
            .key = key, .offset = at, .length = PIECE_BYTES, .budget = &cli->budget};
        code = runtime_check_cancel(&cli->runtime);
        if (code == 0) code = store_read(cli->store, &read, 1);
        if (code == 0 && read.outcome == GLIS_ENOTFOUND)
            code = error_set(GLIS_EGONE, "the file %.*s went away", SLICE_PRINT(file->name));
        if (code == 0) hash_stream_add(hash, read.data, read.size);
        check->n_bytes += read.size;
        store_read_release(&read, 1);
    }
    struct hash128 sum = hash_stream_128(hash);
    hash_stream_free(hash);
    TRY(code);
    uint64_t words[2] = {__builtin_bswap64(sum.high), __builtin_bswap64(sum.low)};
    if (memcmp(words, file->checksum, sizeof words) != 0)
        problem(check, arena_copy_text(&cli->arena, file->name),
                "its checksum is not the one that the table knows of");
    return 0;
}

static int check_rows(struct check *check, const struct table_file *file, struct slice key)
{
    struct cli *cli = check->cli;
    struct parquet_reader *reader;
    struct batch_stream *stream = NULL;
    TRY(parquet_reader_open(&reader, &cli->runtime, cli->store, key, &cli->budget));
    int code = 0;
    if (parquet_reader_rows(reader) != file->rows)
        problem(check, arena_copy_text(&cli->arena, file->name),
                "has %llu rows, not the %llu that the table knows of",
                (unsigned long long)parquet_reader_rows(reader), (unsigned long long)file->rows);
    else
        code = parquet_reader_stream(reader, &stream);
    struct seen_rows seen = {.last_key = BUFFER_INIT((size_t)1 << 20)};
    struct slice entry;
    if (code == 0 && stream) {
        code = check_stream(check, file, stream, &seen);
        if (code == 0 && !seen.is_bad &&
            parquet_reader_key_value(reader, SLICE("glis.sketch"), &entry))
            code = check_sketches(check, file, key, &seen);
    }
    for (uint32_t i = 0; i < seen.n_fields; i++)
        kll_free(seen.fields[i]);
    buffer_free(&seen.last_key);
    batch_stream_close(stream);
    parquet_reader_close(reader);
    return code;
}

/* The sketches that the file has are of its rows: their number, the least and the greatest. */
static int check_sketches(struct check *check, const struct table_file *file, struct slice key,
                          const struct seen_rows *seen)
{
    struct cli *cli = check->cli;
    struct file_sketches *sketches;
    struct merge_file_input input = {.name = file->name,
                                     .object_key = key,
                                     .size = file->size,
                                     .rows = file->rows,
                                     .schema_version = file->schema_version};
    TRY(data_file_sketches(check->handle, check->state, &cli->runtime, &input, &sketches));
    for (uint32_t i = 0; i < sketches->n_fields; i++) {
        const struct kll *said = sketches->fields[i].quantiles, *is = seen->fields[i];
        if (slice_equal(kll_min(said), kll_min(is)) && slice_equal(kll_max(said), kll_max(is)))
            continue;
        problem(check, arena_copy_text(&cli->arena, file->name),
                "the sketch of field '%.*s' is of other rows",
                SLICE_PRINT(check->schema->fields[i].name));
    }
    file_sketches_free(sketches);
    return 0;
}

static int check_stream(struct check *check, const struct table_file *file,
                        struct batch_stream *stream, struct seen_rows *seen)
{
    const struct schema *written = table_state_schema_at(check->state, file->schema_version);
    if (!written)
        return error_set(GLIS_ECORRUPT, "its schema version %llu never was",
                         (unsigned long long)file->schema_version);
    uint64_t n_rows = 0;
    seen->n_fields = written->n_row_keys;
    seen->fields = ARENA_ARRAY(&check->cli->arena, struct kll *, seen->n_fields);
    for (uint32_t i = 0; i < seen->n_fields; i++)
        seen->fields[i] = kll_new(KLL_K_MIN, SLICE_EMPTY);
    for (;;) {
        struct batch *batch, *keyed = NULL;
        TRY(runtime_check_cancel(&check->cli->runtime));
        TRY(batch_stream_next(stream, &batch));
        if (!batch) break;
        int code = batch_conform(batch, written, &(struct conform_options){0}, &check->cli->budget,
                                 &keyed);
        if (code == 0 && !seen->is_bad) code = check_batch(check, file, keyed, seen, n_rows);
        n_rows += (uint64_t)batch->n_rows;
        batch_release(keyed);
        batch_release(batch);
        TRY(code);
    }
    if (n_rows != file->rows)
        problem(check, arena_copy_text(&check->cli->arena, file->name), "gave %llu rows, not %llu",
                (unsigned long long)n_rows, (unsigned long long)file->rows);
    return 0;
}

/* Order over all key fields; bounds of each row-key field. The first breach of a file is told. */
static int check_batch(struct check *check, const struct table_file *file,
                       const struct batch *batch, struct seen_rows *seen, uint64_t first_row)
{
    const struct schema *schema = batch->schema;
    const char *name = arena_copy_text(&check->cli->arena, file->name);
    struct keys keys;
    TRY(keys_encode(&keys, batch, schema_key_count(schema), &check->cli->budget));
    int code = 0;
    for (int64_t row = 0; row < keys.n_rows && code == 0 && !seen->is_bad; row++) {
        struct slice key = keys_get(&keys, row), rest = key;
        unsigned long long number = first_row + (uint64_t)row;
        if (number > 0 && slice_compare(buffer_slice(&seen->last_key), key) > 0) {
            problem(check, name, "row %llu is not in order", number);
            seen->is_bad = true;
        }
        size_t begin = 0, end = 0;
        for (uint32_t f = 0; f < schema->n_row_keys && code == 0; f++, begin = end) {
            code = key_fields_size(schema, key, f + 1, &end);
            if (code < 0) break;
            const struct file_bound *bound = &file->bounds[f];
            rest = slice_part(key, begin, end - begin);
            kll_update(seen->fields[f], rest);
            int above = slice_compare(rest, bound->max);
            if (slice_compare(rest, bound->min) < 0 || above > (bound->max_exclusive ? -1 : 0)) {
                problem(check, name, "row %llu lies outside the file's bounds in field '%.*s'",
                        number, SLICE_PRINT(schema->fields[f].name));
                seen->is_bad = true;
            }
        }
        buffer_clear(&seen->last_key);
        if (code == 0) code = buffer_append_slice(&seen->last_key, key);
    }
    keys_free(&keys);
    return code;
}

/* ---- findings ---- */

/* A failure that says something about the data is a finding; others end the check. */
static int failure(struct check *check, const char *object, int code)
{
    if (code != GLIS_ECORRUPT && code != GLIS_EDATA && code != GLIS_ENEWER && code != GLIS_EGONE &&
        code != GLIS_EUNSUPPORTED)
        return code;
    char text[ERROR_TEXT_BYTES];
    snprintf(text, sizeof text, "%s", error_message());
    problem(check, object, "%s", text);
    error_clear();
    return 0;
}

static void problem_of_log(void *state, const char *object, const char *what)
{
    problem(state, object, "%s", what);
}

static void problem(struct check *check, const char *object, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    check->n_problems++;
    progress_end(&check->line);
    struct slice table = check->table.size ? check->table : SLICE("catalogue");
    if (check->cli->json) {
        json_write_object_begin(&check->writer);
        json_write_field_string(&check->writer, "table", table);
        json_write_field_text(&check->writer, "object", object);
        json_write_field_text(&check->writer, "problem", text);
        json_write_object_end(&check->writer);
    } else {
        cli_print(check->cli, "%.*s: %s: %s\n", SLICE_PRINT(table), object, text);
    }
}
