/*
 * decode_values.c: a page's encoded values as plain ones, appended to what the leaf has already.
 *
 * Fixed-width values are kept side by side, byte arrays as int32 offsets and bytes; booleans take a
 * byte each until the column is made. Dictionary indices are looked up here, so the dictionary is
 * only needed while the pages are read. Every length in the page is checked against the page.
 */
#include "parquet/parquet_read_int.h"

/* ---- room ---- */

static int grow(struct block **block, uint64_t *room, uint64_t need, struct budget *budget)
{
    if (*block && *room >= need) return 0;
    uint64_t size = need + (*block ? need / 2 : 0);
    if (!*block)
        TRY(block_new(block, budget, size));
    else
        TRY(block_resize(block, size));
    *room = size;
    return 0;
}

int leaf_values_reserve(struct leaf_values *values, int64_t more, uint64_t more_bytes,
                        struct budget *budget)
{
    uint64_t n = (uint64_t)values->n + (uint64_t)more;
    if (values->width) return grow(&values->fixed, &values->fixed_room, n * values->width, budget);
    uint64_t bytes = values->bytes_size + more_bytes;
    if (bytes > INT32_MAX)
        return error_set(GLIS_ELIMIT, "more than 2 GiB of text in one piece of a column");
    bool first = !values->offsets;
    TRY(grow(&values->offsets, &values->offsets_room, (n + 1) * 4, budget));
    if (first) *(int32_t *)(void *)values->offsets->data = 0;
    uint64_t room = values->bytes ? values->bytes->size : 0;
    return grow(&values->bytes, &room, bytes, budget);
}

void leaf_values_free(struct leaf_values *values)
{
    block_release(values->fixed);
    block_release(values->offsets);
    block_release(values->bytes);
    *values = (struct leaf_values){.width = values->width};
}

static int too_short(void)
{
    return error_set(GLIS_ECORRUPT, "a page has fewer values than its header says");
}

static int append_fixed(struct leaf_values *values, const void *from, int64_t n,
                        struct budget *budget)
{
    TRY(leaf_values_reserve(values, n, 0, budget));
    if (n)
        memcpy(values->fixed->data + (uint64_t)values->n * values->width, from,
               (uint64_t)n * values->width);
    values->n += n;
    return 0;
}

/* One text at the end; room was made. */
static void append_text(struct leaf_values *values, const char *data, size_t size)
{
    int32_t *offsets = (int32_t *)(void *)values->offsets->data;
    if (size) memcpy(values->bytes->data + values->bytes_size, data, size);
    values->bytes_size += size;
    offsets[++values->n] = (int32_t)values->bytes_size;
}

/* ---- PLAIN ---- */

static int plain_texts(struct leaf_data *data, struct slice in, int64_t skip, int64_t n)
{
    struct leaf_values *values = &data->values;
    const char *at = in.data, *end = in.data + in.size;
    for (int64_t i = 0; i < skip + n; i++) {
        uint32_t size;
        if (end - at < 4) return too_short();
        memcpy(&size, at, 4);
        if (size > (size_t)(end - at) - 4) return too_short();
        if (i == skip) TRY(leaf_values_reserve(values, n, (uint64_t)(end - at), data->budget));
        if (i >= skip) append_text(values, at + 4, size);
        at += 4 + (size_t)size;
    }
    return 0;
}

static int plain_booleans(struct leaf_data *data, struct slice in, int64_t n_page, int64_t skip,
                          int64_t n)
{
    if (((uint64_t)n_page + 7) / 8 > in.size) return too_short();
    TRY(leaf_values_reserve(&data->values, n, 0, data->budget));
    uint8_t *to = data->values.fixed->data + data->values.n;
    for (int64_t i = 0; i < n; i++)
        to[i] = (uint8_t)in.data[(skip + i) >> 3] >> ((skip + i) & 7) & 1;
    data->values.n += n;
    return 0;
}

static int plain(struct leaf_data *data, struct slice in, int64_t n_page, int64_t skip, int64_t n)
{
    if (data->leaf->type == PARQUET_BOOLEAN) return plain_booleans(data, in, n_page, skip, n);
    unsigned width = data->values.width;
    if (!width && data->leaf->type == PARQUET_BYTE_ARRAY) return plain_texts(data, in, skip, n);
    if ((uint64_t)n_page * width > in.size) return too_short();
    return append_fixed(&data->values, in.data + (uint64_t)skip * width, n, data->budget);
}

/* ---- dictionaries ---- */

static int scratch_words(struct leaf_data *data, int64_t n, unsigned word)
{
    uint64_t need = (uint64_t)n * word + 64;
    if (data->indices && data->indices->size >= need) return 0;
    block_release(data->indices);
    data->indices = NULL;
    return block_new(&data->indices, data->budget, need);
}

static int look_up_texts(struct leaf_data *data, const uint32_t *indices, int64_t n)
{
    const struct leaf_values *dictionary = &data->dictionary;
    const int32_t *offsets = (const int32_t *)(const void *)dictionary->offsets->data;
    uint64_t bytes = 0;
    for (int64_t i = 0; i < n; i++)
        bytes += (uint32_t)(offsets[indices[i] + 1] - offsets[indices[i]]);
    TRY(leaf_values_reserve(&data->values, n, bytes, data->budget));
    const char *texts = (const char *)dictionary->bytes->data;
    for (int64_t i = 0; i < n; i++)
        append_text(&data->values, texts + offsets[indices[i]],
                    (size_t)(offsets[indices[i] + 1] - offsets[indices[i]]));
    return 0;
}

static int look_up_fixed(struct leaf_data *data, const uint32_t *indices, int64_t n)
{
    unsigned width = data->values.width;
    TRY(leaf_values_reserve(&data->values, n, 0, data->budget));
    uint8_t *to = data->values.fixed->data + (uint64_t)data->values.n * width;
    const uint8_t *from = data->dictionary.fixed->data;
    if (width == 8) {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 8 * i, from + 8 * (size_t)indices[i], 8);
    } else if (width == 4) {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 4 * i, from + 4 * (size_t)indices[i], 4);
    } else {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + width * (size_t)i, from + width * (size_t)indices[i], width);
    }
    data->values.n += n;
    return 0;
}

static int by_dictionary(struct leaf_data *data, struct slice in, int64_t n_page, int64_t skip,
                         int64_t n)
{
    if (!data->has_dictionary)
        return error_set(GLIS_ECORRUPT, "a page refers to a dictionary that is not there");
    if (in.size < 1) return too_short();
    TRY(scratch_words(data, n_page, 4));
    uint32_t *indices = (uint32_t *)(void *)data->indices->data;
    TRY(decode_rle_indices(slice_part(in, 1, SIZE_MAX), (uint8_t)in.data[0], n_page, indices));
    uint32_t greatest = 0;
    for (int64_t i = 0; i < n_page; i++)
        greatest = indices[i] > greatest ? indices[i] : greatest;
    if (n_page && greatest >= data->dictionary.n)
        return error_set(GLIS_ECORRUPT, "a page refers to entry %u of a dictionary of %lld",
                         greatest, (long long)data->dictionary.n);
    return data->values.width ? look_up_fixed(data, indices + skip, n)
                              : look_up_texts(data, indices + skip, n);
}

/* ---- the DELTA family and the others ---- */

static int delta_integers(struct leaf_data *data, struct slice in, int64_t n_page, int64_t skip,
                          int64_t n)
{
    unsigned width = data->values.width;
    size_t used;
    if (data->leaf->type != PARQUET_INT32 && data->leaf->type != PARQUET_INT64)
        return error_set(GLIS_ECORRUPT, "DELTA_BINARY_PACKED values that are no integers");
    TRY(scratch_words(data, n_page, width));
    TRY(decode_delta(in, width, n_page, data->indices->data, &used));
    return append_fixed(&data->values, data->indices->data + (uint64_t)skip * width, n,
                        data->budget);
}

/* Lengths that add up to what is in the page; *bytes: all that follows them. */
static int delta_lengths(struct slice in, int64_t n, int32_t *lengths, size_t *used)
{
    TRY(decode_delta(in, 4, n, lengths, used));
    for (int64_t i = 0; i < n; i++)
        if (lengths[i] < 0) return error_set(GLIS_ECORRUPT, "a text of %d bytes", lengths[i]);
    return 0;
}

static int delta_length_texts(struct leaf_data *data, struct slice in, int64_t n_page, int64_t skip,
                              int64_t n)
{
    size_t used;
    TRY(scratch_words(data, n_page, 4));
    int32_t *lengths = (int32_t *)(void *)data->indices->data;
    TRY(delta_lengths(in, n_page, lengths, &used));
    TRY(leaf_values_reserve(&data->values, n, in.size - used, data->budget));
    for (int64_t i = 0; i < skip + n; i++) {
        if ((size_t)lengths[i] > in.size - used) return too_short();
        if (i >= skip) append_text(&data->values, in.data + used, (size_t)lengths[i]);
        used += (size_t)lengths[i];
    }
    return 0;
}

/* Each value is a part of the one before and a suffix; all of them are made, for each needs its
 * predecessor. */
static int delta_texts(struct leaf_data *data, struct slice in, int64_t n_page, int64_t skip,
                       int64_t n)
{
    size_t used, more;
    TRY(scratch_words(data, 2 * n_page, 4));
    int32_t *prefixes = (int32_t *)(void *)data->indices->data, *suffixes = prefixes + n_page;
    TRY(delta_lengths(in, n_page, prefixes, &used));
    TRY(delta_lengths(slice_part(in, used, SIZE_MAX), n_page, suffixes, &more));
    used += more;
    struct buffer last defer_buffer = BUFFER_INIT(PARQUET_PAGE_BYTES_MAX);
    unsigned width = data->values.width;
    for (int64_t i = 0; i < skip + n; i++) {
        if ((size_t)prefixes[i] > last.size || (size_t)suffixes[i] > in.size - used)
            return too_short();
        last.size = (size_t)prefixes[i];
        TRY(buffer_append(&last, in.data + used, (size_t)suffixes[i]));
        used += (size_t)suffixes[i];
        if (i < skip) continue;
        if (width) {
            if (last.size != width)
                return error_set(GLIS_ECORRUPT, "a value of %zu bytes where all have %u", last.size,
                                 width);
            TRY(append_fixed(&data->values, last.data, 1, data->budget));
        } else {
            TRY(leaf_values_reserve(&data->values, 1, last.size, data->budget));
            append_text(&data->values, (const char *)last.data, last.size);
        }
    }
    return 0;
}

static int byte_stream_split(struct leaf_data *data, struct slice in, int64_t n_page, int64_t skip,
                             int64_t n)
{
    unsigned width = data->values.width;
    if (!width || data->leaf->type == PARQUET_BOOLEAN)
        return error_set(GLIS_ECORRUPT, "BYTE_STREAM_SPLIT values without a width");
    if ((uint64_t)n_page * width > in.size) return too_short();
    TRY(leaf_values_reserve(&data->values, n, 0, data->budget));
    uint8_t *to = data->values.fixed->data + (uint64_t)data->values.n * width;
    for (unsigned b = 0; b < width; b++) {
        const char *from = in.data + (uint64_t)b * (uint64_t)n_page + (uint64_t)skip;
        for (int64_t i = 0; i < n; i++)
            to[(uint64_t)i * width + b] = (uint8_t)from[i];
    }
    data->values.n += n;
    return 0;
}

static int run_booleans(struct leaf_data *data, struct slice in, int64_t n_page, int64_t skip,
                        int64_t n)
{
    uint32_t size;
    if (data->leaf->type != PARQUET_BOOLEAN)
        return error_set(GLIS_ECORRUPT, "RLE values that are no booleans");
    if (in.size < 4) return too_short();
    memcpy(&size, in.data, 4);
    if (size > in.size - 4) return too_short();
    TRY(scratch_words(data, n_page, 1));
    TRY(decode_rle_levels(slice_part(in, 4, size), 1, n_page, data->indices->data));
    return append_fixed(&data->values, data->indices->data + skip, n, data->budget);
}

int decode_values(struct leaf_data *data, int encoding, struct slice in, int64_t n_page,
                  int64_t skip, int64_t n)
{
    if (n == 0) return 0;
    switch (encoding) {
    case PARQUET_PLAIN: return plain(data, in, n_page, skip, n);
    case PARQUET_PLAIN_DICTIONARY:
    case PARQUET_RLE_DICTIONARY: return by_dictionary(data, in, n_page, skip, n);
    case PARQUET_RLE: return run_booleans(data, in, n_page, skip, n);
    case PARQUET_DELTA_BINARY_PACKED: return delta_integers(data, in, n_page, skip, n);
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY:
        if (data->values.width)
            return error_set(GLIS_ECORRUPT, "DELTA_LENGTH_BYTE_ARRAY values of fixed width");
        return delta_length_texts(data, in, n_page, skip, n);
    case PARQUET_DELTA_BYTE_ARRAY:
        if (data->leaf->type != PARQUET_BYTE_ARRAY &&
            data->leaf->type != PARQUET_FIXED_LEN_BYTE_ARRAY)
            return error_set(GLIS_ECORRUPT, "DELTA_BYTE_ARRAY values that are no bytes");
        return delta_texts(data, in, n_page, skip, n);
    case PARQUET_BYTE_STREAM_SPLIT: return byte_stream_split(data, in, n_page, skip, n);
    default:
        return error_set(GLIS_EUNSUPPORTED, "values in the encoding %s are not read",
                         parquet_encoding_name(encoding));
    }
}
