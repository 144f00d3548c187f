#!/usr/bin/env python3
"""Scans of Parquet files to Arrow batches, beside pyarrow and DuckDB on the same machine.

For each shape (four columns as an ingest brings them; single columns), each codec and each writer
(pyarrow, Glis) a file of --rows rows; all columns of it are read by every engine with 1 and with 2
threads, in turn, --repeat times. Two ways:

    stream  batches that are dropped as they come (pyarrow: iter_batches, DuckDB: a record batch
            reader)
    table   everything kept to the end (pyarrow: read_table, DuckDB: fetch_arrow_table)

and two more of the shape lineitem (bench/lineitem.py, 6,001,215 rows), streams as well:

    columns 4 of its 16 columns
    where   the rows of TPC-H's query 6, two of their columns (pyarrow: a dataset's scanner)

Engines run in processes that stay, so that none pays for its start; files are in the page cache.
Keeps one JSON object a run in bench/results/scan.jsonl, with what has been measured so far after every
row: machine, versions, date, all seconds, the
medians, and our median over the fastest peer's of the same way; likewise for the processor's seconds
of all threads, which say more on a machine that does other work too.
Build first: ninja -C build bench/scan_run.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import lineitem
from machine import machine

HERE = pathlib.Path(__file__).resolve().parent
CODECS = ["none", "snappy", "zstd"]
SHAPES = ["four_columns", "int64_random", "int64_sorted_delta", "strings_dictionary",
          "strings_plain", "double_plain", "double_split", "int64_nulls", "strings_nulls",
          "int64_lists", "lineitem"]
LINEITEM_WAYS = ["columns", "where"]

PEER = """
import json, sys, time
engine, threads = sys.argv[1], int(sys.argv[2])
COLUMNS = ["l_quantity", "l_extendedprice", "l_discount", "l_shipdate"]
if engine == "pyarrow":
    import pyarrow as pa, pyarrow.parquet as pq
    pa.set_cpu_count(threads)
    pa.set_io_thread_count(threads)
    several = threads > 1
    def stream(path):
        n = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(use_threads=several):
                n += batch.num_rows
        return n
    def table(path):
        return pq.read_table(path, use_threads=several).num_rows
    def columns(path):
        n = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=COLUMNS, use_threads=several):
                n += batch.num_rows
        return n
    def where(path):
        import datetime, decimal
        import pyarrow.dataset as ds
        f, money = ds.field, pa.decimal128(15, 2)
        d = lambda text: pa.scalar(decimal.Decimal(text), money)
        condition = ((f("l_shipdate") >= datetime.date(1994, 1, 1)) & (f("l_shipdate") < datetime.date(1995, 1, 1)) &
                     (f("l_discount") >= d("0.05")) & (f("l_discount") <= d("0.07")) & (f("l_quantity") < d("24")))
        scanner = ds.dataset(path).scanner(columns=["l_extendedprice", "l_discount"], filter=condition,
                                           use_threads=several)
        return sum(batch.num_rows for batch in scanner.to_batches())
else:
    import duckdb
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET threads = {threads}")
    def stream(path, select="*", condition=""):
        n = 0
        reader = connection.execute(f"SELECT {select} FROM read_parquet('{path}') {condition}")
        for batch in reader.fetch_record_batch(1 << 16):
            n += batch.num_rows
        return n
    def columns(path):
        return stream(path, ", ".join(COLUMNS))
    def where(path):
        return stream(path, "l_extendedprice, l_discount", "WHERE l_shipdate >= DATE '1994-01-01' AND "
                      "l_shipdate < DATE '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24")
    def table(path):
        return connection.execute(f"SELECT * FROM read_parquet('{path}')").fetch_arrow_table().num_rows
for line in sys.stdin:
    way, path = line.rstrip("\\n").split("\\t")
    start = time.monotonic()
    rows = {"stream": stream, "table": table, "columns": columns, "where": where}[way](path)
    print(json.dumps({"seconds": time.monotonic() - start, "rows": rows}), flush=True)
"""


class Engine:
    """A process that carries out one order after the other."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def cpu_seconds(self):
        """What all of its threads have computed so far."""
        files = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(file.read_text().split()[0]) for file in files) / 1e9

    def order(self, *fields):
        before = self.cpu_seconds()
        self.process.stdin.write("\t".join(fields) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"no answer to {fields}")
        return {**json.loads(answer), "cpu_seconds": round(self.cpu_seconds() - before, 6)}

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def texts(random, n, low, high, alphabet):
    import numpy
    import pyarrow as pa
    letters = numpy.frombuffer(alphabet, dtype=numpy.uint8)
    lengths = random.integers(low, high + 1, n, dtype=numpy.int32)
    offsets = numpy.zeros(n + 1, dtype=numpy.int32)
    numpy.cumsum(lengths, out=offsets[1:])
    data = letters[random.integers(0, len(letters), int(offsets[-1]))].tobytes()
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets.tobytes()), pa.py_buffer(data))


def with_nulls(random, array):
    import pyarrow as pa
    import pyarrow.compute as pc
    mask = pa.array(random.random(len(array)) < 0.1)
    return pc.if_else(mask, pa.scalar(None, array.type), array)


def make_columns(shape, n, begun, random):
    """Columns by name, and whether they may be null; `begun`: rows made before."""
    import numpy
    import pyarrow as pa
    longs = lambda: pa.array(random.integers(0, 1 << 62, n))
    letters = b"abcdefghijklmnopqrstuvwxyz "
    if shape == "four_columns":
        words = numpy.array(["ash", "birch", "cedar", "elder", "hazel", "juniper", "larch",
                             "maple", "oak", "pine", "rowan", "willow"])
        picks = words[random.integers(0, len(words), (n, 6))]
        phrases = picks[:, 0]
        for i in range(1, 6):
            phrases = numpy.char.add(numpy.char.add(phrases, " "), picks[:, i])
        phrases = numpy.char.ljust(phrases.astype("U40"), 40, ".")
        return {"key": texts(random, n, 16, 16, b"0123456789abcdef"), "number": longs(),
                "real": pa.array(random.random(n)), "text": pa.array(phrases)}, False
    if shape == "int64_random":
        return {"v": longs()}, False
    if shape == "int64_sorted_delta":
        steps = random.integers(0, 1000, n)
        return {"v": pa.array(begun * 500 + numpy.cumsum(steps))}, False
    if shape == "strings_dictionary":
        picks = pa.array(random.integers(0, 1000, n, dtype=numpy.int32))
        values = pa.array([f"city {i} {'x' * (i % 12)}" for i in range(1000)])
        return {"v": pa.DictionaryArray.from_arrays(picks, values).cast(pa.string())}, False
    if shape == "strings_plain":
        return {"v": texts(random, n, 8, 24, letters)}, False
    if shape in ("double_plain", "double_split"):
        return {"v": pa.array(random.random(n))}, False
    if shape == "int64_nulls":
        return {"v": with_nulls(random, longs())}, True
    if shape == "strings_nulls":
        return {"v": with_nulls(random, texts(random, n, 8, 24, letters))}, True
    lengths = random.integers(0, 5, n, dtype=numpy.int32)
    offsets = numpy.zeros(n + 1, dtype=numpy.int32)
    numpy.cumsum(lengths, out=offsets[1:])
    values = pa.array(random.integers(0, 1 << 62, int(offsets[-1])))
    return {"v": pa.ListArray.from_arrays(pa.array(offsets), values)}, True


def rows_of(shape, rows):
    """Lineitem has its own number, but in trials."""
    return lineitem.ROWS if shape == "lineitem" and rows >= 1 << 20 else rows


def make_input(path, shape, rows, codec):
    if shape == "lineitem":
        return lineitem.write(path, rows_of(shape, rows), codec)
    import numpy
    import pyarrow as pa
    import pyarrow.parquet as pq
    random = numpy.random.default_rng(20261121)
    options = {"use_dictionary": shape in ("four_columns", "strings_dictionary")}
    if shape == "int64_sorted_delta":
        options["column_encoding"] = {"v": "DELTA_BINARY_PACKED"}
    if shape == "double_split":
        options["column_encoding"] = {"v": "BYTE_STREAM_SPLIT"}
    writer, begun = None, 0
    while begun < rows:
        n = min(rows - begun, 1 << 20)
        columns, nullable = make_columns(shape, n, begun, random)
        schema = pa.schema([pa.field(k, v.type, nullable) for k, v in columns.items()])
        if not writer:
            writer = pq.ParquetWriter(path, schema, compression=codec, **options)
        writer.write_table(pa.Table.from_arrays(list(columns.values()), schema=schema))
        begun += n
    writer.close()


def make_files(arguments, folder):
    """(shape, codec, writer) -> path; what is there already is kept."""
    program = os.path.join(arguments.build, "bench", "scan_run")
    files, glis = {}, Engine([program, "2"])
    for shape in arguments.shapes:
        for codec in arguments.codecs:
            theirs = os.path.join(folder, f"{shape}-{arguments.rows}-{codec}-pyarrow.parquet")
            ours = os.path.join(folder, f"{shape}-{arguments.rows}-{codec}-glis.parquet")
            if not os.path.exists(theirs):
                make_input(theirs, shape, arguments.rows, codec)
            if "glis" in arguments.writers and not os.path.exists(ours):
                glis.order("write", theirs, ours, codec)
            for writer, path in (("pyarrow", theirs), ("glis", ours)):
                if writer in arguments.writers:
                    files[shape, codec, writer] = path
    glis.end()
    return files


def versions():
    import duckdb
    import pyarrow
    done = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"],
                          capture_output=True, text=True)
    return {"pyarrow": pyarrow.__version__, "duckdb": duckdb.__version__,
            "python": platform.python_version(), "glis": done.stdout.strip()}


def keep_report(path, report, at=None):
    """Writes a report as the last line of a file, over the line that begins at `at`: what this run wrote before.
    Returns where the line begins. The line before it is never touched, and a run that ends early has its rows."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "ab") as file:
        begin = file.tell() if at is None else at
    with open(path, "r+b") as file:
        file.seek(begin)
        file.write(json.dumps(report).encode() + b"\n")  # never shorter than the line was
        file.flush()
        os.fsync(file.fileno())
    return begin


def measure(engines, path, shape, arguments):
    """Seconds by way and engine, interleaved."""
    ways = arguments.ways + (LINEITEM_WAYS if shape == "lineitem" else [])
    seconds = {way: {name: [] for name in engines} for way in ways}
    cpu = {way: {name: [] for name in engines} for way in ways}
    rows = {"where": None, **{way: rows_of(shape, arguments.rows) for way in ways if way != "where"}}
    for name in engines:  # the file into the page cache, and each engine's first time away
        engines[name].order(arguments.ways[0], path)
    for _ in range(arguments.repeat):
        for way in ways:
            for name, engine in engines.items():
                answer = engine.order(way, path)
                rows[way] = rows[way] or answer["rows"]  # the engines must agree on what a filter leaves
                if answer["rows"] != rows[way]:
                    sys.exit(f"{name} read {answer['rows']} rows of {rows[way]} from {path}")
                seconds[way][name].append(round(answer["seconds"], 6))
                cpu[way][name].append(answer["cpu_seconds"])
    return seconds, cpu


def summary(seconds):
    """Medians, and ours over the least of the others."""
    medians = {name: statistics.median(runs) for name, runs in seconds.items()}
    peers = [value for name, value in medians.items() if name != "glis"]
    ratio = round(medians["glis"] / min(peers), 3) if peers else None
    return medians, ratio


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--codecs", default=",".join(CODECS))
    parser.add_argument("--writers", default="pyarrow,glis")
    parser.add_argument("--ways", default="stream,table")
    parser.add_argument("--engines", default="glis,pyarrow,duckdb")
    parser.add_argument("--build", default=str(HERE.parent / "build"))
    parser.add_argument("--folder", help="where files are kept (default: a temporary folder)")
    parser.add_argument("--note", default="", help="a word about this run, kept with it")
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    for name in ("shapes", "codecs", "writers", "ways", "engines"):
        setattr(arguments, name, getattr(arguments, name).split(","))
    program = os.path.join(arguments.build, "bench", "scan_run")
    with tempfile.TemporaryDirectory(prefix="glis-bench-") as temporary:
        files = make_files(arguments, arguments.folder or temporary)
        report = {"bench": "scan", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
                  "note": arguments.note, "machine": machine(), "versions": versions(),
                  "rows": arguments.rows, "results": []}
        kept = None
        for threads in arguments.threads.split(","):
            commands = {"glis": [program, threads],
                        "pyarrow": [sys.executable, "-c", PEER, "pyarrow", threads],
                        "duckdb": [sys.executable, "-c", PEER, "duckdb", threads]}
            engines = {name: Engine(commands[name]) for name in arguments.engines}
            for (shape, codec, writer), path in files.items():
                seconds, cpu = measure(engines, path, shape, arguments)
                for way in seconds:
                    medians, ratio = summary(seconds[way])
                    cpu_medians, cpu_ratio = summary(cpu[way])
                    report["results"].append({
                        "shape": shape, "codec": codec, "writer": writer,
                        "threads": int(threads), "way": way, "file_bytes": os.path.getsize(path),
                        "seconds": seconds[way], "medians": medians, "ratio": ratio,
                        "cpu_seconds": cpu[way], "cpu_medians": cpu_medians, "cpu_ratio": cpu_ratio})
                    print(f"{threads} {shape:19} {codec:6} {writer:7} {way:6}",
                          *(f"{name} {value:.4f}" for name, value in medians.items()),
                          f"ratio {ratio} cpu {cpu_ratio}", flush=True)
                if not arguments.no_save:
                    kept = keep_report(HERE / "results" / "scan.jsonl", report, kept)
            for engine in engines.values():
                engine.end()


if __name__ == "__main__":
    main()
