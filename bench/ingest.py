#!/usr/bin/env python3
"""Ingest against DuckDB's sorted COPY, on the same machine in the same run.

The work: rows of (string key of 16, long, double, string of 40), unsorted, from one Parquet file into
sorted zstd Parquet. Glis makes a table with 1, 16 or 10,000 leaves and ingests with 512 MiB of row memory; DuckDB does
COPY (SELECT ... ORDER BY key) TO ... (FORMAT parquet, COMPRESSION zstd) with the same memory limit. Both use two threads.
Runs are interleaved, so that what else the machine does falls on both; medians are printed, of the clock's
and of the processor's seconds, and every single run is kept as JSON in bench/results/.

    bench/ingest.py [--rows N] [--repeat N] [--build FOLDER] [--leaves 1,16] [--text random|words] [--no-duckdb]

Needs pyarrow and duckdb (.venv), and the program ingest_run of the build folder.
"""

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
import time

from machine import machine

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_BYTES = 512 << 20

DUCKDB_RUN = """
import duckdb, json, resource, sys, time
source, target, threads, memory, temporary = sys.argv[1:6]
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")
connection.execute(f"SET threads = {threads}")
connection.execute(f"SET memory_limit = '{memory}B'")
connection.execute(f"SET temp_directory = '{temporary}'")
connection.execute("SET preserve_insertion_order = true")
start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
connection.execute(
    f"COPY (SELECT * FROM read_parquet('{source}') ORDER BY key) TO '{target}' "
    "(FORMAT parquet, COMPRESSION zstd)")
seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF)
# Not getrusage: its greatest size counts what the process was before it became this program.
lines = open("/proc/self/status").read().splitlines()
resident = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
print(json.dumps({"seconds": seconds, "user_seconds": after.ru_utime - before.ru_utime,
                  "system_seconds": after.ru_stime - before.ru_stime, "resident_mib": resident // 1024}))
"""


def make_input(path, rows, text):
    """Unsorted rows: keys are random hexadecimal digits, texts random letters or words."""
    import numpy
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = numpy.random.default_rng(20261121)
    words = numpy.array(["ash", "birch", "cedar", "elder", "hazel", "juniper", "larch", "maple",
                         "oak", "pine", "rowan", "willow"], dtype="S8")

    def texts(n, width, alphabet):
        letters = numpy.frombuffer(alphabet, dtype=numpy.uint8)
        data = letters[random.integers(0, len(letters), n * width)].tobytes()
        offsets = numpy.arange(0, (n + 1) * width, width, dtype=numpy.int32)
        return pa.StringArray.from_buffers(n, pa.py_buffer(offsets.tobytes()), pa.py_buffer(data))

    def phrases(n):
        picks = words[random.integers(0, len(words), (n, 6))]
        joined = [b" ".join(p)[:40].ljust(40, b".") for p in picks]
        return pa.array([j.decode() for j in joined])

    schema = pa.schema([pa.field("key", pa.string(), False), pa.field("number", pa.int64(), False),
                        pa.field("real", pa.float64(), False), pa.field("text", pa.string(), False)])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        left = rows
        while left:
            n = min(left, 1_000_000)
            text_column = (texts(n, 40, b"abcdefghijklmnopqrstuvwxyz ") if text == "random"
                           else phrases(n))
            columns = [texts(n, 16, b"0123456789abcdef"), pa.array(random.integers(0, 1 << 62, n)),
                       pa.array(random.random(n)), text_column]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=122880)
            left -= n


def split_points(leaves):
    return [f"{i * (1 << 64) // leaves:016x}" for i in range(1, leaves)]


def run_glis(program, source, folder, leaves, threads, strategy):
    root = os.path.join(folder, "instance")
    shutil.rmtree(root, ignore_errors=True)
    splits = os.path.join(folder, "splits.txt")
    pathlib.Path(splits).write_text("".join(p + "\n" for p in split_points(leaves)))
    done = subprocess.run([program, root, splits, str(MEMORY_BYTES), str(threads), strategy, folder,
                           source], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"ingest_run failed: {done.stderr.strip()}")
    result = json.loads(done.stdout)
    result["output_bytes"] = sum(f.stat().st_size for f in pathlib.Path(root).rglob("*.parquet"))
    return result


def run_duckdb(source, folder, threads):
    target = os.path.join(folder, "duckdb.parquet")
    done = subprocess.run([sys.executable, "-c", DUCKDB_RUN, source, target, str(threads),
                           str(MEMORY_BYTES), os.path.join(folder, "duckdb-spill")],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return {"seconds": None, "error": done.stderr.strip().splitlines()[-1]}
    result = json.loads(done.stdout)
    result["output_bytes"] = os.path.getsize(target)
    os.unlink(target)
    return result


def check_output(folder, rows):
    """The files' rows are all there and each file is sorted, by an independent reader."""
    import duckdb
    files = f"{folder}/instance/tables/*/data/*.parquet"
    connection = duckdb.connect()
    count = connection.execute(f"SELECT count(*) FROM read_parquet('{files}')").fetchone()[0]
    wrong = connection.execute(
        f"""SELECT count(*) FROM (SELECT key, lag(key) OVER (PARTITION BY filename ORDER BY
            file_row_number) AS before FROM read_parquet('{files}', filename=true,
            file_row_number=true)) WHERE before > key""").fetchone()[0]
    if count != rows or wrong:
        sys.exit(f"the table holds {count} rows of {rows}, {wrong} of them out of order")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--leaves", default="1,16")
    parser.add_argument("--text", choices=["random", "words"], default="words")
    parser.add_argument("--build", default=str(HERE.parent / "build"))
    parser.add_argument("--folder", help="where inputs and outputs go (default: a temporary folder)")
    parser.add_argument("--strategy", default="by_size")
    parser.add_argument("--no-duckdb", action="store_true")
    parser.add_argument("--no-check", action="store_true")
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    program = os.path.join(arguments.build, "bench", "ingest_run")
    folder = arguments.folder or tempfile.mkdtemp(prefix="glis-bench-")
    source = os.path.join(folder, f"input-{arguments.text}-{arguments.rows}.parquet")
    if not os.path.exists(source):
        make_input(source, arguments.rows, arguments.text)
    pathlib.Path(source).read_bytes()  # into the page cache
    report = {"bench": "ingest", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
              "machine": machine(), "rows": arguments.rows, "text": arguments.text,
              "threads": arguments.threads, "memory_bytes": MEMORY_BYTES,
              "strategy": arguments.strategy, "input_bytes": os.path.getsize(source), "runs": {}}
    names = [f"glis-{leaves}" for leaves in arguments.leaves.split(",")]
    if not arguments.no_duckdb:
        import duckdb
        report["duckdb"] = duckdb.__version__
        names.append("duckdb")
    for _ in range(arguments.repeat):
        for name in names:
            if name == "duckdb":
                result = run_duckdb(source, folder, arguments.threads)
            else:
                result = run_glis(program, source, folder, int(name.split("-")[1]),
                                  arguments.threads, arguments.strategy)
                if not arguments.no_check and name not in report["runs"]:
                    check_output(folder, arguments.rows)
            report["runs"].setdefault(name, []).append(result)
            print(name, json.dumps(result), flush=True)
    report["medians_seconds"] = {
        name: statistics.median(r["seconds"] for r in runs if r["seconds"] is not None)
        for name, runs in report["runs"].items() if any(r["seconds"] is not None for r in runs)}
    report["medians_cpu_seconds"] = {
        name: round(statistics.median(r["user_seconds"] + r["system_seconds"]
                                      for r in runs if r["seconds"] is not None), 2)
        for name, runs in report["runs"].items() if any(r["seconds"] is not None for r in runs)}
    print(json.dumps(report["medians_seconds"]), json.dumps(report["medians_cpu_seconds"]))
    if not arguments.no_save:
        results = HERE / "results"
        results.mkdir(exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        (results / f"ingest-{stamp}.json").write_text(json.dumps(report, indent=1) + "\n")
    if not arguments.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
