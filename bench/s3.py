#!/usr/bin/env python3
"""An instance in a bucket: what its requests, commits, queries, scans and ingests take, beside the bare requests of the
same server and beside DuckDB's httpfs on the same files.

Starts a Ceph gateway of its own (--ceph: the script that starts one) and stops it by its process ids.

    bench/s3.py --ceph ../shared/tools/ceph-rgw-start [--what puts,commits,scan,lookup,ingest] [--rows N] [--processes N]

- puts: conditional puts a second that the server takes from N processes, each put under a name of its own, and the
  processor's time that one costs the client.
- commits: small transactions by N processes into one log at the same time; commits a second, records, requests of each
  kind a commit, the worst wait; after puts, also the commits for each bare put that the server would take.
- scan: a table of about 1 GB, all of it: bare ranges by parallel readers; the same readers while the same cores decode
  the files from memory; a query; DuckDB (duckdb-extension-httpfs) over the same objects. In turn, --repeat times.
- lookup: one key by a fresh handle, and again: requests, how many of them waited for each other, and time.
- ingest: the same rows to a local folder and to the bucket, in turn; and how fast the server takes bytes that are at
  hand, from as many threads.

Needs pyarrow and duckdb (.venv), for the comparison also duckdb-extension-httpfs of duckdb's version and
duckdb-extensions (PyPI), and the programs s3_run and bench_commit of the build folder. Raw figures go to bench/results/s3-TIME.json.
"""

import argparse
import datetime
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import ingest
from machine import machine

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "system"))
from s3_servers import Client, free_port

SCHEMA = {"rowKeyFields": [{"name": "key", "type": "StringType"}],
          "sortKeyFields": [{"name": "number", "type": "LongType"}],
          "valueFields": [{"name": "real", "type": "DoubleType"}, {"name": "text", "type": "StringType"}]}


class Ceph:
    """A gateway that keeps its objects on disk, for as long as the `with` lasts."""

    def __init__(self, script, folder):
        self.folder, self.port = folder, free_port()
        environment = dict(os.environ, STORE="bluestore")
        subprocess.run([script, folder, str(self.port), str(free_port())], env=environment, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.environment = dict(
            os.environ, AWS_ACCESS_KEY_ID="ACCESS", AWS_SECRET_ACCESS_KEY="SECRET", AWS_REGION="us-east-1",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{self.port}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for file in pathlib.Path(self.folder).glob("*.pid"):
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (ProcessLookupError, ValueError):
                pass

    def make_bucket(self, name):
        Client(self.port, "ACCESS", "SECRET").ok("PUT", name)


class Bench:
    def __init__(self, arguments, ceph, folder):
        self.arguments, self.ceph, self.folder = arguments, ceph, pathlib.Path(folder)
        self.glis = pathlib.Path(arguments.build) / "glis"
        self.s3_run = pathlib.Path(arguments.build) / "bench" / "s3_run"
        self.report = {}

    def run(self, *words, **more):
        done = subprocess.run([str(word) for word in words], env=self.ceph.environment | more, capture_output=True,
                              text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, words))} failed: {done.stderr.strip()}")
        return done.stdout

    def json(self, *words, **more):
        return json.loads(self.run(*words, **more))

    def make_table(self, root, *properties):
        schema = self.folder / "schema.json"
        schema.write_text(json.dumps(SCHEMA))
        self.run(self.glis, "init", root)
        self.run(self.glis, "table", "create", "t", "--schema", schema,
                 *(word for text in properties for word in ("--set", text)), GLIS_INSTANCE=str(root))

    # ---- what is measured ----

    def puts(self):
        runs = [subprocess.Popen([self.s3_run, "puts", "s3://bench", f"puts/{i}/", str(self.arguments.seconds)],
                                 env=self.ceph.environment, stdout=subprocess.PIPE, text=True)
                for i in range(self.arguments.processes)]
        answers = [json.loads(run.communicate()[0]) for run in runs]
        self.report["puts"] = {
            "processes": len(answers),
            "puts_per_second": sum(answer["puts"] / answer["seconds"] for answer in answers),
            "median_ms": statistics.median(answer["median_ms"] for answer in answers),
            "worst_ms": max(answer["worst_ms"] for answer in answers),
            "processor_us_per_put": statistics.median(answer["processor_us_per_put"] for answer in answers)}

    def commits(self):
        program = pathlib.Path(self.arguments.build) / "bench" / "bench_commit"
        answer = self.json(program, "s3://bench/commits", 1, self.arguments.seconds, self.arguments.processes)
        answer["commits_per_record"] = answer["commits"] / max(answer["records"], 1)
        answer["records_per_second"] = answer["records"] / answer["seconds"]
        if "puts" in self.report:
            answer["commits_per_bare_put"] = answer["commits_per_second"] / self.report["puts"]["puts_per_second"]
        self.report["commits"] = answer

    def scan(self):
        rows = self.arguments.rows
        source = self.folder / "input.parquet"
        ingest.make_input(source, rows, "random")
        self.make_table("s3://bench/scan")
        self.run(self.glis, "ingest", "t", source, GLIS_INSTANCE="s3://bench/scan")
        source.unlink()
        table = self.json(self.glis, "--json", "table", "show", "t", GLIS_INSTANCE="s3://bench/scan")["id"]
        prefix = f"tables/{table}/data/"
        rounds = []
        for _ in range(self.arguments.repeat):
            rounds.append({
                "bare": self.json(self.s3_run, "read", "s3://bench/scan", prefix, 2),
                "bare_and_decode": self.json(self.s3_run, "read-decode", "s3://bench/scan", prefix, 2),
                "glis": self.json(self.s3_run, "scan", "s3://bench/scan", "t", 2),
                "duckdb": self.duckdb(f"s3://bench/scan/{prefix}*.parquet", rows)})
            print(json.dumps(rounds[-1]), flush=True)
        medians = {name: statistics.median(one[name]["seconds"] for one in rounds)
                   for name in rounds[0] if rounds[0][name]}
        self.report["scan"] = {"rows": rows, "bytes": rounds[0]["bare"]["bytes"], "rounds": rounds,
                               "median_seconds": medians}

    def duckdb(self, pattern, rows):
        program = f"""
import json, time, duckdb
from duckdb_extensions import import_extension
import_extension("httpfs")
connection = duckdb.connect()
connection.execute("LOAD httpfs")
connection.execute("SET enable_progress_bar = false")
connection.execute("SET threads = 2")
for name, value in (("s3_endpoint", "127.0.0.1:{self.ceph.port}"), ("s3_access_key_id", "ACCESS"),
                    ("s3_secret_access_key", "SECRET"), ("s3_region", "us-east-1"), ("s3_url_style", "path")):
    connection.execute(f"SET {{name}} = '{{value}}'")
connection.execute("SET s3_use_ssl = false")
start = time.monotonic()
reader = connection.execute("SELECT * FROM read_parquet('{pattern}')").fetch_record_batch(1 << 16)
rows = sum(batch.num_rows for batch in reader)
print(json.dumps({{"seconds": time.monotonic() - start, "rows": rows}}))
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        if done.returncode != 0:
            print(f"DuckDB: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        answer = json.loads(done.stdout)
        assert answer["rows"] == rows, answer
        return answer

    def lookup(self):
        self.make_table("s3://bench/lookup")
        source = self.folder / "lookup.parquet"
        ingest.make_input(source, 1_000_000, "random")
        self.run(self.glis, "ingest", "t", source, GLIS_INSTANCE="s3://bench/lookup")
        import pyarrow.parquet as pq
        key = pq.read_table(source, columns=["key"])["key"][500_000].as_py()
        self.report["lookup"] = [self.json(self.s3_run, "lookup", "s3://bench/lookup", "t", key)
                                 for _ in range(2 * self.arguments.repeat + 1)]

    def ingest(self):
        source = self.folder / "ingest.parquet"
        ingest.make_input(source, self.arguments.rows // 4, "random")
        taken = {"local": [], "bucket": []}
        for i in range(self.arguments.repeat):
            for name, root in (("local", self.folder / f"local{i}"), ("bucket", f"s3://bench/ingest{i}")):
                self.make_table(root)
                start = time.monotonic()
                self.run(self.glis, "ingest", "t", source, GLIS_INSTANCE=str(root))
                taken[name].append(time.monotonic() - start)
        medians = {name: statistics.median(times) for name, times in taken.items()}
        table = self.json(self.glis, "--json", "status", "t", GLIS_INSTANCE="s3://bench/ingest0")
        bare = [self.json(self.s3_run, "write", "s3://bench/bare", "bare/", 2) for _ in range(self.arguments.repeat)]
        per_second = statistics.median(one["bytes"] / one["seconds"] for one in bare)
        size = table["bytes"]
        self.report["ingest"] = {"rows": self.arguments.rows // 4, "bytes": size, "seconds": taken,
                                 "median_seconds": medians, "ratio": medians["bucket"] / medians["local"],
                                 "server_bytes_per_second": per_second, "server_seconds": size / per_second}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ceph", required=True)
    parser.add_argument("--what", default="puts,commits,lookup,ingest,scan")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--build", default=str(HERE.parent / "build"))
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Ceph(arguments.ceph, os.path.join(folder, "ceph")) as ceph:
        ceph.make_bucket("bench")
        bench = Bench(arguments, ceph, folder)
        for what in arguments.what.split(","):
            getattr(bench, what)()
            print(what, json.dumps(bench.report[what])[:2000], flush=True)
    if not arguments.no_save:
        now = datetime.datetime.now(datetime.timezone.utc)
        report = {"bench": "s3", "date": now.isoformat(), "machine": machine(), "server": "Ceph RADOS gateway 16.2",
                  **bench.report}
        (HERE / "results" / f"s3-{now:%Y%m%dT%H%M%SZ}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
