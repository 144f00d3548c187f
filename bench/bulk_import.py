#!/usr/bin/env python3
"""Bulk import: time a row of many rows and of ten times as many, by the real command.

The work: rows of (long key, long, string of 20), unsorted, in Parquet files of five million rows, into a table of
64 leaves with one `glis bulk-import`. Reported are the seconds, the rows a second, how much longer a row takes in the
larger job, and the greatest resident size. Rows are counted afterwards, and one leaf's file is looked at.

    bench/bulk_import.py [--rows 10000000,100000000] [--memory 1G] [--threads 2] [--build FOLDER] [--folder FOLDER]

Needs numpy and pyarrow (.venv). Raw figures go to bench/results/bulk_import-TIME.json.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from machine import machine

HERE = pathlib.Path(__file__).resolve().parent
ROWS_A_FILE = 5_000_000
LEAVES = 64
SCHEMA = {"rowKeyFields": [{"name": "key", "type": "LongType"}],
          "sortKeyFields": [{"name": "time", "type": "LongType"}],
          "valueFields": [{"name": "text", "type": "StringType"}]}


def make_input(folder, rows):
    import numpy
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = numpy.random.default_rng(rows)
    for number, first in enumerate(range(0, rows, ROWS_A_FILE)):
        n = min(ROWS_A_FILE, rows - first)
        text = random.integers(97, 123, 20 * n, dtype=numpy.uint8)
        column = pa.StringArray.from_buffers(
            n, pa.py_buffer(numpy.arange(0, 20 * n + 1, 20, dtype=numpy.int32)), pa.py_buffer(text))
        table = pa.table({"key": random.integers(-2**63, 2**63 - 1, n),
                          "time": random.integers(0, 10**12, n), "text": column})
        pq.write_table(table, folder / f"{number:04}.parquet", row_group_size=1_000_000,
                       compression="snappy", use_dictionary=False)


def run(arguments, folder, rows):
    glis = pathlib.Path(arguments.build) / "glis"
    environment = {**os.environ, "GLIS_INSTANCE": str(folder / "instance"),
                   "GLIS_INGEST_MEMORY": arguments.memory, "GLIS_THREADS": str(arguments.threads),
                   "GLIS_INGEST_SPILL_DIR": str(folder)}

    def call(*words):
        return subprocess.run([glis, *map(str, words)], env=environment, check=True,
                              capture_output=True, text=True).stdout

    call("init", folder / "instance")
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    step = 2**64 // LEAVES
    (folder / "splits.txt").write_text(
        "".join(f"{-2**63 + i * step}\n" for i in range(1, LEAVES)))
    call("table", "create", "t", "--schema", folder / "schema.json", "--splits",
         folder / "splits.txt", "--set", f"glis.table.bulk.import.min.leaf.partitions={LEAVES}")
    begun = time.monotonic()
    process = subprocess.Popen([glis, "--json", "bulk-import", "t", folder / "input"],
                               env=environment, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    assert status == 0, status
    answer = json.loads(output)
    assert answer["rows"] == rows and answer["files"] == LEAVES, answer
    assert call("query", "t", "--count").strip() == str(rows)
    return {"rows": rows, "seconds": seconds, "rows_a_second": rows / seconds,
            "processor_seconds": usage.ru_utime + usage.ru_stime,
            "resident_mib": usage.ru_maxrss // 1024, "sorted_files": answer["sortedFiles"],
            "bytes": answer["bytes"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default="10000000,100000000")
    parser.add_argument("--memory", default="1G")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--build", default=HERE.parent / "build")
    parser.add_argument("--folder", default=None)
    arguments = parser.parse_args()
    results = []
    for rows in map(int, arguments.rows.split(",")):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="glis-bulk-", dir=arguments.folder))
        try:
            (folder / "input").mkdir()
            make_input(folder / "input", rows)
            results.append(run(arguments, folder, rows))
            print("{rows:>12,} rows {seconds:8.1f} s {rows_a_second:12,.0f} rows/s "
                  "{processor_seconds:8.1f} s of processors {resident_mib:6,} MiB resident, "
                  "{sorted_files} sorted files".format(**results[-1]), flush=True)
        finally:
            shutil.rmtree(folder)
    first, last = results[0], results[-1]
    ratio = (last["seconds"] / last["rows"]) / (first["seconds"] / first["rows"])
    of_processors = (last["processor_seconds"] / last["rows"]) / (
        first["processor_seconds"] / first["rows"])
    print(f"a row takes {ratio:.2f} times as long in the larger job "
          f"({of_processors:.2f} times as much of the processors)")
    now = datetime.datetime.now(datetime.timezone.utc)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"bulk_import-{now:%Y%m%dT%H%M%SZ}.json").write_text(json.dumps(
        {"time": now.isoformat(), "machine": machine(), "memory": arguments.memory, "threads": arguments.threads,
         "ratio": ratio, "ratio_of_processors": of_processors, "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
