"""Filters, aggregations, labels and iterators through the command: what a reader sees after random
ingests and compactions is what a naive model of all rows says; plug-ins of both kinds; what a table
with rows may not be set to.
"""

import json
import os
import random
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}
HOUR_MS = 3600 * 1000


class Glis:
    def __init__(self, root):
        self.root = root

    def run(self, *words, input=None):
        return subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True,
                              input=input, timeout=120,
                              env={**CLEAN, "GLIS_INSTANCE": str(self.root)})

    def ok(self, *words, **rest):
        done = self.run(*words, **rest)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *words, **rest):
        done = self.run("--json", *words, **rest)
        assert done.returncode in (1, 2), (words, done.stdout, done.stderr)
        lines = done.stderr.splitlines()  # the log output may have said something before
        return json.loads(lines[-1])

    def ingest(self, table, rows):
        self.ok("ingest", table, "-", "--format", "jsonl",
                input="".join(json.dumps(row) + "\n" for row in rows))

    def rows(self, table, *words):
        text = self.ok("query", table, "--format", "jsonl", *words)
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def glis(tmp_path):
    instance = Glis(tmp_path / "instance")
    instance.ok("init", instance.root)
    instance.folder = tmp_path
    return instance


def create(glis, name, schema, properties=None, splits=()):
    path = glis.folder / f"{name}.json"
    path.write_text(json.dumps(schema))
    words = []
    if splits:
        points = glis.folder / f"{name}.splits"
        points.write_text("".join(f"{point}\n" for point in splits))
        words = ["--splits", points]
    glis.ok("table", "create", name, "--schema", path, *words)
    if properties:
        glis.ok("table", "set", name, *[f"{k}={v}" for k, v in properties.items()])


# ---- what a reader sees ----

SCHEMA = {
    "rowKeyFields": [{"name": "key", "type": "StringType"}],
    "sortKeyFields": [{"name": "at", "type": "LongType"}, {"name": "who", "type": "StringType"}],
    "valueFields": [{"name": "n", "type": "LongType"},
                    {"name": "least", "type": "StringType", "nullable": True},
                    {"name": "counts", "type": {"MapType": {"keyType": "StringType",
                                                            "valueType": "LongType"}}}]}
PROPERTIES = {"glis.table.filters": f"ageOff(at,{24 * HOUR_MS})",
              "glis.table.aggregations": "sum(n),min(least),map_sum(counts)",
              "glis.table.visibility.field": "who"}
LABELS = {"": lambda a: True, "A": lambda a: "A" in a, "A&B": lambda a: {"A", "B"} <= a,
          "A|B": lambda a: bool({"A", "B"} & a), "B&(A|C)": lambda a: "B" in a and bool({"A", "C"} & a),
          "A&": lambda a: False}


def wrap(value):
    return (value + 2 ** 63) % 2 ** 64 - 2 ** 63


def model(rows, now_ms, holds):
    seen = {}
    for row in rows:
        if not now_ms - row["at"] < 24 * HOUR_MS:
            continue
        key = (row["key"].encode(), row["at"], row["who"].encode())
        if key not in seen:
            seen[key] = {**row, "counts": dict(row["counts"])}
            continue
        into = seen[key]
        into["n"] = wrap(into["n"] + row["n"])
        both = [v for v in (into["least"], row["least"]) if v is not None]
        into["least"] = min(both) if both else None
        for name, count in row["counts"].items():
            into["counts"][name] = wrap(into["counts"].get(name, 0) + count)
    return [seen[key] for key in sorted(seen) if LABELS[seen[key]["who"]](holds)]


def some_rows(pick, n, now_ms):
    ages = [0, HOUR_MS, 23 * HOUR_MS, 25 * HOUR_MS, 1000 * HOUR_MS]
    return [{"key": f"k{pick.randrange(12):02}", "at": now_ms - pick.choice(ages),
             "who": pick.choice(list(LABELS)),
             "n": pick.choice([1, -7, 2 ** 63 - 1, -2 ** 63]),
             "least": pick.choice([None, "", "b", "a", "é"]),
             "counts": {name: pick.randrange(-5, 2 ** 62) for name in "xyz" if pick.random() < .4}}
            for _ in range(n)]


def given(rows):
    """Absent and null are the same in an answer."""
    return [{**{"least": None}, **row} for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_readers_see_what_the_model_says(glis, seed):
    pick = random.Random(seed)
    now_ms = int(time.time() * 1000)
    create(glis, "t", SCHEMA, PROPERTIES, splits=["k04", "k08"] if seed else ())
    if seed == 2:
        glis.ok("table", "set", "t", "glis.table.ingest.file.writing.strategy=one_file_per_leaf")
    rows = []
    for step in range(6):
        more = some_rows(pick, pick.randrange(1, 60), now_ms)
        glis.ingest("t", more)
        rows += more
        if pick.random() < .5:
            glis.ok("compact", "t", "--force")
        holds = set(pick.choice(["", "A", "B", "A,B", "A,B,C"]).split(",")) - {""}
        auth = ["--auth", ",".join(sorted(holds))] if holds else []
        wanted = model(rows, now_ms, holds)
        assert given(glis.rows("t", "--ordered", *auth)) == wanted
        assert given(glis.rows("t", "--reverse", *auth)) == wanted[::-1]
        assert int(glis.ok("query", "t", "--count", *auth)) == len(wanted)
        one = [row for row in wanted if row["key"] == "k05"]
        assert given(glis.rows("t", "--key", "k05", *auth)) == one
        assert given(glis.rows("t", "--ordered", "--limit", "3", *auth)) == wanted[:3]
        few = [{k: row[k] for k in ("key", "at", "who", "n")} for row in wanted]
        assert glis.rows("t", "--ordered", "--columns", "n", *auth) == few
    # pages of an answer
    seen, after = [], []
    wanted = model(rows, now_ms, {"A", "B"})
    while True:
        done = glis.run("query", "t", "--format", "jsonl", "--ordered", "--limit", "4", "--auth",
                        "A,B", *after)
        assert done.returncode == 0, done.stderr
        seen += [json.loads(line) for line in done.stdout.splitlines()]
        if "--after" not in done.stderr:
            break
        after = ["--after", done.stderr.split("--after ")[1].strip()]
    assert given(seen) == wanted
    explained = json.loads(glis.ok("--json", "query", "t", "--explain"))
    assert explained["rows_hidden"] == len(model(rows, now_ms, {"A", "B", "C"})) + sum(
        row["who"] == "A&" for row in unhidden(rows, now_ms)) - len(model(rows, now_ms, set()))
    assert explained["bad_labels"] == sum(row["who"] == "A&" for row in unhidden(rows, now_ms))
    assert explained["files_from_metadata"] == 0


def unhidden(rows, now_ms):
    keys = {(r["key"], r["at"], r["who"]) for r in rows if now_ms - r["at"] < 24 * HOUR_MS}
    return [{"who": who} for _, _, who in keys]


def test_ingest_writes_only_what_stays(glis):
    now_ms = int(time.time() * 1000)
    create(glis, "t", SCHEMA, PROPERTIES)
    old = [{"key": "a", "at": now_ms - 99 * HOUR_MS, "who": "", "n": 1, "counts": {}}] * 5
    glis.ingest("t", old)
    status = json.loads(glis.ok("--json", "status", "t"))
    assert status["files"] == 0 and status["rows"] == 0
    same = [{"key": "a", "at": now_ms, "who": "A&", "n": 1, "counts": {}}] * 5
    glis.ingest("t", same)
    status = json.loads(glis.ok("--json", "status", "t"))
    assert status["files"] == 1 and status["rows"] == 1
    assert glis.rows("t") == []  # hidden, but kept


def test_what_was_filtered_stays_away(glis):
    """The cut-off of a commit holds for later readers, also when the filter is gone."""
    now_ms = int(time.time() * 1000)
    schema = {"rowKeyFields": [{"name": "key", "type": "StringType"}],
              "valueFields": [{"name": "at", "type": "LongType"}]}
    create(glis, "t", schema, {"glis.table.filters": f"ageOff(at,{48 * HOUR_MS})"})
    rows = [{"key": str(i), "at": now_ms - i * 24 * HOUR_MS} for i in range(4)]
    glis.ingest("t", rows)
    assert [r["key"] for r in glis.rows("t")] == ["0", "1"]
    glis.ok("table", "set", "t", "glis.table.filters=")
    glis.ingest("t", rows)
    assert [r["key"] for r in glis.rows("t")] == ["0", "0", "1", "1"]
    glis.ok("compact", "t", "--force")
    assert [r["key"] for r in glis.rows("t")] == ["0", "0", "1", "1"]


def test_files_wholly_past_an_age_go_unread(glis):
    now_ms = int(time.time() * 1000)
    schema = {"rowKeyFields": [{"name": "key", "type": "StringType"}],
              "valueFields": [{"name": "at", "type": "TimestampType"}]}

    def row(key, hours):
        seconds = now_ms // 1000 - hours * 3600
        return {"key": key, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))}

    create(glis, "t", schema, {"glis.table.filters": f"ageOff(at,{100 * HOUR_MS})"})
    glis.ingest("t", [row("a", 50), row("b", 60)])
    glis.ingest("t", [row("c", 1), row("d", 70)])
    for path in (glis.root / "tables").rglob("*.parquet"):  # that nobody could read
        path.chmod(0)
    glis.ok("table", "set", "t", f"glis.table.filters=ageOff(at,{20 * HOUR_MS})")
    glis.ok("maintain", "t", "--until-idle")
    status = json.loads(glis.ok("--json", "status", "t"))
    assert status["files"] == 1 and status["rows"] == 2, status
    for path in (glis.root / "tables").rglob("*.parquet"):
        path.chmod(0o644)
    assert [r["key"] for r in glis.rows("t")] == ["c"]


def test_repeated_map_keys_become_one_or_make_a_bad_row(glis):
    schema = {"rowKeyFields": [{"name": "key", "type": "IntType"}],
              "valueFields": [{"name": "m", "type": {"MapType": {"keyType": "StringType",
                                                                 "valueType": "LongType"}}}]}
    create(glis, "plain", schema)
    create(glis, "sums", schema, {"glis.table.aggregations": "map_sum(m)"})
    parquet = glis.folder / "maps.parquet"
    pq.write_table(pa.table({
        "key": pa.array([1, 2, 3], pa.int32()),
        "m": pa.array([[("b", 1), ("a", 2), ("b", 5)], [("z", 9), ("a", 1)], []],
                      pa.map_(pa.string(), pa.int64()))}), parquet)
    text = glis.folder / "maps.jsonl"
    text.write_text('{"key":1,"m":{"b":1,"a":2,"b":5}}\n{"key":2,"m":{"z":9,"a":1}}\n'
                    '{"key":3,"m":[{"key":"q","value":1},{"key":"q","value":1}]}\n')
    for path, bad in ((parquet, [1]), (text, [1, 3])):
        error = glis.fails("ingest", "plain", path)
        assert "'m'" in error["message"] and "a map key that comes twice" in error["message"]
        refused = glis.folder / f"{path.name}.bad"
        glis.ok("ingest", "plain", path, "--bad-rows-to", refused)
        assert len(refused.read_text().splitlines()) == len(bad)
        glis.ok("ingest", "sums", path)
    assert glis.rows("sums", "--ordered") == [{"key": 1, "m": {"a": 4, "b": 12}},
                                              {"key": 2, "m": {"a": 2, "z": 18}},
                                              {"key": 3, "m": {"q": 2}}]
    # entries are in the order of their keys in the file already
    files = sorted((glis.root / "tables").rglob("*.parquet"))
    orders = [[k for k, _ in m] for f in files if "data" in str(f)
              for m in pq.read_table(f).column("m").to_pylist()]
    assert ["a", "b"] in orders and ["b", "a"] not in orders, orders


# ---- what is refused ----

def test_a_table_with_rows_keeps_its_aggregations(glis):
    now_ms = int(time.time() * 1000)
    create(glis, "t", SCHEMA, PROPERTIES)
    row = {"key": "a", "at": now_ms, "who": "", "n": 1, "counts": {}}
    glis.ok("table", "set", "t", "glis.table.aggregations=max(n),min(least),map_max(counts)")
    glis.ingest("t", [row])
    for change in ("glis.table.aggregations=", "glis.table.aggregations=sum(n),min(least),map_max(counts)"):
        error = glis.fails("table", "set", "t", change)
        assert error["error"] == "GLIS_EREFUSED" and "while the table has rows" in error["message"]
    glis.ok("table", "set", "t", f"glis.table.filters=ageOff(at,{2 * HOUR_MS})")
    for change, word in (("glis.table.filters=ageOff(nosuch,1)", "nosuch"),
                         ("glis.table.filters=ageOff(n,1)", "glis.table.inexact=true"),
                         ("glis.table.visibility.field=least", "'least' is a value"),
                         ("glis.table.iterator=../../bin/sh", "no name of an iterator")):
        error = glis.fails("table", "set", "t", change)
        assert word in error["message"], error
    error = glis.fails("table", "add-column", "t", "more", "LongType")
    assert "'more' has none" in error["message"]
    glis.ok("table", "add-column", "t", "more", "LongType", "--aggregation", "sum")
    glis.ingest("t", [{**row, "more": 5}, {**row, "more": 6, "n": 9}])
    assert [(r["n"], r["more"]) for r in glis.rows("t")] == [(9, 11)]
    done = glis.run("table", "set", "t", "glis.table.inexact=true", "glis.table.filters=ageOff(n,1)")
    assert done.returncode == 0 and "'n' is inexact" in done.stderr, done.stderr
    path = glis.folder / "bad.json"
    path.write_text(json.dumps(SCHEMA))
    error = glis.fails("table", "create", "u", "--schema", path, "--set",
                       "glis.table.filters=ageOff(key,1)")
    assert "'key' is of type StringType" in error["message"], error


# ---- iterators ----

NUMBERED = {"rowKeyFields": [{"name": "key", "type": "StringType"}],
            "sortKeyFields": [{"name": "timestamp", "type": "LongType"}],
            "valueFields": [{"name": "label", "type": "StringType"}]}


def numbered(n):
    return [{"key": f"row-{i:019}", "timestamp": i, "label": ["", "public", "secret"][i % 3]}
            for i in range(n)]


@pytest.fixture
def plug_ins(glis):
    folder = glis.folder / "iterators"
    folder.mkdir(mode=0o755)
    include = os.path.join(ROOT, "include")
    source = os.path.join(ROOT, "examples", "iterators", "fixed_age_off.c")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror",
                    f"-I{include}", "-o", folder / "fixed_age_off.so", source], check=True)
    with open(os.path.join(ROOT, "examples", "iterators", "labels_in.py")) as f:
        text = f.read().replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1)
    (folder / "labels_in.py").write_text(text)
    (folder / "labels_in.py").chmod(0o755)
    return folder


def test_iterators_of_tables_and_queries(glis, plug_ins):
    rows = numbered(100)
    create(glis, "t", NUMBERED)
    glis.ingest("t", rows)
    error = glis.fails("query", "t", "--iterator", "fixed_age_off.so")
    assert "glis.iterator.folder names no folder" in error["message"]
    glis.ok("set", f"glis.iterator.folder={plug_ins}")
    # the reference's example: timestamps from 50 on, 50 rows of 100
    fixed = ["--iterator", "fixed_age_off.so", "--iterator-config", "timestamp,50"]
    assert glis.rows("t", *fixed) == rows[50:]
    assert glis.ok("query", "t", "--count", *fixed).strip() == "50"
    assert glis.rows("t", "--iterator", "labels_in.py", "--iterator-config", "label,public") == [
        row for row in rows if row["label"] != "secret"]
    query = {"regions": [{}], "queryTimeIteratorClassName": "labels_in.py",
             "queryTimeIteratorConfig": "label"}
    text = glis.ok("query", "t", "--format", "jsonl", "--query", "-", input=json.dumps(query))
    assert [json.loads(line) for line in text.splitlines()] == rows[::3]
    error = glis.fails("query", "t", "--iterator", "labels_in.py", "--iterator-config", "nosuch")
    assert "there is no field 'nosuch'" in error["message"], error
    error = glis.fails("query", "t", "--reverse", *fixed)
    assert "ascending order" in error["message"]
    # of the table: in its files after an ingest, and in queries of files from before
    glis.ok("table", "set", "t", "glis.table.iterator=fixed_age_off.so",
            "glis.table.iterator.config=timestamp,50")
    assert glis.rows("t") == rows[50:]
    create(glis, "u", NUMBERED, {"glis.table.iterator": "labels_in.py",
                                 "glis.table.iterator.config": "label,secret"})
    glis.ingest("u", rows)
    assert json.loads(glis.ok("--json", "status", "u"))["rows"] == 67
    glis.ok("compact", "t", "--force")
    assert json.loads(glis.ok("--json", "status", "t"))["rows"] == 50
    assert glis.rows("t") == rows[50:]


def test_a_broken_iterator_stops_the_work_and_changes_nothing(glis, plug_ins):
    rows = numbered(100)
    glis.ok("set", f"glis.iterator.folder={plug_ins}")
    create(glis, "t", NUMBERED)
    glis.ingest("t", rows)
    (plug_ins / "broken").write_text("#!/bin/sh\ncat\necho out of cheese >&2\nexit 7\n")
    (plug_ins / "broken").chmod(0o755)
    glis.ok("table", "set", "t", "glis.table.iterator=broken")
    data = glis.folder / "more.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for words in (["query", "t"], ["ingest", "t", data], ["compact", "t", "--force"]):
        error = glis.fails(*words)
        assert "'broken'" in error["message"] and "out of cheese" in error["message"], error
    glis.ok("table", "set", "t", "glis.table.iterator=")
    assert glis.rows("t") == rows


DROPS_FIRST = """#!{python}
import sys
import pyarrow as pa
with pa.ipc.open_stream(sys.stdin.buffer) as rows:
    table = rows.read_all()
with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as out:
    out.write_table(table.slice(1))
"""


def test_an_iterator_that_depends_on_grouping_is_found(glis, plug_ins):
    glis.ok("set", f"glis.iterator.folder={plug_ins}")
    create(glis, "t", NUMBERED)
    rows = numbered(90)
    for part in range(3):
        glis.ingest("t", rows[part::3])
    glis.ok("table", "set", "t", "glis.table.iterator=fixed_age_off.so",
            "glis.table.iterator.config=timestamp,50")
    assert "all is well" in glis.ok("check", "t", "--iterators")
    (plug_ins / "drops_first").write_text(DROPS_FIRST.format(python=sys.executable))
    (plug_ins / "drops_first").chmod(0o755)
    glis.ok("table", "set", "t", "glis.table.iterator=drops_first")
    assert "all is well" in glis.ok("check", "t")
    done = glis.run("check", "t", "--iterators")
    assert done.returncode == 1
    assert "depends on how rows are grouped: 89 rows come of all at once" in done.stdout, done.stdout
