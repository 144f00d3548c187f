/*
 * table_records.c: the packed records of a table's state.
 *
 * Numbers are LEB128 varints, texts a varint of their length and their bytes. A file of ours has a
 * key of 23 bytes (00, its begun record in 6 bytes, the 16 bytes of its ULID), in the order of the
 * names; a foreign one has 01 and its address. With keys of 16 bytes a file takes about 90 bytes
 * and a reference about 40, which is what keeps a million of each within 200 MB.
 *
 * Unpacking is safe on any bytes: what is missing or left over makes it false.
 */
#include "table/table_int.h"

#include <stdlib.h>

/* ---- packing ---- */

void packer_free(struct packer *packer)
{
    free(packer->data);
    *packer = (struct packer){0};
}

static uint8_t *packer_room(struct packer *packer, size_t more)
{
    if (packer->capacity - packer->size < more) {
        size_t capacity = packer->capacity * 2 + more + 64;
        packer->data = memory_realloc(packer->data, capacity);
        packer->capacity = capacity;
    }
    return packer->data + packer->size;
}

void pack_bytes(struct packer *packer, struct slice bytes)
{
    uint8_t *out = packer_room(packer, bytes.size);
    if (bytes.size) memcpy(out, bytes.data, bytes.size);
    packer->size += bytes.size;
}

void pack_number(struct packer *packer, uint64_t number)
{
    uint8_t *out = packer_room(packer, 10), *begin = out;
    for (; number >= 0x80; number >>= 7)
        *out++ = (uint8_t)(number | 0x80);
    *out++ = (uint8_t)number;
    packer->size += (size_t)(out - begin);
}

void pack_text(struct packer *packer, struct slice text)
{
    pack_number(packer, text.size);
    pack_bytes(packer, text);
}

/* Small numbers of either sign take few bytes. */
void pack_signed(struct packer *packer, int64_t number)
{
    pack_number(packer, (uint64_t)number << 1 ^ (uint64_t)(number >> 63));
}

int64_t unpack_signed(struct unpacker *in)
{
    uint64_t number = unpack_number(in);
    return (int64_t)(number >> 1 ^ (0 - (number & 1)));
}

uint64_t unpack_long_number(struct unpacker *in)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->at == in->end) break;
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1) break;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return result;
    }
    in->bad = true;
    return 0;
}

struct slice unpack_bytes(struct unpacker *in, size_t size)
{
    if (in->bad || size > (size_t)(in->end - in->at)) {
        in->bad = true;
        return SLICE_EMPTY;
    }
    struct slice s = slice_make(in->at, size);
    in->at += size;
    return s;
}

struct slice unpack_text(struct unpacker *in)
{
    uint64_t size = unpack_number(in);
    if (in->bad || size > (uint64_t)(in->end - in->at)) {
        in->bad = true;
        return SLICE_EMPTY;
    }
    return unpack_bytes(in, (size_t)size);
}

static struct slice unpack_rest(struct unpacker *in)
{
    return unpack_bytes(in, (size_t)(in->end - in->at));
}

static bool unpack_done(const struct unpacker *in)
{
    return !in->bad && in->at == in->end;
}

void big_endian_put(uint8_t *out, uint64_t value, unsigned n_bytes)
{
    for (unsigned i = 0; i < n_bytes; i++)
        out[i] = (uint8_t)(value >> 8 * (n_bytes - 1 - i));
}

uint64_t big_endian_get(const uint8_t *in, unsigned n_bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n_bytes; i++)
        value = value << 8 | in[i];
    return value;
}

/* ---- partitions ---- */

enum { PARTITION_LEAF = 1, PARTITION_OWN_SPLIT = 2, PARTITION_EMPTY_SINCE = 4 };

bool partition_is_leaf(struct slice value)
{
    return value.size && ((uint8_t)value.data[0] & PARTITION_LEAF);
}

bool partition_unpack(struct slice value, struct partition_record *out)
{
    struct unpacker in = unpack_begin(value);
    *out = (struct partition_record){0};
    uint64_t flags = unpack_number(&in), depth = unpack_number(&in);
    out->n_references = unpack_number(&in);
    out->parent = unpack_text(&in);
    out->is_leaf = flags & PARTITION_LEAF;
    out->is_own_split = flags & PARTITION_OWN_SPLIT;
    if (flags & PARTITION_EMPTY_SINCE) out->empty_since_ms = (int64_t)unpack_number(&in);
    if (!out->is_leaf) {
        uint64_t dimension = unpack_number(&in);
        if (dimension > SCHEMA_FIELDS_MAX) return false;
        out->dimension = (uint32_t)dimension;
        out->split = unpack_text(&in);
        out->left = unpack_text(&in);
        out->right = unpack_text(&in);
    }
    out->region = unpack_rest(&in);
    if (flags > 7 || depth > TREE_DEPTH_MAX) return false;
    out->depth = (uint32_t)depth;
    return unpack_done(&in);
}

void partition_pack(struct packer *packer, const struct partition_record *partition)
{
    pack_number(packer, (partition->is_leaf ? PARTITION_LEAF : 0) |
                            (partition->is_own_split ? PARTITION_OWN_SPLIT : 0) |
                            (partition->empty_since_ms ? PARTITION_EMPTY_SINCE : 0));
    pack_number(packer, partition->depth);
    pack_number(packer, partition->n_references);
    pack_text(packer, partition->parent);
    if (partition->empty_since_ms) pack_number(packer, (uint64_t)partition->empty_since_ms);
    if (!partition->is_leaf) {
        pack_number(packer, partition->dimension);
        pack_text(packer, partition->split);
        pack_text(packer, partition->left);
        pack_text(packer, partition->right);
    }
    pack_bytes(packer, partition->region);
}

bool partition_get(const struct state *state, struct slice id, struct partition_record *out)
{
    struct slice value;
    if (!map_get(&state->maps[SECTION_PARTITIONS], id, &value)) return false;
    bool good = partition_unpack(value, out);
    ASSERT(good);
    return true;
}

void partition_set(struct state *state, struct slice id, const struct partition_record *partition)
{
    defer_packer struct packer packer = {0};
    partition_pack(&packer, partition);
    map_put(&state->maps[SECTION_PARTITIONS], id, packed(&packer));
}

void region_pack(struct packer *packer, const struct key_range *region, uint32_t n_fields)
{
    for (uint32_t f = 0; f < n_fields; f++) {
        pack_text(packer, region[f].min);
        pack_number(packer, region[f].unbounded);
        if (!region[f].unbounded) pack_text(packer, region[f].max);
    }
}

bool region_unpack(struct slice packed_region, uint32_t n_fields, struct arena *arena,
                   struct key_range **out)
{
    struct unpacker in = unpack_begin(packed_region);
    struct key_range *region = ARENA_ARRAY(arena, struct key_range, n_fields);
    for (uint32_t f = 0; f < n_fields; f++) {
        region[f].min = unpack_text(&in);
        uint64_t unbounded = unpack_number(&in);
        if (unbounded > 1) return false;
        region[f].unbounded = unbounded;
        if (!unbounded) region[f].max = unpack_text(&in);
    }
    *out = region;
    return unpack_done(&in);
}

/* ---- names of files ---- */

static const char base32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
enum { BEGUN_DIGITS = 12, OWN_KEY_BYTES = 1 + 6 + 16 };
enum { OWN_NAME_BYTES = 5 + BEGUN_DIGITS + 1 + ULID_BYTES + 8 }; /* data/...-....parquet */

/* The value of a digit of base32 and one more; 0 of what is none. */
static const uint8_t base32_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    ['G'] = 17, ['H'] = 18, ['J'] = 19, ['K'] = 20, ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24,
    ['R'] = 25, ['S'] = 26, ['T'] = 27, ['V'] = 28, ['W'] = 29, ['X'] = 30, ['Y'] = 31, ['Z'] = 32,
};

static bool ulid_to_bytes(const char *text, uint8_t out[16])
{
    unsigned __int128 value = 0;
    for (int i = 0; i < ULID_BYTES; i++) {
        unsigned digit = base32_values[(uint8_t)text[i]];
        if (digit == 0 || (i == 0 && digit > 8)) return false;
        value = value << 5 | (digit - 1);
    }
    big_endian_put(out, (uint64_t)(value >> 64), 8);
    big_endian_put(out + 8, (uint64_t)value, 8);
    return true;
}

static void ulid_from_bytes(const uint8_t in[16], char *text)
{
    unsigned __int128 value =
        (unsigned __int128)big_endian_get(in, 8) << 64 | big_endian_get(in + 8, 8);
    for (int i = ULID_BYTES - 1; i >= 0; i--, value >>= 5)
        text[i] = base32[(unsigned)value & 31];
}

static bool parse_own_name(struct slice name, uint8_t key[OWN_KEY_BYTES])
{
    struct slice begin = SLICE("data/"), end = SLICE(".parquet");
    if (name.size != OWN_NAME_BYTES || !slice_starts_with(name, begin) ||
        !slice_ends_with(name, end))
        return false;
    const char *text = name.data + begin.size;
    uint64_t begun = 0;
    for (int i = 0; i < BEGUN_DIGITS; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            begun = begun << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            begun = begun << 4 | (unsigned)(c - 'a' + 10);
        else
            return false;
    }
    key[0] = 0;
    big_endian_put(key + 1, begun, 6);
    return text[BEGUN_DIGITS] == '-' && ulid_to_bytes(text + BEGUN_DIGITS + 1, key + 7);
}

bool file_key_pack(struct packer *packer, struct slice name)
{
    uint8_t key[OWN_KEY_BYTES];
    if (parse_own_name(name, key)) {
        pack_bytes(packer, slice_make(key, sizeof(key)));
        return true;
    }
    /* An address names its store, so it is never mistaken for a name of ours. */
    if (!name.data || name.size == 0 || name.size > FILE_NAME_MAX ||
        !memmem(name.data, name.size, "://", 3) || memchr(name.data, 0, name.size))
        return false;
    pack_bytes(packer, slice_make("\1", 1));
    pack_bytes(packer, name);
    return true;
}

bool file_key_name(struct slice key, struct arena *arena, struct slice *out)
{
    if (key.size > 1 && key.data[0] == 1) {
        *out = slice_part(key, 1, key.size);
        return true;
    }
    if (key.size != OWN_KEY_BYTES || key.data[0] != 0) return false;
    /* Made of each file for each query, so without printf. */
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = (const uint8_t *)key.data;
    char *name = arena_alloc(arena, OWN_NAME_BYTES + 1), *at = name;
    at = mempcpy(at, "data/", 5);
    for (int i = 0; i < BEGUN_DIGITS; i++)
        *at++ = digits[bytes[1 + i / 2] >> (i % 2 ? 0 : 4) & 15];
    *at++ = '-';
    ulid_from_bytes(bytes + 7, at);
    memcpy(at + ULID_BYTES, ".parquet", 9);
    *out = slice_make(name, OWN_NAME_BYTES);
    return true;
}

bool file_name_begun(struct slice name, uint64_t *begun)
{
    uint8_t key[OWN_KEY_BYTES];
    if (!parse_own_name(name, key)) return false;
    *begun = big_endian_get(key + 1, 6);
    return true;
}

bool table_file_begun(struct slice name, uint64_t *begun)
{
    return file_name_begun(name, begun);
}

/* ---- files ---- */

bool file_unpack(struct slice value, struct file_record *out)
{
    struct unpacker in = unpack_begin(value);
    out->size = unpack_number(&in);
    out->rows = unpack_number(&in);
    out->checksum = unpack_bytes(&in, 16);
    out->schema_version = unpack_number(&in);
    out->added_record = unpack_number(&in);
    uint64_t n_references = unpack_number(&in);
    out->n_references = (uint32_t)n_references;
    out->gone_record = 0;
    out->gone_ms = 0;
    if (n_references == 0) {
        out->gone_record = unpack_number(&in);
        out->gone_ms = (int64_t)unpack_number(&in);
    }
    out->bounds = unpack_rest(&in);
    return n_references <= UINT32_MAX && unpack_done(&in);
}

void file_pack(struct packer *packer, const struct file_record *file)
{
    pack_number(packer, file->size);
    pack_number(packer, file->rows);
    pack_bytes(packer, file->checksum);
    pack_number(packer, file->schema_version);
    pack_number(packer, file->added_record);
    pack_number(packer, file->n_references);
    if (file->n_references == 0) {
        pack_number(packer, file->gone_record);
        pack_number(packer, (uint64_t)file->gone_ms);
    }
    pack_bytes(packer, file->bounds);
}

void bounds_pack(struct packer *packer, const struct file_bound *bounds, uint32_t n_fields)
{
    for (uint32_t f = 0; f < n_fields; f++) {
        pack_text(packer, bounds[f].min);
        pack_number(packer, bounds[f].max_exclusive);
        pack_text(packer, bounds[f].max);
    }
}

bool bounds_unpack(struct slice packed_bounds, uint32_t n_fields, struct arena *arena,
                   struct file_bound **out)
{
    struct unpacker in = unpack_begin(packed_bounds);
    struct file_bound *bounds = ARENA_ARRAY(arena, struct file_bound, n_fields);
    for (uint32_t f = 0; f < n_fields; f++) {
        bounds[f].min = unpack_text(&in);
        uint64_t exclusive = unpack_number(&in);
        if (exclusive > 1) return false;
        bounds[f].max_exclusive = exclusive;
        bounds[f].max = unpack_text(&in);
    }
    *out = bounds;
    return unpack_done(&in);
}

/* ---- references ---- */

enum {
    REFERENCE_EXACT = 1,
    REFERENCE_SHARED = 2,
    REFERENCE_ASSIGNED = 4,
    REFERENCE_SET_ASIDE = 8,
};

bool reference_unpack(struct slice value, struct reference_record *out)
{
    struct unpacker in = unpack_begin(value);
    *out = (struct reference_record){0};
    uint64_t flags = unpack_number(&in);
    out->rows = unpack_number(&in);
    out->is_exact = flags & REFERENCE_EXACT;
    out->is_shared = flags & REFERENCE_SHARED;
    out->is_set_aside = flags & REFERENCE_SET_ASIDE;
    if (flags & REFERENCE_ASSIGNED) out->job = unpack_text(&in);
    return flags < 16 && unpack_done(&in);
}

void reference_pack(struct packer *packer, const struct reference_record *reference)
{
    pack_number(packer, (reference->is_exact ? REFERENCE_EXACT : 0) |
                            (reference->is_shared ? REFERENCE_SHARED : 0) |
                            (reference->job.size ? REFERENCE_ASSIGNED : 0) |
                            (reference->is_set_aside ? REFERENCE_SET_ASIDE : 0));
    pack_number(packer, reference->rows);
    if (reference->job.size) pack_text(packer, reference->job);
}

void reference_key_pack(struct packer *packer, struct slice partition, struct slice file_key)
{
    pack_bytes(packer, partition);
    pack_bytes(packer, slice_make("", 1));
    pack_bytes(packer, file_key);
}

bool reference_key_unpack(struct slice key, struct slice *partition, struct slice *file_key)
{
    const char *end = key.size ? memchr(key.data, 0, key.size) : NULL;
    if (!end || end == key.data) return false;
    *partition = slice_make(key.data, (size_t)(end - key.data));
    *file_key = slice_part(key, partition->size + 1, key.size);
    return file_key->size > 0;
}

/* ---- jobs and writers ---- */

bool job_unpack(struct slice value, struct job_record *out)
{
    struct unpacker in = unpack_begin(value);
    out->fingerprint = unpack_bytes(&in, 16);
    out->record = unpack_number(&in);
    out->time_ms = (int64_t)unpack_number(&in);
    uint64_t given = unpack_number(&in);
    out->is_given = given;
    return given <= 1 && unpack_done(&in);
}

void job_pack(struct packer *packer, const struct job_record *job)
{
    pack_bytes(packer, job->fingerprint);
    pack_number(packer, job->record);
    pack_number(packer, (uint64_t)job->time_ms);
    pack_number(packer, job->is_given);
}

bool writer_unpack(struct slice value, struct writer_record *out)
{
    struct unpacker in = unpack_begin(value);
    out->sequence = unpack_number(&in);
    out->record = unpack_number(&in);
    return unpack_done(&in);
}

void writer_pack(struct packer *packer, const struct writer_record *writer)
{
    pack_number(packer, writer->sequence);
    pack_number(packer, writer->record);
}

bool job_is_remembered(const struct state *state, const struct job_record *job, int64_t time_ms)
{
    if (!job->is_given) return true;
    return time_ms < job->time_ms ||
           time_ms - job->time_ms < state_number(state, PROPERTY_TABLE_JOB_MEMORY);
}

/* ---- assignments, pins, merged partitions, ages ---- */

bool assignment_unpack(struct slice value, struct assignment_record *out)
{
    struct unpacker in = unpack_begin(value);
    out->partition = unpack_text(&in);
    out->record = unpack_number(&in);
    out->n_references = unpack_number(&in);
    out->until_ms = (int64_t)unpack_number(&in);
    return unpack_done(&in) && out->until_ms >= 0;
}

void assignment_pack(struct packer *packer, const struct assignment_record *assignment)
{
    pack_text(packer, assignment->partition);
    pack_number(packer, assignment->record);
    pack_number(packer, assignment->n_references);
    pack_number(packer, (uint64_t)assignment->until_ms);
}

bool assignment_get(const struct state *state, struct slice job, struct assignment_record *out)
{
    struct slice value;
    if (!map_get(&state->maps[SECTION_ASSIGNMENTS], job, &value)) return false;
    bool good = assignment_unpack(value, out);
    ASSERT(good);
    return true;
}

bool reference_is_assigned(const struct state *state, const struct reference_record *reference,
                           int64_t time_ms)
{
    struct assignment_record assignment;
    return reference->job.size && assignment_get(state, reference->job, &assignment) &&
           (assignment.until_ms > time_ms || GLIS_MUTANT(assignment_runs_out));
}

bool pin_unpack(struct slice value, struct pin_record *out)
{
    struct unpacker in = unpack_begin(value);
    out->record = unpack_number(&in);
    out->until_ms = (int64_t)unpack_number(&in);
    uint64_t work = unpack_number(&in);
    out->keeps_work = work;
    return work <= 1 && unpack_done(&in) && out->until_ms >= 0;
}

void pin_pack(struct packer *packer, const struct pin_record *pin)
{
    pack_number(packer, pin->record);
    pack_number(packer, (uint64_t)pin->until_ms);
    pack_number(packer, pin->keeps_work);
}

bool role_unpack(struct slice value, struct role_record *out)
{
    struct unpacker in = unpack_begin(value);
    out->epoch = unpack_number(&in);
    out->record = unpack_number(&in);
    out->token = unpack_text(&in);
    return unpack_done(&in) && out->epoch > 0 && out->token.size > 0;
}

void role_pack(struct packer *packer, const struct role_record *role)
{
    pack_number(packer, role->epoch);
    pack_number(packer, role->record);
    pack_text(packer, role->token);
}

bool merged_unpack(struct slice value, struct merged_record *out)
{
    struct unpacker in = unpack_begin(value);
    out->parent = unpack_text(&in);
    out->record = unpack_number(&in);
    return unpack_done(&in) && out->parent.size > 0;
}

void merged_pack(struct packer *packer, const struct merged_record *merged)
{
    pack_text(packer, merged->parent);
    pack_number(packer, merged->record);
}

bool partition_find(const struct state *state, struct slice id, struct slice *out,
                    struct partition_record *record)
{
    struct slice value;
    struct merged_record merged;
    /* Each step leads to a node above, so it ends. */
    for (int i = 0; i <= TREE_DEPTH_MAX; i++) {
        if (partition_get(state, id, record)) {
            *out = id;
            return true;
        }
        if (!map_get(&state->maps[SECTION_MERGED], id, &value) || !merged_unpack(value, &merged))
            return false;
        id = merged.parent;
    }
    return false;
}

bool ages_unpack(struct slice value, struct arena *arena, struct file_age **out, size_t *n_out)
{
    struct unpacker in = unpack_begin(value);
    uint64_t n = unpack_number(&in);
    if (in.bad || n > value.size) return false;
    struct file_age *ages = ARENA_ARRAY(arena, struct file_age, n);
    for (uint64_t i = 0; i < n; i++) {
        ages[i].field = unpack_text(&in);
        uint64_t has_max = unpack_number(&in);
        if (has_max > 1) return false;
        ages[i].has_max = has_max;
        ages[i].max = has_max ? unpack_signed(&in) : INT64_MIN;
        ages[i].n_nulls = unpack_number(&in);
    }
    *out = ages;
    *n_out = n;
    return unpack_done(&in);
}

void ages_pack(struct packer *packer, const struct file_age *ages, size_t n)
{
    pack_number(packer, n);
    for (size_t i = 0; i < n; i++) {
        pack_text(packer, ages[i].field);
        pack_number(packer, ages[i].has_max);
        if (ages[i].has_max) pack_signed(packer, ages[i].max);
        pack_number(packer, ages[i].n_nulls);
    }
}
