"""Instances of earlier versions are read and gone on with. tests/data/instance-1.tar.gz was made by a
Glis of November 2026 whose clock said January 2020, so by now every delay has run out: ingests by name
and by number, a compaction, an added column, a pin for ever, deleted rows, a snapshot with records
behind it, a dropped table, a table that aggregates."""

import json
import os
import tarfile

import pytest

from glis_command import Glis, ROOT, make_rows
from instance_reader import Instance


@pytest.fixture
def glis(tmp_path):
    with tarfile.open(os.path.join(ROOT, "tests/data/instance-1.tar.gz")) as archive:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path, **safe)
    return Glis(tmp_path / "instance")


def sorted_rows(rows):
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def rows_of(*seeds):
    return [{**row, "more": 7 if seed == 4 else None} for seed in seeds
            for row in make_rows(40, seed)]


def is_left(row):
    return not 0 <= row["k"] < 100


def test_its_rows_are_there(glis):
    expected = sorted_rows([*filter(is_left, rows_of(1, 2, 3, 4)), *rows_of(5)])
    assert sorted_rows(glis.read_all("t")) == expected
    names, rows = Instance(glis.root).rows("t")
    assert sorted_rows(dict(zip(names, row)) for row in rows) == expected
    text = glis.ok("query", "t", "--at-record", 16, "--format", "jsonl")
    assert sorted_rows(map(json.loads, text.splitlines())) == sorted_rows(rows_of(1, 2, 3, 4))
    best = {}
    for row in make_rows(60, 6):
        old = best.setdefault((row["k"], row["s"]), row)
        old["v"] = max((v for v in (old["v"], row["v"]) if v is not None), default=None)
        old["d"] = min(old["d"], row["d"])
    assert sorted_rows(glis.read_all("aggregated")) == sorted_rows(best.values())
    assert glis.ok("table", "list", "--names").split() == ["aggregated", "t"]
    assert glis.ok("set").strip() == "glis.price.get=0.0005"
    glis.ok("check", "--read-data")


def test_it_is_gone_on_with(glis, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in make_rows(40, 5)))
    before = len(glis.read_all("t"))
    # jobs are remembered by the log's time, so until the next commit; numbers for ever
    assert "done with other input" in glis.fails("ingest", "t", path, "--job", "job5")
    assert "done before" in glis.ok("ingest", "t", path, "--writer", "w", "--sequence", 1)
    glis.ok("ingest", "t", path, "--writer", "w", "--sequence", 2)
    glis.ok("ingest", "t", path, "--job", "job5")
    assert len(glis.read_all("t")) == before + 80
    assert "rows were deleted" in glis.fails("table", "restore", "t", "--to-pin", "before", "--yes")
    glis.ok("table", "unpin", "t", "before")
    glis.ok("compact", "t", "--force")
    glis.ok("maintain", "--all", "--until-idle")
    glis.ok("gc", "--all", "--now")
    assert len(glis.read_all("t")) == before + 80
    assert "no longer" in glis.fails("query", "t", "--at-record", 16)
    assert "no dropped table" in glis.fails("table", "undrop", "dropped")
    table_id = glis.json("table", "show", "t")["id"]
    assert not list(glis.root.glob(f"tables/{table_id}/data/00000000000[12]-*"))
    glis.ok("check", "--read-data")
