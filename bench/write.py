#!/usr/bin/env python3
"""Parquet files written from memory, beside pyarrow and DuckDB on the same machine.

The tables of bench/scan.py; every engine holds the rows in its own form and writes them with its own defaults but
for the codec (zstd at level 1 in pyarrow and Glis, 3 in DuckDB: each engine's default), with 1 and with 2 threads, in
turn, --repeat times. Files go to the page cache. pyarrow writes with one thread always. Keeps one JSON object a run in
bench/results/write.jsonl, with what has been measured so far after every row. Build first: ninja -C build bench/scan_run bench/write_run.
"""

import argparse
import datetime
import json
import os
import sys
import tempfile

from scan import CODECS, HERE, SHAPES, Engine, keep_report, machine, make_files, summary, versions

PEER = """
import json, os, sys, time
engine, threads = sys.argv[1], int(sys.argv[2])
if engine == "pyarrow":
    import pyarrow as pa, pyarrow.parquet as pq
    pa.set_cpu_count(threads)
    def load(path):
        global table
        table = pq.read_table(path)
    def write(path, codec):
        pq.write_table(table, path, compression=codec, write_page_index=True)
else:
    import duckdb
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET threads = {threads}")
    def load(path):
        connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT * FROM read_parquet('{path}')")
    def write(path, codec):
        codec = "uncompressed" if codec == "none" else codec
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet, COMPRESSION {codec})")
for line in sys.stdin:
    order, path, *codec = line.rstrip("\\n").split("\\t")
    start = time.monotonic()
    {"load": load, "write": write}[order](path, *codec)
    seconds = time.monotonic() - start
    print(json.dumps({"seconds": seconds, "bytes": os.path.getsize(path)}), flush=True)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--codecs", default=",".join(CODECS))
    parser.add_argument("--build", default=str(HERE.parent / "build"))
    parser.add_argument("--folder", help="where files are kept (default: a temporary folder)")
    parser.add_argument("--note", default="")
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    arguments.shapes, arguments.codecs = arguments.shapes.split(","), arguments.codecs.split(",")
    with tempfile.TemporaryDirectory(prefix="glis-bench-") as temporary:
        folder = arguments.folder or temporary
        inputs = argparse.Namespace(**{**vars(arguments), "codecs": ["snappy"], "writers": ["pyarrow"]})
        files = make_files(inputs, folder)
        report = {"bench": "write", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
                  "note": arguments.note, "machine": machine(), "versions": versions(), "rows": arguments.rows,
                  "results": []}
        kept = None
        for threads in arguments.threads.split(","):
            engines = {"glis": Engine([os.path.join(arguments.build, "bench", "write_run"), threads]),
                       "pyarrow": Engine([sys.executable, "-c", PEER, "pyarrow", threads]),
                       "duckdb": Engine([sys.executable, "-c", PEER, "duckdb", threads])}
            for (shape, _, _), path in files.items():
                for engine in engines.values():
                    engine.order("load", path)
                for codec in arguments.codecs:
                    seconds, cpu, sizes = {name: [] for name in engines}, {name: [] for name in engines}, {}
                    for _ in range(arguments.repeat):
                        for name, engine in engines.items():
                            target = os.path.join(folder, f"out-{name}.parquet")
                            answer = engine.order("write", target, codec)
                            seconds[name].append(round(answer["seconds"], 6))
                            cpu[name].append(answer["cpu_seconds"])
                            sizes[name] = answer["bytes"]
                            os.unlink(target)
                    (medians, ratio), (cpu_medians, cpu_ratio) = summary(seconds), summary(cpu)
                    smallest = min(value for name, value in sizes.items() if name != "glis")
                    row = {"shape": shape, "codec": codec, "threads": int(threads), "seconds": seconds,
                           "bytes": sizes, "medians": medians, "ratio": ratio,
                           "cpu_seconds": cpu, "cpu_medians": cpu_medians, "cpu_ratio": cpu_ratio,
                           "size_ratio": round(sizes["glis"] / smallest, 3)}
                    report["results"].append(row)
                    print(f"{threads} {shape:19} {codec:6}",
                          *(f"{name} {medians[name]:.3f} s {sizes[name] >> 20} MiB" for name in engines),
                          f"ratio {ratio} cpu {cpu_ratio} size {row['size_ratio']}", flush=True)
                    if not arguments.no_save:
                        kept = keep_report(HERE / "results" / "write.jsonl", report, kept)
            for engine in engines.values():
                engine.end()


if __name__ == "__main__":
    main()
