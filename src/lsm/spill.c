/*
 * spill.c: sorted runs on local disk.
 *
 * All runs of a sorter lie in one temporary file without a name: opened with O_TMPFILE, or made
 * under a name and unlinked at once where the file system has no such thing. So a process that dies
 * leaves no file behind, at worst an empty name from the moment in between; the next one that needs
 * a name removes such names. A run that has been read is given back as a hole.
 *
 * A run is blocks one after another. A block is a header, the sizes of all buffers, and the
 * buffers of the columns just as they lie in memory, each at a multiple of 64, and the encoded
 * keys likewise unless the file was told how to make them again. Reading one is a single pread
 * into one piece of memory that the columns then point into: nothing is decoded. The bytes are
 * not compressed: where it was measured (rows of 88 bytes, keys in random hexadecimal, texts of
 * words), writing to the page cache took about the time that zstd 1 takes to compress and write
 * half as much, and lz4 was slower than not compressing.
 *
 *   header   64 bytes: magic, bytes behind the header, XXH3-64 of them, rows, column and key counts
 *   sizes    for each column, depth first: length, null count, bytes of validity, offsets, values
 *            (5 x 8 bytes); then bytes of keys and of key offsets, and the keys' stride (3 x 8)
 *   buffers  in that order; then keys, then key offsets
 *
 * The format lives no longer than the process that writes it, and may change at any time.
 */
#include "lsm/lsm_int.h"

#include "base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SPILL_MAGIC       UINT64_C(0x314c4c4950534c47) /* GLSPILL1 */
#define SPILL_NAME_PREFIX "glis-spill-"

enum { BLOCK_ALIGN = 64, SIZES_PER_COLUMN = 5, SIZES_OF_KEYS = 3 };

struct block_header {
    uint64_t magic, size_bytes, checksum, n_rows, n_sizes;
    uint64_t unused[3];
};
_Static_assert(sizeof(struct block_header) == BLOCK_ALIGN, "the header is one unit");

struct spill_file {
    int fd;
    uint64_t end_bytes;
    _Atomic uint64_t live_bytes; /* read by others while a run is written */
    struct buffer scratch;       /* the block being written */
    sorter_encode encode;        /* NULL: keys are written */
    void *encode_state;
    char folder[512];
};

struct run_source {
    struct sorted_source source;
    const struct spill_file *file;
    const struct spill_run *run;
    const struct schema *schema;
    struct budget *budget;
    uint64_t next_block;
};

/* ---- the file ---- */

/* Names are unlinked as soon as they are made, so whatever still has one belongs to nobody. */
static void remove_leftovers(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, SPILL_NAME_PREFIX, strlen(SPILL_NAME_PREFIX)) == 0)
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
}

static int open_named(const char *folder)
{
    remove_leftovers(folder);
    char path[640];
    (void)snprintf(path, sizeof path, "%s/" SPILL_NAME_PREFIX "XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) (void)unlink(path);
    return fd;
}

uint64_t spill_memory_choose(const struct instance *instance, uint64_t asked_bytes)
{
    return asked_bytes ? asked_bytes : (uint64_t)instance_number(instance, PROPERTY_INGEST_MEMORY);
}

const char *spill_folder_choose(const struct instance *instance, const char *asked,
                                struct arena *arena)
{
    struct slice set = instance_text(instance, PROPERTY_INGEST_SPILL_DIR);
    return asked || !set.size ? asked : arena_copy_text(arena, set);
}

int spill_file_open(struct spill_file **out, const char *folder)
{
    if (!folder || !*folder) folder = getenv("TMPDIR");
    if (!folder || !*folder) folder = "/tmp";
    struct spill_file *file = memory_alloc_zero(sizeof *file);
    if ((size_t)snprintf(file->folder, sizeof file->folder, "%s", folder) >= sizeof file->folder) {
        memory_defer_free(&file);
        return error_set(GLIS_EINVALID, "the name of the spill folder is longer than %zu bytes",
                         sizeof file->folder - 1);
    }
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        fd = open_named(folder);
    if (fd < 0) {
        int code = error_set_errno(errno, "cannot make a spill file in '%s'", folder);
        error_context("set glis.ingest.spill.dir to a folder that can be written");
        memory_defer_free(&file);
        return code;
    }
    file->fd = fd;
    buffer_init(&file->scratch, SIZE_MAX / 2, NULL);
    *out = file;
    return 0;
}

void spill_file_set_encode(struct spill_file *file, sorter_encode encode, void *state)
{
    ASSERT(file->end_bytes == 0);
    file->encode = encode;
    file->encode_state = state;
}

void spill_file_close(struct spill_file *file)
{
    if (!file) return;
    (void)close(file->fd);
    buffer_free(&file->scratch);
    memory_defer_free(&file);
}

uint64_t spill_file_bytes(const struct spill_file *file)
{
    return file->live_bytes;
}

static int write_all(struct spill_file *file, const uint8_t *data, uint64_t size)
{
    uint64_t done = 0;
    while (done < size) {
        ssize_t n = pwrite(file->fd, data + done, size - done, (off_t)(file->end_bytes + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return error_set_errno(n < 0 ? errno : EIO, "writing a sorted run in '%s'",
                                   file->folder);
        done += (uint64_t)n;
    }
    return 0;
}

static int read_all(const struct spill_file *file, uint64_t offset, uint8_t *out, uint64_t size)
{
    uint64_t done = 0;
    while (done < size) {
        ssize_t n = pread(file->fd, out + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(errno, "reading a sorted run in '%s'", file->folder);
        if (n == 0) return error_set(GLIS_ECORRUPT, "a sorted run in '%s' is cut", file->folder);
        done += (uint64_t)n;
    }
    return 0;
}

/* ---- writing ---- */

static uint64_t column_count(const struct type *type)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < type->n_children; i++)
        n += column_count(&type->children[i].type);
    return n;
}

static uint64_t schema_column_count(const struct schema *schema)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < schema->n_fields; i++)
        n += column_count(&schema->fields[i].type);
    return n;
}

static uint64_t values_bytes(const struct column *column)
{
    if (column->type->kind == TYPE_BOOLEAN) return ((uint64_t)column->length + 7) / 8;
    if (column->type->kind == TYPE_STRING || column->type->kind == TYPE_BYTES) {
        if (column->length == 0) return 0;
        return (uint64_t)((const int32_t *)(const void *)column->offsets.data)[column->length];
    }
    return (uint64_t)column->length * type_width(column->type);
}

/* Five numbers for each column; see the top. */
static uint64_t *put_sizes(uint64_t *at, const struct column *column)
{
    ASSERT(column->offset == 0 && !column->dictionary);
    bool offsets = type_has_offsets(column->type);
    *at++ = (uint64_t)column->length;
    *at++ = (uint64_t)column->null_count;
    *at++ = column->validity.data ? ((uint64_t)column->length + 7) / 8 : 0;
    *at++ = offsets && column->length > 0 ? ((uint64_t)column->length + 1) * 4 : 0;
    *at++ = values_bytes(column);
    for (uint32_t i = 0; i < column->type->n_children; i++)
        at = put_sizes(at, &column->children[i]);
    return at;
}

static int put_bytes(struct buffer *out, const void *data, uint64_t size)
{
    TRY(buffer_append(out, data, size));
    return buffer_append_zeros(out, (0 - size) % BLOCK_ALIGN);
}

static int put_column(struct buffer *out, const struct column *column, const uint64_t **sizes)
{
    const uint64_t *mine = *sizes;
    *sizes += SIZES_PER_COLUMN;
    TRY(put_bytes(out, column->validity.data, mine[2]));
    TRY(put_bytes(out, column->offsets.data, mine[3]));
    TRY(put_bytes(out, column->values.data, mine[4]));
    for (uint32_t i = 0; i < column->type->n_children; i++)
        TRY(put_column(out, &column->children[i], sizes));
    return 0;
}

static uint64_t keys_bytes(const struct keys *keys)
{
    if (keys->stride) return (uint64_t)keys->stride * (uint64_t)keys->n_rows;
    ASSERT(keys->offsets[0] == 0);
    return keys->offsets[keys->n_rows];
}

/* The block's bytes, header included, in file->scratch. */
static int serialize_block(struct buffer *out, const struct sorted_block *block, bool with_keys)
{
    const struct batch *batch = block->batch;
    uint64_t n_sizes = schema_column_count(batch->schema) * SIZES_PER_COLUMN + SIZES_OF_KEYS;
    defer_free uint64_t *sizes = memory_alloc(n_sizes * sizeof *sizes);
    uint64_t *at = sizes;
    for (uint32_t i = 0; i < batch->schema->n_fields; i++)
        at = put_sizes(at, &batch->columns[i]);
    const struct keys *keys = &block->keys;
    at[0] = with_keys ? keys_bytes(keys) : 0;
    at[1] = keys->stride || !with_keys ? 0 : ((uint64_t)keys->n_rows + 1) * 4;
    at[2] = with_keys ? keys->stride : 0;
    ASSERT(at + SIZES_OF_KEYS == sizes + n_sizes);

    buffer_clear(out);
    TRY(buffer_append_zeros(out, sizeof(struct block_header)));
    TRY(put_bytes(out, sizes, n_sizes * sizeof *sizes));
    const uint64_t *next = sizes;
    for (uint32_t i = 0; i < batch->schema->n_fields; i++)
        TRY(put_column(out, &batch->columns[i], &next));
    TRY(put_bytes(out, keys->bytes, next[0]));
    TRY(put_bytes(out, keys->offsets, next[1]));
    struct block_header header = {
        .magic = SPILL_MAGIC,
        .size_bytes = out->size - sizeof header,
        .checksum = hash_xxh3_64(out->data + sizeof header, out->size - sizeof header),
        .n_rows = (uint64_t)batch->n_rows,
        .n_sizes = n_sizes,
    };
    memcpy(out->data, &header, sizeof header);
    return 0;
}

int spill_run_append(struct spill_file *file, struct spill_run *run,
                     const struct sorted_block *block)
{
    if (block->batch->n_rows == 0) return 0;
    ASSERT(run->n_blocks == 0 || run->offsets[run->n_blocks] == file->end_bytes);
    TRY(serialize_block(&file->scratch, block, !file->encode));
    TRY(write_all(file, file->scratch.data, file->scratch.size));
    if (run->n_blocks + 2 > run->capacity) {
        run->capacity = run->capacity ? 2 * run->capacity : 64;
        run->offsets = memory_realloc(run->offsets, run->capacity * sizeof *run->offsets);
    }
    struct slice first = keys_get(&block->keys, 0);
    struct slice last = keys_get(&block->keys, block->keys.n_rows - 1);
    if (run->n_blocks == 0) {
        buffer_init(&run->first_key, KEY_BYTES_MAX + 64, NULL);
        buffer_init(&run->last_key, KEY_BYTES_MAX + 64, NULL);
        TRY(buffer_append_slice(&run->first_key, first));
    }
    buffer_clear(&run->last_key);
    TRY(buffer_append_slice(&run->last_key, last));
    run->offsets[run->n_blocks++] = file->end_bytes;
    file->end_bytes += file->scratch.size;
    file->live_bytes += file->scratch.size;
    run->offsets[run->n_blocks] = file->end_bytes;
    run->n_rows += (uint64_t)block->batch->n_rows;
    uint64_t in_memory = file->scratch.size;
    if (file->encode) in_memory += keys_bytes(&block->keys) + 4 * (uint64_t)block->keys.n_rows;
    if (in_memory > run->block_bytes_max) run->block_bytes_max = in_memory;
    return 0;
}

void spill_run_free(struct spill_file *file, struct spill_run *run)
{
    if (run->n_blocks > 0) {
        uint64_t start = run->offsets[0], size = run->offsets[run->n_blocks] - start;
        file->live_bytes -= size;
        if (file->live_bytes == 0) {
            if (ftruncate(file->fd, 0) == 0) file->end_bytes = 0;
        } else {
            (void)fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
                            (off_t)size);
        }
        buffer_free(&run->first_key);
        buffer_free(&run->last_key);
    }
    memory_defer_free(&run->offsets);
    *run = (struct spill_run){0};
}

/* ---- reading ---- */

/* Where a block is being taken apart. */
struct block_cursor {
    struct block *block;
    const uint64_t *sizes;
    uint64_t position; /* of the next buffer */
    bool failed;
};

static void take_buffer(struct block_cursor *cursor, uint64_t size, struct column_buffer *out)
{
    *out = (struct column_buffer){0};
    if (size == 0) return;
    uint64_t left = cursor->block->size - cursor->position;
    if (cursor->failed || size > left) {
        cursor->failed = true;
        return;
    }
    out->block = block_acquire(cursor->block);
    out->data = cursor->block->data + cursor->position;
    out->size = size;
    uint64_t padded = size + (0 - size) % BLOCK_ALIGN;
    cursor->position += padded > left ? left : padded;
}

static void take_column(struct block_cursor *cursor, const struct type *type, struct column *out)
{
    static const int32_t no_offsets[16];
    *out = (struct column){.type = type};
    out->length = (int64_t)cursor->sizes[0];
    out->null_count = (int64_t)cursor->sizes[1];
    uint64_t validity = cursor->sizes[2], offsets = cursor->sizes[3], values = cursor->sizes[4];
    cursor->sizes += SIZES_PER_COLUMN;
    take_buffer(cursor, validity, &out->validity);
    take_buffer(cursor, offsets, &out->offsets);
    take_buffer(cursor, values, &out->values);
    if (offsets == 0 && type_has_offsets(type)) out->offsets.data = (const uint8_t *)no_offsets;
    if (type->n_children == 0) return;
    out->children = memory_alloc_zero(type->n_children * sizeof *out->children);
    for (uint32_t i = 0; i < type->n_children; i++)
        take_column(cursor, &type->children[i].type, &out->children[i]);
}

/* Makes the batch over the block's memory, and the keys, if it has them. */
static int take_block(const struct schema *schema, struct block *block, struct sorted_block *out)
{
    struct block_header header;
    uint64_t n_sizes = schema_column_count(schema) * SIZES_PER_COLUMN + SIZES_OF_KEYS;
    memcpy(&header, block->data, sizeof header);
    uint64_t body = block->size - sizeof header;
    if (header.magic != SPILL_MAGIC || header.size_bytes != body || header.n_sizes != n_sizes ||
        n_sizes * 8 > body || header.checksum != hash_xxh3_64(block->data + sizeof header, body))
        return error_set(GLIS_ECORRUPT, "a block of a sorted run does not have its checksum");

    struct block_cursor cursor = {.block = block};
    cursor.sizes = (const uint64_t *)(const void *)(block->data + sizeof header);
    if (schema->n_fields == 0 || cursor.sizes[0] != header.n_rows)
        return error_set(GLIS_ECORRUPT, "a block of a sorted run says two numbers of rows");
    cursor.position = sizeof header + n_sizes * 8;
    cursor.position += (0 - cursor.position) % BLOCK_ALIGN;
    struct column *columns = memory_alloc_zero((schema->n_fields + 1) * sizeof *columns);
    for (uint32_t i = 0; i < schema->n_fields; i++)
        take_column(&cursor, &schema->fields[i].type, &columns[i]);
    struct column_buffer key_bytes, key_offsets;
    take_buffer(&cursor, cursor.sizes[0], &key_bytes);
    take_buffer(&cursor, cursor.sizes[1], &key_offsets);
    out->keys = (struct keys){
        .n_rows = (int64_t)header.n_rows,
        .stride = (uint32_t)cursor.sizes[2],
        .bytes = key_bytes.data,
        .offsets = (const uint32_t *)(const void *)key_offsets.data,
        .bytes_block = key_bytes.block,
        .offsets_block = key_offsets.block,
    };
    int code = batch_new(&out->batch, schema, columns, (int64_t)header.n_rows);
    memory_defer_free(&columns);
    if (code == 0 && cursor.failed)
        code = error_set(GLIS_ECORRUPT, "a block of a sorted run is shorter than it says");
    if (code < 0) sorted_block_free(out);
    return code;
}

static int make_keys(const struct run_source *self, struct sorted_block *block)
{
    const struct spill_file *file = self->file;
    if (!file->encode) return 0;
    int code = file->encode(file->encode_state, &block->keys, block->batch, self->budget);
    if (code < 0) sorted_block_free(block);
    return code;
}

static int run_next(struct sorted_source *source, struct sorted_block *out)
{
    struct run_source *self = (struct run_source *)source;
    *out = (struct sorted_block){0};
    if (self->next_block == self->run->n_blocks) return 0;
    uint64_t start = self->run->offsets[self->next_block];
    uint64_t size = self->run->offsets[self->next_block + 1] - start;
    struct block *block;
    TRY(block_new(&block, self->budget, size));
    int code = read_all(self->file, start, block->data, size);
    if (code == 0) code = take_block(self->schema, block, out);
    if (code == 0) code = make_keys(self, out);
    block_release(block);
    self->next_block++;
    return code;
}

static void run_close(struct sorted_source *source)
{
    struct run_source *self = (struct run_source *)source;
    memory_defer_free(&self);
}

int spill_run_open(struct sorted_source **out, const struct spill_file *file,
                   const struct spill_run *run, const struct schema *schema, struct budget *budget)
{
    struct run_source *self = memory_alloc_zero(sizeof *self);
    self->source = (struct sorted_source){run_next, run_close};
    self->file = file;
    self->run = run;
    self->schema = schema;
    self->budget = budget;
    *out = &self->source;
    return 0;
}
