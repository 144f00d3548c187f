"""The Arrow IPC stream that Glis writes, read by pyarrow and compared with the same rows as JSON lines."""

import base64
import datetime
import decimal
import json
import os
import subprocess

import pyarrow as pa
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("GLIS_BUILD_ROOT", os.path.join(ROOT, "build"))
PROGRAM = os.path.join(BUILD, "tests", "unit", "test_arrow_sink")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not os.path.exists(PROGRAM):
        subprocess.run(["ninja", "-C", BUILD, "tests/unit/test_arrow_sink"], check=True,
                       stdout=subprocess.DEVNULL)
    path = tmp_path_factory.mktemp("ipc")
    subprocess.run([PROGRAM, str(path)], check=True, timeout=60)
    return path


def plain(value, type_):
    """A value that pyarrow gives, as Glis writes it in JSON."""
    if value is None:
        return None
    if pa.types.is_binary(type_):
        return base64.b64encode(value).decode()
    if pa.types.is_decimal(type_):
        return format(value, "f")
    if pa.types.is_date(type_):
        return value.isoformat()
    if pa.types.is_timestamp(type_):
        micros = (value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)
        return micros
    if pa.types.is_map(type_):
        return {k: plain(v, type_.item_type) for k, v in value}
    if pa.types.is_list(type_):
        return [plain(v, type_.value_type) for v in value]
    if pa.types.is_struct(type_):
        return {f.name: plain(value[f.name], f.type) for f in type_}
    return value


def written(value, type_):
    """A value of the JSON lines in the same form."""
    if value is None:
        return None
    if pa.types.is_timestamp(type_):
        moment = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)
    if pa.types.is_decimal(type_):
        return format(decimal.Decimal(value), "f")
    if pa.types.is_list(type_):
        return [written(v, type_.value_type) for v in value]
    if pa.types.is_struct(type_):
        return {f.name: written(value[f.name], f.type) for f in type_}
    return value


@pytest.mark.parametrize("name", ["all_types", "only_a_key"])
def test_pyarrow_reads_what_the_json_lines_say(folder, name):
    with pa.ipc.open_stream(str(folder / f"{name}.arrows")) as reader:
        batches = list(reader)
        schema = reader.schema
    for batch in batches:
        batch.validate(full=True)
    table = pa.Table.from_batches(batches, schema)
    lines = [json.loads(line) for line in open(folder / f"{name}.jsonl", encoding="utf-8")]
    assert table.num_rows == len(lines) == 36
    for field in schema:
        got = [plain(v, field.type) for v in table.column(field.name).to_pylist()]
        assert got == [written(line[field.name], field.type) for line in lines], field.name


def test_the_types_are_arrows(folder):
    with pa.ipc.open_stream(str(folder / "all_types.arrows")) as reader:
        schema = reader.schema
    assert [(f.name, f.type, f.nullable) for f in schema][:11] == [
        ("k", pa.int32(), False), ("l", pa.int64(), True), ("s", pa.string(), True),
        ("b", pa.binary(), True), ("t", pa.bool_(), True), ("f", pa.float32(), True),
        ("d", pa.float64(), True), ("day", pa.date32(), True),
        ("ts", pa.timestamp("us", "UTC"), True), ("m5", pa.decimal128(5, 2), True),
        ("m38", pa.decimal128(38, 10), True)]
    assert pa.types.is_list(schema.field("li").type)
    assert pa.types.is_map(schema.field("ma").type)
    assert pa.types.is_struct(schema.field("st").type)
