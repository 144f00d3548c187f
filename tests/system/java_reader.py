"""parquet-java as a reader beside the others: tests/java/ReadParquet.java in a process that stays.

scripts/install-deps fetches its libraries and compiles it into .venv/java.
"""

import atexit
import json
import pathlib
import shutil
import struct
import subprocess

import pyarrow as pa
import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / ".venv" / "java"
NANOSECONDS = {"s": 10 ** 9, "ms": 10 ** 6, "us": 1000, "ns": 1}
_process = None


def _reader():
    global _process
    if _process is None:
        if not (FOLDER / "ReadParquet.class").exists() or not shutil.which("java"):
            pytest.skip("parquet-java is not there: scripts/install-deps check found no Java or no Maven repository")
        _process = subprocess.Popen(["java", "-Xss8m", "-XX:+UseSerialGC", "-cp", f"{FOLDER}:{FOLDER}/lib/*", "ReadParquet"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        atexit.register(_process.kill)
    return _process


def rows_of(path):
    """(rows as JSON values, None), or (None, the error)."""
    reader = _reader()
    reader.stdin.write(f"{path}\n")
    reader.stdin.flush()
    word, rest = reader.stdout.readline().rstrip("\n").split(" ", 1)
    if word == "error":
        return None, rest
    return [json.loads(reader.stdout.readline()) for _ in range(int(rest))], None


def _canonical(value, kind):
    if value is None:
        return None
    if pa.types.is_list(kind):
        return [_canonical(v, kind.value_type) for v in value]
    if pa.types.is_map(kind):
        return [[_canonical(k, kind.key_type), _canonical(v, kind.item_type)] for k, v in value]
    if pa.types.is_struct(kind):
        return {field.name: _canonical(value[field.name], field.type) for field in kind}
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return "nan" if value != value else "f:" + struct.pack(">f", value).hex()
    if pa.types.is_float64(kind):
        return "nan" if value != value else "d:" + struct.pack(">d", value).hex()
    if pa.types.is_decimal(kind):
        sign, digits, exponent = value.as_tuple()
        unscaled = int("".join(map(str, digits))) * 10 ** (exponent + kind.scale)
        return f"n:{-unscaled if sign else unscaled}/{kind.scale}"
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return value * NANOSECONDS[kind.unit]
    if isinstance(value, bytes):
        return "x:" + value.hex()
    return value


def canonical(table, numbers):
    """The rows of a pyarrow table in the form that ReadParquet prints; `numbers` gives types with whole numbers for
    times."""
    columns = {}
    for field, column in zip(table.schema, table.columns):
        plain = column.cast(numbers(field.type)) if numbers(field.type) != field.type else column
        columns[field.name] = [_canonical(v, field.type) for v in plain.to_pylist()]
    return [dict(zip(columns, row)) for row in zip(*columns.values())] if columns else []
