/*
 * write_run.c: Parquet files written from memory, timed; what bench/write.py runs.
 *
 *   write_run THREADS         reads orders from standard input, a line each, fields by tabs:
 *       load FILE             all rows into memory, in place of those before
 *       write FILE CODEC      the rows to FILE (snappy, zstd or none), which is not synced
 *
 * Answers each with one JSON object: seconds, bytes. THREADS counts the calling one, which works
 * along while it waits.
 */
#include "parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rows {
    struct schema *schema;
    struct batch **batches;
    size_t n, room;
};

static void rows_clear(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        batch_release(rows->batches[i]);
    rows->n = 0;
    schema_release(rows->schema);
    rows->schema = NULL;
}

static int order_load(struct runtime *runtime, struct rows *rows, const char *path)
{
    struct arena arena = ARENA_EMPTY;
    struct store *store;
    struct parquet_reader *reader;
    struct batch_stream *stream;
    struct slice key;
    rows_clear(rows);
    TRY(store_locate(runtime, slice_from_text(path), &arena, &store, &key));
    TRY(parquet_reader_open(&reader, runtime, store, key, runtime->budget));
    TRY(parquet_reader_stream(reader, &stream));
    rows->schema = schema_acquire(stream->schema);
    for (;;) {
        struct batch *batch;
        TRY(batch_stream_next(stream, &batch));
        if (!batch) break;
        if (rows->n == rows->room) {
            rows->room = rows->room ? 2 * rows->room : 256;
            rows->batches = memory_realloc(rows->batches, rows->room * sizeof(struct batch *));
        }
        rows->batches[rows->n++] = batch;
    }
    batch_stream_close(stream);
    parquet_reader_close(reader);
    store_close(store);
    arena_free(&arena);
    printf("{}\n");
    return 0;
}

struct target {
    FILE *file;
    uint64_t bytes;
};

static int write_bytes(void *state, struct slice bytes)
{
    struct target *target = state;
    target->bytes += bytes.size;
    if (fwrite(bytes.data, 1, bytes.size, target->file) == bytes.size) return 0;
    return error_set(GLIS_EIO, "cannot write");
}

static int order_write(struct runtime *runtime, const struct rows *rows, const char *path,
                       const char *name)
{
    int codec = strcmp(name, "none") == 0 ? PARQUET_UNCOMPRESSED
                                          : parquet_codec_parse(slice_from_text(name));
    if (codec < 0 || !rows->schema) return error_set(GLIS_EINVALID, "nothing to write so");
    struct target target = {fopen(path, "we"), 0};
    if (!target.file) return error_set(GLIS_EIO, "cannot write '%s'", path);
    struct parquet_sink sink = {write_bytes, &target};
    struct parquet_writer_options options = {.codec = codec + 1};
    struct parquet_writer *writer;
    int64_t start = runtime->clock->monotonic_ns(runtime->clock);
    TRY(parquet_writer_open(&writer, runtime, rows->schema, &sink, &options, runtime->budget));
    for (size_t i = 0; i < rows->n; i++)
        TRY(parquet_writer_write(writer, rows->batches[i]));
    TRY(parquet_writer_finish(writer));
    parquet_writer_close(writer);
    if (fclose(target.file) != 0) return error_set(GLIS_EIO, "cannot write '%s'", path);
    int64_t end = runtime->clock->monotonic_ns(runtime->clock);
    printf("{\"seconds\": %.6f, \"bytes\": %llu}\n", (double)(end - start) / 1e9,
           (unsigned long long)target.bytes);
    return 0;
}

static int carry_out(struct runtime *runtime, struct rows *rows, char *line)
{
    char *fields[3] = {line, NULL, NULL};
    line[strcspn(line, "\n")] = '\0';
    for (unsigned i = 1; i < 3; i++) {
        char *tab = fields[i - 1] ? strchr(fields[i - 1], '\t') : NULL;
        if (!tab) break;
        *tab = '\0';
        fields[i] = tab + 1;
    }
    if (fields[1] && strcmp(fields[0], "load") == 0) return order_load(runtime, rows, fields[1]);
    if (fields[2] && strcmp(fields[0], "write") == 0)
        return order_write(runtime, rows, fields[1], fields[2]);
    return error_set(GLIS_EINVALID, "no order: '%s'", fields[0]);
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments != 2) {
        fprintf(stderr, "usage: write_run THREADS (orders from standard input)\n");
        return 2;
    }
    struct budget budget;
    budget_init(&budget, "process memory", 0, NULL, NULL);
    struct runtime runtime = {.clock = clock_system(),
                              .random = random_system(),
                              .pool = pool_new((unsigned)strtoul(arguments[1], NULL, 10) - 1),
                              .budget = &budget};
    struct rows rows = {0};
    char line[8192];
    while (fgets(line, sizeof line, stdin)) {
        if (carry_out(&runtime, &rows, line) < 0) {
            fprintf(stderr, "%s\n", error_message());
            return 1;
        }
        (void)fflush(stdout);
    }
    rows_clear(&rows);
    free(rows.batches);
    pool_free(runtime.pool);
    return 0;
}
