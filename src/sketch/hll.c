/*
 * hll.c: how many distinct byte strings there were, in a few kilobytes.
 *
 * Each item is hashed with XXH3. The first p bits of the hash choose a register, which keeps the
 * greatest rank (position of the first 1, from 1) seen in the rest. While few hashes were seen they
 * are kept themselves, shortened to 26 bits and the rank behind these: *sparse*, as in Heule,
 * Nunkesser, Hall: "HyperLogLog in practice" (2013), which makes small counts all but exact. The
 * number is estimated from how many registers have which rank by Ertl's improved estimator (2017,
 * section 3), which needs neither tables of bias nor switching between formulas.
 *
 * Sparse entries wait unsorted in a second list, and are merged into the first when that is full.
 */
#include "sketch/sketch_int.h"

#include "base/hash.h"

#include <math.h>

enum { VERSION = 1, KIND_SPARSE = 0, KIND_DENSE = 1, SPARSE_BITS = 26, WAITING_MAX = 256 };
enum { SPARSE_RANK_BITS = 6, SPARSE_RANK_MAX = 64 - SPARSE_BITS + 1 };

struct hll {
    unsigned precision;
    uint8_t *registers; /* NULL: sparse */
    uint32_t *entries;  /* ascending; of each index one, with its greatest rank */
    uint32_t n_entries, entries_max;
    uint32_t n_waiting;
    uint32_t waiting[WAITING_MAX];
};

static uint32_t register_count(const struct hll *hll)
{
    return UINT32_C(1) << hll->precision;
}

struct hll *hll_new(unsigned precision)
{
    ASSERT(precision >= HLL_PRECISION_MIN && precision <= HLL_PRECISION_MAX);
    struct hll *hll = memory_alloc_zero(sizeof *hll);
    hll->precision = precision;
    hll->entries_max = register_count(hll) / 8;
    hll->entries = memory_alloc((hll->entries_max + 1) * sizeof *hll->entries);
    return hll;
}

struct hll *hll_copy(const struct hll *hll)
{
    struct hll *copy = memory_alloc(sizeof *copy);
    *copy = *hll;
    copy->entries = memory_alloc((hll->entries_max + 1) * sizeof *copy->entries);
    memcpy(copy->entries, hll->entries, hll->n_entries * sizeof *copy->entries);
    if (hll->registers) {
        copy->registers = memory_alloc(register_count(hll));
        memcpy(copy->registers, hll->registers, register_count(hll));
    }
    return copy;
}

void hll_free(struct hll *hll)
{
    if (!hll) return;
    free(hll->registers);
    free(hll->entries);
    free(hll);
}

unsigned hll_precision(const struct hll *hll)
{
    return hll->precision;
}

/* ---- sparse ---- */

static uint32_t entry_of(uint64_t hash)
{
    uint64_t rest = hash << SPARSE_BITS;
    uint32_t rank = rest ? (uint32_t)__builtin_clzll(rest) + 1 : SPARSE_RANK_MAX;
    return (uint32_t)(hash >> (64 - SPARSE_BITS)) << SPARSE_RANK_BITS | rank;
}

/* What the entry's hash makes of the registers. */
static void put_entry(struct hll *hll, uint32_t entry)
{
    uint32_t index = entry >> SPARSE_RANK_BITS, rank = entry & ((1u << SPARSE_RANK_BITS) - 1);
    unsigned more = SPARSE_BITS - hll->precision;
    uint32_t middle = index & ((UINT32_C(1) << more) - 1);
    rank = middle ? (uint32_t)__builtin_clz(middle) - (32 - more) + 1 : rank + more;
    uint8_t *reg = &hll->registers[index >> more];
    if (rank > *reg) *reg = (uint8_t)rank;
}

static void make_dense(struct hll *hll)
{
    hll->registers = memory_alloc_zero(register_count(hll));
    for (uint32_t i = 0; i < hll->n_entries; i++)
        put_entry(hll, hll->entries[i]);
    for (uint32_t i = 0; i < hll->n_waiting; i++)
        put_entry(hll, hll->waiting[i]);
    hll->n_entries = 0;
    hll->n_waiting = 0;
}

static int by_entry(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Keeps of neighbours with one index the last, which has the greatest rank. */
static uint32_t drop_repeats(uint32_t *entries, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (kept > 0 && entries[kept - 1] >> SPARSE_RANK_BITS == entries[i] >> SPARSE_RANK_BITS)
            kept--;
        entries[kept++] = entries[i];
    }
    return kept;
}

/* The entries with those that wait; dense when they are too many. */
static void settle(struct hll *hll)
{
    if (hll->registers || hll->n_waiting == 0) return;
    uint32_t n = hll->n_entries + hll->n_waiting;
    defer_free uint32_t *all = memory_alloc(n * sizeof *all);
    memcpy(all, hll->entries, hll->n_entries * sizeof *all);
    memcpy(all + hll->n_entries, hll->waiting, hll->n_waiting * sizeof *all);
    qsort(all, n, sizeof *all, by_entry);
    n = drop_repeats(all, n);
    if (n > hll->entries_max) {
        make_dense(hll);
        return;
    }
    memcpy(hll->entries, all, n * sizeof *all);
    hll->n_entries = n;
    hll->n_waiting = 0;
}

/* ---- adding ---- */

static void add_hash(struct hll *hll, uint64_t hash)
{
    if (!hll->registers) {
        if (hll->n_waiting == WAITING_MAX) settle(hll);
        if (!hll->registers) {
            hll->waiting[hll->n_waiting++] = entry_of(hash);
            return;
        }
    }
    uint64_t rest = hash << hll->precision | UINT64_C(1) << (hll->precision - 1);
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *reg = &hll->registers[hash >> (64 - hll->precision)];
    if (rank > *reg) *reg = rank;
}

void hll_update(struct hll *hll, struct slice item)
{
    add_hash(hll, hash_xxh3_64(item.data, item.size));
}

void hll_update_keys(struct hll *hll, const struct keys *keys)
{
    struct slice before = SLICE_EMPTY;
    for (int64_t row = 0; row < keys->n_rows; row++) {
        struct slice key = keys_get(keys, row);
        if (row > 0 && key.size == before.size && memcmp(key.data, before.data, key.size) == 0)
            continue;
        add_hash(hll, hash_xxh3_64(key.data, key.size));
        before = key;
    }
}

int hll_merge(struct hll *hll, const struct hll *other)
{
    if (hll->precision != other->precision)
        return error_set(GLIS_EINVALID, "distinct counts of the precisions %u and %u",
                         hll->precision, other->precision);
    if (other->registers) {
        if (!hll->registers) make_dense(hll);
        for (uint32_t i = 0; i < register_count(hll); i++)
            if (other->registers[i] > hll->registers[i]) hll->registers[i] = other->registers[i];
        return 0;
    }
    for (int part = 0; part < 2; part++) {
        const uint32_t *entries = part ? other->waiting : other->entries;
        uint32_t n = part ? other->n_waiting : other->n_entries;
        for (uint32_t i = 0; i < n; i++) {
            if (!hll->registers && hll->n_waiting == WAITING_MAX) settle(hll);
            if (hll->registers)
                put_entry(hll, entries[i]);
            else
                hll->waiting[hll->n_waiting++] = entries[i];
        }
    }
    return 0;
}

/* ---- estimating ---- */

/* x + sum of 2^(k-1) x^(2^k): registers that are still empty. */
static double sigma(double x)
{
    double y = 1, z = x, before;
    if (x == 1) return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

/* (1 - x - sum of 2^-k (1 - x^(2^-k))^2) / 3: registers that can get no higher. */
static double tau(double x)
{
    double y = 1, z = 1 - x, before;
    if (x == 0 || x == 1) return 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

static double estimate_dense(const struct hll *hll)
{
    uint32_t n[65] = {0};
    unsigned q = 64 - hll->precision; /* ranks go to q + 1 */
    double m = register_count(hll);
    for (uint32_t i = 0; i < register_count(hll); i++)
        n[hll->registers[i]]++;
    double z = m * tau(1 - n[q + 1] / m);
    for (unsigned k = q; k >= 1; k--)
        z = 0.5 * (z + n[k]);
    z += m * sigma(n[0] / m);
    return m * m / (2 * log(2)) / z;
}

double hll_estimate(const struct hll *hll)
{
    if (hll->registers) return estimate_dense(hll);
    struct hll *settled = hll_copy(hll);
    settle(settled);
    double m = (double)(UINT64_C(1) << SPARSE_BITS), estimate;
    if (settled->registers)
        estimate = estimate_dense(settled);
    else
        estimate = -m * log1p(-(double)settled->n_entries / m);
    hll_free(settled);
    return estimate;
}

/* ---- bytes ---- */

static int encode_settled(const struct hll *hll, struct buffer *out)
{
    TRY(buffer_append_byte(out, VERSION));
    TRY(buffer_append_byte(out, (uint8_t)hll->precision));
    TRY(buffer_append_byte(out, hll->registers ? KIND_DENSE : KIND_SPARSE));
    if (hll->registers) { /* four registers in three bytes, the low bits first */
        for (uint32_t i = 0; i < register_count(hll); i += 4) {
            const uint8_t *r = &hll->registers[i];
            uint32_t bits =
                r[0] | (uint32_t)r[1] << 6 | (uint32_t)r[2] << 12 | (uint32_t)r[3] << 18;
            TRY(buffer_append(out, &bits, 3));
        }
        return 0;
    }
    TRY(varint_append(out, hll->n_entries));
    for (uint32_t i = 0; i < hll->n_entries; i++)
        TRY(varint_append(out, hll->entries[i] - (i ? hll->entries[i - 1] : 0)));
    return 0;
}

int hll_encode(const struct hll *hll, struct buffer *out)
{
    struct hll *settled = hll_copy(hll);
    settle(settled);
    int code = encode_settled(settled, out);
    hll_free(settled);
    return code;
}

static int decode_sparse(struct slice in, struct hll *hll)
{
    uint64_t n, entry = 0;
    TRY(varint_take(&in, "number of hashes", hll->entries_max, &n));
    for (uint64_t i = 0; i < n; i++) {
        uint64_t more;
        TRY(varint_take(&in, "hashes", UINT32_MAX - entry, &more));
        entry += more;
        hll->entries[hll->n_entries++] = (uint32_t)entry;
    }
    if (in.size > 0) return error_set(GLIS_ECORRUPT, "%zu bytes behind a sketch", in.size);
    return 0;
}

static int decode_dense(struct slice in, struct hll *hll)
{
    uint32_t n = register_count(hll);
    if (in.size != n / 4 * 3)
        return error_set(GLIS_ECORRUPT, "%zu bytes for %u registers", in.size, n);
    hll->registers = memory_alloc(n);
    for (uint32_t i = 0; i < n; i += 4) {
        uint32_t bits = 0;
        memcpy(&bits, in.data + i / 4 * 3, 3);
        for (unsigned j = 0; j < 4; j++)
            hll->registers[i + j] = bits >> (6 * j) & 63;
    }
    return 0;
}

int hll_decode(struct slice bytes, struct hll **out)
{
    if (bytes.size < 3 || bytes.data[0] != VERSION)
        return error_set(GLIS_ECORRUPT, "a distinct count that is not of version %d", VERSION);
    unsigned precision = (uint8_t)bytes.data[1], kind = (uint8_t)bytes.data[2];
    if (precision < HLL_PRECISION_MIN || precision > HLL_PRECISION_MAX || kind > KIND_DENSE)
        return error_set(GLIS_ECORRUPT, "a distinct count of precision %u and kind %u", precision,
                         kind);
    struct hll *hll = hll_new(precision);
    bytes = slice_part(bytes, 3, bytes.size);
    int code = kind == KIND_DENSE ? decode_dense(bytes, hll) : decode_sparse(bytes, hll);
    const char *reason;
    if (code == 0 && !hll_validate(hll, &reason))
        code = error_set(GLIS_ECORRUPT, "a distinct count with %s", reason);
    if (code < 0) {
        hll_free(hll);
        return code;
    }
    *out = hll;
    return 0;
}

static const char *find_fault(const struct hll *hll)
{
    if (hll->registers) {
        for (uint32_t i = 0; i < register_count(hll); i++)
            if (hll->registers[i] > 64 - hll->precision + 1) return "a rank that no hash has";
        return hll->n_entries + hll->n_waiting ? "hashes beside its registers" : NULL;
    }
    if (hll->n_entries > hll->entries_max) return "too many hashes";
    for (uint32_t i = 0; i < hll->n_entries; i++) {
        uint32_t rank = hll->entries[i] & ((1u << SPARSE_RANK_BITS) - 1);
        if (rank == 0 || rank > SPARSE_RANK_MAX) return "a rank that no hash has";
        if (i > 0 && hll->entries[i] >> SPARSE_RANK_BITS <= hll->entries[i - 1] >> SPARSE_RANK_BITS)
            return "hashes out of order";
    }
    return NULL;
}

bool hll_validate(const struct hll *hll, const char **reason)
{
    *reason = find_fault(hll);
    return *reason == NULL;
}
