/*
 * thrift_write.c: messages in Thrift's compact protocol
 * (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md): field
 * headers with the id's difference to the field before, zigzag varints, lengths before bytes. The
 * first failure stops the writing and is reported at the end, so that a struct reads as its list of
 * fields.
 */
#include "parquet/parquet_int.h"

static void put_byte(struct thrift_writer *writer, uint8_t byte)
{
    if (writer->code == 0) writer->code = buffer_append_byte(writer->out, byte);
}

static void put_varint(struct thrift_writer *writer, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_byte(writer, (uint8_t)(value | 0x80));
    put_byte(writer, (uint8_t)value);
}

static void put_zigzag(struct thrift_writer *writer, int64_t value)
{
    put_varint(writer, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void put_field(struct thrift_writer *writer, int id, int type)
{
    int *last = &writer->last[writer->depth];
    if (id > *last && id - *last <= 15) {
        put_byte(writer, (uint8_t)((id - *last) << 4 | type));
    } else {
        put_byte(writer, (uint8_t)type);
        put_zigzag(writer, id);
    }
    *last = id;
}

void thrift_write_begin(struct thrift_writer *writer, struct buffer *out)
{
    *writer = (struct thrift_writer){.out = out};
}

int thrift_write_finish(struct thrift_writer *writer)
{
    ASSERT(writer->depth == 0);
    put_byte(writer, THRIFT_STOP);
    return writer->code;
}

void thrift_write_integer(struct thrift_writer *writer, int id, int type, int64_t value)
{
    put_field(writer, id, type);
    if (type == THRIFT_I8)
        put_byte(writer, (uint8_t)value);
    else
        put_zigzag(writer, value);
}

void thrift_write_boolean(struct thrift_writer *writer, int id, bool value)
{
    put_field(writer, id, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_write_binary(struct thrift_writer *writer, int id, struct slice value)
{
    put_field(writer, id, THRIFT_BINARY);
    thrift_write_binary_element(writer, value);
}

void thrift_write_struct(struct thrift_writer *writer, int id)
{
    if (id > 0) put_field(writer, id, THRIFT_STRUCT);
    ASSERT(writer->depth + 1 < THRIFT_WRITE_DEPTH_MAX);
    writer->last[++writer->depth] = 0;
}

void thrift_write_end(struct thrift_writer *writer)
{
    ASSERT(writer->depth > 0);
    put_byte(writer, THRIFT_STOP);
    writer->depth--;
}

void thrift_write_list(struct thrift_writer *writer, int id, int element_type, uint32_t n)
{
    put_field(writer, id, THRIFT_LIST);
    if (n < 15) {
        put_byte(writer, (uint8_t)(n << 4 | (unsigned)element_type));
    } else {
        put_byte(writer, (uint8_t)(0xf0 | element_type));
        put_varint(writer, n);
    }
}

void thrift_write_integer_element(struct thrift_writer *writer, int64_t value)
{
    put_zigzag(writer, value);
}

void thrift_write_boolean_element(struct thrift_writer *writer, bool value)
{
    put_byte(writer, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_write_binary_element(struct thrift_writer *writer, struct slice value)
{
    put_varint(writer, value.size);
    if (writer->code == 0) writer->code = buffer_append_slice(writer->out, value);
}
