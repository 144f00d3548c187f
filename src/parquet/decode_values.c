/*
 * decode_values.c: a page's encoded values as plain ones, appended to what the leaf has already.
 *
 * Fixed-width values are kept side by side, byte arrays as int32 offsets and bytes; booleans take a
 * byte each until the column is made. Dictionary indices are looked up here, or kept where the
 * caller wants dictionary columns, until a page comes that has none. Every length in the page is
 * checked against the page.
 *
 * A page is opened once and its values taken front to back, in as many parts as the caller likes;
 * what cannot begin in the middle (runs, deltas) is decoded beside at first. Room for texts is
 * guessed from the mean and grows when the guess was short.
 */
#include "parquet/parquet_read_int.h"

enum {
    TEXT_SLACK_BYTES = 32, /* behind texts, for copies of a fixed size */
    SPLIT_LANES = 16,
    TEXT_GUESS_BYTES_MAX = 1 << 20, /* beyond it texts are counted */
};

static int too_short(void)
{
    return error_set(GLIS_ECORRUPT, "a page has fewer values than its header says");
}

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
    return grow(&values->bytes, &room, bytes + TEXT_SLACK_BYTES, budget);
}

void leaf_values_free(struct leaf_values *values)
{
    block_release(values->fixed);
    block_release(values->offsets);
    block_release(values->bytes);
    *values = (struct leaf_values){.width = values->width};
}

/* Room for the next n values of fixed width, and for all that the take wants when it is the
 * first. */
static int reserve_fixed(struct leaf_data *data, int64_t n)
{
    int64_t more = n;
    if (!data->values.fixed && data->rows_wanted > n) more = data->rows_wanted;
    return leaf_values_reserve(&data->values, more, 0, data->budget);
}

/* Room for n texts of `bytes` in all; for all of the take when it is the first. What goes beyond
 * these texts is a guess, and given up when there is no room for it. */
static int reserve_texts(struct leaf_data *data, int64_t n, uint64_t bytes)
{
    int64_t more = n;
    uint64_t guess = bytes;
    if (!data->values.offsets && data->rows_wanted > n && n > 0) {
        more = data->rows_wanted;
        uint64_t all = bytes / (uint64_t)n * (uint64_t)more;
        if (all <= INT32_MAX / 2 && all > bytes) guess = all;
    }
    if (leaf_values_reserve(&data->values, more, guess + guess / 16, data->budget) == 0) return 0;
    error_clear();
    return leaf_values_reserve(&data->values, n, bytes, data->budget);
}

/* The end of what texts may fill: a copy of TEXT_SLACK_BYTES from there stays in the block. */
static uint8_t *texts_end(const struct leaf_values *values)
{
    return values->bytes->data + values->bytes->size - TEXT_SLACK_BYTES;
}

/* 64 bytes behind `from` are readable and TEXT_SLACK_BYTES behind `to` writable: most texts are
 * short, and two copies of 16 bytes cost less than a call. */
static inline void copy_text(uint8_t *to, const char *from, size_t size)
{
    if (size <= TEXT_SLACK_BYTES) {
        memcpy(to, from, 16);
        memcpy(to + 16, from + 16, 16);
    } else {
        memcpy(to, from, size);
    }
}

static int append_fixed(struct leaf_data *data, const void *from, int64_t n)
{
    struct leaf_values *values = &data->values;
    TRY(reserve_fixed(data, n));
    if (n)
        memcpy(values->fixed->data + (uint64_t)values->n * values->width, from,
               (uint64_t)n * values->width);
    values->n += n;
    return 0;
}

static int scratch_words(struct leaf_data *data, int64_t n, unsigned word)
{
    uint64_t need = (uint64_t)n * word + 64;
    if (data->indices && data->indices->size >= need) return 0;
    block_release(data->indices);
    data->indices = NULL;
    return block_new(&data->indices, data->budget, need);
}

/* ---- PLAIN ---- */

static int skip_plain_texts(struct leaf_page *page, int64_t n)
{
    const char *end = page->body.data + page->body.size;
    for (int64_t i = 0; i < n; i++) {
        uint32_t size;
        if (end - page->next < 4) return too_short();
        memcpy(&size, page->next, 4);
        if (size > (size_t)(end - page->next) - 4) return too_short();
        page->next += 4 + (size_t)size;
    }
    return 0;
}

/* Takes texts until there is no room; *left: how many are still to come. */
static int fill_plain_texts(struct leaf_data *data, int64_t *left)
{
    struct leaf_values *values = &data->values;
    const char *at = data->page.next, *end = data->page.body.data + data->page.body.size;
    uint8_t *base = values->bytes->data, *to = base + values->bytes_size;
    uint8_t *room_end = texts_end(values);
    int32_t *offsets = (int32_t *)(void *)values->offsets->data + values->n + 1;
    int64_t i = 0, n = *left;
    int code = 0;
    for (; i < n; i++) {
        uint32_t size;
        if (__builtin_expect(end - at < 4, 0)) break;
        memcpy(&size, at, 4);
        if (__builtin_expect(size > (size_t)(end - at) - 4, 0)) break;
        if (__builtin_expect(size > (size_t)(room_end - to), 0)) break;
        copy_text(to, at + 4, size);
        to += size;
        at += 4 + (size_t)size;
        offsets[i] = (int32_t)(to - base);
    }
    data->page.next = at;
    values->n += i;
    values->bytes_size = (uint64_t)(to - base);
    *left = n - i;
    if (i < n) { /* no room, or broken */
        uint32_t size = 0;
        if (end - at >= 4) memcpy(&size, at, 4);
        if (end - at < 4 || size > (size_t)(end - at) - 4) code = too_short();
    }
    return code;
}

static int take_plain_texts(struct leaf_data *data, int64_t n)
{
    struct leaf_page *page = &data->page;
    uint64_t left_bytes = (uint64_t)(page->body.data + page->body.size - page->next);
    int64_t left_values = page->n_values - page->value_at;
    data->texts_unchecked = true;
    for (int64_t left = n; left > 0;) {
        uint32_t next = 0; /* what made the last round end is the next text, which may be long */
        if ((uint64_t)(page->body.data + page->body.size - page->next) >= 4)
            memcpy(&next, page->next, 4);
        if (next > left_bytes) next = 0;
        uint64_t mean = left_bytes / (uint64_t)left_values;
        TRY(reserve_texts(data, left, (mean > 4 ? mean - 4 : 0) * (uint64_t)left + next));
        TRY(fill_plain_texts(data, &left));
    }
    return 0;
}

static int take_plain_booleans(struct leaf_data *data, int64_t n)
{
    const uint8_t *bits = (const uint8_t *)data->page.body.data;
    int64_t skip = data->page.value_at;
    TRY(reserve_fixed(data, n));
    uint8_t *to = data->values.fixed->data + data->values.n;
    for (int64_t i = 0; i < n; i++)
        to[i] = bits[(skip + i) >> 3] >> ((skip + i) & 7) & 1;
    data->values.n += n;
    return 0;
}

/* ---- dictionaries ---- */

static uint64_t look_up_bytes(const int32_t *texts, const uint32_t *indices, int64_t n)
{
    uint64_t bytes = 0;
    for (int64_t i = 0; i < n; i++)
        bytes += (uint64_t)(texts[indices[i] + 1] - texts[indices[i]]);
    return bytes;
}

static int look_up_texts(struct leaf_data *data, const uint32_t *indices, int64_t n)
{
    const struct leaf_values *dictionary = &data->dictionary;
    struct leaf_values *values = &data->values;
    const int32_t *texts = (const int32_t *)(const void *)dictionary->offsets->data;
    const char *text_bytes = (const char *)dictionary->bytes->data;
    uint64_t mean = dictionary->n ? dictionary->bytes_size / (uint64_t)dictionary->n + 1 : 0;
    for (int64_t i = 0; i < n;) {
        uint64_t next = (uint64_t)(texts[indices[i] + 1] - texts[indices[i]]);
        uint64_t guess = mean * (uint64_t)(n - i) + next;
        /* A few long entries say nothing of how long the rows' are. */
        if (guess > TEXT_GUESS_BYTES_MAX) guess = look_up_bytes(texts, indices + i, n - i);
        TRY(reserve_texts(data, n - i, guess));
        uint8_t *base = values->bytes->data, *to = base + values->bytes_size;
        uint8_t *room_end = texts_end(values);
        int32_t *offsets = (int32_t *)(void *)values->offsets->data + values->n + 1;
        int64_t begin = i;
        for (; i < n; i++) {
            int32_t text = texts[indices[i]];
            size_t size = (size_t)(texts[indices[i] + 1] - text);
            if (__builtin_expect(size > (size_t)(room_end - to), 0)) break;
            copy_text(to, text_bytes + text, size);
            to += size;
            offsets[i - begin] = (int32_t)(to - base);
        }
        values->n += i - begin;
        values->bytes_size = (uint64_t)(to - base);
    }
    return 0;
}

static int look_up_fixed(struct leaf_data *data, const uint32_t *indices, int64_t n)
{
    unsigned width = data->values.width;
    TRY(reserve_fixed(data, n));
    uint8_t *to = data->values.fixed->data + (uint64_t)data->values.n * width;
    const uint8_t *from = data->dictionary.fixed->data;
    if (width == 8) {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 8 * i, from + 8 * (size_t)indices[i], 8);
    } else if (width == 4) {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 4 * i, from + 4 * (size_t)indices[i], 4);
    } else if (width == 16) {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + 16 * i, from + 16 * (size_t)indices[i], 16);
    } else {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + width * (size_t)i, from + width * (size_t)indices[i], width);
    }
    data->values.n += n;
    return 0;
}

/* The indices themselves, where a dictionary column is wanted. */
static int append_codes(struct leaf_data *data, const uint32_t *indices, int64_t n)
{
    struct leaf_values *codes = &data->codes;
    int64_t more = codes->fixed || data->rows_wanted < n ? n : data->rows_wanted;
    TRY(leaf_values_reserve(codes, more, 0, data->budget));
    memcpy(codes->fixed->data + (uint64_t)codes->n * 4, indices, (size_t)n * 4);
    codes->n += n;
    return 0;
}

/* Looks the indices up that were kept: what comes next is in no dictionary. */
static int spell_codes(struct leaf_data *data)
{
    const uint32_t *indices = (const uint32_t *)(const void *)data->codes.fixed->data;
    TRY(look_up_texts(data, indices, data->codes.n));
    leaf_values_free(&data->codes);
    return 0;
}

static int open_indices(struct leaf_data *data)
{
    const struct leaf_page *page = &data->page;
    if (!data->has_dictionary)
        return error_set(GLIS_ECORRUPT, "a page refers to a dictionary that is not there");
    if (page->body.size < 1) return too_short();
    TRY(scratch_words(data, page->n_values, 4));
    uint32_t *indices = (uint32_t *)(void *)data->indices->data;
    TRY(decode_rle_indices(slice_part(page->body, 1, SIZE_MAX), (uint8_t)page->body.data[0],
                           page->n_values, indices));
    uint32_t greatest = decode_kernels()->greatest(indices, page->n_values);
    if (greatest >= data->dictionary.n)
        return error_set(GLIS_ECORRUPT, "a page refers to entry %u of a dictionary of %lld",
                         greatest, (long long)data->dictionary.n);
    return 0;
}

int dictionary_read(struct leaf_data *data, struct slice body, int64_t n)
{
    struct leaf_values kept = data->values;
    int64_t rows = data->rows_wanted;
    data->values = (struct leaf_values){.width = leaf_taken_width(data)};
    data->rows_wanted = 0;
    data->page.encoding = PARQUET_PLAIN;
    data->page.body = body;
    data->page.n_values = n;
    data->page.value_at = 0;
    int code = n ? page_values_open(data) : 0;
    if (code == 0 && n) code = page_values_take(data, n);
    if (code == 0 && data->leaf->leaf_type->kind == TYPE_STRING)
        code = leaf_texts_check(&data->values);
    data->dictionary = data->values;
    data->values = kept;
    data->rows_wanted = rows;
    data->texts_unchecked = kept.n > 0 && data->texts_unchecked;
    data->has_dictionary = code == 0;
    data->page.n_values = 0;
    return code;
}

/* ---- the DELTA family and the others ---- */

static int check_integers(const struct leaf_data *data)
{
    if (data->leaf->type == PARQUET_INT32 || data->leaf->type == PARQUET_INT64) return 0;
    return error_set(GLIS_ECORRUPT, "DELTA_BINARY_PACKED values that are no integers");
}

/* A page that is taken whole is decoded where its values shall stand, else beside. */
static int take_delta_integers(struct leaf_data *data, int64_t n)
{
    struct leaf_page *page = &data->page;
    unsigned width = data->values.width;
    size_t used;
    if (n == page->n_values && !page->is_decoded) {
        TRY(reserve_fixed(data, n));
        TRY(decode_delta(page->body, width, n,
                         data->values.fixed->data + (uint64_t)data->values.n * width, &used));
        data->values.n += n;
        return 0;
    }
    if (!page->is_decoded) {
        TRY(scratch_words(data, page->n_values, width));
        TRY(decode_delta(page->body, width, page->n_values, data->indices->data, &used));
        page->is_decoded = true;
    }
    return append_fixed(data, data->indices->data + (uint64_t)page->value_at * width, n);
}

/* Lengths that add up to what is in the page. */
static int delta_lengths(struct slice in, int64_t n, int32_t *lengths, size_t *used)
{
    TRY(decode_delta(in, 4, n, lengths, used));
    for (int64_t i = 0; i < n; i++)
        if (lengths[i] < 0) return error_set(GLIS_ECORRUPT, "a text of %d bytes", lengths[i]);
    return 0;
}

static int open_delta_lengths(struct leaf_data *data)
{
    struct leaf_page *page = &data->page;
    size_t used;
    if (data->width)
        return error_set(GLIS_ECORRUPT, "DELTA_LENGTH_BYTE_ARRAY values of fixed width");
    TRY(scratch_words(data, page->n_values, 4));
    int32_t *lengths = (int32_t *)(void *)data->indices->data;
    TRY(delta_lengths(page->body, page->n_values, lengths, &used));
    page->next = page->body.data + used;
    uint64_t left = page->body.size - used, bytes = 0;
    for (int64_t i = 0; i < page->n_values; i++)
        bytes += (uint64_t)lengths[i];
    return bytes > left ? too_short() : 0;
}

static uint64_t sum_lengths(const struct leaf_data *data, int64_t n)
{
    const int32_t *lengths = (const int32_t *)(const void *)data->indices->data;
    uint64_t bytes = 0;
    for (int64_t i = 0; i < n; i++)
        bytes += (uint64_t)lengths[data->page.value_at + i];
    return bytes;
}

/* The texts stand side by side as they shall. */
static int take_delta_length_texts(struct leaf_data *data, int64_t n)
{
    struct leaf_values *values = &data->values;
    uint64_t bytes = sum_lengths(data, n);
    TRY(reserve_texts(data, n, bytes));
    const int32_t *lengths =
        (const int32_t *)(const void *)data->indices->data + data->page.value_at;
    int32_t *offsets = (int32_t *)(void *)values->offsets->data + values->n;
    for (int64_t i = 0; i < n; i++)
        offsets[i + 1] = offsets[i] + lengths[i];
    if (bytes) memcpy(values->bytes->data + values->bytes_size, data->page.next, bytes);
    values->n += n;
    values->bytes_size += bytes;
    data->page.next += bytes;
    data->texts_unchecked = true;
    return 0;
}

/* Each value is a part of the one before and a suffix; all of a page are made at once, for each
 * needs its predecessor. */
static int open_delta_texts(struct leaf_data *data)
{
    struct leaf_page *page = &data->page;
    int64_t n = page->n_values;
    size_t used, more;
    if (data->leaf->type != PARQUET_BYTE_ARRAY && data->leaf->type != PARQUET_FIXED_LEN_BYTE_ARRAY)
        return error_set(GLIS_ECORRUPT, "DELTA_BYTE_ARRAY values that are no bytes");
    TRY(scratch_words(data, 2 * n, 4));
    int32_t *prefixes = (int32_t *)(void *)data->indices->data, *suffixes = prefixes + n;
    TRY(delta_lengths(page->body, n, prefixes, &used));
    TRY(delta_lengths(slice_part(page->body, used, SIZE_MAX), n, suffixes, &more));
    used += more;
    struct leaf_values *whole = &page->whole;
    whole->width = 0;
    uint64_t total = 0, last = 0;
    for (int64_t i = 0; i < n; i++) {
        if ((uint64_t)prefixes[i] > last || (size_t)suffixes[i] > page->body.size - used)
            return too_short();
        last = (uint64_t)prefixes[i] + (uint64_t)suffixes[i];
        used += (size_t)suffixes[i];
        total += last;
        if (data->width && last != data->width)
            return error_set(GLIS_ECORRUPT, "a value of %llu bytes where all have %u",
                             (unsigned long long)last, data->width);
        if (total > INT32_MAX) return error_set(GLIS_ELIMIT, "more than 2 GiB of text in one page");
    }
    TRY(leaf_values_reserve(whole, n, total, data->budget));
    int32_t *offsets = (int32_t *)(void *)whole->offsets->data;
    uint8_t *to = whole->bytes->data, *before = to;
    const char *suffix = page->body.data + used;
    for (int64_t i = 0; i < n; i++)
        suffix -= suffixes[i];
    for (int64_t i = 0; i < n; i++) {
        size_t prefix = (size_t)prefixes[i], size = (size_t)suffixes[i];
        if (prefix) memmove(to, before, prefix);
        if (size) memcpy(to + prefix, suffix, size);
        suffix += size;
        before = to;
        to += prefix + size;
        offsets[i + 1] = (int32_t)(to - whole->bytes->data);
    }
    whole->n = n;
    return 0;
}

static int take_whole(struct leaf_data *data, int64_t n)
{
    const struct leaf_values *whole = &data->page.whole;
    struct leaf_values *values = &data->values;
    const int32_t *from = (const int32_t *)(const void *)whole->offsets->data + data->page.value_at;
    const uint8_t *bytes = whole->bytes->data + from[0];
    uint64_t size = (uint64_t)(from[n] - from[0]);
    if (values->width) return append_fixed(data, bytes, n);
    TRY(reserve_texts(data, n, size));
    int32_t *to = (int32_t *)(void *)values->offsets->data + values->n;
    int32_t base = (int32_t)values->bytes_size - from[0];
    for (int64_t i = 1; i <= n; i++)
        to[i] = from[i] + base;
    if (size) memcpy(values->bytes->data + values->bytes_size, bytes, size);
    values->bytes_size += size;
    values->n += n;
    data->texts_unchecked = true;
    return 0;
}

typedef uint8_t lane __attribute__((vector_size(SPLIT_LANES)));

static inline lane lane_load(const char *at)
{
    lane out;
    memcpy(&out, at, sizeof out);
    return out;
}

#define LANE_LOW(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define LANE_HIGH(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* Streams of bytes put together again, 16 values at a time: each step doubles the bytes of a value
 * that stand side by side. With stream s and s + width/2 as neighbours in each step the result
 * comes out in order. Returns how many values were done. */
static int64_t join_streams(const char *from, int64_t stride, unsigned width, int64_t n,
                            uint8_t *to)
{
    int64_t i = 0;
    if (width != 4 && width != 8) return 0;
    for (; i + SPLIT_LANES <= n; i += SPLIT_LANES, to += SPLIT_LANES * width) {
        lane a[8], b[8];
        for (unsigned s = 0; s < width; s++)
            a[s] = lane_load(from + (int64_t)s * stride + i);
        for (unsigned step = 1; step < width; step *= 2) {
            for (unsigned s = 0; s < width / 2; s++) {
                b[2 * s] = LANE_LOW(a[s], a[s + width / 2]);
                b[2 * s + 1] = LANE_HIGH(a[s], a[s + width / 2]);
            }
            memcpy(a, b, sizeof a);
        }
        memcpy(to, a, (size_t)SPLIT_LANES * width);
    }
    return i;
}

static int take_split(struct leaf_data *data, int64_t n)
{
    unsigned width = data->values.width;
    int64_t n_page = data->page.n_values;
    TRY(reserve_fixed(data, n));
    uint8_t *to = data->values.fixed->data + (uint64_t)data->values.n * width;
    const char *from = data->page.body.data + data->page.value_at;
    int64_t done = width == 8   ? join_streams(from, n_page, 8, n, to)
                   : width == 4 ? join_streams(from, n_page, 4, n, to)
                                : 0;
    for (unsigned b = 0; b < width; b++) {
        const char *stream = from + (uint64_t)b * (uint64_t)n_page;
        for (int64_t i = done; i < n; i++)
            to[(uint64_t)i * width + b] = (uint8_t)stream[i];
    }
    data->values.n += n;
    return 0;
}

static int open_run_booleans(struct leaf_data *data)
{
    struct leaf_page *page = &data->page;
    uint32_t size;
    if (data->leaf->type != PARQUET_BOOLEAN)
        return error_set(GLIS_ECORRUPT, "RLE values that are no booleans");
    if (page->body.size < 4) return too_short();
    memcpy(&size, page->body.data, 4);
    if (size > page->body.size - 4) return too_short();
    TRY(scratch_words(data, page->n_values, 1));
    return decode_rle_levels(slice_part(page->body, 4, size), 1, page->n_values,
                             data->indices->data);
}

/* ---- by encoding ---- */

static int open_plain(struct leaf_data *data)
{
    struct leaf_page *page = &data->page;
    if (data->leaf->type == PARQUET_BOOLEAN)
        return ((uint64_t)page->n_values + 7) / 8 > page->body.size ? too_short() : 0;
    if (data->width || data->leaf->type != PARQUET_BYTE_ARRAY)
        return (uint64_t)page->n_values * data->width > page->body.size ? too_short() : 0;
    page->next = page->body.data;
    return (uint64_t)page->n_values * 4 > page->body.size ? too_short() : 0;
}

int page_values_open(struct leaf_data *data)
{
    struct leaf_page *page = &data->page;
    page->is_decoded = false;
    page->next = NULL;
    leaf_values_free(&page->whole);
    if (page->n_values == 0) return 0;
    switch (page->encoding) {
    case PARQUET_PLAIN: return open_plain(data);
    case PARQUET_PLAIN_DICTIONARY:
    case PARQUET_RLE_DICTIONARY: return open_indices(data);
    case PARQUET_RLE: return open_run_booleans(data);
    case PARQUET_DELTA_BINARY_PACKED: return check_integers(data);
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY: return open_delta_lengths(data);
    case PARQUET_DELTA_BYTE_ARRAY: return open_delta_texts(data);
    case PARQUET_BYTE_STREAM_SPLIT:
        if (!data->width || data->leaf->type == PARQUET_BOOLEAN)
            return error_set(GLIS_ECORRUPT, "BYTE_STREAM_SPLIT values without a width");
        return (uint64_t)page->n_values * data->width > page->body.size ? too_short() : 0;
    default:
        return error_set(GLIS_EUNSUPPORTED, "values in the encoding %s are not read",
                         parquet_encoding_name(page->encoding));
    }
}

static bool is_text(const struct leaf_data *data)
{
    return data->width == 0 && data->leaf->type == PARQUET_BYTE_ARRAY;
}

int page_values_skip(struct leaf_data *data, int64_t n)
{
    struct leaf_page *page = &data->page;
    ASSERT(n >= 0 && n <= page->n_values - page->value_at);
    int code = 0;
    if (n == 0) return 0;
    if (page->encoding == PARQUET_PLAIN && is_text(data))
        code = skip_plain_texts(page, n);
    else if (page->encoding == PARQUET_DELTA_LENGTH_BYTE_ARRAY)
        page->next += sum_lengths(data, n);
    page->value_at += n;
    return code;
}

/* Decimals in 16 bytes from integers of 4 or 8. */
static void widen(const uint8_t *from, unsigned width, int64_t n, uint8_t *to)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t parts[2];
        if (width == 4) {
            int32_t narrow;
            memcpy(&narrow, from + 4 * i, 4);
            parts[0] = narrow;
        } else {
            memcpy(&parts[0], from + 8 * i, 8);
        }
        parts[1] = parts[0] >> 63;
        memcpy(to + 16 * i, parts, 16);
    }
}

/* Values of a page are taken as they are, beside, and from there to where they shall stand. */
static int take_widened(struct leaf_data *data, int64_t n)
{
    struct leaf_page *page = &data->page;
    const uint8_t *from = (const uint8_t *)page->body.data + (uint64_t)page->value_at * data->width;
    if (page->encoding == PARQUET_PLAIN) {
        page->value_at += n;
    } else {
        struct leaf_values wide = data->values;
        data->values = data->narrow;
        data->values.width = data->width;
        data->values.n = 0;
        data->widens = false;
        int code = page_values_take(data, n);
        data->widens = true;
        data->narrow = data->values;
        data->values = wide;
        TRY(code);
        from = data->narrow.fixed->data;
    }
    TRY(reserve_fixed(data, n));
    uint8_t *to = data->values.fixed->data + 16 * (uint64_t)data->values.n;
    if (data->width == 4)
        widen(from, 4, n, to);
    else
        widen(from, 8, n, to);
    data->values.n += n;
    return 0;
}

int page_values_take(struct leaf_data *data, int64_t n)
{
    struct leaf_page *page = &data->page;
    ASSERT(n >= 0 && n <= page->n_values - page->value_at);
    if (n == 0) return 0;
    int64_t at = page->value_at;
    int code = 0;
    if (!data->width && !is_text(data)) { /* fixed width, of no bytes */
        data->values.n += n;
        page->value_at += n;
        return 0;
    }
    bool indexed =
        page->encoding == PARQUET_PLAIN_DICTIONARY || page->encoding == PARQUET_RLE_DICTIONARY;
    if (data->widens && !indexed) return take_widened(data, n);
    if (data->codes.n > 0 && !indexed) TRY(spell_codes(data));
    switch (page->encoding) {
    case PARQUET_PLAIN:
        if (data->leaf->type == PARQUET_BOOLEAN)
            code = take_plain_booleans(data, n);
        else if (is_text(data))
            code = take_plain_texts(data, n);
        else
            code = append_fixed(data, page->body.data + (uint64_t)at * data->width, n);
        break;
    case PARQUET_PLAIN_DICTIONARY:
    case PARQUET_RLE_DICTIONARY: {
        const uint32_t *indices = (const uint32_t *)(const void *)data->indices->data + at;
        code = data->keeps_codes && data->values.n == 0 ? append_codes(data, indices, n)
               : data->dictionary.width                 ? look_up_fixed(data, indices, n)
                                                        : look_up_texts(data, indices, n);
        break;
    }
    case PARQUET_RLE: code = append_fixed(data, data->indices->data + at, n); break;
    case PARQUET_DELTA_BINARY_PACKED: code = take_delta_integers(data, n); break;
    case PARQUET_DELTA_LENGTH_BYTE_ARRAY: code = take_delta_length_texts(data, n); break;
    case PARQUET_DELTA_BYTE_ARRAY: code = take_whole(data, n); break;
    default: code = take_split(data, n);
    }
    page->value_at += n;
    return code;
}
