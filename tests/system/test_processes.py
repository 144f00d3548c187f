"""Eight processes put a hundred small jobs each into one table, while others read it.

Every job is a run of the real command and leaves three rows. All 800 must be committed, each in a
record of its own number, and be there once. A reader must see of each job all rows or none, every
job that was acknowledged before it began, no job that had not begun when it ended, and never less
than it saw before.
"""

import collections
import json
import os
import subprocess
import threading

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}

SCHEMA = {
    "rowKeyFields": [{"name": "k", "type": "LongType"}],
    "sortKeyFields": [{"name": "n", "type": "LongType"}],
    "valueFields": [{"name": "job", "type": "StringType"}],
}
PROCESSES, JOBS, ROWS, READERS = 8, 100, 3, 2
EVERY_JOB = {f"p{p}-{j}" for p in range(PROCESSES) for j in range(JOBS)}


def command(root, *words, input=None):
    done = subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, timeout=120,
                          input=input, env={**CLEAN, "GLIS_INSTANCE": str(root)})
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr)
    return done.stdout


def rows_of_job(job):
    """On keys of all leaves, so that each job's rows lie apart."""
    first = sum(map(ord, job)) % 100
    return [(first + 100 * i, i, job) for i in range(ROWS)]


class World:
    def __init__(self, root):
        self.root = root
        self.lock = threading.Lock()
        self.begun, self.done = set(), set()
        self.records = {}
        self.failures = []
        self.writing = PROCESSES
        self.reads = 0

    def guarded(self, work, number):
        try:
            work(number)
        except BaseException as failure:  # told by the test, whose thread this is not
            self.failures.append(failure)
        finally:
            if work == self.write:
                with self.lock:
                    self.writing -= 1

    def write(self, process):
        for number in range(JOBS):
            job = f"p{process}-{number}"
            text = "".join(json.dumps(dict(zip(("k", "n", "job"), row))) + "\n"
                           for row in rows_of_job(job))
            with self.lock:
                self.begun.add(job)
            # Half of the jobs are known by an id, half by a writer and a sequence.
            name = (("--job", job) if process % 2 else
                    ("--writer", f"p{process}", "--sequence", number + 1))
            told = json.loads(command(self.root, "--json", "ingest", "t", "-", "--format", "jsonl",
                                      *name, input=text))
            assert told["rows"] == ROWS and not told["alreadyDone"], told
            with self.lock:
                self.done.add(job)
                self.records[job] = told["record"]
            if self.failures:
                return

    def read(self, number):
        seen_before = set()
        while True:
            with self.lock:
                over = self.writing == 0
                done = set(self.done)
            text = command(self.root, "query", "t", "--format", "csv",
                           *(("--ordered",) if number else ()))
            with self.lock:
                begun = set(self.begun)
                self.reads += 1
            seen = check_rows(text)
            assert done <= seen, f"acknowledged but not seen: {done - seen}"
            assert seen <= begun, f"seen but not begun: {seen - begun}"
            assert seen_before <= seen, f"seen before: {seen_before - seen}"
            seen_before = seen
            if over or self.failures:
                return


def check_rows(text):
    """The jobs in an answer, each of which is there whole and once."""
    lines = text.splitlines()
    assert lines[0] == "k,n,job"
    found = collections.Counter(lines[1:])
    jobs = {line.rsplit(",", 1)[1] for line in found}
    wanted = collections.Counter(f"{k},{n},{name}" for job in jobs
                                 for k, n, name in rows_of_job(job))
    assert found == wanted, f"lost {wanted - found}, too many {found - wanted}"
    return jobs


@pytest.mark.parametrize("splits", ["", "100\n200\n"])
def test_eight_processes_lose_and_double_nothing(tmp_path, splits):
    root = tmp_path / "instance"
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "splits.txt").write_text(splits)
    command(root, "init", root)
    command(root, "table", "create", "t", "--schema", tmp_path / "schema.json",
            *(("--splits", tmp_path / "splits.txt") if splits else ()))
    world = World(root)
    threads = [threading.Thread(target=world.guarded, args=(work, number))
               for work, n in ((world.write, PROCESSES), (world.read, READERS)) for number in
               range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if world.failures:
        raise world.failures[0]
    assert world.done == EVERY_JOB and check_rows(command(root, "query", "t", "--format",
                                                          "csv")) == EVERY_JOB
    print(f"{world.reads} reads")
    # Each was told its record; contended commits share some.
    assert len(world.records) == PROCESSES * JOBS
    status = json.loads(command(root, "--json", "status", "t"))
    assert status["rows"] == PROCESSES * JOBS * ROWS and status["rowsAreExact"]
    # The others are of what is done for the table after ingests.
    kinds = [job["kind"] for job in json.loads(command(root, "--json", "status", "t", "jobs"))]
    assert kinds.count("ingest") == PROCESSES * JOBS and "compaction" in kinds
    assert "all is well" in command(root, "check", "--read-data")
