/*
 * bulk_import_sort.c: a unit of a bulk import's input into one sorted file.
 *
 * The file lies under data/ like any data file, but nobody refers to it: the job's pin keeps it
 * from being taken for an orphan, and when the pin is gone it is one. It is written for being read
 * once, soon: compressed little or not at all, values as they are.
 */
#include "lsm/bulk_import_int.h"

#include "parquet/parquet.h"

/* Input rows on their way into the sorter. */
struct unit_reader {
    struct store *store;
    struct parquet_reader *parquet;
    struct ingest_reader *rows;
    struct bad_rows bad;
    struct bulk_bad_rows aside;
};

static int open_parquet(struct bulk_import *job, const struct bulk_unit *unit,
                        const struct ingest_input *input,
                        const struct ingest_reader_settings *settings, struct unit_reader *reader)
{
    struct slice key;
    struct batch_stream *stream;
    TRY(store_locate(job->runtime, input->address, &job->arena, &reader->store, &key));
    TRY_CONTEXT(parquet_reader_open(&reader->parquet, job->runtime, reader->store, key,
                                    job->runtime->budget),
                "%s", input->name);
    const struct parquet_metadata *metadata = parquet_reader_metadata(reader->parquet);
    if (metadata->file_size != input->size || unit->first > metadata->n_rows ||
        unit->n > metadata->n_rows - unit->first)
        return error_set(GLIS_EDATA, "%s: the file has changed since the job was begun",
                         input->name);
    uint32_t n = parquet_reader_schema(reader->parquet)->n_fields;
    uint32_t *fields = ARENA_ARRAY(&job->arena, uint32_t, n);
    for (uint32_t i = 0; i < n; i++)
        fields[i] = i;
    TRY_CONTEXT(
        parquet_reader_stream_part(reader->parquet, fields, n, unit->first, unit->n, 0, &stream),
        "%s", input->name);
    return ingest_reader_open_stream(&reader->rows, job->runtime, stream, input->name, settings);
}

static int open_unit(struct bulk_import *job, const struct bulk_unit *unit,
                     struct unit_reader *reader)
{
    const struct ingest_input *input = &job->plan.inputs[unit->input];
    struct ingest_reader_settings settings = {.schema = table_state_schema(job->begun),
                                              .ignore_extra_columns =
                                                  job->plan.ignore_extra_columns,
                                              .csv_null_text = job->plan.csv_null_text,
                                              .bad = &reader->bad,
                                              .first_row = unit->first};
    if (input->format == INGEST_PARQUET) return open_parquet(job, unit, input, &settings, reader);
    return ingest_reader_open(&reader->rows, job->runtime, input, &settings);
}

static void close_unit(struct unit_reader *reader)
{
    ingest_reader_close(reader->rows);
    parquet_reader_close(reader->parquet);
    store_close(reader->store);
    bad_rows_close(&reader->bad);
}

static int fill_sorter(struct bulk_import *job, struct ingest_reader *rows, struct sorter *sorter,
                       uint64_t *n_rows)
{
    for (;;) {
        struct batch *batch;
        TRY(runtime_check_cancel(job->runtime));
        TRY(ingest_reader_next(rows, &batch));
        if (!batch) return 0;
        int code = batch->n_rows ? sorter_add(sorter, batch) : 0;
        *n_rows += (uint64_t)batch->n_rows;
        batch_release(batch);
        TRY(code);
        TRY(bulk_tell(job, *n_rows));
    }
}

static int write_sorted(struct bulk_import *job, struct batch_stream *stream,
                        struct data_file_writer *writer)
{
    for (;;) {
        struct batch *batch;
        TRY(runtime_check_cancel(job->runtime));
        TRY(batch_stream_next(stream, &batch));
        if (!batch) return 0;
        int code = data_file_write(writer, batch);
        batch_release(batch);
        TRY(code);
    }
}

/* What the sorter holds into a file. */
static int write_run(struct bulk_import *job, struct sorter *sorter, struct bulk_run *out)
{
    struct data_file_context context = {.table = job->table,
                                        .state = job->begun,
                                        .runtime = job->runtime,
                                        .store = job->store,
                                        .schema = table_state_schema(job->begun),
                                        .budget = job->runtime->budget,
                                        .arena = &job->arena,
                                        .is_temporary = true};
    struct batch_stream *stream;
    struct data_file_writer *writer;
    struct data_file file = {.rows = 0};
    TRY(sorter_finish(sorter, &stream));
    int code = data_file_open(&writer, &context);
    if (code == 0) {
        code = write_sorted(job, stream, writer);
        if (code == 0)
            code = data_file_finish(writer, &file);
        else
            data_file_abort(writer);
    }
    batch_stream_close(stream);
    if (code == 0 && job->plan.job_is_given) code = data_files_sync(job->table, &file.key, 1);
    if (code < 0 && file.key.size) bulk_remove_file(job, file.name);
    uint32_t n = context.schema->n_row_keys;
    *out = (struct bulk_run){.name = file.name,
                             .size = file.size,
                             .rows = file.rows,
                             .schema_version = table_state_schema_version(job->begun),
                             .bounds = ARENA_ARRAY(&job->arena, struct file_bound, n)};
    for (uint32_t i = 0; i < n && code == 0; i++)
        out->bounds[i] = file_bound_cut(file.bounds[i].min, file.bounds[i].max, NULL, &job->arena);
    arena_free(&file.arena);
    return code;
}

int bulk_sort(struct bulk_import *job, size_t unit, struct bulk_run *out)
{
    struct sorter_options options = {.memory_bytes = job->memory_bytes,
                                     .spill_folder = job->spill_folder};
    struct sorter *sorter;
    struct unit_reader reader;
    uint64_t rows = 0;
    *out = (struct bulk_run){.rows = 0};
    TRY(sorter_new(&sorter, job->runtime, table_state_schema(job->begun), &options));
    reader = (struct unit_reader){.rows = NULL};
    bulk_bad_rows_begin(&reader.aside, job, &reader.bad);
    int code = open_unit(job, &job->plan.units[unit], &reader);
    if (code == 0) code = fill_sorter(job, reader.rows, sorter, &rows);
    uint64_t n_bad = reader.bad.count;
    close_unit(&reader);
    if (code == 0 && rows > 0) code = write_run(job, sorter, out);
    bool any = code == 0;
    code = bulk_bad_rows_end(&reader.aside, code, n_bad, out);
    if (any && code < 0) bulk_remove_file(job, out->name);
    sorter_free(sorter);
    return code;
}
