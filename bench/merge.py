#!/usr/bin/env python3
"""Merging sorted data files into one, against what the machine can do without merging, and against DuckDB.

The work: files of rows (key string of 18, sort long, value string of 80 random letters and digits), each sorted and zstd
compressed, into one such file. `full`: the files all lie over the whole key space; `touching`: each overlaps the next by
one hundredth. For each, in turns:

    limit    Glis decodes the rows of one file after another and encodes them, without merging
    merge    Glis merges
    recode   Glis merges without copying row groups that nothing overlaps
    process  the same, through a filter by age that keeps all rows and an aggregation
    duckdb   COPY (SELECT * FROM read_parquet([...]) ORDER BY key, sort) TO ... (FORMAT parquet, COMPRESSION zstd)

All use as many threads and as much memory; medians are printed, and every single run is kept as JSON in bench/results/.

    bench/merge.py [--files N] [--rows N] [--repeat N] [--threads N] [--build FOLDER] [--no-duckdb] [--no-save]

Needs duckdb and pyarrow (.venv), and the program merge_run of the build folder.
"""

import argparse
import datetime
import glob
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from machine import machine

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_BYTES = 512 << 20

DUCKDB_RUN = """
import duckdb, json, os, sys, time
source, target, threads, memory, temporary = sys.argv[1:6]
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")
connection.execute(f"SET threads = {threads}")
connection.execute(f"SET memory_limit = '{memory}B'")
connection.execute(f"SET temp_directory = '{temporary}'")
before = os.times()
start = time.monotonic()
connection.execute(
    f"COPY (SELECT * FROM read_parquet('{source}') ORDER BY key, sort) TO '{target}' "
    "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
seconds = time.monotonic() - start
after = os.times()
lines = open("/proc/self/status").read().splitlines()
resident = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
print(json.dumps({"seconds": seconds, "user_seconds": after.user - before.user,
                  "system_seconds": after.system - before.system, "resident_mib": resident // 1024}))
"""


def run_glis(program, root, threads, order, output=None):
    command = [program, root, str(threads), str(MEMORY_BYTES // 2), order] + ([output] if output else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"merge_run {order} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def run_duckdb(root, folder, threads):
    target = os.path.join(folder, "duckdb.parquet")
    done = subprocess.run([sys.executable, "-c", DUCKDB_RUN, f"{root}/tables/*/data/*.parquet", target, str(threads),
                           str(MEMORY_BYTES), os.path.join(folder, "duckdb-spill")], capture_output=True, text=True)
    if done.returncode != 0:
        return {"seconds": None, "error": done.stderr.strip().splitlines()[-1]}
    result = json.loads(done.stdout)
    result["output_bytes"] = os.path.getsize(target)
    os.unlink(target)
    return result


def check_output(program, root, folder, rows):
    """The merged file has the rows of the inputs in order, as DuckDB and pyarrow read them."""
    import duckdb
    import pyarrow.parquet as pq
    output = os.path.join(folder, "merged.parquet")
    run_glis(program, root, 2, "merge", output)
    inputs = f"read_parquet('{root}/tables/*/data/*.parquet')"
    connection = duckdb.connect()
    digest = "count(*), sum(hash(key, sort, value))"
    wanted = connection.execute(f"SELECT {digest} FROM {inputs}").fetchone()
    found = connection.execute(f"SELECT {digest} FROM read_parquet('{output}')").fetchone()
    wrong = connection.execute(
        f"""SELECT count(*) FROM (SELECT key, sort, lag((key, sort)) OVER (ORDER BY file_row_number) AS before
            FROM read_parquet('{output}', file_row_number=true)) WHERE before > (key, sort)""").fetchone()[0]
    table = pq.read_table(output, page_checksum_verification=True)
    os.unlink(output)
    if wanted != found or wrong or wanted[0] != rows or table.num_rows != rows:
        sys.exit(f"the merged file is wrong: {wanted} {found}, {wrong} rows out of order, pyarrow {table.num_rows}")


def warm(root):
    for path in glob.glob(f"{root}/tables/*/data/*.parquet"):
        pathlib.Path(path).read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=11)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--build", default=str(HERE.parent / "build"))
    parser.add_argument("--folder", help="where inputs and outputs go (default: a temporary folder)")
    parser.add_argument("--no-duckdb", action="store_true")
    parser.add_argument("--no-check", action="store_true")
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    program = os.path.join(arguments.build, "bench", "merge_run")
    folder = arguments.folder or tempfile.mkdtemp(prefix="glis-bench-")
    rows = arguments.files * arguments.rows
    report = {"bench": "merge", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
              "machine": machine(), "files": arguments.files, "rows": rows, "threads": arguments.threads,
              "memory_bytes": MEMORY_BYTES, "runs": {}}
    names = ["limit", "merge", "recode", "process"]
    if not arguments.no_duckdb:
        import duckdb
        report["duckdb"] = duckdb.__version__
        names.append("duckdb")
    for shape, overlap in (("full", 100), ("touching", 1)):
        root = os.path.join(folder, f"merge-{shape}")
        if not os.path.exists(root):
            subprocess.run([program, root, "2", str(MEMORY_BYTES), "make", str(arguments.files), str(arguments.rows),
                            str(overlap)], check=True, stdout=subprocess.DEVNULL)
        if not arguments.no_check:
            check_output(program, root, folder, rows)
        warm(root)
        for _ in range(arguments.repeat):
            for name in names:
                result = (run_duckdb(root, folder, arguments.threads) if name == "duckdb"
                          else run_glis(program, root, arguments.threads, name))
                report["runs"].setdefault(f"{shape}-{name}", []).append(result)
                print(shape, name, json.dumps(result), flush=True)
    medians = {name: statistics.median(r["seconds"] for r in runs if r["seconds"] is not None)
               for name, runs in report["runs"].items() if any(r["seconds"] is not None for r in runs)}
    report["medians_seconds"] = medians
    # What the work takes of the processors, which other programs on the machine disturb less.
    cpu = {name: statistics.median(r["user_seconds"] + r["system_seconds"] for r in runs if r["seconds"] is not None)
           for name, runs in report["runs"].items() if any(r["seconds"] is not None for r in runs)}
    report["medians_cpu_seconds"] = cpu
    report["ratios"] = {"full: rate of merge to limit": medians["full-limit"] / medians["full-merge"],
                        "touching to full, merge": medians["full-merge"] / medians["touching-merge"]}
    report["ratios"]["full: time of process to recode"] = medians["full-process"] / medians["full-recode"]
    report["ratios"]["full: processor time of process to recode"] = cpu["full-process"] / cpu["full-recode"]
    if "full-duckdb" in medians:
        report["ratios"]["full: merge to duckdb"] = medians["full-duckdb"] / medians["full-merge"]
        report["ratios"]["touching: merge to duckdb"] = medians["touching-duckdb"] / medians["touching-merge"]
    report["ratios"]["full: rate of merge to limit, processor time"] = cpu["full-limit"] / cpu["full-merge"]
    report["ratios"]["touching to full, processor time"] = cpu["full-merge"] / cpu["touching-merge"]
    print(json.dumps({"medians": medians, "processor time": cpu, "ratios": report["ratios"]}, indent=1))
    if not arguments.no_save:
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        (HERE / "results" / f"merge-{stamp}.json").write_text(json.dumps(report, indent=1) + "\n")
    if not arguments.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
