#!/usr/bin/env python3
"""Lookups, ranges and cold queries on a table of 10 M rows (the one of bench/ingest.py), with DuckDB beside.

    bench/query.py [--rows N] [--repeat N] [--build FOLDER] [--folder FOLDER]

Lookups and ranges are timed in a warm process (bench/query_run.c), the cold query by starting
`glis query --key` anew each time. DuckDB asks the same file for the same keys, warm. Files are read once before, so
they lie in the page cache. Runs are interleaved; medians of the runs' medians are printed and all raw figures kept in
bench/results/.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import ingest
from machine import machine

HERE = pathlib.Path(__file__).resolve().parent


def touch(root):
    for path in pathlib.Path(root).rglob("*"):
        if path.is_file():
            path.read_bytes()


def cold_query(program, root, keys):
    times = []
    for key in keys:
        start = time.monotonic()
        done = subprocess.run([program, "--instance", root, "query", "bench", "--key", key, "--format", "jsonl"],
                              capture_output=True, text=True)
        times.append((time.monotonic() - start) * 1e3)
        if done.returncode != 0 or key not in done.stdout:
            sys.exit(f"glis query failed: {done.stderr.strip()} {done.stdout.strip()}")
    return {"median_ms": statistics.median(times), "worst_ms": max(times)}


def duckdb_lookups(files, keys, threads):
    import duckdb
    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    connection.execute("SET enable_object_cache = true")
    times = []
    for key in keys:
        start = time.monotonic()
        rows = connection.execute(f"SELECT * FROM read_parquet('{files}') WHERE key = ?", [key]).fetchall()
        times.append((time.monotonic() - start) * 1e6)
        if not rows:
            sys.exit("DuckDB did not find a key")
    return {"median_us": statistics.median(times)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--lookups", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--text", choices=["random", "words"], default="random")
    parser.add_argument("--build", default=str(HERE.parent / "build"))
    parser.add_argument("--folder", help="where inputs and the table go (default: a temporary folder)")
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder or tempfile.mkdtemp(prefix="glis-bench-")
    source = os.path.join(folder, f"input-{arguments.text}-{arguments.rows}.parquet")
    if not os.path.exists(source):
        ingest.make_input(source, arguments.rows, arguments.text)
    ingest.run_glis(os.path.join(arguments.build, "bench", "ingest_run"), source, folder, 1,
                    arguments.threads, "by_size")
    root = os.path.join(folder, "instance")
    files = f"{root}/tables/*/data/*.parquet"
    import duckdb
    some = duckdb.connect().execute(f"SELECT key FROM read_parquet('{files}') USING SAMPLE 30").fetchall()
    keys = [row[0] for row in some]
    report = {"bench": "query", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
              "machine": machine(), "rows": arguments.rows, "text": arguments.text,
              "duckdb": duckdb.__version__, "runs": []}
    for _ in range(arguments.repeat):
        touch(root)
        done = subprocess.run([os.path.join(arguments.build, "bench", "query_run"), root, "bench",
                               str(arguments.lookups), str(4 << 30), str(arguments.threads)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"query_run failed: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        random.shuffle(keys)
        result["cold_query"] = cold_query(os.path.join(arguments.build, "glis"), root, keys)
        result["duckdb_lookup"] = duckdb_lookups(files, keys, arguments.threads)
        report["runs"].append(result)
        print(json.dumps(result), flush=True)
    report["medians"] = {
        name: statistics.median(run[name].get("median_us", run[name].get("median_ms")) for run in report["runs"])
        for name, value in report["runs"][0].items() if isinstance(value, dict)}
    print(json.dumps(report["medians"]))
    if not arguments.no_save:
        results = HERE / "results"
        results.mkdir(exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        (results / f"query-{stamp}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
