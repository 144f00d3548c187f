/*
 * merge_run.c: data files merged into one, timed; what bench/merge.py runs.
 *
 *   merge_run ROOT THREADS MEMORY-BYTES make FILES ROWS OVERLAP
 *   merge_run ROOT THREADS MEMORY-BYTES merge | recode | process | limit [OUTPUT]
 *
 * make begins an instance with a table of (key string of 18; sort long; value string of 80 random
 * letters and digits) and FILES files of ROWS rows each; the keys of each lie in a stretch of the
 * key space of its own, but for OVERLAP hundredths of it that reach into the next (100: all files
 * lie over the whole key space). merge makes one file of them; recode the same without copying row
 * groups; process the same through an age filter, which keeps all, and an aggregation; limit writes
 * the rows of one file after another, decoded and encoded but not merged. Prints one JSON object.
 * The output is removed, or moved to OUTPUT.
 */
#include "lsm/ingest_int.h"
#include "parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char schema_json[] = "{\"rowKeyFields\":[{\"name\":\"key\",\"type\":\"StringType\"}],"
                                  "\"sortKeyFields\":[{\"name\":\"sort\",\"type\":\"LongType\"}],"
                                  "\"valueFields\":[{\"name\":\"value\",\"type\":\"StringType\"}]}";

static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
enum { KEY_BYTES = 18, VALUE_BYTES = 80, NUMBER_BYTES = 11, BATCH_ROWS = 50000 };

struct bench {
    struct runtime runtime;
    struct budget budget;
    struct arena arena;
    struct store *store;
    struct instance *instance;
    struct table *table;
    const char *root;
    uint64_t memory_bytes;
};

/* ---- making ---- */

/* A key at a place of the key space, [0, 2^62): its digits, then anything. */
static void fill_key(struct random *random, uint64_t place, char *out)
{
    for (int i = NUMBER_BYTES; i-- > 0; place /= 62)
        out[i] = letters[place % 62];
    for (int i = NUMBER_BYTES; i < KEY_BYTES; i++)
        out[i] = letters[random_below(random, 62)];
}

static void fill_value(struct random *random, char *out)
{
    uint8_t bytes[VALUE_BYTES];
    random->fill(random, bytes, sizeof bytes);
    for (int i = 0; i < VALUE_BYTES; i++)
        out[i] = letters[bytes[i] * 62 >> 8];
}

static int add_batch(const struct schema *schema, struct random *random, uint64_t from,
                     uint64_t width, int64_t n, struct batch **out)
{
    struct batch_builder *builder;
    char key[KEY_BYTES], value[VALUE_BYTES];
    TRY(batch_builder_new(&builder, schema, NULL));
    for (int64_t i = 0; i < n; i++) {
        fill_key(random, from + random_below(random, width), key);
        fill_value(random, value);
        TRY(column_builder_append_bytes(batch_builder_column(builder, 0),
                                        slice_make(key, sizeof key)));
        TRY(column_builder_append_integer(batch_builder_column(builder, 1),
                                          (int64_t)(random_u64(random) >> 1)));
        TRY(column_builder_append_bytes(batch_builder_column(builder, 2),
                                        slice_make(value, sizeof value)));
        TRY(batch_builder_end_row(builder));
    }
    TRY(batch_builder_finish(builder, out));
    batch_builder_free(builder);
    return 0;
}

static int make(struct bench *bench, unsigned n_files, int64_t n_rows, unsigned overlap)
{
    struct schema *schema;
    struct random *random = random_seeded_new(20261121);
    TRY(schema_from_json(slice_from_text(schema_json), &schema));
    struct table_definition definition = {.name = SLICE("bench"), .schema = schema};
    TRY(instance_init(&bench->runtime, bench->store, NULL, 0));
    TRY(instance_open(&bench->runtime, bench->store, 0, NULL, &bench->instance));
    TRY(table_create(bench->instance, &definition, &bench->table));
    uint64_t stretch = (UINT64_C(1) << 62) / (n_files + 1);
    for (unsigned f = 0; f < n_files; f++) {
        uint64_t from = overlap < 100 ? f * stretch : 0;
        uint64_t width = overlap < 100 ? stretch + stretch / 100 * overlap : n_files * stretch;
        size_t n_batches = (size_t)((n_rows + BATCH_ROWS - 1) / BATCH_ROWS);
        struct batch **batches = memory_alloc_zero((n_batches + 1) * sizeof *batches);
        for (size_t i = 0; i < n_batches; i++) {
            int64_t left = n_rows - (int64_t)i * BATCH_ROWS;
            TRY(add_batch(schema, random, from, width, left < BATCH_ROWS ? left : BATCH_ROWS,
                          &batches[i]));
        }
        struct batch_stream *stream;
        struct ingest_options options = {.memory_bytes = UINT64_C(1) << 30};
        struct ingest_result result;
        TRY(batch_stream_of(schema, batches, (uint32_t)n_batches, &stream));
        TRY(ingest_stream(bench->table, &bench->runtime, stream, &options, &bench->arena, &result));
        for (size_t i = 0; i < n_batches; i++)
            batch_release(batches[i]);
        free(batches);
    }
    schema_release(schema);
    random_seeded_free(random);
    printf("{}\n");
    return 0;
}

/* ---- measuring ---- */

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

struct inputs {
    struct merge_file_input items[4096];
    size_t n;
    struct arena *arena;
    const struct table *table;
};

static int add_input(void *context, const struct table_file *file)
{
    struct inputs *inputs = context;
    struct slice name = arena_copy(inputs->arena, file->name);
    uint32_t n = 1;
    struct file_bound *bounds = ARENA_ARRAY(inputs->arena, struct file_bound, n);
    bounds->min = arena_copy(inputs->arena, file->bounds->min);
    bounds->max = arena_copy(inputs->arena, file->bounds->max);
    bounds->max_exclusive = file->bounds->max_exclusive;
    if (inputs->n == 4096) return error_set(GLIS_ELIMIT, "too many files");
    inputs->items[inputs->n++] = (struct merge_file_input){
        .name = name,
        .object_key = table_file_key(inputs->table, name, inputs->arena),
        .size = file->size,
        .rows = file->rows,
        .schema_version = file->schema_version,
        .bounds = bounds,
    };
    return 0;
}

/* The rows of one file after another into one, as they are. */
static int recode_files(struct bench *bench, const struct table_state *state,
                        const struct inputs *inputs, struct merge_files_result *out)
{
    struct data_file_context context = {.table = bench->table,
                                        .state = state,
                                        .runtime = &bench->runtime,
                                        .store = bench->store,
                                        .schema = table_state_schema(state),
                                        .budget = &bench->budget,
                                        .arena = &bench->arena};
    struct data_file_writer *writer;
    struct data_file file = {0};
    uint32_t fields[] = {0, 1, 2};
    TRY(data_file_open(&writer, &context));
    for (size_t i = 0; i < inputs->n; i++) {
        struct parquet_reader *reader;
        struct batch_stream *stream;
        TRY(parquet_reader_open(&reader, &bench->runtime, bench->store, inputs->items[i].object_key,
                                &bench->budget));
        TRY(parquet_reader_stream(reader, &stream));
        for (;;) {
            struct batch *batch, *own;
            TRY(batch_stream_next(stream, &batch));
            if (!batch) break;
            TRY(batch_project(batch, context.schema, fields, &own));
            TRY(data_file_write(writer, own));
            batch_release(own);
            batch_release(batch);
        }
        batch_stream_close(stream);
        parquet_reader_close(reader);
    }
    TRY(data_file_finish(writer, &file));
    *out = (struct merge_files_result){
        .any = true, .object_key = file.key, .file = {.size = file.size, .rows = file.rows}};
    out->rows_read = file.rows;
    arena_free(&file.arena);
    return 0;
}

/* A filter that looks at every row and an aggregation of every value. */
struct worked {
    struct bench *bench;
    struct processing processing;
    struct process_options options;
};

static int open_processing(void *state, struct batch_stream *in, struct batch_stream **out)
{
    struct worked *worked = state;
    return process_open(out, &worked->bench->runtime, in, &worked->processing, &worked->options,
                        &worked->bench->budget);
}

static int prepare_processing(struct bench *bench, const struct table_state *state,
                              struct worked *out)
{
    struct processing_settings settings = {.filters = SLICE("ageOff(sort,9223372036854775807)"),
                                           .aggregations = SLICE("max(value)")};
    *out = (struct worked){.bench = bench};
    return processing_parse(table_state_schema(state), &settings, &bench->arena, &out->processing);
}

static int measure(struct bench *bench, const char *order, const char *output)
{
    struct inputs *inputs = memory_alloc_zero(sizeof *inputs);
    struct merge_files_result result;
    const struct table_state *state;
    TRY(instance_open(&bench->runtime, bench->store, 0, NULL, &bench->instance));
    TRY(table_open(bench->instance, SLICE("bench"), &bench->table));
    TRY(table_state_get(bench->table, 0, &state));
    inputs->arena = &bench->arena;
    inputs->table = bench->table;
    TRY(table_each_file(state, add_input, inputs));
    struct merge_files_options options = {.memory_bytes = bench->memory_bytes,
                                          .without_copying = strcmp(order, "recode") == 0};
    struct worked worked;
    TRY(prepare_processing(bench, state, &worked));
    struct merge_hook hook = {.open = open_processing, .state = &worked, .by_key = true};
    if (strcmp(order, "process") == 0) options.hook = &hook;
    struct clock *clock = bench->runtime.clock;
    int64_t start = clock->monotonic_ns(clock);
    if (strcmp(order, "limit") == 0)
        TRY(recode_files(bench, state, inputs, &result));
    else
        TRY(merge_files(bench->table, state, &bench->runtime, inputs->items, inputs->n, &options,
                        &bench->arena, &result));
    double seconds = (double)(clock->monotonic_ns(clock) - start) / 1e9;
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("{\"seconds\": %.4f, \"rows\": %llu, \"output_bytes\": %llu, \"rows_copied\": %llu, "
           "\"ranges\": %llu, \"passes\": %llu, \"user_seconds\": %.2f, \"system_seconds\": %.2f, "
           "\"peak_counted_mib\": %llu, \"resident_mib\": %ld}\n",
           seconds, (unsigned long long)result.file.rows, (unsigned long long)result.file.size,
           (unsigned long long)result.rows_copied, (unsigned long long)result.ranges,
           (unsigned long long)result.passes,
           (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
           (unsigned long long)(bench->budget.peak_bytes >> 20), resident_mib());
    char path[8192];
    (void)snprintf(path, sizeof path, "%s/%.*s", bench->root, SLICE_PRINT(result.object_key));
    if (output ? rename(path, output) : remove(path))
        return error_set(GLIS_EIO, "cannot move '%s'", path);
    table_state_release(state);
    free(inputs);
    return 0;
}

static int run(int n_arguments, char **arguments)
{
    struct bench bench = {.root = arguments[1]};
    unsigned threads = (unsigned)strtoul(arguments[2], NULL, 10);
    budget_init(&bench.budget, "process memory", 0, NULL, NULL);
    bench.runtime = (struct runtime){.clock = clock_system(),
                                     .random = random_system(),
                                     .pool = pool_new(threads > 1 ? threads : 0),
                                     .budget = &bench.budget};
    bench.memory_bytes = strtoull(arguments[3], NULL, 10);
    TRY(store_local_open(&bench.runtime, bench.root, STORE_LOCAL_CREATE, &bench.store));
    int code;
    if (strcmp(arguments[4], "make") == 0 && n_arguments == 8)
        code = make(&bench, (unsigned)strtoul(arguments[5], NULL, 10),
                    (int64_t)strtoll(arguments[6], NULL, 10),
                    (unsigned)strtoul(arguments[7], NULL, 10));
    else
        code = measure(&bench, arguments[4], n_arguments > 5 ? arguments[5] : NULL);
    table_close(bench.table);
    instance_close(bench.instance);
    store_close(bench.store);
    arena_free(&bench.arena);
    pool_free(bench.runtime.pool);
    return code;
}

int main(int n_arguments, char **arguments)
{
    if (n_arguments < 5) {
        fprintf(stderr,
                "usage: merge_run ROOT THREADS MEMORY-BYTES make FILES ROWS OVERLAP\n"
                "       merge_run ROOT THREADS MEMORY-BYTES merge|recode|process|limit [OUTPUT]\n");
        return 2;
    }
    if (run(n_arguments, arguments) == 0) return 0;
    fprintf(stderr, "%s\n", error_message());
    return 1;
}
