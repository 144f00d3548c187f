"""glis export: every form read back by somebody else, steps by several processes, deaths in the
middle, and the way back into a table.

The rows that a test expects are made by the test; files are read with pyarrow, csv and json.
"""

import base64
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import time

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
import xxhash

from glis_command import Glis, POINTS, SCHEMA, in_order, make_rows


@pytest.fixture
def world(tmp_path):
    """An instance with a table of 3,000 rows in shared files, and those rows."""
    glis = Glis(tmp_path / "instance")
    glis.ok("init", glis.root)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "splits.txt").write_text("".join(f"{p}\n" for p in POINTS))
    glis.ok("table", "create", "t", "--schema", tmp_path / "schema.json", "--splits",
            tmp_path / "splits.txt", "--set", "glis.table.gc.delay=1h")
    rows = []
    for seed in range(3):
        part = make_rows(1000, seed)
        rows += part
        glis.ok("ingest", "t", "-", "--format", "jsonl",
                input="".join(json.dumps(row) + "\n" for row in part))
    return glis, rows, tmp_path


def read_parquet(path):
    return pq.read_table(path).to_pylist()


def read_arrow(path):
    with pa.ipc.open_stream(path) as reader:
        return reader.read_all().to_pylist()


def read_jsonl(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_csv(path):
    """With the nulls that csv cannot tell from empty texts: read by the quotes."""
    table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(
        strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""],
        column_types={"k": pa.int64(), "s": pa.string(), "v": pa.string(), "d": pa.float64()}),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True))
    return table.to_pylist()


def exported(folder, read):
    """The manifest, and the rows of its files in order, each file having been checked."""
    manifest = json.loads((folder / "manifest.json").read_text())
    rows = []
    for file in manifest["files"]:
        path = folder / file["file"]
        data = path.read_bytes()
        assert len(data) == file["bytes"]
        assert xxhash.xxh3_128_hexdigest(data) == file["xxh3"]
        part = read(path)
        assert len(part) == file["rows"]
        keys = [row["k"] for row in part]
        assert keys == sorted(keys)
        assert file["min"] == [str(keys[0])] and file["max"] == [str(keys[-1])]
        rows += part
    assert sorted(path.name for path in folder.glob("data/*")) == sorted(
        os.path.basename(file["file"]) for file in manifest["files"])
    assert manifest["rows"] == len(rows)
    return manifest, rows


@pytest.mark.parametrize("form,read", [("parquet", read_parquet), ("arrow", read_arrow),
                                       ("jsonl", read_jsonl), ("csv", read_csv)])
def test_each_form_holds_every_row(world, form, read):
    import pyarrow.csv  # noqa: F401
    glis, rows, tmp = world
    said = glis.json("export", "t", tmp / "out", "--format", form)
    manifest, found = exported(tmp / "out", read)
    assert in_order(found) == in_order(rows)
    assert [r["k"] for r in found] == sorted(r["k"] for r in rows)
    assert manifest["whole"] is True and manifest["query"] is None
    assert manifest["schema"] == SCHEMA and manifest["record"] == 4
    assert manifest["properties"]["glis.table.gc.delay"] == "1h"
    assert len(manifest["files"]) == 6  # the last leaf has no rows
    assert sum("split" not in node for node in manifest["partitions"]) == len(POINTS) + 1
    assert said["done"] and said["rows"] == 3000 and said["leaves"] == 7 and said["files"] == 6
    # each file lies in its leaf's region
    for file in manifest["files"]:
        low = base64.b64decode(file["region"][0]["min"])
        key = (int(file["min"][0]) ^ (1 << 63)) % (1 << 64)
        assert low <= key.to_bytes(8, "big")


def test_a_part_by_keys_columns_and_query(world):
    glis, rows, tmp = world
    glis.ok("export", "t", tmp / "a", "--from", -7, "--to", 11, "--columns", "d")
    manifest, found = exported(tmp / "a", read_parquet)
    wanted = [{"k": r["k"], "s": r["s"], "d": r["d"]} for r in rows if -7 <= r["k"] < 11]
    order = lambda r: (r["k"], r["s"], r["d"])  # noqa: E731
    assert sorted(found, key=order) == sorted(wanted, key=order)
    assert manifest["whole"] is False and manifest["query"]["fields"] == ["k", "s", "d"]
    query = {"tableName": "t", "regions": [{"k": {"min": 10, "max": 10, "maxInclusive": True}}]}
    glis.ok("export", "--query", "-", tmp / "b", input=json.dumps(query))
    manifest, found = exported(tmp / "b", read_parquet)
    assert in_order(found) == in_order([r for r in rows if r["k"] == 10])
    assert manifest["query"]["given"] == query
    assert "part" in glis.fails("export", "--restore", tmp / "b", "--as", "again")
    glis.ok("export", "t", tmp / "none", "--key", 4999)
    assert exported(tmp / "none", read_parquet)[1] == []
    assert "limit" in glis.fails("export", "t", tmp / "c", "--query", "-",
                                 input='{"regions":[{}],"limit":3}')
    assert not (tmp / "c" / "export.json").exists()


def test_all_files_are_of_one_record(world):
    glis, rows, tmp = world
    leaves = glis.json("export", "t", tmp / "out", "--plan")["leaves"]
    assert len(leaves) == 7
    glis.ok("export", "t", tmp / "out", "--leaf", leaves[2])
    glis.ok("ingest", "t", "-", "--format", "jsonl",
            input="".join(json.dumps(row) + "\n" for row in make_rows(500, 9)))
    glis.ok("export", "t", tmp / "out")
    manifest, found = exported(tmp / "out", read_parquet)
    assert manifest["record"] == 4 and in_order(found) == in_order(rows)
    glis.ok("export", "t", tmp / "then", "--at-record", 3)
    assert in_order(exported(tmp / "then", read_parquet)[1]) == in_order(rows[:2000])


def test_steps_by_many_processes(world):
    glis, rows, tmp = world
    leaves = glis.ok("export", "t", tmp / "out", "--plan", "--format", "jsonl").split()
    work = [glis.start("export", "t", tmp / "out", "--leaf", leaf)
            for leaf in leaves for _ in range(2)]
    for process in work:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    manifest, found = exported(tmp / "out", read_jsonl)
    assert in_order(found) == in_order(rows)
    assert os.listdir(tmp / "out" / "steps") == []


def test_nothing_is_overwritten(world):
    glis, _, tmp = world
    glis.ok("export", "t", tmp / "out", "--job", "backup-1")
    before = {p: hashlib.sha256(p.read_bytes()).hexdigest()
              for p in (tmp / "out").rglob("*") if p.is_file()}
    assert "another place" in glis.fails("export", "t", tmp / "out")
    assert "another place" in glis.fails("export", "t", tmp / "out", "--job", "backup-2")
    assert "done before" in glis.ok("export", "t", tmp / "out", "--job", "backup-1")
    assert glis.json("export", "t", tmp / "out", "--job", "backup-1")["alreadyDone"] is True
    glis.ok("table", "create", "other", "--schema", tmp / "schema.json")
    assert "another table" in glis.fails("export", "other", tmp / "out", "--job", "backup-1")
    assert before == {p: hashlib.sha256(p.read_bytes()).hexdigest()
                      for p in (tmp / "out").rglob("*") if p.is_file()}
    glis.ok("export", "t", tmp / "begun", "--plan", "--format", "csv")
    assert "another form" in glis.fails("export", "t", tmp / "begun")
    assert "another form" in glis.fails("export", "t", tmp / "begun", "--format", "csv", "--key", 1)
    (tmp / "strange").mkdir()
    (tmp / "strange" / "export.json").write_text("hello")
    assert "export.json" in glis.fails("export", "t", tmp / "strange")


def test_killed_at_random_it_goes_on(world):
    glis, rows, tmp = world
    begun = time.monotonic()
    glis.ok("export", "t", tmp / "whole")
    length = time.monotonic() - begun
    pick = random.Random(7)
    for i in range(12):
        out = tmp / f"cut{i}"
        number = signal.SIGINT if i % 3 == 2 else signal.SIGKILL
        process = glis.start("export", "t", out)
        time.sleep(length * pick.random())
        process.send_signal(number)
        process.communicate(timeout=60)
        done = (out / "manifest.json").exists()
        if done:
            assert "finished" in glis.fails("export", "t", out)
        else:
            glis.ok("export", "t", out)
        # what a cut left beside the files of the manifest is not named by it
        manifest = json.loads((out / "manifest.json").read_text())
        found = [row for file in manifest["files"] for row in read_parquet(out / file["file"])]
        assert in_order(found) == in_order(rows)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "arrow"])
def test_a_restored_table_is_equal(world, form):
    glis, rows, tmp = world
    glis.ok("export", "t", tmp / "out", "--format", form)
    said = glis.json("export", "--restore", tmp / "out", "--as", "again")
    assert said["rows"] == 3000 and said["leaves"] == 7
    assert in_order(glis.read_all("again")) == in_order(rows)
    assert glis.ok("table", "splits", "again") == glis.ok("table", "splits", "t")
    old, new = glis.json("table", "show", "t"), glis.json("table", "show", "again")
    assert old["schema"] == new["schema"]
    assert new["properties"]["glis.table.gc.delay"] == "1h"
    glis.ok("check", "--read-data")
    assert "already" in glis.fails("export", "--restore", tmp / "out", "--as", "again")
    glis.ok("ingest", "again", "-", "--format", "jsonl", input=json.dumps(rows[0]) + "\n")
    assert len(glis.read_all("again")) == 3001


def damage(path, how):
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "short":
        path.write_bytes(data[:-1])
    else:
        at = len(data) // 2
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])


@pytest.mark.parametrize("how", ["missing", "short", "changed"])
def test_a_damaged_file_is_named_and_nothing_is_left(world, how):
    glis, _, tmp = world
    glis.ok("export", "t", tmp / "out")
    manifest = json.loads((tmp / "out" / "manifest.json").read_text())
    name = manifest["files"][3]["file"]
    damage(tmp / "out" / name, how)
    errors = glis.fails("export", "--restore", tmp / "out", "--as", "again")
    assert name in errors, errors
    assert [t["name"] for t in glis.json("table", "list")] == ["t"]


def test_a_false_manifest_makes_no_table(world):
    """Checksums fit, but what the manifest says does not."""
    glis, _, tmp = world
    glis.ok("export", "t", tmp / "out", "--format", "jsonl")
    good = json.loads((tmp / "out" / "manifest.json").read_text())

    def rewritten(file, change):
        path = tmp / "out" / file["file"]
        data = "".join(change(path.read_text().splitlines(True)))
        path.write_text(data)
        file["bytes"], file["xxh3"] = len(data.encode()), xxhash.xxh3_128_hexdigest(data.encode())

    def order(m):
        rewritten(m["files"][0], lambda lines: lines[::-1])

    def outside(m):
        m["files"][0]["leaf"], m["files"][1]["leaf"] = m["files"][1]["leaf"], m["files"][0]["leaf"]

    def swapped(m):
        a, b = m["files"][0], m["files"][1]
        for name in ("file", "rows", "bytes", "xxh3"):
            a[name], b[name] = b[name], a[name]

    def fewer(m):
        m["files"][0]["rows"] += 1
        m["rows"] += 1

    def sums(m):
        m["rows"] += 1

    def tree(m):
        m["partitions"][0]["right"] = m["partitions"][0]["left"]

    def leaf(m):
        m["files"][2]["leaf"] = "nowhere"

    def escape(m):
        m["files"][2]["file"] = "../secret"

    def newer(m):
        m["glisExport"] = 99

    for change in (outside, swapped, fewer, sums, tree, leaf, escape, newer, order):
        manifest = json.loads(json.dumps(good))
        change(manifest)
        (tmp / "out" / "manifest.json").write_text(json.dumps(manifest))
        glis.fails("export", "--restore", tmp / "out", "--as", "again")
        assert [t["name"] for t in glis.json("table", "list")] == ["t"], change
    (tmp / "out" / "manifest.json").write_text("{")
    assert "manifest.json" in glis.fails("export", "--restore", tmp / "out", "--as", "again")
    (tmp / "out" / "manifest.json").unlink()
    assert "not finished" in glis.fails("export", "--restore", tmp / "out", "--as", "again")


def test_a_missing_file_of_the_table_is_named(world):
    glis, _, tmp = world
    data = sorted((glis.root / "tables").glob("*/data/*.parquet"))
    kept = tmp / "kept"
    shutil.move(data[0], kept)
    errors = glis.fails("export", "t", tmp / "out")
    assert data[0].name in errors
    assert not (tmp / "out" / "manifest.json").exists()
    shutil.move(kept, data[0])
    glis.ok("export", "t", tmp / "out")
    assert json.loads((tmp / "out" / "manifest.json").read_text())["rows"] == 3000


def test_a_tree_on_several_keys_comes_back(tmp_path):
    """Splits of the second row key, made by the table itself where it can, else by its log."""
    glis = Glis(tmp_path / "instance")
    glis.ok("init", glis.root)
    schema = {"rowKeyFields": [{"name": "a", "type": "IntType"}, {"name": "b", "type": "StringType"}],
              "valueFields": [{"name": "v", "type": "IntType"}]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    (tmp_path / "splits.txt").write_text("5\n")
    glis.ok("table", "create", "t", "--schema", tmp_path / "schema.json", "--splits",
            tmp_path / "splits.txt")
    pick = random.Random(3)
    rows = [{"a": pick.randrange(10), "b": pick.choice("abcxyz"), "v": i} for i in range(500)]
    glis.ok("ingest", "t", "-", "--format", "jsonl",
            input="".join(json.dumps(row) + "\n" for row in rows))
    glis.ok("export", "t", tmp_path / "out", "--format", "jsonl")
    # The left leaf (a < 5) becomes two, at b = 'm': as an export of such a table says it.
    out = tmp_path / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    root, left, right = manifest["partitions"]
    manifest["partitions"] = [
        {**root, "left": 1, "right": 4},
        {"id": left["id"], "dimension": 1, "split": base64.b64encode(b"m\0\0").decode(), "left": 2,
         "right": 3}, {"id": "low"}, {"id": "high"}, right]
    old = manifest["files"][0]
    lines = (out / old["file"]).read_text().splitlines(True)
    parts = [[x for x in lines if json.loads(x)["b"] < "m"],
             [x for x in lines if json.loads(x)["b"] >= "m"]]
    new = []
    for name, part in zip(("low", "high"), parts):
        data = "".join(part).encode()
        (out / "data" / name).write_bytes(data)
        new.append({**old, "file": "data/" + name, "leaf": name, "rows": len(part),
                    "bytes": len(data), "xxh3": xxhash.xxh3_128_hexdigest(data)})
    manifest["files"][:1] = new
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert glis.json("export", "--restore", out, "--as", "again")["leaves"] == 3
    order = lambda r: (r["a"], r["b"], r["v"])  # noqa: E731
    assert sorted(glis.read_all("again"), key=order) == sorted(rows, key=order)
    glis.ok("check", "again", "--read-data")
    # and such a table's own export comes back with the same tree
    glis.ok("export", "again", tmp_path / "second")
    glis.ok("export", "--restore", tmp_path / "second", "--as", "third")
    glis.ok("export", "third", tmp_path / "third")
    trees = [json.loads((tmp_path / name / "manifest.json").read_text())["partitions"]
             for name in ("second", "third")]
    shapes = [[{k: v for k, v in node.items() if k != "id"} for node in tree] for tree in trees]
    assert shapes[0] == shapes[1] and any(node.get("dimension") == 1 for node in shapes[0])
    assert sorted(glis.read_all("third"), key=order) == sorted(rows, key=order)


def test_what_labels_hide_is_left_out_and_said(tmp_path):
    glis = Glis(tmp_path / "instance")
    glis.ok("init", glis.root)
    schema = {"rowKeyFields": [{"name": "k", "type": "IntType"},
                               {"name": "label", "type": "StringType"}], "valueFields": []}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    glis.ok("table", "create", "t", "--schema", tmp_path / "schema.json", "--set",
            "glis.table.visibility.field=label")
    rows = [{"k": i, "label": label} for i, label in enumerate(["", "A", "A&B", "B|C", ""])]
    glis.ok("ingest", "t", "-", "--format", "jsonl",
            input="".join(json.dumps(row) + "\n" for row in rows))
    said = glis.json("export", "t", tmp_path / "public", "--format", "jsonl")
    assert said["rows"] == 2 and said["hidden"] == 3 and said["whole"] is False
    glis.fails("export", "--restore", tmp_path / "public", "--as", "again")
    glis.ok("export", "t", tmp_path / "a", "--format", "jsonl", "--auth", "A")
    found = [json.loads(line) for file in (tmp_path / "a" / "data").iterdir()
             for line in file.read_text().splitlines()]
    assert [row["k"] for row in found] == [0, 1, 4]
    glis.ok("export", "t", tmp_path / "ab", "--auth", "A,B", "--plan")
    assert "another form" in glis.fails("export", "t", tmp_path / "ab", "--auth", "A")
    said = glis.json("export", "t", tmp_path / "ab", "--auth", "A,B")
    assert said["rows"] == 5 and said["whole"] is True
    glis.ok("export", "--restore", tmp_path / "ab", "--as", "again")
    assert glis.ok("query", "again", "--count", "--auth", "A,B").strip() == "5"
    assert glis.ok("query", "again", "--count").strip() == "2"


def test_the_record_is_pinned_while_it_lasts(world):
    glis, _, tmp = world
    begun = glis.json("export", "t", tmp / "out", "--plan")
    assert glis.pins() == [begun["export"]]
    glis.ok("export", "t", tmp / "out")
    assert glis.pins() == []


def test_a_damaged_file_of_the_table_is_named(world):
    """The leaves without it are done; when it is whole again, the export goes on."""
    glis, rows, tmp = world
    data = sorted((glis.root / "tables").glob("*/data/*.parquet"))[1]
    good = data.read_bytes()
    data.write_bytes(good[:200] + bytes(byte ^ 0x55 for byte in good[200:400]) + good[400:])
    errors = glis.fails("export", "t", tmp / "out")
    assert data.name in errors
    assert not (tmp / "out" / "manifest.json").exists()
    data.write_bytes(good)
    glis.ok("export", "t", tmp / "out")
    assert in_order(exported(tmp / "out", read_parquet)[1]) == in_order(rows)


@pytest.mark.parametrize("words", [
    ["export", "t"], ["export", "out"], ["export", "t", "out", "--format", "table"],
    ["export", "t", "out", "--query", "q", "--key", "1"],
    ["export", "t", "out", "--plan", "--leaf", "x"], ["export", "--restore", "out"],
    ["export", "out", "--as", "x"], ["export", "t", "out", "--restore", "--as", "x"],
    ["export", "--restore", "out", "--as", "x", "--format", "csv"],
    ["export", "t", "out", "--job", ""]])
def test_wrong_words(world, words):
    glis, _, tmp = world
    done = glis.run(*words, cwd=tmp)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert not (tmp / "out").exists()


def test_columns_in_csv_are_quoted_so_that_csv_reads_them(world):
    glis, rows, tmp = world
    glis.ok("export", "t", tmp / "out", "--format", "csv")
    manifest = json.loads((tmp / "out" / "manifest.json").read_text())
    found = []
    for file in manifest["files"]:
        with open(tmp / "out" / file["file"], encoding="utf-8", newline="") as text:
            found += [(int(r["k"]), r["s"], r["v"], float(r["d"])) for r in csv.DictReader(text)]
    assert sorted(found) == sorted((r["k"], r["s"], r["v"] or "", r["d"]) for r in rows)


def test_a_restore_that_was_killed_leaves_no_table_for_long(world):
    glis, rows, tmp = world
    glis.ok("export", "t", tmp / "out")
    names = []
    for _ in range(40):  # the table is there for a moment only
        restore = glis.start("export", "--restore", tmp / "out", "--as", "again")
        deadline = time.time() + 10
        while restore.poll() is None and time.time() < deadline:
            if (tables := list((glis.root / "tables").iterdir())) and len(tables) > 1:
                break
        restore.kill()
        restore.communicate()
        names = [table["name"] for table in glis.json("table", "list")]
        if any(name.startswith("restoring-") for name in names):
            break
        if "again" in names:
            glis.ok("table", "drop", "again")
        if len(names) == 1:  # it died while the table was being created
            glis.json("gc", "--all")
    unfinished = [name for name in names if name.startswith("restoring-")]
    if not unfinished:
        pytest.skip("no restore was killed at the right moment")
    glis.ok("gc", "--all")  # somebody may be at it
    assert unfinished[0] in [table["name"] for table in glis.json("table", "list")]
    glis.ok("set", "glis.gc.orphan.age=0s")
    assert "1 unfinished restore would be dropped" in glis.ok("gc", "--all", "--dry-run")
    assert "1 unfinished restore dropped" in glis.ok("gc", "--all")
    assert [table["name"] for table in glis.json("table", "list")] == ["t"]
