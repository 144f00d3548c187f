"""`glis import sleeper`: folders in Sleeper's layout, written by pyarrow, become an instance."""

import base64
import json
import os
import random
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}

SMALL = {"rowKeyFields": [{"name": "key", "type": "StringType"}],
         "sortKeyFields": [{"name": "timestamp", "type": "LongType"}],
         "valueFields": [{"name": "value", "type": "StringType"},
                         {"name": "maybe", "type": "IntType", "nullable": True},
                         {"name": "list", "type": {"ListType": {"elementType": "StringType"}}},
                         {"name": "map", "type": {"MapType": {"keyType": "StringType",
                                                              "valueType": "LongType"}}}]}
SMALL_ARROW = pa.schema([
    pa.field("key", pa.string(), False), pa.field("timestamp", pa.int64(), False),
    pa.field("value", pa.string(), False), pa.field("maybe", pa.int32(), True),
    pa.field("list", pa.list_(pa.field("element", pa.string(), False)), False),
    pa.field("map", pa.map_(pa.field("key", pa.string(), False),
                            pa.field("value", pa.int64(), False)), False)])
BYTES = {"rowKeyFields": [{"name": "key", "type": "ByteArrayType"}],
         "valueFields": [{"name": "value", "type": "LongType"}]}
BYTES_ARROW = pa.schema([pa.field("key", pa.binary(), False), pa.field("value", pa.int64(), False)])


def signed(key):
    """How Sleeper's Java parts order byte arrays."""
    return [byte - 256 if byte > 127 else byte for byte in key]


def utf16(text):
    """How they order strings."""
    return text.encode("utf-16-be")


class Sleeper:
    """An instance's folders: conf/ and a copy of the data bucket, bucket/."""

    def __init__(self, folder):
        self.folder, self.conf, self.bucket = folder, folder / "conf", folder / "bucket"
        self.root = folder / "glis"
        (self.conf / "tables").mkdir(parents=True)
        self.bucket.mkdir()
        (self.conf / "instance.properties").write_text(
            "sleeper.id=old\nsleeper.account=123\nsleeper.vpc=vpc-1\n"
            "sleeper.default.table.gc.delay.minutes=20\n")
        (self.conf / "tags.properties").write_text("owner=me\n")

    def table(self, name, table_id, schema, splits=None, properties=""):
        folder = self.conf / "tables" / name
        folder.mkdir()
        (folder / "table.properties").write_text(
            f"sleeper.table.name={name}\nsleeper.table.id={table_id}\n" + properties)
        (folder / "schema.json").write_text(json.dumps(schema))
        if splits is not None:
            (folder / "splits.txt").write_text("".join(line + "\n" for line in splits))

    def data(self, table_id, name, rows, schema, partition="root"):
        """One data file as Sleeper lays it out, sketches beside it; its key in the bucket."""
        key = f"{table_id}/data/partition_{partition}/{name}.parquet"
        path = self.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = [[row[i] for row in rows] for i in range(len(schema))]
        pq.write_table(pa.table(columns, schema=schema), path, compression="zstd",
                       data_page_version="2.0", row_group_size=100)
        path.with_suffix(".sketches").write_bytes(b"sketch")
        return key

    def report(self, name, files):
        """files.json: what filesStatusReport prints; files: (key, [(partition, rows, exact)])."""
        (self.conf / "tables" / name / "files.json").write_text(json.dumps({
            "moreThanMax": False, "leafPartitionCount": 1, "nonLeafPartitionCount": 0, "files": [{
                "filename": "s3a://sleeper-old-table-data/" + key,
                "lastUpdateTime": "2026-08-22T14:20:00.001Z",
                "totalReferenceCount": len(references),
                "internalReferences": [{
                    "partitionId": partition, "numberOfRows": rows,
                    "lastUpdateTime": "2026-08-22T14:20:00.001Z",
                    "countApproximate": not exact,
                    "onlyContainsDataForThisPartition": len(references) == 1}
                    for partition, rows, exact in references]} for key, references in files]}))

    def run(self, *words):
        return subprocess.run([GLIS, "--instance", str(self.root), *map(str, words)],
                              capture_output=True, text=True, timeout=120, env=CLEAN)

    def ok(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *words, code=1):
        done = self.run(*words)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stderr

    def load(self, *words):
        return json.loads(self.ok("--json", "import", "sleeper", self.conf, "--data", self.bucket,
                                  *words))

    def rows(self, table, *words):
        path = self.folder / "out.parquet"
        path.unlink(missing_ok=True)
        self.ok("query", table, "--ordered", "--output", path, *words)
        return pq.read_table(path).to_pylist()


@pytest.fixture
def sleeper(tmp_path):
    return Sleeper(tmp_path)


def small_rows(n, seed):
    chance = random.Random(seed)
    keys = ["a", "zz", "\ud7ff", "\ue000", "\uff5e", "\U0001f600", "\U0010ffff", "é"]
    return [(chance.choice(keys) + str(chance.randrange(50)), chance.randrange(-5, 5), f"v{i}",
             None if i % 5 == 0 else i, [f"e{k}" for k in range(i % 3)],
             [(f"m{k}", k) for k in range(i % 4)]) for i in range(n)]


def as_dicts(rows, schema):
    return [dict(zip(schema.names, row)) for row in rows]


def test_settings_and_split_points_come_in_our_order(sleeper):
    points = [b"\x80", b"\xff", b"\x00", b"\x7f"]  # ascending in the reference's order
    sleeper.table("bytes", "b1", BYTES, [base64.b64encode(p).decode() for p in points])
    sleeper.table("small", "s1", SMALL, ["k", "\U0001f600", "\ue000"],
                  "sleeper.table.partition.splitting.threshold=5000\n"
                  "sleeper.table.compaction.strategy.class=sleeper.compaction.core.job.creation."
                  "strategy.impl.BasicCompactionStrategy\n"
                  "sleeper.table.bulk.import.emr.release.label=x\n")
    done = json.loads(sleeper.ok("--json", "import", "sleeper", sleeper.conf))
    assert set(done["propertiesLeftOut"]) == {
        "sleeper.id", "sleeper.account", "sleeper.vpc", "sleeper.table.id",
        "sleeper.table.bulk.import.emr.release.label"}
    lines = sleeper.ok("table", "splits", "bytes").split()
    assert lines == [base64.b64encode(p).decode() for p in sorted(points)]
    assert sleeper.ok("table", "splits", "small").split() == ["k", "\ue000", "\U0001f600"]
    assert sleeper.ok("table", "set", "small").split() == [
        "glis.table.compaction.strategy.class=basic", "glis.table.gc.delay=20m",
        "glis.table.partition.splitting.threshold=5000"]


def test_rows_in_java_order_are_found_in_ours(sleeper):
    sleeper.table("small", "s1", SMALL, ["k", "\U0001f600", "\ue000"])
    files, everything = [], []
    for i in range(3):
        rows = sorted(small_rows(400, i), key=lambda row: (utf16(row[0]), row[1]))
        everything += rows
        key = sleeper.data("s1", f"file{i}", rows, SMALL_ARROW, f"p{i}")
        files.append((key, [("left", 150, True), ("right", 250, True)]))
    sleeper.report("small", files)
    done = sleeper.load()["tables"]
    assert [(t["name"], t["rows"], t["filesByReference"], t["filesRewritten"],
             t["sketchesLeftOut"]) for t in done] == [("small", 1200, 0, 3, 3)]
    found = sleeper.rows("small")
    order = [(row["key"].encode(), row["timestamp"]) for row in found]
    assert order == sorted(order)
    wanted = sorted(as_dicts(everything, SMALL_ARROW), key=lambda row: row["value"])
    assert sorted(found, key=lambda row: (row["value"], row["key"], row["timestamp"])) == sorted(
        wanted, key=lambda row: (row["value"], row["key"], row["timestamp"]))
    sleeper.ok("check", "small", "--read-data")
    # By key, with a character beyond U+FFFF.
    key = next(row["key"] for row in wanted if row["key"].startswith("\U0001f600"))
    path = sleeper.folder / "one.parquet"
    sleeper.ok("query", "small", "--key", key, "--output", path)
    assert pq.read_table(path).num_rows == sum(row["key"] == key for row in wanted)


def test_bytes_in_signed_order(sleeper):
    sleeper.table("bytes", "b1", BYTES, ["gA==", "AA=="])
    keys = sorted((bytes([i % 256, i // 256 * 100]) for i in range(700)), key=signed)
    rows = [(key, i) for i, key in enumerate(keys)]
    sleeper.report("bytes", [(sleeper.data("b1", "x", rows, BYTES_ARROW), [("root", 700, True)])])
    assert sleeper.load()["tables"][0]["rows"] == 700
    found = [(row["key"], row["value"]) for row in sleeper.rows("bytes")]
    assert found == sorted(rows)
    sleeper.ok("check", "bytes", "--read-data")


def test_only_live_files_count_and_a_repeat_brings_nothing(sleeper):
    sleeper.table("small", "s1", SMALL)
    live = sleeper.data("s1", "live", small_rows(50, 1), SMALL_ARROW)
    sleeper.data("s1", "compacted-away", small_rows(50, 1), SMALL_ARROW)
    gone = sleeper.data("s1", "no-references", small_rows(50, 1), SMALL_ARROW)
    sleeper.report("small", [(live, [("root", 50, True)]), (gone, [])])
    done = sleeper.load()["tables"][0]
    assert (done["rows"], done["filesRewritten"], done["filesNotLive"]) == (50, 1, 2)
    again = sleeper.load()
    assert again["wasThere"] and again["tables"][0]["alreadyDone"]
    assert len(sleeper.rows("small")) == 50


def test_files_that_live_in_part_are_refused_before_anything_is_made(sleeper):
    sleeper.table("small", "s1", SMALL)
    key = sleeper.data("s1", "shared", small_rows(50, 1), SMALL_ARROW)
    for references in ([("left", 20, True)], [("left", 25, False), ("right", 25, False)]):
        sleeper.report("small", [(key, references)])
        error = sleeper.fails("import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
        assert "50 rows" in error and "compactAllFiles" in error and "files.json" in error
        assert not sleeper.root.exists()
    (sleeper.conf / "tables" / "small" / "files.json").unlink()
    error = sleeper.fails("import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
    assert "files.json is not there" in error and "--all-files" in error
    assert sleeper.load("--all-files")["tables"][0]["rows"] == 50


def test_what_cannot_be_taken_is_an_error(sleeper):
    sleeper.table("small", "s1", SMALL)
    key = sleeper.data("s1", "one", small_rows(10, 1), SMALL_ARROW)
    files = sleeper.conf / "tables" / "small" / "files.json"
    load = ("import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
    for text, needle in (("{", "files.json"), ("{}", "files"), ('{"files":[{}]}', "filename"),
                         ('{"files":[{"filename":"s3a://b/other/data/x.parquet",'
                          '"internalReferences":[{"numberOfRows":1}]}]}', "does not lie in"),
                         ('{"files":[{"filename":"s3a://b/s1/data/x.parquet",'
                          '"internalReferences":[{"numberOfRows":1}]}]}', "x.parquet")):
        files.write_text(text)
        assert needle in sleeper.fails(*load)
    (sleeper.bucket / key).write_bytes(b"PAR1 not really")
    sleeper.report("small", [(key, [("root", 10, True)])])
    assert "one.parquet" in sleeper.fails(*load)
    assert not sleeper.root.exists()
    properties = sleeper.conf / "tables" / "small" / "table.properties"
    properties.write_text("sleeper.table.iterator.class.name=org.example.Security\n")
    assert "iterator" in sleeper.fails("import", "sleeper", sleeper.conf)
    properties.write_text("sleeper.table.name=small\n")
    assert "sleeper.table.id" in sleeper.fails(*load)
    assert "--data" in sleeper.fails("import", "sleeper", sleeper.conf, "--all-files", code=2)


def test_wrong_folders_and_missing_files_are_named_before_anything_is_made(sleeper):
    sleeper.table("small", "s1", SMALL)
    key = sleeper.data("s1", "one", small_rows(10, 1), SMALL_ARROW)
    sleeper.report("small", [(key, [("root", 10, True)])])
    table = sleeper.conf / "tables" / "small"

    def fails(conf=sleeper.conf, data=sleeper.bucket):
        error = sleeper.fails("import", "sleeper", conf, "--data", data)
        assert not sleeper.root.exists()
        return error

    for folder in sleeper.bucket, sleeper.folder:
        assert f"{folder}/instance.properties" in fails(conf=folder)
    assert "no folder" in fails(conf=sleeper.folder / "nowhere")
    assert "no folder" in fails(data=sleeper.folder / "nowhere")
    for folder in sleeper.conf, sleeper.bucket:
        done = subprocess.run([GLIS, "--instance", folder, "import", "sleeper", sleeper.conf, "--data",
                               sleeper.bucket], capture_output=True, text=True, env=CLEAN)
        assert done.returncode == 1 and "a folder of its own" in done.stderr, done
        assert not (folder / "catalogue").exists()
    # A wrong folder of data is told from a table without rows.
    report = (table / "files.json").read_text()
    for there in True, False:
        for folder in sleeper.folder, sleeper.bucket / "s1":
            error = fails(data=folder)
            assert f"nothing lies in {folder}/s1/data/" in error and "--data" in error
        if there:
            (table / "files.json").unlink()
    properties = (table / "table.properties").read_text()
    (table / "table.properties").write_text(properties + "sleeper.table.of.tomorrow=5\n")
    (table / "files.json").write_text(report)
    error = sleeper.fails("import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
    assert "table.properties: line 3" in error and "sleeper.table.of.tomorrow" in error
    (table / "table.properties").unlink()
    assert "table.properties: there is no such file" in sleeper.fails(
        "import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
    (table / "table.properties").write_text(properties)
    (table / "files.json").write_text('{"files": []}')
    (sleeper.bucket / key).unlink()
    said = sleeper.ok("import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
    assert "table small: no rows\n" in said


def test_what_was_stopped_by_damage_goes_on(sleeper):
    """And each table tells of what was done to its rows, and nothing else."""
    sleeper.table("a", "a1", SMALL)
    sleeper.table("b", "b1", SMALL)
    key = sleeper.data("a1", "x", sorted(small_rows(300, 1), key=utf8), SMALL_ARROW)
    sleeper.report("a", [(key, [("root", 300, True)])])
    key = sleeper.data("b1", "y", sorted(small_rows(300, 2), key=utf8, reverse=True), SMALL_ARROW)
    sleeper.report("b", [(key, [("root", 300, True)])])
    good = (sleeper.bucket / key).read_bytes()
    (sleeper.bucket / key).write_bytes(good[:100] + bytes(200) + good[300:])
    error = sleeper.fails("import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
    assert "table b: " in error and "y.parquet" in error and "the same call goes on" in error
    assert len(sleeper.rows("a")) == 300 and sleeper.rows("b") == []
    (sleeper.bucket / key).write_bytes(good)
    lines = sleeper.ok("import", "sleeper", sleeper.conf, "--data", sleeper.bucket).splitlines()
    assert lines[1:3] == ["table a: its rows were brought in before",
                          "table b: 300 rows in 1 file sorted anew"]
    assert len(sleeper.rows("a")) == len(sleeper.rows("b")) == 300
    assert "--data" in sleeper.ok("import", "sleeper", sleeper.conf)


def test_an_instance_that_is_something_else_is_left_alone(sleeper):
    sleeper.table("small", "s1", SMALL)
    key = sleeper.data("s1", "one", small_rows(10, 1), SMALL_ARROW)
    sleeper.report("small", [(key, [("root", 10, True)])])
    sleeper.ok("init", sleeper.root, "--from", sleeper.conf)
    path = sleeper.bucket / key
    sleeper.ok("ingest", "small", path)
    assert "holds a Glis instance already" in sleeper.fails(
        "import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
    assert len(sleeper.rows("small")) == 10


def utf8(row):
    return row[0].encode(), row[1]


def test_files_in_our_order_stay_where_they_are(sleeper):
    sleeper.table("small", "s1", SMALL, ["k", "\ue000"])
    everything, files = [], []
    for i, order in enumerate((utf8, utf8, lambda row: (utf16(row[0]), row[1]))):
        rows = sorted(small_rows(300, 10 + i), key=order)
        everything += rows
        files.append((sleeper.data("s1", f"file {i}%", rows, SMALL_ARROW),
                      [("root", 300, True)]))
    sleeper.report("small", files)
    done = sleeper.load()["tables"][0]
    assert (done["rows"], done["filesByReference"], done["filesRewritten"]) == (900, 2, 1)
    wanted = sorted((row for row in as_dicts(everything, SMALL_ARROW)),
                    key=lambda row: (row["key"].encode(), row["timestamp"], row["value"]))

    def found():
        rows = sleeper.rows("small")
        assert [row["key"].encode() for row in rows] == [row["key"].encode() for row in wanted]
        return sorted(rows, key=lambda row: (row["key"].encode(), row["timestamp"], row["value"]))

    assert found() == wanted
    sleeper.ok("check", "small", "--read-data")
    count = json.loads(sleeper.ok("--json", "status", "small"))
    assert "s3a" not in json.dumps(count)
    # A key that only one leaf has, by bounds and page indexes that pyarrow wrote.
    key = wanted[100]["key"]
    path = sleeper.folder / "one.parquet"
    sleeper.ok("query", "small", "--key", key, "--output", path)
    assert pq.read_table(path).num_rows == sum(row["key"] == key for row in wanted)
    # Repeats add nothing, and not in another way either.
    assert sleeper.load()["tables"][0]["alreadyDone"]
    assert "imported without rewriting" in sleeper.fails(
        "import", "sleeper", sleeper.conf, "--data", sleeper.bucket, "--rewrite")
    # More rows, and everything merged: the files are not ours to remove.
    extra = sleeper.folder / "extra.parquet"
    pq.write_table(pa.table([[row[i] for row in small_rows(50, 99)] for i in range(6)],
                            schema=SMALL_ARROW), extra)
    sleeper.ok("ingest", "small", extra)
    sleeper.ok("compact", "small", "--force")
    wanted = sorted(wanted + as_dicts(small_rows(50, 99), SMALL_ARROW),
                    key=lambda row: (row["key"].encode(), row["timestamp"], row["value"]))
    assert found() == wanted
    sleeper.ok("gc", "small", "--now")
    assert all((sleeper.bucket / key).exists() for key, _ in files)
    assert found() == wanted
    sleeper.ok("check", "small", "--read-data")
    for key, _ in files:
        (sleeper.bucket / key).unlink()
    assert found() == wanted


def test_all_files_may_be_written_anew(sleeper):
    sleeper.table("small", "s1", SMALL)
    key = sleeper.data("s1", "one", sorted(small_rows(300, 1), key=utf8), SMALL_ARROW)
    sleeper.report("small", [(key, [("root", 300, True)])])
    done = sleeper.load("--rewrite")["tables"][0]
    assert (done["filesByReference"], done["filesRewritten"]) == (0, 1)
    assert "all files rewritten" in sleeper.fails(
        "import", "sleeper", sleeper.conf, "--data", sleeper.bucket)
    (sleeper.bucket / key).unlink()
    assert len(sleeper.rows("small")) == 300


def test_a_file_taken_over_that_went_is_named(sleeper):
    sleeper.table("small", "s1", SMALL)
    key = sleeper.data("s1", "one", sorted(small_rows(300, 1), key=utf8), SMALL_ARROW)
    sleeper.report("small", [(key, [("root", 300, True)])])
    assert sleeper.load()["tables"][0]["filesByReference"] == 1
    (sleeper.bucket / key).rename(sleeper.bucket / "away")
    assert "one.parquet" in sleeper.fails("query", "small")
    assert "one.parquet" in sleeper.run("check", "small").stdout
    (sleeper.bucket / "away").rename(sleeper.bucket / key)
    sleeper.ok("query", "small")
    sleeper.ok("check", "small", "--read-data")
    data = bytearray((sleeper.bucket / key).read_bytes())
    data[20] ^= 1
    (sleeper.bucket / key).write_bytes(data)
    damaged = sleeper.run("check", "small", "--read-data")
    assert damaged.returncode == 1 and "checksum" in damaged.stdout, damaged


def test_several_row_keys_and_tables_that_aggregate(sleeper):
    schema = {"rowKeyFields": [{"name": "a", "type": "IntType"}, {"name": "b", "type": "LongType"}],
              "valueFields": [{"name": "v", "type": "LongType"}]}
    arrow = pa.schema([pa.field("a", pa.int32(), False), pa.field("b", pa.int64(), False),
                       pa.field("v", pa.int64(), False)])
    rows = sorted((i % 20 - 10, i * 7919 % 101 - 50, i) for i in range(500))
    for name, properties in (("plain", ""), ("sums", "sleeper.table.aggregations=sum(v)\n")):
        sleeper.table(name, name + "1", schema, ["0", "5"], properties)
        key = sleeper.data(name + "1", "x", rows, arrow)
        sleeper.report(name, [(key, [("root", 500, True)])])
    done = {t["name"]: t for t in sleeper.load()["tables"]}
    assert (done["plain"]["filesByReference"], done["sums"]["filesByReference"]) == (1, 0)
    assert [tuple(row.values()) for row in sleeper.rows("plain")] == rows
    sums = {}
    for a, b, v in rows:
        sums[a, b] = sums.get((a, b), 0) + v
    assert [tuple(row.values()) for row in sleeper.rows("sums")] == [
        (*key, sums[key]) for key in sorted(sums)]
