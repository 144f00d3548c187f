#!/usr/bin/env python3
"""A table's life: batches while another process maintains it, and small batches over many leaves.

    bench/life.py [--build BUILD] [--folder FOLDER] batches [--n 100] [--rows 1000000] [--rocksdb]
    bench/life.py [--build BUILD] [--folder FOLDER] leaves [--n 1000] [--rows 1000] [--leaves 10000]
    bench/life.py [--build BUILD] [--folder FOLDER] lookups [--n 5] [--rows 3600000]

`batches`: each of N batches of unsorted rows (key: 16 random digits, value: 24 random letters) is ingested, first with
nobody else at work, then into another table beside a process that runs `glis maintain --until-idle` again and again.
Told are the times of the ingests in both, the bytes of all files that were ever written over the bytes of what each
ingest wrote (write amplification), the folder's greatest size over that of its live files (space amplification), and
lookups at the end (bench/query_run). With --rocksdb the same batches go into RocksDB (bench/rocksdb_run, if librocksdb was
there when that was built): the ingests with nobody else at work by turns, batch by batch, then all of them again beside
its own compaction. It reads the rows as plain bytes, so it is spared the decoding of Parquet. Both have 512 MiB of
memory and two threads. Processor seconds stand beside those of the clock, for the machine may have other work.

`leaves`: N small batches spread over all leaves of a table, each followed by `glis maintain`, once with inner
partitions as write buffers and once as the reference does it (glis.table.inner.bytes=0): bytes written, and files that
a lookup reads.

`lookups`: ROWS rows in three files that lie over one another, of two thirds, a quarter and the rest, as compaction leaves
them behind, in Glis and in RocksDB; nothing is compacted, and warm lookups are measured N times in each, by turns. Results go to bench/results/."""

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
from machine import machine

MEMORY_BYTES = 512 << 20
LOOKUPS = 2000
BLOCK_BYTES = (4096, 16384)  # of RocksDB's: its default, and one nearer to the pages of Glis

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

    def timed(self, *words):
        """What a command says, its seconds and its processor seconds."""
        begun = time.monotonic()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            child = subprocess.Popen([self.glis, *map(str, words)], stdout=out, stderr=error,
                                     env=self.environment)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - begun
            out.seek(0), error.seek(0)
            if child.returncode:
                sys.exit(f"glis {' '.join(map(str, words))}: {error.read().decode().strip()}")
            return out.read().decode(), seconds, usage.ru_utime + usage.ru_stime

    def ingest(self, path):
        return self.timed("ingest", "t", path, "--set", "glis.maintenance=manual")[1:]

    def written(self):
        """Bytes of the files that ingests wrote, and of all."""
        jobs = self.json("status", "t", "jobs")
        return (sum(job["bytes"] for job in jobs if job["kind"] == "ingest"),
                sum(job["bytes"] for job in jobs if job["status"] == "done"))

    def data_bytes(self):
        return folder_bytes(next((self.root / "tables").iterdir()) / "data")


class RocksDB:
    """bench/rocksdb_run at work on a folder; it stays, as one that embeds RocksDB does."""

    def __init__(self, build, folder, block_bytes, lookups, how):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.child = subprocess.Popen(
            [build / "bench" / "rocksdb_run", folder, str(MEMORY_BYTES), str(block_bytes), str(lookups), how],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        line = self.child.stdout.readline()
        return json.loads(line) if line else sys.exit("rocksdb_run ended early")

    def ingest(self, path):
        self.child.stdin.write(f"{path}\n")
        self.child.stdin.flush()
        return self.line()

    def end(self):
        self.child.stdin.close()
        report = self.line()
        if self.child.wait():
            sys.exit("rocksdb_run failed")
        return report


def folder_bytes(folder):
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            pass
    return total


def make_batch(path, rows, seed, plain=None):
    """A batch as Parquet, and as plain bytes of key and value where `plain` names a file."""
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
    if plain:
        digits = numpy.ascontiguousarray(digits.astype("S16")).view(numpy.uint8).reshape(rows, 16)
        plain.write_bytes(numpy.hstack([digits, letters]).tobytes())


def summary(seconds):
    ordered = sorted(seconds)
    return {"median": round(statistics.median(ordered), 3), "max": round(ordered[-1], 3),
            "p90": round(ordered[int(len(ordered) * .9)], 3), "sum": round(sum(ordered), 2)}


def alone(arguments, folder):
    """Ingests with nobody else at work, of the peer's by turns."""
    quiet = Table(arguments.build, folder / "quiet")
    path, plain = folder / "batch.parquet", folder / "batch.plain"
    peers = {size: RocksDB(arguments.build, folder / f"quiet-{size}", size, 0, "load")
             for size in BLOCK_BYTES if arguments.rocksdb}
    glis, rocksdb = [], {size: [] for size in peers}
    for i in range(min(arguments.n, 10)):
        make_batch(path, arguments.rows, i, plain)
        glis.append(quiet.ingest(path))
        for size, peer in peers.items():
            rocksdb[size].append(peer.ingest(plain))
    report = {"ingest_alone_s": summary([wall for wall, _ in glis]),
              "ingest_alone_cpu_s": summary([used for _, used in glis]),
              "bytes_a_batch": quiet.data_bytes() // len(glis)}
    for size, peer in peers.items():
        report[f"rocksdb_{size}"] = {
            "ingest_alone_s": summary([run["seconds"] for run in rocksdb[size]]),
            "ingest_alone_cpu_s": summary([run["cpu_s"] for run in rocksdb[size]]),
            "bytes_a_batch": peer.end()["bytes_ingested"] // len(glis)}
    for name in ("quiet", *(f"quiet-{size}" for size in peers)):
        shutil.rmtree(folder / name)
    return report


def beside_rocksdb(arguments, folder, size):
    """All batches into RocksDB while it compacts."""
    path, plain, runs, peak = folder / "batch.parquet", folder / "batch.plain", [], 0
    peer = RocksDB(arguments.build, folder / "rocksdb", size, LOOKUPS, "compact")
    begun = time.monotonic()
    for i in range(arguments.n):
        make_batch(path, arguments.rows, i, plain)
        runs.append(peer.ingest(plain))
        peak = max(peak, folder_bytes(peer.folder))
    seconds = time.monotonic() - begun
    end = peer.end()
    shutil.rmtree(peer.folder)
    return {"seconds": round(seconds, 1), "ingest_s": summary([run["seconds"] for run in runs]),
            "ingest_thread_cpu_s": summary([run["thread_cpu_s"] for run in runs]),
            "space_amplification": round(peak / end["bytes"], 2), **end}


def batches(arguments, folder):
    report = {"n": arguments.n, "rows": arguments.rows, **alone(arguments, folder)}
    busy = Table(arguments.build, folder / "busy", ["glis.table.gc.delay=20s"])
    path, plain = folder / "batch.parquet", folder / "batch.plain"
    beside, peak = [], 0
    stop = threading.Event()
    maintained = []

    def maintain():
        while not stop.is_set():
            out, _, used = busy.timed("maintain", "t", "--until-idle", "--json")
            maintained.append((json.loads(out), used))
            stop.wait(0.2)

    worker = threading.Thread(target=maintain)
    worker.start()
    begun = time.monotonic()
    for i in range(arguments.n):
        make_batch(path, arguments.rows, i, plain if arguments.rocksdb else None)
        beside.append(busy.ingest(path))
        peak = max(peak, busy.data_bytes())
    report["seconds"] = round(time.monotonic() - begun, 1)
    stop.set()
    worker.join()
    out, _, used = busy.timed("maintain", "t", "--until-idle", "--json")
    maintained.append((json.loads(out), used))
    report["idle_after_s"] = round(time.monotonic() - begun, 1)
    ingested, written = busy.written()
    status = busy.json("status", "t")
    report.update({
        "ingest_beside_maintain_s": summary([wall for wall, _ in beside]),
        "ingest_beside_maintain_cpu_s": summary([used for _, used in beside]),
        "cpu_s": round(sum(used for _, used in beside + maintained), 2),
        "compactions": sum(run["compactions"] for run, _ in maintained),
        "bytes_ingested": ingested, "bytes_compacted": written - ingested,
        "write_amplification": round(written / ingested, 2),
        "space_amplification": round(peak / status["bytes"], 2),
        "bytes": status["bytes"], "files": status["files"], "lookup_files": status["lookupFiles"]})
    done = subprocess.run([arguments.build / "bench" / "query_run", str(busy.root), "t", str(LOOKUPS),
                           str(MEMORY_BYTES), "1"], capture_output=True, text=True)
    report["lookups"] = json.loads(done.stdout) if done.returncode == 0 else done.stderr
    shutil.rmtree(folder / "busy")
    if arguments.rocksdb:
        for size in BLOCK_BYTES:
            report[f"rocksdb_{size}"]["beside_compaction"] = beside_rocksdb(arguments, folder, size)
    return report


def lookups(arguments, folder):
    table = Table(arguments.build, folder / "glis")
    path, plains = folder / "batch.parquet", [folder / f"plain-{i}" for i in range(3)]
    for i, rows in enumerate((arguments.rows * 2 // 3, arguments.rows // 4, arguments.rows // 12)):
        make_batch(path, rows, i, plains[i])
        table.ingest(path)
    report = {"n": arguments.n, "rows": arguments.rows, "glis": [], **{f"rocksdb_{size}": [] for size in BLOCK_BYTES}}
    for i in range(arguments.n):
        done = subprocess.run([arguments.build / "bench" / "query_run", str(table.root), "t", str(LOOKUPS),
                               str(MEMORY_BYTES), "1"], capture_output=True, text=True, check=True)
        report["glis"].append(json.loads(done.stdout))
        for size in BLOCK_BYTES:
            peer = RocksDB(arguments.build, folder / "rocksdb", size, LOOKUPS, "load")
            for plain in plains:
                peer.ingest(plain)
            report[f"rocksdb_{size}"].append(peer.end())
            shutil.rmtree(peer.folder)
    for name, figure in (("glis", "lookup_decoded"), ("glis", "lookup_held"),
                         *((f"rocksdb_{size}", "lookup_warm") for size in BLOCK_BYTES)):
        report[f"{name}_{figure}_us"] = statistics.median(run[figure]["median_us"] for run in report[name])
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
    parser.add_argument("what", choices=["batches", "leaves", "lookups"])
    parser.add_argument("--n", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--leaves", type=int, default=10000)
    parser.add_argument("--rocksdb", action="store_true", help="batches: the same into RocksDB")
    parser.add_argument("--every", type=int, default=10, help="maintain after so many batches")
    arguments = parser.parse_args()
    defaults = {"batches": (100, 1_000_000), "leaves": (1000, 1000), "lookups": (5, 3_600_000)}[arguments.what]
    arguments.n = arguments.n or defaults[0]
    arguments.rows = arguments.rows or defaults[1]
    arguments.build = arguments.build.resolve()
    if (arguments.rocksdb or arguments.what == "lookups") and not (arguments.build / "bench" / "rocksdb_run").exists():
        sys.exit(f"{arguments.build}/bench/rocksdb_run is missing: it needs librocksdb-dev and ninja bench/rocksdb_run")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        report = {"bench": f"life-{arguments.what}",
                  "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
                  "machine": machine()}
        report.update({"batches": batches, "leaves": leaves, "lookups": lookups}[arguments.what](
            arguments, pathlib.Path(folder)))
    print(json.dumps(report))
    if not arguments.no_save:
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        results = pathlib.Path(__file__).resolve().parent / "results"
        (results / f"life-{arguments.what}-{stamp}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
