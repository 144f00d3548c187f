/*
 * input_sketches.c: what the row keys of files look like that are no table's yet: read as an ingest
 * would read them, and sketched instead of sorted. Memory is two batches and the sketches.
 */
#include "lsm/ingest_int.h"

#include "sketch/sketch.h"

static int sketch_input(struct sketch_maker *maker, struct runtime *runtime,
                        const struct ingest_input *input,
                        const struct ingest_reader_settings *settings)
{
    struct ingest_reader *reader;
    TRY(ingest_reader_open(&reader, runtime, input, settings));
    int code;
    for (;;) {
        struct batch *batch;
        code = runtime_check_cancel(runtime);
        if (code == 0) code = ingest_reader_next(reader, &batch);
        if (code < 0 || !batch) break;
        code = sketch_maker_add(maker, batch, runtime->budget);
        batch_release(batch);
        if (code < 0) break;
    }
    ingest_reader_close(reader);
    return code;
}

int input_sketches(struct runtime *runtime, const struct schema *schema, const struct slice *paths,
                   size_t n_paths, const struct ingest_options *options, uint32_t k,
                   struct file_sketches **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct ingest_input *inputs;
    size_t n_inputs;
    struct bad_rows bad = {.fd = -1};
    struct ingest_reader_settings settings = {.schema = schema,
                                              .ignore_extra_columns = options->ignore_extra_columns,
                                              .csv_null_text = options->csv_null_text,
                                              .bad = &bad};
    TRY(ingest_inputs_find(runtime, paths, n_paths, options, &arena, &inputs, &n_inputs));
    struct sketch_maker *maker =
        sketch_maker_new(schema, schema->n_row_keys, k, SLICE("estimate-splits"));
    int code = 0;
    for (size_t i = 0; i < n_inputs && code == 0; i++)
        code = sketch_input(maker, runtime, &inputs[i], &settings);
    if (code == 0) *out = sketch_maker_take(maker);
    sketch_maker_free(maker);
    return code;
}
