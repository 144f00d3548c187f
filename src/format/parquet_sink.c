/*
 * parquet_sink.c: rows out as a Parquet file, by the Parquet writer with its defaults. The schema's
 * key fields stand first, but the file claims no order: an answer need not be in key order.
 *
 * Arrow's form of the schema is always made anew: one that the options carry over from another file
 * may be of other types.
 */
#include "format/format_int.h"

#include "parquet/parquet.h"

#include <stdlib.h>

struct parquet_row_sink {
    struct row_sink base;
    struct byte_sink *to;
    struct parquet_writer *writer;
};

static int write_bytes(void *state, struct slice bytes)
{
    struct parquet_row_sink *sink = state;
    return sink->to->write(sink->to, bytes);
}

static int parquet_write(struct row_sink *base, const struct batch *batch)
{
    return parquet_writer_write(((struct parquet_row_sink *)base)->writer, batch);
}

static int parquet_finish(struct row_sink *base)
{
    return parquet_writer_finish(((struct parquet_row_sink *)base)->writer);
}

static void parquet_close(struct row_sink *base)
{
    parquet_writer_close(((struct parquet_row_sink *)base)->writer);
    schema_release(base->schema);
    free(base);
}

/* The options without Arrow's schema among the key-value entries. */
static struct parquet_writer_options own_options(const struct parquet_writer_options *from,
                                                 struct arena *arena)
{
    struct parquet_writer_options options = {.n_key_values = 0};
    if (!from) return options;
    options = *from;
    struct parquet_key_value *kept =
        ARENA_ARRAY(arena, struct parquet_key_value, from->n_key_values + 1);
    options.n_key_values = 0;
    for (uint32_t i = 0; i < from->n_key_values; i++)
        if (!slice_equal(from->key_values[i].key, SLICE(ARROW_SCHEMA_KEY)))
            kept[options.n_key_values++] = from->key_values[i];
    options.key_values = kept;
    return options;
}

int parquet_sink_open(struct byte_sink *to, const struct schema *schema, struct runtime *runtime,
                      const struct output_options *options, struct row_sink **out)
{
    defer_arena struct arena arena = ARENA_EMPTY;
    struct parquet_writer_options own = own_options(options->parquet, &arena);
    struct parquet_row_sink *sink = memory_alloc_zero(sizeof *sink);
    struct parquet_sink bytes = {write_bytes, sink};
    sink->base =
        (struct row_sink){schema_acquire(schema), parquet_write, parquet_finish, parquet_close};
    sink->to = to;
    int code = parquet_writer_open(&sink->writer, runtime, schema, &bytes, &own, options->budget);
    if (code == 0) code = arrow_schema_add(sink->writer, schema);
    if (code < 0) {
        parquet_close(&sink->base);
        return code;
    }
    *out = &sink->base;
    return 0;
}
