"""Files on inner partitions go down with rows estimated by their sketches, and lose none on the way."""

import json
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}


class Table:
    def __init__(self, folder):
        self.folder, self.root = folder, folder / "instance"
        self.ok("init", self.root, "--property", "glis.maintenance=manual")
        (folder / "schema.json").write_text(json.dumps(
            {"rowKeyFields": [{"name": "k", "type": "IntType"}],
             "valueFields": [{"name": "v", "type": "IntType"}]}))
        (folder / "splits.txt").write_text("1000\n2000\n3000\n")
        self.ok("table", "create", "t", "--schema", folder / "schema.json",
                "--splits", folder / "splits.txt")
        self.ok("table", "set", "t", "glis.table.ingest.max.references=1",
                "glis.table.inner.bytes=0", "glis.table.ingest.min.file.bytes=1K")

    def ok(self, *words):
        done = subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, timeout=60,
                              env={**CLEAN, "GLIS_INSTANCE": str(self.root)})
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def rows(self):
        """Rows of each partition by its own references."""
        report = json.loads(self.ok("--json", "status", "t", "partitions"))
        return {entry["partition"]: entry["rows"] for entry in report if entry["rows"]}


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def test_rows_are_estimated_by_sketches(table):
    # 9,000 rows in the first leaf, 900 in the third, 100 in the last.
    keys = [i % 1000 for i in range(9000)] + [2000 + i % 1000 for i in range(900)] + [
        3000 + i for i in range(100)]
    path = table.folder / "rows.csv"
    path.write_text("k,v\n" + "".join(f"{k},{i}\n" for i, k in enumerate(keys)))
    table.ok("table", "set", "t", "glis.table.ingest.min.file.bytes=1G")
    table.ok("ingest", "t", path)
    table.ok("table", "set", "t", "glis.table.ingest.min.file.bytes=1K")
    assert table.rows() == {"root": 10000}
    table.ok("maintain", "t")
    found = table.rows()
    assert sum(found.values()) in range(9900, 10100) and "root" not in found
    # Shared out by leaves the left half would have 5,000.
    assert sum(found.get(id, 0) for id in ("0.4", "0.0", "0.1")) in range(8900, 9100), found
    table.ok("maintain", "t", "--until-idle")
    table.ok("compact", "t", "--force")
    assert table.rows() == {"0.0": 9000, "0.2": 900, "0.3": 100}
    assert table.ok("query", "t", "--count").split() == ["10000"]
    table.ok("check", "t", "--read-data")
