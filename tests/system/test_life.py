"""A table's whole life at once, with deaths: processes of the real command bring rows in, merge,
split, collect, maintain and read one table at the same time. Many are killed (SIGKILL) at a moment
of their run that chance chooses; some are stopped there, and go on when what they had been given is
another's, what they read is collected, and what they write comes too late.

Each ingest is a job with an id and rows of its own. A journal keeps what was begun and what was
acknowledged; a job that was killed, or told that it came too late, is repeated with the same id
until it is acknowledged, or deliberately never. Then:

- every acknowledged row is there once, a job given up is there whole or not at all, and nothing
  else is;
- every query saw a state that was: all jobs acknowledged before it began, none that had not begun
  when it ended, each whole or not at all (within its range), and no job that this reader had seen
  was gone;
- `glis check --read-data` is clean;
- when nothing works any more and the horizon has passed what the dead left, the folder holds no
  object that the state does not know.

GLIS_LIFE_SEED=N repeats the choices of a run (moments in time never repeat wholly);
GLIS_LIFE_MINUTES=N lets the table live so long instead of twenty seconds.
"""

import collections
import functools
import json
import os
import random
import signal
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}
SEED = int(os.environ.get("GLIS_LIFE_SEED", random.SystemRandom().randrange(1 << 32)))
SECONDS = float(os.environ.get("GLIS_LIFE_MINUTES", 1 / 3)) * 60

SCHEMA = {
    "rowKeyFields": [{"name": "k", "type": "LongType"}],
    "sortKeyFields": [{"name": "n", "type": "LongType"}],
    "valueFields": [{"name": "job", "type": "StringType"}, {"name": "pad", "type": "StringType"}],
}
HEAD = "k,n,job,pad"
KEYS = 1000
STOPPED, STOPPED_SECONDS_MAX = 0.02, 12  # how many are stopped, and how long
# Small figures, so that a little data is merged, pushed down, split and collected all the time.
PROPERTIES = [
    "glis.table.partition.splitting.threshold=600", "glis.table.compaction.files.batch.size=4",
    "glis.table.ingest.min.file.bytes=2K", "glis.table.inner.bytes=16K", "glis.table.gc.delay=3s",
    "glis.table.ingest.max.references=4", "glis.table.bulk.import.min.leaf.partitions=4",
    "glis.table.partition.splitting.min.rows=10", "glis.table.log.keep=5s",
]
# What changes under way: only how files are written and put.
CHANGES = [
    ("glis.table.ingest.file.writing.strategy",
     ["by_size", "one_file_per_leaf", "one_reference_per_leaf"]),
    ("glis.table.compaction.strategy.class", ["size_ratio", "basic"]),
    ("glis.table.inner.bytes", ["0", "4K", "16K", "64K"]),
    ("glis.table.parquet.rowgroup.rows.max", ["20", "1000000"]),
    ("glis.table.parquet.compression.codec", ["zstd", "snappy", "uncompressed"]),
]
# A job that lasts longer than what its wait for the processor makes of orphan_seconds is told so,
# and adds nothing; a query whose files went under it is told so, too.
TOO_LATE = "below the horizon"
NOT_PINNED = "have been collected (up to"  # stopped between its first look and its pin
GONE = "no longer there"


@functools.lru_cache(maxsize=None)
def lines_of_job(job):
    """A job's rows as lines of CSV: from its name alone. No two rows of all jobs are equal."""
    chance = random.Random(job)
    bulk = job.startswith("bulk")  # with rows enough for the leaves that it must make
    spread = chance.random() < 0.7 or bulk
    first = chance.randrange(KEYS)
    n = chance.randrange(100, 150) if bulk else chance.randrange(1, 40)
    return tuple(f"{chance.randrange(KEYS) if spread else (first + i // 4) % KEYS},{i},{job},"
                 f"{'x' * chance.randrange(1, 60)}" for i in range(n))


def key_of(line):
    return int(line.partition(",")[0])


class Life:
    """One table and what is known of it. A world in which more may go wrong than death says so: `more`
    is added to the environment, and a command may end with any of the texts of `trouble`."""
    run_seconds_max = 120
    orphan_seconds = 6
    init_words = ()

    def __init__(self, folder, root=None, more=None, trouble=()):
        self.folder, self.root = folder, root or folder / "instance"
        self.more, self.trouble = more or {}, trouble
        self.spill = folder / "spill"
        self.spill.mkdir()
        self.lock = threading.Lock()
        self.journal = open(folder / "journal", "a", buffering=1)
        self.begun, self.done, self.given_up = set(), set(), set()
        self.counts = collections.Counter()
        self.failures = []
        self.over = threading.Event()
        self.end, self.ending = float("inf"), False

    # ---- running the command ----

    def env(self):
        return {**CLEAN, "GLIS_INSTANCE": str(self.root), "GLIS_INGEST_SPILL_DIR": str(self.spill),
                "GLIS_COMPACTION_LEASE": "4s", "GLIS_THREADS": "2",
                **self.more}

    def run(self, words, after=None, stopped=0):
        """Code, output and errors. With `after`, it is killed after so many seconds (code -9), or
        stopped for so many."""
        process = subprocess.Popen([GLIS, *map(str, words)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=self.env())
        try:
            out, err = self.result(process, after or self.run_seconds_max)
        except subprocess.TimeoutExpired:
            assert after or self.ending, f"{words} does not end"
            if stopped:
                os.kill(process.pid, signal.SIGSTOP)
                self.over.wait(stopped)
                os.kill(process.pid, signal.SIGCONT)
            else:
                os.kill(process.pid, signal.SIGKILL)
            out, err = process.communicate(timeout=self.run_seconds_max)
        return process.returncode, out, err

    def result(self, process, seconds):
        """At the end of life nobody waits for work that others' rows make more of all the time."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            try:
                return process.communicate(timeout=max(0.0, min(left, 5)))
            except subprocess.TimeoutExpired:
                if left <= 5 or self.ending and process.args[1] in ("compact", "maintain"):
                    raise

    def ok(self, *words):
        code, out, err = self.run(words)
        assert code == 0, (words, code, out[-2000:], err)
        return out

    def json(self, *words):
        return json.loads(self.ok("--json", *words))

    def objects(self, prefix):
        """The keys under a prefix."""
        return sorted(str(path.relative_to(self.root)) for path in (self.root / prefix).rglob("*")
                      if path.is_file())

    # ---- the journal ----

    def note(self, what, job):
        with self.lock:
            self.journal.write(f"{what} {job}\n")
            {"begun": self.begun, "done": self.done, "given-up": self.given_up}[what].add(job)

    def jobs(self):
        with self.lock:
            return frozenset(self.begun), frozenset(self.done)

    def count(self, what):
        with self.lock:
            self.counts[what] += 1


class Worker(threading.Thread):
    """One after another, processes of one kind; killed ones among them."""

    def __init__(self, life, kind, number):
        super().__init__(name=f"{kind} {number}")
        self.life, self.kind, self.number = life, kind, number
        self.random = random.Random(f"{SEED} {kind} {number}")
        self.seconds = 0.05  # of a whole run, about
        self.seen = frozenset()

    def run(self):
        try:
            while time.monotonic() < self.life.end and not self.life.failures:
                getattr(self, self.kind)()
        except BaseException as failure:  # told by the test, whose thread this is not
            self.life.failures.append((self.name, failure))

    def command(self, *words, kill=0.0, may_say=()):
        """True when it was done, False when it was killed or told what it may be told; what it
        printed."""
        after, stopped, chance = None, 0, self.random.random()
        if chance < kill + STOPPED:
            after = self.random.random() * self.seconds * 1.2 + 0.001
            stopped = 0 if chance < kill else self.random.random() * STOPPED_SECONDS_MAX
        begun = time.monotonic()
        code, out, err = self.life.run(words, after, stopped)
        if code == -signal.SIGKILL and (after or self.life.ending) and not stopped:
            self.life.count(f"{self.kind} killed")
            return False, ""
        if code == 0:
            if not stopped:
                self.seconds += (time.monotonic() - begun - self.seconds) / 8
            self.life.count(self.kind)
            return True, out
        for text in (*may_say, *self.life.trouble):
            if text in err:
                self.life.count(f"{self.kind}: {text}")
                return False, ""
        raise AssertionError((words, code, out[-3000:], err))

    # ---- rows come in ----

    def ingest(self, verb="ingest"):
        life = self.life
        with life.lock:
            life.counts["jobs"] += 1
            job = f"{'bulk' if verb != 'ingest' else 'job'}{life.counts['jobs']}-{SEED}"
        path = life.folder / f"{job}.csv"
        path.write_text("\n".join((HEAD, *lines_of_job(job))) + "\n")
        life.note("begun", job)
        words = [verb, "t", path, "--job", job]
        if verb == "ingest" and self.random.random() < 0.7:
            words += ["--set", "glis.maintenance=manual"]
        while True:
            done, out = self.command("--json", *words, kill=0.3,
                                     may_say=(TOO_LATE, NOT_PINNED))
            if done:
                assert json.loads(out)["rows"] == len(lines_of_job(job)) or \
                    json.loads(out)["alreadyDone"], out
                life.note("done", job)
                break
            if verb == "ingest" and self.random.random() < 0.2:
                life.note("given-up", job)
                break
        path.unlink()

    def bulk(self):
        self.ingest("bulk-import")
        time.sleep(self.random.random())

    # ---- work on files ----

    def compact(self):
        self.command("compact", "t", *(("--force",) if self.random.random() < 0.2 else ()),
                     kill=0.3, may_say=(TOO_LATE,))
        time.sleep(self.random.random() * 0.2)

    def maintain(self):
        self.command("maintain", "t", *(("--until-idle",) if self.random.random() < 0.3 else ()),
                     kill=0.3, may_say=(TOO_LATE,))
        time.sleep(self.random.random() * 0.3)

    def split(self):
        self.command("split", "t", kill=0.3)
        time.sleep(self.random.random() * 0.3)

    def collect(self):
        self.command("gc", "t", *(("--full",) if self.random.random() < 0.5 else ()), kill=0.3)
        time.sleep(self.random.random() * 0.3)

    def trim(self):
        if self.random.random() < 0.3:
            self.command("log", "snapshot", "t", kill=0.3)
        self.command("log", "trim", "t", *(("--full",) if self.random.random() < 0.3 else ()),
                     *(("--keep", "300") if self.random.random() < 0.3 else ()), kill=0.3)
        time.sleep(self.random.random())

    def change(self):
        name, values = self.random.choice(CHANGES)
        self.command("table", "set", "t", f"{name}={self.random.choice(values)}", kill=0.3)
        time.sleep(self.random.random())

    # ---- reading ----

    def query(self):
        words, low, high = ["query", "t", "--format", "csv"], 0, KEYS
        if self.random.random() < 0.7:
            low = self.random.randrange(KEYS)
            high = low + 1 + self.random.randrange(KEYS // 4)
            words += ["--from", low, "--to", high]
        if self.random.random() < 0.5:
            words += ["--ordered"]
        done_before = self.life.jobs()[1]
        answered, text = self.command(*words, kill=0.1, may_say=(GONE,))
        if not answered:
            return
        begun = self.life.jobs()[0]
        lines = text.splitlines()
        assert lines[0] == HEAD, lines[0]
        if "--ordered" in words:
            keys = [key_of(line) for line in lines[1:]]
            assert keys == sorted(keys), words
        seen = whole_jobs(lines[1:], low, high)
        assert seen <= begun, f"{words}: seen but not begun: {seen - begun}"
        must = {job for job in done_before | self.seen
                if any(low <= key_of(line) < high for line in lines_of_job(job))}
        assert must <= seen, f"{words}: acknowledged or seen before, but not seen: {must - seen}"
        if (low, high) == (0, KEYS):
            self.seen = frozenset(seen)


def whole_jobs(lines, low=0, high=KEYS):
    """The jobs in an answer, each of which is there whole (as far as the range goes) and once."""
    found = collections.defaultdict(list)
    for line in lines:
        found[line.split(",")[2]].append(line)
    for job, rows in found.items():
        wanted = [line for line in lines_of_job(job) if low <= key_of(line) < high]
        assert sorted(rows) == sorted(wanted), \
            (job, "lost", set(wanted) - set(rows), "too many",
             collections.Counter(rows) - collections.Counter(wanted))
    return set(found)


WORKERS = {"ingest": 3, "compact": 2, "maintain": 2, "split": 2, "collect": 2, "query": 3, "bulk": 1,
           "change": 1, "trim": 1}


def journal(folder):
    """What was begun, acknowledged and given up, as the file has it."""
    said = collections.defaultdict(set)
    for line in (folder / "journal").read_text().splitlines():
        what, job = line.split()
        said[what].add(job)
    return said["begun"], said["done"], said["given-up"]


def strangers(life):
    """Objects of the table that nothing refers to, once all work has ended."""
    left = []
    table = life.json("table", "show", "t")["id"]
    known = {os.path.basename(file["file"]) for file in life.json("status", "t", "files")}
    there = {os.path.basename(name) for name in life.objects(f"tables/{table}/data/")}
    assert known <= there, f"missing: {known - there}"
    left += sorted(f"data/{name}" for name in there - known)
    left += life.objects(f"tables/{table}/staging/")
    left += [str(path) for path in life.spill.iterdir()]
    left += life.objects(f"tables/{table}/log/pending/")
    named = life.ok("log", "show", "t")
    left += [name for name in life.objects(f"tables/{table}/log/body/")
             if os.path.basename(name) not in named]
    return left


def begin(life):
    (life.folder / "schema.json").write_text(json.dumps(SCHEMA))
    life.ok("init", life.root, *life.init_words, "--property", f"glis.gc.orphan.age={life.orphan_seconds}s",
            "--property", "glis.log.record.max=4K")
    life.ok("table", "create", "t", "--schema", life.folder / "schema.json",
            *(word for text in PROPERTIES for word in ("--set", text)))


def live(life, workers, seconds):
    """So many workers of each kind, so many seconds."""
    life.end = time.monotonic() + seconds
    threads = [Worker(life, kind, number) for kind, n in workers.items() for number in range(n)]
    for thread in threads:
        thread.start()
    while time.monotonic() < life.end and not life.failures:
        time.sleep(0.1)
    life.over.set()
    life.ending = True
    for thread in threads:
        thread.join()
    life.ending = False
    print(", ".join(f"{what} {n}" for what, n in sorted(life.counts.items())))
    for name, failure in life.failures:
        print(f"{name}: {failure}")
    if life.failures:
        raise life.failures[0][1]


def judge(life, workers):
    """What is there when nobody works any more, and that nothing is there that should not be."""
    begun, done, given_up = journal(life.folder)
    assert begun == done | given_up and not done & given_up
    for kind in workers:
        assert life.counts[kind] > 0, f"no {kind} was ever done"
    assert sum(n for what, n in life.counts.items() if what.endswith(" killed")) > 10
    seen = whole_jobs(life.ok("query", "t", "--format", "csv").splitlines()[1:])
    assert done <= seen <= done | given_up, (done - seen, seen - done - given_up)
    assert "all is well" in life.ok("check", "--read-data")

    # Nothing is lost by collecting all that nobody needs. What the last ones began can be given up
    # only once a record after it is older than the age of orphans.
    for pin in life.json("table", "pin", "t"):
        life.ok("table", "unpin", "t", pin["pin"])
    life.ok("table", "set", "t", "glis.table.gc.delay=0s")
    time.sleep(life.orphan_seconds + 0.1)
    life.ok("maintain", "t", "--until-idle")
    life.ok("table", "set", "t", "glis.table.gc.delay=1s")
    time.sleep(life.orphan_seconds + 0.1)
    life.ok("gc", "t", "--now", "--full")
    assert strangers(life) == []
    assert life.json("status", "t")["jobsRunning"] == 0
    assert whole_jobs(life.ok("query", "t", "--format", "csv").splitlines()[1:]) == seen
    assert "all is well" in life.ok("check", "--read-data")


def test_a_table_lives_through_deaths_of_everybody_who_works_on_it(tmp_path):
    print(f"GLIS_LIFE_SEED={SEED}")
    life = Life(tmp_path)
    begin(life)
    live(life, WORKERS, SECONDS)
    judge(life, WORKERS)


# ---- what it has found, one by one ----

def small_life(folder):
    life = Life(folder)
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    life.ok("init", life.root)
    life.ok("table", "create", "t", "--schema", folder / "schema.json", "--set",
            "glis.table.bulk.import.min.leaf.partitions=1")
    return life


def put_job(life, job, verb, *options):
    path = life.folder / f"{job}.csv"
    path.write_text("\n".join((HEAD, *lines_of_job(job))) + "\n")
    life.ok(verb, "t", path, "--job", job, *options)


def test_a_bulk_import_that_died_before_its_pin_is_begun_anew(tmp_path):
    """What it began with is collected before it comes back: it starts again with the same id."""
    life = small_life(tmp_path)
    manual = ("--set", "glis.maintenance=manual")
    put_job(life, "a", "ingest", *manual)
    put_job(life, "bulk", "bulk-import", "--plan")
    life.ok("table", "unpin", "t", "bulk")
    put_job(life, "b", "ingest", *manual)
    life.ok("compact", "t", "--force")
    life.ok("gc", "t", "--now")
    put_job(life, "bulk", "bulk-import")
    assert whole_jobs(life.ok("query", "t", "--format", "csv").splitlines()[1:]) == {"a", "b", "bulk"}
    assert life.json("table", "pin", "t") == [] and "all is well" in life.ok("check", "--read-data")
