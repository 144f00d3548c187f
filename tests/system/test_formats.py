"""docs/formats.md is enough to read and write an instance: instance_reader.py, which knows nothing
else, finds the rows that `glis query` gives, and Glis takes what that program wrote for its own."""

import base64
import json
import os
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glis_command import Glis, SCHEMA, make_rows
from instance_reader import Damage, Instance, field_key

POINTS = {
    "BooleanType": [False, True], "IntType": [-2**31, -1, 0, 1, 2**31 - 1],
    "LongType": [-2**63, -1, 0, 1, 2**63 - 1], "FloatType": [float("-inf"), -1.0, 0.0, 1.0],
    "DoubleType": [float("-inf"), -1.5, 0.0, 1.0, 1e300], "StringType": ["", "\0", "Zürich", "a"],
    "ByteArrayType": [b"", b"\0", b"\0\xff", b"\xff"]}


def key_of(row):
    return json.dumps(row, sort_keys=True, default=repr)


def compare(glis, table, **how):
    """What both read, row by row; the number of rows."""
    names, rows = Instance(glis.root).rows(table, **how)
    mine = [dict(zip(names, row)) for row in rows]
    theirs = glis.read_all(table)
    assert sorted(map(key_of, mine)) == sorted(map(key_of, theirs))
    return len(mine)


@pytest.fixture
def glis(tmp_path):
    glis = Glis(tmp_path / "instance")
    glis.ok("init", glis.root)
    return glis


def ingest(glis, n, seed, *words, table="t"):
    path = glis.root.parent / f"{seed}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in make_rows(n, seed)))
    glis.ok("ingest", table, path, *words)


def test_field_keys_are_those_of_the_table_of_examples():
    for kind, values in POINTS.items():
        keys = [field_key(kind, value) for value in values]
        assert keys == sorted(keys) and len(set(keys)) == len(keys), kind
    assert field_key("LongType", -1).hex() == "7fffffffffffffff"
    assert field_key("StringType", "Zürich").hex() == "5ac3bc726963680000"
    assert field_key("FloatType", -1.0).hex() == "407fffff"
    assert field_key("DoubleType", -0.0) == field_key("DoubleType", 0.0)


def test_the_life_of_a_table_is_read(glis):
    glis.create("t", SCHEMA, splits=[-500, 0, 10, 500])
    for seed in range(6):
        ingest(glis, 300, seed, *(["--job", f"job{seed}"] if seed % 2 else
                                  ["--writer", "w", "--sequence", seed // 2 + 1]))
    assert compare(glis, "t") == 1800
    glis.ok("compact", "t", "--force")
    glis.ok("table", "add-column", "t", "more", "LongType")
    assert compare(glis, "t") == 1800
    ingest(glis, 100, 77)
    glis.ok("table", "set", "t", "glis.table.partition.splitting.threshold=200")
    glis.ok("maintain", "t", "--until-idle")
    assert compare(glis, "t") == 1900
    record = json.loads(glis.ok("--json", "status", "t"))["record"]
    glis.ok("delete", "t", "--from", "-100", "--to", "100", "--yes")
    left = compare(glis, "t")
    assert 0 < left < 1900
    glis.ok("gc", "t", "--now")
    ingest(glis, 50, 78)
    assert compare(glis, "t") == left + 50
    assert record < json.loads(glis.ok("--json", "status", "t"))["record"]
    glis.ok("check", "--read-data")


def test_a_restored_and_a_reset_table_are_read(glis):
    glis.create("t", SCHEMA, splits=[0])
    ingest(glis, 100, 1)
    record = json.loads(glis.ok("--json", "status", "t"))["record"]
    ingest(glis, 100, 2)
    glis.ok("compact", "t", "--force")
    glis.ok("table", "restore", "t", "--to-record", record, "--yes")
    assert compare(glis, "t") == 100
    glis.ok("table", "reset", "t", "--yes")
    assert compare(glis, "t") == 0
    ingest(glis, 30, 3)
    assert compare(glis, "t") == 30


def test_snapshots_say_what_the_records_say(glis):
    """Many small commits, so that snapshots are due, and records with bodies of their own."""
    glis.create("t", SCHEMA, splits=list(range(-990, 1000, 10)))
    for seed in range(12):
        ingest(glis, 400, seed)
    folder = glis.root / "tables" / Instance(glis.root).table_id("t")
    assert list((folder / "snapshot").iterdir())
    assert compare(glis, "t") == compare(glis, "t", use_snapshots=False) == 4800
    with_, without = (Instance(glis.root).table("t", use_snapshots=use) for use in (True, False))
    for what in ("schemas", "files", "references", "jobs", "writers", "version", "generation"):
        a, b = getattr(with_, what), getattr(without, what)
        if what == "files":
            a, b = ({name: [f[x] for x in ("size", "rows", "xxh3", "schema")]
                     for name, f in files.items()} for files in (a, b))
        assert a == b, what
    assert {k: v["region"] for k, v in with_.partitions.items()} == \
        {k: v["region"] for k, v in without.partitions.items()}


def test_damage_is_seen_by_the_other_program_too(glis):
    glis.create("t", SCHEMA)
    ingest(glis, 10, 1)
    path = glis.data_files()[0]
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(Damage):
        Instance(glis.root).rows("t")


# "The instance's folder" and "Log records", as patterns.
ULID, HEX12, HEX32, NUMBER = "[0-9A-HJKMNP-TV-Z]{26}", "[0-9a-f]{12}", "[0-9a-f]{32}", r"\d{20}"
LOG = rf"(log/{NUMBER}|log/body/{HEX12}-{HEX32}|log/pending/{HEX32}|log/trimmed/{NUMBER}|log/hint" \
      rf"|snapshot/{NUMBER}-{HEX32})"
PLACES = re.compile(
    rf"home|catalogue/{LOG}|tables/{ULID}/({LOG}|data/{HEX12}-{ULID}\.parquet|jobs/[^/]+|sweep"
    rf"|staging/[^/]+/(plan|{ULID}\.((sort|write)-\d+|tree|bad-{ULID})))")


def test_every_object_has_its_place_on_the_page(glis):
    glis.create("t", SCHEMA, "--set", "glis.table.bulk.import.min.leaf.partitions=1",
                splits=list(range(-990, 1000, 10)))
    for seed in range(6):
        ingest(glis, 300, seed)
    good = glis.root.parent / "5.jsonl"
    glis.ok("bulk-import", "t", good, "--job", "b", "--plan")
    glis.ok("bulk-import", "t", "--job", "b", "--step", "sort-000000")
    glis.ok("gc", "t")
    data = glis.data_files()[0]
    data.chmod(0o644)
    data.write_bytes(data.read_bytes()[:-9])
    glis.fails("compact", "t", "--force")
    names = [str(path.relative_to(glis.root)) for path in glis.root.rglob("*") if path.is_file()]
    assert [name for name in names if not PLACES.fullmatch(name)] == []
    for part in ("/snapshot/", "/jobs/", "/sweep", "/staging/b/plan", ".sort-", "/log/hint"):
        assert any(part in name for name in names), part
    for path in glis.root.glob("tables/*/jobs/*"):
        report = json.loads(path.read_text())
        assert list(report) == ["job", "kind", "partition", "time", "partitionFiles", "reason"]
    for path in glis.root.glob("tables/*/sweep"):
        assert list(json.loads(path.read_text())) == ["time"]


# ---- what the other program writes ----

ARROW = pa.schema([pa.field("k", pa.int64(), False), pa.field("s", pa.string(), False),
                   pa.field("v", pa.string(), True), pa.field("d", pa.float64(), False)])


def arrow_rows(rows):
    rows = sorted(rows, key=lambda row: (row["k"], row["s"].encode()))
    return pa.Table.from_pylist(rows, schema=ARROW)


@pytest.fixture
def written(tmp_path):
    """An instance without a single command of Glis."""
    instance = Instance.begin(tmp_path / "instance")
    split = base64.b64encode(field_key("LongType", 0)).decode()
    instance.create("t", SCHEMA, [
        {"id": "root", "dimension": 0, "split": split, "left": "0.0", "right": "0.1"},
        {"id": "0.0"}, {"id": "0.1"}])
    return instance, Glis(tmp_path / "instance")


def ingest_line(job, files):
    return {"type": "change_files", "for": "ingest", "job": job, "given": True,
            "fingerprint": os.urandom(16).hex(), "generation": 0, "processing": 0, "files": files}


def test_what_the_other_program_wrote_is_an_instance(written):
    instance, glis = written
    rows = make_rows(500, 1)
    for part, leaf in (([r for r in rows if r["k"] < 0], "0.0"),
                       ([r for r in rows if r["k"] >= 0], "0.1")):
        file = instance.new_file("t", arrow_rows(part), leaf)
        instance.table("t").log.append(ingest_line(f"job-{leaf}", [file]))
    assert compare(glis, "t") == 500
    glis.ok("check", "--read-data")
    # and Glis goes on with it
    ingest(glis, 200, 2)
    glis.ok("compact", "t", "--force")
    glis.ok("maintain", "t")
    assert compare(glis, "t") == 700
    glis.ok("check", "--read-data")
    # and the other program with that
    file = instance.new_file("t", arrow_rows([{"k": 7, "s": "x", "v": None, "d": 0.5}]), "root")
    instance.table("t").log.append(ingest_line("last", [file]))
    assert compare(glis, "t") == 701
    assert glis.json("status", "t")["rows"] == 701
    assert "other input" in glis.fails("ingest", "t", glis.root.parent / "2.jsonl", "--job", "last")


def test_carried_entries_are_decided_alike(written):
    instance, glis = written
    file = instance.new_file("t", arrow_rows(make_rows(50, 3)), "root")
    other = {**instance.new_file("t", arrow_rows(make_rows(5, 4)), "root"),
             "references": [{"partition": "no-such", "rows": 5}]}
    late = instance.new_file("t", arrow_rows(make_rows(7, 5)), "root")
    log = instance.table("t").log

    def entry(name, not_after, line):
        return {"log": "pending", "id": name * 32, "not_after": not_after, "transaction": line}
    log.append(entry("a", 60, ingest_line("a", [file])), entry("b", 60, ingest_line("b", [other])),
               entry("c", 1, ingest_line("c", [late])), entry("a", 60, ingest_line("d", [late])))
    assert compare(glis, "t") == 50
    shown = glis.ok("log", "show", "t")
    assert "a" * 32 in shown and "b" * 32 in shown
    ingest(glis, 20, 6)
    assert compare(glis, "t") == 70


def test_a_record_of_the_other_program_is_held_to_the_page(written):
    """One field wrong at a time, and Glis says so."""
    instance, glis = written
    log = instance.table("t").log
    path = log.key(log.append({"type": "pin", "id": "p", "record": 1, "until": 0, "keeps": "files"}))
    good = path.read_bytes()
    assert glis.ok("query", "t", "--count").strip() == "0"
    for old, new in ((b'"seq":2', b'"seq":3'), (b'"previous":"', b'"previous":"0'),
                     (b'"count":1', b'"count":2'), (b'"keeps":"files"', b'"keeps":"filez"')):
        assert old in good
        path.write_bytes(good.replace(old, new))
        assert "record" in glis.fails("query", "t", "--count")
    path.write_bytes(good)
    assert glis.ok("query", "t", "--count").strip() == "0"
