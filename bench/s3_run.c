/*
 * s3_run.c: the bare requests and the scans that bench/s3.py compares.
 *
 *   s3_run puts ROOT PREFIX SECONDS        conditional puts of 300 bytes, one after the other, each
 *                                          under a name of its own
 *   s3_run read ROOT PREFIX THREADS        all objects under a prefix, in ranges of 4 MiB, eight at
 *                                          a time in each thread, thrown away
 *   s3_run read-decode ROOT PREFIX THREADS the same, while as many threads decode the same
 *                                          Parquet files from memory
 *   s3_run write ROOT PREFIX THREADS       an object of 256 MiB by each thread, as a streamed
 *                                          put of bytes that are at hand
 *   s3_run scan ROOT TABLE THREADS         all rows of a table by a query without an order
 *   s3_run lookup ROOT TABLE KEY           one key by a handle that has just been opened, and
 *                                          again; requests and how many of them waited for
 *                                          each other
 *
 * ROOT is any address of a store. Each prints one JSON object.
 */
#include "parquet/parquet.h"
#include "query/query.h"
#include "table/table.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { PUT_BYTES = 300, RANGE_BYTES = 4 << 20, RANGES_AT_A_TIME = 8, THREADS_MAX = 64 };
enum { LATENCIES_MAX = 1 << 20 };

struct piece {
    struct slice key;
    uint64_t offset, length;
};

struct object {
    struct slice key;
    struct buffer bytes; /* of read-decode */
};

struct bench {
    struct runtime runtime;
    struct budget budget;
    struct arena arena;
    struct store *store;
    struct piece *pieces;
    size_t n_pieces, pieces_max;
    struct object *objects;
    size_t n_objects, objects_max;
    _Atomic size_t next_piece, next_object;
    _Atomic uint64_t bytes, rows;
};

static double now_s(void)
{
    return (double)clock_system()->monotonic_ns(clock_system()) / 1e9;
}

static double processor_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- conditional puts ---- */

static int run_puts(struct bench *bench, const char *prefix, double seconds)
{
    double *latencies = memory_alloc(LATENCIES_MAX * sizeof *latencies);
    char body[PUT_BYTES];
    memset(body, 'x', sizeof body);
    size_t n = 0;
    uint64_t own = random_u64(bench->runtime.random);
    double begun = now_s(), end = begun + seconds, before = processor_s();
    int code = 0;
    while (n < LATENCIES_MAX && code == 0) {
        double start = now_s();
        if (start >= end) break;
        struct arena arena = ARENA_EMPTY;
        struct slice key = slice_from_text(
            arena_printf(&arena, "%s%016llx-%zu", prefix, (unsigned long long)own, n));
        code = store_put(bench->store, key, slice_make(body, sizeof body), STORE_IF_ABSENT);
        latencies[n++] = now_s() - start;
        arena_free(&arena);
    }
    double taken = now_s() - begun, used = processor_s() - before;
    qsort(latencies, n, sizeof *latencies, by_value);
    if (code == 0)
        printf("{\"puts\": %zu, \"seconds\": %.3f, \"processor_us_per_put\": %.1f, "
               "\"median_ms\": %.3f, \"p99_ms\": %.3f, \"worst_ms\": %.3f}\n",
               n, taken, n ? used * 1e6 / (double)n : 0, n ? latencies[n / 2] * 1e3 : 0,
               n ? latencies[n * 99 / 100] * 1e3 : 0, n ? latencies[n - 1] * 1e3 : 0);
    free(latencies);
    return code;
}

/* ---- bare reading ---- */

static int add_object(void *state, const struct store_object *found)
{
    struct bench *bench = state;
    struct slice key = arena_copy(&bench->arena, found->key);
    if (bench->n_objects == bench->objects_max) {
        bench->objects_max = bench->objects_max ? 2 * bench->objects_max : 64;
        bench->objects =
            memory_realloc(bench->objects, bench->objects_max * sizeof *bench->objects);
    }
    bench->objects[bench->n_objects++] =
        (struct object){.key = key, .bytes = BUFFER_INIT((uint64_t)16 << 30)};
    for (uint64_t offset = 0; offset < found->size; offset += RANGE_BYTES) {
        uint64_t left = found->size - offset;
        if (bench->n_pieces == bench->pieces_max) {
            bench->pieces_max = bench->pieces_max ? 2 * bench->pieces_max : 256;
            bench->pieces =
                memory_realloc(bench->pieces, bench->pieces_max * sizeof *bench->pieces);
        }
        bench->pieces[bench->n_pieces++] =
            (struct piece){key, offset, left < RANGE_BYTES ? left : RANGE_BYTES};
    }
    return 0;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, error_message());
    exit(1);
}

static void *read_pieces(void *state)
{
    struct bench *bench = state;
    for (;;) {
        size_t first = atomic_fetch_add(&bench->next_piece, RANGES_AT_A_TIME);
        struct store_read reads[RANGES_AT_A_TIME] = {0};
        size_t n = 0;
        for (; n < RANGES_AT_A_TIME && first + n < bench->n_pieces; n++) {
            const struct piece *piece = &bench->pieces[first + n];
            reads[n] = (struct store_read){
                .key = piece->key, .offset = piece->offset, .length = piece->length};
        }
        if (n == 0) return NULL;
        if (store_read(bench->store, reads, n) < 0) fail("reading");
        for (size_t i = 0; i < n; i++)
            bench->bytes += reads[i].size;
        store_read_release(reads, n);
    }
}

static int decode_object(struct bench *bench, const struct object *object)
{
    struct store *memory;
    struct parquet_reader *reader;
    struct batch_stream *stream;
    TRY(store_slice_open(object->key, NULL, buffer_slice(&object->bytes), &memory));
    TRY(parquet_reader_open(&reader, &bench->runtime, memory, object->key, &bench->budget));
    TRY(parquet_reader_stream(reader, &stream));
    int code;
    for (;;) {
        struct batch *batch;
        code = batch_stream_next(stream, &batch);
        if (code < 0 || !batch) break;
        bench->rows += (uint64_t)batch->n_rows;
        batch_release(batch);
    }
    batch_stream_close(stream);
    parquet_reader_close(reader);
    store_close(memory);
    return code;
}

static void *decode_objects(void *state)
{
    struct bench *bench = state;
    for (;;) {
        size_t at = atomic_fetch_add(&bench->next_object, 1);
        if (at >= bench->n_objects) return NULL;
        if (decode_object(bench, &bench->objects[at]) < 0) fail("decoding");
    }
}

static int run_read(struct bench *bench, const char *prefix, unsigned n_threads, bool decode)
{
    pthread_t threads[2 * THREADS_MAX];
    unsigned n = 0;
    TRY(store_each(bench->store, slice_from_text(prefix), SLICE(""), add_object, bench));
    for (size_t i = 0; decode && i < bench->n_objects; i++)
        TRY(store_get(bench->store, bench->objects[i].key, 0, STORE_TO_END,
                      &bench->objects[i].bytes));
    double begun = now_s(), before = processor_s();
    for (unsigned i = 0; i < n_threads; i++) {
        if (pthread_create(&threads[n++], NULL, read_pieces, bench) != 0) exit(1);
        if (decode && pthread_create(&threads[n++], NULL, decode_objects, bench) != 0) exit(1);
    }
    while (n > 0)
        pthread_join(threads[--n], NULL);
    printf("{\"seconds\": %.4f, \"processor_seconds\": %.3f, \"bytes\": %llu, \"rows\": %llu}\n",
           now_s() - begun, processor_s() - before, (unsigned long long)bench->bytes,
           (unsigned long long)bench->rows);
    for (size_t i = 0; i < bench->n_objects; i++)
        buffer_free(&bench->objects[i].bytes);
    free(bench->objects);
    free(bench->pieces);
    return 0;
}

/* ---- bare writing ---- */

enum { WRITE_BYTES = 256 << 20, WRITE_STEP_BYTES = 1 << 20 };

struct bare_writer {
    struct bench *bench;
    struct slice key;
};

static void *write_object(void *state)
{
    struct bare_writer *writer = state;
    struct store_upload *upload;
    uint64_t *bytes = memory_alloc(WRITE_STEP_BYTES);
    for (size_t i = 0; i < WRITE_STEP_BYTES / sizeof *bytes; i++)
        bytes[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    struct slice step = slice_make((char *)bytes, WRITE_STEP_BYTES);
    if (store_upload_open(writer->bench->store, writer->key, STORE_DEFER_SYNC, &upload) < 0)
        fail("writing");
    for (uint64_t at = 0; at < WRITE_BYTES; at += WRITE_STEP_BYTES)
        if (store_upload_write(upload, step) < 0) fail("writing");
    if (store_upload_finish(upload) < 0) fail("writing");
    atomic_fetch_add(&writer->bench->bytes, WRITE_BYTES);
    free(bytes);
    return NULL;
}

static int run_write(struct bench *bench, const char *prefix, unsigned n_threads)
{
    pthread_t threads[THREADS_MAX];
    struct bare_writer writers[THREADS_MAX];
    struct slice keys[THREADS_MAX];
    double begun = now_s(), before = processor_s();
    for (unsigned i = 0; i < n_threads; i++) {
        keys[i] = slice_from_text(arena_printf(&bench->arena, "%s%u", prefix, i));
        writers[i] = (struct bare_writer){bench, keys[i]};
        if (pthread_create(&threads[i], NULL, write_object, &writers[i]) != 0) exit(1);
    }
    for (unsigned i = 0; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    TRY(store_sync(bench->store, keys, n_threads));
    printf("{\"seconds\": %.4f, \"processor_seconds\": %.3f, \"bytes\": %llu}\n", now_s() - begun,
           processor_s() - before, (unsigned long long)bench->bytes);
    return store_remove(bench->store, keys, n_threads);
}

/* ---- queries ---- */

static int ask(struct query_engine *engine, struct table *table, const struct query *query,
               uint64_t *rows)
{
    struct batch_stream *answer;
    TRY(query_open(engine, table, query, &answer));
    int code;
    *rows = 0;
    for (;;) {
        struct batch *batch;
        code = batch_stream_next(answer, &batch);
        if (code < 0 || !batch) break;
        *rows += (uint64_t)batch->n_rows;
        batch_release(batch);
    }
    batch_stream_close(answer);
    return code;
}

static uint64_t requests(const struct store *store)
{
    struct store_counters counters = store_counters(store);
    return counters.gets + counters.heads + counters.lists + counters.puts;
}

static int run_query(struct bench *bench, const char *name, const char *key)
{
    struct instance *instance;
    struct table *table;
    struct query_engine *engine;
    double begun = now_s(), before = processor_s();
    TRY(instance_open_for(&bench->runtime, bench->store, INSTANCE_ASKED_AT_ONCE, NULL,
                          slice_from_text(name), &instance));
    TRY(table_open(instance, slice_from_text(name), &table));
    TRY(query_engine_new(&engine, &bench->runtime, &bench->budget, (uint64_t)512 << 20));
    printf("{");
    uint64_t asked = 0, deep = 0;
    for (int round = 0; round < (key ? 2 : 1); round++) {
        const struct table_state *state;
        struct query query;
        uint64_t rows;
        if (round) begun = now_s();
        TRY(table_state_get(table, 0, &state));
        if (key) {
            struct slice text = slice_from_text(key);
            query = (struct query){.schema = table_state_schema(state)};
            TRY(query_add_key(&query, &text, 1, &bench->arena));
        } else {
            query_everything(table_state_schema(state), &bench->arena, &query);
        }
        query.state = state; /* which has just been made sure */
        TRY(ask(engine, table, &query, &rows));
        uint64_t now = requests(bench->store);
        uint64_t depth = store_counters(bench->store).depth;
        const char *warm = round ? "warm_" : "";
        printf("%s\"%sseconds\": %.5f, \"%srequests\": %llu, \"%sdepth\": %llu, \"%srows\": %llu",
               round ? ", " : "", warm, now_s() - begun, warm, (unsigned long long)(now - asked),
               warm, (unsigned long long)(depth - deep), warm, (unsigned long long)rows);
        asked = now;
        deep = depth;
        table_state_release(state);
    }
    printf(", \"processor_seconds\": %.3f, \"bytes\": %llu}\n", processor_s() - before,
           (unsigned long long)store_counters(bench->store).bytes_read);
    query_engine_free(engine);
    table_close(table);
    instance_close(instance);
    return 0;
}

static int run(char **arguments)
{
    struct bench bench = {0};
    const char *way = arguments[1];
    unsigned n_threads = (unsigned)strtoul(arguments[4], NULL, 10);
    bool scan = strcmp(way, "scan") == 0, lookup = strcmp(way, "lookup") == 0;
    if (n_threads < 1 || n_threads > THREADS_MAX) n_threads = 1;
    budget_init(&bench.budget, "process memory", 0, NULL, NULL);
    bench.runtime = (struct runtime){.clock = clock_system(),
                                     .random = random_system(),
                                     .pool = pool_new(scan     ? n_threads - 1
                                                      : lookup ? 1
                                                               : 0),
                                     .budget = &bench.budget};
    TRY(store_locate_root(&bench.runtime, slice_from_text(arguments[2]), STORE_LOCAL_CREATE,
                          &bench.store));
    int code;
    if (strcmp(way, "puts") == 0)
        code = run_puts(&bench, arguments[3], strtod(arguments[4], NULL));
    else if (strcmp(way, "read") == 0 || strcmp(way, "read-decode") == 0)
        code = run_read(&bench, arguments[3], n_threads, way[4] == '-');
    else if (strcmp(way, "write") == 0)
        code = run_write(&bench, arguments[3], n_threads);
    else if (scan || lookup)
        code = run_query(&bench, arguments[3], lookup ? arguments[4] : NULL);
    else
        code = error_set(GLIS_EINVALID, "no such way: '%s'", way);
    store_close(bench.store);
    arena_free(&bench.arena);
    pool_free(bench.runtime.pool);
    return code;
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments != 5) {
        fprintf(stderr, "usage: s3_run puts|read|read-decode|write|scan|lookup ROOT PREFIX|TABLE "
                        "SECONDS|THREADS|KEY\n");
        return 2;
    }
    if (run(arguments) == 0) return 0;
    fprintf(stderr, "%s\n", error_message());
    return 1;
}
