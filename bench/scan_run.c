/*
 * scan_run.c: scans of Parquet files, timed; what bench/scan.py runs.
 *
 *   scan_run THREADS          reads orders from standard input, a line each, fields by tabs:
 *       stream FILE           all rows and columns as a stream; each batch is freed when the next
 *                             is asked for
 *       table FILE            the same, with all batches kept to the end
 *       columns FILE          4 columns of TPC-H's lineitem as a stream
 *       where FILE            the rows of its query 6, two of their columns
 *       write FROM TO CODEC   FROM written again by our writer (snappy, zstd or none), with its
 *                             own choice of encodings
 *
 * Answers each with one JSON object: seconds, rows, bytes of the batches, greatest resident size.
 * THREADS counts the calling one, which works along while it waits.
 */
#include "parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    struct runtime *runtime;
    struct arena arena;
    struct store *store;
    struct parquet_reader *reader;
    struct batch_stream *stream;
};

static long resident_mib(void)
{
    long kib = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtol(line + 6, NULL, 10);
    if (file) (void)fclose(file);
    return kib / 1024;
}

enum way { WAY_STREAM, WAY_TABLE, WAY_COLUMNS, WAY_WHERE };

static int find_fields(const struct scan *scan, const char *const *names, uint32_t n,
                       uint32_t *fields)
{
    for (uint32_t i = 0; i < n; i++) {
        int at = schema_find(parquet_reader_schema(scan->reader), slice_from_text(names[i]));
        if (at < 0) return error_set(GLIS_EINVALID, "there is no column '%s'", names[i]);
        fields[i] = (uint32_t)at;
    }
    return 0;
}

/* TPC-H's query 6: a year of shipping dates, a range of discounts, small quantities. */
static int open_where(struct scan *scan)
{
    static const char *const names[] = {"l_extendedprice", "l_discount", "l_shipdate",
                                        "l_quantity"};
    uint32_t f[4];
    TRY(find_fields(scan, names, 4, f));
    struct value year = value_integer(TYPE_DATE, 8766), next = value_integer(TYPE_DATE, 9131);
    struct value low = {.kind = TYPE_DECIMAL, .decimal = 5},
                 high = {.kind = TYPE_DECIMAL, .decimal = 7};
    struct value quantity = {.kind = TYPE_DECIMAL, .decimal = 2400};
    struct parquet_condition conditions[] = {{f[2], PARQUET_GREATER_EQUAL, year},
                                             {f[2], PARQUET_LESS, next},
                                             {f[1], PARQUET_GREATER_EQUAL, low},
                                             {f[1], PARQUET_LESS_EQUAL, high},
                                             {f[3], PARQUET_LESS, quantity}};
    return parquet_reader_stream_where(scan->reader, f, 2, conditions, 5, NULL, &scan->stream);
}

static int scan_open(struct scan *scan, const char *path, enum way way)
{
    static const char *const names[] = {"l_quantity", "l_extendedprice", "l_discount",
                                        "l_shipdate"};
    struct slice key;
    uint32_t fields[4];
    TRY(store_locate(scan->runtime, slice_from_text(path), &scan->arena, &scan->store, &key));
    TRY(parquet_reader_open(&scan->reader, scan->runtime, scan->store, key, scan->runtime->budget));
    if (way == WAY_WHERE) return open_where(scan);
    if (way != WAY_COLUMNS) return parquet_reader_stream(scan->reader, &scan->stream);
    TRY(find_fields(scan, names, 4, fields));
    return parquet_reader_stream_part(scan->reader, fields, 4, 0, parquet_reader_rows(scan->reader),
                                      0, &scan->stream);
}

static void scan_close(struct scan *scan)
{
    if (scan->stream) batch_stream_close(scan->stream);
    parquet_reader_close(scan->reader);
    store_close(scan->store);
    arena_free(&scan->arena);
}

static int scan_rows(struct scan *scan, bool keep, uint64_t *rows, uint64_t *bytes)
{
    struct batch **kept = NULL;
    size_t n_kept = 0, room = 0;
    int code;
    for (;;) {
        struct batch *batch;
        code = batch_stream_next(scan->stream, &batch);
        if (code < 0 || !batch) break;
        *rows += (uint64_t)batch->n_rows;
        *bytes += batch_bytes(batch);
        if (!keep) {
            batch_release(batch);
            continue;
        }
        if (n_kept == room) {
            room = room ? 2 * room : 256;
            kept = memory_realloc(kept, room * sizeof *kept);
        }
        kept[n_kept++] = batch;
    }
    for (size_t i = 0; i < n_kept; i++)
        batch_release(kept[i]);
    free(kept);
    return code;
}

static int order_scan(struct runtime *runtime, const char *path, enum way way)
{
    struct scan scan = {.runtime = runtime, .arena = ARENA_EMPTY};
    uint64_t rows = 0, bytes = 0;
    int64_t start = runtime->clock->monotonic_ns(runtime->clock);
    int code = scan_open(&scan, path, way);
    if (code == 0) code = scan_rows(&scan, way == WAY_TABLE, &rows, &bytes);
    scan_close(&scan);
    int64_t end = runtime->clock->monotonic_ns(runtime->clock);
    if (code < 0) return code;
    printf("{\"seconds\": %.6f, \"rows\": %llu, \"bytes\": %llu, \"resident_mib\": %ld}\n",
           (double)(end - start) / 1e9, (unsigned long long)rows, (unsigned long long)bytes,
           resident_mib());
    return 0;
}

static int write_bytes(void *state, struct slice bytes)
{
    if (fwrite(bytes.data, 1, bytes.size, state) == bytes.size) return 0;
    return error_set(GLIS_EIO, "cannot write");
}

static int copy_rows(struct scan *scan, const struct parquet_sink *sink, int codec)
{
    struct parquet_writer_options options = {.codec = codec + 1};
    struct parquet_writer *writer;
    TRY(parquet_writer_open(&writer, scan->runtime, scan->stream->schema, sink, &options,
                            scan->runtime->budget));
    int code = 0;
    while (code == 0) {
        struct batch *batch;
        code = batch_stream_next(scan->stream, &batch);
        if (code < 0 || !batch) break;
        code = parquet_writer_write(writer, batch);
        batch_release(batch);
    }
    if (code == 0) code = parquet_writer_finish(writer);
    parquet_writer_close(writer);
    return code;
}

static int order_write(struct runtime *runtime, const char *from, const char *to, const char *name)
{
    struct scan scan = {.runtime = runtime, .arena = ARENA_EMPTY};
    int codec = strcmp(name, "snappy") == 0 ? PARQUET_SNAPPY
                : strcmp(name, "zstd") == 0 ? PARQUET_ZSTD
                                            : PARQUET_UNCOMPRESSED;
    FILE *file = fopen(to, "we");
    if (!file) return error_set(GLIS_EIO, "cannot write '%s'", to);
    struct parquet_sink sink = {write_bytes, file};
    int code = scan_open(&scan, from, WAY_STREAM);
    if (code == 0) code = copy_rows(&scan, &sink, codec);
    scan_close(&scan);
    if (fclose(file) != 0 && code == 0) code = error_set(GLIS_EIO, "cannot write '%s'", to);
    if (code == 0) printf("{}\n");
    return code;
}

static int carry_out(struct runtime *runtime, char *line)
{
    char *fields[4] = {line, NULL, NULL, NULL};
    line[strcspn(line, "\n")] = '\0';
    for (unsigned i = 1; i < 4; i++) {
        char *tab = fields[i - 1] ? strchr(fields[i - 1], '\t') : NULL;
        if (!tab) break;
        *tab = '\0';
        fields[i] = tab + 1;
    }
    static const char *const ways[] = {"stream", "table", "columns", "where"};
    for (int way = 0; way < 4 && fields[1]; way++)
        if (strcmp(fields[0], ways[way]) == 0) return order_scan(runtime, fields[1], (enum way)way);
    if (fields[3] && strcmp(fields[0], "write") == 0)
        return order_write(runtime, fields[1], fields[2], fields[3]);
    return error_set(GLIS_EINVALID, "no order: '%s'", fields[0]);
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments != 2) {
        fprintf(stderr, "usage: scan_run THREADS (orders from standard input)\n");
        return 2;
    }
    struct budget budget;
    budget_init(&budget, "process memory", 0, NULL, NULL);
    struct runtime runtime = {.clock = clock_system(),
                              .random = random_system(),
                              .pool = pool_new((unsigned)strtoul(arguments[1], NULL, 10) - 1),
                              .budget = &budget};
    char line[8192];
    while (fgets(line, sizeof line, stdin)) {
        if (carry_out(&runtime, line) < 0) {
            fprintf(stderr, "%s\n", error_message());
            return 1;
        }
        (void)fflush(stdout);
    }
    pool_free(runtime.pool);
    return 0;
}
