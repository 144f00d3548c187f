"""The metadata entry ARROW:schema: pyarrow gives back the types that the schema stands for."""

import base64
import datetime
import decimal
import json
import random
import uuid

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import parquet_thrift as thrift
from test_parquet_matrix import random_table
from test_real_files import assert_equal_tables, by_name, need, ok, run, sound_files

KEY = b"ARROW:schema"
STRUCT = thrift.STRUCT


def entries(path):
    found = thrift.field(thrift.footer(path.read_bytes()), 5)
    return [(thrift.field(e, 1), thrift.field(e, 2)) for e in (found[1] if found else [])]


def stored_schema(path):
    """The schema of the only entry; it is what Arrow's own reader of messages takes."""
    texts = [value for key, value in entries(path) if key == KEY]
    assert len(texts) == 1
    message = base64.b64decode(texts[0], validate=True)
    assert message[:4] == b"\xff\xff\xff\xff" and int.from_bytes(message[4:8], "little") == len(message) - 8
    return pa.ipc.read_schema(pa.py_buffer(message))


def plain(kind):
    """What one of pyarrow's types is for Glis, in Arrow's words."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("element", plain(kind.value_type), kind.value_field.nullable))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, plain(f.type), f.nullable) for f in kind])
    if pa.types.is_map(kind):
        return pa.map_(plain(kind.key_type), pa.field("value", plain(kind.item_type), kind.item_field.nullable))
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    return kind


FIELDS = [
    pa.field("i8", pa.int8(), nullable=False), pa.field("u64", pa.uint64()), pa.field("h", pa.float16()),
    pa.field("f", pa.float32()), pa.field("d", pa.float64(), nullable=False), pa.field("b", pa.bool_()),
    pa.field("s", pa.string(), nullable=False), pa.field("x", pa.binary()), pa.field("fx", pa.binary(5)),
    pa.field("date", pa.date32()), pa.field("t_ms", pa.time32("ms")), pa.field("t_us", pa.time64("us")),
    pa.field("t_ns", pa.time64("ns")), pa.field("ts_ms", pa.timestamp("ms", "UTC")),
    pa.field("ts_us", pa.timestamp("us")), pa.field("ts_ns", pa.timestamp("ns", "UTC"), nullable=False),
    pa.field("dec", pa.decimal128(7, 2)), pa.field("wide", pa.decimal256(60, 10)), pa.field("nothing", pa.null()),
    pa.field("list", pa.list_(pa.field("element", pa.int16(), nullable=False)), nullable=False),
    pa.field("map", pa.map_(pa.string(), pa.field("value", pa.int32(), nullable=False))),
    pa.field("struct", pa.struct([pa.field("a", pa.int32(), nullable=False), pa.field("z", pa.list_(pa.string()))])),
]
VALUES = {
    "i8": [-3], "u64": [2**64 - 1], "h": [1.5], "f": [1.5], "d": [2.5], "b": [True], "s": ["ä"], "x": [b"\0"],
    "fx": [b"12345"], "date": [datetime.date(1969, 12, 31)], "t_ms": [datetime.time(1, 2, 3)],
    "t_us": [datetime.time(1, 2, 3, 4)], "t_ns": [datetime.time(1, 2, 3)],
    "ts_ms": [datetime.datetime(2026, 1, 1)], "ts_us": [datetime.datetime(2026, 1, 1)],
    "ts_ns": [datetime.datetime(2026, 1, 1)], "dec": [decimal.Decimal("12.30")],
    "wide": [decimal.Decimal("1.5")], "nothing": [None], "list": [[1, 2]], "map": [[("k", 1)]],
    "struct": [{"a": 1, "z": ["q", None]}],
}


def every_type():
    return pa.table([pa.array(VALUES[f.name], f.type) for f in FIELDS], pa.schema(FIELDS))


@pytest.mark.parametrize("stored", [True, False])
def test_every_type_and_nullability_comes_back(stored, tmp_path):
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    pq.write_table(every_type(), theirs, store_schema=stored)
    ok("parquet", "rewrite", theirs, "--output", ours)
    wanted = pa.schema([pa.field(f.name, plain(f.type), f.nullable) for f in FIELDS])
    for schema in (pq.read_schema(ours), stored_schema(ours)):
        for field in wanted:
            assert schema.field(field.name).equals(field), (schema.field(field.name), field)
    assert pq.read_table(ours).to_pylist() == every_type().to_pylist()


@pytest.mark.parametrize("seed", range(25))
def test_random_schemas(seed, tmp_path):
    table = random_table(random.Random(1000 + seed))
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    try:
        pq.write_table(table, theirs, store_schema=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        pytest.skip(f"pyarrow does not write it: {error}")
    ok("parquet", "rewrite", theirs, "--output", ours)
    bare = tmp_path / "bare.parquet"  # the same file without the entry
    metadata = thrift.footer(ours.read_bytes())
    metadata[5] = (thrift.LIST, (STRUCT, [e for e in metadata[5][1][1] if thrift.field(e, 1) != KEY]))
    bare.write_bytes(thrift.with_footer(ours.read_bytes(), metadata))
    assert pq.read_schema(ours).equals(stored_schema(ours))
    assert pq.read_schema(ours).equals(pq.read_schema(bare))
    assert_equal_tables(pq.read_table(ours), pq.read_table(bare), ours)


@by_name(sound_files())
def test_the_entry_agrees_with_real_files(path, tmp_path):
    need(path)
    ours = tmp_path / "ours.parquet"
    done = run("parquet", "rewrite", path, "--output", ours)
    if done.returncode:
        pytest.skip(done.stderr.decode())
    assert pq.read_schema(ours).equals(stored_schema(ours))


def test_a_stale_entry_is_replaced_and_others_are_kept(tmp_path):
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    table = pa.table({"x": pa.array([1, 2], pa.int32()), "c": pa.array(["a", "b"]).dictionary_encode(),
                      "t": pa.array([1, 2], pa.timestamp("us", "Europe/Zurich"))})
    pq.write_table(table.replace_schema_metadata({"mine": "kept", "ÄÖ": "ü"}), theirs)
    other = pa.schema([("x", pa.int64()), ("y", pa.string())])
    metadata = thrift.footer(theirs.read_bytes())
    for entry in metadata[5][1][1]:
        if thrift.field(entry, 1) == KEY:
            entry[2] = (thrift.BINARY, base64.b64encode(other.serialize().to_pybytes()))
    theirs.write_bytes(thrift.with_footer(theirs.read_bytes(), metadata))
    ok("parquet", "rewrite", theirs, "--output", ours)
    assert stored_schema(ours).equals(pa.schema([("x", pa.int32()), ("c", pa.string()),
                                                 ("t", pa.timestamp("us", "UTC"))]))
    assert [e for e in entries(ours) if e[0] != KEY] == [(b"mine", b"kept"), ("ÄÖ".encode(), "ü".encode())]
    assert pq.read_table(ours).schema.metadata == {b"mine": b"kept", "ÄÖ".encode(): "ü".encode()}
    # The reader goes by the Parquet schema alone.
    assert json.loads(ok("--json", "parquet", "show", theirs))["fields"][0]["type"] == "IntType"


def test_what_pandas_left_is_found_again(tmp_path):
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    pandas = {"index_columns": [], "columns": [], "note": "ü" * 1000}
    table = pa.table({"x": [1]}).replace_schema_metadata({"pandas": json.dumps(pandas), "raw": b"\xff\xfe"})
    pq.write_table(table, theirs)
    ok("parquet", "rewrite", theirs, "--output", ours)
    assert json.loads(pq.read_schema(ours).metadata[b"pandas"]) == pandas
    assert stored_schema(ours).metadata == {b"pandas": json.dumps(pandas).encode()}
    assert (b"raw", b"\xff\xfe") in entries(ours)
    # Too much is not said twice.
    large = tmp_path / "large.parquet"
    pq.write_table(table.replace_schema_metadata({"large": "x" * (5 << 20)}), large)
    ok("parquet", "rewrite", large, "--output", ours)
    assert stored_schema(ours).metadata is None and len(dict(entries(ours))[b"large"]) == 5 << 20


def test_twice_makes_one(tmp_path):
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    pq.write_table(every_type(), paths[0])
    ok("parquet", "rewrite", paths[0], "--output", paths[1])
    ok("parquet", "rewrite", paths[1], "--output", paths[2])
    assert paths[1].read_bytes() == paths[2].read_bytes()


def test_answers_and_data_files(tmp_path):
    root, answer = tmp_path / "instance", tmp_path / "answer.parquet"
    schema = {"rowKeyFields": [{"name": "k", "type": "StringType"}],
              "valueFields": [{"name": "t", "type": "TimestampType", "nullable": True},
                              {"name": "l", "type": {"ListType": {"elementType": "IntType"}}}]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    (tmp_path / "rows.jsonl").write_text('{"k":"b","t":null,"l":[1]}\n{"k":"a","t":"2026-01-01T00:00:00Z","l":[]}\n')
    ok("init", root)
    ok("table", "create", "x", "--schema", tmp_path / "schema.json", root=root)
    ok("ingest", "x", tmp_path / "rows.jsonl", root=root)
    ok("query", "x", "--format", "parquet", "--output", answer, root=root)
    files = list(root.glob("tables/*/data/*.parquet"))
    assert len(files) == 1
    wanted = pa.schema([
        pa.field("k", pa.string(), False), pa.field("t", pa.timestamp("us", "UTC")),
        pa.field("l", pa.list_(pa.field("element", pa.int32(), False)), False)])
    for path in (answer, files[0]):
        assert stored_schema(path).equals(wanted), stored_schema(path)
        assert pq.read_schema(path).equals(wanted)
        assert pq.read_table(path)["k"].to_pylist() == ["a", "b"]
    assert b"glis.table" in pq.read_schema(files[0]).metadata
    cut = tmp_path / "cut.parquet"
    ok("parquet", "cat", files[0], "--columns", "l", "--format", "parquet", "--output", cut)
    assert stored_schema(cut).names == ["l"]
    # Copying a data file keeps what it says of its table.
    again = tmp_path / "again.parquet"
    ok("parquet", "rewrite", files[0], "--output", again)
    keys = [k for k, _ in entries(again)]
    assert b"glis.keys.min" in keys and keys.count(KEY) == 1


def test_annotations_are_left_to_the_parquet_schema(tmp_path):
    """polars stops at extension types that it does not know; pyarrow finds UUID and JSON without them."""
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.UUID(int=5).bytes, None], pa.binary(16)))
    documents = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(['{"a":1}', None]))
    table = pa.table({"id": ids, "doc": documents})
    pq.write_table(table, theirs)
    ok("parquet", "rewrite", theirs, "--output", ours)
    assert stored_schema(ours).types == [pa.binary(16), pa.string()]
    assert pq.ParquetFile(ours, arrow_extensions_enabled=True).read().schema.equals(table.schema)
    assert pq.ParquetFile(ours, arrow_extensions_enabled=False).read().schema.types == [pa.binary(16), pa.string()]
    frame = polars.read_parquet(ours)
    assert frame["id"].to_list() == [uuid.UUID(int=5).bytes, None]
    assert frame["doc"].to_list() == ['{"a":1}', None]
    assert duckdb.sql(f"select * from '{ours}'").fetchall() == [(uuid.UUID(int=5), '{"a":1}'), (None, None)]


def test_polars_and_duckdb_read_every_type(tmp_path):
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    names = [f.name for f in FIELDS if f.name not in ("wide", "map", "fx")]  # which polars does not have
    pq.write_table(every_type().select(names), theirs)
    ok("parquet", "rewrite", theirs, "--output", ours)
    frame = polars.read_parquet(ours)
    assert frame.columns == names and frame["s"].to_list() == ["ä"] and frame["list"].to_list() == [[1, 2]]
    assert frame["struct"].to_list() == VALUES["struct"]
    assert duckdb.sql(f"select * from '{ours}'").fetch_arrow_table()["struct"].to_pylist() == VALUES["struct"]
