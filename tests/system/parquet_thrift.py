"""Thrift's compact protocol, both ways, for tests that look at a Parquet file's own words or change them.

A struct is a dict from field id to (type, value); a list is (element type, [values]); a boolean field's value is its
type (1 true, 2 false). Names are those of parquet.thrift.
"""

import struct

TRUE, FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def value(self, kind, in_list=False):
        if kind in (TRUE, FALSE):
            return self.byte() if in_list else kind
        if kind == I8:
            return struct.unpack("b", bytes([self.byte()]))[0]
        if kind in (I16, I32, I64):
            return self.zigzag()
        if kind == DOUBLE:
            self.at += 8
            return struct.unpack("<d", self.data[self.at - 8:self.at])[0]
        if kind == BINARY:
            size = self.varint()
            self.at += size
            return bytes(self.data[self.at - size:self.at])
        if kind in (LIST, SET):
            head = self.byte()
            n = head >> 4 if head >> 4 < 15 else self.varint()
            return head & 15, [self.value(head & 15, True) for _ in range(n)]
        assert kind == STRUCT, kind
        fields, last = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return fields
            last = last + (head >> 4) if head >> 4 else self.zigzag()
            fields[last] = (head & 15, self.value(head & 15))


def _varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value):
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def encode(kind, value):
    if kind in (TRUE, FALSE):
        return bytes([value])
    if kind == I8:
        return struct.pack("b", value)
    if kind in (I16, I32, I64):
        return _zigzag(value)
    if kind == DOUBLE:
        return struct.pack("<d", value)
    if kind == BINARY:
        return _varint(len(value)) + value
    if kind in (LIST, SET):
        element, items = value
        head = bytes([len(items) << 4 | element]) if len(items) < 15 else bytes([0xF0 | element]) + _varint(len(items))
        return head + b"".join(encode(element, item) for item in items)
    out = b""
    for field in sorted(value):
        kind, item = value[field]
        out += bytes([kind]) + _zigzag(field) + (b"" if kind in (TRUE, FALSE) else encode(kind, item))
    return out + b"\0"


def decode(data, at=0):
    return Reader(data, at).value(STRUCT)


def footer(data):
    """FileMetaData of a file's bytes."""
    size = struct.unpack("<I", data[-8:-4])[0]
    return decode(data, len(data) - 8 - size)


def with_footer(data, metadata):
    """The file's bytes with another FileMetaData."""
    size = struct.unpack("<I", data[-8:-4])[0]
    message = encode(STRUCT, metadata)
    return bytes(data[:len(data) - 8 - size]) + message + struct.pack("<I", len(message)) + b"PAR1"


def field(fields, *path):
    """The value at a path of field ids and list positions; None where there is none."""
    for step in path:
        if isinstance(fields, dict):
            if step not in fields:
                return None
            fields = fields[step][1]
        else:
            fields = fields[1][step]
    return fields


def chunks(metadata):
    """ColumnChunk structs of all row groups: (row group, column, chunk)."""
    for g, group in enumerate(metadata[4][1][1]):
        for c, chunk in enumerate(group[1][1][1]):
            yield g, c, chunk
