/*
 * choose_encoding.c: how the values of a chunk are encoded, by what they look like.
 *
 *   asked for by option   as asked, where the type allows it (parquet_writer_open has checked)
 *   any type              RLE_DICTIONARY, when dictionary and indices are smaller than what else
 *                         would be taken
 *   integers              DELTA_BINARY_PACKED, when that is smaller than PLAIN by a quarter
 *   texts                 DELTA_BYTE_ARRAY, when neighbours share a quarter of their bytes (sorted
 *                         texts do), else DELTA_LENGTH_BYTE_ARRAY: lengths apart from bytes
 *                         compress better and decode in one copy
 *   floating point        BYTE_STREAM_SPLIT, when a sample of the chunk compresses better by a
 *                         twentieth that way (of other types only when asked for: several readers
 *                         know it for FLOAT and DOUBLE alone)
 *
 * Estimates look at a sample that depends on the values' number alone, so the same rows always give
 * the same file. Dictionaries are given up early: when the first values repeat too little.
 */
#include "base/hash.h"
#include "parquet/parquet_int.h"

enum {
    DICTIONARY_BYTES_MAX = 1 << 20,
    DICTIONARY_TRIAL = 8192,
    SAMPLE_RUNS = 16, /* stretches of the chunk that a sample takes */
    SAMPLE_RUN_VALUES = 256,
    SPLIT_SAMPLE_VALUES = 4096,
};

struct slice chunk_value_bytes(const struct write_leaf *leaf, const uint8_t *value)
{
    struct slice s;
    if (leaf->type != PARQUET_BYTE_ARRAY) return slice_make(value, leaf->stride);
    memcpy(&s, value, sizeof(s));
    return s;
}

/* ---- dictionaries ---- */

static int grow_slots(struct chunk_job *job, struct buffer *slots, uint64_t n_slots)
{
    const struct write_leaf *leaf = job->leaf;
    buffer_clear(slots);
    TRY(buffer_append_zeros(slots, n_slots * 4));
    uint32_t *table = (uint32_t *)(void *)slots->data;
    for (uint32_t d = 0; d < job->n_dictionary; d++) {
        struct slice s = chunk_value_bytes(leaf, job->dictionary.data + (size_t)d * leaf->stride);
        uint64_t at = hash_xxh3_64(s.data, s.size) & (n_slots - 1);
        while (table[at])
            at = (at + 1) & (n_slots - 1);
        table[at] = d + 1;
    }
    return 0;
}

/* Gives each value its number in the dictionary; *pays false when it was given up. */
static int number_values(struct chunk_job *job, bool always, struct buffer *slots, uint64_t *bytes,
                         bool *given_up)
{
    const struct write_leaf *leaf = job->leaf;
    uint64_t bytes_max = always ? 64u << 20 : DICTIONARY_BYTES_MAX, n_slots = 1024;
    TRY(buffer_append_zeros(slots, n_slots * 4));
    TRY(buffer_reserve(&job->indices, (size_t)job->in.n_values * 4));
    uint32_t *indices = (uint32_t *)(void *)job->indices.data;
    *given_up = true;
    for (int64_t i = 0; i < job->in.n_values; i++) {
        const uint8_t *value = job->in.values.data + (size_t)i * leaf->stride;
        struct slice s = chunk_value_bytes(leaf, value);
        uint32_t *table = (uint32_t *)(void *)slots->data;
        uint64_t at = hash_xxh3_64(s.data, s.size) & (n_slots - 1);
        while (table[at] &&
               !slice_equal(s, chunk_value_bytes(leaf, job->dictionary.data +
                                                           (size_t)(table[at] - 1) * leaf->stride)))
            at = (at + 1) & (n_slots - 1);
        if (!table[at]) {
            *bytes += s.size + (leaf->type == PARQUET_BYTE_ARRAY ? 4 : 0);
            if (*bytes > bytes_max) return 0;
            TRY(buffer_append(&job->dictionary, value, leaf->stride));
            table[at] = ++job->n_dictionary;
        }
        indices[i] = table[at] - 1;
        if (!always && i + 1 == DICTIONARY_TRIAL && job->n_dictionary > DICTIONARY_TRIAL / 2)
            return 0;
        if (job->n_dictionary * 2 <= n_slots) continue;
        n_slots *= 4;
        TRY(grow_slots(job, slots, n_slots));
    }
    *given_up = false;
    return 0;
}

static int build_dictionary(struct chunk_job *job, bool always, uint64_t other_bytes, bool *pays)
{
    struct buffer slots;
    uint64_t bytes = 0;
    bool given_up;
    *pays = false;
    buffer_init(&slots, CHUNK_VALUES_BYTES_MAX, job->budget);
    int code = number_values(job, always, &slots, &bytes, &given_up);
    buffer_free(&slots);
    if (code < 0 || given_up || job->n_dictionary == 0) return code;
    uint64_t bits = encode_width(job->n_dictionary - 1) * (uint64_t)job->in.n_values;
    *pays = always || bytes + bits / 8 < other_bytes;
    return 0;
}

/* ---- estimates ---- */

/* The i-th stretch of the sample: values [*begin, *begin + *n). */
static bool sample_run(int64_t n_values, int i, int64_t *begin, int64_t *n)
{
    int64_t step = n_values / SAMPLE_RUNS;
    if (step <= SAMPLE_RUN_VALUES) { /* all of them, in one */
        *begin = 0;
        *n = n_values;
        return i == 0;
    }
    *begin = i * step;
    *n = SAMPLE_RUN_VALUES;
    return i < SAMPLE_RUNS;
}

/* Bytes of the sampled values, and those of them that the value before has too. */
static int choose_for_texts(const struct chunk_job *job, uint64_t *bytes)
{
    const struct slice *values = (const struct slice *)(const void *)job->in.values.data;
    int64_t begin, n, seen = 0;
    uint64_t total = 0, shared = 0;
    for (int r = 0; sample_run(job->in.n_values, r, &begin, &n); r++) {
        for (int64_t i = begin; i < begin + n; i++) {
            total += values[i].size;
            if (i > begin) shared += encode_common_prefix(values[i - 1], values[i]);
        }
        seen += n;
    }
    uint64_t n_values = (uint64_t)job->in.n_values;
    *bytes = (uint64_t)((double)total / (double)seen * (double)n_values) + n_values;
    if (shared <= total / 4) return PARQUET_DELTA_LENGTH_BYTE_ARRAY;
    *bytes -= (uint64_t)((double)shared / (double)seen * (double)n_values);
    return PARQUET_DELTA_BYTE_ARRAY;
}

static int choose_for_integers(const struct chunk_job *job, uint64_t *bytes)
{
    uint32_t width = job->leaf->stride;
    int64_t begin, n, seen = 0;
    uint64_t delta = 0;
    for (int r = 0; sample_run(job->in.n_values, r, &begin, &n); r++) {
        delta += encode_delta_estimate(job->in.values.data + (size_t)begin * width, n, width);
        seen += n;
    }
    uint64_t n_values = (uint64_t)job->in.n_values, plain = n_values * width;
    delta = (uint64_t)((double)delta / (double)seen * (double)n_values);
    *bytes = delta < plain / 4 * 3 ? delta : plain;
    return delta < plain / 4 * 3 ? PARQUET_DELTA_BINARY_PACKED : PARQUET_PLAIN;
}

/* Whether a stretch from the middle compresses better by a twentieth with its bytes apart. */
static int split_helps(struct chunk_job *job, bool *helps)
{
    uint32_t width = job->leaf->stride;
    int64_t n = job->in.n_values;
    *helps = false;
    if (job->codec.codec == PARQUET_UNCOMPRESSED) return 0;
    int64_t begin = n > SPLIT_SAMPLE_VALUES ? (n - SPLIT_SAMPLE_VALUES) / 2 : 0;
    if (n > SPLIT_SAMPLE_VALUES) n = SPLIT_SAMPLE_VALUES;
    const uint8_t *values = job->in.values.data + (size_t)begin * width;
    struct buffer split, packed;
    buffer_init(&split, CHUNK_VALUES_BYTES_MAX, job->budget);
    buffer_init(&packed, CHUNK_VALUES_BYTES_MAX, job->budget);
    size_t plain_size = 0;
    int code = codec_compress(&job->codec, slice_make(values, (size_t)n * width), &packed);
    plain_size = packed.size < (size_t)n * width ? packed.size : (size_t)n * width;
    if (code == 0) code = encode_split(&split, values, n, width);
    buffer_clear(&packed);
    if (code == 0) code = codec_compress(&job->codec, buffer_slice(&split), &packed);
    *helps = code == 0 && packed.size < plain_size / 20 * 19;
    buffer_free(&split);
    buffer_free(&packed);
    return code;
}

int chunk_choose_encoding(struct chunk_job *job)
{
    const struct write_leaf *leaf = job->leaf;
    uint64_t n = (uint64_t)job->in.n_values, best = n * leaf->stride;
    bool asked = leaf->encoding >= 0, pays;
    job->encoding = PARQUET_PLAIN;
    if (n == 0 || leaf->type == PARQUET_BOOLEAN) return 0;
    if (asked && leaf->encoding != PARQUET_RLE_DICTIONARY) {
        job->encoding = leaf->encoding;
        return 0;
    }
    if (leaf->type == PARQUET_BYTE_ARRAY)
        job->encoding = choose_for_texts(job, &best);
    else if (leaf->type == PARQUET_INT32 || leaf->type == PARQUET_INT64)
        job->encoding = choose_for_integers(job, &best);
    if (leaf->dictionary == 1 && !asked)
        pays = false;
    else
        TRY(build_dictionary(job, asked || leaf->dictionary == 2, best, &pays));
    if (pays) {
        job->encoding = PARQUET_RLE_DICTIONARY;
        return 0;
    }
    if (leaf->order == ORDER_FLOAT || leaf->order == ORDER_DOUBLE) {
        bool helps;
        TRY(split_helps(job, &helps));
        if (helps) job->encoding = PARQUET_BYTE_STREAM_SPLIT;
    }
    return 0;
}

bool encoding_fits(int encoding, enum parquet_type type)
{
    bool number = type == PARQUET_INT32 || type == PARQUET_INT64;
    bool bytes = type == PARQUET_BYTE_ARRAY;
    switch (encoding) {
    case PARQUET_PLAIN: return true;
    case PARQUET_RLE_DICTIONARY: return type != PARQUET_BOOLEAN;
    case PARQUET_RLE: return type == PARQUET_BOOLEAN;
    case PARQUET_DELTA_BINARY_PACKED: return number;
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY: return bytes;
    case PARQUET_DELTA_BYTE_ARRAY: return bytes || type == PARQUET_FIXED_LEN_BYTE_ARRAY;
    case PARQUET_BYTE_STREAM_SPLIT:
        return number || type == PARQUET_FLOAT || type == PARQUET_DOUBLE ||
               type == PARQUET_FIXED_LEN_BYTE_ARRAY;
    default: return false;
    }
}
