/*
 * glis_library.c: the functions of glis.h: what programs in other languages reach Glis through.
 *
 * A thin layer: each function opens the table by name, so that it always sees the catalogue as it
 * is, and calls the module that does the work. An instance holds one engine, whose caches its
 * queries share, and the threads. A query's stream holds its table and its own arena, and gives
 * them back when it is released; the instance must still be there then.
 */
#include "base/logger.h"
#include "lsm/lsm.h"
#include "query/query.h"
#include "table/table.h"

#include <pthread.h>
#include <unistd.h>

struct glis_instance {
    struct budget memory, query_memory;
    struct runtime runtime;
    struct logger logger;
    struct property_overrides overrides;
    struct store *store;
    struct instance *instance;
    struct query_engine *engine;
};

/* A query's answer with what must outlive it. */
struct library_stream {
    struct batch_stream base;
    struct batch_stream *answer;
    struct table *table;
    const struct table_state *state;
    struct schema *count_schema; /* of a count: its only column; NULL: rows are given */
    bool ended;
    const char *cursor; /* in the arena, when it was asked for */
    struct arena arena;
};

static int open_parts(struct glis_instance *instance, const char *root);
static void runtime_begin(struct runtime *runtime, struct budget *budget);
static unsigned thread_count(int64_t wanted);
static const char *environment(void *state, const char *name);
static int split_points_encode(const struct schema *schema, const char *const *points, size_t n,
                               struct arena *arena, struct slice *out);
static int ingest_end(struct glis_instance *instance, struct table *table, int code,
                      const struct ingest_result *result, uint64_t *n_rows);
static int stream_open(struct glis_instance *instance, const char *table, const char *query,
                       struct library_stream *stream);
static int stream_next(struct batch_stream *stream, struct batch **out);
static void stream_close(struct batch_stream *stream);

const char *glis_version(void)
{
    return GLIS_VERSION;
}

const char *glis_error_message(void)
{
    return error_message();
}

/* ---- instances ---- */

int glis_instance_init(const char *root)
{
    struct budget memory;
    struct runtime runtime;
    struct store *store;
    budget_init(&memory, "memory of the process", 0, NULL, NULL);
    runtime_begin(&runtime, &memory);
    int code = store_root_open(&runtime, slice_from_text(root), STORE_LOCAL_CREATE, &store);
    if (code == 0) {
        code = store_root_begin(store, SLICE_EMPTY);
        if (code == 0) code = instance_init(&runtime, store, NULL, 0);
        store_close(store);
    }
    pool_free(runtime.pool);
    return code;
}

int glis_instance_open(const char *root, struct glis_instance **out)
{
    struct glis_instance *instance = memory_alloc_zero(sizeof *instance);
    budget_init(&instance->memory, "memory of the process", 0, NULL, NULL);
    runtime_begin(&instance->runtime, &instance->memory);
    instance->overrides = (struct property_overrides){.environment = environment};
    int code = open_parts(instance, root);
    if (code < 0) {
        glis_instance_close(instance);
        return code;
    }
    *out = instance;
    return 0;
}

static int open_parts(struct glis_instance *instance, const char *root)
{
    struct runtime *runtime = &instance->runtime;
    TRY(property_overrides_check(&instance->overrides));
    TRY(property_logger(&instance->overrides, NULL, runtime->clock, &instance->logger));
    runtime->logger = &instance->logger;
    TRY(store_root_open(runtime, slice_from_text(root), 0, &instance->store));
    TRY(instance_open(runtime, instance->store, 0, &instance->overrides, &instance->instance));
    TRY(property_logger(&instance->overrides, instance->instance, runtime->clock,
                        &instance->logger));
    pool_free(runtime->pool);
    runtime->pool = pool_new(thread_count(instance_number(instance->instance, PROPERTY_THREADS)));
    budget_init(&instance->query_memory, "memory of queries",
                (uint64_t)instance_number(instance->instance, PROPERTY_QUERY_MEMORY),
                "set glis.query.memory", &instance->memory);
    return query_engine_new(&instance->engine, runtime, &instance->query_memory, 0);
}

void glis_instance_close(struct glis_instance *instance)
{
    if (!instance) return;
    query_engine_free(instance->engine);
    instance_close(instance->instance);
    store_close(instance->store);
    pool_free(instance->runtime.pool);
    free(instance);
}

static char process[RUNTIME_PROCESS_BYTES];
static pthread_once_t process_once = PTHREAD_ONCE_INIT;

static void process_name_make(void)
{
    runtime_process_name(process);
}

static void runtime_begin(struct runtime *runtime, struct budget *budget)
{
    *runtime = (struct runtime){
        .clock = clock_system(), .random = random_system(), .pool = pool_new(0), .budget = budget};
    pthread_once(&process_once, process_name_make);
    runtime->process = process;
}

static unsigned thread_count(int64_t wanted)
{
    long n = wanted > 0 ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);
    return n <= 1 ? 0 : n > 1024 ? 1024 : (unsigned)n;
}

static const char *environment(void *state, const char *name)
{
    (void)state;
    return getenv(name);
}

/* ---- tables ---- */

int glis_table_create(struct glis_instance *instance, const char *name, const char *schema,
                      const char *const *split_points, size_t n_split_points)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct schema *parsed;
    TRY(schema_from_json(slice_from_text(schema), &parsed));
    struct slice *points = ARENA_ARRAY(&arena, struct slice, n_split_points + 1);
    int code = split_points_encode(parsed, split_points, n_split_points, &arena, points);
    struct table_definition definition = {.name = slice_from_text(name),
                                          .schema = parsed,
                                          .split_points = points,
                                          .n_split_points = n_split_points};
    if (code == 0) code = table_create(instance->instance, &definition, NULL);
    schema_release(parsed);
    return code;
}

static int split_points_encode(const struct schema *schema, const char *const *points, size_t n,
                               struct arena *arena, struct slice *out)
{
    TRY(schema_validate_table(schema));
    const struct type *type = &schema->fields[0].type;
    for (size_t i = 0; i < n; i++) {
        struct value value;
        defer_buffer struct buffer key = BUFFER_INIT(2 * KEY_BYTES_MAX);
        TRY_CONTEXT(value_from_text(type, slice_from_text(points[i]), arena, &value),
                    "split point %zu", i);
        TRY_CONTEXT(key_append_value(type, &value, &key), "split point %zu", i);
        out[i] = arena_copy(arena, buffer_slice(&key));
        if (i > 0 && slice_compare(out[i - 1], out[i]) >= 0)
            return error_set(GLIS_EINVALID, "split point %zu is not above the one before", i);
    }
    return 0;
}

/* ---- ingest ---- */

int glis_ingest_file(struct glis_instance *instance, const char *table, const char *path,
                     const char *job_id, uint64_t *n_rows)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct table *opened;
    struct ingest_options options = {.job_id = slice_from_text(job_id)};
    struct ingest_result result = {0};
    struct slice paths[1] = {slice_from_text(path)};
    TRY(table_open(instance->instance, slice_from_text(table), &opened));
    int code = ingest_files(opened, &instance->runtime, paths, 1, &options, &arena, &result);
    return ingest_end(instance, opened, code, &result, n_rows);
}

int glis_ingest_stream(struct glis_instance *instance, const char *table,
                       struct ArrowArrayStream *stream, const char *job_id, uint64_t *n_rows)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct batch_stream *rows;
    struct table *opened;
    struct ingest_options options = {.job_id = slice_from_text(job_id)};
    struct ingest_result result = {0};
    TRY(arrow_import_stream(stream, &instance->memory, &rows));
    int code = table_open(instance->instance, slice_from_text(table), &opened);
    if (code < 0) {
        batch_stream_close(rows);
        return code;
    }
    code = ingest_stream(opened, &instance->runtime, rows, &options, &arena, &result);
    return ingest_end(instance, opened, code, &result, n_rows);
}

static int ingest_end(struct glis_instance *instance, struct table *table, int code,
                      const struct ingest_result *result, uint64_t *n_rows)
{
    struct maintain_result maintained;
    if (code == 0 && !result->already_done)
        maintain_inline(table, &instance->runtime, result->total_ns, result->rows, &maintained);
    table_close(table);
    if (code == 0 && n_rows) *n_rows = result->rows;
    return code;
}

/* ---- queries ---- */

int glis_query(struct glis_instance *instance, const char *table, const char *query,
               struct ArrowArrayStream *out)
{
    struct library_stream *stream = memory_alloc_zero(sizeof *stream);
    stream->base.next = stream_next;
    stream->base.close = stream_close;
    int code = stream_open(instance, table, query, stream);
    if (code < 0) {
        stream_close(&stream->base);
        return code;
    }
    stream->base.schema = stream->count_schema ? stream->count_schema : stream->answer->schema;
    return arrow_export_stream(&stream->base, out);
}

static int stream_open(struct glis_instance *instance, const char *table, const char *query,
                       struct library_stream *stream)
{
    struct query parsed;
    TRY(table_open(instance->instance, slice_from_text(table), &stream->table));
    TRY(table_state_get(stream->table, 0, &stream->state));
    TRY(query_from_json(slice_from_text(query), table_state_schema(stream->state), &stream->arena,
                        &parsed));
    if (parsed.count_only) {
        struct field field = {.name = SLICE("count"), .type = {.kind = TYPE_INT64}};
        TRY(schema_new(&stream->count_schema, &field, 1, 0, 0));
    }
    return query_open(instance->engine, stream->table, &parsed, &stream->answer);
}

/* The one row of a count, once the answer has counted. */
static int count_batch(struct library_stream *stream, struct batch **out)
{
    struct batch_builder *builder;
    TRY(batch_builder_new(&builder, stream->count_schema, NULL));
    int code = column_builder_append_integer(batch_builder_column(builder, 0),
                                             (int64_t)query_answer_rows(stream->answer));
    if (code == 0) code = batch_builder_end_row(builder);
    if (code == 0) code = batch_builder_finish(builder, out);
    batch_builder_free(builder);
    return code;
}

const char *glis_query_cursor(struct ArrowArrayStream *exported)
{
    struct batch_stream *base = arrow_exported_stream(exported);
    if (!base || base->close != stream_close) return NULL;
    struct library_stream *stream = (struct library_stream *)base;
    struct query_cursor cursor;
    if (!stream->ended || stream->count_schema) return NULL;
    if (!stream->cursor && query_answer_cursor(stream->answer, &stream->arena, &cursor)) {
        defer_buffer struct buffer text = BUFFER_INIT(16 << 20);
        if (query_cursor_to_text(&cursor, &text) == 0)
            stream->cursor = arena_copy_text(&stream->arena, buffer_slice(&text));
    }
    return stream->cursor;
}

static int stream_next(struct batch_stream *base, struct batch **out)
{
    struct library_stream *stream = (struct library_stream *)base;
    *out = NULL;
    if (stream->ended) return 0;
    TRY(batch_stream_next(stream->answer, out));
    stream->ended = !*out;
    return stream->ended && stream->count_schema ? count_batch(stream, out) : 0;
}

static void stream_close(struct batch_stream *base)
{
    struct library_stream *stream = (struct library_stream *)base;
    batch_stream_close(stream->answer);
    schema_release(stream->count_schema);
    table_state_release(stream->state);
    table_close(stream->table);
    arena_free(&stream->arena);
    free(stream);
}
