"""Every property does something: each has a test here, or one named in ELSEWHERE, that fails without."""

import json
import os
import random
import re
import subprocess
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glis_command import CLEAN, GLIS, ROOT, Glis

PARQUET = "glis.table.parquet."
SCHEMA = {"rowKeyFields": [{"name": "k", "type": "StringType"}],
          "sortKeyFields": [{"name": "s", "type": "LongType"}],
          "valueFields": [{"name": "v", "type": "StringType"}]}
ELSEWHERE = {  # where what cannot be shown by a command in moments is tested
    "glis.parquet.memory": ("tests/system/test_parquet_check.py", "glis.parquet.memory"),
    **{name: ("tests/system/test_query_bloom.py", name) for name in (
        "glis.table.parquet.bloom.filter", "glis.table.parquet.bloom.false.positives")},
    **{name: ("tests/system/test_processing.py", name) for name in (
        "glis.table.filters", "glis.table.aggregations", "glis.table.visibility.field",
        "glis.table.iterator", "glis.table.iterator.config", "glis.table.inexact",
        "glis.iterator.folder")},
    "glis.iterator.timeout": ("tests/unit/test_iterator.c", "glis.iterator.timeout"),
    **{name: ("tests/system/test_maintain.py", name) for name in (
        "glis.compaction.lease", "glis.gc.orphan.age", "glis.maintenance")},
    **{f"glis.cache.{name}": ("tests/system/test_cache.py", f"GLIS_CACHE_{name.upper()}")
       for name in ("disk", "dir", "local")},
    "glis.cache.memory": ("tests/unit/test_store_cache.c", "memory_bytes"),
    **{f"glis.price.{name}": ("tests/system/test_s3.py", f'"{name}"')
       for name in ("put", "get", "list", "delete", "storage", "transfer")},
    "glis.table.log.keep": ("tests/unit/test_table_trim.c",
                            "pins_and_the_time_to_think_keep_states"),
    "glis.table.job.memory": ("tests/unit/test_table_transaction.c",
                              "given_jobs_are_remembered_for_their_time"),
    **{name: ("tests/unit/test_compaction_plan.c", "each_property_changes_the_plan") for name in (
        "glis.table.inner.bytes", "glis.table.partition.splitting.threshold",
        "glis.table.compaction.strategy.class", "glis.table.compaction.files.batch.size",
        "glis.table.compaction.strategy.sizeratio.ratio",
        "glis.table.compaction.strategy.sizeratio.max.concurrent.jobs.per.partition",
        "glis.table.compaction.job.creation.limit")},
    **{name: ("tests/unit/test_split_point.c", "a_table_says_how_its_tree_is_extended") for name in (
        "glis.table.partition.splitting.min.rows",
        "glis.table.partition.splitting.min.distribution.percent",
        "glis.table.bulk.import.min.leaf.partitions")},
}


class Table(Glis):
    def __init__(self, folder):
        super().__init__(folder / "instance")
        self.folder = folder
        self.ok("init", self.root)

    def create_set(self, *settings, splits=()):
        self.create("t", SCHEMA, splits=splits)
        if settings:
            self.ok("table", "set", "t", *settings)

    def input(self, rows, name="in.parquet"):
        columns = dict(zip("ksv", zip(*rows)))
        schema = pa.schema([pa.field("k", pa.string(), False), pa.field("s", pa.int64(), False),
                            pa.field("v", pa.string(), False)])
        pq.write_table(pa.table(columns, schema=schema), self.folder / name,
                       row_group_size=10 if rows is LARGE else None)
        return self.folder / name

    def ingest(self, rows, *words, env=None):
        return json.loads(self.ok("--json", "ingest", "t", self.input(rows), *words,
                                  env=env))

    def pages(self, column):
        text = self.ok("--json", "parquet", "pages", self.data_files()[0])
        return [page for page in json.loads(text) if page["column"] == column]


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def rows_of(n, size=20):
    """Keys that ascend, few sort keys, values that are half noise."""
    return [(f"key{i:08d}", i % 5, f"{i * 2654435761 % 2 ** 32:010d}" * (size // 10))
            for i in range(n)]


NOISE = random.Random(1)
LARGE = [(f"key{i:03d}", i, NOISE.randbytes(512 << 10).hex()) for i in range(100)]  # 100 MiB


def test_each_property_has_its_test():
    text = open(__file__).read().split("# ---- how data files are written ----\n")[-1]
    names = {entry["name"] for entry in json.loads(subprocess.run(
        [GLIS, "properties", "--json"], capture_output=True, text=True, check=True).stdout)}
    for name in sorted(names):
        if name in ELSEWHERE:
            path, needle = ELSEWHERE[name]
            assert needle in open(os.path.join(ROOT, path)).read(), name
        else:
            short = name[len(PARQUET):] if name.startswith(PARQUET) else name
            assert re.search(r'"%s\b' % re.escape(short), text), f"{name} has no test"
    assert not set(ELSEWHERE) - names


# ---- how data files are written ----

@pytest.mark.parametrize("codec", ["zstd", "snappy", "uncompressed", "gzip", "brotli", "lz4_raw"])
def test_codec(table, codec):
    table.create_set(PARQUET + "compression.codec" + "=" + codec)
    table.ingest(rows_of(1000))
    assert codec in ("zstd", "snappy", "uncompressed", "gzip", "brotli", "lz4_raw")
    chunk = pq.ParquetFile(table.data_files()[0]).metadata.row_group(0).column(2)
    assert chunk.compression == {"lz4_raw": "LZ4"}.get(codec, codec.upper())
    assert len(table.ok("query", "t", "--format", "csv").splitlines()) == 1001


def parquet_figures(table, setting, rows):
    table.create_set(*([PARQUET + setting] if setting else []))
    table.ingest(rows)
    metadata = pq.ParquetFile(table.data_files()[0]).metadata
    chunk = metadata.row_group(0)
    pages = [table.pages(column) for column in "ksv"]
    data = [[page for page in of if page["kind"].startswith("data")] for of in pages]
    return {
        "groups": metadata.num_row_groups,
        "bytes": table.data_files()[0].stat().st_size,
        "key pages": len(data[0]),
        "value pages": len(data[2]),
        "kind": data[2][0]["kind"],
        "rows": max(page["values"] for page in data[2]),
        "dictionaries": tuple(len(of) > len(d) for of, d in zip(pages, data)),
        "least": chunk.column(2).statistics.min,
    }


@pytest.mark.parametrize("setting, figure, holds", [
    ("compression.level=19", "bytes", lambda without, found: found < without),
    ("rowgroup.size=64K", "groups", lambda without, found: without == 1 and found > 3),
    ("rowgroup.rows.max=1000", "groups", lambda without, found: found == 20),
    ("page.size=4K", "value pages", lambda without, found: found > 2 * without),
    ("key.page.size=1K", "key pages", lambda without, found: found > 2 * without),
    ("page.rows.max=100", "rows", lambda without, found: without > 100 and found == 100),
    ("writer.version=v1", "kind", lambda without, found: without != "data" and found != without),
    ("columnindex.truncate.length=8", "least", lambda without, found: len(without) == 20 and
     found == without[:8]),
    ("dictionary.encoding.rowkey.fields=true", "dictionaries",
     lambda without, found: not without[0] and found[0]),
    ("dictionary.encoding.sortkey.fields=false", "dictionaries",
     lambda without, found: without[1] and not found[1]),
    ("dictionary.encoding.value.fields=true", "dictionaries",
     lambda without, found: not without[2] and found[2]),
])
def test_how_data_files_are_written(tmp_path, setting, figure, holds):
    rows, found = rows_of(20000), []
    for name, given in (("without", None), ("with", setting)):
        (tmp_path / name).mkdir()
        found.append(parquet_figures(Table(tmp_path / name), given, rows)[figure])
    assert holds(*found), found


# ---- ingest ----

def test_ingest_strategies(tmp_path):
    found = {}
    for setting in ("glis.table.ingest.file.writing.strategy=one_file_per_leaf",
                    "glis.table.ingest.file.writing.strategy=by_size",
                    "glis.table.ingest.min.file.bytes=1", "glis.table.ingest.max.references=1"):
        (tmp_path / str(len(found))).mkdir()
        table = Table(tmp_path / str(len(found)))
        table.create_set(setting, splits=["key00000100", "key00000200"])
        done = table.ingest(rows_of(300))
        found[setting] = done["files"], done["references"]
    one_file, by_size, small_files, few_references = found.values()
    assert one_file == (3, 3)
    assert by_size[0] == 1 and by_size[1] > 1
    assert small_files == (3, 3)
    assert few_references == (1, 1)


def test_ingest_memory_and_spilling(table):
    table.create_set()
    done = table.ingest(LARGE, "--job", "a")
    assert done["spillRuns"] == 0
    small = {"GLIS_INGEST_MEMORY": "64M"}  # "glis.ingest.memory"
    done = table.ingest(LARGE, "--job", "b", env=small)
    assert done["spillRuns"] > 0 and done["files"] == 1
    done = table.ingest(LARGE, "--job", "c", "--set", "glis.ingest.spill.max=1M", env=small)
    assert done["spillRuns"] > 0 and done["files"] > 1  # runs went into files before the end
    error = table.fails("ingest", "t", table.input(LARGE), "--set",
                        "glis.ingest.spill.dir=/nonexistent", env=small)
    assert "/nonexistent" in error


def test_what_a_table_remembers(table):
    table.create_set("glis.table.job.memory.max=1", "glis.table.writers.max=1")
    table.ingest(rows_of(1), "--job", "a")
    assert "job.memory.max" in table.fails("ingest", "t", table.input(rows_of(2)), "--job", "b")
    table.ingest(rows_of(3), "--writer", "w", "--sequence", "1")
    assert "writers.max" in table.fails("ingest", "t", table.input(rows_of(2)), "--writer", "x",
                                        "--sequence", "1")


def test_record_max(table):
    table.create_set(splits=[f"key{i:08d}" for i in range(100, 6000, 100)])
    table.ok("table", "set", "t", "glis.table.ingest.min.file.bytes=1")
    bodies = lambda: list((table.root / "tables").glob("*/log/body/*"))
    table.ingest(rows_of(6000), "--job", "a")
    assert not bodies()
    table.ok("set", "glis.log.record.max=4096")
    table.ingest(rows_of(6000), "--job", "b")
    assert len(bodies()) == 1


def test_what_a_folder_of_properties_says(table):
    folder = table.folder / "from" / "tables" / "x"
    folder.mkdir(parents=True)
    (table.folder / "from" / "instance.properties").write_text("")
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    (folder / "other.txt").write_text("a2V5MQ==\nbQ==\n")  # key1 and m
    settings = {"glis.table.name": "named", "glis.table.online": "false",
                "glis.table.splits.file": "other.txt",
                "glis.table.splits.base64.encoded": "true"}
    (folder / "table.properties").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
    second = Glis(table.folder / "second")
    second.ok("init", second.root, "--from", table.folder / "from")
    [found] = second.json("table", "list")
    assert found["name"] == "named" and found["state"] == "offline"
    assert second.ok("table", "splits", "named").split() == ["key1", "m"]


# ---- queries ----

def test_query_memory_and_timeout(table):
    table.create_set()
    table.ingest(LARGE)
    query = ["query", "t", "--format", "csv"]
    assert len(table.ok(*query)) > 100 << 20
    error = table.fails(*query, "--set", "glis.query.memory=16M")
    assert "glis.query.memory" in error
    error = table.fails(*query, "--set", "glis.query.timeout=1ms")
    assert "glis.query.timeout" in error or "time" in error


def test_query_max_files(table):
    table.create_set(PARQUET + "rowgroup.size=1M")
    for job in "abc":
        table.ingest(LARGE, "--job", job)
    whole = ["query", "t", "--format", "csv", "--set", "glis.query.memory=256M"]
    nowhere = ["--set", "glis.ingest.spill.dir=/nonexistent"]
    table.ok(*whole, "--output", table.folder / "out.csv", *nowhere)
    # More files than that are merged in passes, which need the folder.
    error = table.fails(*whole, *nowhere, "--set", "glis.query.max.files=2")
    assert "/nonexistent" in error
    table.ok(*whole, "--output", table.folder / "passes.csv", "--set", "glis.query.max.files=2")
    assert (table.folder / "out.csv").read_bytes() == (table.folder / "passes.csv").read_bytes()


def test_gc_delay_bounds_staleness(table):
    table.create_set("glis.table.gc.delay=10s")
    table.ok("query", "t", "--max-staleness", "4s")
    assert "glis.table.gc.delay" in table.fails("query", "t", "--max-staleness", "6s")


def test_drop_delay(table):
    table.create_set()
    table.ok("set", "glis.table.drop.delay=3h")
    assert "within 3 h" in table.ok("table", "drop", "t")
    table.ok("table", "undrop", "t")


# ---- the process ----

def thread_count(table, wanted):
    process = subprocess.Popen([GLIS, "ingest", "t", "-", "--format", "csv"],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL,
                               env={**CLEAN, "GLIS_INSTANCE": str(table.root),
                                    "GLIS_THREADS": str(wanted)})
    try:
        most = 0
        for _ in range(40):  # it waits for input, so its threads only grow
            time.sleep(0.01)
            most = max(most, len(os.listdir(f"/proc/{process.pid}/task")))
        return most
    finally:
        process.stdin.close()
        process.wait(timeout=10)


def test_threads(table):
    table.create_set()  # "glis.threads"
    assert thread_count(table, 8) - thread_count(table, 2) == 6


def test_log_level(table):
    table.create_set()
    done = table.done("ingest", "t", table.input(rows_of(5)))
    assert done.stderr == ""
    done = table.done("ingest", "t", table.input(rows_of(5)), env={"GLIS_LOG_LEVEL": "info"})
    [line] = done.stderr.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z info ingest committed table=t .*rows=5", line)
    table.ok("set", "glis.log.level=debug")  # of the instance: for every process
    done = table.done("query", "t")
    assert "debug command ended noun=query" in done.stderr
    assert table.done("query", "t", "--set", "glis.log.level=warn").stderr == ""


def test_log_format(table):
    table.create_set()
    table.ok("set", "glis.log.format=json")
    done = table.done("ingest", "t", table.input(rows_of(5)), "--set", "glis.log.level=info")
    entry = json.loads(done.stderr)
    assert entry["message"] == "ingest committed" and entry["rows"] == 5


def test_a_damaged_snapshot_is_logged(table):
    table.create_set()
    table.ingest(rows_of(5))
    table.ok("log", "snapshot", "t")
    [path] = (table.root / "tables").glob("*/snapshot/*")
    os.chmod(path, 0o600)
    path.write_bytes(b"damage")
    done = table.done("query", "t", "--count")
    assert done.stdout.strip() == "5"
    assert "warn damaged snapshot passed over" in done.stderr and path.name in done.stderr
    assert table.done("query", "t", "--count", "--set", "glis.log.level=error").stderr == ""
