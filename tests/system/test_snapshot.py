"""Snapshots of tables: Parquet files that others read, and that cost only time when damaged."""

import base64
import json
import os
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}
SCHEMA = {"rowKeyFields": [{"name": "k", "type": "LongType"}],
          "valueFields": [{"name": "v", "type": "StringType"}]}


def glis(root, *words, input=None, code=0):
    done = subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, timeout=60,
                          input=input, env={**CLEAN, "GLIS_INSTANCE": str(root)})
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stdout + done.stderr


@pytest.fixture
def table(tmp_path):
    root = tmp_path / "instance"
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    glis(root, "init", root)
    glis(root, "table", "create", "t", "--schema", tmp_path / "schema.json")
    for job in range(3):
        (tmp_path / "in.jsonl").write_text("".join(
            json.dumps({"k": 10 * job + i, "v": f"row {i}"}) + "\n" for i in range(10)))
        glis(root, "ingest", "t", tmp_path / "in.jsonl", "--job", f"job-{job}")
    glis(root, "log", "snapshot", "t")
    return root


def snapshots(root):
    return sorted(path for path in (root / "tables").glob("*/snapshot/*") if path.is_file())


def text_of(value):
    """A text of the format: a length (one byte here) and as many bytes."""
    assert value[0] < 128
    return value[1:1 + value[0]]


def test_a_snapshot_is_a_parquet_file_of_the_documented_columns(table):
    [path] = snapshots(table)
    file = pq.ParquetFile(path)
    assert file.schema_arrow.names == ["section", "key", "value"]
    assert [field.type for field in file.schema_arrow] == [pa.int32(), pa.binary(), pa.binary()]
    assert not any(field.nullable for field in file.schema_arrow)
    metadata = file.metadata.metadata
    assert metadata[b"glis.snapshot"] == b"1" and metadata[b"glis.kind"] == b"table"
    assert json.loads(metadata[b"glis.log"])["record"] == 4
    rows = [tuple(row.values()) for row in file.read().to_pylist()]
    assert [row[:2] for row in rows] == sorted(row[:2] for row in rows)
    numbers = {key: value for section, key, value in rows if section == 0}
    assert numbers[b"rows"] == bytes([30]) and numbers[b"leaves"] == bytes([1])
    assert [(k, v) for s, k, v in rows if s == 3][0][0] == b"root"
    files = {key: value for section, key, value in rows if section == 4}
    references = [key for section, key, value in rows if section == 5]
    assert sorted(b"root\0" + key for key in files) == references and len(files) == 3
    assert [key for section, key, value in rows if section == 6] == [b"job-0", b"job-1", b"job-2"]
    schema = [value for section, key, value in rows if section == 2]
    assert json.loads(schema[0])["rowKeyFields"] == SCHEMA["rowKeyFields"]


def test_duckdb_reads_a_snapshot(table):
    duckdb = pytest.importorskip("duckdb")
    [path] = snapshots(table)
    found = duckdb.sql(f"select section, count(*) from read_parquet('{path}') "
                       "where section in (3, 4, 5, 6) group by 1 order by 1").fetchall()
    assert found == [(3, 1), (4, 3), (5, 3), (6, 3)]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "older form", "another file"])
def test_a_damaged_snapshot_costs_only_time(table, tmp_path, damage):
    before = glis(table, "query", "t", "--from", "0", "--format", "jsonl")
    assert len(before.splitlines()) == 30
    [path] = snapshots(table)
    good = path.read_bytes()
    bad = {"flip": good[:50] + bytes([good[50] ^ 1]) + good[51:], "cut": good[:-1], "empty": b"",
           "older form": b"GLIS snapshot 1\n" + good}.get(damage)
    if bad is None:
        pq.write_table(pa.table({"section": [1], "key": [b"x"], "value": [b"y"]}), tmp_path / "p")
        bad = (tmp_path / "p").read_bytes()
    os.chmod(path, 0o600)
    path.write_bytes(bad)
    assert glis(table, "query", "t", "--from", "0", "--format", "jsonl") == before
    assert path.name in glis(table, "check", "t", code=1)
