"""What keeps a table fast and small: compact, split, gc, maintain, pins and going back, delete,
damaged files, dropped tables. Expected rows are kept here as a list; nothing of Glis counts them."""

import json
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from glis_command import CLEAN, GLIS, Glis

SCHEMA = {"rowKeyFields": [{"name": "k", "type": "LongType"}],
          "valueFields": [{"name": "v", "type": "StringType"}]}
MANUAL = ("--set", "glis.maintenance=manual")


class Table(Glis):
    def __init__(self, folder):
        super().__init__(folder / "instance")
        self.folder, self.rows = folder, []
        self.ok("init", self.root)
        self.create("t", SCHEMA)

    def set(self, **properties):
        self.ok("table", "set", "t", *(f"{k.replace('__', '.')}={v}" for k, v in properties.items()))

    def ingest(self, rows, *options, how=MANUAL):
        path = self.folder / "in.csv"
        path.write_text("k,v\n" + "".join(f"{k},{v}\n" for k, v in rows))
        self.ok("ingest", "t", path, *how, *options)
        self.rows += rows

    def read(self, *words):
        out = self.ok("query", "t", "--format", "jsonl", *words)
        return sorted((row["k"], row["v"]) for row in map(json.loads, out.splitlines()))

    def check(self):
        assert self.read() == sorted(self.rows)
        assert "all is well" in self.ok("check", "t", "--read-data")

    def files(self):
        folder = next((self.root / "tables").iterdir()) / "data"
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def batch(seed, n=300, top=10000):
    rng = random.Random(seed)
    return [(rng.randrange(top), f"{seed}-{i}") for i in range(n)]


def test_compactions_leave_the_rows_as_they_are(table):
    for seed in range(13):
        table.ingest(batch(seed))
    plan = table.json("compact", "t", "--dry-run")
    assert [len(job["files"]) for job in plan["jobs"]] == [12]
    done = table.json("compact", "t")
    assert (done["compactions"], done["rowsRead"], done["rowsWritten"]) == (1, 3600, 3600)
    table.check()
    assert table.json("status", "t")["files"] == 2
    assert "nothing to compact" in table.ok("compact", "t")
    assert table.json("compact", "t", "--force")["compactions"] == 1
    assert table.json("status", "t")["files"] == 1
    table.check()
    kinds = [job["kind"] for job in table.json("status", "t", "jobs")]
    assert kinds.count("compaction") == 2 and kinds.count("ingest") == 13


def test_leaves_split_and_files_go_down(table):
    table.set(glis__table__partition__splitting__threshold=500, glis__table__inner__bytes=0)
    for seed in range(6):
        table.ingest(batch(seed))
    assert table.json("maintain", "t", "--until-idle")["splits"] >= 3
    leaves = [p for p in table.json("status", "t", "partitions") if p["leaf"]]
    assert len(leaves) >= 4 and not any(leaf["willBeSplit"] for leaf in leaves)
    table.check()
    for key in (0, 5000, 9999):
        assert table.read("--key", key) == sorted(row for row in table.rows if row[0] == key)
    assert len(table.ok("table", "splits", "t").split()) == len(leaves) - 1


def test_a_leaf_of_one_key_cannot_be_split(table):
    table.set(glis__table__partition__splitting__threshold=100)
    table.ingest([(7, f"v{i}") for i in range(200)])
    assert "cannot be split" in table.ok("split", "t")
    assert table.json("split", "t")["unsplittable"] == 1
    table.check()


def test_collection_waits_for_its_delay_and_for_pins(table):
    for seed in range(4):
        table.ingest(batch(seed))
    table.ok("table", "pin", "t", "before", "--for", "1h")
    record = table.json("table", "pin", "t")[0]["record"]
    table.ok("compact", "t", "--force")
    assert len(table.files()) == 5
    assert table.json("gc", "t")["collected"] == {
        "files": 0, "bytes": 0, "orphans": 0, "orphanBytes": 0, "staged": 0, "waiting": 0,
        "pinned": 4, "horizon": 0, "trimmed": 0}
    assert table.read("--at-record", record) == sorted(table.rows)
    table.ok("table", "unpin", "t", "before")
    waiting = table.json("gc", "t")["collected"]
    assert (waiting["files"], waiting["waiting"]) == (0, 4)
    assert "would remove" in table.ok("gc", "t", "--now", "--dry-run") and len(table.files()) == 5
    assert table.json("gc", "t", "--now")["collected"]["files"] == 4
    assert len(table.files()) == 1
    table.check()
    assert "no longer there" in table.fails("query", "t", "--at-record", record)
    table.set(glis__table__gc__delay="0s")
    table.ok("compact", "t", "--force")
    assert table.json("gc", "t")["collected"]["files"] == 1


def test_orphans_go_below_the_horizon_only(table):
    table.ingest(batch(1))
    orphan = table.files()[0].parent / "000000000001-01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet"
    later = table.files()[0].parent / "0000000000ff-01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet"
    for path in (orphan, later):
        path.write_bytes(b"left by a job that died")
    assert table.json("gc", "t")["collected"]["orphans"] == 0  # as young as a job may be
    table.ok("set", "glis.gc.orphan.age=0s")
    table.ingest(batch(2))
    assert table.json("gc", "t", "--full")["collected"]["orphans"] == 1
    assert not orphan.exists() and later.exists()
    table.check()


def test_going_back_and_forth(table):
    table.ingest(batch(1))
    old = list(table.rows)
    table.ok("table", "pin", "t", "then")
    table.ingest(batch(2))
    table.ok("compact", "t", "--force")
    new, record = list(table.rows), table.json("status", "t")["record"]
    assert "--yes" in table.fails("table", "restore", "t", "--to-pin", "then", code=2)
    table.ok("table", "restore", "t", "--to-pin", "then", "--yes")
    table.rows = old
    table.check()
    table.ok("table", "restore", "t", "--to-record", record, "--yes")
    table.rows = new
    table.check()
    assert "no pin" in table.fails("table", "restore", "t", "--to-pin", "never", "--yes")
    assert "yet" in table.fails("table", "restore", "t", "--to-record", 10 ** 6, "--yes")


def test_deleted_rows_are_gone_for_good(table):
    table.set(glis__table__partition__splitting__threshold=500, glis__table__inner__bytes=0)
    for seed in range(5):
        table.ingest(batch(seed))
    table.ok("maintain", "t", "--until-idle")
    table.ingest(batch(9))  # a file over all leaves
    record = table.json("status", "t")["record"]
    table.ok("table", "pin", "t", "keeps")
    assert "--yes" in table.fails("delete", "t", "--from", 1000, "--to", 4000, code=2)
    pinned = table.json("delete", "t", "--from", 1000, "--to", 4000, "--yes")
    table.rows = [row for row in table.rows if not 1000 <= row[0] < 4000]
    assert pinned["pins"] == ["keeps"] and not pinned["complete"]
    table.check()
    done = table.json("delete", "t", "--from", 1000, "--to", 4000, "--yes", "--drop-pins")
    assert done["complete"] and done["pins"] == []
    table.check()
    assert "deleted" in table.fails("table", "restore", "t", "--to-record", record, "--yes")
    for path in table.files():  # no object holds such a key any more
        keys = subprocess.run([GLIS, "parquet", "cat", path, "--columns", "k", "--format", "csv"],
                              capture_output=True, text=True, check=True).stdout.split()[1:]
        assert not any(1000 <= int(key) < 4000 for key in keys)
    assert "no file holds" in table.ok("delete", "t", "--key", 10 ** 9, "--yes")


def test_a_damaged_file_stops_only_its_leaf(table):
    table.set(glis__table__partition__splitting__threshold=400, glis__table__inner__bytes=0)
    for seed in range(4):
        table.ingest(batch(seed))
    table.ok("maintain", "t", "--until-idle")
    table.ok("gc", "t", "--now")
    leaves = [p for p in table.json("status", "t", "partitions") if p["leaf"]]
    assert len(leaves) > 1
    broken = min(table.json("status", "t", "files"), key=lambda file: int(file["min"]))
    path = next(path for path in table.files() if path.name in broken["file"])
    bytes_before = path.read_bytes()
    path.write_bytes(bytes_before[:200] + bytes(100) + bytes_before[300:])
    for seed in range(20, 24):
        table.ingest(batch(seed))
    done = table.run("compact", "t", "--force")
    assert done.returncode == 1 and path.name in done.stderr
    failed = [job for job in table.json("status", "t", "jobs") if job["status"] == "failed"]
    assert failed and path.name in failed[0]["reason"]
    table.ok("table", "set-aside", "t", path.name)
    assert "set aside" in table.fails("query", "t")
    above = int(broken["max"]) + 1
    assert table.read("--from", above) == sorted(row for row in table.rows if row[0] >= above)
    table.ok("maintain", "t", "--until-idle")
    status = table.json("status", "t")
    assert status["filesSetAside"] == 1 and status["setAside"] == ["data/" + path.name]
    assert path.name in table.ok("status", "t")
    path.write_bytes(bytes_before)
    table.ok("table", "take-back", "t", path.name)
    table.ok("compact", "t", "--force")
    table.check()


def test_a_dead_worker_loses_its_files_after_its_lease(table):
    for seed in range(12):
        table.ingest(batch(seed, n=20000))
    worker = subprocess.Popen([GLIS, "compact", "t", "--set", "glis.compaction.lease=2s"],
                              env={**CLEAN, "GLIS_INSTANCE": str(table.root)},
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while "assign_job" not in table.ok("log", "show", "t", "--from", 13):
        time.sleep(0.002)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    if table.json("status", "t")["files"] == 12:  # it died before its commit
        assert "nothing to compact" in table.ok("compact", "t")
        assert table.json("status", "t")["jobsRunning"] == 1
        time.sleep(2.2)
        assert table.json("status", "t")["jobsRunning"] == 0
        assert table.json("compact", "t")["compactions"] == 1
    assert table.json("status", "t")["files"] == 1
    table.check()


def test_ingests_into_a_folder_maintain_it(table):
    for seed in range(30):
        table.ingest(batch(seed), how=())
    assert table.json("status", "t")["files"] < 25
    assert any(job["kind"] == "compaction" for job in table.json("status", "t", "jobs"))
    table.check()
    other = Table(table.folder / "other") if (table.folder / "other").mkdir() is None else None
    for seed in range(30):
        other.ingest(batch(seed), how=("--set", "glis.maintenance=manual"))
    assert other.json("status", "t")["files"] == 30
    assert other.json("status", "t")["compactionsDue"] > 0
    other.ok("table", "offline", "t")
    other.ingest(batch(40), how=())
    assert other.json("status", "t")["files"] == 31


def test_a_dropped_table_ends_after_its_delay(table):
    table.ingest(batch(1))
    table.ok("table", "drop", "t")
    table.ok("gc", "--all")
    table.ok("table", "undrop", "t")
    table.check()
    table.ok("set", "glis.table.drop.delay=0s")
    table.ok("table", "drop", "t")
    assert "removed" in table.ok("gc", "--all")
    assert "no dropped table" in table.fails("table", "undrop", "t")
    left = [path for path in (table.root / "tables").rglob("*") if path.is_file()]
    assert {path.parent.name for path in left} == {"trimmed", "snapshot"}
    table.ok("set", "glis.gc.orphan.age=0s")
    table.ok("gc", "--all")
    assert table.json("table", "list", "--dropped") == []
    table.ok("check")


def test_large_transactions_are_followed_by_a_snapshot(table):
    """Bodies weigh as records do: whoever opens the table next does not read them all again."""
    table.ok("set", "glis.log.record.max=64K")
    table.create("wide", SCHEMA, splits=[i * 10 for i in range(1, 8000)])
    table.ok("table", "set", "wide", "glis.table.ingest.file.writing.strategy=one_reference_per_leaf")
    path = table.folder / "wide.csv"
    path.write_text("k,v\n" + "".join(f"{i * 10 + 3},x\n" for i in range(8000)))
    for i in range(3):
        table.ok("ingest", "wide", path, *MANUAL, "--job", f"job-{i}")
    log = table.json("status", "wide", "log")
    assert log["bodies"] >= 3 and log["snapshots"] >= 1, log


@pytest.mark.parametrize("words, text", [
    (["compact"], "--all"), (["compact", "t", "--all"], "do not go together"),
    (["gc"], "--all"), (["maintain", "t", "--all"], "do not go together"),
    (["delete", "t"], "--key"), (["delete", "t", "--key", "x", "--dry-run"], "k"),
    (["compact", "t", "--leaf", "nosuch"], "no partition 'nosuch'"),
    (["table", "pin", "t", "p", "--record", "99"], "newest record"),
    (["table", "pin", "t", "a b"], "pin"), (["table", "unpin", "t", "p"], "no pin"),
    (["table", "set-aside", "t", "x.parquet"], "no file"), (["split", "nosuch"], "nosuch"),
])
def test_wrong_words_are_named(table, words, text):
    table.ingest(batch(1))
    done = table.run(*words)
    assert done.returncode in (1, 2) and text in done.stderr, done.stderr
    table.check()


DOUBLES = """#!{python}
import sys
import pyarrow as pa
with pa.ipc.open_stream(sys.stdin.buffer) as rows:
    table = rows.read_all()
with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as out:
    out.write_table(table.take([i // 2 for i in range(2 * table.num_rows)]))
"""


def test_a_compaction_that_the_table_refuses_is_reported_and_ends(table):
    for seed in range(11):
        table.ingest(batch(seed))
    folder = table.folder / "iterators"
    folder.mkdir(mode=0o755)
    (folder / "doubles").write_text(DOUBLES.format(python=sys.executable))
    (folder / "doubles").chmod(0o755)
    table.ok("set", f"glis.iterator.folder={folder}")
    table.set(glis__table__iterator="doubles")
    assert "3300 rows became 6600" in table.fails("compact", "t")
    failed = table.ok("status", "t", "jobs")
    assert "3300 rows became 6600" in failed
    table.set(glis__table__iterator="")
    table.check()


def test_force_leaves_what_would_come_out_the_same(table):
    table.ingest(batch(1))
    table.ingest(batch(2))
    assert table.json("compact", "t", "--force")["compactions"] == 1
    files = table.files()
    assert table.json("compact", "t", "--force")["compactions"] == 0
    assert "nothing to compact" in table.ok("compact", "t", "--force", "--dry-run")
    assert table.files() == files
    # Under other properties it would not be the same file.
    table.set(**{"glis.table.parquet.compression.codec": "snappy"})
    assert table.json("compact", "t", "--force")["compactions"] == 1
    assert table.json("compact", "t", "--force")["compactions"] == 0
    table.ok("table", "add-column", "t", "more", "LongType")
    assert table.json("compact", "t", "--force")["compactions"] == 1
    assert table.json("compact", "t", "--force")["compactions"] == 0
    # What is filtered by age changes as time goes by.
    table.ok("table", "add-column", "t", "born", "LongType")
    table.set(**{"glis.table.filters": "ageOff(born,1000000,nulls=keep)"})
    for _ in range(2):
        assert table.json("compact", "t", "--force")["compactions"] == 1


def test_force_gives_leaves_their_part_of_a_shared_file(table):
    table.create("two", SCHEMA, splits=[5000])
    (table.folder / "in.csv").write_text("k,v\n" + "".join(f"{k},{v}\n" for k, v in batch(1)))
    table.ok("ingest", "two", table.folder / "in.csv", *MANUAL)
    assert table.json("status", "two")["files"] == 1
    assert table.json("compact", "two", "--force")["compactions"] == 2
    assert table.json("compact", "two", "--force")["compactions"] == 0


def test_a_delete_of_what_is_not_there_changes_nothing(table):
    """Also where the bounds of a file would allow the key, and where rows of it are without references."""
    for seed in range(3):
        table.ingest([(k * 2, v) for k, v in batch(seed)])
    table.ok("compact", "t", "--force")
    files, record = table.files(), table.json("status", "t")["record"]
    assert len(files) == 4
    for words in (["--key", 4001], ["--from", 4001, "--to", 4002], ["--key", 10**12]):
        done = table.json("delete", "t", *words, "--yes")
        assert (done["references"], done["filesWritten"], done["rows"]) == (0, 0, 0)
        assert done["complete"]
    assert table.files() == files and table.json("status", "t")["record"] == record
    table.check()
    key = table.rows[0][0]
    assert table.json("delete", "t", "--key", key, "--yes")["rows"] == sum(
        k == key for k, _ in table.rows)
    table.rows = [row for row in table.rows if row[0] != key]
    table.check()


def test_a_long_query_of_the_command_keeps_its_files(table):
    """Half of glis.table.gc.delay is what a query's files are safe for; then it pins its record."""
    table.set(**{"glis.table.gc.delay": "2s"})
    table.ingest([(i, "x" * 40) for i in range(150000)])
    table.ingest([(i, "y" * 40) for i in range(150000)])
    query = table.start("query", "t", "--format", "csv", "--ordered")
    assert query.stdout.readline() == "k,v\n"
    time.sleep(1.5)  # nobody reads on, so the query stands still
    lines = 1 + sum(1 for _ in zip(range(100000), query.stdout))
    assert len(table.pins()) == 1
    table.ok("compact", "t", "--force", *MANUAL)
    assert "kept by pins" in table.ok("gc", "t", "--now")
    lines += sum(1 for _ in query.stdout)
    assert query.wait(timeout=60) == 0, query.stderr.read()
    assert lines == 300001 and table.pins() == []


def test_a_failed_job_is_told_once_and_in_the_summary(table):
    for seed in range(3):
        table.ingest(batch(seed))
    table.files()[0].unlink()
    errors = table.fails("compact", "t", "--force")
    assert errors.count(table.root.name) <= 1 and errors.count(".parquet") == 1
    assert "1 job failed" in errors and "glis status t jobs" in errors
    summary = table.ok("status", "t")
    assert "\nfailed      1, the last at" in summary and table.json("status", "t")["jobsFailed"] == 1
    done = table.run("--json", "compact", "t", "--force")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1


def test_status_says_how_long_an_ingest_took(table):
    table.ingest([(i, "x" * 40) for i in range(100000)])
    [job] = table.json("status", "t", "jobs")
    assert job["kind"] == "ingest" and job["durationMs"] > 0


def test_a_record_that_was_collected_says_so(table):
    table.ingest(batch(1))
    table.ingest(batch(2))
    record = table.json("status", "t")["record"]
    table.ok("compact", "t", "--force")
    table.ok("gc", "t", "--now")
    errors = table.fails("query", "t", "--at-record", record)
    assert f"record {record} is no longer whole" in errors and "glis table pin" in errors
    table.check()


def test_a_partition_that_rests_is_named_with_its_time(table):
    for seed in range(13):
        table.ingest(batch(seed))
    for path in table.files():
        path.write_bytes(path.read_bytes()[:200] + bytes(100) + path.read_bytes()[300:])
    for _ in range(3):
        assert "1 job failed" in table.fails("compact", "t")
    [partition] = [p["partition"] for p in table.json("status", "t", "partitions")]
    said = table.ok("maintain", "t", "--until-idle")
    assert f"partition {partition} rests until 20" in said and "after 3 failures" in said
    assert "nothing else to compact" in said
    done = table.json("maintain", "t")
    [resting] = done["resting"]
    hours = resting["until"] / 3600000 - time.time() / 3600
    assert resting["partition"] == partition and resting["failures"] == 3 and 23 < hours <= 24
    assert done["compactions"] == 0 and done["failed"] == 0
    assert f"resting     partition {partition} after failures, until 20" in table.ok("status", "t")
    status = table.json("status", "t")
    assert status["partitionsResting"] == 1 and status["compactionsDue"] == 0
    table.ingest(batch(99))  # what lies there has changed
    assert table.json("status", "t")["partitionsResting"] == 0


def test_status_and_check_of_an_earlier_record(table):
    table.ingest(batch(1))
    record = table.json("status", "t")["record"]
    [first] = table.json("status", "t", "files")
    table.ingest(batch(2, n=200))
    table.ok("compact", "t", "--force")
    then = table.json("status", "t", "--at-record", record)
    assert (then["record"], then["rows"], then["files"], then["jobs"]) == (record, 300, 1, 1)
    assert [f["file"] for f in table.json("status", "t", "files", "--at-record", record)] == [first["file"]]
    jobs = table.json("status", "t", "jobs", "--at-record", record)
    assert [(job["kind"], job["status"]) for job in jobs] == [("ingest", "done")]
    assert [p["leaf"] for p in table.json("status", "t", "partitions", "--at-record", record)] == [True]
    assert "all is well" in table.ok("check", "t", "--read-data", "--at-record", record)
    table.ok("gc", "t", "--now")
    assert table.json("status", "t", "--at-record", record)["rows"] == 300  # the state is kept
    done = table.run("check", "t", "--at-record", record)
    assert done.returncode == 1 and first["file"] in done.stdout and "is missing" in done.stdout
    for words in (["status", "t"], ["check", "t"]):
        assert "has no record 999 yet" in table.fails(*words, "--at-record", 999)
    for words in (["status"], ["check"], ["status", "t", "log"],
                  ["query", "t", "--max-staleness", "1s"]):
        done = table.run(*words, "--at-record", record)
        assert done.returncode == 2 and "--at-record" in done.stderr, done.stderr
    table.check()


def test_all_tables_are_looked_after_though_one_fails(table):
    """Also where another comes later, and the first failure is the only one."""
    table.ingest(batch(1))
    for name in ("a", "z"):
        table.create(name, SCHEMA)
        for seed in range(2):
            table.ok("ingest", name, table.folder / "in.csv", *MANUAL)
    first = next(iter((table.root / "tables" / table.json("table", "show", "a")["id"] / "data")
                      .glob("*.parquet")))
    first.unlink()
    done = table.run("compact", "--all", "--force")
    assert done.returncode == 1 and first.name in done.stderr, done.stderr
    assert "1 job failed" in done.stderr.splitlines()[-1] and "status a jobs" in done.stderr
    assert table.json("status", "z")["files"] == 1


def test_a_full_disk_does_not_put_a_partition_to_rest(table):
    """As often as it was full: when there is room, work goes on."""
    for seed in range(13):
        table.ingest(batch(seed, n=3000))
    files = table.files()

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))

    for _ in range(4):
        full = table.start("compact", "t", preexec_fn=small_files, restore_signals=False)
        assert "File too large" in full.communicate()[1] and full.returncode == 1
    assert table.files() == files
    assert table.json("status", "t")["jobsFailed"] == 4
    assert table.json("maintain", "t", "--until-idle")["compactions"] > 0
    table.check()
