/*
 * thrift_read.c: the part of Thrift's compact protocol that Parquet uses, read from hostile bytes
 * (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
 *
 * A cursor never passes its end. Unknown fields are skipped, to a bounded depth, so that files of
 * newer writers can be read. Counts of lists are checked against the bytes that are left before
 * anything is sized by them: an element takes at least one byte.
 */
#include "parquet/parquet_read_int.h"

enum { SKIP_DEPTH_MAX = 32 };

static int cut_short(void)
{
    return error_set(GLIS_ECORRUPT, "the metadata breaks off");
}

static int read_varint(struct thrift_cursor *cursor, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (cursor->next == cursor->end) return cut_short();
        uint8_t byte = *cursor->next++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return 0;
        }
    }
    return error_set(GLIS_ECORRUPT, "a number in the metadata is too long");
}

int thrift_field(struct thrift_cursor *cursor, int *id, int *type)
{
    if (cursor->next == cursor->end) return cut_short();
    uint8_t byte = *cursor->next++;
    *type = byte & 15;
    if (*type == THRIFT_STOP) return 0;
    if (*type > THRIFT_STRUCT)
        return error_set(GLIS_ECORRUPT, "unknown type %d in the metadata", *type);
    if (byte >> 4) {
        *id += byte >> 4;
        return 0;
    }
    uint64_t raw;
    TRY(read_varint(cursor, &raw));
    *id = (int16_t)((raw >> 1) ^ (0 - (raw & 1)));
    return 0;
}

int thrift_integer(struct thrift_cursor *cursor, int type, int64_t *out)
{
    uint64_t raw;
    if (type == THRIFT_I8) {
        if (cursor->next == cursor->end) return cut_short();
        *out = (int8_t)*cursor->next++;
        return 0;
    }
    if (type < THRIFT_I16 || type > THRIFT_I64)
        return error_set(GLIS_ECORRUPT, "the metadata has no number where one must be");
    TRY(read_varint(cursor, &raw));
    *out = (int64_t)((raw >> 1) ^ (0 - (raw & 1)));
    return 0;
}

int thrift_boolean(struct thrift_cursor *cursor, int type, bool *out)
{
    (void)cursor;
    if (type != THRIFT_TRUE && type != THRIFT_FALSE)
        return error_set(GLIS_ECORRUPT, "the metadata has no boolean where one must be");
    *out = type == THRIFT_TRUE;
    return 0;
}

int thrift_binary(struct thrift_cursor *cursor, int type, struct slice *out)
{
    uint64_t size;
    if (type != THRIFT_BINARY)
        return error_set(GLIS_ECORRUPT, "the metadata has no text where one must be");
    TRY(read_varint(cursor, &size));
    if (size > (uint64_t)(cursor->end - cursor->next)) return cut_short();
    *out = slice_make(cursor->next, (size_t)size);
    cursor->next += size;
    return 0;
}

int thrift_list(struct thrift_cursor *cursor, int type, int *element_type, uint32_t *count)
{
    if (type != THRIFT_LIST && type != THRIFT_SET)
        return error_set(GLIS_ECORRUPT, "the metadata has no list where one must be");
    if (cursor->next == cursor->end) return cut_short();
    uint8_t byte = *cursor->next++;
    uint64_t n = byte >> 4;
    *element_type = byte & 15;
    if (n == 15) TRY(read_varint(cursor, &n));
    if (n > (uint64_t)(cursor->end - cursor->next))
        return error_set(GLIS_ECORRUPT, "a list of the metadata claims more than there is");
    *count = (uint32_t)n;
    return 0;
}

static int skip(struct thrift_cursor *cursor, int type, bool in_list, unsigned depth);

static int skip_list(struct thrift_cursor *cursor, int type, unsigned depth)
{
    int element;
    uint32_t n;
    TRY(thrift_list(cursor, type, &element, &n));
    for (uint32_t i = 0; i < n; i++)
        TRY(skip(cursor, element, true, depth + 1));
    return 0;
}

static int skip_map(struct thrift_cursor *cursor, unsigned depth)
{
    uint64_t n;
    TRY(read_varint(cursor, &n));
    if (n == 0) return 0;
    if (n > (uint64_t)(cursor->end - cursor->next)) return cut_short();
    uint8_t types = *cursor->next++;
    for (uint64_t i = 0; i < n; i++) {
        TRY(skip(cursor, types >> 4, true, depth + 1));
        TRY(skip(cursor, types & 15, true, depth + 1));
    }
    return 0;
}

static int skip_struct(struct thrift_cursor *cursor, unsigned depth)
{
    int id = 0, type;
    for (;;) {
        TRY(thrift_field(cursor, &id, &type));
        if (type == THRIFT_STOP) return 0;
        TRY(skip(cursor, type, false, depth + 1));
    }
}

static int skip(struct thrift_cursor *cursor, int type, bool in_list, unsigned depth)
{
    uint64_t raw;
    size_t bytes = 0;
    if (depth > SKIP_DEPTH_MAX)
        return error_set(GLIS_ECORRUPT, "the metadata is nested too deeply");
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE: bytes = in_list; break;
    case THRIFT_I8: bytes = 1; break;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64: return read_varint(cursor, &raw);
    case THRIFT_DOUBLE: bytes = 8; break;
    case THRIFT_BINARY: {
        struct slice text;
        return thrift_binary(cursor, type, &text);
    }
    case THRIFT_LIST:
    case THRIFT_SET: return skip_list(cursor, type, depth);
    case THRIFT_MAP: return skip_map(cursor, depth);
    case THRIFT_STRUCT: return skip_struct(cursor, depth);
    default: return error_set(GLIS_ECORRUPT, "unknown type %d in the metadata", type);
    }
    if (bytes > (size_t)(cursor->end - cursor->next)) return cut_short();
    cursor->next += bytes;
    return 0;
}

int thrift_skip(struct thrift_cursor *cursor, int type)
{
    return skip(cursor, type, false, 0);
}
