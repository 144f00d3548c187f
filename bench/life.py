#!/usr/bin/env python3
"""A table's life: batches while another process maintains it, and small batches over many leaves.

    bench/life.py [--build BUILD] [--folder FOLDER] batches [--n 100] [--rows 1000000]
    bench/life.py [--build BUILD] [--folder FOLDER] leaves [--n 1000] [--rows 1000] [--leaves 10000]

`batches`: each of N batches of unsorted rows (key: 16 random digits, value: 24 random letters) is ingested, first with
nobody else at work, then into another table beside a process that runs `glis maintain --until-idle` again and again.
Told are the times of the ingests in both, the bytes of all files that were ever written over the bytes of what each
ingest wrote (write amplification), the folder's greatest size over that of its live files (space amplification), and
lookups at the end (bench/query_run).

`leaves`: N small batches spread over all leaves of a table, each followed by `glis maintain`, once with inner
partitions as write buffers and once as the reference does it (glis.table.inner.bytes=0): bytes written, and files that
a lookup reads. Results go to bench/results/."""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy
import pyarrow
import pyarrow.parquet

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import ingest as shared

SCHEMA = {"rowKeyFields": [{"name": "k", "type": "StringType"}],
          "valueFields": [{"name": "v", "type": "StringType"}]}


class Table:
    def __init__(self, build, folder, properties=(), splits=None):
        self.glis, self.root, self.folder = build / "glis", folder / "instance", folder
        self.environment = {**os.environ, "GLIS_INSTANCE": str(self.root)}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schema.json").write_text(json.dumps(SCHEMA))
        self.run("init", self.root)
        words = ["table", "create", "t", "--schema", folder / "schema.json"]
        if splits:
            (folder / "splits.txt").write_text("\n".join(map(str, splits)) + "\n")
            words += ["--splits", folder / "splits.txt"]
        self.run(*words)
        if properties:
            self.run("table", "set", "t", *properties)

    def run(self, *words):
        done = subprocess.run([self.glis, *map(str, words)], capture_output=True, text=True,
                              env=self.environment)
        if done.returncode:
            sys.exit(f"glis {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))

    def ingest(self, path):
        begun = time.monotonic()
        self.run("ingest", "t", path, "--set", "glis.maintenance=manual")
        return time.monotonic() - begun

    def written(self):
        """Bytes of the files that ingests wrote, and of all."""
        jobs = self.json("status", "t", "jobs")
        return (sum(job["bytes"] for job in jobs if job["kind"] == "ingest"),
                sum(job["bytes"] for job in jobs if job["status"] == "done"))

    def data_bytes(self):
        data = next((self.root / "tables").iterdir()) / "data"
        total = 0
        for path in data.iterdir():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                pass
        return total


def make_batch(path, rows, seed):
    random = numpy.random.default_rng(seed)
    digits = numpy.char.mod("%016x", random.integers(0, 2**63, rows, dtype=numpy.uint64))
    keys = pyarrow.array(digits.astype("U16"))
    letters = random.integers(97, 123, (rows, 24), dtype=numpy.uint8)
    values = pyarrow.Array.from_buffers(
        pyarrow.string(), rows,
        [None, pyarrow.py_buffer(numpy.arange(0, 24 * rows + 1, 24, dtype=numpy.int32)),
         pyarrow.py_buffer(letters.tobytes())])
    pyarrow.parquet.write_table(pyarrow.table({"k": keys, "v": values}), path,
                                compression="zstd", use_dictionary=False)


def summary(seconds):
    ordered = sorted(seconds)
    return {"median": round(statistics.median(ordered), 3), "max": round(ordered[-1], 3),
            "p90": round(ordered[int(len(ordered) * .9)], 3), "sum": round(sum(ordered), 2)}


def batches(arguments, folder):
    quiet, busy = (Table(arguments.build, folder / name, ["glis.table.gc.delay=20s"])
                   for name in ("quiet", "busy"))
    report = {"n": arguments.n, "rows": arguments.rows}
    path = folder / "batch.parquet"
    alone, beside, peak = [], [], 0
    for i in range(min(arguments.n, 10)):
        make_batch(path, arguments.rows, i)
        alone.append(quiet.ingest(path))
    shutil.rmtree(folder / "quiet")
    stop = threading.Event()
    maintained = []

    def maintain():
        while not stop.is_set():
            maintained.append(busy.json("maintain", "t", "--until-idle"))
            stop.wait(0.2)

    worker = threading.Thread(target=maintain)
    worker.start()
    begun = time.monotonic()
    for i in range(arguments.n):
        make_batch(path, arguments.rows, i)
        beside.append(busy.ingest(path))
        peak = max(peak, busy.data_bytes())
    stop.set()
    worker.join()
    report["seconds"] = round(time.monotonic() - begun, 1)
    busy.run("maintain", "t", "--until-idle")
    ingested, written = busy.written()
    status = busy.json("status", "t")
    report.update({
        "ingest_alone_s": summary(alone), "ingest_beside_maintain_s": summary(beside),
        "compactions": sum(run["compactions"] for run in maintained),
        "write_amplification": round(written / ingested, 2),
        "space_amplification": round(peak / status["bytes"], 2),
        "bytes": status["bytes"], "files": status["files"], "lookup_files": status["lookupFiles"]})
    done = subprocess.run([arguments.build / "bench" / "query_run", str(busy.root), "t", "2000",
                           str(2 << 30), "1"], capture_output=True, text=True)
    report["lookups"] = json.loads(done.stdout) if done.returncode == 0 else done.stderr
    return report


def leaves(arguments, folder):
    step = 2**63 // arguments.leaves
    splits = [f"{step * i:016x}" for i in range(1, arguments.leaves)]
    report = {"n": arguments.n, "rows": arguments.rows, "leaves": arguments.leaves}
    for name, properties in (("buffers", []), ("reference", ["glis.table.inner.bytes=0"])):
        table = Table(arguments.build, folder / name, ["glis.table.gc.delay=0s", *properties], splits)
        path, begun, written = folder / "batch.parquet", time.monotonic(), 0
        for i in range(arguments.n):
            make_batch(path, arguments.rows, i)
            table.ingest(path)
            if i % arguments.every == arguments.every - 1:
                table.run("maintain", "t", "--until-idle")
        ingested, written = table.written()
        status = table.json("status", "t")
        report[name] = {"seconds": round(time.monotonic() - begun, 1), "bytes_ingested": ingested,
                        "bytes_written": written, "write_amplification": round(written / ingested, 2),
                        "lookup_files": status["lookupFiles"], "files": status["files"]}
        print(name, json.dumps(report[name]), flush=True)
        shutil.rmtree(folder / name)
    report["times_fewer_bytes"] = round(report["reference"]["bytes_written"] /
                                        report["buffers"]["bytes_written"], 2)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("what", choices=["batches", "leaves"])
    parser.add_argument("--n", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--leaves", type=int, default=10000)
    parser.add_argument("--every", type=int, default=10, help="maintain after so many batches")
    arguments = parser.parse_args()
    defaults = {"batches": (100, 1_000_000), "leaves": (1000, 1000)}[arguments.what]
    arguments.n = arguments.n or defaults[0]
    arguments.rows = arguments.rows or defaults[1]
    arguments.build = arguments.build.resolve()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        report = {"bench": f"life-{arguments.what}",
                  "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
                  "machine": shared.machine()}
        report.update({"batches": batches, "leaves": leaves}[arguments.what](
            arguments, pathlib.Path(folder)))
    print(json.dumps(report))
    if not arguments.no_save:
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        results = pathlib.Path(__file__).resolve().parent / "results"
        (results / f"life-{arguments.what}-{stamp}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
