/*
 * merge_stream.c: the merge as streams of batches see it, and reading ahead.
 *
 * A stream's batches get their keys here and are checked: rows that do not ascend (or descend) are
 * damage, found where they come from and not later as a wrong answer. Reading ahead fetches one
 * block of each input on the pool while its present one is merged, so decoding overlaps with
 * merging.
 */
#include "lsm/lsm_int.h"

/* ---- reading ahead ---- */

struct read_ahead {
    struct sorted_source source;
    struct sorted_source *behind;
    struct task_group *group;
    struct sorted_block block; /* the one being fetched */
    bool started, ended;
};

static int read_ahead_fetch(void *state)
{
    struct read_ahead *self = state;
    return self->behind->next(self->behind, &self->block);
}

static int read_ahead_next(struct sorted_source *source, struct sorted_block *out)
{
    struct read_ahead *self = (struct read_ahead *)source;
    *out = (struct sorted_block){0};
    if (self->ended) return 0;
    if (!self->started) {
        self->started = true;
        TRY(task_group_start(self->group, read_ahead_fetch, self));
    }
    TRY(task_group_wait(self->group));
    *out = self->block;
    self->block = (struct sorted_block){0};
    if (!out->batch) {
        self->ended = true;
        return 0;
    }
    int code = task_group_start(self->group, read_ahead_fetch, self);
    if (code < 0) sorted_block_free(out);
    return code;
}

static void read_ahead_close(struct sorted_source *source)
{
    struct read_ahead *self = (struct read_ahead *)source;
    task_group_free(self->group);
    sorted_block_free(&self->block);
    self->behind->close(self->behind);
    memory_defer_free(&self);
}

int read_ahead_open(struct sorted_source **out, struct runtime *runtime,
                    struct sorted_source *behind)
{
    struct read_ahead *self = memory_alloc_zero(sizeof *self);
    self->source = (struct sorted_source){read_ahead_next, read_ahead_close};
    self->behind = behind;
    self->group = task_group_new(runtime->pool, 1);
    *out = &self->source;
    return 0;
}

/* ---- a stream of batches as a source ---- */

struct stream_source {
    struct sorted_source source;
    struct batch_stream *stream;
    struct budget *budget;
    uint32_t n_key_fields, number;
    bool descending;
    uint64_t n_rows;
    struct buffer last_key; /* of the batch before */
};

static int check_order(struct stream_source *self, const struct keys *keys)
{
    struct slice last = buffer_slice(&self->last_key);
    bool any = self->n_rows > 0;
    for (int64_t row = 0; row < keys->n_rows; row++) {
        struct slice key = keys_get(keys, row);
        int c = any ? slice_compare(last, key) : 0;
        if (self->descending ? c < 0 : c > 0)
            return error_set(GLIS_ECORRUPT, "input %u of a merge is out of order at row %llu",
                             self->number, (unsigned long long)(self->n_rows + (uint64_t)row));
        last = key;
        any = true;
    }
    buffer_clear(&self->last_key);
    TRY(buffer_append_slice(&self->last_key, last));
    self->n_rows += (uint64_t)keys->n_rows;
    return 0;
}

static int stream_source_next(struct sorted_source *source, struct sorted_block *out)
{
    struct stream_source *self = (struct stream_source *)source;
    *out = (struct sorted_block){0};
    do {
        batch_release(out->batch);
        TRY(batch_stream_next(self->stream, &out->batch));
        if (!out->batch) return 0;
    } while (out->batch->n_rows == 0);
    int code = keys_encode(&out->keys, out->batch, self->n_key_fields, self->budget);
    if (code == 0) code = check_order(self, &out->keys);
    if (code < 0) sorted_block_free(out);
    return code;
}

static void stream_source_close(struct sorted_source *source)
{
    struct stream_source *self = (struct stream_source *)source;
    batch_stream_close(self->stream);
    buffer_free(&self->last_key);
    memory_defer_free(&self);
}

static struct sorted_source *stream_source_new(struct batch_stream *stream, uint32_t number,
                                               const struct merge_options *options,
                                               struct budget *budget)
{
    struct stream_source *self = memory_alloc_zero(sizeof *self);
    self->source = (struct sorted_source){stream_source_next, stream_source_close};
    self->stream = stream;
    self->number = number;
    self->budget = budget;
    self->n_key_fields = options->n_key_fields;
    self->descending = options->descending;
    buffer_init(&self->last_key, KEY_BYTES_MAX, NULL);
    return &self->source;
}

/* ---- the merge as a stream ---- */

struct merge_stream {
    struct batch_stream stream;
    struct merge *merge;
};

static int merge_stream_next(struct batch_stream *stream, struct batch **out)
{
    struct merge_stream *self = (struct merge_stream *)stream;
    struct sorted_block block;
    *out = NULL;
    TRY(merge_next(self->merge, &block));
    keys_free(&block.keys);
    *out = block.batch;
    return 0;
}

static void merge_stream_close(struct batch_stream *stream)
{
    struct merge_stream *self = (struct merge_stream *)stream;
    merge_free(self->merge);
    schema_release(self->stream.schema);
    memory_defer_free(&self);
}

int merge_open(struct batch_stream **out, struct runtime *runtime, const struct schema *schema,
               struct batch_stream **inputs, uint32_t n_inputs, const struct merge_options *options,
               struct budget *budget)
{
    struct merge_options own = options ? *options : (struct merge_options){0};
    if (own.n_key_fields == 0) own.n_key_fields = schema_key_count(schema);
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < n_inputs; i++) {
        if (!schema_equal(inputs[i]->schema, schema))
            code = error_set(GLIS_EINVALID, "input %u of a merge has another schema", i);
    }
    if (code == 0 && (n_inputs > MERGE_INPUTS_MAX || own.n_key_fields > schema->n_fields))
        code = error_set(GLIS_EINVALID, "a merge of %u inputs by %u fields is not possible",
                         n_inputs, own.n_key_fields);
    if (code < 0) {
        for (uint32_t i = 0; i < n_inputs; i++)
            batch_stream_close(inputs[i]);
        return code;
    }
    defer_free struct sorted_source **sources = memory_alloc((n_inputs + 1) * sizeof *sources);
    for (uint32_t i = 0; code == 0 && i < n_inputs; i++) {
        sources[i] = stream_source_new(inputs[i], i, &own, budget);
        if (own.read_ahead) code = read_ahead_open(&sources[i], runtime, sources[i]);
    }
    ASSERT(code == 0);
    struct merge_settings settings = {
        .descending = own.descending,
        .serial = own.serial,
        .skip = own.common_bytes,
        .batch_rows = own.batch_rows,
        .batch_bytes = own.batch_bytes,
    };
    struct merge_stream *self = memory_alloc_zero(sizeof *self);
    TRY(merge_new(&self->merge, runtime, schema, sources, n_inputs, &settings, budget));
    self->stream =
        (struct batch_stream){schema_acquire(schema), merge_stream_next, merge_stream_close};
    *out = &self->stream;
    return 0;
}
